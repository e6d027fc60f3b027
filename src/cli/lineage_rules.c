/* What a sink's rules for a topic make of its fields (sinks.<k>.topics). */
#include "cli/lineage.h"
#include <string.h>

typedef struct maker {
    fr_lineage *l;
    fr_sandbox **sandbox;
    const fr_lineage_stream *s;
    fr_lineage_target *t;
    fr_err *err;
} maker;

static fr_lineage_field *add(maker *m, fr_str name)
{
    fr_lineage_field *f = &m->t->fields[m->t->field_count++];
    *f = (fr_lineage_field){.name = name};
    return f;
}

static bool is_pii(const maker *m, fr_str field)
{
    for (size_t i = 0; i < m->s->field_count; i++)
        if (fr_str_eq(m->s->fields[i].name, field))
            return m->s->fields[i].pii;
    return false;
}

static void add_kept(maker *m, const fr_lineage_field *from)
{
    const fr_table_settings *rules = &m->t->rules->shape;
    if ((rules->columns_include.count > 0 && !fr_texts_have(&rules->columns_include, from->name)) ||
        fr_texts_have(&rules->columns_exclude, from->name))
        return;
    const char *renamed = fr_pairs_get(&rules->column_rename, from->name);
    fr_lineage_field *f = add(m, renamed != NULL ? fr_cstr(renamed) : from->name);
    f->from = fr_arena_alloc(m->l->arena, sizeof(*f->from));
    f->from[0] = from->name;
    f->from_count = 1;
    f->mask = fr_pairs_get(&rules->column_mask, from->name);
    f->doc = from->doc;
    f->pii = from->pii;
    f->key = from->key;
}

static fr_rc add_derived(maker *m, const fr_pair *pair)
{
    fr_lineage_field *f = add(m, fr_cstr(pair->name));
    f->expression = pair->value;
    FR_TRY(fr_lineage_reads(m->l->arena, m->sandbox, NULL, pair->value, &f->from, &f->from_count,
                            m->err));
    for (size_t i = 0; i < f->from_count; i++)
        f->pii = f->pii || is_pii(m, f->from[i]);
    return FR_OK;
}

fr_rc fr_lineage_rules(fr_lineage *l, fr_sandbox **sandbox, const fr_lineage_stream *s,
                       fr_lineage_target *t, fr_err *err)
{
    if (t->rules == NULL)
        return FR_OK;
    maker m = {l, sandbox, s, t, err};
    const fr_table_settings *rules = &t->rules->shape;
    const fr_pairs *said = &t->rules->message;
    size_t most = s->field_count + rules->column_derive.count + said->count;
    t->fields = fr_arena_alloc(l->arena, (most + 1) * sizeof(*t->fields));
    for (size_t i = 0; i < s->field_count; i++)
        add_kept(&m, &s->fields[i]);
    for (size_t i = 0; i < rules->column_derive.count; i++)
        FR_TRY(add_derived(&m, &rules->column_derive.items[i]));
    for (size_t i = 0; i < said->count; i++)
        add(&m, fr_cstr(said->items[i].name))->message = said->items[i].value;
    if (rules->filter == NULL)
        return FR_OK;
    return fr_lineage_reads(l->arena, sandbox, NULL, rules->filter, &t->filter, &t->filter_count,
                            err);
}
