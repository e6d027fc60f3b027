#include "unit/test.h"

#include "progress/letters.h"

static fr_arena *a;
static fr_letters *l;
static fr_letter **all;
static size_t count;

static void fold(const char *place, int partition, int64_t offset, fr_str key, size_t n,
                 const fr_header *headers)
{
    fr_message m = {.topic = fr_cstr(place),
                    .partition = partition,
                    .offset = offset,
                    .key = key,
                    .payload = FR_STR("{}"),
                    .headers = headers,
                    .header_count = n};
    fr_letters_fold(l, &m);
}

/* One of sink k, of topic t, partition 0. */
static void letter(int64_t offset, const char *key, const char *from, bool parked)
{
    const fr_header h[] = {{"mine", FR_STR("x")},
                           {"freshet.sink", FR_STR("k")},
                           {"freshet.reason", FR_STR("why")},
                           {"freshet.topic", FR_STR("t")},
                           {"freshet.partition", FR_STR("0")},
                           {"freshet.offset", fr_cstr(from)},
                           {"freshet.parked", fr_cstr(parked ? "true" : "false")},
                           {"freshet.v", FR_STR("2")}};
    fold("dlq", 0, offset, fr_cstr(key), 8, h);
}

static void mark(const char *place, const char *what, const char *value)
{
    const fr_header h[] = {{"freshet.mark", fr_cstr(what)}};
    fr_message m = {.topic = fr_cstr(place), .payload = fr_cstr(value), .headers = h};
    m.header_count = 1;
    fr_letters_fold(l, &m);
}

