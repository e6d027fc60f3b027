/* Against librdkafka's mock cluster, which, as a broker does with a producer that it does not know,
 * takes any sequence number as the first one. */
#include "unit/test.h"

#include "kafka/delivery.h"
#include <librdkafka/rdkafka_mock.h>

enum { PRODUCE = 0, RTT_MS = 100 }; /* long enough for several requests to be under way */

static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static int proved, unproved, failed;

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    rd_kafka_resp_err_t result = fr_delivery_result(m);
    (void)rk, (void)opaque;
    proved += result == RD_KAFKA_RESP_ERR_NO_ERROR;
    unproved += result == FR_UNPROVED;
    failed += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    assert_int_equal(rd_kafka_conf_set(conf, name, value, text, sizeof(text)), RD_KAFKA_CONF_OK);
}

static int set_up(void **state)
{
    (void)state;
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "test.mock.num.brokers", "1");
    set(conf, "enable.idempotence", "true");
    set(conf, "batch.num.messages", "1"); /* each message a request of its own */
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    cluster = rd_kafka_handle_mock_cluster(producer);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), 0);
    assert_int_equal(rd_kafka_mock_broker_set_rtt(cluster, 1, RTT_MS), 0);
    proved = unproved = failed = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rd_kafka_destroy(producer);
    return 0;
}

static void produce(int count)
{
    char value[] = "a";
    for (int i = 0; i < count; i++)
        assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0),
                                           RD_KAFKA_V_VALUE(value, 1),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                           RD_KAFKA_V_END),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, 20000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void what_has_an_offset_is_there(void **state)
{
    (void)state;
    produce(3);
    assert_int_equal(proved, 3);
}

/* librdkafka has never had an answer for the first one. */
static void the_success_of_a_later_batch_proves_nothing(void **state)
{
    (void)state;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    produce(2);
    assert_int_equal(failed, 0);
    assert_int_equal(proved, 1);
    assert_int_equal(unproved, 1);
}

static void a_batch_that_was_alone_is_sent_again(void **state)
{
    (void)state;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    produce(1);
    assert_int_equal(proved, 1);
}

static void the_error_says_that_it_passes(void **state)
{
    (void)state;
    fr_err err;
    assert_fails(fr_delivery_unproved("shop.orders", &err), FR_ERR_CONNECT);
    assert_string_equal(err.code, "kafka.unproved");
    assert_non_null(strstr(err.text, "shop.orders"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_an_offset_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_success_of_a_later_batch_proves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_batch_that_was_alone_is_sent_again, set_up, tear_down),
        cmocka_unit_test(the_error_says_that_it_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
