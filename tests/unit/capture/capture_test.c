/* The driver of sources between a scripted source and a Kafka of a few arrays: what must hold
 * whatever the connector. */
#include "capture/capture.h"
#include "capture/internal.h"
#include "tests/unit/capture/fake_source.h"

#include <ftw.h>
#include <unistd.h>

enum { PATIENCE_US = 60000000 };

static char dir[] = "/tmp/freshet-capture-XXXXXX";
static char url[64];
static const char *urls[] = {url};
static fr_registry_settings registry = {.url = {urls, 1}, .register_when = FR_WHEN_RUN};
static fr_kafka_settings kafka_settings;
static fr_table_settings tables[] = {{.pattern = "public.t", .errors_mode = FR_ERRORS_STOP}};
static fr_source_settings settings = {.pipeline = "unit",
                                      .name = "erp",
                                      .type = "fake",
                                      .prefix = "erp",
                                      .throttle_connections = 2,
                                      .tables = tables,
                                      .table_count = 1};
static atomic_uint retries, throttled, snapshotting;
static char reason[200];

static void on_state(void *part, fr_state s, const char *why)
{
    (void)part;
    if (s == FR_STATE_THROTTLED && atomic_fetch_add(&throttled, 1) == 0)
        snprintf(reason, sizeof(reason), "%s", why);
    if (s == FR_STATE_SNAPSHOTTING)
        atomic_fetch_add(&snapshotting, 1);
}

static void on_error(void *part, fr_state s, const fr_err *err, int64_t next)
{
    (void)part, (void)err, (void)next;
    if (s == FR_STATE_RETRYING)
        atomic_fetch_add(&retries, 1);
}

static fr_capture *running; /* a test that fails leaves it to teardown() */

static fr_capture_settings capture_settings(void)
{
    return (fr_capture_settings){.source = &settings,
                                 .ops = &fake_ops,
                                 .kafka = &kafka_settings,
                                 .registry = &registry,
                                 .memory = 10 << 20, /* four batches */
                                 .instance = "unit",
                                 .observer = {.error = on_error, .state = on_state}};
}

static fr_capture *start(void)
{
    fr_capture_settings s = capture_settings();
    return running = fr_capture_start(&s);
}

static void end(fr_capture *c)
{
    running = NULL;
    fr_capture_free(c);
}

/* A checkpoint as an earlier run would have left it: read up to lsn, table t snapshotted. */
static void had_run_until(uint64_t lsn, bool snapshotted)
{
    fr_arena *a = fr_arena_new(0);
    fr_record r = fr_checkpoint_stream(a, false, resume_of(a, lsn), NULL, NULL, 0, 1);
    keep_record(r.key, r.value);
    if (snapshotted) {
        fr_snapshot_progress p = {.space = FR_STR("public"), .name = FR_STR("t"), .chunks = 1};
        r = fr_checkpoint_snapshot(a, &p);
        keep_record(r.key, r.value);
    }
    fr_arena_free(a);
}

static size_t row_count(void)
{
    pthread_mutex_lock(&kafka.lock);
    size_t n = kafka.row_count;
    pthread_mutex_unlock(&kafka.lock);
    return n;
}

