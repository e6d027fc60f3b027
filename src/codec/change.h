/* schema.on_change: may this table's row become another one? The registry judges what
 * consumers can read; this judges what the owner of the pipeline allowed. */
#ifndef FR_CODEC_CHANGE_H
#define FR_CODEC_CHANGE_H

#include "codec/registry.h"
#include "model/route.h"

/* old and next: value schemas of the route's envelope, as registered and as they would be.
 * FR_OK when every column that was added, dropped, renamed or changed may be (on_change
 * evolve); SCHEMA error that names the columns and the key to set: schema.on_change where that says
 * stop, schema.blocked where it says block. A column was renamed when at the place of one that went
 * stands a new one of the same type. The `source`
 * record and the rest of the envelope are freshet's own and not judged. Pure. */
fr_rc fr_change_allowed(fr_arena *a, const fr_route *route, fr_str old, fr_str next, fr_err *err);

/* The same against the schema that was published last, by its id in the registry. FR_END: the
 * registry does not have it, or has one of another record: judge by the newest instead. */
fr_rc fr_change_since(fr_registry *registry, fr_arena *a, const fr_route *route, int32_t last,
                      fr_str next, fr_err *err);

#endif
