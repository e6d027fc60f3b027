/* What `freshet verify` writes as literals. */
#include "connectors/clickhouse/ch_verify.h"
#include "tests/unit/hostile.h"

static void no_text_ends_its_literal(void **state)
{
    (void)state;
    static const char *const types[] = {"String",
                                        "FixedString(8)",
                                        "Int32",
                                        "UInt64",
                                        "Int256",
                                        "Decimal(20, 4)",
                                        "Bool",
                                        "Float32",
                                        "Float64",
                                        "Date",
                                        "Date32",
                                        "DateTime('UTC')",
                                        "DateTime64(6, 'UTC')",
                                        "UUID",
                                        "Nullable(UUID)",
                                        "Nullable(Float64)"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        fr_verify_column c = {.name = FR_STR("c"), .type = fr_cstr(types[i])};
        hostile_literals(&fr_clickhouse_verify, &c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_text_ends_its_literal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
