/* What there is: tables, and what a relation's columns and keys are, as driver and server say. */
#include "base/log.h"
#include "connectors/odbc/odbc_query.h"
#include "connectors/odbc/odbc_value.h"
#include <stdlib.h>
#include <string.h>

#define SQL_OF(base) ((fr_odbc_sql *)(base))
#define GOOD(rc) ((rc) == SQL_SUCCESS || (rc) == SQL_SUCCESS_WITH_INFO)

/* ---- names ---- */

void fr_odbc_put_name(fr_buf *b, const fr_odbc_dialect *d, fr_str name)
{
    fr_str quote = fr_cstr(d->quote);
    fr_buf_str(b, quote);
    for (size_t i = 0; i < name.len; i++) {
        if (quote.len == 1 && name.ptr[i] == quote.ptr[0])
            fr_buf_str(b, quote);
        fr_buf_u8(b, (uint8_t)name.ptr[i]);
    }
    fr_buf_str(b, quote);
}

/* Without quotes only a name that means itself can be written. */
static fr_rc check_name(const fr_odbc_dialect *d, fr_str name, fr_err *err)
{
    bool good = d->quote[0] != '\0';
    for (size_t i = 0; i < name.len && !good; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                     (c >= '0' && c <= '9' && i > 0);
        if (!plain)
            break;
        good = i + 1 == name.len;
    }
    if (good)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%.*s cannot be written: the driver has no quotes for names",
            FR_ARG(name));
    fr_fail_code(err, "odbc.name");
    return fr_fail_hint(err, "make a view whose name and columns are letters, digits and _ only");
}

typedef struct wide {
    uint16_t *ptr;
    SQLSMALLINT len;
} wide;

/* NULL pointers: not said. */
static fr_rc to_wide(fr_odbc *c, fr_arena *a, fr_str s, wide *out, fr_err *err)
{
    size_t units = 0;
    *out = (wide){0};
    if (s.ptr == NULL)
        return FR_OK;
    FR_TRY(fr_odbc_to_utf16(&c->text, a, s, &out->ptr, &units, err));
    if (units > 4000)
        return fr_fail(err, FR_ERR_CONFIG, "a name of %zu characters", units);
    out->len = (SQLSMALLINT)units;
    return FR_OK;
}

/* What is a pattern to the catalog's functions, as itself. */
static fr_str escaped(fr_arena *a, const fr_odbc_dialect *d, fr_str name)
{
    fr_buf b = {.arena = a};
    if (name.ptr == NULL)
        return name;
    for (size_t i = 0; i < name.len; i++) {
        bool special = name.ptr[i] == '%' || name.ptr[i] == '_' ||
                       (d->escape[0] != '\0' && name.ptr[i] == d->escape[0]);
        if (special)
            fr_buf_text(&b, d->escape);
        fr_buf_u8(&b, (uint8_t)name.ptr[i]);
    }
    return b.len == 0 ? FR_STR("") : fr_buf_view(&b);
}

typedef struct located { /* as the functions of the catalog want it */
    fr_str catalog, schema, name;
} located;

static located place_of(const fr_odbc_dialect *d, fr_str space, fr_str name)
{
    return (located){.catalog = d->space == FR_ODBC_CATALOG ? space : (fr_str){NULL, 0},
                     .schema = d->space == FR_ODBC_SCHEMA ? space : (fr_str){NULL, 0},
                     .name = name};
}

/* ---- what the catalog says ---- */

typedef fr_rc take_row(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err);

typedef enum { TABLES, COLUMNS, KEYS, INDEXES } catalog_list;

