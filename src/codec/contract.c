#include "codec/contract.h"
#include "codec/registry.h"

#include <string.h>

/* A contract's text, read: which fields there are, and what may stand in them. */

typedef struct reading {
    fr_arena *a;
    const fr_contract *c;
    fr_contract_record *r;
    fr_err *err;
} reading;

/* FR_FAIL. field: empty for the file as a whole. */
static fr_rc refuse(const reading *g, const char *code, fr_str field, const char *what,
                    const char *hint)
{
    fr_fail(g->err, FR_ERR_CONFIG, "contract %s%s%.*s: %s", g->c->path,
            field.len > 0 ? ", field " : "", FR_ARG(field), what);
    fr_fail_code(g->err, code);
    return fr_fail_hint(g->err, "%s", hint);
}

/* ---- types ---- */

static fr_pin_type bytes_type(const fr_avro_node *n)
{
    bool fixed = n->tag == FR_AVRO_FIXED;
    if (n->logical.len == 0)
        return fixed ? FR_PIN_FIXED : FR_PIN_BYTES;
    if (fr_str_is(n->logical, "decimal") && n->precision > 0 && n->precision <= 1000 &&
        n->scale >= 0 && n->scale <= n->precision)
        return fixed ? FR_PIN_FIXED_DECIMAL : FR_PIN_DECIMAL;
    return FR_PIN_TYPES;
}

static fr_pin_type string_type(const fr_avro_node *n)
{
    if (n->logical.len > 0)
        return fr_str_is(n->logical, "uuid") ? FR_PIN_UUID : FR_PIN_TYPES;
    return fr_str_is(n->marker, "json") ? FR_PIN_JSON : FR_PIN_STRING;
}

