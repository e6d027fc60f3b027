#include "connectors/mysql/binlog_split.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

const fr_my_column *fr_binlog_key_column(const fr_binlog_table *t, size_t i)
{
    for (size_t k = 0; k < t->relation.column_count; k++)
        if (t->relation.columns[k].primary == i + 1)
            return &t->relation.columns[k];
    return NULL;
}

typedef enum key_class { KEY_NONE, KEY_NUMBER, KEY_TEXT, KEY_BYTES, KEY_QUOTED } key_class;

/* How a key column's values are written. Floating point is not compared exactly, and ENUM, SET
 * and BIT are ordered by number but compared with text: such tables are read as a whole. */
static key_class class_of(const fr_my_column *c)
{
    switch (c->type) {
    case FR_MY_TINYINT:
    case FR_MY_SMALLINT:
    case FR_MY_MEDIUMINT:
    case FR_MY_INT:
    case FR_MY_BIGINT:
    case FR_MY_DECIMAL:
    case FR_MY_YEAR:
        return KEY_NUMBER;
    case FR_MY_CHAR:
    case FR_MY_VARCHAR:
    case FR_MY_TINYTEXT:
    case FR_MY_TEXT:
    case FR_MY_MEDIUMTEXT:
    case FR_MY_LONGTEXT:
        return c->charset != NULL ? KEY_TEXT : KEY_NONE;
    case FR_MY_BINARY:
    case FR_MY_VARBINARY:
    case FR_MY_TINYBLOB:
    case FR_MY_BLOB:
    case FR_MY_MEDIUMBLOB:
    case FR_MY_LONGBLOB:
        return KEY_BYTES;
    case FR_MY_DATE:
    case FR_MY_TIME:
    case FR_MY_DATETIME:
    case FR_MY_TIMESTAMP:
    case FR_MY_UUID:
    case FR_MY_INET4:
    case FR_MY_INET6:
        return KEY_QUOTED;
    default:
        return KEY_NONE;
    }
}

bool fr_binlog_key_usable(const fr_binlog_table *t)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_my_column *c = fr_binlog_key_column(t, i);
        if (c == NULL || c->as_text || class_of(c) == KEY_NONE)
            return false;
    }
    return t->key_count > 0;
}

fr_str fr_binlog_key_sql(fr_arena *a, const fr_binlog_table *t)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < t->key_count; i++) {
        fr_str name = fr_my_ident(a, fr_binlog_key_column(t, i)->name);
        fr_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(name));
    }
    return fr_buf_view(&b);
}

/* The expressions whose text is what a bound holds: UTF-8, or hexadecimal digits. */
static fr_str key_texts_sql(fr_arena *a, const fr_binlog_table *t)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_my_column *c = fr_binlog_key_column(t, i);
        fr_str name = fr_my_ident(a, c->name);
        const char *fmt = class_of(c) == KEY_TEXT    ? "%sCONVERT(%.*s USING utf8mb4)"
                          : class_of(c) == KEY_BYTES ? "%sHEX(%.*s)"
                                                     : "%s%.*s";
        fr_buf_printf(&b, fmt, i > 0 ? ", " : "", FR_ARG(name));
    }
    return fr_buf_view(&b);
}

/* ---- bounds ---- */

static fr_rc bad_bound(fr_err *err)
{
    fr_fail(err, FR_ERR_POSITION, "a stored chunk does not fit the table's key");
    fr_fail_code(err, "my.chunk");
    return fr_fail_hint(err, "was the primary key changed since? start this table's snapshot over: "
                             "freshet position reset SOURCE (stopped)");
}

static bool only(fr_str s, const char *allowed)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\0' || strchr(allowed, s.ptr[i]) == NULL)
            return false;
    return true;
}

bool fr_binlog_literal(fr_arena *a, const fr_my_column *c, fr_str text, fr_str *out)
{
    switch (class_of(c)) {
    case KEY_NUMBER:
        *out = text;
        return text.len > 0 && only(text, "0123456789.-");
    case KEY_BYTES:
        *out = text.len == 0 ? FR_STR("''") : fr_arena_printf(a, "X'%.*s'", FR_ARG(text));
        return text.len % 2 == 0 && only(text, "0123456789ABCDEF");
    case KEY_TEXT:
    case KEY_QUOTED:
        *out = fr_my_literal(a, text);
        return true;
    default:
        return false;
    }
}

static fr_rc read_bound(fr_arena *a, const fr_binlog_table *t, fr_str bound, fr_str *values,
                        fr_err *err)
{
    json_t *texts = NULL;
    if (fr_json_parse(bound, &texts, err) == FR_FAIL)
        return bad_bound(err);
    bool good = json_is_array(texts) && json_array_size(texts) == t->key_count;
    for (size_t i = 0; good && i < t->key_count; i++) {
        const json_t *text = json_array_get(texts, i);
        fr_str s = fr_arena_copy(a, json_string_value(text), json_string_length(text));
        good =
            json_is_string(text) && fr_binlog_literal(a, fr_binlog_key_column(t, i), s, &values[i]);
    }
    json_decref(texts);
    return good ? FR_OK : bad_bound(err);
}

