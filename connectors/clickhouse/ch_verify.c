/* ClickHouse asked by `freshet verify` (connect/verify.h), as a target: its current rows, of FINAL,
 * those that are marked left out. */
#include "clickhouse/ch_verify.h"
#include "clickhouse/ch_sink.h"
#include "clickhouse/ch_tab.h"
#include "clickhouse/ch_value.h"
#include "sql/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names in our statements are the table's, not those that we give to what we select; texts are as
 * we need them whatever the user's profile says; FINAL looks at all partitions together. */
#define SESSION                                                                                    \
    "&prefer_column_name_to_alias=1&output_format_decimal_trailing_zeros=0"                        \
    "&do_not_merge_across_partitions_select_final=0&max_query_size=268435456"                      \
    "&select_sequential_consistency=1&max_ast_elements=1000000&max_expanded_ast_elements=1000000"  \
    "&output_format_tsv_crlf_end_of_line=0&readonly=2"

typedef struct ch_verify {
    fr_verify base;
    fr_ch *ch;
    char settings[512];
} ch_verify;

static void ch_verify_close(fr_verify *base)
{
    ch_verify *v = (ch_verify *)base;
    if (v == NULL)
        return;
    fr_ch_close(v->ch);
    free(v);
}

static fr_rc open_sink(const fr_sink_settings *settings, int64_t timeout_us, fr_verify **out,
                       fr_err *err)
{
    const fr_ch_sink_config *c = settings->connector;
    const fr_ch_server server = {c->dsn, c->password, c->insecure};
    fr_ch *ch = NULL;
    FR_TRY(fr_ch_open(&server, &ch, err));
    ch_verify *v = fr_malloc(sizeof(*v));
    v->base.ops = &fr_clickhouse_verify;
    v->ch = ch;
    snprintf(v->settings, sizeof(v->settings), "&max_execution_time=%" PRId64 SESSION,
             timeout_us / 1000000);
    fr_ch_patience(ch, timeout_us > 0 ? timeout_us / 1000 + 10000 : 0);
    *out = &v->base;
    return FR_OK;
}

/* ---- what is there ---- */

/* The newest state of each partition: what is under way begins at its offset, so that a sink is
 * behind until all of it is there (ch_sink_offsets.c). */
static fr_str offsets_from(fr_arena *a, fr_str qualified)
{
    return fr_arena_printf(a,
                           "(SELECT pipeline, sink, topic, partition, argMax(next_offset, version) "
                           "AS next_offset FROM %.*s WHERE what = 'state' GROUP BY pipeline, sink, "
                           "topic, partition) AS t",
                           FR_ARG(qualified));
}

static fr_rc no_current_rows(fr_str qualified, fr_str engine, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%.*s is a %.*s, which has no current rows", FR_ARG(qualified),
            FR_ARG(engine));
    fr_fail_code(err, "verify.table");
    return fr_fail_hint(err, "upserts go into a ReplacingMergeTree: freshet plan says what is in "
                             "the way of this table");
}

static fr_rc set_from(fr_arena *a, fr_str engine, fr_str full, bool marked, fr_verify_table *out,
                      fr_err *err)
{
    fr_ch_target r = {0};
    fr_ch_target_engine(a, engine, full, 0, &r);
    if (!fr_str_is(r.engine, "ReplacingMergeTree"))
        return no_current_rows(out->name, engine, err);
    out->from = marked && r.deleted.len == 0
                    ? fr_arena_printf(
                          a, "(SELECT * FROM %.*s FINAL WHERE `" FR_TARGET_DELETED "` = 0) AS t",
                          FR_ARG(out->name))
                    : fr_arena_printf(a, "%.*s FINAL", FR_ARG(out->name));
    return FR_OK;
}

/* Columns that are computed are no values of ours. */
static bool take_column(const fr_ch_cells *c, size_t row, fr_verify_column *out)
{
    fr_str how = fr_ch_cell(c, row, 2);
    if (fr_str_is(how, "MATERIALIZED") || fr_str_is(how, "ALIAS") || fr_str_is(how, "EPHEMERAL"))
        return false;
    *out = (fr_verify_column){.name = fr_ch_cell(c, row, 0), .type = fr_ch_cell(c, row, 1)};
    fr_ch_type t = fr_ch_type_of(out->type);
    out->nullable = t.nullable;
    out->number = t.base;
    return true;
}

