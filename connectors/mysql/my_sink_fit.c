/* Which kind goes into which type, and the types of columns that we create. What the server
 * reports loudly in strict mode is FINE (a number too big for smallint, a text that is no
 * inet6); what it would change in silence is not. */
#include "mysql/my_sink_value.h"
#include <stdlib.h>
#include <string.h>

typedef struct way {
    fr_my_send send;
    fr_my_fit fit;
} way;

static const way never = {FR_MY_SEND_TEXT, FR_MY_FIT_NEVER};

static way fine(fr_my_send send)
{
    return (way){send, FR_MY_FIT_FINE};
}

static way narrow(fr_my_send send)
{
    return (way){send, FR_MY_FIT_NARROW};
}

static bool one_of(fr_str name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (fr_str_is(name, *names))
            return true;
    return false;
}

static bool is(const fr_my_target_column *to, const char *type)
{
    return fr_str_is(to->type, type);
}

static const char *const texts[] = {"char",       "varchar",  "tinytext", "text",
                                    "mediumtext", "longtext", NULL};
static const char *const blobs[] = {"binary",     "varbinary", "tinyblob", "blob",
                                    "mediumblob", "longblob",  NULL};
static const char *const integers[] = {"tinyint", "smallint", "mediumint", "int", "bigint", NULL};
static const char *const spatials[] = {
    "geometry",        "point",        "linestring",         "polygon",        "multipoint",
    "multilinestring", "multipolygon", "geometrycollection", "geomcollection", NULL};

/* ---- into what is there ---- */

static bool starts_with(fr_str s, const char *head)
{
    return s.len >= strlen(head) && memcmp(s.ptr, head, strlen(head)) == 0;
}

/* n of "varchar(n)", "character varying(n)", "char(n)", "binary(n)"; 0: not said. */
static uint64_t declared_length(fr_str native)
{
    static const char *const heads[] = {"varchar(", "character varying(", "char(", "character(",
                                        "binary(",  "varbinary("};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char digits[12] = "";
        size_t from = strlen(heads[i]), n = 0;
        if (!starts_with(native, heads[i]))
            continue;
        while (from + n < native.len && n < sizeof(digits) - 1 && native.ptr[from + n] >= '0' &&
               native.ptr[from + n] <= '9') {
            digits[n] = native.ptr[from + n];
            n++;
        }
        return strtoull(digits, NULL, 10);
    }
    return 0;
}

/* Longer texts of the message than the column has room for are known beforehand only where
 * the source says how long they get. */
static way fit_length(const fr_column *c, const fr_my_target_column *to, fr_my_send send)
{
    way w = fine(send);
    if (to->length > 0 && declared_length(c->native_type) > to->length)
        w.fit = FR_MY_FIT_NARROW;
    else if (is(to, "char") && (c->kind == FR_TEXT || c->kind == FR_JSON) &&
             !starts_with(c->native_type, "char("))
        w.fit = FR_MY_FIT_LOSSY; /* spaces at the end are not given back */
    return w;
}

static way fit_integer(const fr_column *c, const fr_my_target_column *to)
{
    bool wide = c->kind == FR_INT64;
    if (one_of(to->type, integers) || is(to, "bit")) {
        bool small = is(to, "int") ? wide && !to->is_unsigned : wide && !is(to, "bigint");
        return small ? narrow(FR_MY_SEND_INT) : fine(FR_MY_SEND_INT);
    }
    if (is(to, "decimal"))
        return fine(FR_MY_SEND_INT);
    if (is(to, "double") && !wide) /* 53 bits */
        return fine(FR_MY_SEND_INT);
    return is(to, "year") && !wide ? fine(FR_MY_SEND_YEAR) : never;
}

/* float(7,4) rounds. */
static bool has_digits(const fr_my_target_column *to)
{
    return memchr(to->shown.ptr, ',', to->shown.len) != NULL;
}

