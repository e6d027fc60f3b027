/* Contracts: what is one, which columns go with it, what is written, what a row may not hold. */
#include "codec/contract.h"
#include "tests/unit/codec/fixture.h"

static fr_contract contract;

static fr_rc pinned_route(void *context, const fr_table *t, const fr_route **out, fr_err *e)
{
    fixture *f = context;
    const fr_route *plain;
    FR_TRY(route_of(f, t, &plain, e));
    return fr_contract_pin(f->a, plain, &contract, out, e);
}

static void use(fixture *f, const char *text)
{
    contract = (fr_contract){.path = "schemas/orders.avsc", .text = fr_cstr(text)};
    fr_encoder_settings s = {.source = &f->source,
                             .registry_settings = &f->registry_settings,
                             .kafka = &f->kafka,
                             .origin = origin(),
                             .route = pinned_route,
                             .published = published,
                             .context = f};
    fr_encoder_free(f->encoder);
    f->encoder = fr_encoder_new(&s, f->registry);
}

#define ORDER(fields)                                                                              \
    "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"com.acme\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define ID FIELD("id", "\"long\"")

/* ---- the text ---- */

static void refused_text(fixture *f, const char *text, const char *code, const char *part)
{
    const fr_contract_record *r;
    fr_contract c = {.path = "c.avsc", .text = fr_cstr(text)};
    if (fr_contract_parse(f->a, &c, &r, &err) != FR_FAIL || strcmp(err.code, code) != 0 ||
        strstr(err.text, part) == NULL || strstr(err.text, "c.avsc") == NULL) {
        print_error("%s\n-> %s %s\n", text, err.code, err.text);
        fail();
    }
    assert_true(err.hint[0] != 0);
    err.text[0] = err.code[0] = 0;
}

static void texts_that_are_none(void **state)
{
    fixture *f = *state;
    refused_text(f, "", "contract.syntax", "not JSON");
    refused_text(f, "{\"type\":\"record\"", "contract.syntax", "not JSON");
    refused_text(f, "\"string\"", "contract.record", "no record");
    refused_text(f, ORDER(""), "contract.record", "no fields");
    refused_text(f, ORDER(ID "," ID), "contract.syntax", "twice");
    refused_text(f, ORDER(FIELD("a-b", "\"int\"")), "contract.syntax", "illegal field name");
    refused_text(f,
                 ORDER(FIELD("op", "\"string\"") "," FIELD("before", "\"int\"") "," //
                       FIELD("after", "\"int\"")),
                 "contract.envelope", "envelope");
    refused_text(f, ORDER(FIELD("x", "{\"type\":\"array\",\"items\":\"int\"}")), "contract.type",
                 "field x: no column is written as array");
    refused_text(f, ORDER(FIELD("x", "\"com.acme.Order\"")), "contract.type", "record");
    refused_text(f, ORDER(FIELD("x", "[\"int\",\"string\"]")), "contract.type", "union");
    refused_text(f, ORDER(FIELD("x", "[\"null\",\"int\",\"string\"]")), "contract.type", "union");
    refused_text(f, ORDER(FIELD("x", "\"null\"")), "contract.type", "null");
    refused_text(f, ORDER(FIELD("x", "{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}")),
                 "contract.type", "timestamp-nanos");
    refused_text(f,
                 ORDER(FIELD("x", "{\"type\":\"bytes\",\"logicalType\":\"decimal\","
                                  "\"precision\":2,\"scale\":3}")),
                 "contract.type", "decimal");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":\"int\",\"default\":\"a\"}"),
                 "contract.default", "field x");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":\"int\",\"default\":3000000000}"),
                 "contract.default", "field x");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":\"string\",\"default\":1}"), "contract.default",
                 "field x");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":[\"null\",\"int\"],\"default\":1}"),
                 "contract.default", "field x");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":[\"int\",\"null\"],\"default\":null}"),
                 "contract.default", "field x");
    refused_text(f, ORDER(ID ",{\"name\":\"x\",\"type\":\"int\",\"aliases\":[\"id\"]}"),
                 "contract.alias", "field x");
    refused_text(f, ORDER("{\"name\":\"x\",\"type\":\"int\",\"aliases\":\"id\"}"), "contract.alias",
                 "list");
}

