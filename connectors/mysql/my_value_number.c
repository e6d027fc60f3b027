#include "connectors/mysql/my_value_parts.h"
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t pow10_u64[] = {
    1,           10,           100,           1000,           10000,
    100000,      1000000,      10000000,      100000000,      1000000000,
    10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
};

/* Two's complement, big-endian, minimal: of 64 bits and a sign that they may not have. */
static fr_str minimal(fr_arena *a, uint64_t v, bool negative)
{
    uint64_t magnitude = negative ? ~v : v;
    unsigned bits = magnitude == 0 ? 0 : 64 - (unsigned)__builtin_clzll(magnitude);
    unsigned size = bits / 8 + 1; /* one bit more, for the sign */
    uint8_t *p = fr_arena_raw(a, 9);
    uint64_t be = htobe64(v);
    p[0] = negative ? 0xff : 0;
    memcpy(p + 1, &be, 8);
    return (fr_str){(const char *)p + 9 - size, size};
}

void fr_my_put_integer(const fr_my_codec *c, fr_arena *a, uint64_t v, bool negative, fr_value *out)
{
    out->kind = c->kind;
    if (c->kind == FR_DECIMAL)
        out->bytes = minimal(a, v, negative);
    else if (c->kind != FR_TEXT)
        out->integer = (int64_t)v;
    else if (c->type == FR_MY_YEAR)
        out->bytes = fr_arena_printf(a, "%04llu", (unsigned long long)v);
    else if (negative)
        out->bytes = fr_arena_printf(a, "%lld", (long long)v);
    else
        out->bytes = fr_arena_printf(a, "%llu", (unsigned long long)v);
}

void fr_my_float_render(double v, bool single, fr_buf *out)
{
    char text[40];
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        double back = single ? (double)strtof(text, NULL) : strtod(text, NULL);
        /* Their bits: -0 is not 0. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        if (memcmp(&back, &v, sizeof(v)) == 0)
            break;
    }
    fr_buf_text(out, text);
}

void fr_my_put_float(const fr_my_codec *c, fr_arena *a, double v, fr_value *out)
{
    out->kind = c->kind;
    if (c->kind != FR_TEXT) {
        out->real = v;
        return;
    }
    fr_buf b = {.arena = a};
    fr_my_float_render(v, c->type == FR_MY_FLOAT, &b);
    out->bytes = fr_buf_view(&b);
}

void fr_my_put_bits(const fr_my_codec *c, fr_arena *a, uint64_t v, fr_value *out)
{
    unsigned length = c->length == 0 || c->length > 64 ? 64 : c->length;
    out->kind = c->kind;
    if (c->kind == FR_BOOL) {
        out->boolean = (v & 1) != 0;
        return;
    }
    if (c->kind == FR_TEXT) {
        char *digits = fr_arena_raw(a, length);
        for (unsigned i = 0; i < length; i++)
            digits[i] = (v >> (length - 1 - i) & 1) != 0 ? '1' : '0';
        out->bytes = (fr_str){digits, length};
        return;
    }
    uint64_t be = htobe64(v);
    char *p = fr_arena_raw(a, 8);
    memcpy(p, &be, 8);
    out->bytes = (fr_str){p + 8 - (length + 7) / 8, (length + 7) / 8};
}

/* --- NEWDECIMAL: groups of nine decimal digits in four bytes each, big-endian, the group at
 * each end shorter; the first bit is the sign's opposite, negative numbers are inverted
 * (strings/decimal.c of the servers) --- */

enum { GROUP = 9, PRECISION_MAX = 65, SCALE_MAX = 38, LIMBS = 8 };
static const uint8_t bytes_of[GROUP + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

size_t fr_my_decimal_size(uint16_t meta)
{
    unsigned precision = meta >> 8, scale = meta & 0xff;
    if (precision == 0 || precision > PRECISION_MAX || scale > SCALE_MAX || scale > precision)
        return 0;
    unsigned whole = precision - scale;
    return whole / GROUP * 4 + bytes_of[whole % GROUP] + scale / GROUP * 4 +
           bytes_of[scale % GROUP];
}

typedef struct wide { /* little-endian limbs */
    uint32_t limb[LIMBS];
    unsigned used;
} wide;

static void wide_shift_in(wide *w, uint32_t factor, uint32_t digits)
{
    uint64_t carry = digits;
    for (unsigned i = 0; i < w->used; i++) {
        carry += (uint64_t)w->limb[i] * factor;
        w->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0 && w->used < LIMBS)
        w->limb[w->used++] = (uint32_t)carry;
}

static fr_str wide_minimal(fr_arena *a, wide *w, bool negative)
{
    uint64_t carry = negative ? 1 : 0;
    const size_t size = (size_t)LIMBS * 4 + 1;
    uint8_t *p = fr_arena_raw(a, size), *at = p + size;
    for (unsigned i = 0; i < LIMBS; i++) {
        uint32_t limb = i < w->used ? w->limb[i] : 0;
        carry += negative ? (uint32_t)~limb : limb;
        for (unsigned k = 0; k < 4; k++)
            *--at = (uint8_t)(carry >> (8 * k));
        carry >>= 32;
    }
    uint8_t sign = negative ? 0xff : 0;
    while (at + 1 < p + size && at[0] == sign && (at[1] & 0x80) == (sign & 0x80))
        at++;
    return (fr_str){(const char *)at, (size_t)(p + size - at)};
}

typedef struct groups {
    const uint8_t *p;
    uint8_t invert; /* 0xff for negative numbers */
    bool first, bad;
} groups;

static uint32_t next_group(groups *g, unsigned digits)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes_of[digits]; i++) {
        uint8_t b = *g->p++;
        if (g->first)
            b ^= 0x80;
        g->first = false;
        v = v << 8 | (uint8_t)(b ^ g->invert);
    }
    if (v >= pow10_u64[digits])
        g->bad = true;
    return v;
}

