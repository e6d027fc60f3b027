/* The sinks' part of plan: the tables of the topics that they read, of this file's topics as they
 * will be, of others' as Kafka and the registry know them. */
#include "cli/plan.h"
#include "codec/avro_schema.h"
#include "codec/decode.h"
#include "transform/derive.h"
#include "transform/shape.h"
#include <string.h>

typedef struct sink_look { /* one sink, open */
    fr_look *l;
    size_t index;
    const fr_sink_settings *settings;
    fr_sink *open;
    fr_shaper *shaper;
    fr_map *ruled; /* rules that a topic was seen for */
    fr_findings *findings;
    fr_map *seen;        /* topics that were looked at */
    size_t own, foreign; /* topics: of this file, of others */
} sink_look;

/* A sink says the same of its own tables for each topic: once is enough. */
static void drop_repeats(fr_findings *f, size_t from)
{
    size_t kept = from;
    for (size_t i = from; i < f->count; i++) {
        bool known = false;
        for (size_t k = 0; k < kept && !known; k++)
            known = strcmp(f->items[k].code, f->items[i].code) == 0 &&
                    fr_str_eq(f->items[k].text, f->items[i].text);
        if (!known)
            f->items[kept++] = f->items[i];
    }
    f->count = kept;
}

static void say_deprecated(sink_look *w, fr_str topic, fr_str value)
{
    const char *instead = fr_schema_deprecated(w->l->arena, value);
    if (instead == NULL)
        return;
    fr_finding *f =
        fr_findings_add(w->findings, FR_WARNING, "sink.deprecated",
                        "topic %.*s is deprecated by those who write it", FR_ARG(topic));
    f->hint = fr_cstr(instead);
}

/* What the sink's rules make of the table: in its place. */
static fr_rc shape(sink_look *w, fr_str topic, const fr_table **table, fr_err *err)
{
    const fr_table *made;
    const fr_route *r = NULL;
    const fr_topic_settings *rules = NULL;
    fr_rc rc = fr_sink_topic(w->settings, topic, &rules, err);
    if (rc == FR_OK && rules != NULL)
        fr_map_set(w->ruled, fr_cstr(rules->shape.pattern), w);
    if (rc == FR_OK)
        rc = fr_shaper_table(w->shaper, topic, *table, &made, &r, err);
    if (rc == FR_FAIL) {
        *table = fr_table_unref(*table);
        return rc;
    }
    if (r != NULL)
        fr_look_derived(w->findings, r);
    made = fr_table_ref(made);
    fr_table_unref(*table);
    *table = made;
    return FR_OK;
}

/* Rules that no topic so far is of: a slip of the hand looks like that, and nothing is masked. */
static void say_unused_rules(sink_look *w)
{
    for (size_t i = 0; i < w->settings->topic_count; i++) {
        const fr_table_settings *t = &w->settings->topics[i].shape;
        if (fr_map_get(w->ruled, fr_cstr(t->pattern)) != NULL)
            continue;
        fr_finding *f = fr_findings_add(w->findings, FR_WARNING, "sink.rules.unused",
                                        "%s: no topic that was looked at has the rules of %s",
                                        t->place, t->pattern);
        f->hint = FR_STR("correct the name in topics, or look again once the topic is there");
    }
}

static fr_rc look_at_target(sink_look *w, fr_str topic, fr_str key, fr_str value, fr_err *err)
{
    fr_look *l = w->l;
    fr_str space, name;
    const fr_table *table = NULL;
    say_deprecated(w, topic, value);
    FR_TRY(fr_sink_target(w->settings, l->arena, topic, &space, &name, err));
    fr_rc rc = fr_decoder_table(space, name, key, value, &table, err);
    if (rc == FR_OK)
        rc = shape(w, topic, &table, err);
    if (rc != FR_OK)
        return rc;
    size_t before = w->findings->count;
    bool create = w->settings->create != FR_WHEN_NEVER, change = false;
    rc = w->open->ops->prepare(w->open, table, create, true, w->findings, err);
    drop_repeats(w->findings, before);
    for (size_t i = before; i < w->findings->count; i++)
        change = change || w->findings->items[i].severity == FR_CHANGE;
    if (rc == FR_FAIL || !change) {
        fr_table_unref(table);
        return rc;
    }
    fr_str full = fr_arena_printf(l->arena, "%s %.*s%s%.*s", w->settings->name, FR_ARG(space),
                                  space.len > 0 ? "." : "", FR_ARG(name));
    fr_todo *t = fr_look_todo(l, FR_TODO_TABLE, full);
    t->sink = w->index;
    t->table = table;
    return FR_OK;
}

