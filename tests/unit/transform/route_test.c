#include "tests/unit/test.h"
#include "transform/route.h"

#include <stdlib.h>

typedef struct fixture {
    fr_source_settings source;
    fr_table_settings tables[2];
    fr_router *r;
} fixture;

static fr_err err;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->source.pipeline = "shop";
    f->source.name = f->source.prefix = "my-erp";
    f->source.type = "postgres";
    f->tables[0].pattern = "public.orders";
    f->tables[1].pattern = "public.a-b";
    f->tables[0].place = f->tables[1].place = "shop.yaml:12";
    f->tables[0].schema_compat = f->tables[1].schema_compat = -1;
    f->source.tables = f->tables;
    f->source.table_count = 2;
    f->r = fr_router_new(&f->source);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_router_free(f->r);
    free(f);
    return 0;
}

static const fr_table *table(const char *space, const char *name, bool full_before, bool has_key)
{
    fr_column c[] = {
        {.name = FR_STR("line"), .kind = FR_INT32, .key_ordinal = has_key ? 2 : 0},
        {.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = has_key ? 1 : 0},
        {.name = FR_STR("customer"), .kind = FR_TEXT},
        {.name = FR_STR("secret"), .kind = FR_TEXT, .nullable = true},
    };
    fr_table like = {.space = fr_cstr(space),
                     .name = fr_cstr(name),
                     .full_before = full_before,
                     .column_count = 4,
                     .columns = c};
    return fr_table_new(&like);
}

static const fr_table *orders(bool full_before)
{
    return table("public", "orders", full_before, true);
}

static const fr_route *routed(fixture *f, const fr_table *t)
{
    const fr_route *route = NULL;
    assert_ok(fr_router_route(f->r, t, &route, &err));
    return route;
}

static void refused(fixture *f, const fr_table *t, const char *text, const char *hint)
{
    const fr_route *route;
    assert_fails(fr_router_route(f->r, t, &route, &err), FR_ERR_CONFIG);
    if (strstr(err.text, text) == NULL || strstr(err.hint, hint) == NULL) {
        print_error("%s\n%s\n", err.text, err.hint);
        fail();
    }
}

static void names_and_key_by_default(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    const fr_route *r = routed(f, t);
    assert_str(r->topic, "my-erp.public.orders");
    assert_int_equal(r->topic.ptr[r->topic.len], '\0');
    assert_str(r->schema_name, "my_x2Derp.public.orders");
    assert_int_equal(r->field_count, 4);
    assert_int_equal(r->key_count, 2);
    assert_int_equal(r->key[0], 1);
    assert_int_equal(r->key[1], 0);
    assert_int_equal(r->partition_count, 0);
    assert_ptr_equal(routed(f, t), r);
    const fr_table *other = table("public", "unknown", false, true);
    const fr_route *none;
    assert_int_equal(fr_router_route(f->r, other, &none, &err), FR_END);
    fr_table_unref(other);
    fr_table_unref(t);
}

static void columns_are_chosen(void **state)
{
    fixture *f = *state;
    const char *exclude[] = {"secret"}, *include[] = {"customer", "id", "line", "secret"};
    f->tables[0].columns_exclude = (fr_texts){exclude, 1};
    f->tables[0].columns_include = (fr_texts){include, 4};
    const fr_table *t = orders(false);
    const fr_route *r = routed(f, t);
    assert_int_equal(r->field_count, 3);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(r->fields[i], i); /* the table's order */
    fr_table_unref(t);
}

