/* The target as the server's catalog has it, and a message's table laid onto it. */
#include "postgres/pg_sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the catalog (PostgreSQL 10 and later) ---- */

/* $1: a name as to_regclass reads it. */
static const char relation_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind,"
    " c.relkind = 'p' OR c.relhasrules"
    " OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)"
    " OR EXISTS (SELECT 1 FROM pg_constraint k WHERE k.contype IN ('f', 'x')"
    " AND (k.conrelid = c.oid OR k.confrelid = c.oid)),"
    " EXISTS (SELECT 1 FROM pg_constraint k WHERE k.condeferrable"
    " AND (k.conrelid = c.oid OR k.confrelid = c.oid)),"
    " has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'UPDATE'),"
    " has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'SELECT'),"
    " has_table_privilege(c.oid, 'TRUNCATE')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = to_regclass($1)::oid";

static const char columns_sql[] =
    "SELECT a.attname, b.oid, format_type(b.oid, -1), format_type(a.atttypid, a.atttypmod),"
    " b.typmod, b.typcategory,"
    " a.attnotnull, a.atthasdef OR a.attidentity <> '',"
    " coalesce(to_jsonb(a)->>'attgenerated', '') <> '', a.attidentity = 'a',"
    " EXISTS (SELECT 1 FROM pg_collation l WHERE to_jsonb(l)->>'collisdeterministic' = 'false'"
    " AND l.oid IN (SELECT a.attcollation UNION SELECT unnest(i.indcollation::oid[])"
    " FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique))"
    " FROM pg_attribute a, LATERAL (WITH RECURSIVE d(oid, typmod) AS ("
    "SELECT a.atttypid, a.atttypmod UNION ALL SELECT y.typbasetype, y.typtypmod"
    " FROM d JOIN pg_type y ON y.oid = d.oid WHERE y.typtype = 'd')"
    " SELECT t.oid, d.typmod, t.typcategory FROM d JOIN pg_type t ON t.oid = d.oid"
    " WHERE t.typtype <> 'd') b"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

static const char uniques_sql[] =
    "SELECT i.indexrelid, i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    " AND i.indisvalid, a.attname FROM pg_index i"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)"
    " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1::oid AND i.indisunique"
    " AND k.n <= coalesce((to_jsonb(i)->>'indnkeyatts')::int, i.indnatts)"
    " ORDER BY i.indisprimary DESC, i.indexrelid, k.n";

static fr_str cell(fr_arena *a, const PGresult *res, int row, int column)
{
    return fr_arena_str(a, fr_pg_text(res, row, column));
}

static fr_rc read_columns(PGconn *conn, fr_arena *a, const char *oid, fr_pg_relation *r,
                          fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the target's columns", columns_sql, &oid, 1, &res, err));
    int n = PQntuples(res);
    r->columns = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(fr_pg_column));
    r->column_count = (size_t)n;
    for (int i = 0; i < n; i++) {
        fr_str category = fr_pg_text(res, i, 5);
        r->columns[i] = (fr_pg_column){
            .name = cell(a, res, i, 0),
            .type = (uint32_t)fr_pg_int(res, i, 1, 0),
            .type_text = cell(a, res, i, 2),
            .shown = cell(a, res, i, 3),
            .typmod = (int32_t)fr_pg_int(res, i, 4, -1),
            .category = category.len > 0 ? category.ptr[0] : '\0',
            .not_null = fr_pg_bool(res, i, 6),
            .has_default = fr_pg_bool(res, i, 7),
            .generated = fr_pg_bool(res, i, 8),
            .identity_always = fr_pg_bool(res, i, 9),
            .loose = fr_pg_bool(res, i, 10),
        };
    }
    PQclear(res);
    return FR_OK;
}

