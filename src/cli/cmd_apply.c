/* freshet apply: exactly what plan shows. Order: topics, schemas, target tables, so that what
 * exists in part does no harm and the same command goes on where it ended. */
#include "cli/plan.h"
#include <stdio.h>
#include <string.h>

/* The hash that was asked for: of --plan-hash or of a file of plan --out; NULL: none. */
static fr_rc wanted_hash(fr_cli *cli, const char **out, fr_err *err)
{
    *out = fr_cli_flag(cli, "plan-hash");
    if (cli->arg_count == 0)
        return FR_OK;
    json_error_t why;
    json_t *j = json_load_file(cli->args[0], JSON_REJECT_DUPLICATES, &why);
    const char *hash = j == NULL ? NULL : fr_json_str(j, "hash", NULL);
    if (hash == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "%s is no plan: %s", cli->args[0],
                j == NULL ? why.text : "it has no hash");
        fr_fail_code(err, "plan.unreadable");
        json_decref(j);
        return fr_fail_hint(err, "make one with freshet plan --out FILE");
    }
    *out = fr_arena_cstr(cli->arena, fr_cstr(hash));
    json_decref(j);
    return FR_OK;
}

static int stale(fr_cli *cli, const fr_look *l, const char *hash)
{
    fr_err err;
    fr_fail(&err, FR_ERR_CONFIG, "the plan is %s now, not %s: something has changed since", l->hash,
            hash);
    fr_fail_code(&err, "plan.stale");
    fr_fail_hint(&err, "look at freshet plan again");
    fr_cli_fail(cli, &err);
    return FR_EXIT_NO;
}

static void done(fr_cli *cli, json_t *list, const char *kind, const char *name)
{
    fr_buf_printf(&cli->out, "  %s%-8s %s\n", fr_cli_glyph(cli, FR_GLYPH_FINE), kind, name);
    json_array_append_new(list, json_pack("{s:s,s:s}", "kind", kind, "name", name));
    fr_cli_flush(cli);
}

static fr_rc make_table(fr_look *l, const fr_todo *t, fr_err *err)
{
    const fr_sink_ops *ops = l->config->sink_ops[t->sink];
    fr_sink *sink = NULL;
    FR_TRY(ops->open(&l->config->sinks[t->sink], &sink, err));
    fr_rc rc = ops->prepare(sink, t->table, true, false, NULL, err);
    ops->close(sink);
    return rc;
}

static fr_rc make(fr_look *l, const fr_todo *t, fr_err *err)
{
    int32_t id;
    if (t->kind == FR_TODO_TOPIC)
        return fr_admin_create_topic(l->admin, t->name, t->ours, err);
    if (t->kind == FR_TODO_SUBJECT)
        return fr_registry_register(l->registry, t->name, t->schema, t->compat, true, &id, err);
    return make_table(l, t, err);
}

static fr_rc make_source_objects(fr_look *l, json_t *list, fr_err *err)
{
    for (size_t i = 0; i < l->config->source_count; i++) {
        fr_findings made = {.arena = l->arena};
        if (l->sources[i] == NULL)
            continue;
        FR_TRY(l->config->source_ops[i]->apply_objects(l->sources[i], &made, err));
        for (size_t k = 0; k < made.count; k++)
            done(l->cli, list, "source", fr_arena_cstr(l->arena, made.items[k].text));
    }
    return FR_OK;
}

static fr_rc make_all(fr_look *l, bool objects, json_t *list, fr_err *err)
{
    static const char *const kinds[] = {"topic", "subject", "table"};
    if (objects)
        FR_TRY(make_source_objects(l, list, err));
    for (size_t i = 0; i < l->todo_count; i++) {
        const fr_todo *t = &l->todos[i];
        if (make(l, t, err) == FR_FAIL)
            return fr_fail_in(err, "%s %s", kinds[t->kind], t->name);
        done(l->cli, list, kinds[t->kind], t->name);
    }
    return FR_OK;
}

/* A publication that is missing blocks `run`, and is what --source-objects makes. */
static size_t blockers_left(const fr_look *l, bool objects)
{
    size_t n = 0;
    for (size_t i = 0; i < l->section_count; i++)
        for (size_t k = 0; k < l->sections[i].findings.count; k++) {
            const fr_finding *f = &l->sections[i].findings.items[k];
            bool made = objects && strncmp(f->code, "pg.publication", 14) == 0;
            n += f->severity == FR_BLOCKER && !made ? 1 : 0;
        }
    return n;
}

static int refuse(fr_cli *cli, fr_look *l, size_t blockers)
{
    fr_look_print(l);
    fr_cli_summary(cli, "Nothing was done: %zu blocker%s.", blockers, blockers == 1 ? "" : "s");
    return l->unreachable ? fr_err_exit(FR_ERR_CONNECT) : FR_EXIT_NO;
}

static int carry_out(fr_cli *cli, fr_look *l, bool objects)
{
    fr_err err;
    bool yes = false;
    char question[160];
    snprintf(question, sizeof(question), "Create %zu thing%s%s?", l->todo_count,
             l->todo_count == 1 ? "" : "s", objects ? ", and objects on the source" : "");
    if (fr_cli_ask(cli, question, &yes, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    if (!yes) {
        fr_cli_summary(cli, "Nothing was done.");
        return 0;
    }
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "done", list);
    if (make_all(l, objects, list, &err) == FR_FAIL) {
        fr_cli_summary(cli, "%zu of %zu done; freshet apply goes on from here.",
                       json_array_size(list), l->todo_count);
        return fr_cli_fail(cli, &err);
    }
    fr_cli_summary(cli, "Applied %s: %zu created.", l->hash, json_array_size(list));
    return 0;
}

static int apply(fr_cli *cli, fr_look *l, const char *hash)
{
    bool objects = fr_cli_flag(cli, "source-objects") != NULL;
    if (hash != NULL && strcmp(hash, l->hash) != 0)
        return stale(cli, l, hash);
    size_t blockers = blockers_left(l, objects);
    if (blockers > 0)
        return refuse(cli, l, blockers);
    fr_look_print(l);
    if (l->todo_count == 0 && !objects) {
        fr_cli_summary(cli, "Plan %s is empty: there is nothing to create.", l->hash);
        return 0;
    }
    if (fr_cli_flag(cli, "dry-run") != NULL) {
        fr_cli_summary(cli, "Dry run of %s: %zu would be created.", l->hash, l->todo_count);
        return 0;
    }
    return carry_out(cli, l, objects);
}

int fr_cmd_apply(fr_cli *cli)
{
    fr_config_flags flags = {.allow_exec = fr_cli_flag(cli, "allow-exec") != NULL};
    fr_config *config;
    fr_look l;
    fr_err err;
    const char *hash;
    if (wanted_hash(cli, &hash, &err) == FR_FAIL ||
        fr_cli_config(cli, &flags, &config, &err) == FR_FAIL)
        return fr_cli_fail(cli, &err);
    fr_look_open(cli, config, &l);
    int code = apply(cli, &l, hash);
    fr_look_close(&l);
    fr_config_free(config);
    return code;
}
