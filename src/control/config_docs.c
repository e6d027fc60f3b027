/* `config explain`, `config schema` and docs/options.md: the tables of keys, printed. */
#include "base/json.h"
#include "control/config_load.h"
#include <string.h>

/* ---- one option in words ---------------------------------------------------------------- */

static const char *type_name(const fr_option *o)
{
    switch (o->type) {
    case FR_OPT_TEXT:
        return (o->flags & FR_SECRET) != 0 ? "secret" : (o->flags & FR_PATH) != 0 ? "path" : "text";
    case FR_OPT_INT:
        return "int";
    case FR_OPT_BOOL:
        return "bool";
    case FR_OPT_BYTES:
        return "bytes";
    case FR_OPT_TIME:
        return "time";
    case FR_OPT_CHOICE:
        return "choice";
    case FR_OPT_LIST:
        return "list";
    case FR_OPT_MAP:
        return "map";
    }
    return "?";
}

static fr_str bound(fr_arena *a, const fr_option *o, long long value)
{
    fr_option plain = *o;
    plain.offset = 0;
    int64_t number = value;
    return fr_option_get(&plain, a, &number);
}

static void put_choices(fr_buf *b, const char *kind, const fr_option *o)
{
    bool first = true;
    for (size_t i = 0; o->choices[i] != NULL; i++) {
        if (fr_unbuilt_find(kind, o->name, o->choices[i]) != NULL)
            continue;
        fr_buf_printf(b, "%s%s", first ? "" : ", ", o->choices[i]);
        first = false;
    }
}

static bool has_unbuilt(const char *kind, const fr_option *o)
{
    for (size_t i = 0; o->choices != NULL && o->choices[i] != NULL; i++)
        if (fr_unbuilt_find(kind, o->name, o->choices[i]) != NULL)
            return true;
    return false;
}

static void put_default(fr_buf *b, const fr_option *o)
{
    if ((o->flags & FR_REQUIRED) != 0)
        fr_buf_text(b, "required");
    else if (o->fallback != NULL)
        fr_buf_text(b, o->fallback);
    else
        fr_buf_text(b, "–");
}

static void put_range(fr_buf *b, fr_arena *a, const fr_option *o)
{
    if (o->min == 0 && o->max == 0)
        return;
    fr_str low = bound(a, o, o->min), high = bound(a, o, o->max);
    if (o->max == 0)
        fr_buf_printf(b, "at least %.*s", FR_ARG(low));
    else if (o->max == 1000000000000LL)
        fr_buf_printf(b, "%.*s or more", FR_ARG(low));
    else
        fr_buf_printf(b, "%.*s to %.*s", FR_ARG(low), FR_ARG(high));
}

static void explain_option(fr_buf *b, const fr_section *section, const char *connector,
                           const fr_option *o)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_printf(b, "%s%s%s\n    %s\n    %s, default ", section->prefix,
                  *section->prefix == 0 ? "" : ".", o->name, o->help, type_name(o));
    put_default(b, o);
    if (o->min != 0 || o->max != 0) {
        fr_buf_text(b, ", ");
        put_range(b, a, o);
    }
    fr_buf_text(b, "\n");
    if (o->type == FR_OPT_CHOICE) {
        fr_buf_text(b, "    choices: ");
        put_choices(b, section->kind, o);
        fr_buf_text(b, "\n");
        for (size_t i = 0; o->choices[i] != NULL; i++) {
            const fr_unbuilt *u = fr_unbuilt_find(section->kind, o->name, o->choices[i]);
            if (u != NULL)
                fr_buf_printf(b, "    not in this version: %s (%s)\n", u->choice, u->instead);
        }
    }
    if ((o->flags & FR_SECRET) != 0)
        fr_buf_text(b, "    a reference: ${cred:NAME}, ${file:PATH} or ${env:NAME}\n");
    if (connector != NULL)
        fr_buf_printf(b, "    connector: %s\n", connector);
    if ((o->flags & FR_REFUSED) != 0)
        fr_buf_text(b, "    not in this version\n");
    if (strcmp(section->kind, "table") == 0)
        fr_buf_printf(b, "    also under defaults: defaults.%s\n", o->name);
    fr_arena_free(a);
}

/* ---- explain ---------------------------------------------------------------------------- */

