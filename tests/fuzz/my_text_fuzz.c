/* What is text: GTID sets of both families (print and parse are each other's inverse), binary sets,
 * statements, and columns of information_schema. */
#include "connectors/mysql/binlog_query.h"
#include "connectors/mysql/my_gtid.h"
#include "connectors/mysql/my_types.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_again(const fr_gtids *s)
{
    fr_buf b = {.arena = NULL};
    fr_gtids *again;
    fr_err err;
    fr_gtids_print(s, &b);
    if (fr_gtids_parse(fr_gtids_family(s), fr_buf_view(&b), &again, &err) != FR_OK)
        abort();
    if (fr_gtids_compare(s, again) != FR_GTIDS_EQUAL)
        abort();
    fr_gtids_free(again);
    b.len = 0;
    if (fr_gtids_family(s) == FR_GTID_MYSQL) {
        fr_gtids_binary(s, &b);
        if (fr_gtids_from_binary(fr_buf_view(&b), &again, &err) != FR_OK ||
            fr_gtids_compare(s, again) != FR_GTIDS_EQUAL)
            abort();
        fr_gtids_free(again);
    }
    fr_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    fr_str text = {(const char *)data + 1, size - 1};
    fr_arena *a = fr_arena_new(0);
    fr_gtids *s;
    fr_err err;
    fr_rc rc = FR_FAIL;
    if (data[0] % 5 < 2)
        rc = fr_gtids_parse(data[0] % 5 == 0 ? FR_GTID_MARIADB : FR_GTID_MYSQL, text, &s, &err);
    else if (data[0] % 5 == 2)
        rc = fr_gtids_from_binary(text, &s, &err);
    if (rc == FR_OK) {
        same_again(s);
        fr_gtids_free(s);
    }
    if (data[0] % 5 == 3)
        fr_sql_read(a, text);
    if (data[0] % 5 == 4) {
        fr_my_column c;
        fr_my_schema_row row = {.name = FR_STR("c"),
                                .column_type = text,
                                .is_nullable = FR_STR("YES"),
                                .fallback = text};
        if (fr_my_column_from_schema(&row, data[0] > 127, a, &c, &err) == FR_OK)
            fr_my_native_type(&c, a);
    }
    fr_arena_free(a);
    return 0;
}
