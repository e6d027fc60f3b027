/* A message's table laid onto the target, which is made and altered where that is asked
 * for. */
#include "mysql/my_sink.h"
#include <stdlib.h>
#include <string.h>

/* ---- laying one onto the other ---- */

static fr_my_target_column copy_column(fr_arena *a, const fr_my_target_column *c)
{
    fr_my_target_column out = *c;
    fr_str *texts[] = {&out.name,      &out.type,     &out.shown, &out.charset,
                       &out.collation, &out.fallback, &out.extra, &out.comment};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i]->ptr != NULL)
            *texts[i] = fr_arena_str(a, *texts[i]);
    return out;
}

static void add_field(fr_my_sink_table *st, const fr_my_relation *r, size_t column,
                      uint16_t *columns, bool *patched)
{
    const fr_column *c = &st->shape.table->columns[column];
    fr_str name;
    fr_err ignored;
    fr_my_field f = {.column = (uint16_t)column, .key = c->key_ordinal > 0 && !st->append};
    if (fr_my_sink_name(st->arena, c->name, &name, &ignored) == FR_FAIL)
        return;
    const fr_my_target_column *to = fr_my_relation_find(r, name);
    if (to == NULL || to->generated || fr_my_sink_fit(c, to, &f.send) == FR_MY_FIT_NEVER)
        return; /* fr_my_sink_compare saw that this may be */
    f.to = copy_column(st->arena, to);
    f.ident = fr_my_ident(st->arena, f.to.name);
    if (f.key) {
        st->keys[c->key_ordinal - 1] = (uint16_t)st->shape.count;
        st->key_count++;
        st->ordered = st->ordered || !fr_my_sink_exact_key(c, to);
    }
    columns[st->shape.count] = f.column;
    patched[st->shape.count] = to->not_null;
    st->fields[st->shape.count++] = f;
}

static fr_my_sink_table *lay(fr_my_sink *s, const fr_table *t, const fr_my_relation *r)
{
    fr_arena *a = fr_arena_new(0);
    fr_my_sink_table *st = fr_arena_alloc(a, sizeof(*st));
    const fr_sink_settings *set = s->settings;
    uint16_t *columns = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*columns));
    bool *patched = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*patched));
    st->arena = a;
    st->qualified = fr_arena_str(a, r->qualified);
    st->append = set->write_mode == FR_WRITE_APPEND;
    st->history = set->write_mode == FR_WRITE_HISTORY;
    st->positioned = fr_my_relation_find(r, FR_STR(FR_TARGET_POSITION)) != NULL;
    st->shape = (fr_target_shape){.table = fr_table_ref(t),
                                  .columns = columns,
                                  .patched = patched,
                                  .guarded = st->positioned && !st->append && !t->foreign,
                                  .marked = set->deletes == FR_DELETES_SOFT};
    st->cleared = !st->shape.marked && !st->history &&
                  fr_my_relation_find(r, FR_STR(FR_TARGET_DELETED)) != NULL;
    st->several = r->unique_count > (fr_my_relation_key(r, t, st->history) != NULL ? 1U : 0U);
    st->ordered = r->order_matters || st->several;
    st->fields = fr_arena_alloc(a, (t->column_count + 1) * sizeof(fr_my_field));
    st->keys = fr_arena_alloc(a, (t->column_count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < t->column_count; i++)
        add_field(st, r, i, columns, patched);
    return st;
}

void fr_my_sink_close_statements(fr_my_sink *s, fr_my_sink_table *t)
{
    for (size_t i = 0; i < t->statement_count; i++)
        mysql_stmt_close(t->statements[i].stmt);
    s->open_statements -= t->statement_count;
    t->statement_count = 0;
}

static void table_free(fr_my_sink *s, fr_my_sink_table *st)
{
    fr_my_sink_close_statements(s, st);
    free(st->statements);
    free(st->changes.items);
    fr_table_unref(st->shape.table);
    fr_arena_free(st->arena);
}

void fr_my_sink_forget(fr_my_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        table_free(s, value);
    fr_map_free(s->tables, NULL);
    s->tables = fr_map_new();
    fr_map_free(s->tied, NULL);
    s->tied = NULL;
}

/* ---- prepare ---- */

static fr_rc run_changes(fr_my_sink *s, const fr_findings *found, size_t first, bool makes,
                         fr_err *err)
{
    for (fr_str sql; (sql = fr_target_next_change(found, &first)).len > 0;)
        FR_TRY(fr_my_sink_ddl(s, sql, makes, err));
    return FR_OK;
}

