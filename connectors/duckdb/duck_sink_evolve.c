/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where `create`
 * says so; ADD COLUMN, a wider type, and NULL for a column that the messages lost where on_change
 * says evolve. Nothing is ever dropped. */
#include "duckdb/duck_sink.h"
#include "sql/evolve.h"
#include "sql/history.h"
#include "sql/text.h"
#include <stdio.h>

static const fr_target_dialect dialect = {"DuckDB", true, fr_sql_ident, NULL};

typedef struct comparison {
    fr_target_comparison of;
    const fr_duck_target *r;
} comparison;

static bool is_history(const comparison *k)
{
    return k->of.settings->write_mode == FR_WRITE_HISTORY;
}

/* ---- a table that is not there ---- */

/* Without a primary key: docs/adr/0045-duckdb.md. Columns that are not in the key take NULL
 * whatever the source says: a column that is dropped there later must not stop us here. */
static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->of.a};
    if (!k->r->space_there)
        fr_buf_printf(&b, "CREATE SCHEMA IF NOT EXISTS %.*s; ",
                      FR_ARG(fr_sql_ident(k->of.a, k->r->space)));
    fr_buf_printf(&b, "CREATE TABLE %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        const fr_column *c = &k->of.table->columns[i];
        fr_buf_printf(&b, "%.*s %.*s%s, ", FR_ARG(fr_sql_ident(k->of.a, c->name)),
                      FR_ARG(fr_duck_sink_type(k->of.a, c)),
                      fr_target_is_key(&k->of, c) ? " NOT NULL" : "");
    }
    fr_buf_text(&b, "\"" FR_TARGET_POSITION "\" BLOB");
    if (is_history(k))
        fr_duck_history_put_columns(&b);
    if (k->of.settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", \"" FR_TARGET_DELETED "\" BOOLEAN NOT NULL DEFAULT FALSE");
    fr_buf_text(&b, ")");
    return fr_buf_view(&b);
}

/* ---- columns ---- */

static fr_str alter(comparison *k, const char *what, fr_str ident, const char *more, fr_str type)
{
    return fr_arena_printf(k->of.a, "ALTER TABLE %.*s %s COLUMN %.*s %s%.*s",
                           FR_ARG(k->r->qualified), what, FR_ARG(ident), more, FR_ARG(type));
}

static void compare_missing_column(comparison *k, const fr_column *c)
{
    fr_str type = fr_duck_sink_type(k->of.a, c);
    fr_finding *f = fr_target_missing_column(&k->of, c, type);
    if (f != NULL)
        f->sql = alter(k, "ADD", fr_sql_ident(k->of.a, c->name), "", type);
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

fr_str fr_duck_sink_wider(fr_arena *a, const fr_column *c, fr_str held_type)
{
    fr_str type = fr_duck_sink_type(a, c);
    int held, held_after, come, come_after;
    if (fr_str_is(held_type, "FLOAT"))
        return type;
    digits_of(held_type, &held, &held_after);
    digits_of(type, &come, &come_after);
    if (come >= held && come_after >= held_after)
        return type;
    int before = held > come ? held : come,
        after = held_after > come_after ? held_after : come_after;
    return before + after <= 38 ? fr_arena_printf(a, "DECIMAL(%d,%d)", before + after, after)
                                : FR_STR("");
}

static void compare_type(comparison *k, const fr_column *c, const fr_duck_target_column *to)
{
    fr_duck_fit fit = fr_duck_sink_fit(c, to);
    fr_str ident = fr_sql_ident(k->of.a, to->name);
    fr_str text = fr_arena_printf(k->of.a, "column %.*s is %.*s, the messages have %s (%.*s)",
                                  FR_ARG(ident), FR_ARG(to->type), fr_kind_name(c->kind),
                                  FR_ARG(fr_duck_sink_type(k->of.a, c)));
    fr_finding *f;
    switch (fit) {
    case FR_DUCK_FIT_FINE:
        return;
    case FR_DUCK_FIT_PART:
        fr_findings_add(k->of.out, FR_WARNING, "sink.types",
                        "%.*s: %.*s: what it does not take is an error of its row",
                        FR_ARG(k->r->qualified), FR_ARG(text));
        return;
    case FR_DUCK_FIT_NARROW: {
        fr_str type = fr_duck_sink_wider(k->of.a, c, to->type);
        if (type.len == 0) {
            fr_target_blocker(&k->of, "sink.types", text,
                              FR_STR("no number type holds both: make it VARCHAR"));
            return;
        }
        if (k->of.settings->change_type == FR_CHANGE_EVOLVE) {
            f = fr_findings_add(k->of.out, FR_CHANGE, "sink.types",
                                "%.*s: column %.*s: %.*s to %.*s", FR_ARG(k->r->qualified),
                                FR_ARG(ident), FR_ARG(to->type), FR_ARG(type));
            f->cost = FR_STR("rewrites the column");
        } else {
            f = fr_target_blocker(&k->of, "sink.types", text,
                                  FR_STR("widen it, or set on_change.change_type to evolve"));
        }
        f->sql = alter(k, "ALTER", ident, "TYPE ", type);
        return;
    }
    default:
        fr_target_blocker(&k->of, "sink.types", text,
                          fr_arena_printf(k->of.a, "give the column the type %.*s, or VARCHAR",
                                          FR_ARG(fr_duck_sink_type(k->of.a, c))));
    }
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!fr_target_good_column(&k->of, c, &name) || !k->r->there)
        return;
    const fr_duck_target_column *to = fr_duck_target_find(k->r, name);
    if (to == NULL)
        compare_missing_column(k, c);
    else if (to->generated)
        fr_target_generated_column(&k->of, c, fr_sql_ident(k->of.a, to->name));
    else
        compare_type(k, c, to);
}

