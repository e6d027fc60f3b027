/* Avro schema resolution, as a question: can data of one schema be read with another? The
 * rules are those of the Avro 1.11 specification, "Schema Resolution", with the names of
 * Apache Avro's SchemaCompatibility for what goes wrong, and stricter in one point (decision
 * 9): a logical type that changes counts as a changed type. Pure functions; results live in
 * the arena given. From any thread.
 *
 * This reads schemas beside codec/avro_parse.h, and not by it: that one keeps what bytes look like
 * and refuses (DATA) what we could not decode; this one keeps what resolution asks for (aliases,
 * defaults, the meaning of logical types) of any schema that a registry may hold, and refuses
 * (SCHEMA) what is none. */
#ifndef FR_CODEC_COMPAT_H
#define FR_CODEC_COMPAT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "model/settings.h"

typedef enum fr_shape_kind {
    FR_SHAPE_NULL,
    FR_SHAPE_BOOLEAN,
    FR_SHAPE_INT,
    FR_SHAPE_LONG,
    FR_SHAPE_FLOAT,
    FR_SHAPE_DOUBLE,
    FR_SHAPE_BYTES,
    FR_SHAPE_STRING,
    FR_SHAPE_RECORD,
    FR_SHAPE_ENUM,
    FR_SHAPE_FIXED,
    FR_SHAPE_ARRAY,
    FR_SHAPE_MAP,
    FR_SHAPE_UNION
} fr_shape_kind;

typedef struct fr_shape fr_shape;
typedef struct fr_shape_names {
    fr_str *items;
    size_t count;
} fr_shape_names;
typedef struct fr_shape_field {
    fr_str name;
    const fr_shape *type;
    fr_str fallback; /* the default as compact JSON; empty: none */
    fr_shape_names aliases;
} fr_shape_field;

/* What a schema says about data: no docs, no properties. Names are resolved, so it may be a
 * graph with cycles. */
struct fr_shape {
    fr_shape_kind kind;
    fr_str name;            /* full name of a record, enum or fixed */
    fr_shape_names aliases; /* full names */
    fr_str logical;         /* "timestamp-micros"; empty: none, or one that means nothing here */
    int precision, scale;   /* decimal */
    int64_t size;           /* fixed */
    fr_shape_names symbols; /* enum */
    fr_str fallback;        /* enum */
    fr_shape_field *fields; /* record */
    size_t field_count;
    const fr_shape **branches; /* union; array and map: one, what they hold */
    size_t branch_count;
};

/* SCHEMA error for what is no Avro schema, nested deeper than 64, or not whole. */
fr_rc fr_shape_parse(fr_arena *a, fr_str schema, const fr_shape **out, fr_err *err);
/* Equal texts: equal data, names, defaults and logical types. Docs, aliases and other
 * properties are left out. */
fr_str fr_shape_text(fr_arena *a, const fr_shape *s);
/* A type as a person reads it: "decimal(10,2)", "null | string", "record shop.Row". */
void fr_shape_describe(fr_buf *b, const fr_shape *s);

/* FR_OK: `reader` reads all that `writer` wrote. FR_END: not; the reasons, by path, are
 * appended to why, separated by "; ". */
fr_rc fr_compat_read(fr_arena *a, const fr_shape *reader, const fr_shape *writer, fr_buf *why);
/* FR_OK when next may follow these versions (oldest first) under the level. FR_END: not, the
 * reasons are in *why_out. SCHEMA error when one of the texts is no schema. */
fr_rc fr_compat_check(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                      fr_str *why_out, fr_err *err);
/* What changed from old to next, by path: "+ cost_centre null | string (default null); ~ grade
 * int -> string; - note". Empty: nothing that data would show. SCHEMA error as above. */
fr_rc fr_compat_diff(fr_arena *a, fr_str old, fr_str next, fr_str *out, fr_err *err);

#endif
