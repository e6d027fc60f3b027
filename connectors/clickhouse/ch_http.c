#include "clickhouse/ch_http.h"
#include "base/cancel.h"
#include "base/log.h"
#include "clickhouse/ch_dsn.h"
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A server that hangs is given up after TOTAL_MS; its host that vanished after PEER_MS. */
enum { TOTAL_MS = 300000, PEER_MS = 30000, MAX_REPLY = 64 << 20, TAIL = 64 << 10 };

struct fr_ch {
    fr_arena *arena; /* of the dsn's texts */
    fr_ch_dsn dsn;
    char *also;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    char detail[CURL_ERROR_SIZE];
    fr_buf body;
    size_t most; /* of the body */
    bool too_large;
    const fr_ch_call *call;  /* that runs, */
    fr_err *err;             /* its error, */
    bool part_failed;        /* and whether its part made that */
    unsigned calls, sockets; /* sockets: opened by the last call */
    /* What the reply's header says. */
    bool clickhouse;
    int exception;
    char tag[64];
    atomic_bool interrupted;
};

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- the handle ---- */

/* Of a good reply; its end is kept, where an exception would stand. */
static size_t give_part(fr_ch *ch, fr_str bytes)
{
    if (ch->call->part(ch->call->context, bytes, ch->err) == FR_FAIL) {
        ch->part_failed = true;
        return 0;
    }
    fr_buf_put(&ch->body, bytes.ptr, bytes.len);
    if (ch->body.len > 2 * TAIL) {
        memmove(ch->body.ptr, ch->body.ptr + ch->body.len - TAIL, TAIL);
        ch->body.len = TAIL;
    }
    return bytes.len;
}

static bool is_good(const fr_ch *ch)
{
    long status = 0;
    curl_easy_getinfo(ch->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 && ch->clickhouse && ch->exception == 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    fr_ch *ch = context;
    size_t len = size * count;
    if (ch->call->part != NULL && is_good(ch))
        return give_part(ch, (fr_str){bytes, len});
    if (len > ch->most - ch->body.len) {
        ch->too_large = true;
        return 0;
    }
    fr_buf_put(&ch->body, bytes, len);
    return len;
}

static bool is_header(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);
    return len > n && strncasecmp(line, name, n) == 0 && line[n] == ':';
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    fr_ch *ch = context;
    size_t len = size * count;
    char text[128];
    snprintf(text, sizeof(text), "%.*s", (int)len, line);
    text[strcspn(text, "\r\n")] = '\0';
    if (is_header(text, len, "X-ClickHouse-Query-Id") ||
        is_header(text, len, "X-ClickHouse-Server-Display-Name"))
        ch->clickhouse = true;
    if (is_header(text, len, "X-ClickHouse-Exception-Code")) {
        ch->clickhouse = true;
        ch->exception = atoi(strchr(text, ':') + 1);
        if (ch->exception == 0)
            ch->exception = -1;
    }
    if (is_header(text, len, "X-ClickHouse-Exception-Tag"))
        snprintf(ch->tag, sizeof(ch->tag), "%s", text + strlen("X-ClickHouse-Exception-Tag: "));
    return len;
}

static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    ((fr_ch *)context)->sockets++;
    (void)purpose;
    unsigned ms = PEER_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    return CURL_SOCKOPT_OK;
}

static void set_up_tls(fr_ch *ch)
{
    CURL *e = ch->easy;
    bool verify = ch->dsn.tls == FR_CH_TLS_VERIFY;
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* the file of now, not of yesterday */
#endif
    if (ch->dsn.ca != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, ch->dsn.ca);
    if (ch->dsn.cert != NULL) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, ch->dsn.cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, ch->dsn.key);
    }
}

static void set_up(fr_ch *ch)
{
    CURL *e = ch->easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)ch->dsn.connect_seconds * 1000);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 10L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, ch);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, ch);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, ch);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, ch->headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "freshet/" FR_VERSION);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, ch->detail);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    if (ch->dsn.local) /* a proxy of the environment is for the world outside */
        curl_easy_setopt(e, CURLOPT_PROXY, "");
    set_up_tls(ch);
}

static bool header(fr_ch *ch, const char *name, const char *value)
{
    fr_buf line = {0};
    fr_buf_printf(&line, "%s: %s", name, value);
    fr_buf_u8(&line, 0);
    struct curl_slist *more = curl_slist_append(ch->headers, (const char *)line.ptr);
    explicit_bzero(line.ptr, line.len);
    fr_buf_free(&line);
    if (more != NULL)
        ch->headers = more;
    return more != NULL;
}

