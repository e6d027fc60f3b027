/* What differed is read again: a row counts as different only once the sink has all that the source
 * had when it was read, and the source's row is still the same (docs/adr/0048-verify.md). */
#include "base/clock.h"
#include "cli/verify_rows.h"
#include "kafka/consume.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* LOOK_SHARE: between two looks is so many times what the last one took. */
enum {
    LOOK_US = 300000,
    LOOK_SHARE = 5,
    KEYS_AT_ONCE = 200,
    BATCH_EVENTS = 1024,
    BATCH_BYTES = 4 << 20
};

/* ---- rows, again ---- */

static void put_print(fr_buf *b, const struct fr_verify_one *row)
{
    fr_buf_str(b, row->print);
    fr_buf_u8(b, '\n');
}

static void put_rows(fr_verify_run *v, fr_verify_key *k, int side, const fr_verify_row_list *l)
{
    fr_arena *a = v->cli->arena;
    fr_verify_rows rows = {.count = 0};
    fr_buf print = {.arena = a};
    for (size_t i = 0; i < l->count; i++) {
        if (!fr_str_eq(l->items[i].key, k->text))
            continue;
        put_print(&print, &l->items[i]);
        if (rows.count++ > 0)
            continue;
        fr_str *cells = fr_arena_alloc(a, v->compared * sizeof(*cells));
        for (size_t c = 0; c < v->compared; c++) {
            fr_str cell = l->items[i].cells[c];
            cells[c] = cell.ptr == NULL ? cell : fr_arena_copy(a, cell.ptr, cell.len);
        }
        rows.cells = cells;
    }
    rows.print = fr_buf_view(&print);
    k->sides[side] = rows;
}

/* While we wait the source's rows are looked at again and again: one that comes and goes is not the
 * same for being so at two moments. */
static void compare_rows(fr_verify_run *v, fr_verify_key *k, int side, const fr_verify_row_list *l)
{
    fr_buf print = {.arena = l->arena};
    (void)v;
    (void)side;
    for (size_t i = 0; i < l->count; i++)
        if (fr_str_eq(l->items[i].key, k->text))
            put_print(&print, &l->items[i]);
    k->stood = k->stood && fr_str_eq(fr_buf_view(&print), k->before);
}

static int by_print(const void *a, const void *b)
{
    return fr_str_cmp(((const struct fr_verify_one *)a)->print,
                      ((const struct fr_verify_one *)b)->print);
}

typedef struct reading {
    int side;
    /* Is given each key, and the rows that were read with it. */
    void (*take)(fr_verify_run *v, fr_verify_key *k, int side, const fr_verify_row_list *l);
    bool open;        /* only keys that want proofs */
    int64_t until_us; /* no statement begins later; 0: all are read */
} reading;

static bool is_read(const reading *r, const fr_verify_key *k)
{
    return !r->open || k->proofs < FR_VERIFY_PROOFS;
}

/* The keys from `at` on that one statement reads; *end: behind the last of them. */
static size_t some_keys(const fr_verify_run *v, const reading *r, size_t at, size_t *end,
                        const fr_verify_key **keys)
{
    size_t n = 0;
    for (; at < v->found_count && n < KEYS_AT_ONCE; at++)
        if (is_read(r, &v->found[at]))
            keys[n++] = &v->found[at];
    *end = at;
    return n;
}

static fr_rc read_side(fr_verify_run *v, const reading *r, fr_err *err)
{
    const fr_verify_key *keys[KEYS_AT_ONCE];
    for (size_t at = 0, end = 0; at < v->found_count; at = end) {
        size_t n = some_keys(v, r, at, &end, keys);
        if (n == 0 || (r->until_us > 0 && fr_now_us() >= r->until_us))
            return FR_OK;
        fr_verify_row_list l = {.arena = fr_arena_new(0)};
        fr_rc rc = fr_verify_read_keys(v, r->side, keys, n, &l, err);
        if (rc == FR_OK && l.count > 0)
            qsort(l.items, l.count, sizeof(*l.items), by_print);
        for (size_t i = at; rc == FR_OK && i < end; i++)
            if (is_read(r, &v->found[i]))
                r->take(v, &v->found[i], r->side, &l);
        fr_verify_list_free(&l);
        FR_TRY(rc);
    }
    return FR_OK;
}

/* At what is left to prove, where it is time for that. */
static fr_rc look(fr_verify_run *v, int64_t deadline_us, fr_err *err)
{
    const reading r = {FR_SOURCE_SIDE, compare_rows, true, deadline_us};
    int64_t from = fr_now_us();
    if (from < v->look_us)
        return FR_OK;
    FR_TRY(read_side(v, &r, err));
    int64_t now = fr_now_us(), rest = (now - from) * LOOK_SHARE;
    v->look_us = now + (rest > LOOK_US ? rest : LOOK_US);
    return FR_OK;
}

