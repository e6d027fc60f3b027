#include "connectors/mysql/my_value.h"
#include "connectors/mysql/my_json.h"
#include "connectors/mysql/my_value_parts.h"

fr_rc fr_my_malformed(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    return fr_fail_code(err, "my.value.malformed");
}

fr_rc fr_my_ended(fr_err *err)
{
    return fr_my_malformed(err, "the row ends in the middle of a value");
}

uint64_t fr_my_take_packed(fr_in *in)
{
    const uint8_t *p = fr_my_take(in, 1);
    if (p == NULL || *p < 251)
        return p == NULL ? 0 : *p;
    if (*p == 252 || *p == 253)
        return fr_my_take_le(in, *p == 252 ? 2 : 3);
    if (*p == 254)
        return fr_my_take_le(in, 8);
    in->bad = true;
    in->at = in->end;
    return 0;
}

/* --- row images --- */

/* How many bytes of length a string has in front; 0: it is no string. */
static size_t prefix_size(fr_my_wire wire, uint16_t meta)
{
    switch (wire) {
    case FR_MY_WIRE_STRING:
    case FR_MY_WIRE_VARCHAR:
    case FR_MY_WIRE_VAR_STRING:
    case FR_MY_WIRE_VARCHAR_COMPRESSED:
        return meta < 256 ? 1 : 2;
    case FR_MY_WIRE_BLOB:
    case FR_MY_WIRE_BLOB_COMPRESSED:
    case FR_MY_WIRE_JSON:
    case FR_MY_WIRE_GEOMETRY:
    case FR_MY_WIRE_VECTOR:
        return meta >= 1 && meta <= 4 ? meta : 0;
    default:
        return 0;
    }
}

/* Bytes of a value of fixed size; 0: it is none. */
static size_t fixed_size(fr_my_wire wire, uint16_t meta)
{
    switch (wire) {
    case FR_MY_WIRE_TINY:
    case FR_MY_WIRE_YEAR:
        return 1;
    case FR_MY_WIRE_SHORT:
        return 2;
    case FR_MY_WIRE_INT24:
        return 3;
    case FR_MY_WIRE_LONG:
    case FR_MY_WIRE_FLOAT:
        return 4;
    case FR_MY_WIRE_LONGLONG:
    case FR_MY_WIRE_DOUBLE:
        return 8;
    case FR_MY_WIRE_NEWDECIMAL:
        return fr_my_decimal_size(meta);
    case FR_MY_WIRE_ENUM:
    case FR_MY_WIRE_SET:
        return meta <= 8 ? meta : 0;
    case FR_MY_WIRE_BIT: /* bits in the low byte, whole bytes in the high one */
        return (size_t)(meta >> 8) + ((meta & 0xff) != 0 ? 1 : 0);
    default:
        return fr_my_time_size(wire, meta);
    }
}

bool fr_my_skip_image(fr_my_wire wire, uint16_t meta, fr_in *in)
{
    size_t prefix = prefix_size(wire, meta), size = fixed_size(wire, meta);
    if (prefix != 0)
        size = (size_t)fr_my_take_le(in, prefix);
    else if (size == 0 && wire != FR_MY_WIRE_NULL) {
        in->bad = true;
        return false;
    }
    fr_my_take(in, size);
    return true;
}

/* Inlined for each size: these are most of all values. */
static inline fr_rc integer_image(const fr_my_codec *c, fr_arena *a, fr_in *in, size_t size,
                                  fr_value *out, fr_err *err)
{
    uint64_t v = fr_my_take_le(in, size);
    bool negative = !c->is_unsigned && size > 0 && (v >> (size * 8 - 1) & 1) != 0;
    if (in->bad)
        return fr_my_ended(err);
    if (negative && size < 8)
        v |= UINT64_MAX << (size * 8);
    fr_my_put_integer(c, a, v, negative, out);
    return FR_OK;
}

static fr_rc real_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err)
{
    uint64_t bits = fr_my_take_le(in, c->wire == FR_MY_WIRE_FLOAT ? 4 : 8);
    uint32_t bits32 = (uint32_t)bits;
    float f;
    double d;
    if (in->bad)
        return fr_my_ended(err);
    memcpy(&f, &bits32, sizeof(f));
    memcpy(&d, &bits, sizeof(d));
    fr_my_put_float(c, a, c->wire == FR_MY_WIRE_FLOAT ? (double)f : d, out);
    return FR_OK;
}

