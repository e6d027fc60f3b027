#include "control/status_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

const char *const fr_op_letters[FR_OPS] = {"c", "u", "d", "r", "t"};
const char *const fr_stage_names[FR_STAGES] = {"read", "encode", "ack", "sink"};
const double fr_stage_buckets[FR_BUCKETS] = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05,
                                             0.1,    0.25,   0.5,   1,     2.5,  10,    60};

/* --- the board -------------------------------------------------------------------------- */

fr_board *fr_board_new(const char *pipeline, const char *worker)
{
    fr_board *b = fr_malloc(sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    b->pipeline = fr_strdup(pipeline != NULL ? pipeline : "");
    b->worker = fr_strdup(worker != NULL ? worker : "");
    b->now_us = fr_now_us;
    b->wall_us = fr_wall_us;
    b->up_since_wall_us = fr_wall_us();
    return b;
}

static void free_table(void *value)
{
    fr_board_table *t = value;
    free((char *)t->poll.waits);
    fr_board_forget_held(t);
    free(t->kept);
    free(t->topic);
    free(t->former);
    fr_board_forget_will(&t->will);
    free(t->name);
    free(t);
}

static void free_part(fr_part *p)
{
    fr_map_free(p->tables, free_table);
    fr_map_free(p->broken, free);
    free(p->name);
    free(p->type);
    free(p->reason);
    free(p->position);
    fr_board_forget_will(&p->will);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void fr_board_free(fr_board *b)
{
    if (b == NULL)
        return;
    for (fr_part *p = b->first, *next; p != NULL; p = next) {
        next = p->next;
        free_part(p);
    }
    free(b->pipeline);
    free(b->worker);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

fr_part *fr_board_first(fr_board *b)
{
    pthread_mutex_lock(&b->lock);
    fr_part *p = b->first;
    pthread_mutex_unlock(&b->lock);
    return p;
}

fr_part *fr_board_next(fr_part *p)
{
    pthread_mutex_lock(&p->board->lock);
    fr_part *next = p->next;
    pthread_mutex_unlock(&p->board->lock);
    return next;
}

fr_part *fr_board_part(fr_board *b, bool sink, const char *name, const char *type)
{
    fr_part *p = fr_malloc(sizeof(*p));
    p->board = b;
    pthread_mutex_init(&p->lock, NULL);
    p->sink = sink;
    p->name = fr_strdup(name);
    p->type = fr_strdup(type != NULL ? type : "");
    p->since_wall_us = b->wall_us();
    p->progress_us = p->moving_us = b->now_us();
    p->tables = fr_map_new();
    pthread_mutex_lock(&b->lock);
    if (b->last != NULL)
        b->last->next = p;
    else
        b->first = p;
    b->last = p;
    pthread_mutex_unlock(&b->lock);
    return p;
}

/* --- updates ---------------------------------------------------------------------------- */

static bool moves(fr_state s)
{
    return s == FR_STATE_SNAPSHOTTING || s == FR_STATE_CATCHING_UP || s == FR_STATE_STREAMING;
}

/* Whoever begins to move gets the whole time again before it counts as stalled. */
static void set_state(fr_part *p, fr_state s)
{
    if (moves(s) && !moves(p->state))
        p->progress_us = p->moving_us = p->board->now_us();
    if (p->state != s)
        p->since_wall_us = p->board->wall_us();
    p->state = s;
}

void fr_part_state(fr_part *p, fr_state s, const char *reason)
{
    pthread_mutex_lock(&p->lock);
    set_state(p, s);
    free(p->reason);
    p->reason = fr_strdup(reason);
    p->has_error = false;
    p->next_try_wall_us = 0;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_rests(fr_part *p, fr_state s, const char *reason)
{
    fr_part_state(p, s, reason);
    pthread_mutex_lock(&p->lock);
    p->connector.connected = false;
    p->inflight = 0;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_error(fr_part *p, fr_state s, const fr_err *err, int64_t next_try_wall_us)
{
    pthread_mutex_lock(&p->lock);
    set_state(p, s);
    free(p->reason);
    p->reason = NULL;
    p->has_error = true;
    p->error = *err;
    fr_redact(p->error.text);
    fr_redact(p->error.hint);
    p->next_try_wall_us = next_try_wall_us;
    pthread_mutex_unlock(&p->lock);
}

/* The key is the name as it is shown. */
fr_board_table *fr_board_table_of(fr_part *p, fr_str space, fr_str table)
{
    fr_buf name = {0};
    fr_buf_str(&name, space);
    fr_buf_text(&name, space.len > 0 ? "." : "");
    fr_buf_str(&name, table);
    fr_board_table *t = fr_map_get(p->tables, fr_buf_view(&name));
    if (t == NULL) {
        t = fr_malloc(sizeof(*t));
        fr_map_set(p->tables, fr_buf_view(&name), t);
        fr_buf_u8(&name, 0);
        t->name = (char *)name.ptr;
        return t;
    }
    fr_buf_free(&name);
    return t;
}

static void rate_add(fr_rate *r, uint64_t n, int64_t now_us)
{
    int64_t slot = now_us / FR_RATE_SLOT_US;
    if (r->first == 0)
        r->first = r->slot = slot;
    for (int i = 0; r->slot < slot && i < FR_RATE_SLOTS; i++)
        r->slots[++r->slot % FR_RATE_SLOTS] = 0;
    r->slot = slot;
    r->slots[slot % FR_RATE_SLOTS] += n;
}

void fr_part_count(fr_part *p, fr_str space, fr_str table, const uint64_t by_op[5], uint64_t bytes,
                   int64_t commit_us)
{
    int64_t now = p->board->now_us();
    uint64_t n = 0;
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = fr_board_table_of(p, space, table);
    for (int i = 0; i < FR_OPS; i++) {
        n += by_op[i];
        t->by_op[i] += by_op[i];
        p->by_op[i] += by_op[i];
    }
    t->bytes += bytes;
    p->bytes += bytes;
    t->last_wall_us = p->board->wall_us();
    if (commit_us > t->commit_us)
        t->commit_us = commit_us;
    if (commit_us > p->commit_us)
        p->commit_us = commit_us;
    rate_add(&t->rate, n, now);
    rate_add(&p->rate, n, now);
    p->counted = true;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_table(fr_part *p, fr_str space, fr_str table, fr_state s)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = fr_board_table_of(p, space, table);
    t->state = s;
    t->state_set = true;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_snapshot(fr_part *p, fr_str space, fr_str table, uint32_t chunks_done, uint32_t chunks,
                      uint64_t rows, uint64_t rows_expected)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = fr_board_table_of(p, space, table);
    /* A second snapshot starts its own clock. */
    if (t->snapshot_began_us == 0 || rows < t->rows)
        t->snapshot_began_us = p->board->now_us();
    t->chunks_done = chunks_done;
    t->chunks = chunks;
    t->rows = rows;
    t->rows_expected = rows_expected;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_polled(fr_part *p, fr_str space, fr_str table, const fr_polled_status *s)
{
    pthread_mutex_lock(&p->lock);
    fr_board_table *t = fr_board_table_of(p, space, table);
    const char *had = t->poll.waits;
    bool same = had != NULL && s->waits != NULL && strcmp(had, s->waits) == 0;
    p->polled = t->polled = true;
    t->poll = *s;
    t->poll.waits = same ? had : fr_strdup(s->waits);
    if (!same)
        free((char *)had);
    pthread_mutex_unlock(&p->lock);
}

static void growth_add(fr_growth *g, int64_t bytes, int64_t now_us)
{
    size_t last = (g->next + FR_GROWTH_SAMPLES - 1) % FR_GROWTH_SAMPLES;
    if (bytes < 0 || (g->count > 0 && now_us - g->at_us[last] < FR_GROWTH_EVERY_US))
        return;
    g->at_us[g->next] = now_us;
    g->bytes[g->next] = bytes;
    g->next = (g->next + 1) % FR_GROWTH_SAMPLES;
    g->count += g->count < FR_GROWTH_SAMPLES;
}

void fr_part_connector(fr_part *p, const fr_status *s)
{
    pthread_mutex_lock(&p->lock);
    if (!p->has_connector || s->read_lsn > p->connector.read_lsn)
        p->read_us = p->board->now_us();
    p->has_connector = true;
    p->connector = *s;
    growth_add(&p->growth, s->retained_bytes, p->board->now_us());
    pthread_mutex_unlock(&p->lock);
}

void fr_part_position(fr_part *p, fr_str resume)
{
    char *copy = fr_malloc(resume.len + 1);
    if (resume.len > 0)
        memcpy(copy, resume.ptr, resume.len);
    pthread_mutex_lock(&p->lock);
    free(p->position);
    p->position = copy;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_progress(fr_part *p)
{
    pthread_mutex_lock(&p->lock);
    p->progress_us = p->board->now_us();
    /* Nothing was counted since the last one: it is the proof that nothing waits. */
    if (!p->counted)
        p->caught_up_us = p->board->wall_us();
    p->counted = false;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_dead_letters(fr_part *p, uint64_t n)
{
    pthread_mutex_lock(&p->lock);
    p->dead_letters += n;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_filtered(fr_part *p, uint64_t n)
{
    pthread_mutex_lock(&p->lock);
    p->filtered += n;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_stage(fr_part *p, int which, double seconds)
{
    if (which < 0 || which > FR_STAGE_POLL || !(seconds >= 0))
        return;
    pthread_mutex_lock(&p->lock);
    fr_histogram *h = &p->stages[which];
    for (int i = 0; i < FR_BUCKETS; i++)
        h->buckets[i] += seconds <= fr_stage_buckets[i];
    h->count++;
    h->sum += seconds;
    pthread_mutex_unlock(&p->lock);
}

void fr_part_kafka(fr_part *p, uint64_t inflight, uint64_t transactions)
{
    pthread_mutex_lock(&p->lock);
    p->inflight = inflight;
    p->transactions = transactions;
    pthread_mutex_unlock(&p->lock);
}
