#include "control/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { CONNECT_MS = 3000, TOTAL_MS = 15000, REPLY_MAX = 64 << 20 };

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    fr_buf *b = context;
    size_t len = size * count;
    if (len > REPLY_MAX - b->len)
        return 0;
    fr_buf_put(b, bytes, len);
    return len;
}

/* The path of a unix socket, or NULL for a URL. */
static const char *socket_of(const char *where)
{
    if (strncmp(where, "unix:", 5) == 0)
        return where + 5;
    return where[0] == '/' ? where : NULL;
}

static void set_up(CURL *e, const char *socket, const char *url, const char *token, fr_buf *body,
                   char *detail)
{
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "freshet/" FR_VERSION);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, body);
    if (socket != NULL)
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, socket);
    if (token != NULL && token[0] != '\0') {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, token);
    }
}

/* Nobody there is not the same as somebody who does not answer. */
static fr_rc fail(const char *where, bool nobody, const char *why, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "no freshet answers at %s: %s", where, why);
    if (!nobody) {
        fr_fail_hint(
            err,
            "something is there: it hangs, is no freshet, or does not let you in (http.socket)");
        return fr_fail_code(err, "http.no_answer");
    }
    fr_fail_hint(err, "start it with `freshet run`, or point --url to a running one");
    return fr_fail_code(err, FR_HTTP_NOBODY);
}

fr_str fr_http_escape(fr_arena *a, const char *text)
{
    fr_buf b = {.arena = a};
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++)
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            strchr("-._~/", *p) != NULL)
            fr_buf_put(&b, p, 1);
        else
            fr_buf_printf(&b, "%%%02X", *p);
    return fr_buf_view(&b);
}

fr_rc fr_http_ask(const char *socket_or_url, bool post, const char *path, const char *token,
                  fr_arena *a, int *status_out, fr_str *body_out, fr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_start);
    const char *socket = socket_of(socket_or_url);
    const char *base = socket != NULL ? "http://localhost" : socket_or_url;
    char detail[CURL_ERROR_SIZE] = "";
    fr_buf body = {.arena = a};
    size_t len = strlen(base);
    while (len > 0 && base[len - 1] == '/')
        len--;
    char *url = fr_arena_cstr(a, fr_arena_printf(a, "%.*s%s", (int)len, base, path));
    CURL *e = curl_easy_init();
    if (e == NULL)
        return fr_fail(err, FR_ERR_BUG, "libcurl gives no handle");
    set_up(e, socket, url, token, &body, detail);
    if (post)
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
    CURLcode code = curl_easy_perform(e);
    long status = 0, number = 0;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(e, CURLINFO_OS_ERRNO, &number);
    curl_easy_cleanup(e);
    bool nobody = code == CURLE_COULDNT_CONNECT && number != EACCES && number != EPERM;
    if (code != CURLE_OK)
        return fail(socket_or_url, nobody, detail[0] != '\0' ? detail : curl_easy_strerror(code),
                    err);
    *status_out = (int)status;
    *body_out = fr_buf_view(&body);
    return FR_OK;
}

const char *fr_http_client_library(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
