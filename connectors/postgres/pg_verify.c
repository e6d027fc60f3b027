/* PostgreSQL asked by `freshet verify` (connect/verify.h), as a source and as a target. */
#include "connectors/postgres/pg_verify.h"
#include "connectors/postgres/pg_sink.h"
#include "connectors/postgres/wal_position.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One spelling for both sides; what is read is read in pieces. */
#define SESSION                                                                                    \
    "-c default_transaction_read_only=on -c IntervalStyle=iso_8601 "                               \
    "-c quote_all_identifiers=off"
enum { ROWS_AT_ONCE = 2000 };

enum {
    T_BOOL = 16,
    T_BYTEA = 17,
    T_INT8 = 20,
    T_NAME = 19,
    T_INT2 = 21,
    T_INT4 = 23,
    T_TEXT = 25,
    T_OID = 26,
    T_FLOAT4 = 700,
    T_FLOAT8 = 701,
    T_BPCHAR = 1042,
    T_VARCHAR = 1043,
    T_DATE = 1082,
    T_TIME = 1083,
    T_TIMESTAMP = 1114,
    T_TIMESTAMPTZ = 1184,
    T_INTERVAL = 1186,
    T_NUMERIC = 1700,
    T_UUID = 2950
};
enum { ARRAY_BARE = 1, ARRAY_TEXTS = 2 }; /* in modifier of an array */

typedef struct pg_verify {
    fr_verify base;
    PGconn *conn;
    bool soft;    /* rows that are marked are gone */
    bool history; /* only current rows are there */
} pg_verify;

static void pg_verify_close(fr_verify *base)
{
    pg_verify *v = (pg_verify *)base;
    if (v == NULL)
        return;
    fr_pg_close(v->conn);
    free(v);
}

fr_rc fr_pg_verify_open(fr_pg_target *target, int64_t timeout_us, bool soft, fr_verify **out,
                        fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    pg_verify *v = fr_malloc(sizeof(*v));
    fr_str set = fr_arena_printf(a, "SET statement_timeout = %" PRId64 "%c", timeout_us / 1000, 0);
    v->base.ops = &fr_postgres_verify;
    v->soft = soft;
    target->settings = SESSION;
    target->application_name = "freshet verify";
    fr_rc rc = fr_pg_connect(target, &v->conn, err);
    if (rc == FR_OK)
        rc = fr_pg_exec(v->conn, "prepare the session", set.ptr, err);
    fr_arena_free(a);
    if (rc == FR_FAIL) {
        pg_verify_close(&v->base);
        return rc;
    }
    *out = &v->base;
    return FR_OK;
}

static fr_rc open_sink(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                       fr_err *err)
{
    const fr_pg_sink_config *c = settings->connector;
    fr_pg_target target = {.dsn = c->dsn, .password = c->password, .insecure = c->insecure};
    FR_TRY(fr_pg_verify_open(&target, timeout_us, settings->deletes == FR_DELETES_SOFT, out, err));
    ((pg_verify *)*out)->history = settings->write_mode == FR_WRITE_HISTORY;
    return FR_OK;
}

/* ---- what is there ---- */

/* $1: a name as to_regclass reads it. */
static const char find_sql[] =
    "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
    "c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid = to_regclass($1)::oid";

static const char columns_sql[] =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, b.oid, b.typmod, "
    "b.typcategory, b.typelem FROM pg_attribute a, LATERAL (WITH RECURSIVE d(oid, typmod) AS ("
    "SELECT a.atttypid, a.atttypmod UNION ALL SELECT y.typbasetype, y.typtypmod"
    " FROM d JOIN pg_type y ON y.oid = d.oid WHERE y.typtype = 'd')"
    " SELECT t.oid, d.typmod, t.typcategory, t.typelem FROM d JOIN pg_type t ON t.oid = d.oid"
    " WHERE t.typtype <> 'd') b"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/* Elements that are bare in JSON, as the source publishes arrays. */
