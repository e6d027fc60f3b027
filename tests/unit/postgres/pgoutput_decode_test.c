/* pgoutput: captures of real servers against their expected events, and messages made by
 * hand for what a server would not send twice. */
#include "tools/pgoutput_file.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* --- captures --- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(1, size + 1);
    assert_int_equal(fread(text, 1, size, file), size);
    fclose(file);
    return text;
}

/* NAME.text.hex and NAME.binary.hex have the events of NAME.events; NAME.other.hex those of
 * NAME.other.events. */
static char *expected_of(const char *hex)
{
    char path[600];
    size_t n = strlen(hex) - 4;
    if (strstr(hex, ".text.hex") != NULL)
        n -= 5;
    if (strstr(hex, ".binary.hex") != NULL)
        n -= 7;
    snprintf(path, sizeof(path), "%.*s.events", (int)n, hex);
    return read_file(path);
}

static void each_capture(void (*check)(const char *path, const fr_capture *c))
{
    glob_t found;
    assert_int_equal(glob(FR_SOURCE_DIR "/tests/wire/pgoutput/*.hex", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        fr_capture c;
        assert_true(fr_capture_read(&c, found.gl_pathv[i]));
        assert_true(c.count > 5);
        check(found.gl_pathv[i], &c);
        fr_capture_free(&c);
    }
    globfree(&found);
}

static void check_events(const char *path, const fr_capture *c)
{
    static const size_t sizes[] = {1000, 1, 2, 7};
    char *want = expected_of(path);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fr_buf out = {0};
        fr_err err;
        if (fr_capture_events(c, sizes[i], &out, &err) == FR_FAIL)
            fail_msg("%s: %s", path, err.text);
        fr_buf_u8(&out, 0);
        if (strcmp((char *)out.ptr, want) != 0)
            fail_msg("%s: other events in batches of %zu", path, sizes[i]);
        fr_buf_free(&out);
    }
    free(want);
}

/* A server's message cut short anywhere is a typed error; so is one with a byte too many. */
static void check_cuts(const char *path, const fr_capture *c)
{
    (void)path;
    fr_pgoutput_calls calls = {0};
    fr_pgoutput *p = fr_pgoutput_new(&calls, c->catalog, 1);
    fr_batch *b = fr_batch_new(100000, 1 << 30);
    fr_err err;
    for (size_t i = 0; i < c->count; i++) {
        fr_str whole = c->messages[i].bytes;
        for (size_t n = 0; n <= whole.len + 1; n++) {
            if (n == whole.len)
                continue;
            char *bytes = calloc(1, n > 0 ? n : 1);
            memcpy(bytes, whole.ptr, n < whole.len ? n : whole.len);
            assert_int_equal(fr_pgoutput_message(p, b, (fr_str){bytes, n}, 1, &err), FR_FAIL);
            assert_int_equal(err.kind, FR_ERR_BUG);
            assert_string_equal(err.code, "pgoutput.malformed");
            free(bytes);
        }
        assert_int_equal(fr_pgoutput_message(p, b, whole, c->messages[i].lsn, &err), FR_OK);
    }
    fr_batch_free(b);
    fr_pgoutput_free(p);
}

static void captures_give_their_events(void **state)
{
    (void)state;
    each_capture(check_events);
}

static void cut_messages_are_errors(void **state)
{
    (void)state;
    each_capture(check_cuts);
}

/* --- by hand --- */

typedef struct bench { /* a decoder, a batch, and what describe and lookup shall say */
    fr_pgoutput *p;
    fr_pg_catalog *catalog;
    fr_batch *b;
    fr_err err;
    fr_buf m;       /* the message at hand */
    fr_arena *kept; /* messages, which must outlive the batch */
    bool not_captured, primary_second, has_type;
    int described, looked_up;
    const char *doc, *fallback;
    bool not_null[8];
} bench;

static fr_rc describe(void *context, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    bench *t = context;
    (void)a;
    (void)err;
    t->described++;
    r->captured = !t->not_captured;
    if (t->doc != NULL)
        r->doc = fr_cstr(t->doc);
    for (size_t i = 0; i < r->column_count && i < 8; i++)
        r->columns[i].nullable = !t->not_null[i];
    if (t->fallback != NULL)
        r->columns[1].fallback = fr_cstr(t->fallback);
    if (t->primary_second)
        r->columns[1].primary = 1;
    return FR_OK;
}

