/* Snapshots that somebody asked for, or does not want any more, while the source runs. What is
 * asked is only noted; the publisher's thread takes it when its run begins, with the checkpoint as
 * it is then: it changes the table's snapshot there, and goes on as for a table that is new
 * (docs/adr/0002). */
#include "capture/internal.h"
#include <stdlib.h>

typedef struct request { /* of one table: the newest one */
    struct request *next;
    fr_str space, name; /* in the arena */
    fr_buf where;
    bool cancel;
    fr_request_state state;
    unsigned asked; /* how often: what comes while one is taken is for the next time */
    fr_err why;     /* when it was refused */
} request;

struct requests {
    request *first;
    size_t count;
    fr_arena *arena;
    atomic_bool waiting;    /* one of them is ASKED */
    atomic_bool cancelling; /* and is a cancel */
};

/* One that is being taken, without the lock. */
typedef struct taken {
    request *of;
    fr_str space, name, where;
    bool cancel;
    unsigned asked;
    fr_request_state state;
    fr_err why;
    fr_record record;
    uint32_t chunks; /* of a cancel: what was read */
    uint64_t rows;
} taken;

requests *requests_new(void)
{
    requests *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    return r;
}

void requests_free(requests *r)
{
    while (r->first != NULL) {
        request *q = r->first;
        r->first = q->next;
        fr_buf_free(&q->where);
        free(q);
    }
    fr_arena_free(r->arena);
    free(r);
}

bool requests_waiting(const requests *r)
{
    return atomic_load_explicit(&r->waiting, memory_order_relaxed);
}

void requests_reopen(requests *r)
{
    atomic_store(&r->waiting, true);
}

void requests_taken(requests *r)
{
    atomic_store(&r->waiting, false);
}

static request *find(const requests *r, fr_str space, fr_str name)
{
    request *q = r->first;
    while (q != NULL && !(fr_str_eq(q->name, name) && fr_str_eq(q->space, space)))
        q = q->next;
    return q;
}

bool requests_cancel(fr_capture *c, fr_str space, fr_str name)
{
    if (!atomic_load_explicit(&c->requests->cancelling, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&c->lock);
    const request *q = find(c->requests, space, name);
    bool cancel = q != NULL && q->cancel && q->state == FR_REQUEST_ASKED;
    pthread_mutex_unlock(&c->lock);
    return cancel;
}

/* ---- asking ---- */

static request *add(requests *r, fr_str space, fr_str name)
{
    request *q = fr_malloc(sizeof(*q));
    q->space = fr_arena_str(r->arena, space);
    q->name = fr_arena_str(r->arena, name);
    q->next = r->first;
    r->first = q;
    r->count++;
    return q;
}

static void ask(fr_capture *c, fr_str space, fr_str name, fr_str where, bool cancel)
{
    requests *r = c->requests;
    pthread_mutex_lock(&c->lock);
    request *q = find(r, space, name);
    if (q == NULL)
        q = add(r, space, name);
    q->where.len = 0;
    fr_buf_str(&q->where, where);
    q->cancel = cancel;
    q->state = FR_REQUEST_ASKED;
    q->asked++;
    atomic_store(&r->waiting, true);
    if (cancel)
        atomic_store(&r->cancelling, true);
    pthread_mutex_unlock(&c->lock);
}

void fr_capture_snapshot(fr_capture *c, fr_str space, fr_str name, fr_str where)
{
    ask(c, space, name, where, false);
}

void fr_capture_cancel(fr_capture *c, fr_str space, fr_str name)
{
    ask(c, space, name, (fr_str){"", 0}, true);
}

fr_request_state fr_capture_requested(fr_capture *c, fr_str space, fr_str name, fr_err *why)
{
    pthread_mutex_lock(&c->lock);
    const request *q = find(c->requests, space, name);
    fr_request_state state = q == NULL ? FR_REQUEST_NONE : q->state;
    if (state == FR_REQUEST_REFUSED)
        *why = q->why;
    pthread_mutex_unlock(&c->lock);
    return state;
}

/* ---- taking ---- */

/* The requests of this moment; one that comes later is for the next time. */
static size_t begin(fr_capture *c, fr_arena *a, taken **out)
{
    requests *r = c->requests;
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    atomic_store(&r->waiting, false);
    atomic_store(&r->cancelling, false);
    taken *all = fr_arena_alloc(a, (r->count + 1) * sizeof(*all));
    for (request *q = r->first; q != NULL; q = q->next) {
        if (q->state != FR_REQUEST_ASKED)
            continue;
        all[n++] = (taken){.of = q,
                           .space = q->space,
                           .name = q->name,
                           .where = fr_arena_str(a, fr_buf_view(&q->where)),
                           .cancel = q->cancel,
                           .asked = q->asked};
    }
    pthread_mutex_unlock(&c->lock);
    *out = all;
    return n;
}

static bool is_listed(const fr_table **tables, size_t count, const taken *t)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_eq(tables[i]->name, t->name) && fr_str_eq(tables[i]->space, t->space))
            return true;
    return false;
}

