/* MySQL and MariaDB, asked in SQL (connect/sql.h): for tables whose method is query. */
#ifndef FR_MYSQL_MY_QUERY_H
#define FR_MYSQL_MY_QUERY_H

#include "connect/sql.h"

extern const fr_sql_ops fr_mysql_sql, fr_mariadb_sql;

/* my_query.c: after a restart the numbers of deleted rows may be given again. version: as
 * fr_my.version. Pure. */
bool fr_my_forgets_numbers(bool mariadb, uint32_t version);

/* my_ddl.c */
fr_rc fr_my_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);
/* What checks its contract: a procedure, to be made before the table, and its triggers. */
fr_str fr_my_contract_procedure(fr_arena *a, const fr_ddl_outbox *o); /* quoted */
void fr_my_put_contract(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o);
void fr_my_put_contract_triggers(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o);
/* Keeps a GRANT from making an account, on old servers. */
extern const char fr_my_ddl_no_new_accounts[];
/* `user`@'%', by the source's dsn; empty: it names none. */
fr_str fr_my_ddl_account(fr_arena *a, const fr_source_settings *source);

/* my_declared.c: fr_source_ops.declared. */
fr_rc fr_my_declared(fr_arena *a, const char *type, const char *asked, fr_column *out, fr_err *err);

/* my_ddl_triggers.c */
fr_rc fr_my_put_triggers(fr_sql *c, fr_buf *b, const fr_ddl_triggers *o, fr_err *err);

#endif
