#include "base/clock.h"
#include "base/json.h"
#include "connectors/postgres/pg_copy.h"
#include "connectors/postgres/wal_source.h"
#include "connectors/postgres/wal_split.h"
#include "connectors/postgres/wal_wait.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_wal_source *)(base))

/* Up to this size a message is copied and given back to libpq: its allocator then hands out
 * the same warm block again. Larger ones are adopted. */
enum { COPY_BELOW = 8192 };

typedef struct chunk_reader {
    fr_reader base;
    fr_wal_source *s;
    PGconn *conn;
    fr_pg_copy copy;
    fr_wal_wake wake;
    fr_buf pending; /* a row that found the batch full */
    PGconn **stays; /* fr_wal_way */
    bool ended;
} chunk_reader;

#define READER(base) ((chunk_reader *)(base))

/* ---- the range and the condition, as SQL ---- */

static const fr_wal_view *view_named(fr_wal_source *s, fr_str name)
{
    pthread_mutex_lock(&s->lock);
    const fr_wal_view *v = s->views;
    while (v != NULL && !fr_str_is(name, v->name))
        v = v->older;
    pthread_mutex_unlock(&s->lock);
    return v;
}

static int table_order(const fr_pg_relation *r, fr_str space, fr_str name)
{
    int order = fr_str_cmp(r->space, space);
    return order != 0 ? order : fr_str_cmp(r->name, name);
}

/* The catalog is in the server's order of bytes, which is ours unless its encoding is not UTF-8:
 * what is not found where it should be is looked for everywhere. */
size_t fr_wal_view_table(const fr_wal_view *v, fr_str space, fr_str name)
{
    const fr_wal_table *tables = v->catalog.tables;
    size_t low = 0, high = v->catalog.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = table_order(&tables[middle].relation, space, name);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t i = 0;
    while (i < v->catalog.count && table_order(&tables[i].relation, space, name) != 0)
        i++;
    return i;
}

static fr_rc bad_bound(fr_err *err, fr_str text)
{
    (void)text; /* a key: never shown */
    fr_fail(err, FR_ERR_POSITION, "a stored chunk does not fit the table's key");
    fr_fail_code(err, "pg.chunk");
    return fr_fail_hint(err, "was the primary key changed since? start this table's snapshot "
                             "over: freshet position reset SOURCE (stopped)");
}

/* ("a", "b") >= ('1'::integer, 'x'::text), from ["1","x"]. */
static fr_rc put_bound(fr_buf *b, fr_arena *a, const fr_wal_table *t, const char *comparison,
                       fr_str bound, fr_err *err)
{
    json_t *texts = NULL;
    if (fr_json_parse(bound, &texts, err) == FR_FAIL)
        return bad_bound(err, bound);
    fr_rc rc = FR_OK;
    bool bad = false;
    fr_str keys = fr_wal_key_sql(a, t, "");
    fr_buf_printf(b, "(%.*s) %s (", FR_ARG(keys), comparison);
    if (!json_is_array(texts) || json_array_size(texts) != t->key_count)
        rc = bad_bound(err, bound);
    for (size_t i = 0; rc != FR_FAIL && i < t->key_count; i++) {
        const json_t *text = json_array_get(texts, i);
        fr_str value = {json_string_value(text), json_string_length(text)};
        fr_str literal = fr_pg_literal(a, value, &bad);
        if (!json_is_string(text) || bad)
            rc = bad_bound(err, bound);
        fr_buf_printf(b, "%s%.*s::%.*s", i > 0 ? ", " : "", FR_ARG(literal),
                      FR_ARG(t->columns[t->key[i]].type));
    }
    fr_buf_u8(b, ')');
    json_decref(texts);
    return rc;
}

static fr_rc range_sql(fr_arena *a, const fr_wal_table *t, const fr_chunk *c, fr_str *out,
                       fr_err *err)
{
    fr_buf b = {.arena = a};
    bool from = !c->whole && c->from.len > 0, to = !c->whole && c->to.len > 0;
    if (c->where.len > 0)
        fr_buf_printf(&b, "(\n%.*s\n)%s", FR_ARG(c->where), from || to ? " AND " : "");
    if (from)
        FR_TRY(put_bound(&b, a, t, c->after ? ">" : ">=", c->from, err));
    if (from && to)
        fr_buf_text(&b, " AND ");
    if (to)
        FR_TRY(put_bound(&b, a, t, "<", c->to, err));
    *out = fr_buf_view(&b);
    return FR_OK;
}

