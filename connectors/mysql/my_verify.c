/* MySQL and MariaDB asked by `freshet verify` (connect/verify.h). */
#include "connectors/mysql/my_verify.h"
#include "connectors/mysql/binlog_position.h"
#include "connectors/sql/target.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of warnings: a text is longer than max_allowed_packet; MOST: of one statement, in the protocol.
 */
enum { TOO_LONG = 1301, MOST_WARNINGS = 65535 };

/* What a column is, in fr_verify_column.number. */
typedef enum what {
    OTHER,
    WHOLE,   /* integers and year */
    EXACT,   /* decimal; modifier: its scale */
    SINGLE,  /* float */
    REAL,    /* double */
    BITS,    /* modifier: how many */
    LETTERS, /* char, varchar, text, enum, set */
    OCTETS,  /* binary, varbinary, blob */
    DOCUMENT,
    NUMBERED, /* uuid */
    DAY,
    CLOCK,
    MOMENT, /* datetime, timestamp */
    ADDRESS /* inet4, inet6 */
} what;

static const struct {
    const char *name;
    what is;
} types[] = {
    {"tinyint", WHOLE},    {"smallint", WHOLE},   {"mediumint", WHOLE},    {"int", WHOLE},
    {"bigint", WHOLE},     {"year", WHOLE},       {"decimal", EXACT},      {"float", SINGLE},
    {"double", REAL},      {"bit", BITS},         {"char", LETTERS},       {"varchar", LETTERS},
    {"tinytext", LETTERS}, {"text", LETTERS},     {"mediumtext", LETTERS}, {"longtext", LETTERS},
    {"enum", LETTERS},     {"set", LETTERS},      {"binary", OCTETS},      {"varbinary", OCTETS},
    {"tinyblob", OCTETS},  {"blob", OCTETS},      {"mediumblob", OCTETS},  {"longblob", OCTETS},
    {"json", DOCUMENT},    {"uuid", NUMBERED},    {"date", DAY},           {"time", CLOCK},
    {"datetime", MOMENT},  {"timestamp", MOMENT}, {"inet4", ADDRESS},      {"inet6", ADDRESS}};

typedef struct my_verify {
    fr_verify base;
    fr_verify_ops ops; /* what this server can do */
    fr_my *my;
    bool soft, history;
} my_verify;

static void my_verify_close(fr_verify *base)
{
    my_verify *v = (my_verify *)base;
    if (v == NULL)
        return;
    fr_my_close(v->my);
    free(v);
}

/* As many warnings are kept as can be counted: one of them may be ours (warned). MySQL 8 asks for a
 * privilege that nobody has to have: then it keeps 1,024. */
static fr_rc keep_warnings(fr_my *my, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str sql = fr_arena_printf(a, "SET max_error_count = %d", MOST_WARNINGS);
    fr_rc rc = fr_my_exec(my, "prepare the session", sql, err);
    fr_arena_free(a);
    return rc == FR_FAIL && err->kind == FR_ERR_AUTH ? FR_OK : rc;
}

/* MySQL 9.6 and later have MD5 as a component only; with FIPS it is NULL. */
static fr_rc ask_hash(my_verify *v, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    fr_rc rc = fr_my_query(v->my, a, "look for MD5", "SELECT MD5('')", &rows, err);
    bool there = rc == FR_OK && rows.count == 1 &&
                 fr_str_is(fr_my_text(&rows, 0, 0), "d41d8cd98f00b204e9800998ecf8427e");
    if (!there)
        v->ops.hash_open = v->ops.hash_close = NULL;
    fr_arena_free(a);
    return rc == FR_FAIL && err->kind != FR_ERR_CONNECT ? FR_OK : rc;
}

