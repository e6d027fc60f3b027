#include "codec/debezium.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)

typedef struct text {
    const char *at, *end;
    bool bad;
} text;

static text text_of(fr_str s)
{
    return (text){s.ptr, s.ptr + s.len, false};
}

static bool take(text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

/* Of so many digits, least to most. */
static int64_t number(text *t, int least, int most)
{
    int64_t v = 0;
    int n = 0;
    for (; t->at < t->end && n < most && *t->at >= '0' && *t->at <= '9'; n++)
        v = v * 10 + (*t->at++ - '0');
    t->bad = t->bad || n < least;
    return v;
}

static void expect(text *t, char c)
{
    t->bad = !take(t, c) || t->bad;
}

static int64_t fraction(text *t)
{
    if (!take(t, '.'))
        return 0;
    const char *from = t->at;
    int64_t v = number(t, 1, 6);
    for (ptrdiff_t n = t->at - from; n < 6; n++)
        v *= 10;
    return v;
}

static int64_t read_time(text *t)
{
    int64_t hour = number(t, 2, 2);
    expect(t, ':');
    int64_t minute = number(t, 2, 2);
    expect(t, ':');
    int64_t second = number(t, 2, 2);
    t->bad = t->bad || hour > 24 || minute > 59 || second > 60;
    return ((hour * 60 + minute) * 60 + second) * SECOND + fraction(t);
}

static int64_t read_zone(text *t)
{
    bool west = take(t, '-');
    if (!west)
        expect(t, '+');
    int64_t seconds = number(t, 2, 2) * 3600;
    if (take(t, ':'))
        seconds += number(t, 2, 2) * 60;
    if (take(t, ':'))
        seconds += number(t, 2, 2);
    return (west ? -seconds : seconds) * SECOND;
}

/* ---- what PostgreSQL prints ---- */

static bool infinite(fr_str s, int64_t *out)
{
    if (fr_str_is(s, "infinity"))
        *out = INT64_MAX;
    else if (fr_str_is(s, "-infinity"))
        *out = INT64_MIN;
    else
        return false;
    return true;
}

/* The year comes with its era behind all the rest. */
static int64_t finish(text *t, int64_t year, int64_t month, int64_t day)
{
    if (take(t, ' ')) {
        expect(t, 'B');
        expect(t, 'C');
        year = 1 - year;
    }
    t->bad = t->bad || t->at != t->end || month < 1 || month > 12 || day < 1 || day > 31;
    return t->bad ? 0 : fr_days_from_civil(year, (unsigned)month, (unsigned)day);
}

static void read_date(text *t, int64_t *year, int64_t *month, int64_t *day)
{
    *year = number(t, 4, 9);
    expect(t, '-');
    *month = number(t, 2, 2);
    expect(t, '-');
    *day = number(t, 2, 2);
}

bool fr_dbz_parse_date(fr_str s, int64_t *days)
{
    int64_t year, month, day;
    text t = text_of(s);
    if (infinite(s, days))
        return true;
    read_date(&t, &year, &month, &day);
    *days = finish(&t, year, month, day);
    return !t.bad;
}

bool fr_dbz_parse_time(fr_str s, int64_t *us)
{
    text t = text_of(s);
    *us = read_time(&t);
    return !t.bad && t.at == t.end && *us <= DAY;
}

bool fr_dbz_parse_timestamp(fr_str s, int64_t *us)
{
    int64_t year, month, day, days_us;
    text t = text_of(s);
    if (infinite(s, us))
        return true;
    read_date(&t, &year, &month, &day);
    expect(&t, ' ');
    int64_t time = read_time(&t);
    if (t.at < t.end && (*t.at == '+' || *t.at == '-'))
        time -= read_zone(&t);
    int64_t days = finish(&t, year, month, day);
    return !t.bad && !__builtin_mul_overflow(days, DAY, &days_us) &&
           !__builtin_add_overflow(days_us, time, us);
}

/* A year of more than four digits has a sign. */
bool fr_dbz_parse_zoned(fr_str s, int64_t *us)
{
    int64_t month, day, days_us, nanos = 0;
    text t = text_of(s);
    bool before = take(&t, '-'), far = !before && take(&t, '+');
    int64_t year = number(&t, 4, before || far ? 9 : 4);
    expect(&t, '-');
    month = number(&t, 2, 2);
    expect(&t, '-');
    day = number(&t, 2, 2);
    expect(&t, 'T');
    int64_t time = read_time(&t);
    while (t.at < t.end && *t.at >= '0' && *t.at <= '9') /* of nanoseconds */
        nanos += *t.at++ - '0';
    if (!take(&t, 'Z'))
        time -= read_zone(&t);
    int64_t days = finish(&t, before ? -year : year, month, day);
    return !t.bad && nanos == 0 && !__builtin_mul_overflow(days, DAY, &days_us) &&
           !__builtin_add_overflow(days_us, time, us);
}

/* ---- what Java prints ---- */

static size_t put_clock(char *out, size_t room, int64_t us, int digits)
{
    int64_t seconds = us / SECOND, rest = us % SECOND;
    size_t n = (size_t)snprintf(out, room, "%02d:%02d:%02d", (int)(seconds / 3600),
                                (int)(seconds / 60 % 60), (int)(seconds % 60));
    char all[16];
    snprintf(all, sizeof all, ".%06d000", (int)rest);
    size_t len = digits < 0 ? 7 : (size_t)digits + 1;
    while (digits < 0 && len > 1 && all[len - 1] == '0')
        len--;
    if (len > 1) {
        memcpy(out + n, all, len);
        n += len;
    }
    out[n] = '\0';
    return n;
}

fr_str fr_dbz_zoned(fr_arena *a, int64_t us, int digits)
{
    if (us == INT64_MAX)
        return FR_STR("infinity");
    if (us == INT64_MIN)
        return FR_STR("-infinity");
    int64_t days = us / DAY, rest = us % DAY, year;
    unsigned month, day;
    if (rest < 0) {
        rest += DAY;
        days--;
    }
    fr_civil_from_days(days, &year, &month, &day);
    char clock[32];
    put_clock(clock, sizeof clock, rest, digits);
    return fr_arena_printf(a, "%s%04lld-%02u-%02uT%sZ",
                           year > 9999 ? "+"
                           : year < 0  ? "-"
                                       : "",
                           llabs((long long)year), month, day, clock);
}

bool fr_dbz_zoned_time(fr_arena *a, fr_str s, fr_str *out)
{
    text t = text_of(s);
    int64_t us = read_time(&t), zone = read_zone(&t);
    char clock[32];
    if (t.bad || t.at != t.end || us > DAY || (us == DAY && zone != 0))
        return false; /* 24:00 has no time in another zone */
    if (us < DAY)
        us = ((us - zone) % DAY + DAY) % DAY;
    put_clock(clock, sizeof clock, us, -1);
    *out = fr_arena_printf(a, "%sZ", clock);
    return true;
}

/* ---- lengths of time ---- */

static bool read_part(text *t, double *v, char *unit)
{
    bool minus = take(t, '-');
    int64_t whole = number(t, 1, 18), part = fraction(t);
    if (t->bad || t->at == t->end)
        return false;
    *v = (double)whole + (double)part / 1e6;
    if (minus)
        *v = -*v;
    *unit = *t->at++;
    return true;
}

/* Debezium adds up in doubles and rounds once. */
bool fr_dbz_duration(fr_str s, int64_t *us)
{
    text t = text_of(s);
    double months = 0, days = 0, hours = 0, minutes = 0, seconds = 0, v;
    bool clock = false;
    char unit;
    expect(&t, 'P');
    while (!t.bad && t.at < t.end) {
        if (!clock && take(&t, 'T')) {
            clock = true;
            continue;
        }
        if (!read_part(&t, &v, &unit))
            return false;
        if (!clock && unit == 'Y')
            months += v * 12;
        else if (!clock && unit == 'M')
            months += v;
        else if (!clock && unit == 'D')
            days += v;
        else if (clock && unit == 'H')
            hours += v;
        else if (clock && unit == 'M')
            minutes += v;
        else if (clock && unit == 'S')
            seconds += v;
        else
            return false;
    }
    double all = months * 30.4375 + days;
    all = (((all * 24 + hours) * 60 + minutes) * 60 + seconds) * 1e6;
    if (t.bad || !(fabs(all) < 9.2e18))
        return false;
    *us = (int64_t)floor(all + 0.5);
    return true;
}
