/* Events in order, each a row of the stage. A row that is refused is known at once. */
#include "base/failpoint.h"
#include "file/file_sink.h"
#include "sql/steps.h"

/* ---- what every row says of itself ---- */

fr_column fr_file_staged(const fr_column *c)
{
    fr_column staged = *c;
    if (c->kind == FR_TIME && c->span) /* Parquet's INTERVAL has milliseconds */
        staged.kind = FR_INT64;
    if (c->kind == FR_JSON) /* sources have texts that DuckDB's JSON does not parse */
        staged.kind = FR_TEXT;
    return staged;
}

fr_rc fr_file_check(const fr_column *c, const fr_value *v, fr_err *err)
{
    const int64_t day_us = INT64_C(86400000000);
    if (v->kind != FR_TIME || c->span || (v->integer >= 0 && v->integer < day_us))
        return FR_OK;
    fr_fail(err, FR_ERR_DATA,
            "column %.*s: a time of day in files is from 00:00:00 to 23:59:59.999999",
            FR_ARG(c->name));
    return fr_fail_code(err, "sink.value");
}

fr_str fr_file_absent(fr_file_sink *s, const fr_file_version *v, const fr_row *row)
{
    fr_buf b = {.arena = s->arena};
    for (size_t i = 0; i < v->shape.column_count && row->count > 0; i++) {
        if (row->values[v->columns[i]].kind != FR_ABSENT)
            continue;
        fr_buf_u8(&b, b.len == 0 ? '[' : ',');
        fr_buf_json(&b, v->shape.columns[i].name);
    }
    if (b.len > 0)
        fr_buf_u8(&b, ']');
    return fr_buf_view(&b);
}

int64_t fr_file_time(const fr_event *e)
{
    return e->txn != NULL ? e->txn->commit_us : e->time_us;
}

static int32_t day_of(int64_t us)
{
    const int64_t day_us = INT64_C(86400000000);
    return us <= 0 ? FR_FILE_UNDATED : (int32_t)(us / day_us);
}

/* The day's own numbers, with this row. */
static fr_file_day *count_row(fr_file_version *v, const fr_event *e)
{
    int32_t day = day_of(fr_file_time(e));
    size_t i = 0, k = 0;
    while (i < v->day_count && v->days[i].day != day)
        i++;
    if (i == v->day_cap) {
        v->day_cap = v->day_cap == 0 ? 2 : 2 * v->day_cap;
        v->days = fr_realloc(v->days, v->day_cap * sizeof(*v->days));
    }
    if (i == v->day_count)
        v->days[v->day_count++] = (fr_file_day){.day = day};
    fr_file_day *d = &v->days[i];
    d->rows++;
    while (k < d->ranges.count && (d->ranges.items[k].partition != e->partition ||
                                   !fr_str_eq(d->ranges.items[k].topic, e->topic)))
        k++;
    if (k == d->ranges.count)
        *FR_FILE_ADD(v->range_arena, &d->ranges) = (fr_file_range){
            fr_arena_str(v->range_arena, e->topic), e->partition, e->offset, e->offset};
    fr_file_range *r = &d->ranges.items[k];
    r->first = e->offset < r->first ? e->offset : r->first;
    r->last = e->offset > r->last ? e->offset : r->last;
    return d;
}

/* ---- events ---- */

static fr_rc add_row(fr_file_sink *s, fr_file_version *v, const fr_event *e, const fr_row *row,
                     char op, fr_err *err)
{
    if (row->count != v->table->column_count)
        return fr_target_bad_row(err, v->shown, FR_STR(""), "the message has no row");
    return s->format->row(s, v, count_row(v, e), e, row, op, err);
}

static fr_rc add_truncate(fr_file_sink *s, fr_file_version *v, const fr_event *e, fr_err *err)
{
    const fr_row none = {NULL, 0};
    fr_target_steps steps;
    if (fr_target_steps_of(s->settings, v->shown, e, &steps, err) == FR_FAIL)
        return fr_fail_hint(err,
                            "set write.truncate to apply (a row with _freshet_op t) or ignore");
    return steps.count == 0 ? FR_OK : s->format->row(s, v, count_row(v, e), e, &none, 't', err);
}

