#include "connectors/postgres/pg_types.h"
#include "base/map.h"
#include "connectors/postgres/pg_builtin.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DOMAIN_DEPTH = 64 };

struct fr_pg_catalog {
    fr_map *types;  /* oid -> fr_pg_type, with its two texts behind it */
    fr_map *labels; /* oid of an enum -> fr_str *, with its text behind it */
    int money_digits;
};

const char fr_pg_types_sql[] =
    "WITH RECURSIVE want(oid) AS ("
    "SELECT unnest($1::oid[]) "
    "UNION SELECT x.oid FROM want JOIN pg_catalog.pg_type t ON t.oid = want.oid "
    "CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) x(oid) WHERE x.oid <> 0) "
    "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typcategory, t.typdelim, t.typlen, "
    "t.typelem, t.typbasetype, t.typtypmod, t.typstorage "
    "FROM want JOIN pg_catalog.pg_type t ON t.oid = want.oid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace";

const char fr_pg_labels_sql[] =
    "SELECT e.enumtypid, pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) "
    "FROM pg_catalog.pg_enum e WHERE e.enumtypid IN ("
    "WITH RECURSIVE want(oid) AS (SELECT unnest($1::oid[]) UNION SELECT x.oid FROM want "
    "JOIN pg_catalog.pg_type t ON t.oid = want.oid "
    "CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) x(oid) WHERE x.oid <> 0) "
    "SELECT oid FROM want) GROUP BY e.enumtypid";

const fr_pg_setting fr_pg_session_settings[] = {
    {"client_encoding", "UTF8"},
    {"datestyle", "ISO"},
    {"intervalstyle", "iso_8601"},
    {"timezone", "UTC"},
    {"extra_float_digits", "3"}, /* shortest exact from 12 on, 17 digits before */
    {"bytea_output", "hex"},
    {"lc_monetary", "C"},
    {"quote_all_identifiers", "off"},
    {"search_path", "pg_catalog"}, /* reg* are qualified */
    {NULL, NULL},
};

fr_pg_catalog *fr_pg_catalog_new(void)
{
    fr_pg_catalog *c = fr_malloc(sizeof(*c));
    c->types = fr_map_new();
    c->labels = fr_map_new();
    c->money_digits = 2;
    return c;
}

void fr_pg_catalog_free(fr_pg_catalog *c)
{
    if (c == NULL)
        return;
    fr_map_free(c->types, free);
    fr_map_free(c->labels, free);
    free(c);
}

const fr_pg_type *fr_pg_catalog_find(const fr_pg_catalog *c, uint32_t oid)
{
    const fr_pg_builtin *b = fr_pg_builtin_find(oid);
    return b != NULL ? &b->type : fr_map_get_u64(c->types, oid);
}

void fr_pg_catalog_add(fr_pg_catalog *c, const fr_pg_type *t)
{
    if (fr_pg_builtin_find(t->oid) != NULL)
        return;
    fr_pg_type *copy = fr_malloc(sizeof(*copy) + t->space.len + t->name.len);
    char *texts = (char *)(copy + 1);
    *copy = *t;
    if (t->space.len > 0)
        memcpy(texts, t->space.ptr, t->space.len);
    if (t->name.len > 0)
        memcpy(texts + t->space.len, t->name.ptr, t->name.len);
    copy->space.ptr = texts;
    copy->name.ptr = texts + t->space.len;
    free(fr_map_set_u64(c->types, t->oid, copy));
}

void fr_pg_catalog_labels(fr_pg_catalog *c, uint32_t oid, fr_str labels)
{
    fr_str *copy = fr_malloc(sizeof(*copy) + labels.len);
    char *text = (char *)(copy + 1);
    if (labels.len > 0)
        memcpy(text, labels.ptr, labels.len);
    *copy = (fr_str){text, labels.len};
    free(fr_map_set_u64(c->labels, oid, copy));
}

void fr_pg_catalog_money_digits(fr_pg_catalog *c, int digits)
{
    c->money_digits = digits;
}

static long long field_int(const char *text, long long low, long long high, bool *bad)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < low || v > high) {
        *bad = true;
        return 0;
    }
    return v;
}