static fr_rc lookup(void *context, uint32_t oid, fr_pg_catalog *catalog, fr_err *err)
{
    bench *t = context;
    (void)err;
    t->looked_up++;
    fr_pg_type type = {.oid = oid,
                       .space = FR_STR("shop"),
                       .name = FR_STR("mood"),
                       .typtype = 'e',
                       .category = 'E',
                       .delimiter = ',',
                       .length = 4,
                       .base_typmod = -1,
                       .storage = 'p'};
    if (t->has_type)
        fr_pg_catalog_add(catalog, &type);
    return FR_OK;
}

static void bench_open(bench *t, size_t max_events, size_t max_bytes)
{
    memset(t, 0, sizeof(*t));
    fr_pgoutput_calls calls = {t, describe, lookup};
    t->catalog = fr_pg_catalog_new();
    t->p = fr_pgoutput_new(&calls, t->catalog, 3);
    t->b = fr_batch_new(max_events, max_bytes);
    t->kept = fr_arena_new(0);
}

static void bench_close(bench *t)
{
    fr_batch_free(t->b);
    fr_pgoutput_free(t->p);
    fr_pg_catalog_free(t->catalog);
    fr_arena_free(t->kept);
    fr_buf_free(&t->m);
}

static fr_rc send_at(bench *t, uint64_t lsn)
{
    fr_str message = fr_arena_str(t->kept, fr_buf_view(&t->m));
    return fr_pgoutput_message(t->p, t->b, message, lsn, &t->err);
}

static void start(bench *t, char tag)
{
    t->m.len = 0;
    fr_buf_u8(&t->m, (uint8_t)tag);
}

static void put_name(bench *t, const char *name)
{
    fr_buf_put(&t->m, name, strlen(name) + 1);
}

static void begin_txn(bench *t, uint64_t commit_lsn, uint32_t xid)
{
    start(t, 'B');
    fr_buf_u64be(&t->m, commit_lsn);
    fr_buf_u64be(&t->m, 1000000); /* one second into 2000 */
    fr_buf_u32be(&t->m, xid);
    assert_int_equal(send_at(t, 10), FR_OK);
}

static void put_commit(bench *t, uint64_t commit_lsn, uint64_t end_lsn)
{
    start(t, 'C');
    fr_buf_u8(&t->m, 0);
    fr_buf_u64be(&t->m, commit_lsn);
    fr_buf_u64be(&t->m, end_lsn);
    fr_buf_u64be(&t->m, 1000000);
}

/* shop.t(id int, v of a type); flags: which are the identity. */
static void put_relation(bench *t, uint32_t oid, char identity, unsigned flags, uint32_t type)
{
    start(t, 'R');
    fr_buf_u32be(&t->m, oid);
    put_name(t, "shop");
    put_name(t, "t");
    fr_buf_u8(&t->m, (uint8_t)identity);
    fr_buf_u16be(&t->m, 2);
    fr_buf_u8(&t->m, flags & 1);
    put_name(t, "id");
    fr_buf_u32be(&t->m, 23);
    fr_buf_u32be(&t->m, UINT32_MAX);
    fr_buf_u8(&t->m, flags >> 1 & 1);
    put_name(t, "v");
    fr_buf_u32be(&t->m, type);
    fr_buf_u32be(&t->m, UINT32_MAX);
}

/* One row, columns as text: NULL is null, "<u>" unchanged. */
static void put_row(bench *t, char kind, const char *id, const char *v)
{
    const char *values[2] = {id, v};
    fr_buf_u8(&t->m, (uint8_t)kind);
    fr_buf_u16be(&t->m, 2);
    for (int i = 0; i < 2; i++) {
        if (values[i] == NULL || strcmp(values[i], "<u>") == 0) {
            fr_buf_u8(&t->m, values[i] == NULL ? 'n' : 'u');
            continue;
        }
        fr_buf_u8(&t->m, 't');
        fr_buf_u32be(&t->m, (uint32_t)strlen(values[i]));
        fr_buf_text(&t->m, values[i]);
    }
}

static void put_change(bench *t, char tag, uint32_t oid)
{
    start(t, tag);
    fr_buf_u32be(&t->m, oid);
}

static fr_rc insert(bench *t, uint32_t oid, const char *id, const char *v)
{
    put_change(t, 'I', oid);
    put_row(t, 'N', id, v);
    return send_at(t, 20);
}

