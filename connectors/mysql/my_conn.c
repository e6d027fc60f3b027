#include "connectors/mysql/my_conn.h"
#include "base/bytes.h"
#include "base/log.h"
#include "connectors/mysql/my_dsn.h"
#include <errmsg.h>
#include <ma_pvio.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What may log in without TLS: challenge and response, and no password in clear, which is what
 * a server may ask for that is not the one it should be. caching_sha2 and sha256 encrypt it with
 * a key that nobody vouches for: good enough for this machine's own loopback only. */
static const char remote_plugins[] = "mysql_native_password,client_ed25519";
static const char loopback_plugins[] = "mysql_native_password,client_ed25519,"
                                       "caching_sha2_password,sha256_password";

/* ---- connecting ---- */

static void library_init(void)
{
    mysql_library_init(0, NULL, NULL);
}

/* The server asked for a file of ours. */
static int no_file(void **ptr, const char *name, void *data)
{
    (void)name;
    (void)data;
    *ptr = NULL;
    return 1;
}

static int no_bytes(void *ptr, char *buf, unsigned len)
{
    (void)ptr;
    (void)buf;
    (void)len;
    return -1;
}

static void no_end(void *ptr)
{
    (void)ptr;
}

static int no_file_error(void *ptr, char *text, unsigned size)
{
    (void)ptr;
    snprintf(text, size, "the server asked for a local file, which freshet never sends");
    return CR_UNKNOWN_ERROR;
}

static void tls_options(MYSQL *m, const fr_my_dsn *d)
{
    /* Both explicitly: the library's defaults differ from version to version. */
    my_bool enforce = d->tls != FR_MY_TLS_OFF, verify = d->tls == FR_MY_TLS_VERIFY;
    if (enforce)
        mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (enforce && d->ca != NULL)
        mysql_options(m, MYSQL_OPT_SSL_CA, d->ca);
    if (enforce && d->cert != NULL)
        mysql_options(m, MYSQL_OPT_SSL_CERT, d->cert);
    if (enforce && d->key != NULL)
        mysql_options(m, MYSQL_OPT_SSL_KEY, d->key);
    if (!enforce && d->socket == NULL)
        mysql_optionsv(m, MARIADB_OPT_RESTRICTED_AUTH,
                       d->local ? loopback_plugins : remote_plugins);
}

static void options(MYSQL *m, const fr_my_dsn *d, const fr_my_target *target)
{
    unsigned off = 0, seconds = d->connect_seconds;
    mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_set_local_infile_handler(m, no_file, no_bytes, no_end, no_file_error, NULL);
    mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &seconds); /* of the login; then patience */
    unsigned wait = target->timeout_seconds;
    mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &wait);
    mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_optionsv(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "freshet");
    unsigned long packet = 1UL << 30;
    mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    if (d->compress)
        mysql_options(m, MYSQL_OPT_COMPRESS, NULL);
    unsigned protocol = d->socket != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    mysql_options(m, MYSQL_OPT_PROTOCOL, &protocol);
    tls_options(m, d);
}

/* A server's text goes into logs: one line, and UTF-8, whatever it says. */
static void tidy(char *text)
{
    for (char *at = text; *at != '\0';) {
        unsigned char c = (unsigned char)*at;
        size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        bool whole = strnlen(at, n) == n && fr_utf8_valid((fr_str){at, n});
        if (c < 0x20 || c == 0x7f)
            *at = ' ';
        else if (!whole)
            *at = '?';
        at += whole ? n : 1;
    }
}

static fr_rc no_tls(const char *place, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "connect to %s: the server does not support TLS", place);
    fr_fail_code(err, "my.tls");
    return fr_fail_hint(err, "switch TLS on at the server (ssl_cert, ssl_key), or accept a line "
                             "that can be read with tls=off and insecure: true");
}

