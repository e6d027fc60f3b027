#include "codec/compat.h"
#include "tests/unit/test.h"

static fr_err err;
static fr_arena *a;

#define REC(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define FD(name, type, fallback)                                                                   \
    "{\"name\":\"" name "\",\"type\":" type ",\"default\":" fallback "}"
#define DEC(p, s)                                                                                  \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" #p ",\"scale\":" #s "}"

/* Can the first read what the second wrote? NULL: yes; else the code that says why not. */
static const struct {
    const char *reader, *writer, *code;
} cases[] = {
    {"\"int\"", "\"int\"", NULL},
    {"\"long\"", "\"int\"", NULL},
    {"\"float\"", "\"int\"", "number.rounded"},
    {"\"double\"", "\"int\"", NULL},
    {"\"float\"", "\"long\"", "number.rounded"},
    {"\"double\"", "\"long\"", "number.rounded"},
    {"\"double\"", "\"float\"", NULL},
    {"\"bytes\"", "\"string\"", NULL},
    {"\"string\"", "\"bytes\"", "bytes.as_text"},
    {"\"int\"", "\"long\"", "TYPE_MISMATCH"},
    {"\"float\"", "\"double\"", "TYPE_MISMATCH"},
    {"\"string\"", "\"int\"", "TYPE_MISMATCH"},
    {"\"boolean\"", "\"int\"", "TYPE_MISMATCH"},
    {"{\"type\":\"array\",\"items\":\"long\"}", "{\"type\":\"array\",\"items\":\"int\"}", NULL},
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"long\"}",
     "[]: TYPE_MISMATCH"},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"array\",\"items\":\"int\"}",
     "TYPE_MISMATCH"},
    {"{\"type\":\"map\",\"values\":\"long\"}", "{\"type\":\"map\",\"values\":\"int\"}", NULL},
    {"[\"null\",\"long\"]", "\"int\"", NULL},
    {"[\"null\",\"long\"]", "[\"null\",\"int\"]", NULL},
    {"\"int\"", "[\"null\",\"int\"]", "TYPE_MISMATCH: cannot read (null as int)"},
    {"[\"null\",\"int\"]", "[\"null\",\"string\"]", "TYPE_MISMATCH: cannot read (string as int)"},
    {"[\"int\",\"boolean\"]", "\"string\"", "MISSING_UNION_BRANCH"},
    {"{\"type\":\"fixed\",\"name\":\"x.A\",\"size\":4}",
     "{\"type\":\"fixed\",\"name\":\"y.A\",\"size\":4}", "name.only"},
    {"{\"type\":\"fixed\",\"name\":\"A\",\"size\":4}",
     "{\"type\":\"fixed\",\"name\":\"A\",\"size\":5}", "FIXED_SIZE_MISMATCH"},
    {"{\"type\":\"fixed\",\"name\":\"A\",\"size\":4}",
     "{\"type\":\"fixed\",\"name\":\"B\",\"size\":4}", "NAME_MISMATCH"},
    {"{\"type\":\"fixed\",\"name\":\"A\",\"aliases\":[\"B\"],\"size\":4}",
     "{\"type\":\"fixed\",\"name\":\"B\",\"size\":4}", NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "MISSING_ENUM_SYMBOLS"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "enum.default"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"Z\"}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "MISSING_ENUM_SYMBOLS"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"B\",\"A\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", "enum.reordered"},
    {REC(F("a", "\"int\"")), REC(F("a", "\"int\"") "," F("b", "\"int\"")), NULL},
    {REC(F("a", "\"int\"") "," FD("b", "\"int\"", "0")), REC(F("a", "\"int\"")), NULL},
    {REC(F("a", "\"int\"") "," F("b", "\"int\"")), REC(F("a", "\"int\"")),
     "b: READER_FIELD_MISSING_DEFAULT_VALUE"},
    {REC(F("a", "\"int\"") "," FD("b", "\"int\"", "\"x\"")), REC(F("a", "\"int\"")),
     "b: default.invalid"},
    {REC(FD("a", "[\"null\",\"int\"]", "0")), REC(""), "a: default.invalid"},
    {REC(FD("a", "[\"int\",\"null\"]", "0")), REC(""), NULL},
    {REC(FD("a", "\"int\"", "3000000000")), REC(""), "a: default.invalid"},
    {REC(FD("a", "\"bytes\"", "\"\\u00ff\"")), REC(""), NULL},
    {REC(FD("a", "\"bytes\"", "\"\\u0100\"")), REC(""), "a: default.invalid"},
    {REC(FD("a", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "\"abc\"")), REC(""),
     "a: default.invalid"},
    {REC(FD("a", "{\"type\":\"array\",\"items\":\"R\"}", "[{}]")), REC(""), "a: default.invalid"},
    {REC("{\"name\":\"b\",\"aliases\":[\"a\"],\"type\":\"long\"}"), REC(F("a", "\"int\"")), NULL},
    {REC("{\"name\":\"b\",\"aliases\":[\"a\"],\"type\":\"int\"}," F("a", "\"int\"")),
     REC(F("a", "\"int\"")), "alias.ambiguous"},
    {REC("{\"name\":\"c\",\"aliases\":[\"a\",\"b\"],\"type\":\"int\"}"),
     REC(F("a", "\"int\"") "," F("b", "\"int\"")), "c: alias.ambiguous"},
    {"[\"double\",\"long\"]", "\"long\"", "union.ambiguous"},
    {"[\"long\",\"double\"]", "\"long\"", NULL},
    {"[\"long\",\"int\"]", "\"int\"", NULL},
    {REC(F("a", REC(F("b", "\"int\"")))), REC(F("a", REC(F("b", "\"string\"")))),
     "NOT A SCHEMA"}, /* R inside R */
    {"{\"type\":\"record\",\"name\":\"Q\",\"fields\":[]}", REC(F("a", "\"int\"")), "NAME_MISMATCH"},
    /* recursion */
    {REC(F("next", "[\"null\",\"R\"]")), REC(F("next", "[\"null\",\"R\"]")), NULL},
    {REC(F("next", "[\"null\",\"R\"]") "," F("v", "\"int\"")),
     REC(F("next", "[\"null\",\"R\"]") "," F("v", "\"string\"")), "v: TYPE_MISMATCH"},
    /* stricter than Avro */
    {DEC(12, 2), DEC(10, 2), NULL},
    {DEC(10, 4), DEC(10, 2),
     "decimal.rescaled: the scale is another (decimal(10,2) as decimal(10,4))"},
    {DEC(8, 2), DEC(10, 2), "decimal.narrowed"},
    {"\"string\"", DEC(10, 2), "logical.changed"},
    {"\"int\"", "{\"type\":\"int\",\"logicalType\":\"date\"}", "logical.changed"},
    {"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
     "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "logical.changed"},
    {"{\"type\":\"long\",\"connect.name\":\"io.debezium.time.Timestamp\"}",
     "{\"type\":\"long\",\"connect.name\":\"io.debezium.time.MicroTimestamp\"}", "logical.changed"},
    /* no schemas */
    {"\"nope\"", "\"int\"", "NOT A SCHEMA"},
    {"{\"type\":\"record\",\"name\":\"R\"}", "\"int\"", "NOT A SCHEMA"},
    {"[[\"int\"]]", "\"int\"", "NOT A SCHEMA"},
    {"{}", "\"int\"", "NOT A SCHEMA"},
    {"{\"type\":\"fixed\",\"name\":\"F\"}", "\"int\"", "NOT A SCHEMA"},
    {"{\"type\":\"enum\",\"symbols\":[]}", "\"int\"", "NOT A SCHEMA"},
    {"12", "\"int\"", "NOT A SCHEMA"},
};

