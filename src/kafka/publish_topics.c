/* The topics of a publisher: there, as recorded, as safe as asked for (R15, R16). */
#include "base/clock.h"
#include "base/log.h"
#include "kafka/consume.h"
#include "kafka/publisher.h"
#include <stdlib.h>
#include <string.h>

/* A new leader's high watermark lags behind for a moment. */
enum { LOG_END_PATIENCE_US = 5000000, EMPTY_STEP_US = 200000 };

static const char *partitioner_name(const fr_kafka_settings *s)
{
    return s->partitioner == 0 ? "payload" : "murmur2";
}

fr_target *fr_publisher_find(fr_publisher *p, fr_str topic)
{
    if (p->newest != NULL && fr_str_eq(p->newest->fact.topic, topic)) {
        return p->newest;
    }
    fr_target *t = fr_map_get(p->targets, topic);
    if (t == NULL) {
        t = fr_arena_alloc(p->arena, sizeof(*t));
        t->name = fr_arena_cstr(p->arena, topic);
        t->fact.topic = fr_cstr(t->name);
        t->fact.topic_id = (fr_str){"", 0};
        fr_map_set(p->targets, topic, t);
    }
    p->newest = t;
    return t;
}

static void grow_slots(fr_target *t, int32_t count)
{
    if (count <= t->slot_count) {
        return;
    }
    t->slots = fr_realloc(t->slots, (size_t)count * sizeof(*t->slots));
    for (int32_t i = t->slot_count; i < count; i++) {
        t->slots[i] = (fr_slot){.target = t, .partition = i};
    }
    t->slot_count = count;
}

void fr_publisher_touch(fr_publisher *p, fr_slot *slot, int64_t next)
{
    if (next > slot->fresh) {
        slot->fresh = next;
    }
    if (slot->touched) {
        return;
    }
    slot->touched = true;
    if (p->touched_count == p->touched_cap) {
        p->touched_cap = p->touched_cap == 0 ? 64 : p->touched_cap * 2;
        p->touched = fr_realloc(p->touched, p->touched_cap * sizeof(fr_slot *));
    }
    p->touched[p->touched_count++] = slot;
}

void fr_publisher_forget_touched(fr_publisher *p)
{
    for (size_t i = 0; i < p->touched_count; i++) {
        p->touched[i]->touched = false;
        p->touched[i]->fresh = 0;
    }
    p->touched_count = 0;
}

void fr_publisher_free_targets(fr_publisher *p)
{
    fr_str key;
    void *value;
    size_t i = 0;
    while (p->targets != NULL && fr_map_next(p->targets, &i, &key, &value)) {
        fr_target *t = value;
        if (t->handle != NULL) {
            rd_kafka_topic_destroy(t->handle);
        }
        free(t->slots);
    }
    fr_map_free(p->targets, NULL);
}

void fr_publisher_ends(fr_publisher *p, fr_arena *a, fr_end **out, size_t *count)
{
    fr_str key;
    void *value;
    size_t room = 0, n = 0;
    for (size_t i = 0; fr_map_next(p->targets, &i, &key, &value);) {
        room += (size_t)((fr_target *)value)->slot_count;
    }
    fr_end *ends = fr_arena_alloc(a, (room + 1) * sizeof(*ends));
    for (size_t i = 0; fr_map_next(p->targets, &i, &key, &value);) {
        const fr_target *t = value;
        for (int32_t k = 0; k < t->slot_count; k++) {
            if (t->slots[k].acked > 0) {
                ends[n++] = (fr_end){t->fact.topic, k, t->slots[k].acked};
            }
        }
    }
    *out = ends;
    *count = n;
}

static fr_rc refuse_position(fr_err *err, const char *code, const char *topic, const char *text)
{
    fr_fail(err, FR_ERR_POSITION, "kafka: topic %s %s", topic, text);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "Its consumers may have missed events: take a new snapshot into a new "
                             "topic (sources.<name>.tables.<table>.topic), or restore the topic.");
}

fr_rc fr_publisher_recreated(const char *topic, fr_err *err)
{
    return refuse_position(err, "kafka.topic.recreated", topic,
                           "was deleted and created again: what was published is gone");
}

