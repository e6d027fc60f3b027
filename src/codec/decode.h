/* Messages -> events, for sinks and tap. The writer's schema comes from the registry by id
 * and is compiled once into a plan; all reading is bounds-checked, lengths are checked
 * before anything is allocated, nesting is limited to 64. Envelopes are recognised by
 * shape: ours (standard), state records, Debezium's. Owner's thread only. */
#ifndef FR_CODEC_DECODE_H
#define FR_CODEC_DECODE_H

#include "codec/registry.h"
#include "model/batch.h"

typedef struct fr_decoder fr_decoder;

/* name: gives the table that rows of a topic belong to: space and name of the target.
 * max_row_bytes bounds a message. */
fr_decoder *fr_decoder_new(fr_registry *registry, int64_t max_row_bytes,
                           fr_rc (*name)(void *context, fr_arena *a, fr_str topic,
                                         fr_str *space_out, fr_str *name_out, fr_err *err),
                           void *context);
void fr_decoder_free(fr_decoder *d);

/* Append the event of message b->messages[m] (its topic, partition, offset, key, payload)
 * to the batch, preceded by a TABLE event when its table version is new to this topic
 * (columns in schema order; key_ordinal from the key's schema). A tombstone after our own
 * delete makes nothing; a tombstone alone (state) makes a DELETE with the key in before.
 * position: from `source` (epoch, lsn, ordinal), else lsn = offset (foreign); of a tombstone alone
 * behind what its partition told last, and unplaced where that is ours. FR_FAIL with DATA: the
 * message is bad (nothing was appended). CONNECT: the registry did not answer. FR_IDLE: the batch
 * is full, nothing was appended. */
fr_rc fr_decode(fr_decoder *d, fr_batch *b, size_t m, fr_err *err);

/* This topic is read again from where its messages were dropped: TABLE events are made again,
 * and nothing is known of the messages before the next one. */
void fr_decoder_rewind(fr_decoder *d, fr_str topic);

/* This partition is read from `next` on, by who took all before it; -1: nobody did. Nothing is
 * known of the messages before. */
void fr_decoder_begin(fr_decoder *d, fr_str topic, int32_t partition, int64_t next);

/* The table of the events that messages with these schemas make (key empty: no key), for plan
 * and apply. The caller's reference. FR_END: they are logical messages, of no table. */
fr_rc fr_decoder_table(fr_str space, fr_str name, fr_str key, fr_str value, const fr_table **out,
                       fr_err *err);

/* The registry's wire format: byte 0, the schema's id, Avro bytes. False: bytes are not in it; then
 * there is no body. */
bool fr_wire_id(fr_str bytes, int32_t *id);
fr_str fr_wire_body(fr_str bytes);

/* Any Avro bytes with their schema as JSON text, for tap: unions without their branch
 * names, bytes as {"$bytes":"hex"}, decimals as quoted text, times as ISO text. */
fr_rc fr_avro_to_json(fr_arena *a, fr_str schema, fr_str data, fr_str *out, fr_err *err);

#endif
