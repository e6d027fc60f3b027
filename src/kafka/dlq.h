/* Dead letters of sinks (R36): the original key and payload with reason and place in
 * headers, idempotent produce, acknowledged before the target's transaction commits.
 * Owner's thread only. */
#ifndef FR_KAFKA_DLQ_H
#define FR_KAFKA_DLQ_H

#include "base/error.h"
#include "model/batch.h"
#include "model/settings.h"

typedef struct fr_dlq fr_dlq;
fr_rc fr_dlq_open(const fr_kafka_settings *settings, const char *topic, fr_dlq **out, fr_err *err);
void fr_dlq_close(fr_dlq *d);
/* Headers: freshet.sink or freshet.source, freshet.reason (kind and text without values),
 * freshet.topic, .partition, .offset (its id: a repeat is recognised), freshet.parked (false: its
 * key was not parked before it), freshet.v (2; letters of older versions have none). A letter
 * that the topic does not take for its size even alone is cut down to its key and a JSON object
 * with topic, partition, offset and bytes; freshet.cut is how many bytes were left out. */
fr_rc fr_dlq_put(fr_dlq *d, const char *who, const fr_message *m, const char *reason, bool parked,
                 fr_err *err);
/* A mark (progress/letters.h) into this partition; headers are copied. */
fr_rc fr_dlq_mark(fr_dlq *d, int32_t partition, fr_str key, fr_str value, const fr_header *headers,
                  size_t count, fr_err *err);
fr_rc fr_dlq_flush(fr_dlq *d, fr_err *err); /* all acknowledged */

#endif
