/* What a ClickHouse server says of its tables, and rows that it sends: types, engines, sorting
 * keys, RowBinary. A text of three lines: a type, an engine and its full text; behind them values
 * of that type. */
#include "connectors/clickhouse/ch_sink.h"
#include "connectors/clickhouse/ch_value.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_str line(fr_str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    fr_str out = {rest->ptr, len};
    *rest = end != NULL ? (fr_str){end + 1, rest->len - len - 1} : (fr_str){"", 0};
    return out;
}

/* Quoting a name and reading it back is that name. */
static void check_name(fr_arena *a, fr_str name)
{
    fr_str *list;
    fr_err ignored;
    if (fr_target_check_name("ClickHouse", name, &ignored) == FR_FAIL)
        return;
    if (fr_ch_split(a, fr_ch_ident(a, name), &list) != 1)
        abort();
    if (!fr_str_eq(list[0], name))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_arena *a = fr_arena_new(0);
    fr_str rest = {(const char *)data, size};
    fr_str type = line(&rest), engine = line(&rest), full = line(&rest), *list;
    fr_ch_type t = fr_ch_type_of(type);
    fr_ch_target r = {0};
    check_name(a, engine);
    fr_ch_target_engine(a, engine, full, 0, &r);
    if (fr_ch_split(a, full, &list) > full.len + 1)
        abort();
    fr_in in = fr_in_of(rest);
    while (t.base != FR_CH_OTHER && !in.bad && fr_in_left(&in) > 0) {
        const uint8_t *before = in.at;
        fr_str v = fr_ch_take_value(&in, &t);
        if (!in.bad && (v.len == 0 || in.at <= before))
            abort();
    }
    fr_arena_free(a);
    return 0;
}
