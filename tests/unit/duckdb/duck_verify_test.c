/* What `freshet verify` writes as literals. */
#include "connectors/duckdb/duck_verify.h"
#include "tests/unit/hostile.h"

static void no_text_ends_its_literal(void **state)
{
    (void)state;
    hostile_numbers(&fr_duckdb_verify, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_text_ends_its_literal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
