#include "connectors/mysql/my_dsn.h"
#include "base/bytes.h"
#include "base/host.h"
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 3306, CONNECT_SECONDS = 10, MAX_CONNECT_SECONDS = 3600 };

static fr_rc dsn_fail(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_CONFIG, "dsn is not a MySQL address: %s", what);
    fr_fail_code(err, "my.dsn");
    return fr_fail_hint(err, "write mysql://user@host:3306/database");
}

/* A NUL-terminated copy without percent-encoding; NULL where that is wrong or hides a NUL. */
static char *decoded(fr_arena *a, const char *at, size_t len)
{
    char *out = fr_arena_raw(a, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] != '%') {
            out[n++] = at[i];
            continue;
        }
        int high = i + 2 < len ? fr_hex_digit(at[i + 1]) : -1;
        int low = i + 2 < len ? fr_hex_digit(at[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return NULL;
        out[n++] = (char)(high << 4 | low);
        i += 2;
    }
    out[n] = '\0';
    return out;
}

static fr_rc read_number(const char *text, long max, unsigned *out, fr_err *err, const char *what)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n < 1 || n > max)
        return dsn_fail(err, what);
    *out = (unsigned)n;
    return FR_OK;
}

static fr_rc read_tls(const char *value, int *tls, fr_err *err)
{
    static const char *const names[] = {"off", "require", "verify"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) == 0) {
            *tls = i;
            return FR_OK;
        }
    }
    return dsn_fail(err, "tls is none of off, require, verify");
}

static fr_rc read_compress(const char *value, bool *out, fr_err *err)
{
    bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0)
        return dsn_fail(err, "compress is neither true nor false");
    *out = on;
    return FR_OK;
}

static fr_rc read_key(fr_my_dsn *d, const char *name, const char *value, int *tls, fr_err *err)
{
    if (strcmp(name, "password") == 0) {
        fr_fail(err, FR_ERR_CONFIG, "dsn holds a password");
        fr_fail_code(err, "my.dsn_password");
        return fr_fail_hint(err, "take it out of the dsn and write password: ${file:PATH}");
    }
    if (strcmp(name, "tls") == 0)
        return read_tls(value, tls, err);
    if (strcmp(name, "compress") == 0)
        return read_compress(value, &d->compress, err);
    if (strcmp(name, "connect_timeout") == 0)
        return read_number(value, MAX_CONNECT_SECONDS, &d->connect_seconds, err,
                           "connect_timeout is no number of seconds");
    const char **text = strcmp(name, "ca") == 0       ? &d->ca
                        : strcmp(name, "cert") == 0   ? &d->cert
                        : strcmp(name, "key") == 0    ? &d->key
                        : strcmp(name, "socket") == 0 ? &d->socket
                                                      : NULL;
    if (text == NULL)
        return dsn_fail(err, "after the ? only tls, ca, cert, key, socket, compress and "
                             "connect_timeout are known");
    *text = value;
    return FR_OK;
}

static fr_rc read_keys(fr_arena *a, const char *at, fr_my_dsn *d, int *tls, fr_err *err)
{
    while (*at != '\0') {
        size_t len = strcspn(at, "&"), name = strcspn(at, "=&");
        if (name >= len)
            return dsn_fail(err, "a key after the ? has no =");
        const char *key = decoded(a, at, name), *value = decoded(a, at + name + 1, len - name - 1);
        if (key == NULL || value == NULL)
            return dsn_fail(err, "percent-encoding");
        FR_TRY(read_key(d, key, value, tls, err));
        at += len + (at[len] == '&');
    }
    return FR_OK;
}

/* "host", "host:port", "[::1]:port" or nothing. */
static fr_rc read_place(fr_arena *a, const char *at, size_t len, fr_my_dsn *d, fr_err *err)
{
    const char *host = at, *rest = NULL;
    size_t host_len = len;
    if (len > 0 && at[0] == '[') {
        const char *close = memchr(at, ']', len);
        if (close == NULL)
            return dsn_fail(err, "[ without ]");
        host = at + 1;
        host_len = (size_t)(close - host);
        rest = close + 1;
    } else {
        const char *colon = memchr(at, ':', len);
        host_len = colon != NULL ? (size_t)(colon - at) : len;
        rest = at + host_len;
    }
    const char *name = decoded(a, host, host_len);
    if (name == NULL)
        return dsn_fail(err, "percent-encoding");
    d->host = name[0] != '\0' ? name : "127.0.0.1";
    size_t left = len - (size_t)(rest - at);
    if (left == 0)
        return FR_OK;
    if (rest[0] != ':')
        return dsn_fail(err, "something between ] and the port");
    const char *port = decoded(a, rest + 1, left - 1);
    return read_number(port != NULL ? port : "", 65535, &d->port, err, "the port is no number");
}

