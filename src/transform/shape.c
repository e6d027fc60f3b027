#include "transform/shape.h"
#include "base/bytes.h"
#include "base/map.h"
#include "transform/derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "header:"

const char fr_shape_message_words[] =
    "topic, partition, offset, timestamp, committed, op, or header:NAME";

typedef struct shape { /* of one version of a topic's table */
    fr_route route;    /* its fields are what the target gets */
    const fr_topic_settings *rules;
    const fr_table *table; /* the target's; NULL: the rules do not go with it, and why */
    fr_err why;
} shape;

struct fr_shaper {
    const fr_sink_settings *settings;
    fr_arena *arena;
    fr_map *shapes;  /* by the decoded table's serial */
    fr_map *targets; /* space NUL name -> who fills it */
    fr_derive_tools tools;
};

fr_shaper *fr_shaper_new(const fr_sink_settings *settings)
{
    fr_shaper *s = fr_malloc(sizeof *s);
    *s = (fr_shaper){.settings = settings,
                     .arena = fr_arena_new(0),
                     .shapes = fr_map_new(),
                     .targets = fr_map_new()};
    s->tools.mask_key = settings->mask_key;
    return s;
}

static void release(void *value)
{
    shape *p = value;
    if (p->route.table != p->route.source)
        fr_table_unref(p->route.table);
    fr_table_unref(p->route.source);
    fr_table_unref(p->table);
}

void fr_shaper_free(fr_shaper *s)
{
    if (s == NULL)
        return;
    fr_map_free(s->shapes, release);
    fr_map_free(s->targets, NULL);
    fr_derive_tools_close(&s->tools);
    fr_arena_free(s->arena);
    free(s);
}

/* ---- what a message says of itself ---- */

static const struct {
    const char *what;
    fr_kind kind;
} message_kinds[] = {{"topic", FR_TEXT}, {"partition", FR_INT32},     {"offset", FR_INT64},
                     {"op", FR_TEXT},    {"timestamp", FR_TIMESTAMP}, {"committed", FR_TIMESTAMP}};

fr_kind fr_shape_message_kind(const char *what)
{
    for (size_t i = 0; i < sizeof message_kinds / sizeof *message_kinds; i++)
        if (strcmp(what, message_kinds[i].what) == 0)
            return message_kinds[i].kind;
    bool header = strncmp(what, HEADER, strlen(HEADER)) == 0 && what[strlen(HEADER)] != '\0';
    return header ? FR_TEXT : FR_NULL;
}

/* The last one of the name counts, as Kafka's own clients have it. */
static fr_rc header_value(const fr_message *m, const char *name, fr_value *v, fr_err *err)
{
    for (size_t i = m->header_count; i-- > 0;) {
        const fr_header *h = &m->headers[i];
        if (strcmp(h->name, name) != 0)
            continue;
        if (h->value.ptr == NULL)
            return FR_OK;
        if (!fr_utf8_valid(h->value)) {
            fr_fail(err, FR_ERR_DATA, "columns.message: header %s is no UTF-8 text", name);
            fr_fail_code(err, "message.header");
            return fr_fail_hint(err, "take the header out of columns.message");
        }
        *v = (fr_value){.kind = FR_TEXT, .bytes = h->value};
        return FR_OK;
    }
    return FR_OK;
}

static fr_str op_text(fr_op op)
{
    static const char *const letters[] = {
        [FR_OP_READ] = "r", [FR_OP_INSERT] = "c", [FR_OP_UPDATE] = "u", [FR_OP_DELETE] = "d"};
    return op <= FR_OP_DELETE ? fr_cstr(letters[op]) : FR_STR("");
}

