/* A source whose log is a script: transactions of rows, each with one number as its key. */
#ifndef FR_TEST_FAKE_SOURCE_H
#define FR_TEST_FAKE_SOURCE_H

#include "base/cancel.h"
#include "base/json.h"
#include "connect/source.h"
#include "tests/unit/capture/fake_kafka.h"

typedef struct script_txn {
    uint64_t lsn; /* of its commit; it ends at lsn + 1 */
    int64_t first;
    size_t rows;
    size_t bad; /* 1 + index of a row that cannot be decoded; 0: none */
} script_txn;

static struct fake_source {
    const script_txn *txns;
    size_t txn_count;
    uint64_t heartbeat; /* said first of all, when above the start; then silence */
    uint64_t view_lsn;
    int64_t view_first;
    size_t view_rows;
    const fr_table *table;
    bool refresh_hangs;
    atomic_bool busy;
    /* what the drivers did */
    atomic_bool refreshing;
    atomic_uint busy_asked, kept_alive; /* confirmed nothing new */
    atomic_uint_fast64_t confirmed;
    atomic_uint epoch;
    atomic_bool plan_asked, confirmed_too_early;
} source;

typedef struct fake_reader {
    fr_reader base;
    size_t txn, row; /* row 0: BEGIN is next; rows + 1: COMMIT */
    bool chunk, beat;
    uint64_t start;
    atomic_bool interrupted;
} fake_reader;

static fr_str resume_of(fr_arena *a, uint64_t lsn)
{
    return fr_arena_printf(a, "{\"db\":\"shop\",\"epoch\":3,\"end\":%llu}",
                           (unsigned long long)lsn);
}

static uint64_t lsn_of(fr_str resume)
{
    json_t *j = NULL;
    fr_err err;
    assert_ok(fr_json_parse(resume, &j, &err));
    uint64_t lsn = (uint64_t)fr_json_int(j, "end", 0);
    json_decref(j);
    return lsn;
}

static fr_event *add_row(fr_batch *b, fr_op op, int64_t id, uint64_t lsn)
{
    fr_event *e = fr_batch_add(b, op, source.table);
    if (e == NULL)
        return NULL;
    fr_value *v = fr_batch_row(b, source.table, &e->after);
    v[0] = (fr_value){.kind = FR_INT64, .integer = id};
    e->position = (fr_position){.lsn = lsn, .epoch = 3};
    return e;
}

static fr_rc fill_chunk(fake_reader *r, fr_batch *b)
{
    if (r->row == source.view_rows)
        return FR_END;
    while (r->row < source.view_rows &&
           add_row(b, FR_OP_READ, source.view_first + (int64_t)r->row, source.view_lsn - 1) != NULL)
        r->row++;
    return FR_OK;
}

/* The next event of the script; false: the batch is full, or the script is at its end. */
static bool add_next(fake_reader *r, fr_batch *b)
{
    if (r->txn == source.txn_count || fr_batch_full(b))
        return false;
    const script_txn *t = &source.txns[r->txn];
    fr_txn *txn = fr_arena_alloc(b->arena, sizeof(*txn));
    *txn = (fr_txn){.id = fr_arena_printf(b->arena, "%llu", (unsigned long long)t->lsn),
                    .commit_us = 1000000};
    fr_event *e;
    if (r->row == 0) {
        e = fr_batch_add(b, FR_OP_BEGIN, NULL);
        e->position.lsn = t->lsn;
    } else if (r->row <= t->rows) {
        e = add_row(b, FR_OP_INSERT, t->first + (int64_t)r->row - 1, t->lsn);
        if (r->row == t->bad)
            e->bad = FR_STR("public.t: a row that cannot be read");
    } else {
        e = fr_batch_add(b, FR_OP_COMMIT, NULL);
        e->position.lsn = t->lsn;
        e->position.resume = resume_of(b->arena, t->lsn + 1);
    }
    e->txn = txn;
    r->row++;
    if (r->row == t->rows + 2) {
        r->row = 0;
        r->txn++;
    }
    return true;
}

static fr_rc fake_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    fake_reader *r = (fake_reader *)base;
    size_t before = b->count;
    (void)err;
    if (r->chunk)
        return fill_chunk(r, b);
    if (r->beat) {
        fr_event *e = fr_batch_add(b, FR_OP_HEARTBEAT, NULL);
        e->position.resume = resume_of(b->arena, source.heartbeat);
        r->beat = false;
        return FR_OK;
    }
    while (source.heartbeat == 0 && add_next(r, b))
        continue;
    if (b->count > before)
        return FR_OK;
    if (!atomic_load(&r->interrupted) && fr_now_us() < deadline_us)
        fr_sleep_us(deadline_us - fr_now_us() < 20000 ? deadline_us - fr_now_us() : 20000);
    return FR_IDLE;
}

