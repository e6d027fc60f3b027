/* duckdb-sink: rows and offsets in one transaction of a DuckDB file. The parts of one sink share
 * this header; everything outside uses fr_duckdb_sink (connect/sink.h).
 *
 *   duck_api.c           libduckdb.so, loaded at run time
 *   duck_sink.c          options, open, check, status, interrupt, close
 *   duck_sink_file.c     the file: opened, made, let go of, replaced under us
 *   duck_sink_error.c    what DuckDB's errors are to us
 *   duck_sink_txn.c      the transaction, statements, DDL
 *   duck_sink_offsets.c  claim, commit, park: the two tables of our own (R30, R36)
 *   duck_sink_relation.c the target as the file has it
 *   duck_sink_table.c    a message's table laid onto it
 *   duck_sink_evolve.c   create, compare, add and widen columns
 *   duck_sink_fit.c      which kind into which type; docs/types.md's part
 *   duck_sink_value.c    values to vectors
 *   duck_sink_sql.c      the statements of a table
 *   duck_sink_write.c    changes into the stage, and from there into the target
 *   duck_sink_history.c  write.mode history: its statements, its turns, its table
 *   duck_sink_apply.c    events in order, and which one failed
 *
 * DuckDB is made for many rows a statement. Changes of a batch, the last of each key, are appended
 * to a temporary table, the stage; a few statements bring them into the target: what is there of
 * them is deleted, and what they are now is inserted (docs/adr/0045-duckdb.md has the figures).
 * A transaction begins with the first row and ends with commit or any failure, after which DuckDB
 * has rolled all of it back. */
#ifndef FR_DUCKDB_DUCK_SINK_H
#define FR_DUCKDB_DUCK_SINK_H

#include "base/map.h"
#include "connect/sink.h"
#include "duckdb/duck_sink_value.h"
#include "sql/collapse.h"
#include "sql/evolve.h"
#include "sql/target.h"
#include <pthread.h>
#include <stdatomic.h>

enum { FR_DUCK_HOLD_ALWAYS, FR_DUCK_HOLD_WRITING };
typedef struct fr_duck_sink_config {
    const char *path, *library;
    int64_t memory, threads;
    int hold; /* FR_DUCK_HOLD_... */
} fr_duck_sink_config;

/* ---- one version of one table, and where its rows go ---- */

typedef struct fr_duck_field { /* a column that we write */
    fr_str ident;              /* quoted */
    fr_str cast;               /* type of the target, where the staged one is another; else empty */
    bool key, not_null;
    bool text; /* VARCHAR and its kin: values that compare as one need not be the same */
} fr_duck_field;

typedef struct fr_duck_sink_table {
    fr_target_shape shape; /* of fields; first: see fr_target_version_before. Its table is held */
    fr_arena *arena;       /* owns the texts below */
    fr_str qualified;      /* quoted */
    fr_duck_field *fields; /* as many as shape.count, in its order */
    uint16_t *keys;        /* indexes into fields, in key order */
    size_t key_count;
    bool positioned; /* has _freshet_position */
    bool cleared;    /* has _freshet_deleted from an earlier setting: rows written are not marked */
    bool append, history;
    bool whole;   /* a row of ours has every column of the target, which has no index: it may be
                     made anew (DuckDB never gives room of deleted rows back beside an index) */
    bool ordered; /* not only the key sees the order of rows: no collapse */
    fr_target_changes changes; /* waiting to be written */
} fr_duck_sink_table;

/* ---- duck_sink_sql.c: in the arena, ending with NUL ---- */

fr_str fr_duck_sql_stage(fr_arena *a, const fr_duck_sink_table *t);
/* How rows get from the stage into the target; the stage has rows of one mask, and deletes. */
fr_str fr_duck_sql_delete(fr_arena *a, const fr_duck_sink_table *t);
fr_str fr_duck_sql_mark(fr_arena *a, const fr_duck_sink_table *t);
/* Empty where there is nothing to set. */
fr_str fr_duck_sql_update(fr_arena *a, const fr_duck_sink_table *t, fr_str mask);
fr_str fr_duck_sql_insert(fr_arena *a, const fr_duck_sink_table *t, fr_str mask);
/* How many rows of the stage are not in the target. */
fr_str fr_duck_sql_missing(fr_arena *a, const fr_duck_sink_table *t);

/* ---- the sink ---- */