/* in: the event as it was decoded. *v is NULL, and stays so where it is not said. */
static fr_rc message_value(const char *what, const fr_event *in, const fr_message *m, fr_value *v,
                           fr_err *err)
{
    int64_t at = in->txn != NULL ? in->txn->commit_us : in->time_us;
    fr_kind kind = fr_shape_message_kind(what);
    if (strncmp(what, HEADER, strlen(HEADER)) == 0)
        return header_value(m, what + strlen(HEADER), v, err);
    if (strcmp(what, "topic") == 0)
        *v = (fr_value){.kind = kind, .bytes = m->topic};
    else if (strcmp(what, "op") == 0)
        *v = (fr_value){.kind = kind, .bytes = op_text(in->op)};
    else if (strcmp(what, "partition") == 0)
        *v = (fr_value){.kind = kind, .integer = m->partition};
    else if (strcmp(what, "offset") == 0)
        *v = (fr_value){.kind = kind, .integer = m->offset};
    else if (strcmp(what, "committed") == 0 && at != 0)
        *v = (fr_value){.kind = kind, .integer = at};
    else if (strcmp(what, "timestamp") == 0 && m->timestamp_ms > 0)
        *v = (fr_value){.kind = kind, .integer = m->timestamp_ms * 1000};
    return FR_OK;
}

/* ---- compiling ---- */

static fr_rc refuse(const shape *p, const char *code, const char *key, const char *name,
                    const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: topic %.*s: %s: %s %s", p->rules->shape.place,
            FR_ARG(p->route.topic), key, name, what);
    return fr_fail_code(err, code);
}

static fr_rc no_column(const shape *p, const char *key, const char *name, fr_err *err)
{
    refuse(p, "config.unknown_column", key, name, "is no field of its rows", err);
    const fr_column *near = fr_table_nearest(p->route.source, fr_cstr(name));
    if (near != NULL)
        return fr_fail_hint(err, "did you mean %.*s?", FR_ARG(near->name));
    return fr_fail_hint(err,
                        "correct %s; rules for a pattern (\"/^...$/\") may name fields that "
                        "some of its rows have not",
                        key);
}

static fr_rc check_list(const shape *p, const char *key, const fr_texts *names, fr_err *err)
{
    for (size_t i = 0; i < names->count; i++)
        if (fr_table_find(p->route.source, fr_cstr(names->items[i])) < 0)
            return no_column(p, key, names->items[i], err);
    return FR_OK;
}

static fr_rc check_pairs(const shape *p, const char *key, const fr_pairs *pairs, fr_err *err)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (fr_table_find(p->route.source, fr_cstr(pairs->items[i].name)) < 0)
            return no_column(p, key, pairs->items[i].name, err);
    return FR_OK;
}

static fr_rc check_types(const shape *p, fr_err *err)
{
    const fr_pairs *types = &p->rules->shape.column_types;
    for (size_t i = 0; i < types->count; i++) {
        const char *name = types->items[i].name;
        if (fr_pairs_get(&p->rules->shape.column_derive, fr_cstr(name)) != NULL)
            continue;
        refuse(p, "config.types", "columns.types", name, "is no field of columns.derive", err);
        return fr_fail_hint(err, "a column's type is that of its message: derive another field "
                                 "from it, with CAST");
    }
    return FR_OK;
}

/* As the source side has it: what a pattern leaves out, renames or masks need not be everywhere. */
static fr_rc check_names(const shape *p, fr_err *err)
{
    const fr_table_settings *t = &p->rules->shape;
    FR_TRY(check_types(p, err));
    FR_TRY(check_list(p, "columns.include", &t->columns_include, err));
    if (t->regex != NULL)
        return FR_OK;
    FR_TRY(check_list(p, "columns.exclude", &t->columns_exclude, err));
    FR_TRY(check_pairs(p, "columns.rename", &t->column_rename, err));
    return check_pairs(p, "columns.mask", &t->column_mask, err);
}

static void set_fields(fr_shaper *s, shape *p)
{
    fr_route *r = &p->route;
    const fr_table_settings *t = r->settings;
    r->fields = fr_arena_alloc(s->arena, (r->table->column_count + 1) * sizeof *r->fields);
    for (size_t i = 0; i < r->table->column_count; i++) {
        fr_str name = fr_route_name(r, i);
        bool taken = (t->columns_include.count == 0 || fr_texts_have(&t->columns_include, name)) &&
                     !fr_texts_have(&t->columns_exclude, name);
        if (taken || fr_route_derived(r, i))
            r->fields[r->field_count++] = (uint16_t)i;
    }
}

static bool has_field(const fr_route *r, size_t column)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i] == column)
            return true;
    return false;
}