static void unknown_columns_are_refused_with_a_guess(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(true);
    const char *wrong[] = {"custmer"}, *far[] = {"zzzzzzzz"};
    fr_pair pair[] = {{"secert", "string"}};
    fr_texts *lists[] = {&f->tables[0].columns_include, &f->tables[0].columns_exclude,
                         &f->tables[0].key, &f->tables[0].partition_by};
    for (size_t i = 0; i < 4; i++) {
        *lists[i] = (fr_texts){wrong, 1};
        refused(f, t, "shop.yaml:12: table public.orders: ", "did you mean customer?");
        assert_string_equal(err.code, "config.unknown_column");
        *lists[i] = (fr_texts){far, 1};
        refused(f, t, "names column zzzzzzzz", "correct ");
        *lists[i] = (fr_texts){NULL, 0};
    }
    f->tables[0].column_types = (fr_pairs){pair, 1};
    refused(f, t, "columns.types names column secert", "did you mean secret?");
    fr_table_unref(t);
}

static void a_pattern_may_exclude_what_is_not_there(void **state)
{
    fixture *f = *state;
    const char *exclude[] = {"ssn"};
    f->tables[0].pattern = "/^public\\.ord/";
    assert_ok(fr_pattern_compile(f->tables[0].pattern, &f->tables[0].regex, &err));
    f->tables[0].columns_exclude = (fr_texts){exclude, 1};
    const fr_table *t = orders(true);
    assert_int_equal(routed(f, t)->field_count, 4);
    fr_pattern_free(f->tables[0].regex);
    fr_table_unref(t);
}

static void keys_are_checked(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false), *full = orders(true);
    const fr_table *bare = table("public", "orders", true, false);
    const char *customer[] = {"customer"}, *secret[] = {"secret"}, *id[] = {"id"};
    const char *twice[] = {"id", "id"};
    refused(f, bare, "table public.orders has no key", "append_only");
    f->tables[0].key = (fr_texts){customer, 1};
    refused(f, t, "column customer is in key, but the source does not log it with deletes",
            "ALTER TABLE public.orders REPLICA IDENTITY FULL");
    assert_int_equal(routed(f, full)->key[0], 2);
    f->tables[0].key = (fr_texts){secret, 1};
    refused(f, bare, "column secret may be NULL", "make it NOT NULL in public.orders");
    f->tables[0].key = (fr_texts){twice, 2};
    refused(f, bare, "column id is named twice", "once");
    f->tables[0].key = (fr_texts){id, 1};
    f->tables[0].columns_exclude = (fr_texts){id, 1};
    refused(f, bare, "column id is part of the key but not published", "publish the key columns");
    f->tables[0].key = f->tables[0].columns_exclude = (fr_texts){NULL, 0};
    f->tables[0].append_only = true;
    assert_int_equal(routed(f, bare)->key_count, 0);
    fr_table_unref(t);
    fr_table_unref(full);
    fr_table_unref(bare);
}

static void partition_by_must_be_known_of_old_rows(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false), *full = orders(true);
    const char *customer[] = {"customer"}, *line[] = {"line"};
    f->tables[0].partition_by = (fr_texts){customer, 1};
    refused(f, t, "column customer is in partition_by", "REPLICA IDENTITY FULL");
    assert_int_equal(routed(f, full)->partition_by[0], 2);
    f->tables[0].partition_by = (fr_texts){line, 1};
    assert_int_equal(routed(f, t)->partition_by[0], 0);
    fr_table_unref(t);
    fr_table_unref(full);
}

static void two_tables_on_one_topic_are_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false), *other = table("public", "a-b", false, true);
    f->tables[0].topic = f->tables[1].topic = "all.${space}";
    routed(f, t);
    refused(f, other, "tables public.orders and public.a-b would share topic all.public",
            "set topic for one of them");
    const fr_table *newer = orders(true); /* another version of the first is no other table */
    assert_str(routed(f, newer)->topic, "all.public");
    fr_table_unref(t);
    fr_table_unref(other);
    fr_table_unref(newer);
}

