/* What a connector gives so that its database can be asked in SQL by those who know what to
 * ask (src/poll). It knows the server's spelling, types and open transactions; not one word
 * of when to ask, or of what was read before. Connectors never retry, reconnect or sleep.
 * Threads: a connection is used by one thread at a time. */
#ifndef FR_CONNECT_SQL_H
#define FR_CONNECT_SQL_H

#include "base/bytes.h"
#include "base/error.h"
#include "connect/ddl.h"
#include "connect/ddl_triggers.h"
#include "connect/source.h"
#include "model/settings.h"

/* One connection, in autocommit. */
typedef struct fr_sql fr_sql;

typedef struct fr_sql_name {
    fr_str space, name;
} fr_sql_name;

/* A table, a view, or the statement of poll.query, as it was when it was described. */
typedef struct fr_sql_relation { /* first member of the connector's own */
    const fr_table *table;       /* a reference */
    bool statement;              /* poll.query; else from is a table or view */
    /* One per column: the step between two values of a time (1: microseconds, 1000000: whole
     * seconds), to which the server may have rounded; 0: not a time. */
    const int64_t *unit_us;
    /* One per column: some index begins with it (false: unknown, or a statement). */
    const bool *indexed;
    bool plain_table;   /* of which the server knows what is unique; no view, no statement */
    const bool *unique; /* one per column: no two rows share it; NULL with a statement */
    /* One per column: a default, or a trigger before the row is written, may set it. NULL with a
     * statement, or where it is not known. */
    const bool *stamped;
    /* One per column: the sequence its numbers come from, quoted, if sessions take numbers of it
     * ahead of their transactions; else empty. NULL: none do. */
    const fr_str *ahead;
    /* One per column: numbers that the database may give again once the row that had the highest
     * one is deleted; and what to do so that it does not, as the beginning of a hint. NULL: none.
     */
    const bool *reused;
    fr_str once;
    /* One per column: what the next select asks for; others are NULL in its rows, whatever the
     * column is. Set by whoever selects, as long as its reader is open. NULL: all columns. */
    const bool *wanted;
    fr_str no_delete; /* of an outbox that is emptied: the GRANT that is missing; else empty */
    /* With method trigger, one per column: the type, as SQL, of a column of a change table that
     * takes each of its values unchanged, and NULL. Else NULL. */
    const fr_str *copies;
} fr_sql_relation;

/* Who may still commit rows whose number or time is lower than what can be seen now. Times are
 * the server's own clock, microseconds since 1970. */
typedef struct fr_sql_state {
    int64_t now_us;
    int64_t listed_us; /* what is said below is no older than this */
    /* When the oldest transaction or statement that runs now began (but ours); as early as it can
     * have been where the server tells it only roughly. INT64_MAX: none runs. */
    int64_t oldest_us;
    /* Prepared transactions: their beginning is shown nowhere, only when the first of them was
     * prepared. INT64_MAX: none. */
    int64_t prepared_us;
    fr_str oldest_who; /* in the arena: "pid 4711 (psql, user erp)"; empty: nobody */
} fr_sql_state;

/* The triggers that write a table's change table. */
typedef struct fr_sql_triggers {
    int64_t shape;    /* that they write */
    fr_str wrong;     /* else empty: which one is not there, or does not do what it must */
    const char *code; /* of that: "trigger.missing", "trigger.disabled", "trigger.order" */
    fr_str blind;     /* else empty: changes of rows that no trigger sees here */
    const char *blind_code;
} fr_sql_triggers;

