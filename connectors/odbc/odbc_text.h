/* UTF-8 here, UTF-16 at the drivers; and connection strings. One thread at a time. */
#ifndef FR_ODBC_ODBC_TEXT_H
#define FR_ODBC_ODBC_TEXT_H

#include "base/arena.h"
#include "base/error.h"
#include <iconv.h>
#include <stdint.h>

typedef struct fr_odbc_text { /* the C library's converters */
    iconv_t to_utf8, to_utf16;
} fr_odbc_text;

void fr_odbc_text_open(fr_odbc_text *t);
void fr_odbc_text_close(fr_odbc_text *t);
/* bytes of UTF-16 in this machine's order. DATA "odbc.value.text": a surrogate that has no other
 * half, or half a unit. */
fr_rc fr_odbc_from_utf16(fr_odbc_text *t, fr_arena *a, const void *ptr, size_t bytes, fr_str *out,
                         fr_err *err);
/* Ends with a zero unit, which units_out does not count. DATA: no UTF-8. */
fr_rc fr_odbc_to_utf16(fr_odbc_text *t, fr_arena *a, fr_str s, uint16_t **out, size_t *units_out,
                       fr_err *err);

/* The connection string to use: dsn, with the password behind it in ODBC's quoting. CONFIG
 * "odbc.dsn": it is no list of KEYWORD=value; "odbc.dsn_password": a password stands in it. */
fr_rc fr_odbc_connection_string(fr_arena *a, const char *dsn, const char *password, fr_str *out,
                                fr_err *err);

#endif