/* Short numbers need no limbs. */
static uint64_t read_narrow(groups *g, unsigned whole, unsigned scale)
{
    uint64_t v = next_group(g, whole % GROUP);
    for (unsigned i = 0; i < whole / GROUP; i++)
        v = v * pow10_u64[GROUP] + next_group(g, GROUP);
    for (unsigned i = 0; i < scale / GROUP; i++)
        v = v * pow10_u64[GROUP] + next_group(g, GROUP);
    return v * pow10_u64[scale % GROUP] + next_group(g, scale % GROUP);
}

static void read_wide(groups *g, unsigned whole, unsigned scale, wide *w)
{
    wide_shift_in(w, 1, next_group(g, whole % GROUP));
    for (unsigned i = 0; i < whole / GROUP; i++)
        wide_shift_in(w, (uint32_t)pow10_u64[GROUP], next_group(g, GROUP));
    for (unsigned i = 0; i < scale / GROUP; i++)
        wide_shift_in(w, (uint32_t)pow10_u64[GROUP], next_group(g, GROUP));
    wide_shift_in(w, (uint32_t)pow10_u64[scale % GROUP], next_group(g, scale % GROUP));
}

fr_rc fr_my_decimal_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err)
{
    unsigned precision = c->meta >> 8, scale = c->meta & 0xff;
    size_t size = fr_my_decimal_size(c->meta);
    const uint8_t *p = fr_my_take(in, size);
    if (p == NULL || size == 0)
        return fr_my_ended(err);
    bool negative = (p[0] & 0x80) == 0;
    groups g = {p, negative ? 0xff : 0, true, false};
    fr_str bytes;
    if (precision <= 18) {
        uint64_t v = read_narrow(&g, precision - scale, scale);
        negative = negative && v != 0;
        bytes = minimal(a, negative ? 0 - v : v, negative);
    } else {
        wide w = {{0}, 0};
        read_wide(&g, precision - scale, scale, &w);
        bytes = wide_minimal(a, &w, negative && w.used > 0);
    }
    if (g.bad)
        return fr_my_malformed(err, "a decimal has a group of more than nine digits");
    out->kind = c->kind;
    out->bytes = c->kind == FR_TEXT ? fr_decimal_to_text(a, bytes, (int)scale) : bytes;
    return FR_OK;
}

/* --- results of queries --- */

