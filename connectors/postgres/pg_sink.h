/* postgres-sink: rows and offsets in one transaction of a PostgreSQL database. The parts of
 * one sink share this header; everything outside uses fr_postgres_sink (connect/sink.h).
 *
 *   pg_sink.c          open, check, status, interrupt, close
 *   pg_sink_offsets.c  claim, commit, park: the two tables of our own (R30, R36)
 *   pg_sink_table.c    the target as its catalog has it, and what a message's table needs
 *   pg_sink_evolve.c   create, compare, alter
 *   pg_sink_sql.c      the statements of a table
 *   pg_sink_history.c  those of one that keeps every state, and what such a table must be
 *   pg_sink_pipe.c     many statements, one round trip
 *   pg_sink_write.c    rows to parameters to statements
 *   pg_sink_run.c      rows whose order matters, and that one statement may write
 *   pg_sink_apply.c    events in order, and which one failed
 *
 * A transaction begins with the first row and ends with commit or any failure. The row in
 * _freshet_offsets is updated last, in the same round trip as COMMIT: it is locked for the
 * shortest time, so a new owner's claim never waits for a sleeping zombie, and a zombie's
 * rows never survive. */
#ifndef FR_POSTGRES_PG_SINK_H
#define FR_POSTGRES_PG_SINK_H

#include "base/map.h"
#include "connect/sink.h"
#include "postgres/pg_conn.h"
#include "postgres/pg_sink_value.h"
#include "sql/collapse.h"
#include "sql/evolve.h"
#include "sql/target.h"
#include <pthread.h>
#include <stdatomic.h>

enum { FR_PG_IDENT_MAX = 63 };

typedef struct fr_pg_sink_config {
    const char *dsn, *password;
    bool insecure;
} fr_pg_sink_config;

/* ---- many statements, one round trip ---- */

typedef struct fr_pg_pipe {
    PGconn *conn;
    bool on; /* in pipeline mode */
    size_t *tags;
    size_t count, cap; /* sent and not answered */
    size_t bytes;      /* of their parameters */
} fr_pg_pipe;
enum { FR_PG_NO_TAG = -1 };

/* Send without waiting for the answer. tag comes back when it fails. params: binary,
 * lengths and values per parameter, value NULL: SQL NULL. An empty name is the unnamed
 * statement. A failure here is a lost connection. */
fr_rc fr_pg_pipe_prepare(fr_pg_pipe *p, const char *name, const char *sql, const uint32_t *types,
                         int count, fr_err *err);
fr_rc fr_pg_pipe_run(fr_pg_pipe *p, const char *name, const char *const *values, const int *lengths,
                     int count, size_t tag, fr_err *err);
fr_rc fr_pg_pipe_text(fr_pg_pipe *p, const char *sql, size_t tag, fr_err *err);
/* Wait for all answers; the pipe is then off. On failure *tag_out (may be NULL) is that of
 * the first statement that failed; those after it did not run. */
fr_rc fr_pg_pipe_drain(fr_pg_pipe *p, const char *doing, size_t *tag_out, fr_err *err);
void fr_pg_pipe_free(fr_pg_pipe *p);

/* ---- one version of one table, and where its rows go ---- */

typedef struct fr_pg_field { /* a column that we write */
    uint16_t column;         /* index in the message's table */
    fr_pg_send send;
    fr_str ident; /* quoted */
    fr_str cast;  /* "::pg_catalog.inet", or empty */
    fr_str same;  /* history: how two values of the column are compared, see fr_pg_history_same */
    bool key;
    bool texts;   /* and whether as texts */
    int64_t unit; /* of a key: see fr_pg_sink_unit */
} fr_pg_field;

