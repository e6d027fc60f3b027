/* The configuration: the example that is shipped, then one case a problem (tests/cases/config). */
#include "base/json.h"
#include "control/config_load.h"
#include "tests/unit/connectors.h"
#include "tests/unit/test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct loaded {
    fr_rc rc;
    fr_config *config;
    fr_problem *problems;
    size_t count;
    fr_arena *arena;
} loaded;

static loaded load(const char *name, fr_config_flags flags)
{
    loaded l = {.arena = fr_arena_new(0)};
    fr_err err;
    l.rc = fr_config_load(name, &scripted_connectors, &flags, l.arena, &l.problems, &l.count,
                          &l.config, &err);
    if (l.rc == FR_FAIL)
        assert_int_equal(err.kind, FR_ERR_CONFIG);
    return l;
}

static void unload(loaded *l)
{
    if (l->rc == FR_OK)
        fr_config_free(l->config);
    fr_arena_free(l->arena);
}

static void example_is_understood(void **state)
{
    (void)state;
    loaded l = load(FR_SOURCE_DIR "/examples/freshet.yaml", (fr_config_flags){.offline = true});
    for (size_t i = 0; i < l.count; i++)
        print_error("%s %s\n", l.problems[i].code, l.problems[i].text);
    assert_int_equal(l.rc, FR_OK);
    assert_int_equal(l.count, 0);
    const fr_config *c = l.config;
    assert_string_equal(c->name, "legacy-erp");
    assert_int_equal(c->daemon.memory, 256 * 1024 * 1024);
    assert_int_equal(c->daemon.log_format, FR_LOG_LOGFMT);
    assert_true(c->kafka.exactly_once);
    assert_int_equal(c->kafka.brokers.count, 2);
    assert_int_equal(c->kafka.max_time_us, 500000);
    assert_int_equal(c->kafka.topic_partitions, 6);
    assert_string_equal(c->kafka.topic_config.items[0].name, "cleanup.policy");
    assert_int_equal(c->kafka.properties.count, 4);
    assert_int_equal(c->registry.compatibility, FR_COMPAT_BACKWARD);
    assert_int_equal(c->source_count, 1);
    const fr_source_settings *s = &c->sources[0];
    const struct scripted_config *own = s->connector;
    assert_string_equal(own->slot, "freshet_erp");
    assert_int_equal(own->retained_limit, 50000000000);
    assert_string_equal(s->prefix, "erp");
    assert_int_equal(s->heartbeat_us, 10000000);
    assert_int_equal(s->throttle_connections, 6);
    const fr_table_settings *t = fr_source_match(s, FR_STR("public"), FR_STR("orders"));
    assert_non_null(t);
    assert_string_equal(t->topic, "erp.orders");
    assert_int_equal(t->schema_compat, FR_COMPAT_FULL_TRANSITIVE);
    assert_int_equal(t->errors_mode, FR_ERRORS_BLOCK);
    assert_string_equal(t->errors_topic, "freshet.legacy-erp.dlq");
    assert_int_equal(t->snapshot_chunk, 20000);
    assert_int_equal(t->pii.count, 2);
    assert_null(fr_source_match(s, FR_STR("audit"), FR_STR("log")));
    assert_null(fr_source_match(s, FR_STR("public"), FR_STR("other")));
    assert_int_equal(c->sink_count, 1);
    assert_int_equal(c->sinks[0].batch_rows, 5000);
    assert_int_equal(c->sinks[0].deletes, FR_DELETES_SOFT);
    assert_int_equal(c->sinks[0].add_column, FR_CHANGE_EVOLVE);
    assert_int_equal(fr_sink_match(&c->sinks[0], FR_STR("erp.orders")), 0);
    unload(&l);
}

/* ---- tests/cases/config: `# expect: error CODE LINE:COLUMN PATH | part of the hint` -------- */

typedef struct expectation {
    char line[512];
} expectation;

static size_t read_expectations(const char *file, expectation *list, size_t most,
                                fr_config_flags *flags)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    char line[512];
    size_t n = 0;
    *flags = (fr_config_flags){.offline = true};
    while (fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "# flags: ", 9) == 0) {
            flags->strict = strstr(line, "strict") != NULL;
            flags->offline = strstr(line, "online") == NULL;
            flags->allow_exec = strstr(line, "allow-exec") != NULL;
        }
        if (strncmp(line, "# expect: ", 10) != 0 || strcmp(line, "# expect: none") == 0)
            continue;
        assert_true(n < most);
        snprintf(list[n++].line, sizeof(list[0].line), "%s", line + 10);
    }
    fclose(in);
    return n;
}

