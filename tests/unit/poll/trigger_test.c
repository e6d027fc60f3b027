/* A table that triggers capture, against a server that exists only here: transactions lock a key,
 * insert, update or delete its row, write that down in the change table, and commit or roll back,
 * also between any two questions; statements fail; whoever reads dies at any step and begins again
 * from its record. Of each key every version must be published once and in order, and rows of the
 * load must say again what was said of the key last. Where the view is not one view, or changes of
 * it are left out, the check must see it. */
#include "base/clock.h"
#include "base/log.h"
#include "poll/changes.h"
#include "poll/drain.h"
#include "poll/load.h"
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

enum {
    CHANGES = 4000,
    KEYS = 90,
    TARGET = 1500,
    ID = 0,
    OP,
    AT,
    SHAPE,
    OLD_ID,
    OLD_VER,
    NEW_ID,
    NEW_VER
};

typedef enum { OPEN, VISIBLE, TAKEN, GONE, NEVER } change_state;

typedef struct change {
    int64_t id, key, version; /* version: of the key, after it */
    char op;
    change_state state;
} change;

typedef struct row { /* of the table; version 0: it never was */
    int64_t version;
    bool there;
} row;

typedef struct world {
    fr_sql base;
    unsigned seed;
    change log[CHANGES];
    size_t count;
    row now[KEYS], open[KEYS],
        at_view[KEYS];                /* open: what the transaction that has it locked sees */
    bool locked[KEYS], seen[CHANGES]; /* seen: of the log, by the view */
    bool view;
    const fr_table *table, *changes;
    bool torn;  /* a view is none: each SELECT sees what is there now */
    bool hides; /* changes that the view sees are not given while it is open */
    bool fails, quiet;
    int64_t shape;
    size_t taken[CHANGES], taken_count;
    const char *wrong;
    char label[64];
} world;

static unsigned roll(world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void write_down(world *w, int64_t key, char op, int64_t version)
{
    w->log[w->count] =
        (change){.id = (int64_t)w->count + 1, .key = key, .op = op, .version = version};
    w->count++;
}

/* What its triggers do: the change is written down while the key is locked. */
static void change_key(world *w, int64_t key)
{
    row *r = &w->open[key];
    bool gone = r->there && roll(w, 3) == 0;
    char op = !r->there ? 'i' : gone ? 'd' : 'u';
    r->version++;
    r->there = !gone;
    write_down(w, key, op, r->version);
}

static void end(world *w, int64_t key, bool commit)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->log[i].key == key && w->log[i].state == OPEN)
            w->log[i].state = commit ? VISIBLE : NEVER;
    if (commit)
        w->now[key] = w->open[key];
    w->locked[key] = false;
}

static void step(world *w)
{
    int64_t key = (int64_t)roll(w, roll(w, 2) == 0 ? 5 : KEYS); /* some often */
    if (w->quiet)
        return;
    if (w->locked[key]) {
        end(w, key, roll(w, 10) >= 3);
    } else if (w->count < TARGET) {
        w->locked[key] = true;
        w->open[key] = w->now[key];
        for (unsigned i = 0, more = 1 + roll(w, 2); i < more; i++)
            change_key(w, key);
    }
}

static void steps(world *w)
{
    for (unsigned i = roll(w, 9); i > 0; i--)
        step(w);
}

static fr_rc fails(world *w, fr_err *err)
{
    if (!w->fails || roll(w, 12) > 0)
        return FR_OK;
    return fr_fail(err, FR_ERR_CONNECT, "the line broke");
}

/* ---- its SQL ---- */

static const int64_t units[8];
static const bool indexed[8] = {true}, unique[8] = {true};
static const fr_str copies[8] = {FR_STR("bigint"), FR_STR("bigint")};

static fr_rc w_describe(fr_sql *c, const fr_table_settings *t, fr_str space, fr_str name,
                        uint32_t version, fr_sql_relation **out, fr_err *err)
{
    world *w = (world *)c;
    (void)t, (void)space, (void)version, (void)err;
    bool changes = name.len > 1;
    fr_sql_relation *r = fr_malloc(sizeof(*r));
    *r = (fr_sql_relation){.table = fr_table_ref(changes ? w->changes : w->table),
                           .unit_us = units,
                           .indexed = indexed,
                           .plain_table = true,
                           .unique = unique,
                           .copies = copies};
    *out = r;
    return FR_OK;
}

