/* Drives a source by hand, for tests against real servers. Prints one JSON line for each thing
 * that happens; the verbs run in order:
 *
 *   source_probe [--type postgres] --dsn DSN --tables a.b,/regex/ [--name N] [--password P]
 *       [--slot S] [--publication P] [--set KEY=VALUE] [--chunk ROWS] [--where SQL]
 *       [--parallel READERS] [--append-only] [--resume TEXT] [--commits N]
 *       [--heartbeats N] [--seconds S] [--heartbeat-ms MS] [--batch EVENTS] [--insecure]
 *       [--key COLUMN] [--zero-dates-error] [--max-row BYTES] [--starve-ms MS] [--quiet]
 *       [--no-confirm] [--again]
 *       [--beside-after COMMITS] [--beside-resume TEXT] [--times N] [--confirm-on] VERB...
 *
 *   check tables apply plan plan-replace plan-view chunks cut-chunks end-view stream
 *   interrupt position refresh status pause:MS beside beside-only
 *
 * beside: the stream's reader, and once it has read the commits that --beside-after says, a second
 * reader from there (or from --beside-resume), so many times as --times says; each until it has
 * reached the first, after --commits of it. Confirmed is where the second one begins, and with
 * --confirm-on all that was read, once that one is open. beside-only: the second reader is opened,
 * and closed.
 *
 * With --again the verbs run once for each line of the input, on a source opened anew and with the
 * first resume text, and a line {"ended":CODE} says that they have; without, once.
 *
 * The exit code is that of the error (base/error.h). */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "connectors/list.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct probe {
    fr_source_settings settings;
    void *config;
    const fr_source_ops *ops;
    fr_source *source;
    fr_arena *arena;
    fr_plan plan;
    const char *resume, *beside_resume;
    long commits, heartbeats, seconds, starve_ms, beside_after, times;
    size_t batch_events;
    bool quiet, no_confirm, confirm_on, again;
    uint64_t rows, bytes;
} probe;

static _Thread_local const char *reader_name; /* of this thread; NULL: there is one only */

static void print_row(fr_buf *b, const char *name, const fr_table *t, const fr_row *row)
{
    if (row->count == 0)
        return;
    fr_buf_printf(b, ",\"%s\":{", name);
    const char *comma = "";
    for (size_t i = 0; i < row->count; i++) {
        if (row->values[i].kind == FR_ABSENT)
            continue;
        fr_buf_text(b, comma);
        fr_buf_json(b, t->columns[i].name);
        fr_buf_u8(b, ':');
        fr_value_json(b, &t->columns[i], &row->values[i]);
        comma = ",";
    }
    fr_buf_text(b, "},\"absent_");
    fr_buf_printf(b, "%s\":[", name);
    comma = "";
    for (size_t i = 0; i < row->count; i++) {
        if (row->values[i].kind != FR_ABSENT)
            continue;
        fr_buf_text(b, comma);
        fr_buf_json(b, t->columns[i].name);
        comma = ",";
    }
    fr_buf_u8(b, ']');
}

static void print_table(fr_buf *b, const fr_table *t)
{
    fr_buf_printf(b, ",\"version\":%u,\"full_before\":%s,\"doc\":", t->version,
                  t->full_before ? "true" : "false");
    fr_buf_json(b, t->doc);
    fr_buf_text(b, ",\"columns\":[");
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_column *c = &t->columns[i];
        fr_buf_text(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        fr_buf_json(b, c->name);
        fr_buf_printf(b,
                      ",\"kind\":\"%s\",\"nullable\":%s,\"may_be_absent\":%s,\"key\":%u,"
                      "\"native\":",
                      fr_kind_name(c->kind), c->nullable ? "true" : "false",
                      c->may_be_absent ? "true" : "false", c->key_ordinal);
        fr_buf_json(b, c->native_type);
        fr_buf_text(b, ",\"doc\":");
        fr_buf_json(b, c->doc);
        fr_buf_u8(b, '}');
    }
    fr_buf_u8(b, ']');
}

static void print_text(fr_buf *b, const char *name, fr_str text)
{
    if (text.len == 0)
        return;
    fr_buf_printf(b, ",\"%s\":", name);
    fr_buf_json(b, text);
}

