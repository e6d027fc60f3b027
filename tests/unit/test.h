/* What every unit test includes: cmocka in the order it wants, and two shorthands. */
#ifndef FR_TEST_H
#define FR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/error.h"

#define assert_str(actual, expected)                                                               \
    do {                                                                                           \
        fr_str got_ = (actual);                                                                    \
        const char *want_ = (expected);                                                            \
        if (!fr_str_is(got_, want_)) {                                                             \
            print_error("got \"%.*s\"\nwant \"%s\"\n", FR_ARG(got_), want_);                       \
            fail();                                                                                \
        }                                                                                          \
    } while (0)
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != FR_OK) {                                                                     \
            print_error("%s: %s\n", #call, err.text);                                              \
            fail();                                                                                \
        }                                                                                          \
    } while (0)
#define assert_fails(call, wanted_kind)                                                            \
    do {                                                                                           \
        assert_int_equal((call), FR_FAIL);                                                         \
        assert_int_equal(err.kind, wanted_kind);                                                   \
    } while (0)

#endif
