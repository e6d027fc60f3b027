/* Tables that wait, and parts that rest: on the board, in the document, as text and as metrics. */
#include "tests/unit/control/board.h"

#include <string.h>

static int begin(void **state)
{
    set_up(state);
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    return 0;
}

static void hold(const char *table, const char *code, bool catching_up)
{
    const fr_held_status h = {.code = code,
                              .why = "column grade int -> text\033[2J",
                              .from = "{\"lsn\":\"2F/8A10\"}",
                              .since_us = wall - 3600000000,
                              .waiting = 1200,
                              .catching_up = catching_up};
    fr_part_held(erp, FR_STR("public"), fr_cstr(table), &h);
}

static void release(const char *table)
{
    fr_part_held(erp, FR_STR("public"), fr_cstr(table), NULL);
}

static json_t *table_at(json_t *doc, size_t i)
{
    json_t *part = json_array_get(json_object_get(doc, "parts"), 0);
    return json_array_get(json_object_get(part, "tables"), i);
}

static char *status(fr_buf *out, bool color)
{
    fr_buf doc = {0};
    fr_board_json(b, &doc);
    assert_ok(fr_status_text(fr_buf_view(&doc), color, out, &err));
    fr_buf_free(&doc);
    return text_of(out);
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("`%s` is not in:\n%s", part, text);
}

static void a_held_table_has_a_state_of_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        bool catching_up;
        const char *word, *next;
    } cases[] = {
        {"schema.on_change", false, "blocked",
         "freshet schema diff erp/public.employee; then freshet resume erp/public.employee"},
        {"my.value", false, "blocked", "freshet resume erp/public.employee"},
        {"schema.table_gone", false, "blocked", "freshet resume erp/public.employee"},
        {"operator", false, "paused", "freshet resume erp/public.employee"},
        {"operator", true, "catching-up", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hold("employee", cases[i].code, cases[i].catching_up);
        json_t *doc = document();
        const json_t *t = table_at(doc, 0), *held = json_object_get(t, "held");
        assert_string_equal(fr_json_str(t, "state", ""), cases[i].word);
        assert_string_equal(fr_json_str(held, "code", ""), cases[i].code);
        assert_int_equal(fr_json_int(held, "waiting", 0), 1200);
        assert_string_equal(fr_json_str(json_object_get(held, "from"), "lsn", ""), "2F/8A10");
        const char *next = fr_json_str(held, "next", NULL);
        assert_true((next == NULL) == (cases[i].next == NULL));
        if (next != NULL)
            assert_string_equal(next, cases[i].next);
        json_decref(doc);
    }
    bool by_operator;
    int64_t since;
    assert_false(fr_part_is_held(erp, FR_STR("public.employee"), &by_operator, &since));
    hold("employee", "operator", false);
    assert_true(fr_part_is_held(erp, FR_STR("public.employee"), &by_operator, &since));
    assert_true(by_operator && since == wall - 3600000000);
    release("employee");
    release("unknown");
    json_t *doc = document();
    assert_string_equal(fr_json_str(table_at(doc, 0), "state", ""), "streaming");
    assert_true(json_is_null(json_object_get(table_at(doc, 0), "held")));
    assert_null(table_at(doc, 1));
    json_decref(doc);
}

static void a_table_in_its_former_shape_says_so(void **state)
{
    (void)state;
    fr_part_kept(erp, FR_STR("public"), FR_STR("employee"), FR_STR("n left out"));
    json_t *doc = document();
    assert_string_equal(fr_json_str(table_at(doc, 0), "kept", ""), "n left out");
    json_decref(doc);
    fr_buf out = {0};
    expect(status(&out, false), "published in its former shape: n left out");
    fr_buf_free(&out);
    fr_part_kept(erp, FR_STR("public"), FR_STR("employee"), FR_STR(""));
    fr_part_kept(erp, FR_STR("public"), FR_STR("unknown"), FR_STR(""));
    doc = document();
    assert_true(json_is_null(json_object_get(table_at(doc, 0), "kept")));
    assert_null(table_at(doc, 1));
    json_decref(doc);
}

