#include "control/config_load.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { longest_excerpt = 160 };

/* A literal password stands in the file; it must not stand in a terminal's history too. */
static bool may_hold_secret(const char *line)
{
    static const char *const words[] = {"password", "passwd", "secret", "token", "pwd"};
    if (strstr(line, "${") != NULL)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(line, words[i]) != NULL)
            return true;
    return false;
}

static const char *excerpt_of(fr_arena *a, fr_place place)
{
    if (place.file == NULL || place.line < 1)
        return NULL;
    fr_str rest = place.file->text;
    for (int line = 1; line < place.line; line++) {
        const char *end = rest.len == 0 ? NULL : memchr(rest.ptr, '\n', rest.len);
        if (end == NULL)
            return NULL;
        rest.len -= (size_t)(end - rest.ptr) + 1;
        rest.ptr = end + 1;
    }
    const char *end = rest.len == 0 ? NULL : memchr(rest.ptr, '\n', rest.len);
    size_t len = end == NULL ? rest.len : (size_t)(end - rest.ptr);
    if (len > 0 && rest.ptr[len - 1] == '\r')
        len--;
    if (len > longest_excerpt || !fr_utf8_valid((fr_str){rest.ptr, len}))
        return NULL;
    char *line = fr_arena_cstr(a, (fr_str){rest.ptr, len});
    return len == 0 || may_hold_secret(line) ? NULL : line;
}

fr_problem *fr_problem_add(fr_loader *l, bool warning, const char *code, fr_place place,
                           const char *path, const char *fmt, ...)
{
    fr_arena *a = l->problems_arena;
    if (l->problem_count == l->problem_cap) {
        size_t cap = l->problem_cap == 0 ? 16 : l->problem_cap * 2;
        fr_problem *more = fr_arena_alloc(a, cap * sizeof(*more));
        if (l->problem_count > 0)
            memcpy(more, l->problems, l->problem_count * sizeof(*more));
        l->problems = more;
        l->problem_cap = cap;
    }
    va_list ap;
    va_start(ap, fmt);
    fr_str text = fr_arena_vprintf(a, fmt, ap);
    va_end(ap);
    fr_problem *p = &l->problems[l->problem_count++];
    *p = (fr_problem){
        .warning = warning && !l->flags->strict,
        .code = code,
        .file = place.file == NULL ? NULL : fr_arena_cstr(a, fr_cstr(place.file->name)),
        .line = place.line,
        .column = place.column,
        .path = path == NULL ? NULL : fr_arena_cstr(a, fr_cstr(path)),
        .text = fr_arena_cstr(a, text),
        .excerpt = excerpt_of(a, place),
    };
    l->error_count += p->warning ? 0 : 1;
    return p;
}

void fr_problem_hint(fr_loader *l, fr_problem *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    p->hint = fr_arena_cstr(l->problems_arena, fr_arena_vprintf(l->problems_arena, fmt, ap));
    va_end(ap);
}

fr_problem *fr_problem_of(fr_loader *l, fr_place place, const char *path, const fr_err *err)
{
    const char *code = err->code[0] == 0 ? "config.bad_value" : err->code;
    code = fr_arena_cstr(l->problems_arena, fr_cstr(code));
    fr_problem *p = fr_problem_add(l, false, code, place, path, "%s", err->text);
    if (err->hint[0] != 0)
        fr_problem_hint(l, p, "%s", err->hint);
    return p;
}

static size_t file_rank(const fr_loader *l, const char *file)
{
    for (size_t i = 0; file != NULL && i < l->file_count; i++)
        if (strcmp(l->files[i], file) == 0)
            return i + 1;
    return 0;
}

