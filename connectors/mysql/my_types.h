/* The types of MySQL and MariaDB: which kind a column gets. One table for both servers
 * (my_types.c), from which docs/types.md is generated.
 *
 * A column is known from two places: its row in information_schema.COLUMNS, and the log
 * (TABLE_MAP, with binlog_row_metadata=FULL). Both give the same fr_column for the same
 * column; my_layout.h joins them.
 *
 * The promise (R27): a value is decoded to the same bytes whether it comes from a row image
 * of the log, from the text protocol or the binary one. It holds only on connections that
 * made fr_my_session_settings, and for text with the expressions of fr_my_select. */
#ifndef FR_MYSQL_MY_TYPES_H
#define FR_MYSQL_MY_TYPES_H

#include "connectors/mysql/my_charset.h"
#include "model/table.h"

/* What a column is declared as. The order is that of docs/types.md. */
/* clang-format off */
typedef enum fr_my_type {
    FR_MY_UNKNOWN, /* not said yet: only wire and meta are there */
    FR_MY_TINYINT, FR_MY_SMALLINT, FR_MY_MEDIUMINT, FR_MY_INT, FR_MY_BIGINT,
    FR_MY_DECIMAL, FR_MY_FLOAT, FR_MY_DOUBLE, FR_MY_BIT,
    FR_MY_CHAR, FR_MY_VARCHAR, FR_MY_TINYTEXT, FR_MY_TEXT, FR_MY_MEDIUMTEXT, FR_MY_LONGTEXT,
    FR_MY_BINARY, FR_MY_VARBINARY, FR_MY_TINYBLOB, FR_MY_BLOB, FR_MY_MEDIUMBLOB, FR_MY_LONGBLOB,
    FR_MY_ENUM, FR_MY_SET, FR_MY_DATE, FR_MY_TIME, FR_MY_DATETIME, FR_MY_TIMESTAMP, FR_MY_YEAR,
    FR_MY_JSON,                              /* MySQL's own; MariaDB's JSON is LONGTEXT */
    FR_MY_GEOMETRY, FR_MY_POINT, FR_MY_LINESTRING, FR_MY_POLYGON, FR_MY_MULTIPOINT,
    FR_MY_MULTILINESTRING, FR_MY_MULTIPOLYGON, FR_MY_GEOMETRYCOLLECTION,
    FR_MY_VECTOR,
    FR_MY_UUID, FR_MY_INET4, FR_MY_INET6,    /* MariaDB's; the log calls them BINARY */
    FR_MY_TYPE_COUNT
} fr_my_type;

/* The column types of TABLE_MAP, as far as a table may have them (enum_field_types of the
 * servers' sources: field_types.h, mysql_com.h). */
typedef enum fr_my_wire {
    FR_MY_WIRE_DECIMAL_OLD = 0, FR_MY_WIRE_TINY = 1, FR_MY_WIRE_SHORT = 2, FR_MY_WIRE_LONG = 3,
    FR_MY_WIRE_FLOAT = 4, FR_MY_WIRE_DOUBLE = 5, FR_MY_WIRE_NULL = 6, FR_MY_WIRE_TIMESTAMP = 7,
    FR_MY_WIRE_LONGLONG = 8, FR_MY_WIRE_INT24 = 9, FR_MY_WIRE_DATE = 10, FR_MY_WIRE_TIME = 11,
    FR_MY_WIRE_DATETIME = 12, FR_MY_WIRE_YEAR = 13, FR_MY_WIRE_NEWDATE = 14,
    FR_MY_WIRE_VARCHAR = 15, FR_MY_WIRE_BIT = 16, FR_MY_WIRE_TIMESTAMP2 = 17,
    FR_MY_WIRE_DATETIME2 = 18, FR_MY_WIRE_TIME2 = 19, FR_MY_WIRE_TYPED_ARRAY = 20,
    FR_MY_WIRE_BLOB_COMPRESSED = 140, FR_MY_WIRE_VARCHAR_COMPRESSED = 141,
    FR_MY_WIRE_VECTOR = 242, FR_MY_WIRE_JSON = 245, FR_MY_WIRE_NEWDECIMAL = 246,
    FR_MY_WIRE_ENUM = 247, FR_MY_WIRE_SET = 248, FR_MY_WIRE_TINY_BLOB = 249,
    FR_MY_WIRE_MEDIUM_BLOB = 250, FR_MY_WIRE_LONG_BLOB = 251, FR_MY_WIRE_BLOB = 252,
    FR_MY_WIRE_VAR_STRING = 253, FR_MY_WIRE_STRING = 254, FR_MY_WIRE_GEOMETRY = 255,
    FR_MY_WIRE_UNKNOWN = 256, /* the column is known from information_schema only */
} fr_my_wire;
/* clang-format on */

/* columns.zero_dates: what becomes of 0000-00-00, 2020-00-00 and the like. NULL: NULL, and
 * the event's `zero` names the columns; so DATE, DATETIME and TIMESTAMP columns are nullable
 * even where they are declared NOT NULL, unless they are part of the key. ERROR, and always
 * in a key: event->bad. */
