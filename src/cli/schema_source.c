/* A table's schemas as the source is now: what run would publish next. */
#include "cli/plan.h"
#include "cli/schema.h"
#include "poll/poll.h"

static fr_rc list(fr_schema_verb *v, size_t source, const fr_table ***tables, size_t *count,
                  fr_err *err)
{
    const fr_source_settings *s = &v->config->sources[source];
    const fr_source_ops *ops = v->config->source_ops[source];
    fr_arena *a = v->cli->arena;
    fr_rc rc;
    fr_cli_note(v->cli, "looking at source %s", s->name);
    if (fr_source_polled(s)) {
        fr_sql *sql = NULL;
        rc = ops->sql->open(s, &sql, err);
        if (rc == FR_OK)
            rc = fr_poll_tables(ops->sql, sql, s, a, tables, count, err);
        ops->sql->close(sql);
        return rc;
    }
    fr_source *open = NULL;
    FR_TRY(ops->open(s, &open, err));
    rc = ops->list_tables(open, a, tables, count, err);
    ops->close(open);
    return rc;
}

static fr_rc schemas_of(fr_schema_verb *v, fr_stream *s, const fr_route *r, fr_sides *out,
                        fr_err *err)
{
    fr_arena *a = v->cli->arena;
    const char *suffix = r->envelope == FR_ENVELOPE_STATE ? "" : "Envelope";
    fr_origin origin = fr_look_origin(&v->config->sources[s->place.source]);
    FR_TRY(fr_schema_value(a, r, &origin, &out->value.text, err));
    fr_str record = fr_arena_printf(a, "%.*s%s", FR_ARG(r->schema_name), suffix);
    s->value_subject = fr_ask_subject(v->config, a, r->topic, record, "value");
    fr_rc rc = fr_schema_key(a, r, &out->key.text, err);
    record = fr_arena_printf(a, "%.*sKey", FR_ARG(r->schema_name));
    s->key_subject = fr_ask_subject(v->config, a, r->topic, record, "key");
    return rc == FR_FAIL ? rc : FR_OK;
}

static fr_rc not_there(const fr_stream *s, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "the source has no table %.*s.%.*s", FR_ARG(s->place.space),
            FR_ARG(s->place.name));
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, "freshet plan says which tables are captured, and what is in the way");
}

fr_rc fr_schema_source(fr_schema_verb *v, fr_stream *s, fr_sides *out, fr_err *err)
{
    const fr_table **tables = NULL;
    size_t count = 0;
    const fr_route *route;
    FR_TRY(list(v, s->place.source, &tables, &count, err));
    fr_router *router = fr_router_new(&v->config->sources[s->place.source]);
    fr_rc rc = FR_END;
    for (size_t i = 0; i < count; i++) {
        bool it = fr_str_eq(tables[i]->space, s->place.space) &&
                  fr_str_eq(tables[i]->name, s->place.name);
        if (it)
            rc = fr_router_route(router, tables[i], &route, err);
        if (it && rc == FR_OK)
            rc = schemas_of(v, s, route, out, err);
        fr_table_unref(tables[i]); /* the router keeps its own */
    }
    fr_router_free(router);
    return rc == FR_END ? not_there(s, err) : rc;
}
