/* freshet status: the daemon's own document; without a daemon, what Kafka holds. */
#include "base/clock.h"
#include "cli/ask.h"
#include "cli/lineage.h"
#include "kafka/control.h"
#include <fnmatch.h>
#include <string.h>

/* "erp/public.orders", or "public.orders" of every source and sink that has it. A name may itself
 * hold a slash, so the whole is tried first. */
static bool is_named(fr_arena *a, const json_t *part, const json_t *table, const char *glob)
{
    const char *name = fr_json_str(table, "name", "");
    fr_str full = fr_arena_printf(a, "%s/%s", fr_json_str(part, "name", ""), name);
    return fnmatch(glob, fr_arena_cstr(a, full), 0) == 0 || fnmatch(glob, name, 0) == 0;
}

/* Keeps the tables that the glob names, and the parts that have one. */
static size_t keep_tables(json_t *document, const char *glob)
{
    json_t *parts = json_object_get(document, "parts");
    size_t kept = 0;
    for (size_t i = json_array_size(parts); i > 0; i--) {
        json_t *part = json_array_get(parts, i - 1), *tables = json_object_get(part, "tables");
        fr_arena *a = fr_arena_new(0);
        for (size_t k = json_array_size(tables); k > 0; k--)
            if (!is_named(a, part, json_array_get(tables, k - 1), glob))
                json_array_remove(tables, k - 1);
        fr_arena_free(a);
        kept += json_array_size(tables);
        if (json_array_size(tables) == 0)
            json_array_remove(parts, i - 1);
    }
    return kept;
}

static bool needs_somebody(const json_t *j)
{
    const char *state = fr_json_str(j, "state", "");
    return strcmp(state, "failed") == 0 || strcmp(state, "blocked") == 0;
}

static bool any_table_needs_somebody(const json_t *part)
{
    size_t i;
    const json_t *table;
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (needs_somebody(table))
            return true;
    }
    return false;
}

/* 4 when a part or a table needs somebody. */
static int verdict(const json_t *document)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(document, "parts"), i, part)
    {
        if (needs_somebody(part) || any_table_needs_somebody(part))
            return FR_EXIT_NO;
    }
    return json_is_true(json_object_get(document, "stalled")) ? FR_EXIT_NO : 0;
}

static int show_document(fr_cli *cli, json_t *document)
{
    fr_err err;
    const char *glob = cli->arg_count > 0 ? cli->args[0] : NULL;
    if (glob != NULL && keep_tables(document, glob) == 0) {
        json_decref(document);
        fr_fail(&err, FR_ERR_CONFIG, "no table is called %s", glob);
        fr_fail_code(&err, "cli.no_table");
        fr_fail_hint(&err, "space.table or source/space.table, globs in quotes: 'erp/public.*'");
        return fr_cli_fail(cli, &err);
    }
    int code = verdict(document);
    fr_rc rc = fr_status_text(fr_json_text(cli->arena, document), cli->color, &cli->out, &err);
    json_object_set_new(fr_cli_result(cli), "status", document);
    return rc == FR_FAIL ? fr_cli_fail(cli, &err) : code;
}

/* ---- without a daemon ------------------------------------------------------------------- */

static void show_checkpoint(fr_cli *cli, json_t *list, const char *source, const fr_checkpoint *c)
{
    if (c == NULL || !c->has_stream) {
        fr_buf_printf(&cli->out, "  %s%-16s no checkpoint: it has never run\n",
                      fr_cli_glyph(cli, FR_GLYPH_WARN), source);
        json_array_append_new(list, json_pack("{s:s,s:n}", "source", source, "checkpoint"));
        return;
    }
    char when[32];
    fr_time_text(when, c->written_us);
    size_t left = fr_ask_snapshots_left(c);
    fr_buf_printf(&cli->out, "  %s%-16s last checkpoint %s%s", fr_cli_glyph(cli, FR_GLYPH_FINE),
                  source, when, c->creating ? ", while its slot was being made" : "");
    if (left > 0)
        fr_buf_printf(&cli->out, ", %zu table%s still to snapshot", left, left == 1 ? "" : "s");
    fr_buf_text(&cli->out, "\n");
    json_t *j = NULL;
    fr_err ignored;
    if (fr_json_parse(fr_checkpoint_json(cli->arena, c), &j, &ignored) == FR_FAIL)
        j = json_null();
    json_array_append_new(list, json_pack("{s:s,s:o}", "source", source, "checkpoint", j));
}

static fr_rc show_checkpoints(fr_cli *cli, const fr_config *config, fr_err *err)
{
    fr_admin *admin;
    FR_TRY(fr_admin_open(&config->kafka, &admin, err));
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "checkpoints", list);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < config->source_count && rc != FR_FAIL; i++) {
        fr_checkpoint *c = NULL;
        rc = fr_admin_checkpoint(admin, config->sources[i].name, &c, err);
        if (rc != FR_FAIL)
            show_checkpoint(cli, list, config->sources[i].name, c);
        fr_checkpoint_free(c);
    }
    fr_admin_close(admin);
    return rc;
}

