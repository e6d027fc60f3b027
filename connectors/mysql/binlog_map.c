/* https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Table__map__event.html;
 * MariaDB took the optional metadata over in 10.5. */
#include "connectors/mysql/binlog_map.h"
#include "connectors/mysql/my_types_table.h"
#include "connectors/mysql/my_value_parts.h"

enum { COLUMNS_MAX = 4096 };
enum { /* optional metadata */
       SIGNEDNESS = 1,
       DEFAULT_CHARSET = 2,
       COLUMN_CHARSET = 3,
       COLUMN_NAME = 4,
       SET_LABELS = 5,
       ENUM_LABELS = 6,
       GEOMETRY_TYPE = 7,
       SIMPLE_KEY = 8,
       PREFIX_KEY = 9,
       LABEL_DEFAULT_CHARSET = 10,
       LABEL_CHARSET = 11,
       VISIBILITY = 12,
       VECTOR_DIMENSIONS = 13
};

static fr_rc malformed(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_BUG, "binlog: TABLE_MAP: %s", what);
    return fr_fail_code(err, "binlog.malformed");
}

/* --- types and their metadata --- */

/* ENUM, SET and CHARs of more than 255 bytes are disguised as STRING. */
static void undisguise(fr_my_column *c, uint8_t first, uint8_t second)
{
    if ((first & 0x30) != 0x30) {
        c->meta = (uint16_t)(second | ((first & 0x30) ^ 0x30) << 4);
        first |= 0x30;
    } else {
        c->meta = second;
    }
    c->wire = (fr_my_wire)first;
}

static void read_meta(fr_my_column *c, fr_in *in)
{
    switch (c->wire) {
    case FR_MY_WIRE_FLOAT:
    case FR_MY_WIRE_DOUBLE:
    case FR_MY_WIRE_BLOB:
    case FR_MY_WIRE_BLOB_COMPRESSED:
    case FR_MY_WIRE_JSON:
    case FR_MY_WIRE_GEOMETRY:
    case FR_MY_WIRE_VECTOR:
    case FR_MY_WIRE_TIME2:
    case FR_MY_WIRE_DATETIME2:
    case FR_MY_WIRE_TIMESTAMP2:
        c->meta = fr_in_u8(in);
        break;
    case FR_MY_WIRE_VARCHAR:
    case FR_MY_WIRE_VAR_STRING:
    case FR_MY_WIRE_VARCHAR_COMPRESSED:
    case FR_MY_WIRE_BIT:
        c->meta = fr_in_u16le(in);
        break;
    case FR_MY_WIRE_NEWDECIMAL:
        c->meta = fr_in_u16be(in);
        break;
    case FR_MY_WIRE_STRING:
    case FR_MY_WIRE_ENUM:
    case FR_MY_WIRE_SET: {
        uint8_t first = fr_in_u8(in);
        undisguise(c, first, fr_in_u8(in));
        break;
    }
    default:
        break;
    }
}

static fr_rc read_columns(fr_in *in, fr_arena *a, fr_my_relation *r, fr_err *err)
{
    uint64_t count = fr_my_take_packed(in);
    if (in->bad || count > COLUMNS_MAX || count > fr_in_left(in))
        return malformed(err, "an impossible number of columns");
    r->column_count = (size_t)count;
    r->columns = fr_arena_alloc(a, (r->column_count + 1) * sizeof(*r->columns));
    for (size_t i = 0; i < r->column_count; i++)
        r->columns[i].wire = (fr_my_wire)fr_in_u8(in);
    fr_in meta = fr_in_of(fr_in_take(in, (size_t)fr_my_take_packed(in)));
    for (size_t i = 0; i < r->column_count; i++)
        read_meta(&r->columns[i], &meta);
    fr_str nullable = fr_in_take(in, (r->column_count + 7) / 8);
    if (in->bad || meta.bad || fr_in_left(&meta) != 0)
        return malformed(err, "the columns' metadata has an impossible length");
    for (size_t i = 0; i < r->column_count; i++)
        r->columns[i].nullable = ((uint8_t)nullable.ptr[i / 8] >> (i % 8) & 1) != 0;
    return FR_OK;
}

/* --- optional metadata --- */

