/* Debezium's values, without a server: what tests/real/debezium_test.py compares with a real one's.
 */
#include "tests/unit/codec/fixture.h"

#include "codec/debezium.h"
#include "codec/debezium_read.h"

static fr_column pg(const char *native, fr_kind kind)
{
    return (fr_column){.name = FR_STR("c"),
                       .kind = kind,
                       .nullable = true,
                       .native_type = fr_cstr(native),
                       .doc = FR_STR(""),
                       .fallback = FR_STR("")};
}

static fr_rc type_of(fixture *f, const fr_column *c, const fr_dbz_type **out)
{
    fr_table like = {.space = FR_STR("public"),
                     .name = FR_STR("t"),
                     .doc = FR_STR(""),
                     .column_count = 1,
                     .columns = c};
    fr_route *r = &f->route;
    *r = (fr_route){.table = fr_table_new(&like), .settings = &f->ts};
    r->source = r->table;
    fr_rc rc = fr_dbz_type_of(f->a, r, 0, out, &err);
    fr_table_unref(r->table);
    return rc;
}

/* The text of a value in, its Avro bytes in hex out; NULL: refused. */
static const char *bytes_of(fixture *f, const char *native, fr_kind kind, const char *text)
{
    const fr_dbz_type *t;
    fr_column c = pg(native, kind);
    assert_ok(type_of(f, &c, &t));
    fr_value v = {.kind = kind, .bytes = fr_cstr(text)};
    if (fr_dbz_value(f->a, t, &v) != NULL)
        return NULL;
    fr_buf b = {.arena = f->a};
    if (v.kind == FR_INT64 || v.kind == FR_BOOL) {
        fr_buf_printf(&b, "%lld", v.kind == FR_BOOL ? (long long)v.boolean : (long long)v.integer);
    } else if (v.kind == FR_TEXT || v.kind == FR_JSON) {
        fr_buf_str(&b, v.bytes);
    } else {
        for (size_t i = 0; i < v.bytes.len; i++)
            fr_buf_printf(&b, "%02x", (uint8_t)v.bytes.ptr[i]);
    }
    return fr_arena_cstr(f->a, fr_buf_view(&b));
}

