/* The second reader of a log: what held tables are caught up with, beside the stream (decision 42).
 */
#include "capture/held.h"
#include <stdlib.h>
#include <string.h>

enum {
    ALIVE_EVERY_US = 500000,
    LAST_RETRY_US = 300000000,
    BATCHES_BEFORE = 3, /* that it may be ahead of the stream */
};

/* ---- the second reader's thread ---- */

static bool reads_for(const second *s, const fr_table *t)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (fr_str_eq(s->keys[2 * i + 1], t->name) && fr_str_eq(s->keys[2 * i], t->space))
            return true;
    return false;
}

/* Of what was read only the places and the rows that it is about are of use; all rows where they
 * are counted for their transaction. */
static void keep_useful(const second *s, fr_batch *b)
{
    size_t kept = 0;
    bool all = s->h->c->s.source->transaction_metadata, rows = false;
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        bool row = e->table != NULL;
        if (e->op == FR_OP_MESSAGE || (row && !all && !reads_for(s, e->table)))
            continue;
        /* A transaction without such rows is a place, and the last of several is enough. */
        if (e->op == FR_OP_COMMIT && !rows && !all && kept > 0 &&
            b->events[kept - 1].op == FR_OP_BEGIN) {
            kept--;
            if (kept > 0 && b->events[kept - 1].op == FR_OP_COMMIT &&
                b->events[kept - 1].position.ordinal == UINT32_MAX)
                kept--;
            b->events[kept] = *e;
            b->events[kept++].position.ordinal = UINT32_MAX;
            continue;
        }
        rows = row || (rows && e->op != FR_OP_BEGIN);
        b->events[kept++] = *e;
    }
    b->count = kept;
}

static fr_rc fill(second *s, fr_batch *b, fr_err *err)
{
    int64_t until = fr_now_us() + 20000;
    fr_rc rc = FR_OK;
    while (!fr_batch_full(b) && !atomic_load(&s->stop) && !stopping(s->h->c) &&
           (b->count == 0 || fr_now_us() < until)) {
        rc = s->reader->ops->fill(s->reader, b, fr_now_us() + (b->count == 0 ? 100000 : 500), err);
        if (rc != FR_OK)
            break;
    }
    return rc == FR_FAIL ? rc : b->count > 0 ? FR_OK : FR_IDLE;
}

static fr_rc fill_loop(second *s, fr_err *err)
{
    fr_capture *c = s->h->c;
    int64_t next_alive_us = 0;
    while (!atomic_load(&s->stop) && !stopping(c)) {
        if (s->reader->ops->confirm != NULL && fr_now_us() >= next_alive_us) {
            FR_TRY(s->reader->ops->confirm(s->reader, (fr_str){"", 0}, err));
            next_alive_us = fr_now_us() + ALIVE_EVERY_US;
        }
        fr_batch *b = NULL;
        if (atomic_load(&s->ahead) >= BATCHES_BEFORE)
            fr_sleep_us(2000);
        else
            b = fr_pool_take(c->pool, fr_now_us() + 100000);
        if (b == NULL)
            continue;
        fr_rc rc = fill(s, b, err);
        if (rc == FR_OK) {
            keep_useful(s, b);
            b->beside = true;
            fr_pool_weigh(c->pool, b);
            atomic_fetch_add(&s->ahead, 1);
            if (fr_queue_put(c->filled, b, INT64_MAX))
                continue;
            atomic_fetch_sub(&s->ahead, 1);
        }
        fr_pool_give(c->pool, b);
        FR_TRY(rc);
    }
    return FR_OK;
}

static void *second_thread(void *context)
{
    second *s = context;
    pthread_setname_np(pthread_self(), "second reader");
    fr_cancel_by(&s->stop);
    s->failed = fill_loop(s, &s->err) == FR_FAIL;
    atomic_store(&s->over, true);
    return NULL;
}

/* The reader is closed here, and not by its thread: until then it may be interrupted. */
static void join_thread(second *s)
{
    pthread_join(s->thread, NULL);
    s->reader->ops->close(s->reader);
    s->started = false;
}

/* ---- its beginning and end ---- */

static bool may_go_together(const held *h, const held_table *t)
{
    return t->state == WAITS && t->from.len > 0 && h->c->source != NULL;
}

/* The one that was left first, and all others: they are met on the way. */
static held_table *first_waiting(const held *h)
{
    held_table *first = NULL;
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        if (may_go_together(h, t) && (first == NULL || held_compare(h, fr_buf_view(&t->from),
                                                                    fr_buf_view(&first->from)) < 0))
            first = t;
    }
    return first;
}

