/* Events in order. First many rows a statement; when that fails over some row's value or
 * over a target that was altered, all over again one by one, which finds the event. */
#include "base/failpoint.h"
#include "postgres/pg_sink.h"
#include "sql/history.h"
#include "sql/steps.h"
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 256, WAITING_BYTES = 8 * 1024 * 1024 };

typedef struct pass {
    fr_pg_sink *s;
    const fr_batch *batch;
    bool singles;
    fr_pg_sink_table **waiting; /* with changes to be written, in order of the first */
    size_t waiting_count, waiting_cap;
    size_t at, failed; /* the event at hand; the one that failed */
    fr_buf key;
} pass;

/* ---- writing what waits ---- */

static fr_rc drain(pass *p, fr_err *err)
{
    size_t tag = (size_t)FR_PG_NO_TAG;
    if (fr_pg_pipe_drain(&p->s->pipe, "write rows", &tag, err) == FR_OK)
        return FR_OK;
    if (tag != (size_t)FR_PG_NO_TAG)
        p->failed = tag;
    return FR_FAIL;
}

static fr_rc drain_if_much(pass *p, fr_err *err)
{
    const fr_pg_pipe *pipe = &p->s->pipe;
    bool much = pipe->on && (pipe->count >= WAITING_MAX || pipe->bytes >= WAITING_BYTES);
    return much ? drain(p, err) : FR_OK;
}

static fr_rc need_deferred(pass *p, const fr_pg_sink_table *t, fr_err *err)
{
    if (!t->deferrable || p->s->deferred)
        return FR_OK;
    p->s->deferred = true;
    return fr_pg_pipe_text(&p->s->pipe, "SET CONSTRAINTS ALL DEFERRED", (size_t)FR_PG_NO_TAG, err);
}

static fr_rc write_run(pass *p, fr_pg_sink_table *t, const fr_target_change *items, size_t count,
                       fr_err *err)
{
    FR_TRY(need_deferred(p, t, err));
    FR_TRY(fr_pg_sink_write(p->s, t, items, count, err));
    return drain_if_much(p, err);
}

/* How many from there on one statement may write. An UPDATE takes one of the rows that it finds for
 * a row of the table, whichever; an INSERT of two fails, and comes again one by one (not so of two
 * states, whose beginnings differ). */
static size_t run_at(const fr_pg_sink_table *t, size_t at)
{
    if (t->append)
        return t->changes.count;
    if (t->coarse && (t->history || t->changes.items[at].form != FR_TARGET_ROW))
        return 1;
    return fr_pg_sink_run(&t->changes, at);
}

static fr_rc write_in_order(pass *p, fr_pg_sink_table *t, fr_err *err)
{
    for (size_t at = 0; at < t->changes.count;) {
        size_t n = run_at(t, at);
        FR_TRY(write_run(p, t, t->changes.items + at, n, err));
        at += n;
    }
    return FR_OK;
}

static fr_rc write_by_form(pass *p, fr_pg_sink_table *t, fr_err *err)
{
    fr_target_collapse(&t->shape, p->s->arena, &t->changes);
    fr_target_change *some =
        fr_arena_raw(p->s->arena, (t->changes.count + 1) * sizeof(fr_target_change));
    for (int form = 0; form < FR_TARGET_FORM_COUNT; form++) {
        size_t n = 0;
        for (size_t i = 0; i < t->changes.count; i++)
            if ((int)t->changes.items[i].form == form)
                some[n++] = t->changes.items[i];
        if (n > 0)
            FR_TRY(write_run(p, t, some, n, err));
    }
    return FR_OK;
}

static fr_rc flush_at(pass *p, size_t i, fr_err *err)
{
    fr_pg_sink_table *t = p->waiting[i];
    p->waiting[i] = p->waiting[--p->waiting_count];
    bool mixed = t->ordered || t->coarse || t->append;
    if (t->history && !mixed)
        fr_history_sort(&t->changes);
    fr_rc rc = mixed || t->history ? write_in_order(p, t, err) : write_by_form(p, t, err);
    t->changes.count = 0;
    return rc;
}