static void relation_ok(bench *t, uint32_t oid, char identity, unsigned flags, uint32_t type)
{
    put_relation(t, oid, identity, flags, type);
    assert_int_equal(send_at(t, 11), FR_OK);
}

static const fr_event *last(const bench *t)
{
    assert_true(t->b->count > 0);
    return &t->b->events[t->b->count - 1];
}

static void fails(bench *t, const char *code)
{
    size_t before = t->b->count;
    assert_int_equal(send_at(t, 99), FR_FAIL);
    assert_string_equal(t->err.code, code);
    assert_int_equal(t->b->count, before);
}

static void positions_and_commit(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    assert_true(fr_pgoutput_where(t.p)->in_txn);
    relation_ok(&t, 1, 'd', 1, 25);
    assert_int_equal(insert(&t, 1, "1", "a"), FR_OK);
    assert_int_equal(insert(&t, 1, "2", "b"), FR_OK);
    const fr_event *e = last(&t);
    assert_int_equal(e->position.lsn, 500);
    assert_int_equal(e->position.row_lsn, 20);
    assert_int_equal(e->position.ordinal, 1);
    assert_int_equal(e->position.epoch, 3);
    assert_true(fr_str_is(e->txn->id, "42"));
    assert_int_equal(e->txn->commit_us, 946684801000000);
    assert_ptr_equal(e->txn, t.b->events[0].txn); /* one copy a batch */
    put_commit(&t, 500, 540);
    assert_int_equal(send_at(&t, 30), FR_OK);
    e = last(&t);
    assert_int_equal(e->op, FR_OP_COMMIT);
    assert_int_equal(e->position.lsn, 500);
    assert_int_equal(e->position.row_lsn, 540);
    assert_int_equal(e->position.resume.len, 0);
    assert_int_equal(fr_pgoutput_where(t.p)->end_lsn, 540);
    assert_false(fr_pgoutput_where(t.p)->in_txn);
    bench_close(&t);
}

static void tables_come_once_a_version(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    t.fallback = "'x'::text";
    relation_ok(&t, 1, 'd', 1, 25);
    assert_int_equal(t.b->count, 1); /* not before a row */
    insert(&t, 1, "1", "a");
    assert_int_equal(t.b->count, 3);
    const fr_event *e = &t.b->events[1];
    assert_int_equal(e->op, FR_OP_TABLE);
    assert_int_equal(e->table->version, 1);
    assert_int_equal(e->table->source_id, 1);
    assert_true(fr_str_is(e->table->columns[1].fallback, "\"x\""));
    assert_true(e->table->columns[1].may_be_absent);
    assert_false(e->table->columns[0].may_be_absent);
    assert_false(e->table->columns[0].nullable); /* an identity column */
    relation_ok(&t, 1, 'd', 1, 25);              /* sent again, unchanged */
    insert(&t, 1, "2", "b");
    assert_int_equal(t.b->count, 4);
    t.doc = "a comment";
    relation_ok(&t, 1, 'd', 1, 25);
    insert(&t, 1, "3", "c");
    assert_int_equal(t.b->count, 6);
    assert_int_equal(t.b->events[4].op, FR_OP_TABLE);
    assert_int_equal(t.b->events[4].table->version, 2);
    assert_true(fr_str_is(t.b->events[4].table->doc, "a comment"));
    relation_ok(&t, 1, 'd', 1, 23); /* v is an integer now */
    insert(&t, 1, "4", "5");
    assert_int_equal(last(&t)->table->version, 3);
    assert_int_equal(last(&t)->after.values[1].kind, FR_INT32);
    assert_int_equal(t.described, 4);
    bench_close(&t);
}

static void what_is_not_captured_still_counts(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    relation_ok(&t, 1, 'd', 1, 25);
    t.not_captured = true;
    relation_ok(&t, 2, 'd', 1, 99999); /* nor is its type looked up */
    insert(&t, 1, "1", "a");
    size_t count = t.b->count;
    assert_int_equal(insert(&t, 2, "1", "a"), FR_OK);
    assert_int_equal(insert(&t, 2, "2", "a"), FR_OK);
    assert_int_equal(t.b->count, count);
    assert_int_equal(t.looked_up, 0);
    insert(&t, 1, "2", "a");
    assert_int_equal(last(&t)->position.ordinal, 3);
    start(&t, 'T');
    fr_buf_u32be(&t.m, 2);
    fr_buf_u8(&t.m, 1);
    fr_buf_u32be(&t.m, 2);
    fr_buf_u32be(&t.m, 1);
    assert_int_equal(send_at(&t, 25), FR_OK);
    assert_int_equal(last(&t)->op, FR_OP_TRUNCATE);
    assert_int_equal(last(&t)->position.ordinal, 5);
    bench_close(&t);
}

