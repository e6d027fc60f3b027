#include "codec/avro_parse.h"
#include "codec/avro_type.h"
#include "codec/avro_write.h"
#include "codec/debezium.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes of Avro ---- */

static void put_bytes(fr_buf *b, fr_str s)
{
    fr_buf_zigzag(b, (int64_t)s.len);
    fr_buf_str(b, s);
}

static void put_double(fr_buf *b, double v)
{
    fr_buf_put(b, &v, sizeof v); /* little-endian: encode_row.c sees to it */
}

static void put_value(fr_buf *b, const fr_value *v)
{
    float f;
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_u8(b, v->boolean ? 1 : 0);
        return;
    case FR_FLOAT32:
        f = (float)v->real;
        fr_buf_put(b, &f, sizeof f);
        return;
    case FR_FLOAT64:
        put_double(b, v->real);
        return;
    case FR_KIND_COUNT:
        fr_buf_str(b, v->bytes);
        return;
    case FR_DECIMAL:
    case FR_TEXT:
    case FR_BYTES:
    case FR_JSON:
    case FR_UUID:
        put_bytes(b, v->bytes);
        return;
    default:
        fr_buf_zigzag(b, v->integer);
    }
}

static void set_bytes(fr_value *v, fr_kind kind, fr_str bytes)
{
    *v = (fr_value){.kind = kind, .bytes = bytes};
}

static void set_integer(fr_value *v, fr_kind kind, int64_t integer)
{
    *v = (fr_value){.kind = kind, .integer = integer};
}

/* ---- one value ---- */

/* What Debezium's streaming has for what is no date, by an overflow: the day before and after. */
enum { DATE_INFINITY = -2147472692, DATE_MINUS_INFINITY = -2147472691 };

static void date(fr_value *v)
{
    if (v->integer == INT64_MAX)
        v->integer = DATE_INFINITY;
    else if (v->integer == INT64_MIN)
        v->integer = DATE_MINUS_INFINITY;
}

static void millis(fr_value *v)
{
    int64_t us = v->integer;
    if (us == INT64_MAX) /* the driver's words for infinity, in milliseconds */
        v->integer = INT64_C(9223372036825200);
    else if (us == INT64_MIN)
        v->integer = INT64_C(-9223372036832400);
    else
        v->integer = us / 1000 - (us % 1000 < 0);
}

static const char *bits(fr_arena *a, fr_value *v)
{
    fr_str text = v->bytes;
    size_t from = 0;
    while (from < text.len && text.ptr[from] == '0')
        from++;
    size_t digits = text.len - from, bytes = (digits + 7) / 8;
    uint8_t *out = fr_arena_alloc(a, bytes + 1);
    for (size_t i = 0; i < digits; i++) {
        char c = text.ptr[text.len - 1 - i];
        if (c != '0' && c != '1')
            return "not of the digits 0 and 1";
        out[i / 8] = (uint8_t)(out[i / 8] | (c - '0') << (i % 8));
    }
    set_bytes(v, FR_BYTES, (fr_str){(const char *)out, bytes});
    return NULL;
}

static const char *variable(fr_arena *a, fr_value *v)
{
    fr_str text = v->bytes, unscaled;
    fr_err ignored;
    size_t dot = 0;
    while (dot < text.len && text.ptr[dot] != '.')
        dot++;
    size_t end = text.len;
    while (end > dot + 1 && text.ptr[end - 1] == '0')
        end--;
    int scale = end > dot + 1 ? (int)(end - dot - 1) : 0;
    text.len = scale > 0 ? end : dot;
    if (fr_decimal_from_text(a, text, 0, scale, &unscaled, &ignored) != FR_OK)
        return "envelope debezium has no NaN and no infinity in numbers";
    fr_buf b = {.arena = a};
    fr_buf_zigzag(&b, scale);
    put_bytes(&b, unscaled);
    set_bytes(v, FR_KIND_COUNT, fr_buf_view(&b));
    return NULL;
}

