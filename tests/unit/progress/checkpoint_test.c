#include "unit/test.h"

#include "base/bytes.h"
#include "progress/checkpoint.h"
#include <stdlib.h>

/* A golden file is the key on its first line and the value on its second ("-": tombstone).
 * What they say may never change: old topics hold them. FRESHET_GOLDEN=write makes them. */
static fr_str read_all(fr_arena *a, const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return (fr_str){NULL, 0};
    }
    char *text = fr_arena_raw(a, 1 << 16);
    size_t n = fread(text, 1, 1 << 16, f);
    fclose(f);
    return (fr_str){text, n};
}

static void golden_path(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/tests/golden/checkpoints/%s.txt", FR_SOURCE_DIR, name);
}

static fr_record golden(fr_arena *a, const char *name)
{
    char path[512];
    golden_path(path, sizeof(path), name);
    fr_str all = read_all(a, path);
    const char *end = all.ptr == NULL ? NULL : memchr(all.ptr, '\n', all.len);
    assert_non_null(end);
    fr_record r = {{all.ptr, (size_t)(end - all.ptr)}, {end + 1, 0}};
    r.value.len = all.len - r.key.len - 2; /* both line ends */
    if (fr_str_is(r.value, "-")) {
        r.value = (fr_str){NULL, 0};
    }
    return r;
}

static void write_golden(const char *name, fr_record r)
{
    char path[512];
    golden_path(path, sizeof(path), name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%.*s\n%.*s\n", FR_ARG(r.key), r.value.ptr == NULL ? 1 : (int)r.value.len,
            r.value.ptr == NULL ? "-" : r.value.ptr);
    fclose(f);
}

static void same_as_golden(fr_arena *a, const char *name, fr_record r)
{
    if (getenv("FRESHET_GOLDEN") != NULL) {
        write_golden(name, r);
    }
    fr_record g = golden(a, name);
    fr_str key = r.key, value = r.value;
    assert_true(fr_str_eq(key, g.key));
    assert_str(value, fr_arena_cstr(a, g.value));
    assert_int_equal(value.ptr == NULL, g.value.ptr == NULL);
}

static fr_chunk_left left[] = {
    {.index = 2, .from = {"[\"17\"]", 6}, .to = {"[\"30\"]", 6}, .after = true},
    {.index = 3, .from = {"[\"30\"]", 6}},
    {.index = 7, .whole = true},
};
static const fr_snapshot_progress progress = {.space = {"public", 6},
                                              .name = {"or\"ders", 7},
                                              .view_resume = {"{\"lsn\":\"0/10\"}", 14},
                                              .view_lsn = UINT64_MAX,
                                              .chunks = 8,
                                              .rows = 123456,
                                              .left = left,
                                              .left_count = 3};
static const fr_topic_fact fact = {.topic = {"erp.public.orders", 17},
                                   .topic_id = {"MkU3OEVBNTcwNTJENDM2Qg", 22},
                                   .partitions = 6,
                                   .partitioner = {"payload", 7}};
static const fr_end ends[] = {{{"erp.public.orders", 17}, 0, 18},
                              {{"erp.public.orders", 17}, 5, 7}};
static const fr_split split = {{"tx 7", 4}, UINT64_MAX, UINT32_MAX};