static void old_rows(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    relation_ok(&t, 1, 'd', 1, 25);
    put_change(&t, 'U', 1); /* the key did not change */
    put_row(&t, 'N', "1", "<u>");
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_int_equal(last(&t)->before.count, 0);
    assert_int_equal(last(&t)->after.values[1].kind, FR_ABSENT);
    put_change(&t, 'U', 1); /* it did */
    put_row(&t, 'K', "1", NULL);
    put_row(&t, 'N', "2", "<u>");
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_int_equal(last(&t)->before.values[0].integer, 1);
    assert_int_equal(last(&t)->before.values[1].kind, FR_ABSENT); /* not NULL */
    assert_int_equal(last(&t)->after.values[0].integer, 2);
    put_change(&t, 'D', 1);
    put_row(&t, 'K', "2", NULL);
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_int_equal(last(&t)->op, FR_OP_DELETE);
    assert_int_equal(last(&t)->after.count, 0);
    assert_int_equal(last(&t)->before.values[1].kind, FR_ABSENT);
    relation_ok(&t, 1, 'f', 3, 25); /* FULL: an unchanged value is in the old row (C18) */
    put_change(&t, 'U', 1);
    put_row(&t, 'O', "2", "long");
    put_row(&t, 'N', "3", "<u>");
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_true(last(&t)->table->full_before);
    assert_true(fr_str_is(last(&t)->after.values[1].bytes, "long"));
    put_change(&t, 'U', 1);
    put_row(&t, 'O', "2", NULL);
    put_row(&t, 'N', "3", "new");
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_int_equal(last(&t)->before.values[1].kind, FR_NULL);
    bench_close(&t);
}

static void the_log_wins_over_the_catalog(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    t.not_null[1] = true;
    relation_ok(&t, 1, 'd', 1, 25);
    insert(&t, 1, "1", "a");
    assert_false(last(&t)->table->columns[1].nullable);
    insert(&t, 1, "2", NULL); /* logged before SET NOT NULL */
    assert_true(last(&t)->table->columns[1].nullable);
    assert_int_equal(last(&t)->table->version, 2);
    assert_int_equal(last(&t)->after.values[1].kind, FR_NULL);
    assert_int_equal(last(&t)[-1].op, FR_OP_TABLE);
    insert(&t, 1, "3", NULL);
    assert_int_equal(last(&t)->table->version, 2);
    bench_close(&t);
}

static void keys(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    t.primary_second = true;        /* the primary key is v */
    relation_ok(&t, 1, 'i', 1, 25); /* but the log's old rows have id only */
    insert(&t, 1, "1", "a");
    assert_int_equal(last(&t)->table->columns[0].key_ordinal, 1);
    assert_int_equal(last(&t)->table->columns[1].key_ordinal, 0);
    relation_ok(&t, 1, 'i', 3, 25); /* they have both */
    insert(&t, 1, "1", "a");
    assert_int_equal(last(&t)->table->columns[0].key_ordinal, 0);
    assert_int_equal(last(&t)->table->columns[1].key_ordinal, 1);
    relation_ok(&t, 1, 'f', 3, 25);
    insert(&t, 1, "1", "a");
    assert_int_equal(last(&t)->table->columns[1].key_ordinal, 1);
    t.primary_second = false;
    relation_ok(&t, 1, 'f', 3, 25); /* FULL marks every column, which is no key */
    insert(&t, 1, "1", "a");
    assert_int_equal(fr_table_key_count(last(&t)->table), 0);
    bench_close(&t);
}

