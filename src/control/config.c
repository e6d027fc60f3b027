#include "control/config.h"
#include "control/config_load.h"
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { longest_file = 8 * 1024 * 1024 };

const fr_text_file *fr_file_read(fr_loader *l, const char *name, fr_place place)
{
    FILE *in = fopen(name, "re");
    fr_text_file *file = fr_arena_alloc(l->a, sizeof(*file));
    file->name = fr_arena_cstr(l->a, fr_cstr(name));
    fr_place where = place.file == NULL ? (fr_place){file, 0, 0} : place;
    if (in == NULL) {
        fr_problem_add(l, false, "config.unreadable", where, NULL, "%s: %s", name, strerror(errno));
        return NULL;
    }
    fr_buf text = {0};
    while (!feof(in) && !ferror(in) && text.len <= longest_file)
        text.len += fread(fr_buf_room(&text, 65536), 1, 65536, in);
    const char *why = ferror(in) != 0           ? "cannot be read"
                      : text.len > longest_file ? "is larger than 8 MiB"
                                                : NULL;
    fclose(in);
    if (why != NULL)
        fr_problem_add(l, false, "config.unreadable", where, NULL, "%s: %s", name, why);
    file->text = fr_arena_copy(l->a, text.ptr, text.len);
    fr_buf_free(&text);
    return why == NULL ? file : NULL;
}

static void note_file(fr_loader *l, const char *name)
{
    if (l->file_count == l->file_cap) {
        l->file_cap = l->file_cap == 0 ? 8 : l->file_cap * 2;
        const char **more = fr_arena_alloc(l->a, l->file_cap * sizeof(*more));
        if (l->file_count > 0)
            memcpy(more, l->files, l->file_count * sizeof(*more));
        l->files = more;
    }
    l->files[l->file_count++] = name;
}

void fr_scope_keep(fr_loader *l, fr_scope *s)
{
    fr_config_tree *t = l->tree;
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 32 : t->cap * 2;
        fr_scope **more = fr_arena_alloc(l->a, t->cap * sizeof(fr_scope *));
        if (t->count > 0)
            memcpy(more, t->scopes, t->count * sizeof(fr_scope *));
        t->scopes = more;
    }
    t->scopes[t->count++] = s;
}

void fr_regex_keep(fr_loader *l, void *regex)
{
    fr_config_tree *t = l->tree;
    if (regex == NULL)
        return;
    if (t->regex_count == t->regex_cap) {
        t->regex_cap = t->regex_cap == 0 ? 8 : t->regex_cap * 2;
        void **more = fr_arena_alloc(l->a, t->regex_cap * sizeof(void *));
        if (t->regex_count > 0)
            memcpy(more, t->regexes, t->regex_count * sizeof(void *));
        t->regexes = more;
    }
    t->regexes[t->regex_count++] = regex;
}

/* ---- include ---------------------------------------------------------------------------- */

/* Puts what `from` holds into `into`; a map under `depth` more levels is merged, anything
 * else may be said once only. */
static void merge_maps(fr_loader *l, fr_node *into, const fr_node *from, const char *path,
                       int depth)
{
    for (size_t i = 0; i < from->count; i++) {
        const fr_member *m = &from->members[i];
        fr_member *there = fr_node_find(into, m->key);
        if (there == NULL) {
            fr_node_add(l->a, into, m->key, m->place, m->value);
            continue;
        }
        const char *full = fr_path_join(l->a, path, m->key);
        if (depth > 0 && there->value->kind == FR_NODE_MAP && m->value->kind == FR_NODE_MAP) {
            bool only_tables = depth > 1 || fr_str_is(m->key, "tables");
            merge_maps(l, there->value, m->value, full, only_tables ? depth - 1 : 0);
            continue;
        }
        fr_problem *p = fr_problem_add(l, false, "config.duplicate_key", m->place, full,
                                       "`%.*s` is already set", FR_ARG(m->key));
        fr_problem_hint(l, p, "it is in %s too: leave one of them out",
                        fr_place_text(l->a, there->place));
    }
}

