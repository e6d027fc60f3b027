/* freshet pause|resume|stop|restart: what the operator wants, as a record of the control topic. A
 * running daemon writes it and obeys; without one it is written here, and the next run obeys. */
#include "base/clock.h"
#include "cli/ask.h"
#include "control/status_text.h"
#include "kafka/control.h"
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_US = 30000000, LOOK_US = 200000 };

typedef struct goal {
    const char *word;
    fr_will_target target;
    int64_t at_us; /* once it was asked for */
    bool obeyed;
} goal;

typedef struct wish {
    fr_cli *cli;
    const fr_config *config;
    json_t *document; /* of the running daemon; NULL: there is none */
    fr_will will;     /* but for the target */
    goal *goals;
    size_t count, cap;
    bool late; /* asked for, and not done while we waited */
} wish;

/* ---- which ---- */

static fr_target_of where_to_look(const fr_cli *cli)
{
    return fr_cli_flag(cli, "sink") != NULL     ? FR_OF_SINKS
           : fr_cli_flag(cli, "source") != NULL ? FR_OF_SOURCES
                                                : FR_OF_ANY;
}

static fr_rc add(wish *w, const char *word, fr_err *err)
{
    fr_will_target t;
    FR_TRY(fr_target_find(w->config, word, where_to_look(w->cli), &t, err));
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->goals[i].word, word) == 0)
            return FR_OK;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 16 : 2 * w->cap;
        w->goals = fr_realloc(w->goals, w->cap * sizeof(*w->goals));
    }
    w->goals[w->count++] = (goal){.word = word, .target = t};
    return FR_OK;
}

/* One candidate of a glob. What the configuration does not know is none. */
static void try_name(wish *w, const char *glob, const char *part, fr_str name)
{
    fr_err ignored;
    const char *word =
        fr_arena_cstr(w->cli->arena, fr_arena_printf(w->cli->arena, "%s%s%.*s", part,
                                                     name.len > 0 ? "/" : "", FR_ARG(name)));
    if (fnmatch(glob, word, 0) == 0)
        (void)add(w, word, &ignored);
}

static void try_document(wish *w, const char *glob)
{
    size_t i, k;
    const json_t *part, *table;
    json_array_foreach(json_object_get(w->document, "parts"), i, part)
    {
        json_array_foreach(json_object_get(part, "tables"), k, table)
        {
            try_name(w, glob, fr_json_str(part, "name", ""),
                     fr_cstr(fr_json_str(table, "name", "")));
        }
    }
}

static void try_config(wish *w, const char *glob)
{
    const fr_config *c = w->config;
    bool parts = strchr(glob, '/') == NULL;
    for (size_t i = 0; i < c->source_count; i++) {
        const fr_source_settings *s = &c->sources[i];
        if (parts)
            try_name(w, glob, s->name, FR_STR(""));
        for (size_t k = 0; !parts && k < s->table_count; k++)
            if (s->tables[k].regex == NULL)
                try_name(w, glob, s->name, fr_cstr(s->tables[k].pattern));
    }
    for (size_t i = 0; i < c->sink_count; i++) {
        const fr_sink_settings *s = &c->sinks[i];
        if (parts)
            try_name(w, glob, s->name, FR_STR(""));
        for (size_t k = 0; !parts && k < s->from.count; k++)
            if (s->from_regex[k] == NULL)
                try_name(w, glob, s->name, fr_cstr(s->from.items[k]));
    }
}

/* Tables that a pattern of the configuration takes, as the checkpoints know them. */
static fr_rc try_checkpoints(wish *w, const char *glob, fr_err *err)
{
    for (size_t i = 0; strchr(glob, '/') != NULL && i < w->config->source_count; i++) {
        fr_checkpoint *c = NULL;
        FR_TRY(fr_ask_checkpoint(w->config, i, &c, err));
        const fr_map *maps[] = {c == NULL ? NULL : c->snapshots, c == NULL ? NULL : c->tables};
        for (size_t m = 0; c != NULL && m < 2; m++) {
            size_t at = 0;
            fr_str key;
            while (fr_map_next(maps[m], &at, &key, NULL))
                try_name(w, glob, w->config->sources[i].name, key);
        }
        fr_checkpoint_free(c);
    }
    return FR_OK;
}

