#include "connectors/sqlite/sq_value.h"
#include "connectors/sqlite/sq_conn.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
static const double JULIAN_1970 = 2440587.5;
static const double DAY_US = 86400e6;
static const int64_t EXACT = INT64_C(1) << 53; /* whole numbers up to here are exact doubles */

/* ---- what is wrong ---- */

static const char *class_name(int class)
{
    switch (class) {
    case SQLITE_INTEGER:
        return "INTEGER";
    case SQLITE_FLOAT:
        return "REAL";
    case SQLITE_TEXT:
        return "TEXT";
    case SQLITE_BLOB:
        return "BLOB";
    default:
        return "NULL";
    }
}

static fr_rc wrong_class(const fr_sq_column *c, const fr_sq_cell *cell, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "a value of storage class %s, which is no %s",
            class_name(cell->class), fr_kind_name(c->kind));
    fr_fail_code(err, "sqlite.value.class");
    return fr_fail_hint(err,
                        "correct the row, and make the table STRICT or give the column a CHECK "
                        "(typeof(...)); or say what the column is: columns.types: {%.*s: string}",
                        FR_ARG(c->name));
}

static fr_rc bad(const char *code, const char *what, const char *hint, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

/* ---- numbers ---- */

/* d.ddddde+xx as plain digits. */
static fr_str without_exponent(fr_arena *a, const char *text)
{
    fr_buf b = {.arena = a};
    char digits[32];
    size_t n = 0;
    const char *e = strchr(text, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    for (const char *at = text; at < e; at++)
        if (*at >= '0' && *at <= '9')
            digits[n++] = *at;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (*text == '-')
        fr_buf_u8(&b, '-');
    for (int i = exponent < 0 ? exponent : 0; i < (int)n || i <= exponent; i++) {
        if (i == exponent + 1)
            fr_buf_u8(&b, '.');
        fr_buf_u8(&b, i >= 0 && i < (int)n ? (uint8_t)digits[i] : '0');
    }
    return fr_buf_view(&b);
}

bool fr_sq_real_text(fr_arena *a, double v, fr_str *out)
{
    char text[40];
    if (!isfinite(v))
        return false;
    for (int digits = 14; digits <= 16; digits++) { /* behind the first */
        snprintf(text, sizeof(text), "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    *out = without_exponent(a, text);
    return true;
}

/* The digits of a number; ptr NULL: it is none. */
static fr_rc number_text(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_str *out,
                         fr_err *err)
{
    if (cell->class == SQLITE_INTEGER)
        *out = fr_arena_printf(a, "%" PRId64, cell->integer);
    else if (cell->class != SQLITE_FLOAT)
        return wrong_class(c, cell, err);
    else if (!fr_sq_real_text(a, cell->real, out))
        return bad("sqlite.value.infinite", "an infinity, which has no digits", "correct the row",
                   err);
    return FR_OK;
}

static fr_rc decimal(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                     fr_err *err)
{
    fr_str digits = cell->bytes;
    if (cell->class != SQLITE_TEXT)
        FR_TRY(number_text(c, cell, a, &digits, err));
    if (fr_decimal_from_text(a, digits, c->precision, c->scale, &out->bytes, err) == FR_FAIL) {
        fr_fail_code(err, "sqlite.value.decimal");
        return fr_fail_hint(err,
                            "correct the row; or declare more digits, columns.types: {%.*s: "
                            "decimal(p,s)}, or string",
                            FR_ARG(c->name));
    }
    return FR_OK;
}

static fr_rc real(const fr_sq_column *c, const fr_sq_cell *cell, fr_value *out, fr_err *err)
{
    bool exact = cell->class == SQLITE_INTEGER && cell->integer >= -EXACT && cell->integer <= EXACT;
    if (cell->class != SQLITE_FLOAT && !exact)
        return wrong_class(c, cell, err);
    out->real = exact ? (double)cell->integer : cell->real;
    return FR_OK;
}

static fr_rc boolean(const fr_sq_column *c, const fr_sq_cell *cell, fr_value *out, fr_err *err)
{
    if (cell->class != SQLITE_INTEGER)
        return wrong_class(c, cell, err);
    if (cell->integer != 0 && cell->integer != 1)
        return bad("sqlite.value.boolean", "a number that is neither 0 nor 1",
                   "correct the row; or columns.types: {COLUMN: long}", err);
    out->boolean = cell->integer == 1;
    return FR_OK;
}

/* ---- texts ---- */

static fr_rc text(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                  fr_err *err)
{
    bool numbers = c->form == FR_SQ_ANY || c->kind == FR_JSON;
    if (cell->class != SQLITE_TEXT && numbers)
        return number_text(c, cell, a, &out->bytes, err);
    if (cell->class != SQLITE_TEXT)
        return wrong_class(c, cell, err);
    if (!fr_utf8_valid(cell->bytes))
        return bad("sqlite.value.utf8", "a text that is no UTF-8",
                   "correct the row: store bytes as BLOB", err);
    if (c->ordered && memchr(cell->bytes.ptr, 0, cell->bytes.len) != NULL)
        return bad("sqlite.value.nul", "a key or cursor with a zero byte in it", "correct the row",
                   err);
    out->bytes = fr_arena_str(a, cell->bytes);
    return FR_OK;
}

static fr_rc uuid(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                  fr_err *err)
{
    fr_str s = cell->bytes;
    if (cell->class != SQLITE_TEXT)
        return wrong_class(c, cell, err);
    bool good = s.len == 36;
    for (size_t i = 0; good && i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        good = dash ? s.ptr[i] == '-'
                    : fr_hex_digit(s.ptr[i]) >= 0 && (s.ptr[i] < 'A' || s.ptr[i] > 'F');
    }
    if (!good)
        return bad("sqlite.value.uuid", "a text that is no UUID of 36 lower-case characters",
                   "correct the row; or columns.types: {COLUMN: string}", err);
    out->bytes = fr_arena_str(a, s);
    return FR_OK;
}

static fr_rc bytes(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                   fr_err *err)
{
    if (cell->class != SQLITE_BLOB)
        return wrong_class(c, cell, err);
    out->bytes = fr_arena_str(a, cell->bytes);
    return FR_OK;
}

/* ---- times ---- */

static fr_rc number_time(const fr_sq_column *c, const fr_sq_cell *cell, fr_value *out, fr_err *err)
{
    int64_t unit = c->form == FR_SQ_SECONDS ? SECOND : c->form == FR_SQ_MILLIS ? 1000 : 1;
    if (c->form == FR_SQ_JULIAN) {
        double us = (cell->real - JULIAN_1970) * DAY_US;
        if (cell->class != SQLITE_FLOAT)
            return wrong_class(c, cell, err);
        if (!(us > -1e17 && us < 1e18))
            return bad("sqlite.value.time", "a day that no calendar has", "correct the row", err);
        out->integer = llround(us);
        return FR_OK;
    }
    if (cell->class != SQLITE_INTEGER)
        return wrong_class(c, cell, err);
    if (__builtin_mul_overflow(cell->integer, unit, &out->integer))
        return bad("sqlite.value.time", "a time beyond 64 bits of microseconds",
                   "correct the row, or the unit in columns.types", err);
    return FR_OK;
}

/* What a page is ordered by is compared as text: all must be of one form. */
static fr_rc in_order(const fr_sq_column *c, const fr_sq_clock *form, fr_err *err)
{
    fr_sq_clock clock = c->clock;
    if (!c->ordered)
        return FR_OK;
    if (fr_sq_clock_take(&clock, form))
        return fr_sq_clock_same(&clock, &c->clock) ? FR_OK : FR_IDLE;
    fr_fail(err, FR_ERR_DATA,
            "a time in another form than the others of the column, so that texts do not sort as "
            "times do");
    fr_fail_code(err, "sqlite.time_form");
    return fr_fail_hint(err,
                        "bring all of them into one form, and keep it by a CHECK; or poll a number "
                        "(columns.types: unix-millis)");
}

static fr_rc text_time(const fr_sq_column *c, const fr_sq_cell *cell, fr_value *out, fr_err *err)
{
    fr_sq_clock form;
    if (cell->class != SQLITE_TEXT)
        return wrong_class(c, cell, err);
    if (c->kind == FR_DATE)
        return fr_sq_date(cell->bytes, &out->integer, err);
    if (c->kind == FR_TIME)
        return fr_sq_time_of_day(cell->bytes, &out->integer, err);
    FR_TRY(fr_sq_moment(cell->bytes, &out->integer, &form, err));
    if (c->kind == FR_DATETIME && form.zone[0] != '\0')
        return bad("sqlite.value.zone", "a time with a zone in a column without",
                   "columns.types: {COLUMN: timestamp}", err);
    return in_order(c, &form, err);
}

/* ---- all ---- */

fr_rc fr_sq_decode(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                   fr_err *err)
{
    fr_value v = {.kind = c->kind};
    fr_rc rc = FR_OK;
    switch (c->kind) {
    case FR_BOOL:
        rc = boolean(c, cell, &v, err);
        break;
    case FR_INT64:
        rc = cell->class == SQLITE_INTEGER ? FR_OK : wrong_class(c, cell, err);
        v.integer = cell->integer;
        break;
    case FR_FLOAT64:
        rc = real(c, cell, &v, err);
        break;
    case FR_DECIMAL:
        rc = decimal(c, cell, a, &v, err);
        break;
    case FR_BYTES:
        rc = bytes(c, cell, a, &v, err);
        break;
    case FR_UUID:
        rc = uuid(c, cell, a, &v, err);
        break;
    case FR_TEXT:
    case FR_JSON:
        rc = text(c, cell, a, &v, err);
        break;
    default:
        rc = c->form == FR_SQ_PLAIN ? text_time(c, cell, &v, err) : number_time(c, cell, &v, err);
        break;
    }
    FR_TRY(rc);
    *out = v;
    return rc;
}

/* ---- SQL ---- */

static fr_str hex_text(fr_arena *a, fr_str s)
{
    fr_buf b = {.arena = a};
    fr_buf_hex(&b, s);
    return fr_buf_view(&b);
}

static fr_str time_text(fr_arena *a, const fr_sq_column *c, int64_t us)
{
    switch (c->form) {
    case FR_SQ_SECONDS:
        return fr_arena_printf(a, "%" PRId64, us / SECOND);
    case FR_SQ_MILLIS:
        return fr_arena_printf(a, "%" PRId64, us / 1000);
    case FR_SQ_MICROS:
        return fr_arena_printf(a, "%" PRId64, us);
    case FR_SQ_JULIAN:
        return fr_arena_printf(a, "%.17g", (double)us / DAY_US + JULIAN_1970);
    default:
        return fr_sq_clock_text(a, &c->clock, us);
    }
}

fr_str fr_sq_value_text(fr_arena *a, const fr_sq_column *c, const fr_value *v)
{
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean ? FR_STR("1") : FR_STR("0");
    case FR_INT64:
        return fr_arena_printf(a, "%" PRId64, v->integer);
    case FR_FLOAT64:
        return fr_arena_printf(a, "%.17g", v->real);
    case FR_DECIMAL:
        return fr_decimal_to_text(a, v->bytes, c->scale);
    case FR_BYTES:
        return hex_text(a, v->bytes);
    case FR_DATE:
        return fr_date_text(a, v->integer);
    case FR_TIME:
        return fr_time_of_day_text(a, v->integer);
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return time_text(a, c, v->integer);
    default:
        return v->bytes;
    }
}

static bool only(fr_str s, const char *allowed)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\0' || strchr(allowed, s.ptr[i]) == NULL)
            return false;
    return true;
}

static bool put_number(fr_buf *b, fr_str text)
{
    fr_buf_str(b, text);
    return text.len > 0 && only(text, "0123456789.-+eE");
}

bool fr_sq_put_value(fr_buf *b, const fr_sq_column *c, fr_str s)
{
    bool timed = c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP;
    if (c->kind == FR_BOOL || c->kind == FR_INT64 || c->kind == FR_FLOAT64 ||
        c->kind == FR_DECIMAL || (timed && c->form != FR_SQ_PLAIN))
        return put_number(b, s);
    if (c->kind == FR_BYTES) {
        fr_buf_printf(b, "x'%.*s'", FR_ARG(s));
        return s.len % 2 == 0 && only(s, "0123456789abcdef");
    }
    fr_arena *a = fr_arena_new(256);
    fr_buf_str(b, fr_sq_literal(a, s));
    fr_arena_free(a);
    return true;
}
