#include "base/clock.h"
#include "connectors/mysql/binlog_split.h"
#include "connectors/mysql/my_rows.h"
#include <stdlib.h>
#include <string.h>

#define SOURCE(base) ((fr_binlog_source *)(base))
#define READER(base) ((chunk_reader *)(base))

enum { SLOT_WAIT_US = 2000, ROWS_BETWEEN_LOOKS = 64 };
enum {
    TABLE_DEF_CHANGED = 1412,
    LOCK_WAIT_TIMEOUT = 1205,
    NO_SUCH_TABLE = 1146,
    NO_SUCH_DATABASE = 1049
};

typedef struct chunk_reader {
    fr_reader base;
    fr_binlog_source *s;
    fr_binlog_view *v;
    size_t table; /* of the view's catalog */
    fr_buf sql;
    fr_binlog_slot *slot; /* NULL: none was free yet */
    fr_my_row_reader rows;
    MYSQL_RES *res;
    MYSQL_ROW row; /* one that found the batch full */
    bool whole, ended, failed;
    atomic_bool asked;
} chunk_reader;

/* ---- starting ---- */

static void put_select(fr_buf *b, const fr_my_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "SELECT ");
        fr_my_select(b, &r->columns[i], true);
    }
}

/* The one that we read, and not one that a condition names. */
static bool is_gone(const chunk_reader *r, const fr_err *err)
{
    const fr_my_relation *t = &r->v->catalog.tables[r->table].relation;
    fr_arena *a = fr_arena_new(256);
    fr_str name = {"", 0};
    if (err->native == NO_SUCH_TABLE)
        name = fr_arena_printf(a, "'%.*s.%.*s'", FR_ARG(t->space), FR_ARG(t->name));
    else if (err->native == NO_SUCH_DATABASE)
        name = fr_arena_printf(a, "'%.*s'", FR_ARG(t->space));
    bool gone = name.len > 0 && strstr(err->text, fr_arena_cstr(a, name)) != NULL;
    fr_arena_free(a);
    return gone;
}

static fr_rc read_fail(chunk_reader *r, fr_err *err)
{
    r->failed = true;
    fr_my_fail(r->slot->my, "read rows", err);
    if (is_gone(r, err)) {
        err->kind = FR_ERR_CONNECT; /* opened anew the driver sees it, and goes on without */
        fr_fail_code(err, "my.table_gone");
        return fr_fail_hint(err, "the table was dropped or renamed since its snapshot began");
    }
    if (err->native == TABLE_DEF_CHANGED) {
        err->kind = FR_ERR_CONNECT;
        fr_fail_code(err, "my.table_changed");
        return fr_fail_hint(err, "the table was altered or truncated since its snapshot began; "
                                 "what is left is read at a new one");
    }
    if (err->native == LOCK_WAIT_TIMEOUT) {
        fr_fail_code(err, "my.table_locked");
        return fr_fail_hint(err, "somebody locks or alters the table, and is given way to; what is "
                                 "left is read at a new view");
    }
    return FR_FAIL;
}

static fr_rc layout_of(chunk_reader *r, fr_err *err)
{
    fr_binlog_slot *slot = r->slot;
    if (slot->layouts == NULL)
        slot->layouts = fr_malloc((r->v->catalog.count + 1) * sizeof(fr_my_layout *));
    if (slot->layouts[r->table] == NULL)
        FR_TRY(fr_my_layout_new(&r->v->catalog.tables[r->table].relation, 1,
                                &slot->layouts[r->table], err));
    r->rows.layout = slot->layouts[r->table];
    return FR_OK;
}

static fr_rc start(chunk_reader *r, fr_err *err)
{
    FR_TRY(layout_of(r, err));
    MYSQL *m = r->slot->my->mysql;
    if (mysql_real_query(m, (const char *)r->sql.ptr, r->sql.len) != 0)
        return read_fail(r, err);
    r->res = mysql_use_result(m);
    return r->res == NULL ? read_fail(r, err) : FR_OK;
}

/* Readers may be more than connections that see the view: they wait for one. */
static fr_rc wait_for_slot(chunk_reader *r, int64_t deadline_us, fr_err *err)
{
    for (;;) {
        bool lost;
        r->slot = fr_binlog_slot_take(r->s, r->v, &lost);
        if (r->slot != NULL)
            return start(r, err);
        if (lost) {
            fr_fail(err, FR_ERR_CONNECT, "the connections that saw the snapshot are gone");
            fr_fail_code(err, "my.view_lost");
            return fr_fail_hint(err, "what is left is read at a new one");
        }
        if (atomic_load(&r->asked) || fr_now_us() >= deadline_us)
            return FR_IDLE;
        fr_sleep_us(SLOT_WAIT_US);
    }
}

/* ---- rows ---- */

