/* freshet dlq list|show|retry|drop: rows and messages that were set aside (R36). */
#include "base/clock.h"
#include "cli/dlq.h"
#include "cli/tap.h"
#include "codec/decode.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_US = 500000, READ_EVENTS = 1000, READ_BYTES = 4 << 20, LINES = 100, SHOWN = 60 };

/* ---- reading ---- */

static bool is_wanted(void *context, const fr_letter *l)
{
    const fr_dlq_ask *ask = context;
    if (ask->wanted == NULL)
        return ask->by_id && l->partition == ask->id_partition && l->offset == ask->id_offset;
    if (l->source) /* an update may tie it to one that is */
        return ask->tied != NULL && fr_str_is(l->part, ask->tied);
    fr_arena *a = fr_arena_new(512);
    bool wanted = fr_map_get(ask->wanted, fr_letter_group(a, l)) != NULL;
    fr_arena_free(a);
    return wanted;
}

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
    fr_letters *l = fr_letters_new(whole ? is_wanted : NULL, (void *)(uintptr_t)ask);
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

fr_str fr_dlq_id(const fr_dlq_ask *ask, fr_arena *a, const fr_letter *l)
{
    return ask->place_count > 1 ? fr_arena_printf(a, "%.*s/%d@%" PRId64, FR_ARG(l->place),
                                                  (int)l->partition, l->offset)
                                : fr_arena_printf(a, "%d@%" PRId64, (int)l->partition, l->offset);
}

static fr_rc read_id(fr_dlq_ask *ask, const char *id, fr_err *err)
{
    const char *slash = strrchr(id, '/'), *number = slash == NULL ? id : slash + 1;
    char *end = NULL;
    ask->id_place = (fr_str){id, slash == NULL ? 0 : (size_t)(slash - id)};
    errno = 0;
    ask->id_partition = strtoll(number, &end, 10);
    bool good = end != number && *end == '@' && end[1] >= '0' && end[1] <= '9';
    if (good)
        ask->id_offset = strtoll(end + 1, &end, 10);
    ask->by_id = good && *end == '\0' && errno == 0;
    if (ask->by_id && (slash != NULL || ask->place_count <= 1))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            ask->by_id ? "there are several topics of dead letters: which one is `%s` of?"
                       : "`%s` is no letter",
            id);
    fr_fail_code(err, "dlq.id");
    return fr_fail_hint(err, "write %sPARTITION@OFFSET, as freshet dlq list shows it",
                        ask->place_count > 1 ? "TOPIC/" : "");
}

static bool matches(const fr_dlq_ask *ask, const fr_letter *l)
{
    if (ask->by_id && (l->partition != ask->id_partition || l->offset != ask->id_offset ||
                       (ask->id_place.len > 0 && !fr_str_eq(l->place, ask->id_place))))
        return false;
    bool part = (ask->source == NULL && ask->sink == NULL) ||
                (l->source ? ask->source != NULL && fr_str_is(l->part, ask->source)
                           : ask->sink != NULL && fr_str_is(l->part, ask->sink));
    return part && (ask->topic == NULL || fr_str_is(l->topic, ask->topic));
}

