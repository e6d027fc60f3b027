/* The sorter and the walk over two of them, against what a simple list says: with memory for a few
 * records, records larger than it, and keys that come again. */
#include "base/bytes.h"
#include "poll/compare.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* after stdarg.h and setjmp.h */
#include <cmocka.h>

enum { MOST = 6000, KEY = 40, KEYS = 5000 };

static char dir[] = "/tmp/sorter_test.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

/* Its files have no name: the directory must be empty. */
static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static unsigned roll(unsigned *seed, unsigned n)
{
    return (unsigned)rand_r(seed) % n;
}

typedef struct item {
    char key[KEY];
    size_t len;
    unsigned number; /* when it was added */
} item;

/* Few different ones, some empty, some with zeros in them, some the beginning of others. */
static void make_key(unsigned *seed, unsigned different, item *i)
{
    unsigned n = roll(seed, different);
    memset(i->key, 0, KEY);
    i->len = n % 7 == 0 ? n % (KEY - 8) : (size_t)snprintf(i->key, KEY, "key %u", n);
}

static int by_order(const void *a, const void *b)
{
    const item *x = a, *y = b;
    int order = fr_sorter_order((fr_str){x->key, x->len}, (fr_str){y->key, y->len});
    return order != 0 ? order : x->number < y->number ? -1 : 1;
}

static fr_str value_of(fr_buf *b, unsigned number, size_t size)
{
    b->len = 0;
    fr_buf_u32be(b, number);
    memset(fr_buf_room(b, size), (int)(number % 251), size);
    b->len += size;
    return fr_buf_view(b);
}

static void sort_some(unsigned seed, size_t memory, bool newest, unsigned count, unsigned different,
                      size_t size)
{
    static item items[MOST];
    fr_err err;
    fr_buf b = {0};
    fr_sorter *s = fr_sorter_new(dir, memory, newest);
    for (unsigned i = 0; i < count; i++) {
        items[i].number = i;
        make_key(&seed, different, &items[i]);
        bool large = memory < 100000 && roll(&seed, 50) == 0;
        size_t more = large ? memory + 5 : roll(&seed, (unsigned)size + 1);
        assert_int_equal(
            fr_sorter_add(s, (fr_str){items[i].key, items[i].len}, value_of(&b, i, more), &err),
            FR_OK);
    }
    qsort(items, count, sizeof(items[0]), by_order);
    for (int pass = 0; pass < 2; pass++) {
        fr_str key, value;
        assert_int_equal(fr_sorter_rewind(s, &err), FR_OK);
        for (unsigned i = 0; i < count; i++) {
            bool again = i + 1 < count && items[i].len == items[i + 1].len &&
                         memcmp(items[i].key, items[i + 1].key, items[i].len) == 0;
            if (newest && again)
                continue;
            assert_int_equal(fr_sorter_next(s, &key, &value, &err), FR_OK);
            assert_true(fr_str_eq(key, (fr_str){items[i].key, items[i].len}));
            fr_in in = fr_in_of(value);
            assert_int_equal(fr_in_u32be(&in), items[i].number);
            while (fr_in_left(&in) > 0)
                assert_int_equal(fr_in_u8(&in), items[i].number % 251);
        }
        assert_int_equal(fr_sorter_next(s, &key, &value, &err), FR_END);
    }
    assert_true((fr_sorter_written(s) > 0) == (count > 0 && memory < 100000));
    fr_sorter_free(s);
    fr_buf_free(&b);
}

static void it_sorts(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++)
        for (int newest = 0; newest < 2; newest++) {
            sort_some(seed, 1000, newest, 700, 300, 40); /* more than 64 files */
            sort_some(seed, 1 << 20, newest, 300, 100, 40);
        }
    sort_some(99, 700, true, MOST, KEYS, 60); /* and twice as many again */
    sort_some(99, 1, false, 200, 100, 3);     /* each record is a file */
    sort_some(7, 1000, true, 0, 1, 1);
}

