/* DATE, TIME, DATETIME, TIMESTAMP: the formats since MySQL 5.6 and MariaDB 10.0 (TIME2 and its
 * kin, my_time.h of the servers), those before, and MariaDB 5.3's with fractions (Field_..._hires
 * of its field.cc). */
#include "connectors/mysql/my_value_parts.h"

#define SECOND INT64_C(1000000)
static const uint32_t fraction_unit[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

typedef struct moment {
    bool negative;
    bool epoch; /* seconds and us are since 1970, UTC */
    uint32_t year, month, day, hour, minute, second, us;
    uint64_t seconds;
} moment;

enum { DIGITS_MAX = 6 };

/* --- old formats with fractions --- */

static const uint8_t hires_time[] = {3, 4, 4, 5, 5, 5, 6};
static const uint8_t hires_datetime[] = {5, 6, 6, 7, 7, 7, 8};
static const uint8_t hires_fraction[] = {0, 1, 1, 2, 2, 3, 3};

/* meta is the digits for the old types too: my_layout puts them there. */
size_t fr_my_time_size(fr_my_wire wire, uint16_t meta)
{
    bool old =
        wire == FR_MY_WIRE_TIMESTAMP || wire == FR_MY_WIRE_DATETIME || wire == FR_MY_WIRE_TIME;
    if (meta > DIGITS_MAX)
        return 0;
    size_t fraction = (meta + 1u) / 2;
    switch (wire) {
    case FR_MY_WIRE_DATE:
    case FR_MY_WIRE_NEWDATE:
        return 3;
    case FR_MY_WIRE_TIME2:
        return 3 + fraction;
    case FR_MY_WIRE_DATETIME2:
        return 5 + fraction;
    case FR_MY_WIRE_TIMESTAMP2:
        return 4 + fraction;
    case FR_MY_WIRE_TIMESTAMP:
        return 4u + hires_fraction[meta];
    case FR_MY_WIRE_DATETIME:
        return meta == 0 ? 8 : hires_datetime[meta];
    case FR_MY_WIRE_TIME:
        return hires_time[meta];
    default:
        return old ? 1 : 0;
    }
}

static void hires_split(uint64_t v, bool date, moment *m)
{
    m->us = (uint32_t)(v % 1000000);
    v /= 1000000;
    m->second = (uint32_t)(v % 60);
    m->minute = (uint32_t)(v / 60 % 60);
    v /= 3600;
    m->hour = (uint32_t)(date ? v % 24 : v);
    v /= 24;
    if (!date)
        return;
    m->day = (uint32_t)(v % 32);
    m->month = (uint32_t)(v / 32 % 13);
    m->year = (uint32_t)(v / 32 / 13);
}

static void hires(const fr_my_codec *c, uint64_t v, moment *m)
{
    uint32_t unit = fraction_unit[c->meta];
    if (c->wire == FR_MY_WIRE_DATETIME) {
        hires_split(v * unit, true, m);
        return;
    }
    int64_t zero = INT64_C(3020400) * SECOND / unit; /* 838:59:59 and a second */
    int64_t t = (int64_t)v - zero;
    m->negative = t < 0;
    hires_split((uint64_t)(t < 0 ? -t : t) * unit, false, m);
}

/* --- row images --- */

static void split_decimal(uint64_t date, uint64_t time, moment *m)
{
    m->year = (uint32_t)(date / 10000);
    m->month = (uint32_t)(date / 100 % 100);
    m->day = (uint32_t)(date % 100);
    m->hour = (uint32_t)(time / 10000);
    m->minute = (uint32_t)(time / 100 % 100);
    m->second = (uint32_t)(time % 100);
}

/* The packed forms: big-endian with the sign's opposite in front, then the fraction. */
static void split_packed(const fr_my_codec *c, uint64_t raw, moment *m)
{
    unsigned bytes = (c->meta + 1u) / 2, bits = bytes * 8;
    static const uint32_t scale[] = {0, 10000, 100, 1};
    bool date = c->wire == FR_MY_WIRE_DATETIME2;
    int64_t v = (int64_t)(raw - (UINT64_C(1) << ((date ? 39 : 23) + bits)));
    m->negative = v < 0;
    uint64_t u = (uint64_t)(v < 0 ? -v : v);
    m->us = bytes == 0 ? 0 : (uint32_t)(u & ((UINT64_C(1) << bits) - 1)) * scale[bytes];
    u >>= bits;
    m->second = (uint32_t)(u & 0x3f);
    m->minute = (uint32_t)(u >> 6 & 0x3f);
    m->hour = (uint32_t)(date ? u >> 12 & 0x1f : u >> 12 & 0x3ff);
    if (!date)
        return;
    m->day = (uint32_t)(u >> 17 & 0x1f);
    m->month = (uint32_t)((u >> 22) % 13);
    m->year = (uint32_t)((u >> 22) / 13);
}

static void split_epoch(const fr_my_codec *c, fr_in *in, size_t size, moment *m)
{
    static const uint32_t scale[] = {0, 10000, 100, 1};
    bool old = c->wire == FR_MY_WIRE_TIMESTAMP;
    m->epoch = true;
    m->seconds = old && c->meta == 0 ? fr_my_take_le(in, 4) : fr_my_take_be(in, 4);
    uint64_t fraction = fr_my_take_be(in, size - 4);
    m->us = (uint32_t)fraction * (old ? fraction_unit[c->meta] : scale[size - 4]);
}

static void read_moment(const fr_my_codec *c, fr_in *in, size_t size, moment *m)
{
    uint64_t v;
    switch (c->wire) {
    case FR_MY_WIRE_TIMESTAMP:
    case FR_MY_WIRE_TIMESTAMP2:
        split_epoch(c, in, size, m);
        return;
    case FR_MY_WIRE_DATE:
    case FR_MY_WIRE_NEWDATE:
        v = fr_my_take_le(in, 3);
        m->day = (uint32_t)(v & 31);
        m->month = (uint32_t)(v >> 5 & 15);
        m->year = (uint32_t)(v >> 9);
        return;
    case FR_MY_WIRE_TIME2:
    case FR_MY_WIRE_DATETIME2:
        split_packed(c, fr_my_take_be(in, size), m);
        return;
    default:
        break;
    }
    if (c->meta > 0) {
        hires(c, fr_my_take_be(in, size), m);
        return;
    }
    v = fr_my_take_le(in, size);
    if (c->wire == FR_MY_WIRE_DATETIME) {
        split_decimal(v / 1000000, v % 1000000, m);
    } else {
        m->negative = (v & 0x800000) != 0;
        split_decimal(0, m->negative ? 0x1000000 - v : v, m);
    }
}

/* --- to values --- */

static void put_fraction(fr_buf *b, uint32_t us, unsigned digits)
{
    if (digits > 0)
        fr_buf_printf(b, ".%0*u", (int)digits, us / fraction_unit[digits]);
}

static void as_server_prints(const fr_my_codec *c, fr_arena *a, moment *m, fr_value *out)
{
    fr_buf b = {.arena = a};
    if (m->epoch && (m->seconds != 0 || m->us != 0)) {
        int64_t year;
        uint64_t of_day = m->seconds % 86400;
        fr_civil_from_days((int64_t)(m->seconds / 86400), &year, &m->month, &m->day);
        m->year = (uint32_t)year;
        m->hour = (uint32_t)(of_day / 3600);
        m->minute = (uint32_t)(of_day / 60 % 60);
        m->second = (uint32_t)(of_day % 60);
    }
    if (c->type != FR_MY_TIME)
        fr_buf_printf(&b, "%04u-%02u-%02u", m->year, m->month, m->day);
    if (c->type == FR_MY_DATETIME || c->type == FR_MY_TIMESTAMP)
        fr_buf_u8(&b, ' ');
    if (c->type != FR_MY_DATE) {
        fr_buf_printf(&b, "%s%02u:%02u:%02u", m->negative ? "-" : "", m->hour, m->minute,
                      m->second);
        put_fraction(&b, m->us, c->digits);
    }
    out->kind = FR_TEXT;
    out->bytes = fr_buf_view(&b);
}

static bool is_day(const moment *m)
{
    static const uint8_t days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = m->year % 4 == 0 && (m->year % 100 != 0 || m->year % 400 == 0);
    return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days[m->month] &&
           (m->month != 2 || m->day < 29 || leap);
}

/* 0000-00-00, 2020-00-00, 2021-02-30: no day of any calendar. */
static fr_rc no_day(const fr_my_codec *c, fr_value *out, fr_err *err)
{
    if (c->zero == FR_MY_ZERO_NULL) {
        *out = (fr_value){.kind = FR_NULL};
        return FR_IDLE;
    }
    fr_fail(err, FR_ERR_DATA, "a zero date, or one that no calendar has (0000-00-00)");
    fr_fail_code(err, "my.value.zero_date");
    return fr_fail_hint(err, "columns.zero_dates: null publishes NULL and names the column in the "
                             "header freshet.zero (not for key columns); columns.types: {COLUMN: "
                             "string} publishes the text; or correct the row");
}

static fr_rc put_moment(const fr_my_codec *c, fr_arena *a, moment *m, fr_value *out, fr_err *err)
{
    uint32_t hours = c->type == FR_MY_TIME ? 838 : 23;
    if (m->hour > hours || m->minute > 59 || m->second > 59 || m->us > 999999 || m->year > 9999)
        return fr_my_malformed(err, "a time with an hour, minute or second that there is not");
    if (c->kind == FR_TEXT) {
        as_server_prints(c, a, m, out);
        return FR_OK;
    }
    int64_t time = (((int64_t)m->hour * 60 + m->minute) * 60 + m->second) * SECOND + m->us;
    if (c->type == FR_MY_TIME) {
        *out = (fr_value){.kind = c->kind, .integer = m->negative ? -time : time};
        return FR_OK;
    }
    if (m->epoch ? m->seconds == 0 && m->us == 0 : !is_day(m))
        return no_day(c, out, err);
    if (m->epoch) {
        *out = (fr_value){.kind = c->kind, .integer = (int64_t)m->seconds * SECOND + m->us};
        return FR_OK;
    }
    int64_t days = fr_days_from_civil(m->year, m->month, m->day);
    *out = (fr_value){.kind = c->kind,
                      .integer = c->type == FR_MY_DATE ? days : days * 86400 * SECOND + time};
    return FR_OK;
}

fr_rc fr_my_time_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err)
{
    size_t size = fr_my_time_size(c->wire, c->meta);
    moment m = {.us = 0};
    if (size == 0)
        in->bad = true;
    else
        read_moment(c, in, size, &m);
    if (in->bad)
        return fr_my_ended(err);
    return put_moment(c, a, &m, out, err);
}