static int array_form(int64_t element)
{
    bool bare = element == T_BOOL || element == T_INT2 || element == T_INT4 || element == T_INT8 ||
                element == T_FLOAT4 || element == T_FLOAT8;
    return bare ? ARRAY_BARE : ARRAY_TEXTS;
}

static void take_column(fr_arena *a, const PGresult *res, int i, fr_verify_column *c)
{
    fr_str category = fr_pg_text(res, i, 5);
    bool array = category.len > 0 && category.ptr[0] == 'A';
    c->name = fr_arena_str(a, fr_pg_text(res, i, 0));
    c->type = fr_arena_str(a, fr_pg_text(res, i, 1));
    c->nullable = !fr_pg_bool(res, i, 2);
    c->number = array ? 0 : (uint32_t)fr_pg_int(res, i, 3, 0);
    c->modifier = array ? array_form(fr_pg_int(res, i, 6, 0)) : (int32_t)fr_pg_int(res, i, 4, -1);
}

static fr_rc read_columns(pg_verify *v, fr_arena *a, const char *oid, fr_verify_table *out,
                          fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(v->conn, "read the columns", columns_sql, &oid, 1, &res, err));
    int n = PQntuples(res);
    out->columns = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(*out->columns));
    out->column_count = (size_t)n;
    out->mark = NULL;
    bool states = false;
    for (int i = 0; i < n; i++) {
        take_column(a, res, i, &out->columns[i]);
        if (v->soft && fr_str_is(out->columns[i].name, FR_TARGET_DELETED))
            out->mark = &out->columns[i];
        states = states || (v->history && fr_str_is(out->columns[i].name, FR_TARGET_CURRENT));
    }
    const char *there = out->mark != NULL ? "\"" FR_TARGET_DELETED "\" IS NOT TRUE"
                        : states          ? "\"" FR_TARGET_CURRENT "\""
                                          : NULL;
    out->from = there != NULL ? fr_arena_printf(a, "(SELECT * FROM %.*s WHERE %s) AS t",
                                                FR_ARG(out->name), there)
                              : out->name;
    PQclear(res);
    return FR_OK;
}

/* A name without a space is found by the user's own search_path; names in values (regclass) are
 * printed in full. */
static fr_rc find(pg_verify *v, fr_str name, PGresult **res, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    const char *params[] = {fr_arena_cstr(a, name)};
    fr_rc rc = fr_pg_exec(v->conn, "look for the table", "RESET search_path", err);
    if (rc == FR_OK)
        rc = fr_pg_query(v->conn, "look for the table", find_sql, params, 1, res, err);
    fr_arena_free(a);
    FR_TRY(rc);
    if (fr_pg_exec(v->conn, "look for the table", "SET search_path = pg_catalog", err) == FR_OK)
        return FR_OK;
    PQclear(*res);
    return FR_FAIL;
}

static fr_rc describe(fr_verify *base, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err)
{
    pg_verify *v = (pg_verify *)base;
    PGresult *res = NULL;
    FR_TRY(fr_pg_sink_name(a, name, &name, err));
    if (space.len > 0)
        FR_TRY(fr_pg_sink_name(a, space, &space, err));
    FR_TRY(find(v, space.len > 0 ? fr_pg_qualified(a, space, name) : fr_pg_ident(a, name, NULL),
                &res, err));
    bool found = PQntuples(res) > 0;
    char *oid = fr_arena_cstr(a, found ? fr_pg_text(res, 0, 0) : FR_STR(""));
    if (found)
        out->name = fr_pg_qualified(a, fr_arena_str(a, fr_pg_text(res, 0, 1)),
                                    fr_arena_str(a, fr_pg_text(res, 0, 2)));
    PQclear(res);
    return found ? read_columns(v, a, oid, out, err) : FR_END;
}

/* ---- values ---- */

static fr_verify_form plain(fr_arena *a, fr_str x, fr_verify_form form, fr_str *out)
{
    *out = fr_verify_around(a, "", x, "::text");
    return form;
}

