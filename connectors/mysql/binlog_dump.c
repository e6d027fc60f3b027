#include "connectors/mysql/binlog_dump.h"
#include "base/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <ma_pvio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    COMMAND_REGISTER = 0x15,
    COMMAND_DUMP = 0x12,
    COMMAND_DUMP_GTID = 0x1e,
    DUMP_THROUGH_GTID = 4,
    HEARTBEAT_MS = 500,
    READ_SECONDS = 30, /* within a packet */
    EOF_PACKET = 0xfe,
    EOF_MAX = 9
};
/* D28: so much longer than the heartbeats that only a dead line is silent for it. */
#define SILENT_US INT64_C(15000000)
/* D29: before the first event the server may have to search all its files. */
#define SEEK_US INT64_C(3600000000)

struct fr_binlog_dump {
    fr_binlog_source *s;
    uint32_t server_id; /* ours, or a second reader's */
    fr_my *my;
    fr_binlog_position from;
    int wake;            /* eventfd */
    atomic_bool asked;   /* interrupted, not seen yet */
    atomic_bool reading; /* inside a call that only a shutdown ends */
    bool began;          /* an event came */
    int64_t heard_us;
};

/* ---- who we are ---- */

/* Far above the small numbers that people give. */
static uint32_t id_of(const char *text, size_t len)
{
    return UINT32_C(1000000000) + (uint32_t)(fr_hash64(text, len) % UINT32_C(3000000000));
}

uint32_t fr_binlog_server_id(const fr_source_settings *settings, const fr_binlog_config *config)
{
    if (config->server_id != 0)
        return (uint32_t)config->server_id;
    char host[256] = "", text[1024];
    gethostname(host, sizeof(host) - 1);
    int n = snprintf(text, sizeof(text), "%s/%s@%s", settings->pipeline, settings->name, host);
    size_t len = n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return id_of(text, len);
}

/* Column 0 of the answer has it. Where we may not ask, nobody is seen. */
static fr_rc is_used(fr_my *my, fr_arena *a, const char *sql, uint32_t id, bool *out, fr_err *err)
{
    fr_my_rows rows;
    if (fr_my_query(my, a, "list the replicas", sql, &rows, err) == FR_FAIL)
        return err->kind == FR_ERR_AUTH ? FR_OK : FR_FAIL;
    for (size_t i = 0; i < rows.count; i++)
        *out = *out || fr_my_uint(&rows, i, 0, 0) == id;
    return FR_OK;
}

fr_rc fr_binlog_free_server_id(fr_binlog_source *s, fr_my *my, uint32_t *out, fr_err *err)
{
    bool renamed = my->version >= (my->mariadb ? 100501u : 80022u);
    const char *replicas = !renamed      ? "SHOW SLAVE HOSTS"
                           : my->mariadb ? "SHOW REPLICA HOSTS"
                                         : "SHOW REPLICAS";
    fr_arena *a = fr_arena_new(0);
    bool used = true;
    fr_rc rc = FR_OK;
    while (rc != FR_FAIL && used) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%" PRIu32 " beside %u", s->server_id,
                         atomic_fetch_add(&s->beside, 1));
        *out = id_of(text, (size_t)n);
        used = *out == s->server_id;
        rc = is_used(my, a, "SELECT @@server_id", *out, &used, err);
        if (rc != FR_FAIL)
            rc = is_used(my, a, replicas, *out, &used, err);
    }
    fr_arena_free(a);
    return rc;
}

/* ---- commands ---- */

static void put_le(fr_buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8)
        fr_buf_u8(b, (uint8_t)v);
}

static fr_rc command(fr_my *my, int number, const fr_buf *b, const char *doing, fr_err *err)
{
    /* The library knows the command's number, not its contents: nothing is read back here. */
    int rc = my->mysql->methods->db_command(my->mysql, (enum enum_server_command)number,
                                            (const char *)b->ptr, b->len, 1, NULL);
    return rc != 0 ? fr_my_fail(my, doing, err) : FR_OK;
}

