/* Schemas against tests/golden/schemas/; `make docs` writes those anew. */
#include "tests/unit/codec/fixture.h"

#include "codec/avro_parse.h"

static fr_route *route(fixture *f, const fr_table *t)
{
    const fr_route *r;
    assert_ok(route_of(f, t, &r, &err));
    return (fr_route *)(uintptr_t)r;
}

static void write_golden(const char *path, fr_str text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite(text.ptr, 1, text.len, file);
    fputc('\n', file);
    fclose(file);
}

/* Every text of ours must be its own canonical text, and the one we once agreed on. */
static void assert_golden(fixture *f, const char *name, fr_str text)
{
    fr_str canonical;
    char path[512], *want = fr_arena_alloc(f->a, 65536);
    assert_ok(fr_avro_canonical(f->a, text, &canonical, &err));
    if (!fr_str_eq(canonical, text)) {
        print_error("not canonical:\n%.*s\n%.*s\n", FR_ARG(text), FR_ARG(canonical));
        fail();
    }
    snprintf(path, sizeof path, "%s/tests/golden/schemas/%s.avsc", FR_SOURCE_DIR, name);
    if (getenv("FRESHET_REGEN_GOLDEN") != NULL)
        write_golden(path, text);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        print_error("%s is missing: make docs\n", path);
        fail();
        return;
    }
    size_t len = fread(want, 1, 65535, file);
    fclose(file);
    assert_true(len > 0 && want[len - 1] == '\n');
    want[len - 1] = '\0';
    assert_str(text, want);
}

static const fr_table *every_column(bool full_before)
{
    fr_column c[20];
    size_t n = 0;
    c[n++] = column("id", FR_INT64, false, 2);
    c[n++] = column("region", FR_TEXT, false, 1);
    for (int k = 2; k < FR_KIND_COUNT; k++) {
        c[n] = column(fr_kind_name((fr_kind)k), (fr_kind)k, k % 2 == 0, 0);
        c[n++].doc = k == FR_TEXT ? FR_STR("Says \"hello\"\nand more") : FR_STR("");
    }
    c[n++] = column("1st-név", FR_TEXT, true, 0);
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("every"),
                     .full_before = full_before,
                     .doc = FR_STR("One column of each kind"),
                     .column_count = n,
                     .columns = c};
    return fr_table_new(&like);
}

static void goldens(void **state)
{
    fixture *f = *state;
    fr_origin o = origin();
    fr_str key, value;
    const char *tags[] = {"gold", "pii"}, *pii[] = {"TEXT"};
    const fr_table *t = every_column(false), *full = every_column(true);
    f->ts.owner = "team-erp";
    f->ts.tags = (fr_texts){tags, 2};
    f->ts.deprecated = "use erp.public.types2";
    f->ts.pii = (fr_texts){pii, 1};
    fr_route *r = route(f, t);
    assert_ok(fr_schema_key(f->a, r, &key, &err));
    assert_golden(f, "key", key);
    assert_ok(fr_schema_value(f->a, r, &o, &value, &err));
    assert_golden(f, "standard_identity_default", value);
    assert_ok(fr_schema_value(f->a, route(f, full), &o, &value, &err));
    assert_golden(f, "standard_identity_full", value);
    o.type = o.connector = FR_STR("mariadb");
    assert_ok(fr_schema_value(f->a, route(f, full), &o, &value, &err));
    assert_golden(f, "standard_binlog", value);
    o = origin();
    f->ts.envelope = FR_ENVELOPE_STATE;
    assert_ok(fr_schema_value(f->a, route(f, full), &o, &value, &err));
    assert_golden(f, "state", value);
    assert_ok(fr_schema_message(f->a, &o, &key, &value, &err));
    assert_golden(f, "message_key", key);
    assert_golden(f, "message_value", value);
    assert_ok(fr_schema_transaction(f->a, &o, &key, &value, &err));
    assert_golden(f, "transaction_key", key);
    assert_golden(f, "transaction_value", value);
    fr_table_unref(t);
    fr_table_unref(full);
}

