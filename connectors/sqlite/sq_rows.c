/* Rows of a page as READ events. */
#include "base/clock.h"
#include "connectors/sqlite/sq_query.h"
#include "connectors/sqlite/sq_value.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_BETWEEN_LOOKS = 64, AHEAD_BYTES = 8 << 20 };
static const char doing[] = "read rows of";

/* Rows that were read before there was a batch for them. */
typedef struct rows_ahead {
    fr_arena *arena;
    fr_buf cells; /* of fr_sq_cell, row by row */
    size_t count, at;
} rows_ahead;

typedef struct page_reader {
    fr_reader base;
    fr_sq_sql *c;
    const fr_sq_relation *relation;
    sqlite3_stmt *stmt; /* NULL: all rows were read, and the view is closed */
    fr_sq_cell *row;    /* the next row; one that found the batch full stays */
    fr_sq_cell *cells;  /* room for one */
    rows_ahead ahead;
    bool announced; /* the TABLE event is out */
    bool stays;     /* the transaction stays open */
    atomic_bool asked;
} page_reader;

#define READER(base) ((page_reader *)(base))

static void set_bad(const page_reader *r, size_t column, fr_batch *b, fr_event *e,
                    const fr_err *err)
{
    const fr_table *t = r->relation->base.table;
    const fr_column *c = &t->columns[column];
    if (e->bad.len == 0)
        e->bad = fr_arena_printf(b->arena, "%.*s.%.*s column %.*s (%.*s) at a poll: %s; %s",
                                 FR_ARG(t->space), FR_ARG(t->name), FR_ARG(c->name),
                                 FR_ARG(c->native_type), err->text, fr_err_hint(err));
}

static fr_sq_cell cell_at(sqlite3_stmt *stmt, int i)
{
    fr_sq_cell cell = {.class = sqlite3_column_type(stmt, i)};
    if (cell.class == SQLITE_INTEGER)
        cell.integer = sqlite3_column_int64(stmt, i);
    else if (cell.class == SQLITE_FLOAT)
        cell.real = sqlite3_column_double(stmt, i);
    else if (cell.class != SQLITE_NULL)
        cell.bytes = fr_sq_bytes(stmt, i);
    return cell;
}

/* Passes by itself: the source begins anew, and looks at all times of the table. */
static fr_rc form_is_known_now(fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "a time shows how fractions of zero are written: it begins anew");
    return fr_fail_code(err, "sqlite.time_form");
}

static fr_rc put_cell(page_reader *r, fr_batch *b, fr_event *e, size_t i, const fr_sq_cell *cell,
                      fr_value *out, fr_err *err)
{
    const fr_sq_column *c = &r->relation->shape.columns[i];
    const bool *wanted = r->relation->base.wanted;
    fr_err why;
    if (cell->class == SQLITE_NULL && (c->nullable || (wanted != NULL && !wanted[i]))) {
        out->kind = FR_NULL;
        return FR_OK;
    }
    fr_rc rc = FR_FAIL;
    if (cell->class == SQLITE_NULL) {
        fr_fail(&why, FR_ERR_DATA, "NULL in a column of the key");
        fr_fail_hint(&why, "correct the row, and declare the column NOT NULL");
    } else {
        rc = fr_sq_decode(c, cell, b->arena, out, &why);
    }
    if (rc == FR_FAIL && (int)i == r->relation->cursor) { /* nobody knows where it belongs */
        *err = why;
        return fr_fail_in(err, "%.*s.%.*s column %.*s", FR_ARG(r->relation->shape.space),
                          FR_ARG(r->relation->shape.name), FR_ARG(c->name));
    }
    if (rc == FR_FAIL)
        set_bad(r, i, b, e, &why);
    return rc == FR_IDLE ? form_is_known_now(err) : FR_OK;
}