static bool set_headers(fr_ch *ch, const char *password)
{
    return header(ch, "X-ClickHouse-User", ch->dsn.user) &&
           (password == NULL || password[0] == '\0' || header(ch, "X-ClickHouse-Key", password)) &&
           header(ch, "Content-Type", "application/octet-stream") && header(ch, "Expect", "");
}

/* A line break would begin another header. */
static fr_rc check_texts(const fr_ch *ch, const char *password, fr_err *err)
{
    if (strpbrk(ch->dsn.user, "\r\n") == NULL &&
        (password == NULL || strpbrk(password, "\r\n") == NULL))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "the user's name or the password holds a line break");
    return fr_fail_code(err, "ch.dsn");
}

fr_rc fr_ch_open(const fr_ch_server *server, fr_ch **out, fr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, curl_start);
    fr_ch *ch = fr_malloc(sizeof(*ch));
    ch->arena = fr_arena_new(1024);
    atomic_init(&ch->interrupted, false);
    ch->also = fr_strdup("");
    if (fr_ch_dsn_parse(ch->arena, server->dsn, &ch->dsn, err) == FR_FAIL ||
        fr_ch_dsn_rules(&ch->dsn, server->insecure, err) == FR_FAIL ||
        check_texts(ch, server->password, err) == FR_FAIL) {
        fr_ch_close(ch);
        return FR_FAIL;
    }
    ch->multi = curl_multi_init();
    ch->easy = curl_easy_init();
    if (ch->multi == NULL || ch->easy == NULL || !set_headers(ch, server->password)) {
        fr_ch_close(ch);
        return fr_fail(err, FR_ERR_BUG, "libcurl gives no handle");
    }
    set_up(ch);
    *out = ch;
    return FR_OK;
}

