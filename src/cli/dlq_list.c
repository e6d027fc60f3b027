/* freshet dlq list, show: what waits, and one letter as it is. */
#include "base/clock.h"
#include "cli/dlq.h"
#include "cli/tap.h"
#include "codec/decode.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 100, SHOWN = 60 };

static const char *const states[] = {"open", "done", "dropped"};

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
        if ((l->state != FR_LETTER_OPEN && !settled) || !fr_dlq_matches(ask, l))
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
                  when, l->source ? "source" : "sink", FR_ARG(fr_dlq_shown(a, l->part, 0)),
                  FR_ARG(fr_dlq_shown(a, table.len > 0 ? table : l->topic, 0)),
                  FR_ARG(fr_dlq_shown(a, key_text(d, a, l), SHOWN)), behind,
                  l->state == FR_LETTER_OPEN ? "" : "  ",
                  l->state == FR_LETTER_OPEN ? "" : states[l->state]);
    fr_buf_printf(b, "           %.*s\n", FR_ARG(fr_dlq_shown(a, l->reason, 0)));
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
                          FR_ARG(fr_dlq_shown(a, all[i].text, 120)));
    }
    if (n > MOST)
        fr_buf_printf(&ask->cli->out, "       and %zu other reasons\n", n - MOST);
    json_object_set_new(fr_cli_result(ask->cli), "reasons", list);
}

static fr_rc limit_of(fr_cli *cli, size_t *out, fr_err *err)
{
    static const fr_option option = {.name = "limit", .type = FR_OPT_INT, .min = 1};
    int64_t n = LINES;
    FR_TRY(fr_cli_number(cli, &option, &n, err));
    *out = (size_t)n;
    return FR_OK;
}

fr_rc fr_dlq_list(fr_dlq_ask *ask, fr_letters *letters, fr_letter **all, size_t count, fr_err *err)
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

static void show_bytes(fr_dlq_ask *ask, decoder *d, const char *what, fr_str bytes)
{
    fr_arena *a = ask->cli->arena;
    int32_t id = 0;
    bool wire = bytes.ptr != NULL && fr_wire_id(bytes, &id);
    fr_str text = bytes_text(d, a, bytes);
    fr_buf_printf(&ask->cli->out, "%-9s ", what);
    if (wire)
        fr_buf_printf(&ask->cli->out, "(schema %d) ", (int)id);
    fr_buf_printf(&ask->cli->out, "%.*s\n", FR_ARG(fr_dlq_shown(a, text, 0)));
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

/* As the parked keys of a target have it; of a source it is a sum. */
static void show_key_hex(fr_dlq_ask *ask, const fr_letter *l)
{
    fr_buf hex = {.arena = ask->cli->arena};
    if (l->source || l->key.ptr == NULL)
        return;
    for (size_t i = 0; i < l->key.len; i++)
        fr_buf_printf(&hex, "%02x", (unsigned char)l->key.ptr[i]);
    fr_buf_printf(&ask->cli->out, "key, hex  %.*s\n", FR_ARG(fr_buf_view(&hex)));
    json_object_set_new(fr_cli_result(ask->cli), "key_hex", fr_cli_json_text(fr_buf_view(&hex)));
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
                  FR_ARG(fr_dlq_shown(a, l->part, 0)));
    fr_buf_printf(b, "topic     %.*s\n", FR_ARG(fr_dlq_shown(a, l->topic, 0)));
    fr_str table = table_text(ask, a, l);
    if (table.len > 0)
        fr_buf_printf(b, "table     %.*s\n", FR_ARG(table));
    if (l->source)
        fr_buf_printf(b, "position  epoch %u lsn %" PRIX32 "/%" PRIX32 " ordinal %u\n", l->epoch,
                      (uint32_t)(l->lsn >> 32), (uint32_t)l->lsn, l->ordinal);
    else
        fr_buf_printf(b, "offset    %d@%" PRId64 "\n", (int)l->from, l->from_offset);
    fr_buf_printf(b, "reason    %.*s%s%s\n", FR_ARG(fr_dlq_shown(a, l->reason, 0)),
                  l->parked ? "  (parked)" : "", l->cut ? "  (cut)" : "");
    show_bytes(ask, d, "key", l->key);
    show_key_hex(ask, l);
    for (size_t i = 0; i < l->header_count; i++)
        fr_buf_printf(b, "header    %.*s: %.*s\n",
                      FR_ARG(fr_dlq_shown(a, fr_cstr(l->headers[i].name), 0)),
                      FR_ARG(fr_dlq_shown(a, fr_tap_raw(a, l->headers[i].value), 0)));
    show_bytes(ask, d, "value", l->payload);
}

fr_rc fr_dlq_show(fr_dlq_ask *ask, fr_err *err)
{
    fr_letters *letters;
    fr_letter **all;
    fr_registry *registry;
    size_t count;
    if (!ask->by_id)
        return fr_dlq_which(err, "give an ID of freshet dlq list");
    FR_TRY(fr_dlq_read(ask, true, &letters, &all, &count, err));
    fr_rc rc = fr_dlq_no_letter(ask, err);
    if (fr_registry_open(&ask->config->registry, &registry, err) == FR_OK) {
        decoder d = {.registry = registry};
        for (size_t i = 0; i < count && rc == FR_FAIL; i++)
            if (fr_dlq_matches(ask, all[i])) {
                show_one(ask, &d, all[i]);
                rc = FR_OK;
            }
        if (rc == FR_FAIL)
            fr_dlq_no_letter(ask, err);
        fr_registry_close(registry);
    }
    fr_letters_free(letters);
    return rc;
}
