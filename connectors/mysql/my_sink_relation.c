/* The target as information_schema has it, MySQL 5.5 and later. */
#include "mysql/my_sink.h"
#include <stdlib.h>
#include <string.h>

/* ---- where it is ---- */

static fr_rc name_of(fr_my_sink *s, fr_arena *a, fr_str name, fr_str *out, fr_err *err)
{
    FR_TRY(fr_my_sink_name(a, name, out, err));
    if (s->can.folds_tables)
        *out = fr_target_lower(a, *out);
    return FR_OK;
}

/* S03: where the server folds names, two tables must not become one. */
static fr_rc check_folded(fr_my_sink *s, const fr_table *t, const fr_my_relation *r, fr_err *err)
{
    if (!s->can.folds_tables)
        return FR_OK;
    return fr_target_check_folded(s->folded, s->home, r->space, r->name, t,
                                  "this server takes them for one (lower_case_table_names)", err);
}

static fr_rc place(fr_my_sink *s, fr_arena *a, const fr_table *t, fr_my_relation *r, fr_err *err)
{
    r->space = s->database;
    if (t->space.len > 0)
        FR_TRY(name_of(s, a, t->space, &r->space, err));
    FR_TRY(name_of(s, a, t->name, &r->name, err));
    if (fr_str_is(r->name, FR_TARGET_OFFSETS) || fr_str_is(r->name, FR_TARGET_PARKED)) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s is a table of freshet's own", FR_ARG(r->name));
        return fr_fail_code(err, "sink.name");
    }
    r->qualified = fr_my_qualified(a, t->space.len > 0 ? r->space : FR_STR(""), r->name);
    return check_folded(s, t, r, err);
}

/* ---- columns ---- */

static bool has(fr_arena *a, fr_str text, const char *word)
{
    return text.len > 0 && strstr(fr_arena_cstr(a, text), word) != NULL;
}

static int digits_of(fr_str shown)
{
    const char *open = memchr(shown.ptr, '(', shown.len);
    return open != NULL && open + 2 < shown.ptr + shown.len ? open[1] - '0' : 0;
}

static bool is_any(fr_str type, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_is(type, names[i]))
            return true;
    return false;
}

static bool has_length(fr_str type)
{
    static const char *const names[] = {"char",       "varchar",  "tinytext",   "text",
                                        "mediumtext", "longtext", "binary",     "varbinary",
                                        "tinyblob",   "blob",     "mediumblob", "longblob"};
    return is_any(type, names, sizeof(names) / sizeof(names[0]));
}

static bool in_row(fr_str type)
{
    static const char *const names[] = {"char", "varchar", "binary", "varbinary"};
    return is_any(type, names, sizeof(names) / sizeof(names[0]));
}

enum {
    C_NAME,
    C_TYPE,
    C_SHOWN,
    C_NULL,
    C_DEFAULT,
    C_EXTRA,
    C_CHARSET,
    C_COLLATION,
    C_LENGTH,
    C_OCTETS,
    C_PRECISION,
    C_SCALE,
    C_COMMENT
};

static fr_my_target_column column_of(fr_arena *a, const fr_my_rows *rows, size_t i)
{
    fr_str extra = fr_my_text(rows, i, C_EXTRA),
           type = fr_target_lower(a, fr_my_text(rows, i, C_TYPE));
    fr_my_target_column c = {
        .name = fr_my_text(rows, i, C_NAME),
        .type = type,
        .shown = fr_my_text(rows, i, C_SHOWN),
        .charset = fr_my_text(rows, i, C_CHARSET),
        .collation = fr_my_text(rows, i, C_COLLATION),
        .extra = extra,
        .comment = fr_my_text(rows, i, C_COMMENT),
        .length = has_length(type) ? fr_my_uint(rows, i, C_LENGTH, 0) : 0,
        .precision = (int)fr_my_uint(rows, i, C_PRECISION, 0),
        .scale = (int)fr_my_uint(rows, i, C_SCALE, 0),
        .is_unsigned = has(a, fr_my_text(rows, i, C_SHOWN), "unsigned"),
        .not_null = fr_str_is(fr_my_text(rows, i, C_NULL), "NO"),
        .counts = has(a, extra, "auto_increment"),
        .generated =
            has(a, extra, "VIRTUAL") || has(a, extra, "PERSISTENT") || has(a, extra, "STORED"),
    };
    if (!fr_my_null(rows, i, C_DEFAULT))
        c.fallback = fr_my_text(rows, i, C_DEFAULT);
    c.has_default = c.fallback.ptr != NULL || c.counts || has(a, extra, "DEFAULT_GENERATED");
    if (fr_str_is(type, "time") || fr_str_is(type, "datetime") || fr_str_is(type, "timestamp"))
        c.digits = digits_of(c.shown);
    return c;
}