static size_t transaction_count(void)
{
    pthread_mutex_lock(&kafka.lock);
    size_t n = kafka.transactions;
    pthread_mutex_unlock(&kafka.lock);
    return n;
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

static void stop(fr_capture *c)
{
    bool failed = false;
    fr_err err;
    fr_capture_stop(c);
    WAIT_UNTIL(fr_capture_done(c, &failed, &err));
    assert_false(failed);
    end(c);
    assert_false(atomic_load(&source.confirmed_too_early));
}

static void all_once_in_order(int64_t first, size_t count)
{
    assert_int_equal(kafka.row_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(kafka.rows[i].id, first + (int64_t)i);
}

static int teardown(void **state)
{
    (void)state;
    end(running);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fake_kafka_reset();
    source.txns = NULL;
    source.txn_count = source.view_rows = 0;
    source.heartbeat = source.view_lsn = 0;
    source.confirmed = 0;
    source.confirmed_too_early = source.plan_asked = false;
    retries = throttled = snapshotting = 0;
    source.busy = false;
    source.busy_asked = source.kept_alive = 0;
    source.confirmed = 0;
    settings.confirm_reserve_us = 0;
    settings.throttle_query = NULL;
    kafka_settings = (fr_kafka_settings){.pipeline = "unit",
                                         .exactly_once = true,
                                         .max_events = 20000,
                                         .max_bytes = 16 << 20,
                                         .max_time_us = 500000};
    return 0;
}

/* ---- the promises ---- */

/* The reader is far ahead, and hardly a batch ends where a transaction does. */
static void small_transactions_are_never_torn(void **state)
{
    enum { TXNS = 6000, ROWS = 7 };
    (void)state;
    static script_txn txns[TXNS];
    for (size_t i = 0; i < TXNS; i++)
        txns[i] = (script_txn){10 + 10 * i, (int64_t)(i * ROWS), ROWS, 0};
    source.txns = txns;
    source.txn_count = TXNS;
    kafka.commit_takes_us = 3000;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == (size_t)TXNS * ROWS);
    stop(c);
    all_once_in_order(0, (size_t)TXNS * ROWS);
    for (size_t i = 1; i < kafka.row_count; i++)
        if (kafka.rows[i].transaction != kafka.rows[i - 1].transaction)
            assert_int_equal(i % ROWS, 0);
    assert_true(kafka.transactions < 60);
    assert_int_equal(atomic_load(&source.confirmed), txns[TXNS - 1].lsn + 1);
}

/* R17, with a heartbeat between the restart and the transaction that is to be gone on with. */
static void a_split_transaction_survives_two_restarts(void **state)
{
    enum { ROWS = 20000 };
    (void)state;
    static const script_txn txns[] = {{100, 0, ROWS, 0}};
    source.txns = txns;
    source.txn_count = 1;
    kafka_settings.max_events = 5000;
    kafka.fail_commit = 3;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(atomic_load(&retries) > 0);
    stop(c);
    size_t part = kafka.row_count;
    assert_true(part > 0 && part < ROWS);

    source.heartbeat = 50; /* and then the server is silent */
    size_t before = kafka.transactions;
    c = start();
    WAIT_UNTIL(transaction_count() > before);
    stop(c);
    fr_checkpoint *k = fake_kafka_checkpoint();
    assert_int_equal(lsn_of(k->resume), 50);
    assert_str(k->split.id, "100");
    assert_int_equal(k->split.events, part);
    fr_checkpoint_free(k);
    assert_int_equal(kafka.row_count, part);

    source.heartbeat = 0;
    c = start();
    WAIT_UNTIL(row_count() >= ROWS);
    stop(c);
    all_once_in_order(0, ROWS);
}

/* A table that is new: changes below the view, its rows, changes above it. */
static void a_second_view_comes_between_older_and_newer_changes(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 5000, 0}, {200, 5000, 10, 0}, {300, 25000, 10, 0}};
    source.txns = txns;
    source.txn_count = 3;
    source.view_lsn = 300; /* the last one is not in it */
    source.view_first = 5010;
    source.view_rows = 19990;
    had_run_until(1, false);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == 25010);
    stop(c);
    all_once_in_order(0, 25010);
    assert_int_equal(atomic_load(&source.epoch), 3);
    fr_checkpoint *k = fake_kafka_checkpoint();
    const fr_snapshot_progress *p = fr_map_get(k->snapshots, FR_STR("public.t"));
    assert_non_null(p);
    assert_int_equal(p->left_count, 0);
    assert_int_equal(p->rows, 19990);
    fr_checkpoint_free(k);
}

