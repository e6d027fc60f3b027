/* A message's table laid onto the target, which is made and altered where that is asked for. */
#include "clickhouse/ch_sink.h"
#include <stdlib.h>
#include <string.h>

/* ---- laying one onto the other ---- */

static void add_field(fr_ch_sink_table *st, const fr_ch_target *r, size_t column)
{
    const fr_column *c = &st->table->columns[column];
    const fr_ch_target_column *to = fr_ch_target_find(r, c->name);
    const char *ignored;
    if (to == NULL || to->computed || fr_ch_fit_of(c, &to->type, &ignored) == FR_CH_FIT_NEVER)
        return; /* fr_ch_sink_compare saw that this may be */
    fr_ch_field *f = &st->fields[st->field_count++];
    *f = (fr_ch_field){.column = (uint16_t)column,
                       .type = to->type,
                       .ident = fr_ch_ident(st->arena, to->name),
                       .type_text = fr_arena_str(st->arena, to->type_text)};
    f->type.inner = FR_STR("");
}

/* The key's columns in its order, then the others. */
static void add_fields(fr_ch_sink_table *st, const fr_ch_target *r)
{
    const fr_table *t = st->table;
    size_t keys = st->append ? 0 : fr_table_key_count(t);
    for (size_t n = 1; n <= keys; n++)
        for (size_t i = 0; i < t->column_count; i++)
            if (t->columns[i].key_ordinal == n)
                add_field(st, r, i);
    st->key_count = st->field_count;
    for (size_t i = 0; i < t->column_count; i++)
        if (st->append || t->columns[i].key_ordinal == 0)
            add_field(st, r, i);
}

static fr_str insert_sql(const fr_ch_sink_table *st)
{
    fr_buf b = {.arena = st->arena};
    fr_buf_printf(&b, "INSERT INTO %.*s (", FR_ARG(st->qualified));
    for (size_t i = 0; i < st->field_count; i++)
        fr_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", FR_ARG(st->fields[i].ident));
    if (st->positioned)
        fr_buf_text(&b, st->field_count > 0 ? ", `" FR_TARGET_POSITION "`"
                                            : "`" FR_TARGET_POSITION "`");
    if (st->marked)
        fr_buf_text(&b, ", `" FR_TARGET_DELETED "`");
    fr_buf_text(&b, ") FORMAT RowBinaryWithNamesAndTypes");
    return fr_buf_view(&b);
}

/* Bytes of other types are often rows, too: somebody who alters the table meanwhile must not make
 * others of ours. The server compares. */
static fr_str header_of(const fr_ch_sink_table *st)
{
    fr_buf b = {.arena = st->arena};
    fr_ch_put_length(&b, st->field_count + st->positioned + st->marked);
    for (size_t i = 0; i < st->field_count; i++)
        fr_ch_put_string(&b, st->table->columns[st->fields[i].column].name);
    if (st->positioned)
        fr_ch_put_string(&b, FR_STR(FR_TARGET_POSITION));
    if (st->marked)
        fr_ch_put_string(&b, FR_STR(FR_TARGET_DELETED));
    for (size_t i = 0; i < st->field_count; i++)
        fr_ch_put_string(&b, st->fields[i].type_text);
    if (st->positioned)
        fr_ch_put_string(&b, FR_STR("UInt128"));
    if (st->marked)
        fr_ch_put_string(&b, FR_STR("UInt8"));
    return fr_buf_view(&b);
}

static fr_ch_sink_table *lay(fr_ch_sink *s, const fr_table *t, const fr_ch_target *r)
{
    fr_arena *a = fr_arena_new(0);
    fr_ch_sink_table *st = fr_arena_alloc(a, sizeof(*st));
    st->arena = a;
    st->table = fr_table_ref(t);
    st->qualified = fr_arena_str(a, r->qualified);
    st->append = s->settings->write_mode == FR_WRITE_APPEND;
    st->positioned = fr_ch_target_find(r, FR_STR(FR_TARGET_POSITION)) != NULL;
    st->marked = fr_ch_target_find(r, FR_STR(FR_TARGET_DELETED)) != NULL;
    st->fields = fr_arena_alloc(a, (t->column_count + 1) * sizeof(fr_ch_field));
    add_fields(st, r);
    st->insert = insert_sql(st);
    st->header = header_of(st);
    return st;
}

void fr_ch_sink_table_free(void *value)
{
    fr_ch_sink_table *st = value;
    fr_table_unref(st->table);
    fr_arena_free(st->arena);
}

/* Rows may still wait for it. */
static void set_aside(fr_ch_sink *s, fr_ch_sink_table *old)
{
    if (old == NULL)
        return;
    s->old = (fr_ch_sink_table **)fr_realloc((void *)s->old, (s->old_count + 1) * sizeof(*s->old));
    s->old[s->old_count++] = old;
}