/* Equal names in the catalog's collation are not always equal ones. */
static fr_str where(fr_arena *a, const fr_my_relation *r, const char *space, const char *name)
{
    fr_str s = fr_my_literal(a, r->space), n = fr_my_literal(a, r->name);
    return fr_arena_printf(a, "%s = %.*s AND %s = %.*s AND BINARY %s = BINARY %.*s", space,
                           FR_ARG(s), name, FR_ARG(n), name, FR_ARG(n));
}

static fr_rc read_columns(fr_my_sink *s, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    fr_my_rows rows;
    fr_str sql = fr_arena_printf(
        a,
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, "
        "CHARACTER_SET_NAME, COLLATION_NAME, CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, "
        "NUMERIC_PRECISION, NUMERIC_SCALE, COLUMN_COMMENT FROM information_schema.COLUMNS "
        "WHERE %.*s ORDER BY ORDINAL_POSITION%c",
        FR_ARG(where(a, r, "TABLE_SCHEMA", "TABLE_NAME")), '\0');
    FR_TRY(fr_my_query(s->my, a, "read the target's columns", sql.ptr, &rows, err));
    r->columns = fr_arena_alloc(a, (rows.count + 1) * sizeof(fr_my_target_column));
    r->column_count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        r->columns[i] = column_of(a, &rows, i);
        if (in_row(r->columns[i].type))
            r->row_bytes += fr_my_uint(&rows, i, C_OCTETS, 0);
    }
    return FR_OK;
}

/* ---- indexes, and what makes order matter ---- */

static fr_rc read_uniques(fr_my_sink *s, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    fr_my_rows rows;
    fr_str sql = fr_arena_printf(
        a,
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
        "WHERE %.*s AND NON_UNIQUE = 0 ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, "
        "SEQ_IN_INDEX%c",
        FR_ARG(where(a, r, "TABLE_SCHEMA", "TABLE_NAME")), '\0');
    FR_TRY(fr_my_query(s->my, a, "read the target's unique indexes", sql.ptr, &rows, err));
    r->uniques = fr_arena_alloc(a, (rows.count + 1) * sizeof(fr_my_index));
    for (size_t i = 0; i < rows.count; i++) {
        bool first = i == 0 || !fr_str_eq(fr_my_text(&rows, i, 0), fr_my_text(&rows, i - 1, 0));
        if (first) {
            fr_my_index *u = &r->uniques[r->unique_count++];
            u->columns = fr_arena_alloc(a, (rows.count + 1) * sizeof(fr_str));
            u->whole = true;
        }
        fr_my_index *u = &r->uniques[r->unique_count - 1];
        u->columns[u->count++] = fr_my_text(&rows, i, 1);
        u->whole = u->whole && fr_my_null(&rows, i, 2) && !fr_my_null(&rows, i, 1);
    }
    return FR_OK;
}

static fr_str pair(fr_arena *a, fr_str space, fr_str name)
{
    return fr_arena_printf(a, "%.*s%c%.*s", FR_ARG(space), '\0', FR_ARG(name));
}

/* All of them at once: servers before 8.0 open every table for such a question. */
static fr_rc read_tied(fr_my_sink *s, fr_arena *a, fr_err *err)
{
    fr_my_rows rows;
    if (s->tied != NULL)
        return FR_OK;
    FR_TRY(fr_my_query(s->my, a, "read foreign keys",
                       "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, "
                       "REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS",
                       &rows, err));
    s->tied = fr_map_new();
    for (size_t i = 0; i < rows.count; i++)
        for (size_t side = 0; side < 4; side += 2)
            fr_map_set(s->tied, pair(a, fr_my_text(&rows, i, side), fr_my_text(&rows, i, side + 1)),
                       s);
    return FR_OK;
}

