/* write.mode history (sql/history.h): a look at the last row of a key, then what follows from it.
 * Whether a row says something new is asked of parameters where the server compares them as it
 * would store them; else the row is stored, compared, and taken back where it says nothing new. */
#include "mysql/my_sink.h"
#include "sql/history.h"
#include <stdlib.h>
#include <string.h>

#define FROM "`" FR_TARGET_FROM "`"
#define UNTIL "`" FR_TARGET_TO "`"
#define CURRENT "`" FR_TARGET_CURRENT "`"
#define POSITION "`" FR_TARGET_POSITION "`"
#define MOMENT "CAST(? AS DATETIME(6))"

enum { TEXT_BYTES = 32 };

/* What the server says of two values. */
typedef enum sameness {
    DIFFERS,
    SAME,
    UNSURE /* as far as parameters tell */
} sameness;

/* ---- how values are compared ---- */

static bool is_one(fr_str name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (fr_str_is(name, *names))
            return true;
    return false;
}

static bool is_number(const fr_my_field *f)
{
    static const char *const integers[] = {"tinyint", "smallint", "mediumint",
                                           "int",     "bigint",   NULL};
    return fr_str_is(f->to.type, "decimal") || is_one(f->to.type, integers);
}

/* A text of the column is stored as the bytes that came, and nothing is cut at its end. */
static bool keeps_bytes(const fr_my_sink_table *t, const fr_my_field *f)
{
    static const char *const utf8[] = {"utf8mb4", "utf8mb3", "utf8", NULL};
    static const char *const ascii[] = {"ascii", "latin1", NULL};
    static const char *const blobs[] = {"varbinary",  "tinyblob", "blob",
                                        "mediumblob", "longblob", NULL};
    fr_kind kind = t->shape.table->columns[f->column].kind;
    bool text = kind == FR_TEXT || kind == FR_JSON;
    if (f->send == FR_MY_SEND_BLOB)
        return is_one(f->to.type, blobs);
    if (f->to.charset.len == 0 || f->send != FR_MY_SEND_TEXT || fr_str_is(f->to.type, "set") ||
        (text && fr_str_is(f->to.type, "char")))
        return false;
    return is_one(f->to.charset, utf8) || (!text && is_one(f->to.charset, ascii));
}

/* The parameter as the column would have it: numbers and times that travel as texts would be
 * compared as floating-point numbers and as texts. Empty: nothing tells beforehand. */
static fr_str parameter(fr_arena *a, const fr_my_sink_table *t, const fr_my_field *f)
{
    const fr_my_target_column *to = &f->to;
    bool plain = f->send == FR_MY_SEND_INT || f->send == FR_MY_SEND_YEAR ||
                 f->send == FR_MY_SEND_FLOAT || f->send == FR_MY_SEND_DOUBLE;
    if (plain)
        return FR_STR("?");
    if (keeps_bytes(t, f))
        return FR_STR("CAST(? AS BINARY)");
    if (f->send != FR_MY_SEND_TEXT)
        return FR_STR("");
    if (is_number(f))
        return fr_arena_printf(a, "CAST(? AS DECIMAL(65,%d))",
                               fr_str_is(to->type, "decimal") ? to->scale : 0);
    if (fr_str_is(to->type, "uuid") && t->shape.table->columns[f->column].kind == FR_UUID)
        return FR_STR("CAST(? AS UUID)");
    if (fr_str_is(to->type, "date"))
        return FR_STR("CAST(? AS DATE)");
    if (fr_str_is(to->type, "datetime") || fr_str_is(to->type, "timestamp"))
        return fr_arena_printf(a, "CAST(? AS DATETIME(%d))", to->digits);
    if (fr_str_is(to->type, "time"))
        return fr_arena_printf(a, "CAST(? AS TIME(%d))", to->digits);
    return FR_STR("");
}

bool fr_my_history_compares(fr_arena *a, const fr_my_sink_table *t, const fr_my_field *f)
{
    return !f->key && parameter(a, t, f).len > 0;
}

