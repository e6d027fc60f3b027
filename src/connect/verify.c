#include "connect/verify.h"
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* DAYS_MAX: whose microseconds are numbers of 64 bits. */
enum { DIGITS_MAX = 2000, REAL_MAX = 400, DAYS_MAX = 106751000 };
static const int64_t day_us = INT64_C(86400000000);

/* ---- numbers ---- */

typedef struct number { /* digits of it without sign, point and exponent, and where the point is */
    char digits[DIGITS_MAX];
    size_t count;
    long point;
    bool negative;
} number;

static bool take_exponent(const char *at, const char *end, long *out)
{
    bool minus = at < end && *at == '-';
    long n = 0;
    at += at < end && (*at == '-' || *at == '+') ? 1 : 0;
    if (at == end || end - at > 4)
        return false;
    for (; at < end; at++) {
        if (!isdigit((unsigned char)*at))
            return false;
        n = n * 10 + (*at - '0');
    }
    *out = minus ? -n : n;
    return n < DIGITS_MAX;
}

static bool read_number(fr_str raw, number *n)
{
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    bool pointed = false, any = false;
    long exponent = 0;
    n->count = 0;
    n->point = 0;
    n->negative = raw.len > 0 && *at == '-';
    if (raw.len > 0 && (*at == '-' || *at == '+'))
        at++;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.' && !pointed) {
            pointed = true;
            continue;
        }
        if (!isdigit((unsigned char)*at) || n->count == DIGITS_MAX)
            return false;
        any = true;
        n->point += pointed ? 0 : 1;
        n->digits[n->count++] = *at;
    }
    if (at < end && !take_exponent(at + 1, end, &exponent))
        return false;
    n->point += exponent;
    return any;
}

static void trim_number(number *n)
{
    size_t lead = 0;
    while (lead < n->count && n->digits[lead] == '0')
        lead++;
    memmove(n->digits, n->digits + lead, n->count - lead);
    n->count -= lead;
    n->point -= (long)lead;
    while (n->count > 0 && n->digits[n->count - 1] == '0')
        n->count--;
}

static fr_str number_text(fr_arena *a, fr_str raw)
{
    number n;
    fr_buf b = {.arena = a};
    if (!read_number(raw, &n))
        return raw;
    trim_number(&n);
    if (n.count == 0)
        return FR_STR("0");
    fr_buf_text(&b, n.negative ? "-" : "");
    if (n.point <= 0)
        fr_buf_text(&b, "0");
    for (long i = 0; i < n.point; i++)
        fr_buf_u8(&b, (uint8_t)((size_t)i < n.count ? n.digits[i] : '0'));
    if ((long)n.count <= n.point)
        return fr_buf_view(&b);
    fr_buf_text(&b, ".");
    for (long i = n.point; i < 0; i++)
        fr_buf_text(&b, "0");
    size_t from = n.point > 0 ? (size_t)n.point : 0;
    fr_buf_put(&b, n.digits + from, n.count - from);
    return fr_buf_view(&b);
}

static fr_str bool_text(fr_str raw)
{
    if (fr_str_is(raw, "t") || fr_str_is(raw, "true"))
        return FR_STR("1");
    return fr_str_is(raw, "f") || fr_str_is(raw, "false") ? FR_STR("0") : raw;
}

static fr_str real_text(fr_arena *a, fr_str raw)
{
    char text[REAL_MAX + 1], *end;
    uint64_t bits;
    if (raw.len == 0 || raw.len > REAL_MAX)
        return raw;
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = '\0';
    double v = strtod(text, &end);
    if (end != text + raw.len)
        return raw;
    if (v == 0)
        v = 0; /* -0 */
    memcpy(&bits, &(double){v + 0.0}, sizeof(bits));
    return fr_arena_printf(a, "%016" PRIx64, isnan(v) ? UINT64_C(0x7ff8000000000000) : bits);
}

