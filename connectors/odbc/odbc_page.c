/* Statements with values, and their rows as READ events. */
#include "base/cancel.h"
#include "base/clock.h"
#include "connectors/odbc/odbc_query.h"
#include "connectors/odbc/odbc_value.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_BETWEEN_LOOKS = 64, MICROSECONDS = 6, DAY_CHARS = 10, SECOND_CHARS = 19 };

#define GOOD(rc) ((rc) == SQL_SUCCESS || (rc) == SQL_SUCCESS_WITH_INFO)

/* ---- statements ---- */

typedef struct bound { /* what a parameter points to until its statement has run */
    SQLBIGINT number;
    SQL_DATE_STRUCT day;
    SQL_TIMESTAMP_STRUCT moment;
    SQLLEN len;
} bound;

typedef struct binding {
    SQLSMALLINT c_type, sql_type;
    SQLULEN size;
    SQLSMALLINT digits;
    const void *ptr;
} binding;

static SQLULEN at_least_one(size_t n)
{
    return n == 0 ? 1 : n;
}

/* Text of UTF-16; of a column of 8-bit characters, too, since its driver knows their set. */
static fr_rc bind_text(fr_odbc *c, fr_arena *a, const fr_odbc_column *column, fr_str text, bound *v,
                       binding *out, fr_err *err)
{
    uint16_t *wide;
    size_t units;
    FR_TRY(fr_odbc_to_utf16(&c->text, a, text, &wide, &units, err));
    v->len = (SQLLEN)(units * sizeof(*wide));
    SQLSMALLINT type = column->kind == FR_UUID             ? column->sql_type
                       : fr_odbc_is_wide(column->sql_type) ? SQL_WVARCHAR
                                                           : SQL_VARCHAR;
    *out = (binding){SQL_C_WCHAR, type, at_least_one(units), 0, wide};
    return FR_OK;
}

/* False: the text is not of the column's kind. */
static bool bind_plain(fr_arena *a, const fr_odbc_column *column, fr_str text, bound *v,
                       binding *out)
{
    fr_str bytes;
    char *end;
    SQLSMALLINT digits =
        (SQLSMALLINT)(column->digits > MICROSECONDS ? MICROSECONDS : column->digits);
    switch (column->kind) {
    case FR_INT32:
    case FR_INT64:
        v->number = strtoll(fr_arena_cstr(a, text), &end, 10);
        *out = (binding){SQL_C_SBIGINT, column->kind == FR_INT32 ? SQL_INTEGER : SQL_BIGINT, 0, 0,
                         &v->number};
        return text.len > 0 && *end == '\0';
    case FR_DECIMAL:
        v->len = (SQLLEN)text.len;
        *out = (binding){SQL_C_CHAR, SQL_DECIMAL, (SQLULEN)column->precision, column->scale,
                         fr_arena_cstr(a, text)};
        return true;
    case FR_DATE:
        *out = (binding){SQL_C_TYPE_DATE, SQL_TYPE_DATE, DAY_CHARS, 0, &v->day};
        return fr_odbc_text_date(text, &v->day);
    case FR_DATETIME:
    case FR_TIMESTAMP:
        *out = (binding){SQL_C_TYPE_TIMESTAMP, SQL_TYPE_TIMESTAMP,
                         (SQLULEN)(digits > 0 ? SECOND_CHARS + 1 + digits : SECOND_CHARS), digits,
                         &v->moment};
        return fr_odbc_text_moment(text, &v->moment);
    case FR_BYTES:
        if (!fr_odbc_text_bytes(a, text, &bytes))
            return false;
        v->len = (SQLLEN)bytes.len;
        *out = (binding){SQL_C_BINARY, SQL_VARBINARY, at_least_one(bytes.len), 0, bytes.ptr};
        return true;
    default:
        return false;
    }
}

static fr_rc bind(fr_odbc *c, SQLHSTMT stmt, fr_arena *a, const fr_odbc_relation *r,
                  const fr_odbc_marked *m, fr_err *err)
{
    if (m->count > 0 && r == NULL)
        return fr_fail(err, FR_ERR_BUG, "values of no relation");
    bound *values = fr_arena_alloc(a, (m->count + 1) * sizeof(*values));
    for (size_t i = 0; i < m->count; i++) {
        const fr_odbc_column *column = &r->columns[m->params[i].column];
        bound *v = &values[i];
        binding b;
        if (column->kind == FR_TEXT || column->kind == FR_UUID)
            FR_TRY(bind_text(c, a, column, m->params[i].text, v, &b, err));
        else if (!bind_plain(a, column, m->params[i].text, v, &b)) {
            fr_fail(err, FR_ERR_POSITION, "a recorded value of column %.*s is not of its type",
                    FR_ARG(column->name));
            return fr_fail_code(err, "poll.cursor");
        }
        if (!GOOD(SQLBindParameter(stmt, (SQLUSMALLINT)(i + 1), SQL_PARAM_INPUT, b.c_type,
                                   b.sql_type, b.size, b.digits, (SQLPOINTER)(uintptr_t)b.ptr,
                                   v->len, &v->len)))
            return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, "give a value", err);
    }
    return FR_OK;
}

