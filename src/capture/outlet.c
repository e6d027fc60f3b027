#include "capture/internal.h"
#include <stdlib.h>
#include <string.h>

struct outlet {
    fr_capture *c;
    fr_batch **kept; /* all that the open Kafka transaction, or the last batch, points to */
    size_t kept_count, kept_cap, kept_weight; /* weight: in ordinary batches */
    uint64_t events, bytes;                   /* in the open Kafka transaction */
    int64_t opened_us;                        /* 0: none is open */
    int64_t last_close_us, commit_us;         /* commit_us: how long one takes, smoothed */
    int64_t last_seen_commit_us;              /* wall time of the newest source commit taken in */
    settling settling;

    /* The source transaction at hand. */
    bool in_txn, split_open; /* split_open: parts of it are committed already */
    size_t txn_from;         /* its first event in the batch at hand */
    char txn_id[64];
    uint64_t txn_events, txn_bytes;
    uint32_t txn_crc;

    fr_buf resume; /* of the last whole transaction taken in */
    fr_buf before; /* the same, before the batch at hand */
    fr_map *rows;  /* "space.table" -> count: of the transaction that it goes on with, before it */
    bool resume_dirty;
    fr_split skip; /* still to be skipped; id empty: nothing */
    char skip_id[64];
    bool skipping;

    snapshot *snapshot;
    fr_map *polled; /* "space.table" -> fr_str*: records of polled tables for the next commit */
    fr_map *known;  /* "space.table": tables whose snapshot this run has begun */
    fr_map *unread; /* outboxes that the log alone has brought so far: said with the next commit */
    dead_letters *dead;
    uint64_t filtered; /* events that were told of as left out */
    ahead *ahead;
    size_t encoded;               /* of the batch at hand: so many of its events are */
    size_t next_message;          /* of the batch at hand: the first that is not produced */
    fr_arena *arena, *ends_arena; /* of one commit; of ends */
    fr_end *ends;                 /* what the previous transaction touched */
    size_t end_count;
    bool ends_behind;    /* something was committed since the last `ends` record */
    int64_t all_ends_us; /* when the `ends` record is due */
    tallies *tallies;    /* since the last commit */
    notices_state notices;
};

outlet *outlet_new(fr_capture *c)
{
    outlet *o = fr_malloc(sizeof(*o));
    o->c = c;
    o->arena = fr_arena_new(0);
    o->ends_arena = fr_arena_new(0);
    o->tallies = tallies_new();
    o->polled = fr_map_new();
    o->known = fr_map_new();
    o->unread = fr_map_new();
    o->rows = fr_map_new();
    o->dead = dead_new(c);
    o->ahead = ahead_new(c);
    o->commit_us = 5000;
    o->settling.settle_us = 1000;
    o->all_ends_us = fr_now_us() + 60000000;
    return o;
}

void outlet_free(outlet *o)
{
    if (o == NULL)
        return;
    ahead_free(o->ahead);
    for (size_t i = 0; i < o->kept_count; i++)
        fr_pool_give(o->c->pool, o->kept[i]);
    free(o->kept);
    fr_buf_free(&o->resume);
    fr_buf_free(&o->before);
    fr_map_free(o->rows, NULL);
    fr_arena_free(o->arena);
    fr_arena_free(o->ends_arena);
    tallies_free(o->tallies);
    fr_map_free(o->polled, free);
    fr_map_free(o->known, NULL);
    fr_map_free(o->unread, NULL);
    dead_free(o->dead);
    free(o);
}

void outlet_skip(outlet *o, const fr_split *split)
{
    o->skip = *split;
    snprintf(o->skip_id, sizeof(o->skip_id), "%.*s", FR_ARG(split->id));
    o->skip.id = fr_cstr(o->skip_id);
}

void outlet_resume(outlet *o, fr_str resume)
{
    o->resume.len = 0;
    fr_buf_str(&o->resume, resume);
}

void outlet_snapshot(outlet *o, snapshot *s)
{
    o->snapshot = s;
}

