/* Values of SQLite to ours and back to SQL. Nothing is converted that would change: a value of
 * another storage class than its column's is a DATA error. Pure. */
#ifndef FR_SQLITE_SQ_VALUE_H
#define FR_SQLITE_SQ_VALUE_H

#include "connectors/sqlite/sq_types.h"

/* One value as SQLite has it. */
typedef struct fr_sq_cell {
    int class; /* SQLITE_INTEGER, _FLOAT, _TEXT, _BLOB, _NULL */
    int64_t integer;
    double real;
    fr_str bytes; /* TEXT, BLOB */
} fr_sq_cell;

/* What out points to is in the arena, cell's bytes are copied. An ordered time must be of the
 * column's clock: FR_IDLE where it is, but shows more of it than was known (out is set). */
fr_rc fr_sq_decode(const fr_sq_column *c, const fr_sq_cell *cell, fr_arena *a, fr_value *out,
                   fr_err *err);
/* A value as text that fr_sq_put_value understands. */
fr_str fr_sq_value_text(fr_arena *a, const fr_sq_column *c, const fr_value *v);
/* False: the text is none of the column's. */
bool fr_sq_put_value(fr_buf *b, const fr_sq_column *c, fr_str text);
/* A number without exponent that is just this one: 0.1, not 0.1000000000000000055. False: an
 * infinity. */
bool fr_sq_real_text(fr_arena *a, double v, fr_str *out);

#endif
