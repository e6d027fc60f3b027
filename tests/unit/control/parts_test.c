/* What is done with the operator's will while sources end and begin. The functions of
 * capture/capture.h are defined here, so that the linker takes these and not the real ones. */
#include "base/json.h"
#include "control/parts.h"
#include "control/status_internal.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

/* ---- a source that does what the test says ---- */

struct fr_capture {
    size_t released;
    bool stops;
};
static fr_capture *running; /* the newest; NULL: none */
static bool may_end;
static size_t begun;

fr_capture *fr_capture_start(const fr_capture_settings *settings)
{
    (void)settings;
    running = fr_malloc(sizeof(*running));
    begun++;
    return running;
}

void fr_capture_stop(fr_capture *c)
{
    c->stops = true;
}

void fr_capture_abandon(fr_capture *c)
{
    (void)c;
}

bool fr_capture_done(fr_capture *c, bool *failed_out, fr_err *err_out)
{
    (void)err_out;
    *failed_out = false;
    return c->stops && may_end;
}

void fr_capture_free(fr_capture *c)
{
    if (c == running)
        running = NULL;
    free(c);
}

void fr_capture_hold(fr_capture *c, fr_str space, fr_str name, fr_str why)
{
    (void)c, (void)space, (void)name, (void)why;
}

void fr_capture_release(fr_capture *c, fr_str space, fr_str name, bool anew)
{
    assert_true(fr_str_is(space, "public") && fr_str_is(name, "t") && !anew);
    c->released++;
}

/* ---- one source, and what is wanted of it ---- */

static fr_source_settings source = {.name = "erp", .type = "fake"};
static const fr_source_ops ops = {.name = "fake"};
static const fr_source_ops *all_ops[] = {&ops};
static fr_config config = {.name = "unit",
                           .daemon = {.memory = 1 << 20, .drain_us = 60000000},
                           .sources = &source,
                           .source_ops = all_ops,
                           .source_count = 1};
static fr_board *board;
static fr_part *erp;
static fr_parts *parts;
static fr_wills *wills;

static void want(const char *key, const char *value)
{
    const fr_will *w = fr_wills_fold(wills, fr_cstr(key), fr_cstr(value), 0);
    assert_true(w->understood);
    fr_parts_obey(parts, w);
}

static void held_since(int64_t since_us)
{
    const fr_held_status h = {.code = "schema.on_change", .why = "", .from = ""};
    fr_held_status s = h;
    s.since_us = since_us;
    fr_part_held(erp, FR_STR("public"), FR_STR("t"), &s);
}

static int set_up(void **state)
{
    (void)state;
    board = fr_board_new("unit", "worker");
    const fr_parts_settings s = {.config = &config, .board = board, .instance = "i", .member = "m"};
    parts = fr_parts_new(&s);
    erp = board->first;
    wills = fr_wills_new();
    begun = 0;
    may_end = true;
    fr_parts_start(parts, wills);
    assert_int_equal(begun, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_parts_free(parts);
    fr_wills_free(wills);
    fr_board_free(board);
    return 0;
}

static bool restarting(void)
{
    fr_err err;
    fr_buf out = {0};
    json_t *doc = NULL;
    fr_board_json(board, &out);
    assert_ok(fr_json_parse(fr_buf_view(&out), &doc, &err));
    fr_buf_free(&out);
    const json_t *part = json_array_get(json_object_get(doc, "parts"), 0);
    bool is = json_is_true(json_object_get(json_object_get(part, "will"), "restarting"));
    json_decref(doc);
    return is;
}

#define RESTART "{\"v\":1,\"state\":\"running\",\"at\":100,\"restart\":true}"
#define RESUME "{\"v\":1,\"state\":\"running\",\"at\":200}"

/* The old one may end before it looks at what it was told: the new one is told again, once. */
static void a_table_resumed_while_its_source_ends_goes_on(void **state)
{
    (void)state;
    held_since(50);
    may_end = false;
    want("source/erp", RESTART);
    fr_parts_step(parts);
    assert_true(running->stops);
    want("table/erp/public.t", RESUME);
    fr_parts_step(parts);
    may_end = true;
    fr_parts_step(parts);
    assert_int_equal(begun, 2);
    assert_int_equal(running->released, 1);
    fr_parts_step(parts);
    assert_int_equal(running->released, 1);
}

static void what_was_held_after_that_was_said_stays_held(void **state)
{
    (void)state;
    held_since(50);
    want("table/erp/public.t", RESUME);
    assert_int_equal(running->released, 1);
    held_since(300);
    want("source/erp", RESTART);
    fr_parts_step(parts); /* it ends, and begins again */
    fr_parts_step(parts);
    assert_int_equal(begun, 2);
    assert_int_equal(running->released, 0);
}

static void a_restart_is_under_way_until_it_has_begun_again(void **state)
{
    (void)state;
    may_end = false;
    assert_false(restarting());
    want("source/erp", RESTART);
    assert_true(restarting());
    fr_parts_step(parts);
    want("table/erp/public.t", RESUME);
    want("source/erp", RESUME); /* asked for in between, it changes nothing */
    assert_true(restarting());
    may_end = true;
    fr_parts_step(parts);
    assert_int_equal(begun, 2);
    assert_false(restarting());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_table_resumed_while_its_source_ends_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_held_after_that_was_said_stays_held, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_restart_is_under_way_until_it_has_begun_again, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
