/* PostgreSQL's types: which kind a column gets, and how its values are read. One table for
 * the built-in types (pg_types.c); all others come from the server's catalog through
 * fr_pg_types_sql. docs/types.md is generated from the same table.
 *
 * The promise (R27): a value is decoded to the same bytes whether it came in binary or as
 * text, through the log or a snapshot, from any server version. It holds only on
 * connections that made fr_pg_session_settings. */
#ifndef FR_POSTGRES_PG_TYPES_H
#define FR_POSTGRES_PG_TYPES_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/value.h"

/* How a value looks on the wire. Up to ARRAY there is a binary decoder that gives what the
 * text decoder gives; SERVER_TEXT is what the server prints, and read as text only. UINT4:
 * oid, xid, cid. UINT8: xid8. TEXT: both forms are the text itself, enums too. JSONB: in
 * binary a version byte, then the text. EWKB: PostGIS; its text is hex. INET: cidr too. MACADDR:
 * macaddr8 too. */
/* clang-format off */
typedef enum fr_pg_wire {
    FR_PG_WIRE_BOOL, FR_PG_WIRE_INT2, FR_PG_WIRE_INT4, FR_PG_WIRE_INT8, FR_PG_WIRE_UINT4,
    FR_PG_WIRE_UINT8, FR_PG_WIRE_FLOAT4, FR_PG_WIRE_FLOAT8, FR_PG_WIRE_NUMERIC,
    FR_PG_WIRE_MONEY, FR_PG_WIRE_TEXT, FR_PG_WIRE_JSONB, FR_PG_WIRE_BYTEA, FR_PG_WIRE_EWKB,
    FR_PG_WIRE_BIT,
    FR_PG_WIRE_UUID, FR_PG_WIRE_DATE, FR_PG_WIRE_TIME, FR_PG_WIRE_TIMETZ,
    FR_PG_WIRE_TIMESTAMP, FR_PG_WIRE_TIMESTAMPTZ, FR_PG_WIRE_INTERVAL, FR_PG_WIRE_INET,
    FR_PG_WIRE_MACADDR, FR_PG_WIRE_ARRAY, FR_PG_WIRE_SERVER_TEXT,
} fr_pg_wire;
/* clang-format on */

/* A row of pg_type, as much of it as matters. */
typedef struct fr_pg_type {
    uint32_t oid;
    fr_str space, name;  /* pg_namespace.nspname, typname */
    char typtype;        /* b base, c composite, d domain, e enum, r range, m multirange,
                            p pseudo */
    char category;       /* typcategory: 'A' arrays */
    char delimiter;      /* typdelim: ',' but ';' for box */
    int16_t length;      /* typlen: -1 variable, and then it may be TOASTed out of line */
    uint32_t element;    /* typelem */
    uint32_t base;       /* typbasetype of a domain */
    int32_t base_typmod; /* typtypmod of a domain */
    char storage;        /* typstorage: 'p' never leaves the row */
} fr_pg_type;

/* How one column's values are decoded: plain data, copied freely, refers to nothing. */
typedef struct fr_pg_codec {
    uint32_t oid; /* the column's own type */
    fr_pg_wire wire;
    fr_pg_wire element; /* ARRAY: of the elements */
    char delimiter;     /* ARRAY: between elements, in text */
    bool as_text;       /* kind is TEXT by the configuration (columns.types: string), the
                           value is the server's text; so infinity and NaN pass */
    fr_kind kind;
    int16_t precision, scale; /* DECIMAL; scale also of money in arrays */
    bool toastable;           /* variable length and not storage plain */
    bool infinite; /* DATE, DATETIME, TIMESTAMP: infinity is INT64_MAX, -infinity INT64_MIN
                      (envelope: debezium); else it has no value */
} fr_pg_codec;

/* --- the catalog: built-in types plus what the source looked up. One thread at a time;
 * each reader has its own. --- */
typedef struct fr_pg_catalog fr_pg_catalog;

fr_pg_catalog *fr_pg_catalog_new(void);
void fr_pg_catalog_free(fr_pg_catalog *c); /* NULL is fine */
/* The built-in type, or one that was added; NULL: unknown. Valid until the oid is added
 * again or the catalog is freed. */
const fr_pg_type *fr_pg_catalog_find(const fr_pg_catalog *c, uint32_t oid);
/* Copies *t; replaces an older entry of the same oid (oids are used again). */
void fr_pg_catalog_add(fr_pg_catalog *c, const fr_pg_type *t);
/* A row of fr_pg_types_sql in text form (FR_PG_TYPES_COLUMNS NUL-terminated fields, as
 * PQgetvalue gives them, none NULL). BUG when a field is malformed. */
fr_rc fr_pg_catalog_add_row(fr_pg_catalog *c, const char *const *fields, fr_err *err);
/* The labels of an enum that was added, in their order, with commas between them: copied. */
void fr_pg_catalog_labels(fr_pg_catalog *c, uint32_t oid, fr_str labels);
/* What a column of this type is, for Debezium's envelope: *base its base type as format_type would
 * print it, where it is a domain; *labels those of an enum or of an array's elements. Empty: none.
 * In a. The type was resolved. */
void fr_pg_catalog_describe(const fr_pg_catalog *c, uint32_t oid, int32_t typmod, fr_arena *a,
                            fr_str *base, fr_str *labels);
/* Fraction digits of money in this database: `SELECT scale('1'::money::numeric)` before
 * lc_monetary is set. 2 unless said. */
void fr_pg_catalog_money_digits(fr_pg_catalog *c, int digits);

/* Types by oid with all that they refer to (elements, base types): one parameter, $1, an
 * array of oids as text: '{16385,16390}'. Runs on PostgreSQL 10 and later. */
extern const char fr_pg_types_sql[];
#define FR_PG_TYPES_COLUMNS 11
/* Enums among the types by oid and their arrays: oid, labels with commas. */
extern const char fr_pg_labels_sql[];

/* Work out the codec of a column. typmod is atttypmod (-1: none). native_type_out, in a
 * (NULL: not wanted), is what format_type would print with only pg_catalog and public on
 * the search_path.
 * Fails with code "pg.type_unknown" and err->native = the oid that is missing: look it up
 * once with fr_pg_types_sql, then try again; "pg.type_unsupported" for pseudo-types. */
fr_rc fr_pg_resolve(const fr_pg_catalog *c, uint32_t oid, int32_t typmod, bool as_text, fr_arena *a,
                    fr_pg_codec *out, fr_str *native_type_out, fr_err *err);

/* True when the binary form of this column decodes to the very bytes of its text form. A
 * stream or COPY may ask for binary when this holds for all of its columns; else all of it
 * is text (pgoutput's `binary` option is for the whole stream). */
bool fr_pg_codec_binary_safe(const fr_pg_codec *c);

/* What every connection that reads values must set, walsender and snapshot alike: name and
 * value pairs, ends with {NULL, NULL}. No value needs quoting in `options=-c name=value`
 * nor in SET name = 'value'. */
typedef struct fr_pg_setting {
    const char *name, *value;
} fr_pg_setting;
extern const fr_pg_setting fr_pg_session_settings[];

/* docs/types.md */
void fr_pg_types_docs(fr_buf *b);

#endif
