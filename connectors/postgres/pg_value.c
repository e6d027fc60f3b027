#include "connectors/postgres/pg_value.h"
#include "connectors/postgres/pg_value_parts.h"
#include <math.h>
#include <string.h>

static void set_integer(fr_value *out, fr_kind kind, int64_t v)
{
    out->kind = kind;
    out->integer = v;
}

static void set_bytes(fr_value *out, fr_kind kind, fr_str bytes)
{
    out->kind = kind;
    out->bytes = bytes;
}

static void set_real(fr_value *out, fr_kind kind, double v)
{
    out->kind = kind;
    out->real = isnan(v) ? (double)NAN : v; /* one NaN, whatever its bits were */
}

static fr_rc utf8(fr_kind kind, fr_str in, fr_value *out, fr_err *err)
{
    if (!fr_utf8_valid(in)) {
        fr_fail(err, FR_ERR_DATA, "text that is not UTF-8");
        return fr_fail_code(err, "pg.value.utf8");
    }
    set_bytes(out, kind, in);
    return FR_OK;
}

/* A value that is published as its text. */
static fr_rc rendered(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_value *out,
                      fr_err *err)
{
    fr_str text;
    if (c->wire == FR_PG_WIRE_ARRAY) {
        FR_TRY(fr_pg_array(c, a, in, binary, &text, err));
    } else {
        fr_buf b = {.arena = a};
        FR_TRY(fr_pg_render(c->wire, c->scale, in, binary, &b, err));
        text = fr_buf_view(&b);
    }
    set_bytes(out, c->kind, text);
    return FR_OK;
}

static fr_rc decimal(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_value *out,
                     fr_err *err)
{
    fr_str unscaled;
    FR_TRY(fr_pg_numeric_decimal(c, a, in, binary, &unscaled, err));
    set_bytes(out, FR_DECIMAL, unscaled);
    return FR_OK;
}

/* --- text --- */

static fr_rc text_integer(fr_kind kind, fr_str in, int64_t low, int64_t high, fr_value *out,
                          fr_err *err)
{
    int64_t v;
    if (!fr_pg_int_parse(in, low, high, &v))
        return fr_pg_malformed(err, "not an integer of its type");
    set_integer(out, kind, v);
    return FR_OK;
}

static fr_rc text_bool(fr_str in, fr_value *out, fr_err *err)
{
    if (in.len != 1 || (in.ptr[0] != 't' && in.ptr[0] != 'f'))
        return fr_pg_malformed(err, "not a boolean");
    out->kind = FR_BOOL;
    out->boolean = in.ptr[0] == 't';
    return FR_OK;
}

/* Of what may be infinite. */
static bool text_infinity(const fr_pg_codec *c, fr_str in, fr_value *out)
{
    bool least = fr_str_is(in, "-infinity");
    if (!c->infinite || (!least && !fr_str_is(in, "infinity")))
        return false;
    set_integer(out, c->kind, least ? INT64_MIN : INT64_MAX);
    return true;
}

static fr_rc text_temporal(const fr_pg_codec *c, fr_str in, fr_value *out, fr_err *err)
{
    int64_t v = 0;
    if (text_infinity(c, in, out))
        return FR_OK;
    if (c->wire == FR_PG_WIRE_DATE)
        FR_TRY(fr_pg_date_parse(in, &v, err));
    else if (c->wire == FR_PG_WIRE_TIME)
        FR_TRY(fr_pg_time_parse(in, &v, err));
    else
        FR_TRY(fr_pg_timestamp_parse(in, c->wire == FR_PG_WIRE_TIMESTAMPTZ, &v, err));
    set_integer(out, c->kind, v);
    return FR_OK;
}

static fr_rc text_real(const fr_pg_codec *c, fr_str in, fr_value *out, fr_err *err)
{
    double v;
    FR_TRY(fr_pg_float_parse(in, c->wire == FR_PG_WIRE_FLOAT4, &v, err));
    set_real(out, c->kind, v);
    return FR_OK;
}

