#include "cli/lineage.h"
#include "cli/ask.h"
#include "codec/contract.h"
#include "transform/derive.h"
#include "transform/expr_text.h"
#include "transform/route.h"
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

typedef struct work {
    fr_lineage *l;
    fr_arena *a;
    fr_sandbox *sandbox;
    size_t source;
    const fr_source_settings *settings;
    fr_router *router;         /* of tables that were looked up */
    fr_checkpoint *checkpoint; /* of this source; NULL: none, or nobody asked */
    fr_err *err;
} work;

static fr_lineage_stream *add_stream(fr_lineage *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        fr_lineage_stream *more = fr_arena_alloc(l->arena, l->cap * sizeof(*more));
        if (l->count > 0)
            memcpy(more, l->streams, l->count * sizeof(*more));
        l->streams = more;
    }
    return &l->streams[l->count++];
}

/* ---- names ------------------------------------------------------------------------------ */

typedef struct names { /* each once, in the order in which they were met */
    fr_str *items;
    size_t count, cap;
    fr_arena *a;
} names;

static void add_name(names *n, fr_str name)
{
    for (size_t i = 0; i < n->count; i++)
        if (fr_str_eq(n->items[i], name))
            return;
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? 16 : n->cap * 2;
        fr_str *more = fr_arena_alloc(n->a, n->cap * sizeof(*more));
        if (n->count > 0)
            memcpy(more, n->items, n->count * sizeof(*more));
        n->items = more;
    }
    n->items[n->count++] = fr_arena_str(n->a, name);
}

static void add_texts(names *n, const fr_texts *list)
{
    for (size_t i = 0; i < list->count; i++)
        add_name(n, fr_cstr(list->items[i]));
}

/* Of a map of columns; fields of columns.derive are none. */
static void add_pairs(names *n, const fr_table_settings *s, const fr_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (fr_pairs_get(&s->column_derive, fr_cstr(pairs->items[i].name)) == NULL)
            add_name(n, fr_cstr(pairs->items[i].name));
}

/* ---- what an expression reads ------------------------------------------------------------ */

/* Every name in the text, as a column: which of them are read SQLite says. In one case only, for it
 * does not tell cases apart. */
static const fr_table *guessed_table(fr_arena *a, const char *text)
{
    fr_tokens tokens;
    fr_err ignored;
    size_t at;
    fr_table like = {.space = FR_STR(""), .name = FR_STR("row")};
    if (fr_tokens_read(a, text, &tokens, &at, &ignored) == FR_FAIL)
        return fr_table_new(&like);
    fr_column *columns = fr_arena_alloc(a, (tokens.count + 1) * sizeof(*columns));
    for (size_t i = 0; i < tokens.count; i++) {
        fr_str name = tokens.items[i].text;
        bool may = tokens.items[i].kind == FR_TOKEN_QUOTED ||
                   (tokens.items[i].kind == FR_TOKEN_NAME && !fr_tokens_call(&tokens, i));
        for (size_t k = 0; k < like.column_count; k++)
            may = may && (columns[k].name.len != name.len ||
                          strncasecmp(columns[k].name.ptr, name.ptr, name.len) != 0);
        if (may && name.len > 0)
            columns[like.column_count++] =
                (fr_column){.name = name, .kind = FR_TEXT, .nullable = true};
    }
    like.columns = columns;
    return fr_table_new(&like);
}

fr_rc fr_lineage_reads(fr_arena *a, fr_sandbox **sandbox, const fr_table *table, const char *text,
                       fr_str **out, size_t *count, fr_err *err)
{
    names n = {.a = a};
    fr_expr *e;
    size_t at, columns = 0;
    if (*sandbox == NULL)
        FR_TRY(fr_sandbox_open(sandbox, err));
    const fr_table *t = table != NULL ? fr_table_ref(table) : guessed_table(a, text);
    fr_rc rc = fr_expr_compile(*sandbox, a, t, text, &e, &at, err);
    const uint16_t *list = rc == FR_OK ? fr_expr_columns(e, &columns) : NULL;
    for (size_t i = 0; i < columns; i++)
        add_name(&n, t->columns[list[i]].name);
    fr_table_unref(t);
    *out = n.items;
    *count = n.count;
    return rc;
}

