/* mysql-sink: rows and offsets in one transaction of a MySQL or MariaDB database. The parts of
 * one sink share this header; everything outside uses fr_mysql_sink (connect/sink.h).
 *
 *   my_sink.c          open, check, status, interrupt, close
 *   my_sink_txn.c      the session, the transaction, DDL beside it, errors and remedies
 *   my_sink_offsets.c  claim, commit, park: the two tables of our own (R30, R36)
 *   my_sink_relation.c the target as information_schema has it
 *   my_sink_table.c    a message's table laid onto it
 *   my_sink_evolve.c   create, compare, alter
 *   my_sink_fit.c      which kind into which type
 *   my_sink_value.c    values to parameters
 *   my_sink_sql.c      the statements of a table
 *   my_sink_write.c    rows to parameters to statements
 *   my_sink_apply.c    events in order, and which one failed
 *
 * The session has autocommit off: a transaction begins with the first row and ends with
 * commit or any failure. DDL would commit it, so that a table is made through a connection
 * of its own, and altered after a rollback. The row in _freshet_offsets is updated last, in
 * the same text as COMMIT: it is locked for the shortest time, so a new owner's claim never
 * waits for a sleeping zombie, and a zombie's rows never survive. */
#ifndef FR_MYSQL_MY_SINK_H
#define FR_MYSQL_MY_SINK_H

#include "base/map.h"
#include "connect/sink.h"
#include "mysql/my_conn.h"
#include "mysql/my_sink_value.h"
#include "sql/collapse.h"
#include "sql/evolve.h"
#include "sql/target.h"
#include <stdatomic.h>

enum { FR_MY_IDENT_MAX = 64 };

/* An expression that fails with error 1690 wherever it is evaluated, in every version: the
 * way to make a statement fail on a condition. A column must be part of it, else the server
 * works it out beforehand. */
#define FR_MY_RAISE "18446744073709551615"
enum { FR_MY_RAISED = 1690 };

typedef struct fr_my_sink_config {
    const char *dsn, *password;
    bool insecure;
} fr_my_sink_config;

/* ---- one version of one table, and where its rows go ---- */

typedef struct fr_my_field { /* a column that we write */
    uint16_t column;         /* index in the message's table */
    fr_my_send send;
    fr_str ident;           /* quoted */
    fr_my_target_column to; /* texts in the table's arena */
    bool key;
} fr_my_field;

/* What a prepared statement does. FIND is for a PATCH that changed nothing. */
typedef enum fr_my_verb {
    FR_MY_VERB_WRITE,  /* ROW: insert, or update what is there */
    FR_MY_VERB_UPDATE, /* PATCH: those columns of the mask */
    FR_MY_VERB_FIND,   /* is there a row? */
    FR_MY_VERB_DELETE,
    FR_MY_VERB_LAST,   /* history: the last row of the key, and whether it is the same */
    FR_MY_VERB_STORED, /* whether two rows of it are the same */
    FR_MY_VERB_END,    /* it ends, */
    FR_MY_VERB_GONE,   /* because the key is gone */
    FR_MY_VERB_BEGIN,  /* a row begins */
    FR_MY_VERB_FOLLOW  /* one that has what is absent from the row before */
} fr_my_verb;

/* Parameters of one row: WRITE: fields, position, mark. UPDATE: fields but for the keys,
 * position, mark, keys, position (guarded). DELETE: position (marked and guarded), keys,
 * position (guarded). FIND: keys. LAST: fields that can be compared (fr_my_history_compares), keys.
 * END: time, keys, former. GONE: time, position, keys, former. BEGIN: fields, position, time.
 * FOLLOW: these, keys, former. STORED: keys, time, keys, former. */
typedef struct fr_my_statement {
    fr_my_verb verb;
    fr_str mask; /* a byte for each field, 1: its value is there; empty: all are */
    size_t rows; /* in one text; 0: an array of any length */
    MYSQL_STMT *stmt;
} fr_my_statement;

typedef struct fr_my_sink_table {
    fr_target_shape shape; /* of fields; first: see fr_target_version_before. Its table is held */
    fr_arena *arena;       /* owns the texts below */
    fr_str qualified;      /* quoted */
    fr_my_field *fields;   /* as many as shape.count, in its order */
    uint16_t *keys;        /* indexes into fields, in key order */
    size_t key_count;
    bool positioned; /* has _freshet_position */
    bool cleared;    /* has that column from an earlier setting: rows written are not marked */
    bool append, history;
    bool ordered; /* not only the key sees the order of rows: no collapse */
    bool several; /* has other unique indexes: an upsert may hit another row */
    fr_my_statement *statements;
    size_t statement_count, statement_cap;
    fr_target_changes changes; /* waiting to be written */
} fr_my_sink_table;