static void merge_file(fr_loader *l, fr_node *root, const fr_node *more)
{
    static const char *const allowed[] = {"sources", "sinks", "tests"};
    if (more->kind != FR_NODE_MAP) {
        fr_problem_add(l, false, "config.bad_value", more->place, NULL,
                       "an included file holds sources:, sinks: and tests:");
        return;
    }
    for (size_t i = 0; i < more->count; i++) {
        const fr_member *m = &more->members[i];
        bool good = false;
        for (size_t k = 0; k < 3; k++)
            good = good || fr_str_is(m->key, allowed[k]);
        fr_member *there = fr_node_find(root, m->key);
        if (!good) {
            fr_problem *p =
                fr_problem_add(l, false, "config.include_key", m->place, NULL,
                               "`%.*s` cannot stand in an included file", FR_ARG(m->key));
            fr_problem_hint(l, p, "included files hold sources:, sinks: and tests:; move it to %s",
                            l->files[0]);
        } else if (there == NULL) {
            fr_node_add(l->a, root, m->key, m->place, m->value);
        } else if (there->value->kind == FR_NODE_MAP && m->value->kind == FR_NODE_MAP) {
            merge_maps(l, there->value, m->value, fr_arena_cstr(l->a, m->key), 2);
        } else if (there->value->kind == FR_NODE_LIST && m->value->kind == FR_NODE_LIST) {
            for (size_t k = 0; k < m->value->count; k++) /* tests: one after the other */
                fr_node_add(l->a, there->value, FR_STR(""), m->value->members[k].place,
                            m->value->members[k].value);
        } else {
            fr_problem_add(l, false, "config.duplicate_key", m->place, NULL,
                           "`%.*s` is already set", FR_ARG(m->key));
        }
    }
}

static void include_pattern(fr_loader *l, fr_node *root, const char *base, const char *pattern,
                            fr_place place)
{
    const char *slash = strrchr(base, '/');
    fr_str full = *pattern == '/' || slash == NULL
                      ? fr_cstr(pattern)
                      : fr_arena_printf(l->a, "%.*s/%s", (int)(slash - base), base, pattern);
    glob_t found = {0};
    int rc = glob(fr_arena_cstr(l->a, full), 0, NULL, &found);
    if (rc != 0 && rc != GLOB_NOMATCH)
        fr_problem_add(l, false, "config.include", place, "include", "`%s` cannot be read",
                       pattern);
    if (rc == GLOB_NOMATCH) {
        bool wild = strpbrk(pattern, "*?[") != NULL;
        fr_problem *p = fr_problem_add(l, wild, "config.include", place, "include",
                                       "no file is called `%s`", pattern);
        fr_problem_hint(l, p, "paths are relative to the folder of %s", base);
    }
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        const fr_text_file *file = fr_file_read(l, found.gl_pathv[i], place);
        if (file == NULL)
            continue;
        note_file(l, file->name);
        const fr_node *more = fr_yaml_read(l, file);
        if (more != NULL)
            merge_file(l, root, more);
    }
    globfree(&found);
}

/* ---- sources and sinks ------------------------------------------------------------------ */

static bool good_name(fr_str name)
{
    bool good = name.len >= 1 && name.len <= 40;
    for (size_t i = 0; i < name.len; i++)
        good = good && (islower((unsigned char)name.ptr[i]) || name.ptr[i] == '-' ||
                        isdigit((unsigned char)name.ptr[i]));
    return good;
}

static void check_name(fr_loader *l, const fr_member *m, const char *path)
{
    if (good_name(m->key) && !fr_str_is(m->key, "tasks"))
        return;
    fr_problem *p = fr_problem_add(l, false, "config.bad_name", m->place, path,
                                   "`%.*s` is no name for this", FR_ARG(m->key));
    fr_problem_hint(l, p, "1 to 40 of a-z, 0-9 and -, and not `tasks`: it is part of topic names");
}

static const fr_member *map_member(fr_loader *l, const fr_node *map, const char *key,
                                   const char *path)
{
    const fr_member *m = map == NULL ? NULL : fr_node_find(map, fr_cstr(key));
    if (m == NULL || (m->value->kind == FR_NODE_TEXT && m->value->text.len == 0))
        return NULL;
    if (m->value->kind == FR_NODE_MAP)
        return m;
    fr_problem_add(l, false, "config.bad_value", m->value->place,
                   fr_path_join(l->a, path, fr_cstr(key)), "a map of names belongs here");
    return NULL;
}

