#include "duckdb/duck_sink_value.h"
#include "sql/text.h"
#include <limits.h>
#include <string.h>

/* What the vectors hold (duckdb.h). */
typedef struct interval {
    int32_t months, days;
    int64_t micros;
} interval;

/* Dates and times that DuckDB takes: its infinities stand just beyond, and are no values of ours.
 * The least of both is 290308 BC; dates reach 5881580. */
static const int64_t last_us = INT64_MAX - 1, day_us = INT64_C(86400000000);

static fr_rc no_such_value(fr_err *err, const fr_column *c, const char *why)
{
    fr_fail(err, FR_ERR_DATA, "column %.*s: %s", FR_ARG(c->name), why);
    return fr_fail_code(err, "sink.value");
}

duckdb_logical_type fr_duck_sink_logical(const fr_duck_api *d, const fr_column *c)
{
    static const duckdb_type types[] = {[FR_DUCK_SEND_BOOL] = FR_DUCK_BOOLEAN,
                                        [FR_DUCK_SEND_INT] = FR_DUCK_INTEGER,
                                        [FR_DUCK_SEND_BIGINT] = FR_DUCK_BIGINT,
                                        [FR_DUCK_SEND_FLOAT] = FR_DUCK_FLOAT,
                                        [FR_DUCK_SEND_DOUBLE] = FR_DUCK_DOUBLE,
                                        [FR_DUCK_SEND_TEXT] = FR_DUCK_VARCHAR,
                                        [FR_DUCK_SEND_BLOB] = FR_DUCK_BLOB,
                                        [FR_DUCK_SEND_UUID] = FR_DUCK_UUID,
                                        [FR_DUCK_SEND_DATE] = FR_DUCK_DATE,
                                        [FR_DUCK_SEND_TIME] = FR_DUCK_TIME,
                                        [FR_DUCK_SEND_INTERVAL] = FR_DUCK_INTERVAL,
                                        [FR_DUCK_SEND_TIMESTAMP] = FR_DUCK_TIMESTAMP,
                                        [FR_DUCK_SEND_TIMESTAMPTZ] = FR_DUCK_TIMESTAMPTZ};
    fr_duck_send send = fr_duck_sink_send(c);
    return send == FR_DUCK_SEND_DECIMAL
               ? d->create_decimal_type((uint8_t)c->precision, (uint8_t)c->scale)
               : d->create_logical_type(types[send]);
}

/* ---- one kind each ---- */

/* An integer of 16, 32, 64 or 128 bits, by the column's precision; the bytes are big-endian. */
static fr_rc put_decimal(void *data, idx_t row, const fr_column *c, fr_str unscaled, fr_err *err)
{
    bool negative = unscaled.len > 0 && (unscaled.ptr[0] & 0x80);
    __int128 n = negative ? -1 : 0, most = 1;
    while (unscaled.len > 1 && unscaled.ptr[0] == (negative ? (char)0xff : 0)) {
        unscaled.ptr++;
        unscaled.len--;
    }
    if (unscaled.len > 16)
        return no_such_value(err, c, "the number has more digits than the column's precision");
    for (size_t i = 0; i < unscaled.len; i++)
        n = (__int128)((unsigned __int128)n << 8 | (uint8_t)unscaled.ptr[i]);
    for (int i = 0; i < c->precision; i++)
        most *= 10;
    if (n >= most || n <= -most || (unscaled.len == 16 && (n < 0) != negative))
        return no_such_value(err, c, "the number has more digits than the column's precision");
    if (c->precision <= 4)
        ((int16_t *)data)[row] = (int16_t)n;
    else if (c->precision <= 9)
        ((int32_t *)data)[row] = (int32_t)n;
    else if (c->precision <= 18)
        ((int64_t *)data)[row] = (int64_t)n;
    else
        memcpy((char *)data + row * sizeof(n), &n, sizeof(n)); /* not aligned to its size */
    return FR_OK;
}

/* 128 bits whose first bit is turned, so that they sort as their text does. */
static fr_rc put_uuid(void *data, idx_t row, const fr_column *c, fr_str text, fr_err *err)
{
    unsigned __int128 n = 0;
    int digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = fr_hex_digit(text.ptr[i]);
        if (digit < 0 && text.ptr[i] == '-')
            continue;
        if (digit < 0 || digits == 32)
            return no_such_value(err, c, "the text is no UUID");
        n = n << 4 | (unsigned)digit;
        digits++;
    }
    if (digits != 32)
        return no_such_value(err, c, "the text is no UUID");
    n ^= (unsigned __int128)1 << 127;
    memcpy((char *)data + row * sizeof(n), &n, sizeof(n));
    return FR_OK;
}

