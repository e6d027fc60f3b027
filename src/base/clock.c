#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t fr_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t fr_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

void fr_sleep_us(int64_t us)
{
    if (us <= 0)
        return;
    struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000};
    while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
        continue;
}

int64_t fr_backoff_next(fr_backoff *b)
{
    int64_t ceiling = b->first_us;
    for (unsigned i = 0; i < b->tries && ceiling < b->max_us; i++)
        ceiling *= 2;
    if (ceiling > b->max_us)
        ceiling = b->max_us;
    b->tries++;
    uint64_t r = 0;
    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r))
        r = (uint64_t)fr_now_us() * 0x9E3779B97F4A7C15u;
    int64_t half = ceiling / 2;
    return half + (int64_t)(r % (uint64_t)(half + 1));
}

void fr_backoff_reset(fr_backoff *b)
{
    b->tries = 0;
}

void fr_time_text(char *out, int64_t wall_us)
{
    time_t s = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(wall_us % 1000000 / 1000));
}
