#include "cli/plan.h"
#include "capture/capture.h"
#include "capture/compare.h"
#include "cli/ask.h"
#include "codec/avro_schema.h"
#include "codec/change.h"
#include "codec/debezium.h"
#include "codec/encode.h"
#include "codec/fingerprint.h"
#include "kafka/control.h"
#include "poll/poll.h"
#include "poll/sorter.h"
#include <inttypes.h>
#include <string.h>

fr_findings *fr_look_section(fr_look *l, const char *fmt, ...)
{
    fr_plan_section *s = &l->sections[l->section_count++];
    va_list ap;
    va_start(ap, fmt);
    s->title = fr_arena_cstr(l->arena, fr_arena_vprintf(l->arena, fmt, ap));
    va_end(ap);
    s->findings.arena = l->arena;
    return &s->findings;
}

void fr_look_error(fr_look *l, fr_findings *f, const char *code, const fr_err *err)
{
    if (err->code[0] != 0)
        code = fr_arena_cstr(l->arena, fr_cstr(err->code));
    fr_finding *bad = fr_findings_add(f, FR_BLOCKER, code, "%s", err->text);
    bad->hint = fr_arena_str(l->arena, fr_cstr(fr_err_hint(err)));
    l->unreachable = l->unreachable || err->kind == FR_ERR_CONNECT || err->kind == FR_ERR_BUSY;
}

static void *grow(fr_arena *a, const void *items, size_t count, size_t *cap, size_t size)
{
    *cap = *cap == 0 ? 64 : *cap * 2;
    void *more = fr_arena_alloc(a, *cap * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

fr_todo *fr_look_todo(fr_look *l, fr_todo_kind kind, fr_str name)
{
    if (l->todo_count == l->todo_cap)
        l->todos = grow(l->arena, l->todos, l->todo_count, &l->todo_cap, sizeof(*l->todos));
    fr_todo *t = &l->todos[l->todo_count++];
    *t = (fr_todo){.kind = kind, .name = fr_arena_cstr(l->arena, name)};
    return t;
}

/* ---- sources ---------------------------------------------------------------------------- */

fr_origin fr_look_origin(const fr_source_settings *s)
{
    bool postgres = strcmp(s->type, "postgres") == 0;
    return (fr_origin){.version = FR_STR(FR_VERSION),
                       .type = fr_cstr(s->type),
                       .connector = postgres ? FR_STR("postgresql") : fr_cstr(s->type),
                       .prefix = fr_cstr(s->prefix),
                       .debezium = fr_source_debezium(s),
                       .db = FR_STR("")};
}

static fr_rc plan_table(fr_look *l, fr_planned *p, fr_err *err)
{
    const fr_source_settings *s = &l->config->sources[p->source];
    const fr_registry_settings *registry = &l->config->registry;
    const fr_route *r = p->route;
    fr_origin origin = fr_look_origin(s);
    if (r->outbox != NULL) { /* no schema is made of it */
        p->good = true;
        return FR_OK;
    }
    FR_TRY(fr_schema_value(l->arena, r, &origin, &p->value, err));
    p->value_subject =
        fr_subject(registry, l->arena, r->topic, r->schema_name, r->envelope, FR_SUBJECT_VALUE);
    fr_rc rc = fr_schema_key(l->arena, r, &p->key, err);
    if (rc == FR_OK)
        p->key_subject =
            fr_subject(registry, l->arena, r->topic, r->schema_name, r->envelope, FR_SUBJECT_KEY);
    p->good = rc != FR_FAIL;
    return rc;
}

static void look_at_table(fr_look *l, size_t source, const fr_table *t, fr_findings *f)
{
    const fr_source_settings *s = &l->config->sources[source];
    const fr_table_settings *one, *other;
    fr_err err;
    if (fr_source_ambiguous(s, t->space, t->name, &one, &other)) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "config.two_patterns",
                                          "%.*s.%.*s: two patterns take it: %s (%s), %s (%s)",
                                          FR_ARG(t->space), FR_ARG(t->name), one->pattern,
                                          one->place, other->pattern, other->place);
        bad->hint = FR_STR("make the patterns exclude each other, or name the table");
        return;
    }
    if (l->table_count == l->table_cap)
        l->tables = grow(l->arena, l->tables, l->table_count, &l->table_cap, sizeof(*l->tables));
    fr_planned *p = &l->tables[l->table_count];
    *p = (fr_planned){.source = source};
    fr_rc rc = fr_router_route(l->routers[source], t, &p->route, &err);
    if (rc == FR_END)
        return;
    if (rc == FR_FAIL || plan_table(l, p, &err) == FR_FAIL) {
        fr_look_error(l, f, "table.route", &err);
        return;
    }
    l->table_count++;
    fr_look_derived(f, p->route);
}

