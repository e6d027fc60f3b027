/* Where a server does not say who is open: what is committed within poll.lookback comes once, by
 * time and by number, and after kills too; what is later is missed, which is the control. */
#include "poll/lookback.h"
#include "tests/unit/poll/run.h"

enum { LOOKBACK_US = 3000000 };

static void run_blind(unsigned seed, const run *how, int64_t cap_us, tally *out)
{
    world *w = world_new(seed, seed % 3 == 0 ? 1500 : 300);
    w->base.ops = &blind_ops;
    w->cap_us = cap_us;
    w->slow = seed % 2 == 0 ? 7 : 0;
    poll_all(w, how, out);
    world_free(w);
}

static void nothing_is_missed(const char *column, bool kills)
{
    for (unsigned seed = 1; seed <= 6; seed++) {
        tally t;
        run how = {.column = column,
                   .kills = kills,
                   .batch = seed % 4 == 0 ? 1 : 50,
                   .lookback_us = LOOKBACK_US};
        run_blind(seed, &how, LOOKBACK_US, &t);
        if (t.missed + t.twice + t.unknown > 0)
            fail_msg("seed %u: of %zu committed %zu missed, %zu twice, %zu were not committed",
                     seed, t.committed, t.missed, t.twice, t.unknown);
        assert_true(t.committed > 50);
        assert_int_equal(t.gaps, 0);
    }
}

static void within_by_time(void **state)
{
    (void)state;
    nothing_is_missed("at", false);
}

static void by_time_killed(void **state)
{
    (void)state;
    nothing_is_missed("at", true);
}

static void within_by_number(void **state)
{
    (void)state;
    nothing_is_missed("id", false);
}

static void by_number_killed(void **state)
{
    (void)state;
    nothing_is_missed("id", true);
}

/* Transactions that are open for up to nine seconds, where one is said to be the most. By number
 * five more pass before a gap is closed. */
static void later_ones_are_missed(void **state)
{
    (void)state;
    static const char *const columns[] = {"at", "id"};
    for (size_t i = 0; i < 2; i++) {
        size_t missed = 0, twice = 0;
        for (unsigned seed = 2; seed <= 12; seed += 2) {
            tally t;
            run how = {.column = columns[i], .batch = 50, .lookback_us = SECOND};
            run_blind(seed, &how, 0, &t);
            missed += t.missed;
            twice += t.twice;
        }
        assert_true(missed > 0);
        assert_int_equal(twice, 0);
    }
}

/* The control of "none twice": a record without the prints. */
static void without_prints_some_come_twice(void **state)
{
    (void)state;
    size_t twice = 0, missed = 0;
    for (unsigned seed = 1; seed <= 4; seed++) {
        tally t;
        run how = {.column = "at",
                   .kills = true,
                   .forgets = true,
                   .batch = 50,
                   .lookback_us = LOOKBACK_US};
        run_blind(seed, &how, LOOKBACK_US, &t);
        twice += t.twice;
        missed += t.missed;
    }
    assert_true(twice > 0);
    assert_int_equal(missed, 0);
}

/* ---- what is remembered ---- */

static fr_print print_of(uint32_t n)
{
    fr_print p = {{0}};
    memcpy(p.bytes, &n, sizeof(n));
    p.bytes[FR_LOOKBACK_PRINT - 1] = 0xff;
    return p;
}

static fr_lookback_row take(fr_lookback *l, int64_t at_us, uint32_t n)
{
    fr_print p = print_of(n);
    return fr_lookback_take(l, at_us, &p);
}

static void a_round(void **state)
{
    (void)state;
    fr_lookback l = {0};
    fr_lookback_begin(&l, 10);
    assert_int_equal(take(&l, 5, 1), FR_LOOKBACK_NEW);
    assert_int_equal(take(&l, 11, 2), FR_LOOKBACK_NEW);
    assert_int_equal(take(&l, 12, 3), FR_LOOKBACK_NEW);
    fr_lookback_end(&l);
    fr_lookback_begin(&l, 11);
    assert_int_equal(take(&l, 11, 2), FR_LOOKBACK_REPEAT);
    /* Row 3 is another now, and comes back as it was later: both are news. */
    assert_int_equal(take(&l, 13, 4), FR_LOOKBACK_NEW);
    fr_lookback_end(&l);
    fr_lookback_begin(&l, 11);
    assert_int_equal(take(&l, 12, 3), FR_LOOKBACK_NEW);
    /* Left in the middle: what was published of it stays known. */
    fr_lookback_begin(&l, 11);
    assert_int_equal(take(&l, 12, 3), FR_LOOKBACK_REPEAT);
    assert_int_equal(take(&l, 13, 4), FR_LOOKBACK_REPEAT);
    fr_lookback_forget(&l);
    assert_int_equal(take(&l, 13, 4), FR_LOOKBACK_NEW);
    fr_lookback_free(&l);
}

/* More rows than are remembered wait until there is room; those that are known stay so. */
static void too_many(void **state)
{
    (void)state;
    fr_lookback l = {0};
    fr_lookback_begin(&l, 10);
    for (uint32_t i = 0; i < FR_LOOKBACK_MAX; i++)
        assert_int_equal(take(&l, 20, i), FR_LOOKBACK_NEW);
    assert_int_equal(take(&l, 20, FR_LOOKBACK_MAX), FR_LOOKBACK_LEFT);
    assert_true(l.full);
    fr_lookback_end(&l);
    fr_lookback_begin(&l, 19);
    assert_int_equal(take(&l, 20, FR_LOOKBACK_MAX), FR_LOOKBACK_LEFT);
    for (uint32_t i = 0; i < FR_LOOKBACK_MAX; i++)
        assert_int_equal(take(&l, 20, i), FR_LOOKBACK_REPEAT);
    fr_lookback_end(&l);
    /* All final: nothing needs to be remembered. */
    fr_lookback_begin(&l, 20);
    assert_int_equal(take(&l, 20, FR_LOOKBACK_MAX), FR_LOOKBACK_NEW);
    assert_int_equal(take(&l, 21, FR_LOOKBACK_MAX + 1), FR_LOOKBACK_LEFT);
    assert_int_equal(take(&l, 20, 7), FR_LOOKBACK_REPEAT);
    assert_int_equal(take(&l, 21, FR_LOOKBACK_MAX + 1), FR_LOOKBACK_NEW);
    fr_lookback_end(&l);
    assert_int_equal(l.known_count, 1);
    fr_lookback_free(&l);
}

