#include "connectors/sqlite/sq_shape.h"
#include <string.h>

static const char doing[] = "read the schema of";

static const char *place_of(const fr_table_settings *t)
{
    return t->place != NULL ? t->place : "configuration";
}

int fr_sq_shape_find(const fr_sq_shape *s, fr_str column)
{
    for (size_t i = 0; i < s->count; i++)
        if (fr_str_eq(s->columns[i].name, column))
            return (int)i;
    return -1;
}

/* ---- which relation ---- */

static fr_rc no_table(const fr_table_settings *t, const fr_sq_shape *s, fr_str other, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "there is no table or view %.*s.%.*s", FR_ARG(s->space),
            FR_ARG(s->name));
    fr_fail_code(err, "sqlite.table");
    if (!fr_str_is(s->space, "main"))
        return fr_fail_hint(err, "tables of a SQLite file are main.NAME (%s)", place_of(t));
    if (other.len > 0)
        return fr_fail_hint(err, "write it as the schema does, main.%.*s (%s)", FR_ARG(other),
                            place_of(t));
    return fr_fail_hint(err, "correct its name in tables (%s), or set poll.query", place_of(t));
}

static fr_rc refuse(const fr_sq_shape *s, fr_str type, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "%.*s.%.*s is a %.*s table: a module of the application computes its rows, so that "
            "nobody knows what is committed",
            FR_ARG(s->space), FR_ARG(s->name), FR_ARG(type));
    fr_fail_code(err, "sqlite.virtual");
    return fr_fail_hint(err, "poll the table that holds its content");
}

static fr_rc find_table(const fr_sq *c, const fr_table_settings *t, fr_sq_shape *s, fr_err *err)
{
    enum { TYPE, WITHOUT_ROWID, STRICT, NAME, EXACT };
    fr_arena *a = s->arena;
    fr_sq_rows r;
    fr_str name = fr_sq_literal(a, s->name);
    fr_str sql = fr_arena_printf(
        a,
        "SELECT type, wr, strict, name, name = %.*s COLLATE BINARY FROM pragma_table_list"
        " WHERE schema = 'main' AND name = %.*s COLLATE NOCASE AND name NOT LIKE 'sqlite\\_%%' "
        "ESCAPE '\\'",
        FR_ARG(name), FR_ARG(name));
    if (!fr_str_is(s->space, "main"))
        return no_table(t, s, (fr_str){"", 0}, err);
    FR_TRY(fr_sq_query(c, doing, sql, a, &r, err));
    if (r.count != 1 || !fr_str_is(fr_sq_cell_at(&r, 0, EXACT), "1"))
        return no_table(t, s, r.count == 1 ? fr_sq_cell_at(&r, 0, NAME) : (fr_str){"", 0}, err);
    fr_str type = fr_sq_cell_at(&r, 0, TYPE);
    s->view = fr_str_is(type, "view");
    s->without_rowid = fr_str_is(fr_sq_cell_at(&r, 0, WITHOUT_ROWID), "1");
    s->strict = fr_str_is(fr_sq_cell_at(&r, 0, STRICT), "1");
    return s->view || fr_str_is(type, "table") ? FR_OK : refuse(s, type, err);
}

/* ---- columns ---- */

static void put_text(fr_sq_shape *s)
{
    fr_buf b = {.arena = s->arena};
    for (size_t i = 0; i < s->count; i++) {
        const fr_sq_column *c = &s->columns[i];
        fr_buf_printf(&b, "%.*s %.*s %d %u,", FR_ARG(c->name), FR_ARG(c->declared), c->nullable,
                      c->primary);
    }
    s->text = fr_buf_view(&b);
}

/* A primary key that is not INTEGER may hold NULL, which nobody means: it counts as NOT NULL, and
 * a row with NULL is bad. */
