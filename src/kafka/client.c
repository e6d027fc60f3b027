/* Configuration, connection and errors of all our clients. */
#include "kafka/client.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/log.h"
#include "kafka/admin.h"
#include "kafka/socket.h"
#include <string.h>

/* How long to look further after every broker refused: a name may have several addresses,
 * and librdkafka says "all down" after the first. */
enum { GRACE_US = 1000000, MAX_WAIT_MS = 3200 };

/* The user's words for them are kafka.delivery, kafka.brokers and the like; or they are
 * what our promises rest on. */
static const struct {
    const char *name, *instead;
} OWNED[] = {
    {"acks", "every message waits for all in-sync replicas"},
    {"request.required.acks", "every message waits for all in-sync replicas"},
    {"enable.idempotence", "it is always on"},
    {"enable.gapless.guarantee", "freshet orders what it publishes itself"},
    {"transactional.id", "it is freshet.<pipeline>.<source>; see kafka.delivery"},
    {"isolation.level", "freshet reads committed messages only"},
    {"partitioner", "see kafka.partitioner"},
    {"bootstrap.servers", "see kafka.brokers"},
    {"metadata.broker.list", "see kafka.brokers"},
    {"delivery.report.only.error", "every acknowledgement is counted"},
    {"enable.auto.commit", "positions are kept in the target"},
    {"auto.commit.enable", "positions are kept in the target"},
    {"enable.auto.offset.store", "positions are kept in the target"},
    {"auto.offset.reset", "see sinks.<name>.start"},
    {"partition.assignment.strategy", "it is cooperative-sticky"},
    {"enable.partition.eof", "freshet needs to know the end of a partition"},
    {"allow.auto.create.topics", "see kafka.topics.create"},
    {"plugin.library.paths", "freshet loads no foreign code"},
};

static const fr_pair COMMON[] = {
    {"socket.nagle.disable", "true"},     {"socket.keepalive.enable", "true"},
    {"socket.timeout.ms", "30000"},       {"socket.connection.setup.timeout.ms", "10000"},
    {"reconnect.backoff.max.ms", "5000"}, {"allow.auto.create.topics", "false"},
    {"log.connection.close", "false"},
};

const char *fr_client_property(const fr_kafka_settings *settings, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < settings->properties.count; i++) {
        if (strcmp(settings->properties.items[i].name, name) == 0) {
            value = settings->properties.items[i].value;
        }
    }
    return value;
}

static fr_rc set(rd_kafka_conf_t *conf, const char *name, const char *value, fr_err *err)
{
    char text[512];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK) {
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "kafka.properties.\"%s\": %s", name, text);
    return fr_fail_code(err, "kafka.property");
}

static fr_rc set_all(rd_kafka_conf_t *conf, const fr_pair *pairs, size_t count, fr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        FR_TRY(set(conf, pairs[i].name, pairs[i].value, err));
    }
    return FR_OK;
}

static fr_rc refuse_owned(const char *name, fr_err *err)
{
    const char *why = NULL;
    for (size_t i = 0; i < sizeof(OWNED) / sizeof(OWNED[0]); i++) {
        if (strcmp(OWNED[i].name, name) == 0) {
            why = OWNED[i].instead;
        }
    }
    if (why == NULL && strncmp(name, "group.", 6) == 0) {
        why = "groups are freshet.<pipeline>.<sink>";
    }
    if (why == NULL) {
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "kafka.properties.\"%s\" cannot be set: %s", name, why);
    fr_fail_code(err, "kafka.property");
    return fr_fail_hint(err, "Remove \"%s\" from kafka.properties.", name);
}

static bool is_secret(const char *name)
{
    return strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
           strcmp(name, "ssl.key.pem") == 0;
}

static fr_rc set_users(rd_kafka_conf_t *conf, const fr_kafka_settings *settings, fr_err *err)
{
    for (size_t i = 0; i < settings->properties.count; i++) {
        const fr_pair *p = &settings->properties.items[i];
        FR_TRY(refuse_owned(p->name, err));
        if (is_secret(p->name)) {
            fr_log_secret(p->value);
        }
        FR_TRY(set(conf, p->name, p->value, err));
    }
    return FR_OK;
}

/* The protocol prefix that librdkafka allows ("SSL://host:port") is passed over. */
static bool is_loopback(const char *broker)
{
    const char *host = strstr(broker, "://");
    host = host == NULL ? broker : host + 3;
    return fr_is_loopback(fr_host_of(host));
}

