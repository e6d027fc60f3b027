#include "connectors/postgres/pg_layout.h"
#include "connectors/postgres/pg_value.h"
#include <stdlib.h>
#include <string.h>

static bool all_primary_in_identity(const fr_pg_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].primary != 0 && !r->columns[i].identity)
            return false;
    return true;
}

static bool all_identity_in_primary(const fr_pg_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].primary == 0 && r->columns[i].identity)
            return false;
    return true;
}

/* The primary key as the catalog has it now, or what the log writes as old key? */
static bool key_is_primary(const fr_pg_relation *r)
{
    switch (r->identity) {
    case 'd': /* the log's flags are the primary key as it was then */
        return all_primary_in_identity(r) && all_identity_in_primary(r);
    case 'i': {
        bool any = false;
        for (size_t i = 0; i < r->column_count; i++)
            any = any || r->columns[i].primary != 0;
        return any && all_primary_in_identity(r);
    }
    default:
        return true;
    }
}

static void set_key(const fr_pg_relation *r, fr_column *columns)
{
    bool primary = key_is_primary(r), indexed = r->identity == 'd' || r->identity == 'i';
    uint16_t ordinal = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        const fr_pg_attr *attr = &r->columns[i];
        if (primary)
            columns[i].key_ordinal = attr->primary;
        else if (attr->identity)
            columns[i].key_ordinal = ++ordinal;
        /* An index can be an identity only if its columns are NOT NULL. */
        if (columns[i].key_ordinal != 0 || (indexed && attr->identity))
            columns[i].nullable = false;
    }
}

static fr_rc set_column(const fr_pg_catalog *c, const fr_pg_relation *r, size_t i, fr_arena *a,
                        fr_column *column, fr_pg_codec *codec, fr_err *err)
{
    const fr_pg_attr *attr = &r->columns[i];
    if (fr_pg_resolve(c, attr->type, attr->typmod, attr->as_text, a, codec, &column->native_type,
                      err) == FR_FAIL)
        return fr_fail_in(err, "%.*s.%.*s column %.*s", FR_ARG(r->space), FR_ARG(r->name),
                          FR_ARG(attr->name));
    column->name = attr->name;
    column->kind = codec->kind;
    column->precision = codec->kind == FR_DECIMAL ? codec->precision : 0;
    column->scale = codec->kind == FR_DECIMAL ? codec->scale : 0;
    column->nullable = attr->nullable;
    column->may_be_absent = codec->toastable && !attr->plain && r->identity != 'f';
    column->doc = attr->doc;
    codec->infinite = attr->debezium;
    column->fallback = fr_pg_default_literal(a, codec, attr->fallback);
    if (!attr->debezium)
        return FR_OK;
    fr_pg_catalog_describe(c, attr->type, attr->typmod, a, &column->base_type, &column->labels);
    if (column->fallback.len == 0)
        column->generator = attr->fallback;
    return FR_OK;
}

static fr_pg_layout *layout_alloc(size_t columns)
{
    fr_pg_layout *l = fr_malloc(sizeof(*l));
    l->codecs = fr_malloc((columns + 1) * sizeof(*l->codecs));
    l->identity = fr_malloc((columns + 1) * sizeof(*l->identity));
    return l;
}

fr_rc fr_pg_layout_new(const fr_pg_catalog *c, const fr_pg_relation *r, uint32_t version,
                       fr_pg_layout **out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_column *columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(*columns));
    fr_pg_layout *l = layout_alloc(r->column_count);
    fr_rc rc = FR_OK;
    l->binary_safe = true;
    for (size_t i = 0; i < r->column_count && rc == FR_OK; i++) {
        rc = set_column(c, r, i, a, &columns[i], &l->codecs[i], err);
        l->identity[i] = r->columns[i].identity;
        l->binary_safe = l->binary_safe && rc == FR_OK && fr_pg_codec_binary_safe(&l->codecs[i]);
    }
    if (rc == FR_OK) {
        set_key(r, columns);
        fr_table like = {.space = r->space,
                         .name = r->name,
                         .version = version,
                         .source_id = r->oid,
                         .full_before = r->identity == 'f',
                         .doc = r->doc,
                         .column_count = r->column_count,
                         .columns = columns};
        l->table = fr_table_new(&like);
        *out = l;
    } else {
        fr_pg_layout_free(l);
    }
    fr_arena_free(a);
    return rc;
}

