/* A message's table laid onto the target, which is made and altered where that is asked for. A
 * table is made in the transaction of the rows; DuckDB does not alter one that this transaction
 * wrote to, so that it is altered in a transaction of its own, and what waited is applied again. */
#include "duckdb/duck_sink.h"
#include "sql/text.h"
#include <stdlib.h>

/* ---- laying one onto the other ---- */

static void add_field(fr_duck_sink_table *st, const fr_duck_target *r, size_t column,
                      uint16_t *columns, bool *patched)
{
    const fr_column *c = &st->shape.table->columns[column];
    const fr_duck_target_column *to = fr_duck_target_find(r, c->name);
    size_t at = st->shape.count;
    if (to == NULL || to->generated)
        return; /* fr_duck_sink_compare saw that this may be */
    fr_duck_field *f = &st->fields[at];
    f->ident = fr_sql_ident(st->arena, to->name);
    f->key = c->key_ordinal > 0 && !st->append;
    if (!fr_str_eq(fr_duck_sink_staged(st->arena, c), to->type))
        f->cast = fr_arena_str(st->arena, to->type);
    f->text = fr_str_is(to->type, "VARCHAR") || fr_str_is(to->type, "JSON");
    if (f->key) {
        st->keys[c->key_ordinal - 1] = (uint16_t)at;
        st->key_count++;
    }
    columns[at] = (uint16_t)column;
    patched[at] = f->not_null = to->not_null;
    st->shape.count++;
}

/* Whether a row of ours has all that the target's row has. */
static bool is_whole(const fr_duck_sink_table *st, const fr_duck_target *r)
{
    size_t ours = st->shape.count, theirs = 0;
    for (size_t i = 0; i < r->column_count; i++)
        theirs += !r->columns[i].generated;
    return ours + st->positioned + (st->shape.marked || st->cleared) == theirs;
}

static fr_duck_sink_table *lay(fr_duck_sink *s, const fr_table *t, const fr_duck_target *r)
{
    fr_arena *a = fr_arena_new(0);
    fr_duck_sink_table *st = fr_arena_alloc(a, sizeof(*st));
    uint16_t *columns = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*columns));
    bool *patched = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*patched));
    st->arena = a;
    st->qualified = fr_arena_str(a, r->qualified);
    st->append = s->settings->write_mode == FR_WRITE_APPEND;
    st->history = s->settings->write_mode == FR_WRITE_HISTORY;
    st->positioned = fr_duck_target_find(r, FR_STR(FR_TARGET_POSITION)) != NULL;
    st->shape = (fr_target_shape){.table = fr_table_ref(t),
                                  .columns = columns,
                                  .patched = patched,
                                  .guarded = st->positioned && !st->append && !t->foreign,
                                  .marked = s->settings->deletes == FR_DELETES_SOFT};
    st->cleared = !st->shape.marked && !st->history &&
                  fr_duck_target_find(r, FR_STR(FR_TARGET_DELETED)) != NULL;
    st->fields = fr_arena_alloc(a, (t->column_count + 1) * sizeof(fr_duck_field));
    st->keys = fr_arena_alloc(a, (t->column_count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < t->column_count; i++)
        add_field(st, r, i, columns, patched);
    st->ordered = r->ordered;
    st->whole = !st->history && !r->has_key && !r->ordered && is_whole(st, r);
    return st;
}

static void table_free(void *value)
{
    fr_duck_sink_table *st = value;
    free(st->changes.items);
    fr_table_unref(st->shape.table);
    fr_arena_free(st->arena);
}

void fr_duck_sink_forget(fr_duck_sink *s)
{
    fr_map_free(s->tables, table_free);
    s->tables = fr_map_new();
}

void fr_duck_sink_know_all(fr_duck_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        fr_target_know(s->known, ((fr_duck_sink_table *)value)->shape.table);
}

/* ---- prepare ---- */

static fr_rc compare(fr_duck_sink *s, const fr_table *t, bool create, fr_findings *out,
                     fr_duck_target *r, fr_err *err)
{
    FR_TRY(fr_duck_target_read(s, out->arena, t, r, err));
    fr_duck_sink_compare(s->settings, r, t, fr_target_version_before(s->versions, t), create, out);
    return FR_OK;
}

static bool has_changes(const fr_findings *found)
{
    return fr_target_next_change(found, &(size_t){0}).len > 0;
}

static fr_rc run_changes(fr_duck_sink *s, const fr_findings *found, fr_err *err)
{
    size_t at = 0;
    for (fr_str sql; (sql = fr_target_next_change(found, &at)).len > 0;)
        FR_TRY(fr_duck_sink_ddl(s, sql, err));
    return FR_OK;
}

