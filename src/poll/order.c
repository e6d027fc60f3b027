#include "poll/order.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- which columns ---- */

fr_rc fr_poll_refuse(const fr_table_settings *t, const char *code, const char *what,
                     const char *hint, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s (%s)", what, t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

fr_rc fr_poll_column(const fr_table_settings *t, const fr_sql_relation *r, const char *key,
                     const char *name, size_t *out, fr_err *err)
{
    int at = fr_table_find(r->table, fr_cstr(name));
    if (at >= 0) {
        *out = (size_t)at;
        return FR_OK;
    }
    fr_buf b = {0};
    for (size_t i = 0; i < r->table->column_count; i++)
        fr_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(r->table->columns[i].name));
    fr_fail(err, FR_ERR_CONFIG, "%s: there is no column %s (%s)", key, name,
            t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "poll.column");
    fr_fail_hint(err, "its columns: %.*s", FR_ARG(fr_buf_view(&b)));
    fr_buf_free(&b);
    return FR_FAIL;
}

static void add(const fr_sql_relation *r, size_t column, fr_arena *a, fr_poll_order *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->columns[i] == column)
            return;
    if (o->count == FR_POLL_ORDER_MAX)
        return;
    o->names[o->count] = fr_arena_str(a, r->table->columns[column].name);
    o->columns[o->count++] = column;
}

/* Two rows of one number, committed one after the other: the second one would be below the cursor,
 * and in no gap. What only a view or statement says is taken at its word, and so is key. */
static fr_rc numbers_are_unique(const fr_sql_relation *r, const fr_table_settings *t, size_t column,
                                fr_err *err)
{
    const fr_table *table = r->table;
    fr_str name = table->columns[column].name;
    bool said = t->key.count == 1 && fr_str_is(name, t->key.items[0]);
    if (!r->plain_table || r->unique[column] || said)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "poll.column %.*s is a number that rows may share: one of them that is committed later "
            "than the others would be missed (%s)",
            FR_ARG(name), t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "poll.not_unique");
    return fr_fail_hint(err,
                        "make it unique: CREATE UNIQUE INDEX ... ON %.*s.%.*s (%.*s); or, if it "
                        "is, say so: key: [%.*s]",
                        FR_ARG(table->space), FR_ARG(table->name), FR_ARG(name), FR_ARG(name));
}

/* A number that was handed out before its transaction began is in no list of open ones. */
static fr_rc numbers_come_in_time(const fr_sql_relation *r, const fr_table_settings *t,
                                  size_t column, fr_err *err)
{
    fr_str sequence = r->ahead == NULL ? (fr_str){NULL, 0} : r->ahead[column];
    if (sequence.len == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "the numbers of poll.column come from sequence %.*s, of which each session takes many "
            "ahead: one that is used much later would be missed (%s)",
            FR_ARG(sequence), t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "poll.sequence");
    return fr_fail_hint(err, "ALTER SEQUENCE %.*s CACHE 1; and connect anew whoever writes",
                        FR_ARG(sequence));
}

/* A number that comes again lies below the cursor, and its row would be missed. */
static fr_rc numbers_are_new(const fr_sql_relation *r, const fr_table_settings *t, size_t column,
                             fr_err *err)
{
    fr_str name = r->table->columns[column].name;
    if (r->reused == NULL || !r->reused[column] || t->append_only)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "poll.column %.*s: the number of a last row that was deleted may be given to the next "
            "one, which would be missed (%s)",
            FR_ARG(name), t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "poll.reused");
    return fr_fail_hint(err,
                        "%.*s; or, if rows are never deleted, say so: append_only: true; or "
                        "poll a time",
                        FR_ARG(r->once));
}

static fr_rc cursor_of(const fr_sql_relation *r, const fr_table_settings *t, fr_arena *a,
                       fr_poll_order *o, fr_err *err)
{
    size_t at = 0;
    const char *cursor = fr_table_cursor(t);
    if (cursor == NULL)
        return fr_poll_refuse(t, "poll.column", "poll.column is not set",
                              "name the column that grows with each change: a time, or a number",
                              err);
    FR_TRY(fr_poll_column(t, r, "poll.column", cursor, &at, err));
    const fr_column *c = &r->table->columns[at];
    o->number =
        c->kind == FR_INT32 || c->kind == FR_INT64 || (c->kind == FR_DECIMAL && c->scale == 0);
    add(r, at, a, o);
    if (c->kind == FR_DATETIME &&
        (t->poll_timezone == NULL || strcmp(t->poll_timezone, "UTC") != 0))
        return fr_poll_refuse(
            t, "poll.timezone",
            "poll.column is a time without a zone: an hour comes twice a year, and rows "
            "of the second one would be missed",
            "if whoever writes it writes UTC: poll.timezone: UTC", err);
    if (o->number) {
        if (t->poll_tiebreak != NULL || t->poll_max_skew_us > 0)
            return fr_poll_refuse(
                t, "poll.column",
                "poll.tiebreak and poll.max_skew are of times, and poll.column is a number",
                "remove them, or name a time in poll.column", err);
        FR_TRY(numbers_are_unique(r, t, at, err));
        FR_TRY(numbers_are_new(r, t, at, err));
        return numbers_come_in_time(r, t, at, err);
    }
    if (c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP)
        return FR_OK;
    return fr_poll_refuse(t, "poll.column",
                          "poll.column is neither a time with a time of day nor a number",
                          "name a column of such a type, or make one in poll.query", err);
}

