/* Events in order, many rows a statement. Where one of the values has no place in DuckDB the event
 * is known; when a statement fails over some row it is looked for by halves: again up to where all
 * went, then half of the rest. DuckDB rolls the whole transaction back when a statement fails, and
 * has no savepoints: batches that this transaction already had are then missing while the event is
 * looked for, so that this only names it. */
#include "base/failpoint.h"
#include "duckdb/duck_sink.h"
#include "sql/history.h"
#include "sql/steps.h"
#include <stdlib.h>
#include <string.h>

typedef struct pass {
    fr_duck_sink *s;
    const fr_batch *batch;
    fr_duck_sink_table **waiting; /* with changes to be written, in order of the first */
    size_t waiting_count, waiting_cap;
    size_t at, failed; /* the event at hand; the one that failed, or the first that may have */
    bool known;        /* it is that one */
    fr_buf key;
} pass;

/* ---- writing what waits ---- */

/* A change that has values of an earlier one of its key, too, is of both. */
static bool is_of_one_event(const pass *p, const fr_target_change *c)
{
    const fr_event *e = &p->batch->events[c->event];
    return c->values == e->after.values || c->values == e->before.values;
}

static fr_rc flush_at(pass *p, size_t i, fr_err *err)
{
    fr_duck_sink_table *t = p->waiting[i];
    memmove(p->waiting + i, p->waiting + i + 1, (--p->waiting_count - i) * sizeof(*p->waiting));
    size_t first = t->changes.count > 0 ? t->changes.items[0].event : p->failed;
    if (!t->ordered && !t->append && !t->history)
        fr_target_collapse(&t->shape, p->s->arena, &t->changes);
    const fr_target_change *refused;
    fr_rc rc = t->history ? fr_duck_history_write(p->s, t, &t->changes, &refused, err)
                          : fr_duck_sink_write(p->s, t, &t->changes, &refused, err);
    if (rc == FR_FAIL) {
        p->known = refused != NULL && is_of_one_event(p, refused);
        p->failed = p->known ? refused->event : first;
        return FR_FAIL;
    }
    t->changes.count = 0;
    return FR_OK;
}

static fr_rc flush_all(pass *p, fr_err *err)
{
    while (p->waiting_count > 0)
        FR_TRY(flush_at(p, 0, err));
    return FR_OK;
}

/* Two versions of one table, and tables that foreign keys tie to others, keep their order among
 * each other. */
