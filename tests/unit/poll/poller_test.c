/* The poller against a server that exists only here: transactions begin, take a number and a time,
 * and commit or roll back in any order, also between the poller's question who is open and its
 * SELECT. Whatever was committed must come exactly once; with a server that lies, some must not. */
#include "base/clock.h"
#include "poll/poll.h"
#include "poll/record.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after stdarg.h and setjmp.h */
#include <cmocka.h>

enum { MOST = 1600, SECOND = 1000000, TABLE_ID = 0, TABLE_AT = 1 };

typedef enum { OPEN, PREPARED, COMMITTED, ROLLED_BACK } tx_state;

typedef struct tx {
    int64_t start_us, prepared_us, id;
    tx_state state;
} tx;

typedef struct world {
    fr_sql base;
    int64_t now_us, next_id;
    tx txs[MOST];
    size_t count, target;
    unsigned seed;
    bool lies;     /* who is open is not told */
    bool prepares; /* some are prepared first */
    unsigned slow; /* one of so many stays open for long */
    bool hurries;  /* at each look somebody is prepared who was not at the one before */
    bool frozen;   /* nobody ends */
    bool refuses;  /* its columns are others at each SELECT, as it seems */
    bool statement, shared, ahead, changed; /* what the relation is; its columns are others now */
    int64_t slow_us;                        /* so long it takes to answer who is open */
    const fr_table *table;
    int states, selects, described;
    fr_sql_state last;
    int64_t asked_us;
} world;

static unsigned roll(world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

/* One thing happens. */
static void step(world *w)
{
    w->now_us += 1 + (int64_t)roll(w, 40000);
    if (w->count < w->target && roll(w, 2) == 0) {
        w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = OPEN};
        return;
    }
    if (w->count == 0 || w->frozen)
        return;
    tx *t = &w->txs[w->count - 1 - roll(w, w->count < 40 ? (unsigned)w->count : 40)];
    if (t->state == OPEN && w->slow > 0 && t->id % w->slow == 0 &&
        w->now_us - t->start_us < 9 * (int64_t)SECOND && w->count < w->target)
        return;
    if (t->state == OPEN && w->prepares && roll(w, 4) == 0) {
        t->state = PREPARED;
        t->prepared_us = w->now_us;
    } else if (t->state <= PREPARED) {
        t->state = roll(w, 10) < 3 ? ROLLED_BACK : COMMITTED;
    }
}

static void steps(world *w, unsigned n)
{
    for (unsigned i = roll(w, n + 1); i > 0; i--)
        step(w);
}

static void end_all(world *w)
{
    while (w->count < w->target)
        step(w);
    for (size_t i = 0; i < w->count; i++)
        if (w->txs[i].state <= PREPARED)
            w->txs[i].state = roll(w, 10) < 3 ? ROLLED_BACK : COMMITTED;
}

/* ---- its SQL ---- */

typedef struct relation {
    fr_sql_relation base;
} relation;

static const int64_t units[] = {0, 1};
static const bool indexed[] = {true, true}, unique[] = {true, false}, shared[2];
static const fr_str sequences[] = {FR_STR("public.t_id_seq"), {NULL, 0}};

static fr_rc w_describe(fr_sql *c, const fr_table_settings *t, fr_str space, fr_str name,
                        uint32_t version, fr_sql_relation **out, fr_err *err)
{
    world *w = (world *)c;
    (void)t, (void)space, (void)name, (void)version, (void)err;
    w->described++;
    relation *r = fr_malloc(sizeof(*r));
    r->base =
        (fr_sql_relation){.table = w->statement ? fr_table_new(w->table) : fr_table_ref(w->table),
                          .unit_us = units,
                          .indexed = indexed,
                          .statement = w->statement,
                          .plain_table = !w->statement,
                          .unique = w->shared ? shared : unique,
                          .ahead = w->ahead ? sequences : NULL};
    *out = &r->base;
    return FR_OK;
}

static void w_forget(fr_sql_relation *r)
{
    fr_table_unref(r->table);
    free(r);
}

