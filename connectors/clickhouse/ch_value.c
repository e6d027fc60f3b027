#include "clickhouse/ch_value.h"
#include "clickhouse/ch_http.h"
#include "sql/text.h"
#include <string.h>

static const int64_t day_us = INT64_C(86400000000);

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

/* ---- numbers of up to 256 bits ---- */

enum { WORDS = FR_CH_WORDS };
typedef struct wide { /* sign and magnitude */
    bool negative;
    uint32_t word[WORDS]; /* the lowest first */
} wide;

/* False: it has more than 256 bits. */
static bool times_ten(wide *n)
{
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)n->word[i] * 10;
        n->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return carry == 0;
}

static void negate(wide *n)
{
    uint64_t carry = 1;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint32_t)~n->word[i];
        n->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* Of two's complement, big-endian. */
static bool wide_of_bytes(fr_str s, wide *out)
{
    bool negative = s.len > 0 && (s.ptr[0] & 0x80) != 0;
    if (s.len > sizeof(out->word))
        return false;
    memset(out->word, negative ? 0xff : 0, sizeof(out->word));
    for (size_t i = 0; i < s.len; i++) {
        size_t at = s.len - 1 - i;
        uint32_t byte = (uint8_t)s.ptr[at], shift = (uint32_t)(i % 4 * 8);
        out->word[i / 4] = (out->word[i / 4] & ~(UINT32_C(0xff) << shift)) | byte << shift;
    }
    if (negative)
        negate(out);
    out->negative = negative;
    return true;
}

static wide wide_of_int(int64_t n)
{
    uint64_t size = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    return (wide){.negative = n < 0, .word = {(uint32_t)size, (uint32_t)(size >> 32)}};
}

static bool less(const wide *a, const wide *b) /* of the magnitudes */
{
    for (int i = WORDS; i-- > 0;)
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i];
    return false;
}

/* Whether the magnitude has at most so many bits, or is exactly 2^bits where `also` allows it. */
static bool within_bits(const wide *n, int bits, bool also)
{
    int top = 0;
    bool alone = true;
    for (int i = 0; i < WORDS * 32; i++) {
        if ((n->word[i / 32] >> (i % 32) & 1) == 0)
            continue;
        alone = top == 0;
        top = i + 1;
    }
    return top <= bits || (also && alone && top == bits + 1);
}

static void put_wide(fr_buf *out, wide n, int size)
{
    if (n.negative)
        negate(&n);
    for (int i = 0; i < size; i++)
        fr_buf_u8(out, (uint8_t)(n.word[i / 4] >> (i % 4 * 8)));
}

void fr_ch_put_uint(fr_buf *out, uint64_t n, int size)
{
    for (int i = 0; i < size; i++)
        fr_buf_u8(out, (uint8_t)(i < 8 ? n >> (8 * i) : 0));
}

/* A number without a fraction, or a decimal's unscaled one. */
static bool wide_of(const fr_value *v, wide *out)
{
    if (v->kind == FR_DECIMAL)
        return wide_of_bytes(v->bytes, out);
    *out = wide_of_int(v->kind == FR_BOOL ? v->boolean : v->integer);
    return true;
}

static fr_rc beyond_range(fr_err *err, const fr_column *c)
{
    return no_such_value(err, c, "the number is beyond the range of the target's column");
}

static fr_rc put_int(fr_buf *out, const fr_ch_type *to, const fr_column *c, int64_t n, fr_err *err)
{
    int bits = to->size * 8;
    bool fits = to->base == FR_CH_INT ? bits >= 64 || (n >> (bits - 1)) == (n < 0 ? -1 : 0)
                                      : n >= 0 && (bits >= 64 || n >> bits == 0);
    if (!fits)
        return beyond_range(err, c);
    for (int i = 0; i < to->size; i++)
        fr_buf_u8(out, (uint8_t)(n >> (i < 8 ? 8 * i : 63)));
    return FR_OK;
}

