/* Which kind goes into which type, and the types of columns that we create. */
#include "duckdb/duck_sink_value.h"
#include <stdio.h>
#include <string.h>

/* ---- how a column is staged ---- */

static bool is_decimal(const fr_column *c)
{
    return c->precision >= 1 && c->precision <= 38 && c->scale >= 0 && c->scale <= c->precision;
}

fr_duck_send fr_duck_sink_send(const fr_column *c)
{
    switch (c->kind) {
    case FR_BOOL:
        return FR_DUCK_SEND_BOOL;
    case FR_INT32:
        return FR_DUCK_SEND_INT;
    case FR_INT64:
        return FR_DUCK_SEND_BIGINT;
    case FR_FLOAT32:
        return FR_DUCK_SEND_FLOAT;
    case FR_FLOAT64:
        return FR_DUCK_SEND_DOUBLE;
    case FR_DECIMAL:
        return is_decimal(c) ? FR_DUCK_SEND_DECIMAL : FR_DUCK_SEND_TEXT;
    case FR_BYTES:
        return FR_DUCK_SEND_BLOB;
    case FR_UUID:
        return FR_DUCK_SEND_UUID;
    case FR_DATE:
        return FR_DUCK_SEND_DATE;
    case FR_TIME:
        return c->span ? FR_DUCK_SEND_INTERVAL : FR_DUCK_SEND_TIME;
    case FR_DATETIME:
        return FR_DUCK_SEND_TIMESTAMP;
    case FR_TIMESTAMP:
        return FR_DUCK_SEND_TIMESTAMPTZ;
    default:
        return FR_DUCK_SEND_TEXT;
    }
}

fr_str fr_duck_sink_staged(fr_arena *a, const fr_column *c)
{
    static const char *const names[] = {[FR_DUCK_SEND_BOOL] = "BOOLEAN",
                                        [FR_DUCK_SEND_INT] = "INTEGER",
                                        [FR_DUCK_SEND_BIGINT] = "BIGINT",
                                        [FR_DUCK_SEND_FLOAT] = "FLOAT",
                                        [FR_DUCK_SEND_DOUBLE] = "DOUBLE",
                                        [FR_DUCK_SEND_TEXT] = "VARCHAR",
                                        [FR_DUCK_SEND_BLOB] = "BLOB",
                                        [FR_DUCK_SEND_UUID] = "UUID",
                                        [FR_DUCK_SEND_DATE] = "DATE",
                                        [FR_DUCK_SEND_TIME] = "TIME",
                                        [FR_DUCK_SEND_INTERVAL] = "INTERVAL",
                                        [FR_DUCK_SEND_TIMESTAMP] = "TIMESTAMP",
                                        [FR_DUCK_SEND_TIMESTAMPTZ] = "TIMESTAMP WITH TIME ZONE"};
    fr_duck_send send = fr_duck_sink_send(c);
    return send == FR_DUCK_SEND_DECIMAL
               ? fr_arena_printf(a, "DECIMAL(%d,%d)", c->precision, c->scale)
               : fr_cstr(names[send]);
}

fr_str fr_duck_sink_type(fr_arena *a, const fr_column *c)
{
    return c->kind == FR_JSON ? FR_STR("JSON") : fr_duck_sink_staged(a, c);
}

/* ---- into what is there ---- */

/* Digits before the point that an integer type holds: all numbers of so many, and some of one more.
 */
static const struct {
    const char *name;
    int digits;
    bool negative;
} integers[] = {{"TINYINT", 2, true},    {"SMALLINT", 4, true},  {"INTEGER", 9, true},
                {"BIGINT", 18, true},    {"HUGEINT", 38, true},  {"UTINYINT", 2, false},
                {"USMALLINT", 4, false}, {"UINTEGER", 9, false}, {"UBIGINT", 19, false},
                {"UHUGEINT", 38, false}};

static int integer_at(fr_str type)
{
    for (int i = 0; i < (int)(sizeof(integers) / sizeof(integers[0])); i++)
        if (fr_str_is(type, integers[i].name))
            return i;
    return -1;
}