static fr_rc read_uniques(PGconn *conn, fr_arena *a, const char *oid, fr_pg_relation *r,
                          fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the target's unique indexes", uniques_sql, &oid, 1, &res, err));
    int n = PQntuples(res);
    r->uniques = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(fr_pg_index));
    int64_t last = 0;
    for (int i = 0; i < n; i++) {
        int64_t index = fr_pg_int(res, i, 0, 0);
        if (i == 0 || index != last) {
            fr_pg_index *u = &r->uniques[r->unique_count++];
            u->columns = fr_arena_alloc(a, ((size_t)n + 1) * sizeof(fr_str));
            u->arbiter = fr_pg_bool(res, i, 1);
        }
        fr_pg_index *u = &r->uniques[r->unique_count - 1];
        u->columns[u->count++] = cell(a, res, i, 2);
        last = index;
    }
    PQclear(res);
    return FR_OK;
}

static fr_rc name_of(fr_arena *a, const fr_table *t, fr_str *space, fr_str *name, fr_err *err)
{
    *space = t->space;
    if (t->space.len > 0)
        FR_TRY(fr_pg_sink_name(a, t->space, space, err));
    FR_TRY(fr_pg_sink_name(a, t->name, name, err));
    if (fr_str_is(*name, FR_TARGET_OFFSETS) || fr_str_is(*name, FR_TARGET_PARKED)) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s is a table of freshet's own", FR_ARG(*name));
        return fr_fail_code(err, "sink.name");
    }
    return FR_OK;
}

static void qualify(fr_arena *a, fr_pg_relation *r)
{
    r->qualified =
        r->space.len > 0 ? fr_pg_qualified(a, r->space, r->name) : fr_pg_ident(a, r->name, NULL);
}

fr_rc fr_pg_sink_draft(const fr_sink_settings *settings, const fr_table *table, fr_findings *out,
                       fr_err *err)
{
    fr_pg_relation r = {.oid = 0};
    FR_TRY(name_of(out->arena, table, &r.space, &r.name, err));
    qualify(out->arena, &r);
    fr_pg_sink_compare(settings, &r, table, NULL, true, out);
    return FR_OK;
}

static void read_head(fr_arena *a, const PGresult *res, fr_pg_relation *r)
{
    r->oid = (uint32_t)fr_pg_int(res, 0, 0, 0);
    r->space = cell(a, res, 0, 1);
    r->name = cell(a, res, 0, 2);
    r->qualified = fr_pg_qualified(a, r->space, r->name);
    r->kind = PQgetvalue(res, 0, 3)[0];
    r->order_matters = fr_pg_bool(res, 0, 4);
    r->deferrable = fr_pg_bool(res, 0, 5);
    r->may_insert = fr_pg_bool(res, 0, 6);
    r->may_update = fr_pg_bool(res, 0, 7);
    r->may_delete = fr_pg_bool(res, 0, 8);
    r->may_select = fr_pg_bool(res, 0, 9);
    r->may_truncate = fr_pg_bool(res, 0, 10);
}

fr_rc fr_pg_relation_read(PGconn *conn, fr_arena *a, const fr_table *t, fr_pg_relation *out,
                          fr_err *err)
{
    fr_pg_relation r = {.user = fr_pg_ident(a, fr_cstr(PQuser(conn)), NULL)};
    FR_TRY(name_of(a, t, &r.space, &r.name, err));
    qualify(a, &r);
    const char *name = fr_arena_cstr(a, r.qualified);
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "look for the target", relation_sql, &name, 1, &res, err));
    bool found = PQntuples(res) == 1;
    if (found)
        read_head(a, res, &r);
    PQclear(res);
    if (found) {
        char oid[16];
        snprintf(oid, sizeof(oid), "%u", r.oid);
        FR_TRY(read_columns(conn, a, oid, &r, err));
        FR_TRY(read_uniques(conn, a, oid, &r, err));
    }
    *out = r;
    return FR_OK;
}

const fr_pg_column *fr_pg_relation_find(const fr_pg_relation *r, fr_str name)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (fr_str_eq(r->columns[i].name, name))
            return &r->columns[i];
    return NULL;
}

static bool is_in(const fr_pg_index *u, fr_str name)
{
    size_t at = 0;
    while (at < u->count && !fr_str_eq(u->columns[at], name))
        at++;
    return at < u->count;
}

