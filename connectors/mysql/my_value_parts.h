/* What the files of my_value share. */
#ifndef FR_MYSQL_MY_VALUE_PARTS_H
#define FR_MYSQL_MY_VALUE_PARTS_H

#include "connectors/mysql/my_types_table.h"
#include "connectors/mysql/my_value.h"
#include <string.h>

/* fr_in_take, inlined: a row is read with it value by value. NULL: it ends too early. */
static inline const uint8_t *fr_my_take(fr_in *in, size_t n)
{
    if (in->bad || fr_in_left(in) < n) {
        in->bad = true;
        in->at = in->end;
        return NULL;
    }
    const uint8_t *p = in->at;
    in->at += n;
    return p;
}
/* n <= 8 bytes; 0 and in->bad when there are fewer. */
static inline uint64_t fr_my_take_le(fr_in *in, size_t n)
{
    uint64_t v = 0;
    const uint8_t *p = fr_my_take(in, n);
    for (size_t i = n; p != NULL && i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}
static inline uint64_t fr_my_take_be(fr_in *in, size_t n)
{
    uint64_t v = 0;
    const uint8_t *p = fr_my_take(in, n);
    for (size_t i = 0; p != NULL && i < n; i++)
        v = v << 8 | p[i];
    return v;
}
/* The protocol's length-encoded integer; NULL's and an error's first byte set in->bad. */
uint64_t fr_my_take_packed(fr_in *in);

/* DATA, "my.value.malformed". */
fr_rc fr_my_malformed(fr_err *err, const char *what);
fr_rc fr_my_ended(fr_err *err); /* the event ends in the middle of a value */

/* Where a value of a number is put: as the codec's kind. negative: v is an int64_t. */
void fr_my_put_integer(const fr_my_codec *c, fr_arena *a, uint64_t v, bool negative, fr_value *out);
void fr_my_put_float(const fr_my_codec *c, fr_arena *a, double v, fr_value *out);
void fr_my_put_bits(const fr_my_codec *c, fr_arena *a, uint64_t v, fr_value *out);
/* The shortest digits that read back as v. */
void fr_my_float_render(double v, bool single, fr_buf *out);
fr_rc fr_my_decimal_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err);
/* Bytes of a NEWDECIMAL. */
size_t fr_my_decimal_size(uint16_t meta);
fr_rc fr_my_number_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);
fr_rc fr_my_number_binary(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);

fr_rc fr_my_time_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err);
size_t fr_my_time_size(fr_my_wire wire, uint16_t meta); /* of a temporal wire type; 0: none */
fr_rc fr_my_time_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);
fr_rc fr_my_time_binary(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);

/* Strings of all sorts: content is without its length. image: as it is stored; else as the
 * server prints it. */
fr_rc fr_my_string(const fr_my_codec *c, fr_arena *a, fr_str content, bool image, fr_value *out,
                   fr_err *err);
fr_rc fr_my_label(const fr_my_codec *c, fr_arena *a, uint64_t v, fr_value *out, fr_err *err);
/* MariaDB's compressed columns. */
fr_rc fr_my_inflate_column(fr_arena *a, fr_str in, fr_str *out, fr_err *err);

#endif
