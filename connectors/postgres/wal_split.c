#include "connectors/postgres/wal_split.h"
#include "base/json.h"
#include "base/map.h"
#include "connectors/postgres/wal_source.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to so many rows the key's index is read for exact cuts (about a second); above, cuts
 * come from a sample of pages. */
enum { EXACT_ROWS = 3000000 };
/* No page of 8 KiB holds more rows (a tuple without columns takes 36 bytes): a table whose pages
 * cannot hold more than a chunk's rows is one chunk, without a look at its keys. */
enum { ROWS_PER_PAGE = 227 };
static const double sampled_pages_per_chunk = 4;

static const fr_wal_column *key_column(const fr_wal_table *t, size_t i)
{
    return &t->columns[t->key[i]];
}

bool fr_wal_key_usable(const fr_wal_table *t, const fr_pg_layout *layout)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_wal_column *c = key_column(t, i);
        if (!c->sent || layout->codecs[c->sent_index].kind == FR_JSON)
            return false;
    }
    return t->key_count > 0;
}

fr_str fr_wal_key_sql(fr_arena *a, const fr_wal_table *t, const char *cast)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < t->key_count; i++) {
        fr_str name = fr_pg_ident(a, key_column(t, i)->name, NULL);
        fr_buf_printf(&b, "%s%.*s%s", i > 0 ? ", " : "", FR_ARG(name), cast);
    }
    return fr_buf_view(&b);
}

/* Line breaks around the user's condition keep a comment at its end from eating more. */
static void put_conditions(fr_buf *b, const fr_wal_table *t, fr_str range)
{
    const char *word = " WHERE";
    if (t->row_filter.len > 0) {
        fr_buf_printf(b, "%s (%.*s)", word, FR_ARG(t->row_filter));
        word = " AND";
    }
    if (t->settings->snapshot_where != NULL && t->settings->snapshot_where[0] != '\0') {
        fr_buf_printf(b, "%s (\n%s\n)", word, t->settings->snapshot_where);
        word = " AND";
    }
    if (range.len > 0)
        fr_buf_printf(b, "%s %.*s", word, FR_ARG(range));
}

/* Children by old-style inheritance are tables of their own to the log; partitions are not. */
static void put_from(fr_buf *b, const fr_wal_table *t)
{
    fr_buf_printf(b, "%s%.*s", t->kind == 'p' ? "" : "ONLY ", FR_ARG(t->qualified));
}

fr_str fr_wal_rows_sql(fr_arena *a, const fr_wal_table *t, fr_str range)
{
    fr_buf b = {.arena = a};
    put_from(&b, t);
    put_conditions(&b, t, range);
    return fr_buf_view(&b);
}

/* ---- where to cut ---- */

static void put_aliased_keys(fr_buf *b, fr_arena *a, const fr_wal_table *t)
{
    for (size_t i = 0; i < t->key_count; i++) {
        fr_str name = fr_pg_ident(a, key_column(t, i)->name, NULL);
        fr_buf_printf(b, "%s%.*s AS k%zu", i > 0 ? ", " : "", FR_ARG(name), i);
    }
}

static void put_keys(fr_buf *b, const fr_wal_table *t, const char *cast)
{
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%sk%zu%s", i > 0 ? ", " : "", i, cast);
}

/* The key of every n-th row of `inner`, but not of the first. */
static fr_str cuts_sql(fr_arena *a, const fr_wal_table *t, fr_str inner, int64_t n)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "SELECT ");
    put_keys(&b, t, "::text");
    fr_buf_text(&b, " FROM (SELECT ");
    put_keys(&b, t, "");
    fr_buf_text(&b, ", row_number() OVER (ORDER BY ");
    put_keys(&b, t, "");
    fr_buf_printf(&b,
                  ") AS n FROM (%.*s) rows) numbered WHERE n > 1 AND (n - 1) %% %" PRId64
                  " = 0 ORDER BY n",
                  FR_ARG(inner), n);
    return fr_buf_view(&b);
}

static fr_str exact_sql(fr_arena *a, const fr_wal_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "SELECT ");
    put_aliased_keys(&b, a, t);
    fr_buf_text(&b, " FROM ");
    put_from(&b, t);
    put_conditions(&b, t, (fr_str){"", 0});
    return cuts_sql(a, t, fr_buf_view(&b), t->settings->snapshot_chunk);
}

