/* Notices: what happened to the schema of a stream, as JSON on a topic of its own, in the
 * transaction of the first row that it is about. Format: docs/schema-changes.md, "Notices". */
#include "base/clock.h"
#include "base/log.h"
#include "codec/change.h"
#include "codec/compat.h"
#include "codec/encode_plan.h"

#include <string.h>

fr_str fr_notices_topic(fr_arena *a, const fr_kafka_settings *kafka)
{
    return fr_arena_printf(a, "freshet.%s.notices", kafka->pipeline);
}

static void put_text(fr_buf *b, const char *name, fr_str text)
{
    fr_buf_printf(b, ",\"%s\":", name);
    fr_buf_json(b, text);
}

static void put_list(fr_buf *b, const char *name, const fr_texts *list)
{
    fr_buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < list->count; i++) {
        fr_buf_text(b, i > 0 ? "," : "");
        fr_buf_json(b, fr_cstr(list->items[i]));
    }
    fr_buf_text(b, "]");
}

/* What every notice begins with; whose stream it is. */
static void begin(const fr_encoder *e, fr_str space, fr_str name, const fr_table_settings *s,
                  const char *what, fr_buf *b)
{
    char at[40];
    fr_time_text(at, fr_wall_us());
    fr_buf_printf(b, "{\"notice\":\"%s\",\"at\":\"%s\"", what, at);
    put_text(b, "pipeline", fr_cstr(e->settings.kafka->pipeline));
    put_text(b, "source", fr_cstr(e->settings.source->name));
    put_text(b, "space", space);
    put_text(b, "table", name);
    if (s->owner != NULL)
        put_text(b, "owner", fr_cstr(s->owner));
    if (s->tags.count > 0)
        put_list(b, "tags", &s->tags);
    if (s->pii.count > 0)
        put_list(b, "pii", &s->pii);
    if (s->deprecated != NULL)
        put_text(b, "deprecated", fr_cstr(s->deprecated));
}

/* The row of an envelope stands in it twice, and is compared once: a path is the row's. */
static fr_str path_of(const fr_plan *p, const fr_difference *d)
{
    static const char *const sides[] = {"before.", "after."};
    for (size_t i = 0; i < 2 && p->route->envelope != FR_ENVELOPE_STATE; i++) {
        size_t len = strlen(sides[i]);
        if (d->path.len > len && memcmp(d->path.ptr, sides[i], len) == 0)
            return (fr_str){d->path.ptr + len, d->path.len - len};
    }
    return d->path;
}

static void put_difference(fr_buf *b, const fr_plan *p, const fr_difference *d)
{
    fr_buf_printf(b, "{\"sign\":\"%c\"", d->sign);
    put_text(b, "path", path_of(p, d));
    put_text(b, "kind", fr_cstr(d->kind));
    put_text(b, "why", fr_cstr(d->why));
    if (d->old_type.len > 0)
        put_text(b, "old", d->old_type);
    if (d->new_type.len > 0)
        put_text(b, "new", d->new_type);
    if (d->detail.len > 0)
        put_text(b, "detail", d->detail);
    if (d->verdict != FR_DIFF_NOTE)
        put_text(b, "breaks",
                 fr_cstr(d->ahead ? "readers of the old schema" : "readers of the new schema"));
    fr_buf_text(b, "}");
}

/* All that differs. Not known (the registry does not have the old one any more): false, and the
 * rows go on. */
static bool differences(fr_encoder *e, const fr_plan *p, int32_t from, fr_arena *a,
                        fr_differences *out)
{
    fr_err ignored;
    fr_str old, next;
    return fr_registry_schema(e->registry, from, &old, &ignored) == FR_OK &&
           fr_registry_schema(e->registry, p->value_id, &next, &ignored) == FR_OK &&
           fr_compat_list(a, FR_COMPAT_FULL, next, &old, 1, out, &ignored) != FR_FAIL;
}

static bool is_breaking(const fr_differences *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].verdict != FR_DIFF_NOTE)
            return true;
    return false;
}

static void put_changes(const fr_plan *p, const fr_differences *d, fr_buf *b)
{
    fr_buf_printf(b, ",\"breaking\":%s,\"changes\":[", is_breaking(d) ? "true" : "false");
    for (size_t i = 0; i < d->count; i++) {
        fr_buf_text(b, i > 0 ? "," : "");
        put_difference(b, p, &d->items[i]);
    }
    fr_buf_text(b, "]");
}

static void add(fr_encoder *e, fr_batch *b, size_t event, fr_str key, fr_str payload)
{
    fr_message *m = fr_batch_message(b);
    m->topic = e->settings.notices;
    m->key = fr_arena_str(b->arena, key);
    m->partition_hash = fr_murmur2(key.ptr, key.len);
    m->payload = payload;
    m->event = event;
    b->notices++;
}

