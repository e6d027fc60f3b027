/* The statements that write rows. Every value is a bound parameter, every name is quoted
 * (S01, S02). One text serves tables with and without other unique indexes: INSERT .. ON
 * DUPLICATE KEY UPDATE, which there fails where the row it met has another key (R32). */
#include "mysql/my_sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

/* Characters of a name as far as the server's utf8 (three bytes) goes. *plain: all of them,
 * and no white space at the end. */
static fr_str basic_plane(fr_arena *a, fr_str name, size_t most, bool *plain)
{
    fr_buf b = {.arena = a};
    size_t count = 0;
    *plain = strchr(" \t\n\v\f\r", name.ptr[name.len - 1]) == NULL;
    for (size_t i = 0; i < name.len;) {
        uint8_t lead = (uint8_t)name.ptr[i];
        size_t width = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        count++;
        if (count > FR_MY_IDENT_MAX || width == 4)
            *plain = false;
        if (count <= most && width == 4)
            fr_buf_u8(&b, '_');
        else if (count <= most)
            fr_buf_put(&b, name.ptr + i, width);
        i += width;
    }
    return fr_buf_view(&b);
}

fr_rc fr_my_sink_name(fr_arena *a, fr_str name, fr_str *out, fr_err *err)
{
    bool plain = true;
    FR_TRY(fr_target_check_name("MySQL", name, err));
    fr_str kept = basic_plane(a, name, FR_MY_IDENT_MAX - 9, &plain);
    if (plain) {
        *out = name;
        return FR_OK;
    }
    uint64_t hash = fr_hash64(name.ptr, name.len);
    *out = fr_arena_printf(a, "%.*s_%08" PRIx32, FR_ARG(kept), (uint32_t)(hash ^ hash >> 32));
    return FR_OK;
}

/* ---- parts ---- */

/* The new row's name, which must not be the table's. */
static const char *alias_of(const fr_my_sink_table *t)
{
    static const char name[] = "`_freshet_row`";
    size_t len = sizeof(name) - 1;
    bool taken = t->qualified.len >= len &&
                 fr_target_same_name((fr_str){t->qualified.ptr + t->qualified.len - len, len},
                                     (fr_str){name, len});
    return taken ? "`_freshet_new`" : name;
}

/* The value that an INSERT would have put into a column. */
static void put_new(fr_buf *b, const fr_my_sink_table *t, const fr_my_abilities *can, fr_str ident)
{
    if (can->row_alias)
        fr_buf_printf(b, "%s.%.*s", alias_of(t), FR_ARG(ident));
    else
        fr_buf_printf(b, "VALUES(%.*s)", FR_ARG(ident));
}

static void put_old(fr_buf *b, const fr_my_sink_table *t, fr_str ident)
{
    fr_buf_printf(b, "%.*s.%.*s", FR_ARG(t->qualified), FR_ARG(ident));
}

static const fr_str position_ident = {"`" FR_TARGET_POSITION "`", sizeof(FR_TARGET_POSITION) + 1};
static const fr_str deleted_ident = {"`" FR_TARGET_DELETED "`", sizeof(FR_TARGET_DELETED) + 1};

/* Not ">": a row of a snapshot and the first row of the log after it may share their
 * position, and a repeat of the same position writes the same row. */
static void put_newer(fr_buf *b, const fr_my_sink_table *t, const fr_my_abilities *can)
{
    fr_buf_u8(b, '(');
    put_old(b, t, position_ident);
    fr_buf_text(b, " IS NULL OR ");
    put_old(b, t, position_ident);
    fr_buf_text(b, " <= ");
    put_new(b, t, can, position_ident);
    fr_buf_u8(b, ')');
}

