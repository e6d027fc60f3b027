#include "sqlite/sq_sink_value.h"
#include "sql/text.h"
#include <math.h>
#include <string.h>

/* ---- what looks like a number ---- */

static size_t skip(fr_str text, size_t at, const char *set)
{
    while (at < text.len && text.ptr[at] != '\0' && strchr(set, text.ptr[at]) != NULL)
        at++;
    return at;
}

static bool is_sign(fr_str text, size_t at)
{
    return at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+');
}

/* As sqlite3AtoF reads them: blanks around it are passed over. */
bool fr_sq_is_number(fr_str text)
{
    static const char digits[] = "0123456789", blanks[] = " \t\n\v\f\r";
    size_t at = skip(text, 0, blanks);
    at += is_sign(text, at);
    size_t whole = skip(text, at, digits), count = whole - at;
    at = whole;
    if (at < text.len && text.ptr[at] == '.') {
        size_t end = skip(text, at + 1, digits);
        count += end - at - 1;
        at = end;
    }
    if (count == 0)
        return false;
    if (at < text.len && (text.ptr[at] | 0x20) == 'e') {
        size_t from = at + 1 + is_sign(text, at + 1), end = skip(text, from, digits);
        if (end == from)
            return false;
        at = end;
    }
    return skip(text, at, blanks) == text.len;
}

/* ---- parameters ---- */

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

/* SQLite's own functions know these years only, and texts beyond them are in another order. */
static fr_rc check_date(const fr_column *c, const fr_value *v, fr_err *err)
{
    const int64_t day = INT64_C(86400000000), first = fr_days_from_civil(0, 1, 1),
                  last = fr_days_from_civil(9999, 12, 31);
    int64_t days = v->integer;
    if (v->kind == FR_DATETIME || v->kind == FR_TIMESTAMP)
        days = v->integer / day - (v->integer % day < 0);
    if (days < first || days > last)
        return no_such_value(err, c, "dates in SQLite are of the years 0 to 9999");
    return FR_OK;
}

static bool is_date(fr_kind kind)
{
    return kind == FR_DATE || kind == FR_DATETIME || kind == FR_TIMESTAMP;
}

static fr_rc bind_text(sqlite3_stmt *stmt, int at, fr_sq_send send, fr_arena *a, const fr_column *c,
                       const fr_value *v, fr_err *err)
{
    fr_str text = v->bytes;
    if (v->kind != FR_TEXT && v->kind != FR_JSON && v->kind != FR_UUID) {
        fr_buf b = {.arena = a};
        if (is_date(v->kind))
            FR_TRY(check_date(c, v, err));
        if ((v->kind == FR_FLOAT32 || v->kind == FR_FLOAT64) && isnan(v->real))
            return no_such_value(err, c, "NaN is no value of SQLite");
        fr_sql_put_value(&b, c, v);
        text = fr_buf_view(&b);
    }
    if (send == FR_SQ_SEND_WORD && fr_sq_is_number(text))
        return no_such_value(err, c,
                             "a text that looks like a number, and the target's column would make "
                             "one of it: declare it TEXT");
    sqlite3_bind_text64(stmt, at, text.len > 0 ? text.ptr : "", text.len, SQLITE_STATIC,
                        SQLITE_UTF8);
    return FR_OK;
}

static fr_rc bind_decimal(sqlite3_stmt *stmt, int at, const fr_column *c, fr_str unscaled,
                          fr_err *err)
{
    if (unscaled.len > 8)
        return no_such_value(err, c, "the number has more than 64 bits");
    uint64_t bits = unscaled.len > 0 && ((unsigned char)unscaled.ptr[0] & 0x80) ? UINT64_MAX : 0;
    for (size_t i = 0; i < unscaled.len; i++)
        bits = bits << 8 | (uint8_t)unscaled.ptr[i];
    sqlite3_bind_int64(stmt, at, (int64_t)bits);
    return FR_OK;
}

static fr_rc bind_real(sqlite3_stmt *stmt, int at, const fr_column *c, const fr_value *v,
                       fr_err *err)
{
    bool real = v->kind == FR_FLOAT32 || v->kind == FR_FLOAT64;
    if (real && isnan(v->real))
        return no_such_value(err, c, "NaN is no value of SQLite, which would make NULL of it");
    sqlite3_bind_double(stmt, at, real ? v->real : (double)v->integer);
    return FR_OK;
}

fr_rc fr_sq_sink_bind(sqlite3_stmt *stmt, int at, fr_sq_send send, fr_arena *a, const fr_column *c,
                      const fr_value *v, fr_err *err)
{
    if (v->kind == FR_NULL || v->kind == FR_ABSENT) {
        sqlite3_bind_null(stmt, at);
        return FR_OK;
    }
    if (v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    switch (send) {
    case FR_SQ_SEND_INT:
        sqlite3_bind_int64(stmt, at, v->kind == FR_BOOL ? v->boolean : v->integer);
        return FR_OK;
    case FR_SQ_SEND_DECIMAL:
        return bind_decimal(stmt, at, c, v->bytes, err);
    case FR_SQ_SEND_REAL:
        return bind_real(stmt, at, c, v, err);
    case FR_SQ_SEND_BLOB: /* an address, or it would be NULL */
        sqlite3_bind_blob64(stmt, at, v->bytes.len > 0 ? v->bytes.ptr : "", v->bytes.len,
                            SQLITE_STATIC);
        return FR_OK;
    default:
        return bind_text(stmt, at, send, a, c, v, err);
    }
}