static bool read_failed(unsigned long len)
{
    return len == packet_error || len == (unsigned long)-1;
}

static fr_rc register_replica(fr_binlog_dump *d, fr_err *err)
{
    fr_buf b = {0};
    put_le(&b, d->server_id, 4);
    fr_buf_u8(&b, 7); /* what SHOW REPLICAS shows as host */
    fr_buf_text(&b, "freshet");
    put_le(&b, 0, 1 + 1 + 2 + 4 + 4); /* user, password, port, rank, source's id */
    fr_rc rc = command(d->my, COMMAND_REGISTER, &b, "register as a replica", err);
    fr_buf_free(&b);
    FR_TRY(rc);
    if (read_failed(mysql_net_read_packet(d->my->mysql)))
        return fr_my_fail(d->my, "register as a replica", err);
    return FR_OK;
}

static fr_rc set(fr_my *my, fr_arena *a, const char *doing, fr_err *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static fr_rc set(fr_my *my, fr_arena *a, const char *doing, fr_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fr_str sql = fr_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return fr_my_exec(my, doing, sql, err);
}

/* R37, D27: when we are held up by Kafka the server waits for us, for an hour, instead of a
 * minute; then it drops us, and we go on at the last checkpoint. */
static fr_rc prepare(fr_binlog_dump *d, fr_arena *a, const fr_binlog_start_at *start, fr_err *err)
{
    static const char doing[] = "prepare the dump";
    const fr_binlog_source *s = d->s;
    FR_TRY(set(d->my, a, doing, err,
               "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32',"
               " @master_heartbeat_period=%d000000, @source_heartbeat_period=%d000000,"
               " net_write_timeout=3600, net_read_timeout=3600",
               HEARTBEAT_MS, HEARTBEAT_MS));
    uint64_t id = fr_hash64(s->settings->name, strlen(s->settings->name)) ^
                  (uint64_t)d->server_id * UINT64_C(0x9e3779b97f4a7c15);
    char uuid[40];
    snprintf(uuid, sizeof(uuid), "%08" PRIx32 "-%04x-5%03x-8%03x-%012" PRIx64, d->server_id,
             (unsigned)(id & 0xffff), (unsigned)(id >> 16 & 0xfff), (unsigned)(id >> 28 & 0xfff),
             id >> 8 & UINT64_C(0xffffffffffff));
    FR_TRY(set(d->my, a, doing, err, "SET @slave_uuid='%s', @replica_uuid='%s'", uuid, uuid));
    if (!d->my->mariadb)
        return FR_OK;
    FR_TRY(set(d->my, a, doing, err, "SET @mariadb_slave_capability=4"));
    if (!start->by_gtid)
        return FR_OK;
    fr_buf text = {.arena = a};
    fr_gtids_print(start->done, &text);
    fr_str state = fr_my_literal(a, fr_buf_view(&text));
    FR_TRY(set(d->my, a, doing, err, "SET @slave_connect_state=%.*s", FR_ARG(state)));
    return set(d->my, a, doing, err,
               "SET @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0");
}

static fr_rc dump_gtid(fr_binlog_dump *d, fr_arena *a, const fr_binlog_start_at *start, fr_err *err)
{
    fr_buf b = {.arena = a}, known = {.arena = a};
    fr_gtids_binary(start->done, &known);
    put_le(&b, DUMP_THROUGH_GTID, 2);
    put_le(&b, d->server_id, 4);
    put_le(&b, 0, 4); /* no file name */
    put_le(&b, 4, 8); /* position */
    put_le(&b, known.len, 4);
    fr_buf_put(&b, known.ptr, known.len);
    return command(d->my, COMMAND_DUMP_GTID, &b, "ask for the log", err);
}

static fr_rc dump_file(fr_binlog_dump *d, fr_arena *a, bool by_gtid, fr_err *err)
{
    fr_buf b = {.arena = a};
    if (!by_gtid && d->from.pos > UINT32_MAX) {
        fr_fail(err, FR_ERR_POSITION,
                "%s:%" PRIu64 " is beyond 4 GiB of its file: no server starts there without GTIDs",
                d->from.file, d->from.pos);
        fr_fail_code(err, "my.position_large");
        return fr_fail_hint(err,
                            "freshet position reset %s starts over with a new snapshot; "
                            "transactions of 4 GiB need gtid_mode=ON",
                            d->s->settings->name);
    }
    put_le(&b, by_gtid ? 4 : d->from.pos, 4);
    put_le(&b, 0, 2); /* wait at the end of the log */
    put_le(&b, d->server_id, 4);
    if (!by_gtid)
        fr_buf_text(&b, d->from.file);
    return command(d->my, COMMAND_DUMP, &b, "ask for the log", err);
}

static fr_rc start_dump(fr_binlog_dump *d, fr_arena *a, const fr_binlog_start_at *start,
                        fr_err *err)
{
    FR_TRY(prepare(d, a, start, err));
    FR_TRY(register_replica(d, err));
    return start->by_gtid && !d->my->mariadb ? dump_gtid(d, a, start, err)
                                             : dump_file(d, a, start->by_gtid, err);
}

fr_rc fr_binlog_dump_open(fr_binlog_source *s, uint32_t server_id, const fr_binlog_position *p,
                          const fr_binlog_start_at *start, fr_binlog_dump **out, fr_err *err)
{
    fr_my_target target = {.dsn = s->config->dsn,
                           .password = s->config->password,
                           .insecure = s->config->insecure,
                           .timeout_seconds = READ_SECONDS};
    fr_binlog_dump *d = fr_malloc(sizeof(*d));
    d->s = s;
    d->server_id = server_id;
    d->from = *p;
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->heard_us = fr_now_us();
    fr_arena *a = fr_arena_new(0);
    fr_rc rc = FR_OK;
    if (d->wake < 0)
        rc = fr_fail(err, FR_ERR_BUSY, "eventfd: %s", strerror(errno));
    if (rc == FR_OK)
        rc = fr_my_connect(&target, &d->my, err);
    if (rc == FR_OK)
        rc = start_dump(d, a, start, err);
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        fr_binlog_refused(s, p, err);
        fr_binlog_dump_close(d);
        return FR_FAIL;
    }
    *out = d;
    return FR_OK;
}