static way fit_float(const fr_column *c, const fr_my_target_column *to)
{
    bool wide = c->kind == FR_FLOAT64;
    if (is(to, "double"))
        return has_digits(to) ? narrow(FR_MY_SEND_DOUBLE) : fine(FR_MY_SEND_DOUBLE);
    if (is(to, "float"))
        return wide || has_digits(to) ? narrow(FR_MY_SEND_FLOAT) : fine(FR_MY_SEND_FLOAT);
    return never;
}

static way fit_decimal(const fr_column *c, const fr_my_target_column *to)
{
    if (is(to, "decimal")) {
        bool small = to->scale < c->scale || to->precision - to->scale < c->precision - c->scale;
        return small ? narrow(FR_MY_SEND_TEXT) : fine(FR_MY_SEND_TEXT);
    }
    if (one_of(to->type, integers))
        return c->scale <= 0 ? fine(FR_MY_SEND_TEXT) : narrow(FR_MY_SEND_TEXT);
    return never;
}

static way fit_time(fr_kind kind, const fr_my_target_column *to)
{
    bool date = is(to, "date"), datetime = is(to, "datetime"), stamp = is(to, "timestamp");
    switch (kind) {
    case FR_DATE:
        return date || datetime ? fine(FR_MY_SEND_TEXT) : never;
    case FR_TIME:
        return is(to, "time") ? fine(FR_MY_SEND_TEXT) : never;
    case FR_DATETIME:
        return datetime ? fine(FR_MY_SEND_TEXT) : never;
    default: /* TIMESTAMP: the session's zone is UTC */
        return datetime || stamp ? fine(FR_MY_SEND_TEXT) : never;
    }
}

static way fit_text(const fr_column *c, const fr_my_target_column *to)
{
    static const char *const readers[] = {"uuid", "inet4", "inet6", "json", NULL};
    if (is(to, "enum") || is(to, "set"))
        return c->kind == FR_TEXT ? fine(FR_MY_SEND_LABEL) : never;
    if (c->kind == FR_JSON)
        return is(to, "json") ? fine(FR_MY_SEND_TEXT) : never;
    if (c->kind == FR_UUID)
        return is(to, "uuid") ? fine(FR_MY_SEND_TEXT) : never;
    return one_of(to->type, readers) ? fine(FR_MY_SEND_TEXT) : never;
}

static way fit_bytes(const fr_column *c, const fr_my_target_column *to)
{
    bool spatial = one_of(c->native_type, spatials);
    if (one_of(to->type, spatials))
        return spatial ? fine(FR_MY_SEND_GEOMETRY) : never;
    if (one_of(to->type, blobs))
        return fit_length(c, to, FR_MY_SEND_BLOB);
    if (is(to, "bit"))
        return starts_with(c->native_type, "bit(") ? fine(FR_MY_SEND_BLOB) : never;
    return is(to, "vector") && starts_with(c->native_type, "vector") ? fine(FR_MY_SEND_BLOB)
                                                                     : never;
}

static way fit_of(const fr_column *c, const fr_my_target_column *to)
{
    if (one_of(to->type, texts) && c->kind != FR_BYTES)
        return fit_length(c, to, FR_MY_SEND_TEXT);
    switch (c->kind) {
    case FR_BOOL:
        return one_of(to->type, integers) || is(to, "bit") ? fine(FR_MY_SEND_INT) : never;
    case FR_INT32:
    case FR_INT64:
        return fit_integer(c, to);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return fit_float(c, to);
    case FR_DECIMAL:
        return fit_decimal(c, to);
    case FR_TEXT:
    case FR_JSON:
    case FR_UUID:
        return fit_text(c, to);
    case FR_BYTES:
        return fit_bytes(c, to);
    default:
        return fit_time(c->kind, to);
    }
}

/* "time(3)": the digits that the source has; 6 where it does not say. */
static int declared_digits(fr_str native)
{
    static const char *const heads[] = {"time(", "datetime(", "timestamp("};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t at = strlen(heads[i]);
        if (starts_with(native, heads[i]) && native.len > at)
            return native.ptr[at] - '0';
    }
    static const char *const none[] = {"time", "datetime", "timestamp", NULL};
    return one_of(native, none) ? 0 : 6;
}

