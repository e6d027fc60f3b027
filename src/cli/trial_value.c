/* Values as people write them, by the kind of their column. */
#include "base/bytes.h"
#include "base/json.h"
#include "cli/trial.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool to_bool(const char *s, fr_value *v)
{
    static const char *const yes[] = {"true", "t", "1", "yes", "on"};
    static const char *const no[] = {"false", "f", "0", "no", "off"};
    for (size_t i = 0; i < 5; i++) {
        v->boolean = strcmp(s, yes[i]) == 0;
        if (v->boolean || strcmp(s, no[i]) == 0)
            return true;
    }
    return false;
}

static bool to_integer(const char *s, fr_kind kind, fr_value *v)
{
    char *end;
    errno = 0;
    v->integer = strtoll(s, &end, 10);
    return errno == 0 && end != s && *end == '\0' &&
           (kind == FR_INT64 || (v->integer >= INT32_MIN && v->integer <= INT32_MAX));
}

static bool to_real(const char *s, fr_kind kind, fr_value *v)
{
    char *end;
    errno = 0;
    v->real = kind == FR_FLOAT32 ? (double)strtof(s, &end) : strtod(s, &end);
    return errno == 0 && end != s && *end == '\0';
}

/* "\x0aff", as PostgreSQL writes it, or "0x0aff". */
static bool to_bytes(fr_arena *a, fr_str s, fr_value *v)
{
    bool prefix = s.len >= 2 && s.len % 2 == 0 &&
                  (memcmp(s.ptr, "\\x", 2) == 0 || memcmp(s.ptr, "0x", 2) == 0);
    char *out = fr_arena_raw(a, s.len / 2 + 1);
    for (size_t i = 2; prefix && i < s.len; i += 2) {
        int high = fr_hex_digit(s.ptr[i]), low = fr_hex_digit(s.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2 - 1] = (char)(high * 16 + low);
    }
    v->bytes = (fr_str){out, s.len / 2 - 1};
    return prefix;
}

static bool to_json(fr_arena *a, fr_str s, fr_value *v)
{
    json_t *j;
    fr_err ignored;
    if (fr_json_parse(s, &j, &ignored) == FR_FAIL) {
        /* A text alone is JSON, too, but not for that parser. */
        json_error_t why;
        j = json_loadb(s.ptr, s.len, JSON_DECODE_ANY, &why);
    }
    v->bytes = fr_arena_str(a, s);
    bool good = j != NULL;
    json_decref(j);
    return good;
}

static bool to_uuid(fr_arena *a, fr_str s, fr_value *v)
{
    char *out = fr_arena_cstr(a, s);
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? out[i] != '-' : fr_hex_digit(out[i]) < 0)
            return false;
        out[i] = (char)(out[i] >= 'A' && out[i] <= 'F' ? out[i] | 0x20 : out[i]);
    }
    v->bytes = (fr_str){out, s.len};
    return s.len == 36;
}

/* YYYY-MM-DD; *rest is behind it. */
static bool take_date(const char *s, int64_t *days, const char **rest)
{
    int64_t year, y;
    unsigned month, day, m, d;
    int end = 0;
    if (sscanf(s, "%" SCNd64 "-%2u-%2u%n", &year, &month, &day, &end) != 3 || end < 8 ||
        year < -999999 || year > 999999)
        return false;
    *days = fr_days_from_civil(year, month, day);
    fr_civil_from_days(*days, &y, &m, &d);
    *rest = s + end;
    return y == year && m == month && d == day;
}

/* [-]HH:MM[:SS[.ffffff]] */
static bool take_time(const char *s, int64_t *us, const char **rest)
{
    int64_t hour, fraction = 0;
    unsigned minute, second = 0;
    int end = 0, more = 0;
    bool negative = *s == '-';
    s += negative ? 1 : 0;
    if (*s < '0' || *s > '9' || sscanf(s, "%4" SCNd64 ":%2u%n", &hour, &minute, &end) != 2 ||
        end == 0)
        return false;
    if (s[end] == ':' && sscanf(s + end, ":%2u%n", &second, &more) == 1)
        end += more;
    if (s[end] == '.') {
        size_t digits = strspn(s + end + 1, "0123456789");
        for (size_t i = 0; i < 6; i++)
            fraction = fraction * 10 + (i < digits ? s[end + 1 + (int)i] - '0' : 0);
        if (digits == 0 || digits > 6)
            return false;
        end += (int)digits + 1;
    }
    *rest = s + end;
    *us = (hour * 3600 + minute * 60 + second) * 1000000 + fraction;
    *us = negative ? -*us : *us;
    return minute < 60 && second < 60;
}

