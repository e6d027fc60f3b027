/* Against librdkafka's mock cluster, inside the process. It has no real transactions (see
 * tests/real/kafka_test.py for those): here are the loop, the errors and the configuration. */
#include "unit/test.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "kafka/admin.h"
#include "kafka/client.h"
#include "kafka/consume.h"
#include "kafka/publish.h"
#include "kafka/topics.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

/* The cluster lives in a client of its own. */
static rd_kafka_t *home;
static rd_kafka_mock_cluster_t *cluster;
static const char *brokers[1];
static fr_kafka_settings settings;

static int set_up(void **state)
{
    (void)state;
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    home = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    cluster = rd_kafka_mock_cluster_new(home, 1);
#if RD_KAFKA_VERSION >= 0x020800ff
    rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
#endif
    brokers[0] = rd_kafka_mock_cluster_bootstraps(cluster);
    settings = (fr_kafka_settings){.pipeline = "unit",
                                   .brokers = {brokers, 1},
                                   .exactly_once = true,
                                   .max_time_us = 500000,
                                   .topics_create = FR_WHEN_NEVER,
                                   .memory = 8 << 20,
                                   .max_row_bytes = 1 << 20};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(home);
    return 0;
}

static void fails_to_open(fr_err_kind kind, const char *code)
{
    fr_err err;
    fr_publisher *p;
    fr_checkpoint *c;
    assert_fails(fr_publisher_open(&settings, "s", "i", NULL, &p, &c, &err), kind);
    assert_string_equal(err.code, code);
}

static void with_property(const char *name, const char *value, const char *code)
{
    fr_pair pair = {name, value};
    settings.properties = (fr_pairs){&pair, 1};
    fails_to_open(FR_ERR_CONFIG, code);
    settings.properties = (fr_pairs){NULL, 0};
}

static void properties_that_are_ours_are_refused(void **state)
{
    (void)state;
    with_property("acks", "1", "kafka.property");
    with_property("transactional.id", "x", "kafka.property");
    with_property("group.instance.id", "x", "kafka.property");
    with_property("plugin.library.paths", "x.so", "kafka.property");
    with_property("linger.ms", "many", "kafka.property");
    with_property("no.such.property", "1", "kafka.property");
}

static void plaintext_stays_on_this_machine(void **state)
{
    (void)state;
    static const struct {
        const char *broker, *protocol;
        bool refused;
    } CASES[] = {
        {"kafka-1:9092", NULL, true},
        {"kafka-1:9092", "sasl_plaintext", true},
        {"PLAINTEXT://kafka-1:9092", "ssl", true},
        {"localhost.evil.example:9092", NULL, true},
        {"kafka-1:9093", "SSL", false},
        {"SSL://kafka-1:9093", NULL, false},
        {"localhost:1", NULL, false},
        {"127.0.0.1:1", NULL, false},
        {"[::1]:1", NULL, false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        fr_err err;
        fr_admin *a = NULL;
        fr_pair pairs[] = {{"sasl.mechanism", "PLAIN"},
                           {"sasl.username", "u"},
                           {"sasl.password", "not a secret"},
                           {"security.protocol", CASES[i].protocol}};
        fr_kafka_settings s = {.pipeline = "unit",
                               .brokers = {(const char **)&CASES[i].broker, 1},
                               .properties = {pairs, CASES[i].protocol != NULL ? 4 : 3}};
        fr_rc rc = fr_admin_open(&s, &a, &err);
        assert_int_equal(rc == FR_FAIL, CASES[i].refused);
        if (rc == FR_FAIL) {
            assert_string_equal(err.code, "kafka.insecure");
            s.insecure = true;
            assert_ok(fr_admin_open(&s, &a, &err));
        }
        fr_admin_close(a);
    }
}

static void a_transaction_may_not_outlast_the_broker_s_patience(void **state)
{
    (void)state;
    settings.max_time_us = 15000001;
    fails_to_open(FR_ERR_CONFIG, "kafka.txn");
    settings.max_time_us = 500000;
}

static void errors_say_what_the_operator_can_do(void **state)
{
    (void)state;
    static const struct {
        rd_kafka_resp_err_t from;
        fr_err_kind kind;
        const char *code;
    } CASES[] = {
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, FR_ERR_AUTH, "kafka.sasl"},
        {RD_KAFKA_RESP_ERR__SSL, FR_ERR_CONNECT, "kafka.tls"},
        {RD_KAFKA_RESP_ERR__RESOLVE, FR_ERR_CONNECT, "kafka.connect"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, FR_ERR_AUTH, "kafka.acl.topic"},
        {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FR_ERR_AUTH,
         "kafka.acl.transactional_id"},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, FR_ERR_DATA, "kafka.message.too_large"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FR_ERR_CONFIG, "kafka.topic.missing"},
        {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, FR_ERR_POSITION, "kafka.offset_out_of_range"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, FR_ERR_CONNECT, "kafka.connect"},
        {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, FR_ERR_CONNECT, "kafka.connect"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const char *code, *hint;
        assert_int_equal(fr_client_kind(CASES[i].from, &code, &hint), CASES[i].kind);
        assert_string_equal(code, CASES[i].code);
    }
    assert_true(fr_client_fenced(RD_KAFKA_RESP_ERR__FENCED));
    assert_false(fr_client_fenced(RD_KAFKA_RESP_ERR__TRANSPORT));
}