/* The section a key is in, and what is left of the key below it. */
static const fr_section *section_of(fr_arena *a, const char *key, const char **rest_out)
{
    const char *segments[64];
    size_t n = 0;
    char *copy = fr_arena_cstr(a, fr_cstr(key));
    for (char *at = copy; n < 63 && *at != 0;) {
        char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
        end = end == NULL ? at + strcspn(at, ".") : end + 1;
        segments[n++] = key + (at - copy);
        at = *end == '.' ? end + 1 : end;
    }
    if (n == 0)
        return NULL;
    segments[n] = key + strlen(key);
    size_t skip = 1;
    const char *kind = "";
    size_t first = strcspn(key, ".");
    fr_str head = {key, first};
    bool tables = n > 3 && strncmp(segments[2], "tables.", 7) == 0;
    bool topics = n > 3 && strncmp(segments[2], "topics.", 7) == 0;
    if (fr_str_is(head, "sources") && tables)
        kind = "table", skip = 4;
    else if (fr_str_is(head, "sources"))
        kind = "source", skip = 2;
    else if (fr_str_is(head, "sinks") && topics)
        kind = "topic", skip = 4;
    else if (fr_str_is(head, "sinks"))
        kind = "sink", skip = 2;
    else if (fr_str_is(head, "defaults"))
        kind = "table";
    else if (first >= 5 && strncmp(key, "tests", 5) == 0 && (first == 5 || key[5] == '['))
        kind = "test";
    else if (fr_section_find(fr_arena_cstr(a, head)) != NULL)
        kind = fr_section_find(fr_arena_cstr(a, head))->kind;
    else
        skip = 0;
    *rest_out = skip > n ? segments[n] : segments[skip];
    return fr_section_find(kind);
}

static bool is_under(const char *name, const char *group)
{
    size_t len = strlen(group);
    return len == 0 || strcmp(name, group) == 0 ||
           (strncmp(name, group, len) == 0 && name[len] == '.');
}

static size_t explain_table(fr_buf *b, const fr_section *section, const char *connector,
                            const fr_option *options, const char *rest)
{
    size_t found = 0;
    for (const fr_option *o = options; o->name != NULL; o++) {
        if (!is_under(o->name, rest))
            continue;
        explain_option(b, section, connector, o);
        found++;
    }
    return found;
}

static size_t explain_section(fr_buf *b, const fr_connectors *connectors, const fr_section *section,
                              const char *rest)
{
    size_t found = 0;
    if (strcmp(section->kind, "source") == 0)
        for (size_t i = 0; connectors->source_at(i) != NULL; i++)
            found += explain_table(b, section, connectors->source_at(i)->name,
                                   connectors->source_at(i)->options, rest);
    if (strcmp(section->kind, "sink") == 0)
        for (size_t i = 0; connectors->sink_at(i) != NULL; i++)
            found += explain_table(b, section, connectors->sink_at(i)->name,
                                   connectors->sink_at(i)->options, rest);
    return found + explain_table(b, section, NULL, section->options, rest);
}

static size_t all_names(fr_arena *a, const fr_connectors *connectors, const char **names,
                        size_t most)
{
    size_t n = 0;
    for (const fr_section *s = fr_sections; s->kind != NULL; s++)
        for (const fr_option *o = s->options; o->name != NULL && n < most; o++)
            names[n++] = *s->prefix == 0
                             ? o->name
                             : fr_arena_cstr(a, fr_arena_printf(a, "%s.%s", s->prefix, o->name));
    for (size_t i = 0; connectors->source_at(i) != NULL; i++)
        for (const fr_option *o = connectors->source_at(i)->options; o->name != NULL && n < most;
             o++)
            names[n++] = fr_arena_cstr(a, fr_arena_printf(a, "sources.<s>.%s", o->name));
    return n;
}

