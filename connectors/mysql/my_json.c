/* Binary JSON: https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
 * A document is a type byte and a value. Objects and arrays have a count and a size, then entries
 * of offsets, in two bytes each (small) or four (large); all offsets are from the value's start.
 * Printing follows json_dom.cc: keys in stored order, ", " and ": " between. */
#include "connectors/mysql/my_json.h"
#include "connectors/mysql/my_json_parts.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdio.h>

enum { DEPTH_MAX = 100 };

static fr_rc broken(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "binary JSON: %s", what);
    return fr_fail_code(err, "my.value.json");
}

static uint64_t little(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

/* --- reading --- */

fr_rc fr_my_json_open(fr_str binary, fr_my_json *out, fr_err *err)
{
    if (binary.len == 0) {
        *out = (fr_my_json){FR_MY_JSON_LITERAL, (const uint8_t *)"", 1}; /* null */
        return FR_OK;
    }
    *out = (fr_my_json){(uint8_t)binary.ptr[0], (const uint8_t *)binary.ptr + 1, binary.len - 1};
    bool known = out->type <= FR_MY_JSON_STRING || out->type == FR_MY_JSON_OPAQUE;
    return known ? FR_OK : broken(err, "unknown type");
}

bool fr_my_json_container(const fr_my_json *j)
{
    return j->type <= FR_MY_JSON_LARGE_ARRAY;
}

bool fr_my_json_is_object(const fr_my_json *j)
{
    return j->type <= FR_MY_JSON_LARGE_OBJECT;
}

static size_t offset_size(const fr_my_json *j)
{
    return j->type == FR_MY_JSON_LARGE_OBJECT || j->type == FR_MY_JSON_LARGE_ARRAY ? 4 : 2;
}

fr_rc fr_my_json_count(const fr_my_json *j, size_t *count, fr_err *err)
{
    size_t unit = offset_size(j);
    if (j->len < 2 * unit)
        return broken(err, "a container is cut off");
    uint64_t n = little(j->p, unit), size = little(j->p + unit, unit);
    size_t entry = (fr_my_json_is_object(j) ? unit + 2 : 0) + 1 + unit;
    if (size > j->len || n > (size - 2 * unit) / entry || size < 2 * unit)
        return broken(err, "a container's size is wrong");
    *count = (size_t)n;
    return FR_OK;
}

fr_rc fr_my_json_key(const fr_my_json *j, size_t i, fr_str *out, fr_err *err)
{
    size_t unit = offset_size(j);
    const uint8_t *entry = j->p + 2 * unit + i * (unit + 2);
    uint64_t at = little(entry, unit), len = little(entry + unit, 2);
    if (at > j->len || len > j->len - at)
        return broken(err, "a key is outside its object");
    *out = (fr_str){(const char *)j->p + at, (size_t)len};
    return FR_OK;
}

/* Literals and short integers are in the entry itself, where the offset would be. */
static bool is_inline(uint8_t type, size_t unit)
{
    return type == FR_MY_JSON_LITERAL || type == FR_MY_JSON_INT16 || type == FR_MY_JSON_UINT16 ||
           (unit == 4 && (type == FR_MY_JSON_INT32 || type == FR_MY_JSON_UINT32));
}

fr_rc fr_my_json_at(const fr_my_json *j, size_t count, size_t i, fr_my_json *out, fr_err *err)
{
    size_t unit = offset_size(j);
    size_t keys = fr_my_json_is_object(j) ? count * (unit + 2) : 0;
    const uint8_t *entry = j->p + 2 * unit + keys + i * (1 + unit);
    uint8_t type = entry[0];
    if (is_inline(type, unit)) {
        *out = (fr_my_json){type, entry + 1, unit};
        return FR_OK;
    }
    uint64_t at = little(entry + 1, unit);
    if (at < 2 * unit || at > j->len)
        return broken(err, "a value is outside its container");
    *out = (fr_my_json){type, j->p + at, j->len - (size_t)at};
    if (type > FR_MY_JSON_STRING && type != FR_MY_JSON_OPAQUE)
        return broken(err, "unknown type");
    return FR_OK;
}

/* A length in groups of seven bits, the low ones first. */
static fr_rc variable_length(const fr_my_json *j, size_t *at, uint64_t *out, fr_err *err)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (*at >= j->len)
            break;
        uint8_t b = j->p[(*at)++];
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            *out = v;
            return FR_OK;
        }
    }
    return broken(err, "a length never ends");
}

static fr_rc counted(const fr_my_json *j, size_t at, fr_str *out, fr_err *err)
{
    uint64_t len = 0;
    FR_TRY(variable_length(j, &at, &len, err));
    if (len > j->len - at)
        return broken(err, "a string is cut off");
    *out = (fr_str){(const char *)j->p + at, (size_t)len};
    return FR_OK;
}

/* --- printing --- */

