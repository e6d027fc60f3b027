/* Dead letters of sinks (R36): acknowledged before the target's transaction commits. */
#include "kafka/dlq.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "kafka/client.h"
#include "kafka/delivery.h"
#include "kafka/topics.h"
#include <stdlib.h>
#include <string.h>

enum { READY_US = 15000000, FULL_WAIT_MS = 50, OUR_HEADERS = 7 };

/* How a letter is sent; the broker's limit is one of whole batches, so a letter that came with
 * others is not at fault before it was sent alone. */
typedef enum letter_form { LETTER, ALONE, CUT } letter_form;

typedef struct letter { /* refused for its size in this form */
    struct letter *next;
    letter_form form;
    fr_str key, payload; /* ptr NULL: none; behind the struct */
    rd_kafka_headers_t *headers;
} letter;

struct fr_dlq {
    fr_client client;
    rd_kafka_topic_t *handle;
    char topic[256];
    uint64_t produced, delivered, failed;
    rd_kafka_resp_err_t failure;
    letter *refused, **last;
};

static bool is_too_large(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static void keep(fr_dlq *d, letter_form form, fr_str key, fr_str payload,
                 rd_kafka_headers_t *headers)
{
    letter *l = fr_malloc(sizeof(*l) + key.len + payload.len);
    char *bytes = (char *)(l + 1);
    *l = (letter){.form = form, .key = key, .payload = payload, .headers = headers};
    if (key.len > 0)
        l->key.ptr = memcpy(bytes, key.ptr, key.len);
    if (payload.len > 0)
        l->payload.ptr = memcpy(bytes + key.len, payload.ptr, payload.len);
    *d->last = l;
    d->last = &l->next;
}

static void letter_free(letter *l)
{
    if (l->headers != NULL)
        rd_kafka_headers_destroy(l->headers);
    free(l);
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    fr_dlq *d = ((fr_client *)opaque)->owner;
    rd_kafka_resp_err_t result = fr_delivery_result(m);
    (void)rk;
    letter_form form = (letter_form)(uintptr_t)m->_private;
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR) {
        d->delivered++;
    } else if (is_too_large(result) && form != CUT) {
        rd_kafka_headers_t *headers = NULL;
        (void)rd_kafka_message_detach_headers((rd_kafka_message_t *)m, &headers);
        keep(d, form, (fr_str){m->key, m->key_len}, (fr_str){m->payload, m->len}, headers);
    } else if (d->failed++ == 0) {
        d->failure = result;
    }
}

static fr_rc open_topic(fr_dlq *d, const fr_kafka_settings *settings, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_topic_state t;
    const char *name = d->topic;
    fr_rc rc = fr_topics_describe(&d->client, a, &name, 1, &t, err);
    fr_arena_free(a);
    FR_TRY(rc);
    if (!t.exists && settings->topics_create == FR_WHEN_NEVER) {
        fr_fail(err, FR_ERR_CONFIG, "kafka: topic %s for dead letters does not exist", d->topic);
        fr_fail_code(err, "kafka.topic.missing");
        return fr_fail_hint(err, "Create it (kafka.topics.create is never).");
    }
    if (!t.exists) {
        FR_TRY(fr_topics_create(&d->client, d->topic, false, err));
    }
    d->handle = rd_kafka_topic_new(d->client.rk, d->topic, NULL);
    if (d->handle == NULL) {
        return fr_client_fail(&d->client, err, rd_kafka_last_error(), NULL, d->topic);
    }
    return FR_OK;
}

fr_rc fr_dlq_open(const fr_kafka_settings *settings, const char *topic, fr_dlq **out, fr_err *err)
{
    fr_dlq *d = fr_malloc(sizeof(*d));
    char max_bytes[24];
    int64_t bytes = 2 * settings->max_row_bytes + (1 << 20);
    snprintf(d->topic, sizeof(d->topic), "%s", topic);
    d->last = &d->refused;
    snprintf(max_bytes, sizeof(max_bytes), "%lld",
             (long long)(bytes > 1000000000 ? 1000000000 : bytes));
    const fr_pair defaults[] = {{"compression.codec", "lz4"},
                                {"linger.ms", "5"},
                                {"message.max.bytes", max_bytes},
                                {"message.timeout.ms", "60000"}};
    const fr_pair owned[] = {{"acks", "all"}, {"enable.idempotence", "true"}};
    fr_client_options options = {.type = RD_KAFKA_PRODUCER,
                                 .who = topic,
                                 .owner = d,
                                 .defaults = defaults,
                                 .default_count = sizeof(defaults) / sizeof(defaults[0]),
                                 .owned = owned,
                                 .owned_count = 2,
                                 .delivered = on_delivered};
    if (fr_client_open(&d->client, settings, &options, err) == FR_FAIL ||
        fr_client_ready(&d->client, READY_US, NULL, err) == FR_FAIL ||
        open_topic(d, settings, err) == FR_FAIL) {
        fr_dlq_close(d);
        return FR_FAIL;
    }
    *out = d;
    return FR_OK;
}

