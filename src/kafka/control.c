/* To follow, a consumer of whole topics; to make the topic and to write, a producer that ends at
 * once: a pipeline that nobody speaks to has one client more, and no two. */
#include "kafka/control.h"
#include "kafka/consumer.h"
#include "kafka/put.h"
#include "kafka/topics.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH_RECORDS = 256, BATCH_BYTES = 256 << 10 };

struct fr_control {
    char topic[300];
    fr_consumer *consumer;
    fr_batch *batch;
};

void fr_control_topic(const fr_kafka_settings *settings, char *out, size_t size)
{
    snprintf(out, size, "freshet.%s.control", settings->pipeline);
}

/* Its topic is there then; whoever follows it checks what it is like. */
static fr_rc open_putter(const fr_kafka_settings *kafka, const char *topic, fr_putter **out,
                         fr_err *err)
{
    const fr_putter_settings s = {
        .kafka = kafka, .topic = topic, .who = "control", .millis = "15000", .ours = true};
    return fr_putter_open(&s, out, err);
}

fr_rc fr_control_write(const fr_kafka_settings *settings, const fr_control_record *records,
                       size_t count, fr_err *err)
{
    char topic[300];
    fr_putter *p;
    fr_control_topic(settings, topic, sizeof(topic));
    FR_TRY(open_putter(settings, topic, &p, err));
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < count && rc == FR_OK; i++)
        rc = fr_putter_put(p, 0, records[i].key, records[i].value, err);
    if (rc == FR_OK)
        rc = fr_putter_flush(p, err);
    fr_putter_close(p);
    return rc;
}

static fr_rc make_topic(const fr_kafka_settings *settings, const char *topic, fr_err *err)
{
    fr_putter *p;
    FR_TRY(open_putter(settings, topic, &p, err));
    fr_putter_close(p);
    return FR_OK;
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
