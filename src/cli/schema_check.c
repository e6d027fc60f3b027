/* freshet schema check: contracts against what they were, for a user's own CI. Offline, but for
 * --against registry. */
#include "base/map.h"
#include "cli/git.h"
#include "cli/schema.h"
#include "codec/contract.h"
#include "codec/registry_internal.h"
#include <dirent.h>
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
    bool registry;
    const char *home; /* the configuration's folder */
    item *items;
    size_t count, cap;
    fr_map *seen; /* path -> item */
    int only;     /* --level; -1: each table's */
    size_t counts[STATES];
    json_t *list;
} work;

/* ---- which contracts there are ---- */

static item *add(work *w, const fr_contract *c)
{
    if (c == NULL || fr_map_get(w->seen, fr_cstr(c->path)) != NULL)
        return NULL;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : 2 * w->cap;
        item *more = fr_arena_alloc(w->v->cli->arena, w->cap * sizeof *more);
        if (w->count > 0)
            memcpy(more, w->items, w->count * sizeof *more);
        w->items = more;
    }
    item *x = &w->items[w->count++];
    *x = (item){.path = c->path,
                .text = c->text,
                .topic = c->topic == NULL ? FR_STR("") : fr_cstr(c->topic),
                .level = w->v->config->registry.compatibility};
    fr_map_set(w->seen, fr_cstr(c->path), w);
    return x;
}

static fr_rc add_table(work *w, const char *word, fr_err *err)
{
    fr_stream s;
    FR_TRY(fr_schema_stream(w->v, word, &s, err));
    item *x = add(w, s.contract);
    if (x != NULL) {
        x->word = word;
        x->topic = s.topic;
        x->level = s.level;
    }
    if (s.contract != NULL || w->v->cli->arg_count == 1)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "`%s` has no contract", word);
    fr_fail_code(err, "cli.no_contract");
    return fr_fail_hint(err, "schemas/%.*s.avsc beside the configuration, or schema.contract",
                        FR_ARG(s.topic));
}

/* The table of a pattern whose topic this is, where topics are named as usual. */
static void find_pattern(work *w, const fr_source_settings *s, size_t source, item *x)
{
    fr_arena *a = w->v->cli->arena;
    size_t prefix = strlen(s->prefix);
    fr_str rest = {x->topic.ptr + prefix + 1, x->topic.len - prefix - 1}, topic;
    fr_err ignored;
    if (x->topic.len < prefix + 4 || memcmp(x->topic.ptr, s->prefix, prefix) != 0 ||
        x->topic.ptr[prefix] != '.')
        return;
    const char *dot = memchr(rest.ptr, '.', rest.len);
    if (dot == NULL)
        return;
    fr_config_place p = {.source = source,
                         .space = {rest.ptr, (size_t)(dot - rest.ptr)},
                         .name = {dot + 1, (size_t)(rest.ptr + rest.len - dot) - 1}};
    p.table = fr_source_match(s, p.space, p.name);
    if (p.table == NULL || fr_ask_table_topic(w->v->config, a, &p, &topic, &ignored) == FR_FAIL ||
        !fr_str_eq(topic, x->topic))
        return;
    x->word = fr_arena_cstr(a, fr_arena_printf(a, "%s/%.*s", s->name, FR_ARG(rest)));
    if (p.table->schema_compat >= 0)
        x->level = p.table->schema_compat;
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
            else
                add(w, t->contract);
        }
    for (size_t i = 0; i < c->source_count; i++)
        for (size_t k = 0; k < c->sources[i].contract_count; k++) {
            item *x = add(w, &c->sources[i].contracts[k]);
            for (size_t n = 0; x != NULL && x->word == NULL && n < c->source_count; n++)
                find_pattern(w, &c->sources[n], n, x);
        }
    return FR_OK;
}

/* ---- what they were ---- */