static fr_rc w_state(fr_sql *c, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    world *w = (world *)c;
    (void)err;
    int64_t before_us = w->last.now_us;
    w->states++;
    if (w->slow_us > 0)
        fr_sleep_us(w->slow_us);
    steps(w, 6);
    *out = (fr_sql_state){.now_us = w->now_us,
                          .listed_us = w->now_us,
                          .oldest_us = INT64_MAX,
                          .prepared_us = INT64_MAX};
    for (size_t i = 0; i < w->count && !w->lies; i++) {
        const tx *t = &w->txs[i];
        if (t->state == OPEN && t->start_us < out->oldest_us) {
            out->oldest_us = t->start_us;
            out->oldest_who = fr_arena_printf(a, "transaction %" PRId64, t->id);
        }
        if (t->state == PREPARED && t->prepared_us < out->prepared_us)
            out->prepared_us = t->prepared_us;
    }
    if (w->hurries && before_us > 0 && before_us < w->now_us)
        out->prepared_us = before_us + 1;
    steps(w, 6);
    return FR_OK;
}

/* As the driver does it: now and then what was asked before. */
static fr_rc look(void *context, fr_sql *c, fr_arena *a, fr_sql_state *out, int64_t *asked_us_out,
                  fr_err *err)
{
    world *w = context;
    if (w->asked_us == 0 || roll(w, 3) > 0) {
        w->asked_us = fr_now_us();
        if (w_state(c, a, &w->last, err) == FR_FAIL)
            return FR_FAIL;
        w->last.oldest_who = FR_STR("somebody");
    }
    *out = w->last;
    *asked_us_out = w->asked_us;
    return FR_OK;
}

typedef struct reader {
    fr_reader base;
    const fr_table *table;
    int64_t rows[MOST][2];
    size_t count, next, limit;
} reader;

static fr_rc r_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    reader *r = (reader *)base;
    (void)deadline_us, (void)err;
    size_t before = b->count;
    for (; r->next < r->count && !fr_batch_full(b); r->next++) {
        fr_event *e = fr_batch_add(b, FR_OP_READ, r->table);
        fr_value *v = fr_batch_row(b, r->table, &e->after);
        v[TABLE_ID] = (fr_value){.kind = FR_INT64, .integer = r->rows[r->next][0]};
        v[TABLE_AT] = (fr_value){.kind = FR_TIMESTAMP, .integer = r->rows[r->next][1]};
    }
    return b->count > before ? FR_OK : FR_END;
}

static void r_interrupt(fr_reader *base)
{
    (void)base;
}

static void r_close(fr_reader *base)
{
    free(base);
}

static const fr_reader_ops reader_ops = {
    .fill = r_fill, .interrupt = r_interrupt, .close = r_close};

/* The few forms that order.c writes, as what they take. */
typedef struct condition {
    bool by_time;
    int64_t after_at, after_id, bound;
    int64_t ranges[1024][2];
    size_t count;
} condition;

static void add_range(condition *c, int64_t from, int64_t to)
{
    assert_true(c->count < sizeof(c->ranges) / sizeof(c->ranges[0]));
    c->ranges[c->count][0] = from;
    c->ranges[c->count++][1] = to;
}

static void read_times(const char *where, condition *c)
{
    int64_t t1, t2;
    c->after_at = c->after_id = INT64_MIN;
    if (sscanf(where,
               "\"at\" >= %" SCNd64 " AND (\"at\" > %" SCNd64 " OR (\"at\" = %" SCNd64
               " AND \"id\" > %" SCNd64 ")) AND \"at\" < %" SCNd64,
               &t1, &t2, &c->after_at, &c->after_id, &c->bound) == 5) {
        assert_true(t1 == t2 && t2 == c->after_at);
    } else if (sscanf(where, "\"at\" > %" SCNd64 " AND \"at\" < %" SCNd64, &c->after_at,
                      &c->bound) == 2) {
        c->after_id = INT64_MAX;
    } else {
        assert_int_equal(sscanf(where, "\"at\" IS NOT NULL AND \"at\" < %" SCNd64, &c->bound), 1);
    }
}