static void resolution_follows_the_specification(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const fr_shape *r, *w;
        fr_buf why = {.arena = a};
        if (fr_shape_parse(a, fr_cstr(cases[i].reader), &r, &err) == FR_FAIL) {
            if (cases[i].code == NULL || strcmp(cases[i].code, "NOT A SCHEMA") != 0)
                fail_msg("case %zu: %s", i, err.text);
            assert_int_equal(err.kind, FR_ERR_SCHEMA);
            continue;
        }
        assert_ok(fr_shape_parse(a, fr_cstr(cases[i].writer), &w, &err));
        fr_rc rc = fr_compat_read(a, r, w, &why);
        fr_buf_u8(&why, 0);
        if (rc != (cases[i].code == NULL ? FR_OK : FR_END) ||
            (cases[i].code != NULL && strstr((const char *)why.ptr, cases[i].code) == NULL))
            fail_msg("case %zu: %s reads %s: %d %s", i, cases[i].reader, cases[i].writer, rc,
                     (const char *)why.ptr);
    }
}

static void levels_look_the_right_way(void **state)
{
    (void)state;
    const fr_str versions[] = {FR_STR(REC(F("a", "\"int\"") "," F("old", "\"int\""))),
                               FR_STR(REC(F("a", "\"int\"")))};
    const fr_str wider = FR_STR(REC(F("a", "\"long\"")));
    const fr_str added = FR_STR(REC(F("a", "\"int\"") "," F("n", "\"int\"")));
    const fr_str back_again = FR_STR(REC(F("a", "\"int\"") "," FD("old", "\"string\"", "\"\"")));
    const struct {
        fr_str next;
        int level;
        fr_rc rc;
    } table[] = {
        {wider, FR_COMPAT_BACKWARD, FR_OK},
        {wider, FR_COMPAT_FORWARD, FR_END},
        {wider, FR_COMPAT_FULL, FR_END},
        {wider, FR_COMPAT_NONE, FR_OK},
        {added, FR_COMPAT_BACKWARD, FR_END},
        {added, FR_COMPAT_FORWARD, FR_OK},
        {back_again, FR_COMPAT_FULL, FR_OK},
        {back_again, FR_COMPAT_BACKWARD_TRANSITIVE, FR_END},
        {back_again, FR_COMPAT_FORWARD_TRANSITIVE, FR_END},
        {versions[1], FR_COMPAT_BACKWARD_TRANSITIVE, FR_OK},
        {versions[1], FR_COMPAT_FORWARD_TRANSITIVE, FR_END},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        fr_str why;
        fr_rc rc = fr_compat_check(a, table[i].level, table[i].next, versions, 2, &why, &err);
        if (rc != table[i].rc || (rc == FR_END) != (why.len > 0))
            fail_msg("case %zu: %d %.*s", i, rc, FR_ARG(why));
    }
}

