/* Against librdkafka's mock cluster, whose broker takes its time. The first step of a
 * commit is 1 ms here (failpoint kafka_commit_short), so that each commit times out and is resumed;
 * with threads that keep the processors busy librdkafka's own thread is too late now and then even
 * to begin, which is what must be noticed. */
#include "unit/test.h"

#include "base/thread.h"
#include "kafka/commit.h"
#include <librdkafka/rdkafka_mock.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RTT_MS = 20, TRANSACTIONS = 40, BUSY = 4 };

static rd_kafka_t *home;
static rd_kafka_mock_cluster_t *cluster;

static int set_up(void **state)
{
    (void)state;
    char text[256];
    home = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(home, 1);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "t", 1, 1), 0);
    assert_int_equal(rd_kafka_mock_broker_set_rtt(cluster, 1, RTT_MS), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(home);
    return 0;
}

static void succeeds(rd_kafka_error_t *error)
{
    if (error != NULL)
        fail_msg("%s", rd_kafka_error_string(error));
}

static rd_kafka_t *producer(void)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), text,
                      sizeof(text));
    rd_kafka_conf_set(conf, "transactional.id", "x", text, sizeof(text));
    rd_kafka_conf_set(conf, "linger.ms", "1", text, sizeof(text));
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    assert_non_null(rk);
    succeeds(rd_kafka_init_transactions(rk, 20000));
    return rk;
}

/* The commit before is really through, or this is refused. */
static void transaction(rd_kafka_t *rk)
{
    char value[] = "a";
    succeeds(rd_kafka_begin_transaction(rk));
    assert_int_equal(
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_VALUE(value, 1), RD_KAFKA_V_END),
        RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(rk, 20000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void *busy_thread(void *context)
{
    atomic_bool *over = context;
    while (!atomic_load_explicit(over, memory_order_relaxed))
        continue;
    return NULL;
}

static void a_commit_is_through_when_it_says_so(void **state)
{
    (void)state;
    rd_kafka_t *rk = NULL;
    fr_committer *c = NULL;
    fr_err err;
    atomic_bool over = false;
    pthread_t busy[BUSY];
    int committed = 0;
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(fr_thread_start(&busy[i], busy_thread, &over, &err), FR_OK);
    for (int i = 0; i < TRANSACTIONS; i++) {
        if (rk == NULL) {
            rk = producer();
            assert_int_equal(fr_committer_start(rk, &c, &err), FR_OK);
        }
        transaction(rk);
        fr_committer_ask(c);
        rd_kafka_error_t *error = NULL;
        while (!fr_committer_answer(c, 5, &error))
            continue;
        committed += error == NULL;
        if (error != NULL) { /* late: said, and nothing more is done with this one */
            assert_int_equal(rd_kafka_error_code(error), RD_KAFKA_RESP_ERR__STATE);
            assert_string_equal(rd_kafka_error_string(error),
                                "a commit that timed out cannot be resumed");
            rd_kafka_error_destroy(error);
            fr_committer_end(c);
            rd_kafka_destroy(rk);
            rk = NULL;
        }
    }
    atomic_store(&over, true);
    for (int i = 0; i < BUSY; i++)
        pthread_join(busy[i], NULL);
    print_message("%d of %d committed\n", committed, TRANSACTIONS);
    assert_true(committed > 0);
    if (rk != NULL) {
        fr_committer_end(c);
        rd_kafka_destroy(rk);
    }
}

static void a_call_is_known_while_it_is_under_way(void **state)
{
    (void)state;
    rd_kafka_t *rk = producer();
    transaction(rk);
    assert_false(fr_transactional_call_known(rk));
    rd_kafka_error_t *error = rd_kafka_commit_transaction(rk, RTT_MS / 2);
    assert_non_null(error);
    assert_int_equal(rd_kafka_error_code(error), RD_KAFKA_RESP_ERR__TIMED_OUT);
    rd_kafka_error_destroy(error);
    assert_true(fr_transactional_call_known(rk));
    succeeds(rd_kafka_commit_transaction(rk, 20000));
    assert_false(fr_transactional_call_known(rk));
    transaction(rk);
    succeeds(rd_kafka_commit_transaction(rk, 20000));
    rd_kafka_destroy(rk);
}

/* A commit that is under way and stays so; false: librdkafka was too late to begin it. */
static bool under_way(rd_kafka_t **rk, fr_committer **c)
{
    fr_err err;
    rd_kafka_error_t *error = NULL;
    *rk = producer();
    assert_int_equal(fr_committer_start(*rk, c, &err), FR_OK);
    transaction(*rk);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 60000);
    fr_committer_ask(*c);
    if (!fr_committer_answer(*c, 50, &error))
        return true;
    assert_non_null(error);
    assert_int_equal(rd_kafka_error_code(error), RD_KAFKA_RESP_ERR__STATE);
    rd_kafka_error_destroy(error);
    return false;
}

static void it_ends_with_a_commit_under_way(void **state)
{
    (void)state;
    rd_kafka_t *rk = NULL;
    fr_committer *c = NULL;
    for (bool is = false; !is;) {
        is = under_way(&rk, &c);
        fr_committer_end(c);
        rd_kafka_destroy(rk);
        rd_kafka_mock_broker_set_rtt(cluster, 1, RTT_MS);
    }
}

static void it_ends_without_a_commit(void **state)
{
    (void)state;
    fr_err err;
    fr_committer_end(NULL);
    fr_committer *c = NULL;
    rd_kafka_t *rk = producer();
    assert_int_equal(fr_committer_start(rk, &c, &err), FR_OK);
    fr_committer_end(c);
    rd_kafka_destroy(rk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_through_when_it_says_so),
        cmocka_unit_test(a_call_is_known_while_it_is_under_way),
        cmocka_unit_test(it_ends_with_a_commit_under_way),
        cmocka_unit_test(it_ends_without_a_commit),
    };
    setenv("FRESHET_FAILPOINT", "kafka_commit_short:off:*", 1);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
