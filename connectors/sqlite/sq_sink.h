/* sqlite-sink: rows and offsets in one transaction of an SQLite file. The parts of one sink share
 * this header; everything outside uses fr_sqlite_sink (connect/sink.h).
 *
 *   sq_sink.c          options, open, check, status, interrupt, close
 *   sq_sink_file.c     the file: opened, made, replaced under us; errors and remedies
 *   sq_sink_txn.c      the transaction, statements, DDL
 *   sq_sink_offsets.c  claim, commit, park: the two tables of our own (R30, R36)
 *   sq_sink_relation.c the target as the file has it
 *   sq_sink_table.c    a message's table laid onto it
 *   sq_sink_evolve.c   create, compare, add columns
 *   sq_sink_fit.c      which kind into which type; docs/types.md's part
 *   sq_sink_value.c    values to parameters
 *   sq_sink_sql.c      the statements of a table
 *   sq_sink_history.c  write.mode history: its statements, its rows, its table
 *   sq_sink_apply.c    events in order, a statement a row
 *
 * A transaction begins with the first row (BEGIN IMMEDIATE: the file's only write lock) and ends
 * with commit or any failure; DDL is part of it. While it is open nobody else can change a row or
 * a table, so that what was read of the tables holds; at its beginning the file's schema version
 * tells whether that was so since the last one. Whatever fails is known at once and by its event.
 */
#ifndef FR_SQLITE_SQ_SINK_H
#define FR_SQLITE_SQ_SINK_H

#include "base/map.h"
#include "connect/sink.h"
#include "sql/collapse.h"
#include "sql/evolve.h"
#include "sql/target.h"
#include "sqlite/sq_sink_value.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct fr_sq_sink_config {
    const char *path;
} fr_sq_sink_config;

/* ---- one version of one table, and where its rows go ---- */

typedef struct fr_sq_field { /* a column that we write */
    uint16_t column;         /* index in the message's table */
    fr_sq_send send;
    fr_str ident; /* quoted */
    bool key, not_null;
    bool counts; /* INTEGER PRIMARY KEY: NULL would become a number */
} fr_sq_field;

/* FIND is for an UPDATE that changed nothing. */
typedef enum fr_sq_verb {
    FR_SQ_WRITE,  /* insert, or overwrite what is there of it (append: insert) */
    FR_SQ_UPDATE, /* values are absent that the target must have: what is there is updated */
    FR_SQ_FIND,   /* is there a row? */
    FR_SQ_DELETE, /* or, soft: mark */
    FR_SQ_LAST,   /* history: the last row of the key, and whether it is the same */
    FR_SQ_END,    /* it ends, */
    FR_SQ_GONE,   /* because the key is gone */
    FR_SQ_BEGIN,  /* a row begins */
    FR_SQ_FOLLOW  /* one that has what is absent from the row before */
} fr_sq_verb;

typedef struct fr_sq_statement {
    fr_sq_verb verb;
    fr_str mask; /* a byte for each field, 1: its value is there; empty: all are */
    sqlite3_stmt *stmt;
} fr_sq_statement;

typedef struct fr_sq_sink_table {
    const fr_table *table; /* holds a reference; first: see fr_target_version_before */
    fr_arena *arena;       /* owns the texts below */
    fr_str qualified;      /* quoted */
    fr_sq_field *fields;
    size_t field_count, key_count;
    uint16_t *keys;  /* indexes into fields, in key order */
    bool guarded;    /* has _freshet_position, and upserts compare it */
    bool positioned; /* has _freshet_position */
    bool marked;     /* soft deletes, into _freshet_deleted */
    bool cleared;    /* has that column from an earlier setting: rows written are not marked */
    bool append, history;
    bool aborts; /* a constraint's ON CONFLICT would drop rows in silence: it is overridden */
    fr_sq_statement *statements; /* the full WRITE is the first, once there is one */
    size_t statement_count, statement_cap;
} fr_sq_sink_table;