static fr_rc finish(chunk_reader *r, fr_err *err)
{
    if (mysql_errno(r->slot->my->mysql) != 0)
        return read_fail(r, err);
    mysql_free_result(r->res);
    r->res = NULL;
    FR_TRY(fr_binlog_view_let_go(r->slot->my, err));
    r->ended = true;
    fr_binlog_slot_give(r->s, r->v, r->slot, false);
    r->slot = NULL;
    return FR_OK;
}

/* FR_IDLE: the batch is full; FR_END: the chunk is read. */
static fr_rc read_row(chunk_reader *r, fr_batch *b, fr_err *err)
{
    MYSQL_ROW row = r->row != NULL ? r->row : mysql_fetch_row(r->res);
    r->row = NULL;
    if (row == NULL)
        return finish(r, err) == FR_FAIL ? FR_FAIL : FR_END;
    fr_rc rc = fr_my_row(&r->rows, b, row, mysql_fetch_lengths(r->res));
    if (rc == FR_IDLE)
        r->row = row;
    return rc;
}

static fr_rc fill(chunk_reader *r, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    fr_rc rc = FR_OK;
    if (r->slot == NULL && !r->ended)
        rc = wait_for_slot(r, deadline_us, err);
    for (unsigned n = 1; rc == FR_OK && !r->ended && !fr_batch_full(b); n++) {
        rc = read_row(r, b, err);
        if (n % ROWS_BETWEEN_LOOKS == 0 && (atomic_load(&r->asked) || fr_now_us() >= deadline_us))
            break;
    }
    return rc;
}

static fr_rc chunk_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    chunk_reader *r = READER(base);
    size_t before = b->count;
    fr_rc rc = fill(r, b, deadline_us, err);
    if (rc == FR_FAIL) {
        const fr_my_relation *t = &r->v->catalog.tables[r->table].relation;
        return fr_fail_in(err, "snapshot of %.*s.%.*s", FR_ARG(t->space), FR_ARG(t->name));
    }
    if (b->count > before)
        return FR_OK;
    return r->ended ? FR_END : FR_IDLE;
}

static void chunk_interrupt(fr_reader *base)
{
    atomic_store(&READER(base)->asked, true);
}

static void chunk_close(fr_reader *base)
{
    chunk_reader *r = READER(base);
    if (r == NULL)
        return;
    /* To free a result that is not read to its end reads it: a chunk's rows, but not a whole
     * table's. */
    bool unread = r->slot != NULL && !r->ended;
    fr_err ignored;
    bool broken = unread && (r->failed || r->whole);
    if (broken)
        fr_my_interrupt(r->slot->my);
    mysql_free_result(r->res);
    if (unread && !broken)
        broken = fr_binlog_view_let_go(r->slot->my, &ignored) == FR_FAIL;
    fr_binlog_slot_give(r->s, r->v, r->slot, broken);
    fr_buf_free(&r->sql);
    free(r);
}

static const fr_reader_ops chunk_ops = {
    .fill = chunk_fill, .interrupt = chunk_interrupt, .close = chunk_close};

static fr_binlog_view *view_named(fr_binlog_source *s, fr_str name)
{
    pthread_mutex_lock(&s->lock);
    fr_binlog_view *v = s->views;
    while (v != NULL && !fr_str_eq(name, v->name))
        v = v->older;
    pthread_mutex_unlock(&s->lock);
    return v;
}

fr_rc fr_binlog_read_chunk(fr_source *base, const fr_plan *plan, const fr_chunk *c, fr_reader **out,
                           fr_err *err)
{
    fr_binlog_source *s = SOURCE(base);
    fr_binlog_view *v = view_named(s, plan->view);
    if (v == NULL)
        return fr_fail(err, FR_ERR_BUG, "read a chunk: no view %.*s", FR_ARG(plan->view));
    size_t table = fr_binlog_view_table(v, c->space, c->name);
    if (table == v->catalog.count) {
        fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s is not captured (any more)", FR_ARG(c->space),
                FR_ARG(c->name));
        return fr_fail_code(err, "my.table");
    }
    chunk_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &chunk_ops;
    r->s = s;
    r->v = v;
    r->table = table;
    /* Just below the view: the next group has the very place of the view, and comes after. */
    r->rows = (fr_my_row_reader){.max_row_bytes = s->settings->max_row_bytes,
                                 .lsn = plan->view_lsn - 1,
                                 .epoch = plan->epoch,
                                 .place = "the snapshot"};
    r->whole = c->whole;
    const fr_binlog_table *t = &v->catalog.tables[table];
    put_select(&r->sql, &t->relation);
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_binlog_rows_sql(a, t, c, &r->sql, err);
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        chunk_close(&r->base);
        return fr_fail_in(err, "snapshot of %.*s.%.*s", FR_ARG(c->space), FR_ARG(c->name));
    }
    *out = &r->base;
    return FR_OK;
}
