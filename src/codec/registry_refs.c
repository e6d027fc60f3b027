#include "codec/registry_refs.h"

#include "base/map.h"
#include "codec/avro_parse.h"

#include <string.h>

typedef struct gathering {
    fr_arena *a;
    fr_fetch fetch;
    void *context;
    fr_map *fetched;     /* "subject/version" */
    fr_map *definitions; /* the name it is referred to by -> json_t; owned */
    fr_map *written;     /* names that the text defines so far */
    size_t bytes;        /* of all texts */
    fr_err *err;
} gathering;

static fr_rc refuse(fr_err *err, const char *what, fr_str name)
{
    fr_fail(err, FR_ERR_DATA, "the schema refers to %.*s: %s", FR_ARG(name), what);
    fr_fail_hint(err,
                 "register what it refers to again, or the schema with its named types written "
                 "out");
    return fr_fail_code(err, "registry.references");
}

static void release(void *json)
{
    json_decref(json);
}

/* --- asking ----------------------------------------------------------------------------- */

static fr_rc gather(gathering *g, const fr_schema_text *of);

static fr_rc gather_one(gathering *g, const fr_reference *r)
{
    fr_schema_text found = {0};
    fr_str key = fr_arena_printf(g->a, "%d/%s", r->version, r->subject);
    if (fr_map_set(g->fetched, key, g) != NULL)
        return FR_OK; /* in a circle, or twice */
    if (fr_map_count(g->fetched) > FR_REFERENCES_MAX)
        return refuse(g->err, "there are more than 100 schemas below this one", r->name);
    fr_rc rc = g->fetch(g->context, g->a, r->subject, r->version, &found, g->err);
    if (rc == FR_END)
        return refuse(g->err, "the registry does not have that version of its subject", r->name);
    FR_TRY(rc);
    g->bytes += found.text.len;
    if (g->bytes > FR_REFERENCES_BYTES)
        return refuse(g->err, "the schemas below this one are larger than 4 MiB", r->name);
    json_t *j = fr_avro_json(found.text, g->err);
    if (j == NULL)
        return fr_fail_in(g->err, "reference %.*s", FR_ARG(r->name));
    json_decref(fr_map_set(g->definitions, r->name, j));
    return gather(g, &found);
}

static fr_rc gather(gathering *g, const fr_schema_text *of)
{
    for (size_t i = 0; i < of->reference_count; i++)
        FR_TRY(gather_one(g, &of->references[i]));
    return FR_OK;
}

/* --- writing in ------------------------------------------------------------------------- */

static fr_rc write_in(gathering *g, json_t *j, fr_str space, unsigned depth, json_t **out);

static fr_rc write_name(gathering *g, json_t *j, fr_str space, unsigned depth, json_t **out)
{
    fr_str ignored;
    const char *word = json_string_value(j);
    *out = json_incref(j);
    if (fr_avro_tag_of(word) >= 0)
        return FR_OK;
    fr_str full = fr_avro_full_name(g->a, word, NULL, space, &ignored);
    if (fr_map_get(g->written, full) != NULL)
        return FR_OK;
    json_t *definition = fr_map_get(g->definitions, full);
    if (definition == NULL)
        definition = fr_map_get(g->definitions, fr_cstr(word));
    if (definition == NULL)
        return FR_OK; /* the parser will say that it is not there */
    json_decref(j);
    /* Once, even where it defines another name than it is known by. */
    fr_map_set(g->written, full, g);
    /* A name without a namespace would take the one around it. */
    definition = json_deep_copy(definition);
    if (json_is_object(definition) && json_object_get(definition, "namespace") == NULL)
        json_object_set_new(definition, "namespace", json_string(""));
    fr_rc rc = write_in(g, definition, FR_STR(""), depth + 1, out);
    json_decref(definition);
    return rc;
}

/* Puts what write_in makes of a member in its place. */
static fr_rc write_member(gathering *g, json_t *j, const char *key, fr_str space, unsigned depth)
{
    json_t *made = NULL, *member = json_object_get(j, key);
    if (member == NULL)
        return FR_OK;
    fr_rc rc = write_in(g, member, space, depth + 1, &made);
    if (rc == FR_OK)
        json_object_set(j, key, made);
    json_decref(made);
    return rc;
}

static fr_rc write_object(gathering *g, json_t *j, fr_str space, unsigned depth)
{
    const char *type = fr_json_str(j, "type", NULL);
    int tag = type != NULL ? fr_avro_tag_of(type) : -1;
    if (tag < 0)
        return write_member(g, j, "type", space, depth);
    if (tag == FR_AVRO_ARRAY || tag == FR_AVRO_MAP)
        return write_member(g, j, tag == FR_AVRO_ARRAY ? "items" : "values", space, depth);
    if (tag < FR_AVRO_RECORD || tag > FR_AVRO_FIXED)
        return FR_OK;
    fr_str inner, full = fr_avro_full_name(g->a, fr_json_str(j, "name", ""),
                                           fr_json_str(j, "namespace", NULL), space, &inner);
    fr_map_set(g->written, full, g);
    size_t i;
    json_t *field;
    if (tag == FR_AVRO_RECORD)
        json_array_foreach(json_object_get(j, "fields"), i, field)
            FR_TRY(write_member(g, field, "type", inner, depth + 1));
    return FR_OK;
}

/* j is ours to change; *out is it, or what takes its place: one more reference to it either way. */
static fr_rc write_in(gathering *g, json_t *j, fr_str space, unsigned depth, json_t **out)
{
    *out = NULL;
    if (depth > 2 * FR_AVRO_MAX_DEPTH)
        return refuse(g->err, "it is nested deeper than 64 levels", FR_STR("itself"));
    if (json_is_string(j))
        return write_name(g, j, space, depth, out);
    fr_rc rc = FR_OK;
    for (size_t i = 0; json_is_array(j) && rc == FR_OK && i < json_array_size(j); i++) {
        json_t *made = NULL;
        rc = write_in(g, json_array_get(j, i), space, depth + 1, &made);
        if (rc == FR_OK)
            json_array_set(j, i, made);
        json_decref(made);
    }
    if (json_is_object(j))
        rc = write_object(g, j, space, depth);
    if (rc == FR_OK)
        *out = json_incref(j);
    return rc;
}

static fr_rc write_whole(gathering *g, const fr_schema_text *schema, fr_str *out)
{
    json_t *made = NULL, *j = fr_avro_json(schema->text, g->err);
    if (j == NULL)
        return FR_FAIL;
    fr_rc rc = write_in(g, j, FR_STR(""), 0, &made);
    if (rc == FR_OK)
        *out = fr_json_text(g->a, made);
    json_decref(made);
    json_decref(j);
    return rc;
}

fr_rc fr_registry_whole(fr_arena *a, const fr_schema_text *schema, fr_fetch fetch, void *context,
                        fr_str *out, fr_err *err)
{
    *out = schema->text;
    if (schema->reference_count == 0)
        return FR_OK;
    gathering g = {.a = a,
                   .fetch = fetch,
                   .context = context,
                   .fetched = fr_map_new(),
                   .definitions = fr_map_new(),
                   .written = fr_map_new(),
                   .err = err};
    fr_rc rc = gather(&g, schema);
    if (rc == FR_OK)
        rc = write_whole(&g, schema, out);
    fr_map_free(g.fetched, NULL);
    fr_map_free(g.definitions, release);
    fr_map_free(g.written, NULL);
    return rc;
}
