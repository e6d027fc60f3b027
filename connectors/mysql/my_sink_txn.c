/* The session of a sink, its transaction, DDL beside it, and what errors become. */
#include "mysql/my_sink.h"
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

/* Strict, or the server would cut, round to a limit and put zeros in silence. A zero in an
 * AUTO_INCREMENT column is a zero. An engine that is not there is an error. */
#define MODE "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
#define SETTINGS                                                                                   \
    "sql_mode='" MODE "', innodb_lock_wait_timeout=30, lock_wait_timeout=30, "                     \
    "foreign_key_checks=1, unique_checks=1, wait_timeout=31536000, autocommit=0"
#define UNWATCH "; SET SESSION wait_timeout = 31536000"

enum { OLDEST_SERVER = 50500 };

/* ---- the session ---- */

static fr_rc too_old(const fr_my *my, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "the server is version %s: 5.5 or later", my->version_text);
    return fr_fail_code(err, "sink.version");
}

/* MariaDB 10.5 takes arrays, but shows triggers the first row's values for every row; and it does
 * not find a row by a parameter for its key of type timestamp. The next version tried is 10.11. */
enum { SOUND_SINCE = 101100 };

static bool takes_arrays(fr_my *my)
{
    unsigned long capabilities = 0;
    if (!my->mariadb || my->version < SOUND_SINCE ||
        mariadb_get_infov(my->mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES,
                          &capabilities) != 0)
        return false;
    return (capabilities & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
}

static unsigned key_bytes(const fr_my_abilities *can, uint64_t page)
{
    bool large = can->version >= (can->mariadb ? 100202U : 50700U);
    if (!large)
        return 767;
    return page == 8192 ? 1536 : page == 4096 ? 768 : 3072;
}

fr_my_abilities fr_my_sink_abilities(uint32_t v, bool m)
{
    fr_my_abilities can = {.version = v,
                           .mariadb = m,
                           .fractions = m || v >= 50604,
                           .uuid = m && v >= 100700,
                           .stamp_keys = !m || v >= SOUND_SINCE,
                           .row_alias = !m && v >= 80019,
                           .watches_txn = m && v >= 100300};
    can.exact = m && v >= 100202   ? "utf8mb4_nopad_bin"
                : !m && v >= 80017 ? "utf8mb4_0900_bin"
                                   : "utf8mb4_bin";
    can.exact_pads = strcmp(can.exact, "utf8mb4_bin") == 0;
    can.key_bytes = key_bytes(&can, 0);
    return can;
}

static fr_my_abilities abilities_of(fr_my *my, const fr_my_rows *settings)
{
    fr_my_abilities can = fr_my_sink_abilities(my->version, my->mariadb);
    can.bulk = takes_arrays(my);
    can.packet = fr_my_uint(settings, 0, 0, 1 << 20);
    can.folds_tables = fr_my_uint(settings, 0, 1, 0) != 0;
    return can;
}

static fr_rc not_taken(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "strict mode or autocommit did not take: something between us and the server keeps "
            "settings to itself");
    fr_fail_code(err, "sink.session");
    return fr_fail_hint(err, "connect to the server itself, or to a proxy in session mode");
}

