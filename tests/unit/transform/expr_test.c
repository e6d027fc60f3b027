/* Expressions: every kind of value through SQLite, what is refused and where, results. */
#include "tests/unit/test.h"
#include "transform/expr.h"

#include <math.h>
#include <stdlib.h>

typedef struct fixture {
    fr_sandbox *s;
    fr_arena *a;
    const fr_table *t;
    fr_value row[20];
} fixture;

static fr_err err;

enum {
    ID,
    STATUS,
    TOTAL,
    WIDE,
    BIG,
    OK_,
    RATE,
    DOC,
    RAW,
    UID,
    DAY,
    AT_TIME,
    LOCAL,
    STAMP,
    NONE_,
    COUNT
};

static fr_value whole(fr_kind kind, int64_t v)
{
    return (fr_value){.kind = kind, .integer = v};
}

static fr_value textual(fr_kind kind, const char *v)
{
    return (fr_value){.kind = kind, .bytes = fr_cstr(v)};
}

static fr_value decimal(fixture *f, const char *text, int precision, int scale)
{
    fr_value v = {.kind = FR_DECIMAL};
    assert_ok(fr_decimal_from_text(f->a, fr_cstr(text), precision, scale, &v.bytes, &err));
    return v;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    static const struct {
        const char *name;
        fr_kind kind;
        int16_t precision, scale;
    } c[COUNT] = {[ID] = {"id", FR_INT64, 0, 0},          [STATUS] = {"Status", FR_TEXT, 0, 0},
                  [TOTAL] = {"total", FR_DECIMAL, 12, 2}, [WIDE] = {"wide", FR_DECIMAL, 38, 4},
                  [BIG] = {"big", FR_DECIMAL, 18, 0},     [OK_] = {"ok", FR_BOOL, 0, 0},
                  [RATE] = {"rate", FR_FLOAT64, 0, 0},    [DOC] = {"doc", FR_JSON, 0, 0},
                  [RAW] = {"raw", FR_BYTES, 0, 0},        [UID] = {"uid", FR_UUID, 0, 0},
                  [DAY] = {"day", FR_DATE, 0, 0},         [AT_TIME] = {"at time", FR_TIME, 0, 0},
                  [LOCAL] = {"local", FR_DATETIME, 0, 0}, [STAMP] = {"stamp", FR_TIMESTAMP, 0, 0},
                  [NONE_] = {"none", FR_INT32, 0, 0}};
    fr_column columns[COUNT] = {0};
    for (size_t i = 0; i < COUNT; i++)
        columns[i] = (fr_column){.name = fr_cstr(c[i].name),
                                 .kind = c[i].kind,
                                 .precision = c[i].precision,
                                 .scale = c[i].scale};
    fr_table like = {
        .space = FR_STR("public"), .name = FR_STR("t"), .column_count = COUNT, .columns = columns};
    f->t = fr_table_new(&like);
    f->a = fr_arena_new(0);
    f->row[ID] = whole(FR_INT64, 9007199254740993);
    f->row[STATUS] = textual(FR_TEXT, "Größe");
    f->row[TOTAL] = decimal(f, "-12.30", 12, 2);
    f->row[WIDE] = decimal(f, "12345678901234567890123.4500", 38, 4);
    f->row[BIG] = decimal(f, "123456789012345678", 18, 0);
    f->row[OK_] = (fr_value){.kind = FR_BOOL, .boolean = true};
    f->row[RATE] = (fr_value){.kind = FR_FLOAT64, .real = 0.1};
    f->row[DOC] = textual(FR_JSON, "{\"a\":{\"b\":[1,2]}}");
    f->row[RAW] = (fr_value){.kind = FR_BYTES, .bytes = {"\0\xff", 2}};
    f->row[UID] = textual(FR_UUID, "0188f1f0-0000-7000-8000-000000000001");
    f->row[DAY] = whole(FR_DATE, 20783);                   /* 2026-11-26 */
    f->row[AT_TIME] = whole(FR_TIME, 30371402000);         /* 08:26:11.402 */
    f->row[LOCAL] = whole(FR_DATETIME, 1795681571402000);  /* 2026-11-26 08:26:11.402 */
    f->row[STAMP] = whole(FR_TIMESTAMP, 1795681571000000); /* whole second */
    f->row[NONE_] = (fr_value){.kind = FR_NULL};
    assert_ok(fr_sandbox_open(&f->s, &err));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    fr_sandbox_close(f->s);
    fr_table_unref(f->t);
    fr_arena_free(f->a);
    free(f);
    return 0;
}

