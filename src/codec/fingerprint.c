#include "codec/fingerprint.h"

#include "base/map.h"
#include "codec/avro_parse.h"

#include <openssl/evp.h>

#define CRC64_EMPTY UINT64_C(0xC15D213AA4D7A795)

enum { CRC64_BYTES = 8, SHA256_BYTES = 32 };

typedef struct form {
    fr_buf *b;
    fr_map *seen; /* full names that were written */
} form;

static void put_type(form *f, const fr_avro_node *n);

/* [ORDER]: name, type, fields, symbols, items, values, size. */
static void put_named(form *f, const fr_avro_node *n)
{
    if (fr_map_set(f->seen, n->name, f) != NULL) {
        fr_buf_json(f->b, n->name);
        return;
    }
    fr_buf_text(f->b, "{\"name\":");
    fr_buf_json(f->b, n->name);
    fr_buf_printf(f->b, ",\"type\":\"%s\"", fr_avro_word(n->tag));
    if (n->tag == FR_AVRO_FIXED) {
        fr_buf_printf(f->b, ",\"size\":%zu}", n->size);
        return;
    }
    fr_buf_text(f->b, n->tag == FR_AVRO_ENUM ? ",\"symbols\":[" : ",\"fields\":[");
    for (size_t i = 0; i < n->count; i++) {
        fr_buf_text(f->b, i > 0 ? "," : "");
        if (n->tag == FR_AVRO_ENUM) {
            fr_buf_json(f->b, n->symbols[i]);
            continue;
        }
        fr_buf_text(f->b, "{\"name\":");
        fr_buf_json(f->b, n->fields[i].name);
        fr_buf_text(f->b, ",\"type\":");
        put_type(f, n->fields[i].type);
        fr_buf_u8(f->b, '}');
    }
    fr_buf_text(f->b, "]}");
}

static void put_type(form *f, const fr_avro_node *n)
{
    switch (n->tag) {
    case FR_AVRO_RECORD:
    case FR_AVRO_ENUM:
    case FR_AVRO_FIXED:
        put_named(f, n);
        return;
    case FR_AVRO_ARRAY:
    case FR_AVRO_MAP:
        fr_buf_printf(f->b, "{\"type\":\"%s\",\"%s\":", fr_avro_word(n->tag),
                      n->tag == FR_AVRO_ARRAY ? "items" : "values");
        put_type(f, n->members[0]);
        fr_buf_u8(f->b, '}');
        return;
    case FR_AVRO_UNION:
        fr_buf_u8(f->b, '[');
        for (size_t i = 0; i < n->count; i++) {
            fr_buf_text(f->b, i > 0 ? "," : "");
            put_type(f, n->members[i]);
        }
        fr_buf_u8(f->b, ']');
        return;
    default:
        fr_buf_printf(f->b, "\"%s\"", fr_avro_word(n->tag));
    }
}

fr_rc fr_parsing_form(fr_arena *a, fr_str schema, fr_str *out, fr_err *err)
{
    const fr_avro_node *n;
    FR_TRY(fr_avro_parse(a, schema, &n, err));
    fr_buf b = {.arena = a};
    form f = {.b = &b, .seen = fr_map_new()};
    put_type(&f, n);
    fr_map_free(f.seen, NULL);
    *out = fr_buf_view(&b);
    return FR_OK;
}

/* The specification's own polynomial and its order of bits; no library has it. */
static uint64_t crc64_avro(fr_str text)
{
    uint64_t fp = CRC64_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        fp ^= (uint8_t)text.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            fp = (fp >> 1) ^ (CRC64_EMPTY & -(fp & 1));
    }
    return fp;
}

static void put_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

fr_rc fr_fingerprint_of(fr_arena *a, fr_str schema, fr_fingerprint *out, fr_err *err)
{
    fr_str text;
    uint8_t crc[CRC64_BYTES], sha[EVP_MAX_MD_SIZE];
    FR_TRY(fr_parsing_form(a, schema, &text, err));
    uint64_t fp = crc64_avro(text);
    for (size_t i = 0; i < CRC64_BYTES; i++)
        crc[i] = (uint8_t)(fp >> 8 * i);
    put_hex(out->crc64, crc, CRC64_BYTES);
    if (EVP_Digest(text.ptr, text.len, sha, NULL, EVP_sha256(), NULL) != 1)
        return fr_fail(err, FR_ERR_BUG, "OpenSSL has no SHA-256");
    put_hex(out->sha256, sha, SHA256_BYTES);
    return FR_OK;
}
