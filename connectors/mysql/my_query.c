#include "base/clock.h"
#include "connectors/mysql/my_busy.h"
#include "connectors/mysql/my_query_parts.h"
#include "connectors/mysql/my_state.h"
#include "connectors/mysql/my_statement.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECOND_US = 1000000,
    ROWS_BETWEEN_LOOKS = 64,
    OTHER_LIST_VERSION = 80022,
    NO_PROCESS = 1227,
    NO_TABLE_RIGHT = 1142,
    TABLE_CHANGED = 1412,
    MARIADB_KEEPS_NUMBERS = 100204,
    MYSQL_KEEPS_NUMBERS = 80000,
    STATE_US = 500000
};

typedef fr_my_sql my_sql;
typedef fr_my_sql_relation my_relation;

#define SQL(base) ((my_sql *)(base))
#define RELATION(base) ((my_relation *)(base))
#define CONST_RELATION(base) ((const my_relation *)(base))

/* ---- connection ---- */

static void my_sql_close(fr_sql *base)
{
    my_sql *c = SQL(base);
    if (c == NULL)
        return;
    fr_my_close(c->my);
    fr_buf_free(&c->removal);
    if (c->source != NULL)
        c->source->base.ops->close(&c->source->base);
    free(c);
}

/* MySQL's own PROCESSLIST cannot be read while anybody's statement holds bytes that are no text
 * (error 3854), whatever is asked of it. From 8.0.22 on there is another, unless it is off. */
static fr_rc choose_processes(my_sql *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str on = {"", 0};
    fr_rc rc = FR_OK;
    c->processes = "information_schema.PROCESSLIST";
    if (!c->my->mariadb && c->my->version >= OTHER_LIST_VERSION)
        rc = fr_my_variable(c->my, a, "performance_schema", &on, err);
    if (fr_str_is(on, "ON") || fr_str_is(on, "1"))
        c->processes = "performance_schema.processlist";
    fr_arena_free(a);
    return rc;
}

/* A log of statements takes none of a transaction at READ COMMITTED (error 1665). */
static fr_rc choose_isolation(my_sql *c, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str format;
    fr_rc rc = fr_my_variable(c->my, a, "binlog_format", &format, err);
    c->repeatable = rc == FR_OK && fr_str_is(format, "STATEMENT");
    fr_arena_free(a);
    return rc;
}

static fr_rc open_as(const fr_source_settings *settings, const fr_source_ops *source,
                     const fr_sql_ops *ops, fr_sql **out, fr_err *err)
{
    my_sql *c = fr_malloc(sizeof(*c));
    c->base.ops = ops;
    c->source = fr_binlog_source_new(settings, source);
    fr_rc rc = fr_binlog_connect(c->source, &c->my, err);
    if (rc == FR_OK)
        rc = choose_processes(c, err);
    if (rc == FR_OK)
        rc = choose_isolation(c, err);
    /* Whatever the server's default is: only what is committed. */
    if (rc == FR_OK)
        rc = fr_my_exec(c->my, "prepare the session",
                        FR_STR("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"), err);
    if (rc == FR_FAIL) {
        my_sql_close(&c->base);
        return FR_FAIL;
    }
    *out = &c->base;
    return FR_OK;
}

static fr_rc mysql_sql_open(const fr_source_settings *settings, fr_sql **out, fr_err *err)
{
    return open_as(settings, &fr_mysql_binlog_source, &fr_mysql_sql, out, err);
}

static fr_rc mariadb_sql_open(const fr_source_settings *settings, fr_sql **out, fr_err *err)
{
    return open_as(settings, &fr_mariadb_binlog_source, &fr_mariadb_sql, out, err);
}

static fr_rc my_identity(fr_sql *base, fr_arena *a, fr_str *out, fr_err *err)
{
    fr_binlog_server server;
    FR_TRY(fr_binlog_server_read(SQL(base)->my, &server, err));
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"poll\":1,\"server\":");
    fr_buf_json(&b, fr_cstr(server.name));
    fr_buf_u8(&b, '}');
    *out = fr_buf_view(&b);
    return FR_OK;
}

