/* A scripted topic and a target of a few arrays, for the driver of sinks. The functions of
 * kafka/consume.h, kafka/dlq.h and codec/decode.h are defined here, so that the linker takes these
 * and not the real ones. */
#ifndef FR_TEST_APPLY_FAKES_H
#define FR_TEST_APPLY_FAKES_H

#include "apply/apply.h"
#include "base/clock.h"
#include "codec/decode.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include "tests/unit/test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST = 20000 };

/* A message is its key, what becomes of it (g good, b refused by the target, u undecodable, m makes
 * nothing) and its topic: 0 t, 1 u. Its offset is its place in the script. */
typedef struct script_message {
    char key[8];
    char what;
    char topic;
} script_message;
enum { TOPICS = 2 };
static const fr_str topic_names[TOPICS] = {{"t", 1}, {"u", 1}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const fr_table *table;
static const char *urls[] = {"file:/nonexistent"};
static fr_registry_settings registry = {.url = {urls, 1}};
static fr_kafka_settings kafka;
static const char *from[] = {"t"};
static void *no_regex[] = {NULL};
static fr_sink_settings settings;

/* ---- the topic ---- */

static script_message script[MOST];
static atomic_size_t script_count; /* the script may grow while it is read */
static size_t rebalance_every;     /* messages; 0: never */

struct fr_consumer {
    fr_consumer_settings s;
    bool mine;
    int64_t next[TOPICS];
    bool held[TOPICS];
    size_t since, markers;
};
static atomic_size_t seeks;

static size_t topic_of(fr_str name)
{
    return fr_str_eq(name, topic_names[0]) ? 0 : 1;
}

fr_rc fr_consumer_open(const fr_consumer_settings *s, fr_consumer **out, fr_err *err)
{
    (void)err;
    *out = fr_malloc(sizeof(**out));
    (*out)->s = *s;
    return FR_OK;
}

void fr_consumer_close(fr_consumer *c)
{
    free(c);
}

static fr_offsets all_places(fr_offset items[TOPICS])
{
    for (size_t i = 0; i < TOPICS; i++)
        items[i] = (fr_offset){topic_names[i], 0, -1, ""};
    return (fr_offsets){items, TOPICS};
}

static fr_rc join(fr_consumer *c, fr_err *err)
{
    fr_offset items[TOPICS];
    fr_offsets o = all_places(items);
    if (c->mine)
        c->s.revoked(c->s.context, &o);
    c->mine = false;
    o = all_places(items);
    FR_TRY(c->s.assigned(c->s.context, &o, err));
    c->mine = true;
    for (size_t i = 0; i < TOPICS; i++)
        c->next[i] = items[i].next < 0 ? 0 : items[i].next;
    c->since = 0;
    return FR_OK;
}

/* The next message of the script that is neither read nor of a held topic. */
static bool next_message(fr_consumer *c, size_t *out)
{
    int64_t from_here = c->held[0]   ? c->next[1]
                        : c->held[1] ? c->next[0]
                                     : (c->next[0] < c->next[1] ? c->next[0] : c->next[1]);
    for (size_t i = (size_t)from_here; i < script_count; i++) {
        size_t t = (size_t)script[i].topic;
        if (!c->held[t] && (int64_t)i >= c->next[t]) {
            *out = i;
            return true;
        }
    }
    return false;
}

fr_rc fr_consume(fr_consumer *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    (void)deadline_us;
    size_t i;
    if (!c->mine || (rebalance_every > 0 && c->since >= rebalance_every))
        FR_TRY(join(c, err));
    if (!next_message(c, &i)) {
        fr_sleep_us(1000);
        return FR_IDLE;
    }
    while (b->message_count < b->max_events && next_message(c, &i)) {
        fr_message *m = fr_batch_message(b);
        m->topic = topic_names[(size_t)script[i].topic];
        m->key = fr_cstr(script[i].key);
        m->payload = (fr_str){&script[i].what, 1};
        m->partition = 0;
        m->offset = (int64_t)i;
        c->next[(size_t)script[i].topic] = (int64_t)i + 1;
        c->since++;
    }
    return FR_OK;
}

void fr_consumer_hold(fr_consumer *c, fr_str topic)
{
    c->held[topic_of(topic)] = true;
}

fr_offsets fr_consumer_places(const fr_consumer *c, fr_arena *a, fr_str topic)
{
    fr_offset *item = fr_arena_alloc(a, sizeof(*item));
    (void)c;
    *item = (fr_offset){topic, 0, -1, ""};
    return (fr_offsets){item, 1};
}

fr_rc fr_consumer_release(fr_consumer *c, fr_str topic, const fr_offsets *from_here, fr_err *err)
{
    (void)err;
    c->held[topic_of(topic)] = false;
    c->next[topic_of(topic)] = from_here->items[0].next < 0 ? 0 : from_here->items[0].next;
    atomic_fetch_add(&seeks, 1);
    return FR_OK;
}

bool fr_consumer_has(fr_consumer *c, fr_str topic, int32_t partition)
{
    (void)topic;
    return c->mine && partition == 0;
}

int64_t fr_consumer_behind(fr_consumer *c, fr_str topic)
{
    (void)c, (void)topic;
    return 3;
}

void fr_consumer_committed(fr_consumer *c, const fr_offsets *offsets)
{
    (void)c, (void)offsets;
}

fr_rc fr_consumer_heartbeat(fr_consumer *c, fr_err *err)
{
    (void)c, (void)err;
    return FR_OK;
}

bool fr_consumer_at_end(fr_consumer *c)
{
    size_t i;
    return c->mine && !next_message(c, &i);
}

/* So many markers are behind the last message, in each topic. Once per change, whether it is held
 * or not. */
static atomic_size_t markers;

fr_offsets fr_consumer_ends(fr_consumer *c, fr_arena *a)
{
    fr_offsets o = {.items = fr_arena_alloc(a, TOPICS * sizeof(*o.items))};
    size_t i;
    if (!c->mine || markers == 0 || next_message(c, &i) || c->markers == markers)
        return o;
    c->markers = markers;
    for (size_t t = 0; t < TOPICS; t++)
        o.items[o.count++] = (fr_offset){topic_names[t], 0, (int64_t)(script_count + markers), ""};
    return o;
}

fr_rc fr_consumer_find_ends(fr_consumer *c, fr_offsets *offsets, fr_err *err)
{
    (void)c, (void)err;
    for (size_t i = 0; i < offsets->count; i++)
        offsets->items[i].next = (int64_t)script_count;
    return FR_OK;
}

static const char *cluster_id = ""; /* of both topics, as the cluster tells it */

fr_rc fr_consumer_topic_ids(fr_consumer *c, fr_offsets *offsets, fr_err *err)
{
    (void)c, (void)err;
    for (size_t i = 0; i < offsets->count; i++)
        snprintf(offsets->items[i].topic_id, FR_TOPIC_ID_SIZE, "%s", cluster_id);
    return FR_OK;
}

fr_rc fr_consumer_recreated(const char *sink, fr_str topic, fr_err *err)
{
    return fr_fail(err, FR_ERR_POSITION, "%s: %.*s is another", sink, FR_ARG(topic));
}

fr_rc fr_consumer_find_time(fr_consumer *c, int64_t ms, fr_offsets *offsets, fr_err *err)
{
    (void)ms;
    return fr_consumer_find_ends(c, offsets, err);
}

void fr_consumer_interrupt(fr_consumer *c)
{
    (void)c;
}

fr_decoder *fr_decoder_new(fr_registry *r, int64_t max_row_bytes,
                           fr_rc (*name)(void *context, fr_arena *a, fr_str topic,
                                         fr_str *space_out, fr_str *name_out, fr_err *err),
                           void *context)
{
    (void)r, (void)max_row_bytes, (void)name, (void)context;
    return NULL;
}

void fr_decoder_free(fr_decoder *d)
{
    (void)d;
}

void fr_decoder_rewind(fr_decoder *d, fr_str topic)
{
    (void)d, (void)topic;
}

void fr_decoder_begin(fr_decoder *d, fr_str topic, int32_t partition, int64_t next)
{
    (void)d, (void)topic, (void)partition, (void)next;
}

fr_rc fr_decode(fr_decoder *d, fr_batch *b, size_t m, fr_err *err)
{
    (void)d;
    const fr_message *message = &b->messages[m];
    if (message->payload.ptr[0] == 'u')
        return fr_fail(err, FR_ERR_DATA, "not Avro");
    if (message->payload.ptr[0] == 'm')
        return FR_OK;
    fr_event *e = fr_batch_add(b, FR_OP_INSERT, table);
    fr_value *v = fr_batch_row(b, table, &e->after);
    v[0] = (fr_value){.kind = FR_TEXT, .bytes = message->key};
    e->topic = message->topic;
    e->partition = 0;
    e->offset = message->offset;
    return FR_OK;
}

/* ---- the dead letters ---- */

typedef struct dead_message {
    int64_t offset;
    bool parked;
} dead_message;
static dead_message dead[MOST];
static size_t dead_count;

fr_rc fr_dlq_open(const fr_kafka_settings *s, const char *topic, fr_dlq **out, fr_err *err)
{
    (void)s, (void)topic, (void)err;
    *out = fr_malloc(1);
    return FR_OK;
}

void fr_dlq_close(fr_dlq *d)
{
    free(d);
}

fr_rc fr_dlq_put(fr_dlq *d, const char *who, const fr_message *m, const char *reason, bool parked,
                 fr_err *err)
{
    (void)d, (void)who, (void)reason, (void)err;
    dead[dead_count++] = (dead_message){m->offset, parked};
    return FR_OK;
}

fr_rc fr_dlq_flush(fr_dlq *d, fr_err *err)
{
    (void)d, (void)err;
    return FR_OK;
}

/* ---- the target ---- */

static struct target {
    int64_t rows[MOST], open[MOST]; /* offsets of rows that are durable; of the transaction */
    bool there[MOST];
    size_t row_count, open_count;
    int64_t next[TOPICS];
    char ids[TOPICS][FR_TOPIC_ID_SIZE];
    char parked[MOST][8], open_parked[64][8];
    size_t parked_count, open_parked_count;
    size_t fail_commit, lose_reply, fence; /* the n-th commit from now; 0: none */
    int64_t takes_us;
    size_t claims;
    const char *refuses;   /* a code: bad ones are CONFIG errors with it */
    atomic_bool mended;    /* bad ones are taken */
    atomic_size_t applied; /* rows, ever */
    atomic_int busy;
    atomic_bool two_at_once;
} target;

static void enter(void)
{
    if (atomic_fetch_add(&target.busy, 1) > 0)
        atomic_store(&target.two_at_once, true);
}

static void leave(void)
{
    atomic_fetch_sub(&target.busy, 1);
}

static const fr_sink_ops ops;

static fr_rc target_open(const fr_sink_settings *s, fr_sink **out, fr_err *err)
{
    (void)s, (void)err;
    *out = fr_malloc(sizeof(**out));
    (*out)->ops = &ops;
    target.open_count = target.open_parked_count = 0;
    return FR_OK;
}

static fr_rc target_claim(fr_sink *s, fr_offsets *offsets, fr_err *err)
{
    (void)s, (void)err;
    enter();
    target.claims++;
    for (size_t i = 0; i < offsets->count; i++) {
        offsets->items[i].next = target.next[topic_of(offsets->items[i].topic)];
        memcpy(offsets->items[i].topic_id, target.ids[topic_of(offsets->items[i].topic)],
               FR_TOPIC_ID_SIZE);
    }
    leave();
    return FR_OK;
}

static fr_rc target_rollback(fr_sink *s, fr_err *err)
{
    (void)s, (void)err;
    target.open_count = target.open_parked_count = 0;
    return FR_OK;
}

static fr_rc target_apply(fr_sink *s, const fr_batch *b, size_t from_event, size_t to,
                          size_t *applied, fr_err *err)
{
    fr_rc rc = FR_OK;
    enter();
    fr_sleep_us(target.takes_us);
    for (size_t i = from_event; i < to && rc == FR_OK; i++) {
        const fr_event *e = &b->events[i];
        *applied = i;
        if (e->op != FR_OP_INSERT)
            continue;
        if (script[e->offset].what == 'b' && !atomic_load(&target.mended)) {
            target_rollback(s, err);
            rc = fr_fail(err, target.refuses != NULL ? FR_ERR_CONFIG : FR_ERR_DATA,
                         "the target does not want it");
            fr_fail_code(err, target.refuses != NULL ? target.refuses : "");
        } else {
            target.open[target.open_count++] = e->offset;
            atomic_fetch_add(&target.applied, 1);
        }
    }
    if (rc == FR_OK)
        *applied = to;
    leave();
    return rc;
}

static void twice(int64_t offset)
{
    fprintf(stderr, "the row of offset %lld is there twice\n", (long long)offset);
    abort();
}

static void make_durable(const fr_offsets *o)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < target.open_count; i++) {
        if (target.there[target.open[i]])
            twice(target.open[i]);
        target.there[target.open[i]] = true;
        target.rows[target.row_count++] = target.open[i];
    }
    for (size_t i = 0; i < target.open_parked_count; i++)
        memcpy(target.parked[target.parked_count++], target.open_parked[i], 8);
    for (size_t i = 0; i < o->count; i++) {
        target.next[topic_of(o->items[i].topic)] = o->items[i].next;
        if (o->items[i].topic_id[0] != '\0')
            memcpy(target.ids[topic_of(o->items[i].topic)], o->items[i].topic_id, FR_TOPIC_ID_SIZE);
    }
    target.open_count = target.open_parked_count = 0;
    pthread_mutex_unlock(&lock);
}