static void log_change(const fr_encoder *e, const fr_plan *p, int32_t from, const fr_differences *d,
                       fr_arena *a)
{
    fr_buf text = {.arena = a};
    for (size_t i = 0; i < d->count; i++) {
        const fr_difference *x = &d->items[i];
        fr_buf_printf(&text, "%s%c%.*s", i == 0 ? ": " : ", ", x->sign, FR_ARG(path_of(p, x)));
        if (x->old_type.len > 0 && x->new_type.len > 0)
            fr_buf_printf(&text, " %.*s -> %.*s", FR_ARG(x->old_type), FR_ARG(x->new_type));
        else
            fr_buf_printf(&text, " %.*s%.*s", FR_ARG(x->old_type), FR_ARG(x->new_type));
    }
    fr_str who = fr_arena_printf(a, "source %s", e->settings.source->name);
    fr_log(FR_LOG_INFO, fr_arena_cstr(a, who), "schema of %.*s: id %d -> %d%s%.*s",
           FR_ARG(p->route->topic), (int)from, (int)p->value_id,
           is_breaking(d) ? " (breaking)" : "", FR_ARG(fr_buf_view(&text)));
}

void fr_notice_changed(fr_encoder *e, fr_plan *p, fr_batch *b, size_t event)
{
    fr_buf text = {.arena = b->arena};
    fr_arena *a = fr_arena_new(0);
    fr_differences d = {.count = 0};
    int32_t from = p->noted;
    p->noted = 0;
    begin(e, p->source->space, p->source->name, p->route->settings, "schema.changed", &text);
    put_text(&text, "topic", p->route->topic);
    put_text(&text, "subject",
             fr_cstr(fr_subject(e->settings.registry_settings, a, p->route->topic,
                                p->route->schema_name, p->route->envelope, FR_SUBJECT_VALUE)));
    fr_buf_printf(&text, ",\"old_id\":%d,\"new_id\":%d", (int)from, (int)p->value_id);
    if (differences(e, p, from, a, &d))
        put_changes(p, &d, &text);
    fr_buf_text(&text, "}");
    add(e, b, event, p->route->topic, fr_buf_view(&text));
    log_change(e, p, from, &d, a);
    fr_arena_free(a);
}

static void add_marker(fr_batch *b, size_t event, fr_str from, fr_str to, fr_str key)
{
    fr_message *m = fr_batch_message(b);
    fr_header *h = fr_arena_alloc(b->arena, sizeof(*h));
    *h = (fr_header){FR_HEADER_CLOSED, fr_arena_str(b->arena, to)};
    m->topic = fr_arena_str(b->arena, from);
    m->key = key;
    m->everywhere = true;
    m->headers = h;
    m->header_count = 1;
    m->event = event;
}

void fr_encoder_close(fr_encoder *e, fr_batch *b, size_t event, fr_str from, fr_str to,
                      fr_str marker_key, const fr_err *why)
{
    const fr_table *t = b->events[event].table;
    const fr_table_settings *s = fr_source_match(e->settings.source, t->space, t->name);
    add_marker(b, event, from, to, marker_key);
    if (e->settings.notices.len == 0)
        return;
    fr_buf text = {.arena = b->arena};
    begin(e, t->space, t->name, s, "schema.new_topic", &text);
    put_text(&text, "topic", from);
    put_text(&text, "new_topic", to);
    put_text(&text, "kind", fr_change_kind(why));
    put_text(&text, "why", fr_cstr(why->text));
    fr_buf_text(&text, "}");
    add(e, b, event, fr_arena_str(b->arena, from), fr_buf_view(&text));
}

void fr_encoder_notice_absent(fr_encoder *e, fr_batch *b, size_t event, fr_str space, fr_str name,
                              const fr_err *why)
{
    const fr_table_settings *s = fr_source_match(e->settings.source, space, name);
    if (s == NULL || e->settings.notices.len == 0)
        return; /* that it is held is logged in any case */
    fr_buf text = {.arena = b->arena};
    begin(e, space, name, s, "schema.held", &text);
    put_text(&text, "code", fr_cstr(why->code));
    put_text(&text, "error", fr_cstr(why->text));
    put_text(&text, "hint", fr_cstr(why->hint));
    fr_buf_text(&text, "}");
    add(e, b, event, fr_arena_printf(b->arena, "%.*s.%.*s", FR_ARG(space), FR_ARG(name)),
        fr_buf_view(&text));
}

void fr_encoder_notice_held(fr_encoder *e, fr_batch *b, size_t event, const fr_err *why)
{
    const fr_table *t = b->events[event].table;
    if (why->kind == FR_ERR_SCHEMA)
        fr_encoder_notice_absent(e, b, event, t->space, t->name, why);
}
