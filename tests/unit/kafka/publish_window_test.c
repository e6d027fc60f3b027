/* Groups of messages against librdkafka's mock cluster: all arrive, in order within a partition,
 * also when the queue is fuller than it may be. */
#include "unit/test.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "kafka/publisher.h"
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

enum { PARTITIONS = 3, MESSAGES = 3000, QUEUE = 40 };

static rd_kafka_t *home;
static rd_kafka_mock_cluster_t *cluster;
static fr_publisher *p;
static fr_target targets[2];
static fr_slot slots[2][PARTITIONS];
static fr_batch *batch;

static rd_kafka_conf_t *conf_of(void)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), text,
                      sizeof(text));
    return conf;
}

static void open_publisher(void)
{
    static const char *const names[2] = {"unit-window-a", "unit-window-b"};
    char text[256];
    p = fr_malloc(sizeof(*p));
    p->client.owner = p;
    snprintf(p->client.who, sizeof(p->client.who), "unit");
    rd_kafka_conf_t *conf = conf_of();
    rd_kafka_conf_set_opaque(conf, &p->client);
    rd_kafka_conf_set_dr_msg_cb(conf, fr_publisher_delivered);
    snprintf(text, sizeof(text), "%d", QUEUE);
    rd_kafka_conf_set(conf, "queue.buffering.max.messages", text, text, sizeof(text));
    p->client.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    assert_non_null(p->client.rk);
    for (int t = 0; t < 2; t++) {
        assert_int_equal(rd_kafka_mock_topic_create(cluster, names[t], PARTITIONS, 1), 0);
        targets[t] = (fr_target){.name = names[t],
                                 .handle = rd_kafka_topic_new(p->client.rk, names[t], NULL),
                                 .slots = slots[t],
                                 .slot_count = PARTITIONS};
        for (int i = 0; i < PARTITIONS; i++)
            slots[t][i] = (fr_slot){.target = &targets[t], .partition = i};
    }
}

static int set_up(void **state)
{
    (void)state;
    char text[256];
    home = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(home, 1);
    open_publisher();
    batch = fr_batch_new(SIZE_MAX, SIZE_MAX);
    for (int i = 0; i < MESSAGES; i++) {
        fr_message *m = fr_batch_message(batch);
        m->key = fr_arena_printf(batch->arena, "%d", i % 7);
        m->payload = fr_arena_printf(batch->arena, "%d", i);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++)
        rd_kafka_topic_destroy(targets[t].handle);
    rd_kafka_destroy(p->client.rk);
    free(p->touched);
    free(p);
    fr_batch_free(batch);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(home);
    return 0;
}

/* Mostly one topic for a while, as transactions are; partitions in no order. */
static int target_of(int i)
{
    return i / 700 % 2;
}

static int partition_of(int i)
{
    return i * 7919 % 1000 % PARTITIONS;
}

/* What each partition holds, checked against what went there. */
static void check_partition(rd_kafka_t *rk, int t, int partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, targets[t].name, partition)->offset = 0;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    for (int i = 0; i < MESSAGES; i++) {
        if (target_of(i) != t || partition_of(i) != partition)
            continue;
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 30000);
        assert_non_null(m);
        assert_int_equal(m->err, 0);
        assert_str(((fr_str){m->payload, m->len}), batch->messages[i].payload.ptr);
        assert_str(((fr_str){m->key, m->key_len}), batch->messages[i].key.ptr);
        rd_kafka_message_destroy(m);
    }
    assert_null(rd_kafka_consumer_poll(rk, 100));
}

static void each_partition_keeps_its_order(void **state)
{
    (void)state;
    fr_err err;
    const fr_message *failed;
    char text[256];
    for (int i = 0; i < MESSAGES; i++) /* many more than the queue holds: some must wait */
        assert_ok(fr_publisher_window_add(p, &targets[target_of(i)], &batch->messages[i],
                                          partition_of(i), &failed, &err));
    assert_ok(fr_publisher_window_send(p, &failed, &err));
    assert_int_equal(p->window.count, 0);
    assert_int_equal(rd_kafka_flush(p->client.rk, 30000), 0);
    assert_int_equal(p->produced, MESSAGES);
    assert_int_equal(p->delivered, MESSAGES);
    assert_int_equal(p->failed, 0);
    rd_kafka_conf_t *conf = conf_of();
    rd_kafka_conf_set(conf, "group.id", "unit", text, sizeof(text));
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < PARTITIONS; i++)
            check_partition(rk, t, i);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void who_is_refused_is_named(void **state)
{
    (void)state;
    fr_err err;
    const fr_message *failed = NULL;
    fr_slot nowhere = {.target = &targets[0], .partition = PARTITIONS + 5};
    fr_target odd = targets[0];
    fr_slot mixed[2] = {slots[0][0], nowhere};
    odd.slots = mixed;
    for (size_t i = 0; i < 10; i++)
        assert_ok(
            fr_publisher_window_add(p, &odd, &batch->messages[i], i < 6 ? 0 : 1, &failed, &err));
    assert_int_equal(fr_publisher_window_send(p, &failed, &err), FR_FAIL);
    assert_ptr_equal(failed, &batch->messages[6]);
    assert_int_equal(p->window.count, 0); /* and nothing of it comes later */
    assert_int_equal(mixed[0].first, 0);
    assert_int_equal(rd_kafka_flush(p->client.rk, 30000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_partition_keeps_its_order),
        cmocka_unit_test(who_is_refused_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