static void read_numbers(const char *p, condition *c)
{
    int64_t from, to;
    if (strncmp(p, "\"id\" IS NOT NULL", 16) == 0) {
        add_range(c, INT64_MIN, INT64_MAX);
        return;
    }
    if (sscanf(p, "\"id\" > %" SCNd64, &from) == 1) {
        add_range(c, from + 1, INT64_MAX);
        return;
    }
    for (p = strchr(p, '('); p != NULL;
         p = strstr(p, " OR ") == NULL ? NULL : strstr(p, " OR ") + 3) {
        if (sscanf(p + 1, "\"id\" = %" SCNd64, &from) == 1)
            add_range(c, from, from);
        else if (sscanf(p + 1, "\"id\" <= %" SCNd64, &to) == 1)
            add_range(c, INT64_MIN, to);
        else if (sscanf(p + 1, "\"id\" BETWEEN %" SCNd64 " AND %" SCNd64, &from, &to) == 2)
            add_range(c, from, to);
        else
            fail_msg("%s", p);
    }
}

static void read_condition(const char *sql, condition *c)
{
    const char *where = strstr(sql, "WHERE ") + 6;
    c->count = 0;
    c->by_time = strstr(sql, "ORDER BY \"at\"") != NULL;
    if (c->by_time)
        read_times(where, c);
    else
        read_numbers(where, c);
}

static bool takes(const condition *c, int64_t id, int64_t at)
{
    if (c->by_time)
        return (at > c->after_at || (at == c->after_at && id > c->after_id)) && at < c->bound;
    for (size_t i = 0; i < c->count; i++)
        if (id >= c->ranges[i][0] && id <= c->ranges[i][1])
            return true;
    return false;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return x[1] != y[1] ? (x[1] < y[1] ? -1 : 1) : x[0] < y[0] ? -1 : x[0] > y[0];
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

static fr_rc w_select(fr_sql *c, fr_sql_relation *rel, fr_str sql, fr_reader **out, fr_err *err)
{
    world *w = (world *)c;
    (void)rel, (void)err;
    reader *r = fr_malloc(sizeof(*r));
    fr_arena *a = fr_arena_new(0);
    const char *text = fr_arena_cstr(a, sql), *limit = strstr(text, " LIMIT ");
    condition where;
    r->base.ops = &reader_ops;
    r->table = w->table;
    w->selects++;
    if (w->changed || w->refuses) {
        w->changed = false;
        free(r);
        fr_arena_free(a);
        if (w->refuses)
            fr_fail(err, FR_ERR_CONFIG, "column nope does not exist");
        else
            fr_fail(err, FR_ERR_BUSY, "its columns have changed");
        return fr_fail_code(err, "sql.changed");
    }
    read_condition(text, &where);
    for (size_t i = 0; i < w->count; i++)
        if (w->txs[i].state == COMMITTED && takes(&where, w->txs[i].id, w->txs[i].start_us)) {
            r->rows[r->count][0] = w->txs[i].id;
            r->rows[r->count++][1] = w->txs[i].start_us;
        }
    qsort(r->rows, r->count, sizeof(r->rows[0]), where.by_time ? by_time : by_id);
    if (limit != NULL && (size_t)atoi(limit + 7) < r->count)
        r->count = (size_t)atoi(limit + 7);
    fr_arena_free(a);
    steps(w, 6);
    *out = &r->base;
    return FR_OK;
}

static fr_rc w_scalar(fr_sql *c, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    world *w = (world *)c;
    int64_t highest = -1;
    (void)sql, (void)err;
    for (size_t i = 0; i < w->count; i++)
        if (w->txs[i].state == COMMITTED && w->txs[i].id > highest)
            highest = w->txs[i].id;
    *out = fr_arena_printf(a, "%" PRId64, highest);
    return FR_OK;
}

static void w_put_ident(fr_buf *b, fr_str name)
{
    fr_buf_printf(b, "\"%.*s\"", FR_ARG(name));
}

static void w_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    w_put_ident(b, r->table->columns[column].name);
}

