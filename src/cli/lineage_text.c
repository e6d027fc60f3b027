/* Lineage for people and for --json. */
#include "cli/lineage.h"
#include <string.h>

static void put_list(fr_buf *b, const fr_str *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_buf_shown(b, items[i]);
    }
}

static void put_texts(fr_buf *b, const char *label, const fr_texts *list)
{
    for (size_t i = 0; i < list->count; i++) {
        fr_buf_text(b, i > 0 ? ", " : label);
        fr_buf_shown(b, fr_cstr(list->items[i]));
    }
}

static void put_head(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s)
{
    fr_buf_shown(b, fr_lineage_table(l, s));
    if (s->source == FR_LINEAGE_FOREIGN) {
        fr_buf_text(b, "   a topic that no source of this file writes\n");
        return;
    }
    fr_buf_text(b, " → ");
    if (s->topic.len > 0)
        fr_buf_shown(b, s->topic);
    else
        fr_buf_text(b, s->pattern ? "a topic a table" : "the topic that each row names");
    for (size_t i = 0; i + 1 < s->generation; i++) {
        fr_buf_text(b, i == 0 ? "   closed: " : ", ");
        fr_buf_shown(b, fr_lineage_former(l, s, i));
    }
    if (s->settings->owner != NULL) {
        fr_buf_text(b, "   owner ");
        fr_buf_shown(b, fr_cstr(s->settings->owner));
    }
    put_texts(b, "   tags ", &s->settings->tags);
    fr_buf_text(b, "\n");
}

/* "  columns: from the catalog", and what is not said of single fields. */
static void put_notes(fr_cli *cli, fr_buf *b, const fr_lineage_stream *s)
{
    if (s->deprecated != NULL) {
        fr_buf_printf(b, "  %sdeprecated: ", fr_cli_glyph(cli, FR_GLYPH_WARN));
        fr_buf_shown(b, fr_cstr(s->deprecated));
        fr_buf_text(b, "\n");
    }
    if (s->doc.len > 0 && cli->verbose) {
        fr_buf_text(b, "  ");
        fr_buf_shown(b, s->doc);
        fr_buf_text(b, "\n");
    }
    if (s->source == FR_LINEAGE_FOREIGN)
        return;
    if (s->catalog)
        fr_buf_text(b, "  as the source's catalog has it\n");
    else
        fr_buf_printf(b, "  as the configuration alone says%s\n",
                      s->whole ? "" : ": columns that it does not name are published as they are");
    if (s->settings->filter != NULL) {
        fr_buf_text(b, "  filter reads ");
        put_list(b, s->filter, s->filter_count);
        fr_buf_text(b, "\n");
    }
}

static void put_target(fr_buf *b, const fr_lineage *l, const fr_lineage_target *t, bool first)
{
    fr_buf_printf(b, "%s %s ", first ? " ─→" : ",", l->config->sinks[t->sink].name);
    fr_buf_shown(b, fr_lineage_target_name(l, t));
}

static void put_targets(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s, fr_str field)
{
    bool first = true;
    for (size_t i = 0; i < s->target_count; i++) {
        if (s->targets[i].former.len > 0 || s->targets[i].rules != NULL)
            continue;
        put_target(b, l, &s->targets[i], first);
        fr_buf_text(b, field.len > 0 ? "." : "");
        fr_buf_shown(b, field);
        first = false;
    }
    fr_buf_text(b, "\n");
}

static void put_arrow(fr_buf *b, const fr_lineage_field *f)
{
    fr_buf_text(b, "─");
    fr_buf_shown(b, fr_lineage_mask(f));
    if (f->expression != NULL || f->message != NULL) {
        fr_buf_text(b, "[");
        fr_buf_shown(b, fr_cstr(f->expression != NULL ? f->expression : f->message));
        fr_buf_text(b, "]");
    }
    fr_buf_text(b, "→ ");
}

