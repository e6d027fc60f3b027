#include "unit/test.h"

#include "clickhouse/ch_dsn.h"
#include "clickhouse/ch_sink.h"
#include "clickhouse/ch_value.h"
#include <stdlib.h>

static fr_err err;

static void types_are_read(void **state)
{
    (void)state;
    fr_ch_type t = fr_ch_type_of(FR_STR("LowCardinality(Nullable(FixedString(16)))"));
    assert_int_equal(t.base, FR_CH_FIXED);
    assert_int_equal(t.size, 16);
    assert_true(t.nullable && t.low_cardinality);
    assert_true(fr_str_is(t.inner, "FixedString(16)"));
    t = fr_ch_type_of(FR_STR("Nullable(Decimal(38, 10))"));
    assert_int_equal(t.base, FR_CH_DECIMAL);
    assert_int_equal(t.size, 16);
    assert_int_equal(t.precision, 38);
    assert_int_equal(t.scale, 10);
    t = fr_ch_type_of(FR_STR("DateTime64(3, 'Asia/Tokyo')"));
    assert_int_equal(t.base, FR_CH_DATETIME64);
    assert_int_equal(t.scale, 3);
    assert_int_equal(fr_ch_type_of(FR_STR("DateTime('UTC')")).base, FR_CH_DATETIME);
    assert_int_equal(fr_ch_type_of(FR_STR("UInt256")).size, 32);
    static const char *const others[] = {"",
                                         "Nullable()",
                                         "Nullable(",
                                         "Decimal(77, 2)",
                                         "Decimal(2, 3)",
                                         "Decimal(2)",
                                         "Int33",
                                         "DateTime64(10)",
                                         "DateTime64(x)",
                                         "FixedString(0)",
                                         "FixedString(-1)",
                                         "String(1)",
                                         "Array(Nullable(Int32))",
                                         "Map(String, String)",
                                         "Enum8('a' = 1)",
                                         "Nullable(Nullable(Int8))"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(fr_ch_type_of(fr_cstr(others[i])).base, FR_CH_OTHER);
}

static void check_put(const char *type, const fr_column *c, fr_value v, const char *hex)
{
    fr_buf out = {0};
    fr_ch_type t = fr_ch_type_of(fr_cstr(type));
    assert_int_equal(fr_ch_put_value(&out, &t, c, &v, &err), FR_OK);
    char got[256] = "";
    for (size_t i = 0; i < out.len; i++)
        snprintf(got + 2 * i, 3, "%02x", out.ptr[i]);
    assert_string_equal(got, hex);
    fr_in in = fr_in_of(fr_buf_view(&out)); /* what was put is taken as one value */
    assert_int_equal(fr_ch_take_value(&in, &t).len, out.len);
    assert_false(in.bad);
    in = fr_in_of((fr_str){(const char *)out.ptr, out.len - 1});
    (void)fr_ch_take_value(&in, &t);
    assert_true(in.bad);
    fr_buf_free(&out);
}

static void values_are_bytes(void **state)
{
    (void)state;
    fr_column i = {.name = FR_STR("c"), .kind = FR_INT64},
              d = {.name = FR_STR("c"), .kind = FR_DECIMAL, .precision = 10, .scale = 2};
    fr_column s = {.name = FR_STR("c"), .kind = FR_TEXT},
              u = {.name = FR_STR("c"), .kind = FR_UUID};
    check_put("Int64", &i, (fr_value){.kind = FR_INT64, .integer = -2}, "feffffffffffffff");
    check_put("Int8", &i, (fr_value){.kind = FR_INT64, .integer = -128}, "80");
    check_put("UInt16", &i, (fr_value){.kind = FR_INT64, .integer = 65535}, "ffff");
    check_put("Nullable(Int128)", &i, (fr_value){.kind = FR_INT64, .integer = INT64_MIN},
              "000000000000000080ffffffffffffffff");
    check_put("Nullable(Int64)", &i, (fr_value){.kind = FR_NULL}, "01");
    check_put("Decimal(9, 4)", &d, (fr_value){.kind = FR_DECIMAL, .bytes = FR_STR("\xff")},
              "9cffffff"); /* -0.01 */
    check_put("Decimal(18, 2)", &d, (fr_value){.kind = FR_DECIMAL, .bytes = FR_STR("\x01\x00")},
              "0001000000000000");
    check_put("String", &d, (fr_value){.kind = FR_DECIMAL, .bytes = FR_STR("\xff")},
              "052d302e3031");
    check_put("String", &s, (fr_value){.kind = FR_TEXT, .bytes = {"a\0b", 3}}, "03610062");
    check_put("FixedString(2)", &s, (fr_value){.kind = FR_TEXT, .bytes = FR_STR("ab")}, "6162");
    check_put("UUID", &u,
              (fr_value){.kind = FR_UUID, .bytes = FR_STR("00112233-4455-6677-8899-aabbccddeeff")},
              "7766554433221100ffeeddccbbaa9988");
}

static void refused(const char *type, const fr_column *c, fr_value v, const char *code)
{
    fr_buf out = {0};
    fr_ch_type t = fr_ch_type_of(fr_cstr(type));
    assert_int_equal(fr_ch_put_value(&out, &t, c, &v, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_string_equal(err.code, code);
    fr_buf_free(&out);
}

static void nothing_is_cut(void **state)
{
    (void)state;
    char huge[40] = {0x7f};
    fr_column i = {.name = FR_STR("c"), .kind = FR_INT64},
              d = {.name = FR_STR("c"), .kind = FR_DECIMAL, .precision = 80};
    refused("Int8", &i, (fr_value){.kind = FR_INT64, .integer = 128}, "sink.value");
    refused("UInt64", &i, (fr_value){.kind = FR_INT64, .integer = -1}, "sink.value");
    refused("Int64", &i, (fr_value){.kind = FR_NULL}, "sink.not_null");
    refused("Decimal(76, 76)", &i, (fr_value){.kind = FR_INT64, .integer = 1}, "sink.value");
    refused("UInt256", &d, (fr_value){.kind = FR_DECIMAL, .bytes = {huge, sizeof(huge)}},
            "sink.value");
    refused("Decimal(76, 0)", &d, (fr_value){.kind = FR_DECIMAL, .bytes = {huge, 32}},
            "sink.value");
    refused("Int256", &d, (fr_value){.kind = FR_DECIMAL, .bytes = {huge, 33}}, "sink.value");
}

static void wider_types(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool wider;
    } rules[] = {{"Int32", "Int64", true},
                 {"Int64", "Int32", false},
                 {"UInt32", "Int64", true},
                 {"UInt64", "Int64", false},
                 {"Int32", "Decimal(10, 0)", true},
                 {"Int32", "Decimal(11, 2)", false},
                 {"Decimal(10, 2)", "Decimal(12, 4)", true},
                 {"Decimal(10, 2)", "Decimal(11, 4)", false},
                 {"Nullable(Int32)", "Int64", false},
                 {"Int32", "Nullable(Int64)", true},
                 {"Int64", "String", true},
                 {"Decimal(10, 2)", "String", false},
                 {"Date", "Date32", true},
                 {"String", "Int64", false},
                 {"DateTime64(3)", "DateTime64(6)", true}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        fr_ch_type from = fr_ch_type_of(fr_cstr(rules[i].from)),
                   to = fr_ch_type_of(fr_cstr(rules[i].to));
        if (fr_ch_widens(&from, &to) != rules[i].wider)
            fail_msg("%s to %s", rules[i].from, rules[i].to);
    }
}

static void engines_are_read(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_ch_target r = {0};
    fr_ch_target_engine(
        a, FR_STR("ReplicatedReplacingMergeTree"),
        FR_STR("ReplicatedReplacingMergeTree('/x, (y', '{replica}', `_freshet_position`, del) "
               "ORDER BY (a, f(b, 'c)')) SETTINGS index_granularity = 8192"),
        5, &r);
    assert_true(fr_str_is(r.engine, "ReplacingMergeTree"));
    assert_true(r.replicated);
    assert_true(fr_str_is(r.version, "_freshet_position"));
    assert_true(fr_str_is(r.deleted, "del"));
    assert_int_equal(r.window, FR_CH_WINDOW);
    fr_ch_target_engine(
        a, FR_STR("MergeTree"),
        FR_STR("MergeTree ORDER BY ` SETTINGS non_replicated_deduplication_window = 9`"), 5, &r);
    assert_int_equal(r.version.len, 0);
    assert_int_equal(r.window, 5);
    fr_ch_target_engine(a, FR_STR("MergeTree"),
                        FR_STR("MergeTree ORDER BY a SETTINGS index_granularity = 8192, "
                               "non_replicated_deduplication_window = 777"),
                        5, &r);
    assert_int_equal(r.window, 777);
    fr_str *list;
    assert_int_equal(fr_ch_split(a, FR_STR("(`a\\`,b`, f(x, 'y)'), c)"), &list), 3);
    assert_true(fr_str_is(list[0], "a`,b"));
    assert_true(fr_str_is(list[1], "f(x, 'y)')"));
    assert_true(fr_str_is(list[2], "c"));
    assert_int_equal(fr_ch_split(a, FR_STR("(a), (b)"), &list), 2);
    assert_int_equal(fr_ch_split(a, FR_STR(""), &list), 0);
    fr_arena_free(a);
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *database;
        unsigned port;
        fr_ch_tls tls;
    } good[] = {
        {"clickhouse://127.0.0.1", "127.0.0.1", "default", 8123, FR_CH_TLS_OFF},
        {"clickhouse://u@host/d", "host", "d", 8443, FR_CH_TLS_VERIFY},
        {"clickhouse://u@host:8123/d?tls=off", "host", "d", 8123, FR_CH_TLS_OFF},
        {"clickhouses://localhost:9/a%2Db", "localhost", "a-b", 9, FR_CH_TLS_VERIFY},
        {"clickhouse://[::1]:8443/d", "[::1]", "d", 8443, FR_CH_TLS_VERIFY},
        {"clickhouse://127.0.0.1.example/d", "127.0.0.1.example", "d", 8443, FR_CH_TLS_VERIFY}};
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fr_ch_dsn d;
        assert_int_equal(fr_ch_dsn_parse(a, good[i].text, &d, &err), FR_OK);
        assert_string_equal(d.host, good[i].host);
        assert_string_equal(d.database, good[i].database);
        assert_int_equal(d.port, good[i].port);
        assert_int_equal(d.tls, good[i].tls);
        assert_int_equal(fr_ch_dsn_rules(&d, false, &err),
                         d.tls == FR_CH_TLS_OFF && !d.local ? FR_FAIL : FR_OK);
    }
    fr_arena_free(a);
}

