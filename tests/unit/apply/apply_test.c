/* The driver of sinks between a scripted topic and a target of a few arrays. The functions of
 * kafka/consume.h, kafka/dlq.h and codec/decode.h are defined here, so that the linker takes
 * these and not the real ones. */
#include "apply/apply.h"
#include "base/clock.h"
#include "codec/decode.h"
#include "kafka/consume.h"
#include "kafka/dlq.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST = 20000, PATIENCE_US = 60000000 };

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
    size_t since;
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
        items[i] = (fr_offset){topic_names[i], 0, -1};
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
    *item = (fr_offset){topic, 0, -1};
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
    for (size_t i = 0; i < offsets->count; i++)
        offsets->items[i].next = target.next[topic_of(offsets->items[i].topic)];
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
    for (size_t i = 0; i < o->count; i++)
        target.next[topic_of(o->items[i].topic)] = o->items[i].next;
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

/* ---- running ---- */

/* What the observer was told of topics that wait. */
static struct told {
    bool held, catching_up;
    char code[48], why[800];
    uint64_t waiting;
    size_t times;
} told[TOPICS];

static void on_held(void *part, fr_str space, fr_str name, const fr_held_status *h)
{
    (void)part;
    struct told *t = &told[topic_of(name)];
    pthread_mutex_lock(&lock);
    t->held = space.len == 0 && h != NULL;
    t->times++;
    if (h != NULL) {
        t->catching_up = h->catching_up;
        t->waiting = h->waiting;
        snprintf(t->code, sizeof(t->code), "%s", h->code);
        snprintf(t->why, sizeof(t->why), "%s", h->why);
    }
    pthread_mutex_unlock(&lock);
}

static struct told told_of(size_t topic)
{
    pthread_mutex_lock(&lock);
    struct told t = told[topic];
    pthread_mutex_unlock(&lock);
    return t;
}

static fr_apply *running; /* a test that fails leaves it to teardown() */

static fr_apply *start(void)
{
    fr_apply_settings s = {.observer = {.held = on_held},
                           .sink = &settings,
                           .ops = &ops,
                           .kafka = &kafka,
                           .registry = &registry,
                           .memory = 20 << 20,
                           .member = "unit"};
    return running = fr_apply_start(&s);
}

static void end(fr_apply *a)
{
    running = NULL;
    fr_apply_free(a);
}

static int64_t committed_of(size_t topic)
{
    pthread_mutex_lock(&lock);
    int64_t n = target.next[topic];
    pthread_mutex_unlock(&lock);
    return n;
}

static int64_t committed(void)
{
    return committed_of(0);
}

/* Looked at once more after the wait it might be otherwise: some are so for a moment only. */
#define WAIT_UNTIL(what)                                                                           \
    do {                                                                                           \
        int64_t deadline_ = fr_now_us() + PATIENCE_US;                                             \
        bool seen_;                                                                                \
        while (!(seen_ = (what)) && fr_now_us() < deadline_)                                       \
            fr_sleep_us(2000);                                                                     \
        assert_true(seen_);                                                                        \
    } while (0)

static void stop(fr_apply *a)
{
    bool failed = false;
    fr_err err;
    fr_apply_stop(a);
    WAIT_UNTIL(fr_apply_done(a, &failed, &err));
    assert_false(failed);
    end(a);
    assert_false(atomic_load(&target.two_at_once));
}

static void run_to_the_end(void)
{
    fr_apply *a = start();
    WAIT_UNTIL(committed() == (int64_t)script_count);
    stop(a);
}

static void all_once_in_order(void)
{
    assert_int_equal(target.row_count, script_count);
    for (size_t i = 0; i < script_count; i++)
        assert_int_equal(target.rows[i], i);
}

