#include "codec/export.h"

#include "codec/avro_parse.h"
#include "codec/avro_read.h"

#include <string.h>

typedef struct writer {
    fr_arena *a;
    json_t *defs;
} writer;

static json_t *schema_of(writer *w, const fr_avro_node *n, const json_t *j);

const json_t *fr_export_inner(const json_t *j)
{
    while (json_is_object(j) && !json_is_string(json_object_get(j, "type")))
        j = json_object_get(j, "type");
    return j;
}

static const char *cstr(writer *w, fr_str s)
{
    return fr_arena_cstr(w->a, s);
}

static json_t *text_type(const char *format, const char *pattern)
{
    json_t *out = json_pack("{s:s}", "type", "string");
    if (format != NULL)
        json_object_set_new(out, "format", json_string(format));
    if (pattern != NULL)
        json_object_set_new(out, "pattern", json_string(pattern));
    return out;
}

static json_t *whole_type(json_int_t least, json_int_t most)
{
    return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", least, "maximum", most);
}

/* What JSON has no number for is a text. */
static json_t *real_type(void)
{
    return json_pack("{s:[{s:s},{s:[s,s,s]}]}", "anyOf", "type", "number", "enum", "NaN",
                     "Infinity", "-Infinity");
}

static json_t *bytes_type(writer *w, const fr_avro_node *n)
{
    fr_str pattern = FR_STR("^([0-9a-f]{2})*$");
    if (n->tag == FR_AVRO_FIXED)
        pattern = fr_arena_printf(w->a, "^[0-9a-f]{%zu}$", 2 * n->size);
    return json_pack("{s:s,s:[s],s:{s:o}}", "type", "object", "required", "$bytes", "properties",
                     "$bytes", text_type(NULL, cstr(w, pattern)));
}

static json_t *decimal_type(writer *w, int precision, int scale)
{
    fr_buf b = {.arena = w->a};
    fr_buf_text(&b, "^-?(0");
    if (precision > scale)
        fr_buf_printf(&b, "|[1-9][0-9]{0,%d}", precision - scale - 1);
    fr_buf_text(&b, ")");
    if (scale > 0)
        fr_buf_printf(&b, "\\.[0-9]{%d}", scale);
    fr_buf_text(&b, "$");
    return text_type(NULL, cstr(w, fr_buf_view(&b)));
}

#define DATE "-?[0-9]{4,}-[0-9]{2}-[0-9]{2}"
#define TIME "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?"

static json_t *scalar_type(writer *w, const fr_avro_node *n)
{
    fr_avro_scalar s = fr_avro_scalar_of(n);
    switch (s.kind) {
    case FR_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case FR_INT32:
        return whole_type(INT32_MIN, INT32_MAX);
    case FR_INT64:
        return whole_type(INT64_MIN, INT64_MAX);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real_type();
    case FR_DECIMAL:
        return decimal_type(w, s.precision, s.scale);
    case FR_BYTES:
        return bytes_type(w, n);
    case FR_DATE:
        return text_type("date", "^" DATE "$");
    case FR_TIME: /* of a span: signed, and of any length */
        return text_type(NULL, "^-?[0-9]{2,}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?$");
    case FR_DATETIME:
        return text_type(NULL, "^" DATE "T" TIME "$");
    case FR_TIMESTAMP:
        return text_type("date-time", "^" DATE "T" TIME "Z$");
    case FR_UUID:
        return text_type("uuid", NULL);
    case FR_JSON:
        return json_pack("{s:s,s:s}", "type", "string", "contentMediaType", "application/json");
    default:
        return json_pack("{s:s}", "type", "string");
    }
}

/* "doc" and our own properties; others are their writer's business. */
static void put_words(json_t *out, const json_t *j)
{
    const char *name, *doc = fr_json_str(j, "doc", "");
    json_t *value;
    if (*doc != 0)
        json_object_set_new(out, "description", json_string(doc));
    json_object_foreach((json_t *)(uintptr_t)j, name, value)
    {
        if (strncmp(name, "freshet.", 8) == 0)
            json_object_set(out, name, value);
    }
}