static double real_of(fr_str canonical)
{
    uint64_t bits = 0;
    double v;
    for (size_t i = 0; i < canonical.len; i++)
        bits = bits << 4 | (uint64_t)(fr_hex_digit(canonical.ptr[i]) & 15);
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static fr_str real_readable(fr_arena *a, fr_str canonical)
{
    return fr_value_text(a, NULL, &(fr_value){.kind = FR_FLOAT64, .real = real_of(canonical)});
}

/* ---- times ---- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool take_digits(cursor *c, size_t least, size_t most, int64_t *out)
{
    size_t n = 0;
    int64_t v = 0;
    for (; n < most && c->at < c->end && isdigit((unsigned char)*c->at); n++)
        v = v * 10 + (*c->at++ - '0');
    *out = v;
    return n >= least;
}

static bool take_char(cursor *c, char one)
{
    bool is = c->at < c->end && *c->at == one;
    c->at += is ? 1 : 0;
    return is;
}

static bool take_date(cursor *c, int64_t *days)
{
    int64_t year, month, day;
    bool minus = take_char(c, '-');
    if (!take_digits(c, 1, 7, &year) || !take_char(c, '-') || !take_digits(c, 2, 2, &month) ||
        !take_char(c, '-') || !take_digits(c, 2, 2, &day))
        return false;
    bool bc = c->end - c->at >= 3 && memcmp(c->end - 3, " BC", 3) == 0;
    c->end -= bc ? 3 : 0;
    year = bc ? 1 - year : minus ? -year : year;
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *days = fr_days_from_civil(year, (unsigned)month, (unsigned)day);
    int64_t y;
    unsigned m, d;
    fr_civil_from_days(*days, &y, &m, &d);
    return m == (unsigned)month && d == (unsigned)day;
}

static bool take_fraction(cursor *c, int64_t *us)
{
    const char *from = c->at;
    if (!take_digits(c, 1, 6, us))
        return false;
    for (const char *at = c->at; at < from + 6; at++)
        *us *= 10;
    while (take_char(c, '0'))
        ;
    return true;
}

static bool take_time(cursor *c, int64_t *us)
{
    int64_t hours, minutes, seconds = 0, fraction = 0;
    bool minus = take_char(c, '-');
    if (!take_digits(c, 1, 4, &hours) || !take_char(c, ':') || !take_digits(c, 2, 2, &minutes))
        return false;
    if (take_char(c, ':') && !take_digits(c, 2, 2, &seconds))
        return false;
    if (take_char(c, '.') && !take_fraction(c, &fraction))
        return false;
    *us = ((hours * 60 + minutes) * 60 + seconds) * 1000000 + fraction;
    *us = minus ? -*us : *us;
    return true;
}

static bool take_zone(cursor *c, int64_t *us)
{
    int64_t hours, minutes = 0;
    if (c->at == c->end || take_char(c, 'Z'))
        return true;
    bool minus = take_char(c, '-');
    if ((!minus && !take_char(c, '+')) || !take_digits(c, 2, 2, &hours))
        return false;
    if (take_char(c, ':') && !take_digits(c, 2, 2, &minutes))
        return false;
    int64_t shift = (hours * 60 + minutes) * 60000000;
    *us += minus ? shift : -shift;
    return true;
}

static fr_str time_text(fr_arena *a, fr_kind kind, fr_str raw)
{
    cursor c = {raw.ptr, raw.ptr + raw.len};
    int64_t days = 0, us = 0;
    if (kind == FR_TIME && (!take_time(&c, &us) || c.at != c.end))
        return raw;
    if (kind == FR_TIME)
        return fr_arena_printf(a, "%" PRId64, us);
    if (!take_date(&c, &days))
        return raw;
    if (c.at < c.end && ((!take_char(&c, ' ') && !take_char(&c, 'T')) || !take_time(&c, &us) ||
                         !take_zone(&c, &us) || c.at != c.end))
        return raw;
    if (kind == FR_DATE)
        return us == 0 ? fr_arena_printf(a, "%" PRId64, days) : raw;
    if (days > DAYS_MAX || days < -DAYS_MAX)
        return raw;
    return fr_arena_printf(a, "%" PRId64, days * day_us + us);
}

static fr_str readable_time(fr_arena *a, int64_t us)
{
    uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    return fr_arena_printf(a, "%s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%06" PRIu64,
                           us < 0 ? "-" : "", left / 3600000000, left / 60000000 % 60,
                           left / 1000000 % 60, left % 1000000);
}

static fr_str readable_datetime(fr_arena *a, int64_t us)
{
    int64_t days = us / day_us - (us % day_us < 0);
    fr_str date = fr_date_text(a, days), time = readable_time(a, us - days * day_us);
    return fr_arena_printf(a, "%.*s %.*s", FR_ARG(date), FR_ARG(time));
}

/* ---- texts ---- */

bool fr_verify_bare(fr_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' || strchr("0123456789+-.eE", text.ptr[i]) == NULL)
            return false;
    return text.len > 0;
}

bool fr_verify_hex(fr_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (fr_hex_digit(text.ptr[i]) < 0)
            return false;
    return text.len % 2 == 0;
}

bool fr_verify_fits(fr_kind kind, fr_str text)
{
    if (kind == FR_FLOAT32 || kind == FR_FLOAT64)
        return text.len == 16 && fr_verify_hex(text);
    return kind != FR_BYTES || fr_verify_hex(text);
}

fr_str fr_verify_around(fr_arena *a, const char *before, fr_str x, const char *after)
{
    return fr_arena_printf(a, "%s%.*s%s", before, FR_ARG(x), after);
}

static fr_str lower(fr_arena *a, fr_str raw)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < raw.len; i++)
        fr_buf_u8(&b, (uint8_t)tolower((unsigned char)raw.ptr[i]));
    return fr_buf_view(&b);
}

