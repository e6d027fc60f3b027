/* Messages to a topic, idempotent and without transactions: for those who write a few now and then.
 * One thread. */
#ifndef FR_KAFKA_PUT_H
#define FR_KAFKA_PUT_H

#include "base/arena.h"
#include "base/error.h"
#include "model/settings.h"

typedef struct fr_putter fr_putter;

typedef struct fr_putter_settings { /* borrowed until close */
    const fr_kafka_settings *kafka;
    const char *topic;
    const char *who;    /* in the client's id and the log; NULL: the topic */
    const char *millis; /* how long one message is tried, unless the configuration says it */
    bool ours;          /* one of ours: made where it is missing; else it exists */
} fr_putter_settings;

/* CONFIG; CONNECT within 15 s when no broker answers. */
fr_rc fr_putter_open(const fr_putter_settings *settings, fr_putter **out, fr_err *err);
void fr_putter_close(fr_putter *p); /* NULL is fine; what was not flushed may be lost */
/* Copies both. key.ptr NULL: none. Waits where the queue is full. */
fr_rc fr_putter_put(fr_putter *p, int32_t partition, fr_str key, fr_str payload, fr_err *err);
/* All were acknowledged, or the first failure. */
fr_rc fr_putter_flush(fr_putter *p, fr_err *err);

#endif
