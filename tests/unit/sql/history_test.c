#include "unit/test.h"

#include "sql/history.h"
#include "sql/steps.h"
#include <stdlib.h>

static fr_err err;

/* ---- settings ---- */

static void settings_that_make_sense(void **state)
{
    (void)state;
    const char *why = "write.mode: cannot be";
    fr_sink_settings set = {.write_mode = FR_WRITE_HISTORY, .deletes = FR_DELETES_HARD};
    assert_int_equal(fr_history_kept(&set, &err), FR_OK);
    assert_int_equal(fr_history_none(&set, why, "append", &err), FR_FAIL);
    assert_string_equal(err.text, "write.mode: cannot be");
    assert_string_equal(err.code, "sink.config");
    set.deletes = FR_DELETES_IGNORE;
    assert_int_equal(fr_history_kept(&set, &err), FR_OK);
    set.deletes = FR_DELETES_SOFT;
    assert_int_equal(fr_history_kept(&set, &err), FR_FAIL);
    assert_memory_equal(err.text, "write.deletes: ", 15);
    set.write_mode = FR_WRITE_UPSERT;
    assert_int_equal(fr_history_none(&set, why, "append", &err), FR_OK);
}

static void when_it_changed(void **state)
{
    (void)state;
    int64_t us = -1;
    fr_txn txn = {.commit_us = 5000000};
    fr_event e = {.op = FR_OP_UPDATE, .txn = &txn, .time_us = 7000000};
    assert_int_equal(fr_history_time(FR_STR("t"), &e, &us, &err), FR_OK);
    assert_int_equal(us, 5000000);
    txn.commit_us = 0; /* it does not say */
    assert_int_equal(fr_history_time(FR_STR("t"), &e, &us, &err), FR_OK);
    assert_int_equal(us, 7000000);
    e.time_us = 0;
    assert_int_equal(fr_history_time(FR_STR("t"), &e, &us, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_string_equal(err.code, "sink.time");
    e.time_us = INT64_MAX;
    assert_int_equal(fr_history_time(FR_STR("t"), &e, &us, &err), FR_FAIL);
}

static void texts_of_times(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const int64_t times[] = {1, 999999, INT64_C(1700000000123456),
                             INT64_C(951782400000000) - 1, /* 2000-02-28 23:59:59.999999 */
                             INT64_C(253370764799999999)};
    int64_t back;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_true(fr_history_read(fr_history_text(a, times[i]), &back));
        assert_int_equal(back, times[i]);
    }
    fr_str text = fr_history_text(a, INT64_C(1700000000123456));
    assert_true(fr_str_is(text, "2023-11-14 22:13:20.123456"));
    const char *const others[] = {"", "2023-11-14 22:13:20", "2023-11-14T22:13:20.123456",
                                  "2023-11-14 22:13:20.12345x", "2023-11-14 22:13:20.1234567"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(fr_history_read(fr_cstr(others[i]), &back));
    fr_arena_free(a);
}

/* ---- one change ---- */

static fr_target_change change(uint8_t position, int64_t us)
{
    fr_target_change c = {.time_us = us};
    c.position[FR_TARGET_POSITION_SIZE - 1] = position;
    return c;
}

static char last_position[FR_TARGET_POSITION_SIZE];

static fr_history_last row(uint8_t position, int64_t from, int64_t until)
{
    last_position[FR_TARGET_POSITION_SIZE - 1] = (char)position;
    return (fr_history_last){.there = true,
                             .now = until == 0,
                             .from_us = from,
                             .until_us = until,
                             .position = {last_position, sizeof(last_position)}};
}

static void is(fr_history_turn turn, bool ends, bool begins, int64_t at)
{
    assert_int_equal(turn.ends, ends);
    assert_int_equal(turn.begins, begins);
    if (ends || begins)
        assert_int_equal(turn.at_us, at);
}

static void what_a_change_does(void **state)
{
    (void)state;
    fr_history_last none = {.there = false}, now = row(5, 100, 0);
    fr_target_change c = change(6, 200);
    is(fr_history_next(&none, &c, true), false, true, 200);
    is(fr_history_next(&now, &c, true), true, true, 200);
    c.time_us = 100; /* never at the same time, nor before */
    is(fr_history_next(&now, &c, true), true, true, 101);
    c.time_us = 7;
    is(fr_history_next(&now, &c, true), true, true, 101);
    now.same = true;
    is(fr_history_next(&now, &c, true), false, false, 0);
    now.same = false;
    c = change(4, 200); /* an older one */
    is(fr_history_next(&now, &c, true), false, false, 0);
    c = change(5, 200);
    is(fr_history_next(&now, &c, true), true, true, 200);
    c.read = true; /* what was read at a change's own position is that change */
    is(fr_history_next(&now, &c, true), false, false, 0);
    now.position.len = 0; /* somebody else's row */
    is(fr_history_next(&now, &c, true), true, true, 200);
}

static void what_a_delete_does(void **state)
{
    (void)state;
    fr_history_last none = {.there = false}, now = row(5, 100, 0);
    fr_target_change gone = change(6, 200);
    gone.deleted = true;
    is(fr_history_next(&none, &gone, true), false, false, 0);
    is(fr_history_next(&now, &gone, true), true, false, 200);
    gone.time_us = 100;
    is(fr_history_next(&now, &gone, true), true, false, 101);
    gone = change(4, 200);
    gone.deleted = true;
    is(fr_history_next(&now, &gone, true), false, false, 0);
    fr_history_last ended = row(6, 100, 300);
    gone = change(7, 400);
    gone.deleted = true;
    is(fr_history_next(&ended, &gone, true), false, false, 0);
    fr_target_change again = change(7, 250); /* not before the end of what was there */
    is(fr_history_next(&ended, &again, true), false, true, 300);
    ended.same = true; /* it began anew all the same */
    again.time_us = 400;
    is(fr_history_next(&ended, &again, true), false, true, 400);
    again = change(6, 400); /* from before the delete */
    is(fr_history_next(&ended, &again, true), false, false, 0);
}

static void where_positions_say_nothing(void **state)
{
    (void)state;
    fr_history_last now = row(5, 100, 0), ended = row(6, 100, 300);
    fr_target_change c = change(4, 200), gone = change(4, 200);
    gone.deleted = true;
    is(fr_history_next(&now, &c, true), false, false, 0);
    is(fr_history_next(&now, &c, false), true, true, 200);
    is(fr_history_next(&ended, &c, false), false, true, 300);
    is(fr_history_next(&now, &gone, false), true, false, 200);
    assert_true(fr_history_next(&now, &gone, false).moves);
    gone.unplaced = true; /* newer whatever there is, and the row keeps its position */
    is(fr_history_next(&now, &gone, true), true, false, 200);
    assert_false(fr_history_next(&now, &gone, true).moves);
    is(fr_history_next(&ended, &gone, true), false, false, 0);
}

/* ---- steps and order ---- */

static void deletes_end_rows(void **state)
{
    (void)state;
    fr_target_steps steps;
    fr_value key = {.kind = FR_INT32, .integer = 1};
    fr_event e = {.op = FR_OP_DELETE, .before = {&key, 1}};
    fr_sink_settings set = {.write_mode = FR_WRITE_HISTORY, .deletes = FR_DELETES_HARD};
    assert_int_equal(fr_target_steps_of(&set, FR_STR("t"), &e, &steps, &err), FR_OK);
    assert_int_equal(steps.count, 1);
    assert_int_equal(steps.items[0].kind, FR_TARGET_GONE);
    set.deletes = FR_DELETES_IGNORE;
    assert_int_equal(fr_target_steps_of(&set, FR_STR("t"), &e, &steps, &err), FR_OK);
    assert_int_equal(steps.count, 0);
}

/* No state is left out, keys keep their order, and no key comes twice before all came once more. */
static void sorted_by_turns(void **state)
{
    (void)state;
    static const char *const keys[] = {"b", "a", "b", "c", "b", "a", "d"};
    fr_arena *a = fr_arena_new(0);
    fr_target_changes list = {NULL, 0, 0};
    for (size_t i = 0; i < 7; i++) {
        fr_target_change c = {.event = i, .form = i == 3 ? FR_TARGET_DELETE : FR_TARGET_ROW};
        fr_buf key = {.arena = a};
        fr_buf_text(&key, keys[i]);
        fr_target_set_key(a, &c, &key, 0);
        fr_target_changes_add(&list, &c);
    }
    fr_history_sort(&list);
    const size_t want[] = {1, 0, 6, 3, 5, 2, 4};
    assert_int_equal(list.count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(list.items[i].event, want[i]);
    free(list.items);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_that_make_sense), cmocka_unit_test(when_it_changed),
        cmocka_unit_test(texts_of_times),           cmocka_unit_test(what_a_change_does),
        cmocka_unit_test(what_a_delete_does),       cmocka_unit_test(where_positions_say_nothing),
        cmocka_unit_test(deletes_end_rows),         cmocka_unit_test(sorted_by_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
