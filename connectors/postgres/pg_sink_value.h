/* Values on their way to the server: in which form a column of a message reaches a column
 * of the target, and the bytes of a bound parameter. Pure functions. */
#ifndef FR_POSTGRES_PG_SINK_VALUE_H
#define FR_POSTGRES_PG_SINK_VALUE_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/table.h"

/* The type of the parameter; the statement casts it to the column's where they differ. All
 * but TEXT and ARRAY are the type's binary form (typreceive in PostgreSQL's source). */
typedef enum fr_pg_send {
    FR_PG_SEND_BOOL,
    FR_PG_SEND_INT4,
    FR_PG_SEND_INT8,
    FR_PG_SEND_FLOAT4,
    FR_PG_SEND_FLOAT8,
    FR_PG_SEND_BYTEA,
    FR_PG_SEND_UUID,
    FR_PG_SEND_DATE,
    FR_PG_SEND_TIME,
    FR_PG_SEND_TIMESTAMP,
    FR_PG_SEND_TIMESTAMPTZ,
    FR_PG_SEND_TEXT,  /* the value's text; the server's input function reads it */
    FR_PG_SEND_ARRAY, /* a JSON array as the text of a PostgreSQL array */
    FR_PG_SEND_COUNT
} fr_pg_send;

uint32_t fr_pg_send_oid(fr_pg_send send);
uint32_t fr_pg_send_array_oid(fr_pg_send send);

/* A column of the target as its catalog has it; domains are seen through. */
typedef struct fr_pg_column {
    fr_str name;
    uint32_t type;    /* oid of the base type */
    fr_str type_text; /* how to cast to it, without length: "bpchar", "public.mood" */
    fr_str shown;     /* as declared: "character varying(20)" */
    int32_t typmod;   /* -1: none */
    char category;    /* pg_type.typcategory */
    bool loose;       /* its collation, or a unique index's, finds different texts equal */
    bool not_null, has_default, generated, identity_always;
} fr_pg_column;

enum { FR_PG_MONEY = 790 }; /* its oid */

/* How well values of a message's column go into a target's column. LOSSY: with a loss that
 * the server would not report (fractions of seconds). NARROW: not all of them would go in.
 * NEVER: they mean something else. */
typedef enum fr_pg_fit {
    FR_PG_FIT_FINE,
    FR_PG_FIT_LOSSY,
    FR_PG_FIT_NARROW,
    FR_PG_FIT_NEVER
} fr_pg_fit;
/* *send is set unless NEVER; *cast when the statement has to cast. */
fr_pg_fit fr_pg_sink_fit(const fr_column *c, const fr_pg_column *to, fr_pg_send *send, bool *cast);
/* Whether equal means equal byte for byte in a key of this column. */
bool fr_pg_sink_exact_key(const fr_column *c, const fr_pg_column *to);
/* Of a column that rounds (LOSSY): what values that it keeps are multiples of, in microseconds. 0:
 * it does not. */
int64_t fr_pg_sink_unit(const fr_column *c, const fr_pg_column *to);
/* The type of a column that we create: "numeric(10,2)". In the arena or a literal. */
fr_str fr_pg_sink_type(fr_arena *a, const fr_column *c);
/* The type that a NARROW column needs: it holds what is there and what comes. */
fr_str fr_pg_sink_wider(fr_arena *a, const fr_column *c, const fr_pg_column *to);

/* Appends one element: its length as 4 bytes, big-endian (-1: NULL, also for ABSENT), and
 * its bytes. DATA (sink.value) naming the column where the server has no such value. */
fr_rc fr_pg_sink_put(fr_buf *out, fr_pg_send send, const fr_column *c, const fr_value *v,
                     fr_err *err);

/* A JSON array as an array literal: [1,"a",null,[2]] to {"1","a",NULL,{"2"}}. Nesting is
 * dimensions; a string is the element's text (a json[] of our own source has JSON in it);
 * an object is an element as it stands. DATA (sink.value). */
fr_rc fr_pg_array_literal(fr_buf *out, fr_str json, fr_err *err);

/* A one-dimensional array in binary form (array_recv): begin, elements by fr_pg_sink_put
 * or fr_buf, end. */
void fr_pg_array_begin(fr_buf *b, uint32_t element_oid);
void fr_pg_array_end(fr_buf *b, size_t count);

#endif
