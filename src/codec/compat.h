/* Avro schema resolution, as a question: can data of one schema be read with another, and as what
 * it was? The rules are those of the Avro 1.11 specification, "Schema Resolution", with the names
 * of Apache Avro's SchemaCompatibility (which Confluent's and Apicurio's registries print) for what
 * cannot be read; and stricter where Avro reads something else than was written (decision 9; ADR 43
 * lists the kinds). Pure functions; results live in the arena given. From any thread.
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
    fr_str fallback; /* the default as compact JSON, sorted; empty: none */
    fr_shape_names aliases;
    fr_str doc, properties; /* as below */
} fr_shape_field;

/* What a schema says. Names are resolved, so it may be a graph with cycles. */
struct fr_shape {
    fr_shape_kind kind;
    size_t number;          /* no other record of this schema has it */
    fr_str name;            /* full name of a record, enum or fixed */
    fr_shape_names aliases; /* full names */
    fr_str logical;         /* "timestamp-micros"; empty: none, or one that means nothing here */
    fr_str connect, marker; /* connect.name of a type that is no record, freshet.type */
    int precision, scale;   /* decimal */
    int64_t size;           /* fixed */
    fr_shape_names symbols; /* enum */
    fr_str fallback;        /* enum */
    fr_shape_field *fields; /* record */
    size_t field_count;
    const fr_shape **branches; /* union; array and map: one, what they hold */
    size_t branch_count;
    fr_str doc, properties; /* of named types: all other members, as compact JSON, sorted */
};

/* SCHEMA error for what is no Avro schema, nested deeper than 64, or not whole. */
fr_rc fr_shape_parse(fr_arena *a, fr_str schema, const fr_shape **out, fr_err *err);
/* Equal texts: equal data, names, defaults and meaning. Docs, aliases and other properties are left
 * out. */
fr_str fr_shape_text(fr_arena *a, const fr_shape *s);
/* A type as a person reads it: "decimal(10,2)", "null | string", "record shop.Row". */
void fr_shape_describe(fr_buf *b, const fr_shape *s);

/* False: a reader that has to fill in this default (JSON) cannot. */
bool fr_shape_default_fits(const fr_shape *s, fr_str fallback);

/* What a difference means to those who read. */
typedef enum fr_diff_verdict {
    FR_DIFF_NOTE,     /* nobody is broken */
    FR_DIFF_STRICT,   /* Avro reads it, as something else than was written: refused by us alone */
    FR_DIFF_REGISTRY, /* Avro cannot read it: registries refuse it, too */
} fr_diff_verdict;

typedef struct fr_difference {
    char sign; /* '+' came, '-' went, '~' changed */
    fr_diff_verdict verdict;
    bool ahead;     /* breaks readers that still have the old schema; else those with the new one */
    size_t version; /* the place of the old schema in the list given, from 1 */
    /* "after.grade"; [] what an array holds, {} a map; empty: the schema itself. */
    fr_str path;
    /* "TYPE_MISMATCH" and the other words of Apache Avro; ours are "decimal.rescaled" and so on. */
    const char *kind;
    const char *why;           /* a clause: "the scale is another"; never NULL */
    fr_str old_type, new_type; /* as a person reads them; empty: not there */
    fr_str detail;             /* "default null", "no default", "+RED -BLUE"; may be empty */
    /* What a registry calls it, and where ("/fields/1/type", in the schema that reads): a field
     * that may be null breaks there as the union that it is. NULL and empty unless REGISTRY. */
    const char *registry_kind;
    fr_str pointer;
} fr_difference;

typedef struct fr_differences {
    fr_arena *arena;
    fr_difference *items;
    size_t count, cap;
} fr_differences;

/* Only people see it, or a registry's list: docs, properties, aliases. */
bool fr_diff_is_wording(const fr_difference *d);

/* Whether next may follow these versions (oldest first) under the level: FR_OK, or FR_END. *out is
 * all that differs: from the newest version everything (unless one is broken, notes), in the order
 * of the schema; from the older ones, which only transitive levels ask about, what breaks. NONE
 * asks about nobody: all is notes. At most 1,000 are listed for a version; what is broken first of
 * all. SCHEMA error when one of the texts is no schema. */
fr_rc fr_compat_list(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                     fr_differences *out, fr_err *err);
/* FR_OK: `reader` reads all that `writer` wrote. FR_END: not; what breaks is appended to *out,
 * which may be NULL. No notes. */
fr_rc fr_compat_problems(fr_arena *a, const fr_shape *reader, const fr_shape *writer,
                         fr_differences *out);
/* The same as text, by path, separated by "; ". */
fr_rc fr_compat_read(fr_arena *a, const fr_shape *reader, const fr_shape *writer, fr_buf *why);
/* fr_compat_list as text, without notes. */
fr_rc fr_compat_check(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                      fr_str *why_out, fr_err *err);
/* What changed from old to next, by path: "+ cost_centre null | string (default null); ~ grade
 * int -> string; - note". Empty: nothing that data would show. SCHEMA error as above. */
fr_rc fr_compat_diff(fr_arena *a, fr_str old, fr_str next, fr_str *out, fr_err *err);

#endif