static bool may_round(const fr_column *c, const fr_my_target_column *to)
{
    bool fractions = c->kind == FR_TIME || c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP;
    return fractions && !one_of(to->type, texts) && to->digits < declared_digits(c->native_type);
}

fr_my_fit fr_my_sink_fit(const fr_column *c, const fr_my_target_column *to, fr_my_send *send)
{
    way w = fit_of(c, to);
    if (w.fit == FR_MY_FIT_NEVER)
        return w.fit;
    *send = w.send;
    return w.fit == FR_MY_FIT_FINE && may_round(c, to) ? FR_MY_FIT_LOSSY : w.fit;
}

bool fr_my_sink_exact_key(const fr_column *c, const fr_my_target_column *to)
{
    if (c->kind == FR_FLOAT32 || c->kind == FR_FLOAT64)
        return false; /* 0 and -0 */
    if (to->charset.len == 0 || c->kind == FR_UUID)
        return !is(to, "uuid") || c->kind == FR_UUID;
    if (is(to, "char") || is(to, "enum") || is(to, "set"))
        return c->kind != FR_TEXT;
    if (c->kind != FR_TEXT && c->kind != FR_JSON)
        return true; /* digits and the like */
    static const char *const exact[] = {"utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "utf8_nopad_bin",
                                        "utf8mb4_0900_bin", NULL};
    return one_of(to->collation, exact);
}

/* ---- the types of columns that we create ---- */

static fr_str integer_type(fr_arena *a, const fr_column *c)
{
    static const char *const kept[] = {"tinyint",   "tinyint unsigned",
                                       "smallint",  "smallint unsigned",
                                       "mediumint", "mediumint unsigned",
                                       "int",       "int unsigned",
                                       "year",      NULL};
    static const char *const kept_wide[] = {"int unsigned", "bigint", NULL};
    if (one_of(c->native_type, c->kind == FR_INT64 ? kept_wide : kept))
        return fr_arena_str(a, c->native_type);
    return c->kind == FR_INT64 ? FR_STR("bigint") : FR_STR("int");
}

static fr_str decimal_type(fr_arena *a, const fr_my_abilities *can, const fr_column *c, size_t room)
{
    int most = can->mariadb && can->version >= 100201 ? 38 : 30;
    bool fits = c->precision > 0 && c->precision <= 65 && c->scale >= 0 && c->scale <= most &&
                c->scale <= c->precision;
    if (fr_str_is(c->native_type, "bigint unsigned"))
        return FR_STR("bigint unsigned");
    if (fits)
        return fr_arena_printf(a, "decimal(%d,%d)", c->precision, c->scale);
    if (c->key_ordinal > 0)
        return fr_arena_printf(a, "varchar(%zu) CHARACTER SET ascii COLLATE ascii_bin", room);
    return FR_STR("longtext CHARACTER SET ascii");
}

static fr_str text_key_type(fr_arena *a, const fr_my_abilities *can, const fr_column *c,
                            size_t room)
{
    uint64_t declared = declared_length(c->native_type), most = room / 4;
    uint64_t length = declared > 0 && declared < most ? declared : most;
    return fr_arena_printf(a, "varchar(%llu) CHARACTER SET utf8mb4 COLLATE %s",
                           (unsigned long long)length, can->exact);
}

static fr_str text_type(fr_arena *a, const fr_column *c, size_t room)
{
    uint64_t declared = declared_length(c->native_type);
    if (starts_with(c->native_type, "enum(") || starts_with(c->native_type, "inet"))
        declared = 255;
    if (declared > 0 && declared <= 255 && declared * 4 + 1 <= room)
        return fr_arena_printf(a, "varchar(%llu) CHARACTER SET utf8mb4",
                               (unsigned long long)declared);
    return FR_STR("longtext CHARACTER SET utf8mb4");
}

static fr_str bytes_type(fr_arena *a, const fr_column *c, size_t room)
{
    if (one_of(c->native_type, spatials) && c->key_ordinal == 0)
        return fr_arena_str(a, c->native_type);
    if (c->key_ordinal == 0)
        return FR_STR("longblob");
    uint64_t declared = declared_length(c->native_type);
    uint64_t length = declared > 0 && declared < room ? declared : room;
    return fr_arena_printf(a, "varbinary(%llu)", (unsigned long long)length);
}

