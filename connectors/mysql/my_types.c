#include "connectors/mysql/my_types.h"
#include "connectors/mysql/my_types_table.h"
#include <string.h>

#define W(name) FR_MY_WIRE_##name
#define BLOBS W(BLOB), W(BLOB_COMPRESSED), -1
/* clang-format off */
const fr_my_type_row fr_my_type_rows[FR_MY_TYPE_COUNT] = {
    [FR_MY_TINYINT] = {"tinyint", FR_INT32, FR_MY_PLAIN, true, false, 0, {W(TINY), -1}, NULL},
    [FR_MY_SMALLINT] = {"smallint", FR_INT32, FR_MY_PLAIN, true, false, 0, {W(SHORT), -1}, NULL},
    [FR_MY_MEDIUMINT] = {"mediumint", FR_INT32, FR_MY_PLAIN, true, false, 0, {W(INT24), -1}, NULL},
    [FR_MY_INT] = {"int", FR_INT32, FR_MY_PLAIN, true, false, 0, {W(LONG), -1}, NULL},
    [FR_MY_BIGINT] = {"bigint", FR_INT64, FR_MY_PLAIN, true, false, 0, {W(LONGLONG), -1}, NULL},
    [FR_MY_DECIMAL] = {"decimal", FR_DECIMAL, FR_MY_DECIMALS, true, false, 0, {W(NEWDECIMAL), -1}, NULL},
    [FR_MY_FLOAT] = {"float", FR_FLOAT32, FR_MY_PLAIN, true, false, 0, {W(FLOAT), -1}, NULL},
    [FR_MY_DOUBLE] = {"double", FR_FLOAT64, FR_MY_PLAIN, true, false, 0, {W(DOUBLE), -1}, NULL},
    [FR_MY_BIT] = {"bit", FR_BYTES, FR_MY_LENGTH, false, false, 0, {W(BIT), -1}, NULL},
    [FR_MY_CHAR] = {"char", FR_TEXT, FR_MY_LENGTH, false, true, 0, {W(STRING), -1}, NULL},
    [FR_MY_VARCHAR] = {"varchar", FR_TEXT, FR_MY_LENGTH, false, true, 0, {W(VARCHAR), W(VAR_STRING), W(VARCHAR_COMPRESSED), -1}, NULL},
    [FR_MY_TINYTEXT] = {"tinytext", FR_TEXT, FR_MY_PLAIN, false, true, 1, {BLOBS}, NULL},
    [FR_MY_TEXT] = {"text", FR_TEXT, FR_MY_PLAIN, false, true, 2, {BLOBS}, NULL},
    [FR_MY_MEDIUMTEXT] = {"mediumtext", FR_TEXT, FR_MY_PLAIN, false, true, 3, {BLOBS}, NULL},
    [FR_MY_LONGTEXT] = {"longtext", FR_TEXT, FR_MY_PLAIN, false, true, 4, {BLOBS}, NULL},
    [FR_MY_BINARY] = {"binary", FR_BYTES, FR_MY_LENGTH, false, false, 0, {W(STRING), -1}, NULL},
    [FR_MY_VARBINARY] = {"varbinary", FR_BYTES, FR_MY_LENGTH, false, false, 0, {W(VARCHAR), W(VAR_STRING), W(VARCHAR_COMPRESSED), -1}, NULL},
    [FR_MY_TINYBLOB] = {"tinyblob", FR_BYTES, FR_MY_PLAIN, false, false, 1, {BLOBS}, NULL},
    [FR_MY_BLOB] = {"blob", FR_BYTES, FR_MY_PLAIN, false, false, 2, {BLOBS}, NULL},
    [FR_MY_MEDIUMBLOB] = {"mediumblob", FR_BYTES, FR_MY_PLAIN, false, false, 3, {BLOBS}, NULL},
    [FR_MY_LONGBLOB] = {"longblob", FR_BYTES, FR_MY_PLAIN, false, false, 4, {BLOBS}, NULL},
    [FR_MY_ENUM] = {"enum", FR_TEXT, FR_MY_LABELS, false, true, 0, {W(ENUM), -1}, NULL},
    [FR_MY_SET] = {"set", FR_TEXT, FR_MY_LABELS, false, true, 0, {W(SET), -1}, NULL},
    [FR_MY_DATE] = {"date", FR_DATE, FR_MY_PLAIN, false, false, 0, {W(DATE), W(NEWDATE), -1}, NULL},
    [FR_MY_TIME] = {"time", FR_TIME, FR_MY_DIGITS, false, false, 0, {W(TIME2), W(TIME), -1}, NULL},
    [FR_MY_DATETIME] = {"datetime", FR_DATETIME, FR_MY_DIGITS, false, false, 0, {W(DATETIME2), W(DATETIME), -1}, NULL},
    [FR_MY_TIMESTAMP] = {"timestamp", FR_TIMESTAMP, FR_MY_DIGITS, false, false, 0, {W(TIMESTAMP2), W(TIMESTAMP), -1}, NULL},
    [FR_MY_YEAR] = {"year", FR_INT32, FR_MY_PLAIN, false, false, 0, {W(YEAR), -1}, NULL},
    [FR_MY_JSON] = {"json", FR_JSON, FR_MY_PLAIN, false, false, 4, {W(JSON), -1}, "MySQL"},
    [FR_MY_GEOMETRY] = {"geometry", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_POINT] = {"point", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_LINESTRING] = {"linestring", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_POLYGON] = {"polygon", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_MULTIPOINT] = {"multipoint", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_MULTILINESTRING] = {"multilinestring", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_MULTIPOLYGON] = {"multipolygon", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_GEOMETRYCOLLECTION] = {"geometrycollection", FR_BYTES, FR_MY_PLAIN, false, false, 4, {W(GEOMETRY), -1}, NULL},
    [FR_MY_VECTOR] = {"vector", FR_JSON, FR_MY_LENGTH, false, false, 4, {W(VECTOR), W(VARCHAR), W(BLOB), -1}, NULL},
    [FR_MY_UUID] = {"uuid", FR_UUID, FR_MY_PLAIN, false, false, 0, {W(STRING), -1}, "MariaDB"},
    [FR_MY_INET4] = {"inet4", FR_TEXT, FR_MY_PLAIN, false, false, 0, {W(STRING), -1}, "MariaDB"},
    [FR_MY_INET6] = {"inet6", FR_TEXT, FR_MY_PLAIN, false, false, 0, {W(STRING), -1}, "MariaDB"},
};
/* clang-format on */