static void bad_values_keep_their_place(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    relation_ok(&t, 1, 'd', 1, 1082);
    assert_int_equal(insert(&t, 1, "1", "infinity"), FR_OK);
    const fr_event *e = last(&t);
    const char *bad = fr_arena_cstr(t.kept, e->bad);
    assert_string_equal(bad,
                        "shop.t column v (date) at 0/14: infinity is no point in time; publish "
                        "it as text with columns.types: {v: string}");
    assert_int_equal(e->after.values[0].integer, 1); /* the key is there */
    assert_int_equal(e->after.values[1].kind, FR_ABSENT);
    insert(&t, 1, "2", "secret-value");
    assert_true(last(&t)->bad.len > 0);
    assert_null(strstr(fr_arena_cstr(t.kept, last(&t)->bad), "secret"));
    insert(&t, 1, "3", "2024-01-01");
    assert_int_equal(last(&t)->bad.len, 0);
    assert_int_equal(last(&t)->position.ordinal, 2);
    bench_close(&t);
}

static void unknown_types_are_looked_up_once(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    begin_txn(&t, 500, 42);
    put_relation(&t, 1, 'd', 1, 70000);
    fails(&t, "pg.type_unknown");
    assert_int_equal(t.looked_up, 1);
    assert_non_null(strstr(t.err.text, "shop.t column v"));
    t.has_type = true;
    relation_ok(&t, 1, 'd', 1, 70000);
    assert_int_equal(t.looked_up, 2);
    assert_int_equal(insert(&t, 1, "1", "ok"), FR_OK);
    assert_true(fr_str_is(last(&t)->table->columns[1].native_type, "shop.mood"));
    relation_ok(&t, 2, 'd', 1, 70000);
    assert_int_equal(t.looked_up, 2);
    put_relation(&t, 3, 'd', 1, 2249); /* record, which no column can have */
    t.has_type = false;
    fails(&t, "pg.type_unknown");
    put_change(&t, 'I', 3); /* and its rows are not taken for those of another's table */
    put_row(&t, 'N', "1", "ok");
    fails(&t, "pgoutput.malformed");
    bench_close(&t);
}

static void messages_have_ordinals(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    for (int transactional = 0; transactional < 2; transactional++) {
        if (transactional != 0)
            begin_txn(&t, 500, 42);
        start(&t, 'M');
        fr_buf_u8(&t.m, (uint8_t)transactional);
        fr_buf_u64be(&t.m, 400);
        put_name(&t, "app");
        fr_buf_u32be(&t.m, 2);
        fr_buf_text(&t.m, "hi");
        assert_int_equal(send_at(&t, 20), FR_OK);
        const fr_event *e = last(&t);
        assert_int_equal(e->op, FR_OP_MESSAGE);
        assert_true(fr_str_is(e->name, "app"));
        assert_true(fr_str_is(e->body, "hi"));
        assert_int_equal(e->position.lsn, transactional != 0 ? 500 : 400);
        assert_int_equal(e->position.row_lsn, 400);
        assert_int_equal(e->position.ordinal, 0);
        assert_true((e->txn != NULL) == (transactional != 0));
    }
    assert_int_equal(fr_pgoutput_where(t.p)->ordinal, 1);
    start(&t, 'M'); /* not transactional, inside a transaction */
    fr_buf_u8(&t.m, 0);
    fr_buf_u64be(&t.m, 400);
    put_name(&t, "app");
    fr_buf_u32be(&t.m, 0);
    fails(&t, "pgoutput.malformed");
    bench_close(&t);
}

static void origin_and_type_are_passed_over(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    start(&t, 'O');
    fr_buf_u64be(&t.m, 1);
    put_name(&t, "upstream");
    assert_int_equal(send_at(&t, 1), FR_OK);
    start(&t, 'Y');
    fr_buf_u32be(&t.m, 70000);
    put_name(&t, "shop");
    put_name(&t, "mood");
    assert_int_equal(send_at(&t, 1), FR_OK);
    assert_int_equal(t.b->count, 0);
    fr_buf_u8(&t.m, 0);
    fails(&t, "pgoutput.malformed");
    bench_close(&t);
}

