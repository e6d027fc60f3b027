#include "unit/test.h"

#include "sqlite/sq_sink.h"

static fr_err err;

static void affinities(void **state)
{
    (void)state;
    static const struct {
        const char *declared;
        fr_sq_affinity affinity;
    } rules[] = {{"INT", FR_SQ_INTEGER},
                 {"bigint", FR_SQ_INTEGER},
                 {"UNSIGNED BIG INT", FR_SQ_INTEGER},
                 {"CHARINT", FR_SQ_INTEGER},
                 {"varchar(20)", FR_SQ_TEXT},
                 {"CLOB", FR_SQ_TEXT},
                 {"Text", FR_SQ_TEXT},
                 {"blob", FR_SQ_NONE},
                 {"", FR_SQ_NONE},
                 {"double precision", FR_SQ_REAL},
                 {"FLOAT", FR_SQ_REAL},
                 {"real", FR_SQ_REAL},
                 {"DECIMAL(10,2)", FR_SQ_NUMERIC},
                 {"DATE", FR_SQ_NUMERIC},
                 {"STRING", FR_SQ_NUMERIC},
                 {"ANY", FR_SQ_NUMERIC}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        assert_int_equal(fr_sq_affinity_of(fr_cstr(rules[i].declared), false), rules[i].affinity);
    assert_int_equal(fr_sq_affinity_of(FR_STR("ANY"), true), FR_SQ_NONE);
    assert_int_equal(fr_sq_affinity_of(FR_STR("BLOB"), true), FR_SQ_BYTES);
}

/* What SQLite says itself: the class in which a column of affinity NUMERIC keeps the text. */
static bool becomes_number(sqlite3_stmt *insert, sqlite3_stmt *select, fr_str text)
{
    sqlite3_bind_text(insert, 1, text.ptr, (int)text.len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_reset(insert);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    bool number = sqlite3_column_int(select, 0) != 0;
    sqlite3_reset(select);
    return number;
}

static void numbers_by_their_looks(void **state)
{
    (void)state;
    static const fr_str texts[] = {FR_STR("1"),
                                   FR_STR("-1"),
                                   FR_STR("+1"),
                                   FR_STR(" 1 "),
                                   FR_STR("\t1\n"),
                                   FR_STR("007"),
                                   FR_STR("1."),
                                   FR_STR(".5"),
                                   FR_STR("."),
                                   FR_STR("-"),
                                   FR_STR("1e3"),
                                   FR_STR("1E+3"),
                                   FR_STR("1e"),
                                   FR_STR("1e+"),
                                   FR_STR("e1"),
                                   FR_STR("0x10"),
                                   FR_STR("1 2"),
                                   FR_STR("1a"),
                                   FR_STR(""),
                                   FR_STR(" "),
                                   FR_STR("inf"),
                                   FR_STR("nan"),
                                   FR_STR("1,5"),
                                   FR_STR("--1"),
                                   FR_STR("+ 1"),
                                   FR_STR("2026-11-26"),
                                   FR_STR("08:26:11"),
                                   FR_STR("1e400"),
                                   FR_STR("99999999999999999999"),
                                   FR_STR("1.50"),
                                   FR_STR("1\0"),
                                   FR_STR("1\0002"),
                                   FR_STR("\xc2\xa0"
                                          "1"),
                                   FR_STR("1_0")};
    sqlite3 *db;
    sqlite3_stmt *insert, *select;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (v NUMERIC)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO t (rowid, v) VALUES (1, ?)", -1, &insert, NULL);
    sqlite3_prepare_v2(db, "SELECT typeof(v) <> 'text' FROM t", -1, &select, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        bool want = becomes_number(insert, select, texts[i]);
        if (fr_sq_is_number(texts[i]) != want) {
            print_error("\"%.*s\" becomes %s\n", FR_ARG(texts[i]), want ? "a number" : "a text");
            fail();
        }
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(select);
    sqlite3_close(db);
}

static void expect_fit(fr_kind kind, int precision, int scale, const char *declared, bool strict,
                       fr_sq_fit want)
{
    fr_sq_send send;
    const char *why;
    fr_column c = {.name = FR_STR("c"),
                   .kind = kind,
                   .precision = (int16_t)precision,
                   .scale = (int16_t)scale};
    fr_sq_target_column to = {.declared = fr_cstr(declared),
                              .strict = strict,
                              .affinity = fr_sq_affinity_of(fr_cstr(declared), strict)};
    fr_sq_fit got = fr_sq_sink_fit(&c, &to, &send, &why);
    if (got != want)
        print_error("%s into %s: %d, not %d\n", fr_kind_name(kind), declared, (int)got, (int)want);
    assert_int_equal(got, want);
    assert_true((want == FR_SQ_FIT_FINE) == (why[0] == '\0'));
}

static void fits(void **state)
{
    (void)state;
    for (int k = FR_BOOL; k < FR_KIND_COUNT; k++) {
        expect_fit((fr_kind)k, 30, 2, fr_sq_sink_type((fr_kind)k), true, FR_SQ_FIT_FINE);
        expect_fit((fr_kind)k, 30, 2, "", false, FR_SQ_FIT_FINE);
    }
    expect_fit(FR_INT64, 0, 0, "REAL", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_INT32, 0, 0, "REAL", false, FR_SQ_FIT_FINE);
    expect_fit(FR_TEXT, 0, 0, "INTEGER", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_TEXT, 0, 0, "STRING", false, FR_SQ_FIT_LOSSY);
    expect_fit(FR_FLOAT64, 0, 0, "INTEGER", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_DECIMAL, 19, 0, "INTEGER", true, FR_SQ_FIT_FINE);
    expect_fit(FR_DECIMAL, 10, 2, "INTEGER", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_DECIMAL, 15, 2, "DECIMAL(15,2)", false, FR_SQ_FIT_LOSSY);
    expect_fit(FR_DECIMAL, 16, 2, "DECIMAL(16,2)", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_BYTES, 0, 0, "TEXT", false, FR_SQ_FIT_NEVER);
    expect_fit(FR_TEXT, 0, 0, "BLOB", true, FR_SQ_FIT_NEVER);
    expect_fit(FR_TEXT, 0, 0, "ANY", true, FR_SQ_FIT_FINE);
    expect_fit(FR_DATETIME, 0, 0, "DATETIME", false, FR_SQ_FIT_FINE);
    expect_fit(FR_DATETIME, 0, 0, "INTEGER", false, FR_SQ_FIT_NEVER);
}

/* ---- statements ---- */

static void expect_sql(const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask, const char *want)
{
    fr_arena *a = fr_arena_new(0);
    assert_str(fr_sq_sink_sql(a, t, verb, mask), want);
    fr_arena_free(a);
}

static void statements(void **state)
{
    (void)state;
    fr_sq_field fields[] = {{.ident = FR_STR("\"k\""), .key = true},
                            {.ident = FR_STR("\"a\"\"b\"")},
                            {.ident = FR_STR("\"c\"")}};
    uint16_t keys[] = {0};
    fr_sq_sink_table t = {.qualified = FR_STR("\"excluded\""),
                          .fields = fields,
                          .field_count = 3,
                          .keys = keys,
                          .key_count = 1};
    expect_sql(&t, FR_SQ_WRITE, FR_STR(""),
               "INSERT INTO main.\"excluded\" (\"k\", \"a\"\"b\", \"c\") VALUES (?1, ?2, ?3) ON "
               "CONFLICT (\"k\") DO UPDATE SET \"a\"\"b\" = ?2, \"c\" = ?3");
    expect_sql(&t, FR_SQ_DELETE, FR_STR(""), "DELETE FROM main.\"excluded\" WHERE \"k\" = ?1");
    t.positioned = t.guarded = t.marked = true;
    expect_sql(&t, FR_SQ_WRITE, FR_STR("\1\0\1"),
               "INSERT INTO main.\"excluded\" (\"k\", \"a\"\"b\", \"c\", \"_freshet_position\", "
               "\"_freshet_deleted\") VALUES (?1, NULL, ?3, ?4, ?5) ON CONFLICT (\"k\") DO UPDATE "
               "SET \"c\" = ?3, \"_freshet_position\" = ?4, \"_freshet_deleted\" = ?5 WHERE "
               "(\"_freshet_position\" IS NULL OR \"_freshet_position\" <= ?4)");
    expect_sql(&t, FR_SQ_UPDATE, FR_STR("\1\0\1"),
               "UPDATE main.\"excluded\" SET \"c\" = ?3, \"_freshet_position\" = ?4, "
               "\"_freshet_deleted\" = ?5 WHERE \"k\" = ?1 AND (\"_freshet_position\" IS NULL OR "
               "\"_freshet_position\" <= ?4)");
    expect_sql(&t, FR_SQ_DELETE, FR_STR(""),
               "UPDATE main.\"excluded\" SET \"_freshet_deleted\" = 1, \"_freshet_position\" = "
               "COALESCE(NULLIF(?4, X'" FR_TARGET_LATEST_HEX
               "'), \"_freshet_position\") WHERE \"k\" = ?1 AND (\"_freshet_position\" IS NULL OR "
               "\"_freshet_position\" <= ?4)");
    expect_sql(&t, FR_SQ_FIND, FR_STR(""), "SELECT 1 FROM main.\"excluded\" WHERE \"k\" = ?1");
    t.positioned = t.guarded = t.marked = false;
    t.cleared = true;
    t.field_count = 1;
    expect_sql(&t, FR_SQ_WRITE, FR_STR(""),
               "INSERT INTO main.\"excluded\" (\"k\", \"_freshet_deleted\") VALUES (?1, 0) ON "
               "CONFLICT (\"k\") DO UPDATE SET \"_freshet_deleted\" = 0");
    t.cleared = false;
    expect_sql(&t, FR_SQ_WRITE, FR_STR(""),
               "INSERT INTO main.\"excluded\" (\"k\") VALUES (?1) ON CONFLICT (\"k\") DO NOTHING");
    expect_sql(&t, FR_SQ_UPDATE, FR_STR(""),
               "UPDATE main.\"excluded\" SET \"k\" = \"k\" WHERE \"k\" = ?1");
    t.append = true;
    expect_sql(&t, FR_SQ_WRITE, FR_STR(""), "INSERT INTO main.\"excluded\" (\"k\") VALUES (?1)");
}

static void errors(void **state)
{
    (void)state;
    static const struct {
        int result;
        fr_err_kind kind;
        const char *code;
    } want[] = {{SQLITE_BUSY_SNAPSHOT, FR_ERR_BUSY, "sink.busy"},
                {SQLITE_FULL, FR_ERR_BUSY, "sink.full"},
                {SQLITE_IOERR_WRITE, FR_ERR_CONNECT, "sink.file"},
                {SQLITE_READONLY_DBMOVED, FR_ERR_CONNECT, "sink.file"},
                {SQLITE_READONLY_ROLLBACK, FR_ERR_AUTH, "sink.readonly"},
                {SQLITE_CORRUPT_VTAB, FR_ERR_CONFIG, "sink.corrupt"},
                {SQLITE_CONSTRAINT_UNIQUE, FR_ERR_DATA, "sink.unique"},
                {SQLITE_CONSTRAINT_DATATYPE, FR_ERR_DATA, "sink.value"},
                {SQLITE_INTERRUPT, FR_ERR_CANCELLED, ""},
                {SQLITE_MISUSE, FR_ERR_BUG, ""}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_fails(fr_sq_sink_error(NULL, want[i].result, "test", &err), want[i].kind);
        assert_string_equal(err.code, want[i].code);
        assert_int_equal(err.native, want[i].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affinities), cmocka_unit_test(numbers_by_their_looks),
        cmocka_unit_test(fits),       cmocka_unit_test(statements),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
