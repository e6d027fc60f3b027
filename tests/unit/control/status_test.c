#include "tests/unit/control/board.h"

#include <math.h>
#include <stdlib.h>

static void count(fr_part *p, const char *table, uint64_t inserts, int64_t age_s)
{
    const uint64_t by_op[5] = {inserts, 0, 0, 0, 0};
    fr_part_count(p, FR_STR("public"), fr_cstr(table), by_op, inserts * 10, wall - age_s * 1000000);
}

static json_t *part_at(json_t *doc, size_t i)
{
    return json_array_get(json_object_get(doc, "parts"), i);
}

static double number(const json_t *obj, const char *key)
{
    const json_t *j = json_object_get(obj, key);
    return json_is_number(j) ? json_number_value(j) : -1;
}

/* --- the document ----------------------------------------------------------------------- */

static void the_document_holds_what_was_told(void **state)
{
    (void)state;
    fr_status s = {.connected = true,
                   .lag_us = 300000,
                   .lag_bytes = 5,
                   .retained_bytes = 1000,
                   .retained_limit = -1};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    fr_part_connector(erp, &s);
    fr_part_position(erp, FR_STR("{\"lsn\":\"2F/8A10\"}"));
    fr_part_kafka(erp, 7, 42);
    fr_part_dead_letters(erp, 3);
    count(erp, "orders", 5, 2);
    fr_part_table(erp, FR_STR("public"), FR_STR("employee"), FR_STATE_BLOCKED);
    json_t *doc = document(), *part = part_at(doc, 0);
    assert_string_equal(fr_json_str(doc, "pipeline", ""), "legacy-erp");
    assert_int_equal(fr_json_int(json_object_get(doc, "states"), "streaming", 0), 1);
    assert_int_equal(fr_json_int(json_object_get(doc, "states"), "blocked", 0), 1);
    assert_string_equal(fr_json_str(json_object_get(part, "position"), "lsn", ""), "2F/8A10");
    assert_int_equal(fr_json_int(part, "dead_letters", 0), 3);
    assert_int_equal(fr_json_int(json_object_get(part, "kafka"), "transactions", 0), 42);
    const json_t *c = json_object_get(part, "connector");
    assert_true(json_is_true(json_object_get(c, "connected")));
    assert_true(json_is_null(json_object_get(c, "retained_limit")));
    assert_int_equal(fr_json_int(c, "retained_bytes", 0), 1000);
    const json_t *table = json_array_get(json_object_get(part, "tables"), 0);
    assert_string_equal(fr_json_str(table, "name", ""), "public.orders");
    assert_int_equal(fr_json_int(json_object_get(table, "events"), "c", 0), 5);
    assert_int_equal(fr_json_int(table, "bytes", 0), 50);
    assert_true(number(table, "lag_seconds") == 2);
    json_decref(doc);
}

static void errors_are_carried_and_forgotten(void **state)
{
    (void)state;
    fr_err e;
    fr_fail(&e, FR_ERR_POSITION, "slot \"x\" is gone\xff");
    fr_fail_code(&e, "pg.slot_missing");
    fr_part_error(erp, FR_STATE_FAILED, &e, wall + 60000000);
    json_t *doc = document();
    const json_t *part = part_at(doc, 0), *told = json_object_get(part, "error");
    assert_string_equal(fr_json_str(told, "kind", ""), "POSITION");
    assert_string_equal(fr_json_str(told, "text", ""), "slot \"x\" is gone?");
    assert_true(strlen(fr_json_str(told, "hint", "")) > 0);
    assert_non_null(fr_json_str(part, "next_try", NULL));
    assert_int_equal(fr_board_worst(b), 5);
    json_decref(doc);
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    doc = document();
    assert_true(json_is_null(json_object_get(part_at(doc, 0), "error")));
    assert_int_equal(fr_board_worst(b), 0);
    json_decref(doc);
}