static fr_rc login_fail(MYSQL *m, const fr_my_dsn *d, const char *place, fr_err *err)
{
    unsigned number = mysql_errno(m);
    const char *text = mysql_error(m);
    fr_err_kind kind = fr_my_error_kind(number, mysql_sqlstate(m));
    bool certificate = number == CR_SSL_CONNECTION_ERROR && d->tls == FR_MY_TLS_VERIFY &&
                       (strstr(text, "ertificate") != NULL || strstr(text, "self") != NULL ||
                        strstr(text, "verif") != NULL);
    if (number == CR_SSL_CONNECTION_ERROR && strstr(text, "does not support") != NULL)
        return no_tls(place, err);
    bool plugin = number == CR_AUTH_PLUGIN_CANNOT_LOAD || strstr(text, "RESTRICTED_AUTH") != NULL ||
                  strstr(text, "restricted") != NULL;
    if (certificate || plugin)
        kind = FR_ERR_CONFIG;
    fr_fail(err, kind, "connect to %s: %s", place, text[0] != '\0' ? text : "no reason given");
    tidy(err->text);
    fr_redact(err->text);
    err->native = (int)number;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", mysql_sqlstate(m));
    tidy(err->sqlstate);
    if (certificate) {
        fr_fail_code(err, "my.certificate");
        return fr_fail_hint(err, "give the file of the authority that signed the server's "
                                 "certificate (dsn ?ca=FILE), and the name that stands in it as "
                                 "host");
    }
    if (plugin) {
        fr_fail_code(err, "my.auth_plugin");
        return fr_fail_hint(err,
                            "this account's login would show its password on a line without "
                            "TLS: use TLS, or an account with mysql_native_password or ed25519");
    }
    if (number == ER_DBACCESS_DENIED_ERROR)
        return fr_fail_hint(err,
                            "leave the database out of the dsn, or give the user a right in it");
    if (kind == FR_ERR_AUTH)
        return fr_fail_hint(err, "check user and password; a user with REQUIRE SSL gets the same "
                                 "answer where the dsn says tls=off");
    return FR_FAIL;
}

static fr_rc session(fr_my *my, const fr_my_target *target, fr_err *err)
{
    fr_buf sql = {0};
    fr_buf_text(&sql, "SET " FR_MY_SESSION);
    if (target->raw_results)
        fr_buf_text(&sql, ", character_set_results=NULL");
    if (target->settings != NULL)
        fr_buf_printf(&sql, ", %s", target->settings);
    fr_rc rc = fr_my_exec(my, "prepare the session", fr_buf_view(&sql), err);
    fr_buf_free(&sql);
    return rc;
}

/* A server whose machine is gone says nothing, for ever: let the kernel ask. Fails on a Unix
 * socket, where it is not needed. */
static void keep_alive(int fd)
{
    int on = 1, idle = 10, every = 5, times = 3;
    unsigned wait_ms = 30000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof(wait_ms));
}

static void learn(fr_my *my)
{
    keep_alive((int)mysql_get_socket(my->mysql));
    my->mariadb = mariadb_connection(my->mysql) != 0;
    my->version = (uint32_t)mysql_get_server_version(my->mysql);
    my->id = mysql_thread_id(my->mysql);
    snprintf(my->version_text, sizeof(my->version_text), "%s", mysql_get_server_info(my->mysql));
}

static fr_rc connect_to(const fr_my_dsn *d, const fr_my_target *target, const char *place,
                        fr_my **out, fr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    fr_my *my = fr_malloc(sizeof(*my));
    my->mysql = mysql_init(NULL);
    if (my->mysql == NULL)
        abort();
    options(my->mysql, d, target);
    fr_rc rc = FR_OK;
    unsigned long flags = (target->bulk ? CLIENT_MULTI_STATEMENTS : 0UL) |
                          (target->found_rows ? CLIENT_FOUND_ROWS : 0UL);
    if (mysql_real_connect(my->mysql, d->host, d->user, target->password, d->database, d->port,
                           d->socket, flags) == NULL)
        rc = login_fail(my->mysql, d, place, err);
    if (rc == FR_OK && d->tls != FR_MY_TLS_OFF && mysql_get_ssl_cipher(my->mysql) == NULL)
        rc = no_tls(place, err); /* the library asks for it only where it verifies */
    if (rc == FR_OK) {
        learn(my);
        rc = session(my, target, err);
    }
    if (rc == FR_FAIL) {
        fr_my_close(my);
        return FR_FAIL;
    }
    fr_my_patience(my, target->timeout_seconds);
    fr_my_limit_answers(my);
    *out = my;
    return FR_OK;
}

