#include "connectors/postgres/pg_conn.h"
#include "base/bytes.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <libpq-events.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_SECONDS = 10, MAX_KEYWORDS = 80 };

/* ---- the dsn ---- */

typedef struct keywords {
    const char *names[MAX_KEYWORDS + 1], *values[MAX_KEYWORDS + 1];
    size_t count;
} keywords;

static void keyword_set(keywords *k, const char *name, const char *value)
{
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->names[i], name) == 0) {
            k->values[i] = value;
            return;
        }
    }
    if (k->count < MAX_KEYWORDS) {
        k->names[k->count] = name;
        k->values[k->count++] = value;
    }
}

static const char *keyword_get(const keywords *k, const char *name)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->names[i], name) == 0 && k->values[i] != NULL && k->values[i][0] != '\0')
            return k->values[i];
    return NULL;
}

/* libpq's complaint quotes the text it could not read, which may be a password. */
static bool may_hold_secret(const char *dsn)
{
    return strchr(dsn, '@') != NULL || strstr(dsn, "pass") != NULL;
}

static fr_rc dsn_parse(const char *dsn, PQconninfoOption **out, fr_err *err)
{
    if (dsn == NULL || dsn[0] == '\0') {
        fr_fail(err, FR_ERR_CONFIG, "dsn is missing");
    } else {
        char *complaint = NULL;
        PQconninfoOption *parsed = PQconninfoParse(dsn, &complaint);
        if (parsed != NULL) {
            *out = parsed;
            return FR_OK;
        }
        const char *text = complaint != NULL ? complaint : "out of memory";
        fr_fail(err, FR_ERR_CONFIG, "dsn is not a PostgreSQL address%s%.*s",
                may_hold_secret(dsn) ? "" : ": ",
                may_hold_secret(dsn) ? 0 : (int)strcspn(text, "\n"), text);
        PQfreemem(complaint);
    }
    fr_fail_code(err, "pg.dsn");
    return fr_fail_hint(err, "write postgresql://user@host:5432/database");
}

fr_rc fr_pg_dsn_reads(const char *dsn, fr_err *err)
{
    PQconninfoOption *parsed;
    FR_TRY(dsn_parse(dsn, &parsed, err));
    PQconninfoFree(parsed);
    return FR_OK;
}

static bool host_is_local(const char *host, size_t len)
{
    if (len == 0 || host[0] == '/' || host[0] == '@')
        return true;
    return fr_is_loopback((fr_str){host, len});
}

static bool hosts_are_local(const char *hosts)
{
    for (;;) {
        size_t len = strcspn(hosts, ",");
        if (!host_is_local(hosts, len))
            return false;
        if (hosts[len] == '\0')
            return true;
        hosts += len + 1;
    }
}

static bool target_is_local(const keywords *k)
{
    const char *address = keyword_get(k, "hostaddr");
    if (address == NULL)
        address = getenv("PGHOSTADDR");
    const char *host = keyword_get(k, "host");
    if (host == NULL)
        host = getenv("PGHOST");
    if (address != NULL && address[0] != '\0')
        return hosts_are_local(address);
    return host == NULL || hosts_are_local(host);
}

/* Who may sign the server's certificate when the dsn does not say: the user's own file
 * (libpq's default), else the system's. */
static const char *system_roots(void)
{
    const char *home = getenv("HOME");
    char own[512];
    snprintf(own, sizeof(own), "%s/.postgresql/root.crt", home != NULL ? home : "");
    if (getenv("PGSSLROOTCERT") != NULL || access(own, R_OK) == 0)
        return NULL;
    if (PQlibVersion() >= 160000)
        return "system";
    static const char debian[] = "/etc/ssl/certs/ca-certificates.crt";
    return access(debian, R_OK) == 0 ? debian : NULL;
}

static fr_rc tls_rules(keywords *k, bool insecure, fr_err *err)
{
    if (insecure || target_is_local(k))
        return FR_OK;
    const char *mode = keyword_get(k, "sslmode");
    if (mode != NULL && strcmp(mode, "verify-full") != 0) {
        fr_fail(err, FR_ERR_CONFIG, "sslmode=%s does not check who the server is", mode);
        fr_fail_code(err, "pg.tls");
        return fr_fail_hint(err, "leave sslmode out (verify-full), give sslrootcert=FILE if your "
                                 "own authority signed the certificate, or set insecure: true");
    }
    keyword_set(k, "sslmode", "verify-full");
    if (keyword_get(k, "sslrootcert") == NULL && system_roots() != NULL)
        keyword_set(k, "sslrootcert", system_roots());
    return FR_OK;
}

