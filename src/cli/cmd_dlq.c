/* freshet dlq list|show|retry|drop: rows and messages that were set aside (R36). */
#include "base/clock.h"
#include "cli/dlq.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_US = 500000, READ_EVENTS = 1000, READ_BYTES = 4 << 20 };

/* ---- reading ---- */

static fr_rc read_all(fr_consumer *c, fr_letters *l, fr_err *err)
{
    fr_batch *b = fr_batch_new(READ_EVENTS, READ_BYTES);
    fr_rc rc;
    do {
        fr_batch_reset(b);
        rc = fr_consume(c, b, fr_now_us() + READ_US, err);
        for (size_t i = 0; rc == FR_OK && i < b->message_count; i++)
            fr_letters_fold(l, &b->messages[i]);
    } while (rc == FR_OK || (rc == FR_IDLE && !fr_consumer_at_end(c)));
    fr_batch_free(b);
    return rc == FR_FAIL ? rc : FR_OK;
}

fr_rc fr_dlq_read(const fr_dlq_ask *ask, bool whole, fr_letters **out, fr_letter ***list,
                  size_t *count, fr_err *err)
{
    fr_consumer *c = NULL;
    fr_letters *l = fr_letters_new(whole ? fr_dlq_wanted : NULL, (void *)(uintptr_t)ask);
    fr_consumer_settings s = {
        .kafka = &ask->config->kafka, .topics = ask->places, .topic_count = ask->place_count};
    fr_rc rc = FR_OK;
    if (ask->place_count > 0) {
        rc = fr_consumer_open(&s, &c, err);
        if (rc == FR_OK)
            rc = read_all(c, l, err);
        fr_consumer_close(c);
    }
    if (rc == FR_FAIL) {
        fr_letters_free(l);
        return rc;
    }
    *list = fr_letters_settle(l, count);
    *out = l;
    return FR_OK;
}

static fr_rc add_place(fr_dlq_ask *ask, fr_admin *admin, const char *topic, fr_err *err)
{
    int32_t partitions;
    if (topic == NULL || topic[0] == '\0')
        return FR_OK;
    for (size_t i = 0; i < ask->place_count; i++)
        if (strcmp(ask->places[i], topic) == 0)
            return FR_OK;
    fr_rc rc = fr_admin_partitions(admin, topic, &partitions, err);
    if (rc == FR_OK)
        ask->places[ask->place_count++] = topic;
    return rc == FR_FAIL ? rc : FR_OK;
}

/* Every topic of dead letters that the configuration names, and that is there. */
static fr_rc find_places(fr_dlq_ask *ask, fr_err *err)
{
    const fr_config *c = ask->config;
    fr_arena *a = ask->cli->arena;
    fr_admin *admin;
    size_t most = c->sink_count + 1;
    for (size_t i = 0; i < c->source_count; i++)
        most += c->sources[i].table_count;
    ask->places = fr_arena_alloc(a, most * sizeof(char *));
    FR_TRY(fr_admin_open(&c->kafka, &admin, err));
    fr_rc rc = add_place(
        ask, admin, fr_arena_cstr(a, fr_arena_printf(a, "freshet.%s.dlq", c->kafka.pipeline)), err);
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t t = 0; rc == FR_OK && t < c->sources[i].table_count; t++)
            rc = add_place(ask, admin, c->sources[i].tables[t].errors_topic, err);
    for (size_t i = 0; rc == FR_OK && i < c->sink_count; i++)
        rc = add_place(ask, admin, c->sinks[i].errors_topic, err);
    fr_admin_close(admin);
    return rc;
}

/* ---- which ---- */

static fr_rc read_filters(fr_dlq_ask *ask, fr_err *err)
{
    const char *table = fr_cli_flag(ask->cli, "table");
    ask->source = fr_cli_flag(ask->cli, "source");
    ask->sink = fr_cli_flag(ask->cli, "sink");
    if (table != NULL)
        FR_TRY(fr_ask_topics(ask->config, ask->cli->arena, table, &ask->topics, &ask->topic_count,
                             err));
    return ask->cli->arg_count > 1 ? fr_dlq_read_id(ask, ask->cli->args[1], err) : FR_OK;
}

fr_rc fr_dlq_no_letter(const fr_dlq_ask *ask, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "there is no such dead letter");
    fr_fail_code(err, "dlq.no_letter");
    return fr_fail_hint(err, "freshet dlq list%s", ask->by_id ? " --settled shows all" : "");
}

