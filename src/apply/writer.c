#include "apply/cuts.h"
#include "apply/fault.h"
#include "apply/internal.h"
#include "apply/limit.h"
#include "progress/letters.h"

#define LOCKED "sink.locked"
#define LIMIT "errors.limit"

/* A key whose messages go to the dead letters from now on: all of them once it is stored in
 * the target; until then those behind the message that was set aside, because what is before
 * it in the same target transaction may be applied again. */
typedef struct parked_key {
    fr_str topic, key; /* in the writer's arena */
    bool stored;
    size_t batch, event; /* of pending: the message that was set aside */
} parked_key;

/* Goes to the dead letters right before the commit: until then its topic may be held before it,
 * and then it is read again. */
typedef struct letter {
    fr_message message; /* with the texts of its pending batch */
    const char *reason; /* in the arena of that batch */
    bool parked;
    size_t batch, event;
} letter;

typedef struct tally {
    fr_str space, name;
    uint64_t by_op[5], bytes;
    int64_t commit_us;
} tally;

struct writer {
    fr_apply *a;
    fr_batch **pending;        /* applied in the open target transaction, or about to be */
    size_t count, cap, weight; /* weight: in ordinary batches */
    size_t applied;            /* batches of pending that are applied */
    size_t rows;               /* events in pending */
    int64_t first_us;          /* when the oldest of pending arrived */
    fr_arena *arena;           /* parked keys */
    fr_map *parked;            /* topic NUL key -> parked_key */
    fr_map *ids;               /* topic -> its id, where it is known */
    parked_key **new_keys;     /* to be stored with the next commit */
    size_t new_count, new_cap;
    letter *letters; /* of pending; in the order in which they were set aside */
    size_t letter_count, letter_cap;
    fr_cuts cuts; /* of topics that wait */
    fr_limit *limit;
    fr_dlq *dlq;
    uint64_t dead;
};

writer *writer_new(fr_apply *a)
{
    writer *w = fr_malloc(sizeof(*w));
    w->a = a;
    w->arena = fr_arena_new(0);
    w->parked = fr_map_new();
    w->ids = fr_map_new();
    w->cuts.arena = w->arena;
    w->limit = fr_limit_new(a->s.sink->errors_limit);
    return w;
}

static void give_back(writer *w)
{
    for (size_t i = 0; i < w->count; i++)
        fr_pool_give(w->a->pool, w->pending[i]);
    pthread_mutex_lock(&w->a->lock);
    w->a->uncommitted -= w->count;
    if (w->a->uncommitted == 0)
        pthread_cond_broadcast(&w->a->drained);
    pthread_mutex_unlock(&w->a->lock);
    w->count = w->applied = w->rows = w->weight = w->letter_count = 0;
}

void writer_free(writer *w)
{
    if (w == NULL)
        return;
    give_back(w);
    free(w->pending);
    free(w->new_keys);
    free(w->letters);
    fr_map_free(w->parked, NULL);
    fr_map_free(w->ids, NULL);
    fr_cuts_free(&w->cuts);
    fr_limit_free(w->limit);
    fr_dlq_close(w->dlq);
    fr_arena_free(w->arena);
    free(w);
}

static fr_str parked_name(fr_arena *a, fr_str topic, fr_str key)
{
    fr_buf b = {.arena = a};
    fr_buf_str(&b, topic);
    fr_buf_u8(&b, 0);
    fr_buf_str(&b, key);
    return fr_buf_view(&b);
}

static fr_rc load_parked(writer *w, fr_str topic, fr_err *err)
{
    fr_sink *s = w->a->sink;
    fr_str *keys;
    size_t count;
    if (s->ops->parked == NULL)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = s->ops->parked(s, a, topic, &keys, &count, err);
    for (size_t i = 0; rc == FR_OK && i < count; i++) {
        fr_str name = parked_name(a, topic, keys[i]);
        parked_key *k = fr_map_get(w->parked, name);
        if (k == NULL) {
            k = fr_arena_alloc(w->arena, sizeof(*k));
            fr_map_set(w->parked, name, k);
        }
        k->stored = true;
    }
    fr_arena_free(a);
    return rc;
}

