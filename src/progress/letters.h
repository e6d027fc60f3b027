/* Dead letters as their topics have them (R36; docs/dead-letters.md), folded: which letters wait,
 * and which a mark has settled. A mark is a message of such a topic with the header freshet.mark
 * (done, dropped) and the value {"v":1,"letters":[[partition,offset],...],"by":..,"at":..}; it
 * speaks of letters of its own topic. What is not understood is no letter, and counted. Pure: no
 * Kafka here. Owner's thread only. */
#ifndef FR_PROGRESS_LETTERS_H
#define FR_PROGRESS_LETTERS_H

#include "base/arena.h"
#include "base/error.h"
#include "model/batch.h"

typedef enum { FR_LETTER_OPEN, FR_LETTER_DONE, FR_LETTER_DROPPED } fr_letter_state;

typedef struct fr_letter {
    fr_str place; /* the topic of dead letters */
    int32_t partition;
    int64_t offset, timestamp_ms;
    bool source; /* of a source; else of a sink */
    fr_str part; /* its name */
    fr_str key;  /* of a sink: the message's, ptr NULL: it has none; of a source: "topic/hash" */
    fr_str key_before; /* of a source: the key that this update took from the row; else empty */
    fr_str topic;      /* where the message came from, or would have gone */
    fr_str reason;
    bool parked;  /* only for an earlier one of its key */
    bool cut;     /* the topic did not take all of it */
    int version;  /* 1: of before there was a number */
    int32_t from; /* of a sink: partition of topic; and its offset there */
    int64_t from_offset;
    uint32_t epoch, ordinal; /* of a source: its position */
    uint64_t lsn;
    bool kept; /* payload and headers are there */
    fr_str payload;
    const fr_header *headers; /* of a sink: the message's own */
    size_t header_count;
    fr_letter_state state;
} fr_letter;

typedef struct fr_letters fr_letters;
/* keep: which letters are kept whole; NULL: none. */
fr_letters *fr_letters_new(bool (*keep)(void *context, const fr_letter *l), void *context);
void fr_letters_free(fr_letters *l); /* NULL is fine */
/* Takes one message of a topic of dead letters in; copies. */
void fr_letters_fold(fr_letters *l, const fr_message *m);
/* After the last message: what the marks say. Letters in the order of topic, partition, offset;
 * borrowed. */
fr_letter **fr_letters_settle(fr_letters *l, size_t *count_out);
size_t fr_letters_strange(const fr_letters *l); /* messages that are neither letter nor mark */

/* The letters of one key have one name: part, topic and key. In the arena. */
fr_str fr_letter_group(fr_arena *a, const fr_letter *l);
/* The letters of a key as they were set aside, oldest first. A sink's by topic's partition and
 * offset, a source's by position. For qsort over fr_letter *. */
int fr_letter_older(const void *a, const void *b);
/* dlq.parked, as a DATA error: what comes now of a key that has letters would pass them, for
 * errors.mode is no longer dlq. Returns FR_FAIL. */
fr_rc fr_letters_passed(fr_err *err);
/* The value of a mark for these letters, all of one partition of one topic. */
fr_str fr_letters_mark(fr_arena *a, fr_letter *const *letters, size_t count, fr_str by,
                       int64_t at_us);
/* Its headers, in the arena. */
size_t fr_letters_mark_headers(fr_arena *a, const fr_letter *l, bool dropped,
                               const fr_header **out);

#endif
