/* Conditions for the rows of a snapshot that somebody typed: looked at by the server before any of
 * our statements holds one. */
#include "connectors/mysql/binlog_source.h"

static fr_rc try_form(fr_my *my, fr_arena *a, const char *before, const char *after, fr_str where,
                      fr_err *err)
{
    fr_my_rows none;
    fr_buf sql = {.arena = a};
    fr_buf_text(&sql, before);
    fr_buf_str(&sql, where);
    fr_buf_text(&sql, after);
    fr_buf_u8(&sql, '\0');
    return fr_my_query(my, a, "try the condition", (const char *)sql.ptr, &none, err);
}

/* Between parentheses it could close ours and open another pair; between two words it cannot. So
 * what is right in both places is one condition, and what follows it in a statement stays as it
 * is. The connection takes one statement at a time; LIMIT 0: no row is looked at. */
static fr_rc try_forms(fr_my *my, fr_str space, fr_str name, fr_str where, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str table = fr_my_qualified(a, space, name);
    fr_str select = fr_arena_printf(a, "SELECT 1 FROM %.*s WHERE (\n", FR_ARG(table));
    fr_str from = fr_arena_printf(a, "\nTHEN 1 END FROM %.*s LIMIT 0", FR_ARG(table));
    fr_rc rc = try_form(my, a, fr_arena_cstr(a, select), "\n) LIMIT 0", where, err);
    if (rc == FR_OK)
        rc = try_form(my, a, "SELECT CASE WHEN\n", fr_arena_cstr(a, from), where, err);
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
