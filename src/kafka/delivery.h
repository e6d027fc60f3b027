/* What a delivery report proves. librdkafka also reports a message as delivered when a later batch
 * of its partition was: the broker takes no gap in a producer's sequence, so the earlier one must
 * have arrived, and only its answer was lost. But a broker that does not know the producer yet, as
 * is so in a topic that was just made, takes any number as the first. A batch that it refused
 * (leader not known yet) while the next one was under way is then lost, and reported as delivered.
 * Such reports have no offset: docs/adr/0023-no-offset-no-proof.md. Internal to src/kafka. */
#ifndef FR_KAFKA_DELIVERY_H
#define FR_KAFKA_DELIVERY_H

#include "base/error.h"
#include <librdkafka/rdkafka.h>

/* No message fails with it otherwise. */
#define FR_UNPROVED RD_KAFKA_RESP_ERR__INCONSISTENT

/* Success, the report's error, or FR_UNPROVED. */
rd_kafka_resp_err_t fr_delivery_result(const rd_kafka_message_t *m);
/* The error for FR_UNPROVED; returns FR_FAIL. */
fr_rc fr_delivery_unproved(const char *topic, fr_err *err);

#endif
