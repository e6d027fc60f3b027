/* The DDL of capture by triggers for MySQL and MariaDB, word for word. */
#include "connectors/mysql/my_query_parts.h"
#include "tests/unit/connect/ddl_triggers.h"

static fr_err err;
static const fr_str types[] = {FR_STR("bigint unsigned"),
                               FR_STR("varchar(20) CHARACTER SET latin1")};

static void write_one(const char *dsn, uint32_t version, ddl_state state, fr_buf *out)
{
    fr_binlog_config config = {.dsn = dsn};
    fr_my my = {.version = version};
    fr_my_sql c = {.my = &my};
    assert_ok(ddl_write(&fr_mysql_sql, &c.base, &config, state, types, out, &err));
}

static void word_for_word(void **state)
{
    (void)state;
    for (ddl_state s = MADE; s <= REMOVED; s++) {
        fr_buf out = {0};
        write_one("mysql://fre%60shet@db/shop", 80400, s, &out);
        ddl_is_golden("mysql", s, &out);
        fr_buf_free(&out);
    }
}

/* MySQL 5.5 has no parts of a second. */
static void on_an_old_server(void **state)
{
    (void)state;
    fr_buf out = {0};
    write_one("mysql://db/shop", 50540, MADE, &out);
    fr_buf_u8(&out, '\0');
    const char *text = (const char *)out.ptr;
    assert_non_null(strstr(text, "`freshet_at` DATETIME NOT NULL"));
    assert_non_null(strstr(text, "`freshet_at` = UTC_TIMESTAMP()"));
    assert_non_null(strstr(text, "-- The dsn names no user: put in freshet's account.\n-- GRANT"));
    fr_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(word_for_word),
        cmocka_unit_test(on_an_old_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
