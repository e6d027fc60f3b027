/* Schemas in other words: JSON Schema, and a data contract (ODCS). Pure functions; what they
 * return is a new reference of the caller's. */
#ifndef FR_CODEC_EXPORT_H
#define FR_CODEC_EXPORT_H

#include "base/error.h"
#include "base/json.h"

/* JSON Schema (draft 2020-12) of values in the JSON that `tap` and `schema sample` show
 * (fr_avro_to_json). Named types become $defs. Defaults whose JSON differs (decimals, dates) are
 * left out. DATA for what is no schema. */
fr_rc fr_export_jsonschema(fr_str schema, json_t **out, fr_err *err);

typedef struct fr_odcs { /* texts are borrowed; empty: not known */
    fr_str row;          /* the schema of the row's record */
    fr_str key;          /* the key's */
    fr_str topic, pipeline, version, brokers;
    const fr_str *names, *values; /* further custom properties */
    size_t count;
} fr_odcs;

/* Open Data Contract Standard, v3.1.0 (bitol-io.github.io/open-data-contract-standard): owner,
 * tags, pii, docs, masks and deprecation are those of the schema's properties. DATA for what is no
 * schema of a record. */
fr_rc fr_export_odcs(const fr_odcs *of, json_t **out, fr_err *err);

/* Shared by the two. The JSON that says what a node is: without wrappers {"type": {...}}. */
const json_t *fr_export_inner(const json_t *j);

#endif