static void differences_are_named_by_path(void **state)
{
    (void)state;
    fr_str diff;
#define ROW(fields) "{\"type\":\"record\",\"name\":\"Row\",\"fields\":[" fields "]}"
    const fr_str old = FR_STR(
        REC(F("before", "[\"null\"," ROW(F("grade", "\"int\"") "," F("note", "\"string\"") "," F(
                            "pay", DEC(10, 2))) "]") "," F("after", "[\"null\",\"Row\"]")));
    const fr_str next = FR_STR(REC(
        F("before",
          "[\"null\"," ROW(F("grade", "\"string\"") "," F("pay", DEC(10, 4)) "," FD(
              "cost", "[\"null\",\"string\"]", "null")) "]") "," F("after", "[\"null\",\"Row\"]")));
    assert_ok(fr_compat_diff(a, old, next, &diff, &err));
    assert_str(diff, "~ before.grade int -> string; ~ before.pay decimal(10,2) -> decimal(10,4); "
                     "+ before.cost null | string (default null); - before.note");
    assert_ok(fr_compat_diff(a, old, old, &diff, &err));
    assert_int_equal(diff.len, 0);
    assert_ok(fr_compat_diff(a, FR_STR("\"int\""), FR_STR("[\"null\",\"int\"]"), &diff, &err));
    assert_str(diff, "~ int -> null | int");
}

