#include "codec/sample_value.h"

#include "codec/avro_write.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LONG_TEXT = 4096, UUID_TEXT = 36, MOST_BYTES = 16, MOST_WORDS = 4 };

#define DAY_US INT64_C(86400000000)
#define FIRST_DAY INT64_C(-719162) /* 0001-01-01 */
#define LAST_DAY INT64_C(2932896)  /* 9999-12-31 */
#define NOON_2026 INT64_C(1767225600000000)
#define FIVE_YEARS (INT64_C(1826) * DAY_US)
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* splitmix64 (public domain, S. Vigna): one word of state, and the same everywhere. */
uint64_t fr_chance_next(fr_chance *c)
{
    uint64_t z = c->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t fr_chance_below(fr_chance *c, uint64_t below)
{
    return fr_chance_next(c) % below;
}

int64_t fr_chance_between(fr_chance *c, int64_t least, int64_t most)
{
    uint64_t span = (uint64_t)most - (uint64_t)least + 1;
    uint64_t step = span == 0 ? fr_chance_next(c) : fr_chance_below(c, span);
    return (int64_t)((uint64_t)least + step);
}

/* One of a list of odd values, or (one time of four, and without --edge) none of them. */
static bool odd_one(fr_chance *c, size_t count, size_t *at)
{
    if (!c->edge || fr_chance_below(c, 4) == 0)
        return false;
    *at = fr_chance_below(c, count);
    return true;
}

static int64_t one_of(fr_chance *c, const int64_t *list, size_t count, int64_t least, int64_t most)
{
    size_t at;
    return odd_one(c, count, &at) ? list[at] : fr_chance_between(c, least, most);
}

/* ---- numbers ---- */

static int64_t integer_of(fr_chance *c, fr_avro_scalar s)
{
    static const int64_t ints[] = {0, 1, -1, INT32_MIN, INT32_MAX, 65535, 65536},
                         longs[] = {0,
                                    1,
                                    -1,
                                    INT64_MIN,
                                    INT64_MAX,
                                    (int64_t)INT32_MAX + 1,
                                    INT64_C(9007199254740993)},
                         days[] = {0, -1, FIRST_DAY, LAST_DAY, 19782, 47540}, /* leap days too */
        times[] = {0, 1, DAY_US - 1, DAY_US / 2},
                         moments[] = {0,
                                      -1,
                                      1,
                                      FIRST_DAY * DAY_US,
                                      LAST_DAY * DAY_US + DAY_US - 1,
                                      INT64_C(2147483648000000),
                                      INT64_C(1709164800000000)};
    switch (s.kind) {
    case FR_INT32:
        return one_of(c, ints, COUNT(ints), 0, 100000);
    case FR_DATE:
        return one_of(c, days, COUNT(days), NOON_2026 / DAY_US - 1826, NOON_2026 / DAY_US + 1826);
    case FR_TIME:
        return one_of(c, times, COUNT(times), 0, DAY_US - 1);
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return one_of(c, moments, COUNT(moments), NOON_2026 - FIVE_YEARS, NOON_2026 + FIVE_YEARS);
    default:
        return one_of(c, longs, COUNT(longs), 0, INT64_C(1000000000));
    }
}

/* Milliseconds downwards, also before 1970. */
static int64_t in_units(int64_t us, int64_t factor)
{
    int64_t units = us / factor;
    return us % factor < 0 ? units - 1 : units;
}

static double real_of(fr_chance *c, bool narrow)
{
    static const double wide[] = {0.0,      -0.0,      1.0,     -1.0,     0.1,
                                  DBL_MAX,  -DBL_MAX,  DBL_MIN, 5e-324,   DBL_EPSILON,
                                  INFINITY, -INFINITY, NAN,     1e15 + 1, 123456.78};
    static const double narrow_ones[] = {0.0,     -0.0,     1.0,       -1.0, FLT_MAX, -FLT_MAX,
                                         FLT_MIN, INFINITY, -INFINITY, NAN,  0.5};
    size_t at;
    if (odd_one(c, narrow ? COUNT(narrow_ones) : COUNT(wide), &at))
        return narrow ? narrow_ones[at] : wide[at];
    return (double)fr_chance_between(c, 0, 10000000) / 100.0;
}

static void put_real(fr_chance *c, fr_buf *b, bool narrow)
{
    double v = real_of(c, narrow);
    uint64_t bits;
    if (narrow) {
        float f = (float)v;
        uint32_t word;
        memcpy(&word, &f, sizeof word);
        bits = word;
    } else {
        memcpy(&bits, &v, sizeof bits);
    }
    for (unsigned i = 0; i < (narrow ? 4U : 8U); i++)
        fr_buf_u8(b, (uint8_t)(bits >> 8 * i));
}

/* ---- decimals ---- */

/* Digits that a fixed of so many bytes can always hold. */
static int digits_of(const fr_avro_node *n, fr_avro_scalar s)
{
    if (n->tag != FR_AVRO_FIXED)
        return s.precision;
    int most = n->size == 0 ? 0 : (int)((double)(8 * n->size - 1) * 0.30102999566398120);
    return most < s.precision ? most : s.precision;
}

static fr_str unscaled_of(fr_chance *c, int digits, int precision)
{
    fr_buf text = {.arena = c->arena};
    size_t at;
    fr_str bytes;
    fr_err ignored;
    bool odd = odd_one(c, 4, &at);
    size_t length = digits == 0 ? 0
                    : odd       ? (at < 2 ? (size_t)digits : at - 2)
                                : 1 + fr_chance_below(c, (uint64_t)digits);
    if (odd ? at == 1 : fr_chance_below(c, 8) == 0)
        fr_buf_u8(&text, '-');
    for (size_t i = 0; i < length; i++)
        fr_buf_u8(&text, odd ? '9' : (uint8_t)('0' + fr_chance_below(c, 10)));
    if (length == 0)
        fr_buf_u8(&text, '0');
    if (fr_decimal_from_text(c->arena, fr_buf_view(&text), precision, 0, &bytes, &ignored) ==
        FR_FAIL)
        bytes = (fr_str){"\0", 1};
    return bytes;
}

static void put_decimal(fr_chance *c, fr_buf *b, const fr_avro_node *n, fr_avro_scalar s)
{
    fr_str bytes = unscaled_of(c, digits_of(n, s), s.precision);
    if (n->tag != FR_AVRO_FIXED) {
        fr_buf_zigzag(b, (int64_t)bytes.len);
        fr_buf_str(b, bytes);
        return;
    }
    uint8_t fill = bytes.len > 0 && ((uint8_t)bytes.ptr[0] & 0x80) != 0 ? 0xFF : 0;
    for (size_t i = bytes.len; i < n->size; i++)
        fr_buf_u8(b, fill);
    fr_buf_str(b, bytes);
}

/* ---- texts ---- */

static const char *const words[] = {"amber",  "basalt", "cedar",  "delta",   "ember",  "fjord",
                                    "garnet", "harbor", "indigo", "juniper", "kelp",   "lagoon",
                                    "meadow", "nectar", "onyx",   "pollen",  "quartz", "river",
                                    "sorrel", "timber", "umber",  "violet",  "willow", "zephyr"};

static void put_words(fr_chance *c, fr_buf *b)
{
    size_t count = 1 + fr_chance_below(c, MOST_WORDS);
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(b, "%s%s", i > 0 ? " " : "", words[fr_chance_below(c, COUNT(words))]);
}

static void put_text(fr_chance *c, fr_buf *b)
{
    static const char *const odd[] = {"",         " ",
                                      "\t\r\n",   "0",
                                      "-1",       "NaN",
                                      "null",     "true",
                                      "'",        "\"",
                                      "\\",       "%",
                                      "<b>",      "'; drop table t; --",
                                      "ß",        "Ångström",
                                      "Жук",      "漢字かな",
                                      "עברית",    "🙂👩‍👩‍👧",
                                      "e\xCC\x81"};
    size_t at;
    if (!odd_one(c, COUNT(odd) + 1, &at)) {
        put_words(c, b);
        return;
    }
    if (at < COUNT(odd)) {
        fr_buf_text(b, odd[at]);
        return;
    }
    memset(fr_buf_room(b, LONG_TEXT), 'x', LONG_TEXT);
    b->len += LONG_TEXT;
}

static void put_json(fr_chance *c, fr_buf *b)
{
    static const char *const odd[] = {
        "null", "true",  "0",      "\"\"",        "{}",
        "[]",   "1e308", "[[[]]]", "{\"\":null}", "{\"a\":\"\\u00e9\\ud83d\\ude42\"}"};
    size_t at;
    if (odd_one(c, COUNT(odd), &at)) {
        fr_buf_text(b, odd[at]);
        return;
    }
    fr_buf_printf(b, "{\"%s\":%u,\"%s\":\"%s\"}", words[fr_chance_below(c, COUNT(words) / 2)],
                  (unsigned)fr_chance_below(c, 1000),
                  words[COUNT(words) / 2 + fr_chance_below(c, COUNT(words) / 2)],
                  words[fr_chance_below(c, COUNT(words))]);
}

static void uuid_bytes(fr_chance *c, uint8_t *out)
{
    size_t at;
    bool odd = odd_one(c, 2, &at);
    for (size_t i = 0; i < MOST_BYTES; i++)
        out[i] = odd ? (at == 0 ? 0 : 0xFF) : (uint8_t)fr_chance_next(c);
    if (odd)
        return;
    out[6] = (uint8_t)((out[6] & 0x0F) | 0x40); /* version 4 of RFC 4122 */
    out[8] = (uint8_t)((out[8] & 0x3F) | 0x80);
}

static void put_uuid(fr_chance *c, fr_buf *b)
{
    uint8_t v[MOST_BYTES];
    uuid_bytes(c, v);
    for (size_t i = 0; i < MOST_BYTES; i++)
        fr_buf_printf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", v[i]);
}

static void put_string(fr_chance *c, fr_buf *b, fr_kind kind)
{
    fr_buf text = {.arena = c->arena};
    if (kind == FR_UUID)
        put_uuid(c, &text);
    else if (kind == FR_JSON)
        put_json(c, &text);
    else
        put_text(c, &text);
    fr_buf_zigzag(b, (int64_t)text.len);
    fr_buf_str(b, fr_buf_view(&text));
}

/* ---- bytes ---- */

static void put_noise(fr_chance *c, fr_buf *b, size_t len)
{
    size_t at;
    bool odd = odd_one(c, 2, &at);
    for (size_t i = 0; i < len; i++)
        fr_buf_u8(b, odd ? (at == 0 ? 0 : 0xFF) : (uint8_t)fr_chance_next(c));
}

static void put_bytes(fr_chance *c, fr_buf *b)
{
    static const size_t lengths[] = {0, 1, LONG_TEXT};
    size_t at;
    size_t len = odd_one(c, COUNT(lengths), &at) ? lengths[at] : fr_chance_below(c, MOST_BYTES);
    fr_buf_zigzag(b, (int64_t)len);
    put_noise(c, b, len);
}

static void put_fixed(fr_chance *c, fr_buf *b, const fr_avro_node *n, fr_avro_scalar s)
{
    if (s.kind != FR_UUID) {
        put_noise(c, b, n->size);
        return;
    }
    uint8_t v[MOST_BYTES];
    uuid_bytes(c, v);
    fr_buf_put(b, v, sizeof v);
}

void fr_sample_scalar(fr_chance *c, fr_buf *b, const fr_avro_node *n, fr_avro_scalar s)
{
    switch (n->tag) {
    case FR_AVRO_BOOLEAN:
        fr_buf_u8(b, (uint8_t)fr_chance_below(c, 2));
        return;
    case FR_AVRO_INT:
    case FR_AVRO_LONG:
        fr_buf_zigzag(b, in_units(integer_of(c, s), s.factor));
        return;
    case FR_AVRO_FLOAT:
    case FR_AVRO_DOUBLE:
        put_real(c, b, n->tag == FR_AVRO_FLOAT);
        return;
    case FR_AVRO_ENUM:
        fr_buf_zigzag(b, (int64_t)fr_chance_below(c, n->count));
        return;
    case FR_AVRO_STRING:
        put_string(c, b, s.kind);
        return;
    default:
        if (s.kind == FR_DECIMAL)
            put_decimal(c, b, n, s);
        else if (n->tag == FR_AVRO_FIXED)
            put_fixed(c, b, n, s);
        else
            put_bytes(c, b);
    }
}