static fr_rc compare(fr_my_sink *s, const fr_table *t, bool create, fr_findings *out,
                     fr_my_relation *r, fr_err *err)
{
    FR_TRY(fr_my_relation_read(s, out->arena, t, r, err));
    fr_my_sink_compare(s, r, t, fr_target_version_before(s->tables, t), create, out);
    return FR_OK;
}

/* Rights of roles, tables and columns come together in ways that only the server knows: it
 * is asked to prepare what we will run. */
static fr_rc check_rights(fr_my_sink *s, fr_my_sink_table *st, fr_findings *out, fr_err *err)
{
    if (fr_my_sink_try(s, st, err) == FR_OK)
        return FR_OK;
    if (err->kind != FR_ERR_AUTH)
        return FR_FAIL;
    fr_finding *f = fr_findings_add(out, FR_BLOCKER, "sink.grants", "%.*s: %s",
                                    FR_ARG(st->qualified), err->text);
    f->hint = FR_STR("grant it to the user of the dsn");
    bool deletes = s->settings->deletes == FR_DELETES_HARD && !st->history;
    fr_str rights = deletes ? FR_STR(", DELETE") : FR_STR("");
    f->sql = fr_arena_printf(out->arena, "GRANT SELECT, INSERT, UPDATE%.*s ON %.*s TO %.*s",
                             FR_ARG(rights), FR_ARG(st->qualified), FR_ARG(s->user));
    return FR_OK;
}

static fr_rc check_plan(fr_my_sink *s, const fr_table *t, const fr_my_relation *r, fr_findings *out,
                        size_t first, fr_err *err)
{
    for (size_t i = first; i < out->count; i++)
        if (out->items[i].severity == FR_BLOCKER || out->items[i].severity == FR_CHANGE)
            return FR_OK; /* statements would not be understood yet */
    if (!r->there)
        return FR_OK;
    fr_my_sink_table *st = lay(s, t, r);
    fr_rc rc = check_rights(s, st, out, err);
    table_free(s, st);
    return rc;
}

static fr_rc prepare_in(fr_my_sink *s, const fr_table *t, bool create, fr_findings *out,
                        fr_my_sink_table **table_out, fr_err *err)
{
    fr_my_relation r;
    size_t first = out->count;
    FR_TRY(compare(s, t, create, out, &r, err));
    if (!r.there && fr_target_known(s->known, t))
        return fr_target_vanished(t, err);
    fr_findings news = {out->items + first, out->count - first, 0, out->arena};
    FR_TRY(fr_target_blocked(&news, err));
    FR_TRY(run_changes(s, out, first, !r.there, err));
    fr_my_relation now;
    fr_findings rest = {.arena = out->arena};
    FR_TRY(compare(s, t, false, &rest, &now, err));
    FR_TRY(fr_target_blocked(&rest, err));
    fr_my_sink_table *st = lay(s, t, &now);
    fr_rc rc = check_rights(s, st, &rest, err);
    if (rc == FR_OK)
        rc = fr_target_blocked(&rest, err);
    if (rc == FR_FAIL) {
        table_free(s, st);
        return rc;
    }
    fr_my_sink_table *old = fr_map_set_u64(s->tables, t->serial, st);
    if (old != NULL)
        table_free(s, old);
    fr_target_know(s->known, t);
    if (table_out != NULL)
        *table_out = st;
    return FR_OK;
}

fr_rc fr_my_sink_table_of(fr_my_sink *s, const fr_table *t, fr_my_sink_table **out, fr_err *err)
{
    *out = fr_map_get_u64(s->tables, t->serial);
    if (*out != NULL)
        return FR_OK;
    fr_findings found = {.arena = fr_arena_new(0)};
    fr_rc rc = prepare_in(s, t, s->settings->create == FR_WHEN_RUN, &found, out, err);
    if (rc == FR_FAIL)
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    fr_arena_free(found.arena);
    return rc;
}

fr_rc fr_my_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                         fr_findings *out, fr_err *err)
{
    fr_my_sink *s = (fr_my_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_my_relation r;
    fr_rc rc = create ? fr_my_sink_own_tables(s, create, plan_only, found, err) : FR_OK;
    if (rc == FR_OK && plan_only) {
        size_t first = found->count;
        rc = compare(s, t, create, found, &r, err);
        if (rc == FR_OK)
            rc = check_plan(s, t, &r, found, first, err);
    } else if (rc == FR_OK && (create || fr_map_get_u64(s->tables, t->serial) == NULL)) {
        rc = prepare_in(s, t, create, found, NULL, err);
    }
    if (rc == FR_OK) {
        fr_my_sink_rest(s);
    } else {
        fr_my_sink_failed(s, err);
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    if (out == NULL)
        fr_arena_free(own.arena);
    return rc;
}
