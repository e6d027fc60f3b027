/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where
 * `create` says so, ADD COLUMN, a widened type and a column that may be NULL where on_change
 * says evolve. Nothing is ever dropped. */
#include "mysql/my_sink.h"
#include <string.h>

enum { ROW_BYTES = 60000 };

typedef struct comparison {
    const fr_my_sink *s;
    const fr_sink_settings *settings;
    const fr_my_relation *r;
    const fr_table *t;
    bool create;
    fr_findings *out;
    fr_arena *a;
} comparison;

static fr_str ident_in(fr_arena *a, fr_str column)
{
    fr_str name = column;
    fr_err ignored;
    fr_my_sink_name(a, column, &name, &ignored);
    return fr_my_ident(a, name);
}

static fr_str ident_of(comparison *k, fr_str column)
{
    return ident_in(k->a, column);
}

static fr_finding *blocker(comparison *k, const char *code, fr_str text, fr_str hint)
{
    fr_finding *f = fr_findings_add(k->out, FR_BLOCKER, code, "%.*s: %.*s", FR_ARG(k->r->qualified),
                                    FR_ARG(text));
    f->hint = hint;
    return f;
}

static bool is_key(const comparison *k, const fr_column *c)
{
    return c->key_ordinal > 0 && k->settings->write_mode == FR_WRITE_UPSERT;
}

/* ---- a table that is not there ---- */

/* Bytes of the index that each key column of no fixed size may have. */
static size_t key_room(const comparison *k)
{
    size_t left = 3072, open = 0;
    for (size_t i = 0; i < k->t->column_count; i++) {
        const fr_column *c = &k->t->columns[i];
        size_t size = fr_my_sink_key_size(c);
        if (!is_key(k, c))
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
    if (is_key(k, c))
        return fr_my_sink_type(k->a, &k->s->can, c, key_room(k));
    plain.key_ordinal = 0;
    size_t room = *row < ROW_BYTES ? ROW_BYTES - *row : 0;
    fr_str type = fr_my_sink_type(k->a, &k->s->can, &plain, room < 2000 ? room : 2000);
    if (type.len > 8 && memcmp(type.ptr, "varchar(", 8) == 0)
        *row += 1022;
    return type;
}

static void put_primary_key(comparison *k, fr_buf *b)
{
    size_t count = fr_table_key_count(k->t);
    if (count == 0 || k->settings->write_mode != FR_WRITE_UPSERT)
        return;
    fr_buf_text(b, ", PRIMARY KEY (");
    for (size_t n = 1; n <= count; n++)
        for (size_t i = 0; i < k->t->column_count; i++)
            if (k->t->columns[i].key_ordinal == n)
                fr_buf_printf(b, "%s%.*s", n > 1 ? ", " : "",
                              FR_ARG(ident_of(k, k->t->columns[i].name)));
    fr_buf_u8(b, ')');
}

/* Columns that are not in the key take NULL whatever the source says: a column that is
 * dropped there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->a};
    size_t row = 0;
    if (!k->r->space_there)
        fr_buf_printf(&b, "CREATE DATABASE IF NOT EXISTS %.*s; ",
                      FR_ARG(fr_my_ident(k->a, k->r->space)));
    fr_buf_printf(&b, "CREATE TABLE IF NOT EXISTS %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->t->column_count; i++) {
        const fr_column *c = &k->t->columns[i];
        fr_buf_printf(&b, "%.*s %.*s %s, ", FR_ARG(ident_of(k, c->name)),
                      FR_ARG(type_of(k, c, &row)), is_key(k, c) ? "NOT NULL" : "NULL");
    }
    fr_buf_text(&b, "`" FR_TARGET_POSITION "` varbinary(16) NULL");
    if (k->settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", `" FR_TARGET_DELETED "` tinyint(1) NOT NULL DEFAULT 0");
    put_primary_key(k, &b);
    fr_buf_text(&b, ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4");
    return fr_buf_view(&b);
}

static void compare_missing(comparison *k)
{
    fr_str sql = create_sql(k);
    fr_finding *f;
    if (k->create) {
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "create %.*s",
                            FR_ARG(k->r->qualified));
    } else {
        f = blocker(k, "sink.table", FR_STR("there is no such table"),
                    k->settings->create == FR_WHEN_APPLY
                        ? FR_STR("freshet apply creates it, or run")
                        : FR_STR("create it, or set create: run"));
    }
    f->sql = sql;
    f->undo = fr_arena_printf(k->a, "DROP TABLE %.*s", FR_ARG(k->r->qualified));
}

/* ---- columns ---- */

static void compare_missing_column(comparison *k, const fr_column *c)
{
    size_t row = k->r->row_bytes;
    fr_str ident = ident_of(k, c->name), type = type_of(k, c, &row);
    fr_str text = fr_arena_printf(k->a, "there is no column %.*s", FR_ARG(ident));
    fr_finding *f;
    if (k->settings->add_column == FR_CHANGE_IGNORE && !is_key(k, c)) {
        fr_findings_add(k->out, FR_WARNING, "sink.table", "%.*s: %.*s: left out (on_change)",
                        FR_ARG(k->r->qualified), FR_ARG(text));
        return;
    }
    if (k->settings->add_column == FR_CHANGE_EVOLVE && !is_key(k, c)) {
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "%.*s: add column %.*s %.*s",
                            FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(type));
    } else {
        f = blocker(k, "sink.add_column", text,
                    FR_STR("add it, or set on_change.add_column to evolve or ignore"));
    }
    f->sql = fr_arena_printf(k->a, "ALTER TABLE %.*s ADD COLUMN %.*s %.*s NULL",
                             FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(type));
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
    fr_buf b = {.arena = k->a};
    fr_buf_printf(&b, "ALTER TABLE %.*s MODIFY COLUMN %.*s %.*s %s", FR_ARG(k->r->qualified),
                  FR_ARG(fr_my_ident(k->a, to->name)), FR_ARG(type),
                  not_null ? "NOT NULL" : "NULL");
    bool word = to->fallback.len >= 7 && memcmp(to->fallback.ptr, "CURRENT", 7) == 0;
    if (to->counts)
        fr_buf_text(&b, " AUTO_INCREMENT");
    else if (to->fallback.ptr != NULL && (k->s->can.mariadb || word))
        fr_buf_printf(&b, " DEFAULT %.*s", FR_ARG(to->fallback)); /* an expression already */
    else if (to->fallback.ptr != NULL)
        fr_buf_printf(&b, " DEFAULT %.*s", FR_ARG(fr_my_literal(k->a, to->fallback)));
    if (to->comment.len > 0)
        fr_buf_printf(&b, " COMMENT %.*s", FR_ARG(comment_literal(k->a, to->comment)));
    return fr_buf_view(&b);
}