static fr_expr *compiled(fixture *f, const char *text)
{
    fr_expr *e = NULL;
    size_t at;
    if (fr_expr_compile(f->s, f->a, f->t, text, &e, &at, &err) != FR_OK) {
        print_error("%s: %s\n", text, err.text);
        fail();
    }
    return e;
}

static fr_result result(fixture *f, const char *text)
{
    fr_result r;
    fr_expr *e = compiled(f, text);
    if (fr_expr_run(e, f->row, &r, &err) != FR_OK) {
        print_error("%s: %s\n", text, err.text);
        fail();
    }
    return r;
}

static void is_true(fixture *f, const char *text)
{
    fr_result r = result(f, text);
    if (r.kind != FR_RESULT_INTEGER || r.integer != 1) {
        print_error("not true: %s (kind %d)\n", text, (int)r.kind);
        fail();
    }
}

static void every_kind_is_spelled(void **state)
{
    fixture *f = *state;
    is_true(f, "id = 9007199254740993 AND typeof(id) = 'integer'");
    is_true(f, "status = 'Größe' AND length(\"Status\") = 5");
    is_true(f, "total = -12.3 AND total < 0 AND typeof(total) = 'real'");
    is_true(f, "big = 123456789012345678 AND typeof(big) = 'integer'");
    is_true(f, "ok AND ok = 1 AND ok IS TRUE");
    is_true(f, "rate = 0.1");
    is_true(f, "doc ->> '$.a.b[1]' = 2 AND json_array_length(doc, '$.a.b') = 2");
    is_true(f, "raw = x'00ff' AND typeof(raw) = 'blob' AND length(raw) = 2");
    is_true(f, "uid LIKE '0188F1F0-%'");
    is_true(f,
            "day = '2026-11-26' AND day >= '2026-01-01' AND date(day, '+5 days') = '2026-12-01'");
    is_true(f, "\"at time\" = '08:26:11.402'");
    is_true(f, "local = '2026-11-26 08:26:11.402' AND substr(local, 1, 10) = day");
    is_true(f, "stamp = '2026-11-26 08:26:11' AND stamp < local AND datetime(stamp) = stamp");
    is_true(f, "strftime('%Y', stamp) = '2026' AND unixepoch(stamp) = 1795681571");
    is_true(f, "none IS NULL");
    assert_int_equal(result(f, "none > 1").kind, FR_RESULT_NULL);
    f->row[RATE].real = (double)NAN;
    is_true(f, "rate IS NULL"); /* SQLite has no NaN */
    fr_result r = result(f, "status || '/' || id");
    assert_int_equal(r.kind, FR_RESULT_TEXT);
    assert_str(r.bytes, "Größe/9007199254740993");
    r = result(f, "raw");
    assert_int_equal(r.kind, FR_RESULT_BLOB);
    assert_int_equal(r.bytes.len, 2);
}