static void print_event(const fr_event *e)
{
    static const char *const ops[] = {"r",     "c",     "u",      "d",       "t",
                                      "TABLE", "BEGIN", "COMMIT", "MESSAGE", "HEARTBEAT"};
    fr_buf b = {.ptr = NULL};
    fr_buf_printf(
        &b,
        "{\"op\":\"%s\",\"lsn\":%" PRIu64 ",\"row_lsn\":%" PRIu64 ",\"ordinal\":%u,\"epoch\":%u",
        ops[e->op], e->position.lsn, e->position.row_lsn, e->position.ordinal, e->position.epoch);
    if (reader_name != NULL)
        fr_buf_printf(&b, ",\"reader\":\"%s\"", reader_name);
    if (e->table != NULL) {
        fr_buf_text(&b, ",\"table\":");
        fr_str name = e->table->name;
        char full[300];
        snprintf(full, sizeof(full), "%.*s.%.*s", FR_ARG(e->table->space), FR_ARG(name));
        fr_buf_json(&b, fr_cstr(full));
        print_row(&b, "before", e->table, &e->before);
        print_row(&b, "after", e->table, &e->after);
    }
    if (e->op == FR_OP_TABLE)
        print_table(&b, e->table);
    if (e->txn != NULL)
        print_text(&b, "txn", e->txn->id);
    print_text(&b, "bad", e->bad);
    if (e->gone)
        fr_buf_text(&b, ",\"gone\":true");
    print_text(&b, "zero", e->zero);
    print_text(&b, "name", e->name);
    print_text(&b, "body", e->body);
    print_text(&b, "resume", e->position.resume);
    printf("%.*s}\n", (int)b.len, b.ptr);
    fr_buf_free(&b);
}

static void print_error(const fr_err *err)
{
    fr_buf b = {.ptr = NULL};
    fr_buf_printf(&b, "{\"error\":\"%s\",\"code\":\"%s\",\"sqlstate\":\"%s\",\"text\":",
                  fr_err_kind_name(err->kind), err->code, err->sqlstate);
    fr_buf_json(&b, fr_cstr(err->text));
    fr_buf_text(&b, ",\"hint\":");
    fr_buf_json(&b, fr_cstr(fr_err_hint(err)));
    if (reader_name != NULL)
        fr_buf_printf(&b, ",\"reader\":\"%s\"", reader_name);
    printf("%.*s}\n", (int)b.len, b.ptr);
    fr_buf_free(&b);
}

static void print_batch(probe *p, const fr_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (reader_name == NULL)
            p->rows += b->events[i].op <= FR_OP_DELETE;
        if (!p->quiet)
            print_event(&b->events[i]);
    }
    if (reader_name == NULL)
        p->bytes += fr_arena_used(b->arena);
}

/* ---- chunks ---- */

static fr_rc read_chunk(probe *p, const fr_chunk *c, fr_batch *b, size_t stop_after, fr_str *key,
                        fr_err *err)
{
    fr_reader *r = NULL;
    FR_TRY(p->ops->read_chunk(p->source, &p->plan, c, &r, err));
    fr_rc rc = FR_OK;
    size_t rows = 0;
    while (rc == FR_OK || rc == FR_IDLE) {
        fr_batch_reset(b);
        rc = r->ops->fill(r, b, fr_now_us() + 1000000, err);
        if (rc != FR_OK)
            continue;
        print_batch(p, b);
        rows += b->count;
        if (stop_after > 0 && rows >= stop_after) {
            fr_str in_batch;
            rc = p->ops->row_key(p->source, b, &b->events[b->count - 1], &in_batch, err);
            if (rc == FR_OK)
                *key = fr_arena_str(p->arena, in_batch);
            break;
        }
    }
    r->ops->close(r);
    return rc == FR_FAIL ? FR_FAIL : rc;
}

