#include "base/queue.h"
#include "base/arena.h"
#include "base/thread.h"
#include <stdlib.h>

struct fr_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    void **items;
    size_t capacity, count, head;
    bool closed;
};

fr_queue *fr_queue_new(size_t capacity)
{
    fr_queue *q = fr_malloc(sizeof(*q));
    pthread_mutex_init(&q->lock, NULL);
    fr_cond_init(&q->not_empty);
    fr_cond_init(&q->not_full);
    q->capacity = capacity;
    q->items = fr_malloc(capacity * sizeof(void *));
    return q;
}

void fr_queue_free(fr_queue *q)
{
    if (q == NULL)
        return;
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}

bool fr_queue_put(fr_queue *q, void *item, int64_t deadline_us)
{
    bool done = false;
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == q->capacity)
        if (!fr_cond_wait(&q->not_full, &q->lock, deadline_us))
            break;
    if (!q->closed && q->count < q->capacity) {
        q->items[(q->head + q->count++) % q->capacity] = item;
        pthread_cond_signal(&q->not_empty);
        done = true;
    }
    pthread_mutex_unlock(&q->lock);
    return done;
}

void *fr_queue_take(fr_queue *q, int64_t deadline_us)
{
    void *item = NULL;
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == 0)
        if (!fr_cond_wait(&q->not_empty, &q->lock, deadline_us))
            break;
    if (q->count > 0) {
        item = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->count--;
        pthread_cond_signal(&q->not_full);
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

size_t fr_queue_count(fr_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}

void fr_queue_close(fr_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

bool fr_queue_closed(fr_queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}