static fr_str sampled_sql(fr_arena *a, const fr_wal_table *t)
{
    double per_page = t->pages > 0 ? (double)t->rows / (double)t->pages : 50;
    double chunk = (double)t->settings->snapshot_chunk;
    double fraction = per_page < 1 ? 1 : sampled_pages_per_chunk * per_page / chunk;
    if (fraction > 1)
        fraction = 1;
    int64_t step = (int64_t)(chunk * fraction);
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "SELECT DISTINCT ");
    put_aliased_keys(&b, a, t);
    fr_buf_text(&b, " FROM ");
    put_from(&b, t);
    fr_buf_printf(&b, " TABLESAMPLE SYSTEM (%.6f)", fraction * 100);
    put_conditions(&b, t, (fr_str){"", 0});
    return cuts_sql(a, t, fr_buf_view(&b), step < 1 ? 1 : step);
}

/* ---- chunks ---- */

static fr_chunk *chunk_add(fr_wal_chunks *out, const fr_wal_table *t, uint32_t index)
{
    if (out->count == out->cap) {
        size_t cap = out->cap == 0 ? 64 : out->cap * 2;
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

static fr_str cut_text(fr_arena *a, const PGresult *res, int row, size_t keys)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < keys; i++) {
        fr_buf_text(&b, i > 0 ? "," : "[");
        fr_buf_json(&b, fr_pg_text(res, row, (int)i));
    }
    fr_buf_text(&b, "]");
    return fr_buf_view(&b);
}

static fr_rc split_by_key(PGconn *sql, const fr_wal_table *t, fr_wal_chunks *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str text = t->rows <= EXACT_ROWS ? exact_sql(a, t) : sampled_sql(a, t);
    PGresult *res = NULL;
    fr_rc rc =
        fr_pg_query(sql, "find chunk boundaries", fr_arena_cstr(a, text), NULL, 0, &res, err);
    fr_arena_free(a);
    FR_TRY(rc);
    fr_str from = {"", 0};
    int cuts = PQntuples(res);
    for (int i = 0; i <= cuts; i++) {
        fr_chunk *c = chunk_add(out, t, (uint32_t)i);
        c->from = from;
        if (i < cuts)
            c->to = from = cut_text(out->arena, res, i, t->key_count);
    }
    PQclear(res);
    return FR_OK;
}

static bool is_small(const fr_wal_table *t, int64_t pages)
{
    return t->kind == 'r' && pages * ROWS_PER_PAGE <= t->settings->snapshot_chunk;
}

/* An estimate may be of yesterday, or none at all: the files know. A table that is locked now is
 * waited for, as its chunk would. */
fr_rc fr_wal_small(PGconn *sql, const fr_wal_table *tables, size_t count, bool *out, fr_err *err)
{
    fr_map *by_oid = fr_map_new();
    fr_buf b = {.arena = NULL};
    for (size_t i = 0; i < count; i++) {
        out[i] = false;
        if (!is_small(&tables[i], tables[i].pages))
            continue;
        fr_buf_printf(&b, "%c%" PRIu32, b.len == 0 ? '{' : ',', tables[i].relation.oid);
        fr_map_set_u64(by_oid, tables[i].relation.oid, (void *)&tables[i]);
    }
    fr_buf_text(&b, b.len == 0 ? "{}" : "}");
    fr_buf_u8(&b, '\0');
    const char *params[] = {(const char *)b.ptr};
    PGresult *res = NULL;
    fr_rc rc = fr_pg_query(sql, "measure small tables",
                           "SELECT oid, pg_catalog.pg_relation_size(oid::regclass)"
                           " / current_setting('block_size')::bigint"
                           " FROM unnest($1::oid[]) AS oid",
                           params, 1, &res, err);
    for (int i = 0; rc != FR_FAIL && i < PQntuples(res); i++) {
        const fr_wal_table *t = fr_map_get_u64(by_oid, (uint64_t)fr_pg_int(res, i, 0, 0));
        if (t != NULL)
            out[t - tables] = is_small(t, fr_pg_int(res, i, 1, INT32_MAX));
    }
    PQclear(res);
    fr_buf_free(&b);
    fr_map_free(by_oid, NULL);
    return rc;
}

fr_rc fr_wal_split(PGconn *sql, const fr_wal_table *t, const fr_pg_layout *layout, bool small,
                   fr_wal_chunks *out, fr_err *err)
{
    if (!fr_wal_key_usable(t, layout)) {
        chunk_add(out, t, 0)->whole = true;
        return FR_OK;
    }
    if (small) {
        chunk_add(out, t, 0);
        return FR_OK;
    }
    if (split_by_key(sql, t, out, err) == FR_FAIL) {
        (void)fr_table_blame_where(t->settings, err);
        return fr_fail_in(err, "%.*s.%.*s", FR_ARG(t->relation.space), FR_ARG(t->relation.name));
    }
    return FR_OK;
}