static bool parse_integer(fr_str in, uint64_t *out, bool *negative)
{
    size_t i = in.len > 0 && in.ptr[0] == '-' ? 1 : 0;
    uint64_t v = 0;
    *negative = i == 1;
    if (i == in.len || in.len - i > 20)
        return false;
    for (; i < in.len; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (*negative && v > (uint64_t)INT64_MAX + 1)
        return false;
    *negative = *negative && v != 0;
    *out = *negative ? 0 - v : v;
    return true;
}

static unsigned integer_bits(const fr_my_codec *c)
{
    static const uint8_t bits[] = {8, 16, 24, 32, 64}; /* TINYINT to BIGINT */
    return c->type == FR_MY_YEAR ? 16 : bits[c->type - FR_MY_TINYINT];
}

static bool in_range(const fr_my_codec *c, uint64_t v, bool negative)
{
    unsigned bits = integer_bits(c);
    bool is_unsigned = c->is_unsigned || c->type == FR_MY_YEAR;
    if (is_unsigned)
        return !negative && (bits == 64 || v >> bits == 0);
    return negative ? ~v >> (bits - 1) == 0 : v >> (bits - 1) == 0;
}

static fr_rc float_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    char text[400], *end = NULL; /* DOUBLE(255,30) prints all its digits */
    if (in.len == 0 || in.len >= sizeof(text))
        return fr_my_malformed(err, "not a floating-point number");
    for (size_t i = 0; i < in.len; i++) /* no hexadecimal, no names */
        if (in.ptr[i] == '\0' || strchr("0123456789+-.eE", in.ptr[i]) == NULL)
            return fr_my_malformed(err, "not a floating-point number");
    memcpy(text, in.ptr, in.len);
    text[in.len] = '\0';
    double v = strtod(text, &end);
    if (end != text + in.len)
        return fr_my_malformed(err, "not a floating-point number");
    fr_my_put_float(c, a, c->type == FR_MY_FLOAT ? (double)(float)v : v, out);
    return FR_OK;
}

static fr_rc decimal_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    fr_str bytes;
    FR_TRY(fr_decimal_from_text(a, in, c->meta >> 8, c->meta & 0xff, &bytes, err));
    out->kind = c->kind;
    out->bytes = c->kind == FR_TEXT ? fr_decimal_to_text(a, bytes, c->meta & 0xff) : bytes;
    return FR_OK;
}

fr_rc fr_my_number_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    uint64_t v;
    bool negative;
    if (c->type == FR_MY_FLOAT || c->type == FR_MY_DOUBLE)
        return float_text(c, a, in, out, err);
    if (c->type == FR_MY_DECIMAL)
        return decimal_text(c, a, in, out, err);
    if (!parse_integer(in, &v, &negative) || !in_range(c, v, negative))
        return fr_my_malformed(err, "not an integer of the column's range");
    fr_my_put_integer(c, a, v, negative, out);
    return FR_OK;
}

/* MEDIUMINT comes in four bytes, YEAR in two. */
fr_rc fr_my_number_binary(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    fr_in bytes = fr_in_of(in);
    uint64_t v = fr_my_take_le(&bytes, in.len <= 8 ? in.len : 0);
    if (c->type == FR_MY_FLOAT || c->type == FR_MY_DOUBLE) {
        fr_my_codec as = *c;
        as.wire = c->type == FR_MY_FLOAT ? FR_MY_WIRE_FLOAT : FR_MY_WIRE_DOUBLE;
        fr_in again = fr_in_of(in);
        if (in.len != (c->type == FR_MY_FLOAT ? 4 : 8))
            return fr_my_malformed(err, "a floating-point number has an impossible length");
        return fr_my_decode_image(&as, a, &again, out, err);
    }
    bool negative = !c->is_unsigned && c->type != FR_MY_YEAR && in.len > 0 && in.len <= 8 &&
                    (v >> (in.len * 8 - 1) & 1) != 0;
    if (negative && in.len < 8)
        v |= UINT64_MAX << (in.len * 8);
    if (in.len == 0 || in.len > 8 || !in_range(c, v, negative))
        return fr_my_malformed(err, "not an integer of the column's range");
    fr_my_put_integer(c, a, v, negative, out);
    return FR_OK;
}
