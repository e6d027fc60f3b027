/* All polled tables of a source: which there are, and what plan says of them. */
#include "base/json.h"
#include "poll/changes.h"
#include "poll/drain.h"
#include "poll/order.h"
#include "poll/poll.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- which tables ---- */

static fr_rc split_name(const fr_table_settings *t, fr_sql_name *out, fr_err *err)
{
    const char *dot = strchr(t->pattern, '.');
    if (dot == NULL || dot == t->pattern || dot[1] == '\0') {
        fr_fail(err, FR_ERR_CONFIG, "%s is not of the form space.table (%s)", t->pattern,
                t->place != NULL ? t->place : "configuration");
        return fr_fail_code(err, "poll.table");
    }
    *out = (fr_sql_name){{t->pattern, (size_t)(dot - t->pattern)}, fr_cstr(dot + 1)};
    return FR_OK;
}

static bool any_pattern(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].regex != NULL && fr_table_polled(&s->tables[i]))
            return true;
    return false;
}

/* A pattern means tables, and not what triggers write of them. */
static bool is_change_table(fr_str name)
{
    static const char begins[] = FR_TRIGGERS_LOG;
    return name.len > sizeof(begins) - 1 && memcmp(name.ptr, begins, sizeof(begins) - 1) == 0;
}

/* Exact names are taken as they are, so that a statement (poll.query) needs no table; a pattern
 * asks the server. */
fr_rc fr_poll_find(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source, fr_arena *a,
                   fr_polled **out, size_t *count_out, fr_err *err)
{
    fr_sql_name *names = NULL;
    size_t name_count = 0, count = 0;
    if (any_pattern(source))
        FR_TRY(ops->list(c, a, &names, &name_count, err));
    fr_polled *tables = fr_arena_alloc(a, (source->table_count + name_count + 1) * sizeof(*tables));
    for (size_t i = 0; i < source->table_count; i++) {
        const fr_table_settings *t = &source->tables[i];
        if (t->regex != NULL || !fr_table_polled(t))
            continue;
        fr_polled *f = &tables[count++];
        f->settings = t;
        FR_TRY(split_name(t, &f->name, err));
    }
    for (size_t i = 0; i < name_count; i++) {
        const fr_table_settings *t = fr_source_match(source, names[i].space, names[i].name);
        if (t != NULL && t->method == FR_METHOD_TRIGGER && is_change_table(names[i].name))
            continue;
        if (t != NULL && t->regex != NULL && fr_table_polled(t))
            tables[count++] = (fr_polled){names[i], t};
    }
    *out = tables;
    *count_out = count;
    return FR_OK;
}

static void unref_all(const fr_table **tables, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fr_table_unref(tables[i]);
}

fr_rc fr_poll_tables(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source,
                     fr_arena *a, const fr_table ***out, size_t *count_out, fr_err *err)
{
    fr_polled *found = NULL;
    size_t count = 0;
    FR_TRY(fr_poll_find(ops, c, source, a, &found, &count, err));
    const fr_table **tables = fr_arena_alloc(a, (count + 1) * sizeof(*tables));
    for (size_t i = 0; i < count; i++) {
        fr_sql_relation *r = NULL;
        if (ops->describe(c, found[i].settings, found[i].name.space, found[i].name.name, 1, &r,
                          err) == FR_FAIL) {
            unref_all(tables, i);
            return FR_FAIL;
        }
        tables[i] = fr_table_ref(r->table);
        ops->forget(r);
    }
    *out = tables;
    *count_out = count;
    return FR_OK;
}

/* ---- the server ---- */