static fr_rc reads(work *w, const fr_table *table, const char *text, fr_str **out, size_t *count)
{
    return fr_lineage_reads(w->a, &w->sandbox, table, text, out, count, w->err);
}

static fr_rc set_filter(work *w, const fr_table *table, fr_lineage_stream *s)
{
    if (s->settings->filter == NULL)
        return FR_OK;
    return reads(w, table, s->settings->filter, &s->filter, &s->filter_count);
}

/* ---- fields ------------------------------------------------------------------------------ */

static void set_column(work *w, const fr_table_settings *s, fr_str column, fr_lineage_field *f)
{
    const char *renamed = fr_pairs_get(&s->column_rename, column);
    f->from = fr_arena_alloc(w->a, sizeof(*f->from));
    f->from[0] = fr_arena_str(w->a, column);
    f->from_count = 1;
    f->name = renamed != NULL ? fr_cstr(renamed) : f->from[0];
    f->mask = fr_pairs_get(&s->column_mask, column);
    f->pii = fr_texts_have(&s->pii, column);
    f->key = fr_texts_have(&s->key, column);
}

static fr_rc set_derived(work *w, const fr_table *table, const fr_table_settings *s,
                         const fr_pair *pair, fr_lineage_field *f)
{
    f->name = fr_cstr(pair->name);
    f->expression = pair->value;
    f->pii = fr_texts_have(&s->pii, f->name);
    FR_TRY(reads(w, table, pair->value, &f->from, &f->from_count));
    for (size_t i = 0; i < f->from_count; i++)
        f->pii = f->pii || fr_texts_have(&s->pii, f->from[i]);
    const char *type = fr_pairs_get(&s->column_types, f->name);
    if (type != NULL)
        f->type = fr_cstr(type);
    return FR_OK;
}

static bool is_key(const fr_route *r, size_t column)
{
    for (size_t i = 0; r->outbox == NULL && i < r->key_count; i++)
        if (r->key[i] == column)
            return true;
    return false;
}

/* A contract has names of its own, and so has Debezium. */
static void set_pinned(work *w, const fr_route *r, size_t column, fr_lineage_field *f)
{
    const fr_contract_field *field = r->pin == NULL ? NULL : r->pin->columns[column].field;
    if (field != NULL)
        f->name = fr_arena_str(w->a, fr_avro_name_back(w->a, field->name));
    if (r->envelope == FR_ENVELOPE_DEBEZIUM)
        f->name = fr_debezium_name(w->a, f->name, false);
}

/* A table as it is. */
static fr_rc fields_of_route(work *w, const fr_route *r, fr_lineage_stream *s)
{
    const fr_pairs *derive = &r->settings->column_derive;
    s->fields = fr_arena_alloc(w->a, (r->field_count + 1) * sizeof(*s->fields));
    for (size_t i = 0; i < r->field_count; i++) {
        const fr_column *c = &r->table->columns[r->fields[i]];
        fr_lineage_field *f = &s->fields[s->field_count++];
        if (fr_route_derived(r, r->fields[i])) {
            const fr_pair *pair = &derive->items[r->fields[i] - r->source->column_count];
            FR_TRY(set_derived(w, r->source, r->settings, pair, f));
            set_pinned(w, r, r->fields[i], f);
            continue;
        }
        set_column(w, r->settings, fr_route_name(r, r->fields[i]), f);
        set_pinned(w, r, r->fields[i], f);
        f->key = is_key(r, r->fields[i]);
        f->type = fr_arena_str(w->a, c->native_type);
        f->doc = fr_arena_str(w->a, c->doc);
    }
    s->whole = true;
    return set_filter(w, r->source, s);
}

