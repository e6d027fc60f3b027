/* A SQLite file asked by `freshet verify` (connect/verify.h). Its rows are summed by the verb: the
 * file is read by this process in any case. */
#include "connectors/sqlite/sq_verify.h"
#include "base/clock.h"
#include "connectors/sql/target.h"
#include "connectors/sqlite/sq_query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STEPS = 10000 };

/* How a time is stored, in fr_verify_column.modifier; 0: as a text. */
typedef enum form { PLAIN, SECONDS, MILLIS, MICROS, JULIAN } form;

typedef struct sq_verify {
    fr_verify base;
    fr_sq *conn;
    const fr_source_settings *settings; /* NULL: of a sink */
    int64_t timeout_us, end_us;
    bool soft, history;
} sq_verify;

static void sq_verify_close(fr_verify *base)
{
    sq_verify *v = (sq_verify *)base;
    if (v == NULL)
        return;
    fr_sq_close(v->conn);
    free(v);
}

static int on_progress(void *context)
{
    const sq_verify *v = context;
    return v->end_us > 0 && fr_now_us() > v->end_us;
}

fr_rc fr_sq_verify_open(const char *path, int64_t timeout_us, const fr_sink_settings *sink,
                        fr_verify **out, fr_err *err)
{
    sq_verify *v = fr_malloc(sizeof(*v));
    v->base.ops = &fr_sqlite_verify;
    v->timeout_us = timeout_us;
    v->soft = sink != NULL && sink->deletes == FR_DELETES_SOFT;
    v->history = sink != NULL && sink->write_mode == FR_WRITE_HISTORY;
    if (fr_sq_open(path, false, &v->conn, err) == FR_FAIL) {
        sq_verify_close(&v->base);
        return FR_FAIL;
    }
    sqlite3_progress_handler(v->conn->db, STEPS, on_progress, v);
    *out = &v->base;
    return FR_OK;
}

static fr_rc open_source(const fr_source_settings *settings, int64_t timeout_us, fr_verify **out,
                         fr_err *err)
{
    const fr_sqlite_config *c = settings->connector;
    FR_TRY(fr_sq_verify_open(c->path, timeout_us, NULL, out, err));
    ((sq_verify *)*out)->settings = settings;
    return FR_OK;
}

/* ---- what is there ---- */

static form form_of(const sq_verify *v, fr_str space, fr_str table, fr_str column)
{
    static const char *const names[] = {"", "unix-seconds", "unix-millis", "unix-micros",
                                        "julian-day"};
    const fr_table_settings *t =
        v->settings == NULL ? NULL : fr_source_match(v->settings, space, table);
    const char *asked = t == NULL ? NULL : fr_pairs_get(&t->column_types, column);
    for (size_t i = 1; asked != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(asked, names[i]) == 0)
            return (form)i;
    return PLAIN;
}

/* In fr_verify_column.number, by SQLite's own rules. */
enum { NUMBERS, INTEGERS, TEXTS, NONE };

static uint32_t affinity_of(fr_arena *a, fr_str type)
{
    static const char *const texts[] = {"char", "clob", "text"};
    const char *t = fr_arena_cstr(a, type);
    if (strcasestr(t, "int") != NULL)
        return INTEGERS;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcasestr(t, texts[i]) != NULL)
            return TEXTS;
    return type.len == 0 || strcasestr(t, "blob") != NULL ? NONE : NUMBERS;
}

