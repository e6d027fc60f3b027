/* The inside of a publisher, shared by publish*.c. Internal to src/kafka. */
#ifndef FR_KAFKA_PUBLISHER_H
#define FR_KAFKA_PUBLISHER_H

#include "base/map.h"
#include "kafka/client.h"
#include "kafka/publish.h"
#include "kafka/topics.h"

struct fr_target;

/* One partition. Its address is the opaque of every message sent there. */
typedef struct fr_slot {
    struct fr_target *target; /* NULL: the checkpoint topic */
    int32_t partition;
    int64_t acked; /* next offset after the last committed message; 0 none */
    int64_t fresh; /* the same, of the open transaction */
    bool touched;  /* by the open transaction: listed in publisher.touched */
} fr_slot;

/* One data topic. */
typedef struct fr_target {
    const char *name;         /* in the publisher's arena */
    rd_kafka_topic_t *handle; /* NULL: known from the checkpoint only */
    fr_topic_fact fact;
    bool recorded; /* the checkpoint topic has the fact */
    bool compacted;
    int64_t big;   /* bytes above which a message is acknowledged one by one */
    uint32_t turn; /* the partition of messages without key, this time */
    fr_slot *slots;
    int32_t slot_count;
} fr_target;

struct fr_publisher {
    fr_client client;
    const fr_kafka_settings *settings;
    fr_arena *arena;
    fr_str source, instance;
    char topic[300]; /* the checkpoint's */
    rd_kafka_topic_t *handle;
    fr_slot own;
    bool transactional;
    bool open;           /* between begin and commit or abort */
    int64_t patience_us; /* transaction.timeout.ms and a bit */
    fr_endtxn ends_asked;

    fr_map *targets;   /* topic -> fr_target* */
    fr_target *newest; /* the last one looked up */
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

    /* The newest claim that we know of: decision 35. */
    fr_str seen_instance;
    int64_t seen_us;

    atomic_bool interrupted;
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
