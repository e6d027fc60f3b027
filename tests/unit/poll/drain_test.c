/* The drain against a server that exists only here: transactions lock an aggregate, insert its next
 * rows and commit or roll back, also between any two questions; statements fail before or after
 * they took effect; whoever drains dies at any step and begins again from its record; ids start
 * anew when the table is empty. Each row must be published once, an aggregate's rows in order, and
 * the table must be empty in the end. Where the server or the record lies, the check must see it.
 */
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "poll/drain.h"
#include "poll/pending.h"
#include "tests/unit/poll/spelling.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after stdarg.h and setjmp.h */
#include <cmocka.h>

enum { ROWS = 3000, AGGREGATES = 6, TARGET = 900 };

typedef enum { OPEN, VISIBLE, TAKEN, GONE, NEVER } row_state; /* TAKEN: we have it locked */

typedef struct row {
    int64_t id, aggregate, n;
    row_state state;
    unsigned published;
} row;

typedef struct world {
    fr_sql base;
    unsigned seed;
    row rows[ROWS];
    size_t count;
    int64_t next_id, committed[AGGREGATES];
    bool open[AGGREGATES]; /* somebody has it locked */
    const fr_table *table;
    bool shared, view, forbidden, ahead; /* what the relation is */
    bool quiet;                          /* nothing happens by itself */
    bool fails;                          /* statements do now and then */
    bool restarts;                       /* ids start anew */
    bool others;                         /* somebody else deletes what is published */
    bool hides;   /* what is to be deleted is not found, as a trigger can do it */
    bool blind;   /* what is taken has the values that were published with its id */
    bool changed; /* its columns are others, once */
    bool folds;   /* it calls ids equal that differ by a thousand */
    size_t taken[ROWS], taken_count;
    int takes, selects, described;
} world;

static unsigned roll(world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static bool is_empty(const world *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->rows[i].state <= TAKEN)
            return false;
    return true;
}

static void insert(world *w, int64_t aggregate, int64_t n)
{
    w->rows[w->count++] = (row){.id = w->next_id++, .aggregate = aggregate, .n = n};
}

static void end(world *w, int64_t aggregate, bool commit)
{
    for (size_t i = 0; i < w->count; i++) {
        row *r = &w->rows[i];
        if (r->aggregate != aggregate || r->state != OPEN)
            continue;
        r->state = commit ? VISIBLE : NEVER;
        w->committed[aggregate] += commit;
    }
    w->open[aggregate] = false;
}

/* The server is started anew: what is open is rolled back, and the next id is that after the
 * highest one there is. */
static void restart(world *w)
{
    for (int64_t a = 0; a < AGGREGATES; a++)
        end(w, a, false);
    w->next_id = 1;
    for (size_t i = 0; i < w->count; i++)
        if (w->rows[i].state <= TAKEN && w->rows[i].id >= w->next_id)
            w->next_id = w->rows[i].id + 1;
}

/* One thing happens. */
static void step(world *w)
{
    int64_t aggregate = (int64_t)roll(w, AGGREGATES);
    if (w->quiet)
        return;
    if (w->restarts && roll(w, 12) == 0)
        restart(w);
    if (w->others && roll(w, 6) == 0) {
        for (size_t i = 0; i < w->count; i++)
            if (w->rows[i].state == VISIBLE && w->rows[i].published > 0 && roll(w, 3) == 0)
                w->rows[i].state = GONE;
    }
    if (w->open[aggregate]) {
        end(w, aggregate, roll(w, 10) >= 3);
    } else if (w->count < TARGET && roll(w, w->restarts ? 8 : 1) == 0) { /* often empty */
        w->open[aggregate] = true;
        for (unsigned i = 0, more = 1 + roll(w, 3); i < more; i++)
            insert(w, aggregate, w->committed[aggregate] + 1 + i);
    }
}

static void steps(world *w)
{
    for (unsigned i = roll(w, 7); i > 0; i--)
        step(w);
}

static fr_rc fails(world *w, fr_err *err)
{
    if (!w->fails || roll(w, 12) > 0)
        return FR_OK;
    return fr_fail(err, FR_ERR_CONNECT, "the line broke");
}

/* ---- its SQL ---- */

static const int64_t units[3];
static const bool indexed[] = {true, false, false}, unique[] = {true, false, false}, shared[3];
static const fr_str sequences[] = {FR_STR("public.t_id_seq"), {NULL, 0}, {NULL, 0}};