static fr_rc read_filters(fr_dlq_ask *ask, fr_err *err)
{
    const char *table = fr_cli_flag(ask->cli, "table");
    ask->source = fr_cli_flag(ask->cli, "source");
    ask->sink = fr_cli_flag(ask->cli, "sink");
    if (table != NULL)
        FR_TRY(fr_ask_topic(ask->config, ask->cli->arena, table, &ask->topic, err));
    return ask->cli->arg_count > 1 ? read_id(ask, ask->cli->args[1], err) : FR_OK;
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

/* ---- list ---- */

static const char *const states[] = {"open", "done", "dropped"};

static fr_str shown(fr_arena *a, fr_str s, size_t most)
{
    fr_buf b = {.arena = a};
    fr_buf_shown(&b, s);
    fr_str out = fr_buf_view(&b);
    size_t n = most == 0 || out.len <= most ? out.len : most;
    while (n < out.len && n > 0 && ((uint8_t)out.ptr[n] & 0xc0) == 0x80)
        n--;
    return n == out.len ? out : fr_arena_printf(a, "%.*s…", (int)n, out.ptr);
}

/* The registry and whether it answers: one that does not is asked no more. */
typedef struct decoder {
    fr_registry *registry;
    bool silent;
} decoder;

static bool decoded(decoder *d, fr_arena *a, fr_str bytes, fr_str *text)
{
    int32_t id;
    fr_str schema;
    fr_err err;
    if (d->silent || !fr_wire_id(bytes, &id))
        return false;
    if (fr_registry_schema(d->registry, id, &schema, &err) == FR_FAIL) {
        d->silent = err.kind != FR_ERR_DATA;
        return false;
    }
    return fr_avro_to_json(a, schema, fr_wire_body(bytes), text, &err) == FR_OK;
}

static fr_str bytes_text(decoder *d, fr_arena *a, fr_str bytes)
{
    fr_str text;
    fr_err ignored;
    if (bytes.ptr == NULL)
        return FR_STR("null");
    if (decoded(d, a, bytes, &text))
        return text;
    json_t *j = NULL;
    bool object = fr_json_parse(bytes, &j, &ignored) == FR_OK && json_is_object(j);
    json_decref(j);
    return object ? bytes : fr_tap_raw(a, bytes);
}

/* Of a source only its sum is known without the row. */
static fr_str key_text(decoder *d, fr_arena *a, const fr_letter *l)
{
    if (!l->source)
        return bytes_text(d, a, l->key);
    const char *slash = memrchr(l->key.ptr, '/', l->key.len);
    return fr_arena_printf(
        a, "#%s",
        fr_arena_cstr(a, (fr_str){slash + 1, l->key.len - (size_t)(slash + 1 - l->key.ptr)}));
}

typedef struct head {
    const fr_letter *letter;
    size_t behind;
} head;

/* A letter that was set aside for itself, and how many are parked behind it. */
static size_t heads_of(const fr_dlq_ask *ask, fr_letter **list, size_t count, bool settled,
                       head *out)
{
    fr_arena *a = fr_arena_new(0);
    fr_map *last = fr_map_new(); /* group and state -> index of its newest head + 1 */
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const fr_letter *l = list[i];
        if ((l->state != FR_LETTER_OPEN && !settled) || !matches(ask, l))
            continue;
        fr_buf name = {.arena = a}; /* keys have bytes of all kinds */
        fr_buf_u8(&name, (uint8_t)l->state);
        fr_buf_str(&name, fr_letter_group(a, l));
        head *before = fr_map_get(last, fr_buf_view(&name));
        if (l->parked && before != NULL) {
            before->behind++;
            continue;
        }
        out[n] = (head){.letter = l};
        fr_map_set(last, fr_buf_view(&name), &out[n++]);
    }
    fr_map_free(last, NULL);
    fr_arena_free(a);
    return n;
}

/* "source/space.table" of its topic; empty: no source's, or of a topic that is not called so. */
static fr_str table_text(const fr_dlq_ask *ask, fr_arena *a, const fr_letter *l)
{
    fr_config_place p;
    if (!fr_ask_topic_table(ask->config, a, l->topic, &p))
        return FR_STR("");
    return fr_arena_printf(a, "%s/%.*s.%.*s", ask->config->sources[p.source].name, FR_ARG(p.space),
                           FR_ARG(p.name));
}

