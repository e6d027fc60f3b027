/* Threads and waits: what pthreads leave to their callers. */
#ifndef FR_BASE_THREAD_H
#define FR_BASE_THREAD_H

#include "base/error.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* pthread_create whose failure is an error: BUSY, code "thread". */
fr_rc fr_thread_start(pthread_t *out, void *(*body)(void *), void *context, fr_err *err);
/* For fr_cond_wait. */
void fr_cond_init(pthread_cond_t *c);
/* pthread_cond_wait, until fr_now_us() is deadline_us (INT64_MAX: never): false, it is. True says
 * nothing: look at what was waited for. */
bool fr_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t deadline_us);

#endif