static void held_ones_stand_first_and_say_what_to_type(void **state)
{
    (void)state;
    fr_buf out = {0};
    fr_status s = {.connected = true, .retained_limit = 50000000000, .lag_us = -1};
    for (int i = 0; i <= 10; i++) {
        s.retained_bytes = 31000000000 + i * 35000000; /* 2.1 GB an hour */
        fr_part_connector(erp, &s);
        pass(60);
    }
    hold("employee", "schema.on_change", false);
    hold("plan", "operator", false);
    const char *text = status(&out, false);
    /* The clock of ages is the real one: only how long is left out here. */
    expect(text, "[FAIL] erp/public.employee          blocked ");
    expect(text, "  schema.on_change  column grade int -> text?[2J\n"
                 "    1.2k events wait, log kept 31.4 GB of 50.0 GB, +2.1 GB/h: limit in 8h52m\n"
                 "    from {\"lsn\":\"2F/8A10\"}\n"
                 "    -> freshet schema diff erp/public.employee; then freshet resume "
                 "erp/public.employee\n");
    expect(text, "[WARN] erp/public.plan              paused ");
    expect(text, "    log held back by public.employee and 1 more\n");
    assert_true(strstr(text, "[FAIL] erp/public.employee") <
                strstr(text, "[WARN] erp/public.plan"));
    assert_true(strstr(text, "[WARN] erp/public.plan") < strstr(text, "erp (postgres source)"));
    assert_null(strchr(text, '\033'));
    fr_buf_free(&out);
}

static void a_part_that_rests_says_who_wants_it(void **state)
{
    (void)state;
    fr_buf out = {0};
    fr_status s = {.connected = true, .server_lsn = 9, .retained_limit = -1, .lag_us = -1};
    const fr_will w = {.state = FR_WILL_PAUSED,
                       .by = FR_STR("ana@db1"),
                       .why = FR_STR("night shift"),
                       .at_us = wall};
    fr_part_connector(erp, &s);
    fr_part_will(erp, FR_STR(""), &w, true);
    fr_part_will(erp, FR_STR("public.t"), &w, false);
    fr_part_rests(erp, FR_STATE_PAUSED, "by ana@db1: night shift");
    pass(1000);
    assert_false(fr_board_stalled(b, NULL));
    const char *text = status(&out, true);
    expect(text, "why: by ana@db1: night shift\n    → freshet resume erp\n");
    json_t *doc = document();
    const json_t *part = json_array_get(json_object_get(doc, "parts"), 0);
    const json_t *will = json_object_get(part, "will");
    assert_string_equal(fr_json_str(will, "by", ""), "ana@db1");
    assert_int_equal(fr_json_int(will, "at_us", 0), w.at_us);
    assert_true(json_is_true(json_object_get(will, "restarting")));
    assert_false(json_is_true(json_object_get(json_object_get(part, "connector"), "connected")));
    assert_string_equal(fr_json_str(json_object_get(table_at(doc, 0), "will"), "why", ""),
                        "night shift");
    json_decref(doc);
    fr_part_restarted(erp);
    doc = document();
    part = json_array_get(json_object_get(doc, "parts"), 0);
    assert_null(json_object_get(json_object_get(part, "will"), "restarting"));
    json_decref(doc);
    fr_buf_free(&out);
}

static void trouble_with_the_will_is_told(void **state)
{
    (void)state;
    fr_buf out = {0};
    fr_err e;
    fr_fail(&e, FR_ERR_CONFIG, "offset 3: nonsense");
    fr_board_control(b, &e);
    expect(status(&out, false),
           "[WARN] what the operator wants is not followed: offset 3: nonsense");
    fr_board_control(b, NULL);
    json_t *doc = document();
    assert_true(json_is_null(json_object_get(doc, "control_error")));
    json_decref(doc);
    fr_buf_free(&out);
}

/* R41: a held table has nothing to commit, and keeps the source from being confirmed. */
static void a_hold_is_a_reason_and_no_excuse(void **state)
{
    (void)state;
    fr_status s = {.connected = true, .server_lsn = 100, .read_lsn = 60, .confirmed_lsn = 50};
    s.last_byte_us = now;
    fr_part_connector(erp, &s);
    hold("employee", "schema.on_change", false);
    for (int i = 0; i < 4; i++) { /* read on, and nothing committed */
        pass(20);
        s.last_byte_us = now;
        s.read_lsn++;
        fr_part_connector(erp, &s);
    }
    assert_false(fr_board_stalled(b, NULL));
    for (int i = 0; i < 4; i++) { /* not even read */
        pass(20);
        s.last_byte_us = now;
        fr_part_connector(erp, &s);
    }
    assert_true(fr_board_stalled(b, NULL));
    s.read_lsn = s.server_lsn;
    fr_part_connector(erp, &s);
    assert_false(fr_board_stalled(b, NULL));
    release("employee"); /* the control: without it, the same is a stall */
    assert_true(fr_board_stalled(b, NULL));
}