static json_t *letter_json(const fr_dlq_ask *ask, decoder *d, fr_arena *a, const fr_letter *l)
{
    fr_str id = fr_dlq_id(ask, a, l);
    json_t *j =
        json_pack("{s:s%,s:s,s:o,s:o,s:o,s:o,s:I,s:s,s:b,s:i,s:I}", "id", id.ptr, id.len, "kind",
                  l->source ? "source" : "sink", "part", fr_cli_json_text(l->part), "topic",
                  fr_cli_json_text(l->topic), "key", fr_cli_json_text(key_text(d, a, l)), "reason",
                  fr_cli_json_text(l->reason), "at_ms", (json_int_t)l->timestamp_ms, "state",
                  states[l->state], "parked", (int)l->parked, "partition", (int)l->partition,
                  "offset", (json_int_t)l->offset);
    json_object_set_new(j, "place", fr_cli_json_text(l->place));
    fr_str table = table_text(ask, a, l);
    json_object_set_new(j, "table", table.len == 0 ? json_null() : fr_cli_json_text(table));
    if (l->source)
        json_object_set_new(j, "position",
                            json_pack("{s:I,s:I,s:I}", "epoch", (json_int_t)l->epoch, "lsn",
                                      (json_int_t)l->lsn, "ordinal", (json_int_t)l->ordinal));
    else
        json_object_set_new(j, "from",
                            json_pack("{s:i,s:I}", "partition", (int)l->from, "offset",
                                      (json_int_t)l->from_offset));
    return j;
}

static void list_line(const fr_dlq_ask *ask, decoder *d, fr_arena *a, const head *h)
{
    const fr_letter *l = h->letter;
    char when[32], behind[32] = "";
    fr_buf *b = &ask->cli->out;
    fr_time_text(when, l->timestamp_ms * 1000);
    if (h->behind > 0)
        snprintf(behind, sizeof(behind), " +%zu behind", h->behind);
    fr_str table = table_text(ask, a, l);
    fr_buf_printf(b, "%-10.*s %s  %s %.*s  %.*s  key %.*s%s%s%s\n", FR_ARG(fr_dlq_id(ask, a, l)),
                  when, l->source ? "source" : "sink", FR_ARG(shown(a, l->part, 0)),
                  FR_ARG(shown(a, table.len > 0 ? table : l->topic, 0)),
                  FR_ARG(shown(a, key_text(d, a, l), SHOWN)), behind,
                  l->state == FR_LETTER_OPEN ? "" : "  ",
                  l->state == FR_LETTER_OPEN ? "" : states[l->state]);
    fr_buf_printf(b, "           %.*s\n", FR_ARG(shown(a, l->reason, 0)));
}

typedef struct reason {
    fr_str text;
    size_t count;
} reason;

static int by_count(const void *one, const void *two)
{
    const reason *a = one, *b = two;
    return a->count != b->count ? (a->count > b->count ? -1 : 1) : fr_str_cmp(a->text, b->text);
}

static void list_reasons(const fr_dlq_ask *ask, fr_arena *a, const head *heads, size_t count)
{
    enum { MOST = 20 };
    fr_map *seen = fr_map_new();
    reason *all = fr_arena_alloc(a, (count + 1) * sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        reason *r = fr_map_get(seen, heads[i].letter->reason);
        if (r == NULL) {
            r = &all[n++];
            r->text = heads[i].letter->reason;
            fr_map_set(seen, r->text, r);
        }
        r->count++;
    }
    fr_map_free(seen, NULL);
    if (n > 1)
        qsort(all, n, sizeof(*all), by_count);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{s:o,s:I}", "reason", fr_cli_json_text(all[i].text),
                                              "count", (json_int_t)all[i].count));
        if (i < MOST)
            fr_buf_printf(&ask->cli->out, "%6zu × %.*s\n", all[i].count,
                          FR_ARG(shown(a, all[i].text, 120)));
    }
    if (n > MOST)
        fr_buf_printf(&ask->cli->out, "       and %zu other reasons\n", n - MOST);
    json_object_set_new(fr_cli_result(ask->cli), "reasons", list);
}

static fr_rc limit_of(fr_cli *cli, size_t *out, fr_err *err)
{
    const char *text = fr_cli_flag(cli, "limit");
    char *end = NULL;
    long long n = text == NULL ? LINES : strtoll(text, &end, 10);
    *out = (size_t)n;
    if (n >= 1 && (text == NULL || (*text != '\0' && *end == '\0')))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "--limit: `%s` is no number of letters", text);
    return fr_fail_code(err, "cli.bad_value");
}

