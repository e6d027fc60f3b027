/* Reads by avro-c, as somebody else's consumer does: a line
 * {"writer":TEXT,"reader":TEXT,"data":[HEX...]} in, a line out: {"values":[JSON TEXT...]} or
 * {"error":WHY}. */
#include <avro.h>
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pair {
    avro_schema_t writer, reader;
    avro_value_iface_t *resolver, *class;
} pair;

static json_t *fail(const char *doing)
{
    return json_pack("{s:s+++}", "error", doing, ": ", avro_strerror(), "");
}

static size_t unhex(const char *hex, char *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (char)strtoul(two, NULL, 16);
    }
    return n;
}

/* The data becomes a value of the writer's, and that one is looked at as one of the reader's. */
static char *read_one(const pair *p, const char *hex)
{
    char *bytes = malloc(strlen(hex) / 2 + 1), *text = NULL;
    size_t len = unhex(hex, bytes);
    avro_value_t value, resolved;
    avro_reader_t in = avro_reader_memory(bytes, (int64_t)len);
    avro_generic_value_new(p->class, &value);
    avro_resolved_reader_new_value(p->resolver, &resolved);
    if (avro_value_read(in, &value) == 0) {
        avro_resolved_reader_set_source(&resolved, &value);
        avro_value_to_json(&resolved, 1, &text);
        avro_resolved_reader_clear_source(&resolved);
    }
    avro_value_decref(&resolved);
    avro_value_decref(&value);
    avro_reader_free(in);
    free(bytes);
    return text;
}

static json_t *read_all(const pair *p, const json_t *data)
{
    json_t *values = json_array();
    for (size_t i = 0; i < json_array_size(data); i++) {
        char *text = read_one(p, json_string_value(json_array_get(data, i)));
        if (text == NULL) {
            json_decref(values);
            return fail("read");
        }
        json_array_append_new(values, json_string(text));
        free(text);
    }
    return json_pack("{s:o}", "values", values);
}

static json_t *answer(const json_t *question)
{
    const char *writer, *reader;
    json_t *data, *out;
    pair p = {0};
    if (json_unpack((json_t *)question, "{s:s, s:s, s:o}", "writer", &writer, "reader", &reader,
                    "data", &data) != 0)
        return fail("question");
    if (avro_schema_from_json_length(writer, strlen(writer), &p.writer) != 0)
        return fail("writer");
    if (avro_schema_from_json_length(reader, strlen(reader), &p.reader) != 0) {
        avro_schema_decref(p.writer);
        return fail("reader");
    }
    p.resolver = avro_resolved_reader_new(p.writer, p.reader);
    p.class = p.resolver != NULL ? avro_generic_class_from_schema(p.writer) : NULL;
    out = p.class != NULL ? read_all(&p, data) : fail("resolve");
    if (p.class != NULL)
        avro_value_iface_decref(p.class);
    if (p.resolver != NULL)
        avro_value_iface_decref(p.resolver);
    avro_schema_decref(p.reader);
    avro_schema_decref(p.writer);
    return out;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        json_t *question = json_loads(line, 0, NULL), *out = answer(question);
        json_dumpf(out, stdout, JSON_COMPACT);
        puts("");
        fflush(stdout);
        json_decref(out);
        json_decref(question);
    }
    free(line);
    return 0;
}