/* Rows are found by the key, so that all of it must be there, and stay different. */
static fr_rc check_key(const fr_shaper *s, shape *p, bool *whole, fr_err *err)
{
    const fr_route *r = &p->route;
    *whole = true;
    for (size_t i = 0; i < r->source->column_count; i++) {
        const fr_column *c = &r->source->columns[i];
        const fr_mask *mask = fr_derive_mask_of(r, i);
        bool there = has_field(r, i);
        if (c->key_ordinal == 0 || (there && (mask == NULL || mask->kind == FR_MASK_HASH)))
            continue;
        *whole = false;
        if (s->settings->write_mode == FR_WRITE_APPEND)
            continue;
        char name[128];
        snprintf(name, sizeof name, "%.*s", FR_ARG(c->name));
        refuse(p, "config.key", there ? "columns.mask" : "columns", name,
               there ? "is part of the key, and its mask makes keys equal that are not"
                     : "is part of the key, and is left out",
               err);
        return fr_fail_hint(err, there ? "use hash for it, or write.mode: append"
                                       : "keep it (columns.rename and mask: hash may change how it "
                                         "looks), or use write.mode: append");
    }
    return FR_OK;
}

static bool says_topic(const fr_topic_settings *rules, fr_str column)
{
    const char *what = fr_pairs_get(&rules->message, column);
    return what != NULL && strcmp(what, "topic") == 0;
}

/* topics.<t>.key. A delete says its key and its topic, and nothing else of its row. */
static fr_rc set_key(const shape *p, fr_column *columns, size_t count, fr_err *err)
{
    const fr_texts *key = &p->rules->shape.key;
    char name[128];
    size_t left = 0;
    for (size_t i = 0; key->count > 0 && i < count; i++) {
        int at = fr_texts_find(key, columns[i].name);
        bool own = columns[i].key_ordinal > 0;
        bool told = i >= p->route.field_count && says_topic(p->rules, columns[i].name);
        snprintf(name, sizeof name, "%.*s", FR_ARG(columns[i].name));
        if (at < 0 && own) {
            refuse(p, "config.key", "key", name, "is part of the messages' key, and not of it",
                   err);
            return fr_fail_hint(err, "add it: two rows of the topic may differ in it alone");
        }
        if (at < 0)
            continue;
        if (!own && !told) {
            refuse(p, "config.key", "key", name, "is neither of the messages' key nor their topic",
                   err);
            return fr_fail_hint(err, "deletes do not say it: name columns of the key, and one of "
                                     "columns.message that is topic");
        }
        columns[i].key_ordinal = (uint16_t)(at + 1);
        columns[i].nullable = columns[i].nullable && !told;
        left++;
    }
    if (left == key->count)
        return FR_OK;
    refuse(p, "config.key", "key", "a column", "is not there, or is named twice", err);
    return fr_fail_hint(err, "name columns as the target has them, each once");
}

static void add_message_columns(const shape *p, fr_column *columns)
{
    const fr_pairs *said = &p->rules->message;
    for (size_t i = 0; i < said->count; i++)
        columns[p->route.field_count + i] =
            (fr_column){.name = fr_cstr(said->items[i].name),
                        .kind = fr_shape_message_kind(said->items[i].value),
                        .nullable = true,
                        .native_type = FR_STR("message"),
                        .doc = FR_STR(""),
                        .fallback = FR_STR("")};
}

static fr_rc check_double(const shape *p, const fr_column *columns, size_t count, fr_err *err)
{
    fr_map *names = fr_map_new();
    fr_rc rc = FR_OK;
    for (size_t i = 0; rc == FR_OK && i < count; i++) {
        char name[128];
        if (fr_map_set(names, columns[i].name, names) == NULL)
            continue;
        snprintf(name, sizeof name, "%.*s", FR_ARG(columns[i].name));
        rc = refuse(p, "config.field", "columns", name, "would be the name of two fields", err);
        fr_fail_hint(err, "correct columns.rename and columns.message, or leave one of them out: "
                          "columns.exclude");
    }
    fr_map_free(names, NULL);
    return rc;
}

