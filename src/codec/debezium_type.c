#include "codec/debezium.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

#define TIME_NAME(name) "io.debezium.time." name
#define DATA_NAME(name) "io.debezium.data." name

typedef struct spelled { /* "timestamp(3) without time zone[]" */
    char word[64];       /* "timestamp without time zone" */
    int first, second;   /* in parentheses; -1: not there (INT_MIN for a scale would be one) */
    bool has_first, array;
} spelled;

static bool read_spelled(fr_str text, spelled *s)
{
    *s = (spelled){.first = -1, .second = 0};
    size_t n = 0, i = 0;
    if (text.len > 2 && memcmp(text.ptr + text.len - 2, "[]", 2) == 0) {
        s->array = true;
        text.len -= 2;
    }
    while (i < text.len) {
        if (text.ptr[i] == '(') {
            char inner[32];
            size_t k = 0;
            for (i++; i < text.len && text.ptr[i] != ')' && k + 1 < sizeof inner; i++)
                inner[k++] = text.ptr[i];
            inner[k] = '\0';
            s->has_first = sscanf(inner, "%d,%d", &s->first, &s->second) >= 1;
            i++;
            continue;
        }
        if (n + 1 == sizeof s->word)
            return false;
        s->word[n++] = text.ptr[i++];
    }
    s->word[n] = '\0';
    return true;
}

/* Types whose name is all of it. */
static const struct {
    const char *word;
    fr_dbz_type type;
} plain[] = {
    {"boolean", {.from = FR_BOOL, .kind = FR_BOOL, .avro = "boolean"}},
    {"smallint", {.from = FR_INT32, .kind = FR_INT32, .avro = "int", .small = true}},
    {"integer", {.from = FR_INT32, .kind = FR_INT32, .avro = "int"}},
    {"bigint", {.from = FR_INT64, .kind = FR_INT64, .avro = "long"}},
    {"oid", {.from = FR_INT64, .kind = FR_INT64, .avro = "long", .bare = true}},
    {"real", {.from = FR_FLOAT32, .kind = FR_FLOAT32, .avro = "float"}},
    {"double precision", {.from = FR_FLOAT64, .kind = FR_FLOAT64, .avro = "double"}},
    {"bytea", {.from = FR_BYTES, .kind = FR_BYTES, .avro = "bytes", .bare = true}},
    {"json", {.from = FR_JSON, .kind = FR_JSON, .avro = "string", .name = DATA_NAME("Json")}},
    {"jsonb", {.from = FR_JSON, .kind = FR_JSON, .avro = "string", .name = DATA_NAME("Json")}},
    {"xml", {.from = FR_TEXT, .kind = FR_TEXT, .avro = "string", .name = DATA_NAME("Xml")}},
    {"uuid", {.from = FR_UUID, .kind = FR_UUID, .avro = "string", .name = DATA_NAME("Uuid")}},
    {"tsvector",
     {.from = FR_TEXT,
      .kind = FR_TEXT,
      .avro = "string",
      .name = DATA_NAME("Tsvector"),
      .bare = true}},
    {"ltree",
     {.from = FR_TEXT,
      .kind = FR_TEXT,
      .avro = "string",
      .name = DATA_NAME("Ltree"),
      .bare = true}},
    {"hstore",
     {.form = FR_DBZ_HSTORE,
      .from = FR_TEXT,
      .kind = FR_JSON,
      .avro = "string",
      .name = DATA_NAME("Json"),
      .bare = true}},
    {"date",
     {.form = FR_DBZ_DATE,
      .from = FR_DATE,
      .kind = FR_DATE,
      .avro = "int",
      .name = TIME_NAME("Date")}},
    {"timestamp with time zone",
     {.form = FR_DBZ_ZONED,
      .from = FR_TIMESTAMP,
      .kind = FR_TEXT,
      .avro = "string",
      .name = TIME_NAME("ZonedTimestamp")}},
    {"time with time zone",
     {.form = FR_DBZ_ZONED_TIME,
      .from = FR_TEXT,
      .kind = FR_TEXT,
      .avro = "string",
      .name = TIME_NAME("ZonedTime"),
      .bare = true}},
    {"point",
     {.form = FR_DBZ_POINT,
      .from = FR_TEXT,
      .kind = FR_KIND_COUNT,
      .avro = "record",
      .name = DATA_NAME("geometry.Point"),
      .bare = true}},
};

