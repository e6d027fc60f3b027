#include "unit/test.h"

#include "sql/evolve.h"

static fr_err err;

/* Names of more than eight bytes are cut. */
static fr_rc cut(fr_arena *a, fr_str name, fr_str *out, fr_err *error)
{
    (void)a;
    FR_TRY(fr_target_check_name("Cutting", name, error));
    *out = (fr_str){name.ptr, name.len < 8 ? name.len : 8};
    return FR_OK;
}

static fr_str ident(fr_arena *a, fr_str column)
{
    return fr_arena_printf(a, "[%.*s]", FR_ARG(column));
}

static const fr_target_dialect folding = {"Folding", true, ident, NULL},
                               exact = {"Exact", false, ident, NULL},
                               cutting = {"Cutting", true, ident, cut};

typedef struct fixture {
    fr_findings found;
    fr_sink_settings settings;
    fr_column columns[4];
    fr_table table;
    fr_target_comparison k;
} fixture;

static void set_up(fixture *f, const fr_target_dialect *dialect)
{
    *f = (fixture){.columns = {{.name = FR_STR("id"), .key_ordinal = 1},
                               {.name = FR_STR("Name")},
                               {.name = FR_STR("name")},
                               {.name = FR_STR(FR_TARGET_DELETED)}}};
    f->found.arena = fr_arena_new(0);
    f->table = (fr_table){.name = FR_STR("t"), .column_count = 4, .columns = f->columns};
    f->k = (fr_target_comparison){dialect, &f->settings, &f->table,     FR_STR("[t]"),
                                  false,   &f->found,    f->found.arena};
}

static void tear_down(fixture *f)
{
    fr_arena_free(f->found.arena);
}

/* The only finding since the last call. */
static const fr_finding *said(fixture *f, fr_severity severity, const char *code, const char *text)
{
    assert_int_equal(f->found.count, 1);
    const fr_finding *got = &f->found.items[--f->found.count];
    assert_int_equal(got->severity, severity);
    assert_string_equal(got->code, code);
    assert_non_null(strstr(fr_arena_cstr(f->found.arena, got->text), text));
    return got;
}

static void names(void **state)
{
    (void)state;
    assert_ok(fr_target_check_name("X", FR_STR("a"), &err));
    assert_fails(fr_target_check_name("X", FR_STR(""), &err), FR_ERR_CONFIG);
    assert_string_equal(err.text, "a name that X cannot have (empty)");
    assert_fails(fr_target_check_name("X", (fr_str){"a\0b", 3}, &err), FR_ERR_CONFIG);
    assert_fails(fr_target_check_name("X", FR_STR("\xff"), &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "sink.name");
}

static void names_of_columns(void **state)
{
    (void)state;
    fixture f;
    fr_str name;
    set_up(&f, &folding);
    assert_true(fr_target_good_column(&f.k, &f.columns[1], &name));
    assert_false(fr_target_good_column(&f.k, &f.columns[2], &name));
    said(&f, FR_BLOCKER, "sink.name",
         "[t]: column name: another one differs by case only, and to Folding they are one");
    f.columns[3].name = FR_STR("_FRESHET_deleted");
    assert_false(fr_target_good_column(&f.k, &f.columns[3], &name));
    said(&f, FR_BLOCKER, "sink.name", "a name of freshet's own");
    assert_true(fr_target_is_sent(&f.k, FR_STR("ID")));
    assert_true(fr_target_is_sent(&f.k, FR_STR("_Freshet_Position")));
    assert_false(fr_target_is_sent(&f.k, FR_STR("other")));
    f.k.dialect = &exact;
    assert_true(fr_target_good_column(&f.k, &f.columns[2], &name));
    assert_true(fr_target_good_column(&f.k, &f.columns[3], &name));
    assert_false(fr_target_is_sent(&f.k, FR_STR("ID")));
    f.columns[3].name = FR_STR("");
    assert_false(fr_target_good_column(&f.k, &f.columns[3], &name));
    said(&f, FR_BLOCKER, "sink.name", "column: a name that Exact cannot have (empty)");
    tear_down(&f);
}

/* Columns are the same where the server's names are. */
static void names_that_the_server_changes(void **state)
{
    (void)state;
    fixture f;
    fr_str name;
    set_up(&f, &cutting);
    f.columns[1].name = FR_STR("long_name_1");
    f.columns[2].name = FR_STR("LONG_NAME_2");
    assert_true(fr_target_good_column(&f.k, &f.columns[1], &name));
    assert_str(name, "long_nam");
    assert_false(fr_target_good_column(&f.k, &f.columns[2], &name));
    said(&f, FR_BLOCKER, "sink.name", "column LONG_NAM: another one");
    assert_true(fr_target_is_sent(&f.k, FR_STR("long_nam")));
    assert_false(fr_target_is_sent(&f.k, FR_STR("long_name_1")));
    tear_down(&f);
}

static void keys(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, &exact);
    assert_true(fr_target_has_key(&f.k));
    assert_true(fr_target_is_key(&f.k, &f.columns[0]));
    assert_false(fr_target_is_key(&f.k, &f.columns[1]));
    f.settings.write_mode = FR_WRITE_APPEND;
    assert_false(fr_target_has_key(&f.k));
    assert_false(fr_target_is_key(&f.k, &f.columns[0]));
    assert_int_equal(f.found.count, 0);
    f.settings.write_mode = FR_WRITE_UPSERT;
    f.columns[0].key_ordinal = 0;
    assert_false(fr_target_has_key(&f.k));
    said(&f, FR_BLOCKER, "sink.key", "the messages have no key");
    tear_down(&f);
}

