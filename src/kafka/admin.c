/* Checks and creation, for plan, apply, doctor, status. */
#include "kafka/admin.h"
#include "base/clock.h"
#include "kafka/restore.h"
#include "kafka/topics.h"
#include <stdlib.h>
#include <string.h>

enum { OFFSETS_MS = 10000, READY_US = 5000000, INIT_US = 15000000, STEP_MS = 500 };

struct fr_admin {
    fr_client client;
    const fr_kafka_settings *settings;
};

fr_rc fr_admin_open(const fr_kafka_settings *settings, fr_admin **out, fr_err *err)
{
    fr_admin *a = fr_malloc(sizeof(*a));
    fr_client_options options = {.type = RD_KAFKA_PRODUCER, .who = "freshet"};
    a->settings = settings;
    if (fr_client_open(&a->client, settings, &options, err) == FR_FAIL) {
        free(a);
        return FR_FAIL;
    }
    *out = a;
    return FR_OK;
}

void fr_admin_close(fr_admin *a)
{
    if (a == NULL) {
        return;
    }
    fr_client_close(&a->client);
    free(a);
}

static void check_library(fr_findings *out)
{
    const char *why;
    if (fr_kafka_library_weak(&why)) {
        fr_finding *f =
            fr_findings_add(out, FR_WARNING, "kafka.library", "%s is %s", fr_kafka_library(), why);
        f->hint = FR_STR("Build freshet against librdkafka 2.8 or newer.");
    } else {
        fr_findings_add(out, FR_FINE, "kafka.library", "%s", fr_kafka_library());
    }
}

/* A throw-away id under our prefix: the same right, and nobody is fenced. */
static fr_rc try_init(fr_admin *a, fr_err *err)
{
    char id[300];
    snprintf(id, sizeof(id), "freshet.%s.check", a->settings->pipeline);
    const fr_pair owned[] = {{"transactional.id", id}};
    fr_client_options options = {
        .type = RD_KAFKA_PRODUCER, .who = "freshet", .owned = owned, .owned_count = 1};
    fr_client c;
    FR_TRY(fr_client_open(&c, a->settings, &options, err));
    int64_t deadline = fr_now_us() + INIT_US;
    rd_kafka_error_t *error = rd_kafka_init_transactions(c.rk, STEP_MS);
    while (error != NULL && rd_kafka_error_is_retriable(error) && fr_now_us() < deadline) {
        rd_kafka_error_destroy(error);
        error = rd_kafka_init_transactions(c.rk, STEP_MS);
    }
    fr_rc rc = error == NULL ? FR_OK : fr_client_fail_error(&c, err, error, "init_transactions");
    fr_client_close(&c);
    return rc;
}

static void check_transactions(fr_admin *a, fr_findings *out)
{
    fr_err err;
    if (!a->settings->exactly_once) {
        fr_findings_add(out, FR_FINE, "kafka.txn",
                        "delivery is at-least-once: no transactions are used");
        return;
    }
    if (try_init(a, &err) == FR_OK) {
        fr_findings_add(out, FR_FINE, "kafka.txn", "transactions work");
        return;
    }
    bool acl = strncmp(err.code, "kafka.acl", 9) == 0;
    fr_finding *f = fr_findings_add(
        out, FR_BLOCKER, acl ? "kafka.acl.transactional_id" : "kafka.txn", "%s", err.text);
    f->hint = fr_arena_str(out->arena, fr_cstr(fr_err_hint(&err)));
}

fr_rc fr_admin_check(fr_admin *a, fr_findings *out, fr_err *err)
{
    const struct rd_kafka_metadata *m;
    FR_TRY(fr_client_ready(&a->client, READY_US, &m, err));
    fr_findings_add(out, FR_FINE, "kafka.connect", "%d broker(s), answered by %s", m->broker_cnt,
                    m->orig_broker_name);
    if (m->broker_cnt < 3) {
        fr_findings_add(out, FR_WARNING, "kafka.brokers",
                        "%d broker(s): with fewer than 3 a lost disk is lost data", m->broker_cnt);
    }
    rd_kafka_metadata_destroy(m);
    check_library(out);
    check_transactions(a, out);
    return FR_OK;
}

