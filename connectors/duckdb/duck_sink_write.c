/* Changes into the stage, a vector of up to 2,048 rows at a time, and from there into the target.
 */
#include "base/failpoint.h"
#include "duckdb/duck_sink.h"
#include <stdlib.h>
#include <string.h>

/* ---- the stage ---- */

typedef struct staging {
    fr_duck_sink *s;
    const fr_duck_sink_table *t;
    duckdb_appender appender;
    duckdb_data_chunk chunk;
    size_t columns, rows, room;
    const fr_target_change *refused; /* DuckDB has no such value */
} staging;

static fr_rc append_failed(staging *g, fr_err *err)
{
    const fr_duck_api *d = g->s->api;
    duckdb_error_data data = d->appender_error_data(g->appender);
    fr_duck_sink_error(d->error_data_error_type(data), d->error_data_message(data), "write rows",
                       err);
    d->destroy_error_data(&data);
    return FR_FAIL;
}

static fr_rc begin_stage(staging *g, fr_err *err)
{
    const fr_duck_api *d = g->s->api;
    const fr_duck_sink_table *t = g->t;
    fr_str ddl = fr_duck_sql_stage(g->s->arena, t);
    FR_TRY(fr_duck_sink_exec(g->s, "write rows", ddl.ptr, err));
    if (d->appender_create_ext(g->s->con, "temp", "main", "_freshet_stage", &g->appender) != 0)
        return append_failed(g, err);
    g->columns = t->shape.count + (t->history ? 5 : 2);
    duckdb_logical_type *types = fr_arena_alloc(g->s->arena, g->columns * sizeof(*types));
    for (size_t i = 0; i < t->shape.count; i++)
        types[i] = fr_duck_sink_logical(d, &t->shape.table->columns[t->shape.columns[i]]);
    types[t->shape.count] = d->create_logical_type(FR_DUCK_BLOB);
    types[t->shape.count + 1] = d->create_logical_type(FR_DUCK_BOOLEAN);
    if (t->history) {
        types[t->shape.count + 2] = d->create_logical_type(FR_DUCK_BIGINT);
        types[t->shape.count + 3] = d->create_logical_type(FR_DUCK_BOOLEAN);
        types[t->shape.count + 4] = d->create_logical_type(FR_DUCK_VARCHAR);
    }
    g->chunk = d->create_data_chunk(types, g->columns);
    for (size_t i = 0; i < g->columns; i++)
        d->destroy_logical_type(&types[i]);
    g->room = d->vector_size();
    return FR_OK;
}

static fr_rc flush_chunk(staging *g, fr_err *err)
{
    if (g->rows == 0)
        return FR_OK;
    g->s->api->data_chunk_set_size(g->chunk, g->rows);
    if (g->s->api->append_data_chunk(g->appender, g->chunk) != 0)
        return append_failed(g, err);
    g->s->api->data_chunk_reset(g->chunk);
    g->rows = 0;
    return FR_OK;
}

static void put_null(const fr_duck_api *d, duckdb_vector vector, size_t row)
{
    d->vector_ensure_validity_writable(vector);
    d->vector_get_validity(vector)[row / 64] &= ~(UINT64_C(1) << row % 64);
}

/* The mask as digits, 1: its value is there; NULL: all are. */
static void put_history(staging *g, const fr_target_change *c)
{
    const fr_duck_api *d = g->s->api;
    size_t n = g->t->shape.count;
    int64_t *times = d->vector_get_data(d->data_chunk_get_vector(g->chunk, n + 2));
    bool *seen = d->vector_get_data(d->data_chunk_get_vector(g->chunk, n + 3));
    duckdb_vector masks = d->data_chunk_get_vector(g->chunk, n + 4);
    times[g->rows] = c->time_us;
    seen[g->rows] = c->read;
    fr_str mask = fr_target_mask(g->s->arena, &g->t->shape, c);
    if (mask.len == 0) {
        put_null(d, masks, g->rows);
        return;
    }
    char *digits = fr_arena_raw(g->s->arena, mask.len);
    for (size_t i = 0; i < mask.len; i++)
        digits[i] = mask.ptr[i] != 0 ? '1' : '0';
    d->vector_assign_string_element_len(masks, g->rows, digits, mask.len);
}

