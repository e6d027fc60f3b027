/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where `create`
 * says so; ADD COLUMN, a wider type, and NULL for a column that the messages lost where on_change
 * says evolve. Nothing is ever dropped. */
#include "duckdb/duck_sink.h"
#include "sql/text.h"
#include <stdio.h>

typedef struct comparison {
    const fr_sink_settings *settings;
    const fr_duck_target *r;
    const fr_table *t;
    bool create;
    fr_findings *out;
    fr_arena *a;
} comparison;

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

/* Without a primary key: docs/adr/0045-duckdb.md. Columns that are not in the key take NULL
 * whatever the source says: a column that is dropped there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->a};
    if (!k->r->space_there)
        fr_buf_printf(&b, "CREATE SCHEMA IF NOT EXISTS %.*s; ",
                      FR_ARG(fr_sql_ident(k->a, k->r->space)));
    fr_buf_printf(&b, "CREATE TABLE %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->t->column_count; i++) {
        const fr_column *c = &k->t->columns[i];
        fr_buf_printf(&b, "%.*s %.*s%s, ", FR_ARG(fr_sql_ident(k->a, c->name)),
                      FR_ARG(fr_duck_sink_type(k->a, c)), is_key(k, c) ? " NOT NULL" : "");
    }
    fr_buf_text(&b, "\"" FR_TARGET_POSITION "\" BLOB");
    if (k->settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", \"" FR_TARGET_DELETED "\" BOOLEAN NOT NULL DEFAULT FALSE");
    fr_buf_text(&b, ")");
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
    f->undo = fr_arena_printf(k->a, "DROP TABLE %.*s", FR_ARG(k->r->qualified));
}

/* ---- columns ---- */

static fr_str alter(comparison *k, const char *what, fr_str ident, const char *more, fr_str type)
{
    return fr_arena_printf(k->a, "ALTER TABLE %.*s %s COLUMN %.*s %s%.*s", FR_ARG(k->r->qualified),
                           what, FR_ARG(ident), more, FR_ARG(type));
}

static void compare_missing_column(comparison *k, const fr_column *c)
{
    fr_str ident = fr_sql_ident(k->a, c->name), type = fr_duck_sink_type(k->a, c);
    fr_str text = fr_arena_printf(k->a, "there is no column %.*s", FR_ARG(ident));
    fr_finding *f;
    if (k->settings->add_column == FR_CHANGE_IGNORE && !is_key(k, c)) {
        fr_findings_add(k->out, FR_WARNING, "sink.table", "%.*s: %.*s: left out (on_change)",
                        FR_ARG(k->r->qualified), FR_ARG(text));
        return;
    }
    if (k->settings->add_column == FR_CHANGE_EVOLVE && !is_key(k, c))
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "%.*s: add column %.*s %.*s",
                            FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(type));
    else
        f = blocker(k, "sink.add_column", text,
                    FR_STR("add it, or set on_change.add_column to evolve or ignore"));
    f->sql = alter(k, "ADD", ident, "", type);
}

/* The most digits before and after the point that a number type holds. */
static void digits_of(fr_str type, int *before, int *after)
{
    static const struct {
        const char *name;
        int digits;
    } integers[] = {{"TINYINT", 3}, {"SMALLINT", 5}, {"INTEGER", 10}, {"BIGINT", 19}};
    char text[32];
    int precision;
    *before = 39; /* HUGEINT */
    *after = 0;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
        if (fr_str_is(type, integers[i].name))
            *before = integers[i].digits;
    snprintf(text, sizeof(text), "%.*s", FR_ARG(type));
    if (sscanf(text, "DECIMAL(%d,%d)", &precision, after) == 2)
        *before = precision - *after;
}

/* Of a column that is NARROW, a number: wide enough for what it holds and for what comes. Empty:
 * nothing is. */
static fr_str wider(comparison *k, const fr_column *c, const fr_duck_target_column *to)
{
    fr_str type = fr_duck_sink_type(k->a, c);
    int held, held_after, come, come_after;
    if (fr_str_is(to->type, "FLOAT"))
        return type;
    digits_of(to->type, &held, &held_after);
    digits_of(type, &come, &come_after);
    if (come >= held && come_after >= held_after)
        return type;
    int before = held > come ? held : come,
        after = held_after > come_after ? held_after : come_after;
    return before + after <= 38 ? fr_arena_printf(k->a, "DECIMAL(%d,%d)", before + after, after)
                                : FR_STR("");
}

static void compare_type(comparison *k, const fr_column *c, const fr_duck_target_column *to)
{
    fr_duck_fit fit = fr_duck_sink_fit(c, to);
    fr_str ident = fr_sql_ident(k->a, to->name);
    fr_str text = fr_arena_printf(k->a, "column %.*s is %.*s, the messages have %s (%.*s)",
                                  FR_ARG(ident), FR_ARG(to->type), fr_kind_name(c->kind),
                                  FR_ARG(fr_duck_sink_type(k->a, c)));
    fr_finding *f;
    switch (fit) {
    case FR_DUCK_FIT_FINE:
        return;
    case FR_DUCK_FIT_PART:
        fr_findings_add(k->out, FR_WARNING, "sink.types",
                        "%.*s: %.*s: what it does not take is an error of its row",
                        FR_ARG(k->r->qualified), FR_ARG(text));
        return;
    case FR_DUCK_FIT_NARROW: {
        fr_str type = wider(k, c, to);
        if (type.len == 0) {
            blocker(k, "sink.types", text, FR_STR("no number type holds both: make it VARCHAR"));
            return;
        }
        if (k->settings->change_type == FR_CHANGE_EVOLVE) {
            f = fr_findings_add(k->out, FR_CHANGE, "sink.types", "%.*s: column %.*s: %.*s to %.*s",
                                FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(to->type),
                                FR_ARG(type));
            f->cost = FR_STR("rewrites the column");
        } else {
            f = blocker(k, "sink.types", text,
                        FR_STR("widen it, or set on_change.change_type to evolve"));
        }
        f->sql = alter(k, "ALTER", ident, "TYPE ", type);
        return;
    }
    default:
        blocker(k, "sink.types", text,
                fr_arena_printf(k->a, "give the column the type %.*s, or VARCHAR",
                                FR_ARG(fr_duck_sink_type(k->a, c))));
    }
}

