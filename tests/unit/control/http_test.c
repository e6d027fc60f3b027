#include "base/clock.h"
#include "base/json.h"
#include "control/http_internal.h"
#include "progress/checkpoint.h"
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static fr_err err;

typedef struct fixture {
    char dir[64], socket[96], url[64];
    fr_http_settings settings;
    fr_board *board;
    fr_part *erp;
    fr_http *http;
    fr_arena *a;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/fr_http_XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->socket, sizeof(f->socket), "%s/s", f->dir);
    f->settings = (fr_http_settings){
        .listen = "127.0.0.1:0", .socket = f->socket, .metrics = true, .metrics_max_tables = 500};
    f->board = fr_board_new("p", "w");
    f->erp = fr_board_part(f->board, false, "erp", "postgres");
    const uint64_t by_op[5] = {1, 0, 0, 0, 0};
    fr_part_count(f->erp, FR_STR("public"), FR_STR("orders"), by_op, 10, fr_wall_us());
    fr_part_state(f->erp, FR_STATE_STREAMING, NULL);
    f->a = fr_arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_http_stop(f->http);
    fr_board_free(f->board);
    fr_arena_free(f->a);
    unlink(f->socket);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void start(fixture *f)
{
    assert_ok(fr_http_start(&f->settings, f->board, NULL, &f->http, &err));
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", fr_http_port(f->http));
}

static int get(fixture *f, const char *where, const char *path, fr_str *body)
{
    int status = 0;
    assert_ok(fr_http_ask(where, false, path, f->settings.token, f->a, &status, body, &err));
    return status;
}

static int connect_to(const fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)fr_http_port(f->http)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Sends bytes as they are; returns all that comes back until the other side closes. */
static size_t raw(const fixture *f, const char *request, char *reply, size_t size)
{
    int fd = connect_to(f);
    size_t len = 0, left = strlen(request);
    for (ssize_t n; left > 0; left -= (size_t)n, request += n) {
        n = send(fd, request, left, MSG_NOSIGNAL);
        if (n <= 0)
            break;
    }
    int64_t deadline = fr_now_us() + 20000000;
    while (len + 1 < size && fr_now_us() < deadline) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) == 0)
            continue;
        ssize_t n = recv(fd, reply + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    assert_true(fr_now_us() < deadline);
    reply[len] = '\0';
    close(fd);
    return len;
}

#define END "Connection: close\r\n\r\n"