/* Without PROCESS neither other users' transactions nor their statements are seen. */
static fr_rc no_process(fr_my *my, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    fr_err ignored;
    fr_str user = FR_STR("...");
    if (fr_my_query(my, a, "ask", "SELECT CURRENT_USER()", &rows, &ignored) == FR_OK)
        user = fr_my_text(&rows, 0, 0);
    fr_fail(err, FR_ERR_AUTH,
            "user %.*s does not see which transactions are open, so that rows which are committed "
            "late would be missed",
            FR_ARG(user));
    fr_fail_code(err, "query.bound");
    fr_fail_hint(err, "GRANT PROCESS ON *.* TO %.*s;", FR_ARG(user));
    fr_arena_free(a);
    return FR_FAIL;
}

static fr_rc my_verify(fr_sql *base, const fr_source_settings *settings, fr_err *err)
{
    fr_my *my = SQL(base)->my;
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    char sql[300];
    fr_rc rc = FR_OK;
    snprintf(sql, sizeof(sql),
             "SELECT COUNT(*) FROM %s WHERE USER = 'system user' AND COMMAND IN"
             " ('Connect', 'Slave_IO', 'Slave_SQL', 'Slave_worker', 'Query')",
             SQL(base)->processes);
    if (fr_source_bounded(settings))
        rc = fr_my_query(my, a, "list open transactions",
                         "SELECT COUNT(*) FROM information_schema.INNODB_TRX", &rows, err);
    if (rc == FR_FAIL && err->native == NO_PROCESS)
        rc = no_process(my, err);
    if (rc == FR_FAIL && err->native == FR_MY_CANNOT_CONVERT) /* it may be listed, another time */
        rc = FR_OK;
    if (rc == FR_OK)
        rc = fr_my_query(my, a, "look for a replica's threads", sql, &rows, err);
    if (rc == FR_OK && fr_my_uint(&rows, 0, 0, 0) > 0) {
        rc = fr_fail(err, FR_ERR_CONFIG,
                     "the server is a replica: transactions that are open on the primary are not "
                     "seen here, and their rows would be missed");
        fr_fail_code(err, "query.replica");
        fr_fail_hint(err, "give the primary's address in dsn");
    }
    fr_arena_free(a);
    return rc;
}

static fr_rc my_sql_busy(fr_sql *base, fr_arena *a, fr_str *why_out, fr_err *err)
{
    return fr_my_busy(SQL(base)->my, SQL(base)->source->settings, a, why_out, err);
}

static fr_rc my_list(fr_sql *base, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_binlog_catalog_names(SQL(base)->my, a, &rows, err));
    fr_sql_name *names = fr_arena_alloc(a, (rows.count + 1) * sizeof(*names));
    for (size_t i = 0; i < rows.count; i++)
        names[i] = (fr_sql_name){fr_my_text(&rows, i, 0), fr_my_text(&rows, i, 1)};
    *out = names;
    *count_out = rows.count;
    return FR_OK;
}

/* ---- what a relation is ---- */

static fr_rc fail_shape(fr_my *my, fr_str qualified, fr_err *err)
{
    bool gone = mysql_errno(my->mysql) == 1146; /* ER_NO_SUCH_TABLE */
    fr_my_fail(my, "look at the columns", err);
    if (!gone)
        return FR_FAIL;
    fr_fail_code(err, "my.table");
    return fr_fail_hint(err, "make %.*s again, or take it out of the configuration",
                        FR_ARG(qualified));
}

/* The shape that a SELECT * says itself, under the lock that it takes. */
static fr_rc read_shape(fr_my *my, fr_str qualified, fr_buf *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str sql = fr_arena_printf(a, "SELECT * FROM %.*s LIMIT 0", FR_ARG(qualified));
    MYSQL_RES *res = NULL;
    fr_rc rc = FR_OK;
    if (mysql_real_query(my->mysql, sql.ptr, sql.len) != 0 ||
        (res = mysql_store_result(my->mysql)) == NULL)
        rc = fail_shape(my, qualified, err);
    unsigned n = rc == FR_OK ? mysql_num_fields(res) : 0;
    for (unsigned i = 0; i < n; i++) {
        const MYSQL_FIELD *f = mysql_fetch_field_direct(res, i);
        fr_buf_printf(out, "%.*s %d %lu %u %u %u,", (int)f->name_length, f->name, (int)f->type,
                      f->length, f->flags & (NOT_NULL_FLAG | UNSIGNED_FLAG), f->decimals,
                      f->charsetnr);
    }
    mysql_free_result(res);
    fr_arena_free(a);
    return rc;
}

