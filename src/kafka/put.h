/* Messages to a topic, idempotent and without transactions: for verbs that write a few of their
 * own. The topic exists. One thread. */
#ifndef FR_KAFKA_PUT_H
#define FR_KAFKA_PUT_H

#include "base/arena.h"
#include "base/error.h"
#include "model/settings.h"

typedef struct fr_putter fr_putter;

/* CONFIG; CONNECT within 15 s when no broker answers. settings are borrowed. */
fr_rc fr_putter_open(const fr_kafka_settings *settings, const char *topic, fr_putter **out,
                     fr_err *err);
void fr_putter_close(fr_putter *p); /* NULL is fine; what was not flushed may be lost */
/* Copies both. key.ptr NULL: none. Waits where the queue is full. */
fr_rc fr_putter_put(fr_putter *p, int32_t partition, fr_str key, fr_str payload, fr_err *err);
/* All were acknowledged, or the first failure. */
fr_rc fr_putter_flush(fr_putter *p, fr_err *err);

#endif
