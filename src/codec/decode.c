#include "codec/avro_write.h"
#include "codec/decode_plan.h"

#include <stdlib.h>
#include <string.h>

typedef struct part {     /* what we know of a partition from the messages before */
    bool deleted;         /* the last one was our delete */
    uint64_t deleted_key; /* hash of its key */
    bool placed;          /* position is known */
    fr_position position; /* of the last row that told it */
    int64_t from;         /* what is before it was taken by who read here before us; 0: not known */
} part;

typedef struct topic {
    fr_map *readings; /* by both ids */
    fr_map *parts;
    fr_reading *last; /* the newest row's; NULL: none yet */
} topic;

struct fr_decoder {
    fr_registry *registry;
    int64_t max_row_bytes;
    fr_rc (*name)(void *context, fr_arena *a, fr_str topic, fr_str *space_out, fr_str *name_out,
                  fr_err *err);
    void *context;
    fr_map *topics;
};

typedef struct work { /* one message under way */
    fr_decoder *d;
    fr_batch *b;
    const fr_message *m;
    const fr_reading *g;
    fr_event *event;
    fr_avro_in r;
    fr_value *before, *after;
    fr_str field; /* being read, for errors */
    char op;
    fr_avro_in unavailable; /* where its items begin */
    bool lists;
    int64_t txid, ts_us; /* of source; txid -1: none */
    uint64_t commit_lsn; /* of source.sequence */
} work;

fr_decoder *fr_decoder_new(fr_registry *registry, int64_t max_row_bytes,
                           fr_rc (*name)(void *context, fr_arena *a, fr_str topic,
                                         fr_str *space_out, fr_str *name_out, fr_err *err),
                           void *context)
{
    fr_decoder *d = fr_malloc(sizeof *d);
    *d = (fr_decoder){registry, max_row_bytes, name, context, fr_map_new()};
    return d;
}

static void topic_free(void *value)
{
    topic *t = value;
    fr_map_free(t->readings, fr_reading_free);
    fr_map_free(t->parts, free);
    free(t);
}

void fr_decoder_free(fr_decoder *d)
{
    if (d == NULL)
        return;
    fr_map_free(d->topics, topic_free);
    free(d);
}

void fr_decoder_rewind(fr_decoder *d, fr_str name)
{
    size_t i = 0;
    fr_str key;
    void *v;
    topic *t = fr_map_get(d->topics, name);
    while (t != NULL && fr_map_next(t->readings, &i, &key, &v))
        ((fr_reading *)v)->announced = false;
    for (i = 0; t != NULL && fr_map_next(t->parts, &i, &key, &v);)
        *(part *)v = (part){0};
}

static topic *topic_of(fr_decoder *d, fr_str name)
{
    topic *t = fr_map_get(d->topics, name);
    if (t == NULL) {
        t = fr_malloc(sizeof *t);
        t->readings = fr_map_new();
        t->parts = fr_map_new();
        fr_map_set(d->topics, name, t);
    }
    return t;
}

static part *part_of(topic *t, int32_t partition)
{
    part *p = fr_map_get_u64(t->parts, (uint32_t)partition);
    if (p == NULL) {
        p = fr_malloc(sizeof *p);
        fr_map_set_u64(t->parts, (uint32_t)partition, p);
    }
    return p;
}

void fr_decoder_begin(fr_decoder *d, fr_str name, int32_t partition, int64_t next)
{
    *part_of(topic_of(d, name), partition) = (part){.from = next};
}

/* ---- readings ---- */

bool fr_wire_id(fr_str bytes, int32_t *id)
{
    fr_in in = fr_in_of(bytes);
    bool magic = fr_in_u8(&in) == 0;
    *id = (int32_t)fr_in_u32be(&in);
    return magic && !in.bad;
}

fr_str fr_wire_body(fr_str bytes)
{
    return (fr_str){bytes.ptr + FR_WIRE_HEADER, bytes.len - FR_WIRE_HEADER};
}