static fr_rc check_fact(const fr_target *t, const fr_topic_state *now, const char *partitioner,
                        fr_err *err)
{
    const fr_topic_fact *was = &t->fact;
    char text[200];
    if (was->topic_id.len > 0 && now->id.len > 0 && !fr_str_eq(was->topic_id, now->id)) {
        return fr_publisher_recreated(t->name, err);
    }
    if (was->partitions != now->partitions) {
        snprintf(text, sizeof(text),
                 "had %d partitions and has %d: keys would move, and their order be lost",
                 (int)was->partitions, (int)now->partitions);
        return refuse_position(err, "kafka.topic.partitions", t->name, text);
    }
    if (was->partitioner.len > 0 && !fr_str_is(was->partitioner, partitioner)) {
        fr_fail(err, FR_ERR_POSITION,
                "kafka: topic %s was partitioned by %.*s, now it would be by %s: keys would move",
                t->name, FR_ARG(was->partitioner), partitioner);
        fr_fail_code(err, "kafka.partitioner");
        return fr_fail_hint(err, "Set kafka.partitioner: %.*s again, or use a new topic.",
                            FR_ARG(was->partitioner));
    }
    return FR_OK;
}

static fr_rc open_target(fr_publisher *p, fr_target *t, const fr_topic_state *now, fr_err *err)
{
    FR_TRY(fr_topics_check(&p->client, p->said, now, false, err));
    if (t->recorded) {
        FR_TRY(check_fact(t, now, partitioner_name(p->settings), err));
    } else {
        t->fact.topic_id = fr_arena_str(p->arena, now->id);
        t->fact.partitions = now->partitions;
        t->fact.partitioner = fr_cstr(partitioner_name(p->settings));
    }
    grow_slots(t, now->partitions);
    t->compacted = now->compacted;
    t->big = now->max_bytes > 0 ? now->max_bytes - FR_BIG_MARGIN : FR_BIG_MESSAGE;
    t->handle = rd_kafka_topic_new(p->client.rk, t->name, NULL);
    if (t->handle == NULL) {
        return fr_publisher_fail(p, err, rd_kafka_last_error(), NULL, t->name);
    }
    return FR_OK;
}

