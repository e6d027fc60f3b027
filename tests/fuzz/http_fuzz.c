/* What a visitor may send to the daemon. Byte 0 odd: the rest is a request, byte by byte, to a
 * server on a unix socket, through libmicrohttpd. Even: what libmicrohttpd would hand over (a
 * path, or the text of ?table=, a Host header, http.listen), straight to those who read it. */
#include "base/json.h"
#include "control/http_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 16384, REPLY_MAX = 1 << 20 };

static fr_http_settings settings = {
    .listen = "none", .metrics = true, .metrics_max_tables = 500, .token = "secret"};
static fr_board *board;
static fr_http *server;
static char dir[] = "/tmp/fr_http_fuzz_XXXXXX", place[sizeof(dir) + 2];
static bool asked; /* somebody asked for a snapshot; read when the answer is there */

static void require(bool holds)
{
    if (!holds)
        abort();
}

static fr_rc snapshot(void *context, const fr_http_snapshot *q, const char **state_out, fr_err *why,
                      fr_err *err)
{
    (void)context;
    require(q->table != NULL && q->table[0] != '\0' && q->where != NULL);
    asked = asked || q->verb != FR_SNAPSHOT_LOOK;
    *state_out = "asked";
    if (q->where[0] != '\0') {
        *state_out = "refused";
        fr_fail(why, FR_ERR_CONFIG, "bad condition: %s", q->where);
    }
    if (strchr(q->table, '/') != NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "there is no table %s", q->table);
    return fr_fail_code(err, "snapshot.no_table");
}

static const fr_http_actions actions = {.snapshot = snapshot};

static void stop(void)
{
    fr_http_stop(server);
    fr_board_free(board);
    unlink(place);
    rmdir(dir);
}

static void start(void)
{
    const uint64_t by_op[5] = {1, 0, 0, 0, 0};
    fr_err err;
    board = fr_board_new("p", "w");
    fr_part *part = fr_board_part(board, false, "erp", "postgres");
    fr_part_count(part, FR_STR("public"), FR_STR("orders"), by_op, 10, 1);
    require(mkdtemp(dir) != NULL);
    snprintf(place, sizeof(place), "%s/s", dir);
    settings.socket = place;
    require(fr_http_start(&settings, board, &actions, &server, &err) == FR_OK);
    atexit(stop);
}

/* ---- straight to our own code ---- */

static void check_answer(fr_answer *a)
{
    require(a->status >= 200 && a->status <= 599 && a->type != NULL && a->body.len < REPLY_MAX);
    if (strcmp(a->type, "application/json") == 0) {
        json_t *j = NULL;
        fr_err err;
        require(fr_json_parse(fr_buf_view(&a->body), &j, &err) == FR_OK);
        json_decref(j);
    }
    fr_buf_free(&a->body);
}

/* "table", and behind a newline "where". */
static void direct_snapshot(const char *text, fr_answer *a)
{
    char *copy = fr_strdup(text), *where = strchr(copy, '\n');
    if (where != NULL)
        *where++ = '\0';
    fr_http_snapshot q = {.verb = FR_SNAPSHOT_START, .table = copy, .where = where};
    fr_http_route_snapshot(&actions, &q, a);
    check_answer(a);
    free(copy);
}

static void direct(int which, const char *text)
{
    fr_answer a = {0};
    char host[64], port[16];
    fr_err err;
    switch (which) {
    case 0:
        fr_http_route(&settings, board, text, &a);
        check_answer(&a);
        return;
    case 1:
        direct_snapshot(text, &a);
        return;
    case 2:
        /* Whoever may be let in by name is let in by the same name in any case and port. */
        if (fr_http_host_allowed(text, "127.0.0.1:8083"))
            require(strncasecmp(text, "evil.example", 12) != 0);
        return;
    default:
        if (fr_http_split(text, host, sizeof(host), port, sizeof(port), &err) == FR_OK)
            require(strlen(host) < sizeof(host) && strlen(port) < sizeof(port));
        else
            require(err.kind == FR_ERR_CONFIG);
    }
}

/* ---- through libmicrohttpd ---- */

static int visit(const uint8_t *data, size_t size)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, place, sizeof(place));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* it has heard enough */
        data += n;
        size -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    return fd;
}

static bool contains(const uint8_t *data, size_t size, const char *what)
{
    return memmem(data, size, what, strlen(what)) != NULL;
}

static void through_the_server(const uint8_t *data, size_t size)
{
    static char reply[4096];
    size_t len = 0, total = 0;
    asked = false;
    int fd = visit(data, size);
    for (ssize_t n; (n = recv(fd, reply + len, sizeof(reply) - len, 0)) > 0;) {
        total += (size_t)n;
        len = len + (size_t)n < sizeof(reply) ? len + (size_t)n : sizeof(reply) - 1;
        require(total < (size_t)64 * REPLY_MAX);
    }
    close(fd);
    require(len == 0 || (len >= 12 && strncmp(reply, "HTTP/1.", 7) == 0));
    /* Nothing is changed but by a POST to the one path that takes it. */
    if (asked)
        require(contains(data, size, "POST") && contains(data, size, "snapshots"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (board == NULL)
        start();
    if (size < 1 || size > MOST)
        return 0;
    if (data[0] % 2 == 1) {
        through_the_server(data + 1, size - 1);
        return 0;
    }
    char *text = fr_malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    direct(data[0] / 2 % 4, text);
    free(text);
    return 0;
}