static void every_path_answers_on_both_listeners(void **state)
{
    fixture *f = *state;
    start(f);
    static const struct {
        const char *path;
        int status;
        const char *part;
    } cases[] = {
        {"/healthz", 200, "\"healthy\":true"},
        {"/readyz", 200, "1 tables: 1 streaming"},
        {"/version", 200, FR_VERSION},
        {"/metrics", 200, "# TYPE freshet_build_info gauge"},
        {"/v1/status", 200, "\"pipeline\":\"p\""},
        {"/v1/sources", 200, "{\"sources\":[{"},
        {"/v1/sinks", 200, "{\"sinks\":[]}"},
        {"/v1/tables", 200, "public.orders"},
        {"/v1/tables/erp/public.orders", 200, "public.orders"},
        {"/v1/tables/erp%2Fpublic.orders", 200, "\"part\":\"erp\""},
        {"/v1/tables/public.orders", 200, "\"kind\":\"source\""},
        {"/v1/tables/nope", 404, "http.no_such_table"},
        {"/", 404, "http.no_such_path"},
        {"/v1/statusx", 404, "http.no_such_path"},
        {"/../etc/passwd", 404, "http.no_such_path"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int local = 0; local < 2; local++) {
            fr_str body;
            int status = get(f, local ? f->socket : f->url, cases[i].path, &body);
            const char *text = fr_arena_cstr(f->a, body);
            if (status != cases[i].status || strstr(text, cases[i].part) == NULL)
                fail_msg("%s: %d %s", cases[i].path, status, text);
        }
}

static void stalled_is_unhealthy_and_pending_unready(void **state)
{
    fixture *f = *state;
    fr_str body;
    start(f);
    fr_part_state(f->erp, FR_STATE_PENDING, NULL);
    assert_int_equal(get(f, f->url, "/readyz", &body), 503);
    assert_int_equal(get(f, f->url, "/healthz", &body), 200);
}

static void the_etag_saves_the_body(void **state)
{
    fixture *f = *state;
    char reply[8192], request[512];
    start(f);
    fr_part_progress(f->erp);
    fr_part_progress(f->erp); /* nothing waits: the document stands still */
    raw(f, "GET /v1/sinks HTTP/1.1\r\nHost: localhost\r\n" END, reply, sizeof(reply));
    const char *tag = strstr(reply, "ETag: \"");
    assert_non_null(tag);
    snprintf(request, sizeof(request),
             "GET /v1/sinks HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %.18s\r\n" END, tag + 6);
    raw(f, request, reply, sizeof(reply));
    assert_non_null(strstr(reply, "HTTP/1.1 304"));
    assert_null(strstr(reply, "sinks\":"));
}

static void head_has_no_body_and_post_is_not_allowed(void **state)
{
    fixture *f = *state;
    char reply[8192];
    start(f);
    raw(f, "HEAD /version HTTP/1.1\r\nHost: localhost\r\n" END, reply, sizeof(reply));
    assert_non_null(strstr(reply, "HTTP/1.1 200"));
    assert_non_null(strstr(reply, "Content-Length: "));
    assert_null(strstr(reply, "freshet\""));
    raw(f, "POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n" END "hello",
        reply, sizeof(reply));
    assert_non_null(strstr(reply, "HTTP/1.1 405"));
    assert_non_null(strstr(reply, "Allow: GET, HEAD"));
    assert_non_null(strstr(reply, "\"http.method\""));
}

static void foreign_hosts_are_refused(void **state)
{
    fixture *f = *state;
    char reply[8192], request[512];
    start(f);
    static const struct {
        const char *host;
        bool allowed;
    } cases[] = {{"localhost", true},
                 {"localhost:80", true},
                 {"LOCALHOST", true},
                 {"a.localhost", true},
                 {"127.0.0.1", true},
                 {"127.0.0.1:1", true},
                 {"[::1]:8083", true},
                 {"10.1.2.3", true},
                 {"evil.example", false},
                 {"localhost.evil", false},
                 {"127.0.0.1.evil", false},
                 {"[::1", false},
                 {"", false},
                 {":80", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(request, sizeof(request), "GET /version HTTP/1.1\r\nHost: %s\r\n" END,
                 cases[i].host);
        raw(f, request, reply, sizeof(reply));
        if ((strstr(reply, "HTTP/1.1 200") != NULL) != cases[i].allowed)
            fail_msg("%s: %s", cases[i].host, reply);
    }
    raw(f, "GET /version HTTP/1.1\r\n" END, reply, sizeof(reply));
    assert_non_null(strstr(reply, "HTTP/1.1 400"));
    assert_true(fr_http_host_allowed("freshet.example:1", "freshet.example:8083"));
}

static void large_headers_are_refused(void **state)
{
    fixture *f = *state;
    static char request[40000], reply[8192];
    start(f);
    static const size_t sizes[] = {7000, 9000, 30000};
    for (size_t i = 0; i < 3; i++) {
        int n =
            snprintf(request, sizeof(request), "GET /version HTTP/1.1\r\nHost: localhost\r\nX: ");
        memset(request + n, 'a', sizes[i]);
        strcpy(request + n + sizes[i], "\r\n" END);
        raw(f, request, reply, sizeof(reply));
        assert_true((strstr(reply, "HTTP/1.1 200") != NULL) == (sizes[i] < 8000));
    }
    fr_str body;
    assert_int_equal(get(f, f->url, "/version", &body), 200);
}

static void a_token_is_asked_for_over_tcp(void **state)
{
    fixture *f = *state;
    char reply[8192];
    f->settings.token = "s3cret";
    start(f);
    static const struct {
        const char *path, *header;
        int status;
    } cases[] = {{"/v1/status", "", 401},
                 {"/metrics", "", 401},
                 {"/healthz", "", 200},
                 {"/readyz", "", 200},
                 {"/v1/status", "Authorization: Bearer s3cret\r\n", 200},
                 {"/v1/status", "Authorization: Bearer s3cre\r\n", 401},
                 {"/v1/status", "Authorization: Bearer s3crets3cret\r\n", 401},
                 {"/v1/status", "Authorization: Bearer \r\n", 401},
                 {"/v1/status", "Authorization: Basic YW55OnMzY3JldA==\r\n", 200}, /* any:s3cret */
                 {"/v1/status", "Authorization: Basic czNjcmV0Og==\r\n", 401},     /* s3cret: */
                 {"/v1/status", "Authorization: Basic !!\r\n", 401}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char request[512], want[32];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s" END,
                 cases[i].path, cases[i].header);
        snprintf(want, sizeof(want), "HTTP/1.1 %d", cases[i].status);
        raw(f, request, reply, sizeof(reply));
        if (strstr(reply, want) == NULL)
            fail_msg("%s %s: %s", cases[i].path, cases[i].header, reply);
    }
    fr_str body;
    int status = 0;
    assert_ok(fr_http_ask(f->socket, false, "/v1/status", NULL, f->a, &status, &body, &err));
    assert_int_equal(status, 200); /* the socket's mode is its guard */
}

/* Asked for, told of; "erp/gone" is refused. */
static fr_rc fake_snapshot(void *context, const fr_http_snapshot *q, const char **state_out,
                           fr_err *why, fr_err *e)
{
    int *asked = context;
    if (strcmp(q->table, "erp/gone") == 0) {
        fr_fail(e, FR_ERR_CONFIG, "there is no \"%s\"", q->table);
        return fr_fail_code(e, "snapshot.no_table");
    }
    *asked += q->verb == FR_SNAPSHOT_START ? 1 : q->verb == FR_SNAPSHOT_CANCEL ? 100 : 0;
    *state_out = *asked > 0 ? "asked" : "none";
    if (q->where[0] != '\0') {
        fr_fail(why, FR_ERR_CONFIG, "no \"%s\"", q->where);
        fr_fail_code(why, "snapshot.where");
        fr_fail_hint(why, "another");
        *state_out = "refused";
    }
    return FR_OK;
}

static void refuses(fixture *f, const char *method_and_path, const char *status, const char *code)
{
    char request[256], reply[8192];
    snprintf(request, sizeof(request),
             "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" END, method_and_path);
    raw(f, request, reply, sizeof(reply));
    if (strstr(reply, status) == NULL || strstr(reply, code) == NULL)
        fail_msg("%s: %s", method_and_path, reply);
}

static int post(fixture *f, const char *where, const char *path, const char *token, char **text)
{
    int status = 0;
    fr_str body;
    assert_ok(fr_http_ask(where, true, path, token, f->a, &status, &body, &err));
    *text = fr_arena_cstr(f->a, body);
    return status;
}

static void serve(fixture *f, const fr_http_actions *actions)
{
    assert_ok(fr_http_start(&f->settings, f->board, actions, &f->http, &err));
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", fr_http_port(f->http));
}

/* No longer than what a checkpoint takes, and the request no longer than 8 kB. */
static void a_condition_has_a_length(void **state)
{
    fixture *f = *state;
    int asked = 0;
    char *text, path[9000] = "/v1/snapshots?table=erp/t&where=";
    const fr_http_actions actions = {.context = &asked, .snapshot = fake_snapshot};
    size_t before = strlen(path);
    serve(f, &actions);
    memset(path + before, 'a', FR_WHERE_MAX);
    assert_int_equal(post(f, f->socket, path, NULL, &text), 202);
    path[before + FR_WHERE_MAX] = 'a';
    assert_int_equal(post(f, f->socket, path, NULL, &text), 400);
    assert_non_null(strstr(text, "http.bad_where"));
    assert_non_null(strstr(text, "at most 4096 bytes"));
    memset(path + before, 'a', sizeof(path) - before - 1);
    assert_int_equal(post(f, f->socket, path, NULL, &text), 431);
    assert_int_equal(asked, 1);
}

static void a_change_needs_the_socket_or_the_token(void **state)
{
    fixture *f = *state;
    int asked = 0;
    char *text;
    fr_str body;
    const fr_http_actions actions = {.context = &asked, .snapshot = fake_snapshot};
    const char *one = "/v1/snapshots?table=erp/public.t%26x";
    serve(f, &actions);
    refuses(f, "POST /v1/snapshots?table=a", "HTTP/1.1 403", "http.no_token");
    refuses(f, "POST /v1/status", "HTTP/1.1 405", "http.method");
    refuses(f, "DELETE /v1/snapshots?table=a", "HTTP/1.1 405", "http.method");
    assert_int_equal(get(f, f->socket, one, &body), 200);
    assert_string_equal(fr_arena_cstr(f->a, body),
                        "{\"table\":\"erp/public.t&x\",\"state\":\"none\"}\n");
    assert_int_equal(post(f, f->socket, one, NULL, &text), 202);
    assert_int_equal(asked, 1);
    assert_int_equal(post(f, f->socket, "/v1/snapshots", NULL, &text), 400);
    assert_int_equal(post(f, f->socket, "/v1/snapshots?table=erp/gone", NULL, &text), 404);
    assert_non_null(strstr(text, "there is no \\\"erp/gone"));
    assert_int_equal(post(f, f->socket, "/v1/snapshots?table=erp/publi%e3.t", NULL, &text), 400);
    char long_one[1200] = "/v1/snapshots?table=";
    memset(long_one + strlen(long_one), 'a', 900);
    assert_int_equal(post(f, f->socket, long_one, NULL, &text), 400);
    assert_int_equal(asked, 1);
    assert_int_equal(
        post(f, f->socket, "/v1/snapshots?table=erp/t&where=a%3e%20%22b%22", NULL, &text), 202);
    assert_string_equal(text, "{\"table\":\"erp/t\",\"state\":\"refused\",\"why\":{\"code\":"
                              "\"snapshot.where\",\"text\":\"no \\\"a> \\\"b\\\"\\\"\",\"hint\":"
                              "\"another\"}}\n");
    assert_int_equal(post(f, f->socket, "/v1/snapshots:cancel?table=erp/t", NULL, &text), 202);
    assert_int_equal(asked, 102);
    assert_int_equal(post(f, f->socket, "/v1/snapshots:cancel?table=erp/t&where=a", NULL, &text),
                     400);
    assert_int_equal(get(f, f->socket, "/v1/snapshots:cancel?table=erp/t", &body), 404);
    assert_int_equal(asked, 102);
    asked = 1;
    fr_http_stop(f->http);
    f->settings.token = "s3cret";
    serve(f, &actions);
    assert_int_equal(post(f, f->url, one, "wrong", &text), 401);
    assert_int_equal(asked, 1);
    assert_int_equal(post(f, f->url, one, "s3cret", &text), 202);
    assert_int_equal(asked, 2);
}

typedef struct wished {
    int count;
    fr_target_of of;
    char name[64], by[32], why[64];
    fr_will_state state;
    bool restart, anew;
} wished;

/* Keeps what was wanted; "erp/gone" is not there, "erp/odd" makes no sense. */
static fr_rc fake_will(void *context, const fr_http_will *q, fr_will *w, fr_err *e)
{
    wished *got = context;
    if (strcmp(q->name, "erp/gone") == 0 || strcmp(q->name, "erp/odd") == 0) {
        fr_fail(e, FR_ERR_CONFIG, "not \"%s\"", q->name);
        return fr_fail_code(e, q->name[4] == 'g' ? "cli.no_table" : "control.why");
    }
    *got = (wished){.count = got->count + 1,
                    .of = q->of,
                    .state = w->state,
                    .restart = w->restart,
                    .anew = w->anew};
    snprintf(got->name, sizeof(got->name), "%s", q->name);
    snprintf(got->by, sizeof(got->by), "%.*s", FR_ARG(w->by));
    snprintf(got->why, sizeof(got->why), "%.*s", FR_ARG(w->why));
    w->target = (fr_will_target){FR_WILL_TABLE, FR_STR("erp"), FR_STR("p.\"t")};
    w->at_us = 42;
    return FR_OK;
}

static void what_is_wanted_is_asked_for_by_post(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *path;
        fr_target_of of;
        const char *name;
        fr_will_state state;
        bool restart, anew;
    } good[] = {
        {"/v1/tables/erp/public.t:pause", FR_OF_TABLES, "erp/public.t", FR_WILL_PAUSED, 0, 0},
        {"/v1/tables/erp%2Fpublic.a%3Ab:resume", FR_OF_TABLES, "erp/public.a:b", 0, 0, 0},
        {"/v1/tables/erp/public.t:resume?anew=true", FR_OF_TABLES, "erp/public.t", 0, 0, 1},
        {"/v1/tables/erp/public.t:restart", FR_OF_TABLES, "erp/public.t", 0, 1, 0},
        {"/v1/sources/erp:stop", FR_OF_SOURCES, "erp", FR_WILL_STOPPED, 0, 0},
        {"/v1/sinks/wh:pause", FR_OF_SINKS, "wh", FR_WILL_PAUSED, 0, 0},
    };
    wished got = {0};
    char *text;
    fr_str body;
    const fr_http_actions actions = {.context = &got, .will = fake_will};
    serve(f, &actions);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(post(f, f->socket, good[i].path, NULL, &text), 202);
        assert_non_null(strstr(text, "{\"target\":\"table/erp/p.\\\"t\",\"state\":\""));
        assert_non_null(strstr(text, "\"at_us\":42}"));
        if (got.of != good[i].of || strcmp(got.name, good[i].name) != 0 ||
            got.state != good[i].state || got.restart != good[i].restart ||
            got.anew != good[i].anew || strcmp(got.by, "http") != 0)
            fail_msg("%s: %s %d", good[i].path, got.name, (int)got.state);
    }
    assert_int_equal(
        post(f, f->socket, "/v1/sources/erp:pause?by=ana%40db1&why=a%20b", NULL, &text), 202);
    assert_string_equal(got.by, "ana@db1");
    assert_string_equal(got.why, "a b");
    int before = got.count;
    assert_int_equal(post(f, f->socket, "/v1/tables/erp/gone:pause", NULL, &text), 404);
    assert_int_equal(post(f, f->socket, "/v1/tables/erp/odd:pause", NULL, &text), 400);
    assert_int_equal(post(f, f->socket, "/v1/tables/erp/t:pause?anew=true", NULL, &text), 400);
    assert_int_equal(post(f, f->socket, "/v1/tables/e%ff/p.t:pause", NULL, &text), 400);
    refuses(f, "POST /v1/tables/erp/p.t:stop", "HTTP/1.1 405", "http.method");
    refuses(f, "POST /v1/tables/erp/p.t:drop", "HTTP/1.1 405", "http.method");
    refuses(f, "POST /v1/sources/:pause", "HTTP/1.1 405", "http.method");
    refuses(f, "POST /v1/sources/erp:pause", "HTTP/1.1 403", "http.no_token");
    assert_int_equal(get(f, f->socket, "/v1/tables/erp/public.t:pause", &body), 404);
    assert_int_equal(got.count, before);
}