fr_rc fr_publisher_target(fr_publisher *p, fr_str topic, fr_target **out, fr_err *err)
{
    fr_target *t = fr_publisher_find(p, topic);
    *out = t;
    if (t->handle != NULL) {
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(0);
    fr_topic_state now;
    bool known = t->recorded || t->slot_count > 0;
    fr_rc rc;
    if (known) {
        const char *name = t->name;
        rc = fr_topics_describe(&p->client, a, &name, 1, &now, err);
        if (rc == FR_OK && !now.exists) {
            rc = refuse_position(err, "kafka.topic.deleted", name,
                                 "was deleted: what was published is gone");
        }
    } else {
        bool create = p->settings->topics_create == FR_WHEN_RUN;
        rc = fr_topics_need(&p->client, a, t->name, create, false, &now, err);
    }
    if (rc == FR_OK) {
        rc = open_target(p, t, &now, err);
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_publisher_topic(fr_publisher *p, fr_str topic, int32_t *partitions_out, fr_err *err)
{
    fr_target *t;
    FR_TRY(fr_publisher_target(p, topic, &t, err));
    *partitions_out = t->fact.partitions;
    return FR_OK;
}

fr_rc fr_publisher_compacted(fr_publisher *p, fr_str topic, bool *out, fr_err *err)
{
    fr_target *t;
    FR_TRY(fr_publisher_target(p, topic, &t, err));
    *out = t->compacted;
    return FR_OK;
}

static fr_rc is_empty(const fr_kafka_settings *kafka, const char *topic, bool *out, fr_err *err)
{
    const fr_consumer_settings s = {.kafka = kafka, .topics = &topic, .topic_count = 1};
    fr_consumer *c;
    FR_TRY(fr_consumer_open(&s, &c, err));
    fr_batch *b = fr_batch_new(1, 1 << 20);
    fr_rc rc;
    do {
        rc = fr_consume(c, b, fr_now_us() + EMPTY_STEP_US, err);
    } while (rc != FR_FAIL && b->message_count == 0 && !fr_consumer_at_end(c));
    *out = b->message_count == 0;
    fr_batch_free(b);
    fr_consumer_close(c);
    return rc == FR_FAIL ? rc : FR_OK;
}

/* Nothing was sent there: somebody may make it anew before it is asked for again. */
static void forget(fr_target *t)
{
    rd_kafka_topic_destroy(t->handle);
    free(t->slots);
    t->handle = NULL;
    t->slots = NULL;
    t->slot_count = 0;
}

fr_rc fr_publisher_fresh(fr_publisher *p, fr_str topic, bool *out, fr_err *err)
{
    fr_target *t;
    *out = true;
    FR_TRY(fr_publisher_target(p, topic, &t, err));
    if (t->recorded || !p->transactional)
        return FR_OK;
    FR_TRY(is_empty(p->settings, t->name, out, err));
    if (!*out)
        forget(t);
    return FR_OK;
}

fr_rc fr_publisher_own_topic(fr_publisher *p, fr_err *err)
{
    return fr_topics_own(&p->client, p->said, p->topic, err);
}

static void take_facts(fr_publisher *p, const fr_checkpoint *c)
{
    fr_str key;
    void *value;
    for (size_t i = 0; fr_map_next(c->topics, &i, &key, &value);) {
        const fr_topic_fact *fact = value;
        fr_target *t = fr_publisher_find(p, fact->topic);
        t->fact.topic_id = fr_arena_str(p->arena, fact->topic_id);
        t->fact.partitions = fact->partitions;
        t->fact.partitioner = fr_arena_str(p->arena, fact->partitioner);
        t->fact.schema = fact->schema;
        t->recorded = true;
    }
    for (size_t i = 0; fr_map_next(c->ends, &i, &key, &value);) {
        const fr_end *end = value;
        fr_target *t = fr_publisher_find(p, end->topic);
        grow_slots(t, end->partition + 1);
        t->slots[end->partition].acked = end->offset;
    }
}

/* The topics that are still there must be the same ones. One that is not there refuses when
 * it is needed: a table that is captured no more may take its topic along. */
static fr_rc check_facts(fr_publisher *p, fr_arena *a, fr_map *gone, fr_err *err)
{
    size_t count = fr_map_count(p->targets), n = 0;
    const char **names = fr_arena_alloc(a, (count + 1) * sizeof(*names));
    fr_topic_state *states = fr_arena_alloc(a, (count + 1) * sizeof(*states));
    fr_str key;
    void *value;
    for (size_t i = 0; fr_map_next(p->targets, &i, &key, &value);) {
        names[n++] = ((fr_target *)value)->name;
    }
    FR_TRY(fr_topics_describe(&p->client, a, names, n, states, err));
    for (size_t i = 0; i < n; i++) {
        const fr_target *t = fr_map_get(p->targets, fr_cstr(names[i]));
        if (!states[i].exists) {
            fr_log(FR_LOG_WARN, p->client.who, "topic %s was deleted", names[i]);
            fr_map_set(gone, fr_cstr(names[i]), (void *)t);
        } else if (t->recorded) {
            FR_TRY(check_fact(t, &states[i], partitioner_name(p->settings), err));
        }
    }
    return FR_OK;
}

fr_rc fr_publisher_data_lost(const fr_end *end, int64_t log_end, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "kafka: topic %.*s, partition %d ends at offset %lld, but messages up to %lld were "
            "acknowledged: Kafka has lost data",
            FR_ARG(end->topic), (int)end->partition, (long long)log_end,
            (long long)(end->offset - 1));
    fr_fail_code(err, "kafka.data_lost");
    return fr_fail_hint(err, "Publish the lost part again: freshet position set <source>, or take "
                             "a new snapshot.");
}

/* The topic is there, and so is the partition. */
static fr_rc no_log_end(const fr_end *end, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "kafka: topic %.*s, partition %d: no broker says where it ends",
            FR_ARG(end->topic), (int)end->partition);
    fr_fail_hint(err, "look at the brokers' logs; it is asked again");
    return fr_fail_code(err, "kafka.log_end");
}

static fr_rc check_log_ends(fr_publisher *p, fr_arena *a, const fr_end *ends, size_t count,
                            fr_err *err)
{
    int64_t *log_ends = fr_arena_alloc(a, (count + 1) * sizeof(*log_ends));
    int64_t deadline = fr_now_us() + LOG_END_PATIENCE_US;
    for (;;) {
        size_t i = 0;
        FR_TRY(fr_topics_log_ends(&p->client, ends, count, log_ends, err));
        while (i < count && log_ends[i] >= ends[i].offset) {
            i++;
        }
        if (i == count) {
            return FR_OK;
        }
        if (fr_now_us() >= deadline) {
            return log_ends[i] < 0 ? no_log_end(&ends[i], err)
                                   : fr_publisher_data_lost(&ends[i], log_ends[i], err);
        }
        FR_TRY(fr_client_check(&p->client, err));
        fr_sleep_us(100000);
    }
}

fr_rc fr_publisher_adopt(fr_publisher *p, const fr_checkpoint *checkpoint, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_map *gone = fr_map_new();
    take_facts(p, checkpoint);
    fr_rc rc = check_facts(p, a, gone, err);
    fr_end *ends;
    size_t count, n = 0;
    fr_publisher_ends(p, a, &ends, &count);
    for (size_t i = 0; i < count; i++) {
        if (fr_map_get(gone, ends[i].topic) == NULL) {
            ends[n++] = ends[i];
        }
    }
    if (rc == FR_OK && n > 0) {
        rc = check_log_ends(p, a, ends, n, err);
    }
    fr_map_free(gone, NULL);
    fr_arena_free(a);
    return rc;
}
