#include "base/clock.h"
#include "base/log.h"
#include "poll/poller_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RANGES: of gaps that one question asks for. */
enum { NULLS_US = 60000000, RANGES = 200 };

fr_poller *fr_poller_new(const fr_source_settings *source, const fr_table_settings *settings,
                         fr_str space, fr_str name, fr_str progress, uint32_t epoch,
                         fr_poll_look *look_at, void *context)
{
    fr_poller *p = fr_malloc(sizeof(*p));
    p->source = source;
    p->settings = settings;
    p->arena = fr_arena_new(0);
    p->space = fr_arena_str(p->arena, space);
    p->name = fr_arena_str(p->arena, name);
    p->recorded = fr_arena_str(p->arena, progress);
    p->nulls = -1;
    snprintf(p->who, sizeof(p->who), "source %s: %.*s.%.*s", source->name, FR_ARG(space),
             FR_ARG(name));
    p->epoch = epoch;
    p->look_at = look_at;
    p->context = context;
    return p;
}

void fr_poller_leave(fr_poller *p)
{
    if (p->reader != NULL)
        p->reader->ops->close(p->reader);
    if (p->step != STEP_LOOK)
        p->read_us = fr_now_us(); /* gaps of the half round are dated by a later look as well */
    p->reader = NULL;
    p->step = STEP_LOOK;
}

void fr_poller_free(fr_poller *p)
{
    if (p == NULL)
        return;
    fr_poller_leave(p);
    if (p->relation != NULL)
        p->ops->forget(p->relation);
    for (size_t i = 0; i < FR_POLL_ORDER_MAX; i++)
        fr_buf_free(&p->at[i]);
    fr_gaps_free(&p->r.gaps);
    fr_lookback_free(&p->back);
    fr_arena_free(p->names);
    fr_arena_free(p->arena);
    free(p);
}

bool fr_poller_reading(const fr_poller *p)
{
    return p->reader != NULL;
}

/* By time: the bound. By number: since when the oldest gap is known. */
static int64_t behind(const fr_poller *p)
{
    int64_t since = INT64_MAX;
    if (p->looked_us == 0)
        return -1;
    if (!p->order.number)
        return p->r.server_us - (fr_poller_looks_back(p) ? p->back.final_us : p->r.bound_us);
    for (size_t i = 0; i < p->r.gaps.count; i++)
        if (p->r.gaps.items[i].seen_us != 0 && p->r.gaps.items[i].seen_us < since)
            since = p->r.gaps.items[i].seen_us;
    return since < p->r.server_us ? p->r.server_us - since : 0;
}

void fr_poller_status_of(const fr_poller *p, fr_poller_status *out)
{
    int64_t late = p->order.number ? 0 : behind(p);
    bool whole = p->looked_us != 0 && !p->waiting;
    *out = (fr_poller_status){.page = p->r.page,
                              .rows = p->r.rows,
                              .behind_us = behind(p),
                              .whole_us = whole ? p->asked_wall_us - late : 0,
                              .gaps = fr_gaps_numbers(&p->r.gaps),
                              .nulls = p->nulls,
                              .held = p->waiting,
                              .waits = p->waits[0] == '\0' ? NULL : p->waits,
                              .waits_us = p->waits_us};
}

/* ---- where it stands ---- */

static fr_rc take_record(fr_poller *p, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    if (p->recorded.len > 0)
        rc = fr_poll_record_parse(a, p->recorded, p->order.names, p->order.count, &p->r, err);
    for (size_t i = 0; rc == FR_OK && i < p->r.at_count; i++)
        fr_poller_set_at(p, i, p->r.at[i]);
    if (rc == FR_OK && fr_poller_looks_back(p)) {
        fr_lookback_keep(&p->back, &p->r);
        if (!fr_lookback_parse(p->r.seen, &p->back))
            rc = fr_poll_unreadable(err);
    }
    p->r.seen = FR_STR("");
    fr_arena_free(a);
    p->started = rc == FR_OK;
    return rc;
}

static fr_rc take_relation(fr_poller *p, fr_sql_relation *r, fr_err *err)
{
    fr_poll_order order;
    fr_arena *names = fr_arena_new(256);
    fr_rc rc = FR_OK;
    if (p->settings->method == FR_METHOD_SNAPSHOT)
        order = (fr_poll_order){.deleted = -1}; /* the table is read whole, in any order */
    else
        rc = fr_poll_order_of(r, p->settings, names, &order, err);
    if (rc == FR_OK && p->started)
        rc = fr_poll_same_order(p->order.names, p->order.count, order.names, order.count, err);
    if (rc == FR_FAIL) {
        fr_arena_free(names);
        return FR_FAIL;
    }
    if (p->relation != NULL)
        p->ops->forget(p->relation);
    fr_arena_free(p->names);
    p->relation = r;
    p->names = names;
    p->order = order;
    return FR_OK;
}

