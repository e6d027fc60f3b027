/* What the encoder works out once per table version: steps, schema ids, and the bytes that are
 * the same in every message. Internal to codec/encode*.c; owner's thread only. */
#ifndef FR_CODEC_ENCODE_PLAN_H
#define FR_CODEC_ENCODE_PLAN_H

#include "base/map.h"
#include "codec/avro_type.h"
#include "codec/avro_write.h"
#include "codec/debezium.h"
#include "codec/encode.h"

typedef struct fr_step { /* one field of a record */
    uint16_t column;
    uint8_t kind;     /* fr_kind of what is written; FR_KIND_COUNT: the bytes of a fixed */
    uint8_t nullable; /* 0: it is not; 1: a union that null begins; 2: one that it ends */
    uint32_t most;    /* DECIMAL: bytes that its precision can need; UUID: 1, it may be empty */
} fr_step;

typedef struct fr_constant { /* fields of a contract that no column has */
    size_t at;               /* in front of this step, or behind the last; SIZE_MAX: the end */
    fr_str bytes;            /* as Avro */
} fr_constant;

typedef struct fr_steps {
    const fr_step *items;
    size_t count;
    const fr_constant *constants; /* in their order; NULL: there are none */
    size_t always;                /* bytes of all of them */
} fr_steps;

/* What a table's rows need in Debezium's envelope; one of each per column of the table. */
typedef struct fr_dbz_plan {
    const fr_dbz_type **types; /* NULL: not published */
    fr_value *unlogged;        /* stands in `before` for what the source did not log */
    fr_value *unavailable;     /* in `after` for what did not change; ABSENT: nothing does */
    fr_value *rows[2];         /* room for a row with them */
} fr_dbz_plan;

typedef struct fr_plan {
    fr_arena *arena;        /* its own, with all below but the route */
    const fr_table *source; /* of the events; holds a reference */
    const fr_table *table;  /* as it is published: the route's */
    const fr_route *route;  /* NULL: not captured */
    fr_steps row, key, partition;
    const fr_avro_type *casts;   /* of columns.types, one per column; NULL: no column is cast */
    const fr_dbz_plan *debezium; /* NULL: another envelope */
    const struct fr_pin *pin;    /* the route's, where a value has to be converted for it */
    const uint16_t *converted; /* the columns whose values change: by casts, or for the contract */
    size_t converted_count;
    fr_value *rows[2];   /* room for a new row and an old one of such values, one event at a time */
    const fr_str *names; /* Avro's, one per column */
    int32_t key_id, value_id;
    int32_t *newest;      /* the topic's newest value_id, shared by all plans of the topic */
    int32_t noted;        /* the value_id before, while its notice is not made; 0: none is due */
    fr_str source_place;  /* source.schema and source.table, as Avro */
    fr_str collection;    /* "space.table", as transaction metadata has it */
    size_t collection_at; /* index into the counts of transaction `collection_of` */
    uint64_t collection_of;
    bool moved;     /* the table has gone on to another topic: it is made anew */
    fr_map *topics; /* of an outbox: topics that its rows named -> fr_str *; NULL: no outbox */
} fr_plan;

typedef struct fr_collection {
    fr_str name;
    int64_t count;
} fr_collection;

typedef struct fr_passing { /* of one table, of which some events are passed over */
    fr_str space, name, collection;
    uint64_t from, below; /* only those in [from, below) are not: beside; else the reverse */
    fr_str txn;           /* the first `seen` at or above from are of this transaction; or, not
                             beside, the first that come */
    uint64_t seen;
    uint64_t last_lsn, count; /* of those that were */
} fr_passing;

typedef struct fr_txn_counts { /* of the transaction in progress */
    bool known;                /* its BEGIN was seen */
    uint64_t serial;
    char id[64];
    int64_t total;
    fr_collection *collections;
    size_t count, cap;
} fr_txn_counts;

typedef struct fr_side_plan { /* of <prefix>.message and <prefix>.transaction */
    bool ready;
    fr_str topic;
    int32_t key_id, value_id;
} fr_side_plan;

typedef struct fr_commit_text { /* pieces of `source` that a transaction's rows share */
    uint64_t lsn;
    uint8_t lsn_text[32]; /* ["lsn"," */
    size_t lsn_len;
    int64_t us;
    uint8_t ms[10], rest[22]; /* ts_ms; ts_us and ts_ns */
    size_t ms_len, rest_len;
} fr_commit_text;

struct fr_encoder {
    fr_encoder_settings settings;
    fr_registry *registry;
    fr_arena *arena;
    fr_map *plans;    /* by the table's serial */
    fr_map *memories; /* "space.table" of an outbox -> fr_map * of ids; NULL: none */
    fr_map *newest;   /* topic -> int32_t *: id of its newest message's schema; 0 not known */
    fr_plan *last;
    fr_side_plan messages, transactions;
    fr_txn_counts txn;
    fr_passing *passing; /* encode_pass.c */
    size_t passing_count;
    bool beside;
    fr_str source_head; /* source.version, .connector and .name, as Avro */
    fr_str source_db;
    fr_str dbz_head;          /* source_head as Debezium has it */
    fr_header dbz_context[4]; /* the headers of its every message */
    bool binlog;              /* source has a binary log's fields */
    int64_t now_us;           /* wall time of this call of fr_encode */
    uint8_t now[33];          /* as Avro */
    size_t now_len;
    fr_commit_text commit;
};