/* --- results of queries --- */

/* Digits up to something else; false: none, or too many. */
static bool number(fr_str in, size_t *at, uint32_t *out)
{
    size_t start = *at;
    uint32_t v = 0;
    while (*at < in.len && in.ptr[*at] >= '0' && in.ptr[*at] <= '9')
        v = v * 10 + (uint32_t)(in.ptr[(*at)++] - '0');
    *out = v;
    return *at > start && *at - start <= 6;
}

static bool after(fr_str in, size_t *at, char c, uint32_t *out)
{
    if (*at >= in.len || in.ptr[*at] != c)
        return false;
    (*at)++;
    return number(in, at, out);
}

static bool fraction(fr_str in, size_t *at, moment *m)
{
    size_t start = *at + 1;
    if (*at == in.len)
        return true;
    if (!after(in, at, '.', &m->us))
        return false;
    m->us *= fraction_unit[*at - start];
    return *at == in.len;
}

fr_rc fr_my_time_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    moment m = {.us = 0};
    size_t at = 0;
    bool ok = true;
    if (c->type != FR_MY_TIME)
        ok = number(in, &at, &m.year) && after(in, &at, '-', &m.month) &&
             after(in, &at, '-', &m.day);
    if (c->type == FR_MY_TIME) {
        m.negative = in.len > 0 && in.ptr[0] == '-';
        at = m.negative ? 1 : 0;
        ok = number(in, &at, &m.hour);
    } else if (c->type != FR_MY_DATE) {
        ok = ok && after(in, &at, ' ', &m.hour);
    }
    if (c->type != FR_MY_DATE)
        ok = ok && after(in, &at, ':', &m.minute) && after(in, &at, ':', &m.second) &&
             fraction(in, &at, &m);
    if (!ok || at != in.len)
        return fr_my_malformed(err, "not a date or time as the server prints it");
    return put_moment(c, a, &m, out, err);
}

