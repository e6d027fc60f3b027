/* The transaction, statements, DDL. */
#include "duckdb/duck_sink.h"
#include <stdlib.h>
#include <string.h>

/* ---- statements ---- */

static fr_rc failed_result(fr_duck_sink *s, duckdb_result *r, const char *doing, fr_err *err)
{
    duckdb_error_type type = s->api->result_error_type(r);
    fr_duck_sink_error(type, s->api->result_error(r), doing, err);
    s->broken = s->broken || (int)type == FR_DUCK_E_FATAL || (int)type == FR_DUCK_E_INTERNAL ||
                (int)type == FR_DUCK_E_IO || err->kind == FR_ERR_CONNECT ||
                strcmp(err->code, "sink.full") == 0;
    return FR_FAIL;
}

fr_rc fr_duck_sink_exec(fr_duck_sink *s, const char *doing, const char *sql, fr_err *err)
{
    duckdb_result r;
    fr_rc rc = FR_OK;
    if (s->api->query(s->con, sql, &r) != 0)
        rc = failed_result(s, &r, doing, err);
    s->api->destroy_result(&r);
    return rc;
}

static bool bind(const fr_duck_api *d, duckdb_prepared_statement stmt, idx_t at,
                 const fr_duck_param *p)
{
    const char *ptr = p->bytes.len > 0 ? p->bytes.ptr : "";
    switch (p->what) {
    case FR_DUCK_P_TEXT:
        return d->bind_varchar_length(stmt, at, ptr, p->bytes.len) == 0;
    case FR_DUCK_P_BLOB:
        return d->bind_blob(stmt, at, ptr, p->bytes.len) == 0;
    default:
        return d->bind_int64(stmt, at, p->number) == 0;
    }
}

static fr_str cell(fr_arena *a, const duckdb_string_t *text)
{
    fr_str s = fr_duck_text(text);
    return fr_arena_copy(a, s.ptr, s.len);
}

static void read_chunk(const fr_duck_api *d, duckdb_data_chunk chunk, fr_arena *a, size_t columns,
                       fr_buf *cells)
{
    size_t count = d->data_chunk_get_size(chunk);
    fr_str *out = (fr_str *)(void *)fr_buf_room(cells, (count * columns + 1) * sizeof(fr_str));
    cells->len += count * columns * sizeof(fr_str);
    for (size_t c = 0; c < columns; c++) {
        duckdb_vector vector = d->data_chunk_get_vector(chunk, c);
        const duckdb_string_t *texts = d->vector_get_data(vector);
        const uint64_t *valid = d->vector_get_validity(vector);
        for (size_t row = 0; row < count; row++) {
            bool null = valid != NULL && !(valid[row / 64] >> row % 64 & 1);
            out[row * columns + c] = null ? (fr_str){NULL, 0} : cell(a, &texts[row]);
        }
    }
}

static void read_result(const fr_duck_api *d, duckdb_result *r, fr_arena *a, fr_duck_rows *out)
{
    fr_buf cells = {.arena = a};
    out->columns = d->column_count(r);
    fr_buf_room(&cells, sizeof(fr_str));
    for (duckdb_data_chunk chunk; (chunk = d->fetch_chunk(*r)) != NULL;) {
        read_chunk(d, chunk, a, out->columns, &cells);
        d->destroy_data_chunk(&chunk);
    }
    out->cells = (fr_str *)(void *)cells.ptr;
    out->count = out->columns > 0 ? cells.len / sizeof(fr_str) / out->columns : 0;
}

static fr_rc run(fr_duck_sink *s, const char *doing, duckdb_prepared_statement stmt, fr_arena *a,
                 fr_duck_rows *out, fr_err *err)
{
    duckdb_result r;
    fr_rc rc = FR_OK;
    if (s->api->execute_prepared(stmt, &r) != 0)
        rc = failed_result(s, &r, doing, err);
    else if (out != NULL) {
        out->changed = (int64_t)s->api->rows_changed(&r);
        if (a != NULL)
            read_result(s->api, &r, a, out);
    }
    s->api->destroy_result(&r);
    return rc;
}

