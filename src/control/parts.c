#include "control/parts.h"
#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "control/observer.h"
#include "control/watch.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct part {
    bool sink;
    size_t index; /* in the configuration */
    const char *name;
    fr_part *board;
    fr_capture *capture; /* of a source that runs; under the lock */
    fr_apply *apply;     /* of a sink that runs */
    fr_will_state will;
    char why[FR_WILL_BY_MAX + FR_WILL_WHY_MAX + 8]; /* of the will: "ana@db1: migration" */
    bool restart;                                   /* end it, and start it again */
    bool ending, gave_up;
    int64_t ending_us; /* monotonic: since when */
} part;

struct fr_parts {
    fr_parts_settings s;
    part *all;
    size_t count;
    int64_t memory; /* of one */
    fr_watch *watch;
    const fr_wills *wills; /* NULL: not started */
    fr_map *settled;       /* keys of wills that need no second look */
    bool stopping;
    pthread_mutex_t lock; /* capture of each part, open */
    bool open;            /* fr_parts_source may use them */
};

static bool runs(const part *t)
{
    return t->capture != NULL || t->apply != NULL;
}

static const char *word(const part *t)
{
    return t->sink ? "sink" : "source";
}

/* ---- one part ---- */

static void start_source(fr_parts *p, part *t)
{
    const fr_config *c = p->s.config;
    const fr_capture_settings s = {.source = &c->sources[t->index],
                                   .ops = c->source_ops[t->index],
                                   .kafka = &c->kafka,
                                   .registry = &c->registry,
                                   .memory = p->memory,
                                   .instance = p->s.instance,
                                   .cache_dir = c->daemon.cache_dir,
                                   .observer = fr_board_observer(t->board)};
    fr_capture *capture = fr_capture_start(&s);
    pthread_mutex_lock(&p->lock);
    t->capture = capture;
    pthread_mutex_unlock(&p->lock);
}

static void start_sink(fr_parts *p, part *t)
{
    const fr_config *c = p->s.config;
    const fr_apply_settings s = {.sink = &c->sinks[t->index],
                                 .ops = c->sink_ops[t->index],
                                 .kafka = &c->kafka,
                                 .registry = &c->registry,
                                 .memory = p->memory,
                                 .member = p->s.member,
                                 .observer = fr_board_observer(t->board)};
    t->apply = fr_apply_start(&s);
}

static void ask_end(part *t)
{
    if (t->capture != NULL)
        fr_capture_stop(t->capture);
    if (t->apply != NULL)
        fr_apply_stop(t->apply);
}

static void ask_give_up(part *t)
{
    if (t->capture != NULL)
        fr_capture_abandon(t->capture);
    if (t->apply != NULL)
        fr_apply_abandon(t->apply);
}

static bool done(const part *t, bool *failed, fr_err *err)
{
    *failed = false;
    if (t->capture != NULL)
        return fr_capture_done(t->capture, failed, err);
    return t->apply == NULL || fr_apply_done(t->apply, failed, err);
}

static void forget(fr_parts *p, part *t)
{
    pthread_mutex_lock(&p->lock);
    fr_capture_free(t->capture);
    t->capture = NULL;
    pthread_mutex_unlock(&p->lock);
    fr_apply_free(t->apply);
    t->apply = NULL;
    t->ending = t->gave_up = t->restart = false;
}

static void rest(fr_parts *p, part *t)
{
    char reason[sizeof(t->why) + 8];
    bool paused = t->will == FR_WILL_PAUSED;
    snprintf(reason, sizeof(reason), "by %s", t->why[0] == '\0' ? "an operator" : t->why);
    fr_part_rests(t->board, paused ? FR_STATE_PAUSED : FR_STATE_STOPPED, reason);
    fr_log(FR_LOG_INFO, "freshet", "%s %s is %s %s", word(t), t->name, fr_will_state_name(t->will),
           reason);
    if (!t->sink && paused)
        fr_watch_source(p->watch, t->index, t->board);
    else if (!t->sink)
        fr_watch_leave(p->watch, t->index);
}

/* ---- tables and topics ---- */

static void why_text(char *out, size_t size, const fr_will *w)
{
    snprintf(out, size, "%.*s%s%.*s", FR_ARG(w->by), w->by.len > 0 && w->why.len > 0 ? ": " : "",
             FR_ARG(w->why));
}

/* "public.orders" of a source; the key of a will has a dot there. */
static void split(fr_str full, fr_str *space, fr_str *name)
{
    const char *dot = memchr(full.ptr, '.', full.len);
    *space = (fr_str){full.ptr, dot == NULL ? 0 : (size_t)(dot - full.ptr)};
    *name = dot == NULL ? full : (fr_str){dot + 1, full.len - space->len - 1};
}

