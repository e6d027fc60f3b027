/* To follow, a consumer of whole topics; to make the topic and to write, a producer that ends at
 * once: a pipeline that nobody speaks to has one client more, and no two. */
#include "kafka/control.h"
#include "kafka/consumer.h"
#include "kafka/delivery.h"
#include "kafka/topics.h"
#include <stdlib.h>
#include <string.h>

enum { READY_US = 15000000, BATCH_RECORDS = 256, BATCH_BYTES = 256 << 10 };

struct fr_control {
    char topic[300];
    fr_consumer *consumer;
    fr_batch *batch;
};

typedef struct writing {
    fr_client client;
    bool over;
    rd_kafka_resp_err_t result;
} writing;

void fr_control_topic(const fr_kafka_settings *settings, char *out, size_t size)
{
    snprintf(out, size, "freshet.%s.control", settings->pipeline);
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    writing *w = ((fr_client *)opaque)->owner;
    (void)rk;
    w->over = true;
    w->result = fr_delivery_result(m);
}

/* The topic is there (whoever follows it checks what it is like); w->client is open, also after a
 * failure. */
static fr_rc open_client(writing *w, const fr_kafka_settings *settings, const char *topic,
                         fr_err *err)
{
    static const fr_pair defaults[] = {{"message.timeout.ms", "15000"}};
    static const fr_pair owned[] = {{"acks", "all"}, {"enable.idempotence", "true"}};
    const fr_client_options options = {.type = RD_KAFKA_PRODUCER,
                                       .who = "control",
                                       .owner = w,
                                       .defaults = defaults,
                                       .default_count = 1,
                                       .owned = owned,
                                       .owned_count = 2,
                                       .delivered = on_delivered};
    FR_TRY(fr_client_open(&w->client, settings, &options, err));
    FR_TRY(fr_client_ready(&w->client, READY_US, NULL, err));
    fr_arena *a = fr_arena_new(0);
    fr_topic_state now;
    bool create = settings->topics_create != FR_WHEN_NEVER;
    fr_rc rc = fr_topics_need(&w->client, a, topic, create, true, &now, err);
    fr_arena_free(a);
    return rc;
}

static void close_client(writing *w)
{
    if (w->client.rk != NULL) {
        rd_kafka_purge(w->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(w->client.rk, 0);
    }
    fr_client_close(&w->client);
}

static fr_rc produce(writing *w, const char *topic, fr_str key, fr_str value, fr_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_producev(
        w->client.rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY(key.ptr, key.len), RD_KAFKA_V_VALUE((void *)value.ptr, value.len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR && !w->over) {
        FR_TRY(fr_client_check(&w->client, err));
        rd_kafka_poll(w->client.rk, FR_CLIENT_TICK_MS);
    }
    code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? w->result : code;
    if (code == FR_UNPROVED) {
        return fr_delivery_unproved(topic, err);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? FR_OK
                                              : fr_client_fail(&w->client, err, code, NULL, topic);
}

fr_rc fr_control_write(const fr_kafka_settings *settings, fr_str key, fr_str value, fr_err *err)
{
    char topic[300];
    writing w = {0};
    fr_control_topic(settings, topic, sizeof(topic));
    fr_rc rc = open_client(&w, settings, topic, err);
    if (rc == FR_OK) {
        rc = produce(&w, topic, key, value, err);
    }
    close_client(&w);
    return rc;
}

static fr_rc make_topic(const fr_kafka_settings *settings, const char *topic, fr_err *err)
{
    writing w = {0};
    fr_rc rc = open_client(&w, settings, topic, err);
    close_client(&w);
    return rc;
}

static bool is_missing(const fr_err *err)
{
    return strcmp(err->code, "kafka.topic.missing") == 0;
}

/* Opens the consumer, and checks the topic with its client; FR_FAIL with the code of a missing
 * topic: it is to be made. */
static fr_rc open_consumer(fr_control *c, const fr_kafka_settings *settings, fr_err *err)
{
    const char *topics[] = {c->topic};
    const fr_consumer_settings consumer = {.kafka = settings, .topics = topics, .topic_count = 1};
    FR_TRY(fr_consumer_open(&consumer, &c->consumer, err));
    snprintf(c->consumer->client.who, sizeof(c->consumer->client.who), "control");
    return fr_topics_own(&c->consumer->client, NULL, c->topic, err);
}

static fr_rc make_and_open(fr_control *c, const fr_kafka_settings *settings, fr_err *err)
{
    FR_TRY(make_topic(settings, c->topic, err));
    fr_rc rc = open_consumer(c, settings, err);
    if (rc == FR_FAIL && is_missing(err)) {
        err->kind = FR_ERR_CONNECT; /* it was made, and not every broker knows of it yet */
    }
    return rc;
}

fr_rc fr_control_open(const fr_kafka_settings *settings, fr_control **out, fr_err *err)
{
    fr_control *c = fr_malloc(sizeof(*c));
    fr_control_topic(settings, c->topic, sizeof(c->topic));
    c->batch = fr_batch_new(BATCH_RECORDS, BATCH_BYTES);
    fr_rc rc = open_consumer(c, settings, err);
    if (rc == FR_FAIL && c->consumer == NULL && is_missing(err)) {
        rc = make_and_open(c, settings, err);
    }
    if (rc == FR_FAIL) {
        fr_control_close(c);
        return rc;
    }
    *out = c;
    return FR_OK;
}

void fr_control_close(fr_control *c)
{
    if (c == NULL) {
        return;
    }
    fr_consumer_close(c->consumer);
    fr_batch_free(c->batch);
    free(c);
}

fr_rc fr_control_read(fr_control *c, int64_t deadline_us, const fr_batch **out, fr_err *err)
{
    fr_batch_reset(c->batch);
    *out = c->batch;
    fr_rc rc = fr_consume(c->consumer, c->batch, deadline_us, err);
    return rc == FR_FAIL ? fr_fail_in(err, "topic %s", c->topic) : rc;
}

bool fr_control_at_end(fr_control *c)
{
    return fr_consumer_at_end(c->consumer);
}
