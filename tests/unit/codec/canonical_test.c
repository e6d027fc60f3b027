#include "codec/registry.h"
#include "tests/unit/test.h"

static fr_err err;
static fr_arena *a;

static int set_up(void **state)
{
    (void)state;
    a = fr_arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fr_arena_free(a);
    return 0;
}

static void texts_become_one(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {" \"int\" ", "\"int\""},
        {"string", "\"string\""},
        {"{\"type\": \"int\"}", "\"int\""},
        {"{\"type\": {\"type\": \"int\"}}", "\"int\""},
        {"[\"null\", {\"type\":\"string\"}]", "[\"null\",\"string\"]"},
        {"{\"logicalType\":\"date\", \"type\":\"int\"}",
         "{\"type\":\"int\",\"logicalType\":\"date\"}"},
        {"{\"scale\":2,\"type\":\"bytes\",\"precision\":4,\"logicalType\":\"decimal\"}",
         "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}"},
        {"{\"items\":\"int\",\"type\":\"array\"}", "{\"type\":\"array\",\"items\":\"int\"}"},
        /* A member that its type has no use for is a property. */
        {"{\"type\":\"int\",\"items\":7,\"fields\":[3]}",
         "{\"type\":\"int\",\"fields\":[3],\"items\":7}"},
        /* Names: short and full, said and inherited. */
        {"{\"name\":\"a.b.R\",\"type\":\"record\",\"fields\":[]}",
         "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"fields\":[]}"},
        {"{\"namespace\":\"a.b\",\"name\":\"R\",\"type\":\"record\",\"fields\":[{\"type\":["
         "\"null\","
         "\"R\"],\"default\":null,\"name\":\"next\"}]}",
         "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"fields\":[{\"name\":\"next\","
         "\"type\":[\"null\",\"a.b.R\"],\"default\":null}]}"},
        {"{\"name\":\"a.R\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":{\"name\":"
         "\"F\",\"type\":\"fixed\",\"size\":3}}]}",
         "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[{\"name\":\"f\","
         "\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"a\",\"size\":3}}]}"},
        /* Defaults by their type; properties by name, docs kept, strings as they are. */
        {"{\"zz\":1,\"aa\":{\"y\":2.50,\"x\":[true,null]},\"doc\":\"d\\u00e9\",\"name\":\"R\","
         "\"type\":\"record\",\"fields\":[{\"default\":0,\"name\":\"d\",\"type\":\"double\"},"
         "{\"default\":1.0,\"name\":\"l\",\"type\":[\"long\",\"null\"]},{\"default\":\"\\u0000\","
         "\"name\":\"b\",\"type\":\"bytes\"}]}",
         "{\"type\":\"record\",\"name\":\"R\",\"doc\":\"d\xC3\xA9\",\"fields\":[{\"name\":\"d\","
         "\"type\":\"double\",\"default\":0.0},{\"name\":\"l\",\"type\":[\"long\",\"null\"],"
         "\"default\":1},{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"\\u0000\"}],"
         "\"aa\":{\"x\":[true,null],\"y\":2.5},\"zz\":1}"},
        {"{\"symbols\":[\"A\",\"B\"],\"default\":\"A\",\"name\":\"E\",\"type\":\"enum\"}",
         "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"],\"default\":\"A\"}"},
        {"{\"type\":[{\"name\":\"a\",\"type\":\"string\"},{\"type\":\"long\"}]}",
         "[{\"type\":\"string\",\"name\":\"a\"},\"long\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_str out, again;
        assert_ok(fr_avro_canonical(a, fr_cstr(cases[i].from), &out, &err));
        assert_str(out, cases[i].to);
        assert_ok(fr_avro_canonical(a, out, &again, &err));
        assert_true(fr_str_eq(out, again));
    }
}

static void what_is_no_schema_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"7", "a type is missing"},
        {"\"integer\"", "not defined: integer"},
        {"{\"type\":\"record\",\"name\":\"R\"}", "no list of fields: R"},
        {"{\"type\":\"record\",\"fields\":[]}", "illegal name"},
        {"{\"type\":\"record\",\"name\":\"a-b\",\"fields\":[]}", "illegal name: a-b"},
        {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\"}]}", "a type is missing"},
        {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x.y\",\"type\":\"int\"}]}",
         "illegal field name: x.y"},
        {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"},"
         "{\"name\":\"x\",\"type\":\"int\"}]}",
         "twice: x"},
        {"[\"int\",\"int\"]", "one type twice"},
        {"[\"int\",[\"null\"]]", "union"},
        {"[]", "no branches"},
        {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "without a size"},
        {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", "no symbols"},
        {"{\"type\":\"int\",\"type\":\"long\"}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_str out;
        assert_fails(fr_avro_canonical(a, fr_cstr(cases[i].text), &out, &err), FR_ERR_DATA);
        if (strstr(err.text, cases[i].why) == NULL) {
            print_error("%s: %s\n", cases[i].text, err.text);
            fail();
        }
    }
}

static void deep_and_long_are_refused(void **state)
{
    (void)state;
    fr_str out;
    enum { LEVELS = 1000 };
    static char text[LEVELS * 30 + 16];
    char *at = text;
    for (int i = 0; i < LEVELS; i++)
        at += sprintf(at, "{\"type\":\"array\",\"items\":");
    at += sprintf(at, "\"int\"");
    memset(at, '}', LEVELS);
    at[LEVELS] = '\0';
    assert_fails(fr_avro_canonical(a, fr_cstr(text), &out, &err), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "deeper than 64"));
    char *big = fr_arena_raw(a, (1 << 20) + 16);
    memset(big, ' ', (1 << 20) + 16);
    assert_fails(fr_avro_canonical(a, (fr_str){big, (1 << 20) + 16}, &out, &err), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "longer than 1 MiB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_become_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_schema_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deep_and_long_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