/* What waits there is not told as progress that is missing; what waits elsewhere is. */
static void a_held_topic_is_no_stall_and_no_excuse(void **state)
{
    (void)state;
    const fr_held_status h = {.code = "operator", .why = "", .from = "", .since_us = wall};
    fr_part *sink = fr_board_part(b, true, "wh", "postgres");
    fr_part_state(erp, FR_STATE_STOPPED, NULL);
    fr_part_state(sink, FR_STATE_STREAMING, NULL);
    fr_part_held(sink, FR_STR(""), FR_STR("erp.public.t"), &h);
    pass(59);
    fr_part_progress(sink); /* nothing waits but in the topic */
    pass(59);
    assert_false(fr_board_stalled(b, NULL));
    pass(2);
    assert_true(fr_board_stalled(b, NULL));
}

/* The beginning of a table's sample. */
#define OF(name, table)                                                                            \
    "freshet_" name "{pipeline=\"legacy-erp\",source=\"erp\",table=\"public." table "\""

static void a_table_that_went_on_names_both_topics(void **state)
{
    (void)state;
    fr_buf out = {0};
    json_t *doc = document();
    size_t tables = 0;
    while (table_at(doc, tables) != NULL) {
        assert_true(json_is_null(json_object_get(table_at(doc, tables), "topic")));
        assert_true(json_is_null(json_object_get(table_at(doc, tables++), "generation")));
    }
    json_decref(doc);
    fr_board_metrics(b, 500, &out);
    assert_null(strstr(text_of(&out), "freshet_table_generation{"));
    out.len = 0;
    fr_part_moved(erp, FR_STR("public"), FR_STR("employee"), FR_STR("erp.e.v2"), FR_STR("erp.e"),
                  2);
    fr_part_moved(erp, FR_STR("public"), FR_STR("employee"), FR_STR("erp.e.v3"), FR_STR("erp.e.v2"),
                  3);
    doc = document();
    assert_string_equal(fr_json_str(table_at(doc, 0), "topic", ""), "erp.e.v3");
    assert_string_equal(fr_json_str(table_at(doc, 0), "former_topic", ""), "erp.e.v2");
    assert_int_equal(fr_json_int(table_at(doc, 0), "generation", 0), 3);
    json_decref(doc);
    expect(status(&out, false), "goes on in topic erp.e.v3; closed: erp.e.v2");
    out.len = 0;
    fr_board_metrics(b, 500, &out);
    expect(text_of(&out),
           OF("table_generation", "employee") ",topic=\"erp.e.v3\",former=\"erp.e.v2\"} 3\n");
    fr_buf_free(&out);
}

static void metrics_tell_what_is_held(void **state)
{
    (void)state;
    fr_buf out = {0};
    hold("employee", "schema.on_change", false);
    hold("plan", "operator", false);
    hold("free", "operator", false);
    release("free");
    fr_board_metrics(b, 500, &out);
    const char *text = text_of(&out);
    expect(text, OF("table_held", "employee") ",code=\"schema.on_change\"} 1\n");
    expect(text, OF("table_held", "plan") ",code=\"operator\"} 1\n");
    expect(text, OF("table_held", "free") ",code=\"\"} 0\n");
    expect(text, OF("table_held_seconds", "plan") "} 3600\n");
    expect(text, OF("table_held_events", "plan") "} 1200\n");
    assert_null(strstr(text, OF("table_held_seconds", "free")));
    expect(text, OF("table_schema_blocked", "employee") "} 1\n");
    expect(text, OF("table_schema_blocked", "plan") "} 0\n");
    expect(text, OF("table_state", "plan") ",state=\"paused\"} 1\n");
    fr_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_held_table_has_a_state_of_its_own, begin, tear_down),
        cmocka_unit_test_setup_teardown(a_table_in_its_former_shape_says_so, begin, tear_down),
        cmocka_unit_test_setup_teardown(held_ones_stand_first_and_say_what_to_type, begin,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_part_that_rests_says_who_wants_it, begin, tear_down),
        cmocka_unit_test_setup_teardown(trouble_with_the_will_is_told, begin, tear_down),
        cmocka_unit_test_setup_teardown(a_hold_is_a_reason_and_no_excuse, begin, tear_down),
        cmocka_unit_test_setup_teardown(a_held_topic_is_no_stall_and_no_excuse, begin, tear_down),
        cmocka_unit_test_setup_teardown(a_table_that_went_on_names_both_topics, begin, tear_down),
        cmocka_unit_test_setup_teardown(metrics_tell_what_is_held, begin, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