static void a_snapshot_is_taken_again_when_asked_for(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 10, 0}};
    const fr_str space = FR_STR("public"), t = FR_STR("t"), other = FR_STR("other"), none = {"", 0};
    fr_err err;
    source.txns = txns;
    source.txn_count = 1;
    source.view_lsn = 101;
    source.view_first = 0;
    source.view_rows = 5000;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == 10);
    assert_int_equal(fr_capture_requested(c, space, t, &err), FR_REQUEST_NONE);
    fr_capture_snapshot(c, space, other, none);
    WAIT_UNTIL(fr_capture_requested(c, space, other, &err) == FR_REQUEST_UNKNOWN);
    assert_int_equal(row_count(), 10);
    fr_capture_snapshot(c, space, t, FR_STR("a > 1")); /* this source has no check_where */
    WAIT_UNTIL(fr_capture_requested(c, space, t, &err) == FR_REQUEST_REFUSED);
    assert_string_equal(err.code, "snapshot.where");
    fr_capture_cancel(c, space, t);
    WAIT_UNTIL(fr_capture_requested(c, space, t, &err) == FR_REQUEST_REFUSED &&
               strcmp(err.code, "snapshot.not_under_way") == 0);
    assert_int_equal(row_count(), 10);
    fr_capture_snapshot(c, space, t, none);
    WAIT_UNTIL(row_count() == 5010);
    assert_int_equal(fr_capture_requested(c, space, t, &err), FR_REQUEST_TAKEN);
    fr_capture_snapshot(c, space, t, none); /* and again */
    WAIT_UNTIL(row_count() == 10010);
    stop(c);
    assert_int_equal(atomic_load(&retries), 0);
    for (size_t i = 10; i < 10010; i++)
        assert_int_equal(kafka.rows[i].id, (int64_t)(i - 10) % 5000);
    fr_checkpoint *k = fake_kafka_checkpoint();
    const fr_snapshot_progress *p = fr_map_get(k->snapshots, FR_STR("public.t"));
    assert_non_null(p);
    assert_int_equal(p->left_count, 0);
    assert_int_equal(p->rows, 5000);
    fr_checkpoint_free(k);
}

static void a_bad_row_stops_before_it_is_passed(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 10, 0}, {200, 10, 10, 4}, {300, 20, 10, 0}};
    bool failed = false;
    fr_err err;
    source.txns = txns;
    source.txn_count = 3;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(fr_capture_done(c, &failed, &err));
    assert_true(failed);
    assert_int_equal(err.kind, FR_ERR_DATA);
    end(c);
    for (size_t i = 0; i < kafka.row_count; i++)
        assert_true(kafka.rows[i].id < 10); /* nothing of the bad one's transaction */
    assert_true(atomic_load(&source.confirmed) <= 101);
    assert_false(atomic_load(&source.confirmed_too_early));
}

static atomic_uint told;
static void on_connector(void *part, const fr_status *s)
{
    (void)part, (void)s;
    atomic_fetch_add(&told, 1);
}

/* R4 with R37: what is confirmed waits for an hour, and the source hears of us all the same. A
 * reserve of an hour made that one call in two minutes, which no server waits for. */
static void a_reserve_holds_back_no_keep_alive(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 10, 0}, {200, 10, 10, 0}};
    source.txns = txns;
    source.txn_count = 2;
    settings.confirm_reserve_us = 3600 * INT64_C(1000000);
    told = 0;
    had_run_until(1, true);
    fr_capture_settings s = capture_settings();
    s.observer.connector = on_connector;
    fr_capture *c = running = fr_capture_start(&s);
    WAIT_UNTIL(row_count() == 20);
    unsigned from = atomic_load(&source.kept_alive);
    WAIT_UNTIL(atomic_load(&source.kept_alive) >= from + 5);
    unsigned before = atomic_load(&told);
    WAIT_UNTIL(atomic_load(&told) >= before + 2);
    assert_int_equal(atomic_load(&source.confirmed), 0);
    stop(c);
    assert_int_equal(atomic_load(&source.confirmed), 0);
}

/* Each sample is confirmed once it is old enough, the last one too. */
static void a_reserve_confirms_what_is_old_enough(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 10, 0}, {200, 10, 10, 0}};
    source.txns = txns;
    source.txn_count = 2;
    settings.confirm_reserve_us = 500000;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(atomic_load(&source.confirmed) == 201);
    stop(c);
}

static void a_failed_commit_is_read_again(void **state)
{
    (void)state;
    static script_txn txns[100];
    for (size_t i = 0; i < 100; i++)
        txns[i] = (script_txn){100 + i, (int64_t)(i * 100), 100, 0};
    source.txns = txns;
    source.txn_count = 100;
    kafka_settings.max_events = 3000;
    kafka.fail_commit = 2;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() >= 10000);
    stop(c);
    all_once_in_order(0, 10000);
    assert_int_equal(kafka.opened, 2);
}

