/* Addresses of MySQL and MariaDB servers:
 *   mysql://user@host:port/database?tls=verify&ca=FILE      (mariadb:// is the same)
 * with percent-encoding everywhere. Keys after the "?": tls (off, require, verify), ca, cert,
 * key (PEM files), socket (path of a Unix socket, instead of host), compress (true, false),
 * connect_timeout (seconds). A password in it is refused, as everywhere. */
#ifndef FR_MYSQL_MY_DSN_H
#define FR_MYSQL_MY_DSN_H

#include "base/arena.h"
#include "base/error.h"

typedef enum { FR_MY_TLS_OFF, FR_MY_TLS_REQUIRE, FR_MY_TLS_VERIFY } fr_my_tls;

typedef struct fr_my_dsn {
    const char *user;     /* NULL: the process's own */
    const char *host;     /* "127.0.0.1" for localhost; NULL with a socket */
    const char *socket;   /* NULL: TCP */
    const char *database; /* NULL: none */
    const char *ca, *cert, *key;
    unsigned port, connect_seconds;
    fr_my_tls tls;
    bool compress;
    bool local; /* loopback or a Unix socket: nobody between us and the server */
} fr_my_dsn;

/* Reads the text into *out, texts into the arena. CONFIG error my.dsn or my.dsn_password; the
 * complaint never quotes what may hold a secret. tls when the text does not say: off where
 * local and without ca, else verify. */
fr_rc fr_my_dsn_parse(fr_arena *a, const char *dsn, fr_my_dsn *out, fr_err *err);
/* Whether it can be read, alone (connect/option.h). */
fr_rc fr_my_dsn_reads(const char *dsn, fr_err *err);
/* The rule of decision 5 and S05: verified TLS off this machine, unless insecure. */
fr_rc fr_my_dsn_rules(const fr_my_dsn *d, bool insecure, fr_err *err);
/* "host:port/database" for messages, without user; "an unreadable dsn" where it is one. */
fr_str fr_my_dsn_place(fr_arena *a, const char *dsn);

#endif