static bool is_plaintext(const char *broker, const char *protocol)
{
    if (strstr(broker, "://") != NULL) {
        return strncasecmp(broker, "SSL://", 6) != 0 && strncasecmp(broker, "SASL_SSL://", 11) != 0;
    }
    return protocol == NULL || strcasecmp(protocol, "plaintext") == 0 ||
           strcasecmp(protocol, "sasl_plaintext") == 0;
}

/* S10 */
static fr_rc check_plaintext(const fr_kafka_settings *settings, fr_err *err)
{
    const char *protocol = fr_client_property(settings, "security.protocol");
    if (settings->insecure || fr_client_property(settings, "test.mock.num.brokers") != NULL) {
        return FR_OK;
    }
    for (size_t i = 0; i < settings->brokers.count; i++) {
        const char *broker = settings->brokers.items[i];
        if (is_plaintext(broker, protocol) && !is_loopback(broker)) {
            fr_fail(err, FR_ERR_CONFIG, "kafka: %s would be spoken to without encryption", broker);
            fr_fail_code(err, "kafka.insecure");
            return fr_fail_hint(
                err, "Set security.protocol: ssl or sasl_ssl (and ssl.ca.location) in "
                     "kafka.properties, or kafka.insecure: true in a network you trust.");
        }
    }
    return FR_OK;
}

static fr_rc set_brokers(rd_kafka_conf_t *conf, const fr_kafka_settings *settings, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_str list = {"", 0};
    for (size_t i = 0; i < settings->brokers.count; i++) {
        list = fr_arena_printf(a, "%.*s%s%s", FR_ARG(list), i > 0 ? "," : "",
                               settings->brokers.items[i]);
    }
    fr_rc rc = FR_OK;
    if (list.len > 0) {
        rc = set(conf, "bootstrap.servers", fr_arena_cstr(a, list), err);
    } else if (fr_client_property(settings, "test.mock.num.brokers") == NULL) {
        rc = fr_fail(err, FR_ERR_CONFIG, "kafka.brokers is empty");
    }
    fr_arena_free(a);
    return rc;
}

/* How much a fault tells: a refused login explains "all brokers down", not the reverse. */
static int weight(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return 0;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
        return 1;
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return 2;
    case RD_KAFKA_RESP_ERR__SSL:
        return 3;
    default:
        return 4;
    }
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    fr_client *c = opaque;
    char fatal[512];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(rk, fatal, sizeof(fatal));
        reason = fatal;
    }
    fr_log(FR_LOG_DEBUG, c->who, "kafka: %s: %s", rd_kafka_err2name(code), reason);
    if (code == RD_KAFKA_RESP_ERR__TRANSPORT && strstr(reason, "SSL routines") != NULL) {
        code = RD_KAFKA_RESP_ERR__SSL; /* the peer's alert comes after the handshake */
    }
    pthread_mutex_lock(&c->lock);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        c->all_down = true;
    } else if (weight(code) >= weight(c->fault)) {
        c->fault = code;
        snprintf(c->reason, sizeof(c->reason), "%s", reason);
    }
    pthread_mutex_unlock(&c->lock);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const fr_client *c = rd_kafka_opaque(rk);
    (void)level;
    fr_log(FR_LOG_DEBUG, c != NULL ? c->who : "kafka", "librdkafka: %s: %s", facility, text);
}

/* Not known to every librdkafka. Telemetry is nobody's business, and closing waits for it.
 * A full fetch queue is looked at again soon: the default of a second costs most of the
 * throughput where memory is small. */
static void set_where_known(rd_kafka_conf_t *conf)
{
    char text[256];
    (void)rd_kafka_conf_set(conf, "enable.metrics.push", "false", text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", text, sizeof(text));
}

static fr_rc configure(fr_client *c, rd_kafka_conf_t *conf, const fr_client_options *o, fr_err *err)
{
    set_where_known(conf);
    FR_TRY(check_plaintext(c->settings, err));
    FR_TRY(set_brokers(conf, c->settings, err));
    FR_TRY(set(conf, "client.id", "freshet", err));
    FR_TRY(set_all(conf, COMMON, sizeof(COMMON) / sizeof(COMMON[0]), err));
    FR_TRY(set_all(conf, o->defaults, o->default_count, err));
    FR_TRY(set_users(conf, c->settings, err));
    FR_TRY(set_all(conf, o->owned, o->owned_count, err));
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_socket_cb(conf, fr_kafka_socket);
    if (o->ends != NULL) {
        fr_endtxn_watch(conf, o->ends);
    }
    if (o->delivered != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, o->delivered);
    }
    if (o->rebalanced != NULL) {
        rd_kafka_conf_set_rebalance_cb(conf, o->rebalanced);
    }
    return FR_OK;
}