static void good_ones(size_t n)
{
    script_count = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(script[i].key, sizeof(script[i].key), "%zu", i % 100);
        script[i].what = 'g';
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&target, 0, sizeof(target));
    memset(&told, 0, sizeof(told));
    memset(script, 0, sizeof(script));
    target.next[0] = target.next[1] = -1;
    atomic_store(&seeks, 0);
    dead_count = rebalance_every = 0;
    script_count = 0;
    settings = (fr_sink_settings){.pipeline = "unit",
                                  .name = "warehouse",
                                  .type = "fake",
                                  .from = {from, 1},
                                  .from_regex = no_regex,
                                  .into = "${table}",
                                  .errors_mode = FR_ERRORS_STOP,
                                  .batch_rows = 500,
                                  .every_us = 20000,
                                  .max_row_bytes = 1 << 20};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end(running);
    return 0;
}

/* ---- the promises ---- */

static void rows_and_offsets_survive_failed_and_unanswered_commits(void **state)
{
    (void)state;
    good_ones(MOST);
    target.fail_commit = 3;
    target.lose_reply = 2;
    run_to_the_end();
    all_once_in_order();
    assert_int_equal(target.claims, 3);
}

static void one_that_was_fenced_joins_again(void **state)
{
    (void)state;
    good_ones(5000);
    target.fence = 2;
    run_to_the_end();
    all_once_in_order();
}

/* What was given to the writer is committed before a partition is given away, and nobody
 * claims while the writer works. */
static void a_rebalance_waits_for_the_writer(void **state)
{
    (void)state;
    good_ones(MOST);
    rebalance_every = 1500;
    target.takes_us = 500;
    settings.every_us = 10000000; /* only the rebalance, or the size, makes it commit */
    settings.batch_rows = 700;
    script_count = MOST / 700 * 700;
    run_to_the_end();
    all_once_in_order();
    assert_true(target.claims > 5);
}

static void a_stop_commits_what_was_applied(void **state)
{
    (void)state;
    good_ones(100);
    settings.every_us = 3600000000;
    settings.batch_rows = 100000;
    fr_apply *a = start();
    WAIT_UNTIL(atomic_load(&target.applied) == 100);
    assert_int_equal(committed(), -1);
    stop(a);
    all_once_in_order();
}

/* R36: later ones of its key follow a bad message, earlier ones do not; not even those that are
 * applied again because the target rolled them back. */
