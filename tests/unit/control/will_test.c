#include "base/json.h"
#include "control/will.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static fr_err err;

static const fr_will *fold(fr_wills *w, const char *key, const char *value, int64_t offset)
{
    fr_str none = {NULL, 0};
    return fr_wills_fold(w, fr_cstr(key), value == NULL ? none : fr_cstr(value), offset);
}

static void keys_are_read_as_they_are_written(void **state)
{
    (void)state;
    static const char *const good[] = {"source/erp", "sink/warehouse", "table/erp/public.orders",
                                       "table/erp/public.a/b.c", "topic/wh/erp.public.orders"};
    static const char *const bad[] = {"",           "source",     "source/",        "source/a/b",
                                      "table/erp",  "table/erp/", "table//p.t",     "table/erp/t",
                                      "table/e/.t", "table/e/p.", "topic/wh",       "topic/wh/",
                                      "sources/e",  "surprise",   "table/e\xff/p.t"};
    fr_arena *a = fr_arena_new(0);
    fr_will_target t;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(fr_will_key_read(fr_cstr(good[i]), &t));
        assert_true(fr_str_is(fr_will_key(a, &t), good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (fr_will_key_read(fr_cstr(bad[i]), &t))
            fail_msg("%s", bad[i]);
    char long_key[1200];
    memset(long_key, 'x', sizeof(long_key));
    memcpy(long_key, "source/", 7);
    assert_false(fr_will_key_read((fr_str){long_key, sizeof(long_key)}, &t));
    assert_true(fr_will_key_read((fr_str){long_key, 900}, &t));
    assert_false(fr_will_key_read((fr_str){NULL, 0}, &t));
    fr_arena_free(a);
}

static void a_will_survives_its_record(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_wills *w = fr_wills_new();
    const fr_will will = {.target = {FR_WILL_TABLE, FR_STR("erp"), FR_STR("public.orders")},
                          .state = FR_WILL_RUNNING,
                          .anew = true,
                          .restart = true,
                          .by = FR_STR("ana@db1"),
                          .why = FR_STR("said \"so\"\nand \xc3\xa9"),
                          .at_us = INT64_C(1795249571402123)};
    const fr_will *got = fr_wills_fold(w, fr_will_key(a, &will.target), fr_will_value(a, &will), 7);
    assert_true(got->understood && got->anew && got->restart && got->offset == 7);
    assert_true(got->state == will.state && got->at_us == will.at_us);
    assert_true(fr_str_eq(got->by, will.by) && fr_str_eq(got->why, will.why));
    assert_true(fr_str_eq(got->target.name, will.target.name));
    assert_ok(fr_wills_check(w, "t", &err));
    fr_wills_free(w);
    fr_arena_free(a);
}

static void the_newest_record_of_a_key_counts(void **state)
{
    (void)state;
    fr_wills *w = fr_wills_new();
    const fr_will *got;
    size_t i = 0;
    fold(w, "source/erp", "{\"v\":1,\"state\":\"paused\",\"by\":\"a\",\"at\":5,\"why\":\"x\"}", 0);
    got = fold(w, "source/erp", "{\"v\":1,\"state\":\"stopped\",\"at\":4}", 1);
    assert_int_equal(got->state, FR_WILL_STOPPED);
    assert_int_equal(got->by.len, 0);
    got = fold(w, "sink/wh", "{\"v\":1,\"state\":\"paused\",\"at\":6}", 2);
    assert_true(got->understood);
    got = fold(w, "source/erp", NULL, 3); /* taken back */
    assert_true(got->understood && got->state == FR_WILL_RUNNING);
    assert_true(fr_wills_next(w, &i, &got) && got->target.kind == FR_WILL_SOURCE);
    assert_true(fr_wills_next(w, &i, &got) && got->target.kind == FR_WILL_SINK);
    assert_false(fr_wills_next(w, &i, &got));
    fr_wills_free(w);
}

static void what_cannot_be_understood_is_refused_until_it_is_mended(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *part;
    } bad[] = {
        {"source/e", "{\"v\":2,\"state\":\"paused\",\"at\":1}", "newer freshet (version 2"},
        {"source/e", "{\"state\":\"paused\",\"at\":1}", "no version"},
        {"source/e", "{\"v\":\"1\",\"state\":\"paused\",\"at\":1}", "no version"},
        {"source/e", "[]", "no JSON object"},
        {"source/e", "", "JSON"},
        {"source/e", "{\"v\":1,\"state\":\"paused\",\"at\":1", "JSON"},
        {"source/e", "{\"v\":1,\"v\":1,\"state\":\"paused\",\"at\":1}", "JSON"},
        {"source/e", "{\"v\":1,\"state\":\"asleep\",\"at\":1}", "`state`"},
        {"source/e", "{\"v\":1,\"state\":7,\"at\":1}", "`state`"},
        {"source/e", "{\"v\":1,\"state\":\"paused\",\"at\":-1}", "`at`"},
        {"source/e", "{\"v\":1,\"state\":\"paused\",\"at\":\"now\"}", "`at`"},
        {"source/e", "{\"v\":1,\"state\":\"paused\"}", "`at`"},
        {"source/e", "{\"v\":1,\"state\":\"paused\",\"at\":1,\"by\":3}", "`by`"},
        {"source/e", "{\"v\":1,\"state\":\"paused\",\"at\":1,\"anew\":true}", "`anew`"},
        {"source/e", "{\"v\":1,\"state\":\"running\",\"at\":1,\"restart\":1}", "`restart`"},
        {"surprise", "{\"v\":1,\"state\":\"paused\",\"at\":1}", "its key"},
        {"table/e/\033[31m", "{\"v\":1,\"state\":\"paused\",\"at\":1}", "its key"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fr_wills *w = fr_wills_new();
        size_t at = 0;
        const fr_will *got = fold(w, bad[i].key, bad[i].value, 41);
        assert_false(got->understood);
        assert_false(fr_wills_next(w, &at, &got));
        assert_fails(fr_wills_check(w, "freshet.p.control", &err), FR_ERR_CONFIG);
        if (strstr(err.text, bad[i].part) == NULL || strstr(err.text, "offset 41") == NULL ||
            strchr(err.text, '\033') != NULL)
            fail_msg("%zu: %s", i, err.text);
        assert_string_equal(err.code, "control.record");
        fold(w, bad[i].key, NULL, 42);
        assert_ok(fr_wills_check(w, "freshet.p.control", &err));
        fr_wills_free(w);
    }
    char text[700], value[900];
    memset(text, 'w', sizeof(text));
    text[FR_WILL_WHY_MAX + 1] = '\0';
    snprintf(value, sizeof(value), "{\"v\":1,\"state\":\"paused\",\"at\":1,\"why\":\"%s\"}", text);
    fr_wills *w = fr_wills_new();
    assert_false(fold(w, "source/e", value, 1)->understood);
    fr_wills_free(w);
}

static void what_makes_no_sense_is_not_written(void **state)
{
    (void)state;
    char text[700];
    memset(text, 'w', sizeof(text));
    fr_will w = {.target = {FR_WILL_TABLE, FR_STR("erp"), FR_STR("p.t")},
                 .state = FR_WILL_PAUSED,
                 .by = FR_STR("a"),
                 .why = FR_STR("")};
    assert_ok(fr_will_sound(&w, &err));
    w.state = FR_WILL_STOPPED;
    assert_fails(fr_will_sound(&w, &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.hint, "freshet pause erp/p.t"));
    w.state = FR_WILL_RUNNING;
    w.anew = true;
    assert_ok(fr_will_sound(&w, &err));
    w.target = (fr_will_target){FR_WILL_SOURCE, FR_STR("erp"), FR_STR("")};
    assert_fails(fr_will_sound(&w, &err), FR_ERR_CONFIG);
    w.anew = false;
    w.why = (fr_str){text, FR_WILL_WHY_MAX + 1};
    assert_fails(fr_will_sound(&w, &err), FR_ERR_CONFIG);
    w.why = FR_STR("\xff");
    assert_fails(fr_will_sound(&w, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "control.why");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_as_they_are_written),
        cmocka_unit_test(a_will_survives_its_record),
        cmocka_unit_test(the_newest_record_of_a_key_counts),
        cmocka_unit_test(what_cannot_be_understood_is_refused_until_it_is_mended),
        cmocka_unit_test(what_makes_no_sense_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