static void look_at_each(fr_look *l, size_t source, const fr_table **tables, size_t count,
                         fr_findings *f)
{
    size_t before = l->table_count;
    for (size_t i = 0; i < count; i++) {
        look_at_table(l, source, tables[i], f);
        fr_table_unref(tables[i]); /* the router keeps its own */
    }
    fr_look_masks(l, source, f);
    size_t found = l->table_count - before;
    fr_finding *n = fr_findings_add(f, found == 0 ? FR_WARNING : FR_FINE, "source.tables",
                                    "%zu table%s captured", found, found == 1 ? "" : "s");
    if (found == 0)
        n->hint = FR_STR("no table of the database is named by sources.<s>.tables");
}

static void look_at_tables(fr_look *l, size_t source, fr_findings *f)
{
    const fr_source_ops *ops = l->config->source_ops[source];
    const fr_table **tables = NULL;
    size_t count = 0;
    fr_err err;
    if (ops->list_tables(l->sources[source], l->arena, &tables, &count, &err) == FR_FAIL) {
        fr_look_error(l, f, "source.tables", &err);
        l->partial = true;
        return;
    }
    look_at_each(l, source, tables, count, f);
}

static void look_at_polled(fr_look *l, size_t source, fr_findings *f)
{
    const fr_table **tables = NULL;
    size_t count = 0;
    fr_err err;
    fr_rc rc = fr_ask_tables(l->config, source, l->arena, &tables, &count, &err);
    if (rc == FR_OK)
        look_at_each(l, source, tables, count, f);
    else
        l->partial = true; /* fr_poll_check has said why */
}

size_t fr_look_blockers(const fr_findings *f)
{
    fr_tally t = {0};
    fr_cli_tally(&t, f);
    return t.blockers;
}

bool fr_look_no_answer(const fr_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const char *end = strstr(f->items[i].code, ".connect");
        if (f->items[i].severity == FR_BLOCKER && end != NULL && end[8] == 0)
            return true;
    }
    return false;
}

static void look_at_source(fr_look *l, size_t i)
{
    const fr_source_settings *s = &l->config->sources[i];
    const fr_source_ops *ops = l->config->source_ops[i];
    bool polled = fr_source_polled(s);
    fr_findings *f =
        fr_look_section(l, "SOURCE %s   %s", s->name, polled ? ops->sql->name : ops->name);
    fr_err err;
    fr_cli_note(l->cli, "looking at source %s", s->name);
    l->routers[i] = fr_router_new(s);
    if (polled)
        fr_poll_check(ops->sql, s, f);
    else if (ops->check(s, f, &err) == FR_FAIL)
        fr_look_error(l, f, "source.check", &err);
    if (fr_look_no_answer(f)) {
        l->unreachable = l->partial = true;
        return;
    }
    if (polled) {
        look_at_polled(l, i, f);
        return;
    }
    size_t known = fr_look_blockers(f);
    if (ops->open(s, &l->sources[i], &err) == FR_FAIL) {
        l->sources[i] = NULL;
        l->partial = true;
        if (known == 0)
            fr_look_error(l, f, "source.open", &err);
        return;
    }
    look_at_tables(l, i, f);
}