static int by_oid(const void *left, const void *right)
{
    const fr_pg_sink_table *a = *(fr_pg_sink_table *const *)left;
    const fr_pg_sink_table *b = *(fr_pg_sink_table *const *)right;
    return a->oid < b->oid ? -1 : a->oid > b->oid;
}

static fr_rc flush_all(pass *p, fr_err *err)
{
    if (p->waiting_count > 1)
        qsort(p->waiting, p->waiting_count, sizeof(*p->waiting), by_oid);
    while (p->waiting_count > 0)
        FR_TRY(flush_at(p, p->waiting_count - 1, err));
    return FR_OK;
}

/* Two versions of one table, and tables that constraints or triggers tie to others, keep
 * their order among each other. */
static fr_rc start_waiting(pass *p, fr_pg_sink_table *t, fr_err *err)
{
    for (size_t i = p->waiting_count; i > 0; i--) {
        const fr_pg_sink_table *other = p->waiting[i - 1];
        if (other->oid == t->oid || (other->ordered && t->ordered))
            FR_TRY(flush_at(p, i - 1, err));
    }
    if (p->waiting_count == p->waiting_cap) {
        p->waiting_cap = p->waiting_cap == 0 ? 16 : 2 * p->waiting_cap;
        p->waiting = fr_realloc(p->waiting, p->waiting_cap * sizeof(*p->waiting));
    }
    p->waiting[p->waiting_count++] = t;
    return FR_OK;
}

static fr_rc add_change(pass *p, fr_pg_sink_table *t, const fr_target_change *c, fr_err *err)
{
    if (p->singles)
        return write_run(p, t, c, 1, err);
    if (t->changes.count == 0)
        FR_TRY(start_waiting(p, t, err));
    fr_target_changes_add(&t->changes, c);
    return FR_OK;
}

/* ---- events to changes ---- */

static fr_rc rounded_key(const fr_pg_sink_table *t, const fr_pg_field *f, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA,
            "%.*s: key column %.*s rounds fractions of a second, and this has more",
            FR_ARG(t->qualified), FR_ARG(f->ident));
    fr_fail_code(err, "sink.value");
    return fr_fail_hint(err, "two keys would become one: give the column more digits");
}

static fr_rc put_key(pass *p, const fr_pg_sink_table *t, fr_target_change *c, fr_err *err)
{
    p->key.len = 0;
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_pg_field *f = &t->fields[t->keys[i]];
        const fr_value *v = &c->values[f->column];
        if (v->kind == FR_NULL || v->kind == FR_ABSENT)
            return fr_target_bad_key(err, t->qualified, f->ident, v);
        if (f->unit > 0 && v->integer % f->unit != 0)
            return rounded_key(t, f, err);
        if (fr_pg_sink_put(&p->key, f->send, &t->shape.table->columns[f->column], v, err) ==
            FR_FAIL)
            return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
    }
    /* The bytes after the first length, so that numbers come in their order. */
    fr_target_set_key(p->s->arena, c, &p->key, 4);
    return FR_OK;
}

