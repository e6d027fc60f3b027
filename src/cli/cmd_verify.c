/* freshet verify: is a sink's table what the source's is? */
#include "cli/verify.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const fr_option settle_option = {.name = "settle",
                                        .type = FR_OPT_TIME,
                                        .fallback = "60s",
                                        .min = 1000000,
                                        .max = 63072001000000LL};
static const fr_option timeout_option = {.name = "timeout",
                                         .type = FR_OPT_TIME,
                                         .fallback = "10m",
                                         .min = 1000000,
                                         .max = 86400000000LL};
static const fr_option load_option = {
    .name = "load", .type = FR_OPT_INT, .fallback = "20", .min = 1, .max = 100};
static const fr_option chunk_option = {
    .name = "chunk", .type = FR_OPT_INT, .fallback = "20000", .min = 10, .max = 10000000};

static fr_rc read_flags(fr_verify_run *v, fr_err *err)
{
    fr_cli *cli = v->cli;
    bool fast = fr_cli_flag(cli, "fast") != NULL, full = fr_cli_flag(cli, "full") != NULL;
    FR_TRY(fr_cli_number(cli, &settle_option, &v->settle_us, err));
    FR_TRY(fr_cli_number(cli, &timeout_option, &v->timeout_us, err));
    FR_TRY(fr_cli_number(cli, &load_option, &v->sides[FR_SOURCE_SIDE].load, err));
    FR_TRY(fr_cli_number(cli, &chunk_option, &v->chunk, err));
    v->sides[FR_SINK_SIDE].load = 100;
    v->fix_file = fr_cli_flag(cli, "fix-sql");
    v->metrics_file = fr_cli_flag(cli, "metrics");
    v->mode = fast ? FR_VERIFY_FAST : full ? FR_VERIFY_FULL : FR_VERIFY_USUAL;
    if (!(fast && (full || v->fix_file != NULL)))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "--fast reads no rows: --%s cannot be had with it",
            full ? "full" : "fix-sql");
    fr_fail_code(err, "cli.usage");
    return fr_fail_hint(err, "leave one of them out");
}

/* ---- which sink ---- */

static fr_rc cannot(const char *what, const char *name, const char *type, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s `%s`: verify cannot ask a %s", what, name, type);
    fr_fail_code(err, "verify.connector");
    return fr_fail_hint(err, "it compares PostgreSQL, MySQL, MariaDB and SQLite, and of sinks "
                             "ClickHouse and DuckDB, too");
}

static fr_rc no_sink(const fr_verify_run *v, const char *asked, fr_str several, fr_err *err)
{
    if (several.len > 0) {
        fr_fail(err, FR_ERR_CONFIG, "several sinks take %s: %.*s", v->cli->args[0],
                FR_ARG(several));
        fr_fail_code(err, "verify.sink");
        return fr_fail_hint(err, "choose one: --sink NAME");
    }
    if (asked == NULL)
        fr_fail(err, FR_ERR_CONFIG, "no sink of the configuration takes topic %.*s",
                FR_ARG(v->topic));
    else
        fr_fail(err, FR_ERR_CONFIG, "there is no sink `%s` that takes topic %.*s", asked,
                FR_ARG(v->topic));
    fr_fail_code(err, "verify.sink");
    return fr_fail_hint(err, "sinks.<name>.from says which topics a sink takes");
}

static fr_rc choose_sink(fr_verify_run *v, fr_err *err)
{
    const char *asked = fr_cli_flag(v->cli, "sink");
    fr_buf several = {.arena = v->cli->arena};
    size_t found = v->config->sink_count, count = 0;
    FR_TRY(fr_ask_table_topic(v->config, v->cli->arena, &v->place, &v->topic, err));
    for (size_t i = 0; i < v->config->sink_count; i++) {
        const fr_sink_settings *s = &v->config->sinks[i];
        if (fr_sink_match(s, v->topic) < 0 || (asked != NULL && strcmp(asked, s->name) != 0))
            continue;
        fr_buf_printf(&several, "%s%s", count > 0 ? ", " : "", s->name);
        found = i;
        count++;
    }
    if (count != 1)
        return no_sink(v, asked, fr_buf_view(&several), err);
    v->sink = &v->config->sinks[found];
    v->sides[FR_SINK_SIDE].ops = v->config->sink_ops[found]->rows;
    v->sides[FR_SINK_SIDE].name = v->sink->name;
    if (v->sides[FR_SINK_SIDE].ops == NULL)
        return cannot("sink", v->sink->name, v->sink->type, err);
    return FR_OK;
}

static fr_rc choose(fr_verify_run *v, fr_err *err)
{
    const char *word = v->cli->args[0];
    if (strchr(word, '/') == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` is no table: topics cannot be verified in this version",
                word);
        fr_fail_code(err, "verify.topic");
        return fr_fail_hint(err, "name a table: source/space.table");
    }
    FR_TRY(fr_config_table(v->config, word, &v->place, err));
    const fr_source_settings *s = &v->config->sources[v->place.source];
    v->sides[FR_SOURCE_SIDE].ops = v->config->source_ops[v->place.source]->rows;
    v->sides[FR_SOURCE_SIDE].name = s->name;
    if (v->sides[FR_SOURCE_SIDE].ops == NULL)
        return cannot("source", s->name, s->type, err);
    return choose_sink(v, err);
}

/* ---- the way through ---- */

static bool some_compared(const fr_verify_run *v)
{
    return v->compared > 0 && v->key_count > 0;
}

static fr_rc verify(fr_verify_run *v, fr_err *err)
{
    FR_TRY(choose(v, err));
    FR_TRY(fr_verify_map(v, err));
    if (!some_compared(v))
        return fr_fail(err, FR_ERR_BUG, "nothing to compare");
    FR_TRY(fr_verify_find(v, err));
    if (v->mode != FR_VERIFY_FAST)
        FR_TRY(fr_verify_settle(v, err));
    fr_verify_show(v);
    if (v->metrics_file != NULL)
        FR_TRY(fr_verify_metrics(v, err));
    return v->fix_file != NULL ? fr_verify_fix(v, err) : FR_OK;
}

static int verdict(const fr_verify_run *v)
{
    bool settled = v->moving + v->chunks_moving == 0 && !v->too_many;
    return settled && fr_verify_differences(v) == 0 ? 0 : FR_EXIT_NO;
}

int fr_cmd_verify(fr_cli *cli)
{
    fr_verify_run *v = fr_malloc(sizeof(*v));
    fr_config *config = NULL;
    fr_err err;
    v->cli = cli;
    v->md5 = EVP_MD_CTX_new();
    fr_rc rc = read_flags(v, &err);
    if (rc == FR_OK)
        rc = fr_cli_config(cli, &(fr_config_flags){0}, &config, &err);
    v->config = config;
    if (rc == FR_OK)
        rc = verify(v, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : verdict(v);
    for (int i = 0; i < FR_SIDES; i++)
        if (v->sides[i].conn != NULL)
            v->sides[i].ops->close(v->sides[i].conn);
    EVP_MD_CTX_free(v->md5);
    free(v->found);
    free(v);
    if (config != NULL)
        fr_config_free(config);
    return code;
}
