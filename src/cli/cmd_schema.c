/* freshet schema: the schemas of a table's stream, over time and against each other. */
#include "cli/schema.h"
#include <stdlib.h>
#include <string.h>

static const struct action {
    const char *name, *args;
    size_t least, most; /* arguments behind the action */
    int (*run)(fr_schema_verb *v);
} actions[] = {
    {"show", "TABLE", 1, 1, fr_schema_show},
    {"diff", "TABLE, or diff OLD.avsc NEW.avsc", 1, 2, fr_schema_diff},
    {"check", "[TABLE...]", 0, FR_MOST_ARGS, fr_schema_check},
    {"register", "TABLE", 1, 1, fr_schema_register},
    {"history", "TABLE", 1, 1, fr_schema_history},
    {"export", "TABLE --as FORM", 1, 1, fr_schema_export},
    {"sample", "TABLE|FILE", 1, 1, fr_schema_sample},
};

/* Flags that only some actions take: one that would be ignored is refused. */
static const struct {
    const char *flag, *actions;
} uses[] = {
    {"at", "show export sample"},
    {"offline", "diff"},
    {"level", "diff check"},
    {"against", "check"},
    {"compatibility", "register"},
    {"dry-run", "register sample"},
    {"as", "export"},
    {"output", "export"},
    {"count", "sample"},
    {"seed", "sample"},
    {"to", "sample"},
    {"edge", "sample"},
};

/* Nor may files be given with what is of a table alone. */
static fr_rc check_file_flags(const fr_cli *cli, const struct action *x, fr_err *err)
{
    bool diff = x->run == fr_schema_diff && cli->arg_count == 3;
    bool sample = x->run == fr_schema_sample && fr_cli_is_file(cli->args[1]);
    const char *flag = diff ? "offline" : "at";
    if ((!diff && !sample) || fr_cli_flag(cli, flag) == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "schema %s of %s has no flag --%s", x->name,
            diff ? "two files" : "a file", flag);
    fr_fail_code(err, "cli.unknown_flag");
    return fr_fail_hint(err, "--%s is for a table: source/space.table", flag);
}

static fr_rc check_flags(const fr_cli *cli, const struct action *x, fr_err *err)
{
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        if (fr_cli_flag(cli, uses[i].flag) == NULL || strstr(uses[i].actions, x->name) != NULL)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "schema %s has no flag --%s", x->name, uses[i].flag);
        fr_fail_code(err, "cli.unknown_flag");
        return fr_fail_hint(err, "--%s is for: %s", uses[i].flag, uses[i].actions);
    }
    return check_file_flags(cli, x, err);
}

static fr_rc check_args(const fr_cli *cli, const struct action *x, fr_err *err)
{
    size_t given = cli->arg_count - 1;
    if (given >= x->least && given <= x->most)
        return check_flags(cli, x, err);
    fr_fail(err, FR_ERR_CONFIG, "schema %s %s", x->name,
            given < x->least ? "needs an argument" : "has an argument too many");
    fr_fail_code(err, "cli.arguments");
    return fr_fail_hint(err, "usage: freshet schema %s %s", x->name, x->args);
}

/* Two files, or a sample of one for nobody but the terminal, ask nothing of a configuration. */
static bool needs_config(const fr_cli *cli)
{
    const char *name = cli->args[0];
    if (strcmp(name, "diff") == 0)
        return cli->arg_count == 2;
    return strcmp(name, "sample") != 0 || !fr_cli_is_file(cli->args[1]) ||
           fr_cli_flag(cli, "to") != NULL;
}

/* What asks no server needs no passwords. */
static bool is_offline(const fr_cli *cli)
{
    const char *against = fr_cli_flag(cli, "against"), *at = fr_cli_flag(cli, "at");
    if (strcmp(cli->args[0], "check") == 0)
        return against == NULL || strcmp(against, "registry") != 0;
    return at != NULL && strcmp(at, "contract") == 0 && strcmp(cli->args[0], "show") != 0 &&
           fr_cli_flag(cli, "to") == NULL;
}

int fr_cmd_schema(fr_cli *cli)
{
    const struct action *x = actions;
    fr_schema_verb v = {.cli = cli};
    fr_err err;
    while (strcmp(x->name, cli->args[0]) != 0)
        x++;
    fr_rc rc = check_args(cli, x, &err);
    if (rc == FR_OK && needs_config(cli)) {
        fr_config_flags flags = {.offline = is_offline(cli),
                                 .allow_exec = fr_cli_flag(cli, "allow-exec") != NULL};
        rc = fr_cli_config(cli, &flags, &v.config, &err);
    }
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : x->run(&v);
    fr_registry_close(v.registry);
    fr_config_free(v.config);
    return code;
}
