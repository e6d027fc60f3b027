/* Help, docs/cli.md, man pages (scdoc) and completions, all from the table of verbs. */
#include "cli/cli.h"
#include <string.h>

static void put_flag(fr_buf *b, const fr_flag *f)
{
    char left[64];
    if (f->letter != 0)
        snprintf(left, sizeof(left), "-%c, --%s %s", f->letter, f->name,
                 f->value == NULL ? "" : f->value);
    else
        snprintf(left, sizeof(left), "    --%s %s", f->name, f->value == NULL ? "" : f->value);
    fr_buf_printf(b, "  %-26s %s\n", left, f->help);
}

static void put_flags(fr_buf *b, const fr_flag *table)
{
    for (; table != NULL && table->name != NULL; table++)
        put_flag(b, table);
}

static void put_usage(fr_buf *b, const fr_verb *v)
{
    fr_buf_printf(b, "freshet %s%s%s [flags]", v->name, *v->args == 0 ? "" : " ", v->args);
}

void fr_cli_help(fr_buf *b, const fr_verb *verb)
{
    if (verb == NULL) {
        fr_buf_text(b, "freshet: databases to Kafka, and Kafka to databases, exactly once\n\n"
                       "usage: freshet VERB [arguments] [flags]\n\n");
        for (const fr_verb *v = fr_verbs; v->name != NULL; v++)
            if (!v->hidden)
                fr_buf_printf(b, "  %-12s %s\n", v->name, v->help);
    } else {
        fr_buf_text(b, "usage: ");
        put_usage(b, verb);
        fr_buf_printf(b, "\n\n%s\n", verb->help);
        if (verb->more != NULL)
            fr_buf_printf(b, "\n%s\n", verb->more);
        if (verb->flags != NULL)
            fr_buf_text(b, "\nflags:\n");
        put_flags(b, verb->flags);
    }
    fr_buf_text(b, "\nflags of every verb:\n");
    put_flags(b, fr_global_flags);
    if (verb == NULL)
        fr_buf_text(b, "\nfreshet help VERB says more about one; freshet config explain KEY about "
                       "the configuration.\n");
}

/* ---- docs/cli.md ------------------------------------------------------------------------ */

static const struct {
    int code;
    const char *means;
} exits[] = {
    {0, "done, or stopped as asked"},
    {1, "our mistake"},
    {2, "bad input or configuration"},
    {3, "a server is unreachable or overloaded"},
    {4, "checked, and the answer is no: plan has blockers, a schema is incompatible"},
    {5, "continuity cannot be proved: new snapshot, or move the position"},
    {6, "no compatible schema"},
    {7, "a row could not be handled"},
    {8, "another instance owns the source"},
    {9, "user, password or grants"},
    {130, "a second SIGINT"},
    {143, "a second SIGTERM"},
};

static void docs_flags(fr_buf *b, const fr_flag *table)
{
    fr_buf_text(b, "\n| Flag | Meaning |\n|---|---|\n");
    for (; table->name != NULL; table++) {
        if (table->letter != 0)
            fr_buf_printf(b, "| `-%c`, `--%s", table->letter, table->name);
        else
            fr_buf_printf(b, "| `--%s", table->name);
        fr_buf_printf(b, "%s%s` | %s |\n", table->value == NULL ? "" : " ",
                      table->value == NULL ? "" : table->value, table->help);
    }
}

void fr_cli_docs(fr_buf *b)
{
    fr_buf_text(b,
                "# Command line\n\n"
                "<!-- Made by scripts/docs.sh from the table that the program reads. -->\n\n"
                "Data goes to stdout, progress and logs to stderr. Off a terminal ✓ ⚠ ✗ become "
                "`[OK] [WARN] [FAIL]`; `NO_COLOR` and `TERM=dumb` are honoured. With `--json` "
                "every verb writes one document: `command`, `ok`, `summary`, `result`, `error`.\n\n"
                "The configuration is looked for in `--config`, `$FRESHET_CONFIG`, "
                "`./freshet.yaml`, `$XDG_CONFIG_HOME/freshet/freshet.yaml`, "
                "`/etc/freshet/freshet.yaml`.\n\n## Flags of every verb\n");
    docs_flags(b, fr_global_flags);
    fr_buf_text(b, "\n## Exit codes\n\n| Code | Means |\n|---|---|\n");
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
        fr_buf_printf(b, "| %d | %s |\n", exits[i].code, exits[i].means);
    fr_buf_text(b, "\n## Verbs\n");
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        if (v->hidden)
            continue;
        fr_buf_printf(b, "\n### %s\n\n`", v->name);
        put_usage(b, v);
        fr_buf_printf(b, "` — %s.\n", v->help);
        if (v->more != NULL)
            fr_buf_printf(b, "\n%s\n", v->more);
        if (v->flags != NULL)
            docs_flags(b, v->flags);
    }
}

