#include "unit/test.h"

#include "file/file_folder.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static fr_err err;

/* ---- fsync, as this program has it: it counts, and fails when it is told to ---- */

static char watched[PATH_MAX]; /* the folder that is counted */
static int synced, to_fail;

int fsync(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    if (strcmp(path, watched) == 0) {
        if (to_fail > 0) {
            to_fail--;
            errno = EIO;
            return -1;
        }
        synced++;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void watch(const char *path, int failures)
{
    snprintf(watched, sizeof(watched), "%s", path);
    synced = 0;
    to_fail = failures;
}

/* ---- folders ---- */

static char home[] = "/tmp/freshet-folder-XXXXXX";

static fr_file_folder folder(const char *name)
{
    fr_file_folder f = {.lock = -1};
    assert_true(snprintf(f.path, sizeof(f.path), "%s/%s", home, name) < (int)sizeof(f.path));
    return f;
}

static const char *below(const fr_file_folder *f, const char *name)
{
    static char path[PATH_MAX + 100];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    return path;
}

/* A folder that was made and could not be made durable is made durable by the next attempt. */
static void folders_are_durable_in_the_end(void **state)
{
    (void)state;
    fr_file_folder f = folder("durable");
    watch(home, 1);
    assert_fails(fr_file_folder_make(&f, &err), FR_ERR_CONNECT);
    assert_ok(fr_file_folder_make(&f, &err));
    assert_int_equal(synced, 1);
    watch(f.path, 1);
    assert_fails(fr_file_folder_dirs(&f, "t/2026-11-26", &err), FR_ERR_CONNECT);
    assert_int_equal(access(below(&f, "t"), F_OK), 0);
    assert_ok(fr_file_folder_dirs(&f, "t/2026-11-26", &err));
    assert_int_equal(synced, 1);
    watch(below(&f, "t"), 1);
    assert_fails(fr_file_folder_dirs(&f, "t/2026-11-27", &err), FR_ERR_CONNECT);
    assert_ok(fr_file_folder_dirs(&f, "t/2026-11-27", &err));
    assert_ok(fr_file_folder_dirs(&f, "t/2026-11-27", &err));
    assert_int_equal(synced, 1); /* and once is enough */
    fr_file_folder_close(&f);

    fr_file_folder g = folder("durable"); /* one that another instance made, and was ended */
    watch(home, 0);
    assert_ok(fr_file_folder_open(&g, &err));
    assert_ok(fr_file_folder_make(&g, &err));
    assert_int_equal(synced, 1);
    fr_file_folder_close(&g);
}

/* An unmounted folder's mount point is left empty. */
static void nothing_is_made_in_place_of_what_is_gone(void **state)
{
    (void)state;
    fr_file_folder f = folder("gone");
    char aside[PATH_MAX + 10];
    snprintf(aside, sizeof(aside), "%s.aside", f.path);
    assert_ok(fr_file_folder_make(&f, &err));
    assert_int_equal(rename(f.path, aside), 0);
    assert_int_equal(mkdir(f.path, 0777), 0);
    assert_fails(fr_file_folder_dirs(&f, "t", &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "sink.file");
    assert_fails(fr_file_folder_make(&f, &err), FR_ERR_CONFIG);
    assert_int_equal(rmdir(f.path), 0); /* it is empty */
    assert_int_equal(rename(aside, f.path), 0);
    assert_ok(fr_file_folder_dirs(&f, "t", &err));
    fr_file_folder_close(&f);
}

/* Two instances of one process, as of two containers whose PID is 1. */
static void what_has_no_room_is_each_instances_own(void **state)
{
    (void)state;
    fr_file_folder f = folder("a"), g = folder("a");
    char one[64], again[64], other[64];
    fr_file_folder_spill(&f, one, sizeof(one));
    fr_file_folder_spill(&f, again, sizeof(again));
    fr_file_folder_spill(&g, other, sizeof(other));
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
}

static int make_home(void **state)
{
    (void)state;
    return mkdtemp(home) == NULL;
}

static int drop_home(void **state)
{
    (void)state;
    char command[sizeof(home) + 16];
    snprintf(command, sizeof(command), "rm -r '%s'", home);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders_are_durable_in_the_end),
                                       cmocka_unit_test(nothing_is_made_in_place_of_what_is_gone),
                                       cmocka_unit_test(what_has_no_room_is_each_instances_own)};
    return cmocka_run_group_tests(tests, make_home, drop_home);
}
