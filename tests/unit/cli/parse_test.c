/* What was typed. The program's own files are included: they are no library. */
#include "tests/unit/test.h"

#include "cli/parse.c"
#include "cli/verbs.c"

/* The verbs are not called here. */
#define VERB(name)                                                                                 \
    int fr_cmd_##name(fr_cli *unused)                                                              \
    {                                                                                              \
        (void)unused;                                                                              \
        return 99;                                                                                 \
    }
VERB(run)
VERB(validate)
VERB(plan)
VERB(apply)
VERB(status)
VERB(tap)
VERB(position)
VERB(snapshot)
VERB(will)
VERB(schema)
VERB(config)
VERB(ddl)
VERB(doctor)
VERB(connectors)
VERB(version)
VERB(completion)
VERB(help)
VERB(docs)
VERB(demo)
VERB(lineage)
VERB(dlq)
VERB(test)
VERB(verify)

static fr_err err;
static fr_cli cli;

static fr_rc parse(const char *line)
{
    static char copy[256];
    static const char *argv[32];
    int n = 0;
    cli = (fr_cli){0};
    snprintf(copy, sizeof(copy), "freshet %s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[n++] = word;
    return fr_cli_parse(&cli, n, argv, &err);
}

static void refused(const char *line, const char *code, const char *hint)
{
    assert_fails(parse(line), FR_ERR_CONFIG);
    assert_string_equal(err.code, code);
    if (strstr(err.hint, hint) == NULL)
        fail_msg("%s: hint `%s` without `%s`", line, err.hint, hint);
}

static void verbs(void **state)
{
    (void)state;
    assert_ok(parse(""));
    assert_null(cli.verb);
    assert_ok(parse("run"));
    assert_string_equal(cli.verb->name, "run");
    refused("rnu", "cli.unknown_verb", "did you mean `freshet run`?");
    refused("metrics-and-more", "cli.unknown_verb", "freshet help");
    refused("run now", "cli.arguments", "usage: freshet run");
    refused("tap", "cli.arguments", "usage: freshet tap TABLE|TOPIC");
    refused("config sho", "cli.arguments", "did you mean `freshet config show`?");
    refused("completion powershell", "cli.arguments", "usage");
    assert_ok(parse("tap --help"));
    assert_true(cli.help);
}

static void global_flags(void **state)
{
    (void)state;
    assert_ok(parse("-c a.yaml status"));
    assert_string_equal(cli.config, "a.yaml");
    assert_ok(parse("status -ca.yaml -qv"));
    assert_string_equal(cli.config, "a.yaml");
    assert_true(cli.quiet && cli.verbose);
    assert_ok(parse("status --config=b.yaml --json --no-input -y --strict --url unix:/s"));
    assert_string_equal(cli.config, "b.yaml");
    assert_string_equal(cli.url, "unix:/s");
    assert_true(cli.json && cli.no_input && cli.yes && cli.strict);
    assert_ok(parse("status --color always"));
    assert_true(cli.color);
    refused("status --color blue", "cli.bad_value", "auto, always, never");
    refused("status --config", "cli.bad_value", "--config FILE");
    refused("status --json=1", "cli.bad_value", "");
    refused("status --jsn", "cli.unknown_flag", "did you mean --json?");
    refused("status -x", "cli.unknown_flag", "freshet help");
}

static void flags_of_verbs(void **state)
{
    (void)state;
    assert_ok(parse("tap erp/public.orders --limit 5 --from=beginning"));
    assert_string_equal(cli.args[0], "erp/public.orders");
    assert_string_equal(fr_cli_flag(&cli, "limit"), "5");
    assert_string_equal(fr_cli_flag(&cli, "from"), "beginning");
    assert_null(fr_cli_flag(&cli, "where"));
    assert_ok(parse("apply --source-objects"));
    assert_string_equal(fr_cli_flag(&cli, "source-objects"), "");
    refused("tap t --from middle", "cli.bad_value", "beginning, end");
    refused("tap t --limt 5", "cli.unknown_flag", "did you mean --limit?");
    refused("--limit 5 tap t", "cli.unknown_flag", ""); /* a verb's own come after it */
    assert_ok(parse("tap -- --limit"));
    assert_string_equal(cli.args[0], "--limit");
}

/* As options are read: --limit of 1 to 50. */
static fr_rc number_of(const char *line, const char *fallback, int64_t *out)
{
    const fr_option option = {
        .name = "limit", .type = FR_OPT_INT, .fallback = fallback, .min = 1, .max = 50};
    assert_ok(parse(line));
    cli.arena = fr_arena_new(0);
    fr_rc rc = fr_cli_number(&cli, &option, out, &err);
    fr_arena_free(cli.arena);
    return rc;
}

static void numbers(void **state)
{
    static const char *const bad[] = {"--limit=0", "--limit=51", "--limit=7x", "--limit=-1",
                                      "--limit=99999999999999999999"};
    int64_t n = 9;
    (void)state;
    assert_ok(number_of("tap t", NULL, &n));
    assert_int_equal(n, 9); /* not given: as it was */
    assert_ok(number_of("tap t", "20", &n));
    assert_int_equal(n, 20);
    assert_ok(number_of("tap t --limit 50", "20", &n));
    assert_int_equal(n, 50);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "tap t %s", bad[i]);
        assert_fails(number_of(line, NULL, &n), FR_ERR_CONFIG);
        assert_string_equal(err.code, "cli.bad_value");
        assert_non_null(strstr(err.text, "--limit: `"));
        assert_int_equal(n, 50);
    }
}

/* Tables that would break parsing, help or completions. */
static void tables_are_sound(void **state)
{
    (void)state;
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        size_t n = 0;
        assert_ptr_equal(fr_verb_find(v->name), v);
        assert_non_null(v->run);
        assert_non_null(v->args);
        assert_true(v->max_args >= v->min_args && v->max_args <= FR_MOST_ARGS);
        for (const fr_flag *f = v->flags; f != NULL && f->name != NULL; f++, n++)
            assert_null(find_flag(fr_global_flags, fr_cstr(f->name)));
        assert_true(n <= FR_MOST_FLAGS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs),
        cmocka_unit_test(global_flags),
        cmocka_unit_test(flags_of_verbs),
        cmocka_unit_test(numbers),
        cmocka_unit_test(tables_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
