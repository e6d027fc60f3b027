#include "connectors/mysql/my_layout.h"
#include "connectors/mysql/my_types_table.h"
#include <stdlib.h>
#include <string.h>

/* --- joining what the log and information_schema say --- */

static const fr_my_column *find_column(const fr_my_relation *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_str_eq(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

/* Bytes of a STRING or VARCHAR so declared. */
static uint32_t byte_length(const fr_my_column *c)
{
    return c->length * (c->charset != NULL ? c->charset->max_length : 1u);
}

static bool old_temporal(fr_my_wire wire)
{
    return wire == FR_MY_WIRE_TIMESTAMP || wire == FR_MY_WIRE_DATETIME || wire == FR_MY_WIRE_TIME;
}

static bool length_fits(const fr_my_column *c, fr_my_wire wire, uint16_t meta)
{
    uint32_t bytes = byte_length(c);
    switch (c->type) {
    case FR_MY_CHAR:
    case FR_MY_BINARY:
        return meta == bytes;
    case FR_MY_VARCHAR:
    case FR_MY_VARBINARY:
        return wire == FR_MY_WIRE_VARCHAR_COMPRESSED ? meta == bytes + 1 : meta == bytes;
    case FR_MY_DECIMAL:
        return meta >> 8 == c->precision && (meta & 0xff) == c->scale;
    case FR_MY_BIT:
        return c->length == (meta >> 8) * 8u + (meta & 0xff);
    case FR_MY_ENUM:
        return meta == (c->label_count < 256 ? 1 : 2);
    case FR_MY_SET: {
        size_t n = (c->label_count + 7) / 8;
        return meta == (n > 4 ? 8 : n);
    }
    case FR_MY_UUID:
    case FR_MY_INET6:
        return meta == 16;
    case FR_MY_INET4:
        return meta == 4;
    case FR_MY_TIME:
    case FR_MY_DATETIME:
    case FR_MY_TIMESTAMP:
        return old_temporal(wire) || meta == c->scale;
    case FR_MY_VECTOR:
        return wire != FR_MY_WIRE_VARCHAR || meta == c->length * 4;
    default:
        return fr_my_type_rows[c->type].pack == 0 || fr_my_type_rows[c->type].pack == meta;
    }
}

bool fr_my_column_fits(const fr_my_column *declared, fr_my_wire wire, uint16_t meta,
                       const char **why)
{
    const fr_my_type_row *row = &fr_my_type_rows[declared->type];
    bool type = false;
    for (size_t i = 0; i < 4 && row->wire[i] >= 0 && !type; i++)
        type = row->wire[i] == (int16_t)wire;
    bool length = type && length_fits(declared, wire, meta);
    *why = !type ? "another type" : !length ? "another length" : NULL;
    return type && length;
}

static void take_catalog(fr_my_column *to, const fr_my_column *from)
{
    to->column_type = from->column_type;
    to->doc = from->doc;
    to->fallback = from->fallback;
    to->as_text = from->as_text;
    to->zero = from->zero;
    to->generated = from->generated;
    to->is_virtual = from->is_virtual;
    to->srid = from->srid;
}

/* What the log calls by the name of something else. */
static void take_type(fr_my_column *to, const fr_my_column *from)
{
    const char *why;
    bool hidden = from->type >= FR_MY_VECTOR && fr_my_column_fits(from, to->wire, to->meta, &why);
    if (hidden) {
        to->type = from->type;
        to->length = from->length;
        to->charset = NULL;
    }
    if (old_temporal(to->wire) && to->type == from->type)
        to->scale = from->scale; /* MariaDB's of before 10.1: not in the log */
}

static void fill_by_name(fr_my_relation *r, const fr_my_relation *known)
{
    for (size_t i = 0; i < r->column_count; i++) {
        const fr_my_column *k = find_column(known, r->columns[i].name);
        if (k == NULL)
            continue;
        take_catalog(&r->columns[i], k);
        take_type(&r->columns[i], k);
        if (!r->keyed)
            r->columns[i].primary = k->primary;
    }
}

static fr_rc mismatch(const fr_my_relation *r, fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_SCHEMA, "%.*s.%.*s in the log is not the table that we know: %s",
            FR_ARG(r->space), FR_ARG(r->name), what);
    fr_fail_code(err, "my.shape_mismatch");
    return fr_fail_hint(err,
                        "the table was altered where we could not see it (sql_log_bin=0, or "
                        "between two looks at it); take a new snapshot of it: freshet snapshot "
                        "start TABLE. SET GLOBAL binlog_row_metadata=FULL (MySQL 8.0.1, MariaDB "
                        "10.5 and later) makes the log carry what is needed");
}

static fr_rc fill_by_place(fr_my_relation *r, const fr_my_relation *known, fr_arena *a, fr_err *err)
{
    const char *why;
    if (r->column_count != known->column_count)
        return mismatch(r, err, "another number of columns");
    for (size_t i = 0; i < r->column_count; i++) {
        fr_my_column *c = &r->columns[i];
        const fr_my_column *k = &known->columns[i];
        fr_str says = fr_arena_printf(a, "column %zu (%.*s)", i + 1, FR_ARG(k->name));
        if (!fr_my_column_fits(k, c->wire, c->meta, &why))
            return mismatch(r, err,
                            fr_arena_cstr(a, fr_arena_printf(a, "%.*s has %s", FR_ARG(says), why)));
        if (c->nullable != k->nullable)
            return mismatch(r, err,
                            fr_arena_cstr(a, fr_arena_printf(a, "%.*s is%s nullable", FR_ARG(says),
                                                             c->nullable ? "" : " not")));
        fr_my_wire wire = c->wire;
        uint16_t meta = c->meta;
        *c = *k;
        c->wire = wire;
        c->meta = meta;
    }
    r->named = true;
    r->keyed = true;
    return FR_OK;
}

fr_rc fr_my_relation_fill(fr_my_relation *r, const fr_my_relation *known, fr_arena *a, fr_err *err)
{
    r->doc = known->doc;
    if (r->columns == NULL) {
        r->columns = fr_arena_alloc(a, (known->column_count + 1) * sizeof(*r->columns));
        memcpy(r->columns, known->columns, known->column_count * sizeof(*r->columns));
        r->column_count = known->column_count;
        r->named = r->keyed = true;
        return FR_OK;
    }
    if (!r->named)
        return fill_by_place(r, known, a, err);
    fill_by_name(r, known);
    r->keyed = true;
    return FR_OK;
}

/* --- layouts --- */

static fr_my_layout *layout_alloc(size_t columns)
{
    fr_my_layout *l = fr_malloc(sizeof(*l));
    l->arena = fr_arena_new(0);
    l->codecs = fr_malloc((columns + 1) * sizeof(*l->codecs));
    l->converts = fr_malloc((columns + 1) * sizeof(*l->converts));
    return l;
}

static fr_str keep(fr_arena *a, fr_str s)
{
    return s.len == 0 ? (fr_str){NULL, 0} : fr_arena_str(a, s);
}

/* A copy of all that the relation refers to. */
static void keep_relation(fr_my_layout *l, const fr_my_relation *r)
{
    fr_arena *a = l->arena;
    l->from = fr_arena_alloc(a, sizeof(*l->from));
    *l->from = *r;
    l->from->space = keep(a, r->space);
    l->from->name = keep(a, r->name);
    l->from->doc = keep(a, r->doc);
    l->from->columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(fr_my_column));
    for (size_t i = 0; i < r->column_count; i++) {
        fr_my_column *c = &l->from->columns[i];
        *c = r->columns[i];
        c->name = keep(a, c->name);
        c->column_type = keep(a, c->column_type);
        c->doc = keep(a, c->doc);
        c->fallback = keep(a, c->fallback);
        fr_str *labels = fr_arena_alloc(a, (c->label_count + 1) * sizeof(fr_str));
        for (size_t k = 0; k < c->label_count; k++)
            labels[k] = c->labels[k].ptr == fr_my_no_label ? c->labels[k]
                        : c->labels[k].len == 0            ? FR_STR("")
                                                           : fr_arena_str(a, c->labels[k]);
        c->labels = labels;
    }
}

