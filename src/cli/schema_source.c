/* A table's schemas as the source is now: what run would publish next. */
#include "cli/plan.h"
#include "cli/schema.h"

static fr_rc schemas_of(fr_schema_verb *v, fr_stream *s, const fr_route *r, fr_sides *out,
                        fr_err *err)
{
    fr_arena *a = v->cli->arena;
    fr_origin origin = fr_look_origin(&v->config->sources[s->place.source]);
    fr_schema_subjects(v, s, r->topic, r->schema_name);
    FR_TRY(fr_schema_value(a, r, &origin, &out->value.text, err));
    fr_rc rc = fr_schema_key(a, r, &out->key.text, err);
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
    fr_cli_note(v->cli, "looking at source %s", v->config->sources[s->place.source].name);
    FR_TRY(fr_ask_tables(v->config, s->place.source, v->cli->arena, &tables, &count, err));
    fr_router *router = fr_router_new(&v->config->sources[s->place.source]);
    if (fr_ask_moved(v->config, s->place.source, router, err) == FR_FAIL)
        fr_cli_note(v->cli, "whether tables have gone on in other topics is not known: %s",
                    err->text);
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
