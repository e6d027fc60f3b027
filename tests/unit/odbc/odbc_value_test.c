/* What drivers give and get: days, times, numbers, and marks in statements. */
#include "connectors/odbc/odbc_value.h"
#include "unit/odbc/arena.h"

static void moments(void **state)
{
    (void)state;
    SQL_TIMESTAMP_STRUCT t = {2026, 11, 27, 7, 8, 9, 123456000};
    int64_t us;
    assert_ok(fr_odbc_moment(&t, &us, &err));
    assert_int_equal(us, 1795763289123456);
    t.fraction = 123456700;
    assert_fails(fr_odbc_moment(&t, &us, &err), FR_ERR_DATA);
    assert_string_equal(err.code, "odbc.value.fraction");
    t = (SQL_TIMESTAMP_STRUCT){1969, 12, 31, 23, 59, 59, 999999000};
    assert_ok(fr_odbc_moment(&t, &us, &err));
    assert_int_equal(us, -1);
    static const SQL_TIMESTAMP_STRUCT none[] = {
        {0, 0, 0, 0, 0, 0, 0},     {2021, 2, 29, 0, 0, 0, 0},        {2021, 13, 1, 0, 0, 0, 0},
        {2021, 1, 1, 24, 0, 0, 0}, {2021, 1, 1, 0, 0, 60, 0},        {2021, 1, 32, 0, 0, 0, 0},
        {2021, 1, 1, 0, 60, 0, 0}, {2021, 1, 1, 0, 0, 0, 1000000000}};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_fails(fr_odbc_moment(&none[i], &us, &err), FR_ERR_DATA);
    SQL_DATE_STRUCT d = {1970, 1, 2};
    assert_ok(fr_odbc_date(&d, &us, &err));
    assert_int_equal(us, 1);
    d.day = 0;
    assert_fails(fr_odbc_date(&d, &us, &err), FR_ERR_DATA);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"00:00:00", 0},
                {"3:04:05.5", 11045500000},
                {"23:59:59.999999", 86399999999},
                {"-838:59:59", -3020399000000},
                {"01:02:03.123456000", 3723123456}};
    static const char *const none[] = {"",         "12",        "12:00",           "12:60:00",
                                       "12:00:60", "12:00:00.", "12:00:00x",       "--1:00:00",
                                       "12:0:00",  "a:00:00",   "12:00:00.1234567"};
    int64_t us;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_ok(fr_odbc_time(fr_cstr(good[i].text), &us, &err));
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_fails(fr_odbc_time(fr_cstr(none[i]), &us, &err), FR_ERR_DATA);
}

