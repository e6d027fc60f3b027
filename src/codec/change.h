/* schema.on_change: may this table's row become another one? The registry judges what
 * consumers can read; this judges what the owner of the pipeline allowed. */
#ifndef FR_CODEC_CHANGE_H
#define FR_CODEC_CHANGE_H

#include "codec/contract.h"
#include "codec/registry.h"
#include "model/route.h"

/* old and next: value schemas of the route's envelope, as registered and as they would be.
 * FR_OK when every column that was added, dropped, renamed or changed may be (on_change
 * evolve, or ignore: fr_change_keep); SCHEMA error that names the columns and the key to set:
 * schema.on_change where that says stop, schema.blocked where it says block, and where nothing of
 * the kind stands in the way but the table is to go on in another topic FR_NEW_TOPIC. Columns were
 * renamed when as many new ones of the same types stand where they stood, between the same
 * neighbours (at the table's end more may follow). The `source` record and the rest of the envelope
 * are freshet's own and not judged. Pure. */
fr_rc fr_change_allowed(fr_arena *a, const fr_route *route, fr_str old, fr_str next, fr_err *err);

/* Code of the error; the row is for the table's next generation. */
#define FR_NEW_TOPIC "schema.new_topic"
/* Of such an error: the kind of change, "change_type", which the error's `native` says, since its
 * text may be cut; of another: empty. */
fr_str fr_change_kind(const fr_err *err);

/* What a table's next value schema is judged by, in *old: the schema that was published last, by
 * its id in the registry (0: not known); where the registry does not have that, or has one of
 * another record, the subject's newest, unless the subject knows next (known). FR_END: nothing. */
fr_rc fr_change_before(fr_registry *registry, fr_arena *a, int32_t last, const char *subject,
                       fr_str next, bool known, fr_str *old, fr_err *err);

/* fr_change_allowed against the schema that was published last, by its id in the registry. FR_END:
 * the registry does not have it, or has one of another record: judge by the newest instead. */
fr_rc fr_change_since(fr_registry *registry, fr_arena *a, const fr_route *route, int32_t last,
                      fr_str next, fr_err *err);

/* Does schema.on_change of the table ignore any kind of change? */
bool fr_change_ignores(const fr_table_settings *s);

/* As fr_change_allowed; and where a change is ignored, *out is the route with the row's shape as it
 * was in that point (in the arena, which must outlive it), and *said what is kept: "new left out,
 * gone without its column, old from new, changed of its former type". Else *said is empty, and *out
 * the route. SCHEMA error (schema.blocked) that names the column where the old shape cannot be
 * written any more. Pure. */
fr_rc fr_change_keep(fr_arena *a, const fr_route *route, fr_str old, fr_str next,
                     const fr_route **out, fr_str *said, fr_err *err);

#endif
