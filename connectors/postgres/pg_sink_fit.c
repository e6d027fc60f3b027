/* Which kind goes into which type. What the server's input functions report loudly is FINE
 * (a text that is no inet, a number too big for smallint); what they would change in
 * silence is not. */
#include "postgres/pg_sink_value.h"
#include <string.h>

enum {
    BOOL = 16,
    BYTEA = 17,
    CHAR = 18,
    NAME = 19,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    OID = 26,
    JSON = 114,
    FLOAT4 = 700,
    FLOAT8 = 701,
    MONEY = FR_PG_MONEY,
    VARCHAR = 1043,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    INTERVAL = 1186,
    TIMETZ = 1266,
    NUMERIC = 1700,
    UUID = 2950,
    JSONB = 3802,
    XID8 = 5069
};

typedef struct way {
    fr_pg_send send;
    bool cast;
    fr_pg_fit fit;
} way;

static way as_is(fr_pg_send send)
{
    return (way){send, false, FR_PG_FIT_FINE};
}

static way by_cast(fr_pg_send send)
{
    return (way){send, true, FR_PG_FIT_FINE};
}

static way narrow(fr_pg_send send)
{
    return (way){send, true, FR_PG_FIT_NARROW};
}

static const way never = {FR_PG_SEND_TEXT, true, FR_PG_FIT_NEVER};

static bool is_texty(const fr_pg_column *to)
{
    return to->category == 'S' && to->type != NAME && to->type != CHAR;
}

static way fit_integer(bool wide, const fr_pg_column *to)
{
    switch (to->type) {
    case INT4:
        return wide ? narrow(FR_PG_SEND_INT8) : as_is(FR_PG_SEND_INT4);
    case INT8:
        return as_is(FR_PG_SEND_INT8);
    case INT2: /* a smallint arrives as INT32 */
        return wide ? narrow(FR_PG_SEND_INT8) : by_cast(FR_PG_SEND_INT4);
    case NUMERIC:
        return by_cast(FR_PG_SEND_INT8);
    case FLOAT8: /* 53 bits */
        return wide ? never : by_cast(FR_PG_SEND_INT4);
    case FLOAT4:
        return never;
    default: /* by text: oid, xid8, an enum, a boolean from tinyint(1), ... */
        if (to->category == 'N' || to->category == 'B' || to->category == 'E')
            return by_cast(FR_PG_SEND_TEXT);
        return to->category == 'U' ? by_cast(FR_PG_SEND_TEXT) : never;
    }
}

static way fit_float(bool wide, const fr_pg_column *to)
{
    switch (to->type) {
    case FLOAT4:
        return wide ? narrow(FR_PG_SEND_FLOAT8) : as_is(FR_PG_SEND_FLOAT4);
    case FLOAT8:
        return as_is(FR_PG_SEND_FLOAT8);
    case NUMERIC:
        return to->typmod < 0 ? by_cast(FR_PG_SEND_TEXT) : never;
    default:
        return never;
    }
}

/* numeric's typmod: (precision << 16 | scale) + 4, the scale in 11 bits with sign since 15. */
static int numeric_scale(int32_t typmod)
{
    int scale = (typmod - 4) & 0x7ff;
    return (scale ^ 1024) - 1024;
}

static int numeric_precision(int32_t typmod)
{
    return ((typmod - 4) >> 16) & 0xffff;
}

static way fit_decimal(const fr_column *c, const fr_pg_column *to)
{
    way w = by_cast(FR_PG_SEND_TEXT);
    if (to->type == NUMERIC && to->typmod >= 0) {
        int scale = numeric_scale(to->typmod), whole = numeric_precision(to->typmod) - scale;
        if (scale < c->scale || whole < c->precision - c->scale)
            w.fit = FR_PG_FIT_NARROW;
        return w;
    }
    if (to->type == NUMERIC)
        return w;
    if (to->type == INT2 || to->type == INT4 || to->type == INT8)
        return c->scale <= 0 ? w : narrow(FR_PG_SEND_TEXT);
    if (to->type == MONEY)
        return c->scale <= 2 ? w : narrow(FR_PG_SEND_TEXT);
    return to->category == 'U' ? w : never;
}

