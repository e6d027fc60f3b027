#include "base/clock.h"
#include "codec/registry.h"
#include "control/http.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/test.h"

#include <stdlib.h>

#define V1 "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}"
#define V1_JSON                                                                                    \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Row\\\",\\\"fields\\\":[{\\\"name\\\":"         \
    "\\\"id\\\","                                                                                  \
    "\\\"type\\\":\\\"long\\\"}]}"
#define V2                                                                                         \
    "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},"       \
    "{\"name\":\"n\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define BAD                                                                                        \
    "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},"     \
    "{\"name\":\"req\",\"type\":\"int\"}]}"
#define ABSENT "{\"error_code\":40401,\"message\":\"Subject not found\"}"
#define NO_SCHEMA "{\"error_code\":40403,\"message\":\"Schema not found\"}"
#define LEVEL "{\"compatibilityLevel\":\"BACKWARD\"}"
#define SCHEMA_REPLY "{\"schema\":\"" V1_JSON "\"}"

typedef struct fixture {
    fake_http *server;
    char url[64];
    const char *urls[2];
    fr_registry_settings settings;
    fr_registry *r;
    fr_arena *a;
    fr_err err;
    int32_t id;
} fixture;

static void start(fixture *f, const fake_rule *rules)
{
    memset(f, 0, sizeof(*f));
    f->server = fake_start(rules);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d/base/", f->server->port);
    f->urls[0] = f->url;
    f->settings.url = (fr_texts){f->urls, 1};
    f->a = fr_arena_new(0);
    assert_int_equal(fr_registry_open(&f->settings, &f->r, &f->err), FR_OK);
}

static void stop(fixture *f)
{
    fr_registry_close(f->r);
    fake_end(f->server);
    fr_arena_free(f->a);
}

static fr_rc reg(fixture *f, const char *schema, int compat, bool create)
{
    memset(&f->err, 0, sizeof(f->err));
    return fr_registry_register(f->r, "a-value", fr_cstr(schema), compat, create, &f->id, &f->err);
}

static void assert_err(const fixture *f, fr_err_kind kind, const char *code, const char *text)
{
    if (f->err.kind != kind || strcmp(f->err.code, code) != 0 || !strstr(f->err.text, text))
        fail_msg("%s %s: %s", fr_err_kind_name(f->err.kind), f->err.code, f->err.text);
}

/* --- registering ------------------------------------------------------------------------ */

static void a_known_schema_is_only_looked_up(void **state)
{
    (void)state;
    static const fake_rule rules[] = {{.prefix = "POST /base/subjects/a-value HTTP",
                                       200,
                                       "{\"id\":7,\"subject\":\"a-value\",\"version\":1}",
                                       .want = "{\"schema\":\"" V1_JSON "\"}"},
                                      {.prefix = "GET /base/schemas/ids/7", 200, SCHEMA_REPLY},
                                      {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_FULL, false), FR_OK);
    assert_int_equal(f.id, 7);
    assert_string_equal(f.server->trail, "POST /base/subjects/a-value\nGET /base/schemas/ids/7\n");
    /* and from then on it is known, whatever happens to the server (H01) */
    assert_int_equal(reg(&f, V1, FR_COMPAT_FULL, false), FR_OK);
    fr_str text;
    assert_int_equal(fr_registry_schema(f.r, 7, &text, &f.err), FR_OK);
    assert_true(fr_str_is(text, V1));
    assert_int_equal(atomic_load(&f.server->requests), 2);
    stop(&f);
}

static void a_new_subject_gets_its_level_first(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "GET /base/config/a-value", 200, LEVEL, .times = 1},
        {.prefix = "GET /base/config/a-value", 200, "{\"compatibilityLevel\":\"FULL\"}"},
        {.prefix = "PUT /base/config/a-value",
         200,
         "{\"compatibility\":\"FULL\"}",
         .want = "{\"compatibility\":\"FULL\"}"},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":1}"},
        {.prefix = "GET /base/schemas/ids/1", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_FULL, false), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.subject_missing", "a-value");
    assert_non_null(strstr(f.err.hint, "freshet apply"));
    f.server->trail[0] = '\0';
    assert_int_equal(reg(&f, V1, FR_COMPAT_FULL, true), FR_OK);
    assert_string_equal(f.server->trail, "POST /base/subjects/a-value\n"
                                         "GET /base/subjects/a-value/versions\n"
                                         "GET /base/config/a-value?defaultToGlobal=true\n"
                                         "PUT /base/config/a-value\n"
                                         "GET /base/config/a-value?defaultToGlobal=true\n"
                                         "POST /base/subjects/a-value/versions\n"
                                         "GET /base/schemas/ids/1\n");
    stop(&f);
}

static void the_level_is_left_alone_where_it_is_right(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, NO_SCHEMA},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "GET /base/config/a-value", 404, "{\"error_code\":40408,\"message\":\"none\"}"},
        {.prefix = "GET /base/config HTTP", 200, LEVEL},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":1}"},
        {.prefix = "GET /base/schemas/ids/1", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_null(strstr(f.server->trail, "PUT"));
    stop(&f);
}

