/* Events -> messages. One plan is compiled per table version and envelope: a flat list of
 * steps that writes Avro bytes straight into the batch's arena (wire format: byte 0, 4-byte
 * schema id, Avro binary). Owner's thread only. */
#ifndef FR_CODEC_ENCODE_H
#define FR_CODEC_ENCODE_H

#include "codec/avro_schema.h"
#include "codec/registry.h"
#include "model/batch.h"

typedef struct fr_encoder fr_encoder;

/* "freshet.<pipeline>.notices" */
fr_str fr_notices_topic(fr_arena *a, const fr_kafka_settings *kafka);

typedef struct fr_encoder_settings {
    const fr_source_settings *source;
    const fr_registry_settings *registry_settings;
    const fr_kafka_settings *kafka; /* partitioner, pipeline */
    fr_str notices;                 /* topic of notices (docs/schema-changes.md); empty: none, and
                                       no change of a schema is said */
    fr_origin origin;
    /* The route of a table version; the encoder asks once per version and keeps what it
     * gets. FR_END: not captured, its events make no messages. */
    fr_rc (*route)(void *context, const fr_table *table, const fr_route **out, fr_err *err);
    /* Id of the schema that was published last to a topic before this encoder; 0: not known.
     * NULL: never known. */
    int32_t (*published)(void *context, fr_str topic);
    /* May rows of this outbox go to the topic that one of them names? Asked once for each; DATA:
     * no. NULL: they may. */
    fr_rc (*claim)(void *context, const fr_route *route, fr_str topic, fr_err *err);
    /* A version of a table is published in another shape than it has (schema.on_change: ignore),
     * which `said` describes; empty: as it is. Once for each version. NULL: nobody asks. */
    void (*kept)(void *context, const fr_table *table, fr_str said);
    void *context;
} fr_encoder_settings;

fr_encoder *fr_encoder_new(const fr_encoder_settings *settings, fr_registry *registry);
void fr_encoder_free(fr_encoder *e);

/* Append the messages of events[from..to) to the batch; *done is the index of the first event
 * that was not encoded (to, when all were); a failed event leaves no message behind.
 * Registers schemas before the first message that needs them, and asks schema.on_change of each
 * that is another than the topic's last, also of one that the registry knows from before. A row
 * that cannot be encoded (event->bad, a value that does not fit, an update of an append_only table,
 * TRUNCATE under block, a row of an outbox without topic) is FR_FAIL with DATA, and events[*done]
 * is it. TABLE events prepare the plan. Headers and the transaction block are written where
 * settings ask for them. */
fr_rc fr_encode(fr_encoder *e, fr_batch *b, size_t from, size_t to, size_t *done, fr_err *err);

/* The id of an outbox's row as an error shows it: short, and without what a terminal would obey. */
fr_str fr_outbox_id(fr_arena *a, fr_str id);
/* From here on the rows that the log brings of this outbox are remembered by their ids, and a row
 * that a snapshot then reads is passed over when it is one of them. CONFIG from fr_encode when
 * there are too many to remember (a million that were not deleted). */
void fr_encoder_remember(fr_encoder *e, fr_str space, fr_str name);
void fr_encoder_forget(fr_encoder *e); /* all of that */

/* ---- held tables (decision 24) ---- */

/* Events of this table whose position.lsn is below are passed over: no message is made of them and
 * no schema asked for; they count for their transaction. UINT64_MAX: all. Once more: the new bound.
 */
void fr_encoder_pass(fr_encoder *e, fr_str space, fr_str name, uint64_t below);
void fr_encoder_take(fr_encoder *e, fr_str space, fr_str name); /* none is passed over any more */
/* False: nothing of this table is passed over. last_lsn: the greatest position.lsn of the changes
 * that were; 0: none was. count: so many events were. */
bool fr_encoder_passed(const fr_encoder *e, fr_str space, fr_str name, uint64_t *last_lsn,
                       uint64_t *count);
/* The id of the newest message's schema of this topic, as this encoder knows it; 0: it does not.
 * And: it is this one now, for another encoder has published. */
int32_t fr_encoder_newest(fr_encoder *e, fr_str topic);
void fr_encoder_publishes(fr_encoder *e, fr_str topic, int32_t schema);
/* An encoder of a second reader: all is passed over but what fr_encoder_only names, and
 * transactions and logical messages make no messages. */
void fr_encoder_beside(fr_encoder *e);
/* Take the events of this table whose position.lsn is at or above from; the first `seen` of them,
 * which must be of transaction txn, are passed over: they are published. POSITION (held.txn) from
 * fr_encode when they are of another one. */
void fr_encoder_only(fr_encoder *e, fr_str space, fr_str name, uint64_t from, fr_str txn,
                     uint64_t seen);

/* The next `seen` changes of this table, which are of transaction txn and were published, are
 * passed over (generations, decision 38): after a restart, before anything else is encoded. */
void fr_encoder_skip(fr_encoder *e, fr_str space, fr_str name, fr_str txn, uint64_t seen);

/* ---- generations (decision 38) ---- */

/* The table of this route is routed anew, in all its versions: it goes on in another topic. first:
 * fr_route.first. */
void fr_encoder_moved(fr_encoder *e, fr_str first);
/* The key of the marker for a topic that takes nothing without key: "freshet.closed" as an Avro
 * string, whose schema is registered as subject <topic>-closed. In the arena. */
fr_rc fr_encoder_marker(fr_encoder *e, fr_arena *a, fr_str topic, fr_str *out, fr_err *err);
/* The marker that closes `from`, and a notice of it, as messages of events[event]. marker_key: ptr
 * NULL for a topic that takes messages without key. why: an error of FR_NEW_TOPIC. */
void fr_encoder_close(fr_encoder *e, fr_batch *b, size_t event, fr_str from, fr_str to,
                      fr_str marker_key, const fr_err *why);

/* Will fr_encode pass over this event, as things stand? later: it depends on those before it. */
bool fr_encoder_leaves(const fr_encoder *e, const fr_event *event, bool *later);

/* A notice that from events[event] on its table is held, where why is a SCHEMA error; into the
 * batch, as a message of that event. */
void fr_encoder_notice_held(fr_encoder *e, fr_batch *b, size_t event, const fr_err *why);
/* The same of a table that no row says it of: it is gone, or the log lacks it. The event is one of
 * no table. */
void fr_encoder_notice_absent(fr_encoder *e, fr_batch *b, size_t event, fr_str space, fr_str name,
                              const fr_err *why);

/* Forget the counts of the transaction in progress (after a rewind). Events that are skipped
 * because an earlier run published them (R17) pass through fr_encode all the same and their
 * messages are dropped, so that the counts are right; a transaction whose BEGIN was not seen
 * gets no transaction block and an END without counts. */
void fr_encoder_rewind(fr_encoder *e);

#endif