static fr_rc dsn_keywords(const fr_pg_target *target, const PQconninfoOption *parsed, keywords *k,
                          fr_err *err)
{
    keyword_set(k, "keepalives", "1");
    keyword_set(k, "keepalives_idle", "10");
    keyword_set(k, "keepalives_interval", "5");
    keyword_set(k, "keepalives_count", "3");
    keyword_set(k, "tcp_user_timeout", "30000");
    for (const PQconninfoOption *o = parsed; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL && o->val[0] != '\0')
            keyword_set(k, o->keyword, o->val);
    if (keyword_get(k, "password") != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "dsn holds a password");
        fr_fail_code(err, "pg.dsn_password");
        return fr_fail_hint(err, "take it out of the dsn and write password: ${file:PATH}");
    }
    return tls_rules(k, target->insecure, err);
}

fr_rc fr_pg_dsn_check(const fr_pg_target *target, fr_err *err)
{
    PQconninfoOption *parsed = NULL;
    FR_TRY(dsn_parse(target->dsn, &parsed, err));
    keywords k = {.count = 0};
    fr_rc rc = dsn_keywords(target, parsed, &k, err);
    PQconninfoFree(parsed);
    return rc;
}

fr_str fr_pg_dsn_place(fr_arena *a, const char *dsn)
{
    PQconninfoOption *parsed = dsn != NULL ? PQconninfoParse(dsn, NULL) : NULL;
    if (parsed == NULL)
        return FR_STR("an unreadable dsn");
    const char *host = "localhost", *port = "5432", *db = "";
    for (const PQconninfoOption *o = parsed; o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0')
            continue;
        if (strcmp(o->keyword, "host") == 0)
            host = o->val;
        else if (strcmp(o->keyword, "port") == 0)
            port = o->val;
        else if (strcmp(o->keyword, "dbname") == 0)
            db = o->val;
    }
    fr_str place = fr_arena_printf(a, "%s:%s/%s", host, port, db);
    PQconninfoFree(parsed);
    return place;
}

fr_str fr_pg_dsn_user(fr_arena *a, const char *dsn)
{
    PQconninfoOption *parsed = dsn != NULL ? PQconninfoParse(dsn, NULL) : NULL;
    fr_str user = {"", 0};
    for (const PQconninfoOption *o = parsed; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL && strcmp(o->keyword, "user") == 0)
            user = fr_arena_str(a, fr_cstr(o->val));
    PQconninfoFree(parsed);
    return user;
}

/* ---- errors ---- */

static const struct {
    const char *prefix;
    fr_err_kind kind;
} kinds[] = {
    /* The longest prefix that fits comes first. */
    {"57P04", FR_ERR_CONFIG},  /* database_dropped */
    {"57014", FR_ERR_BUSY},    /* query_canceled: a timeout, or somebody's wish */
    {"57", FR_ERR_CONNECT},    /* admin_shutdown, crash_shutdown, cannot_connect_now */
    {"42501", FR_ERR_AUTH},    /* insufficient_privilege */
    {"25006", FR_ERR_CONNECT}, /* read_only_sql_transaction: a standby, perhaps soon no more */
    {"55006", FR_ERR_BUSY},    /* object_in_use: the slot is active */
    {"55P03", FR_ERR_BUSY},    /* lock_not_available */
    {"08", FR_ERR_CONNECT},    {"28", FR_ERR_AUTH},    {"40", FR_ERR_BUSY},
    {"53", FR_ERR_BUSY},       {"58", FR_ERR_CONNECT}, {"XX", FR_ERR_CONNECT},
    {"21", FR_ERR_DATA},       {"22", FR_ERR_DATA},    {"23", FR_ERR_DATA},
};