void fr_look_sources(fr_look *l)
{
    for (size_t i = 0; i < l->config->source_count; i++)
        look_at_source(l, i);
}

/* ---- Kafka ------------------------------------------------------------------------------ */

static void look_at_topic(fr_look *l, fr_findings *f, fr_str topic, bool ours, bool null_keys)
{
    const char *name = fr_arena_cstr(l->arena, topic);
    size_t before = f->count;
    fr_err err;
    if (fr_admin_check_topic(l->admin, name, ours, null_keys, f, &err) == FR_FAIL) {
        fr_look_error(l, f, "kafka.topic", &err);
        l->partial = true;
        return;
    }
    for (size_t i = before; i < f->count; i++)
        if (f->items[i].severity == FR_CHANGE) {
            fr_look_todo(l, FR_TODO_TOPIC, topic)->ours = ours;
            break;
        }
}

/* Beside its tables a source writes to <prefix>.message (any application may emit logical
 * messages) and, with transaction_metadata, to <prefix>.transaction. */
fr_str fr_look_side_topic(fr_arena *a, const fr_source_settings *s, const char *name)
{
    return fr_topic_legal(a, fr_arena_printf(a, "%s.%s", s->prefix, name));
}

/* Where dead letters of sources and sinks go, each topic once. */
static void look_at_dead_letters(fr_look *l, fr_findings *f)
{
    const fr_config *c = l->config;
    fr_map *seen = fr_map_new();
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t k = 0; k < c->sources[i].table_count; k++) {
            const fr_table_settings *t = &c->sources[i].tables[k];
            if (t->errors_mode == FR_ERRORS_DLQ &&
                fr_map_set(seen, fr_cstr(t->errors_topic), l) == NULL)
                look_at_topic(l, f, fr_cstr(t->errors_topic), false, true);
        }
    for (size_t i = 0; i < c->sink_count; i++)
        if (c->sinks[i].errors_mode == FR_ERRORS_DLQ &&
            fr_map_set(seen, fr_cstr(c->sinks[i].errors_topic), l) == NULL)
            look_at_topic(l, f, fr_cstr(c->sinks[i].errors_topic), false, true);
    fr_map_free(seen, NULL);
}

static bool has_blocker(const fr_findings *f, const char *code)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].severity == FR_BLOCKER && strcmp(f->items[i].code, code) == 0)
            return true;
    return false;
}

static void keep_schemas(fr_look *l, const fr_checkpoint *k)
{
    size_t i = 0;
    void *value;
    while (k->split.id.len == 0 && fr_map_next(k->topics, &i, NULL, &value)) {
        const fr_topic_fact *t = value;
        int32_t *id = fr_arena_alloc(l->arena, sizeof(*id));
        *id = t->schema;
        fr_map_set(l->published, t->topic, id);
    }
}

/* Tables that have gone on in other topics are looked at there. */
static void keep_generations(fr_look *l, size_t source, const fr_checkpoint *k)
{
    fr_err err;
    fr_ask_generations(l->config, k, l->routers[source]);
    for (size_t i = 0; i < l->table_count && fr_map_count(k->generations) > 0; i++) {
        fr_planned *p = &l->tables[i];
        if (p->source != source || fr_map_get(k->generations, p->route->first) == NULL)
            continue;
        fr_findings *f = &l->sections[source].findings;
        fr_str first = p->route->first;
        if (fr_router_route(l->routers[source], p->route->source, &p->route, &err) == FR_FAIL ||
            plan_table(l, p, &err) == FR_FAIL)
            fr_look_error(l, f, "table.route", &err);
        else
            fr_findings_add(f, FR_FINE, FR_NEW_TOPIC, "%.*s.%.*s has left topic %.*s for %.*s",
                            FR_ARG(p->route->table->space), FR_ARG(p->route->table->name),
                            FR_ARG(first), FR_ARG(p->route->topic));
    }
}