/* An instant: TIMESTAMP ends in 2038 and is taken only where the source has the same. */
static fr_str stamp_type(const fr_my_abilities *can, const fr_column *c)
{
    fr_str native = c->native_type;
    bool same = fr_str_is(native, "timestamp") ||
                (starts_with(native, "timestamp(") && native.ptr[native.len - 1] == ')');
    if (same && c->kind == FR_TIMESTAMP && (c->key_ordinal == 0 || can->stamp_keys))
        return can->fractions ? FR_STR("timestamp(6)") : FR_STR("timestamp");
    return can->fractions ? FR_STR("datetime(6)") : FR_STR("datetime");
}

size_t fr_my_sink_key_size(const fr_column *c)
{
    switch (c->kind) {
    case FR_TEXT:
    case FR_JSON:
    case FR_BYTES:
        return 0;
    case FR_DECIMAL:
        return c->precision > 0 && c->precision <= 65 ? 32 : 0;
    case FR_UUID:
        return 36;
    default:
        return 8;
    }
}

fr_str fr_my_sink_type(fr_arena *a, const fr_my_abilities *can, const fr_column *c, size_t room)
{
    switch (c->kind) {
    case FR_BOOL:
        return FR_STR("tinyint(1)");
    case FR_INT32:
    case FR_INT64:
        return integer_type(a, c);
    case FR_FLOAT32:
        return FR_STR("float");
    case FR_FLOAT64:
        return FR_STR("double");
    case FR_DECIMAL:
        return decimal_type(a, can, c, room);
    case FR_BYTES:
        return bytes_type(a, c, room);
    case FR_UUID:
        return can->uuid ? FR_STR("uuid")
                         : FR_STR("char(36) CHARACTER SET ascii COLLATE ascii_bin");
    case FR_DATE:
        return FR_STR("date");
    case FR_TIME:
        return can->fractions ? FR_STR("time(6)") : FR_STR("time");
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return stamp_type(can, c);
    default: /* TEXT, JSON: json would give the text back in another form */
        return c->key_ordinal > 0 ? text_key_type(a, can, c, room) : text_type(a, c, room);
    }
}

static fr_str wider_text(fr_arena *a, const fr_column *c, const fr_my_target_column *to)
{
    uint64_t length = declared_length(c->native_type);
    const char *type = is(to, "char") || is(to, "varchar") ? "varchar" : "varbinary";
    bool text = to->charset.len > 0;
    if (c->key_ordinal == 0 && length > 255)
        return text ? fr_arena_printf(a, "longtext CHARACTER SET %.*s COLLATE %.*s",
                                      FR_ARG(to->charset), FR_ARG(to->collation))
                    : FR_STR("longblob");
    if (!text)
        return fr_arena_printf(a, "%s(%llu)", type, (unsigned long long)length);
    return fr_arena_printf(a, "%s(%llu) CHARACTER SET %.*s COLLATE %.*s", type,
                           (unsigned long long)length, FR_ARG(to->charset), FR_ARG(to->collation));
}

fr_str fr_my_sink_wider(fr_arena *a, const fr_my_abilities *can, const fr_column *c,
                        const fr_my_target_column *to)
{
    if (one_of(to->type, texts) || one_of(to->type, blobs))
        return wider_text(a, c, to);
    if (c->kind == FR_INT64)
        return FR_STR("bigint");
    if (c->kind == FR_DECIMAL) {
        bool integer = !is(to, "decimal");
        int scale = integer || to->scale < c->scale ? c->scale : to->scale;
        int whole = integer ? 20 : to->precision - to->scale;
        whole = whole > c->precision - c->scale ? whole : c->precision - c->scale;
        if (scale + whole <= 65 && scale <= 30)
            return fr_arena_printf(a, "decimal(%d,%d)", scale + whole, scale);
    }
    return fr_my_sink_type(a, can, c, 255);
}