static fr_rc wait_and_look(fr_verify_run *v, int64_t us, int64_t deadline_us, fr_err *err)
{
    fr_sleep_us(us);
    return look(v, deadline_us, err);
}

static fr_rc take_rows(fr_verify_run *v, int side, fr_err *err)
{
    return read_side(v, &(reading){.side = side, .take = put_rows}, err);
}

/* ---- has the sink passed the source? ---- */

typedef struct places { /* of the topic's partitions */
    const fr_verify_run *v;
    int64_t *next;  /* the sink's; -1: none */
    int64_t *wants; /* what it must reach */
    size_t count;
} places;

static fr_rc take_place(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    places *p = context;
    fr_arena *a = fr_arena_new(256);
    long at = count == 2 ? strtol(fr_arena_cstr(a, cells[0]), NULL, 10) : -1;
    if (at >= 0 && (size_t)at < p->count)
        p->next[at] = strtoll(fr_arena_cstr(a, cells[1]), NULL, 10);
    (void)err;
    fr_arena_free(a);
    return FR_OK;
}

/* A sink that has not committed anything yet has no table of offsets. */
static fr_rc read_places(fr_verify_run *v, places *p, fr_err *err)
{
    fr_verify_side *s = &v->sides[FR_SINK_SIDE];
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    const struct {
        const char *column;
        fr_str value;
    } of[] = {{"pipeline", fr_cstr(v->config->name)},
              {"sink", fr_cstr(v->sink->name)},
              {"topic", v->topic}};
    fr_verify_table offsets;
    for (size_t i = 0; i < p->count; i++)
        p->next[i] = -1;
    fr_rc rc = s->ops->describe(s->conn, a, FR_STR(""), FR_STR("_freshet_offsets"), &offsets, err);
    if (rc != FR_OK) {
        fr_arena_free(a);
        return rc == FR_END ? FR_OK : rc;
    }
    fr_buf_printf(&b, "SELECT %.*s, next_offset FROM %.*s",
                  FR_ARG(s->ops->ident(a, FR_STR("partition"))), FR_ARG(offsets.from));
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        fr_buf_printf(&b, "%s%s = ", i == 0 ? " WHERE " : " AND ", of[i].column);
        s->ops->put_literal(s->conn, &b, NULL, FR_TEXT, of[i].value);
    }
    rc = fr_verify_ask(v, FR_SINK_SIDE, fr_buf_view(&b), take_place, p, err);
    fr_arena_free(a);
    return rc;
}

static fr_rc from_sink(void *context, fr_offsets *offsets, fr_err *err)
{
    const places *p = context;
    (void)err;
    for (size_t i = 0; i < offsets->count; i++) {
        fr_offset *o = &offsets->items[i];
        o->next = (size_t)o->partition < p->count ? p->next[o->partition] : -1;
    }
    return FR_OK;
}

/* What is behind the sink's offsets now: there may be markers of transactions and nothing else.
 * ends: of the topic, when this began. *ended: all was read up to there, so that nothing else is
 * wanted. */
static fr_rc read_wants(fr_verify_run *v, places *p, const fr_offsets *ends, int64_t deadline_us,
                        bool *ended, fr_err *err)
{
    const char *topic = fr_arena_cstr(v->cli->arena, v->topic);
    fr_consumer_settings settings = {.kafka = &v->config->kafka,
                                     .topics = &topic,
                                     .topic_count = 1,
                                     .assigned = from_sink,
                                     .context = p};
    fr_consumer *c = NULL;
    fr_batch *b = fr_batch_new(BATCH_EVENTS, BATCH_BYTES);
    memcpy(p->wants, p->next, p->count * sizeof(*p->wants));
    fr_rc rc = fr_consumer_open(&settings, &c, err);
    while (rc == FR_OK && !fr_consumer_passed(c, ends) && fr_now_us() < deadline_us) {
        fr_batch_reset(b);
        rc = fr_consume(c, b, fr_now_us() + LOOK_US, err);
        for (size_t i = 0; rc == FR_OK && i < b->message_count; i++)
            if ((size_t)b->messages[i].partition < p->count)
                p->wants[b->messages[i].partition] = b->messages[i].offset + 1;
        rc = rc == FR_FAIL ? rc : look(v, deadline_us, err);
    }
    *ended = rc == FR_OK && fr_consumer_passed(c, ends);
    fr_consumer_close(c);
    fr_batch_free(b);
    return rc;
}