/* "  erp.orders.email ─hash→ warehouse raw.orders.mail" */
static void put_ruled(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s,
                      const fr_lineage_target *t)
{
    if (t->filter_count > 0) {
        fr_buf_printf(b, "  %s: filter reads ", l->config->sinks[t->sink].name);
        put_list(b, t->filter, t->filter_count);
        fr_buf_text(b, "\n");
    }
    for (size_t i = 0; i < t->field_count; i++) {
        const fr_lineage_field *f = &t->fields[i];
        fr_buf_text(b, "  ");
        fr_buf_shown(b, s->topic);
        for (size_t k = 0; k < f->from_count; k++) {
            fr_buf_text(b, k > 0 ? ", " : ".");
            fr_buf_shown(b, f->from[k]);
        }
        fr_buf_printf(b, " ");
        put_arrow(b, f);
        fr_buf_printf(b, "%s ", l->config->sinks[t->sink].name);
        fr_buf_shown(b, fr_lineage_target_name(l, t));
        fr_buf_text(b, ".");
        fr_buf_shown(b, f->name);
        fr_buf_text(b, f->pii ? " (PII)" : "");
        fr_buf_text(b, f->key ? " (key)\n" : "\n");
    }
    if (t->field_count > 0 && s->whole)
        return;
    fr_buf_text(b, "  ");
    fr_buf_shown(b, s->topic);
    fr_buf_printf(b, ".* ─[by its rules]→ %s ", l->config->sinks[t->sink].name);
    fr_buf_shown(b, fr_lineage_target_name(l, t));
    fr_buf_text(b, "\n");
}

/* Closed topics: which fields they have had is not said. */
static void put_former(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s)
{
    for (size_t i = 0; i < s->target_count; i++) {
        if (s->targets[i].former.len == 0)
            continue;
        fr_buf_text(b, "  ");
        fr_buf_shown(b, s->targets[i].former);
        fr_buf_text(b, " (closed)");
        put_target(b, l, &s->targets[i], true);
        fr_buf_text(b, "\n");
    }
}

/* "erp/public.orders.email ─hash→ erp.orders.email (PII) ─→ warehouse raw.orders.email" */
static void put_field(fr_buf *b, const fr_lineage *l, const fr_lineage_stream *s,
                      const fr_lineage_field *f)
{
    fr_str table = fr_lineage_table(l, s);
    fr_buf_text(b, "  ");
    for (size_t i = 0; i < f->from_count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_buf_shown(b, table);
        fr_buf_text(b, ".");
        fr_buf_shown(b, f->from[i]);
    }
    fr_buf_text(b, f->from_count > 0 ? " " : "");
    put_arrow(b, f);
    fr_buf_shown(b, s->topic);
    fr_buf_text(b, s->topic.len > 0 ? "." : "");
    fr_buf_shown(b, f->name);
    fr_buf_text(b, f->pii ? " (PII)" : "");
    fr_buf_text(b, f->key ? " (key)" : "");
    put_targets(b, l, s, f->name);
}

/* Sinks read it, and all of them by rules. */
static bool only_ruled(const fr_lineage_stream *s)
{
    bool only = s->target_count > 0;
    for (size_t i = 0; i < s->target_count; i++)
        only = only && s->targets[i].rules != NULL;
    return only;
}

void fr_lineage_text(fr_cli *cli, const fr_lineage *l)
{
    fr_buf *b = &cli->out;
    for (size_t i = 0; i < l->count; i++) {
        const fr_lineage_stream *s = &l->streams[i];
        put_head(b, l, s);
        put_notes(cli, b, s);
        for (size_t k = 0; k < s->field_count; k++)
            put_field(b, l, s, &s->fields[k]);
        if ((s->field_count == 0 || !s->whole) && !only_ruled(s)) {
            fr_buf_text(b, "  ");
            fr_buf_shown(b, fr_lineage_table(l, s));
            fr_buf_text(b, s->source == FR_LINEAGE_FOREIGN ? "" : ".*");
            put_targets(b, l, s, FR_STR(""));
        }
        for (size_t k = 0; k < s->target_count; k++)
            if (s->targets[k].rules != NULL && s->targets[k].former.len == 0)
                put_ruled(b, l, s, &s->targets[k]);
        put_former(b, l, s);
        fr_buf_text(b, "\n");
    }
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void set(json_t *j, const char *name, fr_str s)
{
    if (s.len > 0)
        json_object_set_new(j, name, fr_cli_json_text(s));
}

static json_t *texts(const fr_texts *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(out, fr_cli_json_text(fr_cstr(list->items[i])));
    return out;
}

static json_t *strs(const fr_str *items, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, fr_cli_json_text(items[i]));
    return out;
}

