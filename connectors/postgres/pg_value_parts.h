/* The parts of the value decoder; internal to pg_value*.c. Each reads one wire form, text
 * or binary, and fails with DATA and a "pg.value.*" code. "Render" writes the canonical
 * text of a value, which is the same from both wire forms. */
#ifndef FR_POSTGRES_PG_VALUE_PARTS_H
#define FR_POSTGRES_PG_VALUE_PARTS_H

#include "connectors/postgres/pg_value.h"

/* Failures. */
fr_rc fr_pg_malformed(fr_err *err, const char *what);                 /* "not a date" */
fr_rc fr_pg_no_room(fr_err *err, const char *code, const char *what); /* has the string remedy */

/* Numbers (pg_value_numeric.c). */
bool fr_pg_int_parse(fr_str in, int64_t low, int64_t high, int64_t *out);
fr_rc fr_pg_float_parse(fr_str in, bool single, double *out, fr_err *err);
/* Shortest text that reads back the same; NaN, Infinity, -Infinity. */
void fr_pg_float_render(double v, bool single, fr_buf *out);
fr_rc fr_pg_numeric_render(fr_str in, fr_buf *out, fr_err *err); /* binary; as numeric_out */
fr_rc fr_pg_numeric_decimal(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_str *out,
                            fr_err *err);
fr_rc fr_pg_money_parse(fr_str in, int64_t *cents_out, fr_err *err); /* lc_monetary C */
void fr_pg_money_render(int64_t cents, int digits, fr_buf *out);
fr_str fr_pg_int_decimal(fr_arena *a, int64_t v);   /* unscaled bytes */
fr_str fr_pg_uint_decimal(fr_arena *a, uint64_t v); /* unscaled bytes */

/* Time (pg_value_time.c). Binary values are what the wire has. */
fr_rc fr_pg_date_parse(fr_str in, int64_t *days_out, fr_err *err);
fr_rc fr_pg_time_parse(fr_str in, int64_t *us_out, fr_err *err);
fr_rc fr_pg_timestamp_parse(fr_str in, bool zone, int64_t *us_out, fr_err *err);
fr_rc fr_pg_date_of(int32_t wire, int64_t *days_out, fr_err *err);
fr_rc fr_pg_timestamp_of(int64_t wire, int64_t *us_out, fr_err *err);
void fr_pg_date_render(int32_t wire, fr_buf *out);
void fr_pg_time_render(int64_t us, fr_buf *out);
void fr_pg_timetz_render(int64_t us, int32_t zone, fr_buf *out);
void fr_pg_timestamp_render(int64_t wire, bool zone, fr_buf *out);
void fr_pg_interval_render(int64_t us, int32_t days, int32_t months, fr_buf *out);

/* Bytes (pg_value_bytes.c). */
fr_rc fr_pg_bytea_parse(fr_arena *a, fr_str in, fr_str *out, fr_err *err); /* \x... */
void fr_pg_bytea_render(fr_str in, fr_buf *out);
/* As PostGIS prints it: hex digits, in capitals. */
fr_rc fr_pg_ewkb_parse(fr_arena *a, fr_str in, fr_str *out, fr_err *err);
fr_rc fr_pg_ewkb_check(fr_str in, fr_err *err);
void fr_pg_ewkb_render(fr_str in, fr_buf *out);
fr_rc fr_pg_bit_render(fr_str in, fr_buf *out, fr_err *err);
void fr_pg_uuid_render(fr_str in, fr_buf *out); /* in.len is 16 */
bool fr_pg_uuid_valid(fr_str in);
fr_rc fr_pg_inet_render(fr_str in, fr_buf *out, fr_err *err);
fr_rc fr_pg_macaddr_render(fr_str in, fr_buf *out, fr_err *err);

/* Canonical text of one scalar (pg_value_render.c). scale: money's digits. */
fr_rc fr_pg_render(fr_pg_wire wire, int scale, fr_str in, bool binary, fr_buf *out, fr_err *err);
/* Arrays as JSON (pg_value_array.c). */
fr_rc fr_pg_array(const fr_pg_codec *c, fr_arena *a, fr_str in, bool binary, fr_str *out,
                  fr_err *err);

#endif
