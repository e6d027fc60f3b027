#include "codec/avro_type.h"
#include "codec/avro_parse.h"
#include "codec/contract.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *avro, *logical;
} kinds[FR_KIND_COUNT] = {
#define X(name, member, avro, logical) [FR_##name] = {avro, logical},
    FR_KINDS(X)
#undef X
};

static fr_rc fail_type(const fr_route *route, const fr_column *c, const char *what,
                       const char *hint, fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s: column %.*s (%.*s): %s", FR_ARG(t->space),
            FR_ARG(t->name), FR_ARG(c->name), FR_ARG(c->native_type), what);
    fr_fail_code(err, "config.column_type");
    return fr_fail_hint(err, "%s", hint);
}

static fr_rc to_decimal(const fr_route *route, const fr_column *c, fr_avro_type *t, fr_err *err)
{
    int whole = t->precision - t->scale;
    bool widens =
        c->kind == FR_TEXT || (c->kind == FR_INT32 && whole >= 10) ||
        (c->kind == FR_INT64 && whole >= 19) ||
        (c->kind == FR_DECIMAL && t->scale >= c->scale && whole >= c->precision - c->scale);
    t->kind = FR_DECIMAL;
    t->cast = true;
    if (widens)
        return FR_OK;
    return fail_type(route, c, "columns.types asks for a decimal that not every value fits",
                     "make the decimal wider, or use string", err);
}

/* Where values have types of their own (SQLite), columns.types says what a column is: the source
 * has taken it in already. */
static bool says_what_it_is(const fr_column *c, const char *text)
{
    static const struct {
        const char *name;
        fr_kind kind;
    } kinds_said[] = {{"boolean", FR_BOOL},
                      {"bytes", FR_BYTES},
                      {"json", FR_JSON},
                      {"uuid", FR_UUID},
                      {"date", FR_DATE},
                      {"time", FR_TIME},
                      {"datetime", FR_DATETIME},
                      {"timestamp", FR_TIMESTAMP},
                      {"unix-seconds", FR_TIMESTAMP},
                      {"unix-millis", FR_TIMESTAMP},
                      {"unix-micros", FR_TIMESTAMP},
                      {"julian-day", FR_TIMESTAMP}};
    for (size_t i = 0; i < sizeof(kinds_said) / sizeof(kinds_said[0]); i++)
        if (strcmp(text, kinds_said[i].name) == 0)
            return c->kind == kinds_said[i].kind;
    return false;
}

static fr_rc cast_type(const fr_route *route, const fr_column *c, const char *text, fr_avro_type *t,
                       fr_err *err)
{
    if (says_what_it_is(c, text))
        return FR_OK;
    if (strcmp(text, "string") == 0 && c->kind != FR_BYTES) {
        t->kind = FR_TEXT;
        t->cast = c->kind != FR_TEXT;
        return FR_OK;
    }
    if (fr_decimal_type(text, &t->precision, &t->scale))
        return to_decimal(route, c, t, err);
    if (strcmp(text, "long") == 0 && (c->kind == FR_INT32 || c->kind == FR_INT64)) {
        t->kind = FR_INT64;
        t->cast = c->kind != FR_INT64;
        return FR_OK;
    }
    if (strcmp(text, "double") == 0 && (c->kind == FR_FLOAT32 || c->kind == FR_FLOAT64)) {
        t->kind = FR_FLOAT64;
        t->cast = c->kind != FR_FLOAT64;
        return FR_OK;
    }
    return fail_type(route, c, "columns.types asks for a type it cannot be written as",
                     "string (not for bytes), decimal(p,s) for numbers and text, long for "
                     "integers, double for floating point",
                     err);
}

bool fr_avro_may_be_absent(const fr_route *route, const fr_column *c)
{
    return c->may_be_absent && !route->table->full_before && !route->settings->append_only;
}

static bool is_key(const fr_route *route, uint16_t column)
{
    for (size_t i = 0; i < route->key_count; i++) {
        if (route->key[i] == column)
            return true;
    }
    return false;
}

