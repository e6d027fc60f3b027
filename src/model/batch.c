#include "model/batch.h"
#include "base/clock.h"
#include "base/thread.h"
#include <stdlib.h>
#include <string.h>

/* Of a batch's memory, for the next time. */
enum { MOST_KEPT = 4 << 20 };

fr_batch *fr_batch_new(size_t max_events, size_t max_bytes)
{
    fr_batch *b = fr_malloc(sizeof(*b));
    b->arena = fr_arena_new(64 << 10);
    fr_arena_keep(b->arena, max_bytes < MOST_KEPT / 4 ? 4 * max_bytes : MOST_KEPT);
    b->max_events = max_events;
    b->max_bytes = max_bytes;
    return b;
}

void fr_batch_free(fr_batch *b)
{
    if (b == NULL)
        return;
    fr_batch_reset(b);
    fr_arena_free(b->arena);
    free(b->events);
    free(b->messages);
    free(b->tables);
    free(b);
}

void fr_batch_reset(fr_batch *b)
{
    for (size_t i = 0; i < b->table_count; i++)
        fr_table_unref(b->tables[i]);
    b->count = b->message_count = b->table_count = 0;
    b->notices = 0;
    b->chunk = 0;
    b->chunk_done = b->beside = false;
    b->filled_us = 0;
    b->ends = NULL;
    b->polled = b->progress = (fr_str){NULL, 0};
    fr_arena_reset(b->arena);
}

bool fr_batch_full(const fr_batch *b)
{
    return b->count >= b->max_events || fr_arena_used(b->arena) >= b->max_bytes;
}

static void hold_table(fr_batch *b, const fr_table *table)
{
    if (table == NULL || (b->table_count > 0 && b->tables[b->table_count - 1] == table))
        return;
    if (b->table_count == b->table_cap) {
        b->table_cap = b->table_cap == 0 ? 16 : 2 * b->table_cap;
        b->tables = fr_realloc(b->tables, b->table_cap * sizeof(*b->tables));
    }
    b->tables[b->table_count++] = fr_table_ref(table);
}

fr_event *fr_batch_add(fr_batch *b, fr_op op, const fr_table *table)
{
    if (fr_batch_full(b))
        return NULL;
    if (b->count == b->event_cap) {
        b->event_cap = b->event_cap == 0 ? 64 : 2 * b->event_cap;
        b->events = fr_realloc(b->events, b->event_cap * sizeof(fr_event));
    }
    fr_event *e = &b->events[b->count++];
    memset(e, 0, sizeof(*e));
    e->op = op;
    hold_table(b, table);
    e->table = table;
    e->partition = -1;
    return e;
}

void fr_batch_of_table(fr_batch *b, fr_event *e, const fr_table *table)
{
    hold_table(b, table);
    e->table = table;
}

fr_value *fr_batch_row(fr_batch *b, const fr_table *table, fr_row *row_out)
{
    fr_value *values = fr_arena_alloc(b->arena, table->column_count * sizeof(fr_value));
    row_out->values = values; /* zeroed: every kind is FR_ABSENT */
    row_out->count = table->column_count;
    return values;
}

fr_message *fr_batch_message(fr_batch *b)
{
    if (b->message_count == b->message_cap) {
        b->message_cap = b->message_cap == 0 ? 64 : 2 * b->message_cap;
        b->messages = fr_realloc(b->messages, b->message_cap * sizeof(fr_message));
    }
    fr_message *m = &b->messages[b->message_count++];
    memset(m, 0, sizeof(*m));
    m->partition = -1;
    return m;
}

struct fr_pool {
    pthread_mutex_t lock;
    pthread_cond_t given;
    fr_batch **free;
    size_t size, count;
    size_t made, max_events, max_bytes; /* batches are made when first needed */
    size_t taken;                       /* weight of those that are out */
    bool closed;
};

fr_pool *fr_pool_new(size_t batches, size_t max_events, size_t max_bytes)
{
    fr_pool *p = fr_malloc(sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    fr_cond_init(&p->given);
    p->free = fr_malloc(batches * sizeof(fr_batch *));
    p->size = batches;
    p->max_events = max_events;
    p->max_bytes = max_bytes;
    return p;
}

void fr_pool_free(fr_pool *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        fr_batch_free(p->free[i]);
    pthread_cond_destroy(&p->given);
    pthread_mutex_destroy(&p->lock);
    free(p->free);
    free(p);
}

static bool may_take(const fr_pool *p)
{
    return (p->count > 0 || p->made < p->size) && (p->taken < p->size || p->taken == 0);
}

fr_batch *fr_pool_take(fr_pool *p, int64_t deadline_us)
{
    fr_batch *b = NULL;
    pthread_mutex_lock(&p->lock);
    while (!p->closed && !may_take(p))
        if (!fr_cond_wait(&p->given, &p->lock, deadline_us))
            break;
    if (!p->closed && may_take(p)) {
        if (p->count > 0) {
            b = p->free[--p->count];
        } else {
            p->made++;
            b = fr_batch_new(p->max_events, p->max_bytes);
            b->owner = p;
        }
        b->weight = 1;
        p->taken++;
    }
    pthread_mutex_unlock(&p->lock);
    return b;
}

void fr_pool_weigh(fr_pool *p, fr_batch *b)
{
    size_t bytes = fr_arena_used(b->arena);
    size_t weight = bytes <= 2 * p->max_bytes ? 1 : bytes / p->max_bytes;
    pthread_mutex_lock(&p->lock);
    p->taken += weight - b->weight;
    b->weight = weight;
    pthread_mutex_unlock(&p->lock);
}

/* Little is going on: what the batches keep would be kept for nothing. */
static void trim(fr_pool *p)
{
    for (size_t i = 0; i < p->count; i++)
        fr_arena_trim(p->free[i]->arena);
}

void fr_pool_give(fr_pool *p, fr_batch *b)
{
    fr_batch_reset(b);
    pthread_mutex_lock(&p->lock);
    p->taken -= b->weight;
    p->free[p->count++] = b;
    if (p->taken <= 1) /* a reader that waits has one */
        trim(p);
    pthread_cond_broadcast(&p->given);
    pthread_mutex_unlock(&p->lock);
}

size_t fr_pool_count(fr_pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->count + (p->size - p->made);
    pthread_mutex_unlock(&p->lock);
    return n;
}

size_t fr_pool_size(fr_pool *p)
{
    return p->size;
}

void fr_pool_close(fr_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    pthread_cond_broadcast(&p->given);
    pthread_mutex_unlock(&p->lock);
}
