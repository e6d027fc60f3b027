/* throttle.max_lag, max_load, query: does the server ask snapshots to wait? */
#include "base/bytes.h"
#include "connectors/postgres/wal_source.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A physical standby's own word (replay_lag), or, where it says nothing any more, since when; and
 * our own lag where the source is a standby. Logical walsenders are other readers, not replicas. */
static const char lag_sql[] =
    "SELECT name, (extract(epoch FROM lag) * 1000000)::bigint FROM ("
    " SELECT coalesce(nullif(r.application_name, ''), r.client_addr::text, 'standby') AS name,"
    "  greatest(r.replay_lag, %s) AS lag"
    "  FROM pg_catalog.pg_stat_replication r"
    "  LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid"
    "  WHERE r.state IN ('streaming', 'catchup') AND coalesce(s.slot_type, 'physical') = 'physical'"
    " UNION ALL SELECT 'this standby', CASE WHEN pg_catalog.pg_is_in_recovery()"
    "  AND pg_catalog.pg_last_wal_receive_lsn() IS DISTINCT FROM"
    "   pg_catalog.pg_last_wal_replay_lsn()"
    "  THEN pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp() END"
    ") lags WHERE lag IS NOT NULL ORDER BY lag DESC LIMIT 1";

/* A standby answers at least every ten seconds (wal_receiver_status_interval). */
static const char silence_sql[] =
    "CASE WHEN r.replay_lsn < r.sent_lsn AND r.reply_time < pg_catalog.clock_timestamp()"
    " - interval '15 s' THEN pg_catalog.clock_timestamp() - r.reply_time END";

static const char load_sql[] =
    "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'active'"
    " AND backend_type = 'client backend' AND application_name <> $1"
    " AND pid <> pg_catalog.pg_backend_pid()";

/* Without it the other sessions' rows are there, but empty: nothing would ever throttle. */
static fr_rc may_see_others(PGconn *conn, const char *key, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the role's rights",
                       "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),"
                       " pg_catalog.quote_ident(current_user)",
                       NULL, 0, &res, err));
    fr_rc rc = FR_OK;
    if (!fr_pg_bool(res, 0, 0)) {
        rc = fr_fail(err, FR_ERR_AUTH, "%s: role %s does not see other sessions' statistics", key,
                     PQgetvalue(res, 0, 1));
        fr_fail_code(err, "pg.throttle");
        fr_fail_hint(err, "GRANT pg_read_all_stats TO %s;", PQgetvalue(res, 0, 1));
    }
    PQclear(res);
    return rc;
}

static fr_rc lag(fr_wal_source *s, PGconn *conn, fr_arena *a, fr_str *why, fr_err *err)
{
    int64_t most = s->settings->throttle_max_lag_us;
    char sql[sizeof(lag_sql) + sizeof(silence_sql)];
    PGresult *res = NULL;
    FR_TRY(may_see_others(conn, "throttle.max_lag", err));
    snprintf(sql, sizeof(sql), lag_sql, s->version >= 120000 ? silence_sql : "NULL::interval");
    FR_TRY(fr_pg_query(conn, "throttle.max_lag", sql, NULL, 0, &res, err));
    int64_t us = PQntuples(res) == 1 ? fr_pg_int(res, 0, 1, 0) : 0;
    if (us > most)
        *why = fr_arena_printf(a, "throttle.max_lag: %.*s lags %.1f s, more than %g s",
                               FR_ARG(fr_pg_text(res, 0, 0)), (double)us / 1e6, (double)most / 1e6);
    PQclear(res);
    return FR_OK;
}

static fr_rc load_limit(const fr_wal_source *s, int64_t *most, fr_err *err)
{
    fr_str name;
    const char *text = s->settings->throttle_max_load;
    if (fr_load_parse(text, &name, most) && fr_str_is(name, "active"))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "throttle.max_load: `%s` is not measured on PostgreSQL", text);
    fr_fail_code(err, "pg.throttle");
    return fr_fail_hint(err, "write active=25: more than 25 running statements throttle");
}