/* In `standard`, before and after share one record: what the old row may lack is nullable. */
static bool is_nullable(const fr_route *route, uint16_t column)
{
    const fr_column *c = &route->table->columns[column];
    if (is_key(route, column))
        return false;
    if (c->nullable)
        return true;
    if (route->envelope != FR_ENVELOPE_STANDARD || route->settings->append_only)
        return false;
    return (c->key_ordinal == 0 && !route->table->full_before) || fr_avro_may_be_absent(route, c);
}

fr_rc fr_avro_type_base(const fr_route *route, uint16_t column, fr_avro_type *out, fr_err *err)
{
    const fr_column *c = &route->table->columns[column];
    const char *asked =
        fr_route_derived(route, column) /* its kind is made of its type */
            ? NULL
            : fr_pairs_get(&route->settings->column_types, fr_route_name(route, column));
    *out = (fr_avro_type){.kind = c->kind, .precision = c->precision, .scale = c->scale};
    out->nullable = is_nullable(route, column);
    out->span = c->kind == FR_TIME && c->span;
    if (asked != NULL)
        return cast_type(route, c, asked, out, err);
    if (c->kind == FR_DECIMAL && (c->precision <= 0 || c->scale < 0 || c->scale > c->precision))
        return fail_type(route, c, "Avro has no decimal with this precision and scale",
                         "set columns.types for it: string, or decimal(p,s)", err);
    return FR_OK;
}

fr_rc fr_avro_type_of(const fr_route *route, uint16_t column, fr_avro_type *out, fr_err *err)
{
    FR_TRY(fr_avro_type_base(route, column, out, err));
    const fr_pin_column *pinned = route->pin == NULL ? NULL : &route->pin->columns[column];
    if (pinned == NULL || pinned->field == NULL)
        return FR_OK;
    const fr_contract_field *f = pinned->field;
    out->field = f;
    if (pinned->convert != NULL) /* else bytes are the same: an int's as a long */
        out->kind = fr_pin_kind(f->type);
    out->precision = f->precision;
    out->scale = f->scale;
    out->nullable = f->nullable;
    out->cast = out->cast || pinned->convert != NULL;
    return FR_OK;
}

void fr_avro_type_write(fr_buf *b, const fr_avro_type *t)
{
    if (t->field != NULL && fr_pin_key_type(b, t->field))
        return;
    const char *avro = kinds[t->kind].avro, *logical = kinds[t->kind].logical;
    if (t->kind == FR_DECIMAL)
        fr_buf_printf(b,
                      "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,"
                      "\"scale\":%d}",
                      t->precision, t->scale);
    else if (t->kind == FR_JSON)
        fr_buf_text(b, "{\"type\":\"string\",\"freshet.type\":\"json\"}");
    else if (t->kind == FR_TIME && t->span)
        fr_buf_printf(b, "{\"type\":\"%s\",\"logicalType\":\"%s\",\"freshet.type\":\"span\"}", avro,
                      logical);
    else if (*logical != '\0')
        fr_buf_printf(b, "{\"type\":\"%s\",\"logicalType\":\"%s\"}", avro, logical);
    else
        fr_buf_printf(b, "\"%s\"", avro);
}

void fr_avro_real_json(fr_buf *b, double v)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", v);
    fr_buf_text(b, text);
    if (strpbrk(text, ".eE") == NULL)
        fr_buf_text(b, ".0");
}

void fr_avro_bytes_json(fr_buf *b, fr_str bytes)
{
    fr_buf utf8 = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = (uint8_t)bytes.ptr[i];
        if (c >= 0x80)
            fr_buf_u8(&utf8, (uint8_t)(0xC0 | c >> 6));
        fr_buf_u8(&utf8, c < 0x80 ? c : (uint8_t)(0x80 | (c & 0x3F)));
    }
    fr_buf_json(b, fr_buf_view(&utf8));
    fr_buf_free(&utf8);
}