static int begin(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    l = fr_letters_new(NULL, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fr_letters_free(l);
    fr_arena_free(a);
    return 0;
}

static fr_letter_state at(int64_t offset)
{
    for (size_t i = 0; i < count; i++)
        if (all[i]->offset == offset)
            return all[i]->state;
    fail();
    return FR_LETTER_OPEN;
}

static void a_sinks_letter(void **state)
{
    (void)state;
    letter(7, "key", "41", false);
    all = fr_letters_settle(l, &count);
    assert_int_equal(count, 1);
    const fr_letter *x = all[0];
    assert_false(x->source || x->parked || x->cut || x->kept);
    assert_str(x->part, "k");
    assert_str(x->topic, "t");
    assert_str(x->reason, "why");
    assert_int_equal(x->from_offset, 41);
    assert_int_equal(x->version, 2);
    assert_int_equal(fr_letters_strange(l), 0);
}

static bool keep(void *context, const fr_letter *x)
{
    (void)context;
    return x->offset == 1;
}

static void a_sources_letter_within_a_sinks(void **state)
{
    (void)state;
    const fr_header h[] = {
        {"freshet.source", FR_STR("erp")},     {"freshet.reason", FR_STR("old")},
        {"freshet.position", FR_STR("0/1/2")}, {"freshet.parked", FR_STR("true")},
        {"freshet.sink", FR_STR("k")},         {"freshet.reason", FR_STR("new")},
        {"freshet.topic", FR_STR("dlq")},      {"freshet.partition", FR_STR("2")},
        {"freshet.offset", FR_STR("5")},       {"freshet.parked", FR_STR("false")}};
    fr_letters_free(l);
    l = fr_letters_new(keep, NULL);
    fold("dlq", 0, 0, FR_STR("a/b"), 4, h);
    fold("dlq2", 0, 1, FR_STR("a/b"), 10, h);
    all = fr_letters_settle(l, &count);
    assert_int_equal(count, 2);
    assert_true(all[0]->source && all[0]->parked && all[0]->ordinal == 2);
    assert_str(all[0]->topic, "a");
    assert_false(all[1]->source || all[1]->parked);
    assert_str(all[1]->reason, "new");
    assert_int_equal(all[1]->version, 1);
    assert_int_equal(all[1]->header_count, 4); /* the message's own */
}

static void marks_settle(void **state)
{
    (void)state;
    letter(1, "a", "1", false);
    letter(2, "b", "2", false);
    letter(3, "c", "3", false);
    mark("dlq", "done", "{\"v\":1,\"letters\":[[0,1]]}");
    mark("dlq", "dropped", "{\"v\":1,\"letters\":[[0,2],[1,3]]}");
    mark("another", "done", "{\"v\":1,\"letters\":[[0,3]]}");
    all = fr_letters_settle(l, &count);
    assert_int_equal(at(1), FR_LETTER_DONE);
    assert_int_equal(at(2), FR_LETTER_DROPPED);
    assert_int_equal(at(3), FR_LETTER_OPEN);
}

static void a_mark_is_what_it_settles(void **state)
{
    (void)state;
    const fr_header *headers;
    letter(1, "a", "1", false);
    letter(2, "a", "2", true);
    all = fr_letters_settle(l, &count);
    fr_str value = fr_letters_mark(a, all, count, FR_STR("me"), 5);
    assert_str(value, "{\"v\":1,\"letters\":[[0,1],[0,2]],\"by\":\"me\",\"at\":5}");
    size_t n = fr_letters_mark_headers(a, all[0], true, &headers);
    fr_message m = {.topic = FR_STR("dlq"), .offset = 3, .payload = value, .headers = headers};
    m.header_count = n;
    fr_letters_fold(l, &m);
    all = fr_letters_settle(l, &count);
    assert_true(at(1) == FR_LETTER_DROPPED && at(2) == FR_LETTER_DROPPED);
}

static void behind_a_settled_one(void **state)
{
    (void)state;
    letter(1, "a", "1", false);
    mark("dlq", "done", "{\"v\":1,\"letters\":[[0,1]]}");
    letter(3, "a", "2", true); /* by the sink that lost its transaction */
    letter(4, "b", "3", true); /* its head is gone */
    letter(5, "a", "4", false);
    letter(6, "a", "5", true);
    all = fr_letters_settle(l, &count);
    assert_int_equal(at(3), FR_LETTER_DONE);
    assert_int_equal(at(4), FR_LETTER_OPEN);
    assert_int_equal(at(5), FR_LETTER_OPEN);
    assert_int_equal(at(6), FR_LETTER_OPEN);
}

static void keys_with_any_bytes(void **state)
{
    (void)state;
    letter(1, "a", "1", false);
    letter(2, "b", "2", false);
    all = fr_letters_settle(l, &count);
    all[0]->key = (fr_str){"\0\1", 2};
    all[1]->key = (fr_str){"\0\2", 2};
    assert_false(fr_str_eq(fr_letter_group(a, all[0]), fr_letter_group(a, all[1])));
    all[0]->key = all[1]->key = (fr_str){NULL, 0}; /* each stands alone */
    assert_false(fr_str_eq(fr_letter_group(a, all[0]), fr_letter_group(a, all[1])));
}

static void what_is_none_is_counted(void **state)
{
    (void)state;
    const fr_header bad[] = {{"freshet.sink", FR_STR("k")},
                             {"freshet.topic", FR_STR("t")},
                             {"freshet.partition", FR_STR("-1")},
                             {"freshet.offset", FR_STR("99999999999999999999")},
                             {"freshet.parked", FR_STR("false")}};
    fold("dlq", 0, 1, FR_STR("k"), 5, bad);
    fold("dlq", 0, 2, FR_STR("k"), 0, NULL);
    fold("dlq", 0, 3, FR_STR("k"), 1, bad + 4);
    mark("dlq", "gone", "{\"v\":1,\"letters\":[]}");
    mark("dlq", "done", "{\"v\":2,\"letters\":[]}");
    mark("dlq", "done", "{\"v\":1,\"letters\":[[\"0\",1]]}");
    mark("dlq", "done", "x");
    (void)fr_letters_settle(l, &count);
    assert_int_equal(count, 0);
    assert_int_equal(fr_letters_strange(l), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sinks_letter, begin, end),
        cmocka_unit_test_setup_teardown(a_sources_letter_within_a_sinks, begin, end),
        cmocka_unit_test_setup_teardown(marks_settle, begin, end),
        cmocka_unit_test_setup_teardown(a_mark_is_what_it_settles, begin, end),
        cmocka_unit_test_setup_teardown(behind_a_settled_one, begin, end),
        cmocka_unit_test_setup_teardown(keys_with_any_bytes, begin, end),
        cmocka_unit_test_setup_teardown(what_is_none_is_counted, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