static void texts_become_values(void **state)
{
    static const struct {
        const char *native;
        fr_kind kind;
        const char *text, *want;
    } cases[] = {
        {"interval", FR_TEXT, "P1Y2M3DT4H5M6.789S", "37091106789000"},
        {"interval day to second(3)", FR_TEXT, "P-1D", "-86400000000"},
        {"interval", FR_TEXT, "PT0S", "0"},
        {"interval", FR_TEXT, "infinity", NULL},
        {"interval", FR_TEXT, "P1X", NULL},
        {"time with time zone", FR_TEXT, "12:34:56.789+02", "10:34:56.789Z"},
        {"time with time zone", FR_TEXT, "00:00:00-12", "12:00:00Z"},
        {"time(3) with time zone", FR_TEXT, "01:00:00+05:30", "19:30:00Z"},
        {"time with time zone", FR_TEXT, "24:00:00+00", "24:00:00Z"},
        {"time with time zone", FR_TEXT, "24:00:00+01", NULL},
        {"bit(1)", FR_TEXT, "1", "1"},
        {"bit(12)", FR_TEXT, "101010101010", "aa0a"},
        {"bit varying(20)", FR_TEXT, "", ""},
        {"bit varying", FR_TEXT, "100000000", "0001"},
        {"bit(2)", FR_TEXT, "12", NULL},
        {"numeric", FR_TEXT, "123.456789", "0c08075bcd15"},
        {"numeric", FR_TEXT, "-0.00000000000000000001", "2802ff"},
        {"numeric", FR_TEXT, "12.50", "02027d"},
        {"numeric", FR_TEXT, "100", "000264"},
        {"numeric", FR_TEXT, "0.00", "000200"},
        {"numeric", FR_TEXT, "NaN", NULL},
        {"point", FR_TEXT, "(1.5,-2.5)",
         "000000000000f83f00000000000004c0022a0101000000000000000000f83f00000000000004c000"},
        {"point", FR_TEXT, "(1.5,-2.5", NULL},
        {"hstore", FR_TEXT, "\"a\"=>\"1\", \"b\\\"\"=>NULL", "{\"a\":\"1\",\"b\\\"\":null}"},
        {"hstore", FR_TEXT, "", "{}"},
        {"hstore", FR_TEXT, "\"a\"=>", NULL},
        {"integer[]", FR_JSON, "[1,null,3]", "06020200020600"},
        {"integer[]", FR_JSON, "[]", "00"},
        {"integer[]", FR_JSON, "[[1],[2]]", NULL},
        {"integer[]", FR_JSON, "{\"a\":1}", NULL},
        {"numeric(10,2)[]", FR_JSON, "[\"1.25\",\"-3\"]", "0402027d0204fed400"},
        {"numeric(10,2)[]", FR_JSON, "[\"1.257\"]", NULL},
        {"bytea[]", FR_JSON, "[\"\\\\xff00\"]", "020204ff0000"},
        {"date[]", FR_JSON, "[\"1970-01-02\",\"0044-03-15 BC\"]", "04020202efde5900"},
        {"double precision[]", FR_JSON, "[1.5,\"NaN\"]",
         "0402000000000000f83f02000000000000f87f00"},
        {"boolean[]", FR_JSON, "[true,false]", "040201020000"},
        {"double precision[]", FR_JSON, "[-0,7]", "04020000000000000080020000000000001c4000"},
        {"real[]", FR_JSON, "[-0]", "02020000008000"},
        {"bigint[]", FR_JSON, "[-0]", "02020000"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = bytes_of(f, cases[i].native, cases[i].kind, cases[i].text);
        if ((got == NULL) != (cases[i].want == NULL) ||
            (got != NULL && strcmp(got, cases[i].want) != 0)) {
            print_error("%s %s: got %s, want %s\n", cases[i].native, cases[i].text,
                        got == NULL ? "nothing" : got,
                        cases[i].want == NULL ? "nothing" : cases[i].want);
            fail();
        }
    }
}

static void times_are_as_java_prints_them(void **state)
{
    fixture *f = *state;
    static const struct {
        int64_t us;
        int digits;
        const char *want;
    } cases[] = {
        {0, 6, "1970-01-01T00:00:00.000000Z"},
        {0, -1, "1970-01-01T00:00:00Z"},
        {-1, 6, "1969-12-31T23:59:59.999999Z"},
        {1709243999123456, 3, "2024-02-29T21:59:59.123Z"},
        {1709243999120000, -1, "2024-02-29T21:59:59.12Z"},
        {INT64_C(253402300800000000), 6, "+10000-01-01T00:00:00.000000Z"},
        {INT64_C(-62167219200000001), 6, "-0001-12-31T23:59:59.999999Z"},
        {INT64_MAX, 6, "infinity"},
        {INT64_MIN, 6, "-infinity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_str text = fr_dbz_zoned(f->a, cases[i].us, cases[i].digits);
        int64_t back;
        assert_str(text, cases[i].want);
        bool finite = cases[i].us != INT64_MAX && cases[i].us != INT64_MIN;
        assert_int_equal(fr_dbz_parse_zoned(text, &back), finite);
        if (finite && cases[i].digits != 3)
            assert_int_equal(back, cases[i].us);
    }
    int64_t us;
    assert_true(fr_dbz_parse_zoned(FR_STR("2024-02-29T23:59:59+02:00"), &us));
    assert_int_equal(us, INT64_C(1709243999000000));
    assert_true(fr_dbz_parse_zoned(FR_STR("1970-01-01T00:00:00.000001000Z"), &us));
    assert_false(fr_dbz_parse_zoned(FR_STR("1970-01-01T00:00:00.000000001Z"), &us));
    assert_false(fr_dbz_parse_zoned(FR_STR("1970-01-01 00:00:00"), &us));
    assert_false(fr_dbz_parse_zoned(FR_STR("1970-13-01T00:00:00Z"), &us));
}

static void other_types_are_refused_by_name(void **state)
{
    static const char *const natives[] = {
        "box",        "xid",           "money[]",     "int4multirange", "\"char\"",
        "point[]",    "numeric(5,-2)", "vector(3)",   "pg_lsn",         "name[]",
        "interval[]", "xml[]",         "numeric(2,4)"};
    fixture *f = *state;
    const fr_dbz_type *t;
    for (size_t i = 0; i < sizeof natives / sizeof *natives; i++) {
        fr_column c = pg(natives[i], FR_TEXT);
        assert_fails(type_of(f, &c, &t), FR_ERR_CONFIG);
        assert_string_equal(err.code, "config.debezium_type");
        assert_non_null(strstr(err.text, natives[i]));
        assert_non_null(strstr(err.hint, "columns.exclude: [c]"));
    }
    fr_column c = pg("mood", FR_TEXT); /* an enum is one by its labels; a domain by its base */
    c.labels = FR_STR("sad,ok");
    assert_ok(type_of(f, &c, &t));
    assert_string_equal(t->name, "io.debezium.data.Enum");
    c = pg("price", FR_DECIMAL);
    c.base_type = FR_STR("numeric(6,2)");
    assert_ok(type_of(f, &c, &t));
    assert_int_equal(t->precision, 6);
    assert_int_equal(t->scale, 2);
}

static void check_default(fixture *f, fr_column c, const char *want)
{
    const fr_dbz_type *t;
    fr_value v;
    assert_ok(type_of(f, &c, &t));
    bool there = fr_dbz_default(f->a, &c, t, &v);
    assert_int_equal(there, want != NULL);
    if (!there)
        return;
    fr_column shown = c;
    shown.kind = v.kind;
    assert_str(fr_value_text(f->a, &shown, &v), want);
}

static void defaults_are_debeziums(void **state)
{
    fixture *f = *state;
    fr_column c = pg("integer", FR_INT32);
    check_default(f, c, NULL);
    c.fallback = FR_STR("-7");
    check_default(f, c, "-7");
    c.fallback = FR_STR("");
    c.generator = FR_STR("nextval('s'::regclass)");
    check_default(f, c, "0");
    c.generator = FR_STR("(1 + 2)");
    check_default(f, c, NULL);
    c = pg("timestamp with time zone", FR_TIMESTAMP);
    c.generator = FR_STR("now()");
    check_default(f, c, "1970-01-01T00:00:00.000000Z");
    c.generator = FR_STR("CURRENT_TIMESTAMP");
    check_default(f, c, NULL);
    c = pg("character(5)", FR_TEXT);
    c.generator = FR_STR("'ab'::bpchar");
    check_default(f, c, "ab");
    c = pg("bit(1)", FR_TEXT);
    c.generator = FR_STR("B'1'::\"bit\"");
    check_default(f, c, "true");
    c = pg("bit(12)", FR_TEXT);
    c.generator = FR_STR("B'000001100001'::\"bit\"");
    check_default(f, c, "a"); /* 0x61, and no byte of zeros above it */
    c = pg("bit varying", FR_TEXT);
    c.generator = FR_STR("B'01100010'::\"bit\"");
    check_default(f, c, "b");
    c.generator = FR_STR("(B'1'::\"bit\" || B'0'::\"bit\")");
    check_default(f, c, NULL);
    c = pg("bytea", FR_BYTES); /* Debezium reads none of these */
    c.fallback = FR_STR("\"x\"");
    check_default(f, c, NULL);
    c = pg("inet", FR_TEXT);
    c.fallback = FR_STR("\"10.0.0.1\"");
    check_default(f, c, NULL);
}

static void names_are_debeziums(void **state)
{
    fixture *f = *state;
    assert_str(fr_debezium_name(f->a, FR_STR("the key"), false), "the_key");
    assert_str(fr_debezium_name(f->a, FR_STR("1st col"), false), "_1st_col");
    assert_str(fr_debezium_name(f->a, FR_STR("\xc3\xbcn\xc3\xaf"), false), "_n_");
    assert_str(fr_debezium_name(f->a, FR_STR("\xf0\x9f\x98\x80"), false), "__");
    assert_str(fr_debezium_name(f->a, FR_STR("a.b"), false), "a_b");
    assert_str(fr_debezium_name(f->a, FR_STR("pg.golden.odd-name_t"), true),
               "pg.golden.odd_name_t");
}

/* ---- reading ---- */

static bool read_one(fixture *f, const char *schema, const char *bytes, size_t len, fr_value *v,
                     const char **why)
{
    const fr_avro_node *n;
    fr_kind kind;
    assert_ok(fr_avro_parse(f->a, fr_cstr(schema), &n, &err));
    fr_avro_in r = fr_avro_in_of(f->a, (fr_str){bytes, len});
    bool good = fr_dbz_read(&r, n, fr_dbz_reading_of(n, &kind), v);
    *why = r.why;
    return good;
}

#define LONG_OF(name) "{\"type\":\"long\",\"connect.name\":\"io.debezium.time." name "\"}"
#define VARIABLE                                                                                   \
    "{\"type\":\"record\",\"name\":\"VariableScaleDecimal\",\"fields\":["                          \
    "{\"name\":\"scale\",\"type\":\"int\"},{\"name\":\"value\",\"type\":\"bytes\"}],"              \
    "\"connect.name\":\"io.debezium.data.VariableScaleDecimal\"}"
#define POINT                                                                                      \
    "{\"type\":\"record\",\"name\":\"Point\",\"fields\":[{\"name\":\"x\",\"type\":\"double\"},"    \
    "{\"name\":\"y\",\"type\":\"double\"},{\"name\":\"wkb\",\"type\":[\"null\",\"bytes\"]},"       \
    "{\"name\":\"srid\",\"type\":[\"null\",\"int\"]}],"                                            \
    "\"connect.name\":\"io.debezium.data.geometry.Point\"}"

static void types_are_read_as_what_they_stand_for(void **state)
{
    static const struct {
        const char *schema, *bytes;
        size_t len;
        const char *want;
    } cases[] = {
        {VARIABLE, "\x0c\x08\x07\x5b\xcd\x15", 6, "123.456789"},
        {VARIABLE, "\x28\x02\xff", 3, "-0.00000000000000000001"},
        {VARIABLE, "\x01\x02\x01", 3, NULL},
        {VARIABLE, "\x02\x00", 2, NULL},
        {POINT, "\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\x04\xc0\0\0", 18, "(1.5,-2.5)"},
        {POINT, "\0\0", 2, NULL},
        {LONG_OF("MicroDuration"), "\x00", 1, "PT0S"},
        {LONG_OF("MicroDuration"), "\xff\xff\xba\xdd\x83\x05", 6, "PT-24H"},
        {LONG_OF("MicroDuration"), "\xd0\x0f", 2, "PT0.001S"},
        {LONG_OF("MicroTimestamp"), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NULL},
        {LONG_OF("MicroTimestamp"), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NULL},
        {LONG_OF("Timestamp"), "\xe0\x81\x97\xde\xf4\xa6\xe2\x20", 8, NULL},
        {"{\"type\":\"int\",\"connect.name\":\"io.debezium.time.Date\"}", "\xe5\xd4\xfe\xff\x0f", 5,
         NULL},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_value v = {.kind = FR_NULL};
        const char *why;
        bool good = read_one(f, cases[i].schema, cases[i].bytes, cases[i].len, &v, &why);
        if (good != (cases[i].want != NULL))
            print_error("case %zu: %s\n", i, why == NULL ? "read" : why);
        assert_int_equal(good, cases[i].want != NULL);
        if (good)
            assert_str(v.bytes, cases[i].want);
        else
            assert_non_null(why);
    }
}

static void placeholders_are_known(void **state)
{
    static const char *const json[] = {
        "[\"__debezium_unavailable_value\"]",
        "{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
        "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,"
        "97,108,117,101]",
        "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]", /* Java: UUID.nameUUIDFromBytes(..) */
        "[\"\\\\x5f5f646562657a69756d5f756e617661696c61626c655f76616c7565\"]"};
    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++)
        assert_true(fr_dbz_is_placeholder(&(fr_value){.kind = FR_JSON, .bytes = fr_cstr(json[i])}));
    fr_str text = FR_STR(FR_DBZ_UNAVAILABLE);
    assert_true(fr_dbz_is_placeholder(&(fr_value){.kind = FR_TEXT, .bytes = text}));
    assert_true(fr_dbz_is_placeholder(&(fr_value){.kind = FR_BYTES, .bytes = text}));
    assert_false(fr_dbz_is_placeholder(&(fr_value){.kind = FR_TEXT, .bytes = FR_STR("x")}));
    assert_false(fr_dbz_is_placeholder(&(fr_value){.kind = FR_INT64, .integer = 1}));
}

/* What is written for an array that did not change is known as that where it is read. */
static void placeholders_of_arrays_come_back(void **state)
{
#define ITEMS(type) "{\"type\":\"array\",\"items\":[\"null\"," type "]}"
    static const struct {
        const char *native, *schema;
    } cases[] = {
        {"text[]", ITEMS("\"string\"")},
        {"integer[]", ITEMS("\"int\"")},
        {"bigint[]", ITEMS("\"long\"")},
        {"bytea[]", ITEMS("\"bytes\"")},
        {"date[]", ITEMS("{\"type\":\"int\",\"connect.name\":\"io.debezium.time.Date\"}")},
        {"uuid[]", ITEMS("{\"type\":\"string\",\"connect.name\":\"io.debezium.data.Uuid\"}")},
    };
    fixture *f = *state;
    const fr_dbz_type *t;
    fr_value v;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_column c = pg(cases[i].native, FR_JSON);
        assert_ok(type_of(f, &c, &t));
        assert_true(fr_dbz_unavailable(f->a, t, &v));
        fr_value back = {.kind = FR_JSON};
        assert_ok(fr_avro_to_json(f->a, fr_cstr(cases[i].schema), v.bytes, &back.bytes, &err));
        if (!fr_dbz_is_placeholder(&back))
            print_error("%s: %.*s\n", cases[i].native, FR_ARG(back.bytes));
        assert_true(fr_dbz_is_placeholder(&back));
    }
    static const char *const none[] = {"numeric(5,2)[]", "boolean[]", "double precision[]",
                                       "timestamp with time zone[]", "time without time zone[]"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        fr_column c = pg(none[i], FR_JSON);
        assert_ok(type_of(f, &c, &t));
        assert_false(fr_dbz_unavailable(f->a, t, &v));
    }
}

