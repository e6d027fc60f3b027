/* Who may still commit rows that cannot be seen yet, on MySQL and MariaDB with InnoDB. */
#ifndef FR_MYSQL_MY_STATE_H
#define FR_MYSQL_MY_STATE_H

#include "connect/sql.h"
#include "connectors/mysql/my_conn.h"

/* What MySQL says when a statement of a listed session has characters that its lists cannot show.
 */
enum { FR_MY_CANNOT_CONVERT = 3854 };

/* As fr_sql_ops.state. processes: the table of sessions and what they do. BUSY query.stale,
 * query.processlist. */
fr_rc fr_my_state(fr_my *my, const char *processes, fr_arena *a, fr_sql_state *out, fr_err *err);

#endif