static fr_rc put_decimal_as_int(fr_buf *out, const fr_ch_type *to, const fr_column *c,
                                const fr_value *v, fr_err *err)
{
    wide n;
    bool is_signed = to->base == FR_CH_INT;
    bool fits = wide_of_bytes(v->bytes, &n);
    for (int i = c->scale; i < 0 && fits; i++)
        fits = times_ten(&n);
    if (!fits || (n.negative && !is_signed) ||
        !within_bits(&n, to->size * 8 - is_signed, n.negative))
        return beyond_range(err, c);
    put_wide(out, n, to->size);
    return FR_OK;
}

static fr_rc put_decimal(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                         fr_err *err)
{
    wide n, most = {.negative = false};
    bool fits = wide_of(v, &n);
    for (int i = v->kind == FR_DECIMAL ? c->scale : 0; i < to->scale && fits; i++)
        fits = times_ten(&n);
    memcpy(most.word, to->bound, sizeof(most.word));
    if (!fits || !less(&n, &most))
        return no_such_value(err, c, "the number has more digits than the target's column");
    put_wide(out, n, to->size);
    return FR_OK;
}

static void put_float(fr_buf *out, const fr_ch_type *to, const fr_value *v)
{
    double real = v->kind == FR_INT32 ? (double)v->integer : v->real;
    float single = (float)real;
    uint64_t bits = 0;
    uint32_t low = 0;
    memcpy(&bits, &real, sizeof(bits));
    memcpy(&low, &single, sizeof(low));
    fr_ch_put_uint(out, to->size == 4 ? low : bits, to->size);
}

/* ---- times ---- */

static fr_rc put_date(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                      fr_err *err)
{
    bool wide_date = to->base == FR_CH_DATE32;
    int64_t first = wide_date ? fr_days_from_civil(1900, 1, 1) : 0;
    int64_t last = wide_date ? fr_days_from_civil(2299, 12, 31) : 65535;
    if (v->integer < first || v->integer > last)
        return no_such_value(err, c,
                             wide_date ? "a Date32 is of the years 1900 to 2299"
                                       : "a Date is of 1970-01-01 to 2149-06-06");
    fr_ch_put_uint(out, (uint64_t)v->integer, to->size);
    return FR_OK;
}

static fr_rc put_datetime(fr_buf *out, const fr_column *c, const fr_value *v, fr_err *err)
{
    if (v->integer % 1000000 != 0)
        return no_such_value(err, c, "a DateTime has no fractions of seconds");
    if (v->integer < 0 || v->integer / 1000000 > UINT32_MAX)
        return no_such_value(err, c, "a DateTime is of the years 1970 to 2106");
    fr_ch_put_uint(out, (uint64_t)(v->integer / 1000000), 4);
    return FR_OK;
}

static fr_rc put_datetime64(fr_buf *out, const fr_ch_type *to, const fr_column *c,
                            const fr_value *v, fr_err *err)
{
    int64_t n = v->integer, first = fr_days_from_civil(1900, 1, 1) * day_us;
    int64_t last = fr_days_from_civil(2300, 1, 1) * day_us - 1;
    if (n < first || n > last)
        return no_such_value(err, c, "a DateTime64 is of the years 1900 to 2299");
    for (int i = to->scale; i < 6; i++) {
        if (n % 10 != 0)
            return no_such_value(err, c, "the target's column has fewer digits of a second");
        n /= 10;
    }
    for (int i = 6; i < to->scale; i++)
        if (__builtin_mul_overflow(n, 10, &n))
            return no_such_value(err, c, "it is beyond the range of the target's DateTime64");
    fr_ch_put_uint(out, (uint64_t)n, 8);
    return FR_OK;
}

/* ---- texts ---- */

static void put_text(fr_buf *out, const fr_column *c, const fr_value *v)
{
    if (v->kind == FR_TEXT || v->kind == FR_JSON || v->kind == FR_UUID || v->kind == FR_BYTES) {
        fr_ch_put_string(out, v->bytes);
        return;
    }
    fr_buf text = {0};
    fr_sql_put_value(&text, c, v);
    fr_ch_put_string(out, fr_buf_view(&text));
    fr_buf_free(&text);
}

