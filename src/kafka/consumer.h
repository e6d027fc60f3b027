/* The inside of a consumer, shared by consume*.c. Internal to src/kafka. */
#ifndef FR_KAFKA_CONSUMER_H
#define FR_KAFKA_CONSUMER_H

#include "base/map.h"
#include "kafka/client.h"
#include "kafka/consume.h"
#include "kafka/watch.h"

typedef struct fr_place { /* one assigned partition */
    char *topic;
    int32_t partition;
    int64_t next;       /* our position; -1 nothing read yet */
    int64_t told;       /* what of it the owner knows: its own place, or fr_consumer_ends */
    bool at_end, ended; /* now; once since it is ours */
    bool held;          /* its topic waits */
    int64_t left_out;   /* the first message that came all the same; -1 none */
} fr_place;

struct fr_consumer {
    fr_client client;
    fr_consumer_settings settings; /* copies of its texts */
    fr_arena *arena;
    atomic_bool interrupted;
    fr_place **places;
    size_t place_count, place_cap;
    fr_place *newest; /* the last one looked up */
    fr_map *held;     /* topics that wait; NULL: none ever did */
    fr_map *ids;      /* topic -> its id, as text; empty: nobody told */
    fr_watch watch;
    bool assigned; /* at least once */
    bool paused;
    bool broken; /* error holds why; only ever closed from then on */
    fr_err error;
    fr_batch *batch;           /* the one being filled, while fr_consume runs */
    rd_kafka_message_t *spare; /* came with a heartbeat */
    /* Without a group: */
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t **handles; /* one per partition */
    int32_t *partitions;
    size_t handle_count, started;
};

fr_place *fr_consumer_place(fr_consumer *c, const char *topic, int32_t partition);

/* consume_hold.c */
bool fr_consumer_holds(const fr_consumer *c, fr_str topic);
void fr_consumer_pause_held(fr_consumer *c, const rd_kafka_topic_partition_list_t *list);
void fr_consumer_resume_leaving(fr_consumer *c, const rd_kafka_topic_partition_list_t *list);

/* consume_ids.c: POSITION when a topic is another than it was, as far as the cluster told. */
fr_rc fr_consumer_same_topics(fr_consumer *c, fr_err *err);

/* consume_all.c: all partitions of the named topics, without a group. */
fr_rc fr_consumer_expand(fr_consumer *c, rd_kafka_topic_partition_list_t **out, fr_err *err);
fr_rc fr_consumer_begin(fr_consumer *c, const rd_kafka_topic_partition_list_t *list, fr_err *err);
void fr_consumer_end(fr_consumer *c);

#endif
