/* Topics: described, judged, created. */
#include "kafka/topics.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { ADMIN_TIMEOUT_MS = 8000, ADMIN_TRIES = 4, CREATED_TIMEOUT_US = 15000000 };

void fr_topics_checkpoint_name(const fr_kafka_settings *settings, const char *source, char *out,
                               size_t size)
{
    snprintf(out, size, "freshet.%s.checkpoint.%s", settings->pipeline, source);
}

/* One admin request: its options and the queue for its reply. */
typedef struct request {
    fr_client *client;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;
} request;

static void request_begin(request *r, fr_client *c, rd_kafka_admin_op_t op)
{
    char text[256];
    *r = (request){.client = c,
                   .queue = rd_kafka_queue_new(c->rk),
                   .options = rd_kafka_AdminOptions_new(c->rk, op)};
    (void)rd_kafka_AdminOptions_set_request_timeout(r->options, ADMIN_TIMEOUT_MS, text,
                                                    sizeof(text));
}

static void request_end(request *r)
{
    if (r->event != NULL) {
        rd_kafka_event_destroy(r->event);
    }
    rd_kafka_AdminOptions_destroy(r->options);
    rd_kafka_queue_destroy(r->queue);
}

static fr_rc request_wait(request *r, const char *what, fr_err *err)
{
    int64_t deadline = fr_now_us() + (int64_t)(ADMIN_TIMEOUT_MS + 5000) * 1000;
    while (r->event == NULL) {
        FR_TRY(fr_client_check(r->client, err));
        r->event = rd_kafka_queue_poll(r->queue, FR_CLIENT_TICK_MS);
        if (r->event == NULL && fr_now_us() > deadline) {
            return fr_client_fail(r->client, err, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, what);
        }
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(r->event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fr_client_fail(r->client, err, code, rd_kafka_event_error_string(r->event), what);
    }
    return FR_OK;
}

static fr_topic_state *find(fr_topic_state *states, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(states[i].name, name) == 0) {
            return &states[i];
        }
    }
    return NULL;
}

static fr_rc topic_error(fr_client *c, rd_kafka_resp_err_t code, const char *reason,
                         const char *name, fr_err *err)
{
    char what[300];
    snprintf(what, sizeof(what), "topic %s", name);
    return fr_client_fail(c, err, code, reason, what);
}

/* The metadata of one topic at a time, without ids: before 2.3.0 there is no DescribeTopics, and a
 * mock has no controller to ask. */
static fr_rc describe_topic(fr_client *c, fr_topic_state *t, fr_err *err)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(c->rk, t->name, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(c->rk, 0, handle, &m, ADMIN_TIMEOUT_MS);
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = m->topic_cnt == 1 ? m->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        t->exists = true;
        t->partitions = m->topics[0].partition_cnt;
        for (int i = 0; i < t->partitions; i++) {
            int replicas = m->topics[0].partitions[i].replica_cnt;
            t->replicas = i == 0 || replicas < t->replicas ? replicas : t->replicas;
        }
    }
    if (m != NULL) {
        rd_kafka_metadata_destroy(m);
    }
    bool fine =
        code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return fine ? FR_OK : topic_error(c, code, NULL, t->name, err);
}

static fr_rc describe_by_metadata(fr_client *c, fr_topic_state *states, size_t count, fr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        FR_TRY(fr_client_check(c, err));
        FR_TRY(describe_topic(c, &states[i], err));
    }
    return FR_OK;
}

#if RD_KAFKA_VERSION >= 0x020300ff
bool fr_topics_id(const rd_kafka_TopicDescription_t *d, char *out, size_t size)
{
    const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(d);
    bool known = id != NULL && (rd_kafka_Uuid_most_significant_bits(id) != 0 ||
                                rd_kafka_Uuid_least_significant_bits(id) != 0);
    const char *text = known ? rd_kafka_Uuid_base64str(id) : NULL;
    snprintf(out, size, "%s", text == NULL ? "" : text);
    return text != NULL;
}