/* One conversion for all columns of a character set. */
static fr_rc share_convert(fr_my_layout *l, const fr_my_charset *charset, fr_my_convert **out,
                           fr_err *err)
{
    for (size_t i = 0; i < l->convert_count; i++) {
        if (fr_my_convert_charset(l->converts[i]) == charset) {
            *out = l->converts[i];
            return FR_OK;
        }
    }
    FR_TRY(fr_my_convert_open(charset, out, err));
    l->converts[l->convert_count++] = *out;
    return FR_OK;
}

static fr_rc unsupported(fr_err *err, const fr_my_column *c)
{
    if (c->wire == FR_MY_WIRE_DECIMAL_OLD)
        fr_fail(err, FR_ERR_SCHEMA, "a DECIMAL in the format of before MySQL 5.0");
    else
        fr_fail(err, FR_ERR_SCHEMA, "type %d of the log, which we do not know", (int)c->wire);
    fr_fail_code(err, "my.type_unsupported");
    return fr_fail_hint(err, c->wire == FR_MY_WIRE_DECIMAL_OLD
                                 ? "ALTER TABLE ... FORCE rewrites the column"
                                 : "leave the column out (columns.exclude), and please report the "
                                   "server's version");
}

/* MariaDB before 10.1 wrote fractions of a second into the old formats, and the log does not say
 * how many digits: without information_schema nobody knows where such a value ends. */