/* The statement; ends with NUL. Parameter i+1 is field i, then position, then mark, whether the
 * statement has all of them or not. mask: as in fr_sq_statement. */
fr_str fr_sq_sink_sql(fr_arena *a, const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask);

/* What stands behind INSERT and UPDATE of it: "OR ABORT ", or "". */
const char *fr_sq_sink_or_abort(const fr_sq_sink_table *t);

/* Of history; parameters as above, but the third is when the row before began. */
fr_str fr_sq_history_sql(fr_arena *a, const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask);

/* ---- the sink ---- */

typedef struct fr_sq_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    const char *path;
    sqlite3 *db;
    bool stand_in;     /* there is no file yet: db is an empty one in memory, for plan */
    fr_arena *home;    /* of the sink's whole life */
    fr_arena *arena;   /* of one apply */
    fr_map *tables;    /* by fr_table.serial: fr_sq_sink_table */
    fr_map *known;     /* targets that were there */
    fr_map *folded;    /* names in lower case, to the name that was there first */
    fr_map *claims;    /* by topic and partition: epochs */
    sqlite3_stmt *put; /* UPDATE of an offset */
    sqlite3_stmt *version;
    int64_t schema_version; /* as of which tables were read; -1: of none */
    bool in_txn;
    bool changed_ddl; /* this transaction did: after a rollback the tables are unknown */
    bool has_own_tables;
    int64_t commit_us;    /* of the newest row applied */
    pthread_mutex_t lock; /* of db, against interrupt */
    atomic_bool interrupted, connected;
    atomic_int_fast64_t lag_us;
} fr_sq_sink;

/* ---- sq_sink_file.c ---- */

/* The file, or where there is none an empty database in memory, which stands for it. CONFIG
 * (sink.file, sink.corrupt), AUTH (sink.readonly), CONNECT. */
fr_rc fr_sq_sink_open(fr_sq_sink *s, fr_err *err);
void fr_sq_sink_shut(fr_sq_sink *s);
/* The file is made if it is not there (create) or CONFIG says that it is not. */
fr_rc fr_sq_sink_need_file(fr_sq_sink *s, bool create, fr_err *err);
/* That the path still leads to the file that is open: else CONFIG where nothing is there any more,
 * CONNECT where another file is, which is to be opened then. */
fr_rc fr_sq_sink_same_file(fr_sq_sink *s, fr_err *err);
/* What a result of SQLite (extended) is to us, with remedy; db NULL: known by its number only.
 * Returns FR_FAIL. */
fr_rc fr_sq_sink_error(sqlite3 *db, int rc, const char *doing, fr_err *err);

/* ---- sq_sink_txn.c ---- */

fr_rc fr_sq_sink_exec(fr_sq_sink *s, const char *doing, const char *sql, fr_err *err);
/* Into *out where that is NULL; kept: for many uses. */
fr_rc fr_sq_sink_compile(fr_sq_sink *s, const char *doing, fr_str sql, bool kept,
                         sqlite3_stmt **out, fr_err *err);
/* FR_OK: a row; FR_END: none or no more. A statement that failed is reset. */
fr_rc fr_sq_sink_step(fr_sq_sink *s, const char *doing, sqlite3_stmt *stmt, fr_err *err);
void fr_sq_sink_bind_text(sqlite3_stmt *stmt, int at, fr_str text); /* borrowed until the step */
void fr_sq_sink_bind_blob(sqlite3_stmt *stmt, int at, const void *ptr, size_t len);
fr_str fr_sq_sink_column(fr_arena *a, sqlite3_stmt *stmt, int column); /* ptr NULL: NULL */
/* The number in the only cell. */
fr_rc fr_sq_sink_number(fr_sq_sink *s, const char *doing, const char *sql, int64_t *out,
                        fr_err *err);