static bool decimal_of(fr_str type, int *precision, int *scale)
{
    char text[32];
    if (type.len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", FR_ARG(type));
    return sscanf(text, "DECIMAL(%d,%d)", precision, scale) == 2;
}

/* A number of these digits, before and after the point. bits: INT32 and INT64 are wider than 9 and
 * 18 digits, and narrower than one more. */
static fr_duck_fit number_fit(int before, int after, int bits, fr_str type)
{
    int precision, scale, at = integer_at(type);
    if (at >= 0 && after > 0)
        return integers[at].negative ? FR_DUCK_FIT_NARROW : FR_DUCK_FIT_NEVER;
    if (at >= 0 && !integers[at].negative)
        return FR_DUCK_FIT_PART;
    if (at >= 0 && bits > 0)
        return integers[at].digits >= (bits == 32 ? 9 : 18) ? FR_DUCK_FIT_FINE : FR_DUCK_FIT_NARROW;
    if (at >= 0)
        return integers[at].digits >= before ? FR_DUCK_FIT_FINE : FR_DUCK_FIT_NARROW;
    if (!decimal_of(type, &precision, &scale))
        return FR_DUCK_FIT_NEVER;
    return scale >= after && precision - scale >= before ? FR_DUCK_FIT_FINE : FR_DUCK_FIT_NARROW;
}

static bool any_of(fr_str type, const char *const *names)
{
    for (; *names != NULL; names++)
        if (fr_str_is(type, *names))
            return true;
    return false;
}

static fr_duck_fit fine_if(bool fits)
{
    return fits ? FR_DUCK_FIT_FINE : FR_DUCK_FIT_NEVER;
}

static fr_duck_fit decimal_fit(const fr_column *c, fr_str type)
{
    if (is_decimal(c))
        return number_fit(c->precision - c->scale, c->scale, 0, type);
    return FR_DUCK_FIT_NEVER; /* its digits are not known: VARCHAR */
}

static fr_duck_fit text_fit(fr_str type)
{
    return type.len > 5 && memcmp(type.ptr, "ENUM(", 5) == 0 ? FR_DUCK_FIT_PART : FR_DUCK_FIT_NEVER;
}

fr_duck_fit fr_duck_sink_fit(const fr_column *c, const fr_duck_target_column *to)
{
    fr_str type = to->type;
    if (fr_str_is(type, "VARCHAR"))
        return fine_if(c->kind != FR_BYTES);
    switch (c->kind) {
    case FR_BOOL:
        return fine_if(fr_str_is(type, "BOOLEAN"));
    case FR_INT32:
        if (fr_str_is(type, "DOUBLE"))
            return FR_DUCK_FIT_FINE;
        return number_fit(10, 0, 32, type);
    case FR_INT64:
        return number_fit(19, 0, 64, type);
    case FR_FLOAT32:
        return fine_if(any_of(type, (const char *const[]){"FLOAT", "DOUBLE", NULL}));
    case FR_FLOAT64:
        return fr_str_is(type, "FLOAT") ? FR_DUCK_FIT_NARROW : fine_if(fr_str_is(type, "DOUBLE"));
    case FR_DECIMAL:
        return decimal_fit(c, type);
    case FR_TEXT:
        return text_fit(type);
    case FR_BYTES:
        return fine_if(fr_str_is(type, "BLOB"));
    case FR_JSON:
        return fine_if(fr_str_is(type, "JSON"));
    case FR_UUID:
        return fine_if(fr_str_is(type, "UUID"));
    case FR_DATE:
        return fine_if(fr_str_is(type, "DATE"));
    case FR_TIME:
        return fine_if(fr_str_is(type, c->span ? "INTERVAL" : "TIME"));
    case FR_DATETIME:
        return fine_if(fr_str_is(type, "TIMESTAMP"));
    case FR_TIMESTAMP:
        return fine_if(fr_str_is(type, "TIMESTAMP WITH TIME ZONE"));
    default:
        return FR_DUCK_FIT_NEVER;
    }
}

/* ---- docs/types.md ---- */

static const struct {
    const char *type, *held, *also;
} made[FR_KIND_COUNT] = {
    [FR_BOOL] = {"BOOLEAN", "exact", "VARCHAR"},
    [FR_INT32] = {"INTEGER", "exact",
                  "BIGINT, HUGEINT, DOUBLE, DECIMAL of 10 digits before the point, VARCHAR; "
                  "unsigned types, where a negative number is an error of its row"},
    [FR_INT64] =
        {"BIGINT", "exact",
         "HUGEINT, DECIMAL of 19 digits before the point, VARCHAR; unsigned types as above"},
    [FR_FLOAT32] = {"FLOAT", "as it is: infinities, NaN", "DOUBLE, VARCHAR"},
    [FR_FLOAT64] = {"DOUBLE", "as it is: infinities, NaN", "VARCHAR"},
    [FR_DECIMAL] =
        {"DECIMAL(p,s)",
         "exact, up to 38 digits; wider, or of no declared precision: `VARCHAR`, with all "
         "digits",
         "DECIMAL with as many digits on both sides of the point; without a scale also "
         "BIGINT (18 digits), HUGEINT, and UBIGINT, UHUGEINT, where what does not fit is "
         "an error of its row; VARCHAR"},
    [FR_TEXT] = {"VARCHAR", "as it is, U+0000 too",
                 "ENUM: what is not one of its values is an error of its row"},
    [FR_BYTES] = {"BLOB", "as it is", ""},
    [FR_JSON] = {"JSON", "the text as it is", "VARCHAR"},
    [FR_UUID] = {"UUID", "exact", "VARCHAR"},
    [FR_DATE] = {"DATE", "exact; the years that DuckDB has (to 5881580)", "VARCHAR"},
    [FR_TIME] = {"TIME",
                 "exact, to the microsecond, 00:00:00 to 24:00:00; where a source's column holds "
                 "lengths of time (MySQL's TIME): `INTERVAL`",
                 "VARCHAR"},
    [FR_DATETIME] = {"TIMESTAMP",
                     "exact, to the microsecond; the years that DuckDB has (to 294247)", "VARCHAR"},
    [FR_TIMESTAMP] = {"TIMESTAMP WITH TIME ZONE", "the same, an instant", "VARCHAR, in UTC"},
};

void fr_duck_sink_types_docs(fr_buf *b)
{
    fr_buf_text(b,
                "\n# Into DuckDB\n\n"
                "<!-- Generated by gen_types from connectors/duckdb/duck_sink_fit.c: do not edit. "
                "-->\n\n"
                "What the DuckDB sink makes of each kind (docs/sinks/duckdb.md).\n\n"
                "| kind | type we create | what is stored | other types it goes into |\n"
                "|---|---|---|---|\n");
    for (int k = FR_BOOL; k < FR_KIND_COUNT; k++)
        fr_buf_printf(b, "| %s | `%s` | %s | %s |\n", fr_kind_name((fr_kind)k), made[k].type,
                      made[k].held, made[k].also);
}