static fr_rc w_describe(fr_sql *c, const fr_table_settings *t, fr_str space, fr_str name,
                        uint32_t version, fr_sql_relation **out, fr_err *err)
{
    world *w = (world *)c;
    (void)t, (void)space, (void)name, (void)version, (void)err;
    w->described++;
    fr_sql_relation *r = fr_malloc(sizeof(*r));
    *r = (fr_sql_relation){.table = fr_table_ref(w->table),
                           .unit_us = units,
                           .indexed = indexed,
                           .plain_table = !w->view,
                           .unique = w->shared ? shared : unique,
                           .ahead = w->ahead ? sequences : NULL};
    if (w->forbidden)
        r->no_delete = FR_STR("GRANT DELETE ON t TO us;");
    *out = r;
    return FR_OK;
}

static void w_forget(fr_sql_relation *r)
{
    fr_table_unref(r->table);
    free(r);
}

typedef struct reader {
    fr_reader base;
    world *w;
    size_t rows[ROWS], count, next;
    bool taken;
} reader;

/* The newest row that was published with this id. */
static const row *as_published(const world *w, const row *r)
{
    for (size_t i = w->count; i-- > 0;)
        if (w->rows[i].id == r->id && w->rows[i].published > 0)
            return &w->rows[i];
    return r;
}

static fr_rc r_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    reader *r = (reader *)base;
    (void)deadline_us;
    size_t before = b->count;
    for (; r->next < r->count && !fr_batch_full(b); r->next++) {
        const row *one = &r->w->rows[r->rows[r->next]];
        if (r->taken && r->w->blind)
            one = as_published(r->w, one);
        fr_event *e = fr_batch_add(b, FR_OP_READ, r->w->table);
        fr_value *v = fr_batch_row(b, r->w->table, &e->after);
        v[0] = (fr_value){.kind = FR_INT64, .integer = one->id};
        v[1] = (fr_value){.kind = FR_INT64, .integer = one->aggregate};
        v[2] = (fr_value){.kind = FR_INT64, .integer = one->n};
    }
    steps(r->w);
    FR_TRY(fails(r->w, err));
    return b->count > before ? FR_OK : FR_END;
}

static const fr_reader_ops reader_ops = {
    .fill = r_fill, .interrupt = r_interrupt, .close = r_close};

static reader *reader_new(world *w, bool taken)
{
    reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &reader_ops;
    r->w = w;
    r->taken = taken;
    return r;
}

static world *sorted; /* whose rows by_id compares */

static int by_id(const void *a, const void *b)
{
    const row *x = &sorted->rows[*(const size_t *)a], *y = &sorted->rows[*(const size_t *)b];
    return x->id < y->id ? -1 : x->id > y->id;
}

static fr_rc columns_changed(world *w, fr_err *err)
{
    w->changed = false;
    fr_fail(err, FR_ERR_BUSY, "its columns have changed");
    return fr_fail_code(err, "sql.changed");
}

static fr_rc w_select(fr_sql *c, fr_sql_relation *rel, fr_str sql, fr_reader **out, fr_err *err)
{
    world *w = (world *)c;
    (void)rel;
    w->selects++;
    FR_TRY(fails(w, err));
    if (w->changed)
        return columns_changed(w, err);
    fr_arena *a = fr_arena_new(0);
    const char *limit = strstr(fr_arena_cstr(a, sql), " WHERE 1 = 1 ORDER BY \"id\" LIMIT ");
    assert_non_null(limit);
    size_t most = (size_t)atoi(limit + 33);
    fr_arena_free(a);
    reader *r = reader_new(w, false);
    for (size_t i = 0; i < w->count; i++)
        if (w->rows[i].state == VISIBLE)
            r->rows[r->count++] = i;
    sorted = w;
    qsort(r->rows, r->count, sizeof(r->rows[0]), by_id);
    r->count = r->count < most ? r->count : most;
    *out = &r->base;
    return FR_OK;
}

static bool is_id(const world *w, const row *r, int64_t id)
{
    return r->id == id || (w->folds && r->id % 1000 == id % 1000);
}