/* Prepared, since some drivers write numbers in fewer digits where they are not. */
static fr_rc execute(fr_odbc *c, const char *doing, SQLHSTMT stmt, const fr_odbc_relation *r,
                     const fr_odbc_marked *m, fr_arena *a, fr_err *err)
{
    uint16_t *wide;
    size_t units;
    FR_TRY(fr_odbc_to_utf16(&c->text, a, m->sql, &wide, &units, err));
    if (m->max_rows > 0)
        (void)SQLSetStmtAttr(stmt, SQL_ATTR_MAX_ROWS,
                             (SQLPOINTER)m->max_rows, // NOLINT(performance-no-int-to-ptr)
                             SQL_IS_UINTEGER);
    if (!GOOD(SQLPrepareW(stmt, wide, (SQLINTEGER)units)))
        return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, doing, err);
    FR_TRY(bind(c, stmt, a, r, m, err));
    SQLRETURN rc = SQLExecute(stmt);
    if (!GOOD(rc) && rc != SQL_NO_DATA)
        return fr_odbc_fail(c, SQL_HANDLE_STMT, stmt, doing, err);
    return FR_OK;
}

fr_rc fr_odbc_run(fr_odbc *c, const char *doing, const fr_odbc_relation *r, fr_str sql, fr_arena *a,
                  SQLHSTMT *out, fr_err *err)
{
    fr_odbc_marked m;
    SQLHSTMT stmt = NULL;
    if (!fr_odbc_read_marks(a, sql, r == NULL ? 0 : r->count, &m))
        return fr_fail(err, FR_ERR_BUG, "%s: a mark that cannot be read", doing);
    FR_TRY(fr_odbc_stmt(c, &stmt, err));
    if (execute(c, doing, stmt, r, &m, a, err) == FR_FAIL) {
        fr_odbc_done(stmt);
        return FR_FAIL;
    }
    *out = stmt;
    return FR_OK;
}

/* ---- rows ---- */

typedef struct page_reader {
    fr_reader base;
    fr_odbc_sql *s;
    const fr_odbc_relation *r;
    fr_arena *arena; /* of its statement */
    SQLHSTMT stmt;
    bool announced, ended;
    bool waits; /* the row that was fetched last is still to be read */
    atomic_bool asked;
} page_reader;

#define READER(base) ((page_reader *)(base))

static fr_event *add(page_reader *p, fr_batch *b, fr_op op)
{
    return fr_batch_add(b, op, p->r->base.table);
}

static void say_bad(const page_reader *p, fr_batch *b, fr_event *e, size_t i, const char *why,
                    const char *hint)
{
    const fr_table *t = p->r->base.table;
    if (e->bad.len > 0)
        return;
    e->bad =
        fr_arena_printf(b->arena, "%.*s.%.*s column %.*s (%.*s): %s%s%s", FR_ARG(t->space),
                        FR_ARG(t->name), FR_ARG(t->columns[i].name),
                        FR_ARG(t->columns[i].native_type), why, hint[0] != '\0' ? "; " : "", hint);
}

/* A value that the driver cannot give whole is bad, and so is one that is none. */
static fr_rc cell_failed(page_reader *p, fr_batch *b, fr_event *e, size_t i, fr_err *err)
{
    if (err->kind != FR_ERR_DATA)
        return FR_FAIL;
    say_bad(p, b, e, i, err->text, err->hint);
    return FR_OK;
}

typedef union fixed {
    unsigned char bit;
    SQLBIGINT number;
    float real;
    double wide;
    SQL_DATE_STRUCT day;
    SQL_TIMESTAMP_STRUCT moment;
} fixed;

static SQLSMALLINT c_type_of(fr_kind kind)
{
    switch (kind) {
    case FR_BOOL:
        return SQL_C_BIT;
    case FR_INT32: /* some cut off what a smaller type has no room for */
    case FR_INT64:
        return SQL_C_SBIGINT;
    case FR_FLOAT32:
        return SQL_C_FLOAT;
    case FR_FLOAT64:
        return SQL_C_DOUBLE;
    case FR_DATE:
        return SQL_C_TYPE_DATE;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return SQL_C_TYPE_TIMESTAMP;
    default:
        return 0; /* of any length */
    }
}

