/* PostgreSQL, asked in SQL (connect/sql.h): for tables whose method is query. */
#ifndef FR_POSTGRES_PG_QUERY_H
#define FR_POSTGRES_PG_QUERY_H

#include "connect/sql.h"

extern const fr_sql_ops fr_postgres_sql;

/* pg_ddl.c */
fr_rc fr_pg_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err);
/* What checks its contract: a function, to be made before the table, and its trigger. */
fr_str fr_pg_contract_function(fr_arena *a, const fr_ddl_outbox *o); /* quoted */
void fr_pg_put_contract(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o);
void fr_pg_put_contract_trigger(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o);
/* The server would cut a longer name off, and say so only in passing. */
fr_rc fr_pg_ddl_length(const fr_table_settings *t, fr_str name, fr_err *err);
/* Settings of a table that is always nearly empty. */
extern const char fr_pg_ddl_queue[];

/* pg_ddl_triggers.c */
fr_rc fr_pg_put_triggers(fr_sql *c, fr_buf *b, const fr_ddl_triggers *o, fr_err *err);

#endif
