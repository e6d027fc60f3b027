/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where `create`
 * says so, ADD COLUMN, wider types and Nullable where on_change says evolve. Nothing is ever
 * dropped or narrowed. */
#include "clickhouse/ch_sink.h"
#include "sql/evolve.h"

static const fr_target_dialect dialect = {"ClickHouse", false, fr_ch_ident, NULL};

typedef struct comparison {
    fr_target_comparison of;
    const fr_ch_target *r;
    bool upsert;
    size_t added; /* columns that are going to be added */
} comparison;

static bool is_marked(const comparison *k)
{
    return k->of.settings->deletes == FR_DELETES_SOFT ||
           (k->upsert && k->of.settings->deletes == FR_DELETES_HARD);
}

/* A delete that is kept as a row may know nothing but the key. */
static bool made_nullable(const comparison *k, const fr_column *c)
{
    return c->key_ordinal == 0 && (c->nullable || c->may_be_absent ||
                                   (!k->upsert && k->of.settings->deletes == FR_DELETES_SOFT));
}

static fr_str made_type(const comparison *k, const fr_column *c)
{
    return fr_ch_made_type(k->of.a, c, made_nullable(k, c));
}

/* ---- a table that is not there ---- */

static void put_engine(const comparison *k, fr_buf *b)
{
    fr_str keys = fr_target_key_list(k->of.a, k->of.table, fr_ch_ident);
    if (k->upsert && k->of.settings->deletes == FR_DELETES_HARD)
        fr_buf_text(b, ") ENGINE = ReplacingMergeTree(`" FR_TARGET_POSITION "`, `" FR_TARGET_DELETED
                       "`)");
    else
        fr_buf_text(b, k->upsert ? ") ENGINE = ReplacingMergeTree(`" FR_TARGET_POSITION "`)"
                                 : ") ENGINE = MergeTree");
    fr_buf_printf(b, " ORDER BY (%.*s%s%s) SETTINGS non_replicated_deduplication_window = %d",
                  FR_ARG(keys), !k->upsert && keys.len > 0 ? ", " : "",
                  k->upsert ? "" : "`" FR_TARGET_POSITION "`", FR_CH_WINDOW);
}

static fr_str create_sql(const comparison *k)
{
    fr_buf b = {.arena = k->of.a};
    fr_buf_printf(&b, "CREATE TABLE IF NOT EXISTS %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        const fr_column *c = &k->of.table->columns[i];
        fr_buf_printf(&b, "%.*s %.*s, ", FR_ARG(fr_ch_ident(k->of.a, c->name)),
                      FR_ARG(made_type(k, c)));
    }
    fr_buf_text(&b, "`" FR_TARGET_POSITION "` UInt128");
    if (is_marked(k))
        fr_buf_text(&b, ", `" FR_TARGET_DELETED "` UInt8");
    put_engine(k, &b);
    return fr_buf_view(&b);
}

static void compare_missing(comparison *k)
{
    if (k->r->database_there) {
        fr_target_missing_table(&k->of, create_sql(k));
        return;
    }
    fr_finding *f = fr_target_blocker(&k->of, "sink.table", FR_STR("there is no such database"),
                                      FR_STR("create it"));
    f->sql = fr_arena_printf(k->of.a, "CREATE DATABASE %.*s",
                             FR_ARG(fr_ch_ident(k->of.a, k->r->database)));
}

/* ---- the view of current rows ---- */

static bool view_shows_all(const comparison *k)
{
    size_t shown = 0, wanted = 0;
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_ch_target_column *c = &k->r->columns[i];
        wanted += !c->hidden;
        for (size_t v = 0; v < k->r->view_column_count && !c->hidden; v++)
            shown += fr_str_eq(c->name, k->r->view_columns[v]);
    }
    return k->added == 0 && shown + 1 + is_marked(k) >= wanted;
}

