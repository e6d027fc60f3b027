/* The resume text, and what of a connection can be proved without a server. */
#include "connectors/postgres/pg_conn.h"
#include "connectors/postgres/wal_position.h"
#include "tests/unit/test.h"
#include <stdlib.h>

#define TEXT                                                                                       \
    "{\"system_identifier\":\"7712452269263947242\",\"timeline\":3,\"db\":\"erp\",\"slot\":"       \
    "\"freshet_erp\",\"epoch\":2,\"end_lsn\":\"16/B374D848\"}"

static void position_round_trip(void **state)
{
    (void)state;
    fr_err err;
    fr_arena *a = fr_arena_new(0);
    fr_wal_position p;
    assert_ok(fr_wal_position_parse(FR_STR(TEXT), &p, &err));
    assert_string_equal(p.system_identifier, "7712452269263947242");
    assert_string_equal(p.db, "erp");
    assert_string_equal(p.slot, "freshet_erp");
    assert_int_equal(p.timeline, 3);
    assert_int_equal(p.epoch, 2);
    assert_true(p.end_lsn == UINT64_C(0x16B374D848));
    assert_str(fr_wal_position_text(a, &p), TEXT);
    char *head = fr_wal_position_head(&p);
    assert_str(fr_arena_printf(a, "%s16/B374D848" FR_WAL_POSITION_END, head), TEXT);
    free(head);
    uint32_t epoch = 9;
    assert_true(fr_wal_position_lsn(FR_STR(TEXT), &epoch) == p.end_lsn);
    assert_int_equal(epoch, 2);
    assert_true(fr_wal_position_lsn(FR_STR("nothing"), NULL) == 0);
    fr_arena_free(a);
}

/* Every member counts: without one, or with nonsense in it, nothing is guessed. */
static void position_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "",
        "[]",
        "{}",
        "{\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":0,\"end_lsn\":\"0/1\"}",
        "{\"system_identifier\":\"1\",\"db\":\"d\",\"slot\":\"s\",\"epoch\":0,\"end_lsn\":\"0/1\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"slot\":\"s\",\"epoch\":0,\"end_lsn\":\"0/"
        "1\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"epoch\":0,\"end_lsn\":\"0/1\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"end_lsn\":\"0/"
        "1\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":0}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":0,"
        "\"end_lsn\":\"0/0\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":0,"
        "\"end_lsn\":\"16\"}",
        "{\"system_identifier\":\"1\",\"timeline\":-1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":0,"
        "\"end_lsn\":\"0/1\"}",
        "{\"system_identifier\":\"1\",\"timeline\":1,\"db\":\"d\",\"slot\":\"s\",\"epoch\":"
        "4294967296,"
        "\"end_lsn\":\"0/1\"}",
        "{\"system_identifier\":\"1234567890123456789012345\",\"timeline\":1,\"db\":\"d\",\"slot\":"
        "\"s\",\"epoch\":0,\"end_lsn\":\"0/1\"}",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        fr_err err;
        fr_wal_position p = {.epoch = 77};
        assert_fails(fr_wal_position_parse(fr_cstr(broken[i]), &p, &err), FR_ERR_POSITION);
        assert_string_equal(err.code, "pg.position");
        assert_int_equal(p.epoch, 77); /* untouched on failure */
    }
}

