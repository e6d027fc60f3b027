/* The table of types, resolving, spelling, and the layouts made of them. */
#include "connectors/postgres/pg_builtin.h"
#include "connectors/postgres/pg_layout.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static fr_pg_catalog *catalog;
static fr_arena *arena;

static void the_table_is_sorted(void **state)
{
    const fr_pg_builtin *b;
    (void)state;
    for (size_t i = 0; (b = fr_pg_builtin_at(i)) != NULL; i++) {
        assert_ptr_equal(fr_pg_builtin_find(b->type.oid), b);
        assert_true((b->wire == FR_PG_WIRE_ARRAY) == (b->type.element != 0));
        if (b->type.element != 0) {
            const fr_pg_builtin *element = fr_pg_builtin_find(b->type.element);
            assert_non_null(element);
            assert_int_equal(element->type.delimiter, b->type.delimiter);
        }
    }
    assert_null(fr_pg_builtin_find(1));
}

static fr_pg_codec resolved(uint32_t oid, int32_t typmod, const char *native)
{
    fr_pg_codec c;
    fr_err err;
    fr_str name;
    if (fr_pg_resolve(catalog, oid, typmod, false, arena, &c, &name, &err) != FR_OK)
        fail_msg("%u: %s", oid, err.text);
    assert_string_equal(fr_arena_cstr(arena, name), native);
    return c;
}

static int32_t numeric_typmod(int precision, int scale)
{
    return ((precision << 16) | (scale & 0x7ff)) + 4;
}

static void numbers(void **state)
{
    (void)state;
    fr_pg_codec c = resolved(1700, numeric_typmod(10, 2), "numeric(10,2)");
    assert_int_equal(c.kind, FR_DECIMAL);
    assert_int_equal(c.precision, 10);
    assert_int_equal(c.scale, 2);
    c = resolved(1700, numeric_typmod(5, -2), "numeric(5,-2)");
    assert_int_equal(c.precision, 7);
    assert_int_equal(c.scale, 0);
    c = resolved(1700, numeric_typmod(3, 5), "numeric(3,5)");
    assert_int_equal(c.precision, 5);
    assert_int_equal(c.scale, 5);
    c = resolved(1700, numeric_typmod(1000, 1000), "numeric(1000,1000)");
    assert_int_equal(c.precision, 1000);
    c = resolved(1700, -1, "numeric");
    assert_int_equal(c.kind, FR_TEXT);
    c = resolved(1231, numeric_typmod(10, 2), "numeric(10,2)[]");
    assert_int_equal(c.kind, FR_JSON);
    fr_pg_catalog_money_digits(catalog, 0);
    c = resolved(790, -1, "money");
    assert_int_equal(c.kind, FR_DECIMAL);
    assert_int_equal(c.scale, 0);
    fr_pg_catalog_money_digits(catalog, 2);
}

static void spelling(void **state)
{
    (void)state;
    resolved(16, -1, "boolean");
    resolved(18, -1, "\"char\"");
    resolved(1042, -1, "bpchar");
    resolved(1042, 5, "character(1)");
    resolved(1043, -1, "character varying");
    resolved(1043, 24, "character varying(20)");
    resolved(1015, 24, "character varying(20)[]");
    resolved(1560, -1, "\"bit\"");
    resolved(1560, 3, "bit(3)");
    resolved(1562, 8, "bit varying(8)");
    resolved(1083, 0, "time(0) without time zone");
    resolved(1266, 3, "time(3) with time zone");
    resolved(1114, -1, "timestamp without time zone");
    resolved(1184, 6, "timestamp(6) with time zone");
    resolved(1185, -1, "timestamp with time zone[]");
    resolved(1186, -1, "interval");
    resolved(1186, (0x7fff << 16) | 3, "interval(3)");
    resolved(1186, ((1 << 2 | 1 << 1) << 16) | 0xffff, "interval year to month");
    resolved(1186, ((1 << 3 | 1 << 10 | 1 << 11 | 1 << 12) << 16) | 2, "interval day to second(2)");
}

