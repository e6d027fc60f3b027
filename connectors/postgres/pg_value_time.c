/* Dates and times. Text is ISO as DateStyle ISO, IntervalStyle iso_8601 and TimeZone UTC
 * print it; binary counts from 2000-01-01. */
#include "connectors/postgres/pg_value_parts.h"
#include <stdlib.h>

#define DAY_US INT64_C(86400000000)
#define EPOCH_US INT64_C(946684800000000) /* 2000-01-01 since 1970-01-01 */
enum { EPOCH_DAYS = 10957 };

/* What a server can hold (src/include/datatype/timestamp.h): 4714-11-24 BC up to the years
 * 5874897 and 294276. */
enum { DATE_LEAST = -2451545, DATE_END = 2145031949 };
#define TIMESTAMP_LEAST INT64_C(-211813488000000000)
#define TIMESTAMP_END INT64_C(9223371331200000000)

/* --- text in --- */

typedef struct text { /* bad once anything does not fit */
    const char *at, *end;
    bool bad;
} text;

static int64_t digits(text *t, size_t least, size_t most)
{
    int64_t v = 0;
    size_t n = 0;
    while (t->at < t->end && n < most && *t->at >= '0' && *t->at <= '9') {
        v = v * 10 + (*t->at++ - '0');
        n++;
    }
    if (n < least)
        t->bad = true;
    return v;
}

/* Exactly two digits. */
static unsigned two(text *t)
{
    if (t->end - t->at >= 2) {
        unsigned tens = (unsigned)(unsigned char)t->at[0] - '0';
        unsigned ones = (unsigned)(unsigned char)t->at[1] - '0';
        t->at += 2;
        if (tens <= 9 && ones <= 9)
            return tens * 10 + ones;
    }
    t->bad = true;
    return 0;
}

static bool take(text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static void expect(text *t, char c)
{
    if (!take(t, c))
        t->bad = true;
}

typedef struct civil {
    int64_t year;
    unsigned month, day;
} civil;

static civil read_date(text *t)
{
    civil d;
    d.year = digits(t, 4, 9);
    expect(t, '-');
    d.month = two(t);
    expect(t, '-');
    d.day = two(t);
    if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31)
        t->bad = true;
    return d;
}

static int64_t read_time(text *t)
{
    int64_t hour = two(t);
    expect(t, ':');
    int64_t minute = two(t);
    expect(t, ':');
    int64_t second = two(t), fraction = 0;
    if (take(t, '.')) {
        const char *from = t->at;
        fraction = digits(t, 1, 6);
        for (ptrdiff_t n = t->at - from; n < 6; n++)
            fraction *= 10;
    }
    if (hour > 24 || minute > 59 || second > 60)
        t->bad = true;
    return ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
}

/* "+05:30", in seconds. */
static int64_t read_zone(text *t)
{
    bool west = take(t, '-');
    if (!west)
        expect(t, '+');
    int64_t seconds = digits(t, 2, 2) * 3600;
    if (take(t, ':'))
        seconds += digits(t, 2, 2) * 60;
    if (take(t, ':'))
        seconds += digits(t, 2, 2);
    return west ? -seconds : seconds;
}

/* " BC" or nothing, and then the end; days since 1970. */
static int64_t read_end(text *t, civil d)
{
    if (take(t, ' ')) {
        expect(t, 'B');
        expect(t, 'C');
        d.year = 1 - d.year;
    }
    if (t->at != t->end || t->bad) {
        t->bad = true;
        return 0;
    }
    return fr_days_from_civil(d.year, d.month, d.day);
}

static bool infinite(fr_str in)
{
    return fr_str_is(in, "infinity") || fr_str_is(in, "-infinity");
}

static fr_rc no_infinity(fr_err *err)
{
    return fr_pg_no_room(err, "pg.value.infinite", "infinity is no point in time");
}

static fr_rc too_far(fr_err *err)
{
    return fr_pg_no_room(err, "pg.value.range", "does not fit 64 bits of microseconds since 1970");
}

fr_rc fr_pg_date_parse(fr_str in, int64_t *days_out, fr_err *err)
{
    text t = {in.ptr, in.ptr + in.len, false};
    civil d = read_date(&t);
    int64_t days = read_end(&t, d);
    if (t.bad)
        return infinite(in) ? no_infinity(err) : fr_pg_malformed(err, "not an ISO date");
    if (days - EPOCH_DAYS < DATE_LEAST || days - EPOCH_DAYS >= DATE_END)
        return fr_pg_malformed(err, "not a date");
    *days_out = days;
    return FR_OK;
}

fr_rc fr_pg_time_parse(fr_str in, int64_t *us_out, fr_err *err)
{
    text t = {in.ptr, in.ptr + in.len, false};
    int64_t us = read_time(&t);
    if (t.bad || t.at != t.end || us > DAY_US)
        return fr_pg_malformed(err, "not a time of day");
    *us_out = us;
    return FR_OK;
}