static char field_char(const char *text, bool *bad)
{
    if (text[0] == '\0' || text[1] != '\0')
        *bad = true;
    return text[0];
}

fr_rc fr_pg_catalog_add_row(fr_pg_catalog *c, const char *const *fields, fr_err *err)
{
    bool bad = false;
    fr_pg_type t = {
        .oid = (uint32_t)field_int(fields[0], 1, UINT32_MAX, &bad),
        .space = fr_cstr(fields[1]),
        .name = fr_cstr(fields[2]),
        .typtype = field_char(fields[3], &bad),
        .category = field_char(fields[4], &bad),
        .delimiter = field_char(fields[5], &bad),
        .length = (int16_t)field_int(fields[6], INT16_MIN, INT16_MAX, &bad),
        .element = (uint32_t)field_int(fields[7], 0, UINT32_MAX, &bad),
        .base = (uint32_t)field_int(fields[8], 0, UINT32_MAX, &bad),
        .base_typmod = (int32_t)field_int(fields[9], INT32_MIN, INT32_MAX, &bad),
        .storage = field_char(fields[10], &bad),
    };
    if (bad)
        return fr_fail(err, FR_ERR_BUG, "type %s: pg_type has a field we cannot read", fields[2]);
    fr_pg_catalog_add(c, &t);
    return FR_OK;
}

/* --- resolve --- */

fr_kind fr_pg_wire_kind(fr_pg_wire wire)
{
    return wire == FR_PG_WIRE_ARRAY ? FR_JSON : wire == FR_PG_WIRE_EWKB ? FR_BYTES : FR_TEXT;
}

static fr_rc unknown(fr_err *err, uint32_t oid)
{
    fr_fail(err, FR_ERR_DATA, "type with oid %u is not known to this database", oid);
    err->native = (int)oid;
    fr_fail_code(err, "pg.type_unknown");
    return fr_fail_hint(err, "the type was dropped after the change was logged; exclude the column "
                             "(columns.exclude), or take a new snapshot of the table");
}

/* Down a chain of domains to what values are stored as. */
static fr_rc base_of(const fr_pg_catalog *c, uint32_t oid, int32_t *typmod, const fr_pg_type **out,
                     fr_err *err)
{
    for (int depth = 0; depth < DOMAIN_DEPTH; depth++) {
        const fr_pg_type *t = fr_pg_catalog_find(c, oid);
        if (t == NULL)
            return unknown(err, oid);
        if (t->typtype != 'd') {
            *out = t;
            return FR_OK;
        }
        if (t->base_typmod != -1)
            *typmod = t->base_typmod;
        oid = t->base;
    }
    return fr_fail(err, FR_ERR_BUG, "type with oid %u: its domains never end", oid);
}

static bool is_array(const fr_pg_type *t)
{
    return t->typtype == 'b' && t->category == 'A' && t->element != 0 && t->length == -1;
}

static void scalar_form(const fr_pg_type *t, fr_pg_wire *wire, fr_kind *kind)
{
    const fr_pg_builtin *b = fr_pg_builtin_find(t->oid);
    if (b != NULL) {
        *wire = b->wire;
        *kind = b->kind;
        return;
    }
    /* citext_send is textsend, and PostGIS sends what it prints; other extensions' binary forms
     * are their own business. */
    bool own = t->typtype == 'b';
    bool ewkb = own && (fr_str_is(t->name, "geometry") || fr_str_is(t->name, "geography"));
    bool text = t->typtype == 'e' || (own && fr_str_is(t->name, "citext"));
    *wire = ewkb ? FR_PG_WIRE_EWKB : text ? FR_PG_WIRE_TEXT : FR_PG_WIRE_SERVER_TEXT;
    *kind = fr_pg_wire_kind(*wire);
}

/* numeric(p,s): s may be negative or above p from PostgreSQL 15 on. Avro wants
 * 0 <= scale <= precision; numeric(5,-2) holds integers of up to 7 digits. */
