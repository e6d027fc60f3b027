#include "unit/test.h"

#include "file/file_manifest.h"

static fr_err err;

static fr_file_range ranges[] = {{FR_STR("a.t"), 0, 5, 9}, {FR_STR("a.t"), 3, 0, 0}};
static fr_file_entry entries[] = {{FR_STR("t/2026-11-26/a.parquet"), FR_STR(""), FR_STR("t"),
                                   FR_STR("2026-11-26"), 1, 6, 100, ranges, 2},
                                  {FR_STR("t/2026-11-26/b.parquet"), FR_STR(""), FR_STR("t"),
                                   FR_STR("2026-11-26"), 1, 1, 50, ranges, 1}};
static fr_file_column columns[] = {{FR_STR("id"), FR_STR("INTEGER"), 1},
                                   {FR_STR("n\"\\\n\xc3\xa9"), FR_STR("DECIMAL(10,2)"), 0}};
static fr_file_shape shapes[] = {{FR_STR(""), FR_STR("t"), 1, columns, 2}};
static fr_file_next offsets[] = {{FR_STR("a.t"), 0, 10, FR_STR("an id")},
                                 {FR_STR("a.t"), 3, -1, {"", 0}}};
static fr_file_key keys[] = {{FR_STR("a.t"), {"\x00k\xff", 3}, true}};

static fr_file_record claim_record(int64_t seq, int64_t epoch)
{
    return (fr_file_record){.kind = FR_FILE_CLAIM,
                            .seq = seq,
                            .epoch = epoch,
                            .at_ms = 1,
                            .writer = FR_STR("00112233445566aa"),
                            .owner = FR_STR("shop/lake")};
}

static fr_file_record commit_record(int64_t seq)
{
    fr_file_record r = claim_record(seq, 1);
    r.kind = FR_FILE_COMMIT;
    r.add.items = entries, r.add.count = 2;
    r.shapes.items = shapes, r.shapes.count = 1;
    r.offsets.items = offsets, r.offsets.count = 2;
    r.keys.items = keys, r.keys.count = 1;
    return r;
}

static fr_str written(fr_arena *a, const fr_file_record *r)
{
    fr_buf b = {.arena = a};
    fr_file_record_write(&b, r);
    return fr_buf_view(&b);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_file_record r = commit_record(7), got;
    fr_str text = written(a, &r);
    assert_ok(fr_file_record_read(a, text, &got, &err));
    assert_int_equal(got.kind, FR_FILE_COMMIT);
    assert_int_equal(got.seq, 7);
    assert_int_equal(got.add.count, 2);
    assert_str(got.add.items[0].path, "t/2026-11-26/a.parquet");
    assert_int_equal(got.add.items[0].range_count, 2);
    assert_int_equal(got.add.items[0].ranges[0].last, 9);
    assert_true(fr_str_eq(got.shapes.items[0].columns[1].name, columns[1].name));
    assert_int_equal(got.offsets.items[1].next, -1);
    assert_true(fr_str_is(got.offsets.items[0].topic_id, "an id"));
    assert_int_equal(got.offsets.items[1].topic_id.len, 0);
    assert_true(fr_str_eq(got.keys.items[0].key, keys[0].key));
    assert_true(fr_str_eq(written(a, &got), text));
    fr_arena_free(a);
}

