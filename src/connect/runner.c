#include "connect/runner.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdio.h>
#include <string.h>

enum { FIRST_WAIT_US = 500000, LONGEST_WAIT_US = 30000000 };

/* Sleep, but wake for a stop. */
static void rest(fr_runner *r, int64_t us)
{
    int64_t at = fr_now_us() + us;
    pthread_mutex_lock(&r->lock);
    while (!atomic_load(&r->stopping) && fr_cond_wait(&r->wake, &r->lock, at))
        continue;
    pthread_mutex_unlock(&r->lock);
}

static void finish(fr_runner *r, bool failed, const fr_err *err)
{
    if (failed) {
        fr_log_err(FR_LOG_ERROR, r->who, err);
        FR_TELL(r->observer, error, FR_STATE_FAILED, err, 0);
    } else {
        FR_TELL(r->observer, state, FR_STATE_STOPPED, NULL);
    }
    pthread_mutex_lock(&r->lock);
    r->done = true;
    r->failed = failed;
    if (failed)
        r->err = *err;
    pthread_mutex_unlock(&r->lock);
}

static bool passes(const fr_runner *r, const fr_err *err)
{
    return fr_err_retry(err->kind) == FR_RETRY_BACKOFF || (r->passes != NULL && r->passes(err));
}

/* True: that was the end. */
static bool ended(fr_runner *r, fr_rc rc, const fr_err *err)
{
    bool again = rc != FR_FAIL || passes(r, err);
    bool stopped = atomic_load(&r->stopping) && (again || err->kind == FR_ERR_CANCELLED);
    if (stopped || !again)
        finish(r, !stopped, err);
    return stopped || !again;
}

/* said: the error that was told last, as long as that one is merely awaited. */
static void tell(fr_runner *r, const fr_err *err, int64_t wait, bool awaited, char *said,
                 size_t size)
{
    if (!awaited || strcmp(said, err->text) != 0) {
        fr_log_err(FR_LOG_WARN, r->who, err);
        fr_log(FR_LOG_INFO, r->who, "trying again in %.1f s", (double)wait / 1e6);
    }
    snprintf(said, size, "%s", awaited ? err->text : "");
    FR_TELL(r->observer, error, FR_STATE_RETRYING, err, fr_wall_us() + wait);
}

static void *runner_thread(void *context)
{
    fr_runner *r = context;
    pthread_setname_np(pthread_self(), r->thread_name);
    fr_backoff backoff = {.first_us = FIRST_WAIT_US, .max_us = LONGEST_WAIT_US};
    fr_err err = {0};
    char said[sizeof(err.text)] = "";
    FR_TELL(r->observer, state, FR_STATE_PENDING, NULL);
    for (;;) {
        r->progressed = false;
        fr_cancel_by(&r->stopping);
        fr_rc rc = r->run(r->context, &err);
        if (ended(r, rc, &err))
            return NULL;
        if (rc == FR_IDLE)
            continue;
        bool awaited = rc == FR_FAIL && r->awaited != NULL && r->awaited(&err);
        if (r->progressed || awaited)
            fr_backoff_reset(&backoff);
        int64_t wait = fr_backoff_next(&backoff);
        if (rc == FR_FAIL)
            tell(r, &err, wait, awaited, said, sizeof(said));
        rest(r, wait);
    }
}

void fr_runner_start(fr_runner *r)
{
    fr_err err;
    pthread_mutex_init(&r->lock, NULL);
    fr_cond_init(&r->wake);
    r->started = fr_thread_start(&r->thread, runner_thread, r, &err) == FR_OK;
    if (!r->started)
        finish(r, true, &err);
}

void fr_runner_stop(fr_runner *r)
{
    atomic_store(&r->stopping, true);
    pthread_mutex_lock(&r->lock);
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void fr_runner_abandon(fr_runner *r)
{
    atomic_store(&r->abandoned, true);
    fr_runner_stop(r);
}

bool fr_runner_done(fr_runner *r, bool *failed_out, fr_err *err_out)
{
    pthread_mutex_lock(&r->lock);
    bool done = r->done;
    if (done && failed_out != NULL)
        *failed_out = r->failed;
    if (done && r->failed && err_out != NULL)
        *err_out = r->err;
    pthread_mutex_unlock(&r->lock);
    return done;
}

void fr_runner_end(fr_runner *r)
{
    fr_runner_stop(r);
    if (r->started)
        pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
}
