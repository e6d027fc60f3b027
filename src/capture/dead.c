/* Rows that cannot be published, under errors.mode dlq (R36): the row goes to the dead-letter
 * topic in the transaction of the checkpoint, its key is parked, and later rows of that key
 * follow it, so that nothing is published out of order. */
#include "capture/internal.h"
#include "progress/letters.h"
#include "transform/derive.h"
#include <stdlib.h>
#include <string.h>

struct dead_letters {
    fr_capture *c;
    fr_arena *arena;  /* keys of this run */
    fr_map *parked;   /* "topic/hash" -> itself */
    fr_record *fresh; /* parked since the last commit */
    size_t fresh_count, fresh_cap;
    uint64_t put;
};

dead_letters *dead_new(fr_capture *c)
{
    dead_letters *d = fr_malloc(sizeof(*d));
    d->c = c;
    d->arena = fr_arena_new(0);
    d->parked = fr_map_new();
    size_t i = 0;
    fr_str key;
    while (fr_map_next(c->checkpoint->parked, &i, &key, NULL))
        fr_map_set(d->parked, key, d);
    return d;
}

void dead_free(dead_letters *d)
{
    if (d == NULL)
        return;
    fr_map_free(d->parked, NULL);
    free(d->fresh);
    fr_arena_free(d->arena);
    free(d);
}

/* Of a row that makes an event. */
static const fr_table_settings *table_of(const dead_letters *d, const fr_event *e)
{
    if (e->table == NULL || e->op > FR_OP_DELETE)
        return NULL;
    const fr_table_settings *t = fr_source_match(d->c->s.source, e->table->space, e->table->name);
    /* what cleans an outbox up is no event */
    return t == NULL || (t->outbox.on && e->op == FR_OP_DELETE) ? NULL : t;
}

static const fr_table_settings *settings_of(const dead_letters *d, const fr_event *e)
{
    const fr_table_settings *t = table_of(d, e);
    return t != NULL && t->errors_mode == FR_ERRORS_DLQ ? t : NULL;
}

bool dead_wanted(const dead_letters *d, const fr_event *e)
{
    return settings_of(d, e) != NULL;
}

/* "topic/hash" of the key in this row; FR_END when the row has none, or it was not decoded. */
fr_rc fr_dead_key(fr_router *router, fr_arena *a, const fr_table *table, const fr_row *row,
                  fr_str *out, fr_err *err)
{
    const fr_route *r;
    FR_TRY(fr_router_route(router, table, &r, err));
    if (row->count == 0 || r == NULL || r->key_count == 0)
        return FR_END;
    fr_value *values = fr_arena_alloc(a, r->key_count * sizeof(fr_value));
    for (size_t i = 0; i < r->key_count; i++) {
        values[i] = row->values[r->key[i]];
        FR_TRY(fr_derive_mask(r, a, r->key[i], &values[i], err));
        if (r->outbox != NULL && values[i].kind == FR_NULL)
            values[i] = row->values[r->outbox->id]; /* an event without key stands alone */
        if (values[i].kind == FR_ABSENT)
            return FR_END;
    }
    fr_row key = {values, r->key_count};
    *out = fr_arena_printf(a, "%.*s/%08x%08x", FR_ARG(r->topic), fr_row_crc(0, &key),
                           fr_row_crc(1, &key));
    return FR_OK;
}

static fr_rc key_name(dead_letters *d, fr_arena *a, const fr_event *e, const fr_row *row,
                      fr_str *out, fr_err *err)
{
    return fr_dead_key(d->c->router, a, e->table, row, out, err);
}

static const fr_row *key_row(const fr_event *e)
{
    return e->op == FR_OP_DELETE || e->after.count == 0 ? &e->before : &e->after;
}

