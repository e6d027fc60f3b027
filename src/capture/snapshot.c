#include "capture/internal.h"
#include <stdlib.h>
#include <string.h>

typedef enum { CHUNK_TODO, CHUNK_RUNNING, CHUNK_DONE } chunk_state;

typedef struct chunk {
    fr_chunk chunk; /* texts in the snapshot's arena */
    size_t table;
    chunk_state state;
    fr_buf from; /* the last published row's key, once there is one */
    bool partial;
} chunk;

typedef struct snap_table {
    fr_str space, name, where;
    fr_str view_resume;
    uint64_t view_lsn;
    uint32_t chunks, done;
    size_t first, count; /* its chunks in the snapshot's list: those that are left */
    uint64_t rows, rows_expected;
    bool dirty;
    atomic_bool held; /* the source goes on without it, or anew: nothing more is read */
} snap_table;

struct snapshot {
    fr_capture *c;
    fr_arena *arena;
    chunk *chunks;
    size_t chunk_count, chunk_cap;
    snap_table *tables;
    size_t table_count;
    fr_str since; /* resume text; empty: that of the plan */
    size_t hint;  /* where in the plan the next table's chunks are looked for first */

    /* Shared with the chunk readers, under c->lock. */
    const fr_plan *plan;
    size_t next;
    size_t running;
    atomic_bool stop;
    atomic_bool leave; /* it is time, or the throttle lasts: what can be gone on with is left */
    int64_t slice_us, slice_over_us; /* 0: no end */
    atomic_bool moved;               /* in this slice something was read */
    bool failed;
    fr_err err;
};

snapshot *snapshot_new(fr_capture *c)
{
    snapshot *s = fr_malloc(sizeof(*s));
    s->c = c;
    s->arena = fr_arena_new(0);
    return s;
}

void snapshot_free(snapshot *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->chunk_count; i++)
        fr_buf_free(&s->chunks[i].from);
    free(s->chunks);
    free(s->tables);
    fr_arena_free(s->arena);
    free(s);
}

size_t snapshot_tables(const snapshot *s)
{
    return s->table_count;
}

static void add_chunk(snapshot *s, const fr_chunk *c)
{
    if (s->chunk_count == s->chunk_cap) {
        s->chunk_cap = s->chunk_cap == 0 ? 64 : 2 * s->chunk_cap;
        s->chunks = fr_realloc(s->chunks, s->chunk_cap * sizeof(chunk));
    }
    chunk *n = &s->chunks[s->chunk_count++];
    *n = (chunk){.chunk = *c, .table = s->table_count - 1};
    s->tables[n->table].count++;
    n->chunk.space = s->tables[n->table].space;
    n->chunk.name = s->tables[n->table].name;
    n->chunk.where = s->tables[n->table].where;
    n->chunk.from = fr_arena_str(s->arena, c->from);
    n->chunk.to = fr_arena_str(s->arena, c->to);
}

static bool is_outbox(const snapshot *s, fr_str space, fr_str name)
{
    const fr_table_settings *t = fr_source_match(s->c->s.source, space, name);
    return t != NULL && t->outbox.on;
}

void snapshot_since(snapshot *s, fr_str resume)
{
    s->since = fr_arena_str(s->arena, resume);
}

/* An outbox is read as of one place of the log, however often that begins. */
static fr_str view_of(const snapshot *s, const fr_plan *plan, fr_str space, fr_str name,
                      const fr_snapshot_progress *before)
{
    if (!is_outbox(s, space, name) || s->since.len == 0)
        return plan->stream_from;
    return before != NULL ? before->view_resume : s->since;
}

static bool can_resume(const fr_snapshot_progress *before)
{
    if (before == NULL || before->left_count == 0)
        return false;
    for (size_t i = 0; i < before->left_count; i++)
        if (before->left[i].whole)
            return false;
    return true;
}

static bool chunk_is(const fr_chunk *c, fr_str space, fr_str name)
{
    return fr_str_eq(c->name, name) && fr_str_eq(c->space, space);
}