static fr_rc add_event(fr_file_sink *s, fr_file_version *v, const fr_event *e, fr_err *err)
{
    if (e->bad.len > 0)
        return fr_target_bad_row(err, v->shown, e->bad, "");
    if (e->txn != NULL && e->txn->commit_us > s->commit_us)
        s->commit_us = e->txn->commit_us;
    switch (e->op) {
    case FR_OP_DELETE:
        if (s->settings->deletes == FR_DELETES_IGNORE || e->echo) /* its row is there */
            return FR_OK;
        return add_row(s, v, e, &e->before, 'd', err);
    case FR_OP_TRUNCATE:
        return add_truncate(s, v, e, err);
    case FR_OP_TABLE:
        return FR_OK;
    default:
        return add_row(s, v, e, &e->after,
                       e->op == FR_OP_READ     ? 'r'
                       : e->op == FR_OP_INSERT ? 'c'
                                               : 'u',
                       err);
    }
}

/* One apply. Rows go to one version after the other, however tables are mixed in the batch: each
 * takes a vector for each of its columns while rows go there. */
typedef struct round {
    const fr_batch *batch;
    size_t from;
    size_t *next;  /* by an event's place (1, 2, ..), that of the next of its version; 0: none */
    size_t failed; /* the first event that is refused, and those from there on are left out */
} round;

static fr_rc chain(fr_file_sink *s, round *r, fr_err *err)
{
    for (size_t i = r->from, to = r->failed; i < to; i++) {
        const fr_event *e = &r->batch->events[i];
        size_t place = i - r->from + 1;
        fr_file_version *v;
        if (!fr_target_has_table(e->op))
            continue;
        if (fr_file_version_of(s, e->table, &v, err) == FR_FAIL) {
            r->failed = i;
            return FR_FAIL;
        }
        *(v->last == 0 ? &v->first : &r->next[v->last]) = place;
        v->last = place;
    }
    return FR_OK;
}

static fr_rc add_chain(fr_file_sink *s, fr_file_version *v, round *r, fr_err *err)
{
    size_t place = v->first;
    v->first = v->last = 0;
    for (; place != 0 && r->from + place - 1 < r->failed; place = r->next[place]) {
        size_t i = r->from + place - 1;
        if (add_event(s, v, &r->batch->events[i], err) == FR_FAIL) {
            r->failed = i;
            return FR_FAIL;
        }
    }
    return FR_OK;
}

/* After an error the rest is looked through, too: another version may have one that comes before.
 */
static fr_rc add_all(fr_file_sink *s, round *r, fr_err *err)
{
    size_t i = 0;
    void *value;
    fr_err other;
    fr_rc rc = chain(s, r, err);
    while (fr_map_next(s->tables, &i, NULL, &value)) {
        if (add_chain(s, value, r, &other) == FR_FAIL) {
            *err = other;
            rc = FR_FAIL;
        }
        if (s->format->flush(s, value, &other) == FR_FAIL && rc == FR_OK) {
            *err = other;
            return FR_FAIL;
        }
    }
    return rc;
}

fr_rc fr_file_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                         size_t *applied, fr_err *err)
{
    fr_file_sink *s = (fr_file_sink *)base;
    round r = {.batch = batch, .from = from, .failed = to};
    fr_rc rc = FR_OK;
    *applied = to;
    if (!fr_file_folder_held(&s->folder))
        rc = fr_fail(err, FR_ERR_BUG, "rows before the claim");
    if (rc == FR_OK && FR_FAILPOINT("sink_before_begin"))
        rc = fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_begin");
    r.next = fr_arena_alloc(s->arena, (to - from + 1) * sizeof(*r.next));
    if (rc == FR_OK)
        rc = add_all(s, &r, err);
    if (rc == FR_OK && FR_FAILPOINT("sink_after_rows"))
        rc = fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_rows");
    fr_arena_reset(s->arena);
    if (rc == FR_OK)
        return FR_OK;
    fr_file_sink_abandon(s);
    if (fr_target_of_table(err))
        *applied = r.failed;
    return FR_FAIL;
}
