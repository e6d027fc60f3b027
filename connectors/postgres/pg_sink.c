#include "postgres/pg_sink.h"
#include "base/clock.h"
#include "connectors/postgres/pg_verify.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

/* The statements look up few rows by an index in tables of any size; no plan but that one
 * makes sense. */
#define SESSION                                                                                    \
    "-c lock_timeout=30s -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off "    \
    "-c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off"
/* A transaction of ours that does nothing for so long belongs to a frozen process: the
 * server ends it, so that its locks do not hold up the next owner. */
enum { FROZEN_SECONDS = 120 };

enum { OLDEST_SERVER = 100000 };

static const fr_option options[] = {
    {.name = "dsn",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_pg_sink_config, dsn),
     .help = "Address of the target: postgresql://user@host:5432/database, without a password.",
     .flags = FR_REQUIRED,
     .reads = fr_pg_dsn_reads},
    {.name = "password",
     .type = FR_OPT_TEXT,
     .offset = offsetof(fr_pg_sink_config, password),
     .help = "The user's password, by reference: ${file:...}, ${cred:...} or ${env:...}.",
     .flags = FR_SECRET},
    {.name = "insecure",
     .type = FR_OPT_BOOL,
     .offset = offsetof(fr_pg_sink_config, insecure),
     .fallback = "false",
     .help = "Allow connections off this machine whose server is not verified by TLS."},
    {.name = NULL},
};

/* ---- the transaction ---- */

fr_rc fr_pg_sink_begin(fr_pg_sink *s, fr_err *err)
{
    if (s->in_txn)
        return FR_OK;
    if (s->stale)
        FR_TRY(fr_pg_pipe_text(&s->pipe, "DEALLOCATE ALL", (size_t)FR_PG_NO_TAG, err));
    s->stale = false;
    s->in_txn = true;
    s->savepoint = s->deferred = false;
    return fr_pg_pipe_text(&s->pipe, "BEGIN", (size_t)FR_PG_NO_TAG, err);
}

/* Whether a PREPARE among what failed has run is not known. */
static void unprepare(fr_pg_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    s->stale = true;
    s->offsets_prepared = false;
    while (fr_map_next(s->tables, &i, &key, &value))
        memset(((fr_pg_sink_table *)value)->prepared, 0,
               sizeof(((fr_pg_sink_table *)value)->prepared));
}

void fr_pg_sink_abandon(fr_pg_sink *s)
{
    fr_err ignored;
    fr_pg_pipe_drain(&s->pipe, "roll back", NULL, &ignored);
    if (s->in_txn && PQstatus(s->conn) == CONNECTION_OK)
        fr_pg_exec(s->conn, "roll back", "ROLLBACK", &ignored);
    if (s->changed_ddl)
        fr_pg_sink_forget(s);
    unprepare(s);
    s->in_txn = s->savepoint = s->deferred = s->changed_ddl = false;
    atomic_store(&s->connected, PQstatus(s->conn) == CONNECTION_OK);
}

fr_rc fr_pg_sink_ddl(fr_pg_sink *s, fr_str sql, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str both = fr_arena_printf(
        a, "SELECT pg_advisory_xact_lock(hashtext('freshet sink ddl')); %.*s%c", FR_ARG(sql), '\0');
    fr_rc rc = fr_pg_exec(s->conn, "change the target", both.ptr, err);
    fr_arena_free(a);
    if (rc == FR_FAIL && err->kind == FR_ERR_AUTH)
        fr_fail_hint(err, "let the owner of the database run: %.*s", FR_ARG(sql));
    if (rc == FR_FAIL && err->kind == FR_ERR_DATA)
        err->kind = FR_ERR_CONFIG; /* rows that are there do not allow it */
    return rc;
}

static const struct {
    const char *state, *code, *hint;
} remedies[] = {
    {"23505", "sink.unique",
     "another row of the target has this value: where rows of one table are spread over several "
     "partitions, it may pass by itself; else drop the unique index at the target"},
    {"23503", "sink.foreign_key",
     "the row it refers to is not there (yet): make the foreign key DEFERRABLE or drop it at the "
     "target"},
    {"23502", "sink.not_null", "ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL at the target"},
    {"23514", "sink.check", "drop the CHECK constraint at the target, or correct the row"},
    {"22", "sink.value", "the target's column is too narrow for the value, or of another type"},
    {"55P03", "sink.locked",
     "another session keeps the table or rows of it locked: it passes once that one ends"},
    {"42501", "sink.grants", "GRANT SELECT, INSERT, UPDATE, DELETE on the target to this user"},
    {"42", "sink.table", "the target was changed: freshet plan says what it lacks"},
};

