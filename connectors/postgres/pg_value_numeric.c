#include "connectors/postgres/pg_value_parts.h"
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGN_POSITIVE = 0x0000, SIGN_NEGATIVE = 0x4000 };
enum { SIGN_NAN = 0xC000, SIGN_PINF = 0xD000, SIGN_NINF = 0xF000 };
enum { DSCALE_MAX = 0x3FFF, SMALL_DIGITS = 18 };

static const uint64_t pow10_u64[] = {1u,
                                     10u,
                                     100u,
                                     1000u,
                                     10000u,
                                     100000u,
                                     1000000u,
                                     10000000u,
                                     100000000u,
                                     1000000000u,
                                     10000000000u,
                                     100000000000u,
                                     1000000000000u,
                                     10000000000000u,
                                     100000000000000u,
                                     1000000000000000u,
                                     10000000000000000u,
                                     100000000000000000u,
                                     1000000000000000000u};

/* --- integers --- */

bool fr_pg_int_parse(fr_str in, int64_t low, int64_t high, int64_t *out)
{
    bool negative = in.len > 0 && in.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    uint64_t v = 0;
    if (i == in.len || in.len - i > 19)
        return false;
    for (; i < in.len; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        if (digit > 9)
            return false;
        v = v * 10 + digit; /* 19 digits fit 64 bits without a sign */
    }
    if (v > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return false;
    int64_t n = negative ? (int64_t)(0 - v) : (int64_t)v;
    if (n < low || n > high)
        return false;
    *out = n;
    return true;
}

/* Two's complement, big-endian, without bytes that only repeat the sign. */
fr_str fr_pg_int_decimal(fr_arena *a, int64_t v)
{
    uint64_t magnitude = (uint64_t)(v < 0 ? ~v : v); /* its top bit is clear */
    unsigned bits = magnitude == 0 ? 0 : 64 - (unsigned)__builtin_clzll(magnitude);
    unsigned size = bits / 8 + 1; /* one bit more, for the sign */
    uint64_t shifted = htobe64((uint64_t)v << (64 - 8 * size));
    char *out = fr_arena_raw(a, 8);
    memcpy(out, &shifted, 8);
    return (fr_str){out, size};
}

fr_str fr_pg_uint_decimal(fr_arena *a, uint64_t v)
{
    if (v <= INT64_MAX)
        return fr_pg_int_decimal(a, (int64_t)v);
    uint64_t bytes = htobe64(v);
    char *out = fr_arena_raw(a, 9);
    out[0] = 0;
    memcpy(out + 1, &bytes, 8);
    return (fr_str){out, 9};
}

/* --- floats --- */

/* Clinger's fast path: a short number is mantissa times or over a power of ten, all exact,
 * so one operation rounds it right. */
static bool float_fast(fr_str in, bool single, double *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = in.len > 0 && in.ptr[0] == '-', point = false;
    size_t digits = 0, after = 0;
    uint64_t mantissa = 0;
    for (size_t i = negative ? 1 : 0; i < in.len; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        if (digit <= 9) {
            mantissa = mantissa * 10 + digit;
            after += point ? 1 : 0;
            if (++digits > (single ? 7 : 15))
                return false;
        } else if (in.ptr[i] == '.' && !point && digits > 0) {
            point = true;
        } else {
            return false;
        }
    }
    if (digits == 0 || (point && after == 0))
        return false;
    double v;
    if (single)
        v = (double)((float)mantissa / (float)powers[after]);
    else
        v = (double)mantissa / powers[after];
    *out = negative ? -v : v;
    return true;
}

fr_rc fr_pg_float_parse(fr_str in, bool single, double *out, fr_err *err)
{
    char text[64], *end = NULL;
    if (float_fast(in, single, out))
        return FR_OK;
    if (fr_str_is(in, "NaN"))
        *out = (double)NAN;
    else if (fr_str_is(in, "Infinity"))
        *out = (double)INFINITY;
    else if (fr_str_is(in, "-Infinity"))
        *out = -(double)INFINITY;
    else {
        if (in.len == 0 || in.len >= sizeof(text))
            return fr_pg_malformed(err, "not a floating-point number");
        for (size_t i = 0; i < in.len; i++) /* no hexadecimal, no spaces, no names */
            if (strchr("0123456789+-.eE", in.ptr[i]) == NULL || in.ptr[i] == '\0')
                return fr_pg_malformed(err, "not a floating-point number");
        memcpy(text, in.ptr, in.len);
        text[in.len] = '\0';
        *out = single ? (double)strtof(text, &end) : strtod(text, &end);
        if (end != text + in.len)
            return fr_pg_malformed(err, "not a floating-point number");
    }
    return FR_OK;
}

void fr_pg_float_render(double v, bool single, fr_buf *out)
{
    char text[40];
    if (isnan(v)) {
        fr_buf_text(out, "NaN");
        return;
    }
    if (isinf(v)) {
        fr_buf_text(out, v > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    fr_buf_text(out, text);
}

/* --- numeric --- */

typedef struct numeric { /* base 10000, most significant first; digits stay in the wire */
    fr_str digits;
    int count, weight, dscale;
    unsigned sign;
} numeric;

static unsigned digit_at(const numeric *n, int i)
{
    if (i < 0 || i >= n->count)
        return 0;
    const unsigned char *p = (const unsigned char *)n->digits.ptr + (size_t)i * 2;
    return (unsigned)p[0] << 8 | p[1];
}

static bool numeric_read(fr_str bytes, numeric *n)
{
    fr_in in = fr_in_of(bytes);
    n->count = fr_in_u16be(&in);
    n->weight = (int16_t)fr_in_u16be(&in);
    n->sign = fr_in_u16be(&in);
    n->dscale = fr_in_u16be(&in);
    n->digits = fr_in_take(&in, (size_t)n->count * 2);
    if (in.bad || fr_in_left(&in) != 0 || n->dscale > DSCALE_MAX)
        return false;
    if (n->sign != SIGN_POSITIVE && n->sign != SIGN_NEGATIVE && n->sign != SIGN_NAN &&
        n->sign != SIGN_PINF && n->sign != SIGN_NINF)
        return false;
    for (int i = 0; i < n->count; i++)
        if (digit_at(n, i) > 9999)
            return false;
    return true;
}

static void put_group(fr_buf *out, unsigned group, int digits)
{
    char text[4] = {(char)('0' + group / 1000), (char)('0' + group / 100 % 10),
                    (char)('0' + group / 10 % 10), (char)('0' + group % 10)};
    fr_buf_put(out, text, (size_t)digits);
}

static void numeric_put(const numeric *n, fr_buf *out)
{
    if (n->sign == SIGN_NEGATIVE)
        fr_buf_u8(out, '-');
    if (n->weight < 0)
        fr_buf_u8(out, '0');
    else
        fr_buf_printf(out, "%u", digit_at(n, 0));
    for (int i = 1; i <= n->weight; i++)
        put_group(out, digit_at(n, i), 4);
    if (n->dscale > 0)
        fr_buf_u8(out, '.');
    for (int done = 0, i = n->weight + 1; done < n->dscale; done += 4, i++)
        put_group(out, digit_at(n, i), n->dscale - done < 4 ? n->dscale - done : 4);
}

fr_rc fr_pg_numeric_render(fr_str in, fr_buf *out, fr_err *err)
{
    numeric n;
    if (!numeric_read(in, &n))
        return fr_pg_malformed(err, "not a numeric");
    if (n.sign == SIGN_NAN)
        fr_buf_text(out, "NaN");
    else if (n.sign == SIGN_PINF || n.sign == SIGN_NINF)
        fr_buf_text(out, n.sign == SIGN_PINF ? "Infinity" : "-Infinity");
    else
        numeric_put(&n, out);
    return FR_OK;
}

static fr_rc not_finite(fr_err *err, bool nan)
{
    return fr_pg_no_room(err, nan ? "pg.value.nan" : "pg.value.infinite",
                         nan ? "NaN is no decimal number" : "infinity is no decimal number");
}

/* Up to 18 digits in a register; false: take the long way. */
static bool numeric_small(const fr_pg_codec *c, const numeric *n, uint64_t *out)
{
    uint64_t v = 0;
    int i = n->weight < 0 ? n->weight + 1 : 0;
    if (n->dscale != c->scale || n->weight > 4 || n->weight < -8 || c->scale > SMALL_DIGITS ||
        (n->weight + 1) * 4 + c->scale > SMALL_DIGITS)
        return false;
    for (; i <= n->weight; i++)
        v = v * 10000 + digit_at(n, i);
    for (int left = c->scale; left > 0; left -= 4, i++) {
        unsigned group = digit_at(n, i);
        uint64_t cut = left < 4 ? pow10_u64[4 - left] : 1;
        if (group % cut != 0)
            return false;
        v = v * (10000 / cut) + group / cut;
    }
    for (; i < n->count; i++)
        if (digit_at(n, i) != 0)
            return false;
    if (c->precision < SMALL_DIGITS && v >= pow10_u64[c->precision])
        return false;
    *out = v;
    return true;
}

static fr_rc decimal_binary(const fr_pg_codec *c, fr_arena *a, fr_str in, fr_str *out, fr_err *err)
{
    numeric n;
    uint64_t v;
    if (!numeric_read(in, &n))
        return fr_pg_malformed(err, "not a numeric");
    if (n.sign != SIGN_POSITIVE && n.sign != SIGN_NEGATIVE)
        return not_finite(err, n.sign == SIGN_NAN);
    if (numeric_small(c, &n, &v)) {
        *out = fr_pg_int_decimal(a, n.sign == SIGN_NEGATIVE ? -(int64_t)v : (int64_t)v);
        return FR_OK;
    }
    fr_buf text = {.arena = a};
    n.dscale = n.dscale < DSCALE_MAX - 4 ? n.dscale : DSCALE_MAX;
    numeric_put(&n, &text);
    return fr_decimal_from_text(a, fr_buf_view(&text), c->precision, c->scale, out, err);
}

/* Short plain numbers with exactly as many digits after the point as the column has, which
 * is how numeric(p,s) is printed; false: take the long way. */
static bool decimal_small_text(const fr_pg_codec *c, fr_str in, int64_t *out)
{
    bool negative = in.len > 0 && in.ptr[0] == '-';
    size_t from = negative ? 1 : 0, digits = 0, after = 0;
    bool point = false;
    uint64_t v = 0;
    if (in.len - from > SMALL_DIGITS + 1 || in.len == from)
        return false;
    for (size_t i = from; i < in.len; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        if (digit <= 9) {
            v = v * 10 + digit;
            digits++;
            after += point ? 1 : 0;
        } else if (in.ptr[i] == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (digits > SMALL_DIGITS || digits == after || after != (size_t)c->scale ||
        (c->precision < SMALL_DIGITS && v >= pow10_u64[c->precision]))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

fr_rc fr_pg_numeric_decimal(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_str *out,
                            fr_err *err)
{
    int64_t v;
    fr_rc rc;
    if (binary) {
        rc = decimal_binary(c, a, in, out, err);
    } else if (decimal_small_text(c, in, &v)) {
        *out = fr_pg_int_decimal(a, v);
        return FR_OK;
    } else if (fr_str_is(in, "NaN") || fr_str_is(in, "Infinity") || fr_str_is(in, "-Infinity")) {
        return not_finite(err, in.ptr[0] == 'N');
    } else {
        rc = fr_decimal_from_text(a, in, c->precision, c->scale, out, err);
    }
    if (rc == FR_FAIL && err->code[0] == '\0')
        fr_fail_code(err, "pg.value.range");
    return rc;
}

/* --- money --- */

/* "$1,234.56", "-$0.01": what the C locale prints. */
fr_rc fr_pg_money_parse(fr_str in, int64_t *cents_out, fr_err *err)
{
    bool negative = in.len > 0 && in.ptr[0] == '-', bad = false;
    size_t i = negative ? 1 : 0, digits = 0, after = 0;
    bool point = false;
    uint64_t v = 0;
    if (i == in.len || in.ptr[i] != '$')
        return fr_pg_malformed(err, "not money as lc_monetary C prints it");
    for (i++; i < in.len && !bad; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        if (digit <= 9) {
            bad = digits++ >= 19;
            v = v * 10 + digit;
            after += point ? 1 : 0;
        } else if (in.ptr[i] == '.' && !point) {
            point = true;
        } else if (in.ptr[i] != ',' || point) {
            bad = true;
        }
    }
    if (bad || after != 2 || v > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return fr_pg_malformed(err, "not money as lc_monetary C prints it");
    *cents_out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return FR_OK;
}

void fr_pg_money_render(int64_t cents, int digits, fr_buf *out)
{
    char text[48];
    uint64_t v = cents < 0 ? 0 - (uint64_t)cents : (uint64_t)cents;
    int n = snprintf(text, sizeof(text), "%0*llu", digits + 1, (unsigned long long)v);
    if (cents < 0)
        fr_buf_u8(out, '-');
    fr_buf_put(out, text, (size_t)(n - digits));
    if (digits > 0)
        fr_buf_u8(out, '.');
    fr_buf_put(out, text + n - digits, (size_t)digits);
}
