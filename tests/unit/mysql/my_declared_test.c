/* Types as SHOW CREATE TABLE spells them, without a server. */
#include "connectors/mysql/my_query.h"
#include "tests/unit/test.h"

static fr_err err;

static void is(const char *type, const char *asked, fr_kind kind, int precision, int scale)
{
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = FR_STR("c")};
    if (fr_my_declared(a, type, asked, &c, &err) == FR_FAIL)
        fail_msg("%s: %s", type, err.text);
    if (c.kind != kind || c.precision != precision || c.scale != scale)
        fail_msg("%s: %s %d %d", type, fr_kind_name(c.kind), c.precision, c.scale);
    assert_true(c.native_type.len > 0);
    assert_true(c.span == (kind == FR_TIME));
    fr_arena_free(a);
}

static void types_are_known(void **state)
{
    (void)state;
    is("int", NULL, FR_INT32, 0, 0);
    is("INT(10) unsigned", NULL, FR_INT64, 0, 0);
    is("bigint unsigned", NULL, FR_DECIMAL, 20, 0);
    is("decimal(10,2)", NULL, FR_DECIMAL, 10, 2);
    is("numeric", NULL, FR_DECIMAL, 10, 0);
    is("decimal(10,2)", "string", FR_TEXT, 0, 0);
    is("varchar(20)", NULL, FR_TEXT, 0, 0);
    is("enum('a','b')", NULL, FR_TEXT, 0, 0);
    is("datetime(6)", NULL, FR_DATETIME, 0, 0);
    is("timestamp", NULL, FR_TIMESTAMP, 0, 0);
    is("time", NULL, FR_TIME, 0, 0);
    is("json", NULL, FR_JSON, 0, 0);
    is("blob", NULL, FR_BYTES, 0, 0);
    is("double precision", NULL, FR_FLOAT64, 0, 0);
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const types[] = {"", "number", "decimal(10,2", "text[]", "(10)"};
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = FR_STR("c")};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (fr_my_declared(a, types[i], NULL, &c, &err) == FR_OK)
            fail_msg("%s is taken", types[i]);
        assert_int_equal(err.kind, FR_ERR_CONFIG);
        assert_string_equal(err.code, "my.type_unknown");
    }
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types_are_known),
                                       cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