static fr_rc take_description(fr_client *c, fr_arena *a, const rd_kafka_TopicDescription_t *d,
                              fr_topic_state *t, fr_err *err)
{
    const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(d);
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return FR_OK;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return topic_error(c, code, rd_kafka_error_string(error), t->name, err);
    }
    size_t count = 0;
    const rd_kafka_TopicPartitionInfo_t **parts = rd_kafka_TopicDescription_partitions(d, &count);
    t->exists = true;
    t->partitions = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t replicas = 0;
        (void)rd_kafka_TopicPartitionInfo_replicas(parts[i], &replicas);
        if (i == 0 || (int32_t)replicas < t->replicas) {
            t->replicas = (int32_t)replicas;
        }
    }
    char id[32];
    t->id = fr_topics_id(d, id, sizeof(id)) ? fr_arena_str(a, fr_cstr(id)) : (fr_str){"", 0};
    return FR_OK;
}

static fr_rc describe_topics(fr_client *c, fr_arena *a, fr_topic_state *states, size_t count,
                             fr_err *err)
{
    const char **names = fr_arena_alloc(a, (count + 1) * sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = states[i].name;
    }
    request r;
    request_begin(&r, c, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_DescribeTopics(c->rk, topics, r.options, r.queue);
    rd_kafka_TopicCollection_destroy(topics);
    fr_rc rc = request_wait(&r, "describe topics", err);
    size_t n = 0;
    const rd_kafka_TopicDescription_t **found = NULL;
    if (rc == FR_OK) {
        found = rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(r.event),
                                                      &n);
    }
    for (size_t i = 0; i < n && rc == FR_OK; i++) {
        const char *name = rd_kafka_TopicDescription_name(found[i]);
        fr_topic_state *t =
            i < count && strcmp(states[i].name, name) == 0 ? &states[i] : find(states, count, name);
        rc = t == NULL ? FR_OK : take_description(c, a, found[i], t, err);
    }
    request_end(&r);
    return rc;
}
#else
static fr_rc describe_topics(fr_client *c, fr_arena *a, fr_topic_state *states, size_t count,
                             fr_err *err)
{
    (void)a;
    return describe_by_metadata(c, states, count, err);
}
#endif

static void take_entry(fr_topic_state *t, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    if (strcmp(name, "cleanup.policy") == 0) {
        t->compacted = strstr(value, "compact") != NULL;
        t->expires = strstr(value, "delete") != NULL;
    } else if (strcmp(name, "min.insync.replicas") == 0) {
        t->min_isr = strtoll(value, NULL, 10);
    } else if (strcmp(name, "max.message.bytes") == 0) {
        t->max_bytes = strtoll(value, NULL, 10);
    } else if (strcmp(name, "unclean.leader.election.enable") == 0) {
        t->unclean = strcmp(value, "true") == 0;
    }
}

/* Without the right to see a configuration it stays unknown: that is a warning's matter. */
static fr_rc take_config(fr_client *c, const rd_kafka_ConfigResource_t *resource, fr_topic_state *t,
                         fr_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return FR_OK;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return topic_error(c, code, rd_kafka_ConfigResource_error_string(resource), t->name, err);
    }
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    t->config_known = true;
    for (size_t i = 0; i < count; i++) {
        take_entry(t, rd_kafka_ConfigEntry_name(entries[i]),
                   rd_kafka_ConfigEntry_value(entries[i]));
    }
    return FR_OK;
}

static fr_rc describe_configs(fr_client *c, fr_arena *a, fr_topic_state *states, size_t count,
                              fr_err *err)
{
    rd_kafka_ConfigResource_t **wanted =
        fr_arena_alloc(a, (count + 1) * sizeof(rd_kafka_ConfigResource_t *));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (states[i].exists) {
            wanted[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, states[i].name);
        }
    }
    if (n == 0) {
        return FR_OK;
    }
    request r;
    request_begin(&r, c, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(c->rk, wanted, n, r.options, r.queue);
    rd_kafka_ConfigResource_destroy_array(wanted, n);
    fr_rc rc = request_wait(&r, "describe the topics' configuration", err);
    const rd_kafka_ConfigResource_t **found = NULL;
    if (rc == FR_OK) {
        found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(r.event), &n);
    }
    for (size_t i = 0; i < n && rc == FR_OK; i++) {
        fr_topic_state *t = find(states, count, rd_kafka_ConfigResource_name(found[i]));
        rc = t == NULL ? FR_OK : take_config(c, found[i], t, err);
    }
    request_end(&r);
    return rc;
}

