/* Sources keep whatever they like in a column: as a literal none of it ends the literal. */
#ifndef FR_TEST_HOSTILE_H
#define FR_TEST_HOSTILE_H

#include "connect/verify.h"
#include "tests/unit/test.h"

/* One type of column, all kinds. Every text of these has a quote behind an x. */
static inline void hostile_literals(const fr_verify_ops *ops, const fr_verify_column *c)
{
    static const char *const texts[] = {"x'); DROP--", "1x'); DROP TABLE", "-1x')",
                                        "x')x')x')x')x')x", /* of 16 characters */
                                        "0000000000000x')"};
    for (int kind = FR_BOOL; kind < FR_KIND_COUNT; kind++) {
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            fr_buf b = {0};
            fr_str text = fr_cstr(texts[i]);
            ops->put_literal(NULL, &b, c, (fr_kind)kind, text);
            fr_buf_u8(&b, 0);
            const char *literal = (const char *)b.ptr;
            if (strstr(literal, "x')") != NULL)
                print_error("%s, type %.*s (%u): %s\n", fr_kind_name((fr_kind)kind),
                            FR_ARG(c->type), c->number, literal);
            assert_null(strstr(literal, "x')"));
            if (ops->fits != NULL && strcmp(literal, "NULL") == 0)
                assert_false(ops->fits(c, (fr_kind)kind, text));
            fr_buf_free(&b);
        }
    }
}

/* Where types are numbers of the connector's own. */
static inline void hostile_numbers(const fr_verify_ops *ops, uint32_t most)
{
    for (uint32_t number = 0; number <= most; number++) {
        fr_verify_column c = {.name = FR_STR("c"), .type = FR_STR("any"), .number = number};
        hostile_literals(ops, &c);
    }
}

#endif