/* Would run go on where it was? What it finds belongs to the source's section. */
static void look_at_position(fr_look *l, size_t source)
{
    const fr_source_settings *s = &l->config->sources[source];
    fr_findings *f = &l->sections[source].findings;
    fr_checkpoint *k = NULL;
    fr_err err;
    if (l->sources[source] == NULL)
        return;
    fr_rc rc = fr_admin_checkpoint(l->admin, s->name, &k, &err);
    if (rc == FR_FAIL) {
        fr_look_error(l, f, "source.position", &err);
        l->partial = true;
    }
    if (rc != FR_OK)
        return;
    keep_schemas(l, k);
    keep_generations(l, source, k);
    if (fr_capture_verify(s, l->sources[source], k, &err) == FR_OK)
        fr_findings_add(f, FR_FINE, "source.position",
                        k->has_stream && !k->creating ? "run goes on from its checkpoint"
                                                      : "run begins with a snapshot");
    else if (!has_blocker(f, err.code))
        fr_look_error(l, f, "source.position", &err);
    fr_checkpoint_free(k);
}

static void look_at_own_topics(fr_look *l, fr_findings *f)
{
    const fr_config *c = l->config;
    char control[300];
    fr_control_topic(&c->kafka, control, sizeof(control));
    look_at_topic(l, f, fr_arena_str(l->arena, fr_cstr(control)), true, false);
    for (size_t i = 0; i < c->source_count; i++) {
        const fr_source_settings *s = &c->sources[i];
        size_t todos = l->todo_count, known = fr_look_blockers(f);
        look_at_topic(l, f, fr_arena_printf(l->arena, "freshet.%s.checkpoint.%s", c->name, s->name),
                      true, false);
        if (l->todo_count == todos && fr_look_blockers(f) == known)
            look_at_position(l, i);
        look_at_topic(l, f, fr_look_side_topic(l->arena, s, "message"), false, false);
        if (s->transaction_metadata)
            look_at_topic(l, f, fr_look_side_topic(l->arena, s, "transaction"), false, false);
    }
    if (c->source_count > 0)
        look_at_topic(l, f, fr_notices_topic(l->arena, &c->kafka), false, false);
    look_at_dead_letters(l, f);
}

/* Topics that rows name are known once a row has named them, and not before. */
static void look_at_outbox(fr_look *l, fr_findings *f, const fr_route *r)
{
    const fr_outbox_route *o = r->outbox;
    fr_str space = r->table->space, name = r->table->name;
    if (o->part_count == 0) {
        look_at_topic(l, f, r->topic, false, o->key < 0 || r->table->columns[o->key].nullable);
        return;
    }
    bool run = l->config->kafka.topics_create == FR_WHEN_RUN;
    fr_finding *n = fr_findings_add(f, run ? FR_FINE : FR_WARNING, "outbox.topics",
                                    "outbox %.*s.%.*s: each row names its topic (%s)%s",
                                    FR_ARG(space), FR_ARG(name), r->settings->outbox.route,
                                    run ? ", which run makes" : ", which must be there before");
    if (!run)
        n->hint =
            FR_STR("make the topics, or set kafka.topics.create: run; a row that names one that is "
                   "not there ends the source, and loses nothing");
}

/* Deletes are found by what the topic keeps, sorted in files. */
static void look_at_compared(fr_look *l, fr_findings *f, const fr_route *r)
{
    fr_err err;
    if (fr_compare_route(r, &err) == FR_FAIL)
        fr_look_error(l, f, "compare.key", &err);
    if (fr_compare_topic(l->admin, &l->config->kafka, r, false, &err) == FR_FAIL)
        fr_look_error(l, f, "compare.topic", &err);
    if (fr_sorter_check(l->config->daemon.cache_dir, &err) == FR_FAIL)
        fr_look_error(l, f, "compare.disk", &err);
}