/* A narrow column is one that our own type for it holds entirely. */
static void compare_type(comparison *k, const fr_column *c, const fr_my_target_column *to)
{
    fr_my_send send;
    fr_str ident = fr_my_ident(k->a, to->name);
    fr_my_fit fit = fr_my_sink_fit(c, to, &send);
    if (is_key(k, c) && fr_str_is(to->type, "timestamp") && !k->s->can.stamp_keys) {
        (void)blocker(
            k, "sink.types",
            fr_arena_printf(k->a, "key column %.*s is %.*s", FR_ARG(ident), FR_ARG(to->shown)),
            FR_STR("this server does not find rows by it: make it datetime(6), in UTC"));
        return;
    }
    if (fit == FR_MY_FIT_FINE)
        return;
    fr_str type = fr_my_sink_wider(k->a, &k->s->can, c, to);
    fr_str text =
        fr_arena_printf(k->a, "column %.*s is %.*s, the messages have %s (%.*s)", FR_ARG(ident),
                        FR_ARG(to->shown), fr_kind_name(c->kind), FR_ARG(type));
    fr_finding *f;
    if (fit == FR_MY_FIT_LOSSY && !is_key(k, c)) {
        f = fr_findings_add(k->out, FR_WARNING, "sink.types",
                            "%.*s: %.*s: fractions, or spaces at the end, are lost",
                            FR_ARG(k->r->qualified), FR_ARG(text));
    } else if (fit == FR_MY_FIT_LOSSY && fr_str_is(to->type, "char")) {
        return; /* a key that the server compares without them anyway: compare_collation */
    } else if (fit == FR_MY_FIT_LOSSY) {
        f = blocker(k, "sink.types", text,
                    FR_STR("two keys would become one: give the column fractions of a second"));
    } else if (fit == FR_MY_FIT_NARROW && k->settings->change_type == FR_CHANGE_EVOLVE) {
        f = fr_findings_add(k->out, FR_CHANGE, "sink.types", "%.*s: column %.*s: %.*s to %.*s",
                            FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(to->shown),
                            FR_ARG(type));
        f->cost = FR_STR("may rewrite the table under a lock");
    } else {
        f = blocker(k, "sink.types", text,
                    fit == FR_MY_FIT_NARROW
                        ? FR_STR("widen it, or set on_change.change_type to evolve")
                        : FR_STR("give the column a type that holds this"));
    }
    f->sql = modify_sql(k, to, type, to->not_null);
    f->class = FR_SQL_LOCK;
}