static void lag_is_zero_once_nothing_waits(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    assert_true(fr_part_lag(erp) < 0); /* nothing known */
    count(erp, "orders", 1, 120);
    fr_part_progress(erp); /* a commit with events */
    assert_true(fr_part_lag(erp) == 120);
    pass(1);
    fr_part_progress(erp); /* one without: a heartbeat */
    assert_true(fr_part_lag(erp) == 0);
    pass(30); /* and heartbeats stopped coming */
    assert_true(fr_part_lag(erp) == 30);
}

static void a_held_table_grows_older_alone(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    count(erp, "employee", 1, 0);
    fr_part_table(erp, FR_STR("public"), FR_STR("employee"), FR_STATE_BLOCKED);
    pass(100);
    count(erp, "orders", 1, 1);
    json_t *doc = document();
    const json_t *tables = json_object_get(part_at(doc, 0), "tables");
    assert_true(number(json_array_get(tables, 0), "lag_seconds") == 100);
    assert_true(number(json_array_get(tables, 1), "lag_seconds") == 1);
    json_decref(doc);
}

static void rates_are_of_the_last_minute(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    for (int i = 0; i < 60; i++) {
        count(erp, "orders", 10, 0);
        pass(1);
    }
    double rate = fr_rate_now(&erp->rate, now);
    assert_true(rate > 9 && rate < 11);
    pass(300);
    assert_true(fr_rate_now(&erp->rate, now) == 0);
    count(erp, "orders", 60, 0);
    rate = fr_rate_now(&erp->rate, now);
    assert_true(rate > 0.9 && rate <= 1.2);
}

static void a_snapshot_tells_its_time_after_one_percent(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_SNAPSHOTTING, NULL);
    fr_part_snapshot(erp, FR_STR("public"), FR_STR("big"), 0, 100, 0, 100000);
    pass(10);
    fr_part_snapshot(erp, FR_STR("public"), FR_STR("big"), 0, 100, 900, 100000);
    json_t *doc = document();
    const json_t *s =
        json_object_get(json_array_get(json_object_get(part_at(doc, 0), "tables"), 0), "snapshot");
    assert_true(json_is_null(json_object_get(s, "eta_seconds")));
    json_decref(doc);
    fr_part_snapshot(erp, FR_STR("public"), FR_STR("big"), 10, 100, 10000, 100000);
    doc = document();
    s = json_object_get(json_array_get(json_object_get(part_at(doc, 0), "tables"), 0), "snapshot");
    assert_true(fabs(number(s, "percent") - 10) < 0.01);
    assert_true(fabs(number(s, "eta_seconds") - 90) < 0.5);
    json_decref(doc);
    /* more rows than expected is not done */
    fr_part_snapshot(erp, FR_STR("public"), FR_STR("big"), 99, 100, 200000, 100000);
    doc = document();
    s = json_object_get(json_array_get(json_object_get(part_at(doc, 0), "tables"), 0), "snapshot");
    assert_true(number(s, "percent") < 100);
    json_decref(doc);
}

static void the_limit_is_forecast_from_growth(void **state)
{
    (void)state;
    fr_status s = {.connected = true, .retained_limit = 50000000000};
    for (int i = 0; i <= 10; i++) {
        s.retained_bytes = 31000000000 + i * 35000000; /* 2.1 GB an hour */
        fr_part_connector(erp, &s);
        pass(60);
    }
    double left = fr_part_limit_in(erp);
    assert_true(left > 8.5 * 3600 && left < 9.1 * 3600);
    s.retained_bytes = s.retained_limit + 1;
    fr_part_connector(erp, &s);
    assert_true(fr_part_limit_in(erp) == 0);
}

/* --- R41 -------------------------------------------------------------------------------- */

