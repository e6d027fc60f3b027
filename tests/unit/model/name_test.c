#include "base/map.h"
#include "model/name.h"
#include "tests/unit/test.h"

static fr_arena *a;

static int set_up(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_arena_free(a);
    return 0;
}

static void avro_names_go_and_come_back(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"orders", "orders"},
        {"order_items", "order_items"},
        {"max_xid", "max_xid"},
        {"a-b", "a_x2Db"},
        {"a_x2Db", "a_x5Fx2Db"},
        {"a_b", "a_b"},
        {"1st", "_x31st"},
        {"_x31st", "_x5Fx31st"},
        {"né", "n_xC3_xA9"},
        {"a.b", "a_x2Eb"},
        {"__x2D", "__x5Fx2D"},
        {"_x5Fx2D", "_x5Fx5Fx2D"},
        {"", "_x00"},
        {"_x", "_x"},
        {"_x2", "_x2"},
        {"_x-", "_x_x2D"},
        {"a b", "a_x20b"},
        {"_xab", "_xab"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_str name = fr_avro_name(a, fr_cstr(cases[i][0]));
        assert_str(name, cases[i][1]);
        assert_str(fr_avro_name_back(a, name), cases[i][0]);
        assert_true(fr_avro_fullname_legal(name));
    }
}

/* Every name of up to six characters from those that matter to the escape. */
static void no_two_names_meet(void **state)
{
    (void)state;
    static const char letters[] = "_x2D-5F";
    fr_map *seen = fr_map_new();
    char name[8];
    size_t total = 0;
    for (size_t len = 1; len <= 6; len++) {
        size_t count = 1;
        for (size_t i = 0; i < len; i++)
            count *= 7;
        for (size_t n = 0; n < count; n++) {
            size_t rest = n;
            for (size_t i = 0; i < len; i++, rest /= 7)
                name[i] = letters[rest % 7];
            fr_str avro = fr_avro_name(a, (fr_str){name, len});
            fr_str back = fr_avro_name_back(a, avro);
            if (fr_map_set(seen, avro, seen) != NULL || !fr_str_eq(back, (fr_str){name, len})) {
                print_error("%.*s -> %.*s\n", (int)len, name, FR_ARG(avro));
                fail();
            }
            total++;
        }
        fr_arena_reset(a);
    }
    assert_int_equal(fr_map_count(seen), total);
    fr_map_free(seen, NULL);
}

static void full_names(void **state)
{
    (void)state;
    assert_true(fr_avro_fullname_legal(FR_STR("com.acme.Order_1")));
    assert_true(fr_avro_fullname_legal(FR_STR("R")));
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "1a", "a.1", "a-b", "a b", "é"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(fr_avro_fullname_legal(fr_cstr(bad[i])));
}

static void topics(void **state)
{
    (void)state;
    assert_str(fr_topic_legal(a, FR_STR("erp.public.my table/é")), "erp.public.my_table___");
    assert_str(fr_topic_legal(a, FR_STR(".")), "_");
    assert_str(fr_topic_legal(a, FR_STR("..")), "__");
    char longer[300];
    memset(longer, 'x', sizeof longer);
    fr_str legal = fr_topic_legal(a, (fr_str){longer, sizeof longer});
    assert_int_equal(legal.len, 249);
    assert_int_equal(legal.ptr[249], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(avro_names_go_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_two_names_meet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(topics, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
