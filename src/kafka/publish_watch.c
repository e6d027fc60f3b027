/* R15 while we run: is each topic still the one that we began with? One that was deleted and
 * created again takes our messages without a word, and misses all that was published before.
 * Before librdkafka 2.3.0 topics have no ids: offsets that go backwards are all there is to see. */
#include "kafka/publisher.h"

enum { ANSWER_US = 2000000 };

void fr_publisher_watch(fr_publisher *p)
{
    if (!fr_watch_due(&p->watch)) {
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
    fr_watch_ask(&p->watch, &p->client, names, count);
    fr_arena_free(a);
}

static fr_rc is_the_same(void *context, const char *topic, const char *id, fr_err *err)
{
    const fr_publisher *p = context;
    const fr_target *t = fr_map_get(p->targets, fr_cstr(topic));
    return t == NULL || fr_str_is(t->fact.topic_id, id) ? FR_OK
                                                        : fr_publisher_recreated(t->name, err);
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
    return fr_watch_answer(&p->watch, &p->client, ANSWER_US, is_the_same, p, err);
}