static void hold(part *t, const fr_will *w)
{
    char why[sizeof(t->why)];
    fr_str space, name;
    why_text(why, sizeof(why), w);
    fr_str text = fr_cstr(why[0] == '\0' ? "an operator" : why);
    split(w->target.name, &space, &name);
    if (t->apply != NULL)
        fr_apply_hold(t->apply, w->target.name, text);
    else if (t->capture != NULL)
        fr_capture_hold(t->capture, space, name, text);
}

static void release(part *t, const fr_will *w)
{
    fr_str space, name;
    fr_log(FR_LOG_INFO, "freshet", "%s/%.*s is to go on%s: %.*s wants it", t->name,
           FR_ARG(w->target.name), w->anew ? " by a new snapshot" : "", FR_ARG(w->by));
    split(w->target.name, &space, &name);
    if (t->apply != NULL)
        fr_apply_release(t->apply, w->target.name);
    else if (t->capture != NULL)
        fr_capture_release(t->capture, space, name, w->anew);
}

static void settle(fr_parts *p, const fr_will *w, bool settled)
{
    fr_arena *a = fr_arena_new(512);
    fr_str key = fr_will_key(a, &w->target);
    if (settled)
        fr_map_set(p->settled, key, p);
    else
        fr_map_remove(p->settled, key);
    fr_arena_free(a);
}

static bool is_settled(const fr_parts *p, const fr_will *w)
{
    fr_arena *a = fr_arena_new(512);
    bool settled = fr_map_get(p->settled, fr_will_key(a, &w->target)) != NULL;
    fr_arena_free(a);
    return settled;
}

static part *find(fr_parts *p, const fr_will_target *target)
{
    bool sink = target->kind == FR_WILL_SINK || target->kind == FR_WILL_TOPIC;
    for (size_t i = 0; i < p->count; i++)
        if (p->all[i].sink == sink && fr_str_is(target->part, p->all[i].name))
            return &p->all[i];
    return NULL;
}

/* A table that its checkpoint holds, although somebody wanted it to go on while nothing ran: it is
 * told of once its source has begun. What was held after that was said stays so. */
static void release_late(fr_parts *p, const fr_will *w)
{
    part *t = find(p, &w->target);
    bool by_operator = false;
    int64_t since_us = 0;
    if (t == NULL || w->target.name.len == 0 || w->state != FR_WILL_RUNNING || !runs(t) ||
        t->ending || !fr_part_is_held(t->board, w->target.name, &by_operator, &since_us) ||
        is_settled(p, w))
        return;
    if (by_operator || since_us <= w->at_us)
        release(t, w);
    settle(p, w, true);
}

/* All that is wanted of tables of a part that begins. What was told to the one before may have
 * ended with it. */
static void tell_all(fr_parts *p, part *t)
{
    size_t i = 0;
    const fr_will *w;
    while (fr_wills_next(p->wills, &i, &w)) {
        if (find(p, &w->target) != t || w->target.name.len == 0)
            continue;
        settle(p, w, false);
        if (w->state != FR_WILL_RUNNING)
            hold(t, w);
    }
}

/* ---- all of them ---- */

static void add(fr_parts *p, bool sink, size_t index, const char *name, const char *type)
{
    p->all[p->count++] = (part){.sink = sink,
                                .index = index,
                                .name = name,
                                .board = fr_board_part(p->s.board, sink, name, type)};
}

fr_parts *fr_parts_new(const fr_parts_settings *settings)
{
    const fr_config *c = settings->config;
    size_t count = c->source_count + c->sink_count;
    fr_parts *p = fr_malloc(sizeof(*p));
    p->s = *settings;
    p->memory = c->daemon.memory / (int64_t)(count == 0 ? 1 : count);
    p->all = fr_malloc((count + 1) * sizeof(*p->all));
    p->settled = fr_map_new();
    pthread_mutex_init(&p->lock, NULL);
    for (size_t i = 0; i < c->source_count; i++)
        add(p, false, i, c->sources[i].name, c->sources[i].type);
    for (size_t i = 0; i < c->sink_count; i++)
        add(p, true, i, c->sinks[i].name, c->sinks[i].type);
    p->watch = fr_watch_new(c);
    return p;
}

void fr_parts_free(fr_parts *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->open = false;
    pthread_mutex_unlock(&p->lock);
    fr_watch_free(p->watch);
    fr_parts_stop(p);
    for (size_t i = 0; i < p->count; i++)
        forget(p, &p->all[i]);
    fr_map_free(p->settled, NULL);
    pthread_mutex_destroy(&p->lock);
    free(p->all);
    free(p);
}

void fr_parts_wait(fr_parts *p, const fr_err *err, int64_t next_try_us)
{
    for (size_t i = 0; i < p->count; i++)
        fr_part_error(p->all[i].board, FR_STATE_RETRYING, err, next_try_us);
}

