/* The least that a binlog on Kafka takes: reads the log as a replica, decodes the rows of one
 * table, writes Avro by hand (before, after, a source block, op, time), and produces with
 * freshet's settings of librdkafka; a delete is followed by its tombstone. Knows the columns of
 * the bench's table and nothing else: no schemas, no positions, no checks, no second try.
 *
 *   my_bare_binlog HOST PORT FILE POSITION ROWS discard
 *   my_bare_binlog HOST PORT FILE POSITION ROWS TRANSACTION BROKERS TOPIC PARTITIONS
 *
 * As root without a password. Ends at the end of the transaction in which the ROWS-th row is.
 * TRANSACTION: so many messages, and then the end of the source's, are one of Kafka's; 0: no
 * transactions. discard: without Kafka. Formats of events and values: see
 * connectors/mysql/binlog_decode.h. */
#include "base/bytes.h"
#include "bench/bare_kafka.h"
#include <mysql.h>
#include <string.h>
#include <unistd.h>

enum { REGISTER = 0x15, DUMP = 0x12, HEADER = 19, CRC = 4, COLUMNS = 12, MOST = 1 << 16 };
enum { XID = 16, TABLE_MAP = 19, V1 = 23, V2 = 30 }; /* V1, V2: write; update and delete follow */

typedef struct column {
    uint8_t type, scale, precision;
    uint16_t most; /* bytes of a text */
    bool nullable;
} column;

typedef struct run {
    MYSQL *m;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    int32_t partitions;
    uint64_t table, rows, want, messages, bytes, transaction, in_transaction;
    bool open;
    column columns[COLUMNS];
    uint32_t seconds; /* the event's time */
    uint8_t scratch[MOST];
} run;

static uint64_t failed;

/* ---- the log ---- */

static void command(run *r, int number, const fr_buf *b)
{
    if (r->m->methods->db_command(r->m, (enum enum_server_command)number, (const char *)b->ptr,
                                  b->len, 1, NULL) != 0)
        bare_die("command", mysql_error(r->m));
}

static void start_dump(run *r, char **argv)
{
    fr_buf b = {.ptr = NULL};
    r->m = mysql_init(NULL);
    if (mysql_real_connect(r->m, argv[1], "root", NULL, NULL, (unsigned)atoi(argv[2]), NULL, 0) ==
        NULL)
        bare_die("connect", mysql_error(r->m));
    if (mysql_query(r->m, "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32', "
                          "@mariadb_slave_capability=4") != 0)
        bare_die("set", mysql_error(r->m));
    uint32_t id = 1000000 + (uint32_t)getpid();
    fr_buf_u32be(&b, __builtin_bswap32(id));
    fr_buf_put(&b, "\0\0\0\0\0\0\0\0\0\0\0\0\0", 13);
    command(r, REGISTER, &b);
    if (mysql_net_read_packet(r->m) == (unsigned long)-1)
        bare_die("register", mysql_error(r->m));
    b.len = 0;
    fr_buf_u32be(&b, __builtin_bswap32((uint32_t)strtoul(argv[4], NULL, 10)));
    fr_buf_put(&b, "\0\0", 2);
    fr_buf_u32be(&b, __builtin_bswap32(id));
    fr_buf_text(&b, argv[3]);
    command(r, DUMP, &b);
    fr_buf_free(&b);
}