static void add_remedy(fr_err *err)
{
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        if (strncmp(err->sqlstate, remedies[i].state, strlen(remedies[i].state)) != 0)
            continue;
        if (err->code[0] == '\0')
            fr_fail_code(err, remedies[i].code);
        if (err->hint[0] == '\0')
            fr_fail_hint(err, "%s", remedies[i].hint);
        return;
    }
}

fr_rc fr_pg_sink_failed(fr_pg_sink *s, fr_err *err)
{
    if (strcmp(err->sqlstate, "57014") == 0 && atomic_exchange(&s->interrupted, false))
        err->kind = FR_ERR_CANCELLED;
    add_remedy(err);
    fr_pg_sink_abandon(s);
    return FR_FAIL;
}

static fr_rc sink_rollback(fr_sink *base, fr_err *err)
{
    (void)err;
    fr_pg_sink_abandon((fr_pg_sink *)base);
    return FR_OK; /* a lost connection has rolled back too; the next call says so */
}

/* ---- open and close ---- */

static const char *session_of(fr_arena *a, const fr_sink_settings *set)
{
    int64_t frozen = FROZEN_SECONDS + 2 * set->every_us / 1000000;
    return fr_arena_printf(a, SESSION " -c idle_in_transaction_session_timeout=%llds%c",
                           (long long)frozen, '\0')
        .ptr;
}

static fr_rc connect_sink(const fr_sink_settings *set, bool own_monetary, PGconn **out, fr_err *err)
{
    const fr_pg_sink_config *c = set->connector;
    fr_arena *a = fr_arena_new(0);
    fr_pg_target target = {.dsn = c->dsn,
                           .password = c->password,
                           .insecure = c->insecure,
                           .own_monetary = own_monetary,
                           .application_name =
                               fr_arena_printf(a, "freshet %s%c", set->name, '\0').ptr,
                           .settings = session_of(a, set)};
    fr_rc rc = fr_pg_connect(&target, out, err);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_pg_sink_money(fr_pg_sink *s, fr_err *err)
{
    PGconn *conn = NULL;
    if (s->money_digits >= 0)
        return FR_OK;
    FR_TRY(connect_sink(s->settings, true, &conn, err));
    fr_rc rc = fr_pg_money_digits(conn, &s->money_digits, err);
    fr_pg_close(conn);
    return rc;
}

/* Settings that older servers do not know. */
static fr_rc session(PGconn *conn, fr_err *err)
{
    int version = PQserverVersion(conn);
    if (version < OLDEST_SERVER) {
        fr_fail(err, FR_ERR_CONFIG, "PostgreSQL %d is too old: 10 or later", version / 10000);
        return fr_fail_code(err, "sink.version");
    }
    if (version >= 110000)
        FR_TRY(fr_pg_exec(conn, "set jit", "SET jit = off", err));
    if (version >= 120000)
        FR_TRY(fr_pg_exec(conn, "set plan_cache_mode", "SET plan_cache_mode = force_generic_plan",
                          err));
    return FR_OK;
}

static void sink_close(fr_sink *base)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    if (s == NULL)
        return;
    fr_pg_sink_forget(s);
    fr_map_free(s->tables, NULL);
    fr_map_free(s->known, NULL);
    fr_map_free(s->claims, free);
    for (size_t i = 0; i < s->column_cap; i++)
        fr_buf_free(&s->columns[i]);
    free(s->columns);
    fr_pg_pipe_free(&s->pipe);
    PQfreeCancel(s->cancel);
    fr_pg_close(s->conn);
    pthread_mutex_destroy(&s->lock);
    fr_arena_free(s->arena);
    free(s);
}

static fr_rc sink_open(const fr_sink_settings *settings, fr_sink **out, fr_err *err)
{
    PGconn *conn = NULL;
    FR_TRY(fr_target_settings(settings, err));
    FR_TRY(fr_history_kept(settings, err));
    FR_TRY(connect_sink(settings, false, &conn, err));
    if (session(conn, err) == FR_FAIL) {
        fr_pg_close(conn);
        return FR_FAIL;
    }
    fr_pg_sink *s = fr_malloc(sizeof(*s));
    s->base.ops = &fr_postgres_sink;
    s->settings = settings;
    s->conn = s->pipe.conn = conn;
    s->arena = fr_arena_new(64 << 10);
    s->tables = fr_map_new();
    s->known = fr_map_new();
    s->claims = fr_map_new();
    s->money_digits = -1;
    s->cancel = PQgetCancel(conn);
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->interrupted, false);
    atomic_init(&s->connected, true);
    atomic_init(&s->lag_us, -1);
    *out = &s->base;
    return FR_OK;
}