/* now: as the cluster tells; offsets: as the target does. */
static fr_rc take_ids(writer *w, const fr_offset *now, fr_offsets *offsets, fr_err *err)
{
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        bool known = now[i].topic_id[0] != '\0';
        if (known && o->next >= 0 && o->topic_id[0] != '\0' &&
            strcmp(now[i].topic_id, o->topic_id) != 0)
            return fr_consumer_recreated(w->a->s.sink->name, o->topic, err);
        memcpy(o->topic_id, now[i].topic_id, sizeof(o->topic_id));
        if (!known) /* what was told before holds */
            continue;
        char *id = fr_map_get(w->ids, o->topic);
        if (id == NULL) {
            id = fr_arena_alloc(w->arena, FR_TOPIC_ID_SIZE);
            fr_map_set(w->ids, o->topic, id);
        }
        memcpy(id, now[i].topic_id, FR_TOPIC_ID_SIZE);
    }
    return FR_OK;
}

static fr_rc claim(writer *w, fr_offsets *offsets, fr_err *err)
{
    fr_sink *s = w->a->sink;
    fr_offset *now = fr_malloc((offsets->count + 1) * sizeof(*now));
    memcpy(now, offsets->items, offsets->count * sizeof(*now));
    fr_rc rc = s->ops->claim(s, offsets, err);
    rc = rc == FR_OK ? take_ids(w, now, offsets, err) : rc;
    free(now);
    return rc;
}

fr_rc writer_claim(writer *w, fr_offsets *offsets, fr_err *err)
{
    FR_TRY(claim(w, offsets, err));
    fr_cuts_forget(&w->cuts, offsets);
    fr_holds_uncount(w->a->holds, offsets);
    fr_limit_forget(w->limit, offsets);
    for (size_t i = 0; i < offsets->count; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = fr_str_eq(offsets->items[k].topic, offsets->items[i].topic);
        if (!seen)
            FR_TRY(load_parked(w, offsets->items[i].topic, err));
    }
    return FR_OK;
}

/* Events come in the order of their messages: *at is where the last search ended. */
static const fr_message *message_of(const fr_batch *b, const fr_event *e, size_t *at)
{
    for (size_t n = 0; n < b->message_count; n++) {
        const fr_message *m = &b->messages[(*at + n) % b->message_count];
        if (fr_cuts_is_of(e, m)) {
            *at = (*at + n) % b->message_count;
            return m;
        }
    }
    return NULL;
}

static fr_rc open_dlq(writer *w, fr_err *err)
{
    if (w->dlq != NULL)
        return FR_OK;
    char name[192];
    const char *topic = w->a->s.sink->errors_topic;
    if (topic == NULL || topic[0] == '\0') {
        snprintf(name, sizeof(name), "freshet.%s.dlq", w->a->s.sink->pipeline);
        topic = name;
    }
    return fr_dlq_open(w->a->s.kafka, topic, &w->dlq, err);
}

/* An event of pending is behind another one. */
static bool is_behind(size_t batch, size_t event, size_t other_batch, size_t other_event)
{
    return batch > other_batch || (batch == other_batch && event > other_event);
}

static void park_new(writer *w, fr_str topic, fr_str key, size_t batch, size_t event)
{
    fr_str name = parked_name(w->arena, topic, key);
    parked_key *k = fr_map_get(w->parked, name);
    if (k != NULL) {
        if (!k->stored && is_behind(k->batch, k->event, batch, event)) {
            k->batch = batch;
            k->event = event;
        }
        return;
    }
    k = fr_arena_alloc(w->arena, sizeof(*k));
    *k = (parked_key){.topic = fr_arena_str(w->arena, topic),
                      .key = fr_arena_str(w->arena, key),
                      .batch = batch,
                      .event = event};
    fr_map_set(w->parked, name, k);
    if (w->new_count == w->new_cap) {
        w->new_cap = w->new_cap == 0 ? 8 : 2 * w->new_cap;
        w->new_keys = fr_realloc(w->new_keys, w->new_cap * sizeof(*w->new_keys));
    }
    w->new_keys[w->new_count++] = k;
}

