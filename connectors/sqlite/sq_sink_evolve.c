/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where `create`
 * says so, ADD COLUMN where on_change says evolve. SQLite cannot change a column: what would need
 * that is refused. Nothing is ever dropped. */
#include "sql/evolve.h"
#include "sql/history.h"
#include "sql/text.h"
#include "sqlite/sq_sink.h"

static const fr_target_dialect dialect = {"SQLite", true, fr_sql_ident, NULL};

typedef struct comparison {
    fr_target_comparison of;
    const fr_sq_target *r;
} comparison;

static const char made_again[] = "SQLite cannot change a column: make the table again "
                                 "(https://www.sqlite.org/lang_altertable.html, "
                                 "7)";

static bool is_history(const comparison *k)
{
    return k->of.settings->write_mode == FR_WRITE_HISTORY;
}

/* ---- a table that is not there ---- */

/* Columns that are not in the key take NULL whatever the source says: a column that is dropped
 * there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->of.a};
    fr_buf_printf(&b, "CREATE TABLE main.%.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        const fr_column *c = &k->of.table->columns[i];
        fr_buf_printf(&b, "%.*s %s%s, ", FR_ARG(fr_sql_ident(k->of.a, c->name)),
                      fr_sq_sink_type(c->kind), fr_target_is_key(&k->of, c) ? " NOT NULL" : "");
    }
    fr_buf_text(&b, "\"" FR_TARGET_POSITION "\" BLOB");
    if (is_history(k))
        fr_sq_history_put_columns(&b);
    if (k->of.settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", \"" FR_TARGET_DELETED "\" INTEGER NOT NULL DEFAULT 0");
    if (fr_table_key_count(k->of.table) > 0 && k->of.settings->write_mode != FR_WRITE_APPEND)
        fr_buf_printf(&b, ", PRIMARY KEY (%.*s%s)",
                      FR_ARG(fr_target_key_list(k->of.a, k->of.table, fr_sql_ident)),
                      is_history(k) ? ", \"" FR_TARGET_FROM "\"" : "");
    fr_buf_text(&b, ") STRICT");
    return fr_buf_view(&b);
}

/* ---- columns ---- */

static fr_str add_sql(comparison *k, fr_str ident, const char *type)
{
    return fr_arena_printf(k->of.a, "ALTER TABLE main.%.*s ADD COLUMN %.*s %s",
                           FR_ARG(k->r->qualified), FR_ARG(ident), type);
}

static void compare_missing_column(comparison *k, const fr_column *c)
{
    const char *type = fr_sq_sink_type(c->kind);
    fr_finding *f = fr_target_missing_column(&k->of, c, fr_cstr(type));
    if (f != NULL)
        f->sql = add_sql(k, fr_sql_ident(k->of.a, c->name), type);
}

static void compare_type(comparison *k, const fr_column *c, const fr_sq_target_column *to)
{
    fr_sq_send send;
    const char *why;
    fr_sq_fit fit = fr_sq_sink_fit(c, to, &send, &why);
    if (fit == FR_SQ_FIT_FINE)
        return;
    fr_str text = fr_arena_printf(k->of.a, "column %.*s is %.*s%s, the messages have %s (%s): %s",
                                  FR_ARG(fr_sql_ident(k->of.a, to->name)), FR_ARG(to->declared),
                                  to->strict ? " (STRICT)" : "", fr_kind_name(c->kind),
                                  fr_sq_sink_type(c->kind), why);
    if (fit == FR_SQ_FIT_LOSSY && !fr_target_is_key(&k->of, c))
        fr_findings_add(k->of.out, FR_WARNING, "sink.types", "%.*s: %.*s", FR_ARG(k->r->qualified),
                        FR_ARG(text));
    else
        fr_target_blocker(&k->of, "sink.types", text,
                          fr_arena_printf(k->of.a, "give the column the type %s. %s",
                                          fr_sq_sink_type(c->kind), made_again));
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!fr_target_good_column(&k->of, c, &name) || !k->r->there)
        return;
    const fr_sq_target_column *to = fr_sq_target_find(k->r, name);
    if (to == NULL)
        compare_missing_column(k, c);
    else if (to->generated)
        fr_target_generated_column(&k->of, c, fr_sql_ident(k->of.a, to->name));
    else
        compare_type(k, c, to);
}