/* (a, b) >= (x, y), spelled so that the server uses the index for it: a >= x AND (a > x OR
 * (a = x AND (b >= y))). less: (a, b) < (x, y). */
static fr_rc put_bound(fr_arena *a, const fr_binlog_table *t, fr_str bound, bool less, bool after,
                       fr_buf *b, fr_err *err)
{
    fr_str *values = fr_arena_alloc(a, (t->key_count + 1) * sizeof(*values));
    FR_TRY(read_bound(a, t, bound, values, err));
    const char *strict = less ? "<" : ">", *loose = less ? "<=" : ">=";
    const char *last = less || after ? strict : loose;
    for (size_t i = 0; i < t->key_count; i++) {
        fr_str name = fr_my_ident(a, fr_binlog_key_column(t, i)->name);
        if (i + 1 == t->key_count) {
            fr_buf_printf(b, "%.*s %s %.*s", FR_ARG(name), last, FR_ARG(values[i]));
            break;
        }
        fr_buf_printf(b, "%.*s %s %.*s AND (%.*s %s %.*s OR (%.*s = %.*s AND ", FR_ARG(name), loose,
                      FR_ARG(values[i]), FR_ARG(name), strict, FR_ARG(values[i]), FR_ARG(name),
                      FR_ARG(values[i]));
    }
    for (size_t i = 0; i + 1 < t->key_count; i++)
        fr_buf_text(b, "))");
    return FR_OK;
}

static void put_from(fr_arena *a, const fr_binlog_table *t, fr_buf *b)
{
    fr_str name = fr_my_qualified(a, t->relation.space, t->relation.name);
    fr_buf_printf(b, " FROM %.*s", FR_ARG(name));
    const char *where = t->settings->snapshot_where;
    /* Line breaks keep a comment at the condition's end from eating more. */
    if (where != NULL && where[0] != '\0')
        fr_buf_printf(b, " WHERE (\n%s\n)", where);
    else
        fr_buf_text(b, " WHERE 1");
}

fr_rc fr_binlog_rows_sql(fr_arena *a, const fr_binlog_table *t, const fr_chunk *c, fr_buf *out,
                         fr_err *err)
{
    put_from(a, t, out);
    if (c->where.len > 0)
        fr_buf_printf(out, " AND (\n%.*s\n)", FR_ARG(c->where));
    if (c->whole)
        return FR_OK;
    if (c->from.len > 0) {
        fr_buf_text(out, " AND ");
        FR_TRY(put_bound(a, t, c->from, false, c->after, out, err));
    }
    if (c->to.len > 0) {
        fr_buf_text(out, " AND ");
        FR_TRY(put_bound(a, t, c->to, true, false, out, err));
    }
    fr_str keys = fr_binlog_key_sql(a, t);
    fr_buf_printf(out, " ORDER BY %.*s", FR_ARG(keys));
    return FR_OK;
}

/* ---- cutting ---- */

static fr_chunk *chunk_add(fr_binlog_chunks *out, const fr_binlog_table *t, uint32_t index)
{
    if (out->count == out->cap) {
        size_t cap = out->cap == 0 ? 16 : out->cap * 2;
        fr_chunk *items = fr_arena_alloc(out->arena, cap * sizeof(*items));
        if (out->count > 0)
            memcpy(items, out->items, out->count * sizeof(*items));
        out->items = items;
        out->cap = cap;
    }
    fr_chunk *c = &out->items[out->count++];
    *c = (fr_chunk){.space = fr_arena_str(out->arena, t->relation.space),
                    .name = fr_arena_str(out->arena, t->relation.name),
                    .index = index};
    return c;
}

/* The key of the row that is `rows` behind `from` (which is in the chunk); false: there is none. */
static fr_rc next_cut(fr_my *my, fr_arena *a, const fr_binlog_table *t, fr_str from, int64_t rows,
                      fr_str *out, bool *found, fr_err *err)
{
    fr_buf sql = {.arena = a};
    fr_my_rows result;
    fr_chunk rest = {.from = from};
    fr_str texts = key_texts_sql(a, t);
    fr_buf_printf(&sql, "SELECT %.*s", FR_ARG(texts));
    FR_TRY(fr_binlog_rows_sql(a, t, &rest, &sql, err));
    fr_buf_printf(&sql, " LIMIT 1 OFFSET %" PRId64, rows);
    fr_buf_u8(&sql, '\0');
    FR_TRY(fr_my_query(my, a, "find chunk boundaries", (const char *)sql.ptr, &result, err));
    *found = result.count > 0;
    fr_buf key = {.arena = a};
    for (size_t i = 0; *found && i < t->key_count; i++) {
        fr_buf_text(&key, i > 0 ? "," : "[");
        fr_buf_json(&key, fr_my_text(&result, 0, i));
    }
    fr_buf_text(&key, "]");
    *out = fr_buf_view(&key);
    return FR_OK;
}