static fr_topic_state fine_topic(void)
{
    return (fr_topic_state){.name = "t",
                            .exists = true,
                            .partitions = 3,
                            .replicas = 3,
                            .config_known = true,
                            .expires = true,
                            .min_isr = 2,
                            .max_bytes = 2 << 20};
}

static size_t judged(const fr_topic_state *t, bool ours, bool null_keys, const char *code)
{
    fr_findings f = {.arena = fr_arena_new(0)};
    size_t refused = fr_topics_judge(&settings, t, ours, null_keys, &f);
    bool found = code == NULL ? f.count == 0 : false;
    for (size_t i = 0; i < f.count; i++) {
        found = found || (code != NULL && strcmp(f.items[i].code, code) == 0);
    }
    fr_arena_free(f.arena);
    assert_true(found);
    return refused;
}

static void topics_are_judged(void **state)
{
    (void)state;
    fr_topic_state t = fine_topic();
    assert_int_equal(judged(&t, false, false, NULL), 0);
    t.min_isr = 1;
    assert_int_equal(judged(&t, false, false, "kafka.topic.min_isr"), 1);
    const char *risk = "min-insync-replicas";
    settings.accept_risk = (fr_texts){&risk, 1};
    assert_int_equal(judged(&t, false, false, "kafka.topic.min_isr"), 0);
    settings.accept_risk = (fr_texts){NULL, 0};
    t.replicas = 1; /* a test cluster: min ISR 1 is all there can be */
    assert_int_equal(judged(&t, false, false, "kafka.topic.rf"), 0);
    t = fine_topic();
    t.unclean = true;
    assert_int_equal(judged(&t, false, false, "kafka.topic.unclean_election"), 1);
    t = fine_topic();
    t.max_bytes = 1000;
    assert_int_equal(judged(&t, false, false, "kafka.topic.max_bytes"), 0);
    t = fine_topic();
    t.compacted = true;
    assert_int_equal(judged(&t, false, true, "kafka.topic.cleanup"), 1);
    assert_int_equal(judged(&t, false, false, NULL), 0);
    t = fine_topic();
    assert_int_equal(judged(&t, true, false, "kafka.topic.cleanup"), 2); /* 3 partitions too */
    t.config_known = false;
    assert_int_equal(judged(&t, false, false, "kafka.acl.configs"), 0);
}

/* The mock has no admin calls, so a publisher cannot be opened on it; the client under it
 * and a consumer can. */
static void put(const char *topic, int count)
{
    char value[16];
    for (int i = 0; i < count; i++) {
        snprintf(value, sizeof(value), "v%d", i);
        assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, 2, 1) >= 0 || i > 0, 1);
    }
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers[0], text, sizeof(text));
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    for (int i = 0; i < count; i++) {
        int n = snprintf(value, sizeof(value), "v%d", i);
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % 2),
                          RD_KAFKA_V_VALUE(value, (size_t)n), RD_KAFKA_V_KEY("k", 1),
                          RD_KAFKA_V_HEADER("h", "x", 1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_END);
    }
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static size_t consume_to_end(fr_consumer *c, fr_batch *b)
{
    fr_err err;
    int64_t deadline = fr_now_us() + 30000000;
    while (!fr_consumer_at_end(c) && fr_now_us() < deadline) {
        fr_rc rc = fr_consume(c, b, fr_now_us() + 100000, &err);
        if (rc == FR_FAIL) {
            print_error("%s\n", err.text);
            fail();
        }
    }
    assert_true(fr_consumer_at_end(c));
    return b->message_count;
}