typedef enum fr_my_zero { FR_MY_ZERO_NULL, FR_MY_ZERO_ERROR } fr_my_zero;

typedef struct fr_my_column {
    fr_str name; /* empty: the log did not say */
    fr_my_type type;
    /* In TABLE_MAP. meta: as the type wants it, and ENUM, SET and long CHAR are taken out of
     * their STRING disguise already. */
    fr_my_wire wire;
    uint16_t meta;
    /* Of the declaration. */
    uint32_t length;          /* CHAR, VARCHAR: characters; BINARY, VARBINARY: bytes; BIT:
                                 bits; VECTOR: dimensions; else 0 */
    uint8_t precision, scale; /* DECIMAL; TIME, DATETIME, TIMESTAMP: scale = digits of a second */
    bool is_unsigned;         /* ZEROFILL is */
    bool nullable;
    const fr_my_charset *charset; /* of text, ENUM and SET; NULL: none, or not known */
    const fr_str *labels;         /* ENUM and SET, in UTF-8; see fr_my_no_label */
    size_t label_count;
    uint32_t srid;    /* declared one of a spatial column; each value has its own */
    uint16_t primary; /* 1, 2, ...: place in the primary key (or in what stands in for it) */
    bool invisible;   /* not in SELECT *; in the log all the same */
    bool generated;   /* VIRTUAL or STORED, or a ROW START/END of system versioning */
    bool is_virtual;  /* generated, and not stored */
    /* Only information_schema and the configuration have these. */
    fr_str column_type; /* COLUMN_TYPE as it is: "int(10) unsigned zerofill" */
    fr_str doc;         /* COLUMN_COMMENT */
    fr_str fallback;    /* literal default as JSON for Avro; empty: none */
    bool as_text;       /* columns.types says string: what the server prints */
    fr_my_zero zero;
} fr_my_column;

/* How one column's values are decoded: plain data, refers to what its layout owns. */
typedef struct fr_my_codec {
    fr_my_type type;
    fr_my_wire wire;
    uint16_t meta;
    fr_kind kind;
    int16_t precision, scale; /* DECIMAL */
    uint8_t digits;           /* of a second */
    bool is_unsigned, as_text;
    fr_my_zero zero; /* ERROR for a key column too */
    uint32_t length;
    fr_my_convert *convert; /* text, ENUM and SET; NULL: binary */
    const fr_str *labels;
    size_t label_count;
} fr_my_codec;

/* A row of fr_my_columns_sql, in UTF-8. ptr NULL is SQL NULL. */
typedef struct fr_my_schema_row {
    fr_str name, column_type, is_nullable, fallback, charset, extra, comment, srs_id, generation;
} fr_my_schema_row;

/* What a label points to that is not known: information_schema writes ? for every character that
 * three bytes of UTF-8 do not hold, so one with a ? in it may be another. Only its text is in
 * doubt; the log with binlog_row_metadata=FULL and a snapshot have it right. */
extern const char fr_my_no_label[];

/* The column of a row of information_schema.COLUMNS; texts are copied into a. mariadb: its
 * COLUMN_DEFAULT is an expression (10.2.7+: quoted), MySQL's a bare literal. primary is the
 * caller's to set (KEY_COLUMN_USAGE, ORDINAL_POSITION in PRIMARY). wire is UNKNOWN. SCHEMA error
 * "my.type_unknown" for a COLUMN_TYPE we do not know. */
fr_rc fr_my_column_from_schema(const fr_my_schema_row *row, bool mariadb, fr_arena *a,
                               fr_my_column *out, fr_err *err);
/* Kind, precision, scale and native type ("int unsigned", "varchar(20)", "enum('a','b')":
 * the declaration without display widths and ZEROFILL, which the log does not have). In a. */
fr_kind fr_my_kind(const fr_my_column *c, int16_t *precision_out, int16_t *scale_out);
fr_str fr_my_native_type(const fr_my_column *c, fr_arena *a);

/* Queries for the above, for one schema and table (?, ?), in column order. The short form is
 * for servers without SRS_ID and GENERATION_EXPRESSION (before MySQL 8.0; all of MariaDB:
 * it has the latter from 10.2, and fr_my_schema_row.extra says it too). */
extern const char fr_my_columns_sql[], fr_my_columns_sql_short[];

/* What every connection that reads values sets: statements, ends with NULL. Results come in
 * the columns' own character sets, times in UTC, CHAR without its padding. */
extern const char *const fr_my_session_settings[];

/* The expression that reads a column so that its text or binary form decodes as the log's
 * row image does: the quoted name, or a wrapper (text FLOAT is rounded to 6 digits by the
 * server, and so is read as a double). Alias it yourself. */
void fr_my_select(fr_buf *b, const fr_my_column *c, bool text);

/* docs/types.md */
void fr_my_types_docs(fr_buf *b);

#endif
