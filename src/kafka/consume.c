/* Messages for sinks and tap: a group member that asks its owner where to begin, or, without
 * a group, a reader of whole topics. */
#include "kafka/consume.h"
#include "base/clock.h"
#include "base/log.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include <stdlib.h>
#include <string.h>

enum { READY_US = 15000000, FETCH_BYTES = 4 << 20 };

/* ---- the places we read ---- */

fr_place *fr_consumer_place(fr_consumer *c, const char *topic, int32_t partition)
{
    fr_place *p = c->newest;
    if (p != NULL && p->partition == partition && strcmp(p->topic, topic) == 0) {
        return p;
    }
    for (size_t i = 0; i < c->place_count; i++) {
        p = c->places[i];
        if (p->partition == partition && strcmp(p->topic, topic) == 0) {
            c->newest = p;
            return p;
        }
    }
    return NULL;
}

static void add_place(fr_consumer *c, const char *topic, int32_t partition)
{
    if (fr_consumer_place(c, topic, partition) != NULL) {
        return;
    }
    fr_place *p = fr_malloc(sizeof(*p));
    p->topic = fr_strdup(topic);
    p->partition = partition;
    p->next = p->told = p->left_out = -1;
    p->held = fr_consumer_holds(c, fr_cstr(topic));
    if (c->place_count == c->place_cap) {
        c->place_cap = c->place_cap == 0 ? 16 : c->place_cap * 2;
        c->places = fr_realloc(c->places, c->place_cap * sizeof(fr_place *));
    }
    c->places[c->place_count++] = p;
}

static void free_place(fr_place *p)
{
    free(p->topic);
    free(p);
}

static void remove_place(fr_consumer *c, const char *topic, int32_t partition)
{
    fr_place *p = fr_consumer_place(c, topic, partition);
    size_t n = 0;
    for (size_t i = 0; p != NULL && i < c->place_count; i++) {
        if (c->places[i] != p) {
            c->places[n++] = c->places[i];
        }
    }
    if (p != NULL) {
        c->place_count = n;
        c->newest = NULL;
        free_place(p);
    }
}

/* ---- assignment ---- */

static fr_offsets offsets_of(fr_arena *a, const rd_kafka_topic_partition_list_t *list)
{
    fr_offsets o = {.items = fr_arena_alloc(a, ((size_t)list->cnt + 1) * sizeof(fr_offset)),
                    .count = (size_t)list->cnt};
    for (int i = 0; i < list->cnt; i++) {
        o.items[i] = (fr_offset){fr_cstr(list->elems[i].topic), list->elems[i].partition, -1, ""};
    }
    return o;
}

/* Ask the owner where each begins; what it does not know begins at `start`. */
static fr_rc place_offsets(fr_consumer *c, rd_kafka_topic_partition_list_t *list, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_offsets o = offsets_of(a, list);
    fr_rc rc = FR_OK;
    if (c->settings.assigned != NULL) {
        rc = c->settings.assigned(c->settings.context, &o, err);
    }
    for (int i = 0; i < list->cnt; i++) {
        int64_t start = c->settings.start == 0 ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
        list->elems[i].offset = o.items[i].next >= 0 ? o.items[i].next : start;
    }
    fr_arena_free(a);
    return rc;
}

static void take_error(fr_consumer *c, rd_kafka_error_t *error, const char *what)
{
    if (error != NULL && !c->broken) {
        c->broken = true;
        (void)fr_client_fail_error(&c->client, &c->error, error, what);
    } else if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
}

static void assigned(fr_consumer *c, rd_kafka_topic_partition_list_t *list)
{
    if (place_offsets(c, list, &c->error) == FR_FAIL) {
        /* Given back: nothing was read of them. */
        c->broken = true;
        rd_kafka_unsubscribe(c->client.rk);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        add_place(c, p->topic, p->partition);
        if (p->offset >= 0) {
            fr_place *place = fr_consumer_place(c, p->topic, p->partition);
            place->next = place->told = p->offset;
        }
    }
    c->assigned = true;
    take_error(c, rd_kafka_incremental_assign(c->client.rk, list), "assign partitions");
    fr_consumer_pause_held(c, list);
}

static bool is_in(const rd_kafka_topic_partition_list_t *list, const fr_message *m)
{
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].partition == m->partition && fr_str_is(m->topic, list->elems[i].topic)) {
            return true;
        }
    }
    return false;
}