fr_rc fr_my_time_binary(const fr_my_codec *c, fr_arena *a, fr_str bytes, fr_value *out, fr_err *err)
{
    moment m = {.us = 0};
    fr_in in = fr_in_of(bytes);
    bool time = c->type == FR_MY_TIME;
    size_t short_form = time ? 8 : 7, long_form = short_form + 4;
    if (bytes.len != 0 && bytes.len != short_form && bytes.len != long_form &&
        (time || bytes.len != 4))
        return fr_my_malformed(err, "a date or time has an impossible length");
    if (bytes.len != 0 && time) {
        m.negative = fr_in_u8(&in) != 0;
        m.day = fr_in_u32le(&in);
    } else if (bytes.len != 0) {
        m.year = fr_in_u16le(&in);
        m.month = fr_in_u8(&in);
        m.day = fr_in_u8(&in);
    }
    if (bytes.len >= short_form) {
        m.hour = fr_in_u8(&in);
        m.minute = fr_in_u8(&in);
        m.second = fr_in_u8(&in);
    }
    if (bytes.len == long_form)
        m.us = fr_in_u32le(&in);
    if (time) {
        if (m.day > 40)
            return fr_my_malformed(err, "a time of more than 838 hours");
        m.hour += m.day * 24;
        m.day = 0;
    }
    return put_moment(c, a, &m, out, err);
}
