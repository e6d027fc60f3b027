/* The least a producer can do: the messages of a topic again, into another one, from memory,
 * with freshet's own settings and transactions.
 *
 *   bare_producer BROKERS FROM_TOPIC TO_TOPIC COUNT TRANSACTION
 *
 * Reads up to 100,000 messages of FROM_TOPIC first, which is not timed, and sends them in turn
 * until COUNT are committed. */
#include "bench/bare_kafka.h"
#include <string.h>
#include <unistd.h>

enum { KEPT = 100000, QUIET_MS = 3000 };

static rd_kafka_message_t *kept[KEPT];
static size_t kept_count;
static uint64_t failed;

/* All partitions from their beginnings; the messages stay in librdkafka's memory. */
static void read_some(const char *brokers, const char *topic)
{
    const char *const pairs[][2] = {{"bootstrap.servers", brokers},
                                    {"group.id", "bench"},
                                    {"isolation.level", "read_committed"},
                                    {"enable.auto.commit", "false"},
                                    {"auto.offset.reset", "earliest"}};
    rd_kafka_t *rk = bare_client(RD_KAFKA_CONSUMER, pairs, sizeof(pairs) / sizeof(pairs[0]), NULL);
    const rd_kafka_metadata_t *meta;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    if (rd_kafka_metadata(rk, 0, t, &meta, 10000) != 0)
        bare_die(topic, "no metadata");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < meta->topics[0].partition_cnt; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    rd_kafka_message_t *m;
    while (kept_count < KEPT && (m = rd_kafka_consumer_poll(rk, QUIET_MS)) != NULL) {
        if (m->err == 0)
            kept[kept_count++] = m;
        else
            rd_kafka_message_destroy(m);
    }
    if (kept_count == 0)
        bare_die(topic, "no messages");
    rd_kafka_assign(rk, NULL);
    /* The client is left open: the messages are its. */
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    failed += m->err != 0;
}

static rd_kafka_t *producer(const char *brokers)
{
    char id[64];
    snprintf(id, sizeof(id), "bench-%lld", (long long)fr_wall_us());
    const char *const pairs[][2] = {
        BARE_PRODUCER, {"bootstrap.servers", brokers}, {"transactional.id", id}};
    rd_kafka_t *rk =
        bare_client(RD_KAFKA_PRODUCER, pairs, sizeof(pairs) / sizeof(pairs[0]), delivered);
    bare_must(rd_kafka_init_transactions(rk, 30000), "init_transactions");
    return rk;
}

static uint64_t send_one(rd_kafka_t *rk, rd_kafka_topic_t *t, uint64_t i)
{
    const rd_kafka_message_t *m = kept[i % kept_count];
    while (rd_kafka_produce(t, m->partition, 0, m->payload, m->len, m->key, m->key_len, NULL) !=
           0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bare_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(rk, 50);
    }
    if (i % 512 == 0)
        rd_kafka_poll(rk, 0);
    return m->len + m->key_len;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        bare_die("usage", "bare_producer BROKERS FROM_TOPIC TO_TOPIC COUNT TRANSACTION");
    uint64_t count = strtoull(argv[4], NULL, 10), each = strtoull(argv[5], NULL, 10), bytes = 0;
    read_some(argv[1], argv[2]);
    rd_kafka_t *rk = producer(argv[1]);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, argv[3], NULL);
    const rd_kafka_metadata_t *meta;
    if (rd_kafka_metadata(rk, 0, t, &meta, 10000) != 0) /* known before the time runs */
        bare_die(argv[3], "no metadata");
    int64_t began = fr_now_us();
    double cpu = bare_cpu_seconds();
    for (uint64_t done = 0; done < count;) {
        uint64_t to = done + each < count ? done + each : count;
        bare_must(rd_kafka_begin_transaction(rk), "begin");
        for (; done < to; done++)
            bytes += send_one(rk, t, done);
        bare_must(rd_kafka_commit_transaction(rk, 60000), "commit");
    }
    if (failed > 0)
        bare_die("produce", "messages were not delivered");
    bare_report(count, bytes, began, cpu);
    fflush(stdout);
    _exit(0); /* closing a consumer that holds 100,000 messages takes longer than the bench */
}
