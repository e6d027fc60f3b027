#include "codec/avro_type.h"
#include "codec/avro_write.h"
#include "codec/contract.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How a column's values become a field's: the table of docs/contracts.md. No conversion changes
 * what a value says; where that depends on the value, each is looked at. */

enum { MOST_ZIGZAG = 10 };
#define DAY_US INT64_C(86400000000)

/* What is wrong, with the shape of the value in front: never the value itself. */
static const char *wrong(fr_arena *a, const fr_value *v, const char *what)
{
    bool sized = v->kind == FR_TEXT || v->kind == FR_BYTES || v->kind == FR_JSON;
    fr_str text =
        sized ? fr_arena_printf(a, "%s of %zu bytes %s", fr_kind_name(v->kind), v->bytes.len, what)
              : fr_arena_printf(a, "%s %s", fr_kind_name(v->kind), what);
    return fr_arena_cstr(a, text);
}

/* ---- conversions ---- */

static const char *to_text(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    *v = (fr_value){.kind = FR_TEXT, .bytes = fr_value_text(a, &c->from, v)};
    return NULL;
}

static const char *to_enum(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    enum { FEW = 8 };
    const fr_avro_node *n = c->field->node;
    size_t place = 0;
    if (n->count > FEW)
        place = (uintptr_t)fr_map_get(c->field->symbols, v->bytes);
    for (size_t i = 0; n->count <= FEW && place == 0 && i < n->count; i++)
        place = fr_str_eq(n->symbols[i], v->bytes) ? i + 1 : 0;
    if (place == 0)
        return wrong(a, v, "that is no symbol of the enum");
    *v = (fr_value){.kind = FR_INT32, .integer = (int64_t)place - 1};
    return NULL;
}

static const char *to_uuid(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    (void)c;
    bool good = v->bytes.len == 36;
    for (size_t i = 0; good && i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        good = dash ? v->bytes.ptr[i] == '-' : fr_hex_digit(v->bytes.ptr[i]) >= 0;
    }
    if (!good)
        return wrong(a, v, "that is no UUID");
    v->kind = FR_UUID;
    return NULL;
}

static const char *to_fixed(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    if (v->bytes.len != c->field->node->size)
        return wrong(a, v, "where its fixed has another length");
    v->kind = FR_KIND_COUNT;
    return NULL;
}

static const char *to_int(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    (void)c;
    if (v->integer < INT32_MIN || v->integer > INT32_MAX)
        return wrong(a, v, "that 32 bits do not hold");
    v->kind = FR_INT32;
    return NULL;
}

/* 2^53 and 2^24: up to there each integer has a number of its own. */
static const char *int_to_real(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    bool wide = c->field->type == FR_PIN_DOUBLE;
    const int64_t most = INT64_C(1) << (wide ? 53 : 24);
    if (v->integer > most || v->integer < -most)
        return wrong(a, v, "that the field's floating point does not hold exactly");
    *v = (fr_value){.kind = wide ? FR_FLOAT64 : FR_FLOAT32, .real = (double)v->integer};
    return NULL;
}

static const char *to_double(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    (void)a, (void)c;
    v->kind = FR_FLOAT64;
    return NULL;
}

static const char *to_float(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    (void)c;
    bool fits = isnan(v->real) || isinf(v->real) || fabs(v->real) <= 3.4028234663852886e38;
    if (!fits || (!isnan(v->real) && (double)(float)v->real != v->real))
        return wrong(a, v, "that a float does not hold exactly");
    v->kind = FR_FLOAT32;
    return NULL;
}

static bool as_decimal(fr_arena *a, const fr_column *from, const fr_value *v, int precision,
                       int scale, fr_str *out)
{
    fr_err ignored;
    return fr_decimal_from_text(a, fr_value_text(a, from, v), precision, scale, out, &ignored) ==
           FR_OK;
}