/* Those at first to end. Rows of an outbox keep the order of their key: one reader, one chunk. */
static void add_chunks(snapshot *s, snap_table *t, const fr_plan *plan, size_t first, size_t end)
{
    size_t n = plan->chunk_count;
    if (is_outbox(s, t->space, t->name) && first < end) {
        fr_chunk all = plan->chunks[first % n];
        all.to = plan->chunks[(end - 1) % n].to;
        add_chunk(s, &all);
        t->chunks = 1;
        return;
    }
    for (; first < end; first++, t->chunks++)
        add_chunk(s, &plan->chunks[first % n]);
}

void snapshot_add(snapshot *s, const fr_plan *plan, fr_str space, fr_str name,
                  const fr_snapshot_progress *before)
{
    s->tables = fr_realloc(s->tables, (s->table_count + 1) * sizeof(snap_table));
    snap_table *t = &s->tables[s->table_count++];
    *t = (snap_table){.space = fr_arena_str(s->arena, space),
                      .name = fr_arena_str(s->arena, name),
                      .view_resume = fr_arena_str(s->arena, view_of(s, plan, space, name, before)),
                      .view_lsn = plan->view_lsn,
                      .first = s->chunk_count,
                      .dirty = true};
    if (before != NULL && before->left_count > 0)
        t->where = fr_arena_str(s->arena, before->where);
    if (can_resume(before)) {
        t->chunks = before->chunks;
        t->rows = before->rows;
        t->done = before->chunks - (uint32_t)before->left_count;
        for (size_t i = 0; i < before->left_count; i++) {
            const fr_chunk_left *l = &before->left[i];
            fr_chunk c = {.index = l->index, .from = l->from, .to = l->to, .after = l->after};
            add_chunk(s, &c);
        }
        return;
    }
    /* A table's chunks stand together, and mostly right behind the last table's. */
    size_t n = plan->chunk_count, at = s->hint, passed = 0;
    for (; passed < n && !chunk_is(&plan->chunks[at % n], space, name); passed++)
        at++;
    size_t first = at;
    while (passed++ < n && chunk_is(&plan->chunks[at % n], space, name))
        at++;
    s->hint = at;
    add_chunks(s, t, plan, first, at);
}

fr_rc snapshot_produced(snapshot *s, fr_batch *b, fr_err *err)
{
    chunk *c = &s->chunks[b->chunk - 1];
    snap_table *t = &s->tables[c->table];
    const fr_event *last = NULL;
    for (size_t i = 0; i < b->count; i++)
        if (b->events[i].op == FR_OP_READ) {
            last = &b->events[i];
            t->rows++;
        }
    t->dirty = true;
    if (b->chunk_done) {
        c->state = CHUNK_DONE;
        t->done++;
        FR_TELL(&s->c->s.observer, snapshot, t->space, t->name, t->done, t->chunks, t->rows,
                t->rows_expected);
        return FR_OK;
    }
    if (last == NULL || c->chunk.whole)
        return FR_OK;
    fr_str key;
    FR_TRY(s->c->source->ops->row_key(s->c->source, b, last, &key, err));
    c->from.len = 0;
    fr_buf_str(&c->from, key);
    c->partial = true;
    return FR_OK;
}

void snapshot_leave(snapshot *s, fr_str space, fr_str name)
{
    for (size_t i = 0; i < s->table_count; i++) {
        snap_table *t = &s->tables[i];
        if (!fr_str_eq(t->name, name) || !fr_str_eq(t->space, space))
            continue;
        atomic_store(&t->held, true);
        t->dirty = false;
    }
}

bool snapshot_held(snapshot *s, const fr_batch *b)
{
    snap_table *t = &s->tables[s->chunks[b->chunk - 1].table];
    if (held_is(s->c->held_tables, t->space, t->name))
        atomic_store(&t->held, true);
    return atomic_load(&t->held);
}

