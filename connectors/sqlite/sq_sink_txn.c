/* The transaction, statements, DDL. */
#include "sqlite/sq_sink.h"
#include <stdio.h>
#include <string.h>

/* ---- statements ---- */

fr_rc fr_sq_sink_exec(fr_sq_sink *s, const char *doing, const char *sql, fr_err *err)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FR_OK : fr_sq_sink_error(s->db, rc, doing, err);
}

fr_rc fr_sq_sink_compile(fr_sq_sink *s, const char *doing, fr_str sql, bool kept,
                         sqlite3_stmt **out, fr_err *err)
{
    if (*out != NULL)
        return FR_OK;
    int rc = sqlite3_prepare_v3(s->db, sql.ptr, (int)sql.len, kept ? SQLITE_PREPARE_PERSISTENT : 0,
                                out, NULL);
    return rc == SQLITE_OK ? FR_OK : fr_sq_sink_error(s->db, rc, doing, err);
}

fr_rc fr_sq_sink_step(fr_sq_sink *s, const char *doing, sqlite3_stmt *stmt, fr_err *err)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return FR_OK;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(stmt);
        return FR_END;
    }
    fr_sq_sink_error(s->db, rc, doing, err);
    sqlite3_reset(stmt);
    return FR_FAIL;
}

void fr_sq_sink_bind_text(sqlite3_stmt *stmt, int at, fr_str text)
{
    sqlite3_bind_text64(stmt, at, text.len > 0 ? text.ptr : "", text.len, SQLITE_STATIC,
                        SQLITE_UTF8);
}

void fr_sq_sink_bind_blob(sqlite3_stmt *stmt, int at, const void *ptr, size_t len)
{
    sqlite3_bind_blob64(stmt, at, len > 0 ? ptr : "", len, SQLITE_STATIC);
}

fr_str fr_sq_sink_column(fr_arena *a, sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return (fr_str){NULL, 0};
    const void *bytes = sqlite3_column_blob(stmt, column);
    return fr_arena_copy(a, bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(stmt, column));
}

fr_rc fr_sq_sink_number(fr_sq_sink *s, const char *doing, const char *sql, int64_t *out,
                        fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    FR_TRY(fr_sq_sink_compile(s, doing, fr_cstr(sql), false, &stmt, err));
    fr_rc rc = fr_sq_sink_step(s, doing, stmt, err);
    if (rc == FR_OK)
        *out = sqlite3_column_int64(stmt, 0);
    else if (rc == FR_END)
        rc = fr_fail(err, FR_ERR_BUG, "%s: no row", doing);
    sqlite3_finalize(stmt);
    return rc;
}

/* ---- the transaction ---- */

static fr_rc read_version(fr_sq_sink *s, int64_t *out, fr_err *err)
{
    FR_TRY(fr_sq_sink_compile(s, "read the tables' version", FR_STR("PRAGMA main.schema_version"),
                              true, &s->version, err));
    FR_TRY(fr_sq_sink_step(s, "read the tables' version", s->version, err));
    *out = sqlite3_column_int64(s->version, 0);
    sqlite3_reset(s->version);
    return FR_OK;
}

/* Whoever changes a table counts this number up. */
static fr_rc look_at_version(fr_sq_sink *s, fr_err *err)
{
    int64_t version;
    FR_TRY(read_version(s, &version, err));
    if (version != s->schema_version)
        fr_sq_sink_forget(s);
    s->schema_version = version;
    return FR_OK;
}

fr_rc fr_sq_sink_begin(fr_sq_sink *s, fr_err *err)
{
    if (s->in_txn)
        return FR_OK;
    FR_TRY(fr_sq_sink_need_file(s, s->settings->create != FR_WHEN_NEVER, err));
    FR_TRY(fr_sq_sink_same_file(s, err));
    FR_TRY(fr_sq_sink_exec(s, "begin", "BEGIN IMMEDIATE", err));
    s->in_txn = true;
    return look_at_version(s, err);
}

fr_rc fr_sq_sink_end(fr_sq_sink *s, fr_err *err)
{
    FR_TRY(fr_sq_sink_same_file(s, err));
    FR_TRY(fr_sq_sink_exec(s, "commit", "COMMIT", err));
    if (s->changed_ddl)
        fr_sq_sink_know_all(s);
    s->in_txn = s->changed_ddl = false;
    return FR_OK;
}

void fr_sq_sink_abandon(fr_sq_sink *s)
{
    fr_err ignored;
    bool ended = true;
    if (s->db != NULL && sqlite3_get_autocommit(s->db) == 0)
        ended = fr_sq_sink_exec(s, "roll back", "ROLLBACK", &ignored) == FR_OK;
    if (s->changed_ddl) {
        fr_sq_sink_forget(s);
        s->has_own_tables = false;
        s->schema_version = -1;
    }
    s->in_txn = s->changed_ddl = false;
    if (!ended)
        atomic_store(&s->connected, false);
}

fr_rc fr_sq_sink_failed(fr_sq_sink *s, fr_err *err)
{
    bool interrupted = atomic_exchange(&s->interrupted, false);
    if (interrupted && err->kind == FR_ERR_BUSY)
        err->kind = FR_ERR_CANCELLED;
    if (err->kind == FR_ERR_CONNECT)
        atomic_store(&s->connected, false);
    fr_sq_sink_abandon(s);
    return FR_FAIL;
}

/* ---- DDL ---- */

fr_rc fr_sq_sink_ddl(fr_sq_sink *s, fr_str sql, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    s->changed_ddl = true;
    fr_rc rc = fr_sq_sink_exec(s, "change the target", fr_arena_cstr(a, sql), err);
    fr_arena_free(a);
    if (rc == FR_FAIL && err->kind == FR_ERR_DATA)
        err->kind = FR_ERR_CONFIG; /* rows that are there do not allow it */
    return rc == FR_FAIL ? rc : read_version(s, &s->schema_version, err);
}
