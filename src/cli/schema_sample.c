/* freshet schema sample: events that fit a schema, for the tests of those who read a topic. */
#include "cli/plan.h"
#include "cli/schema.h"
#include "codec/avro_write.h"
#include "codec/decode.h"
#include "codec/sample.h"
#include "kafka/put.h"
#include "model/name.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_COUNT = 10, MOST_COUNT = 10000000 };

typedef struct work {
    fr_schema_verb *v;
    fr_sides sides;
    bool file; /* of a schema in a file: there are no keys */
    int64_t count;
    fr_sample_settings how;
    const char *to; /* NULL: the terminal */
    int32_t partitions;
    int32_t key_id, value_id;
} work;

static fr_rc number_of(fr_cli *cli, const char *flag, int64_t most, int64_t *out, fr_err *err)
{
    return fr_cli_number(cli, &(fr_option){.name = flag, .type = FR_OPT_INT, .max = most}, out,
                         err);
}

/* ---- topics that are not ours to fill ---- */

/* As fr_topic_legal spells it; nothing that is left means anything to fnmatch. */
static void put_literal(fr_buf *b, fr_str text)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < text.len; i++)
        fr_buf_u8(b, strchr(legal, text.ptr[i]) != NULL ? (uint8_t)text.ptr[i] : '_');
}

/* All that a template may become, as a pattern of fnmatch; what is known is taken in. */
static const char *pattern_of(fr_arena *a, const char *template, const fr_source_settings *s,
                              const fr_table_settings *t)
{
    fr_buf b = {.arena = a};
    const char *dot = t->regex == NULL ? strchr(t->pattern, '.') : NULL;
    fr_str space = {t->pattern, dot == NULL ? 0 : (size_t)(dot - t->pattern)};
    while (*template != 0) {
        bool variable;
        fr_str piece = fr_template_piece(template, &variable);
        template = piece.ptr + piece.len + (variable ? 1 : 0);
        if (!variable)
            put_literal(&b, piece);
        else if (fr_str_is(piece, "prefix"))
            put_literal(&b, fr_cstr(s->prefix));
        else if (fr_str_is(piece, "source"))
            put_literal(&b, fr_cstr(s->name));
        else if (dot != NULL && fr_str_is(piece, "space"))
            put_literal(&b, space);
        else if (dot != NULL && fr_str_is(piece, "table"))
            put_literal(&b, fr_cstr(dot + 1));
        else
            fr_buf_u8(&b, '*');
    }
    return fr_arena_cstr(a, fr_buf_view(&b));
}

static bool may_be(work *w, const char *template, const fr_source_settings *s,
                   const fr_table_settings *t)
{
    return template != NULL && fnmatch(pattern_of(w->v->cli->arena, template, s, t), w->to, 0) == 0;
}

static fr_rc is_taken(const work *w, const char *by, const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "topic %s is, or may become, one of %s%s", w->to, by, what);
    fr_fail_code(err, "sample.topic");
    return fr_fail_hint(err, "made-up events must not meet real ones: choose another topic");
}

static fr_rc check_source(work *w, const fr_source_settings *s, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    static const char *const sides[] = {"message", "transaction"};
    for (size_t i = 0; i < 2; i++) {
        fr_str side = fr_look_side_topic(a, s, sides[i]);
        if (fr_str_is(side, w->to))
            return is_taken(w, "source ", s->name, err);
    }
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &s->tables[i];
        if (may_be(w, t->topic, s, t) || may_be(w, t->outbox.on ? t->outbox.route : NULL, s, t) ||
            (t->errors_topic != NULL && strcmp(t->errors_topic, w->to) == 0))
            return is_taken(w, "table ", t->pattern, err);
    }
    return FR_OK;
}

