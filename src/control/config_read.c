/* Nodes into structs, by option tables. */
#include "control/config_load.h"
#include <string.h>

static size_t option_count(const fr_option *table)
{
    size_t n = 0;
    while (table[n].name != NULL)
        n++;
    return n;
}

fr_scope *fr_scope_new(fr_loader *l, const char *kind, const char *path)
{
    fr_scope *s = fr_arena_alloc(l->a, sizeof(*s));
    s->kind = kind;
    s->path = path;
    return s;
}

void fr_scope_part(fr_loader *l, fr_scope *s, const fr_option *options, void *target)
{
    size_t n = option_count(options);
    fr_fields *part = &s->parts[s->part_count++];
    *part = (fr_fields){
        .options = options,
        .target = target,
        .set_by = fr_arena_alloc(l->a, (n + 1) * sizeof(fr_node *)),
        .layer = fr_arena_alloc(l->a, (n + 1) * sizeof(char *)),
    };
    fr_err err;
    if (fr_option_defaults(options, l->a, target, &err) == FR_FAIL)
        fr_problem_of(l, (fr_place){0}, s->path, &err);
}

/* The option of this name in the first part that has one; a refused one last. */
static const fr_option *find_option(fr_scope *s, fr_str name, fr_fields **part_out)
{
    const fr_option *refused = NULL;
    for (size_t i = 0; i < s->part_count; i++) {
        const fr_option *o = fr_option_find(s->parts[i].options, name);
        if (o == NULL)
            continue;
        if ((o->flags & FR_REFUSED) == 0 || refused == NULL) {
            *part_out = &s->parts[i];
            if ((o->flags & FR_REFUSED) == 0)
                return o;
            refused = o;
        }
    }
    return refused;
}

static bool is_group(const fr_scope *s, fr_str name)
{
    for (size_t i = 0; i < s->part_count; i++)
        for (const fr_option *o = s->parts[i].options; o->name != NULL; o++)
            if (strncmp(o->name, name.ptr, name.len) == 0 && o->name[name.len] == '.')
                return true;
    return false;
}

static bool is_elsewhere(const fr_scope *s, fr_str key)
{
    for (size_t i = 0; s->elsewhere != NULL && s->elsewhere[i] != NULL; i++)
        if (fr_str_is(key, s->elsewhere[i]))
            return true;
    return false;
}

enum { most_names = 256 };

/* The names that may stand beside key, below prefix ("" or "log."). */
static size_t sibling_names(fr_loader *l, const fr_scope *s, fr_str prefix, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < s->part_count; i++) {
        for (const fr_option *o = s->parts[i].options; o->name != NULL && n < most_names; o++) {
            if (strncmp(o->name, prefix.ptr, prefix.len) != 0)
                continue;
            const char *at = o->name + prefix.len;
            names[n++] = fr_arena_cstr(l->a, (fr_str){at, strcspn(at, ".")});
        }
    }
    for (size_t i = 0; prefix.len == 0 && s->elsewhere != NULL && s->elsewhere[i] != NULL; i++)
        if (n < most_names)
            names[n++] = s->elsewhere[i];
    return n;
}

static void report_unknown(fr_loader *l, const fr_scope *s, fr_str prefix, const fr_member *m,
                           const char *path)
{
    const char *names[most_names];
    size_t count = sibling_names(l, s, prefix, names);
    fr_problem *p = fr_problem_add(l, false, "config.unknown_key", m->place, path,
                                   "there is no key `%.*s` here", FR_ARG(m->key));
    const char *near = fr_nearest(m->key, names, count);
    if (near != NULL) {
        fr_problem_hint(l, p, "did you mean `%s`?", near);
        return;
    }
    fr_str list = {"", 0};
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || strcmp(names[k], names[i]) == 0;
        if (!seen)
            list = fr_arena_printf(l->a, "%.*s%s%s", FR_ARG(list), i > 0 ? ", " : "", names[i]);
    }
    if (memchr(m->key.ptr, '.', m->key.len) != NULL)
        fr_problem_hint(l, p, "write dotted keys as nested maps; keys here: %.*s", FR_ARG(list));
    else
        fr_problem_hint(l, p, "keys here: %.*s", FR_ARG(list));
}