/* This very row, also when it is read again. Empty: its key cannot be told. */
static fr_str row_name(dead_letters *d, fr_arena *a, const fr_event *e)
{
    fr_str key;
    fr_err ignored;
    if (key_name(d, a, e, key_row(e), &key, &ignored) != FR_OK)
        return FR_STR("");
    return fr_arena_printf(a, "%u/%llu/%u/%d %.*s", e->position.epoch,
                           (unsigned long long)e->position.lsn, e->position.ordinal, (int)e->op,
                           FR_ARG(key));
}

/* Why Kafka did not take this row; NULL: it never refused it. In the capture's own memory. */
static const char *refusal(dead_letters *d, const fr_event *e)
{
    fr_capture *c = d->c;
    if (c->refused == NULL || settings_of(d, e) == NULL)
        return NULL;
    fr_arena *a = fr_arena_new(256);
    fr_str name = row_name(d, a, e);
    pthread_mutex_lock(&c->lock);
    const char *why = name.len == 0 ? NULL : fr_map_get(c->refused, name);
    pthread_mutex_unlock(&c->lock);
    fr_arena_free(a);
    return why;
}

static void remember(fr_capture *c, fr_str name, const char *why)
{
    pthread_mutex_lock(&c->lock);
    if (c->refused == NULL) {
        c->refused_arena = fr_arena_new(0);
        c->refused = fr_map_new();
    }
    fr_map_set(c->refused, fr_arena_str(c->refused_arena, name),
               fr_arena_cstr(c->refused_arena, fr_cstr(why)));
    pthread_mutex_unlock(&c->lock);
}

fr_rc dead_refused(dead_letters *d, const fr_batch *b, size_t message, fr_err *err)
{
    if (strcmp(err->code, "kafka.message.too_large") != 0 || message >= b->message_count)
        return FR_FAIL;
    const fr_event *e = &b->events[b->messages[message].event];
    if (e->table == NULL)
        return FR_FAIL;
    fr_fail_in(err, "table %.*s.%.*s", FR_ARG(e->table->space), FR_ARG(e->table->name));
    if (!dead_wanted(d, e) || refusal(d, e) != NULL)
        return FR_FAIL;
    fr_arena *a = fr_arena_new(256);
    fr_str name = row_name(d, a, e);
    if (name.len > 0) {
        remember(d->c, name, err->text);
        err->kind = FR_ERR_BUSY;
        fr_fail_hint(err, "the row goes to the dead letters, its key only, when it is read again");
    }
    fr_arena_free(a);
    return FR_FAIL;
}

bool dead_parked(dead_letters *d, const fr_event *e)
{
    if (refusal(d, e) != NULL)
        return true;
    if (fr_map_count(d->parked) == 0 || table_of(d, e) == NULL)
        return false;
    fr_arena *a = fr_arena_new(256);
    fr_str name;
    fr_err err;
    bool parked =
        key_name(d, a, e, key_row(e), &name, &err) == FR_OK && fr_map_get(d->parked, name) != NULL;
    if (!parked && e->op == FR_OP_UPDATE) /* the key it had before */
        parked = key_name(d, a, e, &e->before, &name, &err) == FR_OK &&
                 fr_map_get(d->parked, name) != NULL;
    fr_arena_free(a);
    return parked;
}

fr_rc dead_left(const fr_event *e, fr_err *err)
{
    (void)fr_letters_passed(err);
    return fr_fail_in(err, "table %.*s.%.*s", FR_ARG(e->table->space), FR_ARG(e->table->name));
}

static void park(dead_letters *d, fr_str name)
{
    if (fr_map_set(d->parked, name, d) != NULL)
        return;
    if (d->fresh_count == d->fresh_cap) {
        d->fresh_cap = d->fresh_cap == 0 ? 8 : 2 * d->fresh_cap;
        d->fresh = fr_realloc(d->fresh, d->fresh_cap * sizeof(fr_record));
    }
    name = fr_arena_str(d->arena, name);
    const char *slash = memrchr(name.ptr, '/', name.len);
    fr_str topic = {name.ptr, (size_t)(slash - name.ptr)};
    fr_str hash = {slash + 1, name.len - topic.len - 1};
    d->fresh[d->fresh_count++] = fr_checkpoint_parked(d->arena, topic, hash, false);
}

