/* freshet schema export: a stream's schema in other words. */
#include "cli/schema.h"
#include "cli/yaml_text.h"
#include "codec/decode.h"
#include "codec/export.h"
#include "codec/registry_internal.h"
#include "connect/ddl.h"
#include "transform/shape.h"
#include <string.h>

typedef struct work {
    fr_schema_verb *v;
    fr_stream s;
    fr_sides sides;
    fr_str row;
    fr_buf out;
} work;

static fr_rc put_schema(work *w, fr_str text, fr_err *err)
{
    json_t *j = NULL;
    FR_TRY(fr_json_parse(text, &j, err));
    fr_buf_str(&w->out, fr_schema_pretty(w->v->cli->arena, j));
    json_decref(j);
    return FR_OK;
}

static fr_rc as_avro(work *w, fr_err *err)
{
    return put_schema(w, w->sides.value.text, err);
}

static fr_rc as_contract(work *w, fr_err *err)
{
    return put_schema(w, w->row, err);
}

static fr_rc as_jsonschema(work *w, fr_err *err)
{
    json_t *j = NULL;
    FR_TRY(fr_export_jsonschema(w->sides.value.text, &j, err));
    fr_buf_str(&w->out, fr_schema_pretty(w->v->cli->arena, j));
    json_decref(j);
    return FR_OK;
}

/* ---- a data contract ---- */

static fr_str joined(fr_arena *a, const fr_texts *list)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < list->count; i++)
        fr_buf_printf(&b, "%s%s", i > 0 ? "," : "", list->items[i]);
    return fr_buf_view(&b);
}

static fr_rc as_odcs(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    fr_fingerprint print;
    json_t *j = NULL;
    FR_TRY(fr_fingerprint_of(cli->arena, w->sides.value.text, &print, err));
    const fr_str names[] = {FR_STR("freshet.table"), FR_STR("avro.crc64"), FR_STR("avro.sha256"),
                            FR_STR("registry.subject"), FR_STR("registry.compatibility")};
    const fr_str values[] = {fr_cstr(w->s.word), fr_cstr(print.crc64), fr_cstr(print.sha256),
                             fr_cstr(w->s.value_subject), fr_cstr(fr_compat_name(w->s.level))};
    fr_odcs of = {.row = w->row,
                  .key = w->sides.key.text,
                  .topic = w->s.topic,
                  .pipeline = fr_cstr(w->v->config->name),
                  .version = fr_arena_printf(cli->arena, "%d", w->sides.value.version),
                  .brokers = joined(cli->arena, &w->v->config->kafka.brokers),
                  .names = names,
                  .values = values,
                  .count = sizeof names / sizeof *names};
    FR_TRY(fr_export_odcs(&of, &j, err));
    fr_rc rc = fr_yaml_text(&w->out, j, err);
    json_object_set_new(fr_cli_result(cli), "document", j);
    return rc;
}

/* ---- SQL ---- */

static fr_rc no_such_sink(work *w, const char *type, fr_err *err)
{
    fr_buf b = {.arena = w->v->cli->arena};
    for (size_t i = 0; fr_cli_connectors.sink_at(i) != NULL; i++)
        if (fr_cli_connectors.sink_at(i)->draft != NULL)
            fr_buf_printf(&b, "%ssql:%s", b.len > 0 ? ", " : "",
                          fr_cli_connectors.sink_at(i)->type);
    fr_fail(err, FR_ERR_CONFIG, "no sink of type `%s` makes tables", type);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "--as %.*s", FR_ARG(fr_buf_view(&b)));
}

/* The configuration's own sink, if one of this type takes the topic; else how one is by default.
 * Without a key rows can only be appended. */
static fr_rc target_of(work *w, const fr_sink_ops *ops, fr_sink_settings *settings, fr_str *space,
                       fr_str *name, fr_err *err)
{
    const fr_config *c = w->v->config;
    *space = FR_STR("");
    *name = w->s.place.name;
    *settings = (fr_sink_settings){.name = ops->type,
                                   .type = ops->type,
                                   .create = FR_WHEN_APPLY,
                                   .write_mode = w->sides.key.text.len == 0 ? FR_WRITE_APPEND
                                                                            : FR_WRITE_UPSERT};
    for (size_t i = 0; i < c->sink_count; i++)
        if (c->sink_ops[i] == ops && fr_sink_match(&c->sinks[i], w->s.topic) >= 0) {
            *settings = c->sinks[i];
            return fr_sink_target(&c->sinks[i], w->v->cli->arena, w->s.topic, space, name, err);
        }
    return FR_OK;
}

