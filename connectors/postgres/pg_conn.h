/* Connections to PostgreSQL: one way to connect, to ask, to quote and to fail; for the
 * source and the sink alike. A PGconn is used by one thread at a time. */
#ifndef FR_POSTGRES_PG_CONN_H
#define FR_POSTGRES_PG_CONN_H

#include "base/arena.h"
#include "base/error.h"
#include <libpq-fe.h>

#include <stdbool.h>
#include <stdint.h>

/* Session settings that make the server's spelling of values the same whatever the
 * database's or the role's own defaults are. Part of every connection's `options`. */
#define FR_PG_SESSION                                                                              \
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 "          \
    "-c bytea_output=hex -c xmloption=content "                                                    \
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"

#define FR_PG_MONETARY "-c lc_monetary=C "

typedef struct fr_pg_target {
    const char *dsn;              /* URL or key=value text, without a password */
    const char *password;         /* NULL: none, or what ~/.pgpass says */
    bool insecure;                /* allow anything but verify-full off loopback */
    const char *application_name; /* NULL: "freshet" */
    const char *settings;         /* more "-c name=value", or NULL */
    bool replication;             /* a walsender of this database (replication=database) */
    bool own_monetary;            /* without FR_PG_MONETARY: to ask for fr_pg_money_digits */
} fr_pg_target;

/* Connects, waits at most connect_timeout (the dsn's, else 10 s). Defaults that the dsn may
 * override: keepalives after 10 s, every 5 s, 3 times; tcp_user_timeout 30 s. Forced: UTF8,
 * FR_PG_SESSION, FR_PG_MONETARY, and TLS with verify-full unless every host is this machine
 * (loopback or a Unix socket) or insecure is set. CONFIG (codes pg.dsn, pg.dsn_password, pg.tls),
 * AUTH, CONNECT or BUSY; the text never holds the password. */
fr_rc fr_pg_connect(const fr_pg_target *target, PGconn **out, fr_err *err);
void fr_pg_close(PGconn *conn); /* NULL is fine */
/* How many digits money has behind its point where nobody said otherwise: a number of that type
 * is a count of the smallest coin, and lc_monetary says how many of those make one. On a
 * connection with own_monetary. */
fr_rc fr_pg_money_digits(PGconn *conn, int *out, fr_err *err);
/* Whether libpq can read it (connect/option.h). */
fr_rc fr_pg_dsn_reads(const char *dsn, fr_err *err);
/* What fr_pg_connect checks before it connects: no password in the dsn, TLS rules. */
fr_rc fr_pg_dsn_check(const fr_pg_target *target, fr_err *err);
/* "host:port/db" for messages; without user. */
fr_str fr_pg_dsn_place(fr_arena *a, const char *dsn);
/* The user that it names; empty: none, or it cannot be read. */
fr_str fr_pg_dsn_user(fr_arena *a, const char *dsn);

/* Fills in err from a result (or, res NULL, from the connection): kind by SQLSTATE,
 * err->sqlstate, the server's primary message and its detail where that holds no row
 * values, and doing in front ("read the catalog"). Returns FR_FAIL. Does not clear res. */
fr_rc fr_pg_fail(PGconn *conn, const PGresult *res, const char *doing, fr_err *err);
/* The kind of error an SQLSTATE is; NULL or "": CONNECT. */
fr_err_kind fr_pg_kind(const char *sqlstate);

/* Until a result can be taken without waiting, or the connection is lost (which taking it then
 * says): FR_OK. CANCELLED once base/cancel.h says so; the connection is then in the middle of
 * its command, and only ever closed. */
fr_rc fr_pg_await(PGconn *conn, fr_err *err);
/* PQexec and PQexecParams for those who must be reachable meanwhile: *out is NULL or a result to
 * be judged and cleared, also of a failed command. CANCELLED as above. */
fr_rc fr_pg_ask(PGconn *conn, const char *sql, const char *const *params, const int *lengths,
                const int *formats, int count, bool binary, PGresult **out, fr_err *err);

/* One statement, parameters and results as text. A result with rows or a finished command
 * is FR_OK and the caller's to PQclear; anything else is fr_pg_fail. params may hold NULLs
 * (SQL NULL); params NULL: none, and the simple protocol, which is all that a connection with
 * replication takes. */
fr_rc fr_pg_query(PGconn *conn, const char *doing, const char *sql, const char *const *params,
                  int count, PGresult **out, fr_err *err);
/* The same when the result does not matter. Several statements are allowed (no params). */
fr_rc fr_pg_exec(PGconn *conn, const char *doing, const char *sql, fr_err *err);
/* For commands that begin a COPY: *out is the first result, whatever it says; the caller's to
 * PQclear. */
fr_rc fr_pg_start(PGconn *conn, const char *doing, const char *sql, PGresult **out, fr_err *err);
/* The next result of what fr_pg_start began; NULL: there is none. */
fr_rc fr_pg_next(PGconn *conn, PGresult **out, fr_err *err);
/* Cells of a text result: empty text and false where the cell is NULL. Borrowed from res. */
fr_str fr_pg_text(const PGresult *res, int row, int column);
int64_t fr_pg_int(const PGresult *res, int row, int column, int64_t fallback);
bool fr_pg_bool(const PGresult *res, int row, int column);

/* SQL spelling (S02): always quoted, quotes doubled. NUL bytes and invalid UTF-8 cannot be
 * quoted: *bad is set and the result is an empty quoted text. bad may be NULL where the
 * text came from the server's own catalog. */
fr_str fr_pg_ident(fr_arena *a, fr_str name, bool *bad);
fr_str fr_pg_literal(fr_arena *a, fr_str text, bool *bad);
/* "space"."name" */
fr_str fr_pg_qualified(fr_arena *a, fr_str space, fr_str name);

/* "16/B374D848" and back. fr_pg_lsn_text needs at least 20 bytes. */
bool fr_pg_lsn_parse(fr_str text, uint64_t *out);
void fr_pg_lsn_text(char *out, uint64_t lsn);

#endif