static way fit_text(const fr_pg_column *to)
{
    switch (to->type) {
    case BYTEA:
    case FLOAT4:
    case FLOAT8:
        return never;
    case CHAR:
    case NAME: /* both cut in silence */
        return narrow(FR_PG_SEND_TEXT);
    case NUMERIC: /* one with a scale rounds */
        return to->typmod < 0 ? by_cast(FR_PG_SEND_TEXT) : narrow(FR_PG_SEND_TEXT);
    default:
        return by_cast(FR_PG_SEND_TEXT);
    }
}

static way fit_json(const fr_pg_column *to)
{
    if (to->type == JSON || to->type == JSONB)
        return by_cast(FR_PG_SEND_TEXT);
    return to->category == 'A' ? by_cast(FR_PG_SEND_ARRAY) : never;
}

static way fit_time(fr_kind kind, const fr_pg_column *to)
{
    if (kind == FR_DATE && to->type == DATE)
        return as_is(FR_PG_SEND_DATE);
    if (kind == FR_DATE && to->type == TIMESTAMP)
        return by_cast(FR_PG_SEND_DATE);
    if (kind == FR_TIME && to->type == TIME)
        return as_is(FR_PG_SEND_TIME);
    if (kind == FR_TIME && to->type == INTERVAL)
        return by_cast(FR_PG_SEND_TEXT);
    if (kind == FR_DATETIME && to->type == TIMESTAMP)
        return as_is(FR_PG_SEND_TIMESTAMP);
    if (kind == FR_TIMESTAMP && to->type == TIMESTAMPTZ)
        return as_is(FR_PG_SEND_TIMESTAMPTZ);
    if (kind == FR_TIMESTAMP && to->type == TIMESTAMP) /* the session's zone is UTC */
        return by_cast(FR_PG_SEND_TIMESTAMPTZ);
    return never;
}

/* time(0) and the like round fractions in silence; whether there are any is not known. */
static bool may_round(const fr_column *c, const fr_pg_column *to)
{
    if (c->kind != FR_TIME && c->kind != FR_DATETIME && c->kind != FR_TIMESTAMP)
        return false;
    return to->typmod >= 0 && (to->typmod & 0xffff) < 6;
}

/* PostGIS, in whichever schema it was put. It takes EWKB as bytea. */
static bool is_spatial(const fr_pg_column *to)
{
    static const char *const names[] = {"geometry", "geography"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i]);
        if (to->category != 'U' || to->type_text.len < n)
            continue;
        const char *name = to->type_text.ptr + to->type_text.len - n;
        if (memcmp(name, names[i], n) == 0 && (to->type_text.len == n || name[-1] == '.'))
            return true;
    }
    return false;
}

static way fit_bytes(const fr_pg_column *to)
{
    if (to->type == BYTEA)
        return as_is(FR_PG_SEND_BYTEA);
    return is_spatial(to) ? by_cast(FR_PG_SEND_BYTEA) : never;
}

static way fit_of(const fr_column *c, const fr_pg_column *to)
{
    if (is_texty(to) && c->kind != FR_BYTES)
        return to->type == TEXT ? as_is(FR_PG_SEND_TEXT) : by_cast(FR_PG_SEND_TEXT);
    switch (c->kind) {
    case FR_BOOL:
        return to->type == BOOL ? as_is(FR_PG_SEND_BOOL) : never;
    case FR_INT32:
    case FR_INT64:
        return fit_integer(c->kind == FR_INT64, to);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return fit_float(c->kind == FR_FLOAT64, to);
    case FR_DECIMAL:
        return fit_decimal(c, to);
    case FR_TEXT:
        return fit_text(to);
    case FR_JSON:
        return fit_json(to);
    case FR_BYTES:
        return fit_bytes(to);
    case FR_UUID:
        return to->type == UUID ? as_is(FR_PG_SEND_UUID) : never;
    default:
        return fit_time(c->kind, to);
    }
}

fr_pg_fit fr_pg_sink_fit(const fr_column *c, const fr_pg_column *to, fr_pg_send *send, bool *cast)
{
    way w = fit_of(c, to);
    if (w.fit == FR_PG_FIT_NEVER)
        return w.fit;
    *send = w.send;
    *cast = w.cast;
    return w.fit == FR_PG_FIT_FINE && may_round(c, to) ? FR_PG_FIT_LOSSY : w.fit;
}

