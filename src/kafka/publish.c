/* Opening a publisher and its transactions (R8-R14). */
#include "kafka/publish.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "kafka/commit.h"
#include "kafka/delivery.h"
#include "kafka/publisher.h"
#include "kafka/restore.h"
#include <stdlib.h>
#include <string.h>

enum {
    TXN_TIMEOUT_MS = 60000,
    BATCH_BYTES = 1000000,
    READY_US = 15000000,
    CLOSE_ABORT_US = 2000000,
    CLAIM_WAIT_US = 1500000,
    HURRIED_ABORT_US = 300000, /* the same when we are to give up */
    STEP_MS = 500,             /* of a call that librdkafka lets us resume */
    SLACK_US = 30000000
};

/* ---- errors ---- */

static bool newest_is_ours(const fr_publisher *p, const fr_checkpoint *c)
{
    return c->claim_us == p->seen_us && fr_str_eq(c->claim_instance, p->seen_instance);
}

/* Decision 35: whose claim is the newest? Another instance writes its claim a moment after it
 * has fenced us, so "ours" is believed only when it still holds a little later. */
static fr_rc explain_fence(fr_publisher *p, fr_err *err)
{
    fr_checkpoint *c = NULL;
    bool ours = true;
    for (int look = 0; look < 2 && ours; look++) {
        fr_checkpoint_free(c);
        c = NULL;
        if (fr_restore(p->settings, p->source.ptr, &c, err) == FR_FAIL) {
            return fr_fail_in(err, "our transaction was fenced, and by whom cannot be told yet");
        }
        ours = newest_is_ours(p, c);
        if (ours && look == 0) {
            fr_sleep_us(CLAIM_WAIT_US);
        }
    }
    if (ours) {
        fr_fail(err, FR_ERR_BUSY,
                "kafka: our transaction was timed out by the broker; going on "
                "from the checkpoint");
        fr_fail_code(err, "kafka.txn_timeout");
    } else {
        char since[40];
        fr_time_text(since, c->claim_us);
        fr_fail(err, FR_ERR_FENCED, "kafka: another instance (%.*s, since %s) owns source %.*s",
                FR_ARG(c->claim_instance), since, FR_ARG(p->source));
        fr_fail_code(err, "kafka.fenced");
        fr_fail_hint(err, "Stop one of the two: a source has one owner.");
    }
    fr_checkpoint_free(c);
    return FR_FAIL;
}

static bool is_gone(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID;
}

/* In a transaction a topic that was deleted shows as a time-out only. */
static bool topic_is_gone(fr_publisher *p)
{
    if (p->failure != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
        return is_gone(p->failure);
    }
    fr_err ignored;
    fr_topic_state now;
    fr_arena *a = fr_arena_new(0);
    bool gone = fr_client_ready(&p->client, INT64_C(1000) * STEP_MS, NULL, &ignored) == FR_OK &&
                fr_topics_describe(&p->client, a, &p->failure_topic, 1, &now, &ignored) == FR_OK &&
                !now.exists;
    fr_arena_free(a);
    return gone;
}

/* A message failed: that is why all else failed. */
static fr_rc fail_delivery(fr_publisher *p, fr_err *err)
{
    char what[300];
    if (p->failure == FR_UNPROVED) {
        return fr_delivery_unproved(p->failure_topic, err);
    }
    snprintf(what, sizeof(what), "topic %s", p->failure_topic);
    fr_client_fail(&p->client, err, p->failure, p->failure_text, what);
    if (p->failure == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !p->alone) {
        fr_fail(err, FR_ERR_CONFIG, "kafka: topic %s: a batch of messages is too large for it: %s",
                p->failure_topic, p->failure_text);
        fr_fail_code(err, "kafka.batch.too_large");
        return fr_fail_hint(err, "Set batch.size in kafka.properties below max.message.bytes of "
                                 "the topic, or raise that.");
    }
    if (topic_is_gone(p)) {
        fr_fail(err, FR_ERR_POSITION, "kafka: topic %s is gone: %s", p->failure_topic,
                p->failure_text);
        fr_fail_code(err, "kafka.topic.deleted");
        fr_fail_hint(err, "Was it deleted? Take a new snapshot into a new topic.");
    }
    return FR_FAIL;
}