static fr_verify_form number(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    int scale = (((c->modifier - 4) & 0x7ff) ^ 1024) - 1024;
    switch (c->number) {
    case T_INT2:
    case T_INT4:
    case T_INT8:
    case T_OID:
        return plain(a, x, FR_VERIFY_CANONICAL, out);
    case T_NUMERIC:
        if (c->modifier >= 4 && scale > 0) {
            *out = fr_verify_around(a, "rtrim(rtrim(", x, "::text, '0'), '.')");
            return FR_VERIFY_CANONICAL;
        }
        return plain(a, x, c->modifier >= 4 ? FR_VERIFY_CANONICAL : FR_VERIFY_RAW, out);
    case 790: /* money */
        *out = fr_verify_around(a, "", x, "::numeric::text");
        return FR_VERIFY_RAW;
    default:
        return plain(a, x, FR_VERIFY_RAW, out);
    }
}

static fr_verify_form text(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    if (c->number == T_BYTEA)
        return FR_VERIFY_NEVER;
    if (c->number == T_BPCHAR && c->modifier > 4) { /* its blanks are part of what is published */
        *out = fr_arena_printf(a, "rpad(%.*s::text, %d)", FR_ARG(x), (int)c->modifier - 4);
        return FR_VERIFY_CANONICAL;
    }
    if (c->number == T_TEXT || c->number == T_VARCHAR || c->number == T_NAME ||
        c->number == T_BPCHAR)
        return plain(a, x, FR_VERIFY_CANONICAL, out);
    /* As it is printed, which ::text of some is not (inet). */
    *out = fr_arena_printf(a, "CASE WHEN %.*s IS NOT NULL THEN format('%%s', %.*s) END", FR_ARG(x),
                           FR_ARG(x));
    return FR_VERIFY_CANONICAL;
}

static fr_verify_form json(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    if (c->number != 0)
        return plain(a, x, FR_VERIFY_RAW, out);
    *out = fr_verify_around(a, "pg_catalog.to_json(", x,
                            c->modifier == ARRAY_BARE ? ")::text" : "::text[])::text");
    return FR_VERIFY_RAW;
}

static fr_verify_form moment(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    if (c->number != T_TIMESTAMP && c->number != T_TIMESTAMPTZ)
        return plain(a, x, FR_VERIFY_RAW, out);
    *out = fr_arena_printf(
        a,
        "CASE WHEN isfinite(%.*s) THEN (date_part('epoch', date_trunc('second', %.*s))::bigint * "
        "1000000 + date_part('microseconds', %.*s)::bigint %% 1000000)::text ELSE %.*s::text END",
        FR_ARG(x), FR_ARG(x), FR_ARG(x), FR_ARG(x));
    return FR_VERIFY_CANONICAL;
}

