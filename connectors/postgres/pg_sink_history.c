/* write.mode history: the statements, and what a table must be for them. A key's rows never
 * overlap: each begins later than the one before, and ends where the next begins or where the key
 * was deleted. The last row by its beginning is what is known of the key. */
#include "postgres/pg_sink.h"
#include "sql/history.h"
#include <inttypes.h>
#include <string.h>

#define FROM "\"" FR_TARGET_FROM "\""
#define UNTIL "\"" FR_TARGET_TO "\""
#define CURRENT "\"" FR_TARGET_CURRENT "\""
#define POSITION "\"" FR_TARGET_POSITION "\""
#define STEP "interval '1 microsecond'"

/* ---- how values are compared ---- */

enum {
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    OID = 26,
    FLOAT4 = 700,
    FLOAT8 = 701,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    NUMERIC = 1700,
    UUID = 2950
};

static bool by_value(uint32_t type)
{
    static const uint32_t types[] = {BOOL,      BYTEA,       INT8,   INT2,        INT4,
                                     OID,       FLOAT4,      FLOAT8, DATE,        TIME,
                                     TIMESTAMP, TIMESTAMPTZ, UUID,   FR_PG_MONEY, NUMERIC};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i] == type)
            return true;
    return false;
}

/* What "=" takes for one although it is not (citext, a collation), or what has no "=" (json, xml),
 * is compared by its text. Times are cut to the digits that the column keeps. */
void fr_pg_history_same(fr_arena *a, fr_pg_field *f, const fr_pg_column *to)
{
    const char *name = to->type == TIME          ? "time"
                       : to->type == TIMESTAMP   ? "timestamp"
                       : to->type == TIMESTAMPTZ ? "timestamptz"
                                                 : NULL;
    f->texts = !by_value(to->type);
    if (name != NULL && to->typmod >= 0)
        f->same = fr_arena_printf(a, "::%s(%d)", name, (int)to->typmod);
}

static void put_differs(fr_buf *b, const fr_pg_field *f, size_t i)
{
    fr_str as = f->same.len > 0 ? f->same : f->cast;
    if (f->texts)
        fr_buf_printf(b,
                      "o.o%zu::text COLLATE \"C\" IS DISTINCT FROM u.c%zu%.*s::text COLLATE \"C\"",
                      i, i, FR_ARG(as));
    else
        fr_buf_printf(b, "o.o%zu IS DISTINCT FROM u.c%zu%.*s", i, i, FR_ARG(as));
}

/* Of what the message says, something is not as in the current row. */
static void put_changed(fr_buf *b, const fr_pg_sink_table *t, bool patch)
{
    fr_buf_text(b, "(false");
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key)
            continue;
        fr_buf_text(b, " OR ");
        if (patch)
            fr_buf_printf(b, "get_bit(u.m, %zu) = 1 AND ", i);
        put_differs(b, &t->fields[i], i);
    }
    fr_buf_u8(b, ')');
}

/* ---- statements ---- */

/* The last row of the key that u has, or nothing. */
static void put_last(fr_buf *b, const fr_pg_sink_table *t, bool by_key)
{
    fr_buf_text(b, " LATERAL (SELECT ");
    for (size_t i = 0; i < t->shape.count && !by_key; i++)
        if (!t->fields[i].key)
            fr_buf_printf(b, "x.%.*s AS o%zu, ", FR_ARG(t->fields[i].ident), i);
    fr_buf_printf(b,
                  "x." POSITION " AS op, x." FROM " AS f, x." UNTIL " AS e, x." CURRENT
                  " AS now FROM %.*s AS x WHERE ",
                  FR_ARG(t->qualified));
    fr_pg_sink_put_key_match(b, t, "x", by_key);
    fr_buf_text(b, " ORDER BY x." FROM " DESC LIMIT 1) AS o");
}

/* What is new, with when it begins (n). Not what is older than what is known; of an equal position
 * only a change after the row that a snapshot read there, and what ended there stays ended. Where
 * positions say nothing, what comes is newer. */
static void put_news(fr_buf *b, const fr_pg_sink_table *t, fr_target_form form, bool arrays)
{
    fr_buf_text(b, "WITH u AS (SELECT * FROM ");
    fr_pg_sink_put_rows(b, t, form, arrays);
    fr_buf_text(b, "), w AS (SELECT u.*, o.*, greatest(u.s, o.f + " STEP ", o.e) AS n"
                   " FROM u LEFT JOIN");
    put_last(b, t, false);
    fr_buf_printf(b, " ON true WHERE o.f IS NULL OR (%s(o.now IS NOT TRUE OR ",
                  t->shape.guarded ? "(o.op IS NULL OR o.op < u.p OR o.op = u.p AND o.now"
                                     " AND NOT u.r) AND "
                                   : "");
    put_changed(b, t, form == FR_TARGET_PATCH);
    fr_buf_text(b, "))) ");
}