/* R1: nothing is confirmed that the checkpoint does not say. */
static fr_rc fake_confirm(fr_reader *base, fr_str resume, fr_err *err)
{
    (void)base, (void)err;
    if (resume.len == 0) {
        atomic_fetch_add(&source.kept_alive, 1);
        return FR_OK;
    }
    fr_checkpoint *c = fake_kafka_checkpoint();
    if (lsn_of(resume) > lsn_of(c->resume))
        atomic_store(&source.confirmed_too_early, true);
    fr_checkpoint_free(c);
    atomic_store(&source.confirmed, lsn_of(resume));
    return FR_OK;
}

static void fake_interrupt(fr_reader *base)
{
    atomic_store(&((fake_reader *)base)->interrupted, true);
}

static void fake_reader_close(fr_reader *base)
{
    free(base);
}

static const fr_reader_ops fake_reader_ops = {.fill = fake_fill,
                                              .confirm = fake_confirm,
                                              .interrupt = fake_interrupt,
                                              .close = fake_reader_close};

static fr_rc fake_list(fr_source *s, fr_arena *arena, const fr_table ***out, size_t *count_out,
                       fr_err *err)
{
    (void)s, (void)err;
    *out = fr_arena_alloc(arena, sizeof(**out));
    (*out)[0] = fr_table_ref(source.table);
    *count_out = 1;
    return FR_OK;
}

static fr_rc fake_plan(fr_source *s, const fr_plan_request *request, fr_plan *out, fr_err *err)
{
    (void)s, (void)err;
    assert_true(request->want(request->context, source.table->space, source.table->name));
    atomic_store(&source.plan_asked, true);
    out->view = FR_STR("view");
    out->view_lsn = source.view_lsn;
    out->stream_from = resume_of(out->arena, source.view_lsn);
    out->chunks = fr_arena_alloc(out->arena, sizeof(fr_chunk));
    out->chunks[0] = (fr_chunk){.space = source.table->space, .name = source.table->name};
    out->chunk_count = 1;
    return FR_OK;
}

static void fake_end_view(fr_source *s)
{
    (void)s;
}

static fr_rc fake_read_chunk(fr_source *s, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                             fr_err *err)
{
    (void)s, (void)c, (void)err;
    fake_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &fake_reader_ops;
    r->chunk = true;
    atomic_store(&source.epoch, plan->epoch);
    *out = &r->base;
    return FR_OK;
}

static fr_rc fake_row_key(fr_source *s, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err)
{
    (void)s, (void)err;
    *out = fr_arena_printf(b->arena, "[\"%lld\"]", (long long)e->after.values[0].integer);
    return FR_OK;
}

static fr_rc fake_read_stream(fr_source *s, fr_str resume, fr_reader **out, fr_err *err)
{
    (void)s, (void)err;
    fake_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &fake_reader_ops;
    r->start = lsn_of(resume);
    r->beat = source.heartbeat > r->start;
    while (r->txn < source.txn_count && source.txns[r->txn].lsn < r->start)
        r->txn++;
    *out = &r->base;
    return FR_OK;
}

static uint64_t fake_resume_lsn(fr_source *s, fr_str resume)
{
    (void)s;
    return lsn_of(resume);
}

static void fake_status(fr_source *s, fr_status *out)
{
    (void)s;
    *out = (fr_status){.connected = true, .server_lsn = 1, .read_lsn = UINT64_MAX};
}

/* As a server would that takes the question and never answers. */
static fr_rc fake_refresh(fr_source *s, fr_err *err)
{
    (void)s;
    while (source.refresh_hangs) {
        FR_TRY(fr_cancel_check(err));
        atomic_store(&source.refreshing, true);
        fr_sleep_us(2000);
    }
    return FR_OK;
}

static fr_rc fake_busy(fr_source *s, fr_arena *a, fr_str *why, fr_err *err)
{
    (void)s, (void)a, (void)err;
    atomic_fetch_add(&source.busy_asked, 1);
    *why = atomic_load(&source.busy) ? FR_STR("throttle.query: 1 is above 0") : (fr_str){"", 0};
    return FR_OK;
}

static void fake_close(fr_source *s)
{
    free(s);
}

static fr_rc fake_open(const fr_source_settings *settings, fr_source **out, fr_err *err);

static const fr_source_ops fake_ops = {.name = "fake",
                                       .type = "fake",
                                       .open = fake_open,
                                       .list_tables = fake_list,
                                       .plan = fake_plan,
                                       .end_view = fake_end_view,
                                       .read_chunk = fake_read_chunk,
                                       .row_key = fake_row_key,
                                       .read_stream = fake_read_stream,
                                       .resume_lsn = fake_resume_lsn,
                                       .status = fake_status,
                                       .refresh = fake_refresh,
                                       .busy = fake_busy,
                                       .close = fake_close};

static fr_rc fake_open(const fr_source_settings *settings, fr_source **out, fr_err *err)
{
    (void)settings, (void)err;
    *out = fr_malloc(sizeof(**out));
    (*out)->ops = &fake_ops;
    return FR_OK;
}

#endif
