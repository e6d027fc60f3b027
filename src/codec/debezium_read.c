#include "codec/debezium_read.h"
#include "codec/debezium.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_field(const fr_avro_node *n, size_t i, const char *name, fr_avro_tag tag)
{
    return fr_str_is(n->fields[i].name, name) && n->fields[i].type->tag == tag;
}

/* Of this name, and of the shape that it has. */
static bool is_variable(const fr_avro_node *n)
{
    return n->tag == FR_AVRO_RECORD &&
           fr_str_is(n->connect, "io.debezium.data.VariableScaleDecimal") && n->count == 2 &&
           is_field(n, 0, "scale", FR_AVRO_INT) && is_field(n, 1, "value", FR_AVRO_BYTES);
}

static bool is_point(const fr_avro_node *n)
{
    return n->tag == FR_AVRO_RECORD && fr_str_is(n->connect, "io.debezium.data.geometry.Point") &&
           n->count >= 2 && is_field(n, 0, "x", FR_AVRO_DOUBLE) &&
           is_field(n, 1, "y", FR_AVRO_DOUBLE);
}

fr_dbz_reading fr_dbz_reading_of(const fr_avro_node *n, fr_kind *kind)
{
    *kind = FR_TEXT;
    if (is_variable(n))
        return FR_DBZ_READ_VARIABLE;
    if (is_point(n))
        return FR_DBZ_READ_POINT;
    if (n->tag == FR_AVRO_LONG && fr_str_is(n->connect, "io.debezium.time.MicroDuration"))
        return FR_DBZ_READ_DURATION;
    if (n->tag != FR_AVRO_STRING || !fr_str_is(n->connect, "io.debezium.time.ZonedTimestamp"))
        return FR_DBZ_READ_PLAIN;
    *kind = FR_TIMESTAMP;
    return FR_DBZ_READ_ZONED;
}

static void set_text(fr_value *v, fr_str text)
{
    v->kind = FR_TEXT;
    v->bytes = text;
}

static bool read_zoned(fr_avro_in *r, fr_value *v)
{
    fr_str text;
    if (!fr_avro_string(r, &text))
        return false;
    if (fr_str_is(text, "infinity") || fr_str_is(text, "-infinity"))
        return fr_avro_bad(r, "infinity is no point in time");
    v->kind = FR_TIMESTAMP;
    return fr_dbz_parse_zoned(text, &v->integer) ||
           fr_avro_bad(r, "not an ISO 8601 time with its offset, in microseconds");
}

static bool read_duration(fr_avro_in *r, fr_value *v)
{
    int64_t us;
    if (!fr_avro_long(r, &us))
        return false;
    char text[64];
    uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    const char *sign = us < 0 ? "-" : "";
    unsigned long long hours = left / 3600000000u, minutes = left / 60000000u % 60,
                       seconds = left / 1000000u % 60, rest = left % 1000000u;
    int n = snprintf(text, sizeof text, "PT");
    if (hours > 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lluH", sign, hours);
    if (minutes > 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%lluM", sign, minutes);
    if (seconds > 0 || rest > 0 || n == 2) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%llu", sign, seconds);
        if (rest > 0) {
            n += snprintf(text + n, sizeof text - (size_t)n, ".%06llu", rest);
            while (text[n - 1] == '0')
                n--;
        }
        text[n++] = 'S';
    }
    set_text(v, fr_arena_copy(r->arena, text, (size_t)n));
    return true;
}

enum { MOST_DIGITS = 16384 }; /* behind the point: PostgreSQL's own limit is 16383 */

static bool read_variable(fr_avro_in *r, fr_value *v)
{
    int64_t scale;
    fr_str unscaled;
    if (!fr_avro_long(r, &scale) || !fr_avro_bytes(r, &unscaled))
        return false;
    if (scale < 0 || scale > MOST_DIGITS || unscaled.len == 0 || unscaled.len > MOST_DIGITS)
        return fr_avro_bad(r, "a number of variable scale has no bytes, or too many digits");
    set_text(v, fr_decimal_to_text(r->arena, unscaled, (int)scale));
    return true;
}

/* The shortest text of each that reads back as the same. */
static int put_real(char *out, size_t room, double d)
{
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, room, "%.*g", digits, d);
        if (strtod(out, NULL) == d)
            break;
    }
    return n;
}

