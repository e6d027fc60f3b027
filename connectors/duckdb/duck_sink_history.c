/* write.mode history (sql/history.h). Changes are staged in turns: the first ones of all keys, then
 * the second ones. Each turn is joined with the last rows of its keys; what is new of it ends those
 * and is inserted. */
#include "duckdb/duck_sink.h"
#include "sql/history.h"
#include <inttypes.h>

#define FROM "\"" FR_TARGET_FROM "\""
#define UNTIL "\"" FR_TARGET_TO "\""
#define CURRENT "\"" FR_TARGET_CURRENT "\""
#define POSITION "\"" FR_TARGET_POSITION "\""
#define STAGE "\"temp\".\"main\".\"_freshet_stage\""
/* What is new of the stage, with the row that it follows: o0, o1 ... its fields, f its beginning,
 * now whether it is current; n: when the new one begins, in microseconds. */
#define TURN "\"temp\".\"main\".\"_freshet_turn\""
#define INSTANT(us) "CAST(make_timestamp(" us ") AS TIMESTAMP WITH TIME ZONE)"

static fr_str ended(fr_buf *b)
{
    fr_buf_u8(b, '\0');
    return (fr_str){(const char *)b->ptr, b->len - 1};
}

/* ---- statements ---- */

/* The field as the target has it; alias: of the stage, or of what was made of it. */
static void put_cast(fr_buf *b, const fr_duck_sink_table *t, const char *alias, size_t i)
{
    if (t->fields[i].cast.len > 0)
        fr_buf_printf(b, "CAST(%s.c%zu AS %.*s)", alias, i, FR_ARG(t->fields[i].cast));
    else
        fr_buf_printf(b, "%s.c%zu", alias, i);
}

static void put_key_match(fr_buf *b, const fr_duck_sink_table *t, const char *alias)
{
    for (size_t i = 0; i < t->key_count; i++) {
        fr_buf_printf(b, "%st.%.*s = ", i > 0 ? " AND " : "", FR_ARG(t->fields[t->keys[i]].ident));
        put_cast(b, t, alias, t->keys[i]);
    }
}

/* Texts as bytes: a column may have a collation. */
static void put_changed(fr_buf *b, const fr_duck_sink_table *t, fr_str mask)
{
    fr_buf_text(b, "(FALSE");
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key || !fr_target_in_mask(mask, i))
            continue;
        bool text = t->fields[i].text;
        fr_buf_printf(b,
                      text ? " OR encode(CAST(o.o%zu AS VARCHAR)) IS DISTINCT FROM encode(CAST("
                           : " OR o.o%zu IS DISTINCT FROM ",
                      i);
        put_cast(b, t, "s", i);
        fr_buf_text(b, text ? " AS VARCHAR))" : "");
    }
    fr_buf_u8(b, ')');
}

/* The last rows of the keys in the stage, whose rows have the number rowid. */
static void put_last(fr_buf *b, const fr_duck_sink_table *t)
{
    fr_buf_text(b, "(SELECT s.rowid AS r");
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, ", t.%.*s AS o%zu", FR_ARG(t->fields[i].ident), i);
    fr_buf_printf(b,
                  ", t." POSITION " AS op, t." FROM " AS f, t." UNTIL " AS e, t." CURRENT
                  " AS now FROM %.*s AS t JOIN " STAGE " AS s ON ",
                  FR_ARG(t->qualified));
    put_key_match(b, t, "s");
    fr_buf_text(b, " QUALIFY row_number() OVER (PARTITION BY s.rowid ORDER BY t." FROM
                   " DESC) = 1) AS o");
}

/* Not what is older than what is known; of an equal position only a change after the row that a
 * snapshot read there, and what ended there stays ended. */
static fr_str turn_sql(fr_arena *a, const fr_duck_sink_table *t, fr_str mask)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "CREATE OR REPLACE TEMP TABLE " TURN
                    " AS SELECT s.*, o.*, greatest(s.s, epoch_us(o.f) + 1, epoch_us(o.e)) AS n "
                    "FROM " STAGE " AS s LEFT JOIN ");
    put_last(&b, t);
    fr_buf_printf(&b, " ON o.r = s.rowid WHERE o.f IS NULL OR (%s(o.now IS NOT TRUE OR ",
                  t->shape.guarded ? "(o.op IS NULL OR o.op < s.p OR (o.op = s.p AND o.now AND NOT "
                                     "s.seen)) AND "
                                   : "");
    put_changed(&b, t, mask);
    fr_buf_text(&b, "))");
    return ended(&b);
}

static fr_str end_sql(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b,
                  "UPDATE %.*s AS t SET " UNTIL
                  " = " INSTANT("u.n") ", " CURRENT " = FALSE FROM " TURN
                                       " AS u WHERE u.now AND t." FROM " = u.f AND ",
                  FR_ARG(t->qualified));
    put_key_match(&b, t, "u");
    return ended(&b);
}

static fr_str begin_sql(fr_arena *a, const fr_duck_sink_table *t, fr_str mask)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(&b, "%.*s, ", FR_ARG(t->fields[i].ident));
    fr_buf_text(&b, POSITION ", " FROM ", " CURRENT ") SELECT ");
    for (size_t i = 0; i < t->shape.count; i++) {
        if (fr_target_in_mask(mask, i))
            put_cast(&b, t, "u", i);
        else
            fr_buf_printf(&b, "CASE WHEN u.now THEN u.o%zu END", i);
        fr_buf_text(&b, ", ");
    }
    fr_buf_text(&b, "u.p, " INSTANT("u.n") ", TRUE FROM " TURN " AS u");
    return ended(&b);
}

/* The position is then the delete's, so that what was before it is recognised; that of one which
 * has none stays the row's. */
