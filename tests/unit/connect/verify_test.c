/* Canonical texts: what is equal becomes the same, and nothing else does. */
#include "connect/verify.h"
#include "tests/unit/test.h"
#include <string.h>

static const struct {
    fr_kind kind;
    const char *raw, *canonical, *readable;
} values[] = {
    {FR_BOOL, "t", "1", "1"},
    {FR_BOOL, "false", "0", "0"},
    {FR_BOOL, "0", "0", "0"},
    {FR_BOOL, "2", "2", "2"},
    {FR_INT32, "-0", "0", "0"},
    {FR_INT64, "-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
    {FR_INT64, "007", "7", "7"},
    {FR_INT32, "t", "1", "1"},
    {FR_DECIMAL, "-12.3400", "-12.34", "-12.34"},
    {FR_DECIMAL, "0.00", "0", "0"},
    {FR_DECIMAL, ".5", "0.5", "0.5"},
    {FR_DECIMAL, "1e3", "1000", "1000"},
    {FR_DECIMAL, "1.25E-3", "0.00125", "0.00125"},
    {FR_DECIMAL, "100", "100", "100"},
    {FR_DECIMAL, "NaN", "NaN", "NaN"},
    {FR_DECIMAL, "1.2.3", "1.2.3", "1.2.3"},
    {FR_DECIMAL, "", "", ""},
    {FR_FLOAT64, "0.1", "3fb999999999999a", "0.1"},
    {FR_FLOAT64, "0.10000000000000002", "3fb999999999999b", "0.10000000000000002"},
    {FR_FLOAT64, "-0", "0000000000000000", "0"},
    {FR_FLOAT64, "NaN", "7ff8000000000000", "NaN"},
    {FR_FLOAT64, "-Infinity", "fff0000000000000", "-Infinity"},
    {FR_FLOAT32, "0.10000000149011612", "3fb99999a0000000", "0.10000000149011612"},
    {FR_FLOAT64, "much", "much", "much"},
    {FR_TEXT, "a ", "a ", "a "},
    {FR_BYTES, "00ff", "00ff", "00ff"},
    {FR_UUID, "0123ABCD-0000", "0123abcd-0000", "0123abcd-0000"},
    {FR_JSON, "{\"b\": 1, \"a\":[1.50, null]}", "{\"a\":[1.5,null],\"b\":1}",
     "{\"a\":[1.5,null],\"b\":1}"},
    {FR_JSON, "{", "{", "{"},
    {FR_DATE, "1970-01-02", "1", "1970-01-02"},
    {FR_DATE, "2026-02-30", "2026-02-30", "2026-02-30"},
    {FR_DATE, "0001-12-31 BC", "-719163", "0000-12-31"},
    {FR_DATE, "2026-01-01 00:00:00", "20454", "2026-01-01"},
    {FR_DATE, "2026-01-01 00:00:01", "2026-01-01 00:00:01", "2026-01-01 00:00:01"},
    {FR_DATE, "infinity", "infinity", "infinity"},
    {FR_TIME, "-00:00:00.5", "-500000", "-00:00:00.500000"},
    {FR_TIME, "838:59:59", "3020399000000", "838:59:59.000000"},
    {FR_TIME, "24:00", "86400000000", "24:00:00.000000"},
    {FR_DATETIME, "1969-12-31 23:59:59.999999", "-1", "1969-12-31 23:59:59.999999"},
    {FR_DATETIME, "1970-01-01T00:00", "0", "1970-01-01 00:00:00.000000"},
    {FR_TIMESTAMP, "1970-01-01 02:00:00.1+02", "100000", "1970-01-01 00:00:00.100000"},
    {FR_TIMESTAMP, "1970-01-01 00:00:00-00:30", "1800000000", "1970-01-01 00:30:00.000000"},
    {FR_DATETIME, "405252-01-05", "405252-01-05", "405252-01-05"},
    {FR_DATETIME, "9223372036854775807", "9223372036854775807", "9223372036854775807"},
    {FR_TIMESTAMP, "1970-01-01 00:00:00Z", "0", "1970-01-01 00:00:00.000000"},
    {FR_TIMESTAMP, "1970-01-01 00:00:00.0000001", "1970-01-01 00:00:00.0000001",
     "1970-01-01 00:00:00.0000001"},
};

static void a_wrong_text_is_none_of_its_kind(void **state)
{
    (void)state;
    assert_true(fr_verify_fits(FR_BYTES, FR_STR("")));
    assert_true(fr_verify_fits(FR_BYTES, FR_STR("00ff")));
    assert_false(fr_verify_fits(FR_BYTES, FR_STR("00f")));
    assert_false(fr_verify_fits(FR_BYTES, FR_STR("text 00")));
    assert_true(fr_verify_fits(FR_FLOAT64, FR_STR("3fb999999999999a")));
    assert_false(fr_verify_fits(FR_FLOAT64, FR_STR("much")));
    assert_false(fr_verify_fits(FR_FLOAT32, FR_STR("'); DROP TABLE t")));
    assert_true(fr_verify_fits(FR_TEXT, FR_STR("'")));
}

static void texts_of_every_kind(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        fr_str c = fr_verify_canonical(a, values[i].kind, fr_cstr(values[i].raw));
        assert_string_equal(fr_arena_cstr(a, c), values[i].canonical);
        fr_str r = fr_verify_readable(a, values[i].kind, c);
        assert_string_equal(fr_arena_cstr(a, r), values[i].readable);
    }
    fr_arena_free(a);
}

static void null_stays_null(void **state)
{
    (void)state;
    for (int kind = FR_BOOL; kind < FR_KIND_COUNT; kind++)
        assert_null(fr_verify_canonical(NULL, (fr_kind)kind, (fr_str){NULL, 0}).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_every_kind),
        cmocka_unit_test(null_stays_null),
        cmocka_unit_test(a_wrong_text_is_none_of_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
