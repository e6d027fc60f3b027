/* freshet schema check: contracts against what they were, for a user's own CI. Offline, but for
 * --against registry. */
#include "base/map.h"
#include "cli/git.h"
#include "cli/schema.h"
#include "codec/contract.h"
#include "codec/registry_internal.h"
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef enum { UNCHANGED, NOTED, CHANGED, NEW, REMOVED, BREAKS, INVALID, STATES } state;
static const char *const state_names[STATES] = {"unchanged", "noted",  "changed", "new",
                                                "removed",   "breaks", "invalid"};

typedef struct item { /* a contract */
    const char *path;
    fr_str text;
    const char *word; /* its table; NULL: a pattern's, or nobody's */
    fr_str topic;     /* may be empty */
    int level;
} item;

typedef struct work {
    fr_schema_verb *v;
    const char *against; /* as it was asked */
    const char *folder;  /* of the older files; NULL: not asked */
    fr_git *git;         /* NULL: not asked */
    const char *commit;  /* that git was asked of */
    bool registry;
    const char *home; /* the configuration's folder */
    item *items;
    size_t count, cap;
    fr_map *files;  /* paths that are looked at */
    fr_map *judged; /* path, level and topic of each item: one file may be many tables' */
    int only;       /* --level; -1: each table's */
    size_t counts[STATES];
    json_t *list;
} work;

/* ---- which contracts there are ---- */

static void add(work *w, const char *path, fr_str text, const char *word, fr_str topic, int level)
{
    fr_arena *a = w->v->cli->arena;
    level = w->only >= 0 ? w->only : level;
    fr_map_set(w->files, fr_cstr(path), w);
    fr_str what = fr_arena_printf(a, "%d %.*s %s", level, FR_ARG(topic), path);
    if (fr_map_set(w->judged, what, w) != NULL)
        return;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : 2 * w->cap;
        item *more = fr_arena_alloc(a, w->cap * sizeof *more);
        if (w->count > 0)
            memcpy(more, w->items, w->count * sizeof *more);
        w->items = more;
    }
    w->items[w->count++] =
        (item){.path = path, .text = text, .word = word, .topic = topic, .level = level};
}

static fr_rc add_table(work *w, const char *word, fr_err *err)
{
    fr_stream s;
    FR_TRY(fr_schema_stream(w->v, word, &s, err));
    if (s.contract != NULL)
        add(w, s.contract->path, s.contract->text, word, s.topic, s.level);
    if (s.contract != NULL || w->v->cli->arg_count == 1)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "`%s` has no contract", word);
    fr_fail_code(err, "cli.no_contract");
    return fr_fail_hint(err, "schemas/%.*s.avsc beside the configuration, or schema.contract",
                        FR_ARG(s.topic));
}

static int level_of(const work *w, const fr_table_settings *t)
{
    return t->schema_compat >= 0 ? t->schema_compat : w->v->config->registry.compatibility;
}

/* A file of schemas/ that is no known table's: of a table that a pattern takes, or of none. */
static void add_file(work *w, const fr_contract *f)
{
    const fr_config *c = w->v->config;
    fr_arena *a = w->v->cli->arena;
    fr_str topic = f->topic == NULL ? FR_STR("") : fr_cstr(f->topic);
    fr_config_place p;
    if (fr_map_get(w->files, fr_cstr(f->path)) != NULL)
        return;
    if (!fr_ask_topic_table(c, a, topic, &p)) {
        add(w, f->path, f->text, NULL, topic, c->registry.compatibility);
        return;
    }
    fr_str word = fr_arena_printf(a, "%s/%.*s.%.*s", c->sources[p.source].name, FR_ARG(p.space),
                                  FR_ARG(p.name));
    add(w, f->path, f->text, fr_arena_cstr(a, word), topic, level_of(w, p.table));
}

