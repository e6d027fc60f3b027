#include "connectors/odbc/odbc_types.h"
#include "base/bytes.h"
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef struct type_row {
    SQLSMALLINT type;
    const char *name; /* in the docs */
    fr_kind kind;
    fr_kind unsigned_kind; /* FR_ABSENT: the same */
} type_row;

#define SAME FR_ABSENT
static const type_row rows[] = {
    {SQL_BIT, "SQL_BIT", FR_BOOL, SAME},
    {SQL_TINYINT, "SQL_TINYINT", FR_INT32, SAME},
    {SQL_SMALLINT, "SQL_SMALLINT", FR_INT32, SAME},
    {SQL_INTEGER, "SQL_INTEGER", FR_INT32, FR_INT64},
    {SQL_BIGINT, "SQL_BIGINT", FR_INT64, FR_DECIMAL},
    {SQL_REAL, "SQL_REAL", FR_FLOAT32, SAME},
    {SQL_FLOAT, "SQL_FLOAT", FR_FLOAT64, SAME},
    {SQL_DOUBLE, "SQL_DOUBLE", FR_FLOAT64, SAME},
    {SQL_NUMERIC, "SQL_NUMERIC", FR_DECIMAL, SAME},
    {SQL_DECIMAL, "SQL_DECIMAL", FR_DECIMAL, SAME},
    {SQL_CHAR, "SQL_CHAR", FR_TEXT, SAME},
    {SQL_VARCHAR, "SQL_VARCHAR", FR_TEXT, SAME},
    {SQL_LONGVARCHAR, "SQL_LONGVARCHAR", FR_TEXT, SAME},
    {SQL_WCHAR, "SQL_WCHAR", FR_TEXT, SAME},
    {SQL_WVARCHAR, "SQL_WVARCHAR", FR_TEXT, SAME},
    {SQL_WLONGVARCHAR, "SQL_WLONGVARCHAR", FR_TEXT, SAME},
    {SQL_BINARY, "SQL_BINARY", FR_BYTES, SAME},
    {SQL_VARBINARY, "SQL_VARBINARY", FR_BYTES, SAME},
    {SQL_LONGVARBINARY, "SQL_LONGVARBINARY", FR_BYTES, SAME},
    {SQL_GUID, "SQL_GUID", FR_UUID, SAME},
    {SQL_TYPE_DATE, "SQL_TYPE_DATE", FR_DATE, SAME},
    {SQL_TYPE_TIME, "SQL_TYPE_TIME", FR_TIME, SAME},
    {SQL_TYPE_TIMESTAMP, "SQL_TYPE_TIMESTAMP", FR_DATETIME, SAME},
    /* Drivers of ODBC 2 that the manager does not translate. */
    {SQL_DATE, "SQL_DATE", FR_DATE, SAME},
    {SQL_TIME, "SQL_TIME", FR_TIME, SAME},
    {SQL_TIMESTAMP, "SQL_TIMESTAMP", FR_DATETIME, SAME},
};

enum { BIGINT_DIGITS = 20, MOST_DIGITS = 1000, INTERVALS_FROM = 101, INTERVALS_TO = 113 };

static const type_row *find(SQLSMALLINT type)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}

bool fr_odbc_is_wide(SQLSMALLINT sql_type)
{
    return sql_type == SQL_WCHAR || sql_type == SQL_WVARCHAR || sql_type == SQL_WLONGVARCHAR;
}

static int64_t unit_of(const fr_odbc_column *c)
{
    int64_t unit = 1000000;
    if (c->kind != FR_DATETIME && c->kind != FR_TIMESTAMP)
        return 0;
    for (int32_t digits = c->digits; digits > 0 && unit > 1; digits--)
        unit /= 10;
    return unit;
}

static fr_rc unknown(const fr_odbc_column *c, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "column %.*s is of type %.*s (SQL type %d), for which no kind is known",
            FR_ARG(c->name), FR_ARG(c->type_name), (int)c->sql_type);
    fr_fail_code(err, "odbc.types");
    return fr_fail_hint(err,
                        "publish it as text with columns.types: {%.*s: string}, or CAST it in "
                        "poll.query",
                        FR_ARG(c->name));
}

/* Numbers that the driver gives no digits for travel as it writes them. */
static void resolve_decimal(fr_odbc_column *c)
{
    if (c->sql_type == SQL_BIGINT) {
        c->precision = BIGINT_DIGITS;
        c->scale = 0;
        return;
    }
    if (c->size == 0 || c->size > MOST_DIGITS || c->digits < 0 || (uint64_t)c->digits > c->size) {
        c->kind = FR_TEXT;
        return;
    }
    c->precision = (int16_t)c->size;
    c->scale = (int16_t)c->digits;
}

