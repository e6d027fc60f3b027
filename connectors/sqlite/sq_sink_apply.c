/* Events in order, a prepared statement a row: between us and the file there is no round trip to
 * save. The event at which a statement fails is the one that failed. */
#include "base/failpoint.h"
#include "sql/history.h"
#include "sql/steps.h"
#include "sqlite/sq_sink.h"
#include <string.h>

/* Of one table: more masks than that are not kept. */
enum { MOST_STATEMENTS = 64 };

/* ---- statements ---- */

static sqlite3_stmt *find_statement(const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask)
{
    for (size_t i = 0; i < t->statement_count; i++) {
        const fr_sq_statement *st = &t->statements[i];
        if (st->verb == verb && fr_str_eq(st->mask, mask))
            return st->stmt;
    }
    return NULL;
}

static void close_statements(fr_sq_sink_table *t)
{
    for (size_t i = 0; i < t->statement_count; i++)
        sqlite3_finalize(t->statements[i].stmt);
    t->statement_count = 0;
}

fr_rc fr_sq_sink_statement(fr_sq_sink *s, fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask,
                           sqlite3_stmt **out, fr_err *err)
{
    *out = find_statement(t, verb, mask);
    if (*out != NULL)
        return FR_OK;
    if (t->statement_count >= MOST_STATEMENTS)
        close_statements(t);
    fr_str sql = fr_sq_sink_sql(s->arena, t, verb, mask);
    FR_TRY(fr_sq_sink_compile(s, "write rows", sql, true, out, err));
    if (t->statement_count == t->statement_cap) {
        t->statement_cap = t->statement_cap == 0 ? 4 : 2 * t->statement_cap;
        t->statements = fr_realloc(t->statements, t->statement_cap * sizeof(*t->statements));
    }
    t->statements[t->statement_count++] =
        (fr_sq_statement){verb, fr_arena_str(t->arena, mask), *out};
    return FR_OK;
}

/* ---- parameters ---- */

static fr_rc bind_field(fr_sq_sink *s, const fr_sq_sink_table *t, size_t field,
                        const fr_sq_change *c, sqlite3_stmt *stmt, fr_err *err)
{
    const fr_sq_field *f = &t->fields[field];
    const fr_column *column = &t->table->columns[f->column];
    const fr_value *v = &c->of.values[f->column];
    if (f->counts && (v->kind == FR_NULL || v->kind == FR_ABSENT)) {
        fr_fail(err, FR_ERR_DATA, "column %.*s: NULL, and SQLite would make the next number of it",
                FR_ARG(column->name));
        fr_fail_code(err, "sink.not_null");
    } else if (fr_sq_sink_bind(stmt, (int)field + 1, f->send, s->arena, column, v, err) == FR_OK) {
        return FR_OK;
    }
    return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
}

static fr_rc bind_keys(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_sq_change *c,
                       sqlite3_stmt *stmt, fr_err *err)
{
    for (size_t i = 0; i < t->key_count; i++)
        FR_TRY(bind_field(s, t, t->keys[i], c, stmt, err));
    return FR_OK;
}

fr_rc fr_sq_sink_bind_fields(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_sq_change *c,
                             bool keys, sqlite3_stmt *stmt, fr_err *err)
{
    if (keys)
        return bind_keys(s, t, c, stmt, err);
    for (size_t i = 0; i < t->field_count; i++)
        if (fr_target_in_mask(c->mask, i))
            FR_TRY(bind_field(s, t, i, c, stmt, err));
    return FR_OK;
}

static void bind_position(const fr_sq_sink_table *t, const uint8_t *position, sqlite3_stmt *stmt)
{
    fr_sq_sink_bind_blob(stmt, (int)t->field_count + 1, position, FR_TARGET_POSITION_SIZE);
}

static fr_rc bind_row(fr_sq_sink *s, const fr_sq_sink_table *t, const fr_sq_change *c,
                      sqlite3_stmt *stmt, fr_err *err)
{
    FR_TRY(fr_sq_sink_bind_fields(s, t, c, false, stmt, err));
    if (t->positioned)
        bind_position(t, c->of.position, stmt);
    if (t->marked)
        sqlite3_bind_int(stmt, (int)t->field_count + 2, c->of.deleted);
    return FR_OK;
}

