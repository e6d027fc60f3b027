/* A DuckDB file asked by `freshet verify` (connect/verify.h), as a target. It is opened to be read
 * for each statement, and let go of behind it: while we have it the sink waits, and while the sink
 * has it we do. */
#include "duckdb/duck_verify.h"
#include "base/clock.h"
#include "duckdb/duck_sink.h"
#include "sql/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a column is, in fr_verify_column.number; modifier of EXACT: scale, or ALL_FRACTION where
 * there is no digit before the point. */
typedef enum what {
    OTHER,
    TRUTH,
    WHOLE,
    EXACT,
    REAL, /* FLOAT, DOUBLE */
    LETTERS,
    LABEL, /* ENUM */
    OCTETS,
    DOCUMENT,
    NUMBERED, /* UUID */
    DAY,
    CLOCK,
    SPAN, /* INTERVAL */
    MOMENT,
    INSTANT /* TIMESTAMP WITH TIME ZONE */
} what;
enum { ALL_FRACTION = -1 };

static const struct {
    const char *name;
    what is;
} types[] = {{"BOOLEAN", TRUTH},    {"TINYINT", WHOLE},
             {"SMALLINT", WHOLE},   {"INTEGER", WHOLE},
             {"BIGINT", WHOLE},     {"HUGEINT", WHOLE},
             {"UTINYINT", WHOLE},   {"USMALLINT", WHOLE},
             {"UINTEGER", WHOLE},   {"UBIGINT", WHOLE},
             {"UHUGEINT", WHOLE},   {"FLOAT", REAL},
             {"DOUBLE", REAL},      {"VARCHAR", LETTERS},
             {"BLOB", OCTETS},      {"JSON", DOCUMENT},
             {"UUID", NUMBERED},    {"DATE", DAY},
             {"TIME", CLOCK},       {"INTERVAL", SPAN},
             {"TIMESTAMP", MOMENT}, {"TIMESTAMP WITH TIME ZONE", INSTANT}};

typedef struct duck_verify {
    fr_verify base;
    fr_duck_sink *sink; /* its file is open during a statement only */
    int64_t timeout_us;
} duck_verify;

static void duck_verify_close(fr_verify *base)
{
    duck_verify *v = (duck_verify *)base;
    if (v == NULL)
        return;
    fr_duck_sink_free(v->sink);
    free(v);
}

static fr_rc open_sink(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                       fr_err *err)
{
    fr_duck_sink *s;
    FR_TRY(fr_duck_sink_new(settings, &s, err));
    duck_verify *v = fr_malloc(sizeof(*v));
    v->base.ops = &fr_duckdb_verify;
    v->sink = s;
    v->timeout_us = timeout_us;
    s->reader = true;
    *out = &v->base;
    return FR_OK;
}

/* ---- the file ---- */

static fr_rc held(const fr_duck_sink *s, fr_err *err)
{
    if (s->config->hold == FR_DUCK_HOLD_WRITING)
        return fr_fail_hint(err,
                            "it was held for all of --settle, and hold: writing lets go of it at "
                            "each commit: who has it for longer? Or is write.every very short?");
    return fr_fail_hint(err,
                        "a freshet with hold: always never lets go of the file: set hold: writing "
                        "for sink `%s`, or stop it while verify runs (freshet stop %s)",
                        s->settings->name, s->settings->name);
}

/* Who has the file is not waited for as long as a statement may take: that would be another
 * error. */
static fr_rc open_file(duck_verify *v, fr_err *err)
{
    fr_duck_sink *s = v->sink;
    int64_t patience = v->base.patience_us, most = v->timeout_us / 2;
    s->patience_us = most > 0 && most < patience ? most : patience;
    if (fr_duck_sink_open(s, err) == FR_OK)
        return FR_OK;
    return strcmp(err->code, "sink.busy") == 0 ? held(s, err) : FR_FAIL;
}

/* ---- what is there ---- */

static const char columns_sql[] =
    "SELECT schema_name, table_name, column_name, data_type, CAST(is_nullable AS VARCHAR) FROM "
    "duckdb_columns() WHERE database_name = current_database() AND lower(schema_name) = lower($1) "
    "AND lower(table_name) = lower($2) ORDER BY column_index";

static void set_type(fr_arena *a, fr_verify_column *c)
{
    int precision, scale;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (fr_str_is(c->type, types[i].name))
            c->number = types[i].is;
    if (sscanf(fr_arena_cstr(a, c->type), "DECIMAL(%d,%d)", &precision, &scale) == 2) {
        c->number = EXACT;
        c->modifier = precision == scale ? ALL_FRACTION : scale;
    } else if (c->type.len > 5 && memcmp(c->type.ptr, "ENUM(", 5) == 0) {
        c->number = LABEL;
    }
}