static void w_put_from(fr_buf *b, const fr_sql_relation *r)
{
    (void)r;
    fr_buf_text(b, "t");
}

static bool w_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    (void)r, (void)column;
    fr_buf_str(b, text);
    return true;
}

static fr_str w_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    (void)r, (void)column;
    return fr_arena_printf(a, "%" PRId64, v->integer);
}

static void w_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    (void)r, (void)column;
    fr_buf_printf(b, "%" PRId64, us);
}

static const fr_sql_ops world_ops = {.name = "world",
                                     .describe = w_describe,
                                     .forget = w_forget,
                                     .state = w_state,
                                     .select = w_select,
                                     .scalar = w_scalar,
                                     .put_ident = w_put_ident,
                                     .put_column = w_put_column,
                                     .put_from = w_put_from,
                                     .put_value = w_put_value,
                                     .text = w_text,
                                     .put_time = w_put_time};

static world *world_new(unsigned seed, size_t target)
{
    world *w = fr_malloc(sizeof(*w));
    fr_column columns[] = {{.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
                           {.name = FR_STR("at"), .kind = FR_TIMESTAMP}};
    fr_table like = {
        .space = FR_STR("public"), .name = FR_STR("t"), .column_count = 2, .columns = columns};
    w->base.ops = &world_ops;
    w->now_us = 1700000000 * (int64_t)SECOND;
    w->next_id = 1;
    w->seed = seed;
    w->target = target;
    w->table = fr_table_new(&like);
    return w;
}

static void world_free(world *w)
{
    fr_table_unref(w->table);
    free(w);
}

/* ---- a run ---- */

typedef struct run {
    const char *column;
    bool kills; /* now and then the poller begins again from its last record */
    int64_t batch;
} run;

typedef struct tally {
    unsigned seen[MOST + 1];
    size_t committed, missed, twice, unknown;
    uint64_t gaps;
} tally;

static void take_events(const fr_batch *b, tally *t, uint64_t *page, int64_t *ordinal)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        int64_t id = e->after.values[TABLE_ID].integer;
        assert_in_range(id, 1, MOST);
        t->seen[id]++;
        if (e->position.lsn == *page)
            assert_true((int64_t)e->position.ordinal > *ordinal);
        else
            assert_true(e->position.lsn > *page);
        *page = e->position.lsn;
        *ordinal = e->position.ordinal;
    }
}

/* Polls until nobody is open any more and nothing comes, and counts. */
static void poll_all(world *w, const run *how, tally *out)
{
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {
        .pattern = "public.t", .poll_column = how->column, .poll_batch = how->batch};
    fr_arena *kept = fr_arena_new(0);
    fr_str record = {"", 0};
    fr_batch *b = fr_batch_new(16, 1 << 20);
    fr_err err;
    uint64_t page = 0;
    int64_t ordinal = -1;
    memset(out, 0, sizeof(*out));
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), record, 0, look, w);
    for (int quiet = 0; quiet < 12;) {
        fr_batch_reset(b);
        fr_rc rc = fr_poller_fill(p, &w->base, b, fr_now_us() + SECOND, &err);
        if (rc == FR_FAIL)
            fail_msg("%s", err.text);
        if (rc == FR_OK && how->kills && roll(w, 9) == 0) { /* before it was committed */
            fr_poller_free(p);
            p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), record, 0, look,
                              w);
            continue;
        }
        if (rc == FR_OK) {
            take_events(b, out, &page, &ordinal);
            assert_true(b->progress.len > 0);
            record = fr_arena_str(kept, b->progress);
        }
        steps(w, 6);
        if (rc == FR_END && w->count == w->target) {
            end_all(w);
            w->now_us += SECOND;
            quiet++;
        }
    }
    fr_poller_status s;
    fr_poller_status_of(p, &s);
    out->gaps = s.gaps;
    fr_poller_free(p);
    fr_batch_free(b);
    fr_arena_free(kept);
    for (size_t i = 0; i < w->count; i++) {
        unsigned n = out->seen[w->txs[i].id];
        bool committed = w->txs[i].state == COMMITTED;
        out->committed += committed;
        out->missed += committed && n == 0;
        out->twice += n > 1;
        out->unknown += !committed && n > 0;
    }
}