/* Before MySQL 5.7.8 and MariaDB 10.1 statements have no limit of their own: then the socket's. */
static fr_rc limit(fr_my *my, int64_t timeout_us, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_str sql = FR_STR("");
    if (my->mariadb && my->version >= 100101)
        sql = fr_arena_printf(a, "SET max_statement_time = %" PRId64, timeout_us / 1000000);
    else if (!my->mariadb && my->version >= 50708)
        sql = fr_arena_printf(a, "SET max_execution_time = %" PRId64, timeout_us / 1000);
    fr_rc rc = sql.len == 0 ? FR_OK : fr_my_exec(my, "prepare the session", sql, err);
    fr_my_patience(my, (unsigned)(timeout_us / 1000000) + 10);
    fr_arena_free(a);
    return rc;
}

fr_rc fr_my_verify_open(const fr_my_target *target, int64_t timeout_us,
                        const fr_sink_settings *sink, fr_verify **out, fr_err *err)
{
    my_verify *v = fr_malloc(sizeof(*v));
    v->ops = fr_my_verify;
    v->base.ops = &v->ops;
    v->soft = sink != NULL && sink->deletes == FR_DELETES_SOFT;
    v->history = sink != NULL && sink->write_mode == FR_WRITE_HISTORY;
    fr_rc rc = fr_my_connect(target, &v->my, err);
    if (rc == FR_OK)
        rc = limit(v->my, timeout_us, err);
    if (rc == FR_OK)
        rc = keep_warnings(v->my, err);
    if (rc == FR_OK)
        rc = ask_hash(v, err);
    if (rc == FR_FAIL) {
        my_verify_close(&v->base);
        return rc;
    }
    *out = &v->base;
    return FR_OK;
}

/* ---- what is there ---- */

static what what_is(fr_str type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (fr_str_is(type, types[i].name))
            return types[i].is;
    return OTHER;
}

static void take_column(const fr_my_rows *rows, size_t i, fr_verify_column *c)
{
    c->name = fr_my_text(rows, i, 0);
    c->type = fr_my_text(rows, i, 2);
    c->nullable = fr_str_is(fr_my_text(rows, i, 3), "YES");
    c->number = what_is(fr_my_text(rows, i, 1));
    c->modifier =
        c->number == BITS ? (int32_t)fr_my_uint(rows, i, 4, 0) : (int32_t)fr_my_uint(rows, i, 5, 0);
}

static fr_rc describe(fr_verify *base, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err)
{
    my_verify *v = (my_verify *)base;
    fr_my_rows rows;
    fr_str in = space.len > 0 ? fr_my_literal(a, space) : FR_STR("DATABASE()");
    fr_str sql = fr_arena_printf(
        a,
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_PRECISION, "
        "NUMERIC_SCALE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %.*s AND TABLE_NAME = "
        "%.*s ORDER BY ORDINAL_POSITION",
        FR_ARG(in), FR_ARG(fr_my_literal(a, name)));
    FR_TRY(fr_my_query(v->my, a, "read the columns", fr_arena_cstr(a, sql), &rows, err));
    if (rows.count == 0)
        return FR_END;
    out->name = fr_my_qualified(a, space, name);
    bool states = false;
    out->mark = NULL;
    out->columns = fr_arena_alloc(a, (rows.count + 1) * sizeof(*out->columns));
    out->column_count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        take_column(&rows, i, &out->columns[i]);
        if (v->soft && fr_str_is(out->columns[i].name, FR_TARGET_DELETED))
            out->mark = &out->columns[i];
        states = states || (v->history && fr_str_is(out->columns[i].name, FR_TARGET_CURRENT));
    }
    const char *there = out->mark != NULL ? "COALESCE(" FR_TARGET_DELETED ", 0) = 0"
                        : states          ? FR_TARGET_CURRENT
                                          : NULL;
    out->from = there != NULL ? fr_arena_printf(a, "(SELECT * FROM %.*s WHERE %s) AS t",
                                                FR_ARG(out->name), there)
                              : out->name;
    return FR_OK;
}

/* ---- values ---- */

static fr_verify_form as_text(fr_arena *a, fr_str x, fr_verify_form form, fr_str *out)
{
    *out = fr_verify_around(a, "CONVERT(", x, " USING utf8mb4)");
    return form;
}