static void take_table(const duck_verify *v, fr_arena *a, const fr_duck_rows *r,
                       fr_verify_table *out)
{
    bool soft = v->sink->settings->deletes == FR_DELETES_SOFT;
    bool history = v->sink->settings->write_mode == FR_WRITE_HISTORY, states = false;
    out->name = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(fr_sql_ident(a, fr_duck_cell(r, 0, 0))),
                                FR_ARG(fr_sql_ident(a, fr_duck_cell(r, 0, 1))));
    out->columns = fr_arena_alloc(a, (r->count + 1) * sizeof(*out->columns));
    out->column_count = r->count;
    out->mark = NULL;
    for (size_t i = 0; i < r->count; i++) {
        fr_verify_column *c = &out->columns[i];
        *c = (fr_verify_column){.name = fr_duck_cell(r, i, 2), .type = fr_duck_cell(r, i, 3)};
        c->nullable = fr_str_is(fr_duck_cell(r, i, 4), "true");
        set_type(a, c);
        if (soft && fr_str_is(c->name, FR_TARGET_DELETED))
            out->mark = c;
        states = states || (history && fr_str_is(c->name, FR_TARGET_CURRENT));
    }
    const char *there = out->mark != NULL ? "\"" FR_TARGET_DELETED "\" IS NOT TRUE"
                        : states          ? "\"" FR_TARGET_CURRENT "\""
                                          : NULL;
    out->from = there != NULL ? fr_arena_printf(a, "(SELECT * FROM %.*s WHERE %s) AS t",
                                                FR_ARG(out->name), there)
                              : out->name;
}

static fr_rc describe(fr_verify *base, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err)
{
    duck_verify *v = (duck_verify *)base;
    fr_duck_rows r = {.count = 0};
    const fr_duck_param p[] = {{FR_DUCK_P_TEXT, space.len > 0 ? space : FR_STR("main"), 0},
                               {FR_DUCK_P_TEXT, name, 0}};
    FR_TRY(open_file(v, err));
    fr_rc rc = fr_duck_sink_ask(v->sink, "read the target", columns_sql, p, 2, a, &r, err);
    fr_duck_sink_shut(v->sink);
    FR_TRY(rc);
    if (r.count == 0)
        return FR_END;
    take_table(v, a, &r, out);
    return FR_OK;
}

/* ---- values ---- */

static fr_verify_form plain(fr_arena *a, fr_str x, fr_verify_form form, fr_str *out)
{
    *out = fr_verify_around(a, "CAST(", x, " AS VARCHAR)");
    return form;
}

static fr_verify_form number(fr_arena *a, const fr_verify_column *c, fr_kind kind, fr_str x,
                             fr_str *out)
{
    fr_str text;
    plain(a, x, FR_VERIFY_CANONICAL, &text);
    *out = text;
    switch (c->number) {
    case TRUTH:
        plain(a, fr_verify_around(a, "CAST(", x, " AS INTEGER)"), FR_VERIFY_CANONICAL, out);
        return kind == FR_BOOL ? FR_VERIFY_CANONICAL : FR_VERIFY_NEVER;
    case WHOLE:
        return FR_VERIFY_CANONICAL;
    case EXACT:
        if (c->modifier == ALL_FRACTION) /* it is printed as ".50" */
            text = fr_verify_around(a, "regexp_replace(", text, ", '^(-?)[.]', '\\10.')");
        if (c->modifier != 0)
            *out = fr_verify_around(a, "rtrim(rtrim(", text, ", '0'), '.')");
        return FR_VERIFY_CANONICAL;
    case LETTERS:
        return FR_VERIFY_RAW;
    case REAL:
        return kind == FR_INT32 ? FR_VERIFY_RAW : FR_VERIFY_NEVER;
    default:
        return FR_VERIFY_NEVER;
    }
}

static fr_verify_form real(fr_arena *a, const fr_verify_column *c, fr_kind kind, fr_str x,
                           fr_str *out)
{
    if (c->number == LETTERS && kind == FR_FLOAT64) /* "0.1" there is not the float 0.1 */
        return plain(a, x, FR_VERIFY_RAW, out);
    *out = fr_arena_printf(a,
                           "CASE WHEN isnan(%.*s) THEN '7ff8000000000000' WHEN %.*s = 0 THEN "
                           "'0000000000000000' ELSE lower(hex(CAST(CAST(CAST(%.*s AS DOUBLE) AS "
                           "BIT) AS BLOB))) END",
                           FR_ARG(x), FR_ARG(x), FR_ARG(x));
    return c->number == REAL ? FR_VERIFY_CANONICAL : FR_VERIFY_NEVER;
}

