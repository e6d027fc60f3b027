/* What the server is asked of a condition, before a statement of ours holds it. */
#include "connect/where.h"
#include "tests/unit/test.h"

static void between_parentheses_and_between_words(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const char *probes[FR_WHERE_PROBES];
    fr_where_probes(a, FR_STR("ONLY t"), FR_STR("id > 5 -- of them"), probes);
    assert_string_equal(probes[0], "SELECT 1 FROM ONLY t WHERE (\nid > 5 -- of them\n) LIMIT 0");
    assert_string_equal(probes[1],
                        "SELECT CASE WHEN\nid > 5 -- of them\nTHEN 1 END FROM ONLY t LIMIT 0");
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_parentheses_and_between_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