static void record_names_are_not_shared_either(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false), *other = table("public", "a-b", false, true);
    f->tables[0].schema_name = "com.acme.Order";
    f->tables[1].schema_name = "com.acme.OrderEnvelope";
    routed(f, t);
    refused(f, other, "would share record name com.acme.OrderEnvelope", "set schema.name");
    f->tables[1].schema_name = "com.acme.a-b";
    refused(f, other, "schema.name com.acme.a-b is no Avro name", "com.acme.erp.Order");
    f->tables[1].schema_name = "com.acme.${table}";
    assert_str(routed(f, other)->schema_name, "com.acme.a_x2Db");
    fr_table_unref(t);
    fr_table_unref(other);
}

static void topics_of_ours_are_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    static const char *const ours[] = {"freshet.shop.dlq", "${prefix}.message"};
    for (size_t i = 0; i < 2; i++) {
        f->tables[0].topic = ours[i];
        refused(f, t, "is one of freshet's own", "another topic");
    }
    f->tables[0].topic = "${nope}";
    refused(f, t, "nope", "");
    f->tables[0].topic = "${prefix}.transaction";
    f->source.transaction_metadata = true;
    refused(f, t, "is one of freshet's own", "another topic");
    f->source.transaction_metadata = false;
    assert_str(routed(f, t)->topic, "my-erp.transaction");
    fr_table_unref(t);
}

static void a_table_goes_on_in_another_topic(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false), *newer = orders(true),
                   *other = table("public", "a-b", false, true);
    const fr_route *first = routed(f, t);
    assert_int_equal(first->generation, 1);
    fr_router_move(f->r, FR_STR("my-erp.public.orders"), 2, false);
    assert_str(routed(f, t)->topic, "my-erp.public.orders.v2");
    assert_str(routed(f, t)->first, "my-erp.public.orders");
    assert_int_equal(routed(f, newer)->generation, 2);
    assert_str(first->topic, "my-erp.public.orders"); /* it stays as it was given */
    assert_str(routed(f, t)->schema_name, "my_x2Derp.public.orders");
    fr_router_move(f->r, FR_STR("my-erp.public.orders"), 3, true);
    assert_str(routed(f, t)->topic, "my-erp.public.orders.v3");
    assert_str(routed(f, t)->schema_name, "my_x2Derp.public.orders.V3");
    static const char *const taken[] = {"${prefix}.public.orders", "${prefix}.public.orders.v2",
                                        "${prefix}.public.orders.v3"};
    for (size_t i = 0; i < 3; i++) {
        f->tables[1].topic = taken[i];
        refused(f, other, "would share topic my-erp.public.orders", "set topic");
    }
    f->tables[1].topic = NULL;
    assert_str(routed(f, other)->topic, "my-erp.public.a-b");
    fr_table_unref(t);
    fr_table_unref(newer);
    fr_table_unref(other);
}

/* A table that comes while we run was never seen by plan. */
static void a_table_of_two_patterns_is_refused(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    f->tables[0].pattern = "/^public\\./";
    f->tables[1].pattern = "/orders$/";
    for (int i = 0; i < 2; i++)
        assert_int_equal(fr_pattern_compile(f->tables[i].pattern, &f->tables[i].regex, &err),
                         FR_OK);
    refused(f, t, "public.orders: two patterns take it: /^public\\./ (shop.yaml:12), /orders$/",
            "exclude each other");
    assert_string_equal(err.code, "config.two_patterns");
    for (int i = 0; i < 2; i++)
        fr_pattern_free(f->tables[i].regex);
    fr_table_unref(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_and_key_by_default),
        CASE(columns_are_chosen),
        CASE(unknown_columns_are_refused_with_a_guess),
        CASE(a_pattern_may_exclude_what_is_not_there),
        CASE(keys_are_checked),
        CASE(partition_by_must_be_known_of_old_rows),
        CASE(two_tables_on_one_topic_are_refused),
        CASE(record_names_are_not_shared_either),
        CASE(topics_of_ours_are_refused),
        CASE(a_table_goes_on_in_another_topic),
        CASE(a_table_of_two_patterns_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