static void put_same(fr_buf *b, const fr_my_sink_table *t, fr_str mask)
{
    bool sure = true;
    fr_buf_text(b, "IF(TRUE");
    for (size_t i = 0; i < t->shape.count; i++) {
        const fr_my_field *f = &t->fields[i];
        if (f->key || !fr_target_in_mask(mask, i))
            continue;
        fr_str p = parameter(b->arena, t, f);
        sure = sure && p.len > 0;
        if (p.len > 0)
            fr_buf_printf(
                b, keeps_bytes(t, f) ? " AND CAST(%.*s AS BINARY) <=> %.*s" : " AND %.*s <=> %.*s",
                FR_ARG(f->ident), FR_ARG(p));
    }
    fr_buf_printf(b, ", %d, 0)", sure ? SAME : UNSURE);
}

/* ---- statements ---- */

static void put_key_match(fr_buf *b, const fr_my_sink_table *t)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_my_field *f = &t->fields[t->keys[i]];
        bool exact = f->send == FR_MY_SEND_TEXT && fr_str_is(f->to.type, "decimal");
        fr_str p = exact ? parameter(b->arena, t, f) : FR_STR("?");
        fr_buf_printf(b, "%s%.*s = %.*s", i > 0 ? " AND " : "", FR_ARG(f->ident), FR_ARG(p));
    }
}

/* What a delete compares: nothing. */
static void put_last(fr_buf *b, const fr_my_sink_table *t, fr_str mask)
{
    fr_buf_text(b, POSITION ", DATE_FORMAT(" FROM ", '%Y-%m-%d %H:%i:%s.%f'), DATE_FORMAT(" UNTIL
                            ", '%Y-%m-%d %H:%i:%s.%f'), " CURRENT ", ");
    put_same(b, t, mask);
    fr_buf_printf(b, " FROM %.*s WHERE ", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_text(b, " ORDER BY " FROM " DESC LIMIT 1");
}

/* Of so many changes; an answer begins with the number of its change. */
static void put_lasts(fr_buf *b, const fr_my_sink_table *t, fr_str mask, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        fr_buf_printf(b, "%s(SELECT %zu, ", i > 0 ? " UNION ALL " : "", i);
        put_last(b, t, mask);
        fr_buf_u8(b, ')');
    }
}

static void put_end(fr_buf *b, const fr_my_sink_table *t, bool gone)
{
    fr_buf_printf(b, "UPDATE %.*s SET " UNTIL " = " MOMENT ", " CURRENT " = 0%s WHERE ",
                  FR_ARG(t->qualified), gone ? ", " POSITION " = ?" : "");
    put_key_match(b, t);
    fr_buf_text(b, " AND " FROM " = " MOMENT);
}

/* follow: what the mask has not is as in the row before. */
static void put_values(fr_buf *b, const fr_my_sink_table *t, bool follow, fr_str mask)
{
    for (size_t i = 0; i < t->shape.count; i++) {
        fr_str former = follow ? t->fields[i].ident : FR_STR("NULL");
        fr_str value = fr_target_in_mask(mask, i) ? FR_STR("?") : former;
        fr_buf_printf(b, "%.*s, ", FR_ARG(value));
    }
    fr_buf_text(b, "?, " MOMENT ", 1");
}

