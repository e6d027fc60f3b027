#include "base/queue.h"
#include "base/arena.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

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
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_empty, &monotonic);
    pthread_cond_init(&q->not_full, &monotonic);
    pthread_condattr_destroy(&monotonic);
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

/* false: the deadline passed. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX)
        return pthread_cond_wait(cond, lock) == 0;
    if (deadline_us <= 0)
        return false;
    struct timespec ts = {.tv_sec = deadline_us / 1000000,
                          .tv_nsec = (deadline_us % 1000000) * 1000};
    return pthread_cond_timedwait(cond, lock, &ts) == 0;
}

bool fr_queue_put(fr_queue *q, void *item, int64_t deadline_us)
{
    bool done = false;
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == q->capacity)
        if (!wait_until(&q->not_full, &q->lock, deadline_us))
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
        if (!wait_until(&q->not_empty, &q->lock, deadline_us))
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
