/* What all commits of a manifest together say. */
#include "file/file_manifest.h"
#include <stdlib.h>
#include <string.h>

/* A key of Kafka's may have any byte in it, NUL too: no printf. */
fr_str fr_file_table_key(fr_arena *a, fr_str space, fr_str name)
{
    fr_buf b = {.arena = a};
    fr_buf_str(&b, space);
    fr_buf_u8(&b, 0);
    fr_buf_str(&b, name);
    return fr_buf_view(&b);
}

fr_str fr_file_group_key(fr_arena *a, const fr_file_entry *e)
{
    size_t dot = e->path.len;
    while (dot > 0 && e->path.ptr[dot - 1] != '.')
        dot--;
    const fr_str parts[] = {e->space, e->name, e->day, {e->path.ptr + dot, e->path.len - dot}};
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        fr_buf_str(&b, parts[i]);
        fr_buf_u8(&b, 0);
    }
    fr_buf_u64be(&b, (uint64_t)e->shape);
    return fr_buf_view(&b);
}

fr_str fr_file_offset_key(fr_arena *a, fr_str topic, int32_t partition)
{
    return fr_arena_printf(a, "%d:%.*s", partition, FR_ARG(topic));
}

/* ---- memory ---- */

static void make_maps(fr_file_state *s)
{
    s->arena = fr_arena_new(0);
    s->files = fr_map_new();
    s->groups = fr_map_new();
    s->tables = fr_map_new();
    s->offsets = fr_map_new();
    s->gone = fr_map_new();
    s->keys = fr_map_new();
    s->writer = s->owner = FR_STR("");
}

static void free_group(void *value)
{
    fr_file_group *g = value;
    free(g->items);
    free(g);
}

static void free_maps(fr_file_state *s)
{
    fr_map_free(s->files, NULL);
    fr_map_free(s->groups, free_group);
    fr_map_free(s->tables, NULL);
    fr_map_free(s->offsets, NULL);
    fr_map_free(s->gone, NULL);
    fr_map_free(s->keys, NULL);
    fr_arena_free(s->arena);
}

fr_file_state *fr_file_state_new(void)
{
    fr_file_state *s = fr_malloc(sizeof(*s));
    make_maps(s);
    return s;
}

void fr_file_state_free(fr_file_state *s)
{
    if (s == NULL)
        return;
    free_maps(s);
    free(s);
}

static fr_file_entry *copy_entry(fr_arena *a, const fr_file_entry *from)
{
    fr_file_entry *e = fr_arena_alloc(a, sizeof(*e));
    *e = *from;
    e->path = fr_arena_str(a, from->path);
    e->space = fr_arena_str(a, from->space);
    e->name = fr_arena_str(a, from->name);
    e->day = fr_arena_str(a, from->day);
    e->ranges = fr_arena_alloc(a, (from->range_count + 1) * sizeof(*e->ranges));
    for (size_t i = 0; i < from->range_count; i++) {
        e->ranges[i] = from->ranges[i];
        e->ranges[i].topic = fr_arena_str(a, from->ranges[i].topic);
    }
    return e;
}

static fr_file_shape copy_shape(fr_arena *a, const fr_file_shape *from)
{
    fr_file_shape s = *from;
    s.space = fr_arena_str(a, from->space);
    s.name = fr_arena_str(a, from->name);
    s.columns = fr_arena_alloc(a, (from->column_count + 1) * sizeof(*s.columns));
    for (size_t i = 0; i < from->column_count; i++) {
        s.columns[i] = from->columns[i];
        s.columns[i].name = fr_arena_str(a, from->columns[i].name);
        s.columns[i].type = fr_arena_str(a, from->columns[i].type);
    }
    return s;
}

/* ---- one record ---- */

static fr_rc odd(fr_err *err, const char *why, fr_str what)
{
    fr_fail(err, FR_ERR_CONFIG, "the manifest is damaged: %s %.*s", why, FR_ARG(what));
    fr_fail_code(err, "sink.corrupt");
    return fr_fail_hint(err, "restore the folder _freshet together with the files from one backup, "
                             "or give the sink an empty folder and take a new snapshot");
}

static void join_group(fr_file_state *s, fr_file_entry *e)
{
    fr_str key = fr_file_group_key(s->arena, e);
    fr_file_group *g = fr_map_get(s->groups, key);
    if (g == NULL) {
        g = fr_malloc(sizeof(*g));
        fr_map_set(s->groups, key, g);
    }
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 4 : 2 * g->cap;
        g->items = fr_realloc(g->items, g->cap * sizeof(*g->items));
    }
    size_t at = g->count++;
    for (; at > 0 && fr_str_cmp(g->items[at - 1]->path, e->path) > 0; at--)
        g->items[at] = g->items[at - 1];
    g->items[at] = e;
}

static void leave_group(fr_file_state *s, const fr_file_entry *e)
{
    fr_file_group *g = fr_map_get(s->groups, fr_file_group_key(s->arena, e));
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++)
        if (g->items[i] != e)
            g->items[kept++] = g->items[i];
    g->count = kept;
}

static fr_rc add_shape(fr_file_state *s, const fr_file_shape *shape, fr_err *err)
{
    fr_str key = fr_file_table_key(s->arena, shape->space, shape->name);
    fr_file_table *t = fr_map_get(s->tables, key);
    if (t == NULL) {
        t = fr_arena_alloc(s->arena, sizeof(*t));
        t->space = fr_arena_str(s->arena, shape->space);
        t->name = fr_arena_str(s->arena, shape->name);
        fr_map_set(s->tables, key, t);
    }
    if (shape->number != (int64_t)t->shapes.count + 1)
        return odd(err, "the schemas of a table do not count up:", shape->name);
    *FR_FILE_ADD(s->arena, &t->shapes) = copy_shape(s->arena, shape);
    return FR_OK;
}

