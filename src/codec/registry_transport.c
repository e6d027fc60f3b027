#include "codec/registry_transport.h"

#include "base/clock.h"
#include "base/host.h"
#include "base/log.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROUNDS = 3, CONNECT_MS = 3000, TOTAL_MS = 10000, RETRY_AFTER_MAX_S = 5, SLICE_US = 50000 };
enum { LISTEN_US = 1000000 };

struct fr_transport {
    char **urls;        /* without a trailing slash */
    size_t count, good; /* good: the one that answered last */
    char *username, *password, *token, *ca, *cert, *key;
    CURLM *multi;
    CURL *easy; /* one, so that its connection is used again */
    struct curl_slist *headers;
    fr_buf body;
    bool too_large;
    char detail[CURL_ERROR_SIZE];
    atomic_bool interrupted;
};

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static fr_rc refuse(fr_err *err, const char *code, const char *hint, const char *fmt,
                    const char *what)
{
    fr_fail(err, FR_ERR_CONFIG, fmt, what); /* NOLINT: the formats are ours, with one %s each */
    fr_fail_hint(err, "%s", hint);
    return fr_fail_code(err, code);
}

/* The parts decide; the text itself is not shown while it may hold a password. */
static fr_rc check_parts(const char *url, CURLU *parts, bool insecure, fr_err *err)
{
    char *scheme = NULL, *user = NULL, *password = NULL, *host = NULL;
    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(parts, CURLUPART_USER, &user, 0);
    curl_url_get(parts, CURLUPART_PASSWORD, &password, 0);
    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    bool tls = scheme != NULL && strcmp(scheme, "https") == 0;
    bool plain = scheme != NULL && strcmp(scheme, "http") == 0;
    fr_rc rc = FR_OK;
    if (user != NULL || password != NULL)
        rc = refuse(err, "registry.url", "use registry.username and registry.password",
                    "registry.url: credentials do not belong into the URL of %s",
                    host != NULL ? host : "the registry");
    else if (host == NULL || (!tls && !plain))
        rc = refuse(err, "registry.url", "write http://HOST:PORT/PATH, https://... or file:DIR",
                    "registry.url: %s is neither http:// nor https:// nor file:", url);
    else if (plain && !insecure && !fr_is_loopback(fr_cstr(host)))
        rc = refuse(err, "registry.insecure",
                    "use https://, or accept that anyone on the way can read and change schemas "
                    "and passwords with registry.insecure: true",
                    "registry.url: %s would be plain text over the network", url);
    curl_free(scheme);
    curl_free(user);
    curl_free(password);
    curl_free(host);
    return rc;
}

static fr_rc check_url(const char *url, bool insecure, fr_err *err)
{
    CURLU *parts = curl_url();
    fr_rc rc;
    if (parts != NULL && curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == 0) {
        rc = check_parts(url, parts, insecure, err);
    } else {
        fr_fail(err, FR_ERR_CONFIG, "registry.url: this is not a URL");
        fr_fail_hint(err, "write http://HOST:PORT/PATH, https://... or file:DIR");
        rc = fr_fail_code(err, "registry.url");
    }
    curl_url_cleanup(parts);
    return rc;
}

static fr_rc check_settings(const fr_registry_settings *s, fr_err *err)
{
    if (s->url.count == 0)
        return refuse(err, "registry.url", "set registry.url", "%s", "registry.url: none is given");
    if (s->token != NULL && s->username != NULL)
        return refuse(err, "registry.auth", "remove one of registry.token and registry.username",
                      "registry: %s", "both a token and a user name are given");
    if ((s->cert == NULL) != (s->key == NULL))
        return refuse(err, "registry.tls", "set both, or neither", "%s is given without the other",
                      s->cert != NULL ? "registry.cert" : "registry.key");
    for (size_t i = 0; i < s->url.count; i++)
        FR_TRY(check_url(s->url.items[i], s->insecure, err));
    return FR_OK;
}

static char *without_slash(const char *url)
{
    char *copy = fr_strdup(url);
    size_t len = strlen(copy);
    while (len > 0 && copy[len - 1] == '/')
        copy[--len] = '\0';
    return copy;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    fr_transport *t = context;
    size_t len = size * count;
    if (len > FR_REGISTRY_MAX_REPLY - t->body.len) {
        t->too_large = true;
        return 0;
    }
    fr_buf_put(&t->body, bytes, len);
    return len;
}

