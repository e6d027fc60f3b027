/* The DDL of capture by triggers for PostgreSQL, word for word. */
#include "connectors/postgres/pg_query.h"
#include "connectors/postgres/wal_source.h"
#include "tests/unit/connect/ddl_triggers.h"

static fr_err err;
static const fr_str types[] = {FR_STR("bigint"), FR_STR("character varying(20)")};

static void write_one(const char *dsn, ddl_state state, fr_buf *out)
{
    fr_wal_config config = {.dsn = dsn};
    assert_ok(ddl_write(&fr_postgres_sql, NULL, &config, state, types, out, &err));
}

static void word_for_word(void **state)
{
    (void)state;
    for (ddl_state s = MADE; s <= REMOVED; s++) {
        fr_buf out = {0};
        write_one("host=db user=fre\"shet", s, &out);
        ddl_is_golden("postgres", s, &out);
        fr_buf_free(&out);
    }
}

static void without_a_user(void **state)
{
    (void)state;
    fr_buf out = {0};
    write_one("host=db", MADE, &out);
    fr_buf_u8(&out, '\0');
    assert_non_null(strstr((const char *)out.ptr, "-- The dsn names no role: put in freshet's.\n"
                                                  "-- GRANT USAGE ON SCHEMA"));
    fr_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(word_for_word),
        cmocka_unit_test(without_a_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