/* cut: after a few rows of each chunk, go on with the rest of it through a new reader. */
static fr_rc read_chunks(probe *p, bool cut, fr_err *err)
{
    fr_batch *b = fr_batch_new(cut ? 7 : p->batch_events, 1 << 20);
    int64_t began = fr_now_us();
    fr_rc rc = FR_OK;
    for (size_t i = 0; rc != FR_FAIL && i < p->plan.chunk_count; i++) {
        fr_chunk c = p->plan.chunks[i];
        do {
            fr_str key = {NULL, 0};
            rc = read_chunk(p, &c, b, cut && !c.whole ? 1 : 0, &key, err);
            c.from = key.ptr != NULL ? key : c.from;
            c.after = true;
        } while (rc == FR_OK);
    }
    fr_batch_free(b);
    printf("{\"chunks\":%zu,\"rows\":%" PRIu64 ",\"us\":%" PRId64 "}\n", p->plan.chunk_count,
           p->rows, fr_now_us() - began);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static void print_plan(const probe *p)
{
    fr_buf b = {.ptr = NULL};
    fr_buf_printf(&b, "{\"view_lsn\":%" PRIu64 ",\"epoch\":%u,\"rows_expected\":%" PRIu64,
                  p->plan.view_lsn, p->plan.epoch, p->plan.rows_expected);
    print_text(&b, "stream_from", p->plan.stream_from);
    print_text(&b, "view", p->plan.view);
    fr_buf_text(&b, ",\"plan\":[");
    for (size_t i = 0; i < p->plan.chunk_count; i++) {
        const fr_chunk *c = &p->plan.chunks[i];
        fr_buf_printf(&b, "%s{\"index\":%u,\"whole\":%s", i > 0 ? "," : "", c->index,
                      c->whole ? "true" : "false");
        print_text(&b, "name", c->name);
        print_text(&b, "from", c->from);
        print_text(&b, "to", c->to);
        fr_buf_u8(&b, '}');
    }
    printf("%.*s]}\n", (int)b.len, b.ptr);
    fr_buf_free(&b);
}

static fr_rc make_plan(probe *p, bool create, bool replace, fr_err *err)
{
    fr_plan_request request = {.create = create, .replace = replace};
    p->plan = (fr_plan){.arena = p->arena};
    FR_TRY(p->ops->plan(p->source, &request, &p->plan, err));
    print_plan(p);
    if (create)
        p->resume = fr_arena_cstr(p->arena, p->plan.stream_from);
    return FR_OK;
}

/* ---- the stream ---- */

static void keep_resume(probe *p, const fr_batch *b, long *commits, long *heartbeats)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        *commits += e->op == FR_OP_COMMIT;
        *heartbeats += e->op == FR_OP_HEARTBEAT;
        if (e->position.resume.len > 0)
            p->resume = fr_arena_cstr(p->arena, e->position.resume);
    }
}

/* As when no batch is free: only confirm is called. */
static fr_rc starve(const probe *p, fr_reader *r, fr_err *err)
{
    for (int64_t until = fr_now_us() + p->starve_ms * 1000; fr_now_us() < until;) {
        if (r->ops->confirm != NULL)
            FR_TRY(r->ops->confirm(r, FR_STR(""), err));
        fr_sleep_us(300000);
    }
    return FR_OK;
}

