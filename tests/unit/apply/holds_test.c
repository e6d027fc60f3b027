/* The pure parts of topics that wait: what is left out of a batch, what follows from an error, when
 * one is tried again. */
#include "apply/cuts.h"
#include "apply/fault.h"
#include "apply/holds.h"
#include "apply/limit.h"
#include "base/clock.h"
#include "tests/unit/test.h"

/* ---- cuts ---- */

typedef struct item { /* of a batch: topic, partition, offset, events */
    const char *topic;
    int32_t partition;
    int64_t offset;
    size_t events;
} item;

static fr_batch *batch_of(const item *items, size_t count)
{
    fr_batch *b = fr_batch_new(100, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        fr_message *m = fr_batch_message(b);
        m->topic = fr_cstr(items[i].topic);
        m->partition = items[i].partition;
        m->offset = items[i].offset;
        for (size_t n = 0; n < items[i].events; n++) {
            fr_event *e = fr_batch_add(b, FR_OP_BEGIN, NULL);
            e->topic = m->topic;
            e->partition = m->partition;
            e->offset = m->offset;
        }
    }
    return b;
}

static size_t live(const fr_batch *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        n += b->events[i].op != FR_OP_HEARTBEAT && b->events[i].topic.len > 0;
    return n;
}

static void from_a_message_on(void **state)
{
    static const item items[] = {{"t", 0, 10, 1}, {"u", 0, 5, 2},  {"t", 1, 20, 1}, {"t", 0, 11, 0},
                                 {"t", 0, 12, 2}, {"t", 1, 21, 0}, {"u", 0, 6, 1},  {"t", 0, 13, 0},
                                 {"t", 1, 22, 1}, {"t", 2, 7, 0}};
    static const int64_t stay[] = {10, 5, 20, 11, 21, 6, 7};
    (void)state;
    fr_batch *b = batch_of(items, 10);
    fr_cuts c = {.arena = fr_arena_new(0)};
    assert_int_equal(fr_cuts_leave_out(&c, b, FR_STR("t"), 4), 3);
    assert_int_equal(b->message_count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(b->messages[i].offset, stay[i]);
    assert_int_equal(live(b), 5);
    assert_int_equal(fr_cuts_leave_out(&c, b, FR_STR("t"), 4), 1); /* 21 lies behind no longer */
    assert_int_equal(fr_cuts_leave_out(&c, b, FR_STR("t"), 0), 3);
    assert_int_equal(live(b), 3); /* those of u */
    fr_cuts_free(&c);
    fr_arena_free(c.arena);
    fr_batch_free(b);
}

static void offsets_for_the_target(void **state)
{
    static const item items[] = {{"t", 0, 10, 1}, {"t", 1, 20, 1}, {"t", 1, 21, 1}};
    (void)state;
    fr_batch *b = batch_of(items, 3);
    fr_cuts c = {.arena = fr_arena_new(0)};
    assert_int_equal(fr_cuts_leave_out(&c, b, FR_STR("t"), 0), 3);
    fr_offset room[4] = {{FR_STR("t"), 0, 10, ""}};
    fr_offsets o = {room, 1};
    fr_cuts_add_to(&c, &o); /* 0 is known to the target by what stays */
    assert_int_equal(o.count, 2);
    assert_int_equal(o.items[1].partition, 1);
    assert_int_equal(o.items[1].next, 20);
    fr_cuts_stored(&c);
    fr_cuts_add_to(&c, &o);
    assert_int_equal(o.count, 2);
    fr_cuts_forget(&c, &o);
    assert_int_equal(c.count, 0);
    fr_cuts_free(&c);
    fr_arena_free(c.arena);
    fr_batch_free(b);
}

/* ---- faults ---- */

static void policies(void **state)
{
    static const struct {
        fr_err_kind kind;
        const char *code;
        int mode, policy;
        fr_fault want;
    } cases[] = {
        {FR_ERR_DATA, "sink.check", FR_ERRORS_BLOCK, FR_CHANGE_STOP, FR_FAULT_HOLDS},
        {FR_ERR_DATA, "sink.check", FR_ERRORS_STOP, FR_CHANGE_BLOCK, FR_FAULT_STOPS},
        {FR_ERR_DATA, "sink.check", FR_ERRORS_DLQ, FR_CHANGE_BLOCK, FR_FAULT_SETS_ASIDE},
        {FR_ERR_CONFIG, "sink.add_column", FR_ERRORS_STOP, FR_CHANGE_BLOCK, FR_FAULT_HOLDS},
        {FR_ERR_CONFIG, "sink.drop_column", FR_ERRORS_DLQ, FR_CHANGE_BLOCK, FR_FAULT_HOLDS},
        {FR_ERR_CONFIG, "sink.types", FR_ERRORS_BLOCK, FR_CHANGE_STOP, FR_FAULT_STOPS},
        {FR_ERR_CONFIG, "sink.types", FR_ERRORS_BLOCK, FR_CHANGE_EVOLVE, FR_FAULT_HOLDS},
        {FR_ERR_CONFIG, "sink.table", FR_ERRORS_BLOCK, FR_CHANGE_STOP, FR_FAULT_HOLDS},
        {FR_ERR_CONFIG, "sink.table", FR_ERRORS_DLQ, FR_CHANGE_BLOCK, FR_FAULT_STOPS},
        {FR_ERR_AUTH, "sink.grants", FR_ERRORS_BLOCK, FR_CHANGE_BLOCK, FR_FAULT_HOLDS},
        {FR_ERR_CONNECT, "", FR_ERRORS_BLOCK, FR_CHANGE_BLOCK, FR_FAULT_STOPS},
        {FR_ERR_BUSY, "sink.locked", FR_ERRORS_BLOCK, FR_CHANGE_BLOCK, FR_FAULT_STOPS},
        {FR_ERR_BUG, "", FR_ERRORS_BLOCK, FR_CHANGE_BLOCK, FR_FAULT_STOPS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int p = cases[i].policy;
        fr_sink_settings s = {
            .errors_mode = cases[i].mode, .add_column = p, .drop_column = p, .change_type = p};
        fr_err err;
        fr_fail(&err, cases[i].kind, "x");
        fr_fail_code(&err, cases[i].code);
        assert_int_equal(fr_fault_of(&s, &err), cases[i].want);
    }
}

/* ---- errors.limit ---- */

static void limits_as_text(void **state)
{
    static const char *const bad[] = {"",      "10",          "10/",        "/10",
                                      "0/10",  "10/10",       "11/10",      "-1/10",
                                      "1/10 ", "1 /10",       "1/2/3",      "x",
                                      "1/1e3", "10001/20000", "1/10000001", "999999999/9999999999"};
    int64_t errors, events;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fr_limit_parse(bad[i], &errors, &events));
    assert_true(fr_limit_parse("10/1000", &errors, &events));
    assert_true(errors == 10 && events == 1000);
}

static void a_window_slides(void **state)
{
    static const item one[] = {{"t", 0, 1, 1}};
    (void)state;
    fr_batch *b = batch_of(one, 1);
    fr_limit *l = fr_limit_new("2/10");
    for (size_t i = 0; i < 100; i++) {
        fr_limit_count(l, b);
        if (i % 5 == 0) /* 2 in 10, for good */
            assert_false(fr_limit_exceeded(l, FR_STR("t")));
    }
    assert_false(fr_limit_exceeded(l, FR_STR("u")));
    assert_true(fr_limit_exceeded(l, FR_STR("t")));
    assert_true(fr_limit_exceeded(l, FR_STR("t"))); /* and stays so while nothing comes */
    fr_limit_forget(l, &(fr_offsets){&(fr_offset){FR_STR("t"), 0, 5, ""}, 1});
    assert_false(fr_limit_exceeded(l, FR_STR("t")));
    fr_limit_free(l);
    l = fr_limit_new(NULL);
    fr_limit_count(l, b);
    for (size_t i = 0; i < 100; i++)
        assert_false(fr_limit_exceeded(l, FR_STR("t")));
    fr_limit_free(l);
    fr_batch_free(b);
}

/* ---- when ---- */

static size_t told;
static bool holds_now;
static uint64_t waiting;

static void on_held(void *part, fr_str space, fr_str name, const fr_held_status *s)
{
    (void)part, (void)space, (void)name;
    told++;
    holds_now = s != NULL;
    waiting = s == NULL ? 0 : s->waiting;
}

static const fr_observer observer = {.held = on_held};

static bool ours(void *context, fr_str topic, int32_t partition)
{
    (void)topic, (void)partition;
    return context != NULL;
}

static bool due(fr_holds *h, int64_t in_us)
{
    fr_arena *a = fr_arena_new(0);
    fr_str topic;
    bool is = fr_holds_due(h, fr_now_us() + in_us, a, &topic);
    fr_arena_free(a);
    return is;
}

static void an_error_is_tried_again_ever_later(void **state)
{
    const fr_cause cause = {"sink.check", "why", 1, 100, false, false, false};
    fr_offset behind = {FR_STR("t"), 1, 100, ""}, past = {FR_STR("t"), 1, 101, ""};
    fr_offsets o = {&behind, 1};
    int64_t at = 0, wait = 0;
    (void)state;
    fr_holds *h = fr_holds_new("sink x", &observer);
    for (int i = 0; i < 14; i++) {
        fr_holds_put(h, FR_STR("t"), &cause);
        assert_true(fr_holds_has(h, FR_STR("t")));
        for (wait = 0; !due(h, at + wait); wait += 100000)
            assert_true(wait < 700000000);
        at += wait;
        assert_true(fr_holds_let_go(h, FR_STR("t"), ours, &told));
        assert_false(fr_holds_has(h, FR_STR("t")));
        fr_holds_passed(h, &o); /* not past it */
        assert_true(holds_now && fr_holds_any(h));
    }
    assert_true(wait > 290000000); /* of at most ten minutes */
    o.items = &past;
    fr_holds_passed(h, &o);
    assert_false(holds_now || fr_holds_any(h));
    fr_holds_free(h);
}

static void an_operators_word_stands(void **state)
{
    const fr_cause error = {"sink.check", "why", 1, 100, false, false, false};
    const fr_cause asked = {"operator", "a migration", -1, 0, true, false, false};
    (void)state;
    fr_holds *h = fr_holds_new("sink x", &observer);
    fr_holds_put(h, FR_STR("t"), &asked);
    fr_holds_put(h, FR_STR("t"), &error);
    assert_false(due(h, 10000000000));
    fr_holds_ask(h, FR_STR("t"));
    assert_true(due(h, 0));
    fr_holds_put(h, FR_STR("t"), &asked); /* again, before it was let go */
    assert_false(fr_holds_let_go(h, FR_STR("t"), ours, &told));
    fr_holds_ask(h, FR_STR("t"));
    assert_true(due(h, 0));
    assert_true(fr_holds_let_go(h, FR_STR("t"), ours, &told));
    assert_false(holds_now || fr_holds_any(h));
    fr_holds_ask(h, FR_STR("t")); /* nothing happens to one that is not held */
    assert_false(fr_holds_any(h));
    fr_holds_free(h);
}

static void what_left_took_its_fault_along(void **state)
{
    const fr_cause error = {"sink.check", "why", 1, 100, false, false, false};
    fr_offset other = {FR_STR("t"), 0, -1, ""}, faulty = {FR_STR("t"), 1, -1, ""};
    fr_offsets o = {&other, 1};
    (void)state;
    fr_holds *h = fr_holds_new("sink x", &observer);
    fr_holds_put(h, FR_STR("t"), &error);
    fr_holds_left(h, &o);
    assert_false(due(h, 0));
    o.items = &faulty;
    fr_holds_left(h, &o);
    assert_true(due(h, 0));
    assert_true(fr_holds_let_go(h, FR_STR("t"), ours, NULL));
    assert_false(fr_holds_any(h));
    fr_holds_free(h);
}

/* Its sink is ended, by an operator's word: what waited waits no more. */
static void nothing_waits_once_the_sink_is_gone(void **state)
{
    const fr_cause error = {"sink.check", "why", 1, 100, false, false, false};
    (void)state;
    fr_holds *h = fr_holds_new("sink x", &observer);
    fr_holds_put(h, FR_STR("t"), &error);
    fr_holds_put(h, FR_STR("u"), &error);
    assert_true(due(h, 10000000000)); /* one is being tried */
    assert_true(holds_now);
    told = 0;
    fr_holds_free(h);
    assert_int_equal(told, 2);
    assert_false(holds_now);
    fr_holds_free(NULL);
}

/* What was passed over is read again after a failure, or when its partition comes back. */
static void what_comes_again_is_not_counted_twice(void **state)
{
    const fr_cause error = {"sink.check", "why", 1, 100, false, false, false};
    fr_offset u = {FR_STR("u"), 1, 100, ""}, t = {FR_STR("t"), 1, 100, ""};
    fr_offsets o = {&u, 1};
    (void)state;
    fr_holds *h = fr_holds_new("sink x", &observer);
    fr_holds_uncount(h, NULL);
    fr_holds_put(h, FR_STR("t"), &error);
    fr_holds_count(h, FR_STR("t"), 7, 3);
    assert_int_equal(waiting, 10);
    fr_holds_uncount(h, &o); /* another's */
    fr_holds_count(h, FR_STR("t"), 0, 4);
    assert_int_equal(waiting, 11);
    o.items = &t;
    fr_holds_uncount(h, &o);
    fr_holds_count(h, FR_STR("t"), 0, 10);
    assert_int_equal(waiting, 10);
    fr_holds_count(h, FR_STR("t"), 5, 10);
    fr_holds_uncount(h, NULL);
    fr_holds_count(h, FR_STR("t"), 0, 15);
    assert_int_equal(waiting, 15);
    fr_holds_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_a_message_on),
        cmocka_unit_test(offsets_for_the_target),
        cmocka_unit_test(policies),
        cmocka_unit_test(limits_as_text),
        cmocka_unit_test(a_window_slides),
        cmocka_unit_test(an_error_is_tried_again_ever_later),
        cmocka_unit_test(an_operators_word_stands),
        cmocka_unit_test(what_left_took_its_fault_along),
        cmocka_unit_test(nothing_waits_once_the_sink_is_gone),
        cmocka_unit_test(what_comes_again_is_not_counted_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
