/* Any text as an expression: refused at a place within it, or a result that is the same again. */
#include "transform/expr.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 8 };

static const fr_table *make_table(void)
{
    static const struct {
        const char *name;
        fr_kind kind;
        int16_t precision, scale;
    } c[COLUMNS] = {{"id", FR_INT64, 0, 0},       {"status", FR_TEXT, 0, 0},
                    {"total", FR_DECIMAL, 12, 2}, {"wide", FR_DECIMAL, 38, 4},
                    {"doc", FR_JSON, 0, 0},       {"raw", FR_BYTES, 0, 0},
                    {"at", FR_TIMESTAMP, 0, 0},   {"none", FR_BOOL, 0, 0}};
    fr_column columns[COLUMNS] = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        columns[i] = (fr_column){.name = fr_cstr(c[i].name),
                                 .kind = c[i].kind,
                                 .precision = c[i].precision,
                                 .scale = c[i].scale};
    fr_table like = {.column_count = COLUMNS, .columns = columns};
    return fr_table_new(&like);
}

static bool same(const fr_result *a, const fr_result *b, fr_str copy)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == FR_RESULT_TEXT || a->kind == FR_RESULT_BLOB)
        return fr_str_eq(copy, b->bytes);
    return a->kind == FR_RESULT_NULL || memcmp(&a->integer, &b->integer, sizeof(a->integer)) == 0;
}

static void run_twice(fr_arena *a, fr_expr *e)
{
    const fr_value row[COLUMNS] = {
        {.kind = FR_INT64, .integer = 42},
        {.kind = FR_TEXT, .bytes = FR_STR("now")},
        {.kind = FR_DECIMAL, .bytes = {"\x04\xd2", 2}},
        {.kind = FR_DECIMAL, .bytes = {"\x01\0\0\0\0\0\0\0\0\0", 10}},
        {.kind = FR_JSON, .bytes = FR_STR("{\"a\":[1,{\"b\":null}]}")},
        {.kind = FR_BYTES, .bytes = {"\0\xff", 2}},
        {.kind = FR_TIMESTAMP, .integer = 1795681571402000},
        {.kind = FR_NULL},
    };
    fr_result one, two;
    fr_err err;
    fr_rc rc = fr_expr_run(e, row, &one, &err);
    bool bytes = rc == FR_OK && (one.kind == FR_RESULT_TEXT || one.kind == FR_RESULT_BLOB);
    fr_str copy = bytes ? fr_arena_str(a, one.bytes) : FR_STR("");
    if (fr_expr_run(e, row, &two, &err) != rc || (rc == FR_OK && !same(&one, &two, copy)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fr_sandbox *sandbox;
    static const fr_table *table;
    static unsigned uses;
    fr_err err;
    if (sandbox == NULL && fr_sandbox_open(&sandbox, &err) == FR_FAIL)
        abort();
    if (table == NULL)
        table = make_table();
    fr_arena *a = fr_arena_new(0);
    const char *text = fr_arena_cstr(a, (fr_str){(const char *)data, size});
    fr_expr *e;
    size_t at = 0;
    if (fr_expr_compile(sandbox, a, NULL, text, &e, &at, &err) == FR_FAIL && at > strlen(text))
        abort();
    if (fr_expr_compile(sandbox, a, table, text, &e, &at, &err) == FR_OK)
        run_twice(a, e);
    else if (err.kind != FR_ERR_CONFIG || at > strlen(text))
        abort();
    if (++uses % 256 == 0) { /* it keeps all statements, also those whose arena is gone */
        fr_sandbox_close(sandbox);
        sandbox = NULL;
    }
    fr_arena_free(a);
    return 0;
}
