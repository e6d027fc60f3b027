/* The types a value may have between any source and any sink. Each connector maps its own
 * onto these in one table (pg_types.c); codec/ maps these onto Avro with the last two
 * columns. The rest travels as TEXT in the source's spelling (enum, interval), JSON
 * (arrays, composites) or DECIMAL (bigint unsigned); see column.native_type. */
#ifndef FR_MODEL_VALUE_H
#define FR_MODEL_VALUE_H

#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>

#define FR_KINDS(X)                                                                                \
    /* name       member   Avro type  logical type */                                              \
    X(BOOL, boolean, "boolean", "")                                                                \
    X(INT32, integer, "int", "")                                                                   \
    X(INT64, integer, "long", "")                                                                  \
    X(FLOAT32, real, "float", "")                                                                  \
    X(FLOAT64, real, "double", "")                                                                 \
    X(DECIMAL, bytes, "bytes", "decimal")                                                          \
    X(TEXT, bytes, "string", "")                                                                   \
    X(BYTES, bytes, "bytes", "")                                                                   \
    X(JSON, bytes, "string", "")                                                                   \
    X(UUID, bytes, "string", "uuid")                                                               \
    X(DATE, integer, "int", "date")                                                                \
    X(TIME, integer, "long", "time-micros")                                                        \
    X(DATETIME, integer, "long", "local-timestamp-micros")                                         \
    X(TIMESTAMP, integer, "long", "timestamp-micros")

#define X(name, member, avro, logical) FR_##name,
typedef enum fr_kind {
    FR_ABSENT, /* the source did not log this column: unchanged TOAST, minimal row image */
    FR_NULL,   /* SQL NULL: the source did log it */
    FR_KINDS(X) FR_KIND_COUNT
} fr_kind;
#undef X

/* kind is FR_ABSENT, FR_NULL or the kind of the value's column; nothing else.
 * integer: BOOL no; DATE days since 1970-01-01 (DATE, DATETIME, TIMESTAMP of a source's table whose
 * envelope is Debezium's: INT64_MAX and INT64_MIN are infinity and -infinity); TIME microseconds
 * since midnight (may be negative or above a day for durations); DATETIME and TIMESTAMP
 * microseconds since 1970-01-01 00:00 (local, UTC). bytes: DECIMAL two's complement, big-endian,
 * minimal length, unscaled by the column's scale (as Avro's decimal); TEXT, JSON valid UTF-8; UUID
 * 36 lower-case characters. */
typedef struct fr_value {
    fr_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        fr_str bytes; /* points into the batch's arena, or a buffer it adopted */
    };
} fr_value;

typedef struct fr_row {
    const fr_value *values; /* one per column of the event's table, in its order */
    size_t count;           /* 0: the source did not log this side of the change */
} fr_row;

const char *fr_kind_name(fr_kind kind); /* "INT32"; ABSENT and NULL too */

/* DECIMAL and text. fr_decimal_from_text accepts [+-]digits[.digits] and makes the
 * unscaled integer at the given scale; DATA when digits would be lost, when it is no
 * number, or when it has more than `precision` digits (0: no limit).
 * fr_decimal_to_text writes "-12.30" with exactly scale digits after the point. */
#include "base/error.h"
fr_rc fr_decimal_from_text(fr_arena *a, fr_str text, int precision, int scale, fr_str *out,
                           fr_err *err);
fr_str fr_decimal_to_text(fr_arena *a, fr_str unscaled, int scale);
/* Of at most 8 bytes: the unscaled number itself. */
static inline int64_t fr_decimal_number(fr_str unscaled)
{
    uint64_t n = unscaled.len > 0 && (unscaled.ptr[0] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < unscaled.len; i++)
        n = n << 8 | (uint8_t)unscaled.ptr[i];
    return (int64_t)n;
}
/* "decimal(10,2)": at most 1000 digits. False: it is none. */
bool fr_decimal_type(const char *text, int16_t *precision, int16_t *scale);

/* Civil time, proleptic Gregorian: days since 1970-01-01 and back, for every year that
 * fits; ISO texts "2026-11-26", "08:26:11.402", "2026-11-26T08:26:11.402" (fraction only
 * as long as needed, years below 1 with a minus sign, above 9999 with all digits). */
int64_t fr_days_from_civil(int64_t year, unsigned month, unsigned day);
void fr_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);
fr_str fr_date_text(fr_arena *a, int64_t days);
fr_str fr_time_of_day_text(fr_arena *a, int64_t us);
fr_str fr_datetime_text(fr_arena *a, int64_t us);

/* The value as JSON, for tap and test output: numbers bare, DECIMAL as a quoted string,
 * BYTES as {"$bytes":"hex"}, temporal kinds as ISO text, NaN and infinities quoted. */
#include "base/bytes.h"
struct fr_column;
void fr_value_json(fr_buf *b, const struct fr_column *c, const fr_value *v);
/* As a person writes it; bytes as they are. Points into the value or the arena. */
fr_str fr_value_text(fr_arena *a, const struct fr_column *c, const fr_value *v);
/* Of one kind and the same bits: -0 is not 0, and NaN is itself. */
bool fr_value_same(const fr_value *a, const fr_value *b);
/* Sum of what an event's row says, for split transactions (kinds and bytes, in order). */
uint32_t fr_row_crc(uint32_t crc, const fr_row *row);

#endif