static fr_rc text_uint8(fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    uint64_t v = 0;
    bool bad = in.len == 0;
    for (size_t i = 0; i < in.len && !bad; i++) {
        unsigned digit = (unsigned)(unsigned char)in.ptr[i] - '0';
        bad =
            digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v);
    }
    if (bad)
        return fr_pg_malformed(err, "not an xid8");
    set_bytes(out, FR_DECIMAL, fr_pg_uint_decimal(a, v));
    return FR_OK;
}

static fr_rc text_money(fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    int64_t v;
    FR_TRY(fr_pg_money_parse(in, &v, err));
    set_bytes(out, FR_DECIMAL, fr_pg_int_decimal(a, v));
    return FR_OK;
}

fr_rc fr_pg_decode_text(const fr_pg_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    fr_str bytes;
    if (c->as_text)
        return rendered(c, a, in, false, out, err);
    switch (c->wire) {
    case FR_PG_WIRE_BOOL:
        return text_bool(in, out, err);
    case FR_PG_WIRE_INT2:
        return text_integer(FR_INT32, in, INT16_MIN, INT16_MAX, out, err);
    case FR_PG_WIRE_INT4:
        return text_integer(FR_INT32, in, INT32_MIN, INT32_MAX, out, err);
    case FR_PG_WIRE_INT8:
        return text_integer(FR_INT64, in, INT64_MIN, INT64_MAX, out, err);
    case FR_PG_WIRE_UINT4:
        return text_integer(FR_INT64, in, 0, UINT32_MAX, out, err);
    case FR_PG_WIRE_UINT8:
        return text_uint8(a, in, out, err);
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_FLOAT8:
        return text_real(c, in, out, err);
    case FR_PG_WIRE_NUMERIC:
        return c->kind == FR_DECIMAL ? decimal(c, a, in, false, out, err)
                                     : utf8(c->kind, in, out, err);
    case FR_PG_WIRE_MONEY:
        return text_money(a, in, out, err);
    case FR_PG_WIRE_BYTEA:
        FR_TRY(fr_pg_bytea_parse(a, in, &bytes, err));
        set_bytes(out, FR_BYTES, bytes);
        return FR_OK;
    case FR_PG_WIRE_EWKB:
        FR_TRY(fr_pg_ewkb_parse(a, in, &bytes, err));
        set_bytes(out, FR_BYTES, bytes);
        return FR_OK;
    case FR_PG_WIRE_UUID:
        if (!fr_pg_uuid_valid(in))
            return fr_pg_malformed(err, "not a uuid");
        set_bytes(out, FR_UUID, in);
        return FR_OK;
    case FR_PG_WIRE_DATE:
    case FR_PG_WIRE_TIME:
    case FR_PG_WIRE_TIMESTAMP:
    case FR_PG_WIRE_TIMESTAMPTZ:
        return text_temporal(c, in, out, err);
    case FR_PG_WIRE_ARRAY:
        return rendered(c, a, in, false, out, err);
    default:
        return utf8(c->kind, in, out, err);
    }
}

/* --- binary --- */

static fr_rc wrong_size(fr_err *err)
{
    return fr_pg_malformed(err, "a binary value of another size than its type has");
}

static fr_rc binary_integer(const fr_pg_codec *c, fr_str bytes, fr_value *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    int64_t v;
    if (c->wire == FR_PG_WIRE_INT2)
        v = (int16_t)fr_in_u16be(&in);
    else if (c->wire == FR_PG_WIRE_INT4)
        v = (int32_t)fr_in_u32be(&in);
    else if (c->wire == FR_PG_WIRE_UINT4)
        v = fr_in_u32be(&in);
    else
        v = (int64_t)fr_in_u64be(&in);
    if (in.bad || fr_in_left(&in) != 0)
        return wrong_size(err);
    set_integer(out, c->kind, v);
    return FR_OK;
}

static fr_rc binary_real(const fr_pg_codec *c, fr_str bytes, fr_value *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    double v;
    if (c->wire == FR_PG_WIRE_FLOAT4) {
        uint32_t bits = fr_in_u32be(&in);
        float single;
        memcpy(&single, &bits, sizeof(single));
        v = (double)single;
    } else {
        uint64_t bits = fr_in_u64be(&in);
        memcpy(&v, &bits, sizeof(v));
    }
    if (in.bad || fr_in_left(&in) != 0)
        return wrong_size(err);
    set_real(out, c->kind, v);
    return FR_OK;
}

