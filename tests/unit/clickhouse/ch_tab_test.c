/* Rows of TabSeparated, in pieces. */
#include "clickhouse/ch_tab.h"
#include "unit/test.h"
#include <string.h>

typedef struct taken {
    fr_buf text; /* cells between '|', NULL as '~', rows end with ';' */
    int most;    /* rows, before it fails; 0: all */
    int rows;
} taken;

static fr_rc take(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    taken *t = context;
    if (t->most > 0 && t->rows == t->most)
        return fr_fail(err, FR_ERR_DATA, "enough");
    t->rows++;
    for (size_t i = 0; i < count; i++) {
        fr_buf_text(&t->text, i > 0 ? "|" : "");
        fr_buf_str(&t->text, cells[i].ptr == NULL ? FR_STR("~") : cells[i]);
    }
    fr_buf_u8(&t->text, ';');
    return FR_OK;
}

/* NULL: it was refused, with *err. */
static const char *read_in(const char *text, size_t len, size_t piece, taken *t, fr_err *err)
{
    fr_ch_tab tab = {.each = take, .context = t};
    fr_rc rc = FR_OK;
    for (size_t at = 0; at < len && rc == FR_OK; at += piece)
        rc = fr_ch_tab_feed(&tab, (fr_str){text + at, len - at < piece ? len - at : piece}, err);
    if (rc == FR_OK)
        rc = fr_ch_tab_end(&tab, err);
    fr_ch_tab_free(&tab);
    fr_buf_u8(&t->text, 0);
    return rc == FR_OK ? (const char *)t->text.ptr : NULL;
}

static void rows_in_any_pieces(void **state)
{
    static const char text[] = "1\ta\\tb\\n\\\\c\t\\N\n2\t\t\\\\N\n-3\t\\'\\0x\t\xc3\xa9\n";
    static const char want[] = "1|a\tb\n\\c|~;2||\\N;-3|'\0x|\xc3\xa9;";
    (void)state;
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        taken t = {.most = 0};
        fr_err err;
        assert_non_null(read_in(text, sizeof(text) - 1, piece, &t, &err));
        assert_int_equal(t.text.len, sizeof(want));
        assert_memory_equal(t.text.ptr, want, sizeof(want));
        assert_int_equal(t.rows, 3);
        fr_buf_free(&t.text);
    }
}

static void one_empty_column(void **state)
{
    (void)state;
    taken t = {.most = 0};
    fr_err err;
    assert_string_equal(read_in("\n\n", 2, 1, &t, &err), ";;");
    fr_buf_free(&t.text);
    t = (taken){.most = 0};
    assert_string_equal(read_in("", 0, 1, &t, &err), "");
    fr_buf_free(&t.text);
}

static void what_is_no_answer(void **state)
{
    static const char *const bad[] = {"1\t2\n3\n", "1\n2\t3\n", "1\t2\n3\t4", "x"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        taken t = {.most = 0};
        fr_err err;
        assert_null(read_in(bad[i], strlen(bad[i]), 2, &t, &err));
        assert_int_equal(err.kind, FR_ERR_CONNECT);
        assert_string_equal(err.code, "ch.reply");
        fr_buf_free(&t.text);
    }
    taken t = {.most = 1};
    fr_err err;
    assert_null(read_in("1\n2\n3\n", 6, 6, &t, &err));
    assert_int_equal(err.kind, FR_ERR_DATA);
    assert_int_equal(t.rows, 1);
    fr_buf_free(&t.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_in_any_pieces),
                                       cmocka_unit_test(one_empty_column),
                                       cmocka_unit_test(what_is_no_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
