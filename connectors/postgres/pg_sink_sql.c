/* The statements that write rows. Every value is a bound parameter, every name is quoted
 * (S01, S02). */
#include "postgres/pg_sink.h"
#include <inttypes.h>
#include <stdio.h>

fr_rc fr_pg_sink_name(fr_arena *a, fr_str name, fr_str *out, fr_err *err)
{
    FR_TRY(fr_target_check_name("PostgreSQL", name, err));
    if (name.len <= FR_PG_IDENT_MAX) {
        *out = name;
        return FR_OK;
    }
    size_t keep = FR_PG_IDENT_MAX - 9;
    while (keep > 0 && ((uint8_t)name.ptr[keep] & 0xc0) == 0x80)
        keep--;
    uint64_t hash = fr_hash64(name.ptr, name.len);
    *out =
        fr_arena_printf(a, "%.*s_%08" PRIx32, (int)keep, name.ptr, (uint32_t)(hash ^ hash >> 32));
    return FR_OK;
}

bool fr_pg_sink_has_position(const fr_pg_sink_table *t, fr_target_form form)
{
    return form == FR_TARGET_DELETE && !t->history ? t->shape.guarded : t->positioned;
}

static bool has_mark(const fr_pg_sink_table *t, fr_target_form form)
{
    return t->shape.marked && form != FR_TARGET_DELETE;
}

int fr_pg_sink_parameters(const fr_pg_sink_table *t, fr_target_form form, bool arrays,
                          uint32_t *oids_out)
{
    fr_pg_send sends[FR_PG_EXTRA];
    int count = 0, extra = 0;
    size_t fields = form == FR_TARGET_DELETE ? t->key_count : t->shape.count;
    for (size_t i = 0; i < fields; i++) {
        const fr_pg_field *f = &t->fields[form == FR_TARGET_DELETE ? t->keys[i] : i];
        oids_out[count++] = arrays ? fr_pg_send_array_oid(f->send) : fr_pg_send_oid(f->send);
    }
    if (fr_pg_sink_has_position(t, form))
        sends[extra++] = FR_PG_SEND_BYTEA;
    if (t->history)
        sends[extra++] = FR_PG_SEND_TIMESTAMPTZ;
    if (t->history && form != FR_TARGET_DELETE)
        sends[extra++] = FR_PG_SEND_BOOL;
    if (has_mark(t, form))
        sends[extra++] = FR_PG_SEND_BOOL;
    if (form == FR_TARGET_PATCH)
        sends[extra++] = FR_PG_SEND_BYTEA;
    for (int i = 0; i < extra; i++)
        oids_out[count++] = arrays ? fr_pg_send_array_oid(sends[i]) : fr_pg_send_oid(sends[i]);
    return count;
}

/* Rows of parameters as a table "u" with columns c0, c1, ..., p (position), s and r (history: since
 * when, read by a snapshot), d (deleted), m (mask). */
void fr_pg_sink_put_rows(fr_buf *b, const fr_pg_sink_table *t, fr_target_form form, bool arrays)
{
    size_t fields = form == FR_TARGET_DELETE ? t->key_count : t->shape.count;
    char names[FR_PG_EXTRA];
    size_t extra = 0;
    if (fr_pg_sink_has_position(t, form))
        names[extra++] = 'p';
    if (t->history)
        names[extra++] = 's';
    if (t->history && form != FR_TARGET_DELETE)
        names[extra++] = 'r';
    if (has_mark(t, form))
        names[extra++] = 'd';
    if (form == FR_TARGET_PATCH)
        names[extra++] = 'm';
    size_t all = fields + extra;
    fr_buf_text(b, arrays ? "unnest(" : "(SELECT ");
    for (size_t i = 0; i < all; i++)
        fr_buf_printf(b, "%s$%zu", i > 0 ? ", " : "", i + 1);
    fr_buf_text(b, arrays ? ") AS u(" : ") AS u(");
    for (size_t i = 0; i < all; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        if (i < fields)
            fr_buf_printf(b, "c%zu", i);
        else
            fr_buf_u8(b, (uint8_t)names[i - fields]);
    }
    fr_buf_u8(b, ')');
}

/* names: the target's column names of all that ROW and PATCH write. */
static void put_names(fr_buf *b, const fr_pg_sink_table *t)
{
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(t->fields[i].ident));
    fr_buf_text(b, t->positioned ? ", \"" FR_TARGET_POSITION "\"" : "");
    fr_buf_text(b, t->shape.marked || t->cleared ? ", \"" FR_TARGET_DELETED "\"" : "");
}

static void put_values(fr_buf *b, const fr_pg_sink_table *t)
{
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%su.c%zu%.*s", i > 0 ? ", " : "", i, FR_ARG(t->fields[i].cast));
    fr_buf_text(b, t->positioned ? ", u.p" : "");
    fr_buf_text(b, t->shape.marked ? ", u.d" : t->cleared ? ", false" : "");
}

/* "t"."id" = u.c0::x AND ...; key i of the statement is u.c<i> in DELETE and u.c<field>
 * elsewhere. */
void fr_pg_sink_put_key_match(fr_buf *b, const fr_pg_sink_table *t, const char *alias, bool by_key)
{
    for (size_t i = 0; i < t->key_count; i++) {
        const fr_pg_field *f = &t->fields[t->keys[i]];
        fr_buf_printf(b, "%s%s.%.*s = u.c%zu%.*s", i > 0 ? " AND " : "", alias, FR_ARG(f->ident),
                      by_key ? i : (size_t)t->keys[i], FR_ARG(f->cast));
    }
}

