/* Values of MySQL and MariaDB: type, form and metadata from the first bytes, then the value (fuzz
 * target 6). What decodes from an image must decode from its own text to the same. */
#include "connectors/mysql/my_types_table.h"
#include "connectors/mysql/my_value.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const fr_str labels[] = {{"a", 1}, {"it's", 4}, {"", 0}};

static void check(const fr_my_codec *c, fr_rc rc, const fr_value *v, const fr_err *err)
{
    if (rc == FR_FAIL && err->text[0] == '\0')
        abort();
    if (rc == FR_IDLE && v->kind != FR_NULL)
        abort();
    if (rc == FR_OK && v->kind != c->kind)
        abort();
    bool text = rc == FR_OK && (v->kind == FR_TEXT || v->kind == FR_JSON || v->kind == FR_UUID);
    if (text && !fr_utf8_valid(v->bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    fr_my_column column = {.type = (fr_my_type)(1 + data[0] % (FR_MY_TYPE_COUNT - 1)),
                           .is_unsigned = (data[1] & 1) != 0,
                           .as_text = (data[1] & 2) != 0,
                           .length = data[4],
                           .precision = (uint8_t)(1 + data[3] % 65),
                           .scale = (uint8_t)(data[2] % 31)};
    if (column.type == FR_MY_BIT)
        column.length = 1 + column.length % 64;
    const fr_my_type_row *row = &fr_my_type_rows[column.type];
    if (column.scale > column.precision)
        column.scale = column.precision;
    if (row->param == FR_MY_DIGITS)
        column.scale %= 7;
    size_t wires = 1;
    while (wires < 4 && row->wire[wires] >= 0)
        wires++;
    fr_my_codec c = {.type = column.type,
                     .wire = (fr_my_wire)row->wire[data[5] % wires],
                     .meta = (uint16_t)(data[2] | data[3] << 8),
                     .digits = row->param == FR_MY_DIGITS ? column.scale : 0,
                     .is_unsigned = column.is_unsigned,
                     .as_text = column.as_text,
                     .zero = (data[1] & 4) != 0 ? FR_MY_ZERO_NULL : FR_MY_ZERO_ERROR,
                     .length = column.length,
                     .labels = labels,
                     .label_count = 3};
    if (row->param == FR_MY_DIGITS)
        c.meta = column.scale;
    if (column.type == FR_MY_DECIMAL)
        c.meta = (uint16_t)(column.precision << 8 | column.scale);
    c.kind = fr_my_kind(&column, &c.precision, &c.scale);
    fr_arena *a = fr_arena_new(0);
    fr_err err = {.text = ""};
    if (row->text && fr_my_convert_open(fr_my_charset_by_collation(1 + data[4] % 250) != NULL
                                            ? fr_my_charset_by_collation(1 + data[4] % 250)
                                            : fr_my_charset_by_collation(45),
                                        &c.convert, &err) == FR_FAIL)
        c.convert = NULL;
    fr_str bytes = {(const char *)data + 6, size - 6};
    fr_in in = fr_in_of(bytes);
    fr_value v = {.kind = FR_ABSENT};
    fr_rc rc = fr_my_decode_image(&c, a, &in, &v, &err);
    check(&c, rc, &v, &err);
    fr_in skip = fr_in_of(bytes);
    bool passed = fr_my_skip_image(c.wire, c.meta, &skip);
    if (rc != FR_FAIL && (!passed || skip.bad || skip.at != in.at))
        abort(); /* both must agree on where a value ends */
    v = (fr_value){.kind = FR_ABSENT};
    check(&c, fr_my_decode_text(&c, a, bytes, &v, &err), &v, &err);
    v = (fr_value){.kind = FR_ABSENT};
    check(&c, fr_my_decode_binary(&c, a, bytes, &v, &err), &v, &err);
    fr_my_convert_close(c.convert);
    fr_arena_free(a);
    return 0;
}
