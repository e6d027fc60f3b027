/* https://www.postgresql.org/docs/current/protocol-replication.html: XLogData 'w', primary
 * keepalive 'k', standby status update 'r'. */
#include "base/clock.h"
#include "connectors/postgres/pg_message.h"
#include "connectors/postgres/wal_shapes.h"
#include "connectors/postgres/wal_slot.h"
#include "connectors/postgres/wal_split.h"
#include "connectors/postgres/wal_wait.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_wal_source *)(base))
#define READER(base) ((stream_reader *)(base))

enum { COPY_BELOW = 8192, DATA_HEAD = 25, ASK_EVERY_US = 1000000 };
enum { NAP_US = 100, BEHIND_US = 1000000, BESIDE_BEAT_US = 500000, PRESSED_US = 3000000 };
#define HEARTBEAT_BYTES (16u << 20)
#define EPOCH_2000_US INT64_C(946684800000000)

typedef struct stream_reader {
    fr_reader base;
    fr_wal_source *s;
    bool beside;       /* a second reader: it has a slot of its own, and confirms nothing */
    fr_wal_seen *seen; /* the source's, or own */
    fr_wal_seen own;
    char slot[FR_WAL_NAME_MAX];
    PGconn *conn;
    fr_wal_shapes shapes;
    fr_pgoutput *decoder;
    fr_wal_wake wake;
    uint32_t epoch;
    char *head; /* of the resume text */
    size_t head_len;
    uint64_t flush;           /* what we told the server that it may forget */
    uint64_t read;            /* everything below was received */
    uint64_t resume_lsn;      /* of the last event with a resume */
    int64_t resume_us;        /* when that was */
    uint64_t idle_lsn;        /* a keepalive's, with nothing after it yet; 0: none */
    int64_t alive_us;         /* when to send a status update */
    int64_t asked_us;         /* when we last asked for a keepalive */
    int64_t pressed_us;       /* when the server last asked us for an answer */
    int64_t pressed_since_us; /* since when it has done so again and again */
    fr_buf pending;           /* a message that found the batch full */
    uint64_t pending_start;
    bool unpublished;          /* the server went on without the publication */
    const fr_table **messages; /* tables that logical messages are rows of */
    size_t message_count;
} stream_reader;

/* ---- telling the server ---- */

static void put_be64(char *out, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (char)(v & 0xff);
}

/* A server that shuts down asks until we have confirmed all it sent. Where a table is held we do
 * not. */
static bool shuts_down(const stream_reader *r, int64_t now)
{
    return now - r->pressed_us < ASK_EVERY_US && r->pressed_us - r->pressed_since_us > PRESSED_US;
}

/* R2: write, flush and apply are one. Only a second reader, and one that a server which shuts down
 * would wait for, say what they have received, and a flush of 0: that confirms nothing, makes them
 * no standby that commits would wait for, and lets the server go. */
static fr_rc send_status(stream_reader *r, bool ask, fr_err *err)
{
    char message[34];
    int64_t now = fr_now_us();
    message[0] = 'r';
    bool received = r->beside || shuts_down(r, now);
    uint64_t flush = received ? 0 : r->flush;
    put_be64(message + 1, received ? r->read : flush);
    put_be64(message + 9, flush);
    put_be64(message + 17, flush);
    put_be64(message + 25, (uint64_t)(fr_wall_us() - EPOCH_2000_US));
    message[33] = ask ? 1 : 0;
    if (PQputCopyData(r->conn, message, sizeof(message)) <= 0 || PQflush(r->conn) < 0)
        return fr_pg_fail(r->conn, NULL, "send a status update", err);
    r->alive_us = now + r->s->keep_alive_us;
    if (ask)
        r->asked_us = now;
    atomic_store(&r->seen->confirmed_lsn, r->flush);
    return FR_OK;
}

static fr_rc stream_confirm(fr_reader *base, fr_str resume, fr_err *err)
{
    stream_reader *r = READER(base);
    if (resume.len > 0 && !r->beside) {
        fr_wal_position p;
        FR_TRY(fr_wal_position_parse(resume, &p, err));
        if (p.end_lsn > r->flush)
            r->flush = p.end_lsn;
    }
    return send_status(r, false, err);
}

