/* What needs no server: kinds of errors, quoting. */
#include "connectors/mysql/my_conn.h"
#include "unit/test.h"

static void kinds(void **state)
{
    (void)state;
    static const struct {
        unsigned number;
        const char *sqlstate;
        fr_err_kind kind;
    } cases[] = {
        {1045, "28000", FR_ERR_AUTH},     {1044, "42000", FR_ERR_AUTH},
        {1142, "42000", FR_ERR_AUTH},     {1227, "42000", FR_ERR_AUTH},
        {2002, "HY000", FR_ERR_CONNECT},  {2006, "HY000", FR_ERR_CONNECT},
        {2013, "HY000", FR_ERR_CONNECT},  {1040, "08004", FR_ERR_BUSY},
        {1205, "HY000", FR_ERR_BUSY},     {1213, "40001", FR_ERR_BUSY},
        {1053, "08S01", FR_ERR_CONNECT},  {1290, "HY000", FR_ERR_CONNECT},
        {1062, "23000", FR_ERR_DATA},     {1264, "22003", FR_ERR_DATA},
        {1406, "22001", FR_ERR_DATA},     {1366, "HY000", FR_ERR_DATA},
        {1146, "42S02", FR_ERR_CONFIG},   {1064, "42000", FR_ERR_CONFIG},
        {1236, "HY000", FR_ERR_POSITION}, {2059, "HY000", FR_ERR_CONFIG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(fr_my_error_kind(cases[i].number, cases[i].sqlstate), cases[i].kind);
}

static void quoting(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_my_ident(a, FR_STR("a`b")), "`a``b`");
    assert_str(fr_my_ident(a, FR_STR("a\0b")), "``");
    assert_str(fr_my_qualified(a, FR_STR("s"), FR_STR("t")), "`s`.`t`");
    assert_str(fr_my_qualified(a, FR_STR(""), FR_STR("t")), "`t`");
    assert_str(fr_my_literal(a, FR_STR("plain 1")), "'plain 1'");
    assert_str(fr_my_literal(a, FR_STR("")), "''");
    assert_str(fr_my_literal(a, FR_STR("o'b")), "_utf8mb4 X'6F2762'");
    assert_str(fr_my_literal(a, FR_STR("a\\")), "_utf8mb4 X'615C'");
    assert_str(fr_my_literal(a, FR_STR("\xc3\xa9")), "_utf8mb4 X'C3A9'");
    fr_arena_free(a);
}

static void cells(void **state)
{
    (void)state;
    const fr_str values[] = {{"12", 2}, {NULL, 0}, {"x", 1}, {"", 0}};
    const fr_my_rows rows = {.count = 2, .columns = 2, .cells = values};
    assert_int_equal(fr_my_uint(&rows, 0, 0, 7), 12);
    assert_int_equal(fr_my_uint(&rows, 1, 0, 7), 7);
    assert_int_equal(fr_my_uint(&rows, 5, 0, 7), 7);
    assert_true(fr_my_null(&rows, 0, 1));
    assert_false(fr_my_null(&rows, 1, 1));
    assert_true(fr_my_null(&rows, 2, 0));
    assert_str(fr_my_text(&rows, 0, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(quoting),
                                       cmocka_unit_test(cells)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
