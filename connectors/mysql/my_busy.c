#include "connectors/mysql/my_busy.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECOND_US = 1000000,
    NO_RIGHT = 1227,
    OUT_OF_TIME = 3024,         /* MySQL's ER_QUERY_TIMEOUT */
    OUT_OF_TIME_MARIADB = 1969, /* ER_STATEMENT_TIMEOUT */
    ALL_SLAVES_VERSION = 100000,
    MONITOR_VERSION = 100509,
    REPLICA_VERSION = 80022,
    READ_ONLY_VERSION = 50605,
    LIMIT_VERSION = 50708,
    LIMIT_VERSION_MARIADB = 100101
};

static fr_rc wrong(fr_err *err, const char *hint)
{
    fr_fail_code(err, "my.throttle");
    return fr_fail_hint(err, "%s", hint);
}

/* ---- max_lag ---- */

static const char *lag_sql(const fr_my *my)
{
    if (my->mariadb)
        return my->version >= ALL_SLAVES_VERSION ? "SHOW ALL SLAVES STATUS" : "SHOW SLAVE STATUS";
    return my->version >= REPLICA_VERSION ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

static fr_rc lag_fail(fr_my *my, fr_err *err)
{
    fr_my_fail(my, "throttle.max_lag", err);
    if (err->native != NO_RIGHT)
        return FR_FAIL;
    return wrong(err, my->mariadb && my->version >= MONITOR_VERSION
                          ? "GRANT REPLICA MONITOR ON *.* TO ...;"
                          : "GRANT REPLICATION CLIENT ON *.* TO ...;");
}

/* Where the lag stands in a row; the columns before it are not the same everywhere. */
static int lag_column(MYSQL_RES *res)
{
    for (unsigned i = 0; i < mysql_num_fields(res); i++) {
        const char *name = mysql_fetch_field_direct(res, i)->name;
        if (strcmp(name, "Seconds_Behind_Master") == 0 ||
            strcmp(name, "Seconds_Behind_Source") == 0)
            return (int)i;
    }
    return -1;
}

/* The worst of its sources; one that it does not follow now is worse than any. */
static void worst_lag(MYSQL_RES *res, unsigned at, int64_t most_us, fr_arena *a, fr_str *why)
{
    int64_t worst = -1;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(res)) != NULL) {
        if (row[at] == NULL) {
            *why = FR_STR("throttle.max_lag: replication does not run here");
            return;
        }
        int64_t seconds = strtoll(row[at], NULL, 10);
        worst = seconds > worst ? seconds : worst;
    }
    if (worst > most_us / SECOND_US)
        *why =
            fr_arena_printf(a, "throttle.max_lag: this replica lags %" PRId64 " s, more than %g s",
                            worst, (double)most_us / 1e6);
}

static fr_rc lag(fr_my *my, const fr_source_settings *set, fr_arena *a, fr_str *why, fr_err *err)
{
    const char *sql = lag_sql(my);
    MYSQL_RES *res = NULL;
    if (mysql_real_query(my->mysql, sql, strlen(sql)) != 0 ||
        (res = mysql_store_result(my->mysql)) == NULL)
        return lag_fail(my, err);
    fr_rc rc = FR_OK;
    int at = lag_column(res);
    if (mysql_num_rows(res) == 0) {
        fr_fail(err, FR_ERR_CONFIG,
                "throttle.max_lag: this server is no replica, and a primary does not know how far "
                "its replicas are behind");
        rc = wrong(err, "remove it, or write a throttle.query that knows (a heartbeat table)");
    } else if (at < 0) {
        rc = fr_fail(err, FR_ERR_CONFIG, "throttle.max_lag: %s has no lag on this server", sql);
        (void)wrong(err, "write a throttle.query instead");
    } else {
        worst_lag(res, (unsigned)at, set->throttle_max_lag_us, a, why);
    }
    mysql_free_result(res);
    return rc;
}

/* ---- max_load ---- */

static fr_rc load(fr_my *my, const fr_source_settings *set, fr_arena *a, fr_str *why, fr_err *err)
{
    static const char remedy[] = "write Threads_running=25, or another number that SHOW GLOBAL "
                                 "STATUS has";
    fr_str name;
    int64_t most;
    fr_my_rows rows;
    if (!fr_load_parse(set->throttle_max_load, &name, &most)) {
        fr_fail(err, FR_ERR_CONFIG, "throttle.max_load: `%s` is no name=number",
                set->throttle_max_load);
        return wrong(err, remedy);
    }
    fr_str sql = fr_arena_printf(a, "SHOW GLOBAL STATUS WHERE Variable_name = %.*s",
                                 FR_ARG(fr_my_literal(a, name)));
    FR_TRY(fr_my_query(my, a, "throttle.max_load", fr_arena_cstr(a, sql), &rows, err));
    char *end = NULL;
    const char *text = fr_arena_cstr(a, fr_my_text(&rows, 0, 1));
    int64_t now = strtoll(text, &end, 10);
    if (rows.count != 1 || end == text || *end != '\0') {
        fr_fail(err, FR_ERR_CONFIG, "throttle.max_load: the server measures no `%.*s`",
                FR_ARG(name));
        return wrong(err, remedy);
    }
    if (now > most)
        *why = fr_arena_printf(a, "throttle.max_load: %.*s is %" PRId64 ", more than %" PRId64,
                               FR_ARG(name), now, most);
    return FR_OK;
}

