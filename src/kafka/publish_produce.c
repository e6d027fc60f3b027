/* Messages into librdkafka's queue: partition by us, no copy, back-pressure. */
#include "base/failpoint.h"
#include "kafka/delivery.h"
#include "kafka/publisher.h"
#include <stdio.h>
#include <string.h>

enum { FULL_WAIT_MS = 50, PLUS_BYTES = 256 };

static rd_kafka_headers_t *headers_of(const fr_message *m)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(m->header_count);
    for (size_t i = 0; i < m->header_count; i++) {
        const fr_header *h = &m->headers[i];
        (void)rd_kafka_header_add(headers, h->name, -1, h->value.ptr, (ssize_t)h->value.len);
    }
    return headers;
}

static rd_kafka_error_t *enqueue_with_more(fr_publisher *p, rd_kafka_topic_t *handle,
                                           const fr_message *m, int32_t partition, fr_slot *slot)
{
    rd_kafka_vu_t v[8] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = handle},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)m->payload.ptr, m->payload.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)m->key.ptr, m->key.len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = slot},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = 0},
    };
    size_t n = 6;
    rd_kafka_headers_t *headers = NULL;
    if (m->timestamp_ms != 0) {
        v[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = m->timestamp_ms};
    }
    if (m->header_count > 0) {
        headers = headers_of(m);
        v[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers};
    }
    rd_kafka_error_t *error = rd_kafka_produceva(p->client.rk, v, n);
    if (error != NULL && headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    return error;
}

/* Neither copied nor freed by librdkafka: the batch stays until the commit. The plain call is
 * cheaper, and does for most. */
static rd_kafka_error_t *enqueue(fr_publisher *p, rd_kafka_topic_t *handle, const fr_message *m,
                                 int32_t partition, fr_slot *slot)
{
    if (m->timestamp_ms != 0 || m->header_count > 0) {
        return enqueue_with_more(p, handle, m, partition, slot);
    }
    if (rd_kafka_produce(handle, partition, 0, (void *)m->payload.ptr, m->payload.len, m->key.ptr,
                         m->key.len, slot) == 0) {
        return NULL;
    }
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    return rd_kafka_error_new(code, "%s", rd_kafka_err2str(code));
}

/* NULL: it is in the queue. */
static rd_kafka_error_t *wait_for_room(fr_publisher *p, rd_kafka_topic_t *handle,
                                       const fr_message *m, int32_t partition, fr_slot *slot,
                                       rd_kafka_error_t *error)
{
    fr_err ignored;
    while (error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
           p->failed == 0 && fr_client_check(&p->client, &ignored) == FR_OK &&
           rd_kafka_outq_len(p->client.rk) > 0) {
        rd_kafka_error_destroy(error);
        rd_kafka_poll(p->client.rk, FULL_WAIT_MS);
        error = enqueue(p, handle, m, partition, slot);
    }
    return error;
}