static fr_rc put_row(staging *g, const fr_target_change *c, fr_err *err)
{
    const fr_duck_api *d = g->s->api;
    const fr_duck_sink_table *t = g->t;
    size_t n = t->shape.count;
    for (size_t i = 0; i < n; i++) {
        const fr_column *column = &t->shape.table->columns[t->shape.columns[i]];
        const fr_value *v = &c->values[t->shape.columns[i]];
        duckdb_vector vector = d->data_chunk_get_vector(g->chunk, i);
        bool unused = c->form == FR_TARGET_DELETE && !t->fields[i].key && !t->append;
        if (v->kind == FR_NULL || v->kind == FR_ABSENT || unused)
            put_null(d, vector, g->rows);
        else if (fr_duck_sink_put(d, vector, g->rows, column, v, err) == FR_FAIL) {
            g->refused = c;
            return fr_fail_in(err, "%.*s", FR_ARG(t->qualified));
        }
    }
    d->vector_assign_string_element_len(d->data_chunk_get_vector(g->chunk, n), g->rows,
                                        (const char *)fr_target_compared(c), sizeof(c->position));
    bool *marks = d->vector_get_data(d->data_chunk_get_vector(g->chunk, n + 1));
    marks[g->rows] = t->shape.marked ? c->deleted : c->form == FR_TARGET_DELETE;
    if (t->history)
        put_history(g, c);
    g->rows++;
    return g->rows == g->room ? flush_chunk(g, err) : FR_OK;
}

static fr_rc fill(staging *g, const fr_target_change *const *items, size_t count, fr_err *err)
{
    FR_TRY(begin_stage(g, err));
    for (size_t i = 0; i < count; i++)
        FR_TRY(put_row(g, items[i], err));
    FR_TRY(flush_chunk(g, err));
    return g->s->api->appender_close(g->appender) == 0 ? FR_OK : append_failed(g, err);
}

fr_rc fr_duck_sink_stage(fr_duck_sink *s, const fr_duck_sink_table *t,
                         const fr_target_change *const *items, size_t count,
                         const fr_target_change **refused, fr_err *err)
{
    staging g = {.s = s, .t = t};
    if (FR_FAILPOINT("duck_stage"))
        return fr_fail(err, FR_ERR_CONNECT, "failpoint duck_stage");
    fr_rc rc = fill(&g, items, count, err);
    if (g.chunk != NULL)
        s->api->destroy_data_chunk(&g.chunk);
    if (g.appender != NULL)
        s->api->appender_destroy(&g.appender);
    if (g.refused != NULL)
        *refused = g.refused;
    return rc;
}

/* ---- from there into the target ---- */

/* DuckDB does not say for which column a value is: those whose values it converts. */
static fr_rc name_columns(const fr_duck_sink_table *t, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str names = FR_STR("");
    for (size_t i = 0; i < t->shape.count; i++)
        if (t->fields[i].cast.len > 0)
            names = fr_arena_printf(a, "%.*s%s%.*s", FR_ARG(names), names.len > 0 ? " or " : "",
                                    FR_ARG(t->fields[i].ident));
    if (strcmp(err->code, "sink.value") == 0 && names.len > 0)
        fr_fail_in(err, "column %.*s", FR_ARG(names));
    fr_arena_free(a);
    return err->kind == FR_ERR_DATA ? fr_fail_in(err, "%.*s", FR_ARG(t->qualified)) : FR_FAIL;
}

fr_rc fr_duck_sink_move(fr_duck_sink *s, const fr_duck_sink_table *t, fr_str sql, fr_err *err)
{
    if (sql.len == 0 || fr_duck_sink_exec(s, "write rows", sql.ptr, err) == FR_OK)
        return FR_OK;
    return name_columns(t, err);
}

/* Its row cannot be inserted: a value is absent that must be there. */
static fr_rc not_there(const fr_duck_sink_table *t, fr_str mask, fr_err *err)
{
    for (size_t i = 0; i < t->shape.count; i++) {
        if (!t->fields[i].not_null || fr_target_in_mask(mask, i))
            continue;
        return fr_target_no_row(err, t->qualified, t->fields[i].ident);
    }
    return fr_target_no_row(err, t->qualified, FR_STR(""));
}

static fr_rc all_there(fr_duck_sink *s, const fr_duck_sink_table *t, fr_str mask, fr_err *err)
{
    fr_duck_rows r;
    fr_str sql = fr_duck_sql_missing(s->arena, t);
    FR_TRY(fr_duck_sink_ask(s, "look for rows", sql.ptr, NULL, 0, s->arena, &r, err));
    return fr_str_is(fr_duck_cell(&r, 0, 0), "0") ? FR_OK : not_there(t, mask, err);
}

