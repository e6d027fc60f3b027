/* What pg_query.c, pg_view.c and pg_triggers.c share. */
#ifndef FR_POSTGRES_PG_QUERY_PARTS_H
#define FR_POSTGRES_PG_QUERY_PARTS_H

#include "connectors/postgres/pg_query.h"
#include "connectors/postgres/wal_source.h"

/* The pool of the wal source is what we need of it: connecting, quoting, reading rows. One of its
 * connections is used at a time. */
typedef struct fr_pg_sql {
    fr_sql base;
    fr_wal_source *pool;
    fr_pg_catalog *types;
    PGconn *taking;  /* in the transaction of take, its rows read */
    bool views;      /* between begin_view and end_view */
    PGconn *viewing; /* in the transaction of the view; NULL while rows are read, or it is lost */
} fr_pg_sql;

typedef struct fr_pg_sql_relation {
    fr_sql_relation base;
    fr_arena *arena;
    fr_pg_layout *layout;
    uint32_t oid; /* 0: a statement */
    char kind;
    fr_str qualified, shape, no_delete;
    fr_pg_relation shown; /* of a statement: its columns */
} fr_pg_sql_relation;

fr_rc fr_pg_sql_ask(fr_pg_sql *c, const char *doing, const char *sql, const char *const *params,
                    int n, PGresult **out, fr_err *err);
/* A boolean expression: the columns are others than when r was described. */
void fr_pg_sql_put_changed(fr_buf *b, const fr_pg_sql_relation *r);
fr_rc fr_pg_sql_changed(fr_err *err);

/* pg_triggers.c */
fr_rc fr_pg_triggers_copies(fr_pg_sql *c, const fr_table_settings *t, fr_pg_sql_relation *r,
                            fr_err *err);
fr_rc fr_pg_triggers(fr_sql *base, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                     fr_err *err);

/* pg_view.c */
fr_rc fr_pg_begin_view(fr_sql *base, fr_sql_relation *const *relations, size_t count, fr_err *err);
void fr_pg_end_view(fr_sql *base);
fr_rc fr_pg_view_rows(fr_pg_sql *c, fr_pg_sql_relation *r, fr_str sql, fr_reader **out,
                      fr_err *err);

#endif