fr_rc fr_my_connect(const fr_my_target *target, fr_my **out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_dsn d;
    fr_rc rc = fr_my_dsn_parse(a, target->dsn, &d, err);
    if (rc == FR_OK)
        rc = fr_my_dsn_rules(&d, target->insecure, err);
    if (rc == FR_OK)
        rc = connect_to(&d, target, fr_arena_cstr(a, fr_my_dsn_place(a, target->dsn)), out, err);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_my_dsn_check(const fr_my_target *target, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_dsn d;
    fr_rc rc = fr_my_dsn_parse(a, target->dsn, &d, err);
    if (rc == FR_OK)
        rc = fr_my_dsn_rules(&d, target->insecure, err);
    fr_arena_free(a);
    return rc;
}

/* The library takes MYSQL_OPT_READ_TIMEOUT only while it connects; this is what it does then. */
void fr_my_patience(fr_my *my, unsigned seconds)
{
    MARIADB_PVIO *pvio = my->mysql->net.pvio;
    if (pvio != NULL)
        pvio->methods->set_timeout(pvio, PVIO_READ_TIMEOUT, (int)seconds);
}

void fr_my_close(fr_my *my)
{
    if (my == NULL)
        return;
    mysql_close(my->mysql);
    free(my->limit);
    free(my);
}

void fr_my_interrupt(fr_my *my)
{
    atomic_store(&my->stopping, true);
    shutdown((int)mysql_get_socket(my->mysql), SHUT_RDWR);
}

/* ---- errors ---- */

static const struct {
    unsigned number;
    fr_err_kind kind;
} kinds[] = {
    {ER_CON_COUNT_ERROR, FR_ERR_BUSY},
    {ER_TOO_MANY_USER_CONNECTIONS, FR_ERR_BUSY},
    {ER_USER_LIMIT_REACHED, FR_ERR_BUSY},
    {ER_LOCK_WAIT_TIMEOUT, FR_ERR_BUSY},
    {ER_LOCK_DEADLOCK, FR_ERR_BUSY},
    {ER_LOCK_TABLE_FULL, FR_ERR_BUSY},
    {ER_CHECKREAD, FR_ERR_BUSY},
    {ER_QUERY_INTERRUPTED, FR_ERR_BUSY},
    {ER_DISK_FULL, FR_ERR_BUSY},
    {ER_OUT_OF_RESOURCES, FR_ERR_BUSY},
    {ER_OUTOFMEMORY, FR_ERR_BUSY},
    {ER_RECORD_FILE_FULL, FR_ERR_BUSY},
    {ER_STATEMENT_TIMEOUT, FR_ERR_BUSY},
    {3024, FR_ERR_BUSY}, /* MySQL: ER_QUERY_TIMEOUT */
    {3572, FR_ERR_BUSY}, /* MySQL: ER_LOCK_NOWAIT */
    {ER_SERVER_SHUTDOWN, FR_ERR_CONNECT},
    {ER_NORMAL_SHUTDOWN, FR_ERR_CONNECT},
    {ER_SHUTDOWN_COMPLETE, FR_ERR_CONNECT},
    {ER_HOST_IS_BLOCKED, FR_ERR_CONNECT},
    {ER_CONNECTION_KILLED, FR_ERR_CONNECT},
    {ER_OPTION_PREVENTS_STATEMENT, FR_ERR_CONNECT}, /* read_only: a replica, perhaps soon no more */
    {1836, FR_ERR_CONNECT},                         /* ER_READ_ONLY_MODE */
    {3100, FR_ERR_CONNECT},                         /* MySQL: a hook refused (group replication) */
    {4031, FR_ERR_CONNECT},                         /* MySQL: disconnected after inactivity */
    {ER_NET_READ_ERROR, FR_ERR_CONNECT},
    {ER_NET_READ_INTERRUPTED, FR_ERR_CONNECT},
    {ER_NET_ERROR_ON_WRITE, FR_ERR_CONNECT},
    {ER_NET_WRITE_INTERRUPTED, FR_ERR_CONNECT},
    {ER_DBACCESS_DENIED_ERROR, FR_ERR_AUTH},
    {ER_ACCESS_DENIED_ERROR, FR_ERR_AUTH},
    {ER_TABLEACCESS_DENIED_ERROR, FR_ERR_AUTH},
    {ER_COLUMNACCESS_DENIED_ERROR, FR_ERR_AUTH},
    {ER_SPECIFIC_ACCESS_DENIED_ERROR, FR_ERR_AUTH},
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, FR_ERR_AUTH},
    {ER_HOST_NOT_PRIVILEGED, FR_ERR_AUTH},
    {ER_MUST_CHANGE_PASSWORD, FR_ERR_AUTH},
    {ER_MUST_CHANGE_PASSWORD_LOGIN, FR_ERR_AUTH},
    {3118, FR_ERR_AUTH}, /* MySQL: account locked */
    {4151, FR_ERR_AUTH}, /* MariaDB: account locked */
    {ER_MASTER_FATAL_ERROR_READING_BINLOG, FR_ERR_POSITION},
    {ER_NET_PACKET_TOO_LARGE, FR_ERR_DATA},
    {ER_TOO_BIG_ROWSIZE, FR_ERR_DATA},
    {ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, FR_ERR_DATA},
    {ER_WRONG_VALUE_FOR_TYPE, FR_ERR_DATA},
    {ER_NO_DEFAULT_FOR_FIELD, FR_ERR_DATA},
    {WARN_DATA_TRUNCATED, FR_ERR_DATA},
    {ER_NO_REFERENCED_ROW_2, FR_ERR_DATA},
    {ER_ROW_IS_REFERENCED_2, FR_ERR_DATA},
    {ER_NO_PARTITION_FOR_GIVEN_VALUE, FR_ERR_DATA},
    {ER_TRUNCATED_WRONG_VALUE, FR_ERR_DATA},
    {3140, FR_ERR_DATA}, /* MySQL: invalid JSON text */
    {3819, FR_ERR_DATA}, /* MySQL: check constraint violated */
    {4025, FR_ERR_DATA}, /* MariaDB: the same */
};