static fr_rc check_topic(work *w, fr_err *err)
{
    const fr_config *c = w->v->config;
    const char *refused = fr_topic_refused(fr_cstr(w->to));
    if (refused != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "--to %s: %s", w->to, refused);
        return fr_fail_code(err, "cli.bad_value");
    }
    if (strncmp(w->to, "freshet.", 8) == 0 || strncmp(w->to, "__", 2) == 0)
        return is_taken(w, w->to[0] == '_' ? "Kafka's own" : "freshet's own", "", err);
    for (size_t i = 0; i < c->sink_count; i++)
        if (c->sinks[i].errors_topic != NULL && strcmp(c->sinks[i].errors_topic, w->to) == 0)
            return is_taken(w, "the dead letters of sink ", c->sinks[i].name, err);
    for (size_t i = 0; i < c->source_count; i++)
        FR_TRY(check_source(w, &c->sources[i], err));
    return FR_OK;
}

/* ---- the two ways out ---- */

static fr_rc put_line(work *w, const fr_sample *x, fr_arena *a, json_t *list, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    fr_str key = FR_STR("null"), value;
    if (x->key.ptr != NULL)
        FR_TRY(fr_avro_to_json(a, w->sides.key.text, x->key, &key, err));
    FR_TRY(fr_avro_to_json(a, w->sides.value.text, x->value, &value, err));
    fr_str line =
        w->file ? value
                : fr_arena_printf(a, "{\"key\":%.*s,\"value\":%.*s}", FR_ARG(key), FR_ARG(value));
    if (cli->json) {
        json_t *j = json_loadb(line.ptr, line.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_array_append_new(list, j == NULL ? json_null() : j);
        return FR_OK;
    }
    fr_buf_str(&cli->out, line);
    fr_buf_u8(&cli->out, '\n');
    fr_cli_flush(cli);
    return FR_OK;
}

static fr_str on_the_wire(fr_arena *a, int32_t id, fr_str body)
{
    fr_buf b = {.arena = a};
    b.len = (size_t)(fr_put_header(fr_buf_room(&b, FR_WIRE_HEADER), id) - b.ptr);
    fr_buf_str(&b, body);
    return fr_buf_view(&b);
}

/* As run chooses it (kafka.partitioner). */
static int32_t partition_of(const work *w, fr_str key, int64_t number)
{
    bool whole = w->v->config->kafka.partitioner == 1;
    if (key.ptr == NULL)
        return (int32_t)(number % w->partitions);
    size_t from = whole ? 0 : FR_WIRE_HEADER;
    return (int32_t)((fr_murmur2(key.ptr + from, key.len - from) & 0x7FFFFFFF) %
                     (uint32_t)w->partitions);
}

static fr_rc put_message(work *w, fr_putter *p, const fr_sample *x, fr_arena *a, int64_t number,
                         fr_err *err)
{
    fr_str key = {NULL, 0};
    if (x->key.ptr != NULL)
        key = on_the_wire(a, w->key_id, x->key);
    return fr_putter_put(p, partition_of(w, key, number), key,
                         on_the_wire(a, w->value_id, x->value), err);
}

static fr_rc put_all(work *w, fr_putter *p, json_t *list, fr_err *err)
{
    fr_sampler *sampler;
    fr_sample x;
    FR_TRY(fr_sampler_new(w->sides.key.text, w->sides.value.text, &w->how, &sampler, err));
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    for (int64_t i = 0; i < w->count && rc == FR_OK; i++) {
        fr_arena_reset(a);
        fr_sampler_next(sampler, a, &x);
        rc = p == NULL ? put_line(w, &x, a, list, err) : put_message(w, p, &x, a, i, err);
    }
    fr_arena_free(a);
    fr_sampler_free(sampler);
    return rc;
}

/* ---- to a topic ---- */

/* Schemas that are in the registry keep their ids; others are registered for this topic. */
static fr_rc take_id(work *w, const fr_side *side, const char *name, int32_t *id, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    if (side->text.len == 0 || side->version > 0) {
        *id = side->id;
        return FR_OK;
    }
    const char *subject = fr_arena_cstr(a, fr_arena_printf(a, "%s-%s", w->to, name));
    FR_TRY(fr_schema_registry(w->v, err));
    return fr_registry_register(w->v->registry, subject, side->text,
                                w->v->config->registry.compatibility, true, id, err);
}

static fr_rc make_topic(work *w, bool *there, bool make, fr_err *err)
{
    fr_admin *admin;
    FR_TRY(fr_admin_open(&w->v->config->kafka, &admin, err));
    fr_rc rc = fr_admin_partitions(admin, w->to, &w->partitions, err);
    *there = rc == FR_OK;
    if (rc == FR_END && make) {
        rc = fr_admin_create_topic(admin, w->to, false, err);
        if (rc != FR_FAIL)
            rc = fr_admin_partitions(admin, w->to, &w->partitions, err);
    }
    fr_admin_close(admin);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc write_topic(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    fr_putter *p = NULL;
    bool there, yes = false;
    FR_TRY(make_topic(w, &there, false, err));
    fr_str what = fr_arena_printf(cli->arena, "%lld events to %stopic %s", (long long)w->count,
                                  there ? "" : "the new ", w->to);
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run: %.*s.", FR_ARG(what));
        return FR_OK;
    }
    fr_str question = fr_arena_printf(cli->arena, "Write %.*s?", FR_ARG(what));
    FR_TRY(fr_cli_ask(cli, fr_arena_cstr(cli->arena, question), &yes, err));
    if (!yes) {
        fr_cli_summary(cli, "Nothing was done.");
        return FR_OK;
    }
    FR_TRY(take_id(w, &w->sides.key, "key", &w->key_id, err));
    FR_TRY(take_id(w, &w->sides.value, "value", &w->value_id, err));
    FR_TRY(make_topic(w, &there, true, err));
    const fr_putter_settings s = {.kafka = &w->v->config->kafka, .topic = w->to, .millis = "60000"};
    FR_TRY(fr_putter_open(&s, &p, err));
    fr_rc rc = put_all(w, p, NULL, err);
    if (rc == FR_OK)
        rc = fr_putter_flush(p, err);
    fr_putter_close(p);
    if (rc == FR_OK)
        fr_cli_summary(cli, "Wrote %.*s, value schema id %d.", FR_ARG(what), (int)w->value_id);
    json_object_set_new(fr_cli_result(cli), "written", json_integer(rc == FR_OK ? w->count : 0));
    return rc;
}

/* ---- all ---- */

/* Numbers and texts that mean more than Avro says: random ones would be none of Debezium's. */
static fr_rc check_debezium(const work *w, fr_err *err)
{
    static const char name[] = "\"io.debezium.";
    fr_str text = w->sides.value.text;
    if (text.len == 0 || memmem(text.ptr, text.len, name, sizeof(name) - 1) == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "`%s` has types of Debezium's, of which no random values are made",
            w->v->cli->args[1]);
    fr_fail_code(err, "cli.not_built");
    return fr_fail_hint(err, "take events as they are: freshet tap");
}

static fr_rc take_schemas(work *w, fr_err *err)
{
    fr_stream s;
    const char *word = w->v->cli->args[1];
    w->file = fr_cli_is_file(word);
    if (w->file)
        return fr_schema_file(w->v, word, &w->sides.value.text, err);
    FR_TRY(fr_schema_stream(w->v, word, &s, err));
    return fr_schema_read(w->v, &s, fr_schema_at(w->v, FR_AT_REGISTRY), &w->sides, err);
}

static fr_rc sample(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    int64_t seed = 1;
    w->count = USUAL_COUNT;
    w->to = fr_cli_flag(cli, "to");
    FR_TRY(number_of(cli, "count", MOST_COUNT, &w->count, err));
    FR_TRY(number_of(cli, "seed", INT64_MAX, &seed, err));
    w->how = (fr_sample_settings){(uint64_t)seed, fr_cli_flag(cli, "edge") != NULL};
    if (w->to != NULL)
        FR_TRY(check_topic(w, err));
    FR_TRY(take_schemas(w, err));
    FR_TRY(check_debezium(w, err));
    if (w->to != NULL)
        return write_topic(w, err);
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "events", list);
    return put_all(w, NULL, list, err);
}

int fr_schema_sample(fr_schema_verb *v)
{
    work w = {.v = v};
    fr_err err;
    return sample(&w, &err) == FR_FAIL ? fr_schema_failed(v, &err) : 0;
}