static void items_are_as_sources_have_them(void **state)
{
    fixture *f = *state;
    fr_str out;
    assert_ok(fr_avro_to_json(f->a, FR_STR(ITEMS("\"float\"")),
                              (fr_str){"\x04\x02\xcd\xcc\xcc\x3d\x02\x00\x00\xc0\x7f\x00", 12},
                              &out, &err));
    assert_str(out, "[0.1,\"NaN\"]");
    assert_ok(fr_avro_to_json(f->a, FR_STR(ITEMS("\"bytes\"")),
                              (fr_str){"\x06\x02\x04\xff\x00\x00\x02\x00\x00", 9}, &out, &err));
    assert_str(out, "[\"\\\\xff00\",null,\"\\\\x\"]");
}

static void large_arrays_are_written(void **state)
{
    fixture *f = *state;
    const fr_dbz_type *t;
    fr_column c = pg("integer[]", FR_JSON);
    fr_buf b = {.arena = f->a};
    enum { COUNT = 300000 }; /* 1.2 MB of JSON */
    for (int i = 0; i < COUNT; i++)
        fr_buf_text(&b, i == 0 ? "[123" : ",123");
    fr_buf_u8(&b, ']');
    assert_ok(type_of(f, &c, &t));
    fr_value v = {.kind = FR_JSON, .bytes = fr_buf_view(&b)};
    const char *why = fr_dbz_value(f->a, t, &v);
    assert_null(why);
    assert_int_equal(v.bytes.len, 3 + (size_t)COUNT * 3 + 1);
}

