/* Between http.c (listening, limits, who may ask) and http_routes.c (what is answered). */
#ifndef FR_CONTROL_HTTP_INTERNAL_H
#define FR_CONTROL_HTTP_INTERNAL_H

#include "control/http.h"

typedef struct fr_answer {
    int status;
    const char *type; /* of the body */
    fr_buf body;      /* the caller frees it */
    bool tagged;      /* may be answered with 304 */
} fr_answer;

/* path: decoded, begins with '/'. Fills in *out; an unknown path is a 404 with a body. */
void fr_http_route(const fr_http_settings *settings, fr_board *board, const char *path,
                   fr_answer *out);
/* The paths that take POST as well: of a start, and of a cancel. */
extern const char fr_http_snapshots[], fr_http_snapshots_cancel[];
/* q->table and q->where: the arguments, NULL when they are missing. */
void fr_http_route_snapshot(const fr_http_actions *actions, fr_http_snapshot *q, fr_answer *out);
/* /v1/tables/NAME:pause|resume|restart, /v1/sources/NAME and /v1/sinks/NAME:...|stop, which take
 * POST; false: it is none of them. name: in the arena, and borrowed by *out. */
bool fr_http_read_will(const char *path, fr_arena *a, fr_http_will *out, fr_will *will);
/* by, why, anew: the arguments, NULL when they are missing. */
typedef struct fr_http_said {
    const char *by, *why, *anew;
} fr_http_said;
void fr_http_route_will(const fr_http_actions *actions, const char *path, const fr_http_said *said,
                        fr_answer *out);
/* {"error":{"code","text","hint"}} */
void fr_http_error(fr_answer *out, int status, const char *code, const char *text,
                   const char *hint);
/* True for paths that answer without a token: probes cannot carry one. */
bool fr_http_is_probe(const char *path);
/* DNS rebinding: a name that is neither ours nor loopback's nor an address is refused. */
bool fr_http_host_allowed(const char *host_header, const char *listen);
/* "127.0.0.1:8083", "[::1]:0", "host:80" into its halves; CONFIG error that says the form. */
fr_rc fr_http_split(const char *listen, char *host, size_t host_size, char *port, size_t port_size,
                    fr_err *err);
/* Bound and listening sockets. *loopback_out: nobody but this machine can reach it. */
fr_rc fr_http_listen_tcp(const char *listen, int *fd_out, int *port_out, bool *loopback_out,
                         fr_err *err);
fr_rc fr_http_listen_unix(const char *path, int *fd_out, fr_err *err);

#endif
