#include "model/table.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct counted {
    fr_table table; /* first: the pointers are the same */
    atomic_uint references;
    fr_arena *arena;
} counted;

static atomic_uint_fast64_t next_serial = 1;

const fr_table *fr_table_new(const fr_table *like)
{
    counted *c = fr_malloc(sizeof(*c));
    size_t need = 256 + like->column_count * (sizeof(fr_column) + 48);
    c->arena = fr_arena_new(need);
    fr_column *columns = fr_arena_alloc(c->arena, (like->column_count + 1) * sizeof(fr_column));
    c->table = *like;
    c->table.space = fr_arena_str(c->arena, like->space);
    c->table.name = fr_arena_str(c->arena, like->name);
    c->table.doc = fr_arena_str(c->arena, like->doc);
    for (size_t i = 0; i < like->column_count; i++) {
        columns[i] = like->columns[i];
        columns[i].name = fr_arena_str(c->arena, like->columns[i].name);
        columns[i].native_type = fr_arena_str(c->arena, like->columns[i].native_type);
        columns[i].doc = fr_arena_str(c->arena, like->columns[i].doc);
        columns[i].fallback = fr_arena_str(c->arena, like->columns[i].fallback);
        columns[i].base_type = fr_arena_str(c->arena, like->columns[i].base_type);
        columns[i].labels = fr_arena_str(c->arena, like->columns[i].labels);
        columns[i].generator = fr_arena_str(c->arena, like->columns[i].generator);
    }
    c->table.columns = columns;
    c->table.serial = atomic_fetch_add(&next_serial, 1);
    atomic_init(&c->references, 1);
    return &c->table;
}

const fr_table *fr_table_ref(const fr_table *t)
{
    counted *c = (counted *)(uintptr_t)t;
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return t;
}

const fr_table *fr_table_unref(const fr_table *t)
{
    counted *c = (counted *)(uintptr_t)t;
    if (c != NULL && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1) {
        fr_arena_free(c->arena);
        free(c);
    }
    return NULL;
}

int fr_table_find(const fr_table *t, fr_str column)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (fr_str_eq(t->columns[i].name, column))
            return (int)i;
    return -1;
}

size_t fr_table_key_count(const fr_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->column_count; i++)
        n += t->columns[i].key_ordinal != 0;
    return n;
}

/* Edits that turn a into b; names are short, and longer ones are not compared. */
static size_t distance(fr_str a, fr_str b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < other ? replace : other;
        }
    }
    return row[b.len];
}

const fr_column *fr_table_nearest(const fr_table *t, fr_str name)
{
    const fr_column *best = NULL;
    size_t best_distance = name.len / 3 + 2;
    for (size_t i = 0; i < t->column_count; i++) {
        size_t d = distance(name, t->columns[i].name);
        if (d < best_distance) {
            best_distance = d;
            best = &t->columns[i];
        }
    }
    return best;
}

bool fr_table_same(const fr_table *a, const fr_table *b)
{
    if (a == b)
        return true;
    if (a->column_count != b->column_count || !fr_str_eq(a->space, b->space) ||
        !fr_str_eq(a->name, b->name) || a->full_before != b->full_before)
        return false;
    for (size_t i = 0; i < a->column_count; i++) {
        const fr_column *x = &a->columns[i], *y = &b->columns[i];
        if (!fr_str_eq(x->name, y->name) || x->kind != y->kind || x->nullable != y->nullable ||
            x->span != y->span || x->may_be_absent != y->may_be_absent ||
            x->key_ordinal != y->key_ordinal || x->precision != y->precision ||
            x->scale != y->scale || !fr_str_eq(x->native_type, y->native_type) ||
            !fr_str_eq(x->labels, y->labels))
            return false;
    }
    return true;
}