static fr_rc add_file(fr_file_state *s, const fr_file_entry *entry, fr_err *err)
{
    fr_file_table *t =
        fr_map_get(s->tables, fr_file_table_key(s->arena, entry->space, entry->name));
    if (t == NULL || entry->shape > (int64_t)t->shapes.count)
        return odd(err, "no schema is there of the file", entry->path);
    if (fr_map_get(s->files, entry->path) != NULL)
        return odd(err, "it has twice the file", entry->path);
    fr_file_entry *e = copy_entry(s->arena, entry);
    fr_map_set(s->files, e->path, e);
    join_group(s, e);
    return FR_OK;
}

static void add_gone(fr_file_state *s, fr_str path, int64_t at_ms)
{
    fr_file_gone *gone = fr_arena_alloc(s->arena, sizeof(*gone));
    *gone = (fr_file_gone){fr_arena_str(s->arena, path), at_ms};
    fr_map_set(s->gone, gone->path, gone);
}

static fr_rc remove_file(fr_file_state *s, fr_str path, int64_t at_ms, fr_err *err)
{
    fr_file_entry *e = fr_map_remove(s->files, path);
    if (e == NULL)
        return odd(err, "it removes what is not there:", path);
    leave_group(s, e);
    add_gone(s, path, at_ms);
    return FR_OK;
}

static void set_offset(fr_file_state *s, const fr_file_next *next)
{
    fr_str key = fr_file_offset_key(s->arena, next->topic, next->partition);
    fr_file_next *o = fr_map_get(s->offsets, key);
    if (o == NULL) {
        o = fr_arena_alloc(s->arena, sizeof(*o));
        *o = *next;
        o->topic = fr_arena_str(s->arena, next->topic);
        o->topic_id = FR_STR("");
        fr_map_set(s->offsets, key, o);
    }
    o->next = next->next;
    if (!fr_str_eq(o->topic_id, next->topic_id) && next->topic_id.len > 0)
        o->topic_id = fr_arena_str(s->arena, next->topic_id);
}

static void set_key(fr_file_state *s, const fr_file_key *k)
{
    fr_str name = fr_file_table_key(s->arena, k->topic, k->key);
    fr_map_remove(s->keys, name);
    if (!k->parked)
        return;
    fr_file_key *kept = fr_arena_alloc(s->arena, sizeof(*kept));
    *kept = (fr_file_key){fr_arena_str(s->arena, k->topic), fr_arena_str(s->arena, k->key), true};
    fr_map_set(s->keys, name, kept);
}

fr_rc fr_file_state_apply(fr_file_state *s, const fr_file_record *r, fr_err *err)
{
    bool fold = r->kind == FR_FILE_FOLD;
    if (fold ? s->seq != 0 : r->seq != s->seq + 1)
        return odd(err, "its numbers have a hole:", FR_STR("a commit is missing"));
    if (s->owner.len > 0 && !fr_str_eq(s->owner, r->owner))
        return odd(err, "it changes its owner to", r->owner);
    if (r->epoch < s->epoch)
        return odd(err, "an epoch goes back, of", r->writer);
    for (size_t i = 0; i < r->shapes.count; i++)
        FR_TRY(add_shape(s, &r->shapes.items[i], err));
    for (size_t i = 0; i < r->add.count; i++)
        FR_TRY(add_file(s, &r->add.items[i], err));
    for (size_t i = 0; i < r->remove.count; i++)
        FR_TRY(remove_file(s, r->remove.items[i], r->at_ms, err));
    for (size_t i = 0; i < r->gone.count; i++)
        add_gone(s, r->gone.items[i].path, r->gone.items[i].at_ms);
    for (size_t i = 0; i < r->offsets.count; i++)
        set_offset(s, &r->offsets.items[i]);
    for (size_t i = 0; i < r->keys.count; i++)
        set_key(s, &r->keys.items[i]);
    s->seq = r->seq;
    s->epoch = r->epoch;
    if (!fr_str_eq(s->writer, r->writer))
        s->writer = fr_arena_str(s->arena, r->writer);
    if (s->owner.len == 0)
        s->owner = fr_arena_str(s->arena, r->owner);
    return FR_OK;
}

/* ---- all in one ---- */

void fr_file_state_fold(const fr_file_state *s, fr_arena *a, fr_file_record *out)
{
    size_t i = 0;
    fr_str key;
    void *value;
    *out = (fr_file_record){.kind = FR_FILE_FOLD,
                            .seq = s->seq,
                            .epoch = s->epoch,
                            .writer = s->writer,
                            .owner = s->owner};
    while (fr_map_next(s->tables, &i, &key, &value)) {
        const fr_file_table *t = value;
        for (size_t k = 0; k < t->shapes.count; k++)
            *FR_FILE_ADD(a, &out->shapes) = t->shapes.items[k];
    }
    for (i = 0; fr_map_next(s->files, &i, &key, &value);)
        *FR_FILE_ADD(a, &out->add) = *(const fr_file_entry *)value;
    for (i = 0; fr_map_next(s->offsets, &i, &key, &value);)
        *FR_FILE_ADD(a, &out->offsets) = *(const fr_file_next *)value;
    for (i = 0; fr_map_next(s->gone, &i, &key, &value);)
        *FR_FILE_ADD(a, &out->gone) = *(const fr_file_gone *)value;
    for (i = 0; fr_map_next(s->keys, &i, &key, &value);)
        *FR_FILE_ADD(a, &out->keys) = *(const fr_file_key *)value;
}
