/* Topics, their configuration, ACL and transaction checks: for plan, apply, doctor. */
#ifndef FR_KAFKA_ADMIN_H
#define FR_KAFKA_ADMIN_H

#include "base/error.h"
#include "connect/finding.h"
#include "connect/sink.h"
#include "model/settings.h"
#include "progress/checkpoint.h"

typedef struct fr_admin fr_admin;

fr_rc fr_admin_open(const fr_kafka_settings *settings, fr_admin **out, fr_err *err);
void fr_admin_close(fr_admin *a);
/* kafka.connect, .sasl, .tls, .txn, broker and version: CONNECT within ~5 s when nothing
 * answers, at once when every broker refuses. */
fr_rc fr_admin_check(fr_admin *a, fr_findings *out, fr_err *err);
/* kafka.topic.*: missing (FR_CHANGE), partitions, rf, cleanup, min_isr (R16), max_bytes.
 * ours: a topic of freshet's own (compacted). null_keys: messages without key will come. */
fr_rc fr_admin_check_topic(fr_admin *a, const char *topic, bool ours, bool null_keys,
                           fr_findings *out, fr_err *err);
/* Creates it with the settings (ours: one partition, compacted); FR_END when it is there. */
fr_rc fr_admin_create_topic(fr_admin *a, const char *topic, bool ours, fr_err *err);
/* Partition count; FR_END when the topic does not exist. */
fr_rc fr_admin_partitions(fr_admin *a, const char *topic, int32_t *out, fr_err *err);
/* Where each partition of the topic ends now (high watermark; next), in the arena; FR_END when the
 * topic does not exist. */
fr_rc fr_admin_ends(fr_admin *a, fr_arena *arena, const char *topic, fr_offsets *out, fr_err *err);
/* The same of where each begins, and of the first message at or after a time (where there is none,
 * its end). */
fr_rc fr_admin_begins(fr_admin *a, fr_arena *arena, const char *topic, fr_offsets *out,
                      fr_err *err);
fr_rc fr_admin_at(fr_admin *a, fr_arena *arena, const char *topic, int64_t time_ms, fr_offsets *out,
                  fr_err *err);
/* Does the topic keep the newest message of each key for good (cleanup.policy=compact and nothing
 * else)? FR_END: it does not exist. CONFIG, code compare.topic: it does not, or nobody may see. */
fr_rc fr_admin_keeps_keys(fr_admin *a, const char *topic, fr_err *err);
/* The names of all topics that may be seen, sorted; in the arena. */
fr_rc fr_admin_topics(fr_admin *a, fr_arena *arena, const char ***out, size_t *count_out,
                      fr_err *err);
/* The fold of a source's checkpoint topic, read_committed, for status and position show
 * (no fencing, no claim). FR_END when the topic does not exist. */
fr_rc fr_admin_checkpoint(fr_admin *a, const char *source, fr_checkpoint **out, fr_err *err);

/* Versions and features, for `version` and `doctor`. */
const char *fr_kafka_library(void);           /* "librdkafka 2.8.0" */
bool fr_kafka_library_weak(const char **why); /* true: older than wanted, and what is weaker */

#endif