/* The owner has not seen them yet: they are the next owner's. */
static void drop_messages(fr_batch *b, const rd_kafka_topic_partition_list_t *list)
{
    size_t n = 0;
    for (size_t i = 0; b != NULL && i < b->message_count; i++) {
        if (!is_in(list, &b->messages[i])) {
            b->messages[n++] = b->messages[i];
        }
    }
    if (b != NULL) {
        b->message_count = n;
    }
}

static void revoked(fr_consumer *c, rd_kafka_topic_partition_list_t *list)
{
    fr_arena *a = fr_arena_new(0);
    fr_offsets o = offsets_of(a, list);
    drop_messages(c->batch, list);
    if (c->settings.revoked != NULL) {
        c->settings.revoked(c->settings.context, &o);
    }
    fr_arena_free(a);
    for (int i = 0; i < list->cnt; i++) {
        remove_place(c, list->elems[i].topic, list->elems[i].partition);
    }
    fr_consumer_resume_leaving(c, list);
    take_error(c, rd_kafka_incremental_unassign(c->client.rk, list), "give partitions back");
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    fr_consumer *c = ((fr_client *)opaque)->owner;
    (void)rk;
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assigned(c, list);
    } else {
        revoked(c, list);
    }
}

/* ---- consuming ---- */

static void take_headers(fr_batch *b, const rd_kafka_message_t *from, fr_message *m)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    size_t count = rd_kafka_header_cnt(headers);
    fr_header *out = fr_arena_alloc(b->arena, (count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        (void)rd_kafka_header_get_all(headers, i, &name, &value, &size);
        out[i].name = fr_arena_cstr(b->arena, fr_cstr(name));
        out[i].value = value == NULL ? (fr_str){NULL, 0} : fr_arena_copy(b->arena, value, size);
    }
    m->headers = out;
    m->header_count = count;
}

static fr_str topic_in(fr_batch *b, const char *topic)
{
    if (b->message_count > 0 && fr_str_is(b->messages[b->message_count - 1].topic, topic)) {
        return b->messages[b->message_count - 1].topic;
    }
    return fr_arena_str(b->arena, fr_cstr(topic));
}

static fr_str copied(fr_arena *a, const void *ptr, size_t len)
{
    return ptr == NULL ? (fr_str){NULL, 0} : fr_arena_copy(a, ptr, len);
}

static void take_message(fr_batch *b, const rd_kafka_message_t *from, fr_place *place)
{
    fr_str topic = topic_in(b, place->topic);
    fr_message *m = fr_batch_message(b);
    rd_kafka_timestamp_type_t type;
    int64_t stamp = rd_kafka_message_timestamp(from, &type);
    m->topic = topic;
    m->partition = from->partition;
    m->offset = from->offset;
    m->timestamp_ms = stamp > 0 ? stamp : 0;
    m->key = copied(b->arena, from->key, from->key_len);
    m->payload = copied(b->arena, from->payload, from->len);
    take_headers(b, from, m);
    place->next = place->told = from->offset + 1;
    place->at_end = false;
}

static fr_rc take(fr_consumer *c, fr_batch *b, const rd_kafka_message_t *m, fr_err *err)
{
    const char *topic = m->rkt == NULL ? NULL : rd_kafka_topic_name(m->rkt);
    fr_place *place = topic == NULL ? NULL : fr_consumer_place(c, topic, m->partition);
    char what[300];
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (place != NULL && place->held) {
            place->left_out = place->left_out < 0 ? m->offset : place->left_out;
        } else if (place != NULL) {
            take_message(b, m, place);
        }
        return FR_OK;
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (place != NULL && !place->held) {
            place->next = m->offset;
            place->at_end = place->ended = true;
        }
        return FR_OK;
    }
    if (fr_client_passes(m->err)) {
        return FR_OK;
    }
    snprintf(what, sizeof(what), "read %s%s%d", topic == NULL ? "" : topic,
             topic == NULL ? "" : ", partition ", topic == NULL ? 0 : (int)m->partition);
    return fr_client_fail(&c->client, err, m->err, rd_kafka_message_errstr(m),
                          topic == NULL ? "consume" : what);
}

static rd_kafka_message_t *poll_one(fr_consumer *c, int ms)
{
    if (c->spare != NULL) {
        rd_kafka_message_t *m = c->spare;
        c->spare = NULL;
        return m;
    }
    if (c->settings.group != NULL) {
        return rd_kafka_consumer_poll(c->client.rk, ms);
    }
    rd_kafka_poll(c->client.rk, 0);
    return rd_kafka_consume_queue(c->queue, ms);
}