/* Z, or +02:00; nothing: UTC. */
static bool take_zone(const char *s, int64_t *us)
{
    int hours, minutes = 0, end = 0;
    *us = 0;
    if (*s == '\0' || strcmp(s, "Z") == 0)
        return true;
    bool good = (*s == '+' || *s == '-') &&
                ((sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &end) == 2 && end > 0) ||
                 (sscanf(s + 1, "%2d%n", &hours, &end) == 1 && end > 0)) &&
                s[1 + end] == '\0';
    if (good)
        *us = (*s == '-' ? -1 : 1) * (int64_t)(hours * 60 + minutes) * 60000000;
    return good;
}

static bool to_when(const char *s, bool zone, fr_value *v)
{
    int64_t days, us, shift = 0;
    const char *rest;
    if (!take_date(s, &days, &rest) || (*rest != ' ' && *rest != 'T') ||
        !take_time(rest + 1, &us, &rest) || us < 0 || us >= INT64_C(86400000000))
        return false;
    if (zone ? !take_zone(rest, &shift) : *rest != '\0')
        return false;
    v->integer = days * INT64_C(86400000000) + us - shift;
    return true;
}

static bool to_value(fr_arena *a, const fr_column *c, fr_str text, fr_value *v)
{
    const char *s = fr_arena_cstr(a, text), *rest;
    fr_err ignored;
    switch (c->kind) {
    case FR_BOOL:
        return to_bool(s, v);
    case FR_INT32:
    case FR_INT64:
        return to_integer(s, c->kind, v);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return to_real(s, c->kind, v);
    case FR_DECIMAL:
        return fr_decimal_from_text(a, text, c->precision, c->scale, &v->bytes, &ignored) == FR_OK;
    case FR_BYTES:
        return to_bytes(a, text, v);
    case FR_JSON:
        return to_json(a, text, v);
    case FR_UUID:
        return to_uuid(a, text, v);
    case FR_DATE:
        return take_date(s, &v->integer, &rest) && *rest == '\0';
    case FR_TIME:
        return take_time(s, &v->integer, &rest) && *rest == '\0';
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return to_when(s, c->kind == FR_TIMESTAMP, v);
    default:
        v->bytes = fr_arena_str(a, text);
        return fr_utf8_valid(text);
    }
}

static const char *how(fr_kind kind)
{
    switch (kind) {
    case FR_BOOL:
        return "true or false";
    case FR_INT32:
        return "a whole number of 32 bits";
    case FR_INT64:
        return "a whole number of 64 bits";
    case FR_DECIMAL:
        return "a number with no more digits than its type has";
    case FR_BYTES:
        return "hex digits: \"\\\\x0aff\"";
    case FR_UUID:
        return "8-4-4-4-12 hex digits";
    case FR_DATE:
        return "2026-11-26";
    case FR_TIME:
        return "08:26:11.402";
    case FR_DATETIME:
        return "2026-11-26T08:26:11.402";
    case FR_TIMESTAMP:
        return "2026-11-26T08:26:11.402Z";
    case FR_JSON:
        return "JSON, in quotes: '{\"a\":1}'";
    default:
        return "a number";
    }
}

fr_rc fr_trial_value(fr_arena *a, const fr_column *c, fr_str text, fr_value *out, fr_err *err)
{
    *out = (fr_value){.kind = c->kind};
    if (to_value(a, c, text, out))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "column %.*s (%.*s): `%.*s` is no value of it", FR_ARG(c->name),
            FR_ARG(c->native_type), FR_ARG(text));
    fr_fail_code(err, "test.value");
    return fr_fail_hint(err, "write %s", how(c->kind));
}

fr_str fr_trial_text(fr_arena *a, const fr_column *c, const fr_value *v)
{
    fr_buf b = {.arena = a};
    if (v->kind != FR_BYTES)
        return fr_value_text(a, c, v);
    fr_buf_text(&b, "\\x");
    fr_buf_hex(&b, v->bytes);
    return fr_buf_view(&b);
}
