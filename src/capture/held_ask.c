/* Held tables: what somebody asks for while the source runs, and what is done about it between two
 * batches. */
#include "capture/held.h"
#include <stdlib.h>
#include <string.h>

typedef struct ask { /* what somebody asked for */
    struct ask *next;
    char *space, *name, *why; /* why NULL: to release it */
    bool anew;
} ask;

struct holds {
    ask *first, **last;
    atomic_bool waiting;
    bool tried; /* this process has released what errors held */
    fr_map
        *released; /* "space.table" -> not NULL: to be caught up, whatever ends a run meanwhile */
    bool alone;    /* the next run catches tables up before it follows the log */
};

holds *holds_new(void)
{
    holds *q = fr_malloc(sizeof(*q));
    q->last = &q->first;
    q->released = fr_map_new();
    return q;
}

static void ask_free(ask *a)
{
    free(a->space);
    free(a->name);
    free(a->why);
    free(a);
}

void holds_free(holds *q)
{
    while (q->first != NULL) {
        ask *a = q->first;
        q->first = a->next;
        ask_free(a);
    }
    fr_map_free(q->released, NULL);
    free(q);
}

static fr_str key_of(fr_arena *a, const held_table *t)
{
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
}

void held_mark_released(held *h, const held_table *t, bool released)
{
    fr_arena *a = fr_arena_new(256);
    holds *q = h->c->holds;
    if (released)
        fr_map_set(q->released, key_of(a, t), q);
    else
        (void)fr_map_remove(q->released, key_of(a, t));
    fr_arena_free(a);
}

static bool is_released(const held *h, const held_table *t)
{
    fr_arena *a = fr_arena_new(256);
    bool wanted = fr_map_get(h->c->holds->released, key_of(a, t)) != NULL;
    fr_arena_free(a);
    return wanted;
}

bool held_asked(fr_capture *c)
{
    return atomic_load_explicit(&c->holds->waiting, memory_order_relaxed);
}

static char *text_of(fr_str s)
{
    char *text = fr_malloc(s.len + 1);
    memcpy(text, s.ptr, s.len);
    return text;
}

static void note(fr_capture *c, fr_str space, fr_str name, const fr_str *why, bool anew)
{
    ask *a = fr_malloc(sizeof(*a));
    a->space = text_of(space);
    a->name = text_of(name);
    a->why = why == NULL ? NULL : text_of(*why);
    a->anew = anew;
    pthread_mutex_lock(&c->lock);
    *c->holds->last = a;
    c->holds->last = &a->next;
    atomic_store(&c->holds->waiting, true);
    if (c->polls != NULL)
        polls_wake(c->polls);
    pthread_mutex_unlock(&c->lock);
}

void fr_capture_hold(fr_capture *c, fr_str space, fr_str name, fr_str why)
{
    note(c, space, name, &why, false);
}

void fr_capture_release(fr_capture *c, fr_str space, fr_str name, bool anew)
{
    note(c, space, name, NULL, anew);
}

/* ---- what was asked for ---- */

/* What is published of it already is not published again: it may have joined further on. */
static fr_str next_place(const held *h, const outlet *o, const held_table *t)
{
    fr_str at = outlet_position(o);
    if (t != NULL && t->state == JOINED && held_compare(h, at, fr_buf_view(&t->from)) < 0)
        return fr_arena_str(h->arena, fr_buf_view(&t->from));
    return at;
}

static void hold_asked(held *h, const outlet *o, const ask *a)
{
    fr_err why;
    fr_str space = fr_cstr(a->space), name = fr_cstr(a->name);
    held_table *t = held_find(h, space, name);
    if (t != NULL && held_is_absent(h, t))
        return;                           /* there is nothing that could wait */
    if (t != NULL && t->state < JOINED) { /* its place stays */
        if (t->state == CATCHES_UP)
            fr_encoder_take(h->encoder, t->space, t->name);
        t->state = STAYS;
        t->asked = t->dirty = true;
        held_mark_released(h, t, false);
        held_set_text(&t->code, FR_STR(FR_HELD_OPERATOR));
        held_set_text(&t->why, fr_cstr(a->why));
        held_tell(h, t);
        return;
    }
    fr_fail(&why, FR_ERR_CANCELLED, "%s", a->why);
    fr_fail_code(&why, FR_HELD_OPERATOR);
    held_place at = {.from = h->c->source == NULL ? (fr_str){"", 0} : next_place(h, o, t)};
    held_put(h, space, name, &at, &why);
}