/* One event of pending[batch] to the dead letters; it is passed over from now on. */
static fr_rc dead_letter(writer *w, size_t batch, fr_event *e, const fr_message *m,
                         const char *reason, bool parked, fr_err *err)
{
    if (m == NULL)
        return fr_fail(err, FR_ERR_BUG, "no message for a bad event of %.*s", FR_ARG(e->topic));
    FR_TRY(open_dlq(w, err));
    size_t event = (size_t)(e - w->pending[batch]->events);
    if (w->letter_count == w->letter_cap) {
        w->letter_cap = w->letter_cap == 0 ? 8 : 2 * w->letter_cap;
        w->letters = fr_realloc(w->letters, w->letter_cap * sizeof(*w->letters));
    }
    w->letters[w->letter_count++] =
        (letter){.message = *m,
                 .reason = fr_arena_cstr(w->pending[batch]->arena, fr_cstr(reason)),
                 .parked = parked,
                 .batch = batch,
                 .event = event};
    e->op = FR_OP_HEARTBEAT;
    e->bad = FR_STR("");
    if (!parked && m->key.ptr != NULL)
        park_new(w, e->topic, m->key, batch, event);
    return FR_OK;
}

static bool is_parked(writer *w, fr_arena *scratch, size_t batch, size_t event, fr_str topic,
                      const fr_message *m)
{
    if (m == NULL || m->key.ptr == NULL)
        return false;
    fr_arena_reset(scratch);
    const parked_key *k = fr_map_get(w->parked, parked_name(scratch, topic, m->key));
    return k != NULL && (k->stored || is_behind(batch, event, k->batch, k->event));
}

/* ---- topics that wait ---- */

/* What is pending of this topic, from a message on, is as if it had not come yet. */
static void leave_out(writer *w, fr_str topic, size_t batch, size_t message)
{
    size_t left = 0;
    for (size_t i = batch; i < w->count; i++)
        left += fr_cuts_leave_out(&w->cuts, w->pending[i], topic, i == batch ? message : 0);
    w->rows -= left < w->rows ? left : w->rows;
    fr_holds_count(w->a->holds, topic, left, -1);
}

/* What was set aside of this topic from an event on is read again, and judged then. */
static void take_back(writer *w, fr_str topic, size_t batch, size_t event)
{
    size_t keys = 0, letters = 0;
    for (size_t i = 0; i < w->new_count; i++) {
        parked_key *k = w->new_keys[i];
        if (fr_str_eq(k->topic, topic) && !is_behind(batch, event, k->batch, k->event))
            fr_map_remove(w->parked, parked_name(w->arena, topic, k->key));
        else
            w->new_keys[keys++] = k;
    }
    for (size_t i = 0; i < w->letter_count; i++) {
        const letter *l = &w->letters[i];
        if (!fr_str_eq(l->message.topic, topic) || is_behind(batch, event, l->batch, l->event))
            w->letters[letters++] = *l;
    }
    w->new_count = keys;
    w->letter_count = letters;
}

/* The first event of this message. */
static size_t first_event(const fr_batch *b, const fr_message *m)
{
    size_t i = 0;
    while (i < b->count && !fr_cuts_is_of(&b->events[i], m))
        i++;
    return i;
}

