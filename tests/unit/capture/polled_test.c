/* What is told of a polled table, when it is due, and what holds polls back. */
#include "capture/internal.h"
#include "capture/polled.h"
#include "tests/unit/test.h"

enum { SECOND = 1000000 };
static const int64_t WALL = 1700000000 * (int64_t)SECOND;

/* Each table keeps to its place, whatever makes it late; the places are spread evenly. */
static void each_table_has_a_place(void **state)
{
    (void)state;
    enum { TABLES = 100, EVERY = 10 * SECOND };
    unsigned seen[10] = {0};
    for (size_t i = 0; i < TABLES; i++) {
        int64_t place = polled_place(FR_STR("erp"), i, TABLES, EVERY);
        assert_true(place >= 0 && place < EVERY);
        assert_int_equal(place, polled_place(FR_STR("erp"), i, TABLES, EVERY));
        seen[place * 10 / EVERY]++;
        for (int64_t began = 5; began < 3 * (int64_t)EVERY; began += 777777) {
            int64_t due = polled_due(began, EVERY, place);
            assert_int_equal((due - place) % EVERY, 0);
            assert_true(due - began >= EVERY / 2 && due - began < EVERY + EVERY / 2);
        }
        int64_t due = polled_due(1234567, EVERY, place);
        for (int round = 0; round < 5; round++) { /* a little late each time */
            assert_int_equal(polled_due(due + 1000, EVERY, place), due + EVERY);
            due += EVERY;
        }
    }
    for (size_t i = 0; i < 10; i++)
        assert_in_range(seen[i], TABLES / 10 - 1, TABLES / 10 + 1);
    assert_int_not_equal(polled_place(FR_STR("erp"), 0, 1, EVERY),
                         polled_place(FR_STR("crm"), 0, 1, EVERY));
}

static void round_at(polled_view *v, int64_t at_s, int64_t whole_s)
{
    fr_poller_status p = {.page = 1, .whole_us = whole_s == 0 ? 0 : WALL + whole_s * SECOND};
    v->began_us = (at_s - 1) * SECOND;
    polled_over(v, &p, at_s * SECOND, WALL + at_s * SECOND);
}

/* A round makes a table whole once its rows are in Kafka, and not before. */
static void whole_is_what_is_in_kafka(void **state)
{
    (void)state;
    polled_view v = {0};
    polled_committed(&v, 100 * (int64_t)SECOND);
    assert_int_equal(v.s.whole_us, 0);
    round_at(&v, 10, 9);
    polled_committed(&v, 9 * SECOND);
    assert_int_equal(v.s.whole_us, 0);
    polled_committed(&v, 10 * SECOND);
    assert_int_equal(v.s.whole_us, WALL + 9 * SECOND);
    round_at(&v, 20, 0); /* rows wait for a gap: nothing new is whole */
    polled_committed(&v, 25 * SECOND);
    assert_int_equal(v.s.whole_us, WALL + 9 * SECOND);
    /* Rounds come faster than commits: it goes on all the same. */
    for (int64_t i = 30; i < 100; i++) {
        round_at(&v, i, i - 1);
        polled_committed(&v, (i - 3) * SECOND);
    }
    assert_true(v.s.whole_us >= WALL + 90 * (int64_t)SECOND &&
                v.s.whole_us <= WALL + 96 * (int64_t)SECOND);
}