static fr_rc table_columns(const fr_sq *c, fr_sq_shape *s, fr_err *err)
{
    enum { NAME, TYPE, NOT_NULL, FALLBACK, PRIMARY };
    fr_sq_rows r;
    fr_str sql = fr_arena_printf(s->arena,
                                 "SELECT name, type, \"notnull\", dflt_value, pk FROM "
                                 "pragma_table_xinfo(%.*s, 'main') WHERE hidden <> 1",
                                 FR_ARG(fr_sq_literal(s->arena, s->name)));
    FR_TRY(fr_sq_query(c, doing, sql, s->arena, &r, err));
    s->count = r.count;
    s->columns = fr_arena_alloc(s->arena, (r.count + 1) * sizeof(*s->columns));
    for (size_t i = 0; i < r.count; i++) {
        fr_str key = fr_sq_cell_at(&r, i, PRIMARY), fallback = fr_sq_cell_at(&r, i, FALLBACK);
        uint16_t primary = 0;
        for (size_t k = 0; k < key.len; k++)
            primary = (uint16_t)(primary * 10 + (key.ptr[k] - '0'));
        s->columns[i] = (fr_sq_column){
            .name = fr_sq_cell_at(&r, i, NAME),
            .declared = fr_sq_cell_at(&r, i, TYPE),
            .nullable = primary == 0 && fr_str_is(fr_sq_cell_at(&r, i, NOT_NULL), "0"),
            .primary = primary,
            .fallback =
                fallback.ptr == NULL || fr_str_is(fallback, "NULL") ? (fr_str){"", 0} : fallback};
    }
    return FR_OK;
}

/* Of a view or statement: what its SELECT says. One step, so that it was prepared for the schema
 * that is there now. */
static fr_rc selected_columns(const fr_sq *c, fr_sq_shape *s, fr_err *err)
{
    sqlite3_stmt *stmt = NULL;
    fr_str sql = fr_arena_printf(s->arena, "SELECT * FROM %.*s LIMIT 0", FR_ARG(s->from));
    FR_TRY(fr_sq_prepare(c, s->statement ? "poll.query" : doing, sql, &stmt, err));
    fr_rc rc = fr_sq_step(c, doing, stmt, err);
    s->count = rc == FR_FAIL ? 0 : (size_t)sqlite3_column_count(stmt);
    s->columns = fr_arena_alloc(s->arena, (s->count + 1) * sizeof(*s->columns));
    for (size_t i = 0; i < s->count; i++) {
        const char *name = sqlite3_column_name(stmt, (int)i);
        const char *type = sqlite3_column_decltype(stmt, (int)i);
        s->columns[i] =
            (fr_sq_column){.name = fr_arena_str(s->arena, fr_cstr(name)),
                           .declared = fr_arena_str(s->arena, fr_cstr(type != NULL ? type : "")),
                           .nullable = true};
    }
    sqlite3_finalize(stmt);
    return rc == FR_FAIL ? FR_FAIL : FR_OK;
}

static fr_rc read_columns(const fr_sq *c, fr_sq_shape *s, fr_err *err)
{
    FR_TRY(fr_sq_scalar(c, doing, FR_STR("PRAGMA main.schema_version"), s->arena, &s->cookie, err));
    FR_TRY(s->statement || s->view ? selected_columns(c, s, err) : table_columns(c, s, err));
    put_text(s);
    return FR_OK;
}

static fr_rc names_differ(const fr_table_settings *t, const fr_sq_shape *s, fr_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        if (fr_sq_shape_find(s, s->columns[i].name) == (int)i)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "two columns are called %.*s (%s)", FR_ARG(s->columns[i].name),
                place_of(t));
        fr_fail_code(err, "sqlite.columns");
        return fr_fail_hint(err, "give them names: AS");
    }
    return FR_OK;
}

