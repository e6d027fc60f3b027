/* Option tables: every option of every table is set and read back, and each type says what is
 * wrong with a value. */
#include "connect/option.h"
#include "connectors/list.h"
#include "control/config_fields.h"
#include "tests/unit/test.h"
#include <stdlib.h>

typedef struct sample {
    int64_t number, bytes, time;
    const char *text;
    bool truth;
    int choice;
    fr_texts list;
    fr_pairs map;
} sample;

static const char *const colors[] = {"red", "green", "blue", NULL};
static const fr_option number = {
    .name = "n", .type = FR_OPT_INT, .offset = offsetof(sample, number), .min = 1, .max = 100};
static const fr_option bytes = {
    .name = "b", .type = FR_OPT_BYTES, .offset = offsetof(sample, bytes)};
static const fr_option duration = {
    .name = "t", .type = FR_OPT_TIME, .offset = offsetof(sample, time)};
static const fr_option truth = {
    .name = "f", .type = FR_OPT_BOOL, .offset = offsetof(sample, truth)};
static const fr_option choice = {
    .name = "c", .type = FR_OPT_CHOICE, .offset = offsetof(sample, choice), .choices = colors};
static const fr_option text = {.name = "x", .type = FR_OPT_TEXT, .offset = offsetof(sample, text)};
static const fr_option secret = {
    .name = "s", .type = FR_OPT_TEXT, .offset = offsetof(sample, text), .flags = FR_SECRET};

static fr_arena *arena;
static fr_err err;
static sample s;

static int set_up(void **state)
{
    (void)state;
    arena = fr_arena_new(0);
    s = (sample){0};
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fr_arena_free(arena);
    return 0;
}

/* Sets, and reads back as a user would write it. */
static void same(const fr_option *o, const char *given, const char *shown)
{
    assert_ok(fr_option_set(o, arena, &s, fr_cstr(given), &err));
    assert_str(fr_option_get(o, arena, &s), shown);
}

