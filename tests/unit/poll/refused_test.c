/* What cannot be polled and is refused, and the record of how far it was read. */
#include "tests/unit/poll/world.h"

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
    w = world_new(1, 0);
    w->reused = true;
    refuse_of(w, &t, "", "poll.reused");
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
        cmocka_unit_test(what_cannot_be_polled),
        cmocka_unit_test(which_numbers_cannot_be_polled),
        cmocka_unit_test(a_text_is_no_soft_delete),
        cmocka_unit_test(the_record_is_as_it_was),
        cmocka_unit_test(statements),
        cmocka_unit_test(another_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
