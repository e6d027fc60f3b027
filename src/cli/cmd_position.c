/* freshet position: where a source stands. The checkpoint in Kafka is the truth; the server adds
 * what it keeps. (Of sinks: position_sink.c.) */
#include "base/clock.h"
#include "cli/position.h"
#include "control/target.h"
#include "kafka/publish.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static void put_bytes(fr_buf *b, const char *label, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    size_t u = 0;
    if (bytes < 0)
        return;
    for (; v >= 1000 && u < 4; u++)
        v /= 1000;
    fr_buf_printf(b, "   %s %.*f %s", label, u == 0 ? 0 : 1, v, units[u]);
}

/* The connector's resume text: its members, which name themselves. */
static void put_resume(fr_cli *cli, fr_str resume)
{
    json_t *j = NULL;
    fr_err ignored;
    if (fr_json_parse(resume, &j, &ignored) == FR_FAIL) {
        fr_buf_printf(&cli->out, "   %.*s", FR_ARG(resume));
        return;
    }
    const char *name;
    json_t *value;
    json_object_foreach(j, name, value)
    {
        if (json_is_string(value))
            fr_buf_printf(&cli->out, "   %s %s", name, json_string_value(value));
        else if (json_is_integer(value))
            fr_buf_printf(&cli->out, "   %s %" JSON_INTEGER_FORMAT, name,
                          json_integer_value(value));
    }
    json_decref(j);
}

static void show_checkpoint(fr_cli *cli, const char *source, const fr_checkpoint *c)
{
    char when[32];
    fr_time_text(when, c->written_us);
    fr_buf_printf(&cli->out, "source %s", source);
    if (c->creating)
        fr_buf_text(&cli->out, "   its slot was being made");
    else
        put_resume(cli, c->resume);
    fr_buf_printf(&cli->out, "\n  checkpoint of %s", when);
    size_t left = fr_ask_snapshots_left(c), all = fr_map_count(c->snapshots);
    if (all > 0)
        fr_buf_printf(&cli->out, "   snapshots %zu of %zu done", all - left, all);
    if (c->split.id.len > 0)
        fr_buf_printf(&cli->out, "   inside transaction %.*s after %" PRIu64 " events",
                      FR_ARG(c->split.id), c->split.events);
    fr_buf_text(&cli->out, "\n");
}

/* What the server says of its log; a server that is down does not hide the checkpoint. */
static void show_server(fr_cli *cli, const fr_config *config, size_t i)
{
    const fr_source_ops *ops = config->source_ops[i];
    fr_source *s = NULL;
    fr_status status = {.lag_bytes = -1, .retained_bytes = -1, .retained_limit = -1};
    fr_err err;
    if (ops->refresh == NULL || fr_source_polled(&config->sources[i]))
        return;
    fr_rc rc = ops->open(&config->sources[i], &s, &err);
    rc = rc == FR_OK ? ops->refresh(s, &err) : rc;
    if (rc == FR_FAIL) {
        fr_buf_printf(&cli->out, "  %sserver: %s\n", fr_cli_glyph(cli, FR_GLYPH_WARN), err.text);
        ops->close(s);
        return;
    }
    ops->status(s, &status);
    ops->close(s);
    fr_buf_text(&cli->out, "  server");
    if (status.server_lsn > 0)
        fr_buf_printf(&cli->out, " %" PRIX32 "/%" PRIX32, (uint32_t)(status.server_lsn >> 32),
                      (uint32_t)status.server_lsn);
    if (status.server_lsn > 0 && status.confirmed_lsn > 0 &&
        status.server_lsn >= status.confirmed_lsn)
        put_bytes(&cli->out, "behind", (int64_t)(status.server_lsn - status.confirmed_lsn));
    put_bytes(&cli->out, "kept", status.retained_bytes);
    put_bytes(&cli->out, "of", status.retained_limit);
    fr_buf_text(&cli->out, "\n");
    json_object_set_new(fr_cli_result(cli), "server",
                        json_pack("{s:I,s:I,s:I,s:I}", "lsn", (json_int_t)status.server_lsn,
                                  "confirmed_lsn", (json_int_t)status.confirmed_lsn,
                                  "retained_bytes", (json_int_t)status.retained_bytes,
                                  "retained_limit", (json_int_t)status.retained_limit));
}