static bool is_number(const fr_my_column *c)
{
    switch (c->wire) {
    case FR_MY_WIRE_TINY:
    case FR_MY_WIRE_SHORT:
    case FR_MY_WIRE_INT24:
    case FR_MY_WIRE_LONG:
    case FR_MY_WIRE_LONGLONG:
    case FR_MY_WIRE_FLOAT:
    case FR_MY_WIRE_DOUBLE:
    case FR_MY_WIRE_NEWDECIMAL:
    case FR_MY_WIRE_YEAR:
        return true;
    default:
        return false;
    }
}

static bool is_text(const fr_my_column *c)
{
    switch (c->wire) {
    case FR_MY_WIRE_STRING:
    case FR_MY_WIRE_VAR_STRING:
    case FR_MY_WIRE_VARCHAR:
    case FR_MY_WIRE_VARCHAR_COMPRESSED:
    case FR_MY_WIRE_BLOB:
    case FR_MY_WIRE_BLOB_COMPRESSED:
        return true;
    default:
        return false;
    }
}

static bool is_text_or_spatial(const fr_my_column *c)
{
    return is_text(c) || c->wire == FR_MY_WIRE_GEOMETRY;
}

static bool is_label(const fr_my_column *c)
{
    return c->wire == FR_MY_WIRE_ENUM || c->wire == FR_MY_WIRE_SET;
}

typedef bool (*which)(const fr_my_column *c);

/* Bits of the columns chosen, the first in the high bit. */
static void read_signs(fr_in *in, fr_my_relation *r)
{
    size_t n = 0;
    uint8_t byte = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        if (!is_number(&r->columns[i]))
            continue;
        if (n % 8 == 0)
            byte = fr_in_u8(in);
        r->columns[i].is_unsigned = (byte >> (7 - n % 8) & 1) != 0;
        n++;
    }
}

static void read_visibility(fr_in *in, fr_my_relation *r)
{
    fr_str bits = fr_in_take(in, (r->column_count + 7) / 8);
    for (size_t i = 0; !in->bad && i < r->column_count; i++)
        r->columns[i].invisible = ((uint8_t)bits.ptr[i / 8] >> (7 - i % 8) & 1) == 0;
}

/* The default of all, then pairs of the exceptions. */
static void read_default_charset(fr_in *in, fr_my_relation *r, which chosen)
{
    uint64_t usual = fr_my_take_packed(in), at = UINT64_MAX, other = 0;
    size_t n = 0;
    bool more = false;
    for (size_t i = 0; i < r->column_count; i++) {
        if (!chosen(&r->columns[i]))
            continue;
        if (!more && fr_in_left(in) > 0) {
            at = fr_my_take_packed(in);
            other = fr_my_take_packed(in);
            more = true;
        }
        bool exception = more && at == n;
        more = more && !exception;
        r->columns[i].charset = fr_my_charset_by_collation((uint32_t)(exception ? other : usual));
        n++;
    }
}

static void read_charsets(fr_in *in, fr_my_relation *r, which chosen)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (chosen(&r->columns[i]))
            r->columns[i].charset = fr_my_charset_by_collation((uint32_t)fr_my_take_packed(in));
}

static void read_names(fr_in *in, fr_my_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++) {
        r->columns[i].name = fr_in_take(in, (size_t)fr_my_take_packed(in));
        if (!fr_utf8_valid(r->columns[i].name))
            in->bad = true;
    }
    r->named = true;
}

static void read_labels(fr_in *in, fr_my_relation *r, fr_my_wire wire, fr_arena *a)
{
    for (size_t i = 0; i < r->column_count; i++) {
        fr_my_column *c = &r->columns[i];
        if (c->wire != wire)
            continue;
        uint64_t count = fr_my_take_packed(in);
        if (in->bad || count > fr_in_left(in)) {
            in->bad = true;
            return;
        }
        fr_str *labels = fr_arena_alloc(a, ((size_t)count + 1) * sizeof(*labels));
        for (size_t k = 0; k < count; k++)
            labels[k] = fr_in_take(in, (size_t)fr_my_take_packed(in));
        c->labels = labels;
        c->label_count = (size_t)count;
    }
}

static void read_key(fr_in *in, fr_my_relation *r, bool prefixes)
{
    uint16_t place = 0;
    while (fr_in_left(in) > 0) {
        uint64_t i = fr_my_take_packed(in);
        if (prefixes)
            fr_my_take_packed(in); /* a unique prefix is a unique column */
        if (in->bad || i >= r->column_count)
            in->bad = true;
        else
            r->columns[i].primary = ++place;
        if (in->bad)
            return;
    }
}