static SQLRETURN call(SQLHSTMT stmt, catalog_list what, const wide w[3], bool unique)
{
    static SQLWCHAR types[] = {'T', 'A', 'B', 'L', 'E', ',', 'V', 'I', 'E', 'W', 0};
    switch (what) {
    case TABLES:
        return SQLTablesW(stmt, w[0].ptr, w[0].len, w[1].ptr, w[1].len, w[2].ptr, w[2].len, types,
                          SQL_NTS);
    case COLUMNS:
        return SQLColumnsW(stmt, w[0].ptr, w[0].len, w[1].ptr, w[1].len, w[2].ptr, w[2].len, NULL,
                           0);
    case KEYS:
        return SQLPrimaryKeysW(stmt, w[0].ptr, w[0].len, w[1].ptr, w[1].len, w[2].ptr, w[2].len);
    default:
        return SQLStatisticsW(stmt, w[0].ptr, w[0].len, w[1].ptr, w[1].len, w[2].ptr, w[2].len,
                              unique ? SQL_INDEX_UNIQUE : SQL_INDEX_ALL, SQL_QUICK);
    }
}

static fr_rc read_list(fr_odbc *c, catalog_list what, const located *p, take_row *take, fr_arena *a,
                       void *context, fr_err *err)
{
    static const char *const doing[] = {"list the tables", "read the columns", "read the key",
                                        "read the indexes"};
    bool pattern = what == TABLES || what == COLUMNS;
    const fr_odbc_dialect *d = &c->dialect;
    wide w[3];
    SQLHSTMT stmt = NULL;
    /* The catalog is a pattern nowhere. */
    FR_TRY(to_wide(c, a, p->catalog, &w[0], err));
    FR_TRY(to_wide(c, a, pattern ? escaped(a, d, p->schema) : p->schema, &w[1], err));
    FR_TRY(to_wide(c, a, pattern ? escaped(a, d, p->name) : p->name, &w[2], err));
    FR_TRY(fr_odbc_stmt(c, &stmt, err));
    fr_rc rc = GOOD(call(stmt, what, w, false))
                   ? FR_OK
                   : fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, doing[what], err);
    while (rc == FR_OK) {
        rc = fr_odbc_fetch(c, stmt, doing[what], err);
        if (rc == FR_OK)
            rc = take(c, stmt, a, context, err);
    }
    fr_odbc_done(stmt);
    return rc == FR_END ? FR_OK : rc;
}

static fr_rc cell(fr_odbc *c, SQLHSTMT stmt, unsigned column, fr_arena *a, fr_str *out, fr_err *err)
{
    return fr_odbc_cell(c, stmt, column, 0, a, out, err);
}

static int64_t number_of(fr_arena *a, fr_str text, int64_t fallback)
{
    return text.len == 0 ? fallback : strtoll(fr_arena_cstr(a, text), NULL, 10);
}

/* ---- tables ---- */

typedef struct table_list {
    fr_sql_name *names;
    size_t count, cap;
    const fr_odbc_dialect *dialect;
} table_list;

static fr_rc take_table(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err)
{
    table_list *l = context;
    fr_str catalog, schema, name;
    FR_TRY(cell(c, stmt, 1, a, &catalog, err));
    FR_TRY(cell(c, stmt, 2, a, &schema, err));
    FR_TRY(cell(c, stmt, 3, a, &name, err));
    fr_str space = l->dialect->space == FR_ODBC_SCHEMA    ? schema
                   : l->dialect->space == FR_ODBC_CATALOG ? catalog
                                                          : FR_STR("main");
    if (l->count == l->cap) {
        fr_sql_name *more = fr_arena_alloc(a, (2 * l->cap + 16) * sizeof(*more));
        if (l->count > 0)
            memcpy(more, l->names, l->count * sizeof(*more));
        l->cap = 2 * l->cap + 16;
        l->names = more;
    }
    l->names[l->count++] = (fr_sql_name){space.ptr == NULL ? FR_STR("") : space, name};
    return FR_OK;
}

static int by_name(const void *x, const void *y)
{
    const fr_sql_name *a = x, *b = y;
    int order = fr_str_cmp(a->space, b->space);
    return order != 0 ? order : fr_str_cmp(a->name, b->name);
}