fr_rc fr_poll_same_server(fr_str recorded, fr_str now, fr_err *err)
{
    json_t *was = NULL, *is = NULL;
    const char *name;
    json_t *value;
    FR_TRY(fr_json_parse(recorded, &was, err));
    if (fr_json_parse(now, &is, err) == FR_FAIL) {
        json_decref(was);
        return FR_FAIL;
    }
    fr_rc rc = FR_OK;
    if (json_object_get(was, "poll") == NULL) {
        rc = fr_fail(err, FR_ERR_POSITION,
                     "this source has read the log so far, and is polled now: what it has read "
                     "does not say where to begin");
        fr_fail_code(err, "poll.other_method");
        fr_fail_hint(err, "give it another name; or, to read all rows (again): freshet position "
                          "reset SOURCE (stopped)");
    }
    json_object_foreach(is, name, value)
    {
        if (rc == FR_FAIL || json_equal(json_object_get(was, name), value))
            continue;
        char *before = json_dumps(json_object_get(was, name), JSON_ENCODE_ANY | JSON_COMPACT);
        char *after = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        rc = fr_fail(err, FR_ERR_POSITION,
                     "this is not the database that was polled: %s is %s, was %s", name, after,
                     before != NULL ? before : "not known");
        fr_fail_code(err, "poll.other_server");
        fr_fail_hint(err, "correct dsn; or, if it is meant, read it anew: freshet position reset "
                          "SOURCE (stopped)");
        free(before);
        free(after);
    }
    json_decref(was);
    json_decref(is);
    return rc;
}

/* ---- plan ---- */

static void add_error(fr_findings *out, const char *code, const fr_err *err)
{
    fr_finding *f =
        fr_findings_add(out, FR_BLOCKER,
                        err->code[0] != '\0' ? fr_arena_cstr(out->arena, fr_cstr(err->code)) : code,
                        "%s", err->text);
    f->hint = fr_arena_str(out->arena, fr_cstr(fr_err_hint(err)));
}

/* What is behind a view or a statement only its owner knows. */
static void say_index(const fr_sql_ops *ops, const fr_sql_relation *r, const fr_poll_order *o,
                      fr_findings *out)
{
    const fr_table *table = r->table;
    if (!r->plain_table || r->indexed[o->columns[0]])
        return;
    fr_finding *f = fr_findings_add(out, FR_WARNING, "query.index",
                                    "%.*s.%.*s: no index begins with %.*s: each poll reads the "
                                    "whole table",
                                    FR_ARG(table->space), FR_ARG(table->name), FR_ARG(o->names[0]));
    fr_buf b = {.arena = out->arena};
    fr_str name =
        fr_arena_printf(out->arena, "%.*s_%.*s", FR_ARG(table->name), FR_ARG(o->names[0]));
    fr_buf_text(&b, "CREATE INDEX ");
    fr_poll_put_name(&b, ops, r, name);
    fr_buf_text(&b, " ON ");
    ops->put_from(&b, r);
    for (size_t i = 0; i < o->count; i++) {
        fr_buf_text(&b, i > 0 ? ", " : " (");
        fr_poll_put_name(&b, ops, r, o->names[i]);
    }
    fr_buf_text(&b, ");");
    f->sql = fr_buf_view(&b);
    f->class = FR_SQL_LOCK;
    f->why = FR_STR("polling reads only what is new then");
    f->cost = FR_STR(
        "writes to the table wait while it is built; CONCURRENTLY, where there is, does not");
    f->undo = FR_STR("DROP INDEX ...;");
}

/* A time that nothing on the server sets is an application's, by its own clock. */
static void say_skew(const fr_sql_relation *r, const fr_table_settings *t, const fr_poll_order *o,
                     fr_findings *out)
{
    if (o->number || !r->plain_table || r->stamped == NULL || r->stamped[o->columns[0]] ||
        t->poll_max_skew_us > 0)
        return;
    fr_finding *f = fr_findings_add(
        out, FR_WARNING, "query.skew",
        "%.*s.%.*s: %.*s has no default and no trigger: where applications set it by their own "
        "clocks, what they stamp too early is missed",
        FR_ARG(r->table->space), FR_ARG(r->table->name), FR_ARG(o->names[0]));
    f->hint = FR_STR("poll.max_skew: how wrong these clocks can be; or let the server set it; or "
                     "poll a number");
}

static void say_lookback(const fr_polled *t, fr_findings *out)
{
    const fr_option o = {.name = "poll.lookback", .type = FR_OPT_TIME};
    fr_str late = fr_option_get(&o, out->arena, &t->settings->poll_lookback_us);
    fr_finding *f =
        fr_findings_add(out, FR_WARNING, "query.bound",
                        "%.*s.%.*s: open transactions cannot be listed here: poll.lookback %.*s "
                        "decides, later commits are missed",
                        FR_ARG(t->name.space), FR_ARG(t->name.name), FR_ARG(late));
    f->hint = FR_STR("it must be longer than the longest transaction that writes to the table");
}