static fr_str point_bytes(fr_arena *a, double x, double y)
{
    static const char head[] = {1, 1, 0, 0, 0}; /* WKB: little-endian, a point */
    fr_buf b = {.arena = a};
    put_double(&b, x);
    put_double(&b, y);
    fr_buf_u8(&b, 2); /* it has a WKB */
    fr_buf_zigzag(&b, (int64_t)(sizeof head + 2 * sizeof x));
    fr_buf_put(&b, head, sizeof head);
    put_double(&b, x);
    put_double(&b, y);
    fr_buf_u8(&b, 0); /* and no SRID */
    return fr_buf_view(&b);
}

static const char *point(fr_arena *a, fr_value *v)
{
    char text[128], *at = text, *end;
    double xy[2];
    if (v->bytes.len < 5 || v->bytes.len >= sizeof text)
        return "not a point";
    memcpy(text, v->bytes.ptr, v->bytes.len);
    text[v->bytes.len] = '\0';
    for (int i = 0; i < 2; i++) {
        if (*at++ != (i == 0 ? '(' : ','))
            return "not a point";
        xy[i] = strtod(at, &end);
        if (end == at)
            return "not a point";
        at = end;
    }
    if (strcmp(at, ")") != 0)
        return "not a point";
    set_bytes(v, FR_KIND_COUNT, point_bytes(a, xy[0], xy[1]));
    return NULL;
}

/* "..." with \ before any character. */
static bool quoted(fr_in *in, fr_buf *out)
{
    if (fr_in_u8(in) != '"')
        return false;
    for (;;) {
        uint8_t c = fr_in_u8(in);
        if (in->bad)
            return false;
        if (c == '"')
            return true;
        fr_buf_u8(out, c == '\\' ? fr_in_u8(in) : c);
    }
}

static bool skip(fr_in *in, const char *word)
{
    size_t len = strlen(word);
    if (fr_in_left(in) < len || memcmp(in->at, word, len) != 0)
        return false;
    in->at += len;
    return true;
}

static const char *hstore(fr_arena *a, fr_value *v)
{
    fr_in in = fr_in_of(v->bytes);
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, '{');
    while (fr_in_left(&in) > 0) {
        fr_buf key = {.arena = a}, value = {.arena = a};
        bool first = b.len == 1;
        if ((!first && !skip(&in, ", ")) || !quoted(&in, &key) || !skip(&in, "=>"))
            return "not an hstore";
        fr_buf_text(&b, first ? "" : ",");
        fr_buf_json(&b, fr_buf_view(&key));
        fr_buf_u8(&b, ':');
        if (skip(&in, "NULL"))
            fr_buf_text(&b, "null");
        else if (quoted(&in, &value))
            fr_buf_json(&b, fr_buf_view(&value));
        else
            return "not an hstore";
    }
    fr_buf_u8(&b, '}');
    set_bytes(v, FR_JSON, fr_buf_view(&b));
    return NULL;
}

static const char *array(fr_arena *a, const fr_dbz_type *t, fr_value *v);

const char *fr_dbz_value(fr_arena *a, const fr_dbz_type *t, fr_value *v)
{
    int64_t us;
    fr_str text;
    if (v->kind != t->from)
        return "a value of another kind than its column's";
    switch (t->form) {
    case FR_DBZ_DATE:
        date(v);
        return NULL;
    case FR_DBZ_MILLIS:
        millis(v);
        return NULL;
    case FR_DBZ_ZONED:
        set_bytes(v, FR_TEXT, fr_dbz_zoned(a, v->integer, t->scale));
        return NULL;
    case FR_DBZ_ZONED_TIME:
        if (!fr_dbz_zoned_time(a, v->bytes, &text))
            return "24:00 in a zone other than UTC is no time of day in UTC";
        set_bytes(v, FR_TEXT, text);
        return NULL;
    case FR_DBZ_DURATION:
        if (!fr_dbz_duration(v->bytes, &us))
            return "an interval that 64 bits of microseconds do not hold";
        set_integer(v, FR_INT64, us);
        return NULL;
    case FR_DBZ_BIT:
        if (v->bytes.len > 1)
            return "more than one bit";
        *v = (fr_value){.kind = FR_BOOL, .boolean = v->bytes.len == 1 && *v->bytes.ptr == '1'};
        return NULL;
    case FR_DBZ_BITS:
        return bits(a, v);
    case FR_DBZ_VARIABLE:
        return variable(a, v);
    case FR_DBZ_POINT:
        return point(a, v);
    case FR_DBZ_HSTORE:
        return hstore(a, v);
    case FR_DBZ_ARRAY:
        return array(a, t, v);
    default:
        return NULL;
    }
}