static void only_later_messages_of_a_bad_key_are_parked(void **state)
{
    static const script_message messages[] = {
        {"a", 'g', 0}, {"b", 'g', 0}, {"a", 'b', 0}, {"a", 'g', 0}, {"b", 'g', 0},
        {"c", 'u', 0}, {"c", 'g', 0}, {"b", 'b', 0}, {"b", 'g', 0}, {"d", 'g', 0}};
    static const int64_t rows[] = {0, 1, 4, 9};
    static const dead_message letters[] = {{5, false}, {6, true},  {2, false},
                                           {3, true},  {7, false}, {8, true}};
    (void)state;
    memcpy(script, messages, sizeof(messages));
    script_count = 10;
    settings.errors_mode = FR_ERRORS_DLQ;
    run_to_the_end();
    assert_int_equal(target.row_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(target.rows[i], rows[i]);
    assert_int_equal(dead_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(dead[i].offset, letters[i].offset);
        assert_int_equal(dead[i].parked, letters[i].parked);
    }
    assert_int_equal(target.parked_count, 3);

    script[10] = (script_message){"c", 'g', 0}; /* remembered in the target */
    script[11] = (script_message){"d", 'g', 0};
    script_count = 12;
    run_to_the_end();
    assert_int_equal(target.row_count, 5);
    assert_int_equal(dead[6].offset, 10);
    assert_true(dead[6].parked);
}

/* A retry begins there: whichever was noticed first, and also where it cannot be decoded. */
static void one_letter_of_a_key_is_the_first(void **state)
{
    static const script_message messages[] = {
        {"a", 'g', 0}, {"a", 'b', 0}, {"a", 'u', 0}, {"a", 'g', 0}, {"b", 'g', 0}};
    (void)state;
    memcpy(script, messages, sizeof(messages));
    script_count = 5;
    settings.errors_mode = FR_ERRORS_DLQ;
    run_to_the_end();
    script[5] = (script_message){"a", 'u', 0}; /* remembered in the target */
    script_count = 6;
    run_to_the_end();
    assert_int_equal(dead_count, 4);
    for (size_t i = 0; i < dead_count; i++)
        assert_int_equal(dead[i].parked, dead[i].offset != 1);
}

static void a_bad_row_stops_the_sink_before_it(void **state)
{
    (void)state;
    bool failed = false;
    fr_err err;
    good_ones(1000);
    script[700].what = 'b';
    fr_apply *a = start();
    WAIT_UNTIL(fr_apply_done(a, &failed, &err));
    end(a);
    assert_true(failed);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_non_null(strstr(err.text, "offset 700"));
    assert_true(target.next[0] <= 700);
    assert_int_equal(target.row_count, target.next[0] < 0 ? 0 : target.next[0]);
}

/* ---- topics that wait ---- */

/* Of a topic: as many rows as the script has, each once, in order. */
static size_t rows_of(size_t topic)
{
    size_t n = 0;
    int64_t last = -1;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < target.row_count; i++) {
        if ((size_t)script[target.rows[i]].topic != topic)
            continue;
        assert_true(target.rows[i] > last);
        last = target.rows[i];
        n++;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

/* Every second message is of u; the first bad one is at 701, of u. */
static void two_topics(size_t n, char what)
{
    good_ones(n);
    for (size_t i = 0; i < n; i++)
        script[i].topic = (char)(i % 2);
    script[701].what = what;
    settings.errors_mode = FR_ERRORS_BLOCK;
}

static void one_waits_while_the_other_goes_on(char what)
{
    two_topics(2000, what);
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 1999 && told_of(1).held);
    WAIT_UNTIL(committed_of(1) == 701);
    assert_int_equal(rows_of(0), 1000);
    assert_int_equal(rows_of(1), 350); /* what was before it, and nothing behind */
    script[2000] = (script_message){"x", 'g', 0};
    script[2001] = (script_message){"x", 'g', 1};
    script_count = 2002;
    WAIT_UNTIL(committed_of(0) == 2001);
    WAIT_UNTIL(told_of(1).waiting > 3 || atomic_load(&seeks) > 0); /* tried by itself */
    assert_int_equal(rows_of(1), 350);
    assert_int_equal(committed_of(1), 701);
    stop(a);
}

static void a_bad_row_holds_its_topic(void **state)
{
    (void)state;
    one_waits_while_the_other_goes_on('b');
    memset(&told, 0, sizeof(told));
    fr_apply *a = start(); /* a restart tries again, and it is the same */
    WAIT_UNTIL(told_of(1).held);
    assert_non_null(strstr(told_of(1).why, "offset 701"));
    assert_int_equal(rows_of(1), 350);
    atomic_store(&target.mended, true);
    WAIT_UNTIL(committed_of(1) == 2002);
    WAIT_UNTIL(!told_of(1).held);
    stop(a);
    assert_int_equal(rows_of(0), 1001);
    assert_int_equal(rows_of(1), 1001);
    assert_false(told_of(0).held);
}

static void a_message_that_cannot_be_decoded_holds_its_topic(void **state)
{
    (void)state;
    one_waits_while_the_other_goes_on('u');
    assert_string_equal(told_of(1).code, "message.bad");
    script[701].what = 'g';
    memset(&told, 0, sizeof(told));
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(1) == 2002 && !told_of(1).held);
    stop(a);
    assert_int_equal(rows_of(1), 1001);
}