/* A view has the columns that were there when it was made. */
static void compare_view(comparison *k)
{
    bool evolve = k->of.create || k->of.settings->add_column == FR_CHANGE_EVOLVE;
    bool wanted = k->r->view_there ? k->r->view_ours && evolve && !view_shows_all(k) : k->of.create;
    bool soft = k->of.settings->deletes == FR_DELETES_SOFT;
    if (!k->upsert || !wanted)
        return;
    fr_finding *f =
        fr_findings_add(k->of.out, FR_CHANGE, "sink.table", "%s the view %.*s",
                        k->r->view_there ? "renew" : "create", FR_ARG(k->r->view_qualified));
    f->sql = fr_arena_printf(
        k->of.a,
        "CREATE OR REPLACE VIEW %.*s AS SELECT * EXCEPT (`" FR_TARGET_POSITION "`%s) FROM "
        "%.*s FINAL%s COMMENT 'freshet'",
        FR_ARG(k->r->view_qualified), is_marked(k) ? ", `" FR_TARGET_DELETED "`" : "",
        FR_ARG(k->r->qualified), soft ? " WHERE `" FR_TARGET_DELETED "` = 0" : "");
    f->why = FR_STR("the table holds several versions of a row until they are merged");
}

/* ---- columns ---- */

static void compare_missing_column(comparison *k, const fr_column *c)
{
    bool adds = fr_target_adds(&k->of, c);
    /* Rows that are there have no value of what is added. */
    fr_str type = adds ? fr_ch_made_type(k->of.a, c, true) : made_type(k, c);
    fr_finding *f = fr_target_missing_column(&k->of, c, type);
    if (f == NULL)
        return;
    k->added += adds;
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ADD COLUMN IF NOT EXISTS %.*s %.*s",
                             FR_ARG(k->r->qualified), FR_ARG(fr_ch_ident(k->of.a, c->name)),
                             FR_ARG(type));
}

static fr_str modify_sql(comparison *k, fr_str column, fr_str type)
{
    return fr_arena_printf(k->of.a, "ALTER TABLE %.*s MODIFY COLUMN %.*s %.*s",
                           FR_ARG(k->r->qualified), FR_ARG(fr_ch_ident(k->of.a, column)),
                           FR_ARG(type));
}

static fr_str relaxed(comparison *k, const fr_ch_type *type)
{
    return fr_arena_printf(
        k->of.a, type->low_cardinality ? "LowCardinality(Nullable(%.*s))" : "Nullable(%.*s)",
        FR_ARG(type->inner));
}

static bool in_sorting_key(const comparison *k, fr_str name)
{
    for (size_t i = 0; i < k->r->sorting_count; i++)
        if (fr_str_eq(k->r->sorting[i], name))
            return true;
    return false;
}

/* The column is to take NULL; why: for a person. */
static void relax(comparison *k, const fr_ch_target_column *to, bool may, bool must,
                  const char *why)
{
    fr_str ident = fr_ch_ident(k->of.a, to->name);
    fr_finding *f;
    fr_str text = fr_arena_printf(k->of.a, "column %.*s is %.*s, and %s", FR_ARG(ident),
                                  FR_ARG(to->type_text), why);
    may = may && to->type.may_be_null && !in_sorting_key(k, to->name);
    if (may)
        f = fr_findings_add(k->of.out, FR_CHANGE, "sink.types", "%.*s: let column %.*s be NULL",
                            FR_ARG(k->r->qualified), FR_ARG(ident));
    else if (must)
        f = fr_target_blocker(&k->of, "sink.types", text,
                              FR_STR("let it be Nullable, or give it a DEFAULT"));
    else
        f = fr_findings_add(k->of.out, FR_WARNING, "sink.types",
                            "%.*s: %.*s: such rows are refused", FR_ARG(k->r->qualified),
                            FR_ARG(text));
    if (to->type.may_be_null)
        f->sql = modify_sql(k, to->name, relaxed(k, &to->type));
}

