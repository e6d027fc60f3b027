/* Connections through unixODBC's driver manager: one way to connect, to ask and to fail. Texts go
 * to and come from drivers as UTF-16, and are UTF-8 here. A connection is used by one thread at a
 * time. A driver runs within this process: one that crashes takes it along. */
#ifndef FR_ODBC_ODBC_CONN_H
#define FR_ODBC_ODBC_CONN_H

#include "base/bytes.h"
#include "base/error.h"
#include "connectors/odbc/odbc_dialect.h"
#include "connectors/odbc/odbc_text.h"
#include <sql.h>
#include <sqlext.h>

typedef struct fr_odbc_config { /* what the option table fills in */
    const char *dsn, *password;
    int64_t timeout_us;
} fr_odbc_config;

typedef struct fr_odbc {
    SQLHENV env;
    SQLHDBC dbc;
    fr_odbc_text text;
    fr_odbc_dialect dialect; /* asked of the driver */
    int64_t timeout_us;
    bool connected;
} fr_odbc;

/* CONFIG: odbc.dsn, odbc.dsn_password, odbc.driver; AUTH, CONNECT, BUSY. No text holds the
 * password. The session is read-only, in UTC and in autocommit, as far as server and driver know
 * these. */
fr_rc fr_odbc_connect(const fr_odbc_config *config, fr_odbc **out, fr_err *err);
void fr_odbc_close(fr_odbc *c); /* NULL is fine */

/* Fills in err from all diagnostic records of a handle, with doing in front ("read rows"): kind by
 * SQLSTATE and native number, and what the driver says, but for what it says of data (class 22),
 * which may quote a row. Returns FR_FAIL. */
fr_rc fr_odbc_fail(fr_odbc *c, SQLSMALLINT type, SQLHANDLE handle, const char *doing, fr_err *err);
/* The SQLSTATE of the first record; "" where there is none. */
void fr_odbc_sqlstate(SQLSMALLINT type, SQLHANDLE handle, char out[6]);

/* A statement with the time-out of the configuration. */
fr_rc fr_odbc_stmt(fr_odbc *c, SQLHSTMT *out, fr_err *err);
void fr_odbc_done(SQLHSTMT stmt); /* NULL is fine */
/* Runs sql as it is; rows are left to be read. */
fr_rc fr_odbc_ask(fr_odbc *c, const char *doing, fr_str sql, SQLHSTMT *out, fr_err *err);
/* The next row. FR_END: there is none. */
fr_rc fr_odbc_fetch(fr_odbc *c, SQLHSTMT stmt, const char *doing, fr_err *err);
/* A cell of it as text, in the arena; ptr NULL: SQL NULL. max_bytes of UTF-8, 0: any; above it
 * FR_IDLE, and *out is how long it is at least, with ptr NULL. DATA: it is no text. */
fr_rc fr_odbc_cell(fr_odbc *c, SQLHSTMT stmt, unsigned column, size_t max_bytes, fr_arena *a,
                   fr_str *out, fr_err *err);
/* The same for bytes. */
fr_rc fr_odbc_bytes(fr_odbc *c, SQLHSTMT stmt, unsigned column, size_t max_bytes, fr_arena *a,
                    fr_str *out, fr_err *err);
/* A text of SQLGetInfo; empty where the driver does not say. */
fr_str fr_odbc_info(fr_odbc *c, SQLUSMALLINT what, fr_arena *a);

#endif