/* Equal times are told apart by poll.tiebreak and the key, which is the configured or the
 * primary one. */
static fr_rc ties_of(const fr_sql_relation *r, const fr_table_settings *t, fr_arena *a,
                     fr_poll_order *o, fr_err *err)
{
    size_t at = 0;
    if (t->poll_tiebreak != NULL) {
        FR_TRY(fr_poll_column(t, r, "poll.tiebreak", t->poll_tiebreak, &at, err));
        add(r, at, a, o);
    }
    for (size_t i = 0; i < t->key.count; i++) {
        FR_TRY(fr_poll_column(t, r, "key", t->key.items[i], &at, err));
        add(r, at, a, o);
    }
    for (uint16_t n = 1; t->key.count == 0 && n <= r->table->column_count; n++)
        for (size_t i = 0; i < r->table->column_count; i++)
            if (r->table->columns[i].key_ordinal == n)
                add(r, i, a, o);
    for (size_t i = 1; i < o->count; i++)
        if (r->table->columns[o->columns[i]].nullable && !r->statement)
            return fr_poll_refuse(t, "poll.tiebreak",
                                  "a column that orders equal times may be NULL",
                                  "name a NOT NULL column in poll.tiebreak, or set key", err);
    if (o->count > 1 || o->number)
        return FR_OK;
    return fr_poll_refuse(t, "poll.tiebreak", "nothing tells rows of the same time apart",
                          "name the columns that are unique: key, or poll.tiebreak", err);
}

/* Of a text nobody can say what it means: Y, N, or the empty one. */
static fr_rc delete_column_of(const fr_sql_relation *r, const fr_table_settings *t, int *out,
                              fr_err *err)
{
    size_t at = 0;
    if (t->poll_delete_column == NULL)
        return fr_poll_refuse(t, "poll.delete_column", "poll.delete_column is not set",
                              "poll.deletes: soft-column needs the column that says so", err);
    FR_TRY(fr_poll_column(t, r, "poll.delete_column", t->poll_delete_column, &at, err));
    switch (r->table->columns[at].kind) {
    case FR_BOOL:
    case FR_INT32:
    case FR_INT64:
    case FR_DECIMAL:
    case FR_DATE:
    case FR_DATETIME:
    case FR_TIMESTAMP:
        *out = (int)at;
        return FR_OK;
    default:
        return fr_poll_refuse(
            t, "poll.delete_column",
            "poll.delete_column is neither a flag, nor a number, nor a date or time",
            "make a view with such a column, and poll the view", err);
    }
}

fr_rc fr_poll_order_of(const fr_sql_relation *r, const fr_table_settings *t, fr_arena *a,
                       fr_poll_order *out, fr_err *err)
{
    fr_poll_order o = {.deleted = -1};
    FR_TRY(cursor_of(r, t, a, &o, err));
    if (!o.number) /* numbers are unique */
        FR_TRY(ties_of(r, t, a, &o, err));
    if (t->poll_deletes == 1)
        FR_TRY(delete_column_of(r, t, &o.deleted, err));
    *out = o;
    return FR_OK;
}

fr_rc fr_poll_cursor_value(const fr_column *c, const fr_value *v, int64_t *out, fr_err *err)
{
    if (v->kind == FR_DECIMAL && v->bytes.len <= 8) {
        int64_t n = v->bytes.len > 0 && (uint8_t)v->bytes.ptr[0] >= 0x80 ? -1 : 0;
        for (size_t i = 0; i < v->bytes.len; i++)
            n = (int64_t)((uint64_t)n << 8 | (uint8_t)v->bytes.ptr[i]);
        *out = n;
        return FR_OK;
    }
    if (v->kind == FR_INT32 || v->kind == FR_INT64 || v->kind == FR_DATETIME ||
        v->kind == FR_TIMESTAMP) {
        *out = v->integer;
        return FR_OK;
    }
    fr_fail(err, FR_ERR_DATA, "column %.*s: a cursor that cannot be used: %s", FR_ARG(c->name),
            v->kind == FR_DECIMAL ? "a number beyond 64 bits" : fr_kind_name(v->kind));
    fr_fail_code(err, "poll.cursor");
    return fr_fail_hint(err,
                        "correct the row (infinity is no time), or leave it out by poll.query");
}

