/* Interceptors are told of each request when it has been written to the socket, and of each end of
 * one: its reply, whatever the broker says in it, or with an error that none will come (some ends
 * are told twice). librdkafka has one such request at a time under way. */
#include "kafka/endtxn.h"

enum { END_TXN = 26 }; /* https://kafka.apache.org/protocol#protocol_api_keys */

static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int fd, const char *broker, int32_t broker_id,
                                   int16_t api, int16_t version, int32_t correlation, size_t size,
                                   void *opaque)
{
    (void)rk, (void)fd, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    if (api == END_TXN) {
        fr_endtxn *seen = opaque;
        atomic_store(&seen->waiting, true);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_received(rd_kafka_t *rk, int fd, const char *broker,
                                       int32_t broker_id, int16_t api, int16_t version,
                                       int32_t correlation, size_t size, int64_t took,
                                       rd_kafka_resp_err_t err, void *opaque)
{
    (void)rk, (void)fd, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    (void)took;
    fr_endtxn *seen = opaque;
    if (api == END_TXN && atomic_exchange(&seen->waiting, false) &&
        err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store(&seen->unanswered, true);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *text, size_t size)
{
    (void)conf, (void)text, (void)size;
    rd_kafka_resp_err_t code =
        rd_kafka_interceptor_add_on_request_sent(rk, "endtxn", on_sent, opaque);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rd_kafka_interceptor_add_on_response_received(rk, "endtxn", on_received, opaque);
    }
    return code;
}

void fr_endtxn_watch(rd_kafka_conf_t *conf, fr_endtxn *seen)
{
    (void)rd_kafka_conf_interceptor_add_on_new(conf, "endtxn", on_new, seen);
}

bool fr_endtxn_unanswered(const fr_endtxn *seen)
{
    return atomic_load(&seen->unanswered);
}