static void missing(const fr_kafka_settings *s, const char *topic, bool ours, fr_findings *out)
{
    if (s->topics_create == FR_WHEN_NEVER) {
        fr_finding *f = fr_findings_add(out, FR_BLOCKER, "kafka.topic.missing",
                                        "topic %s does not exist", topic);
        f->hint = FR_STR("Create it, or set kafka.topics.create to apply or run.");
        return;
    }
    char partitions[32] = "the broker's number of", replicas[32] = "the broker's number of";
    if (ours || s->topic_partitions > 0) {
        snprintf(partitions, sizeof(partitions), "%lld",
                 ours ? 1LL : (long long)s->topic_partitions);
    }
    if (s->topic_replication > 0) {
        snprintf(replicas, sizeof(replicas), "%lld", (long long)s->topic_replication);
    }
    fr_findings_add(out, FR_CHANGE, "kafka.topic.missing",
                    "topic %s: create with %s partition(s), %s replica(s)%s", topic, partitions,
                    replicas, ours ? ", compacted" : "");
}

fr_rc fr_admin_check_topic(fr_admin *a, const char *topic, bool ours, bool null_keys,
                           fr_findings *out, fr_err *err)
{
    fr_topic_state t;
    fr_arena *arena = fr_arena_new(0);
    fr_rc rc = fr_client_ready(&a->client, READY_US, NULL, err);
    if (rc == FR_OK) {
        rc = fr_topics_describe(&a->client, arena, &topic, 1, &t, err);
    }
    if (rc == FR_OK && !t.exists) {
        missing(a->settings, topic, ours, out);
    } else if (rc == FR_OK) {
        size_t before = out->count;
        (void)fr_topics_judge(a->settings, &t, ours, null_keys, out);
        if (out->count == before) {
            fr_findings_add(out, FR_FINE, "kafka.topic", "topic %s: %d partition(s), %d replicas",
                            topic, (int)t.partitions, (int)t.replicas);
        }
    }
    fr_arena_free(arena);
    return rc;
}

fr_rc fr_admin_create_topic(fr_admin *a, const char *topic, bool ours, fr_err *err)
{
    FR_TRY(fr_client_ready(&a->client, READY_US, NULL, err));
    return fr_topics_create(&a->client, topic, ours, err);
}

static fr_rc describe_one(fr_admin *a, fr_arena *arena, const char *topic, fr_topic_state *out,
                          fr_err *err)
{
    FR_TRY(fr_client_ready(&a->client, READY_US, NULL, err));
    return fr_topics_describe(&a->client, arena, &topic, 1, out, err);
}

fr_rc fr_admin_partitions(fr_admin *a, const char *topic, int32_t *out, fr_err *err)
{
    fr_topic_state t;
    fr_arena *arena = fr_arena_new(0);
    fr_rc rc = describe_one(a, arena, topic, &t, err);
    if (rc == FR_OK) {
        *out = t.partitions;
        rc = t.exists ? FR_OK : FR_END;
    }
    fr_arena_free(arena);
    return rc;
}

/* Its partitions, with its id; next -1. */
static fr_rc places_of(fr_admin *a, fr_arena *arena, const char *topic, fr_offsets *out,
                       fr_err *err)
{
    fr_topic_state t;
    FR_TRY(describe_one(a, arena, topic, &t, err));
    fr_str name = fr_arena_str(arena, fr_cstr(topic));
    out->count = t.exists ? (size_t)t.partitions : 0;
    out->items = fr_arena_alloc(arena, (out->count + 1) * sizeof(*out->items));
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = (fr_offset){name, (int32_t)i, -1, ""};
        snprintf(out->items[i].topic_id, FR_TOPIC_ID_SIZE, "%.*s", FR_ARG(t.id));
    }
    return t.exists ? FR_OK : FR_END;
}

fr_rc fr_admin_ends(fr_admin *a, fr_arena *arena, const char *topic, fr_offsets *out, fr_err *err)
{
    fr_rc rc = places_of(a, arena, topic, out, err);
    if (rc != FR_OK) {
        return rc;
    }
    fr_end *places = fr_arena_alloc(arena, (out->count + 1) * sizeof(*places));
    int64_t *ends = fr_arena_alloc(arena, (out->count + 1) * sizeof(*ends));
    for (size_t i = 0; i < out->count; i++) {
        places[i] = (fr_end){.topic = out->items[i].topic, .partition = out->items[i].partition};
    }
    FR_TRY(fr_topics_log_ends(&a->client, places, out->count, ends, err));
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].next = ends[i] < 0 ? 0 : ends[i];
    }
    return FR_OK;
}

