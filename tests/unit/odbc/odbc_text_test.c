/* UTF-16, and connection strings. */
#include "connectors/odbc/odbc_text.h"
#include "unit/odbc/arena.h"

static void utf16(void **state)
{
    (void)state;
    fr_odbc_text t;
    fr_str out;
    uint16_t *units;
    size_t count;
    fr_odbc_text_open(&t);
    static const uint16_t text[] = {'a', 0, 0xe4, 0x20ac, 0xd83d, 0xde00};
    assert_ok(fr_odbc_from_utf16(&t, a, text, sizeof(text), &out, &err));
    assert_true(fr_str_eq(out, FR_STR("a\0ä€😀")));
    assert_ok(fr_odbc_to_utf16(&t, a, out, &units, &count, &err));
    assert_int_equal(count, 6);
    assert_memory_equal(units, text, sizeof(text));
    assert_int_equal(units[6], 0);
    assert_ok(fr_odbc_from_utf16(&t, a, text, 0, &out, &err));
    assert_int_equal(out.len, 0);
    static const uint16_t bad[][3] = {{'a', 0xd83d, 'b'}, {'a', 0xde00, 'b'}, {'a', 'b', 0xd83d}};
    for (size_t i = 0; i < 3; i++) {
        assert_fails(fr_odbc_from_utf16(&t, a, bad[i], sizeof(bad[i]), &out, &err), FR_ERR_DATA);
        assert_string_equal(err.code, "odbc.value.text");
    }
    assert_fails(fr_odbc_from_utf16(&t, a, text, 3, &out, &err), FR_ERR_DATA);
    assert_fails(fr_odbc_to_utf16(&t, a, FR_STR("a\xff"), &units, &count, &err), FR_ERR_DATA);
    /* What was bad before changes nothing. */
    assert_ok(fr_odbc_from_utf16(&t, a, text, 2, &out, &err));
    assert_str(out, "a");
    fr_odbc_text_close(&t);
}

static void string(const char *dsn, const char *password, const char *want)
{
    fr_str out;
    assert_ok(fr_odbc_connection_string(a, dsn, password, &out, &err));
    assert_str(out, want);
}

static void strings(void **state)
{
    (void)state;
    fr_str out;
    string("DSN=mes;UID=reader", "x", "DSN=mes;UID=reader;PWD={x};");
    string("DSN=mes;", "a}b;{c= ", "DSN=mes;PWD={a}}b;{c= };");
    string("Driver={My;Driver}}=x};UID=pwd", NULL, "Driver={My;Driver}}=x};UID=pwd");
    string("DSN=mes", "", "DSN=mes");
    static const char *const passwords[] = {"DSN=x;PWD=y", "pwd=y;DSN=x", "DSN=x; Password ={y}",
                                            "DSN={a};;PassWd=", "Driver={a;b};PWD=x"};
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
        assert_fails(fr_odbc_connection_string(a, passwords[i], NULL, &out, &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "odbc.dsn_password");
    }
    static const char *const none[] = {"",   " ; ",    "mes",     "DSN",
                                       "=x", "DSN={x", "DSN=a;b", "{DSN}=a"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_fails(fr_odbc_connection_string(a, none[i], NULL, &out, &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "odbc.dsn");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(utf16), cmocka_unit_test(strings)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
