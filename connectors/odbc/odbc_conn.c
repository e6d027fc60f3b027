#include "connectors/odbc/odbc_conn.h"
#include "base/cancel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

_Static_assert(sizeof(SQLWCHAR) == 2, "the driver manager speaks UTF-16");

enum { SECOND_US = 1000000, PIECE = 4096, TERMINATOR = 2 };

#define GOOD(rc) ((rc) == SQL_SUCCESS || (rc) == SQL_SUCCESS_WITH_INFO)

/* ---- what went wrong ---- */

void fr_odbc_sqlstate(SQLSMALLINT type, SQLHANDLE handle, char out[6])
{
    SQLCHAR sqlstate[6] = "", text[2];
    SQLINTEGER native;
    SQLSMALLINT len;
    out[0] = '\0';
    if (GOOD(SQLGetDiagRec(type, handle, 1, sqlstate, &native, text, sizeof(text), &len)))
        memcpy(out, sqlstate, sizeof(sqlstate));
}

/* One record, without the line ends that drivers put into it. */
static void put_record(fr_buf *b, const char *sqlstate, SQLINTEGER native, const char *text)
{
    bool data = strncmp(sqlstate, "22", 2) == 0; /* what it says may quote a value */
    fr_buf_printf(b, "%s[%s] (%d) ", b->len > 0 ? "; " : "", sqlstate, (int)native);
    for (const char *at = data ? "" : text; *at != '\0'; at++)
        fr_buf_u8(b, (uint8_t)(*at == '\n' || *at == '\r' ? ' ' : *at));
}

static bool next_record(fr_odbc *c, SQLSMALLINT type, SQLHANDLE handle, SQLSMALLINT i, fr_arena *a,
                        char sqlstate[6], SQLINTEGER *native, fr_str *text)
{
    SQLWCHAR state[6] = {0}, message[1024];
    SQLSMALLINT len = 0;
    fr_err ignored;
    *native = 0;
    if (!GOOD(SQLGetDiagRecW(type, handle, i, state, native, message, PIECE / 4, &len)))
        return false;
    for (int k = 0; k < 6; k++)
        sqlstate[k] = (char)(state[k] < 128 ? state[k] : '?');
    sqlstate[5] = '\0';
    if (len < 0 || len >= PIECE / 4)
        len = PIECE / 4 - 1;
    if (fr_odbc_from_utf16(&c->text, a, message, (size_t)len * 2, text, &ignored) == FR_FAIL)
        *text = FR_STR("");
    return true;
}

/* Of what is not known the connection itself may know whether it is over. */
static fr_err_kind unknown_kind(const fr_odbc *c)
{
    SQLINTEGER dead = SQL_CD_FALSE;
    if (!c->connected)
        return FR_ERR_CONNECT;
    if (GOOD(SQLGetConnectAttr(c->dbc, SQL_ATTR_CONNECTION_DEAD, &dead, 0, NULL)) &&
        dead == SQL_CD_TRUE)
        return FR_ERR_CONNECT;
    return FR_ERR_CONFIG;
}

fr_rc fr_odbc_fail(fr_odbc *c, SQLSMALLINT type, SQLHANDLE handle, const char *doing, fr_err *err)
{
    enum { MOST = 8 };
    fr_arena *a = fr_arena_new(0);
    fr_buf all = {.arena = a};
    char first[6] = "", sqlstate[6];
    int number = 0;
    bool known = false;
    fr_err_kind kind = FR_ERR_CONFIG;
    for (SQLSMALLINT i = 1; i <= MOST; i++) {
        SQLINTEGER native;
        fr_str text;
        if (!next_record(c, type, handle, i, a, sqlstate, &native, &text))
            break;
        put_record(&all, sqlstate, native, fr_arena_cstr(a, text));
        if (!known)
            known = fr_odbc_error_kind(c->dialect.quirks, sqlstate, native, !c->connected, &kind);
        if (first[0] == '\0') {
            memcpy(first, sqlstate, sizeof(first));
            number = native;
        }
    }
    if (!known)
        kind = unknown_kind(c);
    fr_fail(err, kind, "%s: %s", doing,
            all.len > 0 ? fr_arena_cstr(a, fr_buf_view(&all)) : "the driver does not say why");
    memcpy(err->sqlstate, first, sizeof(err->sqlstate));
    err->native = number;
    fr_fail_code(err, "odbc.failed");
    fr_arena_free(a);
    return FR_FAIL;
}

