/* What a target lacks, and which of that this sink may change (S04): CREATE TABLE where
 * `create` says so, ADD COLUMN and a widened type where on_change says evolve. Nothing is
 * ever dropped. */
#include "postgres/pg_sink.h"
#include "sql/evolve.h"
#include "sql/history.h"

typedef struct comparison {
    fr_target_comparison of;
    const fr_pg_relation *r;
} comparison;

static fr_str ident_in(fr_arena *a, fr_str column)
{
    fr_str name = column;
    fr_err ignored;
    fr_pg_sink_name(a, column, &name, &ignored);
    return fr_pg_ident(a, name, NULL);
}

static const fr_target_dialect dialect = {"PostgreSQL", false, ident_in, fr_pg_sink_name};

static fr_str ident_of(comparison *k, fr_str column)
{
    return ident_in(k->of.a, column);
}

static bool is_history(const comparison *k)
{
    return k->of.settings->write_mode == FR_WRITE_HISTORY;
}

/* ---- a table that is not there ---- */

static void put_column(comparison *k, fr_buf *b, const fr_column *c)
{
    fr_str ident = ident_of(k, c->name), type = fr_pg_sink_type(k->of.a, c);
    bool key = fr_target_is_key(&k->of, c);
    /* Other columns take NULL whatever the source says: a column that is dropped there
     * later must not stop us here. */
    fr_buf_printf(b, "%.*s %.*s%s", FR_ARG(ident), FR_ARG(type), key ? " NOT NULL" : "");
}

static fr_str create_sql(comparison *k)
{
    fr_buf b = {.arena = k->of.a};
    if (k->of.table->space.len > 0) {
        fr_str space = fr_pg_ident(k->of.a, k->r->space, NULL);
        /* IF NOT EXISTS alone asks for the right to create schemas. */
        fr_str literal = fr_pg_literal(k->of.a, k->r->space, NULL);
        fr_str command =
            fr_arena_printf(k->of.a, "CREATE SCHEMA IF NOT EXISTS %.*s", FR_ARG(space));
        fr_buf_printf(
            &b,
            "DO $do$ BEGIN IF to_regnamespace(quote_ident(%.*s)) IS NULL THEN EXECUTE %.*s; "
            "END IF; END $do$; ",
            FR_ARG(literal), FR_ARG(fr_pg_literal(k->of.a, command, NULL)));
    }
    fr_buf_printf(&b, "CREATE TABLE IF NOT EXISTS %.*s (", FR_ARG(k->r->qualified));
    for (size_t i = 0; i < k->of.table->column_count; i++) {
        put_column(k, &b, &k->of.table->columns[i]);
        fr_buf_text(&b, ", ");
    }
    fr_buf_text(&b, "\"" FR_TARGET_POSITION "\" bytea");
    if (is_history(k))
        fr_pg_history_put_columns(&b);
    if (k->of.settings->deletes == FR_DELETES_SOFT)
        fr_buf_text(&b, ", \"" FR_TARGET_DELETED "\" boolean NOT NULL DEFAULT false");
    if (fr_table_key_count(k->of.table) > 0 && k->of.settings->write_mode != FR_WRITE_APPEND)
        fr_buf_printf(&b, ", PRIMARY KEY (%.*s%s)",
                      FR_ARG(fr_target_key_list(k->of.a, k->of.table, ident_in)),
                      is_history(k) ? ", \"" FR_TARGET_FROM "\"" : "");
    fr_buf_text(&b, ")");
    return fr_buf_view(&b);
}

/* ---- columns ---- */

static fr_str add_sql(comparison *k, fr_str ident, fr_str type)
{
    return fr_arena_printf(k->of.a, "ALTER TABLE %.*s ADD COLUMN IF NOT EXISTS %.*s %.*s",
                           FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(type));
}

static void compare_missing_column(comparison *k, const fr_column *c)
{
    fr_str type = fr_pg_sink_type(k->of.a, c);
    fr_finding *f = fr_target_missing_column(&k->of, c, type);
    if (f == NULL)
        return;
    f->sql = add_sql(k, ident_of(k, c->name), type);
    f->class = FR_SQL_LOCK;
}

static fr_str alter_sql(comparison *k, fr_str ident, fr_str type)
{
    return fr_arena_printf(k->of.a, "ALTER TABLE %.*s ALTER COLUMN %.*s TYPE %.*s USING %.*s::%.*s",
                           FR_ARG(k->r->qualified), FR_ARG(ident), FR_ARG(type), FR_ARG(ident),
                           FR_ARG(type));
}

/* Our sessions write money as lc_monetary C has it, in hundredths. Where the target's own sessions
 * count otherwise, they would read another amount. */