/* "Unknown topic" for the whole transaction names none of its topics. One that is really gone
 * stops us; else it is the broker that does not know it yet, or no more. */
static fr_rc fail_unknown_topic(fr_publisher *p, fr_err *err, const char *reason)
{
    fr_arena *a = fr_arena_new(0);
    const char *gone = NULL, *names[1];
    fr_topic_state now;
    fr_err ignored;
    size_t i = 0;
    void *value;
    while (gone == NULL && fr_map_next(p->targets, &i, NULL, &value)) {
        names[0] = ((fr_target *)value)->name;
        if (((fr_target *)value)->handle != NULL &&
            fr_topics_describe(&p->client, a, names, 1, &now, &ignored) == FR_OK && !now.exists)
            gone = names[0];
    }
    fr_arena_free(a);
    if (gone == NULL) {
        fr_fail(err, FR_ERR_CONNECT, "kafka: a topic of our transaction: %s", reason);
        return fr_fail_code(err, "kafka.txn");
    }
    fr_fail(err, FR_ERR_POSITION, "kafka: topic %s is gone: %s", gone, reason);
    fr_fail_code(err, "kafka.topic.deleted");
    return fr_fail_hint(err, "Was it deleted? Take a new snapshot into a new topic.");
}

static bool is_purged(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

fr_rc fr_publisher_fail(fr_publisher *p, fr_err *err, rd_kafka_resp_err_t code, const char *reason,
                        const char *what)
{
    char fatal[512];
    rd_kafka_resp_err_t dead = rd_kafka_fatal_error(p->client.rk, fatal, sizeof(fatal));
    if (dead != RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = dead;
        reason = fatal;
    }
    if (p->transactional && fr_client_fenced(code)) {
        return explain_fence(p, err);
    }
    if (p->failed > 0 && !is_purged(p->failure) && dead == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail_delivery(p, err);
    }
    if (p->transactional && code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return fail_unknown_topic(p, err, reason == NULL ? rd_kafka_err2str(code) : reason);
    }
    fr_client_fail(&p->client, err, code, reason, what);
    if (code == RD_KAFKA_RESP_ERR__STATE || code == RD_KAFKA_RESP_ERR__INCONSISTENT ||
        is_purged(code)) {
        /* The transaction has failed already, in the background. */
        err->kind = FR_ERR_CONNECT;
        fr_fail_code(err, "kafka.txn");
    }
    return FR_FAIL;
}

static fr_rc fail_error(fr_publisher *p, fr_err *err, rd_kafka_error_t *error, const char *what)
{
    fr_publisher_fail(p, err, rd_kafka_error_code(error), rd_kafka_error_string(error), what);
    rd_kafka_error_destroy(error);
    return FR_FAIL;
}

/* Some message failed. Where the transaction failed first, its messages were only purged; the
 * reason is what a commit is refused with (and it is refused: a message is missing). */
fr_rc fr_publisher_fail_failed(fr_publisher *p, fr_err *err)
{
    if (p->transactional && is_purged(p->failure)) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(p->client.rk, STEP_MS);
        if (error == NULL) {
            return fr_fail(err, FR_ERR_BUG, "kafka: committed although a message failed");
        }
        return fail_error(p, err, error, p->failure_topic);
    }
    return fr_publisher_fail(p, err, p->failure, p->failure_text, "produce");
}

/* One of the calls that may be resumed after a time-out: again until it is done, refused, or we
 * are told to stop. Commits: commit.h. */
