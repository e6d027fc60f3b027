#include "kafka/mock.h"
#include "base/arena.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct fr_mock {
    rd_kafka_t *rk; /* a client that talks to nobody: the mock's threads are its */
    rd_kafka_mock_cluster_t *cluster;
};

static fr_rc failed(fr_mock *m, const char *why, fr_err *err)
{
    fr_mock_stop(m);
    fr_fail(err, FR_ERR_BUSY, "the mock broker does not start: %s", why);
    return fr_fail_code(err, "kafka.mock");
}

fr_rc fr_mock_start(const char *const *topics, size_t count, fr_mock **out, fr_err *err)
{
    char text[256] = "";
    fr_mock *m = fr_malloc(sizeof(*m));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* that it has no brokers is as it should be */
    m->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (m->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return failed(m, text, err);
    }
    m->cluster = rd_kafka_mock_cluster_new(m->rk, 1);
    if (m->cluster == NULL) {
        return failed(m, "no port can be listened on", err);
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(m->cluster, topics[i], 1, 1);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return failed(m, rd_kafka_err2str(code), err);
        }
    }
    *out = m;
    return FR_OK;
}

void fr_mock_stop(fr_mock *m)
{
    if (m == NULL) {
        return;
    }
    if (m->cluster != NULL) {
        rd_kafka_mock_cluster_destroy(m->cluster);
    }
    if (m->rk != NULL) {
        rd_kafka_destroy(m->rk);
    }
    free(m);
}

const char *fr_mock_brokers(const fr_mock *m)
{
    return rd_kafka_mock_cluster_bootstraps(m->cluster);
}
