#include "postgres/pg_sink_value.h"
#include "sql/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Microseconds and days between 1970-01-01 and PostgreSQL's 2000-01-01. */
#define EPOCH_DAYS INT64_C(10957)
#define EPOCH_US (EPOCH_DAYS * 86400 * 1000000)

static const struct {
    uint32_t oid, array;
} sends[FR_PG_SEND_COUNT] = {
    [FR_PG_SEND_BOOL] = {16, 1000},          [FR_PG_SEND_INT4] = {23, 1007},
    [FR_PG_SEND_INT8] = {20, 1016},          [FR_PG_SEND_FLOAT4] = {700, 1021},
    [FR_PG_SEND_FLOAT8] = {701, 1022},       [FR_PG_SEND_BYTEA] = {17, 1001},
    [FR_PG_SEND_UUID] = {2950, 2951},        [FR_PG_SEND_DATE] = {1082, 1182},
    [FR_PG_SEND_TIME] = {1083, 1183},        [FR_PG_SEND_TIMESTAMP] = {1114, 1115},
    [FR_PG_SEND_TIMESTAMPTZ] = {1184, 1185}, [FR_PG_SEND_TEXT] = {25, 1009},
    [FR_PG_SEND_ARRAY] = {25, 1009},
};

uint32_t fr_pg_send_oid(fr_pg_send send)
{
    return sends[send].oid;
}

uint32_t fr_pg_send_array_oid(fr_pg_send send)
{
    return sends[send].array;
}

void fr_pg_array_begin(fr_buf *b, uint32_t element_oid)
{
    b->len = 0;
    fr_buf_u32be(b, 1); /* dimensions */
    fr_buf_u32be(b, 1); /* NULLs may be there */
    fr_buf_u32be(b, element_oid);
    fr_buf_u32be(b, 0); /* the count, by fr_pg_array_end */
    fr_buf_u32be(b, 1); /* the first index */
}

void fr_pg_array_end(fr_buf *b, size_t count)
{
    for (int i = 0; i < 4; i++)
        b->ptr[12 + i] = (uint8_t)(count >> (24 - 8 * i));
}

/* ---- texts ---- */

