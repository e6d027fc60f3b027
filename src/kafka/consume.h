/* Kafka -> messages, for sinks and tap: read_committed, no auto commit, offsets from the
 * caller (R28). Owner's thread only, but for interrupt. */
#ifndef FR_KAFKA_CONSUME_H
#define FR_KAFKA_CONSUME_H

#include "base/error.h"
#include "connect/sink.h"
#include "model/batch.h"
#include "model/settings.h"

typedef struct fr_consumer fr_consumer;

typedef struct fr_consumer_settings {
    const fr_kafka_settings *kafka;
    const char *sink;   /* its name, for what is said; NULL with tap */
    const char *group;  /* NULL: no group; assign all partitions of `topics` (tap) */
    const char *member; /* group.instance.id: a restarted process takes its partitions back at
                           once; a second one with the same name fences the first. NULL:
                           none. */
    const char *const *topics; /* names, or "^regex" as librdkafka takes them */
    size_t topic_count;
    bool uncommitted; /* read_uncommitted: for control runs of tests only */
    /* Partitions were assigned: fill in next for each; -1 means `start`. The consumer seeks
     * before the first message is given. FR_FAIL gives the assignment back. */
    fr_rc (*assigned)(void *context, fr_offsets *offsets, fr_err *err);
    /* These are no longer ours; what was consumed of them but not yet committed must be
     * dropped. */
    void (*revoked)(void *context, const fr_offsets *offsets);
    void *context;
    int start; /* 0 earliest, 1 latest: where assigned gave -1 */
} fr_consumer_settings;

fr_rc fr_consumer_open(const fr_consumer_settings *settings, fr_consumer **out, fr_err *err);
void fr_consumer_close(fr_consumer *c);
/* Appends messages (copied into the batch's arena) until it holds max_events of them or
 * max_bytes, or deadline. FR_OK, FR_IDLE (nothing), FR_FAIL. An offset that is out of range is
 * POSITION (R28): the topic was truncated or re-created. Calls assigned and revoked from
 * inside. */
fr_rc fr_consume(fr_consumer *c, fr_batch *b, int64_t deadline_us, fr_err *err);
/* Advisory: for lag displays, after the target's own commit (R29). Never fails loudly. */
void fr_consumer_committed(fr_consumer *c, const fr_offsets *offsets);
/* Keep the group membership while the target is slow (pause, poll, resume). */
fr_rc fr_consumer_heartbeat(fr_consumer *c, fr_err *err);
/* High watermarks minus our positions, summed; -1 unknown. Held topics do not count. */
int64_t fr_consumer_lag(fr_consumer *c);
/* True when every assigned partition has been read to its end (as of the last poll). Those of held
 * topics do not count. */
bool fr_consumer_at_end(fr_consumer *c);
/* Was each of these partitions read up to its next, or once to its end, since it was assigned? For
 * who wants what is there by now, where more is written all the time: then there may be no moment
 * at which all are at their end. */
bool fr_consumer_passed(fr_consumer *c, const fr_offsets *to);
/* Where partitions stand that were read to their ends (in the arena), those only of which the owner
 * does not know it from the last message, or from the last call: behind it there may be markers of
 * transactions. Held topics are left out. */
fr_offsets fr_consumer_ends(fr_consumer *c, fr_arena *a);
/* Fill in next: where a reader at the end would begin (before a transaction that is open). Asks,
 * from inside assigned as well. */
fr_rc fr_consumer_find_ends(fr_consumer *c, fr_offsets *offsets, fr_err *err);
/* The same: the first message of this time (in ms since 1970, by Kafka's timestamps) or later;
 * where there is none, the end. */
fr_rc fr_consumer_find_time(fr_consumer *c, int64_t ms, fr_offsets *offsets, fr_err *err);
/* Fill in topic_id: empty where the library or the broker does not tell, or the topic is not there.
 * From now on the topics are watched: fr_consume fails when one becomes another. Asks, from inside
 * assigned as well. */
fr_rc fr_consumer_topic_ids(fr_consumer *c, fr_offsets *offsets, fr_err *err);
/* POSITION, kafka.topic.recreated, with what this sink is to do. */
fr_rc fr_consumer_recreated(const char *sink, fr_str topic, fr_err *err);
void fr_consumer_interrupt(fr_consumer *c); /* any thread */

/* ---- topics that wait; with a group only ---- */

/* From now on nothing is given of this topic's partitions, of those that are assigned later
 * neither. They stay ours. What was given before is the caller's to drop. */
void fr_consumer_hold(fr_consumer *c, fr_str topic);
/* Its partitions that are ours, next -1; in the arena. */
fr_offsets fr_consumer_places(const fr_consumer *c, fr_arena *a, fr_str topic);
/* Go on from these offsets; next -1: from where it stood. Fails with BUSY where Kafka did not
 * take them: the topic is still held then. */
fr_rc fr_consumer_release(fr_consumer *c, fr_str topic, const fr_offsets *from, fr_err *err);
bool fr_consumer_has(fr_consumer *c, fr_str topic, int32_t partition); /* it is ours */
/* How many messages of it wait behind our position (aborted ones count); -1 unknown. Asks. */
int64_t fr_consumer_behind(fr_consumer *c, fr_str topic);

#endif