static void choose(held *h, const held_table *first)
{
    second *s = &h->second;
    fr_source *source = h->c->source;
    s->keys = fr_realloc(s->keys, 2 * h->count * sizeof(*s->keys));
    s->key_count = 0;
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        if (!may_go_together(h, t))
            continue;
        fr_str from = fr_buf_view(&t->from);
        /* Another's place is met by its number: of one that is the first's there is no need. */
        uint64_t lsn = held_compare(h, from, fr_buf_view(&first->from)) == 0
                           ? 0
                           : source->ops->resume_lsn(source, from);
        fr_encoder_only(h->encoder, t->space, t->name, lsn, fr_buf_view(&t->txn), t->seen);
        t->state = CATCHES_UP;
        t->now_seen = 0;
        s->keys[2 * s->key_count] = t->space;
        s->keys[2 * s->key_count++ + 1] = t->name;
        fr_log(FR_LOG_INFO, h->c->who, "%.*s.%.*s is caught up from %.*s", FR_ARG(t->space),
               FR_ARG(t->name), FR_ARG(from));
        held_tell(h, t);
    }
}

/* Each that waits is held again, for a reason that is not in its rows. */
static void give_up(held *h, held_state was, const fr_err *why)
{
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        if (t->state != was || t->from.len == 0)
            continue;
        t->state = STAYS;
        t->dirty = true;
        held_mark_released(h, t, false);
        held_set_why(t, why);
        held_log(h, t, why);
        held_tell(h, t);
    }
}

/* It could not be read, or not any more. */
static void try_later(held *h, held_state was, fr_err *why)
{
    if (why->kind == FR_ERR_POSITION || why->kind == FR_ERR_CONFIG || why->kind == FR_ERR_DATA) {
        if (why->hint[0] == '\0')
            fr_fail_hint(why, "freshet resume TABLE --anew takes a new snapshot of it instead");
        give_up(h, was, why);
        return;
    }
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state == was && h->tables[i]->from.len > 0)
            h->tables[i]->state = WAITS;
    if (!stopping(h->c))
        fr_log(FR_LOG_WARN, h->c->who, "held tables are caught up later, in %lld s: %s [%s]",
               (long long)(h->retry_us / 1000000), why->text, why->code);
    h->next_try_us = fr_now_us() + h->retry_us;
    h->retry_us = 2 * h->retry_us > LAST_RETRY_US ? LAST_RETRY_US : 2 * h->retry_us;
}

/* The stream knows what was published last, also of this table. */
static int32_t published_here(void *context, fr_str topic)
{
    fr_capture *c = context;
    return fr_encoder_newest(c->encoder, topic);
}

/* The stream's own reader, while there is no stream; else one beside it. */
static fr_rc open_reader(held *h, fr_str from, fr_err *err)
{
    const fr_capture *c = h->c;
    const fr_source_ops *ops = c->source->ops;
    if (h->alone)
        return ops->read_stream(c->source, from, &h->second.reader, err);
    if (ops->read_beside != NULL && !FR_FAILPOINT("capture_no_beside"))
        return ops->read_beside(c->source, from, &h->second.reader, err);
    fr_fail(err, FR_ERR_CONFIG, "a source of type %s cannot be read a second time",
            c->s.source->type);
    return fr_fail_code(err, "source.beside");
}

static void make_encoder(held *h)
{
    fr_encoder_settings settings = h->c->encoding;
    settings.published = published_here;
    settings.kept = NULL; /* of older rows */
    held_end_encoder(h);
    h->encoder = fr_encoder_new(&settings, h->c->registry);
    fr_encoder_beside(h->encoder);
}

void held_second_begin(held *h)
{
    second *s = &h->second;
    fr_err err;
    const held_table *first = first_waiting(h);
    if (first == NULL || s->started || h->waiting_count > 0 || atomic_load(&s->ahead) > 0 ||
        fr_now_us() < h->next_try_us)
        return;
    fr_str *keys = s->keys;
    memset(s, 0, sizeof(*s));
    s->h = h;
    s->keys = keys;
    if (open_reader(h, fr_buf_view(&first->from), &err) == FR_FAIL) {
        if (!h->alone && strcmp(err.code, "source.beside") == 0)
            held_go_alone(h);
        else
            try_later(h, WAITS, &err);
        return;
    }
    make_encoder(h);
    held_set(&h->resume, fr_buf_view(&first->from));
    h->txn_id.len = 0;
    choose(h, first);
    if (fr_thread_start(&s->thread, second_thread, s, &err) == FR_FAIL) {
        s->reader->ops->close(s->reader);
        try_later(h, CATCHES_UP, &err);
        return;
    }
    s->started = true;
}

