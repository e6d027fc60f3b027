/* The target as the file has it. */
#include "sql/text.h"
#include "sqlite/sq_sink.h"
#include <string.h>

/* Whether constraints say ON CONFLICT is in the table's text only, where a name may have it too. */
static const char head_sql[] = "SELECT name, type, strict, EXISTS (SELECT 1 FROM "
                               "main.sqlite_master AS m WHERE m.type = 'table'"
                               " AND m.name = l.name AND instr(lower(m.sql), 'conflict') > 0)"
                               " FROM pragma_table_list(?1) AS l WHERE schema = 'main'";
/* hidden: 1 of a virtual table, 2 and 3 generated. */
static const char columns_sql[] =
    "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM "
    "pragma_table_xinfo(?1, 'main')";
static const char uniques_sql[] =
    "SELECT l.name, x.name, x.coll FROM pragma_index_list(?1, 'main') l "
    "JOIN pragma_index_xinfo(l.name, 'main') x WHERE l.\"unique\" AND NOT l.partial AND x.key "
    "ORDER BY l.seq, x.seqno";

/* ---- where it is ---- */

static fr_rc name_of(const fr_table *t, fr_sq_target *r, fr_err *err)
{
    fr_str reserved = FR_STR("sqlite_");
    if (t->space.len > 0 && !fr_target_same_name(t->space, FR_STR("main"))) {
        fr_fail(err, FR_ERR_CONFIG, "an SQLite file has no spaces, and the table is %.*s.%.*s",
                FR_ARG(t->space), FR_ARG(t->name));
        fr_fail_code(err, "sink.name");
        return fr_fail_hint(err, "set into to ${table}, or to ${space}_${table}");
    }
    FR_TRY(fr_target_check_name("SQLite", t->name, err));
    bool own = fr_target_same_name(t->name, FR_STR(FR_TARGET_OFFSETS)) ||
               fr_target_same_name(t->name, FR_STR(FR_TARGET_PARKED));
    fr_str head = {t->name.ptr, t->name.len < reserved.len ? t->name.len : reserved.len};
    if (own || fr_target_same_name(head, reserved)) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s is a table of %s own", FR_ARG(t->name),
                own ? "freshet's" : "SQLite's");
        fr_fail_code(err, "sink.name");
        return fr_fail_hint(err, "give the table another name by into");
    }
    r->name = t->name;
    return FR_OK;
}

static fr_rc place(fr_sq_sink *s, fr_arena *a, const fr_table *t, fr_sq_target *r, fr_err *err)
{
    FR_TRY(name_of(t, r, err));
    return fr_target_check_folded(s->folded, s->home, FR_STR(""), fr_target_lower(a, t->name), t,
                                  "SQLite takes them for one", err);
}

/* ---- reading ---- */

static fr_rc ask(fr_sq_sink *s, const fr_sq_target *r, const char *sql, sqlite3_stmt **out,
                 fr_err *err)
{
    FR_TRY(fr_sq_sink_compile(s, "read the target", fr_cstr(sql), false, out, err));
    fr_sq_sink_bind_text(*out, 1, r->name);
    return FR_OK;
}

