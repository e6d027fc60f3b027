#include "codec/avro_read.h"

#include <string.h>

fr_avro_in fr_avro_in_of(fr_arena *a, fr_str bytes)
{
    /* Items that take bytes are limited by them; this is for those that do not. */
    return (fr_avro_in){.in = fr_in_of(bytes), .arena = a, .items_left = bytes.len + 4096};
}

bool fr_avro_bad(fr_avro_in *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return false;
}

bool fr_avro_long(fr_avro_in *r, int64_t *out)
{
    if (r->in.at < r->in.end && *r->in.at < 0x80) { /* most are of one byte */
        uint64_t v = *r->in.at++;
        *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
        return true;
    }
    *out = fr_in_zigzag(&r->in);
    return !r->in.bad || fr_avro_bad(r, "ends within a number, or the number is too long");
}

bool fr_avro_bytes(fr_avro_in *r, fr_str *out)
{
    int64_t len;
    *out = FR_STR("");
    if (!fr_avro_long(r, &len))
        return false;
    if (len < 0 || (uint64_t)len > fr_in_left(&r->in))
        return fr_avro_bad(r, "a length is negative or beyond the end");
    *out = fr_in_take(&r->in, (size_t)len);
    return true;
}

bool fr_avro_string(fr_avro_in *r, fr_str *out)
{
    if (!fr_avro_bytes(r, out))
        return false;
    return fr_utf8_valid(*out) || fr_avro_bad(r, "text is not UTF-8");
}

bool fr_avro_branch(fr_avro_in *r, const fr_avro_node *u, const fr_avro_node **out)
{
    int64_t branch;
    if (!fr_avro_long(r, &branch))
        return false;
    if (branch < 0 || (uint64_t)branch >= u->count)
        return fr_avro_bad(r, "a union has no such branch");
    *out = u->members[branch];
    return true;
}

bool fr_avro_block(fr_avro_in *r, size_t *count)
{
    int64_t n, size;
    *count = 0;
    if (!fr_avro_long(r, &n))
        return false;
    if (n < 0) { /* the block's size in bytes follows; items are read one by one all the same */
        if (!fr_avro_long(r, &size))
            return false;
        if (n == INT64_MIN || size < 0 || (uint64_t)size > fr_in_left(&r->in))
            return fr_avro_bad(r, "a block's size is beyond the end");
        n = -n;
    }
    if ((uint64_t)n > r->items_left)
        return fr_avro_bad(r, "more items than the message can hold");
    r->items_left -= (size_t)n;
    *count = (size_t)n;
    return true;
}

/* ---- one value ---- */

static fr_avro_scalar scalar(fr_kind kind)
{
    return (fr_avro_scalar){.kind = kind, .factor = 1};
}

static fr_avro_scalar millis(fr_kind kind)
{
    return (fr_avro_scalar){.kind = kind, .factor = 1000};
}

static fr_avro_scalar int_scalar(const fr_avro_node *n)
{
    if (fr_str_is(n->connect, "io.debezium.time.Date"))
        return (fr_avro_scalar){.kind = FR_DATE, .factor = 1, .debezium = true};
    if (fr_str_is(n->logical, "date"))
        return scalar(FR_DATE);
    if (fr_str_is(n->logical, "time-millis") || fr_str_is(n->connect, "io.debezium.time.Time"))
        return millis(FR_TIME);
    return scalar(FR_INT32);
}

static fr_avro_scalar long_scalar(const fr_avro_node *n)
{
    static const struct {
        const char *logical, *connect;
        fr_kind kind;
        bool millis;
    } known[] = {
        {"time-micros", "io.debezium.time.MicroTime", FR_TIME, false},
        {"timestamp-micros", "", FR_TIMESTAMP, false},
        {"timestamp-millis", "", FR_TIMESTAMP, true},
        {"local-timestamp-micros", "io.debezium.time.MicroTimestamp", FR_DATETIME, false},
        {"local-timestamp-millis", "io.debezium.time.Timestamp", FR_DATETIME, true},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool debezium = n->connect.len > 0 && fr_str_is(n->connect, known[i].connect);
        if (!debezium && !fr_str_is(n->logical, known[i].logical))
            continue;
        fr_avro_scalar s = known[i].millis ? millis(known[i].kind) : scalar(known[i].kind);
        s.debezium = debezium && s.kind == FR_DATETIME;
        return s;
    }
    return scalar(FR_INT64);
}

static fr_avro_scalar string_scalar(const fr_avro_node *n)
{
    if (fr_str_is(n->logical, "uuid") || fr_str_is(n->connect, "io.debezium.data.Uuid"))
        return scalar(FR_UUID);
    if (fr_str_is(n->marker, "json") || fr_str_is(n->connect, "io.debezium.data.Json"))
        return scalar(FR_JSON);
    return scalar(FR_TEXT);
}