static void lsn_text(void **state)
{
    (void)state;
    static const char *const good[] = {"0/1", "16/B374D848", "FFFFFFFF/FFFFFFFF"};
    static const char *const bad[] = {"",    "/",           "0",     "0/",  "/0",
                                      "0/G", "0/123456789", "0/1/2", "-1/0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t lsn = 0;
        char back[20];
        assert_true(fr_pg_lsn_parse(fr_cstr(good[i]), &lsn));
        fr_pg_lsn_text(back, lsn);
        assert_string_equal(back, good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t lsn = 42;
        assert_false(fr_pg_lsn_parse(fr_cstr(bad[i]), &lsn));
        assert_true(lsn == 42);
    }
}

static void quoting(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    bool bad = false;
    assert_str(fr_pg_ident(a, FR_STR("a\"b\\c"), &bad), "\"a\"\"b\\c\"");
    assert_str(fr_pg_literal(a, FR_STR("it's"), &bad), "'it''s'");
    assert_str(fr_pg_literal(a, FR_STR("a\\'b"), &bad), " E'a\\\\''b'");
    assert_str(fr_pg_literal(a, FR_STR(""), &bad), "''");
    assert_str(fr_pg_qualified(a, FR_STR("S"), FR_STR("t\"")), "\"S\".\"t\"\"\"");
    assert_false(bad);
    assert_str(fr_pg_ident(a, FR_STR("a\0b"), &bad), "\"\"");
    assert_true(bad);
    bad = false;
    assert_str(fr_pg_literal(a, FR_STR("\xc3"), &bad), "''");
    assert_true(bad);
    fr_arena_free(a);
}

/* What is wrong with a dsn is said before anything is sent anywhere. */
static void dsn_rules(void **state)
{
    (void)state;
    static const struct {
        const char *dsn;
        bool insecure;
        const char *code; /* NULL: fine */
    } cases[] = {
        {"postgresql://u@db.example/erp", false, NULL},
        {"host=db.example user=u sslmode=verify-full", false, NULL},
        {"postgresql://u@db.example/erp?sslmode=require", false, "pg.tls"},
        {"postgresql://u@db.example/erp?sslmode=verify-ca", false, "pg.tls"},
        {"postgresql://u@db.example/erp?sslmode=disable", true, NULL},
        {"postgresql://u@localhost/erp?sslmode=disable", false, NULL},
        {"postgresql://u@127.0.0.1/erp?sslmode=disable", false, NULL},
        {"postgresql://u@[::1]/erp?sslmode=disable", false, NULL},
        {"host=/run/postgresql sslmode=disable", false, NULL},
        {"host=localhost,db.example sslmode=disable", false, "pg.tls"},
        {"host=localhost hostaddr=10.1.2.3 sslmode=disable", false, "pg.tls"},
        {"host=127.0.0.1.evil.example sslmode=disable", false, "pg.tls"},
        {"host=localhost.evil.example sslmode=disable", false, "pg.tls"},
        {"postgresql://u:secret@db.example/erp", false, "pg.dsn_password"},
        {"host=localhost password=secret", true, "pg.dsn_password"},
        {"postgresql://u:sec%ret@db.example/erp", false, "pg.dsn"},
        {"", false, "pg.dsn"},
        {NULL, false, "pg.dsn"},
        {"host=localhost no_such=1", false, "pg.dsn"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_err err;
        fr_pg_target target = {.dsn = cases[i].dsn, .insecure = cases[i].insecure};
        fr_rc rc = fr_pg_dsn_check(&target, &err);
        assert_int_equal(rc, cases[i].code == NULL ? FR_OK : FR_FAIL);
        if (cases[i].code == NULL)
            continue;
        assert_int_equal(err.kind, FR_ERR_CONFIG);
        assert_string_equal(err.code, cases[i].code);
        assert_null(strstr(err.text, "sec"));
        assert_null(strstr(err.hint, "sec%"));
    }
}

static void kinds_of_errors(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        fr_err_kind kind;
    } cases[] = {
        {NULL, FR_ERR_CONNECT},    {"", FR_ERR_CONNECT},      {"08006", FR_ERR_CONNECT},
        {"57P01", FR_ERR_CONNECT}, {"57P04", FR_ERR_CONFIG},  {"57014", FR_ERR_BUSY},
        {"28P01", FR_ERR_AUTH},    {"42501", FR_ERR_AUTH},    {"42P01", FR_ERR_CONFIG},
        {"40001", FR_ERR_BUSY},    {"40P01", FR_ERR_BUSY},    {"55006", FR_ERR_BUSY},
        {"53300", FR_ERR_BUSY},    {"22003", FR_ERR_DATA},    {"23505", FR_ERR_DATA},
        {"25006", FR_ERR_CONNECT}, {"58P01", FR_ERR_CONNECT}, {"XX000", FR_ERR_CONNECT},
        {"3D000", FR_ERR_CONFIG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(fr_pg_kind(cases[i].sqlstate), cases[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(position_round_trip),
        cmocka_unit_test(position_refused),
        cmocka_unit_test(lsn_text),
        cmocka_unit_test(quoting),
        cmocka_unit_test(dsn_rules),
        cmocka_unit_test(kinds_of_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
