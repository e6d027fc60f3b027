/* Which kind goes into which type, and the types of columns that we create. */
#include "sqlite/sq_sink_value.h"
#include <string.h>

/* ---- affinity ---- */

static bool has(fr_str declared, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= declared.len; i++) {
        size_t k = 0;
        while (k < n && (declared.ptr[i + k] & ~0x20) == word[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

fr_sq_affinity fr_sq_affinity_of(fr_str declared, bool strict)
{
    if (strict && has(declared, "ANY"))
        return FR_SQ_NONE;
    if (has(declared, "INT"))
        return FR_SQ_INTEGER;
    if (has(declared, "CHAR") || has(declared, "CLOB") || has(declared, "TEXT"))
        return FR_SQ_TEXT;
    if (declared.len == 0 || has(declared, "BLOB"))
        return strict ? FR_SQ_BYTES : FR_SQ_NONE;
    if (has(declared, "REAL") || has(declared, "FLOA") || has(declared, "DOUB"))
        return FR_SQ_REAL;
    return FR_SQ_NUMERIC;
}

/* ---- into what is there ---- */

typedef struct way {
    fr_sq_send send;
    fr_sq_fit fit;
    const char *why;
} way;

static way fine(fr_sq_send send)
{
    return (way){send, FR_SQ_FIT_FINE, ""};
}

static way never(const char *why)
{
    return (way){FR_SQ_SEND_TEXT, FR_SQ_FIT_NEVER, why};
}

static const char other[] = "another kind of value";
static const char bits53[] = "a floating-point number has 53 bits";
static const char changed[] = "its affinity makes numbers of texts that look like numbers";

/* A column that takes whatever it is given, as the class that the kind has in tables of ours. */
static way as_it_is(fr_kind kind)
{
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
        return fine(FR_SQ_SEND_INT);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return fine(FR_SQ_SEND_REAL);
    case FR_BYTES:
        return fine(FR_SQ_SEND_BLOB);
    default:
        return fine(FR_SQ_SEND_TEXT);
    }
}

static way decimal_into_number(const fr_column *c, fr_sq_affinity to)
{
    if (c->scale <= 0 && to != FR_SQ_REAL)
        return fine(FR_SQ_SEND_DECIMAL);
    if (to == FR_SQ_INTEGER)
        return never("an integer has no fraction");
    if (c->precision > 0 && c->precision <= 15)
        return (way){FR_SQ_SEND_DIGITS, FR_SQ_FIT_LOSSY,
                     "it is kept as a binary fraction, exact to 15 digits"};
    return never("a floating-point number keeps 15 digits");
}

static way into_integer(const fr_column *c)
{
    if (c->kind == FR_BOOL || c->kind == FR_INT32 || c->kind == FR_INT64)
        return fine(FR_SQ_SEND_INT);
    return c->kind == FR_DECIMAL ? decimal_into_number(c, FR_SQ_INTEGER) : never(other);
}

static way into_real(const fr_column *c)
{
    if (c->kind == FR_FLOAT32 || c->kind == FR_FLOAT64 || c->kind == FR_INT32)
        return fine(FR_SQ_SEND_REAL);
    if (c->kind == FR_DECIMAL)
        return decimal_into_number(c, FR_SQ_REAL);
    return c->kind == FR_INT64 ? never(bits53) : never(other);
}

/* DATE, DATETIME, BOOLEAN, DECIMAL(10,2), UUID, JSON, STRING: all of these are NUMERIC to SQLite.
 */
static way into_numeric(const fr_column *c)
{
    switch (c->kind) {
    case FR_DECIMAL:
        return decimal_into_number(c, FR_SQ_NUMERIC);
    case FR_TEXT:
    case FR_JSON:
        return (way){FR_SQ_SEND_WORD, FR_SQ_FIT_LOSSY, changed};
    case FR_BYTES:
        return never(other);
    default: /* times and UUIDs never look like numbers */
        return as_it_is(c->kind);
    }
}

static way way_of(const fr_column *c, const fr_sq_target_column *to)
{
    switch (to->affinity) {
    case FR_SQ_INTEGER:
        return into_integer(c);
    case FR_SQ_NUMERIC:
        return into_numeric(c);
    case FR_SQ_REAL:
        return into_real(c);
    case FR_SQ_TEXT:
        return c->kind == FR_BYTES ? never(other) : fine(FR_SQ_SEND_TEXT);
    case FR_SQ_BYTES:
        return c->kind == FR_BYTES ? fine(FR_SQ_SEND_BLOB) : never(other);
    default:
        return as_it_is(c->kind);
    }
}

fr_sq_fit fr_sq_sink_fit(const fr_column *c, const fr_sq_target_column *to, fr_sq_send *send,
                         const char **why)
{
    way w = way_of(c, to);
    *why = w.why;
    if (w.fit != FR_SQ_FIT_NEVER)
        *send = w.send;
    return w.fit;
}

/* ---- what we create ---- */

static const struct {
    const char *type, *held, *also;
} made[FR_KIND_COUNT] = {
    [FR_BOOL] = {"INTEGER", "0 or 1", "BOOLEAN, NUMERIC, TEXT (`true`, `false`)"},
    [FR_INT32] = {"INTEGER", "exact", "any INT type, NUMERIC, REAL, TEXT"},
    [FR_INT64] = {"INTEGER", "exact", "any INT type, NUMERIC, TEXT"},
    [FR_FLOAT32] = {"REAL", "infinities too; -0 is stored as 0; NaN is an error of its row",
                    "DOUBLE, FLOAT, NUMERIC, TEXT"},
    [FR_FLOAT64] = {"REAL", "the same", "DOUBLE, FLOAT, NUMERIC, TEXT"},
    [FR_DECIMAL] = {"TEXT", "all digits, as many after the point as the column's scale: `-12.30`",
                    "INT types without a fraction (beyond 64 bits an error of its row); DECIMAL, "
                    "NUMERIC, REAL up to 15 digits, with a warning"},
    [FR_TEXT] = {"TEXT", "as it is, U+0000 too",
                 "VARCHAR(n) and the like; NUMERIC (STRING is that), with a warning: what looks "
                 "like a number is an error of its row"},
    [FR_BYTES] = {"BLOB", "as it is", "a column without a type"},
    [FR_JSON] = {"TEXT", "as it is", "as TEXT"},
    [FR_UUID] = {"TEXT", "36 lower-case characters", "UUID, VARCHAR(36)"},
    [FR_DATE] = {"TEXT", "`2026-11-26`, years 0 to 9999", "DATE, DATETIME, VARCHAR(n)"},
    [FR_TIME] = {"TEXT", "`08:26:11` or `08:26:11.402000`; `-00:30:00`, `838:59:59`",
                 "TIME, VARCHAR(n)"},
    [FR_DATETIME] = {"TEXT", "`2026-11-26 08:26:11.402000`, six digits or no point",
                     "DATETIME, TIMESTAMP, VARCHAR(n)"},
    [FR_TIMESTAMP] = {"TEXT", "the same, in UTC", "DATETIME, TIMESTAMP, VARCHAR(n)"},
};

const char *fr_sq_sink_type(fr_kind kind)
{
    return made[kind].type;
}

void fr_sq_sink_types_docs(fr_buf *b)
{
    fr_buf_text(b, "\n# Into SQLite\n\n"
                   "<!-- Generated by gen_types from connectors/sqlite/sq_sink_fit.c: do not edit. "
                   "-->\n\n"
                   "What the SQLite sink makes of each kind (docs/sinks/sqlite.md). Texts of times "
                   "are in the order of\ntheir times, and SQLite's functions read them.\n\n"
                   "| kind | type we create | what is stored | other types it goes into |\n"
                   "|---|---|---|---|\n");
    for (int k = FR_BOOL; k < FR_KIND_COUNT; k++)
        fr_buf_printf(b, "| %s | `%s` | %s | %s |\n", fr_kind_name((fr_kind)k), made[k].type,
                      made[k].held, made[k].also);
}
