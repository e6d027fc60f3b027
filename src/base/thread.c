#include "base/thread.h"
#include "base/failpoint.h"
#include <errno.h>
#include <string.h>
#include <time.h>

fr_rc fr_thread_start(pthread_t *out, void *(*body)(void *), void *context, fr_err *err)
{
    int rc = FR_FAILPOINT("thread") ? EAGAIN : pthread_create(out, NULL, body, context);
    if (rc == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_BUSY, "a thread cannot be made: %s", strerror(rc));
    fr_fail_code(err, "thread");
    return fr_fail_hint(err, "Raise what limits them: LimitNPROC and TasksMax of the unit, pids of "
                             "the container, or memory.");
}

void fr_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool fr_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX)
        return pthread_cond_wait(c, lock) == 0;
    if (deadline_us <= 0)
        return false;
    struct timespec ts = {.tv_sec = deadline_us / 1000000,
                          .tv_nsec = (deadline_us % 1000000) * 1000};
    return pthread_cond_timedwait(c, lock, &ts) == 0;
}
