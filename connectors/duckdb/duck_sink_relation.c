/* The target as the file has it. */
#include "duckdb/duck_sink.h"
#include "sql/text.h"
#include <string.h>

#define HERE "database_name = current_database() AND lower(schema_name) = lower($1)"

static const char head_sql[] =
    "SELECT table_name, coalesce(sql, ''), 'table' FROM duckdb_tables() WHERE " HERE
    " AND lower(table_name) = lower($2) UNION ALL "
    "SELECT view_name, '', 'view' FROM duckdb_views() WHERE " HERE
    " AND lower(view_name) = lower($2)";
static const char space_sql[] = "SELECT schema_name FROM duckdb_schemas() WHERE " HERE;
static const char columns_sql[] =
    "SELECT column_name, data_type, CAST(is_nullable AS VARCHAR), column_default FROM "
    "duckdb_columns() WHERE " HERE " AND lower(table_name) = lower($2) ORDER BY column_index";
/* One row a unique column, with a name of its index or constraint; foreign keys of either side have
 * no column. */
static const char uniques_sql[] =
    "SELECT constraint_type || CAST(constraint_index AS VARCHAR), unnest(constraint_column_names) "
    "FROM duckdb_constraints() WHERE " HERE " AND lower(table_name) = lower($2) AND "
    "constraint_type IN ('PRIMARY KEY', 'UNIQUE') UNION ALL "
    "SELECT 'index ' || index_name, NULL FROM duckdb_indexes() WHERE " HERE
    " AND lower(table_name) = lower($2) AND is_unique UNION ALL "
    "SELECT 'foreign', NULL FROM duckdb_constraints() WHERE database_name = current_database() AND "
    "constraint_type = 'FOREIGN KEY' AND (lower(table_name) = lower($2) OR "
    "lower(referenced_table) = lower($2))";

/* ---- where it is ---- */

static fr_rc name_of(const fr_table *t, fr_duck_target *r, fr_err *err)
{
    FR_TRY(fr_target_check_name("DuckDB", t->name, err));
    r->space = t->space.len > 0 ? t->space : FR_STR("main");
    FR_TRY(fr_target_check_name("DuckDB", r->space, err));
    bool own = fr_target_same_name(t->name, FR_STR(FR_TARGET_OFFSETS)) ||
               fr_target_same_name(t->name, FR_STR(FR_TARGET_PARKED));
    bool theirs = fr_target_same_name(r->space, FR_STR("information_schema")) ||
                  fr_target_same_name(r->space, FR_STR("pg_catalog"));
    if ((own && fr_target_same_name(r->space, FR_STR("main"))) || theirs) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s.%.*s is a name of %s own", FR_ARG(r->space),
                FR_ARG(t->name), theirs ? "DuckDB's" : "freshet's");
        fr_fail_code(err, "sink.name");
        return fr_fail_hint(err, "give the table another name by into");
    }
    r->name = t->name;
    return FR_OK;
}

static fr_str qualified(fr_arena *a, fr_str catalog, const fr_duck_target *r)
{
    fr_str space = fr_sql_ident(a, r->space), name = fr_sql_ident(a, r->name);
    return fr_arena_printf(a, "%.*s%s%.*s.%.*s", FR_ARG(catalog), catalog.len > 0 ? "." : "",
                           FR_ARG(space), FR_ARG(name));
}

static fr_rc place(fr_duck_sink *s, fr_arena *a, const fr_table *t, fr_duck_target *r, fr_err *err)
{
    FR_TRY(name_of(t, r, err));
    return fr_target_check_folded(s->folded, s->home, fr_target_lower(a, r->space),
                                  fr_target_lower(a, t->name), t, "DuckDB takes them for one", err);
}

/* ---- reading ---- */

static fr_rc ask(fr_duck_sink *s, fr_arena *a, const fr_duck_target *r, const char *sql,
                 size_t params, fr_duck_rows *out, fr_err *err)
{
    const fr_duck_param p[] = {{FR_DUCK_P_TEXT, r->space, 0}, {FR_DUCK_P_TEXT, r->name, 0}};
    return fr_duck_sink_ask(s, "read the target", sql, p, params, a, out, err);
}

static bool has_text(fr_str in, fr_str what)
{
    return what.len <= in.len && memmem(in.ptr, in.len, what.ptr, what.len) != NULL;
}

