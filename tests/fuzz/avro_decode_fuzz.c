/* A schema, a NUL, and data: what fr_avro_to_json makes of foreign bytes. */
#include "codec/decode.h"

#include "base/json.h"
#include "codec/avro_read.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    if (nul == NULL)
        return 0;
    size_t len = (size_t)(nul - data);
    fr_str schema = {(const char *)data, len};
    fr_str bytes = {(const char *)nul + 1, size - len - 1}, out;
    fr_arena *a = fr_arena_new(0);
    fr_err err;
    const fr_avro_node *n;
    if (fr_avro_parse(a, schema, &n, &err) == FR_OK) {
        /* Skipping and reading must agree on what is good. */
        fr_avro_in r = fr_avro_in_of(a, bytes);
        bool skips = fr_avro_skip(&r, n, 0) && fr_in_left(&r.in) == 0;
        bool reads = fr_avro_to_json(a, schema, bytes, &out, &err) == FR_OK;
        if (reads && !skips)
            abort();
        json_t *j =
            reads ? json_loadb(out.ptr, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
        json_decref(j);
    }
    fr_arena_free(a);
    return 0;
}
