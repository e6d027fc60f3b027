#include "connectors/sqlite/sq_types.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Names that many use. Others are asked for: SQLite takes any word, and what STRING or MONEY does
 * to a value (STRING turns '007' into 7) nobody expects. */
const fr_sq_type_row fr_sq_declared[] = {
    {"INTEGER", FR_INT64, FR_SQ_PLAIN, false},
    {"INT", FR_INT64, FR_SQ_PLAIN, false},
    {"TINYINT", FR_INT64, FR_SQ_PLAIN, false},
    {"SMALLINT", FR_INT64, FR_SQ_PLAIN, false},
    {"MEDIUMINT", FR_INT64, FR_SQ_PLAIN, false},
    {"BIGINT", FR_INT64, FR_SQ_PLAIN, false},
    {"INT2", FR_INT64, FR_SQ_PLAIN, false},
    {"INT4", FR_INT64, FR_SQ_PLAIN, false},
    {"INT8", FR_INT64, FR_SQ_PLAIN, false},
    {"BOOLEAN", FR_BOOL, FR_SQ_PLAIN, false},
    {"BOOL", FR_BOOL, FR_SQ_PLAIN, false},
    {"REAL", FR_FLOAT64, FR_SQ_PLAIN, false},
    {"DOUBLE", FR_FLOAT64, FR_SQ_PLAIN, false},
    {"DOUBLE PRECISION", FR_FLOAT64, FR_SQ_PLAIN, false},
    {"FLOAT", FR_FLOAT64, FR_SQ_PLAIN, false},
    {"DECIMAL", FR_DECIMAL, FR_SQ_PLAIN, true},
    {"NUMERIC", FR_DECIMAL, FR_SQ_PLAIN, true},
    {"TEXT", FR_TEXT, FR_SQ_PLAIN, false},
    {"CLOB", FR_TEXT, FR_SQ_PLAIN, false},
    {"CHAR", FR_TEXT, FR_SQ_PLAIN, false},
    {"CHARACTER", FR_TEXT, FR_SQ_PLAIN, false},
    {"NCHAR", FR_TEXT, FR_SQ_PLAIN, false},
    {"VARCHAR", FR_TEXT, FR_SQ_PLAIN, false},
    {"NVARCHAR", FR_TEXT, FR_SQ_PLAIN, false},
    {"BLOB", FR_BYTES, FR_SQ_PLAIN, false},
    {"JSON", FR_JSON, FR_SQ_PLAIN, false},
    {"UUID", FR_UUID, FR_SQ_PLAIN, false},
    {"DATE", FR_DATE, FR_SQ_PLAIN, false},
    {"TIME", FR_TIME, FR_SQ_PLAIN, false},
    {"DATETIME", FR_DATETIME, FR_SQ_PLAIN, false},
    {"TIMESTAMP", FR_TIMESTAMP, FR_SQ_PLAIN, false},
    {"TIMESTAMPTZ", FR_TIMESTAMP, FR_SQ_PLAIN, false},
    {"TIMESTAMP WITH TIME ZONE", FR_TIMESTAMP, FR_SQ_PLAIN, false},
    {.name = NULL},
};

const fr_sq_type_row fr_sq_asked[] = {
    {"string", FR_TEXT, FR_SQ_ANY, false},
    {"long", FR_INT64, FR_SQ_PLAIN, false},
    {"double", FR_FLOAT64, FR_SQ_PLAIN, false},
    {"decimal", FR_DECIMAL, FR_SQ_PLAIN, true},
    {"boolean", FR_BOOL, FR_SQ_PLAIN, false},
    {"bytes", FR_BYTES, FR_SQ_PLAIN, false},
    {"json", FR_JSON, FR_SQ_PLAIN, false},
    {"uuid", FR_UUID, FR_SQ_PLAIN, false},
    {"date", FR_DATE, FR_SQ_PLAIN, false},
    {"time", FR_TIME, FR_SQ_PLAIN, false},
    {"datetime", FR_DATETIME, FR_SQ_PLAIN, false},
    {"timestamp", FR_TIMESTAMP, FR_SQ_PLAIN, false},
    {"unix-seconds", FR_TIMESTAMP, FR_SQ_SECONDS, false},
    {"unix-millis", FR_TIMESTAMP, FR_SQ_MILLIS, false},
    {"unix-micros", FR_TIMESTAMP, FR_SQ_MICROS, false},
    {"julian-day", FR_TIMESTAMP, FR_SQ_JULIAN, false},
    {.name = NULL},
};

