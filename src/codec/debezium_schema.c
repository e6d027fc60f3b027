#include "base/map.h"
#include "codec/avro_parse.h"
#include "codec/avro_type.h"
#include "codec/compat.h"
#include "codec/debezium.h"
#include "codec/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is written here has its members as the Confluent converter has them; the registry gets its
 * canonical text (canonical.c), as of all schemas. */

typedef struct writer {
    fr_buf *b;
    fr_arena *a;
    bool variable, point; /* these records are defined by now */
} writer;

/* ---- a type ---- */

/* The shortest text that reads back as the same float. */
static void put_real(fr_buf *b, const fr_value *v)
{
    char text[40];
    if (v->kind != FR_FLOAT32) {
        fr_avro_real_json(b, v->real);
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v->real);
        if (strtof(text, NULL) == (float)v->real)
            break;
    }
    fr_buf_text(b, text);
    if (strpbrk(text, ".e") == NULL)
        fr_buf_text(b, ".0");
}

static void put_default(fr_buf *b, const fr_value *v)
{
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_text(b, v->boolean ? "true" : "false");
        return;
    case FR_FLOAT32:
    case FR_FLOAT64:
        put_real(b, v);
        return;
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        fr_buf_json(b, v->bytes);
        return;
    case FR_BYTES:
    case FR_DECIMAL:
        fr_avro_bytes_json(b, v->bytes);
        return;
    default:
        fr_buf_printf(b, "%lld", (long long)v->integer);
    }
}

#define RECORD(name, space, fields, doc)                                                           \
    "{\"type\":\"record\",\"name\":\"" name "\",\"namespace\":\"" space "\",\"fields\":[" fields   \
    "],\"connect.doc\":\"" doc "\",\"connect.version\":1,\"connect.name\":\"" space "." name "\"}"

static void put_record(writer *w, const fr_dbz_type *t)
{
    bool *known = t->form == FR_DBZ_POINT ? &w->point : &w->variable;
    if (*known) {
        fr_buf_json(w->b, fr_cstr(t->name));
        return;
    }
    *known = true;
    if (t->form == FR_DBZ_POINT)
        fr_buf_text(w->b,
                    RECORD("Point", "io.debezium.data.geometry",
                           "{\"name\":\"x\",\"type\":\"double\"},"
                           "{\"name\":\"y\",\"type\":\"double\"},"
                           "{\"name\":\"wkb\",\"type\":[\"null\",\"bytes\"],\"default\":null},"
                           "{\"name\":\"srid\",\"type\":[\"null\",\"int\"],\"default\":null}",
                           "Geometry (POINT)"));
    else
        fr_buf_text(w->b, RECORD("VariableScaleDecimal", "io.debezium.data",
                                 "{\"name\":\"scale\",\"type\":\"int\"},"
                                 "{\"name\":\"value\",\"type\":\"bytes\"}",
                                 "Variable scaled decimal"));
}

static void put_parameters(fr_buf *b, const fr_dbz_type *t)
{
    if (t->labels.len > 0) {
        fr_buf_text(b, ",\"connect.parameters\":{\"allowed\":");
        fr_buf_json(b, t->labels);
        fr_buf_text(b, "}");
    } else if (t->length > 0) {
        fr_buf_printf(b, ",\"connect.parameters\":{\"length\":\"%d\"}", (int)t->length);
    } else if (t->kind == FR_DECIMAL) {
        fr_buf_printf(b, ",\"connect.parameters\":{\"scale\":\"%d\"", t->scale);
        if (t->precision > 0)
            fr_buf_printf(b, ",\"connect.decimal.precision\":\"%d\"", t->precision);
        fr_buf_text(b, "}");
    }
}

enum { UNKNOWN_PRECISION = 64 };

static void put_type(writer *w, const fr_dbz_type *t, const fr_value *fallback)
{
    fr_buf *b = w->b;
    if (t->form == FR_DBZ_POINT || t->form == FR_DBZ_VARIABLE) {
        put_record(w, t);
        return;
    }
    if (t->form == FR_DBZ_ARRAY) {
        fr_buf_text(b, t->whole ? "{\"type\":\"array\",\"items\":"
                                : "{\"type\":\"array\",\"items\":[\"null\",");
        put_type(w, t->items, NULL);
        fr_buf_text(b, t->whole ? "}" : "]}");
        return;
    }
    if (t->name == NULL && !t->small && fallback == NULL) {
        fr_buf_json(b, fr_cstr(t->avro));
        return;
    }
    fr_buf_printf(b, "{\"type\":\"%s\"", t->avro);
    if (t->kind == FR_DECIMAL)
        fr_buf_printf(b, ",\"scale\":%d,\"precision\":%d,\"logicalType\":\"decimal\"", t->scale,
                      t->precision > 0 ? t->precision : UNKNOWN_PRECISION);
    if (t->name != NULL)
        fr_buf_text(b, ",\"connect.version\":1");
    put_parameters(b, t);
    if (fallback != NULL) {
        fr_buf_text(b, ",\"connect.default\":");
        put_default(b, fallback);
    }
    if (t->small)
        fr_buf_text(b, ",\"connect.type\":\"int16\"");
    if (t->name != NULL)
        fr_buf_printf(b, ",\"connect.name\":\"%s\"", t->name);
    fr_buf_text(b, "}");
}