/* ---- man pages -------------------------------------------------------------------------- */

/* scdoc takes _ and * for emphasis. */
static void man_text(fr_buf *b, const char *text)
{
    for (; *text != 0; text++)
        fr_buf_printf(b, strchr("_*\\", *text) != NULL ? "\\%c" : "%c", *text);
}

static void man_flags(fr_buf *b, const fr_flag *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (table->letter != 0)
            fr_buf_printf(b, "*-%c*, ", table->letter);
        fr_buf_printf(b, "*--%s*", table->name);
        if (table->value != NULL)
            fr_buf_printf(b, " _%s_", table->value);
        fr_buf_text(b, "\n\t");
        man_text(b, table->help);
        fr_buf_text(b, "\n\n");
    }
}

void fr_cli_man(fr_buf *b, const fr_verb *verb)
{
    if (verb == NULL) {
        fr_buf_text(b, "freshet(1)\n\n# NAME\n\nfreshet - databases to Kafka, and Kafka to "
                       "databases, exactly once\n\n# SYNOPSIS\n\n*freshet* _VERB_ [arguments] "
                       "[flags]\n\n# VERBS\n\n");
        for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
            if (v->hidden)
                continue;
            fr_buf_printf(b, "*%s*\n\t", v->name);
            man_text(b, v->help);
            fr_buf_text(b, "\n\n");
        }
    } else {
        fr_buf_printf(b, "freshet-%s(1)\n\n# NAME\n\nfreshet-%s - ", verb->name, verb->name);
        man_text(b, verb->help);
        fr_buf_printf(b, "\n\n# SYNOPSIS\n\n*freshet %s* ", verb->name);
        man_text(b, verb->args);
        fr_buf_text(b, " [flags]\n\n");
        if (verb->more != NULL) {
            fr_buf_text(b, "# DESCRIPTION\n\n");
            man_text(b, verb->more);
            fr_buf_text(b, "\n\n");
        }
        if (verb->flags != NULL)
            fr_buf_text(b, "# FLAGS\n\n");
        man_flags(b, verb->flags);
    }
    fr_buf_text(b, "# FLAGS OF EVERY VERB\n\n");
    man_flags(b, fr_global_flags);
    fr_buf_text(b, "# EXIT STATUS\n\n");
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
        fr_buf_printf(b, "*%d*\n\t%s\n\n", exits[i].code, exits[i].means);
    fr_buf_text(b, "# SEE ALSO\n\nfreshet(1), freshet.yaml(5)\n");
}

/* ---- completions ------------------------------------------------------------------------ */

static void verb_names(fr_buf *b)
{
    bool first = true;
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        if (v->hidden)
            continue;
        fr_buf_printf(b, "%s%s", first ? "" : " ", v->name);
        first = false;
    }
}

static void flag_names(fr_buf *b, const fr_flag *table)
{
    for (; table != NULL && table->name != NULL; table++)
        fr_buf_printf(b, " --%s", table->name);
}

static void bash_completion(fr_buf *b)
{
    fr_buf_text(b,
                "# bash completion of freshet; made by scripts/docs.sh\n"
                "_freshet()\n{\n"
                "    local word=${COMP_WORDS[COMP_CWORD]} verb= i\n"
                "    case ${COMP_WORDS[COMP_CWORD-1]} in\n"
                "    -c|--config|--out|--sql) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
                "    --color) COMPREPLY=($(compgen -W 'auto always never' -- \"$word\")); "
                "return ;;\n"
                "    --from) COMPREPLY=($(compgen -W 'beginning end' -- \"$word\")); return ;;\n"
                "    esac\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n"
                "    done\n"
                "    case $verb in\n    '') set -- '");
    verb_names(b);
    fr_buf_text(b, "' ;;\n");
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        if (v->hidden)
            continue;
        fr_buf_printf(b, "    %s) set -- '", v->name);
        for (size_t i = 0; v->actions != NULL && v->actions[i] != NULL; i++)
            fr_buf_printf(b, " %s", v->actions[i]);
        if (strcmp(v->name, "help") == 0)
            verb_names(b);
        flag_names(b, v->flags);
        fr_buf_text(b, "' ;;\n");
    }
    fr_buf_text(b, "    *) set -- '' ;;\n    esac\n    COMPREPLY=($(compgen -W \"$1");
    flag_names(b, fr_global_flags);
    fr_buf_text(b, "\" -- \"$word\"))\n"
                   "    [[ $verb == validate && $word != -* ]] && COMPREPLY+=($(compgen -f -- "
                   "\"$word\"))\n}\n"
                   "complete -o filenames -F _freshet freshet\n");
}

