/* The source of type odbc: its keys, and what src/poll is given of it. */
#include "base/clock.h"
#include "connectors/odbc/odbc_query.h"
#include "connectors/odbc/odbc_value.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SQL_OF(base) ((fr_odbc_sql *)(base))
#define RELATION(base) ((const fr_odbc_relation *)(base))

static const fr_option options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_odbc_config, dsn),
     .help = "ODBC connection string without a password: Driver=NAME;Server=...;UID=...; or "
             "DSN=NAME;UID=...",
     .flags = FR_REQUIRED},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_odbc_config, password),
     .help = "The password of the user in dsn; given to the driver as PWD.",
     .flags = FR_SECRET},
    {.name = "odbc.timeout",
     .type = FR_OPT_TIME,
     .offset = offsetof(fr_odbc_config, timeout_us),
     .fallback = "60s",
     .help = "How long a login, a question or the network may take, where the driver knows such a "
             "limit.",
     .min = 1000000,
     .max = 86400000000},
    {.name = NULL},
};

/* ---- connection ---- */

static void odbc_close(fr_sql *base)
{
    fr_odbc_sql *s = SQL_OF(base);
    if (s == NULL)
        return;
    fr_odbc_close(s->c);
    free(s);
}

static fr_rc odbc_open(const fr_source_settings *settings, fr_sql **out, fr_err *err)
{
    fr_odbc_sql *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_odbc_sql_ops;
    s->settings = settings;
    if (fr_odbc_connect(settings->connector, &s->c, err) == FR_FAIL) {
        free(s);
        return FR_FAIL;
    }
    *out = &s->base;
    return FR_OK;
}

static fr_rc odbc_identity(fr_sql *base, fr_arena *a, fr_str *out, fr_err *err)
{
    fr_odbc *c = SQL_OF(base)->c;
    fr_buf b = {.arena = a};
    (void)err;
    fr_buf_text(&b, "{\"poll\":1,\"dbms\":");
    fr_buf_json(&b, fr_cstr(c->dialect.dbms));
    fr_buf_text(&b, ",\"server\":");
    fr_buf_json(&b, fr_odbc_info(c, SQL_SERVER_NAME, a));
    fr_buf_text(&b, ",\"db\":");
    fr_buf_json(&b, fr_odbc_info(c, SQL_DATABASE_NAME, a));
    fr_buf_u8(&b, '}');
    *out = fr_buf_view(&b);
    return FR_OK;
}

/* Neither rights nor replicas can be asked about here; what may not be read says so itself. */
static fr_rc odbc_verify(fr_sql *base, const fr_source_settings *settings, fr_err *err)
{
    (void)base;
    (void)settings;
    (void)err;
    return FR_OK;
}

/* ---- the clock ---- */

static fr_rc odbc_state(fr_sql *base, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    fr_odbc *c = SQL_OF(base)->c;
    const char *sql = fr_odbc_clock(&c->dialect);
    SQL_TIMESTAMP_STRUCT now = {0};
    SQLLEN len = 0;
    SQLHSTMT stmt = NULL;
    fr_rc rc = FR_OK;
    int64_t us = fr_wall_us();
    (void)a;
    if (sql != NULL) {
        FR_TRY(fr_odbc_ask(c, "ask for the time", fr_cstr(sql), &stmt, err));
        rc = fr_odbc_fetch(c, stmt, "ask for the time", err);
        if (rc == FR_END)
            rc = fr_fail(err, FR_ERR_BUG, "ask for the time: no row");
        SQLRETURN got = rc == FR_OK
                            ? SQLGetData(stmt, 1, SQL_C_TYPE_TIMESTAMP, &now, sizeof(now), &len)
                            : SQL_SUCCESS;
        if (got != SQL_SUCCESS && got != SQL_SUCCESS_WITH_INFO)
            rc = fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, "ask for the time", err);
        now.fraction -= now.fraction % 1000;
        if (rc == FR_OK)
            rc = fr_odbc_moment(&now, &us, err);
        fr_odbc_done(stmt);
    }
    if (rc == FR_OK)
        *out = (fr_sql_state){
            .now_us = us, .listed_us = us, .oldest_us = INT64_MAX, .prepared_us = INT64_MAX};
    return rc;
}

static fr_rc odbc_scalar(fr_sql *base, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    fr_odbc *c = SQL_OF(base)->c;
    SQLHSTMT stmt = NULL;
    FR_TRY(fr_odbc_run(c, "ask", NULL, sql, a, &stmt, err));
    fr_rc rc = fr_odbc_fetch(c, stmt, "ask", err);
    if (rc == FR_END)
        rc = fr_fail(err, FR_ERR_BUG, "ask: no row, one was expected");
    else if (rc == FR_OK)
        rc = fr_odbc_cell(c, stmt, 1, 0, a, out, err);
    fr_odbc_done(stmt);
    return rc;
}

/* ---- plan ---- */