/* What a message does not have is as it was in the row that it changes. */
static void put_value(fr_buf *b, const fr_pg_field *f, size_t i, bool patch)
{
    if (patch && !f->key)
        fr_buf_printf(
            b, "CASE WHEN get_bit(w.m, %zu) = 1 THEN w.c%zu%.*s WHEN w.now THEN w.o%zu END, ", i, i,
            FR_ARG(f->cast), i);
    else
        fr_buf_printf(b, "w.c%zu%.*s, ", i, FR_ARG(f->cast));
}

/* The old state ends before the new one begins (which is asked for its count, and so waits for it):
 * a table may have constraints that say so. */
static void put_state(fr_buf *b, const fr_pg_sink_table *t, fr_target_form form, bool arrays)
{
    put_news(b, t, form, arrays);
    fr_buf_printf(b, ", c AS (UPDATE %.*s AS t SET " UNTIL " = w.n, " CURRENT " = false FROM w",
                  FR_ARG(t->qualified));
    fr_buf_text(b, " WHERE w.now AND t." FROM " = w.f");
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_pg_field *f = &t->fields[t->keys[i]];
        fr_buf_printf(b, " AND t.%.*s = w.c%zu%.*s", FR_ARG(f->ident), (size_t)t->keys[i],
                      FR_ARG(f->cast));
    }
    fr_buf_printf(b, " RETURNING 1) INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%.*s, ", FR_ARG(t->fields[i].ident));
    fr_buf_printf(b, POSITION ", " FROM ", " CURRENT ")%s SELECT ",
                  t->override ? " OVERRIDING SYSTEM VALUE" : "");
    for (size_t i = 0; i < t->shape.count; i++)
        put_value(b, &t->fields[i], i, form == FR_TARGET_PATCH);
    fr_buf_text(b, "w.p, w.n, true FROM w WHERE (SELECT count(*) FROM c) >= 0");
}

/* The position is then the delete's, so that what was before it is recognised; that of one which
 * has none stays the row's. */
static void put_end(fr_buf *b, const fr_pg_sink_table *t, bool arrays)
{
    fr_buf_printf(b,
                  "UPDATE %.*s AS t SET " UNTIL " = greatest(u.s, t." FROM " + " STEP "), " CURRENT
                  " = false, " POSITION " = COALESCE(NULLIF(u.p, decode('" FR_TARGET_LATEST_HEX
                  "', 'hex')), t." POSITION ") FROM ",
                  FR_ARG(t->qualified));
    fr_pg_sink_put_rows(b, t, FR_TARGET_DELETE, arrays);
    fr_buf_text(b, " CROSS JOIN");
    put_last(b, t, true);
    fr_buf_printf(b, " WHERE t." FROM " = o.f AND t." CURRENT "%s AND ",
                  t->shape.guarded ? " AND (t." POSITION " IS NULL OR t." POSITION " <= u.p)" : "");
    fr_pg_sink_put_key_match(b, t, "t", true);
}

fr_str fr_pg_history_sql(fr_arena *a, const fr_pg_sink_table *t, fr_target_form form, bool arrays)
{
    fr_buf b = {.arena = a};
    if (form == FR_TARGET_DELETE)
        put_end(&b, t, arrays);
    else
        put_state(&b, t, form, arrays);
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}

/* A truncation comes on every partition, and says nothing about the order of other partitions'
 * rows: their positions stay, so that what of them is still to come is not taken for old. */
fr_str fr_pg_history_truncate(fr_arena *a, const fr_pg_sink_table *t, fr_str at, int64_t time_us)
{
    fr_buf b = {.arena = a};
    fr_buf_printf(&b,
                  "UPDATE %.*s AS t SET " CURRENT " = false, " UNTIL
                  " = greatest(timestamptz 'epoch' + interval '%" PRId64 " microseconds', t." FROM
                  " + " STEP ") WHERE t." CURRENT,
                  FR_ARG(t->qualified), time_us);
    if (at.len > 0)
        fr_buf_printf(&b,
                      " AND (t." POSITION " IS NULL OR t." POSITION " <= decode('%.*s', 'hex'))",
                      FR_ARG(at));
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}

/* ---- the table ---- */

void fr_pg_history_put_columns(fr_buf *b)
{
    fr_buf_text(b, ", " FROM " timestamptz NOT NULL, " UNTIL " timestamptz, " CURRENT
                   " boolean NOT NULL");
}

static bool has_column(const void *target, const char *name, const char *type)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } types[] = {{"timestamptz", TIMESTAMPTZ}, {"boolean", BOOL}, {"bytea", BYTEA}};
    const fr_pg_column *c = fr_pg_relation_find(target, fr_cstr(name));
    uint32_t oid = 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        oid = strcmp(types[i].name, type) == 0 ? types[i].oid : oid;
    bool exact = c != NULL && (oid != TIMESTAMPTZ || c->typmod < 0 || c->typmod == 6);
    return exact && c->type == oid && !c->generated;
}

void fr_pg_history_compare(const fr_target_comparison *k, const fr_pg_relation *r, fr_str create)
{
    const fr_history_shape shape = {
        .target = r,
        .has = has_column,
        .types = {"timestamptz", "timestamptz", "boolean", "bytea"},
        .lacks = fr_pg_relation_key(r, k->table, true) == NULL ? FR_HISTORY_NO_INDEX : NULL};
    fr_history_compare(k, &shape, create);
}
