/* /healthz /readyz /metrics /version /v1/status /v1/sources /v1/sinks /v1/tables, on a TCP
 * address and a unix socket (libmicrohttpd). Read-only. S13: Host checked, headers at most
 * 8 kB, 32 connections, 5 s; off loopback only with TLS and token. Threads of its own. */
#ifndef FR_CONTROL_HTTP_H
#define FR_CONTROL_HTTP_H

#include "control/config.h"
#include "control/status.h"

typedef struct fr_http fr_http;
fr_rc fr_http_start(const fr_http_settings *settings, fr_board *board, fr_http **out, fr_err *err);
void fr_http_stop(fr_http *h); /* NULL is fine */
/* The TCP port that was bound (listen may say :0); 0: none. */
int fr_http_port(const fr_http *h);
/* sd_notify: no-op without NOTIFY_SOCKET. "READY=1", "STATUS=...", "WATCHDOG=1". */
void fr_notify(const char *state);
/* GET from a running daemon, by the unix socket or URL: body in the arena. CONNECT when
 * none answers. */
fr_rc fr_http_get(const char *socket_or_url, const char *path, const char *token, fr_arena *a,
                  int *status_out, fr_str *body_out, fr_err *err);

/* Versions of the libmicrohttpd and the libcurl that run. Constant; from any thread. */
const char *fr_http_server_library(void);
const char *fr_http_client_library(void);

#endif
