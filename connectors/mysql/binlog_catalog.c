#include "connectors/mysql/binlog_catalog.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { COLUMN_FIELDS_SHORT = 7, SRS_VERSION = 80000 };

/* ---- one table ---- */

/* The two question marks of a statement become these literals. */
static fr_str with_names(fr_arena *a, const char *sql, fr_str space, fr_str name)
{
    fr_str value[2] = {fr_my_literal(a, space), fr_my_literal(a, name)};
    fr_buf b = {.arena = a};
    size_t n = 0;
    for (; *sql != '\0'; sql++) {
        if (*sql == '?' && n < 2)
            fr_buf_str(&b, value[n++]);
        else
            fr_buf_u8(&b, (uint8_t)*sql);
    }
    fr_buf_u8(&b, '\0');
    return fr_buf_view(&b);
}

static const fr_pair *pair_of(const fr_pairs *p, fr_str name)
{
    for (size_t i = 0; i < p->count; i++)
        if (fr_str_is(name, p->items[i].name))
            return &p->items[i];
    return NULL;
}

void fr_binlog_catalog_configure(const fr_table_settings *t, fr_my_column *c)
{
    const fr_pair *type = pair_of(&t->column_types, c->name);
    c->zero = t->zero_dates == 0 ? FR_MY_ZERO_NULL : FR_MY_ZERO_ERROR;
    c->as_text = type != NULL && strcmp(type->value, "string") == 0;
}

static fr_str cell(const fr_my_rows *rows, size_t row, size_t column)
{
    return column < rows->columns ? rows->cells[row * rows->columns + column] : (fr_str){0};
}

static fr_rc read_columns(fr_my *my, fr_arena *a, fr_binlog_table *t, fr_err *err)
{
    fr_my_relation *r = &t->relation;
    bool full = !my->mariadb && my->version >= SRS_VERSION;
    const char *sql = full ? fr_my_columns_sql : fr_my_columns_sql_short;
    fr_my_rows rows;
    FR_TRY(fr_my_query(my, a, "read the columns", with_names(a, sql, r->space, r->name).ptr, &rows,
                       err));
    r->columns = fr_arena_alloc(a, (rows.count + 1) * sizeof(*r->columns));
    r->column_count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        fr_my_schema_row row = {.name = cell(&rows, i, 0),
                                .column_type = cell(&rows, i, 1),
                                .is_nullable = cell(&rows, i, 2),
                                .fallback = cell(&rows, i, 3),
                                .charset = cell(&rows, i, 4),
                                .extra = cell(&rows, i, 5),
                                .comment = cell(&rows, i, 6)};
        if (rows.columns > COLUMN_FIELDS_SHORT) {
            row.srs_id = cell(&rows, i, 7);
            row.generation = cell(&rows, i, 8);
        }
        if (fr_my_column_from_schema(&row, my->mariadb, a, &r->columns[i], err) == FR_FAIL)
            return fr_fail_in(err, "%.*s.%.*s", FR_ARG(r->space), FR_ARG(r->name));
        fr_binlog_catalog_configure(t->settings, &r->columns[i]);
    }
    return FR_OK;
}

/* ---- tables with a history (MariaDB's system-versioned ones) ---- */

/* The log has two columns more of them, and the second is a part of each key; where nobody declared
 * them they are called row_start and row_end, and information_schema is silent about them. */
static void add_period(fr_my_column *c, const char *name)
{
    *c = (fr_my_column){.name = fr_cstr(name),
                        .column_type = FR_STR("timestamp(6)"),
                        .type = FR_MY_TIMESTAMP,
                        .scale = 6,
                        .generated = true};
}

static fr_rc read_period(fr_my *my, fr_arena *a, fr_binlog_table *t, fr_err *err)
{
    fr_my_relation *r = &t->relation;
    fr_my_rows rows;
    fr_str sql = with_names(a,
                            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA"
                            " = ? AND TABLE_NAME = ? AND GENERATION_EXPRESSION = 'ROW END'",
                            r->space, r->name);
    FR_TRY(fr_my_query(my, a, "read the columns of the history", sql.ptr, &rows, err));
    t->period_end = rows.count > 0 ? fr_my_text(&rows, 0, 0) : FR_STR("row_end");
    if (rows.count > 0 || r->column_count == 0)
        return FR_OK;
    fr_my_column *all = fr_arena_alloc(a, (r->column_count + 3) * sizeof(*all));
    memcpy(all, r->columns, r->column_count * sizeof(*all));
    r->columns = all;
    add_period(&all[r->column_count++], "row_start");
    add_period(&all[r->column_count++], "row_end");
    for (size_t i = r->column_count - 2; i < r->column_count; i++)
        fr_binlog_catalog_configure(t->settings, &all[i]);
    t->period_hidden = true;
    return FR_OK;
}