static fr_rc read_order(fr_my_sink *s, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(read_tied(s, a, err));
    fr_str sql =
        fr_arena_printf(a, "SELECT 1 FROM information_schema.TRIGGERS WHERE %.*s LIMIT 1%c",
                        FR_ARG(where(a, r, "EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE")), '\0');
    FR_TRY(fr_my_query(s->my, a, "look for triggers", sql.ptr, &rows, err));
    r->order_matters = rows.count > 0 || fr_map_get(s->tied, pair(a, r->space, r->name)) != NULL;
    return FR_OK;
}

static fr_rc read_head(fr_my_sink *s, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    fr_my_rows rows;
    fr_str sql = fr_arena_printf(
        a,
        "SELECT t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t "
        "LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE %.*s%c",
        FR_ARG(where(a, r, "t.TABLE_SCHEMA", "t.TABLE_NAME")), '\0');
    FR_TRY(fr_my_query(s->my, a, "look for the target", sql.ptr, &rows, err));
    r->there = rows.count > 0;
    r->kind = fr_my_text(&rows, 0, 0);
    r->engine = fr_my_text(&rows, 0, 1);
    r->transactional = fr_str_is(fr_my_text(&rows, 0, 2), "YES");
    if (r->there) {
        r->space_there = true;
        return FR_OK;
    }
    sql = fr_arena_printf(
        a, "SELECT 1 FROM information_schema.SCHEMATA WHERE BINARY SCHEMA_NAME = BINARY %.*s%c",
        FR_ARG(fr_my_literal(a, r->space)), '\0');
    FR_TRY(fr_my_query(s->my, a, "look for the database", sql.ptr, &rows, err));
    r->space_there = rows.count > 0;
    return FR_OK;
}

fr_rc fr_my_relation_read(fr_my_sink *s, fr_arena *a, const fr_table *t, fr_my_relation *out,
                          fr_err *err)
{
    fr_my_relation r = {.there = false};
    FR_TRY(place(s, a, t, &r, err));
    FR_TRY(read_head(s, a, &r, err));
    if (r.there) {
        FR_TRY(read_columns(s, a, &r, err));
        FR_TRY(read_uniques(s, a, &r, err));
        FR_TRY(read_order(s, a, &r, err));
    }
    *out = r;
    return FR_OK;
}

static fr_rc draft(const fr_sink_settings *settings, const fr_table *t, fr_my_abilities can,
                   fr_findings *out, fr_err *err)
{
    fr_my_sink s = {.settings = settings, .can = can};
    fr_my_relation r = {.space_there = t->space.len == 0};
    FR_TRY(place(&s, out->arena, t, &r, err));
    fr_my_sink_compare(&s, &r, t, NULL, true, out);
    return FR_OK;
}

fr_rc fr_mysql_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                          fr_err *err)
{
    return draft(settings, table, fr_my_sink_abilities(80400, false), out, err);
}

fr_rc fr_mariadb_sink_draft(const fr_sink_settings *settings, const fr_table *table,
                            fr_findings *out, fr_err *err)
{
    return draft(settings, table, fr_my_sink_abilities(110400, true), out, err);
}

const fr_my_target_column *fr_my_relation_find(const fr_my_relation *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_target_same_name(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

static bool is_key_of(const fr_my_index *u, const fr_table *t, bool history, fr_arena *a)
{
    if (!u->whole || u->count != fr_table_key_count(t) + history)
        return false;
    if (history && !fr_target_same_name(u->columns[u->count - 1], FR_STR(FR_TARGET_FROM)))
        return false; /* behind the key, so that a key's last row is found at once */
    for (size_t i = 0; i < t->column_count; i++) {
        fr_str name;
        fr_err ignored;
        if (t->columns[i].key_ordinal == 0)
            continue;
        if (fr_my_sink_name(a, t->columns[i].name, &name, &ignored) == FR_FAIL)
            return false;
        size_t at = 0;
        while (at < u->count && !fr_target_same_name(u->columns[at], name))
            at++;
        if (at == u->count)
            return false;
    }
    return true;
}

const fr_my_index *fr_my_relation_key(const fr_my_relation *r, const fr_table *t, bool history)
{
    const fr_my_index *found = NULL;
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < r->unique_count && found == NULL; i++)
        if (is_key_of(&r->uniques[i], t, history, a))
            found = &r->uniques[i];
    fr_arena_free(a);
    return found;
}
