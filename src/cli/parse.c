#include "cli/cli.h"
#include <string.h>

typedef struct words { /* what is left of argv */
    const char *const *at;
    int left;
} words;

static const fr_flag *find_flag(const fr_flag *table, fr_str name)
{
    for (; table != NULL && table->name != NULL; table++)
        if (fr_str_is(name, table->name))
            return table;
    return NULL;
}

static const fr_flag *find_letter(const fr_flag *table, char letter)
{
    for (; table != NULL && table->name != NULL; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

static fr_rc unknown_flag(const fr_cli *cli, fr_str name, fr_err *err)
{
    const char *names[64];
    size_t n = 0;
    for (const fr_flag *f = fr_global_flags; f->name != NULL && n < 32; f++)
        names[n++] = f->name;
    const fr_flag *own = cli->verb == NULL ? NULL : cli->verb->flags;
    for (; own != NULL && own->name != NULL && n < 64; own++)
        names[n++] = own->name;
    const char *near = fr_nearest(name, names, n);
    const char *verb = cli->verb == NULL ? "freshet" : cli->verb->name;
    fr_fail(err, FR_ERR_CONFIG, "%s has no flag --%.*s", verb, FR_ARG(name));
    fr_fail_code(err, "cli.unknown_flag");
    if (near != NULL)
        return fr_fail_hint(err, "did you mean --%s?", near);
    return cli->verb == NULL ? fr_fail_hint(err, "freshet help")
                             : fr_fail_hint(err, "freshet help %s", verb);
}

static fr_rc check_choice(const fr_flag *f, const char *value, fr_err *err)
{
    size_t n = 0;
    char list[160] = "";
    for (; f->choices != NULL && f->choices[n] != NULL; n++) {
        if (strcmp(f->choices[n], value) == 0)
            return FR_OK;
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", n > 0 ? ", " : "",
                 f->choices[n]);
    }
    if (f->choices == NULL)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "--%s: `%s` is none of its choices", f->name, value);
    fr_fail_code(err, "cli.bad_value");
    return fr_fail_hint(err, "choices: %s", list);
}

static void set_global(fr_cli *cli, const fr_flag *f, const char *value)
{
    const struct {
        const char *name;
        bool *member;
    } switches[] = {
        {"json", &cli->json},         {"quiet", &cli->quiet},     {"verbose", &cli->verbose},
        {"no-input", &cli->no_input}, {"yes", &cli->yes},         {"strict", &cli->strict},
        {"help", &cli->help},         {"version", &cli->version},
    };
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
        if (strcmp(f->name, switches[i].name) == 0)
            *switches[i].member = true;
    if (strcmp(f->name, "config") == 0)
        cli->config = value;
    if (strcmp(f->name, "url") == 0)
        cli->url = value;
    if (strcmp(f->name, "color") == 0 && strcmp(value, "auto") != 0)
        cli->color = strcmp(value, "always") == 0;
}

/* given: the value in the same word; NULL: none. */
static fr_rc set_flag(fr_cli *cli, const fr_flag *f, bool global, const char *given, words *w,
                      fr_err *err)
{
    if (f->value == NULL && given != NULL) {
        fr_fail(err, FR_ERR_CONFIG, "--%s takes no value", f->name);
        return fr_fail_code(err, "cli.bad_value");
    }
    const char *value = given != NULL ? given : "";
    if (f->value != NULL && given == NULL) {
        if (w->left == 0) {
            fr_fail(err, FR_ERR_CONFIG, "--%s needs a value", f->name);
            fr_fail_code(err, "cli.bad_value");
            return fr_fail_hint(err, "--%s %s", f->name, f->value);
        }
        value = *w->at++;
        w->left--;
    }
    FR_TRY(check_choice(f, value, err));
    if (global)
        set_global(cli, f, value);
    else
        cli->values[f - cli->verb->flags] = value;
    return FR_OK;
}

static fr_rc read_long(fr_cli *cli, const char *word, words *w, fr_err *err)
{
    const char *equals = strchr(word, '=');
    fr_str name = {word, equals == NULL ? strlen(word) : (size_t)(equals - word)};
    const fr_flag *f = find_flag(fr_global_flags, name);
    const char *given = equals == NULL ? NULL : equals + 1;
    if (f != NULL)
        return set_flag(cli, f, true, given, w, err);
    f = cli->verb == NULL ? NULL : find_flag(cli->verb->flags, name);
    if (f == NULL)
        return unknown_flag(cli, name, err);
    return set_flag(cli, f, false, given, w, err);
}

