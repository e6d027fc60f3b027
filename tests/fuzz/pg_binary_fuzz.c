/* Binary values of every type, and rows of binary COPY. What decodes must be what its own
 * text decodes to. */
#include "base/json.h"
#include "tests/fuzz/pg_value_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const fr_pg_codec *c, fr_arena *a, fr_str in, const fr_value *v)
{
    fr_pg_codec as_text = *c;
    fr_value text, again;
    fr_err err;
    fr_fuzz_require(v->kind == c->kind);
    fr_fuzz_require(!fr_fuzz_text_kind(v->kind) || fr_utf8_valid(v->bytes));
    if (c->wire == FR_PG_WIRE_ARRAY) {
        json_t *json = NULL;
        if (in.len > 0 && memchr(v->bytes.ptr, '\0', v->bytes.len) == NULL &&
            strstr(fr_arena_cstr(a, v->bytes), "\\u0000") == NULL)
            fr_fuzz_require(fr_json_parse(v->bytes, &json, &err) == FR_OK);
        json_decref(json);
        return;
    }
    if (c->as_text || c->wire == FR_PG_WIRE_BOOL || c->wire == FR_PG_WIRE_MONEY)
        return; /* whose text is ours, and not the server's */
    as_text.as_text = true;
    as_text.kind = FR_TEXT;
    fr_fuzz_require(fr_pg_decode_binary(&as_text, a, in, &text, &err) == FR_OK);
    fr_fuzz_require(fr_pg_decode_text(c, a, text.bytes, &again, &err) == FR_OK);
    fr_fuzz_require(fr_fuzz_same(v, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    fr_pg_catalog *catalog = fr_pg_catalog_new();
    fr_arena *a = fr_arena_new(0);
    fr_str in = {(const char *)data + 2, size - 2};
    fr_pg_codec c;
    fr_value v;
    fr_err err;
    if (!fr_fuzz_codec(catalog, a, data, &c))
        fr_fuzz_copy(catalog, a, in, true);
    else if (fr_pg_decode_binary(&c, a, in, &v, &err) == FR_OK)
        check(&c, a, in, &v);
    else
        fr_fuzz_require(err.kind == FR_ERR_DATA && err.code[0] != '\0');
    fr_arena_free(a);
    fr_pg_catalog_free(catalog);
    return 0;
}
