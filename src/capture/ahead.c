/* What to do while the broker works on a commit: nothing may be produced meanwhile, but the
 * batches that come next can be encoded. */
#include "capture/internal.h"
#include <stdlib.h>

typedef struct waiting {
    fr_batch *b;
    size_t encoded; /* events of it */
} waiting;

struct ahead {
    fr_capture *c;
    bool allowed;
    bool stuck; /* one could not be encoded: its turn must come first */
    waiting *ring;
    size_t cap, from, count;
};

/* A dead letter belongs into the transaction of its row's neighbours, and whether a row becomes
 * one depends on those before it: with errors.mode dlq, or keys that are parked since it was, each
 * event is encoded in its turn. */
static bool has_dlq(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].errors_mode == FR_ERRORS_DLQ)
            return true;
    return false;
}

ahead *ahead_new(fr_capture *c)
{
    ahead *a = fr_malloc(sizeof(*a));
    a->c = c;
    a->allowed = !has_dlq(c->s.source) && fr_map_count(c->checkpoint->parked) == 0;
    a->cap = fr_pool_size(c->pool);
    a->ring = fr_malloc(a->cap * sizeof(*a->ring));
    return a;
}

void ahead_free(ahead *a)
{
    if (a == NULL)
        return;
    for (fr_batch *b; (b = ahead_next(a, 0, NULL)) != NULL;)
        fr_pool_give(a->c->pool, b);
    free(a->ring);
    free(a);
}

bool ahead_allowed(const ahead *a)
{
    return a->allowed;
}

size_t ahead_waiting(const ahead *a)
{
    return a->count + (a->c->filled == NULL ? 0 : fr_queue_count(a->c->filled));
}

bool ahead_encoded(const ahead *a)
{
    return a->count > 0;
}

fr_batch *ahead_next(ahead *a, int64_t deadline_us, size_t *encoded)
{
    if (a->count == 0) {
        if (encoded != NULL)
            *encoded = 0;
        return a->c->filled == NULL ? NULL : fr_queue_take(a->c->filled, deadline_us);
    }
    waiting *w = &a->ring[a->from];
    a->from = (a->from + 1) % a->cap;
    a->count--;
    a->stuck = a->stuck && a->count > 0;
    if (encoded != NULL)
        *encoded = w->encoded;
    return w->b;
}

bool ahead_work(ahead *a)
{
    if (!a->allowed || a->stuck || a->count == a->cap || a->c->filled == NULL)
        return false;
    fr_batch *b = fr_queue_take(a->c->filled, 0);
    if (b == NULL)
        return false;
    fr_err ignored; /* it fails again in its turn, and then it counts */
    int64_t began = fr_now_us();
    waiting *w = &a->ring[(a->from + a->count++) % a->cap];
    w->b = b;
    w->encoded = 0;
    a->stuck = b->beside || /* that has an encoder of its own */
               fr_encode(a->c->encoder, b, 0, b->count, &w->encoded, &ignored) == FR_FAIL;
    if (a->stuck)
        fr_router_broken(a->c->router, NULL, NULL); /* it is counted in its turn */
    FR_TELL(&a->c->s.observer, stage, 1, (double)(fr_now_us() - began) / 1e6);
    return true;
}
