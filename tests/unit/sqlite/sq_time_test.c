/* Times as texts: which are taken, and when texts sort as the times do. */
#include "connectors/sqlite/sq_time.h"
#include "tests/unit/test.h"

static fr_err err;
#define SECOND INT64_C(1000000)

static int64_t moment(const char *text)
{
    fr_sq_clock form;
    int64_t us = 0;
    assert_ok(fr_sq_moment(fr_cstr(text), &us, &form, &err));
    return us;
}

static void forms_are_taken(void **state)
{
    (void)state;
    int64_t base = moment("2026-11-27 06:50:10");
    assert_int_equal(base, INT64_C(1795762210) * SECOND);
    assert_int_equal(moment("2026-11-27T06:50:10"), base);
    assert_int_equal(moment("2026-11-27 06:50:10.5"), base + SECOND / 2);
    assert_int_equal(moment("2026-11-27T06:50:10.000001Z"), base + 1);
    assert_int_equal(moment("2026-11-27 06:50:10.123456000"), base + 123456);
    assert_int_equal(moment("2026-11-27T08:50:10+02:00"), base);
    assert_int_equal(moment("2026-11-27T01:20:10-05:30"), base);
    assert_int_equal(moment("2026-11-27 06:50"), base - 10 * SECOND);
    assert_int_equal(moment("1969-12-31 23:59:59"), -SECOND);
    assert_int_equal(moment("2024-02-29 00:00:00"), INT64_C(1709164800) * SECOND);
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-11-27",
        "2026-11-27 06",
        "2026-11-27 24:00:00",
        "2026-11-27 06:60:00",
        "2026-11-27 06:50:60",
        "2026-02-29 00:00:00",
        "2026-13-01 00:00:00",
        "2026-00-01 00:00:00",
        "2026-1-1 00:00:00",
        "2026-11-27 06:50:10.",
        "2026-11-27 06:50:10.1234567",
        "2026-11-27 06:50:10.0000000000",
        "2026-11-27 06:50:10 ",
        " 2026-11-27 06:50:10",
        "2026-11-27t06:50:10",
        "2026-11-27T06:50:10z",
        "2026-11-27T06:50:10+0200",
        "2026-11-27T06:50:10+25:00",
        "2026-11-27T06:50:10+",
        "now",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t us;
        fr_sq_clock form;
        assert_fails(fr_sq_moment(fr_cstr(bad[i]), &us, &form, &err), FR_ERR_DATA);
    }
    int64_t n;
    assert_fails(fr_sq_date(FR_STR("2026-11-27 00:00"), &n, &err), FR_ERR_DATA);
    assert_fails(fr_sq_time_of_day(FR_STR("6:50"), &n, &err), FR_ERR_DATA);
    assert_ok(fr_sq_date(FR_STR("1970-01-02"), &n, &err));
    assert_int_equal(n, 1);
    assert_ok(fr_sq_time_of_day(FR_STR("23:59:59.25"), &n, &err));
    assert_int_equal(n, 86399 * SECOND + SECOND / 4);
}

/* Texts, ends with NULL: are all of one form, and is each written so again? */
static bool one_form(const char *const *texts)
{
    fr_sq_clock clock = {.separator = 0};
    fr_arena *a = fr_arena_new(0);
    bool same = true;
    for (size_t i = 0; texts[i] != NULL && same; i++) {
        fr_sq_clock form;
        int64_t us = 0;
        assert_ok(fr_sq_moment(fr_cstr(texts[i]), &us, &form, &err));
        same = fr_sq_clock_take(&clock, &form);
    }
    for (size_t i = 0; texts[i] != NULL && same; i++)
        assert_str(fr_sq_clock_text(a, &clock, moment(texts[i])), texts[i]);
    fr_arena_free(a);
    return same;
}

static void one_form_sorts(void **state)
{
    (void)state;
    assert_true(one_form((const char *[]){"2026-11-27 06:50:10", "2026-11-27 06:50:11", NULL}));
    assert_true(
        one_form((const char *[]){"2026-11-27 06:50:10.123", "2026-11-27 06:50:11.000", NULL}));
    /* Python leaves a fraction of zero out. */
    assert_true(
        one_form((const char *[]){"2026-11-27T06:50:10.123456", "2026-11-27T06:50:11", NULL}));
    assert_true(
        one_form((const char *[]){"2026-11-27T06:50:11", "2026-11-27T06:50:10.123456", NULL}));
    assert_true(one_form(
        (const char *[]){"2026-11-27T06:50:10.12+02:00", "2026-11-27T06:50:10.00+02:00", NULL}));
    assert_true(one_form((const char *[]){"2026-11-27 06:50", "2026-11-28 06:50", NULL}));
    assert_true(one_form((const char *[]){"1901-01-01 00:00:00", "9999-12-31 23:59:59", NULL}));
}

static void mixed_forms_do_not(void **state)
{
    (void)state;
    assert_false(one_form((const char *[]){"2026-11-27 06:50:10", "2026-11-27T06:50:10", NULL}));
    assert_false(
        one_form((const char *[]){"2026-11-27 06:50:10.5", "2026-11-27 06:50:10.25", NULL}));
    assert_false(
        one_form((const char *[]){"2026-11-27T06:50:10Z", "2026-11-27T06:50:10.5Z", NULL}));
    assert_false(one_form((const char *[]){"2026-11-27T06:50:10Z", "2026-11-27T06:50:10", NULL}));
    assert_false(
        one_form((const char *[]){"2026-11-27T06:50:10+01:00", "2026-11-27T06:50:10+02:00", NULL}));
    assert_false(
        one_form((const char *[]){"2026-11-27 06:50:10.000", "2026-11-27 06:50:11", NULL}));
    assert_false(one_form((const char *[]){"2026-11-27 06:50:10.5", "2026-11-27 06:50:11",
                                           "2026-11-27 06:50:11.0", NULL}));
    assert_false(one_form((const char *[]){"2026-11-27 06:50", "2026-11-27 06:50:00", NULL}));
}

static void bounds_are_cut_off(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_sq_clock clock = {.separator = 0};
    assert_int_equal(fr_sq_clock_unit(&(fr_sq_clock){.separator = ' ', .seconds = true}), SECOND);
    assert_int_equal(
        fr_sq_clock_unit(&(fr_sq_clock){.separator = ' ', .seconds = true, .digits = 3}), 1000);
    assert_int_equal(
        fr_sq_clock_unit(&(fr_sq_clock){.separator = ' ', .seconds = true, .digits = 9}), 1);
    fr_sq_clock form;
    int64_t us = 0;
    assert_ok(fr_sq_moment(FR_STR("2026-11-27 06:50:10.123"), &us, &form, &err));
    assert_true(fr_sq_clock_take(&clock, &form));
    assert_str(fr_sq_clock_text(a, &clock, us + 999), "2026-11-27 06:50:10.123");
    assert_str(fr_sq_clock_text(a, &clock, -1), "1969-12-31 23:59:59.999");
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_taken), cmocka_unit_test(others_are_refused),
        cmocka_unit_test(one_form_sorts), cmocka_unit_test(mixed_forms_do_not),
        cmocka_unit_test(bounds_are_cut_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
