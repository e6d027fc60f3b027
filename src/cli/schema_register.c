/* freshet schema register: the next version, now, by a person. */
#include "cli/schema.h"
#include "codec/registry_internal.h"
#include <string.h>

typedef struct step { /* a subject that lacks what the source has */
    const char *subject;
    fr_str text;
    bool key, first; /* first: the subject has no version yet */
    int version;     /* the newest that is there */
} step;

typedef struct work {
    fr_schema_verb *v;
    fr_stream s;
    step steps[2];
    size_t count;
    int force; /* fr_compat of --compatibility; -1: none */
} work;

static fr_rc key_changed(const step *x, fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA, "subject %s: the key is another one than version %d", x->subject,
            x->version);
    fr_fail_code(err, "schema.key_changed");
    return fr_fail_hint(err, "a key never changes under a topic: set another topic for the table");
}

static fr_rc look(work *w, const char *subject, fr_str text, bool key, fr_err *err)
{
    fr_side newest;
    int32_t id;
    if (text.len == 0)
        return FR_OK;
    fr_rc rc = fr_registry_lookup(w->v->registry, subject, text, &id, err);
    if (rc != FR_END)
        return rc;
    FR_TRY(rc = fr_schema_newest(w->v, subject, &newest, err));
    step *x = &w->steps[w->count++];
    *x = (step){subject, text, key, rc == FR_END, newest.version};
    return key && !x->first ? key_changed(x, err) : FR_OK;
}

/* What it would break, before anybody is asked. FR_END: it breaks something. */
static fr_rc judge(work *w, const step *x, int level, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    fr_registry_version *all;
    fr_differences d = {.arena = a};
    size_t count = 0;
    if (x->first)
        return FR_OK;
    FR_TRY(fr_registry_versions(w->v->registry, a, x->subject, &all, &count, err));
    fr_str *texts = fr_arena_alloc(a, (count + 1) * sizeof *texts);
    for (size_t i = 0; i < count; i++)
        texts[i] = all[i].text;
    fr_rc rc = fr_compat_list(a, level, x->text, texts, count, &d, err);
    if (rc == FR_FAIL)
        return rc;
    fr_schema_put_differences(w->v->cli, &d, "      ");
    json_object_set_new(fr_cli_result(w->v->cli), "differences", fr_schema_differences_json(&d));
    return rc;
}

static fr_rc refused(const work *w, int level, fr_err *err)
{
    fr_fail(err, FR_ERR_SCHEMA, "%s: the new schema breaks %s", w->s.word, fr_compat_name(level));
    fr_fail_code(err, "registry.incompatible");
    return fr_fail_hint(err, "freshet schema diff %s shows ways on; --compatibility NONE forces it",
                        w->s.word);
}

static fr_rc put_steps(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    bool broken = false;
    int level = w->s.level;
    for (size_t i = 0; i < w->count; i++) {
        const step *x = &w->steps[i];
        fr_buf_printf(&cli->out, "  %ssubject %s: version %d\n", fr_cli_glyph(cli, FR_GLYPH_CHANGE),
                      x->subject, x->version + 1);
        if (!x->first)
            FR_TRY(fr_schema_enforced(w->v, &w->s, x->subject, &level, err));
        fr_rc rc = judge(w, x, level, err);
        if (rc == FR_FAIL)
            return rc;
        broken = broken || rc == FR_END;
    }
    json_object_set_new(fr_cli_result(cli), "breaks", json_boolean(broken));
    return broken && w->force < 0 ? refused(w, level, err) : FR_OK;
}

/* FR_END: no. A level that is overridden is asked about a second time. */
static fr_rc ask(work *w, fr_err *err)
{
    bool yes = false;
    fr_cli *cli = w->v->cli;
    FR_TRY(fr_cli_ask(cli, "Register?", &yes, err));
    if (!yes || w->force < 0)
        return yes ? FR_OK : FR_END;
    fr_str question = fr_arena_printf(
        cli->arena, "Consumers of %.*s may fail or misread from now on. Really under %s?",
        FR_ARG(w->s.topic), fr_compat_name(w->force));
    FR_TRY(fr_cli_ask(cli, fr_arena_cstr(cli->arena, question), &yes, err));
    return yes ? FR_OK : FR_END;
}

static fr_rc carry_out(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "registered", list);
    for (size_t i = 0; i < w->count; i++) {
        const step *x = &w->steps[i];
        int32_t id;
        if (w->force >= 0 && !x->first)
            FR_TRY(fr_registry_force(w->v->registry, x->subject, x->text, w->force, &id, err));
        else
            FR_TRY(fr_registry_register(w->v->registry, x->subject, x->text, w->s.level, true, &id,
                                        err));
        fr_buf_printf(&cli->out, "  %s%s: id %d\n", fr_cli_glyph(cli, FR_GLYPH_FINE), x->subject,
                      (int)id);
        json_array_append_new(list, json_pack("{s:s,s:i}", "subject", x->subject, "id", (int)id));
        fr_cli_flush(cli);
    }
    fr_cli_summary(cli, "%zu registered.%s", w->count,
                   w->force >= 0 ? " The compatibility level is what it was before." : "");
    return FR_OK;
}

static fr_rc may_register(const work *w, fr_err *err)
{
    if (w->v->config->registry.register_when != FR_WHEN_NEVER)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "registry.register is never: others register schemas here");
    fr_fail_code(err, "registry.never");
    return fr_fail_hint(err, "give them the schema: freshet schema export %s --as avro --at source",
                        w->s.word);
}

static fr_rc run(work *w, fr_err *err)
{
    fr_sides sides;
    fr_cli *cli = w->v->cli;
    const char *level = fr_cli_flag(cli, "compatibility");
    if (level != NULL)
        FR_TRY(fr_schema_level(level, &w->force, err));
    FR_TRY(fr_schema_stream(w->v, cli->args[1], &w->s, err));
    FR_TRY(may_register(w, err));
    FR_TRY(fr_schema_registry(w->v, err));
    FR_TRY(fr_schema_read(w->v, &w->s, FR_AT_SOURCE, &sides, err));
    FR_TRY(look(w, w->s.key_subject, sides.key.text, true, err));
    FR_TRY(look(w, w->s.value_subject, sides.value.text, false, err));
    if (w->count == 0) {
        fr_cli_summary(cli, "The registry has it already: there is nothing to register.");
        return FR_OK;
    }
    FR_TRY(put_steps(w, err));
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run: %zu would be registered.", w->count);
        return FR_OK;
    }
    fr_rc rc = ask(w, err);
    if (rc == FR_END)
        fr_cli_summary(cli, "Nothing was done.");
    return rc == FR_OK ? carry_out(w, err) : rc == FR_END ? FR_OK : rc;
}

int fr_schema_register(fr_schema_verb *v)
{
    work w = {.v = v, .force = -1};
    fr_err err;
    if (run(&w, &err) != FR_FAIL)
        return 0;
    bool no = strcmp(err.code, "registry.incompatible") == 0 ||
              strcmp(err.code, "schema.key_changed") == 0;
    int code = fr_schema_failed(v, &err);
    return no ? FR_EXIT_NO : code;
}