/* The plan of a table version, made and its schemas registered where it is new. */
fr_rc fr_plan_get(fr_encoder *e, const fr_table *t, fr_plan **out, fr_err *err);
void fr_plan_free(void *plan);
/* Registers the schemas of a side topic once. make: fr_schema_message or _transaction. */
fr_rc fr_plan_side(fr_encoder *e, fr_side_plan *side, const char *suffix,
                   fr_rc (*make)(fr_arena *a, const fr_origin *origin, fr_str *key_out,
                                 fr_str *value_out, fr_err *err),
                   fr_err *err);

/* What a table's row counts for in the transaction's metadata (encode.c). */
void fr_plan_count(fr_encoder *e, fr_plan *p, const fr_event *event);
/* DATA when a message of so many bytes is more than daemon.max_row_bytes. */
fr_rc fr_plan_check_size(const fr_encoder *e, const fr_plan *p, const fr_event *event, size_t bytes,
                         fr_err *err);

/* A row that makes no message counts for its transaction's metadata; collection empty: of a table
 * whose count nobody asks for. The name is kept. */
void fr_encoder_count(fr_encoder *e, fr_str collection, const fr_event *event);

/* FR_END: this event is passed over (encode_pass.c). */
fr_rc fr_encoder_passes(fr_encoder *e, const fr_event *event, fr_err *err);

/* ---- notices (notice.c) ---- */

/* The message that says that this row is the first of another schema than the topic's last one. */
void fr_notice_changed(fr_encoder *e, fr_plan *p, fr_batch *b, size_t event);

/* ---- pieces of `source` (encode.c) ---- */

/* The texts of the times of this event's transaction: e->commit. */
void fr_source_times(fr_encoder *e, const fr_event *event);
/* sequence: ["commit lsn","row's lsn"]; at most 64 bytes. */
uint8_t *fr_source_sequence(fr_encoder *e, uint8_t *at, uint64_t lsn, uint64_t row_lsn);
/* txId: a number; an id that is none (a GTID) is left to the transaction block. */
uint8_t *fr_source_xid(uint8_t *at, const fr_txn *txn);
/* Counts a row in its transaction; false: nothing is said of the transaction. */
bool fr_plan_counted(fr_encoder *e, fr_plan *p, const fr_event *event, int64_t *total,
                     int64_t *order);

/* ---- Debezium's envelope (encode_debezium.c) ---- */

typedef struct fr_dbz_change { /* what a message says */
    char op;
    const fr_value *before, *after; /* prepared; NULL: not there */
    const fr_event *event;
} fr_dbz_change;

/* The steps, names and conversions of the plan's route. */
fr_rc fr_dbz_plan_fill(fr_plan *p, fr_err *err);
/* What all messages of this encoder share. */
void fr_dbz_begin(fr_encoder *e);
fr_rc fr_dbz_payload(fr_encoder *e, fr_plan *p, fr_arena *a, const fr_dbz_change *c, fr_str *out,
                     fr_err *err);
/* The headers of a message. key: of the row that came instead (newkey) or was there before
 * (oldkey), prepared; NULL: none. */
void fr_dbz_headers(const fr_encoder *e, const fr_plan *p, fr_arena *a, fr_message *m,
                    const char *name, const fr_value *key);
/* "571:53195829", as its transactions are called. */
fr_str fr_dbz_txn_id(fr_arena *a, const fr_event *event);

/* ---- outboxes (encode_outbox.c) ---- */

/* The message of an outbox's event: of a new row; none of a delete or TRUNCATE, which clean up, nor
 * of a row read that the log has brought already. */
fr_rc fr_outbox_encode(fr_encoder *e, fr_plan *p, fr_batch *b, size_t index, fr_err *err);

/* ---- rows (encode_row.c) ---- */

/* What the event says of a row, ready for steps: columns that after lacks are taken from
 * before where that has them, and casts are done. Points into the event, the arena or the plan,
 * where the next row of its kind replaces it. A new row is judged by the route's rules. What of an
 * old one does not fit its contract is ABSENT. */
fr_rc fr_row_prepare(const fr_plan *p, fr_arena *a, const fr_event *event, bool old,
                     const fr_value **out, fr_err *err);
/* The old row as `before` shows it; NULL: the contract has no way to say it. */
const fr_value *fr_row_old(const fr_plan *p, const fr_value *values);
/* True bound of the bytes that the steps write; DATA error that names table, column and
 * position for a value they cannot write. */
fr_rc fr_row_bound(const fr_plan *p, const fr_steps *steps, const fr_value *values,
                   const fr_event *event, size_t *bound, fr_err *err);
/* Writes at `at` and returns the end. Everything was checked by fr_row_bound. */
uint8_t *fr_row_write(uint8_t *at, const fr_steps *steps, const fr_value *values);
/* DATA: "table a.b: column c: what (at 0/1A2B30 #4)". */
fr_rc fr_row_fail(const fr_plan *p, const fr_event *event, uint16_t column, const char *what,
                  fr_err *err);
fr_rc fr_event_fail(const fr_plan *p, const fr_event *event, const char *what, fr_err *err);

#endif
