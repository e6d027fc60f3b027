/* Fingerprints of schemas as the Avro 1.11 specification has them ("Parsing Canonical Form for
 * Schemas", "Schema Fingerprints"): equal ones write the same bytes. Docs, defaults, aliases,
 * logical types and properties do not count, so a decimal of another scale has the same one: for
 * what changed there is codec/compat.h. Pure functions; results live in the arena given. */
#ifndef FR_CODEC_FINGERPRINT_H
#define FR_CODEC_FINGERPRINT_H

#include "base/bytes.h"
#include "base/error.h"

typedef struct fr_fingerprint {
    /* CRC-64-AVRO: 16 hex digits, its bytes in little-endian order, as they stand in Avro's
     * single-object encoding and as Java and fastavro print them. */
    char crc64[17];
    char sha256[65];
} fr_fingerprint;

/* DATA error for what is no schema. */
fr_rc fr_fingerprint_of(fr_arena *a, fr_str schema, fr_fingerprint *out, fr_err *err);
/* The Parsing Canonical Form itself. DATA as above. */
fr_rc fr_parsing_form(fr_arena *a, fr_str schema, fr_str *out, fr_err *err);

#endif
