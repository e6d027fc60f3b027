#include "model/value.h"
#include "model/table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"ABSENT", "NULL",
#define X(name, member, avro, logical) #name,
                                    FR_KINDS(X)
#undef X
};

const char *fr_kind_name(fr_kind kind)
{
    return kind < FR_KIND_COUNT ? names[kind] : "?";
}

/* Days from civil and back: the era arithmetic of H. Hinnant, "chrono-compatible low-level
 * date algorithms". */
int64_t fr_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void fr_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2 ? 1 : 0);
}

/* What a source says of infinity, where its events may have it. */
static const char *infinity_of(int64_t v)
{
    return v == INT64_MAX ? "infinity" : v == INT64_MIN ? "-infinity" : NULL;
}

static int date_into(char *out, size_t size, int64_t days)
{
    if (infinity_of(days) != NULL)
        return snprintf(out, size, "%s", infinity_of(days));
    int64_t year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    return snprintf(out, size, "%s%04lld-%02u-%02u", year < 0 ? "-" : "",
                    (long long)(year < 0 ? -year : year), month, day);
}

/* us: 0 .. a day, or any duration. */
static int time_into(char *out, size_t size, int64_t us)
{
    const char *sign = us < 0 ? "-" : "";
    uint64_t u = us < 0 ? (uint64_t)0 - (uint64_t)us : (uint64_t)us;
    unsigned fraction = (unsigned)(u % 1000000);
    uint64_t s = u / 1000000;
    int n = snprintf(out, size, "%s%02llu:%02u:%02u", sign, (unsigned long long)(s / 3600),
                     (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    if (fraction == 0)
        return n;
    n += snprintf(out + n, size - (size_t)n, ".%06u", fraction);
    while (out[n - 1] == '0')
        out[--n] = '\0';
    return n;
}

fr_str fr_date_text(fr_arena *a, int64_t days)
{
    char text[64];
    return fr_arena_copy(a, text, (size_t)date_into(text, sizeof(text), days));
}

fr_str fr_time_of_day_text(fr_arena *a, int64_t us)
{
    char text[64];
    return fr_arena_copy(a, text, (size_t)time_into(text, sizeof(text), us));
}

static int datetime_into(char *out, size_t size, int64_t us)
{
    if (infinity_of(us) != NULL)
        return snprintf(out, size, "%s", infinity_of(us));
    const int64_t day = 86400000000;
    int64_t days = us / day, rest = us % day;
    if (rest < 0) {
        rest += day;
        days--;
    }
    int n = date_into(out, size, days);
    out[n++] = 'T';
    return n + time_into(out + n, size - (size_t)n, rest);
}

fr_str fr_datetime_text(fr_arena *a, int64_t us)
{
    char text[96];
    return fr_arena_copy(a, text, (size_t)datetime_into(text, sizeof(text), us));
}

static void number_json(fr_buf *b, double v, int digits)
{
    if (isnan(v))
        fr_buf_text(b, "\"NaN\"");
    else if (isinf(v))
        fr_buf_text(b, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        fr_buf_printf(b, "%.*g", digits, v);
}

static void bytes_json(fr_buf *b, fr_str s)
{
    fr_buf_text(b, "{\"$bytes\":\"");
    fr_buf_hex(b, s);
    fr_buf_text(b, "\"}");
}

static void text_json(fr_buf *b, const fr_column *c, const fr_value *v)
{
    char text[96];
    int n = 0;
    fr_arena *a;
    switch (v->kind) {
    case FR_DECIMAL:
        a = fr_arena_new(256);
        fr_buf_json(b, fr_decimal_to_text(a, v->bytes, c->scale));
        fr_arena_free(a);
        return;
    case FR_DATE:
        n = date_into(text, sizeof(text), v->integer);
        break;
    case FR_TIME:
        n = time_into(text, sizeof(text), v->integer);
        break;
    default:
        n = datetime_into(text, sizeof(text), v->integer);
        if (v->kind == FR_TIMESTAMP && infinity_of(v->integer) == NULL)
            text[n++] = 'Z';
        break;
    }
    fr_buf_json(b, (fr_str){text, (size_t)n});
}

void fr_value_json(fr_buf *b, const fr_column *c, const fr_value *v)
{
    switch (v->kind) {
    case FR_ABSENT:
        fr_buf_text(b, "{\"$absent\":true}");
        return;
    case FR_NULL:
        fr_buf_text(b, "null");
        return;
    case FR_BOOL:
        fr_buf_text(b, v->boolean ? "true" : "false");
        return;
    case FR_INT32:
    case FR_INT64:
        fr_buf_printf(b, "%lld", (long long)v->integer);
        return;
    case FR_FLOAT32:
        number_json(b, v->real, 9);
        return;
    case FR_FLOAT64:
        number_json(b, v->real, 17);
        return;
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        fr_buf_json(b, v->bytes);
        return;
    case FR_BYTES:
        bytes_json(b, v->bytes);
        return;
    default:
        text_json(b, c, v);
    }
}

/* Shortest of the two lengths that gives the same number back. */
static fr_str real_text(fr_arena *a, double v, bool narrow)
{
    char text[40];
    if (isnan(v))
        return FR_STR("NaN");
    if (isinf(v))
        return v > 0 ? FR_STR("Infinity") : FR_STR("-Infinity");
    int digits = narrow ? 6 : 15, most = narrow ? 9 : 17;
    for (; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if ((narrow && (float)back == (float)v) || back == v)
            break;
    }
    return fr_arena_copy(a, text, strlen(text));
}

fr_str fr_value_text(fr_arena *a, const fr_column *c, const fr_value *v)
{
    switch (v->kind) {
    case FR_BOOL:
        return v->boolean ? FR_STR("true") : FR_STR("false");
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real_text(a, v->real, v->kind == FR_FLOAT32);
    case FR_DECIMAL:
        return fr_decimal_to_text(a, v->bytes, c->scale);
    case FR_DATE:
        return fr_date_text(a, v->integer);
    case FR_TIME:
        return fr_time_of_day_text(a, v->integer);
    case FR_DATETIME:
        return fr_datetime_text(a, v->integer);
    case FR_TIMESTAMP: {
        fr_str text = fr_datetime_text(a, v->integer);
        return infinity_of(v->integer) != NULL ? text : fr_arena_printf(a, "%.*sZ", FR_ARG(text));
    }
    case FR_INT32:
    case FR_INT64:
        return fr_arena_printf(a, "%lld", (long long)v->integer);
    default:
        return v->bytes;
    }
}

static bool is_bytes(fr_kind kind)
{
    return kind == FR_DECIMAL || kind == FR_TEXT || kind == FR_BYTES || kind == FR_JSON ||
           kind == FR_UUID;
}

bool fr_value_same(const fr_value *a, const fr_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (is_bytes(a->kind))
        return fr_str_eq(a->bytes, b->bytes);
    if (a->kind == FR_BOOL)
        return a->boolean == b->boolean;
    return a->kind <= FR_NULL || a->integer == b->integer; /* reals, too: their bits */
}

uint32_t fr_row_crc(uint32_t crc, const fr_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        const fr_value *v = &row->values[i];
        struct {
            uint64_t kind, bits;
        } fixed = {(uint64_t)v->kind, 0};
        if (is_bytes(v->kind)) {
            fixed.bits = v->bytes.len;
            crc = fr_crc32c(crc, &fixed, sizeof(fixed));
            crc = fr_crc32c(crc, v->bytes.ptr, v->bytes.len);
            continue;
        }
        if (v->kind == FR_BOOL)
            fixed.bits = v->boolean;
        else if (v->kind > FR_NULL)
            memcpy(&fixed.bits, &v->integer, sizeof(fixed.bits));
        crc = fr_crc32c(crc, &fixed, sizeof(fixed));
    }
    return crc;
}
