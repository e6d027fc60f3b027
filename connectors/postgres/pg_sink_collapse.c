/* R32: where nothing but the key can tell the order of rows, only the last state of each
 * key is written; in key order, so that two writers lock rows in the same order (R33). */
#include "postgres/pg_sink.h"
#include <stdlib.h>
#include <string.h>

static int by_key(const void *left, const void *right)
{
    const fr_pg_change *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = fr_str_cmp(a->key, b->key);
    if (order != 0)
        return order;
    return a->event < b->event ? -1 : a->event > b->event;
}

static bool same_key(const fr_pg_change *a, const fr_pg_change *b)
{
    return a->prefix == b->prefix && fr_str_eq(a->key, b->key);
}

/* What is absent in the later row is as the earlier one left it; after a delete (unknown:
 * what was there is gone) it is NULL. */
static void merge(const fr_pg_sink_table *t, fr_arena *a, const fr_pg_change *earlier,
                  fr_pg_change *later)
{
    bool gone = earlier->form == FR_PG_FORM_DELETE;
    if (gone && t->marked)
        return; /* a marked row keeps its values in the target */
    size_t n = t->table->column_count;
    fr_value *values = fr_arena_raw(a, (n + 1) * sizeof(fr_value));
    memcpy(values, later->values, n * sizeof(fr_value));
    later->form = FR_PG_FORM_ROW;
    for (size_t i = 0; i < t->field_count; i++) {
        fr_value *v = &values[t->fields[i].column];
        if (v->kind != FR_ABSENT)
            continue;
        if (gone)
            v->kind = FR_NULL;
        else
            *v = earlier->values[t->fields[i].column];
        if (v->kind == FR_ABSENT)
            later->form = FR_PG_FORM_PATCH;
    }
    later->values = values;
}

static void fold(const fr_pg_sink_table *t, fr_arena *a, fr_pg_change *state,
                 const fr_pg_change *next)
{
    if (t->guarded && memcmp(next->position, state->position, FR_PG_POSITION_SIZE) < 0)
        return; /* an old one, read again */
    fr_pg_change result = *next;
    if (next->form == FR_PG_FORM_PATCH) {
        merge(t, a, state, &result);
    } else if (next->form == FR_PG_FORM_DELETE && t->marked && state->form != FR_PG_FORM_DELETE) {
        result.form = state->form;
        result.values = state->values;
        result.deleted = true;
    }
    *state = result;
}

void fr_pg_sink_collapse(const fr_pg_sink_table *t, fr_arena *a, fr_pg_changes *changes)
{
    if (changes->count < 2)
        return;
    qsort(changes->items, changes->count, sizeof(fr_pg_change), by_key);
    size_t kept = 0;
    for (size_t i = 1; i < changes->count; i++) {
        if (same_key(&changes->items[kept], &changes->items[i]))
            fold(t, a, &changes->items[kept], &changes->items[i]);
        else
            changes->items[++kept] = changes->items[i];
    }
    changes->count = kept + 1;
}

/* Keys of the run in a hash table of positions. */
size_t fr_pg_sink_run(const fr_pg_changes *changes, size_t start)
{
    size_t most = changes->count - start, slots = 16;
    while (slots < 2 * most)
        slots *= 2;
    uint32_t *index = fr_malloc(slots * sizeof(*index));
    size_t n = 0;
    for (; n < most; n++) {
        const fr_pg_change *c = &changes->items[start + n];
        if (c->form != changes->items[start].form)
            break;
        size_t at = (size_t)fr_hash64(c->key.ptr, c->key.len) & (slots - 1);
        while (index[at] != 0 && !same_key(&changes->items[start + index[at] - 1], c))
            at = (at + 1) & (slots - 1);
        if (index[at] != 0)
            break;
        index[at] = (uint32_t)n + 1;
    }
    free(index);
    return n;
}