static void unsafe_listeners_are_refused(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *listen, *code;
    } cases[] = {{"0.0.0.0:0", "http.unsafe"},       {"[::]:0", "http.unsafe"},
                 {"127.0.0.1", "http.listen"},       {"127.0.0.1:", "http.listen"},
                 {"127.0.0.1:99999", "http.listen"}, {":80", "http.listen"},
                 {"::1:80", "http.listen"},          {"no.such.host.invalid:80", "http.listen"}};
    f->settings.token = "t";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->settings.listen = cases[i].listen;
        assert_fails(fr_http_start(&f->settings, f->board, NULL, &f->http, &err), FR_ERR_CONFIG);
        if (strcmp(err.code, cases[i].code) != 0 && strcmp(cases[i].listen, "[::]:0") != 0)
            fail_msg("%s: %s %s", cases[i].listen, err.code, err.text);
        assert_null(f->http);
        assert_int_not_equal(access(f->socket, F_OK), 0);
    }
    f->settings.listen = "127.0.0.1:0";
    f->settings.tls_cert = "/nonexistent";
    assert_fails(fr_http_start(&f->settings, f->board, NULL, &f->http, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "http.tls");
}

static void a_taken_port_is_told(void **state)
{
    fixture *f = *state;
    char listen[64];
    fr_http *second = NULL;
    start(f);
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", fr_http_port(f->http));
    fr_http_settings s = {.listen = listen};
    assert_fails(fr_http_start(&s, f->board, NULL, &second, &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.hint, "another program"));
}

