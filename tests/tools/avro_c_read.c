/* Reads by avro-c, as somebody else's consumer does: a line
 * {"writer":TEXT,"reader":TEXT,"data":[HEX...], "by":"reader"|"writer"} in (avro-c has two ways: a
 * value of the writer's is looked at as the reader's; or one of the reader's is filled through what
 * looks like the writer's), a line out:
 *     {"values":[JSON TEXT...]} or {"error":WHY}
 * Each in a process of its own, since avro-c has ways to die of a schema. */
#include <avro.h>
#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct pair {
    avro_schema_t writer, reader;
    avro_value_iface_t *resolver, *class;
    bool by_reader;
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

static char *look(const pair *p, avro_reader_t in, avro_value_t *value, avro_value_t *resolved)
{
    char *text = NULL;
    avro_resolved_reader_new_value(p->resolver, resolved);
    if (avro_value_read(in, value) != 0)
        return NULL;
    avro_resolved_reader_set_source(resolved, value);
    avro_value_to_json(resolved, 1, &text);
    avro_resolved_reader_clear_source(resolved);
    return text;
}

static char *fill(const pair *p, avro_reader_t in, avro_value_t *value, avro_value_t *resolved)
{
    char *text = NULL;
    avro_resolved_writer_new_value(p->resolver, resolved);
    avro_resolved_writer_set_dest(resolved, value);
    if (avro_value_read(in, resolved) == 0)
        avro_value_to_json(value, 1, &text);
    return text;
}

static char *read_one(const pair *p, const char *hex)
{
    char *bytes = malloc(strlen(hex) / 2 + 1);
    avro_value_t value = {0}, resolved = {0};
    avro_reader_t in = avro_reader_memory(bytes, (int64_t)unhex(hex, bytes));
    avro_generic_value_new(p->class, &value);
    char *text = (p->by_reader ? look : fill)(p, in, &value, &resolved);
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

/* The process ends afterwards: only what would hide a mistake is freed. */
static json_t *answer(const json_t *question)
{
    const char *writer = json_string_value(json_object_get(question, "writer"));
    const char *reader = json_string_value(json_object_get(question, "reader"));
    const char *by = json_string_value(json_object_get(question, "by"));
    pair p = {0};
    if (writer == NULL || reader == NULL || by == NULL)
        return fail("question");
    if (avro_schema_from_json_length(writer, strlen(writer), &p.writer) != 0)
        return fail("writer");
    if (avro_schema_from_json_length(reader, strlen(reader), &p.reader) != 0)
        return fail("reader");
    p.by_reader = strcmp(by, "reader") == 0;
    p.resolver = p.by_reader ? avro_resolved_reader_new(p.writer, p.reader)
                             : avro_resolved_writer_new(p.writer, p.reader);
    if (p.resolver == NULL)
        return fail("resolve");
    p.class = avro_generic_class_from_schema(p.by_reader ? p.writer : p.reader);
    return p.class == NULL ? fail("class") : read_all(&p, json_object_get(question, "data"));
}

static int reply(const char *line)
{
    json_t *question = json_loads(line, 0, NULL), *out = answer(question);
    char *text = json_dumps(out, JSON_COMPACT);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(out);
    json_decref(question);
    return 0;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(reply(line));
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            puts("{\"error\":\"it died\"}");
        fflush(stdout);
    }
    free(line);
    return 0;
}
