#include "codec/encode_plan.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a message of a row or of TRUNCATE says. */
typedef struct change {
    char op;
    const fr_value *before, *after; /* prepared; NULL: not there */
    const fr_event *event;
    size_t at; /* index of the event */
    /* Debezium's: the row under the other key, where the key changed. */
    const fr_value *newkey, *oldkey;
} change;

fr_encoder *fr_encoder_new(const fr_encoder_settings *settings, fr_registry *registry)
{
    fr_encoder *e = fr_malloc(sizeof *e);
    e->settings = *settings;
    e->registry = registry;
    e->arena = fr_arena_new(0);
    e->plans = fr_map_new();
    e->newest = fr_map_new();
    const fr_origin *o = &settings->origin;
    uint8_t *head = fr_arena_raw(e->arena, o->version.len + o->connector.len + o->prefix.len + 30);
    uint8_t *end =
        fr_put_bytes(fr_put_bytes(fr_put_bytes(head, o->version), o->connector), o->prefix);
    e->source_head = (fr_str){(const char *)head, (size_t)(end - head)};
    uint8_t *db = fr_arena_raw(e->arena, o->db.len + 10);
    e->binlog = fr_origin_has_binlog(o);
    e->source_db = (fr_str){(const char *)db, (size_t)(fr_put_bytes(db, o->db) - db)};
    fr_dbz_begin(e);
    return e;
}

void fr_encoder_free(fr_encoder *e)
{
    if (e == NULL)
        return;
    fr_map_free(e->plans, fr_plan_free);
    fr_map_free(e->newest, NULL);
    free(e->passing);
    fr_encoder_forget(e);
    fr_arena_free(e->arena);
    free(e->txn.collections);
    free(e);
}

/* ---- transactions ---- */

void fr_encoder_rewind(fr_encoder *e)
{
    e->txn.known = false;
}

static void txn_begin(fr_encoder *e, const fr_txn *txn)
{
    fr_txn_counts *c = &e->txn;
    c->known = txn->id.len < sizeof c->id;
    c->serial++;
    c->total = 0;
    c->count = 0;
    snprintf(c->id, sizeof c->id, "%.*s", FR_ARG(txn->id));
}

static bool txn_known(const fr_encoder *e, const fr_txn *txn)
{
    return txn != NULL && e->txn.known && fr_str_is(txn->id, e->txn.id);
}

static size_t find_collection(fr_txn_counts *c, fr_str name)
{
    size_t i = 0;
    while (i < c->count && !fr_str_eq(c->collections[i].name, name))
        i++;
    if (i == c->cap) {
        c->cap = c->cap == 0 ? 16 : 2 * c->cap;
        c->collections = fr_realloc(c->collections, c->cap * sizeof *c->collections);
    }
    if (i == c->count)
        c->collections[c->count++] = (fr_collection){name, 0};
    return i;
}

/* The count of the plan's table within this transaction. */
static fr_collection *txn_collection(fr_encoder *e, fr_plan *p)
{
    fr_txn_counts *c = &e->txn;
    if (p->collection_of == c->serial)
        return &c->collections[p->collection_at];
    p->collection_of = c->serial;
    p->collection_at = find_collection(c, p->collection);
    return &c->collections[p->collection_at];
}

void fr_encoder_count(fr_encoder *e, fr_str collection, const fr_event *event)
{
    if (!e->settings.source->transaction_metadata || !txn_known(e, event->txn))
        return;
    e->txn.total++;
    if (collection.len > 0)
        e->txn.collections[find_collection(&e->txn, collection)].count++;
}

/* ---- pieces of the envelope ---- */

