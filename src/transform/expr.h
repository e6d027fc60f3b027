/* SQL expressions over one row, evaluated by SQLite in a sandbox: no table but the row, no
 * function whose result depends on anything else, no file, no clock, an end to everything
 * (docs/expressions.md). A sandbox and its expressions are of one thread. */
#ifndef FR_TRANSFORM_EXPR_H
#define FR_TRANSFORM_EXPR_H

#include "base/error.h"
#include "model/table.h"

typedef struct fr_sandbox fr_sandbox;
typedef struct fr_expr fr_expr; /* used while both its sandbox and its arena are there */

fr_rc fr_sandbox_open(fr_sandbox **out, fr_err *err); /* BUG: SQLite does not start */
void fr_sandbox_close(fr_sandbox *s);                 /* ends all expressions; NULL is fine */

/* table NULL: each name that is no function is taken for a column (validate, without a server);
 * such an expression is never run. CONFIG, err->code without its first part ("syntax", "function",
 * "no_such_column", "column"), and *at_out bytes into the text where it is wrong. */
fr_rc fr_expr_compile(fr_sandbox *s, fr_arena *a, const fr_table *table, const char *text,
                      fr_expr **out, size_t *at_out, fr_err *err);
/* The columns that it reads, in no order, each once. */
const uint16_t *fr_expr_columns(const fr_expr *e, size_t *count);
/* What the result surely is: BOOL, INT64, FLOAT64, TEXT; FR_NULL: not known before. */
fr_kind fr_expr_kind(const fr_expr *e);

typedef enum {
    FR_RESULT_NULL,
    FR_RESULT_INTEGER,
    FR_RESULT_REAL,
    FR_RESULT_TEXT,
    FR_RESULT_BLOB
} fr_result_kind;
typedef struct fr_result {
    fr_result_kind kind;
    union {
        int64_t integer;
        double real;
        fr_str bytes; /* SQLite's own; until the sandbox runs again */
    };
} fr_result;

/* values: a row of the table; none that the expression reads may be ABSENT. DATA: it has no result
 * (too long, too much work, malformed JSON, ...); the text never holds a value. */
fr_rc fr_expr_run(fr_expr *e, const fr_value *values, fr_result *out, fr_err *err);

#endif