static fr_rc add_all(work *w, fr_err *err)
{
    const fr_config *c = w->v->config;
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t k = 0; k < c->sources[i].table_count; k++) {
            const fr_table_settings *t = &c->sources[i].tables[k];
            fr_str word =
                fr_arena_printf(w->v->cli->arena, "%s/%s", c->sources[i].name, t->pattern);
            if (t->regex == NULL && t->method != FR_METHOD_SKIP && !t->outbox.on)
                FR_TRY(add_table(w, fr_arena_cstr(w->v->cli->arena, word), err));
            else if (t->contract != NULL)
                add(w, t->contract->path, t->contract->text, NULL, FR_STR(""), level_of(w, t));
        }
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t k = 0; k < c->sources[i].contract_count; k++)
            add_file(w, &c->sources[i].contracts[k]);
    return FR_OK;
}

/* ---- what they were ---- */

static const char *within(work *w, const char *path)
{
    size_t len = strlen(w->home);
    return strncmp(path, w->home, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

/* The same name below the folder, as from the configuration; or the file's name alone. */
static fr_rc old_file(work *w, const item *x, fr_str *out, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    const char *slash = strrchr(x->path, '/');
    const char *path = fr_arena_cstr(a, fr_arena_printf(a, "%s/%s", w->folder, within(w, x->path)));
    if (!fr_cli_is_file(path))
        path = fr_arena_cstr(
            a, fr_arena_printf(a, "%s/%s", w->folder, slash == NULL ? x->path : slash + 1));
    return fr_cli_is_file(path) ? fr_schema_file(w->v, path, out, err) : FR_END;
}

/* Rows of all versions, oldest first. */
static fr_rc old_versions(work *w, const item *x, fr_str **out, size_t *count, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    fr_stream s;
    fr_registry_version *all;
    if (x->word == NULL)
        return FR_END;
    FR_TRY(fr_schema_stream(w->v, x->word, &s, err));
    FR_TRY(fr_schema_registry(w->v, err));
    fr_rc rc = fr_registry_versions(w->v->registry, a, s.value_subject, &all, count, err);
    if (rc != FR_OK)
        return rc;
    *out = fr_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        FR_TRY(fr_schema_row(w->v, all[i].text, &(*out)[i], err));
    return FR_OK;
}

static fr_rc old_of(work *w, const item *x, fr_str **out, size_t *count, fr_err *err)
{
    if (w->registry)
        return old_versions(w, x, out, count, err);
    *out = fr_arena_alloc(w->v->cli->arena, sizeof **out);
    *count = 1;
    return w->git != NULL ? fr_git_read(w->git, w->v->cli->arena, x->path, *out, err)
                          : old_file(w, x, *out, err);
}

/* ---- one contract ---- */

static void put_item(work *w, const item *x, state s, const fr_differences *d, const char *why)
{
    static const fr_glyph glyphs[STATES] = {FR_GLYPH_FINE,   FR_GLYPH_FINE, FR_GLYPH_FINE,
                                            FR_GLYPH_CHANGE, FR_GLYPH_WARN, FR_GLYPH_FAIL,
                                            FR_GLYPH_FAIL};
    fr_cli *cli = w->v->cli;
    json_t *j = json_pack("{s:s,s:s}", "file", x->path, "state", state_names[s]);
    w->counts[s]++;
    json_array_append_new(w->list, j);
    if (x->word != NULL)
        json_object_set_new(j, "table", json_string(x->word));
    if (why != NULL)
        json_object_set_new(j, "error", json_string(why));
    if (s != REMOVED && s != INVALID)
        json_object_set_new(j, "level", json_string(fr_compat_name(x->level)));
    if (d != NULL)
        json_object_set_new(j, "differences", fr_schema_differences_json(d));
    if (s == UNCHANGED && !cli->verbose)
        return;
    fr_buf_printf(&cli->out, "%s%-10s%s", fr_cli_glyph(cli, glyphs[s]), state_names[s], x->path);
    if (x->word != NULL)
        fr_buf_printf(&cli->out, "   %s", x->word);
    if (s == BREAKS || s == CHANGED)
        fr_buf_printf(&cli->out, "   %s", fr_compat_name(x->level));
    fr_buf_text(&cli->out, "\n");
    if (why != NULL)
        fr_buf_printf(&cli->out, "      %s\n", why);
    if (d != NULL)
        fr_schema_put_differences(cli, d, "      ");
}

static bool only_notes(const fr_differences *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (!fr_diff_is_wording(&d->items[i]))
            return false;
    return true;
}

static void invalid(work *w, const item *x, const char *what, const fr_err *err)
{
    fr_str why = fr_arena_printf(w->v->cli->arena, "%s%s", what, err->text);
    put_item(w, x, INVALID, NULL, fr_arena_cstr(w->v->cli->arena, why));
}

/* FR_FAIL: nothing can be compared at all (git, registry). */
static fr_rc check_one(work *w, const item *x, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    fr_differences d = {.arena = a};
    const fr_contract c = {.path = x->path, .text = x->text};
    const fr_contract_record *record;
    const fr_shape *shape;
    fr_str *olds = NULL;
    size_t count = 0;
    fr_err bad;
    if (fr_contract_parse(a, &c, &record, &bad) == FR_FAIL) {
        invalid(w, x, "", &bad);
        return FR_OK;
    }
    fr_rc rc = old_of(w, x, &olds, &count, err);
    if (rc != FR_OK) {
        if (rc == FR_END)
            put_item(w, x, NEW, NULL, NULL);
        return rc == FR_END ? FR_OK : rc;
    }
    if (count == 1 && fr_str_eq(olds[0], x->text)) {
        put_item(w, x, UNCHANGED, NULL, NULL);
        return FR_OK;
    }
    rc = fr_compat_list(a, x->level, record->text, olds, count, &d, &bad);
    if (rc == FR_FAIL) {
        bool ours = fr_shape_parse(a, record->text, &shape, &bad) == FR_FAIL;
        invalid(w, x, ours ? "" : "as it was: ", &bad);
        return FR_OK;
    }
    state s = rc == FR_END ? BREAKS : d.count == 0 ? UNCHANGED : only_notes(&d) ? NOTED : CHANGED;
    put_item(w, x, s, d.count == 0 ? NULL : &d, NULL);
    return FR_OK;
}

/* ---- contracts that are gone ---- */

static void removed(work *w, const char *path)
{
    size_t len = strlen(path);
    const item x = {.path = path};
    if (len > 5 && strcmp(path + len - 5, ".avsc") == 0 &&
        fr_map_get(w->files, fr_cstr(path)) == NULL && !fr_cli_is_file(path))
        put_item(w, &x, REMOVED, NULL, NULL);
}

static void removed_from_folder(work *w, const char *below)
{
    fr_arena *a = w->v->cli->arena;
    struct dirent **names;
    const char *folder = fr_arena_cstr(a, fr_arena_printf(a, "%s%s", w->folder, below));
    int found = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        if (fr_cli_is_file(fr_arena_cstr(a, fr_arena_printf(a, "%s/%s", folder, names[i]->d_name))))
            removed(w, fr_arena_cstr(
                           a, fr_arena_printf(a, "%s/schemas/%s", w->home, names[i]->d_name)));
        free(names[i]);
    }
    if (found >= 0)
        free(names);
}

static fr_rc find_removed(work *w, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    const char **names;
    size_t count = 0;
    if (w->v->cli->arg_count > 1 || w->registry)
        return FR_OK;
    if (w->git != NULL) {
        const char *folder = fr_arena_cstr(a, fr_arena_printf(a, "%s/schemas", w->home));
        FR_TRY(fr_git_list(w->git, a, folder, &names, &count, err));
        for (size_t i = 0; i < count; i++)
            removed(w, names[i]);
        return FR_OK;
    }
    struct stat st;
    fr_str below = fr_arena_printf(a, "%s/schemas", w->folder);
    bool nested = stat(fr_arena_cstr(a, below), &st) == 0 && S_ISDIR(st.st_mode);
    removed_from_folder(w, nested ? "/schemas" : "");
    return FR_OK;
}

/* ---- all ---- */

static fr_rc nothing_to_compare(fr_err *err, const char *home)
{
    fr_fail(err, FR_ERR_CONFIG, "schema check: %s is in no git work tree: against what?", home);
    fr_fail_code(err, "cli.arguments");
    return fr_fail_hint(err, "--against DIR (older files), git:REF (a commit), or registry");
}

static fr_rc open_against(work *w, fr_err *err)
{
    struct stat st;
    const char *x = fr_cli_flag(w->v->cli, "against");
    if (x == NULL && !fr_git_there(w->home))
        return nothing_to_compare(err, w->home);
    w->against = x == NULL ? "git:HEAD" : x;
    w->registry = strcmp(w->against, "registry") == 0;
    if (w->registry)
        return fr_schema_registry(w->v, err);
    if (strncmp(w->against, "git:", 4) == 0) {
        FR_TRY(fr_git_open(w->home, w->against + 4, &w->git, err));
        w->commit = fr_arena_cstr(w->v->cli->arena, fr_cstr(fr_git_commit(w->git)));
        return FR_OK;
    }
    w->folder = w->against;
    if (stat(w->folder, &st) == 0 && S_ISDIR(st.st_mode))
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "--against %s: there is no such folder", w->folder);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "--against DIR (older files), git:REF (a commit), or registry");
}

