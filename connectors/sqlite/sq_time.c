#include "connectors/sqlite/sq_time.h"
#include "model/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000)
enum { MICRO_DIGITS = 6, MOST_DIGITS = 9, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

/* ---- reading ---- */

typedef struct scan {
    fr_str in;
    size_t at;
    bool good;
} scan;

static bool next_is(const scan *s, char c)
{
    return s->at < s->in.len && s->in.ptr[s->at] == c;
}

/* Just so many digits, no more. */
static unsigned number(scan *s, size_t digits)
{
    unsigned v = 0;
    for (size_t i = 0; i < digits; i++, s->at++) {
        if (s->at >= s->in.len || s->in.ptr[s->at] < '0' || s->in.ptr[s->at] > '9') {
            s->good = false;
            return 0;
        }
        v = v * 10 + (unsigned)(s->in.ptr[s->at] - '0');
    }
    return v;
}

static void mark(scan *s, char c)
{
    s->good = s->good && next_is(s, c);
    s->at++;
}

static unsigned after(scan *s, char c, size_t digits)
{
    mark(s, c);
    return number(s, digits);
}

static int64_t day(scan *s)
{
    static const uint8_t days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = number(s, 4), month = after(s, '-', 2), d = after(s, '-', 2);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    s->good = s->good && month >= 1 && month <= 12 && d >= 1 && d <= days[month] &&
              (month != 2 || d < 29 || leap);
    return s->good ? fr_days_from_civil(year, month, d) : 0;
}

/* Digits behind the point; those beyond microseconds must be zeros. */
static int64_t fraction(scan *s, fr_sq_clock *form)
{
    int64_t us = 0;
    size_t n = 0;
    if (!next_is(s, '.'))
        return 0;
    for (s->at++; s->at < s->in.len && s->in.ptr[s->at] >= '0' && s->in.ptr[s->at] <= '9'; n++) {
        int digit = s->in.ptr[s->at++] - '0';
        if (n < MICRO_DIGITS)
            us = us * 10 + digit;
        else
            s->good = s->good && digit == 0;
    }
    s->good = s->good && n > 0 && n <= MOST_DIGITS;
    form->digits = (uint8_t)n;
    for (; n < MICRO_DIGITS; n++)
        us *= 10;
    return us;
}

static int64_t clock_time(scan *s, fr_sq_clock *form)
{
    unsigned hour = number(s, 2), minute = after(s, ':', 2), second = 0;
    int64_t us = 0;
    if (next_is(s, ':')) {
        form->seconds = true;
        second = after(s, ':', 2);
        us = fraction(s, form);
    }
    s->good = s->good && hour < 24 && minute < 60 && second < 60;
    if (form->digits > 0 && us == 0)
        form->whole = FR_SQ_WHOLE_WRITTEN;
    else if (form->seconds && us == 0)
        form->whole = FR_SQ_WHOLE_LEFT_OUT;
    return ((int64_t)hour * HOUR_S + (int64_t)minute * MINUTE_S + second) * SECOND + us;
}

static void zone(scan *s, fr_sq_clock *form)
{
    size_t from = s->at;
    if (next_is(s, 'Z')) {
        s->at++;
    } else if (next_is(s, '+') || next_is(s, '-')) {
        int32_t sign = s->in.ptr[s->at++] == '-' ? -1 : 1;
        unsigned hours = number(s, 2), minutes = after(s, ':', 2);
        s->good = s->good && hours <= 15 && minutes < 60;
        form->zone_s = sign * (int32_t)(hours * HOUR_S + minutes * MINUTE_S);
    }
    if (s->good && s->at - from < FR_SQ_ZONE_MAX && s->at <= s->in.len)
        memcpy(form->zone, s->in.ptr + from, s->at - from);
}

static fr_rc bad(const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, "sqlite.value.time");
    return fr_fail_hint(err, "correct the row; or columns.types: {COLUMN: string}");
}

static bool whole(const scan *s)
{
    return s->good && s->at == s->in.len;
}