static fr_rc digits_unknown(fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA,
            "a time in the format of before MySQL 5.6, and nobody said how many "
            "digits of a second it has");
    fr_fail_code(err, "my.type_unsupported");
    return fr_fail_hint(err,
                        "SET GLOBAL mysql56_temporal_format=ON; ALTER TABLE ... FORCE rewrites "
                        "the column in the new format");
}

static fr_rc set_codec(fr_my_layout *l, const fr_my_column *c, fr_my_codec *codec, fr_err *err)
{
    const fr_my_type_row *row = &fr_my_type_rows[c->type];
    uint16_t meta = c->meta;
    if (c->type == FR_MY_UNKNOWN)
        return unsupported(err, c);
    if (c->wire == FR_MY_WIRE_UNKNOWN && c->type == FR_MY_DECIMAL)
        meta = (uint16_t)((unsigned)c->precision << 8 | c->scale);
    *codec = (fr_my_codec){.type = c->type,
                           .wire = c->wire,
                           .meta = meta,
                           .digits = row->param == FR_MY_DIGITS ? c->scale : 0,
                           .is_unsigned = c->is_unsigned,
                           .as_text = c->as_text,
                           .zero = c->primary != 0 ? FR_MY_ZERO_ERROR : c->zero,
                           .length = c->length,
                           .labels = c->labels,
                           .label_count = c->label_count};
    codec->kind = fr_my_kind(c, &codec->precision, &codec->scale);
    if (old_temporal(c->wire) && c->column_type.len == 0)
        return digits_unknown(err);
    if (old_temporal(c->wire))
        codec->meta = c->scale;
    if (!row->text)
        return FR_OK;
    if (c->charset == NULL) {
        fr_fail(err, FR_ERR_SCHEMA, "nobody said its character set");
        fr_fail_code(err, "my.charset_unsupported");
        return fr_fail_hint(err,
                            "leave the column out (columns.exclude), or convert it: ALTER TABLE "
                            "... MODIFY ... CHARACTER SET utf8mb4; and please report the "
                            "server's version");
    }
    return share_convert(l, c->charset, &codec->convert, err);
}

static void set_column(const fr_my_relation *r, const fr_my_column *c, const fr_my_codec *codec,
                       fr_arena *a, fr_column *out)
{
    bool zero_null = fr_my_is_date(c->type) && codec->zero == FR_MY_ZERO_NULL && !c->as_text;
    bool is_text = fr_my_type_rows[c->type].text;
    out->name = c->name;
    out->kind = codec->kind;
    out->span = codec->kind == FR_TIME;
    out->nullable = (c->nullable || zero_null) && c->primary == 0;
    out->may_be_absent = !r->full_image;
    out->key_ordinal = c->primary;
    out->precision = codec->precision;
    out->scale = codec->scale;
    out->native_type = fr_my_native_type(c, a);
    out->doc = c->doc;
    if (!c->as_text || is_text)
        out->fallback = c->fallback;
}

static fr_rc build(fr_my_layout *l, fr_column *columns, fr_err *err)
{
    const fr_my_relation *r = l->from;
    for (size_t i = 0; i < r->column_count; i++) {
        const fr_my_column *c = &r->columns[i];
        if (c->name.len == 0) {
            fr_fail(err, FR_ERR_SCHEMA, "%.*s.%.*s: the log does not name its columns",
                    FR_ARG(r->space), FR_ARG(r->name));
            fr_fail_code(err, "my.column_unnamed");
            return fr_fail_hint(err, "SET GLOBAL binlog_row_metadata=FULL (MySQL 8.0.1, MariaDB "
                                     "10.5 and later)");
        }
        if (set_codec(l, c, &l->codecs[i], err) == FR_FAIL)
            return fr_fail_in(err, "%.*s.%.*s column %.*s", FR_ARG(r->space), FR_ARG(r->name),
                              FR_ARG(c->name));
        set_column(r, c, &l->codecs[i], l->arena, &columns[i]);
    }
    return FR_OK;
}