/* The event's topic waits from it on. */
static fr_rc hold_from(writer *w, size_t batch, const fr_event *e, const fr_err *why, fr_err *err)
{
    size_t message = 0;
    const fr_message *m = message_of(w->pending[batch], e, &message);
    if (m == NULL)
        return fr_fail(err, FR_ERR_BUG, "no message for an event of %.*s", FR_ARG(e->topic));
    char text[sizeof(why->text) + sizeof(why->hint) + 8];
    snprintf(text, sizeof(text), "%s → %s", why->text, fr_err_hint(why));
    const fr_cause cause = {.code = why->code[0] != '\0' ? why->code : "message.bad",
                            .why = text,
                            .partition = m->partition,
                            .offset = m->offset,
                            .stays = e->stays || strcmp(why->code, "sink.drop_column") == 0 ||
                                     strcmp(why->code, LIMIT) == 0,
                            .costly = strcmp(why->code, LOCKED) == 0};
    fr_str topic = m->topic;
    size_t event = first_event(w->pending[batch], m);
    fr_holds_put(w->a->holds, topic, &cause);
    leave_out(w, topic, batch, message);
    take_back(w, topic, batch, event);
    return FR_OK;
}

/* What could not even be decoded, or what no rows can be made of. */
static fr_rc hold_undecoded(writer *w, size_t batch, bool all, fr_err *err)
{
    const fr_batch *b = w->pending[batch];
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        if (e->op != FR_OP_HEARTBEAT || e->bad.len == 0 || !(all || e->stays))
            continue;
        fr_err why;
        fr_fail(&why, FR_ERR_DATA, "%.*s", FR_ARG(e->bad));
        snprintf(why.code, sizeof(why.code), "%.*s", FR_ARG(e->name));
        snprintf(why.hint, sizeof(why.hint), "%.*s", FR_ARG(e->body));
        FR_TRY(hold_from(w, batch, e, &why, err));
    }
    return FR_OK;
}

/* One table that stays locked is its topic's trouble, and not the sink's: the second time. */
static bool stays_locked(writer *w, fr_str topic, const fr_err *err)
{
    char *last = w->a->locked;
    if (err->kind != FR_ERR_BUSY || strcmp(err->code, LOCKED) != 0 ||
        w->a->s.sink->errors_mode != FR_ERRORS_BLOCK)
        return false;
    bool again = fr_str_is(topic, last);
    snprintf(last, sizeof(w->a->locked), "%.*s", FR_ARG(topic));
    return again;
}

/* A bad message where there are dead letters; above errors.limit it is held all the same. reason:
 * without values. */
static fr_rc bury(writer *w, size_t batch, fr_event *e, const char *reason, fr_err *err)
{
    size_t at = 0;
    fr_err why;
    bool buried = !fr_limit_exceeded(w->limit, e->topic);
    if (buried && e->bad.len == 0)
        fr_log(FR_LOG_WARN, w->a->who, "%.*s[%d] offset %lld goes to the dead letters: %s",
               FR_ARG(e->topic), e->partition, (long long)e->offset, reason);
    if (buried)
        return dead_letter(w, batch, e, message_of(w->pending[batch], e, &at), reason, false, err);
    fr_fail(&why, FR_ERR_DATA, "more errors than %s; the last: %s", w->a->s.sink->errors_limit,
            reason);
    fr_fail_code(&why, LIMIT);
    fr_fail_hint(&why, "see the dead letters before it, mend the cause, then resume the topic");
    return hold_from(w, batch, e, &why, err);
}

/* ---- one batch ---- */

/* Where an event came from, in front of what is wrong with it. */
static fr_rc fail_at(const fr_event *e, fr_err *err)
{
    if (e->topic.len == 0)
        return FR_FAIL;
    return fr_fail_in(err, "%.*s[%d] offset %lld", FR_ARG(e->topic), e->partition,
                      (long long)e->offset);
}

/* errors.mode was dlq, and is not any more: what comes of a key that is parked would pass what was
 * set aside of it. */
static fr_rc meet_parked(writer *w, size_t batch, fr_err *err)
{
    fr_batch *b = w->pending[batch];
    fr_arena *scratch = fr_arena_new(256);
    fr_rc rc = FR_OK;
    for (size_t i = 0, at = 0; i < b->count && rc == FR_OK && fr_map_count(w->parked) > 0; i++) {
        fr_event *e = &b->events[i];
        if (e->topic.len == 0 || e->op > FR_OP_DELETE ||
            !is_parked(w, scratch, batch, i, e->topic, message_of(b, e, &at)))
            continue;
        fr_err why;
        (void)fr_letters_passed(&why);
        fail_at(e, &why);
        if (w->a->s.sink->errors_mode == FR_ERRORS_BLOCK) {
            rc = hold_from(w, batch, e, &why, err);
        } else {
            *err = why;
            rc = FR_FAIL;
        }
    }
    fr_arena_free(scratch);
    return rc;
}