static void read_geometries(fr_in *in, fr_my_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++) {
        if (r->columns[i].wire != FR_MY_WIRE_GEOMETRY)
            continue;
        uint64_t t = fr_my_take_packed(in);
        if (t > FR_MY_GEOMETRYCOLLECTION - FR_MY_GEOMETRY)
            in->bad = true;
        else
            r->columns[i].type = (fr_my_type)(FR_MY_GEOMETRY + t);
    }
}

static void read_dimensions(fr_in *in, fr_my_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].wire == FR_MY_WIRE_VECTOR)
            r->columns[i].length = (uint32_t)fr_my_take_packed(in);
}

/* Fields we do not know are optional, and passed over. */
static void read_optional(uint8_t field, fr_in *in, bool mariadb, fr_arena *a, fr_my_relation *r)
{
    which texts = mariadb ? is_text_or_spatial : is_text;
    switch (field) {
    case SIGNEDNESS:
        read_signs(in, r);
        break;
    case DEFAULT_CHARSET:
    case LABEL_DEFAULT_CHARSET:
        read_default_charset(in, r, field == DEFAULT_CHARSET ? texts : is_label);
        break;
    case COLUMN_CHARSET:
    case LABEL_CHARSET:
        read_charsets(in, r, field == COLUMN_CHARSET ? texts : is_label);
        break;
    case COLUMN_NAME:
        read_names(in, r);
        break;
    case SET_LABELS:
    case ENUM_LABELS:
        read_labels(in, r, field == SET_LABELS ? FR_MY_WIRE_SET : FR_MY_WIRE_ENUM, a);
        break;
    case GEOMETRY_TYPE:
        read_geometries(in, r);
        break;
    case SIMPLE_KEY:
    case PREFIX_KEY:
        read_key(in, r, field == PREFIX_KEY);
        break;
    case VISIBILITY:
        read_visibility(in, r);
        break;
    case VECTOR_DIMENSIONS:
        read_dimensions(in, r);
        break;
    default:
        break;
    }
}

/* --- what a column is declared as --- */

static fr_my_type plain_type(fr_my_wire wire)
{
    static const uint8_t types[] = {
        [FR_MY_WIRE_TINY] = FR_MY_TINYINT,
        [FR_MY_WIRE_SHORT] = FR_MY_SMALLINT,
        [FR_MY_WIRE_LONG] = FR_MY_INT,
        [FR_MY_WIRE_FLOAT] = FR_MY_FLOAT,
        [FR_MY_WIRE_DOUBLE] = FR_MY_DOUBLE,
        [FR_MY_WIRE_TIMESTAMP] = FR_MY_TIMESTAMP,
        [FR_MY_WIRE_LONGLONG] = FR_MY_BIGINT,
        [FR_MY_WIRE_INT24] = FR_MY_MEDIUMINT,
        [FR_MY_WIRE_DATE] = FR_MY_DATE,
        [FR_MY_WIRE_TIME] = FR_MY_TIME,
        [FR_MY_WIRE_DATETIME] = FR_MY_DATETIME,
        [FR_MY_WIRE_YEAR] = FR_MY_YEAR,
        [FR_MY_WIRE_NEWDATE] = FR_MY_DATE,
        [FR_MY_WIRE_BIT] = FR_MY_BIT,
        [FR_MY_WIRE_TIMESTAMP2] = FR_MY_TIMESTAMP,
        [FR_MY_WIRE_DATETIME2] = FR_MY_DATETIME,
        [FR_MY_WIRE_TIME2] = FR_MY_TIME,
        [FR_MY_WIRE_VECTOR] = FR_MY_VECTOR,
        [FR_MY_WIRE_JSON] = FR_MY_JSON,
        [FR_MY_WIRE_NEWDECIMAL] = FR_MY_DECIMAL,
        [FR_MY_WIRE_ENUM] = FR_MY_ENUM,
        [FR_MY_WIRE_SET] = FR_MY_SET,
        [FR_MY_WIRE_GEOMETRY] = FR_MY_GEOMETRY,
    };
    return (size_t)wire < sizeof(types) ? (fr_my_type)types[wire] : FR_MY_UNKNOWN;
}

