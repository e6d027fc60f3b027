#include "base/json.h"
#include <stdlib.h>
#include <string.h>

fr_rc fr_json_parse(fr_str text, json_t **out, fr_err *err)
{
    json_error_t e;
    json_t *j = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (j == NULL)
        return fr_fail(err, FR_ERR_DATA, "JSON, line %d column %d: %s", e.line, e.column, e.text);
    *out = j;
    return FR_OK;
}

fr_str fr_json_text(fr_arena *a, const json_t *j)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t n = json_dumpb(j, NULL, 0, flags);
    char *p = fr_arena_raw(a, n + 1);
    json_dumpb(j, p, n, flags);
    p[n] = '\0';
    return (fr_str){p, n};
}

const char *fr_json_str(const json_t *obj, const char *key, const char *fallback)
{
    const char *s = json_string_value(json_object_get(obj, key));
    return s == NULL ? fallback : s;
}

long long fr_json_int(const json_t *obj, const char *key, long long fallback)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}
