/* What of a table is published, and what of that both sides have. */
#include "cli/verify_rows.h"
#include "codec/contract.h"
#include "codec/debezium.h"
#include "model/name.h"
#include "transform/derive.h"
#include "transform/route.h"
#include <string.h>

static fr_rc refuse(fr_err *err, const char *code, const char *hint)
{
    fr_fail_code(err, code);
    return fr_fail_hint(err, "%s", hint);
}

/* ---- what makes no sense ---- */

static fr_rc refuse_table(const fr_verify_run *v, const fr_route *r, fr_err *err)
{
    const fr_table_settings *t = v->place.table;
    if (t->outbox.on || r->outbox != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "an outbox: its rows are messages, no state to compare");
        return refuse(err, "verify.outbox", "verify the tables that the messages speak of");
    }
    if (t->append_only || r->key_count == 0) {
        fr_fail(err, FR_ERR_CONFIG, "append_only: without a key no row can be told from another");
        return refuse(err, "verify.key", "give the table a key, or count its rows by hand");
    }
    if (t->filter != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "filter: rows that it leaves out would look like missing ones");
        return refuse(err, "verify.filter", "this version cannot compare tables with a filter");
    }
    if (t->poll_query != NULL || t->snapshot_where != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "%s: not all of the table's rows are published",
                t->poll_query != NULL ? "poll.query" : "snapshot.where");
        return refuse(err, "verify.filter", "this version compares whole tables");
    }
    return FR_OK;
}

static fr_rc refuse_sink(const fr_verify_run *v, fr_err *err)
{
    const fr_sink_settings *s = v->sink;
    if (s->write_mode == FR_WRITE_HISTORY && v->fix_file != NULL) {
        fr_fail(err, FR_ERR_CONFIG,
                "sink `%s` keeps a history: no statement of ours says since when a row is so",
                s->name);
        return refuse(err, "verify.history",
                      "leave out --fix-sql; freshet snapshot start brings rows that are missing or "
                      "differ as new states");
    }
    if (s->write_mode == FR_WRITE_APPEND) {
        fr_fail(err, FR_ERR_CONFIG, "sink `%s` appends: its table holds every state of a row",
                s->name);
        return refuse(err, "verify.append",
                      "compare with a sink whose write.mode is upsert or history");
    }
    if (s->deletes == FR_DELETES_IGNORE) {
        fr_fail(err, FR_ERR_CONFIG, "sink `%s` ignores deletes: rows stay that the source lost",
                s->name);
        return refuse(err, "verify.deletes",
                      "compare with a sink whose write.deletes is hard or soft");
    }
    const fr_topic_settings *rules = NULL;
    FR_TRY(fr_sink_topic(s, v->topic, &rules, err));
    if (rules == NULL || (!fr_derive_wanted(&rules->shape) && rules->message.count == 0 &&
                          rules->shape.columns_include.count == 0 &&
                          rules->shape.columns_exclude.count == 0 && rules->shape.key.count == 0))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "%s: sink `%s` has rules for topic %.*s: its rows are not the source's",
            rules->shape.place, s->name, FR_ARG(v->topic));
    return refuse(err, "verify.rules",
                  "compare with a sink without rules for it, or set the rules at the source");
}

/* ---- fields ---- */

static fr_str rule_of(fr_kind kind)
{
    switch (kind) {
    case FR_FLOAT32:
    case FR_FLOAT64:
        return FR_STR("bits of a double; -0 is 0, NaN is NaN");
    case FR_DECIMAL:
        return FR_STR("value; zeros at the end do not count");
    case FR_JSON:
        return FR_STR("members in any order; numbers with a point as doubles");
    default:
        return FR_STR("");
    }
}

/* Sinks do not get these as the source has them. */
static bool written_otherwise(fr_arena *a, const fr_route *r, size_t column)
{
    const fr_dbz_type *t;
    fr_err ignored;
    if (r->envelope != FR_ENVELOPE_DEBEZIUM ||
        fr_dbz_type_of(a, r, (uint16_t)column, &t, &ignored) == FR_FAIL)
        return false;
    if (t->form == FR_DBZ_ARRAY)
        return t->items->form != FR_DBZ_AS_IT_IS || t->items->from >= FR_DATE;
    return t->form != FR_DBZ_AS_IT_IS && t->form != FR_DBZ_MILLIS && t->form != FR_DBZ_DATE &&
           t->form != FR_DBZ_ZONED && t->form != FR_DBZ_POINT;
}

static fr_str changed(fr_verify_run *v, const fr_route *r, size_t column)
{
    const fr_pin_column *pin = r->pin == NULL ? NULL : &r->pin->columns[column];
    if (fr_route_derived(r, column))
        return FR_STR("derived by an expression");
    if (fr_derive_mask_of(r, column) != NULL)
        return FR_STR("masked");
    if (pin != NULL && pin->field == NULL)
        return FR_STR("left out by the contract");
    if (pin != NULL && pin->convert != NULL)
        return FR_STR("converted by the contract");
    if (written_otherwise(v->cli->arena, r, column))
        return FR_STR("written another way in envelope debezium");
    return FR_STR("");
}