/* The columns that the configuration names, whether they are published or not. */
static fr_rc named_columns(work *w, const fr_table_settings *s, names *out)
{
    const fr_pairs *derive = &s->column_derive;
    fr_str *list;
    size_t count;
    add_texts(out, &s->key);
    add_texts(out, &s->columns_include);
    add_texts(out, &s->partition_by);
    add_pairs(out, s, &s->column_rename);
    add_pairs(out, s, &s->column_mask);
    add_pairs(out, s, &s->column_types);
    add_pairs(out, s, &s->column_defaults);
    for (size_t i = 0; i < s->pii.count; i++)
        if (fr_pairs_get(derive, fr_cstr(s->pii.items[i])) == NULL)
            add_name(out, fr_cstr(s->pii.items[i]));
    for (size_t i = 0; i < derive->count; i++) {
        FR_TRY(reads(w, NULL, derive->items[i].value, &list, &count));
        for (size_t k = 0; k < count; k++)
            add_name(out, list[k]);
    }
    if (s->filter == NULL)
        return FR_OK;
    FR_TRY(reads(w, NULL, s->filter, &list, &count));
    for (size_t k = 0; k < count; k++)
        add_name(out, list[k]);
    return FR_OK;
}

static fr_rc fields_of_settings(work *w, const fr_table_settings *t, fr_lineage_stream *s)
{
    names all = {.a = w->a};
    const fr_pairs *derive = &t->column_derive;
    FR_TRY(named_columns(w, t, &all));
    s->fields = fr_arena_alloc(w->a, (all.count + derive->count + 1) * sizeof(*s->fields));
    for (size_t i = 0; i < all.count; i++) {
        if ((t->columns_include.count > 0 && !fr_texts_have(&t->columns_include, all.items[i])) ||
            fr_texts_have(&t->columns_exclude, all.items[i]))
            continue;
        set_column(w, t, all.items[i], &s->fields[s->field_count++]);
    }
    for (size_t i = 0; i < derive->count; i++)
        FR_TRY(set_derived(w, NULL, t, &derive->items[i], &s->fields[s->field_count++]));
    s->whole = t->columns_include.count > 0;
    return set_filter(w, NULL, s);
}

/* ---- contracts ---- */

/* A field of the contract that no column is known for: one of its name. */
static void set_unmet(work *w, const fr_table_settings *t, fr_str name, fr_lineage_field *f)
{
    fr_str column = name;
    for (size_t i = 0; i < t->column_rename.count; i++)
        if (fr_str_is(name, t->column_rename.items[i].value))
            column = fr_cstr(t->column_rename.items[i].name);
    set_column(w, t, column, f);
    f->name = name;
    if (fr_texts_have(&t->columns_exclude, column))
        f->from_count = 0; /* its default is written */
}

/* Of a table whose columns nobody has told: its contract has all fields that are published. */
static fr_rc pin_named(work *w, fr_lineage_stream *s)
{
    const fr_contract *c = s->topic.len == 0 || s->settings->outbox.on
                               ? NULL
                               : fr_contract_file(w->settings, s->settings, s->topic);
    const fr_contract_record *r;
    if (c == NULL)
        return FR_OK;
    FR_TRY(fr_contract_parse(w->a, c, &r, w->err));
    fr_lineage_field *old = s->fields;
    size_t count = s->field_count;
    s->fields = fr_arena_alloc(w->a, (r->field_count + 1) * sizeof(*s->fields));
    s->field_count = 0;
    for (size_t i = 0; i < r->field_count; i++) {
        fr_lineage_field *f = &s->fields[s->field_count++];
        fr_str name = fr_avro_name_back(w->a, r->fields[i].name);
        bool met = false;
        for (size_t k = 0; k < count && !met; k++) {
            met = fr_contract_find(r, fr_avro_name(w->a, old[k].name)) == &r->fields[i];
            if (met)
                *f = old[k];
        }
        if (!met)
            set_unmet(w, s->settings, name, f);
        f->name = name;
    }
    s->whole = true;
    return FR_OK;
}