static void set_up(fr_transport *t)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "freshet/" FR_VERSION);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail);
    /* A name that does not resolve must not hold up the end of the program. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* the file of now, not of yesterday */
#endif
    if (t->ca != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, t->ca);
    if (t->cert != NULL) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, t->cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, t->key);
    }
    if (t->token != NULL) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, t->token);
    } else if (t->username != NULL) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_USERNAME, t->username);
        curl_easy_setopt(e, CURLOPT_PASSWORD, t->password != NULL ? t->password : "");
    }
}

fr_rc fr_transport_open(const fr_registry_settings *s, fr_transport **out, fr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_start);
    *out = NULL;
    FR_TRY(check_settings(s, err));
    fr_transport *t = fr_malloc(sizeof(*t));
    t->count = s->url.count;
    t->urls = (char **)fr_malloc(t->count * sizeof(*t->urls));
    for (size_t i = 0; i < t->count; i++)
        t->urls[i] = without_slash(s->url.items[i]);
    t->username = fr_strdup(s->username);
    t->password = fr_strdup(s->password);
    t->token = fr_strdup(s->token);
    t->ca = fr_strdup(s->ca);
    t->cert = fr_strdup(s->cert);
    t->key = fr_strdup(s->key);
    t->multi = curl_multi_init();
    t->easy = curl_easy_init();
    static const char *const headers[] = {
        "Accept: application/vnd.schemaregistry.v1+json, application/json",
        "Content-Type: application/vnd.schemaregistry.v1+json", "Expect:"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        t->headers = curl_slist_append(t->headers, headers[i]);
    *out = t;
    if (t->multi != NULL && t->easy != NULL && t->headers != NULL) {
        set_up(t);
        return FR_OK;
    }
    fr_transport_close(t);
    *out = NULL;
    return fr_fail(err, FR_ERR_BUG, "libcurl gives no handle");
}

