/* Values as tests of a configuration write them: what they are, and what is none. */
#include "cli/trial_value.c"
#include "tests/unit/test.h"

static fr_err err;

/* The value, and back as a text. */
static void reads(fr_arena *a, fr_kind kind, const char *text, const char *back)
{
    fr_column c = {.name = FR_STR("c"), .kind = kind, .precision = 10, .scale = 2};
    fr_value v;
    if (fr_trial_value(a, &c, fr_cstr(text), &v, &err) == FR_FAIL)
        fail_msg("%s %s: %s", fr_kind_name(kind), text, err.text);
    assert_int_equal(v.kind, kind);
    assert_str(fr_trial_text(a, &c, &v), back);
}

static void refuses(fr_arena *a, fr_kind kind, const char *text)
{
    fr_column c = {.name = FR_STR("c"), .kind = kind, .precision = 10, .scale = 2};
    fr_value v;
    if (fr_trial_value(a, &c, fr_cstr(text), &v, &err) == FR_OK)
        fail_msg("%s takes %s", fr_kind_name(kind), text);
    assert_string_equal(err.code, "test.value");
    assert_true(err.hint[0] != '\0');
}

static void values_are_read(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    reads(a, FR_BOOL, "true", "true");
    reads(a, FR_BOOL, "f", "false");
    reads(a, FR_INT32, "-2147483648", "-2147483648");
    reads(a, FR_INT64, "9223372036854775807", "9223372036854775807");
    reads(a, FR_FLOAT64, "0.1", "0.1");
    reads(a, FR_DECIMAL, "12.5", "12.50");
    reads(a, FR_TEXT, "null", "null");
    reads(a, FR_TEXT, "", "");
    reads(a, FR_BYTES, "\\x0aFF", "\\x0aff");
    reads(a, FR_BYTES, "0x", "\\x");
    reads(a, FR_JSON, "{\"a\": 1}", "{\"a\": 1}");
    reads(a, FR_JSON, "7", "7");
    reads(a, FR_UUID, "0F0E0D0C-0b0a-0908-0706-050403020100",
          "0f0e0d0c-0b0a-0908-0706-050403020100");
    reads(a, FR_DATE, "2024-02-29", "2024-02-29");
    reads(a, FR_DATE, "-0044-03-15", "-0044-03-15");
    reads(a, FR_TIME, "08:26:11.402", "08:26:11.402");
    reads(a, FR_TIME, "-838:59:59", "-838:59:59");
    reads(a, FR_DATETIME, "2026-11-26 08:26", "2026-11-26T08:26:00");
    reads(a, FR_TIMESTAMP, "2026-11-26T08:26:11+02:00", "2026-11-26T06:26:11Z");
    reads(a, FR_TIMESTAMP, "2026-11-26T08:26:11.000001", "2026-11-26T08:26:11.000001Z");
    fr_arena_free(a);
}

static void what_is_no_value_is_refused(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    refuses(a, FR_BOOL, "maybe");
    refuses(a, FR_INT32, "2147483648");
    refuses(a, FR_INT64, "9223372036854775808");
    refuses(a, FR_INT64, "1.0");
    refuses(a, FR_INT64, "");
    refuses(a, FR_FLOAT64, "1,5");
    refuses(a, FR_DECIMAL, "1.005");
    refuses(a, FR_DECIMAL, "123456789.00");
    refuses(a, FR_TEXT, "\xff");
    refuses(a, FR_BYTES, "0aff");
    refuses(a, FR_BYTES, "\\x0a0");
    refuses(a, FR_BYTES, "\\x0g");
    refuses(a, FR_JSON, "{a: 1}");
    refuses(a, FR_UUID, "0f0e0d0c");
    refuses(a, FR_DATE, "2023-02-29");
    refuses(a, FR_DATE, "26.11.2026");
    refuses(a, FR_TIME, "8:61");
    refuses(a, FR_TIME, "08:00:00.1234567");
    refuses(a, FR_DATETIME, "2026-11-26");
    refuses(a, FR_DATETIME, "2026-11-26T24:00:00");
    refuses(a, FR_DATETIME, "2026-11-26T08:26:11Z");
    refuses(a, FR_TIMESTAMP, "2026-11-26T08:26:11+x");
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_read),
                                       cmocka_unit_test(what_is_no_value_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