static json_t *field_json(const fr_lineage_field *f)
{
    json_t *j = json_object();
    json_object_set_new(j, "field", fr_cli_json_text(f->name));
    json_object_set_new(j, "from", strs(f->from, f->from_count));
    if (f->expression != NULL)
        set(j, "expression", fr_cstr(f->expression));
    if (f->message != NULL)
        set(j, "message", fr_cstr(f->message));
    set(j, "mask", fr_lineage_mask(f));
    json_object_set_new(j, "pii", json_boolean(f->pii));
    json_object_set_new(j, "key", json_boolean(f->key));
    set(j, "type", f->type);
    set(j, "description", f->doc);
    return j;
}

static void set_settings(json_t *j, const fr_lineage_stream *s)
{
    const fr_table_settings *t = s->settings;
    if (t->owner != NULL)
        set(j, "owner", fr_cstr(t->owner));
    json_object_set_new(j, "tags", texts(&t->tags));
    if (t->filter != NULL) {
        set(j, "filter", fr_cstr(t->filter));
        json_object_set_new(j, "filter_reads", strs(s->filter, s->filter_count));
    }
    json_object_set_new(j, "columns", json_string(s->catalog ? "catalog" : "configuration"));
    json_object_set_new(j, "whole", json_boolean(s->whole));
}

static json_t *target_json(const fr_lineage *l, const fr_lineage_target *t)
{
    json_t *j = json_pack("{s:s,s:o}", "sink", l->config->sinks[t->sink].name, "table",
                          fr_cli_json_text(fr_lineage_target_name(l, t)));
    set(j, "former_topic", t->former);
    if (t->rules == NULL)
        return j;
    json_t *rules = json_object(), *fields = json_array();
    set(rules, "place", fr_cstr(t->rules->shape.place));
    if (t->rules->shape.filter != NULL) {
        set(rules, "filter", fr_cstr(t->rules->shape.filter));
        json_object_set_new(rules, "filter_reads", strs(t->filter, t->filter_count));
    }
    for (size_t i = 0; i < t->field_count; i++)
        json_array_append_new(fields, field_json(&t->fields[i]));
    json_object_set_new(j, "rules", rules);
    json_object_set_new(j, "fields", fields);
    return j;
}

static json_t *stream_json(const fr_lineage *l, const fr_lineage_stream *s)
{
    json_t *j = json_object(), *fields = json_array(), *targets = json_array();
    if (s->source != FR_LINEAGE_FOREIGN)
        json_object_set_new(j, "table", fr_cli_json_text(fr_lineage_table(l, s)));
    set(j, "topic", s->topic);
    fr_str former = fr_lineage_former(l, s, 0);
    for (size_t i = 1; i + 1 < s->generation; i++)
        former = fr_arena_printf(l->arena, "%.*s, %.*s", FR_ARG(former),
                                 FR_ARG(fr_lineage_former(l, s, i)));
    set(j, "former_topics", former);
    set(j, "description", s->doc);
    if (s->deprecated != NULL)
        set(j, "deprecated", fr_cstr(s->deprecated));
    if (s->settings != NULL)
        set_settings(j, s);
    for (size_t i = 0; i < s->field_count; i++)
        json_array_append_new(fields, field_json(&s->fields[i]));
    for (size_t i = 0; i < s->target_count; i++)
        json_array_append_new(targets, target_json(l, &s->targets[i]));
    json_object_set_new(j, "fields", fields);
    json_object_set_new(j, "sinks", targets);
    return j;
}

json_t *fr_lineage_json(const fr_lineage *l)
{
    json_t *sources = json_array(), *streams = json_array();
    for (size_t i = 0; i < l->config->source_count; i++) {
        json_t *j = json_pack("{s:s,s:b}", "source", l->config->sources[i].name, "answered",
                              l->why[i] == NULL);
        if (l->why[i] != NULL)
            set(j, "why", fr_cstr(l->why[i]));
        json_array_append_new(sources, j);
    }
    for (size_t i = 0; i < l->count; i++)
        json_array_append_new(streams, stream_json(l, &l->streams[i]));
    return json_pack("{s:o,s:o}", "sources", sources, "streams", streams);
}