/* As the server escapes: quote, backslash, and control characters. */
void fr_my_json_quote(fr_buf *b, fr_str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t done = 0;
    fr_buf_u8(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        fr_buf_put(b, s.ptr + done, i - done);
        done = i + 1;
        static const char named[] = "\bb\tt\nn\ff\rr\"\"\\\\";
        const char *at = NULL;
        for (size_t k = 0; k + 1 < sizeof(named) && at == NULL; k += 2)
            if ((unsigned char)named[k] == c)
                at = &named[k + 1];
        fr_buf_u8(b, '\\');
        if (at != NULL) {
            fr_buf_u8(b, (uint8_t)*at);
        } else {
            fr_buf_text(b, "u00");
            fr_buf_u8(b, (uint8_t)hex[c >> 4]);
            fr_buf_u8(b, (uint8_t)hex[c & 15]);
        }
    }
    fr_buf_put(b, s.ptr + done, s.len - done);
    fr_buf_u8(b, '"');
}

static fr_rc print_string(const fr_my_json *j, fr_buf *b, fr_err *err)
{
    fr_str s;
    FR_TRY(counted(j, 0, &s, err));
    if (!fr_utf8_valid(s))
        return broken(err, "a string is not UTF-8");
    fr_my_json_quote(b, s);
    return FR_OK;
}

/* mantissa: count digits without a point, the first of which counts 10^exponent. As the server's
 * my_gcvt lays them out (measured on 9.7): plain from 10^-15 to below 10^15, and above while there
 * are digits behind the point, with at least ".0";
 * else with an exponent that has no plus sign and no zeros in front. */
static void put_digits(fr_buf *b, const char *mantissa, int count, int exponent)
{
    if (exponent < -15 || (exponent > 14 && count <= exponent + 1)) {
        fr_buf_put(b, mantissa, 1);
        if (count > 1)
            fr_buf_u8(b, '.');
        fr_buf_put(b, mantissa + 1, (size_t)count - 1);
        fr_buf_printf(b, "e%d", exponent);
        return;
    }
    if (exponent < 0) {
        fr_buf_text(b, "0.");
        for (int i = -1; i > exponent; i--)
            fr_buf_u8(b, '0');
        fr_buf_put(b, mantissa, (size_t)count);
        return;
    }
    for (int i = 0; i <= exponent || i < count; i++) {
        if (i == exponent + 1)
            fr_buf_u8(b, '.');
        fr_buf_u8(b, i < count ? (uint8_t)mantissa[i] : '0');
    }
    if (count <= exponent + 1)
        fr_buf_text(b, ".0");
}

