/* What is written as YAML is read back by a reader of YAML as the same text, and as a text. */
#include "cli/yaml_text.c"
#include "tests/unit/test.h"

typedef struct scalar {
    char text[80];
    bool plain, tagged;
} scalar;

/* The second scalar: the value of a map of one member. */
static void read_back(const fr_buf *b, scalar *out)
{
    yaml_parser_t p;
    yaml_event_t e;
    int scalars = 0;
    bool ended = false;
    *out = (scalar){.plain = true};
    assert_true(yaml_parser_initialize(&p));
    yaml_parser_set_input_string(&p, b->ptr, b->len);
    while (!ended) {
        assert_true(yaml_parser_parse(&p, &e));
        ended = e.type == YAML_STREAM_END_EVENT;
        if (e.type == YAML_SCALAR_EVENT && ++scalars == 2) {
            assert_true(e.data.scalar.length < sizeof out->text);
            memcpy(out->text, e.data.scalar.value, e.data.scalar.length);
            out->plain = e.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
            out->tagged = e.data.scalar.tag != NULL;
        }
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&p);
    assert_int_equal(scalars, 2);
}

static void check(const char *text, bool plain)
{
    fr_buf b = {0};
    fr_err err;
    scalar got;
    json_t *j = json_pack("{s:s}", "a", text);
    assert_ok(fr_yaml_text(&b, j, &err));
    read_back(&b, &got);
    assert_string_equal(got.text, text);
    assert_int_equal(got.plain, plain);
    assert_false(got.tagged);
    json_decref(j);
    fr_buf_free(&b);
}

static void texts_stay_texts(void **state)
{
    (void)state;
    static const char *const words[] = {"word", "a@b.example", "decimal(10,2)", "$x", "/x/", "(a)"};
    static const char *const others[] = {"@word", ",word", "@",  ",",  "",     "true", "No",
                                         "1",     "-x",    "~",  "`",  "a: b", "a #b", "#",
                                         "[a]",   "{a}",   "&a", "*a", "!a",   "|",    ">",
                                         "%a",    "?",     "'",  "\"", "\\",   "a\nb", " a "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        check(words[i], true);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check(others[i], false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_stay_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