static void a_round_is_told(void **state)
{
    (void)state;
    polled_view v = {.began_us = 5 * SECOND};
    fr_poller_status p = {.page = 7,
                          .rows = 1200,
                          .behind_us = 3 * SECOND,
                          .nulls = 2,
                          .gaps = 4,
                          .waits = "pid 1",
                          .waits_us = 2 * SECOND};
    polled_page(&v, &p, 50, WALL);
    polled_page(&v, &p, 10, WALL);
    assert_int_equal(v.s.last_us, 0);
    polled_over(&v, &p, 8 * SECOND, WALL);
    assert_int_equal(v.s.pages, 7);
    assert_int_equal(v.s.rows, 1200);
    assert_int_equal(v.s.last_rows, 60);
    assert_int_equal(v.s.took_us, 3 * SECOND);
    assert_int_equal(v.s.last_us, WALL);
    assert_int_equal(v.s.behind_us, 3 * SECOND);
    assert_int_equal(v.s.nulls, 2);
    assert_int_equal(v.s.gaps, 4);
    assert_string_equal(v.waits, "pid 1");
    assert_int_equal(v.s.waits_since_us, WALL - 2 * SECOND);
    p.waits = NULL;
    v.began_us = 9 * SECOND;
    polled_over(&v, &p, 10 * SECOND, WALL + SECOND);
    assert_string_equal(v.waits, "");
    assert_int_equal(v.s.waits_since_us, 0);
    assert_int_equal(v.s.last_rows, 0);
}

/* ---- what holds polls back ---- */

static bool busy;

static fr_rc is_busy(fr_sql *c, fr_arena *a, fr_str *why, fr_err *err)
{
    (void)c, (void)a, (void)err;
    *why = busy ? FR_STR("throttle.query: 1 is above 0") : (fr_str){"", 0};
    return FR_OK;
}

static const fr_sql_ops sql_ops = {.busy = is_busy};
static fr_sql sql = {&sql_ops};

static bool waits(throttle *t)
{
    bool waits_now = false;
    fr_err err;
    assert_ok(throttle_poll(t, &sql, &waits_now, &err));
    return waits_now;
}

static void polls_wait_for_a_busy_server(void **state)
{
    (void)state;
    fr_table_settings table = {.pattern = "public.t", .method = FR_METHOD_QUERY};
    fr_source_settings source = {
        .name = "s", .tables = &table, .table_count = 1, .throttle_query = "select 1"};
    fr_capture c = {.s.source = &source, .who = "source s"};
    char why[200];
    busy = true;
    throttle *t = throttle_new(&c);
    assert_true(waits(t));
    assert_true(throttle_cause(t, why, sizeof(why)));
    assert_string_equal(why, "throttle.query: 1 is above 0");
    busy = false;
    int64_t deadline = fr_now_us() + 60 * (int64_t)SECOND;
    while (waits(t) && fr_now_us() < deadline)
        fr_sleep_us(20000);
    assert_false(waits(t));
    assert_false(throttle_cause(t, why, sizeof(why)));
    assert_string_equal(why, "");
    throttle_free(t);
    /* the control: nothing is asked where nothing is configured */
    busy = true;
    source.throttle_query = NULL;
    t = throttle_new(&c);
    assert_false(waits(t));
    throttle_free(t);
}

static void rows_are_paid_for(void **state)
{
    (void)state;
    fr_table_settings table = {.pattern = "public.t", .method = FR_METHOD_QUERY};
    fr_source_settings source = {
        .name = "s", .tables = &table, .table_count = 1, .throttle_rows_per_second = 1000};
    fr_capture c = {.s.source = &source, .who = "source s"};
    char why[200];
    throttle *t = throttle_new(&c);
    assert_false(waits(t));
    int64_t now = fr_now_us();
    int64_t due = throttle_pay(t, 60000);
    assert_in_range(due - now, 59 * SECOND, 70 * SECOND);
    assert_true(waits(t));
    assert_false(throttle_cause(t, why, sizeof(why)));
    assert_string_equal(why, "throttle.rows_per_second: no more than 1000");
    assert_int_equal(throttle_pay(t, 1000) - due, SECOND);
    throttle_free(t);
    source.throttle_rows_per_second = 0;
    t = throttle_new(&c);
    assert_int_equal(throttle_pay(t, 60000), 0);
    assert_false(waits(t));
    throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_table_has_a_place), cmocka_unit_test(whole_is_what_is_in_kafka),
        cmocka_unit_test(a_round_is_told),        cmocka_unit_test(polls_wait_for_a_busy_server),
        cmocka_unit_test(rows_are_paid_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
