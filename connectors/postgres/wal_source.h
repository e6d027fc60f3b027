/* The PostgreSQL source "postgres-wal": a logical slot with pgoutput, protocol 1, for the
 * stream; COPY at an exported snapshot for the rows before it. This header is for the
 * connector's own files.
 *
 *   wal_source.c    open, close, tables, status; the operations' table
 *   wal_catalog.c   what the catalog says about the captured tables
 *   wal_position.c  the resume text
 *   wal_slot.c      making the slot; may we go on at a position (R6)
 *   wal_snapshot.c  the view, and how tables are cut into chunks
 *   wal_chunk.c     the reader of one chunk
 *   wal_split.c     where to cut, and the SQL of a table's rows
 *   wal_key.c       a row's key as text
 *   wal_stream.c    the reader of the log, and a second one beside it
 *   wal_shapes.c    what the stream's decoder asks the catalog
 *   wal_reread.c    values that no log has (decision 47)
 *   wal_absent.c    tables that are gone, or not in the publication
 *   wal_where.c     is this a condition that a snapshot can have?
 *   wal_busy.c      does the server ask snapshots to wait?
 *   wal_wait.c      waiting that another thread can end
 *   wal_check.c     the pre-flight catalogue */
#ifndef FR_POSTGRES_WAL_SOURCE_H
#define FR_POSTGRES_WAL_SOURCE_H

#include "connect/source.h"
#include "connectors/postgres/pg_conn.h"
#include "connectors/postgres/wal_catalog.h"
#include "connectors/postgres/wal_position.h"
#include <pthread.h>
#include <stdatomic.h>

/* Keys below sources.<s>. */
typedef struct fr_wal_config {
    const char *dsn, *password;
    bool insecure;
    const char *slot, *publication; /* NULL: from the source's name */
    int64_t retained_limit;         /* bytes; 0: the server's */
} fr_wal_config;

enum { FR_WAL_IDLE_MAX = 8, FR_WAL_NAME_MAX = 64 };

/* Tables as of one view, for its chunks; kept until the source is closed, because readers
 * point into it. */
typedef struct fr_wal_view {
    struct fr_wal_view *older;
    fr_arena *arena;
    fr_wal_catalog catalog;
    fr_pg_catalog *types;
    fr_pg_layout **layouts; /* one per table of the catalog */
    char *name;             /* of the exported snapshot */
} fr_wal_view;

/* What a reader of the log has seen; from any thread. */
typedef struct fr_wal_seen {
    atomic_bool connected;
    atomic_llong lag_us, lag_bytes, last_byte_us;
    atomic_ullong server_lsn, read_lsn, confirmed_lsn;
} fr_wal_seen;

typedef struct fr_wal_source {
    fr_source base;
    const fr_source_settings *settings;
    const fr_wal_config *config;
    char slot[FR_WAL_NAME_MAX], publication[FR_WAL_NAME_MAX];
    char application[FR_WAL_NAME_MAX];
    char *session; /* settings of every connection */
    int version;   /* server_version_num */
    char system_identifier[24], db[260];
    uint32_t timeline; /* when we opened */
    bool in_recovery;
    int money_digits;      /* behind the point, by the database's lc_monetary */
    int64_t keep_alive_us; /* a status update at least so often */

    pthread_mutex_t lock; /* guards idle, views, view_conn and epoch */
    PGconn *idle[FR_WAL_IDLE_MAX];
    size_t idle_count;
    fr_wal_view *views;
    fr_arena *listed_arena; /* NULL: none. The catalog that list_tables read: a stream that is */
    fr_wal_catalog listed;  /* started right after it need not read it again. Owner's thread. */
    int64_t listed_us;
    fr_arena *oids_arena;    /* NULL: none. What absent has seen: under the lock */
    struct fr_wal_oid *oids; /* by space and name */
    size_t oid_count;
    PGconn *view_conn;     /* holds the exported snapshot */
    uint32_t epoch;        /* of the stream, or of the plan */
    bool slot_is_ours;     /* made by this object: a plan that is tried again may replace it */
    atomic_bool text_only; /* a relation of the log has a type whose binary form we refuse */

    /* status(): from any thread */
    fr_wal_seen seen; /* of the stream's reader; a second one has its own */
    atomic_llong retained_bytes, retained_limit;
} fr_wal_source;

extern const fr_option fr_wal_options[];
extern const fr_source_ops fr_postgres_wal_source;

/* Not connected yet; base.ops->close frees it. */
fr_wal_source *fr_wal_source_new(const fr_source_settings *settings);
/* Slot and publication names: the configured ones, or made from the source's. CONFIG when
 * the server would not take them. */
fr_rc fr_wal_names(const fr_source_settings *settings, char *slot, char *publication, fr_err *err);

/* A catalog of types that knows our server's money; the caller's to free. */
fr_pg_catalog *fr_wal_types_new(const fr_wal_source *s);
/* The first connection of the pool: asks what money is, and then becomes like the others, where
 * money is what C makes of it, a count of cents, whose text is the same everywhere. */
