#include "postgres/pg_sink.h"
#include <stdlib.h>
#include <string.h>

static fr_rc lost(fr_pg_pipe *p, fr_err *err)
{
    fr_pg_fail(p->conn, NULL, "send", err);
    err->kind = FR_ERR_CONNECT;
    return FR_FAIL;
}

static fr_rc begin(fr_pg_pipe *p, fr_err *err)
{
    if (p->on)
        return FR_OK;
    if (!PQenterPipelineMode(p->conn))
        return lost(p, err);
    p->on = true;
    p->count = p->bytes = 0;
    return FR_OK;
}

static fr_rc sent(fr_pg_pipe *p, int ok, size_t tag, fr_err *err)
{
    if (!ok)
        return lost(p, err);
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 64 : 2 * p->cap;
        p->tags = fr_realloc(p->tags, p->cap * sizeof(*p->tags));
    }
    p->tags[p->count++] = tag;
    return FR_OK;
}

fr_rc fr_pg_pipe_prepare(fr_pg_pipe *p, const char *name, const char *sql, const uint32_t *types,
                         int count, fr_err *err)
{
    FR_TRY(begin(p, err));
    return sent(p, PQsendPrepare(p->conn, name, sql, count, types), (size_t)FR_PG_NO_TAG, err);
}

fr_rc fr_pg_pipe_run(fr_pg_pipe *p, const char *name, const char *const *values, const int *lengths,
                     int count, size_t tag, fr_err *err)
{
    FR_TRY(begin(p, err));
    int *formats = fr_malloc(((size_t)count + 1) * sizeof(int));
    for (int i = 0; i < count; i++) {
        formats[i] = 1;
        p->bytes += (size_t)lengths[i];
    }
    int ok = PQsendQueryPrepared(p->conn, name, count, values, lengths, formats, 0);
    free(formats);
    return sent(p, ok, tag, err);
}

fr_rc fr_pg_pipe_text(fr_pg_pipe *p, const char *sql, size_t tag, fr_err *err)
{
    FR_TRY(begin(p, err));
    return sent(p, PQsendQueryParams(p->conn, sql, 0, NULL, NULL, NULL, NULL, 0), tag, err);
}

static bool is_fine(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* COMMIT of a transaction that failed answers ROLLBACK, and is no error to the server. */
static bool undone(const char *doing, const PGresult *res)
{
    return strcmp(doing, "commit") == 0 && strcmp(PQcmdStatus((PGresult *)res), "ROLLBACK") == 0;
}

fr_rc fr_pg_pipe_drain(fr_pg_pipe *p, const char *doing, size_t *tag_out, fr_err *err)
{
    if (!p->on)
        return FR_OK;
    fr_rc rc = FR_OK;
    size_t failed = (size_t)FR_PG_NO_TAG;
    fr_err given_up = {.kind = FR_ERR_BUG};
    if (!PQpipelineSync(p->conn))
        rc = lost(p, err);
    for (size_t i = 0; i < p->count && PQstatus(p->conn) == CONNECTION_OK; i++) {
        PGresult *res;
        while (fr_pg_await(p->conn, &given_up) == FR_OK && (res = PQgetResult(p->conn)) != NULL) {
            if (rc == FR_OK && (!is_fine(res) || undone(doing, res))) {
                failed = p->tags[i];
                rc = is_fine(res)
                         ? fr_fail(err, FR_ERR_BUSY, "%s: rolled back by the server", doing)
                         : fr_pg_fail(p->conn, res, doing, err);
            }
            PQclear(res);
            if (PQstatus(p->conn) == CONNECTION_BAD)
                break;
        }
    }
    if (PQstatus(p->conn) == CONNECTION_OK && fr_pg_await(p->conn, &given_up) == FR_OK)
        PQclear(PQgetResult(p->conn));       /* of the sync */
    if (given_up.kind == FR_ERR_CANCELLED) { /* in the middle: this connection is of no more use */
        *err = given_up;
        p->on = false;
        p->count = 0;
        return FR_FAIL;
    }
    p->on = false;
    p->count = 0;
    if (!PQexitPipelineMode(p->conn) || PQstatus(p->conn) == CONNECTION_BAD) {
        if (rc == FR_OK)
            rc = lost(p, err);
        err->kind = FR_ERR_CONNECT;
    }
    if (rc == FR_FAIL && tag_out != NULL)
        *tag_out = failed;
    return rc;
}

void fr_pg_pipe_free(fr_pg_pipe *p)
{
    free(p->tags);
    *p = (fr_pg_pipe){.conn = NULL};
}
