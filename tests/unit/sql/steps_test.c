#include "unit/test.h"

#include "sql/steps.h"

static fr_err err;

static const fr_table *table(void)
{
    fr_column columns[] = {{.name = FR_STR("k"), .kind = FR_INT32, .key_ordinal = 1},
                           {.name = FR_STR("v"), .kind = FR_INT32, .nullable = true}};
    fr_table like = {.name = FR_STR("t"), .column_count = 2, .columns = columns};
    return fr_table_new(&like);
}

/* What the event does, as letters: P, G, E; or the code of the error. */
static const char *steps(const fr_sink_settings *set, const fr_event *e)
{
    static char text[3];
    fr_target_steps got;
    if (fr_target_steps_of(set, FR_STR("\"t\""), e, &got, &err) == FR_FAIL)
        return err.code;
    for (size_t i = 0; i < got.count; i++) {
        const fr_row *of[] = {&e->after, &e->before, NULL};
        assert_ptr_equal(got.items[i].row, of[got.items[i].kind]);
        text[i] = "PGE"[got.items[i].kind];
    }
    text[got.count] = '\0';
    return text;
}

static void steps_of_rows(void **state)
{
    (void)state;
    const fr_table *t = table();
    fr_value before[] = {{.kind = FR_INT32, .integer = 1}, {.kind = FR_ABSENT}};
    fr_value after[] = {{.kind = FR_INT32, .integer = 1}, {.kind = FR_INT32, .integer = 5}};
    fr_event e = {.op = FR_OP_READ, .table = t, .before = {before, 2}, .after = {after, 2}};
    fr_sink_settings set = {.write_mode = FR_WRITE_UPSERT, .deletes = FR_DELETES_HARD};
    assert_string_equal(steps(&set, &e), "P");
    e.op = FR_OP_UPDATE;
    assert_string_equal(steps(&set, &e), "P");
    after[0].integer = 2;
    assert_string_equal(steps(&set, &e), "GP"); /* the key changed */
    e.op = FR_OP_INSERT;
    assert_string_equal(steps(&set, &e), "P");
    e.op = FR_OP_UPDATE;
    before[0].kind = FR_ABSENT; /* nobody knows */
    assert_string_equal(steps(&set, &e), "P");
    before[0].kind = FR_INT32;
    e.before.count = 0;
    assert_string_equal(steps(&set, &e), "P");
    e.before.count = 2;
    set.deletes = FR_DELETES_SOFT;
    assert_string_equal(steps(&set, &e), "GP");
    set.deletes = FR_DELETES_IGNORE;
    assert_string_equal(steps(&set, &e), "P");
    set = (fr_sink_settings){.write_mode = FR_WRITE_APPEND, .deletes = FR_DELETES_HARD};
    assert_string_equal(steps(&set, &e), "P");
    e.op = FR_OP_TABLE;
    assert_string_equal(steps(&set, &e), "");
    fr_table_unref(t);
}

/* Where each event is a row, the delete's is there. */
static void steps_of_an_echo(void **state)
{
    (void)state;
    fr_event e = {.op = FR_OP_DELETE, .unplaced = true, .echo = true};
    fr_sink_settings set = {.write_mode = FR_WRITE_APPEND, .deletes = FR_DELETES_SOFT};
    assert_string_equal(steps(&set, &e), "");
    e.echo = false;
    assert_string_equal(steps(&set, &e), "G");
    e.echo = true;
    set.write_mode = FR_WRITE_UPSERT;
    assert_string_equal(steps(&set, &e), "G");
}

static void steps_by_policy(void **state)
{
    (void)state;
    fr_event e = {.op = FR_OP_DELETE};
    static const struct {
        fr_write_mode mode;
        fr_deletes deletes;
        const char *want;
    } cases[] = {{FR_WRITE_UPSERT, FR_DELETES_HARD, "G"},
                 {FR_WRITE_UPSERT, FR_DELETES_SOFT, "G"},
                 {FR_WRITE_UPSERT, FR_DELETES_IGNORE, ""},
                 {FR_WRITE_APPEND, FR_DELETES_SOFT, "G"},
                 {FR_WRITE_APPEND, FR_DELETES_IGNORE, ""},
                 {FR_WRITE_APPEND, FR_DELETES_HARD, "sink.delete"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fr_sink_settings set = {.write_mode = cases[i].mode, .deletes = cases[i].deletes};
        assert_string_equal(steps(&set, &e), cases[i].want);
    }
    assert_int_equal(err.kind, FR_ERR_CONFIG);
    e.op = FR_OP_TRUNCATE;
    fr_sink_settings set = {.truncate = FR_TRUNCATE_PUBLISH};
    assert_string_equal(steps(&set, &e), "E");
    set.truncate = FR_TRUNCATE_IGNORE;
    assert_string_equal(steps(&set, &e), "");
    set.truncate = FR_TRUNCATE_BLOCK;
    assert_string_equal(steps(&set, &e), "sink.truncate");
    assert_int_equal(err.kind, FR_ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_rows),
        cmocka_unit_test(steps_of_an_echo),
        cmocka_unit_test(steps_by_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