fr_rc fr_dlq_which(fr_err *err, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "which letters?");
    fr_fail_code(err, "dlq.which");
    return fr_fail_hint(err, "%s", hint);
}

fr_str fr_dlq_shown(fr_arena *a, fr_str s, size_t most)
{
    fr_buf b = {.arena = a};
    fr_buf_shown(&b, s);
    fr_str out = fr_buf_view(&b);
    size_t n = most == 0 || out.len <= most ? out.len : most;
    while (n < out.len && n > 0 && ((uint8_t)out.ptr[n] & 0xc0) == 0x80)
        n--;
    return n == out.len ? out : fr_arena_printf(a, "%.*s…", (int)n, out.ptr);
}

/* ---- groups ---- */

size_t fr_dlq_groups(const fr_dlq_ask *ask, fr_arena *a, fr_letter **list, size_t count,
                     fr_dlq_group **out)
{
    fr_map *by_name = fr_map_new();
    fr_dlq_group *groups = fr_malloc((count + 1) * sizeof(*groups));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i]->state != FR_LETTER_OPEN)
            continue;
        fr_str name = fr_letter_group(a, list[i]);
        fr_dlq_group *g = fr_map_get(by_name, name);
        if (g == NULL) {
            g = &groups[n++];
            g->name = name;
            g->wanted = ask->wanted == NULL || fr_map_get(ask->wanted, name) != NULL;
            fr_map_set(by_name, name, g);
        }
        if (g->count == g->cap) {
            g->cap = g->cap == 0 ? 4 : 2 * g->cap;
            g->letters = fr_realloc(g->letters, g->cap * sizeof(*g->letters));
        }
        g->letters[g->count++] = list[i];
    }
    for (size_t i = 0; i < n; i++)
        qsort(groups[i].letters, groups[i].count, sizeof(fr_letter *), fr_letter_older);
    fr_map_free(by_name, NULL);
    *out = groups;
    return n;
}

void fr_dlq_groups_free(fr_dlq_group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(groups[i].letters);
    free(groups);
}

fr_rc fr_dlq_marks(const fr_dlq_ask *ask, fr_arena *a, fr_letter **letters, size_t count,
                   fr_rc (*put)(void *context, const fr_letter *first, fr_str value,
                                const fr_header *headers, size_t header_count, fr_err *err),
                   void *context, fr_err *err)
{
    fr_letter **some = fr_arena_alloc(a, (count + 1) * sizeof(*some));
    bool *taken = fr_arena_alloc(a, count + 1);
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        const fr_header *headers;
        for (size_t k = i; k < count && n < FR_DLQ_MARK_MOST; k++) {
            if (taken[k] || letters[k]->partition != letters[i]->partition ||
                !fr_str_eq(letters[k]->place, letters[i]->place))
                continue;
            taken[k] = true;
            some[n++] = letters[k];
        }
        fr_str value = fr_letters_mark(a, some, n, fr_ask_who(a), fr_wall_us());
        size_t header_count = fr_letters_mark_headers(a, letters[i], ask->drop, &headers);
        FR_TRY(put(context, letters[i], value, headers, header_count, err));
        while (i < count && taken[i])
            i++;
    }
    return FR_OK;
}

/* ---- retry, drop ---- */

fr_rc fr_dlq_refused(fr_dlq_ask *ask, const fr_dlq_group *g, const fr_err *why)
{
    fr_arena *a = ask->cli->arena;
    fr_str id = fr_dlq_id(ask, a, g->letters[0]), text = fr_dlq_shown(a, fr_cstr(why->text), 0);
    json_t *list = json_object_get(fr_cli_result(ask->cli), "waiting");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(fr_cli_result(ask->cli), "waiting", list);
    }
    json_array_append_new(list, json_pack("{s:s%,s:s,s:o,s:o}", "id", id.ptr, id.len, "code",
                                          why->code, "message", fr_cli_json_text(text), "fix",
                                          fr_cli_json_text(fr_cstr(fr_err_hint(why)))));
    if (ask->refused++ == 0)
        ask->first = *why;
    fr_buf_printf(&ask->cli->out, "%s%.*s %.*s: %.*s\n", fr_cli_glyph(ask->cli, FR_GLYPH_FAIL),
                  FR_ARG(id), FR_ARG(fr_dlq_shown(a, g->letters[0]->topic, 0)), FR_ARG(text));
    fr_buf_printf(&ask->cli->out, "    → %.*s\n",
                  FR_ARG(fr_dlq_shown(a, fr_cstr(fr_err_hint(why)), 0)));
    return FR_OK;
}

