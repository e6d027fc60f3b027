/* Types as CREATE TABLE spells them, without a server. */
#include "connectors/postgres/wal_source.h"
#include "tests/unit/test.h"

static fr_err err;

static void is(const char *type, const char *asked, fr_kind kind, int precision, int scale,
               const char *native)
{
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = FR_STR("c")};
    if (fr_pg_declared(a, type, asked, &c, &err) == FR_FAIL)
        fail_msg("%s: %s", type, err.text);
    if (c.kind != kind || c.precision != precision || c.scale != scale)
        fail_msg("%s: %s %d %d", type, fr_kind_name(c.kind), c.precision, c.scale);
    assert_str(c.native_type, native);
    fr_arena_free(a);
}

static void types_are_known(void **state)
{
    (void)state;
    is("int8", NULL, FR_INT64, 0, 0, "bigint");
    is("BigInt", NULL, FR_INT64, 0, 0, "bigint");
    is("serial", NULL, FR_INT32, 0, 0, "integer");
    is("numeric(10,2)", NULL, FR_DECIMAL, 10, 2, "numeric(10,2)");
    is(" Decimal ( 10 , 2 ) ", NULL, FR_DECIMAL, 10, 2, "numeric(10,2)");
    is("numeric(5)", NULL, FR_DECIMAL, 5, 0, "numeric(5,0)");
    is("numeric(10,2)", "string", FR_TEXT, 0, 0, "numeric(10,2)");
    is("varchar(20)", NULL, FR_TEXT, 0, 0, "character varying(20)");
    is("character  varying (20)", NULL, FR_TEXT, 0, 0, "character varying(20)");
    is("char(3)", NULL, FR_TEXT, 0, 0, "character(3)");
    is("double precision", NULL, FR_FLOAT64, 0, 0, "double precision");
    is("timestamp(3) with time zone", NULL, FR_TIMESTAMP, 0, 0, "timestamp(3) with time zone");
    is("timestamp(3)with time zone", NULL, FR_TIMESTAMP, 0, 0, "timestamp(3) with time zone");
    is("timestamp", NULL, FR_DATETIME, 0, 0, "timestamp without time zone");
    is("timestamptz", NULL, FR_TIMESTAMP, 0, 0, "timestamp with time zone");
    is("jsonb", NULL, FR_JSON, 0, 0, "jsonb");
    is("uuid", NULL, FR_UUID, 0, 0, "uuid");
    is("bytea", NULL, FR_BYTES, 0, 0, "bytea");
    is("bool", NULL, FR_BOOL, 0, 0, "boolean");
    is("text[]", NULL, FR_JSON, 0, 0, "text[]");
    is("numeric(10,2)[3]", NULL, FR_JSON, 0, 0, "numeric(10,2)[]");
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const types[] = {"",           "mood",         "numeric(10,2",
                                        "numeric(x)", "record",       "numeric(1,2,3)",
                                        "text[",      "varchar(20)x", "public.mood"};
    fr_arena *a = fr_arena_new(0);
    fr_column c = {.name = FR_STR("c")};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (fr_pg_declared(a, types[i], NULL, &c, &err) == FR_OK)
            fail_msg("%s is taken", types[i]);
        assert_int_equal(err.kind, FR_ERR_CONFIG);
        assert_string_equal(err.code, "pg.type_unknown");
    }
    char long_one[400];
    memset(long_one, 'x', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    assert_fails(fr_pg_declared(a, long_one, NULL, &c, &err), FR_ERR_CONFIG);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types_are_known),
                                       cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
