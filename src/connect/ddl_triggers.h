/* Capture by triggers: how the change table of a table, its columns and its triggers are called,
 * which columns it has, and what must be altered when the table was. A connector writes the
 * statements (connect/sql.h, put_triggers); a DBA runs them. Pure; everything is borrowed until the
 * text is written (docs/sources/trigger.md). */
#ifndef FR_CONNECT_DDL_TRIGGERS_H
#define FR_CONNECT_DDL_TRIGGERS_H

#include "base/arena.h"
#include "base/error.h"
#include "model/settings.h"

struct fr_sql_relation;

/* Columns of a change table beside those of its table. */
#define FR_TRIGGERS_ID "freshet_id"       /* a number, drawn while the row is locked */
#define FR_TRIGGERS_OP "freshet_op"       /* i, u, d, t */
#define FR_TRIGGERS_AT "freshet_at"       /* the database's clock */
#define FR_TRIGGERS_SHAPE "freshet_shape" /* which columns the trigger knew: 1, 2, ... */
#define FR_TRIGGERS_LOG "freshet_changes_"

typedef enum {
    FR_TRIGGERS_SAME,
    FR_TRIGGERS_ADDED,   /* the change table does not have it yet */
    FR_TRIGGERS_RETYPED, /* it has it with another type */
    FR_TRIGGERS_BACK,    /* it has it, and the triggers have not filled it lately */
    FR_TRIGGERS_GONE     /* the table does not have it any more, or it is not published */
} fr_triggers_news;

typedef struct fr_triggers_column {
    fr_str name, before, after; /* of the table; of the change table: old value, new value */
    fr_str type;                /* as the connector spells it */
    fr_triggers_news news;
    int64_t since; /* the shape that fills it first; not of GONE */
} fr_triggers_column;

typedef struct fr_ddl_triggers {
    const fr_source_settings *source;
    const fr_table_settings *settings;
    fr_str space, name, log; /* log: the change table */
    int64_t shape;
    fr_str label; /* the change table's comment */
    bool again;   /* the change table is there: it is altered, and its rows stay */
    bool remove;  /* what takes it all away again; there are no columns then */
    const fr_triggers_column *columns; /* in the table's order, the GONE ones last */
    size_t count;
} fr_ddl_triggers;

/* prefix and name, or where that is longer than 63 bytes its first 54 (whole characters), ~ and 8
 * digits of a hash over the whole. */
fr_str fr_triggers_name(fr_arena *a, const char *prefix, fr_str name);
/* side: o, the old value, n, the new one. */
fr_str fr_triggers_column_name(fr_arena *a, char side, fr_str column);
/* This column is published, and so is in the change table. */
bool fr_triggers_takes(const fr_table_settings *t, fr_str column);
/* A fingerprint of the columns that are taken: names and types. */
fr_str fr_triggers_print(fr_arena *a, const struct fr_sql_relation *table,
                         const fr_table_settings *t);
/* What a change table's comment says. False: it is none of ours. */
bool fr_triggers_label_parse(fr_str label, int64_t *shape_out, fr_str *print_out);
/* From which shape on the triggers fill a column, by the comment of its `after`. 0: not any more.
 */
int64_t fr_triggers_since(fr_str doc);

/* Sets log, and unless remove: shape, label, again and columns. table and log as they are, with
 * their copies; log NULL: there is none. CONFIG: names that would be the same, too many columns, a
 * table of that name that is none of ours. */
fr_rc fr_ddl_triggers_of(fr_arena *a, fr_ddl_triggers *o, const struct fr_sql_relation *table,
                         const struct fr_sql_relation *log, fr_err *err);
/* What this is, by whom, what to heed; the first lines. */
void fr_ddl_triggers_head(fr_buf *b, const fr_ddl_triggers *o);

#endif