fr_rc fr_sq_moment(fr_str text, int64_t *us, fr_sq_clock *form, fr_err *err)
{
    scan s = {.in = text, .good = true};
    *form = (fr_sq_clock){.separator = 0};
    int64_t days = day(&s);
    form->separator = next_is(&s, 'T') ? 'T' : ' ';
    mark(&s, form->separator);
    int64_t time = clock_time(&s, form);
    zone(&s, form);
    if (!whole(&s))
        return bad("a text that is no time: neither YYYY-MM-DD HH:MM:SS.SSS nor with T and a zone",
                   err);
    *us = days * DAY_S * SECOND + time - form->zone_s * SECOND;
    return FR_OK;
}

fr_rc fr_sq_date(fr_str text, int64_t *days, fr_err *err)
{
    scan s = {.in = text, .good = true};
    *days = day(&s);
    return whole(&s) ? FR_OK : bad("a text that is no date: not YYYY-MM-DD", err);
}

fr_rc fr_sq_time_of_day(fr_str text, int64_t *us, fr_err *err)
{
    scan s = {.in = text, .good = true};
    fr_sq_clock form = {.separator = 0};
    *us = clock_time(&s, &form);
    return whole(&s) ? FR_OK : bad("a text that is no time of day: not HH:MM:SS.SSS", err);
}

/* ---- one form ---- */

static bool is_zoned(const fr_sq_clock *c)
{
    return c->zone[0] != '\0';
}

/* A fraction may be missing where it is zero; not before a zone, for Z sorts behind a point. */
static bool take_fraction(fr_sq_clock *clock, const fr_sq_clock *form)
{
    bool other = clock->digits != form->digits;
    if (other && (is_zoned(clock) || (clock->digits > 0 && form->digits > 0)))
        return false;
    if (clock->whole != FR_SQ_WHOLE_UNSEEN && form->whole != FR_SQ_WHOLE_UNSEEN &&
        clock->whole != form->whole)
        return false;
    if (form->digits > 0)
        clock->digits = form->digits;
    if (form->whole != FR_SQ_WHOLE_UNSEEN)
        clock->whole = form->whole;
    return true;
}

bool fr_sq_clock_take(fr_sq_clock *clock, const fr_sq_clock *form)
{
    if (clock->separator == 0) {
        *clock = *form;
        return true;
    }
    return clock->separator == form->separator && clock->seconds == form->seconds &&
           strcmp(clock->zone, form->zone) == 0 && take_fraction(clock, form);
}

bool fr_sq_clock_same(const fr_sq_clock *a, const fr_sq_clock *b)
{
    return a->separator == b->separator && a->seconds == b->seconds && a->digits == b->digits &&
           a->whole == b->whole && strcmp(a->zone, b->zone) == 0;
}

int64_t fr_sq_clock_unit(const fr_sq_clock *clock)
{
    int64_t unit = clock->seconds ? SECOND : MINUTE_S * SECOND;
    for (unsigned i = 0; i < clock->digits && unit > 1; i++)
        unit /= 10;
    return unit;
}

static int64_t floor_to(int64_t us, int64_t unit)
{
    int64_t rest = us % unit;
    return us - (rest < 0 ? rest + unit : rest);
}

fr_str fr_sq_clock_text(fr_arena *a, const fr_sq_clock *clock, int64_t us)
{
    int64_t year, local = floor_to(us + clock->zone_s * SECOND, fr_sq_clock_unit(clock));
    unsigned month, d;
    int64_t days = floor_to(local, DAY_S * SECOND) / (DAY_S * SECOND);
    int64_t time = local - days * DAY_S * SECOND, s = time / SECOND, rest = time % SECOND;
    char text[64], digits[16];
    fr_civil_from_days(days, &year, &month, &d);
    int n = snprintf(text, sizeof(text), "%04" PRId64 "-%02u-%02u%c%02d:%02d", year, month, d,
                     clock->separator == 0 ? ' ' : clock->separator, (int)(s / HOUR_S),
                     (int)(s / MINUTE_S % 60));
    if (clock->seconds)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ":%02d", (int)(s % 60));
    if (clock->digits > 0 && (rest != 0 || clock->whole != FR_SQ_WHOLE_LEFT_OUT)) {
        snprintf(digits, sizeof(digits), "%06d000", (int)rest);
        n += snprintf(text + n, sizeof(text) - (size_t)n, ".%.*s", (int)clock->digits, digits);
    }
    return fr_arena_printf(a, "%.*s%s", n, text, clock->zone);
}