fr_rc fr_capture_check_where(const fr_source_settings *settings, fr_source *source, fr_str space,
                             fr_str name, fr_str where, fr_err *err)
{
    if (source->ops->check_where == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "a source of type %s takes no conditions", settings->type);
        return fr_fail_code(err, "snapshot.where");
    }
    if (source->ops->check_where(source, space, name, where, err) == FR_OK)
        return FR_OK;
    if (err->kind == FR_ERR_CONNECT || err->kind == FR_ERR_BUSY || err->kind == FR_ERR_CANCELLED)
        return FR_FAIL;
    err->kind = FR_ERR_CONFIG;
    fr_fail_in(err, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
    fr_fail_code(err, "snapshot.where");
    return fr_fail_hint(err, "give one SQL condition as it would stand after WHERE, in the words "
                             "of the source's database");
}

static void count_read(const fr_capture *c, fr_arena *a, taken *t)
{
    fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    const fr_snapshot_progress *p = fr_map_get(c->checkpoint->snapshots, key);
    if (p == NULL)
        return;
    t->chunks = p->chunks - (uint32_t)p->left_count;
    t->rows = p->rows;
}

/* FR_FAIL: the server could not be asked, all of it is for another time. */
static fr_rc decide(fr_capture *c, fr_arena *a, bool listed, taken *t, fr_err *err)
{
    fr_rc rc = FR_OK;
    t->state = listed ? FR_REQUEST_TAKEN : FR_REQUEST_UNKNOWN;
    if (!listed)
        return FR_OK;
    count_read(c, a, t);
    if (t->cancel)
        rc = fr_checkpoint_cancel(a, c->checkpoint, t->space, t->name, &t->record, &t->why);
    else
        rc = fr_checkpoint_ask(a, c->checkpoint, t->space, t->name, t->where, &t->record, &t->why);
    if (rc == FR_OK && t->where.len > 0) {
        rc = fr_capture_check_where(c->s.source, c->source, t->space, t->name, t->where, &t->why);
        if (rc == FR_FAIL && t->why.kind != FR_ERR_CONFIG) {
            *err = t->why;
            return FR_FAIL;
        }
    }
    if (rc == FR_FAIL)
        t->state = FR_REQUEST_REFUSED;
    return FR_OK;
}

/* Into the checkpoint in Kafka, and then into ours. */
static fr_rc record(fr_capture *c, outlet *o, fr_arena *a, const taken *all, size_t count,
                    fr_err *err)
{
    fr_record *records = fr_arena_alloc(a, (count + 1) * sizeof(*records));
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (all[i].state == FR_REQUEST_TAKEN)
            records[n++] = all[i].record;
    if (n == 0)
        return FR_OK;
    FR_TRY(outlet_records(o, records, n, err));
    for (size_t i = 0; i < n; i++)
        FR_TRY(fr_checkpoint_fold(c->checkpoint, records[i].key, records[i].value, err));
    for (size_t i = 0; i < count; i++)
        if (all[i].state == FR_REQUEST_TAKEN && all[i].cancel)
            FR_TELL(&c->s.observer, snapshot, all[i].space, all[i].name, all[i].chunks,
                    all[i].chunks, all[i].rows, all[i].rows);
    return FR_OK;
}

static void tell(fr_capture *c, const taken *t)
{
    const char *what =
        t->cancel ? "the rest of its snapshot is not wanted" : "a new snapshot was asked for";
    if (t->state == FR_REQUEST_TAKEN)
        fr_log(FR_LOG_INFO, c->who, "%.*s.%.*s: %s", FR_ARG(t->space), FR_ARG(t->name), what);
    else
        fr_log(FR_LOG_WARN, c->who, "%.*s.%.*s: %s, but %s", FR_ARG(t->space), FR_ARG(t->name),
               what, t->state == FR_REQUEST_UNKNOWN ? "there is no such table" : t->why.text);
}

static void end(fr_capture *c, const taken *all, size_t count, bool done)
{
    requests *r = c->requests;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < count; i++) {
        request *q = all[i].of;
        if (!done) {
            atomic_store(&r->waiting, true);
            if (q->cancel)
                atomic_store(&r->cancelling, true);
        } else if (q->asked == all[i].asked) {
            q->state = all[i].state;
            q->why = all[i].why;
        }
    }
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; done && i < count; i++)
        tell(c, &all[i]);
}

fr_rc requests_take(fr_capture *c, outlet *o, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const fr_table **tables;
    taken *all;
    size_t table_count = 0, count = begin(c, a, &all);
    fr_rc rc = c->source->ops->list_tables(c->source, a, &tables, &table_count, err);
    if (rc == FR_OK) {
        for (size_t i = 0; rc == FR_OK && i < count; i++)
            rc = decide(c, a, is_listed(tables, table_count, &all[i]), &all[i], err);
        for (size_t i = 0; i < table_count; i++)
            fr_table_unref(tables[i]);
    }
    if (rc == FR_OK)
        rc = record(c, o, a, all, count, err);
    end(c, all, count, rc == FR_OK);
    fr_arena_free(a);
    return rc;
}
