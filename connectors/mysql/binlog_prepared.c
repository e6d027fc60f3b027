/* XA transactions that are prepared when a view begins: their rows are neither in it nor in the log
 * behind it, which only has their outcome. So the log is read from before they were prepared. */
#include "connectors/mysql/binlog_source.h"
#include <inttypes.h>

enum { ER_XAER_RMERR_NUMBER = 1401 };

/* Older servers log an XA transaction when it is committed, as any other. */
static bool logs_prepares(const fr_binlog_source *s)
{
    return s->server.version >= (s->server.mariadb ? 100500u : 50700u);
}

/* *out empty where we may not look (MySQL 8: XA_RECOVER_ADMIN). */
static fr_rc recover(fr_my *my, fr_arena *a, fr_my_rows *out, fr_err *err)
{
    if (fr_my_query(my, a, "list prepared XA transactions", "XA RECOVER", out, err) == FR_OK)
        return FR_OK;
    *out = (fr_my_rows){.count = 0};
    return err->native == ER_XAER_RMERR_NUMBER || err->kind == FR_ERR_AUTH ? FR_OK : FR_FAIL;
}

fr_rc fr_binlog_prepared_look(fr_binlog_source *s, fr_my *my, fr_arena *a, fr_binlog_prepares *out,
                              fr_err *err)
{
    fr_my_rows status;
    fr_binlog_prepares p = {.used = false};
    if (logs_prepares(s)) {
        FR_TRY(fr_my_query(my, a, "ask whether there are XA transactions",
                           "SHOW GLOBAL STATUS LIKE 'Com\\_xa\\_prepare'", &status, err));
        FR_TRY(fr_binlog_here_read(my, &s->server, a, &p.place, err));
        FR_TRY(recover(my, a, &p.list, err));
        p.used = fr_my_uint(&status, 0, 1, 1) > 0 || p.list.count > 0;
    }
    *out = p;
    return FR_OK;
}

static bool same_row(const fr_my_rows *a, size_t i, const fr_my_rows *b, size_t k)
{
    for (size_t column = 0; column < a->columns && column < b->columns; column++)
        if (!fr_str_eq(fr_my_text(a, i, column), fr_my_text(b, k, column)))
            return false;
    return true;
}

fr_rc fr_binlog_prepared_settle(fr_my *my, fr_arena *a, const fr_binlog_prepares *before,
                                fr_err *err)
{
    fr_my_rows now;
    size_t both = 0;
    if (before->list.count == 0)
        return FR_OK;
    FR_TRY(recover(my, a, &now, err));
    for (size_t i = 0; i < now.count; i++)
        for (size_t k = 0; k < before->list.count; k++)
            both += same_row(&now, i, &before->list, k);
    if (both == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_BUSY,
            "%zu XA transactions are prepared since before the snapshot: where the log has their "
            "rows is not known",
            both);
    fr_fail_code(err, "my.xa_prepared");
    return fr_fail_hint(err,
                        "XA RECOVER lists them: XA COMMIT or XA ROLLBACK what was left behind; "
                        "then the snapshot begins by itself");
}