static bool money_differs(comparison *k, const fr_pg_column *to)
{
    if (to->type != FR_PG_MONEY || k->r->money_digits == 2)
        return false;
    int digits = k->r->money_digits;
    fr_str ident = fr_pg_ident(k->of.a, to->name, NULL);
    fr_str type = fr_arena_printf(k->of.a, "numeric(19,%d)", digits);
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.types",
        fr_arena_printf(k->of.a,
                        "column %.*s is money, which has %d digits behind the point by the "
                        "target's lc_monetary; only 2 can be written",
                        FR_ARG(ident), digits),
        fr_arena_printf(k->of.a, "make it %.*s", FR_ARG(type)));
    f->sql = alter_sql(k, ident, type);
    f->class = FR_SQL_LOCK;
    return true;
}

/* A narrow column is one that our own type for it holds entirely. */
static void compare_type(comparison *k, const fr_column *c, const fr_pg_column *to)
{
    fr_pg_send send;
    bool cast;
    fr_str ident = fr_pg_ident(k->of.a, to->name, NULL), type = fr_pg_sink_wider(k->of.a, c, to);
    fr_pg_fit fit = fr_pg_sink_fit(c, to, &send, &cast);
    fr_str text =
        fr_arena_printf(k->of.a, "column %.*s is %.*s, the messages have %s (%.*s)", FR_ARG(ident),
                        FR_ARG(to->shown), fr_kind_name(c->kind), FR_ARG(type));
    fr_finding *f;
    switch (fit) {
    case FR_PG_FIT_FINE:
        return;
    case FR_PG_FIT_LOSSY:
        f = fr_findings_add(k->of.out, FR_WARNING, "sink.types", "%.*s: %.*s: %s",
                            FR_ARG(k->r->qualified), FR_ARG(text),
                            fr_target_is_key(&k->of, c) ? "a key with more is an error of its row"
                                                        : "fractions are rounded");
        break;
    case FR_PG_FIT_NARROW:
        if (k->of.settings->change_type == FR_CHANGE_EVOLVE) {
            f = fr_findings_add(k->of.out, FR_CHANGE, "sink.types",
                                "%.*s: column %.*s: %.*s to %.*s", FR_ARG(k->r->qualified),
                                FR_ARG(ident), FR_ARG(to->shown), FR_ARG(type));
            f->cost = FR_STR("rewrites the table under an exclusive lock");
            break;
        }
        f = fr_target_blocker(&k->of, "sink.types", text,
                              FR_STR("widen it, or set on_change.change_type to evolve"));
        break;
    default:
        f = fr_target_blocker(&k->of, "sink.types", text,
                              FR_STR("give the column a type that holds this"));
    }
    f->sql = alter_sql(k, ident, type);
    f->class = FR_SQL_LOCK;
}

static void compare_equality(comparison *k, const fr_column *c, const fr_pg_column *to)
{
    if (!fr_target_is_key(&k->of, c) || to->category != 'S' || fr_pg_sink_exact_key(c, to))
        return;
    fr_finding *f = fr_findings_add(
        k->of.out, fr_history_collation(&k->of), "sink.collation",
        "%.*s: key column %.*s is %.*s%s: keys that differ in what it ignores (case, spaces at the "
        "end) are one row here",
        FR_ARG(k->r->qualified), FR_ARG(fr_pg_ident(k->of.a, to->name, NULL)), FR_ARG(to->shown),
        to->loose ? " by a collation that is not deterministic" : "");
    f->hint = FR_STR("make it text, with a deterministic collation");
}

static void compare_column(comparison *k, const fr_column *c)
{
    fr_str name;
    if (!fr_target_good_column(&k->of, c, &name) || k->r->oid == 0)
        return;
    const fr_pg_column *to = fr_pg_relation_find(k->r, name);
    if (to == NULL) {
        compare_missing_column(k, c);
        return;
    }
    if (to->generated) {
        fr_target_generated_column(&k->of, c, fr_pg_ident(k->of.a, to->name, NULL));
        return;
    }
    if (to->identity_always &&
        (c->key_ordinal == 0 || k->of.settings->write_mode == FR_WRITE_APPEND)) {
        fr_str ident = fr_pg_ident(k->of.a, name, NULL);
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            fr_arena_printf(k->of.a, "column %.*s is GENERATED ALWAYS", FR_ARG(ident)),
            FR_STR("let it take values"));
        f->sql =
            fr_arena_printf(k->of.a, "ALTER TABLE %.*s ALTER COLUMN %.*s SET GENERATED BY DEFAULT",
                            FR_ARG(k->r->qualified), FR_ARG(ident));
        return;
    }
    if (!money_differs(k, to))
        compare_type(k, c, to);
    compare_equality(k, c, to);
}

/* Columns of the target that the messages do not have. */
static void compare_extra(comparison *k)
{
    for (size_t i = 0; i < k->r->column_count; i++) {
        const fr_pg_column *c = &k->r->columns[i];
        if (!c->not_null || c->has_default || c->generated || fr_target_is_sent(&k->of, c->name))
            continue;
        fr_str ident = fr_pg_ident(k->of.a, c->name, NULL);
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            fr_arena_printf(k->of.a, "column %.*s is NOT NULL and the messages do not have it",
                            FR_ARG(ident)),
            FR_STR("let it be NULL, or give it a default"));
        f->sql = fr_arena_printf(k->of.a, "ALTER TABLE %.*s ALTER COLUMN %.*s DROP NOT NULL",
                                 FR_ARG(k->r->qualified), FR_ARG(ident));
    }
}

