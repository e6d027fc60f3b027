/* Drives a sink of any type from a script: one JSON command a line on stdin, one JSON
 * answer a line on stdout. Tests decide what happens between two calls.
 *
 *   {"do":"open","as":"a","type":"postgres","dsn":...,"write_mode":0,...}   numbers as in
 *       fr_sink_settings; texts of the connector's own options by their names
 *   {"do":"table","as":"t","name":...,"columns":[{"name":..,"kind":"INT32","key":1},...]}
 *   {"do":"prepare","sink":"a","table":"t","create":true,"plan_only":false}
 *   {"do":"claim","sink":"a","offsets":[["topic",0],...]}
 *   {"do":"apply","sink":"a","events":[["c","t",{row}],["u","t",{after},{before}],["d","t",{key}],
 *       ["t","t"],["TABLE","t"],...],"from":0,"position":[epoch,lsn]}  a row may hold
 * "$at":[e,l,o], "$foreign":true, and when it was, "$us"; "offset":n is that of the first event
 * (else they count on), "partition" theirs, and the answer's "next" the offset after the last
 *   {"do":"commit","sink":"a","offsets":[["topic",0,17],...]}
 *   rollback, close, status, check, park and unpark (topic, key), parked (topic), interrupt_in (ms)
 *
 * A column that a row leaves out is absent. DECIMAL as text, BYTES as hex, others as they are. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "connect/sink.h"
#include "connectors/list.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct opened {
    fr_sink_settings settings;
    void *config;
    const fr_sink_ops *ops;
    fr_sink *sink;
    json_t *command; /* owns the texts of the settings */
    fr_arena *texts; /* as well */
} opened;

typedef struct probe {
    fr_map *sinks, *tables;
    int64_t offset; /* of the next event */
    int32_t partition;
} probe;

static fr_str text_of(const json_t *j)
{
    return (fr_str){json_string_value(j), json_string_length(j)};
}

static const char *str(const json_t *j, const char *name, const char *fallback)
{
    const char *s = json_string_value(json_object_get(j, name));
    return s != NULL ? s : fallback;
}

static json_int_t num(const json_t *j, const char *name, json_int_t fallback)
{
    const json_t *v = json_object_get(j, name);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static json_t *error_of(const fr_err *err)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind", fr_err_kind_name(err->kind), "code",
                     err->code, "text", err->text, "hint", fr_err_hint(err), "sqlstate",
                     err->sqlstate, "native", err->native);
}

static json_t *answer(fr_rc rc, const fr_err *err)
{
    json_t *a = json_object();
    json_object_set_new(a, "ok", json_boolean(rc != FR_FAIL));
    if (rc == FR_FAIL)
        json_object_set_new(a, "error", error_of(err));
    return a;
}

/* ---- tables and values ---- */

static fr_kind kind_of(const char *name)
{
    for (int k = 0; k < FR_KIND_COUNT; k++)
        if (strcmp(fr_kind_name((fr_kind)k), name) == 0)
            return (fr_kind)k;
    fprintf(stderr, "probe: no kind %s\n", name);
    exit(2);
}

