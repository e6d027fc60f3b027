#include "unit/test.h"

#include "postgres/pg_sink.h"

/* Messages (id, at), key id; a target of the same columns, with a unique index on id. */
typedef struct fixture {
    fr_findings found;
    fr_sink_settings settings;
    fr_column columns[2];
    fr_table table;
    fr_pg_column to[3]; /* the last one: _freshet_position */
    fr_str key[1];
    fr_pg_index unique;
    fr_pg_relation r;
} fixture;

static void set_up(fixture *f)
{
    *f = (fixture){
        .settings = {.write_mode = FR_WRITE_UPSERT, .deletes = FR_DELETES_IGNORE},
        .columns = {{.name = FR_STR("id"), .kind = FR_TEXT, .key_ordinal = 1},
                    {.name = FR_STR("at"), .kind = FR_DATETIME}},
        .to = {{.name = FR_STR("id"), .type = 25, .typmod = -1, .category = 'S'},
               {.name = FR_STR("at"), .type = 1114, .typmod = -1, .category = 'D'},
               {.name = FR_STR(FR_TARGET_POSITION), .type = 17, .typmod = -1, .category = 'U'}},
        .key = {FR_STR("id")},
        .unique = {.count = 1, .arbiter = true},
        .r = {.oid = 1, .kind = 'r', .column_count = 3, .unique_count = 1}};
    f->found.arena = fr_arena_new(0);
    f->table = (fr_table){.name = FR_STR("t"), .column_count = 2, .columns = f->columns};
    f->unique.columns = f->key;
    f->r.columns = f->to;
    f->r.uniques = &f->unique;
    f->r.qualified = FR_STR("t");
    f->r.user = FR_STR("me");
    f->r.may_insert = f->r.may_update = f->r.may_delete = f->r.may_select = f->r.may_truncate =
        true;
}

static void compare(fixture *f)
{
    f->found.count = 0;
    fr_pg_sink_compare(&f->settings, &f->r, &f->table, NULL, false, &f->found);
}

static void expect(fixture *f, fr_severity severity, const char *code, const char *text)
{
    compare(f);
    assert_int_equal(f->found.count, 1);
    assert_int_equal(f->found.items[0].severity, severity);
    assert_string_equal(f->found.items[0].code, code);
    assert_non_null(strstr(fr_arena_cstr(f->found.arena, f->found.items[0].text), text));
}

static void expect_nothing(fixture *f)
{
    compare(f);
    assert_int_equal(f->found.count, 0);
}

static void keys(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    expect_nothing(&f);
    f.to[0].generated = true;
    expect(&f, FR_BLOCKER, "sink.key", "key column \"id\" is generated");
    f.to[0].generated = false;
    f.to[1].generated = true;
    expect_nothing(&f);
    f.to[1].generated = false;
    f.to[0].loose = true;
    f.to[0].shown = FR_STR("text");
    expect(&f, FR_WARNING, "sink.collation", "is text by a collation that is not deterministic");
    f.to[0].loose = false;
    f.to[1].typmod = 0;
    expect(&f, FR_WARNING, "sink.types", "fractions are rounded");
    fr_arena_free(f.found.arena);
}

static void rights_for_truncates(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    f.settings.truncate = FR_TRUNCATE_PUBLISH;
    f.r.may_truncate = false; /* rows are deleted by their position */
    expect_nothing(&f);
    f.r.may_delete = false;
    expect(&f, FR_BLOCKER, "sink.grants", "no right to DELETE");
    f.settings.write_mode = FR_WRITE_APPEND;
    f.r.may_select = false;
    expect(&f, FR_BLOCKER, "sink.grants", "no right to SELECT, DELETE");
    f.r.column_count = 2; /* no position */
    compare(&f);
    assert_int_equal(f.found.count, 2);
    assert_string_equal(f.found.items[0].code, "sink.truncate");
    assert_string_equal(f.found.items[1].code, "sink.grants");
    assert_non_null(strstr(fr_arena_cstr(f.found.arena, f.found.items[1].text), "TRUNCATE"));
    fr_arena_free(f.found.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(rights_for_truncates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
