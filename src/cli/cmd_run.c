/* freshet run: the daemon. The work is control/run's. */
#include "cli/cli.h"
#include "control/run.h"

typedef struct reloader {
    fr_cli *cli;
    fr_config_flags flags;
} reloader;

static fr_config *reload(void *context)
{
    const reloader *r = context;
    fr_config *config = NULL;
    fr_err err;
    if (fr_cli_config(r->cli, &r->flags, &config, &err) == FR_OK)
        return config;
    fr_log_err(FR_LOG_ERROR, "freshet", &err);
    return NULL;
}

int fr_cmd_run(fr_cli *cli)
{
    reloader r = {cli, {.allow_exec = fr_cli_flag(cli, "allow-exec") != NULL}};
    fr_config *config;
    fr_err err;
    if (fr_cli_config(cli, &r.flags, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_log_setup((fr_log_level)config->daemon.log_level, (fr_log_format)config->daemon.log_format);
    fr_run_settings settings = {.config = config, .reload = reload, .context = &r};
    err = (fr_err){0};
    int code = fr_run(&settings, &err);
    fr_config_free(config);
    if (code == 0 || err.text[0] == 0)
        return code;
    fr_cli_fail(cli, &err);
    return code;
}