static fr_rc follow(probe *p, fr_reader *r, fr_err *err)
{
    fr_batch *b = fr_batch_new(p->batch_events, 1 << 20);
    int64_t began = fr_now_us(), until = began + p->seconds * 1000000, confirm_us = began;
    long commits = 0, heartbeats = 0;
    fr_rc rc = starve(p, r, err);
    while (rc != FR_FAIL && fr_now_us() < until && !(p->commits > 0 && commits >= p->commits) &&
           !(p->heartbeats > 0 && heartbeats >= p->heartbeats)) {
        fr_batch_reset(b);
        rc = r->ops->fill(r, b, fr_now_us() + 100000, err);
        if (rc == FR_FAIL)
            break;
        print_batch(p, b);
        keep_resume(p, b, &commits, &heartbeats);
        if (b->count > 0 && !p->quiet)
            fflush(stdout);
        if (!p->no_confirm && r->ops->confirm != NULL && fr_now_us() - confirm_us > 200000) {
            confirm_us = fr_now_us();
            rc = r->ops->confirm(r, p->resume != NULL ? fr_cstr(p->resume) : FR_STR(""), err);
        }
    }
    if (rc != FR_FAIL && !p->no_confirm && r->ops->confirm != NULL && p->resume != NULL)
        rc = r->ops->confirm(r, fr_cstr(p->resume), err);
    fr_batch_free(b);
    printf("{\"streamed\":%" PRIu64 ",\"commits\":%ld,\"us\":%" PRId64 "}\n", p->rows, commits,
           fr_now_us() - began);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static void *interrupter(void *context)
{
    fr_reader *r = context;
    fr_sleep_us(500000);
    r->ops->interrupt(r);
    return NULL;
}

static fr_rc interrupted(fr_reader *r, fr_err *err)
{
    fr_batch *b = fr_batch_new(100, 1 << 20);
    pthread_t thread;
    int64_t began = fr_now_us();
    pthread_create(&thread, NULL, interrupter, r);
    fr_rc rc = FR_OK;
    while (rc == FR_OK) {
        fr_batch_reset(b);
        rc = r->ops->fill(r, b, began + 30000000, err);
    }
    pthread_join(thread, NULL);
    printf("{\"interrupted_ms\":%" PRId64 ",\"rc\":%d}\n", (fr_now_us() - began) / 1000, rc);
    fr_batch_free(b);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static fr_rc stream(probe *p, bool interrupt, fr_err *err)
{
    fr_reader *r = NULL;
    fr_str resume = fr_cstr(p->resume != NULL ? p->resume : "");
    FR_TRY(p->ops->read_stream(p->source, resume, &r, err));
    printf("{\"streaming\":true}\n");
    fflush(stdout);
    fr_rc rc = interrupt ? interrupted(r, err) : follow(p, r, err);
    r->ops->close(r);
    return rc;
}

/* ---- two readers ---- */

typedef struct two {
    probe *p;
    pthread_mutex_t lock; /* guards the texts and first_done */
    char *held, *reached; /* where the second reader begins; where the first one is */
    bool first_done;      /* it has read --commits */
    atomic_bool opened;   /* the second one was, once */
    atomic_bool over;     /* it has ended, or the first has failed */
    atomic_bool ended;    /* both have */
    fr_rc rc;             /* the second one's */
    fr_err err;
} two;

static char *text_now(two *t, char *const *text)
{
    pthread_mutex_lock(&t->lock);
    char *out = fr_strdup(*text);
    pthread_mutex_unlock(&t->lock);
    return out;
}

/* The newest place in the batch; *commits counts on. */
static void keep_place(const fr_batch *b, char **place, long *commits, long stop_at, char **stop)
{
    for (size_t i = 0; i < b->count; i++) {
        const fr_event *e = &b->events[i];
        *commits += e->op == FR_OP_COMMIT;
        if (e->position.resume.len == 0)
            continue;
        free(*place);
        *place = strndup(e->position.resume.ptr, e->position.resume.len);
        if (*stop == NULL && *commits >= stop_at)
            *stop = fr_strdup(*place);
    }
}

static bool has_reached(two *t, const char *place)
{
    pthread_mutex_lock(&t->lock);
    bool done =
        t->first_done && t->p->ops->compare(t->p->source, fr_cstr(place), fr_cstr(t->reached)) >= 0;
    pthread_mutex_unlock(&t->lock);
    return done;
}

static fr_rc follow_beside(two *t, fr_reader *r, char **place, int64_t until, fr_err *err)
{
    fr_batch *b = fr_batch_new(t->p->batch_events, 1 << 20);
    long commits = 0;
    char *unused = NULL;
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && fr_now_us() < until && !has_reached(t, *place)) {
        fr_batch_reset(b);
        rc = r->ops->fill(r, b, fr_now_us() + 100000, err);
        if (rc == FR_FAIL)
            break;
        print_batch(t->p, b);
        keep_place(b, place, &commits, 0, &unused);
        fflush(stdout);
        if (r->ops->confirm != NULL)
            rc = r->ops->confirm(r, fr_cstr(*place), err);
    }
    fr_batch_free(b);
    free(unused);
    return rc;
}

static fr_rc beside_only(const probe *p, fr_err *err)
{
    fr_reader *r = NULL;
    FR_TRY(p->ops->read_beside(p->source, fr_cstr(p->resume), &r, err));
    r->ops->close(r);
    return FR_OK;
}

static void *read_beside(void *context)
{
    two *t = context;
    int64_t until = fr_now_us() + t->p->seconds * 1000000;
    char *held = NULL;
    reader_name = "beside";
    while ((held = text_now(t, &t->held)) == NULL && !atomic_load(&t->over) && fr_now_us() < until)
        fr_sleep_us(10000);
    for (long i = 0; held != NULL && t->rc != FR_FAIL && i < t->p->times; i++) {
        fr_reader *r = NULL;
        char *place = fr_strdup(held);
        t->rc = t->p->ops->read_beside(t->p->source, fr_cstr(held), &r, &t->err);
        if (t->rc != FR_FAIL) {
            atomic_store(&t->opened, true);
            printf("{\"beside\":%ld}\n", i);
            t->rc = follow_beside(t, r, &place, until, &t->err);
            r->ops->close(r);
        }
        free(place);
    }
    if (t->rc == FR_FAIL)
        print_error(&t->err);
    free(held);
    atomic_store(&t->over, true);
    return NULL;
}

static fr_rc confirm_two(two *t, fr_reader *r, fr_err *err)
{
    if (r->ops->confirm == NULL)
        return FR_OK;
    char *up_to = text_now(t, t->p->confirm_on && atomic_load(&t->opened) ? &t->reached : &t->held);
    fr_rc rc = r->ops->confirm(r, up_to != NULL ? fr_cstr(up_to) : FR_STR(""), err);
    free(up_to);
    return rc;
}

static fr_rc follow_first(two *t, fr_reader *r, fr_err *err)
{
    const probe *p = t->p;
    fr_batch *b = fr_batch_new(p->batch_events, 1 << 20);
    int64_t until = fr_now_us() + p->seconds * 1000000, confirm_us = 0;
    long commits = 0;
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && fr_now_us() < until &&
           !(atomic_load(&t->over) && commits >= p->commits)) {
        fr_batch_reset(b);
        rc = r->ops->fill(r, b, fr_now_us() + 100000, err);
        if (rc == FR_FAIL)
            break;
        print_batch(t->p, b);
        pthread_mutex_lock(&t->lock);
        keep_place(b, &t->reached, &commits, p->beside_after, &t->held);
        t->first_done = commits >= p->commits;
        pthread_mutex_unlock(&t->lock);
        fflush(stdout);
        if (fr_now_us() - confirm_us > 200000) {
            confirm_us = fr_now_us();
            rc = confirm_two(t, r, err);
        }
    }
    fr_batch_free(b);
    return rc;
}