static void every_record_is_as_it_was(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_str resume = FR_STR("{\"end_lsn\":\"0/20\",\"timeline\":1}");
    same_as_golden(a, "v1-claim", fr_checkpoint_claim(a, FR_STR("host-1/77"), 1764143171402000));
    same_as_golden(a, "v1-stream-creating",
                   fr_checkpoint_stream(a, true, FR_STR(""), NULL, NULL, 0, 5));
    same_as_golden(a, "v1-stream",
                   fr_checkpoint_stream(a, false, resume, NULL, ends, 2, 1764143171402000));
    same_as_golden(a, "v1-stream-split",
                   fr_checkpoint_stream(a, false, resume, &split, NULL, 0, 6));
    same_as_golden(a, "v1-snapshot", fr_checkpoint_snapshot(a, &progress));
    fr_snapshot_progress some = progress;
    some.where = FR_STR("\"id\" > 5\n-- two\tlines");
    same_as_golden(a, "v1-snapshot-where", fr_checkpoint_snapshot(a, &some));
    some.cancelled = true;
    some.left_count = 0;
    same_as_golden(a, "v1-snapshot-cancelled", fr_checkpoint_snapshot(a, &some));
    same_as_golden(a, "v1-topic", fr_checkpoint_topic_fact(a, &fact));
    fr_topic_fact with = fact;
    with.schema = 41;
    same_as_golden(a, "v1-topic-schema", fr_checkpoint_topic_fact(a, &with));
    same_as_golden(a, "v1-ends", fr_checkpoint_ends(a, ends, 2));
    same_as_golden(a, "v1-parked", fr_checkpoint_parked(a, fact.topic, FR_STR("00ff"), false));
    fr_held_fact held = {.space = FR_STR("public"),
                         .name = FR_STR("or\"ders"),
                         .from = resume,
                         .txn = FR_STR("771"),
                         .seen = UINT64_MAX,
                         .code = FR_STR("schema.blocked"),
                         .why = FR_STR("table public.or\"ders: ~grade"),
                         .since_us = 1764143171402000};
    same_as_golden(a, "v1-held", fr_checkpoint_held(a, &held));
    fr_held_fact joined = {.space = held.space, .name = held.name, .from = resume, .joined = true};
    same_as_golden(a, "v1-held-joined", fr_checkpoint_held(a, &joined));
    fr_held_fact asked = {.space = held.space,
                          .name = held.name,
                          .asked = true,
                          .code = FR_STR("operator"),
                          .why = FR_STR("jane: month's end")};
    same_as_golden(a, "v1-held-asked", fr_checkpoint_held(a, &asked));
    same_as_golden(a, "v1-held-released", fr_checkpoint_released(a, held.space, held.name));
    fr_generation_fact generation = {.topic = fact.topic,
                                     .space = held.space,
                                     .name = held.name,
                                     .generation = 2,
                                     .kind = FR_STR("change_type"),
                                     .from = resume,
                                     .txn = FR_STR("771"),
                                     .seen = UINT64_MAX,
                                     .since_us = 1764143171402000};
    same_as_golden(a, "v1-generation", fr_checkpoint_generation(a, &generation));
    same_as_golden(a, "v1-parked-released",
                   fr_checkpoint_parked(a, fact.topic, FR_STR("00ff"), true));
    fr_arena_free(a);
}

static void fold_golden(fr_arena *a, fr_checkpoint *c, const char *name)
{
    fr_err err;
    fr_record r = golden(a, name);
    assert_ok(fr_checkpoint_fold(c, r.key, r.value, &err));
}

static void folds_what_every_record_says(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_checkpoint *c = fr_checkpoint_new();
    fold_golden(a, c, "v1-claim");
    assert_str(c->claim_instance, "host-1/77");
    assert_int_equal(c->claim_us, 1764143171402000);
    fold_golden(a, c, "v1-stream-creating");
    assert_true(c->has_stream && c->creating);
    assert_int_equal(c->resume.len, 0);
    fold_golden(a, c, "v1-stream-split");
    assert_false(c->creating);
    assert_str(c->split.id, "tx 7");
    assert_true(c->split.events == UINT64_MAX && c->split.crc == UINT32_MAX);
    fold_golden(a, c, "v1-stream");
    assert_str(c->resume, "{\"end_lsn\":\"0/20\",\"timeline\":1}");
    assert_int_equal(c->split.id.len, 0);
    assert_int_equal(c->written_us, 1764143171402000);
    fr_end *end = fr_map_get(c->ends, FR_STR("erp.public.orders/5"));
    assert_non_null(end);
    assert_int_equal(end->offset, 7);
    fold_golden(a, c, "v1-topic");
    fr_topic_fact *t = fr_map_get(c->topics, FR_STR("erp.public.orders"));
    assert_str(t->topic_id, "MkU3OEVBNTcwNTJENDM2Qg");
    assert_int_equal(t->partitions, 6);
    assert_str(t->partitioner, "payload");
    assert_int_equal(t->schema, 0);
    fold_golden(a, c, "v1-topic-schema");
    assert_int_equal(t->schema, 41);
    fold_golden(a, c, "v1-topic"); /* the schema is not known any more: position set */
    assert_int_equal(t->schema, 0);
    fold_golden(a, c, "v1-parked");
    assert_int_equal(fr_map_count(c->parked), 1);
    fold_golden(a, c, "v1-parked-released");
    assert_int_equal(fr_map_count(c->parked), 0);
    fr_checkpoint_free(c);
    fr_arena_free(a);
}