static bool want_text(fr_loader *l, const fr_node *n, const char *path)
{
    if (n->kind != FR_NODE_TEXT) {
        fr_problem_add(l, false, "config.bad_value", n->place, path, "%s where one value belongs",
                       n->kind == FR_NODE_MAP ? "a map" : "a list");
        return false;
    }
    if (n->plain && n->text.len == 0) {
        fr_problem *p =
            fr_problem_add(l, false, "config.empty_value", n->place, path, "the key has no value");
        fr_problem_hint(l, p, "give it one, or leave the key out; an empty text is \"\"");
        return false;
    }
    return true;
}

/* Resolved text of a scalar. FR_IDLE: not known here, keep the default. */
static fr_rc text_of(fr_loader *l, const fr_node *n, const char *path, const fr_option *o,
                     fr_str *out)
{
    if (!want_text(l, n, path))
        return FR_FAIL;
    fr_rc rc = fr_value_resolve(l, n, path, o, out);
    bool words = o->type == FR_OPT_TEXT || o->type == FR_OPT_LIST || o->type == FR_OPT_MAP;
    return rc == FR_IDLE && words ? FR_OK : rc;
}

/* An excerpt is the file's line: not where it might show a secret. */
static void report_value(fr_loader *l, const fr_node *n, const char *path, const fr_option *o,
                         const fr_err *err)
{
    fr_problem *p = fr_problem_of(l, n->place, path, err);
    if ((o->flags & FR_SECRET) != 0)
        p->excerpt = NULL;
}

static void read_scalar(fr_loader *l, const fr_scope *s, fr_fields *part, const fr_option *o,
                        const fr_node *n, const char *path)
{
    fr_str text;
    fr_err err;
    if (text_of(l, n, path, o, &text) != FR_OK)
        return;
    if (fr_option_set(o, l->a, part->target, text, &err) == FR_FAIL) {
        report_value(l, n, path, o, &err);
        return;
    }
    if (o->type != FR_OPT_CHOICE)
        return;
    const fr_unbuilt *u = fr_unbuilt_find(s->kind, o->name, fr_arena_cstr(l->a, text));
    if (u == NULL)
        return;
    fr_problem *p = fr_problem_add(l, false, "config.not_built", n->place, path,
                                   "this version does not do `%s: %s`", o->name, u->choice);
    fr_problem_hint(l, p, "%s", u->instead);
}

static void read_list(fr_loader *l, fr_fields *part, const fr_option *o, const fr_node *n,
                      const char *path)
{
    fr_err err;
    fr_str text;
    *(fr_texts *)(void *)((char *)part->target + o->offset) = (fr_texts){0};
    if (n->kind == FR_NODE_TEXT) {
        if (text_of(l, n, path, o, &text) == FR_OK &&
            fr_option_add(o, l->a, part->target, (fr_str){NULL, 0}, text, &err) == FR_FAIL)
            report_value(l, n, path, o, &err);
        return;
    }
    if (n->kind == FR_NODE_MAP) {
        fr_problem *p = fr_problem_add(l, false, "config.bad_value", n->place, path,
                                       "a map where a list belongs");
        fr_problem_hint(l, p, "write [a, b], or one `- item` a line");
        return;
    }
    bool rules = strcmp(o->name, "schema.rules") == 0;
    for (size_t i = 0; i < n->count; i++) {
        const fr_node *item = n->members[i].value;
        if (rules)
            item = fr_rule_node(l, o, item, path);
        if (text_of(l, item, path, o, &text) == FR_OK &&
            fr_option_add(o, l->a, part->target, (fr_str){NULL, 0}, text, &err) == FR_FAIL)
            report_value(l, item, path, o, &err);
    }
}

