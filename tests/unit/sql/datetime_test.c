#include "unit/test.h"

#include "sql/text.h"

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(datetimes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