static void string_type(fr_my_column *c)
{
    bool binary = strcmp(c->charset->name, "binary") == 0;
    uint32_t bytes = c->meta;
    if (c->wire == FR_MY_WIRE_BLOB || c->wire == FR_MY_WIRE_BLOB_COMPRESSED) {
        if (c->meta >= 1 && c->meta <= 4)
            c->type = (fr_my_type)((binary ? FR_MY_TINYBLOB : FR_MY_TINYTEXT) + c->meta - 1);
    } else if (c->wire == FR_MY_WIRE_STRING) {
        c->type = binary ? FR_MY_BINARY : FR_MY_CHAR;
        c->length = bytes / c->charset->max_length;
    } else {
        bytes -= c->wire == FR_MY_WIRE_VARCHAR_COMPRESSED && bytes > 0 ? 1 : 0;
        c->type = binary ? FR_MY_VARBINARY : FR_MY_VARCHAR;
        c->length = bytes / c->charset->max_length;
    }
    if (binary)
        c->charset = NULL;
}

/* Labels are in the column's own character set. */
static fr_rc convert_labels(fr_my_column *c, fr_arena *a, fr_err *err)
{
    fr_my_convert *convert;
    fr_str *labels = fr_arena_alloc(a, (c->label_count + 1) * sizeof(*labels));
    fr_rc rc = FR_OK;
    FR_TRY(fr_my_convert_open(c->charset, &convert, err));
    for (size_t i = 0; i < c->label_count && rc == FR_OK; i++)
        rc = fr_my_to_utf8(convert, a, c->labels[i], &labels[i], err);
    fr_my_convert_close(convert);
    c->labels = labels;
    return rc;
}

static fr_rc set_type(fr_my_column *c, fr_arena *a, fr_err *err)
{
    if (is_text(c)) {
        if (c->charset != NULL)
            string_type(c);
        return FR_OK;
    }
    if (c->type == FR_MY_UNKNOWN)
        c->type = plain_type(c->wire);
    if (c->type == FR_MY_DECIMAL) {
        c->precision = (uint8_t)(c->meta >> 8);
        c->scale = (uint8_t)c->meta;
        if (fr_my_decimal_size(c->meta) == 0)
            return malformed(err, "a decimal of impossible precision");
    } else if (c->type == FR_MY_BIT) {
        c->length = (c->meta >> 8) * 8u + (c->meta & 0xff);
        if (c->length == 0 || c->length > 64 || (c->meta & 0xff) > 7)
            return malformed(err, "a bit column of impossible length");
    } else if (fr_my_type_rows[c->type].param == FR_MY_DIGITS) {
        if (c->meta > 6)
            return malformed(err, "a time with too many digits");
        c->scale = (uint8_t)c->meta;
    }
    bool labels = c->label_count > 0 && c->charset != NULL;
    return is_label(c) && labels ? convert_labels(c, a, err) : FR_OK;
}

fr_rc fr_binlog_map_read(fr_str body, bool mariadb, fr_arena *a, fr_my_relation *out, fr_err *err)
{
    fr_in in = fr_in_of(body);
    fr_my_relation r = {.from_log = true, .captured = true, .full_image = true};
    r.space = fr_in_take(&in, fr_in_u8(&in));
    uint8_t nul = fr_in_u8(&in);
    r.name = fr_in_take(&in, fr_in_u8(&in));
    nul |= fr_in_u8(&in);
    if (in.bad || nul != 0 || r.name.len == 0 || !fr_utf8_valid(r.space) || !fr_utf8_valid(r.name))
        return malformed(err, "a name is malformed");
    FR_TRY(read_columns(&in, a, &r, err));
    while (fr_in_left(&in) > 0) {
        uint8_t field = fr_in_u8(&in);
        fr_in value = fr_in_of(fr_in_take(&in, (size_t)fr_my_take_packed(&in)));
        read_optional(field, &value, mariadb, a, &r);
        if (in.bad || value.bad)
            return malformed(err, "the optional metadata is malformed");
    }
    r.keyed = r.named;
    for (size_t i = 0; i < r.column_count; i++)
        FR_TRY(set_type(&r.columns[i], a, err));
    *out = r;
    return FR_OK;
}
