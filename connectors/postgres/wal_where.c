/* Conditions for the rows of a snapshot that somebody typed: looked at by the server before any of
 * our statements holds one. */
#include "connectors/postgres/wal_source.h"

/* Between parentheses it could close ours and open another pair; between two words it cannot. So
 * what is right in both places is one condition, and what follows it in a statement stays as it
 * is. The extended protocol takes one statement only; LIMIT 0: no row is looked at. */
static fr_rc try_form(PGconn *conn, fr_arena *a, const char *before, const char *after,
                      fr_str where, fr_err *err)
{
    fr_buf sql = {.arena = a};
    PGresult *res = NULL;
    fr_buf_text(&sql, before);
    fr_buf_str(&sql, where);
    fr_buf_text(&sql, after);
    fr_buf_u8(&sql, '\0');
    fr_rc rc = fr_pg_query(conn, "try the condition", (const char *)sql.ptr,
                           (const char *const[]){NULL}, 0, &res, err);
    PQclear(res);
    return rc;
}

static fr_rc try_forms(PGconn *conn, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str table = fr_pg_qualified(a, space, name);
    fr_str select = fr_arena_printf(a, "SELECT 1 FROM ONLY %.*s WHERE (\n", FR_ARG(table));
    fr_str from = fr_arena_printf(a, "\nTHEN 1 END FROM ONLY %.*s LIMIT 0", FR_ARG(table));
    fr_rc rc = try_form(conn, a, fr_arena_cstr(a, select), "\n) LIMIT 0", where, err);
    if (rc == FR_OK)
        rc = try_form(conn, a, "SELECT CASE WHEN\n", fr_arena_cstr(a, from), where, err);
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
