/* What plan says of derived events: what they may show, cost, or cannot know. */
#include "cli/plan.h"
#include "transform/derive.h"

/* Whose rows they are: a table's, or a topic's at a sink. */
static fr_str subject(const fr_findings *f, const fr_route *r)
{
    if (r->sink != NULL)
        return fr_arena_printf(f->arena, "topic %.*s", FR_ARG(r->topic));
    return fr_arena_printf(f->arena, "%.*s.%.*s", FR_ARG(r->source->space),
                           FR_ARG(r->source->name));
}

static void say_reader(fr_findings *f, const fr_route *r, size_t column)
{
    const fr_column *c = &r->source->columns[column];
    const char *reader = fr_derive_reader(r, column);
    bool masked = fr_derive_mask_of(r, column) != NULL;
    if (reader == NULL || (!masked && !fr_texts_have(&r->settings->pii, c->name)))
        return;
    fr_finding *n = fr_findings_add(
        f, FR_WARNING, "derive.reads_masked", "%.*s: %s reads column %.*s, which is %s",
        FR_ARG(subject(f, r)), reader, FR_ARG(c->name), masked ? "masked" : "personal data (pii)");
    n->hint = r->sink != NULL
                  ? FR_STR("expressions see the messages' own values: check that the result does "
                           "not show what must not be seen")
                  : FR_STR("expressions see the source's own values: check that the result does "
                           "not show what must not be seen");
}

static void say_absent(fr_findings *f, const fr_route *r, size_t column)
{
    const fr_column *c = &r->source->columns[column];
    if (r->sink != NULL || !c->may_be_absent || r->source->full_before ||
        !fr_derive_filter_reads(r, column))
        return;
    fr_finding *n = fr_findings_add(
        f, FR_WARNING, "filter.absent",
        "%.*s: filter reads column %.*s, which the source does not log where it is large and did "
        "not change: such an update is an error",
        FR_ARG(subject(f, r)), FR_ARG(c->name));
    n->hint = FR_STR("REPLICA IDENTITY FULL, or filter by another column");
}

static bool may_be_large(const fr_column *c)
{
    return c->may_be_absent && (c->kind == FR_TEXT || c->kind == FR_BYTES || c->kind == FR_JSON);
}

/* At a sink the schema alone speaks, which says of each column that it may be absent. */
static void say_lacking(fr_findings *f, const fr_route *r)
{
    fr_str names = FR_STR("");
    if (r->settings->filter == NULL || r->sink->write_mode == FR_WRITE_APPEND ||
        r->source->full_before)
        return;
    for (size_t i = 0; i < r->source->column_count; i++) {
        const fr_column *c = &r->source->columns[i];
        bool needed = fr_derive_filter_reads(r, i);
        for (size_t k = 0; k < r->field_count; k++)
            needed = needed || r->fields[k] == i;
        if (needed && may_be_large(c))
            names = fr_arena_printf(f->arena, "%.*s%s%.*s", FR_ARG(names),
                                    names.len > 0 ? ", " : "", FR_ARG(c->name));
    }
    if (names.len == 0)
        return;
    fr_finding *n = fr_findings_add(
        f, FR_WARNING, "filter.absent",
        "%.*s: an update that lacks a value of %.*s, because it is large and did not change, is an "
        "error: the row may be new to the target",
        FR_ARG(subject(f, r)), FR_ARG(names));
    n->hint = FR_STR("none of it where values stay small; else leave the column out, filter where "
                     "the topic is written, or REPLICA IDENTITY FULL");
}

static void say_key(fr_findings *f, const fr_route *r)
{
    for (size_t i = 0; i < r->key_count; i++) {
        if (fr_derive_mask_of(r, r->key[i]) == NULL)
            continue;
        fr_finding *n = fr_findings_add(
            f, FR_WARNING, "mask.key",
            "%.*s.%.*s: column %.*s of the key is masked, but where reading goes on is kept in the "
            "source's own values",
            FR_ARG(r->source->space), FR_ARG(r->source->name), FR_ARG(fr_route_name(r, r->key[i])));
        n->hint = FR_STR("let nobody else read the topic freshet.<name>.checkpoint.<source>");
    }
}

static void say_polled(fr_findings *f, const fr_route *r)
{
    const fr_table_settings *s = r->settings;
    if (s->filter == NULL || s->method != FR_METHOD_QUERY || s->append_only)
        return;
    fr_finding *n = fr_findings_add(
        f, FR_WARNING, "filter.polled",
        "%.*s.%.*s: each row that a poll finds and the filter leaves out is published as a delete "
        "of its key, for it may have passed before",
        FR_ARG(r->source->space), FR_ARG(r->source->name));
    n->hint = FR_STR("rows that never pass: leave them out at the server, by snapshot.where");
}

void fr_look_derived(fr_findings *f, const fr_route *r)
{
    if (r->derive == NULL)
        return;
    if (r->sink != NULL)
        say_lacking(f, r);
    say_polled(f, r);
    say_key(f, r);
    for (size_t i = 0; i < r->source->column_count; i++) {
        say_reader(f, r, i);
        say_absent(f, r, i);
    }
}

static bool some_table_has(const fr_look *l, size_t source, const fr_table_settings *s,
                           fr_str column)
{
    for (size_t i = 0; i < l->table_count; i++) {
        const fr_route *r = l->tables[i].route;
        if (l->tables[i].source == source && r->settings == s &&
            fr_table_find(r->source, column) >= 0)
            return true;
    }
    return false;
}

/* A table may lack what its pattern masks, and a slip of the hand looks like that. */
void fr_look_masks(const fr_look *l, size_t source, fr_findings *f)
{
    const fr_source_settings *settings = &l->config->sources[source];
    for (size_t i = 0; i < settings->table_count; i++) {
        const fr_table_settings *s = &settings->tables[i];
        for (size_t k = 0; s->regex != NULL && k < s->column_mask.count; k++) {
            const char *name = s->column_mask.items[k].name;
            if (some_table_has(l, source, s, fr_cstr(name)))
                continue;
            fr_finding *n =
                fr_findings_add(f, FR_WARNING, "mask.no_column",
                                "%s: no table of the pattern %s has the column %s that it masks",
                                s->place, s->pattern, name);
            n->hint = FR_STR("correct its name in columns.mask, or remove it");
        }
    }
}
