#include "cli/cli.h"
#include "connectors/list.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const fr_connectors fr_cli_connectors = {fr_source_of, fr_sink_of, fr_source_at, fr_sink_at};

const char *fr_cli_glyph(const fr_cli *cli, fr_glyph g)
{
    static const char *const plain[] = {"[OK]   ", "[WARN] ", "[FAIL] ", "[+]    "};
    static const char *const glyphs[] = {"✓ ", "⚠ ", "✗ ", "+ "};
    static const char *const colored[] = {"\033[32m✓\033[0m ", "\033[33m⚠\033[0m ",
                                          "\033[31m✗\033[0m ", "\033[36m+\033[0m "};
    if (cli->color)
        return colored[g];
    return cli->tty ? glyphs[g] : plain[g];
}

json_t *fr_cli_result(fr_cli *cli)
{
    if (cli->result == NULL)
        cli->result = json_object();
    return cli->result;
}

int fr_cli_fail(fr_cli *cli, const fr_err *err)
{
    cli->err = *err;
    cli->failed = true;
    return fr_err_exit(err->kind);
}

void fr_cli_summary(fr_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    cli->summary = fr_arena_cstr(cli->arena, fr_arena_vprintf(cli->arena, fmt, ap));
    va_end(ap);
}

void fr_cli_flush(fr_cli *cli)
{
    if (!cli->json && !cli->quiet && cli->out.len > 0)
        fwrite(cli->out.ptr, 1, cli->out.len, stdout);
    fflush(stdout);
    cli->out.len = 0;
}