void fr_look_kafka(fr_look *l)
{
    fr_findings *f = fr_look_section(l, "KAFKA   %s", l->config->kafka.brokers.items[0]);
    fr_err err;
    fr_cli_note(l->cli, "looking at Kafka");
    if (fr_admin_open(&l->config->kafka, &l->admin, &err) == FR_FAIL ||
        fr_admin_check(l->admin, f, &err) == FR_FAIL) {
        fr_look_error(l, f, "kafka.connect", &err);
        l->partial = true;
        fr_admin_close(l->admin);
        l->admin = NULL;
        return;
    }
    look_at_own_topics(l, f);
    for (size_t i = 0; i < l->table_count; i++) {
        const fr_route *r = l->tables[i].route;
        if (r->outbox != NULL) {
            look_at_outbox(l, f, r);
            continue;
        }
        bool null_keys = r->key_count == 0 || r->settings->truncate == FR_TRUNCATE_PUBLISH;
        look_at_topic(l, f, r->topic, false, null_keys);
        if (fr_table_compared(r->settings))
            look_at_compared(l, f, r);
    }
}

/* ---- registry --------------------------------------------------------------------------- */

static bool goes_on(const fr_err *err)
{
    return strcmp(err->code, FR_NEW_TOPIC) == 0;
}

static bool refused_change(const fr_err *err)
{
    if (goes_on(err))
        return true;
    return strcmp(err->code, "schema.on_change") == 0 || strcmp(err->code, "schema.blocked") == 0;
}

/* What schema.on_change says to a change that it does not let into the topic. */
static void say_change(fr_look *l, fr_findings *f, const fr_route *route, const fr_err *err)
{
    if (!goes_on(err)) {
        fr_look_error(l, f, "schema.on_change", err);
        return;
    }
    uint32_t next = route->generation < 2 ? 2 : route->generation + 1;
    fr_str topic = fr_topic_generation(l->arena, route->first, next);
    fr_findings_add(f, FR_WARNING, FR_NEW_TOPIC,
                    "%s: its first such row closes topic %.*s, and it goes on in %.*s after a new "
                    "snapshot",
                    err->text, FR_ARG(route->topic), FR_ARG(topic))
        ->hint = FR_STR("tell the consumers; sinks follow where their `from` names the new topic");
    look_at_topic(l, f, topic, false,
                  route->key_count == 0 || route->settings->truncate == FR_TRUNCATE_PUBLISH);
}

/* schema.on_change, as run will judge it. FR_OK: allowed; FR_END: not, which is said; FR_FAIL. */
static fr_rc look_at_change(fr_look *l, fr_findings *f, const fr_route *route, fr_str schema,
                            int32_t id, fr_str newest, fr_err *err)
{
    const int32_t *published = fr_map_get(l->published, route->topic);
    int32_t last = published == NULL ? 0 : *published;
    fr_rc rc = FR_END;
    if ((last != 0 && last == id) || (route->pin != NULL && route->pin->kept != NULL))
        return FR_OK;
    if (last != 0)
        rc = fr_change_since(l->registry, l->arena, route, last, schema, err);
    if (rc == FR_END)
        rc = newest.len == 0 ? FR_OK : fr_change_allowed(l->arena, route, newest, schema, err);
    if (rc != FR_FAIL || !refused_change(err))
        return rc;
    say_change(l, f, route, err);
    return FR_END;
}

/* schema.on_change: ignore. The table's shape becomes the one that run publishes. FR_END: it cannot
 * be kept, or is not allowed, which is said. */