static void the_record(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_lookback l = {0}, other = {0};
    assert_str(fr_lookback_text(a, &l), "");
    assert_true(fr_lookback_parse(FR_STR(""), &other));
    fr_lookback_begin(&l, 0);
    for (uint32_t i = 0; i < 100; i++)
        (void)take(&l, 1, i);
    fr_str text = fr_lookback_text(a, &l);
    assert_int_equal(text.len, 1600);
    assert_true(fr_lookback_parse(text, &other));
    fr_lookback_begin(&other, 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(take(&other, 1, i), FR_LOOKBACK_REPEAT);
    assert_int_equal(take(&other, 1, 100), FR_LOOKBACK_NEW);
    assert_false(fr_lookback_parse((fr_str){text.ptr, text.len - 1}, &other));
    assert_false(fr_lookback_parse(FR_STR("AAAAAAAAAAAAAA=="), &other));
    assert_false(fr_lookback_parse(FR_STR("AAAAAAAAAAAAAA!?"), &other));
    fr_lookback_free(&l);
    fr_lookback_free(&other);
    fr_arena_free(a);
}

static void a_clock_set_back(void **state)
{
    (void)state;
    fr_lookback l = {0};
    int64_t low = 0;
    assert_false(fr_lookback_set_back(&l, 100 * (int64_t)SECOND, 0, 0, &low));
    fr_lookback_keep_time(&l, FR_STR("90"), 90 * (int64_t)SECOND);
    /* By less than lies between the place and the clock: read again in any case. */
    assert_false(fr_lookback_set_back(&l, 100 * (int64_t)SECOND, 30 * (int64_t)SECOND,
                                      125 * (int64_t)SECOND, &low));
    assert_true(fr_lookback_set_back(&l, 100 * (int64_t)SECOND, 30 * (int64_t)SECOND,
                                     110 * (int64_t)SECOND, &low));
    assert_int_equal(low, 79 * (int64_t)SECOND);
    fr_lookback_free(&l);
}

static void insert_at(world *w, int64_t at_us)
{
    w->txs[w->count++] = (tx){.start_us = at_us, .id = w->next_id++, .state = COMMITTED};
    w->target = w->count;
}

static void poll_round(fr_poller *p, world *w, fr_batch *b)
{
    fr_err err;
    fr_rc rc = FR_OK;
    w->now_us += SECOND;
    w->asked_us = 0;
    while (rc == FR_OK)
        rc = fr_poller_fill(p, &w->base, b, INT64_MAX, &err);
    assert_int_equal(rc, FR_END);
}

/* Reads with one poll.lookback, and goes on with another: how often a row comes that was committed
 * half a minute after its time. *again: others that came once more. */
static size_t late_row(int64_t lookback_us, size_t *again)
{
    world *w = world_new(1, 0);
    w->base.ops = &blind_ops;
    fr_source_settings source = {.name = "s"};
    fr_table_settings t = {.pattern = "public.t",
                           .poll_column = "at",
                           .poll_batch = 50,
                           .poll_lookback_us = LOOKBACK_US};
    fr_batch *b = fr_batch_new(100, 1 << 20);
    size_t found = 0;
    fr_poller *p =
        fr_poller_new(&source, &t, FR_STR("public"), FR_STR("t"), FR_STR(""), 0, look, w);
    insert_at(w, w->now_us);
    w->now_us += 60 * (int64_t)SECOND;
    poll_round(p, w, b);
    insert_at(w, w->now_us); /* so that it is recorded where the next round begins */
    poll_round(p, w, b);
    assert_int_equal(b->count, 2);
    fr_poller_free(p);
    t.poll_lookback_us = lookback_us;
    p = fr_poller_new(&source, &t, FR_STR("public"), FR_STR("t"), b->progress, 0, look, w);
    insert_at(w, w->now_us - 30 * (int64_t)SECOND);
    fr_batch_reset(b);
    poll_round(p, w, b);
    for (size_t i = 0; i < b->count; i++)
        found += b->events[i].after.values[TABLE_ID].integer == 3;
    *again = b->count - found;
    fr_poller_free(p);
    fr_batch_free(b);
    world_free(w);
    return found;
}

static void a_lookback_that_is_raised(void **state)
{
    (void)state;
    size_t again;
    assert_int_equal(late_row(45 * (int64_t)SECOND, &again), 1);
    assert_int_equal(again, 0);
    assert_int_equal(late_row(LOOKBACK_US, &again), 0);
    assert_int_equal(again, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_by_time),
        cmocka_unit_test(by_time_killed),
        cmocka_unit_test(within_by_number),
        cmocka_unit_test(by_number_killed),
        cmocka_unit_test(later_ones_are_missed),
        cmocka_unit_test(without_prints_some_come_twice),
        cmocka_unit_test(a_round),
        cmocka_unit_test(too_many),
        cmocka_unit_test(the_record),
        cmocka_unit_test(a_clock_set_back),
        cmocka_unit_test(a_lookback_that_is_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