static void find_home(work *w)
{
    const char *file = w->v->config->file, *slash = strrchr(file, '/');
    fr_str dir = slash == NULL ? FR_STR(".") : (fr_str){file, (size_t)(slash - file)};
    w->home = slash == file ? "/" : fr_arena_cstr(w->v->cli->arena, dir);
}

static fr_rc begin(work *w, fr_err *err)
{
    const char *level = fr_cli_flag(w->v->cli, "level");
    w->only = -1;
    if (level != NULL)
        FR_TRY(fr_schema_level(level, &w->only, err));
    find_home(w);
    return open_against(w, err);
}

static fr_rc check(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    if (cli->arg_count == 1)
        FR_TRY(add_all(w, err));
    for (size_t i = 1; i < cli->arg_count; i++)
        FR_TRY(add_table(w, cli->args[i], err));
    for (size_t i = 0; i < w->count; i++)
        FR_TRY(check_one(w, &w->items[i], err));
    return find_removed(w, err);
}

/* A git that died is an error that says so, and not our end. */
static fr_rc check_by_git(work *w, fr_err *err)
{
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    struct sigaction was;
    sigaction(SIGPIPE, &ignored, &was);
    fr_rc rc = check(w, err);
    fr_git_close(w->git);
    w->git = NULL;
    sigaction(SIGPIPE, &was, NULL);
    return rc;
}

