/* What drivers write as text, marks in statements, and connection strings. The first byte chooses.
 */
#include "connectors/odbc/odbc_text.h"
#include "connectors/odbc/odbc_value.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void values(fr_arena *a, fr_str text)
{
    fr_odbc_column number = {.kind = FR_DECIMAL, .precision = 18, .scale = 4};
    fr_err err;
    fr_str out, again;
    int64_t us;
    (void)fr_odbc_time(text, &us, &err);
    if (fr_odbc_decimal(a, text, &number, &out, &err) == FR_OK &&
        (fr_odbc_decimal(a, fr_decimal_to_text(a, out, 4), &number, &again, &err) != FR_OK ||
         !fr_str_eq(out, again)))
        abort();
    if (fr_odbc_uuid(a, text, &out, &err) == FR_OK &&
        (fr_odbc_uuid(a, out, &again, &err) != FR_OK || !fr_str_eq(out, again)))
        abort();
}

/* What can be given to a driver is what it would give back. */
static void places(fr_arena *a, fr_str text)
{
    SQL_TIMESTAMP_STRUCT t;
    SQL_DATE_STRUCT d;
    fr_str out;
    fr_err err;
    int64_t n;
    if (fr_odbc_text_moment(text, &t) && fr_odbc_moment(&t, &n, &err) == FR_FAIL &&
        strcmp(err.code, "odbc.value.fraction") != 0)
        abort();
    if (fr_odbc_text_date(text, &d) && fr_odbc_date(&d, &n, &err) == FR_FAIL)
        abort();
    (void)fr_odbc_text_bytes(a, text, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    fr_arena *a = fr_arena_new(0);
    fr_str text = {(const char *)data + 1, size - 1}, out;
    fr_odbc_marked m;
    fr_odbc_text t;
    fr_err err;
    switch (data[0] % 5) {
    case 0:
        values(a, text);
        break;
    case 1:
        places(a, text);
        break;
    case 2:
        if (fr_odbc_read_marks(a, text, 3, &m))
            for (size_t i = 0; i < m.count; i++)
                if (m.params[i].column >= 3)
                    abort();
        break;
    case 3:
        (void)fr_odbc_connection_string(a, fr_arena_cstr(a, text), "p}w", &out, &err);
        break;
    default:
        fr_odbc_text_open(&t);
        if (fr_odbc_from_utf16(&t, a, text.ptr, text.len, &out, &err) == FR_OK &&
            !fr_utf8_valid(out))
            abort();
        fr_odbc_text_close(&t);
        break;
    }
    fr_arena_free(a);
    return 0;
}