static void columns_that_are_generated(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, &exact);
    fr_target_generated_column(&f.k, &f.columns[1], FR_STR("[Name]"));
    assert_int_equal(f.found.count, 0);
    fr_target_generated_column(&f.k, &f.columns[0], FR_STR("[id]"));
    said(&f, FR_BLOCKER, "sink.key", "[t]: key column [id] is generated");
    f.settings.write_mode = FR_WRITE_APPEND;
    fr_target_generated_column(&f.k, &f.columns[0], FR_STR("[id]"));
    assert_int_equal(f.found.count, 0);
    tear_down(&f);
}

static void tables_that_are_not_there(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, &exact);
    fr_target_missing_table(&f.k, FR_STR("CREATE"));
    assert_str(said(&f, FR_BLOCKER, "sink.table", "there is no such table")->hint,
               "freshet apply creates it, or run");
    f.settings.create = FR_WHEN_NEVER;
    fr_target_missing_table(&f.k, FR_STR("CREATE"));
    assert_str(said(&f, FR_BLOCKER, "sink.table", "")->hint, "create it, or set create: run");
    f.k.create = true;
    fr_target_missing_table(&f.k, FR_STR("CREATE"));
    const fr_finding *made = said(&f, FR_CHANGE, "sink.table", "create [t]");
    assert_str(made->sql, "CREATE");
    assert_str(made->undo, "DROP TABLE [t]");
    fr_target_plan_own_tables(&f.found, true, "the file, with ", FR_STR("OWN"));
    said(&f, FR_CHANGE, "sink.table", "create the file, with _freshet_offsets and _freshet_parked");
    fr_target_plan_own_tables(&f.found, false, "", FR_STR("OWN"));
    said(&f, FR_BLOCKER, "sink.table", "create _freshet_offsets");
    assert_fails(fr_target_no_own_tables(&err, FR_STR("OWN")), FR_ERR_CONFIG);
    assert_string_equal(fr_err_hint(&err), "run: OWN");
    tear_down(&f);
}

static void columns_that_are_not_there(void **state)
{
    (void)state;
    static const struct {
        int add_column;
        int column; /* 0: the key */
        fr_severity severity;
        const char *code, *text;
    } cases[] = {
        {FR_CHANGE_EVOLVE, 1, FR_CHANGE, "sink.table", "[t]: add column [Name] int"},
        {FR_CHANGE_EVOLVE, 0, FR_BLOCKER, "sink.add_column", "there is no column [id]"},
        {FR_CHANGE_IGNORE, 1, FR_WARNING, "sink.table", "there is no column [Name]: left out"},
        {FR_CHANGE_IGNORE, 0, FR_BLOCKER, "sink.add_column", "there is no column [id]"},
        {FR_CHANGE_BLOCK, 1, FR_BLOCKER, "sink.add_column", "there is no column [Name]"},
    };
    fixture f;
    set_up(&f, &exact);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const fr_column *c = &f.columns[cases[i].column];
        f.settings.add_column = cases[i].add_column;
        const fr_finding *got = fr_target_missing_column(&f.k, c, FR_STR("int"));
        assert_int_equal(got == NULL, cases[i].severity == FR_WARNING);
        assert_int_equal(fr_target_adds(&f.k, c), cases[i].severity == FR_CHANGE);
        said(&f, cases[i].severity, cases[i].code, cases[i].text);
    }
    tear_down(&f);
}

static void columns_that_were_lost(void **state)
{
    (void)state;
    fixture f;
    fr_column old[] = {{.name = FR_STR("id")}, {.name = FR_STR("gone")}};
    fr_table before = {.name = FR_STR("t"), .column_count = 2, .columns = old};
    set_up(&f, &exact);
    f.settings.drop_column = FR_CHANGE_BLOCK;
    fr_target_lost_columns(&f.k, NULL);
    assert_int_equal(f.found.count, 0);
    fr_target_lost_columns(&f.k, &before);
    said(&f, FR_BLOCKER, "sink.drop_column", "[t]: the messages lost the column [gone]");
    f.settings.drop_column = FR_CHANGE_IGNORE;
    fr_target_lost_columns(&f.k, &before);
    assert_int_equal(f.found.count, 0);
    tear_down(&f);
}

static void truncates_without_positions(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, &exact);
    fr_target_truncates(&f.k, false);
    f.settings.truncate = FR_TRUNCATE_PUBLISH;
    fr_target_truncates(&f.k, true);
    assert_int_equal(f.found.count, 0);
    fr_target_truncates(&f.k, false);
    said(&f, FR_WARNING, "sink.truncate", "[t]: there is no column _freshet_position");
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_of_columns),
        cmocka_unit_test(names_that_the_server_changes),
        cmocka_unit_test(keys),
        cmocka_unit_test(columns_that_are_generated),
        cmocka_unit_test(tables_that_are_not_there),
        cmocka_unit_test(columns_that_are_not_there),
        cmocka_unit_test(columns_that_were_lost),
        cmocka_unit_test(truncates_without_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
