/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where `create`
 * says so, ADD COLUMN where on_change says evolve. SQLite cannot change a column: what would need
 * that is refused. Nothing is ever dropped. */
#include "sql/text.h"
#include "sqlite/sq_sink.h"

typedef struct comparison {
    const fr_sink_settings *settings;
    const fr_sq_target *r;
    const fr_table *t;
    bool create;
    fr_findings *out;
    fr_arena *a;
} comparison;

static const char made_again[] = "SQLite cannot change a column: make the table again "
                                 "(https://www.sqlite.org/lang_altertable.html, "
                                 "7)";

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

/* Columns that are not in the key take NULL whatever the source says: a column that is dropped
 * there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->a};
    fr_buf_printf(&b, "CREATE TABLE main.%.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->t->column_count; i++) {
        const fr_column *c = &k->t->columns[i];
        fr_buf_printf(&b, "%.*s %s%s, ", FR_ARG(fr_sql_ident(k->a, c->name)),
                      fr_sq_sink_type(c->kind), is_key(k, c) ? " NOT NULL" : "");
    }
    fr_buf_text(&b, "\"" FR_TARGET_POSITION "\" BLOB");
    if (k->settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", \"" FR_TARGET_DELETED "\" INTEGER NOT NULL DEFAULT 0");
    if (fr_table_key_count(k->t) > 0 && k->settings->write_mode == FR_WRITE_UPSERT)
        fr_buf_printf(&b, ", PRIMARY KEY (%.*s)",
                      FR_ARG(fr_target_key_list(k->a, k->t, fr_sql_ident)));
    fr_buf_text(&b, ") STRICT");
    return fr_buf_view(&b);
}

static void compare_missing(comparison *k)
{
    fr_finding *f;
    if (k->create)
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "create %.*s",
                            FR_ARG(k->r->qualified));
    else
        f = blocker(k, "sink.table", FR_STR("there is no such table"),
                    k->settings->create == FR_WHEN_APPLY
                        ? FR_STR("freshet apply creates it, or run")
                        : FR_STR("create it, or set create: run"));
    f->sql = create_sql(k);
    f->undo = fr_arena_printf(k->a, "DROP TABLE main.%.*s", FR_ARG(k->r->qualified));
}

/* ---- columns ---- */

static fr_str add_sql(comparison *k, fr_str ident, const char *type)
{
    return fr_arena_printf(k->a, "ALTER TABLE main.%.*s ADD COLUMN %.*s %s",
                           FR_ARG(k->r->qualified), FR_ARG(ident), type);
}

static void compare_missing_column(comparison *k, const fr_column *c)
{
    fr_str ident = fr_sql_ident(k->a, c->name);
    const char *type = fr_sq_sink_type(c->kind);
    fr_str text = fr_arena_printf(k->a, "there is no column %.*s", FR_ARG(ident));
    fr_finding *f;
    if (k->settings->add_column == FR_CHANGE_IGNORE && !is_key(k, c)) {
        fr_findings_add(k->out, FR_WARNING, "sink.table", "%.*s: %.*s: left out (on_change)",
                        FR_ARG(k->r->qualified), FR_ARG(text));
        return;
    }
    if (k->settings->add_column == FR_CHANGE_EVOLVE && !is_key(k, c))
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "%.*s: add column %.*s %s",
                            FR_ARG(k->r->qualified), FR_ARG(ident), type);
    else
        f = blocker(k, "sink.add_column", text,
                    FR_STR("add it, or set on_change.add_column to evolve or ignore"));
    f->sql = add_sql(k, ident, type);
}

static void compare_type(comparison *k, const fr_column *c, const fr_sq_target_column *to)
{
    fr_sq_send send;
    const char *why;
    fr_sq_fit fit = fr_sq_sink_fit(c, to, &send, &why);
    if (fit == FR_SQ_FIT_FINE)
        return;
    fr_str text = fr_arena_printf(k->a, "column %.*s is %.*s%s, the messages have %s (%s): %s",
                                  FR_ARG(fr_sql_ident(k->a, to->name)), FR_ARG(to->declared),
                                  to->strict ? " (STRICT)" : "", fr_kind_name(c->kind),
                                  fr_sq_sink_type(c->kind), why);
    if (fit == FR_SQ_FIT_LOSSY && !is_key(k, c))
        fr_findings_add(k->out, FR_WARNING, "sink.types", "%.*s: %.*s", FR_ARG(k->r->qualified),
                        FR_ARG(text));
    else
        blocker(k, "sink.types", text,
                fr_arena_printf(k->a, "give the column the type %s. %s", fr_sq_sink_type(c->kind),
                                made_again));
}

/* Two columns whose names differ by case only are one to SQLite. */
static bool has_twin(const comparison *k, const fr_column *c)
{
    for (const fr_column *other = k->t->columns; other < c; other++)
        if (fr_target_same_name(other->name, c->name))
            return true;
    return false;
}

static bool is_own(fr_str name)
{
    return fr_target_same_name(name, FR_STR(FR_TARGET_POSITION)) ||
           fr_target_same_name(name, FR_STR(FR_TARGET_DELETED));
}

