/* In which order a polled table is read, and the SQL that reads it so. Pure, but for what it asks
 * over the connection it is given. */
#ifndef FR_POLL_ORDER_H
#define FR_POLL_ORDER_H

#include "connect/sql.h"
#include "model/event.h"
#include "poll/record.h"

typedef struct fr_poll_order {
    bool number;                              /* else a time */
    size_t columns[FR_POLL_ORDER_MAX], count; /* of the relation: the cursor, then those that order
                                                 its equals */
    fr_str names[FR_POLL_ORDER_MAX];
    int deleted; /* poll.delete_column, or -1 */
} fr_poll_order;

/* CONFIG: poll.column, poll.tiebreak, key or poll.delete_column is not there, is of a type that
 * has no such order or meaning, equals could not be told apart, or numbers are not unique or handed
 * out ahead; with the place in the configuration. Names are copied into the arena. */
fr_rc fr_poll_order_of(const fr_sql_relation *r, const fr_table_settings *t, fr_arena *a,
                       fr_poll_order *out, fr_err *err);
/* A row's cursor: number, or microseconds. DATA: it has none, or one beyond 64 bits. */
fr_rc fr_poll_cursor_value(const fr_column *c, const fr_value *v, int64_t *out, fr_err *err);
/* poll.deletes soft-column: a row whose column says so is the delete of its key. */
void fr_poll_bury(const fr_poll_order *o, fr_event *e);

/* CONFIG: what, with the place in the configuration. */
fr_rc fr_poll_refuse(const fr_table_settings *t, const char *code, const char *what,
                     const char *hint, fr_err *err);
/* The column that a key of the configuration names. CONFIG: it is not there. */
fr_rc fr_poll_column(const fr_table_settings *t, const fr_sql_relation *r, const char *key,
                     const char *name, size_t *out, fr_err *err);

/* All columns and FROM; NULL in place of those that are not wanted (wanted NULL: all are). */
void fr_poll_put_select(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r,
                        const bool *wanted);
/* A name, as the server of the relation has it quoted. */
void fr_poll_put_name(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r, fr_str name);
/* The number of rows without a cursor, but at most `most`. */
fr_str fr_poll_nulls_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                         const fr_table_settings *t, const fr_poll_order *o, size_t most);
/* " WHERE " and snapshot.where; more must follow. */
void fr_poll_put_where(fr_buf *b, const fr_table_settings *t);
/* The rows after r->at, and for times below r->bound_us, in order, at most `limit`. */
fr_rc fr_poll_page_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *relation,
                       const fr_table_settings *t, const fr_poll_order *o, const fr_poll_record *r,
                       size_t limit, fr_str *out, fr_err *err);
/* The rows whose numbers are in gaps above *upto, of at most `ranges` of them; *upto is the end of
 * the last one. Empty: there are none. */
fr_str fr_poll_gaps_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *relation,
                        const fr_table_settings *t, const fr_poll_order *o, const fr_gaps *g,
                        size_t ranges, int64_t *upto);
/* The highest number there is; unchanged where there is no row. */
fr_rc fr_poll_highest(fr_sql *c, const fr_sql_relation *relation, const fr_poll_order *o,
                      fr_arena *a, int64_t *out, fr_err *err);

#endif