/* Of infinity all functions make NULL. */
static fr_verify_form finite(fr_arena *a, fr_str x, fr_str value, fr_str *out)
{
    *out = fr_arena_printf(a,
                           "CASE WHEN isfinite(%.*s) THEN CAST(%.*s AS VARCHAR) ELSE CAST(%.*s "
                           "AS VARCHAR) END",
                           FR_ARG(x), FR_ARG(value), FR_ARG(x));
    return FR_VERIFY_CANONICAL;
}

static fr_verify_form times(fr_arena *a, const fr_verify_column *c, fr_kind kind, fr_str x,
                            fr_str *out)
{
    fr_str us = fr_verify_around(a, "epoch_us(", x, ")");
    if (c->number == LETTERS)
        return plain(a, x, FR_VERIFY_RAW, out);
    if (kind == FR_DATE && c->number == DAY)
        return finite(a, x, fr_verify_around(a, "(", x, " - DATE '1970-01-01')"), out);
    if (kind == FR_TIME && (c->number == CLOCK || c->number == SPAN))
        return plain(a, us, FR_VERIFY_CANONICAL, out);
    if ((kind == FR_DATETIME || kind == FR_TIMESTAMP) &&
        (c->number == MOMENT || c->number == INSTANT))
        return finite(a, x, us, out);
    return FR_VERIFY_NEVER;
}

static fr_verify_form only(bool fits, fr_verify_form form)
{
    return fits ? form : FR_VERIFY_NEVER;
}

static fr_verify_form text_of(fr_verify *base, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                              fr_str *out)
{
    fr_str x = fr_sql_ident(a, c->name);
    bool letters = c->number == LETTERS;
    (void)base;
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        return number(a, c, kind, x, out);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real(a, c, kind, x, out);
    case FR_BYTES:
        *out = fr_verify_around(a, "lower(hex(", x, "))");
        return only(c->number == OCTETS, FR_VERIFY_CANONICAL);
    case FR_JSON:
        return only(letters || c->number == DOCUMENT, plain(a, x, FR_VERIFY_RAW, out));
    case FR_UUID:
        *out = fr_verify_around(a, "lower(CAST(", x, " AS VARCHAR))");
        return only(letters || c->number == NUMBERED, FR_VERIFY_CANONICAL);
    case FR_DATE:
    case FR_TIME:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return times(a, c, kind, x, out);
    default:
        return only(letters || c->number == LABEL, plain(a, x, FR_VERIFY_CANONICAL, out));
    }
}

/* What is written into a column of texts the sink writes in one way, but for decimals and the case
 * of UUIDs. */
static bool finds(fr_verify *base, const fr_verify_column *c, fr_kind kind)
{
    (void)base;
    return c->number != LETTERS || kind == FR_TEXT || kind >= FR_DATE;
}

/* ---- literals ---- */

/* A NUL ends a statement: such a text is written as digits. */
static void put_text(fr_buf *b, fr_str text)
{
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        fr_buf_text(b, "decode(unhex('");
        fr_buf_hex(b, text);
        fr_buf_text(b, "'))");
        return;
    }
    fr_buf_u8(b, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            fr_buf_u8(b, '\'');
        fr_buf_u8(b, (uint8_t)text.ptr[i]);
    }
    fr_buf_u8(b, '\'');
}

/* As the sink writes it into a column of texts. */
static void put_letters(fr_buf *b, fr_kind kind, fr_str text)
{
    fr_buf as = {0};
    fr_sql_put_canonical(&as, kind, text);
    put_text(b, fr_buf_view(&as));
    fr_buf_free(&as);
}

static bool put_time(fr_buf *b, const fr_verify_column *c, fr_str text)
{
    static const char *const forms[][2] = {
        [DAY] = {"(DATE '1970-01-01' + CAST(", " AS INTEGER))"},
        [CLOCK] = {"CAST(make_timestamp(", ") AS TIME)"},
        [SPAN] = {"to_microseconds(", ")"},
        [MOMENT] = {"make_timestamp(", ")"},
        [INSTANT] = {"CAST(make_timestamp(", ") AS TIMESTAMP WITH TIME ZONE)"}};
    if (!fr_sql_whole(text, NULL))
        return false;
    if (c->number == CLOCK && fr_str_is(text, "86400000000"))
        fr_buf_text(b, "TIME '24:00:00'");
    else
        fr_buf_printf(b, "%s%.*s%s", forms[c->number][0], FR_ARG(text), forms[c->number][1]);
    return true;
}