static fr_rc read_letters(fr_cli *cli, const char *word, words *w, fr_err *err)
{
    for (; *word != 0; word++) {
        const fr_flag *f = find_letter(fr_global_flags, *word);
        bool global = f != NULL;
        if (!global && cli->verb != NULL)
            f = find_letter(cli->verb->flags, *word);
        if (f == NULL) {
            fr_fail(err, FR_ERR_CONFIG, "there is no flag -%c", *word);
            fr_fail_code(err, "cli.unknown_flag");
            return fr_fail_hint(err, "freshet help");
        }
        bool rest = f->value != NULL && word[1] != 0;
        FR_TRY(set_flag(cli, f, global, rest ? word + 1 : NULL, w, err));
        if (f->value != NULL)
            break;
    }
    return FR_OK;
}

static fr_rc read_verb(fr_cli *cli, const char *word, fr_err *err)
{
    cli->verb = fr_verb_find(word);
    if (cli->verb != NULL)
        return FR_OK;
    const char *names[64];
    size_t n = 0;
    for (const fr_verb *v = fr_verbs; v->name != NULL && n < 64; v++)
        if (!v->hidden)
            names[n++] = v->name;
    const char *near = fr_nearest(fr_cstr(word), names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no verb `%s`", word);
    fr_fail_code(err, "cli.unknown_verb");
    return near != NULL ? fr_fail_hint(err, "did you mean `freshet %s`?", near)
                        : fr_fail_hint(err, "freshet help lists them");
}

static fr_rc read_arg(fr_cli *cli, const char *word, fr_err *err)
{
    if (cli->verb == NULL)
        return read_verb(cli, word, err);
    if (cli->arg_count >= cli->verb->max_args || cli->arg_count >= FR_MOST_ARGS) {
        fr_fail(err, FR_ERR_CONFIG, "%s: `%s` is one argument too many", cli->verb->name, word);
        fr_fail_code(err, "cli.arguments");
        return fr_fail_hint(err, "usage: freshet %s %s", cli->verb->name, cli->verb->args);
    }
    cli->args[cli->arg_count++] = word;
    return FR_OK;
}

static fr_rc check_args(fr_cli *cli, fr_err *err)
{
    const fr_verb *v = cli->verb;
    if (v == NULL || cli->help || cli->version)
        return FR_OK;
    if (cli->arg_count < v->min_args) {
        fr_fail(err, FR_ERR_CONFIG, "%s needs %s", v->name, v->args);
        fr_fail_code(err, "cli.arguments");
        return fr_fail_hint(err, "usage: freshet %s %s", v->name, v->args);
    }
    size_t n = 0;
    for (; v->actions != NULL && v->actions[n] != NULL; n++)
        if (strcmp(v->actions[n], cli->args[0]) == 0)
            return FR_OK;
    if (v->actions == NULL)
        return FR_OK;
    const char *near = fr_nearest(fr_cstr(cli->args[0]), v->actions, n);
    fr_fail(err, FR_ERR_CONFIG, "%s: there is no `%s`", v->name, cli->args[0]);
    fr_fail_code(err, "cli.arguments");
    return near != NULL ? fr_fail_hint(err, "did you mean `freshet %s %s`?", v->name, near)
                        : fr_fail_hint(err, "usage: freshet %s %s", v->name, v->args);
}

fr_rc fr_cli_parse(fr_cli *cli, int argc, const char *const *argv, fr_err *err)
{
    words w = {argv + 1, argc > 0 ? argc - 1 : 0};
    bool flags = true;
    while (w.left > 0) {
        const char *word = *w.at++;
        w.left--;
        if (flags && strcmp(word, "--") == 0)
            flags = false;
        else if (flags && strncmp(word, "--", 2) == 0)
            FR_TRY(read_long(cli, word + 2, &w, err));
        else if (flags && word[0] == '-' && word[1] != 0)
            FR_TRY(read_letters(cli, word + 1, &w, err));
        else
            FR_TRY(read_arg(cli, word, err));
    }
    return check_args(cli, err);
}

const char *fr_cli_flag(const fr_cli *cli, const char *name)
{
    const fr_flag *f = find_flag(cli->verb->flags, fr_cstr(name));
    return f == NULL ? NULL : cli->values[f - cli->verb->flags];
}

fr_rc fr_cli_number(fr_cli *cli, const fr_option *o, int64_t *out, fr_err *err)
{
    const char *text = fr_cli_flag(cli, o->name);
    fr_option named = *o; /* in what is said */
    fr_str name = fr_arena_printf(cli->arena, "--%s%c", o->name, 0);
    named.name = name.ptr;
    text = text == NULL ? o->fallback : text;
    if (text == NULL || fr_option_set(&named, cli->arena, out, fr_cstr(text), err) == FR_OK)
        return FR_OK;
    return fr_fail_code(err, "cli.bad_value");
}