fr_rc fr_wal_take_first(fr_wal_source *s, PGconn **out, fr_err *err);
/* An SQL connection of the source's pool (a new one when none is idle), and back. A
 * connection inside a transaction or a COPY, or a broken one, is closed instead. From any
 * thread. */
fr_rc fr_wal_take(fr_wal_source *s, PGconn **out, fr_err *err);
void fr_wal_give(fr_wal_source *s, PGconn *conn); /* NULL is fine */
/* A walsender connection of its own; fr_pg_close it. */
fr_rc fr_wal_replication(fr_wal_source *s, PGconn **out, fr_err *err);

/* The captured tables as the catalog has them, or had them a few seconds ago. In *arena_out,
 * which is the caller's to free. Owner's thread. */
fr_rc fr_wal_catalog_recent(fr_wal_source *s, PGconn *sql, fr_arena **arena_out,
                            fr_wal_catalog *out, fr_err *err);
/* Those that logical messages are rows of: at most one per table of the settings, each with one
 * reference for the caller. Returns how many. */
size_t fr_wal_message_tables(const fr_wal_source *s, const fr_table **out);
/* CONFIG errors that name table and remedy when what is captured cannot be: publication
 * missing, an exactly named table that has no log, no SELECT. first: and where there is no such
 * table, or the publication lacks one; later that is for fr_wal_absent to say. */
fr_rc fr_wal_catalog_verify(const fr_wal_source *s, const fr_wal_catalog *c, bool first,
                            fr_err *err);
/* CONFIG where the publication does not exist, or lacks a table of the catalog. */
fr_rc fr_wal_publication_lacks(const fr_wal_source *s, const fr_wal_catalog *c, fr_err *err);
/* The settings name a table, and the catalog has none of that name. */
bool fr_wal_is_missing(const fr_wal_catalog *c, const fr_table_settings *t);
/* The SQL that makes the publication, or adds the tables it lacks; empty: nothing to do. */
fr_str fr_wal_publication_sql(fr_arena *a, int version, const char *publication,
                              const fr_wal_catalog *c);
/* What takes them out of it again: a statement that can be run. */
fr_str fr_wal_publication_undo(fr_arena *a, const char *publication, const fr_wal_catalog *c);

/* wal_absent.c */
fr_rc fr_wal_absent(fr_source *base, fr_arena *a, fr_absent **out, size_t *count_out, fr_err *err);

/* wal_where.c */
fr_rc fr_wal_check_where(fr_source *base, fr_str space, fr_str name, fr_str where, fr_err *err);

/* wal_snapshot.c */
fr_rc fr_wal_plan(fr_source *base, const fr_plan_request *request, fr_plan *out, fr_err *err);
void fr_wal_end_view(fr_source *base);
void fr_wal_views_free(fr_wal_source *s);

/* wal_chunk.c */
fr_rc fr_wal_read_chunk(fr_source *base, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                        fr_err *err);
/* A message of several statements that ends with COPY ... TO STDOUT and COMMIT. */
typedef struct fr_wal_way {
    const char *sql;
    const char *const *steps; /* what each result before COPY's is of, for errors */
    int view, check, copy;    /* indexes of results: going to a snapshot, or -1; the one whose only
                                 cell says that COPY must not be read, or -1; COPY's */
    int lock;                 /* LOCK TABLE's of the table that is read; 0: there is none */
    fr_rc (*checked)(fr_err *err); /* says why */
    const fr_pg_relation *shown;   /* columns that check's result must have instead; NULL: a cell */
    PGconn *
        *stays; /* no COMMIT follows: the connection goes here after the last row. NULL: it does */
    PGconn *conn; /* to read over, the reader's from now on; NULL: one of the pool */
} fr_wal_way;
/* Its rows, as a chunk's: all columns of the layout, in its order and form. Borrows the layout;
 * way is needed for the call only. */
fr_rc fr_wal_read_rows(fr_wal_source *s, const fr_pg_layout *layout, const fr_wal_way *way,
                       fr_reader **out, fr_err *err);
/* Index of a table in the view's catalog; its count when it is not there. */
size_t fr_wal_view_table(const fr_wal_view *v, fr_str space, fr_str name);

/* wal_key.c */
fr_rc fr_wal_row_key(fr_source *base, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err);
/* wal_stream.c */
fr_rc fr_wal_read_stream(fr_source *base, fr_str resume, fr_reader **out, fr_err *err);
fr_rc fr_wal_read_beside(fr_source *base, fr_str resume, fr_reader **out, fr_err *err);

/* wal_busy.c */
fr_rc fr_wal_busy(fr_source *base, fr_arena *a, fr_str *why_out, fr_err *err);

/* pg_declared.c */
fr_rc fr_pg_declared(fr_arena *a, const char *type, const char *asked, fr_column *out, fr_err *err);

/* wal_check.c */
fr_rc fr_wal_check(const fr_source_settings *settings, fr_findings *out, fr_err *err);

#endif