/* False, and nothing is put: it is no value of the column's kind. */
static bool put_typed(fr_buf *b, const fr_verify_column *c, fr_kind kind, fr_str text)
{
    if (!fr_verify_fits(kind, text) || (c->number == OCTETS && !fr_verify_hex(text)))
        return false;
    fr_arena *a = fr_arena_new(256);
    bool put = true;
    switch (c->number) {
    case TRUTH:
        fr_buf_text(b, fr_str_is(text, "0") ? "false" : "true");
        break;
    case WHOLE:
    case EXACT:
        put = fr_verify_bare(text);
        fr_buf_str(b, put ? text : FR_STR(""));
        break;
    case REAL:
        text = fr_verify_readable(a, kind, text);
        put = kind == FR_FLOAT32 || kind == FR_FLOAT64 || fr_verify_bare(text);
        if (put)
            fr_buf_printf(b, "CAST('%.*s' AS DOUBLE)", FR_ARG(text));
        break;
    case OCTETS:
        fr_buf_printf(b, "unhex('%.*s')", FR_ARG(text));
        break;
    case NUMBERED:
        fr_buf_text(b, "CAST(");
        put_text(b, text);
        fr_buf_text(b, " AS UUID)");
        break;
    case DAY:
    case CLOCK:
    case SPAN:
    case MOMENT:
    case INSTANT:
        put = put_time(b, c, text);
        break;
    default:
        put_text(b, text);
        break;
    }
    fr_arena_free(a);
    return put;
}

static void put_literal(fr_verify *base, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text)
{
    (void)base;
    if (text.ptr == NULL)
        fr_buf_text(b, "NULL");
    else if (c == NULL || c->number == LETTERS)
        put_letters(b, kind, text);
    else if (!put_typed(b, c, kind, text))
        fr_buf_text(b, "NULL"); /* no row has it */
}

static bool fits(const fr_verify_column *c, fr_kind kind, fr_str text)
{
    fr_buf ignored = {0};
    bool good =
        c->number == LETTERS ? fr_verify_fits(kind, text) : put_typed(&ignored, c, kind, text);
    fr_buf_free(&ignored);
    return good;
}

/* ---- asking ---- */

typedef struct asking {
    duck_verify *v;
    const fr_duck_api *d;
    fr_verify_row *each;
    void *context;
    int64_t end_us; /* 0: never */
} asking;

static fr_rc too_late(fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "compare rows: it took longer than --timeout");
    return fr_fail_code(err, "verify.timeout");
}

static bool is_late(const asking *k)
{
    return k->end_us > 0 && fr_now_us() >= k->end_us;
}

/* Before there is a result an error is a text only. */
static fr_rc failed_pending(const asking *k, duckdb_pending_result pending, fr_err *err)
{
    static const struct {
        const char *word;
        int type;
    } known[] = {{"Conversion Error", FR_DUCK_E_CONVERSION},
                 {"Out of Range Error", FR_DUCK_E_OUT_OF_RANGE},
                 {"Out of Memory Error", FR_DUCK_E_OUT_OF_MEMORY},
                 {"INTERRUPT Error", FR_DUCK_E_INTERRUPT},
                 {"INTERNAL Error", FR_DUCK_E_INTERNAL},
                 {"FATAL Error", FR_DUCK_E_FATAL},
                 {"IO Error", FR_DUCK_E_IO}};
    const char *text = k->d->pending_error(pending);
    int type = FR_DUCK_E_INVALID_INPUT;
    for (size_t i = 0; text != NULL && i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(text, known[i].word, strlen(known[i].word)) == 0)
            type = known[i].type;
    return fr_duck_sink_error((duckdb_error_type)type, text, "compare rows", err);
}

static fr_str cell_at(duckdb_vector vector, const fr_duck_api *d, size_t row)
{
    const duckdb_string_t *t = (const duckdb_string_t *)d->vector_get_data(vector) + row;
    const uint64_t *valid = d->vector_get_validity(vector);
    if (valid != NULL && !(valid[row / 64] >> row % 64 & 1))
        return (fr_str){NULL, 0};
    return fr_duck_text(t);
}