/* ---- which columns go with it ---- */

/* orders(id key, note null, amount decimal(10,2), big text that may be absent) */
static const fr_table *orders(bool full_before)
{
    fr_column c[] = {column("id", FR_INT32, false, 1), column("note", FR_TEXT, true, 0),
                     column("amount", FR_DECIMAL, false, 0), column("big", FR_TEXT, true, 0)};
    c[3].may_be_absent = !full_before;
    return table_of("orders", c, 4, full_before);
}

static void refused_table(fixture *f, const char *text, const char *code, const char *part,
                          const char *hint)
{
    const fr_table *t = orders(false);
    const fr_route *r;
    contract = (fr_contract){.path = "c.avsc", .text = fr_cstr(text)};
    if (pinned_route(f, t, &r, &err) != FR_FAIL || strcmp(err.code, code) != 0 ||
        strstr(err.text, part) == NULL || strstr(err.text, "public.orders") == NULL ||
        strstr(err.hint, hint) == NULL) {
        print_error("%s\n-> %s %s\n%s\n", text, err.code, err.text, err.hint);
        fail();
    }
    assert_int_equal(err.kind, FR_ERR_SCHEMA);
    err.text[0] = err.code[0] = 0;
    fr_table_unref(t);
}

static void tables_that_do_not_fit(void **state)
{
    fixture *f = *state;
    refused_table(f, ORDER(ID "," FIELD("amout", "\"string\"")), "contract.column", "field amout",
                  "did you mean column amount?");
    refused_table(f, ORDER(ID "," FIELD("customer_segment", "\"string\"")), "contract.column",
                  "customer_segment", "publish the column");
    refused_table(f, ORDER(ID "," FIELD("amount", "\"boolean\"")), "contract.type",
                  "column amount (native, DECIMAL) cannot be written as boolean", "columns.types");
    refused_table(f, ORDER(FIELD("id", "[\"null\",\"long\"]")), "contract.key", "nullable",
                  "take null");
    refused_table(f, ORDER(FIELD("note", "[\"null\",\"string\"]")), "contract.key",
                  "key column id has no field", "add the field");
    refused_table(f, ORDER(ID "," FIELD("big", "\"string\"")), "contract.absent", "field big",
                  "REPLICA IDENTITY FULL");
    refused_table(f,
                  ORDER(ID ",{\"name\":\"x\",\"type\":[\"null\",\"string\"],"
                           "\"aliases\":[\"note\",\"big\"]}"),
                  "contract.alias", "columns note and big", "aliases");
    f->ts.schema_extra = 1;
    refused_table(f, ORDER(ID "," FIELD("note", "[\"null\",\"string\"]")), "contract.extra",
                  "amount, big", "leave_out");
}

/* ---- what is written ---- */

static void add_order(fixture *f, fr_op op, const fr_table *t, int id, const char *note,
                      const char *big)
{
    fr_value v[] = {whole(FR_INT32, id), note == NULL ? NONE : textual(FR_TEXT, note),
                    (fr_value){.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}}, /* 12.34 */
                    big == NULL ? MISSING : textual(FR_TEXT, big)};
    fr_event *e = add_event(f->b, op, t, 0x1A2B30);
    if (op == FR_OP_DELETE)
        e->before = row_of(f->b, t, v);
    else
        e->after = row_of(f->b, t, v);
}

