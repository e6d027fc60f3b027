/* Patterns and templates: which table or topic a setting is for. */
#include "model/settings.h"
#include "tests/unit/test.h"

static fr_err err;

static void *compiled(const char *pattern)
{
    void *regex = NULL;
    assert_ok(fr_pattern_compile(pattern, &regex, &err));
    return regex;
}

static void patterns(void **state)
{
    (void)state;
    assert_null(compiled("public.orders"));
    void *regex = compiled("/^public\\.(orders|items)$/");
    assert_non_null(regex);
    assert_true(fr_pattern_match(regex, FR_STR("public.orders")));
    assert_false(fr_pattern_match(regex, FR_STR("public.orders2")));
    assert_false(fr_pattern_match(regex, FR_STR("publicXorders")));
    assert_false(fr_pattern_match(regex, (fr_str){NULL, 0}));
    assert_false(fr_pattern_match(regex, FR_STR("public.\xff")));
    fr_pattern_free(regex);
    assert_fails(fr_pattern_compile("/(/", &regex, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.bad_pattern");
    assert_fails(fr_pattern_compile("/abc", &regex, &err), FR_ERR_CONFIG);
    assert_fails(fr_pattern_compile("//", &regex, &err), FR_ERR_CONFIG);
}

/* What Kafka's client would read as something else is refused. */
static void patterns_of_topics(void **state)
{
    (void)state;
    static const char *const fine[] = {"shop.orders", "/^shop\\.(orders|items)$/", "/[0-9]+x{2,3}/",
                                       "/a\\.b*/"};
    static const char *const odd[] = {"/^a(?!b)/", "/\\d+/", "/a*?/", "/a++/", "/(a)\\1/", "/(/"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        assert_ok(fr_pattern_for_topics(fine[i], &err));
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_fails(fr_pattern_for_topics(odd[i], &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "config.bad_pattern");
    }
}

/* (a+)+$ over aaaa...b takes 2^n steps where nothing stops it. */
static void a_slow_pattern_gives_up(void **state)
{
    (void)state;
    void *regex = compiled("/^(a+)+$/");
    char subject[64];
    memset(subject, 'a', sizeof(subject));
    subject[sizeof(subject) - 1] = 'b';
    assert_false(fr_pattern_match(regex, (fr_str){subject, sizeof(subject)}));
    fr_pattern_free(regex);
}

static void tables(void **state)
{
    (void)state;
    fr_table_settings t[4] = {
        {.pattern = "/^public\\./", .method = FR_METHOD_LOG},
        {.pattern = "public.orders", .method = FR_METHOD_LOG},
        {.pattern = "public.secret", .method = FR_METHOD_SKIP},
        {.pattern = "/items$/", .method = FR_METHOD_LOG},
    };
    t[0].regex = compiled(t[0].pattern);
    t[3].regex = compiled(t[3].pattern);
    fr_source_settings s = {.tables = t, .table_count = 4};
    const fr_table_settings *one = NULL, *other = NULL;
    assert_ptr_equal(fr_source_match(&s, FR_STR("public"), FR_STR("orders")), &t[1]);
    assert_ptr_equal(fr_source_match(&s, FR_STR("public"), FR_STR("other")), &t[0]);
    assert_ptr_equal(fr_source_match(&s, FR_STR("shop"), FR_STR("items")), &t[3]);
    assert_null(fr_source_match(&s, FR_STR("public"), FR_STR("secret")));
    assert_null(fr_source_match(&s, FR_STR("shop"), FR_STR("orders")));
    assert_false(fr_source_ambiguous(&s, FR_STR("public"), FR_STR("orders"), &one, &other));
    assert_false(fr_source_ambiguous(&s, FR_STR("public"), FR_STR("other"), &one, &other));
    assert_true(fr_source_ambiguous(&s, FR_STR("public"), FR_STR("items"), &one, &other));
    assert_ptr_equal(one, &t[0]);
    assert_ptr_equal(other, &t[3]);
    fr_pattern_free(t[0].regex);
    fr_pattern_free(t[3].regex);
}

static void topics(void **state)
{
    (void)state;
    const char *from[] = {"erp.orders", "/^crm\\./"};
    void *regex[] = {NULL, compiled("/^crm\\./")};
    fr_sink_settings s = {.from = {from, 2}, .from_regex = regex};
    assert_int_equal(fr_sink_match(&s, FR_STR("erp.orders")), 0);
    assert_int_equal(fr_sink_match(&s, FR_STR("crm.x")), 1);
    assert_int_equal(fr_sink_match(&s, FR_STR("erp.orders2")), -1);
    fr_pattern_free(regex[1]);
}

static void templates(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const fr_pair vars[] = {{"space", "public"}, {"table", "${space}"}};
    fr_str out;
    assert_ok(fr_template_expand(a, "x.${space}.${table}y", vars, 2, &out, &err));
    assert_str(out, "x.public.${space}y"); /* never parsed again */
    assert_ok(fr_template_expand(a, "", vars, 2, &out, &err));
    assert_str(out, "");
    assert_fails(fr_template_expand(a, "${nothing}", vars, 2, &out, &err), FR_ERR_CONFIG);
    assert_fails(fr_template_expand(a, "${space", vars, 2, &out, &err), FR_ERR_CONFIG);
    fr_arena_free(a);
}

static void targets(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const struct {
        const char *into, *topic, *space, *name;
    } cases[] = {
        {"${table}", "erp.public.orders", "", "orders"},
        {"raw.${source}_${space}_${table}", "erp.public.orders", "raw", "erp_public_orders"},
        {"${space}.${table}", "erp.public.a.b", "public", "a.b"},
        {"raw.${table}", "orders", "raw", "orders"},
        {"${source}.${table}", "erp.orders", "erp", "orders"},
        {"raw.t_${topic}", "orders", "raw", "t_orders"},
        {"${table}", "erp.public.orders.v2", "", "orders_v2"},
        {"${space}.${table}", "erp.public.orders.v13", "public", "orders_v13"},
        {"${topic}", "erp.public.orders.v2", "erp", "public.orders.v2"},
        {"${table}", "erp.public.v2", "", "v2"},
        {"${table}", "erp.public.a.v1", "a", "v1"},
        {"${table}", "erp.public.a.v02", "a", "v02"},
        {"${table}", "erp.public.a.v12345", "a", "v12345"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_sink_settings s = {.into = cases[i].into};
        fr_str space, name;
        assert_ok(fr_sink_target(&s, a, fr_cstr(cases[i].topic), &space, &name, &err));
        assert_str(space, cases[i].space);
        assert_str(name, cases[i].name);
    }
    fr_arena_free(a);
}

static void instants(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-11-26",
                                      "2026-11-26T08:00:00",
                                      "2026-11-26T08:00:00z",
                                      "2026-02-30T08:00:00Z",
                                      "2026-11-26T24:00:00Z",
                                      "1969-12-31T23:59:59Z",
                                      "2026-11-26T08:00:00Z "};
    int64_t ms = -1;
    (void)state;
    assert_true(fr_instant_parse("1970-01-01T00:00:01Z", &ms));
    assert_int_equal(ms, 1000);
    assert_true(fr_instant_parse("2026-11-26T08:00:00Z", &ms));
    assert_int_equal(ms, INT64_C(1795680000000));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(fr_instant_parse(bad[i], &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants),
        cmocka_unit_test(patterns),
        cmocka_unit_test(patterns_of_topics),
        cmocka_unit_test(a_slow_pattern_gives_up),
        cmocka_unit_test(tables),
        cmocka_unit_test(topics),
        cmocka_unit_test(templates),
        cmocka_unit_test(targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