static void nothing_is_missed(const char *column, bool prepares, bool kills)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        world *w = world_new(seed, seed % 3 == 0 ? 1500 : 300);
        tally t;
        w->prepares = prepares;
        w->slow = seed % 2 == 0 ? 50 : 0;
        poll_all(w, &(run){.column = column, .kills = kills, .batch = seed % 4 == 0 ? 1 : 50}, &t);
        if (t.missed + t.twice + t.unknown > 0)
            fail_msg("seed %u: of %zu committed %zu missed, %zu twice, %zu were not committed",
                     seed, t.committed, t.missed, t.twice, t.unknown);
        assert_true(t.committed > 50);
        assert_int_equal(t.gaps, 0);
        world_free(w);
    }
}

static void by_time_nothing_is_missed(void **state)
{
    (void)state;
    nothing_is_missed("at", false, false);
}

static void by_time_with_prepared(void **state)
{
    (void)state;
    nothing_is_missed("at", true, false);
}

static void by_time_killed(void **state)
{
    (void)state;
    nothing_is_missed("at", true, true);
}

static void by_number_nothing_is_missed(void **state)
{
    (void)state;
    nothing_is_missed("id", false, false);
}

static void by_number_with_prepared(void **state)
{
    (void)state;
    nothing_is_missed("id", true, false);
}

static void by_number_killed(void **state)
{
    (void)state;
    nothing_is_missed("id", true, true);
}

/* The control: the same run with a server that never says who is open. */
static void a_lie_is_found(void **state)
{
    (void)state;
    static const char *const columns[] = {"at", "id"};
    for (size_t i = 0; i < 2; i++) {
        size_t missed = 0;
        for (unsigned seed = 1; seed <= 6; seed++) {
            world *w = world_new(seed, 700);
            tally t;
            w->lies = true;
            w->slow = 7;
            poll_all(w, &(run){.column = columns[i], .batch = 50}, &t);
            missed += t.missed;
            world_free(w);
        }
        assert_true(missed > 0);
    }
}

/* ---- a clock that goes back ---- */

static void a_clock_that_goes_back(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "at", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    for (int i = 0; i < 10; i++) {
        w->now_us += SECOND;
        w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
    }
    w->target = w->count;
    w->now_us += 5 * (int64_t)SECOND;
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_OK);
    assert_int_equal(b->count, 10);
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_END);
    w->now_us -= 3600 * (int64_t)SECOND;
    w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
    w->target = w->count;
    w->now_us += 5 * (int64_t)SECOND;
    fr_batch_reset(b);
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_OK);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->events[0].after.values[TABLE_ID].integer, 11);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
}

/* A server that takes seconds to say who is open is no server whose clock went back. */
static void a_slow_answer_is_no_clock_that_goes_back(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "at", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    w->txs[w->count++] = (tx){.start_us = w->now_us - SECOND, .id = w->next_id++};
    w->txs[0].state = COMMITTED;
    w->target = w->count;
    w->now_us += SECOND;
    w->slow_us = 1500000;
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_OK);
    assert_int_equal(b->count, 1);
    w->slow_us = 0;
    w->asked_us = 0;
    fr_batch_reset(b);
    for (fr_rc rc = FR_OK; rc == FR_OK;)
        rc = fr_poller_fill(p, &w->base, b, INT64_MAX, &err);
    assert_int_equal(b->count, 0);
    w->asked_us = 0;
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_END);
    assert_int_equal(b->count, 0);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
}

/* ---- prepared transactions, one after the other ---- */

/* At no look is nobody prepared, and still everything that is final comes, and gaps close. */
static void prepared_ones_that_take_turns(void **state)
{
    (void)state;
    static const char *const columns[] = {"at", "id"};
    for (size_t i = 0; i < 2; i++) {
        world *w = world_new(5, 300);
        tally t;
        w->hurries = true;
        poll_all(w, &(run){.column = columns[i], .batch = 50}, &t);
        if (t.missed + t.twice + t.unknown + t.gaps > 0)
            fail_msg("by %s: %zu missed, %zu twice, %zu were not committed, %" PRIu64 " gaps",
                     columns[i], t.missed, t.twice, t.unknown, t.gaps);
        assert_true(t.committed > 50);
        world_free(w);
    }
}

