/* What was read of a source whose tables are asked, on its way into Kafka. */
#include "capture/poll_parts.h"
#include <string.h>

enum { LOOK_US = 1000000, TELL_US = 250000, COMPARE_ALIVE_US = 60000000 };

static void tell_state(polls *p)
{
    char why[sizeof(p->why)];
    fr_state s = throttle_cause(p->c->throttle, why, sizeof(why)) ? FR_STATE_THROTTLED
                 : p->streaming                                   ? FR_STATE_STREAMING
                                                                  : FR_STATE_CATCHING_UP;
    if (s == p->told && strcmp(why, p->why) == 0)
        return;
    p->told = s;
    memcpy(p->why, why, sizeof(why));
    FR_TELL(&p->c->s.observer, state, s, why[0] == '\0' ? NULL : why);
}

/* Readers put batches in the order in which they are taken, so that with one all that was put
 * before it was filled is taken, too. */
static void tell_tables(polls *p, const outlet *o)
{
    fr_capture *c = p->c;
    int64_t now = fr_now_us();
    if (!outlet_open(o))
        p->committed_us = outlet_waiting(o) == 0 ? now : p->taken_us;
    if (now < p->next_tell_us)
        return;
    p->next_tell_us = now + TELL_US;
    tell_state(p);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < p->count; i++) {
        polled *t = &p->tables[i];
        polled_committed(&t->view, p->committed_us);
        fr_polled_status s = t->view.s;
        s.waits = t->view.waits[0] == '\0' ? NULL : t->view.waits;
        s.next_us = *t->due_us == BUSY ? 0 : s.next_us;
        FR_TELL(&c->s.observer, polled, t->space, t->name, &s);
    }
    pthread_mutex_unlock(&c->lock);
}

/* Nobody asks and everything that was read is committed: that is progress, too (R41). */
static void look_around(polls *p, const outlet *o, int64_t *next_us)
{
    fr_capture *c = p->c;
    int64_t now = fr_now_us();
    if (now < *next_us || outlet_open(o) || outlet_waiting(o) > 0)
        return;
    *next_us = now + LOOK_US;
    bool once = true;
    pthread_mutex_lock(&c->lock);
    bool quiet =
        p->asking == 0 && (!p->comparing || now - atomic_load(&p->alive_us) < COMPARE_ALIVE_US);
    for (size_t i = 0; i < p->count; i++)
        once = once && (p->tables[i].once || p->tables[i].held);
    pthread_mutex_unlock(&c->lock);
    if (quiet)
        FR_TELL(&c->s.observer, progress);
    p->streaming = p->streaming || once;
}

/* There is no reason to wait for more: nobody asks, or somebody waits for the commit. */
static bool may_commit(polls *p)
{
    pthread_mutex_lock(&p->c->lock);
    bool yes = p->asking == 0;
    for (size_t i = 0; i < p->count && !yes; i++)
        yes = p->tables[i].waits && p->tables[i].given == p->tables[i].produced;
    pthread_mutex_unlock(&p->c->lock);
    return yes;
}

/* The outlet takes in a batch as a whole, and commits all that it has taken in. */
static void note_commits(polls *p)
{
    pthread_mutex_lock(&p->c->lock);
    bool news = p->c->safe_version != p->seen_version;
    p->seen_version = p->c->safe_version;
    for (size_t i = 0; i < p->count && news; i++) {
        polled *t = &p->tables[i];
        t->committed = t->produced;
        if (!t->waits || t->held || t->given != t->committed)
            continue;
        t->waits = false;
        *t->due_us = fr_now_us();
        polls_wake(p);
    }
    pthread_mutex_unlock(&p->c->lock);
}

/* What was read of a held table and not published is read again when it is released. */
static void mark_held(polls *p, polled *t)
{
    t->held = true;
    *t->due_us = BUSY;
    polls_wake(p);
}

static fr_rc take(polls *p, outlet *o, fr_batch *b, fr_err *err)
{
    polled *t = fr_map_get(p->by_name, b->polled);
    p->taken_us = b->filled_us;
    FR_TRY(outlet_take(o, b, err));
    bool is = held_is(p->c->held_tables, t->space, t->name);
    pthread_mutex_lock(&p->c->lock);
    t->produced += !is;
    if (is && !t->held)
        mark_held(p, t);
    pthread_mutex_unlock(&p->c->lock);
    return FR_OK;
}

/* What somebody asked for; and a table that was released begins anew, with all others. */
static fr_rc look_at_held(polls *p, outlet *o, fr_err *err)
{
    fr_capture *c = p->c;
    FR_TRY(held_work(c->held_tables, o, err));
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < p->count; i++) {
        polled *t = &p->tables[i];
        if (t->failed) {
            held_place nowhere = {.seen = 0};
            held_put(c->held_tables, t->space, t->name, &nowhere, &t->why);
            t->failed = false;
        }
        if (!held_any(c->held_tables))
            continue;
        if (!t->held && held_is(c->held_tables, t->space, t->name))
            mark_held(p, t);
    }
    if (requests_waiting(c->requests)) {
        p->stop = true;
        polls_wake(p);
    }
    pthread_mutex_unlock(&c->lock);
    return FR_OK;
}

fr_rc polls_publish(polls *p, outlet *o, fr_err *err)
{
    fr_capture *c = p->c;
    int64_t next_look_us = 0;
    for (;;) {
        FR_TRY(look_at_held(p, o, err));
        tell_tables(p, o);
        look_around(p, o, &next_look_us);
        fr_batch *b = outlet_next(o, fr_now_us() + (outlet_open(o) ? 1000 : 100000));
        if (b != NULL)
            FR_TRY(take(p, o, b, err));
        else if (fr_queue_closed(c->filled) && outlet_waiting(o) == 0)
            return outlet_close(o, err);
        if (outlet_waiting(o) == 0)
            FR_TRY(outlet_idle(o, may_commit(p), err));
        if (fr_now_us() >= outlet_due(o))
            FR_TRY(outlet_close(o, err));
        note_commits(p);
    }
}