/* ---- messages ---- */

enum { ID, TENANT, BIG, COLUMNS };

/* t(id integer primary key, tenant uuid not null, big numeric(10,2)) */
static const fr_table *tenants(unsigned key)
{
    fr_column c[] = {pg("integer", FR_INT32), pg("uuid", FR_UUID), pg("numeric(10,2)", FR_DECIMAL)};
    c[ID].name = FR_STR("id");
    c[ID].key_ordinal = (uint16_t)key;
    c[TENANT].name = FR_STR("tenant");
    c[BIG].name = FR_STR("big");
    c[BIG].precision = 10;
    c[BIG].scale = 2;
    c[BIG].may_be_absent = true;
    c[ID].nullable = c[TENANT].nullable = false;
    return table_of("tenants", c, COLUMNS, false);
}

static void open_debezium(fixture *f)
{
    f->ts.envelope = FR_ENVELOPE_DEBEZIUM;
    open_encoder(f);
}

static fr_rc encode_it(fixture *f)
{
    size_t done = 0;
    return fr_encode(f->encoder, f->b, 0, f->b->count, &done, &err);
}

#define TENANT_1 "00112233-4455-6677-8899-aabbccddeeff"

static void a_uuid_that_was_not_logged_is_empty(void **state)
{
    fixture *f = *state;
    const fr_table *t = tenants(1);
    open_debezium(f);
    fr_value v[COLUMNS] = {whole(FR_INT32, 5), MISSING, MISSING};
    add_event(f->b, FR_OP_DELETE, t, 50)->before = row_of(f->b, t, v);
    encode_all(f);
    assert_int_equal(f->b->message_count, 2);
    assert_contains(json_of(f, f->b->messages[0].payload), /* tap shows it, too */
                    "\"before\":{\"id\":5,\"tenant\":\"\",\"big\":null},\"after\":null");
    decode_all(f);
    const fr_event *e = &f->back->events[1];
    assert_int_equal(f->back->count, 2);
    assert_int_equal(e->op, FR_OP_DELETE);
    assert_int_equal(e->before.values[ID].integer, 5);
    assert_str(e->before.values[TENANT].bytes, "00000000-0000-0000-0000-000000000000");
    /* In a new row there is no such thing. */
    fr_batch_reset(f->b);
    fr_value bad[COLUMNS] = {whole(FR_INT32, 6), textual(FR_UUID, TENANT_1), NONE};
    fr_event *event = add_event(f->b, FR_OP_INSERT, t, 51);
    event->after = row_of(f->b, t, bad);
    encode_all(f);
    fr_message *m = &f->b->messages[0];
    char *payload = memcpy(fr_arena_raw(f->a, m->payload.len), m->payload.ptr, m->payload.len);
    const char *at = memmem(payload, m->payload.len, "\x48" TENANT_1, 37);
    assert_non_null(at);
    size_t before = (size_t)(at - payload), rest = m->payload.len - before - 37;
    payload[before] = 0; /* its length */
    memmove(payload + before + 1, payload + before + 37, rest);
    m->payload = (fr_str){payload, before + 1 + rest};
    hand_over(f);
    assert_fails(fr_decode(f->decoder, f->back, f->back->message_count - 1, &err), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "field tenant: a UUID has not 36 characters"));
    fr_table_unref(t);
}

