#include "unit/test.h"

#include "base/clock.h"
#include "model/batch.h"
#include <math.h>

static void decimals_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int scale;
        const char *hex, *back;
    } cases[] = {
        {"0", 0, "00", "0"},
        {"-0", 2, "00", "0.00"},
        {"12.30", 2, "04ce", "12.30"},
        {"12.3", 2, "04ce", "12.30"},
        {"-1", 0, "ff", "-1"},
        {"128", 0, "0080", "128"},
        {"-128", 0, "80", "-128"},
        {"-129", 0, "ff7f", "-129"},
        {".05", 2, "05", "0.05"},
        {"-.05", 3, "ce", "-0.050"},
        {"9223372036854775808", 0, "008000000000000000", "9223372036854775808"},
        {"-9223372036854775808", 0, "8000000000000000", "-9223372036854775808"},
        {"99999999999999999999999999999999999999.123456789012345678901234567890", 30, NULL,
         "99999999999999999999999999999999999999.123456789012345678901234567890"},
        {"000012.5000", 1, "7d", "12.5"},
    };
    fr_arena *a = fr_arena_new(0);
    fr_err err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_str out;
        assert_ok(fr_decimal_from_text(a, fr_cstr(cases[i].text), 0, cases[i].scale, &out, &err));
        char hex[200] = "";
        for (size_t k = 0; k < out.len; k++)
            snprintf(hex + 2 * k, 3, "%02x", (unsigned char)out.ptr[k]);
        if (cases[i].hex != NULL)
            assert_string_equal(hex, cases[i].hex);
        assert_str(fr_decimal_to_text(a, out, cases[i].scale), cases[i].back);
    }
    fr_str out;
    assert_fails(fr_decimal_from_text(a, FR_STR("1.234"), 0, 2, &out, &err), FR_ERR_DATA);
    assert_fails(fr_decimal_from_text(a, FR_STR("1234.5"), 5, 2, &out, &err), FR_ERR_DATA);
    assert_fails(fr_decimal_from_text(a, FR_STR("NaN"), 0, 2, &out, &err), FR_ERR_DATA);
    assert_fails(fr_decimal_from_text(a, FR_STR("1e5"), 0, 2, &out, &err), FR_ERR_DATA);
    assert_fails(fr_decimal_from_text(a, FR_STR(""), 0, 2, &out, &err), FR_ERR_DATA);
    fr_arena_free(a);
}

static void dates_go_both_ways(void **state)
{
    (void)state;
    for (int64_t d = -1500000; d < 3000000; d += 977) {
        int64_t y;
        unsigned m, day;
        fr_civil_from_days(d, &y, &m, &day);
        assert_true(fr_days_from_civil(y, m, day) == d);
    }
    assert_true(fr_days_from_civil(2000, 3, 1) == 11017);
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_date_text(a, 0), "1970-01-01");
    assert_str(fr_datetime_text(a, -1), "1969-12-31T23:59:59.999999");
    assert_str(fr_datetime_text(a, 1500000), "1970-01-01T00:00:01.5");
    assert_str(fr_time_of_day_text(a, -3600000000), "-01:00:00");
    assert_str(fr_date_text(a, fr_days_from_civil(-43, 3, 15)), "-0043-03-15");
    fr_arena_free(a);
}

static const fr_table *a_table(void)
{
    static const fr_column columns[] = {
        {.name = {"id", 2}, .kind = FR_INT32, .key_ordinal = 1},
        {.name = {"price", 5}, .kind = FR_DECIMAL, .nullable = true, .precision = 10, .scale = 2},
        {.name = {"at", 2}, .kind = FR_TIMESTAMP},
    };
    fr_table like = {
        .space = {"public", 6}, .name = {"t", 1}, .column_count = 3, .columns = columns};
    return fr_table_new(&like);
}

static void values_print_as_json(void **state)
{
    (void)state;
    const fr_table *t = a_table();
    fr_buf b = {0};
    fr_value v = {.kind = FR_DECIMAL, .bytes = {"\x04\xce", 2}};
    fr_value_json(&b, &t->columns[1], &v);
    v = (fr_value){.kind = FR_TIMESTAMP, .integer = 1000};
    fr_value_json(&b, &t->columns[2], &v);
    v = (fr_value){.kind = FR_NULL};
    fr_value_json(&b, &t->columns[2], &v);
    assert_str(fr_buf_view(&b), "\"12.30\"\"1970-01-01T00:00:00.001Z\"null");
    b.len = 0;
    v = (fr_value){.kind = FR_TIMESTAMP, .integer = INT64_MIN};
    fr_value_json(&b, &t->columns[2], &v);
    v.integer = INT64_MAX;
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_buf_view(&b), "\"-infinity\""); /* a dead letter's, which is read again */
    assert_str(fr_value_text(a, &t->columns[2], &v), "infinity");
    v.integer = 0;
    assert_str(fr_value_text(a, &t->columns[2], &v), "1970-01-01T00:00:00Z");
    fr_arena_free(a);
    fr_buf_free(&b);
    fr_table_unref(t);
}

static void batches_hold_their_tables(void **state)
{
    (void)state;
    const fr_table *t = a_table();
    fr_batch *b = fr_batch_new(2, 1 << 20);
    fr_event *e = fr_batch_add(b, FR_OP_INSERT, t);
    fr_table_unref(t); /* the batch keeps it alive */
    fr_value *values = fr_batch_row(b, e->table, &e->after);
    assert_int_equal(values[2].kind, FR_ABSENT);
    assert_non_null(fr_batch_add(b, FR_OP_COMMIT, NULL));
    assert_null(fr_batch_add(b, FR_OP_COMMIT, NULL));
    assert_true(fr_str_is(b->events[0].table->name, "t"));
    b->count = 0; /* dropped: the reference goes with the reset */
    assert_int_equal(b->table_count, 1);
    fr_batch_reset(b);
    assert_int_equal(b->table_count, 0);
    fr_batch_free(b);
}