static fr_rc no_table(const fr_table_settings *t, fr_str space, fr_str name, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "there is no table or view %.*s.%.*s, or no right to see it",
            FR_ARG(space), FR_ARG(name));
    fr_fail_code(err, "my.table");
    return fr_fail_hint(err,
                        "correct its name in tables (%s), or: GRANT SELECT ON %.*s.%.*s TO ...;",
                        t->place != NULL ? t->place : "configuration", FR_ARG(space), FR_ARG(name));
}

static fr_rc read_indexes(fr_my *my, my_relation *r, bool *indexed, bool *unique, fr_err *err)
{
    const fr_my_relation *t = &r->from->relation;
    fr_str space = fr_my_literal(r->arena, t->space), name = fr_my_literal(r->arena, t->name);
    fr_my_rows rows;
    fr_str sql = fr_arena_printf(
        r->arena,
        "SELECT MAX(CASE SEQ_IN_INDEX WHEN 1 THEN COLUMN_NAME END), "
        "COUNT(*) = 1 AND MAX(NON_UNIQUE) = 0 AND MAX(SUB_PART) IS NULL, "
        "INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %.*s AND "
        "TABLE_NAME = %.*s GROUP BY INDEX_NAME",
        FR_ARG(space), FR_ARG(name));
    FR_TRY(fr_my_query(my, r->arena, "read the indexes", fr_arena_cstr(r->arena, sql), &rows, err));
    for (size_t i = 0; i < rows.count; i++) {
        int at = fr_table_find(r->layout->table, fr_my_text(&rows, i, 0));
        if (at < 0)
            continue;
        bool alone = fr_my_uint(&rows, i, 1, 0) == 1;
        if (!indexed[at] || (alone && !unique[at]))
            r->index[at] = fr_my_ident(r->arena, fr_my_text(&rows, i, 2));
        indexed[at] = true;
        unique[at] = unique[at] || alone;
    }
    return FR_OK;
}

/* A trigger that we have no right to see may set a column all the same. */
static fr_rc read_stamped(fr_my *my, my_relation *r, bool *stamped, fr_err *err)
{
    const fr_my_relation *t = &r->from->relation;
    fr_str space = fr_my_literal(r->arena, t->space), name = fr_my_literal(r->arena, t->name);
    fr_my_rows rows;
    fr_str sql = fr_arena_printf(
        r->arena,
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %.*s AND "
        "TABLE_NAME = %.*s AND (COALESCE(COLUMN_DEFAULT, 'NULL') <> 'NULL' OR EXTRA LIKE "
        "'%%on update%%' OR EXISTS (SELECT 1 FROM information_schema.TRIGGERS WHERE "
        "EVENT_OBJECT_SCHEMA = %.*s AND EVENT_OBJECT_TABLE = %.*s AND ACTION_TIMING = 'BEFORE'))",
        FR_ARG(space), FR_ARG(name), FR_ARG(space), FR_ARG(name));
    FR_TRY(
        fr_my_query(my, r->arena, "read the defaults", fr_arena_cstr(r->arena, sql), &rows, err));
    for (size_t i = 0; i < rows.count; i++) {
        int at = fr_table_find(r->layout->table, fr_my_text(&rows, i, 0));
        if (at >= 0)
            stamped[at] = true;
    }
    return FR_OK;
}

/* InnoDB of these versions keeps the next AUTO_INCREMENT in memory alone: started anew, it counts
 * from the highest number that is there. */
bool fr_my_forgets_numbers(bool mariadb, uint32_t version)
{
    return mariadb ? version < MARIADB_KEEPS_NUMBERS : version < MYSQL_KEEPS_NUMBERS;
}