static size_t leading_zeros(fr_str bytes)
{
    size_t n = 0;
    while (n < bytes.len && bytes.ptr[n] == 0)
        n++;
    return n;
}

void fr_poll_bury(const fr_poll_order *o, fr_event *e)
{
    if (o->deleted < 0)
        return;
    const fr_value *v = &e->after.values[o->deleted];
    bool gone = v->kind > FR_NULL;
    if (v->kind == FR_BOOL)
        gone = v->boolean;
    else if (v->kind == FR_INT32 || v->kind == FR_INT64)
        gone = v->integer != 0;
    else if (v->kind == FR_DECIMAL) /* of all bytes zero */
        gone = leading_zeros(v->bytes) < v->bytes.len;
    if (!gone)
        return;
    e->op = FR_OP_DELETE;
    e->before = e->after;
    e->after = (fr_row){0};
}

/* ---- SQL ---- */

void fr_poll_put_name(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r, fr_str name)
{
    if (ops->put_name != NULL)
        ops->put_name(b, r, name);
    else
        ops->put_ident(b, name);
}

/* limit: rows; 0: all. */
static void begin_select(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r, size_t limit)
{
    fr_buf_text(b, "SELECT ");
    if (limit > 0 && ops->put_limit != NULL)
        ops->put_limit(b, r, limit, false);
}

static void end_select(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r, size_t limit)
{
    if (ops->put_limit != NULL)
        ops->put_limit(b, r, limit, true);
    else
        fr_buf_printf(b, " LIMIT %zu", limit);
}

static void put_columns(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r,
                        const bool *wanted)
{
    bool star = ops->star && wanted == NULL;
    fr_buf_text(b, star ? "*" : "");
    for (size_t i = 0; i < r->table->column_count && !star; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        if (wanted == NULL || wanted[i])
            ops->put_column(b, r, i);
        else
            fr_buf_text(b, "NULL");
    }
    fr_buf_text(b, " FROM ");
    ops->put_from(b, r);
}

void fr_poll_put_select(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r,
                        const bool *wanted)
{
    begin_select(b, ops, r, 0);
    put_columns(b, ops, r, wanted);
}

fr_str fr_poll_nulls_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *r,
                         const fr_table_settings *t, const fr_poll_order *o, size_t most)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "SELECT count(*) FROM (");
    begin_select(&b, ops, r, most);
    fr_buf_text(&b, "1 AS one FROM ");
    ops->put_from(&b, r);
    fr_poll_put_where(&b, t);
    fr_poll_put_name(&b, ops, r, o->names[0]);
    fr_buf_text(&b, " IS NULL");
    end_select(&b, ops, r, most);
    fr_buf_text(&b, ") freshet_nulls");
    return fr_buf_view(&b);
}

/* (a > x OR (a = x AND (b > y OR ...))), behind a >= x, which an index can use. */
static bool put_after(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *relation,
                      const fr_poll_order *o, const fr_poll_record *r, size_t i)
{
    bool last = i + 1 == r->at_count, good = true;
    fr_buf_text(b, last ? "" : "(");
    fr_poll_put_name(b, ops, relation, o->names[i]);
    fr_buf_text(b, " > ");
    good = ops->put_value(b, relation, o->columns[i], r->at[i]);
    if (last)
        return good;
    fr_buf_text(b, " OR (");
    fr_poll_put_name(b, ops, relation, o->names[i]);
    fr_buf_text(b, " = ");
    good = ops->put_value(b, relation, o->columns[i], r->at[i]) && good;
    fr_buf_text(b, " AND ");
    good = put_after(b, ops, relation, o, r, i + 1) && good;
    fr_buf_text(b, "))");
    return good;
}

