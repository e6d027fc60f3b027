#include "clickhouse/ch_type.h"
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static const struct {
    const char *name;
    fr_ch_base base;
    int size;
} plain[] = {
    {"Bool", FR_CH_BOOL, 1},     {"Int8", FR_CH_INT, 1},          {"Int16", FR_CH_INT, 2},
    {"Int32", FR_CH_INT, 4},     {"Int64", FR_CH_INT, 8},         {"Int128", FR_CH_INT, 16},
    {"Int256", FR_CH_INT, 32},   {"UInt8", FR_CH_UINT, 1},        {"UInt16", FR_CH_UINT, 2},
    {"UInt32", FR_CH_UINT, 4},   {"UInt64", FR_CH_UINT, 8},       {"UInt128", FR_CH_UINT, 16},
    {"UInt256", FR_CH_UINT, 32}, {"Float32", FR_CH_FLOAT32, 4},   {"Float64", FR_CH_FLOAT64, 8},
    {"String", FR_CH_STRING, 0}, {"UUID", FR_CH_UUID, 16},        {"Date", FR_CH_DATE, 2},
    {"Date32", FR_CH_DATE32, 4}, {"DateTime", FR_CH_DATETIME, 4},
};

/* What is between NAME( and the last parenthesis; ptr NULL: it is not that. */
static fr_str within(fr_str text, const char *name)
{
    size_t n = strlen(name);
    if (text.len < n + 2 || memcmp(text.ptr, name, n) != 0 || text.ptr[n] != '(' ||
        text.ptr[text.len - 1] != ')')
        return (fr_str){NULL, 0};
    return (fr_str){text.ptr + n + 1, text.len - n - 2};
}