static void standing_still_without_a_reason_is_a_stall(void **state)
{
    (void)state;
    fr_buf names = {0};
    fr_status s = {.connected = true, .server_lsn = 100, .confirmed_lsn = 50};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    s.last_byte_us = now;
    fr_part_connector(erp, &s);
    pass(59);
    s.last_byte_us = now;
    fr_part_connector(erp, &s);
    assert_false(fr_board_stalled(b, NULL)); /* not yet */
    pass(2);
    assert_true(fr_board_stalled(b, &names)); /* and nothing was ever committed */
    assert_non_null(strstr(text_of(&names), "source erp"));
    fr_buf_free(&names);
    fr_part_progress(erp);
    assert_false(fr_board_stalled(b, NULL));
    /* every stated reason counts */
    static const fr_state reasons[] = {FR_STATE_PAUSED, FR_STATE_BLOCKED,  FR_STATE_THROTTLED,
                                       FR_STATE_FAILED, FR_STATE_RETRYING, FR_STATE_PENDING,
                                       FR_STATE_STOPPED};
    pass(61);
    assert_true(fr_board_stalled(b, NULL));
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        fr_part_state(erp, reasons[i], NULL);
        pass(100);
        assert_false(fr_board_stalled(b, NULL));
    }
    /* moving again: the whole time again */
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    assert_false(fr_board_stalled(b, NULL));
    pass(61);
    assert_true(fr_board_stalled(b, NULL));
}

static void a_sink_that_commits_nothing_is_a_stall(void **state)
{
    (void)state;
    fr_part *sink = fr_board_part(b, true, "slow", "postgres");
    fr_part_state(erp, FR_STATE_STOPPED, NULL);
    fr_part_state(sink, FR_STATE_STREAMING, NULL);
    pass(61);
    assert_true(fr_board_stalled(b, NULL));
    fr_part_progress(sink);
    assert_false(fr_board_stalled(b, NULL));
}

static void nothing_heard_is_a_stall(void **state)
{
    (void)state;
    fr_status s = {.connected = true, .server_lsn = 100, .confirmed_lsn = 100};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    fr_part_connector(erp, &s); /* no byte ever */
    pass(24);
    fr_part_progress(erp);
    assert_false(fr_board_stalled(b, NULL));
    pass(2);
    assert_true(fr_board_stalled(b, NULL));
    s.last_byte_us = now;
    fr_part_connector(erp, &s);
    assert_false(fr_board_stalled(b, NULL));
    pass(26);
    assert_true(fr_board_stalled(b, NULL));
    fr_part_state(erp, FR_STATE_SNAPSHOTTING, NULL); /* another connection reads now */
    assert_false(fr_board_stalled(b, NULL));
}

static void ready_means_that_all_have_begun(void **state)
{
    (void)state;
    assert_false(fr_board_ready(b));
    fr_part *sink = fr_board_part(b, true, "wh", "postgres");
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    assert_false(fr_board_ready(b));
    fr_part_state(sink, FR_STATE_RETRYING, "no route");
    assert_true(fr_board_ready(b));
}

/* --- text ------------------------------------------------------------------------------- */

static void trouble_stands_first(void **state)
{
    (void)state;
    fr_err e;
    fr_fail(&e, FR_ERR_CONNECT, "refused");
    fr_part *sink = fr_board_part(b, true, "warehouse", "clickhouse");
    fr_part_error(sink, FR_STATE_FAILED, &e, 0);
    fr_status s = {.connected = true,
                   .retained_bytes = 31000000000,
                   .retained_limit = 50000000000,
                   .lag_us = -1};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    fr_part_connector(erp, &s);
    count(erp, "orders", 1500, 1);
    fr_part_table(erp, FR_STR("public"), FR_STR("employee"), FR_STATE_BLOCKED);
    fr_buf doc = {0}, out = {0}, line = {0};
    fr_board_json(b, &doc);
    assert_ok(fr_status_text(fr_buf_view(&doc), false, &out, &err));
    char *text = text_of(&out);
    const char *failed = strstr(text, "[FAIL] warehouse (clickhouse sink)");
    const char *kept = strstr(text, "log kept 31.0 GB of 50.0 GB");
    const char *blocked = strstr(text, "erp/public.employee");
    const char *orders = strstr(text, "erp/public.orders");
    if (!failed || !kept || !blocked || !orders)
        fail_msg("%s", text);
    assert_true(failed < kept && kept < blocked && blocked < orders);
    assert_non_null(strstr(text, "1.5k"));
    assert_non_null(strstr(text, "error: refused"));
    assert_true(strncmp(text, "legacy-erp  up ", 15) == 0);
    fr_board_line(b, &line);
    assert_string_equal(text_of(&line),
                        "2 tables: 1 streaming, 1 blocked, 1 failed; max lag 1.0 s; "
                        "log kept 31.0/50 GB");
    fr_buf_free(&doc);
    fr_buf_free(&out);
    fr_buf_free(&line);
}