static void numbers(void **state)
{
    (void)state;
    fr_odbc_column c = {.kind = FR_DECIMAL, .precision = 6, .scale = 2};
    static const char *const texts[][2] = {
        {"12.3", "12.30"}, {".5", "0.50"},      {"-.5", "-0.50"},         {"+.25", "0.25"},
        {"7.", "7.00"},    {"  1.00 ", "1.00"}, {"-1234.56", "-1234.56"}, {"0", "0.00"}};
    static const char *const none[] = {"", ".", "-", "1,5", "1.234", "12345.00", "1E5", "NaN"};
    fr_str out;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_ok(fr_odbc_decimal(a, fr_cstr(texts[i][0]), &c, &out, &err));
        assert_str(fr_decimal_to_text(a, out, 2), texts[i][1]);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_fails(fr_odbc_decimal(a, fr_cstr(none[i]), &c, &out, &err), FR_ERR_DATA);
    fr_odbc_column small = {.kind = FR_INT32};
    fr_value v;
    assert_ok(fr_odbc_int(&small, INT32_MIN, &v, &err));
    assert_fails(fr_odbc_int(&small, (int64_t)INT32_MAX + 1, &v, &err), FR_ERR_DATA);
    assert_ok(fr_odbc_uuid(a, FR_STR("{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}"), &out, &err));
    assert_str(out, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    assert_fails(fr_odbc_uuid(a, FR_STR("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"), &out, &err),
                 FR_ERR_DATA);
}

static void from_text(void **state)
{
    (void)state;
    static const struct {
        fr_kind kind;
        const char *text;
        int64_t want; /* of real numbers: whole */
    } good[] = {{FR_INT64, "-9223372036854775808", INT64_MIN},
                {FR_INT32, "7", 7},
                {FR_BOOL, "1", 1},
                {FR_FLOAT64, "3", 3},
                {FR_FLOAT32, "-2.0", -2},
                {FR_DATE, "1970-01-02", 1},
                {FR_DATETIME, "1970-01-01T00:00:01.5", 1500000},
                {FR_TIMESTAMP, "1970-01-01 00:00:01", 1000000}};
    static const struct {
        fr_kind kind;
        const char *text;
    } none[] = {{FR_INT64, "9223372036854775808"},
                {FR_INT64, "1.5"},
                {FR_INT64, ""},
                {FR_INT32, "2147483648"},
                {FR_BOOL, "2"},
                {FR_BOOL, "true"},
                {FR_FLOAT64, "x"},
                {FR_FLOAT64, "1.8e308"},
                {FR_FLOAT64, ""},
                {FR_DATE, "soon"},
                {FR_DATE, "2021-02-30"},
                {FR_DATETIME, "2021-02-03"},
                {FR_DATE, "5"}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fr_odbc_column c = {.kind = good[i].kind};
        fr_value v;
        assert_ok(fr_odbc_from_text(&c, fr_cstr(good[i].text), &v, &err));
        int64_t got = c.kind == FR_BOOL                              ? v.boolean
                      : c.kind == FR_FLOAT32 || c.kind == FR_FLOAT64 ? (int64_t)v.real
                                                                     : v.integer;
        assert_int_equal(got, good[i].want);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        fr_odbc_column c = {.kind = none[i].kind};
        fr_value v;
        assert_fails(fr_odbc_from_text(&c, fr_cstr(none[i].text), &v, &err), FR_ERR_DATA);
    }
}

static void marks(void **state)
{
    (void)state;
    fr_buf b = {.arena = a};
    fr_odbc_column number = {.kind = FR_INT64}, text = {.kind = FR_TEXT},
                   real = {.kind = FR_FLOAT64};
    fr_odbc_marked m;
    fr_buf_text(&b, "SELECT * FROM t WHERE a > ");
    assert_true(fr_odbc_put_mark(&b, &number, 0, FR_STR("7")));
    fr_buf_text(&b, " AND b = ");
    assert_true(fr_odbc_put_mark(&b, &text, 1, FR_STR("it's ? \001V0:1:x")));
    fr_buf_text(&b, " ORDER BY a");
    fr_odbc_put_limit_mark(&b, 10);
    assert_false(fr_odbc_put_mark(&b, &real, 2, FR_STR("1")));
    assert_true(fr_odbc_read_marks(a, fr_buf_view(&b), 3, &m));
    assert_str(m.sql, "SELECT * FROM t WHERE a > ? AND b = ? ORDER BY a");
    assert_int_equal(m.count, 2);
    assert_int_equal(m.max_rows, 10);
    assert_int_equal(m.params[1].column, 1);
    assert_str(m.params[0].text, "7");
    assert_str(m.params[1].text, "it's ? \001V0:1:x");
    static const char *const none[] = {"\001",       "\001V",   "\001V0:", "\001V0:5:ab",
                                       "\001V9:1:a", "\001X1:", "\001L",   "\001V0:x:"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(fr_odbc_read_marks(a, fr_cstr(none[i]), 3, &m));
    assert_true(fr_odbc_has_marks("a\001"));
    assert_false(fr_odbc_has_marks("a ? b"));
    assert_false(fr_odbc_has_marks(NULL));
}

static void there_and_back(void **state)
{
    (void)state;
    fr_odbc_column c = {.kind = FR_DATETIME};
    static const int64_t times_us[] = {0, -1, 1795763289123456, -62135596800000000,
                                       253402300799999999};
    for (size_t i = 0; i < sizeof(times_us) / sizeof(times_us[0]); i++) {
        fr_value v = {.kind = FR_DATETIME, .integer = times_us[i]};
        SQL_TIMESTAMP_STRUCT t;
        int64_t us;
        assert_true(fr_odbc_text_moment(fr_odbc_value_text(a, &c, &v), &t));
        assert_ok(fr_odbc_moment(&t, &us, &err));
        assert_int_equal(us, times_us[i]);
    }
    fr_odbc_column bytes = {.kind = FR_BYTES}, day = {.kind = FR_DATE};
    fr_value v = {.kind = FR_BYTES, .bytes = FR_STR("\000\377a")};
    fr_str back;
    SQL_DATE_STRUCT d;
    SQL_TIMESTAMP_STRUCT t;
    assert_str(fr_odbc_value_text(a, &bytes, &v), "00ff61");
    assert_true(fr_odbc_text_bytes(a, FR_STR("00ff61"), &back));
    assert_true(fr_str_eq(back, FR_STR("\000\377a")));
    assert_false(fr_odbc_text_bytes(a, FR_STR("00f"), &back));
    assert_false(fr_odbc_text_bytes(a, FR_STR("zz"), &back));
    v = (fr_value){.kind = FR_DATE, .integer = -1};
    assert_true(fr_odbc_text_date(fr_odbc_value_text(a, &day, &v), &d));
    assert_int_equal(d.year, 1969);
    assert_false(fr_odbc_text_date(FR_STR("1969-13-01"), &d));
    assert_false(fr_odbc_text_moment(FR_STR("1969-12-01"), &t));
    assert_false(fr_odbc_text_moment(FR_STR("1969-12-01 25:00:00"), &t));
}

static void kinds(void **state)
{
    (void)state;
    bool known;
    const fr_odbc_quirks *pg = fr_odbc_quirks_of("PostgreSQL", &known);
    assert_true(known);
    const fr_odbc_quirks *none = fr_odbc_quirks_of("Ingres", &known);
    assert_false(known);
    static const struct {
        fr_odbc_column c;
        fr_kind kind;
    } rows[] = {
        {{.sql_type = SQL_INTEGER}, FR_INT32},
        {{.sql_type = SQL_INTEGER, .is_unsigned = true}, FR_INT64},
        {{.sql_type = SQL_BIGINT, .is_unsigned = true}, FR_DECIMAL},
        {{.sql_type = SQL_NUMERIC, .size = 10, .digits = 2}, FR_DECIMAL},
        {{.sql_type = SQL_NUMERIC, .size = 0}, FR_TEXT},
        {{.sql_type = SQL_NUMERIC, .size = 5, .digits = 6}, FR_TEXT},
        {{.sql_type = SQL_INTERVAL_DAY_TO_SECOND}, FR_TEXT},
        {{.sql_type = SQL_TYPE_TIMESTAMP, .digits = 3}, FR_DATETIME},
        {{.sql_type = SQL_VARCHAR, .as_text = true}, FR_TEXT},
        {{.sql_type = -155, .as_text = true}, FR_TEXT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fr_odbc_column c = rows[i].c;
        c.type_name = c.name = FR_STR("x");
        assert_ok(fr_odbc_resolve(none, &c, &err));
        assert_int_equal(c.kind, rows[i].kind);
    }
    fr_odbc_column c = {
        .sql_type = SQL_TYPE_TIMESTAMP, .digits = 3, .type_name = FR_STR("TimestampTZ")};
    assert_ok(fr_odbc_resolve(pg, &c, &err));
    assert_int_equal(c.kind, FR_TIMESTAMP);
    assert_int_equal(c.unit_us, 1000);
    c = (fr_odbc_column){
        .sql_type = -155, .name = FR_STR("z"), .type_name = FR_STR("datetimeoffset")};
    assert_fails(fr_odbc_resolve(pg, &c, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "odbc.types");
}

static void errors(void **state)
{
    (void)state;
    bool known;
    fr_err_kind kind;
    const fr_odbc_quirks *my = fr_odbc_quirks_of("MariaDB", &known);
    const fr_odbc_quirks *none = fr_odbc_quirks_of("", &known);
    static const struct {
        const char *state;
        int native;
        fr_err_kind kind;
    } rows[] = {
        {"08S01", 0, FR_ERR_CONNECT}, {"28000", 0, FR_ERR_AUTH}, {"42S02", 0, FR_ERR_CONFIG},
        {"40001", 0, FR_ERR_BUSY},    {"HYT00", 0, FR_ERR_BUSY}, {"HYT01", 0, FR_ERR_CONNECT},
        {"IM002", 0, FR_ERR_CONFIG},  {"22003", 0, FR_ERR_DATA}, {"42501", 0, FR_ERR_AUTH}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(fr_odbc_error_kind(none, rows[i].state, rows[i].native, false, &kind));
        assert_int_equal(kind, rows[i].kind);
    }
    assert_false(fr_odbc_error_kind(none, "HY000", 2013, false, &kind));
    assert_true(fr_odbc_error_kind(my, "HY000", 2013, false, &kind));
    assert_int_equal(kind, FR_ERR_CONNECT);
    assert_true(fr_odbc_error_kind(none, "HY000", 1045, true, &kind));
    assert_int_equal(kind, FR_ERR_AUTH);
    assert_int_equal(fr_odbc_version("10.11.6-MariaDB"), 1011);
    assert_int_equal(fr_odbc_version("05.05.0068"), 505);
    assert_int_equal(fr_odbc_version("x"), 0);
}

/* SQL Server's datetime is not the value that its driver says. */
static void rounded_times(void **state)
{
    (void)state;
    bool known;
    const fr_odbc_quirks *ms = fr_odbc_quirks_of("Microsoft SQL Server", &known);
    const fr_odbc_quirks *ase = fr_odbc_quirks_of("Adaptive Server Enterprise", &known);
    const fr_odbc_quirks *my = fr_odbc_quirks_of("MySQL", &known);
    assert_true(fr_odbc_rounded_time(ms, FR_STR("datetime")));
    assert_true(fr_odbc_rounded_time(ms, FR_STR("SmallDateTime")));
    assert_true(fr_odbc_rounded_time(ase, FR_STR("datetime")));
    assert_false(fr_odbc_rounded_time(ase, FR_STR("bigdatetime")));
    assert_false(fr_odbc_rounded_time(ms, FR_STR("datetime2")));
    assert_false(fr_odbc_rounded_time(my, FR_STR("datetime")));
}

static void what_has_changed(void **state)
{
    (void)state;
    bool known;
    const fr_odbc_quirks *my = fr_odbc_quirks_of("MySQL", &known);
    const fr_odbc_quirks *maria = fr_odbc_quirks_of("MariaDB", &known);
    const fr_odbc_quirks *pg = fr_odbc_quirks_of("PostgreSQL", &known);
    static const struct {
        const char *state;
        int native;
        bool my, pg, statement; /* of a table; of a statement, on PostgreSQL */
    } rows[] = {{"0A000", 1, true, true, true},       {"HY000", 2057, true, false, false},
                {"HY000", 1615, true, false, false},  {"42S02", 1, true, true, false},
                {"42703", 1, true, true, false},      {"42P01", 1, true, true, false},
                {"HY000", 1064, false, false, false}, {"42000", 1, false, false, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *s = rows[i].state;
        assert_int_equal(fr_odbc_no_longer_so(my, s, rows[i].native, false), rows[i].my);
        assert_int_equal(fr_odbc_no_longer_so(maria, s, rows[i].native, false), rows[i].my);
        assert_int_equal(fr_odbc_no_longer_so(pg, s, rows[i].native, false), rows[i].pg);
        assert_int_equal(fr_odbc_no_longer_so(pg, s, rows[i].native, true), rows[i].statement);
    }
    assert_true(fr_odbc_no_longer_so(maria, "HY000", 2057, true));
}

/* What is lost with the connection is not what a driver cannot tell. */
static void what_passes(void **state)
{
    (void)state;
    bool known;
    fr_err_kind kind;
    const fr_odbc_quirks *none = fr_odbc_quirks_of("", &known);
    static const char *const passing[] = {"08S01", "57P01", "HYT00", "40001", "HY008"};
    static const char *const lasting[] = {"IM001", "HYC00", "42501", "22003"};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        assert_true(fr_odbc_error_kind(none, passing[i], 0, false, &kind) && fr_odbc_passes(kind));
    for (size_t i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++)
        assert_true(fr_odbc_error_kind(none, lasting[i], 0, false, &kind) && !fr_odbc_passes(kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments),       cmocka_unit_test(times),
        cmocka_unit_test(numbers),       cmocka_unit_test(from_text),
        cmocka_unit_test(marks),         cmocka_unit_test(there_and_back),
        cmocka_unit_test(kinds),         cmocka_unit_test(errors),
        cmocka_unit_test(rounded_times), cmocka_unit_test(what_has_changed),
        cmocka_unit_test(what_passes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
