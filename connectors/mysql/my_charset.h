/* MySQL's and MariaDB's character sets, to UTF-8. One table (my_charset.c); what is neither
 * UTF-8 nor in a table of ours is converted by glibc's iconv.
 * Bytes that are no text in their character set are an error, never U+FFFD (E09). */
#ifndef FR_MYSQL_MY_CHARSET_H
#define FR_MYSQL_MY_CHARSET_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_my_charset {
    const char *name;   /* as CHARACTER_SET_NAME: "utf8mb4", "latin1"; "binary": bytes, no text */
    const char *iconv;  /* NULL: UTF-8 already, or binary */
    uint8_t max_length; /* bytes of a character, at most: lengths in the log are in bytes */
    uint8_t min_length; /* 1; 2 for ucs2 and utf16, 4 for utf32 */
} fr_my_charset;

/* NULL: unknown. "utf8" is utf8mb3. */
const fr_my_charset *fr_my_charset_by_name(fr_str name);
/* Of a collation's number, as TABLE_MAP and result sets have it; 63 is binary. Both families:
 * MariaDB's NOPAD collations (1024 more) and its UCA 14.00 ones (2048 and above) too. */
const fr_my_charset *fr_my_charset_by_collation(uint32_t collation);

/* A conversion: one thread at a time. */
typedef struct fr_my_convert fr_my_convert;
/* CONFIG error "my.charset_unsupported" when this machine's iconv does not know it (a
 * container without glibc's gconv modules); the hint names the package. */
fr_rc fr_my_convert_open(const fr_my_charset *charset, fr_my_convert **out, fr_err *err);
void fr_my_convert_close(fr_my_convert *c); /* NULL is fine */
const fr_my_charset *fr_my_convert_charset(const fr_my_convert *c);
/* Bytes of the smallest character: 1, 2 or 4. */
size_t fr_my_convert_unit(const fr_my_convert *c);
/* in to UTF-8. *out is `in` itself where no byte changes, else in a. DATA error
 * "my.value.charset" that names the character set and the place, never the bytes. */
fr_rc fr_my_to_utf8(fr_my_convert *c, fr_arena *a, fr_str in, fr_str *out, fr_err *err);

#endif