static fr_rc new_reading(fr_decoder *d, fr_str topic_name, int32_t key_id, int32_t value_id,
                         fr_str value, fr_reading **out, fr_err *err)
{
    fr_str key = {NULL, 0}, space = FR_STR(""), name = FR_STR("");
    /* A key that merely begins with byte 0 (a long, say) is somebody else's. */
    if (key_id != FR_NO_KEY && fr_registry_schema(d->registry, key_id, &key, err) == FR_FAIL) {
        if (err->kind != FR_ERR_DATA)
            return FR_FAIL;
        key_id = FR_NO_KEY;
    }
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = d->name(d->context, a, topic_name, &space, &name, err);
    if (rc != FR_FAIL)
        rc = fr_reading_new(space, name, key_id, key, value_id, value, out, err);
    fr_arena_free(a);
    return rc;
}

static fr_rc reading_of(fr_decoder *d, topic *t, fr_str name, int32_t key_id, int32_t value_id,
                        fr_reading **out, fr_err *err)
{
    uint64_t ids = (uint64_t)(uint32_t)key_id << 32 | (uint32_t)value_id;
    *out = fr_map_get_u64(t->readings, ids);
    if (*out != NULL)
        return FR_OK;
    fr_str value = {NULL, 0};
    if (value_id != 0)
        FR_TRY(fr_registry_schema(d->registry, value_id, &value, err));
    FR_TRY(new_reading(d, name, key_id, value_id, value, out, err));
    fr_map_set_u64(t->readings, ids, *out);
    return FR_OK;
}

/* ---- fields ---- */

static bool read_optional(fr_avro_in *r, const fr_avro_node *n, bool *there, int64_t *out)
{
    *there = false;
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(r, n, &n))
        return false;
    if (n->tag != FR_AVRO_INT && n->tag != FR_AVRO_LONG)
        return fr_avro_skip(r, n, 1);
    *there = true;
    return fr_avro_long(r, out);
}

static bool read_text(fr_avro_in *r, const fr_avro_node *n, fr_str *out)
{
    *out = FR_STR("");
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(r, n, &n))
        return false;
    return n->tag == FR_AVRO_STRING ? fr_avro_string(r, out) : fr_avro_skip(r, n, 1);
}

static bool read_json(fr_avro_in *r, const fr_avro_node *n, fr_value *v)
{
    fr_buf text = {.arena = r->arena};
    if (!fr_avro_json_read(r, n, &text, 1))
        return false;
    v->kind = FR_JSON;
    v->bytes = fr_buf_view(&text);
    return true;
}

/* Where a column of an old row is not known Debezium writes 0 or an empty text. Of an empty UUID
 * is made what a UUID's 0 is: every target takes it. */
static bool known_uuid(work *w, const fr_input *in, fr_value *v)
{
    if (v->kind != FR_UUID || v->bytes.len > 0)
        return true;
    v->bytes = FR_STR("00000000-0000-0000-0000-000000000000");
    return !in->key || fr_avro_bad(&w->r, "the UUID of a key is empty");
}

static bool read_input(work *w, const fr_input *in, fr_value *v)
{
    const fr_avro_node *n = in->node;
    w->field = in->field;
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(&w->r, n, &n))
        return false;
    if (n->tag == FR_AVRO_NULL) {
        v->kind = FR_NULL;
        return true;
    }
    if (in->how != FR_DBZ_READ_PLAIN)
        return fr_dbz_read(&w->r, n, in->how, v);
    if (in->scalar.kind == FR_ABSENT)
        return read_json(&w->r, n, v);
    return fr_avro_scalar_read(&w->r, n, in->scalar, v) && known_uuid(w, in, v);
}

static bool read_row(work *w, fr_value *values)
{
    for (size_t i = 0; i < w->g->row_count; i++) {
        if (!read_input(w, &w->g->inputs[i], &values[i]))
            return false;
    }
    w->field = FR_STR("");
    return true;
}

static bool read_side(work *w, const fr_avro_node *n, fr_row *row, fr_value **values)
{
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(&w->r, n, &n))
        return false;
    if (n->tag != FR_AVRO_RECORD)
        return true;
    *values = fr_batch_row(w->b, w->g->table, row);
    w->r.filled = row == &w->event->before;
    bool good = read_row(w, *values);
    w->r.filled = false;
    return good;
}