static bool is_key_of(const fr_pg_index *u, const fr_table *t, bool history, fr_arena *a)
{
    if (u->count != fr_table_key_count(t) + history)
        return false;
    if (history && !fr_str_is(u->columns[u->count - 1], FR_TARGET_FROM))
        return false; /* behind the key, so that a key's last row is found at once */
    for (size_t i = 0; i < t->column_count; i++) {
        fr_str name;
        fr_err ignored;
        if (t->columns[i].key_ordinal == 0)
            continue;
        if (fr_pg_sink_name(a, t->columns[i].name, &name, &ignored) == FR_FAIL)
            return false;
        if (!is_in(u, name))
            return false;
    }
    return true;
}

const fr_pg_index *fr_pg_relation_key(const fr_pg_relation *r, const fr_table *t, bool history)
{
    const fr_pg_index *found = NULL;
    fr_arena *a = fr_arena_new(0);
    for (size_t i = 0; i < r->unique_count && found == NULL; i++)
        if (r->uniques[i].arbiter && is_key_of(&r->uniques[i], t, history, a))
            found = &r->uniques[i];
    fr_arena_free(a);
    return found;
}

/* ---- laying one onto the other ---- */

static void add_field(fr_pg_sink_table *st, const fr_pg_relation *r, size_t column,
                      uint16_t *columns, bool *patched)
{
    const fr_column *c = &st->shape.table->columns[column];
    fr_str name;
    fr_err ignored;
    fr_pg_field f = {.column = (uint16_t)column, .key = c->key_ordinal > 0 && !st->append};
    if (fr_pg_sink_name(st->arena, c->name, &name, &ignored) == FR_FAIL)
        return;
    const fr_pg_column *to = fr_pg_relation_find(r, name);
    bool cast = false;
    if (to == NULL || to->generated || fr_pg_sink_fit(c, to, &f.send, &cast) == FR_PG_FIT_NEVER)
        return; /* fr_pg_sink_compare saw that this may be */
    f.ident = fr_pg_ident(st->arena, name, NULL);
    if (st->history)
        fr_pg_history_same(st->arena, &f, to);
    if (cast)
        f.cast = fr_arena_printf(st->arena, "::%.*s", FR_ARG(to->type_text));
    st->override = st->override || to->identity_always;
    if (f.key) {
        f.unit = fr_pg_sink_unit(c, to);
        st->coarse = st->coarse || !fr_pg_sink_exact_key(c, to);
        st->keys[c->key_ordinal - 1] = (uint16_t)st->shape.count;
        st->key_count++;
    }
    columns[st->shape.count] = f.column;
    patched[st->shape.count] = true; /* only a PATCH has a mask */
    st->fields[st->shape.count++] = f;
}

static fr_pg_sink_table *lay(fr_pg_sink *s, const fr_table *t, const fr_pg_relation *r)
{
    fr_arena *a = fr_arena_new(0);
    fr_pg_sink_table *st = fr_arena_alloc(a, sizeof(*st));
    const fr_sink_settings *set = s->settings;
    uint16_t *columns = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*columns));
    bool *patched = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*patched));
    st->arena = a;
    st->oid = r->oid;
    st->qualified = fr_arena_str(a, r->qualified);
    st->append = set->write_mode == FR_WRITE_APPEND;
    st->history = set->write_mode == FR_WRITE_HISTORY;
    st->positioned = fr_pg_relation_find(r, FR_STR(FR_TARGET_POSITION)) != NULL;
    st->shape = (fr_target_shape){.table = fr_table_ref(t),
                                  .columns = columns,
                                  .patched = patched,
                                  .guarded = st->positioned && !st->append && !t->foreign,
                                  .marked = set->deletes == FR_DELETES_SOFT};
    st->cleared = !st->shape.marked && !st->history &&
                  fr_pg_relation_find(r, FR_STR(FR_TARGET_DELETED)) != NULL;
    st->deferrable = r->deferrable;
    const fr_pg_index *key = fr_pg_relation_key(r, t, st->history);
    st->ordered = r->order_matters || r->unique_count > (key != NULL ? 1 : 0);
    st->id = s->next_id++;
    st->fields = fr_arena_alloc(a, (t->column_count + 1) * sizeof(fr_pg_field));
    st->keys = fr_arena_alloc(a, (t->column_count + 1) * sizeof(uint16_t));
    for (size_t i = 0; i < t->column_count; i++)
        add_field(st, r, i, columns, patched);
    return st;
}