static fr_rc expand(wish *w, const char *glob, fr_err *err)
{
    size_t before = w->count;
    try_document(w, glob);
    try_config(w, glob);
    if (w->document == NULL)
        FR_TRY(try_checkpoints(w, glob, err));
    if (w->count > before)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "`%s` matches no table, source or sink", glob);
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, "freshet status lists the tables; the name is source/space.table");
}

static fr_rc find_all(wish *w, fr_err *err)
{
    for (size_t i = 0; i < w->cli->arg_count; i++) {
        const char *word = w->cli->args[i];
        bool glob = strpbrk(word, "*?[") != NULL;
        FR_TRY(glob ? expand(w, word, err) : add(w, word, err));
    }
    for (size_t i = 0; i < w->count; i++) {
        w->will.target = w->goals[i].target;
        FR_TRY(fr_will_sound(&w->will, err));
    }
    return FR_OK;
}

/* ---- what it will cost ---- */

static bool is_sinks(const goal *g)
{
    return g->target.kind == FR_WILL_SINK || g->target.kind == FR_WILL_TOPIC;
}

static const json_t *part_of(const json_t *document, const goal *g)
{
    size_t i;
    const json_t *part;
    json_array_foreach(json_object_get(document, "parts"), i, part)
    {
        bool sink = strcmp(fr_json_str(part, "kind", ""), "sink") == 0;
        if (sink == is_sinks(g) && fr_str_is(g->target.part, fr_json_str(part, "name", "")))
            return part;
    }
    return NULL;
}

static const json_t *table_of(const json_t *part, const goal *g)
{
    size_t i;
    const json_t *table;
    json_array_foreach(json_object_get(part, "tables"), i, table)
    {
        if (fr_str_is(g->target.name, fr_json_str(table, "name", "")))
            return table;
    }
    return NULL;
}

static const fr_source_settings *source_of(const wish *w, const goal *g)
{
    size_t i;
    fr_err ignored;
    return fr_config_source(w->config, g->target.part, &i, &ignored) == FR_OK
               ? &w->config->sources[i]
               : NULL;
}

/* What keeps the changes meanwhile, where nobody can say how many they are. */
static const char *keeper(const fr_source_settings *s)
{
    if (fr_source_polled(s))
        return "rows wait in the table; one that changes twice meanwhile comes once";
    if (strcmp(s->type, "mysql") == 0 || strcmp(s->type, "mariadb") == 0)
        return "the server keeps its binary log for so long as it always does "
               "(binlog_expire_logs_seconds, expire_logs_days), and no longer for us: resume "
               "before that";
    return "the server keeps its log for us until max_slot_wal_keep_size, or until its disk is "
           "full";
}

static void put_cost(wish *w, const goal *g)
{
    fr_buf *b = &w->cli->out;
    if (is_sinks(g)) {
        fr_buf_text(b, "    Its messages wait in Kafka: safe for so long as the topics keep them "
                       "(retention.ms, retention.bytes).\n");
        return;
    }
    const fr_source_settings *s = source_of(w, g);
    fr_buf text = {0};
    if (fr_status_retained(part_of(w->document, g), &text))
        fr_buf_printf(b, "    What piles up: %.*s.\n", FR_ARG(fr_buf_view(&text)));
    fr_buf_free(&text);
    fr_buf_printf(b, "    Meanwhile %s.\n", keeper(s));
}

static void announce(wish *w)
{
    fr_buf *b = &w->cli->out;
    bool whole = w->will.state != FR_WILL_RUNNING;
    for (size_t i = 0; i < w->count; i++) {
        const goal *g = &w->goals[i];
        bool table = g->target.name.len > 0;
        fr_buf_printf(b, "%s: ", g->word);
        if (whole && table)
            fr_buf_printf(b, "it waits, and the other %s go on.\n",
                          is_sinks(g) ? "topics" : "tables");
        else if (whole && is_sinks(g))
            fr_buf_text(b, "nothing is applied any more.\n");
        else if (whole)
            fr_buf_text(b, "nothing is read any more.\n");
        else if (w->will.restart)
            fr_buf_text(b, table ? "it is tried again.\n"
                                 : "it is ended and started again, from where it stands.\n");
        else if (w->will.anew)
            fr_buf_text(b, "every row is published again (op r), beside the stream; what was "
                           "passed over in between is not, as single changes.\n");
        else
            fr_buf_text(b, "it goes on from where it was held.\n");
        if (whole)
            put_cost(w, g);
    }
}

