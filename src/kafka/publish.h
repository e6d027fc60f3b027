/* Messages -> Kafka, inside transactions that also carry the checkpoint (R8-R14), or with
 * acknowledged idempotent produce where delivery is at-least-once. This folder is the only
 * one that includes rdkafka.h. One publisher per source; owner's thread only, but for
 * fr_publisher_stats.
 *
 * Errors: FENCED (another's claim, R13, decision 35), CONNECT (retry with a new publisher
 * from the checkpoint: also every unknown outcome of commit or abort, R12), DATA (a message
 * is too large: *event says which), AUTH, CONFIG, POSITION (a topic was re-created or lost
 * data, R15). After any FR_FAIL the publisher is only ever closed; what was in flight is
 * decided by the checkpoint that the next one reads. Payloads are not copied: the batch of
 * a message stays untouched until commit or close returned. */
#ifndef FR_KAFKA_PUBLISH_H
#define FR_KAFKA_PUBLISH_H

#include "base/error.h"
#include "connect/finding.h"
#include "model/batch.h"
#include "model/settings.h"
#include "progress/checkpoint.h"

typedef struct fr_publisher fr_publisher;

/* A wait ends with CANCELLED when its thread is to give up (base/cancel.h). */
/* Opens the producer, init_transactions (fences and resolves the predecessor), reads the
 * checkpoint topic to its end (created with the stated settings unless topics.create is
 * never), writes our claim, checks R15 and R16. *checkpoint_out is the caller's to free.
 * instance: unique per process start. said: what was logged about topics before, borrowed while
 * the publisher is open; NULL: all is news. */
fr_rc fr_publisher_open(const fr_kafka_settings *settings, const char *source, const char *instance,
                        fr_said *said, fr_publisher **out, fr_checkpoint **checkpoint_out,
                        fr_err *err);
void fr_publisher_close(fr_publisher *p); /* aborts what is open; NULL is fine */

/* The topic must exist with known partitions (created where topics.create is run); its
 * fact is recorded with the next commit. compact_ok: false when a null key is coming. Called
 * by produce too; here to fail early. */
fr_rc fr_publisher_topic(fr_publisher *p, fr_str topic, int32_t *partitions_out, fr_err *err);
/* The same; *out: it takes no message without key. */
fr_rc fr_publisher_compacted(fr_publisher *p, fr_str topic, bool *out, fr_err *err);
/* *out: the checkpoint knows the topic, or nothing is in it that a consumer would be given: what
 * was aborted is not. At-least-once, rows of ours from before a crash may be there, which nothing
 * tells from others': it is not asked then. Where something is in it the topic is forgotten, and
 * looked at anew when it is needed again. */
fr_rc fr_publisher_fresh(fr_publisher *p, fr_str topic, bool *out, fr_err *err);
fr_rc fr_publisher_begin(fr_publisher *p, fr_err *err); /* no-op when one is open */
bool fr_publisher_in_transaction(const fr_publisher *p);
/* messages[from..to) of the batch. */
fr_rc fr_publisher_produce(fr_publisher *p, const fr_batch *b, size_t from, size_t to,
                           size_t *failed_message, fr_err *err);
/* One record into the checkpoint topic, part of the open transaction. Copied. */
fr_rc fr_publisher_record(fr_publisher *p, const fr_record *r, fr_err *err);
/* All produced messages acknowledged, transaction committed. On FR_OK *ends (borrowed until
 * the next call) are the topic-partitions this transaction touched. */
fr_rc fr_publisher_commit(fr_publisher *p, const fr_end **ends, size_t *end_count, fr_err *err);
/* The same in steps of at most about ms each, so that the caller can do something useful while
 * the broker works: FR_IDLE: not committed yet, call again; nothing may be produced until then. */
fr_rc fr_publisher_commit_step(fr_publisher *p, int ms, const fr_end **ends, size_t *end_count,
                               fr_err *err);
/* Abort, when the outcome is certain (R12: txn_requires_abort): FR_OK, go on with begin
 * after rewinding the source. */
fr_rc fr_publisher_abort(fr_publisher *p, fr_err *err);
/* All ends known (the fold of the checkpoint plus our own commits), for the `ends` record. */
void fr_publisher_ends(fr_publisher *p, fr_arena *a, fr_end **out, size_t *count);

typedef struct fr_publish_stats {
    uint64_t messages, bytes, transactions, commit_us_total;
    int64_t last_commit_us; /* monotonic; 0 never */
    uint64_t queued;        /* produced, not yet acknowledged */
} fr_publish_stats;
void fr_publisher_stats(fr_publisher *p, fr_publish_stats *out); /* any thread */

#endif
