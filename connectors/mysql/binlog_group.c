/* Groups: where they start and end, whose they are, and the events they make. */
#include "connectors/mysql/binlog_internal.h"
#include "connectors/mysql/my_value_parts.h"
#include <stdio.h>
#include <stdlib.h>

#define SECOND INT64_C(1000000)

void fr_binlog_group_start(fr_binlog *d)
{
    d->place.in_group = true;
    fr_binlog_set_name(&d->group_file, &d->place.group_file, d->place.file);
    d->place.group_offset = d->event_offset;
    d->place.lsn = d->place.file_number << 40 | d->event_offset;
    d->place.commit_us = (int64_t)d->header.time * SECOND;
    d->place.ordinal = 0;
    d->place.xa = false;
    d->place.gtid = (fr_gtid){.family = FR_GTID_NONE};
    d->group = (fr_binlog_group){.begun = false};
    d->txn = NULL;
    fr_binlog_prepared_free(d->holding); /* of a group that ended without being prepared */
    d->holding = NULL;
}

/* Once its id is known: was it published before we went on? */
static void look_back(fr_binlog *d)
{
    if (!d->catching)
        return;
    if (d->published_set != NULL) {
        d->group.published = fr_gtids_contains(d->published_set, &d->place.gtid);
        return;
    }
    d->group.published = d->place.lsn < d->published_lsn;
    d->catching = d->place.catching = d->group.published;
}

static void look_ahead(fr_binlog *d)
{
    if (!d->catching || d->published_set == NULL)
        return;
    fr_gtids_order order = fr_gtids_compare(d->published_set, d->done);
    d->catching = d->place.catching = order != FR_GTIDS_EQUAL && order != FR_GTIDS_LESS;
}

static void need_group(fr_binlog *d)
{
    if (d->place.in_group)
        return;
    fr_binlog_group_start(d);
    look_back(d);
}

/* --- events --- */

/* The transaction, copied into each batch that it reaches. The last event of a batch has the
 * copy exactly if it was made in this life of the batch. */
static const fr_txn *txn_in(fr_binlog *d, fr_batch *b)
{
    size_t n = b->count;
    if (d->txn == NULL || n == 0 || b->events[n - 1].txn != d->txn) {
        char text[FR_GTID_TEXT];
        fr_txn *txn = fr_arena_alloc(b->arena, sizeof(*txn));
        if (d->place.gtid.family != FR_GTID_NONE)
            txn->id = txn->gtid =
                fr_arena_str(b->arena, fr_cstr(fr_gtid_text(&d->place.gtid, text)));
        else
            txn->id = fr_arena_printf(b->arena, "%.*s:%llu", FR_ARG(d->place.group_file),
                                      (unsigned long long)d->place.group_offset);
        txn->commit_us = d->place.commit_us;
        txn->file = fr_arena_str(b->arena, d->place.file);
        txn->server_id = d->place.server_id;
        txn->thread = d->group.thread;
        d->txn = txn;
    }
    return d->txn;
}

static fr_event *append(fr_binlog *d, fr_batch *b, fr_op op, const fr_table *table)
{
    if (fr_batch_full(b))
        return NULL;
    const fr_txn *txn = txn_in(d, b);
    fr_event *e = fr_batch_add(b, op, table);
    if (e == NULL)
        return NULL;
    e->txn = txn;
    e->position.epoch = d->options.epoch;
    e->position.lsn = d->place.lsn;
    e->position.row_lsn = d->place.file_number << 40 | d->event_offset;
    e->position.ordinal = d->place.ordinal;
    return e;
}

fr_event *fr_binlog_add(fr_binlog *d, fr_batch *batch, fr_op op, const fr_table *table)
{
    if (!d->group.has_begin) {
        if (append(d, batch, FR_OP_BEGIN, NULL) == NULL)
            return NULL;
        d->group.has_begin = true;
    }
    return append(d, batch, op, table);
}

fr_rc fr_binlog_group_end(fr_binlog *d, fr_batch *batch)
{
    if (d->group.has_begin && append(d, batch, FR_OP_COMMIT, NULL) == NULL)
        return FR_IDLE;
    d->moved = !d->group.has_begin;
    d->place.in_group = false;
    d->place.groups++;
    d->query.len = 0;
    d->txn = NULL;
    if (d->place.gtid.family != FR_GTID_NONE)
        fr_gtids_add(d->done, &d->place.gtid);
    look_ahead(d);
    d->group.has_begin = false;
    return FR_OK;
}