static void take_columns(const sq_verify *v, fr_arena *a, const fr_sq_rows *rows, fr_str space,
                         fr_str name, fr_verify_table *out)
{
    bool states = false;
    out->mark = NULL;
    out->columns = fr_arena_alloc(a, (rows->count + 1) * sizeof(*out->columns));
    out->column_count = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        fr_verify_column *c = &out->columns[i];
        c->name = fr_sq_cell_at(rows, i, 0);
        c->type = fr_sq_cell_at(rows, i, 1);
        c->nullable = fr_str_is(fr_sq_cell_at(rows, i, 2), "0");
        c->number = affinity_of(a, c->type);
        c->modifier = (int32_t)form_of(v, space, name, c->name);
        if (v->soft && fr_str_is(c->name, FR_TARGET_DELETED))
            out->mark = c;
        states = states || (v->history && fr_str_is(c->name, FR_TARGET_CURRENT));
    }
    const char *there = out->mark != NULL ? "COALESCE(" FR_TARGET_DELETED ", 0) = 0"
                        : states          ? FR_TARGET_CURRENT
                                          : NULL;
    out->from = there != NULL ? fr_arena_printf(a, "(SELECT * FROM %.*s WHERE %s) AS t",
                                                FR_ARG(out->name), there)
                              : out->name;
}

static fr_rc describe(fr_verify *base, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err)
{
    const sq_verify *v = (const sq_verify *)base;
    fr_sq_rows rows;
    fr_str sql = fr_arena_printf(
        a, "SELECT name, type, \"notnull\" FROM pragma_table_xinfo(%.*s) WHERE hidden <> 1",
        FR_ARG(fr_sq_literal(a, name)));
    FR_TRY(fr_sq_query(v->conn, "read the columns", sql, a, &rows, err));
    if (rows.count == 0)
        return FR_END;
    out->name = fr_sq_ident(a, name);
    take_columns(v, a, &rows, space, name, out);
    return FR_OK;
}

/* ---- values ---- */

static fr_verify_form moment(fr_arena *a, const fr_verify_column *c, fr_str x, fr_str *out)
{
    static const char *const times[] = {"", " * 1000000", " * 1000", ""};
    *out = x;
    if (c->modifier == PLAIN)
        return FR_VERIFY_RAW;
    if (c->modifier == JULIAN)
        return FR_VERIFY_NEVER;
    *out = fr_arena_printf(a, "(%.*s%s)", FR_ARG(x), times[c->modifier]);
    return FR_VERIFY_CANONICAL;
}

static fr_verify_form text_of(fr_verify *base, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                              fr_str *out)
{
    fr_str x = fr_sq_ident(a, c->name);
    (void)base;
    *out = x;
    switch (kind) {
    case FR_INT32:
    case FR_INT64:
        return c->number == INTEGERS ? FR_VERIFY_CANONICAL : FR_VERIFY_RAW;
    case FR_FLOAT32: /* a text "0.1" is not the float 0.1 */
        return c->number == TEXTS ? FR_VERIFY_NEVER : FR_VERIFY_RAW;
    case FR_BYTES: /* a text of hexadecimal digits is not the bytes */
        *out = fr_arena_printf(a,
                               "CASE typeof(%.*s) WHEN 'blob' THEN lower(hex(%.*s)) WHEN 'null' "
                               "THEN NULL ELSE typeof(%.*s) || ' ' || %.*s END",
                               FR_ARG(x), FR_ARG(x), FR_ARG(x), FR_ARG(x));
        return FR_VERIFY_CANONICAL;
    case FR_TEXT:
        return FR_VERIFY_CANONICAL;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return moment(a, c, x, out);
    default:
        return FR_VERIFY_RAW;
    }
}

/* Numbers are compared as numbers where the column makes numbers of texts; all else as it is
 * written, and a source's times may be in several ways. */
static bool finds(fr_verify *base, const fr_verify_column *c, fr_kind kind)
{
    const sq_verify *v = (const sq_verify *)base;
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        return c->number == NUMBERS || c->number == INTEGERS;
    case FR_TIME:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return v->settings == NULL || c->modifier != PLAIN;
    case FR_UUID:
        return false;
    case FR_TEXT:
        return c->number != NONE;
    default:
        return true;
    }
}

/* "2026-11-26 08:26:11.402000" as the sink writes it: without a fraction that is none. */
static fr_str shortened(fr_kind kind, fr_str text)
{
    if (kind >= FR_TIME && text.len > 7 && memcmp(text.ptr + text.len - 7, ".000000", 7) == 0)
        text.len -= 7;
    return text;
}

