#include "unit/test.h"

#include "sql/target.h"
#include <stdlib.h>

static fr_err err;

static const fr_table *table(const char *space, const char *name, uint32_t version)
{
    fr_column columns[] = {{.name = FR_STR("k"), .kind = FR_INT32, .key_ordinal = 1},
                           {.name = FR_STR("v"), .kind = FR_INT32, .nullable = true}};
    fr_table like = {.space = fr_cstr(space),
                     .name = fr_cstr(name),
                     .version = version,
                     .column_count = 2,
                     .columns = columns};
    return fr_table_new(&like);
}

static void positions(void **state)
{
    (void)state;
    uint8_t got[FR_TARGET_POSITION_SIZE];
    fr_event e = {.position = {.epoch = 1, .lsn = 0x0203, .ordinal = 4}, .offset = 99};
    static const uint8_t want[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 4};
    static const uint8_t foreign[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0};
    fr_target_position(got, &e);
    assert_memory_equal(got, want, sizeof(got));
    e.position = (fr_position){.ordinal = 7}; /* none of ours: the offset in Kafka */
    fr_target_position(got, &e);
    assert_memory_equal(got, foreign, sizeof(got));
}

static void what_a_truncate_leaves(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_event e = {.position = {.epoch = 1, .lsn = 0x0203, .ordinal = 4}, .offset = 99};
    assert_true(fr_target_is_ordered(&e));
    assert_str(fr_target_truncated_at(a, true, &e), "00000001000000000000020300000004");
    assert_str(fr_target_truncated_at(a, false, &e), "");
    e.foreign = true; /* its offset, which another partition may have beyond */
    assert_false(fr_target_is_ordered(&e));
    assert_str(fr_target_truncated_at(a, true, &e), "");
    e = (fr_event){.offset = 99};
    assert_str(fr_target_truncated_at(a, true, &e), "");
    fr_arena_free(a);
}