static fr_verify_form text_of(fr_verify *base, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                              fr_str *out)
{
    (void)base;
    fr_str x = fr_pg_ident(a, c->name, NULL);
    switch (kind) {
    case FR_BOOL:
        *out = c->number == T_BOOL ? fr_verify_around(a, "", x, "::int::text")
                                   : fr_verify_around(a, "", x, "::text");
        return c->number == T_BOOL ? FR_VERIFY_CANONICAL : FR_VERIFY_RAW;
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        return number(a, c, x, out);
    case FR_FLOAT32:
    case FR_FLOAT64:
        if (c->number != T_FLOAT4 && c->number != T_FLOAT8) /* 0.1 there is not the float 0.1 */
            return plain(a, x, kind == FR_FLOAT32 ? FR_VERIFY_NEVER : FR_VERIFY_RAW, out);
        *out = fr_verify_around(a, "encode(float8send(", x, "::float8 + 0), 'hex')");
        return FR_VERIFY_CANONICAL;
    case FR_BYTES:
        *out = fr_verify_around(a, "encode(", x, ", 'hex')");
        return c->number == T_BYTEA ? FR_VERIFY_CANONICAL : FR_VERIFY_NEVER;
    case FR_JSON:
        return json(a, c, x, out);
    case FR_UUID:
        return plain(a, x, c->number == T_UUID ? FR_VERIFY_CANONICAL : FR_VERIFY_RAW, out);
    case FR_DATE:
        if (c->number != T_DATE)
            return plain(a, x, FR_VERIFY_RAW, out);
        *out = fr_arena_printf(a,
                               "CASE WHEN isfinite(%.*s) THEN (%.*s - '1970-01-01'::date)::text "
                               "ELSE %.*s::text END",
                               FR_ARG(x), FR_ARG(x), FR_ARG(x));
        return FR_VERIFY_CANONICAL;
    case FR_TIME:
        if (c->number != T_TIME && c->number != T_INTERVAL)
            return plain(a, x, FR_VERIFY_RAW, out);
        *out = fr_verify_around(a, "round(date_part('epoch', ", x, ") * 1000000)::bigint::text");
        return FR_VERIFY_CANONICAL;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return moment(a, c, x, out);
    default:
        return text(a, c, x, out);
    }
}

/* Texts are compared as they are written, all else by what it means. */
static bool finds(fr_verify *base, const fr_verify_column *c, fr_kind kind)
{
    static const uint32_t numbers[] = {T_INT2,    T_INT4,   T_INT8,   T_OID,
                                       T_NUMERIC, T_FLOAT4, T_FLOAT8, 0};
    static const uint32_t times[] = {T_DATE, T_TIME, T_INTERVAL, T_TIMESTAMP, T_TIMESTAMPTZ, 0};
    const uint32_t *types = times;
    (void)base;
    if (kind == FR_TEXT || kind == FR_BYTES || (kind == FR_BOOL && c->number == T_BOOL))
        return true;
    if (kind == FR_UUID)
        return c->number == T_UUID;
    if (kind == FR_BOOL || kind == FR_INT32 || kind == FR_INT64 || kind == FR_DECIMAL)
        types = numbers;
    while (*types != 0 && *types != c->number)
        types++;
    return *types != 0;
}

