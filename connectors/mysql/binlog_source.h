/* The MySQL and MariaDB source "mysql-binlog": the replication stream of binlog events, and
 * SELECTs at a consistent view for the rows before it. This header is for the source's own
 * files.
 *
 *   binlog_source.c    open, close, tables, status; the operations' table
 *   binlog_server.c    what the server is and where its log stands; may we go on there (R6)
 *   binlog_catalog.c   what information_schema says about the captured tables
 *   binlog_position.c  the resume text
 *   binlog_view.c      a consistent view on several connections, and its place in the log
 *   binlog_prepared.c  XA transactions that are prepared when a view begins
 *   binlog_snapshot.c  the plan: views, chunks
 *   binlog_split.c     where to cut a table; keys as text and as SQL
 *   binlog_where.c     is this a condition that a snapshot can have?
 *   binlog_chunk.c     the reader of one chunk
 *   binlog_dump.c      the transport: register as a replica, ask for the log, one event at a time
 *   binlog_stream.c    the reader of the log, and a second one beside it
 *   binlog_absent.c    captured tables that are gone
 *   binlog_check.c     the pre-flight catalogue
 *   binlog_decode.c    bytes of events to batches (pure, with my_*.c) */
#ifndef FR_MYSQL_BINLOG_SOURCE_H
#define FR_MYSQL_BINLOG_SOURCE_H

#include "connect/source.h"
#include "connectors/mysql/binlog_catalog.h"
#include "connectors/mysql/binlog_decode.h"
#include "connectors/mysql/binlog_position.h"
#include "connectors/mysql/my_conn.h"
#include <pthread.h>

/* Keys below sources.<s>. */
typedef struct fr_binlog_config {
    const char *dsn, *password;
    bool insecure, gtid;
    int64_t server_id; /* 0: derived */
    int xa;            /* index into the choices: 0 refuse */
    int64_t xa_limit;
} fr_binlog_config;

enum { FR_BINLOG_IDLE_MAX = 8, FR_BINLOG_READERS_MAX = 16 };

/* What a server is. */
typedef struct fr_binlog_server {
    bool mariadb;
    uint32_t version;
    char name[FR_BINLOG_SERVER_MAX]; /* server_uuid, else "id@host:port" */
    bool log_bin;
    bool gtids;         /* every group has one: MariaDB, or gtid_mode=ON */
    bool full_image;    /* binlog_row_image=FULL, or a server that has no other */
    bool full_metadata; /* binlog_row_metadata=FULL */
    bool row_format;    /* binlog_format=ROW */
} fr_binlog_server;

enum { FR_BINLOG_FILE_BEGINS = 4 }; /* behind its magic number */

/* A place in the server's log. */
typedef struct fr_binlog_here {
    char file[FR_BINLOG_FILE_MAX];
    uint64_t pos;
    fr_str gtid; /* of the arena given */
} fr_binlog_here;

/* A connection inside a view's transaction, with layouts of its own: a layout's conversions are
 * one thread's. */
typedef struct fr_binlog_slot {
    fr_my *my;              /* NULL: lost */
    fr_my_layout **layouts; /* one per table of the catalog; NULL: not made yet */
    bool busy;
} fr_binlog_slot;

/* Tables as of one view, and the connections that see it; kept until the source is closed,
 * because readers point into it. */
typedef struct fr_binlog_view {
    struct fr_binlog_view *older;
    fr_arena *arena;
    fr_binlog_catalog catalog;
    fr_str name;
    fr_binlog_slot slots[FR_BINLOG_READERS_MAX]; /* the source's lock guards busy and my */
    size_t slot_count;
    bool ended;
} fr_binlog_view;

/* What a reader of the log has seen; from any thread. */
typedef struct fr_binlog_seen {
    atomic_bool connected;
    atomic_llong lag_us, lag_bytes, last_byte_us;
    atomic_ullong server_lsn, read_lsn;
} fr_binlog_seen;

typedef struct fr_binlog_source {
    fr_source base;
    const fr_source_settings *settings;
    const fr_binlog_config *config;
    const char *type;        /* "mysql", "mariadb" */
    fr_binlog_server server; /* the lock guards it where another thread than the owner's reads */
    uint32_t server_id;      /* ours */
    atomic_uint beside;      /* how many second readers were opened: each has a number of its own */

    pthread_mutex_t lock; /* guards idle, views and epoch */
    fr_my *idle[FR_BINLOG_IDLE_MAX];
    size_t idle_count;
    fr_binlog_view *views;  /* newest first */
    fr_binlog_here settled; /* the owner's: the newest beginning of a file that hides no commit */
    uint64_t view_count;
    uint32_t epoch; /* of the stream, or of the plan */

    /* status(): from any thread */
    fr_binlog_seen seen; /* of the stream's reader; a second one has its own */
    atomic_llong retained_bytes;
    atomic_ullong changes; /* DDL that the stream has met */
} fr_binlog_source;

extern const fr_option fr_binlog_options_table[];
extern const fr_source_ops fr_mysql_binlog_source, fr_mariadb_binlog_source;

/* Not connected yet; base.ops->close frees it. */
fr_binlog_source *fr_binlog_source_new(const fr_source_settings *settings,
                                       const fr_source_ops *ops);
