#include "connectors/mysql/my_dsn.h"
#include "unit/test.h"

static fr_err err;
static fr_my_dsn d;

static fr_rc parse(fr_arena *a, const char *text)
{
    return fr_my_dsn_parse(a, text, &d, &err);
}

static void parts(void **state)
{
    fr_arena *a = *state;
    assert_ok(
        parse(a, "mysql://app@db.example:3307/erp?ca=/etc/ca.pem&compress=true&connect_timeout=3"));
    assert_string_equal(d.user, "app");
    assert_string_equal(d.host, "db.example");
    assert_int_equal(d.port, 3307);
    assert_string_equal(d.database, "erp");
    assert_string_equal(d.ca, "/etc/ca.pem");
    assert_true(d.compress);
    assert_int_equal(d.connect_seconds, 3);
    assert_int_equal(d.tls, FR_MY_TLS_VERIFY);
    assert_false(d.local);
}

static void defaults(void **state)
{
    fr_arena *a = *state;
    assert_ok(parse(a, "mariadb://localhost"));
    assert_null(d.user);
    assert_string_equal(d.host, "127.0.0.1");
    assert_int_equal(d.port, 3306);
    assert_null(d.database);
    assert_int_equal(d.tls, FR_MY_TLS_OFF);
    assert_true(d.local);
    assert_ok(parse(a, "mysql://127.0.0.1/?ca=x"));
    assert_int_equal(d.tls, FR_MY_TLS_VERIFY);
    assert_ok(parse(a, "mysql://db.example/"));
    assert_int_equal(d.tls, FR_MY_TLS_VERIFY);
}

static void addresses(void **state)
{
    fr_arena *a = *state;
    assert_ok(parse(a, "mysql://u@[::1]:3308/x"));
    assert_string_equal(d.host, "::1");
    assert_int_equal(d.port, 3308);
    assert_true(d.local);
    assert_ok(parse(a, "mysql://u@/x?socket=%2Frun%2Fmysqld.sock"));
    assert_string_equal(d.socket, "/run/mysqld.sock");
    assert_null(d.host);
    assert_true(d.local);
    assert_ok(parse(a, "mysql://a%40b%3A@h/d%20e"));
    assert_string_equal(d.user, "a@b:");
    assert_string_equal(d.database, "d e");
    assert_ok(parse(a, "mysql://127.0.0.1.example.com/"));
    assert_false(d.local);
}

static void refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "postgresql://u@h/d",
        "mysql:/h",
        "mysql://u@h:0/",
        "mysql://u@h:x/",
        "mysql://u@h:70000/",
        "mysql://u@[::1/",
        "mysql://u@[::1]x/",
        "mysql://u@h/a/b",
        "mysql://u@h/?tls=maybe",
        "mysql://u@h/?compress=1",
        "mysql://u@h/?unknown=1",
        "mysql://u@h/?tls",
        "mysql://u@h/?connect_timeout=-1",
        "mysql://%zz@h/",
        "mysql://u@h/%0",
        "mysql://u@h/%00",
        "mysql://@h/",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_fails(parse(*state, wrong[i]), FR_ERR_CONFIG);
        assert_string_equal(err.code, "my.dsn");
    }
}

static void secrets(void **state)
{
    static const char *const wrong[] = {"mysql://u:s3cret@h/", "mysql://u@h/?password=s3cret"};
    for (size_t i = 0; i < 2; i++) {
        assert_fails(parse(*state, wrong[i]), FR_ERR_CONFIG);
        assert_string_equal(err.code, "my.dsn_password");
        assert_null(strstr(err.text, "s3cret"));
    }
    assert_str(fr_my_dsn_place(*state, "mysql://u:s3cret@h/"), "an unreadable dsn");
    assert_str(fr_my_dsn_place(*state, "mysql://u@h:1/d"), "h:1/d");
}

static void rules(void **state)
{
    assert_ok(parse(*state, "mysql://u@db.example/?tls=require"));
    assert_fails(fr_my_dsn_rules(&d, false, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "my.tls");
    assert_ok(fr_my_dsn_rules(&d, true, &err));
    assert_ok(parse(*state, "mysql://u@127.0.0.1/?tls=off"));
    assert_ok(fr_my_dsn_rules(&d, false, &err));
    assert_ok(parse(*state, "mysql://u@db.example/"));
    assert_ok(fr_my_dsn_rules(&d, false, &err));
}

static int setup(void **state)
{
    *state = fr_arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    fr_arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts, setup, teardown),
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(rules, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