enum { WITH_DEFAULT = 4 }; /* of those below */
static const char *const strings[] = {
    "character", "bpchar",   "character varying", "text",     "name",    "citext",    "isbn",
    "inet",      "cidr",     "macaddr",           "macaddr8", "tsrange", "tstzrange", "daterange",
    "int4range", "numrange", "int8range"};

static bool plain_type(const char *word, fr_dbz_type *t)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(word, plain[i].word) == 0) {
            *t = plain[i].type;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (strcmp(word, strings[i]) == 0) {
            *t = (fr_dbz_type){
                .from = FR_TEXT, .kind = FR_TEXT, .avro = "string", .bare = i >= WITH_DEFAULT};
            return true;
        }
    }
    return false;
}

/* Up to three digits in milliseconds. */
static void time_type(const spelled *s, bool stamp, fr_dbz_type *t)
{
    bool millis = s->has_first && s->first <= 3;
    fr_kind kind = stamp ? FR_DATETIME : FR_TIME;
    *t = (fr_dbz_type){.form = millis ? FR_DBZ_MILLIS : FR_DBZ_AS_IT_IS,
                       .from = kind,
                       .kind = kind,
                       .avro = millis && !stamp ? "int" : "long"};
    if (stamp)
        t->name = millis ? TIME_NAME("Timestamp") : TIME_NAME("MicroTimestamp");
    else
        t->name = millis ? TIME_NAME("Time") : TIME_NAME("MicroTime");
}

static void bits_type(const spelled *s, fr_dbz_type *t)
{
    *t = (fr_dbz_type){.form = FR_DBZ_BIT, .from = FR_TEXT, .kind = FR_BOOL, .avro = "boolean"};
    if (s->has_first && s->first == 1)
        return;
    *t = (fr_dbz_type){.form = FR_DBZ_BITS,
                       .from = FR_TEXT,
                       .kind = FR_BYTES,
                       .avro = "bytes",
                       .name = DATA_NAME("Bits"),
                       .length = s->has_first ? s->first : INT32_MAX};
}

static bool numeric_type(const spelled *s, fr_dbz_type *t)
{
    if (!s->has_first) {
        *t = (fr_dbz_type){.form = FR_DBZ_VARIABLE,
                           .from = FR_TEXT,
                           .kind = FR_KIND_COUNT,
                           .avro = "record",
                           .name = DATA_NAME("VariableScaleDecimal"),
                           .bare = true};
        return true;
    }
    *t = (fr_dbz_type){.from = FR_DECIMAL,
                       .kind = FR_DECIMAL,
                       .avro = "bytes",
                       .name = "org.apache.kafka.connect.data.Decimal",
                       .precision = (int16_t)s->first,
                       .scale = (int16_t)s->second};
    return s->second >= 0 && s->second <= s->first;
}

/* Of a value that is in no array. */
static bool scalar_type(const fr_column *c, const spelled *s, fr_dbz_type *t)
{
    if (c->labels.len > 0) {
        *t = (fr_dbz_type){.from = FR_TEXT,
                           .kind = FR_TEXT,
                           .avro = "string",
                           .name = DATA_NAME("Enum"),
                           .labels = c->labels};
        return true;
    }
    if (strncmp(s->word, "interval", 8) == 0) {
        *t = (fr_dbz_type){.form = FR_DBZ_DURATION,
                           .from = FR_TEXT,
                           .kind = FR_INT64,
                           .avro = "long",
                           .name = TIME_NAME("MicroDuration")};
        return true;
    }
    if (strcmp(s->word, "time without time zone") == 0 ||
        strcmp(s->word, "timestamp without time zone") == 0) {
        time_type(s, s->word[4] == 's', t);
        return true;
    }
    if (strcmp(s->word, "bit") == 0 || strcmp(s->word, "bit varying") == 0) {
        bits_type(s, t);
        return true;
    }
    if (strcmp(s->word, "numeric") == 0)
        return numeric_type(s, t);
    if (strcmp(s->word, "money") == 0) {
        *t = (fr_dbz_type){.from = FR_DECIMAL,
                           .kind = FR_DECIMAL,
                           .avro = "bytes",
                           .name = "org.apache.kafka.connect.data.Decimal",
                           .scale = c->scale,
                           .bare = true};
        return true;
    }
    if (!plain_type(s->word, t))
        return false;
    if (t->form == FR_DBZ_ZONED) /* 0 says as many as are needed */
        t->scale = (int16_t)(!s->has_first ? 6 : s->first == 0 ? -1 : s->first);
    return true;
}