/* Bad events, and those of parked keys, leave the batch before it is applied. */
static fr_rc set_aside(writer *w, size_t batch, fr_err *err)
{
    FR_TRY(hold_undecoded(w, batch, w->a->s.sink->errors_mode == FR_ERRORS_BLOCK, err));
    if (w->a->s.sink->errors_mode != FR_ERRORS_DLQ)
        return meet_parked(w, batch, err);
    fr_batch *b = w->pending[batch];
    fr_arena *scratch = fr_arena_new(256);
    fr_rc rc = FR_OK;
    for (size_t i = 0, at = 0; i < b->count && rc == FR_OK; i++) {
        fr_event *e = &b->events[i];
        char reason[1200];
        if (e->bad.len > 0) {
            snprintf(reason, sizeof(reason), "%.*s", FR_ARG(e->bad));
            rc = bury(w, batch, e, reason, err);
            continue;
        }
        if (fr_map_count(w->parked) == 0 || e->topic.len == 0 || e->op > FR_OP_DELETE)
            continue;
        const fr_message *m = message_of(b, e, &at);
        if (is_parked(w, scratch, batch, i, e->topic, m))
            rc = dead_letter(w, batch, e, m, "an earlier message of this key was set aside", true,
                             err);
    }
    fr_arena_free(scratch);
    return rc;
}

/* The event that the target does not take: it or its topic leaves what is pending, or the run
 * ends. */
static fr_rc handle(writer *w, fr_event *e, fr_err *err)
{
    char reason[1200];
    fr_fault fault = fr_fault_of(w->a->s.sink, err);
    if (e->topic.len == 0)
        return FR_FAIL;
    if (fault == FR_FAULT_HOLDS || stays_locked(w, e->topic, err)) {
        fail_at(e, err);
        fr_err why = *err;
        return hold_from(w, w->applied, e, &why, err);
    }
    if (fault == FR_FAULT_STOPS)
        return err->kind == FR_ERR_DATA ? fail_at(e, err) : FR_FAIL;
    snprintf(reason, sizeof(reason), "%s", err->text);
    return bury(w, w->applied, e, reason, err);
}

/* Apply what is pending and not yet applied. After a bad row all since the last commit is applied
 * again without it, because the target has rolled it back. */
static fr_rc apply_pending(writer *w, fr_err *err)
{
    fr_sink *s = w->a->sink;
    while (w->applied < w->count) {
        fr_batch *b = w->pending[w->applied];
        size_t applied = 0;
        FR_TRY(set_aside(w, w->applied, err));
        if (s->ops->apply(s, b, 0, b->count, &applied, err) != FR_FAIL) {
            w->applied++;
            continue;
        }
        if (applied >= b->count)
            return FR_FAIL;
        FR_TRY(handle(w, &b->events[applied], err));
        FR_TRY(s->ops->rollback(s, err));
        w->applied = 0;
    }
    return FR_OK;
}

typedef struct places {
    fr_offsets o;
    size_t cap;
    fr_arena *arena;
} places;

static void make_room(places *p, size_t more)
{
    if (p->o.count + more <= p->cap)
        return;
    p->cap = 2 * p->cap + more;
    fr_offset *items = fr_arena_alloc(p->arena, p->cap * sizeof(*items));
    if (p->o.count > 0)
        memcpy(items, p->o.items, p->o.count * sizeof(*items));
    p->o.items = items;
}