static void a_table_that_left_the_configuration_is_forgotten(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 1, 0}};
    fr_arena *a = fr_arena_new(0);
    fr_snapshot_progress p = {.space = FR_STR("public"), .name = FR_STR("gone"), .chunks = 1};
    fr_record r = fr_checkpoint_snapshot(a, &p);
    source.txns = txns;
    source.txn_count = 1;
    had_run_until(1, true);
    keep_record(r.key, r.value);
    fr_arena_free(a);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == 1);
    stop(c);
    fr_checkpoint *k = fake_kafka_checkpoint();
    assert_null(fr_map_get(k->snapshots, FR_STR("public.gone")));
    assert_non_null(fr_map_get(k->snapshots, FR_STR("public.t")));
    fr_checkpoint_free(k);
    assert_false(atomic_load(&source.plan_asked));
}

/* ---- throttle ---- */

static void a_window_is_local_time_and_may_pass_midnight(void **state)
{
    (void)state;
    enum { NOON = 12 * 60, MIDNIGHT = 0 };
    assert_true(throttle_in_window(NULL, NOON));
    assert_true(throttle_in_window("09:00-17:30", NOON));
    assert_true(throttle_in_window("12:00-13:00", NOON));
    assert_false(throttle_in_window("11:00-12:00", NOON));
    assert_false(throttle_in_window("20:00-06:00", NOON));
    assert_true(throttle_in_window("20:00-06:00", MIDNIGHT));
    assert_true(throttle_in_window("20:00-06:00", 23 * 60 + 59));
    assert_true(throttle_in_window("20:00-06:00", 5 * 60 + 59));
    assert_false(throttle_in_window("20:00-06:00", 6 * 60));
    assert_true(throttle_in_window("00:00-24:00", 23 * 60 + 59));
    assert_false(throttle_in_window("12:00-12:00", NOON));
}

/* Nothing is read while the source says that it is busy, the cause is told, and it goes on by
 * itself; then every row is there once. */
static void a_busy_source_is_left_in_peace(void **state)
{
    (void)state;
    source.view_lsn = 300;
    source.view_rows = 20000;
    source.view_first = 0;
    settings.throttle_query = "select 1";
    atomic_store(&source.busy, true);
    fr_capture *c = start();
    WAIT_UNTIL(atomic_load(&source.busy_asked) >= 2);
    assert_int_equal(row_count(), 0);
    assert_true(atomic_load(&throttled) > 0);
    atomic_store(&source.busy, false);
    WAIT_UNTIL(row_count() == 20000);
    stop(c);
    assert_string_equal(reason, "throttle.query: 1 is above 0");
    assert_true(atomic_load(&snapshotting) >= 2);
    all_once_in_order(0, 20000);
}

static atomic_int answer; /* of a source that takes its time: 0 none yet, 1 go on, 2 wait */
static atomic_bool asked;

static fr_rc slow_busy(fr_source *s, fr_arena *a, fr_str *why, fr_err *err)
{
    (void)s, (void)a, (void)err;
    atomic_store(&asked, true);
    while (atomic_load(&answer) == 0)
        fr_sleep_us(1000);
    *why = atomic_load(&answer) == 2 ? FR_STR("throttle.query: 1 is above 0") : (fr_str){"", 0};
    return FR_OK;
}

static bool may_read(throttle *t)
{
    bool waits = true, leave = true;
    fr_err err;
    assert_int_equal(throttle_look(t, false, &waits, &leave, &err), FR_OK);
    return !waits;
}

static void *asking_thread(void *context)
{
    bool waits, leave;
    fr_err err;
    (void)throttle_look(context, false, &waits, &leave, &err);
    return NULL;
}

