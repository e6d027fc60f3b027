#include "unit/test.h"

#include "mysql/my_sink_value.h"
#include "sql/collapse.h"
#include <math.h>

static fr_err err;

static fr_column column(fr_kind kind, const char *native)
{
    return (fr_column){.name = {"c", 1},
                       .kind = kind,
                       .precision = 30,
                       .scale = 2,
                       .native_type = fr_cstr(native)};
}

static fr_my_target_column target(const char *type)
{
    return (fr_my_target_column){.name = {"c", 1}, .type = fr_cstr(type), .shown = fr_cstr(type)};
}

/* A value as text, without knowing the target. */
static void expect_text(const fr_column *c, const fr_value *v, const char *text)
{
    fr_my_cells cells = {.cap = 0};
    fr_my_cells_begin(&cells, FR_MY_SEND_TEXT);
    assert_ok(fr_my_sink_put(&cells, c, NULL, v, &err));
    assert_str(fr_buf_view(&cells.data), text);
    assert_int_equal(cells.lengths[0], strlen(text));
    fr_my_cells_free(&cells);
}

static void expect_refused(fr_my_send send, const fr_column *c, const fr_my_target_column *to,
                           const fr_value *v, const char *code)
{
    fr_my_cells cells = {.cap = 0};
    fr_my_cells_begin(&cells, send);
    assert_fails(fr_my_sink_put(&cells, c, to, v, &err), FR_ERR_DATA);
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.text, "column c"));
    assert_int_equal(cells.count, 0);
    fr_my_cells_free(&cells);
}

static void time_text(fr_kind kind, int64_t v, const char *text)
{
    fr_column c = column(kind, "");
    expect_text(&c, &(fr_value){.kind = kind, .integer = v}, text);
}

static void texts_that_the_server_reads(void **state)
{
    (void)state;
    time_text(FR_INT64, INT64_MIN, "-9223372036854775808");
    time_text(FR_DATE, 0, "1970-01-01");
    time_text(FR_DATE, fr_days_from_civil(1, 1, 1), "0001-01-01");
    time_text(FR_DATE, fr_days_from_civil(9999, 12, 31), "9999-12-31");
    time_text(FR_TIME, 1, "00:00:00.000001");
    time_text(FR_TIME, -1, "-00:00:00.000001");
    time_text(FR_TIME, INT64_C(3020399000000), "838:59:59");
    time_text(FR_DATETIME, -1, "1969-12-31 23:59:59.999999");
    time_text(FR_DATETIME, INT64_C(1700000000000000), "2023-11-14 22:13:20");
    time_text(FR_TIMESTAMP, INT64_C(1700000000000010), "2023-11-14 22:13:20.000010");
    fr_column d = column(FR_DECIMAL, ""), f = column(FR_FLOAT32, ""), b = column(FR_BOOL, "");
    expect_text(&d, &(fr_value){.kind = FR_DECIMAL, .bytes = {"\xff", 1}}, "-0.01");
    expect_text(&d, &(fr_value){.kind = FR_DECIMAL, .bytes = {"\0", 1}}, "0.00");
    expect_text(&d, &(fr_value){.kind = FR_DECIMAL, .bytes = {"\x01\0\0\0\0\0\0\0\0", 9}},
                "184467440737095516.16");
    expect_text(&f, &(fr_value){.kind = FR_FLOAT32, .real = (double)0.1F}, "0.1");
    expect_text(&b, &(fr_value){.kind = FR_BOOL, .boolean = true}, "true");
}

