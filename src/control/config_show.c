/* `config show`: the merged configuration as YAML, each value with the place it comes from; and
 * what a reload finds changed. */
#include "control/config_load.h"
#include <ctype.h>
#include <string.h>

enum { most_segments = 12, comment_column = 56 };

typedef struct leaf { /* one value to show */
    fr_str segments[most_segments];
    size_t depth;
    fr_str value; /* as YAML */
    const char *place;
    bool done;
} leaf;

typedef struct leaves {
    leaf *items;
    size_t count, cap;
    fr_arena *a;
    bool bare; /* secrets as they are: to be compared, never to be shown */
} leaves;

static bool plain_text(fr_str s)
{
    if (s.len == 0 || !(isalnum((unsigned char)s.ptr[0]) || s.ptr[0] == '/' || s.ptr[0] == '.'))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.ptr[i]) && strchr("_./:@+-", s.ptr[i]) == NULL)
            return false;
    return s.ptr[s.len - 1] != ':';
}

static void put_text(fr_buf *b, fr_str s)
{
    if (plain_text(s))
        fr_buf_str(b, s);
    else
        fr_buf_json(b, s);
}

static fr_str yaml_value(fr_arena *a, const fr_option *o, const void *target, bool bare)
{
    fr_buf b = {.arena = a};
    const void *at = (const char *)target + o->offset;
    if (o->type == FR_OPT_LIST) {
        const fr_texts *list = at;
        fr_buf_text(&b, "[");
        for (size_t i = 0; i < list->count; i++) {
            fr_buf_text(&b, i > 0 ? ", " : "");
            if (list->items[i][0] == '{') /* a rule: JSON is YAML, too */
                fr_buf_text(&b, list->items[i]);
            else
                put_text(&b, fr_cstr(list->items[i]));
        }
        fr_buf_text(&b, "]");
    } else if (o->type == FR_OPT_MAP) {
        const fr_pairs *map = at;
        fr_buf_text(&b, "{");
        for (size_t i = 0; i < map->count; i++) {
            fr_buf_text(&b, i > 0 ? ", " : "");
            put_text(&b, fr_cstr(map->items[i].name));
            fr_buf_text(&b, ": ");
            bool secret = !bare && fr_secret_pair(o, map->items[i].name);
            put_text(&b, secret ? FR_STR("***") : fr_cstr(map->items[i].value));
        }
        fr_buf_text(&b, "}");
    } else if (bare && o->type == FR_OPT_TEXT) {
        put_text(&b, fr_cstr(*(const char *const *)at));
    } else {
        put_text(&b, fr_option_get(o, a, target));
    }
    return fr_buf_view(&b);
}

static bool is_unset(const fr_option *o, const fr_fields *part, const void *target)
{
    if (part->set_by[o - part->options] != NULL || o->fallback != NULL)
        return false;
    const void *at = (const char *)target + o->offset;
    return o->type != FR_OPT_TEXT || *(const char *const *)at == NULL;
}

/* Splits a.b."c.d" at the dots outside of quotes. */
static void split_path(leaf *f, const char *path)
{
    while (*path != 0 && f->depth < most_segments) {
        bool quoted = *path == '"';
        const char *end = quoted ? strchr(path + 1, '"') : path + strcspn(path, ".");
        if (end == NULL)
            return;
        const char *start = quoted ? path + 1 : path;
        f->segments[f->depth++] = (fr_str){start, (size_t)(end - start)};
        end += quoted ? 1 : 0;
        path = *end == '.' ? end + 1 : end;
    }
}

static leaf *leaf_add(leaves *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 128 : l->cap * 2;
        leaf *more = fr_arena_alloc(l->a, l->cap * sizeof(*more));
        if (l->count > 0)
            memcpy(more, l->items, l->count * sizeof(*more));
        l->items = more;
    }
    return &l->items[l->count++];
}

static const char *place_of(fr_arena *a, const fr_fields *part, size_t index)
{
    const fr_node *n = part->set_by[index];
    if (n == NULL)
        return "built-in default";
    const char *text = fr_place_text(a, n->place), *layer = part->layer[index];
    if (layer == NULL)
        return text;
    return fr_arena_cstr(a, fr_arena_printf(a, "%s (%s)", text, layer));
}

static void collect_scope(leaves *l, const fr_scope *s)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const fr_fields *part = &s->parts[i];
        for (size_t k = 0; part->options[k].name != NULL; k++) {
            const fr_option *o = &part->options[k];
            if ((o->flags & FR_REFUSED) != 0 || is_unset(o, part, part->target))
                continue;
            leaf *f = leaf_add(l);
            *f = (leaf){.value = yaml_value(l->a, o, part->target, l->bare),
                        .place = place_of(l->a, part, k)};
            split_path(f, s->path);
            split_path(f, o->name);
        }
    }
}