static fr_rc read_reused(fr_my *my, my_relation *r, fr_err *err)
{
    const fr_my_relation *t = &r->from->relation;
    fr_str space = fr_my_literal(r->arena, t->space), name = fr_my_literal(r->arena, t->name);
    fr_my_rows rows;
    if (!fr_my_forgets_numbers(my->mariadb, my->version) || !fr_str_is(r->from->engine, "InnoDB"))
        return FR_OK;
    bool *reused = fr_arena_alloc(r->arena, t->column_count + 1);
    fr_str sql = fr_arena_printf(
        r->arena,
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %.*s AND "
        "TABLE_NAME = %.*s AND EXTRA LIKE '%%auto_increment%%'",
        FR_ARG(space), FR_ARG(name));
    FR_TRY(fr_my_query(my, r->arena, "look for AUTO_INCREMENT", fr_arena_cstr(r->arena, sql), &rows,
                       err));
    for (size_t i = 0; i < rows.count; i++) {
        int at = fr_table_find(r->layout->table, fr_my_text(&rows, i, 0));
        if (at >= 0)
            reused[at] = true;
    }
    r->base.reused = reused;
    r->base.once = FR_STR("MySQL 8.0 and MariaDB 10.2.4 remember the next AUTO_INCREMENT when they "
                          "are started anew: upgrade");
    return FR_OK;
}

static int64_t unit_of(const fr_my_column *c)
{
    int64_t unit = SECOND_US;
    for (uint8_t digits = c->scale; digits > 0 && unit > 1; digits--)
        unit /= 10;
    return unit;
}

static void my_forget(fr_sql_relation *base)
{
    my_relation *r = RELATION(base);
    if (r == NULL)
        return;
    fr_my_layout_free(r->layout);
    fr_arena_free(r->arena);
    free(r);
}

/* Preparing a statement looks at the rights for it. */
static fr_rc may_delete(fr_my *my, my_relation *r, fr_err *err)
{
    MYSQL_STMT *stmt = mysql_stmt_init(my->mysql);
    if (stmt == NULL)
        return fr_my_fail(my, "look at the rights", err);
    fr_str sql = fr_arena_printf(r->arena, "DELETE FROM %.*s WHERE 1 = 0", FR_ARG(r->qualified));
    fr_rc rc = FR_OK;
    if (mysql_stmt_prepare(stmt, sql.ptr, sql.len) != 0)
        rc = fr_my_stmt_fail(my, stmt, "look at the rights", err);
    mysql_stmt_close(stmt);
    if (rc == FR_OK || err->native != NO_TABLE_RIGHT)
        return rc;
    fr_my_rows rows;
    FR_TRY(fr_my_query(my, r->arena, "ask", "SELECT CURRENT_USER()", &rows, err));
    r->base.no_delete = fr_arena_printf(r->arena, "GRANT DELETE ON %.*s TO %.*s;",
                                        FR_ARG(r->qualified), FR_ARG(fr_my_text(&rows, 0, 0)));
    return FR_OK;
}

/* The key that old rows have: the configured one, else the table's. */
static void key_by_settings(const fr_table_settings *t, fr_my_relation *r)
{
    r->key_before = true;
    for (size_t i = 0; i < r->column_count && t->key.count > 0; i++) {
        fr_my_column *c = &r->columns[i];
        c->primary = c->nullable ? 0 : (uint16_t)(fr_texts_find(&t->key, c->name) + 1);
    }
}

/* What it is about is only its author's to know: no index, nothing unique. */
static fr_rc read_statement(my_sql *c, const fr_table_settings *t, my_relation *r, fr_str space,
                            fr_str name, fr_err *err)
{
    r->from = fr_arena_alloc(r->arena, sizeof(*r->from));
    r->from->settings = t;
    r->from->relation = (fr_my_relation){.space = fr_arena_str(r->arena, space),
                                         .name = fr_arena_str(r->arena, name),
                                         .named = true,
                                         .keyed = true,
                                         .captured = true,
                                         .full_image = true};
    FR_TRY(fr_my_statement(c->my, t, r->qualified, r->arena, &r->from->relation, err));
    return FR_OK;
}

/* A key that the configuration names for a view, where nothing can be declared, is taken at its
 * word. */