static void status(probe *p);

/* What other threads of a daemon ask meanwhile. */
static void *ask(void *context)
{
    two *t = context;
    const probe *p = t->p;
    while (!atomic_load(&t->ended)) {
        fr_err ignored;
        fr_status unused;
        fr_arena *a = fr_arena_new(0);
        fr_str place;
        p->ops->status(p->source, &unused);
        p->ops->refresh(p->source, &ignored);
        if (p->ops->position_now != NULL)
            p->ops->position_now(p->source, a, &place, &ignored);
        fr_arena_free(a);
        fr_sleep_us(50000);
    }
    return NULL;
}

static fr_rc two_readers(probe *p, fr_err *err)
{
    fr_reader *r = NULL;
    if (p->ops->read_beside == NULL)
        return fr_fail(err, FR_ERR_CONFIG, "this source has no second reader");
    if (p->resume == NULL)
        return fr_fail(err, FR_ERR_CONFIG, "beside needs --resume");
    FR_TRY(p->ops->read_stream(p->source, fr_cstr(p->resume), &r, err));
    two t = {.p = p, .reached = fr_strdup(p->resume)};
    if (p->beside_after == 0)
        t.held = fr_strdup(p->beside_resume != NULL ? p->beside_resume : p->resume);
    pthread_mutex_init(&t.lock, NULL);
    pthread_t thread, asking;
    pthread_create(&thread, NULL, read_beside, &t);
    pthread_create(&asking, NULL, ask, &t);
    reader_name = "first";
    fr_rc rc = follow_first(&t, r, err);
    atomic_store(&t.over, rc == FR_FAIL || atomic_load(&t.over));
    pthread_join(thread, NULL);
    atomic_store(&t.ended, true);
    pthread_join(asking, NULL);
    if (rc != FR_FAIL)
        status(p);
    reader_name = NULL;
    r->ops->close(r);
    if (rc != FR_FAIL && t.rc == FR_FAIL)
        *err = t.err;
    printf("{\"held\":%s,\"reached\":%s}\n", t.held != NULL ? t.held : "null", t.reached);
    pthread_mutex_destroy(&t.lock);
    free(t.held);
    free(t.reached);
    return t.rc == FR_FAIL ? FR_FAIL : rc;
}