static void add(uint32_t oid, const char *space, const char *name, const char *rest)
{
    const char *fields[FR_PG_TYPES_COLUMNS];
    char number[16], copy[64];
    fr_err err;
    snprintf(number, sizeof(number), "%u", oid);
    snprintf(copy, sizeof(copy), "%s", rest);
    fields[0] = number;
    fields[1] = space;
    fields[2] = name;
    char *at = copy;
    for (int i = 3; i < FR_PG_TYPES_COLUMNS; i++) {
        fields[i] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    assert_int_equal(fr_pg_catalog_add_row(catalog, fields, &err), FR_OK);
}

static void types_of_users(void **state)
{
    (void)state;
    add(70000, "shop", "mood", "e E , 4 0 0 -1 p");
    add(70001, "shop", "_mood", "b A , -1 70000 0 -1 x");
    add(70002, "public", "price", "d N , -1 0 1700 524294 m"); /* numeric(8,2) */
    add(70003, "Odd \"one\"", "Pair", "c C , -1 0 0 -1 x");
    add(70004, "public", "citext", "b S , -1 0 0 -1 x");
    add(70005, "public", "geometry", "b U : -1 0 0 -1 m");
    add(70006, "public", "tags", "d A , -1 0 1009 -1 x"); /* a domain over text[] */
    add(70007, "public", "_tags", "b A , -1 70006 0 -1 x");
    fr_pg_codec c = resolved(70000, -1, "shop.mood");
    assert_int_equal(c.kind, FR_TEXT);
    assert_true(fr_pg_codec_binary_safe(&c));
    assert_false(c.toastable);
    c = resolved(70001, -1, "shop.mood[]");
    assert_int_equal(c.kind, FR_JSON);
    assert_true(fr_pg_codec_binary_safe(&c));
    c = resolved(70002, -1, "price");
    assert_int_equal(c.kind, FR_DECIMAL);
    assert_int_equal(c.precision, 8);
    assert_int_equal(c.scale, 2);
    c = resolved(70003, -1, "\"Odd \"\"one\"\"\".\"Pair\"");
    assert_int_equal(c.kind, FR_TEXT);
    assert_false(fr_pg_codec_binary_safe(&c));
    c = resolved(70004, -1, "citext");
    assert_true(fr_pg_codec_binary_safe(&c));
    c = resolved(70005, -1, "geometry");
    assert_int_equal(c.kind, FR_BYTES);
    assert_true(fr_pg_codec_binary_safe(&c) && c.toastable);
    c = resolved(70006, -1, "tags");
    assert_int_equal(c.kind, FR_JSON);
    assert_true(fr_pg_codec_binary_safe(&c));
    c = resolved(70007, -1, "tags[]");
    assert_int_equal(c.kind, FR_JSON);
    assert_false(fr_pg_codec_binary_safe(&c)); /* arrays in an array are its text */
    c = resolved(1020, -1, "box[]");
    assert_int_equal(c.delimiter, ';');
}

static void fails(uint32_t oid, const char *code)
{
    fr_pg_codec c;
    fr_err err;
    assert_int_equal(fr_pg_resolve(catalog, oid, -1, false, arena, &c, NULL, &err), FR_FAIL);
    assert_string_equal(err.code, code);
    assert_int_equal(err.kind, FR_ERR_DATA);
}

static void unknown_types_are_named(void **state)
{
    fr_pg_codec c;
    fr_err err;
    (void)state;
    fails(80000, "pg.type_unknown");
    add(80001, "public", "_gone", "b A , -1 80002 0 -1 x");
    assert_int_equal(fr_pg_resolve(catalog, 80001, -1, false, arena, &c, NULL, &err), FR_FAIL);
    assert_int_equal(err.native, 80002); /* what to look up is the element */
    add(80003, "public", "pseudo", "p P , 4 0 0 -1 p");
    fails(80003, "pg.type_unsupported");
    add(80004, "public", "ring", "d N , 4 0 80005 -1 p");
    add(80005, "public", "gnir", "d N , 4 0 80004 -1 p");
    assert_int_equal(fr_pg_resolve(catalog, 80004, -1, false, arena, &c, NULL, &err), FR_FAIL);
    const char *bad[] = {"x", "a", "b", "b", "A", ",", "-1", "1", "0", "-1", "x"};
    assert_int_equal(fr_pg_catalog_add_row(catalog, bad, &err), FR_FAIL);
    assert_int_equal(err.kind, FR_ERR_BUG);
}

static fr_pg_layout *layout_of(char identity, fr_pg_attr *columns, size_t count)
{
    fr_pg_relation r = {.oid = 9,
                        .space = FR_STR("shop"),
                        .name = FR_STR("t"),
                        .identity = identity,
                        .column_count = count,
                        .columns = columns};
    fr_pg_layout *l = NULL;
    fr_err err;
    assert_int_equal(fr_pg_layout_new(catalog, &r, 1, &l, &err), FR_OK);
    return l;
}

static void layouts_know_the_order_of_keys(void **state)
{
    fr_pg_attr columns[3] = {
        {.name = FR_STR("b"), .type = 23, .typmod = -1, .identity = true, .nullable = true},
        {.name = FR_STR("a"), .type = 23, .typmod = -1, .identity = true, .nullable = true},
        {.name = FR_STR("v"), .type = 600, .typmod = -1, .nullable = true}};
    (void)state;
    columns[0].primary = 2; /* primary key (a, b) */
    columns[1].primary = 1;
    fr_pg_layout *l = layout_of('d', columns, 3);
    assert_int_equal(l->table->columns[0].key_ordinal, 2);
    assert_int_equal(l->table->columns[1].key_ordinal, 1);
    assert_false(l->binary_safe); /* a point */
    columns[1].primary = 0;       /* the catalog has another key than the log: the log's */
    fr_pg_layout *other = layout_of('d', columns, 3);
    assert_int_equal(other->table->columns[0].key_ordinal, 1);
    assert_int_equal(other->table->columns[1].key_ordinal, 2);
    assert_false(fr_pg_layout_same(l, other));
    assert_true(fr_pg_layout_same(l, l));
    fr_pg_layout_free(l);
    fr_pg_layout_free(other);
}

static int setup(void **state)
{
    (void)state;
    catalog = fr_pg_catalog_new();
    arena = fr_arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_pg_catalog_free(catalog);
    fr_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted),
        cmocka_unit_test(numbers),
        cmocka_unit_test(spelling),
        cmocka_unit_test(types_of_users),
        cmocka_unit_test(unknown_types_are_named),
        cmocka_unit_test(layouts_know_the_order_of_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