/* ---- columns that change, statements, and for whom is waited ---- */

static fr_rc poll_once(fr_poller *p, world *w, fr_batch *b, fr_err *err)
{
    fr_rc rc = FR_OK;
    w->asked_us = 0;
    while (rc == FR_OK)
        rc = fr_poller_fill(p, &w->base, b, INT64_MAX, err);
    return rc;
}

static void an_order_that_changes(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "at", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
    w->target = w->count;
    w->now_us += 5 * (int64_t)SECOND;
    assert_int_equal(poll_once(p, w, b, &err), FR_END);
    assert_int_equal(b->count, 1);
    fr_column columns[] = {{.name = FR_STR("id2"), .kind = FR_INT64, .key_ordinal = 1},
                           {.name = FR_STR("at"), .kind = FR_TIMESTAMP}};
    fr_table other = {
        .space = FR_STR("public"), .name = FR_STR("t"), .column_count = 2, .columns = columns};
    fr_table_unref(w->table);
    w->table = fr_table_new(&other);
    w->changed = true;
    w->now_us += 5 * (int64_t)SECOND;
    fr_batch_reset(b);
    assert_int_equal(poll_once(p, w, b, &err), FR_FAIL);
    assert_string_equal(err.code, "poll.order");
    assert_non_null(strstr(err.text, "(at, id) so far, and now (at, id2)"));
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
}

/* Described again once, and not for ever: by another statement nothing is better. */
static void a_statement_that_is_never_taken(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t",
                                  .poll_column = "at",
                                  .poll_batch = 50,
                                  .snapshot_where = "nope",
                                  .place = "a.yaml:7"};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    w->refuses = true;
    assert_int_equal(poll_once(p, w, b, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_CONFIG);
    assert_string_equal(err.code, "poll.where");
    assert_string_equal(err.text, "column nope does not exist");
    assert_string_equal(err.hint, "correct snapshot.where (a.yaml:7)");
    assert_int_equal(w->selects, 2);
    assert_int_equal(w->described, 2);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
}

/* It is looked at each time, but its table is another one only if its columns are: what is made
 * for each table would pile up. */
static void a_statement_keeps_its_table(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "at", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    const fr_table *first = NULL;
    const char *keys[] = {"id"};
    settings.key = (fr_texts){keys, 1};
    w->statement = true;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    for (int i = 0; i < 3; i++) {
        w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
        w->target = w->count;
        w->now_us += 5 * (int64_t)SECOND;
        fr_batch_reset(b);
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        assert_int_equal(b->count, 1);
        if (i == 0)
            first = fr_table_ref(b->events[0].table);
        assert_ptr_equal(b->events[0].table, first);
    }
    assert_true(w->described >= 3);
    fr_poller_free(p);
    fr_batch_free(b);
    fr_table_unref(first);
    world_free(w);
}

/* By time and by number, and from the first poll on. */
static void for_whom_is_waited(void **state)
{
    (void)state;
    static const char *const columns[] = {"at", "id"};
    for (size_t i = 0; i < 2; i++) {
        world *w = world_new(1, 0);
        fr_source_settings source = {.name = "s"};
        fr_table_settings settings = {
            .pattern = "public.t", .poll_column = columns[i], .poll_batch = 50};
        fr_batch *b = fr_batch_new(100, 1 << 20);
        fr_poller_status s;
        fr_err err;
        w->frozen = true;
        fr_poller *p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""),
                                     0, look, w);
        fr_poller_status_of(p, &s);
        assert_true(s.behind_us == -1 && s.waits == NULL);
        w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = PREPARED};
        w->txs[0].prepared_us = w->now_us;
        w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
        w->target = w->count;
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        w->now_us += SECOND;
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        w->now_us += 100 * (int64_t)SECOND;
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        fr_poller_status_of(p, &s);
        assert_true(s.behind_us >= 100 * (int64_t)SECOND);
        assert_non_null(s.waits);
        assert_non_null(strstr(s.waits, "a prepared transaction"));
        fr_poller_free(p);
        fr_batch_free(b);
        world_free(w);
    }
}

