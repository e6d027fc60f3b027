#include "base/clock.h"
#include "base/failpoint.h"
#include "connectors/mysql/binlog_dump.h"
#include "connectors/mysql/binlog_shapes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_binlog_source *)(base))
#define READER(base) ((stream_reader *)(base))

/* Event types that the stream itself looks at. */
enum {
    EVENT_FORMAT = 15,
    EVENT_HEARTBEAT = 27,
    EVENT_HEARTBEAT2 = 41,
    HEADER_TYPE = 4 /* its place in the header */
};
enum { BESIDE_BEAT_US = 500000 };
#define HEARTBEAT_BYTES (16u << 20)

typedef struct stream_reader {
    fr_reader base;
    fr_binlog_source *s;
    bool beside;          /* a second reader */
    fr_binlog_seen *seen; /* the source's, or own */
    fr_binlog_seen own;
    fr_binlog_server server; /* as it was when we began */
    uint32_t server_id;      /* ours, or a second reader's */
    fr_binlog_dump *dump;
    fr_binlog *decoder;
    fr_binlog_shapes shapes;
    fr_binlog_position from; /* where the log is asked for: `at`, or before it */
    fr_binlog_position at;   /* what resume texts are made of; gtid and texts of `arena` */
    fr_arena *arena;
    fr_gtids *published; /* by GTID: where we go on, while what is before it is read again */
    bool fresh;          /* no FORMAT_DESCRIPTION came yet */
    char known_file[FR_BINLOG_FILE_MAX]; /* the position's, and when that was begun; 0: not known */
    uint64_t known_time;
    fr_buf timed;        /* the file whose beginning at.file_time is */
    fr_str pending;      /* an event that found the batch full; in the transport's buffer */
    uint64_t read_lsn;   /* up to where the log is read; never back: a server that has nothing new
                            sends the beginning of its file only */
    uint64_t resume_lsn; /* of the last event with a resume */
    int64_t resume_us;   /* when that was */
} stream_reader;

/* ---- what the decoder asks ---- */

static fr_rc describe(void *context, fr_my_relation *r, fr_arena *a, fr_err *err)
{
    return fr_binlog_shapes_describe(&READER(context)->shapes, r, a, err);
}

static fr_rc statement(void *context, const fr_binlog_statement *s, fr_err *err)
{
    stream_reader *r = context;
    if (s->kind != FR_BINLOG_DDL)
        return FR_OK;
    if (!r->beside)
        atomic_fetch_add_explicit(&r->s->changes, 1, memory_order_relaxed);
    return fr_binlog_shapes_ddl(&r->shapes, fr_binlog_where(r->decoder)->lsn, err);
}

/* ---- positions ---- */

/* While older groups are read again, those that were published count as well. */
static fr_str gtids_text(const stream_reader *r, const fr_binlog_place *at, fr_arena *a)
{
    fr_buf b = {.arena = a};
    fr_gtids *all = at->catching ? fr_gtids_copy(at->done) : NULL;
    if (all != NULL && r->published != NULL)
        fr_gtids_merge(all, r->published);
    fr_gtids_print(all != NULL ? all : at->done, &b);
    fr_gtids_free(all);
    return fr_buf_view(&b);
}

static void put_xa(const stream_reader *r, fr_arena *a, fr_binlog_position *p)
{
    fr_str file;
    fr_buf open = {.arena = a};
    p->held_file[0] = '\0';
    if (fr_binlog_held(r->decoder, &file, &p->held_pos, &p->held_gtid))
        snprintf(p->held_file, sizeof(p->held_file), "%.*s", FR_ARG(file));
    fr_binlog_open_xids(r->decoder, &open);
    p->xa_open = fr_buf_view(&open);
}

