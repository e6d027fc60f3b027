#include "codec/avro_read.h"
#include "codec/debezium_read.h"
#include "codec/decode.h"
#include <math.h>

/* Names are repeated for each item, so a small message may have a large text. */
#define MAX_TEXT ((size_t)256 << 20)

/* Bytes in an array are as PostgreSQL prints them, which is how sources have them. */
static bool item_json(fr_avro_in *r, const fr_avro_node *n, fr_buf *out, unsigned depth)
{
    fr_value v;
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(r, n, &n))
        return false;
    if ((n->tag != FR_AVRO_BYTES && n->tag != FR_AVRO_FIXED) ||
        fr_avro_scalar_of(n).kind != FR_BYTES)
        return fr_avro_json_read(r, n, out, depth);
    if (!fr_avro_scalar_read(r, n, fr_avro_scalar_of(n), &v))
        return false;
    fr_buf_text(out, "\"\\\\x");
    fr_buf_hex(out, v.bytes);
    fr_buf_u8(out, '"');
    return true;
}

static bool items_json(fr_avro_in *r, const fr_avro_node *n, fr_buf *out, unsigned depth)
{
    bool map = n->tag == FR_AVRO_MAP;
    size_t count;
    fr_str key;
    bool first = true;
    fr_buf_u8(out, map ? '{' : '[');
    while (fr_avro_block(r, &count) && count > 0) {
        for (size_t i = 0; i < count; i++) {
            if (!first)
                fr_buf_u8(out, ',');
            first = false;
            if (map) {
                if (!fr_avro_string(r, &key))
                    return false;
                fr_buf_json(out, key);
                fr_buf_u8(out, ':');
            }
            if (!(map ? fr_avro_json_read : item_json)(r, n->members[0], out, depth + 1))
                return false;
        }
    }
    fr_buf_u8(out, map ? '}' : ']');
    return r->why == NULL;
}

static bool record_json(fr_avro_in *r, const fr_avro_node *n, fr_buf *out, unsigned depth)
{
    fr_kind kind;
    fr_value v;
    fr_dbz_reading how = fr_dbz_reading_of(n, &kind);
    if (how != FR_DBZ_READ_PLAIN) {
        if (!fr_dbz_read(r, n, how, &v))
            return false;
        fr_buf_json(out, v.bytes);
        return true;
    }
    fr_buf_u8(out, '{');
    for (size_t i = 0; i < n->count; i++) {
        if (i > 0)
            fr_buf_u8(out, ',');
        fr_buf_json(out, n->fields[i].name);
        fr_buf_u8(out, ':');
        if (!fr_avro_json_read(r, n->fields[i].type, out, depth + 1))
            return false;
    }
    fr_buf_u8(out, '}');
    return true;
}

static bool scalar_json(fr_avro_in *r, const fr_avro_node *n, fr_buf *out)
{
    fr_avro_scalar s = fr_avro_scalar_of(n);
    fr_value v;
    if (!fr_avro_scalar_read(r, n, s, &v))
        return false;
    fr_column c = {.name = FR_STR(""), .kind = s.kind, .precision = s.precision, .scale = s.scale};
    if (s.kind == FR_FLOAT32 && isfinite(v.real)) /* 0.1 is 0.1 */
        fr_buf_str(out, fr_value_text(r->arena, &c, &v));
    else
        fr_value_json(out, &c, &v);
    return true;
}

bool fr_avro_json_read(fr_avro_in *r, const fr_avro_node *n, fr_buf *out, unsigned depth)
{
    if (depth > FR_AVRO_MAX_DEPTH)
        return fr_avro_bad(r, "nested deeper than 64 levels");
    if (out->len > MAX_TEXT)
        return fr_avro_bad(r, "its text would be longer than 256 MiB");
    switch (n->tag) {
    case FR_AVRO_NULL:
        fr_buf_text(out, "null");
        return true;
    case FR_AVRO_UNION:
        return fr_avro_branch(r, n, &n) && fr_avro_json_read(r, n, out, depth + 1);
    case FR_AVRO_ARRAY:
    case FR_AVRO_MAP:
        return items_json(r, n, out, depth);
    case FR_AVRO_RECORD:
        return record_json(r, n, out, depth);
    default:
        return scalar_json(r, n, out);
    }
}

fr_rc fr_avro_to_json(fr_arena *a, fr_str schema, fr_str data, fr_str *out, fr_err *err)
{
    const fr_avro_node *n;
    FR_TRY(fr_avro_parse(a, schema, &n, err));
    fr_avro_in r = fr_avro_in_of(a, data);
    r.filled = true; /* it is shown as it is */
    fr_buf b = {.arena = a};
    bool good = fr_avro_json_read(&r, n, &b, 0);
    if (good && fr_in_left(&r.in) > 0)
        good = fr_avro_bad(&r, "bytes are left over after the value");
    if (!good) {
        fr_fail(err, FR_ERR_DATA, "Avro data: %s", r.why);
        return fr_fail_code(err, "avro.data");
    }
    *out = fr_buf_view(&b);
    return FR_OK;
}
