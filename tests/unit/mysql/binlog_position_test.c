#include "connectors/mysql/binlog_position.h"
#include "unit/test.h"

static fr_err err;

static const char good[] =
    "{\"server\":\"u\",\"flavour\":\"mariadb\",\"db\":\"\",\"epoch\":2,\"file\":\"m-bin.000004\","
    "\"pos\":4711,\"file_time\":9,\"gtid\":\"0-1-5\",\"shapes\":\"\"}";

static void round_trip(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_binlog_position p;
    assert_ok(fr_binlog_position_parse(a, fr_cstr(good), &p, &err));
    assert_true(p.mariadb);
    assert_int_equal(p.epoch, 2);
    assert_int_equal(p.pos, 4711);
    assert_int_equal(p.file_time, 9);
    assert_string_equal(p.file, "m-bin.000004");
    assert_str(p.gtid, "0-1-5");
    assert_str(fr_binlog_position_text(a, &p), good);
    fr_arena_free(a);
}

static void unreadable(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"server\":\"u\",\"flavour\":\"oracle\",\"epoch\":0,\"file\":\"f.1\",\"pos\":4,"
        "\"file_time\":0,\"gtid\":\"\",\"shapes\":\"\"}",
        "{\"server\":\"u\",\"flavour\":\"mysql\",\"epoch\":0,\"file\":\"f.1\",\"pos\":3,"
        "\"file_time\":0,\"gtid\":\"\",\"shapes\":\"\"}",
        "{\"server\":\"u\",\"flavour\":\"mysql\",\"epoch\":0,\"file\":\"\",\"pos\":4,"
        "\"file_time\":0,\"gtid\":\"\",\"shapes\":\"\"}",
        "{\"server\":\"u\",\"flavour\":\"mysql\",\"epoch\":-1,\"file\":\"f.1\",\"pos\":4,"
        "\"file_time\":0,\"gtid\":\"\",\"shapes\":\"\"}",
        "{\"server\":\"u\",\"flavour\":\"mysql\",\"epoch\":0,\"file\":\"f.1\",\"pos\":4,"
        "\"file_time\":0,\"gtid\":7,\"shapes\":\"\"}",
    };
    fr_arena *a = fr_arena_new(0);
    fr_binlog_position p;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_fails(fr_binlog_position_parse(a, fr_cstr(wrong[i]), &p, &err), FR_ERR_POSITION);
        assert_string_equal(err.code, "my.position");
    }
    fr_arena_free(a);
}

/* D12: a number, of any length, and never the order of the letters. */
static void file_numbers(void **state)
{
    (void)state;
    assert_int_equal(fr_binlog_number_of_file("mysql-bin.000004"), 4);
    assert_int_equal(fr_binlog_number_of_file("a.b.1000000"), 1000000);
    assert_true(fr_binlog_lsn("x.999999", 4) < fr_binlog_lsn("x.1000000", 4));
    assert_true(fr_binlog_lsn("x.1", 5) > fr_binlog_lsn("x.1", 4));
    assert_int_equal(fr_binlog_number_of_file("none"), 0);
    assert_int_equal(fr_binlog_number_of_file("x.12y"), 0);
    assert_int_equal(fr_binlog_number_of_file("x."), 0);
    assert_true(fr_binlog_lsn("x.1", UINT64_C(5000000000)) < fr_binlog_lsn("x.2", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(unreadable),
                                       cmocka_unit_test(file_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
