/* freshet snapshot start|cancel|status: a table's rows once more, or not. A running daemon takes it
 * beside its stream; without one the checkpoint is told, and the next run goes by that. */
#include "base/clock.h"
#include "capture/capture.h"
#include "cli/ask.h"
#include <inttypes.h>
#include <string.h>

enum { PATIENCE_US = 30000000, LOOK_US = 200000 };

typedef struct table {
    const char *word; /* source/space.table */
    fr_config_place place;
    bool cancel;
    fr_str where; /* of a start; empty: all rows */
} table;

/* ---- start, cancel ---------------------------------------------------------------------- */

static fr_rc put_record(fr_cli *cli, fr_publisher *p, const fr_checkpoint *old, void *context,
                        fr_err *err)
{
    const table *t = context;
    fr_checkpoint *none = old == NULL ? fr_checkpoint_new() : NULL;
    const fr_checkpoint *now = old == NULL ? none : old;
    fr_str space = t->place.space, name = t->place.name;
    fr_record r;
    fr_rc rc = t->cancel ? fr_checkpoint_cancel(cli->arena, now, space, name, &r, err)
                         : fr_checkpoint_ask(cli->arena, now, space, name, t->where, &r, err);
    fr_checkpoint_free(none);
    return rc == FR_OK ? fr_publisher_record(p, &r, err) : rc;
}

static fr_rc check_where(const fr_config *config, const table *t, fr_err *err)
{
    const fr_source_settings *settings = &config->sources[t->place.source];
    fr_source *s = NULL;
    FR_TRY(config->source_ops[t->place.source]->open(settings, &s, err));
    fr_rc rc = fr_capture_check_where(settings, s, t->place.space, t->place.name, t->where, err);
    s->ops->close(s);
    return rc;
}

static fr_rc tell_checkpoint(fr_cli *cli, const fr_config *config, table *t, fr_err *err)
{
    if (t->where.len > 0)
        FR_TRY(check_where(config, t, err));
    FR_TRY(fr_ask_write(cli, config, t->place.source,
                        t->cancel ? "snapshot-cancel" : "snapshot-start", put_record, t, err));
    json_object_set_new(fr_cli_result(cli), "state", json_string("taken"));
    fr_cli_summary(cli, "%s: %s. No freshet runs now.", t->word,
                   t->cancel ? "the rest of its snapshot is dropped"
                             : "the next run takes a new snapshot");
    return FR_OK;
}

static fr_rc refused(const table *t, const json_t *answer, fr_err *err)
{
    const json_t *why = json_object_get(answer, "why");
    fr_fail(err, FR_ERR_CONFIG, "%s", fr_json_str(why, "text", "the database has no such table"));
    fr_fail_code(err, fr_json_str(why, "code", "cli.no_table"));
    fr_fail_hint(err, "%s", fr_json_str(why, "hint", "freshet status lists the tables"));
    return fr_fail_in(err, "%s", t->word);
}

static void taken(fr_cli *cli, const table *t)
{
    if (t->cancel)
        fr_cli_summary(cli, "%s: the rest of its snapshot is dropped; its changes go on.", t->word);
    else
        fr_cli_summary(cli,
                       "%s: a new snapshot begins, beside the stream. To follow it: freshet "
                       "snapshot status %s",
                       t->word, t->word);
}

/* Until the daemon has it in its checkpoint. */
static fr_rc wait_taken(fr_cli *cli, const fr_config *config, const table *t, const char *path,
                        fr_err *err)
{
    char state[16] = "asked";
    fr_rc rc = FR_OK;
    for (int64_t end = fr_now_us() + PATIENCE_US;
         rc == FR_OK && strcmp(state, "asked") == 0 && fr_now_us() < end;) {
        json_t *answer = NULL;
        fr_sleep_us(LOOK_US);
        FR_TRY(fr_ask_daemon(cli, config, path, &answer, err));
        snprintf(state, sizeof(state), "%s", fr_json_str(answer, "state", ""));
        if (strcmp(state, "asked") != 0 && strcmp(state, "taken") != 0)
            rc = refused(t, answer, err);
        json_decref(answer);
    }
    FR_TRY(rc);
    json_object_set_new(fr_cli_result(cli), "state", json_string(state));
    if (strcmp(state, "taken") == 0)
        taken(cli, t);
    else
        fr_cli_summary(cli,
                       "%s: asked for. Its source takes it when it follows its log; now it "
                       "does something else: freshet status",
                       t->word);
    return FR_OK;
}

