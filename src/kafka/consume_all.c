/* Reading whole topics without a group: for tap, for reading our own topics, for tests. No
 * right on groups is needed, and no coordinator is asked. */
#include "kafka/consumer.h"
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { READY_US = 15000000 };

static void add_topic(rd_kafka_topic_partition_list_t *list,
                      const struct rd_kafka_metadata_topic *t)
{
    for (int i = 0; i < t->partition_cnt; i++) {
        if (rd_kafka_topic_partition_list_find(list, t->topic, i) == NULL) {
            rd_kafka_topic_partition_list_add(list, t->topic, i);
        }
    }
}

static fr_rc missing(const char *topic, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "kafka: topic %s does not exist, or may not be seen", topic);
    fr_fail_code(err, "kafka.topic.missing");
    return fr_fail_hint(err, "create it with: freshet apply");
}

/* As librdkafka takes them: POSIX extended, with a leading ^. None found is no error: they
 * may come later, but only a group would see that. */
static fr_rc expand_regex(const char *pattern, const struct rd_kafka_metadata *m,
                          rd_kafka_topic_partition_list_t *list, fr_err *err)
{
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return fr_fail(err, FR_ERR_CONFIG, "kafka: \"%s\" is no regular expression", pattern);
    }
    for (int i = 0; i < m->topic_cnt; i++) {
        if (regexec(&re, m->topics[i].topic, 0, NULL, 0) == 0) {
            add_topic(list, &m->topics[i]);
        }
    }
    regfree(&re);
    return FR_OK;
}

static fr_rc expand_one(const char *name, const struct rd_kafka_metadata *m,
                        rd_kafka_topic_partition_list_t *list, fr_err *err)
{
    if (name[0] == '^') {
        return expand_regex(name, m, list, err);
    }
    for (int i = 0; i < m->topic_cnt; i++) {
        if (strcmp(m->topics[i].topic, name) == 0 && m->topics[i].partition_cnt > 0) {
            add_topic(list, &m->topics[i]);
            return FR_OK;
        }
    }
    return missing(name, err);
}

fr_rc fr_consumer_expand(fr_consumer *c, rd_kafka_topic_partition_list_t **out, fr_err *err)
{
    const struct rd_kafka_metadata *m;
    FR_TRY(fr_client_ready(&c->client, READY_US, &m, err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < c->settings.topic_count && rc == FR_OK; i++) {
        rc = expand_one(c->settings.topics[i], m, list, err);
    }
    rd_kafka_metadata_destroy(m);
    if (rc == FR_FAIL) {
        rd_kafka_topic_partition_list_destroy(list);
        return rc;
    }
    *out = list;
    return FR_OK;
}

fr_rc fr_consumer_begin(fr_consumer *c, const rd_kafka_topic_partition_list_t *list, fr_err *err)
{
    size_t count = (size_t)list->cnt;
    c->queue = rd_kafka_queue_new(c->client.rk);
    c->handles = fr_malloc((count + 1) * sizeof(rd_kafka_topic_t *));
    c->partitions = fr_malloc((count + 1) * sizeof(*c->partitions));
    for (int i = 0; i < list->cnt; i++) {
        c->handles[i] = rd_kafka_topic_new(c->client.rk, list->elems[i].topic, NULL);
        if (c->handles[i] == NULL) {
            return fr_client_fail(&c->client, err, rd_kafka_last_error(), NULL,
                                  list->elems[i].topic);
        }
        c->partitions[i] = list->elems[i].partition;
        c->handle_count++;
    }
    /* With the topics known, their leaders are too: else half a second passes. */
    FR_TRY(fr_client_ready(&c->client, READY_US, NULL, err));
    for (; c->started < c->handle_count; c->started++) {
        const rd_kafka_topic_partition_t *p = &list->elems[c->started];
        if (rd_kafka_consume_start_queue(c->handles[c->started], p->partition, p->offset,
                                         c->queue) != 0) {
            return fr_client_fail(&c->client, err, rd_kafka_last_error(), NULL, p->topic);
        }
    }
    return FR_OK;
}

void fr_consumer_end(fr_consumer *c)
{
    for (size_t i = 0; i < c->started; i++) {
        (void)rd_kafka_consume_stop(c->handles[i], c->partitions[i]);
    }
    for (size_t i = 0; i < c->handle_count; i++) {
        rd_kafka_topic_destroy(c->handles[i]);
    }
    free(c->handles);
    free(c->partitions);
    if (c->queue != NULL) {
        rd_kafka_queue_destroy(c->queue);
    }
}
