#include "control/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static fr_rc fail(fr_err *err, const char *code, const char *hint, const char *what,
                  const char *why)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: %s", what, why);
    fr_fail_hint(err, "%s", hint);
    return fr_fail_code(err, code);
}

/* --- names ------------------------------------------------------------------------------ */

fr_rc fr_http_split(const char *listen, char *host, size_t host_size, char *port, size_t port_size,
                    fr_err *err)
{
    const char *hint = "write 127.0.0.1:8083, [::1]:8083, or none";
    const char *colon = strrchr(listen, ':');
    const char *from = listen;
    size_t len = colon != NULL ? (size_t)(colon - listen) : 0;
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    } else if (len > 0 && memchr(listen, ':', len) != NULL) {
        return fail(err, "http.listen", hint, listen, "an IPv6 address needs brackets");
    }
    if (len == 0 || len >= host_size || colon[1] == '\0' || strlen(colon + 1) >= port_size ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
        return fail(err, "http.listen", hint, listen, "this is not HOST:PORT");
    snprintf(host, host_size, "%.*s", (int)len, from);
    snprintf(port, port_size, "%s", colon + 1);
    return FR_OK;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* "localhost", and what is below it (RFC 6761). */
static bool is_loopback_name(const char *host)
{
    size_t len = strlen(host);
    return strcasecmp(host, "localhost") == 0 ||
           (len > 10 && strcasecmp(host + len - 10, ".localhost") == 0);
}

bool fr_http_host_allowed(const char *header, const char *listen)
{
    char host[256], own[256], port[8];
    fr_err ignored;
    size_t len = strlen(header);
    const char *end = header[0] == '[' ? strchr(header, ']') : strchr(header, ':');
    const char *from = header[0] == '[' ? header + 1 : header;
    if (header[0] == '[' && end == NULL)
        return false;
    if (end != NULL)
        len = (size_t)(end - from);
    if (len == 0 || len >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)len, from);
    if (is_address(host) || is_loopback_name(host))
        return true;
    return fr_http_split(listen, own, sizeof(own), port, sizeof(port), &ignored) == FR_OK &&
           strcasecmp(own, host) == 0;
}

/* --- TCP -------------------------------------------------------------------------------- */

static bool is_loopback(const struct addrinfo *a)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (a->ai_family == AF_INET && a->ai_addrlen >= sizeof(four)) {
        memcpy(&four, a->ai_addr, sizeof(four));
        return (ntohl(four.sin_addr.s_addr) >> 24) == 127;
    }
    if (a->ai_family != AF_INET6 || a->ai_addrlen < sizeof(six))
        return false;
    memcpy(&six, a->ai_addr, sizeof(six));
    return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
}

static int port_of(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&a)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
}

/* -1 and errno. */
static int bind_one(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

fr_rc fr_http_listen_tcp(const char *where, int *fd_out, int *port_out, bool *loopback_out,
                         fr_err *err)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    FR_TRY(fr_http_split(where, host, sizeof(host), port, sizeof(port), err));
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0)
        return fail(err, "http.listen", "set http.listen to an address of this machine", where,
                    gai_strerror(rc));
    *fd_out = bind_one(found);
    *loopback_out = is_loopback(found);
    int number = errno;
    freeaddrinfo(found);
    if (*fd_out < 0)
        return fail(err, "http.listen",
                    number == EADDRINUSE ? "another program listens there: choose another "
                                           "http.listen, or none"
                                         : "set http.listen to an address of this machine",
                    where, strerror(number));
    *port_out = port_of(*fd_out);
    return FR_OK;
}

/* --- unix ------------------------------------------------------------------------------- */

/* What stands at the path: FR_OK nothing or a socket that nobody serves (removed). */
static fr_rc clear_stale(const char *path, const struct sockaddr_un *a, fr_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return FR_OK;
    if (!S_ISSOCK(st.st_mode))
        return fail(err, "http.socket", "remove it, or set http.socket to another path", path,
                    "there is a file in the way");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0;
    bool stale = !served && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    if (stale && unlink(path) == 0)
        return FR_OK;
    return fail(err, "http.socket", "stop the other freshet, or set http.socket to another path",
                path, served ? "another process serves this socket" : strerror(errno));
}

fr_rc fr_http_listen_unix(const char *path, int *fd_out, fr_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *hint = "make the directory writable for this user, or set http.socket to a path "
                       "that is (empty: no socket)";
    if (strlen(path) >= sizeof(a.sun_path))
        return fail(err, "http.socket", "use a path of at most 107 bytes", path, "too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    FR_TRY(clear_stale(path, &a, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Closed to all until it has its final mode: no moment for a stranger to slip in. */
    bool good = fd >= 0 && fchmod(fd, 0600) == 0 &&
                bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && chmod(path, 0660) == 0 &&
                listen(fd, BACKLOG) == 0;
    if (good) {
        *fd_out = fd;
        return FR_OK;
    }
    fail(err, "http.socket", hint, path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return FR_FAIL;
}
