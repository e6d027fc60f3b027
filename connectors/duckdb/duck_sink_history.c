/* write.mode history (sql/history.h). The changes of a batch are staged in their order, and one
 * statement makes the states of all keys of it: it begins with the last row of each key in the
 * target, and takes one change of each key after the other. What came of it ends rows of the
 * target, and is inserted. */
#include "duckdb/duck_sink.h"
#include "sql/history.h"
#include <inttypes.h>

#define FROM "\"" FR_TARGET_FROM "\""
#define UNTIL "\"" FR_TARGET_TO "\""
#define CURRENT "\"" FR_TARGET_CURRENT "\""
#define POSITION "\"" FR_TARGET_POSITION "\""
#define STAGE "\"temp\".\"main\".\"_freshet_stage\""
/* Rows of the keys of the batch: those that were there (r) and those that began; o0, o1 ... their
 * fields, op their position, f and e from and until when, in microseconds since 1970. */
#define STATES "\"temp\".\"main\".\"_freshet_states\""
#define LATEST "from_hex('" FR_TARGET_LATEST_HEX "')"
#define INSTANT(us) "CAST(make_timestamp(" us ") AS TIMESTAMP WITH TIME ZONE)"

static fr_str ended(fr_buf *b)
{
    fr_buf_u8(b, '\0');
    return (fr_str){(const char *)b->ptr, b->len - 1};
}

/* ---- one statement for all states ---- */

/* u: the changes; k: of which key, i: which of its changes. */
static void put_changes(fr_buf *b, const fr_duck_sink_table *t)
{
    fr_buf_text(b, "u AS MATERIALIZED (SELECT v.*, min(v.n) OVER (PARTITION BY ");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%sv.c%u", i > 0 ? ", " : "", t->keys[i]);
    fr_buf_text(b, ") AS k, CAST(row_number() OVER (PARTITION BY ");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%sv.c%u", i > 0 ? ", " : "", t->keys[i]);
    fr_buf_text(b, " ORDER BY v.n) AS INTEGER) AS i FROM (SELECT ");
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].cast.len > 0)
            fr_buf_printf(b, "CAST(s.c%zu AS %.*s) AS c%zu, ", i, FR_ARG(t->fields[i].cast), i);
        else
            fr_buf_printf(b, "s.c%zu, ", i);
    }
    fr_buf_text(b, "s.p, s.m, s.s, s.seen, s.mask, s.rowid AS n FROM " STAGE " AS s) AS v)");
}

/* l: the last row of each key, of NULLs where there is none. */
static void put_last(fr_buf *b, const fr_duck_sink_table *t)
{
    fr_buf_text(b, "l AS (SELECT u.k, CAST(0 AS INTEGER) AS i");
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, ", t.%.*s AS o%zu", FR_ARG(t->fields[i].ident), i);
    fr_buf_printf(b,
                  ", t." POSITION " AS op, epoch_us(t." FROM ") AS f, epoch_us(t." UNTIL
                  ") AS e, t." CURRENT " AS now, FALSE AS began FROM u LEFT JOIN %.*s AS t ON ",
                  FR_ARG(t->qualified));
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%st.%.*s = u.c%u", i > 0 ? " AND " : "",
                      FR_ARG(t->fields[t->keys[i]].ident), t->keys[i]);
    fr_buf_text(b, " WHERE u.i = 1 QUALIFY row_number() OVER (PARTITION BY u.k ORDER BY t." FROM
                   " DESC NULLS LAST) = 1)");
}

/* Of what the change says, something is not so. Texts as bytes: a column may have a collation. */
static void put_changed(fr_buf *b, const fr_duck_sink_table *t, bool masks)
{
    fr_buf_text(b, "(FALSE");
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key)
            continue;
        fr_buf_text(b, " OR (");
        if (masks)
            fr_buf_printf(b, "(u.mask IS NULL OR substring(u.mask, %zu, 1) = '1') AND ", i + 1);
        if (t->fields[i].text)
            fr_buf_printf(b,
                          "encode(CAST(c.o%zu AS VARCHAR)) IS DISTINCT FROM "
                          "encode(CAST(u.c%zu AS VARCHAR)))",
                          i, i);
        else
            fr_buf_printf(b, "c.o%zu IS DISTINCT FROM u.c%zu)", i, i);
    }
    fr_buf_u8(b, ')');
}

/* Not what is older than what is known; of an equal position only a change after the row that a
 * snapshot read there, and what ended there stays ended. Where positions say nothing, what comes is
 * newer. z: the row ends, b: one begins, n: then. */
static void put_verdict(fr_buf *b, const fr_duck_sink_table *t, bool masks)
{
    bool guarded = t->shape.guarded;
    fr_buf_printf(b,
                  "SELECT c.*, u.* EXCLUDE (k, i), u.i AS ui, greatest(u.s, c.f + 1, c.e) AS n2, "
                  "COALESCE(u.m AND c.now%s, FALSE) AS z, ",
                  guarded ? " AND (c.op IS NULL OR c.op <= u.p)" : "");
    fr_buf_printf(b, "NOT u.m AND (c.f IS NULL OR (%s(c.now IS NOT TRUE OR ",
                  guarded ? "(c.op IS NULL OR c.op < u.p OR (c.op = u.p AND c.now AND NOT u.seen)) "
                            "AND "
                          : "");
    put_changed(b, t, masks);
    fr_buf_text(b, "))) AS b FROM c JOIN u ON u.k = c.k AND u.i = c.i + 1");
}