static void values_the_server_would_change(void **state)
{
    (void)state;
    fr_column text = column(FR_TEXT, ""), bytes = column(FR_BYTES, ""), day = column(FR_DATE, "");
    fr_column stamp = column(FR_TIMESTAMP, ""), real = column(FR_FLOAT64, "");
    fr_column year = column(FR_INT32, "");
    fr_my_target_column varchar = target("varchar"), binary = target("binary");
    varchar.length = 3;
    varchar.charset = FR_STR("utf8mb4");
    binary.length = 4;
    fr_my_target_column label = target("enum"), must = target("timestamp");
    label.shown = FR_STR("enum('a','12','3')");
    must.not_null = true;
    const fr_value spaces = {.kind = FR_TEXT, .bytes = {"abc ", 4}};
    const fr_value digits = {.kind = FR_TEXT, .bytes = {"1", 1}};
    expect_refused(FR_MY_SEND_TEXT, &text, &varchar, &spaces, "sink.value");
    expect_refused(FR_MY_SEND_LABEL, &text, &label, &digits, "sink.value");
    expect_refused(FR_MY_SEND_BLOB, &bytes, &binary,
                   &(fr_value){.kind = FR_BYTES, .bytes = {"abc", 3}}, "sink.value");
    expect_refused(FR_MY_SEND_BLOB, &bytes, &binary,
                   &(fr_value){.kind = FR_BYTES, .bytes = {"abcde", 5}}, "sink.value");
    expect_refused(FR_MY_SEND_TEXT, &stamp, &must, &(fr_value){.kind = FR_NULL}, "sink.not_null");
    expect_refused(FR_MY_SEND_TEXT, &day, NULL, &(fr_value){.kind = FR_DATE, .integer = 2932897},
                   "sink.value");
    expect_refused(FR_MY_SEND_TEXT, &day, NULL, &(fr_value){.kind = FR_DATE, .integer = -719163},
                   "sink.value");
    expect_refused(FR_MY_SEND_TEXT, &stamp, NULL,
                   &(fr_value){.kind = FR_TIMESTAMP, .integer = INT64_MIN}, "sink.value");
    expect_refused(FR_MY_SEND_DOUBLE, &real, NULL, &(fr_value){.kind = FR_FLOAT64, .real = NAN},
                   "sink.value");
    expect_refused(FR_MY_SEND_TEXT, &real, NULL, &(fr_value){.kind = FR_FLOAT64, .real = INFINITY},
                   "sink.value");
    expect_refused(FR_MY_SEND_YEAR, &year, NULL, &(fr_value){.kind = FR_INT32, .integer = 70},
                   "sink.value");
}

static void characters_are_counted_not_bytes(void **state)
{
    (void)state;
    fr_column c = column(FR_TEXT, "");
    fr_my_target_column to = target("varchar");
    to.length = 3;
    to.charset = FR_STR("utf8mb4");
    fr_my_cells cells = {.cap = 0};
    fr_my_cells_begin(&cells, FR_MY_SEND_TEXT);
    fr_value v = {.kind = FR_TEXT, .bytes = FR_STR("\xc3\xa9\xf0\x9f\x98\x80x")};
    assert_ok(fr_my_sink_put(&cells, &c, &to, &v, &err));
    assert_int_equal(cells.lengths[0], 7);
    fr_my_cells_free(&cells);
}

static void arrays_and_rows_bind_the_same(void **state)
{
    (void)state;
    fr_my_cells cells = {.cap = 0};
    fr_my_cells_begin(&cells, FR_MY_SEND_TEXT);
    for (int i = 0; i < 100; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "row %d", i);
        if (i % 7 == 3)
            fr_my_cells_null(&cells);
        else
            fr_my_cells_bytes(&cells, text, (size_t)n);
    }
    MYSQL_BIND all, one;
    fr_my_cells_bind_array(&cells, &all);
    for (size_t i = 0; i < 100; i++) {
        fr_my_cells_bind_row(&cells, i, &one);
        assert_int_equal(all.u.indicator[i],
                         i % 7 == 3 ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE);
        assert_int_equal(*one.is_null, i % 7 == 3);
        assert_ptr_equal(((char **)all.buffer)[i], one.buffer);
        assert_int_equal(all.length[i], *one.length);
    }
    fr_my_cells_begin(&cells, FR_MY_SEND_INT);
    fr_my_cells_int(&cells, 7);
    fr_my_cells_null(&cells);
    fr_my_cells_int(&cells, -7);
    fr_my_cells_bind_array(&cells, &all);
    int64_t numbers[3];
    memcpy(numbers, all.buffer, sizeof(numbers));
    assert_int_equal(numbers[0], 7);
    assert_int_equal(numbers[2], -7);
    fr_my_cells_free(&cells);
}

static fr_str key_of(fr_arena *a, fr_kind kind, fr_value v)
{
    fr_column c = column(kind, "");
    fr_buf b = {.arena = a};
    v.kind = kind;
    fr_target_put_key(&b, &c, &v);
    return fr_buf_view(&b);
}

