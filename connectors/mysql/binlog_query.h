/* What a statement of the log is, without understanding it. Pure. */
#ifndef FR_MYSQL_BINLOG_QUERY_H
#define FR_MYSQL_BINLOG_QUERY_H

#include "base/bytes.h"

typedef enum fr_sql_kind {
    FR_SQL_BEGIN,
    FR_SQL_COMMIT,
    FR_SQL_ROLLBACK,
    FR_SQL_ROLLBACK_TO,
    FR_SQL_SAVEPOINT, /* RELEASE too */
    FR_SQL_XA_START,
    FR_SQL_XA_END,
    FR_SQL_XA_COMMIT,
    FR_SQL_XA_ROLLBACK,
    FR_SQL_DML,       /* INSERT, UPDATE, ..., and what may call a function */
    FR_SQL_TRUNCATE,  /* DELETE FROM t without more, by a server that restarted, too */
    FR_SQL_TEMPORARY, /* CREATE and DROP TEMPORARY TABLE: no business of ours */
    FR_SQL_SHAPE,     /* CREATE, ALTER, DROP, RENAME: tables may look different now */
    FR_SQL_OTHER,     /* GRANT, ANALYZE, FLUSH, ... */
} fr_sql_kind;

typedef struct fr_sql {
    fr_sql_kind kind;
    fr_str space, name; /* TRUNCATE and DML: the table that is changed, as far as that is plain to
                           see; space empty: the default one. In a. name empty: not known */
    fr_str rest;        /* XA: what follows the verb */
} fr_sql;

fr_sql fr_sql_read(fr_arena *a, fr_str statement);

#endif