static fr_str row_schema(fixture *f, const fr_column *c, size_t n)
{
    fr_origin o = origin();
    fr_str value = FR_STR("");
    const fr_table *t = table_of("d", c, n, true);
    f->ts.envelope = FR_ENVELOPE_STATE;
    if (fr_schema_value(f->a, route(f, t), &o, &value, &err) == FR_FAIL)
        value = (fr_str){NULL, 0};
    fr_table_unref(t);
    return value;
}

static void defaults_are_said_where_avro_can(void **state)
{
    fixture *f = *state;
    static const struct {
        fr_kind kind;
        const char *fallback, *want;
    } cases[] = {
        {FR_INT32, "0", "\"int\",\"default\":0}"},
        {FR_INT32, "3000000000", "\"int\"}"},
        {FR_INT64, "-7", "\"long\",\"default\":-7}"},
        {FR_BOOL, "true", "\"boolean\",\"default\":true}"},
        {FR_FLOAT64, "0", "\"double\",\"default\":0.0}"},
        {FR_FLOAT32, "1.5", "\"float\",\"default\":1.5}"},
        {FR_TEXT, "\"new \\\"x\\\"\"", "\"string\",\"default\":\"new \\\"x\\\"\"}"},
        {FR_TEXT, "7", "\"string\"}"},
        {FR_DECIMAL, "1.00", "\"scale\":2},\"default\":\"d\"}"},
        {FR_DECIMAL, "\"0\"", "\"scale\":2},\"default\":\"\\u0000\"}"},
        {FR_DECIMAL, "\"1.28\"", "\"scale\":2},\"default\":\"\\u0000\xC2\x80\"}"},
        {FR_DECIMAL, "1.234", "\"scale\":2}}"},
        {FR_DATE, "1", "\"logicalType\":\"date\"},\"default\":1}"},
        {FR_DATE, "\"1970-01-02\"", "\"logicalType\":\"date\"}}"},
        {FR_INT32, "nextval(", "\"int\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_column c[] = {column("id", FR_INT32, false, 1), column("x", cases[i].kind, false, 0)};
        c[1].fallback = fr_cstr(cases[i].fallback);
        fr_str text = row_schema(f, c, 2), canonical;
        assert_contains(text, cases[i].want);
        assert_ok(fr_avro_canonical(f->a, text, &canonical, &err));
        assert_true(fr_str_eq(text, canonical));
        c[1].nullable = true;
        assert_contains(row_schema(f, c, 2), "],\"default\":null}");
    }
}

static void defaults_of_the_configuration_win(void **state)
{
    fixture *f = *state;
    fr_pair defaults[] = {{"x", "unknown"}, {"n", "12.5"}};
    f->ts.column_defaults = (fr_pairs){defaults, 2};
    fr_column c[] = {column("id", FR_INT32, false, 1), column("x", FR_TEXT, false, 0),
                     column("n", FR_DECIMAL, false, 0)};
    c[1].fallback = FR_STR("\"other\"");
    assert_contains(row_schema(f, c, 3), "\"string\",\"default\":\"unknown\"}");
    assert_contains(row_schema(f, c, 3), "\"default\":\"\\u0004\xC3\xA2\"}");
    defaults[1].value = "many";
    assert_null(row_schema(f, c, 3).ptr);
    assert_int_equal(err.kind, FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "table public.d: column n (native): columns.defaults"));
}