static const char *path_of(fr_cli *cli, const table *t, bool post)
{
    fr_buf b = {.arena = cli->arena};
    fr_buf_text(&b, post && t->cancel ? "/v1/snapshots:cancel?table=" : "/v1/snapshots?table=");
    fr_buf_str(&b, fr_http_escape(cli->arena, t->word));
    if (post && t->where.len > 0) {
        fr_buf_text(&b, "&where=");
        fr_buf_str(&b, fr_http_escape(cli->arena, fr_arena_cstr(cli->arena, t->where)));
    }
    return fr_arena_cstr(cli->arena, fr_buf_view(&b));
}

static void announce(fr_cli *cli, const table *t)
{
    if (t->cancel)
        fr_buf_printf(&cli->out,
                      "%s: rows that its snapshot has not read yet will not be published, but for "
                      "those that change; a restart does not go on with it.\n",
                      t->word);
    else
        fr_buf_printf(&cli->out,
                      "%s: every row%s is published again (op r), in order with the changes that "
                      "come meanwhile.\n",
                      t->word, t->where.len > 0 ? " for which the condition holds" : "");
}

static fr_rc start_or_cancel(fr_cli *cli, const fr_config *config, table *t, fr_err *err)
{
    bool yes = false;
    json_t *answer = NULL;
    announce(cli, t);
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run: %s would be %s.", t->word,
                       t->cancel ? "left as far as it is read" : "read again");
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(cli, t->cancel ? "Drop the rest?" : "Start?", &yes, err));
    if (!yes) {
        fr_cli_summary(cli, "%s: nothing was changed.", t->word);
        return FR_OK;
    }
    fr_rc rc = fr_tell_daemon(cli, config, path_of(cli, t, true), &answer, err);
    json_decref(answer);
    if (rc == FR_OK)
        return wait_taken(cli, config, t, path_of(cli, t, false), err);
    return cli->url == NULL && fr_ask_nobody(err) ? tell_checkpoint(cli, config, t, err) : rc;
}

/* ---- status ----------------------------------------------------------------------------- */

static void show(fr_cli *cli, json_t *list, const char *source, fr_str key,
                 const fr_snapshot_progress *p)
{
    uint64_t done = p->chunks - p->left_count;
    const char *state = p->left_count > 0 ? "running" : p->cancelled ? "cancelled" : "done";
    fr_buf_printf(&cli->out, "  %s/%.*s   %s   chunk %" PRIu64 "/%" PRIu32 "   %" PRIu64 " rows\n",
                  source, FR_ARG(key), state, done, p->chunks, p->rows);
    if (p->where.len > 0)
        fr_buf_printf(&cli->out, "    only rows with: %.*s\n", FR_ARG(p->where));
    json_array_append_new(list,
                          json_pack("{s:s,s:s%,s:s,s:I,s:I,s:I,s:s%}", "source", source, "table",
                                    key.ptr, key.len, "state", state, "done", (json_int_t)done,
                                    "chunks", (json_int_t)p->chunks, "rows", (json_int_t)p->rows,
                                    "where", p->where.len > 0 ? p->where.ptr : "", p->where.len));
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
        if (t != NULL && i != t->place.source)
            continue;
        FR_TRY(fr_ask_checkpoint(config, i, &c, err));
        while (c != NULL && fr_map_next(c->snapshots, &at, &key, &value)) {
            const fr_snapshot_progress *p = value;
            bool named = t != NULL && fr_str_eq(p->space, t->place.space) &&
                         fr_str_eq(p->name, t->place.name);
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

/* What was typed fits together? *named: a table was. */
static fr_rc read_words(fr_cli *cli, const fr_config *config, table *t, bool *named, fr_err *err)
{
    bool status_only = strcmp(cli->args[0], "status") == 0;
    const char *where = fr_cli_flag(cli, "where");
    t->cancel = strcmp(cli->args[0], "cancel") == 0;
    *named = cli->arg_count > 1;
    if (where != NULL && (t->cancel || status_only)) {
        fr_fail(err, FR_ERR_CONFIG, "--where belongs to snapshot start");
        fr_fail_code(err, "cli.flag");
        return fr_fail_hint(err, "leave it out");
    }
    if (where != NULL && where[0] == '\0') {
        fr_fail(err, FR_ERR_CONFIG, "--where is empty");
        fr_fail_code(err, "snapshot.where");
        return fr_fail_hint(err, "leave it out to read all rows");
    }
    t->where = fr_cstr(where == NULL ? "" : where);
    if (!*named && status_only)
        return FR_OK;
    t->word = *named ? cli->args[1] : "";
    return fr_config_snapshot_table(config, t->word, &t->place, err);
}

int fr_cmd_snapshot(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    table t = {0};
    bool named;
    if (fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_rc rc = read_words(cli, config, &t, &named, &err);
    if (rc == FR_OK && strcmp(cli->args[0], "status") == 0)
        rc = status(cli, config, named ? &t : NULL, &err);
    else if (rc == FR_OK)
        rc = start_or_cancel(cli, config, &t, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