/* ["commit lsn","row's lsn"]: the first of the two is our place; see encode.c. */
static uint64_t sequence_lsn(fr_str s)
{
    uint64_t lsn = 0;
    for (size_t i = 2; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        lsn = lsn * 10 + (uint64_t)(s.ptr[i] - '0');
    return lsn;
}

static bool read_source_field(work *w, fr_role role, const fr_avro_node *n)
{
    fr_position *pos = &w->event->position;
    int64_t v = 0;
    bool there;
    fr_str text;
    if (role == FR_ROLE_NONE)
        return fr_avro_skip(&w->r, n, 1);
    if (role == FR_ROLE_SEQUENCE) {
        bool good = read_text(&w->r, n, &text);
        w->commit_lsn = sequence_lsn(text);
        return good;
    }
    if (!read_optional(&w->r, n, &there, &v))
        return false;
    if (role == FR_ROLE_EPOCH)
        pos->epoch = (uint32_t)v;
    else if (role == FR_ROLE_ORDINAL)
        pos->ordinal = (uint32_t)v;
    else if (role == FR_ROLE_LSN)
        pos->row_lsn = (uint64_t)v;
    else if (role == FR_ROLE_TXID && there)
        w->txid = v;
    else if (role == FR_ROLE_TS_US)
        w->ts_us = v;
    return true;
}

static bool read_source(work *w, const fr_avro_node *n)
{
    if (n->tag == FR_AVRO_UNION && !fr_avro_branch(&w->r, n, &n))
        return false;
    if (n != w->g->source)
        return fr_avro_skip(&w->r, n, 1);
    for (size_t i = 0; i < n->count; i++) {
        w->field = n->fields[i].name;
        if (!read_source_field(w, (fr_role)w->g->source_roles[i], n->fields[i].type))
            return false;
    }
    return true;
}

static bool read_message(work *w, const fr_avro_node *n)
{
    fr_value v = {FR_NULL, {0}};
    for (size_t i = 0; i < n->count; i++) {
        const fr_avro_node *type = n->fields[i].type;
        w->field = n->fields[i].name;
        if (type->tag != FR_AVRO_STRING && type->tag != FR_AVRO_BYTES) {
            if (!fr_avro_skip(&w->r, type, 1))
                return false;
            continue;
        }
        if (!fr_avro_scalar_read(&w->r, type, fr_avro_scalar_of(type), &v))
            return false;
        if (fr_str_is(w->field, "prefix"))
            w->event->name = v.bytes;
        else if (fr_str_is(w->field, "content"))
            w->event->body = v.bytes;
    }
    return true;
}

static bool read_field(work *w, const fr_avro_field *f, fr_role role)
{
    fr_str text;
    w->field = f->name;
    switch (role) {
    case FR_ROLE_BEFORE:
        return read_side(w, f->type, &w->event->before, &w->before);
    case FR_ROLE_AFTER:
        return read_side(w, f->type, &w->event->after, &w->after);
    case FR_ROLE_SOURCE:
        return read_source(w, f->type);
    case FR_ROLE_MESSAGE:
        return w->g->shape == FR_SHAPE_MESSAGE && f->type == w->g->row
                   ? read_message(w, f->type)
                   : fr_avro_skip(&w->r, f->type, 1);
    case FR_ROLE_OP:
        if (!read_text(&w->r, f->type, &text))
            return false;
        w->op = text.len == 1 ? text.ptr[0] : '?';
        return true;
    case FR_ROLE_UNAVAILABLE:
        w->unavailable = w->r;
        w->lists = true;
        return fr_avro_skip(&w->r, f->type, 1);
    default:
        return fr_avro_skip(&w->r, f->type, 1);
    }
}

/* ---- what follows from the fields ---- */

static bool mark_absent(work *w, fr_str name)
{
    for (size_t i = 0; i < w->g->row_count; i++) {
        if (!fr_str_eq(w->g->inputs[i].field, name))
            continue;
        if (w->after != NULL)
            w->after[i].kind = FR_ABSENT;
        return true;
    }
    w->field = FR_STR("unavailable");
    return fr_avro_bad(&w->r, "it names a field that the row does not have");
}

static bool read_unavailable(work *w)
{
    size_t count;
    fr_str name;
    fr_avro_in *r = &w->unavailable;
    while (fr_avro_block(r, &count) && count > 0) {
        for (size_t i = 0; i < count; i++) {
            if (!fr_avro_string(r, &name) || !mark_absent(w, name))
                return false;
        }
    }
    return r->why == NULL;
}

/* Debezium's own way to say that a value is not available. */
static void mark_placeholders(work *w)
{
    for (size_t i = 0; w->after != NULL && i < w->g->row_count; i++) {
        if (fr_dbz_is_placeholder(&w->after[i]))
            w->after[i].kind = FR_ABSENT;
    }
}

/* Nulls of an old row that told of nothing but the key. */
static void mark_unknown(work *w)
{
    for (size_t i = 0; w->before != NULL && i < w->g->table->column_count; i++) {
        if (w->before[i].kind == FR_NULL && !w->g->inputs[i].key)
            w->before[i].kind = FR_ABSENT;
    }
}

static bool read_key(work *w, fr_value *values)
{
    const fr_reading *g = w->g;
    fr_avro_in row = w->r;
    bool good = true;
    w->r = fr_avro_in_of(w->b->arena, fr_wire_body(w->m->key));
    for (size_t i = 0; good && i < g->key->count; i++) {
        fr_input in = g->inputs[g->key_columns[i]];
        const fr_avro_node *n = g->key->fields[i].type;
        /* The row's field may be nullable where the key's is not; kinds are the same. */
        in.node = n;
        if (n->tag == FR_AVRO_UNION && n->count == 2)
            n = n->members[n->members[0]->tag == FR_AVRO_NULL];
        fr_kind kind;
        fr_dbz_reading how = fr_dbz_reading_of(n, &kind);
        fr_avro_scalar key = fr_avro_scalar_of(n);
        if (how != in.how || (how == FR_DBZ_READ_PLAIN &&
                              (key.kind != in.scalar.kind || key.scale != in.scalar.scale)))
            good = fr_avro_bad(&w->r, "the key's type for it is not the row's");
        if (how == FR_DBZ_READ_PLAIN)
            in.scalar = key;
        w->field = in.field;
        good = good && read_input(w, &in, &values[g->key_columns[i]]);
    }
    if (good && fr_in_left(&w->r.in) > 0)
        good = fr_avro_bad(&w->r, "bytes are left over after the key");
    row.why = w->r.why;
    w->r = row;
    return good;
}

/* Columns that only the key has. */
static bool fill_from_key(work *w)
{
    const fr_reading *g = w->g;
    size_t count = g->table->column_count;
    if (count == g->row_count || (w->after == NULL && w->before == NULL))
        return true;
    fr_row row;
    fr_value *values = fr_batch_row(w->b, g->table, &row);
    if (!read_key(w, values))
        return false;
    for (size_t i = g->row_count; i < count; i++) {
        if (w->after != NULL)
            w->after[i] = values[i];
        if (w->before != NULL)
            w->before[i] = values[i];
    }
    return true;
}

static bool set_delete(work *w)
{
    w->event->op = FR_OP_DELETE;
    if (w->before != NULL)
        return true;
    if (w->g->key == NULL)
        return fr_avro_bad(&w->r, "a delete with neither an old row nor a key");
    w->before = fr_batch_row(w->b, w->g->table, &w->event->before);
    return read_key(w, w->before);
}

static bool set_op(work *w)
{
    w->field = FR_STR("op");
    switch (w->op) {
    case 'c':
        w->event->op = FR_OP_INSERT;
        break;
    case 'r':
        w->event->op = FR_OP_READ;
        break;
    case 'u':
        w->event->op = FR_OP_UPDATE;
        break;
    case 'd':
        return set_delete(w);
    case 't':
        w->event->op = FR_OP_TRUNCATE;
        w->event->before = w->event->after = (fr_row){NULL, 0};
        return true;
    default:
        return fr_avro_bad(&w->r, "not one of c, r, u, d, t");
    }
    return w->after != NULL || fr_avro_bad(&w->r, "a change without its new row");
}

static fr_str number_text(fr_arena *a, int64_t v)
{
    char text[20], *at = text + sizeof text;
    do {
        *--at = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return fr_arena_copy(a, at, (size_t)(text + sizeof text - at));
}

static void set_place(work *w)
{
    fr_position *pos = &w->event->position;
    if (!w->g->ours) {
        *pos = (fr_position){.lsn = (uint64_t)w->m->offset};
        w->event->foreign = true;
    } else {
        pos->lsn = w->commit_lsn != 0 ? w->commit_lsn : pos->row_lsn;
    }
    /* Where the message says nothing, Kafka's time is as near as can be told. */
    w->event->time_us = w->ts_us != 0 ? w->ts_us : w->m->timestamp_ms * 1000;
    if (w->txid < 0)
        return;
    fr_txn *txn = fr_arena_alloc(w->b->arena, sizeof *txn);
    txn->id = number_text(w->b->arena, w->txid);
    txn->commit_us = w->ts_us;
    w->event->txn = txn;
}

static bool read_envelope(work *w)
{
    const fr_reading *g = w->g;
    for (size_t i = 0; i < g->value->count; i++) {
        if (!read_field(w, &g->value->fields[i], (fr_role)g->roles[i]))
            return false;
    }
    w->field = FR_STR("");
    if (w->lists && !read_unavailable(w))
        return fr_avro_bad(&w->r, w->unavailable.why);
    set_place(w);
    if (g->shape == FR_SHAPE_MESSAGE)
        return true;
    if (!g->ours)
        mark_placeholders(w);
    if (g->key_before)
        mark_unknown(w);
    return fill_from_key(w) && set_op(w);
}

static bool read_plain(work *w)
{
    w->event->op = FR_OP_INSERT;
    w->after = fr_batch_row(w->b, w->g->table, &w->event->after);
    if (!read_row(w, w->after))
        return false;
    set_place(w);
    return fill_from_key(w);
}

/* ---- messages ---- */

static fr_rc fail_message(const work *w, fr_err *err)
{
    int32_t id = 0;
    fr_wire_id(w->m->payload, &id);
    if (w->field.len > 0)
        fr_fail(err, FR_ERR_DATA, "field %.*s: %s (schema id %d)", FR_ARG(w->field), w->r.why,
                (int)id);
    else
        fr_fail(err, FR_ERR_DATA, "%s (schema id %d)", w->r.why, (int)id);
    return fr_fail_code(err, "message.bad");
}

static fr_event *add_event(fr_batch *b, fr_op op, const fr_table *table, const fr_message *m)
{
    fr_event *event = fr_batch_add(b, op, table);
    event->topic = m->topic;
    event->partition = m->partition;
    event->offset = m->offset;
    return event;
}

/* Room for the row's event, and for its TABLE event where that is new. */
static fr_rc begin_event(work *w, fr_reading *g, fr_err *err)
{
    bool announce = !g->announced && g->table != NULL;
    size_t need = announce ? 2 : 1;
    if (w->b->max_events < need)
        return fr_fail(err, FR_ERR_BUG, "a batch must hold two events or more");
    if (w->b->max_events - w->b->count < need)
        return FR_IDLE;
    if (announce)
        add_event(w->b, FR_OP_TABLE, g->table, w->m);
    w->event = add_event(w->b, g->table != NULL ? FR_OP_INSERT : FR_OP_MESSAGE, g->table, w->m);
    w->g = g;
    return FR_OK;
}

static void remember(part *p, const work *w)
{
    p->deleted = w->event->op == FR_OP_DELETE && w->m->payload.ptr != NULL;
    if (p->deleted)
        p->deleted_key = fr_hash64(w->m->key.ptr, w->m->key.len);
    if (w->g->ours && w->m->payload.ptr != NULL) {
        p->placed = true;
        p->position = w->event->position;
    }
}

/* Without reading a row: a truncation has none. */
static bool is_truncate(const work *w, const fr_reading *g)
{
    fr_avro_in r = fr_avro_in_of(w->b->arena, fr_wire_body(w->m->payload));
    fr_str op = FR_STR("");
    if (g->shape != FR_SHAPE_ENVELOPE)
        return false;
    for (size_t i = 0; i < g->value->count; i++) {
        const fr_avro_node *n = g->value->fields[i].type;
        fr_role role = (fr_role)g->roles[i];
        if (role == FR_ROLE_OP)
            return read_text(&r, n, &op) && fr_str_is(op, "t");
        bool side = role == FR_ROLE_BEFORE || role == FR_ROLE_AFTER;
        if (side && (n->tag != FR_AVRO_UNION || !fr_avro_branch(&r, n, &n)))
            return false;
        if (side ? n->tag != FR_AVRO_NULL : !fr_avro_skip(&r, n, 1))
            return false;
    }
    return false;
}

/* A truncation goes to every partition and has no key, although the rows have one: its table is
 * theirs. FR_NO_KEY where the topic has no key's schema. */
static fr_rc truncate_reading(fr_decoder *d, topic *t, fr_str name, fr_reading **g, fr_err *err)
{
    int version;
    int32_t key_id = FR_NO_KEY, value_id = (*g)->value_id;
    fr_str text;
    fr_rc rc = FR_OK;
    fr_arena *a = fr_arena_new(0);
    if (t->last != NULL && t->last->value_id == value_id)
        key_id = t->last->key_id;
    else
        rc = fr_registry_latest(d->registry, a,
                                fr_arena_cstr(a, fr_arena_printf(a, "%.*s-key", FR_ARG(name))),
                                &version, &key_id, &text, err);
    fr_arena_free(a);
    if (rc == FR_OK)
        rc = reading_of(d, t, name, key_id, value_id, g, err);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc decode_value(fr_decoder *d, topic *t, part *p, work *w, fr_err *err)
{
    int32_t key_id, value_id;
    fr_reading *g;
    size_t count = w->b->count;
    if (!fr_wire_id(w->m->payload, &value_id)) {
        fr_fail(err, FR_ERR_DATA,
                "the value does not begin with byte 0 and a schema id, as the registry's wire "
                "format does");
        fr_fail_code(err, "message.wire_format");
        return fr_fail_hint(err, "freshet reads Avro with a schema registry only: take the topic "
                                 "out of the sink's from");
    }
    if (w->m->key.ptr == NULL || !fr_wire_id(w->m->key, &key_id))
        key_id = FR_NO_KEY;
    FR_TRY(reading_of(d, t, w->m->topic, key_id, value_id, &g, err));
    if (key_id == FR_NO_KEY && is_truncate(w, g))
        FR_TRY(truncate_reading(d, t, w->m->topic, &g, err));
    fr_rc rc = begin_event(w, g, err);
    if (rc != FR_OK)
        return rc;
    w->r = fr_avro_in_of(w->b->arena, fr_wire_body(w->m->payload));
    bool good = g->shape == FR_SHAPE_ROW ? read_plain(w) : read_envelope(w);
    if (good && fr_in_left(&w->r.in) > 0) {
        w->field = FR_STR("");
        good = fr_avro_bad(&w->r, "bytes are left over after the value");
    }
    if (!good) {
        w->b->count = count;
        return fail_message(w, err);
    }
    g->announced = true;
    t->last = g;
    remember(p, w);
    return FR_OK;
}

/* Which table a tombstone is of: the last row's, else the newest schema's. */
static fr_rc tombstone_reading(fr_decoder *d, topic *t, fr_str name, int32_t key_id,
                               fr_reading **out, fr_err *err)
{
    int version;
    int32_t value_id = 0;
    fr_str text;
    *out = t->last;
    if (*out != NULL && (*out)->key_id == key_id)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    char *subject = fr_arena_cstr(a, fr_arena_printf(a, "%.*s-value", FR_ARG(name)));
    fr_rc rc = fr_registry_latest(d->registry, a, subject, &version, &value_id, &text, err);
    fr_arena_free(a);
    FR_TRY(rc);
    return reading_of(d, t, name, key_id, rc == FR_END ? 0 : value_id, out, err);
}

/* Deletes of tables without a key are followed by tombstones without a key, which say nothing more:
 * in a topic of envelopes the deletes are messages of their own. Of plain rows it would be a delete
 * that names no row. */
static fr_rc is_said_before(fr_decoder *d, topic *t, fr_str name, bool *out, fr_err *err)
{
    fr_reading *g;
    FR_TRY(tombstone_reading(d, t, name, FR_NO_KEY, &g, err));
    *out = g->shape != FR_SHAPE_ROW;
    return FR_OK;
}

/* It comes after all that its partition told before, and before all that follows. That need not be
 * its row's position (a snapshot's rows have older ones, and who just began to read knows none), so
 * that it is not compared with that. A delete and its tombstone are neighbours: right where we
 * began, it is that of a delete which was taken before. */
static void place_tombstone(const work *w, const part *p)
{
    fr_event *e = w->event;
    e->unplaced = w->g->ours;
    e->echo = w->g->shape == FR_SHAPE_ENVELOPE && p->from > 0 && w->m->offset == p->from;
    e->position = (fr_position){.lsn = (uint64_t)w->m->offset};
    e->foreign = !p->placed;
    e->time_us = w->m->timestamp_ms * 1000;
    if (!p->placed)
        return;
    e->position = p->position;
    e->position.resume = FR_STR("");
    e->position.ordinal++;
}

static fr_rc decode_tombstone(fr_decoder *d, topic *t, part *p, work *w, fr_err *err)
{
    int32_t key_id;
    fr_reading *g = NULL;
    size_t count = w->b->count;
    if (p->deleted && fr_hash64(w->m->key.ptr, w->m->key.len) == p->deleted_key) {
        p->deleted = false;
        return FR_OK;
    }
    bool said = false;
    if (w->m->key.ptr == NULL)
        FR_TRY(is_said_before(d, t, w->m->topic, &said, err));
    if (said)
        return FR_OK;
    if (w->m->key.ptr != NULL && fr_wire_id(w->m->key, &key_id))
        FR_TRY(tombstone_reading(d, t, w->m->topic, key_id, &g, err));
    if (g != NULL && g->shape == FR_SHAPE_MESSAGE)
        return FR_OK;
    if (g == NULL || g->key == NULL) {
        fr_fail(err, FR_ERR_DATA, "a tombstone whose key is no Avro record: it names no row");
        return fr_fail_code(err, "message.tombstone");
    }
    fr_rc rc = begin_event(w, g, err);
    if (rc != FR_OK)
        return rc;
    w->r = fr_avro_in_of(w->b->arena, FR_STR(""));
    if (!set_delete(w)) {
        w->b->count = count;
        return fail_message(w, err);
    }
    place_tombstone(w, p);
    g->announced = true;
    remember(p, w);
    return FR_OK;
}

/* The marker that closes a topic, which is no row (decision 38). */
static bool is_marker(const fr_message *m)
{
    bool marker = false;
    for (size_t i = 0; m->payload.ptr == NULL && i < m->header_count; i++)
        marker = marker || strcmp(m->headers[i].name, FR_HEADER_CLOSED) == 0;
    return marker;
}

fr_rc fr_decode(fr_decoder *d, fr_batch *b, size_t m, fr_err *err)
{
    const fr_message *msg = &b->messages[m];
    work w = {.d = d, .b = b, .m = msg, .txid = -1, .field = FR_STR("")};
    fr_rc rc;
    if (fr_batch_full(b))
        return FR_IDLE;
    if (is_marker(msg))
        return FR_OK;
    topic *t = topic_of(d, msg->topic);
    part *p = part_of(t, msg->partition);
    if (d->max_row_bytes > 0 && msg->payload.len > (size_t)d->max_row_bytes) {
        rc = fr_fail(err, FR_ERR_DATA, "a message of %zu bytes, more than daemon.max_row_bytes",
                     msg->payload.len);
        fr_fail_code(err, "message.too_large");
    } else if (msg->payload.ptr == NULL) {
        rc = decode_tombstone(d, t, p, &w, err);
    } else {
        rc = decode_value(d, t, p, &w, err);
    }
    if (rc == FR_FAIL)
        return fr_fail_in(err, "topic %.*s[%d]@%lld", FR_ARG(msg->topic), (int)msg->partition,
                          (long long)msg->offset);
    return rc;
}