static fr_rc read_user(fr_arena *a, const char *at, size_t len, fr_my_dsn *d, fr_err *err)
{
    if (memchr(at, ':', len) != NULL)
        return read_key(d, "password", "", NULL, err);
    d->user = decoded(a, at, len);
    return d->user != NULL && d->user[0] != '\0' ? FR_OK : dsn_fail(err, "an empty user");
}

static fr_rc read_all(fr_arena *a, const char *at, fr_my_dsn *d, int *tls, fr_err *err)
{
    size_t authority = strcspn(at, "/?");
    const char *sign = memrchr(at, '@', authority);
    if (sign != NULL) {
        FR_TRY(read_user(a, at, (size_t)(sign - at), d, err));
        authority -= (size_t)(sign + 1 - at);
        at = sign + 1;
    }
    FR_TRY(read_place(a, at, authority, d, err));
    at += authority;
    if (*at == '/') {
        size_t len = strcspn(++at, "?");
        const char *name = decoded(a, at, len);
        if (name == NULL || strchr(name, '/') != NULL)
            return dsn_fail(err, "the database's name");
        d->database = name[0] != '\0' ? name : NULL;
        at += len;
    }
    return *at == '?' ? read_keys(a, at + 1, d, tls, err) : FR_OK;
}

fr_rc fr_my_dsn_parse(fr_arena *a, const char *dsn, fr_my_dsn *out, fr_err *err)
{
    if (dsn == NULL || dsn[0] == '\0')
        return dsn_fail(err, "it is empty");
    const char *at = strstr(dsn, "://");
    if (at == NULL || (strncmp(dsn, "mysql://", 8) != 0 && strncmp(dsn, "mariadb://", 10) != 0))
        return dsn_fail(err, "it does not begin with mysql:// or mariadb://");
    fr_my_dsn d = {.port = DEFAULT_PORT, .connect_seconds = CONNECT_SECONDS};
    int tls = -1;
    FR_TRY(read_all(a, at + 3, &d, &tls, err));
    d.local = d.socket != NULL || fr_is_loopback(fr_cstr(d.host));
    if (d.socket != NULL)
        d.host = NULL;
    else if (strcmp(d.host, "localhost") == 0)
        d.host = "127.0.0.1"; /* the library takes that word for its default socket */
    if (tls < 0)
        tls = d.local && d.ca == NULL ? FR_MY_TLS_OFF : FR_MY_TLS_VERIFY;
    d.tls = (fr_my_tls)tls;
    *out = d;
    return FR_OK;
}

fr_rc fr_my_dsn_rules(const fr_my_dsn *d, bool insecure, fr_err *err)
{
    if (insecure || d->local || d->tls == FR_MY_TLS_VERIFY)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "tls=%s does not check who the server is",
            d->tls == FR_MY_TLS_OFF ? "off" : "require");
    fr_fail_code(err, "my.tls");
    return fr_fail_hint(err,
                        "leave tls out (verify), give ca=FILE if your own authority signed the "
                        "certificate, or set insecure: true");
}

fr_str fr_my_dsn_place(fr_arena *a, const char *dsn)
{
    fr_my_dsn d;
    fr_err err;
    if (fr_my_dsn_parse(a, dsn, &d, &err) == FR_FAIL)
        return FR_STR("an unreadable dsn");
    if (d.socket != NULL)
        return fr_arena_printf(a, "%s/%s", d.socket, d.database != NULL ? d.database : "");
    return fr_arena_printf(a, "%s:%u/%s", d.host, d.port, d.database != NULL ? d.database : "");
}

fr_rc fr_my_dsn_reads(const char *dsn, fr_err *err)
{
    fr_my_dsn ignored;
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = fr_my_dsn_parse(a, dsn, &ignored, err);
    fr_arena_free(a);
    return rc;
}