fr_rc fr_sq_shape_same(const fr_sq *c, fr_sq_shape *s, bool *same, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_sq_shape now = {.arena = a,
                       .space = s->space,
                       .name = s->name,
                       .from = s->from,
                       .statement = s->statement,
                       .view = s->view};
    fr_rc rc = fr_sq_scalar(c, doing, FR_STR("PRAGMA main.schema_version"), a, &now.cookie, err);
    *same = rc == FR_OK && fr_str_eq(now.cookie, s->cookie);
    if (rc == FR_OK && !*same) {
        rc = read_columns(c, &now, err);
        *same = rc == FR_OK && fr_str_eq(now.text, s->text);
        if (*same)
            s->cookie = fr_arena_str(s->arena, now.cookie);
    }
    fr_arena_free(a);
    return rc;
}

/* ---- types ---- */

static const char *asked_type(const fr_table_settings *t, fr_str column)
{
    for (size_t i = 0; i < t->column_types.count; i++)
        if (fr_str_is(column, t->column_types.items[i].name))
            return t->column_types.items[i].value;
    return NULL;
}

static bool is_left_out(const fr_table_settings *t, fr_str column)
{
    return fr_texts_have(&t->columns_exclude, column) ||
           (t->columns_include.count > 0 && !fr_texts_have(&t->columns_include, column));
}

static bool is_text(const char *text, fr_str name)
{
    return text != NULL && fr_str_is(name, text);
}

/* The cursor, what orders its equals, and what deletes of an outbox name. */
static bool is_ordered(const fr_table_settings *t, const fr_sq_column *c)
{
    if (is_text(fr_table_cursor(t), c->name) || is_text(t->poll_tiebreak, c->name) ||
        is_text(t->outbox.id, c->name))
        return true;
    return t->key.count > 0 ? fr_texts_have(&t->key, c->name) : c->primary > 0;
}

static fr_rc type_columns(const fr_table_settings *t, fr_sq_shape *s, fr_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        fr_sq_column *c = &s->columns[i];
        c->ordered = is_ordered(t, c);
        if ((s->view || s->statement) && fr_texts_have(&t->key, c->name))
            c->nullable = false; /* taken at its word */
        if (fr_sq_type_of(c, asked_type(t, c->name), err) == FR_OK)
            continue;
        if (!is_left_out(t, c->name) || c->ordered)
            return FR_FAIL;
        c->left_out = c->nullable = true;
        c->kind = FR_TEXT;
    }
    for (size_t i = 0; i < s->count; i++) {
        fr_sq_column *c = &s->columns[i];
        if (!c->ordered || c->kind != FR_TIME)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "column %.*s is a time of day, and would order the rows (%s)",
                FR_ARG(c->name), place_of(t));
        fr_fail_code(err, "sqlite.type");
        return fr_fail_hint(err, "columns.types: {%.*s: string}", FR_ARG(c->name));
    }
    return FR_OK;
}

/* ---- indexes, triggers ---- */

/* The rowid by another name: unique and indexed without an index. */
static bool is_rowid(const fr_sq_shape *s, const fr_sq_column *c, bool own_index)
{
    size_t keys = 0;
    for (size_t i = 0; i < s->count; i++)
        keys += s->columns[i].primary > 0;
    return keys == 1 && c->primary == 1 && !s->without_rowid && !own_index &&
           c->declared.len == 7 && sqlite3_strnicmp(c->declared.ptr, "INTEGER", 7) == 0;
}

/* Without AUTOINCREMENT the number of the last row is given again once that is deleted. */
static fr_rc read_rowid(const fr_sq *c, fr_sq_shape *s, size_t i, fr_err *err)
{
    int automatic = 0;
    const char *table = fr_arena_cstr(s->arena, s->name);
    const char *column = fr_arena_cstr(s->arena, s->columns[i].name);
    if (sqlite3_table_column_metadata(c->db, "main", table, column, NULL, NULL, NULL, NULL,
                                      &automatic) != SQLITE_OK)
        return fr_sq_fail(c, doing, err);
    s->rowid = (int)i;
    s->indexed[i] = s->unique[i] = true;
    s->reused[i] = automatic == 0;
    return FR_OK;
}