static fr_rc resume(fr_publisher *p, rd_kafka_error_t *(*call)(rd_kafka_t *, int), int64_t patience,
                    const char *what, fr_err *err)
{
    int64_t deadline = fr_now_us() + patience;
    rd_kafka_error_t *error;
    while ((error = call(p->client.rk, STEP_MS)) != NULL) {
        if (!rd_kafka_error_is_retriable(error) || fr_now_us() >= deadline) {
            return fail_error(p, err, error, what);
        }
        rd_kafka_error_destroy(error);
        FR_TRY(fr_client_check(&p->client, err));
        if (!fr_transactional_call_known(p->client.rk)) {
            return fr_publisher_fail(p, err, RD_KAFKA_RESP_ERR__STATE, "timed out", what);
        }
        rd_kafka_poll(p->client.rk, 0);
    }
    return FR_OK;
}

/* R12: of a commit or abort that is through no request may be left behind that could end the
 * next transaction. A new producer has a new epoch, with which the broker refuses it. */
static fr_rc answered(fr_publisher *p, const char *what, fr_err *err)
{
    if (!fr_endtxn_unanswered(&p->ends_asked) || FR_FAILPOINT("r12")) {
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONNECT,
            "kafka: %s: the connection was lost and its first request may still arrive; going on "
            "from the checkpoint with a new producer",
            what);
    fr_fail_code(err, "kafka.txn_unanswered");
    return fr_fail_hint(err, "Nothing to do. If it repeats, look at the network to the brokers.");
}

/* ---- transactions ---- */

static void settle(fr_publisher *p)
{
    p->open = false;
    p->step = FR_COMMIT_DATA;
    p->produced = p->delivered = p->failed = 0;
    p->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    p->record_count = 0;
    fr_arena_reset(p->record_arena);
}

fr_rc fr_publisher_begin(fr_publisher *p, fr_err *err)
{
    if (p->open) {
        return FR_OK;
    }
    if (FR_FAILPOINT("kafka_before_begin")) {
        return fr_fail(err, FR_ERR_CONNECT, "failpoint kafka_before_begin");
    }
    if (p->transactional) {
        rd_kafka_error_t *error = rd_kafka_begin_transaction(p->client.rk);
        if (error != NULL) {
            return fail_error(p, err, error, "begin");
        }
    }
    p->open = true;
    fr_publisher_watch(p);
    return FR_OK;
}

bool fr_publisher_in_transaction(const fr_publisher *p)
{
    return p->open;
}

/* Everything produced is acknowledged; FR_IDLE: not within ms. */
static fr_rc drain_step(fr_publisher *p, int ms, fr_err *err)
{
    bool waits = rd_kafka_flush(p->client.rk, ms) == RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (waits) {
        FR_TRY(fr_client_check(&p->client, err));
    }
    if (p->failed > 0) {
        return fr_publisher_fail_failed(p, err);
    }
    if (waits) {
        return FR_IDLE;
    }
    if (p->delivered != p->produced) {
        return fr_fail(err, FR_ERR_BUG, "kafka: %llu messages produced, %llu acknowledged",
                       (unsigned long long)p->produced, (unsigned long long)p->delivered);
    }
    return FR_OK;
}

fr_rc fr_publisher_drain(fr_publisher *p, fr_err *err)
{
    fr_rc rc;
    do {
        rc = drain_step(p, FR_CLIENT_TICK_MS, err);
    } while (rc == FR_IDLE);
    return rc;
}

static fr_rc send_record(fr_publisher *p, const fr_record *r, fr_err *err)
{
    fr_message m = {.key = r->key, .payload = r->value};
    return fr_publisher_send(p, p->handle, &m, 0, &p->own, err);
}

