/* Where the schemas of a table's stream are. */
#include "cli/schema.h"
#include "codec/avro_parse.h"
#include "codec/contract.h"
#include "codec/registry_internal.h"
#include "transform/route.h"
#include <stdio.h>
#include <string.h>

static const char *const at_names[] = {"source", "contract", "registry"};

const char *fr_schema_at_name(fr_at at)
{
    return at_names[at];
}

fr_at fr_schema_at(fr_schema_verb *v, fr_at usual)
{
    const char *word = fr_cli_flag(v->cli, "at");
    for (int i = FR_AT_SOURCE; word != NULL && i <= FR_AT_REGISTRY; i++)
        if (strcmp(at_names[i], word) == 0)
            return (fr_at)i;
    return usual; /* the flag's choices are checked when it is read */
}

fr_rc fr_schema_registry(fr_schema_verb *v, fr_err *err)
{
    return v->registry != NULL ? FR_OK : fr_registry_open(&v->config->registry, &v->registry, err);
}

fr_rc fr_schema_level(const char *word, int *out, fr_err *err)
{
    *out = fr_compat_of(word);
    if (*out >= 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "there is no level `%s`", word);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "BACKWARD, FORWARD, FULL, each also with _TRANSITIVE, or NONE");
}

/* ---- the stream ---- */

static fr_rc record_of(fr_schema_verb *v, const fr_stream *s, fr_str *out, fr_err *err)
{
    fr_arena *a = v->cli->arena;
    const fr_contract_record *record;
    *out = FR_STR("");
    if (v->config->registry.subject == FR_SUBJECT_BY_TOPIC)
        return FR_OK;
    if (s->contract == NULL)
        return fr_route_record(a, &v->config->sources[s->place.source], s->place.table,
                               s->place.space, s->place.name, out, err);
    FR_TRY(fr_contract_parse(a, s->contract, &record, err));
    *out = record->name;
    return FR_OK;
}

void fr_schema_subjects(fr_schema_verb *v, fr_stream *s, fr_str topic, fr_str record)
{
    const fr_registry_settings *registry = &v->config->registry;
    fr_envelope envelope = (fr_envelope)s->place.table->envelope;
    fr_arena *a = v->cli->arena;
    s->value_subject = fr_subject(registry, a, topic, record, envelope, FR_SUBJECT_VALUE);
    s->key_subject = fr_subject(registry, a, topic, record, envelope, FR_SUBJECT_KEY);
}

