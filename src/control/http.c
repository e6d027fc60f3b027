#include "control/http_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* S13 */
enum { CONNECTIONS = 32, TIMEOUT_S = 5, HEADERS_MAX = 8192, MEMORY = 16384, FILE_MAX = 1 << 20 };

/* One open connection: must finish a request within the time, however slowly it drips. */
typedef struct visitor {
    int fd; /* -1: free */
    int64_t deadline_us;
} visitor;

typedef struct listener {
    struct fr_http *http;
    struct MHD_Daemon *daemon; /* NULL: off */
    bool is_socket;
    pthread_mutex_t lock;
    visitor visitors[CONNECTIONS];
} listener;

struct fr_http {
    const fr_http_settings *settings;
    fr_board *board;
    const fr_http_actions *actions; /* NULL: none */
    listener tcp, local;
    int port;
    char *cert, *key, *socket;
    struct stat socket_stat; /* so that only our own is removed */
    pthread_t reaper;
    bool reaping;
    atomic_bool stop;
};

/* --- who may stay ----------------------------------------------------------------------- */

static void set_deadline(visitor *v)
{
    v->deadline_us = fr_now_us() + TIMEOUT_S * INT64_C(1000000);
}

static void on_connection(void *context, struct MHD_Connection *c, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    listener *l = context;
    pthread_mutex_lock(&l->lock);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*slot != NULL)
            ((visitor *)*slot)->fd = -1;
    } else {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        for (size_t i = 0; *slot == NULL && info != NULL && i < CONNECTIONS; i++)
            if (l->visitors[i].fd < 0) {
                *slot = &l->visitors[i];
                l->visitors[i].fd = info->connect_fd;
                set_deadline(&l->visitors[i]);
            }
    }
    pthread_mutex_unlock(&l->lock);
}