/* What duckdb_columns() does not tell stands in the table's text, which DuckDB itself writes. */
static bool declared(fr_arena *a, fr_str ddl, const fr_duck_target_column *c, const char *more)
{
    fr_str ident = fr_sql_ident(a, c->name);
    return has_text(ddl,
                    fr_arena_printf(a, "(%.*s %.*s %s", FR_ARG(ident), FR_ARG(c->type), more)) ||
           has_text(ddl,
                    fr_arena_printf(a, " %.*s %.*s %s", FR_ARG(ident), FR_ARG(c->type), more)) ||
           has_text(ddl,
                    fr_arena_printf(a, "(%.*s %.*s %s", FR_ARG(c->name), FR_ARG(c->type), more)) ||
           has_text(ddl,
                    fr_arena_printf(a, " %.*s %.*s %s", FR_ARG(c->name), FR_ARG(c->type), more));
}

static bool is_key(const fr_table *t, fr_str name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (t->columns[i].key_ordinal > 0 && fr_target_same_name(t->columns[i].name, name))
            return true;
    return false;
}

static fr_rc read_columns(fr_duck_sink *s, fr_arena *a, const fr_table *t, fr_str ddl,
                          fr_duck_target *r, fr_err *err)
{
    fr_duck_rows rows;
    FR_TRY(ask(s, a, r, columns_sql, 2, &rows, err));
    r->columns = fr_arena_alloc(a, (rows.count + 1) * sizeof(fr_duck_target_column));
    r->column_count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        fr_duck_target_column *c = &r->columns[i];
        c->name = fr_duck_cell(&rows, i, 0);
        c->type = fr_duck_cell(&rows, i, 1);
        c->not_null = fr_str_is(fr_duck_cell(&rows, i, 2), "false");
        c->has_default = fr_duck_cell(&rows, i, 3).ptr != NULL;
        c->generated = c->has_default && declared(a, ddl, c, "GENERATED ALWAYS AS");
        r->collated = r->collated || (is_key(t, c->name) && declared(a, ddl, c, "COLLATE "));
    }
    return FR_OK;
}

/* Rows [from, to) are those of one index. */
static bool is_key_index(const fr_duck_rows *rows, size_t from, size_t to, const fr_table *t)
{
    for (size_t i = from; i < to; i++) {
        fr_str column = fr_duck_cell(rows, i, 1);
        if (column.ptr == NULL || !is_key(t, column))
            return false;
    }
    return to - from == fr_table_key_count(t);
}

static fr_rc read_uniques(fr_duck_sink *s, fr_arena *a, const fr_table *t, fr_duck_target *r,
                          fr_err *err)
{
    fr_duck_rows rows;
    FR_TRY(ask(s, a, r, uniques_sql, 2, &rows, err));
    for (size_t i = 0, next; i < rows.count; i = next) {
        for (next = i + 1; next < rows.count; next++)
            if (!fr_str_eq(fr_duck_cell(&rows, next, 0), fr_duck_cell(&rows, i, 0)))
                break;
        if (is_key_index(&rows, i, next, t))
            r->has_key = true;
        else
            r->ordered = true;
    }
    return FR_OK;
}

fr_rc fr_duck_target_read(fr_duck_sink *s, fr_arena *a, const fr_table *t, fr_duck_target *out,
                          fr_err *err)
{
    fr_duck_target r = {.there = false};
    fr_duck_rows head, space;
    FR_TRY(place(s, a, t, &r, err));
    FR_TRY(ask(s, a, &r, space_sql, 1, &space, err));
    r.space_there = space.count > 0;
    if (r.space_there)
        r.space = fr_duck_cell(&space, 0, 0);
    FR_TRY(ask(s, a, &r, head_sql, 2, &head, err));
    r.there = head.count > 0;
    if (r.there) {
        r.name = fr_duck_cell(&head, 0, 0);
        r.view = fr_str_is(fr_duck_cell(&head, 0, 2), "view");
        FR_TRY(read_columns(s, a, t, fr_duck_cell(&head, 0, 1), &r, err));
        FR_TRY(read_uniques(s, a, t, &r, err));
    }
    r.qualified = qualified(a, s->catalog, &r);
    *out = r;
    return FR_OK;
}

/* A file of that name is not there to be asked for its catalog: the default one is meant. */
fr_rc fr_duck_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                         fr_err *err)
{
    fr_duck_target r = {.there = false};
    FR_TRY(name_of(table, &r, err));
    r.space_there = fr_target_same_name(r.space, FR_STR("main"));
    r.qualified = qualified(out->arena, FR_STR(""), &r);
    fr_duck_sink_compare(settings, &r, table, NULL, true, out);
    return FR_OK;
}

const fr_duck_target_column *fr_duck_target_find(const fr_duck_target *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_target_same_name(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}