#define WHOLE                                                                                      \
    ORDER(                                                                                         \
        "{\"name\":\"total\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","            \
        "\"precision\":12,\"scale\":3},\"aliases\":[\"amount\"],\"doc\":\"What it costs\"},"       \
        "{\"name\":\"currency\",\"type\":\"string\",\"default\":\"EUR\"},"                         \
        "{\"name\":\"state\",\"type\":{\"type\":\"enum\",\"name\":\"State\",\"symbols\":[\"new\"," \
        "\"paid\"]},\"aliases\":[\"note\"]},"                                                      \
        "{\"name\":\"order_id\",\"type\":\"long\",\"aliases\":[\"id\"]},"                          \
        "{\"name\":\"rate\",\"type\":\"double\",\"default\":1},"                                   \
        "{\"name\":\"hint\",\"type\":[\"string\",\"null\"],\"aliases\":[\"big\"]},"                \
        "{\"name\":\"later\",\"type\":[\"null\",\"long\"]}")

static void row_is_the_contracts(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(false);
    use(f, WHOLE);
    add_order(f, FR_OP_INSERT, t, 7, "paid", "x");
    add_order(f, FR_OP_UPDATE, t, 7, "new", NULL);
    encode_all(f);
    assert_int_equal(f->b->message_count, 2);
    assert_contains(json_of(f, f->b->messages[0].payload),
                    "\"after\":{\"total\":\"12.340\",\"currency\":\"EUR\",\"state\":\"paid\","
                    "\"order_id\":7,\"rate\":1,\"hint\":\"x\",\"later\":null}");
    fr_str second = json_of(f, f->b->messages[1].payload);
    assert_contains(second, "\"hint\":null,\"later\":null}");
    assert_contains(second, "\"unavailable\":[\"hint\"]");
    assert_str(json_of(f, f->b->messages[0].key), "{\"order_id\":7}");
    fr_str schema, row, canonical;
    assert_ok(fr_registry_schema(f->registry, f->b->messages[0].schema, &schema, &err));
    assert_ok(fr_contract_row(f->a, schema, &row, &err));
    assert_ok(fr_avro_canonical(f->a, fr_cstr(WHOLE), &canonical, &err));
    assert_true(fr_str_eq(row, canonical)); /* docs, aliases, defaults and all */
    assert_contains(schema, "{\"type\":\"record\",\"name\":\"OrderEnvelope\"");
    decode_all(f);
    const fr_event *back = &f->back->events[1];
    assert_int_equal(back->op, FR_OP_INSERT);
    assert_str(back->after.values[2].bytes, "paid");
    fr_table_unref(t);
}

static void state_is_the_contract_alone(void **state)
{
    fixture *f = *state;
    f->ts.envelope = FR_ENVELOPE_STATE;
    const fr_table *t = orders(true);
    use(f, ORDER(ID "," FIELD("note", "[\"null\",\"string\"]")));
    add_order(f, FR_OP_INSERT, t, 7, NULL, "x");
    encode_all(f);
    assert_str(json_of(f, f->b->messages[0].payload), "{\"id\":7,\"note\":null}");
    fr_table_unref(t);
}

static void refused_row(fixture *f, const char *what)
{
    size_t done = 0;
    assert_fails(fr_encode(f->encoder, f->b, 0, f->b->count, &done, &err), FR_ERR_DATA);
    if (strstr(err.text, what) == NULL) {
        print_error("%s\nhas not: %s\n", err.text, what);
        fail();
    }
    assert_string_equal(err.code, "contract.value");
    assert_int_equal(f->b->message_count, 0);
}

static void rows_that_do_not_fit(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(true);
    use(f, WHOLE);
    add_order(f, FR_OP_INSERT, t, 7, "secret", "x");
    refused_row(f, "column note (native): contract schemas/orders.avsc, field state: TEXT of 6 "
                   "bytes that is no symbol of the enum (at 0/1A2B30 #0)");
    assert_null(strstr(err.text, "secret"));
    fr_batch_reset(f->b);
    add_order(f, FR_OP_INSERT, t, 7, NULL, "x");
    refused_row(f, "field state: NULL, and it is not nullable");
    fr_table_unref(t);
}