static fr_rc list(fr_dlq_ask *ask, fr_letters *letters, fr_letter **all, size_t count, fr_err *err)
{
    fr_registry *registry;
    size_t limit, parked = 0;
    bool settled = fr_cli_flag(ask->cli, "settled") != NULL;
    FR_TRY(limit_of(ask->cli, &limit, err));
    FR_TRY(fr_registry_open(&ask->config->registry, &registry, err));
    decoder d = {.registry = registry};
    fr_arena *a = fr_arena_new(0);
    head *heads = fr_malloc((count + 1) * sizeof(*heads));
    size_t n = heads_of(ask, all, count, settled, heads);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        parked += heads[i].behind;
        if (i >= limit)
            continue;
        json_t *j = letter_json(ask, &d, a, heads[i].letter);
        json_object_set_new(j, "behind", json_integer((json_int_t)heads[i].behind));
        json_array_append_new(list, j);
        list_line(ask, &d, a, &heads[i]);
    }
    if (n > limit)
        fr_buf_printf(&ask->cli->out, "and %zu more: --limit %zu\n", n - limit, n);
    json_object_set_new(fr_cli_result(ask->cli), "letters", list);
    json_object_set_new(fr_cli_result(ask->cli), "count", json_integer((json_int_t)n));
    json_object_set_new(fr_cli_result(ask->cli), "behind", json_integer((json_int_t)parked));
    list_reasons(ask, a, heads, n);
    size_t strange = fr_letters_strange(letters);
    if (strange > 0)
        fr_buf_printf(&ask->cli->out, "%s%zu messages there are no letters of freshet\n",
                      fr_cli_glyph(ask->cli, FR_GLYPH_WARN), strange);
    json_object_set_new(fr_cli_result(ask->cli), "strange", json_integer((json_int_t)strange));
    fr_cli_summary(ask->cli, "%zu dead letters, %zu parked behind them.", n, parked);
    free(heads);
    fr_arena_free(a);
    fr_registry_close(registry);
    return FR_OK;
}

/* ---- show ---- */

static fr_rc no_letter(const fr_dlq_ask *ask, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "there is no such dead letter");
    fr_fail_code(err, "dlq.no_letter");
    return fr_fail_hint(err, "freshet dlq list%s", ask->by_id ? " --settled shows all" : "");
}

static void show_bytes(fr_dlq_ask *ask, decoder *d, const char *what, fr_str bytes)
{
    fr_arena *a = ask->cli->arena;
    int32_t id = 0;
    bool wire = bytes.ptr != NULL && fr_wire_id(bytes, &id);
    fr_str text = bytes_text(d, a, bytes);
    fr_buf_printf(&ask->cli->out, "%-9s ", what);
    if (wire)
        fr_buf_printf(&ask->cli->out, "(schema %d) ", (int)id);
    fr_buf_printf(&ask->cli->out, "%.*s\n", FR_ARG(shown(a, text, 0)));
    json_t *j = NULL;
    fr_err ignored;
    if (fr_json_parse(text, &j, &ignored) == FR_FAIL)
        j = fr_cli_json_text(text);
    json_object_set_new(fr_cli_result(ask->cli), what, j);
    if (wire)
        json_object_set_new(fr_cli_result(ask->cli),
                            strcmp(what, "key") == 0 ? "key_schema" : "value_schema",
                            json_integer(id));
}

