/* The decoder over captured files of real servers (tests/wire/binlog: NAME.sql made NAME.000001;
 * NAME.jsonl is what it holds, read and compared with the statements by hand), and over damage. */
#include "unit/test.h"

#include "tools/binlog_file.h"

typedef struct run {
    char *out;
    size_t size;
    fr_rc rc;
    fr_err err;
    fr_binlog *d;
} run;

static void path_of(char *to, size_t size, const char *name, const char *ending)
{
    snprintf(to, size, FR_SOURCE_DIR "/tests/wire/binlog/%s.%s", name, ending);
}

static run decode(const char *name, const char *schema, size_t events, bool xa)
{
    run r = {.out = NULL};
    char path[512], known[512];
    path_of(path, sizeof(path), name, "000001");
    path_of(known, sizeof(known), name, "schema");
    fr_binlog_calls calls = {.context = schema == NULL ? NULL : known,
                             .describe = binlog_describe,
                             .statement = binlog_statement,
                             .xa = xa ? binlog_xa : NULL};
    fr_binlog_options options = {.family = strncmp(name, "mariadb", 7) == 0 ? FR_GTID_MARIADB
                                                                            : FR_GTID_MYSQL};
    binlog_statements = true;
    binlog_out = open_memstream(&r.out, &r.size);
    r.d = fr_binlog_new(&calls, &options, NULL);
    fr_batch *b = fr_batch_new(events, 1 << 20);
    r.rc = binlog_run_file(r.d, b, path, &r.err);
    binlog_flush(b);
    fr_batch_free(b);
    fclose(binlog_out);
    return r;
}

static void finish(run *r)
{
    fr_binlog_free(r->d);
    free(r->out);
}

/* Statements are told when they are met, events when a batch is full: compare them apart. */
static char *only(const char *lines, bool statements)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    while (*lines != '\0') {
        const char *end = strchrnul(lines, '\n');
        bool is = strncmp(lines, "{\"op\":\"ddl\"", 11) == 0 ||
                  strncmp(lines, "{\"op\":\"dml\"", 11) == 0 ||
                  strncmp(lines, "{\"op\":\"xa_", 10) == 0;
        if (is == statements)
            fprintf(f, "%.*s\n", (int)(end - lines), lines);
        lines = *end == '\0' ? end : end + 1;
    }
    fclose(f);
    return out;
}

static void check_file(const char *name, const char *schema, const char *code)
{
    char path[512];
    size_t size;
    path_of(path, sizeof(path), name, "jsonl");
    char *expected = binlog_read_file(path, &size);
    expected[size] = '\0';
    for (size_t events = 4096; events > 0; events = events > 1 ? events / 64 : 0) {
        run r = decode(name, schema, events, true);
        if (code == NULL)
            assert_int_not_equal(r.rc, FR_FAIL);
        else
            assert_string_equal(r.err.code, code);
        for (int statements = 0; statements < 2; statements++) {
            char *ours = only(r.out, statements), *theirs = only(expected, statements);
            assert_string_equal(ours, theirs);
            free(ours);
            free(theirs);
        }
        finish(&r);
    }
    free(expected);
}

static void mariadb_10_11(void **state)
{
    (void)state;
    check_file("mariadb-10.11", "schema", NULL);
}

static void mysql_9_7(void **state)
{
    (void)state;
    check_file("mysql-9.7", NULL, NULL);
}

static void mysql_5_5_ends_with_statement_format(void **state)
{
    (void)state;
    check_file("mysql-5.5", "schema", "my.statement_format"); /* D15 */
}

static void xa_with_rows_is_refused(void **state)
{
    (void)state;
    const char *const names[] = {"mariadb-10.11", "mysql-9.7"};
    for (size_t i = 0; i < 2; i++) {
        run r = decode(names[i], "schema", 4096, false);
        assert_int_equal(r.rc, FR_FAIL);
        assert_string_equal(r.err.code, "my.xa_refused"); /* D14 */
        finish(&r);
    }
}

static void gtids_are_counted_at_group_ends(void **state)
{
    (void)state;
    run r = decode("mariadb-10.11", "schema", 4096, true);
    fr_buf b = {.arena = NULL};
    fr_gtids_print(fr_binlog_where(r.d)->done, &b);
    char domains[8];
    assert_int_equal(sscanf((char *)b.ptr, "%3[0-9]-", domains), 1);
    assert_string_equal(domains, "0");
    assert_non_null(memmem(b.ptr, b.len, ",7-11-", 6)); /* D31: each domain by itself */
    assert_false(fr_binlog_where(r.d)->in_group);
    fr_buf_free(&b);
    finish(&r);
    r = decode("mysql-9.7", NULL, 4096, true);
    fr_gtids_print(fr_binlog_where(r.d)->done, &b);
    assert_non_null(memmem(b.ptr, b.len, ":blue:1", 7)); /* D32 */
    fr_buf_free(&b);
    finish(&r);
}