fr_rc fr_odbc_list(fr_sql *base, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err)
{
    fr_odbc *c = SQL_OF(base)->c;
    table_list l = {.dialect = &c->dialect};
    located all = {.catalog = {NULL, 0}};
    if (c->dialect.space == FR_ODBC_CATALOG)
        all.catalog = FR_STR("%"); /* where there are no schemas, that of MySQL's drivers */
    FR_TRY(read_list(c, TABLES, &all, take_table, a, &l, err));
    if (l.count > 0)
        qsort(l.names, l.count, sizeof(*l.names), by_name);
    *out = l.names;
    *count_out = l.count;
    return FR_OK;
}

/* ---- columns ---- */

static fr_rc type_name(fr_odbc *c, SQLHSTMT stmt, SQLUSMALLINT column, fr_arena *a, fr_str *out,
                       fr_err *err)
{
    SQLWCHAR text[128] = {0};
    SQLSMALLINT len = 0;
    *out = FR_STR("?");
    if (!GOOD(SQLColAttributeW(stmt, column, SQL_DESC_TYPE_NAME, text, sizeof(text), &len, NULL)))
        return FR_OK;
    size_t units = 0;
    while (units < sizeof(text) / 2 - 1 && text[units] != 0)
        units++;
    return fr_odbc_from_utf16(&c->text, a, text, units * 2, out, err);
}

static fr_rc describe_column(fr_odbc *c, SQLHSTMT stmt, SQLUSMALLINT i, fr_arena *a,
                             fr_odbc_column *out, fr_err *err)
{
    SQLWCHAR name[1024] = {0};
    SQLSMALLINT len = 0, digits = 0, nullable = SQL_NULLABLE_UNKNOWN;
    SQLULEN size = 0;
    SQLLEN sign = SQL_FALSE;
    if (!GOOD(SQLDescribeColW(stmt, i, name, sizeof(name) / 2, &len, &out->sql_type, &size, &digits,
                              &nullable)))
        return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, "look at the columns", err);
    if (len < 0 || len >= (SQLSMALLINT)(sizeof(name) / 2))
        return fr_fail(err, FR_ERR_CONFIG, "column %d has a name that is too long", (int)i);
    FR_TRY(fr_odbc_from_utf16(&c->text, a, name, (size_t)len * 2, &out->name, err));
    FR_TRY(type_name(c, stmt, i, a, &out->type_name, err));
    if (GOOD(SQLColAttributeW(stmt, i, SQL_DESC_UNSIGNED, NULL, 0, NULL, &sign)))
        out->is_unsigned = sign == SQL_TRUE;
    out->size = size;
    out->digits = digits;
    out->nullable = nullable != SQL_NO_NULLS;
    return FR_OK;
}

fr_rc fr_odbc_columns_of(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, fr_odbc_column **out,
                         size_t *count_out, fr_err *err)
{
    SQLSMALLINT n = 0;
    if (!GOOD(SQLNumResultCols(stmt, &n)) || n < 0)
        return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, "look at the columns", err);
    fr_odbc_column *columns = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(*columns));
    for (SQLSMALLINT i = 0; i < n; i++)
        FR_TRY(describe_column(c, stmt, (SQLUSMALLINT)(i + 1), a, &columns[i], err));
    *out = columns;
    *count_out = (size_t)n;
    return FR_OK;
}

/* ---- a relation ---- */

typedef struct facts {
    fr_odbc_relation *r;
    located at;
    bool found, is_table;
    uint16_t *primary;
    fr_str *docs;
    bool *indexed, *unique;
    fr_str index, first; /* the index that is being read, and its first column */
    size_t in_index;
    bool index_unique;
} facts;

static int find(const fr_odbc_relation *r, fr_str name)
{
    for (size_t i = 0; i < r->count; i++)
        if (fr_str_eq(r->columns[i].name, name))
            return (int)i;
    return -1;
}

