/* Which topics we read: one that was deleted and made again under the same name counts its offsets
 * anew, and a place in the old one would pass over rows without a word. */
#include "kafka/consumer.h"
#include "kafka/topics.h"
#include <string.h>

static void remember(fr_consumer *c, fr_str topic, fr_str id)
{
    char *known = fr_map_get(c->ids, topic);
    if (known == NULL) {
        known = fr_arena_alloc(c->arena, FR_TOPIC_ID_SIZE);
        fr_map_set(c->ids, topic, known);
    }
    snprintf(known, FR_TOPIC_ID_SIZE, "%.*s", FR_ARG(id));
}

static size_t names_of(const fr_offsets *offsets, fr_arena *a, const char ***out)
{
    const char **names = fr_arena_alloc(a, (offsets->count + 1) * sizeof(*names));
    fr_map *seen = fr_map_new();
    size_t count = 0;
    for (size_t i = 0; i < offsets->count; i++) {
        fr_str topic = offsets->items[i].topic;
        if (fr_map_get(seen, topic) == NULL) {
            names[count++] = fr_arena_cstr(a, topic);
            fr_map_set(seen, topic, seen);
        }
    }
    fr_map_free(seen, NULL);
    *out = names;
    return count;
}

fr_rc fr_consumer_topic_ids(fr_consumer *c, fr_offsets *offsets, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char **names;
    size_t count = names_of(offsets, a, &names);
    fr_topic_state *states = fr_arena_alloc(a, (count + 1) * sizeof(*states));
    fr_rc rc = fr_topics_look(&c->client, a, names, count, states, err);
    for (size_t i = 0; i < count && rc == FR_OK; i++) {
        remember(c, fr_cstr(states[i].name), states[i].id);
    }
    for (size_t i = 0; i < offsets->count && rc == FR_OK; i++) {
        fr_offset *o = &offsets->items[i];
        memcpy(o->topic_id, fr_map_get(c->ids, o->topic), FR_TOPIC_ID_SIZE);
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_consumer_recreated(const char *sink, fr_str topic, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "kafka: topic %.*s was deleted and created again: the place we are at is one in the "
            "old topic",
            FR_ARG(topic));
    fr_fail_code(err, "kafka.topic.recreated");
    return fr_fail_hint(err,
                        "freshet position reset %s/%.*s reads the new one from its beginning; "
                        "freshet position set %s/%.*s --to here goes on where it is",
                        sink, FR_ARG(topic), sink, FR_ARG(topic));
}

static fr_rc is_the_same(void *context, const char *topic, const char *id, fr_err *err)
{
    const fr_consumer *c = context;
    const char *known = fr_map_get(c->ids, fr_cstr(topic));
    return known == NULL || known[0] == '\0' || strcmp(known, id) == 0
               ? FR_OK
               : fr_consumer_recreated(c->settings.sink, fr_cstr(topic), err);
}

fr_rc fr_consumer_same_topics(fr_consumer *c, fr_err *err)
{
    FR_TRY(fr_watch_answer(&c->watch, &c->client, 0, is_the_same, c, err));
    if (!fr_watch_due(&c->watch)) {
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(0);
    fr_offsets places = {.items = fr_arena_alloc(a, (c->place_count + 1) * sizeof(fr_offset))};
    for (size_t i = 0; i < c->place_count; i++) {
        fr_str topic = fr_cstr(c->places[i]->topic);
        const char *known = fr_map_get(c->ids, topic);
        if (known != NULL && known[0] != '\0') {
            places.items[places.count++].topic = topic;
        }
    }
    const char **names;
    size_t count = names_of(&places, a, &names);
    fr_watch_ask(&c->watch, &c->client, names, count);
    fr_arena_free(a);
    return FR_OK;
}