/* Not ">": a row of a snapshot and the first row of the log after it may share their
 * position, and a repeat of the same position writes the same row. */
static void put_guard(fr_buf *b, const fr_pg_sink_table *t, const char *lead, const char *theirs)
{
    if (t->shape.guarded)
        fr_buf_printf(b, "%s(t.\"%s\" IS NULL OR t.\"%s\" <= %s)", lead, FR_TARGET_POSITION,
                      FR_TARGET_POSITION, theirs);
}

static void put_insert(fr_buf *b, const fr_pg_sink_table *t)
{
    fr_buf_printf(b, "INSERT INTO %.*s AS t (", FR_ARG(t->qualified));
    put_names(b, t);
    fr_buf_printf(b, ")%s SELECT ", t->override ? " OVERRIDING SYSTEM VALUE" : "");
    put_values(b, t);
    fr_buf_text(b, " FROM ");
}

static void put_conflict(fr_buf *b, const fr_pg_sink_table *t)
{
    fr_buf_text(b, " ON CONFLICT (");
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(t->fields[t->keys[i]].ident));
    fr_buf_text(b, ") DO ");
    const char *lead = "UPDATE SET ";
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key)
            continue;
        fr_buf_printf(b, "%s%.*s = excluded.%.*s", lead, FR_ARG(t->fields[i].ident),
                      FR_ARG(t->fields[i].ident));
        lead = ", ";
    }
    static const char *const ours[] = {FR_TARGET_POSITION, FR_TARGET_DELETED};
    for (int i = 0; i < 2; i++) {
        if (i == 0 ? t->positioned : t->shape.marked || t->cleared) {
            fr_buf_printf(b, "%s\"%s\" = excluded.\"%s\"", lead, ours[i], ours[i]);
            lead = ", ";
        }
    }
    if (lead[0] == 'U') /* a key and nothing else */
        fr_buf_text(b, "NOTHING");
    else
        put_guard(b, t, " WHERE ", "excluded.\"" FR_TARGET_POSITION "\"");
}

static void put_row(fr_buf *b, const fr_pg_sink_table *t, bool arrays)
{
    put_insert(b, t);
    fr_pg_sink_put_rows(b, t, FR_TARGET_ROW, arrays);
    if (!t->append)
        put_conflict(b, t);
}

/* A plain upsert would fail on an absent NOT NULL column although the row is there. */
static void put_patch(fr_buf *b, const fr_pg_sink_table *t, bool arrays)
{
    fr_buf_text(b, "WITH u AS (SELECT * FROM ");
    fr_pg_sink_put_rows(b, t, FR_TARGET_PATCH, arrays);
    fr_buf_printf(b, "), w AS (UPDATE %.*s AS t SET ", FR_ARG(t->qualified));
    const char *lead = "";
    for (size_t i = 0; i < t->shape.count; i++) {
        const fr_pg_field *f = &t->fields[i];
        if (f->key)
            continue;
        fr_buf_printf(b, "%s%.*s = CASE WHEN get_bit(u.m, %zu) = 1 THEN u.c%zu%.*s ELSE t.%.*s END",
                      lead, FR_ARG(f->ident), i, i, FR_ARG(f->cast), FR_ARG(f->ident));
        lead = ", ";
    }
    if (t->positioned) {
        fr_buf_printf(b, "%s\"%s\" = u.p", lead, FR_TARGET_POSITION);
        lead = ", ";
    }
    if (t->shape.marked || t->cleared)
        fr_buf_printf(b, "%s\"%s\" = %s", lead, FR_TARGET_DELETED,
                      t->shape.marked ? "u.d" : "false");
    fr_buf_text(b, " FROM u WHERE ");
    fr_pg_sink_put_key_match(b, t, "t", false);
    put_guard(b, t, " AND ", "u.p");
    fr_buf_text(b, ") ");
    put_insert(b, t);
    fr_buf_printf(b, "u WHERE NOT EXISTS (SELECT 1 FROM %.*s AS x WHERE ", FR_ARG(t->qualified));
    fr_pg_sink_put_key_match(b, t, "x", false);
    fr_buf_u8(b, ')');
}

static void put_delete(fr_buf *b, const fr_pg_sink_table *t, bool arrays)
{
    if (t->shape.marked) {
        fr_buf_printf(b, "UPDATE %.*s AS t SET \"%s\" = true", FR_ARG(t->qualified),
                      FR_TARGET_DELETED);
        if (t->shape.guarded)
            fr_buf_text(b, ", \"" FR_TARGET_POSITION "\" = COALESCE(NULLIF(u.p, "
                           "decode('" FR_TARGET_LATEST_HEX "', 'hex')), t.\"" FR_TARGET_POSITION
                           "\")");
        fr_buf_text(b, " FROM ");
    } else {
        fr_buf_printf(b, "DELETE FROM %.*s AS t USING ", FR_ARG(t->qualified));
    }
    fr_pg_sink_put_rows(b, t, FR_TARGET_DELETE, arrays);
    fr_buf_text(b, " WHERE ");
    fr_pg_sink_put_key_match(b, t, "t", true);
    put_guard(b, t, " AND ", "u.p");
}

fr_str fr_pg_sink_sql(fr_arena *a, const fr_pg_sink_table *t, fr_target_form form, bool arrays)
{
    fr_buf b = {.arena = a};
    if (t->history)
        return fr_pg_history_sql(a, t, form, arrays);
    if (form == FR_TARGET_ROW)
        put_row(&b, t, arrays);
    else if (form == FR_TARGET_PATCH)
        put_patch(&b, t, arrays);
    else
        put_delete(&b, t, arrays);
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}