/* A version that ended is logged after the one that followed it: with the key of both the old one
 * would stand for the row. */
static fr_rc check_period(const fr_binlog_table *t, fr_err *err)
{
    const fr_texts *key = &t->settings->key;
    if (t->period_end.len == 0 || key->count == 0)
        return FR_OK;
    for (size_t i = 0; i < key->count; i++)
        if (fr_str_is(t->period_end, key->items[i]))
            return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "%.*s.%.*s keeps its history, and key: does not name %.*s: old versions of a row would "
            "replace the newest",
            FR_ARG(t->relation.space), FR_ARG(t->relation.name), FR_ARG(t->period_end));
    fr_fail_code(err, "my.history_key");
    return fr_fail_hint(err, "leave key: out, or add %.*s to it", FR_ARG(t->period_end));
}

/* ---- the key ---- */

static fr_my_column *column_named(fr_my_relation *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_str_eq(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

/* Rows [from, to) are one index: may it stand for the row? All of it must be whole, NOT NULL
 * columns. */
static bool usable(fr_my_relation *r, const fr_my_rows *rows, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const fr_my_column *c = column_named(r, fr_my_text(rows, i, 1));
        if (c == NULL || c->nullable || !fr_my_null(rows, i, 2))
            return false;
    }
    return true;
}

static void take_key(fr_binlog_table *t, const fr_my_rows *rows, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        column_named(&t->relation, fr_my_text(rows, i, 1))->primary = (uint16_t)(i - from + 1);
    t->key_count = to - from;
    if (t->period_hidden) {
        t->key_count++;
        column_named(&t->relation, t->period_end)->primary = (uint16_t)t->key_count;
    }
    t->has_primary = fr_str_is(fr_my_text(rows, from, 0), "PRIMARY");
}

static fr_rc read_key(fr_my *my, fr_arena *a, fr_binlog_table *t, fr_err *err)
{
    fr_my_relation *r = &t->relation;
    fr_my_rows rows;
    fr_str sql =
        with_names(a,
                   "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS"
                   " WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0"
                   " ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
                   r->space, r->name);
    FR_TRY(fr_my_query(my, a, "read the keys", sql.ptr, &rows, err));
    for (size_t from = 0; from < rows.count;) {
        size_t to = from + 1;
        while (to < rows.count && fr_str_eq(fr_my_text(&rows, to, 0), fr_my_text(&rows, from, 0)))
            to++;
        if (usable(r, &rows, from, to)) {
            take_key(t, &rows, from, to);
            break;
        }
        from = to;
    }
    r->keyed = true;
    return FR_OK;
}

static bool is_transactional(fr_str engine)
{
    static const char *const names[] = {"InnoDB", "ROCKSDB", "TokuDB", "ndbcluster"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (engine.len == strlen(names[i]) && strncasecmp(engine.ptr, names[i], engine.len) == 0)
            return true;
    return false;
}

/* logged: it is read from the log; a SELECT has current rows alone. */
static fr_rc read_table(fr_my *my, const fr_my_rows *rows, size_t row,
                        const fr_table_settings *settings, bool logged, bool full_image,
                        fr_arena *a, fr_binlog_table *t, fr_err *err)
{
    *t = (fr_binlog_table){.settings = settings};
    t->relation = (fr_my_relation){.space = fr_my_text(rows, row, 0),
                                   .name = fr_my_text(rows, row, 1),
                                   .named = true,
                                   .captured = true,
                                   .full_image = full_image,
                                   .doc = fr_my_text(rows, row, 4)};
    t->engine = fr_my_text(rows, row, 2);
    t->transactional = is_transactional(t->engine);
    t->rows = fr_my_uint(rows, row, 3, 0);
    FR_TRY(read_columns(my, a, t, err));
    if (logged && fr_str_is(fr_my_text(rows, row, 5), "SYSTEM VERSIONED")) {
        FR_TRY(read_period(my, a, t, err));
        FR_TRY(check_period(t, err));
    }
    return read_key(my, a, t, err);
}

/* ---- all of them ---- */

#define ALL_SQL                                                                                    \
    "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, TABLE_COMMENT, TABLE_TYPE"               \
    " FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN"                                    \
    " ('mysql', 'information_schema', 'performance_schema', 'sys')"
#define TABLES_SQL ALL_SQL " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"

fr_rc fr_binlog_catalog_read(fr_my *my, const fr_source_settings *settings, bool full_image,
                             fr_arena *a, fr_binlog_catalog *out, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(my, a, "read the tables", TABLES_SQL " ORDER BY TABLE_SCHEMA, TABLE_NAME",
                       &rows, err));
    fr_binlog_catalog c = {.arena = a};
    c.tables = fr_arena_alloc(a, (rows.count + 1) * sizeof(*c.tables));
    for (size_t i = 0; i < rows.count; i++) {
        const fr_table_settings *t =
            fr_source_match(settings, fr_my_text(&rows, i, 0), fr_my_text(&rows, i, 1));
        if (t == NULL)
            continue;
        FR_TRY(read_table(my, &rows, i, t, true, full_image, a, &c.tables[c.count], err));
        /* Gone between the two questions. */
        c.count += c.tables[c.count].relation.column_count > 0;
    }
    *out = c;
    return FR_OK;
}

static fr_rc one_table(fr_my *my, const char *tables_sql, const fr_table_settings *t, bool logged,
                       bool full_image, fr_str space, fr_str name, fr_arena *a,
                       fr_binlog_table **out, fr_err *err)
{
    fr_my_rows rows;
    fr_str sql = with_names(a, tables_sql, space, name);
    FR_TRY(fr_my_query(my, a, "read the tables", sql.ptr, &rows, err));
    *out = NULL;
    if (rows.count == 0 || t == NULL)
        return FR_OK;
    fr_binlog_table *found = fr_arena_alloc(a, sizeof(*found));
    FR_TRY(read_table(my, &rows, 0, t, logged, full_image, a, found, err));
    if (found->relation.column_count > 0)
        *out = found;
    return FR_OK;
}

fr_rc fr_binlog_catalog_table(fr_my *my, const fr_source_settings *settings, bool full_image,
                              fr_str space, fr_str name, fr_arena *a, fr_binlog_table **out,
                              fr_err *err)
{
    return one_table(my, TABLES_SQL " AND TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                     fr_source_match(settings, space, name), true, full_image, space, name, a, out,
                     err);
}

fr_rc fr_binlog_catalog_any(fr_my *my, const fr_table_settings *t, fr_str space, fr_str name,
                            fr_arena *a, fr_binlog_table **out, fr_err *err)
{
    return one_table(my, ALL_SQL " AND TABLE_SCHEMA = ? AND TABLE_NAME = ?", t, false, true, space,
                     name, a, out, err);
}

fr_rc fr_binlog_catalog_names(fr_my *my, fr_arena *a, fr_my_rows *out, fr_err *err)
{
    return fr_my_query(my, a, "read the tables", ALL_SQL " ORDER BY TABLE_SCHEMA, TABLE_NAME", out,
                       err);
}

fr_rc fr_binlog_catalog_verify(const fr_source_settings *settings, const fr_binlog_catalog *c,
                               fr_err *err)
{
    for (size_t i = 0; i < settings->table_count; i++) {
        const fr_table_settings *t = &settings->tables[i];
        bool found =
            t->regex != NULL || t->method == FR_METHOD_SKIP || t->drop_table == FR_GONE_IGNORE;
        for (size_t k = 0; k < c->count && !found; k++)
            found = c->tables[k].settings == t;
        if (found)
            continue;
        fr_fail(err, FR_ERR_CONFIG, "there is no table %s, or no right to see it", t->pattern);
        fr_fail_code(err, "my.table");
        return fr_fail_hint(err, "correct its name in tables (%s), or: GRANT SELECT ON %s TO ...;",
                            t->place != NULL ? t->place : "configuration", t->pattern);
    }
    return FR_OK;
}

void fr_binlog_catalog_shapes(const fr_binlog_catalog *c, char out[20])
{
    fr_buf b = {0};
    for (size_t i = 0; i < c->count; i++) {
        const fr_my_relation *r = &c->tables[i].relation;
        fr_buf_json(&b, r->space);
        fr_buf_json(&b, r->name);
        for (size_t k = 0; k < r->column_count; k++) {
            fr_buf_json(&b, r->columns[k].name);
            fr_buf_json(&b, r->columns[k].column_type);
            fr_buf_printf(&b, "%u", r->columns[k].primary);
        }
    }
    snprintf(out, 20, "%016" PRIx64, fr_hash64(b.ptr, b.len));
    fr_buf_free(&b);
}
