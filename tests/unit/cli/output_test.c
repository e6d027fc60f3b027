/* Files that a verb writes are replaced at the end, or stay as they were. */
#include "tests/unit/test.h"

#include "cli/output.c"

static fr_err err;
static char dir[] = "/tmp/freshet-output-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][64];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void holds(const char *name, const char *want)
{
    char got[64] = "";
    FILE *f = fopen(at(name), "r");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof(got) - 1, f);
    fclose(f);
    got[n] = '\0';
    assert_string_equal(got, want);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"new", "old", "link"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(at(names[i]));
    return rmdir(dir); /* nothing else is left in it */
}

static void a_file_is_replaced(void **state)
{
    struct stat st;
    (void)state;
    assert_ok(fr_cli_write_file(at("new"), FR_STR("one"), &err));
    holds("new", "one");
    assert_ok(fr_cli_write_file(at("old"), FR_STR("a longer one"), &err));
    assert_int_equal(chmod(at("old"), 0640), 0);
    FILE *reader = fopen(at("old"), "r");
    assert_non_null(reader);
    assert_ok(fr_cli_write_file(at("old"), FR_STR("two"), &err));
    char seen[32] = "";
    assert_int_equal(fread(seen, 1, sizeof(seen) - 1, reader), 12); /* who reads it, reads it all */
    assert_string_equal(seen, "a longer one");
    fclose(reader);
    holds("old", "two");
    assert_int_equal(stat(at("old"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_link_stays(void **state)
{
    struct stat st;
    (void)state;
    assert_ok(fr_cli_write_file(at("old"), FR_STR("two"), &err));
    assert_int_equal(symlink(at("old"), at("link")), 0);
    assert_ok(fr_cli_write_file(at("link"), FR_STR("three"), &err));
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    holds("old", "three");
}

static void what_is_no_file(void **state)
{
    (void)state;
    assert_ok(fr_cli_write_file("/dev/null", FR_STR("x"), &err));
    assert_fails(fr_cli_write_file(at("none/file"), FR_STR("x"), &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "cli.unwritable");
    assert_fails(fr_cli_write_file(dir, FR_STR("x"), &err), FR_ERR_CONFIG);
    assert_fails(fr_cli_write_file("/dev/full", FR_STR("x"), &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "/dev/full: No space"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced),
        cmocka_unit_test(a_link_stays),
        cmocka_unit_test(what_is_no_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