static bool behind(const places *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->next[i] < p->wants[i])
            return true;
    return false;
}

static fr_rc wait_sink(fr_verify_run *v, int64_t deadline_us, bool *passed, fr_err *err)
{
    fr_admin *admin;
    fr_offsets ends = {NULL, 0};
    FR_TRY(fr_admin_open(&v->config->kafka, &admin, err));
    fr_rc rc =
        fr_admin_ends(admin, v->cli->arena, fr_arena_cstr(v->cli->arena, v->topic), &ends, err);
    fr_admin_close(admin);
    *passed = rc == FR_END; /* no topic: nothing was ever published */
    if (rc != FR_OK)
        return rc == FR_END ? FR_OK : rc;
    size_t n = ends.count;
    places p = {v, fr_malloc((n + 1) * sizeof(int64_t)), fr_malloc((n + 1) * sizeof(int64_t)), n};
    bool ended = false;
    rc = read_places(v, &p, err);
    if (rc == FR_OK)
        rc = read_wants(v, &p, &ends, deadline_us, &ended, err);
    while (rc == FR_OK && ended && behind(&p) && fr_now_us() < deadline_us) {
        rc = wait_and_look(v, LOOK_US, deadline_us, err);
        if (rc == FR_OK)
            rc = read_places(v, &p, err);
    }
    *passed = rc == FR_OK && ended && !behind(&p);
    if (rc == FR_OK && !*passed)
        snprintf(v->why, sizeof(v->why), "%s",
                 ended ? "the sink has not applied what Kafka has"
                       : "Kafka's messages were not read to their end in time");
    free(p.next);
    free(p.wants);
    return rc;
}

static bool snapshot_left(const fr_verify_run *v, const fr_checkpoint *c)
{
    size_t at = 0;
    fr_str key;
    void *value;
    while (fr_map_next(c->snapshots, &at, &key, &value)) {
        const fr_snapshot_progress *p = value;
        if (p->left_count > 0 && fr_str_eq(p->space, v->place.space) &&
            fr_str_eq(p->name, v->place.name))
            return true;
    }
    return false;
}

static bool is_held(const fr_verify_run *v, const fr_checkpoint *c)
{
    size_t at = 0;
    fr_str key;
    void *value;
    while (fr_map_next(c->held, &at, &key, &value)) {
        const fr_held_fact *h = value;
        if (!h->joined && fr_str_eq(h->space, v->place.space) && fr_str_eq(h->name, v->place.name))
            return true;
    }
    return false;
}

/* FR_OK: all below lsn is published; FR_IDLE: not yet, and v->why says what is in the way. */
static fr_rc published(fr_verify_run *v, uint64_t lsn, fr_err *err)
{
    fr_checkpoint *c = NULL;
    fr_rc rc = fr_ask_checkpoint(v->config, v->place.source, &c, err);
    if (rc == FR_FAIL)
        return rc;
    const char *why = NULL;
    if (c == NULL || !c->has_stream || c->creating)
        why = "the source has no checkpoint: freshet has not begun with it";
    else if (is_held(v, c))
        why = "the table is held (freshet status says why)";
    else if (snapshot_left(v, c))
        why = "the table's snapshot is not through";
    else if (v->sides[FR_SOURCE_SIDE].ops->resume(c->resume) < lsn)
        why = "the source's changes are not published yet (does freshet run?)";
    fr_checkpoint_free(c);
    snprintf(v->why, sizeof(v->why), "%s", why == NULL ? "" : why);
    return why == NULL ? FR_OK : FR_IDLE;
}

/* A source without a log: nobody can tell whether a change was published but by waiting. */
static bool has_log(const fr_verify_run *v)
{
    const fr_verify_side *s = &v->sides[FR_SOURCE_SIDE];
    return s->ops->now != NULL && !fr_table_polled(v->place.table);
}

/* Deletes may be found more seldom than rows. */
static int64_t poll_wait(const fr_verify_run *v)
{
    const fr_table_settings *t = v->place.table;
    int64_t every = t->poll_every_us;
    if (fr_table_compared(t) && t->method == FR_METHOD_QUERY && t->poll_compare_every_us > every)
        every = t->poll_compare_every_us;
    return every * 2 + 1000000;
}