static json_t *do_table(probe *p, const json_t *c)
{
    const json_t *list = json_object_get(c, "columns"), *column;
    size_t i;
    fr_column *columns = fr_malloc((json_array_size(list) + 1) * sizeof(fr_column));
    json_array_foreach(list, i, column)
    {
        columns[i].name = text_of(json_object_get(column, "name"));
        columns[i].kind = kind_of(str(column, "kind", "TEXT"));
        columns[i].key_ordinal = (uint16_t)num(column, "key", 0);
        columns[i].precision = (int16_t)num(column, "precision", 0);
        columns[i].scale = (int16_t)num(column, "scale", 0);
        columns[i].span = json_is_true(json_object_get(column, "span"));
        columns[i].native_type = fr_cstr(str(column, "native", ""));
        columns[i].nullable =
            columns[i].key_ordinal == 0 && !json_is_false(json_object_get(column, "nullable"));
    }
    fr_table like = {.space = fr_cstr(str(c, "space", "")),
                     .name = text_of(json_object_get(c, "name")),
                     .column_count = json_array_size(list),
                     .columns = columns,
                     .version = (uint32_t)num(c, "version", 1),
                     .foreign = json_is_true(json_object_get(c, "foreign"))};
    const fr_table *t = fr_table_new(&like);
    free(columns);
    fr_table_unref(fr_map_set(p->tables, fr_cstr(str(c, "as", "t")), (void *)(uintptr_t)t));
    return answer(FR_OK, NULL);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static double real_of(const json_t *j)
{
    return json_is_string(j) ? strtod(json_string_value(j), NULL) : json_number_value(j);
}

static void value_of(fr_batch *b, const fr_column *c, const json_t *j, fr_value *v)
{
    fr_err err;
    fr_str text = json_is_string(j) ? fr_arena_str(b->arena, text_of(j)) : FR_STR("");
    v->kind = json_is_null(j) ? FR_NULL : c->kind;
    switch (v->kind) {
    case FR_NULL:
        break;
    case FR_BOOL:
        v->boolean = json_is_true(j);
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        v->real = real_of(j);
        break;
    case FR_DECIMAL:
        if (fr_decimal_from_text(b->arena, text, 0, c->scale, &v->bytes, &err) == FR_FAIL) {
            fprintf(stderr, "probe: %s\n", err.text);
            exit(2);
        }
        break;
    case FR_BYTES: {
        char *bytes = fr_arena_alloc(b->arena, text.len / 2 + 1);
        for (size_t i = 0; i + 1 < text.len; i += 2)
            bytes[i / 2] = (char)(nibble(text.ptr[i]) << 4 | nibble(text.ptr[i + 1]));
        v->bytes = (fr_str){bytes, text.len / 2};
        break;
    }
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        v->bytes = text;
        break;
    default:
        v->integer = json_integer_value(j);
    }
}

static void row_of(fr_batch *b, const fr_table *t, const json_t *j, fr_row *out)
{
    if (!json_is_object(j))
        return;
    fr_value *values = fr_batch_row(b, t, out);
    for (size_t i = 0; i < t->column_count; i++) {
        char *name = fr_arena_cstr(b->arena, t->columns[i].name);
        const json_t *v = json_object_get(j, name);
        if (v != NULL)
            value_of(b, &t->columns[i], v, &values[i]);
    }
}

static fr_op op_of(const char *name)
{
    static const struct {
        const char *name;
        fr_op op;
    } ops[] = {{"r", FR_OP_READ},      {"c", FR_OP_INSERT},      {"u", FR_OP_UPDATE},
               {"d", FR_OP_DELETE},    {"t", FR_OP_TRUNCATE},    {"TABLE", FR_OP_TABLE},
               {"BEGIN", FR_OP_BEGIN}, {"COMMIT", FR_OP_COMMIT}, {"HB", FR_OP_HEARTBEAT}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(ops[i].name, name) == 0)
            return ops[i].op;
    fprintf(stderr, "probe: no op %s\n", name);
    exit(2);
}

static void event_of(probe *p, fr_batch *b, const json_t *j, const json_t *position)
{
    fr_op op = op_of(json_string_value(json_array_get(j, 0)));
    const char *table = json_string_value(json_array_get(j, 1));
    const fr_table *t = table != NULL ? fr_map_get(p->tables, fr_cstr(table)) : NULL;
    const json_t *first = json_array_get(j, 2), *at = json_object_get(first, "$at");
    size_t ordinal = b->count;
    fr_event *e = fr_batch_add(b, op, t);
    e->topic = FR_STR("topic");
    e->partition = p->partition;
    e->offset = p->offset++;
    if (json_is_array(position)) {
        e->position.epoch = (uint32_t)json_integer_value(json_array_get(position, 0));
        e->position.lsn = (uint64_t)json_integer_value(json_array_get(position, 1));
        e->position.ordinal = (uint32_t)ordinal;
    }
    if (json_is_array(at)) {
        e->position.epoch = (uint32_t)json_integer_value(json_array_get(at, 0));
        e->position.lsn = (uint64_t)json_integer_value(json_array_get(at, 1));
        e->position.ordinal = (uint32_t)json_integer_value(json_array_get(at, 2));
    }
    e->foreign = json_is_true(json_object_get(first, "$foreign"));
    e->time_us = num(first, "$us", 0);
    e->unplaced = json_is_true(json_object_get(first, "$unplaced"));
    e->echo = json_is_true(json_object_get(first, "$echo"));
    if (json_object_get(first, "$bad") != NULL)
        e->bad = fr_arena_str(b->arena, text_of(json_object_get(first, "$bad")));
    if (t == NULL)
        return;
    row_of(b, t, first, op == FR_OP_DELETE ? &e->before : &e->after);
    row_of(b, t, json_array_get(j, 3), op == FR_OP_DELETE ? &e->after : &e->before);
}

/* ---- commands ---- */

/* The connector's own options: texts as they are, others as a user would write them. */
static void fill_config(opened *o, const json_t *c)
{
    fr_err err;
    for (const fr_option *option = o->ops->options; option->name != NULL; option++) {
        const char *text = str(c, option->name, option->fallback);
        if (option->type == FR_OPT_TEXT)
            *(const char **)((char *)o->config + option->offset) = text;
        else if (text != NULL &&
                 fr_option_set(option, o->texts, o->config, fr_cstr(text), &err) == FR_FAIL) {
            fprintf(stderr, "probe: %s: %s\n", option->name, err.text);
            exit(2);
        }
    }
}

static void opened_free(opened *o)
{
    json_decref(o->command);
    fr_arena_free(o->texts);
    free(o->config);
    free(o);
}

static json_t *do_open(probe *p, json_t *c, bool check_only)
{
    opened *o = fr_malloc(sizeof(*o));
    fr_err err;
    o->command = json_incref(c);
    o->ops = fr_sink_of(str(c, "type", "postgres"));
    if (o->ops == NULL) {
        fprintf(stderr, "probe: no sink %s\n", str(c, "type", ""));
        exit(2);
    }
    o->config = fr_malloc(o->ops->config_size);
    o->texts = fr_arena_new(256);
    fill_config(o, c);
    o->settings = (fr_sink_settings){
        .pipeline = str(c, "pipeline", "probe"),
        .name = str(c, "name", "sink"),
        .type = o->ops->type,
        .create = (int)num(c, "create", FR_WHEN_RUN),
        .write_mode = (int)num(c, "write_mode", FR_WRITE_UPSERT),
        .deletes = (int)num(c, "deletes", FR_DELETES_HARD),
        .truncate = (int)num(c, "truncate", FR_TRUNCATE_BLOCK),
        .add_column = (int)num(c, "add_column", FR_CHANGE_EVOLVE),
        .drop_column = (int)num(c, "drop_column", FR_CHANGE_EVOLVE),
        .change_type = (int)num(c, "change_type", FR_CHANGE_EVOLVE),
        .connector = o->config,
    };
    if (check_only) {
        fr_findings f = {.arena = fr_arena_new(0)};
        json_t *list = json_array(), *a;
        a = answer(o->ops->check(&o->settings, &f, &err), &err);
        for (size_t i = 0; i < f.count; i++)
            json_array_append_new(list,
                                  json_pack("{s:i, s:s, s:s%, s:s%}", "severity",
                                            (int)f.items[i].severity, "code", f.items[i].code,
                                            "text", f.items[i].text.ptr, f.items[i].text.len, "sql",
                                            f.items[i].sql.ptr != NULL ? f.items[i].sql.ptr : "",
                                            f.items[i].sql.len));
        json_object_set_new(a, "findings", list);
        fr_arena_free(f.arena);
        opened_free(o);
        return a;
    }
    fr_rc rc = o->ops->open(&o->settings, &o->sink, &err);
    if (rc == FR_FAIL) {
        opened_free(o);
        return answer(rc, &err);
    }
    fr_map_set(p->sinks, fr_cstr(str(c, "as", "a")), o);
    return answer(rc, &err);
}

static void opened_close(void *value)
{
    opened *o = value;
    o->sink->ops->close(o->sink);
    opened_free(o);
}

static json_t *do_prepare(probe *p, fr_sink *s, const json_t *c)
{
    fr_err err;
    fr_findings f = {.arena = fr_arena_new(0)};
    const fr_table *t = fr_map_get(p->tables, fr_cstr(str(c, "table", "t")));
    fr_rc rc = s->ops->prepare(s, t, json_is_true(json_object_get(c, "create")),
                               json_is_true(json_object_get(c, "plan_only")), &f, &err);
    json_t *a = answer(rc, &err), *list = json_array();
    for (size_t i = 0; i < f.count; i++)
        json_array_append_new(
            list,
            json_pack("{s:i, s:s, s:s%, s:s%}", "severity", (int)f.items[i].severity, "code",
                      f.items[i].code, "text", f.items[i].text.ptr, f.items[i].text.len, "sql",
                      f.items[i].sql.ptr != NULL ? f.items[i].sql.ptr : "", f.items[i].sql.len));
    json_object_set_new(a, "findings", list);
    fr_arena_free(f.arena);
    return a;
}

static json_t *do_apply(probe *p, fr_sink *s, const json_t *c)
{
    fr_err err;
    const json_t *list = json_object_get(c, "events"), *j;
    size_t i, applied = 0;
    fr_batch *b = fr_batch_new(1000000, (size_t)1 << 30);
    p->offset = num(c, "offset", p->offset);
    p->partition = (int32_t)num(c, "partition", 0);
    json_array_foreach(list, i, j) event_of(p, b, j, json_object_get(c, "position"));
    size_t from = (size_t)num(c, "from", 0);
    int64_t began = fr_now_us();
    fr_rc rc = s->ops->apply(s, b, from, b->count, &applied, &err);
    json_t *a = answer(rc, &err);
    json_object_set_new(a, "applied", json_integer((json_int_t)applied));
    json_object_set_new(a, "next", json_integer(p->offset));
    json_object_set_new(a, "us", json_integer(fr_now_us() - began));
    fr_batch_free(b);
    return a;
}

static json_t *do_offsets(fr_sink *s, const json_t *c, bool claim)
{
    fr_err err;
    const json_t *list = json_object_get(c, "offsets"), *j;
    size_t i;
    fr_offsets o = {.items = fr_malloc((json_array_size(list) + 1) * sizeof(fr_offset)),
                    .count = json_array_size(list)};
    json_array_foreach(list, i, j)
    {
        o.items[i] = (fr_offset){text_of(json_array_get(j, 0)),
                                 (int32_t)json_integer_value(json_array_get(j, 1)),
                                 json_integer_value(json_array_get(j, 2)), ""};
        const char *id = json_string_value(json_array_get(j, 3));
        snprintf(o.items[i].topic_id, FR_TOPIC_ID_SIZE, "%s", id == NULL ? "" : id);
    }
    fr_rc rc = claim ? s->ops->claim(s, &o, &err) : s->ops->commit(s, &o, &err);
    json_t *a = answer(rc, &err), *next = json_array(), *ids = json_array();
    for (i = 0; i < o.count; i++) {
        json_array_append_new(next, json_integer(o.items[i].next));
        json_array_append_new(ids, json_string(o.items[i].topic_id));
    }
    json_object_set_new(a, "ids", ids);
    json_object_set_new(a, "next", next);
    free(o.items);
    return a;
}

static json_t *do_parked(fr_sink *s, const json_t *c)
{
    fr_err err;
    fr_str *keys = NULL;
    size_t count = 0;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = s->ops->parked(s, a, fr_cstr(str(c, "topic", "")), &keys, &count, &err);
    json_t *out = answer(rc, &err), *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_stringn(keys[i].ptr, keys[i].len));
    json_object_set_new(out, "keys", list);
    fr_arena_free(a);
    return out;
}