static fr_rc put_copy(fr_buf *b, fr_arena *a, const fr_wal_table *t, const fr_chunk *c, bool binary,
                      fr_err *err)
{
    fr_str range;
    FR_TRY(range_sql(a, t, c, &range, err));
    fr_str rows = fr_wal_rows_sql(a, t, range);
    fr_buf_text(b, " COPY (SELECT ");
    for (size_t i = 0; i < t->relation.column_count; i++) {
        fr_str name = fr_pg_ident(a, t->relation.columns[i].name, NULL);
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(name));
    }
    fr_buf_printf(b, " FROM %.*s", FR_ARG(rows));
    if (!c->whole) {
        fr_str keys = fr_wal_key_sql(a, t, "");
        fr_buf_printf(b, " ORDER BY %.*s", FR_ARG(keys));
    }
    fr_buf_printf(b, ") TO STDOUT (FORMAT %s)", binary ? "binary" : "text");
    return FR_OK;
}

/* ---- going to the view ---- */

/* All of a chunk is one message, so that a thousand small tables do not cost five thousand round
 * trips: go to the view, keep ALTER TABLE out, ask whether it had been here before us, read, leave.
 *
 * A rewriting ALTER TABLE or a TRUNCATE after the view leaves an older snapshot nothing to see,
 * without an error. pg_class is read at the view, pg_relation_filenode is of now. */
static void put_way_in(fr_buf *b, const fr_wal_view *v, const fr_wal_table *t)
{
    fr_buf_printf(b,
                  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s';"
                  " SET LOCAL lock_timeout = '30s'; LOCK TABLE %s%.*s IN ACCESS SHARE MODE;",
                  v->name, t->kind == 'p' ? "" : "ONLY ", FR_ARG(t->qualified));
    if (t->kind != 'p')
        fr_buf_printf(b,
                      " SELECT relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(oid)"
                      " FROM pg_catalog.pg_class WHERE oid = %" PRIu32 ";",
                      t->relation.oid);
    else
        fr_buf_printf(b,
                      " WITH RECURSIVE tree AS (SELECT %" PRIu32 "::oid AS relid UNION ALL"
                      " SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_class p"
                      "  ON p.oid = tree.relid AND p.relkind = 'p'"
                      " JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.relid)"
                      " SELECT count(*) > 0 FROM tree JOIN pg_catalog.pg_class c ON c.oid = relid"
                      " WHERE c.relkind = 'r' AND c.relfilenode IS DISTINCT FROM"
                      " pg_catalog.pg_relation_filenode(c.oid);",
                      t->relation.oid);
}

static fr_rc rewritten(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "the table was truncated, or rewritten by ALTER TABLE or VACUUM "
            "FULL, since its snapshot began: old rows cannot be seen any "
            "more");
    fr_fail_code(err, "pg.table_rewritten");
    return fr_fail_hint(err, "start the snapshot over: freshet position reset SOURCE (stopped)");
}

static fr_rc view_lost(fr_err *err)
{
    err->kind = FR_ERR_CONNECT;
    fr_fail_code(err, "pg.view_lost");
    return fr_fail_hint(err,
                        "the connection that held the snapshot is gone; what is left is read at "
                        "a new one");
}

/* Opened anew the driver sees that it is not there, and goes on with the others. */
static fr_rc table_gone(fr_err *err)
{
    err->kind = FR_ERR_CONNECT;
    fr_fail_code(err, "pg.table_gone");
    return fr_fail_hint(err, "the table was dropped or renamed since its snapshot began");
}

/* Of LOCK TABLE: behind it what is missing is something that a condition names. */
static bool is_gone(const fr_err *err)
{
    return strcmp(err->sqlstate, "42P01") == 0 || /* undefined_table */
           strcmp(err->sqlstate, "3F000") == 0;   /* invalid_schema_name */
}

static fr_rc read_fail(chunk_reader *r, const PGresult *res, fr_err *err)
{
    fr_pg_fail(r->conn, res, "read rows", err);
    if (strcmp(err->sqlstate, "22021") == 0) { /* character_not_in_repertoire */
        fr_fail(err, FR_ERR_DATA, "read rows: text that is not UTF-8");
        fr_fail_code(err, "pg.value.utf8");
        fr_fail_hint(err, "correct the rows, or leave the column out (columns.exclude)");
    }
    return FR_FAIL;
}

/* Are the columns of a result those of the relation, as PostgreSQL describes results? */
static bool shows(const PGresult *res, const fr_pg_relation *of)
{
    if ((size_t)PQnfields(res) != of->column_count)
        return false;
    for (int i = 0; i < PQnfields(res); i++) {
        const fr_pg_attr *attr = &of->columns[i];
        if (!fr_str_is(attr->name, PQfname(res, i)) || attr->type != PQftype(res, i) ||
            attr->typmod != PQfmod(res, i))
            return false;
    }
    return true;
}