fr_rc fr_publisher_record(fr_publisher *p, const fr_record *r, fr_err *err)
{
    if (FR_FAILPOINT("kafka_checkpoint_record")) {
        return FR_OK; /* off: the control run that must show duplicates */
    }
    if (p->record_count == p->record_cap) {
        p->record_cap = p->record_cap == 0 ? 16 : p->record_cap * 2;
        p->records = fr_realloc(p->records, p->record_cap * sizeof(*p->records));
    }
    fr_record *copy = &p->records[p->record_count++];
    copy->key = fr_arena_str(p->record_arena, r->key);
    copy->value = r->value.ptr == NULL ? r->value : fr_arena_str(p->record_arena, r->value);
    return p->transactional ? send_record(p, copy, err) : FR_OK;
}

static fr_rc record_facts(fr_publisher *p, fr_err *err)
{
    for (size_t i = 0; i < p->touched_count; i++) {
        fr_target *t = p->touched[i]->target;
        if (!t->recorded || t->stale) {
            fr_record r = fr_checkpoint_topic_fact(p->record_arena, &t->fact);
            FR_TRY(fr_publisher_record(p, &r, err));
            t->recorded = true;
            t->stale = false;
        }
    }
    return FR_OK;
}

/* At-least-once: the checkpoint may only say what is acknowledged already. */
static fr_rc send_records(fr_publisher *p, fr_err *err)
{
    for (size_t i = 0; !p->transactional && i < p->record_count; i++) {
        FR_TRY(send_record(p, &p->records[i], err));
    }
    return FR_OK;
}

/* The broker's word on the commit that was asked for; FR_IDLE: not within ms. */
static fr_rc end_step(fr_publisher *p, int ms, fr_err *err)
{
    rd_kafka_error_t *error;
    if (fr_committer_answer(p->committer, ms, &error)) {
        if (error == NULL || rd_kafka_error_txn_requires_abort(error)) {
            p->step = FR_COMMIT_DATA;
        }
        return error == NULL ? FR_OK : fail_error(p, err, error, "commit");
    }
    if (fr_now_us() >= p->commit_deadline_us) {
        return fr_publisher_fail(p, err, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "commit");
    }
    FR_TRY(fr_client_check(&p->client, err));
    rd_kafka_poll(p->client.rk, 0);
    return FR_IDLE;
}

/* The next step, until there is one that has to wait longer than ms. */
static fr_rc finish_step(fr_publisher *p, int ms, fr_err *err)
{
    if (p->step == FR_COMMIT_DATA) {
        fr_rc rc = drain_step(p, ms, err);
        if (rc != FR_OK) {
            return rc;
        }
        FR_TRY(fr_publisher_same_topics(p, err));
        FR_TRY(record_facts(p, err));
        if (FR_FAILPOINT("kafka_before_commit")) {
            return fr_fail(err, FR_ERR_CONNECT, "failpoint kafka_before_commit");
        }
        FR_TRY(send_records(p, err));
        p->step = FR_COMMIT_RECORDS;
    }
    if (p->step == FR_COMMIT_RECORDS) {
        fr_rc rc = drain_step(p, ms, err);
        if (rc != FR_OK || !p->transactional) {
            return rc;
        }
        p->step = FR_COMMIT_END;
        p->commit_deadline_us = fr_now_us() + p->patience_us;
        fr_committer_ask(p->committer);
    }
    fr_rc rc = end_step(p, ms, err);
    return rc == FR_OK ? answered(p, "commit", err) : rc;
}

static void take_ends(fr_publisher *p)
{
    if (p->touched_count > p->ends_cap) {
        p->ends_cap = p->touched_count;
        p->ends = fr_realloc(p->ends, p->ends_cap * sizeof(*p->ends));
    }
    for (size_t i = 0; i < p->touched_count; i++) {
        fr_slot *s = p->touched[i];
        s->acked = s->fresh;
        p->ends[i] = (fr_end){s->target->fact.topic, s->partition, s->acked};
    }
}

