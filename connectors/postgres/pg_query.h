/* PostgreSQL, asked in SQL (connect/sql.h): for tables whose method is query. */
#ifndef FR_POSTGRES_PG_QUERY_H
#define FR_POSTGRES_PG_QUERY_H

#include "connect/sql.h"

extern const fr_sql_ops fr_postgres_sql;

/* pg_ddl.c */
fr_rc fr_pg_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);

#endif
