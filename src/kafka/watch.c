#include "kafka/watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "kafka/topics.h"

enum { EVERY_US = 5000000 };

void fr_watch_end(fr_watch *w)
{
    if (w->answers != NULL) {
        rd_kafka_queue_destroy(w->answers);
    }
    w->answers = NULL;
}

#if RD_KAFKA_VERSION >= 0x020300ff
bool fr_watch_due(const fr_watch *w)
{
    return w->answers == NULL && fr_now_us() >= w->next_us;
}

void fr_watch_ask(fr_watch *w, fr_client *c, const char **names, size_t count)
{
    if (count == 0) {
        return;
    }
    w->next_us = fr_now_us() + EVERY_US;
    w->answers = rd_kafka_queue_new(c->rk);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_DescribeTopics(c->rk, topics, NULL, w->answers);
    rd_kafka_TopicCollection_destroy(topics);
}

/* A topic that is not there is no matter of ours: a broker may not know a new one yet, and one
 * that was deleted fails otherwise. */
static fr_rc tell(fr_client *c, rd_kafka_event_t *event, fr_watch_seen seen, void *context,
                  fr_err *err)
{
    size_t count = 0;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fr_log(FR_LOG_DEBUG, c->who, "topics are not known to be the same: %s",
               rd_kafka_event_error_string(event));
        return FR_OK;
    }
    const rd_kafka_TopicDescription_t **found =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        char id[32];
        if (fr_topics_id(found[i], id, sizeof(id))) {
            FR_TRY(seen(context, rd_kafka_TopicDescription_name(found[i]), id, err));
        }
    }
    return FR_OK;
}

fr_rc fr_watch_answer(fr_watch *w, fr_client *c, int64_t wait_us, fr_watch_seen seen, void *context,
                      fr_err *err)
{
    if (w->answers == NULL) {
        return FR_OK;
    }
    int64_t deadline = fr_now_us() + wait_us;
    rd_kafka_event_t *event = rd_kafka_queue_poll(w->answers, 0);
    while (event == NULL && fr_now_us() < deadline) {
        FR_TRY(fr_client_check(c, err));
        event = rd_kafka_queue_poll(w->answers, FR_CLIENT_TICK_MS);
    }
    if (event == NULL && wait_us == 0) {
        return FR_OK;
    }
    fr_rc rc = event == NULL ? FR_OK : tell(c, event, seen, context, err);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    fr_watch_end(w);
    return rc;
}
#else
bool fr_watch_due(const fr_watch *w)
{
    (void)w;
    return false;
}

void fr_watch_ask(fr_watch *w, fr_client *c, const char **names, size_t count)
{
    (void)w;
    (void)c;
    (void)names;
    (void)count;
}

fr_rc fr_watch_answer(fr_watch *w, fr_client *c, int64_t wait_us, fr_watch_seen seen, void *context,
                      fr_err *err)
{
    (void)w;
    (void)c;
    (void)wait_us;
    (void)seen;
    (void)context;
    (void)err;
    return FR_OK;
}
#endif