static fr_rc describe(fr_verify *base, fr_arena *a, fr_str space, fr_str name, fr_verify_table *out,
                      fr_err *err)
{
    ch_verify *v = (ch_verify *)base;
    fr_ch_cells tables, columns;
    fr_str database = space.len > 0 ? space : fr_cstr(fr_ch_database(v->ch));
    fr_ch_call call = {.doing = "read the target",
                       .sql = FR_STR("SELECT engine, engine_full FROM system.tables WHERE database "
                                     "= {d:String} AND name = {n:String}"),
                       .params = {{"d", database}, {"n", name}}};
    FR_TRY(fr_ch_select(v->ch, a, call, &tables, err));
    if (tables.count == 0)
        return FR_END;
    call.sql = FR_STR("SELECT name, type, default_kind FROM system.columns WHERE database = "
                      "{d:String} AND table = {n:String} ORDER BY position");
    FR_TRY(fr_ch_select(v->ch, a, call, &columns, err));
    out->name = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(fr_ch_ident(a, database)),
                                FR_ARG(fr_ch_ident(a, name)));
    out->columns = fr_arena_alloc(a, (columns.count + 1) * sizeof(*out->columns));
    out->column_count = 0;
    out->mark = NULL; /* put_fix does it */
    bool marked = false;
    for (size_t i = 0; i < columns.count; i++) {
        marked = marked || fr_str_is(fr_ch_cell(&columns, i, 0), FR_TARGET_DELETED);
        out->column_count += take_column(&columns, i, &out->columns[out->column_count]) ? 1 : 0;
    }
    if (fr_str_is(name, FR_TARGET_OFFSETS)) {
        out->from = offsets_from(a, out->name);
        return FR_OK;
    }
    return set_from(a, fr_ch_cell(&tables, 0, 0), fr_ch_cell(&tables, 0, 1), marked, out, err);
}

/* ---- values ---- */

/* Microseconds of a time of day as the sink writes it; any other spelling is equal to nothing. @:
 * the text. */
static const char clock_sql[] =
    "if(match(@, '^-?[0-9]{2,4}:[0-9]{2}:[0-9]{2}([.][0-9]{6})?$'), "
    "toString(if(startsWith(@, '-'), -1, 1) * ((toInt64OrZero(extract(@, '^-?([0-9]+):')) * 60 + "
    "toInt64OrZero(extract(@, ':([0-9]+):'))) * 60000000 + "
    "toInt64OrZero(replaceOne(rightPad(extract(@, ':([0-9.]+)$'), 9, '.000000'), '.', '')))), @)";

static fr_str of_clock(fr_arena *a, fr_str x)
{
    fr_buf b = {.arena = a};
    for (const char *at = clock_sql; *at != '\0'; at++) {
        if (*at == '@')
            fr_buf_str(&b, x);
        else
            fr_buf_u8(&b, (uint8_t)*at);
    }
    return fr_buf_view(&b);
}

/* In a column of texts. Casts of FixedString lose zero bytes, joining it does not. */
static fr_verify_form letters(fr_arena *a, const fr_ch_type *t, fr_kind kind, fr_str x, fr_str *out)
{
    *out = t->base == FR_CH_FIXED ? fr_verify_around(a, "(", x, " || '')") : x;
    switch (kind) {
    case FR_TEXT:
        return FR_VERIFY_CANONICAL;
    case FR_BYTES:
        *out = fr_verify_around(a, "lower(hex(", x, "))");
        return FR_VERIFY_CANONICAL;
    case FR_UUID:
        *out = fr_verify_around(a, "lower(", *out, ")");
        return FR_VERIFY_CANONICAL;
    case FR_TIME:
        *out = of_clock(a, *out);
        return FR_VERIFY_CANONICAL;
    case FR_FLOAT32: /* "0.1" there is not the float 0.1 */
        return FR_VERIFY_NEVER;
    default:
        return FR_VERIFY_RAW;
    }
}

static fr_verify_form number(fr_arena *a, const fr_ch_type *t, fr_kind kind, fr_str x, fr_str *out)
{
    bool whole = t->base == FR_CH_INT || t->base == FR_CH_UINT;
    *out = fr_verify_around(a, "toString(", x, ")");
    if (kind == FR_BOOL && t->base == FR_CH_BOOL)
        *out = fr_verify_around(a, "toString(toUInt8(", x, "))");
    else if (kind == FR_INT32 && t->base == FR_CH_FLOAT64)
        return FR_VERIFY_RAW;
    else if (!whole && t->base != FR_CH_DECIMAL)
        return FR_VERIFY_NEVER;
    return FR_VERIFY_CANONICAL;
}