/* What check's result says. */
static bool is_other(const PGresult *res, const fr_wal_way *w)
{
    if (w->shown != NULL)
        return !shows(res, w->shown);
    return PQntuples(res) == 1 && fr_pg_bool(res, 0, 0);
}

/* The results in their order, until rows come. */
static fr_rc way_in(chunk_reader *r, const fr_wal_way *w, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_start(r->conn, "read rows", w->sql, &res, err));
    for (int step = 0; step <= w->copy; step++) {
        ExecStatusType status = PQresultStatus(res);
        bool fine = step == w->copy ? status == PGRES_COPY_OUT
                                    : status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        fr_rc rc = FR_OK;
        if (!fine)
            rc = step == w->copy ? read_fail(r, res, err)
                                 : fr_pg_fail(r->conn, res, w->steps[step], err);
        if (!fine && step == w->view &&
            (strcmp(err->sqlstate, "22023") == 0 || strcmp(err->sqlstate, "42704") == 0))
            rc = view_lost(err);
        if (!fine && w->lock != 0 && step == w->lock && is_gone(err))
            rc = table_gone(err);
        if (fine && step == w->check && is_other(res, w))
            rc = w->checked(err);
        PQclear(res);
        FR_TRY(rc);
        if (step < w->copy)
            FR_TRY(fr_pg_next(r->conn, &res, err));
    }
    return FR_OK;
}

static fr_rc start_copy(chunk_reader *r, const fr_wal_view *v, size_t table, const fr_chunk *c,
                        fr_err *err)
{
    const fr_wal_table *t = &v->catalog.tables[table];
    fr_arena *a = fr_arena_new(0);
    fr_buf b = {.arena = a};
    put_way_in(&b, v, t);
    fr_rc rc = put_copy(&b, a, t, c, v->layouts[table]->binary_safe, err);
    fr_buf_text(&b, "; COMMIT");
    fr_buf_u8(&b, '\0');
    static const char *const steps[] = {"begin", "go to the snapshot", "prepare the session",
                                        "lock against ALTER TABLE", "check for a rewrite"};
    fr_wal_way way = {.sql = (const char *)b.ptr,
                      .steps = steps,
                      .view = 1,
                      .lock = 3,
                      .check = 4,
                      .checked = rewritten,
                      .copy = 5};
    if (rc != FR_FAIL)
        rc = way_in(r, &way, err);
    fr_arena_free(a);
    return rc;
}

/* ---- reading ---- */

/* The results of COPY and, unless the transaction stays, of COMMIT. */
static fr_rc finish(chunk_reader *r, fr_err *err)
{
    fr_rc rc = FR_OK;
    PGresult *res = NULL;
    for (int i = 0; i < (r->stays == NULL ? 2 : 1) && rc != FR_FAIL; i++) {
        FR_TRY(fr_pg_next(r->conn, &res, err));
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            rc = read_fail(r, res, err);
        PQclear(res);
    }
    while (rc != FR_FAIL && (res = PQgetResult(r->conn)) != NULL)
        PQclear(res);
    FR_TRY(rc);
    r->ended = true;
    if (r->stays != NULL)
        *r->stays = r->conn;
    else
        fr_wal_give(r->s, r->conn);
    r->conn = NULL;
    return FR_OK;
}

/* FR_IDLE: the batch is full, the row waits. The row is in the batch's memory already, and must
 * not fill the batch before its event is in: one above max_bytes would wait for ever. */
static fr_rc take_row(chunk_reader *r, fr_batch *batch, fr_str row, fr_err *err)
{
    size_t before = batch->count;
    batch->max_bytes += row.len;
    fr_rc rc = fr_pg_copy_row(&r->copy, batch, row, err);
    batch->max_bytes -= row.len;
    fr_wal_too_big(r->s->settings, batch, before, row.len);
    if (rc == FR_IDLE) {
        r->pending.len = 0;
        fr_buf_str(&r->pending, row);
    }
    return rc;
}

static fr_str keep_message(fr_batch *batch, char *message, int len)
{
    if (len < COPY_BELOW) {
        fr_str kept = fr_arena_copy(batch->arena, message, (size_t)len);
        PQfreemem(message);
        return kept;
    }
    fr_arena_adopt(batch->arena, message, (size_t)len, PQfreemem);
    return (fr_str){message, (size_t)len};
}

static fr_rc take_pending(chunk_reader *r, fr_batch *batch, fr_err *err)
{
    if (r->pending.len == 0)
        return FR_OK;
    fr_str row = fr_arena_str(batch->arena, fr_buf_view(&r->pending));
    r->pending.len = 0;
    return take_row(r, batch, row, err);
}

