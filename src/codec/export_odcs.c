#include "codec/export.h"

#include "codec/avro_parse.h"
#include "codec/avro_read.h"

#include <string.h>

typedef struct writer {
    fr_arena *a;
    const fr_avro_node *key; /* a record; NULL: none */
    const fr_avro_node *path[FR_AVRO_MAX_DEPTH];
    size_t depth;
} writer;

static json_t *property_of(writer *w, const fr_avro_node *type, const json_t *j);

static json_t *text(fr_str s)
{
    return json_stringn(s.ptr == NULL ? "" : s.ptr, s.len);
}

static void set_text(json_t *out, const char *name, fr_str value)
{
    if (value.len > 0)
        json_object_set_new(out, name, text(value));
}

static json_t *custom(const char *name, json_t *value)
{
    return json_pack("{s:s,s:o}", "property", name, "value", value);
}

/* The one branch that is not null, and its JSON; nullable: there was one that is. */
static const fr_avro_node *some_of(const fr_avro_node *n, const json_t **j, bool *nullable)
{
    const fr_avro_node *found = NULL;
    const json_t *found_json = NULL;
    size_t others = 0;
    *j = fr_export_inner(*j);
    *nullable = n->tag == FR_AVRO_NULL;
    for (size_t i = 0; n->tag == FR_AVRO_UNION && i < n->count; i++) {
        if (n->members[i]->tag == FR_AVRO_NULL) {
            *nullable = true;
            continue;
        }
        found = n->members[i];
        found_json = json_array_get(*j, i);
        others++;
    }
    if (others != 1)
        return n;
    *j = fr_export_inner(found_json);
    return found;
}

static const char *logical_of(const fr_avro_node *n)
{
    if (n->tag == FR_AVRO_RECORD || n->tag == FR_AVRO_MAP)
        return "object";
    if (n->tag == FR_AVRO_ARRAY)
        return "array";
    switch (fr_avro_scalar_of(n).kind) {
    case FR_BOOL:
        return "boolean";
    case FR_INT32:
    case FR_INT64:
        return "integer";
    case FR_FLOAT32:
    case FR_FLOAT64:
    case FR_DECIMAL:
        return "number";
    case FR_DATE:
        return "date";
    case FR_TIME:
        return "time";
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return "timestamp";
    default:
        return "string";
    }
}

static json_t *options_of(const fr_avro_node *n)
{
    switch (fr_avro_scalar_of(n).kind) {
    case FR_INT32:
        return json_pack("{s:s}", "format", "i32");
    case FR_INT64:
        return json_pack("{s:s}", "format", "i64");
    case FR_FLOAT32:
        return json_pack("{s:s}", "format", "f32");
    case FR_FLOAT64:
        return json_pack("{s:s}", "format", "f64");
    case FR_UUID:
        return json_pack("{s:s}", "format", "uuid");
    case FR_DATETIME:
        return json_pack("{s:b}", "timezone", 0);
    case FR_TIMESTAMP:
        return json_pack("{s:b}", "timezone", 1);
    default:
        return NULL;
    }
}

/* As a person reads it: "decimal(10,2)", "timestamp-micros", "long". */
static json_t *physical_of(const fr_avro_node *n)
{
    fr_avro_scalar s = fr_avro_scalar_of(n);
    if (s.kind == FR_DECIMAL)
        return json_sprintf("decimal(%d,%d)", s.precision, s.scale);
    if (n->tag == FR_AVRO_RECORD || n->tag == FR_AVRO_ENUM || n->tag == FR_AVRO_FIXED)
        return json_sprintf("%s %.*s", fr_avro_word(n->tag), FR_ARG(n->name));
    bool means = n->logical.len > 0 && s.kind != FR_ABSENT && s.kind != FR_BYTES;
    return means ? text(n->logical) : json_string(fr_avro_word(n->tag));
}

static json_t *enum_rule(writer *w, const fr_avro_node *n)
{
    fr_buf b = {.arena = w->a};
    for (size_t i = 0; i < n->count; i++)
        fr_buf_printf(&b, "%s%.*s", i > 0 ? "|" : "^(", FR_ARG(n->symbols[i]));
    fr_buf_text(&b, ")$");
    return json_pack("{s:o}", "pattern", text(fr_buf_view(&b)));
}

static int key_place(const writer *w, fr_str field)
{
    for (size_t i = 0; w->depth == 1 && w->key != NULL && i < w->key->count; i++)
        if (fr_str_eq(w->key->fields[i].name, field))
            return (int)i + 1;
    return 0;
}

static json_t *properties_of(writer *w, const fr_avro_node *record, const json_t *j);

/* What a type says, into a property or an item; a record that contains itself is named only. */
static void put_type(writer *w, json_t *out, const fr_avro_node *n, const json_t *j)
{
    json_t *options = n->tag == FR_AVRO_ENUM ? enum_rule(w, n) : options_of(n);
    bool inside = false;
    json_object_set_new(out, "logicalType", json_string(logical_of(n)));
    json_object_set_new(out, "physicalType", physical_of(n));
    if (options != NULL)
        json_object_set_new(out, "logicalTypeOptions", options);
    for (size_t i = 0; i < w->depth; i++)
        inside = inside || w->path[i] == n;
    if (n->tag == FR_AVRO_RECORD && !inside && json_is_object(j))
        json_object_set_new(out, "properties", properties_of(w, n, j));
    if (n->tag == FR_AVRO_ARRAY) {
        bool nullable;
        const json_t *of = json_object_get(j, "items");
        json_t *item = json_object();
        const fr_avro_node *some = some_of(n->members[0], &of, &nullable);
        put_type(w, item, some, of);
        json_object_set_new(out, "items", item);
    }
}