/* ---- query ---- */

/* So long may a statement run, where the server can be told. */
static const char *time_limit(const fr_my *my, bool on)
{
    if (my->mariadb && my->version >= LIMIT_VERSION_MARIADB)
        return on ? "SET SESSION max_statement_time=2" : "SET SESSION max_statement_time=DEFAULT";
    if (!my->mariadb && my->version >= LIMIT_VERSION)
        return on ? "SET SESSION max_execution_time=2000"
                  : "SET SESSION max_execution_time=DEFAULT";
    return NULL;
}

static const char *begin_sql(const fr_my *my)
{
    return my->version >= READ_ONLY_VERSION ? "START TRANSACTION READ ONLY" : "START TRANSACTION";
}

/* No row and NULL are not above 0. */
static fr_rc number_of(const fr_my_rows *rows, fr_arena *a, double *out, fr_err *err)
{
    *out = 0;
    if (rows->count == 0 || (rows->columns > 0 && fr_my_null(rows, 0, 0)))
        return FR_OK;
    char *end = NULL;
    const char *text = fr_arena_cstr(a, fr_my_text(rows, 0, 0));
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && !isnan(*out))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "throttle.query answers with something that is no number");
    return wrong(err, "one row with one number; above 0 throttles");
}

static fr_rc query_fail(const fr_source_settings *set, fr_str *why, fr_err *err)
{
    if (err->native == OUT_OF_TIME || err->native == OUT_OF_TIME_MARIADB) {
        *why = FR_STR("throttle.query: no answer within 2 s");
        return FR_OK;
    }
    if (err->kind != FR_ERR_CONFIG && err->kind != FR_ERR_DATA && err->kind != FR_ERR_AUTH)
        return FR_FAIL;
    err->kind = FR_ERR_CONFIG;
    fr_fail_code(err, "my.throttle");
    return fr_fail_hint(err,
                        "correct sources.%s.throttle.query (names need their database: shop.t), or "
                        "the user's rights",
                        set->name);
}

/* The operator's own SQL, but it shall only look, and a server that cannot answer it soon is busy
 * enough. */
static fr_rc query(fr_my *my, const fr_source_settings *set, fr_arena *a, fr_str *why, fr_err *err)
{
    static const char doing[] = "throttle.query";
    const char *on = time_limit(my, true), *off = time_limit(my, false);
    fr_my_rows rows;
    double n = 0;
    fr_err second;
    FR_TRY(fr_my_exec(my, doing, fr_cstr(begin_sql(my)), err));
    fr_rc rc = on != NULL ? fr_my_exec(my, doing, fr_cstr(on), err) : FR_OK;
    if (rc == FR_OK) {
        rc = fr_my_query(my, a, doing, set->throttle_query, &rows, err);
        rc = rc == FR_OK ? number_of(&rows, a, &n, err) : query_fail(set, why, err);
    }
    if (rc == FR_OK && n > 0)
        *why = fr_arena_printf(a, "throttle.query: %g is above 0", n);
    fr_err *last = rc == FR_FAIL ? &second : err;
    fr_rc left = off != NULL ? fr_my_exec(my, doing, fr_cstr(off), last) : FR_OK;
    if (left == FR_OK)
        left = fr_my_exec(my, doing, FR_STR("ROLLBACK"), last);
    return left == FR_FAIL ? FR_FAIL : rc;
}

fr_rc fr_my_busy(fr_my *my, const fr_source_settings *settings, fr_arena *a, fr_str *why_out,
                 fr_err *err)
{
    fr_str why = {"", 0};
    fr_rc rc = settings->throttle_max_lag_us > 0 ? lag(my, settings, a, &why, err) : FR_OK;
    if (rc == FR_OK && why.len == 0 && settings->throttle_max_load != NULL)
        rc = load(my, settings, a, &why, err);
    if (rc == FR_OK && why.len == 0 && settings->throttle_query != NULL)
        rc = query(my, settings, a, &why, err);
    if (rc == FR_OK)
        *why_out = why;
    return rc;
}
