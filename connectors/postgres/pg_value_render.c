#include "connectors/postgres/pg_value_parts.h"
#include <string.h>

#define DAY_US INT64_C(86400000000)

fr_rc fr_pg_malformed(fr_err *err, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    return fr_fail_code(err, "pg.value.malformed");
}

fr_rc fr_pg_no_room(fr_err *err, const char *code, const char *what)
{
    fr_fail(err, FR_ERR_DATA, "%s", what);
    fr_fail_code(err, code);
    return fr_fail_hint(err, "publish the column as text: columns.types: {COLUMN: string}");
}

static fr_rc put_utf8(fr_str in, fr_buf *out, fr_err *err)
{
    if (!fr_utf8_valid(in)) {
        fr_fail(err, FR_ERR_DATA, "text that is not UTF-8");
        return fr_fail_code(err, "pg.value.utf8");
    }
    fr_buf_str(out, in);
    return FR_OK;
}

static fr_rc render_text(fr_pg_wire wire, int scale, fr_str in, fr_buf *out, fr_err *err)
{
    double real;
    int64_t v;
    switch (wire) {
    case FR_PG_WIRE_BOOL:
        if (!fr_str_is(in, "t") && !fr_str_is(in, "f"))
            return fr_pg_malformed(err, "not a boolean");
        fr_buf_text(out, in.ptr[0] == 't' ? "true" : "false");
        return FR_OK;
    case FR_PG_WIRE_INT2:
    case FR_PG_WIRE_INT4:
    case FR_PG_WIRE_INT8:
    case FR_PG_WIRE_UINT4:
        if (!fr_pg_int_parse(in, INT64_MIN, INT64_MAX, &v))
            return fr_pg_malformed(err, "not an integer");
        fr_buf_str(out, in);
        return FR_OK;
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_FLOAT8:
        FR_TRY(fr_pg_float_parse(in, wire == FR_PG_WIRE_FLOAT4, &real, err));
        fr_pg_float_render(real, wire == FR_PG_WIRE_FLOAT4, out);
        return FR_OK;
    case FR_PG_WIRE_MONEY:
        FR_TRY(fr_pg_money_parse(in, &v, err));
        fr_pg_money_render(v, scale, out);
        return FR_OK;
    default:
        return put_utf8(in, out, err);
    }
}

/* Bytes that a fixed-size binary form must have; 0: it varies. */
static size_t binary_size(fr_pg_wire wire)
{
    switch (wire) {
    case FR_PG_WIRE_BOOL:
        return 1;
    case FR_PG_WIRE_INT2:
        return 2;
    case FR_PG_WIRE_INT4:
    case FR_PG_WIRE_UINT4:
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_DATE:
        return 4;
    case FR_PG_WIRE_INT8:
    case FR_PG_WIRE_UINT8:
    case FR_PG_WIRE_FLOAT8:
    case FR_PG_WIRE_MONEY:
    case FR_PG_WIRE_TIME:
    case FR_PG_WIRE_TIMESTAMP:
    case FR_PG_WIRE_TIMESTAMPTZ:
        return 8;
    case FR_PG_WIRE_TIMETZ:
        return 12;
    case FR_PG_WIRE_INTERVAL:
    case FR_PG_WIRE_UUID:
        return 16;
    default:
        return 0;
    }
}

static fr_rc render_time(fr_pg_wire wire, fr_in *in, fr_buf *out, fr_err *err)
{
    int64_t us = (int64_t)fr_in_u64be(in);
    if (us < 0 || us > DAY_US)
        return fr_pg_malformed(err, "not a time of day");
    if (wire == FR_PG_WIRE_TIME)
        fr_pg_time_render(us, out);
    else
        fr_pg_timetz_render(us, (int32_t)fr_in_u32be(in), out);
    return FR_OK;
}

static void render_interval(fr_in *in, fr_buf *out)
{
    int64_t us = (int64_t)fr_in_u64be(in);
    int32_t days = (int32_t)fr_in_u32be(in);
    fr_pg_interval_render(us, days, (int32_t)fr_in_u32be(in), out);
}

static void render_float(fr_pg_wire wire, fr_in *in, fr_buf *out)
{
    if (wire == FR_PG_WIRE_FLOAT4) {
        uint32_t bits = fr_in_u32be(in);
        float v;
        memcpy(&v, &bits, sizeof(v));
        fr_pg_float_render((double)v, true, out);
    } else {
        uint64_t bits = fr_in_u64be(in);
        double v;
        memcpy(&v, &bits, sizeof(v));
        fr_pg_float_render(v, false, out);
    }
}