void fr_cli_note(const fr_cli *cli, const char *fmt, ...)
{
    if (cli->json || cli->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void fr_cli_error(const fr_cli *cli, fr_buf *b, const fr_err *err)
{
    const char *code = err->code[0] != 0 ? err->code : fr_err_kind_name(err->kind);
    fr_buf_printf(b, "%s%s\n      %s\n", fr_cli_glyph(cli, FR_GLYPH_FAIL), code, err->text);
    fr_buf_printf(b, "      → %s\n", fr_err_hint(err));
}

void fr_cli_problem(const fr_cli *cli, fr_buf *b, const fr_problem *p)
{
    fr_buf_text(b, fr_cli_glyph(cli, p->warning ? FR_GLYPH_WARN : FR_GLYPH_FAIL));
    fr_problem_text(b, p);
}

json_t *fr_cli_json_text(fr_str s)
{
    json_t *j = json_stringn(s.ptr == NULL ? "" : s.ptr, s.len);
    return j != NULL ? j : json_string("(no UTF-8)");
}

bool fr_cli_is_file(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && S_ISREG(st.st_mode);
}

static bool write_all(const char *name, fr_str text)
{
    FILE *out = fopen(name, "we");
    bool good = out != NULL && fwrite(text.ptr, 1, text.len, out) == text.len;
    return (out == NULL || fclose(out) == 0) && good;
}

/* Beside it, under the rights that the file had; name: no link. */
static bool write_beside(const char *name, const struct stat *before, fr_str text)
{
    fr_arena *a = fr_arena_new(256);
    fr_str part = fr_arena_printf(a, "%s.part%c", name, 0);
    bool good = write_all(part.ptr, text) &&
                (before == NULL || chmod(part.ptr, before->st_mode & 07777) == 0) &&
                rename(part.ptr, name) == 0;
    int why = errno;
    if (!good)
        (void)unlink(part.ptr);
    errno = why;
    fr_arena_free(a);
    return good;
}

fr_rc fr_cli_write_file(const char *name, fr_str text, fr_err *err)
{
    struct stat st;
    bool there = stat(name, &st) == 0;
    char *real = there ? realpath(name, NULL) : NULL;
    bool good = there && !S_ISREG(st.st_mode)
                    ? write_all(name, text) /* a pipe, a terminal */
                    : write_beside(real == NULL ? name : real, there ? &st : NULL, text);
    free(real);
    if (good)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: %s", name, strerror(errno));
    fr_fail_code(err, "cli.unwritable");
    return fr_fail_hint(err, "choose a file that can be written");
}

static void set_text(json_t *j, const char *name, const char *text)
{
    if (text != NULL && *text != 0)
        json_object_set_new(j, name, json_string(text));
}

json_t *fr_cli_problem_json(const fr_problem *p)
{
    json_t *j = json_object();
    json_object_set_new(j, "severity", json_string(p->warning ? "warning" : "error"));
    set_text(j, "code", p->code);
    set_text(j, "file", p->file);
    if (p->line > 0) {
        json_object_set_new(j, "line", json_integer(p->line));
        json_object_set_new(j, "column", json_integer(p->column));
    }
    set_text(j, "path", p->path);
    set_text(j, "message", p->text);
    set_text(j, "fix", p->hint);
    return j;
}

static void set_str(json_t *j, const char *name, fr_str text)
{
    if (text.len > 0)
        json_object_set_new(j, name, json_stringn_nocheck(text.ptr, text.len));
}

json_t *fr_cli_finding_json(const fr_finding *f)
{
    static const char *const severities[] = {"fine", "warning", "blocker", "change"};
    static const char *const classes[] = {"harmless", "lock", "restart"};
    json_t *j = json_object();
    json_object_set_new(j, "severity", json_string(severities[f->severity]));
    set_text(j, "code", f->code);
    set_str(j, "message", f->text);
    set_str(j, "fix", f->hint);
    if (f->sql.len > 0) {
        json_object_set_new(j, "class", json_string(classes[f->class]));
        set_str(j, "sql", f->sql);
        set_str(j, "why", f->why);
        set_str(j, "cost", f->cost);
        set_str(j, "undo", f->undo);
    }
    return j;
}

void fr_cli_finding(fr_cli *cli, const fr_finding *f)
{
    static const fr_glyph glyphs[] = {FR_GLYPH_FINE, FR_GLYPH_WARN, FR_GLYPH_FAIL, FR_GLYPH_CHANGE};
    static const char *const notes[] = {"", "  (needs a lock)", "  (restart needed)"};
    const char *note = f->sql.len > 0 ? notes[f->class] : "";
    fr_buf_printf(&cli->out, "  %s%-24s %.*s%s\n", fr_cli_glyph(cli, glyphs[f->severity]), f->code,
                  FR_ARG(f->text), note);
    fr_str remedy = f->hint.len > 0 ? f->hint : f->severity == FR_BLOCKER ? f->sql : FR_STR("");
    if (remedy.len > 0 && f->severity != FR_FINE)
        fr_buf_printf(&cli->out, "        → %.*s\n", FR_ARG(remedy));
}

void fr_cli_tally(fr_tally *t, const fr_findings *f)
{
    size_t *counts[] = {&t->fine, &t->warnings, &t->blockers, &t->changes};
    for (size_t i = 0; i < f->count; i++)
        ++*counts[f->items[i].severity];
}

fr_rc fr_cli_config(fr_cli *cli, const fr_config_flags *flags, fr_config **out, fr_err *err)
{
    const char *file;
    FR_TRY(fr_config_find(cli->config, cli->arena, &file, err));
    fr_config_flags all = *flags;
    all.strict = all.strict || cli->strict;
    fr_problem *problems = NULL;
    size_t count = 0;
    fr_rc rc =
        fr_config_load(file, &fr_cli_connectors, &all, cli->arena, &problems, &count, out, err);
    fr_buf shown = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        fr_cli_problem(cli, &shown, &problems[i]);
        json_array_append_new(list, fr_cli_problem_json(&problems[i]));
    }
    if (!cli->json && !(cli->quiet && rc == FR_OK) && shown.len > 0)
        fwrite(shown.ptr, 1, shown.len, stderr);
    if (count > 0)
        json_object_set(fr_cli_result(cli), "problems", list);
    json_decref(list);
    fr_buf_free(&shown);
    return rc;
}

fr_rc fr_cli_ask(fr_cli *cli, const char *question, bool *yes_out, fr_err *err)
{
    if (cli->yes) {
        *yes_out = true;
        return FR_OK;
    }
    if (cli->no_input || cli->json || !isatty(STDIN_FILENO)) {
        fr_fail(err, FR_ERR_CONFIG, "%s: nobody can be asked here", cli->verb->name);
        fr_fail_code(err, "cli.no_input");
        return fr_fail_hint(err, "look at what it says, then add -y");
    }
    fr_cli_flush(cli);
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    char line[16] = "";
    if (fgets(line, sizeof(line), stdin) == NULL)
        line[0] = 0;
    *yes_out = strcmp(line, "y\n") == 0 || strcmp(line, "yes\n") == 0;
    return FR_OK;
}
