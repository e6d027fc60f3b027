#include "connectors/mysql/my_state.h"
#include "base/cancel.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { SECOND_US = 1000000, NOW6_VERSION = 50600 };
enum { STALE_TRIES = 20, STALE_US = 120000, STALE_MORE_US = 500000 };

/* INNODB_TRX has the server's own local time, whatever the session's zone is, in whole seconds.
 * So the session is in that zone here; and where its offset has become less since (summer time has
 * ended), a transaction may be older than the clock says. A statement that waits for a metadata
 * lock has its NOW() but no transaction yet. Prepared XA transactions are listed as others.
 *
 * The table is a cache which is renewed only if nobody has read it for a tenth of a second
 * (CACHE_MIN_IDLE_TIME_US of both servers' trx0i_s.cc): who asks too often sees the same old list
 * for ever. So a transaction of our own is begun first: a list that has it is no older than it.
 *
 * A transaction of thread 0 is prepared, and its session gone: after the server was started anew it
 * seems to have begun at that start (trx_resurrect of trx0trx.cc), long after it did. */
static const char state_sql[] =
    "SELECT UNIX_TIMESTAMP(), %s, TIMESTAMPDIFF(SECOND, t.began, NOW()),"
    " TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW()),"
    " TIMESTAMPDIFF(SECOND, '1970-01-01', FROM_UNIXTIME(u.then)) - u.then, t.thread, p.longest,"
    " (SELECT TIMESTAMPDIFF(SECOND, MAX(trx_started), NOW()) FROM information_schema.INNODB_TRX"
    "  WHERE trx_mysql_thread_id = CONNECTION_ID()),"
    " (SELECT TIMESTAMPDIFF(SECOND, MIN(trx_started), NOW()) FROM information_schema.INNODB_TRX"
    "  WHERE trx_mysql_thread_id = 0)"
    " FROM (SELECT trx_started AS began, trx_mysql_thread_id AS thread"
    "  FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID())"
    "  UNION ALL SELECT NULL, NULL ORDER BY began IS NULL, began LIMIT 1) t,"
    " (SELECT UNIX_TIMESTAMP() - 7200 - GREATEST(0, COALESCE((SELECT"
    "   TIMESTAMPDIFF(SECOND, MIN(trx_started), NOW()) FROM information_schema.INNODB_TRX"
    "   WHERE trx_mysql_thread_id <> CONNECTION_ID()), 0)) AS `then`) u,"
    " (SELECT MAX(TIME) AS longest FROM %s"
    "  WHERE ID <> CONNECTION_ID() AND COMMAND NOT IN ('Sleep', 'Daemon', 'Binlog Dump',"
    "  'Binlog Dump GTID')) p";

enum {
    S_NOW,
    S_FRACTION,
    S_AGE,
    S_OFFSET,
    S_OFFSET_THEN,
    S_THREAD,
    S_STATEMENT,
    S_OURS,
    S_PREPARED
};

static int64_t number(const fr_my_rows *rows, size_t column)
{
    fr_str text = fr_my_text(rows, 0, column);
    char copy[32];
    snprintf(copy, sizeof(copy), "%.*s", FR_ARG(text));
    return strtoll(copy, NULL, 10);
}

/* How old our own transaction can be at most when it is listed as of `age` whole seconds. */
static bool has_ours(const fr_my_rows *rows, int64_t waited_us)
{
    return !fr_my_null(rows, 0, S_OURS) && number(rows, S_OURS) >= 0 &&
           number(rows, S_OURS) <= waited_us / SECOND_US + 1;
}

/* MySQL cannot show INNODB_TRX while a statement within it has a character of four bytes, whatever
 * is asked of it; nor its old list of sessions (choose_processes). It passes with that statement.
 */
static fr_rc list_fail(fr_err *err)
{
    if (err->native != FR_MY_CANNOT_CONVERT)
        return FR_FAIL;
    err->kind = FR_ERR_BUSY;
    fr_fail_code(err, "query.processlist");
    return fr_fail_hint(err,
                        "it is tried again: MySQL cannot list transactions while a statement of "
                        "one has a character of four bytes; where it lasts, performance_schema=ON "
                        "makes it rarer");
}

