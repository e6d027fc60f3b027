/* freshet config show|schema|explain */
#include "cli/cli.h"
#include <string.h>

static int need_key(fr_cli *cli, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "config explain needs a key");
    fr_fail_code(err, "cli.arguments");
    fr_fail_hint(err, "for example: freshet config explain kafka.delivery");
    return fr_cli_fail(cli, err);
}

static void keep_json(fr_cli *cli, const char *name, fr_buf *text)
{
    json_t *j = json_loadb((const char *)text->ptr, text->len, 0, NULL);
    json_object_set_new(fr_cli_result(cli), name, j == NULL ? json_null() : j);
}

static int show(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    /* Showing needs no secret, and must work where they are not. */
    if (fr_cli_config(cli, &(fr_config_flags){.offline = true}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_config_show(&cli->out, config, cli->json);
    if (cli->json)
        keep_json(cli, "values", &cli->out);
    fr_config_free(config);
    return 0;
}

int fr_cmd_config(fr_cli *cli)
{
    fr_err err;
    if (strcmp(cli->args[0], "show") == 0)
        return show(cli);
    if (strcmp(cli->args[0], "schema") == 0) {
        fr_config_schema(&cli->out, &fr_cli_connectors);
        if (cli->json)
            keep_json(cli, "schema", &cli->out);
        return 0;
    }
    if (cli->arg_count < 2)
        return need_key(cli, &err);
    if (fr_config_explain(&cli->out, &fr_cli_connectors, cli->args[1], &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    json_object_set_new(fr_cli_result(cli), "text",
                        json_stringn((const char *)cli->out.ptr, cli->out.len));
    return 0;
}
