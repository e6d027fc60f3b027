/* JSON Schema (draft-07) of the file, for editors. The key decides the type, so what YAML
 * calls a number may stand where a text belongs, and a reference anywhere.
 * Source: json-schema.org/draft-07/json-schema-validation.html. */
#include "base/json.h"
#include "control/config_load.h"
#include <stdlib.h>
#include <string.h>

static json_t *reference(void)
{
    return json_pack("{s:s}", "$ref", "#/definitions/reference");
}

static json_t *scalar(void)
{
    return json_pack("{s:s}", "$ref", "#/definitions/scalar");
}

static json_t *either(json_t *one, json_t *other)
{
    return json_pack("{s:[o,o]}", "anyOf", one, other);
}

static json_t *int_schema(const fr_option *o)
{
    json_t *j = json_pack("{s:s}", "type", "integer");
    if (o->min != 0 || o->max != 0)
        json_object_set_new(j, "minimum", json_integer(o->min));
    if (o->max != 0)
        json_object_set_new(j, "maximum", json_integer(o->max));
    return either(j, reference());
}

static json_t *choice_schema(const char *kind, const fr_option *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->choices[i] != NULL; i++)
        if (fr_unbuilt_find(kind, o->name, o->choices[i]) == NULL)
            json_array_append_new(list, json_string(o->choices[i]));
    return either(json_pack("{s:o}", "enum", list), reference());
}

static json_t *entry_schema(const fr_option *o)
{
    if (strncmp(o->name, "given.", 6) == 0 || strncmp(o->name, "expect.", 7) == 0)
        return either(scalar(), json_pack("{s:s}", "type", "null"));
    if (strcmp(o->name, "columns.mask") != 0)
        return scalar();
    return json_pack("{s:[{s:[s,s,s,n]},{s:s,s:{s:{s:s,s:i,s:i}},s:b,s:[s]},o]}", "anyOf", "enum",
                     "hash", "redact", "null", "type", "object", "properties", "keep_last", "type",
                     "integer", "minimum", 1, "maximum", 64, "additionalProperties", 0, "required",
                     "keep_last", reference());
}

/* schema.rules: each item a map, or the same as a text of JSON. */
static json_t *rules_schema(void)
{
    json_t *word = json_pack("{s:s}", "type", "string");
    json_t *list = json_pack("{s:s,s:i}", "type", "array", "minItems", 1);
    json_t *rule = json_pack(
        "{s:s,s:{s:O,s:O,s:O,s:O,s:O,s:O,s:o},s:b}", "type", "object", "properties", "field", word,
        "name", word, "matches", word, "sql", word, "in", list, "range", list, "not_empty",
        json_pack("{s:s}", "$ref", "#/definitions/bool"), "additionalProperties", 0);
    json_decref(word);
    json_decref(list);
    return json_pack("{s:s,s:o}", "type", "array", "items",
                     either(rule, json_pack("{s:s}", "type", "string")));
}

static json_t *option_schema(const char *kind, const fr_option *o)
{
    switch (o->type) {
    case FR_OPT_TEXT:
        return scalar();
    case FR_OPT_INT:
        return int_schema(o);
    case FR_OPT_BOOL:
        return json_pack("{s:s}", "$ref", "#/definitions/bool");
    case FR_OPT_BYTES:
        return json_pack("{s:s}", "$ref", "#/definitions/bytes");
    case FR_OPT_TIME:
        return json_pack("{s:s}", "$ref", "#/definitions/time");
    case FR_OPT_CHOICE:
        return choice_schema(kind, o);
    case FR_OPT_LIST:
        if (strcmp(o->name, "schema.rules") == 0)
            return rules_schema();
        return json_pack("{s:s}", "$ref", "#/definitions/list");
    case FR_OPT_MAP:
        return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", entry_schema(o));
    }
    return scalar();
}