static void refuse_type(comparison *k, const fr_column *c, const fr_ch_target_column *to,
                        fr_ch_fit fit, const char *why)
{
    fr_str text = fr_arena_printf(k->of.a, "column %.*s is %.*s, the messages have %s (%.*s): %s",
                                  FR_ARG(fr_ch_ident(k->of.a, to->name)), FR_ARG(to->type_text),
                                  fr_kind_name(c->kind), FR_ARG(made_type(k, c)), why);
    if (fit == FR_CH_FIT_LOSSY) {
        fr_findings_add(k->of.out, FR_WARNING, "sink.types", "%.*s: %.*s", FR_ARG(k->r->qualified),
                        FR_ARG(text));
        return;
    }
    fr_target_blocker(
        &k->of, "sink.types", text,
        fr_arena_printf(k->of.a, "give the column the type %.*s in a new table, or leave it out",
                        FR_ARG(made_type(k, c))));
}

static void compare_type(comparison *k, const fr_column *c, const fr_ch_target_column *to)
{
    const char *why;
    fr_ch_fit fit = fr_ch_fit_of(c, &to->type, &why);
    bool evolve = k->of.settings->change_type == FR_CHANGE_EVOLVE;
    bool null = c->nullable && !fr_target_is_key(&k->of, c) && !to->type.nullable;
    fr_str wide = fr_ch_made_type(k->of.a, c, to->type.nullable || null);
    fr_ch_type type = fr_ch_type_of(wide);
    if (fit != FR_CH_FIT_FINE && evolve && fr_ch_widens(&to->type, &type) &&
        !in_sorting_key(k, to->name)) {
        fr_finding *f = fr_findings_add(
            k->of.out, FR_CHANGE, "sink.types", "%.*s: column %.*s from %.*s to %.*s",
            FR_ARG(k->r->qualified), FR_ARG(fr_ch_ident(k->of.a, to->name)), FR_ARG(to->type_text),
            FR_ARG(wide));
        f->sql = modify_sql(k, to->name, wide);
        return;
    }
    if (fit != FR_CH_FIT_FINE)
        refuse_type(k, c, to, fit, why);
    if (fit != FR_CH_FIT_NEVER && null)
        relax(k, to, evolve, false, "the messages may have NULL there");
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!fr_target_good_column(&k->of, c, &name) || !k->r->there)
        return;
    const fr_ch_target_column *to = fr_ch_target_find(k->r, name);
    if (to == NULL)
        compare_missing_column(k, c);
    else if (!to->computed) /* else the target works it out */
        compare_type(k, c, to);
    else if (fr_target_is_key(&k->of, c))
        fr_target_blocker(&k->of, "sink.key",
                          fr_arena_printf(k->of.a, "key column %.*s is computed",
                                          FR_ARG(fr_ch_ident(k->of.a, to->name))),
                          FR_STR("give the key a column that can be written"));
}

/* Columns of the target that the messages do not have: a row that is written has no value there. */
static void compare_extra(comparison *k)
{
    bool may = k->of.settings->drop_column == FR_CHANGE_EVOLVE;
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_ch_target_column *c = &k->r->columns[i];
        if (!c->has_default && !c->type.nullable && !fr_target_is_sent(&k->of, c->name))
            relax(k, c, may, true, "the messages do not have it");
    }
}

/* ---- engine and keys ---- */

static void compare_window(comparison *k)
{
    if (k->r->window >= FR_CH_LEAST_WINDOW)
        return;
    const char *name = k->r->replicated ? "replicated_deduplication_window"
                                        : "non_replicated_deduplication_window";
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.table",
        fr_arena_printf(k->of.a,
                        "%s is %lld: the server would not know which blocks it has, and "
                        "insert them twice",
                        name, (long long)k->r->window),
        fr_arena_printf(k->of.a, "at least %d", FR_CH_LEAST_WINDOW));
    f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s MODIFY SETTING %s = %d",
                             FR_ARG(k->r->qualified), name, FR_CH_WINDOW);
}