fr_rc fr_publisher_send(fr_publisher *p, rd_kafka_topic_t *handle, const fr_message *m,
                        int32_t partition, fr_slot *slot, fr_err *err)
{
    rd_kafka_error_t *error = enqueue(p, handle, m, partition, slot);
    if (error != NULL) {
        error = wait_for_room(p, handle, m, partition, slot, error);
    }
    if (error == NULL) {
        p->produced++;
        fr_publisher_count(&p->sent, 1);
        return FR_OK;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    fr_rc rc = fr_client_check(&p->client, err);
    if (rc == FR_OK && code == RD_KAFKA_RESP_ERR__STATE) {
        (void)rd_kafka_flush(p->client.rk, FULL_WAIT_MS); /* the reason is on its way */
    }
    if (rc == FR_OK && p->failed > 0) {
        rc = fr_publisher_fail_failed(p, err);
    } else if (rc == FR_OK) {
        /* With an empty queue "full" means that this one alone is more than the queue holds. */
        code = code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE : code;
        rc = fr_publisher_fail(p, err, code, rd_kafka_error_string(error),
                               slot->target != NULL ? slot->target->name : p->topic);
    }
    rd_kafka_error_destroy(error);
    return rc;
}

static size_t size_of(const fr_message *m)
{
    size_t size = m->key.len + m->payload.len + PLUS_BYTES;
    for (size_t i = 0; i < m->header_count; i++) {
        size += strlen(m->headers[i].name) + m->headers[i].value.len + PLUS_BYTES / 16;
    }
    return size;
}

static int32_t partition_of(const fr_target *t, const fr_message *m)
{
    if (m->partition >= 0) {
        return m->partition;
    }
    if (m->key.ptr == NULL && m->partition_hash == 0) {
        return (int32_t)(t->turn % (uint32_t)t->fact.partitions);
    }
    return (int32_t)((m->partition_hash & 0x7fffffffu) % (uint32_t)t->fact.partitions);
}

/* Only the broker knows how far a big message shrinks: sent alone, its own answer comes. */
static fr_rc send_alone(fr_publisher *p, fr_target *t, const fr_message *m, int32_t partition,
                        fr_err *err)
{
    FR_TRY(fr_publisher_drain(p, err));
    p->alone = true;
    FR_TRY(fr_publisher_send(p, t->handle, m, partition, &t->slots[partition], err));
    FR_TRY(fr_publisher_drain(p, err));
    p->alone = false;
    return FR_OK;
}

/* Which limit it was, and where it stands. */
static fr_rc fail_too_large(const fr_publisher *p, const fr_target *t, const fr_message *m,
                            fr_err *err)
{
    size_t size = size_of(m) - PLUS_BYTES;
    long long topic = t->big == FR_BIG_MESSAGE ? -1 : t->big + FR_BIG_MARGIN;
    char limit[64] = "not known";
    if (topic > 0) {
        snprintf(limit, sizeof(limit), "%lld", topic);
    }
    fr_fail(err, FR_ERR_DATA,
            "kafka: topic %s: a message of %zu bytes is too large (the topic's max.message.bytes: "
            "%s; ours, from daemon.max_row_bytes: %lld)",
            t->name, size, limit, (long long)p->most_bytes);
    fr_fail_code(err, "kafka.message.too_large");
    if ((long long)size > p->most_bytes) {
        return fr_fail_hint(err, "Raise daemon.max_row_bytes, and max.message.bytes of the topic.");
    }
    return fr_fail_hint(err,
                        "Raise it: kafka-configs.sh --alter --topic %s --add-config "
                        "max.message.bytes=%zu (kafka.topics.config for new topics); or let such "
                        "rows go to the dead letters: errors.mode: dlq",
                        t->name, size + size / 8 + 1024);
}

static fr_rc send_to(fr_publisher *p, fr_target *t, const fr_message *m, int32_t partition,
                     fr_err *err)
{
    if (partition >= t->fact.partitions) {
        return fr_fail(err, FR_ERR_BUG, "kafka: topic %s has no partition %d", t->name,
                       (int)partition);
    }
    if (size_of(m) > (size_t)t->big) {
        return send_alone(p, t, m, partition, err);
    }
    return fr_publisher_send(p, t->handle, m, partition, &t->slots[partition], err);
}

static fr_rc produce_to(fr_publisher *p, fr_target *t, const fr_message *m, fr_err *err)
{
    if (m->key.ptr == NULL && t->compacted) {
        fr_fail(err, FR_ERR_DATA, "kafka: topic %s is compacted and takes no message without key",
                t->name);
        fr_fail_code(err, "kafka.topic.cleanup");
        return fr_fail_hint(err,
                            "Give the table a key, or set cleanup.policy=delete on the topic.");
    }
    if (!m->everywhere) {
        return send_to(p, t, m, partition_of(t, m), err);
    }
    for (int32_t i = 0; i < t->fact.partitions; i++) {
        FR_TRY(send_to(p, t, m, i, err));
    }
    return FR_OK;
}

/* Nothing more is to be said of it than key and payload, and no limit is in question. */
static bool is_plain(const fr_publisher *p, const fr_target *t, const fr_message *m)
{
    size_t size = size_of(m);
    return !m->everywhere && m->header_count == 0 && m->timestamp_ms == 0 &&
           (m->key.ptr != NULL || !t->compacted) && size <= (size_t)t->big &&
           size <= (size_t)p->most_bytes;
}

/* *failed: what was refused; NULL: m itself. */
static fr_rc produce_one(fr_publisher *p, const fr_message *m, const fr_message **failed,
                         fr_err *err)
{
    fr_target *t;
    *failed = NULL;
    FR_TRY(fr_publisher_target(p, m->topic, &t, err));
    if (m->schema != 0 && m->schema != t->fact.schema) {
        t->fact.schema = m->schema;
        t->stale = true;
    }
    if (is_plain(p, t, m)) {
        int32_t partition = partition_of(t, m);
        if (partition < t->fact.partitions) {
            return fr_publisher_window_add(p, t, m, partition, failed, err);
        }
    }
    FR_TRY(fr_publisher_window_send(p, failed, err));
    *failed = NULL;
    fr_rc rc = produce_to(p, t, m, err);
    if (rc == FR_FAIL && strcmp(err->code, "kafka.message.too_large") == 0) {
        return fail_too_large(p, t, m, err);
    }
    return rc;
}

/* Messages without key go to one partition for a while, then to the next: full batches. */
static void next_turn(fr_publisher *p)
{
    if (p->newest != NULL) {
        p->newest->turn++;
    }
}

void fr_publisher_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *client)
{
    fr_publisher *p = ((fr_client *)client)->owner;
    fr_slot *slot = m->_private;
    rd_kafka_resp_err_t result = fr_delivery_result(m);
    (void)rk;
    fr_publisher_count(&p->acked, 1);
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset < slot->fresh) {
        result = FR_UNPROVED; /* two messages have no one place: ADR 23 */
    }
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->delivered++;
        fr_publisher_count(&p->bytes, m->len + m->key_len);
        if (slot->target != NULL) {
            if (m->offset < slot->acked && p->rewound == NULL) {
                p->rewound = slot;
                p->rewound_at = m->offset;
            }
            fr_publisher_touch(p, slot, m->offset + 1);
        }
        return;
    }
    if (p->failed++ == 0) {
        p->failure = result;
        p->failure_topic = slot->target != NULL ? slot->target->name : p->topic;
        /* Not rd_kafka_message_errstr: that takes our payload for its text. */
        snprintf(p->failure_text, sizeof(p->failure_text), "%s", rd_kafka_err2str(result));
    }
}