/* Members in the order of their names, no blanks, numbers with a point as doubles. */
static fr_str json_text(fr_arena *a, fr_str raw)
{
    json_t *j = json_loadb(raw.ptr, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    char *text = j == NULL ? NULL
                           : json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS |
                                               JSON_REAL_PRECISION(17));
    fr_str out = text == NULL ? raw : fr_arena_str(a, fr_cstr(text));
    free(text);
    json_decref(j);
    return out;
}

fr_str fr_verify_canonical(fr_arena *a, fr_kind kind, fr_str raw)
{
    if (raw.ptr == NULL)
        return raw;
    switch (kind) {
    case FR_BOOL:
        return bool_text(raw);
    case FR_INT32:
    case FR_INT64:
        return number_text(a, bool_text(raw));
    case FR_DECIMAL:
        return number_text(a, raw);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real_text(a, raw);
    case FR_UUID:
        return lower(a, raw);
    case FR_JSON:
        return json_text(a, raw);
    case FR_DATE:
    case FR_TIME:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return time_text(a, kind, raw);
    default: /* TEXT, BYTES */
        return raw;
    }
}

fr_str fr_verify_readable(fr_arena *a, fr_kind kind, fr_str canonical)
{
    char text[24], *end;
    bool time = kind == FR_DATE || kind == FR_TIME || kind == FR_DATETIME || kind == FR_TIMESTAMP;
    if ((kind == FR_FLOAT32 || kind == FR_FLOAT64) && canonical.len == 16)
        return real_readable(a, canonical);
    if (!time || canonical.len == 0 || canonical.len >= sizeof(text))
        return canonical;
    memcpy(text, canonical.ptr, canonical.len);
    text[canonical.len] = '\0';
    int64_t v = strtoll(text, &end, 10);
    int64_t most = kind == FR_DATE ? DAYS_MAX : DAYS_MAX * day_us;
    if (*end != '\0' || v > most || v < -most)
        return canonical;
    if (kind == FR_DATE)
        return fr_date_text(a, v);
    return kind == FR_TIME ? readable_time(a, v) : readable_datetime(a, v);
}