static void *grown(fr_arena *a, void *items, size_t count, size_t size)
{
    if (count % 16 != 0)
        return items;
    void *more = fr_arena_alloc(a, (count + 16) * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

static fr_rc read_head(fr_sq_sink *s, fr_arena *a, fr_sq_target *r, bool *strict, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    FR_TRY(ask(s, r, head_sql, &stmt, err));
    fr_rc rc = fr_sq_sink_step(s, "read the target", stmt, err);
    if (rc == FR_OK) {
        r->there = true;
        r->name = fr_sq_sink_column(a, stmt, 0);
        r->kind = fr_sq_sink_column(a, stmt, 1);
        *strict = sqlite3_column_int(stmt, 2) != 0;
        r->resolves = sqlite3_column_int(stmt, 3) != 0;
    }
    sqlite3_finalize(stmt);
    return rc;
}

static void add_unique(fr_arena *a, fr_sq_target *r)
{
    r->uniques = grown(a, r->uniques, r->unique_count, sizeof(fr_sq_index));
    r->uniques[r->unique_count++] = (fr_sq_index){.columns = NULL};
}

static void add_to_unique(fr_arena *a, fr_sq_index *u, fr_str column, fr_str collation)
{
    u->columns = grown(a, u->columns, u->count, sizeof(fr_str));
    u->collations = grown(a, u->collations, u->count, sizeof(fr_str));
    u->columns[u->count] = column;
    u->collations[u->count++] = collation;
}

static fr_rc read_columns(fr_sq_sink *s, fr_arena *a, fr_sq_target *r, bool strict, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    fr_rc rc;
    FR_TRY(ask(s, r, columns_sql, &stmt, err));
    while ((rc = fr_sq_sink_step(s, "read the target", stmt, err)) == FR_OK) {
        r->columns = grown(a, r->columns, r->column_count, sizeof(fr_sq_target_column));
        fr_str declared = fr_sq_sink_column(a, stmt, 1);
        r->columns[r->column_count++] =
            (fr_sq_target_column){.name = fr_sq_sink_column(a, stmt, 0),
                                  .declared = declared,
                                  .affinity = fr_sq_affinity_of(declared, strict),
                                  .strict = strict,
                                  .not_null = sqlite3_column_int(stmt, 2) != 0,
                                  .has_default = sqlite3_column_int(stmt, 3) != 0,
                                  .generated = sqlite3_column_int(stmt, 5) > 1,
                                  .counts = sqlite3_column_int(stmt, 4) > 0};
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* INTEGER PRIMARY KEY is the row's own number and has no index. Until here `counts` says that the
 * column is part of the primary key. */
static void find_row_number(fr_arena *a, fr_sq_target *r)
{
    fr_sq_target_column *only = NULL;
    size_t keys = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        fr_sq_target_column *c = &r->columns[i];
        keys += c->counts;
        only = c->counts ? c : only;
        c->counts = false;
    }
    if (keys != 1 || !fr_target_same_name(only->declared, FR_STR("INTEGER")))
        return;
    for (size_t i = 0; i < r->unique_count; i++)
        if (r->uniques[i].count == 1 && fr_str_eq(r->uniques[i].columns[0], only->name))
            return; /* WITHOUT ROWID, or INTEGER PRIMARY KEY DESC: a key like others */
    only->counts = true;
    add_unique(a, r);
    add_to_unique(a, &r->uniques[r->unique_count - 1], only->name, FR_STR("BINARY"));
}

static fr_rc read_uniques(fr_sq_sink *s, fr_arena *a, fr_sq_target *r, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    fr_rc rc;
    fr_str before = {NULL, 0};
    FR_TRY(ask(s, r, uniques_sql, &stmt, err));
    while ((rc = fr_sq_sink_step(s, "read the target", stmt, err)) == FR_OK) {
        fr_str index = fr_sq_sink_column(a, stmt, 0);
        if (before.ptr == NULL || !fr_str_eq(index, before))
            add_unique(a, r);
        before = index;
        add_to_unique(a, &r->uniques[r->unique_count - 1], fr_sq_sink_column(a, stmt, 1),
                      fr_sq_sink_column(a, stmt, 2));
    }
    sqlite3_finalize(stmt);
    if (rc == FR_END)
        find_row_number(a, r);
    return rc;
}

fr_rc fr_sq_target_read(fr_sq_sink *s, fr_arena *a, const fr_table *t, fr_sq_target *out,
                        fr_err *err)
{
    fr_sq_target r = {.there = false};
    bool strict = false;
    FR_TRY(place(s, a, t, &r, err));
    FR_TRY(read_head(s, a, &r, &strict, err));
    if (r.there) {
        FR_TRY(read_columns(s, a, &r, strict, err));
        FR_TRY(read_uniques(s, a, &r, err));
    }
    r.qualified = fr_sql_ident(a, r.name);
    *out = r;
    return FR_OK;
}

fr_rc fr_sq_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err)
{
    fr_sq_target r = {.there = false};
    FR_TRY(name_of(table, &r, err));
    r.qualified = fr_sql_ident(out->arena, r.name);
    fr_sq_sink_compare(settings, &r, table, NULL, true, out);
    return FR_OK;
}

const fr_sq_target_column *fr_sq_target_find(const fr_sq_target *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_target_same_name(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

static bool has_column(const fr_sq_index *u, fr_str name)
{
    for (size_t i = 0; i < u->count; i++)
        if (fr_target_same_name(u->columns[i], name))
            return true;
    return false;
}

const fr_sq_index *fr_sq_target_key(const fr_sq_target *r, const fr_table *t, bool history)
{
    for (size_t n = 0; n < r->unique_count; n++) {
        const fr_sq_index *u = &r->uniques[n];
        bool all = u->count == fr_table_key_count(t) + history;
        all = all &&
              (!history || fr_target_same_name(u->columns[u->count - 1], FR_STR(FR_TARGET_FROM)));
        for (size_t i = 0; i < t->column_count && all; i++)
            all = t->columns[i].key_ordinal == 0 || has_column(u, t->columns[i].name);
        if (all)
            return u;
    }
    return NULL;
}