/* ---- the walk ---- */

typedef struct facts {
    bool published[KEYS], gone[KEYS];
    unsigned rows[KEYS];
} facts;

static fr_str number_key(char *out, unsigned n)
{
    return (fr_str){out, (size_t)snprintf(out, KEY, "%u", n)};
}

/* Fills both in any order; a key is published, changed and deleted any number of times. */
static void fill(unsigned *seed, facts *f, fr_sorter *published, fr_sorter *rows)
{
    char text[KEY];
    fr_err err;
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        unsigned n = roll(seed, KEYS);
        bool there = roll(seed, 4) > 0;
        char state[2] = {(char)(there ? FR_PUBLISHED_THERE : FR_PUBLISHED_GONE), 'x'};
        f->published[n] = there;
        assert_int_equal(fr_sorter_add(published, number_key(text, n), (fr_str){state, 2}, &err),
                         FR_OK);
        n = roll(seed, KEYS);
        if (i % 2 == 0) {
            f->rows[n]++;
            assert_int_equal(fr_sorter_add(rows, number_key(text, n), FR_STR("row"), &err), FR_OK);
        }
    }
}

/* How often the walk says something else than the facts. */
static unsigned walk(const facts *f, fr_sorter *published, fr_sorter *rows)
{
    static unsigned missing[KEYS], unseen[KEYS], both[KEYS];
    unsigned wrong = 0;
    fr_matcher m;
    fr_match found;
    fr_err err;
    memset(missing, 0, sizeof(missing));
    memset(unseen, 0, sizeof(unseen));
    memset(both, 0, sizeof(both));
    assert_int_equal(fr_matcher_begin(&m, published, rows, &err), FR_OK);
    while (fr_matcher_next(&m, &found, &err) == FR_OK) {
        char text[KEY];
        snprintf(text, sizeof(text), "%.*s", FR_ARG(found.key));
        unsigned n = (unsigned)atoi(text);
        unsigned *to = found.kind == FR_MATCH_MISSING  ? missing
                       : found.kind == FR_MATCH_UNSEEN ? unseen
                                                       : both;
        wrong += found.again != (to[n] > 0 || (found.kind == FR_MATCH_UNSEEN && both[n] > 0));
        to[n]++;
    }
    fr_matcher_end(&m);
    for (unsigned n = 0; n < KEYS; n++) {
        wrong += missing[n] != (f->published[n] && f->rows[n] == 0);
        /* A second row of a published key is told by `again`, whatever it is called. */
        wrong += (both[n] > 0) != (f->published[n] && f->rows[n] > 0);
        wrong += both[n] + unseen[n] != f->rows[n];
    }
    return wrong;
}

static void it_finds_what_is_missing(void **state)
{
    (void)state;
    static facts f;
    for (unsigned seed = 1; seed <= 10; seed++) {
        unsigned at = seed;
        fr_sorter *published = fr_sorter_new(dir, seed % 2 ? 3000 : 1 << 20, true);
        fr_sorter *rows = fr_sorter_new(dir, seed % 3 ? 2000 : 1 << 20, false);
        fill(&at, &f, published, rows);
        assert_int_equal(walk(&f, published, rows), 0);
        assert_int_equal(walk(&f, published, rows), 0);
        /* The control: one row less in the table than was told. */
        unsigned n = 0;
        while (!f.published[n] || f.rows[n] == 0)
            n++;
        f.rows[n] = 0;
        assert_true(walk(&f, published, rows) > 0);
        fr_sorter_free(published);
        fr_sorter_free(rows);
    }
}

