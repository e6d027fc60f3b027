/* How a table's rows are cut into chunks, and named in SQL and in a chunk's bounds. */
#ifndef FR_POSTGRES_WAL_SPLIT_H
#define FR_POSTGRES_WAL_SPLIT_H

#include "connectors/postgres/wal_source.h"

typedef struct fr_wal_chunks {
    fr_chunk *items;
    size_t count, cap;
    fr_arena *arena;
} fr_wal_chunks;
/* Which of the tables are certainly not worth cutting: out[i], in one question. */
fr_rc fr_wal_small(PGconn *sql, const fr_wal_table *tables, size_t count, bool *out, fr_err *err);
/* Where to cut: appends the chunks of table t; one, without asking, when it is small. */
fr_rc fr_wal_split(PGconn *sql, const fr_wal_table *t, const fr_pg_layout *layout, bool small,
                   fr_wal_chunks *out, fr_err *err);
/* True when chunks of t can be cut by its key, and a row's key be written as text. */
bool fr_wal_key_usable(const fr_wal_table *t, const fr_pg_layout *layout);
/* FROM and WHERE of the rows of t: "ONLY x WHERE (filter) AND (where)", without a range. */
fr_str fr_wal_rows_sql(fr_arena *a, const fr_wal_table *t, fr_str range);
/* The key columns, quoted, with commas. cast: "::text" or "". */
fr_str fr_wal_key_sql(fr_arena *a, const fr_wal_table *t, const char *cast);

/* Text that PostgreSQL reads back as the same value; v is neither ABSENT nor NULL. */
fr_str fr_wal_value_text(fr_arena *a, const fr_column *c, const fr_value *v);
/* Marks the events from index `from` on as bad where `bytes` is above daemon.max_row_bytes. */
void fr_wal_too_big(const fr_source_settings *settings, fr_batch *b, size_t from, size_t bytes);

#endif