fr_rc fr_publisher_commit_step(fr_publisher *p, int ms, const fr_end **ends, size_t *end_count,
                               fr_err *err)
{
    *end_count = 0;
    *ends = p->ends;
    if (!p->open) {
        return FR_OK;
    }
    int64_t start = fr_now_us();
    fr_rc rc = finish_step(p, ms, err);
    atomic_fetch_add(&p->commit_us, (uint64_t)(fr_now_us() - start));
    if (rc != FR_OK) {
        return rc;
    }
    if (FR_FAILPOINT("kafka_after_commit")) {
        return fr_fail(err, FR_ERR_CONNECT, "failpoint kafka_after_commit");
    }
    take_ends(p);
    *ends = p->ends;
    *end_count = p->touched_count;
    fr_publisher_forget_touched(p);
    settle(p);
    atomic_fetch_add(&p->transactions, 1);
    atomic_store(&p->last_commit_us, fr_now_us());
    return FR_OK;
}

fr_rc fr_publisher_commit(fr_publisher *p, const fr_end **ends, size_t *end_count, fr_err *err)
{
    fr_rc rc;
    do {
        rc = fr_publisher_commit_step(p, STEP_MS, ends, end_count, err);
    } while (rc == FR_IDLE);
    return rc;
}

fr_rc fr_publisher_abort(fr_publisher *p, fr_err *err)
{
    if (!p->open) {
        return FR_OK;
    }
    if (p->transactional) {
        FR_TRY(resume(p, rd_kafka_abort_transaction, p->patience_us, "abort", err));
        FR_TRY(answered(p, "abort", err));
    } else {
        rd_kafka_purge(p->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        while (rd_kafka_flush(p->client.rk, FR_CLIENT_TICK_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
            FR_TRY(fr_client_check(&p->client, err));
        }
    }
    fr_publisher_forget_touched(p);
    settle(p);
    return FR_OK;
}

/* ---- open and close ---- */

typedef struct numbers { /* as librdkafka wants them */
    char kbytes[24], max_bytes[24], batch[24], txn_ms[24], socket_ms[24], id[300];
} numbers;

static int64_t txn_timeout_ms(const fr_kafka_settings *s)
{
    const char *text = fr_client_property(s, "transaction.timeout.ms");
    long long ms = text == NULL ? 0 : strtoll(text, NULL, 10);
    return ms > 0 ? ms : TXN_TIMEOUT_MS;
}

static fr_rc check_times(const fr_kafka_settings *s, fr_err *err)
{
    int64_t ms = txn_timeout_ms(s);
    if (!s->exactly_once || s->max_time_us <= ms * 1000 / 4) {
        return FR_OK;
    }
    fr_fail(err, FR_ERR_CONFIG,
            "kafka.transaction.max_time (%lld ms) is above a quarter of transaction.timeout.ms "
            "(%lld)",
            (long long)(s->max_time_us / 1000), (long long)ms);
    fr_fail_code(err, "kafka.txn");
    return fr_fail_hint(err, "Lower kafka.transaction.max_time to %lld ms or less.",
                        (long long)(ms / 4));
}

/* What the topics that we make take at once; most where nothing is said of it. */
static int64_t topic_limit(const fr_kafka_settings *s)
{
    long long bytes = 0;
    for (size_t i = 0; i < s->topic_config.count; i++) {
        if (strcmp(s->topic_config.items[i].name, "max.message.bytes") == 0) {
            bytes = strtoll(s->topic_config.items[i].value, NULL, 10);
        }
    }
    return bytes > 2 * FR_BIG_MARGIN ? bytes - FR_BIG_MARGIN : INT64_MAX;
}

/* An event may carry the row twice, before and after. */
static void work_out(const fr_kafka_settings *s, fr_str source, numbers *n)
{
    int64_t max_bytes = 2 * s->max_row_bytes + (1 << 20);
    max_bytes = max_bytes > 1000000000 ? 1000000000 : max_bytes;
    int64_t memory = s->memory > max_bytes + (1 << 20) ? s->memory : max_bytes + (1 << 20);
    snprintf(n->kbytes, sizeof(n->kbytes), "%lld", (long long)(memory / 1024));
    snprintf(n->max_bytes, sizeof(n->max_bytes), "%lld", (long long)max_bytes);
    int64_t batch = topic_limit(s) < BATCH_BYTES ? topic_limit(s) : BATCH_BYTES;
    snprintf(n->batch, sizeof(n->batch), "%lld", (long long)batch);
    int64_t txn_ms = txn_timeout_ms(s);
    snprintf(n->txn_ms, sizeof(n->txn_ms), "%lld", (long long)txn_ms);
    snprintf(n->socket_ms, sizeof(n->socket_ms), "%lld",
             (long long)(txn_ms < 30000 ? txn_ms : 30000));
    snprintf(n->id, sizeof(n->id), "freshet.%s.%.*s", s->pipeline, FR_ARG(source));
}

static fr_rc open_client(fr_publisher *p, fr_err *err)
{
    numbers n;
    char who[128];
    work_out(p->settings, p->source, &n);
    const char *most = fr_client_property(p->settings, "message.max.bytes");
    p->most_bytes = strtoll(most == NULL ? n.max_bytes : most, NULL, 10);
    snprintf(who, sizeof(who), "source %.*s", FR_ARG(p->source));
    const fr_pair defaults[] = {
        {"compression.codec", "lz4"},
        {"linger.ms", "5"},
        {"batch.size", n.batch},
        {"queue.buffering.max.messages", "200000"},
        {"queue.buffering.max.kbytes", n.kbytes},
        {"message.max.bytes", n.max_bytes},
        {"retry.backoff.ms", "50"},
        {"transaction.timeout.ms", n.txn_ms},
        {"message.timeout.ms", n.txn_ms},
        {"socket.timeout.ms", n.socket_ms},
    };
    const fr_pair owned[] = {
        {"acks", "all"}, {"enable.idempotence", "true"}, {"transactional.id", n.id}};
    fr_client_options options = {.type = RD_KAFKA_PRODUCER,
                                 .who = who,
                                 .owner = p,
                                 .defaults = defaults,
                                 .default_count = sizeof(defaults) / sizeof(defaults[0]),
                                 .owned = owned,
                                 .owned_count = p->transactional ? 3 : 2,
                                 .ends = &p->ends_asked,
                                 .delivered = fr_publisher_delivered};
    return fr_client_open(&p->client, p->settings, &options, err);
}

static fr_rc init_transactions(fr_publisher *p, fr_err *err)
{
    if (FR_FAILPOINT("kafka_init")) {
        return fr_fail(err, FR_ERR_CONNECT, "failpoint kafka_init");
    }
    if (!p->transactional) {
        return FR_OK;
    }
    FR_TRY(resume(p, rd_kafka_init_transactions, p->patience_us, "init_transactions", err));
    return fr_committer_start(p->client.rk, &p->committer, err);
}

static fr_rc write_claim(fr_publisher *p, fr_err *err)
{
    const fr_end *ends;
    size_t count;
    int64_t now = fr_wall_us();
    FR_TRY(fr_publisher_begin(p, err));
    fr_record r = fr_checkpoint_claim(p->record_arena, p->instance, now);
    FR_TRY(fr_publisher_record(p, &r, err));
    FR_TRY(fr_publisher_commit(p, &ends, &count, err));
    p->seen_instance = p->instance;
    p->seen_us = now;
    return FR_OK;
}

/* R9: what can be refused without harm to a running instance comes before the fence. */
static fr_rc start(fr_publisher *p, fr_checkpoint **checkpoint, fr_err *err)
{
    FR_TRY(check_times(p->settings, err));
    FR_TRY(open_client(p, err));
    FR_TRY(fr_client_ready(&p->client, READY_US, NULL, err));
    FR_TRY(fr_publisher_own_topic(p, err));
    p->handle = rd_kafka_topic_new(p->client.rk, p->topic, NULL);
    if (p->handle == NULL) {
        return fr_publisher_fail(p, err, rd_kafka_last_error(), NULL, p->topic);
    }
    FR_TRY(init_transactions(p, err));
    FR_TRY(fr_restore(p->settings, p->source.ptr, checkpoint, err));
    p->seen_instance = fr_arena_str(p->arena, (*checkpoint)->claim_instance);
    p->seen_us = (*checkpoint)->claim_us;
    FR_TRY(fr_publisher_adopt(p, *checkpoint, err));
    return write_claim(p, err);
}

fr_rc fr_publisher_open(const fr_kafka_settings *settings, const char *source, const char *instance,
                        fr_said *said, fr_publisher **out, fr_checkpoint **checkpoint_out,
                        fr_err *err)
{
    fr_publisher *p = fr_malloc(sizeof(*p));
    fr_checkpoint *checkpoint = NULL;
    p->settings = settings;
    p->said = said;
    p->arena = fr_arena_new(0);
    p->record_arena = fr_arena_new(0);
    p->targets = fr_map_new();
    p->source = fr_cstr(fr_arena_cstr(p->arena, fr_cstr(source)));
    p->instance = fr_arena_str(p->arena, fr_cstr(instance));
    p->transactional = settings->exactly_once;
    p->patience_us = txn_timeout_ms(settings) * 1000 + SLACK_US;
    fr_topics_checkpoint_name(settings, source, p->topic, sizeof(p->topic));
    if (start(p, &checkpoint, err) == FR_FAIL) {
        fr_checkpoint_free(checkpoint);
        fr_publisher_close(p);
        return FR_FAIL;
    }
    *out = p;
    *checkpoint_out = checkpoint;
    return FR_OK;
}

/* So that readers of committed messages do not wait for the broker's time-out. Nothing
 * depends on it. */
static void abort_quietly(fr_publisher *p)
{
    fr_err ignored;
    bool hurry = fr_client_check(&p->client, &ignored) == FR_FAIL;
    int64_t deadline = fr_now_us() + (hurry ? HURRIED_ABORT_US : CLOSE_ABORT_US);
    char text[64];
    while (rd_kafka_fatal_error(p->client.rk, text, sizeof(text)) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           fr_now_us() < deadline) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(p->client.rk, HURRIED_ABORT_US / 1000);
        if (error == NULL) {
            return;
        }
        bool again = rd_kafka_error_is_retriable(error);
        rd_kafka_error_destroy(error);
        if (!again) {
            return;
        }
    }
}

void fr_publisher_close(fr_publisher *p)
{
    if (p == NULL) {
        return;
    }
    if (p->client.rk != NULL) {
        /* Of a commit that is under way nothing more is wanted, and it cannot be taken back. */
        bool asked = p->step == FR_COMMIT_END;
        fr_committer_end(p->committer);
        if (p->open && p->transactional && !asked) {
            abort_quietly(p);
        }
        rd_kafka_purge(p->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(p->client.rk, 0);
    }
    if (p->handle != NULL) {
        rd_kafka_topic_destroy(p->handle);
    }
    fr_publisher_free_targets(p);
    fr_watch_end(&p->watch);
    fr_client_close(&p->client);
    free(p->touched);
    free(p->ends);
    free(p->records);
    fr_arena_free(p->record_arena);
    fr_arena_free(p->arena);
    free(p);
}

void fr_publisher_stats(fr_publisher *p, fr_publish_stats *out)
{
    uint64_t acked = atomic_load(&p->acked), sent = atomic_load(&p->sent);
    *out = (fr_publish_stats){.messages = acked,
                              .bytes = atomic_load(&p->bytes),
                              .transactions = atomic_load(&p->transactions),
                              .commit_us_total = atomic_load(&p->commit_us),
                              .last_commit_us = atomic_load(&p->last_commit_us),
                              .queued = sent > acked ? sent - acked : 0};
}
