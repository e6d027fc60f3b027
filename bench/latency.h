/* What the latency programs share: a read_committed consumer that notes when each row arrives,
 * and the report. Each program brings the writer. Both clocks are this machine's.
 *
 *   PROGRAM DSN|HOST:PORT TABLE BROKERS TOPIC PER_SECOND SECONDS [FIRST_ID]
 *
 * TABLE has the columns (id bigint, note text), or names two of its columns that take a number and
 * a text: "t (a, b)". The key of its messages is that number: as Avro's long after the registry's
 * header of five bytes, or (outboxes) as text. */
#ifndef FR_BENCH_LATENCY_H
#define FR_BENCH_LATENCY_H

#include "bench/bare_kafka.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { WARM = 100, PATIENCE_US = 20000000 };

typedef struct run {
    const char *server, *table, *brokers, *topic;
    int64_t first, count, gap_us;
    int64_t *committed, *seen; /* by id, monotonic */
    pthread_barrier_t ready;
} run;

/* The writer's loop: the i-th row falls due. */
static void wait_turn(const run *r, int64_t began, int64_t i)
{
    int64_t wait = began + i * r->gap_us - fr_now_us();
    if (wait > 0)
        usleep((unsigned)wait);
}

static void note_commit(run *r, int64_t i)
{
    __atomic_store_n(&r->committed[i], fr_now_us(), __ATOMIC_RELEASE);
}

static rd_kafka_t *consumer(const run *r)
{
    const char *const pairs[][2] = {
        {"bootstrap.servers", r->brokers},     {"group.id", "bench"},
        {"isolation.level", "read_committed"}, {"enable.auto.commit", "false"},
        {"auto.offset.reset", "earliest"},     {"socket.nagle.disable", "true"}};
    rd_kafka_t *rk = bare_client(RD_KAFKA_CONSUMER, pairs, sizeof(pairs) / sizeof(pairs[0]), NULL);
    const rd_kafka_metadata_t *meta;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, r->topic, NULL);
    if (rd_kafka_metadata(rk, 0, t, &meta, 10000) != 0)
        bare_die(r->topic, "no metadata");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < meta->topics[0].partition_cnt; i++) {
        int64_t low, high;
        if (rd_kafka_query_watermark_offsets(rk, r->topic, i, &low, &high, 10000) != 0)
            bare_die(r->topic, "no offsets");
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = high;
    }
    rd_kafka_assign(rk, list);
    return rk;
}

/* Digits, of which the first byte tells them from the registry's header; -1: others. */
static int64_t number_of(const unsigned char *p, size_t len)
{
    int64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9' || len > 18)
            return -1;
        v = v * 10 + p[i] - '0';
    }
    return v;
}

/* -1: no number. */
static int64_t key_of(const rd_kafka_message_t *m)
{
    const unsigned char *p = m->key;
    uint64_t v = 0;
    if (p != NULL && m->key_len > 0 && p[0] != 0)
        return number_of(p, m->key_len);
    for (size_t i = 5, shift = 0; p != NULL && i < m->key_len && shift < 64; i++, shift += 7) {
        v |= (uint64_t)(p[i] & 0x7f) << shift;
        if ((p[i] & 0x80) == 0)
            return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    }
    return -1;
}

static int64_t receive(run *r, rd_kafka_t *rk)
{
    int64_t got = 0, deadline = fr_now_us() + r->count * r->gap_us + PATIENCE_US;
    while (got < r->count && fr_now_us() < deadline) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
        int64_t now = fr_now_us();
        if (m == NULL)
            continue;
        int64_t at = m->err == 0 ? key_of(m) - r->first : -1;
        if (at >= 0 && at < r->count && r->seen[at] == 0) {
            r->seen[at] = now;
            got++;
        }
        rd_kafka_message_destroy(m);
    }
    return got;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The first ones are left out: caches are cold, and topics are looked up. */
static void report(run *r)
{
    int64_t n = r->count - WARM, *took = r->seen + WARM;
    for (int64_t i = 0; i < n; i++)
        took[i] -= r->committed[WARM + i];
    qsort(took, (size_t)n, sizeof(*took), by_value);
    printf("{\"commits\": %lld, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f}\n",
           (long long)n, (double)took[n / 2] / 1e3, (double)took[n * 9 / 10] / 1e3,
           (double)took[n * 99 / 100] / 1e3, (double)took[n - 1] / 1e3);
}

static int latency_main(int argc, char **argv, void *(*writer)(void *run))
{
    if (argc != 7 && argc != 8)
        bare_die("usage", "SERVER TABLE BROKERS TOPIC PER_SECOND SECONDS [FIRST_ID]");
    int64_t rate = atoll(argv[5]);
    run r = {.server = argv[1], .table = argv[2], .brokers = argv[3], .topic = argv[4]};
    r.first = argc == 8 ? atoll(argv[7]) : 1000;
    r.count = rate * atoll(argv[6]);
    if (rate <= 0 || r.count <= 2 * WARM)
        bare_die("usage", "too few commits");
    r.gap_us = 1000000 / rate;
    r.committed = calloc((size_t)r.count, sizeof(int64_t));
    r.seen = calloc((size_t)r.count, sizeof(int64_t));
    pthread_barrier_init(&r.ready, NULL, 2);
    rd_kafka_t *rk = consumer(&r);
    (void)rd_kafka_consumer_poll(rk, 1000); /* its first fetch is on its way */
    pthread_t thread;
    pthread_create(&thread, NULL, writer, &r);
    pthread_barrier_wait(&r.ready);
    int64_t got = receive(&r, rk);
    pthread_join(thread, NULL);
    if (got != r.count)
        bare_die("latency", "not all commits arrived");
    report(&r);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return 0;
}

#endif
