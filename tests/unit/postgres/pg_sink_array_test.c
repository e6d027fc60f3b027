#include "unit/test.h"

#include "postgres/pg_sink_value.h"

static void literals(void **state)
{
    static const struct {
        const char *json, *literal; /* literal NULL: refused */
    } cases[] = {
        {"[]", "{}"},
        {" [ 1 , -2.50e3 , null , true ] ", "{\"1\",\"-2.50e3\",NULL,\"true\"}"},
        {"[\"\",\"null\",\"a,b\",\"{}\",\" \"]", "{\"\",\"null\",\"a,b\",\"{}\",\" \"}"},
        {"[\"a\\\"b\\\\c\\/\\n\"]", "{\"a\\\"b\\\\c/\n\"}"},
        {"[\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"]",
         "{\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
        {"[\"\\u0022\\u005c\"]", "{\"\\\"\\\\\"}"},
        {"[[1,2],[3,4]]", "{{\"1\",\"2\"},{\"3\",\"4\"}}"},
        {"[{\"a\":\"}\\\"\"},2]", "{\"{\\\"a\\\":\\\"}\\\\\\\"\\\"}\",\"2\"}"},
        {"[[[[[[1]]]]]]", "{{{{{{\"1\"}}}}}}"},
        {"[[[[[[[1]]]]]]]", NULL},
        {"", NULL},
        {"1", NULL},
        {"{}", NULL},
        {"[", NULL},
        {"[1", NULL},
        {"[1,", NULL},
        {"[1,]", NULL},
        {"[,1]", NULL},
        {"[1 2]", NULL},
        {"[1]x", NULL},
        {"[nul]", NULL},
        {"[a]", NULL},
        {"[1\"]", NULL},
        {"[1{]", NULL},
        {"[\"a]", NULL},
        {"[\"\\x\"]", NULL},
        {"[\"\\u00\"]", NULL},
        {"[\"\\u0000\"]", NULL},
        {"[\"\\ud83d\"]", NULL},
        {"[\"\\ud83d\\u0041\"]", NULL},
        {"[\"\\ude00\"]", NULL},
        {"[\"\n\"]", NULL},
        {"[{\"a\":1]", NULL},
        {"[{\"\\", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_buf b = {.ptr = NULL};
        fr_err err;
        fr_rc rc = fr_pg_array_literal(&b, fr_cstr(cases[i].json), &err);
        if (rc != (cases[i].literal == NULL ? FR_FAIL : FR_OK))
            print_error("case %s\n", cases[i].json);
        if (cases[i].literal == NULL) {
            assert_int_equal(rc, FR_FAIL);
            assert_int_equal(err.kind, FR_ERR_DATA);
        } else {
            assert_int_equal(rc, FR_OK);
            assert_str(fr_buf_view(&b), cases[i].literal);
        }
        fr_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(literals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