static fr_rc keep_shape(fr_look *l, fr_findings *f, fr_planned *p, fr_err *err)
{
    const fr_route *route = p->route;
    const int32_t *last = fr_map_get(l->published, route->topic);
    fr_str old, said = FR_STR("");
    int32_t id;
    if (route->pin != NULL || !fr_change_ignores(route->settings))
        return FR_OK;
    fr_rc known = fr_registry_lookup(l->registry, p->value_subject, p->value, &id, err);
    FR_TRY(known);
    fr_rc rc = fr_change_before(l->registry, l->arena, last == NULL ? 0 : *last, p->value_subject,
                                p->value, known == FR_OK, &old, err);
    if (rc == FR_OK)
        rc = fr_change_keep(l->arena, route, old, p->value, &p->route, &said, err);
    if (rc == FR_FAIL && refused_change(err)) {
        say_change(l, f, route, err);
        return FR_END;
    }
    FR_TRY(rc);
    if (said.len == 0)
        return FR_OK;
    fr_findings_add(f, FR_FINE, "schema.kept",
                    "%.*s.%.*s goes on in its former shape, as schema.on_change says ignore: %.*s",
                    FR_ARG(route->table->space), FR_ARG(route->table->name), FR_ARG(said));
    return plan_table(l, p, err);
}

/* Its fingerprint; every schema here is one of ours, so that it has one. */
static const char *crc_of(fr_look *l, fr_str schema)
{
    fr_fingerprint print = {.crc64 = "?"};
    fr_err ignored;
    (void)fr_fingerprint_of(l->arena, schema, &print, &ignored);
    return fr_arena_cstr(l->arena, fr_cstr(print.crc64));
}

/* A version that is new to a subject; route NULL: no table's. */
static fr_rc look_at_known_subject(fr_look *l, fr_findings *f, const char *subject, fr_str schema,
                                   bool key, const fr_route *route, fr_str old, int version,
                                   fr_err *err)
{
    fr_str why = {"", 0};
    fr_rc rc = FR_OK;
    if (!key && route != NULL)
        rc = look_at_change(l, f, route, schema, 0, old, err);
    if (rc != FR_OK)
        return rc == FR_FAIL ? rc : FR_OK;
    if (key && route != NULL && route->envelope == FR_ENVELOPE_DEBEZIUM &&
        fr_dbz_same_key(l->arena, schema, old)) {
        fr_findings_add(f, FR_FINE, "registry.subject",
                        "subject %s: version %d, but for defaults or labels", subject, version);
        return FR_OK;
    }
    if (key) {
        fr_finding *bad =
            fr_findings_add(f, FR_BLOCKER, "schema.key_changed",
                            "subject %s: the key is another one than version %d", subject, version);
        bad->hint = FR_STR("a key never changes under a topic: set another topic for the table");
        return FR_OK;
    }
    rc = fr_registry_compatible(l->registry, l->arena, subject, schema, &why, err);
    if (rc == FR_FAIL)
        return rc;
    if (rc == FR_END) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "schema.incompatible",
                                          "subject %s: version %d -> %d: %.*s", subject, version,
                                          version + 1, FR_ARG(why));
        bad->hint = FR_STR("set columns.defaults or schema.compatibility, or a new topic");
        return FR_OK;
    }
    fr_findings_add(f, FR_CHANGE, "registry.subject", "subject %s: version %d -> %d, crc64 %s",
                    subject, version, version + 1, crc_of(l, schema));
    return FR_OK;
}