/* + 0: -0 is 0. */
static fr_verify_form real(fr_arena *a, const fr_ch_type *t, fr_str x, fr_str *out)
{
    *out = fr_arena_printf(a,
                           "if(isNaN(%.*s), '7ff8000000000000', "
                           "leftPad(lower(hex(reinterpretAsUInt64(toFloat64(%.*s) + 0))), 16, "
                           "'0'))",
                           FR_ARG(x), FR_ARG(x));
    return t->base == FR_CH_FLOAT32 || t->base == FR_CH_FLOAT64 ? FR_VERIFY_CANONICAL
                                                                : FR_VERIFY_NEVER;
}

/* A DateTime64 counts parts of a second since 1970 in UTC, whatever its zone. What has more digits
 * than a microsecond is equal to nothing. */
static fr_verify_form moment(fr_arena *a, const fr_ch_type *t, fr_str x, fr_str *out)
{
    static const char *const parts[] = {"10", "100", "1000"};
    if (t->base == FR_CH_DATETIME)
        *out = fr_verify_around(a, "toString(toInt64(toUnixTimestamp(", x, ")) * 1000000)");
    else if (t->base == FR_CH_DATETIME64 && t->scale <= 6)
        *out = fr_verify_around(a, "toString(toUnixTimestamp64Micro(", x, "))");
    else if (t->base == FR_CH_DATETIME64)
        *out = fr_arena_printf(a,
                               "if(reinterpretAsInt64(%.*s) %% %s = 0, "
                               "toString(intDiv(reinterpretAsInt64(%.*s), %s)), toString(%.*s))",
                               FR_ARG(x), parts[t->scale - 7], FR_ARG(x), parts[t->scale - 7],
                               FR_ARG(x));
    else
        return FR_VERIFY_NEVER;
    return FR_VERIFY_CANONICAL;
}

static fr_verify_form text_of(fr_verify *base, fr_arena *a, const fr_verify_column *c, fr_kind kind,
                              fr_str *out)
{
    fr_str x = fr_ch_ident(a, c->name);
    fr_ch_type t = fr_ch_type_of(c->type);
    (void)base;
    if (t.base == FR_CH_STRING || t.base == FR_CH_FIXED)
        return letters(a, &t, kind, x, out);
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        return number(a, &t, kind, x, out);
    case FR_FLOAT32:
    case FR_FLOAT64:
        return real(a, &t, x, out);
    case FR_UUID:
        *out = fr_verify_around(a, "toString(", x, ")");
        return t.base == FR_CH_UUID ? FR_VERIFY_CANONICAL : FR_VERIFY_NEVER;
    case FR_DATE:
        *out = fr_verify_around(a, "toString(toInt32(", x, "))");
        return t.base == FR_CH_DATE || t.base == FR_CH_DATE32 ? FR_VERIFY_CANONICAL
                                                              : FR_VERIFY_NEVER;
    case FR_DATETIME:
    case FR_TIMESTAMP:
        return moment(a, &t, x, out);
    default:
        return FR_VERIFY_NEVER;
    }
}

/* What is written into a column of texts the sink writes in one way, but for decimals and the case
 * of UUIDs. */
static bool finds(fr_verify *base, const fr_verify_column *c, fr_kind kind)
{
    fr_ch_type t = fr_ch_type_of(c->type);
    (void)base;
    if (t.base != FR_CH_STRING && t.base != FR_CH_FIXED)
        return t.base != FR_CH_DATETIME64 || t.scale <= 6;
    return kind == FR_TEXT || kind == FR_BYTES || kind >= FR_DATE;
}

/* ---- literals ---- */

/* Bytes that a literal need not bear are written as digits. */
static void put_text(fr_buf *b, fr_str text)
{
    fr_arena *a = fr_arena_new(256);
    bool plain = fr_utf8_valid(text);
    for (size_t i = 0; i < text.len; i++)
        plain = plain && (unsigned char)text.ptr[i] >= ' ';
    if (plain) {
        fr_buf_str(b, fr_ch_literal(a, text));
    } else {
        fr_buf_text(b, "unhex('");
        fr_buf_hex(b, text);
        fr_buf_text(b, "')");
    }
    fr_arena_free(a);
}

