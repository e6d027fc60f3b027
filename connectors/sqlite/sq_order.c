/* SQLite compares what is stored: a text with texts, a number with numbers, and any number is less
 * than any text. A row whose cursor is of another form would lie where no poll looks for it. */
#include "connectors/sqlite/sq_query.h"
#include "connectors/sqlite/sq_value.h"
#include <stdlib.h>
#include <string.h>

static fr_rc bad_row(const fr_sq_shape *s, const fr_sq_column *c, fr_str value, fr_err *err)
{
    bool shown = fr_utf8_valid(value) && value.len <= 60;
    fr_str text = shown ? value : FR_STR("(not shown)");
    fr_fail_in(err, "%.*s.%.*s column %.*s: %.*s", FR_ARG(s->space), FR_ARG(s->name),
               FR_ARG(c->name), FR_ARG(text));
    return FR_FAIL;
}

static fr_rc take_form(const fr_sq_shape *s, fr_sq_column *c, sqlite3_stmt *stmt, fr_err *err)
{
    fr_sq_clock form;
    int64_t us;
    fr_str text = fr_sq_bytes(stmt, 0);
    if (sqlite3_column_type(stmt, 0) != SQLITE_TEXT) {
        fr_fail(err, FR_ERR_DATA, "a value that is no text among times that are");
        fr_fail_code(err, "sqlite.time_form");
        fr_fail_hint(err, "bring all of them into one form; or, if all are numbers, say so: "
                          "columns.types: unix-seconds, unix-millis, unix-micros or julian-day");
        return bad_row(s, c, text, err);
    }
    if (fr_sq_moment(text, &us, &form, err) == FR_FAIL)
        return bad_row(s, c, text, err);
    if (fr_sq_clock_take(&c->clock, &form))
        return FR_OK;
    fr_fail(err, FR_ERR_DATA,
            "a time in another form than others of the column, so that texts do not sort as times "
            "do");
    fr_fail_code(err, "sqlite.time_form");
    fr_fail_hint(err, "bring all of them into one form, and keep it by a CHECK; or poll a number "
                      "(columns.types: unix-millis)");
    return bad_row(s, c, text, err);
}

static fr_rc scan_times(fr_sq_sql *c, fr_sq_shape *s, fr_sq_column *column, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    fr_str name = fr_sq_ident(s->arena, column->name);
    fr_str sql = fr_arena_printf(s->arena, "SELECT %.*s FROM %.*s WHERE %.*s IS NOT NULL",
                                 FR_ARG(name), FR_ARG(s->from), FR_ARG(name));
    FR_TRY(fr_sq_prepare(c->conn, "look at the times in", sql, &stmt, err));
    fr_rc rc = FR_OK;
    while (rc == FR_OK) {
        rc = fr_sq_step(c->conn, "look at the times in", stmt, err);
        if (rc == FR_OK)
            rc = take_form(s, column, stmt, err);
    }
    sqlite3_finalize(stmt);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

/* Of a table whose rows are numbered by SQLite, or that is STRICT, there are no others. */
static fr_rc scan_numbers(fr_sq_sql *c, fr_sq_shape *s, size_t at, fr_err *err)
{
    const fr_sq_column *column = &s->columns[at];
    bool kept = !s->view && !s->statement && (s->strict || s->rowid == (int)at);
    fr_str found, name = fr_sq_ident(s->arena, column->name);
    if (kept || (column->kind != FR_INT64 && column->form == FR_SQ_PLAIN))
        return FR_OK;
    fr_str sql = fr_arena_printf(
        s->arena, "SELECT typeof(%.*s) FROM %.*s WHERE typeof(%.*s) NOT IN (%s, 'null') LIMIT 1",
        FR_ARG(name), FR_ARG(s->from), FR_ARG(name),
        column->form == FR_SQ_JULIAN ? "'real'" : "'integer'");
    FR_TRY(fr_sq_scalar(c->conn, "look at the numbers in", sql, s->arena, &found, err));
    if (found.ptr == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_DATA,
            "%.*s.%.*s column %.*s: a %.*s, which does not sort among its numbers",
            FR_ARG(s->space), FR_ARG(s->name), FR_ARG(column->name), FR_ARG(found));
    fr_fail_code(err, "sqlite.number_form");
    return fr_fail_hint(err,
                        "correct the rows (WHERE typeof(%.*s) = '%.*s'), and keep it so by a "
                        "CHECK or a STRICT table",
                        FR_ARG(column->name), FR_ARG(found));
}

static fr_sq_form_seen *seen(const fr_sq_sql *c, const fr_sq_shape *s, fr_str column)
{
    for (size_t i = 0; i < c->form_count; i++)
        if (fr_str_eq(c->forms[i].from, s->from) && fr_str_eq(c->forms[i].column, column))
            return &c->forms[i];
    return NULL;
}

static void remember(fr_sq_sql *c, const fr_sq_shape *s, const fr_sq_column *column)
{
    if (!s->statement || column->clock.separator == 0)
        return;
    c->forms = fr_realloc(c->forms, (c->form_count + 1) * sizeof(*c->forms));
    c->forms[c->form_count++] = (fr_sq_form_seen){.from = fr_arena_str(c->arena, s->from),
                                                  .column = fr_arena_str(c->arena, column->name),
                                                  .clock = column->clock};
}

fr_rc fr_sq_order_scan(fr_sq_sql *c, fr_sq_shape *s, fr_str cursor, fr_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        fr_sq_column *column = &s->columns[i];
        const fr_sq_form_seen *known = seen(c, s, column->name);
        if (known != NULL) {
            column->clock = known->clock;
        } else if (column->ordered && fr_sq_is_text_time(column)) {
            FR_TRY(scan_times(c, s, column, err));
            remember(c, s, column);
        } else if (cursor.len > 0 && fr_str_eq(column->name, cursor)) {
            FR_TRY(scan_numbers(c, s, i, err));
        }
    }
    return FR_OK;
}

fr_rc fr_sq_order_unknown(const fr_sq_sql *c, const fr_sq_shape *s, bool *unknown, fr_err *err)
{
    *unknown = false;
    for (size_t i = 0; i < s->count && !*unknown; i++) {
        const fr_sq_column *column = &s->columns[i];
        if (!column->ordered || !fr_sq_is_text_time(column) || column->clock.separator != 0)
            continue;
        fr_arena *a = fr_arena_new(256);
        fr_str found, name = fr_sq_ident(a, column->name);
        fr_str sql = fr_arena_printf(a, "SELECT 1 FROM %.*s WHERE %.*s IS NOT NULL LIMIT 1",
                                     FR_ARG(s->from), FR_ARG(name));
        fr_rc rc = fr_sq_scalar(c->conn, "look at the times in", sql, a, &found, err);
        *unknown = rc == FR_OK && found.ptr != NULL;
        fr_arena_free(a);
        FR_TRY(rc);
    }
    return FR_OK;
}