static const char *to_decimal(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    fr_str out;
    if (!as_decimal(a, &c->from, v, c->field->precision, c->field->scale, &out))
        return wrong(a, v, "that the field's decimal does not hold");
    *v = (fr_value){.kind = FR_DECIMAL, .bytes = out};
    return NULL;
}

static const char *to_fixed_decimal(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    const char *what = to_decimal(a, c, v);
    size_t size = c->field->node->size;
    if (what != NULL)
        return what;
    if (v->bytes.len > size)
        return wrong(a, v, "that the field's decimal does not hold");
    char *bytes = fr_arena_raw(a, size + 1);
    size_t lead = size - v->bytes.len;
    memset(bytes, v->bytes.len > 0 && (v->bytes.ptr[0] & 0x80) != 0 ? 0xff : 0, lead);
    memcpy(bytes + lead, v->bytes.ptr, v->bytes.len);
    *v = (fr_value){.kind = FR_KIND_COUNT, .bytes = {bytes, size}};
    return NULL;
}

static const char *decimal_to_integer(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    fr_str out = v->bytes;
    bool good = c->from.scale == 0 || as_decimal(a, &c->from, v, 0, 0, &out);
    if (!good || out.len > sizeof(int64_t))
        return wrong(a, v, good ? "that 64 bits do not hold" : "with a fraction");
    int64_t n = fr_decimal_number(out);
    if (c->field->type == FR_PIN_INT && (n < INT32_MIN || n > INT32_MAX))
        return wrong(a, v, "that 32 bits do not hold");
    *v = (fr_value){.kind = fr_pin_kind(c->field->type), .integer = n};
    return NULL;
}

/* A length of time is not always a time of day. */
static const char *to_time(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    bool span = fr_str_is(c->field->node->marker, "span");
    if (!span && (v->integer < 0 || v->integer >= DAY_US))
        return wrong(a, v, "that is no time of day");
    if (c->field->type == FR_PIN_TIME)
        return NULL;
    if (v->integer % 1000 != 0)
        return wrong(a, v, "finer than a millisecond");
    int64_t ms = v->integer / 1000;
    if (ms < INT32_MIN || ms > INT32_MAX)
        return wrong(a, v, "that 32 bits of milliseconds do not hold");
    *v = (fr_value){.kind = FR_INT32, .integer = ms};
    return NULL;
}

static const char *to_millis(fr_arena *a, const fr_pin_column *c, fr_value *v)
{
    (void)c;
    if (v->integer % 1000 != 0)
        return wrong(a, v, "finer than a millisecond");
    *v = (fr_value){.kind = FR_INT64, .integer = v->integer / 1000};
    return NULL;
}

/* ---- which of them ---- */

typedef struct fit { /* kinds that a field takes beside its own */
    fr_rc rc;        /* FR_OK, FR_IDLE, FR_END as fr_pin_fit */
    fr_pin_convert *how;
} fit;

static const fit never = {FR_END, NULL}, as_it_is = {FR_OK, NULL};

static fit decimal_fit(const fr_column *from, const fr_contract_field *f)
{
    int whole = f->precision - f->scale;
    bool fixed = f->type == FR_PIN_FIXED_DECIMAL;
    fr_pin_convert *how = fixed ? to_fixed_decimal : to_decimal;
    if (from->kind == FR_INT32)
        return (fit){whole >= 10 ? FR_OK : FR_IDLE, how};
    if (from->kind == FR_INT64)
        return (fit){whole >= 19 ? FR_OK : FR_IDLE, how};
    if (from->kind != FR_DECIMAL)
        return never;
    bool fits =
        from->precision > 0 && f->scale >= from->scale && whole >= from->precision - from->scale;
    if (fits && f->scale == from->scale && !fixed)
        return as_it_is;
    return (fit){fits ? FR_OK : FR_IDLE, how};
}

