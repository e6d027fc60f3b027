/* Values from bytes. Nothing is kept but conversion state in the codec's layout: one thread
 * at a time per layout. */
#ifndef FR_MYSQL_MY_VALUE_H
#define FR_MYSQL_MY_VALUE_H

#include "connectors/mysql/my_types.h"

/* A value of a row image is of variable length and not delimited: read and pass over it.
 * in must live as long as arena a (values point into it where they can); what must be built
 * is built in a.
 *   FR_OK    *out has the codec's kind
 *   FR_IDLE  it is a zero or partial date and the codec's policy is NULL: *out is NULL
 *   FR_FAIL  DATA error, code "my.value.*": what is wrong, never the value; *out untouched,
 *            in is behind the value and the row can be read on. in->bad: it cannot, the event
 *            ends in the middle of the value. */
fr_rc fr_my_decode_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err);
/* Pass over a value by its wire type; false (and in->bad): the type is not known. */
bool fr_my_skip_image(fr_my_wire wire, uint16_t meta, fr_in *in);

/* The text protocol (mysql_fetch_row) and the binary one (prepared statements: integers as 1,
 * 2, 4 or 8 bytes little-endian as the column's type has them, FLOAT 4, DOUBLE 8; temporal
 * values without their length byte; all others as in the text protocol). in is the whole
 * value. Same results as above; FR_IDLE too. */
fr_rc fr_my_decode_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);
fr_rc fr_my_decode_binary(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err);

/* Spatial values travel as EWKB (WKB with the SRID, as PostGIS and GEOS read it; plain WKB
 * for SRID 0). For sinks: back to the servers' form, a 4-byte SRID before WKB. DATA error
 * when it is neither; plain WKB gets `srid`. */
fr_rc fr_my_geometry_from_wkb(fr_arena *a, fr_str wkb, uint32_t srid, fr_str *out, fr_err *err);

#endif