/* The type's text, or NULL after what is wrong with it was reported. */
static const char *read_type(fr_loader *l, const fr_node *n, const char *path,
                             const char *const *known)
{
    const fr_member *m = n->kind == FR_NODE_MAP ? fr_node_find(n, FR_STR("type")) : NULL;
    if (m == NULL || m->value->kind != FR_NODE_TEXT)
        return NULL; /* reported as a missing key, or a bad value */
    size_t count = 0;
    bool right = false;
    for (; known[count] != NULL; count++)
        right = right || fr_str_is(m->value->text, known[count]);
    const char *full = fr_path_join(l->a, path, FR_STR("type"));
    if (right)
        return fr_arena_cstr(l->a, m->value->text);
    fr_problem *p = fr_problem_add(l, false, "config.bad_value", m->value->place, full,
                                   "there is no connector `%.*s`", FR_ARG(m->value->text));
    const char *near = fr_nearest(m->value->text, known, count);
    if (near != NULL)
        fr_problem_hint(
            l, p, "did you mean `%s`? freshet connectors list shows what is compiled in", near);
    else
        fr_problem_hint(l, p, "freshet connectors list shows what is compiled in");
    return NULL;
}

static void report_not_compiled(fr_loader *l, const fr_node *n, const char *path, const char *type,
                                bool sink)
{
    const fr_member *m = fr_node_find(n, FR_STR("type"));
    fr_problem *p = fr_problem_add(
        l, false, "config.not_built", m->value->place, fr_path_join(l->a, path, FR_STR("type")),
        "this program has no %s connector `%s`", sink ? "sink" : "source", type);
    fr_problem_hint(l, p, "freshet connectors list shows what is compiled in");
}

static const fr_option no_options[] = {{.name = NULL}};

/* ---- tables ----------------------------------------------------------------------------- */

typedef struct table_layers { /* of one source, while its tables are read */
    const fr_scope *defaults;
    const fr_source_settings *source;
    const char *path;
    fr_scope **scopes; /* one per table, in the order of settings */
} table_layers;

static void inherit(fr_loader *l, fr_scope *s, const fr_scope *from)
{
    const fr_section *section = fr_section_find("table");
    memcpy(s->parts[0].target, from->parts[0].target, section->size);
    for (size_t i = 0; section->options[i].name != NULL; i++) {
        s->parts[0].set_by[i] = from->parts[0].set_by[i];
        s->parts[0].layer[i] = from->parts[0].layer[i];
        if (s->parts[0].set_by[i] != NULL && s->parts[0].layer[i] == NULL)
            s->parts[0].layer[i] = from->path;
    }
    (void)l;
}

static fr_scope *table_scope(fr_loader *l, const char *path, fr_table_fields *fields)
{
    fr_scope *s = fr_scope_new(l, "table", path);
    fr_scope_part(l, s, fr_section_find("table")->options, fields);
    return s;
}

static void read_table(fr_loader *l, table_layers *t, const fr_member *m, const fr_scope *base,
                       size_t index, void *regex)
{
    fr_table_fields *fields = fr_arena_alloc(l->a, sizeof(*fields));
    fr_scope *s = table_scope(l, fr_path_join(l->a, t->path, m->key), fields);
    inherit(l, s, base);
    fr_scope_read(l, s, m->value, NULL);
    fields->s.pattern = fr_arena_cstr(l->a, m->key);
    fields->s.regex = regex;
    fields->s.place = fr_place_text(l->a, m->place);
    fr_outbox_read(l, s, fields);
    fr_debezium_read(l, s, &fields->s);
    fr_compare_read(l, s, &fields->s);
    fr_derive_read(l, s, &fields->s);
    fr_contract_load(l, s, &fields->s);
    fr_rules_read(l, s, &fields->s);
    t->scopes[index] = s;
    fr_scope_keep(l, s);
}

static bool is_regex(fr_str key)
{
    return key.len > 0 && key.ptr[0] == '/';
}

/* The scope that an exact table builds on: that of the one regex that takes it. */
static const fr_scope *base_of(fr_loader *l, const table_layers *t, const fr_member *m,
                               size_t regexes)
{
    const fr_scope *base = t->defaults;
    const fr_table_settings *taker = NULL;
    for (size_t i = 0; i < regexes; i++) {
        const fr_table_fields *fields = t->scopes[i]->parts[0].target;
        if (fields->s.regex == NULL || !fr_pattern_match(fields->s.regex, m->key))
            continue;
        if (taker != NULL) {
            fr_problem *p = fr_problem_add(
                l, false, "config.two_patterns", m->place, fr_path_join(l->a, t->path, m->key),
                "two patterns take this table: %s (%s) and %s (%s)", taker->pattern, taker->place,
                fields->s.pattern, fields->s.place);
            fr_problem_hint(l, p, "make the patterns exclude each other");
            break;
        }
        taker = &fields->s;
        base = t->scopes[i];
    }
    return base;
}

