#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static bool colors_wanted(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no == NULL || *no == 0) && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* Secrets are in memory: they must not be in a core file (S09). */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check needs to look at us */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static json_t *error_json(const fr_err *err)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "code",
                     err->code[0] != 0 ? err->code : fr_err_kind_name(err->kind), "kind",
                     fr_err_kind_name(err->kind), "message", err->text, "fix", fr_err_hint(err));
}

static void write_json(fr_cli *cli, int code)
{
    json_t *document = json_object();
    json_object_set_new(document, "command",
                        json_string(cli->verb == NULL ? "freshet" : cli->verb->name));
    json_object_set_new(document, "ok", json_boolean(code == 0));
    json_object_set_new(document, "summary",
                        cli->summary == NULL ? json_null() : json_string(cli->summary));
    json_object_set(document, "result", fr_cli_result(cli));
    json_t *error = cli->failed ? error_json(&cli->err) : NULL;
    json_object_set_new(document, "error", error == NULL ? json_null() : error);
    json_dumpf(document, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
    json_decref(document);
}

static void write_text(fr_cli *cli)
{
    fr_cli_flush(cli);
    if (cli->summary != NULL && !cli->quiet)
        printf("%s\n", cli->summary);
    fflush(stdout);
    if (!cli->failed)
        return;
    fr_buf shown = {0};
    fr_cli_error(cli, &shown, &cli->err);
    fwrite(shown.ptr, 1, shown.len, stderr);
    fr_buf_free(&shown);
}

static int dispatch(fr_cli *cli)
{
    if (cli->version)
        cli->verb = fr_verb_find("version");
    if (cli->help || cli->verb == NULL) {
        fr_cli_help(&cli->out, cli->verb);
        return cli->help ? 0 : fr_err_exit(FR_ERR_CONFIG);
    }
    return cli->verb->run(cli);
}

int fr_cli_main(int argc, const char *const *argv)
{
    fr_cli cli = {.arena = fr_arena_new(0), .tty = isatty(STDOUT_FILENO)};
    cli.color = colors_wanted();
    fr_err err;
    int code =
        fr_cli_parse(&cli, argc, argv, &err) == FR_FAIL ? fr_cli_fail(&cli, &err) : dispatch(&cli);
    if (cli.json)
        write_json(&cli, code);
    else
        write_text(&cli);
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 && code == 0)
        code = 1;
    json_decref(cli.result);
    fr_buf_free(&cli.out);
    fr_arena_free(cli.arena);
    return code;
}

int main(int argc, char **argv)
{
    forbid_core_dumps();
    return fr_cli_main(argc, (const char *const *)argv);
}
