/* What is recorded of rows that were published and are not deleted yet. */
#include "poll/pending.h"
#include "poll/record.h"
#include "tests/unit/test.h"

static void records(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"v\":1,\"page\":1}",
        "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[\"id\"],\"pending\":[[1,2]]}",
        "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[\"id\"],\"pending\":[[\"1\",-2]]}",
        "{\"v\":1,\"page\":1,\"id\":\"id\",\"columns\":[1],\"pending\":[]}",
        "{\"v\":1,\"page\":-1,\"id\":\"id\",\"columns\":[\"id\"],\"pending\":[]}"};
    fr_pending p = {0}, same = {0};
    fr_err err;
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fr_pending_parse(fr_cstr(bad[i]), &p, &err), FR_FAIL);
        assert_string_equal(err.code, "checkpoint.record");
    }
    assert_int_equal(
        fr_pending_parse(FR_STR("{\"v\":1,\"page\":1,\"order\":[\"id\"],\"at\":[\"7\"]}"), &p,
                         &err),
        FR_FAIL);
    assert_string_equal(err.code, "poll.other_method");
    fr_str columns[] = {FR_STR("id"), FR_STR("a \"b\"")};
    fr_pending_columns(&p, FR_STR("id"), columns, 2);
    fr_pending_add(&p, FR_STR("7"), UINT32_MAX);
    fr_pending_add(&p, FR_STR("x'\n"), 0);
    p.page = 3;
    p.read = 9;
    fr_str text = fr_pending_record(a, &p, FR_STR(""));
    assert_int_equal(fr_pending_parse(text, &same, &err), FR_OK);
    assert_true(fr_str_eq(fr_pending_record(a, &same, FR_STR("")), text));
    assert_int_equal(same.rows[0].sum, UINT32_MAX);
    fr_pending_free(&p);
    fr_pending_free(&same);
    fr_arena_free(a);
}

/* The record as it stands in the topics of those who use it. */
static void a_record_of_before(void **state)
{
    (void)state;
    FILE *f = fopen(FR_SOURCE_DIR "/tests/golden/checkpoints/v1-table-outbox.txt", "re");
    char line[400];
    fr_pending p = {0};
    fr_poll_record other;
    fr_str id = FR_STR("id");
    fr_err err;
    fr_arena *a = fr_arena_new(0);
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    assert_int_equal(fr_pending_parse(fr_cstr(line), &p, &err), FR_OK);
    assert_true(fr_str_is(fr_pending_record(a, &p, FR_STR("")), line));
    assert_int_equal(p.count, 2);
    assert_int_equal(fr_poll_record_parse(a, fr_cstr(line), &id, 1, &other, &err), FR_FAIL);
    assert_string_equal(err.code, "poll.other_method");
    fr_pending_free(&p);
    fr_arena_free(a);
}

/* A column that was widened holds what it held, and so its rows are those that were published; one
 * that holds something else is not. */
static void a_widened_column(void **state)
{
    (void)state;
    static const size_t at[] = {0, 1, 2};
    fr_value before[] = {{.kind = FR_INT32, .integer = -7},
                         {.kind = FR_JSON, .bytes = FR_STR("{\"a\":1}")},
                         {.kind = FR_FLOAT32, .real = 0.5}};
    fr_value after[] = {{.kind = FR_INT64, .integer = -7},
                        {.kind = FR_TEXT, .bytes = FR_STR("{\"a\":1}")},
                        {.kind = FR_FLOAT64, .real = 0.5}};
    fr_row old = {before, 3}, new = {after, 3};
    uint32_t sum = fr_pending_sum(&old, at, 3);
    assert_true(fr_pending_same(&old, at, 3, sum));
    assert_true(fr_pending_same(&new, at, 3, sum));
    after[0].integer = -8;
    assert_false(fr_pending_same(&new, at, 3, sum));
    after[0] = (fr_value){.kind = FR_TIMESTAMP, .integer = -7};
    assert_false(fr_pending_same(&new, at, 3, sum));
}

/* Sums of versions that told the kinds apart are in the topics of those who use it. */
static void a_sum_of_before(void **state)
{
    (void)state;
    static const size_t at[] = {0};
    fr_value value = {.kind = FR_INT32, .integer = 7};
    fr_row row = {&value, 1};
    uint32_t sum = fr_row_crc(0, &row);
    assert_true(sum != fr_pending_sum(&row, at, 1));
    assert_true(fr_pending_same(&row, at, 1, sum));
    value.integer = 8;
    assert_false(fr_pending_same(&row, at, 1, sum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(a_record_of_before),
        cmocka_unit_test(a_widened_column),
        cmocka_unit_test(a_sum_of_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