/* Patterns may have found others, too. */
static bool is_it(const facts *f, fr_str catalog, fr_str schema, fr_str name)
{
    return fr_str_eq(name, f->at.name) &&
           (f->at.schema.ptr == NULL || fr_str_eq(schema, f->at.schema)) &&
           (f->at.catalog.ptr == NULL || fr_str_eq(catalog, f->at.catalog));
}

static fr_rc take_kind(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err)
{
    facts *f = context;
    fr_str text[5];
    for (unsigned i = 1; i <= 4; i++)
        FR_TRY(cell(c, stmt, i, a, &text[i], err));
    if (!is_it(f, text[1], text[2], text[3]))
        return FR_OK;
    f->found = true;
    f->is_table = fr_str_is(text[4], "TABLE") || fr_str_is(text[4], "BASE TABLE");
    return FR_OK;
}

static fr_rc take_column(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err)
{
    enum { NULLABLE = 11, REMARKS = 12 };
    facts *f = context;
    fr_str text[REMARKS + 1];
    for (unsigned i = 1; i <= REMARKS; i++)
        FR_TRY(cell(c, stmt, i, a, &text[i], err));
    int at = find(f->r, text[4]);
    if (!is_it(f, text[1], text[2], text[3]) || at < 0)
        return FR_OK;
    f->r->columns[at].nullable = number_of(a, text[NULLABLE], SQL_NULLABLE) != SQL_NO_NULLS;
    if (text[REMARKS].len > 0)
        f->docs[at] = text[REMARKS];
    return FR_OK;
}

static fr_rc take_key(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err)
{
    facts *f = context;
    fr_str text[6];
    for (unsigned i = 1; i <= 5; i++)
        FR_TRY(cell(c, stmt, i, a, &text[i], err));
    int at = find(f->r, text[4]);
    if (is_it(f, text[1], text[2], text[3]) && at >= 0)
        f->primary[at] = (uint16_t)number_of(a, text[5], 0);
    return FR_OK;
}

static void end_index(facts *f)
{
    int at = f->in_index == 0 ? -1 : find(f->r, f->first);
    if (at >= 0) {
        f->indexed[at] = true;
        f->unique[at] = f->unique[at] || (f->index_unique && f->in_index == 1);
    }
    f->in_index = 0;
}

/* Rows of an index come one after the other. One that has a condition is of some rows only. */
static fr_rc take_index(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, void *context, fr_err *err)
{
    enum { NON_UNIQUE = 4, INDEX = 6, TYPE = 7, ORDINAL = 8, COLUMN = 9, FILTER = 13 };
    facts *f = context;
    fr_str text[FILTER + 1];
    for (unsigned i = 1; i <= FILTER; i++)
        FR_TRY(cell(c, stmt, i, a, &text[i], err));
    if (!is_it(f, text[1], text[2], text[3]) || text[FILTER].len > 0 ||
        number_of(a, text[TYPE], SQL_TABLE_STAT) == SQL_TABLE_STAT)
        return FR_OK;
    if (!fr_str_eq(f->index, text[INDEX]) || number_of(a, text[ORDINAL], 0) <= 1) {
        end_index(f);
        f->index = text[INDEX];
        f->first = text[COLUMN];
        f->index_unique = number_of(a, text[NON_UNIQUE], SQL_TRUE) == SQL_FALSE;
    }
    f->in_index++;
    return FR_OK;
}

static fr_rc no_table(const fr_odbc *c, const fr_table_settings *t, fr_str space, fr_str name,
                      fr_err *err)
{
    const char *where = c->dialect.space == FR_ODBC_NO_SPACE ? "main" : "its schema";
    if (c->dialect.space == FR_ODBC_CATALOG)
        where = "its database";
    fr_fail(err, FR_ERR_CONFIG, "there is no table or view %.*s.%.*s, or no right to see it",
            FR_ARG(space), FR_ARG(name));
    fr_fail_code(err, "odbc.table");
    return fr_fail_hint(err,
                        "correct its name in tables (%s): %s, a dot and the name, in capital "
                        "and small letters as %s has them; or set poll.query",
                        t->place != NULL ? t->place : "configuration", where,
                        c->dialect.dbms[0] != '\0' ? c->dialect.dbms : "the database");
}

