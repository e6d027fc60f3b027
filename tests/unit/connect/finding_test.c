/* What was said of findings is not said again, unless it changed or was gone. */
#include "connect/finding.h"
#include "tests/unit/test.h"

static void say(fr_said *s, const char *about, const char *const *texts, size_t count, bool *news)
{
    fr_findings f = {.arena = fr_arena_new(0)};
    for (size_t i = 0; i < count; i++)
        fr_findings_add(&f, FR_WARNING, i % 2 == 0 ? "a.even" : "a.odd", "%s", texts[i]);
    fr_said_news(s, fr_cstr(about), &f, news);
    fr_arena_free(f.arena);
}

static void once_until_it_changes(void **state)
{
    (void)state;
    bool n[2];
    fr_said *s = fr_said_new();
    say(s, "t", (const char *[]){"1 replica", "max 5"}, 2, n);
    assert_true(n[0] && n[1]);
    say(s, "t", (const char *[]){"1 replica", "max 5"}, 2, n);
    assert_true(!n[0] && !n[1]);
    say(s, "t", (const char *[]){"1 replica", "max 6"}, 2, n);
    assert_true(!n[0] && n[1]);
    say(s, "t", (const char *[]){"max 6"}, 1, n); /* of another code */
    assert_true(n[0]);
    say(s, "t", (const char *[]){"max"}, 1, n); /* a part of what was said */
    assert_true(n[0]);
    say(s, "u", (const char *[]){"max"}, 1, n);
    assert_true(n[0]);
    fr_said_free(s);
}

static void news_again_when_it_was_gone(void **state)
{
    (void)state;
    bool n[1];
    fr_said *s = fr_said_new();
    say(s, "t", (const char *[]){"1 replica"}, 1, n);
    say(s, "t", NULL, 0, n);
    say(s, "t", (const char *[]){"1 replica"}, 1, n);
    assert_true(n[0]);
    fr_said_free(s);
}

static void nothing_is_remembered_without_it(void **state)
{
    (void)state;
    bool n[1];
    for (int i = 0; i < 2; i++) {
        n[0] = false;
        say(NULL, "t", (const char *[]){"1 replica"}, 1, n);
        assert_true(n[0]);
    }
    fr_said_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_until_it_changes),
        cmocka_unit_test(news_again_when_it_was_gone),
        cmocka_unit_test(nothing_is_remembered_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
