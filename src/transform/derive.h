/* Derived events: filter, columns.rename, .derive, .mask and poll.delete_when of a table, compiled
 * once per table version into what makes published events of the source's (docs/expressions.md,
 * docs/adr/0035). Expressions and the filter see the source's own values; masks come last. One
 * thread, the router's. */
#ifndef FR_TRANSFORM_DERIVE_H
#define FR_TRANSFORM_DERIVE_H

#include "model/route.h"
#include "transform/expr.h"
#include "transform/mask.h"
#include "transform/rule_text.h"

typedef struct fr_derive fr_derive;

typedef struct fr_derive_tools { /* of one router; what is not needed is not made */
    const char *mask_key;        /* NULL: none */
    fr_sandbox *sandbox;
    fr_hasher *hasher;
    fr_matcher *matcher; /* of rules */
    uint64_t filtered;   /* events that filters have left out */
} fr_derive_tools;
void fr_derive_tools_close(fr_derive_tools *t);

/* The kind of a field of columns.derive whose columns.types says this; FR_NULL: it is none. */
fr_kind fr_derive_kind(const char *type, int16_t *precision, int16_t *scale);
/* Something of all this is set for the table. */
bool fr_derive_wanted(const fr_table_settings *s);
/* Sets route->derive, ->apply, and ->table to the published one (with a reference for the route);
 * route->source is the table that it is made of. CONFIG, with the place in the configuration. */
fr_rc fr_derive_compile(fr_arena *a, fr_derive_tools *tools, fr_route *route, fr_err *err);

fr_derive_apply fr_derive_apply_event; /* what route->apply then is */

/* All that follows takes a route without derive, too. */

const fr_mask *fr_derive_mask_of(const fr_route *r, size_t column); /* NULL: it is not masked */
/* A value of the source's column becomes what may be shown of it, in the arena. */
fr_rc fr_derive_mask(const fr_route *r, fr_arena *a, size_t column, fr_value *v, fr_err *err);
/* What the filter says of a row of the source. DATA: it has no result. */
fr_rc fr_derive_passes(const fr_route *r, const fr_event *e, const fr_row *row, bool *out,
                       fr_err *err);
bool fr_derive_filter_reads(const fr_route *r, size_t column);
/* "filter", or the field, whose expression reads this column; NULL: none does. */
const char *fr_derive_reader(const fr_route *r, size_t column);

#endif