/* The default as values are shown, where that is how Avro has it too. */
static void put_default(json_t *out, const fr_avro_node *n, const json_t *j)
{
    const json_t *fallback = json_object_get(j, "default");
    if (n->tag == FR_AVRO_UNION)
        n = n->members[0];
    fr_kind kind = fr_avro_scalar_of(n).kind;
    bool same = kind == FR_BOOL || kind == FR_INT32 || kind == FR_INT64 || kind == FR_FLOAT32 ||
                kind == FR_FLOAT64 || kind == FR_TEXT || kind == FR_JSON || kind == FR_UUID;
    bool empty = json_is_array(fallback) && json_array_size(fallback) == 0;
    if (fallback != NULL && (same || empty || n->tag == FR_AVRO_NULL))
        json_object_set(out, "default", (json_t *)(uintptr_t)fallback);
}

static json_t *record_type(writer *w, const fr_avro_node *n, const json_t *j)
{
    json_t *properties = json_object(), *required = json_array();
    const json_t *list = json_object_get(j, "fields");
    for (size_t i = 0; i < n->count; i++) {
        const json_t *f = json_array_get(list, i);
        const char *name = cstr(w, n->fields[i].name);
        json_t *type = schema_of(w, n->fields[i].type, json_object_get(f, "type"));
        put_words(type, f);
        put_default(type, n->fields[i].type, f);
        json_object_set_new(properties, name, type);
        json_array_append_new(required, json_string(name));
    }
    return json_pack("{s:s,s:o,s:o}", "type", "object", "properties", properties, "required",
                     required);
}

static json_t *enum_type(const fr_avro_node *n)
{
    json_t *symbols = json_array();
    for (size_t i = 0; i < n->count; i++)
        json_array_append_new(symbols, json_stringn(n->symbols[i].ptr, n->symbols[i].len));
    return json_pack("{s:o}", "enum", symbols);
}

/* Defined where it is met first; a use is a reference. */
static json_t *named_type(writer *w, const fr_avro_node *n, const json_t *j)
{
    const char *name = cstr(w, n->name);
    if (json_object_get(w->defs, name) == NULL) {
        json_t *def = json_object();
        json_object_set_new(w->defs, name, def);
        json_t *type = n->tag == FR_AVRO_RECORD ? record_type(w, n, j)
                       : n->tag == FR_AVRO_ENUM ? enum_type(n)
                                                : scalar_type(w, n);
        json_object_set_new(def, "title", json_string(name));
        put_words(def, j);
        json_object_update(def, type);
        json_decref(type);
    }
    return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name));
}

static json_t *union_type(writer *w, const fr_avro_node *n, const json_t *j)
{
    json_t *any = json_array();
    for (size_t i = 0; i < n->count; i++)
        json_array_append_new(any, schema_of(w, n->members[i], json_array_get(j, i)));
    return json_pack("{s:o}", "anyOf", any);
}

static json_t *schema_of(writer *w, const fr_avro_node *n, const json_t *j)
{
    j = fr_export_inner(j);
    switch (n->tag) {
    case FR_AVRO_NULL:
        return json_pack("{s:s}", "type", "null");
    case FR_AVRO_UNION:
        return union_type(w, n, j);
    case FR_AVRO_RECORD:
    case FR_AVRO_ENUM:
    case FR_AVRO_FIXED:
        return named_type(w, n, j);
    case FR_AVRO_ARRAY:
        return json_pack("{s:s,s:o}", "type", "array", "items",
                         schema_of(w, n->members[0], json_object_get(j, "items")));
    case FR_AVRO_MAP:
        return json_pack("{s:s,s:o}", "type", "object", "additionalProperties",
                         schema_of(w, n->members[0], json_object_get(j, "values")));
    default:
        return scalar_type(w, n);
    }
}

fr_rc fr_export_jsonschema(fr_str schema, json_t **out, fr_err *err)
{
    writer w = {.a = fr_arena_new(0), .defs = json_object()};
    const fr_avro_node *n;
    json_t *j = NULL;
    fr_rc rc = fr_avro_parse(w.a, schema, &n, err);
    if (rc == FR_OK && (j = fr_avro_json(schema, err)) == NULL)
        rc = FR_FAIL;
    if (rc == FR_OK) {
        json_t *type = schema_of(&w, n, j);
        *out = json_pack("{s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema");
        json_object_update(*out, type);
        if (json_object_size(w.defs) > 0)
            json_object_set(*out, "$defs", w.defs);
        json_decref(type);
    }
    json_decref(j);
    json_decref(w.defs);
    fr_arena_free(w.a);
    return rc;
}
