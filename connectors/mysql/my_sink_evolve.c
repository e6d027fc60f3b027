/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where
 * `create` says so, ADD COLUMN, a widened type and a column that may be NULL where on_change
 * says evolve. Nothing is ever dropped. */
#include "mysql/my_sink.h"
#include "sql/evolve.h"
#include "sql/history.h"
#include <string.h>

enum { ROW_BYTES = 60000, MOMENT_BYTES = 8 };

typedef struct comparison {
    fr_target_comparison of;
    const fr_my_sink *s;
    const fr_my_relation *r;
} comparison;

static fr_str ident_in(fr_arena *a, fr_str column)
{
    fr_str name = column;
    fr_err ignored;
    fr_my_sink_name(a, column, &name, &ignored);
    return fr_my_ident(a, name);
}

static const fr_target_dialect dialect = {"MySQL", true, ident_in, fr_my_sink_name};

static fr_str ident_of(comparison *k, fr_str column)
{
    return ident_in(k->of.a, column);
}

static bool is_history(const comparison *k)
{
    return k->of.settings->write_mode == FR_WRITE_HISTORY;
}

/* ---- a table that is not there ---- */

/* Bytes of the index that each key column of no fixed size may have. */
static size_t key_room(const comparison *k)
{
    size_t left = is_history(k) ? 3072 - MOMENT_BYTES : 3072, open = 0;
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        const fr_column *c = &k->of.table->columns[i];
        size_t size = fr_my_sink_key_size(c);
        if (!fr_target_is_key(&k->of, c))
            continue;
        open += size == 0;
        left = left > size ? left - size : 0;
    }
    size_t each = open > 0 ? left / open : left;
    return each < k->s->can.key_bytes ? each : k->s->can.key_bytes;
}

static fr_str type_of(comparison *k, const fr_column *c, size_t *row)
{
    fr_column plain = *c;
    if (fr_target_is_key(&k->of, c))
        return fr_my_sink_type(k->of.a, &k->s->can, c, key_room(k));
    plain.key_ordinal = 0;
    size_t room = *row < ROW_BYTES ? ROW_BYTES - *row : 0;
    fr_str type = fr_my_sink_type(k->of.a, &k->s->can, &plain, room < 2000 ? room : 2000);
    if (type.len > 8 && memcmp(type.ptr, "varchar(", 8) == 0)
        *row += 1022;
    return type;
}

/* Columns that are not in the key take NULL whatever the source says: a column that is
 * dropped there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->of.a};
    size_t row = 0;
    if (!k->r->space_there)
        fr_buf_printf(&b, "CREATE DATABASE IF NOT EXISTS %.*s; ",
                      FR_ARG(fr_my_ident(k->of.a, k->r->space)));
    fr_buf_printf(&b, "CREATE TABLE IF NOT EXISTS %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        const fr_column *c = &k->of.table->columns[i];
        fr_buf_printf(&b, "%.*s %.*s %s, ", FR_ARG(ident_of(k, c->name)),
                      FR_ARG(type_of(k, c, &row)),
                      fr_target_is_key(&k->of, c) ? "NOT NULL" : "NULL");
    }
    fr_buf_text(&b, "`" FR_TARGET_POSITION "` varbinary(16) NULL");
    if (is_history(k))
        fr_my_history_put_columns(&b);
    if (k->of.settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", `" FR_TARGET_DELETED "` tinyint(1) NOT NULL DEFAULT 0");
    if (fr_table_key_count(k->of.table) > 0 && k->of.settings->write_mode != FR_WRITE_APPEND)
        fr_buf_printf(&b, ", PRIMARY KEY (%.*s%s)",
                      FR_ARG(fr_target_key_list(k->of.a, k->of.table, ident_in)),
                      is_history(k) ? ", `" FR_TARGET_FROM "`" : "");
    fr_buf_text(&b, ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4");
    return fr_buf_view(&b);
}

/* ---- columns ---- */

static void compare_missing_column(comparison *k, const fr_column *c)
{
    size_t row = k->r->row_bytes;
    fr_str type = type_of(k, c, &row);
    fr_finding *f = fr_target_missing_column(&k->of, c, type);
    if (f == NULL)
        return;
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ADD COLUMN %.*s %.*s NULL",
                             FR_ARG(k->r->qualified), FR_ARG(ident_of(k, c->name)), FR_ARG(type));
    f->class = FR_SQL_LOCK;
}

/* A comment takes nothing but a plain literal; the session's mode knows the backslash. */
static fr_str comment_literal(fr_arena *a, fr_str text)
{
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'' || text.ptr[i] == '\\')
            fr_buf_u8(&b, (uint8_t)text.ptr[i]);
        fr_buf_u8(&b, (uint8_t)text.ptr[i]);
    }
    fr_buf_u8(&b, '\'');
    return fr_buf_view(&b);
}