/* Apicurio keeps no settings of a subject without versions. */
static void the_level_comes_after_the_version_where_it_must(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "GET /base/config/a-value",
         200,
         "{\"compatibilityLevel\":\"NONE\"}",
         .times = 2},
        {.prefix = "GET /base/config/a-value", 200, LEVEL},
        {.prefix = "PUT /base/config/a-value", 404, ABSENT, .times = 1},
        {.prefix = "PUT /base/config/a-value", 200, "{\"compatibility\":\"BACKWARD\"}"},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":1}"},
        {.prefix = "GET /base/schemas/ids/1", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_non_null(strstr(f.server->trail, "POST /base/subjects/a-value/versions\n"
                                            "GET /base/config/a-value?defaultToGlobal=true\n"
                                            "PUT /base/config/a-value\n"));
    stop(&f);
}

static void a_level_that_is_not_kept_is_told(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "GET /base/config/a-value", 200, LEVEL},
        {.prefix = "PUT /base/config/a-value", 200, "{\"compatibility\":\"FULL\"}"},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_FULL, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.compat", "told compatibility FULL and keeps BACKWARD");
    stop(&f);
}

#define INCOMPATIBLE(messages)                                                                     \
    {.prefix = "POST /base/subjects/a-value HTTP", 404, NO_SCHEMA},                                \
        {.prefix = "GET /base/subjects/a-value/versions HTTP", 200, "[1]"},                        \
        {.prefix = "POST /base/subjects/a-value/versions",                                         \
         409,                                                                                      \
         "{\"error_code\":409,\"message\":\"said at the refusal\"}"},                              \
        {.prefix = "POST /base/compatibility/subjects/a-value/versions/latest?verbose=true",       \
         200,                                                                                      \
         messages},                                                                                \
        {.prefix = "GET /base/subjects/a-value/versions/latest",                                   \
         200,                                                                                      \
         "{\"subject\":\"a-value\",\"version\":6,\"id\":188,\"schema\":\"" V1_JSON "\"}"},         \
        {0}

static void a_refusal_says_what_differs_and_why(void **state)
{
    (void)state;
    static const fake_rule confluent[] = {
        INCOMPATIBLE("{\"is_compatible\":false,\"messages\":[\"{errorType:'TYPE_MISMATCH'}\","
                     "\"{oldSchemaVersion: 6}\",\"{oldSchema: 'x'}\"]}")};
    static const fake_rule apicurio[] = {
        INCOMPATIBLE("{\"is_compatible\":false,\"reason\":\"[req at /fields/1]\"}")};
    static const fake_rule silent[] = {INCOMPATIBLE("{\"is_compatible\":false,\"reason\":null}")};
    static const struct {
        const fake_rule *rules;
        const char *reason;
    } cases[] = {{confluent, "reason: {errorType:'TYPE_MISMATCH'};"},
                 {apicurio, "reason: [req at /fields/1];"},
                 {silent, "reason: said at the refusal;"}};
    for (size_t i = 0; i < 3; i++) {
        fixture f;
        start(&f, cases[i].rules);
        assert_int_equal(reg(&f, BAD, FR_COMPAT_BACKWARD, true), FR_FAIL);
        assert_err(&f, FR_ERR_SCHEMA, "registry.incompatible",
                   "~ id long -> string; + req int (no default)");
        assert_err(&f, FR_ERR_SCHEMA, "registry.incompatible", cases[i].reason);
        assert_non_null(strstr(f.err.text, "registered v6: {\"type\""));
        stop(&f);
    }
}

static void an_invalid_schema_and_a_closed_registry_are_told_apart(void **state)
{
    (void)state;
    static const fake_rule invalid[] = {{.prefix = "POST /base/subjects/a-value HTTP",
                                         422,
                                         "{\"error_code\":42201,\"message\":\"no Avro\"}"},
                                        {0}};
    static const fake_rule closed[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, NO_SCHEMA},
        {.prefix = "GET /base/subjects/a-value/versions HTTP", 200, "[1]"},
        {.prefix = "POST /base/subjects/a-value/versions",
         422,
         "{\"error_code\":42205,\"message\":\"read-only mode\"}"},
        {0}};
    fixture f;
    start(&f, invalid);
    assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.invalid_schema", "no Avro");
    stop(&f);
    start(&f, closed);
    assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.mode", "read-only mode");
    stop(&f);
}