/* The first message of all, twice, and one that makes nothing behind it. */
static void nothing_was_committed_before_it(void **state)
{
    (void)state;
    two_topics(1000, 'g');
    script[1].what = 'b';
    script[3].what = 'm';
    script[5].what = 'b';
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 999 && committed_of(1) == 1);
    assert_int_equal(rows_of(1), 0);
    atomic_store(&target.mended, true);
    fr_apply_release(a, topic_names[1]);
    WAIT_UNTIL(committed_of(1) == 1000 && !told_of(1).held);
    stop(a);
    assert_int_equal(rows_of(1), 499);
}

static void rebalances_and_failures_while_it_waits(void **state)
{
    (void)state;
    two_topics(MOST, 'b');
    rebalance_every = 900;
    target.fail_commit = 9;
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == MOST - 1 && committed_of(1) == 701);
    assert_int_equal(rows_of(0), MOST / 2);
    assert_int_equal(rows_of(1), 350);
    atomic_store(&target.mended, true);
    WAIT_UNTIL(committed_of(1) == MOST && !told_of(1).held);
    stop(a);
    assert_int_equal(rows_of(0), MOST / 2);
    assert_int_equal(rows_of(1), MOST / 2);
}

static void an_operator_holds_and_releases(void **state)
{
    (void)state;
    two_topics(1000, 'g');
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(1) == 1000);
    char why[703];
    memset(why, 'w', sizeof(why) - 1);
    why[sizeof(why) - 1] = '\0';
    fr_apply_hold(a, topic_names[1], fr_cstr(why));
    assert_string_equal(told_of(1).code, "operator");
    assert_string_equal(told_of(1).why, why);
    for (size_t i = 1000; i < 3000; i++)
        script[i] = (script_message){"x", 'g', (char)(i % 2)};
    script_count = 3000;
    WAIT_UNTIL(committed_of(0) == 2999);
    fr_sleep_us(1500000); /* by itself it would be tried again by now */
    assert_true(told_of(1).held);
    size_t before = rows_of(1);
    fr_apply_release(a, topic_names[1]);
    WAIT_UNTIL(committed_of(1) == 3000 && !told_of(1).held);
    stop(a);
    assert_true(before < 1500);
    assert_int_equal(rows_of(1), 1500);
    assert_int_equal(rows_of(0), 1500);
}

/* on_change decides over changes of the table, whatever errors.mode says. */
static void on_change_blocks_or_stops(void **state)
{
    (void)state;
    bool failed = false;
    fr_err err;
    two_topics(1000, 'b');
    settings.errors_mode = FR_ERRORS_STOP;
    settings.add_column = FR_CHANGE_BLOCK;
    target.refuses = "sink.add_column";
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 999 && committed_of(1) == 701);
    stop(a);
    settings.errors_mode = FR_ERRORS_BLOCK;
    settings.add_column = FR_CHANGE_STOP;
    a = start();
    WAIT_UNTIL(fr_apply_done(a, &failed, &err));
    end(a);
    assert_true(failed);
    assert_string_equal(err.code, "sink.add_column");
    assert_int_equal(rows_of(1), 350);
}

/* errors.limit: the fifth one in 1,500 messages is one too many. */
static void too_many_dead_letters_hold_the_topic(void **state)
{
    (void)state;
    two_topics(4000, 'g');
    settings.errors_mode = FR_ERRORS_DLQ;
    settings.errors_limit = "4/1500";
    settings.batch_rows = 100;
    for (size_t i = 0; i < 5; i++) {
        script[2001 + 2 * i].what = 'b';
        snprintf(script[2001 + 2 * i].key, sizeof(script[0].key), "bad%zu", i);
    }
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 3999 && committed_of(1) == 2009);
    assert_string_equal(told_of(1).code, "errors.limit");
    assert_int_equal(dead_count, 4);
    fr_sleep_us(1500000);
    assert_int_equal(committed_of(1), 2009); /* not tried by itself */
    fr_apply_release(a, topic_names[1]);
    WAIT_UNTIL(committed_of(1) == 4000 && !told_of(1).held);
    stop(a);
    assert_int_equal(dead_count, 5);
    assert_int_equal(rows_of(1), 1995);
    assert_int_equal(rows_of(0), 2000);
}

