/* Rules: what they say of values, what they refuse to be, and that no pattern hangs. */
#include "tests/unit/test.h"
#include "transform/route.h"
#include "transform/rules.h"

#include <math.h>
#include <stdlib.h>

typedef struct fixture {
    fr_source_settings source;
    fr_table_settings ts;
    fr_contract contract;
    fr_router *r;
    fr_arena *a;
    const fr_table *t;
    const fr_route *route;
    const char *rules[8];
} fixture;

static fr_err err;

enum { ID, EMAIL, TOTAL, STATE, DAY, AT, RATE, RAW, FLAG, COUNT };

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->source.pipeline = "shop";
    f->source.name = f->source.prefix = "erp";
    f->source.type = "postgres";
    f->ts.pattern = "public.orders";
    f->ts.place = "shop.yaml:12";
    f->ts.schema_compat = -1;
    f->source.tables = &f->ts;
    f->source.table_count = 1;
    f->a = fr_arena_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_router_free(f->r);
    fr_table_unref(f->t);
    fr_arena_free(f->a);
    free(f);
    return 0;
}

static fr_rc make(fixture *f)
{
    const fr_column c[COUNT] = {
        [ID] = {.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
        [EMAIL] = {.name = FR_STR("email"), .kind = FR_TEXT, .nullable = true},
        [TOTAL] = {.name = FR_STR("total"),
                   .kind = FR_DECIMAL,
                   .precision = 30,
                   .scale = 2,
                   .nullable = true},
        [STATE] = {.name = FR_STR("state"), .kind = FR_TEXT, .nullable = true},
        [DAY] = {.name = FR_STR("day"), .kind = FR_DATE, .nullable = true},
        [AT] = {.name = FR_STR("at"), .kind = FR_TIMESTAMP, .nullable = true},
        [RATE] = {.name = FR_STR("rate"), .kind = FR_FLOAT64, .nullable = true},
        [RAW] = {.name = FR_STR("raw"), .kind = FR_BYTES, .nullable = true},
        [FLAG] = {.name = FR_STR("flag"), .kind = FR_BOOL, .nullable = true}};
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("orders"),
                     .full_before = true,
                     .column_count = COUNT,
                     .columns = c};
    f->t = fr_table_unref(f->t);
    f->t = fr_table_new(&like);
    fr_router_free(f->r);
    f->r = fr_router_new(&f->source);
    return fr_router_route(f->r, f->t, &f->route, &err);
}

static void use(fixture *f, size_t count, ...)
{
    va_list ap;
    va_start(ap, count);
    for (size_t i = 0; i < count; i++)
        f->rules[i] = va_arg(ap, const char *);
    va_end(ap);
    f->ts.schema_rules = (fr_texts){f->rules, count};
    assert_ok(make(f));
    assert_non_null(f->route->judge);
}

static void refused(fixture *f, const char *rule, const char *code, const char *part,
                    const char *hint)
{
    f->rules[0] = rule;
    f->ts.schema_rules = (fr_texts){f->rules, 1};
    if (make(f) != FR_FAIL || strcmp(err.code, code) != 0 || strstr(err.text, part) == NULL ||
        strstr(err.hint, hint) == NULL || err.kind != FR_ERR_CONFIG) {
        print_error("%s\n-> %s %s\n%s\n", rule, err.code, err.text, err.hint);
        fail();
    }
    memset(&err, 0, sizeof err);
}

static fr_value text(const char *s)
{
    return (fr_value){.kind = FR_TEXT, .bytes = fr_cstr(s)};
}

static fr_value decimal(fixture *f, const char *s)
{
    fr_value v = {.kind = FR_DECIMAL};
    assert_ok(fr_decimal_from_text(f->a, fr_cstr(s), 0, 2, &v.bytes, &err));
    return v;
}

static fr_value number(fr_kind kind, int64_t n)
{
    return (fr_value){.kind = kind, .integer = n};
}

/* A row of NULLs but for this value. */
static fr_rc judge(fixture *f, size_t column, fr_value v)
{
    fr_value values[COUNT];
    const fr_event event = {.op = FR_OP_INSERT, .position = {.lsn = 0x1A2B30, .ordinal = 4}};
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (fr_value){.kind = FR_NULL};
    values[ID] = number(FR_INT64, 1);
    values[column] = v;
    return f->route->judge(f->route->rules, f->a, &event, values, &err);
}

