/* Column -> Avro type: what is written for a column under a route, with columns.types,
 * columns.defaults and the contract taken in. Shared by the schemas and the encoder, so that they
 * cannot disagree. Pure functions; from any thread. */
#ifndef FR_CODEC_AVRO_TYPE_H
#define FR_CODEC_AVRO_TYPE_H

#include "base/bytes.h"
#include "model/route.h"

typedef struct fr_avro_type {
    fr_kind kind; /* of what is written */
    int16_t precision, scale;
    bool cast;                             /* the column's kind is another one: columns.types */
    bool span;                             /* TIME: a length of time; said by "freshet.type" */
    bool nullable;                         /* as a field of the row record */
    const struct fr_contract_field *field; /* of a contract, which says the type; NULL: none */
} fr_avro_type;

/* CONFIG error for a type of columns.types that the column cannot be written as. */
fr_rc fr_avro_type_of(const fr_route *route, uint16_t column, fr_avro_type *out, fr_err *err);
/* The same as if the route had no contract. */
fr_rc fr_avro_type_base(const fr_route *route, uint16_t column, fr_avro_type *out, fr_err *err);
/* The source may leave this column out of after, and no old row makes up for it. */
bool fr_avro_may_be_absent(const fr_route *route, const fr_column *c);
/* The type as JSON, without the union with null. */
void fr_avro_type_write(fr_buf *b, const fr_avro_type *t);
/* `,"default":X`, where there is one: null for a nullable field; for others what
 * columns.defaults says (CONFIG error where that does not fit the type), else the column's
 * own literal default where it can be said in Avro. */
fr_rc fr_avro_default_write(fr_buf *b, fr_arena *a, const fr_route *route, uint16_t column,
                            const fr_avro_type *t, fr_err *err);
/* Avro's JSON for bytes: a string with one code point a byte. */
void fr_avro_bytes_json(fr_buf *b, fr_str bytes);
/* Back again: the bytes that such a text (in UTF-8) stands for. False: a code point is beyond 255.
 */
bool fr_avro_json_bytes(fr_arena *a, fr_str text, fr_str *out);
/* A number with fraction as the canonical text writes it: %.17g, never without point. */
void fr_avro_real_json(fr_buf *b, double v);

#endif