static void say_deletes(const fr_polled *t, fr_findings *out)
{
    if (t->settings->poll_deletes != 0 || t->settings->method != FR_METHOD_QUERY ||
        t->settings->poll_delete_when != NULL)
        return;
    fr_finding *f = fr_findings_add(out, FR_WARNING, "method.deletes_lost",
                                    "%.*s.%.*s: method query never sees deletes, nor what lies "
                                    "between two polls",
                                    FR_ARG(t->name.space), FR_ARG(t->name.name));
    f->hint =
        FR_STR("poll.deletes: soft-column, where rows are marked; full-compare; or method log");
}

static void say_compared(const fr_polled *t, fr_findings *out)
{
    bool whole = t->settings->method == FR_METHOD_SNAPSHOT;
    int64_t every = whole ? t->settings->poll_every_us : t->settings->poll_compare_every_us;
    fr_finding *f = fr_findings_add(
        out, FR_WARNING, "query.compare", "%.*s.%.*s: every %" PRId64 " s %s read%s",
        FR_ARG(t->name.space), FR_ARG(t->name.name), every / 1000000,
        whole ? "all its rows and all messages of its topic are"
              : "the keys of all its rows and all messages of its topic are",
        whole ? "" : ", and no poll of it happens meanwhile");
    f->hint = whole ? FR_STR("daemon.cache_dir needs room for a copy of the table; large ones: "
                             "method query")
                    : FR_STR("daemon.cache_dir needs room for its keys twice, and 30 bytes more "
                             "for each");
}

/* An outbox that is emptied: who deletes, in which order it is read, and whether it can grow. */
static void check_drain(const fr_sql_ops *ops, const fr_sql_relation *r, const fr_polled *t,
                        fr_findings *out)
{
    fr_drain_order o;
    fr_err err;
    if (fr_drain_order_of(r, t->settings, &o, &err) == FR_FAIL) {
        fr_fail_in(&err, "%.*s.%.*s", FR_ARG(t->name.space), FR_ARG(t->name.name));
        add_error(out, "outbox.columns", &err);
        if (r->no_delete.len > 0) {
            fr_finding *f = &out->items[out->count - 1];
            f->sql = fr_arena_str(out->arena, r->no_delete);
            f->class = FR_SQL_HARMLESS;
        }
        return;
    }
    if (o.doubt != NULL) {
        fr_finding *f = fr_findings_add(out, FR_WARNING, "outbox.order", "%.*s.%.*s: %.*s %s",
                                        FR_ARG(t->name.space), FR_ARG(t->name.name),
                                        FR_ARG(o.doubt_of), o.doubt);
        f->hint = fr_arena_str(out->arena, fr_cstr(o.remedy));
    }
    fr_poll_order order = {.count = o.count};
    for (size_t i = 0; i < o.count; i++) {
        order.columns[i] = o.columns[i];
        order.names[i] = r->table->columns[o.columns[i]].name;
    }
    say_index(ops, r, &order, out);
}

static void say_blind(const fr_sql_triggers *found, const fr_polled *t, fr_findings *out)
{
    if (found->blind.len > 0)
        fr_findings_add(out, FR_WARNING, found->blind_code, "%.*s.%.*s: %.*s",
                        FR_ARG(t->name.space), FR_ARG(t->name.name), FR_ARG(found->blind));
}