void fr_binlog_dump_close(fr_binlog_dump *d)
{
    if (d == NULL)
        return;
    /* The library would wait for the server's answer to a farewell in the middle of a stream. */
    if (d->my != NULL)
        shutdown((int)mysql_get_socket(d->my->mysql), SHUT_RDWR);
    fr_my_close(d->my);
    if (d->wake >= 0)
        close(d->wake);
    free(d);
}

fr_rc fr_binlog_dump_allowed(fr_binlog_source *s, fr_err *err)
{
    fr_binlog_dump d = {.s = s, .server_id = s->server_id};
    FR_TRY(fr_binlog_connect(s, &d.my, err));
    fr_rc rc = register_replica(&d, err);
    fr_my_close(d.my);
    return rc;
}

/* ---- interrupts ---- */

void fr_binlog_dump_interrupt(fr_binlog_dump *d)
{
    uint64_t one = 1;
    atomic_store(&d->asked, true);
    ssize_t n = write(d->wake, &one, sizeof(one));
    (void)n; /* full means that a wake-up is pending already */
    if (atomic_load(&d->reading))
        fr_my_interrupt(d->my);
}

bool fr_binlog_dump_interrupted(fr_binlog_dump *d)
{
    if (!atomic_load_explicit(&d->asked, memory_order_relaxed) ||
        !atomic_exchange(&d->asked, false))
        return false;
    uint64_t count;
    ssize_t n = read(d->wake, &count, sizeof(count));
    (void)n;
    return true;
}

/* ---- reading ---- */

/* Bytes may wait in the library, where no poll sees them: read ahead, or decompressed. (What
 * OpenSSL has decrypted it hands over in whole records, which are smaller than the read-ahead.)
 * Should a version of the library keep some elsewhere, the next heartbeat shakes them out. */
