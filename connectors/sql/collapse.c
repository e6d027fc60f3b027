#include "sql/collapse.h"
#include "sql/text.h"
#include <stdlib.h>
#include <string.h>

void fr_target_changes_add(fr_target_changes *list, const fr_target_change *change)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : 2 * list->cap;
        list->items = fr_realloc(list->items, list->cap * sizeof(*list->items));
    }
    list->items[list->count++] = *change;
}

/* ---- keys ---- */

void fr_target_put_key(fr_buf *out, const fr_column *c, const fr_value *v)
{
    size_t start = out->len;
    fr_value plain = *v;
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_u8(out, v->boolean);
        return;
    case FR_INT32:
    case FR_INT64:
    case FR_DATE:
    case FR_TIME:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        fr_buf_u64be(out, (uint64_t)v->integer ^ UINT64_C(1) << 63);
        return;
    case FR_FLOAT32:
    case FR_FLOAT64:
        if (plain.real == 0)
            plain.real = 0; /* not -0 */
        break;
    default:
        break;
    }
    /* Read from the end, it is clear where one column ends and another begins. */
    fr_sql_put_value(out, c, &plain);
    fr_buf_u32be(out, (uint32_t)(out->len - start));
}

void fr_target_set_key(fr_arena *a, fr_target_change *c, const fr_buf *key, size_t skip)
{
    c->key = fr_arena_copy(a, key->ptr, key->len);
    c->prefix = 0;
    for (size_t i = 0; i < 8; i++)
        c->prefix = c->prefix << 8 | (skip + i < key->len ? key->ptr[skip + i] : 0);
}

static int by_key(const void *left, const void *right)
{
    const fr_target_change *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = fr_str_cmp(a->key, b->key);
    if (order != 0)
        return order;
    return a->event < b->event ? -1 : a->event > b->event;
}

/* ---- states ---- */

void fr_target_set_form(const fr_target_shape *shape, fr_target_change *c)
{
    c->form = FR_TARGET_ROW;
    c->partial = false;
    for (size_t i = 0; i < shape->count; i++) {
        if (c->values[shape->columns[i]].kind != FR_ABSENT)
            continue;
        c->partial = true;
        if (shape->patched[i])
            c->form = FR_TARGET_PATCH;
    }
}

/* What is absent in the later row is as the earlier one left it; after a delete (unknown: what was
 * there is gone) it is NULL. */
static void merge(const fr_target_shape *shape, fr_arena *a, const fr_target_change *earlier,
                  fr_target_change *later)
{
    bool gone = earlier->form == FR_TARGET_DELETE;
    if (gone && shape->marked)
        return; /* a marked row keeps its values in the target */
    size_t n = shape->table->column_count;
    fr_value *values = fr_arena_raw(a, (n + 1) * sizeof(fr_value));
    memcpy(values, later->values, n * sizeof(fr_value));
    for (size_t i = 0; i < shape->count; i++) {
        fr_value *v = &values[shape->columns[i]];
        if (v->kind != FR_ABSENT)
            continue;
        if (gone)
            v->kind = FR_NULL;
        else
            *v = earlier->values[shape->columns[i]];
    }
    later->values = values;
    fr_target_set_form(shape, later);
}

static void fold(const fr_target_shape *shape, fr_arena *a, fr_target_change *state,
                 const fr_target_change *next)
{
    if (shape->guarded && !next->unplaced &&
        memcmp(next->position, state->position, FR_TARGET_POSITION_SIZE) < 0)
        return; /* an old one, read again */
    fr_target_change result = *next;
    if (next->form == FR_TARGET_DELETE && state->form == FR_TARGET_DELETE)
        result.unplaced = next->unplaced || state->unplaced;
    if (next->form != FR_TARGET_DELETE && next->partial) {
        merge(shape, a, state, &result);
    } else if (next->form == FR_TARGET_DELETE && shape->marked && state->form != FR_TARGET_DELETE) {
        result.form = state->form;
        result.partial = state->partial;
        result.values = state->values;
        result.deleted = true;
        result.unplaced = false;
        if (next->unplaced)
            memcpy(result.position, state->position, sizeof(result.position));
    }
    *state = result;
}

void fr_target_collapse(const fr_target_shape *shape, fr_arena *a, fr_target_changes *changes)
{
    if (changes->count < 2)
        return;
    qsort(changes->items, changes->count, sizeof(fr_target_change), by_key);
    size_t kept = 0;
    for (size_t i = 1; i < changes->count; i++) {
        if (fr_target_same_key(&changes->items[kept], &changes->items[i]))
            fold(shape, a, &changes->items[kept], &changes->items[i]);
        else
            changes->items[++kept] = changes->items[i];
    }
    changes->count = kept + 1;
}

/* ---- what is absent ---- */

fr_str fr_target_mask(fr_arena *a, const fr_target_shape *shape, const fr_target_change *c)
{
    if (!c->partial || c->form == FR_TARGET_DELETE)
        return FR_STR("");
    char *mask = fr_arena_raw(a, shape->count + 1);
    for (size_t i = 0; i < shape->count; i++)
        mask[i] = c->values[shape->columns[i]].kind != FR_ABSENT;
    return (fr_str){mask, shape->count};
}

bool fr_target_has_mask(const fr_target_shape *shape, const fr_target_change *c, fr_str mask)
{
    if (c->form == FR_TARGET_DELETE)
        return true;
    if (!c->partial || mask.len == 0)
        return !c->partial && mask.len == 0;
    for (size_t i = 0; i < shape->count; i++)
        if ((mask.ptr[i] != 0) != (c->values[shape->columns[i]].kind != FR_ABSENT))
            return false;
    return true;
}