static void show_level(fr_buf *b, leaf **items, size_t count, size_t level, fr_arena *a)
{
    leaf **group = fr_arena_alloc(a, (count + 1) * sizeof(leaf *));
    for (size_t i = 0; i < count; i++) {
        leaf *first = items[i];
        if (first->done)
            continue;
        size_t start = b->len;
        fr_buf_printf(b, "%*s", (int)level * 2, "");
        put_text(b, first->segments[level]);
        if (first->depth == level + 1) {
            fr_buf_printf(b, ": %.*s", FR_ARG(first->value));
            size_t width = b->len - start;
            size_t gap = width + 2 < comment_column ? comment_column - width : 2;
            fr_buf_printf(b, "%*s# %s\n", (int)gap, "", first->place);
            first->done = true;
            continue;
        }
        fr_buf_text(b, ":\n");
        size_t same = 0;
        for (size_t k = i; k < count; k++)
            if (!items[k]->done && items[k]->depth > level + 1 &&
                fr_str_eq(items[k]->segments[level], first->segments[level]))
                group[same++] = items[k];
        show_level(b, group, same, level + 1, a);
    }
}

static fr_str path_of(fr_arena *a, const leaf *f)
{
    const char *path = "";
    for (size_t k = 0; k < f->depth; k++)
        path = fr_path_join(a, path, f->segments[k]);
    return fr_cstr(path);
}

static void show_json(fr_buf *b, const leaves *l)
{
    fr_buf_text(b, "{");
    for (size_t i = 0; i < l->count; i++) {
        const leaf *f = &l->items[i];
        fr_str path = path_of(l->a, f);
        fr_buf_text(b, i > 0 ? "," : "");
        fr_buf_json(b, path);
        fr_buf_text(b, ":{\"value\":");
        bool quoted = f->value.len > 0 && f->value.ptr[0] == '"';
        if (quoted)
            fr_buf_str(b, f->value);
        else
            fr_buf_json(b, f->value);
        fr_buf_text(b, ",\"place\":");
        fr_buf_json(b, fr_cstr(f->place));
        fr_buf_text(b, "}");
    }
    fr_buf_text(b, "}");
}

static leaves collect(const fr_config *c, fr_arena *a, bool bare)
{
    const fr_config_tree *t = c->tree;
    leaves l = {.a = a, .bare = bare};
    for (size_t i = 0; i < t->count; i++)
        collect_scope(&l, t->scopes[i]);
    return l;
}

void fr_config_show(fr_buf *b, const fr_config *c, bool json)
{
    fr_arena *a = fr_arena_new(0);
    leaves l = collect(c, a, false);
    if (json) {
        show_json(b, &l);
    } else {
        leaf **items = fr_arena_alloc(a, (l.count + 1) * sizeof(leaf *));
        for (size_t i = 0; i < l.count; i++)
            items[i] = &l.items[i];
        show_level(b, items, l.count, 0, a);
    }
    fr_arena_free(a);
}

/* ---- what differs ---- */

static bool is_live(fr_str path)
{
    return fr_str_is(path, "daemon.log.level") || fr_str_is(path, "daemon.log.format");
}

/* The first leaf of `these` that the others do not have, or have with another value. */
static const leaf *unlike(const leaves *these, const fr_map *others, fr_str *path)
{
    for (size_t i = 0; i < these->count; i++) {
        const leaf *f = &these->items[i];
        *path = path_of(these->a, f);
        const leaf *other = fr_map_get(others, *path);
        if (other == NULL || (!fr_str_eq(other->value, f->value) && !is_live(*path)))
            return f;
    }
    return NULL;
}

static fr_map *by_path(leaves *l)
{
    fr_map *m = fr_map_new();
    for (size_t i = 0; i < l->count; i++)
        fr_map_set(m, path_of(l->a, &l->items[i]), &l->items[i]);
    return m;
}

/* The first of several patterns wins: their order is a value, too. */
static bool moved(const leaves *before, const leaves *after, fr_str *path)
{
    for (size_t i = 0; i < after->count; i++) {
        *path = path_of(after->a, &after->items[i]);
        if (!fr_str_eq(*path, path_of(before->a, &before->items[i])))
            return true;
    }
    return false;
}

bool fr_config_differs(const fr_config *before, const fr_config *after, fr_arena *a, fr_str *path)
{
    fr_arena *own = fr_arena_new(0); /* secrets are in it */
    leaves was = collect(before, own, true), is = collect(after, own, true);
    fr_map *old = by_path(&was), *fresh = by_path(&is);
    fr_str found = {"", 0};
    bool differs = unlike(&is, old, &found) != NULL || unlike(&was, fresh, &found) != NULL ||
                   was.count != is.count || moved(&was, &is, &found);
    if (differs)
        *path = fr_arena_str(a, found);
    fr_map_free(old, NULL);
    fr_map_free(fresh, NULL);
    fr_arena_free(own);
    return differs;
}