/* Two columns whose names differ by case only are one to DuckDB. */
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
    if (fr_duck_sink_name(c->name, &err) == FR_FAIL)
        text = fr_arena_printf(k->a, "column: %s", err.text);
    else if (is_own(c->name))
        text = fr_arena_printf(k->a, "column %.*s has a name of freshet's own", FR_ARG(c->name));
    else if (has_twin(k, c))
        text = fr_arena_printf(k->a,
                               "column %.*s: another one differs by case only, and to DuckDB "
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
    const fr_duck_target_column *to = fr_duck_target_find(k->r, c->name);
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

static void compare_extra(comparison *k, const fr_table *before)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_duck_target_column *c = &k->r->columns[i];
        fr_str ident = fr_sql_ident(k->a, c->name);
        fr_finding *f;
        if (!c->not_null || c->has_default || c->generated || is_sent(k, c->name))
            continue;
        if (before != NULL && fr_table_find(before, c->name) >= 0 &&
            k->settings->drop_column == FR_CHANGE_EVOLVE)
            f = fr_findings_add(k->out, FR_CHANGE, "sink.table",
                                "%.*s: column %.*s, which the messages lost, may be NULL",
                                FR_ARG(k->r->qualified), FR_ARG(ident));
        else
            f = blocker(k, "sink.table",
                        fr_arena_printf(k->a,
                                        "column %.*s is NOT NULL and the messages do not have it",
                                        FR_ARG(ident)),
                        FR_STR("let it be NULL, or give it a default"));
        f->sql = alter(k, "ALTER", ident, "DROP NOT NULL", FR_STR(""));
    }
}

/* ---- keys and marks ---- */

static void compare_key(comparison *k)
{
    if (k->settings->write_mode != FR_WRITE_UPSERT)
        return;
    if (fr_table_key_count(k->t) == 0) {
        blocker(k, "sink.key", FR_STR("the messages have no key"),
                FR_STR("give the table a key at the source, or set write.mode: append"));
        return;
    }
    if (!k->r->there || k->r->view)
        return;
    fr_str keys = fr_target_key_list(k->a, k->t, fr_sql_ident);
    if (k->r->collated)
        blocker(k, "sink.key",
                fr_arena_printf(k->a,
                                "a column of the key (%.*s) has a collation: keys that "
                                "differ would be one",
                                FR_ARG(keys)),
                FR_STR("make the table anew without COLLATE"));
    if (k->r->has_key || fr_duck_target_find(k->r, FR_STR(FR_TARGET_POSITION)) != NULL)
        return;
    fr_finding *f = blocker(
        k, "sink.key", fr_arena_printf(k->a, "nothing says that (%.*s) is unique", FR_ARG(keys)),
        fr_arena_printf(k->a,
                        "upserts need a PRIMARY KEY or UNIQUE of exactly these columns, or "
                        "the column " FR_TARGET_POSITION " if you know that they are unique"));
    f->sql = fr_arena_printf(k->a, "ALTER TABLE %.*s ADD COLUMN \"" FR_TARGET_POSITION "\" BLOB",
                             FR_ARG(k->r->qualified));
}

static void compare_mark(comparison *k)
{
    const fr_duck_target_column *mark = fr_duck_target_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_duck_target_column *position = fr_duck_target_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (k->settings->deletes == FR_DELETES_SOFT &&
        (mark == NULL || !fr_str_is(mark->type, "BOOLEAN"))) {
        fr_finding *f = blocker(
            k, "sink.table", FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " BOOLEAN"),
            FR_STR("add it"));
        f->sql = alter(k, "ADD", FR_STR("\"" FR_TARGET_DELETED "\""), "",
                       FR_STR("BOOLEAN DEFAULT FALSE"));
    }
    if (position != NULL && !fr_str_is(position->type, "BLOB"))
        blocker(k, "sink.table", FR_STR("the column " FR_TARGET_POSITION " is not BLOB"),
                FR_STR("it is freshet's own: rename yours"));
}

void fr_duck_sink_compare(const fr_sink_settings *settings, const fr_duck_target *r,
                          const fr_table *t, const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {settings, r, t, create, out, out->arena};
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        compare_missing(&k);
        return;
    }
    if (r->view) {
        blocker(&k, "sink.table", FR_STR("a view, and no table"),
                FR_STR("give an ordinary table by into"));
        return;
    }
    fr_target_lost_columns(settings, t, before, r->qualified, fr_sql_ident, out);
    compare_extra(&k, before);
    compare_mark(&k);
}