/* --- GTIDs --- */

/* mysql::serialization: the first byte's low ones count the bytes that follow it. */
static uint64_t take_serial(fr_in *in)
{
    const uint8_t *p = fr_my_take(in, 1);
    if (p == NULL)
        return 0;
    unsigned more = (unsigned)__builtin_ctz(~(unsigned)*p);
    if (more > 8) /* 0xff: eight whole bytes */
        more = 8;
    uint64_t rest = fr_my_take_le(in, more);
    return more >= 7 ? rest : rest << (7 - more) | (uint64_t)(*p >> (more + 1));
}

static int64_t take_signed(fr_in *in)
{
    uint64_t v = take_serial(in);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Fields by number, each once, up to the last that may not be ignored: 0 flags, 1 uuid, 2 number,
 * 3 tag, 4, 5 logical clock, 6 commit time, 7 original time, ... (Gtid_event of the server's
 * control_events.h). */
static bool read_tagged(fr_in *in, fr_gtid *g, int64_t *commit_us)
{
    take_serial(in); /* version */
    take_serial(in); /* size */
    take_serial(in); /* last field that we must know */
    while (fr_in_left(in) > 0 && !in->bad) {
        uint64_t field = take_serial(in);
        if (field == 1) {
            for (size_t i = 0; i < 16; i++)
                g->uuid[i] = (uint8_t)take_serial(in);
        } else if (field == 2) {
            g->number = (uint64_t)take_signed(in);
        } else if (field == 3) {
            fr_str tag = fr_in_take(in, (size_t)take_serial(in));
            if (tag.len >= sizeof(g->tag))
                return false;
            memcpy(g->tag, tag.ptr, tag.len);
            g->tag[tag.len] = '\0';
        } else if (field == 6) {
            *commit_us = (int64_t)take_serial(in);
            break; /* the rest is for replicas */
        } else if (field <= 5) {
            take_serial(in);
        } else {
            return false;
        }
    }
    return !in->bad && g->number > 0;
}

/* flags 1, uuid 16, number 8, [clock 1 + 16, [commit time 7, ...]] */
static bool read_mysql(fr_in *in, fr_gtid *g, int64_t *commit_us)
{
    fr_in_u8(in);
    fr_str uuid = fr_in_take(in, 16);
    g->number = fr_in_u64le(in);
    if (in->bad)
        return false;
    memcpy(g->uuid, uuid.ptr, 16);
    if (fr_in_left(in) >= 1 + 16 + 7 && fr_in_u8(in) == 2) {
        fr_in_take(in, 16);
        *commit_us = (int64_t)(fr_my_take_le(in, 7) & ((UINT64_C(1) << 55) - 1));
    }
    return true;
}

enum { MARIADB_STANDALONE = 1, MARIADB_PREPARED_XA = 64, MARIADB_COMPLETED_XA = 128 };

static bool read_mariadb(fr_binlog *d, fr_in *in, fr_gtid *g)
{
    g->family = FR_GTID_MARIADB;
    g->number = fr_in_u64le(in);
    g->domain = fr_in_u32le(in);
    g->server = d->header.server_id;
    uint8_t flags = fr_in_u8(in);
    d->group.begun = (flags & MARIADB_STANDALONE) == 0;
    d->group.is_xa = d->place.xa = (flags & MARIADB_PREPARED_XA) != 0;
    return !in->bad && g->number > 0;
}

fr_rc fr_binlog_gtid(fr_binlog *d, fr_str body, fr_err *err)
{
    fr_in in = fr_in_of(body);
    fr_gtid g = {.family = FR_GTID_MYSQL};
    int64_t commit_us = 0;
    bool ok = true;
    if (d->place.in_group)
        return fr_binlog_malformed(err, d, "a transaction starts inside another");
    fr_binlog_group_start(d);
    if (d->header.type == FR_EV_MARIADB_GTID)
        ok = read_mariadb(d, &in, &g);
    else if (d->header.type == FR_EV_GTID_TAGGED)
        ok = read_tagged(&in, &g, &commit_us);
    else
        ok = read_mysql(&in, &g, &commit_us);
    if (!ok)
        return fr_binlog_malformed(err, d, "a malformed GTID");
    if (commit_us > 0)
        d->place.commit_us = commit_us;
    d->group.has_time = commit_us > 0;
    if (d->header.type != FR_EV_ANONYMOUS)
        d->place.gtid = g;
    look_back(d);
    return FR_OK;
}

/* --- the ends --- */

static void commit_time(fr_binlog *d)
{
    if (!d->group.has_time && !d->group.has_begin && d->header.time != 0)
        d->place.commit_us = (int64_t)d->header.time * SECOND;
}

fr_rc fr_binlog_xid(fr_binlog *d, fr_batch *batch, fr_err *err)
{
    if (!d->place.in_group)
        return fr_binlog_malformed(err, d, "a transaction ends that did not start");
    commit_time(d);
    return fr_binlog_group_end(d, batch);
}

/* --- statements --- */

typedef struct query {
    uint32_t thread;
    fr_str space, text;
    const fr_my_charset *charset;
} query;

/* Status variables up to the client's character set; the rest is not for us. */
static const fr_my_charset *client_charset(fr_str vars)
{
    fr_in in = fr_in_of(vars);
    while (fr_in_left(&in) > 0 && !in.bad) {
        uint8_t code = fr_in_u8(&in);
        if (code == 4)
            return fr_my_charset_by_collation(fr_in_u16le(&in));
        if (code == 0 || code == 3)
            fr_in_take(&in, 4);
        else if (code == 1)
            fr_in_take(&in, 8);
        else if (code == 6 || code == 5)
            fr_in_take(&in, fr_in_u8(&in));
        else if (code == 2)
            fr_in_take(&in, fr_in_u8(&in) + 1u);
        else
            break;
    }
    return NULL;
}

static fr_rc read_query(fr_binlog *d, fr_str body, query *q, fr_err *err)
{
    fr_in in = fr_in_of(body);
    q->thread = fr_in_u32le(&in);
    fr_in_take(&in, 4); /* how long it took */
    uint8_t space = fr_in_u8(&in);
    fr_in_u16le(&in);
    uint16_t vars = fr_in_u16le(&in);
    if (d->header.type == FR_EV_EXECUTE_LOAD)
        fr_in_take(&in, 13);
    q->charset = client_charset(fr_in_take(&in, vars));
    q->space = fr_in_take(&in, space);
    if (fr_in_u8(&in) != 0 || in.bad)
        return fr_binlog_malformed(err, d, "a malformed statement");
    q->text = fr_in_take(&in, fr_in_left(&in));
    if (d->header.type == FR_EV_QUERY_COMPRESSED)
        FR_TRY(fr_binlog_inflate(d, q->text, &q->text, err));
    return FR_OK;
}

static fr_rc tell_statement(fr_binlog *d, const query *q, fr_binlog_statement_kind kind,
                            fr_err *err)
{
    fr_binlog_statement s = {kind, q->space, q->text};
    fr_my_convert *convert = NULL;
    fr_arena *a = fr_arena_new(0);
    fr_err ignored;
    fr_rc rc = FR_OK;
    if (q->charset != NULL && fr_my_convert_open(q->charset, &convert, &ignored) == FR_OK)
        fr_my_to_utf8(convert, a, q->text, &s.text, &ignored); /* else as it is */
    fr_my_convert_close(convert);
    if (d->calls.statement != NULL)
        rc = d->calls.statement(d->calls.context, &s, err);
    fr_arena_free(a);
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc statement_format(fr_binlog *d, const fr_sql *sql, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "binlog: a change in statement format at %.*s:%llu of %s%.*s: it has no rows",
            FR_ARG(d->place.file), (unsigned long long)d->event_offset,
            sql->name.len > 0 ? "the captured table " : "tables that cannot be told",
            FR_ARG(sql->name));
    fr_fail_code(err, "my.statement_format");
    return fr_fail_hint(err,
                        "some session writes with binlog_format STATEMENT or MIXED: SET GLOBAL "
                        "binlog_format=ROW and reconnect it; then take a new snapshot of what "
                        "it changed: freshet snapshot start TABLE");
}

static fr_rc dml(fr_binlog *d, const query *q, const fr_sql *sql, fr_err *err)
{
    fr_binlog_mapped *t = NULL;
    if (sql->name.len == 0)
        return statement_format(d, sql, err);
    FR_TRY(
        fr_binlog_named_table(d, sql->space.len > 0 ? sql->space : q->space, sql->name, &t, err));
    if (t != NULL)
        return statement_format(d, sql, err);
    return tell_statement(d, q, FR_BINLOG_DML, err);
}

static fr_rc truncate(fr_binlog *d, fr_batch *batch, const query *q, const fr_sql *sql, fr_err *err)
{
    fr_binlog_mapped *t = NULL;
    if (sql->name.len == 0)
        return statement_format(d, sql, err);
    FR_TRY(
        fr_binlog_named_table(d, sql->space.len > 0 ? sql->space : q->space, sql->name, &t, err));
    if (t == NULL) {
        d->place.ordinal++;
        return FR_OK;
    }
    if (fr_binlog_announce(d, batch, t) == FR_IDLE ||
        fr_binlog_add(d, batch, FR_OP_TRUNCATE, t->layout->table) == NULL)
        return FR_IDLE;
    d->group.rows++;
    d->place.ordinal++;
    return FR_OK;
}

/* Rows that were logged and then undone: only together with tables that cannot be rolled back. */
static fr_rc rolled_back(fr_binlog *d, fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "binlog: the transaction at %.*s:%llu was rolled back after %u rows of captured tables "
            "were logged",
            FR_ARG(d->place.group_file), (unsigned long long)d->place.group_offset, d->group.rows);
    fr_fail_code(err, "my.rolled_back_rows");
    return fr_fail_hint(err, "it mixes tables that can be rolled back with tables that cannot "
                             "(MyISAM, Aria): which of its rows stayed is not in the log. Take a "
                             "new snapshot of them: freshet snapshot start TABLE");
}