typedef struct later {
    fr_sink *sink;
    int64_t us;
} later;

static void *interrupt_later(void *context)
{
    later l = *(later *)context;
    free(context);
    fr_sleep_us(l.us);
    l.sink->ops->interrupt(l.sink);
    return NULL;
}

static json_t *do_interrupt(fr_sink *s, const json_t *c)
{
    pthread_t thread;
    later *l = fr_malloc(sizeof(*l));
    *l = (later){s, num(c, "ms", 0) * 1000};
    pthread_create(&thread, NULL, interrupt_later, l);
    pthread_detach(thread);
    return answer(FR_OK, NULL);
}

static json_t *do_status(fr_sink *s)
{
    fr_status st;
    s->ops->status(s, &st);
    json_t *a = answer(FR_OK, NULL);
    json_object_set_new(a, "connected", json_boolean(st.connected));
    return a;
}

static json_t *command(probe *p, json_t *c)
{
    fr_err err;
    const char *what = str(c, "do", "");
    if (strcmp(what, "open") == 0 || strcmp(what, "check") == 0)
        return do_open(p, c, what[0] == 'c');
    if (strcmp(what, "table") == 0)
        return do_table(p, c);
    fr_str name = fr_cstr(str(c, "sink", "a"));
    opened *o = fr_map_get(p->sinks, name);
    if (o == NULL) {
        fr_fail(&err, FR_ERR_BUG, "no such sink");
        return answer(FR_FAIL, &err);
    }
    fr_sink *s = o->sink;
    if (strcmp(what, "prepare") == 0)
        return do_prepare(p, s, c);
    if (strcmp(what, "apply") == 0)
        return do_apply(p, s, c);
    if (strcmp(what, "claim") == 0 || strcmp(what, "commit") == 0)
        return do_offsets(s, c, what[1] == 'l');
    if (strcmp(what, "rollback") == 0)
        return answer(s->ops->rollback(s, &err), &err);
    if (strcmp(what, "park") == 0)
        return answer(
            s->ops->park(s, fr_cstr(str(c, "topic", "")), text_of(json_object_get(c, "key")), &err),
            &err);
    if (strcmp(what, "unpark") == 0)
        return answer(s->ops->unpark(s, fr_cstr(str(c, "topic", "")),
                                     text_of(json_object_get(c, "key")), &err),
                      &err);
    if (strcmp(what, "parked") == 0)
        return do_parked(s, c);
    if (strcmp(what, "interrupt_in") == 0)
        return do_interrupt(s, c);
    if (strcmp(what, "status") == 0)
        return do_status(s);
    if (strcmp(what, "close") == 0) {
        opened_close(fr_map_remove(p->sinks, name));
        return answer(FR_OK, NULL);
    }
    fprintf(stderr, "probe: no command %s\n", what);
    exit(2);
}

static void table_release(void *value)
{
    fr_table_unref(value);
}

int main(void)
{
    probe p = {fr_map_new(), fr_map_new(), 0, 0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        json_error_t why;
        json_t *c = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, &why);
        if (c == NULL) {
            fprintf(stderr, "probe: %s\n", why.text);
            return 2;
        }
        json_t *a = command(&p, c);
        json_dumpf(a, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(a);
        json_decref(c);
    }
    free(line);
    fr_map_free(p.sinks, opened_close);
    fr_map_free(p.tables, table_release);
    return 0;
}