/* H04 */
static void a_wrong_id_is_found_out(void **state)
{
    (void)state;
    static const fake_rule other[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 200, "{\"schema\":\"\\\"string\\\"\"}"},
        {0}};
    static const fake_rule none[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 404, NO_SCHEMA},
        {0}};
    static const fake_rule docs[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7",
         200,
         "{\"schema\":\"{\\\"doc\\\":\\\"other\\\",\\\"type\\\":\\\"record\\\",\\\"name\\\":"
         "\\\"Row\\\","
         "\\\"fields\\\":[{\\\"name\\\":\\\"id\\\",\\\"type\\\":{\\\"type\\\":\\\"long\\\"}}]}\"}"},
        {0}};
    fixture f;
    start(&f, other);
    assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.wrong_id", "another: \"string\"");
    stop(&f);
    start(&f, none);
    assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.wrong_id", "nothing");
    stop(&f);
    start(&f, docs);
    assert_int_equal(reg(&f, V1, -1, true), FR_OK);
    stop(&f);
}

/* --- failures of the other side --------------------------------------------------------- */

static void every_bad_reply_has_its_error(void **state)
{
    (void)state;
    static const struct {
        fake_rule rule;
        fr_err_kind kind;
        const char *code, *text;
    } cases[] = {
        {{.prefix = "POST", 401, "{}"}, FR_ERR_AUTH, "registry.auth", "HTTP 401"},
        {{.prefix = "POST", 403, "no"}, FR_ERR_AUTH, "registry.auth", "HTTP 403"},
        {{.prefix = "POST", 302, "", .head = "Location: http://169.254.1.1/\r\n"},
         FR_ERR_CONFIG,
         "registry.redirect",
         "HTTP 302"},
        {{.prefix = "POST", 404, "<html>not here</html>"},
         FR_ERR_CONNECT,
         "registry.reply",
         "HTTP 404"},
        {{.prefix = "POST", 404, "{\"error_code\":0}"},
         FR_ERR_CONNECT,
         "registry.reply",
         "HTTP 404"},
        {{.prefix = "POST", 200, "<html>log in</html>"},
         FR_ERR_CONNECT,
         "registry.reply",
         "no JSON"},
        {{.prefix = "POST", 200, "{\"id\":"}, FR_ERR_CONNECT, "registry.reply", "no JSON"},
        {{.prefix = "POST", 200, ""}, FR_ERR_CONNECT, "registry.reply", "no JSON"},
        {{.prefix = "POST", 200, "[]"}, FR_ERR_CONNECT, "registry.reply", "another shape"},
        {{.prefix = "POST", 200, "{\"id\":\"7\"}"}, FR_ERR_CONNECT, "registry.reply", "`id`"},
        {{.prefix = "POST", 200, "{\"id\":4294967296}"}, FR_ERR_CONNECT, "registry.reply", "`id`"},
        {{.prefix = "POST", 400, "Not able to deserialize"},
         FR_ERR_CONNECT,
         "registry.reply",
         "HTTP 400"},
        {{.prefix = "POST", 200, "{}", .pad = 1 << 20},
         FR_ERR_CONNECT,
         "registry.reply",
         "larger than"},
        {{.prefix = "POST", 200, "{\"id\":7}", .lie = 10},
         FR_ERR_CONNECT,
         "registry.connect",
         "3 tries"},
        {{.prefix = "POST", 503, "{}"}, FR_ERR_CONNECT, "registry.connect", "HTTP 503"},
        {{.prefix = "POST", 429, "{}"}, FR_ERR_CONNECT, "registry.connect", "HTTP 429"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_rule rules[2] = {cases[i].rule, {0}};
        fixture f;
        start(&f, rules);
        assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
        assert_err(&f, cases[i].kind, cases[i].code, cases[i].text);
        assert_err(&f, cases[i].kind, cases[i].code, "a-value");
        assert_non_null(strstr(f.err.text, "http://127.0.0.1:"));
        stop(&f);
    }
}

static void a_passing_failure_is_tried_again(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value", 500, "oops", .times = 1},
        {.prefix = "POST /base/subjects/a-value", 429, "{}", .times = 1},
        {.prefix = "POST /base/subjects/a-value", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, -1, true), FR_OK);
    assert_int_equal(atomic_load(&f.server->requests), 4);
    stop(&f);
}

static void another_url_takes_over_and_keeps_the_work(void **state)
{
    (void)state;
    static const fake_rule rules[] = {{.prefix = "POST /subjects/", 404, NO_SCHEMA}, {0}};
    static const fake_rule down[] = {{.prefix = "POST", 503, "{}"}, {0}};
    fixture f;
    start(&f, down);
    fake_http *second = fake_start(rules);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", second->port);
    f.urls[1] = url;
    f.settings.url.count = 2;
    fr_registry_close(f.r);
    assert_int_equal(fr_registry_open(&f.settings, &f.r, &f.err), FR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fr_registry_lookup(f.r, "a", FR_STR(V1), &f.id, &f.err), FR_END);
    assert_int_equal(atomic_load(&f.server->requests), 1);
    assert_int_equal(atomic_load(&second->requests), 3);
    stop(&f);
    fake_end(second);
}

static void *interrupt_when_asked(void *context)
{
    fixture *f = context;
    while (atomic_load(&f->server->requests) == 0)
        usleep(5000);
    fr_registry_interrupt(f->r);
    return NULL;
}

