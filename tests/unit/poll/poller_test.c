/* The poller against a server that exists only in world.h. Whatever was committed must come exactly
 * once; with a server that lies, some must not. */
#include "poll/poller_parts.h"
#include "tests/unit/poll/run.h"

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

static void commit_one(world *w)
{
    w->txs[w->count++] = (tx){.start_us = w->now_us, .id = w->next_id++, .state = COMMITTED};
    w->target = w->count;
}

/* By number: a gap that is seen after the clock went back stays open as long as a transaction of
 * before, whose beginning looks later than that. Also where freshet was started anew meanwhile. */
static void a_gap_while_the_clock_goes_back(void **state)
{
    (void)state;
    for (int starts_anew = 0; starts_anew < 2; starts_anew++) {
        world *w = world_new(1, 0);
        fr_source_settings source = {.name = "s"};
        fr_table_settings settings = {.pattern = "public.t", .poll_column = "id", .poll_batch = 50};
        fr_batch *b = fr_batch_new(100, 1 << 20);
        fr_err err;
        fr_poller *p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""),
                                     0, look, w);
        w->frozen = true;
        commit_one(w);
        commit_one(w);
        w->txs[1].state = OPEN;
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        assert_int_equal(b->count, 1);
        if (starts_anew) {
            fr_poller_free(p);
            p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), b->progress, 0,
                              look, w);
        }
        w->now_us -= 3600 * (int64_t)SECOND;
        commit_one(w);
        for (int i = 0; i < 20; i++) {
            w->now_us += SECOND;
            assert_int_equal(poll_once(p, w, b, &err), FR_END);
        }
        w->txs[1].state = COMMITTED;
        assert_int_equal(poll_once(p, w, b, &err), FR_END);
        assert_int_equal(b->count, 3);
        assert_int_equal(b->events[2].after.values[TABLE_ID].integer, 2);
        fr_poller_free(p);
        fr_batch_free(b);
        world_free(w);
    }
}

/* What a poller of this skew reads that goes on where one without any has ended: a row whose
 * application's clock is five seconds behind. */
static size_t read_with(int64_t skew_us)
{
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "at", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_arena *a = fr_arena_new(0);
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    commit_one(w);
    w->now_us += 60 * (int64_t)SECOND;
    commit_one(w);
    w->now_us += 2 * (int64_t)SECOND;
    assert_int_equal(poll_once(p, w, b, &err), FR_END);
    assert_int_equal(b->count, 2);
    fr_str record = fr_arena_str(a, b->progress);
    assert_non_null(strstr(fr_arena_cstr(a, record), ",\"skew\":0"));
    fr_poller_free(p);
    settings.poll_max_skew_us = skew_us;
    p = fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), record, 0, look, w);
    commit_one(w);
    w->txs[2].start_us = w->txs[1].start_us - 5 * (int64_t)SECOND;
    w->now_us += 60 * (int64_t)SECOND;
    fr_batch_reset(b);
    assert_int_equal(poll_once(p, w, b, &err), FR_END);
    size_t found = 0;
    for (size_t i = 0; i < b->count; i++)
        found += b->events[i].after.values[TABLE_ID].integer == 3;
    size_t others = b->count - found;
    assert_true(found > 0 || others == 0); /* nothing comes again for nothing */
    fr_arena_free(a);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
    return found;
}

static void a_skew_that_is_raised(void **state)
{
    (void)state;
    assert_int_equal(read_with(10 * (int64_t)SECOND), 1);
    assert_int_equal(read_with(0), 0);
}

/* ---- numbers that come again ---- */

static fr_rc look_again(fr_poller *p, world *w, fr_batch *b, fr_err *err)
{
    p->highest_due_us = 0;
    return poll_once(p, w, b, err);
}

static void numbers_that_come_again(void **state)
{
    (void)state;
    world *w = world_new(1, 0);
    fr_source_settings source = {.name = "s"};
    fr_table_settings settings = {.pattern = "public.t", .poll_column = "id", .poll_batch = 50};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    fr_err err;
    fr_poller *p =
        fr_poller_new(&source, &settings, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    w->frozen = true;
    for (int i = 0; i < 5; i++)
        commit_one(w);
    w->txs[2].state = OPEN; /* 3 */
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    assert_int_equal(b->count, 4);
    /* Late commits below what was deleted, and new rows that are deleted, are none. */
    w->txs[3].state = w->txs[4].state = ROLLED_BACK;
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    w->txs[2].state = COMMITTED;
    assert_int_equal(poll_once(p, w, b, &err), FR_END);
    assert_int_equal(b->count, 5);
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    commit_one(w); /* 6, between two looks */
    assert_int_equal(poll_once(p, w, b, &err), FR_END);
    assert_int_equal(b->count, 6);
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    /* TRUNCATE, and numbers from 1 on. */
    for (size_t i = 0; i < w->count; i++)
        w->txs[i].state = ROLLED_BACK;
    assert_int_equal(look_again(p, w, b, &err), FR_END);
    w->now_us += 3600 * (int64_t)SECOND;
    for (int i = 0; i < 9; i++)
        assert_int_equal(look_again(p, w, b, &err), FR_END);
    w->next_id = 1;
    commit_one(w);
    assert_int_equal(look_again(p, w, b, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_POSITION);
    assert_string_equal(err.code, "poll.reused");
    assert_non_null(strstr(err.text, "whose id is 1, and all up to 6 was read"));
    assert_int_equal(b->count, 6);
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
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
        cmocka_unit_test(a_gap_while_the_clock_goes_back),
        cmocka_unit_test(a_skew_that_is_raised),
        cmocka_unit_test(numbers_that_come_again),
        cmocka_unit_test(an_order_that_changes),
        cmocka_unit_test(a_statement_that_is_never_taken),
        cmocka_unit_test(a_statement_keeps_its_table),
        cmocka_unit_test(for_whom_is_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