static void a_hostile_document_does_no_harm(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "[]", "{}", "{\"parts\":{}}", "nonsense"};
    fr_buf out = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fails(fr_status_text(fr_cstr(bad[i]), true, &out, &err), FR_ERR_DATA);
    static const char *const odd =
        "{\"pipeline\":\"\\u001b[2Jx\\u009b1m\",\"states\":{\"failed\":9223372036854775807,"
        "\"streaming\":9223372036854775807,\"ok2\":9223372036854775807},\"parts\":[1,null,"
        "{\"name\":7,\"connector\":[],\"tables\":[{},3]},{\"error\":4,\"connector\":"
        "{\"retained_bytes\":-1e300,\"retained_limit\":1e17},\"tables\":[{\"name\":\"\\n\","
        "\"events\":{\"c\":9223372036854775807,\"u\":9223372036854775807},\"last_event\":\"9999\","
        "\"lag_seconds\":1e17}]}]}";
    out.len = 0;
    assert_ok(fr_status_text(fr_cstr(odd), false, &out, &err));
    char *text = text_of(&out);
    assert_null(strchr(text, '\033'));
    assert_null(strstr(text, "\xc2\x9b"));
    fr_buf_free(&out);
}

/* --- metrics ---------------------------------------------------------------------------- */

static bool has_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    return at != NULL && (at == text || at[-1] == '\n') &&
           (at[strlen(line)] == '\n' || at[strlen(line)] == '\0');
}

static void metrics_have_names_labels_and_escapes(void **state)
{
    (void)state;
    fr_buf out = {0};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    count(erp, "a\"b\\c\nd", 3, 1);
    fr_part_stage(erp, 1, 0.003);
    fr_part_stage(erp, 1, 100);
    fr_part_stage(erp, 1, NAN);
    fr_part_stage(erp, 9, 1);
    fr_status s = {.connected = true, .retained_bytes = 123, .retained_limit = -1, .lag_us = -1};
    fr_part_connector(erp, &s);
    fr_board_metrics(b, 500, &out);
    const char *text = text_of(&out);
#define BASE "{pipeline=\"legacy-erp\",source=\"erp\""
    assert_true(
        has_line(text, "freshet_build_info{pipeline=\"legacy-erp\",version=\"" FR_VERSION "\"} 1"));
    assert_true(has_line(text, "# TYPE freshet_events_total counter"));
    assert_true(has_line(text, "freshet_events_total" BASE
                               ",table=\"public.a\\\"b\\\\c\\nd\",op=\"c\"} 3"));
    assert_true(has_line(text, "freshet_table_state" BASE
                               ",table=\"public.a\\\"b\\\\c\\nd\",state=\"streaming\"} 1"));
    assert_true(
        has_line(text, "freshet_stage_seconds_bucket" BASE ",stage=\"encode\",le=\"0.001\"} 0"));
    assert_true(
        has_line(text, "freshet_stage_seconds_bucket" BASE ",stage=\"encode\",le=\"0.005\"} 1"));
    assert_true(
        has_line(text, "freshet_stage_seconds_bucket" BASE ",stage=\"encode\",le=\"+Inf\"} 2"));
    assert_true(has_line(text, "freshet_stage_seconds_count" BASE ",stage=\"encode\"} 2"));
    assert_true(has_line(text, "freshet_source_log_retained_bytes" BASE "} 123"));
    assert_null(strstr(text, "freshet_source_log_retained_limit_bytes{"));
    /* each metric is announced once, and its samples follow */
    for (const char *at = text; (at = strstr(at, "# TYPE ")) != NULL; at++) {
        char name[128];
        assert_int_equal(sscanf(at, "# TYPE %127s", name), 1);
        char again[160];
        snprintf(again, sizeof(again), "# TYPE %s ", name);
        assert_null(strstr(at + 1, again));
    }
    fr_buf_free(&out);
}