static void an_interrupt_ends_a_call_and_all_later_ones(void **state)
{
    (void)state;
    static const fake_rule rules[] = {{.prefix = "POST", 200, "{}", .hang = true}, {0}};
    fixture f;
    pthread_t t;
    start(&f, rules);
    pthread_create(&t, NULL, interrupt_when_asked, &f);
    int64_t began = fr_now_us();
    assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
    assert_int_equal(f.err.kind, FR_ERR_CANCELLED);
    assert_true(fr_now_us() - began < 5000000); /* not the time-out of 10 s */
    pthread_join(t, NULL);
    assert_int_equal(reg(&f, V2, -1, true), FR_FAIL);
    assert_int_equal(f.err.kind, FR_ERR_CANCELLED);
    assert_int_equal(atomic_load(&f.server->requests), 1);
    stop(&f);
}

/* --- settings --------------------------------------------------------------------------- */

static void unsafe_and_wrong_urls_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url, *code;
    } cases[] = {{"http://registry.example:8081", "registry.insecure"},
                 {"http://127.0.0.1.example", "registry.insecure"},
                 {"http://10.0.0.1/", "registry.insecure"},
                 {"https://user:secret@registry.example", "registry.url"},
                 {"ftp://registry.example", "registry.url"},
                 {"registry", "registry.url"},
                 {"file:", "registry.url"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *urls[] = {cases[i].url};
        fr_registry_settings s = {.url = {urls, 1}};
        fr_registry *r = NULL;
        fr_err err = {0};
        if (fr_registry_open(&s, &r, &err) != FR_FAIL || strcmp(err.code, cases[i].code) != 0)
            fail_msg("%s: %s %s", cases[i].url, err.code, err.text);
        assert_int_equal(err.kind, FR_ERR_CONFIG);
        assert_null(strstr(err.text, "secret"));
        assert_null(r);
    }
    static const char *good[] = {"http://localhost:1", "http://[::1]:1/x", "http://127.9.9.9"};
    fr_registry_settings s = {.url = {good, 3}};
    fr_registry *r;
    fr_err err;
    assert_int_equal(fr_registry_open(&s, &r, &err), FR_OK);
    fr_registry_close(r);
    const char *far[] = {"http://registry.example"};
    s = (fr_registry_settings){.url = {far, 1}, .insecure = true};
    assert_int_equal(fr_registry_open(&s, &r, &err), FR_OK);
    fr_registry_close(r);
}

static void credentials_are_sent(void **state)
{
    (void)state;
    static const fake_rule rules[] = {{.prefix = "POST", 404, NO_SCHEMA}, {0}};
    fixture f;
    start(&f, rules);
    fr_registry_close(f.r);
    f.settings.username = "u";
    f.settings.password = "p:w";
    assert_int_equal(fr_registry_open(&f.settings, &f.r, &f.err), FR_OK);
    assert_int_equal(fr_registry_lookup(f.r, "a", FR_STR(V1), &f.id, &f.err), FR_END);
    assert_non_null(strstr(f.server->last, "Authorization: Basic dTpwOnc=\r\n"));
    fr_registry_close(f.r);
    f.settings.username = f.settings.password = NULL;
    f.settings.token = "t0ken";
    assert_int_equal(fr_registry_open(&f.settings, &f.r, &f.err), FR_OK);
    assert_int_equal(fr_registry_lookup(f.r, "a", FR_STR(V1), &f.id, &f.err), FR_END);
    assert_non_null(strstr(f.server->last, "Authorization: Bearer t0ken\r\n"));
    stop(&f);
}

/* S10: the name and the authority are checked, whatever registry.insecure says. */
static void certificates_are_verified(void **state)
{
    (void)state;
    char dir[] = "/tmp/fr_tls_XXXXXX", cert[64], key[64], command[512], url[64];
    assert_non_null(mkdtemp(dir));
    snprintf(cert, sizeof(cert), "%s/cert", dir);
    snprintf(key, sizeof(key), "%s/key", dir);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s -out %s "
             "2>/dev/null",
             key, cert);
    assert_int_equal(system(command), 0); /* NOLINT: a fixed command of ours */
    fr_http_settings https = {.listen = "127.0.0.1:0", .tls_cert = cert, .tls_key = key};
    fr_board *board = fr_board_new("p", "w");
    fr_http *server;
    fr_err err = {0};
    assert_int_equal(fr_http_start(&https, board, NULL, &server, &err), FR_OK);
    static const struct {
        const char *host;
        bool ca;
        const char *code;
    } cases[] = {{"localhost", true, "registry.reply"}, /* it answers, though not as a registry */
                 {"localhost", false, "registry.tls"},
                 {"127.0.0.1", true, "registry.tls"}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(url, sizeof(url), "https://%s:%d", cases[i].host, fr_http_port(server));
        const char *urls[] = {url};
        fr_registry_settings s = {
            .url = {urls, 1}, .ca = cases[i].ca ? cert : NULL, .insecure = true};
        fr_registry *r;
        int32_t id;
        assert_int_equal(fr_registry_open(&s, &r, &err), FR_OK);
        /* On a busy machine a handshake may take longer than the client waits for it. */
        int64_t deadline = fr_now_us() + 60000000;
        do {
            assert_int_equal(fr_registry_lookup(r, "a", FR_STR(V1), &id, &err), FR_FAIL);
        } while (strcmp(err.code, "registry.connect") == 0 && fr_now_us() < deadline);
        if (strcmp(err.code, cases[i].code) != 0)
            fail_msg("%zu: %s %s", i, err.code, err.text);
        fr_registry_close(r);
    }
    fr_http_stop(server);
    fr_board_free(board);
    unlink(cert);
    unlink(key);
    rmdir(dir);
}

