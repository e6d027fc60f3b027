/* What columns.mask does to a value. Pure, but for the key that a hasher holds; one thread. */
#ifndef FR_TRANSFORM_MASK_H
#define FR_TRANSFORM_MASK_H

#include "base/error.h"
#include "model/table.h"

typedef enum fr_mask_kind {
    FR_MASK_NONE,
    FR_MASK_HASH,   /* HMAC-SHA256 of the value's text, in hex: equal values stay equal */
    FR_MASK_REDACT, /* "***" */
    FR_MASK_NULL,
    FR_MASK_KEEP, /* "***" and the last characters */
} fr_mask_kind;
typedef struct fr_mask {
    fr_mask_kind kind;
    unsigned keep; /* KEEP: 1 to 64 */
} fr_mask;

enum { FR_MASK_KEY_LEAST = 16 }; /* bytes of a key of hashes */

/* "hash", "redact", "null", "keep_last: 4". False: it is none of them. */
bool fr_mask_parse(const char *text, fr_mask *out);
/* NULL: a column of this kind can be masked so; else what to do instead. */
const char *fr_mask_refused(const fr_mask *m, fr_kind kind);
/* The column as it is published: its kind, and whether it may be NULL. */
void fr_mask_column(const fr_mask *m, fr_column *c);

typedef struct fr_hasher fr_hasher;                                  /* HMAC-SHA256 with one key */
fr_rc fr_hasher_open(const char *key, fr_hasher **out, fr_err *err); /* BUG: no such algorithm */
void fr_hasher_close(fr_hasher *h);                                  /* NULL is fine */

/* *v is a value of column c, which is not masked; afterwards one of the masked column, in the
 * arena. NULL stays NULL, ABSENT stays ABSENT (but by null). h: of HASH. */
fr_rc fr_mask_value(const fr_mask *m, fr_hasher *h, fr_arena *a, const fr_column *c, fr_value *v,
                    fr_err *err);

#endif