static void resume_if_paused(fr_consumer *c)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (!c->paused || rd_kafka_assignment(c->client.rk, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    for (int i = list->cnt - 1; i >= 0; i--) {
        if (fr_consumer_holds(c, fr_cstr(list->elems[i].topic))) {
            rd_kafka_topic_partition_list_del_by_idx(list, i);
        }
    }
    (void)rd_kafka_resume_partitions(c->client.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    c->paused = false;
}

static int wait_ms(const fr_batch *b, size_t before, int64_t deadline_us)
{
    int64_t left = (deadline_us - fr_now_us() + 999) / 1000;
    if (b->message_count > before || left < 0) {
        return 0; /* something to give: take what is there, wait for nothing */
    }
    return left > FR_CLIENT_TICK_MS ? FR_CLIENT_TICK_MS : (int)left;
}

static bool is_full(const fr_batch *b)
{
    return b->message_count >= b->max_events || fr_arena_used(b->arena) >= b->max_bytes;
}

/* Until there is nothing more at hand; ends at the first error. */
static fr_rc fill(fr_consumer *c, fr_batch *b, size_t before, int64_t deadline_us, fr_err *err)
{
    while (!is_full(b) && !atomic_load(&c->interrupted)) {
        int ms = wait_ms(b, before, deadline_us);
        rd_kafka_message_t *m = poll_one(c, ms);
        if (c->broken) {
            if (m != NULL) {
                rd_kafka_message_destroy(m);
            }
            *err = c->error;
            return FR_FAIL;
        }
        if (m == NULL) {
            if (b->message_count > before || fr_now_us() >= deadline_us) {
                return FR_OK;
            }
            continue;
        }
        bool eof = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        fr_rc rc = take(c, b, m, err);
        rd_kafka_message_destroy(m);
        FR_TRY(rc);
        if (eof && fr_consumer_at_end(c)) {
            return FR_OK; /* the caller may be waiting for just that */
        }
    }
    return FR_OK;
}

fr_rc fr_consume(fr_consumer *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    size_t before = b->message_count;
    if (c->broken) {
        *err = c->error;
        return FR_FAIL;
    }
    FR_TRY(fr_consumer_same_topics(c, err));
    resume_if_paused(c);
    c->batch = b;
    fr_rc rc = fill(c, b, before, deadline_us, err);
    c->batch = NULL;
    if (rc == FR_FAIL) {
        return rc;
    }
    return b->message_count > before ? FR_OK : FR_IDLE;
}

fr_rc fr_consumer_heartbeat(fr_consumer *c, fr_err *err)
{
    if (c->settings.group == NULL || c->broken) {
        return FR_OK;
    }
    rd_kafka_topic_partition_list_t *list = NULL;
    if (!c->paused && rd_kafka_assignment(c->client.rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)rd_kafka_pause_partitions(c->client.rk, list);
        rd_kafka_topic_partition_list_destroy(list);
        c->paused = true;
    }
    if (c->spare == NULL) {
        c->spare = rd_kafka_consumer_poll(c->client.rk, 0);
    }
    if (c->broken) {
        *err = c->error;
        return FR_FAIL;
    }
    return FR_OK;
}

void fr_consumer_committed(fr_consumer *c, const fr_offsets *offsets)
{
    if (c->settings.group == NULL || offsets->count == 0) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offsets->count);
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < offsets->count; i++) {
        const fr_offset *o = &offsets->items[i];
        if (o->next >= 0) {
            rd_kafka_topic_partition_list_add(list, fr_arena_cstr(a, o->topic), o->partition)
                ->offset = o->next;
        }
    }
    rd_kafka_resp_err_t code = rd_kafka_commit(c->client.rk, list, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fr_log(FR_LOG_DEBUG, c->client.who, "group offsets not stored: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    fr_arena_free(a);
}

int64_t fr_consumer_lag(fr_consumer *c)
{
    int64_t lag = 0;
    for (size_t i = 0; i < c->place_count; i++) {
        const fr_place *p = c->places[i];
        int64_t low = -1, high = -1;
        if (p->held) {
            continue;
        }
        if (p->next < 0 ||
            rd_kafka_get_watermark_offsets(c->client.rk, p->topic, p->partition, &low, &high) !=
                0 ||
            high < 0) {
            return -1;
        }
        lag += high > p->next ? high - p->next : 0;
    }
    return c->assigned ? lag : -1;
}

bool fr_consumer_at_end(fr_consumer *c)
{
    for (size_t i = 0; i < c->place_count; i++) {
        if (!c->places[i]->at_end && !c->places[i]->held) {
            return false;
        }
    }
    return c->assigned;
}

bool fr_consumer_passed(fr_consumer *c, const fr_offsets *to)
{
    fr_arena *a = fr_arena_new(256);
    bool passed = c->assigned;
    for (size_t i = 0; i < to->count && passed; i++) {
        const fr_offset *o = &to->items[i];
        const fr_place *p = fr_consumer_place(c, fr_arena_cstr(a, o->topic), o->partition);
        passed = p != NULL && (p->ended || p->next >= o->next);
    }
    fr_arena_free(a);
    return passed;
}

void fr_consumer_interrupt(fr_consumer *c)
{
    atomic_store(&c->interrupted, true);
}

/* ---- open and close ---- */

/* What a pattern of a sink never takes: our own topics hold no rows. */
static const char OUR_TOPICS[] =
    "^freshet\\.[a-z0-9-]+\\.(checkpoint\\..*|control|status|tasks|dlq)$";

static fr_rc open_client(fr_consumer *c, const char *member, fr_err *err)
{
    const fr_kafka_settings *k = c->settings.kafka;
    /* A row may come twice in an event, and a reply must be able to hold it. What we ask for is
     * much less: a broker gives the first batch whole in any case (KIP-74), and a reply is several
     * times its size once it is unpacked, which no limit of librdkafka's counts before it is. */
    int64_t message = 2 * k->max_row_bytes + (1 << 20);
    message = message > 900000000 ? 900000000 : message;
    int64_t memory = k->memory > (1 << 20) ? k->memory : 1 << 20;
    int64_t fetch = memory / 8 > FETCH_BYTES ? FETCH_BYTES : memory / 8;
    /* librdkafka wants it to hold a message of the largest size that may be produced. */
    const char *produced = fr_client_property(k, "message.max.bytes");
    int64_t least = produced == NULL ? 1 << 20 : strtoll(produced, NULL, 10);
    fetch = fetch < least ? least : fetch;
    message = message > fetch ? message : fetch;
    char queued[24], fetched[24], received[24];
    snprintf(queued, sizeof(queued), "%lld", (long long)(memory / 1024));
    snprintf(fetched, sizeof(fetched), "%lld", (long long)fetch);
    snprintf(received, sizeof(received), "%lld", (long long)(message + (1 << 20)));
    const fr_pair defaults[] = {
        {"queued.max.messages.kbytes", queued},
        {"fetch.max.bytes", fetched},
        {"fetch.message.max.bytes", "262144"}, /* of one partition */
        {"receive.message.max.bytes", received},
        {"fetch.wait.max.ms", "100"},
        {"fetch.error.backoff.ms", "100"},
        {"session.timeout.ms", "10000"},
        {"topic.metadata.refresh.interval.ms", "5000"},
        {"topic.blacklist", c->settings.group == NULL ? "" : OUR_TOPICS},
    };
    const fr_pair owned[] = {
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", c->settings.uncommitted ? "read_uncommitted" : "read_committed"},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"group.id", c->settings.group == NULL ? "" : c->settings.group},
        {"group.instance.id", member == NULL ? "" : member},
    };
    size_t owned_count = c->settings.group == NULL ? 6 : member == NULL ? 7 : 8;
    fr_client_options options = {.type = RD_KAFKA_CONSUMER,
                                 .who = c->settings.group == NULL ? "tap" : c->settings.group,
                                 .owner = c,
                                 .interrupted = &c->interrupted,
                                 .defaults = defaults,
                                 .default_count = sizeof(defaults) / sizeof(defaults[0]),
                                 .owned = owned,
                                 .owned_count = owned_count,
                                 .rebalanced = c->settings.group == NULL ? NULL : on_rebalance};
    return fr_client_open(&c->client, k, &options, err);
}

static fr_rc subscribe(fr_consumer *c, fr_err *err)
{
    rd_kafka_poll_set_consumer(c->client.rk);
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)c->settings.topic_count);
    for (size_t i = 0; i < c->settings.topic_count; i++) {
        rd_kafka_topic_partition_list_add(list, c->settings.topics[i], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->client.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fr_client_fail(&c->client, err, code, NULL, "subscribe");
    }
    return FR_OK;
}

/* A static member that comes back within its session gets its old partitions from the broker
 * without a new assignment, so that a topic or partition which has come since would stay without a
 * reader for good. Hence the member's name says what there is to read: when that differs, it is a
 * new member, and the group is assigned anew (once the old one's session has ended). */
static fr_rc name_member(fr_consumer *c, char *out, size_t size, fr_err *err)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    fr_rc rc = open_client(c, NULL, err); /* it never joins */
    if (rc == FR_OK) {
        rc = fr_consumer_expand(c, &list, err);
    }
    fr_client_close(&c->client);
    memset(&c->client, 0, sizeof(c->client));
    FR_TRY(rc);
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    uint32_t crc = 0;
    for (int i = 0; i < list->cnt; i++) { /* NOLINT: filled when rc is FR_OK */
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        crc = fr_crc32c(crc, p->topic, strlen(p->topic) + 1);
        crc = fr_crc32c(crc, &p->partition, sizeof(p->partition));
    }
    rd_kafka_topic_partition_list_destroy(list);
    snprintf(out, size, "%s-%08x", c->settings.member, (unsigned)crc);
    return FR_OK;
}