/* A statement is looked at before each round. As long as its columns are the same its table stays,
 * for whoever encodes remembers each table that there was. */
static bool stays(const fr_poller *p, const fr_sql_relation *r)
{
    return p->relation != NULL && r->statement && fr_table_same(p->relation->table, r->table);
}

static fr_rc describe(fr_poller *p, fr_sql *c, fr_err *err)
{
    fr_sql_relation *r = NULL;
    FR_TRY(c->ops->describe(c, p->settings, p->space, p->name, p->version + 1, &r, err));
    p->ops = c->ops;
    if (stays(p, r)) {
        p->ops->forget(r);
        return FR_OK;
    }
    if (take_relation(p, r, err) == FR_FAIL) {
        p->ops->forget(r);
        return FR_FAIL;
    }
    p->version++;
    return p->started ? FR_OK : take_record(p, err);
}

/* ---- looking at the server ---- */

static fr_rc blame_where(const fr_poller *p, fr_err *err)
{
    if (fr_table_blame_where(p->settings, err) == FR_FAIL)
        fr_fail_code(err, "poll.where");
    return FR_FAIL;
}

static fr_rc count_nulls(fr_poller *p, fr_sql *c, fr_err *err)
{
    enum { MOST = 1000 };
    size_t column = p->order.columns[0];
    if (!p->relation->table->columns[column].nullable)
        p->nulls = 0;
    if (!p->relation->table->columns[column].nullable || fr_now_us() < p->nulls_due_us)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_str text;
    fr_str sql = fr_poll_nulls_sql(a, p->ops, p->relation, p->settings, &p->order, MOST);
    fr_rc rc = c->ops->scalar(c, sql, a, &text, err);
    if (rc == FR_OK) {
        int64_t n = strtoll(fr_arena_cstr(a, text), NULL, 10);
        if (n > 0 && n != p->nulls)
            fr_log(FR_LOG_WARN, p->who, "%s%" PRId64 " rows have no %.*s and are never read",
                   n == MOST ? "at least " : "", n, FR_ARG(p->order.names[0]));
        p->nulls = n;
        p->nulls_due_us = fr_now_us() + NULLS_US;
    }
    fr_arena_free(a);
    return rc == FR_FAIL ? blame_where(p, err) : rc;
}

/* Before anything is selected: what can be seen later is all that could be committed by now. */
static fr_rc look(fr_poller *p, fr_sql *c, fr_err *err)
{
    fr_sql_state s;
    int64_t asked_us = 0;
    if (p->relation == NULL || p->relation->statement)
        FR_TRY(describe(p, c, err));
    FR_TRY(count_nulls(p, c, err));
    FR_TRY(fr_poller_see_again(p, c, err));
    fr_arena *a = fr_arena_new(512);
    fr_rc rc = p->look_at(p->context, c, a, &s, &asked_us, err);
    if (rc == FR_OK)
        fr_poller_take_state(p, &s, asked_us);
    if (rc == FR_OK) {
        p->r.server_us = s.now_us;
        p->r.wall_us = fr_wall_us();
        p->looked_us = fr_now_us();
        p->asked_wall_us = p->r.wall_us - (p->looked_us - asked_us);
    }
    p->asked_to = INT64_MIN;
    p->gaps_left = p->order.number && p->r.gaps.count > 0;
    p->held = false;
    fr_arena_free(a);
    return rc;
}

/* Proposes a number below which all will be final once those who are there now have ended. */
static fr_rc propose(fr_poller *p, fr_sql *c, fr_err *err)
{
    p->read_us = fr_now_us();
    p->waiting = p->held;
    if (!p->order.number || p->r.candidate_known || p->r.at_count == 0 ||
        (p->r.settled_known && p->r.settled >= p->r.cursor && !p->held))
        return FR_OK;
    p->proposes = true;
    p->proposed = p->r.cursor;
    if (!p->held)
        return FR_OK;
    fr_arena *a = fr_arena_new(512);
    fr_rc rc = fr_poll_highest(c, p->relation, &p->order, a, &p->proposed, err);
    fr_arena_free(a);
    p->read_us = fr_now_us();
    return rc;
}