static fr_rc put_date(void *data, idx_t row, const fr_column *c, int64_t days, fr_err *err)
{
    if (days >= INT32_MAX || days < -INT32_MAX + 1)
        return no_such_value(err, c, "DuckDB has no such date");
    ((int32_t *)data)[row] = (int32_t)days;
    return FR_OK;
}

static fr_rc put_instant(void *data, idx_t row, const fr_column *c, int64_t us, fr_err *err)
{
    const int64_t first = fr_days_from_civil(-290307, 12, 22) * day_us;
    if (us > last_us || us < first)
        return no_such_value(err, c, "DuckDB has no such time");
    ((int64_t *)data)[row] = us;
    return FR_OK;
}

static fr_rc put_time(void *data, idx_t row, const fr_column *c, int64_t us, fr_err *err)
{
    if (us < 0 || us > day_us)
        return no_such_value(err, c, "a time of day is from 00:00:00 to 24:00:00");
    ((int64_t *)data)[row] = us;
    return FR_OK;
}

static fr_rc put_text(const fr_duck_api *d, duckdb_vector vector, idx_t row, const fr_column *c,
                      const fr_value *v, fr_err *err)
{
    fr_buf b = {.arena = NULL};
    fr_str text = v->bytes;
    if (v->kind != FR_TEXT && v->kind != FR_JSON) {
        fr_sql_put_value(&b, c, v);
        text = fr_buf_view(&b);
    }
    bool fine = v->kind != FR_TEXT && v->kind != FR_JSON ? true : fr_utf8_valid(text);
    if (fine && text.len <= UINT32_MAX)
        d->vector_assign_string_element_len(vector, row, text.len > 0 ? text.ptr : "", text.len);
    fr_buf_free(&b);
    if (text.len > UINT32_MAX)
        return no_such_value(err, c, "DuckDB takes 4 GiB of a text");
    return fine ? FR_OK : no_such_value(err, c, "the text is no UTF-8");
}

static void put_blob(const fr_duck_api *d, duckdb_vector vector, idx_t row, fr_str bytes)
{
    d->vector_assign_string_element_len(vector, row, bytes.len > 0 ? bytes.ptr : "", bytes.len);
}

fr_rc fr_duck_sink_put(const fr_duck_api *d, duckdb_vector vector, idx_t row, const fr_column *c,
                       const fr_value *v, fr_err *err)
{
    void *data = d->vector_get_data(vector);
    if (v->kind != c->kind)
        return fr_fail(err, FR_ERR_BUG, "column %.*s is %s but holds %s", FR_ARG(c->name),
                       fr_kind_name(c->kind), fr_kind_name(v->kind));
    switch (fr_duck_sink_send(c)) {
    case FR_DUCK_SEND_BOOL:
        ((bool *)data)[row] = v->boolean;
        return FR_OK;
    case FR_DUCK_SEND_INT:
        ((int32_t *)data)[row] = (int32_t)v->integer;
        return FR_OK;
    case FR_DUCK_SEND_BIGINT:
        ((int64_t *)data)[row] = v->integer;
        return FR_OK;
    case FR_DUCK_SEND_FLOAT:
        ((float *)data)[row] = (float)v->real;
        return FR_OK;
    case FR_DUCK_SEND_DOUBLE:
        ((double *)data)[row] = v->real;
        return FR_OK;
    case FR_DUCK_SEND_DECIMAL:
        return put_decimal(data, row, c, v->bytes, err);
    case FR_DUCK_SEND_UUID:
        return put_uuid(data, row, c, v->bytes, err);
    case FR_DUCK_SEND_DATE:
        return put_date(data, row, c, v->integer, err);
    case FR_DUCK_SEND_TIME:
        return put_time(data, row, c, v->integer, err);
    case FR_DUCK_SEND_INTERVAL:
        ((interval *)data)[row] = (interval){.micros = v->integer};
        return FR_OK;
    case FR_DUCK_SEND_TIMESTAMP:
    case FR_DUCK_SEND_TIMESTAMPTZ:
        return put_instant(data, row, c, v->integer, err);
    case FR_DUCK_SEND_BLOB:
        put_blob(d, vector, row, v->bytes);
        return FR_OK;
    default:
        return put_text(d, vector, row, c, v, err);
    }
}
