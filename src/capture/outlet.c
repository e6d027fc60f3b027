#include "capture/internal.h"
#include <stdlib.h>
#include <string.h>

/* Counts of one table since the last commit. */
typedef struct tally {
    const fr_table *table;
    uint64_t by_op[5], bytes;
    int64_t commit_us;
} tally;

struct outlet {
    fr_capture *c;
    fr_batch **held; /* all that the open Kafka transaction, or the last batch, points to */
    size_t held_count, held_cap, held_weight; /* weight: in ordinary batches */
    uint64_t events, bytes;                   /* in the open Kafka transaction */
    int64_t opened_us;                        /* 0: none is open */
    int64_t last_close_us, commit_us;         /* commit_us: how long one takes, smoothed */
    int64_t last_seen_commit_us;              /* wall time of the newest source commit taken in */
    int64_t quickest_us; /* a commit without a stall: the least seen, rising slowly */
    int64_t settle_us;   /* how long a broker is busy with a commit after it said yes */
    bool after_another;  /* the open transaction was begun right after one */

    /* The source transaction at hand. */
    bool in_txn, split_open; /* split_open: parts of it are committed already */
    size_t txn_from;         /* its first event in the batch at hand */
    char txn_id[64];
    uint64_t txn_events, txn_bytes;
    uint32_t txn_crc;

    fr_buf resume; /* of the last whole transaction taken in */
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
    size_t encoded;      /* of the batch at hand: so many of its events are */
    size_t next_message; /* of the batch at hand: the first that is not produced */
    fr_arena *arena;     /* of one commit */
    fr_arena *ends_arena;
    fr_end *ends; /* what the previous transaction touched */
    size_t end_count;
    bool ends_behind;    /* something was committed since the last `ends` record */
    int64_t all_ends_us; /* when the `ends` record is due */
    fr_map *tallies;     /* table serial -> tally */
    tally *newest_tally; /* the last one looked up */
};

outlet *outlet_new(fr_capture *c)
{
    outlet *o = fr_malloc(sizeof(*o));
    o->c = c;
    o->arena = fr_arena_new(0);
    o->ends_arena = fr_arena_new(0);
    o->tallies = fr_map_new();
    o->polled = fr_map_new();
    o->known = fr_map_new();
    o->unread = fr_map_new();
    o->dead = dead_new(c);
    o->ahead = ahead_new(c);
    o->commit_us = 5000;
    o->settle_us = 1000;
    o->all_ends_us = fr_now_us() + 60000000;
    return o;
}

static void tally_free(void *p)
{
    tally *t = p;
    fr_table_unref(t->table);
    free(t);
}

