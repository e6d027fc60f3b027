/* T.outbox + table -> what a row becomes: columns found, kinds checked, outbox.route taken apart.
 * One thread, the router's. */
#ifndef FR_TRANSFORM_OUTBOX_H
#define FR_TRANSFORM_OUTBOX_H

#include "model/route.h"

/* Sets route->outbox and route->key, and route->topic where no column of the row is in
 * outbox.route; all in the arena. vars: what a template may name beside columns. CONFIG when a
 * column is not there, or the payload's is neither text, JSON nor bytes. */
fr_rc fr_outbox_compile(fr_arena *a, fr_route *route, const fr_pair *vars, size_t count,
                        fr_err *err);

#endif