static void keys_are_in_order(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const int64_t numbers[] = {INT64_MIN, -2, -1, 0, 1, 255, 256, INT64_MAX};
    for (size_t i = 0; i + 1 < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_true(fr_str_cmp(key_of(a, FR_INT64, (fr_value){.integer = numbers[i]}),
                               key_of(a, FR_INT64, (fr_value){.integer = numbers[i + 1]})) < 0);
    fr_str one = key_of(a, FR_TEXT, (fr_value){.bytes = FR_STR("a")});
    fr_str other = key_of(a, FR_TEXT, (fr_value){.bytes = FR_STR("a\0\0\0\0")});
    assert_false(fr_str_eq(one, other));
    fr_arena_free(a);
}

static void expect_fit(fr_kind kind, const char *native, const fr_my_target_column *to,
                       fr_my_fit fit)
{
    fr_my_send send;
    fr_column c = column(kind, native);
    if (fr_my_sink_fit(&c, to, &send) != fit)
        fail_msg("%s (%s) into %.*s", fr_kind_name(kind), native, FR_ARG(to->shown));
}

static void what_goes_into_what(void **state)
{
    (void)state;
    fr_my_target_column to = target("int");
    expect_fit(FR_INT32, "", &to, FR_MY_FIT_FINE);
    expect_fit(FR_INT64, "", &to, FR_MY_FIT_NARROW);
    expect_fit(FR_TEXT, "", &to, FR_MY_FIT_NEVER);
    expect_fit(FR_DECIMAL, "", &to, FR_MY_FIT_NARROW); /* a scale of 2 */
    to.is_unsigned = true;
    expect_fit(FR_INT64, "", &to, FR_MY_FIT_FINE);
    to = target("datetime");
    expect_fit(FR_DATETIME, "datetime", &to, FR_MY_FIT_FINE);
    expect_fit(FR_DATETIME, "datetime(3)", &to, FR_MY_FIT_LOSSY);
    expect_fit(FR_DATETIME, "timestamp without time zone", &to, FR_MY_FIT_LOSSY);
    to.digits = 3;
    expect_fit(FR_DATETIME, "datetime(3)", &to, FR_MY_FIT_FINE);
    expect_fit(FR_TIMESTAMP, "timestamp(6)", &to, FR_MY_FIT_LOSSY);
    to = target("timestamp");
    expect_fit(FR_DATETIME, "", &to, FR_MY_FIT_NEVER);
    to = target("varchar");
    to.length = 10;
    to.charset = FR_STR("utf8mb4");
    expect_fit(FR_TEXT, "varchar(10)", &to, FR_MY_FIT_FINE);
    expect_fit(FR_TEXT, "character varying(11)", &to, FR_MY_FIT_NARROW);
    expect_fit(FR_TEXT, "text", &to, FR_MY_FIT_FINE);
    expect_fit(FR_BYTES, "", &to, FR_MY_FIT_NEVER);
    to = target("float");
    expect_fit(FR_FLOAT32, "", &to, FR_MY_FIT_FINE);
    to.shown = FR_STR("float(7,4)");
    expect_fit(FR_FLOAT32, "", &to, FR_MY_FIT_NARROW);
}

static void expect_type(const fr_my_abilities *can, fr_column c, size_t room, const char *type)
{
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_my_sink_type(a, can, &c, room), type);
    fr_arena_free(a);
}

static void types_of_columns_we_make(void **state)
{
    (void)state;
    fr_my_abilities new = {.version = 101119,
                           .mariadb = true,
                           .fractions = true,
                           .uuid = true,
                           .exact = "utf8mb4_nopad_bin"};
    fr_my_abilities old = {.version = 50509, .exact = "utf8mb4_bin"};
    expect_type(&new, column(FR_TEXT, "varchar(20)"), 2000, "varchar(20) CHARACTER SET utf8mb4");
    expect_type(&new, column(FR_TEXT, "varchar(20)"), 70, "longtext CHARACTER SET utf8mb4");
    expect_type(&new, column(FR_TEXT, "varchar(300)"), 2000, "longtext CHARACTER SET utf8mb4");
    expect_type(&new, column(FR_TIMESTAMP, "timestamp(3)"), 0, "timestamp(6)");
    expect_type(&new, column(FR_TIMESTAMP, "timestamp with time zone"), 0, "datetime(6)");
    expect_type(&old, column(FR_TIMESTAMP, "timestamp"), 0, "timestamp");
    expect_type(&old, column(FR_UUID, "uuid"), 0, "char(36) CHARACTER SET ascii COLLATE ascii_bin");
    fr_column key = column(FR_TEXT, "text");
    key.key_ordinal = 1;
    expect_type(&old, key, 767, "varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    expect_type(&new, key, 3072, "varchar(768) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
    key.native_type = FR_STR("varchar(30)");
    expect_type(&new, key, 3072, "varchar(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
    fr_column wide = column(FR_DECIMAL, "numeric");
    wide.precision = 66;
    expect_type(&new, wide, 2000, "longtext CHARACTER SET ascii");
    wide.precision = 65;
    expect_type(&new, wide, 2000, "decimal(65,2)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_the_server_reads),
        cmocka_unit_test(values_the_server_would_change),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(arrays_and_rows_bind_the_same),
        cmocka_unit_test(keys_are_in_order),
        cmocka_unit_test(what_goes_into_what),
        cmocka_unit_test(types_of_columns_we_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
