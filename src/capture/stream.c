#include "capture/internal.h"

typedef struct stream {
    fr_capture *c;
    uint64_t stop_lsn; /* 0: none */
    atomic_bool stop;  /* the publisher gave up */
    bool failed, reached;
    bool streaming; /* told so: what we publish is new, or there is nothing to publish */
    fr_err err;
    int64_t next_confirm_us, next_sample_us;
    uint64_t confirmed_version;
    fr_buf confirming; /* copy of safe, so that confirm runs without the lock */
    struct {           /* log.confirm_reserve: what may be confirmed when */
        fr_buf resume;
        int64_t at_us;
    } reserve[64];
    size_t reserve_head, reserve_count;
    int64_t next_status_us;
    atomic_bool run_over; /* for the status thread, with run_ends; under the lock */
    pthread_cond_t run_ends;
    bool asks; /* there is a status thread */
    pthread_t status;
} stream;

enum { REFRESH_US = 10000000, LOOK_US = 1000000, CONFIRM_US = 200000 };

static bool over(stream *s)
{
    return stopping(s->c) || atomic_load_explicit(&s->stop, memory_order_relaxed);
}

/* R4: keep the slot confirm_reserve behind. Answers the newest resume that is old enough. */
static fr_str reserved(stream *s, fr_str newest, int64_t now)
{
    int64_t wait = s->c->s.source->confirm_reserve_us;
    if (wait == 0)
        return newest;
    size_t cap = sizeof(s->reserve) / sizeof(s->reserve[0]);
    if (newest.len > 0 && s->reserve_count < cap) {
        size_t at = (s->reserve_head + s->reserve_count++) % cap;
        s->reserve[at].resume.len = 0;
        fr_buf_str(&s->reserve[at].resume, newest);
        s->reserve[at].at_us = now;
    }
    fr_str old_enough = {0};
    while (s->reserve_count > 0 && now - s->reserve[s->reserve_head].at_us >= wait) {
        old_enough = fr_buf_view(&s->reserve[s->reserve_head].resume);
        s->reserve_head = (s->reserve_head + 1) % cap;
        s->reserve_count--;
    }
    return old_enough;
}

