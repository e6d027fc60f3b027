/* Schemas that refer to others: foreign ones (Java applications split them so); ours never do. What
 * they refer to is asked for and written in at its first use, so that all else sees whole schemas.
 * Pure but for the asking; from the thread that asks. */
#ifndef FR_CODEC_REGISTRY_REFS_H
#define FR_CODEC_REGISTRY_REFS_H

#include "codec/registry_reply.h"

/* Schemas below one, whatever the depth, and their texts. */
enum { FR_REFERENCES_MAX = 100, FR_REFERENCES_BYTES = 4 << 20 };

/* FR_END: there is no such version. */
typedef fr_rc (*fr_fetch)(void *context, fr_arena *a, const char *subject, int version,
                          fr_schema_text *out, fr_err *err);

/* *out: the text as it was where it refers to nothing. DATA error (registry.references) when a
 * referenced schema is not there, is no JSON, or there are too many; what fetch fails with. */
fr_rc fr_registry_whole(fr_arena *a, const fr_schema_text *schema, fr_fetch fetch, void *context,
                        fr_str *out, fr_err *err);

#endif