/* The fewest digits that read back as v. */
static void print_double(double v, fr_buf *b)
{
    char text[40], mantissa[24];
    int n = 0, count = 0;
    for (int precision = 0; precision <= 16; precision++) {
        n = snprintf(text, sizeof(text), "%.*e", precision, v);
        double back = strtod(text, NULL);
        /* Their bits: -0 is not 0. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        if (memcmp(&back, &v, sizeof(v)) == 0)
            break;
    }
    const char *e = memchr(text, 'e', (size_t)n);
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            mantissa[count++] = *p;
    if (text[0] == '-')
        fr_buf_u8(b, '-');
    put_digits(b, mantissa, count, atoi(e + 1));
}

static fr_rc print_number(const fr_my_json *j, fr_buf *b, fr_err *err)
{
    static const uint8_t sizes[] = {2, 2, 4, 4, 8, 8, 8}; /* INT16 to DOUBLE */
    size_t n = sizes[j->type - FR_MY_JSON_INT16];
    if (j->len < n)
        return broken(err, "a number is cut off");
    uint64_t v = little(j->p, n);
    double d;
    switch (j->type) {
    case FR_MY_JSON_INT16:
        fr_buf_printf(b, "%d", (int16_t)v);
        break;
    case FR_MY_JSON_INT32:
        fr_buf_printf(b, "%d", (int32_t)v);
        break;
    case FR_MY_JSON_INT64:
        fr_buf_printf(b, "%lld", (long long)v);
        break;
    case FR_MY_JSON_DOUBLE:
        memcpy(&d, &v, sizeof(d));
        if ((v & UINT64_C(0x7ff0000000000000)) == UINT64_C(0x7ff0000000000000))
            return broken(err, "a number that is none");
        print_double(d, b);
        break;
    default:
        fr_buf_printf(b, "%llu", (unsigned long long)v);
    }
    return FR_OK;
}

/* 76 digits a line, as the server's encoder breaks them. */
static void print_base64(fr_str s, fr_buf *b)
{
    enum { LINE = 57 };
    for (size_t i = 0; i < s.len; i += LINE) {
        if (i > 0)
            fr_buf_text(b, "\\n");
        fr_buf_base64(b, (fr_str){s.ptr + i, s.len - i < LINE ? s.len - i : LINE});
    }
}

/* A decimal: precision, scale, then as in a row. */
static fr_rc print_decimal(fr_str s, fr_arena *a, fr_buf *b, fr_err *err)
{
    fr_in in = fr_in_of(s);
    uint8_t precision = fr_in_u8(&in), scale = fr_in_u8(&in);
    fr_my_codec c = {.type = FR_MY_DECIMAL,
                     .wire = FR_MY_WIRE_NEWDECIMAL,
                     .kind = FR_TEXT,
                     .meta = (uint16_t)(precision << 8 | scale)};
    fr_value v;
    if (in.bad || fr_my_decimal_image(&c, a, &in, &v, err) == FR_FAIL)
        return broken(err, "a decimal is malformed");
    fr_buf_str(b, v.bytes);
    return FR_OK;
}

/* Temporal values: 64 bits, fields as in TIME2 and its kin over 24 bits of microseconds. */
static fr_rc print_time(uint8_t type, fr_str s, fr_buf *b, fr_err *err)
{
    if (s.len != 8)
        return broken(err, "a time has an impossible length");
    int64_t v = (int64_t)little((const uint8_t *)s.ptr, 8);
    bool negative = v < 0;
    uint64_t u = negative ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned us = (unsigned)(u & 0xffffff), hms = (unsigned)(u >> 24 & 0x1ffff);
    unsigned ymd = (unsigned)(u >> 41 & 0x3fffff);
    fr_buf_u8(b, '"');
    if (type != FR_MY_WIRE_TIME)
        fr_buf_printf(b, "%04u-%02u-%02u", (ymd >> 5) / 13, (ymd >> 5) % 13, ymd & 31);
    if (type == FR_MY_WIRE_TIME)
        fr_buf_printf(b, "%s%02u:%02u:%02u.%06u", negative ? "-" : "", (unsigned)(u >> 36 & 0x3ff),
                      hms >> 6 & 63, hms & 63, us);
    else if (type != FR_MY_WIRE_DATE)
        fr_buf_printf(b, " %02u:%02u:%02u.%06u", hms >> 12, hms >> 6 & 63, hms & 63, us);
    fr_buf_u8(b, '"');
    return FR_OK;
}

static fr_rc print_opaque(const fr_my_json *j, fr_buf *b, fr_err *err)
{
    fr_str s;
    if (j->len == 0)
        return broken(err, "a value is cut off");
    uint8_t type = j->p[0];
    FR_TRY(counted(j, 1, &s, err));
    switch (type) {
    case FR_MY_WIRE_NEWDECIMAL: {
        fr_arena *a = b->arena;
        return print_decimal(s, a, b, err);
    }
    case FR_MY_WIRE_DATE:
    case FR_MY_WIRE_TIME:
    case FR_MY_WIRE_DATETIME:
    case FR_MY_WIRE_TIMESTAMP:
        return print_time(type, s, b, err);
    default:
        fr_buf_printf(b, "\"base64:type%u:", type);
        print_base64(s, b);
        fr_buf_u8(b, '"');
        return FR_OK;
    }
}

static fr_rc print_literal(const fr_my_json *j, fr_buf *b, fr_err *err)
{
    static const char *const names[] = {"null", "true", "false"};
    if (j->len == 0 || j->p[0] > 2)
        return broken(err, "unknown literal");
    fr_buf_text(b, names[j->p[0]]);
    return FR_OK;
}

static fr_rc print_container(const fr_my_json *j, fr_buf *b, size_t limit, unsigned depth,
                             fr_err *err)
{
    size_t count;
    bool object = fr_my_json_is_object(j);
    FR_TRY(fr_my_json_count(j, &count, err));
    if (depth == DEPTH_MAX)
        return broken(err, "nested too deeply");
    fr_buf_u8(b, object ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        fr_my_json value;
        fr_str key;
        if (i > 0)
            fr_buf_text(b, ", ");
        if (object) {
            FR_TRY(fr_my_json_key(j, i, &key, err));
            if (!fr_utf8_valid(key))
                return broken(err, "a key is not UTF-8");
            fr_my_json_quote(b, key);
            fr_buf_text(b, ": ");
        }
        FR_TRY(fr_my_json_at(j, count, i, &value, err));
        FR_TRY(fr_my_json_print(&value, b, limit, depth + 1, err));
        if (b->len > limit)
            return broken(err, "its containers overlap");
    }
    fr_buf_u8(b, object ? '}' : ']');
    return FR_OK;
}

fr_rc fr_my_json_print(const fr_my_json *j, fr_buf *b, size_t limit, unsigned depth, fr_err *err)
{
    if (fr_my_json_container(j))
        return print_container(j, b, limit, depth, err);
    switch (j->type) {
    case FR_MY_JSON_LITERAL:
        return print_literal(j, b, err);
    case FR_MY_JSON_STRING:
        return print_string(j, b, err);
    case FR_MY_JSON_OPAQUE:
        return print_opaque(j, b, err);
    default:
        return print_number(j, b, err);
    }
}

fr_rc fr_my_json_text(fr_arena *a, fr_str binary, fr_str *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    fr_my_json j;
    FR_TRY(fr_my_json_open(binary, &j, err));
    fr_buf_room(&b, binary.len + binary.len / 4 + 16);
    FR_TRY(fr_my_json_print(&j, &b, fr_my_json_limit(binary.len), 0, err));
    *out = fr_buf_view(&b);
    return FR_OK;
}