fr_rc fr_duck_sink_ask(fr_duck_sink *s, const char *doing, const char *sql,
                       const fr_duck_param *params, size_t count, fr_arena *a, fr_duck_rows *out,
                       fr_err *err)
{
    const fr_duck_api *d = s->api;
    duckdb_prepared_statement stmt = NULL;
    fr_rc rc = FR_OK;
    if (d->prepare(s->con, sql, &stmt) != 0) {
        const char *text = d->prepare_error(stmt);
        int type = text != NULL && strstr(text, "INTERNAL") != NULL ? FR_DUCK_E_INTERNAL
                   : text != NULL && strstr(text, "FATAL") != NULL  ? FR_DUCK_E_FATAL
                                                                    : FR_DUCK_E_BINDER;
        rc = fr_duck_sink_error((duckdb_error_type)type, text, doing, err);
        s->broken = s->broken || err->kind == FR_ERR_CONNECT;
    }
    for (size_t i = 0; i < count && rc == FR_OK; i++)
        if (!bind(d, stmt, i + 1, &params[i]))
            rc = fr_fail(err, FR_ERR_BUG, "%s: parameter %zu is not taken", doing, i + 1);
    if (rc == FR_OK)
        rc = run(s, doing, stmt, a, out, err);
    d->destroy_prepare(&stmt);
    return rc;
}

/* ---- the transaction ---- */

fr_rc fr_duck_sink_begin(fr_duck_sink *s, fr_err *err)
{
    if (s->in_txn)
        return FR_OK;
    FR_TRY(fr_duck_sink_need_file(s, s->settings->create != FR_WHEN_NEVER, err));
    FR_TRY(fr_duck_sink_same_file(s, err));
    FR_TRY(fr_duck_sink_exec(s, "begin", "BEGIN TRANSACTION", err));
    s->in_txn = true;
    return FR_OK;
}

fr_rc fr_duck_sink_end(fr_duck_sink *s, fr_err *err)
{
    FR_TRY(fr_duck_sink_same_file(s, err));
    FR_TRY(fr_duck_sink_exec(s, "commit", "COMMIT", err));
    if (s->changed_ddl)
        fr_duck_sink_know_all(s);
    s->in_txn = s->has_rows = s->changed_ddl = false;
    atomic_store(&s->connected, true);
    if (s->config->hold == FR_DUCK_HOLD_WRITING)
        fr_duck_sink_shut(s);
    return FR_OK;
}

void fr_duck_sink_abandon(fr_duck_sink *s)
{
    fr_err ignored;
    bool open = s->con != NULL && s->in_txn;
    if (open && fr_duck_sink_exec(s, "roll back", "ROLLBACK", &ignored) == FR_FAIL)
        s->broken = true;
    if (s->changed_ddl) {
        fr_duck_sink_forget(s);
        s->has_own_tables = false;
    }
    s->in_txn = s->has_rows = s->changed_ddl = false;
    if (s->broken || (open && s->config->hold == FR_DUCK_HOLD_WRITING))
        fr_duck_sink_shut(s);
}

fr_rc fr_duck_sink_failed(fr_duck_sink *s, fr_err *err)
{
    if (err->kind == FR_ERR_CONNECT)
        atomic_store(&s->connected, false);
    fr_duck_sink_abandon(s);
    if (s->con != NULL)
        fr_duck_sink_forget(s); /* whatever it was: they are read again */
    return FR_FAIL;
}

/* ---- DDL ---- */

fr_rc fr_duck_sink_ddl(fr_duck_sink *s, fr_str sql, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    s->changed_ddl = true;
    fr_rc rc = fr_duck_sink_exec(s, "change the target", fr_arena_cstr(a, sql), err);
    fr_arena_free(a);
    if (rc == FR_FAIL && err->kind == FR_ERR_DATA)
        err->kind = FR_ERR_CONFIG; /* rows that are there do not allow it */
    return rc;
}