void fr_ch_close(fr_ch *ch)
{
    if (ch == NULL)
        return;
    for (struct curl_slist *h = ch->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_easy_cleanup(ch->easy);
    curl_multi_cleanup(ch->multi);
    curl_slist_free_all(ch->headers);
    free(ch->also);
    fr_buf_free(&ch->body);
    fr_arena_free(ch->arena);
    free(ch);
}

const char *fr_ch_database(const fr_ch *ch)
{
    return ch->dsn.database;
}

void fr_ch_also(fr_ch *ch, const char *settings)
{
    free(ch->also);
    ch->also = fr_strdup(settings);
}

void fr_ch_interrupt(fr_ch *ch)
{
    atomic_store(&ch->interrupted, true);
    curl_multi_wakeup(ch->multi);
}

/* ---- one request ---- */

static void put_escaped(fr_buf *url, const char *name, fr_str value)
{
    static const char hex[] = "0123456789ABCDEF";
    fr_buf_printf(url, "&%s=", name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '_' || c == '.';
        if (plain) {
            fr_buf_u8(url, c);
            continue;
        }
        fr_buf_u8(url, '%');
        fr_buf_u8(url, (uint8_t)hex[c >> 4]);
        fr_buf_u8(url, (uint8_t)hex[c & 15]);
    }
}

/* The value of a parameter is read as a field of TabSeparated. */
static void put_param(fr_buf *url, const char *name, fr_str value)
{
    char full[32];
    fr_buf text = {0};
    snprintf(full, sizeof(full), "param_%s", name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        const char *as = c == '\\'   ? "\\\\"
                         : c == '\t' ? "\\t"
                         : c == '\n' ? "\\n"
                         : c == '\r' ? "\\r"
                         : c == '\0' ? "\\0"
                                     : NULL;
        if (as != NULL)
            fr_buf_text(&text, as);
        else
            fr_buf_u8(&text, (uint8_t)c);
    }
    put_escaped(url, full, fr_buf_view(&text));
    fr_buf_free(&text);
}

static void put_url(const fr_ch *ch, const fr_ch_call *call, fr_buf *url)
{
    fr_buf_printf(url, "%s://%s:%u/?wait_end_of_query=1",
                  ch->dsn.tls != FR_CH_TLS_OFF ? "https" : "http", ch->dsn.host, ch->dsn.port);
    put_escaped(url, "database", fr_cstr(ch->dsn.database));
    for (size_t i = 0; i < FR_CH_PARAMS && call->params[i].name != NULL; i++)
        put_param(url, call->params[i].name, call->params[i].value);
    if (call->body.ptr != NULL) {
        put_escaped(url, "query", call->sql);
        fr_buf_text(url, "&async_insert=0&max_insert_block_size=100000000"
                         "&max_partitions_per_insert_block=0");
    }
    if (call->token.len > 0) {
        put_escaped(url, "insert_deduplication_token", call->token);
        fr_buf_text(url, "&insert_deduplicate=1");
        fr_buf_text(url, ch->also);
    }
    if (call->settings != NULL)
        fr_buf_text(url, call->settings);
    fr_buf_u8(url, 0);
}

static CURLcode perform(fr_ch *ch)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    int running = 1, left;
    curl_multi_add_handle(ch->multi, ch->easy);
    while (running > 0 && !atomic_load(&ch->interrupted) && !fr_cancelled()) {
        if (curl_multi_perform(ch->multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            curl_multi_poll(ch->multi, NULL, 0, FR_CANCEL_TICK_MS, NULL);
    }
    const CURLMsg *m = curl_multi_info_read(ch->multi, &left);
    if (m != NULL && m->msg == CURLMSG_DONE)
        result = m->data.result;
    curl_multi_remove_handle(ch->multi, ch->easy);
    return result;
}

static fr_rc fail_transfer(fr_ch *ch, const fr_ch_call *call, CURLcode code, fr_err *err)
{
    const char *why = ch->detail[0] != '\0' ? ch->detail : curl_easy_strerror(code);
    if (atomic_load(&ch->interrupted) || fr_cancelled())
        return fr_fail(err, FR_ERR_CANCELLED, "%s: shutdown was requested", call->doing);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_CERTPROBLEM) {
        fr_fail(err, FR_ERR_CONFIG, "%s: %s:%u: %s", call->doing, ch->dsn.host, ch->dsn.port, why);
        fr_fail_code(err, "ch.tls");
        return fr_fail_hint(err,
                            "its certificate must be valid today and for the dsn's host; for a "
                            "private authority give its PEM file as ca in the dsn");
    }
    fr_fail(err, FR_ERR_CONNECT, "%s: %s:%u: %s", call->doing, ch->dsn.host, ch->dsn.port,
            ch->too_large ? "the reply is too large" : why);
    fr_redact(err->text);
    return fr_fail_code(err, ch->too_large ? "ch.reply" : "ch.connect");
}

/* ---- what the server says ---- */

static const struct {
    int number;
    fr_err_kind kind;
    const char *code;
} numbers[] = {
    /* of the whole server, as it is now */
    {252, FR_ERR_BUSY, "ch.parts"},
    {202, FR_ERR_BUSY, "ch.busy"},
    {241, FR_ERR_BUSY, "ch.busy"},
    {159, FR_ERR_BUSY, "ch.busy"},
    {160, FR_ERR_BUSY, "ch.busy"},
    {201, FR_ERR_BUSY, "ch.busy"},
    {209, FR_ERR_BUSY, "ch.busy"},
    {210, FR_ERR_BUSY, "ch.busy"},
    {216, FR_ERR_BUSY, "ch.busy"},
    {225, FR_ERR_BUSY, "ch.busy"},
    {236, FR_ERR_BUSY, "ch.busy"},
    {242, FR_ERR_BUSY, "ch.busy"},
    {243, FR_ERR_BUSY, "ch.space"},
    {254, FR_ERR_BUSY, "ch.busy"},
    {285, FR_ERR_BUSY, "ch.busy"},
    {286, FR_ERR_BUSY, "ch.busy"},
    {319, FR_ERR_BUSY, "ch.busy"},
    {341, FR_ERR_BUSY, "ch.busy"},
    {394, FR_ERR_BUSY, "ch.busy"},
    {439, FR_ERR_BUSY, "ch.busy"},
    {473, FR_ERR_BUSY, "ch.busy"},
    {499, FR_ERR_BUSY, "ch.busy"},
    {517, FR_ERR_BUSY, "ch.busy"},
    {700, FR_ERR_BUSY, "ch.busy"},
    {745, FR_ERR_BUSY, "ch.busy"},
    {999, FR_ERR_BUSY, "ch.busy"},
    {1002, FR_ERR_BUSY, "ch.busy"},
    /* who we are */
    {192, FR_ERR_AUTH, "ch.auth"},
    {193, FR_ERR_AUTH, "ch.auth"},
    {194, FR_ERR_AUTH, "ch.auth"},
    {195, FR_ERR_AUTH, "ch.auth"},
    {516, FR_ERR_AUTH, "ch.auth"},
    {497, FR_ERR_AUTH, "sink.grants"},
    {164, FR_ERR_AUTH, "sink.grants"},
    /* what is there */
    {81, FR_ERR_CONFIG, "ch.database"},
};

/* Of an INSERT: the table is not what it was when we looked. */
static const int altered[] = {8, 10, 16, 20, 33, 36, 44, 47, 48, 53, 60, 117, 122, 218, 349, 531};

fr_err_kind fr_ch_error_kind(int number, bool rows, const char **code)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].number != number)
            continue;
        *code = numbers[i].code;
        return numbers[i].kind;
    }
    *code = "sink.check";
    if (rows && number == 469)
        return FR_ERR_DATA;
    *code = "sink.altered";
    for (size_t i = 0; rows && i < sizeof(altered) / sizeof(altered[0]); i++)
        if (altered[i] == number)
            return FR_ERR_BUSY;
    *code = "ch.statement";
    return FR_ERR_CONFIG;
}