static fr_str resume_text(stream_reader *r, fr_batch *b)
{
    const fr_binlog_place *at = fr_binlog_where(r->decoder);
    fr_binlog_position p = r->at;
    snprintf(p.file, sizeof(p.file), "%.*s", FR_ARG(at->safe_file));
    p.pos = at->safe_offset;
    if (!fr_str_eq(at->safe_file, fr_buf_view(&r->timed)))
        p.file_time = 0; /* after a ROTATE, before the new file says when it was begun */
    p.gtid = gtids_text(r, at, b->arena);
    put_xa(r, b->arena, &p);
    memcpy(p.shapes, r->shapes.print, sizeof(p.shapes));
    r->resume_lsn = fr_binlog_lsn(p.file, p.pos);
    r->resume_us = fr_now_us();
    return fr_binlog_position_text(b->arena, &p);
}

static void committed(stream_reader *r, fr_batch *b, fr_event *e)
{
    const fr_binlog_place *at = fr_binlog_where(r->decoder);
    int64_t lag = fr_wall_us() - at->commit_us;
    e->position.resume = resume_text(r, b);
    atomic_store_explicit(&r->seen->lag_us, lag > 0 ? lag : 0, memory_order_relaxed);
}

/* R3: the log moved, but nothing of it was ours. */
static void maybe_heartbeat(stream_reader *r, fr_batch *b)
{
    const fr_binlog_place *at = fr_binlog_where(r->decoder);
    if (at->in_group || at->safe_file.len == 0 || at->catching || fr_batch_full(b))
        return;
    int64_t now = fr_now_us();
    char file[FR_BINLOG_FILE_MAX];
    snprintf(file, sizeof(file), "%.*s", FR_ARG(at->safe_file));
    uint64_t lsn = fr_binlog_lsn(file, at->safe_offset);
    int64_t every = r->beside ? BESIDE_BEAT_US : r->s->settings->heartbeat_us;
    if (lsn <= r->resume_lsn ||
        (lsn - r->resume_lsn < HEARTBEAT_BYTES && now - r->resume_us < every))
        return;
    fr_event *e = fr_batch_add(b, FR_OP_HEARTBEAT, NULL);
    e->position.lsn = lsn;
    e->position.epoch = r->at.epoch;
    e->position.resume = resume_text(r, b);
}

/* ---- events ---- */

/* The same file name with another beginning is another log (D05). */
static fr_rc began(stream_reader *r, fr_str event, fr_err *err)
{
    fr_in in = fr_in_of(event);
    uint64_t time = fr_in_u32le(&in);
    const fr_binlog_place *at = fr_binlog_where(r->decoder);
    bool same = (r->fresh || at->catching) && fr_str_is(at->file, r->known_file);
    r->fresh = false;
    if (same && r->known_time != 0 && r->known_time != time) {
        fr_fail(err, FR_ERR_POSITION,
                "go on at %s:%" PRIu64 ": the server's %s is another file than the one we read: "
                "its log was begun anew (RESET MASTER, or a restored server)",
                r->at.file, r->at.pos, r->at.file);
        fr_fail_code(err, "my.log_reset");
        return fr_fail_hint(err, "freshet position reset %s starts over with a new snapshot",
                            r->s->settings->name);
    }
    r->at.file_time = time;
    r->timed.len = 0;
    fr_buf_str(&r->timed, at->file);
    return FR_OK;
}

static bool holds_rows(uint8_t type)
{
    return (type >= 23 && type <= 25) || (type >= 30 && type <= 32) || type == 39 ||
           (type >= 166 && type <= 171);
}

static void too_big(stream_reader *r, fr_batch *b, size_t from, fr_str event)
{
    int64_t max = r->s->settings->max_row_bytes;
    if (max <= 0 || event.len <= (size_t)max || !holds_rows((uint8_t)event.ptr[HEADER_TYPE]))
        return;
    for (size_t i = from; i < b->count; i++) {
        fr_event *e = &b->events[i];
        if (e->bad.len == 0 && (e->after.count > 0 || e->before.count > 0))
            e->bad =
                fr_arena_printf(b->arena,
                                "%.*s.%.*s: a row of %zu bytes is above "
                                "daemon.max_row_bytes (%" PRId64 ")",
                                FR_ARG(e->table->space), FR_ARG(e->table->name), event.len, max);
    }
}