/* A connection of its own with the session that values are read with. */
fr_rc fr_binlog_connect(fr_binlog_source *s, fr_my **out, fr_err *err);
/* An SQL connection of the source's pool (a new one when none is idle), and back; give only
 * one that has no transaction open and did not fail. From any thread. */
fr_rc fr_binlog_take(fr_binlog_source *s, fr_my **out, fr_err *err);
void fr_binlog_give(fr_binlog_source *s, fr_my *my); /* NULL is fine */

/* binlog_server.c */
fr_rc fr_binlog_server_read(fr_my *my, fr_binlog_server *out, fr_err *err);
/* What the source knows of its server, from another thread than the owner's; and the new state of
 * it, from the owner's. */
fr_binlog_server fr_binlog_server_of(fr_binlog_source *s);
void fr_binlog_server_now(fr_binlog_source *s, const fr_binlog_server *server);
/* CONFIG errors that name setting and remedy: what a log must have for us. */
fr_rc fr_binlog_server_verify(const fr_binlog_server *server, fr_err *err);
/* Where the log ends now, with the GTIDs of all groups in it. AUTH my.grants without the right. */
fr_rc fr_binlog_here_read(fr_my *my, const fr_binlog_server *server, fr_arena *a,
                          fr_binlog_here *out, fr_err *err);
/* The ids of the set that `file` and `pos` are the end of. MariaDB only. */
fr_rc fr_binlog_gtid_at(fr_my *my, fr_arena *a, const char *file, uint64_t pos, fr_str *out,
                        fr_err *err);
/* How a stream goes on at p. */
typedef struct fr_binlog_start_at {
    bool by_gtid;
    bool same_server; /* else the epoch counts up */
    fr_gtids *done;   /* the caller's to free */
} fr_binlog_start_at;
/* May we go on at p (R6)? POSITION errors my.purged, my.server_behind, my.log_reset,
 * my.diverged, my.other_server show both positions. */
fr_rc fr_binlog_server_continues(const fr_binlog_source *s, const fr_binlog_server *server,
                                 fr_my *my, const fr_binlog_position *p, fr_binlog_start_at *out,
                                 fr_err *err);
/* The POSITION error that the server's refusal of a dump (1236) means; else as it is. */
fr_rc fr_binlog_refused(const fr_binlog_source *s, const fr_binlog_position *p, fr_err *err);

/* binlog_view.c: opens up to `readers` connections that all see the same rows, and says where
 * in the log that is. Writers wait for milliseconds where the server knows no other way. */
fr_rc fr_binlog_view_open(fr_binlog_source *s, const fr_binlog_catalog *c, size_t readers,
                          fr_binlog_view *v, fr_binlog_here *at, fr_err *err);

/* After each query in a view: whoever wants to alter the table need not wait for the view's end
 * (and have everybody else wait behind it). The view stays. */
fr_rc fr_binlog_view_let_go(fr_my *my, fr_err *err);

/* binlog_prepared.c: what there is of XA transactions before a view begins; all of the arena. */
typedef struct fr_binlog_prepares {
    bool used;            /* the server knows XA transactions */
    fr_binlog_here place; /* whatever is prepared and not in the list has its rows behind it */
    fr_my_rows list;
} fr_binlog_prepares;
fr_rc fr_binlog_prepared_look(fr_binlog_source *s, fr_my *my, fr_arena *a, fr_binlog_prepares *out,
                              fr_err *err);
/* In the view: BUSY (my.xa_prepared) where one of the list is still prepared. */
fr_rc fr_binlog_prepared_settle(fr_my *my, fr_arena *a, const fr_binlog_prepares *before,
                                fr_err *err);

/* binlog_snapshot.c */
fr_rc fr_binlog_plan(fr_source *base, const fr_plan_request *request, fr_plan *out, fr_err *err);
void fr_binlog_end_view(fr_source *base);
void fr_binlog_views_free(fr_binlog_source *s);
/* A free slot, made busy; NULL: none now. *lost: and there never will be. */
fr_binlog_slot *fr_binlog_slot_take(fr_binlog_source *s, fr_binlog_view *v, bool *lost);
/* broken: its connection cannot be used any more, and is closed. */
void fr_binlog_slot_give(fr_binlog_source *s, fr_binlog_view *v, fr_binlog_slot *slot, bool broken);
/* Index of a table in the view's catalog; its count when it is not there. */
size_t fr_binlog_view_table(const fr_binlog_view *v, fr_str space, fr_str name);

/* binlog_where.c */
fr_rc fr_binlog_check_where(fr_source *base, fr_str space, fr_str name, fr_str where, fr_err *err);
/* binlog_chunk.c */
fr_rc fr_binlog_read_chunk(fr_source *base, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                           fr_err *err);
/* binlog_split.c */
fr_rc fr_binlog_row_key(fr_source *base, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err);
/* binlog_stream.c */
fr_rc fr_binlog_read_stream(fr_source *base, fr_str resume, fr_reader **out, fr_err *err);
fr_rc fr_binlog_read_beside(fr_source *base, fr_str resume, fr_reader **out, fr_err *err);
/* binlog_absent.c */
fr_rc fr_binlog_absent(fr_source *base, fr_arena *a, fr_absent **out, size_t *count_out,
                       fr_err *err);
/* binlog_check.c */
fr_rc fr_binlog_check(const fr_source_settings *settings, fr_findings *out, fr_err *err);

#endif
