/* Connections to MySQL and MariaDB through MariaDB Connector/C: one way to connect, to ask, to
 * quote and to fail; for the source and the sink alike. A connection is used by one thread at
 * a time, but for fr_my_interrupt. LOCAL INFILE is off, and a server that asks for a file all
 * the same is refused. Compiled against libmariadb only; sees MySQL 5.5 to 9 and MariaDB. */
#ifndef FR_MYSQL_MY_CONN_H
#define FR_MYSQL_MY_CONN_H

#include "base/arena.h"
#include "base/error.h"
#include <mysql.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What every session starts with, whatever the server's or the user's own defaults are. */
#define FR_MY_SESSION "time_zone='+00:00', sql_mode='', autocommit=1"

typedef struct fr_my_target {
    const char *dsn;          /* see my_dsn.h */
    const char *password;     /* NULL: none */
    bool insecure;            /* allow anything but verified TLS off this machine */
    const char *settings;     /* more "name=value, ..." for SET, after FR_MY_SESSION; or NULL */
    unsigned timeout_seconds; /* of one read or write on the socket; 0: none */
    bool raw_results;         /* text comes in each column's own character set, not utf8mb4 */
    bool bulk;                /* several statements in one text are allowed */
    bool found_rows;          /* an UPDATE's count is of rows found, not only of rows changed */
} fr_my_target;

typedef struct fr_my {
    MYSQL *mysql; /* the library's own; for prepared statements and the binlog dump */
    bool mariadb;
    uint32_t version; /* 101119: 10.11.19 */
    char version_text[64];
    uint64_t id; /* CONNECTION_ID() */
    atomic_bool stopping;
    struct fr_my_limit *limit; /* of answers; my_ask.c's */
} fr_my;

/* Connects within the dsn's connect_timeout (10 s). CONFIG (my.dsn, my.dsn_password, my.tls,
 * my.certificate, my.auth_plugin), AUTH, CONNECT or BUSY; no text holds the password. Without
 * TLS only logins that never send the password are accepted: mysql_native_password, ed25519; on
 * this machine also those that encrypt it with the server's key (caching_sha2); through a Unix
 * socket all. */
fr_rc fr_my_connect(const fr_my_target *target, fr_my **out, fr_err *err);
void fr_my_close(fr_my *my); /* NULL is fine */
/* How long one read may wait from now on, in seconds (0: for ever), instead of the target's
 * timeout_seconds. A server that hangs keeps its connections: no keep-alive tells. */
void fr_my_patience(fr_my *my, unsigned seconds);
/* What fr_my_connect checks before it connects. */
fr_rc fr_my_dsn_check(const fr_my_target *target, fr_err *err);

/* From any thread, while the connection is open: whatever waits for the server ends within a
 * second, with CANCELLED. The connection is of no use after it. */
void fr_my_interrupt(fr_my *my);

/* Fills in err from the connection's last error, with doing in front ("read the catalog"):
 * kind by number and SQLSTATE, err->native, err->sqlstate, and the server's text without the
 * values it may quote. CANCELLED when interrupted. Returns FR_FAIL. */
fr_rc fr_my_fail(fr_my *my, const char *doing, fr_err *err);
/* The same for a prepared statement's last error. */
fr_rc fr_my_stmt_fail(fr_my *my, MYSQL_STMT *stmt, const char *doing, fr_err *err);
fr_err_kind fr_my_error_kind(unsigned number, const char *sqlstate);

/* For fr_my_connect, once logged in: from here on an answer of 512 MiB is refused (CONFIG,
 * my.answer_large): that is none of a server that means well. */
void fr_my_limit_answers(fr_my *my);

/* A result in memory. Cells are borrowed from the arena; ptr NULL is SQL NULL. */
typedef struct fr_my_rows {
    size_t count, columns;
    const fr_str *cells; /* row by row */
} fr_my_rows;
/* One statement, its rows copied into the arena. sql needs no escaping of %. */
fr_rc fr_my_query(fr_my *my, fr_arena *a, const char *doing, const char *sql, fr_my_rows *out,
                  fr_err *err);
/* The same when the result does not matter; sql may hold any bytes. With target.bulk, every
 * statement of the text is run and the first error is the result. */
fr_rc fr_my_exec(fr_my *my, const char *doing, fr_str sql, fr_err *err);
/* NULL-safe access: an empty text outside and for NULL. */
fr_str fr_my_text(const fr_my_rows *rows, size_t row, size_t column);
bool fr_my_null(const fr_my_rows *rows, size_t row, size_t column);
uint64_t fr_my_uint(const fr_my_rows *rows, size_t row, size_t column, uint64_t fallback);
/* A server variable, *out empty and FR_OK where this server does not know it. */
fr_rc fr_my_variable(fr_my *my, fr_arena *a, const char *name, fr_str *out, fr_err *err);

/* SQL spelling (S02): always quoted. `a``b`; a NUL byte cannot be in a name, and the server
 * refuses the empty name that is made of it. Literals are written as X'hex' with an introducer
 * where they hold anything but plain ASCII, so no sql_mode and no charset changes them. */
fr_str fr_my_ident(fr_arena *a, fr_str name);
fr_str fr_my_qualified(fr_arena *a, fr_str space, fr_str name);
fr_str fr_my_literal(fr_arena *a, fr_str text);

#endif