static void the_socket_is_replaced_only_when_nobody_serves_it(void **state)
{
    fixture *f = *state;
    struct stat st;
    f->settings.listen = "none";
    assert_ok(fr_http_start(&f->settings, f->board, NULL, &f->http, &err));
    assert_int_equal(fr_http_port(f->http), 0);
    assert_int_equal(stat(f->socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    fr_http *second = NULL;
    assert_fails(fr_http_start(&f->settings, f->board, NULL, &second, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "http.socket");
    fr_str body;
    assert_int_equal(get(f, f->socket, "/version", &body), 200); /* and the first lives on */
    fr_http_stop(f->http);
    f->http = NULL;
    assert_int_not_equal(access(f->socket, F_OK), 0);
    /* a dead one */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    assert_ok(fr_http_start(&f->settings, f->board, NULL, &f->http, &err));
    fr_http_stop(f->http);
    f->http = NULL;
    /* a file that is no socket stays */
    FILE *file = fopen(f->socket, "w");
    fclose(file);
    assert_fails(fr_http_start(&f->settings, f->board, NULL, &f->http, &err), FR_ERR_CONFIG);
    assert_int_equal(access(f->socket, F_OK), 0);
}

/* S13: a hundred that say nothing, and some that drip, must not keep others out for long. */
static void idle_and_dripping_connections_are_closed(void **state)
{
    fixture *f = *state;
    enum { IDLE = 100 };
    int fds[IDLE];
    start(f);
    for (int i = 0; i < IDLE; i++)
        fds[i] = connect_to(f);
    fr_str body;
    int status = 0;
    int64_t deadline = fr_now_us() + 60000000;
    while (status != 200 && fr_now_us() < deadline) {
        for (int i = 0; i < IDLE; i++)
            (void)!send(fds[i], "G", 1,
                        MSG_NOSIGNAL | MSG_DONTWAIT); /* MHD's time-out never ends */
        if (fr_http_ask(f->url, false, "/version", NULL, f->a, &status, &body, &err) == FR_FAIL)
            status = 0;
    }
    assert_int_equal(status, 200);
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
}

static void nobody_there_is_a_connect_error(void **state)
{
    fixture *f = *state;
    int status;
    fr_str body;
    assert_fails(fr_http_ask(f->socket, false, "/version", NULL, f->a, &status, &body, &err),
                 FR_ERR_CONNECT);
    assert_non_null(strstr(err.hint, "freshet run"));
}

static void notify_reaches_both_kinds_of_socket(void **state)
{
    fixture *f = *state;
    char names[2][128];
    snprintf(names[0], sizeof(names[0]), "%s", f->socket);
    snprintf(names[1], sizeof(names[1]), "@fr-test-%d", (int)getpid());
    unsetenv("NOTIFY_SOCKET");
    fr_notify("READY=1"); /* nobody asked */
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        memcpy(a.sun_path, names[i], strlen(names[i]));
        if (i == 1)
            a.sun_path[0] = '\0';
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(names[i]));
        assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
        setenv("NOTIFY_SOCKET", names[i], 1);
        fr_notify("STATUS=fine");
        char got[64] = "";
        assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 11);
        assert_string_equal(got, "STATUS=fine");
        close(fd);
    }
    unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(every_path_answers_on_both_listeners),
        T(stalled_is_unhealthy_and_pending_unready),
        T(the_etag_saves_the_body),
        T(head_has_no_body_and_post_is_not_allowed),
        T(foreign_hosts_are_refused),
        T(large_headers_are_refused),
        T(a_token_is_asked_for_over_tcp),
        T(a_condition_has_a_length),
        T(a_change_needs_the_socket_or_the_token),
        T(what_is_wanted_is_asked_for_by_post),
        T(unsafe_listeners_are_refused),
        T(a_taken_port_is_told),
        T(the_socket_is_replaced_only_when_nobody_serves_it),
        T(idle_and_dripping_connections_are_closed),
        T(nobody_there_is_a_connect_error),
        T(notify_reaches_both_kinds_of_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