static void put_letters(fr_buf *b, fr_kind kind, fr_str text)
{
    fr_buf as = {0};
    fr_sql_put_canonical(&as, kind, text);
    if (kind == FR_BYTES && fr_verify_hex(text))
        fr_buf_printf(b, "unhex('%.*s')", FR_ARG(text));
    else
        put_text(b, fr_buf_view(&as));
    fr_buf_free(&as);
}

/* Numbers beyond 64 bits would be read as floating-point ones. */
static void put_number(fr_buf *b, const fr_ch_type *t, fr_str text)
{
    if (t->base == FR_CH_BOOL)
        fr_buf_text(b, fr_str_is(text, "0") ? "false" : "true");
    else if (t->base == FR_CH_DECIMAL)
        fr_buf_printf(b, "CAST('%.*s', 'Decimal(76, %d)')", FR_ARG(text), t->scale);
    else if (fr_sql_whole(text, NULL))
        fr_buf_str(b, text);
    else
        fr_buf_printf(b, "CAST('%.*s', 'Int256')", FR_ARG(text));
}

static void put_time(fr_buf *b, const fr_ch_type *t, fr_kind kind, fr_str text)
{
    if (kind == FR_DATE)
        fr_buf_printf(b, "CAST(toInt32(%.*s), '%s')", FR_ARG(text),
                      t->base == FR_CH_DATE ? "Date" : "Date32");
    else
        fr_buf_printf(b, "fromUnixTimestamp64Micro(toInt64(%.*s), 'UTC')", FR_ARG(text));
}

static void put_typed(fr_buf *b, const fr_ch_type *t, fr_kind kind, fr_str text)
{
    switch (kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
        if (fr_verify_bare(text)) {
            put_number(b, t, text);
            return;
        }
        break;
    case FR_FLOAT32:
    case FR_FLOAT64:
        if (fr_verify_fits(kind, text)) {
            fr_buf_printf(b, "reinterpretAsFloat64(reverse(unhex('%.*s')))", FR_ARG(text));
            return;
        }
        break;
    case FR_DATE:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        if (fr_sql_whole(text, NULL)) {
            put_time(b, t, kind, text);
            return;
        }
        break;
    default:
        put_text(b, text);
        return;
    }
    fr_buf_text(b, "NULL"); /* no value of the kind, and so of no row */
}

static void put_literal(fr_verify *base, fr_buf *b, const fr_verify_column *c, fr_kind kind,
                        fr_str text)
{
    fr_ch_type t = c == NULL ? (fr_ch_type){.base = FR_CH_STRING} : fr_ch_type_of(c->type);
    (void)base;
    if (text.ptr == NULL)
        fr_buf_text(b, "NULL");
    else if (t.base == FR_CH_STRING || t.base == FR_CH_FIXED)
        put_letters(b, kind, text);
    else
        put_typed(b, &t, kind, text);
}

/* ---- repairs: another version of a row, one above those that are there ---- */

static bool has_mark(const fr_verify_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (fr_str_is(t->columns[i].name, FR_TARGET_DELETED))
            return true;
    return false;
}

#define AT "`" FR_TARGET_POSITION "`"
#define GONE "`" FR_TARGET_DELETED "`"
/* The same repair once more is no block that comes twice; NULL is no default. */
static const char insert_settings[] =
    " SETTINGS insert_deduplicate = 0, async_insert = 0, insert_null_as_default = 0;\n";

/* ClickHouse would wrap or clamp what the sink refuses. */
static fr_rc check_fits(const fr_verify_cell *cell, fr_err *err)
{
    fr_arena *a = fr_arena_new(256);
    fr_buf ignored = {.arena = a};
    fr_ch_type t = fr_ch_type_of(cell->column->type);
    fr_column c = {.name = cell->column->name, .kind = cell->kind};
    fr_value v = {.kind = FR_NULL};
    fr_rc rc = FR_OK;
    if (cell->text.ptr != NULL && !fr_sql_value_of(a, cell->kind, cell->text, &v, &c.scale))
        rc = fr_fail(err, FR_ERR_DATA, "column %.*s: it is no value that could be published",
                     FR_ARG(c.name));
    else
        rc = fr_ch_put_value(&ignored, &t, &c, &v, err);
    fr_arena_free(a);
    return rc;
}