static bool counts_down(size_t *n)
{
    return *n > 0 && --*n == 0;
}

static fr_rc target_commit(fr_sink *s, const fr_offsets *o, fr_err *err)
{
    fr_rc rc = FR_OK;
    enter();
    if (counts_down(&target.fence)) {
        target_rollback(s, err);
        rc = fr_fail(err, FR_ERR_FENCED, "another owner");
    } else if (counts_down(&target.fail_commit)) {
        target_rollback(s, err);
        rc = fr_fail(err, FR_ERR_CONNECT, "the target is gone");
    } else {
        make_durable(o);
        if (counts_down(&target.lose_reply))
            rc = fr_fail(err, FR_ERR_CONNECT, "no reply to COMMIT");
    }
    leave();
    return rc;
}

static fr_rc target_park(fr_sink *s, fr_str topic, fr_str key, fr_err *err)
{
    (void)s, (void)topic, (void)err;
    memset(target.open_parked[target.open_parked_count], 0, 8);
    memcpy(target.open_parked[target.open_parked_count++], key.ptr, key.len);
    return FR_OK;
}

static fr_rc target_parked(fr_sink *s, fr_arena *a, fr_str topic, fr_str **keys_out,
                           size_t *count_out, fr_err *err)
{
    (void)s, (void)topic, (void)err;
    *keys_out = fr_arena_alloc(a, (target.parked_count + 1) * sizeof(fr_str));
    *count_out = target.parked_count;
    for (size_t i = 0; i < target.parked_count; i++)
        (*keys_out)[i] = fr_arena_str(a, fr_cstr(target.parked[i]));
    return FR_OK;
}

static void target_interrupt(fr_sink *s)
{
    (void)s;
}

static void target_status(fr_sink *s, fr_status *out)
{
    (void)s;
    *out = (fr_status){.connected = true};
}

static void target_close(fr_sink *s)
{
    free(s);
}

static const fr_sink_ops ops = {.name = "fake",
                                .type = "fake",
                                .open = target_open,
                                .claim = target_claim,
                                .apply = target_apply,
                                .commit = target_commit,
                                .rollback = target_rollback,
                                .park = target_park,
                                .parked = target_parked,
                                .interrupt = target_interrupt,
                                .status = target_status,
                                .close = target_close};

#endif
