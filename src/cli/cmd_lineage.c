/* freshet lineage: which column becomes which field, where it is masked, who owns it. */
#include "base/clock.h"
#include "cli/lineage.h"
#include <string.h>

typedef struct form {
    const char *flag;
    void (*put)(fr_buf *b, const fr_lineage *l);
} form;

static void put_openlineage(fr_buf *b, const fr_lineage *l)
{
    fr_lineage_openlineage(b, l, fr_wall_us());
}

static const form forms[] = {{"dot", fr_lineage_dot},
                             {"mermaid", fr_lineage_mermaid},
                             {"openlineage", put_openlineage},
                             {"dbt-sources", fr_lineage_dbt}};

/* NULL: text. */
static fr_rc which(const fr_cli *cli, const form **out, fr_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (fr_cli_flag(cli, forms[i].flag) == NULL)
            continue;
        if (*out != NULL) {
            fr_fail(err, FR_ERR_CONFIG, "--%s and --%s at once", (*out)->flag, forms[i].flag);
            fr_fail_code(err, "cli.usage");
            return fr_fail_hint(err, "one form at a time");
        }
        *out = &forms[i];
    }
    return FR_OK;
}

/* Which sources the catalogs are of. A form that others read has it on stderr. */
static void say_why(fr_cli *cli, const fr_lineage *l, bool asked)
{
    for (size_t i = 0; asked && i < l->config->source_count; i++)
        if (l->why[i] != NULL)
            fr_cli_note(cli,
                        "source %s: as the configuration alone says, for its catalog could not be "
                        "read: %s",
                        l->config->sources[i].name, l->why[i]);
    for (size_t i = 0; asked && i < l->config->source_count; i++)
        if (l->moved[i] != NULL)
            fr_cli_note(cli,
                        "source %s: with the topics that the configuration names, for Kafka does "
                        "not say whether tables have gone on in others: %s",
                        l->config->sources[i].name, l->moved[i]);
}

static void show(fr_cli *cli, const fr_lineage *l, const form *f)
{
    json_t *result = fr_cli_result(cli);
    if (f == NULL) {
        fr_lineage_text(cli, l);
        json_t *j = fr_lineage_json(l);
        json_object_update(result, j);
        json_decref(j);
        fr_cli_summary(cli, "%zu stream%s", l->count, l->count == 1 ? "" : "s");
        return;
    }
    size_t before = cli->out.len;
    f->put(&cli->out, l);
    json_object_set_new(result, "text",
                        json_stringn((const char *)cli->out.ptr + before, cli->out.len - before));
}

static fr_rc lineage(fr_cli *cli, const fr_config *config, const form *f, bool ask, fr_err *err)
{
    fr_lineage l;
    FR_TRY(fr_lineage_make(config, cli->arena, ask, &l, err));
    if (cli->arg_count > 0)
        FR_TRY(fr_lineage_keep(&l, cli->args[0], err));
    say_why(cli, &l, ask);
    show(cli, &l, f);
    return FR_OK;
}

int fr_cmd_lineage(fr_cli *cli)
{
    bool ask = fr_cli_flag(cli, "offline") == NULL;
    const form *f;
    fr_config *config;
    fr_err err;
    if (which(cli, &f, &err) == FR_FAIL ||
        fr_cli_config(cli, &(fr_config_flags){.offline = !ask}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_rc rc = lineage(cli, config, f, ask, &err);
    fr_config_free(config);
    return rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
}
