/* The statements that bring staged rows into a table. Values are in the stage, never in a text
 * (S01); every name is quoted (S02), and every table is named with its catalog: a schema may have
 * the name of a catalog. */
#include "duckdb/duck_sink.h"
#include "sql/text.h"

#define POSITION "\"" FR_TARGET_POSITION "\""
#define DELETED "\"" FR_TARGET_DELETED "\""
/* Its columns: c0, c1 ... fields; p position; m what the mark says, or that it is a delete. */
#define STAGE "\"temp\".\"main\".\"_freshet_stage\""

static fr_str ended(fr_buf *b)
{
    fr_buf_u8(b, '\0');
    return (fr_str){(const char *)b->ptr, b->len - 1};
}

/* A list with commas: what comes before the next of its items. */
static const char *lead(bool *first)
{
    const char *text = *first ? "" : ", ";
    *first = false;
    return text;
}

fr_str fr_duck_sql_stage(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "CREATE OR REPLACE TEMP TABLE " STAGE " (");
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(
            &b, "c%zu %.*s, ", i,
            FR_ARG(fr_duck_sink_staged(a, &t->shape.table->columns[t->shape.columns[i]])));
    fr_buf_text(&b, t->history ? "p BLOB, m BOOLEAN, s BIGINT, seen BOOLEAN, mask VARCHAR)"
                               : "p BLOB, m BOOLEAN)");
    return ended(&b);
}

static void put_staged(fr_buf *b, const fr_duck_sink_table *t, size_t field)
{
    fr_str cast = t->fields[field].cast;
    if (cast.len > 0)
        fr_buf_printf(b, "CAST(s.c%zu AS %.*s)", field, FR_ARG(cast));
    else
        fr_buf_printf(b, "s.c%zu", field);
}

static void put_key_match(fr_buf *b, const fr_duck_sink_table *t)
{
    for (size_t i = 0; i < t->key_count; i++) {
        fr_buf_printf(b, "%st.%.*s = ", i > 0 ? " AND " : "", FR_ARG(t->fields[t->keys[i]].ident));
        put_staged(b, t, t->keys[i]);
    }
}

static void put_guard(fr_buf *b, const fr_duck_sink_table *t)
{
    if (t->shape.guarded)
        fr_buf_text(b, " AND (t." POSITION " IS NULL OR t." POSITION " <= s.p)");
}

fr_str fr_duck_sql_delete(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "DELETE FROM %.*s AS t USING " STAGE " AS s WHERE ", FR_ARG(t->qualified));
    put_key_match(&b, t);
    put_guard(&b, t);
    return ended(&b);
}

fr_str fr_duck_sql_mark(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "UPDATE %.*s AS t SET " DELETED " = TRUE%s FROM " STAGE " AS s WHERE ",
                  FR_ARG(t->qualified),
                  t->positioned ? ", " POSITION
                                  " = COALESCE(NULLIF(s.p, unhex('" FR_TARGET_LATEST_HEX
                                  "')), t." POSITION ")"
                                : "");
    put_key_match(&b, t);
    put_guard(&b, t);
    return ended(&b);
}

fr_str fr_duck_sql_update(fr_arena *a, const fr_duck_sink_table *t, fr_str mask)
{
    fr_buf b = {.arena = a};
    bool first = true;
    fr_buf_printf(&b, "UPDATE %.*s AS t SET ", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key || !fr_target_in_mask(mask, i))
            continue;
        fr_buf_printf(&b, "%s%.*s = ", lead(&first), FR_ARG(t->fields[i].ident));
        put_staged(&b, t, i);
    }
    if (t->positioned)
        fr_buf_printf(&b, "%s" POSITION " = s.p", lead(&first));
    if (t->shape.marked || t->cleared)
        fr_buf_printf(&b, "%s" DELETED " = %s", lead(&first), t->shape.marked ? "s.m" : "FALSE");
    if (first) /* a key and nothing else */
        return FR_STR("");
    fr_buf_text(&b, " FROM " STAGE " AS s WHERE ");
    put_key_match(&b, t);
    put_guard(&b, t);
    return ended(&b);
}

static void put_columns(fr_buf *b, const fr_duck_sink_table *t)
{
    bool first = true;
    fr_buf_printf(b, "INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%s%.*s", lead(&first), FR_ARG(t->fields[i].ident));
    if (t->positioned)
        fr_buf_printf(b, "%s" POSITION, lead(&first));
    if (t->shape.marked || t->cleared)
        fr_buf_printf(b, "%s" DELETED, lead(&first));
    fr_buf_u8(b, ')');
}

static void put_not_there(fr_buf *b, const fr_duck_sink_table *t)
{
    fr_buf_printf(b, "NOT EXISTS (SELECT 1 FROM %.*s AS t WHERE ", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_u8(b, ')');
}

/* What is absent is NULL in a row that is not there yet, and not the column's default. */
fr_str fr_duck_sql_insert(fr_arena *a, const fr_duck_sink_table *t, fr_str mask)
{
    fr_buf b = {.arena = a};
    bool first = true;
    put_columns(&b, t);
    fr_buf_text(&b, " SELECT ");
    for (size_t i = 0; i < t->shape.count; i++) {
        fr_buf_text(&b, lead(&first));
        if (fr_target_in_mask(mask, i))
            put_staged(&b, t, i);
        else
            fr_buf_text(&b, "NULL");
    }
    if (t->positioned)
        fr_buf_printf(&b, "%ss.p", lead(&first));
    if (t->shape.marked || t->cleared)
        fr_buf_printf(&b, "%s%s", lead(&first), t->shape.marked ? "s.m" : "FALSE");
    fr_buf_text(&b, " FROM " STAGE " AS s");
    if (t->append)
        return ended(&b);
    fr_buf_text(&b, " WHERE ");
    if (!t->shape.marked)
        fr_buf_text(&b, "NOT s.m AND ");
    put_not_there(&b, t);
    return ended(&b);
}

fr_str fr_duck_sql_missing(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "SELECT CAST(count(*) AS VARCHAR) FROM " STAGE " AS s WHERE ");
    put_not_there(&b, t);
    return ended(&b);
}
