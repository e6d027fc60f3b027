#include "poll/pending.h"
#include "base/bytes.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void fr_pending_free(fr_pending *p)
{
    free(p->rows);
    fr_arena_free(p->arena);
    *p = (fr_pending){0};
}

void fr_pending_columns(fr_pending *p, fr_str id, const fr_str *columns, size_t count)
{
    fr_arena *a = fr_arena_new(0);
    fr_str *names = fr_arena_alloc(a, (count + 1) * sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = fr_arena_str(a, columns[i]);
    p->id = fr_arena_str(a, id);
    p->columns = names;
    p->column_count = count;
    fr_arena_free(p->arena);
    p->arena = a;
    p->count = p->bytes = 0;
}

void fr_pending_clear(fr_pending *p)
{
    fr_pending_columns(p, p->id, p->columns, p->column_count);
}

void fr_pending_add(fr_pending *p, fr_str id, uint32_t sum)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 256 : 2 * p->cap;
        p->rows = fr_realloc(p->rows, p->cap * sizeof(*p->rows));
    }
    p->rows[p->count++] = (fr_pending_row){fr_arena_str(p->arena, id), sum};
    p->bytes += id.len + 16;
}

/* A column that was widened holds what it held. */
static fr_kind widest(fr_kind kind)
{
    return kind == FR_INT32     ? FR_INT64
           : kind == FR_FLOAT32 ? FR_FLOAT64
           : kind == FR_JSON    ? FR_TEXT
                                : kind;
}

static uint32_t sum_of(const fr_row *row, const size_t *at, size_t count, bool kinds)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        fr_value v = row->values[at[i]];
        if (!kinds)
            v.kind = widest(v.kind);
        sum = fr_row_crc(sum, &(fr_row){&v, 1});
    }
    return sum;
}

uint32_t fr_pending_sum(const fr_row *row, const size_t *at, size_t count)
{
    return sum_of(row, at, count, false);
}

bool fr_pending_same(const fr_row *row, const size_t *at, size_t count, uint32_t sum)
{
    return sum == sum_of(row, at, count, false) || sum == sum_of(row, at, count, true);
}

fr_str fr_pending_record(fr_arena *a, const fr_pending *p, fr_str more)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "{\"v\":1,\"page\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"id\":", p->page,
                  p->read);
    fr_buf_json(&b, p->id);
    fr_buf_text(&b, ",\"columns\":[");
    for (size_t i = 0; i < p->column_count; i++) {
        fr_buf_text(&b, i > 0 ? "," : "");
        fr_buf_json(&b, p->columns[i]);
    }
    fr_buf_text(&b, "],\"pending\":[");
    for (size_t i = 0; i < p->count; i++) {
        fr_buf_text(&b, i > 0 ? ",[" : "[");
        fr_buf_json(&b, p->rows[i].id);
        fr_buf_printf(&b, ",%" PRIu32 "]", p->rows[i].sum);
    }
    fr_buf_printf(&b, "]%.*s}", FR_ARG(more));
    return fr_buf_view(&b);
}

static fr_str text_of(const json_t *j)
{
    return (fr_str){json_string_value(j), json_string_length(j)};
}

static bool take_columns(const json_t *j, fr_pending *p)
{
    const json_t *id = json_object_get(j, "id"), *list = json_object_get(j, "columns"), *name;
    size_t i, count = json_array_size(list);
    if (!json_is_string(id) || !json_is_array(list))
        return false;
    fr_str *names = fr_malloc((count + 1) * sizeof(*names));
    bool good = true;
    json_array_foreach(list, i, name)
    {
        good = good && json_is_string(name);
        names[i] = good ? text_of(name) : FR_STR("");
    }
    fr_pending_columns(p, text_of(id), names, count);
    free(names);
    return good;
}

static bool take_rows(const json_t *list, fr_pending *p)
{
    size_t i;
    const json_t *row;
    json_array_foreach(list, i, row)
    {
        const json_t *id = json_array_get(row, 0), *sum = json_array_get(row, 1);
        if (!json_is_string(id) || !json_is_integer(sum) || json_integer_value(sum) < 0 ||
            json_integer_value(sum) > UINT32_MAX)
            return false;
        fr_pending_add(p, text_of(id), (uint32_t)json_integer_value(sum));
    }
    return json_is_array(list);
}

static void take_load(const json_t *load, fr_pending *p)
{
    char *text = load == NULL ? NULL : json_dumps(load, JSON_COMPACT);
    if (text != NULL)
        p->load = fr_arena_str(p->arena, fr_cstr(text));
    free(text);
}

static fr_rc other_method(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION,
            "it was read by a cursor so far (method query, or outbox.delete: false), and its rows "
            "are to be deleted now: which of them are published is not on record");
    fr_fail_code(err, "poll.other_method");
    return fr_fail_hint(err, "set the method as it was; or delete the rows that are published, "
                             "and begin anew: freshet position reset SOURCE (stopped)");
}

static fr_rc unreadable(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION, "the record of which rows are published cannot be read");
    return fr_fail_code(err, "checkpoint.record");
}

fr_rc fr_pending_parse(fr_str text, fr_pending *out, fr_err *err)
{
    json_t *j = NULL;
    fr_pending p = {0};
    if (fr_json_parse(text, &j, err) == FR_FAIL)
        return unreadable(err);
    const json_t *rows = json_object_get(j, "pending"), *page = json_object_get(j, "page");
    fr_rc rc = FR_OK;
    if (rows == NULL && json_object_get(j, "order") != NULL) {
        rc = other_method(err);
    } else if (!json_is_integer(page) || json_integer_value(page) < 0 || !take_columns(j, &p) ||
               !take_rows(rows, &p)) {
        rc = unreadable(err);
    }
    p.page = (uint64_t)json_integer_value(page);
    p.read = (uint64_t)fr_json_int(j, "rows", 0);
    if (rc == FR_OK)
        take_load(json_object_get(j, "load"), &p);
    json_decref(j);
    if (rc == FR_OK)
        *out = p;
    else
        fr_pending_free(&p);
    return rc;
}
