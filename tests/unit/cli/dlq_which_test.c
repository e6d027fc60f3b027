/* Which dead letters a verb means, and which it keeps whole while it reads all. */
#include "cli/dlq_which.c"
#include "tests/unit/test.h"

static fr_letter letter_of(bool source, const char *part, const char *key, int version)
{
    return (fr_letter){.source = source,
                       .part = fr_cstr(part),
                       .topic = FR_STR("erp.public.t"),
                       .key = fr_cstr(key),
                       .key_before = {"", 0},
                       .version = version};
}

static void want(fr_dlq_ask *ask, const fr_letter *l)
{
    fr_arena *a = fr_arena_new(0);
    fr_map_set(ask->wanted, fr_letter_group(a, l), ask);
    fr_arena_free(a);
}

static void only_wanted_letters_are_kept_whole(void **state)
{
    (void)state;
    fr_dlq_ask ask = {.wanted = fr_map_new(), .whole_of = "erp", .whole_source = true};
    fr_letter mine = letter_of(true, "erp", "erp.public.t/1", 2),
              other = letter_of(true, "erp", "erp.public.t/2", 2),
              older = letter_of(true, "erp", "erp.public.t/3", 1),
              elsewhere = letter_of(true, "crm", "erp.public.t/1", 1),
              of_sink = letter_of(false, "erp", "1", 2);
    want(&ask, &mine);
    want(&ask, &elsewhere);
    want(&ask, &of_sink);
    assert_true(fr_dlq_wanted(&ask, &mine));
    assert_false(fr_dlq_wanted(&ask, &other));
    assert_false(fr_dlq_wanted(&ask, &older));
    assert_false(fr_dlq_wanted(&ask, &elsewhere));
    assert_false(fr_dlq_wanted(&ask, &of_sink));
    /* Before it is known which keys are tied: those whose row alone tells it. */
    ask.untold = true;
    assert_false(fr_dlq_wanted(&ask, &mine));
    assert_false(fr_dlq_wanted(&ask, &other));
    assert_true(fr_dlq_wanted(&ask, &older));
    assert_false(fr_dlq_wanted(&ask, &elsewhere));
    ask.untold = ask.whole_source = false;
    assert_true(fr_dlq_wanted(&ask, &of_sink));
    assert_false(fr_dlq_wanted(&ask, &mine));
    ask.whole_of = NULL;
    assert_false(fr_dlq_wanted(&ask, &of_sink));
    fr_map_free(ask.wanted, NULL);
}

static void an_id_is_read(void **state)
{
    (void)state;
    fr_err err;
    const char *one[] = {"freshet.erp.dlq"}, *bad[] = {"", "1", "@1", "1@", "1@x", "1@1x", "-@1"};
    fr_dlq_ask ask = {.places = one, .place_count = 1};
    assert_ok(fr_dlq_read_id(&ask, "2@41", &err));
    fr_letter l = {.place = FR_STR("freshet.erp.dlq"), .partition = 2, .offset = 41};
    assert_true(fr_dlq_matches(&ask, &l) && fr_dlq_wanted(&ask, &l));
    l.offset++;
    assert_false(fr_dlq_matches(&ask, &l) || fr_dlq_wanted(&ask, &l));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fr_dlq_read_id(&ask, bad[i], &err), FR_FAIL);
        assert_string_equal(err.code, "dlq.id");
    }
    ask.place_count = 2;
    assert_int_equal(fr_dlq_read_id(&ask, "2@41", &err), FR_FAIL);
    assert_ok(fr_dlq_read_id(&ask, "other/2@41", &err));
    l = (fr_letter){.place = FR_STR("other"), .partition = 2, .offset = 41};
    assert_true(fr_dlq_matches(&ask, &l));
    l.place = FR_STR("freshet.erp.dlq");
    assert_false(fr_dlq_matches(&ask, &l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_wanted_letters_are_kept_whole),
                                       cmocka_unit_test(an_id_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