static fr_rc no_offset(fr_admin *a, const fr_offset *o, rd_kafka_resp_err_t code, fr_err *err)
{
    (void)fr_client_fail(&a->client, err, code, NULL, "ask for offsets");
    return fr_fail_in(err, "%.*s[%d]", FR_ARG(o->topic), (int)o->partition);
}

fr_rc fr_admin_begins(fr_admin *a, fr_arena *arena, const char *topic, fr_offsets *out, fr_err *err)
{
    fr_rc rc = places_of(a, arena, topic, out, err);
    for (size_t i = 0; i < out->count && rc == FR_OK; i++) {
        fr_offset *o = &out->items[i];
        int64_t end;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            a->client.rk, topic, o->partition, &o->next, &end, OFFSETS_MS);
        rc = code == RD_KAFKA_RESP_ERR_NO_ERROR ? FR_OK : no_offset(a, o, code, err);
    }
    return rc;
}

fr_rc fr_admin_at(fr_admin *a, fr_arena *arena, const char *topic, int64_t time_ms, fr_offsets *out,
                  fr_err *err)
{
    fr_rc rc = fr_admin_ends(a, arena, topic, out, err);
    if (rc != FR_OK) {
        return rc;
    }
    return fr_topics_at(&a->client, time_ms, out, err);
}

static fr_rc judge_keys(const fr_topic_state *t, fr_err *err)
{
    if (t->config_known && t->compacted && !t->expires) {
        return FR_OK;
    }
    if (!t->config_known) {
        fr_fail(err, FR_ERR_CONFIG,
                "topic %s: its configuration may not be seen, so that nobody "
                "knows whether it keeps the newest message of each key",
                t->name);
        fr_fail_hint(err, "Grant DescribeConfigs on the topic.");
    } else {
        fr_fail(err, FR_ERR_CONFIG,
                "topic %s is not only compacted: keys expire, so that what was "
                "published is not known",
                t->name);
        fr_fail_hint(err,
                     "kafka-configs --alter --entity-type topics --entity-name %s --add-config "
                     "cleanup.policy=compact (and kafka.topics.config for new ones)",
                     t->name);
    }
    return fr_fail_code(err, "compare.topic");
}

fr_rc fr_admin_keeps_keys(fr_admin *a, const char *topic, fr_err *err)
{
    fr_topic_state t;
    fr_arena *arena = fr_arena_new(0);
    fr_rc rc = describe_one(a, arena, topic, &t, err);
    if (rc == FR_OK) {
        rc = t.exists ? judge_keys(&t, err) : FR_END;
    }
    fr_arena_free(arena);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

fr_rc fr_admin_topics(fr_admin *a, fr_arena *arena, const char ***out, size_t *count_out,
                      fr_err *err)
{
    const struct rd_kafka_metadata *m;
    FR_TRY(fr_client_ready(&a->client, READY_US, &m, err));
    size_t count = 0;
    const char **names = fr_arena_alloc(arena, ((size_t)m->topic_cnt + 1) * sizeof(*names));
    for (int i = 0; i < m->topic_cnt; i++) {
        if (m->topics[i].partition_cnt > 0) {
            names[count++] = fr_arena_cstr(arena, fr_cstr(m->topics[i].topic));
        }
    }
    rd_kafka_metadata_destroy(m);
    qsort(names, count, sizeof(*names), by_name);
    *out = names;
    *count_out = count;
    return FR_OK;
}

fr_rc fr_admin_checkpoint(fr_admin *a, const char *source, fr_checkpoint **out, fr_err *err)
{
    char topic[300];
    int32_t partitions;
    fr_topics_checkpoint_name(a->settings, source, topic, sizeof(topic));
    fr_rc rc = fr_admin_partitions(a, topic, &partitions, err);
    return rc == FR_OK ? fr_restore(a->settings, source, out, err) : rc;
}