static const char *within(work *w, const char *path)
{
    size_t len = strlen(w->home);
    return strncmp(path, w->home, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The same name below the folder, as from the configuration; or the file's name alone. */
static fr_rc old_file(work *w, const item *x, fr_str *out, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    const char *slash = strrchr(x->path, '/');
    const char *path = fr_arena_cstr(a, fr_arena_printf(a, "%s/%s", w->folder, within(w, x->path)));
    if (!is_file(path))
        path = fr_arena_cstr(
            a, fr_arena_printf(a, "%s/%s", w->folder, slash == NULL ? x->path : slash + 1));
    return is_file(path) ? fr_schema_file(w->v, path, out, err) : FR_END;
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
        if (strcmp(d->items[i].kind, "doc.changed") != 0 &&
            strcmp(d->items[i].kind, "properties.changed") != 0)
            return false;
    return true;
}

static void invalid(work *w, const item *x, const char *what, const fr_err *err)
{
    fr_str why = fr_arena_printf(w->v->cli->arena, "%s%s", what, err->text);
    put_item(w, x, INVALID, NULL, fr_arena_cstr(w->v->cli->arena, why));
}

/* FR_FAIL: nothing can be compared at all (git, registry). */
static fr_rc check_one(work *w, item *x, fr_err *err)
{
    fr_arena *a = w->v->cli->arena;
    fr_differences d = {.arena = a};
    const fr_contract c = {.path = x->path, .text = x->text};
    const fr_contract_record *record;
    const fr_shape *shape;
    fr_str *olds = NULL;
    size_t count = 0;
    fr_err bad;
    if (w->only >= 0)
        x->level = w->only;
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
        fr_map_get(w->seen, fr_cstr(path)) == NULL && !is_file(path))
        put_item(w, &x, REMOVED, NULL, NULL);
}

static void removed_from_folder(work *w, const char *below)
{
    fr_arena *a = w->v->cli->arena;
    struct dirent **names;
    const char *folder = fr_arena_cstr(a, fr_arena_printf(a, "%s%s", w->folder, below));
    int found = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        if (is_file(fr_arena_cstr(a, fr_arena_printf(a, "%s/%s", folder, names[i]->d_name))))
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
    if (strncmp(w->against, "git:", 4) == 0)
        return fr_git_open(w->home, w->against + 4, &w->git, err);
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

static fr_rc check(work *w, fr_err *err)
{
    fr_cli *cli = w->v->cli;
    const char *level = fr_cli_flag(cli, "level");
    w->only = -1;
    if (level != NULL)
        FR_TRY(fr_schema_level(level, &w->only, err));
    find_home(w);
    FR_TRY(open_against(w, err));
    if (cli->arg_count == 1)
        FR_TRY(add_all(w, err));
    for (size_t i = 1; i < cli->arg_count; i++)
        FR_TRY(add_table(w, cli->args[i], err));
    for (size_t i = 0; i < w->count; i++)
        FR_TRY(check_one(w, &w->items[i], err));
    return find_removed(w, err);
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
    if (w->git != NULL)
        json_object_set_new(fr_cli_result(cli), "commit", json_string(fr_git_commit(w->git)));
    json_object_set_new(fr_cli_result(cli), "counts", counts);
    if (b.len == 0)
        fr_buf_text(&b, "there are none");
    fr_cli_summary(cli, "%zu contract%s against %s: %.*s.", w->count, w->count == 1 ? "" : "s",
                   w->against, FR_ARG(fr_buf_view(&b)));
}

int fr_schema_check(fr_schema_verb *v)
{
    work w = {.v = v, .seen = fr_map_new(), .list = json_array()};
    fr_err err;
    json_object_set_new(fr_cli_result(v->cli), "contracts", w.list);
    fr_rc rc = check(&w, &err);
    int code = rc == FR_FAIL ? fr_schema_failed(v, &err) : 0;
    if (rc != FR_FAIL)
        put_summary(&w);
    if (rc != FR_FAIL && w.counts[BREAKS] > 0)
        code = FR_EXIT_NO;
    if (rc != FR_FAIL && w.counts[INVALID] > 0)
        code = fr_err_exit(FR_ERR_CONFIG);
    fr_git_close(w.git);
    fr_map_free(w.seen, NULL);
    return code;
}
