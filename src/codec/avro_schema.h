/* Table version + route -> Avro schemas, as canonical text: deterministic names, narrowest
 * types, docs, owner, tags and PII as properties; injective names for columns that Avro's
 * naming rules do not allow. Formats: docs/events.md; Avro 1.11 specification. */
#ifndef FR_CODEC_AVRO_SCHEMA_H
#define FR_CODEC_AVRO_SCHEMA_H

#include "base/error.h"
#include "model/name.h"
#include "model/route.h"

/* What the `source` record says that is the same for all events of a source. */
typedef struct fr_origin {
    fr_str version;   /* freshet's own */
    fr_str type;      /* "postgres": names freshet.postgres.Source */
    fr_str connector; /* "postgresql": the field's value, as Debezium spells it */
    fr_str prefix;    /* field `name` */
    fr_str db;
    bool debezium; /* the topics beside those of tables are Debezium's too (fr_source_debezium) */
} fr_origin;

/* Does its `source` have the fields of a binary log? */
bool fr_origin_has_binlog(const fr_origin *o);

/* Schema of the key record (decision 27: no docs, no tags). FR_END when the route has no
 * key. */
fr_rc fr_schema_key(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err);
/* Schema of the value for the route's envelope: standard, state or debezium; raw has none (CONFIG
 * error). */
fr_rc fr_schema_value(fr_arena *a, const fr_route *route, const fr_origin *origin, fr_str *out,
                      fr_err *err);
/* The record of logical messages (pg_logical_emit_message) and its key {prefix}. */
fr_rc fr_schema_message(fr_arena *a, const fr_origin *origin, fr_str *key_out, fr_str *value_out,
                        fr_err *err);
/* Records of <prefix>.transaction: BEGIN and END. */
fr_rc fr_schema_transaction(fr_arena *a, const fr_origin *origin, fr_str *key_out,
                            fr_str *value_out, fr_err *err);

#endif