/* Said before its columns are asked for. */
static fr_rc is_there(fr_odbc *c, const fr_table_settings *t, fr_str space, facts *f, fr_err *err)
{
    if (c->dialect.space == FR_ODBC_NO_SPACE && !fr_str_is(space, "main"))
        return no_table(c, t, space, f->at.name, err);
    FR_TRY(read_list(c, TABLES, &f->at, take_kind, f->r->arena, f, err));
    return f->found ? FR_OK : no_table(c, t, space, f->at.name, err);
}

static fr_rc read_catalog(fr_odbc *c, facts *f, fr_err *err)
{
    fr_odbc_relation *r = f->r;
    FR_TRY(read_list(c, COLUMNS, &f->at, take_column, r->arena, f, err));
    if (!f->is_table)
        return FR_OK;
    /* Keys and indexes that a driver cannot tell are not there for us: the configuration can name
     * a key. A connection that is lost tells nothing of them. */
    fr_rc rc = read_list(c, KEYS, &f->at, take_key, r->arena, f, err);
    if (rc == FR_FAIL && fr_odbc_passes(err->kind))
        return FR_FAIL;
    if (rc == FR_FAIL)
        fr_log(FR_LOG_INFO, "odbc", "%.*s: the driver does not tell its key: %s",
               FR_ARG(f->at.name), err->text);
    rc = read_list(c, INDEXES, &f->at, take_index, r->arena, f, err);
    if (rc == FR_FAIL && fr_odbc_passes(err->kind))
        return FR_FAIL;
    if (rc == FR_FAIL)
        f->in_index = 0;
    end_index(f);
    return FR_OK;
}

static fr_rc look_at_columns(fr_odbc *c, const fr_table_settings *t, fr_odbc_relation *r,
                             fr_err *err)
{
    SQLHSTMT stmt = NULL;
    fr_str sql = fr_arena_printf(r->arena, "SELECT * FROM %.*s WHERE 1 = 0", FR_ARG(r->from));
    const char *doing = t->poll_query != NULL ? "poll.query" : "look at the columns";
    FR_TRY(fr_odbc_run(c, doing, NULL, sql, r->arena, &stmt, err));
    fr_rc rc = fr_odbc_columns_of(c, stmt, r->arena, &r->columns, &r->count, err);
    fr_odbc_done(stmt);
    for (size_t i = 0; i < r->count && rc == FR_OK; i++) {
        fr_odbc_column *column = &r->columns[i];
        for (size_t k = 0; k < t->column_types.count; k++)
            if (fr_str_is(column->name, t->column_types.items[k].name))
                column->as_text = strcmp(t->column_types.items[k].value, "string") == 0;
        rc = check_name(&c->dialect, column->name, err);
        if (rc == FR_OK)
            rc = fr_odbc_resolve(c->dialect.quirks, column, err);
    }
    return rc;
}

/* By time: it is the cursor, or one of those that order its equals. */
static bool orders(const fr_table_settings *t, const facts *f, size_t i)
{
    fr_str name = f->r->columns[i].name;
    return fr_str_is(name, fr_table_cursor(t)) ||
           (t->poll_tiebreak != NULL && fr_str_is(name, t->poll_tiebreak)) ||
           fr_texts_have(&t->key, name) || (t->key.count == 0 && f->primary[i] != 0);
}

static fr_rc rounded(const fr_odbc *c, const fr_odbc_column *column, const char *place, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "column %.*s is a %.*s: %s rounds it to a step that the driver does not tell, so that "
            "a page could not go on exactly behind its last row (%s)",
            FR_ARG(column->name), FR_ARG(column->type_name), c->dialect.dbms, place);
    fr_fail_code(err, "poll.column");
    return fr_fail_hint(err,
                        "poll a view or poll.query with CAST(%.*s AS datetime2(3)), or bigdatetime "
                        "on Sybase ASE; or poll a number",
                        FR_ARG(column->name));
}