static fr_rc unknown_key(const fr_connectors *connectors, const char *key, fr_err *err)
{
    enum { most = 512 };
    const char *names[most * 2];
    fr_arena *a = fr_arena_new(0);
    size_t n = all_names(a, connectors, names, most);
    size_t full = n;
    for (size_t i = 0; i < full; i++) {
        const char *close = strrchr(names[i], '>');
        if (close != NULL)
            names[n++] = close + 2;
    }
    const char *near = fr_nearest(fr_cstr(key), names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no key `%s`", key);
    fr_fail_code(err, "config.unknown_key");
    if (near != NULL)
        fr_fail_hint(err, "did you mean `%s`?", near);
    else
        fr_fail_hint(err, "docs/options.md lists all; freshet config explain kafka shows a part");
    fr_arena_free(a);
    return FR_FAIL;
}

fr_rc fr_config_explain(fr_buf *b, const fr_connectors *connectors, const char *key, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char *rest = "";
    const fr_section *section = section_of(a, key, &rest);
    size_t found = section == NULL || (*section->kind == 0 && *rest == 0)
                       ? 0
                       : explain_section(b, connectors, section, rest);
    /* A bare `method` or `write.mode`: wherever it is. */
    if (found == 0 && section != NULL && *section->kind == 0)
        for (const fr_section *s = fr_sections; s->kind != NULL; s++)
            found += explain_section(b, connectors, s, key);
    fr_arena_free(a);
    return found > 0 ? FR_OK : unknown_key(connectors, key, err);
}

/* ---- docs/options.md -------------------------------------------------------------------- */

static void docs_row(fr_buf *b, fr_arena *a, const char *kind, const fr_option *o)
{
    fr_buf_printf(b, "| `%s` | %s", o->name, type_name(o));
    if (o->type != FR_OPT_CHOICE && (o->min != 0 || o->max != 0)) {
        fr_buf_text(b, ", ");
        put_range(b, a, o);
    }
    if (o->type == FR_OPT_CHOICE) {
        fr_buf_text(b, ": ");
        put_choices(b, kind, o);
    }
    fr_buf_text(b, " | ");
    bool quoted = o->fallback != NULL && (o->flags & FR_REQUIRED) == 0;
    fr_buf_text(b, quoted ? "`" : "");
    put_default(b, o);
    fr_buf_printf(b, "%s | %s |\n", quoted ? "`" : "", o->help);
}

static void docs_table(fr_buf *b, const char *kind, const fr_option *options)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf_text(b, "\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
    for (const fr_option *o = options; o->name != NULL; o++)
        if ((o->flags & FR_REFUSED) == 0)
            docs_row(b, a, kind, o);
    bool any = false;
    for (const fr_option *o = options; o->name != NULL; o++) {
        if ((o->flags & FR_REFUSED) != 0)
            fr_buf_printf(b, "%s`%s`", any ? ", " : "\nNot in this version: ", o->name);
        any = any || (o->flags & FR_REFUSED) != 0;
        if ((o->flags & FR_REFUSED) != 0 || !has_unbuilt(kind, o))
            continue;
        for (size_t i = 0; o->choices[i] != NULL; i++) {
            if (fr_unbuilt_find(kind, o->name, o->choices[i]) == NULL)
                continue;
            fr_buf_printf(b, "%s`%s: %s`", any ? ", " : "\nNot in this version: ", o->name,
                          o->choices[i]);
            any = true;
        }
    }
    fr_buf_text(b, any ? ".\n" : "");
    fr_arena_free(a);
}

static void docs_connectors(fr_buf *b, const fr_connectors *connectors, const char *kind)
{
    bool sources = strcmp(kind, "source") == 0, sinks = strcmp(kind, "sink") == 0;
    for (size_t i = 0; sources && connectors->source_at(i) != NULL; i++) {
        const fr_source_ops *ops = connectors->source_at(i);
        fr_buf_printf(b, "\n### `type: %s` (%s)\n\n%s\n", ops->type, ops->name, ops->summary);
        docs_table(b, kind, ops->options);
    }
    for (size_t i = 0; sinks && connectors->sink_at(i) != NULL; i++) {
        const fr_sink_ops *ops = connectors->sink_at(i);
        fr_buf_printf(b, "\n### `type: %s` (%s)\n\n%s\n", ops->type, ops->name, ops->summary);
        docs_table(b, kind, ops->options);
    }
}

void fr_config_docs(fr_buf *b, const fr_connectors *connectors)
{
    fr_buf_text(
        b, "# Options\n\n"
           "<!-- Made by scripts/docs.sh from the tables that the program reads. -->\n\n"
           "Every key of `freshet.yaml`. The key decides the type of its value, not YAML: "
           "`NO`, `012` and `1.10` are what the key says. Times are a number with one of "
           "`ms s m h d`, bytes with one of `B KiB MiB GiB kB MB GB`. A *secret* is written "
           "as a reference: `${cred:NAME}` (systemd), `${file:PATH}` (mode 0600) or "
           "`${env:NAME}`. Any value may hold `${env:NAME}`, `${env:NAME:-default}`, "
           "`${file:PATH}`, `${cred:NAME}` and, with `--allow-exec`, `${exec:COMMAND}`; a "
           "literal `${` is written `$${`.\n\n"
           "Values of a table are merged: built-in, then `defaults`, then the one `/regex/` "
           "that matches, then the table's own. Rules for a topic of a sink are not merged: an "
           "exact name wins over a `/regex/`.\n");
    for (const fr_section *s = fr_sections; s->kind != NULL; s++) {
        fr_buf_printf(b, "\n## %s", s->title);
        if (*s->prefix != 0)
            fr_buf_printf(b, " (`%s`)", s->prefix);
        fr_buf_text(b, "\n");
        docs_table(b, s->kind, s->options);
        docs_connectors(b, connectors, s->kind);
    }
}

/* ---- freshet.yaml(5) -------------------------------------------------------------------- */

/* scdoc takes _ and * for emphasis. */
static void man_text(fr_buf *b, const char *text)
{
    for (; *text != 0; text++)
        fr_buf_printf(b, strchr("_*\\<>[]#", *text) != NULL ? "\\%c" : "%c", *text);
}

static void man_table(fr_buf *b, const fr_section *section, const fr_option *options)
{
    for (const fr_option *o = options; o->name != NULL; o++) {
        if ((o->flags & FR_REFUSED) != 0)
            continue;
        fr_buf_text(b, "*");
        man_text(b, o->name);
        fr_buf_printf(b, "* (%s, ", type_name(o));
        fr_buf_text(b, (o->flags & FR_REQUIRED) != 0 ? "" : "default ");
        fr_buf d = {0};
        put_default(&d, o);
        fr_buf_u8(&d, 0);
        man_text(b, (const char *)d.ptr);
        d.len = 0;
        fr_buf_text(b, ")\n\t");
        man_text(b, o->help);
        if (o->type == FR_OPT_CHOICE) {
            put_choices(&d, section->kind, o);
            fr_buf_u8(&d, 0);
            fr_buf_text(b, " Choices: ");
            man_text(b, (const char *)d.ptr);
            fr_buf_text(b, ".");
        }
        fr_buf_free(&d);
        fr_buf_text(b, "\n\n");
    }
}

void fr_config_man(fr_buf *b, const fr_connectors *connectors)
{
    fr_buf_text(b,
                "freshet.yaml(5)\n\n# NAME\n\nfreshet.yaml - the configuration of freshet\n\n"
                "# DESCRIPTION\n\nYAML; the key decides the type of its value. Times are a number "
                "with ms, s, m, h or d, bytes with B, KiB, MiB, GiB, kB, MB or GB. A secret is "
                "written as a reference: ${cred:NAME}, ${file:PATH} or ${env:NAME}.\n\n");
    for (const fr_section *s = fr_sections; s->kind != NULL; s++) {
        fr_buf_text(b, "# ");
        for (const char *c = *s->prefix == 0 ? "the file" : s->prefix; *c != 0; c++)
            if (strchr("<>", *c) == NULL)
                fr_buf_u8(b, (uint8_t)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c));
        fr_buf_text(b, "\n\n");
        man_table(b, s, s->options);
        for (size_t i = 0; strcmp(s->kind, "source") == 0 && connectors->source_at(i) != NULL;
             i++) {
            fr_buf_printf(b, "## type: %s\n\n", connectors->source_at(i)->type);
            man_table(b, s, connectors->source_at(i)->options);
        }
        for (size_t i = 0; strcmp(s->kind, "sink") == 0 && connectors->sink_at(i) != NULL; i++) {
            fr_buf_printf(b, "## type: %s\n\n", connectors->sink_at(i)->type);
            man_table(b, s, connectors->sink_at(i)->options);
        }
    }
    fr_buf_text(b, "# SEE ALSO\n\nfreshet(1)\n");
}