fr_err_kind fr_pg_kind(const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0')
        return FR_ERR_CONNECT;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(sqlstate, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            return kinds[i].kind;
    return FR_ERR_CONFIG;
}

static fr_rc fail_with(fr_err *err, const char *sqlstate, fr_err_kind kind, const char *doing,
                       const char *text)
{
    char line[sizeof(err->text)];
    size_t n = 0;
    for (const char *at = text; *at != '\0' && n + 1 < sizeof(line); at++)
        line[n++] = *at == '\n' || *at == '\t' ? ' ' : *at;
    while (n > 0 && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    fr_redact(line);
    fr_fail(err, kind, "%s: %s", doing, line);
    if (sqlstate != NULL)
        snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    return FR_FAIL;
}

/* Class 22 messages quote the value that did not fit; values stay out of errors. */
static void hide_values(char *out, size_t size, const char *text)
{
    bool inside = false;
    size_t n = 0;
    for (; *text != '\0' && n + 1 < size; text++) {
        if (*text == '"')
            inside = !inside;
        if (!inside || *text == '"')
            out[n++] = *text;
    }
    out[n] = '\0';
}

fr_rc fr_pg_fail(PGconn *conn, const PGresult *res, const char *doing, fr_err *err)
{
    char hidden[400];
    const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *text = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (text == NULL)
        text = PQerrorMessage(conn);
    if (state != NULL && strncmp(state, "22", 2) == 0) {
        hide_values(hidden, sizeof(hidden), text);
        text = hidden;
    }
    fr_err_kind kind = fr_pg_kind(state);
    if (PQstatus(conn) == CONNECTION_BAD && kind == FR_ERR_CONFIG)
        kind = FR_ERR_CONNECT;
    return fail_with(err, state, kind, doing, text[0] != '\0' ? text : "no reason given");
}

/* The SQLSTATE of a failed login stands only in the verbose text: "FATAL:  28P01: ...". */
static const char *login_state(const char *text, char *out)
{
    const char *found = NULL;
    for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(out, at + 3, 5);
            out[5] = '\0';
            found = out;
        }
    }
    return found;
}

/* The same text without "LOCATION: ..." lines and without the codes. */
static void login_text(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "LOCATION:", 9) != 0 && n + len + 2 < size) {
            memcpy(out + n, line, len);
            n += len;
            out[n++] = '\n';
        }
        line += len + (line[len] == '\n');
    }
    out[n] = '\0';
}

static fr_rc login_fail(PGconn *conn, fr_err *err)
{
    const char *raw = PQerrorMessage(conn);
    char text[1000], state[6];
    login_text(raw, text, sizeof(text));
    const char *sqlstate = login_state(raw, state);
    fr_err_kind kind = fr_pg_kind(sqlstate);
    if (sqlstate == NULL &&
        (strstr(raw, "no password supplied") != NULL || strstr(raw, "PGPASSFILE") != NULL))
        kind = FR_ERR_AUTH;
    bool tls = sqlstate == NULL &&
               (strstr(raw, "certificate") != NULL || strstr(raw, "does not support SSL") != NULL);
    if (tls)
        kind = FR_ERR_CONFIG;
    fail_with(err, sqlstate, kind, "connect", text);
    if (tls) {
        fr_fail_code(err, "pg.tls");
        return fr_fail_hint(err, "sslrootcert=FILE in the dsn names your own authority; "
                                 "insecure: true goes without a check");
    }
    if (kind == FR_ERR_AUTH) {
        fr_fail_code(err, "pg.login");
        return fr_fail_hint(err, "check the user in dsn, password, and the server's pg_hba.conf");
    }
    return fr_fail_code(err, kind == FR_ERR_CONNECT ? "pg.connect" : "");
}

/* ---- connecting ---- */

static int64_t login_deadline(const keywords *k)
{
    const char *text = keyword_get(k, "connect_timeout");
    long seconds = text != NULL ? strtol(text, NULL, 10) : CONNECT_SECONDS;
    int64_t hosts = 1;
    const char *host = keyword_get(k, "host");
    for (const char *at = host; at != NULL && *at != '\0'; at++)
        hosts += *at == ',';
    if (seconds <= 0 || seconds > 3600)
        seconds = CONNECT_SECONDS;
    return fr_now_us() + hosts * seconds * 1000000;
}

static int tick_ms(int64_t left_us)
{
    int64_t ms = left_us / 1000 + 1;
    return ms > FR_CANCEL_TICK_MS ? FR_CANCEL_TICK_MS : (int)ms;
}

static fr_rc login_wait(PGconn *conn, int64_t deadline, fr_err *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        int64_t left = deadline - fr_now_us();
        if (left <= 0)
            return fail_with(err, NULL, FR_ERR_CONNECT, "connect", "no answer in time");
        struct pollfd p = {.fd = PQsocket(conn),
                           .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        FR_TRY(fr_cancel_check(err));
        int ready = poll(&p, 1, tick_ms(left));
        if (ready < 0 && errno != EINTR)
            return fail_with(err, NULL, FR_ERR_CONNECT, "connect", strerror(errno));
        if (ready <= 0)
            continue;
        step = PQconnectPoll(conn);
        if (step == PGRES_POLLING_FAILED)
            return login_fail(conn, err);
    }
    return FR_OK;
}

