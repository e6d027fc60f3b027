#include "base/bytes.h"
#include "base/map.h"
#include "codec/avro_parse.h"
#include "codec/avro_type.h"
#include "codec/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The canonical text: no spaces; members of an object in the order below, those that are not
 * in it by name; definitions with "namespace" where they have one, uses by full name;
 * {"type":"int"} alone as "int"; numbers in defaults as their type has them. Docs, defaults
 * and properties stay: they are what a schema says to people. */

static const char *const schema_order[] = {
    "type",   "name", "namespace",   "aliases",   "doc",   "fields",  "symbols", "items",
    "values", "size", "logicalType", "precision", "scale", "default", "order"};
static const char *const field_order[] = {"name", "type", "default", "doc", "order", "aliases"};

typedef struct writer {
    fr_buf *b;
    fr_arena *arena;
    fr_map *names; /* defined so far */
} writer;

static void put_schema(writer *w, const json_t *j, fr_str space);

static void put_json(writer *w, const json_t *j);

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the members in byte order. */
static const char **sorted_keys(writer *w, const json_t *j, size_t *count)
{
    const char **keys = fr_arena_alloc(w->arena, (json_object_size(j) + 1) * sizeof *keys);
    const char *key;
    json_t *value;
    *count = 0;
    json_object_foreach((json_t *)j, key, value) keys[(*count)++] = key;
    qsort(keys, *count, sizeof *keys, compare_keys);
    return keys;
}

static void put_object(writer *w, const json_t *j)
{
    size_t count;
    const char **keys = sorted_keys(w, j, &count);
    fr_buf_u8(w->b, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fr_buf_u8(w->b, ',');
        fr_buf_json(w->b, fr_cstr(keys[i]));
        fr_buf_u8(w->b, ':');
        put_json(w, json_object_get(j, keys[i]));
    }
    fr_buf_u8(w->b, '}');
}

static void put_json(writer *w, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        put_object(w, j);
        return;
    case JSON_ARRAY:
        fr_buf_u8(w->b, '[');
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i > 0)
                fr_buf_u8(w->b, ',');
            put_json(w, json_array_get(j, i));
        }
        fr_buf_u8(w->b, ']');
        return;
    case JSON_STRING:
        fr_buf_json(w->b, (fr_str){json_string_value(j), json_string_length(j)});
        return;
    case JSON_INTEGER:
        fr_buf_printf(w->b, "%lld", (long long)json_integer_value(j));
        return;
    case JSON_REAL:
        fr_avro_real_json(w->b, json_real_value(j));
        return;
    default:
        fr_buf_text(w->b, json_is_null(j) ? "null" : json_is_true(j) ? "true" : "false");
    }
}

/* The word of a primitive type under unions (a default is of the first branch). */
static const char *first_word(const json_t *type)
{
    while (json_is_array(type) || json_is_object(type))
        type = json_is_array(type) ? json_array_get(type, 0) : json_object_get(type, "type");
    return json_is_string(type) ? json_string_value(type) : "";
}

/* 0 as the default of a double is written 0.0, and 0.0 of a long 0: registries differ. */
static void put_default(writer *w, const json_t *j, const json_t *type)
{
    const char *word = first_word(type);
    if (json_is_integer(j) && (strcmp(word, "double") == 0 || strcmp(word, "float") == 0)) {
        fr_avro_real_json(w->b, (double)json_integer_value(j));
        return;
    }
    bool whole = json_is_real(j) && fabs(json_real_value(j)) < 9e15 &&
                 floor(json_real_value(j)) == json_real_value(j);
    if (whole && (strcmp(word, "int") == 0 || strcmp(word, "long") == 0)) {
        fr_buf_printf(w->b, "%lld", (long long)json_real_value(j));
        return;
    }
    put_json(w, j);
}

static void put_fields(writer *w, const json_t *list, fr_str space);

static void put_member(writer *w, const char *key, const json_t *v, const json_t *owner,
                       fr_str space, bool is_field)
{
    /* Of another type, these are properties like any other: the parser did not look in. */
    int tag = is_field ? -1 : fr_avro_tag_of(fr_json_str(owner, "type", ""));
    if (is_field && strcmp(key, "type") == 0)
        put_schema(w, v, space);
    else if (is_field && strcmp(key, "default") == 0)
        put_default(w, v, json_object_get(owner, "type"));
    else if (!is_field && strcmp(key, "fields") == 0 && tag == FR_AVRO_RECORD)
        put_fields(w, v, space);
    else if (!is_field && strcmp(key, "items") == 0 && tag == FR_AVRO_ARRAY)
        put_schema(w, v, space);
    else if (!is_field && strcmp(key, "values") == 0 && tag == FR_AVRO_MAP)
        put_schema(w, v, space);
    else
        put_json(w, v);
}