static void numeric_form(int32_t typmod, fr_pg_codec *out)
{
    if (typmod < 4) {
        out->kind = FR_TEXT;
        return;
    }
    int p = ((typmod - 4) >> 16) & 0xffff;
    int s = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
    if (s < 0) {
        p -= s;
        s = 0;
    }
    out->precision = (int16_t)(p < s ? s : p);
    out->scale = (int16_t)s;
}

static void decimal_form(const fr_pg_catalog *c, int32_t typmod, fr_pg_codec *out)
{
    if (out->wire == FR_PG_WIRE_NUMERIC) {
        numeric_form(typmod, out);
    } else if (out->wire == FR_PG_WIRE_MONEY) {
        out->precision = 19;
        out->scale = (int16_t)c->money_digits;
    } else {
        out->precision = 20;
    }
}

static fr_rc array_form(const fr_pg_catalog *c, const fr_pg_type *t, fr_pg_codec *out, fr_err *err)
{
    const fr_pg_type *element = NULL;
    int32_t typmod = -1;
    fr_kind kind = FR_TEXT;
    FR_TRY(base_of(c, t->element, &typmod, &element, err));
    out->wire = FR_PG_WIRE_ARRAY;
    out->kind = FR_JSON;
    out->delimiter = t->delimiter;
    if (is_array(element)) /* a domain over an array */
        out->element = FR_PG_WIRE_SERVER_TEXT;
    else
        scalar_form(element, &out->element, &kind);
    if (out->element == FR_PG_WIRE_MONEY)
        out->scale = (int16_t)c->money_digits;
    return FR_OK;
}

fr_rc fr_pg_resolve(const fr_pg_catalog *c, uint32_t oid, int32_t typmod, bool as_text, fr_arena *a,
                    fr_pg_codec *out, fr_str *native_type_out, fr_err *err)
{
    const fr_pg_type *own = fr_pg_catalog_find(c, oid), *t = NULL;
    int32_t base_typmod = typmod;
    FR_TRY(base_of(c, oid, &base_typmod, &t, err));
    if (t->typtype == 'p') {
        fr_fail(err, FR_ERR_DATA, "pseudo-type %.*s", FR_ARG(t->name));
        return fr_fail_code(err, "pg.type_unsupported");
    }
    fr_pg_codec codec = {.oid = oid, .as_text = as_text};
    if (is_array(t))
        FR_TRY(array_form(c, t, &codec, err));
    else
        scalar_form(t, &codec.wire, &codec.kind);
    if (codec.kind == FR_DECIMAL)
        decimal_form(c, base_typmod, &codec);
    if (as_text) {
        codec.kind = FR_TEXT;
        codec.precision = 0;
        if (codec.wire != FR_PG_WIRE_MONEY && codec.wire != FR_PG_WIRE_ARRAY)
            codec.scale = 0;
    }
    codec.toastable = t->length == -1 && t->storage != 'p';
    if (native_type_out != NULL) {
        fr_buf name = {.arena = a};
        fr_pg_type_name(c, own, typmod, &name);
        *native_type_out = fr_buf_view(&name);
    }
    *out = codec;
    return FR_OK;
}

void fr_pg_catalog_describe(const fr_pg_catalog *c, uint32_t oid, int32_t typmod, fr_arena *a,
                            fr_str *base, fr_str *labels)
{
    const fr_pg_type *own = fr_pg_catalog_find(c, oid), *t = NULL;
    fr_err ignored;
    *base = *labels = (fr_str){"", 0};
    if (own == NULL || base_of(c, oid, &typmod, &t, &ignored) != FR_OK)
        return;
    if (own != t) {
        fr_buf name = {.arena = a};
        fr_pg_type_name(c, t, typmod, &name);
        *base = fr_buf_view(&name);
    }
    const fr_str *text = fr_map_get_u64(c->labels, is_array(t) ? t->element : t->oid);
    if (text != NULL)
        *labels = fr_arena_str(a, *text);
}

bool fr_pg_codec_binary_safe(const fr_pg_codec *c)
{
    return c->wire != FR_PG_WIRE_SERVER_TEXT &&
           (c->wire != FR_PG_WIRE_ARRAY || c->element != FR_PG_WIRE_SERVER_TEXT);
}