const char *const fr_my_session_settings[] = {
    "SET NAMES utf8",                         /* our statements; every server knows utf8 */
    "SET SESSION character_set_results=NULL", /* values as they are stored */
    "SET SESSION time_zone='+00:00'",
    /* No PAD_CHAR_TO_FULL_LENGTH, no ANSI_QUOTES, no NO_BACKSLASH_ESCAPES. */
    "SET SESSION sql_mode=''",
    NULL,
};

#define COLUMNS                                                                                    \
    "COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_SET_NAME, EXTRA, "           \
    "COLUMN_COMMENT"
#define FROM                                                                                       \
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND TABLE_NAME=? ORDER BY "             \
    "ORDINAL_POSITION"
const char fr_my_columns_sql[] = "SELECT " COLUMNS ", SRS_ID, GENERATION_EXPRESSION" FROM;
const char fr_my_columns_sql_short[] = "SELECT " COLUMNS ", NULL, NULL" FROM;

static fr_kind integer_kind(const fr_my_column *c, int16_t *precision)
{
    if (c->type == FR_MY_BIGINT && c->is_unsigned) {
        *precision = 20;
        return FR_DECIMAL;
    }
    return c->type == FR_MY_INT && c->is_unsigned ? FR_INT64 : fr_my_type_rows[c->type].kind;
}

fr_kind fr_my_kind(const fr_my_column *c, int16_t *precision_out, int16_t *scale_out)
{
    int16_t precision = 0, scale = 0;
    fr_kind kind = fr_my_type_rows[c->type].kind;
    if (c->as_text) {
        kind = FR_TEXT;
    } else if (c->type <= FR_MY_BIGINT) {
        kind = integer_kind(c, &precision);
    } else if (c->type == FR_MY_DECIMAL) {
        precision = c->precision;
        scale = c->scale;
    } else if (c->type == FR_MY_BIT && c->length <= 1) {
        kind = FR_BOOL;
    }
    *precision_out = precision;
    *scale_out = scale;
    return kind;
}

static void put_labels(fr_buf *b, const fr_my_column *c)
{
    for (size_t i = 0; i < c->label_count; i++) {
        fr_buf_text(b, i == 0 ? "('" : ",'");
        for (size_t k = 0; k < c->labels[i].len; k++) {
            if (c->labels[i].ptr[k] == '\'')
                fr_buf_u8(b, '\'');
            fr_buf_u8(b, (uint8_t)c->labels[i].ptr[k]);
        }
        fr_buf_u8(b, '\'');
    }
    fr_buf_text(b, c->label_count == 0 ? "()" : ")");
}

fr_str fr_my_native_type(const fr_my_column *c, fr_arena *a)
{
    const fr_my_type_row *row = &fr_my_type_rows[c->type];
    fr_buf b = {.arena = a};
    fr_buf_text(&b, row->name);
    if (row->param == FR_MY_LENGTH)
        fr_buf_printf(&b, "(%u)", c->length);
    else if (row->param == FR_MY_DECIMALS)
        fr_buf_printf(&b, "(%u,%u)", c->precision, c->scale);
    else if (row->param == FR_MY_DIGITS && c->scale > 0)
        fr_buf_printf(&b, "(%u)", c->scale);
    else if (row->param == FR_MY_LABELS)
        put_labels(&b, c);
    if (row->number && c->is_unsigned)
        fr_buf_text(&b, " unsigned");
    return fr_buf_view(&b);
}

void fr_my_select(fr_buf *b, const fr_my_column *c, bool text)
{
    /* The server prints a FLOAT with 6 digits, and DOUBLE(M,D) with D decimals, which is not what
     * it stores. A product has neither; a sum would lose the sign of -0. */
    bool widen = text && (c->type == FR_MY_FLOAT || c->type == FR_MY_DOUBLE);
    fr_buf_text(b, widen ? "(`" : "`");
    for (size_t i = 0; i < c->name.len; i++) {
        if (c->name.ptr[i] == '`')
            fr_buf_u8(b, '`');
        fr_buf_u8(b, (uint8_t)c->name.ptr[i]);
    }
    fr_buf_text(b, widen ? "`*1e0)" : "`");
}