/* The statement; ends with NUL. mask: as in fr_my_statement. */
fr_str fr_my_sink_sql(fr_arena *a, const fr_my_sink_table *t, const fr_my_abilities *can,
                      fr_my_verb verb, fr_str mask, size_t rows);
/* A name as MySQL takes it: up to 64 characters of the basic plane as they are, without
 * white space at the end; others are replaced or cut, and end in a hash of the whole. CONFIG
 * (sink.name) when it is empty, holds NUL or is no UTF-8. */
fr_rc fr_my_sink_name(fr_arena *a, fr_str name, fr_str *out, fr_err *err);

/* ---- the sink ---- */

typedef struct fr_my_sink {
    fr_sink base;
    const fr_sink_settings *settings;
    fr_my *my;
    fr_my_abilities can;
    fr_arena *home;     /* of the sink's whole life */
    fr_str database;    /* of the dsn */
    fr_str user;        /* as GRANT takes it */
    fr_arena *arena;    /* of one apply */
    fr_map *tables;     /* by fr_table.serial: fr_my_sink_table */
    fr_map *known;      /* targets that were there: one that vanishes is not made again */
    fr_map *folded;     /* names in lower case, to the name that was there first */
    fr_map *tied;       /* tables that foreign keys tie to others; NULL: not read yet */
    fr_map *claims;     /* by topic and partition: epochs */
    fr_my_cells *cells; /* parameters under construction */
    size_t cell_cap;
    MYSQL_BIND *binds;
    size_t bind_cap;
    size_t open_statements;
    bool in_txn;    /* rows were written since the last commit, or are about to be */
    bool savepoint; /* and a savepoint */
    bool has_own_tables;
    int64_t commit_us; /* of the newest row applied */
    int64_t frozen_seconds;
    atomic_bool connected;
    atomic_int_fast64_t lag_us;
} fr_my_sink;

/* my_sink_txn.c */
/* A connection as the sink uses it, and what its server can do. */
fr_rc fr_my_sink_connect(const fr_sink_settings *set, int64_t frozen_seconds, fr_my **out,
                         fr_my_abilities *can, fr_err *err);
/* What a server of this version can do, as far as the version tells. */
fr_my_abilities fr_my_sink_abilities(uint32_t version, bool mariadb);
fr_rc fr_my_sink_exec(fr_my_sink *s, const char *doing, const char *sql, fr_err *err);
/* Begins the transaction if there is none. */
fr_rc fr_my_sink_begin(fr_my_sink *s, fr_err *err);
/* Ends it, and whatever the connection was doing; never fails. */
void fr_my_sink_abandon(fr_my_sink *s);
/* What the kind of an error becomes here: remedies, and the transaction is rolled back.
 * Returns FR_FAIL. */
fr_rc fr_my_sink_failed(fr_my_sink *s, fr_err *err);
/* DDL. Inside a transaction a table is made through another connection (makes: nothing that
 * rows were written to is touched); else the transaction is rolled back first, and BUSY
 * (sink.altered) asks for all of it again. */
fr_rc fr_my_sink_ddl(fr_my_sink *s, fr_str sql, bool makes, fr_err *err);
void fr_my_sink_remedy(fr_err *err);
/* "; SET ...", which ends what fr_my_sink_begin did on servers that do not watch idle
 * transactions themselves; or "". */
const char *fr_my_sink_unwatch(const fr_my_sink *s);
/* Ends what reading the catalog began, where no rows wait. */
void fr_my_sink_rest(fr_my_sink *s);

/* my_sink_table.c */
/* The tables are read from the catalog again before their next row. Only where nothing
 * waits in them. */
void fr_my_sink_forget(fr_my_sink *s);
void fr_my_sink_close_statements(fr_my_sink *s, fr_my_sink_table *t);
/* *out lives until forgotten. */
fr_rc fr_my_sink_table_of(fr_my_sink *s, const fr_table *t, fr_my_sink_table **out, fr_err *err);
fr_rc fr_my_sink_prepare(fr_sink *base, const fr_table *table, bool create, bool plan_only,
                         fr_findings *out, fr_err *err);

