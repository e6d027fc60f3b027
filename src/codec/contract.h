/* Contracts: the Avro record that a table's rows are published as (docs/contracts.md). A contract
 * is parsed once, and pinned to a route: columns find their fields by name or alias, and how a
 * value becomes the field's. Whatever would change a value is refused, here or, where only the
 * value tells, for its row. No I/O: the files were read with the configuration
 * (fr_contract_file). Pure, but for the counter; from any thread. */
#ifndef FR_CODEC_CONTRACT_H
#define FR_CODEC_CONTRACT_H

#include "base/map.h"
#include "codec/avro_parse.h"
#include "model/route.h"

/* What a field's type is, as far as values are concerned. */
typedef enum fr_pin_type {
    FR_PIN_BOOLEAN,
    FR_PIN_INT,
    FR_PIN_LONG,
    FR_PIN_FLOAT,
    FR_PIN_DOUBLE,
    FR_PIN_BYTES,
    FR_PIN_STRING,
    FR_PIN_JSON, /* string, "freshet.type": "json" */
    FR_PIN_UUID,
    FR_PIN_ENUM,
    FR_PIN_FIXED,
    FR_PIN_DECIMAL,
    FR_PIN_FIXED_DECIMAL,
    FR_PIN_DATE,
    FR_PIN_TIME_MILLIS,
    FR_PIN_TIME,
    FR_PIN_TIMESTAMP_MILLIS,
    FR_PIN_TIMESTAMP,
    FR_PIN_DATETIME_MILLIS, /* local-timestamp-millis */
    FR_PIN_DATETIME,
    FR_PIN_TYPES
} fr_pin_type;

typedef struct fr_contract_field {
    fr_str name;
    const fr_str *aliases;
    size_t alias_count;
    const fr_avro_node *node; /* its type, without null */
    fr_pin_type type;
    bool nullable, null_last; /* ["null", T], and [T, "null"] */
    int16_t precision, scale;
    fr_map *symbols; /* of an enum: its symbols, each to its place + 1; owned by the record */
    fr_str fallback; /* what is written where no column is: Avro, with the branch; ptr NULL: none */
    fr_str rules;    /* "freshet.rules", JSON; empty: none */
} fr_contract_field;

typedef struct fr_contract_record {
    fr_str name; /* in full */
    fr_str text; /* canonical */
    fr_contract_field *fields;
    size_t field_count;
    fr_str rules; /* "freshet.rules" of the record */
} fr_contract_record;

/* All in the arena. CONFIG error (contract.*) that names file and field: no Avro, no record, an
 * envelope, a type that no column has, a default that its type cannot hold. */
fr_rc fr_contract_parse(fr_arena *a, const fr_contract *c, const fr_contract_record **out,
                        fr_err *err);
/* The field of this name, else of this alias; NULL: none. */
const fr_contract_field *fr_contract_find(const fr_contract_record *r, fr_str name);

/* NULL: it fits. Else what is wrong with this value: its shape, never the value. from: what it is
 * a value of. *v becomes what is written, in the arena. */
struct fr_pin_column;
typedef const char *fr_pin_convert(fr_arena *a, const struct fr_pin_column *c, fr_value *v);

typedef struct fr_pin_column {
    fr_pin_convert *convert;        /* NULL: its values are written as they are */
    const fr_contract_field *field; /* NULL: the column is left out */
    fr_column from;                 /* as it is without the contract, columns.types taken in */
} fr_pin_column;

/* What is kept of a table's former shape (schema.on_change: ignore). */
typedef struct fr_kept_name {
    fr_str field, column; /* Avro's name of the field, and of the column that is it now */
} fr_kept_name;

typedef struct fr_kept {
    fr_contract contract; /* the record, as text; its path is no file's */
    fr_kept_name *renamed;
    size_t count;
} fr_kept;

typedef struct fr_pin { /* a contract, and the columns of one table version */
    const fr_contract *contract;
    const fr_contract_record *record;
    const fr_kept *kept;        /* NULL: it is a contract, and no shape that is kept */
    fr_pin_column *columns;     /* one per column of the route's table */
    int *by_field;              /* for each field its column; -1: its default is written */
    const uint16_t *all_fields; /* the route's fields without the contract */
    size_t all_count;
    uint64_t *broken; /* rows that did not fit */
} fr_pin;

/* Pins a route that is complete but for its schema's name, which becomes the contract's; its fields
 * become those that the contract has. SCHEMA error (contract.*) that names table, file and field
 * where columns and contract do not go together. All in the arena, which must outlive the route. */
fr_rc fr_contract_bind(fr_arena *a, fr_route *route, const fr_contract *c, fr_err *err);
/* The same for a copy of a route, whatever it is pinned to itself: rows keep the shape of this
 * record. contract must outlive the arena. */
fr_rc fr_contract_pin(fr_arena *a, const fr_route *route, const fr_contract *c,
                      const fr_route **out, fr_err *err);
/* The same for a shape that is kept; kept must outlive the arena. SCHEMA error (schema.blocked)
 * where columns cannot be written so any more. */
fr_rc fr_contract_keep(fr_arena *a, const fr_route *route, fr_kept *kept, const fr_route **out,
                       fr_err *err);
/* The row record of a value's schema, as text that fr_contract_pin takes: of an envelope, or the
 * value itself. DATA: it is neither. */
fr_rc fr_contract_row(fr_arena *a, fr_str value, fr_str *out, fr_err *err);

/* May values of such a column be written as this field, and how? FR_OK: all of them; FR_IDLE:
 * each is checked; FR_END: never. *how is NULL where nothing is to be done. */
fr_rc fr_pin_fit(const fr_column *from, const fr_contract_field *f, fr_pin_convert **how);
/* The kind of value that steps write for such a field. */
fr_kind fr_pin_kind(fr_pin_type type);
/* A default of the record's JSON as Avro, with its branch. False: its type cannot hold it. */
bool fr_pin_default(fr_arena *a, const fr_contract_field *f, const json_t *j, fr_str *out);
/* The type's JSON for a key: without names and properties. False: no key has such a type. */
bool fr_pin_key_type(fr_buf *b, const fr_contract_field *f);

#endif