typedef struct fr_duck_instance fr_duck_instance; /* duck_sink_file.c */

typedef struct fr_duck_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    const fr_duck_sink_config *config;
    const fr_duck_api *api;
    duckdb_database db;
    duckdb_connection con;      /* NULL: the file is not held */
    fr_str catalog;             /* its name there, quoted; in home */
    bool stand_in;              /* there is no file: it is an empty one in memory, for plan */
    fr_duck_instance *instance; /* the file that is open; NULL: none, or the stand-in */
    fr_arena *home;             /* of the sink's whole life */
    fr_arena *arena;            /* of one apply */
    fr_map *tables;             /* by fr_table.serial: fr_duck_sink_table */
    fr_map *versions;           /* by fr_table.serial: fr_table *, that were laid onto a target */
    fr_map *known;              /* targets that were there */
    fr_map *folded;             /* names in lower case, to the name that was there first */
    fr_map *claims;             /* by topic and partition: epochs */
    fr_map *stored;             /* and the offset that the file has */
    bool in_txn;
    bool has_rows;    /* and something was written in it that would have to come again */
    bool changed_ddl; /* this transaction did: after a rollback the tables are unknown */
    bool has_own_tables;
    bool broken;          /* DuckDB takes no more: to be opened anew */
    bool reader;          /* of `freshet verify`: the file is opened to be read only, */
    int64_t patience_us;  /* and who holds it is waited for so long */
    int64_t commit_us;    /* of the newest row applied */
    pthread_mutex_t lock; /* of con, against interrupt */
    atomic_bool connected, interrupted;
    atomic_int_fast64_t lag_us;
} fr_duck_sink;

/* ---- duck_sink.c ---- */

/* A sink whose file is not opened yet. CONFIG (sink.config, sink.library). */
fr_rc fr_duck_sink_new(const fr_sink_settings *settings, fr_duck_sink **out, fr_err *err);
void fr_duck_sink_free(fr_duck_sink *s); /* NULL is fine */

/* ---- duck_sink_file.c ---- */

/* The file, or where there is none an empty database in memory, which stands for it. CONFIG
 * (sink.file, sink.corrupt, sink.storage, sink.library), AUTH (sink.readonly), BUSY (sink.busy:
 * another process holds it), CONNECT. */
fr_rc fr_duck_sink_open(fr_duck_sink *s, fr_err *err);
void fr_duck_sink_shut(fr_duck_sink *s);
/* The file is open, and made if it is not there (create), or CONFIG says that it is not. */
fr_rc fr_duck_sink_need_file(fr_duck_sink *s, bool create, fr_err *err);
/* That the path still leads to the file that is open: else CONFIG where nothing is there any more,
 * CONNECT where another file is, which is to be opened then. */
fr_rc fr_duck_sink_same_file(fr_duck_sink *s, fr_err *err);

/* duck_sink_error.c: what an error of DuckDB is to us, with remedy; type 0: only its text tells.
 * Returns FR_FAIL. */
fr_rc fr_duck_sink_error(duckdb_error_type type, const char *text, const char *doing, fr_err *err);

/* ---- duck_sink_txn.c ---- */

typedef struct fr_duck_rows { /* cells of type VARCHAR or BLOB, in an arena; ptr NULL: NULL */
    fr_str *cells;
    size_t count, columns;
    int64_t changed; /* rows that the statement changed */
} fr_duck_rows;
typedef struct fr_duck_param {
    enum { FR_DUCK_P_TEXT, FR_DUCK_P_BLOB, FR_DUCK_P_INT } what;
    fr_str bytes;
    int64_t number;
} fr_duck_param;

fr_rc fr_duck_sink_exec(fr_duck_sink *s, const char *doing, const char *sql, fr_err *err);
/* One statement with parameters; all columns of its result are VARCHAR or BLOB. out may be NULL. */
fr_rc fr_duck_sink_ask(fr_duck_sink *s, const char *doing, const char *sql,
                       const fr_duck_param *params, size_t count, fr_arena *a, fr_duck_rows *out,
                       fr_err *err);
