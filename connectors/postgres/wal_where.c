#include "connect/where.h"
#include "connectors/postgres/wal_source.h"

/* The extended protocol takes one statement only. */
static fr_rc try_forms(PGconn *conn, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str table = fr_pg_qualified(a, space, name);
    const char *probes[FR_WHERE_PROBES];
    fr_rc rc = FR_OK;
    fr_where_probes(a, fr_arena_printf(a, "ONLY %.*s", FR_ARG(table)), where, probes);
    for (size_t i = 0; rc == FR_OK && i < FR_WHERE_PROBES; i++) {
        PGresult *res = NULL;
        rc = fr_pg_query(conn, "try the condition", probes[i], (const char *const[]){NULL}, 0, &res,
                         err);
        PQclear(res);
    }
    fr_arena_free(a);
    return rc;
}

fr_rc fr_wal_check_where(fr_source *base, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_wal_source *s = (fr_wal_source *)base;
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(s, &conn, err));
    fr_err ignored;
    fr_rc rc = fr_pg_exec(conn, "try the condition", "BEGIN READ ONLY", err);
    if (rc == FR_OK)
        rc = try_forms(conn, space, name, where, err);
    (void)fr_pg_exec(conn, "try the condition", "ROLLBACK", &ignored);
    fr_wal_give(s, conn);
    return rc;
}
