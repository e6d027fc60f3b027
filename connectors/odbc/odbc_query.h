/* Any database with an ODBC driver, asked in SQL. */
#ifndef FR_ODBC_ODBC_QUERY_H
#define FR_ODBC_ODBC_QUERY_H

#include "connect/sql.h"
#include "connectors/odbc/odbc_conn.h"
#include "connectors/odbc/odbc_types.h"

typedef struct fr_odbc_sql {
    fr_sql base;
    const fr_source_settings *settings;
    fr_odbc *c;
} fr_odbc_sql;

typedef struct fr_odbc_relation {
    fr_sql_relation base;
    fr_arena *arena;
    fr_odbc_dialect dialect; /* of the connection that described it; all of a source have one */
    fr_str from;             /* what stands behind FROM */
    fr_odbc_column *columns;
    size_t count;
} fr_odbc_relation;

extern const fr_sql_ops fr_odbc_sql_ops;

/* ---- odbc_catalog.c ---- */

fr_rc fr_odbc_list(fr_sql *base, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err);
fr_rc fr_odbc_describe(fr_sql *base, const fr_table_settings *t, fr_str space, fr_str name,
                       uint32_t version, fr_sql_relation **out, fr_err *err);
void fr_odbc_forget(fr_sql_relation *base);
/* The columns of a result, as its statement has them. */
fr_rc fr_odbc_columns_of(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, fr_odbc_column **out,
                         size_t *count_out, fr_err *err);
/* As the driver quotes it. */
void fr_odbc_put_name(fr_buf *b, const fr_odbc_dialect *d, fr_str name);

/* ---- odbc_page.c ---- */

fr_rc fr_odbc_select(fr_sql *base, fr_sql_relation *relation, fr_str sql, fr_reader **out,
                     fr_err *err);
/* A statement with marks, prepared, its values given and run. */
fr_rc fr_odbc_run(fr_odbc *c, const char *doing, const fr_odbc_relation *r, fr_str sql, fr_arena *a,
                  SQLHSTMT *out, fr_err *err);

#endif
