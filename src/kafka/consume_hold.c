/* Topics that wait: their partitions stay ours, and nothing of them is given. */
#include "base/clock.h"
#include "kafka/consumer.h"

enum { SEEK_MS = 10000, ASK_MS = 1000 };

static rd_kafka_topic_partition_list_t *list_of(const fr_consumer *c, fr_str topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < c->place_count; i++) {
        if (fr_str_is(topic, c->places[i]->topic)) {
            rd_kafka_topic_partition_list_add(list, c->places[i]->topic, c->places[i]->partition);
        }
    }
    return list;
}

bool fr_consumer_holds(const fr_consumer *c, fr_str topic)
{
    return c->held != NULL && fr_map_get(c->held, topic) != NULL;
}

/* Kafka drops what it has fetched of them; should it give some all the same, take() leaves it out.
 */
void fr_consumer_pause_held(fr_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *held = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        if (c->paused || fr_consumer_holds(c, fr_cstr(p->topic))) {
            rd_kafka_topic_partition_list_add(held, p->topic, p->partition);
        }
    }
    if (held->cnt > 0) {
        (void)rd_kafka_pause_partitions(c->client.rk, held);
    }
    rd_kafka_topic_partition_list_destroy(held);
}

/* A partition stays paused when it is taken from us and given back: hence before it goes. Only
 * those that are paused: a resume that changes nothing has librdkafka drop answers that it waits
 * for. */
void fr_consumer_resume_leaving(fr_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        if (c->paused || fr_consumer_holds(c, fr_cstr(p->topic))) {
            rd_kafka_topic_partition_list_add(paused, p->topic, p->partition);
        }
    }
    if (paused->cnt > 0) {
        (void)rd_kafka_resume_partitions(c->client.rk, paused);
    }
    rd_kafka_topic_partition_list_destroy(paused);
}

/* Polled while the target was slow, and not given yet. */
static void leave_out_spare(fr_consumer *c, fr_str topic)
{
    rd_kafka_message_t *m = c->spare;
    const char *name = m == NULL || m->rkt == NULL ? NULL : rd_kafka_topic_name(m->rkt);
    if (name == NULL || !fr_str_is(topic, name)) {
        return;
    }
    fr_place *p = fr_consumer_place(c, name, m->partition);
    if (p != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->left_out = m->offset;
    }
    rd_kafka_message_destroy(m);
    c->spare = NULL;
}

void fr_consumer_hold(fr_consumer *c, fr_str topic)
{
    if (c->settings.group == NULL || fr_consumer_holds(c, topic)) {
        return;
    }
    if (c->held == NULL) {
        c->held = fr_map_new();
    }
    fr_map_set(c->held, topic, c);
    for (size_t i = 0; i < c->place_count; i++) {
        if (fr_str_is(topic, c->places[i]->topic)) {
            c->places[i]->held = true;
            c->places[i]->left_out = -1;
        }
    }
    leave_out_spare(c, topic);
    rd_kafka_topic_partition_list_t *list = list_of(c, topic);
    fr_consumer_pause_held(c, list);
    rd_kafka_topic_partition_list_destroy(list);
}

fr_offsets fr_consumer_places(const fr_consumer *c, fr_arena *a, fr_str topic)
{
    fr_offsets o = {.items = fr_arena_alloc(a, (c->place_count + 1) * sizeof(fr_offset))};
    for (size_t i = 0; i < c->place_count; i++) {
        const fr_place *p = c->places[i];
        if (fr_str_is(topic, p->topic)) {
            o.items[o.count++] =
                (fr_offset){fr_arena_str(a, fr_cstr(p->topic)), p->partition, -1, ""};
        }
    }
    return o;
}

/* Where the target holds no place, nothing was given of the partition but what we left out. */
static fr_rc seek(fr_consumer *c, fr_str topic, const fr_offsets *from, fr_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)from->count);
    for (size_t i = 0; i < from->count; i++) {
        const fr_offset *o = &from->items[i];
        for (size_t k = 0; k < c->place_count; k++) {
            fr_place *p = c->places[k];
            if (p->partition != o->partition || !fr_str_is(topic, p->topic)) {
                continue;
            }
            int64_t next = o->next >= 0 ? o->next : p->left_out;
            if (next >= 0) {
                rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = next;
                p->next = p->told = next;
                p->at_end = p->ended = false;
            }
        }
    }
    rd_kafka_error_t *error =
        list->cnt == 0 ? NULL : rd_kafka_seek_partitions(c->client.rk, list, SEEK_MS);
    rd_kafka_resp_err_t failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < list->cnt; i++) {
        failed = list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[i].err : failed;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (error != NULL) {
        (void)fr_client_fail_error(&c->client, err, error, "seek");
    } else if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)fr_client_fail(&c->client, err, failed, NULL, "seek");
    } else {
        return FR_OK;
    }
    err->kind = FR_ERR_BUSY; /* the group is joined anew, and every place asked for */
    return fr_fail_in(err, "topic %.*s", FR_ARG(topic));
}

fr_rc fr_consumer_release(fr_consumer *c, fr_str topic, const fr_offsets *from, fr_err *err)
{
    if (!fr_consumer_holds(c, topic)) {
        return FR_OK;
    }
    FR_TRY(seek(c, topic, from, err));
    fr_map_remove(c->held, topic);
    for (size_t i = 0; i < c->place_count; i++) {
        if (fr_str_is(topic, c->places[i]->topic)) {
            c->places[i]->held = false;
        }
    }
    rd_kafka_topic_partition_list_t *list = list_of(c, topic);
    if (!c->paused && list->cnt > 0) {
        (void)rd_kafka_resume_partitions(c->client.rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return FR_OK;
}

bool fr_consumer_has(fr_consumer *c, fr_str topic, int32_t partition)
{
    for (size_t i = 0; i < c->place_count; i++) {
        if (c->places[i]->partition == partition && fr_str_is(topic, c->places[i]->topic)) {
            return true;
        }
    }
    return false;
}

int64_t fr_consumer_behind(fr_consumer *c, fr_str topic)
{
    int64_t behind = 0;
    for (size_t i = 0; i < c->place_count; i++) {
        const fr_place *p = c->places[i];
        int64_t low = -1, high = -1;
        if (!fr_str_is(topic, p->topic)) {
            continue;
        }
        if (rd_kafka_query_watermark_offsets(c->client.rk, p->topic, p->partition, &low, &high,
                                             ASK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return -1;
        }
        int64_t next = p->next < low ? low : p->next;
        behind += high > next ? high - next : 0;
    }
    return behind;
}