static fr_rc confirm(stream *s, fr_reader *r, fr_err *err)
{
    fr_capture *c = s->c;
    int64_t now = fr_now_us();
    if (r->ops->confirm == NULL || now < s->next_confirm_us)
        return FR_OK;
    /* It is the keep-alive too (R37): a reserve holds back what is confirmed, and never how often
     * we say that we live. A sample now and then is enough for its ring. */
    s->next_confirm_us = now + CONFIRM_US;
    fr_str safe = {0};
    pthread_mutex_lock(&c->lock);
    if (c->safe_version != s->confirmed_version && now >= s->next_sample_us) {
        s->next_sample_us = now + c->s.source->confirm_reserve_us / 32;
        s->confirming.len = 0;
        fr_buf_str(&s->confirming, fr_buf_view(&c->confirmable));
        s->confirmed_version = c->safe_version;
        safe = fr_buf_view(&s->confirming);
    }
    pthread_mutex_unlock(&c->lock);
    if (FR_FAILPOINT("capture_before_confirm"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_before_confirm");
    FR_TRY(r->ops->confirm(r, reserved(s, safe, now), err));
    if (now >= s->next_status_us) {
        fr_status status = {0};
        c->source->ops->status(c->source, &status);
        FR_TELL(&c->s.observer, connector, &status);
        s->next_status_us = now + 1000000;
    }
    return FR_OK;
}

/* The control run of the fault tests: confirm what was merely read, which R1 forbids. */
static fr_rc confirm_too_early(fr_reader *r, const fr_batch *b, fr_err *err)
{
    if (FR_FAILPOINT("r1"))
        for (size_t i = b->count; i-- > 0;)
            if (b->events[i].position.resume.len > 0)
                return r->ops->confirm(r, b->events[i].position.resume, err);
    return FR_OK;
}

/* Does the batch end inside a transaction? Looks only at what came since `from`. */
static bool mid_transaction(const fr_batch *b, size_t from, bool before)
{
    for (size_t i = b->count; i-- > from;) {
        if (b->events[i].op == FR_OP_COMMIT)
            return false;
        if (b->events[i].op == FR_OP_BEGIN)
            return true;
    }
    return before;
}

/* Fill one batch: until it is full, or the source has been silent for half a millisecond and
 * no transaction is open, or 5 ms have passed and the publisher waits. */
static fr_rc fill(stream *s, fr_reader *r, fr_batch *b, bool *open, fr_err *err)
{
    int64_t began = 0;
    for (;;) {
        int64_t now = fr_now_us();
        size_t from = b->count;
        fr_rc rc = r->ops->fill(r, b, now + (b->count == 0 ? 100000 : 500), err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (b->count == 0)
            return FR_IDLE;
        if (began == 0) {
            began = now;
            atomic_store_explicit(&s->c->silent, false, memory_order_relaxed);
        }
        *open = mid_transaction(b, from, *open);
        if (fr_batch_full(b) || over(s))
            return FR_OK;
        if (rc == FR_IDLE && !*open) {
            atomic_store_explicit(&s->c->silent, true, memory_order_relaxed);
            return FR_OK;
        }
        if (!*open && fr_now_us() - began > 5000 && fr_queue_count(s->c->filled) == 0 &&
            !atomic_load_explicit(&s->c->committing, memory_order_relaxed))
            return FR_OK;
        FR_TRY(confirm(s, r, err));
    }
}

/* Ends the batch before the first transaction at or above stop_lsn. */
static bool cut(stream *s, fr_batch *b)
{
    if (s->stop_lsn == 0)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        bool beyond =
            e->op == FR_OP_HEARTBEAT
                ? s->c->source->ops->resume_lsn(s->c->source, e->position.resume) >= s->stop_lsn
                : e->position.lsn >= s->stop_lsn;
        if (!beyond || e->op == FR_OP_TABLE)
            continue;
        size_t keep = i;
        while (keep > 0 && b->events[keep - 1].op == FR_OP_TABLE)
            keep--;
        b->count = keep;
        return true;
    }
    return false;
}

static bool caught_up(stream *s)
{
    if (s->stop_lsn == 0)
        return false;
    fr_status status = {0};
    s->c->source->ops->status(s->c->source, &status);
    return status.read_lsn >= s->stop_lsn;
}

static fr_rc read_loop(stream *s, fr_reader *r, fr_err *err)
{
    fr_capture *c = s->c;
    bool open = false;
    while (!over(s) && !s->reached) {
        FR_TRY(confirm(s, r, err));
        fr_batch *b = fr_pool_take(c->pool, fr_now_us() + 100000);
        if (b == NULL)
            continue; /* downstream is slow; stay alive */
        int64_t began = fr_now_us();
        fr_rc rc = fill(s, r, b, &open, err);
        b->filled_us = fr_now_us();
        if (rc == FR_OK) {
            FR_TELL(&c->s.observer, stage, 0, (double)(b->filled_us - began) / 1e6);
            rc = confirm_too_early(r, b, err);
        }
        s->reached = rc == FR_OK && cut(s, b);
        fr_pool_weigh(c->pool, b);
        if (rc == FR_OK && fr_queue_put(c->filled, b, INT64_MAX))
            continue;
        fr_pool_give(c->pool, b);
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (rc == FR_IDLE && !open && caught_up(s))
            s->reached = true;
    }
    return FR_OK;
}

typedef struct reader_job {
    stream *s;
    fr_reader *r;
} reader_job;

static void *reader_thread(void *context)
{
    reader_job *job = context;
    stream *s = job->s;
    pthread_setname_np(pthread_self(), "reader");
    fr_cancel_by(&s->c->runner.abandoned);
    if (read_loop(s, job->r, &s->err) == FR_FAIL)
        s->failed = true;
    fr_queue_close(s->c->filled);
    return NULL;
}

/* What status shows of the server. On a thread of its own: a server that does not answer costs
 * nobody but the status; that it does not is the stream's to report. */
static void *status_thread(void *context)
{
    stream *s = context;
    fr_capture *c = s->c;
    fr_err ignored;
    int64_t refresh_us = 0;
    pthread_setname_np(pthread_self(), "status");
    fr_cancel_by(&s->run_over);
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&s->run_over)) {
        pthread_mutex_unlock(&c->lock);
        int64_t now = fr_now_us();
        if (now >= refresh_us) {
            (void)c->source->ops->refresh(c->source, &ignored);
            refresh_us = now + REFRESH_US;
        }
        absent_look(c);
        int64_t next = fr_now_us() + LOOK_US;
        pthread_mutex_lock(&c->lock);
        while (!atomic_load(&s->run_over) && fr_cond_wait(&s->run_ends, &c->lock, next))
            continue;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* While a snapshot is held back the state says so, and why. */
static void tell_streaming(stream *s)
{
    if (s->stop_lsn != 0 || s->streaming || s->c->snapshot_waits)
        return;
    s->streaming = true;
    FR_TELL(&s->c->s.observer, state, FR_STATE_STREAMING, NULL);
}

/* Nothing is open here. Has everything been read that the server has? That is progress, even
 * if nothing is committed (R41), and the end of catching up. */
static void look_around(stream *s, const outlet *o, int64_t *next_us)
{
    fr_capture *c = s->c;
    int64_t now = fr_now_us();
    fr_status status = {0};
    if (now < *next_us)
        return;
    *next_us = now + 200000;
    c->source->ops->status(c->source, &status);
    bool all = status.server_lsn != 0 && status.read_lsn >= status.server_lsn;
    if (!all || outlet_waiting(o) > 0)
        return;
    FR_TELL(&c->s.observer, progress);
    tell_streaming(s);
}

/* A snapshot is asked for; or one is held back: may it go on? Then the stream ends in order. */
static fr_rc look_at_snapshots(stream *s, fr_err *err)
{
    bool waits = true, leave;
    if (s->stop_lsn != 0)
        return FR_OK;
    if (requests_waiting(s->c->requests))
        atomic_store(&s->stop, true);
    if (!s->c->snapshot_waits)
        return FR_OK;
    FR_TRY(throttle_look(s->c->throttle, false, &waits, &leave, err));
    if (!waits)
        atomic_store(&s->stop, true);
    return FR_OK;
}

static fr_rc publish_loop(stream *s, outlet *o, fr_err *err)
{
    fr_capture *c = s->c;
    int64_t next_look_us = 0;
    for (;;) {
        if (s->stop_lsn == 0) {
            FR_TRY(absent_work(c, o, err));
            FR_TRY(held_work(c->held_tables, o, err));
        }
        bool open = outlet_due(o) != INT64_MAX;
        if (!open)
            look_around(s, o, &next_look_us);
        FR_TRY(look_at_snapshots(s, err));
        fr_batch *b = outlet_next(o, fr_now_us() + (open ? 1000 : 200000));
        if (b != NULL) {
            FR_TRY(outlet_take(o, b, err));
            bool silent = atomic_load_explicit(&c->silent, memory_order_relaxed);
            if (outlet_fresh(o))
                tell_streaming(s);
            if (outlet_waiting(o) == 0)
                FR_TRY(outlet_idle(o, silent, err));
            continue;
        }
        /* In this order: a batch may have come between the two looks. */
        if (fr_queue_closed(c->filled) && outlet_waiting(o) == 0)
            return FR_OK;
        if (outlet_waiting(o) == 0)
            FR_TRY(outlet_idle(o, true, err));
    }
}

static void set_reader(fr_capture *c, fr_reader *r)
{
    pthread_mutex_lock(&c->lock);
    c->reader = r;
    pthread_mutex_unlock(&c->lock);
}

static fr_rc begin_asking(stream *s, fr_err *err)
{
    fr_cond_init(&s->run_ends);
    if (s->c->source->ops->refresh == NULL)
        return FR_OK;
    FR_TRY(fr_thread_start(&s->status, status_thread, s, err));
    s->asks = true;
    return FR_OK;
}

static void end_asking(stream *s)
{
    pthread_mutex_lock(&s->c->lock);
    atomic_store(&s->run_over, true);
    pthread_cond_broadcast(&s->run_ends);
    pthread_mutex_unlock(&s->c->lock);
    if (s->asks)
        pthread_join(s->status, NULL);
    pthread_cond_destroy(&s->run_ends);
}

static fr_rc run_threads(stream *s, fr_reader *r, outlet *o, fr_err *err)
{
    fr_capture *c = s->c;
    pthread_t thread;
    reader_job job = {s, r};
    fr_cancel_by(&c->runner.abandoned); /* from here on a stop finishes what it has */
    FR_TRY(fr_thread_start(&thread, reader_thread, &job, err));
    set_reader(c, r);
    fr_rc rc = publish_loop(s, o, err);
    atomic_store(&s->stop, true);
    pthread_mutex_lock(&c->lock);
    r->ops->interrupt(r);
    pthread_mutex_unlock(&c->lock);
    if (rc == FR_FAIL)
        fr_pool_close(c->pool);
    pthread_join(thread, NULL);
    set_reader(c, NULL);
    held_end(c->held_tables, o);
    for (fr_batch *b; (b = fr_queue_take(c->filled, 0)) != NULL;)
        fr_pool_give(c->pool, b);
    if (rc == FR_FAIL)
        return FR_FAIL;
    if (s->failed) {
        fr_err second;
        *err = s->err;
        (void)outlet_finish(o, &second);
        return fr_fail_in(err, "stream");
    }
    FR_TRY(outlet_finish(o, err));
    s->next_confirm_us = 0; /* tell the source before we leave */
    fr_err ignored;
    (void)confirm(s, r, &ignored);
    return stopping(c) ? outlet_ends(o, err) : FR_OK;
}

fr_rc stream_run(fr_capture *c, outlet *o, fr_str resume, uint64_t stop_lsn, fr_err *err)
{
    stream s = {.c = c, .stop_lsn = stop_lsn};
    fr_reader *r = NULL;
    FR_TRY(c->source->ops->read_stream(c->source, resume, &r, err));
    if (!c->snapshot_waits || stop_lsn != 0)
        FR_TELL(&c->s.observer, state, FR_STATE_CATCHING_UP, NULL);
    fr_log(FR_LOG_INFO, c->who, "stream from %.*s", FR_ARG(resume));
    c->filled = fr_queue_new(fr_pool_size(c->pool));
    fr_rc rc = begin_asking(&s, err);
    if (rc == FR_OK)
        rc = run_threads(&s, r, o, err);
    end_asking(&s);
    r->ops->close(r);
    fr_queue_free(c->filled);
    c->filled = NULL;
    fr_buf_free(&s.confirming);
    for (size_t i = 0; i < sizeof(s.reserve) / sizeof(s.reserve[0]); i++)
        fr_buf_free(&s.reserve[i].resume);
    return rc;
}