/* A mask with a number is written as a map of its own, {keep_last: 4}: as one text. */
static const fr_node *entry_of(fr_loader *l, const fr_option *o, const fr_node *n)
{
    bool mask = strcmp(o->name, "columns.mask") == 0 && n->kind == FR_NODE_MAP && n->count == 1 &&
                n->members[0].value->kind == FR_NODE_TEXT;
    if (!mask)
        return n;
    fr_node *one = fr_arena_alloc(l->a, sizeof(*one));
    const fr_member *m = &n->members[0];
    *one = *m->value;
    one->place = n->place;
    fr_str text = fr_arena_printf(l->a, "%.*s: %.*s", FR_ARG(m->key), FR_ARG(m->value->text));
    one->text = fr_cstr(fr_arena_cstr(l->a, text));
    return one;
}

static void read_pairs(fr_loader *l, fr_fields *part, const fr_option *o, const fr_node *n,
                       const char *path)
{
    if (n->kind != FR_NODE_MAP) {
        fr_problem *p =
            fr_problem_add(l, false, "config.bad_value", n->place, path, "a %s where a map belongs",
                           n->kind == FR_NODE_LIST ? "list" : "single value");
        fr_problem_hint(l, p, "write {name: value}, or one `name: value` a line");
        return;
    }
    /* A lower layer's pairs are shared: copy before one of them is replaced. */
    fr_pairs *map = (fr_pairs *)(void *)((char *)part->target + o->offset);
    fr_pair *own = fr_arena_alloc(l->a, (map->count + 1) * sizeof(*own));
    if (map->count > 0)
        memcpy(own, map->items, map->count * sizeof(*own));
    map->items = own;
    for (size_t i = 0; i < n->count; i++) {
        const fr_member *m = &n->members[i];
        const char *name = fr_arena_cstr(l->a, m->key);
        fr_option pair = *o;
        pair.flags |= fr_secret_pair(o, name) ? FR_SECRET : 0;
        const char *full = fr_path_join(l->a, path, m->key);
        fr_str text;
        fr_err err;
        if (text_of(l, entry_of(l, o, m->value), full, &pair, &text) == FR_OK &&
            fr_option_add(o, l->a, part->target, m->key, text, &err) == FR_FAIL)
            report_value(l, m->value, full, &pair, &err);
    }
}

/* What nothing obeys yet may only say what happens anyway. */
static void read_refused(fr_loader *l, const fr_option *o, const fr_member *m, const char *path)
{
    union {
        const char *text;
        int64_t number;
        bool truth;
        int choice;
        fr_texts list;
        fr_pairs map;
    } given = {0}, fallback = {0};
    fr_option probe = *o;
    probe.offset = 0;
    fr_err err;
    const fr_node *n = m->value;
    if (o->fallback != NULL && n->kind == FR_NODE_TEXT &&
        fr_option_set(&probe, l->a, &given, n->text, &err) == FR_OK &&
        fr_option_set(&probe, l->a, &fallback, fr_cstr(o->fallback), &err) == FR_OK &&
        fr_str_eq(fr_option_get(&probe, l->a, &given), fr_option_get(&probe, l->a, &fallback)))
        return;
    fr_problem *p = fr_problem_add(l, false, "config.not_built", m->place, path,
                                   "this version does not do `%s`", o->name);
    const char *instead = fr_refused_hint(o->name);
    if (instead != NULL)
        fr_problem_hint(l, p, "%s", instead);
    else if (o->fallback != NULL)
        fr_problem_hint(l, p, "leave it out, or write %s", o->fallback);
    else
        fr_problem_hint(l, p, "leave it out");
}

static void read_option(fr_loader *l, fr_scope *s, fr_fields *part, const fr_option *o,
                        const fr_member *m, const char *path, const char *layer)
{
    if ((o->flags & FR_REFUSED) != 0) {
        read_refused(l, o, m, path);
        return;
    }
    if ((o->flags & FR_DEPRECATED) != 0) {
        fr_problem *p = fr_problem_add(l, true, "config.deprecated", m->place, path,
                                       "`%s` will go away", o->name);
        fr_problem_hint(l, p, "%s", o->help);
    }
    if (o->type == FR_OPT_LIST)
        read_list(l, part, o, m->value, path);
    else if (o->type == FR_OPT_MAP)
        read_pairs(l, part, o, m->value, path);
    else
        read_scalar(l, s, part, o, m->value, path);
    size_t index = (size_t)(o - part->options);
    part->set_by[index] = m->value;
    part->layer[index] = layer;
}