fr_rc fr_my_layout_new(const fr_my_relation *r, uint32_t version, fr_my_layout **out, fr_err *err)
{
    fr_my_layout *l = layout_alloc(r->column_count);
    keep_relation(l, r);
    fr_column *columns = fr_arena_alloc(l->arena, (r->column_count + 1) * sizeof(*columns));
    if (build(l, columns, err) == FR_FAIL) {
        fr_my_layout_free(l);
        return FR_FAIL;
    }
    fr_table like = {.space = l->from->space,
                     .name = l->from->name,
                     .version = version,
                     .full_before = r->full_image && !r->key_before,
                     .doc = l->from->doc,
                     .column_count = r->column_count,
                     .columns = columns};
    l->table = fr_table_new(&like);
    *out = l;
    return FR_OK;
}

fr_my_layout *fr_my_layout_relax(const fr_my_layout *l, size_t column, bool absent)
{
    fr_my_layout *relaxed;
    fr_err ignored;
    size_t count = l->table->column_count;
    /* What was built once is built again; only then the table is replaced. */
    if (fr_my_layout_new(l->from, l->table->version + 1, &relaxed, &ignored) == FR_FAIL)
        abort();
    fr_column *columns = fr_arena_alloc(relaxed->arena, (count + 1) * sizeof(*columns));
    memcpy(columns, l->table->columns, count * sizeof(*columns));
    fr_table like = *l->table;
    like.version++;
    like.columns = columns;
    if (absent) {
        columns[column].may_be_absent = true;
        like.full_before = false;
    } else {
        columns[column].nullable = true;
    }
    fr_table_unref(relaxed->table);
    relaxed->table = fr_table_new(&like);
    return relaxed;
}

static bool same_column(const fr_column *a, const fr_column *b)
{
    return fr_str_eq(a->name, b->name) && a->kind == b->kind && a->nullable == b->nullable &&
           a->may_be_absent == b->may_be_absent && a->key_ordinal == b->key_ordinal &&
           a->precision == b->precision && a->scale == b->scale &&
           fr_str_eq(a->native_type, b->native_type) && fr_str_eq(a->doc, b->doc) &&
           fr_str_eq(a->fallback, b->fallback);
}

static bool same_codec(const fr_my_layout *x, const fr_my_layout *y, size_t i)
{
    const fr_my_codec *a = &x->codecs[i], *b = &y->codecs[i];
    return a->type == b->type && a->wire == b->wire && a->meta == b->meta &&
           a->is_unsigned == b->is_unsigned && a->zero == b->zero && a->length == b->length &&
           x->from->columns[i].charset == y->from->columns[i].charset;
}

bool fr_my_layout_same(const fr_my_layout *a, const fr_my_layout *b)
{
    const fr_table *ta = a->table, *tb = b->table;
    if (ta->column_count != tb->column_count || !fr_str_eq(ta->space, tb->space) ||
        !fr_str_eq(ta->name, tb->name) || !fr_str_eq(ta->doc, tb->doc) ||
        ta->full_before != tb->full_before)
        return false;
    for (size_t i = 0; i < ta->column_count; i++)
        if (!same_column(&ta->columns[i], &tb->columns[i]) || !same_codec(a, b, i))
            return false;
    return true;
}

void fr_my_layout_free(fr_my_layout *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->convert_count; i++)
        fr_my_convert_close(l->converts[i]);
    fr_table_unref(l->table);
    fr_arena_free(l->arena);
    free(l->converts);
    free(l->codecs);
    free(l);
}

void fr_my_layout_bad(const fr_my_layout *l, size_t column, fr_arena *a, const char *at,
                      const fr_err *err, fr_str *bad)
{
    const fr_table *t = l->table;
    const fr_column *c = &t->columns[column];
    if (bad->len > 0)
        return;
    *bad = fr_arena_printf(a, "%.*s.%.*s column %.*s (%.*s) at %s: %s; %s", FR_ARG(t->space),
                           FR_ARG(t->name), FR_ARG(c->name), FR_ARG(c->native_type), at, err->text,
                           fr_err_hint(err));
}

void fr_my_layout_zero(const fr_my_layout *l, size_t column, fr_arena *a, fr_str *zero)
{
    fr_str name = l->table->columns[column].name;
    for (size_t at = 0, end; at < zero->len; at = end + 1) { /* before and after both have it */
        const char *comma = memchr(zero->ptr + at, ',', zero->len - at);
        end = comma == NULL ? zero->len : (size_t)(comma - zero->ptr);
        if (fr_str_eq((fr_str){zero->ptr + at, end - at}, name))
            return;
    }
    *zero = zero->len == 0 ? fr_arena_str(a, name)
                           : fr_arena_printf(a, "%.*s,%.*s", FR_ARG(*zero), FR_ARG(name));
}
