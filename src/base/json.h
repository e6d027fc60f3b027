/* Small helpers over jansson, and nothing else. */
#ifndef FR_BASE_JSON_H
#define FR_BASE_JSON_H

#include "base/arena.h"
#include "base/error.h"
#include <jansson.h>

/* Parses text; what is wrong, with line and column, is a DATA error. Duplicate keys are
 * refused. Nesting is limited by jansson to 2048 levels. The caller owns *out. */
fr_rc fr_json_parse(fr_str text, json_t **out, fr_err *err);
/* Compact, keys in insertion order, UTF-8; in the arena. */
fr_str fr_json_text(fr_arena *a, const json_t *j);
/* Typed look-ups; an absent member gives the fallback, a wrong type too. */
const char *fr_json_str(const json_t *obj, const char *key, const char *fallback);
long long fr_json_int(const json_t *obj, const char *key, long long fallback);

#endif