static void note_place(places *p, fr_str topic, int32_t partition, int64_t next)
{
    fr_offsets *o = &p->o;
    for (size_t i = o->count; i-- > 0;) {
        fr_offset *x = &o->items[i];
        if (x->partition == partition && fr_str_eq(x->topic, topic)) {
            if (next > x->next)
                x->next = next;
            return;
        }
    }
    make_room(p, 1);
    o->items[o->count++] = (fr_offset){topic, partition, next, ""};
}

/* What was left out of a partition comes before its end. */
static void note_ends(const writer *w, places *p, const fr_offsets *ends)
{
    for (size_t i = 0; ends != NULL && i < ends->count; i++) {
        const fr_offset *e = &ends->items[i];
        if (!fr_cuts_has(&w->cuts, e->topic, e->partition))
            note_place(p, e->topic, e->partition, e->next);
    }
}

static fr_offsets offsets_of(writer *w, fr_arena *arena)
{
    places p = {.arena = arena};
    for (size_t i = 0; i < w->count; i++) {
        const fr_batch *b = w->pending[i];
        for (size_t m = 0; m < b->message_count; m++)
            note_place(&p, b->messages[m].topic, b->messages[m].partition,
                       b->messages[m].offset + 1);
        note_ends(w, &p, b->ends);
    }
    make_room(&p, w->cuts.count);
    fr_cuts_add_to(&w->cuts, &p.o);
    for (size_t i = 0; i < p.o.count; i++) {
        fr_offset *o = &p.o.items[i];
        const char *id = fr_map_get(w->ids, o->topic);
        o->topic = fr_arena_str(arena, o->topic);
        if (id != NULL)
            memcpy(o->topic_id, id, sizeof(o->topic_id));
    }
    return p.o;
}

static void tally_batch(const fr_batch *b, tally *tallies, size_t *count, size_t cap)
{
    static const int index[] = {[FR_OP_READ] = 3,
                                [FR_OP_INSERT] = 0,
                                [FR_OP_UPDATE] = 1,
                                [FR_OP_DELETE] = 2,
                                [FR_OP_TRUNCATE] = 4};
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        if (e->op > FR_OP_TRUNCATE || e->table == NULL)
            continue;
        size_t t = 0;
        while (t < *count && !(fr_str_eq(tallies[t].name, e->table->name) &&
                               fr_str_eq(tallies[t].space, e->table->space)))
            t++;
        if (t == cap)
            continue; /* more tables in one transaction than are told apart: counted next time */
        if (t == *count)
            tallies[(*count)++] = (tally){.space = e->table->space, .name = e->table->name};
        tallies[t].by_op[index[e->op]]++;
        tallies[t].bytes += 1;
        if (e->txn != NULL)
            tallies[t].commit_us = e->txn->commit_us;
    }
}

static void report(writer *w, int64_t began)
{
    enum { MOST = 64 };
    tally tallies[MOST];
    size_t count = 0;
    const fr_observer *ob = &w->a->s.observer;
    for (size_t i = 0; i < w->count; i++)
        tally_batch(w->pending[i], tallies, &count, MOST);
    for (size_t i = 0; i < count; i++)
        FR_TELL(ob, count, tallies[i].space, tallies[i].name, tallies[i].by_op, tallies[i].bytes,
                tallies[i].commit_us);
    FR_TELL(ob, stage, 3, (double)(fr_now_us() - began) / 1e6);
    FR_TELL(ob, progress);
    if (w->dead > 0)
        FR_TELL(ob, dead_letters, w->dead);
    w->dead = 0;
    fr_status status = {0};
    w->a->sink->ops->status(w->a->sink, &status);
    FR_TELL(ob, connector, &status);
}

static void leave_advice(fr_apply *a, const fr_offsets *o, fr_arena *arena)
{
    pthread_mutex_lock(&a->lock);
    fr_arena *old = a->advisory_arena;
    a->advisory = *o;
    a->advisory_arena = arena;
    pthread_mutex_unlock(&a->lock);
    fr_arena_free(old);
}

/* What could not be decoded may be of a parked key as well, or behind a message that the target did
 * not take later: of each parking one letter says that it is the first. */
