/* An Avro schema as checks, and which schemas are no contract. */
#include "cli/contract.c"
#include "tests/unit/test.h"

static fr_err err;

static fr_rc of(fr_arena *a, const char *fields, const fr_contract_node **out)
{
    fr_str schema =
        fr_arena_printf(a, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[%s]}", fields);
    return fr_contract_of(a, "r.avsc", schema, out, &err);
}

static void what_is_checked(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const fr_contract_node *n;
    assert_ok(of(a,
                 "{\"name\":\"a\",\"type\":\"int\"},"
                 "{\"name\":\"b\",\"type\":[\"null\",\"long\"]},"
                 "{\"name\":\"c\",\"type\":\"double\",\"default\":0},"
                 "{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
                 "\"precision\":2,\"scale\":2}},"
                 "{\"name\":\"e\",\"type\":[\"int\",\"null\",\"string\"]},"
                 "{\"name\":\"f\",\"type\":{\"type\":\"string\",\"logicalType\":\"date\"}},"
                 "{\"name\":\"g\",\"type\":[\"null\"]}",
                 &n));
    assert_int_equal(n->kind, FR_CONTRACT_RECORD);
    assert_int_equal(n->count, 7);
    static const bool required[] = {true, false, false, true, false, true, false};
    static const fr_contract_kind kinds[] = {FR_CONTRACT_WHOLE, FR_CONTRACT_WHOLE, FR_CONTRACT_REAL,
                                             FR_CONTRACT_TEXT,  FR_CONTRACT_ANY,   FR_CONTRACT_TEXT,
                                             FR_CONTRACT_NULL};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(n->members[i].required, required[i]);
        assert_int_equal(n->members[i].node->kind, kinds[i]);
    }
    assert_true(n->members[1].node->nullable && n->members[4].node->nullable);
    assert_int_equal(n->members[4].node->count, 2);
    assert_str(n->members[3].node->pattern, "-?(?:0)(?:[.][0-9]{1,2})?");
    assert_int_equal(n->members[5].node->pattern.len, 0); /* no date: Avro ignores it there */
    fr_arena_free(a);
}

static void refused(const char *fields, const char *said)
{
    fr_arena *a = fr_arena_new(0);
    const fr_contract_node *n;
    assert_fails(of(a, fields, &n), FR_ERR_CONFIG);
    assert_string_equal(err.text, said);
    assert_string_equal(err.code, "config.contract");
    fr_arena_free(a);
}

static void what_is_no_contract(void **state)
{
    (void)state;
    refused("{\"name\":\"a\",\"type\":\"bytes\"}",
            "r.avsc: field a: bytes have no one way to be written as JSON");
    refused("{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":"
            "\"N\",\"fields\":[{\"name\":\"b\",\"type\":[\"null\",\"N\"]}]}}}",
            "r.avsc: field a.b: the type contains itself");
    refused("{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"it's\"]}}",
            "r.avsc: field a: an enum has a symbol that is no Avro name");
    refused("{\"name\":\"a\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
            "\"precision\":201}}",
            "r.avsc: field a: a decimal of more than 200 digits");
    refused("{\"name\":\"it's\",\"type\":\"int\"}",
            "r.avsc: Avro schema: illegal field name: it's");
}

static void too_much(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const fr_contract_node *n;
    fr_buf b = {.arena = a};
    /* Each record has the one before twice: names are few, checks are many. */
    fr_buf_text(&b,
                "{\"name\":\"f0\",\"type\":{\"type\":\"record\",\"name\":\"R0\",\"fields\":[]}}");
    for (int i = 1; i < 12; i++)
        fr_buf_printf(
            &b,
            ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":"
            "[{\"name\":\"a\",\"type\":\"R%d\"},{\"name\":\"b\",\"type\":\"R%d\"}]}}",
            i, i, i - 1, i - 1);
    assert_fails(of(a, fr_arena_cstr(a, fr_buf_view(&b)), &n), FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "a contract of more than 1000 types"));
    b.len = 0;
    fr_buf_text(&b, "{\"name\":\"a\",\"type\":");
    for (int i = 0; i < 30; i++)
        fr_buf_text(&b, "{\"type\":\"array\",\"items\":");
    fr_buf_text(&b, "\"int\"");
    for (int i = 0; i < 31; i++)
        fr_buf_u8(&b, '}');
    assert_fails(of(a, fr_arena_cstr(a, fr_buf_view(&b)), &n), FR_ERR_CONFIG);
    assert_string_equal(err.text, "r.avsc: field a: nested deeper than 30 levels");
    fr_arena_free(a);
}

static void no_record(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    const fr_contract_node *n;
    assert_fails(fr_contract_of(a, "r.avsc", FR_STR("\"string\""), &n, &err), FR_ERR_CONFIG);
    assert_string_equal(err.text, "r.avsc: a contract is the schema of a record");
    assert_fails(fr_contract_of(a, "r.avsc", FR_STR("{"), &n, &err), FR_ERR_CONFIG);
    assert_fails(fr_contract_read(a, "/nowhere/r.avsc", &n, &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "cannot read the contract /nowhere/r.avsc: No such file"));
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_checked),
        cmocka_unit_test(what_is_no_contract),
        cmocka_unit_test(too_much),
        cmocka_unit_test(no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
