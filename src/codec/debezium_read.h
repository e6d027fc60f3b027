/* Values of Debezium's types that are not what Avro says of them: read as what the source had.
 * Source: Debezium's documentation, "Data type mappings". Pure functions; from any thread. */
#ifndef FR_CODEC_DEBEZIUM_READ_H
#define FR_CODEC_DEBEZIUM_READ_H

#include "codec/avro_read.h"

typedef enum fr_dbz_reading {
    FR_DBZ_READ_PLAIN,    /* fr_avro_scalar_read reads it, or it is none of these */
    FR_DBZ_READ_ZONED,    /* ISO text -> TIMESTAMP */
    FR_DBZ_READ_DURATION, /* microseconds -> TEXT, "PT10303H5M6.789S" */
    FR_DBZ_READ_VARIABLE, /* {scale, value} -> TEXT, all digits */
    FR_DBZ_READ_POINT,    /* {x, y, wkb, srid} -> TEXT, "(1.5,-2.5)" */
} fr_dbz_reading;

/* How this node's values are read; *kind then: what they become. */
fr_dbz_reading fr_dbz_reading_of(const fr_avro_node *n, fr_kind *kind);
/* False when r->why was set. */
bool fr_dbz_read(fr_avro_in *r, const fr_avro_node *n, fr_dbz_reading how, fr_value *v);
/* Does the value stand for one that did not change? (unavailable.value.placeholder) */
bool fr_dbz_is_placeholder(const fr_value *v);

#endif