/* A row that the contract has no words for may still be deleted, and be mended. */
static void old_rows_need_not_fit(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(true);
    use(f, WHOLE);
    add_order(f, FR_OP_DELETE, t, 7, "lost", "x");
    fr_value old[] = {whole(FR_INT32, 8), textual(FR_TEXT, "lost"),
                      (fr_value){.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}},
                      textual(FR_TEXT, "x")};
    add_order(f, FR_OP_UPDATE, t, 8, "new", "x");
    f->b->events[1].before = row_of(f->b, t, old);
    add_order(f, FR_OP_DELETE, t, 9, "new", "x");
    encode_all(f);
    assert_int_equal(f->b->message_count, 5); /* two tombstones */
    assert_contains(json_of(f, f->b->messages[0].payload), "{\"before\":null,\"after\":null,");
    assert_str(json_of(f, f->b->messages[0].key), "{\"order_id\":7}");
    fr_str mended = json_of(f, f->b->messages[2].payload);
    assert_contains(mended, "{\"before\":null,\"after\":{\"total\":\"12.340\"");
    assert_contains(json_of(f, f->b->messages[3].payload), "{\"before\":{\"total\":\"12.340\"");
    fr_table_unref(t);
}

/* ---- conversions ---- */

typedef struct conversion {
    fr_kind kind;
    const char *type; /* of the field */
    fr_value value;
    const char *json; /* NULL: it does not fit */
} conversion;

#define LOGICAL(avro, logical) "{\"type\":\"" avro "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL(p, s)                                                                              \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":" s "}"
#define FIXED(n) "{\"type\":\"fixed\",\"name\":\"F\",\"size\":" n "}"
#define INT(v) {.kind = FR_INT32, .integer = (v)}
#define LONG(v) {.kind = FR_INT64, .integer = (v)}
#define REAL(v) {.kind = FR_FLOAT64, .real = (v)}
#define BYTES_OF(k, v) {.kind = (k), .bytes = {(v), sizeof(v) - 1}}
#define AT(k, v) {.kind = (k), .integer = (v)}

