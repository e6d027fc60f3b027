/* A server that exists only here: transactions begin, take a number and a time, and commit or roll
 * back in any order, also between the poller's question who is open and its SELECT. Included by
 * the tests of src/poll. */
#ifndef FR_TEST_POLL_WORLD_H
#define FR_TEST_POLL_WORLD_H

#include "base/clock.h"
#include "poll/poll.h"
#include "poll/record.h"
#include "tests/unit/poll/spelling.h"
#include "tests/unit/test.h"
#include <inttypes.h>
#include <stdlib.h>

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
    bool lies;      /* who is open is not told */
    bool prepares;  /* some are prepared first */
    unsigned slow;  /* one of so many stays open for long */
    bool hurries;   /* at each look somebody is prepared who was not at the one before */
    bool frozen;    /* nobody ends */
    int64_t cap_us; /* nobody is open for longer; 0: as it comes */
    bool refuses;   /* its columns are others at each SELECT, as it seems */
    bool statement, shared, ahead, reused,
        changed;     /* what the relation is; its columns are others now */
    int64_t slow_us; /* so long it takes to answer who is open */
    const fr_table *table;
    int states, selects, described;
    fr_sql_state last;
    int64_t asked_us;
} world;

static unsigned roll(world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

/* Those that would be open for too long at the next step. */
static void end_old(world *w)
{
    for (size_t i = 0; i < w->count && w->cap_us > 0; i++)
        if (w->txs[i].state == OPEN && w->now_us - w->txs[i].start_us > w->cap_us - 40001)
            w->txs[i].state = roll(w, 10) < 3 ? ROLLED_BACK : COMMITTED;
}

/* One thing happens. */
static void step(world *w)
{
    w->now_us += 1 + (int64_t)roll(w, 40000);
    end_old(w);
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
                          .ahead = w->ahead ? sequences : NULL,
                          .reused = w->reused ? unique : NULL,
                          .once = FR_STR("upgrade")};
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

#define W_OPERATIONS                                                                               \
    .describe = w_describe, .forget = w_forget, .state = w_state, .select = w_select,              \
    .scalar = w_scalar, W_SPELLING

static const fr_sql_ops world_ops = {.name = "world", W_OPERATIONS};
/* It does not say who is open. */
static const fr_sql_ops blind_ops = {.name = "blind world", .clock_only = true, W_OPERATIONS};

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

#endif