/* Seen once on a loaded machine: librdkafka waits for a controller that it has. Asking again
 * ends that sooner than waiting. */
static fr_rc again(fr_rc (*ask)(fr_client *, fr_arena *, fr_topic_state *, size_t, fr_err *),
                   fr_client *c, fr_arena *a, fr_topic_state *states, size_t count, fr_err *err)
{
    fr_rc rc = ask(c, a, states, count, err);
    for (int i = 1; rc == FR_FAIL && err->native == RD_KAFKA_RESP_ERR__TIMED_OUT && i < ADMIN_TRIES;
         i++) {
        rc = ask(c, a, states, count, err);
    }
    return rc;
}

fr_rc fr_topics_look(fr_client *c, fr_arena *a, const char *const *names, size_t count,
                     fr_topic_state *out, fr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (fr_topic_state){
            .name = fr_arena_cstr(a, fr_cstr(names[i])), .min_isr = -1, .max_bytes = -1};
    }
    if (count == 0) {
        return FR_OK;
    }
    if (c->settings->mock) {
        return describe_by_metadata(c, out, count, err);
    }
    return again(describe_topics, c, a, out, count, err);
}

fr_rc fr_topics_describe(fr_client *c, fr_arena *a, const char *const *names, size_t count,
                         fr_topic_state *out, fr_err *err)
{
    FR_TRY(fr_topics_look(c, a, names, count, out, err));
    return count == 0 || c->settings->mock ? FR_OK : again(describe_configs, c, a, out, count, err);
}

static fr_rc add_config(rd_kafka_NewTopic_t *topic, const char *name, const char *value,
                        fr_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_NewTopic_set_config(topic, name, value);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return FR_OK;
    }
    return fr_fail(err, FR_ERR_CONFIG, "kafka.topics.config.\"%s\": %s", name,
                   rd_kafka_err2str(code));
}

static fr_rc new_topic(const fr_kafka_settings *s, const char *name, bool ours,
                       rd_kafka_NewTopic_t **out, fr_err *err)
{
    char text[256];
    int partitions = ours ? 1 : (s->topic_partitions > 0 ? (int)s->topic_partitions : -1);
    int replicas = s->topic_replication > 0 ? (int)s->topic_replication : -1;
    *out = rd_kafka_NewTopic_new(name, partitions, replicas, text, sizeof(text));
    if (*out == NULL) {
        return fr_fail(err, FR_ERR_CONFIG, "topic %s: %s", name, text);
    }
    if (ours) {
        return add_config(*out, "cleanup.policy", "compact", err);
    }
    for (size_t i = 0; i < s->topic_config.count; i++) {
        FR_TRY(
            add_config(*out, s->topic_config.items[i].name, s->topic_config.items[i].value, err));
    }
    return FR_OK;
}

/* A topic just made is not yet known to every broker. */
static fr_rc wait_usable(fr_client *c, const char *name, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    int64_t deadline = fr_now_us() + CREATED_TIMEOUT_US;
    fr_topic_state t = {0};
    fr_rc rc = FR_OK;
    do {
        rc = fr_topics_describe(c, a, &name, 1, &t, err);
        if (rc == FR_OK && !t.exists) {
            fr_sleep_us(20000);
        }
    } while (rc == FR_OK && !t.exists && fr_now_us() < deadline);
    if (rc == FR_OK && !t.exists) {
        rc =
            topic_error(c, RD_KAFKA_RESP_ERR__TIMED_OUT, "created, but still not there", name, err);
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_topics_create(fr_client *c, const char *name, bool ours, fr_err *err)
{
    rd_kafka_NewTopic_t *topic = NULL;
    fr_rc rc = new_topic(c->settings, name, ours, &topic, err);
    if (rc == FR_FAIL) {
        if (topic != NULL) {
            rd_kafka_NewTopic_destroy(topic);
        }
        return rc;
    }
    request r;
    request_begin(&r, c, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(c->rk, &topic, 1, r.options, r.queue);
    rd_kafka_NewTopic_destroy(topic);
    char what[300];
    snprintf(what, sizeof(what), "create topic %s", name);
    rc = request_wait(&r, what, err);
    if (rc == FR_OK) {
        size_t n = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(r.event), &n);
        rd_kafka_resp_err_t code =
            n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
        if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            rc = FR_END;
        } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            const char *why = n == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
            rc = fr_client_fail(c, err, code, why, what);
            /* Brokers that are starting, or were slow for a while, count as none. */
            if (code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR && why != NULL &&
                strstr(why, "fenced") != NULL) {
                err->kind = FR_ERR_CONNECT;
                (void)fr_fail_hint(err, "The brokers are not ready; it is tried again.");
            }
        }
    }
    request_end(&r);
    if (rc != FR_FAIL && wait_usable(c, name, err) == FR_FAIL) {
        return FR_FAIL;
    }
    return rc;
}