/* An answer was sent: the next request has its own time. */
static void on_completed(void *context, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode code)
{
    listener *l = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    (void)code;
    *request = NULL;
    if (info == NULL || info->socket_context == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    set_deadline(info->socket_context);
    pthread_mutex_unlock(&l->lock);
}

static void reap(listener *l)
{
    int64_t now = fr_now_us();
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (l->visitors[i].fd >= 0 && l->visitors[i].deadline_us < now)
            shutdown(l->visitors[i].fd, SHUT_RDWR); /* MHD sees the end and closes it */
    pthread_mutex_unlock(&l->lock);
}

/* MHD's own time-out starts anew with every byte. */
static void *run_reaper(void *context)
{
    fr_http *h = context;
    while (!atomic_load(&h->stop)) {
        reap(&h->tcp);
        reap(&h->local);
        fr_sleep_us(200000);
    }
    return NULL;
}

/* --- who may ask ------------------------------------------------------------------------ */

/* Takes as long for a wrong token as for the right one. */
static bool same_secret(const char *given, const char *wanted)
{
    size_t len = strlen(wanted), given_len = strlen(given);
    unsigned char different = given_len != len;
    for (size_t i = 0; i < given_len && len > 0; i++)
        different |= (unsigned char)(given[i] ^ wanted[i % len]);
    return different == 0;
}

static bool has_token(struct MHD_Connection *c, const char *wanted)
{
    static const char bearer[] = "Bearer ";
    const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    char *password = NULL;
    if (header != NULL && strncmp(header, bearer, sizeof(bearer) - 1) == 0)
        return same_secret(header + sizeof(bearer) - 1, wanted);
    char *user = MHD_basic_auth_get_username_password(c, &password);
    bool good = password != NULL && same_secret(password, wanted);
    MHD_free(user);
    MHD_free(password);
    return good;
}

static bool is_read(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool is_will(const char *path)
{
    fr_arena *a = fr_arena_new(0);
    fr_http_will q;
    fr_will w;
    bool will = fr_http_read_will(path, a, &q, &w);
    fr_arena_free(a);
    return will;
}

static bool is_change(const char *path, const char *method)
{
    return strcmp(method, "POST") == 0 &&
           (strcmp(path, fr_http_snapshots) == 0 || strcmp(path, fr_http_snapshots_cancel) == 0 ||
            is_will(path));
}

/* True: *out is a refusal. */
static bool refused(const listener *l, struct MHD_Connection *c, const char *path,
                    const char *method, const char *version, fr_answer *out)
{
    const fr_http_settings *s = l->http->settings;
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (size != NULL && size->header_size > HEADERS_MAX)
        fr_http_error(out, 431, "http.headers_too_large", "more than 8 kB of headers", "");
    else if (host == NULL && strcmp(version, "HTTP/1.0") != 0)
        fr_http_error(out, 400, "http.no_host", "a Host header is missing", "");
    else if (!l->is_socket && host != NULL && !fr_http_host_allowed(host, s->listen))
        fr_http_error(out, 403, "http.host", "this Host name is not ours",
                      "ask by address, by localhost, or by the name of http.listen");
    else if (!l->is_socket && s->token != NULL && s->token[0] != '\0' && !fr_http_is_probe(path) &&
             !has_token(c, s->token))
        fr_http_error(out, 401, "http.token", "a token is needed",
                      "send http.token as Authorization: Bearer, or as the password of basic "
                      "authentication");
    else if (!is_read(method) && !is_change(path, method))
        fr_http_error(out, 405, "http.method", "only GET and HEAD are known here", "");
    else if (!is_read(method) && !l->is_socket && (s->token == NULL || s->token[0] == '\0'))
        fr_http_error(out, 403, "http.no_token", "changes need the unix socket, or http.token",
                      "ask on http.socket, or set http.token");
    return out->status != 0;
}

/* --- answering -------------------------------------------------------------------------- */

static void add(struct MHD_Response *r, const char *name, const char *value)
{
    MHD_add_response_header(r, name, value);
}

static void add_headers(struct MHD_Response *r, const fr_answer *a, const char *tag)
{
    if (a->status != 304)
        add(r, "Content-Type", a->type);
    add(r, "Cache-Control", "no-cache");
    add(r, "X-Content-Type-Options", "nosniff");
    if (a->tagged)
        add(r, "ETag", tag);
    if (a->status == 405)
        add(r, "Allow", "GET, HEAD");
    if (a->status == 401)
        add(r, "WWW-Authenticate", "Bearer, Basic realm=\"freshet\"");
    /* What was refused may hold more bytes than we care to read. */
    if (a->status >= 400 && a->status != 404 && a->status != 503)
        add(r, "Connection", "close");
}

static enum MHD_Result send_answer(struct MHD_Connection *c, fr_answer *a)
{
    char tag[24];
    const char *known = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
    snprintf(tag, sizeof(tag), "\"%016llx\"",
             (unsigned long long)fr_hash64(a->body.ptr, a->body.len));
    if (a->tagged && known != NULL && (strstr(known, tag) != NULL || strcmp(known, "*") == 0)) {
        a->status = 304;
        a->body.len = 0;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->body.len, a->body.ptr, MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return MHD_NO;
    add_headers(r, a, tag);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return rc;
}

static const char *argument(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
}

static void about_snapshot(const listener *l, struct MHD_Connection *c, const char *path,
                           const char *method, fr_answer *out)
{
    fr_http_snapshot q = {.table = argument(c, "table"), .where = argument(c, "where")};
    if (is_change(path, method))
        q.verb = strcmp(path, fr_http_snapshots) == 0 ? FR_SNAPSHOT_START : FR_SNAPSHOT_CANCEL;
    fr_http_route_snapshot(l->http->actions, &q, out);
}

static void about_will(const listener *l, struct MHD_Connection *c, const char *path,
                       fr_answer *out)
{
    const fr_http_said said = {
        .by = argument(c, "by"), .why = argument(c, "why"), .anew = argument(c, "anew")};
    fr_http_route_will(l->http->actions, path, &said, out);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_size, void **request)
{
    static char seen;
    listener *l = context;
    fr_answer a = {0};
    (void)body;
    /* Headers first, then once more at the end: a refusal does not wait for a body. */
    if (*request == NULL) {
        *request = &seen;
        if (!refused(l, c, path, method, version, &a))
            return MHD_YES;
    } else if (*body_size > 0) {
        *body_size = 0;
        return MHD_YES;
    } else if (is_change(path, method) && is_will(path)) {
        about_will(l, c, path, &a);
    } else if (strcmp(path, fr_http_snapshots) == 0 || is_change(path, method)) {
        about_snapshot(l, c, path, method, &a);
    } else {
        fr_http_route(l->http->settings, l->http->board, path, &a);
    }
    enum MHD_Result rc = send_answer(c, &a);
    fr_buf_free(&a.body);
    return rc;
}

static void on_log(void *context, const char *fmt, va_list ap)
{
    char line[512];
    (void)context;
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\r\n")] = '\0';
    fr_log(FR_LOG_DEBUG, "http", "%s", line);
}

/* --- starting --------------------------------------------------------------------------- */

static fr_rc read_pem(const char *path, char **out, fr_err *err)
{
    FILE *f = fopen(path, "re");
    char *text = fr_malloc(FILE_MAX + 1);
    size_t len = f != NULL ? fread(text, 1, FILE_MAX, f) : 0;
    int number = errno;
    if (f != NULL)
        fclose(f);
    *out = text;
    if (len > 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "http.tls: %s: %s", path, f == NULL ? strerror(number) : "empty");
    fr_fail_hint(err, "http.tls.cert and http.tls.key name PEM files that this user can read");
    return fr_fail_code(err, "http.tls");
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static fr_rc check_safety(const fr_http_settings *s, bool loopback, fr_err *err)
{
    if (is_set(s->tls_cert) != is_set(s->tls_key)) {
        fr_fail(err, FR_ERR_CONFIG, "http.tls: cert and key belong together");
        return fr_fail_code(err, "http.tls");
    }
    if (loopback || (is_set(s->tls_cert) && is_set(s->token)))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "http.listen: %s can be reached from other machines, and %s is "
            "not set",
            s->listen, is_set(s->tls_cert) ? "http.token" : "http.tls.cert");
    fr_fail_hint(err, "set http.tls.cert, http.tls.key and http.token, or listen on 127.0.0.1");
    return fr_fail_code(err, "http.unsafe");
}

static fr_rc start_daemon(listener *l, int fd, fr_err *err)
{
    const fr_http *h = l->http;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG;
    bool tls = !l->is_socket && h->cert != NULL;
    struct MHD_OptionItem tls_options[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
                                           {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
                                           {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    /* The logger comes first: it catches what the others have to say. */
    l->daemon = MHD_start_daemon(
        flags | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER,
        on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_ARRAY,
        tls ? tls_options : none, MHD_OPTION_END);
    if (l->daemon != NULL)
        return FR_OK;
    close(fd);
    fr_fail(err, FR_ERR_CONFIG, "http: the server does not start%s",
            tls ? ": certificate or key is not usable" : "");
    fr_fail_hint(err, "the log at level debug says why");
    return fr_fail_code(err, tls ? "http.tls" : "http.listen");
}

static fr_rc start_tcp(fr_http *h, fr_err *err)
{
    int fd;
    bool loopback;
    const fr_http_settings *s = h->settings;
    if (!is_set(s->listen) || strcmp(s->listen, "none") == 0)
        return FR_OK;
    FR_TRY(fr_http_listen_tcp(s->listen, &fd, &h->port, &loopback, err));
    fr_rc rc = check_safety(s, loopback, err);
    if (rc == FR_OK && is_set(s->tls_cert))
        rc = read_pem(s->tls_cert, &h->cert, err);
    if (rc == FR_OK && is_set(s->tls_key))
        rc = read_pem(s->tls_key, &h->key, err);
    if (rc == FR_OK)
        return start_daemon(&h->tcp, fd, err);
    close(fd);
    return FR_FAIL;
}

static bool is_directory_missing(const char *path)
{
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return false;
    *slash = '\0';
    return access(dir, F_OK) != 0;
}

/* The default path's directory is there under systemd only; by hand the TCP address does. */
static fr_rc start_local(fr_http *h, fr_err *err)
{
    int fd;
    const char *path = h->settings->socket;
    if (!is_set(path))
        return FR_OK;
    if (h->tcp.daemon != NULL && is_directory_missing(path)) {
        fr_log(FR_LOG_WARN, "http",
               "no socket: the directory of %s does not exist "
               "(http.socket: another path, or empty)",
               path);
        return FR_OK;
    }
    FR_TRY(fr_http_listen_unix(path, &fd, err));
    h->socket = fr_strdup(path);
    if (stat(path, &h->socket_stat) != 0)
        memset(&h->socket_stat, 0, sizeof(h->socket_stat));
    return start_daemon(&h->local, fd, err);
}

static void init_listener(listener *l, fr_http *h, bool is_socket)
{
    l->http = h;
    l->is_socket = is_socket;
    pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < CONNECTIONS; i++)
        l->visitors[i].fd = -1;
}

fr_rc fr_http_start(const fr_http_settings *settings, fr_board *board,
                    const fr_http_actions *actions, fr_http **out, fr_err *err)
{
    fr_http *h = fr_malloc(sizeof(*h));
    h->settings = settings;
    h->board = board;
    h->actions = actions;
    init_listener(&h->tcp, h, false);
    init_listener(&h->local, h, true);
    *out = NULL;
    if (start_tcp(h, err) == FR_FAIL || start_local(h, err) == FR_FAIL) {
        fr_http_stop(h);
        return FR_FAIL;
    }
    h->reaping = pthread_create(&h->reaper, NULL, run_reaper, h) == 0;
    *out = h;
    return FR_OK;
}

/* --- stopping --------------------------------------------------------------------------- */

static void stop_listener(listener *l)
{
    if (l->daemon != NULL)
        MHD_stop_daemon(l->daemon);
    pthread_mutex_destroy(&l->lock);
}

static void remove_socket(const fr_http *h)
{
    struct stat now;
    if (h->socket != NULL && stat(h->socket, &now) == 0 && now.st_ino == h->socket_stat.st_ino &&
        now.st_dev == h->socket_stat.st_dev)
        unlink(h->socket);
}

void fr_http_stop(fr_http *h)
{
    if (h == NULL)
        return;
    atomic_store(&h->stop, true);
    if (h->reaping)
        pthread_join(h->reaper, NULL);
    remove_socket(h);
    stop_listener(&h->tcp);
    stop_listener(&h->local);
    if (h->key != NULL)
        explicit_bzero(h->key, strlen(h->key));
    free(h->key);
    free(h->cert);
    free(h->socket);
    free(h);
}

int fr_http_port(const fr_http *h)
{
    return h->tcp.daemon != NULL ? h->port : 0;
}

const char *fr_http_server_library(void)
{
    return MHD_get_version();
}