static fr_record record_of(snapshot *s, fr_arena *a, size_t table)
{
    snap_table *t = &s->tables[table];
    fr_snapshot_progress p = {.space = t->space,
                              .name = t->name,
                              .where = t->where,
                              .view_resume = t->view_resume,
                              .view_lsn = t->view_lsn,
                              .chunks = t->chunks,
                              .rows = t->rows};
    p.left = fr_arena_alloc(a, (t->chunks + 1) * sizeof(fr_chunk_left));
    for (size_t i = t->first; i < t->first + t->count; i++) {
        const chunk *c = &s->chunks[i];
        if (c->state == CHUNK_DONE)
            continue;
        fr_chunk_left *l = &p.left[p.left_count++];
        *l = (fr_chunk_left){c->chunk.index, c->chunk.from, c->chunk.to, c->chunk.after,
                             c->chunk.whole};
        if (c->partial) {
            l->from = fr_buf_view(&c->from);
            l->after = true;
        }
    }
    return fr_checkpoint_snapshot(a, &p);
}

size_t snapshot_records(snapshot *s, fr_arena *a, bool all, fr_record **out)
{
    fr_record *records = fr_arena_alloc(a, (s->table_count + 1) * sizeof(fr_record));
    size_t n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        if (all || s->tables[i].dirty) {
            records[n++] = record_of(s, a, i);
            s->tables[i].dirty = false;
        }
    *out = records;
    return n;
}

/* rows_per_second, over all readers: sleep off what was read too fast. */
static void pace(snapshot *s, size_t rows)
{
    int64_t due = throttle_pay(s->c->throttle, rows);
    while (fr_now_us() < due && !stopping(s->c) && !atomic_load(&s->stop))
        fr_sleep_us(due - fr_now_us() < 100000 ? due - fr_now_us() : 100000);
}

static bool is_held(const snapshot *s, const fr_chunk *at)
{
    const chunk *c = (const chunk *)at; /* its first member */
    return atomic_load(&s->tables[c->table].held);
}

static bool cancelled(snapshot *s)
{
    bool any = false;
    for (size_t i = 0; i < s->table_count && !any; i++)
        any = requests_cancel(s->c, s->tables[i].space, s->tables[i].name);
    return any;
}

/* FR_OK: read on; FR_IDLE: we are to end. An outbox does not give way: once the log has gone on,
 * what is left of it cannot be told from what the log brought. A table without a key would have to
 * start over: its reader waits at its place, and ends when it is through, or when nobody wants it
 * any more. */
static fr_rc pass(snapshot *s, bool inside, const fr_chunk *at, fr_err *err)
{
    bool stays = inside && at->whole;
    if (is_held(s, at))
        return FR_IDLE;
    if (is_outbox(s, at->space, at->name))
        return stopping(s->c) || atomic_load(&s->stop) ? FR_IDLE : FR_OK;
    for (;;) {
        bool waits, leave;
        FR_TRY(throttle_look(s->c->throttle, inside, &waits, &leave, err));
        if (stopping(s->c) || atomic_load(&s->stop) || is_held(s, at))
            return FR_IDLE;
        bool over = s->slice_over_us != 0 && fr_now_us() >= s->slice_over_us;
        bool go = (over && atomic_load(&s->moved)) || (waits && leave) || cancelled(s);
        if (go && (!stays || requests_cancel(s->c, at->space, at->name))) {
            atomic_store(&s->leave, true);
            return FR_IDLE;
        }
        if (!waits)
            return FR_OK;
        fr_sleep_us(50000);
    }
}

static chunk *next_chunk(snapshot *s, size_t *index)
{
    chunk *c = NULL;
    pthread_mutex_lock(&s->c->lock);
    if (!atomic_load(&s->stop) && !atomic_load(&s->leave) && s->next < s->chunk_count) {
        *index = s->next;
        c = &s->chunks[s->next++];
    }
    pthread_mutex_unlock(&s->c->lock);
    return c;
}