static void a_tombstone_without_a_key_was_said_before(void **state)
{
    fixture *f = *state;
    const fr_table *t = tenants(0);
    open_debezium(f);
    fr_value v[COLUMNS] = {whole(FR_INT32, 5), textual(FR_UUID, TENANT_1), NONE};
    add_event(f->b, FR_OP_DELETE, t, 50)->before = row_of(f->b, t, v);
    encode_all(f);
    assert_int_equal(f->b->message_count, 2);
    assert_null(f->b->messages[1].key.ptr);
    assert_null(f->b->messages[1].payload.ptr);
    hand_over(f);
    assert_ok(fr_decode(f->decoder, f->back, 0, &err));
    assert_ok(fr_decode(f->decoder, f->back, 1, &err));
    assert_int_equal(f->back->count, 2);
    fr_decoder_rewind(f->decoder, f->b->messages[0].topic); /* and then from the tombstone on */
    assert_ok(fr_decode(f->decoder, f->back, 1, &err));
    fr_decoder_free(f->decoder); /* as after a restart */
    f->decoder = fr_decoder_new(f->registry, 16 << 20, target_name, NULL);
    assert_ok(fr_decode(f->decoder, f->back, 1, &err));
    assert_int_equal(f->back->count, 2);
    fr_table_unref(t);
}