static fr_rc fixed_value(const fr_odbc_column *c, const fixed *f, fr_value *out, fr_err *err)
{
    fr_value v = {.kind = c->kind};
    switch (c->kind) {
    case FR_BOOL:
        v.boolean = f->bit != 0;
        break;
    case FR_INT32:
    case FR_INT64:
        return fr_odbc_int(c, f->number, out, err);
    case FR_FLOAT32:
        v.real = f->real;
        break;
    case FR_FLOAT64:
        v.real = f->wide;
        break;
    case FR_DATE:
        FR_TRY(fr_odbc_date(&f->day, &v.integer, err));
        break;
    default:
        FR_TRY(fr_odbc_moment(&f->moment, &v.integer, err));
        break;
    }
    *out = v;
    return FR_OK;
}

static fr_rc read_fixed(page_reader *p, size_t i, const fr_odbc_column *c, SQLSMALLINT type,
                        fr_value *out, fr_err *err)
{
    fixed f = {0};
    SQLLEN len = 0;
    char sqlstate[6];
    SQLRETURN rc = SQLGetData(p->stmt, (SQLUSMALLINT)(i + 1), type, &f, sizeof(f), &len);
    if (!GOOD(rc))
        return fr_odbc_fail(p->s->c, SQL_HANDLE_STMT, p->stmt, "read a value", err);
    if (rc == SQL_SUCCESS_WITH_INFO) {
        fr_odbc_sqlstate(SQL_HANDLE_STMT, p->stmt, sqlstate);
        if (strcmp(sqlstate, "01S07") == 0 || strcmp(sqlstate, "01004") == 0) {
            fr_fail(err, FR_ERR_DATA, "the driver would cut it (%s)", sqlstate);
            return fr_fail_code(err, "odbc.value.cut");
        }
    }
    if (len == SQL_NULL_DATA) {
        out->kind = FR_NULL;
        return FR_OK;
    }
    return fixed_value(c, &f, out, err);
}

static fr_rc text_value(const fr_odbc_column *c, fr_arena *a, fr_str text, fr_value *out,
                        fr_err *err)
{
    fr_value v = {.kind = c->kind, .bytes = text};
    if (c_type_of(c->kind) != 0)
        return fr_odbc_from_text(c, text, out, err);
    if (c->kind == FR_DECIMAL)
        FR_TRY(fr_odbc_decimal(a, text, c, &v.bytes, err));
    else if (c->kind == FR_UUID)
        FR_TRY(fr_odbc_uuid(a, text, &v.bytes, err));
    else if (c->kind == FR_TIME)
        FR_TRY(fr_odbc_time(text, &v.integer, err));
    *out = v;
    return FR_OK;
}

/* *bytes counts the row's. */
static fr_rc read_long(page_reader *p, fr_batch *b, size_t i, const fr_odbc_column *c,
                       size_t *bytes, fr_value *out, fr_err *err)
{
    size_t most = (size_t)p->s->settings->max_row_bytes;
    fr_str text = {NULL, 0};
    fr_rc rc = c->kind == FR_BYTES
                   ? fr_odbc_bytes(p->s->c, p->stmt, (unsigned)(i + 1), most, b->arena, &text, err)
                   : fr_odbc_cell(p->s->c, p->stmt, (unsigned)(i + 1), most, b->arena, &text, err);
    FR_TRY(rc);
    *bytes += text.len;
    if (rc == FR_IDLE) {
        *bytes = most + 1 > *bytes ? most + 1 : *bytes;
        return FR_OK; /* the row is bad by its size */
    }
    if (text.ptr == NULL) {
        out->kind = FR_NULL;
        return FR_OK;
    }
    return text_value(c, b->arena, text, out, err);
}

static fr_rc read_row(page_reader *p, fr_batch *b, fr_event *e, fr_err *err)
{
    const fr_table *t = p->r->base.table;
    const bool *wanted = p->r->base.wanted;
    int64_t most = p->s->settings->max_row_bytes;
    fr_value *values = fr_batch_row(b, t, &e->after);
    size_t bytes = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        const fr_odbc_column *c = &p->r->columns[i];
        SQLSMALLINT type = p->r->dialect.quirks->by_text ? 0 : c_type_of(c->kind);
        fr_rc rc = type != 0 ? read_fixed(p, i, c, type, &values[i], err)
                             : read_long(p, b, i, c, &bytes, &values[i], err);
        if (rc == FR_FAIL)
            FR_TRY(cell_failed(p, b, e, i, err));
        else if (values[i].kind == FR_NULL && !t->columns[i].nullable &&
                 (wanted == NULL || wanted[i]))
            say_bad(p, b, e, i, "it is NULL, although the driver has said that it never is",
                    "or name another key");
    }
    if (most > 0 && bytes > (size_t)most && e->bad.len == 0)
        e->bad = fr_arena_printf(b->arena,
                                 "%.*s.%.*s: a row of at least %zu bytes is above "
                                 "daemon.max_row_bytes (%" PRId64 ")",
                                 FR_ARG(t->space), FR_ARG(t->name), bytes, most);
    return FR_OK;
}