/* The transaction, with all that waits in it, is given up; where it had made tables, this one is
 * made as it is to be, so that the next try has nothing to alter. */
static fr_rc change_alone(fr_duck_sink *s, const fr_table *t, fr_arena *a, fr_err *err)
{
    fr_duck_target r;
    fr_findings found = {.arena = a};
    fr_duck_sink_abandon(s);
    FR_TRY(fr_duck_sink_begin(s, err));
    FR_TRY(compare(s, t, true, &found, &r, err));
    FR_TRY(fr_target_blocked(&found, err));
    FR_TRY(run_changes(s, &found, err));
    return fr_duck_sink_end(s, err);
}

static fr_rc alter_alone(fr_duck_sink *s, const fr_table *t, fr_arena *a, fr_err *err)
{
    bool waits = s->has_rows || s->changed_ddl;
    FR_TRY(change_alone(s, t, a, err));
    if (!waits)
        return fr_duck_sink_begin(s, err);
    fr_fail(err, FR_ERR_BUSY, "the table was altered: what waits is applied again");
    return fr_fail_code(err, "sink.altered");
}

static fr_rc lay_it(fr_duck_sink *s, const fr_table *t, fr_arena *a, fr_duck_sink_table **table_out,
                    fr_err *err)
{
    fr_duck_target r;
    fr_findings rest = {.arena = a};
    FR_TRY(compare(s, t, false, &rest, &r, err));
    FR_TRY(fr_target_blocked(&rest, err));
    fr_duck_sink_table *st = lay(s, t, &r);
    fr_duck_sink_table *old = fr_map_set_u64(s->tables, t->serial, st);
    if (old != NULL)
        table_free(old);
    fr_target_keep_version(s->versions, t);
    if (!s->changed_ddl)
        fr_target_know(s->known, t);
    if (table_out != NULL)
        *table_out = st;
    return FR_OK;
}

/* In the open transaction. */
static fr_rc prepare_in(fr_duck_sink *s, const fr_table *t, bool create, fr_findings *out,
                        fr_duck_sink_table **table_out, fr_err *err)
{
    fr_duck_target r;
    size_t first = out->count;
    FR_TRY(compare(s, t, create, out, &r, err));
    if (!r.there && fr_target_known(s->known, t))
        return fr_target_vanished(t, err);
    fr_findings news = {out->items + first, out->count - first, 0, out->arena};
    FR_TRY(fr_target_blocked(&news, err));
    if (has_changes(&news))
        FR_TRY(r.there ? alter_alone(s, t, out->arena, err) : run_changes(s, &news, err));
    return lay_it(s, t, out->arena, table_out, err);
}

fr_rc fr_duck_sink_table_of(fr_duck_sink *s, const fr_table *t, fr_duck_sink_table **out,
                            fr_err *err)
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
static fr_rc prepare_for_good(fr_duck_sink *s, const fr_table *t, bool create, fr_findings *found,
                              fr_err *err)
{
    bool rows = s->in_txn;
    FR_TRY(fr_duck_sink_need_file(s, create, err));
    FR_TRY(fr_duck_sink_begin(s, err));
    if (create)
        FR_TRY(fr_duck_sink_own_tables(s, create, false, found, err));
    if (create || fr_map_get_u64(s->tables, t->serial) == NULL)
        FR_TRY(prepare_in(s, t, create, found, NULL, err));
    return rows ? FR_OK : fr_duck_sink_end(s, err);
}

static fr_rc prepare_as_plan(fr_duck_sink *s, const fr_table *t, bool create, fr_findings *found,
                             fr_err *err)
{
    fr_duck_target ignored;
    FR_TRY(fr_duck_sink_same_file(s, err));
    if (create)
        FR_TRY(fr_duck_sink_own_tables(s, create, true, found, err));
    FR_TRY(compare(s, t, create, found, &ignored, err));
    if (s->config->hold == FR_DUCK_HOLD_WRITING && !s->in_txn)
        fr_duck_sink_shut(s);
    return FR_OK;
}

fr_rc fr_duck_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                           fr_findings *out, fr_err *err)
{
    fr_duck_sink *s = (fr_duck_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_rc rc = plan_only ? prepare_as_plan(s, t, create, found, err)
                         : prepare_for_good(s, t, create, found, err);
    if (rc == FR_FAIL) {
        fr_duck_sink_failed(s, err);
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    if (out == NULL)
        fr_arena_free(own.arena);
    return rc;
}
