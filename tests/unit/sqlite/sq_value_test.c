/* Values of SQLite: what a column is, what is taken, and what goes back into SQL. */
#include "connectors/sqlite/sq_value.h"
#include "tests/unit/test.h"
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>

static fr_err err;
static fr_arena *a;

static int set_up(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_arena_free(a);
    return 0;
}

static fr_sq_column column(const char *declared, const char *asked)
{
    fr_sq_column c = {.name = FR_STR("c"), .declared = fr_cstr(declared)};
    assert_ok(fr_sq_type_of(&c, asked, &err));
    return c;
}

static fr_sq_cell integer(int64_t v)
{
    return (fr_sq_cell){.class = SQLITE_INTEGER, .integer = v};
}
static fr_sq_cell real(double v)
{
    return (fr_sq_cell){.class = SQLITE_FLOAT, .real = v};
}
static fr_sq_cell text(const char *v)
{
    return (fr_sq_cell){.class = SQLITE_TEXT, .bytes = fr_cstr(v)};
}
static fr_sq_cell blob(const char *v)
{
    return (fr_sq_cell){.class = SQLITE_BLOB, .bytes = fr_cstr(v)};
}

/* As text, which must come back as SQL. */
static fr_str taken(const fr_sq_column *c, fr_sq_cell cell)
{
    fr_value v;
    fr_buf b = {.arena = a};
    assert_ok(fr_sq_decode(c, &cell, a, &v, &err));
    assert_int_equal(v.kind, c->kind);
    fr_str s = fr_sq_value_text(a, c, &v);
    assert_true(fr_sq_put_value(&b, c, s));
    return s;
}

static void refused(const fr_sq_column *c, fr_sq_cell cell, const char *code)
{
    fr_value v;
    assert_fails(fr_sq_decode(c, &cell, a, &v, &err), FR_ERR_DATA);
    assert_string_equal(err.code, code);
    assert_true(err.hint[0] != '\0');
}

static void declared_types(void **state)
{
    (void)state;
    assert_int_equal(column("Varchar ( 20 )", NULL).kind, FR_TEXT);
    assert_int_equal(column("double precision", NULL).kind, FR_FLOAT64);
    fr_sq_column d = column("NUMERIC(10, 2)", NULL);
    assert_int_equal(d.kind, FR_DECIMAL);
    assert_int_equal(d.precision, 10);
    assert_int_equal(d.scale, 2);
    assert_int_equal(column("decimal(9)", NULL).scale, 0);
    assert_int_equal(column("numeric", NULL).kind, FR_TEXT);
    assert_int_equal(column("integer", "unix-millis").form, FR_SQ_MILLIS);
    assert_int_equal(column("", "decimal(5,1)").kind, FR_DECIMAL);
    static const char *const unknown[][2] = {
        {"", NULL},         {"STRING", NULL},        {"money", NULL},     {"INT", "number"},
        {"INT", "decimal"}, {"INT", "decimal(2,3)"}, {"VARCHAR(2", NULL}, {"INTEGERS", NULL}};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        fr_sq_column c = {.name = FR_STR("c"), .declared = fr_cstr(unknown[i][0])};
        assert_fails(fr_sq_type_of(&c, unknown[i][1], &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "sqlite.type");
    }
}

static void numbers(void **state)
{
    (void)state;
    fr_sq_column i = column("INTEGER", NULL), f = column("REAL", NULL), b = column("BOOL", NULL);
    assert_str(taken(&i, integer(INT64_MAX)), "9223372036854775807");
    assert_str(taken(&i, integer(INT64_MIN)), "-9223372036854775808");
    refused(&i, real(1), "sqlite.value.class");
    refused(&i, text("1"), "sqlite.value.class");
    assert_str(taken(&f, real(0.5)), "0.5");
    assert_str(taken(&f, integer(INT64_C(9007199254740992))), "9007199254740992");
    refused(&f, integer(INT64_C(9007199254740993)), "sqlite.value.class");
    refused(&f, text("x"), "sqlite.value.class");
    assert_str(taken(&b, integer(1)), "1");
    refused(&b, integer(2), "sqlite.value.boolean");
    refused(&b, text("true"), "sqlite.value.class");
}

static void decimals(void **state)
{
    (void)state;
    fr_sq_column d = column("DECIMAL(20,4)", NULL), any = column("NUMERIC", NULL);
    assert_str(taken(&d, real(12.5)), "12.5000");
    assert_str(taken(&d, real(0.1)), "0.1000");
    assert_str(taken(&d, real(-1e10)), "-10000000000.0000");
    assert_str(taken(&d, real(1e-4)), "0.0001");
    assert_str(taken(&d, integer(7)), "7.0000");
    assert_str(taken(&d, text("3.10")), "3.1000");
    refused(&d, real(0.1 + 0.2), "sqlite.value.decimal"); /* 0.30000000000000004 */
    refused(&d, real(1.00001), "sqlite.value.decimal");
    refused(&d, real(1e20), "sqlite.value.decimal");
    refused(&d, real(INFINITY), "sqlite.value.infinite");
    refused(&d, text("1e3"), "sqlite.value.decimal");
    refused(&d, blob("1"), "sqlite.value.class");
    assert_str(taken(&any, real(1234567.25)), "1234567.25");
    assert_str(taken(&any, real(1e21)), "1000000000000000000000");
    assert_str(taken(&any, real(2.5e-7)), "0.00000025");
    assert_str(taken(&any, integer(-5)), "-5");
    assert_str(taken(&any, text("many")), "many");
}

