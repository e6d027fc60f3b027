/* freshet help, version, completion, connectors, docs: what the program says about itself. */
#include "cli/cli.h"
#include "control/http.h"
#include "kafka/admin.h"
#include <jansson.h>
#include <string.h>
#include <yaml.h>

int fr_cmd_help(fr_cli *cli)
{
    const fr_verb *verb = cli->arg_count == 0 ? NULL : fr_verb_find(cli->args[0]);
    if (verb == NULL && cli->arg_count > 0) {
        fr_err err;
        fr_cli asked = {0};
        const char *words[] = {"freshet", cli->args[0]};
        fr_cli_parse(&asked, 2, words, &err);
        return fr_cli_fail(cli, &err);
    }
    fr_cli_help(&cli->out, verb);
    return 0;
}

static void library(fr_cli *cli, json_t *list, const char *name, const char *version)
{
    const char *gap = version[0] == '\0' ? "" : " ";
    fr_str text = fr_arena_printf(cli->arena, "%s%s%s", name, gap, version);
    fr_buf_printf(&cli->out, "  %.*s\n", (int)text.len, text.ptr);
    json_array_append_new(list, json_stringn(text.ptr, text.len));
}

int fr_cmd_version(fr_cli *cli)
{
    json_t *libraries = json_array(), *sources = json_array(), *sinks = json_array();
    fr_buf_printf(&cli->out, "freshet %s\nsources:", FR_VERSION);
    for (size_t i = 0; fr_cli_connectors.source_at(i) != NULL; i++) {
        fr_buf_printf(&cli->out, " %s", fr_cli_connectors.source_at(i)->name);
        json_array_append_new(sources, json_string(fr_cli_connectors.source_at(i)->name));
    }
    fr_buf_text(&cli->out, "\nsinks:");
    for (size_t i = 0; fr_cli_connectors.sink_at(i) != NULL; i++) {
        fr_buf_printf(&cli->out, " %s", fr_cli_connectors.sink_at(i)->name);
        json_array_append_new(sinks, json_string(fr_cli_connectors.sink_at(i)->name));
    }
    fr_buf_text(&cli->out, "\nlibraries:\n");
    library(cli, libraries, fr_kafka_library(), "");
    library(cli, libraries, "libcurl", fr_http_client_library());
    library(cli, libraries, "libmicrohttpd", fr_http_server_library());
    library(cli, libraries, "jansson", JANSSON_VERSION);
    library(cli, libraries, "libyaml", yaml_get_version_string());
    const char *why;
    if (fr_kafka_library_weak(&why))
        fr_buf_printf(&cli->out, "%s%s\n", fr_cli_glyph(cli, FR_GLYPH_WARN), why);
    json_t *result = fr_cli_result(cli);
    json_object_set_new(result, "version", json_string(FR_VERSION));
    json_object_set_new(result, "sources", sources);
    json_object_set_new(result, "sinks", sinks);
    json_object_set_new(result, "libraries", libraries);
    return 0;
}

int fr_cmd_completion(fr_cli *cli)
{
    fr_cli_completion(&cli->out, cli->args[0]);
    json_object_set_new(fr_cli_result(cli), "text",
                        json_stringn((const char *)cli->out.ptr, cli->out.len));
    return 0;
}

static void put_connector(fr_cli *cli, json_t *list, const char *kind, const char *name,
                          const char *type, const char *summary, const fr_option *options)
{
    fr_buf_printf(&cli->out, "%-8s %-16s type: %-10s %s\n", kind, name, type, summary);
    json_t *keys = json_array();
    for (const fr_option *o = options; o->name != NULL; o++) {
        if (cli->verbose)
            fr_buf_printf(&cli->out, "    %-24s %s\n", o->name, o->help);
        json_array_append_new(keys, json_string(o->name));
    }
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:o}", "kind", kind, "name", name,
                                          "type", type, "summary", summary, "keys", keys));
}

int fr_cmd_connectors(fr_cli *cli)
{
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "connectors", list);
    const fr_connectors *c = &fr_cli_connectors;
    for (size_t i = 0; c->source_at(i) != NULL; i++)
        put_connector(cli, list, "source", c->source_at(i)->name, c->source_at(i)->type,
                      c->source_at(i)->summary, c->source_at(i)->options);
    for (size_t i = 0; c->sink_at(i) != NULL; i++)
        put_connector(cli, list, "sink", c->sink_at(i)->name, c->sink_at(i)->type,
                      c->sink_at(i)->summary, c->sink_at(i)->options);
    return 0;
}

int fr_cmd_docs(fr_cli *cli)
{
    const char *what = cli->args[0], *man = fr_cli_flag(cli, "man");
    if (strcmp(what, "options") == 0)
        fr_config_docs(&cli->out, &fr_cli_connectors);
    else if (strcmp(what, "cli") == 0)
        fr_cli_docs(&cli->out);
    else if (strcmp(what, "yaml") == 0)
        fr_config_man(&cli->out, &fr_cli_connectors);
    else if (strcmp(what, "man") == 0)
        fr_cli_man(&cli->out, man == NULL ? NULL : fr_verb_find(man));
    else
        for (const fr_verb *v = fr_verbs; v->name != NULL; v++)
            if (!v->hidden)
                fr_buf_printf(&cli->out, "%s\n", v->name);
    return 0;
}
