/* A byte above ASCII is seen wherever it is: texts are looked at eight bytes at a time. */
#include "unit/test.h"

#include "base/arena.h"
#include "connectors/mysql/my_charset.h"
#include <string.h>

enum { LONGEST = 26 };

static fr_my_convert *open_charset(const char *name)
{
    fr_err err;
    fr_my_convert *c;
    const fr_my_charset *charset = fr_my_charset_by_name(fr_cstr(name));
    assert_non_null(charset);
    assert_ok(fr_my_convert_open(charset, &c, &err));
    return c;
}

static void latin1_becomes_utf8_at_every_place(void **state)
{
    (void)state;
    fr_err err;
    fr_str out;
    char text[LONGEST];
    fr_my_convert *c = open_charset("latin1");
    fr_arena *a = fr_arena_new(0);
    for (size_t len = 0; len <= LONGEST; len++) {
        memset(text, 'a', sizeof(text));
        assert_ok(fr_my_to_utf8(c, a, (fr_str){text, len}, &out, &err));
        assert_ptr_equal(out.ptr, text); /* as it is, without a copy */
        assert_int_equal(out.len, len);
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', sizeof(text));
            text[at] = (char)0xe9;
            assert_ok(fr_my_to_utf8(c, a, (fr_str){text, len}, &out, &err));
            assert_int_equal(out.len, len + 1);
            assert_memory_equal(out.ptr + at, "\xc3\xa9", 2);
        }
    }
    fr_arena_free(a);
    fr_my_convert_close(c);
}

static void broken_utf8_is_refused_at_every_place(void **state)
{
    (void)state;
    fr_err err;
    fr_str out;
    char text[LONGEST];
    fr_my_convert *c = open_charset("utf8mb4");
    fr_arena *a = fr_arena_new(0);
    for (size_t len = 1; len <= LONGEST; len++)
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', sizeof(text));
            text[at] = (char)0xff;
            assert_fails(fr_my_to_utf8(c, a, (fr_str){text, len}, &out, &err), FR_ERR_DATA);
        }
    fr_arena_free(a);
    fr_my_convert_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latin1_becomes_utf8_at_every_place),
        cmocka_unit_test(broken_utf8_is_refused_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