/* ---- events ---- */

static fr_str resume_text(stream_reader *r, fr_batch *b, uint64_t lsn)
{
    char text[24];
    fr_pg_lsn_text(text, lsn);
    size_t len = strlen(text);
    char *out = fr_arena_raw(b->arena, r->head_len + len + 2);
    memcpy(out, r->head, r->head_len);
    memcpy(out + r->head_len, text, len);
    memcpy(out + r->head_len + len, FR_WAL_POSITION_END, 2);
    r->resume_lsn = lsn;
    return (fr_str){out, r->head_len + len + 2};
}

static void committed(stream_reader *r, fr_batch *b, fr_event *e, const fr_pgoutput_place *at)
{
    int64_t lag = fr_wall_us() - at->commit_us;
    e->position.resume = resume_text(r, b, at->end_lsn);
    r->resume_us = fr_now_us();
    if (at->end_lsn > r->read)
        r->read = at->end_lsn;
    atomic_store_explicit(&r->seen->lag_us, lag > 0 ? lag : 0, memory_order_relaxed);
}

/* A logical message is a row where its prefix is an outbox. */
static void take_as_row(const stream_reader *r, fr_batch *b, fr_event *e)
{
    for (size_t i = 0; i < r->message_count; i++) {
        if (fr_str_eq(r->messages[i]->name, e->name)) {
            fr_pg_message_row(b, e, r->messages[i]);
            return;
        }
    }
}

static fr_rc finish_events(stream_reader *r, fr_batch *b, size_t from, size_t bytes, fr_err *err)
{
    const fr_pgoutput_place *at = fr_pgoutput_where(r->decoder);
    fr_wal_too_big(r->s->settings, b, from, bytes);
    for (size_t i = from; i < b->count; i++) {
        fr_event *e = &b->events[i];
        if (e->op == FR_OP_COMMIT)
            committed(r, b, e, at);
        else if (e->op == FR_OP_MESSAGE) {
            /* Between transactions; the server leaves out what begins before the start. */
            if (e->txn == NULL)
                e->position.resume = resume_text(r, b, e->position.lsn + 1);
            take_as_row(r, b, e);
        } else if (fr_wal_needs_reread(e))
            FR_TRY(fr_wal_reread(&r->shapes, b, e, at->xid, err));
    }
    return FR_OK;
}

/* R3: the log moved, but nothing of it was ours. */
static void maybe_heartbeat(stream_reader *r, fr_batch *b)
{
    if (r->idle_lsn <= r->resume_lsn || fr_batch_full(b))
        return;
    int64_t now = fr_now_us();
    int64_t every = r->beside ? BESIDE_BEAT_US : r->s->settings->heartbeat_us;
    if (r->idle_lsn - r->resume_lsn < HEARTBEAT_BYTES && now - r->resume_us < every)
        return;
    fr_event *e = fr_batch_add(b, FR_OP_HEARTBEAT, NULL);
    e->position.lsn = r->idle_lsn;
    e->position.epoch = r->epoch;
    e->position.resume = resume_text(r, b, r->idle_lsn);
    r->resume_us = now;
    r->idle_lsn = 0;
}

/* ---- messages ---- */

static fr_rc decode(stream_reader *r, fr_batch *b, fr_str payload, uint64_t start, fr_err *err)
{
    size_t from = b->count;
    b->max_bytes +=
        payload.len; /* it is in the batch's memory, and must not keep its own event out */
    fr_rc rc = fr_pgoutput_message(r->decoder, b, payload, start, err);
    b->max_bytes -= payload.len;
    if (rc == FR_FAIL)
        return FR_FAIL;
    FR_TRY(finish_events(r, b, from, payload.len, err));
    if (rc == FR_IDLE) {
        r->pending.len = 0;
        fr_buf_str(&r->pending, payload);
        r->pending_start = start;
    }
    return rc;
}

