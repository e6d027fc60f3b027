#include "unit/test.h"

#include "mysql/my_sink.h"

static fr_err err;

/* t (id, v), key id. */
static fr_my_field fields[] = {{.ident = {"`id`", 4}, .key = true}, {.ident = {"`v`", 3}}};
static uint16_t keys[] = {0};

static fr_my_sink_table table(void)
{
    return (fr_my_sink_table){.qualified = FR_STR("`t`"),
                              .fields = fields,
                              .shape = {.count = 2},
                              .keys = keys,
                              .key_count = 1};
}

static void expect(const fr_my_sink_table *t, fr_my_verb verb, fr_str mask, size_t rows,
                   const char *sql)
{
    const fr_my_abilities can = {.mariadb = true};
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_my_sink_sql(a, t, &can, verb, mask, rows), sql);
    fr_arena_free(a);
}

static void plain_statements(void **state)
{
    (void)state;
    fr_my_sink_table t = table();
    expect(&t, FR_MY_VERB_WRITE, FR_STR(""), 0,
           "INSERT INTO `t` (`id`, `v`) VALUES (?, ?) ON DUPLICATE KEY UPDATE `v` = VALUES(`v`)");
    expect(&t, FR_MY_VERB_WRITE, FR_STR("\1\0"), 2,
           "INSERT INTO `t` (`id`, `v`) VALUES (?, NULL), (?, NULL) ON DUPLICATE KEY UPDATE "
           "`id` = `t`.`id`");
    expect(&t, FR_MY_VERB_UPDATE, FR_STR("\1\1"), 1, "UPDATE `t` SET `v` = ? WHERE `id` = ?");
    expect(&t, FR_MY_VERB_DELETE, FR_STR(""), 2, "DELETE FROM `t` WHERE (`id` = ?) OR (`id` = ?)");
    expect(&t, FR_MY_VERB_FIND, FR_STR(""), 1, "SELECT 1 FROM `t` WHERE `id` = ? FOR UPDATE");
    t.append = true;
    expect(&t, FR_MY_VERB_WRITE, FR_STR(""), 1, "INSERT INTO `t` (`id`, `v`) VALUES (?, ?)");
}

/* The position is compared before it is assigned: assignments are made from left to right. */
static void guarded_and_marked(void **state)
{
    (void)state;
    fr_my_sink_table t = table();
    t.positioned = t.shape.guarded = t.shape.marked = true;
    expect(
        &t, FR_MY_VERB_WRITE, FR_STR(""), 1,
        "INSERT INTO `t` (`id`, `v`, `_freshet_position`, `_freshet_deleted`) VALUES (?, ?, ?, ?) "
        "ON DUPLICATE KEY UPDATE "
        "`v` = IF((`t`.`_freshet_position` IS NULL OR `t`.`_freshet_position` <= "
        "VALUES(`_freshet_position`)), VALUES(`v`), `t`.`v`), "
        "`_freshet_deleted` = IF((`t`.`_freshet_position` IS NULL OR `t`.`_freshet_position` <= "
        "VALUES(`_freshet_position`)), VALUES(`_freshet_deleted`), `t`.`_freshet_deleted`), "
        "`_freshet_position` = IF((`t`.`_freshet_position` IS NULL OR `t`.`_freshet_position` <= "
        "VALUES(`_freshet_position`)), VALUES(`_freshet_position`), `t`.`_freshet_position`)");
    expect(&t, FR_MY_VERB_DELETE, FR_STR(""), 1,
           "UPDATE `t` SET `_freshet_deleted` = 1, `_freshet_position` = COALESCE(NULLIF(?, "
           "X'" FR_TARGET_LATEST_HEX "'), `_freshet_position`) WHERE (`id` = ? AND "
           "(`_freshet_position` IS NULL OR `_freshet_position` <= ?))");
}

/* R32: with a second unique index the first assignment fails where the row has another key. */
static void another_row_is_never_met(void **state)
{
    (void)state;
    fr_my_sink_table t = table();
    t.several = true;
    expect(&t, FR_MY_VERB_WRITE, FR_STR(""), 1,
           "INSERT INTO `t` (`id`, `v`) VALUES (?, ?) ON DUPLICATE KEY UPDATE "
           "`v` = IF(((`t`.`id` <=> VALUES(`id`)) OR 18446744073709551615 + "
           "(`t`.`id` IS NOT NULL) > 0), VALUES(`v`), `t`.`v`)");
}

static void expect_name(const char *name, const char *want)
{
    fr_arena *a = fr_arena_new(0);
    fr_str out;
    assert_ok(fr_my_sink_name(a, fr_cstr(name), &out, &err));
    assert_str(out, want != NULL ? want : name);
    fr_arena_free(a);
}

static void names(void **state)
{
    (void)state;
    fr_str out;
    fr_arena *a = fr_arena_new(0);
    char long_name[66];
    memset(long_name, 'x', 65);
    long_name[65] = '\0';
    assert_ok(fr_my_sink_name(a, fr_cstr(long_name), &out, &err));
    assert_int_equal(out.len, 64);
    assert_false(fr_target_same_name(out, fr_cstr(long_name)));
    long_name[64] = '\0';
    expect_name(long_name, NULL);
    expect_name(" a`b", NULL);
    assert_ok(fr_my_sink_name(a, FR_STR("a "), &out, &err));
    assert_int_equal(out.len, 11);
    assert_ok(fr_my_sink_name(a, FR_STR("\xf0\x9f\x98\x80"), &out, &err));
    assert_int_equal(out.ptr[0], '_');
    assert_fails(fr_my_sink_name(a, FR_STR(""), &out, &err), FR_ERR_CONFIG);
    assert_fails(fr_my_sink_name(a, FR_STR("a\0b"), &out, &err), FR_ERR_CONFIG);
    assert_fails(fr_my_sink_name(a, FR_STR("\xff"), &out, &err), FR_ERR_CONFIG);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_statements),
        cmocka_unit_test(guarded_and_marked),
        cmocka_unit_test(another_row_is_never_met),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