/* ---- streams ----------------------------------------------------------------------------- */

static void set_meta(fr_lineage_stream *s, int source, const fr_table_settings *t, fr_str doc)
{
    s->source = source;
    s->settings = t;
    s->deprecated = t->deprecated;
    s->doc = t->schema_doc != NULL ? fr_cstr(t->schema_doc) : doc;
}

static void set_former(fr_arena *a, const fr_route *r, fr_lineage_stream *s)
{
    s->generation = r->generation;
    s->first = r->generation > 1 ? fr_arena_str(a, r->first) : FR_STR("");
}

fr_str fr_lineage_former(const fr_lineage *l, const fr_lineage_stream *s, size_t i)
{
    return i + 1 < s->generation ? fr_topic_generation(l->arena, s->first, (uint32_t)i + 1)
                                 : FR_STR("");
}

/* Rows of this outbox name their topics. */
static bool rows_say(const fr_table_settings *t)
{
    return t->outbox.on && t->outbox.route != NULL;
}

static fr_rc add_looked_up(work *w, const fr_table *t)
{
    const fr_route *r;
    fr_rc rc = fr_router_route(w->router, t, &r, w->err);
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : FR_FAIL;
    fr_lineage_stream *s = add_stream(w->l);
    set_meta(s, (int)w->source, r->settings, fr_arena_str(w->a, t->doc));
    s->space = fr_arena_str(w->a, t->space);
    s->name = fr_arena_str(w->a, t->name);
    s->topic = rows_say(r->settings) ? FR_STR("") : fr_arena_str(w->a, r->topic);
    set_former(w->a, r, s);
    s->catalog = true;
    return fields_of_route(w, r, s);
}

/* As the router would have it, of a table of which only the name is known. */
static fr_rc plain_topic(fr_router *plain, fr_arena *a, fr_str space, fr_str name,
                         fr_lineage_stream *out, fr_err *err)
{
    static const fr_column any = {.name = {"any", 3}, .kind = FR_TEXT};
    const fr_route *r;
    fr_table like = {.space = space, .name = name, .column_count = 1, .columns = &any};
    const fr_table *t = fr_table_new(&like);
    fr_rc rc = fr_router_route(plain, t, &r, err);
    out->topic = rc == FR_OK ? fr_arena_str(a, r->topic) : FR_STR("");
    if (rc == FR_OK)
        set_former(a, r, out);
    fr_table_unref(t);
    return rc;
}

static fr_rc add_named(work *w, fr_router *plain, const fr_table_settings *t)
{
    const char *dot = strchr(t->pattern, '.');
    if (t->method == FR_METHOD_SKIP)
        return FR_OK;
    fr_lineage_stream *s = add_stream(w->l);
    set_meta(s, (int)w->source, t, FR_STR(""));
    s->pattern = t->regex != NULL;
    s->name = fr_cstr(t->pattern);
    if (!s->pattern && dot != NULL) {
        s->space = (fr_str){t->pattern, (size_t)(dot - t->pattern)};
        s->name = fr_cstr(dot + 1);
        if (!rows_say(t))
            FR_TRY(plain_topic(plain, w->a, s->space, s->name, s, w->err));
    }
    FR_TRY(fields_of_settings(w, t, s));
    return pin_named(w, s);
}

/* Settings that leave nothing but where events go, so that a table is routed whose columns nobody
 * has told. */
static const fr_source_settings *plain_settings(const fr_source_settings *settings, fr_arena *a)
{
    fr_source_settings *s = fr_arena_alloc(a, sizeof(*s));
    *s = *settings;
    s->contract_count = 0;
    s->tables = fr_arena_alloc(a, (s->table_count + 1) * sizeof(*s->tables));
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &settings->tables[i];
        s->tables[i] = (fr_table_settings){.pattern = t->pattern,
                                           .regex = t->regex,
                                           .place = t->place,
                                           .method = t->method,
                                           .append_only = true,
                                           .topic = t->topic,
                                           .errors_topic = t->errors_topic,
                                           .schema_name = t->schema_name,
                                           .schema_compat = -1};
    }
    return s;
}

