/* Values on their way to the server: in which form a column of a message reaches a column of
 * the target, and the bytes of a bound parameter. Pure functions: nothing here talks to a
 * server, and nothing of a value is ever part of a statement's text (S01). */
#ifndef FR_MYSQL_MY_SINK_VALUE_H
#define FR_MYSQL_MY_SINK_VALUE_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/table.h"
#include <mysql.h>

/* The form of the parameter. BLOB and TEXT differ in character set only: the server converts
 * TEXT from utf8mb4 to the column's. */
typedef enum fr_my_send {
    FR_MY_SEND_INT,      /* BOOL, INT32, INT64 as 8 bytes */
    FR_MY_SEND_YEAR,     /* the same, but 1..1900 would become another year in silence */
    FR_MY_SEND_FLOAT,    /* 4 bytes */
    FR_MY_SEND_DOUBLE,   /* 8 bytes */
    FR_MY_SEND_BLOB,     /* bytes as they are */
    FR_MY_SEND_GEOMETRY, /* WKB or EWKB to the server's own form */
    FR_MY_SEND_TEXT,     /* the value's text; the server reads it */
    FR_MY_SEND_LABEL,    /* ENUM and SET: digits would be taken for an index */
    FR_MY_SEND_COUNT
} fr_my_send;
enum enum_field_types fr_my_send_type(fr_my_send send);

/* A column of the target as information_schema has it. Texts are the catalog's arena's. */
typedef struct fr_my_target_column {
    fr_str name;
    fr_str type;    /* DATA_TYPE, lower case: "varchar" */
    fr_str shown;   /* COLUMN_TYPE: "varchar(20)", "int(10) unsigned", "enum('a','b')" */
    fr_str charset; /* empty: no text */
    fr_str collation;
    fr_str fallback; /* COLUMN_DEFAULT; ptr NULL: none */
    fr_str extra, comment;
    uint64_t length;      /* of texts in characters, of binary types in bytes; 0: not such a type */
    int precision, scale; /* of DECIMAL */
    int digits;           /* of fractions of a second */
    bool is_unsigned, not_null, has_default, generated, counts; /* AUTO_INCREMENT */
} fr_my_target_column;

/* What the server can hold that another cannot. */
typedef struct fr_my_abilities {
    uint32_t version; /* 101119 */
    bool mariadb;
    bool fractions;     /* of seconds: MySQL 5.6.4, MariaDB 5.3 */
    bool uuid;          /* MariaDB 10.7 */
    bool bulk;          /* array binding */
    bool stamp_keys;    /* a prepared statement finds rows by a key of type timestamp */
    bool row_alias;     /* INSERT .. AS alias: MySQL 8.0.19 */
    bool folds_tables;  /* lower_case_table_names: table names differ by more than case */
    bool watches_txn;   /* idle_transaction_timeout: MariaDB 10.3 */
    unsigned key_bytes; /* of one column in an index */
    const char *exact;  /* the utf8mb4 collation for which only equal texts are equal */
    bool exact_pads;    /* but for spaces at the end, on old servers */
    size_t packet;      /* max_allowed_packet */
} fr_my_abilities;

/* How well values of a message's column go into a target's column. LOSSY: with a loss that
 * the server would not report (fractions of seconds, spaces at the end). NARROW: not all of
 * them would go in. NEVER: they mean something else. */
typedef enum fr_my_fit {
    FR_MY_FIT_FINE,
    FR_MY_FIT_LOSSY,
    FR_MY_FIT_NARROW,
    FR_MY_FIT_NEVER
} fr_my_fit;
/* *send is set unless NEVER. */
fr_my_fit fr_my_sink_fit(const fr_column *c, const fr_my_target_column *to, fr_my_send *send);
/* Whether equal means equal byte for byte in a key of this column. */
bool fr_my_sink_exact_key(const fr_column *c, const fr_my_target_column *to);

/* The type of a column that we create, with its character set: "decimal(10,2)", "longtext".
 * room: bytes that this column may take of an index (key columns) or of the row's 65,535
 * (others): texts and bytes of unknown length become as long as fits. In the arena or a
 * literal. */
fr_str fr_my_sink_type(fr_arena *a, const fr_my_abilities *can, const fr_column *c, size_t room);
/* Bytes of an index that a key column of a fixed size needs; 0: it takes what room there is. */
size_t fr_my_sink_key_size(const fr_column *c);
/* The type that a NARROW column needs: it holds what is there and what comes. */
fr_str fr_my_sink_wider(fr_arena *a, const fr_my_abilities *can, const fr_column *c,
                        const fr_my_target_column *to);

/* One parameter of many rows, as the library binds them: values one after the other. */
typedef struct fr_my_cells {
    fr_my_send send;
    size_t count, cap;
    fr_buf data;            /* 8 bytes each for numbers; else texts, back to back */
    size_t *starts;         /* of texts, in data */
    unsigned long *lengths; /* of texts */
    char *nulls;            /* STMT_INDICATOR_NULL or _NONE; 1 is true as my_bool too */
    char **pointers;        /* of texts, by fr_my_cells_bind */
} fr_my_cells;
void fr_my_cells_free(fr_my_cells *c);
void fr_my_cells_begin(fr_my_cells *c, fr_my_send send);
void fr_my_cells_bytes(fr_my_cells *c, const void *ptr, size_t len); /* BLOB and TEXT */
void fr_my_cells_int(fr_my_cells *c, int64_t v);
void fr_my_cells_null(fr_my_cells *c);
/* All rows as one array (array), or one row. The cells must not change while bound. */
void fr_my_cells_bind_array(fr_my_cells *c, MYSQL_BIND *out);
void fr_my_cells_bind_row(fr_my_cells *c, size_t row, MYSQL_BIND *out);
/* Bytes of all that is in it. */
size_t fr_my_cells_size(const fr_my_cells *c);

/* Appends a value. to may be NULL: no limits are known. ABSENT is as NULL. DATA error (code
 * sink.value, sink.not_null) naming the column where the target has no such value, or would
 * hold another one in silence. */
fr_rc fr_my_sink_put(fr_my_cells *out, const fr_column *c, const fr_my_target_column *to,
                     const fr_value *v, fr_err *err);

#endif