static void settings(void **state)
{
    (void)state;
    fr_sink_settings s = {.write_mode = FR_WRITE_APPEND};
    assert_ok(fr_target_settings(&s, &err));
    s.write_mode = FR_WRITE_HISTORY;
    assert_ok(fr_target_settings(&s, &err)); /* which sinks can: fr_history_kept */
    s = (fr_sink_settings){.add_column = FR_CHANGE_NEW_TOPIC};
    assert_fails(fr_target_settings(&s, &err), FR_ERR_CONFIG);
    s = (fr_sink_settings){.change_type = FR_CHANGE_IGNORE};
    assert_fails(fr_target_settings(&s, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "sink.config");
}

static void names_that_differ_by_case(void **state)
{
    (void)state;
    fr_map *folded = fr_map_new();
    fr_arena *a = fr_arena_new(0);
    const fr_table *one = table("s", "Tab", 1), *other = table("s", "tAB", 1);
    assert_true(fr_target_same_name(FR_STR("Foo"), FR_STR("fOO")));
    assert_false(fr_target_same_name(FR_STR("Foo"), FR_STR("Fo")));
    assert_false(fr_target_same_name(FR_STR("\xc3\x84"), FR_STR("\xc3\xa4"))); /* not ASCII */
    assert_str(fr_target_lower(a, FR_STR("T@Z[\xc3\x84")), "t@z[\xc3\x84");
    for (int i = 0; i < 2; i++)
        assert_ok(fr_target_check_folded(folded, a, FR_STR("s"), FR_STR("tab"), one, "why", &err));
    assert_fails(fr_target_check_folded(folded, a, FR_STR("s"), FR_STR("tab"), other, "why", &err),
                 FR_ERR_CONFIG);
    assert_non_null(strstr(err.text, "the tables tAB and Tab differ by case only, and why"));
    assert_ok(fr_target_check_folded(folded, a, FR_STR("x"), FR_STR("tab"), other, "why", &err));
    fr_table_unref(one);
    fr_table_unref(other);
    fr_map_free(folded, NULL);
    fr_arena_free(a);
}

static void versions_and_targets_that_were_there(void **state)
{
    (void)state;
    fr_map *tables = fr_map_new(), *known = fr_map_new();
    const fr_table *first = table("s", "t", 1), *second = table("s", "t", 2),
                   *third = table("s", "t", 3), *other = table("s", "u", 1);
    fr_map_set_u64(tables, first->serial, (void *)&first);
    fr_map_set_u64(tables, second->serial, (void *)&second);
    fr_map_set_u64(tables, other->serial, (void *)&other);
    assert_ptr_equal(fr_target_version_before(tables, third), second);
    assert_ptr_equal(fr_target_version_before(tables, second), first);
    assert_null(fr_target_version_before(tables, first)); /* a newer one is none before */
    assert_null(fr_target_version_before(tables, other));
    /* Another partition comes to an older version later: it is not after what was met before. */
    const fr_table *late = table("s", "t", 1), *between = table("s", "t", 2);
    assert_ptr_equal(fr_target_version_before(tables, late), first);
    fr_map_set_u64(tables, third->serial, (void *)&third);
    assert_ptr_equal(fr_target_version_before(tables, between), second);
    fr_table_unref(late);
    fr_table_unref(between);
    assert_false(fr_target_known(known, first));
    fr_target_know(known, first);
    assert_true(fr_target_known(known, third));
    assert_false(fr_target_known(known, other));
    assert_fails(fr_target_vanished(first, &err), FR_ERR_CONFIG);
    fr_table_unref(first);
    fr_table_unref(second);
    fr_table_unref(third);
    fr_table_unref(other);
    fr_map_free(tables, NULL);
    fr_map_free(known, NULL);
}

static void claims(void **state)
{
    (void)state;
    fr_map *m = fr_map_new();
    int64_t epoch;
    fr_offset o = {FR_STR("topic"), 3, 0, ""}, other = {FR_STR("topic"), 4, 0, ""};
    fr_target_keep_claim(m, o.topic, o.partition, 7);
    fr_target_keep_claim(m, o.topic, o.partition, 8);
    assert_ok(fr_target_claim(m, &o, &epoch, &err));
    assert_int_equal(epoch, 8);
    assert_fails(fr_target_claim(m, &other, &epoch, &err), FR_ERR_BUG);
    fr_map_free(m, free);
}

static void findings(void **state)
{
    (void)state;
    fr_findings f = {.arena = fr_arena_new(0)};
    fr_findings_add(&f, FR_WARNING, "sink.types", "a warning");
    assert_ok(fr_target_blocked(&f, &err));
    fr_finding *b = fr_findings_add(&f, FR_BLOCKER, "sink.key", "no index");
    b->hint = FR_STR("make one");
    b->sql = FR_STR("CREATE ...");
    assert_fails(fr_target_blocked(&f, &err), FR_ERR_CONFIG);
    assert_string_equal(err.code, "sink.key");
    assert_string_equal(err.hint, "make one: CREATE ...");
    fr_target_finding(&f, "sink.file", &err);
    assert_str(f.items[2].text, "no index");
    assert_str(f.items[2].hint, "make one: CREATE ...");
    fr_arena_free(f.arena);
}

static void changes(void **state)
{
    (void)state;
    fr_findings f = {.arena = fr_arena_new(0)};
    size_t at = 0;
    assert_str(fr_target_next_change(&f, &at), "");
    fr_findings_add(&f, FR_CHANGE, "sink.table", "made")->sql = FR_STR("CREATE ...");
    fr_findings_add(&f, FR_CHANGE, "sink.table", "what needs no SQL");
    fr_findings_add(&f, FR_WARNING, "sink.key", "a remedy")->sql = FR_STR("DROP ...");
    fr_findings_add(&f, FR_CHANGE, "sink.columns", "added")->sql = FR_STR("ALTER ...");
    assert_str(fr_target_next_change(&f, &at), "CREATE ...");
    assert_str(fr_target_next_change(&f, &at), "ALTER ...");
    assert_str(fr_target_next_change(&f, &at), "");
    fr_arena_free(f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions),
        cmocka_unit_test(what_a_truncate_leaves),
        cmocka_unit_test(settings),
        cmocka_unit_test(names_that_differ_by_case),
        cmocka_unit_test(versions_and_targets_that_were_there),
        cmocka_unit_test(claims),
        cmocka_unit_test(findings),
        cmocka_unit_test(changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