static void tables_compare_by_shape(void **state)
{
    (void)state;
    const fr_table *a = a_table(), *b = a_table();
    assert_true(fr_table_same(a, b));
    assert_true(a->serial != b->serial);
    fr_column columns[3];
    memcpy(columns, a->columns, sizeof(columns));
    columns[1].scale = 3;
    fr_table like = *a;
    like.columns = columns;
    const fr_table *c = fr_table_new(&like);
    assert_false(fr_table_same(a, c));
    assert_int_equal(fr_table_find(a, FR_STR("at")), 2);
    assert_int_equal(fr_table_find(a, FR_STR("no")), -1);
    fr_table_unref(a);
    fr_table_unref(b);
    fr_table_unref(c);
}

static void pools_bound_what_is_read(void **state)
{
    (void)state;
    fr_pool *p = fr_pool_new(2, 10, 1000);
    fr_batch *a = fr_pool_take(p, fr_now_us()), *b = fr_pool_take(p, fr_now_us());
    assert_non_null(a);
    assert_non_null(b);
    assert_null(fr_pool_take(p, fr_now_us() + 1000));
    assert_int_equal(fr_pool_count(p), 0);
    fr_pool_give(p, a);
    assert_ptr_equal(fr_pool_take(p, fr_now_us()), a);
    fr_pool_give(p, a);
    fr_pool_give(p, b);
    fr_pool_close(p);
    assert_null(fr_pool_take(p, fr_now_us() + 1000000));
    fr_pool_free(p);
}

/* Four batches of 1,000 bytes each: one with 3,000 leaves room for one more. */
static void a_heavy_batch_takes_the_place_of_several(void **state)
{
    (void)state;
    fr_pool *p = fr_pool_new(4, 10, 1000);
    fr_batch *heavy = fr_pool_take(p, fr_now_us());
    assert_int_equal(heavy->weight, 1);
    fr_arena_alloc(heavy->arena, 3000);
    fr_pool_weigh(p, heavy);
    assert_int_equal(heavy->weight, 3);
    fr_batch *light = fr_pool_take(p, fr_now_us());
    assert_non_null(light);
    fr_pool_weigh(p, light);
    assert_int_equal(light->weight, 1);
    assert_null(fr_pool_take(p, fr_now_us() + 1000));
    fr_pool_give(p, heavy);
    assert_ptr_equal(fr_pool_take(p, fr_now_us()), heavy);
    assert_int_equal(heavy->weight, 1);
    fr_pool_give(p, light);
    fr_arena_alloc(heavy->arena, 90000); /* more than all of the pool: it must pass alone */
    fr_pool_weigh(p, heavy);
    assert_null(fr_pool_take(p, fr_now_us() + 1000));
    fr_pool_give(p, heavy);
    assert_non_null(light = fr_pool_take(p, fr_now_us()));
    fr_pool_give(p, light);
    fr_pool_free(p);
}

static void row_sums_tell_rows_apart(void **state)
{
    (void)state;
    fr_value x[2] = {{.kind = FR_TEXT, .bytes = {"ab", 2}}, {.kind = FR_TEXT, .bytes = {"c", 1}}};
    fr_value y[2] = {{.kind = FR_TEXT, .bytes = {"a", 1}}, {.kind = FR_TEXT, .bytes = {"bc", 2}}};
    fr_row rx = {x, 2}, ry = {y, 2};
    assert_true(fr_row_crc(0, &rx) != fr_row_crc(0, &ry));
    y[0] = x[0];
    y[1] = x[1];
    assert_true(fr_row_crc(0, &rx) == fr_row_crc(0, &ry));
}

static void values_are_the_same_by_kind_and_bits(void **state)
{
    (void)state;
    fr_value v[] = {{.kind = FR_TEXT, .bytes = {"ab", 2}},   {.kind = FR_BYTES, .bytes = {"ab", 2}},
                    {.kind = FR_TEXT, .bytes = {"ac", 2}},   {.kind = FR_FLOAT64, .real = 0.0},
                    {.kind = FR_FLOAT64, .real = -0.0},      {.kind = FR_FLOAT64, .real = NAN},
                    {.kind = FR_INT32, .integer = 0},        {.kind = FR_INT64, .integer = 0},
                    {.kind = FR_BOOL, .boolean = false},     {.kind = FR_BOOL, .boolean = true},
                    {.kind = FR_NULL, .bytes = {"left", 4}}, {.kind = FR_ABSENT}};
    size_t count = sizeof(v) / sizeof(v[0]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            assert_int_equal(fr_value_same(&v[i], &v[j]), i == j);
    fr_value text = {.kind = FR_TEXT, .bytes = fr_cstr("ab")}, null = {.kind = FR_NULL};
    assert_true(fr_value_same(&v[0], &text));
    assert_true(fr_value_same(&v[10], &null));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_go_both_ways),
        cmocka_unit_test(dates_go_both_ways),
        cmocka_unit_test(values_print_as_json),
        cmocka_unit_test(batches_hold_their_tables),
        cmocka_unit_test(tables_compare_by_shape),
        cmocka_unit_test(pools_bound_what_is_read),
        cmocka_unit_test(a_heavy_batch_takes_the_place_of_several),
        cmocka_unit_test(row_sums_tell_rows_apart),
        cmocka_unit_test(values_are_the_same_by_kind_and_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
