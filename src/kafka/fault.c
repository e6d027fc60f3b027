/* From librdkafka's errors to ours: what the operator can do decides the kind. */
#include "base/log.h"
#include "kafka/client.h"
#include <string.h>

typedef struct rule {
    rd_kafka_resp_err_t code;
    fr_err_kind kind;
    const char *dotted, *hint;
} rule;

static const rule RULES[] = {
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, FR_ERR_AUTH, "kafka.sasl",
     "Check sasl.mechanism, sasl.username and sasl.password in kafka.properties."},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, FR_ERR_AUTH, "kafka.sasl",
     "Check sasl.mechanism, sasl.username and sasl.password in kafka.properties."},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, FR_ERR_AUTH, "kafka.sasl",
     "Set sasl.mechanism in kafka.properties to one that the broker offers."},
    {RD_KAFKA_RESP_ERR__SSL, FR_ERR_CONNECT, "kafka.tls",
     "Check ssl.ca.location (the CA that signed the broker's certificate), the broker's name in "
     "kafka.brokers, and ssl.certificate.location when the broker asks for a client certificate."},
    {RD_KAFKA_RESP_ERR__RESOLVE, FR_ERR_CONNECT, "kafka.connect",
     "The name in kafka.brokers does not resolve: check it, and the resolver of this host."},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, FR_ERR_AUTH, "kafka.acl.topic",
     "Grant Describe, DescribeConfigs, Read and Write on the topic (Create too where freshet "
     "shall make it)."},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, FR_ERR_AUTH, "kafka.acl.group",
     "Grant Read on groups with the prefix freshet.<pipeline>. ."},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, FR_ERR_AUTH, "kafka.acl.cluster",
     "Grant IdempotentWrite (Create where freshet shall make topics) on the cluster."},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FR_ERR_AUTH,
     "kafka.acl.transactional_id",
     "Grant Describe and Write on transactional ids with the prefix freshet.<pipeline>. ."},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FR_ERR_CONFIG, "kafka.topic.missing",
     "Create it with: freshet apply"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, FR_ERR_CONFIG, "kafka.topic.missing",
     "Create it with: freshet apply"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, FR_ERR_POSITION, "kafka.topic.partitions",
     "The topic has lost partitions: was it deleted and created again?"},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, FR_ERR_CONFIG, "kafka.topic.name",
     "Kafka allows letters, digits, '.', '_' and '-', at most 249 of them."},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, FR_ERR_DATA, "kafka.message.too_large",
     "Raise max.message.bytes of the topic (kafka.topics.config for new ones)."},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, FR_ERR_DATA, "kafka.message.too_large",
     "Raise segment.bytes of the topic."},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, FR_ERR_DATA, "kafka.message.refused",
     "A compacted topic takes no message without key: give the table a key."},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, FR_ERR_CONFIG, "kafka.policy",
     "The cluster's policy refuses it: see kafka.topics.*."},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, FR_ERR_CONFIG, "kafka.topic.config",
     "See kafka.topics.config."},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, FR_ERR_CONFIG, "kafka.topic.rf",
     "Set kafka.topics.replication to at most the number of brokers."},
    {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, FR_ERR_CONFIG, "kafka.topic.partitions",
     "See kafka.topics.partitions."},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, FR_ERR_CONFIG, "kafka.txn",
     "transaction.timeout.ms is above the broker's transaction.max.timeout.ms: set it lower in "
     "kafka.properties."},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, FR_ERR_POSITION, "kafka.offset_out_of_range",
     "What comes next was deleted before it was read (retention), or the topic was truncated: "
     "freshet position reset SINK/TOPIC goes on with what is there."},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, FR_ERR_POSITION, "kafka.offset_out_of_range",
     "What comes next was deleted before it was read (retention), or the topic was truncated: "
     "freshet position reset SINK/TOPIC goes on with what is there."},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, FR_ERR_CONFIG, "kafka.version",
     "The broker is too old for this: see docs/kafka.md."},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, FR_ERR_CONFIG, "kafka.version",
     "The broker is too old for this: see docs/kafka.md."},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, FR_ERR_FENCED, "kafka.member_fenced",
     "A second process with the same http.listen and host reads this sink's topics: stop one, or "
     "give it another http.listen."},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, FR_ERR_BUG, "kafka.argument", NULL},
    {RD_KAFKA_RESP_ERR__STATE, FR_ERR_BUG, "kafka.state", NULL},
};

fr_err_kind fr_client_kind(rd_kafka_resp_err_t code, const char **dotted, const char **hint)
{
    for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++) {
        if (RULES[i].code == code) {
            *dotted = RULES[i].dotted;
            *hint = RULES[i].hint;
            return RULES[i].kind;
        }
    }
    *dotted = "kafka.connect";
    *hint = NULL;
    return FR_ERR_CONNECT;
}

bool fr_client_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

bool fr_client_passes(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED: /* joins again at the next poll */
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
        return true;
    default:
        return false;
    }
}

/* Codes behind which the connection's own fault is the better story. */
static bool is_vague(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || code == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
}

fr_rc fr_client_fail(fr_client *c, fr_err *err, rd_kafka_resp_err_t code, const char *reason,
                     const char *what)
{
    char fault[sizeof(c->reason)], fatal[sizeof(c->reason)];
    if (code == RD_KAFKA_RESP_ERR__FATAL) { /* "fatal" is no reason: another code holds it */
        code = rd_kafka_fatal_error(c->rk, fatal, sizeof(fatal));
        reason = fatal;
    }
    pthread_mutex_lock(&c->lock);
    memcpy(fault, c->reason, sizeof(fault));
    rd_kafka_resp_err_t why = c->fault;
    pthread_mutex_unlock(&c->lock);
    if (is_vague(code) && why != RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = why;
        reason = fault;
    }
    const char *dotted, *hint;
    fr_err_kind kind = fr_client_kind(code, &dotted, &hint);
    fr_fail(err, kind, "kafka: %s%s%s", what == NULL ? "" : what, what == NULL ? "" : ": ",
            reason == NULL || reason[0] == '\0' ? rd_kafka_err2str(code) : reason);
    fr_redact(err->text);
    err->native = code;
    fr_fail_code(err, dotted);
    return hint == NULL ? FR_FAIL : fr_fail_hint(err, "%s", hint);
}

fr_rc fr_client_fail_error(fr_client *c, fr_err *err, rd_kafka_error_t *error, const char *what)
{
    fr_client_fail(c, err, rd_kafka_error_code(error), rd_kafka_error_string(error), what);
    rd_kafka_error_destroy(error);
    return FR_FAIL;
}