/* --- damage --- */

typedef struct file {
    char *bytes;
    size_t size;
} file;

/* How often the n-th event comes. */
typedef struct times {
    size_t n, times;
} times;

/* Answers in *types, if not NULL, what is event n. */
static fr_rc all_events(const file *f, times t, uint8_t *types, fr_err *err)
{
    fr_binlog_calls calls = {.describe = binlog_describe};
    fr_binlog_options options = {.family = FR_GTID_NONE};
    fr_binlog *d = fr_binlog_new(&calls, &options, NULL);
    fr_batch *b = fr_batch_new(64, 1 << 20);
    fr_rc rc = binlog_name_file(d, b, "mysql-bin.000001", err);
    size_t n = 0, done = 0;
    for (size_t at = 4; rc != FR_FAIL && at + 19 <= f->size;) {
        fr_in in = fr_in_of((fr_str){f->bytes + at + 9, 4});
        size_t size = fr_in_u32le(&in);
        if (size < 19 || size > f->size - at)
            break;
        if (types != NULL)
            types[n] = (uint8_t)f->bytes[at + 4];
        bool over = done >= (n == t.n ? t.times : 1);
        rc = over ? FR_OK : fr_binlog_event(d, b, (fr_str){f->bytes + at, size}, err);
        if (rc == FR_IDLE)
            fr_batch_reset(b);
        else if (!over)
            done++;
        if (over || (rc == FR_OK && done >= (n == t.n ? t.times : 1))) {
            at += size;
            n++;
            done = 0;
        }
    }
    fr_batch_free(b);
    fr_binlog_free(d);
    if (types != NULL)
        types[n] = 0;
    return rc;
}

static const times as_it_is = {SIZE_MAX, 1};

static file load(const char *name)
{
    file f;
    char path[512];
    path_of(path, sizeof(path), name, "000001");
    f.bytes = binlog_read_file(path, &f.size);
    return f;
}

static void every_flipped_byte_is_found(void **state) /* D25 */
{
    (void)state;
    file f = load("mysql-9.7");
    fr_err err;
    for (size_t i = 126; i < f.size && i < 3000; i += 7) {
        f.bytes[i] = (char)(f.bytes[i] ^ 0x10);
        fr_rc rc = all_events(&f, as_it_is, NULL, &err);
        bool cut = rc != FR_FAIL; /* a length that now reaches behind the end */
        if (!cut)
            assert_true(strcmp(err.code, "binlog.checksum") == 0 ||
                        strcmp(err.code, "binlog.malformed") == 0);
        f.bytes[i] = (char)(f.bytes[i] ^ 0x10);
    }
    free(f.bytes);
}

static bool has_rows(uint8_t type)
{
    return (type >= 23 && type <= 25) || (type >= 30 && type <= 32) || type == 39 ||
           (type >= 166 && type <= 171);
}

static void no_rows_are_missing_and_none_come_twice(void **state)
{
    (void)state;
    const char *const names[] = {"mariadb-10.11", "mysql-9.7"};
    static uint8_t types[10000];
    for (size_t i = 0; i < 2; i++) {
        file f = load(names[i]);
        fr_err err = {.code = ""};
        all_events(&f, as_it_is, types, &err); /* to the first XA transaction */
        assert_string_equal(err.code, "my.xa_refused");
        size_t tried = 0;
        for (size_t n = 0; types[n + 1] != 0; n++) {
            if (!has_rows(types[n]))
                continue;
            assert_int_equal(all_events(&f, (times){n, 0}, NULL, &err), FR_FAIL);
            assert_string_equal(err.code, "binlog.gap");
            assert_int_equal(all_events(&f, (times){n, 2}, NULL, &err), FR_FAIL);
            assert_string_equal(err.code, "binlog.gap");
            tried++;
        }
        assert_true(tried > 10);
        free(f.bytes);
    }
}

/* An event without checksum, as its own. */
static fr_rc one(fr_binlog *d, fr_batch *b, uint8_t type, uint16_t flags, const void *body,
                 size_t n, fr_err *err)
{
    fr_buf e = {.arena = NULL};
    uint8_t head[19] = {0, 0, 0, 0, type, 1, 0, 0, 0, (uint8_t)(19 + n), (uint8_t)((19 + n) >> 8)};
    head[17] = (uint8_t)flags;
    fr_buf_put(&e, head, sizeof(head));
    fr_buf_put(&e, body, n);
    fr_rc rc = fr_binlog_event(d, b, fr_buf_view(&e), err);
    fr_buf_free(&e);
    return rc;
}