static void folds_a_snapshot(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_checkpoint *c = fr_checkpoint_new();
    fr_err err;
    fold_golden(a, c, "v1-snapshot");
    fold_golden(a, c, "v1-snapshot"); /* again: replaced, not kept beside */
    fr_snapshot_progress *p = fr_map_get(c->snapshots, FR_STR("public.or\"ders"));
    assert_non_null(p);
    assert_str(p->name, "or\"ders");
    assert_str(p->view_resume, "{\"lsn\":\"0/10\"}");
    assert_true(p->view_lsn == UINT64_MAX && p->rows == 123456 && p->chunks == 8);
    assert_int_equal(p->left_count, 3);
    assert_str(p->left[0].from, "[\"17\"]");
    assert_true(p->left[0].after && !p->left[0].whole && p->left[2].whole);
    assert_int_equal(p->left[1].to.len, 0);
    assert_ok(fr_checkpoint_fold(c, FR_STR("snapshot/public.or\"ders"), (fr_str){NULL, 0}, &err));
    assert_int_equal(fr_map_count(c->snapshots), 0);
    fr_checkpoint_free(c);
    fr_arena_free(a);
}

static int64_t end_of(fr_checkpoint *c, const char *key)
{
    fr_end *e = fr_map_get(c->ends, fr_cstr(key));
    return e == NULL ? -1 : e->offset;
}

static void fold_text(fr_checkpoint *c, const char *key, const char *value)
{
    fr_err err;
    assert_ok(fr_checkpoint_fold(c, fr_cstr(key), fr_cstr(value), &err));
}

static void snapshots_are_asked_for_and_cancelled(void **state)
{
    (void)state;
    const fr_str space = FR_STR("public"), name = FR_STR("or\"ders"), none = {"", 0};
    const fr_str where = FR_STR("id > 5");
    fr_arena *a = fr_arena_new(0);
    fr_checkpoint *c = fr_checkpoint_new();
    fr_record r;
    fr_err err;
    /* Nothing has begun: there is nothing to cancel, and a condition would hide the first rows. */
    assert_int_equal(fr_checkpoint_cancel(a, c, space, name, &r, &err), FR_FAIL);
    assert_string_equal(err.code, "snapshot.not_under_way");
    assert_int_equal(fr_checkpoint_ask(a, c, space, name, where, &r, &err), FR_FAIL);
    assert_string_equal(err.code, "snapshot.under_way");
    fold_golden(a, c, "v1-stream");
    fold_golden(a, c, "v1-snapshot-where");
    const fr_snapshot_progress *p = fr_map_get(c->snapshots, FR_STR("public.or\"ders"));
    assert_str(p->where, "\"id\" > 5\n-- two\tlines");
    assert_int_equal(fr_checkpoint_ask(a, c, space, name, where, &r, &err), FR_FAIL);
    assert_string_equal(err.code, "snapshot.under_way");
    assert_ok(fr_checkpoint_cancel(a, c, space, name, &r, &err));
    assert_ok(fr_checkpoint_fold(c, r.key, r.value, &err));
    p = fr_map_get(c->snapshots, FR_STR("public.or\"ders"));
    assert_true(p->cancelled && p->left_count == 0 && p->chunks == 8 && p->rows == 123456);
    assert_int_equal(fr_checkpoint_cancel(a, c, space, name, &r, &err), FR_FAIL);
    const fr_str wrong[] = {{"a\0b", 3}, {"\xff", 1}, fr_arena_printf(a, "%5000d", 1)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fr_checkpoint_ask(a, c, space, name, wrong[i], &r, &err), FR_FAIL);
        assert_string_equal(err.code, "snapshot.where");
    }
    assert_ok(fr_checkpoint_ask(a, c, space, name, where, &r, &err));
    assert_ok(fr_checkpoint_fold(c, r.key, r.value, &err));
    p = fr_map_get(c->snapshots, FR_STR("public.or\"ders"));
    assert_str(p->where, "id > 5");
    assert_true(!p->cancelled && p->left_count == 1 && p->left[0].whole && p->rows == 0);
    assert_ok(fr_checkpoint_ask(a, c, space, name, none, &r, &err));
    assert_null(r.value.ptr);
    fr_checkpoint_free(c);
    fr_arena_free(a);
}

static void ends_only_rise_until_the_topic_is_given_up(void **state)
{
    (void)state;
    fr_checkpoint *c = fr_checkpoint_new();
    fr_err err;
    fold_text(c, "ends", "{\"v\":1,\"ends\":[[\"t\",0,10],[\"u\",0,4]]}");
    fold_text(c, "stream", "{\"v\":1,\"resume\":{},\"ends\":[[\"t\",0,12]],\"at\":1}");
    fold_text(c, "ends", "{\"v\":1,\"ends\":[[\"t\",0,11],[\"t\",1,3]]}");
    assert_int_equal(end_of(c, "t/0"), 12);
    assert_int_equal(end_of(c, "t/1"), 3);
    fold_text(c, "topic/t", "{\"v\":1,\"partitions\":2,\"partitioner\":\"payload\"}");
    assert_ok(fr_checkpoint_fold(c, FR_STR("topic/t"), (fr_str){NULL, 0}, &err));
    assert_int_equal(end_of(c, "t/0"), -1);
    assert_int_equal(end_of(c, "u/0"), 4);
    fold_text(c, "ends", "{\"v\":1,\"ends\":[[\"t\",0,2]]}");
    assert_int_equal(end_of(c, "t/0"), 2);
    fr_checkpoint_free(c);
}