/* ---- connecting ---- */

static fr_rc no_handle(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "unixODBC gives no handle");
    return fr_fail_code(err, "odbc.driver");
}

static fr_rc make_handles(fr_odbc *c, fr_err *err)
{
    SQLULEN seconds = (SQLULEN)((c->timeout_us + SECOND_US - 1) / SECOND_US);
    /* Numbers travel as pointers here. */
    SQLPOINTER value = (SQLPOINTER)(uintptr_t)seconds; // NOLINT(performance-no-int-to-ptr)
    if (!GOOD(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &c->env)))
        return no_handle(err);
    if (!GOOD(SQLSetEnvAttr(c->env, SQL_ATTR_ODBC_VERSION,
                            (SQLPOINTER)SQL_OV_ODBC3, // NOLINT(performance-no-int-to-ptr)
                            SQL_IS_UINTEGER)))
        return fr_odbc_fail(c, SQL_HANDLE_ENV, c->env, "set the version of ODBC", err);
    if (!GOOD(SQLAllocHandle(SQL_HANDLE_DBC, c->env, &c->dbc)))
        return fr_odbc_fail(c, SQL_HANDLE_ENV, c->env, "make a connection", err);
    /* A driver that does not know one of these goes without it. */
    (void)SQLSetConnectAttr(c->dbc, SQL_ATTR_LOGIN_TIMEOUT, value, SQL_IS_UINTEGER);
    (void)SQLSetConnectAttr(c->dbc, SQL_ATTR_CONNECTION_TIMEOUT, value, SQL_IS_UINTEGER);
    (void)SQLSetConnectAttr(c->dbc, SQL_ATTR_ACCESS_MODE,
                            (SQLPOINTER)SQL_MODE_READ_ONLY, // NOLINT(performance-no-int-to-ptr)
                            SQL_IS_UINTEGER);
    return FR_OK;
}

static fr_rc no_driver(fr_err *err)
{
    fr_fail_code(err, "odbc.driver");
    return fr_fail_hint(err, "odbcinst -q -d lists the drivers that are there, and odbcinst -q -s "
                             "the names for DSN=");
}

static fr_rc drive(fr_odbc *c, const fr_odbc_config *config, fr_arena *a, fr_err *err)
{
    fr_str string;
    uint16_t *wide;
    size_t units;
    SQLSMALLINT len;
    FR_TRY(fr_odbc_connection_string(a, config->dsn, config->password, &string, err));
    FR_TRY(fr_odbc_to_utf16(&c->text, a, string, &wide, &units, err));
    if (units > INT16_MAX)
        return fr_fail(err, FR_ERR_CONFIG, "dsn is longer than ODBC takes");
    SQLRETURN rc = SQLDriverConnectW(c->dbc, NULL, wide, (SQLSMALLINT)units, NULL, 0, &len,
                                     SQL_DRIVER_NOPROMPT);
    memset(wide, 0, units * sizeof(*wide));
    if (GOOD(rc)) {
        c->connected = true;
        return FR_OK;
    }
    fr_odbc_fail(c, SQL_HANDLE_DBC, c->dbc, "connect", err);
    if (strncmp(err->sqlstate, "IM", 2) == 0 || strstr(err->text, "Can't open lib") != NULL) {
        err->kind = FR_ERR_CONFIG;
        return no_driver(err);
    }
    return fr_fail_code(err, "odbc.connect");
}

fr_str fr_odbc_info(fr_odbc *c, SQLUSMALLINT what, fr_arena *a)
{
    SQLWCHAR text[256] = {0};
    SQLSMALLINT len = 0;
    fr_str out;
    fr_err ignored;
    if (!GOOD(SQLGetInfoW(c->dbc, what, text, sizeof(text), &len)) || len < 0)
        return FR_STR("");
    if ((size_t)len > sizeof(text) - 2)
        len = sizeof(text) - 2;
    /* Some count units instead of bytes: it ends where it ends. */
    size_t units = 0;
    while (units < sizeof(text) / 2 - 1 && text[units] != 0)
        units++;
    if (fr_odbc_from_utf16(&c->text, a, text, units * 2, &out, &ignored) == FR_FAIL)
        return FR_STR("");
    return out;
}

static void info(fr_odbc *c, SQLUSMALLINT what, char *out, size_t size)
{
    fr_arena *a = fr_arena_new(512);
    fr_str text = fr_odbc_info(c, what, a);
    snprintf(out, size, "%.*s", FR_ARG(text));
    fr_arena_free(a);
}