static bool put_range(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *relation,
                      const fr_poll_order *o, const fr_poll_record *r)
{
    bool good = true;
    if (r->at_count > 1) {
        fr_poll_put_name(b, ops, relation, o->names[0]);
        fr_buf_text(b, " >= ");
        good = ops->put_value(b, relation, o->columns[0], r->at[0]);
        fr_buf_text(b, " AND ");
    }
    if (r->at_count > 0)
        good = put_after(b, ops, relation, o, r, 0) && good;
    else {
        fr_poll_put_name(b, ops, relation, o->names[0]);
        fr_buf_text(b, " IS NOT NULL");
    }
    if (!o->number) {
        fr_buf_text(b, " AND ");
        fr_poll_put_name(b, ops, relation, o->names[0]);
        fr_buf_text(b, " < ");
        ops->put_time(b, relation, o->columns[0], r->bound_us);
    }
    return good;
}

static void put_order_by(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r,
                         const fr_poll_order *o)
{
    fr_buf_text(b, " ORDER BY ");
    for (size_t i = 0; i < o->count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_poll_put_name(b, ops, r, o->names[i]);
    }
}

/* Line breaks around the user's condition keep a comment at its end from eating more. */
void fr_poll_put_where(fr_buf *b, const fr_table_settings *t)
{
    fr_buf_text(b, " WHERE ");
    if (t->snapshot_where != NULL && t->snapshot_where[0] != '\0')
        fr_buf_printf(b, "(\n%s\n) AND ", t->snapshot_where);
}

fr_rc fr_poll_page_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *relation,
                       const fr_table_settings *t, const fr_poll_order *o, const fr_poll_record *r,
                       size_t limit, fr_str *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    begin_select(&b, ops, relation, limit);
    put_columns(&b, ops, relation, NULL);
    fr_poll_put_where(&b, t);
    if (!put_range(&b, ops, relation, o, r)) {
        fr_fail(err, FR_ERR_POSITION, "its cursor cannot be written as SQL");
        return fr_fail_code(err, "poll.cursor");
    }
    put_order_by(&b, ops, relation, o);
    end_select(&b, ops, relation, limit);
    *out = fr_buf_view(&b);
    return FR_OK;
}

static void put_gap(fr_buf *b, const fr_sql_ops *ops, const fr_sql_relation *r,
                    const fr_poll_order *o, const fr_gap *g)
{
    if (g->from == INT64_MIN) {
        fr_poll_put_name(b, ops, r, o->names[0]);
        fr_buf_printf(b, " <= %" PRId64, g->to);
    } else if (g->from == g->to) {
        fr_poll_put_name(b, ops, r, o->names[0]);
        fr_buf_printf(b, " = %" PRId64, g->from);
    } else {
        fr_poll_put_name(b, ops, r, o->names[0]);
        fr_buf_printf(b, " BETWEEN %" PRId64 " AND %" PRId64, g->from, g->to);
    }
}

fr_str fr_poll_gaps_sql(fr_arena *a, const fr_sql_ops *ops, const fr_sql_relation *relation,
                        const fr_table_settings *t, const fr_poll_order *o, const fr_gaps *g,
                        size_t ranges, int64_t *upto)
{
    fr_buf b = {.arena = a};
    size_t n = 0, first = 0;
    while (first < g->count && *upto != INT64_MIN && g->items[first].to <= *upto)
        first++;
    for (size_t i = first; i < g->count && n < ranges; i++, n++) {
        if (n == 0) {
            fr_poll_put_select(&b, ops, relation, NULL);
            fr_poll_put_where(&b, t);
            fr_buf_u8(&b, '(');
        } else {
            fr_buf_text(&b, " OR ");
        }
        put_gap(&b, ops, relation, o, &g->items[i]);
        *upto = g->items[i].to;
    }
    if (n == 0)
        return (fr_str){"", 0};
    fr_buf_u8(&b, ')');
    put_order_by(&b, ops, relation, o);
    return fr_buf_view(&b);
}

fr_rc fr_poll_highest(fr_sql *c, const fr_sql_relation *relation, const fr_poll_order *o,
                      fr_arena *a, int64_t *out, fr_err *err)
{
    fr_buf b = {.arena = a};
    fr_str text;
    char *end = NULL;
    fr_buf_text(&b, "SELECT max(");
    fr_poll_put_name(&b, c->ops, relation, o->names[0]);
    fr_buf_text(&b, ") FROM ");
    c->ops->put_from(&b, relation);
    FR_TRY(c->ops->scalar(c, fr_buf_view(&b), a, &text, err));
    if (text.ptr == NULL)
        return FR_OK;
    errno = 0;
    long long n = strtoll(fr_arena_cstr(a, text), &end, 10);
    if (errno != 0 || *end != '\0')
        return fr_fail(err, FR_ERR_DATA, "the highest %.*s is beyond 64 bits", FR_ARG(o->names[0]));
    *out = n;
    return FR_OK;
}
