#include "codec/registry_reply.h"

#include "base/json.h"
#include "base/log.h"
#include "codec/registry_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 300, REASONS_MAX = 4 };

static bool is_success(const fr_reply *r)
{
    return r->status >= 200 && r->status <= 299;
}

/* NULL when the body is no JSON object: error bodies may be anything. */
static json_t *object_of(const fr_reply *r)
{
    fr_err ignored;
    json_t *j = NULL;
    if (fr_json_parse(r->body, &j, &ignored) == FR_FAIL)
        return NULL;
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

/* Foreign text for our messages: one line, printable, shortened. */
static fr_str tame(fr_arena *a, const char *text)
{
    size_t len = strlen(text);
    fr_str s = fr_arena_copy(a, text, len > MESSAGE_MAX ? MESSAGE_MAX : len);
    char *p = (char *)(uintptr_t)s.ptr;
    while (s.len > 0 && len > MESSAGE_MAX && (p[s.len - 1] & 0xC0) == 0x80)
        s.len--; /* do not cut a character in two */
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            p[i] = ' ';
    return s;
}

bool fr_reply_absent(const fr_reply *r)
{
    if (r->status != 404)
        return false;
    json_t *j = object_of(r);
    if (j == NULL)
        return false;
    long long code = fr_json_int(j, "error_code", 0);
    json_decref(j);
    return (code >= 40401 && code <= 40404) || code == 40408;
}

bool fr_reply_closed(const fr_reply *r)
{
    json_t *j = r->status == 422 ? object_of(r) : NULL;
    bool closed = j != NULL && fr_json_int(j, "error_code", 0) == 42205;
    json_decref(j);
    return closed;
}

fr_str fr_reply_message(const fr_reply *r, fr_arena *a)
{
    static const char *const keys[] = {"message", "detail", "title", "error"};
    fr_str out = {"", 0};
    json_t *j = object_of(r);
    for (size_t i = 0; j != NULL && out.len == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
        out = tame(a, fr_json_str(j, keys[i], ""));
    json_decref(j);
    return out;
}

static fr_rc fail_unreadable(const fr_reply *r, const char *what, const char *why, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "%s: %s%s answered HTTP %d with %s", what, r->url, r->path,
            r->status, why);
    err->native = r->status;
    fr_fail_hint(err, "check that registry.url leads to a schema registry, its path included "
                      "(Apicurio: http://HOST:PORT/apis/ccompat/v7)");
    return fr_fail_code(err, "registry.reply");
}

static fr_rc fail_schema(const fr_reply *r, const char *what, fr_str message, long long code,
                         fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA, "%s: %s refuses it: %.*s (HTTP %d, %lld)", what, r->url,
            FR_ARG(message), r->status, code);
    err->native = r->status;
    if (code != 42205)
        return fr_fail_code(err, "registry.invalid_schema");
    fr_fail_hint(err, "the registry or this subject is read-only: have its mode set to READWRITE "
                      "(PUT /mode)");
    return fr_fail_code(err, "registry.mode");
}

fr_rc fr_reply_fail(const fr_reply *r, const char *what, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    json_t *j = object_of(r);
    long long code = j != NULL ? fr_json_int(j, "error_code", 0) : 0;
    fr_str message = fr_reply_message(r, a);
    if (r->status == 422) {
        fail_schema(r, what, message, code, err);
    } else if (j == NULL) {
        fail_unreadable(r, what, "a body that is no JSON object", err);
    } else {
        fr_fail(err, FR_ERR_CONNECT, "%s: %s%s answered HTTP %d, error %lld: %.*s", what, r->url,
                r->path, r->status, code, FR_ARG(message));
        err->native = r->status;
        fr_fail_code(err, "registry.reply");
    }
    json_decref(j);
    fr_arena_free(a);
    fr_redact(err->text);
    return FR_FAIL;
}

/* A success with a JSON body of this type, or an error. */
static fr_rc body_of(const fr_reply *r, const char *what, json_type type, json_t **out, fr_err *err)
{
    *out = NULL;
    if (!is_success(r))
        return fr_reply_fail(r, what, err);
    fr_err bad;
    if (fr_json_parse(r->body, out, &bad) == FR_FAIL)
        return fail_unreadable(r, what, "a body that is no JSON", err);
    if (json_typeof(*out) == type)
        return FR_OK;
    json_decref(*out);
    *out = NULL;
    return fail_unreadable(r, what, "JSON of another shape", err);
}

static bool id_of(const json_t *j, int32_t *id_out)
{
    const json_t *id = json_object_get(j, "id");
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
        return false;
    *id_out = (int32_t)json_integer_value(id);
    return true;
}

fr_rc fr_reply_id(const fr_reply *r, int32_t *id_out, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "schema id", JSON_OBJECT, &j, err));
    bool good = id_of(j, id_out);
    json_decref(j);
    return good ? FR_OK : fail_unreadable(r, "schema id", "JSON without a usable `id`", err);
}

static fr_rc references_of(const fr_reply *r, const json_t *list, fr_arena *a, fr_schema_text *out,
                           fr_err *err)
{
    out->reference_count = json_array_size(list);
    out->references = fr_arena_alloc(a, (out->reference_count + 1) * sizeof(*out->references));
    for (size_t i = 0; i < out->reference_count; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = fr_json_str(one, "name", ""), *subject = fr_json_str(one, "subject", "");
        long long version = fr_json_int(one, "version", 0);
        if (name[0] == '\0' || subject[0] == '\0' || version < 1 || version > INT32_MAX)
            return fail_unreadable(
                r, "schema", "a reference without a usable `name`, `subject` and `version`", err);
        out->references[i] = (fr_reference){fr_arena_str(a, fr_cstr(name)),
                                            fr_arena_cstr(a, fr_cstr(subject)), (int)version};
    }
    return FR_OK;
}

