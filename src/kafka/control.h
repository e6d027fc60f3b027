/* The topic of the operator's will, freshet.<pipeline>.control (decision 25): one partition,
 * compacted, made and checked as the checkpoint's is; read without a group, and followed. What its
 * records say is control/will.h's. Owner's thread only; waits end as base/cancel.h says. */
#ifndef FR_KAFKA_CONTROL_H
#define FR_KAFKA_CONTROL_H

#include "base/error.h"
#include "model/batch.h"
#include "model/settings.h"

typedef struct fr_control fr_control;

void fr_control_topic(const fr_kafka_settings *settings, char *out, size_t size);
/* Makes the topic (unless kafka.topics.create is never), checks it, and begins at its first record.
 * CONFIG, CONNECT, AUTH, BUSY. */
fr_rc fr_control_open(const fr_kafka_settings *settings, fr_control **out, fr_err *err);
void fr_control_close(fr_control *c); /* NULL is fine */
/* The records that are at hand, in their order, or those that come until deadline_us: *out holds
 * their keys and values, until the next call. FR_IDLE: none. After FR_FAIL it is only closed. */
fr_rc fr_control_read(fr_control *c, int64_t deadline_us, const fr_batch **out, fr_err *err);
/* All that was there has been read, as of the last call. */
bool fr_control_at_end(fr_control *c);

typedef struct fr_control_record { /* borrowed */
    fr_str key, value;
} fr_control_record;

/* Records into the topic, in this order; it is made and checked where need be. FR_OK: all in-sync
 * replicas have them. After FR_FAIL the first ones may be there. Needs no fr_control. */
fr_rc fr_control_write(const fr_kafka_settings *settings, const fr_control_record *records,
                       size_t count, fr_err *err);

#endif