static const conversion conversions[] = {
    {FR_INT32, "\"long\"", INT(5), "5"},
    {FR_INT64, "\"int\"", LONG(2147483647), "2147483647"},
    {FR_INT64, "\"int\"", LONG(2147483648), NULL},
    {FR_INT32, "\"double\"", INT(-3), "-3"},
    {FR_INT64, "\"double\"", LONG(9007199254740992), "9007199254740992"},
    {FR_INT64, "\"double\"", LONG(9007199254740993), NULL},
    {FR_INT32, "\"float\"", INT(16777216), "16777216"},
    {FR_INT32, "\"float\"", INT(16777217), NULL},
    {FR_INT64, "\"string\"", LONG(-12), "\"-12\""},
    {FR_INT64, DECIMAL("12", "2"), LONG(-12), "\"-12.00\""},
    {FR_INT64, DECIMAL("4", "2"), LONG(123), NULL},
    {FR_FLOAT64, "\"float\"", REAL(0.5), "0.5"},
    {FR_FLOAT64, "\"float\"", REAL(0.1), NULL},
    {FR_FLOAT64, "\"float\"", REAL(1e300), NULL},
    {FR_FLOAT64, "\"string\"", REAL(0.5), "\"0.5\""},
    {FR_DECIMAL, "\"string\"", BYTES_OF(FR_DECIMAL, "\x04\xd2"), "\"12.34\""},
    {FR_DECIMAL, DECIMAL("12", "2"), BYTES_OF(FR_DECIMAL, "\xfb\x2e"), "\"-12.34\""},
    {FR_DECIMAL, DECIMAL("12", "1"), BYTES_OF(FR_DECIMAL, "\x04\xd2"), NULL},
    {FR_DECIMAL, DECIMAL("12", "1"), BYTES_OF(FR_DECIMAL, "\x04\xce"), "\"12.3\""},
    {FR_DECIMAL, DECIMAL("3", "2"), BYTES_OF(FR_DECIMAL, "\x04\xd2"), NULL},
    {FR_DECIMAL, "\"int\"", BYTES_OF(FR_DECIMAL, "\x04\xb0"), "12"},
    {FR_DECIMAL, "\"int\"", BYTES_OF(FR_DECIMAL, "\x04\xd2"), NULL},
    {FR_DECIMAL, "\"long\"", BYTES_OF(FR_DECIMAL, "\xfb\x50"), "-12"},
    {FR_TEXT, LOGICAL("string", "uuid"), BYTES_OF(FR_TEXT, "7f3e0c52-9a1b-4c6d-8e2f-001122334455"),
     "\"7f3e0c52-9a1b-4c6d-8e2f-001122334455\""},
    {FR_TEXT, LOGICAL("string", "uuid"), BYTES_OF(FR_TEXT, "7f3e0c52-9a1b-4c6d-8e2f-00112233445"),
     NULL},
    {FR_TEXT, LOGICAL("string", "uuid"), BYTES_OF(FR_TEXT, "7f3e0c52-9a1b-4c6d-8e2f-00112233445g"),
     NULL},
    {FR_UUID, "\"string\"", BYTES_OF(FR_UUID, "7f3e0c52-9a1b-4c6d-8e2f-001122334455"),
     "\"7f3e0c52-9a1b-4c6d-8e2f-001122334455\""},
    {FR_JSON, "\"string\"", BYTES_OF(FR_JSON, "[1]"), "\"[1]\""},
    {FR_BYTES, FIXED("2"), BYTES_OF(FR_BYTES, "ab"), NULL}, /* how JSON shows it is tested below */
    {FR_BYTES, FIXED("2"), BYTES_OF(FR_BYTES, "abc"), NULL},
    {FR_BOOL, "\"string\"", {.kind = FR_BOOL, .boolean = true}, "\"true\""},
    {FR_DATE, "\"string\"", AT(FR_DATE, 0), "\"1970-01-01\""},
    {FR_TIME, LOGICAL("int", "time-millis"), AT(FR_TIME, 1000), "\"00:00:00.001\""},
    {FR_TIME, LOGICAL("int", "time-millis"), AT(FR_TIME, 1001), NULL},
    {FR_TIME, LOGICAL("long", "time-micros"), AT(FR_TIME, 1001), "\"00:00:00.001001\""},
    {FR_TIMESTAMP, LOGICAL("long", "timestamp-millis"), AT(FR_TIMESTAMP, -2000),
     "\"1969-12-31T23:59:59.998Z\""},
    {FR_TIMESTAMP, LOGICAL("long", "timestamp-millis"), AT(FR_TIMESTAMP, 1), NULL},
    {FR_DATETIME, LOGICAL("long", "local-timestamp-millis"), AT(FR_DATETIME, 1000),
     "\"1970-01-01T00:00:00.001\""},
    {FR_DATETIME, "\"string\"", AT(FR_DATETIME, 0), "\"1970-01-01T00:00:00\""},
};

static void convert_one(fixture *f, size_t i)
{
    const conversion *c = &conversions[i];
    bool fixed = strstr(c->type, "fixed") != NULL && c->value.bytes.len == 2;
    const fr_column columns[] = {column("id", FR_INT64, false, 1), column("v", c->kind, false, 0)};
    char name[32];
    snprintf(name, sizeof name, "t%zu", i);
    const fr_table *t = table_of(name, columns, 2, true);
    fr_str text = fr_arena_printf(f->a,
                                  "{\"type\":\"record\",\"name\":\"R%zu\",\"fields\":["
                                  "{\"name\":\"id\",\"type\":\"long\"},"
                                  "{\"name\":\"v\",\"type\":%s}]}",
                                  i, c->type);
    contract.text = text;
    fr_batch_reset(f->b);
    fr_value v[] = {whole(FR_INT64, 1), c->value};
    fr_event *e = add_event(f->b, FR_OP_INSERT, t, 1);
    e->after = row_of(f->b, t, v);
    size_t done;
    fr_rc rc = fr_encode(f->encoder, f->b, 0, 1, &done, &err);
    if ((rc == FR_OK) != (c->json != NULL || fixed)) {
        print_error("%zu: %s into %s: %d %s\n", i, fr_kind_name(c->kind), c->type, rc, err.text);
        fail();
    }
    if (rc == FR_FAIL) {
        assert_int_equal(err.kind, FR_ERR_DATA);
        assert_string_equal(err.code, "contract.value");
    } else if (!fixed) {
        fr_str want = fr_arena_printf(f->a, "\"after\":{\"id\":1,\"v\":%s}", c->json);
        assert_contains(json_of(f, f->b->messages[0].payload), fr_arena_cstr(f->a, want));
    }
    fr_table_unref(t);
}

