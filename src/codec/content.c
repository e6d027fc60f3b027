#include "codec/content.h"
#include "base/map.h"
#include "codec/avro_read.h"
#include "codec/avro_type.h"
#include "codec/avro_write.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape { /* of one value schema */
    const fr_avro_node *value;
    int after; /* its field; -1: the value is the row itself */
} shape;

struct fr_contents {
    fr_registry *registry;
    fr_arena *arena, *scratch;
    fr_map *shapes; /* by the schema's id */
    int32_t newest_id;
    const shape *newest;
};

fr_contents *fr_contents_new(fr_registry *registry)
{
    fr_contents *c = fr_malloc(sizeof(*c));
    c->registry = registry;
    c->arena = fr_arena_new(0);
    c->scratch = fr_arena_new(256);
    c->shapes = fr_map_new();
    return c;
}

void fr_contents_free(fr_contents *c)
{
    if (c == NULL)
        return;
    fr_map_free(c->shapes, NULL);
    fr_arena_free(c->scratch);
    fr_arena_free(c->arena);
    free(c);
}

static fr_rc bad(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    return fr_fail_code(err, "compare.message");
}

static int32_t schema_of(fr_str bytes)
{
    fr_in in = fr_in_of((fr_str){bytes.ptr + 1, 4});
    return (int32_t)fr_in_u32be(&in);
}

static fr_rc new_shape(fr_contents *c, int32_t id, const shape **out, fr_err *err)
{
    fr_str text;
    shape *s = fr_arena_alloc(c->arena, sizeof(*s));
    FR_TRY(fr_registry_schema(c->registry, id, &text, err));
    FR_TRY(fr_avro_parse(c->arena, text, &s->value, err));
    if (s->value->tag != FR_AVRO_RECORD)
        return bad(err, "its value is no record");
    s->after = fr_avro_find(s->value, "op") < 0 ? -1 : fr_avro_find(s->value, "after");
    if (s->after >= 0) {
        const fr_avro_node *type = s->value->fields[s->after].type;
        if (type->tag != FR_AVRO_UNION)
            return bad(err, "its value has no rows that may be missing");
    }
    fr_map_set_u64(c->shapes, (uint64_t)(uint32_t)id, s);
    *out = s;
    return FR_OK;
}

static fr_rc shape_of(fr_contents *c, int32_t id, const shape **out, fr_err *err)
{
    if (c->newest != NULL && c->newest_id == id) {
        *out = c->newest;
        return FR_OK;
    }
    const shape *s = fr_map_get_u64(c->shapes, (uint64_t)(uint32_t)id);
    if (s == NULL)
        FR_TRY(new_shape(c, id, &s, err));
    c->newest = s;
    c->newest_id = id;
    *out = s;
    return FR_OK;
}

/* The bytes of the row after the change; ptr NULL: there is none. */
static fr_rc row_of(fr_contents *c, const shape *s, fr_str body, fr_str *out, fr_err *err)
{
    *out = body;
    if (s->after < 0)
        return FR_OK;
    fr_arena_reset(c->scratch);
    fr_avro_in r = fr_avro_in_of(c->scratch, body);
    for (int i = 0; i < s->after; i++)
        if (!fr_avro_skip(&r, s->value->fields[i].type, 1))
            return bad(err, r.why);
    const fr_avro_node *row;
    if (!fr_avro_branch(&r, s->value->fields[s->after].type, &row))
        return bad(err, r.why);
    const uint8_t *from = r.in.at;
    if (!fr_avro_skip(&r, row, 1))
        return bad(err, r.why);
    *out = row->tag == FR_AVRO_NULL ? (fr_str){NULL, 0}
                                    : (fr_str){(const char *)from, (size_t)(r.in.at - from)};
    return FR_OK;
}

static fr_rc print_row(int32_t id, fr_str row, uint8_t *print, fr_err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint32_t number = (uint32_t)id;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, &number, sizeof(number)) == 1 &&
                EVP_DigestUpdate(md, row.ptr, row.len) == 1 &&
                EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (!good)
        return fr_fail(err, FR_ERR_BUG, "the content of a row cannot be hashed");
    memcpy(print, digest, FR_CONTENT_PRINT);
    return FR_OK;
}

fr_rc fr_content_of(fr_contents *c, fr_str payload, bool *gone, uint8_t *print, fr_err *err)
{
    const shape *s;
    fr_str row;
    *gone = payload.ptr == NULL;
    if (*gone)
        return FR_OK;
    if (payload.len < FR_WIRE_HEADER || payload.ptr[0] != 0)
        return bad(err, "its value has no schema");
    int32_t id = schema_of(payload);
    FR_TRY(shape_of(c, id, &s, err));
    fr_str body = {payload.ptr + FR_WIRE_HEADER, payload.len - FR_WIRE_HEADER};
    FR_TRY(row_of(c, s, body, &row, err));
    *gone = row.ptr == NULL;
    return *gone || print == NULL ? FR_OK : print_row(id, row, print, err);
}

/* ---- keys ---- */

static bool key_value(fr_avro_in *r, fr_kind kind, fr_value *v)
{
    v->kind = kind;
    switch (kind) {
    case FR_BOOL:
        v->boolean = fr_in_u8(&r->in) != 0;
        break;
    case FR_FLOAT32: {
        uint32_t bits = fr_in_u32le(&r->in);
        float f;
        memcpy(&f, &bits, sizeof(f));
        v->real = (double)f;
        break;
    }
    case FR_FLOAT64: {
        uint64_t bits = fr_in_u64le(&r->in);
        memcpy(&v->real, &bits, sizeof(bits));
        break;
    }
    case FR_DECIMAL:
    case FR_BYTES:
        return fr_avro_bytes(r, &v->bytes);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        return fr_avro_string(r, &v->bytes);
    default:
        return fr_avro_long(r, &v->integer);
    }
    return !r->in.bad;
}

fr_rc fr_key_values(const fr_route *route, fr_str key, fr_value *values, fr_err *err)
{
    if (key.len < FR_WIRE_HEADER || key.ptr[0] != 0)
        return bad(err, "a key without schema");
    fr_avro_in r =
        fr_avro_in_of(NULL, (fr_str){key.ptr + FR_WIRE_HEADER, key.len - FR_WIRE_HEADER});
    for (size_t i = 0; i < route->table->column_count; i++)
        values[i] = (fr_value){.kind = FR_ABSENT};
    for (size_t i = 0; i < route->key_count; i++)
        if (!key_value(&r, route->table->columns[route->key[i]].kind, &values[route->key[i]]))
            return bad(err, "a key of other columns");
    return fr_in_left(&r.in) == 0 ? FR_OK : bad(err, "a key of other columns");
}

fr_rc fr_key_is_plain(const fr_route *route, fr_err *err)
{
    for (size_t i = 0; i < route->key_count; i++) {
        fr_avro_type t;
        FR_TRY(fr_avro_type_of(route, route->key[i], &t, err));
        if (!t.cast)
            continue;
        fr_fail(err, FR_ERR_CONFIG,
                "column %.*s of the key has another type in columns.types or its contract, so that "
                "a published key cannot be compared with the table",
                FR_ARG(route->table->columns[route->key[i]].name));
        fr_fail_code(err, "compare.key");
        return fr_fail_hint(err,
                            "give it the column's own type there, or make a view with that type");
    }
    return FR_OK;
}