static fr_rc ask_list(fr_my *my, const char *processes, fr_arena *a, fr_my_rows *rows, fr_err *err)
{
    char sql[sizeof(state_sql) + 80];
    bool fractions = my->mariadb || my->version >= NOW6_VERSION;
    int64_t began = fr_now_us();
    snprintf(sql, sizeof(sql), state_sql, fractions ? "MICROSECOND(NOW(6))" : "0", processes);
    FR_TRY(fr_my_exec(my, "list open transactions",
                      FR_STR("START TRANSACTION WITH CONSISTENT SNAPSHOT"), err));
    for (int tries = 0; tries < STALE_TRIES; tries++) {
        if (fr_my_query(my, a, "list open transactions", sql, rows, err) == FR_FAIL)
            return list_fail(err);
        if (has_ours(rows, fr_now_us() - began))
            return FR_OK;
        FR_TRY(fr_cancel_check(err));
        /* Two that wait for each other must not do so in step. */
        fr_sleep_us(STALE_US + fr_now_us() % STALE_MORE_US);
    }
    fr_fail(err, FR_ERR_BUSY,
            "information_schema.INNODB_TRX is out of date: it is renewed only when "
            "nobody has read it for a tenth of a second");
    fr_fail_code(err, "query.stale");
    return fr_fail_hint(err, "find out who reads it more than ten times a second (monitoring?)");
}

static fr_rc ask_state(fr_my *my, const char *processes, fr_arena *a, fr_my_rows *rows, fr_err *err)
{
    fr_err ignored;
    FR_TRY(fr_my_exec(my, "list open transactions", FR_STR("SET time_zone = 'SYSTEM'"), err));
    fr_rc rc = ask_list(my, processes, a, rows, err);
    if (rc == FR_OK)
        rc = fr_my_exec(my, "list open transactions", FR_STR("COMMIT"), err);
    else
        (void)fr_my_exec(my, "list open transactions", FR_STR("ROLLBACK"), &ignored);
    if (rc == FR_OK)
        rc = fr_my_exec(my, "list open transactions", FR_STR("SET time_zone = '+00:00'"), err);
    return rc;
}

/* When what is so many seconds old began, at the earliest: seconds are cut off, and an hour of the
 * server's local time may have come twice since. */
static int64_t began(const fr_my_rows *rows, size_t column, int64_t now_us)
{
    int64_t age = number(rows, column);
    int64_t lost = number(rows, S_OFFSET_THEN) - number(rows, S_OFFSET);
    age = (age < 0 ? 0 : age) + (lost > 0 ? lost : 0);
    return now_us - (age + 1) * SECOND_US;
}

fr_rc fr_my_state(fr_my *my, const char *processes, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    fr_my_rows rows;
    FR_TRY(ask_state(my, processes, a, &rows, err));
    fr_sql_state s = {.now_us = number(&rows, S_NOW) * SECOND_US + number(&rows, S_FRACTION),
                      .oldest_us = INT64_MAX,
                      .prepared_us = INT64_MAX};
    /* Seconds are cut off. */
    s.listed_us = s.now_us - (number(&rows, S_OURS) + 1) * SECOND_US;
    if (!fr_my_null(&rows, 0, S_AGE)) {
        s.oldest_us = began(&rows, S_AGE, s.now_us);
        s.oldest_who = fr_arena_printf(a, "thread %.*s", FR_ARG(fr_my_text(&rows, 0, S_THREAD)));
    }
    if (!fr_my_null(&rows, 0, S_PREPARED))
        s.prepared_us = began(&rows, S_PREPARED, s.now_us);
    int64_t statement = s.now_us - (number(&rows, S_STATEMENT) + 1) * SECOND_US;
    if (!fr_my_null(&rows, 0, S_STATEMENT) && statement < s.oldest_us) {
        s.oldest_us = statement;
        s.oldest_who = FR_STR("the oldest running statement");
    }
    *out = s;
    return FR_OK;
}