static fr_str gone_sql(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b,
                  "UPDATE %.*s AS t SET " UNTIL
                  " = " INSTANT("greatest(s.s, epoch_us(t." FROM
                                ") + 1)") ", " CURRENT " = FALSE, " POSITION
                                          " = COALESCE(NULLIF(s.p, from_hex('" FR_TARGET_LATEST_HEX
                                          "')), t." POSITION ") FROM " STAGE
                                          " AS s WHERE t." CURRENT "%s AND ",
                  FR_ARG(t->qualified),
                  t->shape.guarded ? " AND (t." POSITION " IS NULL OR t." POSITION " <= s.p)" : "");
    put_key_match(&b, t, "s");
    return ended(&b);
}

/* ---- turns ---- */

static bool is_later_key(const fr_target_change *a, const fr_target_change *b)
{
    return a->prefix != b->prefix ? a->prefix < b->prefix : fr_str_cmp(a->key, b->key) < 0;
}

/* How many changes from the first on go together: of one turn, one form and one mask. */
static size_t together(const fr_duck_sink_table *t, const fr_target_change *items, size_t count,
                       fr_str mask)
{
    size_t n = 1;
    while (!t->ordered && n < count && items[n].form == items[0].form &&
           is_later_key(&items[n - 1], &items[n]) && fr_target_has_mask(&t->shape, &items[n], mask))
        n++;
    return n;
}

static fr_rc write_turn(fr_duck_sink *s, fr_duck_sink_table *t, const fr_target_change *items,
                        size_t count, fr_str mask, const fr_target_change **refused, fr_err *err)
{
    const fr_target_change **list = fr_arena_alloc(s->arena, count * sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i] = &items[i];
    if (t->ordered)
        *refused = items;
    FR_TRY(fr_duck_sink_stage(s, t, list, count, refused, err));
    s->has_rows = true;
    if (items->form == FR_TARGET_DELETE)
        return fr_duck_sink_move(s, t, gone_sql(s->arena, t), err);
    FR_TRY(fr_duck_sink_move(s, t, turn_sql(s->arena, t, mask), err));
    FR_TRY(fr_duck_sink_move(s, t, end_sql(s->arena, t), err));
    return fr_duck_sink_move(s, t, begin_sql(s->arena, t, mask), err);
}

fr_rc fr_duck_history_write(fr_duck_sink *s, fr_duck_sink_table *t, fr_target_changes *changes,
                            const fr_target_change **refused, fr_err *err)
{
    *refused = NULL;
    if (!t->ordered)
        fr_history_sort(changes);
    for (size_t at = 0, n; at < changes->count; at += n) {
        const fr_target_change *first = &changes->items[at];
        fr_str mask = fr_target_mask(s->arena, &t->shape, first);
        n = together(t, first, changes->count - at, mask);
        FR_TRY(write_turn(s, t, first, n, mask, refused, err));
    }
    return FR_OK;
}

/* A truncation comes on every partition, and says nothing about the order of other partitions'
 * rows: their positions stay. */
fr_rc fr_duck_history_truncate(fr_duck_sink *s, const fr_duck_sink_table *t, const fr_event *e,
                               fr_err *err)
{
    int64_t us;
    FR_TRY(fr_history_time(t->qualified, e, &us, err));
    fr_buf b = {.arena = s->arena};
    fr_buf_printf(&b,
                  "UPDATE %.*s AS t SET " CURRENT " = FALSE, " UNTIL
                  " = CAST(make_timestamp(greatest(%" PRId64 ", epoch_us(t." FROM
                  ") + 1)) AS TIMESTAMP WITH TIME ZONE) WHERE t." CURRENT,
                  FR_ARG(t->qualified), us);
    fr_str at = fr_target_truncated_at(s->arena, t->positioned, e);
    if (at.len > 0)
        fr_buf_printf(&b, " AND (t." POSITION " IS NULL OR t." POSITION " <= from_hex('%.*s'))",
                      FR_ARG(at));
    s->has_rows = true;
    return fr_duck_sink_move(s, t, ended(&b), err);
}

/* ---- the table ---- */

void fr_duck_history_put_columns(fr_buf *b)
{
    fr_buf_text(b, ", " FROM " TIMESTAMP WITH TIME ZONE NOT NULL, " UNTIL
                   " TIMESTAMP WITH TIME ZONE, " CURRENT " BOOLEAN NOT NULL");
}

static bool has_column(const fr_duck_target *r, const char *name, const char *type)
{
    const fr_duck_target_column *c = fr_duck_target_find(r, fr_cstr(name));
    return c != NULL && !c->generated && fr_str_is(c->type, type);
}

static const char *lack_of(const fr_duck_target *r)
{
    if (!has_column(r, FR_TARGET_FROM, "TIMESTAMP WITH TIME ZONE"))
        return "the column " FR_TARGET_FROM " TIMESTAMP WITH TIME ZONE";
    if (!has_column(r, FR_TARGET_TO, "TIMESTAMP WITH TIME ZONE"))
        return "the column " FR_TARGET_TO " TIMESTAMP WITH TIME ZONE";
    if (!has_column(r, FR_TARGET_CURRENT, "BOOLEAN"))
        return "the column " FR_TARGET_CURRENT " BOOLEAN";
    if (!has_column(r, FR_TARGET_POSITION, "BLOB"))
        return "the column " FR_TARGET_POSITION " BLOB";
    return r->has_key ? "room for a second row of a key, which is unique" : NULL;
}

void fr_duck_history_compare(const fr_target_comparison *k, const fr_duck_target *r, fr_str create)
{
    const char *lack = lack_of(r);
    if (lack != NULL && fr_table_key_count(k->table) > 0)
        fr_history_no_table(k, lack, create);
}