static int32_t place_at(const fr_end *places, size_t count, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < count; i++) {
        if (places[i].partition == partition && fr_str_is(places[i].topic, topic)) {
            return (int32_t)i;
        }
    }
    return -1;
}

#if RD_KAFKA_VERSION >= 0x020300ff
/* Only a partition that is not there has no end: one of which nobody could tell is no lost data. */
static fr_rc take_log_ends(fr_client *c, const request *r, const fr_end *places, size_t count,
                           int64_t *log_ends, fr_err *err)
{
    size_t n = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(r->event), &n);
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_topic_partition_t *p =
            rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        /* The reply mostly keeps the order of the request. */
        int32_t at =
            i < count && places[i].partition == p->partition && fr_str_is(places[i].topic, p->topic)
                ? (int32_t)i
                : place_at(places, count, p->topic, p->partition);
        if (at >= 0 && p->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_ends[at] = p->offset;
        } else if (p->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
                   p->err != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION &&
                   p->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            return topic_error(c, p->err, NULL, p->topic, err);
        }
    }
    return FR_OK;
}

fr_rc fr_topics_log_ends(fr_client *c, const fr_end *places, size_t count, int64_t *log_ends,
                         fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        log_ends[i] = -1;
        rd_kafka_topic_partition_list_add(list, fr_arena_cstr(a, places[i].topic),
                                          places[i].partition)
            ->offset = RD_KAFKA_OFFSET_SPEC_LATEST;
    }
    fr_arena_free(a);
    request r;
    request_begin(&r, c, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_isolation_level(
        r.options, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_ListOffsets(c->rk, list, r.options, r.queue);
    rd_kafka_topic_partition_list_destroy(list);
    fr_rc rc = request_wait(&r, "ask for the log ends", err);
    if (rc == FR_OK) {
        rc = take_log_ends(c, &r, places, count, log_ends, err);
    }
    request_end(&r);
    return rc;
}
#else
fr_rc fr_topics_log_ends(fr_client *c, const fr_end *places, size_t count, int64_t *log_ends,
                         fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < count && rc == FR_OK; i++) {
        int64_t low = 0;
        const char *topic = fr_arena_cstr(a, places[i].topic);
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            c->rk, topic, places[i].partition, &low, &log_ends[i], ADMIN_TIMEOUT_MS);
        if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
            code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            log_ends[i] = -1;
        } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rc = topic_error(c, code, NULL, topic, err);
        }
    }
    fr_arena_free(a);
    return rc;
}
#endif

fr_rc fr_topics_at(fr_client *c, int64_t time_ms, fr_offsets *offsets, fr_err *err)
{
    char topic[256] = "";
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offsets->count);
    for (size_t i = 0; i < offsets->count; i++) {
        snprintf(topic, sizeof(topic), "%.*s", FR_ARG(offsets->items[i].topic));
        rd_kafka_topic_partition_list_add(list, topic, offsets->items[i].partition)->offset =
            time_ms;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(c->rk, list, ADMIN_TIMEOUT_MS);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        code = list->elems[i].err;
        snprintf(topic, sizeof(topic), "%s", list->elems[i].topic);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0) {
            offsets->items[i].next = list->elems[i].offset;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? FR_OK : topic_error(c, code, NULL, topic, err);
}