static void w_forget(fr_sql_relation *r)
{
    if (r != NULL)
        fr_table_unref(r->table);
    free(r);
}

static fr_rc w_triggers(fr_sql *c, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                        fr_err *err)
{
    world *w = (world *)c;
    (void)a, (void)table, (void)err;
    *out = (fr_sql_triggers){.shape = w->shape};
    if (w->wrong != NULL) {
        out->wrong = fr_cstr(w->wrong);
        out->code = "trigger.disabled";
    }
    return FR_OK;
}

typedef struct reader {
    fr_reader base;
    world *w;
    const fr_table *table;
    int64_t rows[CHANGES][8];
    char ops[CHANGES];
    size_t count, next;
} reader;

static fr_rc r_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    reader *r = (reader *)base;
    (void)deadline_us;
    size_t before = b->count;
    if (r->next < r->count)
        fr_batch_add(b, FR_OP_TABLE, r->table);
    for (; r->next < r->count && !fr_batch_full(b); r->next++) {
        fr_event *e = fr_batch_add(b, FR_OP_READ, r->table);
        fr_value *v = fr_batch_row(b, r->table, &e->after);
        for (size_t i = 0; i < r->table->column_count; i++)
            v[i] = (fr_value){.kind = FR_INT64, .integer = r->rows[r->next][i]};
        if (r->table != r->w->changes)
            continue;
        char op = r->ops[r->next];
        v[OP] = (fr_value){.kind = FR_TEXT, .bytes = fr_arena_copy(b->arena, &op, 1)};
        v[AT].kind = FR_TIMESTAMP;
        if (op == 'i')
            v[OLD_ID].kind = v[OLD_VER].kind = FR_NULL;
        if (op == 'd')
            v[NEW_ID].kind = v[NEW_VER].kind = FR_NULL;
    }
    steps(r->w);
    FR_TRY(fails(r->w, err));
    return b->count > before ? FR_OK : FR_END;
}

static const fr_reader_ops reader_ops = {
    .fill = r_fill, .interrupt = r_interrupt, .close = r_close};

static reader *reader_new(world *w, const fr_table *table)
{
    reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &reader_ops;
    r->w = w;
    r->table = table;
    return r;
}

static void add_change(reader *r, const change *c)
{
    int64_t *v = r->rows[r->count];
    v[ID] = c->id;
    v[AT] = c->id * 1000;
    v[SHAPE] = 1;
    v[OLD_ID] = v[NEW_ID] = c->key;
    v[OLD_VER] = c->version - 1;
    v[NEW_VER] = c->version;
    r->ops[r->count++] = c->op;
}

static fr_rc w_begin_view(fr_sql *c, fr_sql_relation *const *relations, size_t count, fr_err *err)
{
    world *w = (world *)c;
    assert_int_equal(count, 2);
    assert_ptr_equal(relations[1]->table, w->changes);
    assert_false(w->view);
    FR_TRY(fails(w, err));
    w->view = true;
    memcpy(w->at_view, w->now, sizeof(w->now));
    for (size_t i = 0; i < w->count; i++)
        w->seen[i] = w->log[i].state == VISIBLE;
    for (size_t i = w->count; i < CHANGES; i++)
        w->seen[i] = false;
    steps(w);
    return FR_OK;
}

static void w_end_view(fr_sql *c)
{
    ((world *)c)->view = false;
}

static fr_rc w_select(fr_sql *c, fr_sql_relation *rel, fr_str sql, fr_reader **out, fr_err *err)
{
    world *w = (world *)c;
    FR_TRY(fails(w, err));
    fr_arena *a = fr_arena_new(0);
    const char *text = fr_arena_cstr(a, sql), *limit = strstr(text, " LIMIT ");
    const char *after = strstr(text, "\"id\" > ");
    size_t most = limit == NULL ? CHANGES : (size_t)atoi(limit + 7);
    int64_t from = after == NULL ? -1 : atoll(after + 7);
    reader *r = reader_new(w, rel->table);
    bool whole = w->view && !w->torn, changes = rel->table == w->changes;
    for (size_t i = 0; changes && i < w->count && r->count < most; i++)
        if (w->log[i].state == VISIBLE && (!whole || w->seen[i]) && !(w->hides && w->view))
            add_change(r, &w->log[i]);
    for (int64_t k = from + 1; !changes && k < KEYS && r->count < most; k++) {
        const row *one = whole ? &w->at_view[k] : &w->now[k];
        if (!one->there)
            continue;
        r->rows[r->count][0] = k;
        r->rows[r->count++][1] = one->version;
    }
    fr_arena_free(a);
    steps(w);
    *out = &r->base;
    return FR_OK;
}