static fr_rc w_take(fr_sql *c, fr_sql_relation *rel, size_t column, fr_str in, fr_reader **out,
                    fr_err *err)
{
    world *w = (world *)c;
    (void)rel;
    assert_int_equal(column, 0);
    w->takes++;
    steps(w);
    FR_TRY(fails(w, err));
    if (w->changed)
        return columns_changed(w, err);
    reader *r = reader_new(w, true);
    w->taken_count = 0;
    fr_arena *a = fr_arena_new(0);
    for (const char *p = fr_arena_cstr(a, in); p != NULL; p = strchr(p + 1, ',')) {
        int64_t id = strtoll(p + 1, NULL, 10);
        for (size_t i = 0; i < w->count; i++)
            if (w->rows[i].state == VISIBLE && is_id(w, &w->rows[i], id) && !w->hides) {
                r->rows[r->count++] = i;
                w->taken[w->taken_count++] = i;
                w->rows[i].state = TAKEN;
            }
    }
    fr_arena_free(a);
    *out = &r->base;
    return FR_OK;
}

static fr_rc w_settle(fr_sql *c, bool remove, fr_err *err)
{
    world *w = (world *)c;
    fr_rc before = fails(w, err);
    for (size_t i = 0; i < w->taken_count; i++)
        w->rows[w->taken[i]].state = remove && before == FR_OK ? GONE : VISIBLE;
    w->taken_count = 0;
    steps(w);
    return before == FR_OK ? fails(w, err) : before;
}

static fr_rc w_scalar(fr_sql *c, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    world *w = (world *)c;
    size_t n = 0;
    FR_TRY(fails(w, err));
    for (const char *p = strstr(fr_arena_cstr(a, sql), " IN ") + 4; p != NULL;
         p = strchr(p + 1, ','))
        for (size_t i = 0; i < w->count; i++)
            n += w->rows[i].state == VISIBLE && is_id(w, &w->rows[i], strtoll(p + 1, NULL, 10));
    *out = fr_arena_printf(a, "%zu", n);
    return FR_OK;
}

static const fr_sql_ops world_ops = {.name = "world",
                                     .describe = w_describe,
                                     .forget = w_forget,
                                     .select = w_select,
                                     .take = w_take,
                                     .settle = w_settle,
                                     .scalar = w_scalar,
                                     W_SPELLING};

static const fr_table *table_of(fr_kind id, bool nullable)
{
    fr_column columns[] = {
        {.name = FR_STR("id"), .kind = id, .key_ordinal = nullable ? 0 : 1, .nullable = nullable},
        {.name = FR_STR("aggregate"), .kind = FR_INT64},
        {.name = FR_STR("n"), .kind = FR_INT64}};
    fr_table like = {
        .space = FR_STR("public"), .name = FR_STR("t"), .column_count = 3, .columns = columns};
    return fr_table_new(&like);
}

static world *world_new(unsigned seed)
{
    world *w = fr_malloc(sizeof(*w));
    w->base.ops = &world_ops;
    w->next_id = 1;
    w->seed = seed;
    w->table = table_of(FR_INT64, false);
    return w;
}

static void world_free(world *w)
{
    fr_table_unref(w->table);
    free(w);
}

/* ---- a run ---- */

static const fr_source_settings source = {.name = "s"};

static fr_table_settings outbox(int64_t batch)
{
    return (fr_table_settings){.pattern = "public.t",
                               .place = "a.yaml:7",
                               .method = FR_METHOD_OUTBOX,
                               .poll_batch = batch,
                               .outbox = {.on = true, .id = "id", .clean_up = true}};
}

/* Kafka: what is committed. */
typedef struct topic {
    fr_arena *arena;
    fr_str record;
    int64_t last[AGGREGATES];
    size_t published, twice, disordered, back; /* back: pages that were not later ones */
    uint64_t page;
} topic;

static void publish(world *w, topic *k, const fr_batch *b)
{
    uint64_t page = k->page;
    for (size_t i = 0; i < b->count; i++) {
        const fr_value *v = b->events[i].after.values;
        int64_t aggregate = v[1].integer, n = v[2].integer;
        k->twice += n <= k->last[aggregate];
        k->disordered += n > k->last[aggregate] + 1;
        k->last[aggregate] = n > k->last[aggregate] ? n : k->last[aggregate];
        k->published++;
        k->back += b->events[i].position.lsn < page;
        page = b->events[i].position.lsn;
        for (size_t r = 0; r < w->count; r++)
            if (w->rows[r].aggregate == aggregate && w->rows[r].n == n && w->rows[r].state != NEVER)
                w->rows[r].published++;
    }
    k->page = page;
    k->record = fr_arena_str(k->arena, b->progress);
}

