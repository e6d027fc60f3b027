/* How a table's rows are cut into chunks, and named in SQL and in a chunk's bounds. */
#ifndef FR_MYSQL_BINLOG_SPLIT_H
#define FR_MYSQL_BINLOG_SPLIT_H

#include "connectors/mysql/binlog_source.h"

typedef struct fr_binlog_chunks {
    fr_chunk *items;
    size_t count, cap;
    fr_arena *arena;
} fr_binlog_chunks;
/* Where to cut: appends the chunks of table t, as `my` sees it. */
fr_rc fr_binlog_split(fr_my *my, const fr_binlog_table *t, fr_binlog_chunks *out, fr_err *err);
/* True when chunks of t can be cut by its key, and a row's key be written as text. */
bool fr_binlog_key_usable(const fr_binlog_table *t);
/* The column at this place of the key, 0, 1, ... */
const fr_my_column *fr_binlog_key_column(const fr_binlog_table *t, size_t i);
/* "`a`, `b`" */
fr_str fr_binlog_key_sql(fr_arena *a, const fr_binlog_table *t);
/* A key column's value as text, as bounds hold it. */
fr_str fr_binlog_value_text(fr_arena *a, const fr_column *c, const fr_value *v);
/* One such text as SQL. False: it is none, or this column's type has no order that text could keep
 * (floating point, ENUM, SET, BIT). */
bool fr_binlog_literal(fr_arena *a, const fr_my_column *c, fr_str text, fr_str *out);
/* FROM, WHERE and ORDER BY of the rows of a chunk. POSITION error my.chunk where a bound does
 * not fit the key. */
fr_rc fr_binlog_rows_sql(fr_arena *a, const fr_binlog_table *t, const fr_chunk *c, fr_buf *out,
                         fr_err *err);

#endif