static void show_one(fr_dlq_ask *ask, decoder *d, const fr_letter *l)
{
    fr_arena *a = ask->cli->arena;
    fr_buf *b = &ask->cli->out;
    char when[32];
    fr_time_text(when, l->timestamp_ms * 1000);
    json_object_update_new(fr_cli_result(ask->cli), letter_json(ask, d, a, l));
    fr_buf_printf(b, "letter    %.*s/%d@%" PRId64 "  %s\n", FR_ARG(l->place), (int)l->partition,
                  l->offset, states[l->state]);
    fr_buf_printf(b, "when      %s\n%-9s %.*s\n", when, l->source ? "source" : "sink",
                  FR_ARG(shown(a, l->part, 0)));
    fr_buf_printf(b, "topic     %.*s\n", FR_ARG(shown(a, l->topic, 0)));
    fr_str table = table_text(ask, a, l);
    if (table.len > 0)
        fr_buf_printf(b, "table     %.*s\n", FR_ARG(table));
    if (l->source)
        fr_buf_printf(b, "position  epoch %u lsn %" PRIX32 "/%" PRIX32 " ordinal %u\n", l->epoch,
                      (uint32_t)(l->lsn >> 32), (uint32_t)l->lsn, l->ordinal);
    else
        fr_buf_printf(b, "offset    %d@%" PRId64 "\n", (int)l->from, l->from_offset);
    fr_buf_printf(b, "reason    %.*s%s%s\n", FR_ARG(shown(a, l->reason, 0)),
                  l->parked ? "  (parked)" : "", l->cut ? "  (cut)" : "");
    show_bytes(ask, d, "key", l->key);
    for (size_t i = 0; i < l->header_count; i++)
        fr_buf_printf(b, "header    %.*s: %.*s\n", FR_ARG(shown(a, fr_cstr(l->headers[i].name), 0)),
                      FR_ARG(shown(a, fr_tap_raw(a, l->headers[i].value), 0)));
    show_bytes(ask, d, "value", l->payload);
}

static fr_rc which(fr_err *err, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "which letters?");
    fr_fail_code(err, "dlq.which");
    return fr_fail_hint(err, "%s", hint);
}

static fr_rc show(fr_dlq_ask *ask, fr_err *err)
{
    fr_letters *letters;
    fr_letter **all;
    fr_registry *registry;
    size_t count;
    if (!ask->by_id)
        return which(err, "give an ID of freshet dlq list");
    FR_TRY(fr_dlq_read(ask, true, &letters, &all, &count, err));
    fr_rc rc = no_letter(ask, err);
    if (fr_registry_open(&ask->config->registry, &registry, err) == FR_OK) {
        decoder d = {.registry = registry};
        for (size_t i = 0; i < count && rc == FR_FAIL; i++)
            if (matches(ask, all[i])) {
                show_one(ask, &d, all[i]);
                rc = FR_OK;
            }
        if (rc == FR_FAIL)
            no_letter(ask, err);
        fr_registry_close(registry);
    }
    fr_letters_free(letters);
    return rc;
}

/* ---- retry, drop ---- */

fr_rc fr_dlq_refused(fr_dlq_ask *ask, const fr_dlq_group *g, const fr_err *why)
{
    fr_arena *a = ask->cli->arena;
    fr_str id = fr_dlq_id(ask, a, g->letters[0]), text = shown(a, fr_cstr(why->text), 0);
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
                  FR_ARG(id), FR_ARG(shown(a, g->letters[0]->topic, 0)), FR_ARG(text));
    fr_buf_printf(&ask->cli->out, "    → %.*s\n", FR_ARG(shown(a, fr_cstr(fr_err_hint(why)), 0)));
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
                  FR_ARG(shown(a, g->letters[0]->topic, 0)), letters, what);
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
            wanted = matches(ask, groups[i].letters[k]);
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
                      FR_ARG(shown(ask->cli->arena, p->name, 0)), p->letters, p->keys);
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
            p->source ? "source" : "sink", FR_ARG(shown(ask->cli->arena, p->name, 0)));
    fr_fail_code(err, p->source ? "cli.no_source" : "cli.no_sink");
    return fr_fail_hint(err, "put it back, or drop its letters: freshet dlq drop --%s %.*s",
                        p->source ? "source" : "sink", FR_ARG(shown(ask->cli->arena, p->name, 0)));
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
    if (!ask->by_id && ask->topic == NULL && ask->source == NULL && ask->sink == NULL &&
        fr_cli_flag(ask->cli, "all") == NULL)
        return which(err, "give an ID of freshet dlq list, --table, --source, --sink, or --all");
    size_t n = choose(ask, all, count, &parts);
    if (n == 0 && ask->by_id)
        return no_letter(ask, err);
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
        return show(ask, err);
    ask->drop = strcmp(action, "drop") == 0;
    FR_TRY(fr_dlq_read(ask, false, &letters, &all, &count, err));
    fr_rc rc = strcmp(action, "list") == 0 ? list(ask, letters, all, count, err)
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