/* What is not built yet may only say what happens anyway. */
static json_t *refused_schema(const fr_option *o)
{
    if (o->type == FR_OPT_BOOL)
        return json_pack("{s:[b,s]}", "enum", strcmp(o->fallback, "true") == 0, o->fallback);
    return json_pack("{s:[s]}", "enum", o->fallback);
}

static json_t *new_object(void)
{
    return json_pack("{s:s,s:{},s:b}", "type", "object", "properties", "additionalProperties", 0);
}

static void add_option(json_t *object, const char *kind, const fr_option *o)
{
    if ((o->flags & FR_REFUSED) != 0 && o->fallback == NULL)
        return;
    const char *name = o->name;
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(name, '.')) {
        char group[64];
        size_t len = (size_t)(dot - name) < sizeof(group) - 1 ? (size_t)(dot - name) : 0;
        memcpy(group, name, len);
        group[len] = 0;
        json_t *properties = json_object_get(object, "properties");
        json_t *inner = json_object_get(properties, group);
        if (inner == NULL) {
            inner = new_object();
            json_object_set_new(properties, group, inner);
        }
        object = inner;
        name = dot + 1;
    }
    json_t *properties = json_object_get(object, "properties");
    if (json_object_get(properties, name) != NULL)
        return; /* a connector's own goes first */
    bool refused = (o->flags & FR_REFUSED) != 0;
    json_t *j = refused ? refused_schema(o) : option_schema(kind, o);
    if (json_object_get(j, "$ref") != NULL)
        j = json_pack("{s:[o]}", "allOf", j); /* draft-07 ignores what stands beside $ref */
    json_object_set_new(j, "description", json_string(o->help));
    if (o->fallback != NULL)
        json_object_set_new(j, "default", json_string(o->fallback));
    json_object_set_new(properties, name, j);
    if ((o->flags & FR_REQUIRED) == 0)
        return;
    json_t *required = json_object_get(object, "required");
    if (required == NULL) {
        required = json_array();
        json_object_set_new(object, "required", required);
    }
    json_array_append_new(required, json_string(name));
}

static void add_options(json_t *object, const char *kind, const fr_option *options)
{
    for (const fr_option *o = options; o->name != NULL; o++)
        add_option(object, kind, o);
}

static json_t *types_of(const fr_connectors *connectors, bool sinks)
{
    json_t *list = json_array();
    for (size_t i = 0; !sinks && connectors->source_at(i) != NULL; i++)
        json_array_append_new(list, json_string(connectors->source_at(i)->type));
    for (size_t i = 0; sinks && connectors->sink_at(i) != NULL; i++)
        json_array_append_new(list, json_string(connectors->sink_at(i)->type));
    return json_pack("{s:o}", "enum", list);
}

/* The connector's required keys are checked by the program: which they are depends on type. */
static json_t *connector_schema(const fr_connectors *connectors, bool sinks)
{
    const char *kind = sinks ? "sink" : "source";
    json_t *object = new_object();
    for (size_t i = 0; !sinks && connectors->source_at(i) != NULL; i++)
        add_options(object, kind, connectors->source_at(i)->options);
    for (size_t i = 0; sinks && connectors->sink_at(i) != NULL; i++)
        add_options(object, kind, connectors->sink_at(i)->options);
    json_object_del(object, "required");
    add_options(object, kind, fr_section_find(kind)->options);
    json_object_set_new(json_object_get(object, "properties"), "type", types_of(connectors, sinks));
    if (sinks) {
        json_t *topics = json_pack("{s:s,s:{s:s}}", "type", "object", "additionalProperties",
                                   "$ref", "#/definitions/topic");
        json_object_set_new(json_object_get(object, "properties"), "topics", topics);
        return object;
    }
    json_t *tables =
        json_pack("{s:s,s:{s:o,s:o},s:b}", "type", "object", "patternProperties", "^/.+/$",
                  json_pack("{s:s}", "$ref", "#/definitions/table"), "^[^/.][^.]*\\..+$",
                  json_pack("{s:s}", "$ref", "#/definitions/table"), "additionalProperties", 0);
    json_object_set_new(json_object_get(object, "properties"), "tables", tables);
    return object;
}