int64_t outlet_due(const outlet *o)
{
    if (o->opened_us == 0 && !o->resume_dirty)
        return INT64_MAX;
    return (o->opened_us == 0 ? o->last_close_us : o->opened_us) + o->c->s.kafka->max_time_us;
}

static bool young(const outlet *o)
{
    return fr_wall_us() - o->last_seen_commit_us < 1000000;
}

bool outlet_fresh(const outlet *o)
{
    return fr_wall_us() - o->last_seen_commit_us < 5000000;
}

static fr_rc open_transaction(outlet *o, fr_err *err)
{
    if (o->opened_us != 0)
        return FR_OK;
    settling_wait(&o->settling, o->last_close_us, young(o));
    FR_TRY(fr_publisher_begin(o->c->publisher, err));
    o->opened_us = fr_now_us();
    return FR_OK;
}

/* Keeps what the last commit touched for the next stream record (R15). */
static void remember_ends(outlet *o, const fr_end *ends, size_t count)
{
    fr_arena_reset(o->ends_arena);
    o->ends = fr_arena_alloc(o->ends_arena, (count + 1) * sizeof(fr_end));
    o->end_count = count;
    for (size_t i = 0; i < count; i++) {
        o->ends[i] = ends[i];
        o->ends[i].topic = fr_arena_str(o->ends_arena, ends[i].topic);
    }
}

static fr_rc put_polled(outlet *o, fr_err *err)
{
    size_t i = 0;
    fr_str table;
    void *progress;
    while (fr_map_next(o->polled, &i, &table, &progress)) {
        fr_record r = fr_checkpoint_table(o->arena, table, *(const fr_str *)progress);
        FR_TRY(fr_publisher_record(o->c->publisher, &r, err));
    }
    return FR_OK;
}

void outlet_known(outlet *o, fr_str space, fr_str name)
{
    fr_arena *a = fr_arena_new(256);
    fr_map_set(o->known, fr_arena_printf(a, "%.*s.%.*s", FR_ARG(space), FR_ARG(name)), o);
    fr_arena_free(a);
}

/* The log has brought rows of an outbox that no snapshot ever began with: it was not there then, or
 * its snapshot.mode is never. Reading it later would publish them once more. */
static void note_unread(outlet *o, const fr_table *t)
{
    const fr_table_settings *s = fr_source_match(o->c->s.source, t->space, t->name);
    if (s == NULL || !s->outbox.on || s->method != FR_METHOD_LOG)
        return;
    fr_arena *a = fr_arena_new(256);
    fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    if (fr_map_get(o->known, key) == NULL && fr_map_get(o->c->checkpoint->snapshots, key) == NULL) {
        fr_map_set(o->known, key, o);
        fr_map_set(o->unread, key, (void *)t); /* its tally holds it */
    }
    fr_arena_free(a);
}

static fr_rc put_unread(outlet *o, fr_err *err)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(o->unread, &i, NULL, &value)) {
        const fr_table *t = value;
        fr_snapshot_progress done = {
            .space = t->space, .name = t->name, .view_resume = fr_buf_view(&o->resume)};
        fr_record r = fr_checkpoint_snapshot(o->arena, &done);
        FR_TRY(fr_publisher_record(o->c->publisher, &r, err));
    }
    return FR_OK;
}

