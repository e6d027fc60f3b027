#include "connectors/odbc/odbc_dialect.h"
#include "base/bytes.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The clock is asked as a timestamp without a zone. Those that were never run here are written as
 * the vendors' manuals have them. */
static const fr_odbc_quirks rows[] = {
    {.dbms = "PostgreSQL",
     .limit = FR_ODBC_LIMIT,
     .clock = "SELECT pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'",
     .session = {"SET TIME ZONE 'UTC'", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                 /* Before 12 the server rounds floating point to six and fifteen digits. */
                 "SET extra_float_digits = 3"},
     .own = "postgres",
     .wrong = "psqlodbc gives other dates for those before the year 1, beyond 9999 and infinity"},
    {.dbms = "MariaDB",
     .limit = FR_ODBC_LIMIT,
     .clock = "SELECT UTC_TIMESTAMP(6)",
     .coarse = "SELECT UTC_TIMESTAMP()",
     .precise_from = 503,
     .session = {"SET time_zone = '+00:00'"},
     .spans = true,
     .own = "mariadb",
     .wrong = "the driver gives NULL for 0000-00-00"},
    {.dbms = "MySQL",
     .limit = FR_ODBC_LIMIT,
     .clock = "SELECT UTC_TIMESTAMP(6)",
     .coarse = "SELECT UTC_TIMESTAMP()",
     .precise_from = 506,
     .session = {"SET time_zone = '+00:00'"},
     .spans = true,
     .own = "mysql",
     .wrong = "the driver gives NULL for 0000-00-00"},
    {.dbms = "SQLite",
     .limit = FR_ODBC_LIMIT,
     .clock = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
     .wide_ints = true,
     .by_text = true,
     .own = "sqlite",
     .wrong = "sqliteodbc gives floating point in 15 digits, and text up to a zero byte",
     .times_are_texts = true},
    {.dbms = "Microsoft SQL Server",
     .limit = FR_ODBC_TOP,
     .clock = "SELECT SYSUTCDATETIME()",
     .coarse = "SELECT GETUTCDATE()",
     .precise_from = 1000,
     .rounds_times = true},
    {.dbms = "Adaptive Server",
     .limit = FR_ODBC_TOP,
     .clock = "SELECT GETUTCDATE()",
     .rounds_times = true},
    /* Before 12.1 there is no FETCH FIRST. */
    {.dbms = "Oracle",
     .limit = FR_ODBC_FETCH,
     .clock = "SELECT SYS_EXTRACT_UTC(SYSTIMESTAMP) FROM DUAL",
     .session = {"ALTER SESSION SET TIME_ZONE = '+00:00'"}},
    {.dbms = "DB2",
     .limit = FR_ODBC_FETCH,
     .clock = "SELECT CURRENT TIMESTAMP - CURRENT TIMEZONE FROM SYSIBM.SYSDUMMY1"},
    {.dbms = "Informix", .limit = FR_ODBC_FIRST},
    {.dbms = "Firebird", .limit = FR_ODBC_FIRST},
};

static const fr_odbc_quirks unknown = {.dbms = "", .limit = FR_ODBC_MAX_ROWS};

const fr_odbc_quirks *fr_odbc_quirks_of(const char *dbms, bool *known)
{
    *known = true;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strncasecmp(dbms, rows[i].dbms, strlen(rows[i].dbms)) == 0)
            return &rows[i];
    *known = false;
    return &unknown;
}

const char *fr_odbc_clock(const fr_odbc_dialect *d)
{
    const fr_odbc_quirks *q = d->quirks;
    return q->coarse != NULL && d->version < q->precise_from ? q->coarse : q->clock;
}