static fit integer_fit(const fr_column *from, const fr_contract_field *f)
{
    bool narrow = f->type == FR_PIN_INT;
    if (from->kind == FR_INT32)
        return as_it_is; /* an int's bytes are those of a long */
    if (from->kind == FR_INT64)
        return narrow ? (fit){FR_IDLE, to_int} : as_it_is;
    if (from->kind != FR_DECIMAL)
        return never;
    bool fits = from->scale == 0 && from->precision > 0 && from->precision <= (narrow ? 9 : 18);
    return (fit){fits ? FR_OK : FR_IDLE, decimal_to_integer};
}

static fit real_fit(const fr_column *from, const fr_contract_field *f)
{
    bool wide = f->type == FR_PIN_DOUBLE;
    if (from->kind == FR_INT32 || from->kind == FR_INT64)
        return (fit){wide && from->kind == FR_INT32 ? FR_OK : FR_IDLE, int_to_real};
    if (from->kind == FR_FLOAT32)
        return wide ? (fit){FR_OK, to_double} : as_it_is;
    if (from->kind == FR_FLOAT64)
        return wide ? as_it_is : (fit){FR_IDLE, to_float};
    return never;
}

static fit time_fit(const fr_column *from, const fr_contract_field *f)
{
    bool span = fr_str_is(f->node->marker, "span");
    if (from->kind != FR_TIME)
        return never;
    if (f->type == FR_PIN_TIME && (span || !from->span))
        return as_it_is;
    return (fit){FR_IDLE, to_time};
}

static fit text_fit(const fr_column *from, const fr_contract_field *f)
{
    bool text = from->kind == FR_TEXT;
    switch (f->type) {
    case FR_PIN_STRING:
        if (text || from->kind == FR_JSON || from->kind == FR_UUID)
            return as_it_is;
        return from->kind == FR_BYTES ? never : (fit){FR_OK, to_text};
    case FR_PIN_ENUM:
        return text ? (fit){FR_IDLE, to_enum} : never;
    case FR_PIN_UUID:
        return from->kind == FR_UUID ? as_it_is : text ? (fit){FR_IDLE, to_uuid} : never;
    default:
        return never;
    }
}

static fit fit_of(const fr_column *from, const fr_contract_field *f)
{
    switch (f->type) {
    case FR_PIN_STRING:
    case FR_PIN_ENUM:
    case FR_PIN_UUID:
        return text_fit(from, f);
    case FR_PIN_INT:
    case FR_PIN_LONG:
        return integer_fit(from, f);
    case FR_PIN_FLOAT:
    case FR_PIN_DOUBLE:
        return real_fit(from, f);
    case FR_PIN_DECIMAL:
    case FR_PIN_FIXED_DECIMAL:
        return decimal_fit(from, f);
    case FR_PIN_TIME_MILLIS:
    case FR_PIN_TIME:
        return time_fit(from, f);
    case FR_PIN_FIXED:
        return from->kind == FR_BYTES ? (fit){FR_IDLE, to_fixed} : never;
    case FR_PIN_TIMESTAMP_MILLIS:
        return from->kind == FR_TIMESTAMP ? (fit){FR_IDLE, to_millis} : never;
    case FR_PIN_DATETIME_MILLIS:
        return from->kind == FR_DATETIME ? (fit){FR_IDLE, to_millis} : never;
    default:
        return from->kind == fr_pin_kind(f->type) ? as_it_is : never;
    }
}

fr_rc fr_pin_fit(const fr_column *from, const fr_contract_field *f, fr_pin_convert **how)
{
    fit x = fit_of(from, f);
    *how = x.how;
    return x.rc;
}

/* ---- defaults ---- */

static bool put_integer(uint8_t **at, const fr_contract_field *f, const json_t *j)
{
    json_int_t v = json_integer_value(j);
    fr_kind kind = fr_pin_kind(f->type);
    bool narrow = kind == FR_INT32 || kind == FR_DATE;
    bool whole = narrow || kind == FR_INT64 || kind == FR_TIME || kind == FR_TIMESTAMP ||
                 kind == FR_DATETIME;
    if (!json_is_integer(j) || !whole || f->type == FR_PIN_ENUM ||
        (narrow && (v < INT32_MIN || v > INT32_MAX)))
        return false;
    *at = fr_put_long(*at, v);
    return true;
}

