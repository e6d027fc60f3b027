#include "codec/registry.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define V1 "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}"
#define V2                                                                                         \
    "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"       \
    "{\"name\":\"n\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define REQ                                                                                        \
    "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"       \
    "{\"name\":\"req\",\"type\":\"int\"}]}"

typedef struct fixture {
    char dir[64], url[96];
    const char *urls[1];
    fr_registry_settings settings;
    fr_registry *r;
    fr_arena *a;
} fixture;

static fr_err err;

static fr_registry *open_at(fixture *f)
{
    fr_registry *r = NULL;
    assert_ok(fr_registry_open(&f->settings, &r, &err));
    return r;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/fr_registry_XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->url, sizeof(f->url), "file:%s/reg", f->dir);
    f->urls[0] = f->url;
    f->settings.url = (fr_texts){f->urls, 1};
    f->a = fr_arena_new(0);
    f->r = open_at(f);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_registry_close(f->r);
    fr_arena_free(f->a);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static int32_t add(fr_registry *r, const char *subject, const char *schema)
{
    int32_t id = -1;
    assert_ok(
        fr_registry_register(r, subject, fr_cstr(schema), FR_COMPAT_BACKWARD, true, &id, &err));
    return id;
}

static bool exists(const fixture *f, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/reg/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

static void put(const fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/reg/%s", f->dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void same_schema_same_id(void **state)
{
    fixture *f = *state;
    assert_int_equal(add(f->r, "a-value", V1), 1);
    assert_int_equal(add(f->r, "b/ü-value", V1), 1);
    assert_int_equal(add(f->r, "a-value", V2), 2);
    assert_int_equal(add(f->r, "a-value", V1), 1);
    assert_true(exists(f, "subjects/a-value/versions/2.json"));
    assert_false(exists(f, "subjects/a-value/versions/3.json"));
    assert_true(exists(f, "subjects/b%2F%C3%BC-value/versions/1.json"));
    assert_true(exists(f, "ids/2.avsc"));
    /* another process sees the same */
    fr_registry *r = open_at(f);
    int version;
    int32_t id;
    fr_str text;
    assert_ok(fr_registry_latest(r, f->a, "a-value", &version, &id, &text, &err));
    assert_int_equal(version, 2);
    assert_int_equal(id, 2);
    assert_str(text, V2);
    assert_ok(fr_registry_schema(r, 1, &text, &err));
    assert_str(text, V1);
    assert_ok(fr_registry_lookup(r, "a-value", FR_STR(V1), &id, &err));
    assert_int_equal(fr_registry_lookup(r, "a-value", FR_STR(REQ), &id, &err), FR_END);
    assert_int_equal(fr_registry_latest(r, f->a, "x", &version, &id, &text, &err), FR_END);
    assert_fails(fr_registry_schema(r, 99, &text, &err), FR_ERR_DATA);
    fr_registry_close(r);
}

static void a_first_schema_needs_leave(void **state)
{
    fixture *f = *state;
    int32_t id;
    assert_fails(fr_registry_register(f->r, "a", FR_STR(V1), -1, false, &id, &err), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "registry.subject_missing");
    assert_false(exists(f, "")); /* and nothing was made */
    add(f->r, "a", V1);
    assert_ok(fr_registry_register(f->r, "a", FR_STR(V2), -1, false, &id, &err));
}

static void incompatible_versions_are_refused(void **state)
{
    fixture *f = *state;
    int32_t id;
    fr_str why;
    add(f->r, "a", V1);
    assert_fails(fr_registry_register(f->r, "a", FR_STR(REQ), -1, true, &id, &err), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "registry.incompatible");
    assert_non_null(strstr(err.text, "+ req int (no default)"));
    assert_non_null(strstr(err.text, "READER_FIELD_MISSING_DEFAULT_VALUE"));
    assert_int_equal(fr_registry_compatible(f->r, f->a, "a", FR_STR(REQ), &why, &err), FR_END);
    assert_true(why.len > 0);
    assert_ok(fr_registry_compatible(f->r, f->a, "a", FR_STR(V2), &why, &err));
    assert_ok(fr_registry_compatible(f->r, f->a, "new", FR_STR(REQ), &why, &err));
    /* under its own level the same passes */
    assert_ok(fr_registry_register(f->r, "b", FR_STR(V1), FR_COMPAT_NONE, true, &id, &err));
    assert_ok(fr_registry_register(f->r, "b", FR_STR(REQ), -1, true, &id, &err));
    assert_true(exists(f, "subjects/b/config.json"));
    assert_false(exists(f, "subjects/a/config.json"));
}

static void what_a_crash_left_is_cleared_up(void **state)
{
    fixture *f = *state;
    add(f->r, "a", V1);
    put(f, "ids/2.avsc", V2);          /* the id was written, its version was not */
    put(f, "ids/3.avsc.tmp", "{\"ty"); /* half a file */
    put(f, "subjects/a/versions/2.json.tmp", "{");
    assert_int_equal(add(f->r, "a", V2), 2);
    assert_int_equal(add(f->r, "c", "\"long\""), 3);
}

static void damage_is_told_with_its_file(void **state)
{
    fixture *f = *state;
    int32_t id;
    add(f->r, "a", V1);
    put(f, "subjects/a/versions/1.json", "{\"id\":1");
    assert_fails(fr_registry_lookup(f->r, "a", FR_STR(V2), &id, &err), FR_ERR_CONNECT);
    assert_non_null(strstr(err.text, "subjects/a/versions/1.json"));
    put(f, "subjects/a/versions/1.json", "{\"id\":-1,\"schema\":\"x\"}");
    assert_fails(fr_registry_lookup(f->r, "a", FR_STR(V2), &id, &err), FR_ERR_CONNECT);
    put(f, "subjects/a/versions/2147483647.json", "{}");
    assert_fails(fr_registry_lookup(f->r, "a", FR_STR(V2), &id, &err), FR_ERR_CONNECT);
    fr_str why;
    add(f->r, "b", V1);
    put(f, "subjects/b/config.json", "{\"compatibilityLevel\":\"SOME\"}");
    assert_fails(fr_registry_compatible(f->r, f->a, "b", FR_STR(V2), &why, &err), FR_ERR_CONNECT);
    assert_non_null(strstr(err.text, "subjects/b/config.json"));
}

/* Eight processes register overlapping schemas: one id per schema, no id twice. */
static void many_writers_agree(void **state)
{
    fixture *f = *state;
    pid_t children[8];
    for (int c = 0; c < 8; c++) {
        children[c] = fork();
        if (children[c] != 0)
            continue;
        fr_registry *r = open_at(f);
        for (int i = 0; i < 10; i++) {
            char schema[128], subject[32];
            snprintf(schema, sizeof(schema), "{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":%d}",
                     i % 5, i % 5 + 1);
            snprintf(subject, sizeof(subject), "s%d", i % 5);
            int32_t id;
            if (fr_registry_register(r, subject, fr_cstr(schema), -1, true, &id, &err) != FR_OK)
                _exit(1);
        }
        fr_registry_close(r);
        _exit(0);
    }
    for (int c = 0; c < 8; c++) {
        int status;
        assert_int_equal(waitpid(children[c], &status, 0), children[c]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    bool seen[8] = {false};
    for (int i = 0; i < 5; i++) {
        char schema[128], subject[32];
        snprintf(schema, sizeof(schema), "{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":%d}", i,
                 i + 1);
        snprintf(subject, sizeof(subject), "s%d", i);
        int32_t id = add(f->r, subject, schema);
        assert_in_range(id, 1, 5);
        assert_false(seen[id]);
        seen[id] = true;
    }
}

static void an_unwritable_directory_is_told(void **state)
{
    fixture *f = *state;
    add(f->r, "a", V1);
    put(f, "file", "x");
    snprintf(f->url, sizeof(f->url), "file:%s/reg/file", f->dir);
    fr_registry *r = open_at(f);
    int32_t id;
    assert_fails(fr_registry_register(r, "a", FR_STR(V1), -1, true, &id, &err), FR_ERR_CONNECT);
    assert_string_equal(err.code, "registry.file");
    fr_registry_close(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(same_schema_same_id),
        T(a_first_schema_needs_leave),
        T(incompatible_versions_are_refused),
        T(what_a_crash_left_is_cleared_up),
        T(damage_is_told_with_its_file),
        T(many_writers_agree),
        T(an_unwritable_directory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