/* Letters behind the place from which a topic is held are written once it goes on, and their keys
 * are not set aside before that. */
static void what_is_behind_a_held_place_is_set_aside_later(void **state)
{
    (void)state;
    static const script_message messages[] = {
        {"a", 'u', 1}, {"a", 'g', 1}, {"b", 'b', 1}, {"x", 'g', 1}, {"x", 'u', 1},
        {"y", 'u', 0}, {"y", 'g', 0}, {"x", 'g', 1}, {"a", 'u', 1}, {"z", 'g', 1}};
    static const dead_message letters[] = {{0, false}, {1, true}, {5, false}, {6, true},
                                           {4, false}, {7, true}, {8, true}};
    memcpy(script, messages, sizeof(messages));
    script_count = 10;
    settings.errors_mode = FR_ERRORS_DLQ;
    settings.add_column = FR_CHANGE_BLOCK;
    target.refuses = "sink.add_column";
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(1) == 2 && told_of(1).held);
    assert_int_equal(dead_count, 4);
    assert_int_equal(target.parked_count, 2);
    atomic_store(&target.mended, true);
    fr_apply_release(a, topic_names[1]);
    WAIT_UNTIL(committed_of(1) == 10 && !told_of(1).held);
    stop(a);
    assert_int_equal(dead_count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(dead[i].offset, letters[i].offset);
        assert_int_equal(dead[i].parked, letters[i].parked);
    }
    assert_int_equal(target.parked_count, 3); /* a, y, x */
    assert_int_equal(target.row_count, 3);    /* b, the first x, z */
}

/* What a run passed over is not counted by the next one, too. */
static void what_waits_is_counted_once_over_runs(void **state)
{
    (void)state;
    two_topics(1000, 'b');
    settings.drop_column = FR_CHANGE_BLOCK;
    target.refuses = "sink.drop_column"; /* it is not tried by itself */
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 999 && committed_of(1) == 701 && told_of(1).waiting >= 3);
    pthread_mutex_lock(&lock);
    told[1].waiting = UINT64_MAX;
    target.fail_commit = 1;
    pthread_mutex_unlock(&lock);
    script[1000] = (script_message){"x", 'g', 0};
    script_count = 1001;
    WAIT_UNTIL(committed_of(0) == 1001 && told_of(1).waiting != UINT64_MAX);
    assert_int_equal(told_of(1).waiting, 3);
    stop(a);
}

#define FR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_test_filter(getenv("ONLY"));
    const struct CMUnitTest tests[] = {
        FR_TEST(rows_and_offsets_survive_failed_and_unanswered_commits),
        FR_TEST(one_that_was_fenced_joins_again),
        FR_TEST(a_rebalance_waits_for_the_writer),
        FR_TEST(a_stop_commits_what_was_applied),
        FR_TEST(only_later_messages_of_a_bad_key_are_parked),
        FR_TEST(one_letter_of_a_key_is_the_first),
        FR_TEST(a_bad_row_stops_the_sink_before_it),
        FR_TEST(a_bad_row_holds_its_topic),
        FR_TEST(a_message_that_cannot_be_decoded_holds_its_topic),
        FR_TEST(nothing_was_committed_before_it),
        FR_TEST(rebalances_and_failures_while_it_waits),
        FR_TEST(an_operator_holds_and_releases),
        FR_TEST(on_change_blocks_or_stops),
        FR_TEST(too_many_dead_letters_hold_the_topic),
        FR_TEST(what_is_behind_a_held_place_is_set_aside_later),
        FR_TEST(what_waits_is_counted_once_over_runs),
    };
    fr_column column = {.name = FR_STR("id"), .kind = FR_TEXT, .key_ordinal = 1};
    fr_table like = {.name = FR_STR("t"), .version = 1, .column_count = 1, .columns = &column};
    table = fr_table_new(&like);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fr_table_unref(table);
    return failed;
}
