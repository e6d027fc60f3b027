#include "connectors/odbc/odbc_value.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A byte that no statement has. */
enum { MARK = '\001', SECOND_US = 1000000, DAY_S = 86400, UUID_LENGTH = 36, NS_PER_US = 1000 };
enum { HOUR_S = 3600, MINUTE_S = 60, MOST_DIGITS = 9 };

static fr_rc bad(fr_err *err, const char *code, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "correct the row, or publish the column as text with columns.types");
}

/* ---- days and times ---- */

static bool is_day(int64_t year, unsigned month, unsigned day)
{
    int64_t back;
    unsigned m, d;
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    fr_civil_from_days(fr_days_from_civil(year, month, day), &back, &m, &d);
    return back == year && m == month && d == day;
}

fr_rc fr_odbc_date(const SQL_DATE_STRUCT *d, int64_t *days_out, fr_err *err)
{
    if (!is_day(d->year, d->month, d->day))
        return bad(err, "odbc.value.date", "it is no day of the calendar");
    *days_out = fr_days_from_civil(d->year, d->month, d->day);
    return FR_OK;
}

fr_rc fr_odbc_moment(const SQL_TIMESTAMP_STRUCT *t, int64_t *us_out, fr_err *err)
{
    if (!is_day(t->year, t->month, t->day) || t->hour > 23 || t->minute > 59 || t->second > 59 ||
        t->fraction >= (SQLUINTEGER)SECOND_US * NS_PER_US)
        return bad(err, "odbc.value.date", "it is no day and time of the calendar");
    if (t->fraction % NS_PER_US != 0)
        return bad(err, "odbc.value.fraction", "its fraction is below a microsecond");
    int64_t seconds = fr_days_from_civil(t->year, t->month, t->day) * DAY_S +
                      (int64_t)t->hour * HOUR_S + (int64_t)t->minute * MINUTE_S + t->second;
    *us_out = seconds * SECOND_US + (int64_t)(t->fraction / NS_PER_US);
    return FR_OK;
}

/* A number of at least `least` and at most `most` digits. */
static bool take_number(fr_in *in, size_t least, size_t most, uint32_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < most && fr_in_left(in) > 0 && *in->at >= '0' && *in->at <= '9') {
        *out = *out * 10 + (uint32_t)(fr_in_u8(in) - '0');
        n++;
    }
    return n >= least;
}

static bool take_char(fr_in *in, char c)
{
    if (fr_in_left(in) == 0 || *in->at != (uint8_t)c)
        return false;
    (void)fr_in_u8(in);
    return true;
}

/* ".5", ".123456", ".123456000": nanoseconds; nothing: 0. */
static bool take_fraction(fr_in *in, uint32_t *ns)
{
    const uint8_t *from;
    *ns = 0;
    if (!take_char(in, '.'))
        return true;
    from = in->at;
    if (!take_number(in, 1, MOST_DIGITS, ns))
        return false;
    for (ptrdiff_t n = in->at - from; n < MOST_DIGITS; n++)
        *ns *= 10;
    return true;
}

fr_rc fr_odbc_time(fr_str text, int64_t *us_out, fr_err *err)
{
    fr_in in = fr_in_of(text);
    uint32_t hour, minute, second, ns;
    bool minus = take_char(&in, '-');
    bool good = take_number(&in, 1, 4, &hour) && take_char(&in, ':') &&
                take_number(&in, 2, 2, &minute) && take_char(&in, ':') &&
                take_number(&in, 2, 2, &second) && take_fraction(&in, &ns) && fr_in_left(&in) == 0;
    if (!good || minute > 59 || second > 59)
        return bad(err, "odbc.value.time", "it is no time");
    if (ns % NS_PER_US != 0)
        return bad(err, "odbc.value.fraction", "its fraction is below a microsecond");
    int64_t us =
        ((int64_t)hour * HOUR_S + (int64_t)minute * MINUTE_S + second) * SECOND_US + ns / NS_PER_US;
    *us_out = minus ? -us : us;
    return FR_OK;
}

/* ---- numbers and others ---- */