static fr_verify_form number(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    switch (c->number) {
    case WHOLE: /* + 0: without the zeros of ZEROFILL, and of the year 0 */
    case BITS:
        return as_text(a, fr_verify_around(a, "CAST(", x, " + 0 AS CHAR)"), FR_VERIFY_CANONICAL,
                       out);
    case EXACT:
        if (c->modifier == 0)
            return as_text(a, fr_verify_around(a, "CAST(", x, " + 0 AS CHAR)"), FR_VERIFY_CANONICAL,
                           out);
        *out = fr_verify_around(a, "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CONVERT(CAST(", x,
                                " + 0 AS CHAR) USING utf8mb4)))");
        return FR_VERIFY_CANONICAL;
    case LETTERS:
        return as_text(a, x, FR_VERIFY_RAW, out);
    case SINGLE:
    case REAL:
        *out = x;
        return FR_VERIFY_RAW;
    default:
        return FR_VERIFY_NEVER;
    }
}

static fr_verify_form real(fr_arena *a, const fr_verify_column *c, fr_kind kind, fr_str x,
                           fr_str *out)
{
    if (c->number == SINGLE) /* as a float it is printed with six digits */
        *out = fr_verify_around(a, "(", x, " + 0e0)");
    else if (c->number == REAL)
        *out = x;
    else if (c->number == LETTERS && kind == FR_FLOAT64)
        return as_text(a, x, FR_VERIFY_RAW, out);
    else /* a text "0.1" is not the float 0.1 */
        return FR_VERIFY_NEVER;
    return FR_VERIFY_RAW;
}

static fr_verify_form octets(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    if (c->number == BITS)
        *out = fr_arena_printf(a, "LPAD(LOWER(HEX(%.*s + 0)), %d, '0')", FR_ARG(x),
                               (c->modifier + 7) / 8 * 2);
    else if (c->number == OCTETS)
        *out = fr_verify_around(a, "LOWER(HEX(", x, "))");
    else
        return FR_VERIFY_NEVER;
    return as_text(a, *out, FR_VERIFY_CANONICAL, out);
}

static fr_verify_form text(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    switch (c->number) {
    case LETTERS:
        return as_text(a, x, FR_VERIFY_CANONICAL, out);
    case DOCUMENT:
    case NUMBERED:
    case ADDRESS:
        return as_text(a, fr_verify_around(a, "CAST(", x, " AS CHAR)"), FR_VERIFY_CANONICAL, out);
    default: /* columns.types: string of another type has a spelling of ours */
        return FR_VERIFY_NEVER;
    }
}

/* Days that are none (0000-00-00, 2021-02-30) are published as NULL. The former are many in some
 * tables, and would be a warning each. */
static fr_verify_form times(fr_arena *a, const fr_verify_column *c, fr_kind kind, fr_str x,
                            fr_str *out)
{
    if (c->number == LETTERS)
        return as_text(a, x, FR_VERIFY_RAW, out);
    if (kind == FR_DATE && c->number == DAY)
        *out = fr_arena_printf(a, "(TO_DAYS(NULLIF(%.*s, 0)) - 719528)", FR_ARG(x));
    else if (kind == FR_TIME && c->number == CLOCK)
        *out = fr_arena_printf(a,
                               "(IF(%.*s < 0, -1, 1) * (((HOUR(%.*s) * 60 + MINUTE(%.*s)) * 60 + "
                               "SECOND(%.*s)) * 1000000 + MICROSECOND(%.*s)))",
                               FR_ARG(x), FR_ARG(x), FR_ARG(x), FR_ARG(x), FR_ARG(x));
    else if ((kind == FR_DATETIME || kind == FR_TIMESTAMP) && c->number == MOMENT)
        *out = fr_arena_printf(
            a, "IF(%.*s + 0 = 0, NULL, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %.*s))", FR_ARG(x),
            FR_ARG(x));
    else if (c->number == DAY || c->number == MOMENT || c->number == CLOCK)
        return as_text(a, fr_verify_around(a, "CAST(", x, " AS CHAR)"), FR_VERIFY_RAW, out);
    else
        return FR_VERIFY_NEVER;
    return as_text(a, fr_verify_around(a, "CAST(", *out, " AS CHAR)"), FR_VERIFY_CANONICAL, out);
}