/* R14: older ones lose messages when metadata flaps. */
static fr_rc check_library(fr_err *err)
{
    if (rd_kafka_version() >= 0x010900ff) {
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG, "%s loses messages in transactions; 1.9.0 or newer is needed",
            fr_kafka_library());
    return fr_fail_code(err, "kafka.library");
}

fr_rc fr_client_open(fr_client *c, const fr_kafka_settings *settings,
                     const fr_client_options *options, fr_err *err)
{
    memset(c, 0, sizeof(*c));
    c->settings = settings;
    c->owner = options->owner;
    c->interrupted = options->interrupted;
    snprintf(c->who, sizeof(c->who), "%s", options->who);
    FR_TRY(check_library(err));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (configure(c, conf, options, err) == FR_FAIL) {
        rd_kafka_conf_destroy(conf);
        return FR_FAIL;
    }
    char text[512];
    pthread_mutex_init(&c->lock, NULL);
    c->rk = rd_kafka_new(options->type, conf, text, sizeof(text));
    if (c->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        pthread_mutex_destroy(&c->lock);
        fr_fail(err, FR_ERR_CONFIG, "kafka.properties: %s", text);
        fr_redact(err->text);
        return fr_fail_code(err, "kafka.property");
    }
    return FR_OK;
}

void fr_client_close(fr_client *c)
{
    if (c->rk != NULL) {
        rd_kafka_destroy(c->rk);
        pthread_mutex_destroy(&c->lock);
        c->rk = NULL;
    }
}

fr_rc fr_client_check(fr_client *c, fr_err *err)
{
    if (c->interrupted != NULL && atomic_load(c->interrupted)) {
        return fr_fail(err, FR_ERR_CANCELLED, "interrupted");
    }
    return fr_cancel_check(err);
}

static void forget_fault(fr_client *c)
{
    pthread_mutex_lock(&c->lock);
    c->fault = RD_KAFKA_RESP_ERR_NO_ERROR;
    c->reason[0] = '\0';
    c->all_down = false;
    pthread_mutex_unlock(&c->lock);
}

/* A refused login is final at once; a refused connection after a little grace. */
static bool hopeless(fr_client *c, int64_t *down_since)
{
    pthread_mutex_lock(&c->lock);
    bool login = weight(c->fault) == 4;
    bool down = c->all_down;
    pthread_mutex_unlock(&c->lock);
    if (down && *down_since == 0) {
        *down_since = fr_now_us();
    }
    return login || (down && fr_now_us() - *down_since >= GRACE_US);
}

/* A certificate that nobody's trust covers is no passing trouble: somebody has to correct a file
 * (ADR 25). That is known for sure only when no broker at all lets us in. */
static fr_rc nobody_answers(fr_client *c, rd_kafka_resp_err_t code, fr_err *err)
{
    (void)fr_client_fail(c, err, code, NULL, NULL);
    if (err->native == RD_KAFKA_RESP_ERR__SSL &&
        (strstr(err->text, "certificate") != NULL || strstr(err->text, "unknown ca") != NULL)) {
        err->kind = FR_ERR_CONFIG;
    }
    return FR_FAIL;
}

/* Longer each time, while brokers are there but do not answer: MAX_WAIT_MS at most, since an
 * interruption is seen between two waits only. */
static int next_wait(fr_client *c, int wait_ms)
{
    pthread_mutex_lock(&c->lock);
    bool down = c->all_down;
    pthread_mutex_unlock(&c->lock);
    if (down) {
        return FR_CLIENT_TICK_MS;
    }
    return wait_ms * 2 < MAX_WAIT_MS ? wait_ms * 2 : MAX_WAIT_MS;
}

fr_rc fr_client_ready(fr_client *c, int64_t timeout_us,
                      const struct rd_kafka_metadata **metadata_out, fr_err *err)
{
    int64_t deadline = fr_now_us() + timeout_us;
    int64_t down_since = 0;
    /* An answer that comes after its wait is thrown away: a broker that is far, or has many
     * topics to tell of, is never heard unless the waits grow. */
    for (int wait_ms = FR_CLIENT_TICK_MS;; wait_ms = next_wait(c, wait_ms)) {
        const struct rd_kafka_metadata *m = NULL;
        rd_kafka_resp_err_t code =
            rd_kafka_metadata(c->rk, metadata_out != NULL, NULL, &m, wait_ms);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            forget_fault(c);
            if (metadata_out != NULL) {
                *metadata_out = m;
            } else {
                rd_kafka_metadata_destroy(m);
            }
            return FR_OK;
        }
        FR_TRY(fr_client_check(c, err));
        rd_kafka_poll(c->rk, 0);
        if (hopeless(c, &down_since) || fr_now_us() >= deadline) {
            return nobody_answers(c, code, err);
        }
    }
}