static void memory_stays_what_is_true_at_the_end(void **state)
{
    (void)state;
    fr_checkpoint *c = fr_checkpoint_new();
    for (int i = 0; i < 20000; i++) {
        fold_text(c, "stream",
                  "{\"v\":1,\"resume\":{\"lsn\":\"0/1234567\"},\"ends\":[[\"t\",0,12]],\"at\":1}");
    }
    assert_true(fr_arena_used(c->arena) < 4096);
    fr_checkpoint_free(c);
}

static void refuses_what_it_cannot_read(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } BAD[] = {
        {"stream", "{\"v\":2,\"resume\":{}}", "newer freshet (version 2"},
        {"stream", "{\"resume\":{}}", "no version"},
        {"stream", "[1]", "no version"},
        {"stream", "{\"v\":1", "JSON, line 1"},
        {"stream", "{\"v\":1,\"v\":1}", "JSON, line 1"},
        {"stream", "{\"v\":1,\"at\":1}", "without resume"},
        {"stream", "{\"v\":1,\"resume\":{}}", "without time"},
        {"stream", "{\"v\":1,\"resume\":{},\"at\":1,\"split\":{\"id\":\"x\"}}",
         "split transaction"},
        {"stream", "{\"v\":1,\"resume\":{},\"at\":1,\"ends\":[[\"t\",-1,2]]}",
         "an end that is not"},
        {"ends", "{\"v\":1,\"ends\":[[\"t\",0]]}", "an end that is not"},
        {"claim", "{\"v\":1}", "a claim without"},
        {"topic/t", "{\"v\":1,\"partitions\":0}", "without partitions"},
        {"topic/t", "{\"v\":1,\"partitions\":1,\"schema\":\"7\"}", "whose schema has no id"},
        {"topic/t", "{\"v\":1,\"partitions\":1,\"schema\":-7}", "whose schema has no id"},
        {"snapshot/a.b", "{\"v\":1,\"table\":\"b\",\"left\":[]}", "a snapshot without"},
        {"snapshot/a.b",
         "{\"v\":1,\"table\":\"b\",\"view_lsn\":\"-1\",\"rows\":\"1\",\"chunks\":1,\"left\":[]}",
         "a snapshot without"},
        {"topic/", "{\"v\":1}", "does not know"},
        {"holding/a.b", "{\"v\":1}", "does not know"},
        {"held/a.b", "{\"v\":1}", "a held table without"},
        {"held/a.b", "{\"v\":1,\"table\":\"b\"}", "a held table without"},
        {"held/a.b", "{\"v\":1,\"table\":\"b\",\"txn\":\"7\",\"since\":1}", "a held table without"},
        {"generation/t", "{\"v\":1}", "a table's generation without"},
        {"generation/t", "{\"v\":1,\"table\":\"b\",\"since\":1,\"generation\":1}",
         "a table's generation without"},
        {"generation/t", "{\"v\":1,\"table\":\"b\",\"since\":1,\"generation\":4294967296}",
         "a table's generation without"},
        {"generation/t", "{\"v\":1,\"table\":\"b\",\"since\":1,\"generation\":2,\"txn\":\"7\"}",
         "a table's generation without"},
        {"", "{\"v\":1}", "does not know"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        fr_err err;
        fr_checkpoint *c = fr_checkpoint_new();
        assert_fails(fr_checkpoint_fold(c, fr_cstr(BAD[i].key), fr_cstr(BAD[i].value), &err),
                     FR_ERR_POSITION);
        assert_string_equal(err.code, "checkpoint.record");
        if (strstr(err.text, BAD[i].says) == NULL || strstr(err.text, BAD[i].key) == NULL) {
            print_error("\"%s\" lacks \"%s\"\n", err.text, BAD[i].says);
            fail();
        }
        fr_checkpoint_free(c);
    }
}