static fr_rc w_take(fr_sql *c, fr_sql_relation *rel, size_t column, fr_str in, fr_reader **out,
                    fr_err *err)
{
    world *w = (world *)c;
    assert_ptr_equal(rel->table, w->changes);
    assert_int_equal(column, ID);
    assert_false(w->view);
    steps(w);
    FR_TRY(fails(w, err));
    reader *r = reader_new(w, w->changes);
    fr_arena *a = fr_arena_new(0);
    w->taken_count = 0;
    for (const char *p = fr_arena_cstr(a, in); p != NULL; p = strchr(p + 1, ',')) {
        size_t i = (size_t)atoll(p + 1) - 1;
        if (w->log[i].state != VISIBLE)
            continue;
        add_change(r, &w->log[i]);
        w->taken[w->taken_count++] = i;
        w->log[i].state = TAKEN;
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
        w->log[w->taken[i]].state = remove && before == FR_OK ? GONE : VISIBLE;
    w->taken_count = 0;
    steps(w);
    return before;
}

static fr_rc w_scalar(fr_sql *c, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    (void)c, (void)sql, (void)err;
    *out = fr_arena_printf(a, "0"); /* none is left */
    return FR_OK;
}

static bool w_put(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    (void)w_put_value;
    fr_buf_str(b, text);
    return r->table->columns[column].kind == FR_INT64;
}

static const fr_sql_ops world_ops = {.name = "world",
                                     .describe = w_describe,
                                     .forget = w_forget,
                                     .select = w_select,
                                     .take = w_take,
                                     .settle = w_settle,
                                     .begin_view = w_begin_view,
                                     .end_view = w_end_view,
                                     .triggers = w_triggers,
                                     .scalar = w_scalar,
                                     .put_ident = w_put_ident,
                                     .put_column = w_put_column,
                                     .put_from = w_put_from,
                                     .put_value = w_put,
                                     .text = w_text,
                                     .put_time = w_put_time};

/* ---- a run ---- */

static const fr_source_settings source = {.name = "s"};

static fr_table_settings settings_of(int64_t batch)
{
    return (fr_table_settings){.pattern = "public.t",
                               .place = "a.yaml:7",
                               .method = FR_METHOD_TRIGGER,
                               .poll_every_us = 1000000,
                               .poll_batch = batch};
}

static world *world_new(unsigned seed, fr_kind key, bool keyed)
{
    world *w = fr_malloc(sizeof(*w));
    fr_column mine[] = {{.name = FR_STR("id"), .kind = key, .key_ordinal = keyed},
                        {.name = FR_STR("ver"), .kind = FR_INT64}};
    fr_column log[] = {{.name = FR_STR(FR_TRIGGERS_ID), .kind = FR_INT64, .key_ordinal = 1},
                       {.name = FR_STR(FR_TRIGGERS_OP), .kind = FR_TEXT},
                       {.name = FR_STR(FR_TRIGGERS_AT), .kind = FR_TIMESTAMP},
                       {.name = FR_STR(FR_TRIGGERS_SHAPE), .kind = FR_INT32},
                       {.name = FR_STR("o_id"), .kind = key, .nullable = true},
                       {.name = FR_STR("o_ver"), .kind = FR_INT64, .nullable = true},
                       {.name = FR_STR("n_id"), .kind = key, .nullable = true},
                       {.name = FR_STR("n_ver"), .kind = FR_INT64, .nullable = true}};
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("t"),
                     .full_before = true,
                     .column_count = 2,
                     .columns = mine};
    w->base.ops = &world_ops;
    w->seed = seed;
    w->shape = 1;
    w->table = fr_table_new(&like);
    fr_arena *a = fr_arena_new(0);
    fr_sql_relation r = {.table = w->table, .copies = copies};
    fr_table_settings t = settings_of(1);
    fr_str print = fr_triggers_print(a, &r, &t);
    snprintf(w->label, sizeof(w->label), "freshet changes 1: shape 1, %.*s", FR_ARG(print));
    fr_arena_free(a);
    fr_table changes = {.space = FR_STR("public"),
                        .name = FR_STR(FR_TRIGGERS_LOG "t"),
                        .doc = fr_cstr(w->label),
                        .column_count = 8,
                        .columns = log};
    w->changes = fr_table_new(&changes);
    for (int64_t k = 0; k < KEYS; k += 2) /* what was there before the triggers */
        w->now[k] = (row){1, true};
    return w;
}