/* FR_OK: there is a row; FR_END; FR_IDLE: the batch is full. */
static fr_rc next_row(page_reader *p, fr_batch *b, fr_err *err)
{
    if (!p->waits) {
        fr_rc rc = fr_odbc_fetch(p->s->c, p->stmt, "read rows", err);
        if (rc != FR_OK)
            return rc;
        p->waits = true;
    }
    if (!p->announced && add(p, b, FR_OP_TABLE) == NULL)
        return FR_IDLE;
    p->announced = true;
    fr_event *e = add(p, b, FR_OP_READ);
    if (e == NULL)
        return FR_IDLE;
    p->waits = false;
    return read_row(p, b, e, err);
}

static fr_rc page_fill(fr_reader *base, fr_batch *b, int64_t deadline_us, fr_err *err)
{
    page_reader *p = READER(base);
    size_t before = b->count;
    for (unsigned n = 1; !p->ended && !fr_batch_full(b); n++) {
        fr_rc rc = next_row(p, b, err);
        FR_TRY(rc);
        p->ended = rc == FR_END;
        if (rc != FR_OK)
            break;
        if (n % ROWS_BETWEEN_LOOKS == 0)
            FR_TRY(fr_cancel_check(err));
        if (n % ROWS_BETWEEN_LOOKS == 0 && (atomic_load(&p->asked) || fr_now_us() >= deadline_us))
            break;
    }
    if (b->count > before)
        return FR_OK;
    return p->ended ? FR_END : FR_IDLE;
}

/* The driver is told as well, which may wait for the server. */
static void page_interrupt(fr_reader *base)
{
    page_reader *p = READER(base);
    atomic_store(&p->asked, true);
    (void)SQLCancel(p->stmt);
}

static void page_close(fr_reader *base)
{
    page_reader *p = READER(base);
    if (p == NULL)
        return;
    fr_odbc_done(p->stmt);
    fr_arena_free(p->arena);
    free(p);
}

static const fr_reader_ops page_ops = {
    .fill = page_fill, .interrupt = page_interrupt, .close = page_close};

static fr_rc changed(fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "its columns have changed");
    return fr_fail_code(err, "sql.changed");
}

/* "SELECT *", "SELECT TOP 10 *" */
static bool asks_for_all(fr_str sql)
{
    static const char *const heads[] = {"SELECT ", "TOP ", "FIRST "};
    fr_in in = fr_in_of(sql);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t len = strlen(heads[i]);
        if (fr_in_left(&in) >= len && memcmp(in.at, heads[i], len) == 0)
            (void)fr_in_take(&in, len);
    }
    while (fr_in_left(&in) > 0 && (*in.at == ' ' || (*in.at >= '0' && *in.at <= '9')))
        (void)fr_in_u8(&in);
    return fr_in_left(&in) > 0 && *in.at == '*';
}

/* All columns came by *, so the result says what they are now. Where some are left out there is
 * NULL in their place, of whatever name and type. */
static fr_rc same_columns(page_reader *p, fr_str sql, fr_err *err)
{
    fr_odbc_column *now;
    size_t count;
    const fr_odbc_relation *r = p->r;
    bool star = asks_for_all(sql);
    FR_TRY(fr_odbc_columns_of(p->s->c, p->stmt, p->arena, &now, &count, err));
    if (count != r->count)
        return changed(err);
    for (size_t i = 0; i < count; i++) {
        const fr_odbc_column *a = &now[i], *b = &r->columns[i];
        bool same_name = fr_str_eq(a->name, b->name);
        bool same = same_name && a->sql_type == b->sql_type && a->size == b->size &&
                    a->digits == b->digits && a->is_unsigned == b->is_unsigned &&
                    fr_str_eq(a->type_name, b->type_name);
        if (!same && (same_name || star))
            return changed(err);
    }
    return FR_OK;
}

fr_rc fr_odbc_select(fr_sql *base, fr_sql_relation *relation, fr_str sql, fr_reader **out,
                     fr_err *err)
{
    page_reader *p = fr_malloc(sizeof(*p));
    p->base.ops = &page_ops;
    p->s = (fr_odbc_sql *)base;
    p->r = (const fr_odbc_relation *)relation;
    p->arena = fr_arena_new(0);
    fr_rc rc = fr_odbc_run(p->s->c, "read rows", p->r, sql, p->arena, &p->stmt, err);
    if (rc == FR_OK)
        rc = same_columns(p, sql, err);
    else if (fr_odbc_no_longer_so(p->r->dialect.quirks, err->sqlstate, err->native,
                                  relation->statement))
        fr_fail_code(err, "sql.changed");
    if (rc == FR_FAIL) {
        page_close(&p->base);
        return FR_FAIL;
    }
    *out = &p->base;
    return FR_OK;
}