/* It is read again from the start of a new snapshot; what the log brought meanwhile is in it. */
static fr_rc begin_anew(held *h, outlet *o, held_table *t, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_record records[2] = {fr_checkpoint_released(a, t->space, t->name)};
    fr_rc rc = fr_checkpoint_ask(a, h->c->checkpoint, t->space, t->name, (fr_str){"", 0},
                                 &records[1], err);
    if (rc == FR_OK)
        rc = outlet_close(o, err);
    if (rc == FR_OK)
        rc = outlet_records(o, records, 2, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return FR_FAIL;
    t->state = GONE;
    t->dirty = false;
    held_mark_released(h, t, false);
    fr_encoder_take(h->c->encoder, t->space, t->name);
    held_released(h, t,
                  "a new snapshot of it is taken; rows that were deleted meanwhile stay in its "
                  "topic");
    requests_reopen(h->c->requests);
    return FR_OK;
}

/* As `snapshot start` has it. */
static bool can_begin_anew(const held *h, const held_table *t)
{
    const fr_table_settings *s = fr_source_match(h->c->s.source, t->space, t->name);
    return s != NULL && s->snapshot_mode == 0 && !s->outbox.on;
}

fr_rc held_back(held *h, outlet *o, held_table *t, fr_err *err)
{
    if (can_begin_anew(h, t))
        return begin_anew(h, o, t, err);
    t->state = GONE;
    t->dirty = true;
    held_released(h, t, "it is there again; rows of the time between are not read");
    return FR_OK;
}

static fr_rc release_asked(held *h, outlet *o, const ask *a, fr_err *err)
{
    held_table *t = held_find(h, fr_cstr(a->space), fr_cstr(a->name));
    if (t == NULL || t->state == JOINED)
        return FR_OK;
    if (held_is_absent(h, t)) { /* is it there again? */
        requests_reopen(h->c->requests);
        return FR_OK;
    }
    if (a->anew && t->from.len > 0 && !can_begin_anew(h, t)) {
        fr_log(
            FR_LOG_WARN, h->c->who,
            "%.*s.%.*s stays held: there is no new snapshot of an outbox, or where snapshot.mode "
            "is never",
            FR_ARG(t->space), FR_ARG(t->name));
        return FR_OK;
    }
    if (a->anew && t->from.len > 0) {
        if (t->state == CATCHES_UP)
            fr_encoder_take(h->encoder, t->space, t->name);
        return begin_anew(h, o, t, err);
    }
    h->next_try_us = 0;
    t->asked = false;
    t->dirty = true;
    held_mark_released(h, t, true);
    if (t->from.len == 0) { /* polled: it goes on from its own record */
        t->state = GONE;
        held_released(h, t, "it is polled again");
        requests_reopen(h->c->requests);
    } else if (t->state == STAYS) {
        t->state = WAITS;
        held_tell(h, t);
    }
    return FR_OK;
}

/* This run has failed: the next one is asked again, before what came meanwhile. */
static void put_back(fr_capture *c, ask *all)
{
    ask *last = all;
    while (last->next != NULL)
        last = last->next;
    pthread_mutex_lock(&c->lock);
    last->next = c->holds->first;
    if (c->holds->first == NULL)
        c->holds->last = &last->next;
    c->holds->first = all;
    atomic_store(&c->holds->waiting, true);
    pthread_mutex_unlock(&c->lock);
}

static fr_rc take_asked(held *h, outlet *o, fr_err *err)
{
    fr_capture *c = h->c;
    pthread_mutex_lock(&c->lock);
    ask *all = c->holds->first;
    c->holds->first = NULL;
    c->holds->last = &c->holds->first;
    atomic_store(&c->holds->waiting, false);
    pthread_mutex_unlock(&c->lock);
    while (all != NULL) {
        ask *a = all;
        if (a->why != NULL) {
            hold_asked(h, o, a);
        } else if (release_asked(h, o, a, err) == FR_FAIL) {
            put_back(c, all);
            return FR_FAIL;
        }
        all = a->next;
        ask_free(a);
    }
    return FR_OK;
}

void held_begin(held *h)
{
    fr_capture *c = h->c;
    fr_source *source = c->source;
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        bool joined = t->state == JOINED;
        if (held_is_absent(h, t)) {
            h->next_tell_us = 0;
            continue;
        }
        if (source != NULL)
            fr_encoder_pass(c->encoder, t->space, t->name,
                            joined ? source->ops->resume_lsn(source, fr_buf_view(&t->from))
                                   : UINT64_MAX);
        if (joined)
            continue;
        if (!c->holds->tried && !t->asked)
            held_mark_released(h, t, true);
        if (is_released(h, t)) {
            t->state = t->from.len > 0 ? WAITS : GONE;
            t->dirty = t->state == GONE;
        }
        if (t->state != GONE)
            held_tell(h, t);
    }
    c->holds->tried = true;
}

