/* Texts of a source as values of Debezium's envelope, and what its readers make of bytes. The first
 * byte: which type. */
#include "codec/debezium.h"
#include "codec/debezium_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *native;
    fr_kind kind;
} types[] = {
    {"interval", FR_TEXT},
    {"time with time zone", FR_TEXT},
    {"bit(1)", FR_TEXT},
    {"bit varying(20)", FR_TEXT},
    {"numeric", FR_TEXT},
    {"point", FR_TEXT},
    {"hstore", FR_TEXT},
    {"integer[]", FR_JSON},
    {"numeric(10,2)[]", FR_JSON},
    {"numeric[]", FR_JSON},
    {"bytea[]", FR_JSON},
    {"date[]", FR_JSON},
    {"timestamp(3) without time zone[]", FR_JSON},
    {"timestamp with time zone[]", FR_JSON},
    {"time without time zone[]", FR_JSON},
    {"real[]", FR_JSON},
    {"uuid[]", FR_JSON},
};

static void convert(fr_arena *a, const char *native, fr_kind kind, fr_str text)
{
    fr_table_settings settings = {.pattern = "t"};
    fr_column c = {.name = FR_STR("c"),
                   .kind = kind,
                   .native_type = fr_cstr(native),
                   .doc = FR_STR(""),
                   .fallback = FR_STR("")};
    fr_table like = {.space = FR_STR("s"),
                     .name = FR_STR("t"),
                     .doc = FR_STR(""),
                     .column_count = 1,
                     .columns = &c};
    fr_route route = {.table = fr_table_new(&like), .settings = &settings};
    const fr_dbz_type *t;
    fr_err err;
    fr_value v = {.kind = kind, .bytes = text};
    if (fr_dbz_type_of(a, &route, 0, &t, &err) != FR_OK)
        abort();
    if (fr_dbz_value(a, t, &v) == NULL && v.kind != t->kind)
        abort();
    fr_table_unref(route.table);
}

/* What was read as an instant is printed, and read, as the same. */
static void again(fr_arena *a, fr_str text)
{
    int64_t us, back;
    if (!fr_dbz_parse_zoned(text, &us) || us == INT64_MAX || us == INT64_MIN)
        return;
    fr_str printed = fr_dbz_zoned(a, us, 6);
    if (!fr_dbz_parse_zoned(printed, &back) || back != us)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    fr_arena *a = fr_arena_new(0);
    size_t which = data[0] % (sizeof types / sizeof *types);
    fr_str text = fr_arena_copy(a, data + 1, size - 1);
    if (fr_utf8_valid(text))
        convert(a, types[which].native, types[which].kind, text);
    again(a, text);
    fr_value v = {.kind = FR_JSON, .bytes = text};
    fr_dbz_is_placeholder(&v);
    fr_arena_free(a);
    return 0;
}
