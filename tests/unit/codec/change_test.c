/* schema.on_change over the row's record, and nothing else of the value. */
#include "codec/change.h"
#include "tests/unit/test.h"

static fr_arena *a;
static fr_err err;
static fr_table_settings settings;
static const fr_table table = {.space = {"public", 6}, .name = {"t", 1}};
static fr_route route = {.table = &table, .settings = &settings};

static int set_up(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    settings = (fr_table_settings){.add_column = FR_CHANGE_EVOLVE,
                                   .drop_column = FR_CHANGE_STOP,
                                   .change_type = FR_CHANGE_STOP};
    route.envelope = FR_ENVELOPE_STANDARD;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    fr_arena_free(a);
    return 0;
}

/* An envelope whose rows have these fields, and source these. */
static fr_str envelope(const char *fields, const char *source)
{
    return fr_arena_printf(a,
                           "{\"type\":\"record\",\"name\":\"E\",\"fields\":["
                           "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":"
                           "\"R\",\"fields\":[%s]}],\"default\":null},"
                           "{\"name\":\"after\",\"type\":[\"null\",\"R\"],\"default\":null},"
                           "{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"S\","
                           "\"fields\":[%s]}}]}",
                           fields, source);
}
static fr_str row(const char *fields)
{
    return fr_arena_printf(a, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[%s]}", fields);
}
#define INT(n) "{\"name\":\"" n "\",\"type\":\"int\"}"
#define LONG(n) "{\"name\":\"" n "\",\"type\":\"long\"}"

static void refused(fr_str old, fr_str next, const char *key, const char *columns)
{
    assert_fails(fr_change_allowed(a, &route, old, next, &err), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "schema.on_change");
    assert_non_null(strstr(err.hint, key));
    assert_non_null(strstr(err.text, columns));
}

static void added(void **state)
{
    (void)state;
    fr_str old = envelope(INT("x"), INT("s")), next = envelope(INT("x") "," INT("y"), INT("s"));
    assert_ok(fr_change_allowed(a, &route, old, next, &err));
    settings.add_column = FR_CHANGE_STOP;
    refused(old, next, "add_column", "+y");
}

static void dropped(void **state)
{
    (void)state;
    fr_str old = envelope(INT("x") "," INT("y") "," INT("z"), INT("s"));
    fr_str next = envelope(INT("x"), INT("s"));
    refused(old, next, "drop_column", "-y, -z");
    settings.drop_column = FR_CHANGE_EVOLVE;
    assert_ok(fr_change_allowed(a, &route, old, next, &err));
}

static void changed(void **state)
{
    (void)state;
    fr_str old = envelope(INT("x"), INT("s")), next = envelope(LONG("x"), INT("s"));
    refused(old, next, "change_type", "~x");
    settings.change_type = FR_CHANGE_EVOLVE;
    assert_ok(fr_change_allowed(a, &route, old, next, &err));
}

/* What stands in the way in any topic comes first. */
static void another_topic(void **state)
{
    (void)state;
    fr_str old = envelope(INT("x") "," INT("y"), INT("s")), next = envelope(LONG("x"), INT("s"));
    settings.change_type = FR_CHANGE_NEW_TOPIC;
    refused(old, next, "drop_column", "-y");
    assert_int_equal(fr_change_kind(&err).len, 0);
    settings.drop_column = FR_CHANGE_EVOLVE;
    assert_fails(fr_change_allowed(a, &route, old, next, &err), FR_ERR_SCHEMA);
    assert_string_equal(err.code, FR_NEW_TOPIC);
    assert_str(fr_change_kind(&err), "change_type");
    memset(err.text, 'x', sizeof err.text - 1); /* so many columns that nothing else is left */
    assert_str(fr_change_kind(&err), "change_type");
    assert_fails(fr_change_allowed(a, &route, old, next, &err), FR_ERR_SCHEMA);
    assert_non_null(strstr(err.text, "table public.t: ~x: "));
    settings.change_type = FR_CHANGE_EVOLVE;
    settings.drop_column = FR_CHANGE_NEW_TOPIC;
    assert_fails(fr_change_allowed(a, &route, old, next, &err), FR_ERR_SCHEMA);
    assert_str(fr_change_kind(&err), "drop_column");
    assert_ok(fr_change_allowed(a, &route, old, old, &err));
}

static void what_is_not_the_row_is_not_judged(void **state)
{
    (void)state;
    settings.add_column = FR_CHANGE_STOP;
    assert_ok(fr_change_allowed(a, &route, envelope(INT("x"), INT("s")),
                                envelope(INT("x"), LONG("s") "," INT("more")), &err));
}

static void state_records(void **state)
{
    (void)state;
    route.envelope = FR_ENVELOPE_STATE;
    refused(row(INT("x") "," INT("y")), row(INT("x")), "drop_column", "-y");
    assert_ok(fr_change_allowed(a, &route, row(INT("x")), row(INT("x") "," INT("y")), &err));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {CASE(added),
                                       CASE(dropped),
                                       CASE(changed),
                                       CASE(another_topic),
                                       CASE(what_is_not_the_row_is_not_judged),
                                       CASE(state_records)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