fr_rc fr_verify_pass(fr_verify_run *v, int64_t deadline_us, bool *passed, fr_err *err)
{
    int64_t from = fr_now_us();
    uint64_t lsn = 0;
    fr_rc rc = FR_OK;
    *passed = false;
    if (has_log(v)) {
        FR_TRY(v->sides[FR_SOURCE_SIDE].ops->now(v->sides[FR_SOURCE_SIDE].conn, &lsn, err));
        while ((rc = published(v, lsn, err)) == FR_IDLE && fr_now_us() < deadline_us)
            FR_TRY(wait_and_look(v, LOOK_US, deadline_us, err));
    } else {
        int64_t end = fr_now_us() + poll_wait(v);
        rc = deadline_us < end ? FR_IDLE : FR_OK;
        if (rc == FR_IDLE)
            snprintf(v->why, sizeof(v->why),
                     "two polls or comparisons of the table take %" PRId64
                     " s: --settle must be longer",
                     poll_wait(v) / 1000000);
        for (int64_t left; rc == FR_OK && (left = end - fr_now_us()) > 0;)
            FR_TRY(wait_and_look(v, left < LOOK_US ? left : LOOK_US, deadline_us, err));
    }
    if (rc == FR_OK)
        rc = wait_sink(v, deadline_us, passed, err);
    v->waited_us += fr_now_us() - from;
    v->position = *passed ? lsn : v->position;
    return rc == FR_FAIL ? rc : FR_OK;
}

/* Those that are equal by now are forgotten. How many are left that want proofs. */
static size_t drop_equal(fr_verify_run *v)
{
    size_t n = 0, open = 0;
    for (size_t i = 0; i < v->found_count; i++) {
        if (v->found[i].equal)
            continue;
        open += v->found[i].proofs < FR_VERIFY_PROOFS ? 1 : 0;
        v->found[n++] = v->found[i];
    }
    v->found_count = n;
    return open;
}

static void begin_round(fr_verify_run *v)
{
    for (size_t i = 0; i < v->found_count; i++) {
        v->found[i].before = v->found[i].sides[FR_SOURCE_SIDE].print;
        v->found[i].stood = true;
    }
}

static void judge(fr_verify_run *v)
{
    for (size_t i = 0; i < v->found_count; i++) {
        fr_verify_key *k = &v->found[i];
        fr_str source = k->sides[FR_SOURCE_SIDE].print, sink = k->sides[FR_SINK_SIDE].print;
        k->stood = k->stood && fr_str_eq(source, k->before);
        k->equal = fr_str_eq(sink, source) || fr_str_eq(sink, k->before);
        k->proofs = k->stood && !k->equal ? k->proofs + 1 : 0;
    }
}

static fr_rc one_round(fr_verify_run *v, int64_t deadline_us, bool *passed, fr_err *err)
{
    begin_round(v);
    FR_TRY(fr_verify_pass(v, deadline_us, passed, err));
    FR_TRY(take_rows(v, FR_SINK_SIDE, err));
    FR_TRY(take_rows(v, FR_SOURCE_SIDE, err));
    if (*passed)
        judge(v);
    for (size_t i = 0; !*passed && i < v->found_count; i++)
        v->found[i].equal = fr_str_eq(v->found[i].sides[0].print, v->found[i].sides[1].print);
    return FR_OK;
}

fr_difference fr_verify_what(const fr_verify_key *k)
{
    size_t source = k->sides[FR_SOURCE_SIDE].count, sink = k->sides[FR_SINK_SIDE].count;
    if (sink == 0)
        return FR_MISSING;
    if (source == 0)
        return FR_EXTRA;
    return source == 1 && sink == 1 ? FR_CHANGED : FR_DOUBLED;
}

static int by_text(const void *a, const void *b)
{
    return fr_str_cmp(((const fr_verify_key *)a)->text, ((const fr_verify_key *)b)->text);
}

fr_rc fr_verify_settle(fr_verify_run *v, fr_err *err)
{
    int64_t end = fr_now_us() + v->settle_us;
    bool passed = true;
    if (v->found_count == 0)
        return FR_OK;
    qsort(v->found, v->found_count, sizeof(*v->found), by_text);
    fr_cli_note(v->cli, "%zu keys differed when they were read; waiting for the sink",
                v->found_count);
    FR_TRY(take_rows(v, FR_SOURCE_SIDE, err));
    for (size_t open = v->found_count; open > 0 && passed && fr_now_us() < end;) {
        FR_TRY(one_round(v, end, &passed, err));
        open = drop_equal(v);
    }
    for (size_t i = 0; i < v->found_count; i++) {
        if (v->found[i].proofs >= FR_VERIFY_PROOFS)
            v->counts[fr_verify_what(&v->found[i])]++;
        else
            v->moving++;
    }
    return FR_OK;
}
