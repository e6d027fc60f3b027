#include "unit/test.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/queue.h"
#include <pthread.h>
#include <stdlib.h>

static void errors_keep_context_in_front(void **state)
{
    (void)state;
    fr_err err;
    assert_int_equal(fr_fail(&err, FR_ERR_CONNECT, "connection %s", "reset"), FR_FAIL);
    fr_fail_in(&err, "read wal");
    fr_fail_in(&err, "stream %s", "shop");
    assert_string_equal(err.text, "stream shop: read wal: connection reset");
    assert_string_equal(fr_err_hint(&err), "check that the server is up and reachable");
    fr_fail_hint(&err, "start it");
    assert_string_equal(fr_err_hint(&err), "start it");
    assert_int_equal(fr_err_exit(FR_ERR_POSITION), 5);
    assert_int_equal(fr_err_retry(FR_ERR_BUSY), FR_RETRY_BACKOFF);
}

static void errors_may_quote_themselves(void **state)
{
    (void)state;
    fr_err err;
    fr_fail(&err, FR_ERR_DATA, "inner");
    fr_fail(&err, FR_ERR_DATA, "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void bytes_in_hex(void **state)
{
    (void)state;
    fr_buf b = {0};
    fr_buf_hex(&b, (fr_str){NULL, 0});
    assert_int_equal(b.len, 0);
    fr_buf_text(&b, "x");
    fr_buf_hex(&b, (fr_str){"\x00\x7f\x80\xfe", 4});
    assert_true(fr_str_is(fr_buf_view(&b), "x007f80fe"));
    fr_buf_free(&b);
}

static void bytes_in_base64(void **state)
{
    static const char *const of[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                     "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    (void)state;
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) { /* RFC 4648, section 10 */
        fr_buf b = {0};
        fr_buf_base64(&b, (fr_str){"foobar", i});
        assert_true(fr_str_is(fr_buf_view(&b), of[i]));
        fr_buf_free(&b);
    }
}

static void loopback_is_known_by_number(void **state)
{
    (void)state;
    static const char *own[] = {
        "localhost", "LocalHost", "127.0.0.1",       "127.9.9.9",  "127.1",
        "::1",       "[::1]",     "0:0:0:0:0:0:0:1", "0177.0.0.1", "127.255.255.255"};
    static const char *others[] = {"",
                                   "127.0.0.1.example",
                                   "127.example",
                                   "127.",
                                   "127.0.0.256",
                                   "127.0.0.1.2",
                                   "128.0.0.1",
                                   "0127.0.0.1",
                                   "127.0.0.1 ",
                                   "::",
                                   "::2",
                                   "[127.0.0.1]",
                                   "[::1",
                                   "[localhost]",
                                   "localhost.",
                                   "1270",
                                   "localhost.example",
                                   "[]",
                                   "fe80::1",
                                   "example",
                                   "0.0.0.0",
                                   "::ffff:127.0.0.1"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (!fr_is_loopback(fr_cstr(own[i])))
            fail_msg("%s is this machine", own[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (fr_is_loopback(fr_cstr(others[i])))
            fail_msg("%s is another", others[i]);
    assert_false(fr_is_loopback((fr_str){"localhost\0", 10}));
    assert_true(fr_is_loopback((fr_str){"127.0.0.1,example", 9}));
}

static void hosts_are_taken_out_of_addresses(void **state)
{
    (void)state;
    static const char *cases[][2] = {{"h", "h"},           {"h:1", "h"},       {"h/x:y", "h"},
                                     {"[::1]:9", "[::1]"}, {"[::1]", "[::1]"}, {"::1", "::1"},
                                     {"h:1/x]", "h"},      {":8083", ""},      {"", ""},
                                     {"[::1", "[::1"},     {"h:1/a:b", "h"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!fr_str_is(fr_host_of(cases[i][0]), cases[i][1]))
            fail_msg("%s", cases[i][0]);
}

static void controls_never_reach_a_terminal(void **state)
{
    (void)state;
    fr_buf b = {0};
    fr_buf_shown(&b, FR_STR("a\033[2J\n\x7f\xc2\x9bx \xc3\xa9\xc2\xa0 \xc2"));
    assert_str(fr_buf_view(&b), "a?[2J???x \xc3\xa9\xc2\xa0 \xc2");
    fr_buf_free(&b);
}

static int released;
static void release(void *p)
{
    released++;
    free(p);
}

static void arena_hands_out_and_takes_back(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(64);
    for (int i = 0; i < 1000; i++) {
        fr_str s = fr_arena_printf(a, "value %d", i);
        assert_int_equal(s.len, strlen(s.ptr));
        long *l = fr_arena_alloc(a, sizeof(long));
        assert_int_equal((uintptr_t)l % 16, 0);
        assert_int_equal(*l, 0);
    }
    fr_arena_adopt(a, malloc(10), 10, release);
    assert_true(fr_arena_used(a) > 8000);
    fr_arena_reset(a);
    assert_int_equal(released, 1);
    assert_int_equal(fr_arena_used(a), 0);
    char *p = fr_arena_raw(a, 40);
    fr_arena_shrink(a, p, 40, 8);
    assert_int_equal(fr_arena_used(a), 8);
    fr_arena_free(a);
}

static void arena_keeps_blocks_where_it_is_told_to(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(64);
    fr_arena_keep(a, 5000);
    void *first = fr_arena_raw(a, 3000); /* a block of its own */
    fr_arena_raw(a, 4000);               /* and another: both are more than it may keep */
    fr_arena_reset(a);
    assert_int_equal(fr_arena_used(a), 0);
    void *kept = fr_arena_raw(a, 4000);
    assert_ptr_not_equal(kept, first);
    memset(kept, 1, 4000);
    void *more = fr_arena_raw(a, 3000); /* nothing is left of what was kept */
    memset(more, 2, 3000);
    fr_arena_reset(a);
    assert_ptr_equal(fr_arena_raw(a, 4000), kept);
    fr_arena_reset(a);
    fr_arena_trim(a);
    char *zeroed = fr_arena_alloc(a, 4000);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(zeroed[i], 0);
    fr_arena_free(a);
}

static void reading_past_the_end_is_bad_and_zero(void **state)
{
    (void)state;
    fr_in in = fr_in_of(FR_STR("\x01\x02\x03"));
    assert_int_equal(fr_in_u16be(&in), 0x0102);
    assert_int_equal(fr_in_u32be(&in), 0);
    assert_true(in.bad);
    assert_int_equal(fr_in_u8(&in), 0);
    in = fr_in_of(FR_STR("ab\0c"));
    assert_str(fr_in_cstr(&in), "ab");
    assert_str(fr_in_cstr(&in), "");
    assert_true(in.bad);
}

static void zigzag_goes_both_ways(void **state)
{
    (void)state;
    static const int64_t values[] = {0, -1, 1, 63, 64, -64, -65, INT32_MAX, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        fr_buf b = {0};
        fr_buf_zigzag(&b, values[i]);
        fr_in in = fr_in_of(fr_buf_view(&b));
        assert_true(fr_in_zigzag(&in) == values[i]);
        assert_false(in.bad);
        assert_int_equal(fr_in_left(&in), 0);
        fr_buf_free(&b);
    }
    fr_in in = fr_in_of(FR_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    fr_in_zigzag(&in);
    assert_true(in.bad);
}

static void checksums_are_the_published_ones(void **state)
{
    (void)state;
    assert_int_equal(fr_crc32c(0, "123456789", 9), 0xE3069283u); /* RFC 3720 B.4 */
    assert_int_equal(fr_crc32c(fr_crc32c(0, "12345", 5), "6789", 4), 0xE3069283u);
    /* Apache Kafka, UtilsTest.testMurmur2 */
    assert_int_equal((int32_t)fr_murmur2("21", 2), -973932308);
    assert_int_equal((int32_t)fr_murmur2("foobar", 6), -790332482);
    assert_int_equal((int32_t)fr_murmur2("a-little-bit-long-string", 24), -985981536);
    assert_int_equal((int32_t)fr_murmur2("a-little-bit-longer-string", 26), -1486304829);
    assert_int_equal((int32_t)fr_murmur2("abc", 3), 479470107);
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(fr_utf8_valid(FR_STR("plain ascii, long enough for words")));
    assert_true(fr_utf8_valid(FR_STR("na\xC3\xAFve \xE8\xA1\xA8 \xF0\x9F\x8C\x8A")));
    assert_false(fr_utf8_valid(FR_STR("\xC0\x80")));
    assert_false(fr_utf8_valid(FR_STR("\xED\xA0\x80")));
    assert_false(fr_utf8_valid(FR_STR("\xF4\x90\x80\x80")));
    assert_false(fr_utf8_valid(FR_STR("12345678\xE8\xA1")));
}

static void json_text_is_escaped(void **state)
{
    (void)state;
    fr_buf b = {0};
    fr_buf_json(&b, FR_STR("a\"b\\c\n\x01\xC3\xAF"));
    assert_str(fr_buf_view(&b), "\"a\\\"b\\\\c\\n\\u0001\xC3\xAF\"");
    fr_err err;
    json_t *j;
    assert_ok(fr_json_parse(fr_buf_view(&b), &j, &err));
    json_decref(j);
    assert_fails(fr_json_parse(FR_STR("{\"a\":1,\"a\":2}"), &j, &err), FR_ERR_DATA);
    fr_buf_free(&b);
}

static void maps_find_what_was_set(void **state)
{
    (void)state;
    fr_map *m = fr_map_new();
    static int values[500];
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_null(fr_map_set(m, fr_cstr(key), &values[i]));
        assert_null(fr_map_set_u64(m, (uint64_t)i, &values[i]));
    }
    for (int i = 0; i < 500; i += 2)
        assert_ptr_equal(fr_map_remove_u64(m, (uint64_t)i), &values[i]);
    assert_int_equal(fr_map_count(m), 750);
    assert_null(fr_map_get_u64(m, 4));
    assert_ptr_equal(fr_map_get(m, FR_STR("k4")), &values[4]);
    assert_ptr_equal(fr_map_get_u64(m, 5), &values[5]);
    assert_ptr_equal(fr_map_set(m, FR_STR("k4"), &values[9]), &values[4]);
    for (int i = 0; i < 500; i += 2)
        fr_map_set_u64(m, (uint64_t)i + 10000, &values[i]);
    size_t i = 0, seen = 0;
    fr_str key;
    void *value;
    while (fr_map_next(m, &i, &key, &value))
        seen++;
    assert_int_equal(seen, fr_map_count(m));
    fr_map_free(m, NULL);
}

static void *put_thousand(void *q)
{
    for (intptr_t i = 1; i <= 1000; i++)
        fr_queue_put(q, (void *)i, INT64_MAX);
    fr_queue_close(q);
    return NULL;
}

static void queues_keep_order_and_close(void **state)
{
    (void)state;
    fr_queue *q = fr_queue_new(3);
    pthread_t thread;
    pthread_create(&thread, NULL, put_thousand, q);
    intptr_t expected = 1;
    for (void *item; (item = fr_queue_take(q, INT64_MAX)) != NULL; expected++)
        assert_int_equal((intptr_t)item, expected);
    assert_int_equal(expected, 1001);
    assert_false(fr_queue_put(q, q, INT64_MAX));
    pthread_join(thread, NULL);
    fr_queue_free(q);
    q = fr_queue_new(1);
    assert_null(fr_queue_take(q, fr_now_us() + 1000));
    assert_true(fr_queue_put(q, q, 0));
    assert_false(fr_queue_put(q, q, fr_now_us() + 1000));
    fr_queue_take(q, 0);
    fr_queue_free(q);
}

static void secrets_are_replaced(void **state)
{
    (void)state;
    fr_log_secret("hunter2-long");
    char text[] = "password=hunter2-long and hunter2-long again";
    fr_redact(text);
    assert_string_equal(text, "password=*** and *** again");
}

static void many_secrets_are_replaced(void **state)
{
    char secret[32], text[80];
    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(secret, sizeof(secret), "s3cret-%03d-", i);
        fr_log_secret(secret);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), "login with s3cret-%03d- failed", i);
        fr_redact(text);
        assert_string_equal(text, "login with *** failed");
    }
}

static void back_off_grows_to_its_limit(void **state)
{
    (void)state;
    fr_backoff b = {.first_us = 100, .max_us = 1000};
    int64_t last = 0;
    for (int i = 0; i < 10; i++) {
        last = fr_backoff_next(&b);
        assert_true(last >= 50 && last <= 1000);
    }
    assert_true(last >= 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_context_in_front),
        cmocka_unit_test(errors_may_quote_themselves),
        cmocka_unit_test(arena_hands_out_and_takes_back),
        cmocka_unit_test(arena_keeps_blocks_where_it_is_told_to),
        cmocka_unit_test(reading_past_the_end_is_bad_and_zero),
        cmocka_unit_test(zigzag_goes_both_ways),
        cmocka_unit_test(checksums_are_the_published_ones),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(json_text_is_escaped),
        cmocka_unit_test(maps_find_what_was_set),
        cmocka_unit_test(queues_keep_order_and_close),
        cmocka_unit_test(bytes_in_hex),
        cmocka_unit_test(bytes_in_base64),
        cmocka_unit_test(loopback_is_known_by_number),
        cmocka_unit_test(hosts_are_taken_out_of_addresses),
        cmocka_unit_test(controls_never_reach_a_terminal),
        cmocka_unit_test(secrets_are_replaced),
        cmocka_unit_test(many_secrets_are_replaced),
        cmocka_unit_test(back_off_grows_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