bool fr_pg_sink_exact_key(const fr_column *c, const fr_pg_column *to)
{
    if (to->category == 'S') /* not citext, char(n) */
        return (to->type == TEXT || to->type == VARCHAR) && !to->loose;
    switch (c->kind) {
    case FR_TEXT: /* '1' and '01' are one number */
        return to->category == 'E';
    case FR_INT32:
    case FR_INT64:
        return to->category != 'B';
    case FR_BYTES:
        return to->type == BYTEA;
    case FR_FLOAT32: /* 0 and -0 */
    case FR_FLOAT64:
    case FR_JSON:
        return false;
    default:
        return true;
    }
}

int64_t fr_pg_sink_unit(const fr_column *c, const fr_pg_column *to)
{
    int64_t unit = 1;
    if (!may_round(c, to))
        return 0;
    for (int digits = to->typmod & 0xffff; digits < 6; digits++)
        unit *= 10;
    return unit;
}

/* ---- the types of columns that we create ---- */

/* Types that a source may name and that are kept: what the value's text means there, it
 * means here. */
static const char *const kept[] = {
    "inet",     "cidr",     "macaddr",     "macaddr8",  "interval",
    "xml",      "tsvector", "tsquery",     "int4range", "int8range",
    "numrange", "tsrange",  "tstzrange",   "daterange", "point",
    "line",     "lseg",     "box",         "path",      "polygon",
    "circle",   "pg_lsn",   "bit varying", "jsonpath",  "time with time zone",
};
static const char *const kept_elements[] = {
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "text",
    "uuid",
    "date",
    "inet",
    "json",
    "jsonb",
    "time without time zone",
    "timestamp without time zone",
    "timestamp with time zone",
};

static const char *one_of(const char *const *names, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_is(name, names[i]))
            return names[i];
    return NULL;
}

static fr_str json_type(fr_arena *a, const fr_column *c)
{
    fr_str native = c->native_type;
    if (c->key_ordinal > 0)
        return FR_STR("text"); /* json has no equality */
    if (fr_str_is(native, "jsonb"))
        return FR_STR("jsonb");
    if (native.len > 2 && memcmp(native.ptr + native.len - 2, "[]", 2) == 0) {
        native.len -= 2;
        const char *element =
            one_of(kept_elements, sizeof(kept_elements) / sizeof(*kept_elements), native);
        if (element != NULL)
            return fr_arena_printf(a, "%s[]", element);
    }
    return FR_STR("json"); /* keeps the text as it is, which jsonb does not */
}

fr_str fr_pg_sink_type(fr_arena *a, const fr_column *c)
{
    static const char *const names[FR_KIND_COUNT] = {
        [FR_BOOL] = "boolean",
        [FR_INT32] = "integer",
        [FR_INT64] = "bigint",
        [FR_FLOAT32] = "real",
        [FR_FLOAT64] = "double precision",
        [FR_DECIMAL] = "numeric",
        [FR_TEXT] = "text",
        [FR_BYTES] = "bytea",
        [FR_UUID] = "uuid",
        [FR_DATE] = "date",
        [FR_TIME] = "time without time zone",
        [FR_DATETIME] = "timestamp without time zone",
        [FR_TIMESTAMP] = "timestamp with time zone",
    };
    if (c->kind == FR_JSON)
        return json_type(a, c);
    if (c->kind == FR_TIME && c->span)
        return FR_STR("interval");
    if (c->kind == FR_TEXT) {
        const char *native = one_of(kept, sizeof(kept) / sizeof(*kept), c->native_type);
        return fr_cstr(native != NULL ? native : "text");
    }
    if (c->kind == FR_DECIMAL && c->precision > 0 && c->precision <= 1000 && c->scale >= 0 &&
        c->scale <= c->precision)
        return fr_arena_printf(a, "numeric(%d,%d)", c->precision, c->scale);
    return fr_cstr(names[c->kind]);
}

fr_str fr_pg_sink_wider(fr_arena *a, const fr_column *c, const fr_pg_column *to)
{
    if (c->kind != FR_DECIMAL || to->type != NUMERIC || to->typmod < 0)
        return fr_pg_sink_type(a, c);
    int scale = numeric_scale(to->typmod), whole = numeric_precision(to->typmod) - scale;
    scale = scale > c->scale ? scale : c->scale;
    whole = whole > c->precision - c->scale ? whole : c->precision - c->scale;
    if (scale < 0 || scale + whole > 1000)
        return FR_STR("numeric");
    return fr_arena_printf(a, "numeric(%d,%d)", scale + whole, scale);
}