void outlet_free(outlet *o)
{
    if (o == NULL)
        return;
    ahead_free(o->ahead);
    for (size_t i = 0; i < o->held_count; i++)
        fr_pool_give(o->c->pool, o->held[i]);
    free(o->held);
    fr_buf_free(&o->resume);
    fr_arena_free(o->arena);
    fr_arena_free(o->ends_arena);
    fr_map_free(o->tallies, tally_free);
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

/* A stall costs 20 ms, so a part of that is well spent; and as it must be rare for the 99th
 * percentile's sake, patience is lost much more slowly than it is learned. */
enum { STALL_US = 20000, MOST_SETTLE_US = 6000, SOON_US = 30000, FORGET = 128 };

static bool young(const outlet *o)
{
    return fr_wall_us() - o->last_seen_commit_us < 1000000;
}

/* A broker answers a commit before it has written the markers, and refuses a new transaction
 * until then; librdkafka asks again 20 ms later. A little patience is cheaper; how much it
 * takes depends on the cluster, so it is learned. While catching up it does not matter. */
static void let_settle(outlet *o)
{
    int64_t since = fr_now_us() - o->last_close_us;
    if (since < o->settle_us && young(o))
        fr_sleep_us(o->settle_us - since);
    o->after_another = since < SOON_US;
}

static void learn_to_settle(outlet *o, int64_t took)
{
    if (o->quickest_us == 0 || took < o->quickest_us)
        o->quickest_us = took;
    else
        o->quickest_us += o->quickest_us / 256;
    if (!o->after_another || !young(o))
        return;
    if (took >= o->quickest_us + STALL_US - 2000)
        o->settle_us += o->settle_us / 2 + 250;
    else
        o->settle_us -= o->settle_us / FORGET;
    if (o->settle_us > MOST_SETTLE_US)
        o->settle_us = MOST_SETTLE_US;
}

bool outlet_fresh(const outlet *o)
{
    return fr_wall_us() - o->last_seen_commit_us < 5000000;
}

static fr_rc open_transaction(outlet *o, fr_err *err)
{
    if (o->opened_us != 0)
        return FR_OK;
    let_settle(o);
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

static void hold(outlet *o, fr_batch *b)
{
    if (o->held_count == o->held_cap) {
        o->held_cap = o->held_cap == 0 ? 32 : 2 * o->held_cap;
        o->held = fr_realloc(o->held, o->held_cap * sizeof(*o->held));
    }
    o->held[o->held_count++] = b;
    o->held_weight += b->weight;
}

/* After a commit: what was in it is acknowledged. */
static void acknowledged(outlet *o, fr_batch *keep)
{
    fr_capture *c = o->c;
    const fr_observer *ob = &c->s.observer;
    for (size_t i = 0; i < o->held_count; i++)
        if (o->held[i] != keep)
            fr_pool_give(c->pool, o->held[i]);
    o->held_count = o->held_weight = 0;
    if (keep != NULL)
        hold(o, keep);
    pthread_mutex_lock(&c->lock);
    c->safe.len = 0;
    fr_buf_str(&c->safe, fr_buf_view(&o->resume));
    c->safe_version++;
    pthread_mutex_unlock(&c->lock);
    c->runner.progressed = true;
    dead_committed(o->dead);
    uint64_t filtered = fr_router_filtered(c->router);
    if (filtered > o->filtered)
        FR_TELL(ob, filtered, filtered - o->filtered);
    o->filtered = filtered;
    if (fr_map_count(o->unread) > 0) {
        fr_map_free(o->unread, NULL);
        o->unread = fr_map_new();
    }
    if (fr_map_count(o->polled) > 0) {
        fr_map_free(o->polled, free);
        o->polled = fr_map_new();
    }
    size_t i = 0;
    void *value;
    while (fr_map_next(o->tallies, &i, NULL, &value)) {
        tally *t = value;
        if (t->bytes == 0)
            continue;
        FR_TELL(ob, count, t->table->space, t->table->name, t->by_op, t->bytes, t->commit_us);
        memset(t->by_op, 0, sizeof(t->by_op));
        t->bytes = 0;
    }
    FR_TELL(ob, position, fr_buf_view(&o->resume));
    FR_TELL(ob, progress);
}

/* The broker takes its time; we encode what comes next. */
static fr_rc commit_and_work(outlet *o, const fr_end **ends, size_t *count, fr_err *err)
{
    enum { GLANCE_MS = 1, WAIT_MS = 20 };
    fr_rc rc;
    bool worked = ahead_allowed(o->ahead) && ahead_waiting(o->ahead) > 0;
    atomic_store_explicit(&o->c->committing, true, memory_order_relaxed);
    do {
        rc = fr_publisher_commit_step(o->c->publisher, worked ? GLANCE_MS : WAIT_MS, ends, count,
                                      err);
        worked = rc == FR_IDLE && ahead_work(o->ahead);
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
    FR_TRY(commit_and_work(o, &ends, &count, err));
    if (FR_FAILPOINT("capture_after_commit"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_after_commit");
    int64_t now = fr_now_us();
    remember_ends(o, ends, count);
    if (all_ends)
        o->all_ends_us = now + 60000000;
    o->ends_behind = !all_ends && (o->ends_behind || count > 0);
    o->commit_us += (now - began - o->commit_us) / 8;
    learn_to_settle(o, now - began);
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
    if (o->opened_us == 0 && !o->resume_dirty)
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
    return op == FR_OP_INSERT || op == FR_OP_UPDATE || op == FR_OP_DELETE || op == FR_OP_TRUNCATE ||
           op == FR_OP_MESSAGE;
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

/* The last event to skip was counted: what we read must be what was published. */
static fr_rc end_skip(outlet *o, fr_err *err)
{
    if (o->txn_crc != o->skip.crc) {
        fr_fail(err, FR_ERR_POSITION,
                "transaction %s was published in part, but its first %llu events now read "
                "differently (crc32c %08x, was %08x)",
                o->skip_id, (unsigned long long)o->skip.events, o->txn_crc, o->skip.crc);
        fr_fail_hint(err, "take a new snapshot; if only the table's columns in the configuration "
                          "or the publication changed, put them back until this transaction is "
                          "through");
        return fr_fail_code(err, "stream.split_differs");
    }
    o->skipping = false;
    o->split_open = true;
    o->skip.id = FR_STR("");
    return FR_OK;
}

static tally *tally_of(outlet *o, const fr_table *table)
{
    tally *t = o->newest_tally;
    if (t != NULL && t->table->serial == table->serial)
        return t;
    t = fr_map_get_u64(o->tallies, table->serial);
    if (t == NULL) {
        t = fr_malloc(sizeof(*t));
        t->table = fr_table_ref(table);
        fr_map_set_u64(o->tallies, table->serial, t);
        note_unread(o, t->table);
    }
    o->newest_tally = t;
    return t;
}

static void tally_event(outlet *o, const fr_event *e, uint64_t bytes)
{
    /* by_op is c u d r t */
    static const int index[] = {[FR_OP_READ] = 3,
                                [FR_OP_INSERT] = 0,
                                [FR_OP_UPDATE] = 1,
                                [FR_OP_DELETE] = 2,
                                [FR_OP_TRUNCATE] = 4};
    if (e->table == NULL)
        return;
    tally *t = tally_of(o, e->table);
    t->by_op[index[e->op]]++;
    t->bytes += bytes;
    if (e->txn != NULL)
        t->commit_us = e->txn->commit_us;
}

static void tally_messages(outlet *o, const fr_batch *b, size_t from, size_t to)
{
    size_t last = SIZE_MAX;
    for (size_t i = from; i < to; i++) {
        const fr_message *m = &b->messages[i];
        uint64_t bytes = m->key.len + m->payload.len + 70;
        o->bytes += bytes;
        if (o->in_txn && m->event >= o->txn_from)
            o->txn_bytes += bytes;
        const fr_event *e = &b->events[m->event];
        if (m->event == last || e->op > FR_OP_TRUNCATE)
            continue;
        last = m->event;
        tally_event(o, e, bytes);
    }
}

/* All of the batch that is not encoded yet. */
static fr_rc encode_rest(outlet *o, fr_batch *b, fr_err *err)
{
    if (o->encoded == b->count)
        return FR_OK;
    return fr_encode(o->c->encoder, b, o->encoded, b->count, &o->encoded, err);
}

/* The messages of events[from..to), with errors.mode dlq: a row that cannot be encoded, and
 * each later one of its key, becomes a dead letter instead. */
static fr_rc encode_or_bury(outlet *o, fr_batch *b, size_t from, size_t to, fr_err *err)
{
    while (from < to) {
        size_t stop = from, done = from;
        while (stop < to && !dead_parked(o->dead, &b->events[stop]))
            stop++;
        if (from < stop && fr_encode(o->c->encoder, b, from, stop, &done, err) == FR_FAIL) {
            if (err->kind != FR_ERR_DATA || !dead_wanted(o->dead, &b->events[done]))
                return FR_FAIL;
            fr_err why = *err;
            while (b->message_count > 0 && b->messages[b->message_count - 1].event == done)
                b->message_count--; /* half of a changed key is no event */
            FR_TRY(dead_put(o->dead, b, done, &why, err));
            from = done + 1;
            continue;
        }
        if (stop < to)
            FR_TRY(dead_put(o->dead, b, stop, NULL, err));
        from = stop < to ? stop + 1 : stop;
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
        FR_TRY(encode_rest(o, b, err));
        while (o->next_message < b->message_count && b->messages[o->next_message].event < to)
            o->next_message++;
    } else {
        FR_TRY(encode_or_bury(o, b, from, to, err));
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

/* events[from..to) into the open transaction; skipped ones are encoded too, so that the
 * encoder's counts of the transaction stay right, and their messages passed over. */
static fr_rc produce(outlet *o, fr_batch *b, size_t from, size_t to, bool skip, fr_err *err)
{
    if (from == to)
        return FR_OK;
    size_t failed = 0, first, last;
    FR_TRY(encode(o, b, from, to, &first, &last, err));
    if (skip || first == last)
        return FR_OK;
    FR_TRY(open_transaction(o, err));
    if (FR_FAILPOINT("capture_before_produce"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_before_produce");
    if (fr_publisher_produce(o->c->publisher, b, first, last, &failed, err) == FR_FAIL)
        return refused(o, b, failed, err);
    if (FR_FAILPOINT("capture_after_produce"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint capture_after_produce");
    o->events += to - from;
    tally_messages(o, b, first, last);
    return FR_OK;
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
            o->held_weight + 1 >= fr_pool_size(o->c->pool));
}

/* Between two source transactions: closed early enough that the next one has room to fit. */
static bool should_close(const outlet *o)
{
    return over_limit(o) || (o->opened_us != 0 && o->held_count > 1 &&
                             2 * o->held_weight >= fr_pool_size(o->c->pool));
}

static fr_rc take_stream(outlet *o, fr_batch *b, fr_err *err)
{
    size_t from = 0;
    o->txn_from = 0;
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
                return fr_fail(err, FR_ERR_POSITION,
                               "transaction %s ended after %llu events, %llu were published",
                               o->txn_id, (unsigned long long)o->txn_events,
                               (unsigned long long)o->skip.events);
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
    if (must_split(o) || (!o->in_txn && should_close(o)))
        return commit(o, NULL, err);
    return FR_OK;
}

static fr_rc take_chunk(outlet *o, fr_batch *b, fr_err *err)
{
    FR_TRY(produce(o, b, 0, b->count, false, err));
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

fr_rc outlet_take(outlet *o, fr_batch *b, fr_err *err)
{
    hold(o, b);
    FR_TRY(b->polled.len > 0 ? take_polled(o, b, err)
           : b->chunk != 0   ? take_chunk(o, b, err)
                             : take_stream(o, b, err));
    if (o->opened_us == 0 && o->held_count > 0) { /* it made no message: nothing points to it */
        for (size_t i = 0; i < o->held_count; i++)
            fr_pool_give(o->c->pool, o->held[i]);
        o->held_count = o->held_weight = 0;
    }
    return FR_OK;
}

fr_rc outlet_idle(outlet *o, bool quiet, fr_err *err)
{
    if (o->in_txn)
        return must_split(o) ? commit(o, NULL, err) : FR_OK;
    if (o->opened_us == 0 && !o->resume_dirty)
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
