/* Any bytes as a schema: parsed or refused; a canonical text is its own canonical text. */
#include "codec/registry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_arena *a = fr_arena_new(0);
    fr_str text = {(const char *)data, size}, once, twice;
    fr_err err;
    if (fr_avro_canonical(a, text, &once, &err) == FR_OK) {
        if (fr_avro_canonical(a, once, &twice, &err) != FR_OK || !fr_str_eq(once, twice))
            abort();
    } else if (err.text[0] == '\0') {
        abort();
    }
    fr_arena_free(a);
    return 0;
}