static fr_rc take_data(stream_reader *r, fr_batch *b, char *message, size_t len, fr_err *err)
{
    fr_in in = fr_in_of((fr_str){message, len});
    fr_in_u8(&in);
    uint64_t start = fr_in_u64be(&in);
    if (len < DATA_HEAD) {
        PQfreemem(message);
        return fr_fail(err, FR_ERR_BUG, "read the log: a data message of %zu bytes", len);
    }
    fr_str payload = {message + DATA_HEAD, len - DATA_HEAD};
    if (len < COPY_BELOW) {
        payload = fr_arena_str(b->arena, payload);
        PQfreemem(message);
    } else {
        fr_arena_adopt(b->arena, message, len, PQfreemem);
    }
    r->idle_lsn = 0;
    return decode(r, b, payload, start, err);
}

static fr_rc take_keepalive(stream_reader *r, fr_str message, fr_err *err)
{
    fr_in in = fr_in_of(message);
    fr_in_u8(&in);
    uint64_t end = fr_in_u64be(&in);
    fr_in_u64be(&in);
    uint8_t reply = fr_in_u8(&in);
    if (in.bad)
        return fr_fail(err, FR_ERR_BUG, "read the log: a keepalive of %zu bytes", message.len);
    if (!fr_pgoutput_where(r->decoder)->in_txn) {
        r->idle_lsn = end;
        if (end > r->read)
            r->read = end;
        if (atomic_load(&r->seen->server_lsn) <= end) {
            atomic_store(&r->seen->server_lsn, end);
            atomic_store(&r->seen->lag_us, 0);
            atomic_store(&r->seen->lag_bytes, 0);
        }
    }
    if (reply == 0)
        return FR_OK;
    /* Perhaps the server wants to shut down: it waits until all it sent is confirmed. */
    r->resume_us = INT64_MIN / 2;
    int64_t now = fr_now_us();
    if (now - r->pressed_us >= ASK_EVERY_US)
        r->pressed_since_us = now;
    r->pressed_us = now;
    return send_status(r, false, err);
}

static fr_rc take_message(stream_reader *r, fr_batch *b, char *message, size_t len, fr_err *err)
{
    if (len > 0 && message[0] == 'w')
        return take_data(r, b, message, len, err);
    fr_rc rc = FR_OK;
    if (len > 0 && message[0] == 'k')
        rc = take_keepalive(r, (fr_str){message, len}, err);
    else
        rc = fr_fail(err, FR_ERR_BUG, "read the log: unknown message 0x%02x",
                     len > 0 ? (unsigned)(unsigned char)message[0] : 0);
    PQfreemem(message);
    return rc;
}

/* ---- when the server ends it ---- */

static fr_rc stream_lost(stream_reader *r, fr_err *err)
{
    if (strcmp(err->sqlstate, "58P01") == 0 || strcmp(err->sqlstate, "55000") == 0) {
        err->kind = FR_ERR_POSITION;
        fr_fail_code(err, "pg.slot_lost");
        return fr_fail_hint(err,
                            "freshet position reset %s starts over: a new slot, and a new "
                            "snapshot",
                            r->s->settings->name);
    }
    if (strcmp(err->sqlstate, "42704") == 0) {
        fr_fail_code(err, "pg.slot_after_publication");
        return fr_fail_hint(err,
                            "at the slot's position publication %s did not exist yet: it was "
                            "dropped or made after the slot; freshet position reset %s "
                            "starts over",
                            r->s->publication, r->s->settings->name);
    }
    if (strcmp(err->sqlstate, "22021") == 0) { /* character_not_in_repertoire */
        fr_fail(err, FR_ERR_DATA, "read the log: a row holds text that is not UTF-8");
        fr_fail_code(err, "pg.value.utf8");
        return fr_fail_hint(err,
                            "the server sends nothing after it: correct the rows, then freshet "
                            "position reset %s starts over",
                            r->s->settings->name);
    }
    if (strcmp(err->sqlstate, "55006") == 0) {
        err->kind = FR_ERR_BUSY;
        fr_fail_code(err, "pg.slot_active");
    }
    return FR_FAIL;
}