static fr_rc move(fr_duck_sink *s, const fr_duck_sink_table *t, fr_target_form form, fr_str mask,
                  fr_err *err)
{
    fr_arena *a = s->arena;
    if (t->append)
        return fr_duck_sink_move(s, t, fr_duck_sql_insert(a, t, mask), err);
    if (form == FR_TARGET_DELETE)
        return fr_duck_sink_move(
            s, t, t->shape.marked ? fr_duck_sql_mark(a, t) : fr_duck_sql_delete(a, t), err);
    if (form == FR_TARGET_PATCH) {
        FR_TRY(fr_duck_sink_move(s, t, fr_duck_sql_update(a, t, mask), err));
        return all_there(s, t, mask, err);
    }
    bool anew = t->whole && mask.len == 0;
    FR_TRY(fr_duck_sink_move(s, t, anew ? fr_duck_sql_delete(a, t) : fr_duck_sql_update(a, t, mask),
                             err));
    return fr_duck_sink_move(s, t, fr_duck_sql_insert(a, t, mask), err);
}

/* ---- which changes go together ---- */

/* Where rows are made anew, deletes are as good as done by the first half of that. */
static bool together(const fr_duck_sink_table *t, const fr_target_change *first,
                     const fr_target_change *c, fr_str mask)
{
    bool mixed = t->whole && !t->shape.marked && mask.len == 0;
    if (t->append)
        return true;
    if (mixed && (first->form == FR_TARGET_ROW || first->form == FR_TARGET_DELETE) &&
        (c->form == FR_TARGET_ROW || c->form == FR_TARGET_DELETE))
        return c->form == FR_TARGET_DELETE || !c->partial;
    return c->form == first->form && fr_target_has_mask(&t->shape, c, mask);
}

static fr_rc write_group(fr_duck_sink *s, fr_duck_sink_table *t,
                         const fr_target_change *const *group, size_t count, fr_str mask,
                         const fr_target_change **refused, fr_err *err)
{
    fr_target_form form = FR_TARGET_DELETE;
    for (size_t i = 0; i < count; i++)
        if (group[i]->form != FR_TARGET_DELETE)
            form = group[i]->form;
    FR_TRY(fr_duck_sink_stage(s, t, group, count, refused, err));
    s->has_rows = true;
    return move(s, t, form, t->append ? FR_STR("") : mask, err);
}

/* Takes from the list all that go with its first; returns how many are left. */
static size_t take_group(const fr_duck_sink_table *t, const fr_target_change **list, size_t count,
                         fr_str mask, const fr_target_change **group, size_t *taken)
{
    const fr_target_change *first = list[0];
    size_t left = 0;
    *taken = 0;
    for (size_t i = 0; i < count; i++)
        if (together(t, first, list[i], mask))
            group[(*taken)++] = list[i];
        else
            list[left++] = list[i];
    return left;
}

/* One by one, so that the change is known whatever refuses it. */
static fr_rc write_in_order(fr_duck_sink *s, fr_duck_sink_table *t,
                            const fr_target_change *const *list, size_t count,
                            const fr_target_change **refused, fr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        *refused = list[i];
        FR_TRY(write_group(s, t, &list[i], 1, fr_target_mask(s->arena, &t->shape, list[i]), refused,
                           err));
    }
    return FR_OK;
}

fr_rc fr_duck_sink_write(fr_duck_sink *s, fr_duck_sink_table *t, const fr_target_changes *changes,
                         const fr_target_change **refused, fr_err *err)
{
    size_t count = changes->count;
    const fr_target_change **list = fr_arena_alloc(s->arena, (count + 1) * sizeof(*list));
    const fr_target_change **group = fr_arena_alloc(s->arena, (count + 1) * sizeof(*group));
    *refused = NULL;
    for (size_t i = 0; i < count; i++)
        list[i] = &changes->items[i];
    if (t->ordered && !t->append)
        return write_in_order(s, t, list, count, refused, err);
    while (count > 0) {
        size_t taken;
        fr_str mask = fr_target_mask(s->arena, &t->shape, list[0]);
        count = take_group(t, list, count, mask, group, &taken);
        FR_TRY(write_group(s, t, group, taken, mask, refused, err));
    }
    return FR_OK;
}