static fr_rc join(fr_consumer *c, fr_err *err)
{
    char member[256];
    if (c->settings.member != NULL) {
        FR_TRY(name_member(c, member, sizeof(member), err));
    }
    FR_TRY(open_client(c, c->settings.member == NULL ? NULL : member, err));
    FR_TRY(fr_client_ready(&c->client, READY_US, NULL, err));
    return subscribe(c, err);
}

static fr_rc start(fr_consumer *c, fr_err *err)
{
    if (c->settings.group != NULL) {
        return join(c, err);
    }
    FR_TRY(open_client(c, NULL, err));
    FR_TRY(fr_client_ready(&c->client, READY_US, NULL, err));
    rd_kafka_topic_partition_list_t *list;
    FR_TRY(fr_consumer_expand(c, &list, err));
    fr_rc rc = place_offsets(c, list, err);
    for (int i = 0; i < list->cnt && rc == FR_OK; i++) {
        add_place(c, list->elems[i].topic, list->elems[i].partition);
    }
    if (rc == FR_OK) {
        rc = fr_consumer_begin(c, list, err);
    }
    c->assigned = rc == FR_OK;
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

static void copy_settings(fr_consumer *c, const fr_consumer_settings *from)
{
    const char **topics = fr_arena_alloc(c->arena, (from->topic_count + 1) * sizeof(*topics));
    for (size_t i = 0; i < from->topic_count; i++) {
        topics[i] = fr_arena_cstr(c->arena, fr_cstr(from->topics[i]));
    }
    c->settings = *from;
    c->settings.topics = topics;
    c->settings.sink = from->sink == NULL ? "" : fr_arena_cstr(c->arena, fr_cstr(from->sink));
    if (from->group != NULL) {
        c->settings.group = fr_arena_cstr(c->arena, fr_cstr(from->group));
    }
}

fr_rc fr_consumer_open(const fr_consumer_settings *settings, fr_consumer **out, fr_err *err)
{
    fr_consumer *c = fr_malloc(sizeof(*c));
    c->arena = fr_arena_new(0);
    c->ids = fr_map_new();
    copy_settings(c, settings);
    if (start(c, err) == FR_FAIL) {
        fr_consumer_close(c);
        return FR_FAIL;
    }
    *out = c;
    return FR_OK;
}

void fr_consumer_close(fr_consumer *c)
{
    if (c == NULL) {
        return;
    }
    /* Closing takes the partitions back; nobody wants to hear of it any more. */
    c->settings.revoked = NULL;
    if (c->spare != NULL) {
        rd_kafka_message_destroy(c->spare);
    }
    if (c->client.rk != NULL && c->settings.group != NULL) {
        (void)rd_kafka_consumer_close(c->client.rk);
    }
    fr_consumer_end(c);
    fr_watch_end(&c->watch);
    fr_client_close(&c->client);
    for (size_t i = 0; i < c->place_count; i++) {
        free_place(c->places[i]);
    }
    free(c->places);
    fr_map_free(c->held, NULL);
    fr_map_free(c->ids, NULL);
    fr_arena_free(c->arena);
    free(c);
}
