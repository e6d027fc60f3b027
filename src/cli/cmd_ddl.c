/* freshet ddl outbox: the SQL of what a source's database must have; a DBA runs it. */
#include "cli/cli.h"
#include "connect/sql.h"
#include "transform/outbox.h"
#include <string.h>

static fr_rc not_built(const char *what, fr_err *err)
{
    bool grants = strcmp(what, "grants") == 0;
    fr_fail(err, FR_ERR_CONFIG, "ddl %s is not in this version", what);
    fr_fail_code(err, "cli.not_built");
    return grants ? fr_fail_hint(err, "freshet plan --sql FILE writes the rights that are missing")
                  : fr_fail_hint(err, "freshet ddl outbox --table SOURCE/SPACE.TABLE is");
}

static fr_rc no_table_said(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "which table?");
    fr_fail_code(err, "cli.usage");
    return fr_fail_hint(err, "freshet ddl outbox --table SOURCE/SPACE.TABLE");
}

/* What is said, and the YAML that is missing; names as JSON are YAML. */
static fr_rc no_outbox(fr_arena *a, const char *source, fr_str table, fr_err *err)
{
    fr_buf yaml = {.arena = a};
    fr_buf_json(&yaml, fr_cstr(source));
    fr_buf_text(&yaml, ": {tables: {");
    fr_buf_json(&yaml, table);
    fr_buf_text(&yaml, ": {outbox: {id: id, key: aggregateid, type: type, payload: payload, route: "
                       "\"outbox.event.${aggregatetype}\"}}}}");
    fr_fail_code(err, "config.outbox");
    return fr_fail_hint(err, "add under sources: %.*s", FR_ARG(fr_buf_view(&yaml)));
}

static fr_rc find_outbox(fr_cli *cli, const fr_config *config, const char *word,
                         fr_config_place *out, fr_err *err)
{
    const char *slash = strchr(word, '/');
    size_t source;
    if (!fr_utf8_valid(fr_cstr(word))) {
        fr_fail(err, FR_ERR_CONFIG, "--table is no UTF-8");
        return fr_fail_code(err, "cli.usage");
    }
    if (fr_config_table(config, word, out, err) == FR_FAIL) {
        fr_err other;
        if (slash == NULL || strchr(slash, '.') == NULL ||
            fr_config_source(config, (fr_str){word, (size_t)(slash - word)}, &source, &other) ==
                FR_FAIL)
            return FR_FAIL;
        return no_outbox(cli->arena, config->sources[source].name, fr_cstr(slash + 1), err);
    }
    fr_str prefix;
    if (out->table->outbox.on && fr_table_messages(out->table, &prefix)) {
        fr_fail(err, FR_ERR_CONFIG, "%s: logical messages are an outbox without a table",
                out->table->place != NULL ? out->table->place : config->file);
        fr_fail_code(err, "config.outbox");
        return fr_fail_hint(err,
                            "nothing is to be made: SELECT pg_logical_emit_message(true, '%.*s', "
                            "'{...}')",
                            FR_ARG(prefix));
    }
    if (out->table->outbox.on)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s.%.*s` has no outbox: block",
            out->table->place != NULL ? out->table->place : config->file, FR_ARG(out->space),
            FR_ARG(out->name));
    return no_outbox(cli->arena, config->sources[out->source].name, fr_cstr(slash + 1), err);
}

static fr_rc outbox(fr_cli *cli, const fr_config *config, const char *word, fr_err *err)
{
    fr_config_place p;
    fr_str *route;
    size_t count;
    FR_TRY(find_outbox(cli, config, word, &p, err));
    const fr_sql_ops *ops = config->source_ops[p.source]->sql;
    if (ops == NULL || ops->put_outbox == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "sources of type %s have no outbox",
                config->source_ops[p.source]->type);
        return fr_fail_code(err, "cli.not_built");
    }
    fr_ddl_outbox o = {.source = &config->sources[p.source],
                       .settings = p.table,
                       .space = p.space,
                       .name = p.name,
                       .remove = fr_cli_flag(cli, "drop") != NULL};
    fr_outbox_route_columns(cli->arena, p.table->outbox.route, &route, &count);
    FR_TRY(fr_ddl_outbox_columns(cli->arena, &o, route, count, err));
    fr_buf sql = {.arena = cli->arena};
    FR_TRY(ops->put_outbox(&sql, &o, err));
    fr_buf_str(&cli->out, fr_buf_view(&sql));
    json_object_set_new(fr_cli_result(cli), "sql", json_stringn((const char *)sql.ptr, sql.len));
    return FR_OK;
}

int fr_cmd_ddl(fr_cli *cli)
{
    const char *table = fr_cli_flag(cli, "table");
    fr_config *config;
    fr_err err;
    if (strcmp(cli->args[0], "outbox") != 0) {
        not_built(cli->args[0], &err);
        return fr_cli_fail(cli, &err);
    }
    if (table == NULL) {
        no_table_said(&err);
        return fr_cli_fail(cli, &err);
    }
    /* Offline: whoever writes SQL need not have the passwords. */
    if (fr_cli_config(cli, &(fr_config_flags){.offline = true}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    int code = outbox(cli, config, table, &err) == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