static fr_batch *take_batch(snapshot *s)
{
    fr_batch *b = NULL;
    while (b == NULL && !atomic_load(&s->stop) && !stopping(s->c))
        b = fr_pool_take(s->c->pool, fr_now_us() + 100000);
    return b;
}

static fr_rc read_one(snapshot *s, const chunk *c, size_t index, fr_err *err)
{
    fr_capture *cap = s->c;
    fr_reader *r = NULL;
    fr_rc rc = cap->source->ops->read_chunk(cap->source, s->plan, &c->chunk, &r, err);
    while (rc != FR_FAIL && rc != FR_END) {
        fr_batch *b = take_batch(s);
        if (b == NULL) {
            rc = FR_IDLE;
            break;
        }
        rc = r->ops->fill(r, b, fr_now_us() + 1000000, err);
        b->chunk = (uint32_t)index + 1;
        b->chunk_done = rc == FR_END;
        size_t rows = b->count;
        fr_pool_weigh(cap->pool, b);
        if (rc == FR_FAIL || rc == FR_IDLE || !fr_queue_put(cap->filled, b, INT64_MAX))
            fr_pool_give(cap->pool, b);
        atomic_store(&s->moved, true);
        if (rc != FR_OK)
            continue;
        pace(s, rows);
        rc = pass(s, true, &c->chunk, err);
        if (rc == FR_IDLE)
            break;
    }
    if (r != NULL)
        r->ops->close(r);
    return rc;
}

static void explain(const snapshot *s, const fr_chunk *c, fr_err *err)
{
    const fr_table_settings *t = fr_source_match(s->c->s.source, c->space, c->name);
    fr_fail_in(err, "snapshot of %.*s.%.*s, chunk %u", FR_ARG(c->space), FR_ARG(c->name), c->index);
    if (t != NULL)
        (void)fr_table_blame_where(t, err);
    if (c->where.len > 0 && (err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_DATA))
        fr_fail_hint(err,
                     "the condition that this snapshot was asked with does not work for every row, "
                     "or not any more; to drop it: freshet snapshot cancel %s/%.*s.%.*s",
                     s->c->s.source->name, FR_ARG(c->space), FR_ARG(c->name));
}

static void *chunk_reader(void *context)
{
    snapshot *s = context;
    pthread_setname_np(pthread_self(), "chunk reader");
    fr_cancel_by(&s->c->runner.abandoned);
    fr_err err;
    size_t index;
    for (chunk *c; !stopping(s->c) && (c = next_chunk(s, &index)) != NULL;) {
        fr_rc rc = pass(s, false, &c->chunk, &err);
        if (rc == FR_OK)
            rc = read_one(s, c, index, &err);
        if (rc != FR_FAIL)
            continue;
        explain(s, &c->chunk, &err);
        pthread_mutex_lock(&s->c->lock);
        if (!s->failed)
            s->err = err;
        s->failed = true;
        pthread_mutex_unlock(&s->c->lock);
        atomic_store(&s->stop, true);
    }
    pthread_mutex_lock(&s->c->lock);
    if (--s->running == 0)
        fr_queue_close(s->c->filled);
    pthread_mutex_unlock(&s->c->lock);
    return NULL;
}

static size_t reader_count(const snapshot *s)
{
    int64_t want = 1;
    for (size_t i = 0; i < s->c->s.source->table_count; i++)
        if (s->c->s.source->tables[i].snapshot_parallel > want)
            want = s->c->s.source->tables[i].snapshot_parallel;
    /* One holds the view, one asks the server how it is. */
    int64_t most =
        s->c->s.source->throttle_connections - (fr_source_asks_busy(s->c->s.source) ? 2 : 1);
    if (want > most)
        want = most;
    if (want > (int64_t)s->chunk_count)
        want = (int64_t)s->chunk_count;
    return want < 1 ? 1 : want > 16 ? 16 : (size_t)want;
}