static void compare_collation(comparison *k, const fr_column *c, const fr_my_target_column *to)
{
    if (!is_key(k, c) || to->charset.len == 0 || fr_my_sink_exact_key(c, to))
        return;
    if (k->s->can.exact_pads && fr_str_is(to->collation, k->s->can.exact))
        return; /* the best that this server has */
    fr_finding *f = fr_findings_add(
        k->out, FR_WARNING, "sink.collation",
        "%.*s: key column %.*s compares by %.*s: keys that differ in what it ignores (case, "
        "spaces at the end) are one row here",
        FR_ARG(k->r->qualified), FR_ARG(fr_my_ident(k->a, to->name)), FR_ARG(to->collation));
    f->hint = fr_arena_printf(k->a, "give the column COLLATE %s", k->s->can.exact);
}

/* Two columns whose names differ by case only are one to MySQL. */
static bool has_twin(comparison *k, const fr_column *c, fr_str name)
{
    for (const fr_column *other = k->t->columns; other < c; other++) {
        fr_str theirs;
        fr_err ignored;
        if (fr_my_sink_name(k->a, other->name, &theirs, &ignored) == FR_OK &&
            fr_target_same_name(theirs, name))
            return true;
    }
    return false;
}

static bool good_name(comparison *k, const fr_column *c, fr_str *name)
{
    fr_err err;
    fr_str text = FR_STR("");
    if (fr_my_sink_name(k->a, c->name, name, &err) == FR_FAIL)
        text = fr_arena_printf(k->a, "column: %s", err.text);
    else if (fr_target_same_name(*name, FR_STR(FR_TARGET_POSITION)) ||
             fr_target_same_name(*name, FR_STR(FR_TARGET_DELETED)))
        text = fr_arena_printf(k->a, "column %.*s has a name of freshet's own", FR_ARG(*name));
    else if (has_twin(k, c, *name))
        text = fr_arena_printf(k->a,
                               "column %.*s: another one differs by case only, and to MySQL "
                               "they are one",
                               FR_ARG(*name));
    if (text.len == 0)
        return true;
    blocker(k, "sink.name", text, FR_STR("leave the column out at the source (columns.exclude)"));
    return false;
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!good_name(k, c, &name) || !k->r->there)
        return;
    const fr_my_target_column *to = fr_my_relation_find(k->r, name);
    if (to == NULL) {
        compare_missing_column(k, c);
    } else if (!to->generated) { /* else the target works it out */
        compare_type(k, c, to);
        compare_collation(k, c, to);
    }
}

/* Columns of the target that the messages do not have. */
static bool is_sent(comparison *k, fr_str name)
{
    for (size_t i = 0; i < k->t->column_count; i++) {
        fr_str ours;
        fr_err ignored;
        if (fr_my_sink_name(k->a, k->t->columns[i].name, &ours, &ignored) == FR_OK &&
            fr_target_same_name(ours, name))
            return true;
    }
    return fr_target_same_name(name, FR_STR(FR_TARGET_POSITION)) ||
           fr_target_same_name(name, FR_STR(FR_TARGET_DELETED));
}

