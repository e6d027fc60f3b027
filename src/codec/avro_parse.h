/* Avro schema text -> tree of nodes, within limits: 1 MiB of text, 64 levels, every name
 * defined before it is used. A named type may contain itself, so a tree may be a graph.
 * Source: Avro 1.11 specification, "Schema Declaration". Pure functions; from any thread. */
#ifndef FR_CODEC_AVRO_PARSE_H
#define FR_CODEC_AVRO_PARSE_H

#include "base/error.h"
#include "base/json.h"

#define FR_AVRO_MAX_DEPTH 64
#define FR_AVRO_MAX_SCHEMA (1u << 20)

typedef enum fr_avro_tag {
    FR_AVRO_NULL,
    FR_AVRO_BOOLEAN,
    FR_AVRO_INT,
    FR_AVRO_LONG,
    FR_AVRO_FLOAT,
    FR_AVRO_DOUBLE,
    FR_AVRO_BYTES,
    FR_AVRO_STRING,
    FR_AVRO_RECORD, /* named types from here on ... */
    FR_AVRO_ENUM,
    FR_AVRO_FIXED, /* ... to here */
    FR_AVRO_ARRAY,
    FR_AVRO_MAP,
    FR_AVRO_UNION,
} fr_avro_tag;

typedef struct fr_avro_node fr_avro_node;
typedef struct fr_avro_field {
    fr_str name;
    const fr_avro_node *type;
    bool has_default;
} fr_avro_field;

struct fr_avro_node {
    fr_avro_tag tag;
    fr_str name;                     /* in full; empty for unnamed types */
    fr_str logical, connect, marker; /* logicalType, connect.name, freshet.type; may be empty */
    bool key_before;                 /* "freshet.before":"key" */
    int64_t precision, scale;
    size_t size;                  /* of fixed */
    size_t count;                 /* of fields, symbols, branches; 1 for items, values */
    const fr_avro_field *fields;  /* RECORD */
    const fr_str *symbols;        /* ENUM */
    const fr_avro_node **members; /* UNION's branches, ARRAY's items, MAP's values */
};

/* All of the tree is in the arena. DATA error that says what is wrong and where. */
fr_rc fr_avro_parse(fr_arena *a, fr_str schema, const fr_avro_node **out, fr_err *err);
/* The field of a record, or -1. */
int fr_avro_find(const fr_avro_node *record, const char *field);

/* Shared with the canonical writer. JSON as a schema may be written: bare names, NUL in
 * strings, no duplicate members. NULL: it is not that (err, which may be NULL, says why). */
json_t *fr_avro_json(fr_str text, fr_err *err);
/* The tag of a word: "int", "record"; -1: not one of Avro's own. */
int fr_avro_tag_of(const char *word);
const char *fr_avro_word(fr_avro_tag tag); /* and back */
/* Bytes that the two's complement of any number of that many digits fits in. */
size_t fr_avro_decimal_bytes(int precision);
/* The full name of a definition or a use within the enclosing namespace; *space_out is the
 * namespace that it encloses (may be empty). */
fr_str fr_avro_full_name(fr_arena *a, const char *name, const char *space, fr_str enclosing,
                         fr_str *space_out);

#endif
