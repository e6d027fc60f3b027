#include "unit/test.h"

#include "postgres/pg_sink_value.h"
#include <math.h>

static fr_err err;

static fr_column column(fr_kind kind)
{
    return (fr_column){.name = {"c", 1}, .kind = kind, .precision = 30, .scale = 2};
}

static void expect_bytes(fr_pg_send send, const fr_column *c, const fr_value *v, const char *bytes,
                         size_t len)
{
    fr_buf b = {.ptr = NULL};
    assert_ok(fr_pg_sink_put(&b, send, c, v, &err));
    assert_int_equal(b.len, len + 4);
    assert_int_equal(b.ptr[2] << 8 | b.ptr[3], len);
    assert_memory_equal(b.ptr + 4, bytes, len);
    fr_buf_free(&b);
}

static void expect_refused(fr_pg_send send, const fr_column *c, const fr_value *v)
{
    fr_buf b = {.ptr = NULL};
    assert_fails(fr_pg_sink_put(&b, send, c, v, &err), FR_ERR_DATA);
    assert_string_equal(err.code, "sink.value");
    assert_non_null(strstr(err.text, "column c"));
    fr_buf_free(&b);
}

static void put_integer(fr_pg_send send, fr_kind kind, int64_t v, const char *bytes, size_t len)
{
    fr_column c = column(kind);
    expect_bytes(send, &c, &(fr_value){.kind = kind, .integer = v}, bytes, len);
}

