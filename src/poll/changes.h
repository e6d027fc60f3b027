/* A change table that triggers fill, as what it says: its rows are events of another table. Which
 * columns are where, and whether the triggers know the table as it is now
 * (docs/sources/trigger.md). Over connect/sql.h; one thread at a time. */
#ifndef FR_POLL_CHANGES_H
#define FR_POLL_CHANGES_H

#include "connect/sql.h"
#include "model/batch.h"

typedef struct fr_changes_pair { /* of a column: where the change table has it; -1: it has not */
    int before, after;
    int64_t since; /* the shape from which on */
} fr_changes_pair;

typedef struct fr_changes {
    const fr_sql_ops *ops;
    fr_arena *arena;
    const fr_table_settings *settings; /* of the table; they outlive it */
    fr_table_settings log_settings;    /* of the change table: an outbox that is emptied */
    fr_sql_relation *table, *log;
    int64_t shape;
    size_t meta[4];         /* id, op, at, shape: their places in the change table */
    fr_changes_pair *pairs; /* one per column of the table */
    /* The table as rows of older shapes have it: without what these did not know. */
    struct fr_changes_old {
        int64_t shape;
        const fr_table *table;
        size_t *columns;
    } *old;
    size_t old_count;
} fr_changes;

/* Describes both, and looks at the triggers. version: of the table. CONFIG with a code trigger.*,
 * and what to run, where they are not there, are off, or do not know the table as it is. */
fr_rc fr_changes_open(fr_sql *c, const fr_source_settings *source, const fr_table_settings *t,
                      fr_str space, fr_str name, uint32_t version, fr_changes **out, fr_err *err);
void fr_changes_free(fr_changes *ch); /* NULL is fine */
/* Nothing that matters differs. */
bool fr_changes_same(const fr_changes *a, const fr_changes *b);
/* This column of the change table tells its rows apart: id, op, at, shape. */
bool fr_changes_tells(const fr_changes *ch, size_t column);
/* For plan: what triggers do not see here. NULL: nothing. */
fr_rc fr_changes_blind(fr_sql *c, const fr_changes *ch, fr_arena *a, fr_sql_triggers *out,
                       fr_err *err);

/* A row of the change table (READ) becomes the change that it is. DATA: it is none. */
fr_rc fr_changes_event(fr_changes *ch, fr_batch *b, fr_event *e, fr_err *err);

/* As poll.column would order them: the table's key, for its first load. CONFIG: it has none. */
fr_rc fr_changes_key(const fr_changes *ch, const fr_table_settings *t, size_t *columns, size_t most,
                     size_t *count_out, fr_err *err);

#endif
