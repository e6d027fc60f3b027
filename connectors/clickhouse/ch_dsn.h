/* Addresses of ClickHouse servers, by their HTTP interface:
 *   clickhouse://user@host:port/database?tls=verify&ca=FILE      (clickhouses:// : always TLS)
 * with percent-encoding. Keys after the "?": tls (off, require, verify), ca, cert, key (PEM files),
 * connect_timeout (seconds). A password in it is refused, as everywhere. */
#ifndef FR_CLICKHOUSE_CH_DSN_H
#define FR_CLICKHOUSE_CH_DSN_H

#include "base/arena.h"
#include "base/error.h"

typedef enum { FR_CH_TLS_OFF, FR_CH_TLS_REQUIRE, FR_CH_TLS_VERIFY } fr_ch_tls;

typedef struct fr_ch_dsn {
    const char *user;     /* "default" where the text names none */
    const char *host;     /* as in a URL: an IPv6 address has its brackets */
    const char *database; /* "default" where the text names none */
    const char *ca, *cert, *key;
    unsigned port, connect_seconds; /* port: 8443 with TLS, else 8123, where the text names none */
    fr_ch_tls tls;
    bool local; /* loopback: nobody between us and the server */
} fr_ch_dsn;

/* Reads the text into *out, texts into the arena. CONFIG (ch.dsn, ch.dsn_password); the complaint
 * never quotes what may hold a secret. tls when the text does not say: verify with clickhouses://,
 * port 8443, ca, or a host off this machine; else off. */
fr_rc fr_ch_dsn_parse(fr_arena *a, const char *dsn, fr_ch_dsn *out, fr_err *err);
/* fr_option.reads of a dsn. */
fr_rc fr_ch_dsn_reads(const char *dsn, fr_err *err);
/* CONFIG (ch.tls): anything but verified TLS off this machine, unless insecure (S10). */
fr_rc fr_ch_dsn_rules(const fr_ch_dsn *d, bool insecure, fr_err *err);

#endif
