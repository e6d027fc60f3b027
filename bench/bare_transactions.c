/* The least that a message in a transaction of its own takes: a bare transactional producer with
 * freshet's shape of transactions. Messages fall due at a steady pace; whenever some are due and
 * no transaction is open, one begins, takes them in, adds one record to the last partition (as our
 * checkpoint is), and commits. A read_committed consumer notes when each arrives. No database.
 *
 *   bare_transactions BROKERS TOPIC PARTITIONS PER_SECOND SECONDS
 *
 * TOPIC has PARTITIONS + 1 partitions. */
#include "bench/bare_kafka.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { WARM = 100, PATIENCE_US = 20000000 };

typedef struct run {
    const char *brokers, *topic;
    int partitions;
    int64_t count, gap_us, began_us, transactions;
    int64_t *seen; /* by number, monotonic */
} run;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (m->err != 0)
        bare_die("delivery", rd_kafka_err2str(m->err));
}

static void *consumer(void *context)
{
    run *r = context;
    const char *const pairs[][2] = {{"bootstrap.servers", r->brokers},
                                    {"group.id", "bench"},
                                    {"isolation.level", "read_committed"},
                                    {"enable.auto.commit", "false"},
                                    {"socket.nagle.disable", "true"}};
    rd_kafka_t *rk = bare_client(RD_KAFKA_CONSUMER, pairs, sizeof(pairs) / sizeof(pairs[0]), NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < r->partitions; i++)
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = 0;
    rd_kafka_assign(rk, list);
    int64_t deadline = fr_now_us() + r->count * r->gap_us + PATIENCE_US;
    for (int64_t got = 0; got < r->count && fr_now_us() < deadline;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
        int64_t now = fr_now_us(), at;
        if (m == NULL)
            continue;
        if (m->err == 0 && m->len == sizeof(at)) {
            memcpy(&at, m->payload, sizeof(at));
            r->seen[at] = now;
            got++;
        }
        rd_kafka_message_destroy(m);
    }
    return NULL;
}

static int64_t due_us(const run *r, int64_t i)
{
    return r->began_us + i * r->gap_us;
}

static void send_one(rd_kafka_topic_t *t, int32_t partition, int64_t i)
{
    if (rd_kafka_produce(t, partition, RD_KAFKA_MSG_F_COPY, &i, sizeof(i), &i, sizeof(i), NULL) !=
        0)
        bare_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
}

static void produce(run *r)
{
    char id[64];
    snprintf(id, sizeof(id), "bench-%lld", (long long)fr_wall_us());
    const char *const pairs[][2] = {{"bootstrap.servers", r->brokers},
                                    {"transactional.id", id},
                                    {"linger.ms", "5"},
                                    {"compression.codec", "lz4"},
                                    {"socket.nagle.disable", "true"}};
    rd_kafka_t *rk =
        bare_client(RD_KAFKA_PRODUCER, pairs, sizeof(pairs) / sizeof(pairs[0]), delivered);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, r->topic, NULL);
    bare_must(rd_kafka_init_transactions(rk, 30000), "init_transactions");
    pthread_t thread;
    pthread_create(&thread, NULL, consumer, r);
    sleep(1); /* its first fetch is on its way */
    r->began_us = fr_now_us();
    for (int64_t i = 0; i < r->count;) {
        int64_t now = fr_now_us();
        if (due_us(r, i) > now) {
            usleep((unsigned)(due_us(r, i) - now));
            continue;
        }
        bare_must(rd_kafka_begin_transaction(rk), "begin");
        for (; i < r->count && due_us(r, i) <= now; i++)
            send_one(t, (int32_t)(i % r->partitions), i);
        send_one(t, r->partitions, i);
        bare_must(rd_kafka_commit_transaction(rk, 60000), "commit");
        r->transactions++;
    }
    pthread_join(thread, NULL);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        bare_die("usage", "bare_transactions BROKERS TOPIC PARTITIONS PER_SECOND SECONDS");
    int64_t rate = atoll(argv[4]);
    run r = {.brokers = argv[1], .topic = argv[2], .partitions = atoi(argv[3])};
    r.count = rate * atoll(argv[5]);
    if (r.partitions < 1 || rate <= 0 || r.count <= 2 * WARM)
        bare_die("usage", "too few messages");
    r.gap_us = 1000000 / rate;
    r.seen = calloc((size_t)r.count, sizeof(int64_t));
    produce(&r);
    int64_t n = r.count - WARM, *took = r.seen + WARM;
    for (int64_t i = 0; i < n; i++) {
        if (took[i] == 0)
            bare_die("bare_transactions", "not all messages arrived");
        took[i] -= due_us(&r, WARM + i);
    }
    qsort(took, (size_t)n, sizeof(*took), by_value);
    printf("{\"transactions\": %lld, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           (long long)r.transactions, (double)took[n / 2] / 1e3, (double)took[n * 99 / 100] / 1e3);
    return 0;
}