static void no_notices(void *context, const PGresult *res)
{
    (void)context;
    (void)res;
}

static fr_rc login(const keywords *k, PGconn **out, fr_err *err)
{
    PGconn *conn = PQconnectStartParams(k->names, k->values, 0);
    if (conn == NULL)
        return fr_fail(err, FR_ERR_CONNECT, "connect: out of memory");
    PQsetNoticeReceiver(conn, no_notices, NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    fr_rc rc = PQstatus(conn) == CONNECTION_BAD ? login_fail(conn, err)
                                                : login_wait(conn, login_deadline(k), err);
    if (rc == FR_FAIL) {
        PQfinish(conn);
        return FR_FAIL;
    }
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    *out = conn;
    return FR_OK;
}

fr_rc fr_pg_connect(const fr_pg_target *target, PGconn **out, fr_err *err)
{
    PQconninfoOption *parsed = NULL;
    FR_TRY(dsn_parse(target->dsn, &parsed, err));
    keywords k = {.count = 0};
    fr_buf options = {.ptr = NULL};
    fr_rc rc = dsn_keywords(target, parsed, &k, err);
    if (rc == FR_FAIL)
        goto out;
    const char *own = keyword_get(&k, "options");
    fr_buf_printf(&options, "%s " FR_PG_SESSION " %s%s", own != NULL ? own : "",
                  target->own_monetary ? "" : FR_PG_MONETARY,
                  target->settings != NULL ? target->settings : "");
    fr_buf_u8(&options, '\0');
    keyword_set(&k, "options", (const char *)options.ptr);
    keyword_set(&k, "client_encoding", "UTF8");
    keyword_set(&k, "application_name",
                target->application_name != NULL ? target->application_name : "freshet");
    if (target->password != NULL && target->password[0] != '\0')
        keyword_set(&k, "password", target->password);
    if (target->replication)
        keyword_set(&k, "replication", "database");
    rc = login(&k, out, err);
out:
    fr_buf_free(&options);
    PQconninfoFree(parsed);
    return rc;
}

void fr_pg_close(PGconn *conn)
{
    if (conn != NULL)
        PQfinish(conn);
}

/* ---- asking ---- */

fr_rc fr_pg_money_digits(PGconn *conn, int *out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "ask for the digits of money",
                       "SELECT pg_catalog.scale('1'::pg_catalog.money::pg_catalog.numeric)", NULL,
                       0, &res, err));
    int64_t digits = fr_pg_int(res, 0, 0, -1);
    PQclear(res);
    if (digits < 0 || digits > 10) { /* PostgreSQL's own limit */
        fr_fail(err, FR_ERR_CONFIG, "money has %lld digits behind its point here",
                (long long)digits);
        fr_fail_code(err, "pg.money");
        return fr_fail_hint(err, "set lc_monetary of the database or of our role: ALTER DATABASE "
                                 "... SET lc_monetary = 'C'");
    }
    *out = (int)digits;
    return FR_OK;
}

fr_rc fr_pg_await(PGconn *conn, fr_err *err)
{
    while (PQisBusy(conn)) {
        FR_TRY(fr_cancel_check(err));
        int unsent = PQflush(conn);
        struct pollfd p = {.fd = PQsocket(conn),
                           .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0))};
        int ready = unsent < 0 ? 1 : poll(&p, 1, FR_CANCEL_TICK_MS);
        if (ready < 0 && errno != EINTR)
            return fail_with(err, NULL, FR_ERR_CONNECT, "wait", strerror(errno));
        if (ready > 0 && PQconsumeInput(conn) == 0)
            return FR_OK;
    }
    return FR_OK;
}