static void compare_extra(comparison *k)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_my_target_column *c = &k->r->columns[i];
        if (!c->not_null || c->has_default || c->generated || is_sent(k, c->name))
            continue;
        fr_str ident = fr_my_ident(k->a, c->name);
        fr_finding *f;
        if (k->settings->drop_column == FR_CHANGE_EVOLVE)
            f = fr_findings_add(k->out, FR_CHANGE, "sink.table",
                                "%.*s: column %.*s, which the messages do not have, may be NULL",
                                FR_ARG(k->r->qualified), FR_ARG(ident));
        else
            f = blocker(k, "sink.table",
                        fr_arena_printf(k->a,
                                        "column %.*s is NOT NULL and the messages do not have it",
                                        FR_ARG(ident)),
                        FR_STR("let it be NULL, give it a default, or set on_change.drop_column "
                               "to evolve"));
        fr_str type =
            c->charset.len == 0
                ? c->shown
                : fr_arena_printf(k->a, "%.*s CHARACTER SET %.*s COLLATE %.*s", FR_ARG(c->shown),
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
    fr_finding *f =
        blocker(k, "sink.engine",
                fr_arena_printf(k->a,
                                "the engine %.*s cannot roll back: rows and offsets would not be "
                                "one transaction",
                                FR_ARG(k->r->engine)),
                FR_STR("give the table an engine with transactions"));
    f->sql = fr_arena_printf(k->a, "ALTER TABLE %.*s ENGINE=InnoDB", FR_ARG(k->r->qualified));
    f->class = FR_SQL_LOCK;
}

static void compare_key(comparison *k)
{
    if (k->settings->write_mode != FR_WRITE_UPSERT)
        return;
    if (fr_table_key_count(k->t) == 0) {
        blocker(k, "sink.key", FR_STR("the messages have no key"),
                FR_STR("give the table a key at the source, or set write.mode: append"));
        return;
    }
    if (!k->r->there || fr_my_relation_key(k->r, k->t) != NULL)
        return;
    fr_str keys = fr_target_key_list(k->a, k->t, ident_in);
    fr_finding *f = blocker(
        k, "sink.key", fr_arena_printf(k->a, "no unique index on exactly (%.*s)", FR_ARG(keys)),
        FR_STR("upserts need one, of whole columns"));
    f->sql = fr_arena_printf(k->a, "ALTER TABLE %.*s ADD UNIQUE KEY (%.*s)",
                             FR_ARG(k->r->qualified), FR_ARG(keys));
    f->class = FR_SQL_LOCK;
}

static void compare_mark(comparison *k)
{
    const fr_my_target_column *mark = fr_my_relation_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_my_target_column *position = fr_my_relation_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (k->settings->deletes == FR_DELETES_SOFT &&
        (mark == NULL || !fr_str_is(mark->type, "tinyint"))) {
        fr_finding *f =
            blocker(k, "sink.table",
                    FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " tinyint(1)"),
                    FR_STR("add it"));
        f->sql = fr_arena_printf(k->a,
                                 "ALTER TABLE %.*s ADD COLUMN `" FR_TARGET_DELETED
                                 "` tinyint(1) NOT NULL DEFAULT 0",
                                 FR_ARG(k->r->qualified));
    }
    if (position != NULL &&
        (!fr_str_is(position->type, "varbinary") || position->length < FR_TARGET_POSITION_SIZE))
        blocker(k, "sink.table", FR_STR("the column " FR_TARGET_POSITION " is not varbinary(16)"),
                FR_STR("it is freshet's own: rename yours"));
}

void fr_my_sink_compare(const fr_my_sink *s, const fr_my_relation *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {s, s->settings, r, t, create, out, out->arena};
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        compare_missing(&k);
        return;
    }
    if (!fr_str_is(r->kind, "BASE TABLE") && !fr_str_is(r->kind, "SYSTEM VERSIONED")) {
        blocker(&k, "sink.table", FR_STR("not a table"), FR_STR("give a table by into"));
        return;
    }
    compare_engine(&k);
    fr_target_lost_columns(s->settings, t, before, r->qualified, ident_in, out);
    compare_extra(&k);
    compare_mark(&k);
}
