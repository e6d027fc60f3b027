/* Captured tables that are gone, or that the log lacks (schema.on_change.drop_table): what is said
 * of them, and what follows when they are there again. The others go on. Nothing of such a table is
 * passed over: what the log still has of it is published. */
#include "capture/held.h"
#include <stdlib.h>
#include <string.h>

enum { LOOK_EVERY_US = 60000000, LOOK_AGAIN_US = 2000000 };

struct absences { /* what the status thread has found; under the lock of fr_capture */
    fr_arena *arena;
    fr_absent *items;
    size_t count;
    atomic_bool fresh;
    fr_map *known; /* "space.table" of those that were gone in this process; the publisher's */
    fr_map *seen;  /* those of the last look; the status thread's, as what follows */
    int64_t next_us, last_us;
    uint64_t changes; /* as of the last look */
    fr_batch *notice; /* what is on its way to Kafka; the publisher's */
};

absences *absences_new(void)
{
    absences *x = fr_malloc(sizeof(*x));
    x->known = fr_map_new();
    x->seen = fr_map_new();
    x->notice = fr_batch_new(1, 1 << 10);
    return x;
}

void absences_free(absences *x)
{
    fr_batch_free(x->notice);
    fr_arena_free(x->arena);
    fr_map_free(x->known, NULL);
    fr_map_free(x->seen, NULL);
    free(x);
}

/* A table that is dropped and made again is not there for a moment: what counts is absent in two
 * looks, in whichever way. Those that were not in the last one are left out; true: there are some.
 * What was made again is said here, as the source says it once, and left out, too. */
static bool keep_lasting(fr_capture *c, fr_arena *a, fr_absent *items, size_t *count)
{
    absences *x = c->absences;
    fr_map *now = fr_map_new();
    size_t kept = 0;
    bool fresh = false;
    for (size_t i = 0; i < *count; i++) {
        const fr_absent *it = &items[i];
        if (it->kind == FR_ABSENT_REMADE) {
            fr_log(FR_LOG_WARN, c->who, "%.*s [%s]; %.*s", FR_ARG(it->text), it->code,
                   FR_ARG(it->hint));
            continue;
        }
        fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(it->space), FR_ARG(it->name));
        bool lasts = fr_map_get(x->seen, key) != NULL;
        fresh = fresh || !lasts;
        fr_map_set(now, key, x);
        if (lasts)
            items[kept++] = *it;
    }
    fr_map_free(x->seen, NULL);
    x->seen = now;
    *count = kept;
    return fresh;
}

/* ---- the status thread ---- */

void absent_look(fr_capture *c)
{
    absences *x = c->absences;
    fr_status s = {0};
    fr_err ignored;
    int64_t now = fr_now_us();
    if (c->source->ops->absent == NULL)
        return;
    c->source->ops->status(c->source, &s);
    bool due = now >= x->next_us || FR_FAILPOINT("capture_look_often");
    if (!due && (s.changes == x->changes || now < x->last_us + LOOK_AGAIN_US))
        return;
    x->next_us = now + LOOK_EVERY_US;
    x->last_us = now;
    x->changes = s.changes;
    fr_arena *a = fr_arena_new(0);
    fr_absent *items = NULL;
    size_t count = 0;
    if (c->source->ops->absent(c->source, a, &items, &count, &ignored) == FR_FAIL) {
        fr_arena_free(a);
        return;
    }
    if (keep_lasting(c, a, items, &count))
        x->next_us = now + LOOK_AGAIN_US;
    pthread_mutex_lock(&c->lock);
    fr_arena_free(x->arena);
    x->arena = a;
    x->items = items;
    x->count = count;
    atomic_store(&x->fresh, true);
    pthread_mutex_unlock(&c->lock);
}

/* ---- what follows ---- */

static const fr_absent *find(const fr_absent *items, size_t count, const held_table *t)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_eq(items[i].name, t->name) && fr_str_eq(items[i].space, t->space))
            return &items[i];
    return NULL;
}

/* FR_FAIL, as an error of this table. */
static fr_rc why_of(const fr_absent *x, const char *code, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%.*s", FR_ARG(x->text));
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%.*s", FR_ARG(x->hint));
}

/* It was captured before: else its name is wrong, or nobody has made it yet. */
static bool is_known(const fr_capture *c, const fr_absent *x, const fr_table_settings *s)
{
    fr_arena *a = fr_arena_new(256);
    fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(x->space), FR_ARG(x->name));
    bool known = s->snapshot_mode != 0 || capture_progress(c, x->space, x->name) != NULL ||
                 moves_known(c->moves, x->space, x->name) ||
                 held_find(c->held_tables, x->space, x->name) != NULL ||
                 fr_map_get(c->absences->known, key) != NULL;
    if (known) /* once it is there again, its record is gone until it was read */
        fr_map_set(c->absences->known, key, c->absences);
    fr_arena_free(a);
    return known;
}

/* It is held: that is committed, and said on the topic of notices, at once. */
static fr_rc hold(fr_capture *c, outlet *o, const fr_absent *x, const fr_err *why, fr_err *err)
{
    fr_batch *b = c->absences->notice; /* all that was in it is committed, or lost with its run */
    held_absent(c->held_tables, x->space, x->name, why, false);
    fr_batch_reset(b);
    (void)fr_batch_add(b, FR_OP_HEARTBEAT, NULL);
    fr_encoder_notice_absent(c->encoder, b, 0, x->space, x->name, why);
    FR_TRY(outlet_send(o, b, 0, b->message_count, 0, err));
    return outlet_close(o, err);
}