static fr_rc put_fixed(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                       fr_err *err)
{
    if (v->bytes.len != (size_t)to->size)
        return no_such_value(err, c, "it is not as long as the target's FixedString");
    fr_buf_str(out, v->bytes);
    return FR_OK;
}

/* Two numbers of 64 bits, each little-endian. */
static fr_rc put_uuid(fr_buf *out, const fr_column *c, const fr_value *v, fr_err *err)
{
    uint64_t half[2] = {0, 0};
    int count = 0;
    for (size_t i = 0; i < v->bytes.len; i++) {
        int digit = fr_hex_digit(v->bytes.ptr[i]);
        if (v->bytes.ptr[i] == '-')
            continue;
        if (digit < 0 || count == 32)
            return no_such_value(err, c, "it is no UUID");
        half[count / 16] = half[count / 16] << 4 | (uint64_t)digit;
        count++;
    }
    if (count != 32)
        return no_such_value(err, c, "it is no UUID");
    fr_ch_put_uint(out, half[0], 8);
    fr_ch_put_uint(out, half[1], 8);
    return FR_OK;
}

/* ---- all of them ---- */

static fr_rc put_there(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                       fr_err *err)
{
    switch (to->base) {
    case FR_CH_BOOL:
        fr_buf_u8(out, v->boolean);
        return FR_OK;
    case FR_CH_INT:
    case FR_CH_UINT:
        if (v->kind == FR_DECIMAL)
            return put_decimal_as_int(out, to, c, v, err);
        return put_int(out, to, c, v->kind == FR_BOOL ? v->boolean : v->integer, err);
    case FR_CH_FLOAT32:
    case FR_CH_FLOAT64:
        put_float(out, to, v);
        return FR_OK;
    case FR_CH_DECIMAL:
        return put_decimal(out, to, c, v, err);
    case FR_CH_STRING:
        put_text(out, c, v);
        return FR_OK;
    case FR_CH_FIXED:
        return put_fixed(out, to, c, v, err);
    case FR_CH_UUID:
        return put_uuid(out, c, v, err);
    case FR_CH_DATE:
    case FR_CH_DATE32:
        return put_date(out, to, c, v, err);
    case FR_CH_DATETIME:
        return put_datetime(out, c, v, err);
    case FR_CH_DATETIME64:
        return put_datetime64(out, to, c, v, err);
    default:
        return fr_fail(err, FR_ERR_BUG, "column %.*s: nothing is written into this type",
                       FR_ARG(c->name));
    }
}

fr_rc fr_ch_put_value(fr_buf *out, const fr_ch_type *to, const fr_column *c, const fr_value *v,
                      fr_err *err)
{
    bool null = v->kind == FR_NULL || v->kind == FR_ABSENT;
    if (null && !to->nullable) {
        fr_fail(err, FR_ERR_DATA, "column %.*s: NULL, and the target's column takes none",
                FR_ARG(c->name));
        return fr_fail_code(err, "sink.not_null");
    }
    if (!null && v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    if (to->nullable)
        fr_buf_u8(out, null);
    return null ? FR_OK : put_there(out, to, c, v, err);
}

void fr_ch_put_nothing(fr_buf *out, const fr_ch_type *to)
{
    if (to->nullable)
        fr_buf_u8(out, 1);
    else if (to->base == FR_CH_STRING)
        fr_buf_u8(out, 0);
    else
        for (int i = 0; i < to->size; i++)
            fr_buf_u8(out, 0);
}

static uint64_t take_length(fr_in *in)
{
    uint64_t n = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        uint8_t byte = fr_in_u8(in);
        n |= (uint64_t)(byte & 127) << shift;
        if ((byte & 128) == 0)
            return n;
    }
    in->bad = true;
    return 0;
}

fr_str fr_ch_take_value(fr_in *in, const fr_ch_type *type)
{
    const uint8_t *begin = in->at;
    if (!type->nullable || fr_in_u8(in) == 0)
        (void)fr_in_take(in, type->base == FR_CH_STRING ? take_length(in) : (size_t)type->size);
    return (fr_str){(const char *)begin, (size_t)(in->at - begin)};
}