/* ---- the rest ---- */

static fr_rc check(probe *p, fr_err *err)
{
    static const char *const severities[] = {"fine", "warning", "blocker", "change"};
    fr_findings f = {.arena = p->arena};
    FR_TRY(p->ops->check(&p->settings, &f, err));
    for (size_t i = 0; i < f.count; i++) {
        fr_buf b = {.ptr = NULL};
        fr_buf_printf(&b, "{\"finding\":\"%s\",\"severity\":\"%s\",\"class\":%d", f.items[i].code,
                      severities[f.items[i].severity], (int)f.items[i].class);
        print_text(&b, "text", f.items[i].text);
        print_text(&b, "hint", f.items[i].hint);
        print_text(&b, "sql", f.items[i].sql);
        print_text(&b, "why", f.items[i].why);
        print_text(&b, "cost", f.items[i].cost);
        print_text(&b, "undo", f.items[i].undo);
        printf("%.*s}\n", (int)b.len, b.ptr);
        fr_buf_free(&b);
    }
    return FR_OK;
}

static fr_rc list_tables(probe *p, fr_err *err)
{
    const fr_table **tables = NULL;
    size_t count = 0;
    FR_TRY(p->ops->list_tables(p->source, p->arena, &tables, &count, err));
    for (size_t i = 0; i < count; i++) {
        fr_event e = {.op = FR_OP_TABLE, .table = tables[i]};
        print_event(&e);
        fr_table_unref(tables[i]);
    }
    return FR_OK;
}

static fr_rc apply(probe *p, fr_err *err)
{
    fr_findings f = {.arena = p->arena};
    FR_TRY(p->ops->apply_objects(p->source, &f, err));
    for (size_t i = 0; i < f.count; i++)
        printf("{\"applied\":\"%.*s\"}\n", FR_ARG(f.items[i].text));
    return FR_OK;
}

static fr_rc position(probe *p, fr_err *err)
{
    fr_str resume;
    FR_TRY(p->ops->position_now(p->source, p->arena, &resume, err));
    printf("%.*s\n", FR_ARG(resume));
    return FR_OK;
}

static void status(probe *p)
{
    fr_status s;
    p->ops->status(p->source, &s);
    printf("{\"connected\":%s,\"lag_us\":%" PRId64 ",\"lag_bytes\":%" PRId64
           ",\"retained_bytes\":%" PRId64 ",\"retained_limit\":%" PRId64 ",\"server_lsn\":%" PRIu64
           ",\"read_lsn\":%" PRIu64 ",\"confirmed_lsn\":%" PRIu64 "}\n",
           s.connected ? "true" : "false", s.lag_us, s.lag_bytes, s.retained_bytes,
           s.retained_limit, s.server_lsn, s.read_lsn, s.confirmed_lsn);
}

static fr_rc verb(probe *p, const char *name, fr_err *err)
{
    if (strcmp(name, "check") == 0)
        return check(p, err);
    if (strncmp(name, "pause:", 6) == 0) {
        fflush(stdout);
        fr_sleep_us(strtol(name + 6, NULL, 10) * 1000);
        return FR_OK;
    }
    if (p->source == NULL)
        FR_TRY(p->ops->open(&p->settings, &p->source, err));
    if (strcmp(name, "tables") == 0)
        return list_tables(p, err);
    if (strcmp(name, "apply") == 0)
        return apply(p, err);
    if (strcmp(name, "plan") == 0 || strcmp(name, "plan-replace") == 0)
        return make_plan(p, true, name[4] != '\0', err);
    if (strcmp(name, "plan-view") == 0)
        return make_plan(p, false, false, err);
    if (strcmp(name, "chunks") == 0 || strcmp(name, "cut-chunks") == 0)
        return read_chunks(p, name[1] == 'u', err);
    if (strcmp(name, "stream") == 0 || strcmp(name, "interrupt") == 0)
        return stream(p, name[0] == 'i', err);
    if (strcmp(name, "beside") == 0)
        return two_readers(p, err);
    if (strcmp(name, "beside-only") == 0)
        return beside_only(p, err);
    if (strcmp(name, "position") == 0)
        return position(p, err);
    if (strcmp(name, "refresh") == 0)
        return p->ops->refresh(p->source, err);
    if (strcmp(name, "end-view") == 0)
        p->ops->end_view(p->source);
    else if (strcmp(name, "status") == 0)
        status(p);
    else
        return fr_fail(err, FR_ERR_CONFIG, "no such verb: %s", name);
    return FR_OK;
}