/* Begins the transaction if there is none. The tables are read again where somebody changed any. */
fr_rc fr_sq_sink_begin(fr_sq_sink *s, fr_err *err);
fr_rc fr_sq_sink_end(fr_sq_sink *s, fr_err *err); /* COMMIT */
void fr_sq_sink_abandon(fr_sq_sink *s);           /* never fails */
/* The transaction is rolled back; an interrupt becomes CANCELLED. Returns FR_FAIL. */
fr_rc fr_sq_sink_failed(fr_sq_sink *s, fr_err *err);
/* DDL of the open transaction. */
fr_rc fr_sq_sink_ddl(fr_sq_sink *s, fr_str sql, fr_err *err);

/* ---- sq_sink_table.c ---- */

/* The tables are read from the file again before their next row. */
void fr_sq_sink_forget(fr_sq_sink *s);
/* The tables of this transaction are there to stay. */
void fr_sq_sink_know_all(fr_sq_sink *s);
/* *out lives until forgotten. */
fr_rc fr_sq_sink_table_of(fr_sq_sink *s, const fr_table *t, fr_sq_sink_table **out, fr_err *err);
fr_rc fr_sq_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                         fr_findings *out, fr_err *err);

/* sq_sink_relation.c: of fr_sink_ops. */
fr_rc fr_sq_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err);

/* ---- sq_sink_relation.c: a target as the file has it; arena-owned ---- */

typedef struct fr_sq_index { /* unique, of all rows */
    fr_str *columns;         /* empty: an expression */
    fr_str *collations;
    size_t count;
} fr_sq_index;
typedef struct fr_sq_target {
    bool there;
    fr_str qualified, name;
    fr_str kind;   /* "table", "view", "virtual", "shadow" */
    bool resolves; /* some constraint may say ON CONFLICT */
    fr_sq_target_column *columns;
    size_t column_count;
    fr_sq_index *uniques;
    size_t unique_count;
} fr_sq_target;
fr_rc fr_sq_target_read(fr_sq_sink *s, fr_arena *a, const fr_table *t, fr_sq_target *out,
                        fr_err *err);
const fr_sq_target_column *fr_sq_target_find(const fr_sq_target *r, fr_str name);
/* The unique index on exactly the key columns of t (history: and, behind them, when a row began),
 * or NULL. */
const fr_sq_index *fr_sq_target_key(const fr_sq_target *r, const fr_table *t, bool history);

/* sq_sink_evolve.c: what has to change before t can be written (FR_CHANGE with sql), and what is in
 * the way (FR_BLOCKER). */
void fr_sq_sink_compare(const fr_sink_settings *settings, const fr_sq_target *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out);

/* ---- sq_sink_offsets.c, sq_sink_apply.c ---- */

fr_rc fr_sq_sink_own_tables(fr_sq_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err);
fr_rc fr_sq_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err);
fr_rc fr_sq_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err);
fr_rc fr_sq_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_sq_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_sq_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err);
/* ---- sq_sink_apply.c: one row, for sq_sink_history.c ---- */

typedef struct fr_sq_change {
    fr_target_change of; /* values, deleted, position, time_us, read */
    fr_str mask;         /* as in fr_sq_statement */
} fr_sq_change;
fr_rc fr_sq_sink_statement(fr_sq_sink *s, fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask,
                           sqlite3_stmt **out, fr_err *err);
/* The keys alone, or all that is in the mask. */
fr_rc fr_sq_sink_bind_fields(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_sq_change *c,
                             bool keys, sqlite3_stmt *stmt, fr_err *err);
fr_rc fr_sq_sink_run(fr_sq_sink *s, const fr_sq_sink_table *t, sqlite3_stmt *stmt, fr_err *err);

/* ---- sq_sink_history.c ---- */

fr_rc fr_sq_history_write(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err);
/* Ends all current rows that are not newer than the event. */
fr_rc fr_sq_history_truncate(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_event *e,
                             fr_err *err);
/* The columns of a history, with a comma before each; what of them a table lacks. */
void fr_sq_history_put_columns(fr_buf *b);
void fr_sq_history_compare(const fr_target_comparison *k, const fr_sq_target *r, fr_str create);

fr_rc fr_sq_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err);

extern const fr_sink_ops fr_sqlite_sink;

#endif