fr_pg_layout *fr_pg_layout_relax(const fr_pg_layout *l, size_t column, bool absent)
{
    size_t count = l->table->column_count;
    fr_pg_layout *relaxed = layout_alloc(count);
    fr_column *columns = fr_malloc((count + 1) * sizeof(*columns));
    fr_table like = *l->table;
    memcpy(columns, l->table->columns, count * sizeof(*columns));
    memcpy(relaxed->codecs, l->codecs, count * sizeof(*l->codecs));
    memcpy(relaxed->identity, l->identity, count * sizeof(*l->identity));
    relaxed->binary_safe = l->binary_safe;
    if (absent)
        columns[column].may_be_absent = true;
    else
        columns[column].nullable = true;
    like.columns = columns;
    like.version++;
    relaxed->table = fr_table_new(&like);
    free(columns);
    return relaxed;
}

static bool same_column(const fr_column *a, const fr_column *b)
{
    return fr_str_eq(a->name, b->name) && a->kind == b->kind && a->nullable == b->nullable &&
           a->may_be_absent == b->may_be_absent && a->key_ordinal == b->key_ordinal &&
           a->precision == b->precision && a->scale == b->scale &&
           fr_str_eq(a->native_type, b->native_type) && fr_str_eq(a->doc, b->doc) &&
           fr_str_eq(a->fallback, b->fallback) && fr_str_eq(a->labels, b->labels) &&
           fr_str_eq(a->generator, b->generator);
}

static bool same_codec(const fr_pg_codec *a, const fr_pg_codec *b)
{
    return a->oid == b->oid && a->wire == b->wire && a->element == b->element &&
           a->delimiter == b->delimiter && a->as_text == b->as_text && a->scale == b->scale;
}

bool fr_pg_layout_same(const fr_pg_layout *a, const fr_pg_layout *b)
{
    const fr_table *ta = a->table, *tb = b->table;
    if (ta->column_count != tb->column_count || !fr_str_eq(ta->space, tb->space) ||
        !fr_str_eq(ta->name, tb->name) || !fr_str_eq(ta->doc, tb->doc) ||
        ta->source_id != tb->source_id || ta->full_before != tb->full_before)
        return false;
    for (size_t i = 0; i < ta->column_count; i++)
        if (!same_column(&ta->columns[i], &tb->columns[i]) ||
            !same_codec(&a->codecs[i], &b->codecs[i]) || a->identity[i] != b->identity[i])
            return false;
    return true;
}

void fr_pg_layout_free(fr_pg_layout *l)
{
    if (l == NULL)
        return;
    fr_table_unref(l->table);
    free(l->codecs);
    free(l->identity);
    free(l);
}

void fr_pg_layout_bad(const fr_pg_layout *l, size_t column, fr_arena *a, uint64_t lsn,
                      const fr_err *err, fr_str *bad)
{
    const fr_table *t = l->table;
    const fr_column *c = &t->columns[column];
    fr_str remedy = fr_cstr(fr_err_hint(err));
    if (bad->len > 0)
        return;
    if (err->hint[0] != '\0') /* a value that text has room for; with the column's own name */
        remedy = fr_arena_printf(a, "publish it as text with columns.types: {%.*s: string}",
                                 FR_ARG(c->name));
    *bad = fr_arena_printf(a, "%.*s.%.*s column %.*s (%.*s) at %X/%X: %s; %.*s", FR_ARG(t->space),
                           FR_ARG(t->name), FR_ARG(c->name), FR_ARG(c->native_type),
                           (unsigned)(lsn >> 32), (unsigned)lsn, err->text, FR_ARG(remedy));
}