/* Arrays of these Debezium leaves out. */
static bool in_no_array(const char *word)
{
    static const char *const words[] = {"money", "name", "xml",         "point", "tsvector",
                                        "bit",   "isbn", "bit varying", "hstore"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return strncmp(word, "interval", 8) == 0;
}

static bool array_type(fr_arena *a, const fr_column *c, const spelled *s, fr_dbz_type *t)
{
    fr_dbz_type *items = fr_arena_alloc(a, sizeof *items);
    if (in_no_array(s->word) || !scalar_type(c, s, items))
        return false;
    *t = (fr_dbz_type){.form = FR_DBZ_ARRAY,
                       .from = FR_JSON,
                       .kind = FR_KIND_COUNT,
                       .avro = "array",
                       .items = items,
                       .bare = true,
                       .whole = items->labels.len > 0};
    return true;
}

/* Of what a mask or an expression made. */
static bool kind_type(const fr_column *c, fr_dbz_type *t)
{
    static const char *const words[FR_KIND_COUNT] = {
        [FR_BOOL] = "boolean",
        [FR_INT32] = "integer",
        [FR_INT64] = "bigint",
        [FR_FLOAT32] = "real",
        [FR_FLOAT64] = "double precision",
        [FR_TEXT] = "text",
        [FR_BYTES] = "bytea",
        [FR_JSON] = "json",
        [FR_UUID] = "uuid",
        [FR_DATE] = "date",
        [FR_TIME] = "time without time zone",
        [FR_DATETIME] = "timestamp without time zone",
        [FR_TIMESTAMP] = "timestamp with time zone",
    };
    fr_column unlabelled = *c;
    spelled s = {.first = c->precision, .second = c->scale, .has_first = c->kind == FR_DECIMAL};
    unlabelled.labels = FR_STR("");
    snprintf(s.word, sizeof s.word, "%s", c->kind == FR_DECIMAL ? "numeric" : words[c->kind]);
    return scalar_type(&unlabelled, &s, t);
}

static fr_rc fail_type(const fr_route *route, const fr_column *c, const char *what, fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_CONFIG, "table %.*s.%.*s: column %.*s (%.*s): %s", FR_ARG(t->space),
            FR_ARG(t->name), FR_ARG(c->name), FR_ARG(c->native_type), what);
    fr_fail_code(err, "config.debezium_type");
    return fr_fail_hint(err, "leave it out: columns.exclude: [%.*s]; or use envelope: standard",
                        FR_ARG(c->name));
}

fr_rc fr_dbz_type_of(fr_arena *a, const fr_route *route, uint16_t column, const fr_dbz_type **out,
                     fr_err *err)
{
    const fr_column *c = &route->table->columns[column];
    bool ours = fr_route_derived(route, column) ||
                fr_pairs_get(&route->settings->column_mask, fr_route_name(route, column)) != NULL;
    fr_dbz_type *t = fr_arena_alloc(a, sizeof *t);
    spelled s;
    bool known;
    if (ours)
        known = kind_type(c, t);
    else if (!read_spelled(c->base_type.len > 0 ? c->base_type : c->native_type, &s))
        known = false;
    else
        known = s.array ? array_type(a, c, &s, t) : scalar_type(c, &s, t);
    if (!known)
        return fail_type(route, c, "envelope debezium has no such type", err);
    if (c->kind != t->from)
        return fail_type(route, c, "its values do not come as envelope debezium needs them", err);
    t->bare = t->bare || ours;
    *out = t;
    return FR_OK;
}