static bool put_real(uint8_t **at, const fr_contract_field *f, const json_t *j)
{
    double v = json_number_value(j);
    float narrow = (float)v;
    if (!json_is_number(j))
        return false;
    bool wide = f->type == FR_PIN_DOUBLE;
    *at = fr_put_raw(*at, wide ? (fr_str){(const char *)&v, sizeof v}
                               : (fr_str){(const char *)&narrow, sizeof narrow});
    return true;
}

static bool put_text(fr_arena *a, uint8_t **at, const fr_contract_field *f, fr_str text)
{
    fr_str bytes;
    uintptr_t place;
    switch (f->type) {
    case FR_PIN_ENUM:
        place = (uintptr_t)fr_map_get(f->symbols, text);
        *at = fr_put_long(*at, (int64_t)place - 1);
        return place != 0;
    case FR_PIN_BYTES:
    case FR_PIN_DECIMAL:
        if (!fr_avro_json_bytes(a, text, &bytes) || (f->type == FR_PIN_DECIMAL && bytes.len == 0))
            return false;
        *at = fr_put_bytes(*at, bytes);
        return f->type == FR_PIN_BYTES || bytes.len <= fr_avro_decimal_bytes(f->precision);
    case FR_PIN_FIXED:
    case FR_PIN_FIXED_DECIMAL:
        if (!fr_avro_json_bytes(a, text, &bytes) || bytes.len != f->node->size)
            return false;
        *at = fr_put_raw(*at, bytes);
        return true;
    default:
        *at = fr_put_bytes(*at, text);
        return f->type == FR_PIN_STRING || f->type == FR_PIN_JSON || f->type == FR_PIN_UUID;
    }
}

bool fr_pin_default(fr_arena *a, const fr_contract_field *f, const json_t *j, fr_str *out)
{
    fr_str text = {json_string_value(j), json_string_length(j)};
    size_t room = text.len + 2 * (size_t)MOST_ZIGZAG;
    uint8_t *start = fr_arena_alloc(a, room), *at = start;
    bool null = json_is_null(j);
    if (null != (f->nullable && !f->null_last))
        return false; /* of the first branch */
    if (f->nullable)
        *at++ = 0;
    bool good = true;
    if (!null && f->type == FR_PIN_BOOLEAN)
        *at++ = json_is_true(j) ? 1 : 0;
    else if (!null && (f->type == FR_PIN_FLOAT || f->type == FR_PIN_DOUBLE))
        good = put_real(&at, f, j);
    else if (!null && json_is_string(j))
        good = put_text(a, &at, f, text);
    else if (!null)
        good = put_integer(&at, f, j);
    if (f->type == FR_PIN_BOOLEAN && !null)
        good = json_is_boolean(j);
    *out = (fr_str){(const char *)start, (size_t)(at - start)};
    return good;
}

/* ---- keys ---- */

bool fr_pin_key_type(fr_buf *b, const fr_contract_field *f)
{
    const fr_avro_node *n = f->node;
    if (f->nullable || f->type == FR_PIN_ENUM || n->tag == FR_AVRO_FIXED)
        return false;
    bool marked = fr_str_is(n->marker, "json") || fr_str_is(n->marker, "span");
    if (n->logical.len == 0 && !marked) {
        fr_buf_printf(b, "\"%s\"", fr_avro_word(n->tag));
        return true;
    }
    fr_buf_printf(b, "{\"type\":\"%s\"", fr_avro_word(n->tag));
    if (n->logical.len > 0)
        fr_buf_printf(b, ",\"logicalType\":\"%.*s\"", FR_ARG(n->logical));
    if (f->type == FR_PIN_DECIMAL)
        fr_buf_printf(b, ",\"precision\":%d,\"scale\":%d", f->precision, f->scale);
    if (marked)
        fr_buf_printf(b, ",\"freshet.type\":\"%.*s\"", FR_ARG(n->marker));
    fr_buf_text(b, "}");
    return true;
}