static fr_rc add_all_named(work *w)
{
    fr_router *plain = fr_router_new(plain_settings(w->settings, w->a));
    fr_ask_generations(w->l->config, w->checkpoint, plain);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < w->settings->table_count && rc != FR_FAIL; i++)
        rc = add_named(w, plain, &w->settings->tables[i]);
    fr_router_free(plain);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

/* ---- the source's catalog ---------------------------------------------------------------- */

/* FR_END: it was not asked, or did not answer: why. */
static fr_rc add_catalog(work *w, bool ask)
{
    const fr_table **tables = NULL;
    size_t count = 0;
    fr_err err;
    if (!ask) {
        w->l->why[w->source] = "it was not asked";
        return FR_END;
    }
    fr_rc rc = fr_ask_tables(w->l->config, w->source, w->a, &tables, &count, &err);
    if (rc == FR_FAIL) {
        w->l->why[w->source] = fr_arena_cstr(w->a, fr_cstr(err.text));
        return FR_END;
    }
    w->router = fr_router_new(w->settings);
    fr_ask_generations(w->l->config, w->checkpoint, w->router);
    rc = FR_OK;
    for (size_t i = 0; i < count; i++) {
        if (rc == FR_OK)
            rc = add_looked_up(w, tables[i]);
        fr_table_unref(tables[i]); /* the router keeps its own */
    }
    fr_router_free(w->router);
    return rc;
}

static fr_rc add_source(work *w, bool ask)
{
    fr_err why;
    w->checkpoint = NULL;
    if (ask && !fr_source_polled(w->settings) &&
        fr_ask_checkpoint(w->l->config, w->source, &w->checkpoint, &why) == FR_FAIL)
        w->l->moved[w->source] = fr_arena_cstr(w->a, fr_cstr(why.text));
    fr_rc rc = add_catalog(w, ask);
    rc = rc == FR_END ? add_all_named(w) : rc;
    fr_checkpoint_free(w->checkpoint);
    return rc;
}

/* ---- sinks ------------------------------------------------------------------------------- */

static fr_rc add_targets_of(fr_lineage *l, fr_sandbox **sandbox, fr_lineage_stream *s, fr_str topic,
                            fr_str former, fr_err *err)
{
    const fr_config *c = l->config;
    for (size_t i = 0; i < c->sink_count; i++) {
        fr_lineage_target *t = &s->targets[s->target_count];
        if (topic.len == 0 || fr_sink_match(&c->sinks[i], topic) < 0)
            continue;
        *t = (fr_lineage_target){.sink = i, .former = former};
        FR_TRY(fr_sink_target(&c->sinks[i], l->arena, topic, &t->space, &t->table, err));
        FR_TRY(fr_sink_topic(&c->sinks[i], topic, &t->rules, err));
        if (former.len == 0)
            FR_TRY(fr_lineage_rules(l, sandbox, s, t, err));
        s->target_count++;
    }
    return FR_OK;
}

/* Closed topics fill tables, too. */
static fr_rc add_targets(fr_lineage *l, fr_sandbox **sandbox, fr_lineage_stream *s, fr_err *err)
{
    size_t topics = s->generation > 1 ? s->generation : 1;
    s->targets =
        fr_arena_alloc(l->arena, (topics * l->config->sink_count + 1) * sizeof(*s->targets));
    FR_TRY(add_targets_of(l, sandbox, s, s->topic, FR_STR(""), err));
    for (size_t i = 0; i + 1 < topics; i++) {
        fr_str former = fr_lineage_former(l, s, i);
        FR_TRY(add_targets_of(l, sandbox, s, former, former, err));
    }
    return FR_OK;
}