static void subjects_are_escaped(void **state)
{
    (void)state;
    static const fake_rule rules[] = {{.prefix = "POST", 404, NO_SCHEMA}, {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(fr_registry_lookup(f.r, "../a b/\xc3\xa4?#-value", FR_STR(V1), &f.id, &f.err),
                     FR_END);
    assert_string_equal(f.server->trail, "POST /base/subjects/%2E.%2Fa%20b%2F%C3%A4%3F%23-value\n");
    stop(&f);
}

/* --- reading ---------------------------------------------------------------------------- */

static void schemas_that_freshet_cannot_read_are_data_errors(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "GET /base/schemas/ids/1", 404, NO_SCHEMA},
        {.prefix = "GET /base/schemas/ids/2",
         200,
         "{\"schemaType\":\"PROTOBUF\",\"schema\":\"syntax\"}"},
        {.prefix = "GET /base/schemas/ids/3",
         200,
         "{\"schema\":\"\\\"x.Y\\\"\",\"references\":[{\"name\":\"x.Y\",\"subject\":\"gone\","
         "\"version\":1}]}"},
        {.prefix = "GET /base/subjects/gone/versions/1", 404, ABSENT},
        {.prefix = "GET /base/schemas/ids/4",
         200,
         "{\"schema\":\"" V1_JSON "\",\"references\":[]}"},
        {0}};
    static const char *const codes[] = {"registry.unknown_id", "registry.schema_type",
                                        "registry.references"};
    fixture f;
    fr_str text;
    start(&f, rules);
    for (int32_t id = 1; id <= 3; id++) {
        assert_int_equal(fr_registry_schema(f.r, id, &text, &f.err), FR_FAIL);
        assert_err(&f, FR_ERR_DATA, codes[id - 1], "");
    }
    assert_int_equal(fr_registry_schema(f.r, 4, &text, &f.err), FR_OK);
    assert_true(fr_str_is(text, V1));
    stop(&f);
}

#define REFERENCE(name, subject, version)                                                          \
    "{\"name\":\"" name "\",\"subject\":\"" subject "\",\"version\":" version "}"
#define VERSION(schema, references)                                                                \
    "{\"subject\":\"s\",\"version\":1,\"id\":50,\"schema\":\"" schema                              \
    "\",\"references\":[" references "]}"

/* Two ways to one schema, a name without namespace, and a circle. */
static void what_a_schema_refers_to_is_written_in(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "GET /base/schemas/ids/9",
         200,
         VERSION("{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"n.Top\\\",\\\"fields\\\":["
                 "{\\\"name\\\":\\\"a\\\",\\\"type\\\":[\\\"null\\\",\\\"Money\\\"]},"
                 "{\\\"name\\\":\\\"b\\\",\\\"type\\\":\\\"Code\\\"},"
                 "{\\\"name\\\":\\\"c\\\",\\\"type\\\":\\\"n.Money\\\"}]}",
                 REFERENCE("n.Money", "money/a b", "3") "," REFERENCE("Code", "code", "1"))},
        {.prefix = "GET /base/subjects/money%2Fa%20b/versions/3",
         200,
         VERSION(
             "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Money\\\",\\\"namespace\\\":\\\"n\\\","
             "\\\"fields\\\":[{\\\"name\\\":\\\"code\\\",\\\"type\\\":{\\\"type\\\":\\\"array\\\","
             "\\\"items\\\":"
             "\\\"Code\\\"}}]}",
             REFERENCE("Code", "code", "1"))},
        {.prefix = "GET /base/subjects/code/versions/1",
         200,
         VERSION(
             "{\\\"type\\\":\\\"enum\\\",\\\"name\\\":\\\"Code\\\",\\\"symbols\\\":[\\\"EUR\\\"]}",
             REFERENCE("n.Money", "money/a b", "3"))},
        {0}};
    fixture f;
    fr_str text, canonical;
    start(&f, rules);
    assert_int_equal(fr_registry_schema(f.r, 9, &text, &f.err), FR_OK);
    assert_int_equal(fr_avro_canonical(f.a, text, &canonical, &f.err), FR_OK);
    assert_str(
        canonical,
        "{\"type\":\"record\",\"name\":\"Top\",\"namespace\":\"n\",\"fields\":[{\"name\":\"a\","
        "\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Money\",\"namespace\":\"n\",\"fields\":"
        "[{"
        "\"name\":\"code\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"enum\",\"name\":"
        "\"Code\","
        "\"namespace\":\"\",\"symbols\":[\"EUR\"]}}}]}]},{\"name\":\"b\",\"type\":\"Code\"},{"
        "\"name\":"
        "\"c\",\"type\":\"n.Money\"}]}");
    assert_int_equal(atomic_load(&f.server->requests), 3);
    stop(&f);
}

