/* freshet plan: what is so, what blocks, what apply would make. */
#include "cli/plan.h"
#include <stdlib.h>
#include <string.h>

static fr_rc write_files(fr_cli *cli, const fr_look *l, fr_err *err)
{
    const char *sql = fr_cli_flag(cli, "sql"), *out = fr_cli_flag(cli, "out");
    fr_buf text = {0};
    fr_rc rc = FR_OK;
    if (sql != NULL) {
        fr_look_sql(&text, l);
        rc = fr_cli_write_file(sql, fr_buf_view(&text), err);
    }
    if (out != NULL && rc == FR_OK) {
        json_t *j = fr_look_json(l);
        char *dump = json_dumps(j, JSON_INDENT(2));
        text.len = 0;
        fr_buf_printf(&text, "%s\n", dump);
        free(dump);
        json_decref(j);
        rc = fr_cli_write_file(out, fr_buf_view(&text), err);
    }
    fr_buf_free(&text);
    return rc;
}

static int verdict(const fr_look *l)
{
    if (l->unreachable)
        return fr_err_exit(FR_ERR_CONNECT);
    return l->tally.blockers > 0 ? FR_EXIT_NO : 0;
}

int fr_cmd_plan(fr_cli *cli)
{
    fr_config_flags flags = {.allow_exec = fr_cli_flag(cli, "allow-exec") != NULL};
    fr_config *config;
    fr_look l;
    fr_err err;
    if (fr_cli_config(cli, &flags, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_look_open(cli, config, &l);
    fr_look_print(&l);
    const char *sql = fr_cli_flag(cli, "sql");
    fr_cli_summary(cli, "Plan %s: %zu to create, %zu blocker%s, %zu warning%s.%s%s", l.hash,
                   l.todo_count, l.tally.blockers, l.tally.blockers == 1 ? "" : "s",
                   l.tally.warnings, l.tally.warnings == 1 ? "" : "s",
                   sql == NULL ? "" : "   SQL for the DBA: ", sql == NULL ? "" : sql);
    int code = write_files(cli, &l, &err) == FR_FAIL ? fr_cli_fail(cli, &err) : verdict(&l);
    fr_look_close(&l);
    fr_config_free(config);
    return code;
}
