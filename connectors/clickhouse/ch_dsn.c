#include "clickhouse/ch_dsn.h"
#include "base/host.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PLAIN_PORT = 8123, TLS_PORT = 8443, CONNECT_SECONDS = 10, MAX_CONNECT_SECONDS = 3600 };

static fr_rc dsn_fail(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_CONFIG, "dsn is not a ClickHouse address: %s", what);
    fr_fail_code(err, "ch.dsn");
    return fr_fail_hint(err, "write clickhouse://user@host:8443/database");
}

static fr_rc has_password(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "dsn holds a password");
    fr_fail_code(err, "ch.dsn_password");
    return fr_fail_hint(err, "take it out of the dsn and write password: ${file:PATH}");
}

/* A part of the URL, decoded, in the arena; NULL: it is not there, or empty. */
static const char *part(fr_arena *a, CURLU *u, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(u, what, &text, flags) != CURLUE_OK || text == NULL)
        return NULL;
    const char *copy = text[0] != '\0' ? fr_arena_cstr(a, fr_cstr(text)) : NULL;
    curl_free(text);
    return copy;
}

static bool number(const char *text, long max, unsigned *out)
{
    char *end = NULL;
    long n = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || text[0] < '0' || text[0] > '9' || *end != '\0' || n < 1 || n > max)
        return false;
    *out = (unsigned)n;
    return true;
}

static int tls_of(const char *value)
{
    static const char *const names[] = {"off", "require", "verify"};
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    return -1;
}

static fr_rc read_key(fr_ch_dsn *d, const char *name, const char *value, int *tls, fr_err *err)
{
    const char **text = strcmp(name, "ca") == 0     ? &d->ca
                        : strcmp(name, "cert") == 0 ? &d->cert
                        : strcmp(name, "key") == 0  ? &d->key
                                                    : NULL;
    if (strcmp(name, "password") == 0)
        return has_password(err);
    if (strcmp(name, "tls") == 0) {
        *tls = tls_of(value);
        return *tls >= 0 ? FR_OK : dsn_fail(err, "tls is none of off, require, verify");
    }
    if (strcmp(name, "connect_timeout") == 0)
        return number(value, MAX_CONNECT_SECONDS, &d->connect_seconds)
                   ? FR_OK
                   : dsn_fail(err, "connect_timeout is no number of seconds");
    if (text == NULL)
        return dsn_fail(err, "after the ? only tls, ca, cert, key and connect_timeout are known");
    *text = value;
    return FR_OK;
}

static const char *decoded(fr_arena *a, const char *at, size_t len)
{
    int size = 0;
    char *text = curl_easy_unescape(NULL, fr_arena_cstr(a, (fr_str){at, len}), (int)len, &size);
    const char *copy = NULL;
    if (text != NULL && memchr(text, '\0', (size_t)size) == NULL)
        copy = fr_arena_cstr(a, (fr_str){text, (size_t)size});
    curl_free(text);
    return copy;
}

static fr_rc read_keys(fr_arena *a, const char *at, fr_ch_dsn *d, int *tls, fr_err *err)
{
    while (at != NULL && *at != '\0') {
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

static fr_rc read_database(fr_arena *a, const char *path, fr_ch_dsn *d, fr_err *err)
{
    d->database = "default";
    if (path == NULL || path[0] != '/' || path[1] == '\0')
        return FR_OK;
    d->database = decoded(a, path + 1, strlen(path + 1));
    return d->database != NULL && strchr(d->database, '/') == NULL
               ? FR_OK
               : dsn_fail(err, "the database's name");
}

static fr_rc read_parts(fr_arena *a, CURLU *u, fr_ch_dsn *d, fr_err *err)
{
    const char *scheme = part(a, u, CURLUPART_SCHEME, 0);
    const char *port = part(a, u, CURLUPART_PORT, 0),
               *user = part(a, u, CURLUPART_USER, CURLU_URLDECODE);
    int tls = -1;
    bool always = strcasecmp(scheme, "clickhouses") == 0;
    if (!always && strcasecmp(scheme, "clickhouse") != 0)
        return dsn_fail(err, "it does not begin with clickhouse:// or clickhouses://");
    if (part(a, u, CURLUPART_PASSWORD, 0) != NULL)
        return has_password(err);
    d->user = user != NULL ? user : "default";
    d->host = part(a, u, CURLUPART_HOST, 0);
    if (d->host == NULL)
        return dsn_fail(err, "it names no host");
    FR_TRY(read_database(a, part(a, u, CURLUPART_PATH, 0), d, err));
    FR_TRY(read_keys(a, part(a, u, CURLUPART_QUERY, 0), d, &tls, err));
    if (port != NULL && !number(port, 65535, &d->port))
        return dsn_fail(err, "the port is no number");
    if ((d->cert == NULL) != (d->key == NULL))
        return dsn_fail(err, "cert and key go together");
    d->local = fr_is_loopback(fr_cstr(d->host));
    if (tls < 0)
        tls = always || d->port == TLS_PORT || d->ca != NULL || !d->local ? FR_CH_TLS_VERIFY
                                                                          : FR_CH_TLS_OFF;
    if (always && tls == FR_CH_TLS_OFF)
        return dsn_fail(err, "clickhouses:// means TLS, and tls=off means none");
    d->tls = (fr_ch_tls)tls;
    if (port == NULL)
        d->port = tls == FR_CH_TLS_OFF ? PLAIN_PORT : TLS_PORT;
    return FR_OK;
}

fr_rc fr_ch_dsn_parse(fr_arena *a, const char *dsn, fr_ch_dsn *out, fr_err *err)
{
    fr_ch_dsn d = {.connect_seconds = CONNECT_SECONDS};
    if (dsn == NULL || dsn[0] == '\0')
        return dsn_fail(err, "it is empty");
    if (strstr(dsn, "://") == NULL)
        return dsn_fail(err, "it does not begin with clickhouse:// or clickhouses://");
    CURLU *u = curl_url();
    if (u == NULL)
        return fr_fail(err, FR_ERR_BUG, "libcurl gives no handle");
    fr_rc rc = curl_url_set(u, CURLUPART_URL, dsn, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK
                   ? read_parts(a, u, &d, err)
                   : dsn_fail(err, "it is no URL");
    curl_url_cleanup(u);
    if (rc == FR_OK)
        *out = d;
    return rc;
}

fr_rc fr_ch_dsn_reads(const char *dsn, fr_err *err)
{
    fr_ch_dsn ignored;
    fr_arena *a = fr_arena_new(512);
    fr_rc rc = fr_ch_dsn_parse(a, dsn, &ignored, err);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_ch_dsn_rules(const fr_ch_dsn *d, bool insecure, fr_err *err)
{
    if (d->local || insecure || d->tls == FR_CH_TLS_VERIFY)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "dsn: %s would be reached %s", d->host,
            d->tls == FR_CH_TLS_OFF ? "in plain text over the network"
                                    : "by TLS that verifies nobody");
    fr_fail_code(err, "ch.tls");
    return fr_fail_hint(err, "use tls=verify (and ca=FILE for a private authority), or accept that "
                             "anyone on the way can read and change rows and the password with "
                             "insecure: true");
}
