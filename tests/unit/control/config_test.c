/* The configuration: the example that is shipped, then one case a problem (tests/cases/config). */
#include "control/config.h"
#include "tests/unit/connectors.h"
#include "tests/unit/test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    assert_int_equal(t->errors_mode, FR_ERRORS_STOP);
    assert_string_equal(t->errors_topic, "freshet.legacy-erp.dlq");
    assert_int_equal(t->snapshot_chunk, 20000);
    assert_int_equal(t->pii.count, 2);
    assert_null(fr_source_match(s, FR_STR("audit"), FR_STR("log")));
    assert_null(fr_source_match(s, FR_STR("public"), FR_STR("other")));
    assert_int_equal(c->sink_count, 1);
    assert_int_equal(c->sinks[0].batch_rows, 5000);
    assert_int_equal(c->sinks[0].deletes, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_is_understood),
        cmocka_unit_test(each_case_has_its_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