fr_rc fr_schema_stream(fr_schema_verb *v, const char *word, fr_stream *out, fr_err *err)
{
    fr_arena *a = v->cli->arena;
    fr_str record;
    *out = (fr_stream){.word = word};
    FR_TRY(fr_config_table(v->config, word, &out->place, err));
    const fr_table_settings *t = out->place.table;
    if (t->outbox.on) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` is an outbox: its payloads are published as they are",
                word);
        fr_fail_code(err, "cli.no_schema");
        return fr_fail_hint(err, "no schema is made of it; freshet ddl outbox --contract checks "
                                 "payloads at the database");
    }
    FR_TRY(fr_ask_table_topic(v->config, a, &out->place, &out->topic, err));
    out->contract = fr_contract_file(&v->config->sources[out->place.source], t, out->topic);
    FR_TRY(record_of(v, out, &record, err));
    fr_schema_subjects(v, out, out->topic, record);
    out->level = t->schema_compat >= 0 ? t->schema_compat : v->config->registry.compatibility;
    return FR_OK;
}

/* ---- the registry ---- */

fr_rc fr_schema_newest(fr_schema_verb *v, const char *subject, fr_side *out, fr_err *err)
{
    *out = (fr_side){.version = 0};
    FR_TRY(fr_schema_registry(v, err));
    return fr_registry_latest(v->registry, v->cli->arena, subject, &out->version, &out->id,
                              &out->text, err);
}

fr_rc fr_schema_enforced(fr_schema_verb *v, const fr_stream *s, const char *subject, int *out,
                         fr_err *err)
{
    FR_TRY(fr_registry_level(v->registry, subject, out, err));
    if (*out < 0 || *out == FR_COMPAT_NONE)
        *out = s->level;
    return FR_OK;
}

fr_rc fr_schema_find(fr_schema_verb *v, const char *subject, fr_side *side, fr_err *err)
{
    fr_registry_version *all;
    size_t count = 0;
    side->version = 0;
    if (side->text.len == 0)
        return FR_OK;
    FR_TRY(fr_schema_registry(v, err));
    fr_rc rc = fr_registry_lookup(v->registry, subject, side->text, &side->id, err);
    if (rc != FR_OK)
        return rc == FR_FAIL ? rc : FR_OK;
    FR_TRY(fr_registry_versions(v->registry, v->cli->arena, subject, &all, &count, err));
    for (size_t i = 0; i < count; i++)
        if (all[i].id == side->id)
            side->version = all[i].number;
    return FR_OK;
}

static fr_rc from_registry(fr_schema_verb *v, const fr_stream *s, fr_sides *out, fr_err *err)
{
    fr_rc rc = fr_schema_newest(v, s->value_subject, &out->value, err);
    if (rc == FR_END) {
        fr_fail(err, FR_ERR_SCHEMA, "the registry has no subject %s", s->value_subject);
        fr_fail_code(err, "registry.subject_missing");
        return fr_fail_hint(err,
                            "freshet apply registers it; --at source%s shows what that would be",
                            s->contract != NULL ? " or --at contract" : "");
    }
    FR_TRY(rc);
    return fr_schema_newest(v, s->key_subject, &out->key, err) == FR_FAIL ? FR_FAIL : FR_OK;
}

/* ---- contracts and files ---- */

static fr_rc from_contract(fr_schema_verb *v, const fr_stream *s, fr_sides *out, fr_err *err)
{
    const fr_contract_record *record;
    if (s->contract == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` has no contract", s->word);
        fr_fail_code(err, "cli.no_contract");
        return fr_fail_hint(err,
                            "put one beside the configuration: schemas/%.*s.avsc (freshet "
                            "schema export %s --as contract -o FILE)",
                            FR_ARG(s->topic), s->word);
    }
    FR_TRY(fr_contract_parse(v->cli->arena, s->contract, &record, err));
    out->value.text = record->text;
    out->rows = true;
    return FR_OK;
}

fr_rc fr_schema_read(fr_schema_verb *v, fr_stream *s, fr_at at, fr_sides *out, fr_err *err)
{
    *out = (fr_sides){.rows = false};
    if (at == FR_AT_SOURCE)
        return fr_schema_source(v, s, out, err);
    return at == FR_AT_CONTRACT ? from_contract(v, s, out, err) : from_registry(v, s, out, err);
}

fr_rc fr_schema_row(fr_schema_verb *v, fr_str value, fr_str *out, fr_err *err)
{
    return fr_contract_row(v->cli->arena, value, out, err);
}

fr_rc fr_schema_file(fr_schema_verb *v, const char *name, fr_str *out, fr_err *err)
{
    FILE *in = fopen(name, "re");
    char *text = fr_arena_raw(v->cli->arena, FR_AVRO_MAX_SCHEMA + 1);
    size_t len = in != NULL ? fread(text, 1, FR_AVRO_MAX_SCHEMA + 1, in) : 0;
    bool good = in != NULL && ferror(in) == 0;
    if (!good)
        fr_fail(err, FR_ERR_CONFIG, "cannot read %s: %m", name);
    if (in != NULL)
        fclose(in);
    if (!good) {
        fr_fail_code(err, "cli.unreadable");
        return fr_fail_hint(err, "name a file with an Avro schema, or a table: source/space.table");
    }
    *out = (fr_str){text, len};
    return FR_OK;
}

int fr_schema_failed(fr_schema_verb *v, const fr_err *err)
{
    int code = fr_cli_fail(v->cli, err);
    bool text =
        strcmp(err->code, "registry.invalid_schema") == 0 || strcmp(err->code, "avro.schema") == 0;
    return text ? fr_err_exit(FR_ERR_CONFIG) : code;
}
