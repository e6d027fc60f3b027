/* The records of the checkpoint topic (docs/checkpoints.md): what they say, folded, and
 * how they are written. JSON, "v": 1; an unknown version refuses with POSITION. Pure: no
 * Kafka here. Keys: claim, stream, snapshot/<space.table>, topic/<topic>, ends,
 * parked/<topic>/<hash>, table/<space.table>, held/<space.table>, generation/<topic>. Owner's
 * thread only. */
#ifndef FR_PROGRESS_CHECKPOINT_H
#define FR_PROGRESS_CHECKPOINT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include <stdint.h>

typedef struct fr_chunk_left { /* as fr_chunk, without the table */
    uint32_t index;
    fr_str from, to;
    bool after, whole;
} fr_chunk_left;

typedef struct fr_snapshot_progress { /* of one table; left_count 0: done */
    fr_str space, name;
    fr_str where;       /* only rows for which this SQL holds; empty: all */
    bool cancelled;     /* with left_count 0: somebody did not want the rest */
    fr_str view_resume; /* stream_from of the first view */
    uint64_t view_lsn;
    uint32_t chunks; /* in all */
    uint64_t rows;   /* published so far */
    fr_chunk_left *left;
    size_t left_count;
} fr_snapshot_progress;

typedef struct fr_topic_fact { /* R15 */
    fr_str topic, topic_id;    /* id empty where it cannot be known */
    int32_t partitions;
    fr_str partitioner;
    int32_t schema; /* id of the newest message's schema in the registry; 0: not known */
} fr_topic_fact;

typedef struct fr_end { /* next offset after the last acknowledged one */
    fr_str topic;
    int32_t partition;
    int64_t offset;
} fr_end;

typedef struct fr_split { /* R17; id empty: no split transaction is open */
    fr_str id;
    uint64_t events; /* rows and messages of it that are published */
    uint32_t crc;
} fr_split;

typedef struct fr_held_fact { /* a table that the source goes on without (decision 24) */
    fr_str space, name;
    fr_str from;      /* resume: what the log has from there on is not published; empty: polled */
    fr_str txn;       /* the transaction that follows is published in part; empty: it is not */
    uint64_t seen;    /* so many of the table's own rows in it are published */
    bool joined;      /* it is caught up: the stream publishes what is at or after from */
    bool asked;       /* somebody asked for it; else an error did */
    fr_str code, why; /* of the error, and all that can be said in a line */
    int64_t since_us;
} fr_held_fact;

enum { FR_GENERATIONS = 1000 }; /* of one table; more is no table's life */

typedef struct fr_generation_fact { /* a table that goes on in another topic (decision 38) */
    fr_str topic;                   /* of its first generation: as the configuration has it */
    fr_str space, name;
    uint32_t generation; /* 2 or more: its rows go to fr_topic_generation(topic, generation) */
    fr_str kind;         /* of the change that began it: change_type */
    fr_str from;         /* resume: the last whole transaction before it */
    fr_str txn;          /* the one that follows has rows of the generation before; empty: none */
    uint64_t seen;       /* so many of the table's rows in it are */
    int64_t since_us;
} fr_generation_fact;

typedef struct fr_checkpoint { /* what the topic says, folded */
    fr_arena *arena;           /* owns all of it */
    bool has_stream;
    bool creating; /* the slot may or may not exist yet */
    fr_str resume; /* the connector's JSON object as text; empty while creating */
    fr_split split;
    int64_t written_us; /* wall clock of the newest stream record */
    fr_str claim_instance;
    int64_t claim_us;
    fr_map *snapshots;   /* "space.table" -> fr_snapshot_progress* */
    fr_map *topics;      /* topic -> fr_topic_fact* */
    fr_map *ends;        /* "topic/partition" -> fr_end* */
    fr_map *parked;      /* "topic/hash" -> itself */
    fr_map *tables;      /* "space.table", polled -> fr_str*: its record, as it was written */
    fr_map *held;        /* "space.table" -> fr_held_fact* */
    fr_map *generations; /* topic of the first -> fr_generation_fact*; not there: it is the first */
} fr_checkpoint;

fr_checkpoint *fr_checkpoint_new(void);
void fr_checkpoint_free(fr_checkpoint *c);
/* Take one record in; value.ptr NULL is a tombstone. POSITION when it cannot be read or is
 * of a newer version: text names key, offset is the caller's to add. */
fr_rc fr_checkpoint_fold(fr_checkpoint *c, fr_str key, fr_str value, fr_err *err);

/* Writers; key and value in the arena. */
typedef struct fr_record {
    fr_str key, value; /* value.ptr NULL: tombstone */
} fr_record;
fr_record fr_checkpoint_claim(fr_arena *a, fr_str instance, int64_t wall_us);
/* ends: those that the previous Kafka transaction touched. */
fr_record fr_checkpoint_stream(fr_arena *a, bool creating, fr_str resume, const fr_split *split,
                               const fr_end *ends, size_t end_count, int64_t wall_us);
fr_record fr_checkpoint_snapshot(fr_arena *a, const fr_snapshot_progress *p);
/* What `snapshot start` of a table writes: a tombstone, or with a condition a snapshot that has not
 * begun. CONFIG (snapshot.where) for a condition that is too long or no text, BUSY
 * (snapshot.under_way) with one while another snapshot of the table is not through: its rows would
 * be forgotten. */
enum { FR_WHERE_MAX = 4096 };
fr_rc fr_checkpoint_ask(fr_arena *a, const fr_checkpoint *now, fr_str space, fr_str name,
                        fr_str where, fr_record *out, fr_err *err);
/* What `snapshot cancel` writes: the rest is not wanted. CONFIG (snapshot.not_under_way). */
fr_rc fr_checkpoint_cancel(fr_arena *a, const fr_checkpoint *now, fr_str space, fr_str name,
                           fr_record *out, fr_err *err);
fr_record fr_checkpoint_topic_fact(fr_arena *a, const fr_topic_fact *t);
fr_record fr_checkpoint_ends(fr_arena *a, const fr_end *ends, size_t count);
/* table: "space.table"; progress: a JSON object with "v", which whoever polls it understands. */
fr_record fr_checkpoint_table(fr_arena *a, fr_str table, fr_str progress);
fr_record fr_checkpoint_held(fr_arena *a, const fr_held_fact *h);
fr_record fr_checkpoint_released(fr_arena *a, fr_str space, fr_str name);
fr_record fr_checkpoint_generation(fr_arena *a, const fr_generation_fact *g);
fr_record fr_checkpoint_parked(fr_arena *a, fr_str topic, fr_str hash, bool released);
/* The whole as JSON for `position show --json`. */
fr_str fr_checkpoint_json(fr_arena *a, const fr_checkpoint *c);

#endif