/* From 18 on the server goes on without a publication that did not exist at this point of
 * its log, leaves the changes out and only warns. To us they are lost. */
static void on_notice(void *context, const PGresult *res)
{
    stream_reader *r = context;
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (state != NULL && strcmp(state, "55000") == 0)
        r->unpublished = true;
}

static fr_rc stream_unpublished(stream_reader *r, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "read the log: publication %s does not exist here",
            r->s->publication);
    snprintf(err->sqlstate, sizeof(err->sqlstate), "42704");
    return stream_lost(r, err);
}

static fr_rc stream_ended(stream_reader *r, fr_err *err)
{
    PGresult *res = PQgetResult(r->conn);
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COMMAND_OK)
        fr_fail(err, FR_ERR_CONNECT, "read the log: the server ended the stream");
    else
        fr_pg_fail(r->conn, res, "read the log", err);
    PQclear(res);
    return stream_lost(r, err);
}

/* A table that was held has a way on that leaves the others alone. */
static fr_rc way_on(const stream_reader *r, fr_err *err)
{
    if (r->beside && err->kind == FR_ERR_POSITION)
        fr_fail_hint(err, "freshet resume TABLE --anew takes a new snapshot of it instead");
    return FR_FAIL;
}

/* ---- filling ---- */

/* FR_OK: a message was taken; FR_IDLE: the batch is full; FR_END: nothing is there now. */
static fr_rc read_one(stream_reader *r, fr_batch *b, fr_err *err)
{
    char *message = NULL;
    int len = PQgetCopyData(r->conn, &message, 1);
    if (r->unpublished) {
        PQfreemem(message);
        return stream_unpublished(r, err);
    }
    if (len > 0)
        return take_message(r, b, message, (size_t)len, err);
    if (len == 0)
        return FR_END;
    if (len == -1)
        return stream_ended(r, err);
    fr_pg_fail(r->conn, NULL, "read the log", err);
    return stream_lost(r, err);
}

/* FR_OK: the batch is full or an interrupt came; FR_END: the socket is empty. */
static fr_rc drain(stream_reader *r, fr_batch *b, fr_err *err)
{
    for (;;) {
        fr_rc rc = FR_OK;
        while (rc == FR_OK && !fr_batch_full(b))
            rc = read_one(r, b, err);
        if (rc != FR_END)
            return rc == FR_FAIL ? FR_FAIL : FR_OK;
        if (PQconsumeInput(r->conn) == 0)
            return fr_pg_fail(r->conn, NULL, "read the log", err);
        rc = read_one(r, b, err);
        if (rc == FR_END || rc == FR_FAIL)
            return rc;
        if (rc == FR_IDLE)
            return FR_OK;
        int64_t now = fr_now_us();
        atomic_store_explicit(&r->seen->last_byte_us, now, memory_order_relaxed);
        if (now >= r->alive_us)
            FR_TRY(send_status(r, false, err));
        if (atomic_load_explicit(&r->wake.asked, memory_order_relaxed))
            return FR_OK;
    }
}

/* Nothing is there: say that we live, ask how far the server is, wait a little. */
static fr_rc rest(stream_reader *r, int64_t deadline_us, fr_err *err)
{
    int64_t now = fr_now_us();
    bool ask = now - r->asked_us >= ASK_EVERY_US;
    if (ask || now >= r->alive_us)
        FR_TRY(send_status(r, ask, err));
    int64_t until = deadline_us;
    if (until > r->asked_us + ASK_EVERY_US)
        until = r->asked_us + ASK_EVERY_US;
    return fr_wal_wait(r->conn, &r->wake, until, err) == FR_FAIL ? FR_FAIL : FR_OK;
}

static fr_rc take_pending(stream_reader *r, fr_batch *b, fr_err *err)
{
    if (r->pending.len == 0)
        return FR_OK;
    fr_str payload = fr_arena_str(b->arena, fr_buf_view(&r->pending));
    r->pending.len = 0;
    return decode(r, b, payload, r->pending_start, err);
}

