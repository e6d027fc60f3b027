/* A source whose tables are asked: who asks which table when, and the way of the answers into
 * Kafka. What to ask is src/poll's. */
#include "poll/poll.h"
#include "base/json.h"
#include "capture/poll_parts.h"
#include "poll/drain.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    READERS_MAX = 16,
    SLICE_US = 1000000,
    WAITS_US = 1000000 * FR_WAITS_TOO_LONG_S,
    HELD_US = 1000000,
    TURN_US = 50000,
    SETTLE_US = 2000,
    RETRY_US = 300000000,
    SAY_AGAIN_US = 60000000
};

void polls_wake(polls *p)
{
    pthread_cond_broadcast(&p->wake);
}

static bool over(polls *p)
{
    return p->stop || stopping(p->c);
}

/* ---- who is open ---- */

static fr_rc ask_state(polls *p, fr_sql *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(512);
    int64_t now = fr_now_us();
    fr_rc rc = c->ops->state(c, a, &p->state, err);
    if (rc == FR_OK) {
        p->oldest_who.len = 0;
        fr_buf_str(&p->oldest_who, p->state.oldest_who);
        p->asked_us = now;
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc shared_look(void *context, fr_sql *c, fr_arena *a, fr_sql_state *out,
                         int64_t *asked_us_out, fr_err *err)
{
    polls *p = context;
    fr_rc rc = FR_OK;
    pthread_mutex_lock(&p->look_lock);
    if (p->asked_us == 0 || fr_now_us() - p->asked_us >= c->ops->state_every_us)
        rc = ask_state(p, c, err);
    if (rc == FR_OK) {
        *out = p->state;
        out->oldest_who = fr_arena_str(a, fr_buf_view(&p->oldest_who));
        *asked_us_out = p->asked_us;
    }
    pthread_mutex_unlock(&p->look_lock);
    return rc;
}

/* ---- the readers ---- */

/* The table that is due first; waits until one is. NULL: it is over. Under the lock. */
static polled *next_due(polls *p)
{
    while (!over(p)) {
        size_t first = 0;
        for (size_t i = 1; i < p->count; i++)
            if (p->due_us[i] < p->due_us[first])
                first = i;
        int64_t due_us = p->count == 0 ? BUSY : p->due_us[first];
        if (due_us <= fr_now_us())
            return &p->tables[first];
        (void)fr_cond_wait(&p->wake, &p->c->lock, due_us);
    }
    return NULL;
}

static bool others_wait(polls *p)
{
    int64_t now = fr_now_us();
    bool some = false;
    pthread_mutex_lock(&p->c->lock);
    for (size_t i = 0; i < p->count; i++)
        some = some || p->due_us[i] <= now;
    pthread_mutex_unlock(&p->c->lock);
    return some;
}

static fr_batch *take_batch(polls *p)
{
    fr_batch *b = NULL;
    while (b == NULL && !over(p))
        b = fr_pool_take(p->c->pool, fr_now_us() + 100000);
    return b;
}

/* ---- a table, whichever way it is read ---- */

static fr_rc fill(polled *t, fr_sql *sql, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    return t->drain != NULL ? fr_drain_fill(t->drain, sql, b, deadline_us, err)
                            : fr_poller_fill(t->poller, sql, b, deadline_us, err);
}

static bool reading(const polled *t)
{
    return t->drain != NULL ? fr_drain_reading(t->drain) : fr_poller_reading(t->poller);
}

static void leave(polled *t)
{
    if (t->drain != NULL)
        fr_drain_leave(t->drain);
    else
        fr_poller_leave(t->poller);
}

static void status_of(const polled *t, fr_poller_status *out)
{
    if (t->drain != NULL)
        fr_drain_status_of(t->drain, out);
    else
        fr_poller_status_of(t->poller, out);
}

/* Its page is on the way, and must be committed before it goes on. */
static bool page_given(const polled *t)
{
    return t->drain != NULL && fr_drain_waits(t->drain);
}

static bool give(polls *p, polled *t, fr_batch *b)
{
    pthread_mutex_lock(&p->c->lock);
    t->given++;
    pthread_mutex_unlock(&p->c->lock);
    return fr_queue_put(p->c->filled, b, INT64_MAX);
}

static size_t rows_of(const fr_batch *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        n += b->events[i].op <= FR_OP_TRUNCATE;
    return n;
}

static void note_page(polls *p, polled *t, uint64_t rows)
{
    fr_poller_status s;
    status_of(t, &s);
    pthread_mutex_lock(&p->c->lock);
    polled_page(&t->view, &s, rows, fr_wall_us());
    pthread_mutex_unlock(&p->c->lock);
}

/* Between two pages: does the server, or the configuration, ask us to wait? With nothing begun we
 * do; else the table is left, and asked anew when it may be. */
static fr_rc may_ask(polls *p, fr_sql *sql, bool begun, bool *may, fr_err *err)
{
    for (*may = false; !over(p);) {
        bool waits = false;
        FR_TRY(throttle_poll(p->c->throttle, sql, &waits, err));
        *may = !waits;
        if (*may || begun)
            return FR_OK;
        fr_sleep_us(50000);
    }
    return FR_OK;
}

/* One round, or as much of it as others leave time for. *done: there is nothing more for now.
 * *began_us: when the first question was asked. */
static fr_rc ask(polls *p, polled *t, fr_sql *sql, bool *done, int64_t *began_us, fr_err *err)
{
    fr_capture *c = p->c;
    for (bool begun = false, may = true;; begun = true) {
        if (!reading(t))
            FR_TRY(may_ask(p, sql, begun, &may, err));
        if (!may)
            return FR_OK;
        if (!begun)
            *began_us = fr_now_us();
        if (t->view.began_us == 0)
            t->view.began_us = *began_us;
        fr_batch *b = take_batch(p);
        if (b == NULL)
            return FR_OK;
        int64_t filling = fr_now_us();
        fr_rc rc = fill(t, sql, b, filling + 1000000, err);
        b->filled_us = fr_now_us();
        fr_pool_weigh(c->pool, b);
        size_t rows = rc == FR_OK ? rows_of(b) : 0;
        throttle_pay(c->throttle, rows);
        if (rc == FR_OK)
            FR_TELL(&c->s.observer, stage, 0, (double)(b->filled_us - filling) / 1e6);
        if (rc != FR_OK || !give(p, t, b))
            fr_pool_give(c->pool, b);
        *done = rc == FR_END && !page_given(t);
        if (rc == FR_FAIL)
            return fr_fail_in(err, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
        if (*done || over(p))
            return FR_OK;
        note_page(p, t, rows);
        if (page_given(t))
            return FR_OK;
        if (!reading(t) && fr_now_us() - *began_us > SLICE_US && others_wait(p))
            return FR_OK;
    }
}

static void say_waits(polls *p, polled *t, const fr_poller_status *s)
{
    int64_t now = fr_now_us();
    if (s->waits == NULL || s->behind_us < WAITS_US ||
        (t->said_us != 0 && now - t->said_us < WAITS_US))
        return;
    t->said_us = now;
    fr_log(FR_LOG_WARN, p->c->who, "%.*s.%.*s: rows wait for %s, open for %" PRId64 " s",
           FR_ARG(t->space), FR_ARG(t->name), s->waits, s->waits_us / 1000000);
}

/* When a table that is only compared is due. */
static int64_t compared_next(const polled *t)
{
    int64_t now = fr_now_us(), left = t->compared_us + t->compares_us - fr_wall_us();
    if (left > t->compares_us)
        left = t->compares_us;
    int64_t due = now + (left < 0 || t->compared_us == 0 ? 0 : left);
    return due < t->retry_us ? t->retry_us : due;
}

/* Under the lock. Where it is held up by gaps, which close within seconds, it is asked soon. */
static void round_over(polls *p, polled *t, const fr_poller_status *s, int64_t began_us)
{
    int64_t now = fr_now_us(), wall = fr_wall_us();
    bool soon = s->held && t->every_us > HELD_US;
    t->once = !t->whole || t->compared_us != 0;
    int64_t due = soon ? began_us + HELD_US : polled_due(began_us, t->every_us, t->place_us);
    if (t->whole)
        due = compared_next(t);
    *t->due_us = due < now ? now : due;
    polled_over(&t->view, s, now, wall);
    t->view.s.next_us = wall + *t->due_us - now;
    FR_TELL(&p->c->s.observer, poll, (double)t->view.s.took_us / 1e6);
}

/* ---- comparisons ---- */

typedef struct compared { /* what a comparison asks us for */
    polls *p;
    polled *t;
} compared;

static fr_batch *lend_batch(void *context)
{
    compared *x = context;
    return take_batch(x->p);
}

static bool put_compared(void *context, fr_batch *b)
{
    compared *x = context;
    b->filled_us = fr_now_us();
    fr_pool_weigh(x->p->c->pool, b);
    if (give(x->p, x->t, b))
        return true;
    fr_pool_give(x->p->c->pool, b);
    return false;
}

/* Its table is held since: nothing more of it is published. */
static bool left_alone(const compared *x)
{
    pthread_mutex_lock(&x->p->c->lock);
    bool is = x->t->held;
    pthread_mutex_unlock(&x->p->c->lock);
    return is;
}

static bool over_now(void *context)
{
    compared *x = context;
    atomic_store(&x->p->alive_us, fr_now_us());
    return over(x->p) || left_alone(x);
}

static bool wait_committed(void *context)
{
    compared *x = context;
    for (bool all = false; !all && !over_now(x);) {
        pthread_mutex_lock(&x->p->c->lock);
        all = x->t->committed == x->t->given;
        pthread_mutex_unlock(&x->p->c->lock);
        if (!all)
            fr_sleep_us(SETTLE_US);
    }
    return !over_now(x);
}

/* Claims the right to compare, of which there is one. */
static bool compare_due(polls *p, const polled *t)
{
    int64_t wall = fr_wall_us();
    /* A clock that went back must not put it off for ever. */
    bool due = t->compares_us != 0 && fr_now_us() >= t->retry_us &&
               (t->compared_us > wall || wall - t->compared_us >= t->compares_us);
    if (!due)
        return false;
    pthread_mutex_lock(&p->c->lock);
    due = !p->comparing;
    if (due) {
        p->comparing = true;
        p->asking--;
        atomic_store(&p->alive_us, fr_now_us());
    }
    pthread_mutex_unlock(&p->c->lock);
    return due;
}

static void compare_over(polls *p)
{
    pthread_mutex_lock(&p->c->lock);
    p->comparing = false;
    p->asking++;
    pthread_mutex_unlock(&p->c->lock);
}

/* A small table may be compared several times a second: the same reason is said once a minute. */
static void say_not_compared(const polls *p, polled *t, int64_t wait, const fr_err *err)
{
    uint64_t what = fr_hash64(err->text, strlen(err->text));
    int64_t now = fr_now_us();
    if (what == t->not_compared && now - t->not_compared_us < SAY_AGAIN_US)
        return;
    t->not_compared = what;
    t->not_compared_us = now;
    fr_log(FR_LOG_ERROR, p->c->who,
           "%.*s.%.*s cannot be compared with what was published of it, and is tried again every "
           "%.1f s: %s [%s]; %s",
           FR_ARG(t->space), FR_ARG(t->name), (double)wait / 1e6, err->text, err->code,
           fr_err_hint(err));
}

static fr_rc compare(polls *p, polled *t, fr_sql *sql, fr_err *err)
{
    compared x = {p, t};
    const compare_way way = {.take = lend_batch,
                             .put = put_compared,
                             .settle = wait_committed,
                             .over = over_now,
                             .context = &x};
    int64_t wall_us = fr_wall_us();
    fr_rc rc = compare_table(p->c, &way, t->poller, sql, t->settings, err);
    if (rc == FR_OK)
        t->whole_us = wall_us;
    t->compared_us = fr_poller_compared_us(t->poller);
    if (rc == FR_FAIL)
        return fr_fail_in(err, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    if (rc == FR_END) {
        int64_t wait = t->compares_us < RETRY_US ? t->compares_us : RETRY_US;
        t->retry_us = fr_now_us() + wait;
        say_not_compared(p, t, wait, err);
    }
    return FR_OK;
}

/* The first time it says when it was compared last. */
static fr_rc begin_whole(polled *t, fr_sql *sql, fr_err *err)
{
    fr_sql_relation *relation;
    if (fr_poller_relation(t->poller, sql, false, &relation, err) == FR_FAIL)
        return fr_fail_in(err, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    t->view.began_us = fr_now_us();
    return FR_OK;
}

/* What is due of a table. *done: there is nothing more for now. */
static fr_rc read_table(polls *p, polled *t, fr_sql *sql, bool *done, int64_t *began_us,
                        fr_err *err)
{
    bool may = true;
    if (t->whole)
        FR_TRY(begin_whole(t, sql, err));
    else
        FR_TRY(ask(p, t, sql, done, began_us, err));
    leave(t);
    if (t->compares_us == 0)
        return FR_OK;
    t->compared_us = fr_poller_compared_us(t->poller);
    if ((!t->whole && !*done) || !compare_due(p, t)) {
        /* Nothing to do until then; where another one is compared it is its turn soon. */
        *done = *done || (t->whole && compared_next(t) > fr_now_us());
        return FR_OK;
    }
    *done = true;
    fr_rc rc = may_ask(p, sql, false, &may, err);
    if (rc == FR_OK && may)
        rc = compare(p, t, sql, err);
    compare_over(p);
    return rc;
}

static fr_rc read_tables(polls *p, fr_sql *sql, polled **at, fr_err *err)
{
    fr_capture *c = p->c;
    fr_rc rc = FR_OK;
    pthread_mutex_lock(&c->lock);
    for (polled *t; rc != FR_FAIL && (t = next_due(p)) != NULL;) {
        bool done = false;
        int64_t began = fr_now_us();
        *t->due_us = BUSY;
        *at = t;
        p->asking++;
        /* Somebody who sleeps looks what is due next: we shall not. */
        pthread_cond_signal(&p->wake);
        pthread_mutex_unlock(&c->lock);
        rc = read_table(p, t, sql, &done, &began, err);
        leave(t);
        fr_poller_status s = {0};
        if (rc == FR_OK && done) {
            status_of(t, &s);
            s.whole_us = t->whole ? t->whole_us : s.whole_us;
            say_waits(p, t, &s);
        }
        pthread_mutex_lock(&c->lock);
        p->asking--;
        t->waits = page_given(t) && t->given != t->committed;
        if (!t->waits)
            *t->due_us = fr_now_us(); /* others that are due have waited longer */
        if (rc == FR_OK && done)
            round_over(p, t, &s, t->drain != NULL ? t->view.began_us : began);
        if (t->whole && *t->due_us < began + TURN_US)
            *t->due_us = began + TURN_US; /* another comparison is under way */
        if (t->held)
            *t->due_us = BUSY;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* What cannot be read of one table is no reason to leave the others: it is held, and this reader
 * goes on with a new connection. */
static bool goes_on(polls *p, polled *t, const fr_err *err)
{
    if (t == NULL || !held_wants_read(t->settings, err))
        return false;
    pthread_mutex_lock(&p->c->lock);
    t->why = *err;
    t->failed = t->held = true;
    *t->due_us = BUSY;
    pthread_mutex_unlock(&p->c->lock);
    return true;
}

static void *poll_reader(void *context)
{
    polls *p = context;
    fr_capture *c = p->c;
    fr_sql *sql = NULL;
    fr_err err;
    pthread_setname_np(pthread_self(), "poll reader");
    fr_cancel_by(&c->runner.stopping);
    const fr_sql_ops *ops = c->s.ops->sql;
    polled *at;
    fr_rc rc;
    do {
        at = NULL;
        sql = NULL;
        rc = ops->open(c->s.source, &sql, &err);
        if (rc == FR_OK)
            rc = read_tables(p, sql, &at, &err);
        ops->close(sql);
    } while (rc == FR_FAIL && !stopping(c) && goes_on(p, at, &err));
    pthread_mutex_lock(&c->lock);
    if (rc == FR_FAIL && !p->failed && !stopping(c)) {
        p->failed = true;
        p->err = err;
    }
    if (rc == FR_FAIL)
        p->stop = true;
    polls_wake(p);
    if (--p->running == 0)
        fr_queue_close(c->filled);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static size_t reader_count(const polls *p)
{
    int64_t most = p->c->s.source->throttle_connections;
    if (most > (int64_t)p->count)
        most = (int64_t)p->count;
    return most < 1 ? 1 : most > READERS_MAX ? READERS_MAX : (size_t)most;
}

static void set_polls(fr_capture *c, polls *p)
{
    pthread_mutex_lock(&c->lock);
    c->polls = p;
    pthread_mutex_unlock(&c->lock);
}

static fr_rc run_readers(polls *p, outlet *o, fr_err *err)
{
    fr_capture *c = p->c;
    pthread_t threads[READERS_MAX];
    size_t count = reader_count(p), started = 0;
    c->filled = fr_queue_new(fr_pool_size(c->pool));
    p->running = count;
    set_polls(c, p);
    fr_rc rc = FR_OK;
    for (; rc == FR_OK && started < count; started += rc == FR_OK)
        rc = fr_thread_start(&threads[started], poll_reader, p, err);
    fr_cancel_by(&c->runner.abandoned); /* from here on a stop finishes what it has */
    if (rc == FR_OK)
        rc = polls_publish(p, o, err);
    pthread_mutex_lock(&c->lock);
    p->stop = true;
    polls_wake(p);
    pthread_mutex_unlock(&c->lock);
    if (rc == FR_FAIL)
        fr_pool_close(c->pool);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    set_polls(c, NULL);
    for (fr_batch *b; (b = fr_queue_take(c->filled, 0)) != NULL;)
        fr_pool_give(c->pool, b);
    fr_queue_free(c->filled);
    c->filled = NULL;
    if (rc != FR_FAIL && p->failed) {
        *err = p->err;
        rc = FR_FAIL;
    }
    return rc == FR_OK && stopping(c) ? outlet_ends(o, err) : rc;
}

/* ---- start ---- */

static fr_str with_epoch(fr_arena *a, fr_str identity, uint32_t epoch)
{
    return fr_arena_printf(a, "{\"epoch\":%" PRIu32 ",%.*s", epoch, (int)identity.len - 1,
                           identity.ptr + 1);
}

/* Which server, and under which number its pages are counted. */
static fr_rc settle_resume(polls *p, outlet *o, fr_str identity, fr_arena *a, fr_err *err)
{
    const fr_checkpoint *k = p->c->checkpoint;
    fr_str resume = k->resume;
    if (k->has_stream && !k->creating) {
        json_t *j = NULL;
        FR_TRY(fr_poll_same_server(resume, identity, err));
        FR_TRY(fr_json_parse(resume, &j, err));
        p->epoch = (uint32_t)fr_json_int(j, "epoch", 0);
        json_decref(j);
    } else {
        FR_TRY(capture_next_epoch(resume, &p->epoch, err));
        resume = with_epoch(a, identity, p->epoch);
        fr_record r = fr_checkpoint_stream(a, false, resume, NULL, NULL, 0, fr_wall_us());
        FR_TRY(outlet_records(o, &r, 1, err));
    }
    outlet_resume(o, resume);
    return capture_encoder(p->c, resume, a, err);
}

static void add_tables(polls *p, const fr_polled *tables, size_t count)
{
    fr_capture *c = p->c;
    p->tables = fr_arena_alloc(p->arena, (count + 1) * sizeof(polled));
    p->due_us = fr_arena_alloc(p->arena, (count + 1) * sizeof(int64_t));
    for (size_t i = 0; i < count; i++) {
        const fr_table_settings *s = tables[i].settings;
        fr_str space = tables[i].name.space, name = tables[i].name.name;
        fr_str key = fr_arena_printf(p->arena, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
        const fr_str *progress = fr_map_get(c->checkpoint->tables, key);
        polled *n = &p->tables[p->count++];
        *n = (polled){.space = fr_arena_str(p->arena, space),
                      .name = fr_arena_str(p->arena, name),
                      .due_us = &p->due_us[i],
                      .every_us = s->poll_every_us,
                      .settings = s,
                      .whole = s->method == FR_METHOD_SNAPSHOT};
        if (fr_table_compared(s))
            n->compares_us = n->whole ? s->poll_every_us : s->poll_compare_every_us;
        n->held = held_is(c->held_tables, n->space, n->name);
        p->due_us[i] = n->held ? BUSY : 0;
        n->place_us = polled_place(fr_cstr(c->s.source->name), i, count, n->every_us);
        fr_str recorded = progress != NULL ? *progress : FR_STR("");
        if (fr_table_emptied(s))
            n->drain = fr_drain_new(c->s.source, s, n->space, n->name, recorded, p->epoch);
        else
            n->poller = fr_poller_new(c->s.source, s, n->space, n->name, recorded, p->epoch,
                                      shared_look, p);
        fr_map_set(p->by_name, key, n);
    }
}

static fr_rc begin(polls *p, outlet *o, fr_arena *a, fr_err *err)
{
    const fr_source_settings *source = p->c->s.source;
    const fr_sql_ops *ops = p->c->s.ops->sql;
    fr_sql *sql = NULL;
    fr_str identity;
    fr_polled *tables = NULL;
    size_t count = 0;
    fr_rc rc = ops->open(source, &sql, err);
    if (rc == FR_OK)
        rc = ops->verify(sql, source, err);
    if (rc == FR_OK)
        rc = ops->identity(sql, a, &identity, err);
    if (rc == FR_OK)
        rc = settle_resume(p, o, identity, a, err);
    if (rc == FR_OK)
        rc = fr_poll_find(ops, sql, source, a, &tables, &count, err);
    if (rc == FR_OK)
        add_tables(p, tables, count);
    ops->close(sql);
    return rc;
}

fr_rc poll_run(fr_capture *c, outlet *o, fr_arena *a, fr_err *err)
{
    polls p = {.c = c, .arena = a, .told = FR_STATE_CATCHING_UP, .by_name = fr_map_new()};
    fr_cond_init(&p.wake);
    pthread_mutex_init(&p.look_lock, NULL);
    requests_taken(c->requests);
    fr_rc rc = begin(&p, o, a, err);
    if (rc == FR_OK && !stopping(c)) {
        FR_TELL(&c->s.observer, state, FR_STATE_CATCHING_UP, NULL);
        fr_log(FR_LOG_INFO, c->who, "polls %zu table%s", p.count, p.count == 1 ? "" : "s");
        rc = run_readers(&p, o, err);
    }
    for (size_t i = 0; i < p.count; i++) {
        fr_poller_free(p.tables[i].poller);
        fr_drain_free(p.tables[i].drain);
    }
    fr_map_free(p.by_name, NULL);
    pthread_cond_destroy(&p.wake);
    pthread_mutex_destroy(&p.look_lock);
    fr_buf_free(&p.oldest_who);
    return rc == FR_OK && !stopping(c) && requests_waiting(c->requests) ? FR_IDLE : rc;
}
