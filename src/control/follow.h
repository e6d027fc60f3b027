/* Follows the control topic while the daemon runs: a thread of its own that reads its records for
 * the main thread, and writes those that are asked for over HTTP. */
#ifndef FR_CONTROL_FOLLOW_H
#define FR_CONTROL_FOLLOW_H

#include "base/arena.h"
#include "base/error.h"
#include "model/settings.h"
#include <stdint.h>

typedef struct fr_follow fr_follow;

typedef enum {
    FR_FOLLOW_BEGINS,  /* not read to its end yet */
    FR_FOLLOW_READY,   /* all that was there is read, and what comes is followed */
    FR_FOLLOW_TROUBLE, /* the same, but for now it cannot be followed, or written: *err */
    FR_FOLLOW_RETRIES, /* not read to its end, and tried again: *err */
    FR_FOLLOW_FAILED   /* not read to its end, and there is no use in trying: *err */
} fr_follow_state;

fr_follow *fr_follow_start(const fr_kafka_settings *kafka);
void fr_follow_stop(fr_follow *f); /* joins; NULL is fine */
/* From any thread. err: only where it says so; next_try_us (wall): only of RETRIES. */
fr_follow_state fr_follow_look(fr_follow *f, fr_err *err, int64_t *next_try_us);
/* The next record that was read, in order; all texts are the caller's: free(*record_out) frees
 * them. NULL: none. From any thread. */
typedef struct fr_follow_record {
    struct fr_follow_record *next;
    fr_str key, value; /* value.ptr NULL: a tombstone */
    int64_t offset;
} fr_follow_record;
fr_follow_record *fr_follow_next(fr_follow *f);
/* Write this record, as soon as Kafka takes it. From any thread; returns at once. */
void fr_follow_ask(fr_follow *f, fr_str key, fr_str value);

#endif