/* A position that is no JSON object (it should be) must still come back as it was. */
static void any_resume_comes_back(void **state)
{
    (void)state;
    static const char *const RESUMES[] = {"{\"a\":\"b\"}", "plain", "{broken", "[1,2]", "{} {}"};
    fr_arena *a = fr_arena_new(0);
    fr_err err;
    for (size_t i = 0; i < sizeof(RESUMES) / sizeof(RESUMES[0]); i++) {
        fr_checkpoint *c = fr_checkpoint_new();
        fr_record r = fr_checkpoint_stream(a, false, fr_cstr(RESUMES[i]), NULL, NULL, 0, 1);
        assert_ok(fr_checkpoint_fold(c, r.key, r.value, &err));
        assert_str(c->resume, RESUMES[i]);
        fr_checkpoint_free(c);
    }
    fr_arena_free(a);
}

static void folds_what_is_held(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_checkpoint *c = fr_checkpoint_new();
    fold_golden(a, c, "v1-held");
    const fr_held_fact *h = fr_map_get(c->held, FR_STR("public.or\"ders"));
    assert_non_null(h);
    assert_str(h->space, "public");
    assert_str(h->from, "{\"end_lsn\":\"0/20\",\"timeline\":1}");
    assert_str(h->txn, "771");
    assert_true(h->seen == UINT64_MAX && !h->joined && !h->asked);
    assert_str(h->code, "schema.blocked");
    assert_true(h->since_us == 1764143171402000);
    fold_golden(a, c, "v1-held-joined");
    h = fr_map_get(c->held, FR_STR("public.or\"ders"));
    assert_true(h->joined && h->txn.len == 0);
    fold_golden(a, c, "v1-held-asked");
    h = fr_map_get(c->held, FR_STR("public.or\"ders"));
    assert_true(h->asked && !h->joined && h->from.len == 0);
    assert_str(h->why, "jane: month's end");
    fold_golden(a, c, "v1-held-released");
    assert_int_equal(fr_map_count(c->held), 0);
    fr_checkpoint_free(c);
    fr_arena_free(a);
}

static void shows_the_whole(void **state)
{
    (void)state;
    fr_arena *a = fr_arena_new(0);
    fr_checkpoint *c = fr_checkpoint_new();
    assert_str(fr_checkpoint_json(a, c),
               "{\"v\":1,\"stream\":null,\"claim\":null,\"snapshots\":{},"
               "\"topics\":{},\"tables\":{},\"held\":{},\"ends\":{},\"parked\":{}}");
    fold_golden(a, c, "v1-stream-creating");
    fold_golden(a, c, "v1-claim");
    fold_golden(a, c, "v1-topic");
    fold_golden(a, c, "v1-ends");
    fold_golden(a, c, "v1-parked");
    fold_golden(a, c, "v1-table");
    fold_golden(a, c, "v1-table"); /* the newer one takes its place */
    assert_str(
        fr_checkpoint_json(a, c),
        "{\"v\":1,\"stream\":{\"v\":1,\"state\":\"creating\",\"ends\":[],\"at\":5},"
        "\"claim\":{\"v\":1,\"instance\":\"host-1/77\",\"at\":1764143171402000},\"snapshots\":{},"
        "\"topics\":{\"erp.public.orders\":{\"v\":1,\"id\":\"MkU3OEVBNTcwNTJENDM2Qg\","
        "\"partitions\":6,\"partitioner\":\"payload\"}},"
        "\"tables\":{\"public.orders\":{\"v\":1,\"page\":12,\"rows\":345,\"order\":[\"at\",\"id\"],"
        "\"at\":[\"2026-11-26 08:26:11.402+00\",\"17\"],\"cursor\":1795681571402000,"
        "\"bound\":1795681572000000,\"server\":1795681573000000,\"wall\":1795681573000001,"
        "\"settled\":7,\"candidate\":[9,1795681573000000],\"gaps\":[[8,8,0],[11,20,5]]}},"
        "\"held\":{},\"ends\":{\"erp.public.orders/0\":18,\"erp.public.orders/5\":7},"
        "\"parked\":{\"erp.public.orders/00ff\":{\"v\":1}}}");
    fr_checkpoint_free(c);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_as_it_was),
        cmocka_unit_test(folds_what_every_record_says),
        cmocka_unit_test(folds_a_snapshot),
        cmocka_unit_test(folds_what_is_held),
        cmocka_unit_test(snapshots_are_asked_for_and_cancelled),
        cmocka_unit_test(ends_only_rise_until_the_topic_is_given_up),
        cmocka_unit_test(memory_stays_what_is_true_at_the_end),
        cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(any_resume_comes_back),
        cmocka_unit_test(shows_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
