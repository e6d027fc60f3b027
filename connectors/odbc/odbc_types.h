/* The types of ODBC: which kind a column gets, and how its values are asked for. One table
 * (odbc_types.c), from which docs/types.md is generated. */
#ifndef FR_ODBC_ODBC_TYPES_H
#define FR_ODBC_ODBC_TYPES_H

#include "base/bytes.h"
#include "connectors/odbc/odbc_dialect.h"
#include "model/table.h"
#include <sql.h>
#include <sqlext.h>

typedef struct fr_odbc_column { /* as the driver describes a column of a result */
    fr_str name, type_name;
    SQLSMALLINT sql_type;
    uint64_t size;  /* digits, characters or bytes */
    int32_t digits; /* behind the point, or of a second */
    bool is_unsigned, nullable;
    bool as_text; /* columns.types says so */
    /* What follows from these. */
    fr_kind kind;
    int16_t precision, scale; /* DECIMAL */
    int64_t unit_us;          /* times: the step between two values; else 0 */
} fr_odbc_column;

/* Fills in what follows. CONFIG "odbc.types": no kind is known for it; columns.types: {c: string}
 * or a CAST in poll.query helps. */
fr_rc fr_odbc_resolve(const fr_odbc_quirks *q, fr_odbc_column *c, fr_err *err);
/* "numeric(10,2)", as a user would write it. */
fr_str fr_odbc_type_text(fr_arena *a, const fr_odbc_column *c);
/* Texts of 16-bit characters. */
bool fr_odbc_is_wide(SQLSMALLINT sql_type);

void fr_odbc_types_docs(fr_buf *b);

#endif