/* MODIFY forgets what it is not told. */
static fr_str modify_sql(comparison *k, const fr_my_target_column *to, fr_str type, bool not_null)
{
    fr_buf b = {.arena = k->of.a};
    fr_buf_printf(&b, "ALTER TABLE %.*s MODIFY COLUMN %.*s %.*s %s", FR_ARG(k->r->qualified),
                  FR_ARG(fr_my_ident(k->of.a, to->name)), FR_ARG(type),
                  not_null ? "NOT NULL" : "NULL");
    bool word = to->fallback.len >= 7 && memcmp(to->fallback.ptr, "CURRENT", 7) == 0;
    if (to->counts)
        fr_buf_text(&b, " AUTO_INCREMENT");
    else if (to->fallback.ptr != NULL && (k->s->can.mariadb || word))
        fr_buf_printf(&b, " DEFAULT %.*s", FR_ARG(to->fallback)); /* an expression already */
    else if (to->fallback.ptr != NULL)
        fr_buf_printf(&b, " DEFAULT %.*s", FR_ARG(fr_my_literal(k->of.a, to->fallback)));
    if (to->comment.len > 0)
        fr_buf_printf(&b, " COMMENT %.*s", FR_ARG(comment_literal(k->of.a, to->comment)));
    return fr_buf_view(&b);
}

/* A narrow column is one that our own type for it holds entirely. */
static void compare_type(comparison *k, const fr_column *c, const fr_my_target_column *to)
{
    fr_my_send send;
    fr_str ident = fr_my_ident(k->of.a, to->name);
    fr_my_fit fit = fr_my_sink_fit(c, to, &send);
    if (fr_target_is_key(&k->of, c) && fr_str_is(to->type, "timestamp") && !k->s->can.stamp_keys) {
        (void)fr_target_blocker(
            &k->of, "sink.types",
            fr_arena_printf(k->of.a, "key column %.*s is %.*s", FR_ARG(ident), FR_ARG(to->shown)),
            FR_STR("this server does not find rows by it: make it datetime(6), in UTC"));
        return;
    }
    if (fit == FR_MY_FIT_FINE)
        return;
    fr_str type = fr_my_sink_wider(k->of.a, &k->s->can, c, to);
    fr_str text =
        fr_arena_printf(k->of.a, "column %.*s is %.*s, the messages have %s (%.*s)", FR_ARG(ident),
                        FR_ARG(to->shown), fr_kind_name(c->kind), FR_ARG(type));
    fr_finding *f;
    if (fit == FR_MY_FIT_LOSSY && !fr_target_is_key(&k->of, c)) {
        f = fr_findings_add(k->of.out, FR_WARNING, "sink.types",
                            "%.*s: %.*s: fractions, or spaces at the end, are lost",
                            FR_ARG(k->r->qualified), FR_ARG(text));
    } else if (fit == FR_MY_FIT_LOSSY && fr_str_is(to->type, "char")) {
        return; /* a key that the server compares without them anyway: compare_collation */
    } else if (fit == FR_MY_FIT_LOSSY) {
        f = fr_target_blocker(
            &k->of, "sink.types", text,
            FR_STR("two keys would become one: give the column fractions of a second"));
    } else if (fit == FR_MY_FIT_NARROW && k->of.settings->change_type == FR_CHANGE_EVOLVE) {
        f = fr_findings_add(k->of.out, FR_CHANGE, "sink.types", "%.*s: column %.*s: %.*s to %.*s",
                            FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(to->shown),
                            FR_ARG(type));
        f->cost = FR_STR("may rewrite the table under a lock");
    } else {
        f = fr_target_blocker(&k->of, "sink.types", text,
                              fit == FR_MY_FIT_NARROW
                                  ? FR_STR("widen it, or set on_change.change_type to evolve")
                                  : FR_STR("give the column a type that holds this"));
    }
    f->sql = modify_sql(k, to, type, to->not_null);
    f->class = FR_SQL_LOCK;
}

static void compare_collation(comparison *k, const fr_column *c, const fr_my_target_column *to)
{
    if (!fr_target_is_key(&k->of, c) || to->charset.len == 0 || fr_my_sink_exact_key(c, to))
        return;
    if (k->s->can.exact_pads && fr_str_is(to->collation, k->s->can.exact))
        return; /* the best that this server has */
    fr_finding *f = fr_findings_add(
        k->of.out, fr_history_collation(&k->of), "sink.collation",
        "%.*s: key column %.*s compares by %.*s: keys that differ in what it ignores (case, "
        "spaces at the end) are one row here",
        FR_ARG(k->r->qualified), FR_ARG(fr_my_ident(k->of.a, to->name)), FR_ARG(to->collation));
    f->hint = fr_arena_printf(k->of.a, "give the column COLLATE %s", k->s->can.exact);
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!fr_target_good_column(&k->of, c, &name) || !k->r->there)
        return;
    const fr_my_target_column *to = fr_my_relation_find(k->r, name);
    if (to == NULL) {
        compare_missing_column(k, c);
    } else if (to->generated) {
        fr_target_generated_column(&k->of, c, fr_my_ident(k->of.a, to->name));
    } else {
        compare_type(k, c, to);
        compare_collation(k, c, to);
    }
}

