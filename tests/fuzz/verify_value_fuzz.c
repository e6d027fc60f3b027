/* Canonical texts of what databases print: made once they stay, and what is read of them is the
 * same. The first byte is the kind. */
#include "connect/verify.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    fr_kind kind = (fr_kind)(FR_BOOL + data[0] % (FR_KIND_COUNT - FR_BOOL));
    fr_arena *a = fr_arena_new(0);
    fr_str raw = {(const char *)data + 1, size - 1};
    fr_str once = fr_verify_canonical(a, kind, raw);
    bool digits = kind == FR_INT32 || kind == FR_INT64 || kind == FR_DECIMAL || kind == FR_UUID;
    if (digits && !fr_str_eq(fr_verify_canonical(a, kind, once), once))
        abort();
    fr_str readable = fr_verify_readable(a, kind, once);
    bool real = kind == FR_FLOAT64 && once.len == 16 && !fr_str_eq(once, raw);
    if (real && !fr_str_eq(fr_verify_canonical(a, kind, readable), once))
        abort();
    fr_arena_free(a);
    return 0;
}
