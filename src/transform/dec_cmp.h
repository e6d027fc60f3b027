/* Decimals of any width against one that is written: dec_cmp of expressions. Pure. */
#ifndef FR_TRANSFORM_DEC_CMP_H
#define FR_TRANSFORM_DEC_CMP_H

#include "model/table.h"

/* v: a DECIMAL or integer of column c. *out: -1, 0 or 1. False: text is no decimal, [+-]digits with
 * or without a point. */
bool fr_dec_cmp(fr_arena *a, const fr_column *c, const fr_value *v, fr_str text, int *out);

#endif
