/* Rows to parameters to statements. */
#include "postgres/pg_sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A statement's parameters, and rows that wait for answers, stay below this. */
enum { MAX_STATEMENT = 4 * 1024 * 1024, MAX_WAITING = 256 };

static void room_for(fr_pg_sink *s, size_t columns)
{
    if (columns <= s->column_cap)
        return;
    s->columns = fr_realloc(s->columns, columns * sizeof(fr_buf));
    for (; s->column_cap < columns; s->column_cap++)
        s->columns[s->column_cap] = (fr_buf){.ptr = NULL};
}

static const char *statement_name(char *out, size_t size, const fr_pg_sink_table *t,
                                  fr_target_form form, bool arrays)
{
    snprintf(out, size, "f%u_%d%s", t->id, (int)form, arrays ? "a" : "");
    return out;
}

static fr_rc need_statement(fr_pg_sink *s, fr_pg_sink_table *t, fr_target_form form, bool arrays,
                            fr_err *err)
{
    if (t->prepared[form][arrays])
        return FR_OK;
    char name[32];
    uint32_t *types = fr_arena_alloc(s->arena, (t->shape.count + FR_PG_EXTRA) * sizeof(*types));
    int count = fr_pg_sink_parameters(t, form, arrays, types);
    fr_str sql = fr_pg_sink_sql(s->arena, t, form, arrays);
    FR_TRY(fr_pg_pipe_prepare(&s->pipe, statement_name(name, sizeof(name), t, form, arrays),
                              sql.ptr, types, count, err));
    t->prepared[form][arrays] = true;
    return FR_OK;
}

static void put_raw(fr_buf *b, const void *ptr, size_t len)
{
    fr_buf_u32be(b, (uint32_t)len);
    fr_buf_put(b, ptr, len);
}

/* timestamptz: microseconds since 2000. */
static void put_moment(fr_buf *b, int64_t us)
{
    fr_buf_u32be(b, 8);
    fr_buf_u64be(b, (uint64_t)(us - INT64_C(946684800000000)));
}

static void put_mask(fr_buf *b, const fr_pg_sink_table *t, const fr_target_change *c)
{
    size_t len = t->shape.count / 8 + 1;
    fr_buf_u32be(b, (uint32_t)len);
    uint8_t *mask = fr_buf_room(b, len);
    memset(mask, 0, len);
    for (size_t i = 0; i < t->shape.count; i++)
        if (c->values[t->fields[i].column].kind != FR_ABSENT)
            mask[i / 8] = (uint8_t)(mask[i / 8] | 1u << (i % 8));
    b->len += len;
}

/* One element to each parameter's buffer. */
static fr_rc put_row(fr_pg_sink *s, const fr_pg_sink_table *t, const fr_target_change *c,
                     fr_err *err)
{
    bool keys = c->form == FR_TARGET_DELETE;
    size_t at = 0, fields = keys ? t->key_count : t->shape.count;
    for (; at < fields; at++) {
        const fr_pg_field *f = &t->fields[keys ? t->keys[at] : at];
        FR_TRY(fr_pg_sink_put(&s->columns[at], f->send, &t->shape.table->columns[f->column],
                              &c->values[f->column], err));
    }
    if (fr_pg_sink_has_position(t, c->form))
        put_raw(&s->columns[at++], fr_target_compared(c), FR_TARGET_POSITION_SIZE);
    if (t->history)
        put_moment(&s->columns[at++], c->time_us);
    if (t->history && !keys)
        put_raw(&s->columns[at++], &(uint8_t){c->read}, 1);
    if (t->shape.marked && !keys)
        put_raw(&s->columns[at++], &(uint8_t){c->deleted}, 1);
    if (c->form == FR_TARGET_PATCH)
        put_mask(&s->columns[at], t, c);
    return FR_OK;
}

static fr_rc in_row(const fr_pg_sink_table *t, fr_err *err)
{
    return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
}

static fr_rc write_one(fr_pg_sink *s, fr_pg_sink_table *t, const fr_target_change *c, fr_err *err)
{
    char name[32];
    uint32_t *types = fr_arena_alloc(s->arena, (t->shape.count + FR_PG_EXTRA) * sizeof(*types));
    size_t count = (size_t)fr_pg_sink_parameters(t, c->form, false, types);
    room_for(s, count);
    for (size_t i = 0; i < count; i++)
        s->columns[i].len = 0;
    if (put_row(s, t, c, err) == FR_FAIL)
        return in_row(t, err);
    FR_TRY(need_statement(s, t, c->form, false, err));
    const char **values = fr_arena_alloc(s->arena, (count + 1) * sizeof(*values));
    int *lengths = fr_arena_alloc(s->arena, (count + 1) * sizeof(*lengths));
    for (size_t i = 0; i < count; i++) {
        const fr_buf *b = &s->columns[i];
        bool null = memcmp(b->ptr, "\xff\xff\xff\xff", 4) == 0;
        values[i] = null ? NULL : (const char *)b->ptr + 4;
        lengths[i] = null ? 0 : (int)(b->len - 4);
    }
    return fr_pg_pipe_run(&s->pipe, statement_name(name, sizeof(name), t, c->form, false), values,
                          lengths, (int)count, c->event, err);
}

/* Fills the arrays with as many of the rows as one statement should have. */
static fr_rc fill_arrays(fr_pg_sink *s, fr_pg_sink_table *t, const fr_target_change *items,
                         size_t count, size_t columns, size_t *taken, fr_err *err)
{
    size_t n = 0, bytes = 0;
    while (n < count && bytes < MAX_STATEMENT) {
        if (put_row(s, t, &items[n], err) == FR_FAIL)
            return in_row(t, err);
        n++;
        bytes = 0;
        for (size_t i = 0; i < columns; i++)
            bytes += s->columns[i].len;
    }
    for (size_t i = 0; i < columns; i++)
        fr_pg_array_end(&s->columns[i], n);
    *taken = n;
    return FR_OK;
}

static fr_rc write_arrays(fr_pg_sink *s, fr_pg_sink_table *t, const fr_target_change *items,
                          size_t count, size_t *taken, fr_err *err)
{
    char name[32];
    fr_target_form form = items[0].form;
    uint32_t *types = fr_arena_alloc(s->arena, (t->shape.count + FR_PG_EXTRA) * sizeof(*types));
    size_t columns = (size_t)fr_pg_sink_parameters(t, form, false, types);
    room_for(s, columns);
    for (size_t i = 0; i < columns; i++)
        fr_pg_array_begin(&s->columns[i], types[i]);
    FR_TRY(fill_arrays(s, t, items, count, columns, taken, err));
    FR_TRY(need_statement(s, t, form, true, err));
    const char **values = fr_arena_alloc(s->arena, (columns + 1) * sizeof(*values));
    int *lengths = fr_arena_alloc(s->arena, (columns + 1) * sizeof(*lengths));
    for (size_t i = 0; i < columns; i++) {
        values[i] = (const char *)s->columns[i].ptr;
        lengths[i] = (int)s->columns[i].len;
    }
    return fr_pg_pipe_run(&s->pipe, statement_name(name, sizeof(name), t, form, true), values,
                          lengths, (int)columns, items[0].event, err);
}

fr_rc fr_pg_sink_write(fr_pg_sink *s, fr_pg_sink_table *t, const fr_target_change *items,
                       size_t count, fr_err *err)
{
    if (count == 1)
        return write_one(s, t, items, err);
    for (size_t at = 0, taken = 0; at < count; at += taken)
        FR_TRY(write_arrays(s, t, items + at, count - at, &taken, err));
    return FR_OK;
}
