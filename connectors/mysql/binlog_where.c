#include "connect/where.h"
#include "connectors/mysql/binlog_source.h"

static fr_rc try_forms(fr_my *my, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char *probes[FR_WHERE_PROBES];
    fr_my_rows none;
    fr_rc rc = FR_OK;
    fr_where_probes(a, fr_my_qualified(a, space, name), where, probes);
    for (size_t i = 0; rc == FR_OK && i < FR_WHERE_PROBES; i++)
        rc = fr_my_query(my, a, "try the condition", probes[i], &none, err);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_binlog_check_where(fr_source *base, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_binlog_source *s = (fr_binlog_source *)base;
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    fr_rc rc = try_forms(my, space, name, where, err);
    if (rc == FR_FAIL && (err->kind == FR_ERR_CONNECT || err->kind == FR_ERR_CANCELLED))
        fr_my_close(my);
    else
        fr_binlog_give(s, my);
    return rc;
}
