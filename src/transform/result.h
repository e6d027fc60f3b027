/* What an expression gave, as a value of the field that it is for: it fits as it is, or not at all.
 * Pure. */
#ifndef FR_TRANSFORM_RESULT_H
#define FR_TRANSFORM_RESULT_H

#include "transform/expr.h"

typedef struct fr_field_type {
    fr_kind kind;
    int16_t precision, scale; /* of a DECIMAL */
} fr_field_type;

/* In the arena. False: it does not fit. */
bool fr_result_value(fr_arena *a, const fr_field_type *f, const fr_result *x, fr_value *v);

#endif