/* my_sink_relation.c: what the catalog says about a target; arena-owned. */
typedef struct fr_my_index {
    fr_str *columns; /* empty: an expression */
    size_t count;
    bool whole; /* of columns in full */
} fr_my_index;
typedef struct fr_my_relation {
    bool there, space_there;
    fr_str qualified, space, name;
    fr_str kind, engine; /* "BASE TABLE", "InnoDB" */
    bool transactional;
    bool order_matters; /* triggers, foreign keys */
    size_t row_bytes;   /* declared, of columns in the row */
    fr_my_target_column *columns;
    size_t column_count;
    fr_my_index *uniques;
    size_t unique_count;
} fr_my_relation;
fr_rc fr_my_relation_read(fr_my_sink *s, fr_arena *a, const fr_table *t, fr_my_relation *out,
                          fr_err *err);
/* Of fr_sink_ops.draft: MySQL 8.4, MariaDB 11.4. */
fr_rc fr_mysql_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                          fr_err *err);
fr_rc fr_mariadb_sink_draft(const fr_sink_settings *settings, const fr_table *table,
                            fr_findings *out, fr_err *err);
const fr_my_target_column *fr_my_relation_find(const fr_my_relation *r, fr_str name);
/* The unique index on exactly the key columns of t (history: and, behind them, when a row began),
 * or NULL. */
const fr_my_index *fr_my_relation_key(const fr_my_relation *r, const fr_table *t, bool history);

/* my_sink_evolve.c: what has to change before t can be written (FR_CHANGE with sql), and
 * what is in the way (FR_BLOCKER). */
void fr_my_sink_compare(const fr_my_sink *s, const fr_my_relation *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out);

/* my_sink_offsets.c */
fr_rc fr_my_sink_own_tables(fr_my_sink *s, bool create, bool plan_only, fr_findings *out,
                            fr_err *err);
fr_rc fr_my_sink_claim(fr_sink *base, fr_offsets *offsets, fr_err *err);
fr_rc fr_my_sink_commit(fr_sink *base, const fr_offsets *offsets, fr_err *err);
fr_rc fr_my_sink_park(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_my_sink_unpark(fr_sink *base, fr_str topic, fr_str key, fr_err *err);
fr_rc fr_my_sink_parked(fr_sink *base, fr_arena *a, fr_str topic, fr_str **keys_out,
                        size_t *count_out, fr_err *err);

/* my_sink_apply.c */
fr_rc fr_my_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err);

/* my_sink_write.c */
/* Writes these changes in their order, with as few statements as that allows. */
fr_rc fr_my_sink_write(fr_my_sink *s, fr_my_sink_table *t, const fr_target_change *items,
                       size_t count, fr_err *err);
/* History: the first of *count changes by one statement; *count becomes how many. times: of each,
 * when its row begins, and when the one before it did. END, GONE, FOLLOW and STORED: 1, or what the
 * server takes as an array. The answer of *out is to be read before the next statement. */
fr_rc fr_my_sink_run_some(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                          const fr_target_change *items, size_t *count, const fr_str (*times)[2],
                          MYSQL_STMT **out, fr_err *err);
/* Only prepares what would be run: the server's rights are checked by that. */
fr_rc fr_my_sink_try(fr_my_sink *s, fr_my_sink_table *t, fr_err *err);

/* ---- my_sink_history.c ---- */

/* Of a table that keeps every state: the statement, and whether the field's parameter can be
 * compared with what is there. */
fr_str fr_my_history_sql(fr_arena *a, const fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                         size_t rows);
bool fr_my_history_compares(fr_arena *a, const fr_my_sink_table *t, const fr_my_field *f);
/* As fr_my_sink_write. */
fr_rc fr_my_history_write(fr_my_sink *s, fr_my_sink_table *t, const fr_target_change *items,
                          size_t count, fr_err *err);
/* Ends the current rows that are not newer; at: see fr_target_truncated_at. */
fr_str fr_my_history_truncate(fr_arena *a, const fr_my_sink_table *t, fr_str at, int64_t time_us);
/* The columns of a history, with a comma before each; what of them a table lacks. */
void fr_my_history_put_columns(fr_buf *b);
void fr_my_history_compare(const fr_target_comparison *k, const fr_my_relation *r, fr_str create);

extern const fr_sink_ops fr_mysql_sink, fr_mariadb_sink;

#endif