/* What a statement means to us; once, also when its group's end finds the batch full. */
static fr_rc take_statement(fr_binlog *d, fr_batch *batch, const query *q, const fr_sql *sql,
                            fr_err *err)
{
    if (sql->kind == FR_SQL_DML)
        return dml(d, q, sql, err);
    if (sql->kind == FR_SQL_TEMPORARY)
        return FR_OK;
    if (sql->kind == FR_SQL_TRUNCATE) {
        fr_rc rc = truncate(d, batch, q, sql, err);
        if (rc != FR_OK)
            return rc;
    }
    if (sql->kind == FR_SQL_SHAPE)
        d->looks++;
    return tell_statement(d, q, FR_BINLOG_DDL, err);
}

/* One that was looked at before we went on: its tables are read anew all the same. */
static void pass_statement(fr_binlog *d, const fr_sql *sql)
{
    if (!d->told && sql->kind == FR_SQL_SHAPE)
        d->looks++;
    d->told = true;
}

static fr_rc other_statement(fr_binlog *d, fr_batch *batch, const query *q, const fr_sql *sql,
                             fr_err *err)
{
    if (d->group.published)
        pass_statement(d, sql);
    if (!d->told) {
        fr_rc rc = take_statement(d, batch, q, sql, err);
        if (rc != FR_OK)
            return rc;
    }
    d->told = true;
    return d->group.begun ? FR_OK : fr_binlog_group_end(d, batch);
}