static void wrong_order_is_fatal(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 1 << 20);
    put_commit(&t, 500, 540);
    fails(&t, "pgoutput.malformed");
    relation_ok(&t, 1, 'd', 1, 25);
    put_change(&t, 'I', 1);
    put_row(&t, 'N', "1", "a");
    fails(&t, "pgoutput.malformed"); /* no Begin */
    begin_txn(&t, 500, 42);
    start(&t, 'B');
    fr_buf_u64be(&t.m, 600);
    fr_buf_u64be(&t.m, 0);
    fr_buf_u32be(&t.m, 43);
    fails(&t, "pgoutput.malformed"); /* two of them */
    put_change(&t, 'I', 9);
    put_row(&t, 'N', "1", "a");
    fails(&t, "pgoutput.malformed"); /* no Relation */
    put_commit(&t, 501, 540);
    fails(&t, "pgoutput.malformed"); /* of another transaction */
    put_change(&t, 'I', 1);
    put_row(&t, 'K', "1", "a");
    fails(&t, "pgoutput.malformed"); /* an insert of an old row */
    put_change(&t, 'D', 1);
    put_row(&t, 'N', "1", "a");
    fails(&t, "pgoutput.malformed");
    put_relation(&t, 1, 'x', 1, 25);
    fails(&t, "pgoutput.malformed");
    start(&t, 'S'); /* a stream of protocol 2 */
    fails(&t, "pgoutput.unknown_message");
    assert_int_equal(t.err.kind, FR_ERR_BUG);
    assert_int_equal(fr_err_retry(t.err.kind), FR_RETRY_NEVER);
    bench_close(&t);
}

static void a_full_batch_loses_nothing(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 2, 1 << 20);
    begin_txn(&t, 500, 42);
    relation_ok(&t, 1, 'd', 1, 25);
    relation_ok(&t, 2, 'd', 1, 25);
    assert_int_equal(insert(&t, 1, "1", "a"), FR_IDLE); /* room for TABLE only */
    assert_int_equal(last(&t)->op, FR_OP_TABLE);
    fr_batch_reset(t.b);
    assert_int_equal(insert(&t, 1, "1", "a"), FR_OK);
    assert_int_equal(last(&t)->position.ordinal, 0);
    assert_true(fr_str_is(last(&t)->txn->id, "42"));
    start(&t, 'T'); /* TABLE and TRUNCATE of 2 in between */
    fr_buf_u32be(&t.m, 3);
    fr_buf_u8(&t.m, 0);
    fr_buf_u32be(&t.m, 1);
    fr_buf_u32be(&t.m, 2);
    fr_buf_u32be(&t.m, 1);
    assert_int_equal(send_at(&t, 20), FR_IDLE);
    assert_int_equal(last(&t)->op, FR_OP_TRUNCATE);
    assert_int_equal(last(&t)->position.ordinal, 1);
    fr_batch_reset(t.b);
    assert_int_equal(send_at(&t, 20), FR_IDLE);
    assert_int_equal(t.b->events[0].op, FR_OP_TABLE);
    assert_int_equal(last(&t)->table->source_id, 2);
    assert_int_equal(last(&t)->position.ordinal, 2);
    fr_batch_reset(t.b);
    assert_int_equal(send_at(&t, 20), FR_OK);
    assert_int_equal(t.b->count, 1);
    assert_int_equal(last(&t)->table->source_id, 1);
    assert_int_equal(last(&t)->position.ordinal, 3);
    bench_close(&t);
}

/* A row above max_bytes, with values that are built in the arena, still has its event. */
static void a_huge_row_is_kept(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, 100, 4096);
    begin_txn(&t, 500, 42);
    relation_ok(&t, 1, 'd', 1, 17);
    char *hex = malloc(100003);
    memset(hex, 'a', 100002);
    memcpy(hex, "\\x", 2);
    hex[100002] = '\0';
    assert_int_equal(insert(&t, 1, "1", hex), FR_OK);
    assert_int_equal(last(&t)->after.values[1].bytes.len, 50000);
    assert_true(fr_batch_full(t.b));
    assert_int_equal(insert(&t, 1, "2", hex), FR_IDLE);
    fr_batch_reset(t.b);
    assert_int_equal(insert(&t, 1, "2", hex), FR_OK);
    free(hex);
    bench_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures_give_their_events),
        cmocka_unit_test(cut_messages_are_errors),
        cmocka_unit_test(positions_and_commit),
        cmocka_unit_test(tables_come_once_a_version),
        cmocka_unit_test(what_is_not_captured_still_counts),
        cmocka_unit_test(old_rows),
        cmocka_unit_test(the_log_wins_over_the_catalog),
        cmocka_unit_test(keys),
        cmocka_unit_test(bad_values_keep_their_place),
        cmocka_unit_test(unknown_types_are_looked_up_once),
        cmocka_unit_test(messages_have_ordinals),
        cmocka_unit_test(origin_and_type_are_passed_over),
        cmocka_unit_test(wrong_order_is_fatal),
        cmocka_unit_test(a_full_batch_loses_nothing),
        cmocka_unit_test(a_huge_row_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
