/* The statements that write rows. Every value is a bound parameter, every name is quoted (S01,
 * S02). Parameters have numbers, so that a value is bound once however often it is used, and
 * "excluded" is not needed, which a table may be called. */
#include "sqlite/sq_sink.h"

#define POSITION "\"" FR_TARGET_POSITION "\""
#define DELETED "\"" FR_TARGET_DELETED "\""

static int position_at(const fr_sq_sink_table *t)
{
    return (int)t->field_count + 1;
}

static int mark_at(const fr_sq_sink_table *t)
{
    return (int)t->field_count + 2;
}

/* A list with commas: what comes before the next of its items. */
static const char *lead(bool *first)
{
    const char *text = *first ? "" : ", ";
    *first = false;
    return text;
}

/* Where a constraint says ON CONFLICT REPLACE or IGNORE, rows would vanish without an error. Not
 * everywhere: triggers' own OR clauses are overridden with it. */
const char *fr_sq_sink_or_abort(const fr_sq_sink_table *t)
{
    return t->aborts ? "OR ABORT " : "";
}

static void put_columns(fr_buf *b, const fr_sq_sink_table *t)
{
    bool first = true;
    fr_buf_printf(b, "INSERT %sINTO main.%.*s (", fr_sq_sink_or_abort(t), FR_ARG(t->qualified));
    for (size_t i = 0; i < t->field_count; i++)
        fr_buf_printf(b, "%s%.*s", lead(&first), FR_ARG(t->fields[i].ident));
    if (t->positioned)
        fr_buf_printf(b, "%s" POSITION, lead(&first));
    if (t->marked || t->cleared)
        fr_buf_printf(b, "%s" DELETED, lead(&first));
}

/* What is absent is NULL in a row that is not there yet, and not the column's default. */
static void put_values(fr_buf *b, const fr_sq_sink_table *t, fr_str mask)
{
    bool first = true;
    fr_buf_text(b, ") VALUES (");
    for (size_t i = 0; i < t->field_count; i++) {
        fr_buf_text(b, lead(&first));
        if (fr_target_in_mask(mask, i))
            fr_buf_printf(b, "?%zu", i + 1);
        else
            fr_buf_text(b, "NULL");
    }
    if (t->positioned)
        fr_buf_printf(b, "%s?%d", lead(&first), position_at(t));
    if (t->marked)
        fr_buf_printf(b, "%s?%d", lead(&first), mark_at(t));
    else if (t->cleared)
        fr_buf_printf(b, "%s0", lead(&first));
    fr_buf_u8(b, ')');
}

/* Returns whether there is anything to set. */
static bool put_assignments(fr_buf *b, const fr_sq_sink_table *t, fr_str mask)
{
    bool first = true;
    for (size_t i = 0; i < t->field_count; i++)
        if (!t->fields[i].key && fr_target_in_mask(mask, i))
            fr_buf_printf(b, "%s%.*s = ?%zu", lead(&first), FR_ARG(t->fields[i].ident), i + 1);
    if (t->positioned)
        fr_buf_printf(b, "%s" POSITION " = ?%d", lead(&first), position_at(t));
    if (t->marked)
        fr_buf_printf(b, "%s" DELETED " = ?%d", lead(&first), mark_at(t));
    else if (t->cleared)
        fr_buf_printf(b, "%s" DELETED " = 0", lead(&first));
    return !first;
}

static void put_guard(fr_buf *b, const fr_sq_sink_table *t, const char *word)
{
    if (t->guarded)
        fr_buf_printf(b, "%s(" POSITION " IS NULL OR " POSITION " <= ?%d)", word, position_at(t));
}

static void put_conflict(fr_buf *b, const fr_sq_sink_table *t, fr_str mask)
{
    fr_buf_text(b, " ON CONFLICT (");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(t->fields[t->keys[i]].ident));
    size_t before = b->len;
    fr_buf_text(b, ") DO UPDATE SET ");
    if (put_assignments(b, t, mask)) {
        put_guard(b, t, " WHERE ");
        return;
    }
    b->len = before; /* a key and nothing else */
    fr_buf_text(b, ") DO NOTHING");
}

static void put_key_match(fr_buf *b, const fr_sq_sink_table *t)
{
    fr_buf_text(b, " WHERE ");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%s%.*s = ?%d", i > 0 ? " AND " : "", FR_ARG(t->fields[t->keys[i]].ident),
                      t->keys[i] + 1);
}

static void put_update(fr_buf *b, const fr_sq_sink_table *t, fr_str mask)
{
    fr_str key = t->fields[t->keys[0]].ident;
    fr_buf_printf(b, "UPDATE %smain.%.*s SET ", fr_sq_sink_or_abort(t), FR_ARG(t->qualified));
    if (!put_assignments(b, t, mask)) /* nothing is there but the key */
        fr_buf_printf(b, "%.*s = %.*s", FR_ARG(key), FR_ARG(key));
    put_key_match(b, t);
    put_guard(b, t, " AND ");
}

static void put_delete(fr_buf *b, const fr_sq_sink_table *t)
{
    if (!t->marked)
        fr_buf_printf(b, "DELETE FROM main.%.*s", FR_ARG(t->qualified));
    else if (t->guarded)
        fr_buf_printf(b,
                      "UPDATE %smain.%.*s SET " DELETED " = 1, " POSITION
                      " = COALESCE(NULLIF(?%d, X'" FR_TARGET_LATEST_HEX "'), " POSITION ")",
                      fr_sq_sink_or_abort(t), FR_ARG(t->qualified), position_at(t));
    else
        fr_buf_printf(b, "UPDATE %smain.%.*s SET " DELETED " = 1", fr_sq_sink_or_abort(t),
                      FR_ARG(t->qualified));
    put_key_match(b, t);
    put_guard(b, t, " AND ");
}

fr_str fr_sq_sink_sql(fr_arena *a, const fr_sq_sink_table *t, fr_sq_verb verb, fr_str mask)
{
    fr_buf b = {.arena = a};
    if (verb >= FR_SQ_LAST)
        return fr_sq_history_sql(a, t, verb, mask);
    switch (verb) {
    case FR_SQ_WRITE:
        put_columns(&b, t);
        put_values(&b, t, mask);
        if (!t->append)
            put_conflict(&b, t, mask);
        break;
    case FR_SQ_UPDATE:
        put_update(&b, t, mask);
        break;
    case FR_SQ_FIND:
        fr_buf_printf(&b, "SELECT 1 FROM main.%.*s", FR_ARG(t->qualified));
        put_key_match(&b, t);
        break;
    default:
        put_delete(&b, t);
    }
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}