fr_rc fr_pg_timestamp_parse(fr_str in, bool zone, int64_t *us_out, fr_err *err)
{
    text t = {in.ptr, in.ptr + in.len, false};
    civil d = read_date(&t);
    expect(&t, ' ');
    int64_t us = read_time(&t), seconds = zone ? read_zone(&t) : 0, days_us;
    int64_t days = read_end(&t, d);
    if (t.bad)
        return infinite(in) ? no_infinity(err) : fr_pg_malformed(err, "not an ISO timestamp");
    us -= seconds * 1000000;
    if (__builtin_mul_overflow(days, DAY_US, &days_us) || __builtin_add_overflow(days_us, us, &us))
        return too_far(err);
    *us_out = us;
    return FR_OK;
}

/* --- binary in --- */

fr_rc fr_pg_date_of(int32_t wire, int64_t *days_out, fr_err *err)
{
    if (wire == INT32_MAX || wire == INT32_MIN)
        return no_infinity(err);
    if (wire < DATE_LEAST || wire >= DATE_END)
        return fr_pg_malformed(err, "not a date");
    *days_out = (int64_t)wire + EPOCH_DAYS;
    return FR_OK;
}

fr_rc fr_pg_timestamp_of(int64_t wire, int64_t *us_out, fr_err *err)
{
    if (wire == INT64_MAX || wire == INT64_MIN)
        return no_infinity(err);
    int64_t us;
    if (wire < TIMESTAMP_LEAST || wire >= TIMESTAMP_END)
        return fr_pg_malformed(err, "not a timestamp");
    if (__builtin_add_overflow(wire, EPOCH_US, &us))
        return too_far(err);
    *us_out = us;
    return FR_OK;
}

/* --- text out, as the server prints it --- */

static void put_date(int64_t days, fr_buf *out, bool *bc)
{
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    *bc = year <= 0;
    fr_buf_printf(out, "%04lld-%02u-%02u", (long long)(*bc ? 1 - year : year), month, day);
}

/* The digits of a fraction, without zeros at the end. */
static void put_fraction(int64_t us, fr_buf *out)
{
    if (us == 0)
        return;
    int width = 6;
    for (; us % 10 == 0; us /= 10)
        width--;
    fr_buf_printf(out, ".%0*lld", width, (long long)us);
}

void fr_pg_time_render(int64_t us, fr_buf *out)
{
    int64_t seconds = us / 1000000;
    fr_buf_printf(out, "%02lld:%02lld:%02lld", (long long)(seconds / 3600),
                  (long long)(seconds / 60 % 60), (long long)(seconds % 60));
    put_fraction(us % 1000000, out);
}

void fr_pg_timetz_render(int64_t us, int32_t zone, fr_buf *out)
{
    int64_t seconds = llabs((int64_t)zone); /* west of Greenwich is positive */
    fr_pg_time_render(us, out);
    fr_buf_printf(out, "%c%02lld", zone <= 0 ? '+' : '-', (long long)(seconds / 3600));
    if (seconds % 3600 != 0)
        fr_buf_printf(out, ":%02lld", (long long)(seconds / 60 % 60));
    if (seconds % 60 != 0)
        fr_buf_printf(out, ":%02lld", (long long)(seconds % 60));
}

void fr_pg_date_render(int32_t wire, fr_buf *out)
{
    bool bc = false;
    if (wire == INT32_MAX || wire == INT32_MIN) {
        fr_buf_text(out, wire > 0 ? "infinity" : "-infinity");
        return;
    }
    put_date((int64_t)wire + EPOCH_DAYS, out, &bc);
    if (bc)
        fr_buf_text(out, " BC");
}

void fr_pg_timestamp_render(int64_t wire, bool zone, fr_buf *out)
{
    bool bc = false;
    if (wire == INT64_MAX || wire == INT64_MIN) {
        fr_buf_text(out, wire > 0 ? "infinity" : "-infinity");
        return;
    }
    int64_t days = wire / DAY_US, us = wire % DAY_US;
    if (us < 0) {
        us += DAY_US;
        days--;
    }
    put_date(days + EPOCH_DAYS, out, &bc);
    fr_buf_u8(out, ' ');
    fr_pg_time_render(us, out);
    if (zone)
        fr_buf_text(out, "+00");
    if (bc)
        fr_buf_text(out, " BC");
}

static void put_part(int64_t v, char unit, fr_buf *out)
{
    if (v != 0)
        fr_buf_printf(out, "%lld%c", (long long)v, unit);
}

void fr_pg_interval_render(int64_t us, int32_t days, int32_t months, fr_buf *out)
{
    if (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX) {
        fr_buf_text(out, "infinity"); /* PostgreSQL 17 */
        return;
    }
    if (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN) {
        fr_buf_text(out, "-infinity");
        return;
    }
    if (us == 0 && days == 0 && months == 0) {
        fr_buf_text(out, "PT0S");
        return;
    }
    fr_buf_u8(out, 'P');
    put_part(months / 12, 'Y', out);
    put_part(months % 12, 'M', out);
    put_part(days, 'D', out);
    if (us != 0)
        fr_buf_u8(out, 'T');
    put_part(us / INT64_C(3600000000), 'H', out);
    put_part(us / 60000000 % 60, 'M', out);
    int64_t rest = llabs(us % 60000000);
    if (rest == 0)
        return;
    fr_buf_printf(out, "%s%lld", us < 0 ? "-" : "", (long long)(rest / 1000000));
    put_fraction(rest % 1000000, out);
    fr_buf_u8(out, 'S');
}