/* Some write a schema their own way, and give that back. */
static void another_text_of_the_same_schema_is_taken(void **state)
{
    (void)state;
    static const fake_rule normal[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7",
         200,
         "{\"schema\":\"{\\\"name\\\":\\\"Row\\\",\\\"fields\\\":[{\\\"type\\\":\\\"long\\\","
         "\\\"name\\\":"
         "\\\"id\\\"},{\\\"type\\\":[\\\"null\\\",{\\\"type\\\":\\\"string\\\"}],\\\"name\\\":"
         "\\\"n\\\","
         "\\\"default\\\":null}],\\\"type\\\":\\\"record\\\"}\"}"},
        {0}};
    static const fake_rule lossy[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7",
         200,
         "{\"schema\":\"{\\\"name\\\":\\\"Row\\\",\\\"fields\\\":[{\\\"type\\\":\\\"long\\\","
         "\\\"name\\\":"
         "\\\"id\\\"},{\\\"type\\\":[\\\"null\\\",\\\"string\\\"],\\\"name\\\":\\\"n\\\"}],"
         "\\\"type\\\":"
         "\\\"record\\\"}\"}"},
        {0}};
    fixture f;
    start(&f, normal);
    assert_int_equal(reg(&f, V2, -1, true), FR_OK);
    stop(&f);
    start(&f, lossy); /* the default is gone: readers would be broken */
    assert_int_equal(reg(&f, V2, -1, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.wrong_id", "another");
    stop(&f);
}

static void a_closed_subject_says_its_mode(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *hint;
    } cases[] = {{"READONLY", "closed it"},
                 {"IMPORT", "ids of another registry"},
                 {"READONLY_OVERRIDE", "whole registry"},
                 {"NEW_ONE", "READWRITE"}};
    for (size_t i = 0; i < 4; i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"mode\":\"%s\"}", cases[i].mode);
        const fake_rule rules[] = {
            {.prefix = "POST /base/subjects/a-value HTTP", 404, NO_SCHEMA},
            {.prefix = "GET /base/subjects/a-value/versions HTTP", 200, "[1]"},
            {.prefix = "POST /base/subjects/a-value/versions",
             422,
             "{\"error_code\":42205,\"message\":\"not now\"}"},
            {.prefix = "GET /base/mode/a-value?defaultToGlobal=true", 200, body},
            {0}};
        fixture f;
        start(&f, rules);
        assert_int_equal(reg(&f, V1, -1, true), FR_FAIL);
        assert_err(&f, FR_ERR_SCHEMA, "registry.mode", cases[i].mode);
        assert_err(&f, FR_ERR_SCHEMA, "registry.mode", "a-value");
        assert_non_null(strstr(f.err.hint, cases[i].hint));
        stop(&f);
    }
    /* What is there already needs no writing. */
    static const fake_rule known[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, known);
    assert_int_equal(reg(&f, V1, -1, true), FR_OK);
    stop(&f);
}

/* A subject that was deleted so that it can come back is as good as a new one, and said to be none.
 */
static void a_deleted_subject_is_told_apart(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions?deleted=true", 200, "[1,2]"},
        {.prefix = "GET /base/config/a-value", 200, LEVEL},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 200, SCHEMA_REPLY},
        {0}};
    fixture f;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, FR_COMPAT_BACKWARD, false), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.subject_missing", "was deleted");
    assert_non_null(strstr(f.err.hint, "brings it back"));
    assert_int_equal(reg(&f, V1, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_int_equal(f.id, 7);
    stop(&f);
}

static void *register_another(void *context)
{
    fixture *f = context;
    fr_err err = {0};
    int32_t id;
    fr_registry_register(f->r, "b-value", FR_STR(V2), -1, true, &id, &err);
    return NULL;
}

/* H05: the registry hangs, and what is known goes on beside it. */
static void what_is_known_never_waits(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":7}"},
        {.prefix = "GET /base/schemas/ids/7", 200, SCHEMA_REPLY},
        {.prefix = "POST /base/subjects/b-value", 200, "{}", .hang = true},
        {0}};
    fixture f;
    fr_str text;
    pthread_t t;
    start(&f, rules);
    assert_int_equal(reg(&f, V1, -1, true), FR_OK);
    pthread_create(&t, NULL, register_another, &f);
    while (atomic_load(&f.server->requests) < 3)
        usleep(5000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(reg(&f, V1, -1, true), FR_OK);
        assert_int_equal(fr_registry_schema(f.r, 7, &text, &f.err), FR_OK);
    }
    assert_int_equal(atomic_load(&f.server->requests), 3); /* the other one still waits */
    fr_registry_interrupt(f.r);
    pthread_join(t, NULL);
    stop(&f);
}

