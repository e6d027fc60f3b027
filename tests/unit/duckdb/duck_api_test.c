/* What we declare of DuckDB's C API is what its header declares. The header is in the cache of
 * scripts/deps.sh; without it there is nothing to compare with. */
#include "unit/test.h"
#ifdef FR_DUCKDB_ROOT
#include <duckdb.h>
#define FR_DUCK_HEADER
#endif
#include "duckdb/duck_api.h"

#ifdef FR_DUCK_HEADER
/* Enumerations of theirs are ints of ours. */
#define X(ret, name, args)                                                                         \
    _Static_assert(__builtin_types_compatible_p(__typeof__(duckdb_##name), ret args), #name);
FR_DUCK_CALLS(X)
#undef X
_Static_assert(sizeof(duckdb_state) == sizeof(int) && DuckDBSuccess == 0, "states");
_Static_assert(sizeof(duckdb_type) == sizeof(int) && sizeof(duckdb_error_type) == sizeof(int), "");
_Static_assert(sizeof(duckdb_result) == FR_DUCK_RESULT_SIZE, "a result");
_Static_assert(sizeof(duckdb_string_t) == FR_DUCK_STRING_SIZE, "a string");

static void numbers_are_theirs(void **state)
{
    (void)state;
    const int pairs[][2] = {{FR_DUCK_P_READY, DUCKDB_PENDING_RESULT_READY},
                            {FR_DUCK_P_NOT_READY, DUCKDB_PENDING_RESULT_NOT_READY},
                            {FR_DUCK_P_ERROR, DUCKDB_PENDING_ERROR},
                            {FR_DUCK_P_NO_TASKS, DUCKDB_PENDING_NO_TASKS_AVAILABLE},
                            {FR_DUCK_BOOLEAN, DUCKDB_TYPE_BOOLEAN},
                            {FR_DUCK_INTEGER, DUCKDB_TYPE_INTEGER},
                            {FR_DUCK_BIGINT, DUCKDB_TYPE_BIGINT},
                            {FR_DUCK_FLOAT, DUCKDB_TYPE_FLOAT},
                            {FR_DUCK_DOUBLE, DUCKDB_TYPE_DOUBLE},
                            {FR_DUCK_TIMESTAMP, DUCKDB_TYPE_TIMESTAMP},
                            {FR_DUCK_DATE, DUCKDB_TYPE_DATE},
                            {FR_DUCK_TIME, DUCKDB_TYPE_TIME},
                            {FR_DUCK_INTERVAL, DUCKDB_TYPE_INTERVAL},
                            {FR_DUCK_VARCHAR, DUCKDB_TYPE_VARCHAR},
                            {FR_DUCK_BLOB, DUCKDB_TYPE_BLOB},
                            {FR_DUCK_UUID, DUCKDB_TYPE_UUID},
                            {FR_DUCK_TIMESTAMPTZ, DUCKDB_TYPE_TIMESTAMP_TZ},
                            {FR_DUCK_E_OUT_OF_RANGE, DUCKDB_ERROR_OUT_OF_RANGE},
                            {FR_DUCK_E_CONVERSION, DUCKDB_ERROR_CONVERSION},
                            {FR_DUCK_E_SERIALIZATION, DUCKDB_ERROR_SERIALIZATION},
                            {FR_DUCK_E_TRANSACTION, DUCKDB_ERROR_TRANSACTION},
                            {FR_DUCK_E_NOT_IMPLEMENTED, DUCKDB_ERROR_NOT_IMPLEMENTED},
                            {FR_DUCK_E_CATALOG, DUCKDB_ERROR_CATALOG},
                            {FR_DUCK_E_CONSTRAINT, DUCKDB_ERROR_CONSTRAINT},
                            {FR_DUCK_E_BINDER, DUCKDB_ERROR_BINDER},
                            {FR_DUCK_E_IO, DUCKDB_ERROR_IO},
                            {FR_DUCK_E_INTERRUPT, DUCKDB_ERROR_INTERRUPT},
                            {FR_DUCK_E_FATAL, DUCKDB_ERROR_FATAL},
                            {FR_DUCK_E_INTERNAL, DUCKDB_ERROR_INTERNAL},
                            {FR_DUCK_E_INVALID_INPUT, DUCKDB_ERROR_INVALID_INPUT},
                            {FR_DUCK_E_OUT_OF_MEMORY, DUCKDB_ERROR_OUT_OF_MEMORY},
                            {FR_DUCK_E_PERMISSION, DUCKDB_ERROR_PERMISSION},
                            {FR_DUCK_E_DEPENDENCY, DUCKDB_ERROR_DEPENDENCY}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_int_equal(pairs[i][0], pairs[i][1]);
    const duckdb_string_t text = {.value.inlined = {.length = 2, .inlined = "ab"}};
    assert_memory_equal((const char *)&text + 4, "ab", 2); /* where duck_sink_txn.c reads it */
    const char *far = "a text of more than twelve bytes";
    const duckdb_string_t pointer = {
        .value.pointer = {.length = 32, .ptr = (char *)(uintptr_t)far}};
    assert_memory_equal((const char *)&pointer + 8, &far, sizeof(far));
}
#else
static void numbers_are_theirs(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_theirs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
