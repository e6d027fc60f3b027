/* Events in order. First many rows a statement; when that fails over some row's value or
 * over a target that was altered, all over again one by one, which finds the event. */
#include "base/failpoint.h"
#include "mysql/my_sink.h"
#include "sql/history.h"
#include "sql/steps.h"
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

typedef struct pass {
    fr_my_sink *s;
    const fr_batch *batch;
    bool singles;
    fr_my_sink_table **waiting; /* with changes to be written, in order of the first */
    size_t waiting_count, waiting_cap;
    size_t at, failed; /* the event at hand; the one that failed */
    fr_buf key;
} pass;

/* ---- writing what waits ---- */

static fr_rc write_by_form(pass *p, fr_my_sink_table *t, fr_err *err)
{
    fr_target_collapse(&t->shape, p->s->arena, &t->changes);
    fr_target_change *some =
        fr_arena_raw(p->s->arena, (t->changes.count + 1) * sizeof(fr_target_change));
    for (int form = 0; form < FR_TARGET_FORM_COUNT; form++) {
        size_t n = 0;
        for (size_t i = 0; i < t->changes.count; i++)
            if ((int)t->changes.items[i].form == form)
                some[n++] = t->changes.items[i];
        FR_TRY(fr_my_sink_write(p->s, t, some, n, err));
    }
    return FR_OK;
}

static fr_rc flush_at(pass *p, size_t i, fr_err *err)
{
    fr_my_sink_table *t = p->waiting[i];
    p->waiting[i] = p->waiting[--p->waiting_count];
    size_t first = t->changes.count > 0 ? t->changes.items[0].event : p->failed;
    if (t->history && !t->ordered)
        fr_history_sort(&t->changes);
    fr_rc rc = t->ordered || t->append || t->history
                   ? fr_my_sink_write(p->s, t, t->changes.items, t->changes.count, err)
                   : write_by_form(p, t, err);
    t->changes.count = 0;
    if (rc == FR_FAIL)
        p->failed = first;
    return rc;
}

static int by_name(const void *left, const void *right)
{
    const fr_my_sink_table *a = *(fr_my_sink_table *const *)left;
    const fr_my_sink_table *b = *(fr_my_sink_table *const *)right;
    return fr_str_cmp(a->qualified, b->qualified);
}

static fr_rc flush_all(pass *p, fr_err *err)
{
    if (p->waiting_count > 1)
        qsort(p->waiting, p->waiting_count, sizeof(*p->waiting), by_name);
    while (p->waiting_count > 0)
        FR_TRY(flush_at(p, p->waiting_count - 1, err));
    return FR_OK;
}

/* Two versions of one table, and tables that foreign keys or triggers tie to others, keep
 * their order among each other. */
static fr_rc start_waiting(pass *p, fr_my_sink_table *t, fr_err *err)
{
    for (size_t i = p->waiting_count; i > 0; i--) {
        const fr_my_sink_table *other = p->waiting[i - 1];
        if (fr_str_eq(other->qualified, t->qualified) || (other->ordered && t->ordered))
            FR_TRY(flush_at(p, i - 1, err));
    }
    if (p->waiting_count == p->waiting_cap) {
        p->waiting_cap = p->waiting_cap == 0 ? 16 : 2 * p->waiting_cap;
        p->waiting = fr_realloc(p->waiting, p->waiting_cap * sizeof(*p->waiting));
    }
    p->waiting[p->waiting_count++] = t;
    return FR_OK;
}

static fr_rc add_change(pass *p, fr_my_sink_table *t, const fr_target_change *c, fr_err *err)
{
    if (p->singles)
        return fr_my_sink_write(p->s, t, c, 1, err);
    if (t->changes.count == 0)
        FR_TRY(start_waiting(p, t, err));
    fr_target_changes_add(&t->changes, c);
    return FR_OK;
}

/* ---- events to changes ---- */

static fr_rc put_key(pass *p, const fr_my_sink_table *t, fr_target_change *c, fr_err *err)
{
    p->key.len = 0;
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_my_field *f = &t->fields[t->keys[i]];
        const fr_value *v = &c->values[f->column];
        if (v->kind == FR_NULL || v->kind == FR_ABSENT)
            return fr_target_bad_key(err, t->qualified, f->ident, v);
        fr_target_put_key(&p->key, &t->shape.table->columns[f->column], v);
    }
    fr_target_set_key(p->s->arena, c, &p->key, 0);
    return FR_OK;
}

static fr_rc add_row(pass *p, fr_my_sink_table *t, const fr_event *e, const fr_row *row,
                     bool deleted, fr_err *err)
{
    fr_target_change c = {
        .values = row->values, .event = p->at, .deleted = deleted, .read = e->op == FR_OP_READ};
    if (row->count != t->shape.table->column_count)
        return fr_target_bad_row(err, t->qualified, FR_STR(""), "the message has no row");
    fr_target_position(c.position, e);
    c.unplaced = deleted && !t->append && e->unplaced;
    if (t->history)
        FR_TRY(fr_history_time(t->qualified, e, &c.time_us, err));
    if (deleted && !t->append)
        c.form = FR_TARGET_DELETE;
    else if (!t->append)
        fr_target_set_form(&t->shape, &c);
    if (!t->append)
        FR_TRY(put_key(p, t, &c, err));
    return add_change(p, t, &c, err);
}