typedef struct fr_pg_sink_table {
    fr_target_shape shape; /* of fields; first: see fr_target_version_before. Its table is held */
    fr_arena *arena;       /* owns the texts below */
    uint32_t oid;
    fr_str qualified;    /* quoted */
    fr_pg_field *fields; /* as many as shape.count, in its order */
    uint16_t *keys;      /* indexes into fields, in key order */
    size_t key_count;
    bool positioned; /* has _freshet_position */
    bool cleared;    /* has that column from an earlier setting: rows written are not marked */
    bool append, history;
    bool ordered;    /* another constraint or a trigger sees the order of rows: no collapse */
    bool coarse;     /* keys that differ may be one to the server: no collapse either */
    bool override;   /* a key column is GENERATED ALWAYS AS IDENTITY */
    bool deferrable; /* has constraints that can wait for COMMIT */
    unsigned id;     /* in names of prepared statements */
    bool prepared[FR_TARGET_FORM_COUNT][2]; /* [1]: arrays */
    fr_target_changes changes;              /* waiting to be written */
} fr_pg_sink_table;

/* The statement of a form; parameters are the fields (DELETE: the keys, in key order), then
 * position where positioned (DELETE: guarded or marked), mark (ROW and PATCH, where marked),
 * mask (PATCH: bit i says field i is there). arrays: each parameter is an array. */
fr_str fr_pg_sink_sql(fr_arena *a, const fr_pg_sink_table *t, fr_target_form form, bool arrays);
/* Of a table that keeps every state; parameters are the fields (DELETE: the keys), position, time,
 * whether it was read by a snapshot (ROW and PATCH), mask (PATCH). */
fr_str fr_pg_history_sql(fr_arena *a, const fr_pg_sink_table *t, fr_target_form form, bool arrays);
/* Ends the current rows that are not newer; at: see fr_target_truncated_at. */
fr_str fr_pg_history_truncate(fr_arena *a, const fr_pg_sink_table *t, fr_str at, int64_t time_us);
/* The pieces that both kinds of statements are made of. */
void fr_pg_sink_put_rows(fr_buf *b, const fr_pg_sink_table *t, fr_target_form form, bool arrays);
void fr_pg_sink_put_key_match(fr_buf *b, const fr_pg_sink_table *t, const char *alias, bool by_key);
/* Types of its parameters, by oid; at most shape.count + FR_PG_EXTRA of them. */
enum { FR_PG_EXTRA = 4 };
int fr_pg_sink_parameters(const fr_pg_sink_table *t, fr_target_form form, bool arrays,
                          uint32_t *oids_out);
bool fr_pg_sink_has_position(const fr_pg_sink_table *t, fr_target_form form);
/* A name as PostgreSQL takes it: up to 63 bytes as it is; longer ones are cut and end in a
 * hash of the whole. CONFIG (sink.name) when it is empty, holds NUL or is no UTF-8. */
fr_rc fr_pg_sink_name(fr_arena *a, fr_str name, fr_str *out, fr_err *err);

/* ---- the sink ---- */

typedef struct fr_pg_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    PGconn *conn;
    fr_pg_pipe pipe;
    fr_arena *arena; /* of one apply */
    fr_map *tables;  /* by fr_table.serial: fr_pg_sink_table */
    fr_map *known;   /* targets that were there: one that vanishes is not made again */
    fr_map *claims;  /* by topic and partition: epochs */
    fr_buf *columns; /* parameters under construction */
    size_t column_cap;
    unsigned next_id;
    bool in_txn;      /* BEGIN was sent */
    bool savepoint;   /* and a savepoint */
    bool deferred;    /* and SET CONSTRAINTS ALL DEFERRED */
    bool changed_ddl; /* this transaction did: after a rollback the tables are unknown */
    bool stale;       /* prepared statements on the server that we forgot */
    bool offsets_prepared, has_own_tables;
    int money_digits;     /* behind the point, by the target's lc_monetary; -1: not asked yet */
    int64_t commit_us;    /* of the newest row applied */
    pthread_mutex_t lock; /* of cancel */
    PGcancel *cancel;
    atomic_bool interrupted, connected;
    atomic_int_fast64_t lag_us;
} fr_pg_sink;