/* ---- arrays ---- */

static bool real_item(const json_t *j, double *out)
{
    const char *text = json_string_value(j);
    if (json_is_number(j))
        *out = json_number_value(j);
    else if (text != NULL && strcmp(text, "NaN") == 0)
        *out = (double)NAN;
    else if (text != NULL && strcmp(text, "Infinity") == 0)
        *out = HUGE_VAL;
    else if (text != NULL && strcmp(text, "-Infinity") == 0)
        *out = -HUGE_VAL;
    else
        return false;
    return true;
}

/* "\xdeadbeef" */
static bool bytes_item(fr_arena *a, fr_str text, fr_str *out)
{
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x')
        return false;
    uint8_t *bytes = fr_arena_raw(a, text.len / 2);
    for (size_t i = 2; i < text.len; i += 2) {
        int high = fr_hex_digit(text.ptr[i]), low = fr_hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2 - 1] = (uint8_t)(high << 4 | low);
    }
    *out = (fr_str){(const char *)bytes, text.len / 2 - 1};
    return true;
}

static bool time_item(fr_kind kind, fr_str text, int64_t *out)
{
    if (kind == FR_DATE)
        return fr_dbz_parse_date(text, out);
    return kind == FR_TIME ? fr_dbz_parse_time(text, out) : fr_dbz_parse_timestamp(text, out);
}

/* An item of the array, as the source would give it in a column of its own. */
static bool read_item(fr_arena *a, const fr_dbz_type *t, const json_t *j, fr_value *v)
{
    fr_str text = {json_string_value(j), json_string_length(j)};
    fr_err ignored;
    v->kind = t->from;
    switch (t->from) {
    case FR_BOOL:
        v->boolean = json_is_true(j);
        return json_is_boolean(j);
    case FR_INT32:
    case FR_INT64:
        v->integer = json_integer_value(j);
        return json_is_integer(j);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real_item(j, &v->real);
    default:
        break;
    }
    if (!json_is_string(j))
        return false;
    v->bytes = fr_arena_str(a, text);
    if (t->from == FR_DECIMAL)
        return fr_decimal_from_text(a, text, t->precision, t->scale, &v->bytes, &ignored) == FR_OK;
    if (t->from == FR_BYTES)
        return bytes_item(a, text, &v->bytes);
    if (t->from >= FR_DATE)
        return time_item(t->from, text, &v->integer);
    return true;
}

static const char *put_item(fr_arena *a, const fr_dbz_type *t, const json_t *j, fr_buf *b)
{
    fr_value v;
    if (json_is_array(j))
        return "envelope debezium has no arrays of more than one dimension";
    if (json_is_null(j)) {
        if (t->whole)
            return "envelope debezium has no NULL in arrays of enums";
        fr_buf_u8(b, 0);
        return NULL;
    }
    if (!read_item(a, t->items, j, &v))
        return "an item that is none of its array's type";
    const char *why = fr_dbz_value(a, t->items, &v);
    if (why != NULL)
        return why;
    if (!t->whole)
        fr_buf_u8(b, 2);
    put_value(b, &v);
    return NULL;
}