/* As PQexec does it: the last result, or the first that failed or begins a COPY. */
fr_rc fr_pg_ask(PGconn *conn, const char *sql, const char *const *params, const int *lengths,
                const int *formats, int count, bool binary, PGresult **out, fr_err *err)
{
    int sent = params == NULL && !binary ? PQsendQuery(conn, sql)
                                         : PQsendQueryParams(conn, sql, count, NULL, params,
                                                             lengths, formats, binary ? 1 : 0);
    PGresult *last = NULL;
    while (sent == 1) {
        if (fr_pg_await(conn, err) == FR_FAIL) {
            PQclear(last);
            return FR_FAIL;
        }
        PGresult *res = PQgetResult(conn);
        if (res == NULL)
            break;
        ExecStatusType status = PQresultStatus(res);
        bool failed = last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR;
        PQclear(failed ? res : last);
        last = failed ? last : res;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH ||
            PQstatus(conn) == CONNECTION_BAD)
            break;
    }
    *out = last;
    return FR_OK;
}

fr_rc fr_pg_query(PGconn *conn, const char *doing, const char *sql, const char *const *params,
                  int count, PGresult **out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_ask(conn, sql, params, NULL, NULL, count, false, &res, err));
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *out = res;
        return FR_OK;
    }
    fr_pg_fail(conn, res, doing, err);
    PQclear(res);
    return FR_FAIL;
}

fr_rc fr_pg_start(PGconn *conn, const char *doing, const char *sql, PGresult **out, fr_err *err)
{
    return PQsendQuery(conn, sql) == 1 ? fr_pg_next(conn, out, err)
                                       : fr_pg_fail(conn, NULL, doing, err);
}

fr_rc fr_pg_next(PGconn *conn, PGresult **out, fr_err *err)
{
    FR_TRY(fr_pg_await(conn, err));
    *out = PQgetResult(conn);
    return FR_OK;
}

fr_rc fr_pg_exec(PGconn *conn, const char *doing, const char *sql, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, doing, sql, NULL, 0, &res, err));
    PQclear(res);
    return FR_OK;
}

fr_str fr_pg_text(const PGresult *res, int row, int column)
{
    if (PQgetisnull(res, row, column))
        return (fr_str){"", 0};
    return (fr_str){PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column)};
}

int64_t fr_pg_int(const PGresult *res, int row, int column, int64_t fallback)
{
    if (PQgetisnull(res, row, column))
        return fallback;
    char *end = NULL;
    const char *text = PQgetvalue(res, row, column);
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return end == text || errno == ERANGE ? fallback : v;
}

bool fr_pg_bool(const PGresult *res, int row, int column)
{
    return !PQgetisnull(res, row, column) && PQgetvalue(res, row, column)[0] == 't';
}

/* ---- quoting ---- */

static fr_str quoted(fr_arena *a, fr_str s, char quote, bool *bad)
{
    if (s.len > 0 && (memchr(s.ptr, '\0', s.len) != NULL || !fr_utf8_valid(s))) {
        if (bad != NULL)
            *bad = true;
        s.len = 0;
    }
    bool backslash = quote == '\'' && s.len > 0 && memchr(s.ptr, '\\', s.len) != NULL;
    fr_buf b = {.arena = a};
    if (backslash)
        fr_buf_text(&b, " E"); /* right whatever standard_conforming_strings is */
    fr_buf_u8(&b, (uint8_t)quote);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == quote || (backslash && s.ptr[i] == '\\'))
            fr_buf_u8(&b, (uint8_t)s.ptr[i]);
        fr_buf_u8(&b, (uint8_t)s.ptr[i]);
    }
    fr_buf_u8(&b, (uint8_t)quote);
    return fr_buf_view(&b);
}

fr_str fr_pg_ident(fr_arena *a, fr_str name, bool *bad)
{
    return quoted(a, name, '"', bad);
}

fr_str fr_pg_literal(fr_arena *a, fr_str text, bool *bad)
{
    return quoted(a, text, '\'', bad);
}

fr_str fr_pg_qualified(fr_arena *a, fr_str space, fr_str name)
{
    fr_str left = fr_pg_ident(a, space, NULL), right = fr_pg_ident(a, name, NULL);
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(left), FR_ARG(right));
}

/* ---- log positions ---- */

static bool hex_part(fr_str s, uint64_t *out)
{
    if (s.len == 0 || s.len > 8)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

bool fr_pg_lsn_parse(fr_str text, uint64_t *out)
{
    const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    if (slash == NULL)
        return false;
    size_t left = (size_t)(slash - text.ptr);
    uint64_t high, low;
    if (!hex_part((fr_str){text.ptr, left}, &high) ||
        !hex_part((fr_str){slash + 1, text.len - left - 1}, &low))
        return false;
    *out = high << 32 | low;
    return true;
}

void fr_pg_lsn_text(char *out, uint64_t lsn)
{
    snprintf(out, 20, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
}