typedef struct how {
    int64_t batch;
    bool dies, forgets; /* forgets: its record, when it dies */
} how;

/* Batches that are not committed yet. */
typedef struct held {
    fr_batch *items[64];
    size_t count;
} held;

static void commit(world *w, topic *k, held *h)
{
    for (size_t i = 0; i < h->count; i++) {
        publish(w, k, h->items[i]);
        fr_batch_free(h->items[i]);
    }
    h->count = 0;
}

static void drop(held *h)
{
    for (size_t i = 0; i < h->count; i++)
        fr_batch_free(h->items[i]);
    h->count = 0;
}

/* It takes a while until it is started again. */
static void meanwhile(world *w)
{
    for (unsigned i = w->restarts ? roll(w, 60) : 0; i > 0; i--)
        step(w);
}

static fr_drain *again(fr_drain *d, const fr_table_settings *t, const topic *k, bool forgets)
{
    fr_drain_free(d);
    return fr_drain_new(&source, t, FR_STR("public"), FR_STR("t"), forgets ? FR_STR("") : k->record,
                        0);
}

/* Until all is committed and the table is empty, or nothing moves any more. False: it failed for
 * good. */
static bool drain_all(world *w, const how *as, topic *k, fr_err *err)
{
    fr_table_settings t = outbox(as->batch);
    held h = {0};
    bool good = true;
    *k = (topic){.arena = fr_arena_new(0), .record = FR_STR("")};
    fr_drain *d = again(NULL, &t, k, false);
    for (int quiet = 0; good && quiet < 20;) {
        fr_batch *b = fr_batch_new(8, 1 << 20);
        fr_rc rc = fr_drain_fill(d, &w->base, b, fr_now_us() + 1000000, err);
        if (rc == FR_OK)
            h.items[h.count++] = b;
        else
            fr_batch_free(b);
        steps(w);
        if (rc == FR_FAIL || (as->dies && roll(w, 15) == 0)) {
            good = rc != FR_FAIL || err->kind == FR_ERR_CONNECT;
            drop(&h);
            meanwhile(w);
            d = again(d, &t, k, as->forgets);
        } else if (fr_drain_waits(d) || rc == FR_END || h.count == 60 || roll(w, 3) == 0) {
            commit(w, k, &h);
            if (as->dies && roll(w, 15) == 0) {
                meanwhile(w);
                d = again(d, &t, k, as->forgets);
            }
        }
        quiet = rc == FR_END && w->count >= TARGET ? quiet + 1 : 0;
        for (int64_t a = 0; quiet > 0 && a < AGGREGATES; a++)
            end(w, a, true);
        w->fails = w->fails && w->count < TARGET;
    }
    drop(&h);
    fr_drain_free(d);
    return good;
}

static size_t missed(const world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++)
        n += (w->rows[i].state == VISIBLE || w->rows[i].state == GONE) && w->rows[i].published == 0;
    return n;
}

static void all_is_well(bool fail, bool dies, bool restarts, bool others)
{
    for (unsigned seed = 1; seed <= 12; seed++) {
        world *w = world_new(seed);
        topic k;
        fr_err err;
        w->fails = fail;
        w->restarts = restarts;
        w->others = others;
        static const int64_t batches[] = {1, 7, 50, 5000};
        if (!drain_all(w, &(how){.batch = batches[seed % 4], .dies = dies}, &k, &err))
            fail_msg("seed %u: %s", seed, err.text);
        size_t none = missed(w);
        if (none + k.twice + k.disordered + k.back > 0 || !is_empty(w))
            fail_msg("seed %u: of %zu published %zu twice, %zu out of order; %zu missed", seed,
                     k.published, k.twice, k.disordered, none);
        assert_true(k.published > 300);
        assert_non_null(strstr(fr_arena_cstr(k.arena, k.record), "\"pending\":[]"));
        fr_arena_free(k.arena);
        world_free(w);
    }
}

static void each_once_and_in_order(void **state)
{
    (void)state;
    all_is_well(false, false, false, false);
}

static void with_failures(void **state)
{
    (void)state;
    all_is_well(true, false, false, false);
}

static void killed(void **state)
{
    (void)state;
    all_is_well(false, true, false, false);
}

static void all_at_once(void **state)
{
    (void)state;
    all_is_well(true, true, true, true);
}