/* A table that triggers capture. */
static void check_changes(fr_sql *c, const fr_source_settings *source, const fr_polled *t,
                          fr_findings *out)
{
    fr_changes *ch = NULL;
    fr_sql_triggers found = {0};
    size_t columns[FR_POLL_ORDER_MAX], count;
    fr_err err;
    fr_rc rc = fr_changes_open(c, source, t->settings, t->name.space, t->name.name, 1, &ch, &err);
    if (rc == FR_OK)
        rc = fr_changes_blind(c, ch, out->arena, &found, &err);
    if (rc == FR_OK && t->settings->snapshot_mode != 1)
        rc = fr_changes_key(ch, t->settings, columns, FR_POLL_ORDER_MAX, &count, &err);
    if (rc == FR_OK) {
        fr_findings_add(out, FR_FINE, "trigger.there", "%.*s.%.*s: its triggers know its columns",
                        FR_ARG(t->name.space), FR_ARG(t->name.name));
        say_blind(&found, t, out);
    } else {
        fr_fail_in(&err, "%.*s.%.*s", FR_ARG(t->name.space), FR_ARG(t->name.name));
        add_error(out, "trigger.table", &err);
    }
    fr_changes_free(ch);
}

static void check_table(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source,
                        const fr_polled *t, fr_findings *out)
{
    fr_sql_relation *r = NULL;
    fr_poll_order o;
    fr_err err;
    if (t->settings->method == FR_METHOD_TRIGGER) {
        check_changes(c, source, t, out);
        return;
    }
    if (ops->describe(c, t->settings, t->name.space, t->name.name, 1, &r, &err) == FR_FAIL) {
        fr_fail_in(&err, "%.*s.%.*s", FR_ARG(t->name.space), FR_ARG(t->name.name));
        add_error(out, "query.table", &err);
        return;
    }
    if (ops->say != NULL)
        ops->say(r, out);
    if (fr_table_emptied(t->settings)) {
        check_drain(ops, r, t, out);
    } else if (t->settings->method == FR_METHOD_SNAPSHOT) {
        say_compared(t, out);
    } else if (fr_poll_order_of(r, t->settings, out->arena, &o, &err) == FR_FAIL) {
        fr_fail_in(&err, "%.*s.%.*s", FR_ARG(t->name.space), FR_ARG(t->name.name));
        add_error(out, "poll.column", &err);
    } else {
        if (r->table->columns[o.columns[0]].nullable && !r->statement) {
            fr_finding *f =
                fr_findings_add(out, FR_WARNING, "query.null",
                                "%.*s.%.*s: %.*s may be NULL: such rows are counted, "
                                "but never read",
                                FR_ARG(t->name.space), FR_ARG(t->name.name), FR_ARG(o.names[0]));
            f->hint = FR_STR("make the column NOT NULL");
        }
        say_index(ops, r, &o, out);
        say_skew(r, t->settings, &o, out);
        if (ops->clock_only)
            say_lookback(t, out);
        say_deletes(t, out);
        if (fr_table_compared(t->settings))
            say_compared(t, out);
    }
    ops->forget(r);
}

/* throttle.max_lag, max_load, query: can they be asked, and what do they say? */
static void say_busy(const fr_sql_ops *ops, fr_sql *c, const fr_source_settings *source,
                     fr_findings *out)
{
    fr_str why = {"", 0};
    fr_err err;
    if (!fr_source_asks_busy(source) || ops->busy == NULL)
        return;
    if (ops->busy(c, out->arena, &why, &err) == FR_FAIL)
        add_error(out, "query.throttle", &err);
    else if (why.len > 0)
        fr_findings_add(out, FR_WARNING, "query.throttle", "polls would wait now: %.*s",
                        FR_ARG(why));
    else
        fr_findings_add(out, FR_FINE, "query.throttle", "polls need not wait now");
}

void fr_poll_check(const fr_sql_ops *ops, const fr_source_settings *source, fr_findings *out)
{
    fr_sql *c = NULL;
    fr_err err;
    fr_polled *tables = NULL;
    size_t count = 0;
    if (ops->open(source, &c, &err) == FR_FAIL) {
        add_error(out, "query.connect", &err);
        return;
    }
    fr_findings_add(out, FR_FINE, "query.connect", "connected");
    if (ops->verify(c, source, &err) == FR_FAIL)
        add_error(out, "query.rights", &err);
    if (ops->check != NULL)
        ops->check(c, source, out);
    say_busy(ops, c, source, out);
    if (fr_poll_find(ops, c, source, out->arena, &tables, &count, &err) == FR_FAIL)
        add_error(out, "query.tables", &err);
    for (size_t i = 0; i < count; i++)
        check_table(ops, c, source, &tables[i], out);
    ops->close(c);
}