/* Every byte that is another one, and every end that came too early. */
static void damage_is_seen(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_file_record r = commit_record(7), got;
    fr_str text = written(a, &r);
    for (size_t i = 0; i < text.len; i++) {
        fr_arena *b = fr_arena_new(0);
        char *other = fr_arena_cstr(b, text);
        other[i] ^= 1;
        assert_fails(fr_file_record_read(b, (fr_str){other, text.len}, &got, &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "sink.corrupt");
        assert_fails(fr_file_record_read(b, (fr_str){text.ptr, i}, &got, &err), FR_ERR_CONFIG);
        fr_arena_free(b);
    }
    fr_arena_free(a);
}

/* Keys as Kafka has them: with NULs, those of Avro in front. */
static void parked_keys_are_told_apart(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_file_state *s = fr_file_state_new();
    fr_file_key both[] = {{FR_STR("a.t"), {"\0\0\1x", 4}, true},
                          {FR_STR("a.t"), {"\0\0\1y", 4}, true}},
                one[] = {{FR_STR("a.t"), {"\0\0\1x", 4}, false}};
    fr_file_record park = claim_record(1, 1), unpark = claim_record(2, 1);
    park.keys.items = both, park.keys.count = 2;
    unpark.keys.items = one, unpark.keys.count = 1;
    assert_ok(fr_file_state_apply(s, &park, &err));
    assert_int_equal(fr_map_count(s->keys), 2);
    assert_ok(fr_file_state_apply(s, &unpark, &err));
    assert_int_equal(fr_map_count(s->keys), 1);
    const fr_file_key *left = fr_map_get(s->keys, fr_file_table_key(a, both[1].topic, both[1].key));
    assert_non_null(left);
    assert_true(fr_str_eq(left->key, both[1].key));
    fr_file_state_free(s);
    fr_arena_free(a);
}

/* With a sum that fits: what stands there is not believed, either. */
static void refused(const char *from, const char *to, const char *code)
{
    fr_arena *a = fr_arena_new(0);
    fr_file_record r = commit_record(7), got;
    fr_str text = written(a, &r);
    char *at = memmem(text.ptr, text.len, from, strlen(from));
    assert_non_null(at);
    size_t body = text.len - strlen(",\"crc\":\"01234567\"}\n");
    fr_buf b = {.arena = a};
    fr_buf_put(&b, text.ptr, (size_t)(at - text.ptr));
    fr_buf_text(&b, to);
    fr_buf_put(&b, at + strlen(from), body - (size_t)(at - text.ptr) - strlen(from));
    fr_buf_printf(&b, ",\"crc\":\"%08x\"}\n", fr_crc32c(0, b.ptr, b.len));
    assert_fails(fr_file_record_read(a, fr_buf_view(&b), &got, &err), FR_ERR_CONFIG);
    if (strcmp(err.code, code) != 0)
        print_error("%s: %s\n", to, err.text);
    assert_string_equal(err.code, code);
    fr_arena_free(a);
}

static void nothing_is_believed(void **state)
{
    (void)state;
    refused("\"v\":1", "\"v\":2", "sink.manifest");
    refused("\"v\":1", "\"v\":0", "sink.corrupt");
    refused("\"seq\":7", "\"seq\":0", "sink.corrupt");
    refused("\"kind\":\"commit\"", "\"kind\":\"what\"", "sink.corrupt");
    refused("t/2026-11-26/a.parquet", "../2026-11-26/a.parquet", "sink.corrupt");
    refused("t/2026-11-26/a.parquet", "/etc/passwd", "sink.corrupt");
    refused("t/2026-11-26/a.parquet", "2026-11-26/a.parquet", "sink.corrupt");
    refused("t/2026-11-26/a.parquet", "t/2026-11-27/a.parquet", "sink.corrupt");
    refused("t/2026-11-26/a.parquet", "a.parquet", "sink.corrupt");
    refused("\"day\":\"2026-11-26\"", "\"day\":\"\"", "sink.corrupt");
    refused("\"rows\":6", "\"rows\":-6", "sink.corrupt");
    refused("\"rows\":6", "\"rows\":\"6\"", "sink.corrupt");
    refused("[\"a.t\",0,5,9]", "[\"a.t\",0,9,5]", "sink.corrupt");
    refused("[\"a.t\",0,5,9]", "[\"a.t\",0]", "sink.corrupt");
    refused("[\"a.t\",0,10,", "[\"a.t\",-1,10,", "sink.corrupt");
    refused("\"an id\"", "7", "sink.corrupt");
    refused("\"006bff\"", "\"006bf\"", "sink.corrupt");
    refused("\"006bff\"", "\"006bfx\"", "sink.corrupt");
    refused("\"gone\":[]", "\"gone\":{}", "sink.corrupt");
    refused("\"writer\":\"00112233445566aa\"", "\"writer\":null", "sink.corrupt");
}

static void names(void **state)
{
    (void)state;
    assert_true(fr_file_path_valid(FR_STR("t/2026-11-26/x-1.parquet")));
    const fr_str bad[] = {FR_STR(""),     FR_STR("/t"),   FR_STR("t/"),    FR_STR("t//x"),
                          FR_STR("../x"), FR_STR("t/.."), FR_STR("t/.x"),  FR_STR("t/a b"),
                          FR_STR("t\\x"), FR_STR("t/*"),  FR_STR("t/x\n"), {"t\0x", 3}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fr_file_path_valid(bad[i]));
    assert_int_equal(fr_file_name_seq(FR_STR("000000000042-0123456789abcdef-3.parquet")), 42);
    assert_int_equal(fr_file_name_seq(FR_STR("000000000042-0123456789abcdef-3.parquet.tmp")), 42);
    const fr_str others[] = {FR_STR("x.parquet"),
                             FR_STR("000000000042-0123456789abcdex-3.parquet"),
                             FR_STR("000000000042-0123456789abcdef-3.parquet.old"),
                             FR_STR("00000000004x-0123456789abcdef-3.parquet"),
                             FR_STR("000000000042-0123456789abcdef"),
                             FR_STR("")};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(fr_file_name_seq(others[i]), -1);
}

static void states_follow(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_file_state *s = fr_file_state_new();
    fr_str removed[] = {FR_STR("t/2026-11-26/a.parquet")};
    fr_file_record claim = claim_record(1, 1), commit = commit_record(2), join = claim_record(3, 1),
                   fold, got;
    join.kind = FR_FILE_COMPACT;
    join.remove.items = removed, join.remove.count = 1;
    assert_ok(fr_file_state_apply(s, &claim, &err));
    assert_ok(fr_file_state_apply(s, &commit, &err));
    fr_file_group *g = fr_map_get(s->groups, fr_file_group_key(a, &entries[0]));
    assert_int_equal(g->count, 2);
    assert_ok(fr_file_state_apply(s, &join, &err));
    assert_int_equal(g->count, 1);
    assert_int_equal(fr_map_count(s->gone), 1);
    assert_int_equal(fr_map_count(s->keys), 1);
    fr_file_state_fold(s, a, &fold);
    fr_str text = written(a, &fold);
    assert_ok(fr_file_record_read(a, text, &got, &err));
    fr_file_state *again = fr_file_state_new();
    assert_ok(fr_file_state_apply(again, &got, &err));
    fr_file_state_fold(again, a, &fold);
    assert_true(fr_str_eq(written(a, &fold), text));
    assert_int_equal(again->seq, 3);
    fr_file_state_free(again);
    fr_file_state_free(s);
    fr_arena_free(a);
}

static void what_cannot_follow(void **state)
{
    (void)state;
    fr_file_record first = claim_record(1, 5), hole = claim_record(3, 5), back = claim_record(2, 4),
                   other = claim_record(2, 6), twice = commit_record(3), bare = commit_record(2),
                   gone = claim_record(2, 5), good = commit_record(2);
    fr_str missing[] = {FR_STR("t/2026-11-26/none.parquet")};
    other.owner = FR_STR("shop/other");
    bare.shapes.count = 0;
    bare.epoch = good.epoch = twice.epoch = 5;
    twice.shapes.count = 0;
    gone.remove.items = missing, gone.remove.count = 1;
    const fr_file_record *bad[] = {&hole, &back, &other, &bare, &gone};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fr_file_state *s = fr_file_state_new();
        assert_ok(fr_file_state_apply(s, &first, &err));
        assert_fails(fr_file_state_apply(s, bad[i], &err), FR_ERR_CONFIG);
        assert_string_equal(err.code, "sink.corrupt");
        fr_file_state_free(s);
    }
    fr_file_state *s = fr_file_state_new();
    assert_ok(fr_file_state_apply(s, &first, &err));
    assert_ok(fr_file_state_apply(s, &good, &err));
    assert_fails(fr_file_state_apply(s, &twice, &err), FR_ERR_CONFIG);
    fr_file_state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_written_is_read),
                                       cmocka_unit_test(damage_is_seen),
                                       cmocka_unit_test(parked_keys_are_told_apart),
                                       cmocka_unit_test(nothing_is_believed),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(states_follow),
                                       cmocka_unit_test(what_cannot_follow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