/* Readers ignore a logical type that is not right: the specification says so. */
static fr_avro_scalar bytes_scalar(const fr_avro_node *n)
{
    if (n->tag == FR_AVRO_FIXED && fr_str_is(n->logical, "uuid") && n->size == 16)
        return scalar(FR_UUID);
    if (!fr_str_is(n->logical, "decimal") || n->precision < 1 || n->precision > 1000 ||
        n->scale < 0 || n->scale > n->precision)
        return scalar(FR_BYTES);
    return (fr_avro_scalar){.kind = FR_DECIMAL,
                            .precision = (int16_t)n->precision,
                            .scale = (int16_t)n->scale,
                            .factor = 1};
}

fr_avro_scalar fr_avro_scalar_of(const fr_avro_node *n)
{
    switch (n->tag) {
    case FR_AVRO_BOOLEAN:
        return scalar(FR_BOOL);
    case FR_AVRO_INT:
        return int_scalar(n);
    case FR_AVRO_LONG:
        return long_scalar(n);
    case FR_AVRO_FLOAT:
        return scalar(FR_FLOAT32);
    case FR_AVRO_DOUBLE:
        return scalar(FR_FLOAT64);
    case FR_AVRO_BYTES:
    case FR_AVRO_FIXED:
        return bytes_scalar(n);
    case FR_AVRO_STRING:
        return string_scalar(n);
    case FR_AVRO_ENUM:
        return scalar(FR_TEXT);
    default:
        return scalar(FR_ABSENT);
    }
}

/* No date or time of PostgreSQL, nor of anybody else whom Debezium reads: from 4714 BC to the year
 * 5874897, and to 294276 (2^63 - 1 microseconds, which is "infinity", and the driver's number for
 * it are within). */
static bool beyond_debezium(fr_avro_scalar s, int64_t v)
{
    if (s.kind == FR_DATE)
        return v < -2440588 || v > 2145042541;
    int64_t most = s.factor == 1 ? INT64_C(9223372036825200000) : INT64_C(9223372036825200);
    return v >= most || v <= -most;
}

static bool read_integer(fr_avro_in *r, const fr_avro_node *n, fr_avro_scalar s, fr_value *v)
{
    int64_t i;
    if (!fr_avro_long(r, &i))
        return false;
    if (n->tag == FR_AVRO_INT && (i < INT32_MIN || i > INT32_MAX))
        return fr_avro_bad(r, "an int is beyond 32 bits");
    if (s.debezium && beyond_debezium(s, i))
        return fr_avro_bad(r, "infinity is no point in time (nor is what else is out of range)");
    if (__builtin_mul_overflow(i, (int64_t)s.factor, &v->integer))
        return fr_avro_bad(r, "a time is beyond what microseconds can say");
    return true;
}

static bool read_real(fr_avro_in *r, const fr_avro_node *n, fr_value *v)
{
    if (n->tag == FR_AVRO_FLOAT) {
        uint32_t bits = fr_in_u32le(&r->in);
        float f;
        memcpy(&f, &bits, sizeof f);
        v->real = (double)f;
    } else {
        uint64_t bits = fr_in_u64le(&r->in);
        memcpy(&v->real, &bits, sizeof bits);
    }
    return !r->in.bad || fr_avro_bad(r, "ends within a number");
}

static bool read_bool(fr_avro_in *r, fr_value *v)
{
    uint8_t byte = fr_in_u8(&r->in);
    v->boolean = byte == 1;
    return (!r->in.bad && byte <= 1) || fr_avro_bad(r, "a boolean is neither 0 nor 1");
}

/* Minimal two's complement: writers may have padded it. */
static bool trim_decimal(fr_avro_in *r, fr_avro_scalar s, fr_str *bytes)
{
    if (bytes->len == 0)
        return fr_avro_bad(r, "a decimal has no bytes");
    while (bytes->len > 1) {
        uint8_t first = (uint8_t)bytes->ptr[0], second = (uint8_t)bytes->ptr[1];
        if (!((first == 0 && second < 0x80) || (first == 0xFF && second >= 0x80)))
            break;
        bytes->ptr++;
        bytes->len--;
    }
    return bytes->len <= fr_avro_decimal_bytes(s.precision) ||
           fr_avro_bad(r, "a decimal has more digits than its precision");
}

static bool check_uuid(fr_avro_in *r, fr_str *s)
{
    bool upper = false;
    if (s->len != 36)
        return fr_avro_bad(r, "a UUID has not 36 characters");
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s->ptr[i] != '-' : fr_hex_digit(s->ptr[i]) < 0)
            return fr_avro_bad(r, "a UUID has characters that do not belong there");
        upper = upper || (s->ptr[i] >= 'A' && s->ptr[i] <= 'F');
    }
    if (!upper)
        return true;
    char *copy = fr_arena_raw(r->arena, 36);
    for (size_t i = 0; i < 36; i++)
        copy[i] = (char)(s->ptr[i] == '-' ? '-' : s->ptr[i] | 0x20);
    s->ptr = copy;
    return true;
}