static fr_rc read_relation(my_sql *c, const fr_table_settings *t, my_relation *r, fr_str space,
                           fr_str name, uint32_t version, fr_err *err)
{
    fr_buf shape = {.arena = r->arena};
    if (t->poll_query != NULL)
        FR_TRY(read_statement(c, t, r, space, name, err));
    else
        FR_TRY(fr_binlog_catalog_any(c->my, t, space, name, r->arena, &r->from, err));
    if (r->from == NULL)
        return no_table(t, space, name, err);
    FR_TRY(read_shape(c->my, r->qualified, &shape, err));
    r->shape = fr_buf_view(&shape);
    fr_my_relation *from = &r->from->relation;
    for (size_t i = 0; i < from->column_count && r->from->engine.len == 0; i++)
        if (fr_texts_have(&t->key, from->columns[i].name))
            from->columns[i].nullable = false;
    if (fr_table_key_before(t))
        key_by_settings(t, from);
    FR_TRY(fr_my_layout_new(from, version, &r->layout, err));
    size_t n = from->column_count;
    int64_t *units = fr_arena_alloc(r->arena, (n + 1) * sizeof(*units));
    bool *indexed = fr_arena_alloc(r->arena, n + 1), *unique = fr_arena_alloc(r->arena, n + 1);
    bool *stamped = fr_arena_alloc(r->arena, n + 1);
    r->index = fr_arena_alloc(r->arena, (n + 1) * sizeof(*r->index));
    for (size_t i = 0; i < n; i++)
        units[i] = unit_of(&from->columns[i]);
    r->base = (fr_sql_relation){.table = r->layout->table,
                                .unit_us = units,
                                .indexed = indexed,
                                .plain_table = r->from->engine.len > 0,
                                .unique = unique,
                                .stamped = stamped};
    if (t->poll_query != NULL) {
        r->base.statement = true;
        r->base.unique = r->base.stamped = NULL;
        return FR_OK;
    }
    FR_TRY(read_stamped(c->my, r, stamped, err));
    FR_TRY(read_reused(c->my, r, err));
    if (t->method == FR_METHOD_TRIGGER)
        fr_my_triggers_copies(r);
    else if (fr_table_emptied(t))
        FR_TRY(may_delete(c->my, r, err));
    return read_indexes(c->my, r, indexed, unique, err);
}