/* FR_OK: something was read; FR_IDLE: the batch is full; FR_END: nothing is there now. */
static fr_rc read_some(chunk_reader *r, fr_batch *batch, fr_err *err)
{
    char *message = NULL;
    int len = PQgetCopyData(r->conn, &message, 1);
    if (len == 0)
        return FR_END;
    if (len == -1)
        return finish(r, err);
    if (len < 0)
        return read_fail(r, NULL, err);
    FR_TRY(take_row(r, batch, keep_message(batch, message, len), err));
    return fr_batch_full(batch) ? FR_IDLE : FR_OK;
}

static fr_rc chunk_fill(fr_reader *base, fr_batch *batch, int64_t deadline_us, fr_err *err)
{
    chunk_reader *r = READER(base);
    size_t before = batch->count;
    fr_rc rc = take_pending(r, batch, err);
    while (rc == FR_OK && !r->ended && !fr_batch_full(batch)) {
        rc = read_some(r, batch, err);
        if (rc != FR_END)
            continue;
        rc = fr_wal_wait(r->conn, &r->wake, deadline_us, err);
        if (rc == FR_OK && PQconsumeInput(r->conn) == 0)
            rc = read_fail(r, NULL, err);
        if (rc == FR_IDLE && (fr_wal_wake_seen(&r->wake) || fr_now_us() >= deadline_us))
            break;
        if (rc == FR_IDLE)
            rc = FR_OK;
    }
    FR_TRY(rc);
    if (batch->count > before)
        return FR_OK;
    return r->ended ? FR_END : FR_IDLE;
}

static void chunk_interrupt(fr_reader *base)
{
    fr_wal_wake_up(&READER(base)->wake);
}

static void chunk_close(fr_reader *base)
{
    chunk_reader *r = READER(base);
    if (r == NULL)
        return;
    fr_wal_give(r->s, r->conn); /* in the middle of a COPY it is closed */
    fr_pg_copy_end(&r->copy);
    fr_buf_free(&r->pending);
    fr_wal_wake_close(&r->wake);
    free(r);
}

static const fr_reader_ops chunk_ops = {
    .fill = chunk_fill, .interrupt = chunk_interrupt, .close = chunk_close};

static chunk_reader *new_reader(fr_wal_source *s, const fr_pg_layout *layout)
{
    chunk_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &chunk_ops;
    r->s = s;
    r->wake.fd = -1;
    r->copy = (fr_pg_copy){.layout = layout, .binary = layout->binary_safe};
    return r;
}

static fr_rc connect_reader(chunk_reader *r, fr_err *err)
{
    FR_TRY(fr_wal_wake_open(&r->wake, err));
    return r->conn != NULL ? FR_OK : fr_wal_take(r->s, &r->conn, err);
}

fr_rc fr_wal_read_rows(fr_wal_source *s, const fr_pg_layout *layout, const fr_wal_way *way,
                       fr_reader **out, fr_err *err)
{
    chunk_reader *r = new_reader(s, layout);
    r->stays = way->stays;
    r->conn = way->conn;
    fr_rc rc = connect_reader(r, err);
    if (rc != FR_FAIL)
        rc = way_in(r, way, err);
    if (rc == FR_FAIL) {
        chunk_close(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

fr_rc fr_wal_read_chunk(fr_source *base, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                        fr_err *err)
{
    fr_wal_source *s = SOURCE(base);
    const fr_wal_view *v = view_named(s, plan->view);
    if (v == NULL)
        return fr_fail(err, FR_ERR_BUG, "read a chunk: no view %.*s", FR_ARG(plan->view));
    size_t table = fr_wal_view_table(v, c->space, c->name);
    if (table == v->catalog.count) {
        fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s is not captured (any more)", FR_ARG(c->space),
                FR_ARG(c->name));
        return fr_fail_code(err, "pg.table");
    }
    chunk_reader *r = new_reader(s, v->layouts[table]);
    /* Just below the view: a commit may have the very LSN of the view, and comes after. */
    r->copy.view_lsn = plan->view_lsn - 1;
    r->copy.epoch = plan->epoch;
    fr_rc rc = connect_reader(r, err);
    if (rc != FR_FAIL)
        rc = start_copy(r, v, table, c, err);
    if (rc == FR_FAIL) {
        chunk_close(&r->base);
        return fr_fail_in(err, "snapshot of %.*s.%.*s", FR_ARG(c->space), FR_ARG(c->name));
    }
    *out = &r->base;
    return FR_OK;
}
