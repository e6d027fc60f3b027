/* MySQL and MariaDB, asked in SQL (connect/sql.h): for tables whose method is query. */
#ifndef FR_MYSQL_MY_QUERY_H
#define FR_MYSQL_MY_QUERY_H

#include "connect/sql.h"

extern const fr_sql_ops fr_mysql_sql, fr_mariadb_sql;

/* my_ddl.c */
fr_rc fr_my_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);

#endif