static void look_at_own(sink_look *w, fr_str topic, fr_str key, fr_str value)
{
    fr_err err;
    if (fr_sink_match(w->settings, topic) < 0 || fr_map_set(w->seen, topic, w) != NULL)
        return;
    w->own++;
    if (look_at_target(w, topic, key, value, &err) == FR_FAIL)
        fr_look_error(w->l, w->findings, "sink.table", &err);
}

static fr_rc look_at_own_transactions(sink_look *w, const fr_source_settings *s, fr_err *err)
{
    fr_origin origin = fr_look_origin(s);
    fr_str key, value;
    FR_TRY(fr_schema_transaction(w->l->arena, &origin, &key, &value, err));
    look_at_own(w, fr_look_side_topic(w->l->arena, s, "transaction"), key, value);
    return FR_OK;
}

/* A sink applies rows, and what an outbox publishes is whatever bytes its writer chose. */
static void look_at_own_outbox(sink_look *w, const fr_route *r)
{
    if (r->outbox->part_count > 0 || fr_sink_match(w->settings, r->topic) < 0 ||
        fr_map_set(w->seen, r->topic, w) != NULL)
        return;
    fr_finding *f =
        fr_findings_add(w->findings, FR_BLOCKER, "sink.outbox",
                        "topic %.*s is that of outbox %.*s.%.*s: its messages are no rows",
                        FR_ARG(r->topic), FR_ARG(r->table->space), FR_ARG(r->table->name));
    f->hint = FR_STR("take the topic out of the sink's from");
}

/* Topics that this file's sources write, whether they are there yet or not. */
static void look_at_own_topics(sink_look *w)
{
    const fr_look *l = w->l;
    fr_err err;
    for (size_t i = 0; i < l->table_count; i++) {
        const fr_planned *p = &l->tables[i];
        if (p->route->outbox != NULL)
            look_at_own_outbox(w, p->route);
        else
            look_at_own(w, p->route->topic, p->key, p->value);
    }
    for (size_t i = 0; i < l->config->source_count; i++) {
        const fr_source_settings *s = &l->config->sources[i];
        /* Logical messages are no rows: a sink passes them over. */
        fr_map_set(w->seen, fr_look_side_topic(l->arena, s, "message"), w);
        if (s->transaction_metadata && look_at_own_transactions(w, s, &err) == FR_FAIL)
            fr_look_error(w->l, w->findings, "sink.table", &err);
    }
}

/* Newest schemas of a topic whose source is in another file. FR_END: none yet. */
static fr_rc newest(fr_look *l, fr_str topic, const char *side, fr_str *out, fr_err *err)
{
    int version;
    int32_t id;
    fr_str subject = fr_arena_printf(l->arena, "%.*s-%s", FR_ARG(topic), side);
    return fr_registry_latest(l->registry, l->arena, fr_arena_cstr(l->arena, subject), &version,
                              &id, out, err);
}

static void say(sink_look *w, const char *code, const char *hint, const char *text)
{
    fr_finding *f = fr_findings_add(w->findings, FR_WARNING, code, "%s", text);
    f->hint = fr_cstr(hint);
}

static fr_rc look_at_foreign(sink_look *w, const char *topic, fr_err *err)
{
    fr_look *l = w->l;
    fr_str key = {"", 0}, value;
    fr_rc rc = newest(l, fr_cstr(topic), "value", &value, err);
    if (rc == FR_END) {
        const char *text = fr_arena_printf(l->arena,
                                           "topic %s: the registry has no subject %s-value, so its "
                                           "table cannot be looked at before a message comes",
                                           topic, topic)
                               .ptr;
        say(w, "sink.topic.schema",
            "apply or run what writes the topic, then look again; or take it out of from", text);
        return FR_OK;
    }
    if (rc == FR_OK && newest(l, fr_cstr(topic), "key", &key, err) == FR_FAIL)
        rc = FR_FAIL;
    return rc == FR_OK ? look_at_target(w, fr_cstr(topic), key, value, err) : rc;
}

/* With the other subject strategies a schema's name says nothing of its topic, nor a topic's
 * of its schemas: only a message tells. */
static bool subjects_tell(sink_look *w, size_t foreign)
{
    if (foreign == 0 || w->l->config->registry.subject == FR_SUBJECT_BY_TOPIC)
        return true;
    const char *text = fr_arena_printf(w->l->arena,
                                       "%zu topic%s of other files: registry.subject is not topic, "
                                       "so their schemas are not known before a message comes",
                                       foreign, foreign == 1 ? "" : "s")
                           .ptr;
    say(w, "sink.topic.schema", "create: run makes their tables; or make them yourself", text);
    return false;
}

