/* Notices that a commit or abort request of a producer was left without an answer. librdkafka sends
 * it again over a new connection and is content with the second one's answer; the first may still
 * be on its way, and would end the producer's next transaction (KAFKA-17754). Internal to
 * src/kafka. */
#ifndef FR_KAFKA_ENDTXN_H
#define FR_KAFKA_ENDTXN_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Written by librdkafka's threads; must outlive the client. All zeros to begin with. */
typedef struct fr_endtxn {
    atomic_bool waiting; /* for the answer to the one that was sent last */
    atomic_bool unanswered;
} fr_endtxn;

/* For the client that will be made of this configuration. */
void fr_endtxn_watch(rd_kafka_conf_t *conf, fr_endtxn *seen);
/* After commit or abort said how it ended: has there been, ever, a request that reached the network
 * and got no answer? */
bool fr_endtxn_unanswered(const fr_endtxn *seen);

#endif