static bool is_key(const fr_route *r, size_t column)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (r->key[i] == column)
            return true;
    return r->outbox != NULL && r->outbox->id == column;
}

/* columns.exclude and .include hold here, too. */
static bool is_shown(const fr_route *r, size_t column)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i] == column)
            return true;
    return is_key(r, column);
}

/* A value of the source's row as it may be shown. */
static fr_rc put_value(fr_buf *b, const fr_route *r, size_t column, fr_value v, fr_err *err)
{
    FR_TRY(fr_derive_mask(r, b->arena, column, &v, err));
    fr_buf_json(b, r->source->columns[column].name);
    fr_buf_u8(b, ':');
    fr_value_json(b, &r->source->columns[column], &v);
    return FR_OK;
}

/* only_key: for a row that is too large. */
static fr_rc put_row(fr_buf *b, const char *name, const fr_route *r, const fr_row *row,
                     bool only_key, fr_err *err)
{
    fr_buf_printf(b, ",\"%s\":", name);
    if (row->count == 0) {
        fr_buf_text(b, "null");
        return FR_OK;
    }
    const char *between = "{";
    for (size_t i = 0; i < row->count; i++) {
        if (row->values[i].kind == FR_ABSENT || !(only_key ? is_key(r, i) : is_shown(r, i)))
            continue;
        fr_buf_text(b, between);
        between = ",";
        FR_TRY(put_value(b, r, i, row->values[i], err));
    }
    fr_buf_text(b, between[0] == '{' ? "{}" : "}");
    return FR_OK;
}

/* What a retry needs to publish the row as it would have been. */
static void put_origin(fr_buf *b, const fr_event *e)
{
    fr_buf_printf(b, ",\"v\":2,\"row_lsn\":%llu,\"row\":%u,\"time_us\":%lld",
                  (unsigned long long)e->position.row_lsn, e->row, (long long)e->time_us);
    if (e->bad.len > 0)
        fr_buf_text(b, ",\"undecoded\":true");
    if (e->gone)
        fr_buf_text(b, ",\"gone\":true");
    if (e->zero.len > 0) {
        fr_buf_text(b, ",\"zero\":");
        fr_buf_json(b, e->zero);
    }
    if (e->op == FR_OP_UPDATE && e->name.len > 0) {
        fr_buf_text(b, ",\"reread\":");
        fr_buf_json(b, e->name);
    }
    if (e->txn == NULL)
        return;
    fr_buf_text(b, ",\"txn\":{\"id\":");
    fr_buf_json(b, e->txn->id);
    fr_buf_text(b, ",\"gtid\":");
    fr_buf_json(b, e->txn->gtid);
    fr_buf_text(b, ",\"file\":");
    fr_buf_json(b, e->txn->file);
    fr_buf_printf(b, ",\"commit_us\":%lld,\"server_id\":%u,\"thread\":%u}",
                  (long long)e->txn->commit_us, e->txn->server_id, e->txn->thread);
}

/* A dead letter of a source has no bytes of its own yet: it is the row as JSON. */
static fr_rc payload(fr_arena *a, const fr_event *e, fr_str reason, const fr_route *r,
                     bool only_key, fr_str *out, fr_err *err)
{
    static const char ops[] = {
        [FR_OP_READ] = 'r', [FR_OP_INSERT] = 'c', [FR_OP_UPDATE] = 'u', [FR_OP_DELETE] = 'd'};
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"table\":");
    fr_buf_json(&b,
                fr_arena_printf(a, "%.*s.%.*s", FR_ARG(e->table->space), FR_ARG(e->table->name)));
    fr_buf_printf(&b, ",\"op\":\"%c\",\"reason\":", ops[e->op]);
    fr_buf_json(&b, reason);
    fr_buf_printf(&b, ",\"epoch\":%u,\"lsn\":%llu,\"ordinal\":%u", e->position.epoch,
                  (unsigned long long)e->position.lsn, e->position.ordinal);
    if (only_key)
        fr_buf_text(&b, ",\"only_key\":true");
    put_origin(&b, e);
    FR_TRY(put_row(&b, "before", r, &e->before, only_key, err));
    FR_TRY(put_row(&b, "after", r, &e->after, only_key, err));
    fr_buf_text(&b, "}");
    *out = fr_buf_view(&b);
    return FR_OK;
}