static fr_rc give_chunk(const asking *k, duckdb_data_chunk chunk, size_t columns, fr_str *cells,
                        fr_err *err)
{
    size_t count = k->d->data_chunk_get_size(chunk);
    for (size_t row = 0; row < count; row++) {
        for (size_t c = 0; c < columns; c++)
            cells[c] = cell_at(k->d->data_chunk_get_vector(chunk, c), k->d, row);
        FR_TRY(k->each(k->context, cells, columns, err));
    }
    return FR_OK;
}

/* Where DuckDB fails while it makes rows they end, and the result says why. */
static fr_rc give_rows(const asking *k, duckdb_result *r, fr_err *err)
{
    size_t columns = k->d->column_count(r);
    fr_str *cells = fr_malloc((columns + 1) * sizeof(*cells));
    fr_rc rc = FR_OK;
    for (duckdb_data_chunk chunk; rc == FR_OK && (chunk = k->d->fetch_chunk(*r)) != NULL;) {
        rc = give_chunk(k, chunk, columns, cells, err);
        k->d->destroy_data_chunk(&chunk);
        if (rc == FR_OK && is_late(k))
            rc = too_late(err);
    }
    const char *text = rc == FR_OK ? k->d->result_error(r) : NULL;
    if (text != NULL)
        rc = fr_duck_sink_error(k->d->result_error_type(r), text, "compare rows", err);
    free(cells);
    return rc;
}

static fr_rc run_pending(const asking *k, duckdb_pending_result pending, fr_err *err)
{
    duckdb_result r;
    int state;
    while ((state = (int)k->d->pending_execute_task(pending)) == FR_DUCK_P_NOT_READY ||
           state == FR_DUCK_P_NO_TASKS) {
        if (is_late(k))
            return too_late(err);
        if (state == FR_DUCK_P_NO_TASKS)
            fr_sleep_us(1000);
    }
    if (state == FR_DUCK_P_ERROR)
        return failed_pending(k, pending, err);
    fr_rc rc = FR_OK;
    if (k->d->execute_pending(pending, &r) != 0)
        rc = fr_duck_sink_error(k->d->result_error_type(&r), k->d->result_error(&r), "compare rows",
                                err);
    else
        rc = give_rows(k, &r, err);
    k->d->destroy_result(&r);
    return rc;
}

/* All columns as texts, which is all that is read; row by row, for an answer may be larger than
 * memory. */
static fr_rc ask(const asking *k, fr_str sql, fr_err *err)
{
    duckdb_prepared_statement stmt = NULL;
    duckdb_pending_result pending = NULL;
    fr_buf text = {0};
    fr_buf_printf(&text, "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (%.*s) AS q", FR_ARG(sql));
    fr_buf_u8(&text, '\0');
    fr_rc rc = FR_OK;
    if (k->d->prepare(k->v->sink->con, (const char *)text.ptr, &stmt) != 0)
        rc = fr_duck_sink_error(FR_DUCK_E_BINDER, k->d->prepare_error(stmt), "compare rows", err);
    else if (k->d->pending_prepared_streaming(stmt, &pending) != 0)
        rc = failed_pending(k, pending, err);
    else
        rc = run_pending(k, pending, err);
    if (pending != NULL)
        k->d->destroy_pending(&pending);
    k->d->destroy_prepare(&stmt);
    fr_buf_free(&text);
    return rc;
}

static fr_rc query(fr_verify *base, fr_str sql, fr_verify_row *each, void *context, fr_err *err)
{
    duck_verify *v = (duck_verify *)base;
    FR_TRY(open_file(v, err));
    const asking k = {.v = v,
                      .d = v->sink->api,
                      .each = each,
                      .context = context,
                      .end_us = v->timeout_us > 0 ? fr_now_us() + v->timeout_us : 0};
    fr_rc rc = ask(&k, sql, err);
    fr_duck_sink_shut(v->sink);
    return rc;
}

const fr_verify_ops fr_duckdb_verify = {
    .open_sink = open_sink,
    .close = duck_verify_close,
    .describe = describe,
    .text = text_of,
    .put_literal = put_literal,
    .fits = fits,
    .script = "SET TimeZone = 'UTC';\n",
    .finds = finds,
    .ident = fr_sql_ident,
    .query = query,
    .join_open = "(",
    .join_between = " || ",
    .join_close = ")",
    .length_open = "CAST(length(",
    .length_close = ") AS VARCHAR)",
    .hash_open = "CAST('0x' || substr(md5(",
    .hash_close = "), 1, 15) AS UBIGINT)",
};
