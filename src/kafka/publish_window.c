/* Plain messages go to librdkafka in groups, those of one partition together. The order within a
 * partition, which is all that Kafka keeps, stays as it was. */
#include "kafka/publisher.h"

void fr_publisher_window_forget(fr_publisher *p)
{
    fr_window *w = &p->window;
    for (size_t i = 0; i < w->count; i++) {
        w->slots[i]->first = w->slots[i]->last = 0;
    }
    w->count = 0;
}

/* The messages of the slot whose first one is at; how many they are. */
static size_t gather(fr_window *w, size_t at)
{
    size_t n = 0;
    for (size_t i = at + 1; i != 0; i = w->next[i - 1]) {
        const fr_message *m = w->messages[i - 1];
        w->out[n++] = (rd_kafka_message_t){.payload = (void *)m->payload.ptr,
                                           .len = m->payload.len,
                                           .key = (void *)m->key.ptr,
                                           .key_len = m->key.len,
                                           ._private = w->slots[at]};
    }
    return n;
}

static const fr_message *nth(const fr_window *w, size_t at, size_t n)
{
    while (n-- > 0) {
        at = w->next[at] - 1;
    }
    return w->messages[at];
}

/* librdkafka refuses one and then all that follow: its queue is full, or it takes no more. It says
 * how many it took, which is only then enough to know which ones. */
static bool is_prefix(const rd_kafka_message_t *out, size_t n, size_t taken)
{
    for (size_t i = 0; i < n; i++) {
        if ((out[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) != (i < taken)) {
            return false;
        }
    }
    return true;
}

static fr_rc send_slot(fr_publisher *p, size_t at, const fr_message **failed, fr_err *err)
{
    fr_window *w = &p->window;
    fr_slot *slot = w->slots[at];
    rd_kafka_topic_t *handle = w->target->handle;
    size_t n = gather(w, at);
    for (size_t from = 0; from < n; from++) {
        size_t taken = (size_t)rd_kafka_produce_batch(handle, slot->partition, 0, w->out + from,
                                                      (int)(n - from));
        p->produced += taken;
        fr_publisher_count(&p->sent, taken);
        if (!is_prefix(w->out + from, n - from, taken)) {
            return fr_fail(err, FR_ERR_BUG, "kafka: topic %s: messages were refused out of order",
                           w->target->name);
        }
        from += taken;
        if (from == n) {
            break;
        }
        *failed = nth(w, at, from); /* on its own it waits for room, or says why not */
        FR_TRY(fr_publisher_send(p, handle, *failed, slot->partition, slot, err));
    }
    return FR_OK;
}

fr_rc fr_publisher_window_send(fr_publisher *p, const fr_message **failed, fr_err *err)
{
    fr_window *w = &p->window;
    fr_rc rc = FR_OK;
    *failed = w->count > 0 ? w->messages[0] : NULL;
    for (size_t i = 0; rc == FR_OK && i < w->count; i++) {
        if (w->slots[i]->first == i + 1) {
            rc = send_slot(p, i, failed, err);
        }
    }
    fr_publisher_window_forget(p);
    rd_kafka_poll(p->client.rk, 0);
    return rc;
}

fr_rc fr_publisher_window_add(fr_publisher *p, fr_target *t, const fr_message *m, int32_t partition,
                              const fr_message **failed, fr_err *err)
{
    fr_window *w = &p->window;
    if (w->count == FR_WINDOW || (w->count > 0 && w->target != t)) {
        FR_TRY(fr_publisher_window_send(p, failed, err));
    }
    fr_slot *slot = &t->slots[partition];
    size_t at = w->count++;
    w->target = t;
    w->messages[at] = m;
    w->slots[at] = slot;
    w->next[at] = 0;
    if (slot->first == 0) {
        slot->first = (uint32_t)at + 1;
    } else {
        w->next[slot->last - 1] = (uint32_t)at + 1;
    }
    slot->last = (uint32_t)at + 1;
    return FR_OK;
}
