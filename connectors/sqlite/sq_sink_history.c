/* write.mode history (sql/history.h): a look at the last row of a key, then what follows from it.
 */
#include "sql/history.h"
#include "sqlite/sq_sink.h"
#include <string.h>

#define FROM "\"" FR_TARGET_FROM "\""
#define UNTIL "\"" FR_TARGET_TO "\""
#define CURRENT "\"" FR_TARGET_CURRENT "\""
#define POSITION "\"" FR_TARGET_POSITION "\""

static int position_at(const fr_sq_sink_table *t)
{
    return (int)t->field_count + 1;
}

static int time_at(const fr_sq_sink_table *t)
{
    return (int)t->field_count + 2;
}

static int former_at(const fr_sq_sink_table *t)
{
    return (int)t->field_count + 3;
}

/* ---- statements ---- */

static void put_key_match(fr_buf *b, const fr_sq_sink_table *t)
{
    fr_buf_text(b, " WHERE ");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%s%.*s = ?%d", i > 0 ? " AND " : "", FR_ARG(t->fields[t->keys[i]].ident),
                      t->keys[i] + 1);
}

/* A parameter is made by the column's type what it would be stored as. */
static void put_last(fr_buf *b, const fr_sq_sink_table *t, fr_str mask)
{
    fr_buf_text(b, "SELECT " POSITION ", " FROM ", " UNTIL ", " CURRENT ", 1");
    for (size_t i = 0; i < t->field_count; i++)
        if (!t->fields[i].key && fr_target_in_mask(mask, i))
            fr_buf_printf(b, " AND %.*s IS ?%zu COLLATE BINARY", FR_ARG(t->fields[i].ident), i + 1);
    fr_buf_printf(b, " FROM main.%.*s", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_text(b, " ORDER BY " FROM " DESC LIMIT 1");
}

static void put_end(fr_buf *b, const fr_sq_sink_table *t, bool gone)
{
    fr_buf_printf(b, "UPDATE %smain.%.*s SET " CURRENT " = 0, " UNTIL " = ?%d",
                  fr_sq_sink_or_abort(t), FR_ARG(t->qualified), time_at(t));
    if (gone)
        fr_buf_printf(b, ", " POSITION " = ?%d", position_at(t));
    put_key_match(b, t);
    fr_buf_printf(b, " AND " FROM " = ?%d", former_at(t));
}

/* follow: what the mask has not is as in the row before. */
static void put_begin(fr_buf *b, const fr_sq_sink_table *t, bool follow, fr_str mask)
{
    fr_buf_printf(b, "INSERT %sINTO main.%.*s (", fr_sq_sink_or_abort(t), FR_ARG(t->qualified));
    for (size_t i = 0; i < t->field_count; i++)
        fr_buf_printf(b, "%.*s, ", FR_ARG(t->fields[i].ident));
    fr_buf_text(b, POSITION ", " FROM ", " CURRENT ") SELECT ");
    for (size_t i = 0; i < t->field_count; i++) {
        if (!follow || fr_target_in_mask(mask, i))
            fr_buf_printf(b, "?%zu, ", i + 1);
        else
            fr_buf_printf(b, "%.*s, ", FR_ARG(t->fields[i].ident));
    }
    fr_buf_printf(b, "?%d, ?%d, 1", position_at(t), time_at(t));
    if (!follow)
        return;
    fr_buf_printf(b, " FROM main.%.*s", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_printf(b, " AND " FROM " = ?%d", former_at(t));
}

fr_str fr_sq_history_sql(fr_arena *a, const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask)
{
    fr_buf b = {.arena = a};
    if (verb == FR_SQ_LAST)
        put_last(&b, t, mask);
    else if (verb == FR_SQ_END || verb == FR_SQ_GONE)
        put_end(&b, t, verb == FR_SQ_GONE);
    else
        put_begin(&b, t, verb == FR_SQ_FOLLOW, mask);
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}

/* ---- rows ---- */

static fr_rc strange(const fr_sq_sink_table *t, fr_err *err)
{
    return fr_target_bad_row(err, t->qualified, FR_STR(FR_TARGET_FROM),
                             " or " FR_TARGET_TO
                             " of the row that is there is no time as freshet writes "
                             "them (2026-11-27 06:50:10.123456)");
}

static fr_rc read_last(fr_sq_sink *s, const fr_sq_sink_table *t, sqlite3_stmt *stmt,
                       fr_history_last *out, fr_err *err)
{
    fr_str from = fr_sq_sink_column(s->arena, stmt, 1),
           until = fr_sq_sink_column(s->arena, stmt, 2);
    *out = (fr_history_last){.there = true,
                             .now = sqlite3_column_int(stmt, 3) != 0,
                             .same = sqlite3_column_int(stmt, 4) != 0,
                             .position = fr_sq_sink_column(s->arena, stmt, 0)};
    if (!fr_history_read(from, &out->from_us) ||
        (until.ptr != NULL && !fr_history_read(until, &out->until_us)))
        return strange(t, err);
    return FR_OK;
}

static fr_rc last_of(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c,
                     fr_history_last *out, fr_err *err)
{
    sqlite3_stmt *stmt;
    bool gone = c->of.deleted;
    *out = (fr_history_last){.there = false};
    FR_TRY(fr_sq_sink_statement(
        s, t, FR_SQ_LAST, gone ? fr_history_keys(s->arena, t->field_count) : c->mask, &stmt, err));
    FR_TRY(fr_sq_sink_bind_fields(s, t, c, gone, stmt, err));
    fr_rc rc = fr_sq_sink_step(s, "look for a row", stmt, err);
    if (rc == FR_OK)
        rc = read_last(s, t, stmt, out, err);
    sqlite3_reset(stmt);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc end_row(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c,
                     const fr_history_last *last, const fr_history_turn *turn, fr_err *err)
{
    sqlite3_stmt *stmt;
    FR_TRY(
        fr_sq_sink_statement(s, t, turn->moves ? FR_SQ_GONE : FR_SQ_END, FR_STR(""), &stmt, err));
    FR_TRY(fr_sq_sink_bind_fields(s, t, c, true, stmt, err));
    if (turn->moves)
        fr_sq_sink_bind_blob(stmt, position_at(t), c->of.position, sizeof(c->of.position));
    fr_sq_sink_bind_text(stmt, time_at(t), fr_history_text(s->arena, turn->at_us));
    fr_sq_sink_bind_text(stmt, former_at(t), fr_history_text(s->arena, last->from_us));
    FR_TRY(fr_sq_sink_run(s, t, stmt, err));
    if (sqlite3_changes(s->db) == 1)
        return FR_OK;
    return fr_fail(err, FR_ERR_BUG, "%.*s: the row that ends is not found by its key",
                   FR_ARG(t->qualified));
}

static fr_rc begin_row(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c,
                       const fr_history_last *last, int64_t at, fr_err *err)
{
    sqlite3_stmt *stmt;
    fr_sq_change whole = *c;
    bool follow = last->now && c->mask.len > 0;
    if (!follow)
        whole.mask = FR_STR(""); /* what is absent is NULL */
    FR_TRY(fr_sq_sink_statement(s, t, follow ? FR_SQ_FOLLOW : FR_SQ_BEGIN, whole.mask, &stmt, err));
    FR_TRY(fr_sq_sink_bind_fields(s, t, &whole, false, stmt, err));
    fr_sq_sink_bind_blob(stmt, position_at(t), c->of.position, sizeof(c->of.position));
    fr_sq_sink_bind_text(stmt, time_at(t), fr_history_text(s->arena, at));
    if (follow)
        fr_sq_sink_bind_text(stmt, former_at(t), fr_history_text(s->arena, last->from_us));
    return fr_sq_sink_run(s, t, stmt, err);
}

fr_rc fr_sq_history_write(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err)
{
    fr_history_last last;
    FR_TRY(last_of(s, t, c, &last, err));
    fr_history_turn turn = fr_history_next(&last, &c->of, t->guarded);
    if (turn.ends)
        FR_TRY(end_row(s, t, c, &last, &turn, err));
    return turn.begins ? begin_row(s, t, c, &last, turn.at_us, err) : FR_OK;
}

/* Rows that began later than that, by a clock that was ahead, end a step after their beginning.
 * Positions stay: a truncation says nothing of those of other partitions. */
fr_rc fr_sq_history_truncate(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_event *e,
                             fr_err *err)
{
    int64_t us;
    FR_TRY(fr_history_time(t->qualified, e, &us, err));
    fr_str time = fr_history_text(s->arena, us);
    fr_buf b = {.arena = s->arena};
    fr_buf_printf(
        &b, "UPDATE %smain.%.*s SET " CURRENT " = 0, " UNTIL " = iif(" FROM " < '%.*s', '%.*s', ",
        fr_sq_sink_or_abort(t), FR_ARG(t->qualified), FR_ARG(time), FR_ARG(time));
    fr_buf_text(&b, "strftime('%Y-%m-%d %H:%M:%S.', substr(" FROM ", 1, 19), iif(substr(" FROM
                    ", 21) = '999999', '+1 seconds', '+0 seconds')) || printf('%06d', (substr(" FROM
                    ", 21) + 1) % 1000000)) WHERE " CURRENT);
    fr_str at = fr_target_truncated_at(s->arena, t->positioned, e);
    if (at.len > 0)
        fr_buf_printf(&b, " AND (" POSITION " IS NULL OR " POSITION " <= x'%.*s')", FR_ARG(at));
    fr_buf_u8(&b, '\0');
    return fr_sq_sink_exec(s, "end all rows", (const char *)b.ptr, err);
}

/* ---- the table ---- */

void fr_sq_history_put_columns(fr_buf *b)
{
    fr_buf_text(b, ", " FROM " TEXT NOT NULL, " UNTIL " TEXT, " CURRENT " INTEGER NOT NULL");
}

/* By affinity; a flag may be of NUMERIC, which BOOLEAN is. */
static bool has_column(const void *target, const char *name, const char *type)
{
    const fr_sq_target_column *c = fr_sq_target_find(target, fr_cstr(name));
    if (c == NULL || c->generated)
        return false;
    if (strcmp(type, "TEXT") == 0)
        return c->affinity == FR_SQ_TEXT;
    if (strcmp(type, "INTEGER") == 0)
        return c->affinity == FR_SQ_INTEGER || c->affinity == FR_SQ_NUMERIC;
    return c->affinity == FR_SQ_BYTES || c->affinity == FR_SQ_NONE;
}

void fr_sq_history_compare(const fr_target_comparison *k, const fr_sq_target *r, fr_str create)
{
    const fr_history_shape shape = {
        .target = r,
        .has = has_column,
        .types = {"TEXT", "TEXT", "INTEGER", "BLOB"},
        .lacks = fr_sq_target_key(r, k->table, true) == NULL ? FR_HISTORY_NO_INDEX : NULL};
    fr_history_compare(k, &shape, create);
}
