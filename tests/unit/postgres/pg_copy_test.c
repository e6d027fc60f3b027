/* Rows of COPY in both formats become the READ events that a stream's rows would be. */
#include "connectors/postgres/pg_copy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char magic[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* 19 with the last NUL */

typedef struct bench {
    fr_pg_catalog *catalog;
    fr_pg_layout *layout;
    fr_batch *b;
    fr_pg_copy copy;
    fr_arena *kept;
    fr_err err;
} bench;

static fr_pg_attr attr(const char *name, uint32_t type)
{
    return (fr_pg_attr){.name = fr_cstr(name), .type = type, .typmod = -1, .nullable = true};
}

static void bench_open(bench *t, bool binary, size_t max_events)
{
    memset(t, 0, sizeof(*t));
    fr_pg_attr columns[] = {attr("id", 23), attr("name", 25), attr("day", 1082)};
    columns[0].identity = true;
    columns[0].primary = 1;
    columns[1].nullable = false;
    fr_pg_relation r = {.oid = 77,
                        .space = FR_STR("shop"),
                        .name = FR_STR("t"),
                        .identity = 'd',
                        .column_count = 3,
                        .columns = columns};
    t->catalog = fr_pg_catalog_new();
    assert_int_equal(fr_pg_layout_new(t->catalog, &r, 1, &t->layout, &t->err), FR_OK);
    t->b = fr_batch_new(max_events, 1 << 20);
    t->kept = fr_arena_new(0);
    t->copy = (fr_pg_copy){.layout = t->layout, .binary = binary, .view_lsn = 900, .epoch = 2};
}

static void bench_close(bench *t)
{
    fr_pg_copy_end(&t->copy);
    fr_batch_free(t->b);
    fr_pg_layout_free(t->layout);
    fr_pg_catalog_free(t->catalog);
    fr_arena_free(t->kept);
}

static fr_rc give(bench *t, const void *bytes, size_t len)
{
    return fr_pg_copy_row(&t->copy, t->b, fr_arena_copy(t->kept, bytes, len), &t->err);
}

static fr_rc give_text(bench *t, const char *row)
{
    return give(t, row, strlen(row));
}

static const fr_event *last(const bench *t)
{
    assert_true(t->b->count > 0);
    return &t->b->events[t->b->count - 1];
}

static void put_row(fr_buf *m, int32_t id, const char *name, int day)
{
    fr_buf_u16be(m, 3);
    fr_buf_u32be(m, 4);
    fr_buf_u32be(m, (uint32_t)id);
    fr_buf_u32be(m, name == NULL ? UINT32_MAX : (uint32_t)strlen(name));
    fr_buf_text(m, name == NULL ? "" : name);
    fr_buf_u32be(m, 4);
    fr_buf_u32be(m, (uint32_t)day);
}

static void binary_rows(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, true, 100);
    fr_buf m = {.arena = t.kept};
    fr_buf_put(&m, magic, 19);
    put_row(&m, 7, "seven", 0); /* the head comes with the first row */
    assert_int_equal(give(&t, m.ptr, m.len), FR_OK);
    assert_int_equal(t.b->count, 2);
    assert_int_equal(t.b->events[0].op, FR_OP_TABLE);
    const fr_event *e = last(&t);
    assert_int_equal(e->op, FR_OP_READ);
    assert_int_equal(e->position.lsn, 900);
    assert_int_equal(e->position.epoch, 2);
    assert_null(e->txn);
    assert_int_equal(e->after.values[0].integer, 7);
    assert_true(fr_str_is(e->after.values[1].bytes, "seven"));
    assert_int_equal(e->after.values[2].integer, 10957);
    m.len = 0;
    put_row(&m, 8, "", INT32_MAX); /* infinity */
    assert_int_equal(give(&t, m.ptr, m.len), FR_OK);
    assert_int_equal(t.b->count, 3);
    assert_true(last(&t)->bad.len > 0);
    assert_int_equal(last(&t)->after.values[0].integer, 8);
    assert_int_equal(give(&t, "\377\377", 2), FR_END);
    assert_int_equal(t.b->count, 3);
    bench_close(&t);
}

static void an_empty_binary_table(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, true, 100);
    fr_buf m = {.arena = t.kept};
    fr_buf_put(&m, magic, 19);
    fr_buf_u16be(&m, 0xffff);
    assert_int_equal(give(&t, m.ptr, m.len), FR_END);
    assert_int_equal(t.b->count, 0);
    bench_close(&t);
    bench_open(&t, true, 100);
    assert_int_equal(give(&t, magic, 19), FR_OK); /* the head alone */
    assert_int_equal(give(&t, "\377\377", 2), FR_END);
    bench_close(&t);
}