/* Of plain rows it is a delete that names none. */
static void a_tombstone_without_a_key_of_plain_rows_is_refused(void **state)
{
    fixture *f = *state;
    int32_t id;
    assert_ok(fr_registry_register(f->registry, "plain-value",
                                   FR_STR("{\"type\":\"record\",\"name\":\"V\",\"fields\":["
                                          "{\"name\":\"id\",\"type\":\"int\"}]}"),
                                   0, true, &id, &err));
    fr_message *m = fr_batch_message(f->back);
    *m = (fr_message){.topic = FR_STR("plain"), .offset = 1};
    assert_fails(fr_decode(f->decoder, f->back, 0, &err), FR_ERR_DATA);
    assert_string_equal(err.code, "message.tombstone");
}

static void a_row_that_is_gone_needs_no_large_value(void **state)
{
    fixture *f = *state;
    const fr_table *t = tenants(1);
    open_debezium(f);
    fr_value old[COLUMNS] = {whole(FR_INT32, 5), MISSING, MISSING};
    fr_value new[COLUMNS] = {whole(FR_INT32, 6), textual(FR_UUID, TENANT_1), MISSING};
    for (int gone = 0; gone < 2; gone++) {
        fr_batch_reset(f->b);
        fr_event *event = add_event(f->b, FR_OP_UPDATE, t, 50);
        event->before = row_of(f->b, t, old);
        event->after = row_of(f->b, t, new);
        event->gone = gone == 1;
        if (gone == 0)
            assert_fails(encode_it(f), FR_ERR_DATA);
        else
            assert_ok(encode_it(f));
    }
    assert_int_equal(f->b->message_count, 3);
    assert_contains(json_of(f, f->b->messages[2].payload),
                    "\"after\":{\"id\":6,\"tenant\":\"" TENANT_1 "\",\"big\":null}");
    fr_table_unref(t);
}