static void refused(const fr_option *o, const char *given, const char *hint)
{
    assert_fails(fr_option_set(o, arena, &s, fr_cstr(given), &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.bad_value");
    if (strstr(err.hint, hint) == NULL)
        fail_msg("hint of `%s` is `%s`, without `%s`", given, err.hint, hint);
}

static void numbers(void **state)
{
    (void)state;
    same(&number, "012", "12");
    same(&number, "+7", "7");
    refused(&number, "0", "between 1 and 100");
    refused(&number, "101", "between 1 and 100");
    refused(&number, "1.0", "digits");
    refused(&number, "", "digits");
    refused(&number, "99999999999999999999", "digits");
    refused(&number, "0x10", "digits");
}

static void sizes(void **state)
{
    (void)state;
    same(&bytes, "0", "0B");
    same(&bytes, "64MiB", "64MiB");
    same(&bytes, "1000 kB", "1MB");
    same(&bytes, "50GB", "50GB");
    same(&bytes, "1025B", "1025B");
    refused(&bytes, "64", "16MiB");
    refused(&bytes, "64mb", "16MiB");
    refused(&bytes, "-1B", "16MiB");
    refused(&bytes, "9000000000000GiB", "16MiB");
}

static void times(void **state)
{
    (void)state;
    const struct {
        const char *given;
        int64_t us;
    } cases[] = {{"0", 0},           {"500ms", 500000},    {"1500ms", 1500000},
                 {"10s", 10000000},  {"90s", 90000000},    {"2m", 120000000},
                 {"1h", 3600000000}, {"2d", 172800000000}, {"60m", 3600000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_ok(fr_option_set(&duration, arena, &s, fr_cstr(cases[i].given), &err));
        assert_int_equal(s.time, cases[i].us);
    }
    same(&duration, "60m", "1h");
    same(&duration, "1500ms", "1500ms");
    refused(&duration, "10", "500ms");
    refused(&duration, "10 years", "500ms");
    refused(&duration, "-5s", "500ms");
}

static void truths(void **state)
{
    (void)state;
    const char *const yes[] = {"true", "yes", "on", "YES"}, *const no[] = {"false", "no", "off",
                                                                           "NO"};
    for (size_t i = 0; i < 4; i++) {
        same(&truth, yes[i], "true");
        same(&truth, no[i], "false");
    }
    refused(&truth, "1", "true or false");
    refused(&truth, "", "true or false");
}

static void choices(void **state)
{
    (void)state;
    same(&choice, "green", "green");
    assert_int_equal(s.choice, 1);
    refused(&choice, "gren", "did you mean `green`?");
    refused(&choice, "Green", "did you mean `green`?");
    refused(&choice, "mauve-ish", "choices: red, green, blue");
}

static void texts(void **state)
{
    (void)state;
    same(&text, "1.10", "1.10");
    same(&text, "", "");
    same(&secret, "hunter22", "***");
    assert_string_equal(s.text, "hunter22");
    assert_fails(fr_option_set(&text, arena, &s, (fr_str){"a\0b", 3}, &err), FR_ERR_CONFIG);
}

static void lists_and_maps(void **state)
{
    (void)state;
    static const fr_option list = {
        .name = "l", .type = FR_OPT_LIST, .offset = offsetof(sample, list)};
    static const fr_option map = {.name = "m", .type = FR_OPT_MAP, .offset = offsetof(sample, map)};
    same(&list, "[]", "[]");
    same(&list, "a, b", "[a, b]");
    assert_ok(fr_option_add(&list, arena, &s, (fr_str){0}, FR_STR("c"), &err));
    assert_str(fr_option_get(&list, arena, &s), "[a, b, c]");
    same(&map, "{}", "{}");
    assert_ok(fr_option_add(&map, arena, &s, FR_STR("k"), FR_STR("1"), &err));
    assert_ok(fr_option_add(&map, arena, &s, FR_STR("j"), FR_STR("2"), &err));
    assert_ok(fr_option_add(&map, arena, &s, FR_STR("k"), FR_STR("3"), &err));
    assert_str(fr_option_get(&map, arena, &s), "{k: 3, j: 2}");
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"method", "topic", "key", "errors"};
    assert_string_equal(fr_nearest(FR_STR("metod"), names, 4), "method");
    assert_string_equal(fr_nearest(FR_STR("mehtod"), names, 4), "method");
    assert_string_equal(fr_nearest(FR_STR("error"), names, 4), "errors");
    assert_null(fr_nearest(FR_STR("snapshot"), names, 4));
    assert_null(fr_nearest(FR_STR("zzz"), names, 4));
    assert_null(fr_nearest(FR_STR(""), names, 4));
}

/* ---- every option of every table -------------------------------------------------------- */

static fr_str value_for(const fr_option *o)
{
    int64_t low = o->min;
    fr_option plain = {.type = o->type};
    if (o->type == FR_OPT_INT || o->type == FR_OPT_BYTES || o->type == FR_OPT_TIME) {
        int64_t n = low + 1000000;
        if (o->max != 0 && n > o->max)
            n = o->max;
        return fr_option_get(&plain, arena, &n);
    }
    if (o->type == FR_OPT_BOOL)
        return o->fallback != NULL && strcmp(o->fallback, "true") == 0 ? FR_STR("false")
                                                                       : FR_STR("true");
    if (o->type != FR_OPT_CHOICE)
        return FR_STR("some text");
    size_t last = 0;
    while (o->choices[last + 1] != NULL)
        last++;
    return fr_cstr(o->choices[last]);
}

/* Every member is set, keeps what it was given when all the others are set, and defaults are
 * values that may be written. */
static size_t check_table(const fr_option *table, size_t size)
{
    size_t n = 0;
    void *target = calloc(1, size);
    assert_ok(fr_option_defaults(table, arena, target, &err));
    for (const fr_option *o = table; o->name != NULL; o++) {
        assert_non_null(o->help);
        assert_true(o->help[strlen(o->help) - 1] == '.');
        if ((o->flags & FR_REFUSED) != 0)
            continue;
        if (o->fallback != NULL && o->type != FR_OPT_TEXT)
            assert_int_equal(fr_option_get(o, arena, target).len > 0, 1);
        if (o->type == FR_OPT_LIST || o->type == FR_OPT_MAP)
            assert_ok(fr_option_add(o, arena, target, FR_STR("name"), value_for(o), &err));
        else
            assert_ok(fr_option_set(o, arena, target, value_for(o), &err));
        n++;
    }
    for (const fr_option *o = table; o->name != NULL; o++) {
        if ((o->flags & FR_REFUSED) != 0)
            continue;
        fr_str got = fr_option_get(o, arena, target), want = value_for(o);
        if ((o->flags & FR_SECRET) != 0)
            want = FR_STR("***");
        if (o->type == FR_OPT_LIST)
            want = FR_STR("[some text]");
        if (o->type == FR_OPT_MAP)
            want = FR_STR("{name: some text}");
        if (!fr_str_eq(got, want))
            fail_msg("%s: set to `%.*s`, reads back `%.*s`", o->name, FR_ARG(want), FR_ARG(got));
    }
    free(target);
    return n;
}

static void every_option_is_set_and_read_back(void **state)
{
    (void)state;
    size_t n = 0;
    for (const fr_section *section = fr_sections; section->kind != NULL; section++)
        n += check_table(section->options, section->size);
    for (size_t i = 0; fr_source_at(i) != NULL; i++)
        n += check_table(fr_source_at(i)->options, fr_source_at(i)->config_size);
    for (size_t i = 0; fr_sink_at(i) != NULL; i++)
        n += check_table(fr_sink_at(i)->options, fr_sink_at(i)->config_size);
    assert_true(n > 80);
}

/* What is refused may still say what happens anyway, so that must be a value. */
static void every_choice_that_is_not_built_exists(void **state)
{
    (void)state;
    size_t refused_choices = 0;
    for (const fr_section *section = fr_sections; section->kind != NULL; section++)
        for (const fr_option *o = section->options; o->name != NULL; o++) {
            for (size_t i = 0; o->choices != NULL && o->choices[i] != NULL; i++)
                refused_choices += fr_unbuilt_find(section->kind, o->name, o->choices[i]) != NULL;
            if (o->fallback != NULL && o->choices != NULL)
                assert_null(fr_unbuilt_find(section->kind, o->name, o->fallback));
        }
    assert_true(refused_choices > 10);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(numbers),
        CASE(sizes),
        CASE(times),
        CASE(truths),
        CASE(choices),
        CASE(texts),
        CASE(lists_and_maps),
        CASE(nearest),
        CASE(every_option_is_set_and_read_back),
        CASE(every_choice_that_is_not_built_exists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