static void texts_and_bytes(void **state)
{
    (void)state;
    fr_sq_column t = column("TEXT", NULL), x = column("BLOB", NULL), u = column("UUID", NULL);
    fr_sq_cell nul = {.class = SQLITE_TEXT, .bytes = {"a\0b", 3}};
    assert_int_equal(taken(&t, nul).len, 3);
    refused(&t, text("\xff"), "sqlite.value.utf8");
    refused(&t, integer(5), "sqlite.value.class");
    t.ordered = true;
    refused(&t, nul, "sqlite.value.nul");
    assert_str(taken(&x, blob("\x01\xff")), "01ff");
    refused(&x, text("a"), "sqlite.value.class");
    assert_str(taken(&u, text("7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22")),
               "7b0c5a1e-2f7d-4c55-9d3e-0a9f5d6c1b22");
    refused(&u, text("7B0C5A1E-2F7D-4C55-9D3E-0A9F5D6C1B22"), "sqlite.value.uuid");
    fr_sq_column any = column("", "string");
    assert_str(taken(&any, integer(5)), "5");
    assert_str(taken(&any, text("5")), "5");
    refused(&any, blob("5"), "sqlite.value.class");
}

static void times(void **state)
{
    (void)state;
    fr_sq_column ts = column("TIMESTAMP", NULL), dt = column("DATETIME", NULL);
    fr_value v;
    assert_ok(fr_sq_decode(
        &ts, &(fr_sq_cell){.class = SQLITE_TEXT, .bytes = FR_STR("1970-01-01T02:00:00+02:00")}, a,
        &v, &err));
    assert_int_equal(v.integer, 0);
    refused(&dt, text("1970-01-01T02:00:00Z"), "sqlite.value.zone");
    refused(&ts, integer(5), "sqlite.value.class");
    fr_sq_column s = column("INTEGER", "unix-seconds"), ms = column("INTEGER", "unix-millis");
    assert_str(taken(&s, integer(1795762210)), "1795762210");
    assert_str(taken(&ms, integer(1795762210123)), "1795762210123");
    refused(&s, integer(INT64_MAX), "sqlite.value.time");
    refused(&s, real(1.5), "sqlite.value.class");
    /* Each double that julianday() can give comes back as itself. */
    fr_sq_column j = column("REAL", "julian-day");
    for (int i = 0; i < 2000; i++) {
        double day = 2461371.5 + i * 86.4 / 86400000.0 * 7.13;
        fr_str back = taken(&j, real(day));
        assert_true(strtod(fr_arena_cstr(a, back), NULL) == day);
    }
    refused(&j, real(1e30), "sqlite.value.time");
    refused(&j, integer(2461371), "sqlite.value.class");
}

static void ordered_times(void **state)
{
    (void)state;
    fr_sq_column c = column("TIMESTAMP", NULL);
    fr_value v;
    c.ordered = true;
    c.clock = (fr_sq_clock){.separator = ' ', .seconds = true, .digits = 3};
    fr_sq_cell cell = text("2026-11-27 06:50:10.123");
    assert_ok(fr_sq_decode(&c, &cell, a, &v, &err));
    cell = text("2026-11-27 06:50:10.000"); /* as they should be, but says more than was known */
    assert_int_equal(fr_sq_decode(&c, &cell, a, &v, &err), FR_IDLE);
    refused(&c, text("2026-11-27T06:50:10.123"), "sqlite.time_form");
    refused(&c, text("2026-11-27 06:50:10.1234"), "sqlite.time_form");
}

static void not_ours(void **state)
{
    (void)state;
    fr_buf b = {.arena = a};
    fr_sq_column i = column("INTEGER", NULL), x = column("BLOB", NULL), t = column("TEXT", NULL);
    assert_false(fr_sq_put_value(&b, &i, FR_STR("1); DROP TABLE t; --")));
    assert_false(fr_sq_put_value(&b, &i, FR_STR("")));
    assert_false(fr_sq_put_value(&b, &x, FR_STR("0g")));
    b.len = 0;
    assert_true(fr_sq_put_value(&b, &t, FR_STR("it's")));
    assert_str(fr_buf_view(&b), "'it''s'");
    b.len = 0;
    assert_true(fr_sq_put_value(&b, &t, FR_STR("a\0b")));
    assert_str(fr_buf_view(&b), "CAST(x'610062' AS TEXT)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(declared_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(decimals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_and_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ordered_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_ours, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
