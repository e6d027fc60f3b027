/* The life of a part, as both drivers need it: a thread of its own that runs it, waits and runs
 * it again, until it is stopped or an error says that trying again is of no use. The kind of the
 * error decides, and nothing else. */
#ifndef FR_CONNECT_RUNNER_H
#define FR_CONNECT_RUNNER_H

#include "base/error.h"
#include "base/thread.h"
#include "connect/observer.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct fr_runner { /* a member of the driver's own; zero but for what start takes */
    const char *thread_name;
    const char *who; /* "source erp": for the log. Borrowed. */
    const fr_observer *observer;
    /* Open, work, close: until stopping or a failure. Its waits end (base/cancel.h) once
     * stopping; where something must be finished first it calls fr_cancel_by(&abandoned).
     * FR_IDLE: nothing went wrong, and it wants to be run again at once. */
    fr_rc (*run)(void *context, fr_err *err);
    /* More that passes by itself than the BACKOFF kinds; NULL: nothing. */
    bool (*passes)(const fr_err *err);
    /* Of those, what somebody else has yet to do: said once, asked again soon. NULL: nothing. */
    bool (*awaited)(const fr_err *err);
    void *context;

    atomic_bool stopping, abandoned;
    bool progressed; /* set by run: the next wait is short again */

    /* Its own. */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done, failed;
    fr_err err;
} fr_runner;

/* Never fails: a thread that cannot be made is a part that has failed (BUSY, thread). */
void fr_runner_start(fr_runner *r);
/* From any thread; both return at once. */
void fr_runner_stop(fr_runner *r);
void fr_runner_abandon(fr_runner *r);
/* True once the thread has nothing more to do. failed_out, err_out: how it ended; untouched
 * before, and may be NULL. From any thread. */
bool fr_runner_done(fr_runner *r, bool *failed_out, fr_err *err_out);
void fr_runner_end(fr_runner *r); /* stops if need be, and joins */

#endif