static fr_rc put_drafts(work *w, const fr_findings *found, fr_err *err)
{
    for (size_t i = 0; i < found->count; i++) {
        const fr_finding *f = &found->items[i];
        if (f->severity == FR_BLOCKER) {
            fr_fail(err, FR_ERR_CONFIG, "%.*s", FR_ARG(f->text));
            fr_fail_code(err, f->code);
            return fr_fail_hint(err, "%.*s", FR_ARG(f->hint));
        }
        if (f->severity == FR_WARNING)
            fr_ddl_comment(&w->out, f->text);
        if (f->sql.len > 0)
            fr_buf_printf(&w->out, "%.*s;\n", FR_ARG(f->sql));
    }
    return FR_OK;
}

static fr_rc as_sql(work *w, const char *type, fr_err *err)
{
    const fr_sink_ops *ops = fr_cli_connectors.sink(type);
    fr_findings found = {.arena = w->v->cli->arena};
    fr_sink_settings settings;
    const fr_table *table = NULL;
    fr_str space, name;
    if (ops == NULL || ops->draft == NULL)
        return no_such_sink(w, type, err);
    FR_TRY(target_of(w, ops, &settings, &space, &name, err));
    FR_TRY(fr_decoder_table(space, name, w->sides.key.text, w->sides.value.text, &table, err));
    fr_shaper *shaper = fr_shaper_new(&settings);
    const fr_table *made;
    const fr_route *route;
    fr_rc rc = fr_shaper_table(shaper, w->s.topic, table, &made, &route, err);
    if (rc == FR_OK)
        rc = ops->draft(&settings, made, &found, err);
    fr_shaper_free(shaper);
    fr_table_unref(table);
    return rc == FR_FAIL ? rc : put_drafts(w, &found, err);
}

/* ---- all ---- */

static const struct {
    const char *name;
    fr_rc (*put)(work *w, fr_err *err);
} forms[] = {
    {"avro", as_avro}, {"contract", as_contract}, {"jsonschema", as_jsonschema}, {"odcs", as_odcs}};

static fr_rc put_form(work *w, const char *as, fr_err *err)
{
    if (strncmp(as, "sql:", 4) == 0)
        return as_sql(w, as + 4, err);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, as) == 0)
            return forms[i].put(w, err);
    fr_fail(err, FR_ERR_CONFIG, "there is no form `%s`", as);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "--as avro, contract, jsonschema, odcs, or sql: and a type of sink");
}

static fr_rc export(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    const char *as = fr_cli_flag(cli, "as"), *file = fr_cli_flag(cli, "output");
    if (as == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "schema export: as what?");
        fr_fail_code(err, "cli.arguments");
        return fr_fail_hint(err,
                            "--as avro, contract, jsonschema, odcs, or sql: and a type of sink");
    }
    FR_TRY(fr_schema_stream(w->v, cli->args[1], &w->s, err));
    FR_TRY(fr_schema_read(w->v, &w->s, fr_schema_at(w->v, FR_AT_REGISTRY), &w->sides, err));
    FR_TRY(fr_schema_row(w->v, w->sides.value.text, &w->row, err));
    w->out.arena = cli->arena;
    FR_TRY(put_form(w, as, err));
    json_object_set_new(fr_cli_result(cli), "as", json_string(as));
    if (file != NULL) {
        FR_TRY(fr_cli_write_file(file, fr_buf_view(&w->out), err));
        json_object_set_new(fr_cli_result(cli), "file", json_string(file));
        fr_cli_summary(cli, "Wrote %s.", file);
        return FR_OK;
    }
    fr_buf_str(&cli->out, fr_buf_view(&w->out));
    json_object_set_new(fr_cli_result(cli), "text",
                        json_stringn((const char *)w->out.ptr, w->out.len));
    return FR_OK;
}

int fr_schema_export(fr_schema_verb *v)
{
    work w = {.v = v};
    fr_err err;
    return export(&w, &err) == FR_FAIL ? fr_schema_failed(v, &err) : 0;
}
