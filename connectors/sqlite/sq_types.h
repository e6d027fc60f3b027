/* What a column of SQLite is. Its values have types of their own (storage classes); the column
 * has a declared type, which is any words, or columns.types. Both go through one table, which is
 * that of docs/types.md, too. Pure. */
#ifndef FR_SQLITE_SQ_TYPES_H
#define FR_SQLITE_SQ_TYPES_H

#include "base/bytes.h"
#include "base/error.h"
#include "connectors/sqlite/sq_time.h"
#include "model/value.h"

/* How values of the kind are stored. */
typedef enum fr_sq_form {
    FR_SQ_PLAIN,   /* as the kind says: numbers as numbers, times as texts */
    FR_SQ_ANY,     /* TEXT: numbers, too, in their digits */
    FR_SQ_SECONDS, /* TIMESTAMP: whole numbers since 1970 */
    FR_SQ_MILLIS,
    FR_SQ_MICROS,
    FR_SQ_JULIAN, /* TIMESTAMP: days as floating point, julianday() */
} fr_sq_form;

typedef struct fr_sq_type_row {
    const char *name; /* upper case: the declared type without what is in (); else columns.types */
    fr_kind kind;
    fr_sq_form form;
    bool digits; /* (p,s) counts */
} fr_sq_type_row;

/* End with a name of NULL. */
extern const fr_sq_type_row fr_sq_declared[], fr_sq_asked[];

typedef struct fr_sq_column {
    fr_str name, declared; /* as the schema has it: "varchar(20)"; may be empty */
    fr_kind kind;
    int16_t precision, scale; /* DECIMAL */
    fr_sq_form form;
    bool nullable;
    bool left_out;     /* its type is not known, and the configuration leaves it out: always NULL */
    bool ordered;      /* pages are ordered by it, so that each value must have one spelling */
    fr_sq_clock clock; /* of ordered times as texts */
    uint16_t primary;  /* 1, 2, ... in the key */
    fr_str fallback;   /* the default as SQL; empty: none */
} fr_sq_column;

/* Sets kind, precision, scale and form from c->declared, or from asked (columns.types; NULL: not
 * set). CONFIG: neither says what it is. */
fr_rc fr_sq_type_of(fr_sq_column *c, const char *asked, fr_err *err);
/* Times as texts. */
static inline bool fr_sq_is_text_time(const fr_sq_column *c)
{
    return (c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP) && c->form == FR_SQ_PLAIN;
}
/* The step between two times of the column, in microseconds; 0: no time. */
int64_t fr_sq_unit_of(const fr_sq_column *c);

/* sq_types_docs.c: the part of docs/types.md. */
void fr_sq_types_docs(fr_buf *b);

#endif