/* Columns of the target that the messages do not have. */
static void compare_extra(comparison *k)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_sq_target_column *c = &k->r->columns[i];
        if (!c->not_null || c->has_default || c->generated || c->counts ||
            fr_target_is_sent(&k->of, c->name))
            continue;
        fr_target_blocker(
            &k->of, "sink.table",
            fr_arena_printf(k->of.a, "column %.*s is NOT NULL and the messages do not have it",
                            FR_ARG(fr_sql_ident(k->of.a, c->name))),
            fr_arena_printf(k->of.a, "let it be NULL, or give it a default. %s", made_again));
    }
}

/* ---- keys and marks ---- */

static void compare_collations(comparison *k, const fr_sq_index *key)
{
    for (size_t i = 0; i < key->count; i++) {
        if (fr_target_same_name(key->collations[i], FR_STR("BINARY")))
            continue;
        fr_finding *f = fr_findings_add(
            k->of.out, FR_WARNING, "sink.collation",
            "%.*s: key column %.*s compares by %.*s: keys that differ in what it ignores (case, "
            "spaces at the end) are one row here",
            FR_ARG(k->r->qualified), FR_ARG(fr_sql_ident(k->of.a, key->columns[i])),
            FR_ARG(key->collations[i]));
        f->hint = FR_STR("give the column COLLATE BINARY");
    }
}

static void compare_key(comparison *k)
{
    if (!fr_target_has_key(&k->of) || !k->r->there)
        return;
    const fr_sq_index *key = fr_sq_target_key(k->r, k->of.table, is_history(k));
    if (key != NULL)
        compare_collations(k, key);
    if (key != NULL || is_history(k))
        return;
    fr_str keys = fr_target_key_list(k->of.a, k->of.table, fr_sql_ident);
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.key",
        fr_arena_printf(k->of.a, "no unique index on exactly (%.*s)", FR_ARG(keys)),
        FR_STR("upserts need one, of all rows"));
    fr_str index = fr_arena_printf(k->of.a, "freshet_%.*s", FR_ARG(k->r->name));
    f->sql = fr_arena_printf(k->of.a, "CREATE UNIQUE INDEX main.%.*s ON %.*s (%.*s)",
                             FR_ARG(fr_sql_ident(k->of.a, index)), FR_ARG(k->r->qualified),
                             FR_ARG(keys));
}

static void compare_mark(comparison *k)
{
    const fr_sq_target_column *mark = fr_sq_target_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_sq_target_column *position = fr_sq_target_find(k->r, FR_STR(FR_TARGET_POSITION));
    bool number = mark != NULL && (mark->affinity == FR_SQ_INTEGER ||
                                   mark->affinity == FR_SQ_NUMERIC || mark->affinity == FR_SQ_NONE);
    if (k->of.settings->deletes == FR_DELETES_SOFT && !number) {
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " INTEGER"),
            FR_STR("add it"));
        f->sql = add_sql(k, FR_STR("\"" FR_TARGET_DELETED "\""), "INTEGER NOT NULL DEFAULT 0");
    }
    fr_target_truncates(&k->of, position != NULL);
    if (position != NULL && position->affinity != FR_SQ_NONE && position->affinity != FR_SQ_BYTES)
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("the column " FR_TARGET_POSITION " is not BLOB"),
                          FR_STR("it is freshet's own: rename yours"));
}

void fr_sq_sink_compare(const fr_sink_settings *settings, const fr_sq_target *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {{&dialect, settings, t, r->qualified, create, out, out->arena}, r};
    fr_history_other_mode(&k.of, fr_sq_target_find(r, FR_STR(FR_TARGET_FROM)) != NULL);
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        fr_target_missing_table(&k.of, create_sql(&k))->undo =
            fr_arena_printf(out->arena, "DROP TABLE main.%.*s", FR_ARG(r->qualified));
        return;
    }
    if (!fr_str_is(r->kind, "table")) {
        fr_target_blocker(&k.of, "sink.table",
                          fr_arena_printf(k.of.a, "a %.*s, and no table", FR_ARG(r->kind)),
                          FR_STR("give an ordinary table by into"));
        return;
    }
    fr_target_lost_columns(&k.of, before);
    compare_extra(&k);
    if (is_history(&k))
        fr_sq_history_compare(&k.of, r, create_sql(&k));
    else
        compare_mark(&k);
}