static void put_summary(work *w)
{
    fr_cli *cli = w->v->cli;
    json_t *counts = json_object();
    fr_buf b = {.arena = cli->arena};
    for (int i = STATES - 1; i >= 0; i--) {
        json_object_set_new(counts, state_names[i], json_integer((json_int_t)w->counts[i]));
        if (w->counts[i] > 0)
            fr_buf_printf(&b, "%s%zu %s", b.len > 0 ? ", " : "", w->counts[i],
                          i == BREAKS && w->counts[i] > 1 ? "break" : state_names[i]);
    }
    json_object_set_new(fr_cli_result(cli), "against", json_string(w->against));
    if (w->commit != NULL)
        json_object_set_new(fr_cli_result(cli), "commit", json_string(w->commit));
    json_object_set_new(fr_cli_result(cli), "counts", counts);
    if (b.len == 0)
        fr_buf_text(&b, "there are none");
    fr_cli_summary(cli, "%zu contract%s against %s: %.*s.", w->count, w->count == 1 ? "" : "s",
                   w->against, FR_ARG(fr_buf_view(&b)));
}

int fr_schema_check(fr_schema_verb *v)
{
    work w = {.v = v, .files = fr_map_new(), .judged = fr_map_new(), .list = json_array()};
    fr_err err;
    json_object_set_new(fr_cli_result(v->cli), "contracts", w.list);
    fr_rc rc = begin(&w, &err);
    if (rc == FR_OK)
        rc = w.git != NULL ? check_by_git(&w, &err) : check(&w, &err);
    int code = rc == FR_FAIL ? fr_schema_failed(v, &err) : 0;
    if (rc != FR_FAIL)
        put_summary(&w);
    if (rc != FR_FAIL && w.counts[BREAKS] > 0)
        code = FR_EXIT_NO;
    if (rc != FR_FAIL && w.counts[INVALID] > 0)
        code = fr_err_exit(FR_ERR_CONFIG);
    fr_map_free(w.judged, NULL);
    fr_map_free(w.files, NULL);
    return code;
}