static void wipe(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void fr_transport_close(fr_transport *t)
{
    if (t == NULL)
        return;
    curl_easy_cleanup(t->easy);
    curl_multi_cleanup(t->multi);
    curl_slist_free_all(t->headers);
    for (size_t i = 0; i < t->count; i++)
        free(t->urls[i]);
    free((void *)t->urls);
    free(t->username);
    wipe(t->password);
    wipe(t->token);
    free(t->ca);
    free(t->cert);
    free(t->key);
    fr_buf_free(&t->body);
    free(t);
}

const char *fr_transport_url(const fr_transport *t)
{
    return t->urls[t->good];
}

void fr_transport_interrupt(fr_transport *t)
{
    atomic_store(&t->interrupted, true);
    curl_multi_wakeup(t->multi);
}

static fr_rc fail_cancelled(fr_err *err)
{
    return fr_fail(err, FR_ERR_CANCELLED, "schema registry: shutdown was requested");
}

/* Runs the prepared transfer, and leaves it added; an interrupt wakes the poll and ends it. */
static CURLcode run(fr_transport *t)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    int running = 1;
    curl_multi_add_handle(t->multi, t->easy);
    while (running > 0 && !atomic_load(&t->interrupted)) {
        if (curl_multi_perform(t->multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            curl_multi_poll(t->multi, NULL, 0, 1000, NULL);
    }
    int left;
    const CURLMsg *m = curl_multi_info_read(t->multi, &left);
    if (m != NULL && m->msg == CURLMSG_DONE)
        result = m->data.result;
    return result;
}

/* The other side's word on our certificate, or on there being none. With TLS 1.3 it comes after
 * the handshake, as an error of reading; up to 1.2 it may be no more than "handshake failure". */
static bool is_alert(const char *why)
{
    return strstr(why, "alert") != NULL &&
           (strstr(why, "certificate") != NULL || strstr(why, "unknown ca") != NULL ||
            strstr(why, "handshake failure") != NULL);
}

/* libcurl keeps the first error of a transfer; the alert may be a later one. */
static int on_trace(CURL *easy, curl_infotype type, char *text, size_t len, void *context)
{
    (void)easy;
    fr_transport *t = context;
    char line[CURL_ERROR_SIZE];
    snprintf(line, sizeof(line), "%.*s", (int)len, text);
    line[strcspn(line, "\n")] = '\0';
    if (type == CURLINFO_TEXT && is_alert(line))
        memcpy(t->detail, line, sizeof(line));
    return 0;
}

/* With TLS 1.3 we write our request before the other side has looked at our certificate. It then
 * closes, our words meet a closed door, and the error of that hides its alert. So: once more, and
 * this time only listen. t->detail becomes the alert, if there is one. */
static void hear_alert(fr_transport *t)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(e, CURLOPT_DEBUGDATA, t);
    curl_easy_setopt(e, CURLOPT_DEBUGFUNCTION, on_trace);
    curl_easy_setopt(e, CURLOPT_VERBOSE, 1L);
    CURLcode code = run(t);
    struct curl_waitfd wait = {.fd = CURL_SOCKET_BAD, .events = CURL_WAIT_POLLIN};
    curl_easy_getinfo(e, CURLINFO_ACTIVESOCKET, &wait.fd);
    char byte;
    size_t n;
    int64_t until = fr_now_us() + LISTEN_US;
    if (code == CURLE_OK)
        code = curl_easy_recv(e, &byte, 1, &n);
    while (code == CURLE_AGAIN && fr_now_us() < until && !atomic_load(&t->interrupted)) {
        curl_multi_poll(t->multi, &wait, 1, SLICE_US / 1000, NULL);
        code = curl_easy_recv(e, &byte, 1, &n);
    }
    curl_multi_remove_handle(t->multi, e);
    curl_easy_setopt(e, CURLOPT_VERBOSE, 0L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 0L);
}

static CURLcode transfer(fr_transport *t)
{
    CURLcode result = run(t);
    curl_multi_remove_handle(t->multi, t->easy);
    return result;
}

static void prepare(fr_transport *t, const char *method, const char *url, fr_str body)
{
    CURL *e = t->easy;
    t->body.len = 0;
    t->too_large = false;
    t->detail[0] = '\0';
    curl_easy_setopt(e, CURLOPT_URL, url);
    if (body.len > 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.ptr);
    } else {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
    /* A proxy of the environment is for the world outside. */
    CURLU *parts = curl_url();
    char *host = NULL;
    curl_url_set(parts, CURLUPART_URL, url, 0);
    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    curl_easy_setopt(e, CURLOPT_PROXY, host != NULL && fr_is_loopback(fr_cstr(host)) ? "" : NULL);
    curl_free(host);
    curl_url_cleanup(parts);
}

/* No passing trouble: somebody has to correct a file (ADR 25). */
static fr_rc fail_tls(const char *url, const char *why, const char *hint, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "schema registry %s: %s", url, why);
    fr_fail_hint(err, "%s", hint);
    return fr_fail_code(err, "registry.tls");
}

/* What libcurl could not do. */
static fr_rc fail_transfer(fr_transport *t, const char *url, CURLcode code, fr_err *err)
{
    bool cut_off =
        code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
    if (cut_off && strncasecmp(url, "https:", 6) == 0 && !is_alert(t->detail))
        hear_alert(t);
    const char *why = t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return fail_tls(
            url, why,
            "its certificate must be valid today and for the host name of registry.url; "
            "for a private authority set registry.ca to its PEM file",
            err);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return fail_tls(url, why, "registry.ca must be a PEM file with certificates", err);
    if (code == CURLE_SSL_CERTPROBLEM)
        return fail_tls(url, why,
                        "registry.cert must be a PEM file with our certificate, and registry.key "
                        "the private key that belongs to it",
                        err);
    if (is_alert(why))
        return fail_tls(url, why,
                        t->cert == NULL ? "it may ask for a client certificate: set registry.cert "
                                          "and registry.key"
                                        : "it does not accept our certificate: registry.cert must "
                                          "be signed by an authority that it trusts, and be valid",
                        err);
    if (t->too_large)
        fr_fail(err, FR_ERR_CONNECT, "schema registry %s: the reply is larger than %d bytes", url,
                FR_REGISTRY_MAX_REPLY);
    else
        fr_fail(err, FR_ERR_CONNECT, "schema registry %s: %s", url, why);
    return fr_fail_code(err, t->too_large ? "registry.reply" : "registry.connect");
}