static void read_tables(fr_loader *l, fr_source_settings *s, const fr_scope *defaults,
                        const fr_node *map, const char *path)
{
    table_layers t = {defaults, s, path, fr_arena_alloc(l->a, (map->count + 1) * sizeof(void *))};
    size_t count = 0;
    for (size_t i = 0; i < map->count; i++) {
        const fr_member *m = &map->members[i];
        void *regex = NULL;
        fr_err err;
        if (!is_regex(m->key))
            continue;
        const char *pattern = fr_arena_cstr(l->a, m->key);
        if (fr_pattern_compile(pattern, &regex, &err) == FR_FAIL)
            fr_problem_of(l, m->place, fr_path_join(l->a, path, m->key), &err);
        fr_regex_keep(l, regex);
        read_table(l, &t, m, defaults, count++, regex);
    }
    size_t regexes = count;
    for (size_t i = 0; i < map->count; i++) {
        const fr_member *m = &map->members[i];
        if (is_regex(m->key))
            continue;
        const char *dot = m->key.len == 0 ? NULL : memchr(m->key.ptr, '.', m->key.len);
        if (dot == NULL || dot == m->key.ptr || dot == m->key.ptr + m->key.len - 1) {
            fr_problem *p = fr_problem_add(l, false, "config.bad_name", m->place,
                                           fr_path_join(l->a, path, m->key),
                                           "`%.*s` is not space.table", FR_ARG(m->key));
            fr_problem_hint(l, p, "write public.orders, or a pattern: \"/^public\\\\./\"");
        }
        read_table(l, &t, m, base_of(l, &t, m, regexes), count++, NULL);
    }
    s->tables = fr_arena_alloc(l->a, (count + 1) * sizeof(*s->tables));
    for (size_t i = 0; i < count; i++) {
        fr_table_fields *fields = t.scopes[i]->parts[0].target;
        fields->s.schema_compat = fields->compat - 1;
        if (fields->s.errors_topic == NULL)
            fields->s.errors_topic =
                fr_arena_cstr(l->a, fr_arena_printf(l->a, "freshet.%s.dlq", s->pipeline));
        s->tables[i] = fields->s;
    }
    s->table_count = count;
}

static void read_source(fr_loader *l, const fr_member *m, size_t index, const fr_scope *defaults)
{
    static const char *const elsewhere[] = {"tables", NULL};
    fr_config *c = l->config;
    fr_source_settings *s = &c->sources[index];
    const char *path = fr_path_join(l->a, "sources", m->key);
    check_name(l, m, path);
    const char *type = read_type(l, m->value, path, fr_source_types);
    const fr_source_ops *ops = type == NULL ? NULL : l->connectors->source(type);
    fr_scope *scope = fr_scope_new(l, "source", path);
    scope->elsewhere = elsewhere;
    void *own = fr_arena_alloc(l->a, ops == NULL ? 1 : ops->config_size);
    fr_scope_part(l, scope, ops == NULL ? no_options : ops->options, own);
    fr_scope_part(l, scope, fr_section_find("source")->options, s);
    s->pipeline = c->name;
    s->name = fr_arena_cstr(l->a, m->key);
    s->place = fr_place_text(l->a, m->place);
    s->max_row_bytes = c->daemon.max_row_bytes;
    s->mask_key = c->daemon.mask_key;
    s->connector = own;
    c->source_ops[index] = ops;
    fr_scope_keep(l, scope);
    scope->node = m->value;
    if (ops == NULL && type != NULL) {
        report_not_compiled(l, m->value, path, type, false);
        return; /* its keys are unknown here */
    }
    if (type != NULL || m->value->kind != FR_NODE_MAP)
        fr_scope_read(l, scope, m->value, NULL);
    if (type != NULL || fr_node_find(m->value, FR_STR("type")) == NULL)
        fr_scope_required(l, scope);
    if (s->prefix == NULL)
        s->prefix = s->name;
    const fr_member *tables = map_member(l, m->value, "tables", path);
    if (tables != NULL)
        read_tables(l, s, defaults, tables->value, fr_path_join(l->a, path, FR_STR("tables")));
    if (s->table_count > 0 || m->value->kind != FR_NODE_MAP)
        return;
    fr_problem *p =
        fr_problem_add(l, false, "config.missing_key", m->place,
                       fr_path_join(l->a, path, FR_STR("tables")), "the source has no tables");
    fr_problem_hint(l, p, "tables: {public.orders: {}}, or a pattern: \"/^public\\\\./\": {}");
}