static bool has_bytes(const fr_my *my)
{
    const NET *net = &my->mysql->net;
    const MARIADB_PVIO *pvio = net->pvio;
    if (net->compress && net->remain_in_buf > 0)
        return true;
    return pvio != NULL && pvio->cache != NULL && pvio->cache_size > 0 &&
           pvio->cache_pos < pvio->cache + pvio->cache_size;
}

/* FR_OK: the socket has something, or is closed. */
static fr_rc wait_for_bytes(fr_binlog_dump *d, int64_t until_us, fr_err *err)
{
    int64_t left = until_us - fr_now_us();
    if (left < 0)
        left = 0;
    struct timespec t = {.tv_sec = (time_t)(left / 1000000),
                         .tv_nsec = (long)(left % 1000000) * 1000};
    struct pollfd fds[2] = {
        {.fd = (int)mysql_get_socket(d->my->mysql), .events = POLLIN},
        {.fd = d->wake, .events = POLLIN},
    };
    int ready = ppoll(fds, 2, &t, NULL);
    if (ready < 0 && errno != EINTR)
        return fr_fail(err, FR_ERR_CONNECT, "poll: %s", strerror(errno));
    return ready > 0 && fds[0].revents != 0 ? FR_OK : FR_IDLE;
}

static fr_rc is_silent(fr_binlog_dump *d, fr_err *err)
{
    int64_t silent = fr_now_us() - d->heard_us;
    if (silent < (d->began ? SILENT_US : SEEK_US))
        return FR_IDLE;
    fr_fail(err, FR_ERR_CONNECT, "read the log: no heartbeat from the server for %" PRId64 " s",
            silent / 1000000);
    return fr_fail_code(err, "my.silent");
}

/* Servers before 5.6 end a reader's stream without a word when its id logs in again (D26). */
static fr_rc ended(const fr_binlog_dump *d, fr_err *err)
{
    fr_fail(err, FR_ERR_CONNECT, "read the log: the server ended the stream");
    return fr_fail_hint(err,
                        "it was shut down, or this reader was killed; if it happens again and "
                        "again, another replica logs in as server_id %" PRIu32
                        ": give this source its own number with sources.%s.log.server_id",
                        d->server_id, d->s->settings->name);
}

static fr_rc read_packet(fr_binlog_dump *d, fr_str *event, fr_err *err)
{
    MYSQL *m = d->my->mysql;
    atomic_store(&d->reading, true);
    unsigned long len = atomic_load(&d->asked) ? packet_error : mysql_net_read_packet(m);
    atomic_store(&d->reading, false);
    if (read_failed(len) && atomic_load(&d->asked))
        return FR_IDLE;
    if (read_failed(len)) {
        fr_my_fail(d->my, "read the log", err);
        return fr_binlog_refused(d->s, &d->from, err);
    }
    const unsigned char *at = m->net.read_pos;
    if (len < 1 || (at[0] == EOF_PACKET && len < EOF_MAX))
        return ended(d, err);
    if (at[0] != 0)
        return fr_fail(err, FR_ERR_BUG, "read the log: a packet begins with 0x%02x", at[0]);
    *event = (fr_str){(const char *)at + 1, len - 1};
    d->heard_us = fr_now_us();
    /* A ROTATE and the format come before a server begins to search. */
    d->began = d->began || (event->len > 4 && event->ptr[4] != 4 && event->ptr[4] != 15);
    return FR_OK;
}

fr_rc fr_binlog_dump_next(fr_binlog_dump *d, int64_t until_us, fr_str *event, fr_err *err)
{
    if (atomic_load_explicit(&d->my->stopping, memory_order_relaxed))
        return fr_fail(err, FR_ERR_CANCELLED, "read the log: interrupted");
    if (atomic_load_explicit(&d->asked, memory_order_relaxed))
        return FR_IDLE;
    if (!has_bytes(d->my)) {
        fr_rc rc = wait_for_bytes(d, until_us, err);
        if (rc != FR_OK)
            return rc == FR_FAIL ? FR_FAIL : is_silent(d, err);
    }
    return read_packet(d, event, err);
}
