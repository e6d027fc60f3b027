/* The driver of sinks between a scripted topic and a target of a few arrays. */
#include "tests/unit/apply/fakes.h"

enum { PATIENCE_US = 60000000 };

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
    cluster_id = "";
    atomic_store(&seeks, 0);
    atomic_store(&markers, 0);
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

/* The id is kept beside the offset; one that nobody tells is no other. */
static void a_topic_made_anew(void **state)
{
    (void)state;
    const char *ids[] = {"", "first", "", "first"};
    good_ones(1000);
    for (size_t i = 0; i < 4; i++) {
        cluster_id = ids[i];
        script_count += 100;
        run_to_the_end();
        assert_string_equal(target.ids[0], i == 0 ? "" : "first");
    }
    all_once_in_order();
    cluster_id = "second";
    script_count += 100;
    bool failed = false;
    fr_err err;
    fr_apply *a = start();
    WAIT_UNTIL(fr_apply_done(a, &failed, &err));
    assert_true(failed);
    assert_int_equal(err.kind, FR_ERR_POSITION);
    end(a);
    assert_int_equal(target.next[0], script_count - 100);
    assert_string_equal(target.ids[0], "first");
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

/* Markers of transactions are no messages: without a commit of its own the place before them would
 * stay until retention takes it. */
static void ends_are_committed(void **state)
{
    (void)state;
    good_ones(1000);
    fr_apply *a = start();
    WAIT_UNTIL(committed() == 1000);
    atomic_store(&markers, 1);
    WAIT_UNTIL(committed() == 1001);
    stop(a);
    all_once_in_order();
}

/* What was left out comes before them. */
static void ends_of_a_topic_that_waits_are_not(void **state)
{
    (void)state;
    two_topics(1000, 'b');
    fr_apply *a = start();
    WAIT_UNTIL(committed_of(0) == 999 && committed_of(1) == 701);
    atomic_store(&markers, 1);
    WAIT_UNTIL(committed_of(0) == 1001);
    assert_int_equal(committed_of(1), 701);
    atomic_store(&target.mended, true);
    fr_apply_release(a, topic_names[1]);
    WAIT_UNTIL(committed_of(1) == 1000 && !told_of(1).held);
    stop(a);
    assert_int_equal(rows_of(1), 500);
}

/* The end is kept before anything is read, so that it is the same at the next start. */
static void latest_is_the_end_of_the_first_time(void **state)
{
    (void)state;
    good_ones(1000);
    settings.start = 1;
    fr_apply *a = start();
    WAIT_UNTIL(committed() == 1000);
    stop(a);
    assert_int_equal(target.row_count, 0);
    good_ones(1010);
    a = start();
    WAIT_UNTIL(committed() == 1010);
    stop(a);
    assert_int_equal(target.row_count, 10);
    assert_int_equal(target.rows[0], 1000);
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
        FR_TEST(a_topic_made_anew),
        FR_TEST(one_that_was_fenced_joins_again),
        FR_TEST(a_rebalance_waits_for_the_writer),
        FR_TEST(a_stop_commits_what_was_applied),
        FR_TEST(only_later_messages_of_a_bad_key_are_parked),
        FR_TEST(one_letter_of_a_key_is_the_first),
        FR_TEST(a_bad_row_stops_the_sink_before_it),
        FR_TEST(a_bad_row_holds_its_topic),
        FR_TEST(a_message_that_cannot_be_decoded_holds_its_topic),
        FR_TEST(nothing_was_committed_before_it),
        FR_TEST(ends_are_committed),
        FR_TEST(ends_of_a_topic_that_waits_are_not),
        FR_TEST(latest_is_the_end_of_the_first_time),
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