static const char *remedy(const char *code)
{
    static const char *const texts[][2] = {
        {"ch.parts", "it passes once parts are merged; write fewer and larger batches: raise "
                     "write.every and write.batch"},
        {"ch.space", "free space on the server's disks"},
        {"ch.auth", "check the dsn's user and the password"},
        {"sink.grants", "give the user the right that the text names"},
        {"ch.database", "create it, or name another one in the dsn or in into"},
        {"sink.altered", "the table is looked at again before the next try"},
        {"sink.check", "change the constraint, or leave such rows out at the source"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i][0], code) == 0)
            return texts[i][1];
    return NULL;
}

/* "(TOO_MANY_PARTS)": the last word in capitals that is alone in parentheses. */
static fr_str name_in(fr_str text)
{
    fr_str found = FR_STR("");
    for (size_t i = 0; i < text.len; i++) {
        size_t n = 1;
        if (text.ptr[i] != '(')
            continue;
        while (i + n < text.len &&
               ((text.ptr[i + n] >= 'A' && text.ptr[i + n] <= 'Z') || text.ptr[i + n] == '_'))
            n++;
        if (n > 3 && i + n < text.len && text.ptr[i + n] == ')')
            found = (fr_str){text.ptr + i + 1, n - 1};
    }
    return found;
}

static fr_rc fail_exception(fr_ch *ch, const fr_ch_call *call, fr_err *err)
{
    const char *code;
    bool rows = call->body.ptr != NULL;
    fr_str text = fr_buf_view(&ch->body);
    fr_buf shown = {0};
    fr_err_kind kind = fr_ch_error_kind(ch->exception, rows, &code);
    if (rows && kind != FR_ERR_AUTH)
        fr_buf_str(&shown, name_in(text));
    else
        fr_buf_shown(&shown, (fr_str){text.ptr, text.len > 500 ? 500 : text.len});
    fr_fail(err, kind, "%s: ClickHouse error %d: %.*s", call->doing, ch->exception,
            FR_ARG(fr_buf_view(&shown)));
    fr_buf_free(&shown);
    fr_redact(err->text);
    err->native = ch->exception;
    if (remedy(code) != NULL)
        fr_fail_hint(err, "%s", remedy(code));
    return fr_fail_code(err, code);
}

static fr_rc fail_status(const fr_ch *ch, const fr_ch_call *call, long status, fr_err *err)
{
    fr_fail(err, status == 401 || status == 403 ? FR_ERR_AUTH : FR_ERR_CONNECT,
            "%s: %s:%u: HTTP %ld%s", call->doing, ch->dsn.host, ch->dsn.port, status,
            ch->clickhouse ? "" : ", and not by ClickHouse");
    err->native = (int)status;
    fr_fail_hint(err, "give the address of ClickHouse's HTTP interface: 8123, or 8443 with TLS");
    return fr_fail_code(err, "ch.reply");
}