/* ---- keys, marks and grants ---- */

static void compare_key(comparison *k)
{
    if (!fr_target_has_key(&k->of) || k->r->oid == 0 ||
        fr_pg_relation_key(k->r, k->of.table, false) != NULL)
        return;
    fr_str keys = fr_target_key_list(k->of.a, k->of.table, ident_in);
    fr_finding *f = fr_target_blocker(
        &k->of, "sink.key",
        fr_arena_printf(k->of.a, "no unique index on exactly (%.*s)", FR_ARG(keys)),
        FR_STR("upserts need one that is neither deferrable nor partial"));
    f->sql = fr_arena_printf(k->of.a, "CREATE UNIQUE INDEX ON %.*s (%.*s)", FR_ARG(k->r->qualified),
                             FR_ARG(keys));
    f->class = FR_SQL_LOCK;
}

static void compare_mark(comparison *k)
{
    const fr_pg_column *mark = fr_pg_relation_find(k->r, FR_STR(FR_TARGET_DELETED));
    const fr_pg_column *position = fr_pg_relation_find(k->r, FR_STR(FR_TARGET_POSITION));
    if (k->of.settings->deletes == FR_DELETES_SOFT && (mark == NULL || mark->type != 16)) {
        fr_finding *f = fr_target_blocker(
            &k->of, "sink.table",
            FR_STR("deletes: soft needs the column " FR_TARGET_DELETED " boolean"),
            FR_STR("add it"));
        f->sql = add_sql(k, FR_STR("\"" FR_TARGET_DELETED "\""),
                         FR_STR("boolean NOT NULL DEFAULT false"));
    }
    fr_target_truncates(&k->of, position != NULL);
    if (position != NULL && position->type != 17)
        fr_target_blocker(&k->of, "sink.table",
                          FR_STR("the column " FR_TARGET_POSITION " is not bytea"),
                          FR_STR("it is freshet's own: rename yours"));
}

static void compare_grants(comparison *k)
{
    const fr_sink_settings *set = k->of.settings;
    bool history = is_history(k), upsert = set->write_mode != FR_WRITE_APPEND;
    bool positioned = fr_pg_relation_find(k->r, FR_STR(FR_TARGET_POSITION)) != NULL;
    bool empties = set->truncate == FR_TRUNCATE_PUBLISH && !history;
    bool deletes = upsert && !history && set->deletes == FR_DELETES_HARD;
    fr_buf b = {.arena = k->of.a};
    if (!k->r->may_insert)
        fr_buf_text(&b, ", INSERT");
    if (upsert && !k->r->may_update)
        fr_buf_text(&b, ", UPDATE");
    if ((upsert || (empties && positioned)) && !k->r->may_select)
        fr_buf_text(&b, ", SELECT");
    if ((deletes || (empties && positioned)) && !k->r->may_delete)
        fr_buf_text(&b, ", DELETE");
    if (empties && !positioned && !k->r->may_truncate)
        fr_buf_text(&b, ", TRUNCATE");
    if (b.len == 0)
        return;
    fr_str missing = {(const char *)b.ptr + 2, b.len - 2};
    fr_finding *f = fr_target_blocker(&k->of, "sink.grants",
                                      fr_arena_printf(k->of.a, "no right to %.*s", FR_ARG(missing)),
                                      FR_STR("grant it to the user of the dsn"));
    f->sql = fr_arena_printf(k->of.a, "GRANT %.*s ON %.*s TO %.*s", FR_ARG(missing),
                             FR_ARG(k->r->qualified), FR_ARG(k->r->user));
}

void fr_pg_sink_compare(const fr_sink_settings *settings, const fr_pg_relation *r,
                        const fr_table *t, const fr_table *before, bool create, fr_findings *out)
{
    comparison k = {{&dialect, settings, t, r->qualified, create, out, out->arena}, r};
    fr_history_other_mode(&k.of, fr_pg_relation_find(r, FR_STR(FR_TARGET_FROM)) != NULL);
    for (size_t i = 0; i < t->column_count; i++)
        compare_column(&k, &t->columns[i]);
    if (is_history(&k))
        fr_target_has_key(&k.of);
    else
        compare_key(&k);
    if (r->oid == 0) {
        fr_target_missing_table(&k.of, create_sql(&k));
        return;
    }
    if (r->kind != 'r' && r->kind != 'p') {
        fr_target_blocker(&k.of, "sink.table", FR_STR("not a table"),
                          FR_STR("give a table by into"));
        return;
    }
    fr_target_lost_columns(&k.of, before);
    compare_extra(&k);
    if (is_history(&k))
        fr_pg_history_compare(&k.of, r, create_sql(&k));
    else
        compare_mark(&k);
    compare_grants(&k);
}
