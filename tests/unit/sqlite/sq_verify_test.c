/* What `freshet verify` writes as literals. */
#include "connectors/sqlite/sq_verify.h"
#include "tests/unit/hostile.h"

static void no_text_ends_its_literal(void **state)
{
    (void)state;
    for (int form = 0; form <= 4; form++) {
        fr_verify_column c = {
            .name = FR_STR("c"), .type = FR_STR("blob"), .nullable = true, .modifier = form};
        hostile_literals(&fr_sqlite_verify, &c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_text_ends_its_literal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