/* ---- asking ---- */

static const char *path_of(wish *w, const goal *g)
{
    static const char *const groups[] = {"sources", "sinks", "tables", "tables"};
    fr_arena *a = w->cli->arena;
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "/v1/%s/", groups[g->target.kind]);
    fr_buf_str(&b, fr_http_escape(a, g->word));
    fr_buf_printf(&b, ":%s?by=", w->cli->verb->name);
    fr_buf_str(&b, fr_http_escape(a, fr_arena_cstr(a, w->will.by)));
    fr_buf_text(&b, "&why=");
    fr_buf_str(&b, fr_http_escape(a, fr_arena_cstr(a, w->will.why)));
    fr_buf_text(&b, w->will.anew ? "&anew=true" : "");
    return fr_arena_cstr(a, fr_buf_view(&b));
}

static fr_rc tell_daemon(wish *w, fr_err *err)
{
    for (size_t i = 0; i < w->count; i++) {
        goal *g = &w->goals[i];
        json_t *answer = NULL;
        FR_TRY(fr_tell_daemon(w->cli, w->config, path_of(w, g), &answer, err));
        g->at_us = fr_json_int(answer, "at_us", 0);
        json_decref(answer);
    }
    return FR_OK;
}

static fr_rc write_down(wish *w, fr_err *err)
{
    fr_arena *a = w->cli->arena;
    fr_control_record *records = fr_arena_alloc(a, w->count * sizeof(*records));
    for (size_t i = 0; i < w->count; i++) {
        goal *g = &w->goals[i];
        w->will.target = g->target;
        w->will.at_us = g->at_us = fr_wall_us();
        records[i] = (fr_control_record){fr_will_key(a, &g->target), fr_will_value(a, &w->will)};
    }
    return fr_control_write(&w->config->kafka, records, w->count, err);
}

/* ---- has it happened? ---- */

static bool part_obeys(const wish *w, const json_t *part)
{
    const char *state = fr_json_str(part, "state", "");
    bool rests = strcmp(state, "paused") == 0 || strcmp(state, "stopped") == 0;
    if (json_is_true(json_object_get(json_object_get(part, "will"), "restarting")))
        return false;
    if (w->will.state == FR_WILL_RUNNING)
        return !rests;
    return strcmp(state, fr_will_state_name(w->will.state)) == 0;
}

static bool table_obeys(const wish *w, const json_t *table)
{
    const json_t *held = json_object_get(table, "held");
    bool waits = json_is_object(held) && !json_is_true(json_object_get(held, "catching_up"));
    return (w->will.state != FR_WILL_RUNNING) == waits;
}

/* A source that rests has no table that waits by itself: it is as wanted once it begins. */
static void look(const wish *w, const json_t *document, goal *g)
{
    const json_t *part = part_of(document, g);
    bool table = g->target.name.len > 0;
    const json_t *it = table ? table_of(part, g) : part;
    if (fr_json_int(json_object_get(it, "will"), "at_us", 0) < g->at_us)
        return;
    const char *rests = fr_json_str(json_object_get(part, "will"), "state", "running");
    g->obeyed = !table ? part_obeys(w, it) : table_obeys(w, it) || strcmp(rests, "running") != 0;
}

static size_t count_obeyed(const wish *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++)
        n += w->goals[i].obeyed;
    return n;
}

static fr_rc not_written(const json_t *document, fr_err *err)
{
    const json_t *e = json_object_get(document, "control_error");
    if (!json_is_object(e))
        return FR_OK;
    fr_fail(err, FR_ERR_CONNECT, "what is wanted is not followed at the moment: %s",
            fr_json_str(e, "text", ""));
    fr_fail_code(err, fr_json_str(e, "code", "control.record"));
    return fr_fail_hint(err, "%s", fr_json_str(e, "hint", "freshet status"));
}

