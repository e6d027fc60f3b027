/* What a schema says of its stream (owner, tags, what is personal data, what to use instead), as
 * `metadata` of a request to the registry. Source: docs.confluent.io/platform/current/
 * schema-registry/fundamentals/data-contracts.html. And under which subject it is kept. */
#include "codec/avro_parse.h"
#include "codec/registry_internal.h"

#include <string.h>

/* The record that carries our properties: the row, within the envelope or alone. */
static const json_t *row_of(const json_t *j, int depth)
{
    size_t i;
    const json_t *item, *found = NULL;
    if (depth > FR_AVRO_MAX_DEPTH)
        return NULL;
    if (json_is_array(j)) {
        json_array_foreach(j, i, item) if (found == NULL) found = row_of(item, depth + 1);
        return found;
    }
    if (!json_is_object(j) || strcmp(fr_json_str(j, "type", ""), "record") != 0)
        return NULL;
    const json_t *fields = json_object_get(j, "fields");
    bool ours = json_object_get(j, "freshet.owner") != NULL ||
                json_object_get(j, "freshet.tags") != NULL ||
                json_object_get(j, "freshet.deprecated") != NULL;
    json_array_foreach(fields, i, item) ours =
        ours || json_is_true(json_object_get(item, "freshet.pii"));
    if (ours)
        return j;
    json_array_foreach(fields, i, item) if (found == NULL) found =
        row_of(json_object_get(item, "type"), depth + 1);
    return found;
}

/* `,"owner":"..."`, where there is one. */
static void put_text(fr_buf *b, const char *name, const char *text, bool *first)
{
    if (text == NULL)
        return;
    fr_buf_printf(b, "%s\"%s\":", *first ? "" : ",", name);
    fr_buf_json(b, fr_cstr(text));
    *first = false;
}

/* Labels of a stream are one property: a, b. */
static const char *join(fr_arena *a, const json_t *tags)
{
    fr_buf b = {.arena = a};
    size_t i;
    const json_t *tag;
    json_array_foreach(tags, i, tag)
    {
        fr_buf_text(&b, b.len > 0 ? ", " : "");
        fr_buf_text(&b, json_is_string(tag) ? json_string_value(tag) : "");
    }
    return b.len == 0 ? NULL : fr_arena_cstr(a, fr_buf_view(&b));
}

static void put_pii(fr_buf *b, fr_arena *a, const json_t *row)
{
    size_t i;
    const json_t *field;
    bool first = true;
    json_array_foreach(json_object_get(row, "fields"), i, field)
    {
        if (!json_is_true(json_object_get(field, "freshet.pii")))
            continue;
        fr_buf_text(b, first ? ",\"tags\":{" : ",");
        fr_buf_json(b, fr_arena_printf(a, "**.%s", fr_json_str(field, "name", "")));
        fr_buf_text(b, ":[\"PII\"]");
        first = false;
    }
    fr_buf_text(b, first ? "" : "}");
}

fr_str fr_registry_metadata(fr_arena *a, fr_str schema)
{
    json_t *j =
        memmem(schema.ptr, schema.len, "\"freshet.", 9) == NULL ? NULL : fr_avro_json(schema, NULL);
    const json_t *row = j == NULL ? NULL : row_of(j, 0);
    fr_buf b = {.arena = a};
    bool first = true;
    if (row != NULL) {
        fr_buf_text(&b, "{\"properties\":{");
        put_text(&b, "owner", fr_json_str(row, "freshet.owner", NULL), &first);
        put_text(&b, "tags", join(a, json_object_get(row, "freshet.tags")), &first);
        put_text(&b, "deprecated", fr_json_str(row, "freshet.deprecated", NULL), &first);
        put_text(&b, "description", fr_json_str(row, "doc", NULL), &first);
        fr_buf_text(&b, "}");
        put_pii(&b, a, row);
        fr_buf_text(&b, "}");
    }
    json_decref(j);
    return fr_buf_view(&b);
}

const char *fr_schema_deprecated(fr_arena *a, fr_str schema)
{
    json_t *j = fr_avro_json(schema, NULL);
    const json_t *row = j == NULL ? NULL : row_of(j, 0);
    const char *text = row == NULL ? NULL : fr_json_str(row, "freshet.deprecated", NULL);
    text = text == NULL ? NULL : fr_arena_cstr(a, fr_cstr(text));
    json_decref(j);
    return text;
}

const char *fr_subject(const fr_registry_settings *s, fr_arena *a, fr_str topic, fr_str record,
                       fr_envelope envelope, fr_subject_side side)
{
    bool key = side == FR_SUBJECT_KEY;
    const char *suffix = key ? "Key" : envelope == FR_ENVELOPE_STATE ? "" : "Envelope";
    if (envelope == FR_ENVELOPE_DEBEZIUM)
        suffix = key ? ".Key" : ".Envelope";
    fr_str out;
    if (s->subject == FR_SUBJECT_BY_RECORD)
        out = fr_arena_printf(a, "%.*s%s", FR_ARG(record), suffix);
    else if (s->subject == FR_SUBJECT_BY_BOTH)
        out = fr_arena_printf(a, "%.*s-%.*s%s", FR_ARG(topic), FR_ARG(record), suffix);
    else
        out = fr_arena_printf(a, "%.*s-%s", FR_ARG(topic), key ? "key" : "value");
    return fr_arena_cstr(a, out);
}
