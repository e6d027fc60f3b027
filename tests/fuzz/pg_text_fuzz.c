/* Text values of every type, and rows of COPY in text format. */
#include "tests/fuzz/pg_value_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    if (!fr_fuzz_codec(catalog, a, data, &c)) {
        fr_fuzz_copy(catalog, a, in, false);
    } else if ((data[1] & 8) != 0) {
        fr_str json = fr_pg_default_literal(a, &c, in);
        fr_fuzz_require(json.len == 0 || fr_utf8_valid(json));
    } else if (fr_pg_decode_text(&c, a, in, &v, &err) == FR_OK) {
        fr_fuzz_require(v.kind == c.kind);
        fr_fuzz_require(!fr_fuzz_text_kind(v.kind) || fr_utf8_valid(v.bytes));
    } else {
        fr_fuzz_require(err.kind == FR_ERR_DATA && err.code[0] != '\0');
    }
    fr_arena_free(a);
    fr_pg_catalog_free(catalog);
    return 0;
}
