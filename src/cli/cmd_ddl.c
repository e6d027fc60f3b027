/* freshet ddl: the SQL of what a source's database must have; a DBA runs it. */
#include "cli/cli.h"
#include "cli/contract.h"
#include "connect/sql.h"
#include "transform/outbox.h"
#include <string.h>

static fr_rc not_built(const char *what, fr_err *err)
{
    bool grants = strcmp(what, "grants") == 0;
    fr_fail(err, FR_ERR_CONFIG, "ddl %s is not in this version", what);
    fr_fail_code(err, "cli.not_built");
    return grants ? fr_fail_hint(err, "freshet plan --sql FILE writes the rights that are missing")
                  : fr_fail_hint(err, "freshet ddl outbox|triggers --table SOURCE/SPACE.TABLE is");
}

static fr_rc no_table_said(const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "which table?");
    fr_fail_code(err, "cli.usage");
    return fr_fail_hint(err, "freshet ddl %s --table SOURCE/SPACE.TABLE", what);
}

/* What is said, and the YAML that is missing; names as JSON are YAML. */
static fr_rc not_configured(fr_arena *a, const char *source, fr_str table, const char *block,
                            fr_err *err)
{
    fr_buf yaml = {.arena = a};
    fr_buf_json(&yaml, fr_cstr(source));
    fr_buf_text(&yaml, ": {tables: {");
    fr_buf_json(&yaml, table);
    fr_buf_printf(&yaml, ": {%s}}}", block);
    return fr_fail_hint(err, "add under sources: %.*s", FR_ARG(fr_buf_view(&yaml)));
}

static const char outbox_block[] = "outbox: {id: id, key: aggregateid, type: type, payload: "
                                   "payload, route: \"outbox.event.${aggregatetype}\"}";
static const char trigger_block[] = "method: trigger";

static fr_rc find_table(fr_cli *cli, const fr_config *config, const char *word, const char *block,
                        fr_config_place *out, fr_err *err)
{
    const char *slash = strchr(word, '/');
    size_t source;
    if (!fr_utf8_valid(fr_cstr(word))) {
        fr_fail(err, FR_ERR_CONFIG, "--table is no UTF-8");
        return fr_fail_code(err, "cli.usage");
    }
    if (fr_config_table(config, word, out, err) == FR_OK)
        return FR_OK;
    fr_err other;
    if (slash == NULL || strchr(slash, '.') == NULL ||
        fr_config_source(config, (fr_str){word, (size_t)(slash - word)}, &source, &other) ==
            FR_FAIL)
        return FR_FAIL;
    if (block == outbox_block)
        fr_fail_code(err, "config.outbox");
    return not_configured(cli->arena, config->sources[source].name, fr_cstr(slash + 1), block, err);
}

static fr_rc not_such(fr_cli *cli, const fr_config *config, const fr_config_place *p,
                      const char *word, const char *lacks, const char *block, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: `%.*s.%.*s` %s",
            p->table->place != NULL ? p->table->place : config->file, FR_ARG(p->space),
            FR_ARG(p->name), lacks);
    fr_fail_code(err, block == outbox_block ? "config.outbox" : "config.trigger");
    return not_configured(cli->arena, config->sources[p->source].name,
                          fr_cstr(strchr(word, '/') + 1), block, err);
}

static void put_result(fr_cli *cli, const fr_buf *sql)
{
    fr_buf_str(&cli->out, fr_buf_view(sql));
    json_object_set_new(fr_cli_result(cli), "sql", json_stringn((const char *)sql->ptr, sql->len));
}

static fr_rc no_table_needed(const fr_config *config, const fr_table_settings *t, fr_str prefix,
                             fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: logical messages are an outbox without a table",
            t->place != NULL ? t->place : config->file);
    fr_fail_code(err, "config.outbox");
    return fr_fail_hint(err,
                        "nothing is to be made: SELECT pg_logical_emit_message(true, '%.*s', "
                        "'{...}')",
                        FR_ARG(prefix));
}

/* Which does not matter where all is removed. */
static const fr_contract_node any_contract;

static fr_rc take_contract(fr_cli *cli, const fr_sql_ops *ops, const char *type, fr_ddl_outbox *o,
                           fr_err *err)
{
    const char *file = fr_cli_flag(cli, "contract");
    if (file == NULL)
        return FR_OK;
    if (!ops->contracts) {
        fr_fail(err, FR_ERR_CONFIG, "sources of type %s check no contracts", type);
        fr_fail_code(err, "cli.not_built");
        return fr_fail_hint(err, "leave --contract out: payloads are not checked then");
    }
    o->contract = &any_contract;
    return o->remove ? FR_OK : fr_contract_read(cli->arena, file, &o->contract, err);
}