/* ---- writing ---- */

fr_rc fr_sq_sink_run(fr_sq_sink *s, const fr_sq_sink_table *t, sqlite3_stmt *stmt, fr_err *err)
{
    if (fr_sq_sink_step(s, "write rows", stmt, err) != FR_FAIL)
        return FR_OK;
    return err->kind == FR_ERR_DATA ? fr_fail_in(err, "%.*s", FR_ARG(t->qualified)) : FR_FAIL;
}

static fr_rc write_whole(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err)
{
    sqlite3_stmt *stmt;
    FR_TRY(fr_sq_sink_statement(s, t, FR_SQ_WRITE, c->mask, &stmt, err));
    FR_TRY(bind_row(s, t, c, stmt, err));
    return fr_sq_sink_run(s, t, stmt, err);
}

static fr_rc found(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, bool *there,
                   fr_err *err)
{
    sqlite3_stmt *stmt;
    FR_TRY(fr_sq_sink_statement(s, t, FR_SQ_FIND, FR_STR(""), &stmt, err));
    FR_TRY(bind_keys(s, t, c, stmt, err));
    fr_rc rc = fr_sq_sink_step(s, "look for a row", stmt, err);
    *there = rc == FR_OK;
    sqlite3_reset(stmt);
    return rc == FR_FAIL ? rc : FR_OK;
}

/* Its row cannot be inserted: a value is absent that must be there. */
static fr_rc not_there(const fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err)
{
    for (size_t i = 0; i < t->field_count; i++) {
        const fr_sq_field *f = &t->fields[i];
        if (!f->not_null || c->of.values[f->column].kind != FR_ABSENT)
            continue;
        return fr_target_no_row(err, t->qualified, f->ident);
    }
    return fr_target_no_row(err, t->qualified, FR_STR(""));
}

static fr_rc write_patch(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err)
{
    sqlite3_stmt *stmt;
    bool there = false;
    FR_TRY(fr_sq_sink_statement(s, t, FR_SQ_UPDATE, c->mask, &stmt, err));
    FR_TRY(bind_row(s, t, c, stmt, err));
    FR_TRY(fr_sq_sink_run(s, t, stmt, err));
    if (sqlite3_changes(s->db) > 0)
        return FR_OK;
    FR_TRY(found(s, t, c, &there, err)); /* an older position changes nothing */
    return there ? FR_OK : not_there(t, c, err);
}

static fr_rc write_delete(fr_sq_sink *s, fr_sq_sink_table *t, const fr_sq_change *c, fr_err *err)
{
    sqlite3_stmt *stmt;
    FR_TRY(fr_sq_sink_statement(s, t, FR_SQ_DELETE, FR_STR(""), &stmt, err));
    FR_TRY(bind_keys(s, t, c, stmt, err));
    if (t->guarded)
        bind_position(t, fr_target_compared(&c->of), stmt);
    return fr_sq_sink_run(s, t, stmt, err);
}

/* ---- events ---- */

/* *patch: a value is absent that an INSERT would have to give. */
static fr_str mask_of(fr_arena *a, const fr_sq_sink_table *t, const fr_value *values, bool *patch)
{
    bool partial = false;
    *patch = false;
    for (size_t i = 0; i < t->field_count; i++) {
        const fr_sq_field *f = &t->fields[i];
        if (values[f->column].kind != FR_ABSENT)
            continue;
        partial = true;
        *patch = *patch || f->not_null;
    }
    if (!partial)
        return FR_STR("");
    char *mask = fr_arena_raw(a, t->field_count + 1);
    for (size_t i = 0; i < t->field_count; i++)
        mask[i] = values[t->fields[i].column].kind != FR_ABSENT;
    return (fr_str){mask, t->field_count};
}