static fr_rc show(fr_cli *cli, const fr_config *config, size_t i, fr_err *err)
{
    fr_checkpoint *c = NULL;
    FR_TRY(fr_ask_checkpoint(config, i, &c, err));
    const char *name = config->sources[i].name;
    if (c == NULL || !c->has_stream) {
        fr_buf_printf(&cli->out, "source %s   no checkpoint: it has never run\n", name);
        json_object_set_new(fr_cli_result(cli), "checkpoint", json_null());
        fr_checkpoint_free(c);
        return FR_OK;
    }
    json_t *j = NULL;
    fr_rc rc = fr_json_parse(fr_checkpoint_json(cli->arena, c), &j, err);
    if (rc == FR_OK) {
        json_object_set_new(fr_cli_result(cli), "checkpoint", j);
        show_checkpoint(cli, name, c);
        show_server(cli, config, i);
    }
    fr_checkpoint_free(c);
    return rc;
}

/* ---- set --from-slot -------------------------------------------------------------------- */

static fr_rc slot_position(fr_cli *cli, const fr_config *config, size_t i, fr_str *out, fr_err *err)
{
    const fr_source_ops *ops = config->source_ops[i];
    fr_source *s = NULL;
    if (ops->position_now == NULL || fr_source_polled(&config->sources[i])) {
        bool polled = fr_source_polled(&config->sources[i]);
        fr_fail(err, FR_ERR_CONFIG, "source %s has no slot to adopt%s", config->sources[i].name,
                polled ? ": it is polled" : "");
        fr_fail_code(err, "cli.not_built");
        return fr_fail_hint(err, "to read it anew: freshet position reset %s",
                            config->sources[i].name);
    }
    FR_TRY(ops->open(&config->sources[i], &s, err));
    fr_rc rc = ops->position_now(s, cli->arena, out, err);
    ops->close(s);
    return rc;
}

static fr_rc put_position(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old, void *resume,
                          fr_err *err)
{
    fr_split none = {0};
    size_t i = 0;
    void *value;
    /* What is published next may be older than what was published last. */
    while (fr_map_next(old->topics, &i, NULL, &value)) {
        fr_topic_fact t = *(const fr_topic_fact *)value;
        t.schema = 0;
        fr_record fact = fr_checkpoint_topic_fact(cli->arena, &t);
        FR_TRY(fr_publisher_record(p, &fact, err));
    }
    fr_record stream = fr_checkpoint_stream(cli->arena, false, *(const fr_str *)resume, &none, NULL,
                                            0, fr_wall_us());
    return fr_publisher_record(p, &stream, err);
}

static fr_rc set(fr_cli *cli, const fr_config *config, size_t i, fr_err *err)
{
    const char *name = config->sources[i].name;
    if (fr_cli_flag(cli, "from-slot") == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "position set can only adopt the slot's position");
        fr_fail_code(err, "cli.not_built");
        return fr_fail_hint(err, "freshet position set %s --from-slot", name);
    }
    fr_str resume = {"", 0};
    bool yes = false;
    FR_TRY(fr_ask_stopped(cli, config, name, "position.running", err));
    FR_TRY(show(cli, config, i, err));
    FR_TRY(slot_position(cli, config, i, &resume, err));
    fr_buf_printf(&cli->out, "  the slot:");
    put_resume(cli, resume);
    fr_buf_text(&cli->out, "\n");
    json_object_set_new(fr_cli_result(cli), "position",
                        json_stringn_nocheck(resume.ptr, resume.len));
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run: %s would continue at the slot's position.", name);
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(cli,
                      "Changes between the two are never published. Continue at the slot's "
                      "position?",
                      &yes, err));
    if (yes)
        FR_TRY(fr_ask_write(cli, config, i, "position-set", put_position, &resume, err));
    fr_cli_summary(cli,
                   yes ? "%s continues at the slot's position. Keep the output above: it is "
                         "the way back."
                       : "%s: nothing was changed.",
                   name);
    return FR_OK;
}