static fr_rc fail_auth(const fr_transport *t, const char *url, long status, fr_err *err)
{
    fr_fail(err, FR_ERR_AUTH, "schema registry %s: HTTP %ld: %s", url, status,
            status == 401 ? "it does not know us" : "it does not let us do this");
    err->native = (int)status;
    if (t->token == NULL && t->username == NULL)
        fr_fail_hint(err, "set registry.username and registry.password, or registry.token");
    else
        fr_fail_hint(err, "check %s, and that it may read and register schemas",
                     t->token != NULL ? "registry.token"
                                      : "registry.username and registry.password");
    return fr_fail_code(err, "registry.auth");
}

static fr_rc fail_redirect(const char *url, long status, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "schema registry %s: HTTP %ld: it sends us elsewhere", url, status);
    err->native = (int)status;
    fr_fail_hint(err, "redirects are not followed: set registry.url to the final address");
    return fr_fail_code(err, "registry.redirect");
}

/* One request to one URL. FR_OK: *out is filled in. FR_FAIL: *again says whether another URL
 * or another try may help. */
static fr_rc try_url(fr_transport *t, const char *method, size_t index, const char *path,
                     fr_str body, fr_reply *out, bool *again, fr_err *err)
{
    const char *url = t->urls[index];
    fr_buf full = {0};
    fr_buf_printf(&full, "%s%s", url, path);
    fr_buf_u8(&full, 0);
    prepare(t, method, (const char *)full.ptr, body);
    fr_buf_free(&full);
    CURLcode code = transfer(t);
    *again = false;
    if (atomic_load(&t->interrupted))
        return fail_cancelled(err);
    if (code != CURLE_OK) {
        *again = !t->too_large;
        return fail_transfer(t, url, code, err);
    }
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 401 || status == 403)
        return fail_auth(t, url, status, err);
    if (status >= 300 && status <= 399)
        return fail_redirect(url, status, err);
    *out = (fr_reply){(int)status, fr_buf_view(&t->body), url, path};
    if (status != 429 && status < 500) {
        t->good = index;
        return FR_OK;
    }
    *again = true;
    fr_fail(err, status == 429 ? FR_ERR_BUSY : FR_ERR_CONNECT, "schema registry %s%s: HTTP %ld",
            url, path, status);
    err->native = (int)status;
    return fr_fail_code(err, "registry.connect");
}

/* Waits, but not past an interrupt. */
static void pause_for(fr_transport *t, int64_t us)
{
    int64_t until = fr_now_us() + us;
    while (!atomic_load(&t->interrupted) && fr_now_us() < until)
        fr_sleep_us(SLICE_US);
}

static int64_t wait_of(fr_transport *t, fr_backoff *backoff)
{
    int64_t us = fr_backoff_next(backoff);
    curl_off_t after = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
    if (after > RETRY_AFTER_MAX_S)
        after = RETRY_AFTER_MAX_S;
    return after * 1000000 > us ? after * 1000000 : us;
}

/* Every URL once. FR_END: another try may help. */
static fr_rc try_all(fr_transport *t, const char *method, const char *path, fr_str body,
                     fr_reply *out, fr_err *err)
{
    size_t first = t->good, refused = 0;
    for (size_t i = 0; i < t->count; i++) {
        bool again = false;
        if (atomic_load(&t->interrupted))
            return fail_cancelled(err);
        if (try_url(t, method, (first + i) % t->count, path, body, out, &again, err) == FR_OK)
            return FR_OK;
        fr_redact(err->text);
        if (!again)
            return FR_FAIL;
        refused += strcmp(err->code, "registry.tls") == 0;
    }
    return refused == t->count ? FR_FAIL : FR_END;
}

fr_rc fr_transport_call(fr_transport *t, const char *method, const char *path, fr_str body,
                        fr_reply *out, fr_err *err)
{
    fr_backoff backoff = {.first_us = 200000, .max_us = 2000000};
    for (int round = 0; round < ROUNDS; round++) {
        if (round > 0)
            pause_for(t, wait_of(t, &backoff));
        fr_rc rc = try_all(t, method, path, body, out, err);
        if (rc != FR_END)
            return rc;
    }
    err->kind = FR_ERR_CONNECT;
    return fr_fail_in(err, "no answer after %d tries%s", ROUNDS,
                      t->count > 1 ? " of every URL" : "");
}