static bool read_point(fr_avro_in *r, const fr_avro_node *n, fr_value *v)
{
    fr_value x, y;
    if (!fr_avro_scalar_read(r, n->fields[0].type, fr_avro_scalar_of(n->fields[0].type), &x) ||
        !fr_avro_scalar_read(r, n->fields[1].type, fr_avro_scalar_of(n->fields[1].type), &y))
        return false;
    for (size_t i = 2; i < n->count; i++)
        if (!fr_avro_skip(r, n->fields[i].type, 1))
            return false;
    char text[80];
    int len = snprintf(text, sizeof text, "(");
    len += put_real(text + len, sizeof text - (size_t)len, x.real);
    text[len++] = ',';
    len += put_real(text + len, sizeof text - (size_t)len, y.real);
    text[len++] = ')';
    set_text(v, fr_arena_copy(r->arena, text, (size_t)len));
    return true;
}

bool fr_dbz_read(fr_avro_in *r, const fr_avro_node *n, fr_dbz_reading how, fr_value *v)
{
    switch (how) {
    case FR_DBZ_READ_ZONED:
        return read_zoned(r, v);
    case FR_DBZ_READ_DURATION:
        return read_duration(r, v);
    case FR_DBZ_READ_VARIABLE:
        return read_variable(r, v);
    case FR_DBZ_READ_POINT:
        return read_point(r, n, v);
    default:
        return fr_avro_scalar_read(r, n, fr_avro_scalar_of(n), v);
    }
}

/* An array of integers has its letters, and one of dates has them as days. */
static bool is_letters(fr_str json, bool dates)
{
    static const char text[] = FR_DBZ_UNAVAILABLE;
    char want[sizeof text * 13 + 2];
    int n = snprintf(want, sizeof want, "[");
    for (size_t i = 0; text[i] != '\0'; i++) {
        int64_t year;
        unsigned month, day;
        const char *lead = i > 0 ? "," : "";
        fr_civil_from_days(text[i], &year, &month, &day);
        if (dates)
            n += snprintf(want + n, sizeof want - (size_t)n, "%s\"%04d-%02u-%02u\"", lead,
                          (int)year, month, day);
        else
            n += snprintf(want + n, sizeof want - (size_t)n, "%s%d", lead, text[i]);
    }
    snprintf(want + n, sizeof want - (size_t)n, "]");
    return fr_str_is(json, want);
}

/* In hexadecimal, as bytes in arrays are. */
static bool is_octets(fr_str json)
{
    static const char text[] = FR_DBZ_UNAVAILABLE;
    char want[sizeof text * 2 + 8];
    int n = snprintf(want, sizeof want, "[\"\\\\x");
    for (size_t i = 0; text[i] != '\0'; i++)
        n += snprintf(want + n, sizeof want - (size_t)n, "%02x", (unsigned)text[i]);
    snprintf(want + n, sizeof want - (size_t)n, "\"]");
    return fr_str_is(json, want);
}

static bool is_placeholder_array(fr_str json)
{
    if (json.ptr[0] != '[' || json.len > 14 * sizeof FR_DBZ_UNAVAILABLE)
        return false;
    return fr_str_is(json, "[\"" FR_DBZ_UNAVAILABLE "\"]") ||
           fr_str_is(json, "[\"" FR_DBZ_UNAVAILABLE_UUID "\"]") || is_octets(json) ||
           is_letters(json, false) || is_letters(json, true);
}

bool fr_dbz_is_placeholder(const fr_value *v)
{
    if (v->kind == FR_TEXT || v->kind == FR_BYTES)
        return fr_str_is(v->bytes, FR_DBZ_UNAVAILABLE);
    if (v->kind != FR_JSON || v->bytes.len < sizeof FR_DBZ_UNAVAILABLE - 1)
        return false;
    return fr_str_is(v->bytes, FR_DBZ_UNAVAILABLE) ||
           fr_str_is(v->bytes, "{\"" FR_DBZ_UNAVAILABLE "\":\"" FR_DBZ_UNAVAILABLE "\"}") ||
           is_placeholder_array(v->bytes);
}
