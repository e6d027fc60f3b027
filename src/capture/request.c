/* Snapshots that somebody asked for while the source runs. What is asked is only noted; the
 * publisher's thread takes it between two transactions: it removes the table's snapshot from the
 * checkpoint, and all is opened again as for a table that is new (docs/adr/0002). */
#include "capture/internal.h"
#include <stdlib.h>

struct requests {
    struct request {
        fr_str space, name; /* in the arena */
        fr_request_state state;
        bool taking, listed; /* while the publisher's thread is at it */
    } *items;
    size_t count, cap;
    fr_arena *arena;
    atomic_bool waiting; /* one of them is ASKED */
};

requests *requests_new(void)
{
    requests *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    return r;
}

void requests_free(requests *r)
{
    fr_arena_free(r->arena);
    free(r->items);
    free(r);
}

bool requests_waiting(const requests *r)
{
    return atomic_load_explicit(&r->waiting, memory_order_relaxed);
}

static struct request *find(requests *r, fr_str space, fr_str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (fr_str_eq(r->items[i].name, name) && fr_str_eq(r->items[i].space, space))
            return &r->items[i];
    return NULL;
}

void fr_capture_snapshot(fr_capture *c, fr_str space, fr_str name)
{
    requests *r = c->requests;
    pthread_mutex_lock(&c->lock);
    struct request *q = find(r, space, name);
    if (q == NULL) {
        if (r->count == r->cap) {
            r->cap = r->cap == 0 ? 8 : 2 * r->cap;
            r->items = fr_realloc(r->items, r->cap * sizeof(*r->items));
        }
        q = &r->items[r->count++];
        q->space = fr_arena_str(r->arena, space);
        q->name = fr_arena_str(r->arena, name);
    }
    q->state = FR_REQUEST_ASKED;
    atomic_store(&r->waiting, true);
    pthread_mutex_unlock(&c->lock);
}

fr_request_state fr_capture_requested(fr_capture *c, fr_str space, fr_str name)
{
    pthread_mutex_lock(&c->lock);
    const struct request *q = find(c->requests, space, name);
    fr_request_state state = q == NULL ? FR_REQUEST_NONE : q->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

static bool is_listed(const fr_table **tables, size_t count, const struct request *q)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_eq(tables[i]->name, q->name) && fr_str_eq(tables[i]->space, q->space))
            return true;
    return false;
}

/* The requests of this moment; one that comes later is for the next time. */
static void begin(fr_capture *c)
{
    requests *r = c->requests;
    pthread_mutex_lock(&c->lock);
    atomic_store(&r->waiting, false);
    for (size_t i = 0; i < r->count; i++)
        r->items[i].taking = r->items[i].state == FR_REQUEST_ASKED;
    pthread_mutex_unlock(&c->lock);
}

static size_t records_of(fr_capture *c, fr_arena *a, const fr_table **tables, size_t count,
                         fr_record **out)
{
    requests *r = c->requests;
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    fr_record *gone = fr_arena_alloc(a, (r->count + 1) * sizeof(*gone));
    for (size_t i = 0; i < r->count; i++) {
        struct request *q = &r->items[i];
        q->listed = q->taking && is_listed(tables, count, q);
        if (q->listed)
            gone[n++].key =
                fr_arena_printf(a, "snapshot/%.*s.%.*s", FR_ARG(q->space), FR_ARG(q->name));
    }
    pthread_mutex_unlock(&c->lock);
    *out = gone;
    return n;
}

static void end(fr_capture *c, bool done)
{
    requests *r = c->requests;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < r->count; i++) {
        struct request *q = &r->items[i];
        if (!q->taking)
            continue;
        q->taking = false;
        if (!done) {
            atomic_store(&r->waiting, true);
            continue;
        }
        q->state = q->listed ? FR_REQUEST_TAKEN : FR_REQUEST_UNKNOWN;
        fr_log(q->listed ? FR_LOG_INFO : FR_LOG_WARN, c->who,
               "%.*s.%.*s: a new snapshot was asked for%s", FR_ARG(q->space), FR_ARG(q->name),
               q->listed ? "" : ", but there is no such table");
    }
    pthread_mutex_unlock(&c->lock);
}

fr_rc requests_take(fr_capture *c, outlet *o, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const fr_table **tables;
    fr_record *gone;
    size_t count;
    begin(c);
    fr_rc rc = c->source->ops->list_tables(c->source, a, &tables, &count, err);
    if (rc == FR_OK) {
        size_t n = records_of(c, a, tables, count, &gone);
        for (size_t i = 0; i < count; i++)
            fr_table_unref(tables[i]);
        rc = n == 0 ? FR_OK : outlet_records(o, gone, n, err);
    }
    end(c, rc == FR_OK);
    fr_arena_free(a);
    return rc;
}