static SQLUINTEGER flags(fr_odbc *c, SQLUSMALLINT what)
{
    SQLUINTEGER out = 0;
    SQLSMALLINT len;
    return GOOD(SQLGetInfo(c->dbc, what, &out, sizeof(out), &len)) ? out : 0;
}

static void ask_dialect(fr_odbc *c)
{
    fr_odbc_dialect *d = &c->dialect;
    info(c, SQL_DBMS_NAME, d->dbms, sizeof(d->dbms));
    info(c, SQL_DBMS_VER, d->dbms_version, sizeof(d->dbms_version));
    info(c, SQL_DRIVER_NAME, d->driver, sizeof(d->driver));
    info(c, SQL_DRIVER_VER, d->driver_version, sizeof(d->driver_version));
    info(c, SQL_DM_VER, d->manager, sizeof(d->manager));
    info(c, SQL_SEARCH_PATTERN_ESCAPE, d->escape, sizeof(d->escape));
    info(c, SQL_IDENTIFIER_QUOTE_CHAR, d->quote, sizeof(d->quote));
    if (strcmp(d->quote, " ") == 0)
        d->quote[0] = '\0';
    d->quirks = fr_odbc_quirks_of(d->dbms, &d->known);
    d->version = fr_odbc_version(d->dbms_version);
    d->space = (flags(c, SQL_SCHEMA_USAGE) & SQL_SU_DML_STATEMENTS) != 0    ? FR_ODBC_SCHEMA
               : (flags(c, SQL_CATALOG_USAGE) & SQL_CU_DML_STATEMENTS) != 0 ? FR_ODBC_CATALOG
                                                                            : FR_ODBC_NO_SPACE;
}

static fr_rc prepare_session(fr_odbc *c, fr_err *err)
{
    fr_rc rc = FR_OK;
    for (int i = 0; i < FR_ODBC_SESSION_MAX && rc == FR_OK; i++) {
        SQLHSTMT stmt = NULL;
        const char *sql = c->dialect.quirks->session[i];
        if (sql == NULL)
            break;
        rc = fr_odbc_ask(c, "prepare the session", fr_cstr(sql), &stmt, err);
        fr_odbc_done(stmt);
    }
    return rc;
}

fr_rc fr_odbc_connect(const fr_odbc_config *config, fr_odbc **out, fr_err *err)
{
    fr_odbc *c = fr_malloc(sizeof(*c));
    fr_arena *a = fr_arena_new(0);
    c->timeout_us = config->timeout_us;
    c->dialect.quirks = fr_odbc_quirks_of("", &c->dialect.known);
    fr_odbc_text_open(&c->text);
    fr_rc rc = make_handles(c, err);
    if (rc == FR_OK)
        rc = drive(c, config, a, err);
    if (rc == FR_OK) {
        ask_dialect(c);
        rc = prepare_session(c, err);
    }
    fr_arena_free(a);
    if (rc == FR_FAIL)
        fr_odbc_close(c);
    else
        *out = c;
    return rc;
}

void fr_odbc_close(fr_odbc *c)
{
    if (c == NULL)
        return;
    if (c->connected)
        (void)SQLDisconnect(c->dbc);
    if (c->dbc != NULL)
        (void)SQLFreeHandle(SQL_HANDLE_DBC, c->dbc);
    if (c->env != NULL)
        (void)SQLFreeHandle(SQL_HANDLE_ENV, c->env);
    fr_odbc_text_close(&c->text);
    free(c);
}

/* ---- asking ---- */

fr_rc fr_odbc_stmt(fr_odbc *c, SQLHSTMT *out, fr_err *err)
{
    SQLULEN seconds = (SQLULEN)((c->timeout_us + SECOND_US - 1) / SECOND_US);
    FR_TRY(fr_cancel_check(err));
    if (!GOOD(SQLAllocHandle(SQL_HANDLE_STMT, c->dbc, out)))
        return fr_odbc_fail(c, SQL_HANDLE_DBC, c->dbc, "make a statement", err);
    (void)SQLSetStmtAttr(*out, SQL_ATTR_QUERY_TIMEOUT,
                         (SQLPOINTER)(uintptr_t)seconds, // NOLINT(performance-no-int-to-ptr)
                         SQL_IS_UINTEGER);
    return FR_OK;
}

