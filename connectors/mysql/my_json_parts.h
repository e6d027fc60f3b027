/* What printing and patching of binary JSON share. */
#ifndef FR_MYSQL_MY_JSON_PARTS_H
#define FR_MYSQL_MY_JSON_PARTS_H

#include "base/bytes.h"
#include "base/error.h"
#include <stdlib.h>

enum {
    FR_MY_JSON_SMALL_OBJECT = 0,
    FR_MY_JSON_LARGE_OBJECT = 1,
    FR_MY_JSON_SMALL_ARRAY = 2,
    FR_MY_JSON_LARGE_ARRAY = 3,
    FR_MY_JSON_LITERAL = 4,
    FR_MY_JSON_INT16 = 5,
    FR_MY_JSON_UINT16 = 6,
    FR_MY_JSON_INT32 = 7,
    FR_MY_JSON_UINT32 = 8,
    FR_MY_JSON_INT64 = 9,
    FR_MY_JSON_UINT64 = 10,
    FR_MY_JSON_DOUBLE = 11,
    FR_MY_JSON_STRING = 12,
    FR_MY_JSON_OPAQUE = 15,
};

typedef struct fr_my_json { /* a value within a document; len may reach beyond its end */
    uint8_t type;
    const uint8_t *p;
    size_t len;
} fr_my_json;

fr_rc fr_my_json_open(fr_str binary, fr_my_json *out, fr_err *err);
bool fr_my_json_container(const fr_my_json *j);
bool fr_my_json_is_object(const fr_my_json *j);
/* Checks that all entries are inside; the next two need it. */
fr_rc fr_my_json_count(const fr_my_json *j, size_t *count, fr_err *err);
fr_rc fr_my_json_key(const fr_my_json *j, size_t i, fr_str *out, fr_err *err);
fr_rc fr_my_json_at(const fr_my_json *j, size_t count, size_t i, fr_my_json *out, fr_err *err);
/* b is in an arena. Containers may overlap, so hostile bytes could print without end: DATA
 * when b grows above limit, see fr_my_json_limit. */
fr_rc fr_my_json_print(const fr_my_json *j, fr_buf *b, size_t limit, unsigned depth, fr_err *err);
/* No document prints longer than this: control characters are 6 bytes each, numbers less. */
static inline size_t fr_my_json_limit(size_t bytes)
{
    return bytes * 8 + 256;
}
void fr_my_json_quote(fr_buf *b, fr_str s);

#endif