/* Fails when the row that is there has another key. */
static void put_same_key(fr_buf *b, const fr_my_sink_table *t, const fr_my_abilities *can)
{
    fr_buf_text(b, "((");
    for (size_t i = 0; i < t->key_count; i++) {
        fr_str ident = t->fields[t->keys[i]].ident;
        fr_buf_text(b, i > 0 ? " AND " : "");
        put_old(b, t, ident);
        fr_buf_text(b, " <=> ");
        put_new(b, t, can, ident);
    }
    fr_buf_text(b, ") OR " FR_MY_RAISE " + (");
    put_old(b, t, t->fields[t->keys[0]].ident);
    fr_buf_text(b, " IS NOT NULL) > 0)");
}

/* ---- insert, or update what is there ---- */

static void put_columns(fr_buf *b, const fr_my_sink_table *t)
{
    fr_buf_printf(b, "INSERT INTO %.*s (", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++)
        fr_buf_printf(b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(t->fields[i].ident));
    const char *lead = t->shape.count > 0 ? ", " : "";
    if (t->positioned)
        fr_buf_printf(b, "%s%.*s", lead, FR_ARG(position_ident));
    if (t->shape.marked || t->cleared)
        fr_buf_printf(b, ", %.*s", FR_ARG(deleted_ident));
    fr_buf_text(b, ") VALUES ");
}

static void put_group(fr_buf *b, const fr_my_sink_table *t, fr_str mask)
{
    fr_buf_u8(b, '(');
    for (size_t i = 0; i < t->shape.count; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        fr_buf_text(b, fr_target_in_mask(mask, i) ? "?" : "NULL");
    }
    fr_buf_text(b, t->positioned ? t->shape.count > 0 ? ", ?" : "?" : "");
    fr_buf_text(b, t->shape.marked ? ", ?" : t->cleared ? ", 0" : "");
    fr_buf_u8(b, ')');
}

/* What an assignment of the upsert's second half depends on. The first one asks for the key:
 * none of them would be made before it. The columns that are compared come last, because
 * each assignment sees those before it. */
typedef struct upsert {
    fr_buf *b;
    const fr_my_sink_table *t;
    const fr_my_abilities *can;
    size_t count;
} upsert;

static void put_assignment(upsert *u, fr_str ident, bool to_itself)
{
    fr_buf *b = u->b;
    bool check = u->t->several && u->count == 0, guard = u->t->shape.guarded;
    fr_buf_printf(b, "%s%.*s = ", u->count > 0 ? ", " : "", FR_ARG(ident));
    u->count++;
    if (check || guard)
        fr_buf_text(b, "IF(");
    if (check)
        put_same_key(b, u->t, u->can);
    if (check && guard)
        fr_buf_text(b, " AND ");
    if (guard)
        put_newer(b, u->t, u->can);
    if (check || guard)
        fr_buf_text(b, ", ");
    if (to_itself)
        put_old(b, u->t, ident);
    else
        put_new(b, u->t, u->can, ident);
    if (check || guard) {
        fr_buf_text(b, ", ");
        put_old(b, u->t, ident);
        fr_buf_u8(b, ')');
    }
}

static void put_conflict(fr_buf *b, const fr_my_sink_table *t, const fr_my_abilities *can,
                         fr_str mask)
{
    upsert u = {b, t, can, 0};
    if (can->row_alias)
        fr_buf_printf(b, " AS %s", alias_of(t));
    fr_buf_text(b, " ON DUPLICATE KEY UPDATE ");
    for (size_t i = 0; i < t->shape.count; i++)
        if (!t->fields[i].key && fr_target_in_mask(mask, i))
            put_assignment(&u, t->fields[i].ident, false);
    if (t->shape.marked || t->cleared)
        put_assignment(&u, deleted_ident, false);
    if (t->positioned)
        put_assignment(&u, position_ident, false);
    if (u.count == 0) /* a key and nothing else */
        put_assignment(&u, t->fields[t->keys[0]].ident, true);
}

static void put_write(fr_buf *b, const fr_my_sink_table *t, const fr_my_abilities *can, fr_str mask,
                      size_t rows)
{
    put_columns(b, t);
    for (size_t i = 0; i < rows || i == 0; i++) {
        fr_buf_text(b, i > 0 ? ", " : "");
        put_group(b, t, mask);
    }
    if (!t->append)
        put_conflict(b, t, can, mask);
}