static fr_rc read_indexes(const fr_sq *c, fr_sq_shape *s, fr_err *err)
{
    enum { UNIQUE, PARTIAL, ORIGIN, COLUMNS, FIRST };
    fr_sq_rows r;
    bool own_index = false;
    fr_str sql = fr_arena_printf(
        s->arena,
        "SELECT l.\"unique\", l.partial, l.origin,"
        " (SELECT count(*) FROM pragma_index_info(l.name, 'main')),"
        " (SELECT i.name FROM pragma_index_info(l.name, 'main') i WHERE i.seqno = 0)"
        " FROM pragma_index_list(%.*s, 'main') l",
        FR_ARG(fr_sq_literal(s->arena, s->name)));
    FR_TRY(fr_sq_query(c, doing, sql, s->arena, &r, err));
    for (size_t i = 0; i < r.count; i++) {
        fr_str first = fr_sq_cell_at(&r, i, FIRST); /* NULL: an expression */
        int at = first.ptr == NULL ? -1 : fr_sq_shape_find(s, first);
        own_index = own_index || fr_str_is(fr_sq_cell_at(&r, i, ORIGIN), "pk");
        if (at < 0 || fr_str_is(fr_sq_cell_at(&r, i, PARTIAL), "1"))
            continue;
        s->indexed[at] = true;
        if (fr_str_is(fr_sq_cell_at(&r, i, UNIQUE), "1") &&
            fr_str_is(fr_sq_cell_at(&r, i, COLUMNS), "1"))
            s->unique[at] = true;
    }
    for (size_t i = 0; i < s->count; i++)
        if (is_rowid(s, &s->columns[i], own_index))
            FR_TRY(read_rowid(c, s, i, err));
    return FR_OK;
}

static fr_rc read_stamped(const fr_sq *c, fr_sq_shape *s, fr_err *err)
{
    fr_str count;
    fr_str sql = fr_arena_printf(s->arena,
                                 "SELECT count(*) FROM main.sqlite_schema WHERE type = 'trigger' "
                                 "AND tbl_name = %.*s COLLATE "
                                 "NOCASE",
                                 FR_ARG(fr_sq_literal(s->arena, s->name)));
    FR_TRY(fr_sq_scalar(c, doing, sql, s->arena, &count, err));
    for (size_t i = 0; i < s->count; i++)
        s->stamped[i] = s->view || s->columns[i].fallback.len > 0 || !fr_str_is(count, "0");
    return FR_OK;
}

fr_rc fr_sq_shape_read(const fr_sq *c, const fr_table_settings *t, fr_str space, fr_str name,
                       fr_sq_shape *s, fr_err *err)
{
    s->space = fr_arena_str(s->arena, space);
    s->name = fr_arena_str(s->arena, name);
    s->rowid = -1;
    s->statement = t->poll_query != NULL;
    s->from = s->statement ? fr_arena_printf(s->arena, "(\n%s\n) freshet_poll", t->poll_query)
                           : fr_sq_qualified(s->arena, space, name);
    if (!s->statement)
        FR_TRY(find_table(c, t, s, err));
    FR_TRY(read_columns(c, s, err));
    FR_TRY(names_differ(t, s, err));
    FR_TRY(type_columns(t, s, err));
    s->indexed = fr_arena_alloc(s->arena, s->count + 1);
    s->unique = fr_arena_alloc(s->arena, s->count + 1);
    s->stamped = fr_arena_alloc(s->arena, s->count + 1);
    s->reused = fr_arena_alloc(s->arena, s->count + 1);
    if (s->statement)
        return FR_OK;
    if (!s->view)
        FR_TRY(read_indexes(c, s, err));
    return read_stamped(c, s, err);
}