static fr_rc gone(fr_capture *c, outlet *o, const fr_absent *x, const fr_table_settings *s,
                  fr_err *err)
{
    fr_err why;
    const char *place = s->place != NULL ? s->place : "configuration";
    if (s->drop_table == FR_GONE_STOP) {
        fr_fail(err, FR_ERR_SCHEMA, "%.*s: schema.on_change.drop_table says stop", FR_ARG(x->text));
        fr_fail_code(err, "schema.on_change");
        return fr_fail_hint(err,
                            "take it out of tables (%s), or set schema.on_change.drop_table: "
                            "block or ignore",
                            place);
    }
    fr_fail(&why, FR_ERR_SCHEMA, "table %.*s.%.*s is gone: %.*s", FR_ARG(x->space), FR_ARG(x->name),
            FR_ARG(x->text));
    fr_fail_code(&why, FR_HELD_GONE);
    fr_fail_hint(&why,
                 "take it out of tables (%s), or give its new name, or set schema.on_change."
                 "drop_table: ignore; once a table of its name is there again, a new snapshot "
                 "of it is taken",
                 place);
    if (s->drop_table != FR_GONE_IGNORE)
        return hold(c, o, x, &why, err);
    held_absent(c->held_tables, x->space, x->name, &why, true);
    return FR_OK;
}

static fr_rc unpublished(fr_capture *c, outlet *o, const fr_absent *x, fr_err *err)
{
    fr_err why;
    fr_fail(&why, FR_ERR_CONFIG, "%.*s: of its rows none comes", FR_ARG(x->text));
    fr_fail_code(&why, x->code);
    fr_fail_hint(&why, "%.*s (a new snapshot of it is then taken)", FR_ARG(x->hint));
    return hold(c, o, x, &why, err);
}

static fr_rc one(fr_capture *c, outlet *o, const fr_absent *x, bool starting, fr_err *err)
{
    const fr_table_settings *s = fr_source_match(c->s.source, x->space, x->name);
    const held_table *t = held_find(c->held_tables, x->space, x->name);
    const char *code = x->kind == FR_ABSENT_GONE ? FR_HELD_GONE : x->code;
    if (s == NULL)
        return FR_OK;
    bool ignored = x->kind == FR_ABSENT_GONE && s->drop_table == FR_GONE_IGNORE;
    if (!is_known(c, x, s) && starting && !ignored)
        return why_of(x, x->code, err);
    if (t != NULL && !held_is_absent(c->held_tables, t))
        return FR_OK; /* it waits, or joins, by itself: the next look sees to it */
    if (x->kind == FR_ABSENT_GONE && s->drop_table == FR_GONE_STOP)
        return gone(c, o, x, s, err);
    if (t != NULL && fr_str_is(fr_buf_view(&t->code), code))
        return FR_OK;
    return x->kind == FR_ABSENT_GONE ? gone(c, o, x, s, err) : unpublished(c, o, x, err);
}

static fr_rc settle(fr_capture *c, outlet *o, const fr_absent *items, size_t count, bool starting,
                    fr_err *err)
{
    held *h = c->held_tables;
    for (size_t i = 0; i < count; i++)
        FR_TRY(one(c, o, &items[i], starting, err));
    for (size_t i = 0; i < h->count;) {
        held_table *t = h->tables[i++];
        if (!held_is_absent(h, t) || find(items, count, t) != NULL)
            continue;
        FR_TRY(held_back(h, o, t, err));
        i = 0; /* a commit may have shortened the list */
    }
    return FR_OK;
}

static fr_rc look_twice(fr_capture *c, fr_arena *a, fr_absent **items, size_t *count, fr_err *err)
{
    FR_TRY(c->source->ops->absent(c->source, a, items, count, err));
    if (!keep_lasting(c, a, *items, count))
        return FR_OK;
    fr_sleep_us(LOOK_AGAIN_US / 2);
    FR_TRY(c->source->ops->absent(c->source, a, items, count, err));
    (void)keep_lasting(c, a, *items, count);
    return FR_OK;
}

fr_rc absent_at_start(fr_capture *c, outlet *o, fr_err *err)
{
    fr_absent *items = NULL;
    size_t count = 0;
    if (c->source->ops->absent == NULL)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = look_twice(c, a, &items, &count, err);
    if (rc == FR_OK)
        rc = settle(c, o, items, count, true, err);
    fr_arena_free(a);
    c->absences->last_us = fr_now_us();
    c->absences->next_us = c->absences->last_us + LOOK_EVERY_US;
    atomic_store(&c->absences->fresh, false);
    return rc;
}

fr_rc absent_work(fr_capture *c, outlet *o, fr_err *err)
{
    absences *x = c->absences;
    if (!atomic_load_explicit(&x->fresh, memory_order_relaxed) || !outlet_settled(o))
        return FR_OK;
    pthread_mutex_lock(&c->lock);
    fr_arena *a = x->arena;
    const fr_absent *items = x->items;
    size_t count = x->count;
    x->arena = NULL;
    x->items = NULL;
    x->count = 0;
    atomic_store(&x->fresh, false);
    pthread_mutex_unlock(&c->lock);
    fr_rc rc = settle(c, o, items, count, false, err);
    fr_arena_free(a);
    return rc;
}