/* ---- the others ---- */

static void put_key_match(fr_buf *b, const fr_my_sink_table *t)
{
    for (size_t i = 0; i < t->key_count; i++)
        fr_buf_printf(b, "%s%.*s = ?", i > 0 ? " AND " : "", FR_ARG(t->fields[t->keys[i]].ident));
}

static void put_guard(fr_buf *b, const fr_my_sink_table *t)
{
    if (t->shape.guarded)
        fr_buf_text(b, " AND (`" FR_TARGET_POSITION "` IS NULL OR `" FR_TARGET_POSITION "` <= ?)");
}

static void put_update(fr_buf *b, const fr_my_sink_table *t, fr_str mask)
{
    const char *lead = "";
    fr_buf_printf(b, "UPDATE %.*s SET ", FR_ARG(t->qualified));
    for (size_t i = 0; i < t->shape.count; i++) {
        if (t->fields[i].key || !fr_target_in_mask(mask, i))
            continue;
        fr_buf_printf(b, "%s%.*s = ?", lead, FR_ARG(t->fields[i].ident));
        lead = ", ";
    }
    if (t->positioned) {
        fr_buf_printf(b, "%s`" FR_TARGET_POSITION "` = ?", lead);
        lead = ", ";
    }
    if (t->shape.marked || t->cleared) {
        fr_buf_printf(b, "%s`" FR_TARGET_DELETED "` = %s", lead, t->shape.marked ? "?" : "0");
        lead = ", ";
    }
    if (lead[0] == '\0') { /* nothing is there but the key */
        fr_str ident = t->fields[t->keys[0]].ident;
        fr_buf_printf(b, "%.*s = %.*s", FR_ARG(ident), FR_ARG(ident));
    }
    fr_buf_text(b, " WHERE ");
    put_key_match(b, t);
    put_guard(b, t);
}

static void put_find(fr_buf *b, const fr_my_sink_table *t)
{
    fr_buf_printf(b, "SELECT 1 FROM %.*s WHERE ", FR_ARG(t->qualified));
    put_key_match(b, t);
    fr_buf_text(b, " FOR UPDATE");
}

static void put_delete(fr_buf *b, const fr_my_sink_table *t, size_t rows)
{
    if (t->shape.marked)
        fr_buf_printf(b, "UPDATE %.*s SET `" FR_TARGET_DELETED "` = 1%s WHERE ",
                      FR_ARG(t->qualified),
                      t->shape.guarded ? ", `" FR_TARGET_POSITION
                                         "` = COALESCE(NULLIF(?, X'" FR_TARGET_LATEST_HEX
                                         "'), `" FR_TARGET_POSITION "`)"
                                       : "");
    else
        fr_buf_printf(b, "DELETE FROM %.*s WHERE ", FR_ARG(t->qualified));
    for (size_t i = 0; i < rows || i == 0; i++) {
        fr_buf_text(b, i > 0 ? " OR (" : "(");
        put_key_match(b, t);
        put_guard(b, t);
        fr_buf_u8(b, ')');
    }
}

fr_str fr_my_sink_sql(fr_arena *a, const fr_my_sink_table *t, const fr_my_abilities *can,
                      fr_my_verb verb, fr_str mask, size_t rows)
{
    fr_buf b = {.arena = a};
    if (verb >= FR_MY_VERB_LAST)
        return fr_my_history_sql(a, t, verb, mask, rows);
    switch (verb) {
    case FR_MY_VERB_WRITE:
        put_write(&b, t, can, mask, rows);
        break;
    case FR_MY_VERB_UPDATE:
        put_update(&b, t, mask);
        break;
    case FR_MY_VERB_FIND:
        put_find(&b, t);
        break;
    default:
        put_delete(&b, t, rows);
    }
    fr_buf_u8(&b, '\0');
    return (fr_str){(const char *)b.ptr, b.len - 1};
}