static uint8_t *put_digits(uint8_t *at, uint64_t v)
{
    uint8_t digits[20];
    size_t n = 0;
    do {
        digits[n++] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* The text that Debezium's consumers order by. The first of the two is that of the event before,
 * most of the time. */
uint8_t *fr_source_sequence(fr_encoder *e, uint8_t *at, uint64_t lsn, uint64_t row_lsn)
{
    fr_commit_text *c = &e->commit;
    uint8_t text[64];
    if (c->lsn != lsn || c->lsn_len == 0) {
        c->lsn = lsn;
        memcpy(c->lsn_text, "[\"", 2);
        uint8_t *end = put_digits(c->lsn_text + 2, lsn);
        memcpy(end, "\",\"", 3);
        c->lsn_len = (size_t)(end - c->lsn_text) + 3;
    }
    memcpy(text, c->lsn_text, sizeof c->lsn_text);
    uint8_t *end = put_digits(text + c->lsn_len, row_lsn);
    *end++ = '"';
    *end++ = ']';
    return fr_put_bytes(at, (fr_str){(const char *)text, (size_t)(end - text)});
}

uint8_t *fr_source_xid(uint8_t *at, const fr_txn *txn)
{
    int64_t xid = 0;
    bool numeric = txn != NULL && txn->id.len > 0 && txn->id.len < 19;
    for (size_t i = 0; numeric && i < txn->id.len; i++) {
        numeric = txn->id.ptr[i] >= '0' && txn->id.ptr[i] <= '9';
        xid = xid * 10 + (txn->id.ptr[i] - '0');
    }
    at = fr_put_branch(at, numeric);
    return numeric ? fr_put_long(at, xid) : at;
}

static uint8_t *put_optional(uint8_t *at, int64_t v)
{
    return fr_put_long(fr_put_branch(at, true), v);
}

static size_t source_bound(const fr_encoder *e, fr_str place, const fr_event *event)
{
    size_t txn = event->txn == NULL ? 0 : event->txn->gtid.len + event->txn->file.len;
    return e->source_head.len + e->source_db.len + place.len + txn + 300;
}

static uint8_t *put_text(uint8_t *at, fr_str text)
{
    at = fr_put_branch(at, text.len > 0);
    return text.len > 0 ? fr_put_bytes(at, text) : at;
}

static uint8_t *put_if(uint8_t *at, bool there, uint64_t v)
{
    at = fr_put_branch(at, there);
    return there ? fr_put_long(at, (int64_t)v) : at;
}

/* What a binary log has; a snapshot's rows are in none. pos: where the event with them begins. */
static uint8_t *put_binlog(uint8_t *at, const fr_event *event)
{
    static const fr_txn none = {.commit_us = 0};
    const fr_txn *txn = event->txn != NULL ? event->txn : &none;
    bool logged = txn->file.len > 0;
    at = put_if(at, logged, txn->server_id);
    at = put_text(put_text(at, txn->gtid), txn->file);
    at = put_if(at, logged, event->position.row_lsn & ((UINT64_C(1) << FR_BINLOG_BITS) - 1));
    at = put_if(at, logged, event->row);
    return put_if(at, txn->thread != 0, txn->thread);
}

/* Milliseconds, and then micro- and nanoseconds: the same for all rows of a transaction. */
static void set_commit_time(fr_encoder *e, int64_t us)
{
    fr_commit_text *c = &e->commit;
    if (c->us == us && c->ms_len > 0)
        return;
    c->us = us;
    c->ms_len = (size_t)(fr_put_long(c->ms, us / 1000) - c->ms);
    c->rest_len = (size_t)(put_optional(put_optional(c->rest, us), us * 1000) - c->rest);
}

void fr_source_times(fr_encoder *e, const fr_event *event)
{
    set_commit_time(e, event->txn != NULL    ? event->txn->commit_us
                       : event->time_us != 0 ? event->time_us
                                             : e->now_us);
}

/* The `source` record, field by field as avro_schema.c names them. */
static uint8_t *put_source(fr_encoder *e, uint8_t *at, fr_str place, const fr_event *event)
{
    const fr_position *pos = &event->position;
    uint64_t row_lsn = pos->row_lsn != 0 ? pos->row_lsn : pos->lsn;
    fr_source_times(e, event);
    at = fr_put_raw(at, e->source_head);
    at = fr_put_raw(at, (fr_str){(const char *)e->commit.ms, e->commit.ms_len});
    at = fr_put_bytes(at, event->op == FR_OP_READ ? FR_STR("true") : FR_STR("false"));
    at = fr_put_raw(at, e->source_db);
    at = fr_put_branch(at, pos->lsn != 0);
    if (pos->lsn != 0)
        at = fr_source_sequence(e, at, pos->lsn, row_lsn);
    at = fr_put_raw(at, (fr_str){(const char *)e->commit.rest, e->commit.rest_len});
    at = fr_put_raw(at, place);
    at = fr_source_xid(at, event->txn);
    at = fr_put_branch(at, row_lsn != 0);
    if (row_lsn != 0)
        at = fr_put_long(at, (int64_t)row_lsn);
    at = fr_put_branch(at, false);                                        /* xmin */
    at = fr_put_branch(fr_put_branch(at, false), false);                  /* origin, origin_lsn */
    at = fr_put_long(fr_put_long(at, (int32_t)pos->epoch), pos->ordinal); /* our own two */
    return e->binlog ? put_binlog(at, event) : at;
}

void fr_plan_count(fr_encoder *e, fr_plan *p, const fr_event *event)
{
    if (!e->settings.source->transaction_metadata || !txn_known(e, event->txn))
        return;
    e->txn.total++;
    txn_collection(e, p)->count++;
}

bool fr_plan_counted(fr_encoder *e, fr_plan *p, const fr_event *event, int64_t *total,
                     int64_t *order)
{
    if (!e->settings.source->transaction_metadata || !txn_known(e, event->txn))
        return false;
    *total = ++e->txn.total;
    *order = ++txn_collection(e, p)->count;
    return true;
}

static size_t block_bound(const fr_event *event)
{
    return 40 + (event->txn != NULL ? event->txn->id.len : 0);
}

/* The transaction block; collection NULL: for a message, which counts for nothing. */
static uint8_t *put_block(fr_encoder *e, uint8_t *at, const fr_event *event,
                          fr_collection *collection)
{
    bool there = e->settings.source->transaction_metadata && txn_known(e, event->txn);
    at = fr_put_branch(at, there);
    if (!there)
        return at;
    if (collection != NULL) {
        e->txn.total++;
        collection->count++;
    }
    at = fr_put_bytes(at, event->txn->id);
    at = fr_put_long(at, e->txn.total);
    return fr_put_long(at, collection != NULL ? collection->count : 0);
}

/* ts_ms, ts_us and ts_ns of the envelope: once for each call of fr_encode. */
static void set_now(fr_encoder *e)
{
    e->now_us = fr_wall_us();
    uint8_t *end = put_optional(e->now, e->now_us / 1000);
    end = put_optional(put_optional(end, e->now_us), e->now_us * 1000);
    e->now_len = (size_t)(end - e->now);
}

/* ---- messages ---- */

static fr_str shrink(fr_arena *a, uint8_t *start, size_t bound, const uint8_t *end)
{
    size_t len = (size_t)(end - start);
    fr_arena_shrink(a, start, bound, len);
    return (fr_str){(const char *)start, len};
}

static fr_rc encode_steps(fr_plan *p, fr_arena *a, const fr_steps *steps, int32_t id,
                          const fr_value *values, const fr_event *event, fr_str *out, fr_err *err)
{
    size_t bound;
    FR_TRY(fr_row_bound(p, steps, values, event, &bound, err));
    bound += FR_WIRE_HEADER;
    uint8_t *start = fr_arena_raw(a, bound);
    *out = shrink(a, start, bound, fr_row_write(fr_put_header(start, id), steps, values));
    return FR_OK;
}

static uint32_t hash_of(const fr_encoder *e, fr_str key)
{
    if (e->settings.kafka->partitioner == 1)
        return fr_murmur2(key.ptr, key.len);
    return fr_murmur2(key.ptr + FR_WIRE_HEADER, key.len - FR_WIRE_HEADER);
}

typedef struct place { /* where a row's messages go */
    fr_str key;        /* ptr NULL: no key */
    uint32_t hash;
} place;

static fr_rc place_of(fr_encoder *e, fr_plan *p, fr_arena *a, const fr_value *values,
                      const fr_event *event, place *out, fr_err *err)
{
    *out = (place){{NULL, 0}, 0};
    if (p->key.count > 0) {
        FR_TRY(encode_steps(p, a, &p->key, p->key_id, values, event, &out->key, err));
        out->hash =
            p->debezium != NULL ? fr_murmur2(out->key.ptr, out->key.len) : hash_of(e, out->key);
    } else if (p->debezium != NULL && !p->route->settings->append_only) {
        /* Rows that have no key and do change: one after the other. */
        out->hash = fr_murmur2(p->collection.ptr, p->collection.len);
    }
    if (p->partition.count == 0)
        return FR_OK;
    fr_str columns;
    FR_TRY(encode_steps(p, a, &p->partition, 0, values, event, &columns, err));
    out->hash = fr_murmur2(columns.ptr + FR_WIRE_HEADER, columns.len - FR_WIRE_HEADER);
    return FR_OK;
}

static bool same_place(const place *a, const place *b)
{
    return a->hash == b->hash && fr_str_eq(a->key, b->key);
}

static size_t unavailable_bound(const fr_plan *p, const change *c)
{
    size_t sum = 12;
    for (size_t i = 0; c->after != NULL && i < p->row.count; i++) {
        uint16_t column = p->row.items[i].column;
        if (c->after[column].kind == FR_ABSENT)
            sum += p->names[column].len + 10;
    }
    return sum;
}

static uint8_t *put_unavailable(uint8_t *at, const fr_plan *p, const change *c)
{
    int64_t count = 0;
    for (size_t i = 0; c->after != NULL && i < p->row.count; i++)
        count += c->after[p->row.items[i].column].kind == FR_ABSENT;
    if (count > 0)
        at = fr_put_long(at, count);
    for (size_t i = 0; count > 0 && i < p->row.count; i++) {
        uint16_t column = p->row.items[i].column;
        if (c->after[column].kind == FR_ABSENT)
            at = fr_put_bytes(at, p->names[column]);
    }
    *at++ = 0;
    return at;
}

static uint8_t *put_side(uint8_t *at, const fr_plan *p, const fr_value *values)
{
    at = fr_put_branch(at, values != NULL);
    return values != NULL ? fr_row_write(at, &p->row, values) : at;
}

fr_rc fr_plan_check_size(const fr_encoder *e, const fr_plan *p, const fr_event *event, size_t bytes,
                         fr_err *err)
{
    int64_t most = e->settings.source->max_row_bytes;
    if (most <= 0 || bytes <= (size_t)most)
        return FR_OK;
    char what[128];
    snprintf(what, sizeof what, "its message has %zu bytes, more than daemon.max_row_bytes (%lld)",
             bytes, (long long)most);
    fr_event_fail(p, event, what, err);
    fr_fail_code(err, "row.too_large");
    return fr_fail_hint(err, "raise daemon.max_row_bytes (and the topic's max.message.bytes)");
}

static fr_rc envelope_payload(fr_encoder *e, fr_plan *p, fr_arena *a, const change *c, fr_str *out,
                              fr_err *err)
{
    size_t before = 0, after = 0;
    if (p->debezium != NULL) {
        fr_dbz_change d = {c->op, c->before, c->after, c->event};
        FR_TRY(fr_dbz_payload(e, p, a, &d, out, err));
        return fr_plan_check_size(e, p, c->event, out->len, err);
    }
    if (c->before != NULL)
        FR_TRY(fr_row_bound(p, &p->row, c->before, c->event, &before, err));
    if (c->after != NULL)
        FR_TRY(fr_row_bound(p, &p->row, c->after, c->event, &after, err));
    size_t bound = FR_WIRE_HEADER + before + after + source_bound(e, p->source_place, c->event) +
                   block_bound(c->event) + unavailable_bound(p, c) + 64;
    uint8_t *start = fr_arena_raw(a, bound);
    uint8_t *at = fr_put_header(start, p->value_id);
    at = put_side(at, p, c->before);
    at = put_side(at, p, c->after);
    at = put_source(e, at, p->source_place, c->event);
    at = put_block(e, at, c->event, txn_known(e, c->event->txn) ? txn_collection(e, p) : NULL);
    *at++ = 2; /* op: one character */
    *at++ = (uint8_t)c->op;
    at = put_unavailable(fr_put_raw(at, (fr_str){(const char *)e->now, e->now_len}), p, c);
    *out = shrink(a, start, bound, at);
    return fr_plan_check_size(e, p, c->event, out->len, err);
}

static fr_message *add_message(const fr_encoder *e, fr_batch *b, const fr_plan *p,
                               const place *where, const change *c)
{
    fr_message *m = fr_batch_message(b);
    m->topic = p->route->topic;
    m->key = where->key;
    m->partition_hash = where->hash;
    m->schema = p->value_id;
    m->event = c->at;
    if (p->debezium != NULL) {
        bool made = c->oldkey != NULL;
        fr_dbz_headers(e, p, b->arena, m, made ? "__debezium.oldkey" : "__debezium.newkey",
                       made ? c->oldkey : c->newkey);
        return m;
    }
    const fr_event *event = c->event;
    bool reread = event->op == FR_OP_UPDATE && event->name.len > 0; /* decision 47 */
    if (!reread && event->zero.len == 0)
        return m;
    fr_header *h = fr_arena_alloc(b->arena, 2 * sizeof(*h));
    m->headers = h;
    if (reread)
        h[m->header_count++] = (fr_header){"freshet.reread", event->name};
    if (event->zero.len > 0)
        h[m->header_count++] = (fr_header){"freshet.zero", event->zero};
    return m;
}

static fr_rc add_change(fr_encoder *e, fr_plan *p, fr_batch *b, const place *where, const change *c,
                        fr_err *err)
{
    fr_str payload;
    if (p->route->envelope == FR_ENVELOPE_STATE) {
        if (c->after == NULL)
            return FR_OK; /* the tombstone says it */
        FR_TRY(encode_steps(p, b->arena, &p->row, p->value_id, c->after, c->event, &payload, err));
        FR_TRY(fr_plan_check_size(e, p, c->event, payload.len, err));
    } else {
        FR_TRY(envelope_payload(e, p, b->arena, c, &payload, err));
    }
    add_message(e, b, p, where, c)->payload = payload;
    return FR_OK;
}

/* ---- events ---- */

static fr_rc encode_insert(fr_encoder *e, fr_plan *p, fr_batch *b, size_t i, const fr_event *event,
                           fr_err *err)
{
    change c = {.op = event->op == FR_OP_READ ? 'r' : 'c', .event = event, .at = i};
    place where;
    FR_TRY(fr_row_prepare(p, b->arena, event, false, &c.after, err));
    FR_TRY(place_of(e, p, b->arena, c.after, event, &where, err));
    return add_change(e, p, b, &where, &c, err);
}

static bool may_change(const fr_plan *p)
{
    return (p->key.count > 0 || p->debezium != NULL) && !p->route->settings->append_only;
}

static fr_rc fail_append_only(const fr_plan *p, const fr_event *event, fr_err *err)
{
    fr_event_fail(p, event,
                  event->op == FR_OP_DELETE ? "a delete, but the table is append_only"
                                            : "an update, but the table is append_only",
                  err);
    fr_fail_code(err, "row.append_only");
    return fr_fail_hint(err, "set append_only: false and give the table a key");
}

static fr_rc add_delete(fr_encoder *e, fr_plan *p, fr_batch *b, const place *where, const change *c,
                        fr_err *err)
{
    FR_TRY(add_change(e, p, b, where, c, err));
    if (p->route->settings->tombstones || p->route->envelope == FR_ENVELOPE_STATE)
        add_message(e, b, p, where, c);
    return FR_OK;
}

static fr_rc encode_delete(fr_encoder *e, fr_plan *p, fr_batch *b, size_t i, const fr_event *event,
                           fr_err *err)
{
    change c = {.op = 'd', .event = event, .at = i};
    place where;
    if (!may_change(p))
        return fail_append_only(p, event, err);
    FR_TRY(fr_row_prepare(p, b->arena, event, true, &c.before, err));
    FR_TRY(place_of(e, p, b->arena, c.before, event, &where, err));
    c.before = fr_row_old(p, c.before);
    return add_delete(e, p, b, &where, &c, err);
}

/* A row that moves to another key leaves values behind that its new message cannot name. Where
 * the row is gone they are listed as unavailable: its delete comes after. */
static fr_rc check_whole(const fr_plan *p, const change *c, fr_err *err)
{
    if (c->event->gone)
        return FR_OK;
    for (size_t i = 0; i < p->row.count; i++) {
        uint16_t column = p->row.items[i].column;
        if (c->after[column].kind != FR_ABSENT)
            continue;
        fr_row_fail(p, c->event, column,
                    "the key changed beside a large value that did not, and the source did not "
                    "log that value",
                    err);
        fr_fail_code(err, "row.key_changed_beside_absent");
        return fr_fail_hint(err,
                            "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL, then take the "
                            "table's snapshot again",
                            FR_ARG(p->table->space), FR_ARG(p->table->name));
    }
    return FR_OK;
}

static fr_rc encode_update(fr_encoder *e, fr_plan *p, fr_batch *b, size_t i, const fr_event *event,
                           fr_err *err)
{
    change c = {.op = 'u', .event = event, .at = i};
    place from, to;
    if (!may_change(p))
        return fail_append_only(p, event, err);
    FR_TRY(fr_row_prepare(p, b->arena, event, false, &c.after, err));
    FR_TRY(place_of(e, p, b->arena, c.after, event, &to, err));
    if (event->before.count == 0)
        return add_change(e, p, b, &to, &c, err);
    FR_TRY(fr_row_prepare(p, b->arena, event, true, &c.before, err));
    FR_TRY(place_of(e, p, b->arena, c.before, event, &from, err));
    c.before = fr_row_old(p, c.before);
    if (same_place(&from, &to))
        return add_change(e, p, b, &to, &c, err);
    FR_TRY(check_whole(p, &c, err));
    change gone = {.op = 'd', .before = c.before, .event = event, .at = i, .newkey = c.after};
    change made = {.op = 'c', .after = c.after, .event = event, .at = i, .oldkey = c.before};
    FR_TRY(add_delete(e, p, b, &from, &gone, err));
    return add_change(e, p, b, &to, &made, err);
}

static fr_rc encode_truncate(fr_encoder *e, fr_plan *p, fr_batch *b, size_t i,
                             const fr_event *event, fr_err *err)
{
    if (p->route->settings->truncate == FR_TRUNCATE_IGNORE)
        return FR_OK;
    if (p->route->settings->truncate == FR_TRUNCATE_BLOCK) {
        fr_event_fail(p, event, "TRUNCATE", err);
        fr_fail_code(err, "table.truncated");
        return fr_fail_hint(err, "set truncate: publish (op t to every partition; not on compacted "
                                 "topics) or truncate: ignore for this table");
    }
    change c = {.op = 't', .event = event, .at = i};
    place nowhere = {{NULL, 0}, 0};
    FR_TRY(add_change(e, p, b, &nowhere, &c, err));
    b->messages[b->message_count - 1].everywhere = true;
    return FR_OK;
}

/* As columns.* and filter make it, which may be another op, or nothing. */
static fr_rc encode_row(fr_encoder *e, fr_plan *p, fr_batch *b, size_t i, fr_err *err)
{
    const fr_event *event = &b->events[i];
    fr_event derived;
    if (p->route->derive != NULL && !event->derived) {
        fr_rc rc = p->route->apply(p->route->derive, b->arena, event, &derived, err);
        if (rc != FR_OK)
            return rc;
        event = &derived;
    }
    switch (event->op) {
    case FR_OP_UPDATE:
        return encode_update(e, p, b, i, event, err);
    case FR_OP_DELETE:
        return encode_delete(e, p, b, i, event, err);
    case FR_OP_TRUNCATE:
        return encode_truncate(e, p, b, i, event, err);
    default:
        return encode_insert(e, p, b, i, event, err);
    }
}

static fr_rc encode_table_event(fr_encoder *e, fr_batch *b, size_t i, fr_err *err)
{
    const fr_event *event = &b->events[i];
    fr_plan *p;
    if (e->passing_count > 0 || e->beside) {
        fr_rc rc = fr_encoder_passes(e, event, err);
        if (rc != FR_OK)
            return rc;
    }
    FR_TRY(fr_plan_get(e, event->table, &p, err));
    if (p->route == NULL || event->op == FR_OP_TABLE)
        return FR_OK;
    if (p->route->outbox != NULL && event->op == FR_OP_DELETE)
        return fr_outbox_encode(e, p, b, i, err); /* also a bad one: it is the clean-up */
    if (event->bad.len > 0) {
        fr_fail(err, FR_ERR_DATA, "%.*s", FR_ARG(event->bad));
        fr_fail_code(err, "row.bad");
        return fr_fail_hint(err,
                            "nothing after this row was published; the log still holds it: change "
                            "the option that this names, or columns.types of the table, and start "
                            "again, or start over: freshet position reset %s",
                            e->settings.source->name);
    }
    if (p->route->outbox != NULL)
        return fr_outbox_encode(e, p, b, i, err);
    size_t before = b->message_count;
    fr_rc rc = encode_row(e, p, b, i, err);
    if (rc == FR_OK && p->noted != 0 && b->message_count > before)
        fr_notice_changed(e, p, b, i);
    return rc;
}

/* pg_logical_emit_message. */
static fr_rc encode_message(fr_encoder *e, fr_batch *b, size_t i, fr_err *err)
{
    const fr_event *event = &b->events[i];
    fr_side_plan *side = &e->messages;
    FR_TRY(fr_plan_side(e, side, "message", fr_schema_message, err));
    fr_str nowhere = {"\0\0", 2}; /* source.schema and source.table: empty texts */
    size_t key_bound = FR_WIRE_HEADER + event->name.len + 10;
    uint8_t *key = fr_arena_raw(b->arena, key_bound);
    fr_str key_bytes = shrink(b->arena, key, key_bound,
                              fr_put_bytes(fr_put_header(key, side->key_id), event->name));
    size_t bound = FR_WIRE_HEADER + source_bound(e, nowhere, event) + block_bound(event) +
                   event->name.len + event->body.len + 64;
    uint8_t *start = fr_arena_raw(b->arena, bound);
    uint8_t *at = fr_put_header(start, side->value_id);
    at = fr_put_bytes(at, FR_STR("m"));
    at = put_optional(at, e->now_us / 1000);
    at = put_source(e, at, nowhere, event);
    at = put_block(e, at, event, NULL);
    at = fr_put_bytes(fr_put_bytes(at, event->name), event->body);
    fr_message *m = fr_batch_message(b);
    m->topic = side->topic;
    m->key = key_bytes;
    m->partition_hash = hash_of(e, key_bytes);
    m->schema = side->value_id;
    m->payload = shrink(b->arena, start, bound, at);
    m->event = i;
    return FR_OK;
}

static uint8_t *put_totals(const fr_encoder *e, uint8_t *at, bool known)
{
    at = fr_put_branch(at, known);
    if (known)
        at = fr_put_long(at, e->txn.total);
    at = fr_put_branch(at, known);
    if (!known)
        return at;
    if (e->txn.count > 0)
        at = fr_put_long(at, (int64_t)e->txn.count);
    for (size_t i = 0; i < e->txn.count; i++) {
        if (e->settings.origin.debezium) /* its items may be null */
            at = fr_put_branch(at, true);
        at = fr_put_long(fr_put_bytes(at, e->txn.collections[i].name), e->txn.collections[i].count);
    }
    *at++ = 0;
    return at;
}

static size_t totals_bound(const fr_encoder *e)
{
    size_t sum = 40;
    for (size_t i = 0; i < e->txn.count; i++)
        sum += e->txn.collections[i].name.len + 20;
    return sum;
}

/* BEGIN and END on <prefix>.transaction. */
static fr_rc encode_boundary(fr_encoder *e, fr_batch *b, size_t i, fr_err *err)
{
    const fr_event *event = &b->events[i];
    const fr_txn *txn = event->txn;
    fr_side_plan *side = &e->transactions;
    if (!e->settings.source->transaction_metadata || txn == NULL)
        return FR_OK;
    bool ends = event->op == FR_OP_COMMIT;
    if (!ends)
        txn_begin(e, txn);
    if (e->beside) {
        e->txn.known = e->txn.known && !ends;
        return FR_OK;
    }
    FR_TRY(fr_plan_side(e, side, "transaction", fr_schema_transaction, err));
    fr_str id = e->settings.origin.debezium ? fr_dbz_txn_id(b->arena, event) : txn->id;
    size_t key_bound = FR_WIRE_HEADER + id.len + 10;
    uint8_t *key = fr_arena_raw(b->arena, key_bound);
    fr_str key_bytes =
        shrink(b->arena, key, key_bound, fr_put_bytes(fr_put_header(key, side->key_id), id));
    size_t bound = FR_WIRE_HEADER + id.len + 40 + totals_bound(e);
    uint8_t *start = fr_arena_raw(b->arena, bound);
    uint8_t *at = fr_put_header(start, side->value_id);
    at = fr_put_bytes(at, ends ? FR_STR("END") : FR_STR("BEGIN"));
    at = fr_put_bytes(at, id);
    at = put_totals(e, at, ends && txn_known(e, txn));
    at = fr_put_long(at, txn->commit_us / 1000);
    fr_message *m = fr_batch_message(b);
    m->topic = side->topic;
    m->key = key_bytes;
    m->partition_hash = hash_of(e, key_bytes);
    m->schema = side->value_id;
    m->payload = shrink(b->arena, start, bound, at);
    m->event = i;
    e->txn.known = e->txn.known && !ends;
    return FR_OK;
}

static fr_rc encode_event(fr_encoder *e, fr_batch *b, size_t i, fr_err *err)
{
    switch (b->events[i].op) {
    case FR_OP_BEGIN:
    case FR_OP_COMMIT:
        return encode_boundary(e, b, i, err);
    case FR_OP_MESSAGE:
        return e->beside ? FR_OK : encode_message(e, b, i, err);
    case FR_OP_HEARTBEAT:
        return FR_OK;
    default:
        return encode_table_event(e, b, i, err);
    }
}

/* What a failed event had counted so far is taken back. */
static void uncount(fr_encoder *e, int64_t total)
{
    int64_t counted = e->txn.total - total;
    if (counted == 0)
        return;
    e->txn.total = total;
    txn_collection(e, e->last)->count -= counted;
}

fr_rc fr_encode(fr_encoder *e, fr_batch *b, size_t from, size_t to, size_t *done, fr_err *err)
{
    set_now(e);
    for (size_t i = from; i < to; i++) {
        size_t messages = b->message_count;
        int64_t total = e->txn.total;
        if (encode_event(e, b, i, err) == FR_FAIL) {
            b->message_count = messages;
            uncount(e, total);
            *done = i;
            return FR_FAIL;
        }
    }
    *done = to;
    return FR_OK;
}
