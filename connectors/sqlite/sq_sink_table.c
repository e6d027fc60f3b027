/* A message's table laid onto the target, which is made and altered where that is asked for. */
#include "sql/text.h"
#include "sqlite/sq_sink.h"
#include <stdlib.h>

/* ---- laying one onto the other ---- */

static void add_field(fr_sq_sink_table *st, const fr_sq_target *r, size_t column)
{
    const fr_column *c = &st->table->columns[column];
    const fr_sq_target_column *to = fr_sq_target_find(r, c->name);
    const char *ignored;
    fr_sq_field f = {.column = (uint16_t)column, .key = c->key_ordinal > 0 && !st->append};
    if (to == NULL || to->generated || fr_sq_sink_fit(c, to, &f.send, &ignored) == FR_SQ_FIT_NEVER)
        return; /* fr_sq_sink_compare saw that this may be */
    f.ident = fr_sql_ident(st->arena, to->name);
    f.not_null = to->not_null;
    f.counts = to->counts;
    if (f.key) {
        st->keys[c->key_ordinal - 1] = (uint16_t)st->field_count;
        st->key_count++;
    }
    st->fields[st->field_count++] = f;
}

static fr_sq_sink_table *lay(fr_sq_sink *s, const fr_table *t, const fr_sq_target *r)
{
    fr_arena *a = fr_arena_new(0);
    fr_sq_sink_table *st = fr_arena_alloc(a, sizeof(*st));
    st->arena = a;
    st->table = fr_table_ref(t);
    st->qualified = fr_arena_str(a, r->qualified);
    st->append = s->settings->write_mode == FR_WRITE_APPEND;
    st->aborts = r->resolves;
    st->history = s->settings->write_mode == FR_WRITE_HISTORY;
    st->positioned = fr_sq_target_find(r, FR_STR(FR_TARGET_POSITION)) != NULL;
    st->guarded = st->positioned && !st->append && !t->foreign;
    st->marked = s->settings->deletes == FR_DELETES_SOFT;
    st->cleared =
        !st->marked && !st->history && fr_sq_target_find(r, FR_STR(FR_TARGET_DELETED)) != NULL;
    st->fields = fr_arena_alloc(a, (t->column_count + 1) * sizeof(fr_sq_field));
    st->keys = fr_arena_alloc(a, (t->column_count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < t->column_count; i++)
        add_field(st, r, i);
    return st;
}

static void table_free(void *value)
{
    fr_sq_sink_table *st = value;
    for (size_t i = 0; i < st->statement_count; i++)
        sqlite3_finalize(st->statements[i].stmt);
    free(st->statements);
    fr_table_unref(st->table);
    fr_arena_free(st->arena);
}

void fr_sq_sink_forget(fr_sq_sink *s)
{
    fr_map_free(s->tables, table_free);
    s->tables = fr_map_new();
}

void fr_sq_sink_know_all(fr_sq_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        fr_target_know(s->known, ((fr_sq_sink_table *)value)->table);
}

/* ---- prepare ---- */

static fr_rc compare(fr_sq_sink *s, const fr_table *t, bool create, fr_findings *out,
                     fr_sq_target *r, fr_err *err)
{
    FR_TRY(fr_sq_target_read(s, out->arena, t, r, err));
    fr_sq_sink_compare(s->settings, r, t, fr_target_version_before(s->tables, t), create, out);
    return FR_OK;
}

static fr_rc run_changes(fr_sq_sink *s, const fr_findings *found, size_t first, fr_err *err)
{
    for (fr_str sql; (sql = fr_target_next_change(found, &first)).len > 0;)
        FR_TRY(fr_sq_sink_ddl(s, sql, err));
    return FR_OK;
}

/* In the open transaction. */
static fr_rc prepare_in(fr_sq_sink *s, const fr_table *t, bool create, fr_findings *out,
                        fr_sq_sink_table **table_out, fr_err *err)
{
    fr_sq_target r;
    size_t first = out->count;
    FR_TRY(compare(s, t, create, out, &r, err));
    if (!r.there && fr_target_known(s->known, t))
        return fr_target_vanished(t, err);
    fr_findings news = {out->items + first, out->count - first, 0, out->arena};
    FR_TRY(fr_target_blocked(&news, err));
    FR_TRY(run_changes(s, out, first, err));
    fr_findings rest = {.arena = out->arena};
    FR_TRY(compare(s, t, false, &rest, &r, err));
    FR_TRY(fr_target_blocked(&rest, err));
    fr_sq_sink_table *st = lay(s, t, &r);
    fr_sq_sink_table *old = fr_map_set_u64(s->tables, t->serial, st);
    if (old != NULL)
        table_free(old);
    if (!s->changed_ddl)
        fr_target_know(s->known, t);
    if (table_out != NULL)
        *table_out = st;
    return FR_OK;
}

fr_rc fr_sq_sink_table_of(fr_sq_sink *s, const fr_table *t, fr_sq_sink_table **out, fr_err *err)
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

/* A transaction of its own, unless rows wait in one. */
static fr_rc prepare_for_good(fr_sq_sink *s, const fr_table *t, bool create, fr_findings *found,
                              fr_err *err)
{
    bool rows = s->in_txn;
    FR_TRY(fr_sq_sink_need_file(s, create, err));
    FR_TRY(fr_sq_sink_begin(s, err));
    if (create)
        FR_TRY(fr_sq_sink_own_tables(s, create, false, found, err));
    if (create || fr_map_get_u64(s->tables, t->serial) == NULL)
        FR_TRY(prepare_in(s, t, create, found, NULL, err));
    return rows ? FR_OK : fr_sq_sink_end(s, err);
}

static fr_rc prepare_as_plan(fr_sq_sink *s, const fr_table *t, bool create, fr_findings *found,
                             fr_err *err)
{
    fr_sq_target ignored;
    FR_TRY(fr_sq_sink_same_file(s, err));
    if (create)
        FR_TRY(fr_sq_sink_own_tables(s, create, true, found, err));
    return compare(s, t, create, found, &ignored, err);
}

fr_rc fr_sq_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                         fr_findings *out, fr_err *err)
{
    fr_sq_sink *s = (fr_sq_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_rc rc = plan_only ? prepare_as_plan(s, t, create, found, err)
                         : prepare_for_good(s, t, create, found, err);
    if (rc == FR_FAIL) {
        fr_sq_sink_failed(s, err);
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    if (out == NULL)
        fr_arena_free(own.arena);
    return rc;
}
