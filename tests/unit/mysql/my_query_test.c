/* Which servers give the numbers of deleted rows again. */
#include "connectors/mysql/my_query.h"
#include "tests/unit/test.h"

static void numbers_that_are_forgotten(void **state)
{
    (void)state;
    assert_true(fr_my_forgets_numbers(false, 50562));
    assert_true(fr_my_forgets_numbers(false, 50744));
    assert_false(fr_my_forgets_numbers(false, 80000));
    assert_false(fr_my_forgets_numbers(false, 90400));
    assert_true(fr_my_forgets_numbers(true, 50568));
    assert_true(fr_my_forgets_numbers(true, 100203));
    assert_false(fr_my_forgets_numbers(true, 100204));
    assert_false(fr_my_forgets_numbers(true, 110803));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_that_are_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
