/* freshet snapshot start|status: a table's rows once more. A running daemon takes it beside its
 * stream; without one the checkpoint is told, and the next run takes it. */
#include "base/clock.h"
#include "cli/ask.h"
#include <inttypes.h>
#include <string.h>

enum { PATIENCE_US = 30000000, LOOK_US = 200000 };

typedef struct table {
    const char *word; /* source/space.table */
    size_t source;
    fr_str space, name;
} table;

static fr_rc find_table(const fr_config *config, const char *word, table *out, fr_err *err)
{
    const char *slash = strchr(word, '/'), *dot = slash == NULL ? NULL : strchr(slash, '.');
    const fr_table_settings *t = NULL;
    if (dot == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` names no table of a source", word);
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "write source/space.table");
    }
    *out = (table){
        .word = word, .space = {slash + 1, (size_t)(dot - slash - 1)}, .name = fr_cstr(dot + 1)};
    FR_TRY(fr_ask_source(config, (fr_str){word, (size_t)(slash - word)}, &out->source, err));
    t = fr_source_match(&config->sources[out->source], out->space, out->name);
    if (t != NULL && fr_source_polled(&config->sources[out->source])) {
        fr_fail(err, FR_ERR_CONFIG, "%s is polled: it has no snapshots", word);
        fr_fail_code(err, "cli.polled");
        return fr_fail_hint(err,
                            "to read all tables of the source again: stop freshet, then freshet "
                            "position reset %s",
                            config->sources[out->source].name);
    }
    if (t != NULL && t->snapshot_mode == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "source %s %s `%s`", config->sources[out->source].name,
            t == NULL ? "does not capture" : "never takes snapshots of", slash + 1);
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, t == NULL ? "add it to the source's tables"
                                       : "set its snapshot.mode to initial");
}

/* ---- start ------------------------------------------------------------------------------ */

static fr_rc put_start(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old, void *context,
                       fr_err *err)
{
    const table *t = context;
    fr_record gone = {
        fr_arena_printf(cli->arena, "snapshot/%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name)),
        {NULL, 0}};
    (void)old;
    return fr_publisher_record(p, &gone, err);
}

static fr_rc start_later(fr_cli *cli, const fr_config *config, table *t, fr_err *err)
{
    FR_TRY(fr_ask_write(cli, config, t->source, "snapshot-start", put_start, t, err));
    json_object_set_new(fr_cli_result(cli), "state", json_string("taken"));
    fr_cli_summary(cli, "%s: the next run takes a new snapshot. No freshet runs now.", t->word);
    return FR_OK;
}

/* Until the daemon has it in its checkpoint. */
static fr_rc wait_taken(fr_cli *cli, const fr_config *config, const table *t, const char *path,
                        fr_err *err)
{
    char state[16] = "asked";
    for (int64_t end = fr_now_us() + PATIENCE_US;
         strcmp(state, "asked") == 0 && fr_now_us() < end;) {
        json_t *answer = NULL;
        fr_sleep_us(LOOK_US);
        FR_TRY(fr_ask_daemon(cli, config, path, &answer, err));
        snprintf(state, sizeof(state), "%s", fr_json_str(answer, "state", ""));
        json_decref(answer);
    }
    json_object_set_new(fr_cli_result(cli), "state", json_string(state));
    if (strcmp(state, "taken") == 0) {
        fr_cli_summary(cli,
                       "%s: a new snapshot begins, beside the stream. To follow it: freshet "
                       "snapshot status %s",
                       t->word, t->word);
        return FR_OK;
    }
    if (strcmp(state, "asked") == 0) {
        fr_cli_summary(cli,
                       "%s: asked for. Its source takes it when it follows its log; now it "
                       "does something else: freshet status",
                       t->word);
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "%s: the database has no such table", t->word);
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, "freshet status lists the tables");
}

static fr_rc start(fr_cli *cli, const fr_config *config, table *t, fr_err *err)
{
    bool yes = false;
    json_t *answer = NULL;
    fr_buf_printf(&cli->out,
                  "%s: every row is published again (op r), in order with the changes that come "
                  "meanwhile.\n",
                  t->word);
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run: %s would be read again.", t->word);
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(cli, "Start?", &yes, err));
    if (!yes) {
        fr_cli_summary(cli, "%s: nothing was changed.", t->word);
        return FR_OK;
    }
    const char *path =
        fr_arena_cstr(cli->arena, fr_arena_printf(cli->arena, "/v1/snapshots?table=%.*s",
                                                  FR_ARG(fr_http_escape(cli->arena, t->word))));
    fr_rc rc = fr_tell_daemon(cli, config, path, &answer, err);
    json_decref(answer);
    if (rc == FR_OK)
        return wait_taken(cli, config, t, path, err);
    return err->kind == FR_ERR_CONNECT && cli->url == NULL ? start_later(cli, config, t, err) : rc;
}

/* ---- status ----------------------------------------------------------------------------- */

static void show(fr_cli *cli, json_t *list, const char *source, fr_str key,
                 const fr_snapshot_progress *p)
{
    uint64_t done = p->chunks - p->left_count;
    fr_buf_printf(&cli->out, "  %s/%.*s   %s   chunk %" PRIu64 "/%" PRIu32 "   %" PRIu64 " rows\n",
                  source, FR_ARG(key), p->left_count == 0 ? "done" : "running", done, p->chunks,
                  p->rows);
    json_array_append_new(
        list, json_pack("{s:s,s:s%,s:s,s:I,s:I,s:I}", "source", source, "table", key.ptr, key.len,
                        "state", p->left_count == 0 ? "done" : "running", "done", (json_int_t)done,
                        "chunks", (json_int_t)p->chunks, "rows", (json_int_t)p->rows));
}

/* Those under way, or the one that is named. A table that is not in the checkpoint waits. */
static fr_rc status(fr_cli *cli, const fr_config *config, const table *t, fr_err *err)
{
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "snapshots", list);
    for (size_t i = 0; i < config->source_count; i++) {
        fr_checkpoint *c = NULL;
        size_t at = 0;
        fr_str key;
        void *value;
        if (t != NULL && i != t->source)
            continue;
        FR_TRY(fr_ask_checkpoint(config, i, &c, err));
        while (c != NULL && fr_map_next(c->snapshots, &at, &key, &value)) {
            const fr_snapshot_progress *p = value;
            bool named = t != NULL && fr_str_eq(p->space, t->space) && fr_str_eq(p->name, t->name);
            if (t == NULL ? p->left_count > 0 : named)
                show(cli, list, config->sources[i].name, key, p);
        }
        fr_checkpoint_free(c);
    }
    if (json_array_size(list) > 0)
        return FR_OK;
    if (t == NULL)
        fr_cli_summary(cli, "No snapshot is under way.");
    else
        fr_cli_summary(cli, "%s: its snapshot has not begun.", t->word);
    return FR_OK;
}

int fr_cmd_snapshot(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    table t = {0};
    bool named = cli->arg_count > 1, begin = strcmp(cli->args[0], "start") == 0;
    if (fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_rc rc = FR_OK;
    if (named)
        rc = find_table(config, cli->args[1], &t, &err);
    else if (begin)
        rc = find_table(config, "", &t, &err);
    if (rc == FR_OK)
        rc = begin ? start(cli, config, &t, &err) : status(cli, config, named ? &t : NULL, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