static bool in_list(const char *key, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(key, list[i]) == 0)
            return true;
    }
    return false;
}

/* Which members are written already: of a schema "type", of a definition its names too. Elsewhere
 * a name is a property like any other. */
typedef enum members { OF_FIELD, OF_SCHEMA, OF_DEFINITION } members;

static bool is_written(const char *key, members of)
{
    return (of != OF_FIELD && strcmp(key, "type") == 0) ||
           (of == OF_DEFINITION && (strcmp(key, "name") == 0 || strcmp(key, "namespace") == 0));
}

static void put_members(writer *w, const json_t *j, fr_str space, members of, bool first)
{
    bool is_field = of == OF_FIELD;
    const char *const *order = is_field ? field_order : schema_order;
    size_t known = is_field ? sizeof field_order / sizeof *field_order
                            : sizeof schema_order / sizeof *schema_order;
    size_t count;
    const char **keys = sorted_keys(w, j, &count);
    for (size_t i = 0; i < known + count; i++) {
        const char *key = i < known ? order[i] : keys[i - known];
        const json_t *v = json_object_get(j, key);
        if (v == NULL || (i >= known && in_list(key, order, known)))
            continue;
        if (is_written(key, of))
            continue;
        if (!first)
            fr_buf_u8(w->b, ',');
        first = false;
        fr_buf_json(w->b, fr_cstr(key));
        fr_buf_u8(w->b, ':');
        put_member(w, key, v, j, space, is_field);
    }
}

static void put_fields(writer *w, const json_t *list, fr_str space)
{
    fr_buf_u8(w->b, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        fr_buf_text(w->b, i > 0 ? ",{" : "{");
        put_members(w, json_array_get(list, i), space, OF_FIELD, true);
        fr_buf_u8(w->b, '}');
    }
    fr_buf_u8(w->b, ']');
}

static void put_word(writer *w, const char *word, fr_str space)
{
    int tag = fr_avro_tag_of(word);
    fr_str inner, full = fr_cstr(word);
    if (tag < 0)
        full = fr_avro_full_name(w->arena, word, NULL, space, &inner);
    if (tag < 0 && fr_map_get(w->names, full) == NULL)
        full = fr_cstr(word); /* the parser found it so */
    fr_buf_json(w->b, full);
}

static void put_named(writer *w, const json_t *j, fr_str space)
{
    fr_str inner;
    fr_str full = fr_avro_full_name(w->arena, fr_json_str(j, "name", ""),
                                    fr_json_str(j, "namespace", NULL), space, &inner);
    fr_str last = full;
    fr_map_set(w->names, full, w);
    if (inner.len > 0)
        last = (fr_str){full.ptr + inner.len + 1, full.len - inner.len - 1};
    fr_buf_text(w->b, ",\"name\":");
    fr_buf_json(w->b, last);
    /* Without a namespace of its own inside one that has: it must be said. */
    if (inner.len > 0 || space.len > 0) {
        fr_buf_text(w->b, ",\"namespace\":");
        fr_buf_json(w->b, inner);
    }
    put_members(w, j, inner, OF_DEFINITION, false);
}

static void put_schema(writer *w, const json_t *j, fr_str space)
{
    if (json_is_string(j)) {
        put_word(w, json_string_value(j), space);
        return;
    }
    if (json_is_array(j)) {
        fr_buf_u8(w->b, '[');
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i > 0)
                fr_buf_u8(w->b, ',');
            put_schema(w, json_array_get(j, i), space);
        }
        fr_buf_u8(w->b, ']');
        return;
    }
    const json_t *type = json_object_get(j, "type");
    int tag = json_is_string(type) ? fr_avro_tag_of(json_string_value(type)) : -1;
    if (json_object_size(j) == 1 || !json_is_string(type)) {
        put_schema(w, type, space);
        return;
    }
    fr_buf_text(w->b, "{\"type\":");
    put_word(w, json_string_value(type), space);
    if (tag >= FR_AVRO_RECORD && tag <= FR_AVRO_FIXED)
        put_named(w, j, space);
    else
        put_members(w, j, space, OF_SCHEMA, false);
    fr_buf_u8(w->b, '}');
}

fr_rc fr_avro_canonical(fr_arena *a, fr_str schema, fr_str *out, fr_err *err)
{
    /* The parser has checked the shape before the writer walks it, depth too. */
    const fr_avro_node *node;
    FR_TRY(fr_avro_parse(a, schema, &node, err));
    json_t *j = fr_avro_json(schema, err);
    if (j == NULL)
        return FR_FAIL;
    fr_buf b = {.arena = a};
    writer w = {.b = &b, .arena = a, .names = fr_map_new()};
    put_schema(&w, j, FR_STR(""));
    fr_map_free(w.names, NULL);
    json_decref(j);
    *out = fr_buf_view(&b);
    return FR_OK;
}