static void read_start_at(fr_loader *l, const fr_scope *scope, fr_sink_settings *s)
{
    if (s->start_at == NULL || strstr(s->start_at, "${") != NULL ||
        fr_instant_parse(s->start_at, &s->start_ms))
        return;
    fr_scope_refuse(l, scope, "config.bad_value", "start_at", "it is no time since 1970 in UTC",
                    "write it as 2026-11-26T08:00:00Z");
}

static void read_sink(fr_loader *l, const fr_member *m, size_t index)
{
    static const char *const elsewhere[] = {"topics", NULL};
    fr_config *c = l->config;
    fr_sink_settings *s = &c->sinks[index];
    const char *path = fr_path_join(l->a, "sinks", m->key);
    check_name(l, m, path);
    const char *type = read_type(l, m->value, path, fr_sink_types);
    const fr_sink_ops *ops = type == NULL ? NULL : l->connectors->sink(type);
    fr_scope *scope = fr_scope_new(l, "sink", path);
    scope->elsewhere = elsewhere;
    void *own = fr_arena_alloc(l->a, ops == NULL ? 1 : ops->config_size);
    fr_scope_part(l, scope, ops == NULL ? no_options : ops->options, own);
    fr_scope_part(l, scope, fr_section_find("sink")->options, s);
    if (ops != NULL && ops->batch_rows > 0)
        s->batch_rows = ops->batch_rows;
    s->pipeline = c->name;
    s->name = fr_arena_cstr(l->a, m->key);
    s->place = fr_place_text(l->a, m->place);
    s->max_row_bytes = c->daemon.max_row_bytes;
    s->mask_key = c->daemon.mask_key;
    s->connector = own;
    c->sink_ops[index] = ops;
    fr_scope_keep(l, scope);
    scope->node = m->value;
    if (ops == NULL && type != NULL) {
        report_not_compiled(l, m->value, path, type, true);
        return;
    }
    if (type != NULL || m->value->kind != FR_NODE_MAP)
        fr_scope_read(l, scope, m->value, NULL);
    if (type != NULL || fr_node_find(m->value, FR_STR("type")) == NULL)
        fr_scope_required(l, scope);
    if (s->errors_topic == NULL)
        s->errors_topic = fr_arena_cstr(l->a, fr_arena_printf(l->a, "freshet.%s.dlq", c->name));
    s->from_regex = fr_arena_alloc(l->a, (s->from.count + 1) * sizeof(void *));
    for (size_t i = 0; i < s->from.count; i++) {
        fr_err err;
        if (fr_pattern_compile(s->from.items[i], &s->from_regex[i], &err) == FR_FAIL ||
            fr_pattern_for_topics(s->from.items[i], &err) == FR_FAIL)
            fr_problem_of(l, fr_scope_place(scope, "from"), path, &err);
        fr_regex_keep(l, s->from_regex[i]);
    }
    read_start_at(l, scope, s);
    if (s->parallel > 1)
        fr_scope_refuse(l, scope, "config.not_built", "write.parallel",
                        "a sink writes over one connection, or into one file, whichever "
                        "partitions are its own",
                        "set it to 1; more workers of this pipeline share the partitions of a "
                        "target that is a server");
    const fr_member *topics = map_member(l, m->value, "topics", path);
    if (topics != NULL)
        fr_topics_read(l, s, topics->value, fr_path_join(l->a, path, FR_STR("topics")));
}

/* ---- the whole -------------------------------------------------------------------------- */

static const char *const top_keys[] = {"daemon", "kafka",     "registry", "http",
                                       "notify", "telemetry", "defaults", "sources",
                                       "sinks",  "tests",     NULL};

static void read_section(fr_loader *l, const fr_node *root, const char *kind, void *target)
{
    const fr_section *section = fr_section_find(kind);
    fr_scope *s = fr_scope_new(l, kind, section->prefix);
    fr_scope_part(l, s, section->options, target);
    fr_scope_keep(l, s);
    const fr_member *m = map_member(l, root, kind, "");
    fr_scope_read(l, s, m == NULL ? NULL : m->value, NULL);
    fr_scope_required(l, s);
}