static void text_rows(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, false, 100);
    assert_int_equal(give_text(&t, "7\tseven\t2000-01-01\n"), FR_OK);
    assert_int_equal(last(&t)->after.values[2].integer, 10957);
    assert_int_equal(give_text(&t, "8\ta\\tb\\nc\\\\d\\\\N\\re\t\\N\n"), FR_OK);
    assert_true(fr_str_is(last(&t)->after.values[1].bytes, "a\tb\nc\\d\\N\re"));
    assert_int_equal(last(&t)->after.values[2].kind, FR_NULL);
    assert_int_equal(give_text(&t, "9\t\\\\N\t\\N\n"), FR_OK); /* the text \N is no NULL */
    assert_true(fr_str_is(last(&t)->after.values[1].bytes, "\\N"));
    assert_int_equal(give_text(&t, "10\t\t\\N\n"), FR_OK);
    assert_int_equal(last(&t)->after.values[1].bytes.len, 0);
    assert_int_equal(last(&t)->after.values[1].kind, FR_TEXT);
    assert_int_equal(t.b->count, 5);
    bench_close(&t);
}

static void a_null_in_a_not_null_column(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, false, 100);
    assert_int_equal(give_text(&t, "1\ta\t\\N\n"), FR_OK);
    assert_int_equal(give_text(&t, "2\t\\N\t\\N\n"), FR_OK);
    assert_int_equal(t.b->count, 4);
    assert_int_equal(t.b->events[2].op, FR_OP_TABLE);
    assert_true(last(&t)->table->columns[1].nullable);
    assert_int_equal(last(&t)->table->version, 2);
    assert_int_equal(give_text(&t, "3\t\\N\t\\N\n"), FR_OK);
    assert_int_equal(t.b->count, 5);
    bench_close(&t);
}

static void full_batches_lose_nothing(void **state)
{
    bench t;
    (void)state;
    bench_open(&t, true, 1);
    fr_buf m = {.arena = t.kept};
    fr_buf_put(&m, magic, 19);
    put_row(&m, 7, "seven", 0);
    assert_int_equal(give(&t, m.ptr, m.len), FR_IDLE); /* TABLE is in */
    assert_int_equal(give(&t, m.ptr, m.len), FR_IDLE);
    fr_batch_reset(t.b);
    assert_int_equal(give(&t, m.ptr, m.len), FR_OK); /* the head once more, with its row */
    assert_int_equal(last(&t)->op, FR_OP_READ);
    fr_batch_reset(t.b);
    m.len = 0;
    put_row(&m, 8, "eight", 0);
    assert_int_equal(give(&t, m.ptr, m.len), FR_OK);
    assert_int_equal(last(&t)->after.values[0].integer, 8);
    bench_close(&t);
}

static void damaged(const char *bytes, size_t len, bool binary)
{
    bench t;
    bench_open(&t, binary, 100);
    t.copy.header_seen = binary && memcmp(bytes, "PG", 2) != 0;
    if (give(&t, bytes, len) != FR_FAIL)
        fail_msg("%.*s was taken", (int)len, bytes);
    assert_string_equal(t.err.code, "pg.copy.malformed");
    assert_int_equal(t.err.kind, FR_ERR_BUG);
    assert_int_equal(t.b->count, 0);
    bench_close(&t);
}

static void damaged_rows_are_errors(void **state)
{
    static const char *const texts[] = {"1\ta\n", "1\ta\t\\N\tmore\n", "1\ta\t\\N", "\n", ""};
    fr_arena *a = fr_arena_new(0);
    fr_buf m = {.arena = a};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        damaged(texts[i], strlen(texts[i]), false);
    fr_buf_put(&m, magic, 19);
    for (size_t n = 0; n < 19; n++)
        damaged(n == 0 ? "PG" : magic, n, true);
    put_row(&m, 7, "seven", 0);
    for (size_t n = 20; n < m.len; n++)
        damaged((char *)m.ptr, n, true);
    fr_buf_u8(&m, 0);
    damaged((char *)m.ptr, m.len, true);
    m.ptr[14] = 1; /* a flag: with oids, of servers before 12 */
    damaged((char *)m.ptr, m.len - 1, true);
    fr_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_rows),
        cmocka_unit_test(an_empty_binary_table),
        cmocka_unit_test(text_rows),
        cmocka_unit_test(a_null_in_a_not_null_column),
        cmocka_unit_test(full_batches_lose_nothing),
        cmocka_unit_test(damaged_rows_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