static fr_rc run_statement(fr_binlog *d, fr_batch *batch, const query *q, const fr_sql *sql,
                           fr_err *err)
{
    need_group(d);
    d->group.thread = q->thread;
    switch (sql->kind) {
    case FR_SQL_XA_START:
        d->group.is_xa = d->place.xa = true;
        d->group.begun = true;
        return FR_OK;
    case FR_SQL_BEGIN:
        d->group.begun = true;
        return FR_OK;
    case FR_SQL_COMMIT:
        return fr_binlog_xid(d, batch, err);
    case FR_SQL_ROLLBACK:
    case FR_SQL_ROLLBACK_TO:
        if (d->group.rows > 0)
            return rolled_back(d, err);
        return sql->kind == FR_SQL_ROLLBACK ? fr_binlog_group_end(d, batch) : FR_OK;
    case FR_SQL_SAVEPOINT:
    case FR_SQL_XA_END:
        return FR_OK;
    case FR_SQL_XA_COMMIT:
    case FR_SQL_XA_ROLLBACK:
        return fr_binlog_xa_end(d, batch, sql->kind == FR_SQL_XA_COMMIT, sql->rest, err);
    default:
        return other_statement(d, batch, q, sql, err);
    }
}

fr_rc fr_binlog_query_event(fr_binlog *d, fr_batch *batch, fr_str body, fr_err *err)
{
    query q;
    FR_TRY(read_query(d, body, &q, err));
    if (fr_str_is(q.text, "BEGIN")) { /* all but a few statements of a log */
        need_group(d);
        d->group.begun = true;
        d->group.thread = q.thread;
        return FR_OK;
    }
    fr_arena *a = fr_arena_new(0);
    fr_sql sql = fr_sql_read(a, q.text);
    fr_rc rc = run_statement(d, batch, &q, &sql, err);
    fr_arena_free(a);
    return rc;
}