/* ---- fields ---- */

static fr_rc put_field(writer *w, const fr_route *route, uint16_t column, fr_err *err)
{
    const fr_column *c = &route->table->columns[column];
    const fr_dbz_type *t;
    fr_value fallback;
    fr_buf *b = w->b;
    FR_TRY(fr_dbz_type_of(w->a, route, column, &t, err));
    bool has_default = fr_dbz_default(w->a, c, t, &fallback);
    fr_buf_text(b, "{\"name\":");
    fr_buf_json(b, fr_debezium_name(w->a, c->name, false));
    fr_buf_text(b, ",\"type\":");
    if (c->nullable)
        fr_buf_text(b, has_default ? "[" : "[\"null\",");
    put_type(w, t, has_default ? &fallback : NULL);
    if (c->nullable)
        fr_buf_text(b, has_default ? ",\"null\"]" : "]");
    if (has_default || c->nullable)
        fr_buf_text(b, ",\"default\":");
    if (has_default)
        put_default(b, &fallback);
    else if (c->nullable)
        fr_buf_text(b, "null");
    fr_buf_text(b, "}");
    return FR_OK;
}

static fr_rc fail_names(const fr_route *route, fr_str name, fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_CONFIG,
            "table %.*s.%.*s: two columns would be called %.*s in envelope debezium",
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(name));
    fr_fail_code(err, "config.debezium_name");
    return fr_fail_hint(err, "give one of them another name: columns.rename; or leave it out: "
                             "columns.exclude");
}

static fr_rc put_fields(writer *w, const fr_route *route, const uint16_t *columns, size_t count,
                        fr_err *err)
{
    fr_map *names = fr_map_new();
    fr_rc rc = FR_OK;
    for (size_t i = 0; rc == FR_OK && i < count; i++) {
        fr_str name = fr_debezium_name(w->a, route->table->columns[columns[i]].name, false);
        if (i > 0)
            fr_buf_text(w->b, ",");
        rc = fr_map_set(names, name, names) != NULL ? fail_names(route, name, err)
                                                    : put_field(w, route, columns[i], err);
    }
    fr_map_free(names, NULL);
    return rc;
}

static void put_head(fr_buf *b, const char *name, fr_str space)
{
    fr_buf_printf(b, "{\"type\":\"record\",\"name\":\"%s\",\"namespace\":", name);
    fr_buf_json(b, space);
    fr_buf_text(b, ",\"fields\":[");
}

static void put_end(fr_buf *b, const char *name, fr_str space)
{
    fr_buf_printf(b, "],\"connect.name\":\"%.*s.%s\"}", FR_ARG(space), name);
}

fr_rc fr_dbz_schema_key(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    writer w = {.b = &b, .a = a};
    put_head(&b, "Key", route->schema_name);
    FR_TRY(put_fields(&w, route, route->key, route->key_count, err));
    put_end(&b, "Key", route->schema_name);
    return fr_avro_canonical(a, fr_buf_view(&b), out, err);
}

bool fr_dbz_same_key(fr_arena *a, fr_str schema, fr_str other)
{
    const fr_shape *x, *y;
    fr_err ignored;
    if (fr_shape_parse(a, schema, &x, &ignored) == FR_FAIL ||
        fr_shape_parse(a, other, &y, &ignored) == FR_FAIL || x->kind != FR_SHAPE_RECORD ||
        y->kind != FR_SHAPE_RECORD || !fr_str_eq(x->name, y->name) ||
        x->field_count != y->field_count)
        return false;
    for (size_t i = 0; i < x->field_count; i++)
        if (!fr_str_eq(x->fields[i].name, y->fields[i].name) ||
            !fr_str_eq(fr_shape_text(a, x->fields[i].type), fr_shape_text(a, y->fields[i].type)))
            return false;
    return true;
}

fr_rc fr_dbz_check_keyless(fr_registry *registry, fr_arena *a, const char *subject, fr_err *err)
{
    int version;
    int32_t id;
    fr_str text;
    fr_rc rc = fr_registry_latest(registry, a, subject, &version, &id, &text, err);
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : rc;
    fr_fail(err, FR_ERR_SCHEMA,
            "subject %s: the topic's messages have a key (version %d), the table has none", subject,
            version);
    fr_fail_code(err, "schema.key_changed");
    return fr_fail_hint(err, "name the columns of its unique index, which Debezium takes for the "
                             "key: key; or set another topic for the table");
}

/* ---- the envelope ---- */