static fr_rc add_tables(probe *p, char *list, const fr_table_settings *like, fr_err *err)
{
    p->settings.tables = fr_malloc(64 * sizeof(fr_table_settings));
    for (char *save = NULL, *t = strtok_r(list, ",", &save);
         t != NULL && p->settings.table_count < 64; t = strtok_r(NULL, ",", &save)) {
        fr_table_settings *s = &p->settings.tables[p->settings.table_count++];
        *s = *like;
        s->pattern = t;
        s->place = "tables.yaml:1";
        FR_TRY(fr_pattern_compile(t, &s->regex, err));
    }
    return FR_OK;
}

static void set_option(probe *p, const char *name, const char *value)
{
    fr_err err;
    const fr_option *o = fr_option_find(p->ops->options, fr_cstr(name));
    if (o != NULL && fr_option_set(o, p->arena, p->config, fr_cstr(value), &err) == FR_OK)
        return;
    fprintf(stderr, "%s has no option %s, or it does not take this value\n", p->ops->name, name);
    exit(2);
}

/* --type decides which options there are, so it is looked for first. */
static void choose_type(probe *p, int argc, char **argv)
{
    fr_err err;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--type") == 0)
            p->settings.type = argv[i + 1];
    p->ops = fr_source_of(p->settings.type);
    if (p->ops == NULL) {
        fprintf(stderr, "no connector for type %s\n", p->settings.type);
        exit(2);
    }
    p->config = fr_malloc(p->ops->config_size);
    if (fr_option_defaults(p->ops->options, p->arena, p->config, &err) == FR_FAIL)
        exit(2);
    p->settings.connector = p->config;
}

static void set_pair(probe *p, char *pair)
{
    char *sign = strchr(pair, '=');
    if (sign != NULL)
        *sign = '\0';
    set_option(p, pair, sign != NULL ? sign + 1 : "");
}

static long number(char **argv, int i)
{
    return strtol(argv[i], NULL, 10);
}

/* Answers the exit code. */
static int run_verbs(probe *p, char **verbs, int count)
{
    fr_err err = {.kind = FR_ERR_BUG};
    fr_rc rc = FR_OK;
    for (int i = 0; rc != FR_FAIL && i < count; i++)
        rc = verb(p, verbs[i], &err);
    if (rc == FR_FAIL)
        print_error(&err);
    fflush(stdout);
    p->ops->close(p->source);
    p->source = NULL;
    return rc == FR_FAIL ? fr_err_exit(err.kind) : 0;
}

static int run_again(probe *p, char **verbs, int count)
{
    char line[16];
    const char *resume = p->resume;
    fr_arena *kept = p->arena;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        p->arena = fr_arena_new(0);
        p->resume = resume;
        p->rows = 0;
        int code = run_verbs(p, verbs, count);
        fr_arena_free(p->arena);
        printf("{\"ended\":%d}\n", code);
        fflush(stdout);
    }
    p->arena = kept;
    return 0;
}

