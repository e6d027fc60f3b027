/* A run of events, in source order, and all the memory they point to. One owner at a time;
 * changes hands only through a queue; comes from a pool of fixed size: when none is free
 * nothing is read. That is all the back-pressure there is. */
#ifndef FR_MODEL_BATCH_H
#define FR_MODEL_BATCH_H

#include "model/event.h"

typedef struct fr_header { /* a Kafka record header */
    const char *name;      /* literal or in the arena */
    fr_str value;
} fr_header;

/* Of the marker that closes a topic (decision 38), on each of its partitions, without payload: its
 * value is the topic that the table goes on in. No row. */
#define FR_HEADER_CLOSED "freshet.closed"

/* What is on Kafka. An event makes no message (BEGIN), one, or two (delete, tombstone),
 * or three (a changed key). */
typedef struct fr_message {
    fr_str topic;            /* lives as long as the route or the batch */
    fr_str key;              /* ptr NULL: no key */
    fr_str payload;          /* ptr NULL: a tombstone */
    uint32_t partition_hash; /* murmur2 that chooses the partition (decision 27); only
                                where partition is -1 and key or partition_by is there */
    int32_t partition;       /* -1: by partition_hash; filled in by consume */
    int32_t schema;          /* encode: id of the payload's schema; 0: it has none */
    int64_t offset;          /* consume */
    int64_t timestamp_ms;    /* 0: the broker's */
    const fr_header *headers;
    size_t header_count;
    size_t event;    /* index of the event it belongs to */
    bool everywhere; /* to each partition of the topic (truncate) */
} fr_message;

typedef struct fr_batch {
    fr_arena *arena;  /* all that events and messages point to, but for tables */
    fr_event *events; /* encode: events -> messages; decode: messages -> events */
    fr_message *messages;
    size_t count, message_count;
    size_t event_cap, message_cap;
    size_t max_events, max_bytes; /* soft: the event that crosses max_bytes is kept */
    const fr_table **tables;      /* one reference for each run of events of a table */
    size_t table_count, table_cap;
    uint32_t chunk;          /* 0: stream; else 1 + index into the plan's chunks */
    bool chunk_done;         /* the chunk's last batch (may be empty) */
    size_t notices;          /* at most so many of the messages are notices (codec/notice.c) */
    bool beside;             /* of a second reader of the log, which catches held tables up */
    fr_str polled, progress; /* else empty: "space.table" that was polled, and the record of
                                how far; in the arena */
    /* Sinks: partitions that were read to their ends by now (connect/sink.h); NULL: none to tell.
     * In the arena. */
    const struct fr_offsets *ends;
    int64_t filled_us; /* monotonic, when fill returned it */
    void *owner;       /* the pool's, and the driver's while it has it */
    size_t weight;     /* how many ordinary batches of the pool it counts for */
} fr_batch;

typedef struct fr_pool fr_pool; /* from any thread */

/* A batch of its own, outside any pool; for tests and one-off reads. */
fr_batch *fr_batch_new(size_t max_events, size_t max_bytes);
void fr_batch_free(fr_batch *b);  /* NULL is fine */
void fr_batch_reset(fr_batch *b); /* drops events, messages, table references, memory */

/* The next event, zeroed but for op and table (partition -1); the batch holds a reference to
 * table until it is reset, also when the event is dropped (by lowering count). NULL when the batch
 * is full: stop, and return FR_OK. */
fr_event *fr_batch_add(fr_batch *b, fr_op op, const fr_table *table);
/* The event, which had none, is of this table: as if it had been added so. */
void fr_batch_of_table(fr_batch *b, fr_event *e, const fr_table *table);
/* True when fr_batch_add would return NULL. */
bool fr_batch_full(const fr_batch *b);
/* Room for one row of table, every value FR_ABSENT. */
fr_value *fr_batch_row(fr_batch *b, const fr_table *table, fr_row *row_out);
/* The next message, zeroed but for partition -1. Grows as needed. */
fr_message *fr_batch_message(fr_batch *b);

fr_pool *fr_pool_new(size_t batches, size_t max_events, size_t max_bytes);
void fr_pool_free(fr_pool *p); /* all batches must be back */
/* NULL: none free until deadline_us (monotonic), or the pool was closed. One is always free
 * when all are back, however heavy they were. */
fr_batch *fr_pool_take(fr_pool *p, int64_t deadline_us);
/* Once filled: a batch with rows far above max_bytes takes the place of several, until it is
 * given back. */
void fr_pool_weigh(fr_pool *p, fr_batch *b);
void fr_pool_give(fr_pool *p, fr_batch *b); /* resets it */
size_t fr_pool_count(fr_pool *p);           /* free ones */
size_t fr_pool_size(fr_pool *p);            /* in ordinary batches */
void fr_pool_close(fr_pool *p);             /* wakes takers */

#endif