static fr_rc add_row(pass *p, fr_pg_sink_table *t, const fr_event *e, const fr_row *row,
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

/* DELETE also where all rows go, so that a table asks for one right. */
static fr_str truncate_sql(fr_arena *a, const fr_pg_sink_table *t, fr_str at)
{
    fr_buf sql = {.arena = a};
    fr_buf_printf(&sql, "%s %.*s", t->positioned ? "DELETE FROM" : "TRUNCATE",
                  FR_ARG(t->qualified));
    if (at.len > 0)
        fr_buf_printf(&sql,
                      " WHERE \"" FR_TARGET_POSITION "\" IS NULL OR \"" FR_TARGET_POSITION
                      "\" <= decode('%.*s', 'hex')",
                      FR_ARG(at));
    fr_buf_u8(&sql, '\0');
    return (fr_str){(const char *)sql.ptr, sql.len - 1};
}

static fr_rc add_truncate(pass *p, fr_pg_sink_table *t, const fr_event *e, fr_err *err)
{
    int64_t us = 0;
    if (t->history)
        FR_TRY(fr_history_time(t->qualified, e, &us, err));
    FR_TRY(flush_all(p, err));
    fr_arena *a = p->s->arena;
    fr_str at = fr_target_truncated_at(a, t->positioned, e);
    fr_str sql = t->history ? fr_pg_history_truncate(a, t, at, us) : truncate_sql(a, t, at);
    return fr_pg_pipe_text(&p->s->pipe, sql.ptr, p->at, err);
}

/* The catalog cannot be read while answers are outstanding. */
static fr_rc table_of(pass *p, const fr_table *table, fr_pg_sink_table **out, fr_err *err)
{
    if (fr_map_get_u64(p->s->tables, table->serial) == NULL)
        FR_TRY(drain(p, err));
    return fr_pg_sink_table_of(p->s, table, out, err);
}

static fr_rc add_event(pass *p, const fr_event *e, fr_err *err)
{
    fr_target_steps steps;
    fr_pg_sink_table *t = NULL;
    if (!fr_target_has_table(e->op))
        return FR_OK;
    FR_TRY(table_of(p, e->table, &t, err));
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

static fr_rc begin(fr_pg_sink *s, fr_err *err)
{
    if (!s->in_txn)
        return fr_pg_sink_begin(s, err);
    if (s->savepoint)
        FR_TRY(fr_pg_pipe_text(&s->pipe, "RELEASE SAVEPOINT freshet", (size_t)FR_PG_NO_TAG, err));
    s->savepoint = true;
    return fr_pg_pipe_text(&s->pipe, "SAVEPOINT freshet", (size_t)FR_PG_NO_TAG, err);
}

static fr_rc add_events(pass *p, size_t from, size_t to, fr_err *err)
{
    for (p->at = from; p->at < to; p->at++) {
        p->failed = p->at;
        FR_TRY(add_event(p, &p->batch->events[p->at], err));
    }
    FR_TRY(flush_all(p, err));
    return drain(p, err);
}

/* A row that cannot be sent fails only after those before it have been heard of. */
static fr_rc one_pass(pass *p, size_t from, size_t to, fr_err *err)
{
    if (add_events(p, from, to, err) == FR_OK)
        return FR_OK;
    fr_err earlier;
    if (p->s->pipe.on && drain(p, &earlier) == FR_FAIL)
        *err = earlier;
    for (size_t i = 0; i < p->waiting_count; i++)
        p->waiting[i]->changes.count = 0;
    p->waiting_count = 0;
    return FR_FAIL;
}

static bool worth_singles(const fr_err *err)
{
    if (err->kind == FR_ERR_DATA)
        return true;
    return err->kind == FR_ERR_CONFIG &&
           (strncmp(err->sqlstate, "42", 2) == 0 || strncmp(err->sqlstate, "0A", 2) == 0);
}

/* Back to where this apply began. */
static fr_rc start_again(fr_pg_sink *s, fr_err *err)
{
    bool savepoint = s->savepoint;
    if (savepoint) {
        FR_TRY(fr_pg_exec(s->conn, "roll back to the savepoint",
                          "ROLLBACK TO SAVEPOINT freshet; RELEASE SAVEPOINT freshet", err));
        s->savepoint = s->deferred = false;
    } else {
        fr_pg_sink_abandon(s);
    }
    fr_pg_sink_forget(s);
    return savepoint ? begin(s, err) : fr_pg_sink_begin(s, err);
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

/* The server names constraints and types, but not the table. */
static void name_table(const fr_batch *batch, size_t failed, fr_err *err)
{
    const fr_table *t = failed < batch->count ? batch->events[failed].table : NULL;
    if (err->kind == FR_ERR_DATA && err->sqlstate[0] != '\0' && t != NULL)
        fr_fail_in(err, "%.*s%s%.*s", FR_ARG(t->space), t->space.len > 0 ? "." : "",
                   FR_ARG(t->name));
}

fr_rc fr_pg_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
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
    fr_pg_sink_failed(s, err);
    if (fr_target_of_table(err))
        *applied = p.failed;
    return FR_FAIL;
}