static void world_free(world *w)
{
    fr_table_unref(w->table);
    fr_table_unref(w->changes);
    free(w);
}

/* Kafka: what is committed. */
typedef struct topic {
    fr_arena *arena;
    fr_str record;
    int64_t last[KEYS]; /* the version that was said last; 0: none */
    bool gone[KEYS];
    size_t back, repeated, missed, loaded, changes;
} topic;

static void publish(topic *k, const fr_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        assert_true(e->op <= FR_OP_DELETE);
        const fr_value *v = e->op == FR_OP_DELETE ? e->before.values : e->after.values;
        int64_t key = v[0].integer, version = v[1].integer + (e->op == FR_OP_DELETE);
        int64_t *last = &k->last[key];
        assert_int_equal(e->table->column_count, 2);
        if (e->op == FR_OP_READ) {
            k->back += version < *last || (version == *last && k->gone[key]);
            k->missed += *last > 0 && version > *last;
            k->loaded++;
        } else {
            k->changes++;
            k->back += version < *last;
            k->repeated += version == *last;
            /* Rows of before the triggers have version 1, and may never have been said. */
            k->missed += version > *last + 1 && !(*last == 0 && version == 2 && key % 2 == 0);
        }
        *last = version > *last ? version : *last;
        k->gone[key] = e->op == FR_OP_DELETE;
    }
    if (b->progress.len > 0)
        k->record = fr_arena_str(k->arena, b->progress);
}

typedef struct held {
    fr_batch *items[64];
    size_t count;
} held;

static void commit(topic *k, held *h)
{
    for (size_t i = 0; i < h->count; i++) {
        if (k != NULL)
            publish(k, h->items[i]);
        fr_batch_free(h->items[i]);
    }
    h->count = 0;
}

static fr_drain *again(world *w, fr_drain *d, const fr_table_settings *t, const topic *k)
{
    fr_drain_free(d);
    assert_false(w->view); /* it was left */
    return fr_drain_new(&source, t, FR_STR("public"), FR_STR("t"), k->record, 0);
}

static bool log_is_empty(const world *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->log[i].state <= TAKEN)
            return false;
    return true;
}

/* Until all is committed and nothing moves any more. */
static void run(world *w, int64_t batch, bool dies, topic *k)
{
    fr_table_settings t = settings_of(batch);
    held h = {0};
    fr_err err;
    *k = (topic){.arena = fr_arena_new(0), .record = FR_STR("")};
    for (int i = 0; i < 60; i++)
        step(w);
    fr_drain *d = again(w, NULL, &t, k);
    for (int quiet = 0; quiet < 20;) {
        fr_batch *b = fr_batch_new(8, 1 << 20);
        fr_rc rc = fr_drain_fill(d, &w->base, b, fr_now_us() + 1000000, &err);
        if (rc == FR_OK)
            h.items[h.count++] = b;
        else
            fr_batch_free(b);
        steps(w);
        if (rc == FR_FAIL || (dies && roll(w, 15) == 0)) {
            if (rc == FR_FAIL)
                assert_int_equal(err.kind, FR_ERR_CONNECT);
            commit(NULL, &h);
            d = again(w, d, &t, k);
        } else if (dies && roll(w, 20) == 0 && fr_drain_reading(d)) {
            fr_drain_leave(d); /* others' turn */
            if (fr_drain_waits(d))
                commit(k, &h);
        } else if (fr_drain_waits(d) || rc == FR_END || h.count == 60 || roll(w, 3) == 0) {
            commit(k, &h);
        }
        quiet = rc == FR_END && w->count >= TARGET ? quiet + 1 : 0;
        for (int64_t key = 0; quiet > 0 && key < KEYS; key++)
            if (w->locked[key])
                end(w, key, true);
        w->fails = w->fails && w->count < TARGET;
    }
    commit(NULL, &h);
    fr_drain_free(d);
}