/* old: the key that an update took from the row; empty: it has the one it had. */
static void add_message(dead_letters *d, fr_batch *b, size_t index, fr_str name, fr_str old,
                        fr_str reason, bool parked, fr_str body)
{
    const fr_event *e = &b->events[index];
    fr_message *m = fr_batch_message(b);
    fr_header *headers = fr_arena_alloc(b->arena, 6 * sizeof(fr_header));
    m->event = index;
    m->topic = fr_cstr(settings_of(d, e)->errors_topic);
    m->key = name;
    m->partition_hash = fr_murmur2(name.ptr, name.len);
    m->payload = body;
    headers[0] = (fr_header){"freshet.source", fr_cstr(d->c->s.source->name)};
    headers[1] = (fr_header){"freshet.reason", reason};
    headers[2] =
        (fr_header){"freshet.position",
                    fr_arena_printf(b->arena, "%u/%llu/%u", e->position.epoch,
                                    (unsigned long long)e->position.lsn, e->position.ordinal)};
    headers[3] = (fr_header){"freshet.parked", parked ? FR_STR("true") : FR_STR("false")};
    headers[4] = (fr_header){"freshet.v", FR_STR("2")};
    headers[5] = (fr_header){"freshet.key_before", old};
    m->headers = headers;
    m->header_count = old.len > 0 ? 6 : 5;
    d->put++;
}

fr_rc dead_put(dead_letters *d, fr_batch *b, size_t index, const fr_err *why, fr_err *err)
{
    const fr_event *e = &b->events[index];
    fr_str name, old = {"", 0}, body;
    const char *too_large = refusal(d, e);
    bool parked = why == NULL && too_large == NULL;
    const fr_route *route;
    FR_TRY(fr_router_route(d->c->router, e->table, &route, err));
    fr_str reason = too_large != NULL ? fr_arena_str(b->arena, fr_cstr(too_large))
                    : parked          ? FR_STR("an earlier row of this key was set aside")
                                      : fr_arena_str(b->arena, fr_cstr(why->text));
    fr_rc rc = key_name(d, b->arena, e, key_row(e), &name, err);
    FR_TRY(rc);
    if (rc == FR_END) {
        fr_fail(err, FR_ERR_DATA, "%s; and its key cannot be told, so it cannot be set aside",
                parked              ? "a row of a parked key"
                : too_large != NULL ? too_large
                                    : why->text);
        return fr_fail_code(err, "dlq.no_key");
    }
    FR_TRY(payload(b->arena, e, reason, route, too_large != NULL, &body, err));
    park(d, name);
    if (e->op == FR_OP_UPDATE && key_name(d, b->arena, e, &e->before, &old, err) == FR_OK)
        park(d, old);
    if (fr_str_eq(old, name))
        old.len = 0;
    if (!parked)
        fr_log(FR_LOG_WARN, d->c->who, "a row goes to the dead letters: %.*s", FR_ARG(reason));
    add_message(d, b, index, name, old, reason, parked, body);
    return FR_OK;
}

size_t dead_records(dead_letters *d, const fr_record **out)
{
    *out = d->fresh;
    return d->fresh_count;
}

void dead_committed(dead_letters *d)
{
    d->fresh_count = 0;
    if (d->put > 0)
        FR_TELL(&d->c->s.observer, dead_letters, d->put);
    d->put = 0;
}
