#include "connectors/postgres/wal_wait.h"
#include "base/clock.h"
#include "connectors/postgres/pg_conn.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

fr_rc fr_wal_wake_open(fr_wal_wake *w, fr_err *err)
{
    atomic_store(&w->asked, false);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        return fr_fail(err, FR_ERR_BUSY, "eventfd: %s", strerror(errno));
    return FR_OK;
}

void fr_wal_wake_close(fr_wal_wake *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void fr_wal_wake_up(fr_wal_wake *w)
{
    uint64_t one = 1;
    atomic_store(&w->asked, true);
    ssize_t n = write(w->fd, &one, sizeof(one));
    (void)n; /* full means that a wake-up is pending already */
}

bool fr_wal_wake_seen(fr_wal_wake *w)
{
    if (!atomic_load_explicit(&w->asked, memory_order_relaxed) ||
        !atomic_exchange(&w->asked, false))
        return false;
    uint64_t count;
    ssize_t n = read(w->fd, &count, sizeof(count));
    (void)n;
    return true;
}

fr_rc fr_wal_wait(PGconn *conn, fr_wal_wake *w, int64_t until_us, fr_err *err)
{
    int flushed = PQflush(conn);
    if (flushed < 0)
        return fr_pg_fail(conn, NULL, "send", err);
    int64_t left = until_us - fr_now_us();
    if (left < 0)
        left = 0;
    struct timespec t = {.tv_sec = (time_t)(left / 1000000),
                         .tv_nsec = (long)(left % 1000000) * 1000};
    struct pollfd fds[2] = {
        {.fd = PQsocket(conn), .events = (short)(POLLIN | (flushed > 0 ? POLLOUT : 0))},
        {.fd = w->fd, .events = POLLIN},
    };
    int ready = ppoll(fds, 2, &t, NULL);
    if (ready < 0 && errno != EINTR)
        return fr_fail(err, FR_ERR_CONNECT, "poll: %s", strerror(errno));
    if (ready > 0 && (fds[0].revents & ~POLLOUT) != 0)
        return FR_OK;
    return FR_IDLE;
}
