/* poll.query on MySQL and MariaDB: what columns a statement has. */
#ifndef FR_MYSQL_MY_STATEMENT_H
#define FR_MYSQL_MY_STATEMENT_H

#include "connectors/mysql/binlog_catalog.h"

/* Sets columns and column_count of a relation: the columns of `from` (what follows FROM), texts in
 * the arena. ENUM and SET are text here: nothing says their labels. All may be NULL but those of
 * t->key, which are taken at their word. CONFIG: the server does not take the statement, or a
 * column has no type (a bare NULL). */
fr_rc fr_my_statement(fr_my *my, const fr_table_settings *t, fr_str from, fr_arena *a,
                      fr_my_relation *out, fr_err *err);

#endif