/* s->money_digits, asked on a connection of its own. */
fr_rc fr_pg_sink_money(fr_pg_sink *s, fr_err *err);
/* Begins the transaction if there is none; queued. */
fr_rc fr_pg_sink_begin(fr_pg_sink *s, fr_err *err);
/* Ends it, and whatever the connection was doing; never fails. */
void fr_pg_sink_abandon(fr_pg_sink *s);
/* What the kind of an error becomes here: interrupts, remedies. Returns FR_FAIL. */
fr_rc fr_pg_sink_failed(fr_pg_sink *s, fr_err *err);
/* One piece of DDL, as if no other worker did the same at this moment. */
fr_rc fr_pg_sink_ddl(fr_pg_sink *s, fr_str sql, fr_err *err);
/* The tables are read from the catalog again before their next row. Only where nothing
 * waits in them. */
void fr_pg_sink_forget(fr_pg_sink *s);

/* The tables of this transaction are there to stay. */
void fr_pg_sink_know_all(fr_pg_sink *s);
/* pg_sink_table.c: reads the catalog (nothing is queued); *out lives until forgotten. */
fr_rc fr_pg_sink_table_of(fr_pg_sink *s, const fr_table *t, fr_pg_sink_table **out, fr_err *err);

/* What the catalog says about a target; arena-owned. */
typedef struct fr_pg_index {
    fr_str *columns;
    size_t count;
    bool arbiter; /* ON CONFLICT can name it: immediate, whole, no expressions */
} fr_pg_index;
typedef struct fr_pg_relation {
    uint32_t oid; /* 0: there is none */
    fr_str qualified, space, name;
    fr_str user;        /* quoted; for GRANT */
    char kind;          /* relkind */
    bool order_matters; /* triggers, rules, foreign keys, exclusion constraints */
    bool deferrable;
    bool may_insert, may_update, may_delete, may_select, may_truncate;
    int money_digits; /* where it has such a column */
    fr_pg_column *columns;
    size_t column_count;
    fr_pg_index *uniques;
    size_t unique_count;
} fr_pg_relation;
fr_rc fr_pg_relation_read(PGconn *conn, fr_arena *a, const fr_table *t, fr_pg_relation *out,
                          fr_err *err);
const fr_pg_column *fr_pg_relation_find(const fr_pg_relation *r, fr_str name);
/* The unique index on exactly the key columns of t (history: and when a state began), or NULL. */
const fr_pg_index *fr_pg_relation_key(const fr_pg_relation *r, const fr_table *t, bool history);

/* pg_sink_evolve.c: what has to change before t can be written (FR_CHANGE with sql), and
 * what is in the way (FR_BLOCKER). */
void fr_pg_sink_compare(const fr_sink_settings *settings, const fr_pg_relation *r,
                        const fr_table *t, const fr_table *before, bool create, fr_findings *out);

/* pg_sink_history.c: the columns of a history, with a comma before each; what of them a table
 * lacks; how values of a column are compared: the type to cast to, and whether as texts. */
void fr_pg_history_put_columns(fr_buf *b);
void fr_pg_history_compare(const fr_target_comparison *k, const fr_pg_relation *r, fr_str create);
void fr_pg_history_same(fr_arena *a, fr_pg_field *f, const fr_pg_column *to);

/* pg_sink_offsets.c */
fr_rc fr_pg_sink_own_tables(fr_pg_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err);
fr_rc fr_pg_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err);
fr_rc fr_pg_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err);
fr_rc fr_pg_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_pg_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_pg_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err);

/* pg_sink_table.c and pg_sink_apply.c: of fr_sink_ops. */
fr_rc fr_pg_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                         fr_findings *out, fr_err *err);
fr_rc fr_pg_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err);
fr_rc fr_pg_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err);

/* pg_sink_run.c */
/* Length of the longest run from start on that has one form and no key twice: rows that one
 * statement may write with the effect of one statement each. */
size_t fr_pg_sink_run(const fr_target_changes *changes, size_t start);

/* pg_sink_write.c */
/* Queues what writes these changes, all of one form, as one statement or several. */
fr_rc fr_pg_sink_write(fr_pg_sink *s, fr_pg_sink_table *t, const fr_target_change *items,
                       size_t count, fr_err *err);

extern const fr_sink_ops fr_postgres_sink;

#endif