static void put_begin(fr_buf *b, const fr_my_sink_table *t, bool follow, fr_str mask, size_t rows)
{
    fr_buf_printf(b, "INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%.*s, ", FR_ARG(t->fields[i].ident));
    fr_buf_text(b, POSITION ", " FROM ", " CURRENT);
    fr_buf_text(b, follow ? ") SELECT " : ") VALUES ");
    for (size_t i = 0; (i < rows || i == 0) && !follow; i++) {
        fr_buf_text(b, i > 0 ? ", (" : "(");
        put_values(b, t, false, mask);
        fr_buf_u8(b, ')');
    }
    if (!follow)
        return;
    put_values(b, t, true, mask);
    fr_buf_printf(b, " FROM %.*s WHERE ", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_text(b, " AND " FROM " = " MOMENT);
}

/* Two rows of a key, once both are stored. */
static void put_stored(fr_buf *b, const fr_my_sink_table *t)
{
    fr_buf_text(b, "SELECT TRUE");
    for (size_t i = 0; i < t->shape.count; i++) {
        const fr_my_field *f = &t->fields[i];
        bool plain = f->send != FR_MY_SEND_BLOB && fr_my_history_compares(b->arena, t, f) &&
                     !keeps_bytes(t, f);
        if (f->key)
            continue;
        if (plain)
            fr_buf_printf(b, " AND n.%.*s <=> o.%.*s", FR_ARG(f->ident), FR_ARG(f->ident));
        else
            fr_buf_printf(b, " AND CAST(n.%.*s AS BINARY) <=> CAST(o.%.*s AS BINARY)",
                          FR_ARG(f->ident), FR_ARG(f->ident));
    }
    for (size_t side = 0; side < 2; side++) {
        fr_buf_printf(b, "%s(SELECT * FROM %.*s WHERE ", side == 0 ? " FROM " : ", ",
                      FR_ARG(t->qualified));
        put_key_match(b, t);
        fr_buf_printf(b, " AND " FROM " = " MOMENT ") AS %s", side == 0 ? "n" : "o");
    }
}

fr_str fr_my_history_sql(fr_arena *a, const fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                         size_t rows)
{
    fr_buf b = {.arena = a};
    if (verb == FR_MY_VERB_LAST)
        put_lasts(&b, t, mask, rows);
    else if (verb == FR_MY_VERB_STORED)
        put_stored(&b, t);
    else if (verb == FR_MY_VERB_END || verb == FR_MY_VERB_GONE)
        put_end(&b, t, verb == FR_MY_VERB_GONE);
    else
        put_begin(&b, t, verb == FR_MY_VERB_FOLLOW, mask, rows);
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}

/* ---- answers ---- */

/* A change, and what the server has of its key. */
typedef struct step {
    const fr_target_change *change;
    fr_history_last last;
    sameness same;
    fr_history_turn turn;
} step;

/* A row of LAST as it comes, by its columns. */
enum { CHANGE, PLACE, BEGAN, ENDED, NOW, SAID, ANSWERS };
typedef struct answer {
    char texts[ANSWERS][TEXT_BYTES]; /* of PLACE, BEGAN, ENDED */
    unsigned long lengths[ANSWERS];
    my_bool nulls[ANSWERS];
    long long numbers[ANSWERS]; /* of the others */
} answer;

static void bind_answer(MYSQL_BIND binds[ANSWERS], answer *got)
{
    for (int i = 0; i < ANSWERS; i++) {
        bool text = i >= PLACE && i <= ENDED;
        binds[i] = (MYSQL_BIND){.is_null = &got->nulls[i],
                                .buffer_type = text ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONGLONG,
                                .buffer = text ? (void *)got->texts[i] : (void *)&got->numbers[i],
                                .buffer_length = text ? TEXT_BYTES : sizeof(got->numbers[i]),
                                .length = &got->lengths[i]};
    }
}

static fr_rc open_answer(fr_my_sink *s, MYSQL_STMT *stmt, MYSQL_BIND *binds, fr_err *err)
{
    if (mysql_stmt_bind_result(stmt, binds) == 0 && mysql_stmt_store_result(stmt) == 0)
        return FR_OK;
    fr_my_stmt_fail(s->my, stmt, "look for rows", err);
    mysql_stmt_free_result(stmt);
    return FR_FAIL;
}

/* FR_END: there is no more; the answer is then closed, as after a failure. */
static fr_rc next_answer(fr_my_sink *s, MYSQL_STMT *stmt, fr_err *err)
{
    int rc = mysql_stmt_fetch(stmt);
    if (rc == 0 || rc == MYSQL_DATA_TRUNCATED)
        return FR_OK;
    if (rc == 1)
        fr_my_stmt_fail(s->my, stmt, "look for rows", err);
    mysql_stmt_free_result(stmt);
    return rc == 1 ? FR_FAIL : FR_END;
}

static fr_rc strange(const fr_my_sink_table *t, fr_err *err)
{
    return fr_target_bad_row(err, t->qualified, FR_STR(FR_TARGET_FROM),
                             " or " FR_TARGET_TO " of the row that is there is no time of a year "
                             "from 1970 to 9999");
}

static fr_rc take_last(fr_my_sink *s, const fr_my_sink_table *t, const answer *got, step *out,
                       fr_err *err)
{
    fr_str from = {got->texts[BEGAN], got->lengths[BEGAN]},
           until = {got->texts[ENDED], got->lengths[ENDED]};
    out->same = (sameness)got->numbers[SAID];
    out->last =
        (fr_history_last){.there = true, .now = got->numbers[NOW] != 0, .same = out->same == SAME};
    if (!got->nulls[PLACE] && got->lengths[PLACE] == FR_TARGET_POSITION_SIZE)
        out->last.position = fr_arena_copy(s->arena, got->texts[PLACE], FR_TARGET_POSITION_SIZE);
    if (!fr_history_read(from, &out->last.from_us) ||
        (!got->nulls[ENDED] && !fr_history_read(until, &out->last.until_us)))
        return strange(t, err);
    return FR_OK;
}

/* What the server has of the keys of *count changes, or of the first of them. */
static fr_rc some_lasts(fr_my_sink *s, fr_my_sink_table *t, fr_str mask,
                        const fr_target_change *items, size_t *count, step *steps, fr_err *err)
{
    MYSQL_STMT *stmt;
    answer got = {.lengths = {0}};
    MYSQL_BIND binds[ANSWERS];
    fr_rc rc;
    FR_TRY(fr_my_sink_run_some(s, t, FR_MY_VERB_LAST, mask, items, count, NULL, &stmt, err));
    bind_answer(binds, &got);
    FR_TRY(open_answer(s, stmt, binds, err));
    for (size_t i = 0; i < *count; i++)
        steps[i] = (step){.change = &items[i]};
    while ((rc = next_answer(s, stmt, err)) == FR_OK) {
        if (got.numbers[CHANGE] >= 0 && (size_t)got.numbers[CHANGE] < *count)
            rc = take_last(s, t, &got, &steps[got.numbers[CHANGE]], err);
        if (rc == FR_OK)
            continue;
        mysql_stmt_free_result(stmt);
        return rc;
    }
    return rc == FR_END ? FR_OK : rc;
}

/* ---- rows ---- */

/* When the next row of its key begins, and when the last one did. */
static void put_times(fr_my_sink *s, const step *p, fr_str times[2])
{
    times[0] = fr_history_text(s->arena, p->turn.at_us);
    times[1] = fr_history_text(s->arena, p->last.from_us);
}

static fr_rc run_one(fr_my_sink *s, fr_my_sink_table *t, fr_my_verb verb, fr_str mask,
                     const step *p, MYSQL_STMT **stmt, fr_err *err)
{
    fr_str times[1][2];
    size_t one = 1;
    put_times(s, p, times[0]);
    return fr_my_sink_run_some(s, t, verb, mask, p->change, &one, times, stmt, err);
}

/* Of each, when its next row begins and the last one did; and the changes, side by side. */
typedef struct rows {
    fr_target_change *items;
    fr_str (*times)[2];
} rows;

static rows rows_of(fr_my_sink *s, const step *steps, size_t count)
{
    rows r = {fr_arena_raw(s->arena, (count + 1) * sizeof(*r.items)),
              fr_arena_alloc(s->arena, (count + 1) * sizeof(*r.times))};
    for (size_t i = 0; i < count; i++) {
        r.items[i] = *steps[i].change;
        put_times(s, &steps[i], r.times[i]);
    }
    return r;
}

/* One verb for all of them: whether they move is a matter of their form, and of tombstones. */
static fr_rc end_rows(fr_my_sink *s, fr_my_sink_table *t, const step *steps, size_t count,
                      fr_err *err)
{
    rows r = rows_of(s, steps, count);
    for (size_t at = 0, n; at < count; at += n) {
        MYSQL_STMT *stmt;
        fr_my_verb verb = steps[at].turn.moves ? FR_MY_VERB_GONE : FR_MY_VERB_END;
        n = 1;
        while (s->can.bulk && at + n < count && steps[at + n].turn.moves == steps[at].turn.moves)
            n++;
        FR_TRY(fr_my_sink_run_some(s, t, verb, FR_STR(""), r.items + at, &n, r.times + at, &stmt,
                                   err));
        if (mysql_stmt_affected_rows(stmt) != n) /* found, with FR_MY_FOUND_ROWS */
            return fr_fail(err, FR_ERR_BUG, "%.*s: a row that ends is not found by its key",
                           FR_ARG(t->qualified));
    }
    return FR_OK;
}

static fr_rc is_stored_so(fr_my_sink *s, fr_my_sink_table *t, const step *p, bool *same,
                          fr_err *err)
{
    MYSQL_STMT *stmt;
    long long said = 0;
    FR_TRY(run_one(s, t, FR_MY_VERB_STORED, FR_STR(""), p, &stmt, err));
    MYSQL_BIND bind = {
        .buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &said, .buffer_length = sizeof(said)};
    FR_TRY(open_answer(s, stmt, &bind, err));
    fr_rc rc = next_answer(s, stmt, err);
    if (rc == FR_OK)
        mysql_stmt_free_result(stmt);
    *same = said != 0;
    return rc == FR_END
               ? fr_fail(err, FR_ERR_BUG, "%.*s: the row that began is not found by its key",
                         FR_ARG(t->qualified))
               : rc;
}

/* The row is stored, and taken back where it is as the one before. */
static fr_rc begin_unsure(fr_my_sink *s, fr_my_sink_table *t, const step *p, fr_str mask,
                          fr_err *err)
{
    bool same = false;
    MYSQL_STMT *ignored;
    fr_my_verb verb = mask.len > 0 ? FR_MY_VERB_FOLLOW : FR_MY_VERB_BEGIN;
    FR_TRY(fr_my_sink_exec(s, "set a savepoint", "SAVEPOINT freshet_state", err));
    FR_TRY(run_one(s, t, verb, mask, p, &ignored, err));
    FR_TRY(is_stored_so(s, t, p, &same, err));
    FR_TRY(fr_my_sink_exec(
        s, "leave the savepoint",
        same ? "ROLLBACK TO SAVEPOINT freshet_state" : "RELEASE SAVEPOINT freshet_state", err));
    return same ? FR_OK : end_rows(s, t, p, 1, err);
}

/* What cannot be done with others: the turn keeps what is left to be done. */
static fr_rc take_step(fr_my_sink *s, fr_my_sink_table *t, step *p, fr_str mask, fr_err *err)
{
    MYSQL_STMT *ignored;
    p->turn = fr_history_next(&p->last, p->change, t->shape.guarded);
    if (p->turn.ends && p->turn.begins && p->same == UNSURE) {
        FR_TRY(begin_unsure(s, t, p, mask, err));
        p->turn.ends = p->turn.begins = false;
    } else if (p->turn.begins && p->last.now && mask.len > 0) {
        FR_TRY(run_one(s, t, FR_MY_VERB_FOLLOW, mask, p, &ignored, err));
        p->turn.begins = false;
    }
    return FR_OK;
}

static fr_rc begin_rows(fr_my_sink *s, fr_my_sink_table *t, fr_str mask, const step *steps,
                        size_t count, fr_err *err)
{
    rows r = rows_of(s, steps, count);
    for (size_t at = 0, n; at < count; at += n) {
        MYSQL_STMT *ignored;
        n = count - at;
        FR_TRY(fr_my_sink_run_some(s, t, FR_MY_VERB_BEGIN, mask, r.items + at, &n, r.times + at,
                                   &ignored, err));
    }
    return FR_OK;
}

/* ---- changes ---- */

/* Changes of keys that differ, and of one mask. */
static fr_rc write_run(fr_my_sink *s, fr_my_sink_table *t, fr_str mask,
                       const fr_target_change *items, size_t count, fr_err *err)
{
    step *steps = fr_arena_alloc(s->arena, (count + 1) * sizeof(*steps));
    bool gone = items->form == FR_TARGET_DELETE;
    fr_str compared = gone ? fr_history_keys(s->arena, t->shape.count) : mask;
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at;
        FR_TRY(some_lasts(s, t, compared, items + at, &n, steps + at, err));
    }
    for (size_t i = 0; i < count; i++)
        FR_TRY(take_step(s, t, &steps[i], mask, err));
    step *some = fr_arena_raw(s->arena, (count + 1) * sizeof(*some));
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (steps[i].turn.ends)
            some[n++] = steps[i];
    FR_TRY(end_rows(s, t, some, n, err));
    n = 0;
    for (size_t i = 0; i < count; i++)
        if (steps[i].turn.begins)
            some[n++] = steps[i];
    return begin_rows(s, t, mask, some, n, err);
}