void fr_dlq_settled(fr_dlq_ask *ask, const fr_dlq_group *g, size_t letters, bool before)
{
    fr_arena *a = ask->cli->arena;
    const char *what = before      ? "its key waits no longer: it was settled before"
                       : ask->drop ? "dropped"
                                   : "done";
    ask->keys++;
    ask->letters += letters;
    ask->before += before ? 1 : 0;
    fr_buf_printf(&ask->cli->out, "%s%.*s %.*s: %zu letters, %s\n",
                  fr_cli_glyph(ask->cli, FR_GLYPH_FINE), FR_ARG(fr_dlq_id(ask, a, g->letters[0])),
                  FR_ARG(fr_dlq_shown(a, g->letters[0]->topic, 0)), letters, what);
}

fr_rc fr_dlq_put_mark(void *context, const fr_letter *first, fr_str value, const fr_header *headers,
                      size_t count, fr_err *err)
{
    fr_dlq_ask *ask = context;
    fr_dlq *d;
    FR_TRY(fr_dlq_open(&ask->config->kafka, fr_arena_cstr(ask->cli->arena, first->place), &d, err));
    fr_rc rc = fr_dlq_mark(d, first->partition, first->key, value, headers, count, err);
    if (rc == FR_OK)
        rc = fr_dlq_flush(d, err);
    fr_dlq_close(d);
    return rc;
}

fr_rc fr_dlq_drop_nobodys(fr_dlq_ask *ask, bool source, fr_str part, fr_err *err)
{
    fr_letters *letters;
    fr_letter **all;
    fr_dlq_group *groups;
    size_t count;
    FR_TRY(fr_dlq_read(ask, false, &letters, &all, &count, err));
    fr_arena *a = fr_arena_new(0);
    size_t n = fr_dlq_groups(ask, a, all, count, &groups);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < n && rc == FR_OK; i++) {
        const fr_letter *l = groups[i].letters[0];
        if (!groups[i].wanted || l->source != source || !fr_str_eq(l->part, part))
            continue;
        rc = fr_dlq_marks(ask, a, groups[i].letters, groups[i].count, fr_dlq_put_mark, ask, err);
        if (rc == FR_OK)
            fr_dlq_settled(ask, &groups[i], groups[i].count, false);
    }
    fr_dlq_groups_free(groups, n);
    fr_arena_free(a);
    fr_letters_free(letters);
    return rc;
}

typedef struct part {
    bool source;
    fr_str name;
    size_t keys, letters;
} part;

/* The groups that are meant, by part. */
static size_t choose(fr_dlq_ask *ask, fr_letter **all, size_t count, part **parts_out)
{
    fr_arena *a = ask->cli->arena;
    fr_dlq_group *groups;
    size_t n = fr_dlq_groups(ask, a, all, count, &groups), parts = 0;
    part *out = fr_arena_alloc(a, (n + 1) * sizeof(*out));
    ask->wanted = fr_map_new();
    for (size_t i = 0; i < n; i++) {
        bool wanted = false;
        for (size_t k = 0; k < groups[i].count && !wanted; k++)
            wanted = fr_dlq_matches(ask, groups[i].letters[k]);
        if (!wanted)
            continue;
        const fr_letter *l = groups[i].letters[0];
        size_t p = 0;
        while (p < parts && !(out[p].source == l->source && fr_str_eq(out[p].name, l->part)))
            p++;
        if (p == parts)
            out[parts++] = (part){.source = l->source, .name = fr_arena_str(a, l->part)};
        out[p].keys++;
        out[p].letters += groups[i].count;
        fr_map_set(ask->wanted, groups[i].name, ask);
    }
    fr_dlq_groups_free(groups, n);
    *parts_out = out;
    return parts;
}

static void announce(fr_dlq_ask *ask, const part *parts, size_t count)
{
    fr_buf *b = &ask->cli->out;
    for (size_t i = 0; i < count; i++) {
        const part *p = &parts[i];
        fr_buf_printf(b, "%s %.*s: %zu letters of %zu keys ", p->source ? "source" : "sink",
                      FR_ARG(fr_dlq_shown(ask->cli->arena, p->name, 0)), p->letters, p->keys);
        if (ask->drop)
            fr_buf_printf(b, "are given up: %s. Their keys are released, and later %s go on.\n",
                          p->source ? "these changes are never published"
                                    : "the target never gets them",
                          p->source ? "rows" : "messages");
        else
            fr_buf_printf(b,
                          "%s, in their order, each key as a whole or not at all; then the key "
                          "is released.\n",
                          p->source ? "are encoded again and published"
                                    : "are applied to the target");
    }
}