static void too_many_tables_fold(void **state)
{
    (void)state;
    fr_buf out = {0};
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        count(erp, name, 2, i);
    }
    const fr_held_status held = {.code = "schema.on_change", .why = "", .from = ""};
    fr_part_held(erp, FR_STR("public"), FR_STR("t9"), &held);
    fr_board_metrics(b, 4, &out);
    const char *text = text_of(&out);
    assert_true(has_line(text, "freshet_events_total" BASE ",table=\"public.t3\",op=\"c\"} 2"));
    assert_null(strstr(text, "public.t4"));
    assert_true(has_line(text, "freshet_events_total" BASE ",table=\"_other\",op=\"c\"} 12"));
    assert_true(has_line(text, "freshet_table_schema_blocked" BASE ",table=\"_other\"} 1"));
    fr_buf_free(&out);
}

/* --- polls ------------------------------------------------------------------------------ */

static void poll_of(const char *table, const fr_polled_status *s)
{
    fr_part_polled(erp, FR_STR("public"), fr_cstr(table), s);
}

/* A quiet pipeline is not up to date while a bound is held: heartbeats say nothing of that. */
static void a_held_bound_is_a_lag(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    fr_polled_status s = {.behind_us = -1, .nulls = -1};
    poll_of("t", &s);
    json_t *doc = document();
    assert_true(json_is_null(json_object_get(part_at(doc, 0), "lag_seconds")));
    json_decref(doc);
    s.whole_us = wall - 90000000;
    s.last_us = wall - 1000000;
    poll_of("t", &s);
    s.whole_us = wall - 2000000;
    poll_of("u", &s);
    fr_part_progress(erp);
    fr_part_progress(erp);
    doc = document();
    json_t *tables = json_object_get(part_at(doc, 0), "tables");
    assert_int_equal((int)number(part_at(doc, 0), "lag_seconds"), 90);
    assert_int_equal((int)number(json_array_get(tables, 0), "lag_seconds"), 90);
    assert_int_equal((int)number(json_array_get(tables, 1), "lag_seconds"), 2);
    json_decref(doc);
    pass(10);
    doc = document();
    assert_int_equal((int)number(part_at(doc, 0), "lag_seconds"), 100);
    json_decref(doc);
}