/* A number at the beginning; -1: there is none. *rest: behind it and ", ". */
static int leading_number(fr_str text, fr_str *rest)
{
    size_t i = 0;
    int n = 0;
    while (i < text.len && i < 6 && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        n = n * 10 + (text.ptr[i++] - '0');
    if (i == 0 || (i < text.len && text.ptr[i] != ','))
        return -1;
    size_t skip = i;
    while (skip < text.len && (text.ptr[skip] == ',' || text.ptr[skip] == ' '))
        skip++;
    *rest = (fr_str){text.ptr + skip, text.len - skip};
    return n;
}

static void put_bound(fr_ch_type *t)
{
    t->bound[0] = 1;
    for (int n = 0; n < t->precision; n++) {
        uint64_t carry = 0;
        for (int i = 0; i < FR_CH_WORDS; i++) {
            carry += (uint64_t)t->bound[i] * 10;
            t->bound[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

static void read_decimal(fr_str args, fr_ch_type *t)
{
    fr_str rest;
    int precision = leading_number(args, &rest);
    int scale = precision >= 0 ? leading_number(rest, &rest) : -1;
    if (precision < 1 || precision > 76 || scale < 0 || scale > precision)
        return;
    t->base = FR_CH_DECIMAL;
    t->precision = precision;
    t->scale = scale;
    t->size = precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32;
    put_bound(t);
}

static void read_inner(fr_str text, fr_ch_type *t)
{
    fr_str args, rest;
    t->inner = text;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (!fr_str_is(text, plain[i].name))
            continue;
        t->base = plain[i].base;
        t->size = plain[i].size;
        return;
    }
    if ((args = within(text, "Decimal")).ptr != NULL) {
        read_decimal(args, t);
    } else if ((args = within(text, "DateTime64")).ptr != NULL) {
        int scale = leading_number(args, &rest);
        if (scale < 0 || scale > 9)
            return;
        t->base = FR_CH_DATETIME64;
        t->scale = scale;
        t->size = 8;
    } else if (within(text, "DateTime").ptr != NULL) {
        t->base = FR_CH_DATETIME;
        t->size = 4;
    } else if ((args = within(text, "FixedString")).ptr != NULL) {
        int size = leading_number(args, &rest);
        t->base = size > 0 ? FR_CH_FIXED : FR_CH_OTHER;
        t->size = size;
    }
}

fr_ch_type fr_ch_type_of(fr_str text)
{
    fr_ch_type t = {.base = FR_CH_OTHER};
    fr_str args = within(text, "LowCardinality");
    t.low_cardinality = args.ptr != NULL;
    if (t.low_cardinality)
        text = args;
    args = within(text, "Nullable");
    t.nullable = args.ptr != NULL;
    if (t.nullable)
        text = args;
    read_inner(text, &t);
    t.may_be_null = t.base != FR_CH_OTHER;
    return t;
}

/* ---- what goes into what ---- */

typedef struct way {
    fr_ch_fit fit;
    const char *why;
} way;

static const way fine = {FR_CH_FIT_FINE, ""};
static const way other = {FR_CH_FIT_NEVER, "another kind of value"};
static const way range = {FR_CH_FIT_LOSSY, "rows with values beyond its range are refused"};
static const way digits = {FR_CH_FIT_NEVER, "digits after the point would be lost"};
static const way bits = {FR_CH_FIT_NEVER, "a floating-point number would round it"};

/* Decimal digits before the point that every value of the kind has at most. */
static int whole_digits(const fr_column *c)
{
    switch (c->kind) {
    case FR_BOOL:
        return 1;
    case FR_INT32:
        return 10;
    case FR_INT64:
        return 19;
    case FR_DECIMAL:
        return c->precision > 0 ? c->precision - c->scale : 1000;
    default:
        return -1;
    }
}

static way into_int(const fr_column *c, const fr_ch_type *to)
{
    static const int holds[] = {[1] = 2, [2] = 4, [4] = 9, [8] = 18, [16] = 38, [32] = 76};
    int whole = whole_digits(c);
    if (whole < 0)
        return other;
    if (c->kind == FR_DECIMAL && c->scale > 0)
        return digits;
    bool same = (c->kind == FR_INT32 && to->size >= 4) || (c->kind == FR_INT64 && to->size >= 8);
    if (to->base == FR_CH_INT && (same || whole <= holds[to->size]))
        return fine;
    return c->kind == FR_BOOL ? fine : range;
}

static way into_decimal(const fr_column *c, const fr_ch_type *to)
{
    int whole = whole_digits(c);
    if (whole < 0)
        return other;
    if (c->kind == FR_DECIMAL && c->scale > to->scale)
        return digits;
    return whole <= to->precision - to->scale ? fine : range;
}

static way into_float(const fr_column *c, const fr_ch_type *to)
{
    if (c->kind == FR_FLOAT32 || (c->kind == FR_FLOAT64 && to->base == FR_CH_FLOAT64))
        return fine;
    if (c->kind == FR_INT32 && to->base == FR_CH_FLOAT64)
        return fine;
    return c->kind == FR_FLOAT64 || whole_digits(c) >= 0 ? bits : other;
}

static way into_time(const fr_column *c, const fr_ch_type *to)
{
    bool instant = c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP;
    switch (to->base) {
    case FR_CH_DATE32:
        return c->kind == FR_DATE ? fine : other;
    case FR_CH_DATE:
        return c->kind == FR_DATE ? range : other;
    case FR_CH_DATETIME64:
        return !instant ? other : to->scale == 6 ? fine : range;
    default:
        return instant ? range : other;
    }
}

static way into_fixed(const fr_column *c)
{
    static const way length = {FR_CH_FIT_LOSSY, "rows with values of another length are refused"};
    return c->kind == FR_TEXT || c->kind == FR_BYTES || c->kind == FR_UUID ? length : other;
}

static way way_of(const fr_column *c, const fr_ch_type *to)
{
    static const way unknown = {FR_CH_FIT_NEVER, "a type that this sink does not write"};
    switch (to->base) {
    case FR_CH_OTHER:
        return unknown;
    case FR_CH_BOOL:
        return c->kind == FR_BOOL ? fine : other;
    case FR_CH_INT:
    case FR_CH_UINT:
        return into_int(c, to);
    case FR_CH_FLOAT32:
    case FR_CH_FLOAT64:
        return into_float(c, to);
    case FR_CH_DECIMAL:
        return into_decimal(c, to);
    case FR_CH_STRING:
        return fine;
    case FR_CH_FIXED:
        return into_fixed(c);
    case FR_CH_UUID:
        return c->kind == FR_UUID ? fine : other;
    default:
        return into_time(c, to);
    }
}

fr_ch_fit fr_ch_fit_of(const fr_column *c, const fr_ch_type *to, const char **why)
{
    way w = way_of(c, to);
    *why = w.why;
    return w.fit;
}

static int int_digits(const fr_ch_type *t)
{
    static const int most[] = {[1] = 3, [2] = 5, [4] = 10, [8] = 20, [16] = 39, [32] = 78};
    return most[t->size];
}

bool fr_ch_widens(const fr_ch_type *from, const fr_ch_type *to)
{
    bool number = from->base == FR_CH_INT || from->base == FR_CH_UINT;
    if (from->nullable && !to->nullable)
        return false;
    switch (to->base) {
    case FR_CH_INT:
        return (from->base == FR_CH_INT && to->size >= from->size) ||
               (from->base == FR_CH_UINT && to->size > from->size);
    case FR_CH_FLOAT64:
        return from->base == FR_CH_FLOAT32 || (number && from->size <= 4);
    case FR_CH_DECIMAL:
        if (number)
            return from->size <= 8 && to->precision - to->scale >= int_digits(from);
        return from->base == FR_CH_DECIMAL && to->scale >= from->scale &&
               to->precision - to->scale >= from->precision - from->scale;
    case FR_CH_STRING:
        return number || from->base == FR_CH_UUID;
    case FR_CH_DATE32:
        return from->base == FR_CH_DATE;
    case FR_CH_DATETIME64:
        return from->base == FR_CH_DATETIME ||
               (from->base == FR_CH_DATETIME64 && to->scale >= from->scale && to->scale <= 6);
    default:
        return false;
    }
}

/* ---- what we create ---- */

static const struct {
    const char *type, *held, *also;
} made[FR_KIND_COUNT] = {
    [FR_BOOL] = {"Bool", "true, false", "integers, Decimal, String (`true`, `false`)"},
    [FR_INT32] = {"Int32", "exact", "all integers (range is checked), Decimal, Float64, String"},
    [FR_INT64] = {"Int64", "exact", "all integers (range is checked), Decimal, String"},
    [FR_FLOAT32] = {"Float32", "all bits, NaN and infinities too", "Float64, String"},
    [FR_FLOAT64] = {"Float64", "the same", "String"},
    [FR_DECIMAL] = {"Decimal(P, S)",
                    "exact; `String` above 76 digits, or where their number is not "
                    "known",
                    "a wider Decimal, integers where S is 0, String (`-12.30`)"},
    [FR_TEXT] = {"String", "as it is, U+0000 too", "FixedString(N) of exactly that many bytes"},
    [FR_BYTES] = {"String", "as it is", "FixedString(N)"},
    [FR_JSON] = {"String", "as it is", ""},
    [FR_UUID] = {"UUID", "", "String, FixedString(36)"},
    [FR_DATE] = {"Date32", "1900-01-01 to 2299-12-31; others are errors of their rows",
                 "Date (1970-01-01 to 2149-06-06), String"},
    [FR_TIME] = {"String", "`08:26:11` or `08:26:11.402000`; `-00:30:00`, `838:59:59`", ""},
    [FR_DATETIME] =
        {"DateTime64(6, 'UTC')",
         "its digits, as if they were UTC; 1900 to 2299, others are errors of their rows",
         "DateTime64(N), DateTime (a fraction that would be lost is an error), String"},
    [FR_TIMESTAMP] = {"DateTime64(6, 'UTC')", "the instant; 1900 to 2299", "the same"},
};

fr_str fr_ch_made_type(fr_arena *a, const fr_column *c, bool nullable)
{
    fr_str type = fr_cstr(made[c->kind].type);
    if (c->kind == FR_DECIMAL) {
        int precision = c->precision > c->scale ? c->precision : c->scale;
        type = c->precision < 1 || precision > 76 || c->scale < 0
                   ? FR_STR("String")
                   : fr_arena_printf(a, "Decimal(%d, %d)", precision, c->scale);
    }
    return nullable ? fr_arena_printf(a, "Nullable(%.*s)", FR_ARG(type)) : type;
}

void fr_ch_sink_types_docs(fr_buf *b)
{
    fr_buf_text(b,
                "\n# Into ClickHouse\n\n"
                "<!-- Generated by gen_types from connectors/clickhouse/ch_type.c: do not edit. "
                "-->\n\n"
                "What the ClickHouse sink makes of each kind (docs/sinks/clickhouse.md). A column "
                "that is in no key and may be\nnull is Nullable(T); LowCardinality is written "
                "like what is in it. Any other type is refused.\n\n"
                "| kind | type we create | what is stored | other types it goes into |\n"
                "|---|---|---|---|\n");
    for (int k = FR_BOOL; k < FR_KIND_COUNT; k++)
        fr_buf_printf(b, "| %s | `%s` | %s | %s |\n", fr_kind_name((fr_kind)k), made[k].type,
                      made[k].held, made[k].also);
}