static fr_rc put_records(outlet *o, bool with_all_ends, fr_err *err)
{
    fr_publisher *p = o->c->publisher;
    fr_record *records;
    if (o->snapshot != NULL) {
        size_t n = snapshot_records(o->snapshot, o->arena, false, &records);
        for (size_t i = 0; i < n; i++)
            FR_TRY(fr_publisher_record(p, &records[i], err));
    }
    FR_TRY(put_polled(o, err));
    FR_TRY(put_unread(o, err));
    size_t held_count =
        held_records(o->c->held_tables, o->arena, fr_buf_view(&o->resume), &records);
    for (size_t i = 0; i < held_count; i++)
        FR_TRY(fr_publisher_record(p, &records[i], err));
    size_t move_count = moves_records(o->c->moves, o->arena, &records); /* behind the snapshots' */
    for (size_t i = 0; i < move_count; i++)
        FR_TRY(fr_publisher_record(p, &records[i], err));
    if (move_count > 0 && FR_FAILPOINT("capture_move_record"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_move_record");
    const fr_record *parked;
    size_t parked_count = dead_records(o->dead, &parked);
    for (size_t i = 0; i < parked_count; i++)
        FR_TRY(fr_publisher_record(p, &parked[i], err));
    if (with_all_ends) {
        fr_end *all;
        size_t n;
        fr_publisher_ends(p, o->arena, &all, &n);
        fr_record r = fr_checkpoint_ends(o->arena, all, n);
        FR_TRY(fr_publisher_record(p, &r, err));
    }
    /* What is still to be skipped stays on record until it has been: a restart must skip it
     * again, whatever is committed before (heartbeats, chunks of a snapshot). */
    fr_split split = o->skip;
    if (split.id.len == 0 && o->in_txn && o->txn_events > 0)
        split = (fr_split){fr_cstr(o->txn_id), o->txn_events, o->txn_crc};
    fr_record r = fr_checkpoint_stream(o->arena, false, fr_buf_view(&o->resume),
                                       split.id.len == 0 ? NULL : &split, o->ends, o->end_count,
                                       fr_wall_us());
    return fr_publisher_record(p, &r, err);
}

static void keep_batch(outlet *o, fr_batch *b)
{
    if (o->kept_count == o->kept_cap) {
        o->kept_cap = o->kept_cap == 0 ? 32 : 2 * o->kept_cap;
        o->kept = fr_realloc(o->kept, o->kept_cap * sizeof(*o->kept));
    }
    o->kept[o->kept_count++] = b;
    o->kept_weight += b->weight;
}

/* After a commit: what was in it is acknowledged. */
static void acknowledged(outlet *o, fr_batch *keep)
{
    fr_capture *c = o->c;
    const fr_observer *ob = &c->s.observer;
    for (size_t i = 0; i < o->kept_count; i++)
        if (o->kept[i] != keep)
            fr_pool_give(c->pool, o->kept[i]);
    o->kept_count = o->kept_weight = 0;
    if (keep != NULL)
        keep_batch(o, keep);
    pthread_mutex_lock(&c->lock);
    c->safe.len = 0;
    fr_buf_str(&c->safe, fr_buf_view(&o->resume));
    c->confirmable.len = 0;
    fr_buf_str(&c->confirmable, held_least(c->held_tables, fr_buf_view(&o->resume)));
    c->safe_version++;
    pthread_mutex_unlock(&c->lock);
    c->runner.progressed = true;
    dead_committed(o->dead);
    held_committed(c->held_tables);
    moves_committed(c->moves);
    uint64_t filtered = fr_router_filtered(c->router);
    if (filtered > o->filtered)
        FR_TELL(ob, filtered, filtered - o->filtered);
    o->filtered = filtered;
    fr_router_broken(c->router, ob->broken, ob->part);
    if (fr_map_count(o->unread) > 0) {
        fr_map_free(o->unread, NULL);
        o->unread = fr_map_new();
    }
    if (fr_map_count(o->polled) > 0) {
        fr_map_free(o->polled, free);
        o->polled = fr_map_new();
    }
    tallies_tell(o->tallies, ob);
    FR_TELL(ob, position, fr_buf_view(&o->resume));
    FR_TELL(ob, progress);
}

/* The broker takes its time; we encode what comes next, if no row before it has failed. */
static fr_rc commit_and_work(outlet *o, bool failed, const fr_end **ends, size_t *n, fr_err *err)
{
    enum { GLANCE_MS = 1, WAIT_MS = 20 };
    fr_rc rc;
    bool worked = !failed && ahead_allowed(o->ahead) && ahead_waiting(o->ahead) > 0;
    atomic_store_explicit(&o->c->committing, true, memory_order_relaxed);
    do {
        rc = fr_publisher_commit_step(o->c->publisher, worked ? GLANCE_MS : WAIT_MS, ends, n, err);
        worked = rc == FR_IDLE && !failed && ahead_work(o->ahead);
    } while (rc == FR_IDLE);
    atomic_store_explicit(&o->c->committing, false, memory_order_relaxed);
    return rc;
}

static fr_rc commit(outlet *o, fr_batch *keep, fr_err *err)
{
    int64_t began = fr_now_us();
    bool all_ends = began >= o->all_ends_us;
    FR_TRY(open_transaction(o, err));
    FR_TRY(put_records(o, all_ends, err));
    if (FR_FAILPOINT("capture_before_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_before_commit");
    const fr_end *ends;
    size_t count;
    bool failed = keep != NULL && o->encoded < keep->count; /* its turn comes first */
    FR_TRY(commit_and_work(o, failed, &ends, &count, err));
    if (FR_FAILPOINT("capture_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_after_commit");
    int64_t now = fr_now_us();
    remember_ends(o, ends, count);
    if (all_ends)
        o->all_ends_us = now + 60000000;
    o->ends_behind = !all_ends && (o->ends_behind || count > 0);
    o->commit_us += (now - began - o->commit_us) / 8;
    settling_learn(&o->settling, now - began, young(o));
    o->last_close_us = now;
    o->opened_us = 0;
    o->events = o->bytes = 0;
    o->resume_dirty = false;
    o->split_open = o->in_txn && o->txn_events > 0;
    acknowledged(o, keep);
    fr_arena_reset(o->arena);
    fr_publish_stats stats;
    fr_publisher_stats(o->c->publisher, &stats);
    FR_TELL(&o->c->s.observer, stage, 2, (double)(now - began) / 1e6);
    FR_TELL(&o->c->s.observer, kafka, stats.queued, stats.transactions);
    return FR_OK;
}

fr_rc outlet_close(outlet *o, fr_err *err)
{
    if (o->opened_us == 0 && !o->resume_dirty && !held_dirty(o->c->held_tables))
        return FR_OK;
    return commit(o, NULL, err);
}

fr_rc outlet_records(outlet *o, const fr_record *records, size_t count, fr_err *err)
{
    const fr_end *ends;
    size_t end_count;
    FR_TRY(fr_publisher_begin(o->c->publisher, err));
    for (size_t i = 0; i < count; i++)
        FR_TRY(fr_publisher_record(o->c->publisher, &records[i], err));
    return fr_publisher_commit(o->c->publisher, &ends, &end_count, err);
}

fr_rc outlet_ends(outlet *o, fr_err *err)
{
    fr_end *all;
    size_t count;
    if (!o->ends_behind)
        return FR_OK;
    fr_publisher_ends(o->c->publisher, o->arena, &all, &count);
    fr_record r = fr_checkpoint_ends(o->arena, all, count);
    FR_TRY(outlet_records(o, &r, 1, err));
    o->ends_behind = false;
    fr_arena_reset(o->arena);
    return FR_OK;
}

static bool is_row(fr_op op)
{
    return fr_op_is_change(op) || op == FR_OP_MESSAGE;
}

static void count_event(outlet *o, const fr_event *e)
{
    uint64_t op = (uint64_t)e->op;
    o->txn_events++;
    o->txn_crc = fr_crc32c(o->txn_crc, &op, sizeof(op));
    o->txn_crc = fr_row_crc(o->txn_crc, &e->before);
    o->txn_crc = fr_row_crc(o->txn_crc, &e->after);
    if (e->op == FR_OP_MESSAGE)
        o->txn_crc = fr_crc32c(o->txn_crc, e->body.ptr, e->body.len);
}

static fr_rc begin_seen(outlet *o, const fr_event *e, fr_err *err)
{
    o->in_txn = true;
    o->split_open = false;
    o->txn_events = o->txn_bytes = 0;
    o->txn_crc = 0;
    snprintf(o->txn_id, sizeof(o->txn_id), "%.*s", e->txn == NULL ? 0 : (int)e->txn->id.len,
             e->txn == NULL ? "" : e->txn->id.ptr);
    if (o->skip.id.len == 0)
        return FR_OK;
    if (!fr_str_is(o->skip.id, o->txn_id)) {
        fr_fail(err, FR_ERR_POSITION,
                "transaction %s was published in part (%llu events), but the source's log goes on "
                "with transaction %s",
                o->skip_id, (unsigned long long)o->skip.events, o->txn_id);
        fr_fail_hint(err, "the log is not the one that was being read; take a new snapshot");
        return fr_fail_code(err, "stream.split_lost");
    }
    o->skipping = true;
    return FR_OK;
}

static fr_rc split_hint(fr_err *err)
{
    fr_fail_code(err, "stream.split_differs");
    return fr_fail_hint(err, "take a new snapshot; if only the table's columns in the "
                             "configuration or the publication changed, put them back until this "
                             "transaction is through");
}

/* Here it ends, and more of it was published. */
static fr_rc split_differs(const outlet *o, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION, "transaction %s ended after %llu events, %llu were published",
            o->txn_id, (unsigned long long)o->txn_events, (unsigned long long)o->skip.events);
    return split_hint(err);
}

/* The last event to skip was counted: what we read must be what was published. */
static fr_rc end_skip(outlet *o, fr_err *err)
{
    if (o->txn_crc != o->skip.crc) {
        fr_fail(err, FR_ERR_POSITION,
                "transaction %s was published in part, but its first %llu events now read "
                "differently (crc32c %08x, was %08x)",
                o->skip_id, (unsigned long long)o->skip.events, o->txn_crc, o->skip.crc);
        return split_hint(err);
    }
    o->skipping = false;
    o->split_open = true;
    o->skip.id = FR_STR("");
    return FR_OK;
}

static void tally_messages(outlet *o, const fr_batch *b, size_t from, size_t to)
{
    size_t last = SIZE_MAX;
    for (size_t i = from; i < to; i++) {
        const fr_message *m = &b->messages[i];
        uint64_t bytes = m->key.len + m->payload.len + 70;
        o->bytes += bytes;
        if (o->in_txn && !b->beside && m->event >= o->txn_from)
            o->txn_bytes += bytes;
        const fr_event *e = &b->events[m->event];
        if (m->event == last || e->op > FR_OP_TRUNCATE || notices_is(o->c, b, m))
            continue;
        last = m->event;
        if (e->table != NULL && tallies_add(o->tallies, e, bytes))
            note_unread(o, e->table);
    }
}

/* ---- tables that are held from a row on ---- */

/* FR_OK: from this row on its table is held, or goes on in another topic, and the others go on. */
static fr_rc hold_from(outlet *o, fr_batch *b, size_t index, fr_err *err)
{
    if (o->skipping)
        return FR_FAIL;
    return held_from(o->c, o->snapshot, b, index, fr_buf_view(&o->before), o->rows, err);
}

/* All of the batch that is not encoded yet; what fails behind `to` fails again in its turn. */
static fr_rc encode_rest(outlet *o, fr_batch *b, size_t to, fr_err *err)
{
    while (o->encoded < b->count &&
           fr_encode(o->c->encoder, b, o->encoded, b->count, &o->encoded, err) == FR_FAIL) {
        if (o->encoded >= to) {
            fr_router_broken(o->c->router, NULL, NULL);
            return FR_OK;
        }
        FR_TRY(hold_from(o, b, o->encoded, err));
    }
    return FR_OK;
}

/* This row's key is parked; what a held table leaves to its second reader, or has published before
 * it was held, is nobody's here. later: it depends on those before it. */
static bool is_parked(const outlet *o, const fr_encoder *e, const fr_event *event, bool *later)
{
    return !fr_encoder_leaves(e, event, later) && dead_parked(o->dead, event);
}

/* How many of events[from..to) can be encoded together, the first of which is not parked. */
static size_t stop_at(const outlet *o, const fr_encoder *e, const fr_batch *b, size_t from,
                      size_t to)
{
    bool later;
    (void)is_parked(o, e, &b->events[from], &later);
    size_t i = from + 1;
    while (!later && i < to && !is_parked(o, e, &b->events[i], &later))
        i += !later;
    return i;
}

/* The messages of events[from..end), with errors.mode dlq: a row that cannot be encoded, and
 * each later one of its key, becomes a dead letter instead. Few rows at a time: each that fails
 * may park the key of those behind it, which are then looked at again. */
static fr_rc encode_or_bury(outlet *o, fr_encoder *e, fr_batch *b, size_t from, size_t end,
                            fr_err *err)
{
    enum { AT_ONCE = 64 };
    while (from < end) {
        bool later;
        if (is_parked(o, e, &b->events[from], &later)) {
            if (dead_wanted(o->dead, &b->events[from]))
                FR_TRY(dead_put(o->dead, b, from++, NULL, err));
            else if (dead_left(&b->events[from], err) == FR_FAIL)
                FR_TRY(hold_from(o, b, from, err));
            continue;
        }
        size_t done = from;
        size_t stop = stop_at(o, e, b, from, end - from > AT_ONCE ? from + AT_ONCE : end);
        if (fr_encode(e, b, from, stop, &done, err) == FR_OK) {
            from = stop;
            continue;
        }
        if (err->kind != FR_ERR_DATA || !dead_wanted(o->dead, &b->events[done])) {
            FR_TRY(hold_from(o, b, done, err));
            from = done;
            continue;
        }
        fr_err why = *err; /* of the row there is no message, at most a marker */
        FR_TRY(dead_put(o->dead, b, done, &why, err));
        from = done + 1;
    }
    return FR_OK;
}

/* Encodes events[from..to); *first and *last are their messages. */
static fr_rc encode(outlet *o, fr_batch *b, size_t from, size_t to, size_t *first, size_t *last,
                    fr_err *err)
{
    int64_t began = fr_now_us();
    *first = o->next_message;
    if (ahead_allowed(o->ahead)) {
        FR_TRY(encode_rest(o, b, to, err));
        while (o->next_message < b->message_count && b->messages[o->next_message].event < to)
            o->next_message++;
    } else {
        FR_TRY(encode_or_bury(o, o->c->encoder, b, from, to, err));
        o->next_message = b->message_count;
    }
    *last = o->next_message;
    FR_TELL(&o->c->s.observer, stage, 1, (double)(fr_now_us() - began) / 1e6);
    return FR_OK;
}

/* Kafka does not take a message. Where a row named the topic, no other verb knows of it. */
static fr_rc refused(outlet *o, const fr_batch *b, size_t message, fr_err *err)
{
    const fr_message *m = message < b->message_count ? &b->messages[message] : NULL;
    const fr_table *t = m == NULL ? NULL : b->events[m->event].table;
    const fr_route *r = NULL;
    fr_err ignored;
    bool routed = t != NULL && strcmp(err->code, "kafka.topic.missing") == 0 &&
                  fr_router_route(o->c->router, t, &r, &ignored) == FR_OK;
    if (routed && r->outbox != NULL && r->outbox->part_count > 0 && m->header_count > 0 &&
        strcmp(m->headers[0].name, "id") == 0) {
        fr_fail_in(err, "outbox %.*s.%.*s, row %.*s", FR_ARG(t->space), FR_ARG(t->name),
                   FR_ARG(fr_outbox_id(o->arena, m->headers[0].value)));
        return fr_fail_hint(err, "a row names it, so freshet apply does not know of it: make it "
                                 "with kafka-topics.sh --create, or set kafka.topics.create: run");
    }
    return dead_refused(o->dead, b, message, err);
}

/* messages[first..last) of so many events, into the open transaction. */
fr_rc outlet_send(outlet *o, fr_batch *b, size_t first, size_t last, size_t events, fr_err *err)
{
    size_t failed = 0;
    if (first >= last)
        return FR_OK;
    FR_TRY(open_transaction(o, err));
    if (FR_FAILPOINT("capture_before_produce"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_before_produce");
    if (notices_produce(o->c, &o->notices, b, first, last, &failed, err) == FR_FAIL)
        return refused(o, b, failed, err);
    if (FR_FAILPOINT("capture_after_produce"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_after_produce");
    o->events += events;
    tally_messages(o, b, first, last);
    return FR_OK;
}

/* events[from..to) into the open transaction; skipped ones are encoded too, so that the
 * encoder's counts of the transaction stay right, and their messages passed over. */
static fr_rc produce(outlet *o, fr_batch *b, size_t from, size_t to, bool skip, fr_err *err)
{
    if (from == to)
        return FR_OK;
    size_t first, last;
    if (encode(o, b, from, to, &first, &last, err) == FR_FAIL) {
        fr_router_broken(o->c->router, o->c->s.observer.broken, o->c->s.observer.part);
        return FR_FAIL;
    }
    return skip ? FR_OK : outlet_send(o, b, first, last, to - from, err);
}

fr_rc outlet_beside(outlet *o, fr_encoder *e, fr_batch *b, size_t from, size_t to, fr_err *err)
{
    size_t first = b->message_count;
    if (from == to)
        return FR_OK;
    FR_TRY(encode_or_bury(o, e, b, from, to, err));
    return outlet_send(o, b, first, b->message_count, to - from, err);
}

static bool over_limit(const outlet *o)
{
    const fr_kafka_settings *k = o->c->s.kafka;
    return o->opened_us != 0 &&
           (o->events >= (uint64_t)k->max_events || o->bytes >= (uint64_t)k->max_bytes ||
            fr_now_us() - o->opened_us >= k->max_time_us);
}

/* A source transaction is torn only when it is itself larger than a Kafka transaction may
 * be, takes a quarter of the broker's time-out, or fills all the memory there is: what we hold
 * counts, not what the reader has filled ahead of us. */
static bool must_split(const outlet *o)
{
    const fr_kafka_settings *k = o->c->s.kafka;
    return o->in_txn && o->txn_events > 0 && o->opened_us != 0 &&
           ((o->txn_events >= (uint64_t)k->max_events && o->events >= (uint64_t)k->max_events) ||
            (o->txn_bytes >= (uint64_t)k->max_bytes && o->bytes >= (uint64_t)k->max_bytes) ||
            fr_now_us() - o->opened_us >= 15000000 ||
            o->kept_weight + held_waiting(o->c->held_tables) + 1 >= fr_pool_size(o->c->pool));
}

/* Between two source transactions: closed early enough that the next one has room to fit. */
static bool should_close(const outlet *o)
{
    return over_limit(o) || (o->opened_us != 0 && o->kept_count > 1 &&
                             2 * o->kept_weight >= fr_pool_size(o->c->pool));
}

static void note_before(outlet *o)
{
    o->before.len = 0;
    fr_buf_str(&o->before, fr_buf_view(&o->resume));
}

static fr_rc take_stream(outlet *o, fr_batch *b, fr_err *err)
{
    size_t from = 0;
    o->txn_from = 0;
    note_before(o);
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        if (e->op == FR_OP_BEGIN) {
            if (o->skip.id.len > 0) { /* what comes before it is not skipped with it */
                FR_TRY(produce(o, b, from, i, false, err));
                from = i;
            }
            FR_TRY(begin_seen(o, e, err));
            o->txn_from = i;
        } else if (o->in_txn && is_row(e->op)) {
            count_event(o, e);
            if (o->skipping && o->txn_events == o->skip.events) {
                FR_TRY(produce(o, b, from, i + 1, true, err));
                from = i + 1;
                FR_TRY(end_skip(o, err));
            }
        }
        if (e->op == FR_OP_COMMIT) {
            if (o->skipping)
                return split_differs(o, err);
            o->in_txn = o->split_open = false;
            o->txn_events = 0;
            if (e->txn != NULL)
                o->last_seen_commit_us = e->txn->commit_us;
        }
        if (e->position.resume.len > 0 && !o->in_txn) {
            outlet_resume(o, e->position.resume);
            o->resume_dirty = true;
            bool full = o->events + (i + 1 - from) >= (uint64_t)o->c->s.kafka->max_events;
            if (e->op == FR_OP_COMMIT && (full || should_close(o))) {
                FR_TRY(produce(o, b, from, i + 1, false, err));
                from = i + 1;
                FR_TRY(commit(o, b, err));
            }
        }
    }
    FR_TRY(produce(o, b, from, b->count, o->skipping, err));
    if (o->in_txn || fr_map_count(o->rows) > 0)
        held_count_rows(&o->rows, b, o->txn_from, o->in_txn);
    if (must_split(o) || (!o->in_txn && should_close(o)))
        return commit(o, NULL, err);
    return FR_OK;
}

static fr_rc take_chunk(outlet *o, fr_batch *b, fr_err *err)
{
    note_before(o);
    FR_TRY(produce(o, b, 0, b->count, false, err));
    if (snapshot_held(o->snapshot, b))
        return FR_OK;                 /* the record that says so comes with the next commit */
    FR_TRY(open_transaction(o, err)); /* an empty last batch has progress to tell as well */
    FR_TRY(snapshot_produced(o->snapshot, b, err));
    if (FR_FAILPOINT("capture_mid_chunk"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_mid_chunk");
    if (should_close(o))
        return commit(o, NULL, err);
    return FR_OK;
}

/* A batch of a polled table: its rows, and how far it was read with them. */
static fr_rc take_polled(outlet *o, fr_batch *b, fr_err *err)
{
    FR_TRY(produce(o, b, 0, b->count, false, err));
    if (held_polled(o->c->held_tables, b->polled))
        return FR_OK;
    FR_TRY(open_transaction(o, err));
    free(fr_map_set(o->polled, b->polled, fr_str_new(b->progress)));
    return should_close(o) ? commit(o, NULL, err) : FR_OK;
}

bool outlet_open(const outlet *o)
{
    return o->opened_us != 0;
}

fr_batch *outlet_next(outlet *o, int64_t deadline_us)
{
    o->next_message = 0;
    return ahead_next(o->ahead, deadline_us, &o->encoded);
}

size_t outlet_waiting(const outlet *o)
{
    return ahead_waiting(o->ahead);
}

bool outlet_settled(const outlet *o)
{
    return !o->in_txn && !ahead_encoded(o->ahead);
}

fr_str outlet_position(const outlet *o)
{
    return fr_buf_view(&o->resume);
}

void outlet_keep(outlet *o, fr_batch *b)
{
    if (o->opened_us == 0)
        fr_pool_give(o->c->pool, b); /* it made no message */
    else
        keep_batch(o, b);
}

fr_rc outlet_take(outlet *o, fr_batch *b, fr_err *err)
{
    if (b->beside) {
        held_take(o->c->held_tables, b);
        return FR_OK;
    }
    keep_batch(o, b);
    FR_TRY(b->polled.len > 0 ? take_polled(o, b, err)
           : b->chunk != 0   ? take_chunk(o, b, err)
                             : take_stream(o, b, err));
    if (o->opened_us == 0 && o->kept_count > 0) { /* it made no message: nothing points to it */
        for (size_t i = 0; i < o->kept_count; i++)
            fr_pool_give(o->c->pool, o->kept[i]);
        o->kept_count = o->kept_weight = 0;
    }
    return FR_OK;
}

fr_rc outlet_idle(outlet *o, bool quiet, fr_err *err)
{
    if (o->in_txn)
        return must_split(o) ? commit(o, NULL, err) : FR_OK;
    if (o->opened_us == 0 && !o->resume_dirty && !held_dirty(o->c->held_tables))
        return FR_OK;
    int64_t now = fr_now_us();
    if (now - o->last_close_us < o->c->s.kafka->min_interval_us)
        return FR_OK;
    /* While events are young, spend up to a fifth of the time on commits; while catching up,
     * only the limits decide. */
    if (quiet || over_limit(o) || (young(o) && now - o->last_close_us >= 4 * o->commit_us))
        return commit(o, NULL, err);
    return FR_OK;
}

fr_rc outlet_finish(outlet *o, fr_err *err)
{
    if (!o->in_txn || o->split_open)
        return outlet_close(o, err);
    if (o->opened_us == 0)
        return FR_OK;
    return fr_publisher_abort(o->c->publisher, err); /* read again from the checkpoint */
}