static fr_rc start_waiting(pass *p, fr_duck_sink_table *t, fr_err *err)
{
    for (size_t i = p->waiting_count; i > 0; i--) {
        const fr_duck_sink_table *other = p->waiting[i - 1];
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

static fr_rc add_change(pass *p, fr_duck_sink_table *t, fr_target_change *c, fr_err *err)
{
    if (t->changes.count == 0)
        FR_TRY(start_waiting(p, t, err));
    fr_target_changes_add(&t->changes, c);
    return FR_OK;
}

/* ---- events to changes ---- */

static fr_rc put_key(pass *p, const fr_duck_sink_table *t, fr_target_change *c, fr_err *err)
{
    p->key.len = 0;
    for (size_t i = 0; i < t->key_count; i++) {
        uint16_t column = t->shape.columns[t->keys[i]];
        const fr_value *v = &c->values[column];
        if (v->kind == FR_NULL || v->kind == FR_ABSENT)
            return fr_target_bad_key(err, t->qualified, t->fields[t->keys[i]].ident, v);
        fr_target_put_key(&p->key, &t->shape.table->columns[column], v);
    }
    fr_target_set_key(p->s->arena, c, &p->key, 0);
    return FR_OK;
}

static fr_rc add_row(pass *p, fr_duck_sink_table *t, const fr_event *e, const fr_row *row,
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

static fr_rc add_truncate(pass *p, fr_duck_sink_table *t, const fr_event *e, fr_err *err)
{
    FR_TRY(flush_all(p, err));
    if (t->history)
        return fr_duck_history_truncate(p->s, t, e, err);
    p->s->has_rows = true;
    fr_str at = fr_target_truncated_at(p->s->arena, t->positioned, e);
    fr_buf sql = {.arena = p->s->arena};
    fr_buf_printf(&sql, "DELETE FROM %.*s", FR_ARG(t->qualified));
    if (at.len > 0)
        fr_buf_printf(&sql,
                      " WHERE \"" FR_TARGET_POSITION "\" IS NULL OR \"" FR_TARGET_POSITION
                      "\" <= from_hex('%.*s')",
                      FR_ARG(at));
    fr_buf_u8(&sql, '\0');
    return fr_duck_sink_exec(p->s, "empty the table", (const char *)sql.ptr, err);
}

static fr_rc add_event(pass *p, const fr_event *e, fr_err *err)
{
    fr_target_steps steps;
    fr_duck_sink_table *t = NULL;
    if (!fr_target_has_table(e->op))
        return FR_OK;
    if (p->waiting_count > 0)
        p->s->has_rows = true; /* they would have to come again where the table is altered alone */
    FR_TRY(fr_duck_sink_table_of(p->s, e->table, &t, err));
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

static fr_rc one_pass(pass *p, size_t from, size_t to, fr_err *err)
{
    fr_rc rc = FR_OK;
    for (p->at = from; p->at < to && rc != FR_FAIL; p->at++) {
        p->failed = p->at;
        p->known = true;
        rc = add_event(p, &p->batch->events[p->at], err);
    }
    if (rc != FR_FAIL)
        rc = flush_all(p, err);
    p->waiting_count = 0; /* after a failure all tables are forgotten, with what waited */
    return rc;
}

/* The events before ends[count - 1] once more, in the passes in which they went. */
static fr_rc again(pass *p, size_t from, const size_t *ends, size_t count, fr_err *err)
{
    FR_TRY(fr_duck_sink_begin(p->s, err));
    for (size_t i = 0; i < count; i++)
        FR_TRY(one_pass(p, i == 0 ? from : ends[i - 1], ends[i], err));
    return FR_OK;
}

/* Of [from, to) SQL refused something: *err says what. It is halved until the event is alone.
 * FR_OK: in parts all of it went. */
static fr_rc search(pass *p, size_t from, size_t to, fr_err *err)
{
    enum { ENDS = 128 }; /* twice as many as a number can be halved */
    size_t ends[ENDS], count = 0, good = from, bad = to;
    while (!p->known && err->kind == FR_ERR_DATA && bad - good > 1) {
        fr_rc rc = FR_OK;
        fr_duck_sink_failed(p->s, err);
        p->failed = to; /* of none, where a transaction does not even begin */
        FR_TRY(again(p, from, ends, count, err));
        while (rc == FR_OK && good < to) {
            bad = good < bad ? bad : to;
            size_t end = good + (bad - good + 1) / 2;
            rc = one_pass(p, good, end, err);
            bad = rc == FR_OK ? bad : end;
            if (rc == FR_OK)
                good = ends[count < ENDS ? count++ : ENDS - 1] = end;
        }
        if (rc == FR_OK)
            return FR_OK;
    }
    return FR_FAIL;
}

static fr_rc passes(pass *p, size_t from, size_t to, fr_err *err)
{
    bool earlier = p->s->has_rows;
    FR_TRY(fr_duck_sink_begin(p->s, err));
    if (one_pass(p, from, to, err) == FR_OK)
        return FR_OK;
    if (err->kind != FR_ERR_DATA || p->known)
        return FR_FAIL;
    fr_err first = *err;
    size_t failed = p->failed;
    fr_rc rc = search(p, from, to, err);
    if (!earlier)
        return rc;
    if (rc == FR_FAIL && (err->kind != FR_ERR_DATA || strcmp(first.code, err->code) == 0))
        return FR_FAIL;
    *err = first;
    p->failed = failed;
    return FR_FAIL;
}

fr_rc fr_duck_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                         size_t *applied, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    pass p = {.s = s, .batch = batch, .failed = to}; /* what fails before the first is of none */
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
    fr_duck_sink_failed(s, err);
    if (fr_target_of_table(err))
        *applied = p.failed;
    return FR_FAIL;
}