static fr_str ident(fr_arena *a, fr_str name)
{
    return fr_pg_ident(a, name, NULL);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Years before Christ, which only PostgreSQL's own spelling has: from 1970 on, backwards. A column
 * without a zone holds UTC. */
static void put_early(fr_buf *b, fr_kind kind, bool zoned, fr_str canonical)
{
    fr_buf_printf(b, "(%s + '%.*s %s'::interval)",
                  zoned ? "'1970-01-01 00:00:00+00'::timestamptz" : "'1970-01-01'::timestamp",
                  FR_ARG(canonical), kind == FR_DATE ? "days" : "microseconds");
}

static void put_literal(fr_verify *base, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text)
{
    (void)base;
    fr_arena *a = fr_arena_new(256);
    bool digits = kind == FR_INT32 || kind == FR_INT64;
    fr_str readable = text.ptr == NULL ? text : fr_verify_readable(a, kind, text);
    bool time = kind == FR_DATE || kind == FR_DATETIME || kind == FR_TIMESTAMP;
    bool zoned = kind == FR_TIMESTAMP && c != NULL && c->number == T_TIMESTAMPTZ;
    bool early = time && text.ptr != NULL && readable.len > 1 && readable.ptr[0] == '-' &&
                 is_digit(readable.ptr[1]); /* not "-infinity" */
    if (text.ptr == NULL)
        fr_buf_text(b, "NULL");
    else if (kind == FR_BYTES && fr_verify_hex(text))
        fr_buf_printf(b, "'\\x%.*s'", FR_ARG(text));
    else if (early && fr_verify_bare(text))
        put_early(b, kind, zoned, text);
    else if (zoned && fr_verify_bare(text) && is_digit(readable.ptr[0]))
        fr_buf_printf(b, "'%.*s+00'", FR_ARG(readable));
    else if (digits && text.len < 20 && fr_verify_bare(text))
        fr_buf_printf(b, "'%.*s'", FR_ARG(text));
    else
        fr_buf_str(b, fr_pg_literal(a, readable, NULL));
    fr_arena_free(a);
}

/* ---- asking ---- */

static fr_rc give_rows(const PGresult *res, fr_arena *a, fr_verify_row *each, void *context,
                       fr_err *err)
{
    size_t columns = (size_t)PQnfields(res);
    fr_str *cells = fr_arena_alloc(a, (columns + 1) * sizeof(*cells));
    for (int i = 0; i < PQntuples(res); i++) {
        for (size_t k = 0; k < columns; k++) {
            bool null = PQgetisnull(res, i, (int)k) != 0;
            cells[k] =
                null ? (fr_str){NULL, 0}
                     : (fr_str){PQgetvalue(res, i, (int)k), (size_t)PQgetlength(res, i, (int)k)};
        }
        FR_TRY(each(context, cells, columns, err));
    }
    return FR_OK;
}

static fr_rc fetch(pg_verify *v, fr_verify_row *each, void *context, bool *more, fr_err *err)
{
    PGresult *res = NULL;
    fr_arena *a = fr_arena_new(0);
    char sql[64];
    snprintf(sql, sizeof(sql), "FETCH %d FROM freshet_verify", ROWS_AT_ONCE);
    fr_rc rc = fr_pg_query(v->conn, "read rows", sql, NULL, 0, &res, err);
    if (rc == FR_OK) {
        *more = PQntuples(res) == ROWS_AT_ONCE;
        rc = give_rows(res, a, each, context, err);
        PQclear(res);
    }
    fr_arena_free(a);
    return rc;
}

/* In pieces, by a cursor: an answer may be larger than memory. */
static fr_rc query(fr_verify *base, fr_str sql, fr_verify_row *each, void *context, fr_err *err)
{
    pg_verify *v = (pg_verify *)base;
    bool more = true;
    fr_err ignored;
    fr_buf b = {.arena = NULL};
    fr_buf_printf(&b, "BEGIN; DECLARE freshet_verify NO SCROLL CURSOR FOR %.*s%c", FR_ARG(sql), 0);
    fr_rc rc = fr_pg_exec(v->conn, "compare rows", (const char *)b.ptr, err);
    fr_buf_free(&b);
    while (rc == FR_OK && more)
        rc = fetch(v, each, context, &more, err);
    if (rc == FR_OK)
        return fr_pg_exec(v->conn, "compare rows", "COMMIT", err);
    fr_pg_exec(v->conn, "compare rows", "ROLLBACK", &ignored);
    return rc;
}

static fr_rc now(fr_verify *base, uint64_t *out, fr_err *err)
{
    pg_verify *v = (pg_verify *)base;
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(v->conn, "read where the log ends", "SELECT pg_current_wal_insert_lsn()",
                       NULL, 0, &res, err));
    bool read = fr_pg_lsn_parse(fr_pg_text(res, 0, 0), out);
    PQclear(res);
    return read ? FR_OK : fr_fail(err, FR_ERR_CONNECT, "the server told no position of its log");
}

static uint64_t resume_of(fr_str resume)
{
    return fr_wal_position_lsn(resume, NULL);
}

const fr_verify_ops fr_postgres_verify = {
    .open_source = fr_wal_verify_open,
    .open_sink = open_sink,
    .close = pg_verify_close,
    .describe = describe,
    .text = text_of,
    .put_literal = put_literal,
    .finds = finds,
    .ident = ident,
    .query = query,
    .now = now,
    .resume = resume_of,
    .join_open = "(",
    .join_between = " || ",
    .join_close = ")",
    .length_open = "char_length(",
    .length_close = ")::text",
    .hash_open = "('x' || substr(md5(convert_to(",
    .hash_close = ", 'UTF8')), 1, 15))::bit(60)::bigint",
};