/* DELETE, because TRUNCATE would commit what is not to be committed yet. */
static fr_rc add_truncate(pass *p, fr_my_sink_table *t, const fr_event *e, fr_err *err)
{
    int64_t us = 0;
    if (t->history)
        FR_TRY(fr_history_time(t->qualified, e, &us, err));
    FR_TRY(flush_all(p, err));
    fr_str at = fr_target_truncated_at(p->s->arena, t->positioned, e);
    if (t->history)
        return fr_my_exec(p->s->my, "end all rows", fr_my_history_truncate(p->s->arena, t, at, us),
                          err);
    fr_str sql = fr_arena_printf(p->s->arena, "DELETE FROM %.*s", FR_ARG(t->qualified));
    if (at.len > 0)
        sql = fr_arena_printf(p->s->arena,
                              "%.*s WHERE `" FR_TARGET_POSITION "` IS NULL OR `" FR_TARGET_POSITION
                              "` <= x'%.*s'",
                              FR_ARG(sql), FR_ARG(at));
    return fr_my_exec(p->s->my, "empty the table", sql, err);
}

static fr_rc add_event(pass *p, const fr_event *e, fr_err *err)
{
    fr_target_steps steps;
    fr_my_sink_table *t = NULL;
    if (!fr_target_has_table(e->op))
        return FR_OK;
    FR_TRY(fr_my_sink_table_of(p->s, e->table, &t, err));
    if (e->bad.len > 0)
        return fr_target_bad_row(err, t->qualified, e->bad, "");
    if (e->txn != NULL && e->txn->commit_us > p->s->commit_us)
        p->s->commit_us = e->txn->commit_us;
    FR_TRY(fr_target_steps_of(p->s->settings, t->qualified, e, &steps, err));
    for (size_t i = 0; i < steps.count; i++) {
        const fr_target_step *step = &steps.items[i];
        if (step->kind == FR_TARGET_EMPTY)
            FR_TRY(add_truncate(p, t, e, err));
        else
            FR_TRY(add_row(p, t, e, step->row, step->kind == FR_TARGET_GONE, err));
    }
    return FR_OK;
}

/* ---- passes ---- */

static fr_rc begin(fr_my_sink *s, fr_err *err)
{
    if (!s->in_txn)
        return fr_my_sink_begin(s, err);
    s->savepoint = true;
    return fr_my_sink_exec(s, "set a savepoint", "SAVEPOINT freshet", err);
}

static fr_rc add_events(pass *p, size_t from, size_t to, fr_err *err)
{
    for (p->at = from; p->at < to; p->at++) {
        p->failed = p->at;
        FR_TRY(add_event(p, &p->batch->events[p->at], err));
    }
    return flush_all(p, err);
}

static fr_rc one_pass(pass *p, size_t from, size_t to, fr_err *err)
{
    if (add_events(p, from, to, err) == FR_OK)
        return FR_OK;
    for (size_t i = 0; i < p->waiting_count; i++)
        p->waiting[i]->changes.count = 0;
    p->waiting_count = 0;
    return FR_FAIL;
}

/* A table that was altered or dropped under us is worth another look, too. */
static bool worth_singles(const fr_err *err)
{
    if (err->kind == FR_ERR_DATA)
        return true;
    return err->kind == FR_ERR_CONFIG &&
           (strncmp(err->sqlstate, "42", 2) == 0 || strncmp(err->sqlstate, "21", 2) == 0);
}

/* Back to where this apply began. */
static fr_rc start_again(fr_my_sink *s, fr_err *err)
{
    bool savepoint = s->savepoint;
    if (savepoint)
        FR_TRY(
            fr_my_sink_exec(s, "roll back to the savepoint", "ROLLBACK TO SAVEPOINT freshet", err));
    else
        fr_my_sink_abandon(s);
    fr_my_sink_forget(s);
    return savepoint ? FR_OK : fr_my_sink_begin(s, err);
}

static fr_rc passes(pass *p, size_t from, size_t to, fr_err *err)
{
    FR_TRY(begin(p->s, err));
    if (one_pass(p, from, to, err) == FR_OK)
        return FR_OK;
    if (!worth_singles(err))
        return FR_FAIL;
    FR_TRY(start_again(p->s, err));
    p->singles = true;
    return one_pass(p, from, to, err);
}

/* The server names columns and indexes, but not the table. */
static void name_table(const fr_batch *batch, size_t failed, fr_err *err)
{
    const fr_table *t = failed < batch->count ? batch->events[failed].table : NULL;
    if (err->kind == FR_ERR_DATA && err->sqlstate[0] != '\0' && t != NULL)
        fr_fail_in(err, "%.*s%s%.*s", FR_ARG(t->space), t->space.len > 0 ? "." : "",
                   FR_ARG(t->name));
}

fr_rc fr_my_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    pass p = {.s = s, .batch = batch, .failed = from};
    fr_rc rc = FR_OK;
    if (FR_FAILPOINT("sink_before_begin"))
        rc = fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_begin");
    if (rc == FR_OK)
        rc = passes(&p, from, to, err);
    if (rc == FR_OK && FR_FAILPOINT("sink_after_rows"))
        rc = fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_rows");
    free(p.waiting);
    fr_buf_free(&p.key);
    fr_arena_reset(s->arena);
    *applied = to;
    if (rc == FR_OK)
        return FR_OK;
    name_table(batch, p.failed, err);
    fr_my_sink_failed(s, err);
    if (fr_target_of_table(err))
        *applied = p.failed;
    return FR_FAIL;
}