/* One reader asks, the others must not take the silence for leave to read. */
static void nobody_reads_before_the_first_answer(void **state)
{
    (void)state;
    static const fr_source_ops slow_ops = {.busy = slow_busy};
    for (int i = 1; i <= 2; i++) {
        fr_source slow = {.ops = &slow_ops};
        fr_capture c = {.s.source = &settings, .source = &slow};
        pthread_t thread;
        settings.throttle_query = "select 1";
        atomic_store(&answer, 0);
        atomic_store(&asked, false);
        throttle *t = throttle_new(&c);
        assert_int_equal(pthread_create(&thread, NULL, asking_thread, t), 0);
        WAIT_UNTIL(atomic_load(&asked));
        assert_false(may_read(t));
        atomic_store(&answer, i);
        pthread_join(thread, NULL);
        assert_int_equal(may_read(t), i == 1);
        throttle_free(t);
    }
}

#ifdef FR_FAILPOINTS
/* A view is not held open for long: the stream is followed meanwhile, and what is left is read at
 * a second view. */
static void a_source_that_stays_busy_is_followed(void **state)
{
    (void)state;
    static const script_txn txns[] = {{400, 20000, 10, 0}};
    source.txns = txns;
    source.txn_count = 1;
    source.view_lsn = 300;
    source.view_rows = 20000;
    source.view_first = 0;
    settings.throttle_query = "select 1";
    atomic_store(&source.busy, true);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == 10);
    assert_int_equal(kafka.rows[0].id, 20000);
    source.view_lsn = 401;
    source.view_rows = 20010;
    atomic_store(&source.busy, false);
    WAIT_UNTIL(row_count() == 20020);
    stop(c);
    assert_int_equal(atomic_load(&retries), 0);
}
#endif

/* ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

/* Without it the next start could not tell that Kafka lost the last transaction (R15). */
static void a_clean_stop_leaves_the_ends_behind(void **state)
{
    (void)state;
    static const script_txn txns[] = {{100, 0, 10, 0}};
    source.txns = txns;
    source.txn_count = 1;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(row_count() == 10);
    stop(c);
    fr_checkpoint *k = fake_kafka_checkpoint();
    size_t i = 0;
    void *value = NULL;
    assert_true(fr_map_next(k->ends, &i, NULL, &value));
    assert_int_equal(((const fr_end *)value)->offset, 10);
    fr_checkpoint_free(k);
}

static void a_server_that_tells_no_status_holds_up_nothing(void **state)
{
    (void)state;
    static script_txn txns[200];
    for (size_t i = 0; i < 200; i++)
        txns[i] = (script_txn){10 + 10 * i, (int64_t)i, 1, 0};
    source.txns = txns;
    source.txn_count = 200;
    source.refresh_hangs = true;
    source.refreshing = false;
    kafka_settings.max_events = 1;
    had_run_until(1, true);
    fr_capture *c = start();
    WAIT_UNTIL(atomic_load(&source.refreshing));
    WAIT_UNTIL(row_count() == 200);
    stop(c);
    source.refresh_hangs = false;
}

#define FR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FR_TEST(small_transactions_are_never_torn),
        FR_TEST(a_split_transaction_survives_two_restarts),
        FR_TEST(a_second_view_comes_between_older_and_newer_changes),
        FR_TEST(a_snapshot_is_taken_again_when_asked_for),
        FR_TEST(a_bad_row_stops_before_it_is_passed),
        FR_TEST(a_reserve_holds_back_no_keep_alive),
        FR_TEST(a_reserve_confirms_what_is_old_enough),
        FR_TEST(a_failed_commit_is_read_again),
        FR_TEST(a_clean_stop_leaves_the_ends_behind),
        FR_TEST(a_server_that_tells_no_status_holds_up_nothing),
        FR_TEST(a_table_that_left_the_configuration_is_forgotten),
        cmocka_unit_test(a_window_is_local_time_and_may_pass_midnight),
        FR_TEST(a_busy_source_is_left_in_peace),
        FR_TEST(nobody_reads_before_the_first_answer),
#ifdef FR_FAILPOINTS
        FR_TEST(a_source_that_stays_busy_is_followed),
#endif
    };
    setenv("FRESHET_FAILPOINT", "capture_throttle_leaves:err:*", 1);
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof(url), "file:%s", dir);
    fr_column column = {.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1};
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("t"),
                     .version = 1,
                     .column_count = 1,
                     .columns = &column};
    source.table = fr_table_new(&like);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_kafka_reset();
    fr_arena_free(kafka.arena);
    fr_table_unref(source.table);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