static fr_rc my_describe(fr_sql *base, const fr_table_settings *t, fr_str space, fr_str name,
                         uint32_t version, fr_sql_relation **out, fr_err *err)
{
    my_relation *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    r->qualified = t->poll_query != NULL
                       ? fr_arena_printf(r->arena, "(\n%s\n) freshet_poll", t->poll_query)
                       : fr_my_qualified(r->arena, space, name);
    if (read_relation(SQL(base), t, r, space, name, version, err) == FR_FAIL) {
        my_forget(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

static fr_rc my_state(fr_sql *base, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    return fr_my_state(SQL(base)->my, SQL(base)->processes, a, out, err);
}

/* ---- rows ---- */

typedef struct page_reader {
    fr_reader base;
    my_sql *c;
    fr_my_row_reader rows;
    MYSQL_RES *res;
    MYSQL_ROW row; /* one that found the batch full */
    bool ended, failed;
    bool takes; /* the transaction stays open */
    atomic_bool asked;
} page_reader;

#define READER(base) ((page_reader *)(base))

static fr_rc page_fail(page_reader *r, fr_err *err)
{
    r->failed = true;
    return fr_my_fail(r->c->my, "read rows", err);
}

static fr_rc finish(page_reader *r, fr_err *err)
{
    if (mysql_errno(r->c->my->mysql) != 0)
        return page_fail(r, err);
    mysql_free_result(r->res);
    r->res = NULL;
    r->ended = true;
    if (r->takes)
        return FR_OK;
    return fr_my_exec(r->c->my, "read rows", FR_STR("COMMIT"), err);
}

static fr_rc page_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    page_reader *r = READER(base);
    size_t before = b->count;
    for (unsigned n = 1; !r->ended && !fr_batch_full(b); n++) {
        MYSQL_ROW row = r->row != NULL ? r->row : mysql_fetch_row(r->res);
        r->row = NULL;
        if (row == NULL) {
            FR_TRY(finish(r, err));
            break;
        }
        if (fr_my_row(&r->rows, b, row, mysql_fetch_lengths(r->res)) == FR_IDLE) {
            r->row = row;
            break;
        }
        r->c->taken++;
        if (n % ROWS_BETWEEN_LOOKS == 0 && (atomic_load(&r->asked) || fr_now_us() >= deadline_us))
            break;
    }
    if (b->count > before)
        return FR_OK;
    return r->ended ? FR_END : FR_IDLE;
}

static void page_interrupt(fr_reader *base)
{
    atomic_store(&READER(base)->asked, true);
}

/* A page's rows are read to their end if need be; they are not many. */
static void page_close(fr_reader *base)
{
    page_reader *r = READER(base);
    fr_err ignored;
    if (r == NULL)
        return;
    bool unread = !r->ended && !r->failed;
    mysql_free_result(r->res);
    if (unread && !r->takes)
        (void)fr_my_exec(r->c->my, "read rows", FR_STR("COMMIT"), &ignored);
    free(r);
}

static const fr_reader_ops page_ops = {
    .fill = page_fill, .interrupt = page_interrupt, .close = page_close};

/* Inside the transaction the table's shape stays: nobody can alter it before COMMIT. */
fr_rc fr_my_sql_same(my_sql *c, const my_relation *r, fr_err *err)
{
    fr_buf shape = {0};
    fr_rc rc = read_shape(c->my, r->qualified, &shape, err);
    if (rc == FR_OK && !fr_str_eq(fr_buf_view(&shape), r->shape)) {
        rc = fr_fail(err, FR_ERR_BUSY, "its columns have changed");
        fr_fail_code(err, "sql.changed");
    }
    fr_buf_free(&shape);
    return rc;
}

static void my_put_ident(fr_buf *b, fr_str name)
{
    fr_arena *a = fr_arena_new(256);
    fr_buf_str(b, fr_my_ident(a, name));
    fr_arena_free(a);
}

static void my_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    fr_my_select(b, &CONST_RELATION(r)->from->relation.columns[column], true);
}

/* takes: the transaction is begun already, and stays. */
static fr_rc read_rows(my_sql *c, my_relation *rel, fr_str sql, bool takes, fr_reader **out,
                       fr_err *err)
{
    fr_err ignored;
    MYSQL_RES *res = NULL;
    fr_rc rc = fr_my_sql_same(c, rel, err);
    if (rc == FR_OK && (mysql_real_query(c->my->mysql, sql.ptr, sql.len) != 0 ||
                        (res = mysql_use_result(c->my->mysql)) == NULL))
        rc = fr_my_fail(c->my, "read rows", err);
    if (rc == FR_FAIL && c->views && err->native == TABLE_CHANGED) {
        err->kind = FR_ERR_BUSY; /* since the view was made */
        fr_fail_code(err, "sql.changed");
    }
    if (rc == FR_FAIL) {
        (void)fr_my_exec(c->my, "read rows", FR_STR("ROLLBACK"), &ignored);
        return FR_FAIL;
    }
    page_reader *r = fr_malloc(sizeof(*r));
    r->base.ops = &page_ops;
    r->c = c;
    r->res = res;
    r->takes = takes;
    r->rows = (fr_my_row_reader){.layout = rel->layout,
                                 .max_row_bytes = c->source->settings->max_row_bytes,
                                 .place = "a poll"};
    *out = &r->base;
    return FR_OK;
}

static fr_rc my_select(fr_sql *base, fr_sql_relation *relation, fr_str sql, fr_reader **out,
                       fr_err *err)
{
    my_sql *c = SQL(base);
    if (!c->views)
        FR_TRY(fr_my_exec(c->my, "read rows", FR_STR("BEGIN"), err));
    return read_rows(c, RELATION(relation), sql, c->views, out, err);
}

/* READ COMMITTED locks the rows that it finds and nothing between them, so that nobody who inserts
 * waits for it. The index: read without one, a small table would be read whole, and wait for each
 * row that is not committed yet. */
static fr_rc my_take(fr_sql *base, fr_sql_relation *relation, size_t column, fr_str in,
                     fr_reader **out, fr_err *err)
{
    my_sql *c = SQL(base);
    my_relation *r = RELATION(relation);
    fr_buf b = {0}, rest = {0};
    fr_buf_printf(&rest, " FROM %.*s", FR_ARG(r->qualified));
    if (r->index[column].len > 0)
        fr_buf_printf(&rest, " FORCE INDEX (%.*s)", FR_ARG(r->index[column]));
    fr_buf_text(&rest, " WHERE ");
    my_put_ident(&rest, relation->table->columns[column].name);
    fr_buf_printf(&rest, " IN %.*s", FR_ARG(in));
    fr_buf_text(&b, "SELECT ");
    for (size_t i = 0; i < relation->table->column_count; i++) {
        fr_buf_text(&b, i > 0 ? ", " : "");
        my_put_column(&b, relation, i);
    }
    fr_buf_printf(&b, "%.*s FOR UPDATE", FR_ARG(fr_buf_view(&rest)));
    c->removal.len = 0;
    fr_buf_printf(&c->removal, "DELETE %.*s%.*s", FR_ARG(r->qualified), FR_ARG(fr_buf_view(&rest)));
    fr_rc rc = FR_OK;
    if (!c->repeatable)
        rc = fr_my_exec(c->my, "delete what is published",
                        FR_STR("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"), err);
    if (rc == FR_OK)
        rc = fr_my_exec(c->my, "delete what is published", FR_STR("BEGIN"), err);
    c->taken = 0;
    if (rc == FR_OK)
        rc = read_rows(c, r, fr_buf_view(&b), true, out, err);
    fr_buf_free(&b);
    fr_buf_free(&rest);
    return rc;
}

static fr_rc remove_taken(my_sql *c, fr_err *err)
{
    if (mysql_real_query(c->my->mysql, (const char *)c->removal.ptr, c->removal.len) != 0)
        return fr_my_fail(c->my, "delete what is published", err);
    uint64_t gone = mysql_affected_rows(c->my->mysql);
    if (gone == c->taken)
        return fr_my_exec(c->my, "delete what is published", FR_STR("COMMIT"), err);
    fr_fail(err, FR_ERR_CONFIG, "of %" PRIu64 " rows that were to be deleted %" PRIu64 " were",
            c->taken, gone);
    return fr_fail_code(err, "outbox.not_deleted");
}

static fr_rc my_settle(fr_sql *base, bool remove, fr_err *err)
{
    my_sql *c = SQL(base);
    fr_err ignored;
    if (remove && remove_taken(c, err) == FR_OK)
        return FR_OK;
    if (!remove)
        return fr_my_exec(c->my, "delete what is published", FR_STR("ROLLBACK"), err);
    (void)fr_my_exec(c->my, "delete what is published", FR_STR("ROLLBACK"), &ignored);
    return FR_FAIL;
}

static fr_rc my_scalar(fr_sql *base, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(fr_my_query(SQL(base)->my, a, "ask", fr_arena_cstr(a, sql), &rows, err));
    if (rows.count != 1 || rows.columns != 1)
        return fr_fail(err, FR_ERR_BUG, "ask: %zu rows, one was expected", rows.count);
    *out = fr_my_null(&rows, 0, 0) ? (fr_str){NULL, 0} : fr_my_text(&rows, 0, 0);
    return FR_OK;
}

/* ---- spelling ---- */

static void my_put_from(fr_buf *b, const fr_sql_relation *r)
{
    fr_buf_str(b, CONST_RELATION(r)->qualified);
}

static bool my_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    fr_arena *a = fr_arena_new(256);
    fr_str out;
    bool good =
        fr_binlog_literal(a, &CONST_RELATION(r)->from->relation.columns[column], text, &out);
    if (good)
        fr_buf_str(b, out);
    fr_arena_free(a);
    return good;
}