static void too_big(const page_reader *r, fr_batch *b, fr_event *e, size_t bytes)
{
    int64_t max = r->c->settings->max_row_bytes;
    if (max > 0 && bytes > (size_t)max && e->bad.len == 0)
        e->bad = fr_arena_printf(b->arena,
                                 "%.*s.%.*s: a row of %zu bytes is above daemon.max_row_bytes "
                                 "(%" PRId64 ")",
                                 FR_ARG(e->table->space), FR_ARG(e->table->name), bytes, max);
}

/* FR_IDLE: the batch is full, and the row stays. */
static fr_rc put_row(page_reader *r, fr_batch *b, fr_err *err)
{
    const fr_table *t = r->relation->base.table;
    if (!r->announced && fr_batch_add(b, FR_OP_TABLE, t) == NULL)
        return FR_IDLE;
    r->announced = true;
    fr_event *e = fr_batch_add(b, FR_OP_READ, t);
    if (e == NULL)
        return FR_IDLE;
    fr_value *values = fr_batch_row(b, t, &e->after);
    size_t bytes = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_sq_cell *cell = &r->row[i];
        bytes += cell->class == SQLITE_TEXT || cell->class == SQLITE_BLOB ? cell->bytes.len : 8;
        FR_TRY(put_cell(r, b, e, i, cell, &values[i], err));
    }
    too_big(r, b, e, bytes);
    return FR_OK;
}

static fr_rc finish(page_reader *r, fr_err *err)
{
    sqlite3_finalize(r->stmt);
    r->stmt = NULL;
    return r->stays ? FR_OK : fr_sq_exec(r->c->conn, doing, "COMMIT", err);
}

/* The next row of the statement into cells, valid until the one after it. FR_END: none. */
static fr_rc step(page_reader *r, fr_sq_cell *cells, fr_err *err)
{
    fr_rc rc = fr_sq_step(r->c->conn, doing, r->stmt, err);
    FR_TRY(rc);
    if (rc == FR_END)
        return finish(r, err) == FR_FAIL ? FR_FAIL : FR_END;
    r->c->taken++;
    for (size_t i = 0; i < r->relation->base.table->column_count; i++)
        cells[i] = cell_at(r->stmt, (int)i);
    return FR_OK;
}

static fr_rc next_row(page_reader *r, fr_err *err)
{
    size_t width = r->relation->base.table->column_count;
    if (r->row != NULL)
        return FR_OK;
    if (r->ahead.at < r->ahead.count) {
        r->row = (fr_sq_cell *)(void *)r->ahead.cells.ptr + r->ahead.at++ * width;
        return FR_OK;
    }
    fr_rc rc = r->stmt == NULL ? FR_END : step(r, r->cells, err);
    if (rc == FR_OK)
        r->row = r->cells;
    return rc;
}

/* SQLite's own bytes are gone with the next step. */
static void keep_bytes(page_reader *r, fr_sq_cell *cells)
{
    for (size_t i = 0; i < r->relation->base.table->column_count; i++)
        if (cells[i].class == SQLITE_TEXT || cells[i].class == SQLITE_BLOB)
            cells[i].bytes = fr_arena_str(r->ahead.arena, cells[i].bytes);
}

static fr_rc read_ahead_into(page_reader *r, fr_sq_cell *cells, fr_err *err)
{
    size_t width = r->relation->base.table->column_count;
    fr_rc rc = FR_OK;
    while (rc == FR_OK && fr_arena_used(r->ahead.arena) + r->ahead.cells.len < AHEAD_BYTES) {
        rc = step(r, cells, err);
        if (rc != FR_OK)
            break;
        keep_bytes(r, cells);
        fr_buf_put(&r->ahead.cells, cells, width * sizeof(*cells));
        r->ahead.count++;
    }
    return rc;
}

/* The rest of the page is read now, so that its view is closed: nobody knows when there is a next
 * batch (Kafka may be down), and a view keeps writers from committing, or the log from being begun
 * anew. What is longer than AHEAD_BYTES stays open. */