void held_second_stop(held *h)
{
    second *s = &h->second;
    if (!s->started || atomic_load(&s->stop))
        return;
    atomic_store(&s->stop, true);
    s->reader->ops->interrupt(s->reader);
}

void held_second_end(held *h)
{
    second *s = &h->second;
    join_thread(s);
    if (s->failed)
        try_later(h, CATCHES_UP, &s->err);
}

bool held_any_is(const held *h, held_state state)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state == state)
            return true;
    return false;
}

void held_end(held *h, outlet *o)
{
    second *s = &h->second;
    if (s->started) {
        held_second_stop(h);
        join_thread(s);
    }
    for (size_t i = 0; i < h->waiting_count; i++)
        outlet_keep(o, h->waiting[i]); /* messages may still point into it */
    h->waiting_count = 0;
    atomic_store(&s->ahead, 0); /* what is in the queue goes back with it */
    free(s->keys);
    s->keys = NULL;
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state == CATCHES_UP)
            h->tables[i]->state = WAITS;
}

/* ---- its batches ---- */

void held_take(held *h, fr_batch *b)
{
    if (h->waiting_count == h->waiting_cap) {
        h->waiting_cap = h->waiting_cap == 0 ? 8 : 2 * h->waiting_cap;
        h->waiting = fr_realloc(h->waiting, h->waiting_cap * sizeof(*h->waiting));
        h->taken = fr_realloc(h->taken, h->waiting_cap * sizeof(*h->taken));
    }
    h->taken[h->waiting_count] = 0;
    h->waiting[h->waiting_count++] = b;
}

static bool is_place(const fr_event *e)
{
    return (e->op == FR_OP_COMMIT || e->op == FR_OP_HEARTBEAT) && e->position.resume.len > 0;
}

/* Is this event before the stream's own position? */
static bool reached(const held *h, const fr_event *e, uint64_t limit)
{
    fr_source *source = h->c->source;
    if (e->op == FR_OP_HEARTBEAT)
        return source->ops->resume_lsn(source, e->position.resume) <= limit;
    return e->position.lsn < limit;
}

/* Where the table can be left once more, with all that was published of it. */
static void note_place(held *h, held_table *t)
{
    /* What was published of a transaction before may be more than was read of it by now. */
    if (held_compare(h, fr_buf_view(&h->resume), fr_buf_view(&t->from)) == 0 &&
        t->now_seen <= t->seen)
        return;
    held_set(&t->from, fr_buf_view(&h->resume));
    held_set(&t->txn, t->now_seen > 0 ? fr_buf_view(&h->txn_id) : (fr_str){"", 0});
    t->seen = t->now_seen;
    t->dirty = true;
}

/* A place that another table's reading passes on its way to this one's is not this one's. */
static bool is_behind(const held *h, const held_table *t)
{
    return held_compare(h, fr_buf_view(&h->resume), fr_buf_view(&t->from)) < 0;
}

/* At its own place, of which a part is published that has not been read again yet. */
static bool is_within(const held *h, const held_table *t)
{
    return t->seen > 0 && held_compare(h, fr_buf_view(&h->resume), fr_buf_view(&t->from)) == 0;
}

static void walk(held *h, const fr_batch *b, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const fr_event *e = &b->events[i];
        if (e->table != NULL && fr_op_is_change(e->op) && e->txn != NULL) {
            if (!fr_str_eq(fr_buf_view(&h->txn_id), e->txn->id))
                held_set(&h->txn_id, e->txn->id);
            held_table *t = held_find(h, e->table->space, e->table->name);
            if (t != NULL)
                t->now_seen++;
        }
        if (!is_place(e))
            continue;
        held_set(&h->resume, e->position.resume);
        h->txn_id.len = 0;
        for (size_t k = 0; k < h->count; k++)
            h->tables[k]->now_seen = 0;
    }
}

static void note_places(held *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state == CATCHES_UP && !is_behind(h, h->tables[i]))
            note_place(h, h->tables[i]);
}

