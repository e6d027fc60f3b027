/* /healthz /readyz /metrics /version /v1/status /v1/sources /v1/sinks /v1/tables /v1/snapshots, on
 * a TCP address and a unix socket (libmicrohttpd). Changes nothing but by POST /v1/snapshots (and
 * its :cancel) and POST /v1/tables/NAME:pause and its like, which need the socket or http.token.
 * S13: Host checked, headers at most 8 kB, 32 connections, 5 s; off loopback only with TLS and
 * token. Threads of its own. */
#ifndef FR_CONTROL_HTTP_H
#define FR_CONTROL_HTTP_H

#include "control/config.h"
#include "control/status.h"
#include "control/target.h"

/* What is asked about a table's snapshot. */
typedef struct fr_http_snapshot {
    enum { FR_SNAPSHOT_LOOK, FR_SNAPSHOT_START, FR_SNAPSHOT_CANCEL } verb;
    const char *table; /* "source/space.table" */
    const char *where; /* of START; "" none */
} fr_http_snapshot;

/* What is wanted of a source, a sink, a table or a topic. */
typedef struct fr_http_will {
    fr_target_of of;
    const char *name; /* "erp", "erp/public.orders", "warehouse/erp.public.orders" */
} fr_http_will;

/* What the daemon does for a request. Called on HTTP's threads. */
typedef struct fr_http_actions {
    void *context;
    /* *state_out, static: what became of the newest request for the table: none, asked, taken,
     * unknown, refused (*why says why). CONFIG: there is no such table; BUSY: we start or stop. */
    fr_rc (*snapshot)(void *context, const fr_http_snapshot *q, const char **state_out, fr_err *why,
                      fr_err *err);
    /* w: all but target and at_us, which it fills in. FR_OK: it is queued for the control topic.
     * CONFIG: there is no such target, or no such will of it. */
    fr_rc (*will)(void *context, const fr_http_will *q, fr_will *w, fr_err *err);
} fr_http_actions;

typedef struct fr_http fr_http;
/* All borrowed until stop. */
fr_rc fr_http_start(const fr_http_settings *settings, fr_board *board,
                    const fr_http_actions *actions, fr_http **out, fr_err *err);
void fr_http_stop(fr_http *h); /* NULL is fine */
/* The TCP port that was bound (listen may say :0); 0: none. */
int fr_http_port(const fr_http *h);
/* sd_notify: no-op without NOTIFY_SOCKET. "READY=1", "STATUS=...", "WATCHDOG=1". */
void fr_notify(const char *state);
#define FR_HTTP_NOBODY "http.no_daemon" /* the code of an error: nothing listens there */
/* GET, or POST without a body, to a running daemon, by the unix socket or URL: the answer's body
 * in the arena. CONNECT when none answers, with FR_HTTP_NOBODY where nothing listens. */
fr_rc fr_http_ask(const char *socket_or_url, bool post, const char *path, const char *token,
                  fr_arena *a, int *status_out, fr_str *body_out, fr_err *err);
/* text as a part of a query. */
fr_str fr_http_escape(fr_arena *a, const char *text);

/* Versions of the libmicrohttpd and the libcurl that run. Constant; from any thread. */
const char *fr_http_server_library(void);
const char *fr_http_client_library(void);

#endif