static fr_rc send_letters(writer *w, fr_err *err)
{
    if (w->dlq == NULL)
        return FR_OK;
    fr_arena *scratch = fr_arena_new(256);
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < w->letter_count && rc == FR_OK; i++) {
        const letter *l = &w->letters[i];
        bool parked =
            l->parked || is_parked(w, scratch, l->batch, l->event, l->message.topic, &l->message);
        rc = fr_dlq_put(w->dlq, w->a->who, &l->message, l->reason, parked, err);
    }
    fr_arena_free(scratch);
    FR_TRY(rc);
    FR_TRY(fr_dlq_flush(w->dlq, err));
    w->dead += w->letter_count;
    w->letter_count = 0;
    return FR_OK;
}

/* Dead letters are acknowledged first, then rows, parked keys and offsets in one. Of held topics
 * the offset is that of the first message left out: where there is none yet, `start: latest` would
 * pass it over later. */
static fr_rc commit(writer *w, fr_err *err)
{
    fr_sink *s = w->a->sink;
    if (w->count == 0)
        return FR_OK;
    int64_t began = fr_now_us();
    FR_TRY(send_letters(w, err));
    for (size_t i = 0; i < w->new_count; i++)
        FR_TRY(s->ops->park(s, w->new_keys[i]->topic, w->new_keys[i]->key, err));
    fr_arena *arena = fr_arena_new(0);
    fr_offsets o = offsets_of(w, arena);
    if (s->ops->commit(s, &o, err) == FR_FAIL) {
        fr_arena_free(arena);
        return FR_FAIL;
    }
    for (size_t i = 0; i < w->new_count; i++)
        w->new_keys[i]->stored = true;
    w->new_count = 0;
    fr_cuts_stored(&w->cuts);
    w->a->locked[0] = '\0';
    w->a->runner.progressed = true;
    fr_holds_passed(w->a->holds, &o);
    report(w, began);
    /* Closing waits for the group's answer: an idle sink has asked it nothing. */
    if (w->rows > 0)
        leave_advice(w->a, &o, arena);
    else
        fr_arena_free(arena);
    give_back(w);
    return FR_OK;
}

static void leave_out_held(writer *w)
{
    size_t last = w->count - 1;
    const fr_batch *b = w->pending[last];
    fr_str seen = {NULL, 0};
    for (size_t m = 0; fr_holds_any(w->a->holds) && m < b->message_count; m++) {
        fr_str topic = b->messages[m].topic;
        if (fr_str_eq(topic, seen))
            continue;
        seen = topic;
        if (!fr_holds_has(w->a->holds, topic))
            continue;
        leave_out(w, topic, last, 0);
        m--; /* another one is in this place now */
    }
}

static void take(writer *w, fr_batch *b)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 8 : 2 * w->cap;
        w->pending = fr_realloc(w->pending, w->cap * sizeof(*w->pending));
    }
    if (w->count == 0)
        w->first_us = fr_now_us();
    w->pending[w->count++] = b;
    w->weight += b->weight;
    w->rows += b->message_count;
    leave_out_held(w);
    fr_limit_count(w->limit, b);
}

static bool due(writer *w)
{
    fr_apply *a = w->a;
    pthread_mutex_lock(&a->lock);
    bool flush = a->flush;
    pthread_mutex_unlock(&a->lock);
    return flush || w->rows >= (size_t)a->s.sink->batch_rows ||
           fr_now_us() - w->first_us >= a->s.sink->every_us ||
           w->weight + 1 >= fr_pool_size(a->pool);
}

fr_rc writer_run(writer *w, fr_err *err)
{
    fr_apply *a = w->a;
    for (;;) {
        fr_batch *b = fr_queue_take(a->decoded, fr_now_us() + 20000);
        if (b != NULL) {
            take(w, b);
            FR_TRY(apply_pending(w, err));
        }
        if (w->count > 0 && due(w))
            FR_TRY(commit(w, err));
        if (b == NULL && fr_queue_closed(a->decoded))
            return commit(w, err);
    }
}