/* *at: the message that was refused, on FR_FAIL. */
static fr_rc produce_all(fr_publisher *p, const fr_batch *b, size_t from, size_t to, size_t *at,
                         fr_err *err)
{
    const fr_message *failed = NULL;
    fr_rc rc = FR_OK;
    for (size_t i = from; rc == FR_OK && i < to; i++) {
        *at = i;
        rc = produce_one(p, &b->messages[i], &failed, err);
    }
    if (rc == FR_OK) {
        rc = fr_publisher_window_send(p, &failed, err);
    }
    if (rc == FR_FAIL && failed != NULL) {
        *at = (size_t)(failed - b->messages);
        if (strcmp(err->code, "kafka.message.too_large") == 0) {
            (void)fail_too_large(p, p->window.target, failed, err);
        }
    }
    fr_publisher_window_forget(p);
    return rc;
}

fr_rc fr_publisher_produce(fr_publisher *p, const fr_batch *b, size_t from, size_t to,
                           size_t *failed_message, fr_err *err)
{
    FR_TRY(fr_publisher_begin(p, err));
    FR_TRY(produce_all(p, b, from, to, failed_message, err));
    next_turn(p);
    rd_kafka_poll(p->client.rk, 0);
    if (p->failed > 0) {
        *failed_message = from;
        return fr_publisher_fail_failed(p, err);
    }
    if (FR_FAILPOINT("kafka_after_produce")) {
        return fr_fail(err, FR_ERR_CONNECT, "failpoint kafka_after_produce");
    }
    return FR_OK;
}
