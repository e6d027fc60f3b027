#include "connectors/mysql/my_rows.h"
#include "connectors/mysql/my_value.h"
#include <inttypes.h>

static fr_event *add(fr_my_row_reader *r, fr_batch *b, fr_op op)
{
    fr_event *e = fr_batch_add(b, op, r->layout->table);
    if (e == NULL)
        return NULL;
    e->position.lsn = r->lsn;
    e->position.epoch = r->epoch;
    return e;
}

static void put_cell(fr_my_row_reader *r, fr_batch *b, fr_event *e, size_t i, fr_str bytes,
                     fr_value *out)
{
    fr_err err;
    fr_rc rc = fr_my_decode_text(&r->layout->codecs[i], b->arena, bytes, out, &err);
    if (rc == FR_IDLE)
        fr_my_layout_zero(r->layout, i, b->arena, &e->zero);
    if (rc == FR_FAIL)
        fr_my_layout_bad(r->layout, i, b->arena, r->place, &err, &e->bad);
}

static void too_big(const fr_my_row_reader *r, fr_batch *b, fr_event *e, size_t bytes)
{
    int64_t max = r->max_row_bytes;
    if (max > 0 && bytes > (size_t)max && e->bad.len == 0)
        e->bad = fr_arena_printf(b->arena,
                                 "%.*s.%.*s: a row of %zu bytes is above daemon.max_row_bytes "
                                 "(%" PRId64 ")",
                                 FR_ARG(e->table->space), FR_ARG(e->table->name), bytes, max);
}

fr_rc fr_my_row(fr_my_row_reader *r, fr_batch *b, MYSQL_ROW row, const unsigned long *lengths)
{
    if (!r->announced && add(r, b, FR_OP_TABLE) == NULL)
        return FR_IDLE;
    r->announced = true;
    fr_event *e = add(r, b, FR_OP_READ);
    if (e == NULL)
        return FR_IDLE;
    const fr_table *t = r->layout->table;
    fr_value *values = fr_batch_row(b, t, &e->after);
    size_t bytes = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        bytes += lengths[i];
        if (row[i] == NULL)
            values[i].kind = FR_NULL;
        else
            put_cell(r, b, e, i, fr_arena_copy(b->arena, row[i], lengths[i]), &values[i]);
    }
    too_big(r, b, e, bytes);
    return FR_OK;
}
