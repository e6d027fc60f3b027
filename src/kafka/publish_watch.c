/* R15 while we run: is each topic still the one that we began with? One that was deleted and
 * created again takes our messages without a word, and misses all that was published before. */
#include "base/clock.h"
#include "base/log.h"
#include "kafka/publisher.h"
#include <string.h>

enum { EVERY_US = 5000000, ANSWER_US = 2000000 };

#if RD_KAFKA_VERSION >= 0x020300ff
void fr_publisher_watch(fr_publisher *p)
{
    int64_t now = fr_now_us();
    if (p->watch != NULL || now < p->next_watch_us) {
        return;
    }
    fr_arena *a = fr_arena_new(0);
    const char **names = fr_arena_alloc(a, (fr_map_count(p->targets) + 1) * sizeof(*names));
    size_t count = 0, i = 0;
    void *value;
    while (fr_map_next(p->targets, &i, NULL, &value)) {
        const fr_target *t = value;
        if (t->handle != NULL && t->fact.topic_id.len > 0) {
            names[count++] = t->name;
        }
    }
    if (count > 0) {
        p->next_watch_us = now + EVERY_US;
        p->watch = rd_kafka_queue_new(p->client.rk);
        rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, count);
        rd_kafka_DescribeTopics(p->client.rk, topics, NULL, p->watch);
        rd_kafka_TopicCollection_destroy(topics);
    }
    fr_arena_free(a);
}

/* A topic that is not there is no matter of ours: a broker may not know a new one yet, and one
 * that was deleted fails its messages. */
static fr_rc judge(fr_publisher *p, rd_kafka_event_t *event, fr_err *err)
{
    size_t count = 0;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fr_log(FR_LOG_DEBUG, p->client.who, "topics are not known to be the same: %s",
               rd_kafka_event_error_string(event));
        return FR_OK;
    }
    const rd_kafka_TopicDescription_t **found =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const fr_target *t =
            fr_map_get(p->targets, fr_cstr(rd_kafka_TopicDescription_name(found[i])));
        char id[32];
        if (t != NULL && fr_topics_id(found[i], id, sizeof(id)) &&
            !fr_str_is(t->fact.topic_id, id)) {
            return fr_publisher_recreated(t->name, err);
        }
    }
    return FR_OK;
}

static fr_rc take_answer(fr_publisher *p, fr_err *err)
{
    if (p->watch == NULL) {
        return FR_OK;
    }
    int64_t deadline = fr_now_us() + ANSWER_US;
    rd_kafka_event_t *event = rd_kafka_queue_poll(p->watch, 0);
    while (event == NULL && fr_now_us() < deadline) {
        FR_TRY(fr_client_check(&p->client, err));
        event = rd_kafka_queue_poll(p->watch, FR_CLIENT_TICK_MS);
    }
    fr_rc rc = event == NULL ? FR_OK : judge(p, event, err);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    fr_publisher_unwatch(p);
    return rc;
}
#else
/* Before 2.3.0 topics have no ids: offsets that go backwards are all there is to see. */
void fr_publisher_watch(fr_publisher *p)
{
    (void)p;
}

static fr_rc take_answer(fr_publisher *p, fr_err *err)
{
    (void)p;
    (void)err;
    return FR_OK;
}
#endif

void fr_publisher_unwatch(fr_publisher *p)
{
    if (p->watch != NULL) {
        rd_kafka_queue_destroy(p->watch);
    }
    p->watch = NULL;
}

/* A message was acknowledged at an offset that we had passed: the log behind it is another, or
 * has lost its end. Its id tells which. */
static fr_rc explain_rewind(fr_publisher *p, fr_err *err)
{
    const fr_target *t = p->rewound->target;
    fr_arena *a = fr_arena_new(0);
    fr_topic_state now;
    fr_rc rc = fr_topics_describe(&p->client, a, &t->name, 1, &now, err);
    if (rc == FR_OK && now.exists && now.id.len > 0 && t->fact.topic_id.len > 0 &&
        fr_str_eq(now.id, t->fact.topic_id)) {
        const fr_end end = {t->fact.topic, p->rewound->partition, p->rewound->acked};
        rc = fr_publisher_data_lost(&end, p->rewound_at, err);
    } else if (rc == FR_OK) {
        rc = fr_publisher_recreated(t->name, err);
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_publisher_same_topics(fr_publisher *p, fr_err *err)
{
    if (p->rewound != NULL) {
        return explain_rewind(p, err);
    }
    return take_answer(p, err);
}