static fr_rc check_key(const fr_sq_sink_table *t, const fr_value *values, fr_err *err)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_sq_field *f = &t->fields[t->keys[i]];
        const fr_value *v = &values[f->column];
        if (v->kind == FR_NULL || v->kind == FR_ABSENT)
            return fr_target_bad_key(err, t->qualified, f->ident, v);
    }
    return FR_OK;
}

static fr_rc add_row(fr_sq_sink *s, fr_sq_sink_table *t, const fr_event *e, const fr_row *row,
                     bool deleted, fr_err *err)
{
    bool patch = false;
    fr_sq_change c = {
        .of = {.values = row->values, .deleted = deleted, .read = e->op == FR_OP_READ}};
    if (row->count != t->table->column_count)
        return fr_target_bad_row(err, t->qualified, FR_STR(""), "the message has no row");
    FR_TRY(check_key(t, row->values, err)); /* append: there are no keys */
    fr_target_position(c.of.position, e);
    c.of.unplaced = deleted && !t->append && e->unplaced;
    c.mask = mask_of(s->arena, t, row->values, &patch);
    if (t->history) {
        FR_TRY(fr_history_time(t->qualified, e, &c.of.time_us, err));
        return fr_sq_history_write(s, t, &c, err);
    }
    if (deleted && !t->append)
        return write_delete(s, t, &c, err);
    return patch && !t->append ? write_patch(s, t, &c, err) : write_whole(s, t, &c, err);
}

static fr_rc add_truncate(fr_sq_sink *s, fr_sq_sink_table *t, const fr_event *e, fr_err *err)
{
    if (t->history)
        return fr_sq_history_truncate(s, t, e, err);
    fr_str at = fr_target_truncated_at(s->arena, t->positioned, e);
    fr_buf sql = {.arena = s->arena};
    fr_buf_printf(&sql, "DELETE FROM main.%.*s", FR_ARG(t->qualified));
    if (at.len > 0)
        fr_buf_printf(&sql,
                      " WHERE \"" FR_TARGET_POSITION "\" IS NULL OR \"" FR_TARGET_POSITION
                      "\" <= x'%.*s'",
                      FR_ARG(at));
    fr_buf_u8(&sql, '\0');
    return fr_sq_sink_exec(s, "empty the table", (const char *)sql.ptr, err);
}

static fr_rc add_event(fr_sq_sink *s, const fr_event *e, fr_err *err)
{
    fr_target_steps steps;
    fr_sq_sink_table *t = NULL;
    if (!fr_target_has_table(e->op))
        return FR_OK;
    FR_TRY(fr_sq_sink_table_of(s, e->table, &t, err));
    if (e->bad.len > 0)
        return fr_target_bad_row(err, t->qualified, e->bad, "");
    if (e->txn != NULL && e->txn->commit_us > s->commit_us)
        s->commit_us = e->txn->commit_us;
    FR_TRY(fr_target_steps_of(s->settings, t->qualified, e, &steps, err));
    for (size_t i = 0; i < steps.count; i++) {
        const fr_target_step *step = &steps.items[i];
        if (step->kind == FR_TARGET_EMPTY)
            FR_TRY(add_truncate(s, t, e, err));
        else
            FR_TRY(add_row(s, t, e, step->row, step->kind == FR_TARGET_GONE, err));
    }
    return FR_OK;
}

static fr_rc add_events(fr_sq_sink *s, const fr_batch *batch, size_t from, size_t to, size_t *at,
                        fr_err *err)
{
    *at = to; /* what fails before the first event is of none */
    if (FR_FAILPOINT("sink_before_begin"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_begin");
    FR_TRY(fr_sq_sink_begin(s, err));
    for (*at = from; *at < to; (*at)++)
        FR_TRY(add_event(s, &batch->events[*at], err));
    if (FR_FAILPOINT("sink_after_rows"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_rows");
    return FR_OK;
}

fr_rc fr_sq_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    size_t at = from;
    fr_rc rc = add_events(s, batch, from, to, &at, err);
    fr_arena_reset(s->arena);
    *applied = rc == FR_FAIL && fr_target_of_table(err) ? at : to;
    return rc == FR_OK ? FR_OK : fr_sq_sink_failed(s, err);
}