static fr_rc do_part(fr_dlq_ask *ask, const part *p, fr_err *err)
{
    const fr_config *c = ask->config;
    for (size_t i = 0; p->source && i < c->source_count; i++)
        if (fr_str_is(p->name, c->sources[i].name))
            return fr_dlq_do_source(ask, i, err);
    for (size_t i = 0; !p->source && i < c->sink_count; i++)
        if (fr_str_is(p->name, c->sinks[i].name))
            return fr_dlq_do_sink(ask, i, err);
    if (ask->drop)
        return fr_dlq_drop_nobodys(ask, p->source, p->name, err);
    fr_fail(err, FR_ERR_CONFIG, "there is no %s %.*s in the configuration",
            p->source ? "source" : "sink", FR_ARG(fr_dlq_shown(ask->cli->arena, p->name, 0)));
    fr_fail_code(err, p->source ? "cli.no_source" : "cli.no_sink");
    return fr_fail_hint(err, "put it back, or drop its letters: freshet dlq drop --%s %.*s",
                        p->source ? "source" : "sink",
                        FR_ARG(fr_dlq_shown(ask->cli->arena, p->name, 0)));
}

static void sum_up(fr_dlq_ask *ask)
{
    json_t *r = fr_cli_result(ask->cli);
    json_object_set_new(r, "keys", json_integer((json_int_t)ask->keys));
    json_object_set_new(r, "letters", json_integer((json_int_t)ask->letters));
    json_object_set_new(r, "before", json_integer((json_int_t)ask->before));
    json_object_set_new(r, "refused", json_integer((json_int_t)ask->refused));
    fr_cli_summary(ask->cli, "%zu letters of %zu keys %s; %zu keys wait as before.", ask->letters,
                   ask->keys, ask->drop ? "dropped" : "done", ask->refused);
}

static fr_rc do_parts(fr_dlq_ask *ask, const part *parts, size_t count, fr_err *err)
{
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < count && rc == FR_OK; i++)
        rc = do_part(ask, &parts[i], err);
    sum_up(ask);
    if (rc == FR_OK && ask->refused > 0) {
        *err = ask->first;
        return FR_FAIL;
    }
    return rc;
}

static fr_rc change(fr_dlq_ask *ask, fr_letter **all, size_t count, fr_err *err)
{
    part *parts;
    bool yes = false;
    if (!ask->by_id && ask->topics == NULL && ask->source == NULL && ask->sink == NULL &&
        fr_cli_flag(ask->cli, "all") == NULL)
        return fr_dlq_which(err,
                            "give an ID of freshet dlq list, --table, --source, --sink, or --all");
    size_t n = choose(ask, all, count, &parts);
    if (n == 0 && ask->by_id)
        return fr_dlq_no_letter(ask, err);
    announce(ask, parts, n);
    if (n == 0 || fr_cli_flag(ask->cli, "dry-run") != NULL) {
        fr_cli_summary(ask->cli, n == 0 ? "No letter waits." : "Dry run: nothing was changed.");
        return FR_OK;
    }
    FR_TRY(fr_cli_ask(ask->cli, ask->drop ? "Give them up?" : "Send them again?", &yes, err));
    if (yes)
        return do_parts(ask, parts, n, err);
    fr_cli_summary(ask->cli, "Nothing was changed.");
    return FR_OK;
}

static fr_rc run(fr_dlq_ask *ask, fr_err *err)
{
    const char *action = ask->cli->args[0];
    fr_letters *letters;
    fr_letter **all;
    size_t count;
    FR_TRY(find_places(ask, err));
    FR_TRY(read_filters(ask, err));
    if (strcmp(action, "show") == 0)
        return fr_dlq_show(ask, err);
    ask->drop = strcmp(action, "drop") == 0;
    FR_TRY(fr_dlq_read(ask, false, &letters, &all, &count, err));
    fr_rc rc = strcmp(action, "list") == 0 ? fr_dlq_list(ask, letters, all, count, err)
                                           : change(ask, all, count, err);
    fr_letters_free(letters);
    fr_map_free(ask->wanted, NULL);
    return rc;
}

int fr_cmd_dlq(fr_cli *cli)
{
    fr_config *config;
    fr_err err;
    if (fr_cli_config(cli, &(fr_config_flags){0}, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_dlq_ask ask = {.cli = cli, .config = config};
    int code = run(&ask, &err) == FR_FAIL ? fr_cli_fail(cli, &err) : 0;
    fr_config_free(config);
    return code;
}