static void moved(stream_reader *r, bool all)
{
    const fr_binlog_place *at = fr_binlog_where(r->decoder);
    uint64_t lsn = at->file_number << 40 | at->offset;
    r->read_lsn = lsn > r->read_lsn ? lsn : r->read_lsn;
    atomic_store_explicit(&r->seen->read_lsn, r->read_lsn, memory_order_relaxed);
    if (!all)
        return;
    atomic_store(&r->seen->server_lsn, r->read_lsn);
    atomic_store(&r->seen->lag_us, 0);
    atomic_store(&r->seen->lag_bytes, 0);
}

static fr_rc finish_events(stream_reader *r, fr_batch *b, size_t from, fr_str event)
{
    too_big(r, b, from, event);
    for (size_t i = from; i < b->count; i++) {
        if (b->events[i].op == FR_OP_COMMIT)
            committed(r, b, &b->events[i]);
        else if (b->events[i].op == FR_OP_HEARTBEAT)
            b->count = i; /* the last one; ours come less often */
    }
    return FR_OK;
}

/* FR_IDLE: the batch is full, and the event waits. */
static fr_rc take(stream_reader *r, fr_batch *b, fr_str event, fr_err *err)
{
    size_t from = b->count;
    uint8_t type = event.len > HEADER_TYPE ? (uint8_t)event.ptr[HEADER_TYPE] : 0;
    r->pending = (fr_str){0};
    fr_rc rc = fr_binlog_event(r->decoder, b, event, err);
    if (rc == FR_FAIL)
        return fr_fail_in(err, "read the log at %s:%" PRIu64, r->at.file,
                          fr_binlog_where(r->decoder)->offset);
    if (type == EVENT_FORMAT)
        FR_TRY(began(r, event, err));
    FR_TRY(finish_events(r, b, from, event));
    moved(r, rc == FR_OK && (type == EVENT_HEARTBEAT || type == EVENT_HEARTBEAT2));
    if (rc == FR_IDLE)
        r->pending = event;
    return rc;
}

/* A table that was held has a way on that leaves the others alone; and a second reader can have
 * another number the next time. */
static fr_rc way_on(const stream_reader *r, fr_err *err)
{
    if (r->beside && strcmp(err->code, "my.server_id_clash") == 0)
        err->kind = FR_ERR_BUSY;
    if (r->beside && err->kind == FR_ERR_POSITION)
        fr_fail_hint(err, "freshet resume TABLE --anew takes a new snapshot of it instead");
    return FR_FAIL;
}

/* ---- filling ---- */

/* FR_OK: go on; FR_IDLE: enough for now. */
static fr_rc read_one(stream_reader *r, fr_batch *b, size_t before, int64_t deadline_us,
                      fr_err *err)
{
    fr_str event;
    bool enough = b->count > before && !fr_binlog_where(r->decoder)->in_group;
    fr_rc rc = fr_binlog_dump_next(r->dump, enough ? 0 : deadline_us, &event, err);
    if (rc == FR_FAIL)
        return FR_FAIL;
    if (rc == FR_IDLE) {
        bool over = enough || fr_binlog_dump_interrupted(r->dump) || fr_now_us() >= deadline_us;
        return over ? FR_IDLE : FR_OK;
    }
    FR_TRY(rc = take(r, b, event, err));
    atomic_store_explicit(&r->seen->last_byte_us, fr_now_us(), memory_order_relaxed);
    maybe_heartbeat(r, b);
    /* A busy log with nothing of ours in it must not hold the caller. */
    if (rc == FR_OK && b->count == before && fr_now_us() >= deadline_us)
        return FR_IDLE;
    return rc;
}

