/* Tables that the source goes on without (decision 24). Where one was left stands in its record of
 * the checkpoint, in the transaction that has published all before it; what comes of it later is
 * passed over by the stream's encoder. Once it is released a second reader reads the same log from
 * there (decision 42): its rows are published beside the stream's, never beyond the stream's own
 * position, until it has reached a place above which the stream has passed over nothing. From that
 * place on the stream publishes the table again: no gap, no overlap, nobody waits. */
#include "capture/held.h"
#include "codec/change.h"
#include <stdlib.h>
#include <string.h>

enum { TELL_EVERY_US = 2000000 };

/* ---- the list ---- */

held_table *held_find(const held *h, fr_str space, fr_str name)
{
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        if (t->state != GONE && fr_str_eq(t->name, name) && fr_str_eq(t->space, space))
            return t;
    }
    return NULL;
}

bool held_any(const held *h)
{
    return h->count > 0;
}

bool held_is(const held *h, fr_str space, fr_str name)
{
    const held_table *t = held_find(h, space, name);
    return t != NULL && t->state != JOINED;
}

bool held_polled(const held *h, fr_str table)
{
    for (size_t i = 0; i < h->count; i++) {
        const held_table *t = h->tables[i];
        if (t->state < JOINED && table.len == t->space.len + 1 + t->name.len &&
            memcmp(table.ptr, t->space.ptr, t->space.len) == 0 &&
            memcmp(table.ptr + t->space.len + 1, t->name.ptr, t->name.len) == 0)
            return true;
    }
    return false;
}

size_t held_waiting(const held *h)
{
    return h->waiting_count;
}

bool held_dirty(const held *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->dirty)
            return true;
    return false;
}

void held_set(fr_buf *b, fr_str text)
{
    b->len = 0;
    fr_buf_str(b, text);
}

/* Of an error: it may hold what a server said, in whatever bytes. */
void held_set_text(fr_buf *b, fr_str text)
{
    bool valid = fr_utf8_valid(text);
    b->len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fr_buf_u8(b, c < ' ' || (!valid && c > '~') ? '?' : c);
    }
}

void held_set_why(held_table *t, const fr_err *why)
{
    char text[sizeof(why->text) + sizeof(why->hint) + 8];
    snprintf(text, sizeof(text), "%s%s%s", why->text, why->hint[0] == '\0' ? "" : "; ", why->hint);
    held_set_text(&t->code, fr_cstr(why->code));
    held_set_text(&t->why, fr_cstr(text));
}

static held_table *add(held *h, fr_str space, fr_str name)
{
    held_table *t = held_find(h, space, name);
    if (t != NULL)
        return t;
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 8 : 2 * h->cap;
        h->tables = fr_realloc(h->tables, h->cap * sizeof(*h->tables));
    }
    t = fr_malloc(sizeof(*t));
    t->space = fr_arena_str(h->arena, space);
    t->name = fr_arena_str(h->arena, name);
    h->tables[h->count++] = t;
    return t;
}

bool held_has_unread(const fr_capture *c, fr_str space, fr_str name)
{
    const fr_table_settings *s = fr_source_match(c->s.source, space, name);
    const fr_snapshot_progress *p = capture_progress(c, space, name);
    return s != NULL && s->snapshot_mode == 0 && (p == NULL || p->left_count > 0);
}

held *held_new(fr_capture *c)
{
    held *h = fr_malloc(sizeof(*h));
    h->c = c;
    h->arena = fr_arena_new(0);
    h->retry_us = FIRST_RETRY_US;
    size_t i = 0;
    void *value;
    while (fr_map_next(c->checkpoint->held, &i, NULL, &value)) {
        const fr_held_fact *f = value;
        held_table *t = add(h, f->space, f->name);
        t->state = f->joined ? JOINED : STAYS;
        held_set(&t->from, f->from);
        held_set(&t->txn, f->txn);
        held_set(&t->code, f->code);
        held_set(&t->why, f->why);
        t->seen = f->seen;
        t->asked = f->asked;
        t->since_us = f->since_us;
        t->unread = f->from.len > 0 && held_has_unread(c, f->space, f->name);
    }
    return h;
}

static void table_free(held_table *t)
{
    fr_buf_free(&t->from);
    fr_buf_free(&t->txn);
    fr_buf_free(&t->code);
    fr_buf_free(&t->why);
    free(t);
}

void held_end_encoder(held *h)
{
    fr_encoder_free(h->encoder);
    h->encoder = NULL;
}

void held_free(held *h)
{
    if (h == NULL)
        return;
    held_end_encoder(h);
    for (size_t i = 0; i < h->count; i++)
        table_free(h->tables[i]);
    free(h->tables);
    free(h->waiting);
    free(h->taken);
    fr_buf_free(&h->began);
    fr_buf_free(&h->resume);
    fr_buf_free(&h->txn_id);
    fr_arena_free(h->arena);
    free(h);
}