static void put_key(fr_verify *v, fr_buf *b, const fr_verify_cell *cells, size_t count)
{
    const char *lead = " WHERE ";
    for (size_t i = 0; i < count; i++) {
        if (!cells[i].key)
            continue;
        fr_buf_printf(b, "%s%.*s = ", lead, FR_ARG(fr_ch_ident(b->arena, cells[i].column->name)));
        put_literal(v, b, cells[i].column, cells[i].kind, cells[i].text);
        lead = " AND ";
    }
}

static void put_new(fr_verify *v, fr_buf *b, const fr_verify_table *t, const fr_verify_cell *cells,
                    size_t count)
{
    fr_buf_printf(b, "INSERT INTO %.*s (", FR_ARG(t->name));
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(b, "%.*s, ", FR_ARG(fr_ch_ident(b->arena, cells[i].column->name)));
    fr_buf_printf(b, AT "%s) SELECT ", has_mark(t) ? ", " GONE : "");
    for (size_t i = 0; i < count; i++) {
        put_literal(v, b, cells[i].column, cells[i].kind, cells[i].text);
        fr_buf_text(b, ", ");
    }
    fr_buf_printf(b, "(SELECT max(" AT ") FROM %.*s", FR_ARG(t->name));
    put_key(v, b, cells, count);
    fr_buf_printf(b, ") + 1%s", has_mark(t) ? ", 0" : "");
}

static void put_changed(fr_verify *v, fr_buf *b, const fr_verify_table *t, bool gone,
                        const fr_verify_cell *cells, size_t count)
{
    fr_buf_printf(b, "INSERT INTO %.*s SELECT * REPLACE (", FR_ARG(t->name));
    for (size_t i = 0; i < count; i++) {
        if (!cells[i].set)
            continue;
        put_literal(v, b, cells[i].column, cells[i].kind, cells[i].text);
        fr_buf_printf(b, " AS %.*s, ", FR_ARG(fr_ch_ident(b->arena, cells[i].column->name)));
    }
    fr_buf_printf(b, "%s" AT " + 1 AS " AT ") FROM %.*s FINAL", gone ? "1 AS " GONE ", " : "",
                  FR_ARG(t->name));
    put_key(v, b, cells, count);
}

static fr_rc put_fix(fr_verify *v, fr_buf *b, const fr_verify_table *t, fr_verify_act act,
                     const fr_verify_cell *cells, size_t count, fr_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (cells[i].set)
            FR_TRY(check_fits(&cells[i], err));
    if (act == FR_VERIFY_DROP && !has_mark(t))
        return fr_fail(err, FR_ERR_DATA,
                       "the table has no " FR_TARGET_DELETED ": the row cannot be taken away");
    if (act == FR_VERIFY_PUT)
        put_new(v, b, t, cells, count);
    else
        put_changed(v, b, t, act == FR_VERIFY_DROP, cells, count);
    fr_buf_text(b, insert_settings);
    return FR_OK;
}

/* ---- asking ---- */

static fr_rc on_part(void *context, fr_str bytes, fr_err *err)
{
    return fr_ch_tab_feed(context, bytes, err);
}

static fr_rc query(fr_verify *base, fr_str sql, fr_verify_row *each, void *context, fr_err *err)
{
    ch_verify *v = (ch_verify *)base;
    fr_arena *a = fr_arena_new(0);
    fr_ch_tab t = {.each = each, .context = context};
    const fr_ch_call call = {.doing = "compare rows",
                             .sql = fr_arena_printf(a, "%.*s FORMAT TabSeparated", FR_ARG(sql)),
                             .settings = v->settings,
                             .part = on_part,
                             .context = &t};
    fr_rc rc = fr_ch_ask(v->ch, &call, NULL, err);
    if (rc == FR_OK)
        rc = fr_ch_tab_end(&t, err);
    fr_ch_tab_free(&t);
    fr_arena_free(a);
    return rc;
}

const fr_verify_ops fr_clickhouse_verify = {
    .open_sink = open_sink,
    .close = ch_verify_close,
    .describe = describe,
    .text = text_of,
    .put_literal = put_literal,
    .finds = finds,
    .put_fix = put_fix,
    .ident = fr_ch_ident,
    .query = query,
    .join_open = "(",
    .join_between = " || ",
    .join_close = ")",
    .length_open = "toString(lengthUTF8(",
    .length_close = "))",
    .hash_open = "bitShiftRight(reinterpretAsUInt64(reverse(substring(MD5(",
    .hash_close = "), 1, 8))), 4)",
};
