/* SQLite, asked in SQL (connect/sql.h): for tables whose method is query, snapshot or outbox. */
#ifndef FR_SQLITE_SQ_QUERY_H
#define FR_SQLITE_SQ_QUERY_H

#include "connect/sql.h"
#include "connectors/sqlite/sq_lock.h"
#include "connectors/sqlite/sq_shape.h"

typedef struct fr_sqlite_config {
    const char *path;
} fr_sqlite_config;

/* The forms of times that were found in a statement, which is described again and again. */
typedef struct fr_sq_form_seen {
    fr_str from, column;
    fr_sq_clock clock;
} fr_sq_form_seen;

typedef struct fr_sq_sql {
    fr_sql base;
    const fr_source_settings *settings;
    fr_sq *conn;
    fr_sq_watch watch;
    fr_arena *arena; /* as long as the connection */
    fr_sq_form_seen *forms;
    size_t form_count;
    fr_buf removal; /* what take began: deletes its rows */
    uint64_t taken; /* rows that came */
} fr_sq_sql;

typedef struct fr_sq_relation {
    fr_sql_relation base;
    fr_arena *arena;
    fr_sq_shape shape;
    int cursor; /* the column that a poll goes by; -1: none */
} fr_sq_relation;

extern const fr_sql_ops fr_sqlite_sql;

/* sq_order.c: looks at all values of columns that order the rows: times must be texts of one form,
 * which becomes the column's clock, numbers of the cursor whole. DATA: a row that is not. */
fr_rc fr_sq_order_scan(fr_sq_sql *c, fr_sq_shape *s, fr_str cursor, fr_err *err);
/* In a transaction: rows have come to a column whose form was not known. */
fr_rc fr_sq_order_unknown(const fr_sq_sql *c, const fr_sq_shape *s, bool *unknown, fr_err *err);

/* sq_rows.c: rows of a statement that selects all columns. stays: the transaction stays open. */
fr_rc fr_sq_rows_read(fr_sq_sql *c, fr_sq_relation *r, fr_str sql, bool stays, fr_reader **out,
                      fr_err *err);

/* sq_check.c: what is said beside that. */
fr_rc fr_sq_verify(fr_sql *base, const fr_source_settings *settings, fr_err *err);
void fr_sq_check(fr_sql *base, const fr_source_settings *settings, fr_findings *out);

/* sq_declared.c: fr_source_ops.declared. */
fr_rc fr_sq_declared_column(fr_arena *a, const char *type, const char *asked, fr_column *out,
                            fr_err *err);

/* sq_ddl.c */
fr_rc fr_sq_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);

#endif
