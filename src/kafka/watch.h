/* Is each topic still the one that we began with? The cluster is asked for the ids, seldom, and
 * without waiting for the answer. Internal to src/kafka; the client's owner's thread. Before
 * librdkafka 2.3.0 topics have no ids: nothing is asked. */
#ifndef FR_KAFKA_WATCH_H
#define FR_KAFKA_WATCH_H

#include "kafka/client.h"

typedef struct fr_watch {
    rd_kafka_queue_t *answers; /* of the question under way; NULL: none is */
    int64_t next_us;           /* no question before */
} fr_watch;

/* A topic that is there has this id. */
typedef fr_rc (*fr_watch_seen)(void *context, const char *topic, const char *id, fr_err *err);

/* It is time for a question, and none is under way. */
bool fr_watch_due(const fr_watch *w);
void fr_watch_ask(fr_watch *w, fr_client *c, const char **names, size_t count);
/* What was answered until now, or within wait_us; then the question is over, with or without an
 * answer, but where wait_us is 0: it goes on. Of topics that are not there nothing is said. */
fr_rc fr_watch_answer(fr_watch *w, fr_client *c, int64_t wait_us, fr_watch_seen seen, void *context,
                      fr_err *err);
void fr_watch_end(fr_watch *w);

#endif
