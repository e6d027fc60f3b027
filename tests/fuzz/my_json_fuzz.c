/* Binary JSON, and differences on it (fuzz target 7): two bytes of length, the document, then the
 * differences. */
#include "connectors/mysql/my_json.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    n = n < size - 2 ? n : size - 2;
    fr_str before = {(const char *)data + 2, n}, diffs = {before.ptr + n, size - 2 - n}, out;
    fr_arena *a = fr_arena_new(0);
    fr_err err;
    if (fr_my_json_text(a, before, &out, &err) == FR_OK &&
        (!fr_utf8_valid(out) || out.len > n * 16 + 1024))
        abort();
    if (fr_my_json_patch(a, before, diffs, &out, &err) == FR_OK && !fr_utf8_valid(out))
        abort();
    fr_arena_free(a);
    return 0;
}