/* ---- what is refused ---- */

static void refuse_of(world *w, const fr_table_settings *settings, const char *record,
                      const char *code)
{
    fr_source_settings source = {.name = "s"};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p = fr_poller_new(&source, settings, FR_STR("public"), FR_STR("t"), fr_cstr(record),
                                 0, look, w);
    assert_int_equal(fr_poller_fill(p, &w->base, b, INT64_MAX, &err), FR_FAIL);
    assert_string_equal(err.code, code);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
}

static void refuse(const fr_table_settings *settings, const char *record, const char *code)
{
    refuse_of(world_new(1, 0), settings, record, code);
}

static void what_cannot_be_polled(void **state)
{
    (void)state;
    fr_table_settings t = {.pattern = "public.t", .poll_batch = 50};
    refuse(&t, "", "poll.column");
    t.poll_column = "nope";
    refuse(&t, "", "poll.column");
    t.poll_column = "at";
    t.poll_tiebreak = "nope";
    refuse(&t, "", "poll.column");
    t.poll_tiebreak = NULL;
    t.poll_deletes = 1;
    refuse(&t, "", "poll.delete_column");
    t.poll_deletes = 0;
    t.poll_deletes = 1;
    t.poll_delete_column = "nope";
    refuse(&t, "", "poll.column");
    t.poll_deletes = 0;
    refuse(&t, "{\"v\":1,\"page\":1,\"order\":[\"id\"],\"at\":[\"5\"]}", "poll.order");
    refuse(&t, "{\"v\":1,\"page\":-1,\"order\":[\"at\",\"id\"],\"at\":[]}", "checkpoint.record");
    refuse(&t, "{\"v\":1,\"page\":1,\"order\":[\"at\",\"id\"],\"at\":[1]}", "checkpoint.record");
    refuse(&t, "{\"v\":1,\"page\":1,\"order\":[\"at\",\"id\"],\"at\":[],\"gaps\":[[5,1,0]]}",
           "checkpoint.record");
}

/* Numbers that lose rows: shared ones, and those that are taken long before they are used. */
static void which_numbers_cannot_be_polled(void **state)
{
    (void)state;
    const char *keys[] = {"id"};
    fr_table_settings t = {.pattern = "public.t", .poll_column = "id", .poll_batch = 50};
    world *w = world_new(1, 0);
    w->shared = true;
    refuse_of(w, &t, "", "poll.not_unique");
    w = world_new(1, 0);
    w->ahead = true;
    refuse_of(w, &t, "", "poll.sequence");
    t.key = (fr_texts){keys, 1}; /* said to be unique, but still taken ahead */
    w = world_new(1, 0);
    w->shared = w->ahead = true;
    refuse_of(w, &t, "", "poll.sequence");
    t.poll_tiebreak = "at";
    refuse(&t, "", "poll.column");
    t.poll_tiebreak = NULL;
    t.poll_max_skew_us = SECOND;
    refuse(&t, "", "poll.column");
}