static fr_verify_form text_of(fr_verify *base, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                              fr_str *out)
{
    (void)base;
    fr_str x = fr_my_ident(a, c->name);
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        return number(a, c, x, out);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real(a, c, kind, x, out);
    case FR_BYTES:
        return octets(a, c, x, out);
    case FR_JSON:
        return c->number == LETTERS || c->number == DOCUMENT ? as_text(a, x, FR_VERIFY_RAW, out)
                                                             : FR_VERIFY_NEVER;
    case FR_UUID:
        if (c->number != LETTERS && c->number != NUMBERED)
            return FR_VERIFY_NEVER;
        return as_text(a, fr_verify_around(a, "LOWER(CAST(", x, " AS CHAR))"), FR_VERIFY_CANONICAL,
                       out);
    case FR_DATE:
    case FR_TIME:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return times(a, c, kind, x, out);
    default:
        return text(a, c, x, out);
    }
}

/* Texts are compared with numbers as numbers, with all else as they are written. */
static bool finds(fr_verify *base, const fr_verify_column *c, fr_kind kind)
{
    (void)base;
    switch (kind) {
    case FR_BOOL: /* "true" is no number */
        return c->number != SINGLE && c->number != LETTERS;
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL: /* a float prints fewer digits than it has */
        return c->number != SINGLE;
    case FR_UUID:
        return c->number == NUMBERED;
    case FR_TEXT: /* a document is compared with documents */
        return c->number != DOCUMENT;
    case FR_BYTES:
        return true;
    default:
        return c->number == DAY || c->number == CLOCK || c->number == MOMENT;
    }
}

static bool bare(fr_kind kind)
{
    return kind == FR_BOOL || kind == FR_INT32 || kind == FR_INT64 || kind == FR_DECIMAL ||
           kind == FR_FLOAT32 || kind == FR_FLOAT64;
}

static void put_literal(fr_verify *base, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text)
{
    (void)base;
    fr_arena *a = fr_arena_new(256);
    fr_str readable = text.ptr == NULL ? text : fr_verify_readable(a, kind, text);
    if (text.ptr == NULL)
        fr_buf_text(b, "NULL");
    else if (!fr_verify_fits(kind, text))
        fr_buf_text(b, "NULL"); /* no row of a sink has it */
    else if (kind == FR_BYTES && c != NULL && c->number == BITS)
        fr_buf_printf(b, "0x%.*s", FR_ARG(text));
    else if (kind == FR_BYTES)
        fr_buf_printf(b, "X'%.*s'", FR_ARG(text));
    else if (bare(kind) && fr_verify_bare(readable))
        fr_buf_str(b, readable);
    else
        fr_buf_str(b, fr_my_literal(a, readable));
    fr_arena_free(a);
}

/* ---- asking ---- */

static fr_rc give_rows(my_verify *v, MYSQL_RES *res, fr_verify_row *each, void *context,
                       fr_err *err)
{
    unsigned n = mysql_num_fields(res);
    fr_arena *a = fr_arena_new(0);
    fr_str *cells = fr_arena_alloc(a, (n + 1) * sizeof(*cells));
    fr_rc rc = FR_OK;
    MYSQL_ROW row = NULL;
    while (rc == FR_OK && (row = mysql_fetch_row(res)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(res);
        for (unsigned i = 0; i < n; i++)
            cells[i] = (fr_str){row[i], row[i] == NULL ? 0 : lengths[i]};
        rc = each(context, cells, n, err);
    }
    if (rc == FR_OK && mysql_errno(v->my->mysql) != 0)
        rc = fr_my_fail(v->my, "compare rows", err);
    fr_arena_free(a);
    return rc;
}

static fr_rc too_long(const char *size, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "a row, or one of its values, is longer as a text than max_allowed_packet (%s bytes)",
            size);
    fr_fail_code(err, "verify.packet");
    return fr_fail_hint(err, "SET GLOBAL max_allowed_packet to more than twice the longest row, in "
                             "the server's configuration too, and verify again");
}