/* InnoDB refuses READ COMMITTED where statements are logged as such. */
static fr_rc isolate(fr_my *my, fr_arena *a, fr_err *err)
{
    fr_str format, logs;
    FR_TRY(fr_my_variable(my, a, "binlog_format", &format, err));
    FR_TRY(fr_my_variable(my, a, "log_bin", &logs, err));
    bool statements = fr_str_is(format, "STATEMENT") && fr_str_is(logs, "ON");
    return fr_my_exec(my, "set the isolation level",
                      statements ? FR_STR("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                                 : FR_STR("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
                      err);
}

static fr_rc learn(fr_my *my, fr_arena *a, fr_my_abilities *can, fr_err *err)
{
    fr_my_rows rows;
    fr_str page;
    FR_TRY(fr_my_query(my, a, "read the server's settings",
                       "SELECT @@max_allowed_packet, @@lower_case_table_names, @@sql_mode, "
                       "@@autocommit",
                       &rows, err));
    *can = abilities_of(my, &rows);
    if (strstr(fr_arena_cstr(a, fr_my_text(&rows, 0, 2)), "STRICT_ALL_TABLES") == NULL ||
        fr_my_uint(&rows, 0, 3, 1) != 0)
        return not_taken(err);
    FR_TRY(fr_my_variable(my, a, "innodb_page_size", &page, err));
    can->key_bytes = key_bytes(can, strtoull(fr_arena_cstr(a, page), NULL, 10));
    return isolate(my, a, err);
}

static fr_rc prepare_session(fr_my *my, int64_t frozen_seconds, fr_my_abilities *can, fr_err *err)
{
    if (my->version < OLDEST_SERVER)
        return too_old(my, err);
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = learn(my, a, can, err);
    if (rc == FR_OK && can->watches_txn) {
        fr_str sql = fr_arena_printf(a, "SET SESSION idle_transaction_timeout = %lld",
                                     (long long)frozen_seconds);
        rc = fr_my_exec(my, "watch idle transactions", sql, err);
    }
    if (rc == FR_OK)
        rc = fr_my_exec(my, "prepare the session", FR_STR("COMMIT"), err);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_my_sink_connect(const fr_sink_settings *set, int64_t frozen_seconds, fr_my **out,
                         fr_my_abilities *can, fr_err *err)
{
    const fr_my_sink_config *c = set->connector;
    fr_my_target target = {.dsn = c->dsn,
                           .password = c->password,
                           .insecure = c->insecure,
                           .settings = SETTINGS,
                           .bulk = true,
                           .found_rows = true};
    fr_my *my = NULL;
    FR_TRY(fr_my_connect(&target, &my, err));
    if (prepare_session(my, frozen_seconds, can, err) == FR_FAIL) {
        fr_my_close(my);
        return FR_FAIL;
    }
    *out = my;
    return FR_OK;
}

/* ---- the transaction ---- */

fr_rc fr_my_sink_exec(fr_my_sink *s, const char *doing, const char *sql, fr_err *err)
{
    return fr_my_exec(s->my, doing, fr_cstr(sql), err);
}

/* A transaction of ours that does nothing for so long belongs to a frozen process: the
 * server ends it, so that its locks do not hold up the next owner. */
fr_rc fr_my_sink_begin(fr_my_sink *s, fr_err *err)
{
    if (s->in_txn)
        return FR_OK;
    s->in_txn = true;
    s->savepoint = false;
    if (s->can.watches_txn)
        return FR_OK; /* autocommit is off: the first statement begins it */
    fr_arena *a = fr_arena_new(0);
    fr_str sql =
        fr_arena_printf(a, "SET SESSION wait_timeout = %lld", (long long)s->frozen_seconds);
    fr_rc rc = fr_my_exec(s->my, "begin", sql, err);
    fr_arena_free(a);
    return rc;
}

const char *fr_my_sink_unwatch(const fr_my_sink *s)
{
    return s->can.watches_txn ? "" : UNWATCH;
}

void fr_my_sink_abandon(fr_my_sink *s)
{
    fr_err ignored;
    fr_rc rc = fr_my_sink_exec(s, "roll back", s->can.watches_txn ? "ROLLBACK" : "ROLLBACK" UNWATCH,
                               &ignored);
    s->in_txn = s->savepoint = false;
    atomic_store(&s->connected, rc == FR_OK);
}

void fr_my_sink_rest(fr_my_sink *s)
{
    fr_err ignored;
    if (!s->in_txn)
        fr_my_sink_exec(s, "rest", "COMMIT", &ignored);
}

/* ---- DDL ---- */

static fr_rc ddl_failed(fr_str sql, fr_err *err)
{
    if (err->native == ER_DUP_FIELDNAME)
        return FR_OK; /* another worker added it */
    if (err->kind == FR_ERR_AUTH)
        fr_fail_hint(err, "let the owner of the database run: %.*s", FR_ARG(sql));
    if (err->kind == FR_ERR_DATA)
        err->kind = FR_ERR_CONFIG; /* rows that are there do not allow it */
    return FR_FAIL;
}

static fr_rc ddl_beside(fr_my_sink *s, fr_str sql, fr_err *err)
{
    fr_my *my = NULL;
    fr_my_abilities ignored;
    FR_TRY(fr_my_sink_connect(s->settings, s->frozen_seconds, &my, &ignored, err));
    fr_rc rc = fr_my_exec(my, "change the target", sql, err);
    fr_my_close(my);
    return rc == FR_FAIL ? ddl_failed(sql, err) : FR_OK;
}

fr_rc fr_my_sink_ddl(fr_my_sink *s, fr_str sql, bool makes, fr_err *err)
{
    bool again = s->in_txn && !makes;
    if (s->in_txn && makes)
        return ddl_beside(s, sql, err);
    if (again)
        fr_my_sink_abandon(s); /* else we would wait for our own locks */
    if (fr_my_exec(s->my, "change the target", sql, err) == FR_FAIL)
        FR_TRY(ddl_failed(sql, err));
    if (!again)
        return FR_OK;
    fr_fail(err, FR_ERR_BUSY,
            "the target was altered, which ends a transaction: the rows since "
            "the last commit are written again");
    return fr_fail_code(err, "sink.altered");
}

/* ---- errors ---- */

static const struct {
    int native;
    const char *code, *hint;
} remedies[] = {
    {ER_DUP_ENTRY, "sink.unique",
     "another row of the target has this value: where rows of one table are spread over several "
     "partitions, it may pass by itself; else drop the unique index at the target"},
    {ER_NO_REFERENCED_ROW_2, "sink.foreign_key",
     "the row it refers to is not there (yet): drop the foreign key at the target"},
    {ER_NO_REFERENCED_ROW, "sink.foreign_key", "drop the foreign key at the target"},
    {ER_ROW_IS_REFERENCED_2, "sink.foreign_key",
     "other rows refer to this one: drop the foreign key at the target"},
    {ER_ROW_IS_REFERENCED, "sink.foreign_key", "drop the foreign key at the target"},
    {ER_BAD_NULL_ERROR, "sink.not_null", "ALTER TABLE ... MODIFY ... NULL at the target"},
    {ER_NO_DEFAULT_FOR_FIELD, "sink.not_null", "ALTER TABLE ... MODIFY ... NULL at the target"},
    {3819, "sink.check", "drop the CHECK constraint at the target, or correct the row"},
    {4025, "sink.check", "drop the CHECK constraint at the target, or correct the row"},
    {ER_LOCK_WAIT_TIMEOUT, "sink.locked",
     "another session keeps the table or rows of it locked: it passes once that one ends"},
    {ER_NET_PACKET_TOO_LARGE, "sink.packet", "raise max_allowed_packet at the server"},
    {ER_TABLEACCESS_DENIED_ERROR, "sink.grants",
     "GRANT SELECT, INSERT, UPDATE, DELETE on the target to this user"},
    {ER_COLUMNACCESS_DENIED_ERROR, "sink.grants",
     "GRANT SELECT, INSERT, UPDATE, DELETE on the target to this user"},
    {ER_DBACCESS_DENIED_ERROR, "sink.grants", "GRANT rights on this database to this user"},
    {ER_NO_SUCH_TABLE, "sink.table", "the target was changed: freshet plan says what it lacks"},
    {ER_BAD_FIELD_ERROR, "sink.table", "the target was changed: freshet plan says what it lacks"},
};

/* Both pass by themselves: the table changed between two looks at it. */
static bool changed_meanwhile(int native)
{
    return native == ER_TABLE_DEF_CHANGED || native == ER_NEED_REPREPARE;
}

static void set_remedy(fr_err *err, const char *code, const char *hint)
{
    if (err->code[0] == '\0')
        fr_fail_code(err, code);
    if (err->hint[0] == '\0')
        fr_fail_hint(err, "%s", hint);
}

void fr_my_sink_remedy(fr_err *err)
{
    if (changed_meanwhile(err->native))
        err->kind = FR_ERR_BUSY;
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
        if (err->native == remedies[i].native) {
            set_remedy(err, remedies[i].code, remedies[i].hint);
            return;
        }
    }
    /* MariaDB from 10.11 on refuses some of 128 bits, and its message shows none of them. */
    if (err->kind == FR_ERR_DATA && strstr(err->text, "Incorrect uuid value") != NULL)
        set_remedy(
            err, "sink.value",
            "MariaDB's uuid takes no value with a version of 8 and above and a variant below 8 "
            "(they are made by no standard: md5(..)::uuid): ALTER TABLE ... MODIFY ... char(36)");
    if (err->kind == FR_ERR_DATA)
        set_remedy(err, "sink.value",
                   "the target's column is too narrow for the value, or of another type");
}

fr_rc fr_my_sink_failed(fr_my_sink *s, fr_err *err)
{
    fr_my_sink_remedy(err);
    fr_my_sink_abandon(s);
    return FR_FAIL;
}