/* Y and N are both texts. */
static void a_text_is_no_soft_delete(void **state)
{
    (void)state;
    fr_table_settings t = {.pattern = "public.t",
                           .poll_column = "at",
                           .poll_batch = 50,
                           .poll_deletes = 1,
                           .poll_delete_column = "gone"};
    fr_column columns[] = {{.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
                           {.name = FR_STR("at"), .kind = FR_TIMESTAMP},
                           {.name = FR_STR("gone"), .kind = FR_TEXT}};
    fr_table like = {
        .space = FR_STR("public"), .name = FR_STR("t"), .column_count = 3, .columns = columns};
    world *w = world_new(1, 0);
    fr_table_unref(w->table);
    w->table = fr_table_new(&like);
    refuse_of(w, &t, "", "poll.delete_column");
}

/* The record of every version there was can be read, and says the same again. */
static void the_record_is_as_it_was(void **state)
{
    (void)state;
    FILE *f = fopen(FR_SOURCE_DIR "/tests/golden/checkpoints/v1-table.txt", "re");
    char key[100], text[1000];
    assert_non_null(f);
    assert_non_null(fgets(key, sizeof(key), f));
    assert_non_null(fgets(text, sizeof(text), f));
    (void)fclose(f);
    text[strcspn(text, "\n")] = '\0';
    fr_str order[] = {FR_STR("at"), FR_STR("id")};
    fr_arena *a = fr_arena_new(0);
    fr_poll_record r;
    fr_err err;
    assert_int_equal(fr_poll_record_parse(a, fr_cstr(text), order, 2, &r, &err), FR_OK);
    assert_int_equal(r.gaps.count, 2);
    assert_true(r.gaps.items[1].to == 20 && r.settled == 7 && r.candidate == 9);
    assert_true(fr_str_is(fr_poll_record_text(a, &r, order, 2), text));
    fr_gaps_free(&r.gaps);
    fr_arena_free(a);
}

static void statements(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        bool good;
    } cases[] = {
        {"select * from t", true},
        {"SELECT a, (select max(b) from u order by 1 limit 1) FROM t -- limit 5\n", true},
        {"with x as (select 1 limit 2) select 'order by' as a from x", true},
        {"select \"limit\" from t /* order by */", true},
        {"select * from t limit 5", false},
        {"select * from t order by a", false},
        {"select * from t offset 3", false},
        {"select * from t for update", false},
        {"select * from t; drop table t", false},
        {"select * from t) x; --", false},
        {"select (1 from t", false},
        {"update t set a = 1", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_err err;
        fr_rc rc = fr_poll_statement_check(cases[i].sql, &err);
        if ((rc == FR_OK) != cases[i].good)
            fail_msg("%s", cases[i].sql);
    }
}

static void another_server(void **state)
{
    (void)state;
    fr_err err;
    fr_str now = FR_STR("{\"poll\":1,\"id\":\"7\",\"db\":\"a\"}");
    assert_int_equal(fr_poll_same_server(
                         FR_STR("{\"epoch\":3,\"poll\":1,\"id\":\"7\",\"db\":\"a\"}"), now, &err),
                     FR_OK);
    assert_int_equal(fr_poll_same_server(
                         FR_STR("{\"epoch\":3,\"poll\":1,\"id\":\"8\",\"db\":\"a\"}"), now, &err),
                     FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_POSITION);
    assert_string_equal(err.code, "poll.other_server");
    assert_int_equal(fr_poll_same_server(FR_STR("{\"end_lsn\":\"0/5\",\"db\":\"a\"}"), now, &err),
                     FR_FAIL);
    assert_string_equal(err.code, "poll.other_method");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_time_nothing_is_missed),
        cmocka_unit_test(by_time_with_prepared),
        cmocka_unit_test(by_time_killed),
        cmocka_unit_test(by_number_nothing_is_missed),
        cmocka_unit_test(by_number_with_prepared),
        cmocka_unit_test(by_number_killed),
        cmocka_unit_test(a_lie_is_found),
        cmocka_unit_test(a_clock_that_goes_back),
        cmocka_unit_test(a_slow_answer_is_no_clock_that_goes_back),
        cmocka_unit_test(prepared_ones_that_take_turns),
        cmocka_unit_test(an_order_that_changes),
        cmocka_unit_test(a_statement_that_is_never_taken),
        cmocka_unit_test(a_statement_keeps_its_table),
        cmocka_unit_test(for_whom_is_waited),
        cmocka_unit_test(what_cannot_be_polled),
        cmocka_unit_test(which_numbers_cannot_be_polled),
        cmocka_unit_test(a_text_is_no_soft_delete),
        cmocka_unit_test(the_record_is_as_it_was),
        cmocka_unit_test(statements),
        cmocka_unit_test(another_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
