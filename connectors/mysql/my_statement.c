/* The columns of poll.query's statement, as the server's answer to it says them. */
#include "connectors/mysql/my_statement.h"
#include <string.h>

enum { BINARY_COLLATION = 63, JSON_TYPE = 245, VECTOR_TYPE = 242, FLOATS_BYTES = 4 };

/* MariaDB's types that its protocol calls CHAR or BINARY. */
static fr_str own_name(const MYSQL_FIELD *f)
{
    static const char *const names[] = {"uuid", "inet4", "inet6"};
    MARIADB_CONST_STRING attr = {NULL, 0};
    if (mariadb_field_attr(&attr, f, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) != 0)
        return (fr_str){NULL, 0};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (attr.length == strlen(names[i]) && memcmp(attr.str, names[i], attr.length) == 0)
            return fr_cstr(names[i]);
    return (fr_str){NULL, 0};
}

static fr_str number(fr_arena *a, const MYSQL_FIELD *f, const char *name)
{
    return fr_arena_printf(a, "%s%s", name, (f->flags & UNSIGNED_FLAG) != 0 ? " unsigned" : "");
}

/* The length counts the sign and the point. */
static fr_str decimal(fr_arena *a, const MYSQL_FIELD *f)
{
    bool is_unsigned = (f->flags & UNSIGNED_FLAG) != 0;
    unsigned long digits = f->length - (f->decimals > 0) - !is_unsigned;
    return fr_arena_printf(a, "decimal(%lu,%u)%s", digits, f->decimals,
                           is_unsigned ? " unsigned" : "");
}

static fr_str timed(fr_arena *a, const MYSQL_FIELD *f, const char *name)
{
    return fr_arena_printf(a, "%s(%u)", name, f->decimals > 6 ? 0 : f->decimals);
}

static fr_str text(fr_arena *a, const MYSQL_FIELD *f, const fr_my_charset *charset, bool blob)
{
    bool binary = f->charsetnr == BINARY_COLLATION;
    if (blob)
        return fr_cstr(binary ? "longblob" : "longtext");
    unsigned width = binary || charset == NULL ? 1 : charset->max_length;
    return fr_arena_printf(a, "%s(%lu)", binary ? "varbinary" : "varchar", f->length / width);
}

/* As information_schema would spell it; empty: we do not know. */
static fr_str declared(fr_arena *a, const MYSQL_FIELD *f, const fr_my_charset *charset)
{
    fr_str own = own_name(f);
    if (own.len > 0)
        return own;
    switch ((int)f->type) {
    case MYSQL_TYPE_TINY:
        return number(a, f, "tinyint");
    case MYSQL_TYPE_SHORT:
        return number(a, f, "smallint");
    case MYSQL_TYPE_INT24:
        return number(a, f, "mediumint");
    case MYSQL_TYPE_LONG:
        return number(a, f, "int");
    case MYSQL_TYPE_LONGLONG:
        return number(a, f, "bigint");
    case MYSQL_TYPE_NEWDECIMAL:
        return decimal(a, f);
    case MYSQL_TYPE_FLOAT:
        return number(a, f, "float");
    case MYSQL_TYPE_DOUBLE:
        return number(a, f, "double");
    case MYSQL_TYPE_BIT:
        return fr_arena_printf(a, "bit(%lu)", f->length);
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_NEWDATE:
        return FR_STR("date");
    case MYSQL_TYPE_TIME:
        return timed(a, f, "time");
    case MYSQL_TYPE_DATETIME:
        return timed(a, f, "datetime");
    case MYSQL_TYPE_TIMESTAMP:
        return timed(a, f, "timestamp");
    case MYSQL_TYPE_YEAR:
        return FR_STR("year(4)");
    case JSON_TYPE:
        return FR_STR("json");
    case MYSQL_TYPE_GEOMETRY:
        return FR_STR("geometry");
    case VECTOR_TYPE:
        return fr_arena_printf(a, "vector(%lu)", f->length / FLOATS_BYTES);
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_VAR_STRING:
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_ENUM:
    case MYSQL_TYPE_SET:
        return text(a, f, charset, false);
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
        return text(a, f, charset, true);
    default:
        return (fr_str){NULL, 0};
    }
}

static fr_rc read_field(fr_my *my, const fr_table_settings *t, fr_arena *a, const MYSQL_FIELD *f,
                        fr_my_column *out, fr_err *err)
{
    fr_str name = {f->name, f->name_length};
    const fr_my_charset *charset = fr_my_charset_by_collation(f->charsetnr);
    fr_str type = declared(a, f, charset);
    if (type.len == 0) {
        fr_fail(err, FR_ERR_CONFIG, "poll.query: nothing says the type of column %.*s",
                FR_ARG(name));
        fr_fail_code(err, "my.type_unknown");
        return fr_fail_hint(err, "write CAST(... AS ...) in the statement (%s)",
                            t->place != NULL ? t->place : "configuration");
    }
    /* Numbers and times have the binary collation, text and what is made of it its own. */
    bool bytes = charset == NULL || f->charsetnr == BINARY_COLLATION;
    fr_my_schema_row row = {.name = name,
                            .column_type = type,
                            .is_nullable =
                                fr_texts_have(&t->key, name) ? FR_STR("NO") : FR_STR("YES"),
                            .charset = bytes ? (fr_str){NULL, 0} : fr_cstr(charset->name)};
    FR_TRY(fr_my_column_from_schema(&row, my->mariadb, a, out, err));
    fr_binlog_catalog_configure(t, out);
    return FR_OK;
}

fr_rc fr_my_statement(fr_my *my, const fr_table_settings *t, fr_str from, fr_arena *a,
                      fr_my_relation *out, fr_err *err)
{
    fr_str sql = fr_arena_printf(a, "SELECT * FROM %.*s LIMIT 0", FR_ARG(from));
    MYSQL_RES *res = NULL;
    if (mysql_real_query(my->mysql, sql.ptr, sql.len) != 0 ||
        (res = mysql_store_result(my->mysql)) == NULL) {
        fr_my_fail(my, "poll.query", err);
        if (err->kind == FR_ERR_CONFIG || err->kind == FR_ERR_DATA)
            fr_fail_hint(err, "correct poll.query (%s): names need their database (shop.orders)",
                         t->place != NULL ? t->place : "configuration");
        return FR_FAIL;
    }
    size_t n = mysql_num_fields(res);
    fr_rc rc = FR_OK;
    out->columns = fr_arena_alloc(a, (n + 1) * sizeof(*out->columns));
    out->column_count = n;
    for (size_t i = 0; i < n && rc == FR_OK; i++)
        rc =
            read_field(my, t, a, mysql_fetch_field_direct(res, (unsigned)i), &out->columns[i], err);
    mysql_free_result(res);
    return rc;
}