static void polls_are_told(void **state)
{
    (void)state;
    char who[] = "pid 4711 (psql, user \"erp\")";
    fr_polled_status s = {.pages = 3,
                          .rows = 20,
                          .last_rows = 2,
                          .last_us = wall - 4000000,
                          .took_us = 500000,
                          .next_us = wall + 26000000,
                          .behind_us = 75000000,
                          .gaps = 6,
                          .nulls = 5,
                          .waits = who,
                          .waits_since_us = wall - 75000000,
                          .whole_us = wall - 79000000};
    fr_part_state(erp, FR_STATE_STREAMING, "throttle.rows_per_second: no more than 10");
    fr_part_stage(erp, FR_STAGE_POLL, 0.2);
    poll_of("t", &s);
    memset(who, 'x', sizeof(who) - 1); /* a copy is kept */
    s.waits = NULL;
    s.nulls = -1;
    poll_of("u", &s);
    json_t *doc = document();
    json_t *tables = json_object_get(part_at(doc, 0), "tables");
    json_t *poll = json_object_get(json_array_get(tables, 0), "poll");
    assert_int_equal((int)number(poll, "pages"), 3);
    assert_int_equal((int)number(poll, "rows"), 20);
    assert_int_equal((int)number(poll, "last_rows"), 2);
    assert_int_equal((int)number(poll, "behind_seconds"), 75);
    assert_int_equal((int)number(poll, "gaps"), 6);
    assert_int_equal((int)number(poll, "nulls"), 5);
    assert_string_equal(fr_json_str(poll, "waits_for", ""), "pid 4711 (psql, user \"erp\")");
    assert_non_null(fr_json_str(poll, "waits_since", NULL));
    assert_non_null(fr_json_str(poll, "next", NULL));
    assert_string_equal(fr_json_str(poll, "paused", ""),
                        "throttle.rows_per_second: no more than 10");
    json_decref(doc);
    fr_buf out = {0};
    fr_board_metrics(b, 500, &out);
    const char *text = text_of(&out);
#define POLL(name, table) "freshet_poll_" name BASE ",table=\"public." table "\""
    assert_true(has_line(text, POLL("rows", "t") "} 2"));
    assert_true(has_line(text, POLL("age_seconds", "t") "} 4"));
    assert_true(has_line(text, POLL("behind_seconds", "t") "} 75"));
    assert_true(has_line(text, POLL("gaps", "t") "} 6"));
    assert_true(has_line(text, POLL("null_rows", "t") "} 5"));
    assert_true(has_line(text, POLL("waits_seconds", "t") ",for=\"pid 4711 (psql, user "
                                                          "\\\"erp\\\")\"} 75"));
    assert_null(strstr(text, POLL("waits_seconds", "u")));
    assert_null(strstr(text, POLL("null_rows", "u")));
    assert_true(has_line(text, "freshet_poll_seconds_bucket" BASE ",le=\"0.25\"} 1"));
    assert_true(has_line(text, "freshet_source_throttled" BASE ",reason=\"rows_per_second\"} 1"));
    assert_true(has_line(text, "freshet_source_throttled" BASE ",reason=\"window\"} 0"));
    out.len = 0;
    fr_board_metrics(b, 1, &out);
    text = text_of(&out);
    assert_true(has_line(text, "freshet_poll_gaps" BASE ",table=\"_other\"} 6"));
    fr_buf_free(&out);
}

static void what_a_poll_never_reads_is_a_warning(void **state)
{
    (void)state;
    fr_part_state(erp, FR_STATE_STREAMING, NULL);
    fr_polled_status good = {.last_us = wall, .whole_us = wall, .nulls = 0}, bad = good;
    bad.nulls = 1000;
    bad.gaps = 2;
    poll_of("good", &good);
    poll_of("bad", &bad);
    fr_buf doc = {0}, out = {0};
    fr_board_json(b, &doc);
    assert_ok(fr_status_text(fr_buf_view(&doc), false, &out, &err));
    char *text = text_of(&out);
    const char *first = strstr(text, "erp/public.bad"), *second = strstr(text, "erp/public.good");
    assert_true(first != NULL && second != NULL && first < second);
    assert_non_null(strstr(text, "at least 1000 rows are never read"));
    assert_non_null(strstr(text, "2 numbers may still come"));
    fr_buf_free(&doc);
    fr_buf_free(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_document_holds_what_was_told),
        T(errors_are_carried_and_forgotten),
        T(lag_is_zero_once_nothing_waits),
        T(a_held_table_grows_older_alone),
        T(rates_are_of_the_last_minute),
        T(a_snapshot_tells_its_time_after_one_percent),
        T(the_limit_is_forecast_from_growth),
        T(standing_still_without_a_reason_is_a_stall),
        T(a_sink_that_commits_nothing_is_a_stall),
        T(nothing_heard_is_a_stall),
        T(ready_means_that_all_have_begun),
        T(trouble_stands_first),
        T(a_hostile_document_does_no_harm),
        T(metrics_have_names_labels_and_escapes),
        T(too_many_tables_fold),
        T(a_held_bound_is_a_lag),
        T(polls_are_told),
        T(what_a_poll_never_reads_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
