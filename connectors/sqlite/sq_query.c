#include "connectors/sqlite/sq_query.h"
#include "connectors/sqlite/sq_value.h"
#include "connectors/sqlite/sq_verify.h"
#include <inttypes.h>
#include <stdlib.h>

#define SQL(base) ((fr_sq_sql *)(base))
#define RELATION(base) ((fr_sq_relation *)(base))
#define CONST_RELATION(base) ((const fr_sq_relation *)(base))

enum { STATE_US = 50000 };

const fr_option fr_sqlite_options[] = {
    {.name = "path",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_sqlite_config, path),
     .help = "The file of the SQLite database; it must be there. It is only read, unless an outbox "
             "is emptied.",
     .flags = FR_REQUIRED | FR_PATH},
    {.name = NULL},
};

/* ---- connection ---- */

static void sq_close(fr_sql *base)
{
    fr_sq_sql *c = SQL(base);
    if (c == NULL)
        return;
    fr_sq_watch_end(&c->watch);
    fr_sq_close(c->conn);
    fr_buf_free(&c->removal);
    free(c->forms);
    fr_arena_free(c->arena);
    free(c);
}

static bool any_emptied(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (fr_table_emptied(&s->tables[i]))
            return true;
    return false;
}

static fr_rc sq_open(const fr_source_settings *settings, fr_sql **out, fr_err *err)
{
    const fr_sqlite_config *config = settings->connector;
    fr_sq_sql *c = fr_malloc(sizeof(*c));
    c->base.ops = &fr_sqlite_sql;
    c->settings = settings;
    c->arena = fr_arena_new(0);
    if (fr_sq_open(config->path, any_emptied(settings), &c->conn, err) == FR_FAIL) {
        sq_close(&c->base);
        return FR_FAIL;
    }
    fr_sq_watch_begin(&c->watch, c->conn);
    *out = &c->base;
    return FR_OK;
}

/* The file itself: another one of the same name has other rows. */
static fr_rc sq_identity(fr_sql *base, fr_arena *a, fr_str *out, fr_err *err)
{
    const fr_sq *c = SQL(base)->conn;
    fr_buf b = {.arena = a};
    FR_TRY(fr_sq_same_file(c, err));
    fr_buf_text(&b, "{\"poll\":1,\"db\":");
    fr_buf_json(&b, fr_cstr(c->path));
    fr_buf_printf(&b, ",\"inode\":%" PRIu64 "}", (uint64_t)c->ino);
    *out = fr_buf_view(&b);
    return FR_OK;
}

