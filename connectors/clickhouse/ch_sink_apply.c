/* Events in order, to rows that wait for the commit. */
#include "base/failpoint.h"
#include "clickhouse/ch_sink.h"
#include "clickhouse/ch_value.h"
#include "sql/steps.h"

/* ---- rows ---- */

/* Big-endian bytes, as ClickHouse's UInt128. */
static void put_position(fr_buf *out, const fr_event *e)
{
    uint8_t position[FR_TARGET_POSITION_SIZE];
    fr_target_position(position, e);
    for (size_t i = sizeof(position); i-- > 0;)
        fr_buf_u8(out, position[i]);
}

/* The same bytes, in hex. */
static void put_position_text(fr_buf *out, const fr_event *e)
{
    fr_buf bytes = {0};
    put_position(&bytes, e);
    fr_buf_hex(out, fr_buf_view(&bytes));
    fr_buf_free(&bytes);
}

static fr_rc put_value(fr_buf *out, const fr_ch_sink_table *t, const fr_ch_field *f,
                       const fr_value *v, fr_err *err)
{
    if (fr_ch_put_value(out, &f->type, &t->table->columns[f->column], v, err) == FR_OK)
        return FR_OK;
    return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
}

static fr_rc put_key(fr_buf *out, const fr_ch_sink_table *t, const fr_row *row, fr_err *err)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_ch_field *f = &t->fields[i];
        const fr_value *v = &row->values[f->column];
        if (v->kind == FR_NULL || v->kind == FR_ABSENT)
            return fr_target_bad_key(err, t->qualified, f->ident, v);
        FR_TRY(put_value(out, t, f, v, err));
    }
    return FR_OK;
}

/* append: what the message lacks is NULL. */
static fr_rc put_rest(fr_buf *out, const fr_ch_sink_table *t, const fr_row *row, fr_err *err)
{
    for (size_t i = t->key_count; i < t->field_count; i++) {
        const fr_ch_field *f = &t->fields[i];
        const fr_value *v = &row->values[f->column];
        if (v->kind != FR_ABSENT || t->append)
            FR_TRY(put_value(out, t, f, v, err));
    }
    return FR_OK;
}

static bool lacks_values(const fr_ch_sink_table *t, const fr_row *row)
{
    for (size_t i = t->key_count; i < t->field_count && !t->append; i++)
        if (row->values[t->fields[i].column].kind == FR_ABSENT)
            return true;
    return false;
}

/* In front of the values that are there: which they are. */
static void put_mask(fr_buf *out, const fr_ch_sink_table *t, const fr_row *row)
{
    for (size_t i = t->key_count; i < t->field_count; i++)
        fr_buf_u8(out, row->values[t->fields[i].column].kind != FR_ABSENT);
}

/* A row that only says that its key is gone; what is known of it keeps it in its partition. */
static void put_gone(fr_buf *out, const fr_ch_sink_table *t, const fr_row *row)
{
    fr_err ignored;
    for (size_t i = t->key_count; i < t->field_count; i++) {
        const fr_ch_field *f = &t->fields[i];
        size_t len = out->len;
        if (row->values[f->column].kind == FR_ABSENT ||
            fr_ch_put_value(out, &f->type, &t->table->columns[f->column], &row->values[f->column],
                            &ignored) == FR_FAIL) {
            out->len = len;
            fr_ch_put_nothing(out, &f->type);
        }
    }
}

/* Its row has to be looked up (ch_sink_patch.c). */
static fr_rc check_size(const fr_ch_sink_table *t, size_t key, fr_err *err)
{
    if (2 * key <= FR_CH_HEX_MOST)
        return FR_OK;
    fr_fail(err, FR_ERR_DATA,
            "%.*s: a message lacks values, and its key is too large to ask for its row (%zu bytes, "
            "at most %d)",
            FR_ARG(t->qualified), key, FR_CH_HEX_MOST / 2);
    fr_fail_code(err, "sink.key");
    return fr_fail_hint(err, "let the source log whole rows (PostgreSQL: REPLICA IDENTITY FULL; "
                             "MySQL: binlog_row_image=FULL)");
}