static size_t unsaid(const world *w, const topic *k)
{
    size_t n = 0;
    for (int64_t key = 0; key < KEYS; key++)
        n += k->last[key] != w->now[key].version ||
             (k->last[key] > 0 && k->gone[key] == w->now[key].there);
    return n;
}

static void good(unsigned seed, int64_t batch, bool dies, bool breaks)
{
    world *w = world_new(seed, FR_INT64, true);
    topic k;
    w->fails = breaks;
    run(w, batch, dies, &k);
    if (k.back + k.repeated + k.missed > 0 || unsaid(w, &k) > 0 || !log_is_empty(w))
        fail_msg("seed %u batch %" PRId64 ": %zu back, %zu repeated, %zu missed, %zu not said",
                 seed, batch, k.back, k.repeated, k.missed, unsaid(w, &k));
    assert_true(k.loaded >= KEYS / 4 && k.changes > TARGET / 3);
    assert_non_null(
        strstr(fr_arena_cstr(k.arena, k.record), "\"load\":{\"shape\":1,\"done\":true}"));
    fr_arena_free(k.arena);
    world_free(w);
}

static void each_once_and_in_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++)
        good(seed, seed % 3 == 0 ? 300 : 7 + seed, false, false);
}

static void killed_and_broken(void **state)
{
    (void)state;
    for (unsigned seed = 100; seed <= 124; seed++)
        good(seed, seed % 3 == 0 ? 300 : 5 + seed % 20, true, seed % 2 == 0);
}

/* The controls: without the one view, and where the changes are not published before the rows. */
static void without_the_view_it_goes_back(void **state)
{
    (void)state;
    size_t back = 0, ahead = 0;
    for (unsigned seed = 1; seed <= 12; seed++) {
        world *w = world_new(seed, FR_INT64, true);
        topic k;
        w->torn = true;
        run(w, 7 + seed, false, &k);
        back += k.back + k.repeated;
        fr_arena_free(k.arena);
        world_free(w);
        w = world_new(seed, FR_INT64, true);
        w->hides = true;
        run(w, 7 + seed, false, &k);
        ahead += k.back + k.repeated;
        fr_arena_free(k.arena);
        world_free(w);
    }
    assert_true(back > 0);
    assert_true(ahead > 0);
}

/* A key whose values have no order that can be written is read whole, in one view. */
static void a_key_without_pages(void **state)
{
    (void)state;
    world *w = world_new(5, FR_FLOAT64, true);
    topic k;
    run(w, 10, false, &k);
    assert_int_equal(k.back + k.repeated + k.missed, 0);
    assert_int_equal(unsaid(w, &k), 0);
    fr_arena_free(k.arena);
    world_free(w);
}

/* ---- what is refused ---- */

static void refuse(world *w, const fr_table_settings *t, const char *record, const char *code)
{
    fr_batch *b = fr_batch_new(8, 1 << 20);
    fr_err err;
    fr_drain *d = fr_drain_new(&source, t, FR_STR("public"), FR_STR("t"), fr_cstr(record), 0);
    assert_int_equal(fr_drain_fill(d, &w->base, b, INT64_MAX, &err), FR_FAIL);
    assert_string_equal(err.code, code);
    fr_drain_free(d);
    fr_batch_free(b);
}

