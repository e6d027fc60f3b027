/* Samples: what is made fits its schema, is the same for the same seed, and the parts of an event
 * agree. */
#include "base/json.h"
#include "codec/decode.h"
#include "codec/export.h"
#include "codec/sample.h"
#include "tests/unit/test.h"

static fr_err err;
static fr_arena *a;

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define KEY "{\"type\":\"record\",\"name\":\"K\",\"fields\":[" FIELD("id", "\"long\"") "]}"
#define ROW                                                                                                                          \
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("id", "\"long\"") "," FIELD("note", "[\"null\",\"string\"]") "," FIELD( \
        "price",                                                                                                                     \
        "{\"type\":\"bytes\",\"logicalType\":"                                                                                       \
        "\"decimal\",\"precision\":5,\"scale\":2}") "," FIELD("kind",                                                                \
                                                              "{\"type\":\"enum\","                                                  \
                                                              "\"name\":\"E\","                                                      \
                                                              "\"symbols\":[\"A\",\"B\"]"                                            \
                                                              "}") "," FIELD("tags",                                                 \
                                                                             "{\"type\":"                                            \
                                                                             "\"array\","                                            \
                                                                             "\"items\":"                                            \
                                                                             "\"string\""                                            \
                                                                             "}") "," FIELD("f",                                     \
                                                                                            "{\"t"                                   \
                                                                                            "ype"                                    \
                                                                                            "\":"                                    \
                                                                                            "\"fi"                                   \
                                                                                            "xed"                                    \
                                                                                            "\","                                    \
                                                                                            "\"na"                                   \
                                                                                            "me\""                                   \
                                                                                            ":\"F"                                   \
                                                                                            "\","                                    \
                                                                                            "\"si"                                   \
                                                                                            "ze\""                                   \
                                                                                            ":3}") "]}"
#define ENVELOPE                                                                                                                   \
    "{\"type\":\"record\",\"name\":\"V\",\"freshet.before\":\"key\",\"fields\":[" FIELD("before", "[\"null\"," ROW "]") "," FIELD( \
        "after",                                                                                                                   \
        "[\"null\",\"R\"]") "," FIELD("source",                                                                                    \
                                      "{\"type\":\"record\",\"name\":\"S\","                                                       \
                                      "\"fields\":[" FIELD(                                                                        \
                                          "lsn",                                                                                   \
                                          "[\"null\","                                                                             \
                                          "\"long\"]") "," FIELD("epoch",                                                          \
                                                                 "\"int\"") "," FIELD("ordinal",                                   \
                                                                                      "\"long\"") "]}") "," FIELD("op",            \
                                                                                                                  "\"string\"") "]}"

static json_t *json_of(fr_str schema, fr_str data)
{
    fr_str text;
    json_t *j;
    assert_ok(fr_avro_to_json(a, schema, data, &text, &err));
    assert_ok(fr_json_parse(text, &j, &err));
    return j;
}

static void values_fit(void **state)
{
    (void)state;
    for (int edge = 0; edge < 2; edge++) {
        const fr_sample_settings s = {.seed = 3, .edge = edge == 1};
        fr_sampler *x, *y;
        fr_sample one, two;
        assert_ok(fr_sampler_new(FR_STR(""), FR_STR(ROW), &s, &x, &err));
        assert_ok(fr_sampler_new(FR_STR(""), FR_STR(ROW), &s, &y, &err));
        for (int i = 0; i < 300; i++) {
            fr_sampler_next(x, a, &one);
            fr_sampler_next(y, a, &two);
            assert_true(fr_str_eq(one.value, two.value));
            assert_null(one.key.ptr);
            json_decref(json_of(FR_STR(ROW), one.value));
        }
        fr_sampler_free(x);
        fr_sampler_free(y);
    }
}

static void events_agree(void **state)
{
    (void)state;
    const fr_sample_settings s = {.seed = 1, .edge = true};
    fr_sampler *x;
    fr_sample one;
    assert_ok(fr_sampler_new(FR_STR(KEY), FR_STR(ENVELOPE), &s, &x, &err));
    for (int i = 0; i < 300; i++) {
        fr_sampler_next(x, a, &one);
        json_t *key = json_of(FR_STR(KEY), one.key), *v = json_of(FR_STR(ENVELOPE), one.value);
        const char *op = fr_json_str(v, "op", "");
        json_t *after = json_object_get(v, "after"), *before = json_object_get(v, "before");
        bool gone = strcmp(op, "d") == 0;
        assert_int_equal(json_is_null(after), gone);
        assert_int_equal(json_is_null(before), !gone); /* the old row is known by its key only */
        json_t *row = gone ? before : after;
        assert_int_equal(json_integer_value(json_object_get(row, "id")),
                         json_integer_value(json_object_get(key, "id")));
        if (gone)
            assert_true(json_is_null(json_object_get(before, "note")));
        json_decref(key);
        json_decref(v);
    }
    fr_sampler_free(x);
}

#define NEST(inner) "{\"type\":\"record\",\"name\":\"N\",\"fields\":[" FIELD("next", inner) "]}"

static void what_has_no_end(void **state)
{
    (void)state;
    const fr_sample_settings s = {.seed = 1};
    fr_sampler *x;
    fr_sample one;
    assert_fails(fr_sampler_new(FR_STR(""), FR_STR(NEST("\"N\"")), &s, &x, &err), FR_ERR_DATA);
    assert_fails(fr_sampler_new(FR_STR(""), FR_STR("{}"), &s, &x, &err), FR_ERR_DATA);
    assert_ok(fr_sampler_new(FR_STR(""), FR_STR(NEST("[\"null\",\"N\"]")), &s, &x, &err));
    for (int i = 0; i < 100; i++)
        fr_sampler_next(x, a, &one);
    fr_sampler_free(x);
}

static void in_other_words(void **state)
{
    (void)state;
    json_t *j;
    assert_ok(fr_export_jsonschema(FR_STR(ENVELOPE), &j, &err));
    const json_t *row = json_object_get(json_object_get(j, "$defs"), "R");
    assert_int_equal(json_array_size(json_object_get(row, "required")), 6);
    json_decref(j);
    assert_ok(fr_export_jsonschema(FR_STR(NEST("[\"null\",\"N\"]")), &j, &err));
    json_decref(j);
    fr_odcs of = {.row = FR_STR(ROW), .key = FR_STR(KEY), .topic = FR_STR("t")};
    assert_ok(fr_export_odcs(&of, &j, &err));
    const json_t *field = json_array_get(
        json_object_get(json_array_get(json_object_get(j, "schema"), 0), "properties"), 0);
    assert_true(json_is_true(json_object_get(field, "primaryKey")));
    json_decref(j);
    of.row = FR_STR("\"int\"");
    assert_fails(fr_export_odcs(&of, &j, &err), FR_ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_fit),
        cmocka_unit_test(events_agree),
        cmocka_unit_test(what_has_no_end),
        cmocka_unit_test(in_other_words),
    };
    a = fr_arena_new(0);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    fr_arena_free(a);
    return rc;
}
