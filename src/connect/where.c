#include "connect/where.h"
#include "base/bytes.h"

void fr_where_probes(fr_arena *a, fr_str from, fr_str where, const char *out[FR_WHERE_PROBES])
{
    fr_buf one = {.arena = a}, other = {.arena = a};
    fr_buf_printf(&one, "SELECT 1 FROM %.*s WHERE (\n", FR_ARG(from));
    fr_buf_str(&one, where);
    fr_buf_text(&one, "\n) LIMIT 0");
    fr_buf_u8(&one, '\0');
    fr_buf_text(&other, "SELECT CASE WHEN\n");
    fr_buf_str(&other, where);
    fr_buf_printf(&other, "\nTHEN 1 END FROM %.*s LIMIT 0", FR_ARG(from));
    fr_buf_u8(&other, '\0');
    out[0] = (const char *)one.ptr;
    out[1] = (const char *)other.ptr;
}
