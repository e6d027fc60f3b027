/* JSON arrays as array literals: whatever comes in, what goes out has balanced quotes and
 * braces, so that it is one value to the server. */
#include "postgres/pg_sink_value.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void balanced(fr_str s)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (s.ptr[i] == '{') - (s.ptr[i] == '}');
        if (depth < 1 && i + 1 < s.len)
            abort();
    }
    if (quoted || depth != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_buf out = {.ptr = NULL};
    fr_err err;
    if (fr_pg_array_literal(&out, (fr_str){(const char *)data, size}, &err) == FR_OK)
        balanced(fr_buf_view(&out));
    fr_buf_free(&out);
    return 0;
}