/* The problem as an expectation is written, with no more than the expectation says. */
static bool is_expected(const fr_problem *p, const char *want)
{
    char got[512];
    const char *file = p->file == NULL ? "" : strrchr(p->file, '/') + 1;
    bool other_file = p->file != NULL && strstr(p->file, "/include/") != NULL;
    snprintf(got, sizeof(got), "%s %s %s%s%d:%d%s%s", p->warning ? "warning" : "error", p->code,
             other_file ? file : "", other_file ? ":" : "", p->line, p->column,
             p->path == NULL || *p->path == 0 ? "" : " ", p->path == NULL ? "" : p->path);
    const char *bar = strstr(want, " | ");
    size_t len = bar == NULL ? strlen(want) : (size_t)(bar - want);
    bool same = strlen(got) == len && strncmp(got, want, len) == 0;
    bool hint = bar == NULL || (p->hint != NULL && strstr(p->hint, bar + 3) != NULL);
    if (!same || !hint)
        print_error("want %s\ngot  %s | %s\n     %s\n", want, got, p->hint == NULL ? "" : p->hint,
                    p->text);
    return same && hint;
}

static bool check_case(const char *file)
{
    expectation want[64];
    fr_config_flags flags;
    size_t count = read_expectations(file, want, 64, &flags);
    loaded l = load(file, flags);
    bool good = l.count == count;
    bool errors = false;
    for (size_t i = 0; i < l.count; i++) {
        errors = errors || !l.problems[i].warning;
        good = is_expected(&l.problems[i], i < count ? want[i].line : "nothing") && good;
        /* No case's secret may come out again, not even in the excerpt. */
        const char *texts[] = {l.problems[i].text, l.problems[i].hint, l.problems[i].excerpt};
        for (size_t k = 0; k < 3; k++)
            good = good && (texts[k] == NULL || strstr(texts[k], "hunter22") == NULL);
    }
    for (size_t i = l.count; i < count; i++)
        print_error("want %s\n", want[i].line);
    good = good && (l.rc == FR_OK) == !errors;
    if (!good)
        print_error("in %s\n\n", file);
    unload(&l);
    return good;
}

static int is_case(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return dot != NULL && strcmp(dot, ".yaml") == 0;
}

static void each_case_has_its_problems(void **state)
{
    (void)state;
    struct dirent **names;
    int n = scandir(FR_SOURCE_DIR "/tests/cases/config", &names, is_case, alphasort);
    assert_true(n > 40);
    int bad = 0;
    for (int i = 0; i < n; i++) {
        char file[512];
        snprintf(file, sizeof(file), "%s/tests/cases/config/%s", FR_SOURCE_DIR, names[i]->d_name);
        bad += check_case(file) ? 0 : 1;
        free(names[i]);
    }
    free(names);
    assert_int_equal(bad, 0);
}

/* ---- secrets ----------------------------------------------------------------------------- */

static void put_file(const char *dir, const char *name, const char *text, int mode)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

#define SOURCE(password)                                                                           \
    "version: 1\nname: x\nkafka: {brokers: [localhost:1]}\nregistry: {url: "                       \
    "['http://localhost']}\n"                                                                      \
    "sources:\n  a:\n    type: postgres\n    dsn: postgresql://localhost/a\n    "                  \
    "password: " password "\n    tables: {p.t: {}}\n"

static loaded load_secret(const char *dir, const char *text)
{
    char path[512];
    put_file(dir, "c.yaml", text, 0644);
    snprintf(path, sizeof(path), "%s/c.yaml", dir);
    return load(path, (fr_config_flags){0});
}

static const char *password_of(const loaded *l)
{
    const struct scripted_config *own = l->config->sources[0].connector;
    return own->password;
}

static loaded rotated(char *dir, const char *secret, const char *text)
{
    put_file(dir, "good", secret, 0600);
    loaded l = load_secret(dir, text);
    assert_int_equal(l.rc, FR_OK);
    return l;
}

#define FIRST "the-first-secret-of-all"

/* What a process that runs is told of a file that was edited. */
static void a_reload_names_what_it_cannot_take(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *text, *want; /* NULL: nothing to restart for */
    } cases[] = {
        {FIRST, SOURCE("${file:good}"), NULL},
        {FIRST, "# moved\n" SOURCE("${file:good}"), NULL},
        {FIRST, "daemon: {log: {level: debug, format: json}}\n" SOURCE("${file:good}"), NULL},
        {"the-second-secret", SOURCE("${file:good}"), ".password"},
        {FIRST, "daemon: {memory: 128MiB}\n" SOURCE("${file:good}"), "daemon.memory"},
        {FIRST, "daemon: {mask_key: '${file:good}'}\n" SOURCE("${file:good}"), "daemon.mask_key"},
    };
    char dir[] = "/tmp/freshet-config-XXXXXX";
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        loaded was = rotated(dir, FIRST, SOURCE("${file:good}"));
        loaded is = rotated(dir, cases[i].secret, cases[i].text);
        fr_str key = {"", 0}, back = {"", 0};
        bool differs = fr_config_differs(was.config, is.config, was.arena, &key);
        assert_int_equal(differs, cases[i].want != NULL);
        assert_int_equal(fr_config_differs(is.config, was.config, was.arena, &back), differs);
        if (differs) {
            assert_non_null(strstr(fr_arena_cstr(was.arena, key), cases[i].want));
            assert_true(fr_str_eq(key, back));
        }
        unload(&was);
        unload(&is);
    }
}