/* What went wrong once the header was sent stands at the reply's end, with the header's tag. */
static bool ends_badly(const fr_ch *ch)
{
    size_t n = strlen(ch->tag), tail = ch->body.len > 65536 ? ch->body.len - 65536 : 0;
    return n > 0 && ch->body.len > n &&
           memmem(ch->body.ptr + tail, ch->body.len - tail, ch->tag, n) != NULL;
}

static fr_rc judge(fr_ch *ch, const fr_ch_call *call, fr_err *err)
{
    long status = 0;
    curl_easy_getinfo(ch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (ch->exception != 0)
        return fail_exception(ch, call, err);
    if (status != 200 || !ch->clickhouse)
        return fail_status(ch, call, status, err);
    if (!ends_badly(ch))
        return FR_OK;
    fr_fail(err, FR_ERR_CONNECT, "%s: the reply ends with an exception", call->doing);
    return fr_fail_code(err, "ch.reply");
}

fr_rc fr_ch_ask(fr_ch *ch, const fr_ch_call *call, fr_buf *reply, fr_err *err)
{
    fr_buf url = {0};
    fr_str body = call->body.ptr != NULL ? call->body : call->sql;
    ch->body.len = 0;
    ch->too_large = ch->clickhouse = false;
    ch->most = call->most > 0 ? call->most : MAX_REPLY;
    ch->exception = 0;
    ch->sockets = 0;
    ch->calls++;
    ch->detail[0] = ch->tag[0] = '\0';
    put_url(ch, call, &url);
    curl_easy_setopt(ch->easy, CURLOPT_URL, (const char *)url.ptr);
    curl_easy_setopt(ch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(ch->easy, CURLOPT_POSTFIELDS, body.len > 0 ? body.ptr : "");
    ch->call = call;
    ch->err = err;
    ch->part_failed = false;
    CURLcode code = perform(ch);
    fr_buf_free(&url);
    if (ch->part_failed)
        return FR_FAIL;
    if (code != CURLE_OK)
        return fail_transfer(ch, call, code, err);
    FR_TRY(judge(ch, call, err));
    if (reply != NULL && call->part == NULL)
        fr_buf_put(reply, ch->body.ptr, ch->body.len);
    return FR_OK;
}

void fr_ch_set_bytes(fr_ch_call *call, fr_str hex)
{
    static const char *const names[FR_CH_PARAMS] = {"d0", "d1", "d2", "d3", "d4"};
    for (size_t i = 0; i < FR_CH_PARAMS; i++) {
        size_t len = hex.len < FR_CH_HEX_PIECE ? hex.len : FR_CH_HEX_PIECE;
        call->params[i].name = names[i];
        call->params[i].value = (fr_str){hex.ptr, len};
        hex = (fr_str){hex.ptr + len, hex.len - len};
    }
}

bool fr_ch_too_large(const fr_ch *ch)
{
    return ch->too_large;
}

void fr_ch_patience(fr_ch *ch, int64_t ms)
{
    curl_easy_setopt(ch->easy, CURLOPT_TIMEOUT_MS, (long)ms);
}

bool fr_ch_resent(const fr_ch *ch)
{
    return ch->calls > 1 && ch->sockets > 0;
}

/* ---- spelling ---- */

static fr_str quoted(fr_arena *a, fr_str s, char quote)
{
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, (uint8_t)quote);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == quote || s.ptr[i] == '\\')
            fr_buf_u8(&b, '\\');
        fr_buf_u8(&b, (uint8_t)s.ptr[i]);
    }
    fr_buf_u8(&b, (uint8_t)quote);
    return fr_buf_view(&b);
}

fr_str fr_ch_ident(fr_arena *a, fr_str name)
{
    return quoted(a, name, '`');
}

fr_str fr_ch_literal(fr_arena *a, fr_str text)
{
    return quoted(a, text, '\'');
}

char fr_ch_escaped(char c)
{
    static const char letters[] = "bfnrtav0", are[] = "\b\f\n\r\t\a\v";
    const char *at = c != '\0' ? strchr(letters, c) : NULL;
    return at != NULL ? are[at - letters] : c;
}

void fr_ch_put_length(fr_buf *out, uint64_t n)
{
    while (n > 127) {
        fr_buf_u8(out, (uint8_t)(n & 127) | 128);
        n >>= 7;
    }
    fr_buf_u8(out, (uint8_t)n);
}

void fr_ch_put_string(fr_buf *out, fr_str s)
{
    fr_ch_put_length(out, s.len);
    fr_buf_str(out, s);
}