/* A cursor by time must be comparable, and exact as we have it. */
static fr_rc check_cursor(const fr_odbc *c, const fr_table_settings *t, const facts *f, fr_err *err)
{
    enum { MICROSECONDS = 6 };
    const fr_odbc_relation *r = f->r;
    const char *cursor = t->method == FR_METHOD_SNAPSHOT ? NULL : fr_table_cursor(t);
    int at = cursor == NULL ? -1 : find(r, fr_cstr(cursor));
    if (at < 0 || r->columns[at].unit_us == 0)
        return FR_OK;
    const fr_odbc_column *column = &r->columns[at];
    const char *place = t->place != NULL ? t->place : "configuration";
    if (c->dialect.quirks->times_are_texts) {
        fr_fail(err, FR_ERR_CONFIG,
                "poll.column %s: %s compares times as text, so that one time may be written in two "
                "ways (%s)",
                cursor, c->dialect.dbms, place);
        fr_fail_code(err, "poll.column");
        return fr_fail_hint(err, "poll by a number; or read the file with type: sqlite");
    }
    for (size_t i = 0; i < r->count; i++)
        if (orders(t, f, i) && fr_odbc_rounded_time(c->dialect.quirks, r->columns[i].type_name))
            return rounded(c, &r->columns[i], place, err);
    if (column->digits > MICROSECONDS) {
        fr_fail(err, FR_ERR_CONFIG,
                "poll.column %s has %d digits of a second: below a microsecond times cannot be "
                "told apart (%s)",
                cursor, (int)column->digits, place);
        fr_fail_code(err, "poll.column");
        return fr_fail_hint(err, "poll a view or poll.query that CASTs it to a type of at most 6 "
                                 "digits");
    }
    if (fr_odbc_clock(&c->dialect) != NULL || t->poll_max_skew_us > 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "poll.column %s: no way is known to ask %s for its clock (%s)",
            cursor, c->dialect.dbms[0] != '\0' ? c->dialect.dbms : "this database", place);
    fr_fail_code(err, "poll.clock");
    return fr_fail_hint(err,
                        "set poll.max_skew: how far its clock and this host's can be apart; or "
                        "poll a number");
}

/* A key that the configuration names for a view or statement is taken at its word. */
static void set_key(const fr_table_settings *t, const facts *f, fr_column *columns)
{
    bool derived = !f->is_table, settings = fr_table_key_before(t) && t->key.count > 0;
    for (size_t i = 0; i < f->r->count; i++) {
        fr_column *c = &columns[i];
        int place = fr_texts_find(&t->key, c->name);
        if (derived && place >= 0)
            c->nullable = false;
        c->key_ordinal = f->primary[i];
        if (settings)
            c->key_ordinal = c->nullable ? 0 : (uint16_t)(place + 1);
        if (c->key_ordinal != 0)
            c->nullable = false;
    }
}

static void make_table(const fr_table_settings *t, const facts *f, fr_str space, fr_str name,
                       uint32_t version)
{
    fr_odbc_relation *r = f->r;
    fr_column *columns = fr_arena_alloc(r->arena, (r->count + 1) * sizeof(*columns));
    int64_t *units = fr_arena_alloc(r->arena, (r->count + 1) * sizeof(*units));
    for (size_t i = 0; i < r->count; i++) {
        const fr_odbc_column *from = &r->columns[i];
        columns[i] = (fr_column){.name = from->name,
                                 .kind = from->kind,
                                 .nullable = from->nullable,
                                 .span = from->kind == FR_TIME && r->dialect.quirks->spans,
                                 .precision = from->precision,
                                 .scale = from->scale,
                                 .native_type = fr_odbc_type_text(r->arena, from),
                                 .doc = f->docs[i]};
        units[i] = from->unit_us;
    }
    set_key(t, f, columns);
    fr_table like = {.space = space,
                     .name = name,
                     .version = version,
                     .full_before = !fr_table_key_before(t),
                     .column_count = r->count,
                     .columns = columns};
    r->base = (fr_sql_relation){.table = fr_table_new(&like),
                                .statement = t->poll_query != NULL,
                                .unit_us = units,
                                .indexed = f->indexed,
                                .plain_table = f->is_table,
                                .unique = f->unique};
}

