/* An arena and an error for the tests of a program. */
#ifndef FR_TEST_ODBC_ARENA_H
#define FR_TEST_ODBC_ARENA_H

#include "unit/test.h"

static fr_err err;
static fr_arena *a;

static int setup(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_arena_free(a);
    return 0;
}

#endif