/* ---- telling ---- */

void held_tell(const held *h, const held_table *t)
{
    fr_buf code = {0}, why = {0}, from = {0};
    uint64_t last;
    fr_held_status s = {.since_us = t->since_us,
                        .catching_up = t->state == WAITS || t->state == CATCHES_UP};
    fr_buf_printf(&code, "%.*s", (int)t->code.len, (const char *)t->code.ptr);
    fr_buf_printf(&why, "%.*s", (int)t->why.len, (const char *)t->why.ptr);
    fr_buf_printf(&from, "%.*s", (int)t->from.len, (const char *)t->from.ptr);
    fr_buf_u8(&code, 0);
    fr_buf_u8(&why, 0);
    fr_buf_u8(&from, 0);
    s.code = (const char *)code.ptr;
    s.why = (const char *)why.ptr;
    s.from = (const char *)from.ptr;
    if (h->c->encoder != NULL)
        (void)fr_encoder_passed(h->c->encoder, t->space, t->name, &last, &s.waiting);
    FR_TELL(&h->c->s.observer, held, t->space, t->name, &s);
    fr_buf_free(&code);
    fr_buf_free(&why);
    fr_buf_free(&from);
}

/* schema.on_change.drop_table: ignore. */
static bool is_ignored(const held *h, const held_table *t)
{
    const fr_table_settings *s = fr_source_match(h->c->s.source, t->space, t->name);
    return held_is_absent(h, t) && fr_str_is(fr_buf_view(&t->code), FR_HELD_GONE) && s != NULL &&
           s->drop_table == FR_GONE_IGNORE;
}

void held_tell_all(held *h)
{
    if (h->count == 0 || fr_now_us() < h->next_tell_us)
        return;
    h->next_tell_us = fr_now_us() + TELL_EVERY_US;
    for (size_t i = 0; i < h->count; i++)
        if (h->tables[i]->state < JOINED && !is_ignored(h, h->tables[i]))
            held_tell(h, h->tables[i]);
}

void held_released(const held *h, const held_table *t, const char *how)
{
    fr_log(FR_LOG_INFO, h->c->who, "%.*s.%.*s goes on: %s", FR_ARG(t->space), FR_ARG(t->name), how);
    FR_TELL(&h->c->s.observer, held, t->space, t->name, NULL);
}

/* ---- holding ---- */

static bool begins(const char *code, const char *with)
{
    return strncmp(code, with, strlen(with)) == 0;
}

bool held_wants_read(const fr_table_settings *t, const fr_err *why)
{
    /* What a poll asks of the server, and not of the table. */
    static const char *const others[] = {"pg.throttle", "my.throttle",       "query.replica",
                                         "query.bound", "query.processlist", "query.stale"};
    bool kind =
        why->kind == FR_ERR_DATA || why->kind == FR_ERR_SCHEMA || why->kind == FR_ERR_CONFIG;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        kind = kind && strcmp(why->code, others[i]) != 0;
    return kind && t->errors_mode != FR_ERRORS_STOP;
}

bool held_wants(const held *h, const fr_event *e, const fr_err *why)
{
    if (e->table == NULL)
        return false;
    const fr_table_settings *t = fr_source_match(h->c->s.source, e->table->space, e->table->name);
    if (t == NULL)
        return false;
    if (strcmp(why->code, "held.txn") == 0)
        return true; /* what is published of it cannot be told: it waits for --anew */
    if (strcmp(why->code, "schema.blocked") == 0 || strcmp(why->code, FR_NEW_TOPIC) == 0)
        return true; /* schema.on_change says so, whatever errors.mode says of rows */
    if (t->errors_mode == FR_ERRORS_STOP)
        return false;
    /* A snapshot of an outbox cannot be gone on with. */
    if (t->outbox.on && e->op == FR_OP_READ && t->method == FR_METHOD_LOG)
        return false;
    switch (why->kind) {
    case FR_ERR_DATA:
        return true;
    case FR_ERR_SCHEMA:
        return strcmp(why->code, "schema.on_change") != 0 /* that is: stop */ &&
               (!begins(why->code, "registry.") || strcmp(why->code, "registry.incompatible") == 0);
    case FR_ERR_CONFIG:
        return !begins(why->code, "registry.") && !begins(why->code, "kafka.");
    default:
        return false;
    }
}