static void compatibility_and_latest_of_an_unknown_subject(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "POST /base/compatibility",
         404,
         "{\"error_code\":40402,\"message\":\"x\"}",
         .times = 1},
        {.prefix = "POST /base/compatibility",
         200,
         "{\"is_compatible\":true,\"reason\":null}",
         .times = 1},
        {.prefix = "POST /base/compatibility",
         200,
         "{\"is_compatible\":false,\"messages\":[\"why\"]}"},
        {.prefix = "GET /base/subjects/a/versions/latest", 404, ABSENT},
        {0}};
    fixture f;
    fr_str text;
    int version;
    start(&f, rules);
    static const fr_rc wanted[] = {FR_OK, FR_OK, FR_END};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fr_registry_compatible(f.r, f.a, "a", FR_STR(V1), &text, &f.err),
                         wanted[i]);
    assert_true(fr_str_is(text, "why"));
    assert_int_equal(fr_registry_latest(f.r, f.a, "a", &version, &f.id, &text, &f.err), FR_END);
    stop(&f);
}

static const fr_finding *found(const fr_findings *all, const char *code)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].code, code) == 0)
            return &all->items[i];
    fail_msg("no finding %s", code);
    return NULL;
}

static void the_check_finds_modes_and_levels(void **state)
{
    (void)state;
    static const fake_rule rules[] = {
        {.prefix = "GET /base/subjects", 200, "[]"},
        {.prefix = "GET /base/mode", 200, "{\"mode\":\"READONLY\"}", .times = 1},
        {.prefix = "GET /base/mode", 404, "{\"error_code\":0}"},
        {.prefix = "GET /base/config", 200, LEVEL, .times = 1},
        {.prefix = "GET /base/config", 200, "{\"compatibilityLevel\":\"NONE\"}"},
        {0}};
    fixture f;
    start(&f, rules);
    fr_findings first = {.arena = f.a}, second = {.arena = f.a}, third = {.arena = f.a};
    assert_int_equal(fr_registry_check(f.r, &first, &f.err), FR_OK);
    assert_int_equal(found(&first, "registry.mode")->severity, FR_BLOCKER);
    assert_int_equal(found(&first, "registry.compat")->severity, FR_FINE);
    assert_int_equal(found(&first, "registry.connect")->severity, FR_FINE);
    assert_int_equal(fr_registry_check(f.r, &second, &f.err), FR_OK);
    assert_int_equal(found(&second, "registry.mode")->severity, FR_FINE);
    assert_int_equal(found(&second, "registry.compat")->severity, FR_WARNING);
    stop(&f);
    static const fake_rule closed[] = {{.prefix = "GET", 401, "{}"}, {0}};
    start(&f, closed);
    third.arena = f.a;
    assert_int_equal(fr_registry_check(f.r, &third, &f.err), FR_OK);
    assert_int_equal(found(&third, "registry.auth")->severity, FR_BLOCKER);
    stop(&f);
}

/* --- what a schema says of its stream ------------------------------------------------------ */

#define OWNED                                                                                      \
    "{\"type\":\"record\",\"name\":\"Env\",\"fields\":[{\"name\":\"before\",\"type\":[\"null\","   \
    "{\"type\":\"record\",\"name\":\"Row\",\"doc\":\"Rows\",\"fields\":[{\"name\":\"id\","         \
    "\"type\":\"long\"},{\"name\":\"mail\",\"type\":\"string\",\"freshet.pii\":true}],"            \
    "\"freshet.deprecated\":\"use v2\",\"freshet.owner\":\"a\\\"b\","                              \
    "\"freshet.tags\":[\"x\",\"y\"]}]}]}"
#define METADATA                                                                                   \
    ",\"metadata\":{\"properties\":{\"owner\":\"a\\\"b\",\"tags\":\"x, y\",\"deprecated\":"        \
    "\"use v2\",\"description\":\"Rows\"},\"tags\":{\"**.mail\":[\"PII\"]}}"

static const char *owned_reply(fr_arena *a)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"schema\":");
    fr_buf_json(&b, FR_STR(OWNED));
    fr_buf_text(&b, "}");
    return fr_arena_cstr(a, fr_buf_view(&b));
}