/* ---- asking ---- */

static fr_rc start(fr_poller *p, fr_sql *c, fr_str sql, fr_err *err)
{
    if (c->ops->select(c, p->relation, sql, &p->reader, err) == FR_FAIL) {
        /* Its columns are others now. What was asked for is of the old ones: look again. If that
         * did not help, it is the statement that the server does not take. */
        if (strcmp(err->code, "sql.changed") != 0 || p->anew)
            return blame_where(p, err);
        fr_log(FR_LOG_INFO, p->who, "its columns have changed");
        FR_TRY(describe(p, c, err));
        p->anew = true;
        return FR_IDLE;
    }
    p->anew = false;
    p->rows = p->page_rows = 0;
    p->full = false;
    p->r.page++;
    return FR_OK;
}

static fr_rc ask_gaps(fr_poller *p, fr_sql *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    int64_t upto = p->asked_to;
    fr_str sql =
        fr_poll_gaps_sql(a, c->ops, p->relation, p->settings, &p->order, &p->r.gaps, RANGES, &upto);
    fr_rc rc = FR_END;
    if (sql.len > 0) {
        p->limit = SIZE_MAX;
        rc = start(p, c, sql, err);
        if (rc == FR_OK)
            p->asked_to = upto;
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc ask_page(fr_poller *p, fr_sql *c, fr_err *err)
{
    if (!p->order.number && p->r.at_count > 0 && p->r.bound_us <= p->r.cursor)
        return FR_END;
    fr_arena *a = fr_arena_new(0);
    p->limit = (size_t)p->settings->poll_batch;
    fr_str sql;
    fr_rc rc = fr_poll_page_sql(a, c->ops, p->relation, p->settings, &p->order, &p->r, p->limit + 1,
                                &sql, err);
    if (rc == FR_OK)
        rc = start(p, c, sql, err);
    fr_arena_free(a);
    return rc;
}

/* FR_OK: rows are on their way; FR_END: all was asked; FR_IDLE: the relation is another now. */
static fr_rc ask(fr_poller *p, fr_sql *c, fr_err *err)
{
    if (p->step == STEP_LOOK) {
        FR_TRY(look(p, c, err));
        p->step = p->gaps_left ? STEP_GAPS : STEP_PAGE;
    }
    if (p->step == STEP_GAPS) {
        fr_rc rc = ask_gaps(p, c, err);
        if (rc != FR_END)
            return rc;
        size_t before = p->r.gaps.count;
        fr_gaps_close(&p->r.gaps);
        p->dirty = p->dirty || before != p->r.gaps.count;
        p->step = STEP_PAGE;
    }
    return ask_page(p, c, err);
}

/* ---- what came ---- */

static fr_rc row_fail(const char *code, const char *what, const char *hint, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

/* Two rows at one place of the order: a page that ended between them would skip the second. */
static bool at_same_place(const fr_poller *p, fr_arena *a, const fr_event *before,
                          const fr_event *e)
{
    for (size_t i = 0; i < p->order.count; i++) {
        size_t column = p->order.columns[i];
        const fr_value *v = &e->after.values[column];
        if (before != NULL && !fr_value_same(&before->after.values[column], v))
            return false;
        if (before == NULL && !fr_str_eq(p->r.at[i], p->ops->text(a, p->relation, column, v)))
            return false;
    }
    return true;
}

/* A row of the page whose number is `number`: what lies between may still come. False: too much
 * does; this row and those after it are left for another round. */
static bool note_number(fr_poller *p, int64_t number)
{
    int64_t from = p->r.at_count == 0 && p->page_rows == 0 ? INT64_MIN : p->r.cursor + 1;
    if (p->r.settled_known && p->r.settled >= from)
        from = p->r.settled == INT64_MAX ? INT64_MAX : p->r.settled + 1;
    if (from < number) {
        if (p->r.gaps.count >= FR_GAPS_MAX)
            return false;
        fr_gaps_add(&p->r.gaps, from, number - 1, 0);
    }
    return true;
}

/* Published already, or left for another round. */
static bool passed_over(fr_poller *p, const fr_event *e, int64_t at)
{
    fr_print print;
    if (!fr_poller_looks_back(p))
        return false;
    fr_lookback_print(e, &print);
    return fr_lookback_take(&p->back, at, &print) != FR_LOOKBACK_NEW;
}

/* *stop: it and what comes after it are left for another round; *over: it alone is. */
static fr_rc take_row(fr_poller *p, fr_batch *b, fr_event *e, const fr_event *before, bool *stop,
                      bool *over, fr_err *err)
{
    size_t column = p->order.columns[0];
    int64_t at = 0;
    const fr_value *v = &e->after.values[column];
    FR_TRY(fr_poll_cursor_value(&p->relation->table->columns[column], v, &at, err));
    for (size_t k = 1; k < p->order.count; k++)
        if (e->after.values[p->order.columns[k]].kind <= FR_NULL)
            return row_fail("poll.not_unique",
                            "a column that orders equal times is NULL, or cannot be read",
                            "name a column that never is: poll.tiebreak, or key", err);
    bool page = p->step == STEP_PAGE;
    if (page && (before != NULL || p->r.at_count == p->order.count) &&
        at_same_place(p, b->arena, before, e))
        return row_fail("poll.not_unique", "two rows have the same place in the order",
                        "name the column that tells them apart: poll.tiebreak, or key", err);
    p->full = page && p->page_rows == p->limit;
    p->held = page && !p->full && p->order.number && !note_number(p, at);
    *stop = p->full || p->held;
    if (*stop)
        return FR_OK;
    if (!page)
        (void)fr_gaps_take(&p->r.gaps, at);
    else
        p->r.cursor = at;
    p->page_rows++;
    fr_poller_saw_number(p, at);
    *over = passed_over(p, e, at);
    if (*over)
        return FR_OK;
    p->dirty = true;
    e->position =
        (fr_position){.lsn = p->r.page, .ordinal = (uint32_t)p->rows++, .epoch = p->epoch};
    e->time_us = p->order.number ? 0 : at;
    p->r.rows++;
    return FR_OK;
}

static void note_place(fr_poller *p, fr_arena *a, const fr_event *last)
{
    for (size_t k = 0; k < p->order.count; k++) {
        size_t column = p->order.columns[k];
        fr_poller_set_at(p, k, p->ops->text(a, p->relation, column, &last->after.values[column]));
    }
    p->r.at_count = p->order.count;
    if (fr_poller_looks_back(p))
        fr_poller_note_final(p);
}

/* Rows from..count of the batch, which keeps what is to be published. *stop: what comes after them
 * is left for another round. */
static fr_rc take_rows(fr_poller *p, fr_batch *b, size_t from, bool *stop, fr_err *err)
{
    fr_event last = {0};
    bool any = false;
    size_t kept = from;
    for (size_t i = from; i < b->count; i++) {
        fr_event *e = &b->events[i];
        bool over = false;
        if (e->op == FR_OP_READ) {
            FR_TRY(take_row(p, b, e, any ? &last : NULL, stop, &over, err));
            if (*stop)
                break;
            last = *e;
            any = true;
        }
        if (!over)
            b->events[kept++] = *e;
    }
    b->count = kept;
    if (any && p->step == STEP_PAGE)
        note_place(p, b->arena, &last);
    for (size_t i = from; i < b->count; i++)
        if (b->events[i].op == FR_OP_READ)
            fr_poll_bury(&p->order, &b->events[i]);
    return FR_OK;
}

/* Memory of rows that were passed over is free again; the announcement of their table stays. */
static void make_room(const fr_poller *p, fr_batch *b)
{
    if (p->dirty || !fr_batch_full(b))
        return;
    bool announced = b->count > 0;
    fr_batch_reset(b);
    if (announced)
        (void)fr_batch_add(b, FR_OP_TABLE, p->relation->table);
}

static void close_reader(fr_poller *p)
{
    p->reader->ops->close(p->reader);
    p->reader = NULL;
}

/* The page is through. FR_END: the round is. */
static fr_rc end_page(fr_poller *p, fr_sql *c, fr_err *err)
{
    close_reader(p);
    if (p->step == STEP_GAPS || p->full)
        return FR_OK;
    if (fr_poller_looks_back(p))
        fr_poller_end_round(p);
    FR_TRY(propose(p, c, err));
    p->step = STEP_LOOK;
    return FR_END;
}

/* The first comparison is due one interval after all was read. */
static void note_loaded(fr_poller *p)
{
    if (p->settings->poll_deletes != 2 || p->r.compared_us != 0)
        return;
    p->r.compared_us = fr_wall_us();
    p->dirty = true;
}

static void put_record(fr_poller *p, fr_batch *b)
{
    b->polled = fr_arena_printf(b->arena, "%.*s.%.*s", FR_ARG(p->space), FR_ARG(p->name));
    fr_poll_record r = p->r;
    if (p->order.number && p->latest_us > r.server_us)
        r.server_us = p->latest_us;
    if (fr_poller_looks_back(p)) {
        fr_lookback_place(&p->back, &r);
        r.seen = fr_lookback_text(b->arena, &p->back);
    }
    b->progress = fr_poll_record_text(b->arena, &r, p->order.names, p->order.count);
    p->dirty = false;
}

fr_rc fr_poller_fill(fr_poller *p, fr_sql *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    if (p->over) {
        p->over = false;
        return FR_END;
    }
    for (;;) {
        fr_rc rc = p->reader == NULL ? ask(p, c, err) : FR_OK;
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (rc == FR_IDLE)
            continue;
        if (rc == FR_END) { /* nothing to ask: as a page without rows */
            p->step = STEP_LOOK;
            note_loaded(p);
            p->over = p->dirty;
            if (p->dirty)
                break;
            return FR_END;
        }
        size_t from = b->count;
        bool stop = false;
        rc = p->reader->ops->fill(p->reader, b, deadline_us, err);
        FR_TRY(rc);
        FR_TRY(take_rows(p, b, from, &stop, err));
        make_room(p, b);
        if (rc == FR_IDLE && b->count == 0)
            return FR_IDLE;
        if (rc == FR_IDLE) /* what announces a table is not to be lost */
            break;
        if (rc == FR_END || stop)
            rc = end_page(p, c, err);
        FR_TRY(rc);
        if (rc == FR_END)
            note_loaded(p);
        p->over = rc == FR_END && p->dirty;
        if (p->dirty)
            break;
        if (rc == FR_END)
            return FR_END;
    }
    put_record(p, b);
    return FR_OK;
}

/* ---- comparisons ---- */

fr_rc fr_poller_relation(fr_poller *p, fr_sql *c, bool anew, fr_sql_relation **out, fr_err *err)
{
    if (anew || p->relation == NULL || p->relation->statement)
        FR_TRY(describe(p, c, err));
    *out = p->relation;
    return FR_OK;
}

int64_t fr_poller_compared_us(const fr_poller *p)
{
    return p->r.compared_us;
}

uint64_t fr_poller_rows(const fr_poller *p)
{
    return p->r.rows;
}

bool fr_poller_wants(const fr_poller *p, size_t column)
{
    return p->order.count > 0 && p->order.columns[0] == column;
}

/* What has the cursor's own time may lie before or behind it: poll.tiebreak is the server's. */
bool fr_poller_passed(const fr_poller *p, const fr_row *row)
{
    int64_t at;
    fr_err ignored;
    if (p->order.count == 0)
        return true;
    size_t column = p->order.columns[0];
    const fr_value *v = &row->values[column];
    if (v->kind <= FR_NULL || p->r.at_count == 0 ||
        fr_poll_cursor_value(&p->relation->table->columns[column], v, &at, &ignored) == FR_FAIL)
        return false;
    for (size_t i = 0; i < p->r.gaps.count; i++)
        if (at >= p->r.gaps.items[i].from && at <= p->r.gaps.items[i].to)
            return false;
    if (fr_poller_looks_back(p) && p->back.at_count < 2)
        return at <= p->back.cursor;
    return p->order.number ? at <= p->r.cursor
                           : at < (fr_poller_looks_back(p) ? p->back.cursor : p->r.cursor);
}

void fr_poller_begin_page(fr_poller *p)
{
    p->r.page++;
    p->rows = p->page_rows = 0;
}

void fr_poller_place(fr_poller *p, fr_event *e)
{
    int64_t at;
    fr_err ignored;
    e->position =
        (fr_position){.lsn = p->r.page, .ordinal = (uint32_t)p->rows++, .epoch = p->epoch};
    p->r.rows++;
    if (e->op == FR_OP_DELETE)
        fr_lookback_forget(&p->back);
    if (e->op != FR_OP_READ || p->order.count == 0 || p->order.number)
        return;
    size_t column = p->order.columns[0];
    if (fr_poll_cursor_value(&p->relation->table->columns[column], &e->after.values[column], &at,
                             &ignored) == FR_OK)
        e->time_us = at;
}

void fr_poller_compared(fr_poller *p, fr_batch *b, bool done)
{
    if (done)
        p->r.compared_us = fr_wall_us();
    put_record(p, b);
}