void fr_dlq_close(fr_dlq *d)
{
    if (d == NULL) {
        return;
    }
    if (d->handle != NULL) {
        rd_kafka_topic_destroy(d->handle);
    }
    if (d->client.rk != NULL) {
        rd_kafka_purge(d->client.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(d->client.rk, 0);
    }
    fr_client_close(&d->client);
    while (d->refused != NULL) {
        letter *l = d->refused;
        d->refused = l->next;
        letter_free(l);
    }
    free(d);
}

static void add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    (void)rd_kafka_header_add(headers, name, -1, value, -1);
}

/* The letter's own headers first, then where it came from and why it is here. */
static rd_kafka_headers_t *headers_of(const char *who, const fr_message *m, const char *reason,
                                      bool parked)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(m->header_count + OUR_HEADERS);
    char number[24];
    for (size_t i = 0; i < m->header_count; i++) {
        const fr_header *h = &m->headers[i];
        (void)rd_kafka_header_add(headers, h->name, -1, h->value.ptr, (ssize_t)h->value.len);
    }
    bool source = strncmp(who, "source ", 7) == 0;
    const char *space = strchr(who, ' ');
    add(headers, source ? "freshet.source" : "freshet.sink", space == NULL ? who : space + 1);
    add(headers, "freshet.reason", reason);
    (void)rd_kafka_header_add(headers, "freshet.topic", -1, m->topic.ptr, (ssize_t)m->topic.len);
    snprintf(number, sizeof(number), "%d", (int)m->partition);
    add(headers, "freshet.partition", number);
    snprintf(number, sizeof(number), "%lld", (long long)m->offset);
    add(headers, "freshet.offset", number);
    add(headers, "freshet.parked", parked ? "true" : "false");
    add(headers, "freshet.v", "2");
    return headers;
}

/* Ours are the last ones; the letter's own may be what was too large. */
static rd_kafka_headers_t *cut_headers(const rd_kafka_headers_t *all, size_t left_out)
{
    rd_kafka_headers_t *ours = rd_kafka_headers_new(OUR_HEADERS + 1);
    size_t count = all == NULL ? 0 : rd_kafka_header_cnt(all), size;
    const char *name;
    const void *value;
    for (size_t i = count > OUR_HEADERS ? count - OUR_HEADERS : 0; i < count; i++) {
        if (rd_kafka_header_get_all(all, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)rd_kafka_header_add(ours, name, -1, value, (ssize_t)size);
        }
    }
    char number[24];
    snprintf(number, sizeof(number), "%zu", left_out);
    add(ours, "freshet.cut", number);
    return ours;
}

static fr_str header_of(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value = NULL;
    size_t size = 0;
    bool there = headers != NULL && rd_kafka_header_get_last(headers, name, &value, &size) ==
                                        RD_KAFKA_RESP_ERR_NO_ERROR;
    return there ? (fr_str){value, size} : FR_STR("");
}

/* Where the whole of it is, for as long as its topic keeps it. */
static void put_reference(fr_buf *b, const rd_kafka_headers_t *headers, size_t bytes)
{
    fr_buf_text(b, "{\"topic\":");
    fr_buf_json(b, header_of(headers, "freshet.topic"));
    fr_buf_printf(b, ",\"partition\":%.*s,\"offset\":%.*s,\"bytes\":%zu}",
                  FR_ARG(header_of(headers, "freshet.partition")),
                  FR_ARG(header_of(headers, "freshet.offset")), bytes);
}

static rd_kafka_error_t *enqueue(fr_dlq *d, letter_form form, fr_str key, fr_str payload,
                                 rd_kafka_headers_t *headers)
{
    const rd_kafka_vu_t v[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = d->handle},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)payload.ptr, payload.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key.ptr, key.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)form},
    };
    return rd_kafka_produceva(d->client.rk, v, sizeof(v) / sizeof(v[0]));
}