static const char *array(fr_arena *a, const fr_dbz_type *t, fr_value *v)
{
    /* jansson takes -0 for the integer 0 */
    bool reals = t->items->from == FR_FLOAT32 || t->items->from == FR_FLOAT64;
    json_t *j = json_loadb(v->bytes.ptr, v->bytes.len,
                           JSON_ALLOW_NUL | (reals ? JSON_DECODE_INT_AS_REAL : 0), NULL);
    const char *why = json_is_array(j) ? NULL : "not an array";
    fr_buf b = {.arena = a};
    size_t count = json_array_size(j);
    if (count > 0)
        fr_buf_zigzag(&b, (int64_t)count);
    for (size_t i = 0; why == NULL && i < count; i++)
        why = put_item(a, t, json_array_get(j, i), &b);
    fr_buf_u8(&b, 0);
    json_decref(j);
    if (why == NULL)
        set_bytes(v, FR_KIND_COUNT, fr_buf_view(&b));
    return why;
}

/* ---- what stands for a value ---- */

void fr_dbz_zero(fr_arena *a, const fr_dbz_type *t, fr_value *out)
{
    static const char zero[3] = {0, 2, 0}; /* {scale 0, value of one byte 0} */
    *out = (fr_value){.kind = t->kind};
    if (t->form == FR_DBZ_ZONED)
        out->bytes = FR_STR("1970-01-01T00:00:00Z");
    else if (t->form == FR_DBZ_ZONED_TIME)
        out->bytes = FR_STR("00:00:00Z");
    else if (t->form == FR_DBZ_HSTORE)
        out->bytes = FR_STR("{}");
    else if (t->form == FR_DBZ_VARIABLE)
        out->bytes = (fr_str){zero, sizeof zero};
    else if (t->form == FR_DBZ_POINT)
        out->bytes = point_bytes(a, 0, 0);
    else if (t->form == FR_DBZ_ARRAY || t->kind == FR_DECIMAL)
        out->bytes = (fr_str){zero, 1};
    else if (t->kind == FR_TEXT || t->kind == FR_JSON || t->kind == FR_UUID || t->kind == FR_BYTES)
        out->bytes = FR_STR("");
}

static void unavailable_items(fr_arena *a, const fr_dbz_type *items, fr_value *out)
{
    fr_str text = FR_STR(FR_DBZ_UNAVAILABLE);
    bool numbers = items->kind == FR_INT32 || items->kind == FR_INT64 || items->kind == FR_DATE;
    fr_buf b = {.arena = a};
    fr_buf_zigzag(&b, numbers ? (int64_t)text.len : 1);
    for (size_t i = 0; numbers && i < text.len; i++) { /* its letters */
        fr_buf_u8(&b, 2);
        fr_buf_zigzag(&b, text.ptr[i]);
    }
    if (!numbers) {
        fr_buf_u8(&b, 2);
        put_bytes(&b, items->kind == FR_UUID ? FR_STR(FR_DBZ_UNAVAILABLE_UUID) : text);
    }
    fr_buf_u8(&b, 0);
    set_bytes(out, FR_KIND_COUNT, fr_buf_view(&b));
}

static bool of_texts(const fr_dbz_type *t)
{
    return t->form == FR_DBZ_AS_IT_IS &&
           (t->kind == FR_TEXT || t->kind == FR_JSON || t->kind == FR_BYTES);
}

static bool has_unavailable_items(const fr_dbz_type *t)
{
    const fr_dbz_type *items = t->items;
    bool plain = items->form == FR_DBZ_AS_IT_IS;
    return !t->whole && (of_texts(items) || items->form == FR_DBZ_DATE ||
                         (plain && (items->kind == FR_INT32 || items->kind == FR_INT64 ||
                                    items->kind == FR_UUID)));
}

bool fr_dbz_unavailable(fr_arena *a, const fr_dbz_type *t, fr_value *out)
{
    if (t->form == FR_DBZ_HSTORE) {
        set_bytes(out, FR_JSON, FR_STR("{\"" FR_DBZ_UNAVAILABLE "\":\"" FR_DBZ_UNAVAILABLE "\"}"));
        return true;
    }
    if (t->form == FR_DBZ_ARRAY) {
        if (!has_unavailable_items(t))
            return false;
        unavailable_items(a, t->items, out);
        return true;
    }
    if (!of_texts(t))
        return false;
    set_bytes(out, t->kind, FR_STR(FR_DBZ_UNAVAILABLE));
    return true;
}

/* ---- defaults ---- */

