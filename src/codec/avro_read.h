/* Reading Avro's binary form by a node tree: every length is checked against the bytes that
 * are left before it is believed, nesting is limited, and so is the number of items, because
 * items of no bytes cost their writer nothing. Source: Avro 1.11 specification, "Binary
 * Encoding". A reader belongs to one thread. */
#ifndef FR_CODEC_AVRO_READ_H
#define FR_CODEC_AVRO_READ_H

#include "base/bytes.h"
#include "codec/avro_parse.h"
#include "model/value.h"

typedef struct fr_avro_in {
    fr_in in;
    fr_arena *arena;   /* for what cannot point into the bytes */
    size_t items_left; /* of arrays and maps, for the whole message */
    const char *why;   /* NULL: good so far; else what is wrong, a literal */
    bool filled;       /* Debezium's UUIDs may be empty: so it fills old rows where it knows none */
} fr_avro_in;

/* How a node is read as one value; kind FR_ABSENT: it is not a single value. */
typedef struct fr_avro_scalar {
    fr_kind kind;
    int16_t precision, scale;
    int16_t factor; /* microseconds per unit, where the unit is milliseconds: 1000; else 1 */
    bool debezium;  /* DATE, DATETIME: some numbers are Debezium's word for infinity */
} fr_avro_scalar;

fr_avro_in fr_avro_in_of(fr_arena *a, fr_str bytes);
/* False, and r->why is set where it was not. */
bool fr_avro_bad(fr_avro_in *r, const char *why);

fr_avro_scalar fr_avro_scalar_of(const fr_avro_node *n);
/* All of these are false when r->why was set. */
bool fr_avro_scalar_read(fr_avro_in *r, const fr_avro_node *n, fr_avro_scalar s, fr_value *v);
bool fr_avro_long(fr_avro_in *r, int64_t *out);
bool fr_avro_bytes(fr_avro_in *r, fr_str *out);
bool fr_avro_string(fr_avro_in *r, fr_str *out); /* valid UTF-8 */
/* The branch of a union that follows. */
bool fr_avro_branch(fr_avro_in *r, const fr_avro_node *u, const fr_avro_node **out);
/* Items of the next block of an array or map; 0: no more. */
bool fr_avro_block(fr_avro_in *r, size_t *count);
bool fr_avro_skip(fr_avro_in *r, const fr_avro_node *n, unsigned depth);
/* As JSON (decode.h, fr_avro_to_json). */
bool fr_avro_json_read(fr_avro_in *r, const fr_avro_node *n, fr_buf *out, unsigned depth);

#endif