static fr_rc encode_key(fixture *f, const char *name, fr_column key, fr_str *out)
{
    fr_column c[] = {key, pg("integer", FR_INT32)};
    c[0].name = FR_STR("k");
    c[0].nullable = false;
    c[0].key_ordinal = 1;
    c[1].name = FR_STR("n");
    const fr_table *t = table_of(name, c, 2, false);
    fr_batch_reset(f->b);
    fr_value v[] = {textual(FR_TEXT, "a"), NONE};
    if (key.kind == FR_INT32)
        v[0] = whole(FR_INT32, 1);
    add_event(f->b, FR_OP_INSERT, t, 50)->after = row_of(f->b, t, v);
    fr_rc rc = encode_it(f);
    if (rc == FR_OK)
        *out = fr_arena_str(f->a, f->b->messages[0].key);
    fr_table_unref(t);
    return rc;
}

/* They are in the key's schema, but not in its bytes. */
static void a_keys_default_or_labels_may_change(void **state)
{
    fixture *f = *state;
    fr_str first, then;
    open_debezium(f);
    fr_column c = pg("size", FR_TEXT);
    c.labels = FR_STR("a,b");
    assert_ok(encode_key(f, "labels", c, &first));
    c.labels = FR_STR("a,b,c");
    assert_ok(encode_key(f, "labels", c, &then));
    assert_true(fr_str_eq(first, then)); /* the schema's id, too */
    c = pg("integer", FR_INT32);
    assert_ok(encode_key(f, "defaults", c, &first));
    c.fallback = FR_STR("7");
    assert_ok(encode_key(f, "defaults", c, &then));
    assert_true(fr_str_eq(first, then));
    c = pg("text", FR_TEXT); /* another type is another key */
    assert_fails(encode_key(f, "defaults", c, &then), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "schema.key_changed");
    c = pg("json", FR_TEXT);
    c.labels = FR_STR("a");
    assert_ok(encode_key(f, "meaning", c, &first));
    c.labels = FR_STR("");
    c.native_type = FR_STR("text");
    assert_fails(encode_key(f, "meaning", c, &then), FR_ERR_SCHEMA);
}

/* Debezium keys a table without a primary key by its unique index. */
static void a_key_that_is_no_more_is_said(void **state)
{
    fixture *f = *state;
    open_debezium(f);
    fr_value v[COLUMNS] = {whole(FR_INT32, 5), textual(FR_UUID, TENANT_1), NONE};
    const fr_table *with = tenants(1), *without = tenants(0);
    add_event(f->b, FR_OP_INSERT, with, 50)->after = row_of(f->b, with, v);
    encode_all(f);
    fr_batch_reset(f->b);
    open_debezium(f);
    add_event(f->b, FR_OP_INSERT, without, 51)->after = row_of(f->b, without, v);
    assert_fails(encode_it(f), FR_ERR_SCHEMA);
    assert_string_equal(err.code, "schema.key_changed");
    assert_non_null(strstr(err.text, "subject erp.public.tenants-key: the topic's messages have a "
                                     "key (version 1), the table has none"));
    assert_non_null(strstr(fr_err_hint(&err), "unique index"));
    fr_table_unref(with);
    fr_table_unref(without);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(texts_become_values),
        CASE(times_are_as_java_prints_them),
        CASE(other_types_are_refused_by_name),
        CASE(defaults_are_debeziums),
        CASE(names_are_debeziums),
        CASE(types_are_read_as_what_they_stand_for),
        CASE(placeholders_are_known),
        CASE(placeholders_of_arrays_come_back),
        CASE(items_are_as_sources_have_them),
        CASE(large_arrays_are_written),
        CASE(a_uuid_that_was_not_logged_is_empty),
        CASE(a_tombstone_without_a_key_was_said_before),
        CASE(a_tombstone_without_a_key_of_plain_rows_is_refused),
        CASE(a_row_that_is_gone_needs_no_large_value),
        CASE(a_keys_default_or_labels_may_change),
        CASE(a_key_that_is_no_more_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