/* One that is of all tables. */
static bool table_option(fr_table_settings *like, const char *o, char **argv, int *i)
{
    if (strcmp(o, "append-only") == 0)
        like->append_only = true;
    else if (strcmp(o, "zero-dates-error") == 0)
        like->zero_dates = 1;
    else if (strcmp(o, "parallel") == 0)
        like->snapshot_parallel = number(argv, ++*i);
    else if (strcmp(o, "where") == 0)
        like->snapshot_where = argv[++*i];
    else if (strcmp(o, "key") == 0)
        like->key = (fr_texts){(const char **)&argv[++*i], 1};
    else if (strcmp(o, "chunk") == 0)
        like->snapshot_chunk = number(argv, ++*i);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    probe p = {.arena = fr_arena_new(0), .seconds = 30, .times = 1, .batch_events = 4096};
    p.settings = (fr_source_settings){.pipeline = "probe",
                                      .name = "probe",
                                      .type = "postgres",
                                      .heartbeat_us = 10000000,
                                      .max_row_bytes = 16 << 20};
    char *tables = NULL;
    fr_table_settings like = {.snapshot_chunk = 20000, .snapshot_parallel = 2};
    choose_type(&p, argc, argv);
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *o = argv[i] + 2;
        if (strcmp(o, "quiet") == 0)
            p.quiet = true;
        else if (strcmp(o, "no-confirm") == 0)
            p.no_confirm = true;
        else if (strcmp(o, "confirm-on") == 0)
            p.confirm_on = true;
        else if (strcmp(o, "again") == 0)
            p.again = true;
        else if (strcmp(o, "insecure") == 0)
            set_option(&p, "insecure", "true");
        else if (i + 1 == argc)
            break;
        else if (table_option(&like, o, argv, &i))
            continue;
        else if (strcmp(o, "dsn") == 0)
            set_option(&p, "dsn", argv[++i]);
        else if (strcmp(o, "password") == 0)
            set_option(&p, "password", argv[++i]);
        else if (strcmp(o, "slot") == 0)
            set_option(&p, "log.slot", argv[++i]);
        else if (strcmp(o, "publication") == 0)
            set_option(&p, "log.publication", argv[++i]);
        else if (strcmp(o, "type") == 0)
            i++;
        else if (strcmp(o, "set") == 0)
            set_pair(&p, argv[++i]);
        else if (strcmp(o, "name") == 0)
            p.settings.name = argv[++i];
        else if (strcmp(o, "tables") == 0)
            tables = argv[++i];
        else if (strcmp(o, "resume") == 0)
            p.resume = argv[++i];
        else if (strcmp(o, "commits") == 0)
            p.commits = number(argv, ++i);
        else if (strcmp(o, "heartbeats") == 0)
            p.heartbeats = number(argv, ++i);
        else if (strcmp(o, "beside-resume") == 0)
            p.beside_resume = argv[++i];
        else if (strcmp(o, "beside-after") == 0)
            p.beside_after = number(argv, ++i);
        else if (strcmp(o, "times") == 0)
            p.times = number(argv, ++i);
        else if (strcmp(o, "seconds") == 0)
            p.seconds = number(argv, ++i);
        else if (strcmp(o, "starve-ms") == 0)
            p.starve_ms = number(argv, ++i);
        else if (strcmp(o, "batch") == 0)
            p.batch_events = (size_t)number(argv, ++i);
        else if (strcmp(o, "heartbeat-ms") == 0)
            p.settings.heartbeat_us = number(argv, ++i) * 1000;
        else if (strcmp(o, "max-lag") == 0)
            p.settings.throttle_max_lag_us = number(argv, ++i) * 1000000;
        else if (strcmp(o, "max-load") == 0)
            p.settings.throttle_max_load = argv[++i];
        else if (strcmp(o, "throttle-query") == 0)
            p.settings.throttle_query = argv[++i];
        else if (strcmp(o, "max-row") == 0)
            p.settings.max_row_bytes = number(argv, ++i);
        else {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            exit(2);
        }
    }
    fr_log_setup(FR_LOG_INFO, FR_LOG_LOGFMT);
    fr_err err = {.kind = FR_ERR_BUG};
    int code = 0;
    if (tables != NULL && add_tables(&p, tables, &like, &err) == FR_FAIL) {
        print_error(&err);
        code = fr_err_exit(err.kind);
    } else {
        code = p.again ? run_again(&p, argv + i, argc - i) : run_verbs(&p, argv + i, argc - i);
    }
    for (size_t k = 0; k < p.settings.table_count; k++)
        fr_pattern_free(p.settings.tables[k].regex);
    free(p.settings.tables);
    free(p.config);
    fr_arena_free(p.arena);
    return code;
}
