/* Rows in ClickHouse's TabSeparated: the same however the bytes are cut into pieces. The first byte
 * is the size of a piece. */
#include "connectors/clickhouse/ch_tab.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fr_rc keep(void *context, const fr_str *cells, size_t count, fr_err *err)
{
    fr_buf *all = context;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        fr_buf_u8(all, cells[i].ptr == NULL);
        fr_buf_u32be(all, (uint32_t)cells[i].len);
        fr_buf_str(all, cells[i]);
    }
    fr_buf_u8(all, 2);
    return FR_OK;
}

static fr_rc read_all(fr_str text, size_t piece, fr_buf *all)
{
    fr_err err;
    fr_ch_tab t = {.each = keep, .context = all};
    fr_rc rc = FR_OK;
    while (rc == FR_OK && text.len > 0) {
        size_t n = text.len < piece ? text.len : piece;
        rc = fr_ch_tab_feed(&t, (fr_str){text.ptr, n}, &err);
        text = (fr_str){text.ptr + n, text.len - n};
    }
    if (rc == FR_OK)
        rc = fr_ch_tab_end(&t, &err);
    fr_ch_tab_free(&t);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    fr_str text = {(const char *)data + 1, size - 1};
    fr_buf whole = {0}, pieces = {0};
    fr_rc rc = read_all(text, size, &whole);
    if (read_all(text, 1U + data[0] % 16, &pieces) != rc)
        abort();
    if (!fr_str_eq(fr_buf_view(&whole), fr_buf_view(&pieces)))
        abort();
    fr_buf_free(&whole);
    fr_buf_free(&pieces);
    return 0;
}
