#include "sql/text.h"
#include "connect/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_float_text(fr_buf *out, double v, bool single)
{
    char text[40];
    for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    fr_buf_text(out, text);
}

static void put_date_text(fr_buf *out, int64_t days)
{
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    fr_buf_printf(out, "%04" PRId64 "-%02u-%02u", year, month, day);
}

static void put_time_text(fr_buf *out, int64_t us)
{
    uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    uint64_t fraction = left % 1000000, seconds = left / 1000000;
    fr_buf_printf(out, "%s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, us < 0 ? "-" : "",
                  seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (fraction != 0)
        fr_buf_printf(out, ".%06" PRIu64, fraction);
}

static void put_2(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10 % 10);
    out[1] = (char)('0' + v % 10);
}

/* "2026-11-26 08:26:11.402000" without printf: the most frequent of all. */
static void put_datetime_text(fr_buf *out, int64_t us)
{
    int64_t day_us = INT64_C(86400000000);
    int64_t days = us / day_us - (us % day_us < 0), year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        put_date_text(out, days);
        fr_buf_u8(out, ' ');
        put_time_text(out, us - days * day_us);
        return;
    }
    uint64_t left = (uint64_t)(us - days * day_us);
    unsigned seconds = (unsigned)(left / 1000000), fraction = (unsigned)(left % 1000000);
    char t[27] = "0000-00-00 00:00:00.000000";
    put_2(t, (unsigned)year / 100);
    put_2(t + 2, (unsigned)year);
    put_2(t + 5, month);
    put_2(t + 8, day);
    put_2(t + 11, seconds / 3600);
    put_2(t + 14, seconds / 60 % 60);
    put_2(t + 17, seconds % 60);
    put_2(t + 20, fraction / 10000);
    put_2(t + 22, fraction / 100);
    put_2(t + 24, fraction);
    fr_buf_put(out, t, fraction != 0 ? 26 : 19);
}

/* Most decimals fit 64 bits and need no big numbers. */
void fr_sql_put_decimal(fr_buf *out, fr_str unscaled, int scale)
{
    if (unscaled.len > 8 || scale < 0 || scale > 18) {
        fr_arena *a = fr_arena_new(256);
        fr_buf_str(out, fr_decimal_to_text(a, unscaled, scale));
        fr_arena_free(a);
        return;
    }
    uint64_t bits = unscaled.len > 0 && (unscaled.ptr[0] & 0x80) ? UINT64_MAX : 0;
    for (size_t i = 0; i < unscaled.len; i++)
        bits = bits << 8 | (uint8_t)unscaled.ptr[i];
    bool negative = (int64_t)bits < 0;
    uint64_t left = negative ? 0 - bits : bits;
    char text[48];
    size_t at = sizeof(text);
    for (int digits = 0; left > 0 || digits <= scale; digits++) {
        if (digits == scale && scale > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    }
    if (negative)
        text[--at] = '-';
    fr_buf_put(out, text + at, sizeof(text) - at);
}

void fr_sql_put_value(fr_buf *out, const fr_column *c, const fr_value *v)
{
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_text(out, v->boolean ? "true" : "false");
        break;
    case FR_INT32:
    case FR_INT64:
        fr_buf_printf(out, "%" PRId64, v->integer);
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        put_float_text(out, v->real, v->kind == FR_FLOAT32);
        break;
    case FR_DECIMAL:
        fr_sql_put_decimal(out, v->bytes, c->scale);
        break;
    case FR_DATE:
        put_date_text(out, v->integer);
        break;
    case FR_TIME:
        put_time_text(out, v->integer);
        break;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        put_datetime_text(out, v->integer);
        break;
    default: /* TEXT, JSON, UUID, BYTES */
        fr_buf_str(out, v->bytes);
    }
}

fr_str fr_sql_ident(fr_arena *a, fr_str name)
{
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            fr_buf_u8(&b, '"');
        fr_buf_u8(&b, (uint8_t)name.ptr[i]);
    }
    fr_buf_u8(&b, '"');
    return fr_buf_view(&b);
}

/* ---- canonical texts ---- */

bool fr_sql_whole(fr_str text, int64_t *out)
{
    char copy[24], *end;
    size_t sign = text.len > 0 && text.ptr[0] == '-';
    if (text.len == sign || text.len >= sizeof(copy))
        return false;
    for (size_t i = sign; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    int64_t n = strtoll(copy, &end, 10);
    if (out != NULL)
        *out = n;
    return errno == 0;
}

static bool decimal_of(fr_arena *a, fr_str text, fr_value *out, int16_t *scale)
{
    fr_err ignored;
    const char *point = memchr(text.ptr, '.', text.len);
    *scale = point == NULL ? 0 : (int16_t)(text.ptr + text.len - point - 1);
    return fr_decimal_from_text(a, text, 0, *scale, &out->bytes, &ignored) == FR_OK;
}

static bool bytes_of(fr_arena *a, fr_str hex, fr_value *out)
{
    char *bytes = fr_arena_alloc(a, hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len; i++) {
        if (fr_hex_digit(hex.ptr[i]) < 0)
            return false;
        bytes[i / 2] = (char)(bytes[i / 2] << 4 | fr_hex_digit(hex.ptr[i]));
    }
    out->bytes = (fr_str){bytes, hex.len / 2};
    return hex.len % 2 == 0;
}

bool fr_sql_value_of(fr_arena *a, fr_kind kind, fr_str canonical, fr_value *out, int16_t *scale)
{
    int64_t whole = 0;
    *out = (fr_value){.kind = kind};
    *scale = 0;
    switch (kind) {
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        out->bytes = canonical;
        return true;
    case FR_BYTES:
        return bytes_of(a, canonical, out);
    case FR_DECIMAL:
        return decimal_of(a, canonical, out, scale);
    case FR_FLOAT32:
    case FR_FLOAT64:
        out->real = strtod(fr_arena_cstr(a, fr_verify_readable(a, kind, canonical)), NULL);
        return fr_verify_fits(kind, canonical);
    default:
        if (!fr_sql_whole(canonical, &whole))
            return false;
        if (kind == FR_BOOL)
            out->boolean = whole != 0;
        else
            out->integer = whole;
        return true;
    }
}

void fr_sql_put_canonical(fr_buf *out, fr_kind kind, fr_str canonical)
{
    fr_value v;
    int16_t ignored;
    fr_arena *a = fr_arena_new(256);
    if (kind == FR_DECIMAL || kind == FR_BYTES ||
        !fr_sql_value_of(a, kind, canonical, &v, &ignored))
        fr_buf_str(out, canonical);
    else
        fr_sql_put_value(out, NULL, &v);
    fr_arena_free(a);
}