/* The forms of *_recv in PostgreSQL: big-endian, days and microseconds since 2000-01-01. */
static void binary_forms(void **state)
{
    (void)state;
    put_integer(FR_PG_SEND_INT4, FR_INT32, -2, "\xff\xff\xff\xfe", 4);
    put_integer(FR_PG_SEND_INT8, FR_INT32, 258, "\0\0\0\0\0\0\1\2", 8);
    put_integer(FR_PG_SEND_DATE, FR_DATE, 10957, "\0\0\0\0", 4);
    put_integer(FR_PG_SEND_DATE, FR_DATE, 10956, "\xff\xff\xff\xff", 4);
    put_integer(FR_PG_SEND_TIMESTAMP, FR_DATETIME, INT64_C(946684800000001), "\0\0\0\0\0\0\0\1", 8);
    put_integer(FR_PG_SEND_TIMESTAMPTZ, FR_TIMESTAMP, INT64_C(946684799999999),
                "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    put_integer(FR_PG_SEND_TIME, FR_TIME, 1, "\0\0\0\0\0\0\0\1", 8);
    fr_column c = column(FR_UUID);
    expect_bytes(
        FR_PG_SEND_UUID, &c,
        &(fr_value){.kind = FR_UUID, .bytes = FR_STR("00112233-4455-6677-8899-aAbBcCdDeEfF")},
        "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    c = column(FR_FLOAT32);
    expect_bytes(FR_PG_SEND_FLOAT4, &c, &(fr_value){.kind = FR_FLOAT32, .real = 1.5},
                 "\x3f\xc0\0\0", 4);
}

static void null_and_absent(void **state)
{
    (void)state;
    fr_column c = column(FR_TEXT);
    for (int kind = FR_ABSENT; kind <= FR_NULL; kind++) {
        fr_buf b = {.ptr = NULL};
        assert_ok(
            fr_pg_sink_put(&b, FR_PG_SEND_TEXT, &c, &(fr_value){.kind = (fr_kind)kind}, &err));
        assert_int_equal(b.len, 4);
        assert_memory_equal(b.ptr, "\xff\xff\xff\xff", 4);
        fr_buf_free(&b);
    }
}

static void put_as_text(fr_kind kind, const fr_value *v, const char *text)
{
    fr_column c = column(kind);
    expect_bytes(FR_PG_SEND_TEXT, &c, v, text, strlen(text));
}

static void decimal_text(const char *text, int scale)
{
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = {"c", 1}, .kind = FR_DECIMAL, .scale = (int16_t)scale};
    fr_value v = {.kind = FR_DECIMAL};
    assert_ok(fr_decimal_from_text(a, fr_cstr(text), 0, scale, &v.bytes, &err));
    expect_bytes(FR_PG_SEND_TEXT, &c, &v, text, strlen(text));
    fr_arena_free(a);
}

static void texts(void **state)
{
    (void)state;
    put_as_text(FR_BOOL, &(fr_value){.kind = FR_BOOL, .boolean = true}, "true");
    put_as_text(FR_INT64, &(fr_value){.kind = FR_INT64, .integer = INT64_MIN},
                "-9223372036854775808");
    put_as_text(FR_FLOAT32, &(fr_value){.kind = FR_FLOAT32, .real = (double)0.1f}, "0.1");
    put_as_text(FR_FLOAT64, &(fr_value){.kind = FR_FLOAT64, .real = 0.1}, "0.1");
    put_as_text(FR_FLOAT64, &(fr_value){.kind = FR_FLOAT64, .real = 1.0 / 3}, "0.3333333333333333");
    put_as_text(FR_FLOAT64, &(fr_value){.kind = FR_FLOAT64, .real = (double)NAN}, "NaN");
    put_as_text(FR_FLOAT64, &(fr_value){.kind = FR_FLOAT64, .real = (double)-INFINITY},
                "-Infinity");
    put_as_text(FR_DATE, &(fr_value){.kind = FR_DATE, .integer = -719528}, "0001-01-01 BC");
    put_as_text(FR_DATE, &(fr_value){.kind = FR_DATE, .integer = -719162}, "0001-01-01");
    put_as_text(FR_TIME, &(fr_value){.kind = FR_TIME, .integer = INT64_C(-3020399500000)},
                "-838:59:59.5");
    put_as_text(FR_DATETIME, &(fr_value){.kind = FR_DATETIME, .integer = -1},
                "1969-12-31 23:59:59.999999");
    put_as_text(FR_TIMESTAMP, &(fr_value){.kind = FR_TIMESTAMP, .integer = 1500000},
                "1970-01-01 00:00:01.5+00");
    static const char *const decimals[] = {"0.00",
                                           "-0.01",
                                           "0.10",
                                           "92233720368547758.07",
                                           "-92233720368547758.08",
                                           "92233720368547758.08",
                                           "123456789012345678901234567890.12"};
    for (size_t i = 0; i < sizeof(decimals) / sizeof(decimals[0]); i++)
        decimal_text(decimals[i], 2);
    decimal_text("-1", 0);
    decimal_text("0", 0);
    decimal_text("0.000000000000000001", 18);
    decimal_text("-0.0000000000000000001", 19);
}

static void what_the_server_does_not_have(void **state)
{
    (void)state;
    fr_column c = column(FR_TEXT);
    expect_refused(FR_PG_SEND_TEXT, &c, &(fr_value){.kind = FR_TEXT, .bytes = {"a\0b", 3}});
    c = column(FR_DATE);
    const int64_t days[] = {INT64_MIN, INT64_C(-2147483648) + 10957, INT64_C(2147483647) + 10957,
                            INT64_MAX}; /* the middle two would be read as infinities */
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
        expect_refused(FR_PG_SEND_DATE, &c, &(fr_value){.kind = FR_DATE, .integer = days[i]});
    c = column(FR_DATETIME);
    expect_refused(FR_PG_SEND_TIMESTAMP, &c,
                   &(fr_value){.kind = FR_DATETIME, .integer = INT64_MIN});
    expect_refused(FR_PG_SEND_TIMESTAMP, &c,
                   &(fr_value){.kind = FR_DATETIME, .integer = INT64_MAX});
    c = column(FR_TIME);
    expect_refused(FR_PG_SEND_TIME, &c, &(fr_value){.kind = FR_TIME, .integer = -1});
    expect_refused(FR_PG_SEND_TIME, &c,
                   &(fr_value){.kind = FR_TIME, .integer = INT64_C(86400000001)});
    c = column(FR_UUID);
    expect_refused(FR_PG_SEND_UUID, &c, &(fr_value){.kind = FR_UUID, .bytes = FR_STR("0011")});
    c = column(FR_INT64);
    expect_refused(FR_PG_SEND_INT4, &c,
                   &(fr_value){.kind = FR_INT64, .integer = INT64_C(2147483648)});
}

static void another_kind_is_our_mistake(void **state)
{
    (void)state;
    fr_buf b = {.ptr = NULL};
    fr_column c = column(FR_TEXT);
    assert_fails(fr_pg_sink_put(&b, FR_PG_SEND_TEXT, &c, &(fr_value){.kind = FR_INT32}, &err),
                 FR_ERR_BUG);
    fr_buf_free(&b);
}

static fr_pg_fit fit(fr_kind kind, uint32_t type, char category, int32_t typmod)
{
    fr_pg_send send;
    bool cast;
    fr_column c = {.kind = kind, .precision = 10, .scale = 2};
    fr_pg_column to = {.type = type, .category = category, .typmod = typmod};
    return fr_pg_sink_fit(&c, &to, &send, &cast);
}

static fr_pg_fit fit_bytes(const char *type_text, char category)
{
    fr_pg_send send;
    bool cast;
    fr_column c = {.kind = FR_BYTES};
    fr_pg_column to = {.type = 70000, .type_text = fr_cstr(type_text), .category = category};
    return fr_pg_sink_fit(&c, &to, &send, &cast);
}

static int32_t numeric(int precision, int scale)
{
    return (precision << 16 | (scale & 0x7ff)) + 4;
}

/* What the server would change in silence is not FINE. */
static void fits(void **state)
{
    (void)state;
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', numeric(10, 2)), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', numeric(12, 4)), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', -1), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', numeric(10, 1)), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', numeric(10, 3)), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_DECIMAL, 1700, 'N', numeric(9, -2)), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_DECIMAL, 701, 'N', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_INT64, 23, 'N', -1), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_INT64, 701, 'N', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_INT32, 21, 'N', -1), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_INT32, 1082, 'D', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_FLOAT64, 700, 'N', -1), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_TEXT, 17, 'U', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_TEXT, 19, 'S', -1), FR_PG_FIT_NARROW);
    assert_int_equal(fit(FR_TEXT, 700, 'N', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_TEXT, 1043, 'S', 9), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_BYTES, 25, 'S', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit_bytes("geometry", 'U'), FR_PG_FIT_FINE);
    assert_int_equal(fit_bytes("gis.geography", 'U'), FR_PG_FIT_FINE);
    assert_int_equal(fit_bytes("gis.mygeography", 'U'), FR_PG_FIT_NEVER);
    assert_int_equal(fit_bytes("geometry", 'C'), FR_PG_FIT_NEVER); /* somebody's composite */
    assert_int_equal(fit_bytes("gis.box3d", 'U'), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_DATETIME, 1184, 'D', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_DATETIME, 1114, 'D', 0), FR_PG_FIT_LOSSY);
    assert_int_equal(fit(FR_DATETIME, 1114, 'D', 6), FR_PG_FIT_FINE);
    assert_int_equal(fit(FR_TIME, 1266, 'D', -1), FR_PG_FIT_NEVER);
    assert_int_equal(fit(FR_JSON, 1007, 'A', -1), FR_PG_FIT_FINE);
}

