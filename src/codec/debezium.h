/* `envelope: debezium`: what Debezium 3.7's connector for PostgreSQL writes with its default
 * settings, names adjusted for Avro (schema.name.adjustment.mode and field.name.adjustment.mode
 * avro), through the Confluent Avro converter: schemas and bytes. What it cannot say as Debezium
 * does is refused by name. Sources: Debezium's documentation of the PostgreSQL connector;
 * messages that one wrote (tests/data/debezium); docs/debezium.md says where we differ and why.
 * Internal to codec. Pure functions, from any thread, but those of a plan: its owner's. */
#ifndef FR_CODEC_DEBEZIUM_H
#define FR_CODEC_DEBEZIUM_H

#include "base/bytes.h"
#include "codec/avro_schema.h"

struct fr_registry;

#define FR_DBZ_UNAVAILABLE "__debezium_unavailable_value"
/* The UUID of version 3 that Java makes of it. */
#define FR_DBZ_UNAVAILABLE_UUID "b68a35a7-17ad-35b3-af2a-ae46edb4545a"
/* Whose format it is; the field source.version. */
#define FR_DBZ_VERSION "3.7.0.Final"

typedef enum fr_dbz_form { /* how a value of the source becomes what is written */
                           FR_DBZ_AS_IT_IS,
                           FR_DBZ_MILLIS, /* of microseconds */
                           FR_DBZ_DATE,
                           FR_DBZ_ZONED,      /* TIMESTAMP -> ISO text in UTC */
                           FR_DBZ_ZONED_TIME, /* timetz's text -> ISO text in UTC */
                           FR_DBZ_DURATION,   /* an interval's ISO text -> microseconds */
                           FR_DBZ_BIT,        /* '0' or '1' -> boolean */
                           FR_DBZ_BITS,       /* digits -> bytes, the lowest first */
                           FR_DBZ_VARIABLE,   /* a number's text -> {scale, value} */
                           FR_DBZ_POINT,      /* (x,y) -> {x, y, wkb, srid} */
                           FR_DBZ_HSTORE,     /* "a"=>"1" -> JSON */
                           FR_DBZ_ARRAY,      /* JSON -> items */
} fr_dbz_form;

typedef struct fr_dbz_type {
    fr_dbz_form form;
    fr_kind from;             /* what the source's value is */
    fr_kind kind;             /* what is written; FR_KIND_COUNT: bytes that are Avro already */
    const char *avro;         /* "int", "record", "array", ... */
    const char *name;         /* connect.name; NULL: none */
    bool small;               /* connect.type int16 */
    int16_t precision, scale; /* DECIMAL; precision 0: not known. Of times: digits, -1: not said */
    int32_t length;           /* of Bits */
    fr_str labels;            /* of Enum */
    const struct fr_dbz_type *items; /* ARRAY */
    bool whole;                      /* ARRAY: its items are never null (of enums) */
    bool bare;                       /* Debezium reads no default of it */
} fr_dbz_type;

/* CONFIG (config.debezium_type) where Debezium has no such type, or we cannot write it. */
fr_rc fr_dbz_type_of(fr_arena *a, const fr_route *route, uint16_t column, const fr_dbz_type **out,
                     fr_err *err);
/* A value that is there, to what is written; its bytes in a. NULL, or why it cannot be. */
const char *fr_dbz_value(fr_arena *a, const fr_dbz_type *t, fr_value *v);
/* The default of the schema, as it is written. False: there is none. */
bool fr_dbz_default(fr_arena *a, const fr_column *c, const fr_dbz_type *t, fr_value *out);
/* What stands for a NOT NULL value that the source did not log. */
void fr_dbz_zero(fr_arena *a, const fr_dbz_type *t, fr_value *out);
/* What stands for a large value that did not change. False: Debezium has nothing. */
bool fr_dbz_unavailable(fr_arena *a, const fr_dbz_type *t, fr_value *out);

/* The same as their namesakes of avro_schema.h, for this envelope. */
fr_rc fr_dbz_schema_key(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err);
/* Whether keys by the one schema are keys by the other, byte by byte: defaults and the labels of
 * enums are in these schemas, and in no key. */
bool fr_dbz_same_key(fr_arena *a, fr_str schema, fr_str other);
/* Of a table without a key, which subject its key would have: SCHEMA (schema.key_changed) where the
 * topic's messages have one. Debezium takes a unique index where there is no primary key; without
 * it rows would be others to those who read them. */
fr_rc fr_dbz_check_keyless(struct fr_registry *registry, fr_arena *a, const char *subject,
                           fr_err *err);
fr_rc fr_dbz_schema_value(fr_arena *a, const fr_route *route, fr_str *out, fr_err *err);
fr_rc fr_dbz_schema_transaction(fr_arena *a, fr_str *key_out, fr_str *value_out, fr_err *err);

/* ---- texts of times (debezium_time.c) ---- */

/* "2024-02-29T21:59:59.123456Z"; digits of the fraction, -1: as many as are needed. */
fr_str fr_dbz_zoned(fr_arena *a, int64_t us, int digits);
/* "12:34:56.789+02" -> "10:34:56.789Z". False: it is no such text. */
bool fr_dbz_zoned_time(fr_arena *a, fr_str text, fr_str *out);
/* "P1Y2M3DT4H5M6.789S"; a month has 30.4375 days. */
bool fr_dbz_duration(fr_str text, int64_t *us);
/* As PostgreSQL prints them in arrays, infinity too: days or microseconds since 1970. */
bool fr_dbz_parse_date(fr_str text, int64_t *days);
bool fr_dbz_parse_time(fr_str text, int64_t *us);
bool fr_dbz_parse_timestamp(fr_str text, int64_t *us);
/* The way back from fr_dbz_zoned, but for infinity; any offset, at most six digits that count. */
bool fr_dbz_parse_zoned(fr_str text, int64_t *us);

#endif