/* Take what the readers fill until all of them have ended. */
static fr_rc publish_chunks(snapshot *s, outlet *o, fr_err *err)
{
    fr_capture *c = s->c;
    for (;;) {
        fr_batch *b = outlet_next(o, fr_now_us() + 100000);
        if (b != NULL) {
            if (outlet_take(o, b, err) == FR_FAIL)
                return FR_FAIL;
            continue;
        }
        if (fr_queue_closed(c->filled) && outlet_waiting(o) == 0)
            return FR_OK;
        if (fr_now_us() >= outlet_due(o))
            FR_TRY(outlet_close(o, err));
    }
}

static void drop_queue(fr_capture *c)
{
    for (fr_batch *b; (b = fr_queue_take(c->filled, 0)) != NULL;)
        fr_pool_give(c->pool, b);
}

/* Chunks are of about the same size: each table's part of the estimate. */
static void share_expectation(snapshot *s, uint64_t rows)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < s->table_count; i++)
        chunks += s->tables[i].chunks;
    for (size_t i = 0; i < s->table_count; i++)
        s->tables[i].rows_expected = chunks == 0 ? 0 : rows * s->tables[i].chunks / chunks;
}

/* Nothing to read; that it is done must be on record all the same, else the next start takes
 * a snapshot of rows that came since and were published as changes. */
static fr_rc write_empty(snapshot *s, outlet *o, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_record *records;
    size_t n = snapshot_records(s, a, false, &records);
    fr_rc rc = n == 0 ? FR_OK : outlet_records(o, records, n, err);
    fr_arena_free(a);
    return rc;
}

static bool chunks_left(const snapshot *s)
{
    for (size_t i = 0; i < s->chunk_count; i++)
        if (s->chunks[i].state != CHUNK_DONE && !atomic_load(&s->tables[s->chunks[i].table].held))
            return true;
    return false;
}

void snapshot_slice(snapshot *s, int64_t us)
{
    s->slice_us = us;
}

fr_rc snapshot_run(snapshot *s, outlet *o, const fr_plan *plan, fr_err *err)
{
    fr_capture *c = s->c;
    pthread_t threads[16];
    size_t count = reader_count(s), started = 0;
    s->plan = plan;
    s->next = 0;
    s->running = count;
    s->slice_over_us = s->slice_us == 0 ? 0 : fr_now_us() + s->slice_us;
    share_expectation(s, plan->rows_expected);
    if (s->chunk_count == 0)
        return write_empty(s, o, err);
    FR_TELL(&c->s.observer, state, FR_STATE_SNAPSHOTTING, NULL);
    fr_log(FR_LOG_INFO, c->who, "snapshot: %zu tables, %zu chunks, %zu readers", s->table_count,
           s->chunk_count, count);
    c->filled = fr_queue_new(fr_pool_size(c->pool));
    outlet_snapshot(o, s);
    fr_rc rc = FR_OK;
    for (; rc == FR_OK && started < count; started += rc == FR_OK)
        rc = fr_thread_start(&threads[started], chunk_reader, s, err);
    if (rc == FR_OK)
        rc = publish_chunks(s, o, err);
    atomic_store(&s->stop, true);
    if (rc == FR_FAIL)
        fr_pool_close(c->pool); /* wakes readers that wait for a batch; this run is over */
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    drop_queue(c);
    fr_queue_free(c->filled);
    c->filled = NULL;
    if (rc != FR_FAIL) {
        fr_err second; /* what was read and produced before a reader failed is worth keeping */
        rc = outlet_close(o, s->failed ? &second : err);
    }
    if (s->failed) {
        *err = s->err;
        rc = FR_FAIL;
    }
    outlet_snapshot(o, NULL);
    if (rc == FR_OK && !stopping(c) && atomic_load(&s->leave) && chunks_left(s))
        return FR_IDLE;
    if (rc == FR_OK && !stopping(c))
        fr_log(FR_LOG_INFO, c->who, "snapshot: done");
    return rc;
}