static void set_field(fr_verify_run *v, const fr_route *r, size_t column, fr_verify_field *f)
{
    fr_arena *a = v->cli->arena;
    const fr_contract_field *field = r->pin == NULL ? NULL : r->pin->columns[column].field;
    const fr_column *c = &r->table->columns[column];
    f->name = fr_arena_str(a, field != NULL ? fr_avro_name_back(a, field->name) : c->name);
    if (r->envelope == FR_ENVELOPE_DEBEZIUM)
        f->name = fr_debezium_name(a, c->name, false);
    f->from = fr_route_derived(r, column) ? FR_STR("") : fr_arena_str(a, fr_route_name(r, column));
    f->kind = c->kind;
    f->why = changed(v, r, column);
    for (size_t i = 0; i < r->key_count; i++)
        f->key = f->key || r->key[i] == column;
}

static const fr_verify_column *find_column(const fr_verify_table *t, fr_str name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (fr_str_eq(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

/* Rows are looked up by their keys. Where a column may have one key in several spellings, UUIDs,
 * and at the sink whole numbers, are compared as they are written: sources write them in one. */
static bool is_looked_up(const fr_verify_run *v, int side, const fr_verify_column *c,
                         const fr_verify_field *f, bool whole, fr_kind *as)
{
    const fr_verify_side *s = &v->sides[side];
    *as = f->kind;
    if (!f->key || s->ops->finds(s->conn, c, f->kind))
        return true;
    *as = FR_TEXT;
    return (f->kind == FR_UUID || (whole && side == FR_SINK_SIDE)) &&
           s->ops->finds(s->conn, c, FR_TEXT);
}

/* Texts on both sides, unless something is in the way. whole: of decimals, that they have no
 * fraction. */
static void lay(fr_verify_run *v, fr_verify_field *f, bool whole)
{
    static const char *const sides[] = {"source", "sink"};
    fr_arena *a = v->cli->arena;
    for (int i = 0; i < FR_SIDES && f->why.len == 0; i++) {
        fr_verify_side *s = &v->sides[i];
        const fr_verify_column *c = find_column(&s->table, i == FR_SOURCE_SIDE ? f->from : f->name);
        if (c == NULL) {
            f->why = fr_arena_printf(a, "the %s has no such column", sides[i]);
            return;
        }
        fr_kind as = f->kind;
        bool found = is_looked_up(v, i, c, f, whole, &as);
        fr_verify_form form = s->ops->text(s->conn, a, c, as, &f->texts[i]);
        if (!found)
            f->why = fr_arena_printf(a,
                                     "%s of the %s may have one %s in several spellings, so that "
                                     "rows cannot be looked up by it",
                                     fr_arena_cstr(a, c->type), sides[i], fr_kind_name(f->kind));
        else if (form == FR_VERIFY_NEVER)
            f->why = fr_arena_printf(a, "%s of the %s cannot be compared as %s",
                                     fr_arena_cstr(a, c->type), sides[i], fr_kind_name(f->kind));
        f->columns[i] = c;
        f->canonical[i] = form == FR_VERIFY_CANONICAL;
    }
    f->rule = rule_of(f->kind);
}

static void add_rest(fr_verify_run *v, fr_verify_field *fields, size_t *count)
{
    size_t published = *count;
    for (int side = 0; side < FR_SIDES; side++) {
        const fr_verify_table *t = &v->sides[side].table;
        for (size_t i = 0; i < t->column_count; i++) {
            fr_str name = t->columns[i].name;
            bool known =
                side == FR_SINK_SIDE && name.len > 9 && memcmp(name.ptr, "_freshet_", 9) == 0;
            for (size_t k = 0; k < published; k++)
                known = known || fr_str_eq(side == 0 ? fields[k].from : fields[k].name, name);
            if (!known)
                fields[(*count)++] = (fr_verify_field){
                    .name = name,
                    .why = side == 0 ? FR_STR("not published") : FR_STR("only at the sink")};
        }
    }
}

/* Those that are compared first, each in the order of the table. */
static void order(fr_verify_run *v, const fr_verify_field *all, size_t count)
{
    v->fields = fr_arena_alloc(v->cli->arena, (count + 1) * sizeof(*v->fields));
    v->field_count = count;
    size_t n = 0;
    for (int compared = 1; compared >= 0; compared--) {
        for (size_t i = 0; i < count; i++)
            if ((all[i].why.len == 0) == (compared == 1))
                v->fields[n++] = all[i];
        v->compared = compared == 1 ? n : v->compared;
    }
}

static fr_rc set_keys(fr_verify_run *v, const fr_route *r, fr_err *err)
{
    fr_verify_field key = {.kind = FR_ABSENT};
    for (size_t i = 0; i < r->key_count; i++) {
        const char *why = "it is not compared";
        fr_str name = fr_route_name(r, r->key[i]);
        size_t at = 0;
        while (at < v->field_count && !fr_str_eq(v->fields[at].from, name))
            at++;
        if (at < v->field_count)
            key = v->fields[at];
        if (at < v->compared && key.kind != FR_FLOAT32 && key.kind != FR_FLOAT64 &&
            key.kind != FR_JSON && i < FR_MOST_FLAGS) {
            v->keys[v->key_count++] = (uint16_t)at;
            continue;
        }
        if (at < v->field_count && key.why.len > 0)
            why = fr_arena_cstr(v->cli->arena, key.why);
        else if (at < v->compared)
            why =
                i < FR_MOST_FLAGS ? "rows cannot be looked up by such a value" : "too many columns";
        fr_fail(err, FR_ERR_CONFIG, "column %.*s of the key: %s", FR_ARG(name), why);
        return refuse(err, "verify.key", "keys must be comparable on both sides");
    }
    return FR_OK;
}

/* Ranges are of numbers: in other kinds the databases have orders of their own. */
static void choose_way(fr_verify_run *v)
{
    const fr_verify_field *f = &v->fields[v->keys[0]];
    bool whole = (f->kind == FR_INT32 || f->kind == FR_INT64) && f->canonical[0] && f->canonical[1];
    v->by = whole ? fr_arena_cstr(v->cli->arena, f->name) : NULL;
}

static fr_rc map_route(fr_verify_run *v, const fr_route *r, fr_err *err)
{
    size_t count = r->field_count, most = count;
    for (int i = 0; i < FR_SIDES; i++)
        most += v->sides[i].table.column_count;
    fr_verify_field *all = fr_arena_alloc(v->cli->arena, (most + 1) * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        set_field(v, r, r->fields[i], &all[i]);
        const fr_column *c = &r->table->columns[r->fields[i]];
        lay(v, &all[i], c->kind == FR_DECIMAL && c->scale == 0);
    }
    add_rest(v, all, &count);
    order(v, all, count);
    FR_TRY(set_keys(v, r, err));
    choose_way(v);
    for (int i = 0; i < FR_SIDES; i++)
        fr_verify_prepare(v, i);
    return FR_OK;
}

static fr_rc not_there(const fr_verify_run *v, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "the source has no table %.*s.%.*s", FR_ARG(v->place.space),
            FR_ARG(v->place.name));
    return refuse(err, "cli.no_table",
                  "freshet plan says which tables are captured, and what is in the way");
}

static fr_rc open_sides(fr_verify_run *v, const fr_source_settings *source, fr_err *err)
{
    fr_verify_side *s = &v->sides[FR_SOURCE_SIDE], *t = &v->sides[FR_SINK_SIDE];
    fr_arena *a = v->cli->arena;
    fr_str space, name;
    FR_TRY(s->ops->open_source(source, v->timeout_us, &s->conn, err));
    FR_TRY(t->ops->open_sink(v->sink, v->timeout_us, &t->conn, err));
    s->ops = s->conn->ops; /* not every server can do all */
    t->ops = t->conn->ops;
    t->conn->patience_us = v->settle_us;
    fr_rc rc = s->ops->describe(s->conn, a, v->place.space, v->place.name, &s->table, err);
    if (rc == FR_END)
        return not_there(v, err);
    FR_TRY(rc);
    FR_TRY(fr_sink_target(v->sink, a, v->topic, &space, &name, err));
    rc = t->ops->describe(t->conn, a, space, name, &t->table, err);
    if (rc != FR_END)
        return rc;
    fr_fail(err, FR_ERR_CONFIG, "sink `%s` has no table %.*s%s%.*s", v->sink->name, FR_ARG(space),
            space.len > 0 ? "." : "", FR_ARG(name));
    return refuse(err, "verify.no_table",
                  "freshet apply makes it, or run with its first message: freshet status says what "
                  "the sink does");
}

static fr_rc map_table(fr_verify_run *v, fr_router *router, const fr_table *t, fr_err *err)
{
    const fr_route *r = NULL;
    fr_rc rc = fr_router_route(router, t, &r, err);
    if (rc == FR_END)
        return not_there(v, err);
    FR_TRY(rc);
    v->topic = fr_arena_str(v->cli->arena, r->topic);
    FR_TRY(refuse_table(v, r, err));
    FR_TRY(refuse_sink(v, err));
    FR_TRY(open_sides(v, &v->config->sources[v->place.source], err));
    return map_route(v, r, err);
}

fr_rc fr_verify_map(fr_verify_run *v, fr_err *err)
{
    const fr_table **tables = NULL;
    size_t count = 0;
    FR_TRY(fr_ask_tables(v->config, v->place.source, v->cli->arena, &tables, &count, err));
    fr_router *router = fr_router_new(&v->config->sources[v->place.source]);
    fr_rc moved = fr_ask_moved(v->config, v->place.source, router, err);
    fr_rc rc = moved == FR_FAIL ? FR_FAIL : FR_END;
    for (size_t i = 0; i < count; i++) {
        if (moved != FR_FAIL && fr_str_eq(tables[i]->space, v->place.space) &&
            fr_str_eq(tables[i]->name, v->place.name))
            rc = map_table(v, router, tables[i], err);
        fr_table_unref(tables[i]); /* the router keeps its own */
    }
    fr_router_free(router);
    return rc == FR_END ? not_there(v, err) : rc;
}