static bool is_written(const fr_lineage *l, const char *topic)
{
    for (size_t i = 0; i < l->count; i++) {
        const fr_lineage_stream *s = &l->streams[i];
        bool written = fr_str_is(s->topic, topic);
        for (size_t k = 0; !written && k + 1 < s->generation; k++)
            written = fr_str_is(fr_lineage_former(l, s, k), topic);
        if (written)
            return true;
    }
    return false;
}

/* Of a table that nobody has seen, but a pattern takes it if it is there. */
static fr_rc add_of_pattern(work *w, const fr_config_place *p, fr_str topic)
{
    fr_lineage_stream *s = add_stream(w->l);
    set_meta(s, (int)p->source, p->table, FR_STR(""));
    s->space = p->space;
    s->name = p->name;
    s->topic = topic;
    w->source = p->source;
    w->settings = &w->l->config->sources[p->source];
    FR_TRY(fields_of_settings(w, p->table, s));
    return pin_named(w, s);
}

/* Topics that sinks name and no table so far writes: a pattern's where its source was not asked or
 * did not answer, else those of nobody here. */
static fr_rc add_named_by_sinks(work *w)
{
    const fr_config *c = w->l->config;
    fr_config_place p;
    for (size_t i = 0; i < c->sink_count; i++)
        for (size_t k = 0; k < c->sinks[i].from.count; k++) {
            const char *topic = c->sinks[i].from.items[k];
            if (c->sinks[i].from_regex[k] != NULL || is_written(w->l, topic))
                continue;
            if (fr_ask_topic_table(c, w->a, fr_cstr(topic), &p) && w->l->why[p.source] != NULL) {
                FR_TRY(add_of_pattern(w, &p, fr_cstr(topic)));
                continue;
            }
            fr_lineage_stream *s = add_stream(w->l);
            s->source = FR_LINEAGE_FOREIGN;
            s->topic = fr_cstr(topic);
        }
    return FR_OK;
}

fr_rc fr_lineage_make(const fr_config *config, fr_arena *a, bool ask, fr_lineage *out, fr_err *err)
{
    *out = (fr_lineage){.arena = a, .config = config};
    out->why = fr_arena_alloc(a, (config->source_count + 1) * sizeof(*out->why));
    out->moved = fr_arena_alloc(a, (config->source_count + 1) * sizeof(*out->moved));
    work w = {.l = out, .a = a, .err = err};
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < config->source_count && rc != FR_FAIL; i++) {
        w.source = i;
        w.settings = &config->sources[i];
        rc = add_source(&w, ask);
    }
    if (rc != FR_FAIL)
        rc = add_named_by_sinks(&w);
    for (size_t i = 0; i < out->count && rc != FR_FAIL; i++)
        rc = add_targets(out, &w.sandbox, &out->streams[i], err);
    fr_sandbox_close(w.sandbox);
    return rc == FR_FAIL ? rc : FR_OK;
}

/* ---- names that are asked for ------------------------------------------------------------- */

fr_str fr_lineage_table(const fr_lineage *l, const fr_lineage_stream *s)
{
    if (s->source == FR_LINEAGE_FOREIGN)
        return s->topic;
    return fr_arena_printf(l->arena, "%s/%.*s%s%.*s", l->config->sources[s->source].name,
                           FR_ARG(s->space), s->space.len > 0 ? "." : "", FR_ARG(s->name));
}

fr_str fr_lineage_mask(const fr_lineage_field *f)
{
    return f->mask == NULL ? FR_STR("") : (fr_str){f->mask, strcspn(f->mask, ":")};
}

fr_str fr_lineage_target_name(const fr_lineage *l, const fr_lineage_target *t)
{
    return fr_arena_printf(l->arena, "%.*s%s%.*s", FR_ARG(t->space), t->space.len > 0 ? "." : "",
                           FR_ARG(t->table));
}