static fr_rc outbox(fr_cli *cli, const fr_config *config, const char *word, fr_err *err)
{
    fr_config_place p;
    fr_str *route, prefix;
    size_t count;
    FR_TRY(find_table(cli, config, word, outbox_block, &p, err));
    if (p.table->outbox.on && fr_table_messages(p.table, &prefix))
        return no_table_needed(config, p.table, prefix, err);
    if (!p.table->outbox.on)
        return not_such(cli, config, &p, word, "has no outbox: block", outbox_block, err);
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
    FR_TRY(take_contract(cli, ops, config->source_ops[p.source]->type, &o, err));
    fr_outbox_route_columns(cli->arena, p.table->outbox.route, &route, &count);
    FR_TRY(fr_ddl_outbox_columns(cli->arena, &o, route, count, err));
    fr_buf sql = {.arena = cli->arena};
    FR_TRY(ops->put_outbox(&sql, &o, err));
    put_result(cli, &sql);
    return FR_OK;
}

/* The change table as it is, if there is one: what is in it stays. */
static fr_rc describe_log(fr_sql *c, const fr_ddl_triggers *o, fr_arena *a, fr_sql_relation **out,
                          fr_err *err)
{
    const fr_table_settings any = {
        .pattern = o->settings->pattern, .place = o->settings->place, .method = FR_METHOD_TRIGGER};
    fr_str log = fr_triggers_name(a, FR_TRIGGERS_LOG, o->name);
    *out = NULL;
    if (c->ops->describe(c, &any, o->space, log, 1, out, err) == FR_OK)
        return FR_OK;
    const char *dot = strchr(err->code, '.');
    return dot != NULL && strcmp(dot, ".table") == 0 ? FR_OK : FR_FAIL;
}

static fr_rc write_triggers(fr_cli *cli, const fr_sql_ops *ops, fr_ddl_triggers *o, fr_buf *sql,
                            fr_err *err)
{
    fr_sql *c = NULL;
    fr_sql_relation *table = NULL, *log = NULL;
    fr_rc rc = o->remove ? FR_OK : ops->open(o->source, &c, err);
    if (rc == FR_OK && !o->remove)
        rc = ops->describe(c, o->settings, o->space, o->name, 1, &table, err);
    if (rc == FR_OK && !o->remove && !table->plain_table) {
        rc = fr_fail(err, FR_ERR_CONFIG, "%.*s.%.*s is a view: triggers are for tables",
                     FR_ARG(o->space), FR_ARG(o->name));
        fr_fail_code(err, "trigger.table");
    }
    if (rc == FR_OK && !o->remove)
        rc = describe_log(c, o, cli->arena, &log, err);
    if (rc == FR_OK)
        rc = fr_ddl_triggers_of(cli->arena, o, table, log, err);
    if (rc == FR_OK)
        rc = ops->put_triggers(c, sql, o, err);
    ops->forget(table);
    ops->forget(log);
    ops->close(c);
    return rc;
}

static fr_rc triggers(fr_cli *cli, const fr_config *config, const char *word, fr_err *err)
{
    fr_config_place p;
    FR_TRY(find_table(cli, config, word, trigger_block, &p, err));
    if (p.table->method != FR_METHOD_TRIGGER)
        return not_such(cli, config, &p, word, "is not of method trigger", trigger_block, err);
    const fr_sql_ops *ops = config->source_ops[p.source]->sql;
    fr_ddl_triggers o = {.source = &config->sources[p.source],
                         .settings = p.table,
                         .space = p.space,
                         .name = p.name,
                         .remove = fr_cli_flag(cli, "drop") != NULL};
    fr_buf sql = {.arena = cli->arena};
    FR_TRY(write_triggers(cli, ops, &o, &sql, err));
    put_result(cli, &sql);
    return FR_OK;
}

int fr_cmd_ddl(fr_cli *cli)
{
    const char *table = fr_cli_flag(cli, "table");
    fr_config *config;
    fr_err err;
    bool outboxes = strcmp(cli->args[0], "outbox") == 0;
    if (!outboxes && strcmp(cli->args[0], "triggers") != 0) {
        not_built(cli->args[0], &err);
        return fr_cli_fail(cli, &err);
    }
    if (!outboxes && fr_cli_flag(cli, "contract") != NULL) {
        fr_fail(&err, FR_ERR_CONFIG, "--contract is for payloads: ddl outbox");
        fr_fail_code(&err, "cli.usage");
        fr_fail_hint(&err, "leave --contract out");
        return fr_cli_fail(cli, &err);
    }
    if (table == NULL) {
        no_table_said(cli->args[0], &err);
        return fr_cli_fail(cli, &err);
    }
    /* Offline where no server is asked: whoever writes SQL need not have the passwords. */
    bool offline = outboxes || fr_cli_flag(cli, "drop") != NULL;
    if (fr_cli_config(cli, &(fr_config_flags){.offline = offline}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_rc rc = outboxes ? outbox(cli, config, table, &err) : triggers(cli, config, table, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