/* "Varchar ( 20 )" is VARCHAR and " 20 ". False: it is not of this form. */
static bool split(fr_str text, char *name, size_t size, fr_str *inside)
{
    const char *open = text.len == 0 ? NULL : memchr(text.ptr, '(', text.len);
    size_t n = open == NULL ? text.len : (size_t)(open - text.ptr), at = 0;
    *inside = (fr_str){"", 0};
    if (open != NULL) {
        if (text.ptr[text.len - 1] != ')')
            return false;
        *inside = (fr_str){open + 1, text.len - n - 2};
    }
    while (n > 0 && isspace((unsigned char)text.ptr[n - 1]))
        n--;
    if (n >= size)
        return false;
    for (; at < n; at++)
        name[at] = (char)toupper((unsigned char)text.ptr[at]);
    name[at] = '\0';
    return true;
}

static bool same_word(const char *a, const char *upper)
{
    for (; *a != '\0' && toupper((unsigned char)*a) == *upper; a++)
        upper++;
    return *a == '\0' && *upper == '\0';
}

static const fr_sq_type_row *find(const fr_sq_type_row *table, const char *upper)
{
    for (; table->name != NULL; table++)
        if (same_word(table->name, upper))
            return table;
    return NULL;
}

static bool parse_digits(fr_str inside, int16_t *precision, int16_t *scale)
{
    char text[32];
    int p = 0, s = 0, end = 0;
    if (inside.len == 0 || inside.len >= sizeof(text))
        return false;
    memcpy(text, inside.ptr, inside.len);
    text[inside.len] = '\0';
    if ((sscanf(text, " %4d , %4d %n", &p, &s, &end) != 2 || text[end] != '\0') &&
        (sscanf(text, " %4d %n", &p, &end) != 1 || text[end] != '\0'))
        return false;
    *precision = (int16_t)p;
    *scale = (int16_t)s;
    return p > 0 && p <= 1000 && s >= 0 && s <= p;
}

static fr_rc unknown(const fr_sq_column *c, const char *asked, fr_err *err)
{
    if (asked != NULL)
        fr_fail(err, FR_ERR_CONFIG, "column %.*s: columns.types says %s, which is no type",
                FR_ARG(c->name), asked);
    else if (c->declared.len == 0)
        fr_fail(err, FR_ERR_CONFIG, "column %.*s has no declared type", FR_ARG(c->name));
    else
        fr_fail(err, FR_ERR_CONFIG, "column %.*s is declared %.*s, which says nothing here",
                FR_ARG(c->name), FR_ARG(c->declared));
    fr_fail_code(err, "sqlite.type");
    return fr_fail_hint(err,
                        "say what it is, columns.types: {%.*s: string}; or long, double, "
                        "decimal(p,s), boolean, bytes, json, uuid, date, time, datetime, "
                        "timestamp, unix-seconds, unix-millis, unix-micros, julian-day; or "
                        "leave it out: columns.exclude",
                        FR_ARG(c->name));
}

fr_rc fr_sq_type_of(fr_sq_column *c, const char *asked, fr_err *err)
{
    char name[64] = "";
    fr_str inside;
    fr_str text = asked != NULL ? fr_cstr(asked) : c->declared;
    const fr_sq_type_row *row = NULL;
    if (split(text, name, sizeof(name), &inside))
        row = find(asked != NULL ? fr_sq_asked : fr_sq_declared, name);
    if (row == NULL)
        return unknown(c, asked, err);
    c->kind = row->kind;
    c->form = row->form;
    c->precision = c->scale = 0;
    if (!row->digits)
        return FR_OK;
    if (parse_digits(inside, &c->precision, &c->scale))
        return FR_OK;
    if (asked != NULL)
        return unknown(c, asked, err);
    c->kind = FR_TEXT; /* any number of digits */
    c->form = FR_SQ_ANY;
    return FR_OK;
}

int64_t fr_sq_unit_of(const fr_sq_column *c)
{
    if (c->kind != FR_DATETIME && c->kind != FR_TIMESTAMP)
        return 0;
    switch (c->form) {
    case FR_SQ_SECONDS:
        return 1000000;
    case FR_SQ_MILLIS:
    case FR_SQ_JULIAN: /* SQLite's clock has milliseconds */
        return 1000;
    case FR_SQ_MICROS:
        return 1;
    default: /* none seen yet: as CURRENT_TIMESTAMP */
        return c->clock.separator == 0 ? 1000000 : fr_sq_clock_unit(&c->clock);
    }
}
