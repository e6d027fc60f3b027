#include "base/clock.h"
#include "connect/runner.h"
#include "tests/unit/test.h"

enum { RUNS = 12, PATIENCE_US = 30000000 };

static atomic_int runs;

/* Wants to be run again RUNS times, and then fails for good. */
static fr_rc run(void *context, fr_err *err)
{
    (void)context;
    if (atomic_fetch_add(&runs, 1) < RUNS)
        return FR_IDLE;
    return fr_fail(err, FR_ERR_CONFIG, "that was all");
}

/* With the pauses between attempts these runs would take minutes. */
static void idle_is_run_again_at_once(void **state)
{
    (void)state;
    static const fr_observer nobody;
    fr_runner r = {.thread_name = "test", .who = "test", .observer = &nobody, .run = run};
    bool failed = false;
    fr_err err;
    int64_t deadline = fr_now_us() + PATIENCE_US;
    fr_runner_start(&r);
    while (!fr_runner_done(&r, &failed, &err) && fr_now_us() < deadline)
        fr_sleep_us(1000);
    bool done = fr_runner_done(&r, NULL, NULL);
    fr_runner_end(&r);
    assert_true(done);
    assert_true(failed);
    assert_int_equal(err.kind, FR_ERR_CONFIG);
    assert_int_equal(atomic_load(&runs), RUNS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(idle_is_run_again_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