void held_again(held *h, const fr_batch *b, size_t index, const fr_err *why)
{
    const fr_table *table = b->events[index].table;
    held_table *t = held_find(h, table->space, table->name);
    size_t from = h->taken[0];
    fr_str resume = fr_buf_view(&h->resume), txn = fr_buf_view(&h->txn_id);
    uint64_t seen = t->now_seen;
    for (size_t i = from; i < index; i++) {
        const fr_event *e = &b->events[i];
        if (e->txn != NULL && e->table != NULL)
            txn = e->txn->id;
        if (is_place(e)) {
            resume = e->position.resume;
            seen = 0;
        }
        seen += e->table != NULL && fr_op_is_change(e->op) && fr_str_eq(e->table->name, t->name) &&
                fr_str_eq(e->table->space, t->space);
    }
    if (held_compare(h, resume, fr_buf_view(&t->from)) == 0 && seen < t->seen) {
        seen = t->seen; /* published before this reading began */
        txn = fr_buf_view(&t->txn);
    }
    held_place at = {.from = fr_arena_str(h->arena, resume),
                     .txn = fr_arena_str(h->arena, txn),
                     .seen = seen,
                     .unread = t->unread};
    fr_encoder_take(h->encoder, t->space, t->name);
    held_put(h, t->space, t->name, &at, why);
}

/* The second reader is at a place above which the stream has passed over nothing of the table: from
 * there on the stream publishes it. */
static void join(held *h, held_table *t)
{
    fr_capture *c = h->c;
    fr_str place = fr_buf_view(&h->resume);
    uint64_t last = 0, count, lsn = c->source->ops->resume_lsn(c->source, place);
    (void)fr_encoder_passed(c->encoder, t->space, t->name, &last, &count);
    if (h->txn_id.len > 0 || lsn <= last || held_compare(h, place, fr_buf_view(&h->began)) < 0 ||
        is_behind(h, t) || is_within(h, t))
        return;
    note_place(h, t);
    t->state = JOINED;
    t->dirty = true;
    held_mark_released(h, t, false);
    fr_encoder_take(h->encoder, t->space, t->name);
    fr_encoder_pass(c->encoder, t->space, t->name, lsn);
    h->retry_us = FIRST_RETRY_US;
    held_released(h, t, "caught up, and published by the stream again");
    if (t->unread || held_has_unread(c, t->space, t->name)) {
        t->unread = false;
        requests_reopen(c->requests); /* the rest of its snapshot */
    }
}

static void share_schema(held *h, const fr_batch *b, size_t from, size_t to)
{
    for (size_t i = b->message_count; i-- > 0;) {
        const fr_message *m = &b->messages[i];
        if (m->event >= from && m->event < to && m->schema != 0 && m->payload.ptr != NULL)
            fr_encoder_publishes(h->c->encoder, m->topic, m->schema);
    }
}

void held_join(held *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state == CATCHES_UP)
            join(h, h->tables[i]);
}

static fr_rc publish(held *h, outlet *o, fr_batch *b, size_t from, size_t to, fr_err *err)
{
    FR_TRY(outlet_beside(o, h->encoder, b, from, to, err));
    share_schema(h, b, from, to);
    walk(h, b, from, to);
    h->taken[0] = to;
    return FR_OK;
}

static void drop_first(held *h, outlet *o)
{
    outlet_keep(o, h->waiting[0]);
    atomic_fetch_sub(&h->second.ahead, 1);
    h->waiting_count--;
    memmove(h->waiting, h->waiting + 1, h->waiting_count * sizeof(*h->waiting));
    memmove(h->taken, h->taken + 1, h->waiting_count * sizeof(*h->taken));
}

/* As far as the stream has come. What the server shows only here may not survive a failover. */
fr_rc held_advance(held *h, outlet *o, bool *moved, fr_err *err)
{
    fr_batch *b = h->waiting[0];
    fr_str position = outlet_position(o);
    uint64_t limit = h->c->source->ops->resume_lsn(h->c->source, position);
    size_t from = h->taken[0], to = from;
    while (to < b->count && reached(h, &b->events[to], limit))
        to++;
    size_t place = to;
    while (place > from && !is_place(&b->events[place - 1]))
        place--;
    FR_TRY(publish(h, o, b, from, place, err));
    /* What comes next is behind the stream's position: all that is before it has been read. */
    if (place == to && to < b->count && h->txn_id.len == 0 &&
        held_compare(h, fr_buf_view(&h->resume), position) < 0)
        held_set(&h->resume, position);
    held_join(h);
    FR_TRY(publish(h, o, b, place, to, err));
    note_places(h);
    *moved = to == b->count;
    if (to == b->count)
        drop_first(h, o);
    return FR_OK;
}