fr_rc fr_odbc_resolve(const fr_odbc_quirks *q, fr_odbc_column *c, fr_err *err)
{
    const type_row *row = find(c->sql_type);
    bool interval = c->sql_type >= INTERVALS_FROM && c->sql_type <= INTERVALS_TO;
    fr_kind named = fr_odbc_named_kind(q, c->type_name);
    c->precision = c->scale = 0;
    if (c->as_text || interval)
        c->kind = FR_TEXT;
    else if (named != FR_ABSENT)
        c->kind = named;
    else if (row == NULL)
        return unknown(c, err);
    else
        c->kind =
            c->is_unsigned && row->unsigned_kind != FR_ABSENT ? row->unsigned_kind : row->kind;
    if (c->kind == FR_INT32 && q->wide_ints)
        c->kind = FR_INT64;
    if (c->kind == FR_DECIMAL)
        resolve_decimal(c);
    c->unit_us = unit_of(c);
    return FR_OK;
}

fr_str fr_odbc_type_text(fr_arena *a, const fr_odbc_column *c)
{
    bool has =
        memchr(c->type_name.ptr == NULL ? "" : c->type_name.ptr, '(', c->type_name.len) != NULL;
    if (has)
        return c->type_name;
    if (c->sql_type == SQL_NUMERIC || c->sql_type == SQL_DECIMAL)
        return fr_arena_printf(a, "%.*s(%d,%d)", FR_ARG(c->type_name), (int)c->size,
                               (int)c->digits);
    if (c->sql_type == SQL_CHAR || c->sql_type == SQL_VARCHAR || c->sql_type == SQL_WCHAR ||
        c->sql_type == SQL_WVARCHAR || c->sql_type == SQL_BINARY || c->sql_type == SQL_VARBINARY)
        return fr_arena_printf(a, "%.*s(%llu)", FR_ARG(c->type_name), (unsigned long long)c->size);
    return c->type_name;
}

/* ---- docs/types.md ---- */

#define X(name, member, avro, logical) [FR_##name] = {avro, logical},
static const struct {
    const char *avro, *logical;
} avro[FR_KIND_COUNT] = {FR_KINDS(X)};
#undef X

static const char intro[] =
    "\n# ODBC types\n"
    "\n"
    "<!-- Generated by gen_types from connectors/odbc/odbc_types.c: do not edit. -->\n"
    "\n"
    "What a column becomes whose driver describes it so. Drivers choose among these types as they "
    "like: `freshet plan`\n"
    "lists what each column of a table becomes (`odbc.types`).\n"
    "\n"
    "| SQL type | kind | Avro |\n"
    "|---|---|---|\n";

static const char rest[] =
    "\n"
    "- Unsigned: `SQL_INTEGER` is INT64, `SQL_BIGINT` DECIMAL(20,0).\n"
    "- `SQL_NUMERIC` and `SQL_DECIMAL` have the digits that the driver says; without them (0, or "
    "more than 1000) they are\n"
    "  TEXT. A value with more digits than its column is an error of the row, and never cut.\n"
    "- Intervals are TEXT, as the driver writes them.\n"
    "- Times carry no zone in ODBC: `SQL_TYPE_TIMESTAMP` is DATETIME, but for PostgreSQL's "
    "`timestamptz`, and `timestamp` of\n"
    "  MySQL and MariaDB, which are TIMESTAMP (sessions are in UTC). A fraction below a "
    "microsecond "
    "is an error of the row.\n"
    "- Of PostgreSQL `bool` is BOOL, `json` and `jsonb` are JSON, `oid` is INT64, `money` and "
    "`timetz` "
    "are TEXT, whatever the\n"
    "  driver calls them; MySQL's `json` is JSON.\n"
    "- Text comes as UTF-16; a surrogate without its other half is an error of the row.\n"
    "- All other types are refused (`odbc.types`): `columns.types: {COLUMN: string}` publishes "
    "what "
    "the driver writes for any\n"
    "  type, a CAST in `poll.query` makes another of it.\n";

void fr_odbc_types_docs(fr_buf *b)
{
    fr_buf_text(b, intro);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].type == SQL_DATE)
            break;
        fr_buf_printf(b, "| %s | %s | `%s`", rows[i].name, fr_kind_name(rows[i].kind),
                      avro[rows[i].kind].avro);
        if (avro[rows[i].kind].logical[0] != '\0')
            fr_buf_printf(b, " (%s)", avro[rows[i].kind].logical);
        fr_buf_text(b, " |\n");
    }
    fr_buf_text(b, rest);
}