static fr_rc sq_list(fr_sql *base, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err)
{
    fr_sq_rows r;
    FR_TRY(fr_sq_query(SQL(base)->conn, "list the tables of",
                       FR_STR("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN"
                              " ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                              " ORDER BY name"),
                       a, &r, err));
    fr_sql_name *names = fr_arena_alloc(a, (r.count + 1) * sizeof(*names));
    for (size_t i = 0; i < r.count; i++)
        names[i] = (fr_sql_name){FR_STR("main"), fr_sq_cell_at(&r, i, 0)};
    *out = names;
    *count_out = r.count;
    return FR_OK;
}

/* ---- what a relation is ---- */

static void sq_forget(fr_sql_relation *base)
{
    fr_sq_relation *r = RELATION(base);
    if (r == NULL)
        return;
    fr_table_unref(r->base.table);
    fr_arena_free(r->arena);
    free(r);
}

static const fr_table *make_table(const fr_sq_shape *s, const fr_table_settings *t,
                                  uint32_t version)
{
    fr_column *columns = fr_arena_alloc(s->arena, (s->count + 1) * sizeof(*columns));
    bool key_alone = fr_table_key_before(t);
    for (size_t i = 0; i < s->count; i++) {
        const fr_sq_column *c = &s->columns[i];
        columns[i] = (fr_column){.name = c->name,
                                 .kind = c->kind,
                                 .nullable = c->nullable,
                                 .key_ordinal = c->primary,
                                 .precision = c->precision,
                                 .scale = c->scale,
                                 .native_type = c->declared};
        /* The key that old rows have: the configured one, else the table's. */
        if (key_alone && t->key.count > 0)
            columns[i].key_ordinal =
                c->nullable ? 0 : (uint16_t)(fr_texts_find(&t->key, c->name) + 1);
    }
    return fr_table_new(&(fr_table){.space = s->space,
                                    .name = s->name,
                                    .version = version,
                                    .full_before = !key_alone,
                                    .column_count = s->count,
                                    .columns = columns});
}

static fr_rc read_relation(fr_sq_sql *c, const fr_table_settings *t, fr_sq_relation *r,
                           fr_str space, fr_str name, uint32_t version, fr_err *err)
{
    fr_sq_shape *s = &r->shape;
    const char *cursor = fr_table_emptied(t) ? NULL : fr_table_cursor(t);
    s->arena = r->arena;
    FR_TRY(fr_sq_shape_read(c->conn, t, space, name, s, err));
    r->cursor = cursor == NULL ? -1 : fr_sq_shape_find(s, fr_cstr(cursor));
    FR_TRY(fr_sq_order_scan(c, s, fr_cstr(cursor != NULL ? cursor : ""), err));
    int64_t *units = fr_arena_alloc(r->arena, (s->count + 1) * sizeof(*units));
    for (size_t i = 0; i < s->count; i++)
        units[i] = fr_sq_unit_of(&s->columns[i]);
    r->base = (fr_sql_relation){.table = make_table(s, t, version),
                                .statement = s->statement,
                                .unit_us = units,
                                .indexed = s->indexed,
                                .plain_table = !s->statement && !s->view,
                                .unique = s->unique,
                                .stamped = s->stamped,
                                .reused = s->reused,
                                .once = FR_STR("declare it INTEGER PRIMARY KEY AUTOINCREMENT")};
    return FR_OK;
}

static fr_rc sq_describe(fr_sql *base, const fr_table_settings *t, fr_str space, fr_str name,
                         uint32_t version, fr_sql_relation **out, fr_err *err)
{
    fr_sq_relation *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    if (read_relation(SQL(base), t, r, space, name, version, err) == FR_FAIL) {
        sq_forget(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

/* ---- who may still commit ---- */

static fr_rc sq_state(fr_sql *base, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    fr_sq_sql *c = SQL(base);
    fr_sq_look look;
    FR_TRY(fr_sq_watch_look(&c->watch, c->conn, a, &look, err));
    *out = (fr_sql_state){.now_us = look.now_us,
                          .listed_us = look.now_us,
                          .oldest_us = look.held ? look.final_us : INT64_MAX,
                          .prepared_us = INT64_MAX,
                          .oldest_who = look.who};
    return FR_OK;
}

/* ---- rows ---- */

static fr_rc sq_select(fr_sql *base, fr_sql_relation *relation, fr_str sql, fr_reader **out,
                       fr_err *err)
{
    return fr_sq_rows_read(SQL(base), RELATION(relation), sql, false, out, err);
}

static void sq_put_ident(fr_buf *b, fr_str name)
{
    fr_arena *a = fr_arena_new(256);
    fr_buf_str(b, fr_sq_ident(a, name));
    fr_arena_free(a);
}

static void sq_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    const fr_sq_column *c = &CONST_RELATION(r)->shape.columns[column];
    if (c->left_out)
        fr_buf_text(b, "NULL");
    else
        sq_put_ident(b, c->name);
}

/* The lock that BEGIN IMMEDIATE takes is that of the whole file, until it is settled. */
static fr_rc sq_take(fr_sql *base, fr_sql_relation *relation, size_t column, fr_str in,
                     fr_reader **out, fr_err *err)
{
    fr_sq_sql *c = SQL(base);
    fr_buf select = {0}, rest = {0};
    fr_buf_printf(&rest, " FROM %.*s WHERE ", FR_ARG(RELATION(relation)->shape.from));
    sq_put_ident(&rest, relation->table->columns[column].name);
    fr_buf_printf(&rest, " IN %.*s", FR_ARG(in));
    fr_buf_text(&select, "SELECT ");
    for (size_t i = 0; i < relation->table->column_count; i++) {
        fr_buf_text(&select, i > 0 ? ", " : "");
        sq_put_column(&select, relation, i);
    }
    fr_buf_str(&select, fr_buf_view(&rest));
    c->removal.len = 0;
    fr_buf_printf(&c->removal, "DELETE%.*s", FR_ARG(fr_buf_view(&rest)));
    fr_rc rc = fr_sq_rows_read(c, RELATION(relation), fr_buf_view(&select), true, out, err);
    c->taken = 0;
    fr_buf_free(&select);
    fr_buf_free(&rest);
    return rc;
}

static fr_rc remove_taken(fr_sq_sql *c, fr_err *err)
{
    static const char doing[] = "delete what is published from";
    sqlite3_stmt *s = NULL;
    FR_TRY(fr_sq_prepare(c->conn, doing, fr_buf_view(&c->removal), &s, err));
    fr_rc rc = fr_sq_step(c->conn, doing, s, err);
    sqlite3_finalize(s);
    FR_TRY(rc);
    uint64_t gone = (uint64_t)sqlite3_changes64(c->conn->db);
    if (gone == c->taken)
        return fr_sq_exec(c->conn, doing, "COMMIT", err);
    fr_fail(err, FR_ERR_CONFIG, "of %" PRIu64 " rows that were to be deleted %" PRIu64 " were",
            c->taken, gone);
    return fr_fail_code(err, "outbox.not_deleted");
}

static fr_rc sq_settle(fr_sql *base, bool remove, fr_err *err)
{
    fr_sq_sql *c = SQL(base);
    fr_err ignored;
    if (remove && remove_taken(c, err) == FR_OK)
        return FR_OK;
    fr_rc rc = FR_OK;
    if (sqlite3_get_autocommit(c->conn->db) == 0)
        rc = fr_sq_exec(c->conn, "leave", "ROLLBACK", remove ? &ignored : err);
    return remove ? FR_FAIL : rc;
}

static fr_rc sq_scalar(fr_sql *base, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    return fr_sq_scalar(SQL(base)->conn, "ask", sql, a, out, err);
}

/* ---- spelling ---- */

static void sq_put_from(fr_buf *b, const fr_sql_relation *r)
{
    fr_buf_str(b, CONST_RELATION(r)->shape.from);
}

static bool sq_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    return fr_sq_put_value(b, &CONST_RELATION(r)->shape.columns[column], text);
}

static fr_str sq_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    return fr_sq_value_text(a, &CONST_RELATION(r)->shape.columns[column], v);
}

static void sq_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    const fr_sq_column *c = &CONST_RELATION(r)->shape.columns[column];
    fr_arena *a = fr_arena_new(256);
    fr_value v = {.kind = c->kind, .integer = us};
    (void)fr_sq_put_value(b, c, fr_sq_value_text(a, c, &v));
    fr_arena_free(a);
}

const fr_sql_ops fr_sqlite_sql = {
    .name = "sqlite-query",
    .open = sq_open,
    .close = sq_close,
    .identity = sq_identity,
    .verify = fr_sq_verify,
    .check = fr_sq_check,
    .list = sq_list,
    .describe = sq_describe,
    .forget = sq_forget,
    .state_every_us = STATE_US,
    .state = sq_state,
    .select = sq_select,
    .take = sq_take,
    .settle = sq_settle,
    .scalar = sq_scalar,
    .put_ident = sq_put_ident,
    .put_column = sq_put_column,
    .put_from = sq_put_from,
    .put_value = sq_put_value,
    .text = sq_text,
    .put_time = sq_put_time,
    .put_outbox = fr_sq_put_outbox,
};

extern const fr_source_ops fr_sqlite_source;
const fr_source_ops fr_sqlite_source = {
    .name = "sqlite-query",
    .type = "sqlite",
    .summary = "SQLite 3, by asking its file: it has no log for others.",
    .options = fr_sqlite_options,
    .config_size = sizeof(fr_sqlite_config),
    .sql = &fr_sqlite_sql,
    .declared = fr_sq_declared_column,
    .rows = &fr_sqlite_verify,
};