/* Is the default a call, as Debezium sees it? name(...), with a bracket before it or not. */
static bool is_call(fr_str text)
{
    size_t i = text.len > 0 && text.ptr[0] == '(', from = i;
    while (i < text.len && (text.ptr[i] == '_' || (text.ptr[i] >= '0' && text.ptr[i] <= '9') ||
                            (text.ptr[i] >= 'a' && text.ptr[i] <= 'z') ||
                            (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')))
        i++;
    return i > from && i < text.len && text.ptr[i] == '(' &&
           memchr(text.ptr + i, ')', text.len - i) != NULL;
}

/* B'101'::"bit" */
static bool bits_default(fr_arena *a, const fr_dbz_type *t, fr_str text, fr_value *out)
{
    const char *end = text.len > 2 ? memchr(text.ptr + 2, '\'', text.len - 2) : NULL;
    if (end == NULL || text.ptr[0] != 'B' || text.ptr[1] != '\'')
        return false;
    fr_str rest = {end + 1, (size_t)(text.ptr + text.len - end) - 1};
    if (rest.len > 2 && memcmp(rest.ptr, "::", 2) != 0)
        return false;
    set_bytes(out, FR_TEXT, (fr_str){text.ptr + 2, (size_t)(end - text.ptr) - 2});
    return fr_dbz_value(a, t, out) == NULL;
}

static bool generated(fr_arena *a, const fr_column *c, const fr_dbz_type *t, fr_value *out)
{
    fr_str text = c->generator;
    if (is_call(text)) {
        fr_dbz_zero(a, t, out);
        if (t->form == FR_DBZ_ZONED)
            out->bytes = fr_dbz_zoned(a, 0, t->scale);
        else if (t->kind == FR_JSON)
            out->bytes = FR_STR("{}");
        else if (t->kind == FR_UUID)
            out->bytes = FR_STR("00000000-0000-0000-0000-000000000000");
        return true;
    }
    if (t->form == FR_DBZ_BIT || t->form == FR_DBZ_BITS)
        return bits_default(a, t, text, out);
    /* character(n), which is not padded here: 'ab'::bpchar */
    const char *end = text.len > 1 ? memchr(text.ptr + 1, '\'', text.len - 1) : NULL;
    if (t->kind != FR_TEXT || t->form != FR_DBZ_AS_IT_IS || text.len == 0 || text.ptr[0] != '\'' ||
        end == NULL)
        return false;
    size_t len = (size_t)(end - text.ptr) - 1;
    fr_str rest = {end + 1, text.len - len - 2};
    if (rest.len > 2 && memcmp(rest.ptr, "::", 2) != 0)
        return false;
    set_bytes(out, FR_TEXT, fr_arena_copy(a, text.ptr + 1, len));
    return true;
}

/* The column's own literal, which is JSON as Avro has it. */
static bool literal(fr_arena *a, const fr_dbz_type *t, const json_t *j, fr_value *v)
{
    fr_str text = {json_string_value(j), json_string_length(j)};
    v->kind = t->from;
    switch (t->from) {
    case FR_BOOL:
        v->boolean = json_is_true(j);
        return json_is_boolean(j);
    case FR_FLOAT32:
    case FR_FLOAT64:
        v->real = json_number_value(j);
        return json_is_number(j);
    case FR_DECIMAL:
        return json_is_string(j) && fr_avro_json_bytes(a, text, &v->bytes);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        v->bytes = fr_arena_str(a, text);
        return json_is_string(j);
    default:
        v->integer = json_integer_value(j);
        return json_is_integer(j);
    }
}

bool fr_dbz_default(fr_arena *a, const fr_column *c, const fr_dbz_type *t, fr_value *out)
{
    fr_value v;
    fr_err ignored;
    if (t->bare)
        return false;
    if (c->fallback.len == 0)
        return c->generator.len > 0 && generated(a, c, t, out);
    json_t *j = fr_avro_json(c->fallback, &ignored);
    bool good = j != NULL && literal(a, t, j, &v) && fr_dbz_value(a, t, &v) == NULL;
    json_decref(j);
    if (good)
        *out = v;
    return good;
}
