/* Reading a checkpoint topic by a consumer without a group: no right on groups is needed,
 * and nothing is committed. */
#include "kafka/restore.h"
#include "base/clock.h"
#include "kafka/topics.h"
#include <string.h>

/* The broker ends an abandoned transaction after transaction.timeout.ms (one minute), and
 * looks every ten seconds. */
enum { OPEN_TXN_US = 90000000, SILENCE_US = 60000000 };

static const fr_pair DEFAULTS[] = {
    {"fetch.wait.max.ms", "20"},
    {"fetch.error.backoff.ms", "50"},
    {"check.crcs", "true"},
};
static const fr_pair OWNED[] = {
    {"isolation.level", "read_committed"},
    {"enable.partition.eof", "true"},
    {"enable.auto.commit", "false"},
    {"auto.offset.reset", "error"},
};

typedef struct restore {
    fr_client client;
    rd_kafka_topic_t *handle;
    const char *topic;
    fr_checkpoint *checkpoint;
    int64_t heard_us; /* when the broker last said anything */
    int64_t end_us;   /* when the committed end was first reached; 0: not yet */
} restore;

static fr_rc fold(restore *r, const rd_kafka_message_t *m, fr_err *err)
{
    fr_str key = {m->key, m->key_len};
    fr_str value = {m->payload, m->len};
    if (fr_checkpoint_fold(r->checkpoint, key, value, err) == FR_FAIL) {
        return fr_fail_in(err, "topic %s, offset %lld", r->topic, (long long)m->offset);
    }
    return FR_OK;
}

/* At the committed end. Done when that is the end: FR_END. Else somebody's transaction is
 * open, and what it holds may be the newest checkpoint. */
static fr_rc at_end(restore *r, int64_t offset)
{
    int64_t low = 0, high = RD_KAFKA_OFFSET_INVALID;
    (void)rd_kafka_get_watermark_offsets(r->client.rk, r->topic, 0, &low, &high);
    if (high >= 0 && offset >= high) {
        return FR_END;
    }
    if (r->end_us == 0) {
        r->end_us = fr_now_us();
    }
    return FR_OK;
}

static fr_rc check_patience(restore *r, fr_err *err)
{
    FR_TRY(fr_client_check(&r->client, err));
    int64_t now = fr_now_us();
    if (r->end_us != 0 && now - r->end_us > OPEN_TXN_US) {
        fr_fail(err, FR_ERR_BUSY, "kafka: topic %s: a transaction is still open at its end",
                r->topic);
        fr_fail_code(err, "kafka.txn");
        return fr_fail_hint(err,
                            "If it stays, the broker has left it hanging: kafka-transactions.sh "
                            "find-hanging, then abort --topic %s --partition 0 --start-offset N "
                            "(it holds nothing that was committed).",
                            r->topic);
    }
    if (r->end_us == 0 && now - r->heard_us > SILENCE_US) {
        return fr_client_fail(&r->client, err, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL,
                              "read the checkpoint");
    }
    return FR_OK;
}

static fr_rc take(restore *r, const rd_kafka_message_t *m, fr_err *err)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        r->heard_us = fr_now_us();
        r->end_us = 0;
        return fold(r, m, err);
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        r->heard_us = fr_now_us();
        return at_end(r, m->offset);
    }
    if (fr_client_passes(m->err)) {
        return FR_OK;
    }
    return fr_client_fail(&r->client, err, m->err, rd_kafka_message_errstr(m),
                          "read the checkpoint");
}

static fr_rc read_all(restore *r, fr_err *err)
{
    fr_rc rc = FR_OK;
    r->heard_us = fr_now_us();
    while (rc == FR_OK) {
        rd_kafka_poll(r->client.rk, 0);
        rd_kafka_message_t *m = rd_kafka_consume(r->handle, 0, FR_CLIENT_TICK_MS);
        rc = check_patience(r, err);
        if (m != NULL) {
            rc = rc == FR_OK ? take(r, m, err) : rc;
            rd_kafka_message_destroy(m);
        }
    }
    return rc == FR_END ? FR_OK : rc;
}

static fr_rc read_topic(restore *r, fr_err *err)
{
    r->handle = rd_kafka_topic_new(r->client.rk, r->topic, NULL);
    /* With the topic known, its leader is too: else half a second passes until the next try. */
    FR_TRY(fr_client_ready(&r->client, SILENCE_US, NULL, err));
    if (r->handle == NULL || rd_kafka_consume_start(r->handle, 0, RD_KAFKA_OFFSET_BEGINNING) != 0) {
        return fr_client_fail(&r->client, err, rd_kafka_last_error(), NULL, "read the checkpoint");
    }
    fr_rc rc = read_all(r, err);
    (void)rd_kafka_consume_stop(r->handle, 0);
    return rc;
}

fr_rc fr_restore(const fr_kafka_settings *settings, const char *source, fr_checkpoint **out,
                 fr_err *err)
{
    char topic[300], who[128];
    fr_topics_checkpoint_name(settings, source, topic, sizeof(topic));
    snprintf(who, sizeof(who), "source %s", source);
    restore r = {.topic = topic};
    fr_client_options options = {.type = RD_KAFKA_CONSUMER,
                                 .who = who,
                                 .defaults = DEFAULTS,
                                 .default_count = sizeof(DEFAULTS) / sizeof(DEFAULTS[0]),
                                 .owned = OWNED,
                                 .owned_count = sizeof(OWNED) / sizeof(OWNED[0])};
    FR_TRY(fr_client_open(&r.client, settings, &options, err));
    r.checkpoint = fr_checkpoint_new();
    fr_rc rc = read_topic(&r, err);
    if (r.handle != NULL) {
        rd_kafka_topic_destroy(r.handle);
    }
    fr_client_close(&r.client);
    if (rc == FR_FAIL) {
        fr_checkpoint_free(r.checkpoint);
        return rc;
    }
    *out = r.checkpoint;
    return FR_OK;
}