static void show_will(fr_cli *cli, json_t *list, const fr_will *w)
{
    fr_buf *b = &cli->out;
    fr_str key = fr_will_key(cli->arena, &w->target);
    char when[32];
    fr_time_text(when, w->at_us);
    fr_buf_printf(b, "  %s", fr_cli_glyph(cli, FR_GLYPH_WARN));
    fr_buf_shown(b, key);
    fr_buf_printf(b, " is %s since %s, by ", fr_will_state_name(w->state), when);
    fr_buf_shown(b, w->by);
    fr_buf_text(b, w->why.len > 0 ? ": " : "");
    fr_buf_shown(b, w->why);
    fr_buf_text(b, "\n");
    json_array_append_new(list, json_pack("{s:s%,s:s,s:s,s:s%,s:s%}", "target", key.ptr, key.len,
                                          "state", fr_will_state_name(w->state), "at", when, "by",
                                          w->by.ptr, w->by.len, "why", w->why.ptr, w->why.len));
}

/* The record for which the next run does not even start. */
static void show_refused(fr_cli *cli, const fr_config *config, const fr_wills *wills)
{
    char topic[300];
    fr_err bad;
    fr_control_topic(&config->kafka, topic, sizeof(topic));
    if (fr_wills_check(wills, topic, &bad) == FR_OK)
        return;
    fr_buf shown = {.arena = cli->arena};
    fr_buf_shown(&shown, fr_cstr(bad.text));
    snprintf(bad.text, sizeof(bad.text), "%.*s", FR_ARG(fr_buf_view(&shown)));
    fr_cli_error(cli, &cli->out, &bad);
    json_object_set_new(fr_cli_result(cli), "control_error",
                        json_pack("{s:s,s:o,s:s}", "code", bad.code, "text",
                                  fr_cli_json_text(fr_cstr(bad.text)), "hint", fr_err_hint(&bad)));
}

/* What the next run will not do. */
static fr_rc show_wills(fr_cli *cli, const fr_config *config, fr_err *err)
{
    fr_wills *wills;
    const fr_will *w;
    size_t i = 0;
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "wills", list);
    FR_TRY(fr_ask_wills(config, &wills, err));
    if (wills == NULL)
        return FR_OK;
    show_refused(cli, config, wills);
    while (fr_wills_next(wills, &i, &w))
        if (w->state != FR_WILL_RUNNING)
            show_will(cli, list, w);
    fr_wills_free(wills);
    return FR_OK;
}

static int show_from_kafka(fr_cli *cli, const fr_config *config, const fr_err *down)
{
    fr_err err;
    fr_buf_printf(&cli->out, "%s is not running here; this is what Kafka knows:\n", config->name);
    if (show_checkpoints(cli, config, &err) == FR_FAIL || show_wills(cli, config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    return fr_cli_fail(cli, down);
}

static bool has_deprecated(const fr_config *config)
{
    for (size_t i = 0; i < config->source_count; i++)
        for (size_t k = 0; k < config->sources[i].table_count; k++)
            if (config->sources[i].tables[k].deprecated != NULL)
                return true;
    return false;
}

/* As far as this file writes the streams; plan knows of others, too. */
static void warn_of_deprecated(fr_cli *cli, const fr_config *config)
{
    json_t *list = json_array();
    fr_lineage l;
    fr_err ignored;
    if (fr_lineage_make(config, cli->arena, false, &l, &ignored) == FR_FAIL)
        l.count = 0; /* plan says what is wrong */
    for (size_t i = 0; i < l.count; i++)
        for (size_t k = 0; l.streams[i].deprecated != NULL && k < l.streams[i].target_count; k++) {
            const fr_lineage_stream *s = &l.streams[i];
            const char *sink = config->sinks[s->targets[k].sink].name;
            fr_buf_printf(&cli->out, "  %ssink %s reads %.*s, which is deprecated: %s\n",
                          fr_cli_glyph(cli, FR_GLYPH_WARN), sink, FR_ARG(s->topic), s->deprecated);
            json_array_append_new(list,
                                  json_pack("{s:s,s:s#,s:s}", "sink", sink, "topic", s->topic.ptr,
                                            (int)s->topic.len, "deprecated", s->deprecated));
        }
    if (json_array_size(list) > 0)
        json_object_set(fr_cli_result(cli), "deprecated", list);
    json_decref(list);
}

int fr_cmd_status(fr_cli *cli)
{
    fr_err down, err;
    fr_config *config = NULL;
    json_t *document = NULL;
    /* With --url the file is not needed: it may be on another machine. */
    fr_rc rc = cli->url != NULL ? FR_OK : fr_cli_config(cli, &(fr_config_flags){0}, &config, &err);
    if (rc == FR_FAIL)
        return fr_cli_fail(cli, &err);
    rc = fr_ask_daemon(cli, config, "/v1/status", &document, &down);
    int code = rc == FR_OK      ? show_document(cli, document)
               : config == NULL ? fr_cli_fail(cli, &down)
                                : show_from_kafka(cli, config, &down);
    if (config != NULL && cli->arg_count == 0 && has_deprecated(config))
        warn_of_deprecated(cli, config);
    fr_config_free(config);
    return code;
}
