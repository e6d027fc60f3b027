/* The inside of a publisher, shared by publish*.c. Internal to src/kafka. */
#ifndef FR_KAFKA_PUBLISHER_H
#define FR_KAFKA_PUBLISHER_H

#include "base/map.h"
#include "kafka/client.h"
#include "kafka/publish.h"
#include "kafka/topics.h"
#include "kafka/watch.h"

struct fr_target;

/* One partition. Its address is the opaque of every message sent there. */
typedef struct fr_slot {
    struct fr_target *target; /* NULL: the checkpoint topic */
    int32_t partition;
    int64_t acked;        /* next offset after the last committed message; 0 none */
    int64_t fresh;        /* the same, of the open transaction */
    bool touched;         /* by the open transaction: listed in publisher.touched */
    uint32_t first, last; /* its messages in the window: 1 + index; 0: none */
} fr_slot;

/* Messages of one topic that are handed to librdkafka together, a partition after the other: each
 * call locks the topic, looks the partition up and asks for the time once. */
enum { FR_WINDOW = 512 };
typedef struct fr_window {
    struct fr_target *target;
    size_t count;
    const fr_message *messages[FR_WINDOW];
    fr_slot *slots[FR_WINDOW];
    uint32_t next[FR_WINDOW]; /* of the same partition: 1 + index; 0: it is the last */
    rd_kafka_message_t
        out[FR_WINDOW]; /* those of the partition at hand, as librdkafka wants them */
} fr_window;

/* What a broker takes where nobody said otherwise is 1 MiB and a few bytes; what a message's
 * batch adds to it. */
enum { FR_BIG_MESSAGE = 1000000, FR_BIG_MARGIN = 512 };

/* One data topic. */
typedef struct fr_target {
    const char *name;         /* in the publisher's arena */
    rd_kafka_topic_t *handle; /* NULL: known from the checkpoint only */
    fr_topic_fact fact;
    bool recorded; /* the checkpoint topic has the fact */
    bool stale;    /* as it was: the schema is a newer one since */
    bool compacted;
    int64_t big;   /* bytes above which a message is acknowledged one by one */
    uint32_t turn; /* the partition of messages without key, this time */
    fr_slot *slots;
    int32_t slot_count;
} fr_target;

/* Where a commit is: data waits to be acknowledged, then the records that come last, then the
 * broker's answer to the commit itself. */
typedef enum fr_commit_step { FR_COMMIT_DATA, FR_COMMIT_RECORDS, FR_COMMIT_END } fr_commit_step;

struct fr_publisher {
    fr_client client;
    const fr_kafka_settings *settings;
    fr_said *said; /* what was logged about topics; NULL: nothing */
    fr_arena *arena;
    fr_str source, instance;
    char topic[300]; /* the checkpoint's */
    rd_kafka_topic_t *handle;
    fr_slot own;
    bool transactional;
    bool alone;          /* the only message under way is one that may be too large */
    bool open;           /* between begin and commit or abort */
    int64_t most_bytes;  /* of a message, as librdkafka lets it pass: message.max.bytes */
    int64_t patience_us; /* transaction.timeout.ms and a bit */
    fr_commit_step step;
    int64_t commit_deadline_us;
    struct fr_committer *committer; /* NULL: not transactional, or not yet */
    fr_endtxn ends_asked;

    fr_map *targets;   /* topic -> fr_target* */
    fr_target *newest; /* the last one looked up */
    fr_window window;  /* publish_window.c; empty between two calls of produce */
    fr_slot **touched;
    size_t touched_count, touched_cap;
    fr_end *ends; /* of the last commit */
    size_t ends_cap;

    /* Of the open transaction (or since the last commit). */
    uint64_t produced, delivered, failed;
    rd_kafka_resp_err_t failure; /* the first one */
    const char *failure_topic;
    char failure_text[256];

    fr_arena *record_arena; /* at-least-once: records wait until the data is acknowledged */
    fr_record *records;
    size_t record_count, record_cap;

    /* publish_watch.c */
    fr_watch watch;
    const fr_slot *rewound; /* acknowledged at an offset that we had passed */
    int64_t rewound_at;

    /* The newest claim that we know of: decision 35. */
    fr_str seen_instance;
    int64_t seen_us;

    atomic_uint_fast64_t sent, acked, bytes, transactions, commit_us;
    atomic_int_fast64_t last_commit_us;
};

/* publish_topics.c */
fr_target *fr_publisher_find(fr_publisher *p, fr_str topic);
/* Existing and checked; made where topics.create is run. */
fr_rc fr_publisher_target(fr_publisher *p, fr_str topic, fr_target **out, fr_err *err);
/* Take facts and ends in, and compare them with the cluster (R15). */
fr_rc fr_publisher_adopt(fr_publisher *p, const fr_checkpoint *checkpoint, fr_err *err);
/* The checkpoint topic: there, or made; as it must be (R16). */
fr_rc fr_publisher_own_topic(fr_publisher *p, fr_err *err);
void fr_publisher_touch(fr_publisher *p, fr_slot *slot, int64_t next);
void fr_publisher_forget_touched(fr_publisher *p);
void fr_publisher_free_targets(fr_publisher *p);

/* Not yet failed: makes the error. Both return FR_FAIL. */
fr_rc fr_publisher_recreated(const char *topic, fr_err *err);
fr_rc fr_publisher_data_lost(const fr_end *end, int64_t log_end, fr_err *err);

/* publish_produce.c */
/* A delivery report; librdkafka calls it on our thread, from rd_kafka_poll and rd_kafka_flush. */
void fr_publisher_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *client);

/* Others only read the counters, so nothing needs to be locked. */
static inline void fr_publisher_count(atomic_uint_fast64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

/* publish_window.c: takes a message in that librdkafka needs to know nothing more of than key and
 * payload; sends all of them, on FR_FAIL *failed is the one that was refused. */
fr_rc fr_publisher_window_add(fr_publisher *p, fr_target *t, const fr_message *m, int32_t partition,
                              const fr_message **failed, fr_err *err);
fr_rc fr_publisher_window_send(fr_publisher *p, const fr_message **failed, fr_err *err);
void fr_publisher_window_forget(fr_publisher *p);

/* publish_watch.c */
/* Ask now and then, without waiting, whether the topics are still the same. */
void fr_publisher_watch(fr_publisher *p);
/* Everything is acknowledged and nothing committed: POSITION when a topic is another than it
 * was, as far as the answer and the offsets tell. */
fr_rc fr_publisher_same_topics(fr_publisher *p, fr_err *err);

/* publish.c */
/* Makes the error: a delivery report's reason, a fence, or what librdkafka said. */
fr_rc fr_publisher_fail(fr_publisher *p, fr_err *err, rd_kafka_resp_err_t code, const char *reason,
                        const char *what);
/* The same once p->failed > 0. */
fr_rc fr_publisher_fail_failed(fr_publisher *p, fr_err *err);
/* Wait until everything produced is acknowledged. */
fr_rc fr_publisher_drain(fr_publisher *p, fr_err *err);
/* One message, not copied; waits while the queue is full. */
fr_rc fr_publisher_send(fr_publisher *p, rd_kafka_topic_t *handle, const fr_message *m,
                        int32_t partition, fr_slot *slot, fr_err *err);

#endif