static const fr_difference *find(const fr_differences *list, const char *path, const char *kind)
{
    for (size_t i = 0; i < list->count; i++)
        if (fr_str_is(list->items[i].path, path) && strcmp(list->items[i].kind, kind) == 0)
            return &list->items[i];
    fail_msg("nothing of %s at %s", kind, path);
    return NULL;
}

static fr_str quoted(const char *text)
{
    char *copy = fr_arena_cstr(a, fr_cstr(text));
    for (char *p = copy; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    return fr_cstr(copy);
}

static void differences_are_data(void **state)
{
    (void)state;
    fr_differences list;
    const fr_str old = quoted(
        "{'type':'record','name':'Row','doc':'one','fields':["
        "{'name':'grade','type':['null','int']},"
        "{'name':'pay','type':{'type':'bytes','logicalType':'decimal','precision':10,'scale':2}},"
        "{'name':'note','type':'string'},{'name':'tags','type':{'type':'array','items':'int'}},"
        "{'name':'was','type':'int'}]}");
    const fr_str next = quoted(
        "{'type':'record','name':'Row','doc':'two','owner':'x','fields':["
        "{'name':'grade','type':['null','string']},"
        "{'name':'pay','type':{'type':'bytes','logicalType':'decimal','precision':10,'scale':4}},"
        "{'name':'tags','type':{'type':'array','items':'long'}},"
        "{'name':'now','aliases':['was'],'type':'int'},"
        "{'name':'cost','type':['null','string'],'default':null},{'name':'req','type':'int'}]}");
    assert_int_equal(fr_compat_list(a, FR_COMPAT_FULL, next, &old, 1, &list, &err), FR_END);
    const fr_difference *d = find(&list, "grade", "TYPE_MISMATCH");
    assert_int_equal(d->verdict, FR_DIFF_REGISTRY);
    assert_str(d->old_type, "null | int");
    assert_str(d->new_type, "null | string");
    assert_string_equal(d->registry_kind, "MISSING_UNION_BRANCH");
    assert_str(d->pointer, "/fields/0/type/1");
    assert_false(d->ahead);
    d = find(&list, "pay", "decimal.rescaled");
    assert_int_equal(d->verdict, FR_DIFF_STRICT);
    assert_null(d->registry_kind);
    d = find(&list, "req", "READER_FIELD_MISSING_DEFAULT_VALUE");
    assert_int_equal(d->sign, '+');
    assert_str(d->pointer, "/fields/5");
    assert_str(d->detail, "no default");
    d = find(&list, "note", "READER_FIELD_MISSING_DEFAULT_VALUE");
    assert_true(d->ahead && d->sign == '-' && d->version == 1);
    assert_str(d->pointer, "/fields/2");
    d = find(&list, "tags[]", "TYPE_MISMATCH"); /* old readers take no long */
    assert_true(d->ahead);
    assert_str(d->old_type, "int");
    assert_str(d->new_type, "long");
    assert_int_equal(find(&list, "cost", "field.added")->verdict, FR_DIFF_NOTE);
    assert_str(find(&list, "now", "field.renamed")->detail, "renamed from was");
    find(&list, "", "doc.changed");
    find(&list, "", "properties.changed");
    /* Nobody is asked about: all is notes. */
    assert_ok(fr_compat_list(a, FR_COMPAT_NONE, next, &old, 1, &list, &err));
    assert_int_equal(find(&list, "grade", "type.changed")->verdict, FR_DIFF_NOTE);
    assert_ok(fr_compat_list(a, FR_COMPAT_FULL_TRANSITIVE, old, &old, 1, &list, &err));
    assert_int_equal(list.count, 0);
}

static void transitive_levels_ask_every_version(void **state)
{
    (void)state;
    fr_differences list;
    const fr_str versions[] = {FR_STR(REC(F("a", "\"string\""))),
                               FR_STR(REC(FD("b", "\"int\"", "0"))), FR_STR(REC(""))};
    const fr_str next = FR_STR(REC(FD("a", "\"int\"", "0")));
    assert_ok(fr_compat_list(a, FR_COMPAT_FULL, next, versions, 3, &list, &err));
    assert_int_equal(fr_compat_list(a, FR_COMPAT_FULL_TRANSITIVE, next, versions, 3, &list, &err),
                     FR_END);
    assert_int_equal(list.count, 3); /* the field is new; and both ways with version 1 */
    assert_int_equal(list.items[0].version, 3);
    assert_int_equal(list.items[1].version, 1);
    assert_false(list.items[1].ahead);
    assert_true(list.items[2].ahead);
    /* A default that cannot be filled in is nobody's, whatever the level. */
    assert_int_equal(fr_compat_list(a, FR_COMPAT_FORWARD, FR_STR(REC(FD("a", "\"int\"", "null"))),
                                    versions, 3, &list, &err),
                     FR_END);
    find(&list, "a", "default.invalid");
}

/* Forty records that each refer twice to the next, by two ways: not 2^40 steps. */
static void hostile_unions_end_soon(void **state)
{
    (void)state;
    fr_buf r = {.arena = a}, w = {.arena = a};
    fr_buf *both[] = {&r, &w};
    for (int v = 0; v < 2; v++) {
        fr_buf_text(both[v], "[");
        for (int i = 0; i < 40; i++) {
            const char *leaf = v == 0 ? "\"int\"" : "\"string\"";
            fr_buf_printf(both[v], "%s{\"type\":\"record\",\"name\":\"A%d\",\"fields\":[",
                          i > 0 ? "," : "", i);
            for (int k = 0; k < 2; k++)
                if (i == 0)
                    fr_buf_printf(both[v], "%s{\"name\":\"f%d\",\"type\":%s}", k ? "," : "", k,
                                  leaf);
                else
                    fr_buf_printf(both[v],
                                  "%s{\"name\":\"f%d\",\"type\":[\"null\",\"A%d\",\"B%d\"]}",
                                  k ? "," : "", k, i - 1, i - 1);
            fr_buf_printf(both[v],
                          "]},{\"type\":\"record\",\"name\":\"B%d\",\"fields\":[{\"name\":\"f\","
                          "\"type\":[\"null\",\"A%d\"]}]}",
                          i, i);
        }
        fr_buf_text(both[v], "]");
    }
    const fr_shape *reader, *writer;
    fr_buf why = {.arena = a};
    assert_ok(fr_shape_parse(a, fr_buf_view(&r), &reader, &err));
    assert_ok(fr_shape_parse(a, fr_buf_view(&w), &writer, &err));
    assert_int_equal(fr_compat_read(a, reader, writer, &why), FR_END);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    fr_buf b = {.arena = a};
    const fr_shape *s;
    for (int i = 0; i < 100; i++)
        fr_buf_text(&b, "{\"type\":\"array\",\"items\":");
    fr_buf_text(&b, "\"int\"");
    for (int i = 0; i < 100; i++)
        fr_buf_text(&b, "}");
    assert_fails(fr_shape_parse(a, fr_buf_view(&b), &s, &err), FR_ERR_SCHEMA);
    assert_non_null(strstr(err.text, "deeper"));
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolution_follows_the_specification),
        cmocka_unit_test(levels_look_the_right_way),
        cmocka_unit_test(differences_are_named_by_path),
        cmocka_unit_test(differences_are_data),
        cmocka_unit_test(transitive_levels_ask_every_version),
        cmocka_unit_test(hostile_unions_end_soon),
        cmocka_unit_test(deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