void fr_odbc_done(SQLHSTMT stmt)
{
    if (stmt != NULL)
        (void)SQLFreeHandle(SQL_HANDLE_STMT, stmt);
}

fr_rc fr_odbc_ask(fr_odbc *c, const char *doing, fr_str sql, SQLHSTMT *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    uint16_t *wide;
    size_t units;
    SQLHSTMT stmt = NULL;
    fr_rc rc = fr_odbc_to_utf16(&c->text, a, sql, &wide, &units, err);
    if (rc == FR_OK)
        rc = fr_odbc_stmt(c, &stmt, err);
    if (rc == FR_OK) {
        SQLRETURN got = SQLExecDirectW(stmt, wide, (SQLINTEGER)units);
        if (!GOOD(got) && got != SQL_NO_DATA)
            rc = fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, doing, err);
    }
    fr_arena_free(a);
    if (rc == FR_FAIL)
        fr_odbc_done(stmt);
    else
        *out = stmt;
    return rc;
}

fr_rc fr_odbc_fetch(fr_odbc *c, SQLHSTMT stmt, const char *doing, fr_err *err)
{
    SQLRETURN rc = SQLFetch(stmt);
    if (rc == SQL_NO_DATA)
        return FR_END;
    return GOOD(rc) ? FR_OK : fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, doing, err);
}

/* ---- cells of any length ---- */

typedef struct piece {
    SQLSMALLINT type;
    size_t unit; /* bytes of the zero that ends a piece of text; 0: none does */
} piece;

/* Piece by piece, since only some drivers say at once how long a value is. FR_IDLE: above the
 * limit, and out holds some of it. */
static fr_rc read_pieces(fr_odbc *c, SQLHSTMT stmt, unsigned column, piece how, size_t limit,
                         fr_buf *out, bool *is_null, fr_err *err)
{
    size_t room = PIECE;
    *is_null = false;
    for (;;) {
        SQLLEN len = 0;
        uint8_t *to = fr_buf_room(out, room);
        SQLRETURN rc = SQLGetData(stmt, (SQLUSMALLINT)column, how.type, to, (SQLLEN)room, &len);
        if (rc == SQL_NO_DATA)
            return FR_OK;
        if (!GOOD(rc))
            return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, "read a value", err);
        if (len == SQL_NULL_DATA) {
            *is_null = true;
            return FR_OK;
        }
        bool more = len == SQL_NO_TOTAL || (size_t)len > room - how.unit;
        out->len += more ? room - how.unit : (size_t)len;
        if (limit > 0 && (out->len > limit || (len > 0 && more && (size_t)len > limit)))
            return FR_IDLE;
        if (!more)
            return FR_OK;
        size_t left = len == SQL_NO_TOTAL ? 4 * room : (size_t)len - (room - how.unit) + how.unit;
        room = left < PIECE ? PIECE : left > 1 << 20 ? 1 << 20 : left;
        room -= room % 2;
    }
}

fr_rc fr_odbc_bytes(fr_odbc *c, SQLHSTMT stmt, unsigned column, size_t max_bytes, fr_arena *a,
                    fr_str *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    bool is_null;
    fr_rc rc = read_pieces(c, stmt, column, (piece){SQL_C_BINARY, 0}, max_bytes, &b, &is_null, err);
    if (rc == FR_OK)
        *out = is_null ? (fr_str){NULL, 0} : b.len == 0 ? FR_STR("") : fr_buf_view(&b);
    else if (rc == FR_IDLE)
        *out = (fr_str){NULL, b.len};
    return rc;
}

fr_rc fr_odbc_cell(fr_odbc *c, SQLHSTMT stmt, unsigned column, size_t max_bytes, fr_arena *a,
                   fr_str *out, fr_err *err)
{
    fr_buf b = {0};
    bool is_null;
    /* A unit of two bytes is at least one of UTF-8. */
    fr_rc rc = read_pieces(c, stmt, column, (piece){SQL_C_WCHAR, TERMINATOR}, 2 * max_bytes, &b,
                           &is_null, err);
    if (rc == FR_OK && is_null)
        *out = (fr_str){NULL, 0};
    else if (rc == FR_OK)
        rc = fr_odbc_from_utf16(&c->text, a, b.ptr, b.len, out, err);
    else if (rc == FR_IDLE)
        *out = (fr_str){NULL, b.len / 2};
    fr_buf_free(&b);
    return rc;
}