/* A delete's position is then the row's, so that what was before it is recognised; that of one
 * which has none stays the row's. What a message does not have is as it was in the row that it
 * changes. */
static void put_next(fr_buf *b, const fr_duck_sink_table *t, bool masks)
{
    fr_buf_text(b, "SELECT x.k, x.ui");
    for (size_t i = 0; i < t->shape.count; i++) {
        fr_buf_text(b, ", CASE WHEN NOT x.b THEN ");
        fr_buf_printf(b, "x.o%zu ", i);
        if (masks && !t->fields[i].key)
            fr_buf_printf(b,
                          "WHEN x.mask IS NULL OR substring(x.mask, %zu, 1) = '1' THEN x.c%zu WHEN "
                          "x.now THEN x.o%zu END",
                          i + 1, i, i);
        else
            fr_buf_printf(b, "ELSE x.c%zu END", i);
    }
    fr_buf_text(b, ", CASE WHEN x.b OR (x.z AND x.p <> " LATEST ") THEN x.p ELSE x.op END, "
                   "CASE WHEN x.b THEN x.n2 ELSE x.f END, "
                   "CASE WHEN x.b THEN NULL WHEN x.z THEN x.n2 ELSE x.e END, "
                   "CASE WHEN x.b THEN TRUE WHEN x.z THEN FALSE ELSE x.now END, x.b FROM (");
    put_verdict(b, t, masks);
    fr_buf_text(b, ") AS x");
}

static fr_str states_sql(fr_arena *a, const fr_duck_sink_table *t, bool masks)
{
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "CREATE OR REPLACE TEMP TABLE " STATES " AS WITH RECURSIVE ");
    put_changes(&b, t);
    fr_buf_text(&b, ", ");
    put_last(&b, t);
    fr_buf_text(&b, ", c AS (SELECT * FROM l UNION ALL ");
    put_next(&b, t, masks);
    /* The last that is known of each row; it ends where it was ended, or where the next begins. */
    fr_buf_text(&b, ") SELECT w.* REPLACE (COALESCE(w.e, lead(w.f) OVER (PARTITION BY w.k ORDER BY "
                    "w.f)) AS e) FROM (SELECT c.*, NOT bool_or(c.began) OVER (PARTITION BY c.k, "
                    "c.f) AS r FROM c WHERE c.f IS NOT NULL QUALIFY row_number() OVER (PARTITION "
                    "BY c.k, c.f ORDER BY c.i DESC) = 1) AS w");
    return ended(&b);
}

/* ---- and into the target ---- */

static fr_str end_sql(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b,
                  "UPDATE %.*s AS t SET " UNTIL
                  " = " INSTANT("u.e") ", " CURRENT " = FALSE, " POSITION " = u.op FROM " STATES
                                       " AS u WHERE u.r AND u.e IS NOT NULL AND t." CURRENT
                                       " AND t." FROM " = " INSTANT("u.f"),
                  FR_ARG(t->qualified));
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(&b, " AND t.%.*s = u.o%u", FR_ARG(t->fields[t->keys[i]].ident), t->keys[i]);
    return ended(&b);
}

static fr_str begin_sql(fr_arena *a, const fr_duck_sink_table *t)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b, "INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(&b, "%.*s, ", FR_ARG(t->fields[i].ident));
    fr_buf_text(&b, POSITION ", " FROM ", " UNTIL ", " CURRENT ") SELECT ");
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(&b, "u.o%zu, ", i);
    fr_buf_text(&b, "u.op, " INSTANT("u.f") ", " INSTANT("u.e") ", u.e IS NULL FROM " STATES
                                                                " AS u WHERE NOT u.r");
    return ended(&b);
}

static fr_rc write_together(fr_duck_sink *s, fr_duck_sink_table *t, const fr_target_change *items,
                            size_t count, const fr_target_change **refused, fr_err *err)
{
    bool masks = false;
    const fr_target_change **list = fr_arena_alloc(s->arena, (count + 1) * sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        list[i] = &items[i];
        masks = masks || fr_target_mask(s->arena, &t->shape, &items[i]).len > 0;
    }
    s->has_rows = true;
    FR_TRY(fr_duck_sink_stage(s, t, list, count, refused, err));
    FR_TRY(fr_duck_sink_move(s, t, states_sql(s->arena, t, masks), err));
    FR_TRY(fr_duck_sink_move(s, t, end_sql(s->arena, t), err));
    return fr_duck_sink_move(s, t, begin_sql(s->arena, t), err);
}

fr_rc fr_duck_history_write(fr_duck_sink *s, fr_duck_sink_table *t,
                            const fr_target_changes *changes, const fr_target_change **refused,
                            fr_err *err)
{
    *refused = NULL;
    if (!t->ordered)
        return write_together(s, t, changes->items, changes->count, refused, err);
    for (size_t i = 0; i < changes->count; i++) { /* another constraint sees the order of rows */
        *refused = &changes->items[i];
        FR_TRY(write_together(s, t, &changes->items[i], 1, refused, err));
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

static bool has_column(const void *target, const char *name, const char *type)
{
    const fr_duck_target_column *c = fr_duck_target_find(target, fr_cstr(name));
    return c != NULL && !c->generated && fr_str_is(c->type, type);
}

void fr_duck_history_compare(const fr_target_comparison *k, const fr_duck_target *r, fr_str create)
{
    const fr_history_shape shape = {
        .target = r,
        .has = has_column,
        .types = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE", "BOOLEAN", "BLOB"},
        .lacks = r->has_key ? "room for a second row of a key, which is unique" : NULL};
    fr_history_compare(k, &shape, create);
}