/* ---- controls ---- */

static void a_record_that_is_lost_is_seen(void **state)
{
    (void)state;
    size_t twice = 0;
    for (unsigned seed = 1; seed <= 6; seed++) {
        world *w = world_new(seed);
        topic k;
        fr_err err;
        assert_true(drain_all(w, &(how){.batch = 50, .dies = true, .forgets = true}, &k, &err));
        twice += k.twice;
        fr_arena_free(k.arena);
        world_free(w);
    }
    assert_true(twice > 0);
}

/* Without the sums a row that has an old one's id is deleted unpublished. */
static void rows_that_are_not_compared_are_seen(void **state)
{
    (void)state;
    size_t none = 0;
    for (unsigned seed = 1; seed <= 30; seed++) {
        world *w = world_new(seed);
        topic k;
        fr_err err;
        w->restarts = w->blind = w->fails = true;
        (void)drain_all(w, &(how){.batch = 50, .dies = true}, &k, &err);
        none += missed(w);
        fr_arena_free(k.arena);
        world_free(w);
    }
    assert_true(none > 0);
}

/* ---- one by one ---- */

/* b is reset; the drain reads until it waits or is through. */
static fr_rc drain_once(fr_drain *d, world *w, fr_batch *b, fr_err *err)
{
    fr_rc rc = FR_OK;
    fr_batch_reset(b);
    while (rc == FR_OK)
        rc = fr_drain_fill(d, &w->base, b, INT64_MAX, err);
    return rc;
}

static void rows_that_do_not_go(void **state)
{
    (void)state;
    world *w = world_new(3);
    fr_table_settings t = outbox(50);
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    w->quiet = w->hides = true;
    insert(w, 0, 1);
    end(w, 0, true);
    fr_drain *d = again(NULL, &t, &(topic){.record = FR_STR("")}, false);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_int_equal(drain_once(d, w, b, &err), FR_FAIL);
    assert_string_equal(err.code, "outbox.not_deleted");
    assert_int_equal(err.kind, FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "(one of them has the id 1)"));
    assert_int_equal(w->takes, 3);
    fr_drain_free(d);
    fr_batch_free(b);
    world_free(w);
}

static void an_id_that_is_used_again(void **state)
{
    (void)state;
    world *w = world_new(1);
    fr_table_settings t = outbox(50);
    fr_batch *b = fr_batch_new(100, 1 << 20);
    topic k = {.arena = fr_arena_new(0), .record = FR_STR("")};
    fr_err err;
    w->quiet = true;
    insert(w, 0, 1);
    insert(w, 0, 2);
    end(w, 0, true);
    fr_drain *d = again(NULL, &t, &k, false);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_int_equal(b->count, 2);
    publish(w, &k, b);
    w->rows[1].state = GONE; /* and a new row has its id, before the old one was deleted */
    w->next_id = 2;
    insert(w, 0, 3);
    end(w, 0, true);
    d = again(d, &t, &k, false);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->events[0].after.values[2].integer, 3);
    publish(w, &k, b);
    assert_int_equal(w->rows[0].state, GONE);
    assert_int_equal(w->rows[2].state, VISIBLE);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_true(is_empty(w));
    assert_int_equal(b->count, 0);
    /* Once: that nothing is pending is recorded with the next round. */
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_int_equal(b->count, 0);
    assert_non_null(strstr(fr_arena_cstr(k.arena, b->progress), "\"pending\":[]"));
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    assert_int_equal(b->progress.len, 0);
    fr_drain_free(d);
    fr_batch_free(b);
    fr_arena_free(k.arena);
    world_free(w);
}