static fr_rc work(held *h, outlet *o, fr_err *err)
{
    second *s = &h->second;
    held_tell_all(h);
    bool moved = true;
    while (moved && h->waiting_count > 0)
        FR_TRY(held_advance(h, o, &moved, err));
    if (s->started && h->waiting_count == 0)
        held_join(h); /* also where nothing has come since: then there is nothing to read */
    if (s->started && !held_any_is(h, CATCHES_UP))
        held_second_stop(h);
    if (s->started && atomic_load(&s->over) && h->waiting_count == 0 && atomic_load(&s->ahead) == 0)
        held_second_end(h);
    held_second_begin(h);
    return FR_OK;
}

fr_rc held_work(held *h, outlet *o, fr_err *err)
{
    if (h->began.len == 0)
        held_set(&h->began, outlet_position(o));
    if (held_asked(h->c) && outlet_settled(o))
        FR_TRY(take_asked(h, o, err));
    return h->count == 0 && !h->second.started ? FR_OK : work(h, o, err);
}

void held_go_alone(held *h)
{
    h->c->holds->alone = true;
    requests_reopen(h->c->requests);
}

static fr_rc catch_up_alone(held *h, outlet *o, fr_err *err)
{
    fr_capture *c = h->c;
    held_second_begin(h);
    while (!stopping(c) && h->second.started && held_any_is(h, CATCHES_UP)) {
        fr_batch *b = outlet_next(o, fr_now_us() + 100000);
        if (b != NULL)
            FR_TRY(outlet_take(o, b, err));
        FR_TRY(work(h, o, err));
        FR_TRY(outlet_idle(o, true, err));
    }
    return FR_OK;
}

fr_rc held_before(held *h, outlet *o, fr_err *err)
{
    fr_capture *c = h->c;
    if (!c->holds->alone)
        return FR_OK;
    c->holds->alone = false;
    FR_TELL(&c->s.observer, state, FR_STATE_CATCHING_UP, NULL);
    held_set(&h->began, outlet_position(o));
    c->filled = fr_queue_new(fr_pool_size(c->pool));
    h->alone = true;
    fr_rc rc = catch_up_alone(h, o, err);
    h->alone = false;
    fr_queue_close(c->filled);
    held_end(h, o);
    for (fr_batch *b; (b = fr_queue_take(c->filled, 0)) != NULL;)
        fr_pool_give(c->pool, b);
    if (rc == FR_OK)
        rc = outlet_close(o, err);
    fr_queue_free(c->filled);
    c->filled = NULL;
    return rc;
}