/* Forms of a fixed size, whose size has been checked. */
static fr_rc render_fixed(fr_pg_wire wire, int scale, fr_str bytes, fr_buf *out, fr_err *err)
{
    fr_in in = fr_in_of(bytes);
    switch (wire) {
    case FR_PG_WIRE_BOOL:
        fr_buf_text(out, fr_in_u8(&in) != 0 ? "true" : "false");
        return FR_OK;
    case FR_PG_WIRE_INT2:
        fr_buf_printf(out, "%d", (int16_t)fr_in_u16be(&in));
        return FR_OK;
    case FR_PG_WIRE_INT4:
        fr_buf_printf(out, "%d", (int32_t)fr_in_u32be(&in));
        return FR_OK;
    case FR_PG_WIRE_INT8:
        fr_buf_printf(out, "%lld", (long long)fr_in_u64be(&in));
        return FR_OK;
    case FR_PG_WIRE_UINT4:
        fr_buf_printf(out, "%u", fr_in_u32be(&in));
        return FR_OK;
    case FR_PG_WIRE_UINT8:
        fr_buf_printf(out, "%llu", (unsigned long long)fr_in_u64be(&in));
        return FR_OK;
    case FR_PG_WIRE_FLOAT4:
    case FR_PG_WIRE_FLOAT8:
        render_float(wire, &in, out);
        return FR_OK;
    case FR_PG_WIRE_MONEY:
        fr_pg_money_render((int64_t)fr_in_u64be(&in), scale, out);
        return FR_OK;
    case FR_PG_WIRE_DATE:
        fr_pg_date_render((int32_t)fr_in_u32be(&in), out);
        return FR_OK;
    case FR_PG_WIRE_TIMESTAMP:
    case FR_PG_WIRE_TIMESTAMPTZ:
        fr_pg_timestamp_render((int64_t)fr_in_u64be(&in), wire == FR_PG_WIRE_TIMESTAMPTZ, out);
        return FR_OK;
    case FR_PG_WIRE_INTERVAL:
        render_interval(&in, out);
        return FR_OK;
    case FR_PG_WIRE_UUID:
        fr_pg_uuid_render(bytes, out);
        return FR_OK;
    default:
        return render_time(wire, &in, out, err);
    }
}

static fr_rc render_binary(fr_pg_wire wire, int scale, fr_str in, fr_buf *out, fr_err *err)
{
    size_t size = binary_size(wire);
    if (size != 0 && in.len != size)
        return fr_pg_malformed(err, "a binary value of another size than its type has");
    if (size != 0)
        return render_fixed(wire, scale, in, out, err);
    switch (wire) {
    case FR_PG_WIRE_NUMERIC:
        return fr_pg_numeric_render(in, out, err);
    case FR_PG_WIRE_TEXT:
        return put_utf8(in, out, err);
    case FR_PG_WIRE_JSONB:
        if (in.len == 0 || in.ptr[0] != 1)
            return fr_pg_malformed(err, "jsonb of a version other than 1");
        return put_utf8((fr_str){in.ptr + 1, in.len - 1}, out, err);
    case FR_PG_WIRE_BYTEA:
        fr_pg_bytea_render(in, out);
        return FR_OK;
    case FR_PG_WIRE_EWKB:
        FR_TRY(fr_pg_ewkb_check(in, err));
        fr_pg_ewkb_render(in, out);
        return FR_OK;
    case FR_PG_WIRE_BIT:
        return fr_pg_bit_render(in, out, err);
    case FR_PG_WIRE_INET:
        return fr_pg_inet_render(in, out, err);
    case FR_PG_WIRE_MACADDR:
        return fr_pg_macaddr_render(in, out, err);
    default:
        /* The source asks for text where fr_pg_codec_binary_safe says no. */
        return fr_pg_malformed(err, "a binary value of a type that is read as text only");
    }
}

fr_rc fr_pg_render(fr_pg_wire wire, int scale, fr_str in, bool binary, fr_buf *out, fr_err *err)
{
    return binary ? render_binary(wire, scale, in, out, err)
                  : render_text(wire, scale, in, out, err);
}
