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

/* A message is its key and what becomes of it: g good, b refused by the target, u undecodable. */
typedef struct script_message {
    char key[8];
    char what;
} script_message;

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
static size_t script_count;
static size_t rebalance_every; /* messages; 0: never */

struct fr_consumer {
    fr_consumer_settings s;
    bool mine;
    int64_t next;
    size_t since;
};

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

static fr_rc join(fr_consumer *c, fr_err *err)
{
    fr_offset item = {FR_STR("t"), 0, -1};
    fr_offsets o = {&item, 1};
    if (c->mine)
        c->s.revoked(c->s.context, &o);
    c->mine = false;
    item.next = -1;
    FR_TRY(c->s.assigned(c->s.context, &o, err));
    c->mine = true;
    c->next = item.next < 0 ? 0 : item.next;
    c->since = 0;
    return FR_OK;
}

fr_rc fr_consume(fr_consumer *c, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    (void)deadline_us;
    if (!c->mine || (rebalance_every > 0 && c->since >= rebalance_every))
        FR_TRY(join(c, err));
    if (c->next == (int64_t)script_count) {
        fr_sleep_us(1000);
        return FR_IDLE;
    }
    while (c->next < (int64_t)script_count && b->message_count < b->max_events) {
        const script_message *from_script = &script[c->next];
        fr_message *m = fr_batch_message(b);
        m->topic = FR_STR("t");
        m->key = fr_cstr(from_script->key);
        m->payload = (fr_str){&from_script->what, 1};
        m->partition = 0;
        m->offset = c->next++;
        c->since++;
    }
    return FR_OK;
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
    return c->mine && c->next == (int64_t)script_count;
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

fr_rc fr_decode(fr_decoder *d, fr_batch *b, size_t m, fr_err *err)
{
    (void)d;
    const fr_message *message = &b->messages[m];
    if (message->payload.ptr[0] == 'u')
        return fr_fail(err, FR_ERR_DATA, "not Avro");
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
    size_t row_count, open_count;
    int64_t next;
    char parked[MOST][8], open_parked[64][8];
    size_t parked_count, open_parked_count;
    size_t fail_commit, lose_reply, fence; /* the n-th commit from now; 0: none */
    int64_t takes_us;
    size_t claims;
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
    offsets->items[0].next = target.next;
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
        if (script[e->offset].what == 'b') {
            target_rollback(s, err);
            rc = fr_fail(err, FR_ERR_DATA, "the target does not want it");
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

static void make_durable(const fr_offsets *o)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < target.open_count; i++)
        target.rows[target.row_count++] = target.open[i];
    for (size_t i = 0; i < target.open_parked_count; i++)
        memcpy(target.parked[target.parked_count++], target.open_parked[i], 8);
    target.next = o->items[0].next;
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

static fr_apply *start(void)
{
    fr_apply_settings s = {.sink = &settings,
                           .ops = &ops,
                           .kafka = &kafka,
                           .registry = &registry,
                           .memory = 20 << 20,
                           .member = "unit"};
    return fr_apply_start(&s);
}

static int64_t committed(void)
{
    pthread_mutex_lock(&lock);
    int64_t n = target.next;
    pthread_mutex_unlock(&lock);
    return n;
}

#define WAIT_UNTIL(what)                                                                           \
    do {                                                                                           \
        int64_t deadline_ = fr_now_us() + PATIENCE_US;                                             \
        while (!(what) && fr_now_us() < deadline_)                                                 \
            fr_sleep_us(2000);                                                                     \
        assert_true(what);                                                                         \
    } while (0)

static void stop(fr_apply *a)
{
    bool failed = false;
    fr_err err;
    fr_apply_stop(a);
    WAIT_UNTIL(fr_apply_done(a, &failed, &err));
    assert_false(failed);
    fr_apply_free(a);
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
    target.next = -1;
    dead_count = script_count = rebalance_every = 0;
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
    static const script_message messages[] = {{"a", 'g'}, {"b", 'g'}, {"a", 'b'}, {"a", 'g'},
                                              {"b", 'g'}, {"c", 'u'}, {"c", 'g'}, {"b", 'b'},
                                              {"b", 'g'}, {"d", 'g'}};
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

    script[10] = (script_message){"c", 'g'}; /* remembered in the target */
    script[11] = (script_message){"d", 'g'};
    script_count = 12;
    run_to_the_end();
    assert_int_equal(target.row_count, 5);
    assert_int_equal(dead[6].offset, 10);
    assert_true(dead[6].parked);
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
    fr_apply_free(a);
    assert_true(failed);
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_non_null(strstr(err.text, "offset 700"));
    assert_true(target.next <= 700);
    assert_int_equal(target.row_count, target.next < 0 ? 0 : target.next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_and_offsets_survive_failed_and_unanswered_commits, setup),
        cmocka_unit_test_setup(one_that_was_fenced_joins_again, setup),
        cmocka_unit_test_setup(a_rebalance_waits_for_the_writer, setup),
        cmocka_unit_test_setup(a_stop_commits_what_was_applied, setup),
        cmocka_unit_test_setup(only_later_messages_of_a_bad_key_are_parked, setup),
        cmocka_unit_test_setup(a_bad_row_stops_the_sink_before_it, setup),
    };
    fr_column column = {.name = FR_STR("id"), .kind = FR_TEXT, .key_ordinal = 1};
    fr_table like = {.name = FR_STR("t"), .version = 1, .column_count = 1, .columns = &column};
    table = fr_table_new(&like);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fr_table_unref(table);
    return failed;
}