static fr_rc make_table(fr_shaper *s, shape *p, fr_err *err)
{
    const fr_route *r = &p->route;
    size_t count = r->field_count + p->rules->message.count;
    bool whole;
    FR_TRY(check_key(s, p, &whole, err));
    if (r->field_count == 0 || count > UINT16_MAX) {
        refuse(p, "config.field", "columns", r->field_count == 0 ? "no field" : "too many fields",
               r->field_count == 0 ? "is left" : "(more than 65535)", err);
        return fr_fail_hint(err, "correct columns.include and columns.exclude, or take the topic "
                                 "out of from");
    }
    fr_column *columns = fr_arena_alloc(s->arena, count * sizeof *columns);
    for (size_t i = 0; i < r->field_count; i++) {
        columns[i] = r->table->columns[r->fields[i]];
        if (!whole)
            columns[i].key_ordinal = 0;
    }
    add_message_columns(p, columns);
    FR_TRY(check_double(p, columns, count, err));
    if (whole)
        FR_TRY(set_key(p, columns, count, err));
    fr_table like = *r->source;
    like.columns = columns;
    like.column_count = count;
    p->table = fr_table_new(&like);
    return FR_OK;
}

static fr_rc compile(fr_shaper *s, shape *p, fr_err *err)
{
    FR_TRY(check_names(p, err));
    if (fr_derive_wanted(p->route.settings))
        FR_TRY(fr_derive_compile(s->arena, &s->tools, &p->route, err));
    set_fields(s, p);
    return make_table(s, p, err);
}

/* NULL: there are no rules for the topic. */
static fr_rc shape_of(fr_shaper *s, fr_str topic, const fr_table *in, shape **out, fr_err *err)
{
    const fr_topic_settings *rules = NULL;
    *out = NULL;
    if (s->settings->topic_count == 0)
        return FR_OK;
    shape *p = fr_map_get_u64(s->shapes, in->serial);
    if (p == NULL) {
        FR_TRY(fr_sink_topic(s->settings, topic, &rules, err));
        p = fr_arena_alloc(s->arena, sizeof *p);
        p->rules = rules;
        p->route = (fr_route){.table = in,
                              .source = fr_table_ref(in),
                              .settings = rules == NULL ? NULL : &rules->shape,
                              .sink = s->settings,
                              .topic = fr_arena_str(s->arena, topic)};
        fr_map_set_u64(s->shapes, in->serial, p);
        if (rules != NULL)
            (void)compile(s, p, &p->why);
    }
    if (p->rules == NULL)
        return FR_OK;
    *out = p;
    if (p->table != NULL)
        return FR_OK;
    *err = p->why;
    return FR_FAIL;
}

typedef struct filler { /* of a target's table: the first topic that we met */
    fr_str topic;
    bool keyed; /* the rules say what its rows are found by */
} filler;

/* Rows of two topics under one key would overwrite each other. */
static fr_rc claim(fr_shaper *s, fr_str topic, const fr_table *t, const shape *p, fr_err *err)
{
    bool keyed = p != NULL && p->rules->shape.key.count > 0;
    if (s->settings->write_mode == FR_WRITE_APPEND)
        return FR_OK;
    fr_str name = fr_arena_printf(s->arena, "%.*s%c%.*s", FR_ARG(t->space), 0, FR_ARG(t->name));
    filler *f = fr_map_get(s->targets, name);
    if (f == NULL) {
        f = fr_arena_alloc(s->arena, sizeof *f);
        *f = (filler){fr_arena_str(s->arena, topic), keyed};
        fr_map_set(s->targets, name, f);
    }
    if (fr_str_eq(f->topic, topic) || (f->keyed && keyed))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: topics %.*s and %.*s go into one table, %.*s%s%.*s",
            s->settings->place != NULL ? s->settings->place : "configuration", FR_ARG(f->topic),
            FR_ARG(topic), FR_ARG(t->space), t->space.len > 0 ? "." : "", FR_ARG(t->name));
    fr_fail_code(err, "config.table_shared");
    return fr_fail_hint(err, "give each its own (into), or say in topics.<topic>.key of both what "
                             "tells their rows apart: docs/expressions.md");
}

