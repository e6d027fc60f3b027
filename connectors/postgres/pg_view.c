/* One view for several SELECTs. The tables are locked before it is made: one that is truncated, or
 * rewritten by ALTER TABLE, between a view and the SELECT would look empty to it. */
#include "connectors/postgres/pg_query_parts.h"
#include <string.h>

static fr_rc look(PGconn *conn, fr_sql_relation *const *relations, size_t count, fr_err *err)
{
    fr_buf b = {0};
    PGresult *res = NULL;
    fr_buf_text(&b, "SELECT ");
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(&b, i > 0 ? " OR " : "");
        fr_pg_sql_put_changed(&b, (fr_pg_sql_relation *)relations[i]);
    }
    fr_buf_u8(&b, '\0');
    fr_rc rc = fr_pg_query(conn, "look at the columns", (const char *)b.ptr, NULL, 0, &res, err);
    fr_buf_free(&b);
    if (rc == FR_OK && fr_pg_bool(res, 0, 0))
        rc = fr_pg_sql_changed(err);
    PQclear(res);
    return rc;
}

static fr_rc lock(PGconn *conn, fr_sql_relation *const *relations, size_t count, fr_err *err)
{
    fr_buf b = {0};
    fr_buf_text(&b, "LOCK TABLE ");
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "",
                      FR_ARG(((fr_pg_sql_relation *)relations[i])->qualified));
    fr_buf_text(&b, " IN ACCESS SHARE MODE");
    fr_buf_u8(&b, '\0');
    fr_rc rc = fr_pg_exec(conn, "lock against ALTER TABLE", (const char *)b.ptr, err);
    fr_buf_free(&b);
    if (rc == FR_FAIL && strcmp(err->sqlstate, "42P01") == 0)
        fr_fail_code(err, "sql.changed"); /* dropped and made again */
    return rc;
}

fr_rc fr_pg_begin_view(fr_sql *base, fr_sql_relation *const *relations, size_t count, fr_err *err)
{
    fr_pg_sql *c = (fr_pg_sql *)base;
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(c->pool, &conn, err));
    fr_rc rc = fr_pg_exec(conn, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == FR_OK)
        rc = lock(conn, relations, count, err);
    if (rc == FR_OK)
        rc = look(conn, relations, count, err);
    if (rc == FR_FAIL) {
        fr_wal_give(c->pool, conn);
        return FR_FAIL;
    }
    c->views = true;
    c->viewing = conn;
    return FR_OK;
}

void fr_pg_end_view(fr_sql *base)
{
    fr_pg_sql *c = (fr_pg_sql *)base;
    fr_err ignored;
    if (c->viewing != NULL)
        (void)fr_pg_exec(c->viewing, "end the view", "COMMIT", &ignored);
    fr_wal_give(c->pool, c->viewing);
    c->viewing = NULL;
    c->views = false;
}

fr_rc fr_pg_view_rows(fr_pg_sql *c, fr_pg_sql_relation *r, fr_str sql, fr_reader **out, fr_err *err)
{
    if (c->viewing == NULL)
        return fr_fail(err, FR_ERR_CONNECT, "read rows: the view is lost");
    fr_buf b = {0};
    fr_buf_printf(&b, "COPY (%.*s) TO STDOUT (FORMAT %s)", FR_ARG(sql),
                  r->layout->binary_safe ? "binary" : "text");
    fr_buf_u8(&b, '\0');
    fr_wal_way way = {.sql = (const char *)b.ptr,
                      .view = -1,
                      .check = -1,
                      .stays = &c->viewing,
                      .conn = c->viewing};
    c->viewing = NULL;
    fr_rc rc = fr_wal_read_rows(c->pool, r->layout, &way, out, err);
    fr_buf_free(&b);
    return rc;
}