static void a_directory_that_is_not_there(void **state)
{
    (void)state;
    fr_err err;
    fr_sorter *s = fr_sorter_new("/tmp/sorter_test/not/there", 64, false);
    assert_int_equal(fr_sorter_add(s, FR_STR("a"), FR_STR("b"), &err), FR_OK);
    fr_rc rc = FR_OK;
    for (int i = 0; rc == FR_OK && i < 100; i++)
        rc = fr_sorter_add(s, FR_STR("a"), FR_STR("b"), &err);
    assert_int_equal(rc, FR_FAIL);
    assert_string_equal(err.code, "compare.disk");
    assert_int_equal(err.native, ENOENT);
    fr_sorter_free(s);
}

/* A limit on the size of files instead of a full disk: in the middle of a run, and of merging. */
static void a_disk_that_is_full(void **state)
{
    (void)state;
    struct rlimit was, few = {0};
    fr_err err;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    few.rlim_max = was.rlim_max;
    few.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    for (size_t memory = 1000; memory <= 1000000; memory *= 1000) {
        fr_sorter *s = fr_sorter_new(dir, memory, true);
        fr_rc rc = FR_OK;
        char key[20];
        for (int i = 0; rc == FR_OK && i < 100000; i++) {
            snprintf(key, sizeof(key), "%d", i);
            rc = fr_sorter_add(s, fr_cstr(key), FR_STR("a value of some length"), &err);
        }
        fr_sorter_free(s);
        assert_int_equal(rc, FR_FAIL);
        assert_int_equal(err.kind, FR_ERR_BUSY);
        assert_int_equal(err.native, EFBIG);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(fr_sorter_check(dir, &err), FR_OK);
    assert_int_equal(fr_sorter_check("/dev/null", &err), FR_FAIL);
    assert_string_equal(err.code, "compare.disk");
}

static void rows_come_back(void **state)
{
    (void)state;
    const fr_column columns[] = {{.name = FR_STR("a"), .kind = FR_INT64},
                                 {.name = FR_STR("b"), .kind = FR_TEXT},
                                 {.name = FR_STR("c"), .kind = FR_FLOAT64},
                                 {.name = FR_STR("d"), .kind = FR_BOOL},
                                 {.name = FR_STR("e"), .kind = FR_BYTES}};
    fr_table like = {
        .space = FR_STR("s"), .name = FR_STR("t"), .column_count = 5, .columns = columns};
    const fr_table *t = fr_table_new(&like);
    fr_batch *b = fr_batch_new(4, 1 << 20);
    fr_event *e = fr_batch_add(b, FR_OP_READ, t);
    fr_value *v = fr_batch_row(b, t, &e->after);
    v[0] = (fr_value){.kind = FR_INT64, .integer = -5};
    v[1] = (fr_value){.kind = FR_TEXT, .bytes = FR_STR("x\0y")};
    v[2] = (fr_value){.kind = FR_FLOAT64, .real = 1.5};
    v[3] = (fr_value){.kind = FR_BOOL, .boolean = true};
    v[4] = (fr_value){.kind = FR_NULL};
    e->time_us = 77;
    e->zero = FR_STR("b");
    fr_buf bytes = {0};
    fr_row_pack(&bytes, e);
    fr_event *back = fr_batch_add(b, FR_OP_READ, t);
    assert_true(fr_row_unpack(fr_buf_view(&bytes), t, b, back));
    assert_int_equal(fr_row_crc(0, &e->after), fr_row_crc(0, &back->after));
    assert_int_equal(back->time_us, 77);
    assert_true(fr_str_is(back->zero, "b"));
    assert_true(back->after.values[2].real == 1.5 && back->after.values[3].boolean);
    for (size_t cut = 0; cut < bytes.len; cut++) /* control: none of its parts is a row */
        assert_false(fr_row_unpack((fr_str){(char *)bytes.ptr, cut}, t, b, back));
    fr_buf_free(&bytes);
    fr_batch_free(b);
    fr_table_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sorts),
        cmocka_unit_test(it_finds_what_is_missing),
        cmocka_unit_test(a_directory_that_is_not_there),
        cmocka_unit_test(a_disk_that_is_full),
        cmocka_unit_test(rows_come_back),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