/* Forget where the source stands, but not its epoch: the next run makes a new slot and takes a
 * new snapshot. */
static fr_rc put_reset(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old, void *context,
                       fr_err *err)
{
    size_t at = 0;
    fr_str key;
    (void)context;
    fr_record stream =
        fr_checkpoint_stream(cli->arena, true, old->resume, NULL, NULL, 0, fr_wall_us());
    fr_rc rc = fr_publisher_record(p, &stream, err);
    while (rc != FR_FAIL && fr_map_next(old->snapshots, &at, &key, NULL)) {
        fr_record gone = {fr_arena_printf(cli->arena, "snapshot/%.*s", FR_ARG(key)), {NULL, 0}};
        rc = fr_publisher_record(p, &gone, err);
    }
    at = 0;
    while (rc != FR_FAIL && fr_map_next(old->tables, &at, &key, NULL)) {
        fr_record gone = {fr_arena_printf(cli->arena, "table/%.*s", FR_ARG(key)), {NULL, 0}};
        rc = fr_publisher_record(p, &gone, err);
    }
    return rc;
}

static fr_rc reset(fr_cli *cli, const fr_config *config, size_t i, fr_err *err)
{
    const char *name = config->sources[i].name;
    bool yes = false;
    FR_TRY(fr_ask_stopped(cli, config, name, "position.running", err));
    FR_TRY(show(cli, config, i, err));
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli,
                       fr_source_polled(&config->sources[i])
                           ? "Dry run: every row of %s would be read again."
                           : "Dry run: %s would start over with a new slot and a new snapshot.",
                       name);
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(cli,
                      fr_source_polled(&config->sources[i])
                          ? "Every row is published again (op r). Start over?"
                          : "Its slot is dropped at the next start and every row is published "
                            "again (op r). Start over?",
                      &yes, err));
    if (yes)
        FR_TRY(fr_ask_write(cli, config, i, "position-reset", put_reset, NULL, err));
    fr_cli_summary(cli, yes ? "%s starts over at the next run." : "%s: nothing was changed.", name);
    return FR_OK;
}

static fr_rc of_sink(fr_cli *cli, const fr_config *config, const fr_will_target *t, fr_err *err)
{
    const char *to = fr_cli_flag(cli, "to"), *word = cli->args[1];
    bool reset = strcmp(cli->args[0], "reset") == 0;
    if (strcmp(cli->args[0], "show") == 0) {
        fr_fail(err, FR_ERR_CONFIG, "%s is a sink: its places are in its target", word);
        fr_fail_code(err, "cli.not_built");
        return fr_fail_hint(err, "freshet status shows how far behind it is; its target has them "
                                 "in _freshet_offsets");
    }
    if (to == NULL && !reset) {
        fr_fail(err, FR_ERR_CONFIG, "position set %s: where to?", word);
        fr_fail_code(err, "cli.arguments");
        return fr_fail_hint(err, "freshet position set %s --to beginning|end|here|TIME", word);
    }
    return fr_position_set_sink(cli, config, t, reset ? "beginning" : to, err);
}

static fr_rc of_source(fr_cli *cli, const fr_config *config, fr_err *err)
{
    size_t i = 0;
    FR_TRY(fr_config_source(config, fr_cstr(cli->args[1]), &i, err));
    return strcmp(cli->args[0], "show") == 0    ? show(cli, config, i, err)
           : strcmp(cli->args[0], "reset") == 0 ? reset(cli, config, i, err)
                                                : set(cli, config, i, err);
}

int fr_cmd_position(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    fr_will_target t;
    fr_target_of of = fr_cli_flag(cli, "sink") != NULL     ? FR_OF_SINKS
                      : fr_cli_flag(cli, "source") != NULL ? FR_OF_SOURCES
                                                           : FR_OF_ANY;
    if (fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_rc rc = fr_target_find(config, cli->args[1], of, &t, &err);
    if (rc == FR_OK)
        rc = t.kind == FR_WILL_SINK || t.kind == FR_WILL_TOPIC ? of_sink(cli, config, &t, &err)
                                                               : of_source(cli, config, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
