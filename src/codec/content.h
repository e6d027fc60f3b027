/* What a published message says of its key: that the row is gone, or a print of what the row is, so
 * that a row can be compared with what was published of it. Its key as values. Envelopes are
 * recognised by shape: ours, and state records. One thread. */
#ifndef FR_CODEC_CONTENT_H
#define FR_CODEC_CONTENT_H

#include "codec/registry.h"
#include "model/route.h"

typedef struct fr_contents fr_contents; /* what is known of value schemas */

enum { FR_CONTENT_PRINT = 16 };

fr_contents *fr_contents_new(fr_registry *registry); /* borrowed */
void fr_contents_free(fr_contents *c);               /* NULL is fine */
/* *gone: it is a tombstone, or a delete. Else, where print is not NULL, FR_CONTENT_PRINT bytes that
 * are the same for the same row under the same schema, and for nothing else. DATA: the message is
 * none of ours; CONNECT: the registry did not answer. */
fr_rc fr_content_of(fr_contents *c, fr_str payload, bool *gone, uint8_t *print, fr_err *err);

/* A key that fr_encode has written under this route, as values of the table's columns; one per
 * column, of which those outside of the key are FR_ABSENT. Texts point into the key. DATA: it is
 * not such a key. Columns of the key must not be cast (fr_key_is_plain). */
fr_rc fr_key_values(const fr_route *route, fr_str key, fr_value *values, fr_err *err);
/* CONFIG where columns.types gives a key column another type. */
fr_rc fr_key_is_plain(const fr_route *route, fr_err *err);

#endif
