#include "cli/trial.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/ask.h"
#include "cli/plan.h"
#include "codec/decode.h"
#include "codec/encode.h"
#include "transform/route.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 64 << 20, MOST_EVENTS = 64 };

typedef struct stage { /* one test, under way */
    const fr_config *config;
    fr_trial *t;
    fr_config_place place;
    const fr_source_settings *source;
    char dir[64], url[80];
    const char *urls[1];
    fr_registry_settings registry_settings;
    fr_registry *registry;
    fr_router *router;
    fr_encoder *encoder;
    fr_decoder *decoder;
    const fr_table *table;
    fr_batch *b, *back; /* what goes in and becomes messages; what comes back */
    fr_err *err;
} stage;

/* ---- what it takes ------------------------------------------------------------------------- */

static fr_rc route_of(void *context, const fr_table *table, const fr_route **out, fr_err *err)
{
    return fr_router_route(((stage *)context)->router, table, out, err);
}

static fr_rc claim_of(void *context, const fr_route *route, fr_str topic, fr_err *err)
{
    return fr_router_claim(((stage *)context)->router, route, topic, err);
}

static fr_rc name_of(void *context, fr_arena *a, fr_str topic, fr_str *space, fr_str *name,
                     fr_err *err)
{
    (void)context, (void)err;
    *space = FR_STR("");
    *name = fr_arena_str(a, topic);
    return FR_OK;
}

static fr_rc open_registry(stage *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof(s->dir), "%.40s/freshet-XXXXXX", tmp != NULL && *tmp ? tmp : "/tmp");
    if (mkdtemp(s->dir) == NULL) {
        fr_fail(s->err, FR_ERR_CONFIG, "no temporary directory %s: %s", s->dir, strerror(errno));
        s->dir[0] = '\0';
        fr_fail_code(s->err, "test.directory");
        return fr_fail_hint(s->err, "set TMPDIR to a directory that can be written");
    }
    snprintf(s->url, sizeof(s->url), "file:%s", s->dir);
    s->urls[0] = s->url;
    s->registry_settings = s->config->registry;
    s->registry_settings.url = (fr_texts){s->urls, 1};
    s->registry_settings.register_when = FR_WHEN_RUN;
    return fr_registry_open(&s->registry_settings, &s->registry, s->err);
}