static void wide_decimals_are_compared(void **state)
{
    fixture *f = *state;
    is_true(f, "dec_cmp('wide', '12345678901234567890123.45') = 0");
    is_true(f, "dec_cmp('wide', '12345678901234567890123.4501') < 0");
    is_true(f, "dec_cmp('wide', '-99999999999999999999999999') > 0");
    is_true(f, "dec_cmp('wide', '9') > 0 AND dec_cmp('total', '-12.3') = 0");
    is_true(f, "dec_cmp('total', '-12.29') < 0 AND dec_cmp('id', '9007199254740992.9') > 0");
    is_true(f, "dec_cmp('total', '-0.0') = -1 AND dec_cmp('total', '+.5') = -1");
    size_t n;
    const uint16_t *reads = fr_expr_columns(compiled(f, "dec_cmp('wide', '1') > 0"), &n);
    assert_int_equal(n, 1);
    assert_int_equal(reads[0], WIDE);
    fr_result r;
    assert_fails(fr_expr_run(compiled(f, "dec_cmp('wide', status) > 0"), f->row, &r, &err),
                 FR_ERR_DATA);
    assert_null(strstr(err.text, "Gr"));
    f->row[WIDE].kind = FR_NULL;
    assert_int_equal(result(f, "dec_cmp('wide', '1')").kind, FR_RESULT_NULL);
}

static void only_what_is_read_is_known(void **state)
{
    fixture *f = *state;
    size_t n;
    const uint16_t *reads =
        fr_expr_columns(compiled(f, "lower(STATUS) = 'x' OR ok AND status IS NOT NULL"), &n);
    assert_int_equal(n, 2);
    assert_int_equal(reads[0] + reads[1], STATUS + OK_);
    fr_expr_columns(compiled(f, "1 = 1"), &n);
    assert_int_equal(n, 0);
    is_true(f, "1 = 1");
    is_true(f, "/* total */ ok -- wide\n");
}

/* table: 0 with the table, 1 without, 2 both. */
static const struct {
    const char *text, *code;
    size_t at;
    int table;
    const char *hint;
} refusals[] = {
    {"Statu <> 'draft'", "no_such_column", 0, 0, "did you mean Status?"},
    {"ok AND totals = 1", "no_such_column", 7, 0, "did you mean total?"},
    {"t.id = 1", "no_such_column", 0, 2, "column's name alone"},
    {"rowid = 1", "function", 0, 0, "row's columns"},
    {"status = \"draft\"", "no_such_column", 9, 0, "'draft'"},
    {"wide > 12", "column", 0, 0, "dec_cmp('wide', '12.5')"},
    {"dec_cmp('wide')", "syntax", 0, 2, ""},
    {"dec_cmp(status, '1') > 0", "syntax", 0, 2, "dec_cmp('total'"},
    {"dec_cmp('width', '1') > 0", "no_such_column", 8, 0, "did you mean wide?"},
    {"dec_cmp('Status', '1') > 0", "column", 8, 0, "by itself"},
    {"", "syntax", 0, 2, "write one"},
    {"-- nothing", "syntax", 0, 2, "write one"},
    {"id >", "syntax", 0, 2, "SQL as SQLite"},
    {"id > 1; drop table x", "syntax", 6, 2, "one expression"},
    {"id = ?1", "syntax", 5, 2, "one expression"},
    {"id = :x", "syntax", 5, 2, "one expression"},
    {"id = $x", "syntax", 5, 2, "one expression"},
    {"id) FROM x WHERE (1", "syntax", 2, 2, "remove it"},
    {"(id", "syntax", 0, 2, "close it"},
    {"1), (2", "syntax", 1, 2, "remove it"},
    {"1, 2", "syntax", 0, 2, ""},
    {"1 /* ", "syntax", 2, 2, "close it"},
    {"1) /* ", "syntax", 1, 2, "remove it"},
    {"status = 'x", "syntax", 9, 2, "''"},
    {"(SELECT 1)", "function", 1, 2, "row's columns"},
    {"EXISTS (SELECT 1)", "function", 8, 2, "row's columns"},
    {"id IN (SELECT 1)", "function", 7, 2, "row's columns"},
    {"1) UNION SELECT (2", "syntax", 1, 2, "remove it"},
    {"id IN sqlite_schema", "", 0, 2, ""},
    {"id IN pragma_database_list", "", 0, 2, ""},
    {"random() > 0", "function", 0, 2, "row alone"},
    {"id = randomblob(8)", "function", 5, 2, "row alone"},
    {"load_extension('x')", "function", 0, 2, "row alone"},
    {"changes() = 1", "function", 0, 2, "row alone"},
    {"sqlite_version() = '3'", "function", 0, 2, "row alone"},
    {"readfile('/etc/passwd')", "function", 0, 2, "docs/expressions.md"},
    {"count(*) > 0", "function", 0, 2, "row alone"},
    {"sum(id) > 0", "function", 0, 2, "row alone"},
    {"group_concat(id)", "function", 0, 2, "row alone"},
    {"row_number() over ()", "function", 0, 2, ""},
    {"stamp < datetime('now')", "function", 17, 2, "row's own"},
    {"stamp < datetime('NOW', '-1 day')", "function", 17, 2, "row's own"},
    {"stamp < date()", "", 0, 0, "row's own"},
    {"stamp < CURRENT_TIMESTAMP", "function", 8, 2, "row alone"},
    {"datetime(stamp, 'localtime') > ''", "function", 16, 2, "row's own"},
    {"json('{')", "", 0, 0, ""},
    {"id REGEXP 'x'", "function", 3, 2, ""},
    {"status MATCH 'x'", "function", 7, 2, ""},
    {"attach(1)", "function", 0, 2, ""},
    {"raise(abort, 'x')", "", 0, 2, ""},
    {"id = 1 COLLATE nosuch", "syntax", 0, 2, ""},
};