static void compare_engine(comparison *k)
{
    const char *want = !k->upsert ? "MergeTree"
                       : k->of.settings->deletes == FR_DELETES_HARD
                           ? "ReplacingMergeTree(" FR_TARGET_POSITION ", " FR_TARGET_DELETED ")"
                           : "ReplacingMergeTree(" FR_TARGET_POSITION ")";
    bool fits = fr_str_is(k->r->engine, k->upsert ? "ReplacingMergeTree" : "MergeTree");
    if (k->upsert)
        fits = fits && fr_str_is(k->r->version, FR_TARGET_POSITION);
    if (k->upsert && k->of.settings->deletes == FR_DELETES_HARD)
        fits = fits && fr_str_is(k->r->deleted, FR_TARGET_DELETED);
    if (k->upsert && k->of.settings->deletes == FR_DELETES_SOFT) /* else marked rows would vanish */
        fits = fits && k->r->deleted.len == 0;
    if (fits) {
        compare_window(k);
        return;
    }
    fr_str text = fr_arena_printf(k->of.a, "its engine is %.*s(%.*s%s%.*s)", FR_ARG(k->r->engine),
                                  FR_ARG(k->r->version), k->r->deleted.len > 0 ? ", " : "",
                                  FR_ARG(k->r->deleted));
    fr_finding *f =
        fr_target_blocker(&k->of, "sink.table", text,
                          fr_arena_printf(k->of.a, "write.mode %s with write.deletes %s needs %s",
                                          k->upsert ? "upsert" : "append",
                                          k->of.settings->deletes == FR_DELETES_HARD   ? "hard"
                                          : k->of.settings->deletes == FR_DELETES_SOFT ? "soft"
                                                                                       : "ignore",
                                          want));
    f->sql = create_sql(k);
}

static void compare_key(comparison *k)
{
    bool all = true;
    if (!fr_target_has_key(&k->of) || !k->r->there)
        return;
    for (size_t i = 0; i < k->of.table->column_count; i++)
        all = all && (k->of.table->columns[i].key_ordinal == 0 ||
                      in_sorting_key(k, k->of.table->columns[i].name));
    if (all && k->r->sorting_count == fr_table_key_count(k->of.table))
        return;
    fr_target_blocker(
        &k->of, "sink.key",
        fr_arena_printf(k->of.a, "its ORDER BY is not exactly (%.*s)",
                        FR_ARG(fr_target_key_list(k->of.a, k->of.table, fr_ch_ident))),
        FR_STR("rows of one key are those that agree in all of the sorting key: make the table "
               "anew"));
}

static void compare_own_columns(comparison *k)
{
    const fr_ch_target_column *mark = fr_ch_target_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_ch_target_column *position = fr_ch_target_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (position == NULL || !fr_str_is(position->type_text, "UInt128"))
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("the column " FR_TARGET_POSITION " is not UInt128"),
                          FR_STR("it is freshet's own"));
    if ((is_marked(k) && mark == NULL) || (mark != NULL && !fr_str_is(mark->type_text, "UInt8")))
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("deletes need the column " FR_TARGET_DELETED " of type UInt8"),
                          FR_STR("add it: it is freshet's own"));
}

static void compare_partitions(comparison *k)
{
    fr_str *parts;
    size_t count = k->upsert ? fr_ch_split(k->of.a, k->r->partition_key, &parts) : 0;
    for (size_t i = 0; i < count; i++) {
        if (in_sorting_key(k, parts[i]))
            continue;
        fr_findings_add(k->of.out, FR_WARNING, "sink.table",
                        "%.*s: PARTITION BY %.*s: versions of a row that are in different "
                        "partitions are never merged; FINAL still shows the newest, unless "
                        "do_not_merge_across_partitions_select_final is set",
                        FR_ARG(k->r->qualified), FR_ARG(k->r->partition_key));
        return;
    }
}

void fr_ch_sink_compare(const fr_sink_settings *settings, const fr_ch_target *r, const fr_table *t,
                        const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {{&dialect, settings, t, r->qualified, create, out, out->arena},
                    r,
                    settings->write_mode == FR_WRITE_UPSERT,
                    0};
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    compare_key(&k);
    if (!r->there) {
        compare_missing(&k);
    } else {
        fr_target_lost_columns(&k.of, before);
        compare_extra(&k);
        compare_engine(&k);
        compare_own_columns(&k);
        compare_partitions(&k);
    }
    compare_view(&k);
}