static fr_ch_sink_table *one_of(const fr_ch_sink *s, fr_str qualified)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        if (fr_str_eq(((fr_ch_sink_table *)value)->qualified, qualified))
            return value;
    return NULL;
}

/* Its types have changed: all versions of the messages' table are laid onto it anew. */
static void forget_all_of(fr_ch_sink *s, fr_str qualified)
{
    fr_ch_sink_table *st;
    while ((st = one_of(s, qualified)) != NULL)
        set_aside(s, fr_map_remove_u64(s->tables, st->table->serial));
}

/* ---- prepare ---- */

static fr_rc compare(fr_ch_sink *s, const fr_table *t, bool create, fr_findings *out,
                     fr_ch_target *r, fr_err *err)
{
    FR_TRY(fr_ch_target_read(s, out->arena, t, r, err));
    fr_ch_sink_compare(s->settings, r, t, fr_target_version_before(s->tables, t), create, out);
    return FR_OK;
}

static bool changes_types(const fr_findings *found, size_t first)
{
    for (size_t i = first; i < found->count; i++)
        if (found->items[i].severity == FR_CHANGE &&
            strcmp(found->items[i].code, "sink.types") == 0)
            return true;
    return false;
}

static fr_rc run_changes(fr_ch_sink *s, const fr_findings *found, size_t first, fr_err *err)
{
    if (changes_types(found, first))
        FR_TRY(fr_ch_flush_early(s, err));
    for (fr_str sql; (sql = fr_target_next_change(found, &first)).len > 0;)
        FR_TRY(fr_ch_exec(s->ch, "change the target", sql, err));
    return FR_OK;
}

/* What the server does not let us do to a table is the table's trouble. */
static fr_rc of_the_table(fr_err *err)
{
    if (err->kind == FR_ERR_CONFIG && err->native != 0)
        fr_fail_code(err, "sink.table");
    return FR_FAIL;
}

static fr_rc prepare_now(fr_ch_sink *s, const fr_table *t, bool create, fr_findings *out,
                         fr_ch_sink_table **table_out, fr_err *err)
{
    fr_ch_target r;
    size_t first = out->count;
    FR_TRY(compare(s, t, create, out, &r, err));
    if (!r.there && fr_target_known(s->known, t))
        return fr_target_vanished(t, err);
    fr_findings news = {out->items + first, out->count - first, 0, out->arena};
    FR_TRY(fr_target_blocked(&news, err));
    if (run_changes(s, out, first, err) == FR_FAIL)
        return of_the_table(err);
    fr_findings rest = {.arena = out->arena};
    FR_TRY(compare(s, t, false, &rest, &r, err));
    FR_TRY(fr_target_blocked(&rest, err));
    fr_ch_sink_table *st = lay(s, t, &r);
    if (changes_types(out, first))
        forget_all_of(s, st->qualified);
    set_aside(s, fr_map_set_u64(s->tables, t->serial, st));
    fr_target_know(s->known, t);
    if (table_out != NULL)
        *table_out = st;
    return FR_OK;
}

fr_rc fr_ch_sink_table_of(fr_ch_sink *s, const fr_table *t, fr_ch_sink_table **out, fr_err *err)
{
    *out = fr_map_get_u64(s->tables, t->serial);
    if (*out != NULL)
        return FR_OK;
    fr_findings found = {.arena = fr_arena_new(0)};
    fr_rc rc = prepare_now(s, t, s->settings->create == FR_WHEN_RUN, &found, out, err);
    if (rc == FR_FAIL)
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    fr_arena_free(found.arena);
    return rc;
}

static fr_rc prepare_as_plan(fr_ch_sink *s, const fr_table *t, bool create, fr_findings *found,
                             fr_err *err)
{
    fr_ch_target ignored;
    if (create)
        FR_TRY(fr_ch_sink_own_tables(s, create, true, found, err));
    return compare(s, t, create, found, &ignored, err);
}

static fr_rc prepare_for_good(fr_ch_sink *s, const fr_table *t, bool create, fr_findings *found,
                              fr_err *err)
{
    if (create)
        FR_TRY(fr_ch_sink_own_tables(s, create, false, found, err));
    if (!create && fr_map_get_u64(s->tables, t->serial) != NULL)
        return FR_OK;
    return prepare_now(s, t, create, found, NULL, err);
}

fr_rc fr_ch_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                         fr_findings *out, fr_err *err)
{
    fr_ch_sink *s = (fr_ch_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_rc rc = plan_only ? prepare_as_plan(s, t, create, found, err)
                         : prepare_for_good(s, t, create, found, err);
    if (rc == FR_FAIL) {
        fr_ch_sink_failed(s, err);
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    if (out == NULL)
        fr_arena_free(own.arena);
    return rc;
}