/* More is on its way at once: the rest of a transaction, or of a log that we are behind. */
static bool flowing(const stream_reader *r)
{
    return fr_pgoutput_where(r->decoder)->in_txn ||
           atomic_load_explicit(&r->seen->lag_us, memory_order_relaxed) > BEHIND_US;
}

/* A walsender sends row by row: where a batch is under way, a nap collects some of them. To be
 * woken for each would cost us and the server more than the row itself. */
static fr_rc fill(stream_reader *r, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    size_t before = b->count;
    FR_TRY(take_pending(r, b, err));
    for (;;) {
        size_t had = b->count;
        FR_TRY(drain(r, b, err));
        maybe_heartbeat(r, b);
        bool more = b->count > had && flowing(r);
        if (fr_batch_full(b) || (b->count > before && !more))
            return FR_OK;
        if (fr_wal_wake_seen(&r->wake) || fr_now_us() >= deadline_us)
            return b->count > before ? FR_OK : FR_IDLE;
        if (more)
            fr_sleep_us(NAP_US);
        else
            FR_TRY(rest(r, deadline_us, err));
    }
}

static fr_rc stream_fill(fr_reader *base, fr_batch *batch, int64_t deadline_us, fr_err *err)
{
    stream_reader *r = READER(base);
    fr_rc rc = fill(r, batch, deadline_us, err);
    atomic_store(&r->seen->read_lsn, r->read);
    if (rc == FR_FAIL) {
        atomic_store(&r->seen->connected, false);
        way_on(r, err);
    }
    return rc;
}

static void stream_interrupt(fr_reader *base)
{
    fr_wal_wake_up(&READER(base)->wake);
}

static void stream_close(fr_reader *base)
{
    stream_reader *r = READER(base);
    if (r == NULL)
        return;
    atomic_store(&r->seen->connected, false);
    fr_pg_close(r->conn);
    fr_pgoutput_free(r->decoder);
    fr_wal_shapes_close(&r->shapes);
    fr_wal_wake_close(&r->wake);
    fr_buf_free(&r->pending);
    for (size_t i = 0; i < r->message_count; i++)
        fr_table_unref(r->messages[i]);
    free(r->messages);
    free(r->head);
    free(r);
}

static const fr_reader_ops stream_ops = {.fill = stream_fill,
                                         .confirm = stream_confirm,
                                         .interrupt = stream_interrupt,
                                         .close = stream_close};

/* ---- starting ---- */

/* The arena is the caller's to free, after a failure too. */
static fr_rc tables_now(const stream_reader *r, PGconn *sql, fr_arena **arena_out,
                        fr_wal_catalog *out, fr_err *err)
{
    fr_wal_source *s = r->s;
    if (!r->beside)
        return fr_wal_catalog_recent(s, sql, arena_out, out, err);
    *arena_out = fr_arena_new(0);
    return fr_wal_catalog_read(sql, s->version, s->settings, s->publication, *arena_out, out, err);
}

static fr_rc may_start(stream_reader *r, PGconn *sql, fr_wal_position *p, bool *binary_out,
                       fr_err *err)
{
    fr_wal_source *s = r->s;
    fr_arena *a = NULL;
    fr_wal_catalog c = {0};
    fr_rc rc = r->beside ? fr_wal_slot_copy(s, r->conn, sql, p, r->slot, err)
                         : fr_wal_slot_verify(s, r->conn, sql, p, &r->flush, err);
    if (rc != FR_FAIL)
        rc = tables_now(r, sql, &a, &c, err);
    if (rc != FR_FAIL)
        rc = fr_wal_catalog_verify(s, &c, false, err);
    if (rc != FR_FAIL)
        rc = fr_wal_types_of(sql, c.tables, c.count, r->shapes.types, err);
    if (rc != FR_FAIL)
        *binary_out = s->version >= 140000 && !atomic_load(&s->text_only) &&
                      fr_wal_shapes_binary_safe(&r->shapes, &c);
    fr_arena_free(a);
    return rc;
}