static fr_rc look_at_subject(fr_look *l, fr_findings *f, const char *subject, fr_str schema,
                             bool key, const fr_route *route, int compat, fr_err *err)
{
    static const char *const levels[] = {
        "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE",
        "FULL",     "FULL_TRANSITIVE",     "NONE"};
    int32_t id = 0, newest = 0;
    int version = 0;
    fr_str text = {"", 0};
    fr_rc rc = fr_registry_lookup(l->registry, subject, schema, &id, err);
    if (rc == FR_FAIL)
        return rc;
    if (rc == FR_OK) {
        if (!key && route != NULL)
            rc = look_at_change(l, f, route, schema, id, text, err);
        if (rc == FR_OK)
            fr_findings_add(f, FR_FINE, "registry.subject", "subject %s: id %d, crc64 %s", subject,
                            (int)id, crc_of(l, schema));
        return rc == FR_FAIL ? rc : FR_OK;
    }
    size_t before = f->count;
    rc = fr_registry_latest(l->registry, l->arena, subject, &version, &newest, &text, err);
    if (rc == FR_OK)
        rc = look_at_known_subject(l, f, subject, schema, key, route, text, version, err);
    else if (rc == FR_END && l->config->registry.register_when == FR_WHEN_NEVER) {
        fr_finding *bad = fr_findings_add(f, FR_BLOCKER, "registry.subject",
                                          "subject %s does not exist", subject);
        bad->hint = FR_STR("register it, or set registry.register to apply");
    } else if (rc == FR_END)
        fr_findings_add(f, FR_CHANGE, "registry.subject", "subject %s: version 1 (%s), crc64 %s",
                        subject, levels[compat], crc_of(l, schema));
    const fr_finding *last = f->count == before ? NULL : &f->items[f->count - 1];
    if (rc == FR_FAIL || last == NULL || last->severity != FR_CHANGE ||
        strcmp(last->code, "registry.subject") != 0) /* a topic may be to be made instead */
        return rc == FR_FAIL ? rc : FR_OK;
    fr_todo *t = fr_look_todo(l, FR_TODO_SUBJECT, fr_cstr(subject));
    t->schema = schema;
    t->compat = compat;
    return FR_OK;
}

static fr_rc look_at_no_key(fr_look *l, fr_findings *f, const fr_route *r, fr_err *err)
{
    if (r->envelope != FR_ENVELOPE_DEBEZIUM)
        return FR_OK;
    const char *subject = fr_subject(&l->config->registry, l->arena, r->topic, r->schema_name,
                                     r->envelope, FR_SUBJECT_KEY);
    fr_rc rc = fr_dbz_check_keyless(l->registry, l->arena, subject, err);
    if (rc != FR_FAIL || strcmp(err->code, "schema.key_changed") != 0)
        return rc;
    fr_look_error(l, f, "schema.key_changed", err);
    return FR_OK;
}

static fr_rc look_at_schemas(fr_look *l, fr_findings *f, fr_planned *p, fr_err *err)
{
    if (p->route->outbox != NULL)
        return FR_OK;
    fr_rc rc = keep_shape(l, f, p, err);
    if (rc != FR_OK)
        return rc == FR_FAIL ? rc : FR_OK;
    int own = p->route->settings->schema_compat;
    int compat = own >= 0 ? own : l->config->registry.compatibility;
    if (p->key_subject != NULL)
        FR_TRY(look_at_subject(l, f, p->key_subject, p->key, true, p->route, compat, err));
    else
        FR_TRY(look_at_no_key(l, f, p->route, err));
    return look_at_subject(l, f, p->value_subject, p->value, false, p->route, compat, err);
}

/* <prefix>.message and <prefix>.transaction carry schemas of their own. */
static fr_rc look_at_side(fr_look *l, fr_findings *f, const fr_source_settings *s, bool message,
                          fr_err *err)
{
    fr_origin origin = fr_look_origin(s);
    fr_str key, value;
    fr_str topic = fr_look_side_topic(l->arena, s, message ? "message" : "transaction");
    FR_TRY(message ? fr_schema_message(l->arena, &origin, &key, &value, err)
                   : fr_schema_transaction(l->arena, &origin, &key, &value, err));
    const char *names[2];
    names[0] = fr_arena_cstr(l->arena, fr_arena_printf(l->arena, "%.*s-key", FR_ARG(topic)));
    names[1] = fr_arena_cstr(l->arena, fr_arena_printf(l->arena, "%.*s-value", FR_ARG(topic)));
    int compat = l->config->registry.compatibility;
    FR_TRY(look_at_subject(l, f, names[0], key, true, NULL, compat, err));
    return look_at_subject(l, f, names[1], value, false, NULL, compat, err);
}