static void read_sections(fr_loader *l, const fr_node *root)
{
    fr_config *c = l->config;
    fr_kafka_fields *kafka = fr_arena_alloc(l->a, sizeof(*kafka));
    void *nothing = fr_arena_alloc(l->a, 16);
    read_section(l, root, "daemon", &c->daemon);
    read_section(l, root, "kafka", kafka);
    read_section(l, root, "registry", &c->registry);
    read_section(l, root, "http", &c->http);
    read_section(l, root, "notify", nothing);
    read_section(l, root, "telemetry", nothing);
    c->kafka = kafka->s;
    c->kafka.pipeline = c->name;
    c->kafka.exactly_once = kafka->delivery == 0;
    c->kafka.max_row_bytes = c->daemon.max_row_bytes;
    /* Half for librdkafka's queues; the pools of batches get the rest. */
    c->kafka.memory = c->daemon.memory / 2;
}

static const fr_scope *read_defaults(fr_loader *l, const fr_node *root)
{
    fr_table_fields *fields = fr_arena_alloc(l->a, sizeof(*fields));
    fr_scope *s = table_scope(l, "defaults", fields);
    const fr_member *m = map_member(l, root, "defaults", "");
    fr_scope_read(l, s, m == NULL ? NULL : m->value, NULL);
    fr_outbox_note(s, fields);
    fr_derive_read(l, s, &fields->s);
    fr_rules_read(l, s, &fields->s);
    fr_scope_keep(l, s);
    return s;
}

static void read_sources_and_sinks(fr_loader *l, const fr_node *root)
{
    fr_config *c = l->config;
    const fr_scope *defaults = read_defaults(l, root);
    const fr_member *sources = map_member(l, root, "sources", "");
    const fr_member *sinks = map_member(l, root, "sinks", "");
    c->source_count = sources == NULL ? 0 : sources->value->count;
    c->sink_count = sinks == NULL ? 0 : sinks->value->count;
    c->sources = fr_arena_alloc(l->a, (c->source_count + 1) * sizeof(*c->sources));
    c->source_ops = fr_arena_alloc(l->a, (c->source_count + 1) * sizeof(*c->source_ops));
    c->sinks = fr_arena_alloc(l->a, (c->sink_count + 1) * sizeof(*c->sinks));
    c->sink_ops = fr_arena_alloc(l->a, (c->sink_count + 1) * sizeof(*c->sink_ops));
    for (size_t i = 0; i < c->source_count; i++)
        read_source(l, &sources->value->members[i], i, defaults);
    fr_contracts_find(l);
    for (size_t i = 0; i < c->sink_count; i++)
        read_sink(l, &sinks->value->members[i], i);
    if (c->source_count + c->sink_count > 0)
        return;
    fr_problem *p = fr_problem_add(l, false, "config.missing_key", root->place, "sources",
                                   "there is neither a source nor a sink");
    p->excerpt = NULL;
    fr_problem_hint(l, p,
                    "sources: {erp: {type: postgres, dsn: postgresql://user@host/db, "
                    "tables: {public.orders: {}}}}");
}

static void read_root(fr_loader *l, const fr_text_file *file)
{
    fr_node *root = fr_yaml_read(l, file);
    if (root == NULL)
        return;
    if (root->kind != FR_NODE_MAP) {
        fr_problem *p =
            fr_problem_add(l, false, "config.syntax", root->place, NULL, "the file must be a map");
        fr_problem_hint(l, p, "begin with version: 1 and name:");
        return;
    }
    fr_top_fields *top = fr_arena_alloc(l->a, sizeof(*top));
    fr_scope *s = fr_scope_new(l, "", "");
    s->elsewhere = top_keys;
    fr_scope_part(l, s, fr_section_find("")->options, top);
    fr_scope_keep(l, s);
    fr_scope_read(l, s, root, NULL);
    fr_scope_required(l, s);
    l->config->name = top->name == NULL ? "" : top->name;
    if (top->name != NULL && !good_name(fr_cstr(top->name))) {
        fr_problem *p = fr_problem_add(l, false, "config.bad_name", fr_scope_place(s, "name"),
                                       "name", "`%s` is no name for a pipeline", top->name);
        fr_problem_hint(l, p, "1 to 40 of a-z, 0-9 and -");
    }
    for (size_t i = 0; !l->no_files && i < top->include.count; i++)
        include_pattern(l, root, file->name, top->include.items[i], fr_scope_place(s, "include"));
    read_sections(l, root);
    read_sources_and_sinks(l, root);
    fr_tests_read(l, root);
    fr_config_check(l);
}