/* What the option tables say of references is what the program reads. */
static void references_in_the_reference_are_known(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-config-XXXXXX", text[8192] = "", line[400];
    assert_non_null(mkdtemp(dir));
    FILE *in = fopen(FR_SOURCE_DIR "/docs/options.md", "r");
    assert_non_null(in);
    fr_buf docs = {0};
    for (size_t n; (n = fread(text, 1, sizeof(text), in)) > 0;)
        fr_buf_put(&docs, text, n);
    fclose(in);
    fr_buf_u8(&docs, 0);
    size_t seen = 0;
    for (const char *at = (const char *)docs.ptr; (at = strstr(at, "${")) != NULL; at += 2) {
        size_t word = strspn(at + 2, "abcdefghijklmnopqrstuvwxyz_");
        if (at[2 + word] != ':')
            continue; /* of a row */
        snprintf(line, sizeof(line), SOURCE("${%.*s:x}"), (int)word, at + 2);
        put_file(dir, "c.yaml", line, 0600);
        char path[200];
        snprintf(path, sizeof(path), "%s/c.yaml", dir);
        loaded l = load(path, (fr_config_flags){.offline = true});
        for (size_t i = 0; i < l.count; i++)
            if (strcmp(l.problems[i].code, "config.unknown_variable") == 0)
                fail_msg("docs/options.md: ${%.*s:} is nothing we know", (int)word, at + 2);
        unload(&l);
        seen++;
    }
    assert_true(seen > 0);
    fr_buf_free(&docs);
}