void held_log(const held *h, const held_table *t, const fr_err *why)
{
    fr_buf then = {0};
    if (strcmp(why->code, "schema.blocked") != 0 &&
        !held_is_absent(h, t)) /* that is mended in the configuration alone */
        fr_buf_printf(&then, "; then: freshet resume %s/%.*s.%.*s", h->c->s.source->name,
                      FR_ARG(t->space), FR_ARG(t->name));
    fr_log(t->asked ? FR_LOG_INFO : FR_LOG_ERROR, h->c->who,
           "%.*s.%.*s is held, the others go on: %s [%s]; %s%.*s", FR_ARG(t->space),
           FR_ARG(t->name), why->text, why->code, fr_err_hint(why), (int)then.len,
           (const char *)then.ptr);
    fr_buf_free(&then);
}

void held_put(held *h, fr_str space, fr_str name, const held_place *at, const fr_err *why)
{
    held_table *t = add(h, space, name);
    bool asked = strcmp(why->code, FR_HELD_OPERATOR) == 0;
    if (t->state == JOINED)
        t->since_us = 0; /* it goes on since; now it is held anew */
    t->state = STAYS;
    t->dirty = true;
    held_mark_released(h, t, false);
    t->asked = asked;
    t->unread = t->unread || at->unread;
    t->seen = at->seen;
    t->since_us = t->since_us == 0 ? fr_wall_us() : t->since_us;
    held_set(&t->from, at->from);
    held_set(&t->txn, at->seen > 0 ? at->txn : (fr_str){"", 0});
    held_set_why(t, why);
    if (h->c->encoder != NULL)
        fr_encoder_pass(h->c->encoder, t->space, t->name, UINT64_MAX);
    held_log(h, t, why);
    held_tell(h, t);
}

bool held_is_absent(const held *h, const held_table *t)
{
    return h->c->source != NULL && t->from.len == 0 && t->state < JOINED;
}

void held_absent(held *h, fr_str space, fr_str name, const fr_err *why, bool ignored)
{
    held_table *t = add(h, space, name);
    t->state = STAYS;
    t->dirty = true;
    t->asked = false;
    t->seen = 0;
    t->since_us = t->since_us == 0 ? fr_wall_us() : t->since_us;
    held_set(&t->from, (fr_str){"", 0});
    held_set(&t->txn, (fr_str){"", 0});
    held_set_why(t, why);
    if (ignored) {
        fr_log(FR_LOG_INFO, h->c->who,
               "%s: its topic stays as it is (schema.on_change.drop_table: ignore)", why->text);
        return;
    }
    held_log(h, t, why);
    held_tell(h, t);
}

held_place held_place_before(const fr_batch *b, size_t index, fr_str before, const fr_map *rows)
{
    const fr_event *e = &b->events[index];
    held_place at = {.from = before};
    size_t i = index;
    while (i > 0 && b->events[i - 1].op != FR_OP_COMMIT &&
           !(b->events[i - 1].op == FR_OP_HEARTBEAT && b->events[i - 1].position.resume.len > 0))
        i--;
    if (i > 0 && b->events[i - 1].position.resume.len > 0) {
        at.from = b->events[i - 1].position.resume;
    } else {
        fr_arena *a = fr_arena_new(256);
        fr_str key =
            fr_arena_printf(a, "%.*s.%.*s", FR_ARG(e->table->space), FR_ARG(e->table->name));
        at.seen = (uint64_t)(uintptr_t)fr_map_get(rows, key);
        fr_arena_free(a);
    }
    /* What says that a table is another one now may stand outside of any transaction. */
    for (size_t k = i; at.txn.len == 0 && k < b->count && b->events[k].op != FR_OP_COMMIT; k++)
        at.txn = b->events[k].txn != NULL ? b->events[k].txn->id : at.txn;
    for (; i < index; i++) {
        const fr_table *t = b->events[i].table;
        at.seen += t != NULL && fr_op_is_change(b->events[i].op) &&
                   fr_str_eq(t->name, e->table->name) && fr_str_eq(t->space, e->table->space);
    }
    return at;
}

/* As held_from. */
static fr_rc move_from(fr_capture *c, snapshot *snap, fr_batch *b, size_t index, fr_str before,
                       const fr_map *rows, fr_err *err)
{
    held *h = c->held_tables;
    held_place at = {.from = b->beside ? fr_buf_view(&h->resume) : before};
    if (!b->beside && b->chunk == 0)
        at = held_place_before(b, index, before, rows);
    return moves_put(c->moves, b->beside ? h->encoder : c->encoder, snap, b, index, &at, err);
}

