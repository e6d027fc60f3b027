/* Places in partitions: where `start: latest` and `start_at` begin, and where a partition stands of
 * which all was read. */
#include "kafka/consumer.h"
#include "kafka/topics.h"

enum { ASK_MS = 10000 };

fr_offsets fr_consumer_ends(fr_consumer *c, fr_arena *a)
{
    fr_offsets o = {.items = NULL};
    for (size_t i = 0; i < c->place_count; i++) {
        fr_place *p = c->places[i];
        if (!p->at_end || p->held || p->next < 0 || p->next == p->told) {
            continue;
        }
        if (o.items == NULL) {
            o.items = fr_arena_alloc(a, c->place_count * sizeof(fr_offset));
        }
        o.items[o.count++] =
            (fr_offset){fr_arena_str(a, fr_cstr(p->topic)), p->partition, p->next, ""};
        p->told = p->next;
    }
    return o;
}

fr_rc fr_consumer_find_ends(fr_consumer *c, fr_offsets *offsets, fr_err *err)
{
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        char topic[256];
        int64_t low = -1, high = -1;
        snprintf(topic, sizeof(topic), "%.*s", FR_ARG(o->topic));
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            c->client.rk, topic, o->partition, &low, &high, ASK_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)fr_client_fail(&c->client, err, code, NULL, "ask where it ends");
            return fr_fail_in(err, "%s[%d]", topic, (int)o->partition);
        }
        o->next = high;
    }
    return FR_OK;
}

fr_rc fr_consumer_find_time(fr_consumer *c, int64_t ms, fr_offsets *offsets, fr_err *err)
{
    FR_TRY(fr_consumer_find_ends(c, offsets, err));
    return fr_topics_at(&c->client, ms, offsets, err);
}
