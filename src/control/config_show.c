/* `config show`: the merged configuration as YAML, each value with the place it comes from. */
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

static fr_str yaml_value(fr_arena *a, const fr_option *o, const void *target)
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
            bool secret = fr_secret_pair(o, map->items[i].name);
            put_text(&b, secret ? FR_STR("***") : fr_cstr(map->items[i].value));
        }
        fr_buf_text(&b, "}");
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
            *f = (leaf){.value = yaml_value(l->a, o, part->target),
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

static void show_json(fr_buf *b, const leaves *l)
{
    fr_buf_text(b, "{");
    for (size_t i = 0; i < l->count; i++) {
        const leaf *f = &l->items[i];
        fr_str path = {"", 0};
        for (size_t k = 0; k < f->depth; k++)
            path = fr_cstr(fr_path_join(l->a, fr_arena_cstr(l->a, path), f->segments[k]));
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

void fr_config_show(fr_buf *b, const fr_config *c, bool json)
{
    const fr_config_tree *t = c->tree;
    fr_arena *a = fr_arena_new(0);
    leaves l = {.a = a};
    for (size_t i = 0; i < t->count; i++)
        collect_scope(&l, t->scopes[i]);
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