static json_t *property_of(writer *w, const fr_avro_node *type, const json_t *j)
{
    const json_t *def = json_object_get(j, "type");
    const char *name = fr_json_str(j, "name", "");
    bool nullable;
    int place = key_place(w, fr_cstr(name));
    const fr_avro_node *some = some_of(type, &def, &nullable);
    json_t *out = json_pack("{s:s}", "name", name);
    put_type(w, out, some, def);
    json_object_set_new(out, "required", json_boolean(!nullable));
    set_text(out, "description", fr_cstr(fr_json_str(j, "doc", "")));
    if (place > 0) {
        json_object_set_new(out, "primaryKey", json_true());
        json_object_set_new(out, "primaryKeyPosition", json_integer(place));
    }
    if (json_is_true(json_object_get(j, "freshet.pii")))
        json_object_set_new(out, "classification", json_string("pii"));
    json_t *mask = json_object_get(j, "freshet.mask");
    if (json_is_string(mask))
        json_object_set_new(out, "customProperties",
                            json_pack("[o]", custom("freshet.mask", json_incref(mask))));
    return out;
}

static json_t *properties_of(writer *w, const fr_avro_node *record, const json_t *j)
{
    json_t *list = json_array();
    if (w->depth == FR_AVRO_MAX_DEPTH)
        return list;
    w->path[w->depth++] = record;
    for (size_t i = 0; i < record->count; i++)
        json_array_append_new(list, property_of(w, record->fields[i].type,
                                                json_array_get(json_object_get(j, "fields"), i)));
    w->depth--;
    return list;
}

static void put_people(json_t *out, const json_t *row)
{
    const char *owner = fr_json_str(row, "freshet.owner", "");
    json_t *tags = json_object_get(row, "freshet.tags");
    if (json_is_array(tags))
        json_object_set(out, "tags", tags);
    if (*owner != 0)
        json_object_set_new(out, "team", json_pack("{s:s}", "name", owner));
}

static json_t *contract(writer *w, const fr_odcs *of, const fr_avro_node *row, const json_t *j)
{
    const char *doc = fr_json_str(j, "doc", ""), *old = fr_json_str(j, "freshet.deprecated", "");
    json_t *out =
        json_pack("{s:s,s:s,s:o,s:o,s:o,s:s}", "apiVersion", "v3.1.0", "kind", "DataContract", "id",
                  json_sprintf("urn:freshet:%.*s:%.*s", FR_ARG(of->pipeline), FR_ARG(of->topic)),
                  "name", text(of->topic), "version", text(of->version), "status",
                  *old == 0 ? "active" : "deprecated");
    json_t *object = json_pack("{s:o,s:o,s:s,s:s}", "name", text(of->topic), "physicalName",
                               text(of->topic), "physicalType", "topic", "logicalType", "object");
    json_t *more = json_array();
    if (*doc != 0) {
        json_object_set_new(out, "description", json_pack("{s:s}", "purpose", doc));
        json_object_set_new(object, "description", json_string(doc));
    }
    put_people(out, j);
    if (of->brokers.len > 0)
        json_object_set_new(out, "servers",
                            json_pack("[{s:s,s:s,s:o,s:s}]", "server", "kafka", "type", "kafka",
                                      "host", text(of->brokers), "format", "avro"));
    json_object_set_new(object, "properties", properties_of(w, row, j));
    json_object_set_new(out, "schema", json_pack("[o]", object));
    json_array_append_new(more, custom("avro.record", text(row->name)));
    if (*old != 0)
        json_array_append_new(more, custom("freshet.deprecated", json_string(old)));
    for (size_t i = 0; i < of->count; i++)
        json_array_append_new(more, custom(fr_arena_cstr(w->a, of->names[i]), text(of->values[i])));
    json_object_set_new(out, "customProperties", more);
    return out;
}

fr_rc fr_export_odcs(const fr_odcs *of, json_t **out, fr_err *err)
{
    writer w = {.a = fr_arena_new(0)};
    const fr_avro_node *row = NULL;
    json_t *j = NULL;
    fr_rc rc = fr_avro_parse(w.a, of->row, &row, err);
    if (rc == FR_OK && row->tag != FR_AVRO_RECORD) {
        rc = fr_fail(err, FR_ERR_DATA, "Avro schema: not that of a record");
        fr_fail_code(err, "avro.schema");
    }
    if (rc == FR_OK && of->key.len > 0)
        rc = fr_avro_parse(w.a, of->key, &w.key, err);
    if (rc == FR_OK && (j = fr_avro_json(of->row, err)) == NULL)
        rc = FR_FAIL;
    if (w.key != NULL && w.key->tag != FR_AVRO_RECORD)
        w.key = NULL;
    if (rc == FR_OK)
        *out = contract(&w, of, row, j);
    json_decref(j);
    fr_arena_free(w.a);
    return rc;
}