static fr_rc stream_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    stream_reader *r = READER(base);
    size_t before = b->count;
    fr_rc rc = FR_OK;
    if (r->pending.len > 0)
        rc = take(r, b, r->pending, err);
    while (rc == FR_OK && !fr_batch_full(b))
        rc = read_one(r, b, before, deadline_us, err);
    if (rc == FR_FAIL) {
        atomic_store(&r->seen->connected, false);
        return way_on(r, err);
    }
    maybe_heartbeat(r, b);
    return b->count > before ? FR_OK : FR_IDLE;
}

static void stream_interrupt(fr_reader *base)
{
    fr_binlog_dump_interrupt(READER(base)->dump);
}

static void stream_close(fr_reader *base)
{
    stream_reader *r = READER(base);
    if (r == NULL)
        return;
    atomic_store(&r->seen->connected, false);
    fr_binlog_dump_close(r->dump);
    fr_binlog_free(r->decoder);
    fr_gtids_free(r->published);
    fr_binlog_shapes_close(&r->shapes);
    fr_buf_free(&r->timed);
    fr_arena_free(r->arena);
    free(r);
}

static const fr_reader_ops stream_ops = {
    .fill = stream_fill, .interrupt = stream_interrupt, .close = stream_close};

/* ---- starting ---- */

/* XA transactions that are held have to be read again: the log has their rows before the place
 * where we go on. The server must have both. */
static fr_rc continues(stream_reader *r, fr_my *my, fr_binlog_start_at *start, fr_err *err)
{
    fr_binlog_start_at here;
    FR_TRY(fr_binlog_server_continues(r->s, &r->server, my, &r->at, &here, err));
    if (r->at.held_file[0] == '\0') {
        *start = here;
        return FR_OK;
    }
    r->from = r->at;
    snprintf(r->from.file, sizeof(r->from.file), "%s", r->at.held_file);
    r->from.pos = r->at.held_pos;
    r->from.gtid = r->at.held_gtid;
    r->from.file_time = 0;
    if (here.by_gtid)
        r->published = here.done;
    else
        fr_gtids_free(here.done);
    if (fr_binlog_server_continues(r->s, &r->server, my, &r->from, start, err) == FR_FAIL)
        return fr_fail_in(err, "read the XA transactions again that are prepared since");
    if (start->by_gtid == here.by_gtid || here.same_server)
        return FR_OK;
    fr_gtids_free(start->done);
    start->done = NULL;
    fr_fail(err, FR_ERR_POSITION, "the stored position has GTIDs in one of its places only");
    fr_fail_code(err, "my.position");
    return fr_fail_hint(err, "freshet position reset %s starts over with a new snapshot",
                        r->s->settings->name);
}

/* The control run of the fault tests: go on where the server's log ends, whatever was published
 * before; what R6 and D04 forbid. */
static fr_rc at_the_newest(stream_reader *r, fr_my *my, fr_err *err)
{
    fr_binlog_here here = {.pos = 0};
    if (r->beside || !FR_FAILPOINT("r6"))
        return FR_OK;
    FR_TRY(fr_binlog_here_read(my, &r->server, r->arena, &here, err));
    snprintf(r->at.file, sizeof(r->at.file), "%s", here.file);
    r->at.pos = here.pos;
    r->at.gtid = here.gtid;
    r->at.file_time = 0;
    return FR_OK;
}

static fr_rc may_start(stream_reader *r, fr_binlog_start_at *start, fr_err *err)
{
    fr_binlog_source *s = r->s;
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    fr_rc rc = fr_binlog_server_read(my, &r->server, err);
    if (rc == FR_OK && !r->beside)
        fr_binlog_server_now(s, &r->server);
    if (rc == FR_OK)
        rc = fr_binlog_server_verify(&r->server, err);
    if (rc == FR_OK)
        rc = at_the_newest(r, my, err);
    if (rc == FR_OK && r->beside)
        rc = fr_binlog_free_server_id(s, my, &r->server_id, err);
    if (rc == FR_OK)
        rc = continues(r, my, start, err);
    if (rc == FR_FAIL)
        fr_my_close(my);
    else
        fr_binlog_give(s, my);
    return rc;
}

