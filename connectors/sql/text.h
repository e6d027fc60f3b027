/* Values as the text that SQL databases read and write themselves: "2026-11-26 08:26:11.402000",
 * "-00:00:00.000001", "-12.30", "0.1", "true". Pure. */
#ifndef FR_SQL_TEXT_H
#define FR_SQL_TEXT_H

#include "base/bytes.h"
#include "model/table.h"

/* Appends v, which is neither NULL nor ABSENT; c: its column. Fractions of a second have six digits
 * or none; floats as few digits as read back the same; TEXT, JSON, UUID and BYTES are as they are.
 */
void fr_sql_put_value(fr_buf *out, const fr_column *c, const fr_value *v);
/* Of a DECIMAL: "-12.30", with exactly scale digits after the point. */
void fr_sql_put_decimal(fr_buf *out, fr_str unscaled, int scale);

/* The value of a canonical text (connect/verify.h); scale: of a DECIMAL. Borrows from the text, and
 * from the arena. False: it is none of the kind. */
bool fr_sql_value_of(fr_arena *a, fr_kind kind, fr_str canonical, fr_value *out, int16_t *scale);
/* What a sink writes of it into a text column. A DECIMAL is without zeros at its end, BYTES are
 * hexadecimal; what is no canonical text of the kind is as it is. */
void fr_sql_put_canonical(fr_buf *out, fr_kind kind, fr_str canonical);
/* Whether it is a whole number of 64 bits, in digits; *out may be NULL. */
bool fr_sql_whole(fr_str text, int64_t *out);

/* A name in double quotes, whatever is in it. */
fr_str fr_sql_ident(fr_arena *a, fr_str name);

#endif