static inline fr_str fr_duck_cell(const fr_duck_rows *r, size_t at, size_t column)
{
    return r->cells[at * r->columns + column];
}
/* Begins the transaction if there is none. */
fr_rc fr_duck_sink_begin(fr_duck_sink *s, fr_err *err);
fr_rc fr_duck_sink_end(fr_duck_sink *s, fr_err *err); /* COMMIT */
void fr_duck_sink_abandon(fr_duck_sink *s);           /* never fails */
/* The transaction is rolled back. Returns FR_FAIL. */
fr_rc fr_duck_sink_failed(fr_duck_sink *s, fr_err *err);
/* DDL of the open transaction. */
fr_rc fr_duck_sink_ddl(fr_duck_sink *s, fr_str sql, fr_err *err);

/* ---- duck_sink_table.c ---- */

/* The tables are read from the file again before their next row. */
void fr_duck_sink_forget(fr_duck_sink *s);
/* The tables of this transaction are there to stay. */
void fr_duck_sink_know_all(fr_duck_sink *s);
/* *out lives until forgotten. BUSY (sink.altered): the table was altered, in a transaction of its
 * own, and what waited in ours is to be applied again. */
fr_rc fr_duck_sink_table_of(fr_duck_sink *s, const fr_table *t, fr_duck_sink_table **out,
                            fr_err *err);
fr_rc fr_duck_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                           fr_findings *out, fr_err *err);

/* ---- duck_sink_relation.c: a target as the file has it; arena-owned ---- */

typedef struct fr_duck_target {
    bool there, space_there;
    bool view;
    fr_str qualified, space, name;
    fr_duck_target_column *columns;
    size_t column_count;
    bool has_key; /* a unique index on exactly the key columns of the message */
    bool ordered; /* other unique indexes, foreign keys */
    bool collated;
} fr_duck_target;
fr_rc fr_duck_target_read(fr_duck_sink *s, fr_arena *a, const fr_table *t, fr_duck_target *out,
                          fr_err *err);
const fr_duck_target_column *fr_duck_target_find(const fr_duck_target *r, fr_str name);
/* Of fr_sink_ops. */
fr_rc fr_duck_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                         fr_err *err);

/* duck_sink_evolve.c: what has to change before t can be written (FR_CHANGE with sql), and what is
 * in the way (FR_BLOCKER). */
void fr_duck_sink_compare(const fr_sink_settings *settings, const fr_duck_target *r,
                          const fr_table *t, const fr_table *before, bool create, fr_findings *out);

/* ---- duck_sink_offsets.c, duck_sink_write.c, duck_sink_apply.c ---- */

fr_rc fr_duck_sink_own_tables(fr_duck_sink *s, bool create, bool plan_only, fr_findings *out,
                              fr_err *err);
fr_rc fr_duck_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err);
fr_rc fr_duck_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err);
fr_rc fr_duck_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_duck_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_duck_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                          size_t *count_out, fr_err *err);
/* Writes these changes: with collapsed keys in any order and together, else one by one. *refused,
 * after a DATA error: the one that it is about, or NULL: it is not known. */
fr_rc fr_duck_sink_write(fr_duck_sink *s, fr_duck_sink_table *t, const fr_target_changes *changes,
                         const fr_target_change **refused, fr_err *err);
/* Its two halves, for duck_sink_history.c: changes into the stage (with s, when each took effect,
 * in microseconds, and seen, whether a snapshot read it); a statement that brings them on. */
fr_rc fr_duck_sink_stage(fr_duck_sink *s, const fr_duck_sink_table *t,
                         const fr_target_change *const *items, size_t count,
                         const fr_target_change **refused, fr_err *err);
fr_rc fr_duck_sink_move(fr_duck_sink *s, const fr_duck_sink_table *t, fr_str sql, fr_err *err);

/* ---- duck_sink_history.c ---- */

/* As fr_duck_sink_write. */
fr_rc fr_duck_history_write(fr_duck_sink *s, fr_duck_sink_table *t,
                            const fr_target_changes *changes, const fr_target_change **refused,
                            fr_err *err);
/* Ends all current rows that are not newer than the event. */
fr_rc fr_duck_history_truncate(fr_duck_sink *s, const fr_duck_sink_table *t, const fr_event *e,
                               fr_err *err);
/* The columns of a history, with a comma before each; what of them a table lacks. */
void fr_duck_history_put_columns(fr_buf *b);
void fr_duck_history_compare(const fr_target_comparison *k, const fr_duck_target *r, fr_str create);

fr_rc fr_duck_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                         size_t *applied, fr_err *err);

extern const fr_sink_ops fr_duckdb_sink;

#endif