static fr_rc too_many_warnings(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "a statement had more warnings than MySQL counts: what they say "
            "of its values is not known");
    fr_fail_code(err, "verify.warnings");
    return fr_fail_hint(err, "--chunk reads fewer rows by one statement");
}

/* The server makes NULL of a text that is too long, and says so in a warning only. */
static fr_rc warned(my_verify *v, fr_err *err)
{
    unsigned count = mysql_warning_count(v->my->mysql);
    if (count == 0)
        return FR_OK;
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows, size;
    bool cut = false;
    fr_rc rc = fr_my_query(v->my, a, "compare rows", "SHOW WARNINGS", &rows, err);
    for (size_t i = 0; rc == FR_OK && i < rows.count; i++)
        cut = cut || fr_my_uint(&rows, i, 1, 0) == TOO_LONG;
    if (cut)
        rc = fr_my_query(v->my, a, "compare rows", "SELECT @@max_allowed_packet", &size, err);
    if (rc == FR_OK && cut)
        rc = too_long(fr_arena_cstr(a, fr_my_text(&size, 0, 0)), err);
    else if (rc == FR_OK && (count >= MOST_WARNINGS || rows.count < count))
        rc = too_many_warnings(err);
    fr_arena_free(a);
    return rc;
}

/* Row by row: an answer may be larger than memory. */
static fr_rc query(fr_verify *base, fr_str sql, fr_verify_row *each, void *context, fr_err *err)
{
    my_verify *v = (my_verify *)base;
    if (mysql_real_query(v->my->mysql, sql.ptr, sql.len) != 0)
        return fr_my_fail(v->my, "compare rows", err);
    MYSQL_RES *res = mysql_use_result(v->my->mysql);
    if (res == NULL)
        return fr_my_fail(v->my, "compare rows", err);
    fr_rc rc = give_rows(v, res, each, context, err);
    mysql_free_result(res);
    return rc == FR_OK ? warned(v, err) : rc;
}

static fr_rc now(fr_verify *base, uint64_t *out, fr_err *err)
{
    my_verify *v = (my_verify *)base;
    fr_arena *a = fr_arena_new(0);
    fr_my_rows rows;
    bool renamed = !v->my->mariadb && v->my->version >= 80200;
    fr_rc rc = fr_my_query(v->my, a, "read where the log ends",
                           renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS", &rows, err);
    if (rc == FR_OK && rows.count == 0)
        rc = fr_fail(err, FR_ERR_CONFIG, "the server writes no binary log");
    if (rc == FR_OK)
        *out = fr_binlog_lsn(fr_arena_cstr(a, fr_my_text(&rows, 0, 0)), fr_my_uint(&rows, 0, 1, 4));
    fr_arena_free(a);
    return rc;
}

static uint64_t resume_of(fr_str resume)
{
    fr_arena *a = fr_arena_new(0);
    fr_binlog_position p;
    fr_err ignored;
    fr_rc rc = fr_binlog_position_parse(a, resume, &p, &ignored);
    uint64_t lsn = rc == FR_OK ? fr_binlog_lsn(p.file, p.pos) : 0;
    fr_arena_free(a);
    return lsn;
}

const fr_verify_ops fr_my_verify = {
    .open_source = fr_binlog_verify_open,
    .open_sink = fr_my_sink_verify_open,
    .close = my_verify_close,
    .describe = describe,
    .text = text_of,
    .put_literal = put_literal,
    .finds = finds,
    .script = "SET time_zone = '+00:00';\n",
    .ident = fr_my_ident,
    .query = query,
    .now = now,
    .resume = resume_of,
    .join_open = "CONCAT(",
    .join_between = ", ",
    .join_close = ")",
    .length_open = "CHAR_LENGTH(",
    .length_close = ")",
    .hash_open = "CAST(CONV(SUBSTR(MD5(",
    .hash_close = "), 1, 15), 16, 10) AS UNSIGNED)",
};