static void put_literal(fr_verify *base, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text)
{
    fr_arena *a = fr_arena_new(256);
    bool bare = kind == FR_BOOL || kind == FR_INT32 || kind == FR_INT64 || kind == FR_FLOAT32 ||
                kind == FR_FLOAT64;
    fr_str readable = text.ptr == NULL ? text : fr_verify_readable(a, kind, text);
    (void)base;
    if (text.ptr == NULL)
        fr_buf_text(b, "NULL");
    else if (!fr_verify_fits(kind, text))
        fr_buf_text(b, "NULL"); /* no row of a sink has it */
    else if (kind == FR_BYTES)
        fr_buf_printf(b, "x'%.*s'", FR_ARG(text));
    else if (c != NULL && c->modifier != PLAIN && fr_verify_bare(text)) /* of a source: as stored */
        fr_buf_printf(b, "%.*s%s", FR_ARG(text),
                      c->modifier == SECONDS  ? " / 1000000"
                      : c->modifier == MILLIS ? " / 1000"
                                              : "");
    else if (bare && fr_verify_bare(readable))
        fr_buf_str(b, readable);
    else if ((kind == FR_FLOAT32 || kind == FR_FLOAT64) && fr_str_is(readable, "NaN"))
        fr_buf_text(b, "NULL /* NaN */");
    else if (kind == FR_FLOAT32 || kind == FR_FLOAT64)
        fr_buf_text(b, fr_str_is(readable, "Infinity") ? "9e999" : "-9e999");
    else
        fr_buf_str(b, fr_sq_literal(a, shortened(kind, readable)));
    fr_arena_free(a);
}

/* ---- asking ---- */

static fr_str cell_of(fr_arena *a, sqlite3_stmt *s, int i)
{
    fr_str bytes;
    fr_value value;
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_NULL:
        return (fr_str){NULL, 0};
    case SQLITE_INTEGER:
        return fr_arena_printf(a, "%lld", (long long)sqlite3_column_int64(s, i));
    case SQLITE_FLOAT:
        value = (fr_value){.kind = FR_FLOAT64, .real = sqlite3_column_double(s, i)};
        return fr_value_text(a, NULL, &value);
    case SQLITE_BLOB: /* where bytes are expected they come in hexadecimal */
        return fr_sq_hex(a, fr_sq_bytes(s, i));
    default:
        bytes = fr_sq_bytes(s, i);
        return bytes.ptr == NULL ? FR_STR("") : bytes;
    }
}

static fr_rc query(fr_verify *base, fr_str sql, fr_verify_row *each, void *context, fr_err *err)
{
    sq_verify *v = (sq_verify *)base;
    sqlite3_stmt *s = NULL;
    FR_TRY(fr_sq_same_file(v->conn, err));
    fr_arena *a = fr_arena_new(0);
    v->end_us = v->timeout_us > 0 ? fr_now_us() + v->timeout_us : 0;
    fr_rc rc = fr_sq_prepare(v->conn, "compare rows", sql, &s, err);
    int n = rc == FR_OK ? sqlite3_column_count(s) : 0;
    while (rc == FR_OK && (rc = fr_sq_step(v->conn, "compare rows", s, err)) == FR_OK) {
        fr_arena_reset(a);
        fr_str *cells = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(*cells));
        for (int i = 0; i < n; i++)
            cells[i] = cell_of(a, s, i);
        rc = each(context, cells, (size_t)n, err);
    }
    sqlite3_finalize(s);
    fr_arena_free(a);
    v->end_us = 0;
    return rc == FR_FAIL ? rc : FR_OK;
}

const fr_verify_ops fr_sqlite_verify = {
    .open_source = open_source,
    .open_sink = fr_sq_sink_verify_open,
    .close = sq_verify_close,
    .describe = describe,
    .text = text_of,
    .put_literal = put_literal,
    .finds = finds,
    .ident = fr_sq_ident,
    .query = query,
};