fr_rc fr_shaper_table(fr_shaper *s, fr_str topic, const fr_table *in, const fr_table **out,
                      const fr_route **route_out, fr_err *err)
{
    shape *p;
    FR_TRY(shape_of(s, topic, in, &p, err));
    *out = p == NULL ? in : p->table;
    *route_out = p == NULL ? NULL : &p->route;
    return claim(s, topic, *out, p, err);
}

/* ---- running ---- */

typedef struct work { /* one event */
    const fr_shaper *s;
    const shape *p;
    fr_batch *b;
    const fr_message *m;
    const fr_event *in; /* as it was decoded */
} work;

/* told: with all that its message says; what is gone of a row that is kept once is its key. */
static fr_rc project(const work *w, const fr_row *row, bool told, fr_row *out, fr_err *err)
{
    const fr_route *r = &w->p->route;
    const fr_pairs *said = &w->p->rules->message;
    if (row->count == 0)
        return FR_OK;
    fr_value *values = fr_batch_row(w->b, w->p->table, out);
    for (size_t i = 0; i < r->field_count; i++)
        values[i] = row->values[r->fields[i]];
    for (size_t i = 0; i < said->count; i++) {
        fr_value *v = &values[r->field_count + i];
        if (!told && w->p->table->columns[r->field_count + i].key_ordinal == 0)
            continue;
        v->kind = FR_NULL;
        FR_TRY(message_value(said->items[i].value, w->in, w->m, v, err));
    }
    return FR_OK;
}

static fr_rc shape_row(const work *w, fr_event *e, fr_err *err)
{
    const fr_route *r = &w->p->route;
    bool append = w->s->settings->write_mode == FR_WRITE_APPEND;
    fr_row before = {0}, after = {0};
    fr_event made = *w->in;
    if (r->derive != NULL) {
        fr_rc rc = r->apply(r->derive, w->b->arena, w->in, &made, err);
        if (rc != FR_OK)
            return rc;
    }
    FR_TRY(project(w, &made.before, append && made.op == FR_OP_DELETE, &before, err));
    FR_TRY(project(w, &made.after, true, &after, err));
    *e = made;
    e->before = before;
    e->after = after;
    return FR_OK;
}

/* Which rows are the topic's, where others fill the table, too, no target is asked. */
static fr_rc check_truncate(const fr_shaper *s, const shape *p, fr_err *err)
{
    if (s->settings->truncate != FR_TRUNCATE_PUBLISH || p->rules->shape.key.count == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_DATA, "a truncate, and the table may have rows of other topics");
    fr_fail_code(err, "sink.truncate");
    return fr_fail_hint(err, "delete the topic's rows there, and set write.truncate to ignore");
}

/* FR_END: the filter leaves it out. */
static fr_rc shape_event(fr_shaper *s, fr_batch *b, size_t index, const fr_message *m, fr_err *err)
{
    fr_event *e = &b->events[index];
    shape *p;
    if (e->table == NULL)
        return FR_OK;
    FR_TRY(shape_of(s, m->topic, e->table, &p, err));
    if (e->op == FR_OP_TABLE)
        FR_TRY(claim(s, m->topic, p == NULL ? e->table : p->table, p, err));
    if (p == NULL)
        return FR_OK;
    if (e->op == FR_OP_TRUNCATE)
        FR_TRY(check_truncate(s, p, err));
    if (e->op <= FR_OP_DELETE) {
        const fr_event in = *e;
        fr_rc rc = shape_row(&(work){s, p, b, m, &in}, e, err);
        if (rc != FR_OK)
            return rc;
    }
    e->table = p->table; /* the shaper holds it longer than the batch is used */
    return FR_OK;
}

fr_rc fr_shaper_apply(fr_shaper *s, fr_batch *b, size_t from, const fr_message *m, fr_err *err)
{
    for (size_t i = from; i < b->count; i++) {
        fr_rc rc = shape_event(s, b, i, m, err);
        if (rc == FR_OK)
            continue;
        b->count = i; /* a message has one row, and it is the last of its events */
        if (rc == FR_END)
            continue;
        return err->kind != FR_ERR_DATA ? FR_FAIL
                                        : fr_fail_in(err, "topic %.*s[%d]@%lld", FR_ARG(m->topic),
                                                     (int)m->partition, (long long)m->offset);
    }
    return FR_OK;
}