static void uuid_text(fr_arena *a, fr_str *s)
{
    static const char hex[] = "0123456789abcdef";
    char *text = fr_arena_raw(a, 36);
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        uint8_t byte = (uint8_t)s->ptr[i];
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = hex[byte >> 4];
        text[at++] = hex[byte & 15];
    }
    *s = (fr_str){text, 36};
}

static bool read_symbol(fr_avro_in *r, const fr_avro_node *n, fr_str *out)
{
    int64_t i;
    if (!fr_avro_long(r, &i))
        return false;
    if (i < 0 || (uint64_t)i >= n->count)
        return fr_avro_bad(r, "an enum has no such symbol");
    *out = n->symbols[i];
    return true;
}

static bool is_filler(const fr_avro_in *r, const fr_avro_node *n, fr_str text)
{
    return r->filled && text.len == 0 && fr_str_is(n->connect, "io.debezium.data.Uuid");
}

static bool read_bytes(fr_avro_in *r, const fr_avro_node *n, fr_avro_scalar s, fr_value *v)
{
    if (n->tag == FR_AVRO_ENUM)
        return read_symbol(r, n, &v->bytes);
    if (n->tag == FR_AVRO_STRING)
        return fr_avro_string(r, &v->bytes) &&
               (s.kind != FR_UUID || is_filler(r, n, v->bytes) || check_uuid(r, &v->bytes));
    if (n->tag == FR_AVRO_FIXED) {
        v->bytes = fr_in_take(&r->in, n->size);
        if (r->in.bad)
            return fr_avro_bad(r, "ends within a fixed value");
        if (s.kind == FR_UUID)
            uuid_text(r->arena, &v->bytes);
    } else if (!fr_avro_bytes(r, &v->bytes)) {
        return false;
    }
    return s.kind != FR_DECIMAL || trim_decimal(r, s, &v->bytes);
}

bool fr_avro_scalar_read(fr_avro_in *r, const fr_avro_node *n, fr_avro_scalar s, fr_value *v)
{
    v->kind = s.kind;
    switch (n->tag) {
    case FR_AVRO_BOOLEAN:
        return read_bool(r, v);
    case FR_AVRO_INT:
    case FR_AVRO_LONG:
        return read_integer(r, n, s, v);
    case FR_AVRO_FLOAT:
    case FR_AVRO_DOUBLE:
        return read_real(r, n, v);
    default:
        return read_bytes(r, n, s, v);
    }
}

/* ---- whatever a node is ---- */

static bool skip_items(fr_avro_in *r, const fr_avro_node *n, unsigned depth)
{
    size_t count;
    fr_str key;
    while (fr_avro_block(r, &count) && count > 0) {
        for (size_t i = 0; i < count; i++) {
            if (n->tag == FR_AVRO_MAP && !fr_avro_bytes(r, &key))
                return false;
            if (!fr_avro_skip(r, n->members[0], depth + 1))
                return false;
        }
    }
    return r->why == NULL;
}

static bool skip_bytes(fr_avro_in *r, size_t len)
{
    fr_in_take(&r->in, len);
    return !r->in.bad || fr_avro_bad(r, "ends within a value");
}

/* Strings are not looked at and logical types not asked for: nobody reads them. */
static bool skip_scalar(fr_avro_in *r, const fr_avro_node *n)
{
    int64_t i;
    fr_str s;
    switch (n->tag) {
    case FR_AVRO_BOOLEAN:
        return skip_bytes(r, 1);
    case FR_AVRO_INT:
    case FR_AVRO_LONG:
        return fr_avro_long(r, &i);
    case FR_AVRO_FLOAT:
        return skip_bytes(r, 4);
    case FR_AVRO_DOUBLE:
        return skip_bytes(r, 8);
    case FR_AVRO_FIXED:
        return skip_bytes(r, n->size);
    case FR_AVRO_ENUM:
        return read_symbol(r, n, &s);
    default:
        return fr_avro_bytes(r, &s);
    }
}

bool fr_avro_skip(fr_avro_in *r, const fr_avro_node *n, unsigned depth)
{
    if (depth > FR_AVRO_MAX_DEPTH)
        return fr_avro_bad(r, "nested deeper than 64 levels");
    switch (n->tag) {
    case FR_AVRO_NULL:
        return true;
    case FR_AVRO_UNION:
        return fr_avro_branch(r, n, &n) && fr_avro_skip(r, n, depth + 1);
    case FR_AVRO_ARRAY:
    case FR_AVRO_MAP:
        return skip_items(r, n, depth);
    case FR_AVRO_RECORD:
        for (size_t i = 0; i < n->count; i++) {
            if (!fr_avro_skip(r, n->fields[i].type, depth + 1))
                return false;
        }
        return true;
    default:
        return skip_scalar(r, n);
    }
}