static void metadata_goes_with_the_schema(void **state)
{
    (void)state;
    fixture f;
    fr_arena *a = fr_arena_new(0);
    const char *reply = owned_reply(a);
    const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":9}", .want = METADATA},
        {.prefix = "GET /base/config", 200, LEVEL},
        {.prefix = "GET /base/schemas/ids/9", 200, reply},
        {0}};
    start(&f, rules);
    assert_int_equal(reg(&f, OWNED, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_int_equal(f.id, 9);
    stop(&f);

    /* One that was registered without it keeps its id. */
    const fake_rule older[] = {{.prefix = "POST /base/subjects/a-value HTTP",
                                404,
                                NO_SCHEMA,
                                .times = 1,
                                .want = METADATA},
                               {.prefix = "POST /base/subjects/a-value HTTP", 200, "{\"id\":4}"},
                               {.prefix = "GET /base/schemas/ids/4", 200, reply},
                               {0}};
    start(&f, older);
    assert_int_equal(reg(&f, OWNED, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_int_equal(f.id, 4);
    assert_null(strstr(f.server->trail, "versions"));
    stop(&f);
    fr_arena_free(a);
}

/* A registry that does not know the member gets the schema alone. */
static void metadata_that_is_refused_is_left_out(void **state)
{
    (void)state;
    fixture f;
    fr_arena *a = fr_arena_new(0);
    const char *reply = owned_reply(a);
    static const char unknown[] = "{\"error_code\":42201,\"message\":\"Unrecognized field\"}";
    const fake_rule rules[] = {
        {.prefix = "POST /base/subjects/a-value HTTP", 422, unknown, .times = 1, .want = METADATA},
        {.prefix = "POST /base/subjects/a-value HTTP", 404, ABSENT},
        {.prefix = "GET /base/subjects/a-value/versions", 404, ABSENT},
        {.prefix = "GET /base/config", 200, LEVEL},
        {.prefix = "POST /base/subjects/a-value/versions",
         422,
         unknown,
         .times = 1,
         .want = METADATA},
        {.prefix = "POST /base/subjects/a-value/versions", 200, "{\"id\":9}"},
        {.prefix = "GET /base/schemas/ids/9", 200, reply},
        {.prefix = "POST /base/subjects/b-value HTTP", 200, "{\"id\":9}"},
        {0}};
    start(&f, rules);
    assert_int_equal(reg(&f, OWNED, FR_COMPAT_BACKWARD, true), FR_OK);
    assert_int_equal(f.id, 9);
    assert_null(strstr(f.server->last, "metadata"));
    /* And it is not asked again. */
    int before = atomic_load(&f.server->requests);
    assert_int_equal(fr_registry_lookup(f.r, "b-value", FR_STR(OWNED), &f.id, &f.err), FR_OK);
    assert_int_equal(atomic_load(&f.server->requests), before + 1);
    stop(&f);

    /* A schema that is refused is refused, whatever came with it. */
    static const fake_rule bad[] = {{.prefix = "POST /base/subjects/a-value HTTP",
                                     422,
                                     "{\"error_code\":42201,\"message\":\"Invalid schema\"}"},
                                    {0}};
    start(&f, bad);
    assert_int_equal(reg(&f, OWNED, FR_COMPAT_BACKWARD, true), FR_FAIL);
    assert_err(&f, FR_ERR_SCHEMA, "registry.invalid_schema", "Invalid schema");
    stop(&f);
    fr_arena_free(a);
}

static void a_schema_says_what_to_use_instead(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    assert_string_equal(fr_schema_deprecated(a, FR_STR(OWNED)), "use v2");
    assert_null(fr_schema_deprecated(a, FR_STR(V1)));
    assert_null(fr_schema_deprecated(a, FR_STR("no schema")));
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_schema_is_only_looked_up),
        cmocka_unit_test(a_new_subject_gets_its_level_first),
        cmocka_unit_test(the_level_is_left_alone_where_it_is_right),
        cmocka_unit_test(the_level_comes_after_the_version_where_it_must),
        cmocka_unit_test(a_level_that_is_not_kept_is_told),
        cmocka_unit_test(a_refusal_says_what_differs_and_why),
        cmocka_unit_test(an_invalid_schema_and_a_closed_registry_are_told_apart),
        cmocka_unit_test(a_wrong_id_is_found_out),
        cmocka_unit_test(every_bad_reply_has_its_error),
        cmocka_unit_test(a_passing_failure_is_tried_again),
        cmocka_unit_test(another_url_takes_over_and_keeps_the_work),
        cmocka_unit_test(an_interrupt_ends_a_call_and_all_later_ones),
        cmocka_unit_test(unsafe_and_wrong_urls_are_refused),
        cmocka_unit_test(credentials_are_sent),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(subjects_are_escaped),
        cmocka_unit_test(what_a_schema_refers_to_is_written_in),
        cmocka_unit_test(another_text_of_the_same_schema_is_taken),
        cmocka_unit_test(a_closed_subject_says_its_mode),
        cmocka_unit_test(a_deleted_subject_is_told_apart),
        cmocka_unit_test(what_is_known_never_waits),
        cmocka_unit_test(schemas_that_freshet_cannot_read_are_data_errors),
        cmocka_unit_test(compatibility_and_latest_of_an_unknown_subject),
        cmocka_unit_test(the_check_finds_modes_and_levels),
        cmocka_unit_test(metadata_goes_with_the_schema),
        cmocka_unit_test(metadata_that_is_refused_is_left_out),
        cmocka_unit_test(a_schema_says_what_to_use_instead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
