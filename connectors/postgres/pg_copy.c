#include "connectors/postgres/pg_copy.h"
#include "connectors/postgres/pg_value.h"
#include <stdlib.h>
#include <string.h>

static fr_rc malformed(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_BUG, "COPY: %s", what);
    return fr_fail_code(err, "pg.copy.malformed");
}

typedef struct cell {
    fr_str bytes;
    bool null, escaped; /* escaped: text with backslashes */
} cell;

static const fr_pg_layout *current(const fr_pg_copy *c)
{
    return c->relaxed != NULL ? c->relaxed : c->layout;
}

/* --- binary: "PGCOPY\n\377\r\n\0", flags, extension; then rows; then -1 --- */

static fr_rc binary_header(fr_in *in, fr_err *err)
{
    static const char magic[11] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', (char)0377, '\r', '\n', 0};
    fr_str start = fr_in_take(in, sizeof(magic));
    uint32_t flags = fr_in_u32be(in);
    fr_in_take(in, fr_in_u32be(in));
    if (in->bad || memcmp(start.ptr, magic, sizeof(magic)) != 0 || flags != 0)
        return malformed(err, "not the start of a binary copy");
    return FR_OK;
}

static fr_rc binary_cells(fr_in *in, cell *cells, size_t count, fr_err *err)
{
    uint16_t fields = fr_in_u16be(in);
    if (fields == 0xffff && !in->bad && fr_in_left(in) == 0)
        return FR_END;
    if (in->bad || fields != count)
        return malformed(err, "a row has another number of columns than its table");
    for (size_t i = 0; i < count; i++) {
        int32_t len = (int32_t)fr_in_u32be(in);
        cells[i] = (cell){.null = len == -1};
        if (len < -1)
            in->bad = true;
        else if (len >= 0)
            cells[i].bytes = fr_in_take(in, (size_t)len);
    }
    return in->bad || fr_in_left(in) != 0 ? malformed(err, "a row has a wrong length") : FR_OK;
}

/* --- text: tabs between, \N for NULL, backslash escapes, newline at the end --- */

static char unescape(char c)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = c == '\0' ? NULL : strchr(from, c);
    return at == NULL ? c : to[at - from];
}

static fr_str unescaped(fr_arena *a, fr_str field)
{
    const char *from = field.ptr, *to = field.ptr + field.len;
    char *out = fr_arena_raw(a, field.len);
    size_t n = 0;
    while (from < to) {
        char c = *from++;
        out[n++] = c == '\\' && from < to ? unescape(*from++) : c;
    }
    return (fr_str){out, n};
}

static fr_rc text_cells(fr_str row, cell *cells, size_t count, fr_err *err)
{
    const char *at = row.ptr, *end = row.ptr + row.len;
    if (row.len == 0 || end[-1] != '\n')
        return malformed(err, "a row does not end with a newline");
    end--;
    for (size_t i = 0; i < count; i++) {
        const char *from = at;
        cells[i] = (cell){0};
        for (; at < end && *at != '\t'; at++)
            if (*at == '\\') {
                cells[i].escaped = true;
                at += at + 1 < end ? 1 : 0;
            }
        cells[i].null = at - from == 2 && from[0] == '\\' && from[1] == 'N';
        cells[i].bytes = (fr_str){from, (size_t)(at - from)};
        if (i + 1 < count && at++ == end)
            return malformed(err, "a row has fewer columns than its table");
    }
    /* A table without columns has rows that are a newline. */
    return at == end ? FR_OK : malformed(err, "a row has more columns than its table");
}

/* --- events --- */

static void fit_layout(fr_pg_copy *c, const cell *cells)
{
    for (size_t i = 0; i < c->layout->table->column_count; i++) {
        if (!cells[i].null || current(c)->table->columns[i].nullable)
            continue;
        fr_pg_layout *relaxed = fr_pg_layout_relax(current(c), i, false);
        fr_pg_layout_free(c->relaxed);
        c->relaxed = relaxed;
        c->announced = false;
    }
}

static fr_event *add(const fr_pg_copy *c, fr_batch *b, fr_op op)
{
    fr_event *e = fr_batch_add(b, op, current(c)->table);
    if (e == NULL)
        return NULL;
    e->position.lsn = c->view_lsn;
    e->position.epoch = c->epoch;
    return e;
}

static void put_cell(fr_pg_copy *c, size_t i, const cell *at, fr_batch *b, fr_event *e,
                     fr_value *values)
{
    if (at->null) {
        values[i].kind = FR_NULL;
        return;
    }
    /* Only now: what fills the batch must come after its event. */
    fr_str bytes = at->escaped ? unescaped(b->arena, at->bytes) : at->bytes;
    const fr_pg_layout *l = current(c);
    fr_rc rc = c->binary
                   ? fr_pg_decode_binary(&l->codecs[i], b->arena, bytes, &values[i], &c->scratch)
                   : fr_pg_decode_text(&l->codecs[i], b->arena, bytes, &values[i], &c->scratch);
    if (rc == FR_FAIL)
        fr_pg_layout_bad(l, i, b->arena, c->view_lsn, &c->scratch, &e->bad);
}

static fr_rc put_row(fr_pg_copy *c, fr_batch *b, const cell *cells)
{
    if (!c->announced && add(c, b, FR_OP_TABLE) == NULL)
        return FR_IDLE;
    c->announced = true;
    fr_event *e = add(c, b, FR_OP_READ);
    if (e == NULL)
        return FR_IDLE;
    const fr_table *t = current(c)->table;
    fr_value *values = fr_batch_row(b, t, &e->after);
    for (size_t i = 0; i < t->column_count; i++)
        put_cell(c, i, &cells[i], b, e, values);
    return FR_OK;
}

fr_rc fr_pg_copy_row(fr_pg_copy *c, fr_batch *batch, fr_str data, fr_err *err)
{
    size_t count = c->layout->table->column_count;
    fr_in in = fr_in_of(data);
    if (fr_batch_full(batch))
        return FR_IDLE;
    if (c->binary && !c->header_seen)
        FR_TRY(binary_header(&in, err));
    if (c->binary && !c->header_seen && fr_in_left(&in) == 0) {
        c->header_seen = true; /* it came alone */
        return FR_OK;
    }
    if (c->cells == NULL)
        c->cells = fr_malloc((count + 1) * sizeof(cell));
    fr_rc rc = c->binary ? binary_cells(&in, c->cells, count, err)
                         : text_cells(data, c->cells, count, err);
    if (rc != FR_OK)
        return rc;
    fit_layout(c, c->cells);
    rc = put_row(c, batch, c->cells);
    if (rc == FR_OK)
        c->header_seen = true; /* else it comes again with this row */
    return rc;
}

void fr_pg_copy_end(fr_pg_copy *c)
{
    fr_pg_layout_free(c->relaxed);
    free(c->cells);
    c->relaxed = NULL;
    c->cells = NULL;
}