fr_err_kind fr_my_error_kind(unsigned number, const char *sqlstate)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].number == number)
            return kinds[i].kind;
    if (number >= 2000 && number < 3000) {
        bool never = number == CR_AUTH_PLUGIN_CANNOT_LOAD || number == CR_VERSION_ERROR;
        return never ? FR_ERR_CONFIG : FR_ERR_CONNECT; /* the client library's own */
    }
    if (sqlstate == NULL || strncmp(sqlstate, "08", 2) == 0)
        return FR_ERR_CONNECT;
    if (strncmp(sqlstate, "28", 2) == 0)
        return FR_ERR_AUTH;
    if (strncmp(sqlstate, "40", 2) == 0)
        return FR_ERR_BUSY;
    if (strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0)
        return FR_ERR_DATA;
    return FR_ERR_CONFIG;
}

/* Complaints about data quote the value in apostrophes and then name the column or key
 * ("Duplicate entry '17-x' for key 'name'"). The value goes, whatever it holds. */
static void hide_value(char *text)
{
    char *open = strchr(text, '\'');
    if (open == NULL || strncmp(text, "Column '", 8) == 0 || strncmp(text, "Field '", 7) == 0 ||
        strncmp(text, "Data t", 6) == 0 || strncmp(text, "Out of range", 12) == 0 ||
        strncmp(text, "Check constraint", 16) == 0)
        return; /* these name a column */
    char *close = NULL;
    for (char *at = strstr(open, "' for "); at != NULL; at = strstr(at + 1, "' for "))
        close = at;
    if (close == NULL)
        close = strrchr(open, '\'');
    if (close <= open) {
        open[1] = '\0';
        return;
    }
    memmove(open + 1, close, strlen(close) + 1);
}

static fr_rc fail_with(fr_my *my, unsigned number, const char *sqlstate, const char *text,
                       const char *doing, fr_err *err)
{
    if (atomic_load(&my->stopping))
        return fr_fail(err, FR_ERR_CANCELLED, "%s: interrupted", doing);
    char line[sizeof(err->text)];
    snprintf(line, sizeof(line), "%s", text[0] != '\0' ? text : "no reason given");
    tidy(line);
    fr_err_kind kind = fr_my_error_kind(number, sqlstate);
    if (kind == FR_ERR_DATA)
        hide_value(line);
    fr_redact(line);
    fr_fail(err, kind, "%s: %s", doing, line);
    err->native = (int)number;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    tidy(err->sqlstate);
    return FR_FAIL;
}

fr_rc fr_my_fail(fr_my *my, const char *doing, fr_err *err)
{
    return fail_with(my, mysql_errno(my->mysql), mysql_sqlstate(my->mysql), mysql_error(my->mysql),
                     doing, err);
}

fr_rc fr_my_stmt_fail(fr_my *my, MYSQL_STMT *stmt, const char *doing, fr_err *err)
{
    return fail_with(my, mysql_stmt_errno(stmt), mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt),
                     doing, err);
}

/* ---- quoting ---- */

fr_str fr_my_ident(fr_arena *a, fr_str name)
{
    fr_buf b = {.arena = a};
    if (name.len > 0 && memchr(name.ptr, '\0', name.len) != NULL)
        name.len = 0;
    fr_buf_u8(&b, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '`')
            fr_buf_u8(&b, '`');
        fr_buf_u8(&b, (uint8_t)name.ptr[i]);
    }
    fr_buf_u8(&b, '`');
    return fr_buf_view(&b);
}

fr_str fr_my_qualified(fr_arena *a, fr_str space, fr_str name)
{
    if (space.len == 0)
        return fr_my_ident(a, name); /* of the connection's own database */
    fr_str one = fr_my_ident(a, space), two = fr_my_ident(a, name);
    return fr_arena_printf(a, "%.*s.%.*s", FR_ARG(one), FR_ARG(two));
}

static bool is_plain(fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c > 0x7e || c == '\'' || c == '\\')
            return false;
    }
    return true;
}

fr_str fr_my_literal(fr_arena *a, fr_str text)
{
    if (is_plain(text))
        return fr_arena_printf(a, "'%.*s'", FR_ARG(text));
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "_utf8mb4 X'");
    for (size_t i = 0; i < text.len; i++)
        fr_buf_printf(&b, "%02X", (unsigned char)text.ptr[i]);
    fr_buf_u8(&b, '\'');
    return fr_buf_view(&b);
}