static void types_of_the_configuration(void **state)
{
    fixture *f = *state;
    static const struct {
        fr_kind kind;
        const char *type, *want; /* NULL: refused */
    } cases[] = {
        {FR_DECIMAL, "decimal(12,2)", "\"precision\":12,\"scale\":2}"},
        {FR_DECIMAL, "decimal(10,3)", NULL},
        {FR_DECIMAL, "decimal(12,1)", NULL},
        {FR_TEXT, "decimal(38,6)", "\"precision\":38,\"scale\":6}"},
        {FR_INT32, "decimal(10,0)", "\"precision\":10,\"scale\":0}"},
        {FR_INT64, "decimal(18,0)", NULL},
        {FR_UUID, "string", "\"type\":\"string\"}"},
        {FR_TIMESTAMP, "string", "\"type\":\"string\"}"},
        {FR_BYTES, "string", NULL},
        {FR_INT32, "long", "\"type\":\"long\"}"},
        {FR_INT64, "int", NULL},
        {FR_TEXT, "decimal(5,6)", NULL},
        {FR_TEXT, "decimal(5,2) ", NULL},
        {FR_FLOAT32, "double", "\"type\":\"double\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_pair types[] = {{"x", cases[i].type}};
        f->ts.column_types = (fr_pairs){types, 1};
        fr_column c[] = {column("id", FR_INT32, false, 1), column("x", cases[i].kind, false, 0)};
        fr_str text = row_schema(f, c, 2);
        if (cases[i].want != NULL) {
            assert_non_null(text.ptr);
            assert_contains(text, cases[i].want);
            continue;
        }
        assert_null(text.ptr);
        assert_int_equal(err.kind, FR_ERR_CONFIG);
        assert_string_equal(err.code, "config.column_type");
        assert_non_null(strstr(err.text, "column x (native): columns.types"));
    }
}

static void decimals_avro_has_not_are_refused(void **state)
{
    fixture *f = *state;
    fr_column c[] = {column("id", FR_INT32, false, 1), column("x", FR_DECIMAL, false, 0)};
    c[1].precision = 2;
    c[1].scale = 5;
    assert_null(row_schema(f, c, 2).ptr);
    assert_int_equal(err.kind, FR_ERR_CONFIG);
}

static void state_refuses_what_it_cannot_say(void **state)
{
    fixture *f = *state;
    fr_origin o = origin();
    fr_str value;
    f->ts.envelope = FR_ENVELOPE_STATE;
    fr_column c[] = {column("id", FR_INT32, false, 1), column("big", FR_TEXT, true, 0)};
    c[1].may_be_absent = true;
    const fr_table *t = table_of("d", c, 2, false), *full = table_of("d", c, 2, true);
    assert_fails(fr_schema_value(f->a, route(f, t), &o, &value, &err), FR_ERR_CONFIG);
    assert_non_null(strstr(err.hint, "ALTER TABLE public.d REPLICA IDENTITY FULL"));
    assert_ok(fr_schema_value(f->a, route(f, full), &o, &value, &err));
    f->ts.truncate = FR_TRUNCATE_PUBLISH;
    assert_fails(fr_schema_value(f->a, route(f, full), &o, &value, &err), FR_ERR_CONFIG);
    f->ts.truncate = FR_TRUNCATE_BLOCK;
    f->ts.tombstones = false;
    assert_fails(fr_schema_value(f->a, route(f, full), &o, &value, &err), FR_ERR_CONFIG);
    f->ts.envelope = FR_ENVELOPE_RAW;
    assert_fails(fr_schema_value(f->a, route(f, full), &o, &value, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "config.envelope");
    fr_table_unref(t);
    fr_table_unref(full);
}

static void a_table_may_not_take_our_names(void **state)
{
    fixture *f = *state;
    fr_origin o = origin();
    fr_str value;
    fr_column c[] = {column("id", FR_INT32, false, 1)};
    const fr_table *t = table_of("d", c, 1, false);
    fr_route *r = route(f, t);
    r->schema_name = FR_STR("freshet.postgres.Source");
    assert_fails(fr_schema_value(f->a, r, &o, &value, &err), FR_ERR_CONFIG);
    fr_table_unref(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goldens),
        CASE(defaults_are_said_where_avro_can),
        CASE(defaults_of_the_configuration_win),
        CASE(types_of_the_configuration),
        CASE(decimals_avro_has_not_are_refused),
        CASE(state_refuses_what_it_cannot_say),
        CASE(a_table_may_not_take_our_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