static void consumes_through_errors_of_the_broker(void **state)
{
    (void)state;
    const char *topic = "unit-consume";
    fr_err err;
    fr_consumer *c;
    put(topic, 10);
    rd_kafka_mock_push_request_errors(
        cluster, 1 /* Fetch */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    fr_consumer_settings s = {.kafka = &settings, .topics = &topic, .topic_count = 1};
    assert_ok(fr_consumer_open(&s, &c, &err));
    fr_batch *b = fr_batch_new(1000, 1 << 20);
    assert_int_equal(consume_to_end(c, b), 10);
    assert_int_equal(fr_consumer_lag(c), 0);
    int64_t next[2] = {0, 0};
    for (size_t i = 0; i < b->message_count; i++) {
        const fr_message *m = &b->messages[i];
        assert_str(m->topic, topic);
        assert_str(m->key, "k");
        assert_int_equal(m->offset, next[m->partition]++);
        assert_int_equal(m->header_count, 1);
        assert_string_equal(m->headers[0].name, "h");
    }
    fr_consumer_close(c);
    fr_batch_free(b);
}

static fr_rc from_three(void *context, fr_offsets *offsets, fr_err *err)
{
    (void)err;
    *(size_t *)context += offsets->count;
    for (size_t i = 0; i < offsets->count; i++) {
        offsets->items[i].next = 3;
    }
    return FR_OK;
}

static void a_group_begins_where_its_owner_says(void **state)
{
    (void)state;
    const char *topic = "unit-group";
    fr_err err;
    fr_consumer *c;
    size_t asked = 0;
    put(topic, 10);
    fr_consumer_settings s = {.kafka = &settings,
                              .group = "freshet.unit.sink",
                              .topics = &topic,
                              .topic_count = 1,
                              .assigned = from_three,
                              .context = &asked};
    assert_ok(fr_consumer_open(&s, &c, &err));
    fr_batch *b = fr_batch_new(1000, 1 << 20);
    assert_int_equal(consume_to_end(c, b), 4); /* offsets 3 and 4 of two partitions */
    assert_int_equal(asked, 2);
    assert_ok(fr_consumer_heartbeat(c, &err));
    assert_ok(fr_consumer_heartbeat(c, &err));
    put(topic, 2); /* comes although paused meanwhile */
    int64_t deadline = fr_now_us() + 30000000;
    while (b->message_count < 6 && fr_now_us() < deadline) {
        assert_int_not_equal(fr_consume(c, b, fr_now_us() + 100000, &err), FR_FAIL);
    }
    assert_int_equal(b->message_count, 6);
    fr_consumer_close(c);
    fr_batch_free(b);
}

static fr_rc not_now(void *context, fr_offsets *offsets, fr_err *err)
{
    (void)context, (void)offsets;
    return fr_fail(err, FR_ERR_FENCED, "the target has another owner");
}

static void an_owner_may_refuse(void **state)
{
    (void)state;
    const char *topic = "unit-refused";
    fr_err err;
    fr_consumer *c;
    put(topic, 2);
    fr_consumer_settings s = {.kafka = &settings,
                              .group = "freshet.unit.refused",
                              .topics = &topic,
                              .topic_count = 1,
                              .assigned = not_now};
    assert_ok(fr_consumer_open(&s, &c, &err));
    fr_batch *b = fr_batch_new(1000, 1 << 20);
    fr_rc rc = FR_IDLE;
    int64_t deadline = fr_now_us() + 30000000;
    while (rc == FR_IDLE && fr_now_us() < deadline) {
        rc = fr_consume(c, b, fr_now_us() + 100000, &err);
    }
    assert_int_equal(rc, FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_FENCED);
    assert_int_equal(b->message_count, 0);
    assert_fails(fr_consume(c, b, 0, &err), FR_ERR_FENCED);
    fr_consumer_close(c);
    fr_batch_free(b);
}

static void interrupt_ends_waiting(void **state)
{
    (void)state;
    const char *topic = "unit-interrupt";
    fr_err err;
    fr_consumer *c;
    put(topic, 1);
    fr_consumer_settings s = {.kafka = &settings, .topics = &topic, .topic_count = 1, .start = 1};
    assert_ok(fr_consumer_open(&s, &c, &err));
    fr_batch *b = fr_batch_new(10, 1 << 20);
    fr_consumer_interrupt(c);
    int64_t start = fr_now_us();
    assert_int_equal(fr_consume(c, b, start + 60000000, &err), FR_IDLE);
    assert_true(fr_now_us() - start < 30000000);
    fr_consumer_close(c);
    fr_batch_free(b);
}

static void a_missing_topic_is_named(void **state)
{
    (void)state;
    const char *topic = "^[";
    fr_err err;
    fr_consumer *c;
    fr_consumer_settings s = {.kafka = &settings, .topics = &topic, .topic_count = 1};
    assert_fails(fr_consumer_open(&s, &c, &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "no regular expression"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_that_are_ours_are_refused),
        cmocka_unit_test(plaintext_stays_on_this_machine),
        cmocka_unit_test(a_transaction_may_not_outlast_the_broker_s_patience),
        cmocka_unit_test(errors_say_what_the_operator_can_do),
        cmocka_unit_test(topics_are_judged),
        cmocka_unit_test(consumes_through_errors_of_the_broker),
        cmocka_unit_test(a_group_begins_where_its_owner_says),
        cmocka_unit_test(an_owner_may_refuse),
        cmocka_unit_test(interrupt_ends_waiting),
        cmocka_unit_test(a_missing_topic_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
