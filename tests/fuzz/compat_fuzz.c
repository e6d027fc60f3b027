/* Two Avro schemas, separated by a line feed: parsing, comparison both ways, differences. A
 * schema always reads what it wrote itself. */
#include "codec/compat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    if (line == NULL || size > 20000)
        return 0;
    fr_str one = {(const char *)data, (size_t)(line - data)};
    fr_str two = {(const char *)line + 1, size - one.len - 1};
    fr_arena *a = fr_arena_new(0);
    const fr_shape *s;
    fr_err err;
    fr_str text;
    if (fr_shape_parse(a, one, &s, &err) == FR_OK) {
        fr_buf why = {.arena = a};
        fr_shape_text(a, s);
        if (fr_compat_read(a, s, s, &why) != FR_OK &&
            strstr(fr_arena_cstr(a, fr_buf_view(&why)), "TOO_COMPLEX") == NULL)
            abort();
        fr_compat_check(a, FR_COMPAT_FULL_TRANSITIVE, one, &two, 1, &text, &err);
        fr_compat_diff(a, two, one, &text, &err);
    }
    fr_arena_free(a);
    return 0;
}