static void sink_interrupt(fr_sink *base)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    char ignored[256];
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->interrupted, true);
    if (s->cancel != NULL)
        PQcancel(s->cancel, ignored, sizeof(ignored));
    pthread_mutex_unlock(&s->lock);
}

static void sink_status(fr_sink *base, fr_status *out)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    *out = fr_target_status(atomic_load(&s->connected), atomic_load(&s->lag_us));
}

/* ---- check ---- */

/* Where our own tables will be, and whether we may make them there. */
static fr_rc check_home(fr_pg_sink *s, fr_findings *out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(s->conn, "look for a place",
                       "SELECT current_schema(), coalesce(has_schema_privilege(current_schema(), "
                       "'CREATE'), false), pg_is_in_recovery(), to_regclass('" FR_TARGET_OFFSETS
                       "') IS NULL OR to_regclass('" FR_TARGET_PARKED "') IS NULL",
                       NULL, 0, &res, err));
    bool none = PQgetisnull(res, 0, 0), may = fr_pg_bool(res, 0, 1),
         missing = fr_pg_bool(res, 0, 3);
    bool standby = fr_pg_bool(res, 0, 2);
    fr_str home = fr_pg_ident(out->arena, fr_pg_text(res, 0, 0), NULL);
    PQclear(res);
    if (standby) {
        fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sink.connect",
                                        "the server is a standby: nothing can be written");
        f->hint = FR_STR("give the dsn of the primary, or target_session_attrs=read-write");
    } else if (none) {
        fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sink.grants",
                                        "no schema in search_path that this user may use");
        f->sql = FR_STR("GRANT USAGE, CREATE ON SCHEMA public TO the_user");
    } else if (missing && !may && s->settings->create != FR_WHEN_NEVER) {
        fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sink.grants",
                                        "may not create tables in %.*s", FR_ARG(home));
        fr_str user = fr_pg_ident(out->arena, fr_cstr(PQuser(s->conn)), NULL);
        f->sql = fr_arena_printf(out->arena, "GRANT CREATE ON SCHEMA %.*s TO %.*s", FR_ARG(home),
                                 FR_ARG(user));
    }
    return FR_OK;
}

static fr_rc sink_check(const fr_sink_settings *settings, fr_findings *out, fr_err *err)
{
    fr_sink *base = NULL;
    if (sink_open(settings, &base, err) == FR_FAIL) {
        fr_target_finding(out,
                          err->code[0] == '\0' || strncmp(err->code, "pg.", 3) == 0 ? "sink.connect"
                          : strcmp(err->code, "sink.version") == 0                  ? "sink.version"
                                                                                    : "sink.config",
                          err);
        return FR_OK;
    }
    fr_pg_sink *s = (fr_pg_sink *)base;
    fr_rc rc = check_home(s, out, err);
    if (rc == FR_OK)
        rc = fr_pg_sink_own_tables(s, settings->create != FR_WHEN_NEVER, true, out, err);
    if (rc == FR_OK)
        fr_findings_add(out, FR_FINE, "sink.version", "PostgreSQL %d.%d",
                        PQserverVersion(s->conn) / 10000, PQserverVersion(s->conn) % 10000);
    sink_close(base);
    return rc;
}

const fr_sink_ops fr_postgres_sink = {
    .name = "postgres-sink",
    .type = "postgres",
    .summary = "Rows into tables of a PostgreSQL database, with their offsets, exactly once.",
    .options = options,
    .config_size = sizeof(fr_pg_sink_config),
    .open = sink_open,
    .check = sink_check,
    .claim = fr_pg_sink_claim,
    .prepare = fr_pg_sink_prepare,
    .draft = fr_pg_sink_draft,
    .apply = fr_pg_sink_apply,
    .commit = fr_pg_sink_commit,
    .rollback = sink_rollback,
    .park = fr_pg_sink_park,
    .parked = fr_pg_sink_parked,
    .unpark = fr_pg_sink_unpark,
    .interrupt = sink_interrupt,
    .status = sink_status,
    .close = sink_close,
    .settings = fr_history_kept,
    .rows = &fr_postgres_verify,
};