#define OPTIONAL(name, type)                                                                       \
    ",{\"name\":\"" name "\",\"type\":[\"null\"," type "],\"default\":null}"
#define REQUIRED(name, type) ",{\"name\":\"" name "\",\"type\":" type "}"

static const char snapshot[] =
    ",{\"name\":\"snapshot\",\"type\":[{\"type\":\"string\",\"connect.version\":1,"
    "\"connect.parameters\":{\"allowed\":\"true,first,first_in_data_collection,"
    "last_in_data_collection,last,false,incremental\"},\"connect.default\":\"false\","
    "\"connect.name\":\"io.debezium.data.Enum\"},\"null\"],\"default\":\"false\"}";

static void put_source(fr_buf *b)
{
    put_head(b, "Source", FR_STR("io.debezium.connector.postgresql"));
    fr_buf_text(b, "{\"name\":\"version\",\"type\":\"string\"}" REQUIRED("connector", "\"string\"")
                       REQUIRED("name", "\"string\"") REQUIRED("ts_ms", "\"long\""));
    fr_buf_text(b, snapshot);
    fr_buf_text(b, REQUIRED("db", "\"string\"") OPTIONAL("sequence", "\"string\"")
                       OPTIONAL("ts_us", "\"long\"") OPTIONAL("ts_ns", "\"long\"")
                           REQUIRED("schema", "\"string\"") REQUIRED("table", "\"string\""));
    fr_buf_text(b, OPTIONAL("txId", "\"long\"") OPTIONAL("lsn", "\"long\"")
                       OPTIONAL("xmin", "\"long\"") OPTIONAL("origin", "\"string\"")
                           OPTIONAL("origin_lsn", "\"long\""));
    fr_buf_text(b, "],\"connect.version\":1,"
                   "\"connect.name\":\"io.debezium.connector.postgresql.Source\"}");
}

#define BLOCK                                                                                      \
    "{\"type\":\"record\",\"name\":\"block\",\"namespace\":\"event\",\"fields\":["                 \
    "{\"name\":\"id\",\"type\":\"string\"}" REQUIRED("total_order", "\"long\"")                    \
        REQUIRED("data_collection_order",                                                          \
                 "\"long\"") "],\"connect.version\":1,\"connect.name\":\"event.block\"}"

fr_rc fr_dbz_schema_value(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    writer w = {.b = &b, .a = a};
    fr_str space = route->schema_name;
    put_head(&b, "Envelope", space);
    fr_buf_text(&b, "{\"name\":\"before\",\"type\":[\"null\",");
    put_head(&b, "Value", space);
    FR_TRY(put_fields(&w, route, route->fields, route->field_count, err));
    put_end(&b, "Value", space);
    fr_buf_text(&b, "],\"default\":null}" OPTIONAL("after", "\"Value\"") ",{\"name\":\"source\","
                                                                         "\"type\":");
    put_source(&b);
    fr_buf_text(&b, "}" OPTIONAL("transaction", BLOCK) REQUIRED("op", "\"string\"")
                        OPTIONAL("ts_ms", "\"long\"") OPTIONAL("ts_us", "\"long\"")
                            OPTIONAL("ts_ns", "\"long\""));
    fr_buf_printf(&b, "],\"connect.version\":2,\"connect.name\":\"%.*s.Envelope\"}", FR_ARG(space));
    return fr_avro_canonical(a, fr_buf_view(&b), out, err);
}

#define COMMON "io.debezium.connector.common"

fr_rc fr_dbz_schema_transaction(fr_arena *a, fr_str *key_out, fr_str *value_out, fr_err *err)
{
    static const char key[] =
        "{\"type\":\"record\",\"name\":\"TransactionMetadataKey\",\"namespace\":\"" COMMON
        "\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}],\"connect.version\":1,"
        "\"connect.name\":\"" COMMON ".TransactionMetadataKey\"}";
    static const char value[] =
        "{\"type\":\"record\",\"name\":\"TransactionMetadataValue\",\"namespace\":\"" COMMON
        "\",\"fields\":[{\"name\":\"status\",\"type\":\"string\"}" REQUIRED("id", "\"string\"")
            OPTIONAL("event_count", "\"long\"") OPTIONAL(
                "data_collections",
                "{\"type\":\"array\",\"items\":[\"null\",{\"type\":\"record\","
                "\"name\":\"collection\",\"namespace\":\"event\",\"fields\":["
                "{\"name\":\"data_collection\",\"type\":\"string\"}" REQUIRED(
                    "event_count", "\"long\"") "],\"connect.version\":1,"
                                               "\"connect.name\":\"event.collection\"}]}")
                REQUIRED("ts_ms", "\"long\"") "],\"connect.version\":1,\"connect.name\":\"" COMMON
                                              ".TransactionMetadataValue\"}";
    FR_TRY(fr_avro_canonical(a, fr_cstr(key), key_out, err));
    return fr_avro_canonical(a, fr_cstr(value), value_out, err);
}