static void odbc_say(const fr_sql_relation *base, fr_findings *out)
{
    enum { MOST = 12 };
    const fr_odbc_relation *r = RELATION(base);
    const fr_table *t = r->base.table;
    fr_buf b = {.arena = out->arena};
    for (size_t i = 0; i < r->count && i < MOST; i++)
        fr_buf_printf(&b, "%s%.*s %.*s %s", i > 0 ? ", " : "", FR_ARG(t->columns[i].name),
                      FR_ARG(t->columns[i].native_type), fr_kind_name(t->columns[i].kind));
    if (r->count > MOST)
        fr_buf_printf(&b, " and %zu more", r->count - MOST);
    fr_findings_add(out, FR_FINE, "odbc.types", "%.*s.%.*s: %.*s", FR_ARG(t->space),
                    FR_ARG(t->name), FR_ARG(fr_buf_view(&b)));
}

static void odbc_check(fr_sql *base, const fr_source_settings *settings, fr_findings *out)
{
    const fr_odbc_dialect *d = &SQL_OF(base)->c->dialect;
    (void)settings;
    if (d->quirks->own != NULL) {
        fr_finding *own =
            fr_findings_add(out, FR_WARNING, "odbc.driver", "%s: %s", d->dbms, d->quirks->wrong);
        own->hint = fr_arena_printf(out->arena, "type: %s reads it as it is", d->quirks->own);
    }
    fr_finding *f = fr_findings_add(out, d->known ? FR_FINE : FR_WARNING, "odbc.driver",
                                    "driver manager %s, %s %s, %s %s%s", d->manager, d->driver,
                                    d->driver_version, d->dbms, d->dbms_version,
                                    d->known ? "" : ": freshet knows nothing of this database");
    if (!d->known)
        f->hint = FR_STR("pages are bounded by the driver alone, and its clock is not asked: poll "
                         "by a number, or set poll.max_skew");
}

/* ---- spelling ---- */

static void odbc_put_ident(fr_buf *b, fr_str name)
{
    fr_odbc_put_name(b, &(fr_odbc_dialect){.quote = "\""}, name);
}

static void odbc_put_name(fr_buf *b, const fr_sql_relation *r, fr_str name)
{
    fr_odbc_put_name(b, &RELATION(r)->dialect, name);
}

static void odbc_put_limit(fr_buf *b, const fr_sql_relation *r, size_t rows, bool at_end)
{
    fr_odbc_limit limit = RELATION(r)->dialect.quirks->limit;
    if (limit == FR_ODBC_LIMIT && at_end)
        fr_buf_printf(b, " LIMIT %zu", rows);
    else if (limit == FR_ODBC_FETCH && at_end)
        fr_buf_printf(b, " FETCH FIRST %zu ROWS ONLY", rows);
    else if (limit == FR_ODBC_MAX_ROWS && at_end)
        fr_odbc_put_limit_mark(b, rows);
    else if (limit == FR_ODBC_TOP && !at_end)
        fr_buf_printf(b, "TOP %zu ", rows);
    else if (limit == FR_ODBC_FIRST && !at_end)
        fr_buf_printf(b, "FIRST %zu ", rows);
}

static void odbc_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    odbc_put_name(b, r, r->table->columns[column].name);
}

static void odbc_put_from(fr_buf *b, const fr_sql_relation *r)
{
    fr_buf_str(b, RELATION(r)->from);
}

static bool odbc_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    return fr_odbc_put_mark(b, &RELATION(r)->columns[column], column, text);
}

static fr_str odbc_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    return fr_odbc_value_text(a, &RELATION(r)->columns[column], v);
}

/* Of no more digits than the column has, so that no server rounds it up. */
static void odbc_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    const fr_odbc_column *c = &RELATION(r)->columns[column];
    fr_arena *a = fr_arena_new(256);
    int64_t over = c->unit_us > 1 ? us % c->unit_us : 0;
    fr_value v = {.kind = c->kind, .integer = us - (over < 0 ? over + c->unit_us : over)};
    (void)fr_odbc_put_mark(b, c, column, fr_odbc_value_text(a, c, &v));
    fr_arena_free(a);
}

const fr_sql_ops fr_odbc_sql_ops = {
    .name = "odbc-query",
    .clock_only = true,
    .star = true,
    .open = odbc_open,
    .close = odbc_close,
    .identity = odbc_identity,
    .verify = odbc_verify,
    .list = fr_odbc_list,
    .describe = fr_odbc_describe,
    .forget = fr_odbc_forget,
    .state_every_us = 50000,
    .state = odbc_state,
    .check = odbc_check,
    .say = odbc_say,
    .select = fr_odbc_select,
    .scalar = odbc_scalar,
    .put_ident = odbc_put_ident,
    .put_name = odbc_put_name,
    .put_limit = odbc_put_limit,
    .put_column = odbc_put_column,
    .put_from = odbc_put_from,
    .put_value = odbc_put_value,
    .text = odbc_text,
    .put_time = odbc_put_time,
};

const fr_source_ops fr_odbc_source = {
    .name = "odbc",
    .type = "odbc",
    .summary = "Any other database with an ODBC driver, by asking its tables (method query, "
               "snapshot).",
    .options = options,
    .config_size = sizeof(fr_odbc_config),
    .sql = &fr_odbc_sql_ops,
};
