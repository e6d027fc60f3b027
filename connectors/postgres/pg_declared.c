/* A type as CREATE TABLE spells it -> what its columns are, without a server: built-in types and
 * arrays of them. */
#include "connectors/postgres/pg_builtin.h"
#include "connectors/postgres/pg_layout.h"
#include "connectors/postgres/wal_source.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct spelled { /* "Numeric ( 10, 2 ) [ ]" */
    char name[64];       /* lower case, single spaces, without what is in () */
    int first, second;   /* -1: not said */
    bool array;
} spelled;

/* Names that are neither what the catalog calls a type nor what format_type prints. */
static const char *synonym(const char *name)
{
    static const char *const pairs[][2] = {
        {"int", "int4"},          {"serial", "int4"},  {"serial4", "int4"},
        {"bigserial", "int8"},    {"serial8", "int8"}, {"smallserial", "int2"},
        {"serial2", "int2"},      {"float", "float8"}, {"decimal", "numeric"},
        {"dec", "numeric"},       {"char", "bpchar"},  {"char varying", "varchar"},
        {"bit varying", "varbit"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (strcmp(name, pairs[i][0]) == 0)
            return pairs[i][1];
    return name;
}

static bool parse_numbers(const char *text, size_t len, spelled *out)
{
    char inside[32];
    int end = 0;
    if (len >= sizeof(inside))
        return false;
    memcpy(inside, text, len);
    inside[len] = '\0';
    if (sscanf(inside, " %9d , %9d %n", &out->first, &out->second, &end) == 2 && end > 0)
        return inside[end] == '\0';
    out->second = -1;
    return sscanf(inside, " %9d %n", &out->first, &end) == 1 && end > 0 && inside[end] == '\0';
}

/* One piece at *at: a word, "(...)" or "[...]". False: it is too long, or not closed. */
static bool take_piece(const char **at, spelled *out, size_t *len)
{
    char close = **at == '(' ? ')' : ']';
    const char *end = **at == '(' || **at == '[' ? strchr(*at, close) : NULL;
    if (end != NULL) {
        bool numbers = close == ')';
        out->array = out->array || !numbers;
        bool good = !numbers || parse_numbers(*at + 1, (size_t)(end - *at) - 1, out);
        *at = end + 1;
        return good;
    }
    if (*len + 2 >= sizeof(out->name) || **at == '(' || **at == '[')
        return false;
    if (*len > 0 && isspace((unsigned char)(*at)[-1]) && out->name[*len - 1] != ' ')
        out->name[(*len)++] = ' ';
    out->name[(*len)++] = (char)tolower((unsigned char)*(*at)++);
    return true;
}

static bool parse(const char *type, spelled *out)
{
    size_t len = 0;
    *out = (spelled){.first = -1, .second = -1};
    for (const char *at = type; *at != '\0';) {
        if (isspace((unsigned char)*at))
            at++;
        else if (!take_piece(&at, out, &len))
            return false;
        else if (at[-1] == ')' && len > 0 && *at != '\0' && out->name[len - 1] != ' ')
            out->name[len++] = ' '; /* timestamp(3)with time zone */
    }
    while (len > 0 && out->name[len - 1] == ' ')
        len--;
    out->name[len] = '\0';
    return len > 0;
}

static const fr_pg_builtin *find(const char *name)
{
    name = synonym(name);
    const fr_pg_builtin *b;
    for (size_t i = 0; (b = fr_pg_builtin_at(i)) != NULL; i++)
        if (b->type.oid != 18 /* "char" */ &&
            (fr_str_is(b->type.name, name) || (b->sql != NULL && strcmp(b->sql, name) == 0)))
            return b;
    return NULL;
}

/* atttypmod, as the server would keep it. */
static int32_t typmod_of(const fr_pg_builtin *b, const spelled *s)
{
    bool numeric = fr_str_is(b->type.name, "numeric");
    bool text = fr_str_is(b->type.name, "varchar") || fr_str_is(b->type.name, "bpchar");
    if (s->first < 0)
        return -1;
    if (numeric)
        return (int32_t)(((unsigned)s->first << 16) | (s->second < 0 ? 0u : (unsigned)s->second)) +
               4;
    return text ? s->first + 4 : s->first;
}

static fr_rc unknown(const char *type, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "`%s` is no type of PostgreSQL's own", type);
    fr_fail_code(err, "pg.type_unknown");
    return fr_fail_hint(err, "write it as CREATE TABLE has it: numeric(10,2), timestamptz, text[]; "
                             "for an enum or a type of an extension write text");
}

fr_rc fr_pg_declared(fr_arena *a, const char *type, const char *asked, fr_column *out, fr_err *err)
{
    spelled s;
    fr_pg_codec codec;
    bool as_text = asked != NULL && strcmp(asked, "string") == 0;
    const fr_pg_builtin *b = parse(type, &s) ? find(s.name) : NULL;
    if (b == NULL || b->type.typtype == 'p')
        return unknown(type, err);
    fr_pg_catalog *c = fr_pg_catalog_new();
    fr_rc rc = fr_pg_resolve(c, b->type.oid, typmod_of(b, &s), as_text && !s.array, a, &codec,
                             &out->native_type, err);
    fr_pg_catalog_free(c);
    FR_TRY(rc);
    out->kind = s.array ? (as_text ? FR_TEXT : FR_JSON) : codec.kind;
    out->precision = out->kind == FR_DECIMAL ? codec.precision : 0;
    out->scale = out->kind == FR_DECIMAL ? codec.scale : 0;
    if (s.array)
        out->native_type = fr_arena_printf(a, "%.*s[]", FR_ARG(out->native_type));
    return FR_OK;
}