static fr_rc await(wish *w, fr_err *err)
{
    fr_rc rc = FR_OK;
    for (int64_t end = fr_now_us() + PATIENCE_US; rc == FR_OK && count_obeyed(w) < w->count;) {
        json_t *document = NULL;
        FR_TRY(fr_ask_daemon(w->cli, w->config, "/v1/status", &document, err));
        for (size_t i = 0; i < w->count; i++)
            look(w, document, &w->goals[i]);
        bool over = fr_now_us() >= end;
        if (over)
            rc = not_written(document, err);
        json_decref(document);
        if (over)
            break;
        if (count_obeyed(w) < w->count)
            fr_sleep_us(LOOK_US);
    }
    return rc;
}

static void put_result(wish *w)
{
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(w->cli), "targets", list);
    for (size_t i = 0; i < w->count; i++) {
        const goal *g = &w->goals[i];
        fr_str key = fr_will_key(w->cli->arena, &g->target);
        json_array_append_new(list, json_pack("{s:s%,s:s,s:I,s:b}", "target", key.ptr, key.len,
                                              "state", fr_will_state_name(w->will.state), "at_us",
                                              (json_int_t)g->at_us, "obeyed", g->obeyed));
    }
}

static void sum_up(wish *w)
{
    static const char *const done[] = {"goes on", "is paused", "is stopped"};
    const char *what = w->will.restart ? "was started again" : done[w->will.state];
    size_t obeyed = count_obeyed(w);
    const char *first = w->goals[0].word;
    put_result(w);
    if (w->document == NULL)
        fr_cli_summary(w->cli,
                       "%s%s: written down. No freshet runs here; the next run obeys, and one that "
                       "runs elsewhere does now.",
                       first, w->count > 1 ? " and others" : "");
    else if (obeyed < w->count)
        fr_cli_summary(w->cli,
                       "%zu of %zu: asked for, and not done yet. To see when it is: freshet status",
                       w->count - obeyed, w->count);
    else if (w->count == 1)
        fr_cli_summary(w->cli, "%s %s.", first, what);
    else
        fr_cli_summary(w->cli, "%zu targets: each %s.", w->count, what);
}

/* ---- the verb ---- */

static void read_verb(wish *w)
{
    const char *verb = w->cli->verb->name, *why = fr_cli_flag(w->cli, "why");
    w->will = (fr_will){.state = strcmp(verb, "pause") == 0  ? FR_WILL_PAUSED
                                 : strcmp(verb, "stop") == 0 ? FR_WILL_STOPPED
                                                             : FR_WILL_RUNNING,
                        .restart = strcmp(verb, "restart") == 0,
                        .anew = strcmp(verb, "resume") == 0 && fr_cli_flag(w->cli, "anew") != NULL,
                        .by = fr_ask_who(w->cli->arena),
                        .why = fr_cstr(why == NULL ? "" : why)};
}

static fr_rc do_all(wish *w, fr_err *err)
{
    bool yes = false;
    announce(w);
    if (fr_cli_flag(w->cli, "dry-run") != NULL) {
        put_result(w);
        fr_cli_summary(w->cli, "Dry run: nothing was changed.");
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(w->cli, w->will.state == FR_WILL_RUNNING ? "Go on?" : "Let it wait?", &yes,
                      err));
    if (!yes) {
        fr_cli_summary(w->cli, "Nothing was changed.");
        return FR_OK;
    }
    FR_TRY(w->document != NULL ? tell_daemon(w, err) : write_down(w, err));
    if (w->document != NULL)
        FR_TRY(await(w, err));
    w->late = w->document != NULL && count_obeyed(w) < w->count;
    sum_up(w);
    return FR_OK;
}

/* A daemon that hangs or refuses is one that runs. */
static fr_rc ask_status(wish *w, fr_err *err)
{
    if (fr_ask_daemon(w->cli, w->config, "/v1/status", &w->document, err) == FR_OK)
        return FR_OK;
    w->document = NULL;
    return w->cli->url == NULL && fr_ask_nobody(err) ? FR_OK : FR_FAIL;
}

int fr_cmd_will(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    if (fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    wish w = {.cli = cli, .config = config};
    read_verb(&w);
    fr_rc rc = ask_status(&w, &err);
    if (rc == FR_OK)
        rc = find_all(&w, &err);
    if (rc == FR_OK)
        rc = do_all(&w, &err);
    int code = rc == FR_FAIL ? fr_cli_fail(cli, &err) : w.late ? FR_EXIT_NO : 0;
    json_decref(w.document);
    free(w.goals);
    fr_config_free(config);
    return code;
}