static fr_rc start_replication(stream_reader *r, uint64_t lsn, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    char from[24];
    fr_pg_lsn_text(from, lsn);
    fr_str slot = fr_pg_ident(a, fr_cstr(r->slot), NULL);
    fr_str name = fr_pg_ident(a, fr_cstr(r->s->publication), NULL);
    fr_str names = fr_pg_literal(a, name, NULL);
    fr_str sql = fr_arena_printf(
        a, "START_REPLICATION SLOT %.*s LOGICAL %s (proto_version '1', publication_names %.*s%s%s)",
        FR_ARG(slot), from, FR_ARG(names), r->shapes.binary ? ", binary 'true'" : "",
        r->s->version >= 140000 ? ", messages 'true'" : "");
    PGresult *res = NULL;
    fr_rc rc = fr_pg_ask(r->conn, fr_arena_cstr(a, sql), NULL, NULL, NULL, 0, false, &res, err);
    fr_arena_free(a);
    if (rc == FR_FAIL)
        return rc;
    if (PQresultStatus(res) != PGRES_COPY_BOTH) {
        fr_pg_fail(r->conn, res, "start reading the log", err);
        rc = stream_lost(r, err);
    }
    PQclear(res);
    if (rc != FR_FAIL && PQsetnonblocking(r->conn, 1) != 0)
        rc = fr_pg_fail(r->conn, NULL, "start reading the log", err);
    return rc;
}

static void started(stream_reader *r, const fr_wal_position *p)
{
    fr_wal_source *s = r->s;
    if (!r->beside) {
        pthread_mutex_lock(&s->lock);
        s->epoch = p->epoch;
        pthread_mutex_unlock(&s->lock);
    }
    fr_pgoutput_calls calls = fr_wal_shapes_calls(&r->shapes);
    r->decoder = fr_pgoutput_new(&calls, r->shapes.types, p->epoch);
    r->epoch = p->epoch;
    r->head = fr_wal_position_head(p);
    r->head_len = strlen(r->head);
    r->read = r->resume_lsn = p->end_lsn;
    r->resume_us = fr_now_us();
    atomic_store(&r->seen->read_lsn, r->read);
    atomic_store(&r->seen->confirmed_lsn, r->flush);
    atomic_store(&r->seen->last_byte_us, fr_now_us());
    atomic_store(&r->seen->connected, true);
}

static fr_rc start(stream_reader *r, fr_str resume, fr_err *err)
{
    fr_wal_source *s = r->s;
    fr_wal_position p;
    PGconn *sql = NULL;
    FR_TRY(fr_wal_position_parse(resume, &p, err));
    FR_TRY(fr_wal_wake_open(&r->wake, err));
    FR_TRY(fr_wal_replication(s, &r->conn, err));
    PQsetNoticeReceiver(r->conn, on_notice, r);
    FR_TRY(fr_wal_take(s, &sql, err));
    fr_rc rc = may_start(r, sql, &p, &r->shapes.binary, err);
    fr_wal_give(s, sql);
    FR_TRY(rc);
    snprintf(p.slot, sizeof(p.slot), "%s", s->slot);
    FR_TRY(start_replication(r, p.end_lsn, err));
    started(r, &p);
    return send_status(r, true, err);
}

static fr_rc open_reader(fr_wal_source *s, bool beside, fr_str resume, fr_reader **out, fr_err *err)
{
    stream_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &stream_ops;
    r->s = s;
    r->beside = beside;
    r->seen = beside ? &r->own : &s->seen;
    snprintf(r->slot, sizeof(r->slot), "%s", s->slot);
    r->wake.fd = -1;
    fr_wal_shapes_open(&r->shapes, s);
    r->messages = fr_malloc((s->settings->table_count + 1) * sizeof(*r->messages));
    r->message_count = fr_wal_message_tables(s, r->messages);
    if (start(r, resume, err) == FR_FAIL) {
        way_on(r, err);
        stream_close(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

fr_rc fr_wal_read_stream(fr_source *base, fr_str resume, fr_reader **out, fr_err *err)
{
    return open_reader(SOURCE(base), false, resume, out, err);
}

fr_rc fr_wal_read_beside(fr_source *base, fr_str resume, fr_reader **out, fr_err *err)
{
    return open_reader(SOURCE(base), true, resume, out, err);
}