static fr_rc set_up(stage *s)
{
    FR_TRY(fr_config_table(s->config, s->t->test->table, &s->place, s->err));
    s->source = &s->config->sources[s->place.source];
    const fr_contract *contract = NULL;
    fr_str topic;
    if (!s->place.table->outbox.on) { /* its rows may each name a topic, and it has no contract */
        FR_TRY(fr_ask_table_topic(s->config, s->t->arena, &s->place, &topic, s->err));
        contract = fr_contract_file(s->source, s->place.table, topic);
    }
    FR_TRY(
        fr_trial_table(s->config, &s->place, s->t->test, contract, s->t->arena, &s->table, s->err));
    FR_TRY(open_registry(s));
    s->router = fr_router_new(s->source);
    fr_encoder_settings set = {.source = s->source,
                               .registry_settings = &s->registry_settings,
                               .kafka = &s->config->kafka,
                               .origin = fr_look_origin(s->source),
                               .route = route_of,
                               .claim = claim_of,
                               .context = s};
    s->encoder = fr_encoder_new(&set, s->registry);
    s->decoder = fr_decoder_new(s->registry, MOST_BYTES, name_of, NULL);
    s->b = fr_batch_new(MOST_EVENTS, MOST_BYTES);
    s->back = fr_batch_new(MOST_EVENTS, MOST_BYTES);
    return FR_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void tear_down(stage *s)
{
    fr_batch_free(s->back);
    fr_batch_free(s->b);
    fr_decoder_free(s->decoder);
    fr_encoder_free(s->encoder);
    fr_router_free(s->router);
    fr_registry_close(s->registry);
    fr_table_unref(s->table);
    if (s->dir[0] != '\0')
        (void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- in ------------------------------------------------------------------------------------ */

static fr_rc check_nulls(stage *s, const char *which, const fr_value *values)
{
    for (size_t i = 0; i < s->table->column_count; i++) {
        if (values[i].kind != FR_NULL || s->table->columns[i].nullable)
            continue;
        fr_fail(s->err, FR_ERR_CONFIG, "%s: %s.given.%s: column %.*s is NULL, and cannot be",
                s->t->test->place, s->t->test->path, which, FR_ARG(s->table->columns[i].name));
        fr_fail_code(s->err, "test.value");
        return fr_fail_hint(s->err, "give it a value, or leave not null out of given.types");
    }
    return FR_OK;
}

/* What is not said is NULL. Where only the key of an old row is logged, that says nothing: so does
 * the table (full_before). */
static fr_rc fill_row(stage *s, const char *which, const fr_cells *cells, fr_row *out)
{
    if (!cells->said)
        return FR_OK;
    fr_value *values = fr_batch_row(s->b, s->table, out);
    for (size_t i = 0; i < s->table->column_count; i++)
        values[i].kind = FR_NULL;
    for (size_t i = 0; i < cells->count; i++) {
        const fr_cell *c = &cells->items[i];
        int at = fr_table_find(s->table, fr_cstr(c->name));
        if (c->text == NULL)
            values[at].kind = FR_NULL;
        else if (fr_trial_value(s->b->arena, &s->table->columns[at], fr_cstr(c->text), &values[at],
                                s->err) == FR_FAIL)
            return fr_fail_in(s->err, "%s: %s.given.%s.%s", s->t->test->place, s->t->test->path,
                              which, c->name);
    }
    bool key_only = cells == &s->t->test->before && !s->table->full_before;
    return key_only ? FR_OK : check_nulls(s, which, values);
}

static fr_rc fill(stage *s)
{
    const fr_test *test = s->t->test;
    fr_batch_add(s->b, FR_OP_TABLE, s->table);
    fr_event *e = fr_batch_add(s->b, test->op, s->table);
    e->position = (fr_position){.lsn = 1, .resume = FR_STR("{}")};
    FR_TRY(fill_row(s, "before", &test->before, &e->before));
    return fill_row(s, "after", &test->after, &e->after);
}

/* ---- out ----------------------------------------------------------------------------------- */

static void add_cell(fr_trial *t, fr_trial_cells *cells, size_t most, const fr_column *c,
                     const fr_value *v)
{
    if (cells->items == NULL)
        cells->items = fr_arena_alloc(t->arena, (most + 1) * sizeof(*cells->items));
    if (v->kind == FR_ABSENT)
        return;
    fr_trial_cell *cell = &cells->items[cells->count++];
    *cell = (fr_trial_cell){.name = c->name, .null = v->kind == FR_NULL, .column = c};
    if (!cell->null)
        cell->text = fr_arena_str(t->arena, fr_trial_text(t->arena, c, v));
}

static void set_cells(fr_trial *t, const fr_table *table, const fr_row *row, fr_trial_cells *out)
{
    for (size_t i = 0; i < row->count; i++)
        add_cell(t, out, row->count, &table->columns[i], &row->values[i]);
}

/* Members of a JSON object, as texts. */
static void set_members(fr_trial *t, const json_t *j, const fr_table *table, fr_trial_cells *out)
{
    const char *key;
    json_t *v;
    out->items = fr_arena_alloc(t->arena, (json_object_size(j) + 1) * sizeof(*out->items));
    json_object_foreach((json_t *)j, key, v)
    {
        fr_trial_cell *cell = &out->items[out->count++];
        fr_str name = fr_avro_name_back(t->arena, fr_arena_str(t->arena, fr_cstr(key)));
        *cell = (fr_trial_cell){.name = name, .null = json_is_null(v)};
        int at = table == NULL ? -1 : fr_table_find(table, name);
        cell->column = at < 0 ? NULL : &table->columns[at];
        if (json_is_string(v)) {
            cell->text = fr_arena_str(t->arena, fr_cstr(json_string_value(v)));
        } else if (!cell->null) {
            char *dump = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
            cell->text = fr_arena_str(t->arena, fr_cstr(dump));
            free(dump);
        }
    }
}

static const char *op_name(fr_op op)
{
    return op == FR_OP_INSERT   ? "insert"
           : op == FR_OP_UPDATE ? "update"
           : op == FR_OP_DELETE ? "delete"
           : op == FR_OP_READ   ? "read"
                                : "another";
}

static fr_trial_event *add_event(fr_trial *t, const fr_message *m, const char *op)
{
    fr_trial_event *e = &t->events[t->event_count++];
    *e = (fr_trial_event){.op = op, .topic = fr_arena_str(t->arena, m->topic)};
    return e;
}

/* The key as its reader has it. */
static fr_rc read_key(stage *s, const fr_message *m, const fr_table *table, fr_trial_event *e)
{
    fr_str schema, text;
    json_t *j;
    int32_t id;
    if (m->key.ptr == NULL || !fr_wire_id(m->key, &id))
        return FR_OK;
    FR_TRY(fr_registry_schema(s->registry, id, &schema, s->err));
    FR_TRY(fr_avro_to_json(s->t->arena, schema, fr_wire_body(m->key), &text, s->err));
    FR_TRY(fr_json_parse(text, &j, s->err));
    set_members(s->t, j, table, &e->key);
    json_decref(j);
    return FR_OK;
}

static fr_rc take_event(stage *s, const fr_message *m, const fr_event *from)
{
    fr_trial *t = s->t;
    fr_trial_event *e = add_event(t, m, op_name(from->op));
    t->tables[t->table_count++] = fr_table_ref(from->table);
    set_cells(t, from->table, &from->before, &e->before);
    set_cells(t, from->table, &from->after, &e->after);
    return read_key(s, m, from->table, e);
}

/* An outbox's message is what its writer wrote: members of a JSON object, or nothing to look at. */
static void take_raw(stage *s, const fr_message *m)
{
    fr_trial *t = s->t;
    json_t *j = NULL;
    fr_err ignored;
    const char *column = s->place.table->outbox.key;
    fr_trial_event *e = add_event(t, m, m->payload.ptr == NULL ? "delete" : "insert");
    if (column != NULL && m->key.ptr != NULL) {
        e->key.items = fr_arena_alloc(t->arena, sizeof(*e->key.items));
        e->key.items[e->key.count++] =
            (fr_trial_cell){.name = fr_cstr(column), .text = fr_arena_str(t->arena, m->key)};
    }
    if (m->payload.ptr != NULL && fr_json_parse(m->payload, &j, &ignored) == FR_OK &&
        json_is_object(j))
        set_members(t, j, NULL, &e->after);
    json_decref(j);
}

static fr_rc take_message(stage *s, size_t i)
{
    fr_message *m = fr_batch_message(s->back);
    size_t before = s->back->count;
    *m = s->b->messages[i];
    m->partition = 0;
    m->offset = (int64_t)i;
    if (s->place.table->outbox.on) {
        take_raw(s, m);
        return FR_OK;
    }
    fr_rc rc = fr_decode(s->decoder, s->back, s->back->message_count - 1, s->err);
    for (size_t k = before; rc == FR_OK && k < s->back->count; k++)
        if (s->back->events[k].op != FR_OP_TABLE)
            rc = take_event(s, m, &s->back->events[k]);
    return rc;
}

static fr_rc pass(stage *s)
{
    fr_trial *t = s->t;
    size_t done;
    FR_TRY(set_up(s));
    FR_TRY(fill(s));
    t->failed = fr_encode(s->encoder, s->b, 0, s->b->count, &done, s->err) == FR_FAIL;
    if (t->failed && (t->err.kind == FR_ERR_CONFIG || t->err.kind == FR_ERR_DATA ||
                      t->err.kind == FR_ERR_SCHEMA))
        return FR_OK; /* perhaps it is expected */
    if (t->failed)
        return FR_FAIL;
    size_t most = s->b->message_count + MOST_EVENTS;
    t->events = fr_arena_alloc(t->arena, most * sizeof(*t->events));
    t->tables = fr_arena_alloc(t->arena, most * sizeof(*t->tables));
    for (size_t i = 0; i < s->b->message_count; i++)
        FR_TRY(take_message(s, i));
    return FR_OK;
}

void fr_trial_run(const fr_config *config, const fr_test *test, fr_arena *a, fr_trial *out)
{
    int64_t begun = fr_now_us();
    *out = (fr_trial){.test = test, .arena = a};
    stage s = {.config = config, .t = out, .err = &out->err};
    if (pass(&s) == FR_FAIL) {
        out->failed = true;
        out->verdict = FR_TRIAL_BAD;
    } else {
        fr_trial_judge(out);
    }
    tear_down(&s);
    out->took_us = fr_now_us() - begun;
}

void fr_trial_close(fr_trial *t)
{
    for (size_t i = 0; i < t->table_count; i++)
        fr_table_unref(t->tables[i]);
    t->table_count = 0;
}