static const char ZSH_QUOTE[] = "'\\''", FISH_QUOTE[] = "\\'";

/* text inside '...' of a shell: quote stands for an apostrophe; a bracket would end zsh's help. */
static void put_quoted(fr_buf *b, const char *text, const char *quote)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fr_buf_text(b, quote);
        else if (*text == ']' && quote[0] == '\'')
            fr_buf_text(b, "\\]");
        else
            fr_buf_put(b, text, 1);
    }
}

static void zsh_flags(fr_buf *b, const fr_flag *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        fr_buf_printf(b, " \\\n        '--%s%s[", table->name, table->value == NULL ? "" : "=");
        put_quoted(b, table->help, ZSH_QUOTE);
        fr_buf_text(b, "]");
        if (table->value != NULL && strcmp(table->value, "FILE") == 0)
            fr_buf_text(b, ":file:_files");
        else if (table->value != NULL)
            fr_buf_printf(b, ":%s:", table->value);
        fr_buf_text(b, "'");
    }
}

static void zsh_completion(fr_buf *b)
{
    fr_buf_text(b, "#compdef freshet\n# zsh completion of freshet; made by scripts/docs.sh\n"
                   "_freshet()\n{\n    local -a verbs\n    verbs=(\n");
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++)
        if (!v->hidden) {
            fr_buf_printf(b, "        '%s:", v->name);
            put_quoted(b, v->help, ZSH_QUOTE);
            fr_buf_text(b, "'\n");
        }
    fr_buf_text(b, "    )\n    if (( CURRENT == 2 )); then\n"
                   "        _describe verb verbs\n        return\n    fi\n    case $words[2] in\n");
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        if (v->hidden)
            continue;
        fr_buf_printf(b, "    %s)\n        _arguments", v->name);
        if (v->actions != NULL) {
            fr_buf_text(b, " \\\n        '2:action:(");
            for (size_t i = 0; v->actions[i] != NULL; i++)
                fr_buf_printf(b, "%s%s", i > 0 ? " " : "", v->actions[i]);
            fr_buf_text(b, ")'");
        }
        if (strcmp(v->name, "validate") == 0)
            fr_buf_text(b, " \\\n        '*:file:_files'");
        zsh_flags(b, v->flags);
        zsh_flags(b, fr_global_flags);
        fr_buf_text(b, "\n        ;;\n");
    }
    fr_buf_text(b, "    esac\n}\n_freshet \"$@\"\n");
}

static void fish_flags(fr_buf *b, const fr_flag *table, const char *condition)
{
    for (; table != NULL && table->name != NULL; table++) {
        fr_buf_printf(b, "complete -c freshet%s -l %s", condition, table->name);
        if (table->letter != 0)
            fr_buf_printf(b, " -s %c", table->letter);
        bool file = table->value != NULL && strcmp(table->value, "FILE") == 0;
        fr_buf_printf(b, "%s -d '", table->value == NULL ? "" : file ? " -rF" : " -x");
        put_quoted(b, table->help, FISH_QUOTE);
        fr_buf_text(b, "'\n");
    }
}

static void fish_completion(fr_buf *b)
{
    fr_buf_text(b, "# fish completion of freshet; made by scripts/docs.sh\n"
                   "complete -c freshet -f\n");
    for (const fr_verb *v = fr_verbs; v->name != NULL; v++) {
        if (v->hidden)
            continue;
        fr_buf_printf(b, "complete -c freshet -n __fish_use_subcommand -a %s -d '", v->name);
        put_quoted(b, v->help, FISH_QUOTE);
        fr_buf_text(b, "'\n");
        char condition[96];
        snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %s'", v->name);
        for (size_t i = 0; v->actions != NULL && v->actions[i] != NULL; i++)
            fr_buf_printf(b, "complete -c freshet%s -a %s\n", condition, v->actions[i]);
        fish_flags(b, v->flags, condition);
    }
    fish_flags(b, fr_global_flags, "");
}

void fr_cli_completion(fr_buf *b, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        bash_completion(b);
    else if (strcmp(shell, "zsh") == 0)
        zsh_completion(b);
    else
        fish_completion(b);
}