static fr_rc split_by_key(fr_my *my, const fr_binlog_table *t, fr_binlog_chunks *out, fr_err *err)
{
    fr_str from = {"", 0};
    bool more = true;
    for (uint32_t index = 0; more; index++) {
        fr_arena *a = fr_arena_new(0);
        fr_str to = {"", 0};
        fr_rc rc = next_cut(my, a, t, from, t->settings->snapshot_chunk, &to, &more, err);
        if (rc == FR_OK) {
            fr_chunk *c = chunk_add(out, t, index);
            c->from = from;
            c->to = more ? fr_arena_str(out->arena, to) : FR_STR("");
            from = c->to;
        }
        fr_arena_free(a);
        FR_TRY(rc);
    }
    return FR_OK;
}

fr_rc fr_binlog_split(fr_my *my, const fr_binlog_table *t, fr_binlog_chunks *out, fr_err *err)
{
    if (!fr_binlog_key_usable(t)) {
        chunk_add(out, t, 0)->whole = true;
        return FR_OK;
    }
    if (split_by_key(my, t, out, err) == FR_FAIL) {
        (void)fr_table_blame_where(t->settings, err);
        return fr_fail_in(err, "%.*s.%.*s", FR_ARG(t->relation.space), FR_ARG(t->relation.name));
    }
    return FR_OK;
}

/* ---- a row's key as text ---- */

static fr_str hex_text(fr_arena *a, fr_str bytes)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < bytes.len; i++)
        fr_buf_printf(&b, "%02X", (uint8_t)bytes.ptr[i]);
    return fr_buf_view(&b);
}

static fr_str moment_text(fr_arena *a, int64_t us)
{
    int64_t days = us / 86400000000, rest = us % 86400000000, year;
    unsigned month, day;
    if (rest < 0) {
        rest += 86400000000;
        days--;
    }
    fr_civil_from_days(days, &year, &month, &day);
    fr_str clock = fr_time_of_day_text(a, rest);
    return fr_arena_printf(a, "%04" PRId64 "-%02u-%02u %.*s", year, month, day, FR_ARG(clock));
}

static fr_str time_text(fr_arena *a, int64_t us)
{
    uint64_t abs = us < 0 ? (uint64_t)-us : (uint64_t)us;
    return fr_arena_printf(a, "%s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%06" PRIu64,
                           us < 0 ? "-" : "", abs / 3600000000, abs / 60000000 % 60,
                           abs / 1000000 % 60, abs % 1000000);
}

fr_str fr_binlog_value_text(fr_arena *a, const fr_column *c, const fr_value *v)
{
    int64_t year;
    unsigned month, day;
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean ? FR_STR("1") : FR_STR("0");
    case FR_INT32:
    case FR_INT64:
        return fr_arena_printf(a, "%" PRId64, v->integer);
    case FR_DECIMAL:
        return fr_decimal_to_text(a, v->bytes, c->scale);
    case FR_BYTES:
        return hex_text(a, v->bytes);
    case FR_DATE:
        fr_civil_from_days(v->integer, &year, &month, &day);
        return fr_arena_printf(a, "%04" PRId64 "-%02u-%02u", year, month, day);
    case FR_TIME:
        return time_text(a, v->integer);
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return moment_text(a, v->integer);
    default:
        return v->bytes;
    }
}

fr_rc fr_binlog_row_key(fr_source *base, fr_batch *b, const fr_event *e, fr_str *out, fr_err *err)
{
    (void)base;
    const fr_table *t = e->table;
    size_t count = fr_table_key_count(t);
    fr_buf text = {.arena = b->arena};
    for (size_t k = 0; k < count; k++) {
        size_t at = 0;
        while (at < t->column_count && t->columns[at].key_ordinal != k + 1)
            at++;
        if (at >= e->after.count || e->after.values[at].kind <= FR_NULL)
            return fr_fail(err, FR_ERR_DATA, "%.*s.%.*s: a row's key cannot be read",
                           FR_ARG(t->space), FR_ARG(t->name));
        fr_buf_text(&text, k > 0 ? "," : "[");
        fr_buf_json(&text, fr_binlog_value_text(b->arena, &t->columns[at], &e->after.values[at]));
    }
    fr_buf_text(&text, "]");
    *out = fr_buf_view(&text);
    return FR_OK;
}