static void report_no_map(fr_loader *l, const fr_node *n, const char *path)
{
    fr_problem *p =
        fr_problem_add(l, false, "config.bad_value", n->place, path, "a %s where keys belong",
                       n->kind == FR_NODE_LIST ? "list" : "single value");
    fr_problem_hint(l, p, "write {key: value}, or one `key: value` a line");
}

static void read_map(fr_loader *l, fr_scope *s, const fr_node *n, fr_str prefix, const char *path,
                     const char *layer)
{
    if (n->kind == FR_NODE_TEXT && n->plain && n->text.len == 0)
        return; /* `tables: {a.b: }`: nothing is said, so nothing is set */
    if (n->kind != FR_NODE_MAP) {
        report_no_map(l, n, path);
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const fr_member *m = &n->members[i];
        if (prefix.len == 0 && is_elsewhere(s, m->key))
            continue;
        const char *full = fr_path_join(l->a, path, m->key);
        fr_str name = fr_arena_printf(l->a, "%.*s%.*s", FR_ARG(prefix), FR_ARG(m->key));
        fr_fields *part = NULL;
        bool dotted = memchr(m->key.ptr, '.', m->key.len) != NULL || m->key.len == 0;
        const fr_option *o = dotted ? NULL : find_option(s, name, &part);
        if (o != NULL) {
            read_option(l, s, part, o, m, full, layer);
        } else if (!dotted && is_group(s, name)) {
            fr_str deeper = fr_arena_printf(l->a, "%.*s.", FR_ARG(name));
            read_map(l, s, m->value, deeper, full, layer);
        } else {
            report_unknown(l, s, prefix, m, full);
        }
    }
}

void fr_scope_read(fr_loader *l, fr_scope *s, const fr_node *n, const char *layer)
{
    s->node = n;
    if (n != NULL)
        read_map(l, s, n, FR_STR(""), s->path, layer);
}

void fr_scope_required(fr_loader *l, const fr_scope *s)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const fr_fields *part = &s->parts[i];
        for (size_t k = 0; part->options[k].name != NULL; k++) {
            const fr_option *o = &part->options[k];
            if ((o->flags & FR_REQUIRED) == 0 || part->set_by[k] != NULL)
                continue;
            fr_place place = s->node == NULL ? (fr_place){0} : s->node->place;
            fr_problem *p = fr_problem_add(l, false, "config.missing_key", place,
                                           fr_path_join(l->a, s->path, fr_cstr(o->name)),
                                           "`%s` is required", o->name);
            p->excerpt = NULL;
            fr_problem_hint(l, p, "%s", o->help);
        }
    }
}

const fr_node *fr_scope_set_by(const fr_scope *s, const char *name)
{
    const fr_node *n = NULL;
    for (size_t i = 0; i < s->part_count && n == NULL; i++) {
        const fr_option *o = fr_option_find(s->parts[i].options, fr_cstr(name));
        n = o == NULL ? NULL : s->parts[i].set_by[o - s->parts[i].options];
    }
    return n;
}

fr_place fr_scope_place(const fr_scope *s, const char *name)
{
    const fr_node *n = fr_scope_set_by(s, name);
    if (n == NULL)
        n = s->node;
    return n == NULL ? (fr_place){0} : n->place;
}

bool fr_scope_said_here(const fr_scope *s, const char *name)
{
    const fr_option *options = s->parts[0].options;
    const fr_option *o = fr_option_find(options, fr_cstr(name));
    return o != NULL && s->parts[0].set_by[o - options] != NULL &&
           s->parts[0].layer[o - options] == NULL;
}

void fr_scope_refuse(fr_loader *l, const fr_scope *s, const char *code, const char *name,
                     const char *what, const char *hint)
{
    fr_str path = fr_arena_printf(l->a, "%s.%s", s->path, name);
    fr_problem *p = fr_problem_add(l, false, code, fr_scope_place(s, name),
                                   fr_arena_cstr(l->a, path), "%s", what);
    fr_problem_hint(l, p, "%s", hint);
}