static void values_become_the_fields(void **state)
{
    fixture *f = *state;
    use(f, "");
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        convert_one(f, i);
}

static void pairs_that_never_go(void **state)
{
    (void)state;
    static const struct {
        fr_kind kind;
        fr_pin_type type;
    } pairs[] = {{FR_TEXT, FR_PIN_INT},           {FR_TEXT, FR_PIN_DECIMAL},
                 {FR_TEXT, FR_PIN_JSON},          {FR_TEXT, FR_PIN_BYTES},
                 {FR_BYTES, FR_PIN_STRING},       {FR_BOOL, FR_PIN_INT},
                 {FR_DECIMAL, FR_PIN_DOUBLE},     {FR_FLOAT64, FR_PIN_LONG},
                 {FR_INT32, FR_PIN_DATE},         {FR_DATETIME, FR_PIN_TIMESTAMP},
                 {FR_TIMESTAMP, FR_PIN_DATETIME}, {FR_TIMESTAMP, FR_PIN_LONG},
                 {FR_INT64, FR_PIN_ENUM},         {FR_UUID, FR_PIN_FIXED}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        fr_column c = column("x", pairs[i].kind, false, 0);
        fr_avro_node node = {.marker = FR_STR(""), .logical = FR_STR("")};
        fr_contract_field f = {.type = pairs[i].type, .precision = 38, .scale = 2, .node = &node};
        fr_pin_convert *how;
        assert_int_equal(fr_pin_fit(&c, &f, &how), FR_END);
    }
}

/* ---- the shape that was published last ---- */

static void keeps_the_old_shape(void **state)
{
    fixture *f = *state;
    const fr_table *t = orders(true);
    add_order(f, FR_OP_INSERT, t, 7, "a", "x"); /* the fixture's own route: no contract */
    encode_all(f);
    fr_str schema, row;
    assert_ok(fr_registry_schema(f->registry, f->b->messages[0].schema, &schema, &err));
    assert_ok(fr_contract_row(f->a, schema, &row, &err));
    fr_column wider[] = {column("id", FR_INT32, false, 1), column("amount", FR_DECIMAL, false, 0),
                         column("big", FR_TEXT, true, 0), column("extra", FR_TEXT, true, 0)};
    wider[1].precision = 12;
    const fr_table *next = table_of("orders", wider, 4, true); /* note went, extra came */
    use(f, fr_arena_cstr(f->a, row));
    fr_batch_reset(f->b);
    fr_value v[] = {whole(FR_INT32, 8), (fr_value){.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}},
                    textual(FR_TEXT, "x"), textual(FR_TEXT, "y")};
    fr_event *e = add_event(f->b, FR_OP_INSERT, next, 2);
    e->after = row_of(f->b, next, v);
    encode_all(f);
    assert_contains(json_of(f, f->b->messages[0].payload),
                    "\"after\":{\"id\":8,\"note\":null,\"amount\":\"12.34\",\"big\":\"x\"}");
    fr_str again;
    assert_ok(fr_registry_schema(f->registry, f->b->messages[0].schema, &again, &err));
    assert_true(fr_str_eq(again, schema)); /* the very same one */
    fr_table_unref(t);
    fr_table_unref(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(texts_that_are_none),         T(tables_that_do_not_fit), T(row_is_the_contracts),
        T(state_is_the_contract_alone), T(rows_that_do_not_fit),   T(old_rows_need_not_fit),
        T(values_become_the_fields),    T(pairs_that_never_go),    T(keeps_the_old_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