static bool good_name(comparison *k, const fr_column *c)
{
    fr_err err;
    fr_str text = FR_STR("");
    if (fr_sq_sink_name(c->name, &err) == FR_FAIL)
        text = fr_arena_printf(k->a, "column: %s", err.text);
    else if (is_own(c->name))
        text = fr_arena_printf(k->a, "column %.*s has a name of freshet's own", FR_ARG(c->name));
    else if (has_twin(k, c))
        text = fr_arena_printf(k->a,
                               "column %.*s: another one differs by case only, and to SQLite "
                               "they are one",
                               FR_ARG(c->name));
    if (text.len == 0)
        return true;
    blocker(k, "sink.name", text, FR_STR("leave the column out at the source (columns.exclude)"));
    return false;
}

static void compare_column(comparison *k, const fr_column *c)
{
    if (!good_name(k, c) || !k->r->there)
        return;
    const fr_sq_target_column *to = fr_sq_target_find(k->r, c->name);
    if (to == NULL)
        compare_missing_column(k, c);
    else if (!to->generated) /* else the target works it out */
        compare_type(k, c, to);
    else if (is_key(k, c))
        blocker(k, "sink.key",
                fr_arena_printf(k->a, "key column %.*s is generated",
                                FR_ARG(fr_sql_ident(k->a, to->name))),
                FR_STR("give the key a column that can be written"));
}

/* Columns of the target that the messages do not have. */
static bool is_sent(const comparison *k, fr_str name)
{
    for (size_t i = 0; i < k->t->column_count; i++)
        if (fr_target_same_name(k->t->columns[i].name, name))
            return true;
    return is_own(name);
}

static void compare_extra(comparison *k)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_sq_target_column *c = &k->r->columns[i];
        if (!c->not_null || c->has_default || c->generated || c->counts || is_sent(k, c->name))
            continue;
        blocker(k, "sink.table",
                fr_arena_printf(k->a, "column %.*s is NOT NULL and the messages do not have it",
                                FR_ARG(fr_sql_ident(k->a, c->name))),
                fr_arena_printf(k->a, "let it be NULL, or give it a default. %s", made_again));
    }
}

/* ---- keys and marks ---- */

static void compare_collations(comparison *k, const fr_sq_index *key)
{
    for (size_t i = 0; i < key->count; i++) {
        if (fr_target_same_name(key->collations[i], FR_STR("BINARY")))
            continue;
        fr_finding *f = fr_findings_add(
            k->out, FR_WARNING, "sink.collation",
            "%.*s: key column %.*s compares by %.*s: keys that differ in what it ignores (case, "
            "spaces at the end) are one row here",
            FR_ARG(k->r->qualified), FR_ARG(fr_sql_ident(k->a, key->columns[i])),
            FR_ARG(key->collations[i]));
        f->hint = FR_STR("give the column COLLATE BINARY");
    }
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
    if (!k->r->there)
        return;
    const fr_sq_index *key = fr_sq_target_key(k->r, k->t);
    if (key != NULL) {
        compare_collations(k, key);
        return;
    }
    fr_str keys = fr_target_key_list(k->a, k->t, fr_sql_ident);
    fr_finding *f = blocker(
        k, "sink.key", fr_arena_printf(k->a, "no unique index on exactly (%.*s)", FR_ARG(keys)),
        FR_STR("upserts need one, of all rows"));
    fr_str index = fr_arena_printf(k->a, "freshet_%.*s", FR_ARG(k->r->name));
    f->sql =
        fr_arena_printf(k->a, "CREATE UNIQUE INDEX main.%.*s ON %.*s (%.*s)",
                        FR_ARG(fr_sql_ident(k->a, index)), FR_ARG(k->r->qualified), FR_ARG(keys));
}

static void compare_mark(comparison *k)
{
    const fr_sq_target_column *mark = fr_sq_target_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_sq_target_column *position = fr_sq_target_find(k->r, FR_STR(FR_TARGET_POSITION));
    bool number = mark != NULL && (mark->affinity == FR_SQ_INTEGER ||
                                   mark->affinity == FR_SQ_NUMERIC || mark->affinity == FR_SQ_NONE);
    if (k->settings->deletes == FR_DELETES_SOFT && !number) {
        fr_finding *f = blocker(
            k, "sink.table", FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " INTEGER"),
            FR_STR("add it"));
        f->sql = add_sql(k, FR_STR("\"" FR_TARGET_DELETED "\""), "INTEGER NOT NULL DEFAULT 0");
    }
    if (position != NULL && position->affinity != FR_SQ_NONE && position->affinity != FR_SQ_BYTES)
        blocker(k, "sink.table", FR_STR("the column " FR_TARGET_POSITION " is not BLOB"),
                FR_STR("it is freshet's own: rename yours"));
}

void fr_sq_sink_compare(const fr_sink_settings *settings, const fr_sq_target *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {settings, r, t, create, out, out->arena};
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        compare_missing(&k);
        return;
    }
    if (!fr_str_is(r->kind, "table")) {
        blocker(&k, "sink.table", fr_arena_printf(k.a, "a %.*s, and no table", FR_ARG(r->kind)),
                FR_STR("give an ordinary table by into"));
        return;
    }
    fr_target_lost_columns(settings, t, before, r->qualified, fr_sql_ident, out);
    compare_extra(&k);
    compare_mark(&k);
}