/* Topics and patterns of `from` that nothing on the cluster answers to. */
static void look_for_missing(sink_look *w, const char *const *topics, size_t count)
{
    const fr_sink_settings *s = w->settings;
    for (size_t i = 0; i < s->from.count; i++) {
        const char *name = s->from.items[i];
        bool regex = s->from_regex != NULL && s->from_regex[i] != NULL, found = false;
        found = !regex && fr_map_get(w->seen, fr_cstr(name)) != NULL;
        for (size_t k = 0; k < count && !found; k++)
            found = regex ? fr_pattern_match(s->from_regex[i], fr_cstr(topics[k]))
                          : strcmp(topics[k], name) == 0;
        for (size_t k = 0; regex && k < w->l->table_count && !found; k++)
            found = fr_pattern_match(s->from_regex[i], w->l->tables[k].route->topic);
        if (found)
            continue;
        const char *text =
            fr_arena_printf(w->l->arena,
                            regex ? "no topic matches %s yet, or none that may be seen"
                                  : "topic %s does not exist yet, or may not be seen",
                            name)
                .ptr;
        say(w, "sink.topic.missing",
            s->create == FR_WHEN_RUN
                ? "run waits for it; its table is made then"
                : "make it with freshet apply of the file that writes it, then look again: its "
                  "table is not made before",
            text);
    }
}

static fr_rc look_at_foreign_topics(sink_look *w, fr_err *err)
{
    fr_look *l = w->l;
    const char **topics;
    size_t count;
    FR_TRY(fr_admin_topics(l->admin, l->arena, &topics, &count, err));
    look_for_missing(w, topics, count);
    for (size_t i = 0; i < count; i++)
        if (fr_sink_match(w->settings, fr_cstr(topics[i])) >= 0 &&
            fr_map_get(w->seen, fr_cstr(topics[i])) == NULL)
            w->foreign++;
    if (!subjects_tell(w, w->foreign))
        return FR_OK;
    for (size_t i = 0; i < count; i++) {
        if (fr_sink_match(w->settings, fr_cstr(topics[i])) < 0 ||
            fr_map_set(w->seen, fr_cstr(topics[i]), w) != NULL)
            continue;
        if (look_at_foreign(w, topics[i], err) == FR_OK)
            continue;
        if (err->kind == FR_ERR_CONNECT || err->kind == FR_ERR_AUTH) /* so will all others */
            return FR_FAIL;
        (void)fr_fail_in(err, "topic %s", topics[i]);
        fr_look_error(l, w->findings, "sink.table", err);
    }
    return FR_OK;
}

static void look_at_topics(sink_look *w)
{
    fr_look *l = w->l;
    fr_err err;
    w->seen = fr_map_new();
    w->ruled = fr_map_new();
    w->shaper = fr_shaper_new(w->settings);
    look_at_own_topics(w);
    /* Where either did not answer, its own section says so, and that not all was looked at. */
    if (l->admin != NULL && l->registry != NULL && look_at_foreign_topics(w, &err) == FR_FAIL) {
        fr_look_error(l, w->findings, "sink.topics", &err);
        l->partial = true;
    }
    say_unused_rules(w);
    fr_shaper_free(w->shaper);
    fr_map_free(w->ruled, NULL);
    fr_map_free(w->seen, NULL);
    fr_findings_add(w->findings, FR_FINE, "sink.topics", "%zu topic%s of this file, %zu of others",
                    w->own, w->own == 1 ? "" : "s", w->foreign);
}

static void look_at_sink(fr_look *l, size_t i)
{
    const fr_sink_settings *s = &l->config->sinks[i];
    const fr_sink_ops *ops = l->config->sink_ops[i];
    fr_findings *f = fr_look_section(l, "SINK %s   %s", s->name, ops->name);
    sink_look w = {.l = l, .index = i, .settings = s, .findings = f};
    fr_err err;
    fr_cli_note(l->cli, "looking at sink %s", s->name);
    if (ops->check(s, f, &err) == FR_FAIL)
        fr_look_error(l, f, "sink.check", &err);
    if (fr_look_no_answer(f)) {
        l->unreachable = l->partial = true;
        return;
    }
    size_t known = fr_look_blockers(f);
    if (ops->open(s, &w.open, &err) == FR_FAIL) {
        l->partial = true;
        if (known == 0)
            fr_look_error(l, f, "sink.open", &err);
        return;
    }
    look_at_topics(&w);
    ops->close(w.open);
}

void fr_look_sinks(fr_look *l)
{
    for (size_t i = 0; i < l->config->sink_count; i++)
        look_at_sink(l, i);
}