fr_rc held_from(fr_capture *c, snapshot *snap, fr_batch *b, size_t index, fr_str before,
                const fr_map *rows, fr_err *err)
{
    held *h = c->held_tables;
    const fr_event *e = &b->events[index];
    if (e->table != NULL && b->polled.len == 0 && strcmp(err->code, FR_NEW_TOPIC) == 0 &&
        move_from(c, snap, b, index, before, rows, err) == FR_OK)
        return FR_OK;
    if (!held_wants(h, e, err))
        return FR_FAIL;
    fr_router_broken(c->router, c->s.observer.broken, c->s.observer.part);
    if (b->beside) {
        held_again(h, b, index, err);
        return FR_OK;
    }
    held_place at = {.from = before};
    if (b->polled.len > 0 || b->chunk != 0) {
        at.from = b->polled.len > 0 ? (fr_str){"", 0} : at.from;
        at.unread = b->chunk != 0;
        b->message_count = 0; /* the whole batch is read again */
    } else {                  /* what the batch has of this row already is a marker: it stays */
        at = held_place_before(b, index, at.from, rows);
    }
    held_put(h, e->table->space, e->table->name, &at, err);
    fr_encoder_notice_held(c->encoder, b, index, err);
    return FR_OK;
}

static void add_rows(fr_map *rows, const fr_table *t, uintptr_t more)
{
    if (t == NULL)
        return;
    fr_arena *a = fr_arena_new(256);
    fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    uintptr_t n = (uintptr_t)fr_map_get(rows, key);
    fr_map_set(rows, key, (void *)(n + more)); /* NOLINT: a number */
    fr_arena_free(a);
}

void held_count_rows(fr_map **rows, const fr_batch *b, size_t from, bool in_txn)
{
    bool goes_on = in_txn && from == 0 && b->count > 0 && b->events[0].op != FR_OP_BEGIN;
    if (!goes_on && fr_map_count(*rows) > 0) {
        fr_map_free(*rows, NULL);
        *rows = fr_map_new();
    }
    const fr_table *last = NULL;
    uintptr_t run = 0; /* rows of one table often come together */
    for (size_t i = from; in_txn && i < b->count; i++) {
        const fr_table *t = b->events[i].table;
        if (t == NULL || !fr_op_is_change(b->events[i].op))
            continue;
        if (t != last)
            add_rows(*rows, last, run);
        run = t == last ? run + 1 : 1;
        last = t;
    }
    add_rows(*rows, last, run);
}

/* ---- records ---- */

int held_compare(const held *h, fr_str a, fr_str b)
{
    return h->c->source->ops->compare(h->c->source, a, b);
}

/* Once the stream itself is past the place where it joined, nothing more needs to be known. */
static void settle(held *h, held_table *t, fr_str resume)
{
    if (t->state != JOINED || h->c->source == NULL ||
        held_compare(h, resume, fr_buf_view(&t->from)) < 0)
        return;
    t->state = GONE;
    t->dirty = true;
    fr_encoder_take(h->c->encoder, t->space, t->name);
}

size_t held_records(held *h, fr_arena *a, fr_str resume, fr_record **out)
{
    size_t n = 0;
    fr_record *records = h->count == 0 ? NULL : fr_arena_alloc(a, h->count * sizeof(*records));
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        settle(h, t, resume);
        if (!t->dirty)
            continue;
        fr_held_fact f = {.space = t->space,
                          .name = t->name,
                          .from = fr_buf_view(&t->from),
                          .txn = fr_buf_view(&t->txn),
                          .seen = t->seen,
                          .joined = t->state == JOINED,
                          .asked = t->asked,
                          .code = fr_buf_view(&t->code),
                          .why = fr_buf_view(&t->why),
                          .since_us = t->since_us};
        records[n++] = t->state == GONE ? fr_checkpoint_released(a, t->space, t->name)
                                        : fr_checkpoint_held(a, &f);
    }
    *out = records;
    return n;
}

void held_committed(held *h)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        t->dirty = false;
        if (t->state == GONE)
            table_free(t);
        else
            h->tables[kept++] = t;
    }
    h->count = kept;
}

fr_str held_least(const held *h, fr_str resume)
{
    fr_str least = resume;
    for (size_t i = 0; i < h->count; i++) {
        const held_table *t = h->tables[i];
        fr_str from = fr_buf_view(&t->from);
        if (from.len > 0 && t->state != GONE && held_compare(h, from, least) < 0)
            least = from;
    }
    return least;
}

static size_t forget(held *h, fr_arena *a, bool all, fr_record **out)
{
    size_t n = 0, kept = 0;
    fr_record *records = fr_arena_alloc(a, (h->count + 1) * sizeof(*records));
    for (size_t i = 0; i < h->count; i++) {
        held_table *t = h->tables[i];
        if (!all && fr_source_match(h->c->s.source, t->space, t->name) != NULL) {
            h->tables[kept++] = t;
            continue;
        }
        records[n++] = fr_checkpoint_released(a, t->space, t->name);
        FR_TELL(&h->c->s.observer, held, t->space, t->name, NULL);
        table_free(t);
    }
    h->count = kept;
    *out = records;
    return n;
}

size_t held_forget(held *h, fr_arena *a, fr_record **out)
{
    return forget(h, a, true, out);
}

size_t held_removed(held *h, fr_arena *a, fr_record **out)
{
    return forget(h, a, false, out);
}
