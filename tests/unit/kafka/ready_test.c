/* A broker whose answers take longer than one wait of ours is heard all the same: it is far away,
 * or it has many topics to tell of. Against librdkafka's mock cluster. */
#include "unit/test.h"

#include "base/clock.h"
#include "kafka/client.h"
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

enum { SLOW_MS = FR_CLIENT_TICK_MS * 3 };

static rd_kafka_t *home;
static rd_kafka_mock_cluster_t *cluster;

static int set_up(void **state)
{
    (void)state;
    char text[256];
    home = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(home, 1);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(home);
    return 0;
}

static fr_rc ready(int64_t timeout_us, bool *knows, fr_err *err)
{
    const char *brokers[] = {rd_kafka_mock_cluster_bootstraps(cluster)};
    fr_kafka_settings settings = {
        .pipeline = "unit", .brokers = {.items = brokers, .count = 1}, .max_row_bytes = 1 << 20};
    fr_client_options options = {.type = RD_KAFKA_CONSUMER, .who = "unit"};
    fr_client client;
    assert_int_equal(fr_client_open(&client, &settings, &options, err), FR_OK);
    const struct rd_kafka_metadata *m = NULL;
    fr_rc rc = fr_client_ready(&client, timeout_us, &m, err);
    *knows = rc == FR_OK && m->topic_cnt == 1 && strcmp(m->topics[0].topic, "t") == 0;
    if (rc == FR_OK)
        rd_kafka_metadata_destroy(m);
    fr_client_close(&client);
    return rc;
}

static void a_slow_broker_is_heard(void **state)
{
    (void)state;
    fr_err err;
    bool knows;
    assert_int_equal(rd_kafka_mock_broker_set_rtt(cluster, 1, SLOW_MS), 0);
    assert_int_equal(ready(INT64_C(60000000), &knows, &err), FR_OK);
    assert_true(knows);
}

static void one_that_says_nothing_is_given_up(void **state)
{
    (void)state;
    fr_err err;
    bool knows;
    assert_int_equal(rd_kafka_mock_broker_set_rtt(cluster, 1, 600000), 0);
    int64_t begun = fr_now_us();
    assert_int_equal(ready(500000, &knows, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_CONNECT);
    assert_true(fr_now_us() - begun >= 500000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_broker_is_heard),
        cmocka_unit_test(one_that_says_nothing_is_given_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