/* `freshet validate` reads them, too. */
static void addresses_are_validated(void **state)
{
    (void)state;
    const fr_option *dsn = fr_option_find(fr_clickhouse_sink.options, FR_STR("dsn"));
    assert_non_null(dsn->reads);
    assert_int_equal(dsn->reads("clickhouses://u@host/d", &err), FR_OK);
    assert_int_equal(dsn->reads("clickhouse://u:secret@host/d", &err), FR_FAIL);
    assert_string_equal(err.code, "ch.dsn_password");
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(dsn->reads("postgresql://u@host/d", &err), FR_FAIL);
    assert_string_equal(err.code, "ch.dsn");
}

/* Replays cut a range where it was cut, whatever has come since. */
static void ranges_are_cut_as_they_were(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_ch_sink_table one = {.append = false}, two = {.append = false};
    fr_ch_lane l = {.want = -1};
    int64_t bounds[] = {12, 15, 19};
    for (int64_t offset = 10; offset < 25; offset++) {
        fr_buf_u8(&l.bytes, (uint8_t)offset);
        fr_ch_lane_add(&l, offset, offset < 13 || offset > 15 ? &one : &two,
                       offset == 20 ? FR_CH_TRUNCATE : FR_CH_ROW);
    }
    fr_ch_block *blocks;
    assert_int_equal(fr_ch_lane_cut(a, &l, 0, 10, 30, &blocks), 5);
    assert_int_equal(blocks[1].first, 13);
    assert_int_equal(blocks[1].last, 15);
    assert_int_equal(blocks[3].from + 1, blocks[3].to); /* the truncate */
    assert_int_equal(blocks[4].last, 30);
    l.state = (fr_ch_state){.next = 10, .bounds = bounds, .bound_count = 3};
    size_t rows;
    assert_int_equal(fr_ch_lane_pending(a, &l, &blocks, &rows), 3);
    assert_int_equal(rows, 10);
    assert_int_equal(blocks[2].first, 16);
    assert_int_equal(blocks[2].to - blocks[2].from, 4);
    free(l.rows);
    fr_buf_free(&l.bytes);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_read),          cmocka_unit_test(values_are_bytes),
        cmocka_unit_test(nothing_is_cut),          cmocka_unit_test(wider_types),
        cmocka_unit_test(engines_are_read),        cmocka_unit_test(addresses),
        cmocka_unit_test(addresses_are_validated), cmocka_unit_test(ranges_are_cut_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