/* Columns of the target that the messages do not have. */
static void compare_extra(comparison *k, const fr_table *before)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_duck_target_column *c = &k->r->columns[i];
        fr_str ident = fr_sql_ident(k->of.a, c->name);
        fr_finding *f;
        if (!c->not_null || c->has_default || c->generated || fr_target_is_sent(&k->of, c->name))
            continue;
        if (before != NULL && fr_table_find(before, c->name) >= 0 &&
            k->of.settings->drop_column == FR_CHANGE_EVOLVE)
            f = fr_findings_add(k->of.out, FR_CHANGE, "sink.table",
                                "%.*s: column %.*s, which the messages lost, may be NULL",
                                FR_ARG(k->r->qualified), FR_ARG(ident));
        else
            f = fr_target_blocker(
                &k->of, "sink.table",
                fr_arena_printf(k->of.a, "column %.*s is NOT NULL and the messages do not have it",
                                FR_ARG(ident)),
                FR_STR("let it be NULL, or give it a default"));
        f->sql = alter(k, "ALTER", ident, "DROP NOT NULL", FR_STR(""));
    }
}

/* ---- keys and marks ---- */

static void compare_key(comparison *k)
{
    if (!fr_target_has_key(&k->of) || !k->r->there || k->r->view)
        return;
    fr_str keys = fr_target_key_list(k->of.a, k->of.table, fr_sql_ident);
    if (k->r->collated)
        fr_target_blocker(&k->of, "sink.key",
                          fr_arena_printf(k->of.a,
                                          "a column of the key (%.*s) has a collation: keys that "
                                          "differ would be one",
                                          FR_ARG(keys)),
                          FR_STR("make the table anew without COLLATE"));
    if (is_history(k) || k->r->has_key ||
        fr_duck_target_find(k->r, FR_STR(FR_TARGET_POSITION)) != NULL)
        return;
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.key",
        fr_arena_printf(k->of.a, "nothing says that (%.*s) is unique", FR_ARG(keys)),
        fr_arena_printf(k->of.a,
                        "upserts need a PRIMARY KEY or UNIQUE of exactly these columns, or "
                        "the column " FR_TARGET_POSITION " if you know that they are unique"));
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ADD COLUMN \"" FR_TARGET_POSITION "\" BLOB",
                             FR_ARG(k->r->qualified));
}

static void compare_mark(comparison *k)
{
    const fr_duck_target_column *mark = fr_duck_target_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_duck_target_column *position = fr_duck_target_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (k->of.settings->deletes == FR_DELETES_SOFT &&
        (mark == NULL || !fr_str_is(mark->type, "BOOLEAN"))) {
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " BOOLEAN"),
            FR_STR("add it"));
        f->sql = alter(k, "ADD", FR_STR("\"" FR_TARGET_DELETED "\""), "",
                       FR_STR("BOOLEAN DEFAULT FALSE"));
    }
    fr_target_truncates(&k->of, position != NULL);
    if (position != NULL && !fr_str_is(position->type, "BLOB"))
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("the column " FR_TARGET_POSITION " is not BLOB"),
                          FR_STR("it is freshet's own: rename yours"));
}

void fr_duck_sink_compare(const fr_sink_settings *settings, const fr_duck_target *r,
                          const fr_table *t, const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {{&dialect, settings, t, r->qualified, create, out, out->arena}, r};
    fr_history_other_mode(&k.of, fr_duck_target_find(r, FR_STR(FR_TARGET_FROM)) != NULL);
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        fr_target_missing_table(&k.of, create_sql(&k));
        return;
    }
    if (r->view) {
        fr_target_blocker(&k.of, "sink.table", FR_STR("a view, and no table"),
                          FR_STR("give an ordinary table by into"));
        return;
    }
    fr_target_lost_columns(&k.of, before);
    compare_extra(&k, before);
    if (is_history(&k))
        fr_duck_history_compare(&k.of, r, create_sql(&k));
    else
        compare_mark(&k);
}
