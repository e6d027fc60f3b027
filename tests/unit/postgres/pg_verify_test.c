/* What `freshet verify` writes as literals. */
#include "connectors/postgres/pg_verify.h"
#include "tests/unit/hostile.h"

static void no_text_ends_its_literal(void **state)
{
    (void)state;
    hostile_numbers(&fr_postgres_verify, 20);
    fr_verify_column zoned = {.name = FR_STR("c"), .type = FR_STR("timestamptz"), .number = 1184};
    hostile_literals(&fr_postgres_verify, &zoned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_text_ends_its_literal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