static void secrets_come_from_files_credentials_and_variables(void **state)
{
    (void)state;
    char dir[] = "/tmp/freshet-config-XXXXXX";
    assert_non_null(mkdtemp(dir));
    put_file(dir, "good", "secret-one\n", 0600);
    put_file(dir, "open", "secret-two\n", 0644);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    setenv("FRESHET_TEST_SECRET", "secret-three", 1);

    loaded l = load_secret(dir, SOURCE("${file:good}"));
    assert_int_equal(l.rc, FR_OK);
    assert_string_equal(password_of(&l), "secret-one");
    fr_buf shown = {0};
    fr_config_show(&shown, l.config, false);
    fr_config_show(&shown, l.config, true);
    fr_buf_u8(&shown, 0);
    assert_null(strstr((const char *)shown.ptr, "secret-one"));
    assert_non_null(strstr((const char *)shown.ptr, "***"));
    fr_buf_free(&shown);
    char line[] = "connect with secret-one failed";
    fr_redact(line);
    assert_string_equal(line, "connect with *** failed");
    unload(&l);

    l = load_secret(dir, SOURCE("${file:open}"));
    assert_int_equal(l.rc, FR_FAIL);
    assert_string_equal(l.problems[0].code, "config.secret_mode");
    unload(&l);

    l = load_secret(dir, SOURCE("${cred:open}")); /* the folder guards it */
    assert_int_equal(l.rc, FR_OK);
    assert_string_equal(password_of(&l), "secret-two");
    unload(&l);

    l = load_secret(dir, SOURCE("${cred:../x}"));
    assert_int_equal(l.rc, FR_FAIL);
    unload(&l);

    /* A variable is taken out of the environment; a reload still knows it. */
    for (int i = 0; i < 2; i++) {
        l = load_secret(dir, SOURCE("${env:FRESHET_TEST_SECRET}"));
        assert_int_equal(l.rc, FR_OK);
        assert_string_equal(password_of(&l), "secret-three");
        assert_null(getenv("FRESHET_TEST_SECRET"));
        unload(&l);
    }
    unsetenv("CREDENTIALS_DIRECTORY");
    const char *const names[] = {"good", "open", "c.yaml"};
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* ---- layers, and what is printed --------------------------------------------------------- */

static void exact_wins_over_regex_over_defaults(void **state)
{
    (void)state;
    static const char text[] =
        "version: 1\nname: x\nkafka: {brokers: [localhost:1]}\n"
        "registry: {url: ['http://localhost'], compatibility: FULL}\n"
        "defaults: {tombstones: false, owner: all, columns: {types: {a: int, b: int}}}\n"
        "sources:\n  a:\n    type: postgres\n    dsn: postgresql://localhost/a\n    tables:\n"
        "      \"/^p\\\\./\": {owner: some, snapshot: {chunk: 7}}\n"
        "      p.t: {owner: one, columns: {types: {b: long}}, schema: {compatibility: NONE}}\n"
        "      q.t: {}\n";
    loaded l = {.arena = fr_arena_new(0)};
    fr_err err;
    fr_config_flags flags = {.offline = true};
    l.rc =
        fr_config_load_text((fr_str){text, sizeof(text) - 1}, "x.yaml", true, &scripted_connectors,
                            &flags, l.arena, &l.problems, &l.count, &l.config, &err);
    assert_int_equal(l.rc, FR_OK);
    const fr_source_settings *s = &l.config->sources[0];
    const fr_table_settings *exact = fr_source_match(s, FR_STR("p"), FR_STR("t"));
    const fr_table_settings *regex = fr_source_match(s, FR_STR("p"), FR_STR("u"));
    const fr_table_settings *other = fr_source_match(s, FR_STR("q"), FR_STR("t"));
    assert_string_equal(exact->owner, "one");
    assert_int_equal(exact->snapshot_chunk, 7);
    assert_false(exact->tombstones);
    assert_int_equal(exact->schema_compat, FR_COMPAT_NONE);
    assert_int_equal(exact->column_types.count, 2);
    assert_string_equal(exact->column_types.items[1].value, "long");
    assert_string_equal(regex->owner, "some");
    assert_int_equal(regex->schema_compat, -1);
    assert_string_equal(regex->column_types.items[1].value, "int");
    assert_string_equal(other->owner, "all");
    assert_int_equal(other->snapshot_chunk, 20000);
    fr_buf b = {0};
    fr_config_show(&b, l.config, true);
    json_t *shown = json_loadb((const char *)b.ptr, b.len, 0, NULL);
    const json_t *place = json_object_get(shown, "sources.a.tables.\"p.t\".snapshot.chunk");
    assert_string_equal(fr_json_str(place, "value", ""), "7");
    assert_string_equal(fr_json_str(place, "place", ""),
                        "x.yaml:11 (sources.a.tables.\"/^p\\./\")");
    place = json_object_get(shown, "sources.a.tables.\"q.t\".tombstones");
    assert_string_equal(fr_json_str(place, "place", ""), "x.yaml:5 (defaults)");
    json_decref(shown);
    fr_buf_free(&b);
    unload(&l);
}

static void a_problem_is_printed_with_its_line_and_a_caret(void **state)
{
    (void)state;
    loaded l = load(FR_SOURCE_DIR "/tests/cases/config/unknown_key.yaml",
                    (fr_config_flags){.offline = true});
    assert_int_equal(l.count, 1);
    l.problems[0].file = "unknown_key.yaml";
    fr_buf b = {0};
    fr_problem_text(&b, &l.problems[0]);
    assert_str(fr_buf_view(&b), "config.unknown_key        unknown_key.yaml:10:30        "
                                "sources.erp.tables.\"public.orders\".metod\n"
                                "      there is no key `metod` here\n"
                                "         10 |     tables: {public.orders: {metod: log}}\n"
                                "            |                              ^^^^^\n"
                                "      \xe2\x86\x92 did you mean `method`?\n");
    fr_buf_free(&b);
    unload(&l);
}

static void explain_knows_keys_however_they_are_written(void **state)
{
    (void)state;
    static const char *const keys[] = {"version",
                                       "kafka",
                                       "kafka.delivery",
                                       "method",
                                       "defaults.topic",
                                       "sources.<s>.log.slot",
                                       "sinks.dwh.write.mode",
                                       "write.mode",
                                       "sources.erp.tables.\"public.orders\".key"};
    fr_err err;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        fr_buf b = {0};
        assert_ok(fr_config_explain(&b, &scripted_connectors, keys[i], &err));
        assert_true(b.len > 40);
        fr_buf_free(&b);
    }
    fr_buf b = {0};
    assert_fails(fr_config_explain(&b, &scripted_connectors, "kafka.delivry", &err), FR_ERR_CONFIG);
    assert_string_equal(err.hint, "did you mean `kafka.delivery`?");
    assert_fails(fr_config_explain(&b, &scripted_connectors, "", &err), FR_ERR_CONFIG);
    fr_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_is_understood),
        cmocka_unit_test(each_case_has_its_problems),
        cmocka_unit_test(a_reload_names_what_it_cannot_take),
        cmocka_unit_test(references_in_the_reference_are_known),
        cmocka_unit_test(secrets_come_from_files_credentials_and_variables),
        cmocka_unit_test(exact_wins_over_regex_over_defaults),
        cmocka_unit_test(a_problem_is_printed_with_its_line_and_a_caret),
        cmocka_unit_test(explain_knows_keys_however_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