static void what_is_refused(void **state)
{
    (void)state;
    world *w = world_new(1, FR_INT64, true);
    fr_table_settings t = settings_of(10), outbox = t;
    const char *exclude[] = {"ver"};
    w->quiet = true;
    w->wrong = "trigger x is disabled";
    refuse(w, &t, "", "trigger.disabled");
    w->wrong = NULL;
    w->shape = 2;
    refuse(w, &t, "", "trigger.shape");
    w->shape = 1;
    t.columns_exclude = (fr_texts){exclude, 1}; /* other columns than the triggers know */
    refuse(w, &t, "", "trigger.shape");
    t.columns_exclude = (fr_texts){0};
    refuse(w, &t, "{\"v\":1,\"page\":1,\"order\":[],\"at\":[]}", "poll.other_method");
    refuse(w, &t, "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[],\"pending\":[]}",
           "poll.other_method");
    refuse(
        w, &t,
        "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[],\"pending\":[],\"load\":{\"shape\":0}}",
        "checkpoint.record");
    outbox.method = FR_METHOD_OUTBOX;
    outbox.outbox = (fr_outbox_settings){.on = true, .id = "id", .clean_up = true};
    refuse(
        w, &outbox,
        "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[],\"pending\":[],\"load\":{\"shape\":1}}",
        "poll.other_method");
    world_free(w);
    w = world_new(1, FR_INT64, false);
    w->quiet = true;
    refuse(w, &t, "", "trigger.no_key");
    world_free(w);
}

/* The record as it stands in the topics of those who use it. */
static void a_record_of_before(void **state)
{
    (void)state;
    FILE *f = fopen(FR_SOURCE_DIR "/tests/golden/checkpoints/v1-table-trigger.txt", "re");
    char line[400];
    fr_pending p = {0};
    fr_load l = {0};
    fr_err err;
    fr_buf more = {0};
    fr_arena *a = fr_arena_new(0);
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    assert_int_equal(fr_pending_parse(fr_cstr(line), &p, &err), FR_OK);
    assert_int_equal(fr_load_read(p.load, &l, &err), FR_OK);
    assert_int_equal(l.shape, 2);
    assert_true(fr_str_is(l.at.at[0], "17"));
    fr_load_put(&more, &l);
    assert_true(fr_str_is(fr_pending_record(a, &p, fr_buf_view(&more)), line));
    fr_buf_free(&more);
    fr_load_free(&l);
    fr_pending_free(&p);
    fr_arena_free(a);
}

/* ---- names ---- */

static void names(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    int64_t shape = 0;
    fr_str print;
    assert_true(fr_str_is(fr_triggers_column_name(a, 'o', FR_STR("x")), "o_x"));
    fr_str sixty_one = fr_arena_printf(a, "%061d", 0);
    assert_int_equal(fr_triggers_column_name(a, 'n', sixty_one).len, 63);
    fr_str longer = fr_arena_printf(a, "%062d", 0), other = fr_arena_printf(a, "%062d", 1);
    fr_str cut = fr_triggers_column_name(a, 'n', longer);
    assert_int_equal(cut.len, 63);
    assert_false(fr_str_eq(cut, fr_triggers_column_name(a, 'n', other)));
    fr_str wide = fr_arena_printf(a, "%051d\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 0);
    cut = fr_triggers_column_name(a, 'n', wide);
    assert_true(fr_utf8_valid(cut) && cut.len == 62); /* no half characters */
    assert_true(fr_triggers_label_parse(FR_STR("freshet changes 1: shape 12, 0123456789abcdef"),
                                        &shape, &print));
    assert_int_equal(shape, 12);
    assert_true(fr_str_is(print, "0123456789abcdef"));
    static const char *const bad[] = {"",
                                      "orders",
                                      "freshet changes 1: shape ",
                                      "freshet changes 1: shape 0, 0123456789abcdef",
                                      "freshet changes 1: shape 1, 0123456789abcde",
                                      "freshet changes 2: shape 1, 0123456789abcdef"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fr_triggers_label_parse(fr_cstr(bad[i]), &shape, &print));
    assert_int_equal(fr_triggers_since(FR_STR("")), 1);
    assert_int_equal(fr_triggers_since(FR_STR("since 7")), 7);
    assert_int_equal(fr_triggers_since(FR_STR("until 7")), 0);
    fr_arena_free(a);
}

int main(void)
{
    fr_log_setup(FR_LOG_ERROR, FR_LOG_LOGFMT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_and_in_order),
        cmocka_unit_test(killed_and_broken),
        cmocka_unit_test(without_the_view_it_goes_back),
        cmocka_unit_test(a_key_without_pages),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_record_of_before),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