static fr_rc finish(fr_loader *l, fr_problem **problems_out, size_t *problem_count, fr_config **out,
                    fr_err *err)
{
    fr_sandbox_close(l->sandbox);
    fr_problems_sort(l);
    *problems_out = l->problems;
    *problem_count = l->problem_count;
    if (l->error_count == 0) {
        *out = l->config;
        return FR_OK;
    }
    size_t errors = l->error_count;
    fr_fail(err, FR_ERR_CONFIG, "%s: %zu error%s in the configuration", l->files[0], errors,
            errors == 1 ? "" : "s");
    fr_fail_code(err, "config.invalid");
    fr_fail_hint(err, "freshet validate shows each with its place");
    fr_config_free(l->config);
    return FR_FAIL;
}

static fr_loader loader_new(const char *name, const fr_connectors *connectors,
                            const fr_config_flags *flags, fr_arena *problems_arena)
{
    fr_arena *a = fr_arena_new(64 << 10);
    fr_loader l = {
        .a = a,
        .problems_arena = problems_arena,
        .connectors = connectors,
        .flags = flags,
        .config = fr_arena_alloc(a, sizeof(fr_config)),
        .tree = fr_arena_alloc(a, sizeof(fr_config_tree)),
    };
    l.config->arena = a;
    l.config->file = fr_arena_cstr(a, fr_cstr(name));
    l.config->tree = l.tree;
    note_file(&l, l.config->file);
    return l;
}

fr_rc fr_config_load_text(fr_str text, const char *name, bool no_files,
                          const fr_connectors *connectors, const fr_config_flags *flags,
                          fr_arena *problems_arena, fr_problem **problems_out,
                          size_t *problem_count, fr_config **out, fr_err *err)
{
    fr_loader l = loader_new(name, connectors, flags, problems_arena);
    l.no_files = no_files;
    fr_text_file *file = fr_arena_alloc(l.a, sizeof(*file));
    *file = (fr_text_file){l.config->file, fr_arena_str(l.a, text)};
    read_root(&l, file);
    return finish(&l, problems_out, problem_count, out, err);
}

fr_rc fr_config_load(const char *file, const fr_connectors *connectors,
                     const fr_config_flags *flags, fr_arena *problems_arena,
                     fr_problem **problems_out, size_t *problem_count, fr_config **out, fr_err *err)
{
    fr_loader l = loader_new(file, connectors, flags, problems_arena);
    const fr_text_file *text = fr_file_read(&l, file, (fr_place){0});
    if (text != NULL)
        read_root(&l, text);
    return finish(&l, problems_out, problem_count, out, err);
}

void fr_config_free(fr_config *c)
{
    if (c == NULL)
        return;
    const fr_config_tree *t = c->tree;
    for (size_t i = 0; i < t->regex_count; i++)
        fr_pattern_free(t->regexes[i]);
    fr_arena_free(c->arena);
}

fr_rc fr_config_find(const char *flag, fr_arena *a, const char **out, fr_err *err)
{
    const char *env = getenv("FRESHET_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (flag != NULL || (env != NULL && *env != 0)) {
        *out = fr_arena_cstr(a, fr_cstr(flag != NULL ? flag : env));
        return FR_OK;
    }
    fr_str user = {"", 0};
    if (xdg != NULL && *xdg != 0)
        user = fr_arena_printf(a, "%s/freshet/freshet.yaml", xdg);
    else if (home != NULL && *home != 0)
        user = fr_arena_printf(a, "%s/.config/freshet/freshet.yaml", home);
    const char *places[] = {"freshet.yaml", fr_arena_cstr(a, user), "/etc/freshet/freshet.yaml"};
    for (size_t i = 0; i < 3; i++) {
        if (*places[i] != 0 && access(places[i], F_OK) == 0) {
            *out = places[i];
            return FR_OK;
        }
    }
    fr_fail(err, FR_ERR_CONFIG, "there is no configuration: looked for ./freshet.yaml%s%s and %s",
            user.len > 0 ? ", " : "", places[1], places[2]);
    fr_fail_code(err, "config.not_found");
    return fr_fail_hint(err, "give it with --config FILE, or set FRESHET_CONFIG");
}