static fr_rc read_ahead(page_reader *r, fr_err *err)
{
    size_t width = r->relation->base.table->column_count;
    if (r->stays || r->stmt == NULL || r->ahead.at < r->ahead.count)
        return FR_OK;
    if (r->row != NULL && r->row == r->cells) {
        keep_bytes(r, r->row);
    } else if (r->row != NULL) { /* one that was read ahead: its place is needed */
        memcpy(r->cells, r->row, width * sizeof(*r->cells));
        r->row = r->cells;
    }
    r->ahead.at = r->ahead.count = r->ahead.cells.len = 0;
    fr_sq_cell *cells = fr_malloc((width + 1) * sizeof(*cells));
    fr_rc rc = read_ahead_into(r, cells, err);
    free(cells);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static fr_rc fill_rows(page_reader *r, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    for (unsigned n = 1; !fr_batch_full(b); n++) {
        fr_rc rc = next_row(r, err);
        if (rc == FR_OK)
            rc = put_row(r, b, err);
        if (rc != FR_OK)
            return rc;
        r->row = NULL;
        if (n % ROWS_BETWEEN_LOOKS == 0 && (atomic_load(&r->asked) || fr_now_us() >= deadline_us))
            break;
    }
    return FR_IDLE;
}

static fr_rc page_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    page_reader *r = READER(base);
    size_t before = b->count;
    fr_rc rc = fill_rows(r, b, deadline_us, err);
    FR_TRY(rc);
    if (rc == FR_IDLE)
        FR_TRY(read_ahead(r, err));
    return b->count > before ? FR_OK : rc;
}

static void page_interrupt(fr_reader *base)
{
    atomic_store(&READER(base)->asked, true);
}

static void page_close(fr_reader *base)
{
    page_reader *r = READER(base);
    fr_err ignored;
    if (r == NULL)
        return;
    sqlite3_finalize(r->stmt);
    fr_arena_free(r->ahead.arena);
    fr_buf_free(&r->ahead.cells);
    free(r->cells);
    if (!r->stays && sqlite3_get_autocommit(r->c->conn->db) == 0)
        (void)fr_sq_exec(r->c->conn, doing, "ROLLBACK", &ignored);
    free(r);
}

static const fr_reader_ops page_ops = {
    .fill = page_fill, .interrupt = page_interrupt, .close = page_close};

static fr_rc changed(fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "its columns have changed");
    return fr_fail_code(err, "sql.changed");
}

/* All in one transaction, so in one view. */
static fr_rc begin(fr_sq_sql *c, fr_sq_relation *r, fr_str sql, bool stays, sqlite3_stmt **out,
                   fr_err *err)
{
    bool same = false, unknown = false;
    FR_TRY(fr_sq_same_file(c->conn, err));
    FR_TRY(fr_sq_exec(c->conn, doing, stays ? "BEGIN IMMEDIATE" : "BEGIN", err));
    FR_TRY(fr_sq_shape_same(c->conn, &r->shape, &same, err));
    if (same)
        FR_TRY(fr_sq_order_unknown(c, &r->shape, &unknown, err));
    if (!same || unknown)
        return changed(err);
    return fr_sq_prepare(c->conn, doing, sql, out, err);
}

fr_rc fr_sq_rows_read(fr_sq_sql *c, fr_sq_relation *r, fr_str sql, bool stays, fr_reader **out,
                      fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    fr_err ignored;
    if (begin(c, r, sql, stays, &stmt, err) == FR_FAIL) {
        if (sqlite3_get_autocommit(c->conn->db) == 0)
            (void)fr_sq_exec(c->conn, doing, "ROLLBACK", &ignored);
        return FR_FAIL;
    }
    page_reader *p = fr_malloc(sizeof(*p));
    p->base.ops = &page_ops;
    p->c = c;
    p->relation = r;
    p->stmt = stmt;
    p->cells = fr_malloc((r->base.table->column_count + 1) * sizeof(*p->cells));
    p->ahead.arena = fr_arena_new(0);
    p->stays = stays;
    *out = &p->base;
    return FR_OK;
}
