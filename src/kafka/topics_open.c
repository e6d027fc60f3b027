/* A topic before it is used: there, and as safe as asked for (R16). */
#include "base/log.h"
#include "kafka/topics.h"

/* A source that is opened again (after an error, for each slice of a snapshot) has said it. */
static void log_findings(const fr_client *c, fr_said *said, const char *topic, const fr_findings *f)
{
    bool *news = fr_arena_alloc(f->arena, (f->count + 1) * sizeof(*news));
    fr_said_news(said, fr_cstr(topic), f, news);
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].severity == FR_WARNING && news[i]) {
            fr_log(FR_LOG_INFO, c->who, "%.*s (%s)", FR_ARG(f->items[i].text), f->items[i].code);
        }
    }
}

static fr_rc refuse(const fr_findings *f, fr_err *err)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].severity == FR_BLOCKER) {
            fr_fail(err, FR_ERR_CONFIG, "kafka: %.*s", FR_ARG(f->items[i].text));
            fr_fail_code(err, f->items[i].code);
            return fr_fail_hint(err, "%.*s", FR_ARG(f->items[i].hint));
        }
    }
    return FR_OK;
}

fr_rc fr_topics_check(const fr_client *c, fr_said *said, const fr_topic_state *now, bool ours,
                      fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_findings f = {.arena = a};
    size_t refused = fr_topics_judge(c->settings, now, ours, false, &f);
    log_findings(c, said, now->name, &f);
    fr_rc rc = refused > 0 ? refuse(&f, err) : FR_OK;
    fr_arena_free(a);
    return rc;
}

static fr_rc missing(const fr_kafka_settings *settings, const char *topic, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "kafka: topic %s does not exist", topic);
    fr_fail_code(err, "kafka.topic.missing");
    if (settings->topics_create == FR_WHEN_NEVER) {
        return fr_fail_hint(err, "Create it (kafka.topics.create is never), or set "
                                 "kafka.topics.create: apply and run: freshet apply");
    }
    return fr_fail_hint(err, "Create it with: freshet apply   (or set kafka.topics.create: run)");
}

fr_rc fr_topics_need(fr_client *c, fr_arena *a, const char *name, bool create, bool ours,
                     fr_topic_state *out, fr_err *err)
{
    FR_TRY(fr_topics_describe(c, a, &name, 1, out, err));
    if (out->exists) {
        return FR_OK;
    }
    if (!create) {
        return missing(c->settings, name, err);
    }
    FR_TRY(fr_topics_create(c, name, ours, err));
    fr_log(FR_LOG_INFO, c->who, "created topic %s", name);
    FR_TRY(fr_topics_describe(c, a, &name, 1, out, err));
    if (out->exists) {
        return FR_OK;
    }
    /* Another broker answered, one that does not know of it yet. */
    fr_fail(err, FR_ERR_CONNECT, "kafka: topic %s was created, but is not known everywhere yet",
            name);
    return fr_fail_code(err, "kafka.connect");
}

fr_rc fr_topics_own(fr_client *c, fr_said *said, const char *name, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_topic_state now;
    bool create = c->settings->topics_create != FR_WHEN_NEVER;
    fr_rc rc = fr_topics_need(c, a, name, create, true, &now, err);
    if (rc == FR_OK) {
        rc = fr_topics_check(c, said, &now, true, err);
    }
    fr_arena_free(a);
    return rc;
}
