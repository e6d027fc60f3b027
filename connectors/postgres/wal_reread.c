#include "connectors/postgres/pg_value.h"
#include "connectors/postgres/wal_shapes.h"
#include "connectors/postgres/wal_split.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool holds_bytes(fr_kind kind)
{
    return kind == FR_DECIMAL || kind == FR_TEXT || kind == FR_BYTES || kind == FR_JSON ||
           kind == FR_UUID;
}

/* Bit by bit: the same key, not an equal number. */
static uint64_t bits(double v)
{
    uint64_t out;
    memcpy(&out, &v, sizeof(out));
    return out;
}

static bool value_same(const fr_value *a, const fr_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (holds_bytes(a->kind))
        return fr_str_eq(a->bytes, b->bytes);
    if (a->kind == FR_BOOL)
        return a->boolean == b->boolean;
    if (a->kind == FR_FLOAT32 || a->kind == FR_FLOAT64)
        return bits(a->real) == bits(b->real);
    return a->kind <= FR_NULL || a->integer == b->integer;
}

bool fr_wal_needs_reread(const fr_event *e)
{
    if (e->op != FR_OP_UPDATE || e->before.count == 0 || e->table->full_before || e->bad.len > 0)
        return false;
    bool absent = false, changed = false;
    for (size_t i = 0; i < e->after.count; i++) {
        const fr_value *after = &e->after.values[i], *before = &e->before.values[i];
        if (after->kind == FR_ABSENT)
            absent = true;
        else if (before->kind != FR_ABSENT && !value_same(before, after))
            changed = true;
    }
    return absent && changed;
}

/* A key column that is itself TOASTed and unchanged stands in the old key. */
static void take_from_before(fr_event *e)
{
    fr_value *after = (fr_value *)(uintptr_t)e->after.values; /* the batch is ours */
    for (size_t i = 0; i < e->after.count; i++)
        if (after[i].kind == FR_ABSENT && e->before.values[i].kind != FR_ABSENT)
            after[i] = e->before.values[i];
}

typedef struct question {
    fr_buf sql;
    const char **params; /* [0]: the xid */
    int param_count;
    size_t *columns; /* asked for, as indexes */
    size_t column_count;
} question;

static void put_wide_xid(question *q, uint32_t xid, fr_arena *a)
{
    q->params[q->param_count++] = fr_arena_cstr(a, fr_arena_printf(a, "%" PRIu32, xid));
    fr_buf_text(&q->sql,
                "WITH now AS (SELECT pg_catalog.txid_current_snapshot() AS snap), wide AS ("
                "SELECT snap, (pg_catalog.txid_snapshot_xmax(snap) >> 32 << 32) + $1::bigint"
                " AS xid FROM now), ours AS (SELECT snap, CASE WHEN xid >"
                " pg_catalog.txid_snapshot_xmax(snap) THEN xid - 4294967296 ELSE xid END AS xid"
                " FROM wide) SELECT pg_catalog.txid_visible_in_snapshot(ours.xid, ours.snap),"
                " t.tableoid IS NOT NULL");
}

/* False: the key cannot be written as text. */
static bool ask(question *q, const fr_wal_shape *shape, const fr_event *e, uint32_t xid,
                fr_arena *a)
{
    const fr_pg_relation *r = &shape->relation;
    q->sql.arena = a;
    q->params = fr_arena_alloc(a, (r->column_count + 1) * sizeof(char *));
    q->columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(size_t));
    put_wide_xid(q, xid, a);
    for (size_t i = 0; i < r->column_count; i++) {
        if (e->after.values[i].kind != FR_ABSENT)
            continue;
        fr_str name = fr_pg_ident(a, r->columns[i].name, NULL);
        fr_buf_printf(&q->sql, ", t.%.*s", FR_ARG(name));
        q->columns[q->column_count++] = i;
    }
    fr_str from = fr_pg_qualified(a, r->space, r->name);
    fr_buf_printf(&q->sql, " FROM ours LEFT JOIN %.*s t ON true", FR_ARG(from));
    for (size_t i = 0; i < r->column_count; i++) {
        const fr_value *v = &e->after.values[i];
        if (!r->columns[i].identity)
            continue;
        if (v->kind <= FR_NULL || v->kind == FR_JSON)
            return false;
        fr_str name = fr_pg_ident(a, r->columns[i].name, NULL);
        fr_str text = fr_wal_value_text(a, &e->table->columns[i], v);
        q->params[q->param_count++] = fr_arena_cstr(a, text);
        fr_buf_printf(&q->sql, " AND t.%.*s = $%d", FR_ARG(name), q->param_count);
    }
    fr_buf_u8(&q->sql, '\0');
    return q->param_count > 1;
}

static void cannot(fr_batch *b, fr_event *e, const char *why)
{
    e->bad = fr_arena_printf(
        b->arena,
        "%.*s.%.*s: the key changed beside a TOASTed value that did not; the log does not have "
        "the value, and %s. ALTER TABLE ... REPLICA IDENTITY FULL puts it into the log",
        FR_ARG(e->table->space), FR_ARG(e->table->name), why);
}

