/* Canonical texts of `freshet verify` as values, and as what sinks write into columns of texts. */
#include "sql/text.h"
#include "unit/test.h"
#include <string.h>

static void as_sinks_write_them(void **state)
{
    static const struct {
        fr_kind kind;
        const char *canonical, *written;
    } cases[] = {{FR_BOOL, "1", "true"},
                 {FR_BOOL, "0", "false"},
                 {FR_INT32, "-5", "-5"},
                 {FR_INT64, "-9223372036854775808", "-9223372036854775808"},
                 {FR_INT64, "9223372036854775808", "9223372036854775808"}, /* none, and as it is */
                 {FR_DECIMAL, "-12.3", "-12.3"},
                 {FR_FLOAT64, "3fb999999999999a", "0.1"},
                 {FR_FLOAT64, "bff8000000000000", "-1.5"},
                 {FR_TEXT, "a'b", "a'b"},
                 {FR_DATE, "-1", "1969-12-31"},
                 {FR_DATE, "infinity", "infinity"},
                 {FR_TIME, "-500000", "-00:00:00.500000"},
                 {FR_TIME, "86400000000", "24:00:00"},
                 {FR_DATETIME, "-1", "1969-12-31 23:59:59.999999"},
                 {FR_TIMESTAMP, "1000000", "1970-01-01 00:00:01"},
                 {FR_TIMESTAMP, "", ""},
                 {FR_BYTES, "00ff", "00ff"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_buf b = {0};
        fr_sql_put_canonical(&b, cases[i].kind, fr_cstr(cases[i].canonical));
        fr_buf_u8(&b, 0);
        assert_string_equal((const char *)b.ptr, cases[i].written);
        fr_buf_free(&b);
    }
}

static void as_values(void **state)
{
    fr_arena *a = fr_arena_new(0);
    fr_value v;
    int16_t scale;
    (void)state;
    assert_true(fr_sql_value_of(a, FR_DECIMAL, FR_STR("-12.345"), &v, &scale));
    assert_int_equal(scale, 3);
    assert_int_equal(fr_decimal_number(v.bytes), -12345);
    assert_true(fr_sql_value_of(a, FR_BYTES, FR_STR("00ff7c"), &v, &scale));
    assert_int_equal(v.bytes.len, 3);
    assert_memory_equal(v.bytes.ptr, "\0\xff|", 3);
    assert_false(fr_sql_value_of(a, FR_BYTES, FR_STR("00f"), &v, &scale));
    assert_false(fr_sql_value_of(a, FR_BYTES, FR_STR("0g"), &v, &scale));
    assert_false(fr_sql_value_of(a, FR_DECIMAL, FR_STR("NaN"), &v, &scale));
    assert_false(fr_sql_value_of(a, FR_DATE, FR_STR("infinity"), &v, &scale));
    assert_true(fr_sql_value_of(a, FR_FLOAT64, FR_STR("fff0000000000000"), &v, &scale));
    assert_true(v.real < 0 && v.real * 2 == v.real);
    assert_false(fr_sql_value_of(a, FR_FLOAT64, FR_STR("'); DROP TABLE t"), &v, &scale));
    fr_arena_free(a);
}

static void whole_numbers(void **state)
{
    int64_t n = 0;
    (void)state;
    assert_true(fr_sql_whole(FR_STR("-9223372036854775808"), &n));
    assert_true(n == INT64_MIN);
    static const char *const none[] = {
        "", "-", "1.0", "+1", " 1", "1e3", "9223372036854775808", "-99999999999999999999999999"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(fr_sql_whole(fr_cstr(none[i]), &n));
}

static const char *text_of(fr_value v)
{
    static char text[64];
    fr_buf b = {0};
    fr_sql_put_value(&b, NULL, &v);
    snprintf(text, sizeof(text), "%.*s", FR_ARG(fr_buf_view(&b)));
    fr_buf_free(&b);
    return text;
}

static const char *datetime(int64_t year, unsigned month, unsigned day, int64_t us)
{
    int64_t days = fr_days_from_civil(year, month, day);
    return text_of((fr_value){.kind = FR_DATETIME, .integer = days * INT64_C(86400000000) + us});
}

/* Years of other than four digits have a time of day, too. */
static void datetimes(void **state)
{
    (void)state;
    int64_t us = ((23 * 60 + 59) * 60 + 58) * INT64_C(1000000);
    assert_string_equal(datetime(2026, 11, 26, us), "2026-11-26 23:59:58");
    assert_string_equal(datetime(2026, 11, 26, us + 1), "2026-11-26 23:59:58.000001");
    assert_string_equal(datetime(0, 1, 1, us), "0000-01-01 23:59:58");
    assert_string_equal(datetime(9999, 12, 31, us), "9999-12-31 23:59:58");
    assert_string_equal(datetime(10000, 1, 1, us), "10000-01-01 23:59:58");
    assert_string_equal(datetime(10000, 1, 1, us + 20), "10000-01-01 23:59:58.000020");
    assert_string_equal(datetime(-1, 12, 31, us), "-001-12-31 23:59:58");
    assert_string_equal(datetime(-44, 3, 15, 0), "-044-03-15 00:00:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_sinks_write_them),
                                       cmocka_unit_test(as_values), cmocka_unit_test(whole_numbers),
                                       cmocka_unit_test(datetimes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
