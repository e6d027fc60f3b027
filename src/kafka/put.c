#include "kafka/put.h"
#include "base/cancel.h"
#include "kafka/client.h"
#include "kafka/delivery.h"
#include "kafka/topics.h"
#include <stdlib.h>

enum { READY_US = 15000000, FULL_WAIT_MS = 50 };

struct fr_putter {
    fr_client client;
    rd_kafka_topic_t *handle;
    const char *topic;
    uint64_t produced, delivered, failed;
    rd_kafka_resp_err_t failure; /* the first one */
};

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *client)
{
    fr_putter *p = ((fr_client *)client)->owner;
    rd_kafka_resp_err_t result = fr_delivery_result(m);
    (void)rk;
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
        p->delivered++;
    else if (p->failed++ == 0)
        p->failure = result;
}

static fr_rc open_topic(fr_putter *p, const fr_putter_settings *s, fr_err *err)
{
    FR_TRY(fr_client_ready(&p->client, READY_US, NULL, err));
    if (s->ours) {
        fr_arena *a = fr_arena_new(0);
        fr_topic_state now;
        bool create = s->kafka->topics_create != FR_WHEN_NEVER;
        fr_rc rc = fr_topics_need(&p->client, a, p->topic, create, true, &now, err);
        fr_arena_free(a);
        FR_TRY(rc);
    }
    p->handle = rd_kafka_topic_new(p->client.rk, p->topic, NULL);
    return p->handle != NULL
               ? FR_OK
               : fr_client_fail(&p->client, err, rd_kafka_last_error(), NULL, p->topic);
}

fr_rc fr_putter_open(const fr_putter_settings *settings, fr_putter **out, fr_err *err)
{
    fr_putter *p = fr_malloc(sizeof(*p));
    const fr_pair defaults[] = {{"linger.ms", "5"}, {"message.timeout.ms", settings->millis}};
    const fr_pair owned[] = {{"acks", "all"}, {"enable.idempotence", "true"}};
    fr_client_options options = {.type = RD_KAFKA_PRODUCER,
                                 .who = settings->who != NULL ? settings->who : settings->topic,
                                 .owner = p,
                                 .defaults = defaults,
                                 .default_count = 2,
                                 .owned = owned,
                                 .owned_count = 2,
                                 .delivered = on_delivered};
    p->topic = settings->topic;
    fr_rc rc = fr_client_open(&p->client, settings->kafka, &options, err);
    if (rc == FR_OK)
        rc = open_topic(p, settings, err);
    if (rc == FR_FAIL) {
        fr_putter_close(p);
        p = NULL;
    }
    *out = p;
    return rc;
}

void fr_putter_close(fr_putter *p)
{
    if (p == NULL)
        return;
    if (p->handle != NULL)
        rd_kafka_topic_destroy(p->handle);
    if (p->client.rk != NULL) {
        rd_kafka_purge(p->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(p->client.rk, 0);
    }
    fr_client_close(&p->client);
    free(p);
}

fr_rc fr_putter_put(fr_putter *p, int32_t partition, fr_str key, fr_str payload, fr_err *err)
{
    while (rd_kafka_produce(p->handle, partition, RD_KAFKA_MSG_F_COPY,
                            (void *)(uintptr_t)payload.ptr, payload.len, key.ptr, key.len,
                            NULL) != 0) {
        rd_kafka_resp_err_t code = rd_kafka_last_error();
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || p->failed > 0 || fr_cancelled())
            return fr_client_fail(&p->client, err, code, NULL, p->topic);
        rd_kafka_poll(p->client.rk, FULL_WAIT_MS);
    }
    p->produced++;
    rd_kafka_poll(p->client.rk, 0);
    return FR_OK;
}

fr_rc fr_putter_flush(fr_putter *p, fr_err *err)
{
    while (p->failed == 0 &&
           rd_kafka_flush(p->client.rk, FR_CLIENT_TICK_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT)
        FR_TRY(fr_client_check(&p->client, err));
    if (p->failed > 0 && p->failure == FR_UNPROVED)
        return fr_delivery_unproved(p->topic, err);
    if (p->failed > 0)
        return fr_client_fail(&p->client, err, p->failure, NULL, p->topic);
    if (p->produced == p->delivered)
        return FR_OK;
    return fr_fail(err, FR_ERR_BUG, "kafka: %llu messages produced, %llu acknowledged",
                   (unsigned long long)p->produced, (unsigned long long)p->delivered);
}