static fr_pin_type time_type(const fr_avro_node *n)
{
    static const struct {
        const char *logical;
        fr_avro_tag tag;
        fr_pin_type type;
    } types[] = {{"date", FR_AVRO_INT, FR_PIN_DATE},
                 {"time-millis", FR_AVRO_INT, FR_PIN_TIME_MILLIS},
                 {"time-micros", FR_AVRO_LONG, FR_PIN_TIME},
                 {"timestamp-millis", FR_AVRO_LONG, FR_PIN_TIMESTAMP_MILLIS},
                 {"timestamp-micros", FR_AVRO_LONG, FR_PIN_TIMESTAMP},
                 {"local-timestamp-millis", FR_AVRO_LONG, FR_PIN_DATETIME_MILLIS},
                 {"local-timestamp-micros", FR_AVRO_LONG, FR_PIN_DATETIME}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (n->tag == types[i].tag && fr_str_is(n->logical, types[i].logical))
            return types[i].type;
    return FR_PIN_TYPES;
}

/* FR_PIN_TYPES: no column has such values. */
static fr_pin_type type_of(const fr_avro_node *n)
{
    switch (n->tag) {
    case FR_AVRO_BYTES:
    case FR_AVRO_FIXED:
        return bytes_type(n);
    case FR_AVRO_STRING:
        return string_type(n);
    case FR_AVRO_INT:
    case FR_AVRO_LONG:
        if (n->logical.len > 0)
            return time_type(n);
        return n->tag == FR_AVRO_INT ? FR_PIN_INT : FR_PIN_LONG;
    default:
        break;
    }
    if (n->logical.len > 0)
        return FR_PIN_TYPES;
    return n->tag == FR_AVRO_BOOLEAN  ? FR_PIN_BOOLEAN
           : n->tag == FR_AVRO_FLOAT  ? FR_PIN_FLOAT
           : n->tag == FR_AVRO_DOUBLE ? FR_PIN_DOUBLE
           : n->tag == FR_AVRO_ENUM   ? FR_PIN_ENUM
                                      : FR_PIN_TYPES;
}

fr_kind fr_pin_kind(fr_pin_type type)
{
    static const fr_kind kinds[FR_PIN_TYPES] = {
        [FR_PIN_BOOLEAN] = FR_BOOL,
        [FR_PIN_INT] = FR_INT32,
        [FR_PIN_LONG] = FR_INT64,
        [FR_PIN_FLOAT] = FR_FLOAT32,
        [FR_PIN_DOUBLE] = FR_FLOAT64,
        [FR_PIN_BYTES] = FR_BYTES,
        [FR_PIN_STRING] = FR_TEXT,
        [FR_PIN_JSON] = FR_JSON,
        [FR_PIN_UUID] = FR_UUID,
        [FR_PIN_ENUM] = FR_INT32,
        [FR_PIN_FIXED] = FR_KIND_COUNT,
        [FR_PIN_DECIMAL] = FR_DECIMAL,
        [FR_PIN_FIXED_DECIMAL] = FR_KIND_COUNT,
        [FR_PIN_DATE] = FR_DATE,
        [FR_PIN_TIME_MILLIS] = FR_INT32,
        [FR_PIN_TIME] = FR_TIME,
        [FR_PIN_TIMESTAMP_MILLIS] = FR_INT64,
        [FR_PIN_TIMESTAMP] = FR_TIMESTAMP,
        [FR_PIN_DATETIME_MILLIS] = FR_INT64,
        [FR_PIN_DATETIME] = FR_DATETIME,
    };
    return kinds[type];
}

static void free_symbols(void *map)
{
    fr_map_free(map, NULL);
}

static void set_symbols(const reading *g, fr_contract_field *f)
{
    f->symbols = fr_map_new();
    fr_arena_adopt(g->a, f->symbols, f->node->count * 32, free_symbols);
    for (size_t i = 0; i < f->node->count; i++)
        fr_map_set(f->symbols, f->node->symbols[i], (void *)(uintptr_t)(i + 1));
}

static fr_rc set_type(const reading *g, fr_contract_field *f, const fr_avro_node *n)
{
    bool two = n->tag == FR_AVRO_UNION && n->count == 2;
    f->nullable = two && (n->members[0]->tag == FR_AVRO_NULL || n->members[1]->tag == FR_AVRO_NULL);
    f->null_last = f->nullable && n->members[1]->tag == FR_AVRO_NULL;
    f->node = f->nullable ? n->members[!f->null_last] : n;
    if (n->tag == FR_AVRO_UNION && !f->nullable)
        return refuse(g, "contract.type", f->name, "a union of other types than null and one more",
                      "rows have no such field: null and one type, in either order");
    f->type = type_of(f->node);
    f->precision = (int16_t)f->node->precision;
    f->scale = (int16_t)f->node->scale;
    if (f->type == FR_PIN_TYPES) {
        fr_str what = fr_arena_printf(
            g->a, "no column is written as %s%s%.*s", fr_avro_word(f->node->tag),
            f->node->logical.len > 0 ? " with logicalType " : "", FR_ARG(f->node->logical));
        return refuse(g, "contract.type", f->name, fr_arena_cstr(g->a, what),
                      "docs/contracts.md lists the types that fields may have; what is nested "
                      "travels as string with \"freshet.type\": \"json\"");
    }
    if (f->type == FR_PIN_FIXED_DECIMAL && fr_avro_decimal_bytes(f->precision) > f->node->size)
        return refuse(g, "contract.type", f->name, "a fixed that its decimal does not fit in",
                      "make it larger, or use bytes");
    if (f->type == FR_PIN_ENUM)
        set_symbols(g, f);
    return FR_OK;
}

/* ---- fields ---- */

static fr_str text_of(fr_arena *a, const json_t *j)
{
    return fr_arena_copy(a, json_string_value(j), json_string_length(j));
}

static fr_rc set_aliases(const reading *g, fr_contract_field *f, const json_t *list)
{
    if (list == NULL)
        return FR_OK;
    size_t count = json_array_size(list);
    fr_str *aliases = fr_arena_alloc(g->a, (count + 1) * sizeof *aliases);
    for (size_t i = 0; i < count; i++) {
        const json_t *j = json_array_get(list, i);
        if (!json_is_string(j) || json_string_length(j) == 0)
            return refuse(g, "contract.alias", f->name, "an alias that is no name", "correct it");
        aliases[i] = text_of(g->a, j);
    }
    f->aliases = aliases;
    f->alias_count = count;
    return json_is_array(list) ? FR_OK
                               : refuse(g, "contract.alias", f->name, "aliases are no list",
                                        "write [\"old_name\"]");
}

static fr_str rules_of(const reading *g, const json_t *j)
{
    const json_t *rules = json_object_get(j, "freshet.rules");
    return rules == NULL ? FR_STR("") : fr_json_text(g->a, rules);
}

static fr_rc set_field(const reading *g, fr_contract_field *f, const fr_avro_field *field,
                       const json_t *j)
{
    f->name = field->name;
    f->rules = rules_of(g, j);
    FR_TRY(set_type(g, f, field->type));
    FR_TRY(set_aliases(g, f, json_object_get(j, "aliases")));
    const json_t *value = json_object_get(j, "default");
    if (value == NULL && f->nullable) /* nothing else could be meant */
        f->fallback = f->null_last ? FR_STR("\2") : FR_STR("\0");
    if (value == NULL || fr_pin_default(g->a, f, value, &f->fallback))
        return FR_OK;
    return refuse(g, "contract.default", f->name, "its default does not fit its type",
                  f->nullable ? "the default of a union is one of its first type: put null behind "
                                "the type, or make the default null"
                              : "correct the default, or the type");
}

/* Which field a column is meant for must be plain. */
static fr_rc check_aliases(const reading *g)
{
    const fr_contract_record *r = g->r;
    fr_map *names = fr_map_new();
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < r->field_count; i++)
        fr_map_set(names, r->fields[i].name, &r->fields[i]);
    for (size_t i = 0; i < r->field_count && rc == FR_OK; i++) {
        fr_contract_field *f = &r->fields[i];
        for (size_t k = 0; k < f->alias_count && rc == FR_OK; k++) {
            const fr_contract_field *other = fr_map_get(names, f->aliases[k]);
            if (other != NULL && other != f)
                rc = refuse(g, "contract.alias", f->name,
                            fr_arena_cstr(
                                g->a, fr_arena_printf(g->a,
                                                      "alias %.*s is also that, or the name, "
                                                      "of field %.*s",
                                                      FR_ARG(f->aliases[k]), FR_ARG(other->name))),
                            "remove it from one of them");
            fr_map_set(names, f->aliases[k], f);
        }
    }
    fr_map_free(names, NULL);
    return rc;
}