unsigned fr_odbc_version(const char *text)
{
    char *end;
    unsigned long major = strtoul(text, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 9999 || minor > 99 ? 0 : (unsigned)(major * 100 + minor);
}

/* ---- types that drivers call something else ---- */

typedef struct named {
    const char *dbms, *type;
    fr_kind kind;
} named;

static const named named_types[] = {
    /* psqlodbc: a timestamp of either sort is SQL_TYPE_TIMESTAMP; the session is in UTC. */
    {"PostgreSQL", "timestamptz", FR_TIMESTAMP},
    /* As text, unless BoolsAsChar=0. */
    {"PostgreSQL", "bool", FR_BOOL},
    /* As SQL_LONGVARCHAR. */
    {"PostgreSQL", "json", FR_JSON},
    {"PostgreSQL", "jsonb", FR_JSON},
    /* As SQL_INTEGER, although they have no sign. */
    {"PostgreSQL", "oid", FR_INT64},
    {"PostgreSQL", "xid", FR_INT64},
    {"PostgreSQL", "cid", FR_INT64},
    /* As SQL_FLOAT, although it is written as the server's locale has it. */
    {"PostgreSQL", "money", FR_TEXT},
    /* As SQL_TYPE_TIME, without its zone. */
    {"PostgreSQL", "timetz", FR_TEXT},
    /* A TIMESTAMP is a moment, and a DATETIME is not; both are SQL_TYPE_TIMESTAMP. */
    {"MariaDB", "timestamp", FR_TIMESTAMP},
    {"MySQL", "timestamp", FR_TIMESTAMP},
    {"MySQL", "json", FR_JSON},
};

fr_kind fr_odbc_named_kind(const fr_odbc_quirks *q, fr_str type_name)
{
    for (size_t i = 0; i < COUNT(named_types); i++)
        if (strcmp(named_types[i].dbms, q->dbms) == 0 &&
            strlen(named_types[i].type) == type_name.len &&
            strncasecmp(named_types[i].type, type_name.ptr, type_name.len) == 0)
            return named_types[i].kind;
    return FR_ABSENT;
}

bool fr_odbc_rounded_time(const fr_odbc_quirks *q, fr_str type_name)
{
    static const char *const types[] = {"datetime", "smalldatetime"};
    for (size_t i = 0; i < COUNT(types) && q->rounds_times; i++)
        if (strlen(types[i]) == type_name.len &&
            strncasecmp(types[i], type_name.ptr, type_name.len) == 0)
            return true;
    return false;
}

/* ---- errors ---- */

typedef struct numbered {
    const char *dbms;
    int native;
    fr_err_kind kind;
} numbered;

/* Where the driver says HY000, or a state that means less than the number. */
static const numbered numbers[] = {
    {"MariaDB", 1045, FR_ERR_AUTH},    {"MariaDB", 1044, FR_ERR_AUTH},
    {"MariaDB", 1142, FR_ERR_AUTH},    {"MariaDB", 1143, FR_ERR_AUTH},
    {"MariaDB", 1040, FR_ERR_BUSY},    {"MariaDB", 1203, FR_ERR_BUSY},
    {"MariaDB", 1205, FR_ERR_BUSY},    {"MariaDB", 1213, FR_ERR_BUSY},
    {"MariaDB", 1053, FR_ERR_CONNECT}, {"MariaDB", 1927, FR_ERR_CONNECT},
    {"MariaDB", 2002, FR_ERR_CONNECT}, {"MariaDB", 2003, FR_ERR_CONNECT},
    {"MariaDB", 2006, FR_ERR_CONNECT}, {"MariaDB", 2013, FR_ERR_CONNECT},
    {"MariaDB", 2055, FR_ERR_CONNECT}, {"MariaDB", 1969, FR_ERR_BUSY},
    {"SQLite", 5, FR_ERR_BUSY},        {"SQLite", 6, FR_ERR_BUSY},
    {"SQLite", 17, FR_ERR_BUSY},
};

typedef struct state {
    const char *prefix;
    fr_err_kind kind;
} state;

/* The longest prefix first. */
static const state states[] = {
    {"08004", FR_ERR_AUTH},      {"08", FR_ERR_CONNECT},    {"28", FR_ERR_AUTH},
    {"42501", FR_ERR_AUTH},      {"42", FR_ERR_CONFIG},     {"22", FR_ERR_DATA},
    {"40", FR_ERR_BUSY},         {"53", FR_ERR_BUSY},       {"55", FR_ERR_BUSY},
    {"57", FR_ERR_CONNECT},      {"HYT01", FR_ERR_CONNECT}, {"HYT", FR_ERR_BUSY},
    {"HY008", FR_ERR_CANCELLED}, {"IM", FR_ERR_CONFIG},     {"S0", FR_ERR_CONFIG},
    {"S1T00", FR_ERR_BUSY},      {"HYC00", FR_ERR_CONFIG},  {"3D", FR_ERR_CONFIG},
    {"3F", FR_ERR_CONFIG},       {"01004", FR_ERR_DATA},
};

bool fr_odbc_error_kind(const fr_odbc_quirks *q, const char *sqlstate, int native, bool connecting,
                        fr_err_kind *out)
{
    const char *dbms = strcmp(q->dbms, "MySQL") == 0 ? "MariaDB" : q->dbms;
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (numbers[i].native == native &&
            (strcmp(numbers[i].dbms, dbms) == 0 || (connecting && native > 1000))) {
            *out = numbers[i].kind;
            return true;
        }
    for (size_t i = 0; i < COUNT(states); i++)
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0) {
            *out = states[i].kind;
            return true;
        }
    return false;
}

bool fr_odbc_passes(fr_err_kind kind)
{
    return kind == FR_ERR_CONNECT || kind == FR_ERR_BUSY || kind == FR_ERR_CANCELLED;
}

static bool starts(const char *sqlstate, const char *with)
{
    return strncmp(sqlstate, with, strlen(with)) == 0;
}

bool fr_odbc_no_longer_so(const fr_odbc_quirks *q, const char *sqlstate, int native, bool statement)
{
    /* ER_NEED_REPREPARE, and libmariadb's CR_NEW_STMT_METADATA: PostgreSQL's 0A000 there. */
    enum { NEED_REPREPARE = 1615, NEW_METADATA = 2057 };
    bool mysql = strcmp(q->dbms, "MariaDB") == 0 || strcmp(q->dbms, "MySQL") == 0;
    if (starts(sqlstate, "0A000") ||
        (mysql && (native == NEED_REPREPARE || native == NEW_METADATA)))
        return true;
    return !statement &&
           (starts(sqlstate, "42S") || starts(sqlstate, "42703") || starts(sqlstate, "42P01"));
}