static fr_str trimmed(fr_str s)
{
    while (s.len > 0 && s.ptr[0] == ' ')
        s = (fr_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

fr_rc fr_odbc_decimal(fr_arena *a, fr_str text, const fr_odbc_column *c, fr_str *out, fr_err *err)
{
    fr_str s = trimmed(text);
    bool sign = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    fr_str digits = sign ? (fr_str){s.ptr + 1, s.len - 1} : s;
    if (digits.len > 1 && digits.ptr[0] == '.')
        s = fr_arena_printf(a, "%s0%.*s", sign && s.ptr[0] == '-' ? "-" : "", FR_ARG(digits));
    else if (digits.len > 1 && digits.ptr[digits.len - 1] == '.')
        s.len--;
    FR_TRY(fr_decimal_from_text(a, s, c->precision, c->scale, out, err));
    return FR_OK;
}

fr_rc fr_odbc_uuid(fr_arena *a, fr_str text, fr_str *out, fr_err *err)
{
    bool braces =
        text.len == UUID_LENGTH + 2 && text.ptr[0] == '{' && text.ptr[UUID_LENGTH + 1] == '}';
    fr_str s = braces ? (fr_str){text.ptr + 1, UUID_LENGTH} : text;
    bool good = s.len == UUID_LENGTH;
    char *lower = fr_arena_raw(a, UUID_LENGTH);
    for (size_t i = 0; i < UUID_LENGTH && good; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        good = dash ? s.ptr[i] == '-' : fr_hex_digit(s.ptr[i]) >= 0;
        lower[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'F' ? s.ptr[i] + 32 : s.ptr[i]);
    }
    if (!good)
        return bad(err, "odbc.value.uuid", "it is no UUID");
    *out = (fr_str){lower, UUID_LENGTH};
    return FR_OK;
}

fr_rc fr_odbc_int(const fr_odbc_column *c, int64_t n, fr_value *out, fr_err *err)
{
    if (c->kind == FR_INT32 && (n < INT32_MIN || n > INT32_MAX))
        return bad(err, "odbc.value.range", "it is beyond the 32 bits that the driver has said");
    *out = (fr_value){.kind = c->kind, .integer = n};
    return FR_OK;
}

/* ---- text ---- */

static fr_str hex_text(fr_arena *a, fr_str bytes)
{
    fr_buf b = {.arena = a};
    fr_buf_hex(&b, bytes);
    return b.len == 0 ? FR_STR("") : fr_buf_view(&b);
}

fr_str fr_odbc_value_text(fr_arena *a, const fr_odbc_column *c, const fr_value *v)
{
    switch (v->kind) {
    case FR_INT32:
    case FR_INT64:
        return fr_arena_printf(a, "%" PRId64, v->integer);
    case FR_DECIMAL:
        return fr_decimal_to_text(a, v->bytes, c->scale);
    case FR_BYTES:
        return hex_text(a, v->bytes);
    case FR_DATE:
        return fr_date_text(a, v->integer);
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return fr_datetime_text(a, v->integer);
    case FR_TEXT:
    case FR_UUID:
        return v->bytes;
    default: /* cannot be given back: fr_odbc_put_mark */
        return FR_STR("");
    }
}

/* ---- marks ---- */

bool fr_odbc_has_marks(const char *text)
{
    return text != NULL && strchr(text, MARK) != NULL;
}

bool fr_odbc_put_mark(fr_buf *b, const fr_odbc_column *c, size_t column, fr_str text)
{
    switch (c->kind) {
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
    case FR_BYTES:
    case FR_DATE:
    case FR_DATETIME:
    case FR_TIMESTAMP:
    case FR_TEXT:
    case FR_UUID:
        fr_buf_printf(b, "%cV%zu:%zu:", MARK, column, text.len);
        fr_buf_str(b, text);
        return !c->as_text;
    default:
        return false;
    }
}

void fr_odbc_put_limit_mark(fr_buf *b, size_t rows)
{
    fr_buf_printf(b, "%cL%zu:", MARK, rows);
}

static bool read_mark(fr_in *in, size_t columns, fr_odbc_marked *out, fr_buf *sql)
{
    uint32_t a, b;
    uint8_t kind = fr_in_u8(in);
    if (!take_number(in, 1, MOST_DIGITS, &a) || !take_char(in, ':'))
        return false;
    if (kind == 'L') {
        out->max_rows = a;
        return true;
    }
    if (kind != 'V' || a >= columns || !take_number(in, 1, MOST_DIGITS, &b) || !take_char(in, ':'))
        return false;
    out->params[out->count++] = (fr_odbc_param){a, fr_in_take(in, b)};
    fr_buf_u8(sql, '?');
    return !in->bad;
}

bool fr_odbc_read_marks(fr_arena *a, fr_str sql, size_t columns, fr_odbc_marked *out)
{
    fr_in in = fr_in_of(sql);
    fr_buf plain = {.arena = a};
    size_t marks = 0;
    for (size_t i = 0; i < sql.len; i++)
        marks += sql.ptr[i] == MARK;
    *out = (fr_odbc_marked){.params = fr_arena_alloc(a, (marks + 1) * sizeof(*out->params))};
    while (fr_in_left(&in) > 0) {
        const uint8_t *mark = memchr(in.at, MARK, fr_in_left(&in));
        size_t before = mark == NULL ? fr_in_left(&in) : (size_t)(mark - in.at);
        fr_buf_str(&plain, fr_in_take(&in, before));
        if (mark == NULL)
            break;
        (void)fr_in_u8(&in);
        if (!read_mark(&in, columns, out, &plain))
            return false;
    }
    out->sql = fr_buf_view(&plain);
    return true;
}

/* ---- back ---- */

static bool take_date(fr_in *in, SQL_DATE_STRUCT *out)
{
    uint32_t year, month, day;
    if (!take_number(in, 4, 4, &year) || !take_char(in, '-') || !take_number(in, 2, 2, &month) ||
        !take_char(in, '-') || !take_number(in, 2, 2, &day) || !is_day(year, month, day))
        return false;
    *out = (SQL_DATE_STRUCT){(SQLSMALLINT)year, (SQLUSMALLINT)month, (SQLUSMALLINT)day};
    return true;
}

bool fr_odbc_text_date(fr_str text, SQL_DATE_STRUCT *out)
{
    fr_in in = fr_in_of(text);
    return take_date(&in, out) && fr_in_left(&in) == 0;
}

bool fr_odbc_text_moment(fr_str text, SQL_TIMESTAMP_STRUCT *out)
{
    fr_in in = fr_in_of(text);
    SQL_DATE_STRUCT day;
    uint32_t hour, minute, second, ns;
    if (!take_date(&in, &day) || !(take_char(&in, ' ') || take_char(&in, 'T')) ||
        !take_number(&in, 2, 2, &hour) || !take_char(&in, ':') ||
        !take_number(&in, 2, 2, &minute) || !take_char(&in, ':') ||
        !take_number(&in, 2, 2, &second) || !take_fraction(&in, &ns) || fr_in_left(&in) > 0 ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    *out = (SQL_TIMESTAMP_STRUCT){.year = day.year,
                                  .month = day.month,
                                  .day = day.day,
                                  .hour = (SQLUSMALLINT)hour,
                                  .minute = (SQLUSMALLINT)minute,
                                  .second = (SQLUSMALLINT)second,
                                  .fraction = ns};
    return true;
}

bool fr_odbc_text_bytes(fr_arena *a, fr_str text, fr_str *out)
{
    char *bytes = fr_arena_raw(a, text.len / 2 + 1);
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = fr_hex_digit(text.ptr[i]), low = fr_hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (char)(high << 4 | low);
    }
    *out = (fr_str){bytes, text.len / 2};
    return true;
}

/* ---- what came as text, for want of anything better ---- */

static fr_rc not_of(const fr_odbc_column *c, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "it cannot be read as %s", fr_kind_name(c->kind));
    fr_fail_code(err, "odbc.value.kind");
    return fr_fail_hint(err, "correct the row, or publish the column as text with columns.types");
}

static fr_rc real_from(const fr_odbc_column *c, const char *text, fr_value *out, fr_err *err)
{
    char *end;
    errno = 0;
    double real = c->kind == FR_FLOAT32 ? (double)strtof(text, &end) : strtod(text, &end);
    if (*text == '\0' || *end != '\0' || (errno == ERANGE && isinf(real)))
        return not_of(c, err);
    *out = (fr_value){.kind = c->kind, .real = real};
    return FR_OK;
}

static fr_rc whole_from(const fr_odbc_column *c, const char *text, fr_value *out, fr_err *err)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool flag = c->kind == FR_BOOL;
    if (*text == '\0' || *end != '\0' || errno == ERANGE || (flag && n != 0 && n != 1))
        return not_of(c, err);
    if (!flag)
        return fr_odbc_int(c, n, out, err);
    *out = (fr_value){.kind = c->kind, .boolean = n == 1};
    return FR_OK;
}

fr_rc fr_odbc_from_text(const fr_odbc_column *c, fr_str text, fr_value *out, fr_err *err)
{
    SQL_TIMESTAMP_STRUCT moment;
    SQL_DATE_STRUCT day;
    fr_value v = {.kind = c->kind};
    char number[400];
    switch (c->kind) {
    case FR_DATE:
        if (!fr_odbc_text_date(text, &day))
            return not_of(c, err);
        FR_TRY(fr_odbc_date(&day, &v.integer, err));
        break;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        if (!fr_odbc_text_moment(text, &moment))
            return not_of(c, err);
        FR_TRY(fr_odbc_moment(&moment, &v.integer, err));
        break;
    default:
        if (text.len >= sizeof(number) || memchr(text.ptr, 0, text.len) != NULL)
            return not_of(c, err);
        snprintf(number, sizeof(number), "%.*s", FR_ARG(text));
        if (c->kind == FR_FLOAT32 || c->kind == FR_FLOAT64)
            return real_from(c, number, out, err);
        return whole_from(c, number, out, err);
    }
    *out = v;
    return FR_OK;
}
