/* Which replies to EndTxn are missing, told by librdkafka's own traffic with its mock cluster. */
#include "unit/test.h"

#include "kafka/endtxn.h"
#include <librdkafka/rdkafka_mock.h>

enum { END_TXN = 26 };

static fr_endtxn seen;
static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;

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
    set(conf, "transactional.id", "unit");
    set(conf, "reconnect.backoff.ms", "0");
    fr_endtxn_watch(conf, &seen);
    seen = (fr_endtxn){0};
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    assert_non_null(producer);
    cluster = rd_kafka_handle_mock_cluster(producer);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), 0);
    assert_null(rd_kafka_init_transactions(producer, 20000));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rd_kafka_destroy(producer);
    return 0;
}

static void one_transaction(rd_kafka_error_t *(*end)(rd_kafka_t *, int))
{
    char value[] = "v";
    assert_null(rd_kafka_begin_transaction(producer));
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_VALUE(value, 1),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     0);
    assert_int_equal(rd_kafka_flush(producer, 20000), 0);
    assert_null(end(producer, 20000));
}

static void all_is_answered(void **state)
{
    (void)state;
    one_transaction(rd_kafka_commit_transaction);
    one_transaction(rd_kafka_abort_transaction);
    assert_false(fr_endtxn_unanswered(&seen));
}

/* The broker says "not now": that is an answer, and what was asked will not happen later. */
static void refused_and_asked_again(void **state)
{
    (void)state;
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 2,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                      RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    one_transaction(rd_kafka_commit_transaction);
    assert_false(fr_endtxn_unanswered(&seen));
}

/* The mock cuts the connection instead of answering; the second try succeeds. */
static void cut_and_asked_again(rd_kafka_error_t *(*end)(rd_kafka_t *, int))
{
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
    one_transaction(end);
    assert_true(fr_endtxn_unanswered(&seen));
}

static void a_commit_is_cut(void **state)
{
    (void)state;
    cut_and_asked_again(rd_kafka_commit_transaction);
}

static void an_abort_is_cut(void **state)
{
    (void)state;
    cut_and_asked_again(rd_kafka_abort_transaction);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_and_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_abort_is_cut, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
