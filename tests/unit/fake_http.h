/* A scripted HTTP server for tests: one thread, one connection at a time. Each rule answers the
 * requests whose "METHOD /path" begins with its prefix; the first that has answers left wins. */
#ifndef FR_TESTS_FAKE_HTTP_H
#define FR_TESTS_FAKE_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct fake_rule {
    const char *prefix;
    int status;
    const char *body;
    int times;        /* how many requests it answers; 0: all */
    const char *head; /* more header lines, each with CRLF */
    int lie;          /* added to Content-Length */
    bool hang;        /* take the request and never answer */
    size_t pad;       /* this many spaces before the body */
    const char *want; /* the request must hold this text, else status 500 */
} fake_rule;

typedef struct fake_http {
    const fake_rule *rules;
    atomic_int used[32];
    atomic_int requests;
    atomic_bool stop;
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    char last[65536];  /* the newest request */
    char trail[16384]; /* "METHOD /path\n" of all */
} fake_http;

static inline void fake_write(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* The whole request, by its Content-Length. */
static inline bool fake_read(fake_http *f, int fd, char *text, size_t size)
{
    size_t len = 0, want = 0;
    while (len + 1 < size && !atomic_load(&f->stop)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20) == 0)
            continue;
        ssize_t n = recv(fd, text + len, size - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end == NULL)
            continue;
        const char *length = strstr(text, "Content-Length: ");
        want = (size_t)(end + 4 - text) + (length != NULL ? strtoul(length + 16, NULL, 10) : 0);
        if (len >= want)
            return true;
    }
    return false;
}

static inline const fake_rule *fake_match(fake_http *f, const char *request)
{
    for (size_t i = 0; f->rules[i].prefix != NULL; i++) {
        const fake_rule *r = &f->rules[i];
        if (strncmp(request, r->prefix, strlen(r->prefix)) != 0)
            continue;
        if (r->times > 0 && atomic_load(&f->used[i]) >= r->times)
            continue;
        atomic_fetch_add(&f->used[i], 1);
        return r;
    }
    return NULL;
}

static inline void fake_answer(int fd, const fake_rule *r, const char *request)
{
    char head[1024];
    bool wanted = r != NULL && (r->want == NULL || strstr(request, r->want) != NULL);
    int status = r == NULL ? 404 : wanted ? r->status : 500;
    const char *body =
        r == NULL ? "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}" : r->body;
    size_t len = strlen(body), pad = r != NULL ? r->pad : 0;
    snprintf(head, sizeof(head),
             "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
             "%sConnection: close\r\n\r\n",
             status, len + pad + (size_t)(r != NULL ? r->lie : 0),
             r != NULL && r->head != NULL ? r->head : "");
    fake_write(fd, head, strlen(head));
    char spaces[4096];
    memset(spaces, ' ', sizeof(spaces));
    for (; pad > 0; pad -= pad < sizeof(spaces) ? pad : sizeof(spaces))
        fake_write(fd, spaces, pad < sizeof(spaces) ? pad : sizeof(spaces));
    fake_write(fd, body, len);
}

static inline void fake_serve(fake_http *f, int fd)
{
    static char request[65536];
    if (!fake_read(f, fd, request, sizeof(request)))
        return;
    const fake_rule *r = fake_match(f, request);
    pthread_mutex_lock(&f->lock);
    memcpy(f->last, request, sizeof(f->last));
    size_t len = strlen(f->trail);
    const char *end = strstr(request, " HTTP/");
    if (end != NULL && len + (size_t)(end - request) + 2 < sizeof(f->trail))
        snprintf(f->trail + len, sizeof(f->trail) - len, "%.*s\n", (int)(end - request), request);
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&f->requests, 1);
    while (r != NULL && r->hang && !atomic_load(&f->stop))
        usleep(10000);
    if (r == NULL || !r->hang)
        fake_answer(fd, r, request);
}

static inline void *fake_run(void *context)
{
    fake_http *f = context;
    while (!atomic_load(&f->stop)) {
        struct pollfd p = {.fd = f->listener, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(f->listener, NULL, NULL);
        if (fd < 0)
            continue;
        fake_serve(f, fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    return NULL;
}

static inline fake_http *fake_start(const fake_rule *rules)
{
    fake_http *f = calloc(1, sizeof(*f));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    f->rules = rules;
    pthread_mutex_init(&f->lock, NULL);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listener, (struct sockaddr *)&a, len) != 0 || listen(f->listener, 16) != 0 ||
        getsockname(f->listener, (struct sockaddr *)&a, &len) != 0)
        abort();
    f->port = ntohs(a.sin_port);
    pthread_create(&f->thread, NULL, fake_run, f);
    return f;
}

static inline void fake_end(fake_http *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    close(f->listener);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

#endif