static fr_rc look_at_subjects(fr_look *l, fr_findings *f, fr_err *err)
{
    for (size_t i = 0; i < l->table_count; i++)
        FR_TRY(look_at_schemas(l, f, &l->tables[i], err));
    for (size_t i = 0; i < l->config->source_count; i++) {
        FR_TRY(look_at_side(l, f, &l->config->sources[i], true, err));
        if (l->config->sources[i].transaction_metadata)
            FR_TRY(look_at_side(l, f, &l->config->sources[i], false, err));
    }
    return FR_OK;
}

void fr_look_registry(fr_look *l)
{
    fr_findings *f = fr_look_section(l, "REGISTRY   %s", l->config->registry.url.items[0]);
    fr_err err;
    fr_cli_note(l->cli, "looking at the registry");
    bool answers = fr_registry_open(&l->config->registry, &l->registry, &err) == FR_OK &&
                   fr_registry_check(l->registry, f, &err) == FR_OK;
    if (!answers)
        fr_look_error(l, f, "registry.connect", &err);
    l->unreachable = l->unreachable || fr_look_no_answer(f);
    if (!answers || fr_look_no_answer(f) || has_blocker(f, "registry.tls")) {
        l->partial = true;
        fr_registry_close(l->registry);
        l->registry = NULL;
        return;
    }
    if (look_at_subjects(l, f, &err) == FR_FAIL) {
        fr_look_error(l, f, "registry.subject", &err);
        l->partial = true;
        fr_registry_close(l->registry);
        l->registry = NULL;
    }
}

/* ---- the whole -------------------------------------------------------------------------- */

static void set_hash(fr_look *l)
{
    static const char *const kinds[] = {"topic", "subject", "table"};
    fr_buf b = {0};
    for (size_t i = 0; i < l->todo_count; i++) {
        const fr_todo *t = &l->todos[i];
        fr_buf_printf(&b, "%s %s %d %" PRIu64 "\n", kinds[t->kind], t->name, t->compat,
                      fr_hash64(t->schema.ptr, t->schema.len));
        if (t->kind == FR_TODO_TOPIC && !t->ours)
            fr_buf_printf(&b, "%" PRId64 " %" PRId64 "\n", l->config->kafka.topic_partitions,
                          l->config->kafka.topic_replication);
        for (size_t k = 0; t->table != NULL && k < t->table->column_count; k++) {
            const fr_column *c = &t->table->columns[k];
            fr_buf_printf(&b, " %.*s %d %d %d %d %d\n", FR_ARG(c->name), c->kind, c->nullable,
                          c->precision, c->scale, c->key_ordinal);
        }
    }
    snprintf(l->hash, sizeof(l->hash), "%016" PRIx64, fr_hash64(b.ptr, b.len));
    fr_buf_free(&b);
}

void fr_look_open(fr_cli *cli, const fr_config *config, fr_look *l)
{
    *l = (fr_look){.cli = cli, .config = config, .arena = fr_arena_new(0)};
    size_t n = config->source_count + config->sink_count + 4;
    l->sections = fr_arena_alloc(l->arena, n * sizeof(*l->sections));
    l->sources = fr_arena_alloc(l->arena, n * sizeof(fr_source *));
    l->routers = fr_arena_alloc(l->arena, n * sizeof(fr_router *));
    l->published = fr_map_new();
    fr_look_sources(l);
    fr_look_kafka(l);
    fr_look_registry(l);
    fr_look_sinks(l);
    set_hash(l);
    for (size_t i = 0; i < l->section_count; i++)
        fr_cli_tally(&l->tally, &l->sections[i].findings);
}

void fr_look_close(fr_look *l)
{
    for (size_t i = 0; i < l->todo_count; i++)
        fr_table_unref(l->todos[i].table);
    for (size_t i = 0; i < l->config->source_count; i++) {
        fr_router_free(l->routers[i]);
        if (l->sources[i] != NULL)
            l->config->source_ops[i]->close(l->sources[i]);
    }
    fr_map_free(l->published, NULL);
    fr_registry_close(l->registry);
    fr_admin_close(l->admin);
    fr_arena_free(l->arena);
}