static void put_place(fr_buf *b, const fr_odbc_dialect *d, fr_str space, fr_str name)
{
    if (d->space != FR_ODBC_NO_SPACE) {
        fr_odbc_put_name(b, d, space);
        fr_buf_u8(b, '.');
    }
    fr_odbc_put_name(b, d, name);
}

static fr_rc put_from(fr_odbc *c, const fr_table_settings *t, fr_odbc_relation *r, fr_str space,
                      fr_str name, fr_err *err)
{
    fr_buf b = {.arena = r->arena};
    if (fr_odbc_has_marks(t->poll_query) || fr_odbc_has_marks(t->snapshot_where)) {
        fr_fail(err, FR_ERR_CONFIG, "poll.query or snapshot.where has a byte 0x01 in it (%s)",
                t->place != NULL ? t->place : "configuration");
        return fr_fail_code(err, "odbc.statement");
    }
    if (t->poll_query != NULL) {
        fr_buf_printf(&b, "(\n%s\n) freshet_poll", t->poll_query);
    } else {
        FR_TRY(check_name(&c->dialect, space, err));
        FR_TRY(check_name(&c->dialect, name, err));
        put_place(&b, &c->dialect, space, name);
    }
    r->from = fr_buf_view(&b);
    return FR_OK;
}

static fr_rc read_relation(fr_odbc *c, const fr_table_settings *t, fr_odbc_relation *r,
                           fr_str space, fr_str name, uint32_t version, fr_err *err)
{
    facts f = {.r = r, .at = place_of(&c->dialect, space, name)};
    r->dialect = c->dialect;
    FR_TRY(put_from(c, t, r, space, name, err));
    if (t->poll_query == NULL)
        FR_TRY(is_there(c, t, space, &f, err));
    FR_TRY(look_at_columns(c, t, r, err));
    f.primary = fr_arena_alloc(r->arena, (r->count + 1) * sizeof(*f.primary));
    f.docs = fr_arena_alloc(r->arena, (r->count + 1) * sizeof(*f.docs));
    f.indexed = fr_arena_alloc(r->arena, r->count + 1);
    f.unique = fr_arena_alloc(r->arena, r->count + 1);
    if (t->poll_query == NULL)
        FR_TRY(read_catalog(c, &f, err));
    FR_TRY(check_cursor(c, t, &f, err));
    make_table(t, &f, space, name, version);
    size_t key = 0;
    for (size_t i = 0; i < r->count; i++)
        key += f.primary[i] != 0;
    for (size_t i = 0; i < r->count && key == 1; i++)
        if (f.primary[i] != 0)
            f.indexed[i] = f.unique[i] = true;
    return FR_OK;
}

fr_rc fr_odbc_describe(fr_sql *base, const fr_table_settings *t, fr_str space, fr_str name,
                       uint32_t version, fr_sql_relation **out, fr_err *err)
{
    fr_odbc_relation *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    if (read_relation(SQL_OF(base)->c, t, r, space, name, version, err) == FR_FAIL) {
        fr_odbc_forget(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

void fr_odbc_forget(fr_sql_relation *base)
{
    fr_odbc_relation *r = (fr_odbc_relation *)base;
    if (r == NULL)
        return;
    fr_table_unref(r->base.table);
    fr_arena_free(r->arena);
    free(r);
}