/* Columns of the target that the messages do not have. */
static void compare_extra(comparison *k)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_my_target_column *c = &k->r->columns[i];
        if (!c->not_null || c->has_default || c->generated || fr_target_is_sent(&k->of, c->name))
            continue;
        fr_str ident = fr_my_ident(k->of.a, c->name);
        fr_finding *f;
        if (k->of.settings->drop_column == FR_CHANGE_EVOLVE)
            f = fr_findings_add(k->of.out, FR_CHANGE, "sink.table",
                                "%.*s: column %.*s, which the messages do not have, may be NULL",
                                FR_ARG(k->r->qualified), FR_ARG(ident));
        else
            f = fr_target_blocker(
                &k->of, "sink.table",
                fr_arena_printf(k->of.a, "column %.*s is NOT NULL and the messages do not have it",
                                FR_ARG(ident)),
                FR_STR("let it be NULL, give it a default, or set on_change.drop_column "
                       "to evolve"));
        fr_str type =
            c->charset.len == 0
                ? c->shown
                : fr_arena_printf(k->of.a, "%.*s CHARACTER SET %.*s COLLATE %.*s", FR_ARG(c->shown),
                                  FR_ARG(c->charset), FR_ARG(c->collation));
        f->sql = modify_sql(k, c, type, false);
        f->class = FR_SQL_LOCK;
    }
}

/* ---- engines, keys and marks ---- */

static void compare_engine(comparison *k)
{
    if (k->r->transactional)
        return;
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.engine",
        fr_arena_printf(k->of.a,
                        "the engine %.*s cannot roll back: rows and offsets would not be "
                        "one transaction",
                        FR_ARG(k->r->engine)),
        FR_STR("give the table an engine with transactions"));
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ENGINE=InnoDB", FR_ARG(k->r->qualified));
    f->class = FR_SQL_LOCK;
}

static void compare_key(comparison *k)
{
    if (!fr_target_has_key(&k->of) || !k->r->there || is_history(k) ||
        fr_my_relation_key(k->r, k->of.table, false) != NULL)
        return;
    fr_str keys = fr_target_key_list(k->of.a, k->of.table, ident_in);
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.key",
        fr_arena_printf(k->of.a, "no unique index on exactly (%.*s)", FR_ARG(keys)),
        FR_STR("upserts need one, of whole columns"));
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ADD UNIQUE KEY (%.*s)",
                             FR_ARG(k->r->qualified), FR_ARG(keys));
    f->class = FR_SQL_LOCK;
}

static void compare_mark(comparison *k)
{
    const fr_my_target_column *mark = fr_my_relation_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_my_target_column *position = fr_my_relation_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (k->of.settings->deletes == FR_DELETES_SOFT &&
        (mark == NULL || !fr_str_is(mark->type, "tinyint"))) {
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " tinyint(1)"),
            FR_STR("add it"));
        f->sql = fr_arena_printf(k->of.a,
                                 "ALTER TABLE %.*s ADD COLUMN `" FR_TARGET_DELETED
                                 "` tinyint(1) NOT NULL DEFAULT 0",
                                 FR_ARG(k->r->qualified));
    }
    fr_target_truncates(&k->of, position != NULL);
    if (position != NULL &&
        (!fr_str_is(position->type, "varbinary") || position->length < FR_TARGET_POSITION_SIZE))
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("the column " FR_TARGET_POSITION " is not varbinary(16)"),
                          FR_STR("it is freshet's own: rename yours"));
}

/* States of one second would have one beginning. */
static void compare_clock(comparison *k)
{
    if (is_history(k) && !k->s->can.fractions)
        fr_target_blocker(&k->of, "sink.version",
                          FR_STR("write.mode: history needs fractions of seconds, and this server "
                                 "has none"),
                          FR_STR("take MySQL 5.6.4 or later, or set write.mode: append"));
}

void fr_my_sink_compare(const fr_my_sink *s, const fr_my_relation *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {{&dialect, s->settings, t, r->qualified, create, out, out->arena}, s, r};
    fr_history_other_mode(&k.of, fr_my_relation_find(r, FR_STR(FR_TARGET_FROM)) != NULL);
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    compare_clock(&k);
    if (!r->there) {
        fr_target_missing_table(&k.of, create_sql(&k));
        return;
    }
    if (!fr_str_is(r->kind, "BASE TABLE") && !fr_str_is(r->kind, "SYSTEM VERSIONED")) {
        fr_target_blocker(&k.of, "sink.table", FR_STR("not a table"),
                          FR_STR("give a table by into"));
        return;
    }
    compare_engine(&k);
    fr_target_lost_columns(&k.of, before);
    compare_extra(&k);
    if (is_history(&k))
        fr_my_history_compare(&k.of, r, create_sql(&k));
    else
        compare_mark(&k);
}
