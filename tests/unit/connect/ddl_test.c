/* Which columns an outbox gets, and comments that stay comments. */
#include "connect/ddl.h"
#include "tests/unit/test.h"
#include "transform/outbox.h"

static fr_err err;
static const fr_source_settings source = {.name = "shop"};

static fr_rc columns(fr_arena *a, const fr_table_settings *t, fr_ddl_outbox *o)
{
    fr_str *route;
    size_t count;
    *o = (fr_ddl_outbox){
        .source = &source, .settings = t, .space = FR_STR("public"), .name = FR_STR("outbox")};
    fr_outbox_route_columns(a, t->outbox.route, &route, &count);
    return fr_ddl_outbox_columns(a, o, route, count, &err);
}

static void expect(const fr_ddl_outbox *o, size_t i, const char *name, fr_ddl_role role)
{
    assert_true(i < o->count);
    assert_str(o->columns[i].name, name);
    assert_int_equal(o->columns[i].role, role);
}

static void each_column_once(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const char *headers[] = {"trace", "type", "kind"};
    fr_table_settings t = {.outbox = {.on = true,
                                      .id = "id",
                                      .key = "agg",
                                      .type = "type",
                                      .payload = "body",
                                      .route = "${prefix}.${kind}.${agg}.${topic}x${kind}${",
                                      .headers = {headers, 3}}};
    fr_ddl_outbox o;
    assert_ok(columns(a, &t, &o));
    assert_int_equal(o.count, 7);
    expect(&o, 0, "id", FR_DDL_NUMBER);
    expect(&o, 1, "agg", FR_DDL_TEXT);
    expect(&o, 2, "type", FR_DDL_TEXT);
    expect(&o, 3, "kind", FR_DDL_TEXT);
    expect(&o, 4, "body", FR_DDL_PAYLOAD);
    expect(&o, 5, "trace", FR_DDL_HEADER);
    expect(&o, 6, "created", FR_DDL_CREATED);
    fr_arena_free(a);
}

static void the_number_is_poll_column(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const char *headers[] = {"Created"};
    fr_table_settings t = {
        .method = FR_METHOD_OUTBOX,
        .poll_column = "n",
        .outbox = {.on = true, .id = "id", .payload = "body", .headers = {headers, 1}}};
    fr_ddl_outbox o;
    assert_ok(columns(a, &t, &o));
    assert_int_equal(o.count, 4); /* no second "created" */
    expect(&o, 0, "n", FR_DDL_NUMBER);
    expect(&o, 1, "id", FR_DDL_ID);
    expect(&o, 2, "body", FR_DDL_PAYLOAD);
    expect(&o, 3, "Created", FR_DDL_HEADER);
    t.method = FR_METHOD_LOG; /* the log has its own order */
    assert_ok(columns(a, &t, &o));
    expect(&o, 0, "id", FR_DDL_NUMBER);
    fr_arena_free(a);
}

static void one_column_for_two(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_ddl_outbox o;
    fr_table_settings t = {.place = "shop.yaml:7",
                           .outbox = {.on = true, .id = "id", .key = "body", .payload = "body"}};
    assert_fails(columns(a, &t, &o), FR_ERR_CONFIG);
    assert_string_equal(err.text, "shop.yaml:7: table public.outbox: outbox.payload names column "
                                  "body, which is something else");
    t.outbox.key = NULL;
    assert_ok(columns(a, &t, &o));
    fr_arena_free(a);
}

static void comments_stay_comments(void **state)
{
    (void)state;
    fr_buf b = {0};
    fr_ddl_comment(&b, FR_STR("a\nDROP TABLE t;\r\n\rx"));
    assert_str(fr_buf_view(&b), "-- a\n-- DROP TABLE t;\r-- \n-- \r-- x\n");
    fr_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_column_once),
        cmocka_unit_test(the_number_is_poll_column),
        cmocka_unit_test(one_column_for_two),
        cmocka_unit_test(comments_stay_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
