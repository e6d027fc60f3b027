/* Decimals between text and Avro's unscaled big-endian two's complement. Base 10^9 limbs in
 * text order would need a conversion on every row; up to 18 digits, which is nearly every
 * real column, fit an int64, the rest goes through 32-bit limbs. */
#include "base/bytes.h"
#include "model/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Minimal two's complement of a magnitude given as little-endian 32-bit limbs. */
static fr_str twos_complement(fr_arena *a, const uint32_t *limbs, size_t count, bool negative)
{
    size_t size = count * 4 + 1;
    uint8_t *out = fr_arena_raw(a, size);
    uint32_t carry = 1;
    for (size_t i = 0; i < size; i++) {
        uint32_t byte = i < count * 4 ? (limbs[i / 4] >> (8 * (i % 4))) & 0xff : 0;
        if (negative) {
            byte = (~byte & 0xff) + carry;
            carry = byte >> 8;
            byte &= 0xff;
        }
        out[size - 1 - i] = (uint8_t)byte;
    }
    size_t from = 0; /* drop leading bytes that only repeat the sign */
    while (from + 1 < size && ((out[from] == 0 && out[from + 1] < 0x80) ||
                               (out[from] == 0xff && out[from + 1] >= 0x80)))
        from++;
    return (fr_str){(char *)out + from, size - from};
}

typedef struct digits { /* the parsed number: which bytes of text are its digits */
    bool negative;
    fr_str whole, fraction;
} digits;

static bool split(fr_str text, digits *d)
{
    size_t i = 0;
    *d = (digits){0};
    if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+'))
        d->negative = text.ptr[i++] == '-';
    size_t from = i;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        i++;
    d->whole = (fr_str){text.ptr + from, i - from};
    if (i < text.len && text.ptr[i] == '.') {
        from = ++i;
        while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
            i++;
        d->fraction = (fr_str){text.ptr + from, i - from};
    }
    return i == text.len && d->whole.len + d->fraction.len > 0;
}

/* limbs = limbs * 10 + digit; count grows as needed. */
static void add_digit(uint32_t *limbs, size_t *count, uint32_t digit)
{
    uint64_t carry = digit;
    for (size_t i = 0; i < *count; i++) {
        uint64_t v = (uint64_t)limbs[i] * 10 + carry;
        limbs[i] = (uint32_t)v;
        carry = v >> 32;
    }
    if (carry != 0)
        limbs[(*count)++] = (uint32_t)carry;
}

static fr_str build(fr_arena *a, const digits *d, int scale)
{
    size_t n = d->whole.len + (size_t)(scale > 0 ? scale : 0);
    uint32_t *limbs = fr_arena_raw(a, (n / 9 + 2) * sizeof(*limbs));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        char c = '0';
        if (i < d->whole.len)
            c = d->whole.ptr[i];
        else if (i - d->whole.len < d->fraction.len)
            c = d->fraction.ptr[i - d->whole.len];
        add_digit(limbs, &count, (uint32_t)(c - '0'));
    }
    return twos_complement(a, limbs, count, d->negative);
}

static fr_str build_small(fr_arena *a, const digits *d, int scale)
{
    uint64_t v = 0;
    for (size_t i = 0; i < d->whole.len; i++)
        v = v * 10 + (uint64_t)(d->whole.ptr[i] - '0');
    for (size_t i = 0; i < (size_t)scale; i++)
        v = v * 10 + (i < d->fraction.len ? (uint64_t)(d->fraction.ptr[i] - '0') : 0);
    uint32_t limbs[2] = {(uint32_t)v, (uint32_t)(v >> 32)};
    return twos_complement(a, limbs, 2, d->negative && v != 0);
}

fr_rc fr_decimal_from_text(fr_arena *a, fr_str text, int precision, int scale, fr_str *out,
                           fr_err *err)
{
    digits d;
    if (scale < 0 || !split(text, &d))
        return fr_fail(err, FR_ERR_DATA, "not a decimal number");
    while (d.whole.len > 0 && d.whole.ptr[0] == '0') {
        d.whole.ptr++;
        d.whole.len--;
    }
    while (d.fraction.len > (size_t)scale && d.fraction.ptr[d.fraction.len - 1] == '0')
        d.fraction.len--;
    if (d.fraction.len > (size_t)scale)
        return fr_fail(err, FR_ERR_DATA, "more than %d digits after the point", scale);
    if (precision > 0 && d.whole.len + (size_t)scale > (size_t)precision && d.whole.len > 0)
        return fr_fail(err, FR_ERR_DATA, "more than %d digits", precision);
    if (d.whole.len + (size_t)scale <= 18) {
        *out = build_small(a, &d, scale);
        return FR_OK;
    }
    *out = build(a, &d, scale);
    return FR_OK;
}

/* Decimal digits of a magnitude, most significant first; limbs are consumed. */
static size_t to_digits(uint32_t *limbs, size_t count, char *out)
{
    size_t n = 0;
    while (count > 0) {
        uint64_t rest = 0;
        for (size_t i = count; i-- > 0;) {
            uint64_t v = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(v / 1000000000);
            rest = v % 1000000000;
        }
        while (count > 0 && limbs[count - 1] == 0)
            count--;
        for (int k = 0; k < 9 && (count > 0 || rest > 0); k++) {
            out[n++] = (char)('0' + rest % 10);
            rest /= 10;
        }
    }
    for (size_t i = 0; i < n / 2; i++) {
        char c = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = c;
    }
    return n;
}

fr_str fr_decimal_to_text(fr_arena *a, fr_str unscaled, int scale)
{
    size_t count = (unscaled.len + 3) / 4;
    uint32_t *limbs = fr_arena_alloc(a, (count + 1) * sizeof(*limbs));
    bool negative = unscaled.len > 0 && ((unsigned char)unscaled.ptr[0] & 0x80) != 0;
    uint32_t carry = 1;
    for (size_t i = 0; i < unscaled.len; i++) {
        uint32_t byte = (unsigned char)unscaled.ptr[unscaled.len - 1 - i];
        if (negative) {
            byte = (~byte & 0xff) + carry;
            carry = byte >> 8;
            byte &= 0xff;
        }
        limbs[i / 4] |= byte << (8 * (i % 4));
    }
    if (negative && carry != 0) /* -(2^(8n)): cannot be, but stay within bounds */
        limbs[count] = carry;
    while (count > 0 && limbs[count - 1] == 0)
        count--;
    char *raw = fr_arena_raw(a, count * 10 + 1);
    size_t n = to_digits(limbs, count, raw);
    size_t after = scale > 0 ? (size_t)scale : 0;
    size_t lead = n > after ? 0 : after + 1 - n; /* zeros in front, so that "0.05" */
    char *out = fr_arena_raw(a, n + lead + 3);
    size_t at = 0, digit = 0;
    if (negative)
        out[at++] = '-';
    for (size_t i = 0; i < n + lead; i++) {
        if (after > 0 && i == n + lead - after)
            out[at++] = '.';
        out[at++] = i < lead ? '0' : raw[digit++];
    }
    return (fr_str){out, at};
}

bool fr_decimal_type(const char *text, int16_t *precision, int16_t *scale)
{
    int p = 0, s = 0, end = 0;
    if (sscanf(text, "decimal(%4d,%4d)%n", &p, &s, &end) != 2 || text[end] != '\0' || end == 0)
        return false;
    *precision = (int16_t)p;
    *scale = (int16_t)s;
    return p > 0 && p <= 1000 && s >= 0 && s <= p;
}