static uint64_t le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static uint64_t be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* Table id 6, flags 2, lengths and names of database and table, columns, types, metadata, nulls. */
static void take_map(run *r, const uint8_t *p)
{
    const uint8_t *at = p + 8;
    at += at[0] + 2;
    bool ours = at[0] == 6 && memcmp(at + 1, "orders", 6) == 0;
    at += at[0] + 2;
    if (!ours)
        return;
    if (*at++ != COLUMNS)
        bare_die("my_bare_binlog", "another table than the bench's");
    r->table = le(p, 6);
    for (int i = 0; i < COLUMNS; i++)
        r->columns[i].type = at[i];
    at += COLUMNS + 1; /* and the length of the metadata */
    for (int i = 0; i < COLUMNS; i++) {
        column *c = &r->columns[i];
        if (c->type == MYSQL_TYPE_VARCHAR || c->type == MYSQL_TYPE_NEWDECIMAL) {
            c->precision = at[0];
            c->scale = at[1];
            c->most = (uint16_t)le(at, 2);
            at += 2;
        } else if (c->type == MYSQL_TYPE_DOUBLE || c->type == MYSQL_TYPE_DATETIME2 ||
                   c->type == MYSQL_TYPE_TIMESTAMP2) {
            c->scale = *at++;
        }
    }
    for (int i = 0; i < COLUMNS; i++)
        r->columns[i].nullable = at[i / 8] >> (i % 8) & 1;
}

/* ---- Avro ---- */

static uint8_t *put_long(uint8_t *to, int64_t v)
{
    uint64_t z = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
    for (; z >= 0x80; z >>= 7)
        *to++ = (uint8_t)(z | 0x80);
    *to++ = (uint8_t)z;
    return to;
}

static uint8_t *put_bytes(uint8_t *to, const void *p, size_t len)
{
    to = put_long(to, (int64_t)len);
    memcpy(to, p, len);
    return to + len;
}

/* As the shortest two's complement, the way Avro wants it. */
static uint8_t *put_decimal(uint8_t *to, int64_t v)
{
    uint64_t swapped = __builtin_bswap64((uint64_t)v);
    uint8_t b[8];
    int from = 0;
    memcpy(b, &swapped, 8);
    while (from < 7 &&
           ((b[from] == 0 && b[from + 1] < 0x80) || (b[from] == 0xff && b[from + 1] >= 0x80)))
        from++;
    return put_bytes(to, b + from, (size_t)(8 - from));
}