static bool fits(const fr_lineage *l, const char *glob, fr_str name)
{
    return fnmatch(glob, fr_arena_cstr(l->arena, name), 0) == 0;
}

static bool is_asked_for(const fr_lineage *l, const fr_lineage_stream *s, const char *glob)
{
    bool asked = fits(l, glob, fr_lineage_table(l, s)) || fits(l, glob, s->topic);
    for (size_t i = 0; !asked && i + 1 < s->generation; i++)
        asked = fits(l, glob, fr_lineage_former(l, s, i));
    return asked;
}

fr_rc fr_lineage_keep(fr_lineage *l, const char *glob, fr_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (is_asked_for(l, &l->streams[i], glob))
            l->streams[kept++] = l->streams[i];
    l->count = kept;
    if (kept > 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "no table is called %s", glob);
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, "source/space.table, or a topic; globs in quotes: 'erp/public.*'; "
                             "tables of a pattern are known only when the source answers");
}

static fr_str between(fr_arena *a, const char *from, const char *to)
{
    return fr_arena_copy(a, from, (size_t)(to - from));
}

/* scheme://[user@]host[:port][,more]/database?... */
static void split_url(fr_arena *a, const char *dsn, fr_str *host, fr_str *database)
{
    const char *begin = strstr(dsn, "://") + 3;
    const char *end = begin + strcspn(begin, "/?"), *at = begin;
    for (const char *p = begin; p < end; p++)
        at = *p == '@' ? p + 1 : at;
    const char *comma = memchr(at, ',', (size_t)(end - at));
    *host = between(a, at, comma != NULL ? comma : end);
    if (*end == '/')
        *database = between(a, end + 1, end + 1 + strcspn(end + 1, "?"));
}

/* "host=db dbname=shop": the word behind key=, or empty. */
static fr_str word_of(fr_arena *a, const char *dsn, const char *key)
{
    size_t len = strlen(key);
    for (const char *p = strstr(dsn, key); p != NULL; p = strstr(p + 1, key))
        if ((p == dsn || p[-1] == ' ' || p[-1] == ';') && p[len] == '=')
            return between(a, p + len + 1, p + len + 1 + strcspn(p + len + 1, " ;"));
    return FR_STR("");
}

fr_str fr_lineage_server(fr_arena *a, const char *type, const char *name, const fr_option *options,
                         const void *settings, fr_str *database)
{
    bool postgres = strcmp(type, "postgres") == 0;
    bool mysql = strcmp(type, "mysql") == 0 || strcmp(type, "mariadb") == 0;
    const fr_option *o = fr_option_find(options, FR_STR("dsn")), *file = NULL;
    fr_str host = {"", 0};
    *database = FR_STR("");
    if (o == NULL)
        o = file = fr_option_find(options, FR_STR("path"));
    const char *text = o == NULL ? "" : fr_arena_cstr(a, fr_option_get(o, a, settings));
    if (file != NULL)
        return fr_arena_printf(a, "file:%s", text);
    if (strstr(text, "://") != NULL) {
        split_url(a, text, &host, database);
    } else if (postgres) {
        host = word_of(a, text, "host");
        *database = word_of(a, text, "dbname");
        fr_str port = word_of(a, text, "port");
        if (host.len > 0 && port.len > 0)
            host = fr_arena_printf(a, "%.*s:%.*s", FR_ARG(host), FR_ARG(port));
    }
    if (mysql)
        *database = FR_STR(""); /* a table's space is one */
    if (host.len == 0)
        return fr_arena_printf(a, "%s://%s", type, name);
    if ((postgres || mysql) && memchr(host.ptr, ':', host.len) == NULL)
        return fr_arena_printf(a, "%s://%.*s:%s", postgres ? "postgres" : "mysql", FR_ARG(host),
                               postgres ? "5432" : "3306");
    return fr_arena_printf(a, "%s://%.*s", mysql ? "mysql" : type, FR_ARG(host));
}
