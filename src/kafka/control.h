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

/* One record into the topic, which is made and checked where need be. FR_OK: all in-sync replicas
 * have it. After FR_FAIL it may be there or not. Needs no fr_control. */
fr_rc fr_control_write(const fr_kafka_settings *settings, fr_str key, fr_str value, fr_err *err);

#endif