/* By place, as one reads; problems of one place keep their order. Few, so insertion. */
void fr_problems_sort(fr_loader *l)
{
    for (size_t i = 1; i < l->problem_count; i++) {
        fr_problem p = l->problems[i];
        size_t rank = file_rank(l, p.file), j = i;
        for (; j > 0; j--) {
            const fr_problem *q = &l->problems[j - 1];
            size_t other = file_rank(l, q->file);
            bool later = other > rank || (other == rank && q->line > p.line) ||
                         (other == rank && q->line == p.line && q->column > p.column);
            if (!later)
                break;
            l->problems[j] = l->problems[j - 1];
        }
        l->problems[j] = p;
    }
    for (size_t i = 0; i < l->problem_count; i++) {
        fr_problem *p = &l->problems[i];
        const char **texts[] = {&p->text, &p->hint, &p->excerpt};
        for (size_t k = 0; k < 3; k++) {
            if (*texts[k] == NULL)
                continue;
            /* Redaction may make a text longer. */
            size_t size = strlen(*texts[k]) * 3 + 64;
            char *copy = fr_arena_alloc(l->problems_arena, size);
            memcpy(copy, *texts[k], strlen(*texts[k]));
            fr_redact(copy);
            *texts[k] = copy;
        }
    }
}

const char *fr_path_join(fr_arena *a, const char *path, fr_str key)
{
    bool simple = key.len > 0;
    for (size_t i = 0; i < key.len; i++)
        simple = simple &&
                 (isalnum((unsigned char)key.ptr[i]) || key.ptr[i] == '_' || key.ptr[i] == '-');
    const char *dot = path == NULL || *path == 0 ? "" : ".";
    const char *quote = simple ? "" : "\"";
    fr_str made = fr_arena_printf(a, "%s%s%s%.*s%s", path == NULL ? "" : path, dot, quote,
                                  FR_ARG(key), quote);
    return fr_arena_cstr(a, made);
}

const char *fr_place_text(fr_arena *a, fr_place place)
{
    if (place.file == NULL)
        return "built-in default";
    fr_str text = place.line == 0 ? fr_cstr(place.file->name)
                                  : fr_arena_printf(a, "%s:%d", place.file->name, place.line);
    return fr_arena_cstr(a, text);
}

/* Below the word that the column points at. The column counts characters, not bytes. */
static void put_caret(fr_buf *b, const fr_problem *p)
{
    const char *at = p->excerpt;
    for (int i = 1; i < p->column && *at != 0; i++)
        do
            at++;
        while (((unsigned char)*at & 0xC0) == 0x80);
    size_t word = 0;
    while (isalnum((unsigned char)at[word]) || (at[word] != 0 && strchr("_.-", at[word]) != NULL))
        word++;
    fr_buf_printf(b, "            | %*s", p->column > 1 ? p->column - 1 : 0, "");
    for (size_t i = 0; i < (word == 0 ? 1 : word); i++)
        fr_buf_text(b, "^");
    fr_buf_text(b, "\n");
}

/* The mock of `validate`: code, place and path in columns, the line with a caret, then what
 * to do. Glyphs are the command line's: it puts one in front. */
void fr_problem_text(fr_buf *b, const fr_problem *p)
{
    fr_buf place = {0};
    if (p->file != NULL)
        fr_buf_text(&place, p->file);
    if (p->line > 0)
        fr_buf_printf(&place, ":%d:%d", p->line, p->column);
    fr_buf_printf(b, "%-24s  %-28.*s", p->code, FR_ARG(fr_buf_view(&place)));
    fr_buf_free(&place);
    if (p->path != NULL && *p->path != 0)
        fr_buf_printf(b, "  %s", p->path);
    while (b->len > 0 && b->ptr[b->len - 1] == ' ')
        b->len--;
    fr_buf_printf(b, "\n      %s\n", p->text);
    if (p->excerpt != NULL) {
        fr_buf_printf(b, "      %5d | %s\n", p->line, p->excerpt);
        put_caret(b, p);
    }
    if (p->hint != NULL)
        fr_buf_printf(b, "      \xe2\x86\x92 %s\n", p->hint);
}
