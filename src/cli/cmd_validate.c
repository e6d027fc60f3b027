/* freshet validate: the configuration, offline. */
#include "cli/cli.h"
#include <string.h>

typedef struct counts {
    size_t tables, sources, sinks, errors, warnings;
} counts;

static void validate_file(fr_cli *cli, const char *file, counts *n, json_t *files)
{
    fr_config_flags flags = {.strict = cli->strict, .offline = true};
    fr_problem *problems = NULL;
    size_t count = 0;
    fr_config *config = NULL;
    fr_err err;
    fr_rc rc = fr_config_load(file, &fr_cli_connectors, &flags, cli->arena, &problems, &count,
                              &config, &err);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        fr_cli_problem(cli, &cli->out, &problems[i]);
        json_array_append_new(list, fr_cli_problem_json(&problems[i]));
        n->errors += problems[i].warning ? 0 : 1;
        n->warnings += problems[i].warning ? 1 : 0;
    }
    json_array_append_new(files, json_pack("{s:s,s:o}", "file", file, "problems", list));
    if (rc == FR_FAIL)
        return;
    n->sources += config->source_count;
    n->sinks += config->sink_count;
    for (size_t i = 0; i < config->source_count; i++)
        n->tables += config->sources[i].table_count;
    fr_config_free(config);
}

int fr_cmd_validate(fr_cli *cli)
{
    counts n = {0};
    json_t *files = json_array();
    json_object_set_new(fr_cli_result(cli), "files", files);
    fr_err err;
    const char *found;
    if (cli->arg_count == 0) {
        if (fr_config_find(cli->config, cli->arena, &found, &err) == FR_FAIL)
            return fr_cli_fail(cli, &err);
        validate_file(cli, found, &n, files);
    }
    for (size_t i = 0; i < cli->arg_count; i++)
        validate_file(cli, cli->args[i], &n, files);
    json_object_set_new(fr_cli_result(cli), "errors", json_integer((json_int_t)n.errors));
    json_object_set_new(fr_cli_result(cli), "warnings", json_integer((json_int_t)n.warnings));
    if (n.errors > 0)
        fr_cli_summary(cli, "Summary: %zu error%s · %zu warning%s", n.errors,
                       n.errors == 1 ? "" : "s", n.warnings, n.warnings == 1 ? "" : "s");
    else
        fr_cli_summary(cli,
                       "Summary: %zu table pattern%s of %zu source%s, %zu sink%s · 0 errors · "
                       "%zu warning%s",
                       n.tables, n.tables == 1 ? "" : "s", n.sources, n.sources == 1 ? "" : "s",
                       n.sinks, n.sinks == 1 ? "" : "s", n.warnings, n.warnings == 1 ? "" : "s");
    return n.errors > 0 ? fr_err_exit(FR_ERR_CONFIG) : 0;
}