static void breaks(fixture *f, size_t column, fr_value v, const char *what)
{
    assert_fails(judge(f, column, v), FR_ERR_DATA);
    if (strstr(err.text, what) == NULL) {
        print_error("%s\nhas not: %s\n", err.text, what);
        fail();
    }
}

static void words(void **state)
{
    fixture *f = *state;
    use(f, 1, "{\"field\":\"email\",\"matches\":\"^[^@]+@[a-z.]+$\"}");
    assert_ok(judge(f, EMAIL, text("a@b.example")));
    assert_ok(judge(f, EMAIL, (fr_value){.kind = FR_NULL}));
    assert_ok(judge(f, EMAIL, (fr_value){.kind = FR_ABSENT}));
    breaks(f, EMAIL, text("secret value"),
           "table public.orders: rule email.matches: field email: TEXT of 12 bytes that does not "
           "match its pattern (at 0/1A2B30 #4)");
    assert_null(strstr(err.text, "secret"));
    assert_string_equal(err.code, "rule.broken");
    use(f, 1, "{\"field\":\"state\",\"in\":[\"new\",\"paid\"],\"name\":\"known_state\"}");
    assert_ok(judge(f, STATE, text("paid")));
    breaks(f, STATE, text("pai"), "rule known_state: field state");
    use(f, 1, "{\"field\":\"state\",\"in\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"]}");
    assert_ok(judge(f, STATE, text("h")));
    breaks(f, STATE, text("i"), "not in its list");
    use(f, 2, "{\"field\":\"email\",\"not_empty\":true}", "{\"field\":\"raw\",\"not_empty\":true}");
    breaks(f, EMAIL, text(""), "rule email.not_empty: field email: empty");
    breaks(f, EMAIL, text("x"), "rule raw.not_empty: field raw: NULL");
    use(f, 1, "{\"field\":\"flag\",\"in\":[\"true\"]}");
    assert_ok(judge(f, FLAG, (fr_value){.kind = FR_BOOL, .boolean = true}));
    breaks(f, FLAG, (fr_value){.kind = FR_BOOL}, "BOOL that is not in its list");
}