static fr_str my_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    return fr_binlog_value_text(a, &r->table->columns[column], v);
}

static void my_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    fr_value v = {.kind = FR_DATETIME, .integer = us};
    fr_arena *a = fr_arena_new(256);
    fr_str text = fr_binlog_value_text(a, &r->table->columns[column], &v);
    fr_buf_printf(b, "'%.*s'", FR_ARG(text));
    fr_arena_free(a);
}

#define MY_SQL_OPERATIONS                                                                          \
    .close = my_sql_close, .busy = my_sql_busy, .identity = my_identity, .verify = my_verify,      \
    .list = my_list, .describe = my_describe, .forget = my_forget, .state_every_us = STATE_US,     \
    .state = my_state, .select = my_select, .take = my_take, .settle = my_settle,                  \
    .scalar = my_scalar, .put_ident = my_put_ident, .put_column = my_put_column,                   \
    .put_from = my_put_from, .put_value = my_put_value, .text = my_text, .put_time = my_put_time,  \
    .put_outbox = fr_my_put_outbox, .contracts = true, .begin_view = fr_my_begin_view,             \
    .end_view = fr_my_end_view, .triggers = fr_my_triggers, .put_triggers = fr_my_put_triggers

const fr_sql_ops fr_mysql_sql = {.name = "mysql-query", .open = mysql_sql_open, MY_SQL_OPERATIONS};
const fr_sql_ops fr_mariadb_sql = {
    .name = "mariadb-query", .open = mariadb_sql_open, MY_SQL_OPERATIONS};