/* Takes the headers. What even our own client holds for too large is kept for the next form. */
static fr_rc send_letter(fr_dlq *d, letter_form form, fr_str key, fr_str payload,
                         rd_kafka_headers_t *headers, fr_err *err)
{
    rd_kafka_error_t *error = enqueue(d, form, key, payload, headers);
    while (error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
           d->failed == 0 && !fr_cancelled() && rd_kafka_outq_len(d->client.rk) > 0) {
        rd_kafka_error_destroy(error);
        rd_kafka_poll(d->client.rk, FULL_WAIT_MS);
        error = enqueue(d, form, key, payload, headers);
    }
    if (error == NULL) {
        return FR_OK;
    }
    if (is_too_large(rd_kafka_error_code(error)) && form != CUT) {
        rd_kafka_error_destroy(error);
        keep(d, ALONE, key, payload, headers);
        return FR_OK;
    }
    rd_kafka_headers_destroy(headers);
    return fr_client_fail_error(&d->client, err, error, d->topic);
}

fr_rc fr_dlq_put(fr_dlq *d, const char *who, const fr_message *m, const char *reason, bool parked,
                 fr_err *err)
{
    rd_kafka_headers_t *headers = headers_of(who, m, reason, parked);
    FR_TRY(send_letter(d, LETTER, m->key, m->payload, headers, err));
    d->produced++;
    rd_kafka_poll(d->client.rk, 0);
    return FR_OK;
}

fr_rc fr_dlq_mark(fr_dlq *d, int32_t partition, fr_str key, fr_str value, const fr_header *headers,
                  size_t count, fr_err *err)
{
    rd_kafka_headers_t *copy = rd_kafka_headers_new(count);
    for (size_t i = 0; i < count; i++)
        (void)rd_kafka_header_add(copy, headers[i].name, -1, headers[i].value.ptr,
                                  (ssize_t)headers[i].value.len);
    const rd_kafka_vu_t v[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = d->handle},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value.ptr, value.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key.ptr, key.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = copy},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)CUT},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(d->client.rk, v, sizeof(v) / sizeof(v[0]));
    if (error != NULL) {
        rd_kafka_headers_destroy(copy);
        return fr_client_fail_error(&d->client, err, error, d->topic);
    }
    d->produced++;
    rd_kafka_poll(d->client.rk, 0);
    return FR_OK;
}

static fr_rc send_again(fr_dlq *d, letter *l, fr_err *err)
{
    rd_kafka_headers_t *headers = l->headers;
    if (l->form == LETTER) {
        l->headers = NULL;
        return send_letter(d, ALONE, l->key, l->payload, headers, err);
    }
    fr_buf reference = {0};
    put_reference(&reference, headers, l->payload.len);
    fr_log(FR_LOG_WARN, d->client.who,
           "a dead letter of %zu bytes is above max.message.bytes: only its place goes there, %.*s "
           "(kafka.dlq.cut)",
           l->key.len + l->payload.len, FR_ARG(fr_buf_view(&reference)));
    fr_str payload = l->payload.ptr == NULL ? l->payload : fr_buf_view(&reference);
    fr_rc rc = send_letter(d, CUT, l->key, payload, cut_headers(headers, l->payload.len), err);
    fr_buf_free(&reference);
    return rc;
}

static fr_rc fail_too_large(fr_dlq *d, fr_err *err)
{
    (void)fr_client_fail(&d->client, err, d->failure, NULL, d->topic);
    err->kind = FR_ERR_CONFIG; /* of the row no less can be said */
    return fr_fail_hint(err,
                        "A dead letter's key and headers alone are too large: raise "
                        "max.message.bytes of %s",
                        d->topic);
}

static fr_rc drain(fr_dlq *d, fr_err *err)
{
    while (d->failed == 0 &&
           rd_kafka_flush(d->client.rk, FR_CLIENT_TICK_MS) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        FR_TRY(fr_client_check(&d->client, err));
    }
    if (d->failed > 0 && d->failure == FR_UNPROVED) {
        return fr_delivery_unproved(d->topic, err);
    }
    if (d->failed > 0 && is_too_large(d->failure)) {
        return fail_too_large(d, err);
    }
    return d->failed == 0 ? FR_OK : fr_client_fail(&d->client, err, d->failure, NULL, d->topic);
}

fr_rc fr_dlq_flush(fr_dlq *d, fr_err *err)
{
    FR_TRY(drain(d, err));
    while (d->refused != NULL) {
        letter *l = d->refused;
        d->refused = l->next;
        if (d->refused == NULL)
            d->last = &d->refused;
        fr_rc rc = send_again(d, l, err);
        letter_free(l);
        FR_TRY(rc);
        FR_TRY(drain(d, err));
    }
    if (d->produced != d->delivered) {
        return fr_fail(err, FR_ERR_BUG, "kafka: %llu dead letters produced, %llu acknowledged",
                       (unsigned long long)d->produced, (unsigned long long)d->delivered);
    }
    return FR_OK;
}