static void refused(fixture *f, const fr_table *t, size_t i)
{
    fr_expr *e;
    size_t at = 999;
    const char *text = refusals[i].text;
    fr_rc rc = fr_expr_compile(f->s, f->a, t, text, &e, &at, &err);
    bool right = rc == FR_FAIL && err.kind == FR_ERR_CONFIG;
    if (right && *refusals[i].code != '\0')
        right = strcmp(err.code, refusals[i].code) == 0 && at == refusals[i].at;
    right = right && strstr(err.hint, refusals[i].hint) != NULL && at <= strlen(text);
    if (right)
        return;
    print_error("%s (%s table): %s [%s] at %zu; %s\n", text, t == NULL ? "no" : "with",
                rc == FR_FAIL ? err.text : "taken", rc == FR_FAIL ? err.code : "", at, err.hint);
    fail();
}

static void what_is_no_expression_is_refused_at_its_place(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (refusals[i].table != 1)
            refused(f, f->t, i);
        if (refusals[i].table != 0)
            refused(f, NULL, i);
    }
    is_true(f, "ok"); /* the sandbox is as it was */
}

static void without_a_table_any_name_may_be_a_column(void **state)
{
    fixture *f = *state;
    fr_expr *e;
    size_t at;
    static const char *const good[] = {"nobody AND \"knows this\" > 1", "[a b] = `c` || 'd'",
                                       "case when a then b else c end", "dec_cmp('x', '1.5') < 0",
                                       "key = 1 and action = 'x'",      "true"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (fr_expr_compile(f->s, f->a, NULL, good[i], &e, &at, &err) != FR_OK) {
            print_error("%s: %s\n", good[i], err.text);
            fail();
        }
}

/* A value that says 'now' is data, and not to be asked the time by. */
static void no_value_can_ask_for_the_time(void **state)
{
    fixture *f = *state;
    fr_result r;
    fr_expr *e = compiled(f, "datetime(status) IS NULL");
    f->row[STATUS] = textual(FR_TEXT, "now");
    assert_fails(fr_expr_run(e, f->row, &r, &err), FR_ERR_DATA);
    assert_non_null(strstr(err.text, "time"));
    f->row[STATUS] = textual(FR_TEXT, "2026-01-01");
    assert_ok(fr_expr_run(e, f->row, &r, &err));
    assert_int_equal(r.integer, 0);
}

static void work_and_length_have_an_end(void **state)
{
    fixture *f = *state;
    fr_result r;
    char deep[1200] = "", wide[1 << 14];
    fr_expr *e;
    size_t at;
    for (size_t i = 0; i < 500; i++)
        deep[i] = '(', deep[501 + i] = ')';
    deep[500] = '1';
    assert_fails(fr_expr_compile(f->s, f->a, f->t, deep, &e, &at, &err), FR_ERR_CONFIG);
    memset(wide, ' ', sizeof wide);
    wide[sizeof wide - 1] = '\0';
    assert_fails(fr_expr_compile(f->s, f->a, f->t, wide, &e, &at, &err), FR_ERR_CONFIG);
    e = compiled(f, "replace(status, 'a', printf('%1000d', id)) = ''");
    char *many = fr_arena_alloc(f->a, 100001);
    memset(many, 'a', 100000);
    f->row[STATUS] = textual(FR_TEXT, many); /* 100 MB */
    assert_fails(fr_expr_run(e, f->row, &r, &err), FR_ERR_DATA);
    e = compiled(f, "abs(id) > 0"); /* an overflow is an error, and no number */
    f->row[ID] = whole(FR_INT64, INT64_MIN);
    assert_fails(fr_expr_run(e, f->row, &r, &err), FR_ERR_DATA);
    e = compiled(f, "json_extract(status, '$.a') = 1");
    f->row[STATUS] = textual(FR_TEXT, "{secret");
    assert_fails(fr_expr_run(e, f->row, &r, &err), FR_ERR_DATA);
    assert_null(strstr(err.text, "secret"));
    is_true(f, "ok");
}

static void kinds_of_results_are_inferred(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *text;
        fr_kind kind;
    } cases[] = {
        {"total > 10", FR_BOOL},
        {"(total > 10)", FR_BOOL},
        {"NOT ok", FR_BOOL},
        {"ok OR total + 1 > 2", FR_BOOL},
        {"status IN ('a', 'b')", FR_BOOL},
        {"status LIKE 'x%'", FR_BOOL},
        {"id BETWEEN 1 AND 2", FR_BOOL},
        {"none IS NULL", FR_BOOL},
        {"status || '!'", FR_TEXT},
        {"upper(status) || (id + 1)", FR_TEXT},
        {"lower(status)", FR_TEXT},
        {"((lower(status)))", FR_TEXT},
        {"'x'", FR_TEXT},
        {"length(status)", FR_INT64},
        {"42", FR_INT64},
        {"1.5", FR_FLOAT64},
        {"CAST(id AS TEXT)", FR_TEXT},
        {"CAST(status AS INTEGER)", FR_INT64},
        {"CAST(id AS REAL)", FR_FLOAT64},
        {"true", FR_BOOL},
        {"json_valid(doc)", FR_BOOL},
        {"total", FR_NULL},
        {"total + 1", FR_NULL},
        {"lower(status) + length(status)", FR_NULL},
        {"status || 'x' ->> 1", FR_NULL},
        {"coalesce(status, 'x')", FR_NULL},
        {"CASE WHEN ok = 1 THEN 'a' END", FR_NULL},
        {"(total > 10) + (id > 1)", FR_NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_kind kind = fr_expr_kind(compiled(f, cases[i].text));
        if (kind != cases[i].kind) {
            print_error("%s: %s\n", cases[i].text, fr_kind_name(kind));
            fail();
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_kind_is_spelled),
        TEST(wide_decimals_are_compared),
        TEST(only_what_is_read_is_known),
        TEST(what_is_no_expression_is_refused_at_its_place),
        TEST(without_a_table_any_name_may_be_a_column),
        TEST(no_value_can_ask_for_the_time),
        TEST(work_and_length_have_an_end),
        TEST(kinds_of_results_are_inferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
