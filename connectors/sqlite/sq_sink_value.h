/* Values on their way into an SQLite file: in which class of storage a column of a message reaches
 * a column of the target, and the parameter that carries it. SQLite converts what it is given by
 * the affinity of the column's declared type, mostly in silence: what would come out changed is not
 * sent. Nothing of a value is ever part of a statement's text (S01). Pure but for the binding. */
#ifndef FR_SQLITE_SQ_SINK_VALUE_H
#define FR_SQLITE_SQ_SINK_VALUE_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/table.h"
#include <sqlite3.h>

typedef enum fr_sq_send {
    FR_SQ_SEND_INT,     /* BOOL, INT32, INT64 */
    FR_SQ_SEND_DECIMAL, /* without fraction, as an integer: an error beyond 64 bits */
    FR_SQ_SEND_REAL,
    FR_SQ_SEND_TEXT,   /* the value's text */
    FR_SQ_SEND_WORD,   /* the same, but an error where the column would make a number of it */
    FR_SQ_SEND_DIGITS, /* a decimal's text, of which the column makes a number, exact to 15 digits
                        */
    FR_SQ_SEND_BLOB
} fr_sq_send;

/* What a column does to what it is given (https://www.sqlite.org/datatype3.html, 3.1). */
typedef enum fr_sq_affinity {
    FR_SQ_INTEGER,
    FR_SQ_NUMERIC,
    FR_SQ_REAL,
    FR_SQ_TEXT,
    FR_SQ_NONE, /* BLOB, or no type: nothing */
    FR_SQ_BYTES /* BLOB of a STRICT table: takes nothing else */
} fr_sq_affinity;
fr_sq_affinity fr_sq_affinity_of(fr_str declared, bool strict);

/* A column of the target. Texts are the arena's that read it. */
typedef struct fr_sq_target_column {
    fr_str name;
    fr_str declared; /* its type: "VARCHAR(20)"; empty: none */
    fr_sq_affinity affinity;
    bool strict; /* of a STRICT table: another class is refused */
    bool not_null, has_default, generated;
    bool counts; /* INTEGER PRIMARY KEY: NULL becomes a number */
} fr_sq_target_column;

/* How well values of a message's column go into a target's column. LOSSY: with a loss that SQLite
 * would not report, or with rows that are refused. NEVER: they would be other values, or mean
 * something else. */
typedef enum fr_sq_fit { FR_SQ_FIT_FINE, FR_SQ_FIT_LOSSY, FR_SQ_FIT_NEVER } fr_sq_fit;
/* *send is set unless NEVER; *why (a literal, for a person) unless FINE. */
fr_sq_fit fr_sq_sink_fit(const fr_column *c, const fr_sq_target_column *to, fr_sq_send *send,
                         const char **why);
/* The type of a column that we create; a literal. */
const char *fr_sq_sink_type(fr_kind kind);
/* docs/types.md's part on this sink. */
void fr_sq_sink_types_docs(fr_buf *b);

/* Binds a value; ABSENT is as NULL. What has to be spelt is in the arena: both it and v are
 * borrowed until the statement has run. DATA (sink.value) naming the column where SQLite has no
 * such value, or would hold another one in silence. */
fr_rc fr_sq_sink_bind(sqlite3_stmt *stmt, int at, fr_sq_send send, fr_arena *a, const fr_column *c,
                      const fr_value *v, fr_err *err);
/* Whether a column of affinity NUMERIC would make a number of this text. */
bool fr_sq_is_number(fr_str text);

#endif