static fr_rc load(fr_wal_source *s, PGconn *conn, fr_arena *a, fr_str *why, fr_err *err)
{
    int64_t most;
    const char *ours = s->application;
    PGresult *res = NULL;
    FR_TRY(load_limit(s, &most, err));
    FR_TRY(may_see_others(conn, "throttle.max_load", err));
    FR_TRY(fr_pg_query(conn, "throttle.max_load", load_sql, &ours, 1, &res, err));
    int64_t active = fr_pg_int(res, 0, 0, 0);
    PQclear(res);
    if (active > most)
        *why = fr_arena_printf(
            a, "throttle.max_load: %" PRId64 " statements run, more than %" PRId64, active, most);
    return FR_OK;
}

/* No row and NULL are not above 0. */
static fr_rc number_of(const PGresult *res, double *out, fr_err *err)
{
    *out = 0;
    if (PQntuples(res) == 0 || (PQnfields(res) > 0 && PQgetisnull(res, 0, 0)))
        return FR_OK;
    char *end = NULL;
    const char *text = PQnfields(res) > 0 ? PQgetvalue(res, 0, 0) : "";
    *out = strcmp(text, "t") == 0 ? 1 : strcmp(text, "f") == 0 ? 0 : strtod(text, &end);
    if (end == NULL || (end != text && *end == '\0' && !isnan(*out)))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "throttle.query answers with something that is no number");
    fr_fail_code(err, "pg.throttle");
    return fr_fail_hint(err, "one row with one number; above 0 throttles");
}

/* The operator's own SQL, but it shall only look, and a server that cannot answer it soon is busy
 * enough. */
static fr_rc query(fr_wal_source *s, PGconn *conn, fr_str *why, fr_arena *a, fr_err *err)
{
    static const char *const none[1] = {NULL};
    PGresult *res = NULL;
    double n = 0;
    FR_TRY(fr_pg_exec(conn, "throttle.query", "BEGIN READ ONLY; SET LOCAL statement_timeout = '2s'",
                      err));
    fr_rc rc = fr_pg_query(conn, "throttle.query", s->settings->throttle_query, none, 0, &res, err);
    if (rc == FR_OK) {
        rc = number_of(res, &n, err);
        PQclear(res);
        if (rc == FR_OK && n > 0)
            *why = fr_arena_printf(a, "throttle.query: %g is above 0", n);
    } else if (err->kind == FR_ERR_BUSY && strcmp(err->sqlstate, "57014") == 0) {
        *why = FR_STR("throttle.query: no answer within 2 s");
        rc = FR_OK;
    } else if (strcmp(err->sqlstate, "25006") == 0 || err->kind == FR_ERR_CONFIG ||
               err->kind == FR_ERR_DATA || err->kind == FR_ERR_AUTH) {
        err->kind = FR_ERR_CONFIG;
        fr_fail_code(err, "pg.throttle");
        fr_fail_hint(
            err,
            "correct sources.%s.throttle.query (names need their schema: public.t), or the "
            "role's rights",
            s->settings->name);
    }
    fr_err second;
    fr_rc left = fr_pg_exec(conn, "throttle.query", "ROLLBACK", rc == FR_FAIL ? &second : err);
    return left == FR_FAIL ? FR_FAIL : rc;
}

fr_rc fr_wal_busy(fr_source *base, fr_arena *a, fr_str *why_out, fr_err *err)
{
    fr_wal_source *s = (fr_wal_source *)base;
    const fr_source_settings *set = s->settings;
    PGconn *conn = NULL;
    fr_str why = {"", 0};
    FR_TRY(fr_wal_take(s, &conn, err));
    fr_rc rc = set->throttle_max_lag_us > 0 ? lag(s, conn, a, &why, err) : FR_OK;
    if (rc == FR_OK && why.len == 0 && set->throttle_max_load != NULL)
        rc = load(s, conn, a, &why, err);
    if (rc == FR_OK && why.len == 0 && set->throttle_query != NULL)
        rc = query(s, conn, &why, a, err);
    fr_wal_give(s, conn);
    if (rc == FR_OK)
        *why_out = why;
    return rc;
}