static json_t *definitions(const fr_connectors *connectors)
{
    json_t *table = new_object();
    add_options(table, "table", fr_section_find("table")->options);
    json_t *defaults = json_copy(table);
    json_object_set_new(table, "type", json_pack("[s,s]", "object", "null"));
    json_t *d = json_object();
    json_object_set_new(
        d, "reference",
        json_pack("{s:s,s:s}", "type", "string", "pattern", "^\\$\\{[a-z]+:.*\\}$"));
    json_object_set_new(d, "scalar",
                        json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean"));
    json_object_set_new(d, "bool",
                        json_pack("{s:[{s:[b,b,s,s,s,s,s,s]},o]}", "anyOf", "enum", 1, 0, "true",
                                  "false", "yes", "no", "on", "off", reference()));
    json_object_set_new(d, "time",
                        json_pack("{s:[{s:s,s:s},{s:[i]},o]}", "anyOf", "type", "string", "pattern",
                                  "^([0-9]+ ?(us|ms|s|m|h|d)|0)$", "enum", 0, reference()));
    json_object_set_new(d, "bytes",
                        json_pack("{s:[{s:s,s:s},{s:[i]},o]}", "anyOf", "type", "string", "pattern",
                                  "^([0-9]+ ?(B|KiB|MiB|GiB|kB|MB|GB)|0)$", "enum", 0,
                                  reference()));
    json_object_set_new(
        d, "list", either(json_pack("{s:s,s:o}", "type", "array", "items", scalar()), scalar()));
    json_t *test = new_object();
    add_options(test, "test", fr_section_find("test")->options);
    json_object_set_new(d, "test", test);
    json_t *topic = new_object();
    add_options(topic, "topic", fr_section_find("topic")->options);
    json_object_set_new(d, "topic", topic);
    json_object_set_new(d, "table", table);
    json_object_set_new(d, "defaults", defaults);
    json_object_set_new(d, "source", connector_schema(connectors, false));
    json_object_set_new(d, "sink", connector_schema(connectors, true));
    return d;
}

static json_t *named(const char *definition)
{
    return json_pack("{s:s,s:{s:{s:s}},s:b}", "type", "object", "patternProperties",
                     "^[a-z0-9-]{1,40}$", "$ref", definition, "additionalProperties", 0);
}

void fr_config_schema(fr_buf *b, const fr_connectors *connectors)
{
    json_t *root = new_object(), *properties = json_object_get(root, "properties");
    json_object_set_new(root, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    json_object_set_new(root, "title", json_string("freshet.yaml"));
    add_options(root, "", fr_section_find("")->options);
    for (const fr_section *s = fr_sections; s->kind != NULL; s++) {
        if (*s->prefix == 0 || strpbrk(s->prefix, ".[") != NULL)
            continue;
        json_t *object = new_object();
        add_options(object, s->kind, s->options);
        if (json_object_size(json_object_get(object, "properties")) > 0)
            json_object_set(properties, s->prefix, object);
        json_decref(object);
    }
    json_array_append_new(json_object_get(root, "required"), json_string("kafka"));
    json_array_append_new(json_object_get(root, "required"), json_string("registry"));
    json_object_set_new(properties, "defaults",
                        json_pack("{s:s}", "$ref", "#/definitions/defaults"));
    json_object_set_new(properties, "sources", named("#/definitions/source"));
    json_object_set_new(properties, "sinks", named("#/definitions/sink"));
    json_object_set_new(
        properties, "tests",
        json_pack("{s:s,s:{s:s}}", "type", "array", "items", "$ref", "#/definitions/test"));
    json_object_set_new(root, "definitions", definitions(connectors));
    char *text = json_dumps(root, JSON_INDENT(2));
    fr_buf_text(b, text);
    fr_buf_text(b, "\n");
    free(text);
    json_decref(root);
}