static fr_rc string_image(const fr_my_codec *c, fr_arena *a, fr_in *in, size_t prefix,
                          fr_value *out, fr_err *err)
{
    size_t len = (size_t)fr_my_take_le(in, prefix);
    const uint8_t *p = fr_my_take(in, len);
    if (p == NULL)
        return fr_my_ended(err);
    fr_str content = {(const char *)p, len};
    if (c->wire == FR_MY_WIRE_BLOB_COMPRESSED || c->wire == FR_MY_WIRE_VARCHAR_COMPRESSED)
        FR_TRY(fr_my_inflate_column(a, content, &content, err));
    return fr_my_string(c, a, content, true, out, err);
}

fr_rc fr_my_decode_image(const fr_my_codec *c, fr_arena *a, fr_in *in, fr_value *out, fr_err *err)
{
    switch (c->wire) {
    case FR_MY_WIRE_TINY:
        return integer_image(c, a, in, 1, out, err);
    case FR_MY_WIRE_SHORT:
        return integer_image(c, a, in, 2, out, err);
    case FR_MY_WIRE_INT24:
        return integer_image(c, a, in, 3, out, err);
    case FR_MY_WIRE_LONG:
        return integer_image(c, a, in, 4, out, err);
    case FR_MY_WIRE_LONGLONG:
        return integer_image(c, a, in, 8, out, err);
    case FR_MY_WIRE_YEAR: {
        uint64_t v = fr_my_take_le(in, 1);
        if (in->bad)
            return fr_my_ended(err);
        fr_my_put_integer(c, a, v == 0 ? 0 : 1900 + v, false, out);
        return FR_OK;
    }
    case FR_MY_WIRE_FLOAT:
    case FR_MY_WIRE_DOUBLE:
        return real_image(c, a, in, out, err);
    case FR_MY_WIRE_NEWDECIMAL:
        return fr_my_decimal_image(c, a, in, out, err);
    case FR_MY_WIRE_BIT:
    case FR_MY_WIRE_ENUM:
    case FR_MY_WIRE_SET: {
        size_t size = fixed_size(c->wire, c->meta);
        uint64_t v = c->wire == FR_MY_WIRE_BIT ? fr_my_take_be(in, size) : fr_my_take_le(in, size);
        if (in->bad || size == 0 || size > 8)
            return fr_my_ended(err);
        if (c->wire != FR_MY_WIRE_BIT)
            return fr_my_label(c, a, v, out, err);
        fr_my_put_bits(c, a, v, out);
        return FR_OK;
    }
    default:
        break;
    }
    size_t prefix = prefix_size(c->wire, c->meta);
    if (prefix != 0)
        return string_image(c, a, in, prefix, out, err);
    return fr_my_time_image(c, a, in, out, err);
}

/* --- results of queries --- */

static bool is_number(fr_my_type t)
{
    return (t >= FR_MY_TINYINT && t <= FR_MY_DOUBLE) || t == FR_MY_YEAR;
}

static bool is_temporal(fr_my_type t)
{
    return t >= FR_MY_DATE && t <= FR_MY_TIMESTAMP;
}

static fr_rc bits_result(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    fr_in bytes = fr_in_of(in);
    if (in.len == 0 || in.len > 8)
        return fr_my_malformed(err, "a bit value has an impossible length");
    fr_my_put_bits(c, a, fr_my_take_be(&bytes, in.len), out);
    return FR_OK;
}

fr_rc fr_my_decode_text(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    if (is_number(c->type))
        return fr_my_number_text(c, a, in, out, err);
    if (is_temporal(c->type))
        return fr_my_time_text(c, a, in, out, err);
    if (c->type == FR_MY_BIT)
        return bits_result(c, a, in, out, err);
    return fr_my_string(c, a, in, false, out, err);
}

fr_rc fr_my_decode_binary(const fr_my_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    if (is_number(c->type) && c->type != FR_MY_DECIMAL)
        return fr_my_number_binary(c, a, in, out, err);
    if (is_temporal(c->type))
        return fr_my_time_binary(c, a, in, out, err);
    return fr_my_decode_text(c, a, in, out, err);
}