static bool is_envelope(const fr_avro_node *n)
{
    return fr_avro_find(n, "op") >= 0 && fr_avro_find(n, "before") >= 0 &&
           fr_avro_find(n, "after") >= 0;
}

static fr_rc read_record(const reading *g, const fr_avro_node *n, const json_t *j)
{
    fr_contract_record *r = g->r;
    const json_t *list = json_object_get(j, "fields");
    if (n->tag != FR_AVRO_RECORD)
        return refuse(g, "contract.record", FR_STR(""), "it is no record",
                      "a contract is the record of a row: {\"type\": \"record\", ...}");
    if (is_envelope(n))
        return refuse(g, "contract.envelope", FR_STR(""),
                      "it is an envelope (before, after, op), and a contract is the row's record",
                      "keep what its `before` holds: freshet puts the envelope around it");
    if (n->count == 0)
        return refuse(g, "contract.record", FR_STR(""), "it has no fields", "name some");
    r->name = n->name;
    r->rules = rules_of(g, j);
    r->field_count = n->count;
    r->fields = fr_arena_alloc(g->a, n->count * sizeof *r->fields);
    for (size_t i = 0; i < n->count; i++)
        FR_TRY(set_field(g, &r->fields[i], &n->fields[i], json_array_get(list, i)));
    return check_aliases(g);
}

/* The record within {"type": {"type": "record", ...}}. */
static const json_t *record_in(const json_t *j)
{
    while (json_is_object(json_object_get(j, "type")))
        j = json_object_get(j, "type");
    return j;
}

fr_rc fr_contract_parse(fr_arena *a, const fr_contract *c, const fr_contract_record **out,
                        fr_err *err)
{
    const fr_avro_node *n;
    fr_contract_record *r = fr_arena_alloc(a, sizeof *r);
    reading g = {.a = a, .c = c, .r = r, .err = err};
    if (!fr_utf8_valid(c->text))
        return refuse(&g, "contract.syntax", FR_STR(""), "it is not UTF-8", "save it as UTF-8");
    if (fr_avro_canonical(a, c->text, &r->text, err) == FR_FAIL ||
        fr_avro_parse(a, r->text, &n, err) == FR_FAIL) {
        fr_err why = *err;
        return refuse(&g, "contract.syntax", FR_STR(""), why.text,
                      "a contract is an Avro schema (.avsc) in JSON");
    }
    json_t *j = fr_avro_json(r->text, err);
    if (j == NULL)
        return FR_FAIL;
    fr_rc rc = read_record(&g, n, record_in(j));
    json_decref(j);
    *out = r;
    return rc;
}

const fr_contract_field *fr_contract_find(const fr_contract_record *r, fr_str name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (fr_str_eq(r->fields[i].name, name))
            return &r->fields[i];
    for (size_t i = 0; i < r->field_count; i++)
        for (size_t k = 0; k < r->fields[i].alias_count; k++)
            if (fr_str_eq(r->fields[i].aliases[k], name))
                return &r->fields[i];
    return NULL;
}

/* ---- what was published ---- */

/* The record that `before` of an envelope holds; NULL: it is none. */
static json_t *row_of(json_t *value)
{
    json_t *list = json_object_get(value, "fields");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *f = json_array_get(list, i), *type = json_object_get(f, "type");
        if (strcmp(fr_json_str(f, "name", ""), "before") != 0)
            continue;
        for (size_t k = 0; k < json_array_size(type); k++)
            if (json_is_object(json_array_get(type, k)))
                return json_array_get(type, k);
        return NULL;
    }
    return NULL;
}

fr_rc fr_contract_row(fr_arena *a, fr_str value, fr_str *out, fr_err *err)
{
    const fr_avro_node *n;
    FR_TRY(fr_avro_parse(a, value, &n, err));
    if (n->tag == FR_AVRO_RECORD && !is_envelope(n))
        return fr_avro_canonical(a, value, out, err);
    json_t *j = fr_avro_json(value, err);
    if (j == NULL)
        return FR_FAIL;
    json_t *row = row_of(j);
    const char *space = fr_json_str(j, "namespace", NULL);
    if (row != NULL && space != NULL && json_object_get(row, "namespace") == NULL)
        json_object_set_new(row, "namespace", json_string(space));
    fr_str text = row == NULL ? FR_STR("") : fr_json_text(a, row);
    json_decref(j);
    if (text.len > 0)
        return fr_avro_canonical(a, text, out, err);
    fr_fail(err, FR_ERR_DATA, "the schema is neither an envelope's nor that of a row");
    return fr_fail_code(err, "contract.row");
}