static void start(fr_parts *p, part *t)
{
    if (!t->sink)
        fr_watch_leave(p->watch, t->index);
    if (t->sink)
        start_sink(p, t);
    else
        start_source(p, t);
    tell_all(p, t);
}

static void want(fr_parts *p, const fr_will *w)
{
    part *t = find(p, &w->target);
    if (t == NULL) {
        fr_log(FR_LOG_INFO, "freshet", "the configuration has no %s %.*s, which is to be %s",
               w->target.kind == FR_WILL_SINK || w->target.kind == FR_WILL_TOPIC ? "sink"
                                                                                 : "source",
               FR_ARG(w->target.part), fr_will_state_name(w->state));
        return;
    }
    bool whole = w->target.name.len == 0;
    t->restart = t->restart || (whole && w->restart && runs(t));
    fr_part_will(t->board, w->target.name, w, whole && t->restart);
    if (!whole)
        return;
    t->will = w->state;
    why_text(t->why, sizeof(t->why), w);
}

void fr_parts_start(fr_parts *p, const fr_wills *wills)
{
    size_t i = 0;
    const fr_will *w;
    p->wills = wills;
    while (fr_wills_next(wills, &i, &w))
        want(p, w);
    for (size_t k = 0; k < p->count; k++) {
        if (p->all[k].will == FR_WILL_RUNNING)
            start(p, &p->all[k]);
        else
            rest(p, &p->all[k]);
    }
    pthread_mutex_lock(&p->lock);
    p->open = true;
    pthread_mutex_unlock(&p->lock);
}

void fr_parts_obey(fr_parts *p, const fr_will *w)
{
    part *t = find(p, &w->target);
    fr_will_state before = t == NULL ? w->state : t->will;
    want(p, w);
    if (t == NULL)
        return;
    if (w->target.name.len > 0) {
        settle(p, w, runs(t));
        if (w->state == FR_WILL_RUNNING && runs(t))
            release(t, w);
        else if (w->state != FR_WILL_RUNNING)
            hold(t, w);
        return;
    }
    if (!runs(t) && w->state != FR_WILL_RUNNING)
        rest(p, t);
    else if (w->restart || before != w->state)
        fr_log(FR_LOG_INFO, "freshet", "%s %s is to be %s%s", word(t), t->name,
               fr_will_state_name(w->state), w->restart ? ", from the beginning" : "");
}

static void step(fr_parts *p, part *t)
{
    bool failed;
    fr_err err;
    if (!runs(t)) {
        if (t->will == FR_WILL_RUNNING)
            start(p, t);
        return;
    }
    if (!t->ending && (t->restart || t->will != FR_WILL_RUNNING)) {
        ask_end(t);
        t->ending = true;
        t->ending_us = fr_now_us();
    }
    if (!t->ending)
        return;
    if (!t->gave_up && fr_now_us() - t->ending_us > p->s.config->daemon.drain_us) {
        ask_give_up(t);
        t->gave_up = true;
    }
    if (!done(t, &failed, &err))
        return;
    bool restarted = t->restart;
    forget(p, t);
    if (t->will == FR_WILL_RUNNING)
        start(p, t);
    else
        rest(p, t);
    if (restarted)
        fr_part_restarted(t->board);
}

void fr_parts_step(fr_parts *p)
{
    size_t i = 0;
    const fr_will *w;
    if (p->wills == NULL || p->stopping)
        return;
    for (size_t k = 0; k < p->count; k++)
        step(p, &p->all[k]);
    while (fr_wills_next(p->wills, &i, &w))
        release_late(p, w);
}

void fr_parts_stop(fr_parts *p)
{
    p->stopping = true;
    for (size_t i = 0; i < p->count; i++)
        ask_end(&p->all[i]);
}

void fr_parts_abandon(fr_parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        ask_give_up(&p->all[i]);
}

bool fr_parts_over(fr_parts *p, int *worst)
{
    bool over = true, failed;
    fr_err err;
    *worst = 0;
    for (size_t i = 0; i < p->count; i++) {
        const part *t = &p->all[i];
        bool may_go_on = !runs(t) || t->ending;
        over = over && done(t, &failed, &err) && (p->stopping || !may_go_on);
        if (failed && fr_err_exit(err.kind) > *worst)
            *worst = fr_err_exit(err.kind);
    }
    return over;
}

fr_rc fr_parts_source(fr_parts *p, size_t source, void (*use)(void *context, fr_capture *c),
                      void *context)
{
    fr_rc rc = FR_END;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; p->open && i < p->count; i++) {
        const part *t = &p->all[i];
        if (t->sink || t->index != source || t->capture == NULL)
            continue;
        use(context, t->capture);
        rc = FR_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}