/* Another row is deleted with each one that was published: it is said, and not tried for ever. */
static void ids_that_the_server_calls_equal(void **state)
{
    (void)state;
    world *w = world_new(1);
    fr_table_settings t = outbox(50);
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    w->quiet = w->folds = true;
    insert(w, 0, 1);
    end(w, 0, true);
    fr_drain *d = again(NULL, &t, &(topic){.record = FR_STR("")}, false);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    w->rows[0].state = GONE;
    w->next_id = 1001;
    insert(w, 0, 2);
    end(w, 0, true);
    assert_int_equal(drain_once(d, w, b, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_string_equal(err.code, "outbox.id");
    assert_non_null(strstr(err.text, "a row has the id 1001"));
    assert_int_equal(w->takes, 1);
    assert_int_equal(w->rows[1].state, VISIBLE);
    fr_drain_free(d);
    fr_batch_free(b);
    world_free(w);
}

static void a_stop_while_rows_are_deleted(void **state)
{
    (void)state;
    world *w = world_new(1);
    fr_table_settings t = outbox(50);
    fr_batch *b = fr_batch_new(100, 1 << 20);
    atomic_bool stop = true;
    fr_err err;
    w->quiet = true;
    insert(w, 0, 1);
    end(w, 0, true);
    fr_drain *d = again(NULL, &t, &(topic){.record = FR_STR("")}, false);
    assert_int_equal(drain_once(d, w, b, &err), FR_END);
    fr_cancel_by(&stop);
    assert_int_equal(drain_once(d, w, b, &err), FR_FAIL);
    fr_cancel_by(NULL);
    assert_int_equal(err.kind, FR_ERR_CANCELLED);
    assert_int_equal(w->takes, 0);
    fr_drain_free(d);
    fr_batch_free(b);
    world_free(w);
}

/* More rows than the record may name: the page ends where it is full, and nothing is lost. */
static void a_page_that_is_too_long(void **state)
{
    (void)state;
    world *w = world_new(1);
    fr_table_settings t = outbox(1000000);
    fr_batch *b = fr_batch_new(ROWS, 16 << 20);
    topic k = {.arena = fr_arena_new(0), .record = FR_STR("")};
    fr_err err;
    size_t pages = 0;
    w->quiet = true;
    w->next_id = INT64_MAX / 2;
    for (int i = 0; i < ROWS - 1; i++)
        insert(w, 0, i + 1);
    end(w, 0, true);
    fr_drain *d = again(NULL, &t, &k, false);
    for (; pages < 50 && !is_empty(w); pages++) {
        assert_int_equal(drain_once(d, w, b, &err), FR_END);
        if (b->count > 0)
            publish(w, &k, b);
        assert_true(k.record.len < 1000000);
    }
    assert_int_equal(k.published, ROWS - 1);
    assert_int_equal(k.twice + k.disordered, 0);
    fr_drain_free(d);
    fr_batch_free(b);
    fr_arena_free(k.arena);
    world_free(w);
}

static void refuse(world *w, const fr_table_settings *t, const char *code)
{
    fr_batch *b = fr_batch_new(10, 1 << 20);
    fr_err err = {0};
    fr_drain *d = again(NULL, t, &(topic){.record = FR_STR("")}, false);
    assert_int_equal(fr_drain_fill(d, &w->base, b, INT64_MAX, &err), FR_FAIL);
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.text, "a.yaml:7"));
    fr_drain_free(d);
    fr_batch_free(b);
}

static void what_is_refused(void **state)
{
    (void)state;
    world *w = world_new(1);
    fr_table_settings t = outbox(50);
    w->quiet = true;
    w->view = true;
    refuse(w, &t, "outbox.table");
    w->view = false;
    w->forbidden = true;
    refuse(w, &t, "outbox.delete_grant");
    w->forbidden = false;
    t.outbox.id = "nope";
    refuse(w, &t, "poll.column");
    t.outbox.id = "n";
    refuse(w, &t, "outbox.id"); /* shared */
    t.outbox.id = "id";
    fr_table_unref(w->table);
    w->table = table_of(FR_INT64, true);
    refuse(w, &t, "outbox.id");
    fr_table_unref(w->table);
    w->table = table_of(FR_UUID, false);
    refuse(w, &t, "outbox.order");
    t.poll_column = "id";
    refuse(w, &t, "poll.column");
    fr_table_unref(w->table);
    w->table = table_of(FR_FLOAT64, false);
    refuse(w, &t, "outbox.id");
    world_free(w);
}

int main(void)
{
    fr_log_setup(FR_LOG_ERROR, FR_LOG_LOGFMT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_and_in_order),
        cmocka_unit_test(with_failures),
        cmocka_unit_test(killed),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(a_record_that_is_lost_is_seen),
        cmocka_unit_test(rows_that_are_not_compared_are_seen),
        cmocka_unit_test(rows_that_do_not_go),
        cmocka_unit_test(an_id_that_is_used_again),
        cmocka_unit_test(a_page_that_is_too_long),
        cmocka_unit_test(ids_that_the_server_calls_equal),
        cmocka_unit_test(a_stop_while_rows_are_deleted),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