static bool is_later_key(const fr_target_change *a, const fr_target_change *b)
{
    return a->prefix != b->prefix ? a->prefix < b->prefix : fr_str_cmp(a->key, b->key) < 0;
}

/* Sorted by turns (fr_history_sort), or one after the other where not only the key sees the order.
 */
fr_rc fr_my_history_write(fr_my_sink *s, fr_my_sink_table *t, const fr_target_change *items,
                          size_t count, fr_err *err)
{
    for (size_t at = 0, n; at < count; at += n) {
        const fr_target_change *first = &items[at];
        fr_str mask = fr_target_mask(s->arena, &t->shape, first);
        n = 1;
        while (!t->ordered && at + n < count && items[at + n].form == first->form &&
               is_later_key(&items[at + n - 1], &items[at + n]) &&
               fr_target_has_mask(&t->shape, &items[at + n], mask))
            n++;
        FR_TRY(write_run(s, t, mask, first, n, err));
    }
    return FR_OK;
}

/* Rows that began later than that, by a clock that was ahead, end a step after their beginning.
 * Positions stay: a truncation says nothing of those of other partitions. */
fr_str fr_my_history_truncate(fr_arena *a, const fr_my_sink_table *t, fr_str at, int64_t time_us)
{
    fr_buf b = {.arena = a};
    fr_str time = fr_history_text(a, time_us);
    fr_buf_printf(&b,
                  "UPDATE %.*s SET " CURRENT " = 0, " UNTIL " = IF(" FROM
                  " < CAST('%.*s' AS DATETIME(6)), CAST('%.*s' AS DATETIME(6)), " FROM
                  " + INTERVAL 1 MICROSECOND) WHERE " CURRENT,
                  FR_ARG(t->qualified), FR_ARG(time), FR_ARG(time));
    if (at.len > 0)
        fr_buf_printf(&b, " AND (" POSITION " IS NULL OR " POSITION " <= x'%.*s')", FR_ARG(at));
    return fr_buf_view(&b);
}

/* ---- the table ---- */

void fr_my_history_put_columns(fr_buf *b)
{
    fr_buf_text(b, ", " FROM " datetime(6) NOT NULL, " UNTIL " datetime(6) NULL, " CURRENT
                   " tinyint(1) NOT NULL");
}

static bool has_column(const void *target, const char *name, const char *type)
{
    const fr_my_target_column *c = fr_my_relation_find(target, fr_cstr(name));
    size_t word = strcspn(type, "(");
    if (c == NULL || c->generated || !fr_str_eq(c->type, (fr_str){type, word}))
        return false;
    return strcmp(name, FR_TARGET_POSITION) == 0
               ? c->length >= FR_TARGET_POSITION_SIZE
               : strcmp(name, FR_TARGET_CURRENT) == 0 || c->digits == 6;
}

void fr_my_history_compare(const fr_target_comparison *k, const fr_my_relation *r, fr_str create)
{
    const fr_history_shape shape = {
        .target = r,
        .has = has_column,
        .types = {"datetime(6)", "datetime(6)", "tinyint(1)", "varbinary(16)"},
        .lacks = fr_my_relation_key(r, k->table, true) == NULL ? FR_HISTORY_NO_INDEX : NULL};
    fr_history_compare(k, &shape, create);
}
