/* Values: what drivers give for a cell, and how a value is written and given back to them. Pure.
 * Errors are DATA, code "odbc.value.*", and never have the value. */
#ifndef FR_ODBC_ODBC_VALUE_H
#define FR_ODBC_ODBC_VALUE_H

#include "base/bytes.h"
#include "connectors/odbc/odbc_types.h"

fr_rc fr_odbc_date(const SQL_DATE_STRUCT *d, int64_t *days_out, fr_err *err);
fr_rc fr_odbc_moment(const SQL_TIMESTAMP_STRUCT *t, int64_t *us_out, fr_err *err);
/* "[-]H:MM:SS[.f]": a time of day, or a length of time. */
fr_rc fr_odbc_time(fr_str text, int64_t *us_out, fr_err *err);
/* Numbers as drivers write them (".5", "1.50", "-.5"), as an unscaled integer of the column. */
fr_rc fr_odbc_decimal(fr_arena *a, fr_str text, const fr_odbc_column *c, fr_str *out, fr_err *err);
/* A value of a kind that is not text, as text. */
fr_rc fr_odbc_from_text(const fr_odbc_column *c, fr_str text, fr_value *out, fr_err *err);
/* In lower case; DATA if it is no UUID. */
fr_rc fr_odbc_uuid(fr_arena *a, fr_str text, fr_str *out, fr_err *err);
/* A whole number that its column's kind has room for. */
fr_rc fr_odbc_int(const fr_odbc_column *c, int64_t n, fr_value *out, fr_err *err);

/* ---- values in statements ---- */

/* A value as text, by which a place is recorded. */
fr_str fr_odbc_value_text(fr_arena *a, const fr_odbc_column *c, const fr_value *v);
/* A mark that stands for a value of a column in a statement, until it is run: drivers take values
 * beside the statement, so that none has to be quoted. False: no value of this column can be given
 * so. */
bool fr_odbc_put_mark(fr_buf *b, const fr_odbc_column *c, size_t column, fr_str text);
/* A mark for a limit that is not part of SQL. */
void fr_odbc_put_limit_mark(fr_buf *b, size_t rows);

typedef struct fr_odbc_param {
    size_t column;
    fr_str text;
} fr_odbc_param;

typedef struct fr_odbc_marked { /* in an arena */
    fr_str sql;                 /* with ? in the place of values */
    fr_odbc_param *params;
    size_t count;
    size_t max_rows; /* 0: any */
} fr_odbc_marked;

/* False: there is a mark in it that none of the above has written. */
bool fr_odbc_read_marks(fr_arena *a, fr_str sql, size_t columns, fr_odbc_marked *out);
/* Such bytes in what a user wrote would be taken for marks. */
bool fr_odbc_has_marks(const char *text);
/* Back from text, to be given to a driver. False: it is not of this form. */
bool fr_odbc_text_moment(fr_str text, SQL_TIMESTAMP_STRUCT *out);
bool fr_odbc_text_date(fr_str text, SQL_DATE_STRUCT *out);
bool fr_odbc_text_bytes(fr_arena *a, fr_str text, fr_str *out);

#endif