static fr_binlog *opened(fr_batch *b)
{
    fr_binlog_calls calls = {.describe = binlog_describe};
    fr_binlog_options options = {.family = FR_GTID_NONE};
    fr_binlog *d = fr_binlog_new(&calls, &options, NULL);
    uint8_t format[2 + 50 + 4 + 1 + 40 + 1] = {4, 0, '5', '.', '5', '.', '9'};
    fr_err err;
    format[56] = 19;
    memset(format + 57, 8, 40);
    assert_int_equal(binlog_name_file(d, b, "b.999999", &err), FR_OK);
    assert_int_equal(one(d, b, 15, 0, format, sizeof(format), &err), FR_OK);
    return d;
}

static void unknown_events_are_fatal_unless_ignorable(void **state) /* R42 */
{
    (void)state;
    fr_batch *b = fr_batch_new(16, 4096);
    fr_binlog *d = opened(b);
    fr_err err;
    assert_int_equal(one(d, b, 99, 0x80, "x", 1, &err), FR_OK);
    assert_int_equal(one(d, b, 99, 0, "x", 1, &err), FR_FAIL);
    assert_string_equal(err.code, "binlog.unknown_event");
    fr_binlog_free(d);
    fr_batch_free(b);
}

static void rows_without_their_map_are_fatal(void **state) /* D02 */
{
    (void)state;
    fr_batch *b = fr_batch_new(16, 4096);
    fr_binlog *d = opened(b);
    fr_err err;
    assert_int_equal(one(d, b, 2, 0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0BEGIN", 19, &err), FR_OK);
    assert_int_equal(one(d, b, 23, 0, "\x07\0\0\0\0\0\x01\0\x01\xff\0x", 12, &err), FR_FAIL);
    assert_string_equal(err.code, "binlog.unmapped");
    assert_int_equal(err.kind, FR_ERR_POSITION);
    fr_binlog_free(d);
    fr_batch_free(b);
}

static void an_incident_is_fatal(void **state) /* D22 */
{
    (void)state;
    fr_batch *b = fr_batch_new(16, 4096);
    fr_binlog *d = opened(b);
    fr_err err;
    assert_int_equal(one(d, b, 26, 0, "\x01\x00\x04lost", 7, &err), FR_FAIL);
    assert_string_equal(err.code, "binlog.incident");
    assert_int_equal(err.kind, FR_ERR_POSITION);
    fr_binlog_free(d);
    fr_batch_free(b);
}

static void files_are_numbered_not_sorted(void **state) /* D12 */
{
    (void)state;
    fr_batch *b = fr_batch_new(16, 4096);
    fr_binlog *d = opened(b);
    fr_err err;
    assert_int_equal(fr_binlog_where(d)->file_number, 999999);
    assert_int_equal(one(d, b, 4, 0, "\x04\0\0\0\0\0\0\0b.1000000", 17, &err), FR_OK);
    assert_int_equal(fr_binlog_where(d)->file_number, 1000000);
    fr_binlog_free(d);
    fr_batch_free(b);
}

static void offsets_pass_four_gib(void **state) /* D11 */
{
    (void)state;
    fr_batch *b = fr_batch_new(16, 4096);
    fr_binlog *d = opened(b);
    fr_err err;
    uint8_t stop[19] = {0, 0, 0, 0, 3, 1, 0, 0, 0, 19, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff};
    assert_int_equal(fr_binlog_event(d, b, (fr_str){(char *)stop, 19}, &err), FR_OK);
    assert_int_equal(fr_binlog_where(d)->offset, 0xfffffff0);
    stop[13] = 0x03;
    stop[14] = stop[15] = stop[16] = 0;
    assert_int_equal(fr_binlog_event(d, b, (fr_str){(char *)stop, 19}, &err), FR_OK);
    assert_true(fr_binlog_where(d)->offset == UINT64_C(0x100000003));
    stop[13] = 0; /* D10: no position at all */
    assert_int_equal(fr_binlog_event(d, b, (fr_str){(char *)stop, 19}, &err), FR_OK);
    assert_true(fr_binlog_where(d)->offset == UINT64_C(0x100000016));
    fr_binlog_free(d);
    fr_batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mariadb_10_11),
        cmocka_unit_test(mysql_9_7),
        cmocka_unit_test(mysql_5_5_ends_with_statement_format),
        cmocka_unit_test(xa_with_rows_is_refused),
        cmocka_unit_test(gtids_are_counted_at_group_ends),
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(no_rows_are_missing_and_none_come_twice),
        cmocka_unit_test(rows_without_their_map_are_fatal),
        cmocka_unit_test(unknown_events_are_fatal_unless_ignorable),
        cmocka_unit_test(an_incident_is_fatal),
        cmocka_unit_test(files_are_numbered_not_sorted),
        cmocka_unit_test(offsets_pass_four_gib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