static fr_rc take_value(fr_wal_shapes *h, fr_batch *b, fr_event *e, const fr_pg_attr *attr,
                        fr_str text, bool null, fr_value *out, fr_err *err)
{
    fr_pg_codec codec;
    if (null) {
        out->kind = FR_NULL;
        return FR_OK;
    }
    FR_TRY(fr_pg_resolve(h->types, attr->type, attr->typmod, attr->as_text, b->arena, &codec, NULL,
                         err));
    codec.infinite = attr->debezium;
    fr_err why;
    if (fr_pg_decode_text(&codec, b->arena, fr_arena_str(b->arena, text), out, &why) == FR_FAIL)
        cannot(b, e, why.text);
    return FR_OK;
}

/* The row was deleted, or got another key once more, by a transaction that is visible: what it did
 * comes in the log after this event, and consumers end up right without the value. Not so if the
 * server forgets that transaction in a crash (synchronous_commit = off): only what is flushed
 * counts. */
static fr_rc is_gone(const fr_wal_shapes *h, PGconn *conn, fr_event *e, fr_err *err)
{
    static const char flushed_sql[] =
        "SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::pg_lsn, pg_catalog.pg_sleep($2)";
    enum { LOOKS = 20 };     /* a second; the WAL writer flushes every wal_writer_delay (200 ms) */
    if (h->s->in_recovery) { /* what is replayed was flushed where it came from */
        e->gone = true;
        return FR_OK;
    }
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the log's end", "SELECT pg_catalog.pg_current_wal_insert_lsn()",
                       NULL, 0, &res, err));
    char end[24];
    snprintf(end, sizeof(end), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    for (int i = 0; i < LOOKS && !e->gone; i++) {
        const char *params[] = {end, i == 0 ? "0" : "0.05"};
        FR_TRY(fr_pg_query(conn, "wait for the log", flushed_sql, params, 2, &res, err));
        e->gone = fr_pg_bool(res, 0, 0);
        PQclear(res);
    }
    if (e->gone)
        return FR_OK;
    fr_fail(err, FR_ERR_BUSY, "%.*s.%.*s: what became of a row is not in the log yet",
            FR_ARG(e->table->space), FR_ARG(e->table->name));
    return fr_fail_code(err, "pg.not_flushed");
}

static fr_rc take_answer(fr_wal_shapes *h, PGconn *conn, fr_batch *b, fr_event *e,
                         const question *q, const fr_wal_shape *shape, const PGresult *res,
                         fr_err *err)
{
    if (PQntuples(res) > 0 && !fr_pg_bool(res, 0, 0)) {
        fr_fail(err, FR_ERR_BUSY,
                "%.*s.%.*s: transaction is in the log but not visible yet "
                "(synchronous replication waits)",
                FR_ARG(e->table->space), FR_ARG(e->table->name));
        return fr_fail_code(err, "pg.not_visible");
    }
    if (PQntuples(res) == 1 && !fr_pg_bool(res, 0, 1))
        return is_gone(h, conn, e, err);
    if (PQntuples(res) != 1) {
        cannot(b, e, "its key is not unique in the table");
        return FR_OK;
    }
    fr_value *after = (fr_value *)(uintptr_t)e->after.values;
    fr_buf names = {.arena = b->arena};
    for (size_t i = 0; i < q->column_count; i++) {
        size_t at = q->columns[i];
        const fr_pg_attr *attr = &shape->relation.columns[at];
        FR_TRY(take_value(h, b, e, attr, fr_pg_text(res, 0, (int)i + 2),
                          PQgetisnull(res, 0, (int)i + 2) != 0, &after[at], err));
        fr_buf_text(&names, i > 0 ? "," : "");
        fr_buf_str(&names, attr->name);
    }
    e->name = fr_buf_view(&names);
    return FR_OK;
}

static fr_rc read_again(fr_wal_shapes *h, fr_batch *b, fr_event *e, const fr_wal_shape *shape,
                        uint32_t xid, fr_err *err)
{
    question q = {.param_count = 0};
    if (!ask(&q, shape, e, xid, b->arena)) {
        cannot(b, e, "the row cannot be found by its key");
        return FR_OK;
    }
    PGconn *conn = NULL;
    PGresult *res = NULL;
    FR_TRY(fr_wal_take(h->s, &conn, err));
    fr_rc rc = fr_pg_query(conn, "read a row again", (const char *)q.sql.ptr, q.params,
                           q.param_count, &res, err);
    if (rc != FR_FAIL)
        rc = take_answer(h, conn, b, e, &q, shape, res, err);
    else if (err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_AUTH) {
        cannot(b, e, err->text); /* the column or table is gone by now, or no SELECT */
        rc = FR_OK;
    }
    PQclear(res);
    fr_wal_give(h->s, conn);
    return rc;
}

fr_rc fr_wal_reread(fr_wal_shapes *h, fr_batch *b, fr_event *e, uint32_t xid, fr_err *err)
{
    take_from_before(e);
    if (!fr_wal_needs_reread(e))
        return FR_OK;
    const fr_wal_shape *shape = fr_wal_shapes_find(h, e->table->source_id);
    if (shape == NULL || shape->relation.column_count != e->after.count) {
        cannot(b, e, "the table's shape is not known");
        return FR_OK;
    }
    return read_again(h, b, e, shape, xid, err);
}