static fr_rc make_decoder(stream_reader *r, const fr_binlog_start_at *start, fr_err *err)
{
    const fr_binlog_calls calls = {.context = r, .describe = describe, .statement = statement};
    const fr_binlog_options options = {.family =
                                           r->server.mariadb ? FR_GTID_MARIADB : FR_GTID_MYSQL,
                                       .epoch = r->at.epoch,
                                       .xa_hold = r->s->config->xa != 0,
                                       .xa_limit = (size_t)r->s->config->xa_limit};
    r->decoder = fr_binlog_new(&calls, &options, start->done);
    /* On another server the place means nothing; there the set alone says where we are. */
    if (start->same_server)
        fr_binlog_start(r->decoder, fr_cstr(r->from.file), r->from.pos);
    if (r->at.held_file[0] != '\0')
        fr_binlog_published(r->decoder, fr_cstr(r->at.file), r->at.pos, r->published);
    if (fr_binlog_know_xids(r->decoder, r->at.xa_open))
        return FR_OK;
    fr_fail(err, FR_ERR_POSITION, "the stored position cannot be read: xa_open");
    return fr_fail_code(err, "my.position");
}

static fr_rc start_stream(stream_reader *r, fr_str resume, fr_err *err)
{
    fr_binlog_source *s = r->s;
    fr_binlog_start_at start = {.done = NULL};
    FR_TRY(fr_binlog_position_parse(r->arena, resume, &r->at, err));
    r->from = r->at;
    FR_TRY(may_start(r, &start, err));
    fr_rc rc = fr_binlog_shapes_open(&r->shapes, s, &r->server, r->at.shapes, err);
    if (rc == FR_OK)
        rc = fr_binlog_dump_open(s, r->server_id, &r->from, &start, &r->dump, err);
    if (rc == FR_OK) {
        r->at.epoch += start.same_server ? 0 : 1;
        r->resume_lsn = start.same_server ? fr_binlog_lsn(r->at.file, r->at.pos) : 0;
        r->read_lsn = r->resume_lsn;
        r->at.file_time = start.same_server ? r->at.file_time : 0;
        r->known_time = r->at.file_time;
        snprintf(r->known_file, sizeof(r->known_file), "%s", r->at.file);
        snprintf(r->at.server, sizeof(r->at.server), "%s", r->server.name);
        rc = make_decoder(r, &start, err);
    }
    fr_gtids_free(start.done);
    return rc;
}

static fr_rc open_reader(fr_binlog_source *s, bool beside, fr_str resume, fr_reader **out,
                         fr_err *err)
{
    stream_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &stream_ops;
    r->s = s;
    r->beside = beside;
    r->seen = beside ? &r->own : &s->seen;
    r->server_id = s->server_id;
    r->arena = fr_arena_new(0);
    r->fresh = true;
    r->resume_us = fr_now_us();
    if (start_stream(r, resume, err) == FR_FAIL) {
        way_on(r, err);
        stream_close(&r->base);
        return fr_fail_in(err, "read the log");
    }
    if (!beside) {
        pthread_mutex_lock(&s->lock);
        s->epoch = r->at.epoch;
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store(&r->seen->connected, true);
    atomic_store(&r->seen->read_lsn, r->read_lsn);
    *out = &r->base;
    return FR_OK;
}

fr_rc fr_binlog_read_stream(fr_source *base, fr_str resume, fr_reader **out, fr_err *err)
{
    return open_reader(SOURCE(base), false, resume, out, err);
}

fr_rc fr_binlog_read_beside(fr_source *base, fr_str resume, fr_reader **out, fr_err *err)
{
    return open_reader(SOURCE(base), true, resume, out, err);
}