bool fr_avro_json_bytes(fr_arena *a, fr_str text, fr_str *out)
{
    char *bytes = fr_arena_raw(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.ptr[i];
        if (c > 0xC3)
            return false;
        if (c >= 0x80 && i + 1 < text.len)
            c = (uint8_t)(c << 6 | ((uint8_t)text.ptr[++i] & 0x3F));
        bytes[n++] = (char)c;
    }
    *out = (fr_str){bytes, n};
    return true;
}

/* Latin-1 text in UTF-8, or not: what a default of bytes has to be. */
static bool is_latin1(fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((uint8_t)s.ptr[i] > 0xC3)
            return false;
    }
    return true;
}

static bool decimal_default(fr_buf *b, fr_arena *a, const fr_avro_type *t, fr_str text)
{
    fr_err ignored;
    fr_str unscaled;
    if (fr_decimal_from_text(a, text, t->precision, t->scale, &unscaled, &ignored) == FR_FAIL)
        return false;
    fr_avro_bytes_json(b, unscaled);
    return true;
}

static bool integer_default(fr_buf *b, const fr_avro_type *t, const json_t *j)
{
    json_int_t v = json_integer_value(j);
    bool narrow = t->kind == FR_INT32 || t->kind == FR_DATE;
    if (!json_is_integer(j) || (narrow && (v < INT32_MIN || v > INT32_MAX)))
        return false;
    fr_buf_printf(b, "%lld", (long long)v);
    return true;
}

/* False when j cannot be a default of this type. */
static bool json_default(fr_buf *b, fr_arena *a, const fr_avro_type *t, const json_t *j)
{
    fr_str text = {json_string_value(j), json_string_length(j)};
    switch (t->kind) {
    case FR_BOOL:
        if (json_is_boolean(j))
            fr_buf_text(b, json_is_true(j) ? "true" : "false");
        return json_is_boolean(j);
    case FR_FLOAT32:
    case FR_FLOAT64:
        if (json_is_number(j))
            fr_avro_real_json(b, json_number_value(j));
        return json_is_number(j);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        if (json_is_string(j))
            fr_buf_json(b, text);
        return json_is_string(j);
    case FR_BYTES:
        if (json_is_string(j) && is_latin1(text))
            fr_buf_json(b, text);
        return json_is_string(j) && is_latin1(text);
    case FR_DECIMAL:
        return json_is_string(j) && decimal_default(b, a, t, text);
    default:
        return integer_default(b, t, j);
    }
}

static bool is_textual(fr_kind kind)
{
    return kind == FR_TEXT || kind == FR_JSON || kind == FR_UUID;
}

static bool literal_default(fr_buf *b, fr_arena *a, const fr_avro_type *t, fr_str literal)
{
    if (t->kind == FR_DECIMAL && literal.len > 0 && literal.ptr[0] != '"')
        return decimal_default(b, a, t, literal);
    json_t *j = fr_avro_json(literal, NULL);
    bool fits = j != NULL && json_default(b, a, t, j);
    json_decref(j);
    return fits;
}

fr_rc fr_avro_default_write(fr_buf *b, fr_arena *a, const fr_route *route, uint16_t column,
                            const fr_avro_type *t, fr_err *err)
{
    const fr_column *c = &route->table->columns[column];
    const char *asked =
        fr_pairs_get(&route->settings->column_defaults, fr_route_name(route, column));
    size_t before = b->len;
    fr_buf_text(b, ",\"default\":");
    if (t->nullable) {
        fr_buf_text(b, "null");
        return FR_OK;
    }
    if (asked != NULL && is_textual(t->kind)) {
        fr_buf_json(b, fr_cstr(asked));
        return FR_OK;
    }
    if (asked != NULL) {
        if (literal_default(b, a, t, fr_cstr(asked)))
            return FR_OK;
        return fail_type(route, c, "columns.defaults has a value that its Avro type cannot hold",
                         "write true or false, a number, or for dates and times the integer "
                         "that Avro uses (days, microseconds)",
                         err);
    }
    /* A default is a convenience for readers: one that Avro cannot say is none. */
    if (c->fallback.len == 0 || t->cast || !literal_default(b, a, t, c->fallback))
        b->len = before;
    return FR_OK;
}
