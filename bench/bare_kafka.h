/* What the bare programs that speak to Kafka share. */
#ifndef FR_BENCH_BARE_KAFKA_H
#define FR_BENCH_BARE_KAFKA_H

#include "bench/bare.h"
#include <librdkafka/rdkafka.h>

/* freshet's own settings of a producer. */
#define BARE_PRODUCER                                                                              \
    {"enable.idempotence", "true"}, {"acks", "all"}, {"compression.codec", "lz4"},                 \
        {"linger.ms", "5"}, {"batch.size", "1000000"}, {"queue.buffering.max.messages", "200000"}, \
        {"queue.buffering.max.kbytes", "65536"}, {"socket.nagle.disable", "true"}

typedef void bare_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);

/* delivered may be NULL; for producers that flush it must not: without a callback rd_kafka_flush
 * looks at its queue only every 10 ms. */
static inline rd_kafka_t *bare_client(rd_kafka_type_t type, const char *const (*pairs)[2],
                                      size_t count, bare_delivered *delivered)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], why, sizeof(why)) != 0)
            bare_die(pairs[i][0], why);
    if (delivered != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (rk == NULL)
        bare_die("client", why);
    return rk;
}

static inline void bare_must(rd_kafka_error_t *error, const char *what)
{
    if (error != NULL)
        bare_die(what, rd_kafka_error_string(error));
}

#endif
