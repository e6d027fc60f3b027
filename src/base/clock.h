/* Time. Durations and deadlines are microseconds of the monotonic clock; wall-clock times
 * are microseconds since 1970 and serve for stamps only. From any thread. */
#ifndef FR_BASE_CLOCK_H
#define FR_BASE_CLOCK_H

#include <stdint.h>

int64_t fr_now_us(void);  /* monotonic */
int64_t fr_wall_us(void); /* since 1970-01-01 UTC */
void fr_sleep_us(int64_t us);

/* Exponential back-off with full jitter: first .. max, doubling. */
typedef struct fr_backoff {
    int64_t first_us, max_us;
    unsigned tries;
} fr_backoff;
int64_t fr_backoff_next(fr_backoff *b); /* microseconds to wait now */
void fr_backoff_reset(fr_backoff *b);

/* "2026-11-26T08:26:11.402Z" into at least 32 bytes. */
void fr_time_text(char *out, int64_t wall_us);

#endif
