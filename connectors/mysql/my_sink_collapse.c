/* R32: where nothing but the key can tell the order of rows, only the last state of each
 * key is written; in key order, so that two writers lock rows in the same order (R33). */
#include "mysql/my_sink.h"
#include <stdlib.h>
#include <string.h>

static int by_key(const void *left, const void *right)
{
    const fr_my_change *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = fr_str_cmp(a->key, b->key);
    if (order != 0)
        return order;
    return a->event < b->event ? -1 : a->event > b->event;
}

static bool same_key(const fr_my_change *a, const fr_my_change *b)
{
    return a->prefix == b->prefix && fr_str_eq(a->key, b->key);
}

void fr_my_sink_form(const fr_my_sink_table *t, fr_my_change *c)
{
    c->form = FR_MY_FORM_ROW;
    c->partial = false;
    for (size_t i = 0; i < t->field_count; i++) {
        const fr_my_field *f = &t->fields[i];
        if (c->values[f->column].kind != FR_ABSENT)
            continue;
        c->partial = true;
        if (f->to.not_null)
            c->form = FR_MY_FORM_PATCH;
    }
}

/* What is absent in the later row is as the earlier one left it; after a delete (unknown:
 * what was there is gone) it is NULL. */
static void merge(const fr_my_sink_table *t, fr_arena *a, const fr_my_change *earlier,
                  fr_my_change *later)
{
    bool gone = earlier->form == FR_MY_FORM_DELETE;
    if (gone && t->marked)
        return; /* a marked row keeps its values in the target */
    size_t n = t->table->column_count;
    fr_value *values = fr_arena_raw(a, (n + 1) * sizeof(fr_value));
    memcpy(values, later->values, n * sizeof(fr_value));
    for (size_t i = 0; i < t->field_count; i++) {
        fr_value *v = &values[t->fields[i].column];
        if (v->kind != FR_ABSENT)
            continue;
        if (gone)
            v->kind = FR_NULL;
        else
            *v = earlier->values[t->fields[i].column];
    }
    later->values = values;
    fr_my_sink_form(t, later);
}

static void fold(const fr_my_sink_table *t, fr_arena *a, fr_my_change *state,
                 const fr_my_change *next)
{
    if (t->guarded && memcmp(next->position, state->position, FR_MY_POSITION_SIZE) < 0)
        return; /* an old one, read again */
    fr_my_change result = *next;
    if (next->form != FR_MY_FORM_DELETE && next->partial) {
        merge(t, a, state, &result);
    } else if (next->form == FR_MY_FORM_DELETE && t->marked && state->form != FR_MY_FORM_DELETE) {
        result.form = state->form;
        result.partial = state->partial;
        result.values = state->values;
        result.deleted = true;
    }
    *state = result;
}

void fr_my_sink_collapse(const fr_my_sink_table *t, fr_arena *a, fr_my_changes *changes)
{
    if (changes->count < 2)
        return;
    qsort(changes->items, changes->count, sizeof(fr_my_change), by_key);
    size_t kept = 0;
    for (size_t i = 1; i < changes->count; i++) {
        if (same_key(&changes->items[kept], &changes->items[i]))
            fold(t, a, &changes->items[kept], &changes->items[i]);
        else
            changes->items[++kept] = changes->items[i];
    }
    changes->count = kept + 1;
}