static void ranges_are_exact(void **state)
{
    fixture *f = *state;
    use(f, 1, "{\"field\":\"total\",\"range\":[\"-0.05\",\"123456789012345678901234567.89\"]}");
    const char *inside[] = {"-0.05",  "-0.04", "0",        "0.01",
                            "127.99", "128",   "32767.99", "123456789012345678901234567.89"};
    const char *outside[] = {"-0.06",
                             "-1",
                             "-128",
                             "-129",
                             "-123456789012345678901234567.89",
                             "123456789012345678901234567.90",
                             "923456789012345678901234567.00"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        assert_ok(judge(f, TOTAL, decimal(f, inside[i])));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        breaks(f, TOTAL, decimal(f, outside[i]), i < 5 ? "below" : "above");
    /* Ends with more decimals than the column has. */
    use(f, 1, "{\"field\":\"total\",\"range\":[\"0.105\",\"0.115\"]}");
    breaks(f, TOTAL, decimal(f, "0.10"), "below");
    assert_ok(judge(f, TOTAL, decimal(f, "0.11")));
    breaks(f, TOTAL, decimal(f, "0.12"), "above");
    use(f, 1, "{\"field\":\"id\",\"range\":[\"0.5\",null]}");
    assert_ok(judge(f, ID, number(FR_INT64, 1)));
    breaks(f, ID, number(FR_INT64, 0), "INT64 below its range");
    assert_ok(judge(f, ID, number(FR_INT64, INT64_MAX)));
    use(f, 1, "{\"field\":\"rate\",\"range\":[0,0.1]}");
    assert_ok(judge(f, RATE, (fr_value){.kind = FR_FLOAT64, .real = 0.1}));
    breaks(f, RATE, (fr_value){.kind = FR_FLOAT64, .real = 0.10000001}, "above");
    breaks(f, RATE, (fr_value){.kind = FR_FLOAT64, .real = NAN}, "no number");
    use(f, 2, "{\"field\":\"day\",\"range\":[\"2024-02-29\",\"2024-03-01\"]}",
        "{\"field\":\"at\",\"range\":[\"1970-01-01T00:00:01Z\",\"1970-01-01 00:00:02.5\"]}");
    int64_t day = fr_days_from_civil(2024, 2, 29);
    assert_ok(judge(f, DAY, number(FR_DATE, day)));
    breaks(f, DAY, number(FR_DATE, day - 1), "below");
    breaks(f, DAY, number(FR_DATE, day + 2), "above");
    assert_ok(judge(f, AT, number(FR_TIMESTAMP, 2500000)));
    breaks(f, AT, number(FR_TIMESTAMP, 2500001), "above");
    breaks(f, AT, number(FR_TIMESTAMP, 999999), "below");
}

static void expressions(void **state)
{
    fixture *f = *state;
    use(f, 2, "{\"sql\":\"email is null or rate > 0\"}",
        "{\"sql\":\"dec_cmp('total', '100') < 0\",\"name\":\"cheap\"}");
    breaks(f, TOTAL, decimal(f, "100"), "rule cheap: it is false");
    assert_ok(judge(f, TOTAL, decimal(f, "99.99")));
    breaks(f, TOTAL, (fr_value){.kind = FR_ABSENT}, "did not log");
    use(f, 1, "{\"sql\":\"json_extract(email, '$.a') = 1\"}");
    breaks(f, EMAIL, text("not json"), "no result");
    use(f, 1, "{\"sql\":\"email\"}");
    breaks(f, EMAIL, text("x"), "neither true nor false");
}

/* Decision: a pattern that would take for ever ends, and its row is not published. */
static void hostile_patterns_end(void **state)
{
    fixture *f = *state;
    char long_one[20000];
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    const char *patterns[] = {"^(a+)+$", "^(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x$",
                              "^(([a-z])+.)+[A-Z]([a-z])+$", "(?:(?:a{0,90}){0,90}){0,9}b"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        fr_str rule =
            fr_arena_printf(f->a, "{\"field\":\"email\",\"matches\":\"%s\"}", patterns[i]);
        use(f, 1, fr_arena_cstr(f->a, rule));
        long_one[sizeof long_one - 2] = '!';
        assert_fails(judge(f, EMAIL, text(long_one)), FR_ERR_DATA);
    }
    use(f, 1, "{\"field\":\"email\",\"matches\":\"^.\xc3\xa4$\"}");
    assert_ok(judge(f, EMAIL, text("\xc3\xa4\xc3\xa4")));
    breaks(f, EMAIL, text("\xff\xc3"), "does not match"); /* no UTF-8: harmless */
}

static void rules_that_are_none(void **state)
{
    fixture *f = *state;
    refused(f, "[]", "rule.syntax", "rule 1: a rule that is no map", "write");
    refused(f, "{\"field\":\"email\"}", "rule.syntax", "without a condition", "words");
    refused(f, "{\"matches\":\"a\"}", "rule.syntax", "without a field", "write");
    refused(f, "{\"field\":\"email\",\"machtes\":\"a\"}", "rule.syntax", "no key `machtes`",
            "did you mean `matches`?");
    refused(f, "{\"field\":\"email\",\"matches\":\"a\",\"not_empty\":true}", "rule.syntax",
            "two conditions", "two rules");
    refused(f, "{\"field\":\"email\",\"matches\":\"(\"}", "rule.pattern",
            "email.matches: its pattern", "PCRE");
    refused(f, "{\"field\":\"emial\",\"not_empty\":true}", "rule.field", "no field emial",
            "did you mean email?");
    refused(f, "{\"field\":\"total\",\"matches\":\"1\"}", "rule.type", "matches does not go with",
            "range");
    refused(f, "{\"field\":\"email\",\"range\":[0,1]}", "rule.type", "range does not go with", "");
    refused(f, "{\"field\":\"total\",\"range\":[0]}", "rule.syntax", "list of two", "null");
    refused(f, "{\"field\":\"total\",\"range\":[null,null]}", "rule.syntax", "any end", "");
    refused(f, "{\"field\":\"total\",\"range\":[\"a\",1]}", "rule.operand", "`a` is no value",
            "12.5");
    refused(f, "{\"field\":\"total\",\"in\":[\"1.005\"]}", "rule.operand", "`1.005`", "");
    refused(f, "{\"field\":\"day\",\"range\":[\"2024-13-01\",null]}", "rule.operand", "2024-13-01",
            "2026-11-26");
    refused(f, "{\"field\":\"email\",\"not_empty\":false}", "rule.syntax", "only be true", "");
    refused(f, "{\"sql\":\"emial > 1\"}", "rule.no_such_column", "no column emial",
            "did you mean email?");
    refused(f, "{\"sql\":\"random() > 1\"}", "rule.function", "random", "");
    refused(f, "{\"sql\":\"1\",\"field\":\"email\"}", "rule.syntax", "of no field", "remove");
    refused(f, "{\"field\":\"email\",\"not_empty\":true,\"name\":\"a b\"}", "rule.syntax", "name",
            "letters");
    f->rules[1] = "{\"field\":\"email\",\"not_empty\":true,\"name\":\"x\"}";
    f->rules[0] = f->rules[1];
    f->ts.schema_rules = (fr_texts){f->rules, 2};
    assert_fails(make(f), FR_ERR_CONFIG);
    assert_string_equal(err.code, "rule.name");
}

#define CONTRACT                                                                                   \
    "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[{\"name\":\"order_id\",\"type\":"         \
    "\"long\","                                                                                    \
    "\"aliases\":[\"id\"],\"freshet.rules\":[{\"range\":[1,null]}]},{\"name\":\"mail\",\"type\":"  \
    "[\"null\",\"string\"],\"aliases\":[\"email\"]}],\"freshet.rules\":[{\"sql\":\"order_id < "    \
    "100 "                                                                                         \
    "or mail is not null\",\"name\":\"late\"}]}"

/* Rules within the contract call fields as it does; what was counted can be told. */
static void rules_in_the_contract(void **state)
{
    fixture *f = *state;
    f->contract = (fr_contract){.path = "c.avsc", .text = FR_STR(CONTRACT)};
    f->ts.schema_contract = "c.avsc";
    f->ts.contract = &f->contract;
    use(f, 1, "{\"field\":\"mail\",\"matches\":\"@\"}");
    assert_str(f->route->schema_name, "Order");
    breaks(f, ID, number(FR_INT64, 0), "rule order_id.range: field order_id: INT64 below");
    breaks(f, ID, number(FR_INT64, 100), "rule late: it is false");
    breaks(f, EMAIL, text("x"), "rule mail.matches");
    breaks(f, EMAIL, text("y"), "rule mail.matches");
    fr_str name;
    uint64_t count;
    assert_true(fr_rules_broken(f->route->rules, 0, &name, &count));
    assert_str(name, "mail.matches");
    assert_int_equal(count, 2);
    assert_true(fr_rules_broken(f->route->rules, 2, &name, &count));
    assert_false(fr_rules_broken(f->route->rules, 3, &name, &count));
    f->rules[0] = "{\"field\":\"total\",\"not_empty\":true}"; /* left out by the contract */
    assert_fails(make(f), FR_ERR_CONFIG);
    assert_string_equal(err.code, "rule.field");
    f->ts.schema_name = "com.acme.Other";
    f->ts.schema_rules.count = 0;
    assert_fails(make(f), FR_ERR_CONFIG);
    assert_string_equal(err.code, "contract.name");
    assert_non_null(strstr(err.text, "com.acme.Other"));
    assert_non_null(strstr(err.text, "record Order"));
}

static void contracts_by_topic(void **state)
{
    fixture *f = *state;
    f->contract = (fr_contract){.path = "schemas/erp.public.orders.avsc",
                                .topic = "erp.public.orders",
                                .text = FR_STR(CONTRACT)};
    f->source.contracts = &f->contract;
    f->source.contract_count = 1;
    assert_ok(make(f));
    assert_non_null(f->route->pin);
    f->ts.schema_contract = ""; /* none */
    assert_ok(make(f));
    assert_null(f->route->pin);
    f->ts.schema_contract = NULL;
    f->ts.topic = "other";
    assert_ok(make(f));
    assert_null(f->route->pin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(words),
        T(ranges_are_exact),
        T(expressions),
        T(hostile_patterns_end),
        T(rules_that_are_none),
        T(rules_in_the_contract),
        T(contracts_by_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