static void types_we_create(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.kind = FR_TEXT, .native_type = FR_STR("inet")};
    assert_str(fr_pg_sink_type(a, &c), "inet");
    c.native_type = FR_STR("inet; DROP TABLE x");
    assert_str(fr_pg_sink_type(a, &c), "text");
    c = (fr_column){.kind = FR_JSON, .native_type = FR_STR("integer[]")};
    assert_str(fr_pg_sink_type(a, &c), "integer[]");
    c.native_type = FR_STR("mood[]");
    assert_str(fr_pg_sink_type(a, &c), "json");
    c.key_ordinal = 1;
    assert_str(fr_pg_sink_type(a, &c), "text");
    c = (fr_column){.kind = FR_DECIMAL, .precision = 10, .scale = 2};
    assert_str(fr_pg_sink_type(a, &c), "numeric(10,2)");
    fr_pg_column to = {.type = 1700, .typmod = numeric(6, 4)};
    assert_str(fr_pg_sink_wider(a, &c, &to), "numeric(12,4)");
    c.precision = 0;
    assert_str(fr_pg_sink_type(a, &c), "numeric");
    fr_arena_free(a);
}

static void keys_that_are_exact(void **state)
{
    (void)state;
    static const struct {
        fr_kind kind;
        fr_pg_column to;
        bool exact;
    } cases[] = {
        {FR_TEXT, {.type = 25, .category = 'S'}, true},
        {FR_TEXT, {.type = 1043, .category = 'S'}, true},
        {FR_TEXT, {.type = 25, .category = 'S', .loose = true}, false},
        {FR_TEXT, {.type = 1042, .category = 'S'}, false},  /* char(n) */
        {FR_TEXT, {.type = 99999, .category = 'S'}, false}, /* citext */
        {FR_TEXT, {.type = 1700, .category = 'N'}, false},
        {FR_TEXT, {.type = 99999, .category = 'E'}, true},
        {FR_INT32, {.type = 23, .category = 'N'}, true},
        {FR_INT32, {.type = 16, .category = 'B'}, false},
        {FR_INT64, {.type = 1042, .category = 'S'}, false},
        {FR_FLOAT64, {.type = 701, .category = 'N'}, false},
        {FR_BYTES, {.type = 17, .category = 'U'}, true},
        {FR_BYTES, {.type = 99999, .category = 'U'}, false},
        {FR_UUID, {.type = 2950, .category = 'U'}, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_column c = column(cases[i].kind);
        assert_int_equal(fr_pg_sink_exact_key(&c, &cases[i].to), cases[i].exact);
    }
}

static void units_of_columns_that_round(void **state)
{
    (void)state;
    fr_column c = column(FR_TIMESTAMP);
    fr_pg_column to = {.type = 1184, .category = 'D', .typmod = -1};
    assert_int_equal(fr_pg_sink_unit(&c, &to), 0);
    to.typmod = 6;
    assert_int_equal(fr_pg_sink_unit(&c, &to), 0);
    to.typmod = 3;
    assert_int_equal(fr_pg_sink_unit(&c, &to), 1000);
    to.typmod = 0;
    assert_int_equal(fr_pg_sink_unit(&c, &to), 1000000);
    c = column(FR_DATE);
    assert_int_equal(fr_pg_sink_unit(&c, &to), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_forms),
        cmocka_unit_test(null_and_absent),
        cmocka_unit_test(texts),
        cmocka_unit_test(what_the_server_does_not_have),
        cmocka_unit_test(another_kind_is_our_mistake),
        cmocka_unit_test(fits),
        cmocka_unit_test(types_we_create),
        cmocka_unit_test(keys_that_are_exact),
        cmocka_unit_test(units_of_columns_that_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