static void put_float_text(fr_buf *out, double v, bool single)
{
    if (isnan(v)) {
        fr_buf_text(out, "NaN");
        return;
    }
    if (isinf(v)) {
        fr_buf_text(out, v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    char text[40];
    for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    fr_buf_text(out, text);
}

/* PostgreSQL writes years before 1 as "0044-03-15 BC"; year 0 is 1 BC. Returns whether the
 * era has to follow. */
static bool put_date_text(fr_buf *out, int64_t days)
{
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    fr_buf_printf(out, "%04" PRId64 "-%02u-%02u", year > 0 ? year : 1 - year, month, day);
    return year <= 0;
}

/* Hours may have any number of digits: durations, which go into interval or text. */
static void put_time_text(fr_buf *out, int64_t us)
{
    uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    uint64_t fraction = left % 1000000, seconds = left / 1000000;
    fr_buf_printf(out, "%s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, us < 0 ? "-" : "",
                  seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (fraction != 0) {
        fr_buf_printf(out, ".%06" PRIu64, fraction);
        while (out->ptr[out->len - 1] == '0')
            out->len--;
    }
}

static void put_datetime_text(fr_buf *out, int64_t us, const char *zone)
{
    int64_t day_us = INT64_C(86400000000);
    int64_t days = us / day_us - (us % day_us < 0);
    bool bc = put_date_text(out, days);
    fr_buf_u8(out, ' ');
    put_time_text(out, us - days * day_us);
    fr_buf_text(out, zone);
    if (bc)
        fr_buf_text(out, " BC");
}

static void put_text(fr_buf *out, const fr_column *c, const fr_value *v)
{
    bool bc;
    switch (v->kind) {
    case FR_BOOL:
        fr_buf_text(out, v->boolean ? "true" : "false");
        break;
    case FR_INT32:
    case FR_INT64:
        fr_buf_printf(out, "%" PRId64, v->integer);
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        put_float_text(out, v->real, v->kind == FR_FLOAT32);
        break;
    case FR_DECIMAL:
        fr_sql_put_decimal(out, v->bytes, c->scale);
        break;
    case FR_DATE:
        bc = put_date_text(out, v->integer);
        fr_buf_text(out, bc ? " BC" : "");
        break;
    case FR_TIME:
        put_time_text(out, v->integer);
        break;
    case FR_DATETIME:
        put_datetime_text(out, v->integer, "");
        break;
    case FR_TIMESTAMP:
        put_datetime_text(out, v->integer, "+00");
        break;
    default: /* TEXT, JSON, UUID; BYTES go into bytea only */
        fr_buf_str(out, v->bytes);
    }
}

/* ---- binary forms ---- */

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

static fr_rc put_date(fr_buf *out, const fr_column *c, int64_t days, fr_err *err)
{
    days -= days < INT64_MIN + EPOCH_DAYS ? 0 : EPOCH_DAYS;
    if (days <= INT32_MIN || days >= INT32_MAX) /* these two are -infinity and infinity */
        return no_such_value(err, c, "PostgreSQL has no such date");
    fr_buf_u32be(out, (uint32_t)(int32_t)days);
    return FR_OK;
}

static fr_rc put_stamp(fr_buf *out, const fr_column *c, int64_t us, fr_err *err)
{
    if (us <= INT64_MIN + EPOCH_US || us == INT64_MAX)
        return no_such_value(err, c, "PostgreSQL has no such time");
    fr_buf_u64be(out, (uint64_t)(us - EPOCH_US));
    return FR_OK;
}

static fr_rc put_uuid(fr_buf *out, const fr_column *c, fr_str text, fr_err *err)
{
    size_t digits = 0;
    uint8_t bytes[16] = {0};
    for (size_t i = 0; i < text.len; i++) {
        char d = text.ptr[i];
        if (d == '-')
            continue;
        int v = d >= '0' && d <= '9'   ? d - '0'
                : d >= 'a' && d <= 'f' ? d - 'a' + 10
                : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                       : -1;
        if (v < 0 || digits == 32)
            return no_such_value(err, c, "not a UUID");
        bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | v);
        digits++;
    }
    if (digits != 32)
        return no_such_value(err, c, "not a UUID");
    fr_buf_put(out, bytes, sizeof(bytes));
    return FR_OK;
}

static fr_rc put_any_text(fr_buf *out, const fr_column *c, const fr_value *v, fr_err *err)
{
    size_t start = out->len;
    put_text(out, c, v);
    size_t len = out->len - start;
    if (len > 0 && memchr(out->ptr + start, '\0', len) != NULL)
        return no_such_value(err, c, "the text holds U+0000, which PostgreSQL cannot store");
    return FR_OK;
}

static void put_float(fr_buf *out, double v, bool single)
{
    if (single) {
        float narrow = (float)v;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof(bits));
        fr_buf_u32be(out, bits);
    } else {
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        fr_buf_u64be(out, bits);
    }
}

static fr_rc put_array(fr_buf *out, const fr_column *c, fr_str json, fr_err *err)
{
    if (fr_pg_array_literal(out, json, err) == FR_FAIL)
        return fr_fail_in(err, "column %.*s", FR_ARG(c->name));
    return FR_OK;
}

static fr_rc put_bytes(fr_buf *out, fr_pg_send send, const fr_column *c, const fr_value *v,
                       fr_err *err)
{
    switch (send) {
    case FR_PG_SEND_BOOL:
        fr_buf_u8(out, v->boolean);
        return FR_OK;
    case FR_PG_SEND_INT4:
        if (v->integer < INT32_MIN || v->integer > INT32_MAX)
            return no_such_value(err, c, "does not fit 32 bits");
        fr_buf_u32be(out, (uint32_t)(int32_t)v->integer);
        return FR_OK;
    case FR_PG_SEND_INT8:
        fr_buf_u64be(out, (uint64_t)v->integer);
        return FR_OK;
    case FR_PG_SEND_FLOAT4:
    case FR_PG_SEND_FLOAT8:
        put_float(out, v->real, send == FR_PG_SEND_FLOAT4);
        return FR_OK;
    case FR_PG_SEND_BYTEA:
        fr_buf_str(out, v->bytes);
        return FR_OK;
    case FR_PG_SEND_UUID:
        return put_uuid(out, c, v->bytes, err);
    case FR_PG_SEND_DATE:
        return put_date(out, c, v->integer, err);
    case FR_PG_SEND_TIME:
        if (v->integer < 0 || v->integer > INT64_C(86400000000))
            return no_such_value(err, c, "PostgreSQL has no such time of day");
        fr_buf_u64be(out, (uint64_t)v->integer);
        return FR_OK;
    case FR_PG_SEND_TIMESTAMP:
    case FR_PG_SEND_TIMESTAMPTZ:
        return put_stamp(out, c, v->integer, err);
    case FR_PG_SEND_ARRAY:
        return put_array(out, c, v->bytes, err);
    default:
        return put_any_text(out, c, v, err);
    }
}

fr_rc fr_pg_sink_put(fr_buf *out, fr_pg_send send, const fr_column *c, const fr_value *v,
                     fr_err *err)
{
    if (v->kind == FR_NULL || v->kind == FR_ABSENT) {
        fr_buf_u32be(out, UINT32_MAX);
        return FR_OK;
    }
    if (v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    size_t start = out->len;
    fr_buf_u32be(out, 0);
    FR_TRY(put_bytes(out, send, c, v, err));
    size_t len = out->len - start - 4;
    if (len > INT32_MAX)
        return no_such_value(err, c, "longer than PostgreSQL takes");
    for (int i = 0; i < 4; i++)
        out->ptr[start + (size_t)i] = (uint8_t)(len >> (24 - 8 * i));
    return FR_OK;
}