static fr_rc put_row(fr_ch_sink *s, fr_buf *out, const fr_ch_sink_table *t, const fr_event *e,
                     const fr_row *row, bool deleted, fr_ch_row_kind *kind, fr_err *err)
{
    bool gone = deleted && s->settings->deletes == FR_DELETES_HARD;
    if (row->count != t->table->column_count)
        return fr_target_bad_row(err, t->qualified, FR_STR(""), "the message has no row");
    size_t begin = out->len;
    *kind = !gone && lacks_values(t, row) ? FR_CH_PATCH : FR_CH_ROW;
    FR_TRY(put_key(out, t, row, err));
    if (*kind == FR_CH_PATCH) {
        FR_TRY(check_size(t, out->len - begin, err));
        put_mask(out, t, row);
    }
    if (gone)
        put_gone(out, t, row);
    else
        FR_TRY(put_rest(out, t, row, err));
    if (t->positioned)
        put_position(out, e);
    if (t->marked)
        fr_buf_u8(out, deleted);
    return FR_OK;
}

static fr_rc add_row(fr_ch_sink *s, fr_ch_lane *l, const fr_ch_sink_table *t, const fr_event *e,
                     const fr_row *row, bool deleted, fr_err *err)
{
    fr_ch_row_kind kind = FR_CH_ROW;
    if (put_row(s, &l->bytes, t, e, row, deleted, &kind, err) == FR_FAIL) {
        fr_ch_lane_undo(l);
        return FR_FAIL;
    }
    fr_ch_lane_add(l, e->offset, t, kind);
    return FR_OK;
}

/* ---- events ---- */

static void add_truncate(fr_ch_lane *l, const fr_ch_sink_table *t, const fr_event *e)
{
    if (fr_target_is_ordered(e))
        put_position_text(&l->bytes, e);
    fr_ch_lane_add(l, e->offset, t, FR_CH_TRUNCATE);
}

static fr_rc lane_of(fr_ch_sink *s, const fr_event *e, fr_ch_lane **out, fr_err *err)
{
    fr_ch_lane *l = s->last_lane;
    if (l == NULL || l->partition != e->partition || !fr_str_eq(l->topic, e->topic))
        l = fr_ch_lane_find(s, e->topic, e->partition);
    *out = s->last_lane = l;
    if (l != NULL)
        return FR_OK;
    return fr_fail(err, FR_ERR_BUG, "an event of %.*s[%d], which was not claimed", FR_ARG(e->topic),
                   e->partition);
}

static fr_rc add_event(fr_ch_sink *s, const fr_event *e, fr_err *err)
{
    fr_target_steps steps;
    fr_ch_sink_table *t = NULL;
    fr_ch_lane *l = NULL;
    if (!fr_target_has_table(e->op))
        return FR_OK;
    FR_TRY(fr_ch_sink_table_of(s, e->table, &t, err));
    if (e->bad.len > 0)
        return fr_target_bad_row(err, t->qualified, e->bad, "");
    if (e->op == FR_OP_TABLE)
        return FR_OK;
    FR_TRY(lane_of(s, e, &l, err));
    if (e->txn != NULL && e->txn->commit_us > s->commit_us)
        s->commit_us = e->txn->commit_us;
    FR_TRY(fr_target_steps_of(s->settings, t->qualified, e, &steps, err));
    for (size_t i = 0; i < steps.count; i++) {
        const fr_target_step *step = &steps.items[i];
        if (step->kind == FR_TARGET_EMPTY)
            add_truncate(l, t, e);
        else
            FR_TRY(add_row(s, l, t, e, step->row, step->kind == FR_TARGET_GONE, err));
    }
    return FR_OK;
}

static fr_rc add_events(fr_ch_sink *s, const fr_batch *batch, size_t from, size_t to, size_t *at,
                        fr_err *err)
{
    *at = to; /* what fails before the first event is of none */
    if (s->lost)
        return fr_fail(err, FR_ERR_CONNECT,
                       "the last commit failed: its partitions have to be claimed again");
    if (FR_FAILPOINT("sink_before_begin"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_before_begin");
    for (*at = from; *at < to; (*at)++)
        FR_TRY(add_event(s, &batch->events[*at], err));
    if (FR_FAILPOINT("sink_after_rows"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint sink_after_rows");
    return FR_OK;
}

fr_rc fr_ch_sink_apply(fr_sink *base, const fr_batch *batch, size_t from, size_t to,
                       size_t *applied, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    size_t at = from;
    fr_rc rc = add_events(s, batch, from, to, &at, err);
    *applied = rc == FR_FAIL && fr_target_of_table(err) ? at : to;
    if (rc == FR_OK)
        return FR_OK;
    fr_ch_lanes_roll_back(s);
    return fr_ch_sink_failed(s, err);
}