/* The member `schema`, of an Avro schema. */
static fr_rc avro_of(const fr_reply *r, const json_t *j, fr_arena *a, fr_schema_text *out,
                     fr_err *err)
{
    const json_t *schema = json_object_get(j, "schema");
    if (!json_is_string(schema) || json_string_length(schema) == 0)
        return fail_unreadable(r, "schema", "JSON without a usable `schema`", err);
    const char *type = fr_json_str(j, "schemaType", "AVRO");
    if (strcmp(type, "AVRO") != 0) {
        fr_fail(err, FR_ERR_DATA, "%s%s: the schema is %.*s; freshet reads Avro only", r->url,
                r->path, FR_ARG(tame(a, type)));
        return fr_fail_code(err, "registry.schema_type");
    }
    out->text = fr_arena_copy(a, json_string_value(schema), json_string_length(schema));
    return references_of(r, json_object_get(j, "references"), a, out, err);
}

fr_rc fr_reply_version(const fr_reply *r, fr_arena *a, int *version_out, int32_t *id_out,
                       fr_schema_text *out, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "newest version", JSON_OBJECT, &j, err));
    long long version = fr_json_int(j, "version", -1);
    fr_rc rc = FR_OK;
    if (!id_of(j, id_out) || version < 0 || version > INT32_MAX)
        rc = fail_unreadable(r, "newest version", "JSON without a usable `id` and `version`", err);
    else
        rc = avro_of(r, j, a, out, err);
    json_decref(j);
    *version_out = rc == FR_OK ? (int)version : 0;
    return rc;
}

fr_rc fr_reply_schema(const fr_reply *r, fr_arena *a, fr_schema_text *out, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "schema", JSON_OBJECT, &j, err));
    fr_rc rc = avro_of(r, j, a, out, err);
    json_decref(j);
    return rc;
}

/* Confluent lists `messages`, Apicurio gives one `reason`. */
static fr_str reasons_of(const json_t *j, fr_arena *a)
{
    fr_buf b = {.arena = a};
    size_t i;
    const json_t *message;
    json_array_foreach(json_object_get(j, "messages"), i, message)
    {
        const char *text = json_string_value(message);
        /* Besides the reasons Confluent repeats the old schema and the level: not here. */
        if (text == NULL || i >= REASONS_MAX || strncmp(text, "{oldSchema", 10) == 0 ||
            strncmp(text, "{compatibility", 14) == 0)
            continue;
        fr_buf_text(&b, b.len > 0 ? "; " : "");
        fr_buf_str(&b, tame(a, text));
    }
    if (b.len == 0)
        fr_buf_str(&b, tame(a, fr_json_str(j, "reason", "")));
    return fr_buf_view(&b);
}

fr_rc fr_reply_compatible(const fr_reply *r, fr_arena *a, fr_str *why_out, fr_err *err)
{
    json_t *j;
    *why_out = (fr_str){"", 0};
    FR_TRY(body_of(r, "compatibility", JSON_OBJECT, &j, err));
    const json_t *verdict = json_object_get(j, "is_compatible");
    fr_rc rc = json_is_true(verdict) ? FR_OK : FR_END;
    if (!json_is_boolean(verdict))
        rc = fail_unreadable(r, "compatibility", "JSON without `is_compatible`", err);
    else if (rc == FR_END)
        *why_out = reasons_of(j, a);
    json_decref(j);
    return rc;
}

fr_rc fr_reply_level(const fr_reply *r, int *level_out, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "compatibility level", JSON_OBJECT, &j, err));
    const char *name = fr_json_str(j, "compatibilityLevel", fr_json_str(j, "compatibility", NULL));
    *level_out = name != NULL ? fr_compat_of(name) : -1;
    fr_rc rc = FR_OK;
    if (name == NULL)
        rc = fail_unreadable(r, "compatibility level", "JSON without `compatibilityLevel`", err);
    json_decref(j);
    return rc;
}

fr_rc fr_reply_mode(const fr_reply *r, fr_arena *a, fr_str *mode_out, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "mode", JSON_OBJECT, &j, err));
    *mode_out = tame(a, fr_json_str(j, "mode", ""));
    json_decref(j);
    return mode_out->len > 0 ? FR_OK : fail_unreadable(r, "mode", "JSON without `mode`", err);
}

fr_rc fr_reply_versions(const fr_reply *r, fr_err *err)
{
    json_t *j;
    FR_TRY(body_of(r, "versions", JSON_ARRAY, &j, err));
    fr_rc rc = json_array_size(j) > 0 ? FR_OK : FR_END;
    json_decref(j);
    return rc;
}

static int compare_numbers(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

fr_rc fr_reply_numbers(const fr_reply *r, fr_arena *a, int **out, size_t *count, fr_err *err)
{
    json_t *j;
    fr_rc rc = FR_OK;
    FR_TRY(body_of(r, "versions", JSON_ARRAY, &j, err));
    *count = json_array_size(j);
    *out = fr_arena_alloc(a, (*count + 1) * sizeof(**out));
    for (size_t i = 0; i < *count && rc == FR_OK; i++) {
        const json_t *n = json_array_get(j, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > INT32_MAX)
            rc = fail_unreadable(r, "versions", "JSON of other things than versions", err);
        else
            (*out)[i] = (int)json_integer_value(n);
    }
    json_decref(j);
    qsort(*out, *count, sizeof(**out), compare_numbers);
    return rc;
}