typedef struct fr_sql_ops {
    const char *name; /* "postgres-query": in logs and plan */
    /* The server does not say who is open: state tells its clock alone, and poll.lookback decides
     * how late a commit may come. */
    bool clock_only;
    /* All columns are asked for as *, so that a page shows itself whether they are still those of
     * the relation. Else each by put_column. */
    bool star;
    /* CONFIG, AUTH, CONNECT. Borrows settings until close. */
    fr_rc (*open)(const fr_source_settings *settings, fr_sql **out, fr_err *err);
    void (*close)(fr_sql *c); /* NULL is fine */
    /* A JSON object that names server and database ("db" among its members): what must be the
     * same at the next start, else cursors mean nothing. */
    fr_rc (*identity)(fr_sql *c, fr_arena *a, fr_str *out, fr_err *err);
    /* What the server cannot be asked about, or the rights that are missing: CONFIG or AUTH, with
     * the statement to run. Also that it is no replica. */
    fr_rc (*verify)(fr_sql *c, const fr_source_settings *settings, fr_err *err);
    /* What plan says of the server beside that. Optional. */
    void (*check)(fr_sql *c, const fr_source_settings *settings, fr_findings *out);
    /* Tables and views of the database, by name. */
    fr_rc (*list)(fr_sql *c, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err);
    /* t->poll_query NULL: the table or view space.name, whose columns, comments and primary key
     * are the table's. CONFIG where it is not there or may not be read. version: the table's. */
    fr_rc (*describe)(fr_sql *c, const fr_table_settings *t, fr_str space, fr_str name,
                      uint32_t version, fr_sql_relation **out, fr_err *err);
    void (*forget)(fr_sql_relation *r); /* NULL is fine */
    /* Never more often than this, from all connections together: some servers answer from a cache
     * that is not renewed while it is asked. */
    int64_t state_every_us;
    fr_rc (*state)(fr_sql *c, fr_arena *a, fr_sql_state *out, fr_err *err);
    /* As fr_source_ops.busy, over this connection. Optional. */
    fr_rc (*busy)(fr_sql *c, fr_arena *a, fr_str *why_out, fr_err *err);
    /* What plan says of a relation, beside what is wrong with it. Optional. */
    void (*say)(const fr_sql_relation *r, fr_findings *out);
    /* Runs sql, which selects all columns of the relation (but for what r->wanted leaves out) in
     * their order, in a view of its own that is newer than the call. fill gives READ events and
     * FR_END after the last one; positions are the caller's to set. Code "sql.changed" where the
     * relation's columns are others than when it was described, which is looked at in the same
     * view: describe it again. */
    fr_rc (*select)(fr_sql *c, fr_sql_relation *r, fr_str sql, fr_reader **out, fr_err *err);
    /* The rows of a table whose column is one of a few values (in: what follows IN), as they are
     * now, as READ events and FR_END; "sql.changed" as above. A transaction is open then, in which
     * nobody else can change or delete them, and it waits for nobody's other rows. NULL: no table
     * can be an outbox here. */
    fr_rc (*take)(fr_sql *c, fr_sql_relation *r, size_t column, fr_str in, fr_reader **out,
                  fr_err *err);
    /* Ends it, its reader closed. remove: after FR_END only; the rows that came are deleted then,
     * and those only. Else all is as it was; also after a failure. */
    fr_rc (*settle)(fr_sql *c, bool remove, fr_err *err);
    /* From now on each select reads one and the same view, until it is left; only of these
     * relations, whose columns are looked at first ("sql.changed"). The view is newer than the
     * call. No take meanwhile. */
    fr_rc (*begin_view)(fr_sql *c, fr_sql_relation *const *relations, size_t count, fr_err *err);
    void (*end_view)(fr_sql *c); /* also where none is; its reader closed */
    /* Are the triggers that put_triggers makes there, and on? Texts in the arena. Optional, with
     * put_triggers. */
    fr_rc (*triggers)(fr_sql *c, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                      fr_err *err);
    /* The only cell of the only row as text; ptr NULL: SQL NULL. */
    fr_rc (*scalar)(fr_sql *c, fr_str sql, fr_arena *a, fr_str *out, fr_err *err);

    /* ---- spelling; pure ---- */
    void (*put_ident)(fr_buf *b, fr_str name);
    /* The same, where only the server knows how names are quoted. NULL: put_ident does. */
    void (*put_name)(fr_buf *b, const fr_sql_relation *r, fr_str name);
    /* At most so many rows: what is written right behind SELECT, and at_end what at the end of the
     * statement. NULL: LIMIT rows, at the end. */
    void (*put_limit)(fr_buf *b, const fr_sql_relation *r, size_t rows, bool at_end);
    /* A column as it must be selected. */
    void (*put_column)(fr_buf *b, const fr_sql_relation *r, size_t column);
    void (*put_from)(fr_buf *b,
                     const fr_sql_relation *r); /* after FROM, with an alias if need be */
    /* A value of this column from what `text` made of one. False: it cannot be written. */
    bool (*put_value)(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text);
    fr_str (*text)(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v);
    /* A time of this column (TIMESTAMP; DATETIME as UTC). */
    void (*put_time)(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us);

    /* What a DBA runs to make the table of an outbox, or to take it away again, with rights and
     * what the log needs; runs as it is. Asks no server. CONFIG. */
    fr_rc (*put_outbox)(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);
    bool contracts; /* put_outbox heeds a contract */
    /* The same of a change table and the triggers that fill it. c NULL: to take it away. Asks
     * nothing, but what server it is was seen when c was opened. */
    fr_rc (*put_triggers)(fr_sql *c, fr_buf *b, const fr_ddl_triggers *o, fr_err *err);
} fr_sql_ops;

struct fr_sql { /* first member of the connector's own */
    const fr_sql_ops *ops;
};

#endif