static uint8_t *take_decimal(const column *c, const uint8_t **at, uint8_t *to)
{
    static const int bytes_of[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    static const int64_t tens[] = {1,      10,      100,      1000,      10000,
                                   100000, 1000000, 10000000, 100000000, 1000000000};
    const int digits[2] = {c->precision - c->scale, c->scale};
    const uint8_t *p = *at;
    bool negative = (p[0] & 0x80) == 0;
    int64_t v = 0;
    bool first = true;
    for (int side = 0; side < 2;
         side++) /* the odd digits come first left of the point, last right */
        for (int left = digits[side]; left > 0;) {
            int now = side == 0 && left % 9 != 0 ? left % 9 : left > 9 ? 9 : left;
            uint64_t group = be(p, bytes_of[now]);
            uint64_t mask = (UINT64_C(1) << (8 * bytes_of[now])) - 1;
            group = first ? group ^ (UINT64_C(1) << (8 * bytes_of[now] - 1)) : group;
            group = negative ? ~group & mask : group;
            v = v * tens[now] + (int64_t)group;
            p += bytes_of[now];
            left -= now;
            first = false;
        }
    *at = p;
    return put_decimal(to, negative ? -v : v);
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t datetime_us(const uint8_t *p)
{
    int64_t v = (int64_t)(be(p, 5) - UINT64_C(0x8000000000));
    int64_t ymd = v >> 17, hms = v & 0x1ffff, ym = ymd >> 5;
    int64_t seconds = (hms >> 12) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    return (days(ym / 13, ym % 13, ymd & 31) * 86400 + seconds) * 1000000 + (int64_t)be(p + 5, 3);
}

static uint8_t *take_text(const column *c, const uint8_t **at, uint8_t *to)
{
    size_t bytes = c->most > 255 ? 2 : 1, len = (size_t)le(*at, (int)bytes);
    to = put_bytes(to, *at + bytes, len);
    *at += bytes + len;
    return to;
}

static uint8_t *take_value(const column *c, const uint8_t **at, uint8_t *to)
{
    const uint8_t *p = *at;
    switch (c->type) {
    case MYSQL_TYPE_LONGLONG:
        *at += 8;
        return put_long(to, (int64_t)le(p, 8));
    case MYSQL_TYPE_LONG:
        *at += 4;
        return put_long(to, (int32_t)le(p, 4));
    case MYSQL_TYPE_TINY:
        *at += 1;
        *to = p[0];
        return to + 1;
    case MYSQL_TYPE_DOUBLE:
        *at += 8;
        memcpy(to, p, 8);
        return to + 8;
    case MYSQL_TYPE_NEWDECIMAL:
        return take_decimal(c, at, to);
    case MYSQL_TYPE_VARCHAR:
        return take_text(c, at, to);
    case MYSQL_TYPE_DATETIME2:
        *at += 8;
        return put_long(to, datetime_us(p));
    case MYSQL_TYPE_TIMESTAMP2:
        *at += 7;
        return put_long(to, (int64_t)be(p, 4) * 1000000 + (int64_t)be(p + 4, 3));
    default:
        bare_die("my_bare_binlog", "a column of another type than the bench's");
        return to;
    }
}

/* One image of a row, from the log into the message. */
static uint8_t *take_row(const run *r, const uint8_t **at, uint8_t *to)
{
    const uint8_t *nulls = *at;
    *at += (COLUMNS + 7) / 8;
    for (int i = 0; i < COLUMNS; i++) {
        const column *c = &r->columns[i];
        bool null = nulls[i / 8] >> (i % 8) & 1;
        if (c->nullable)
            *to++ = null ? 0 : 2;
        if (!null)
            to = take_value(c, at, to);
    }
    return to;
}

/* ---- Kafka ---- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    failed += m->err != 0;
}

static void open_producer(run *r, char **argv)
{
    char id[64];
    snprintf(id, sizeof(id), "bench-%lld", (long long)fr_wall_us());
    const char *const pairs[][2] = {
        BARE_PRODUCER, {"bootstrap.servers", argv[7]}, {"transactional.id", id}};
    size_t count = sizeof(pairs) / sizeof(pairs[0]) - (r->transaction == 0);
    r->rk = bare_client(RD_KAFKA_PRODUCER, pairs, count, delivered);
    if (r->transaction > 0)
        bare_must(rd_kafka_init_transactions(r->rk, 30000), "init_transactions");
    r->topic = rd_kafka_topic_new(r->rk, argv[8], NULL);
    r->partitions = atoi(argv[9]);
    const rd_kafka_metadata_t *meta;
    if (rd_kafka_metadata(r->rk, 0, r->topic, &meta, 10000) != 0) /* known before the time runs */
        bare_die(argv[8], "no metadata");
}

static void commit(run *r)
{
    if (r->rk == NULL)
        return;
    if (r->transaction > 0)
        bare_must(rd_kafka_commit_transaction(r->rk, 60000), "commit");
    else if (rd_kafka_flush(r->rk, 60000) != 0)
        bare_die("flush", "timed out");
    r->open = false;
    r->in_transaction = 0;
}

static void send_one(run *r, const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
    r->messages++;
    r->bytes += key_len + len;
    if (r->rk == NULL)
        return;
    if (r->transaction > 0 && !r->open)
        bare_must(rd_kafka_begin_transaction(r->rk), "begin");
    r->open = true;
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < key_len; i++)
        hash = (hash ^ key[i]) * 16777619;
    int32_t partition = (int32_t)(hash % (uint32_t)r->partitions);
    while (rd_kafka_produce(r->topic, partition, RD_KAFKA_MSG_F_COPY, (void *)value, len, key,
                            key_len, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bare_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(r->rk, 50);
    }
    if (++r->in_transaction % 512 == 0)
        rd_kafka_poll(r->rk, 0);
}

/* ---- rows ---- */

/* As long as freshet's: who, where, when, and the place in the log. */
static uint8_t *put_source(const run *r, uint8_t *to)
{
    static const char names[] = "\x0a"
                                "0.1.0\x0emariadb\x12"
                                "bench0000";
    memcpy(to, names, sizeof(names) - 1);
    to = put_long(to + sizeof(names) - 1, (int64_t)r->seconds * 1000);
    to = put_bytes(put_bytes(to, "false", 5), "bench0000", 9);
    to = put_bytes(to, "[\"1125899906842624123\",\"1125899906842624123\"]", 45);
    to = put_long(put_long(to, (int64_t)r->seconds * 1000000), (int64_t)r->seconds * 1000000000);
    to = put_bytes(put_bytes(to, "bench0000", 9), "orders", 6);
    return put_long(put_long(to, INT64_C(1125899906842624123)), (int64_t)(r->rows % 1000));
}

/* kind: 0 write, 1 update, 2 delete. */
static void take_change(run *r, int kind, const uint8_t **at)
{
    static const uint8_t ops[] = {'c', 'u', 'd'};
    uint8_t key[24] = {0, 0, 0, 0, 1}, *to = r->scratch + 5;
    size_t key_len = (size_t)(put_long(key + 5, (int64_t)le(*at + (COLUMNS + 7) / 8, 8)) - key);
    memcpy(r->scratch, "\0\0\0\0\2", 5);
    for (int side = 0; side < 2; side++) {
        bool there = side == 0 ? kind != 0 : kind != 2;
        *to++ = there ? 2 : 0;
        if (there)
            to = take_row(r, at, to);
    }
    to = put_bytes(put_source(r, to), &ops[kind], 1);
    to = put_long(to, (int64_t)r->seconds * 1000);
    send_one(r, key, key_len, r->scratch, (size_t)(to - r->scratch));
    if (kind == 2)
        send_one(r, key, key_len, NULL, 0);
    r->rows++;
}

static void take_rows(run *r, int type, const uint8_t *p, const uint8_t *end)
{
    if (le(p, 6) != r->table)
        return;
    int kind = type >= V2 ? type - V2 : type - V1;
    const uint8_t *at = p + 8;
    if (type >= V2)
        at += le(at, 2);
    if (*at++ != COLUMNS)
        bare_die("my_bare_binlog", "another table than the bench's");
    at += (COLUMNS + 7) / 8 * (kind == 1 ? 2 : 1);
    while (at < end)
        take_change(r, kind, &at);
}

static void follow(run *r)
{
    for (;;) {
        unsigned long len = mysql_net_read_packet(r->m);
        const uint8_t *e = r->m->net.read_pos + 1;
        if (len == (unsigned long)-1 || len <= HEADER + CRC)
            bare_die("read", mysql_error(r->m));
        const uint8_t *end = e + len - 1 - CRC;
        int type = e[4];
        r->seconds = (uint32_t)le(e, 4);
        if (type == TABLE_MAP)
            take_map(r, e + HEADER);
        else if ((type >= V1 && type < V1 + 3) || (type >= V2 && type < V2 + 3))
            take_rows(r, type, e + HEADER, end);
        else if (type == XID && r->rows >= r->want)
            break;
        else if (type == XID && r->transaction > 0 && r->in_transaction >= r->transaction)
            commit(r);
    }
    commit(r);
}

int main(int argc, char **argv)
{
    static run r;
    if (argc != 7 && argc != 10)
        bare_die("usage", "my_bare_binlog HOST PORT FILE POSITION ROWS "
                          "discard|TRANSACTION [BROKERS TOPIC PARTITIONS]");
    r.want = strtoull(argv[5], NULL, 10);
    r.transaction = strtoull(argv[6], NULL, 10);
    if (argc == 10)
        open_producer(&r, argv);
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    start_dump(&r, argv);
    follow(&r);
    if (failed > 0)
        bare_die("produce", "messages were not delivered");
    bare_report(r.rows, r.bytes, began, cpu);
    fflush(stdout);
    _exit(0);
}