/* xid8 and money: 64 bits that become a decimal. */
static fr_rc binary_wide(const fr_pg_codec *c, fr_arena *a, fr_str bytes, fr_value *out,
                         fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    uint64_t v = fr_in_u64be(&in);
    if (in.bad || fr_in_left(&in) != 0)
        return wrong_size(err);
    bool money = c->wire == FR_PG_WIRE_MONEY;
    set_bytes(out, FR_DECIMAL, money ? fr_pg_int_decimal(a, (int64_t)v) : fr_pg_uint_decimal(a, v));
    return FR_OK;
}

static bool binary_infinity(const fr_pg_codec *c, int64_t *v)
{
    bool date = c->wire == FR_PG_WIRE_DATE;
    int64_t most = date ? INT32_MAX : INT64_MAX, least = date ? INT32_MIN : INT64_MIN;
    if (c->wire == FR_PG_WIRE_TIME || (*v != most && *v != least))
        return false;
    *v = *v == most ? INT64_MAX : INT64_MIN;
    return true;
}

static fr_rc binary_temporal(const fr_pg_codec *c, fr_str bytes, fr_value *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    int64_t v = c->wire == FR_PG_WIRE_DATE ? (int32_t)fr_in_u32be(&in) : (int64_t)fr_in_u64be(&in);
    if (in.bad || fr_in_left(&in) != 0)
        return wrong_size(err);
    if (c->infinite && binary_infinity(c, &v)) {
        set_integer(out, c->kind, v);
        return FR_OK;
    }
    if (c->wire == FR_PG_WIRE_DATE)
        FR_TRY(fr_pg_date_of((int32_t)v, &v, err));
    else if (c->wire != FR_PG_WIRE_TIME)
        FR_TRY(fr_pg_timestamp_of(v, &v, err));
    else if (v < 0 || v > INT64_C(86400000000))
        return fr_pg_malformed(err, "not a time of day");
    set_integer(out, c->kind, v);
    return FR_OK;
}

static fr_rc binary_bool(fr_str in, fr_value *out, fr_err *err)
{
    if (in.len != 1)
        return wrong_size(err);
    out->kind = FR_BOOL;
    out->boolean = in.ptr[0] != 0;
    return FR_OK;
}

fr_rc fr_pg_decode_binary(const fr_pg_codec *c, fr_arena *a, fr_str in, fr_value *out, fr_err *err)
{
    if (c->as_text)
        return rendered(c, a, in, true, out, err);
    switch (c->wire) {
    case FR_PG_WIRE_BOOL:
        return binary_bool(in, out, err);
    case FR_PG_WIRE_INT2:
    case FR_PG_WIRE_INT4:
    case FR_PG_WIRE_INT8:
    case FR_PG_WIRE_UINT4:
        return binary_integer(c, in, out, err);
    case FR_PG_WIRE_UINT8:
    case FR_PG_WIRE_MONEY:
        return binary_wide(c, a, in, out, err);
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_FLOAT8:
        return binary_real(c, in, out, err);
    case FR_PG_WIRE_NUMERIC:
        return c->kind == FR_DECIMAL ? decimal(c, a, in, true, out, err)
                                     : rendered(c, a, in, true, out, err);
    case FR_PG_WIRE_TEXT:
        return utf8(c->kind, in, out, err);
    case FR_PG_WIRE_JSONB:
        if (in.len == 0 || in.ptr[0] != 1)
            return fr_pg_malformed(err, "jsonb of a version other than 1");
        return utf8(c->kind, (fr_str){in.ptr + 1, in.len - 1}, out, err);
    case FR_PG_WIRE_EWKB:
        FR_TRY(fr_pg_ewkb_check(in, err));
        set_bytes(out, FR_BYTES, in);
        return FR_OK;
    case FR_PG_WIRE_BYTEA:
        set_bytes(out, FR_BYTES, in);
        return FR_OK;
    case FR_PG_WIRE_DATE:
    case FR_PG_WIRE_TIME:
    case FR_PG_WIRE_TIMESTAMP:
    case FR_PG_WIRE_TIMESTAMPTZ:
        return binary_temporal(c, in, out, err);
    default:
        return rendered(c, a, in, true, out, err);
    }
}