static void table_free(void *value)
{
    fr_pg_sink_table *st = value;
    free(st->changes.items);
    fr_table_unref(st->shape.table);
    fr_arena_free(st->arena);
}

void fr_pg_sink_forget(fr_pg_sink *s)
{
    if (s->tables != NULL && fr_map_count(s->tables) > 0)
        s->stale = true;
    fr_map_free(s->tables, table_free);
    s->tables = fr_map_new();
}

/* ---- prepare ---- */

/* Nothing must be queued: the statements run one after the other, in the transaction of
 * the rows if there is one. */
static fr_rc run_changes(fr_pg_sink *s, const fr_findings *found, size_t first, fr_err *err)
{
    for (fr_str sql; (sql = fr_target_next_change(found, &first)).len > 0;) {
        s->changed_ddl = s->changed_ddl || s->in_txn;
        FR_TRY(fr_pg_sink_ddl(s, sql, err));
    }
    return FR_OK;
}

void fr_pg_sink_know_all(fr_pg_sink *s)
{
    size_t i = 0;
    fr_str key;
    void *value;
    while (fr_map_next(s->tables, &i, &key, &value))
        fr_target_know(s->known, ((fr_pg_sink_table *)value)->shape.table);
}

static bool has_money(const fr_pg_relation *r)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].type == FR_PG_MONEY)
            return true;
    return false;
}

static fr_rc compare(fr_pg_sink *s, const fr_table *t, bool create, fr_findings *out,
                     fr_pg_relation *r, fr_err *err)
{
    FR_TRY(fr_pg_relation_read(s->conn, out->arena, t, r, err));
    if (has_money(r)) {
        FR_TRY(fr_pg_sink_money(s, err));
        r->money_digits = s->money_digits;
    }
    fr_pg_sink_compare(s->settings, r, t, fr_target_version_before(s->tables, t), create, out);
    return FR_OK;
}

static fr_rc prepare_in(fr_pg_sink *s, const fr_table *t, bool create, fr_findings *out,
                        fr_pg_sink_table **table_out, fr_err *err)
{
    fr_pg_relation r;
    size_t first = out->count;
    FR_TRY(compare(s, t, create, out, &r, err));
    if (r.oid == 0 && fr_target_known(s->known, t))
        return fr_target_vanished(t, err);
    fr_findings news = {out->items + first, out->count - first, 0, out->arena};
    FR_TRY(fr_target_blocked(&news, err));
    FR_TRY(run_changes(s, out, first, err));
    fr_pg_relation now;
    fr_findings rest = {.arena = out->arena};
    FR_TRY(compare(s, t, false, &rest, &now, err));
    FR_TRY(fr_target_blocked(&rest, err));
    fr_pg_sink_table *st = lay(s, t, &now);
    fr_pg_sink_table *old = fr_map_set_u64(s->tables, t->serial, st);
    if (old != NULL)
        table_free(old);
    if (!s->changed_ddl)
        fr_target_know(s->known, t);
    if (table_out != NULL)
        *table_out = st;
    return FR_OK;
}

fr_rc fr_pg_sink_table_of(fr_pg_sink *s, const fr_table *t, fr_pg_sink_table **out, fr_err *err)
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

fr_rc fr_pg_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                         fr_findings *out, fr_err *err)
{
    fr_pg_sink *s = (fr_pg_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_pg_relation r;
    fr_rc rc = create ? fr_pg_sink_own_tables(s, create, plan_only, found, err) : FR_OK;
    if (rc == FR_OK && plan_only)
        rc = compare(s, t, create, found, &r, err);
    else if (rc == FR_OK && (create || fr_map_get_u64(s->tables, t->serial) == NULL))
        rc = prepare_in(s, t, create, found, NULL, err);
    if (rc == FR_FAIL) {
        fr_pg_sink_failed(s, err);
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    if (out == NULL)
        fr_arena_free(own.arena);
    return rc;
}
