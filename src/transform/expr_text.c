#include "transform/expr_text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static fr_rc refuse(fr_err *err, size_t *at_out, size_t at, const char *what, const char *hint)
{
    *at_out = at;
    fr_fail(err, FR_ERR_CONFIG, "%s", what);
    fr_fail_code(err, "syntax");
    return fr_fail_hint(err, "%s", hint);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* ---- tokens ---- */

typedef struct reader {
    fr_arena *a;
    const char *text;
    size_t at;
    int depth;
    size_t opens; /* parentheses that are open */
    fr_err *err;
    size_t *at_out;
} reader;

/* Blanks and comments. */
static fr_rc skip(reader *r)
{
    for (;;) {
        const char *c = r->text + r->at;
        if (*c != '\0' && strchr(" \t\n\r\f", *c) != NULL) {
            r->at++;
        } else if (c[0] == '-' && c[1] == '-') {
            r->at += strcspn(c, "\n");
        } else if (c[0] == '/' && c[1] == '*') {
            const char *end = strstr(c + 2, "*/");
            if (end == NULL)
                return refuse(r->err, r->at_out, r->at, "a comment that does not end",
                              "close it: */");
            r->at += (size_t)(end - c) + 2;
        } else {
            return FR_OK;
        }
    }
}

/* From the quote at r->at; a doubled one stands for itself (not so in brackets). */
static fr_rc quoted(reader *r, char close, fr_str *out)
{
    size_t from = r->at++, n = 0;
    char *made = fr_arena_raw(r->a, strlen(r->text + from) + 1);
    for (;; r->at++) {
        char c = r->text[r->at];
        if (c == '\0')
            return refuse(r->err, r->at_out, from, "a quote that does not end",
                          "texts are written 'so', with '' for a quote in them");
        if (c == close && (close == ']' || r->text[r->at + 1] != close))
            break;
        r->at += c == close ? 1 : 0;
        made[n++] = c;
    }
    r->at++;
    *out = (fr_str){made, n};
    return FR_OK;
}

static size_t number_length(const char *c)
{
    size_t n = 0;
    if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X')) {
        n = 2;
        while (isxdigit((unsigned char)c[n]))
            n++;
        return n;
    }
    while (isdigit((unsigned char)c[n]) || c[n] == '.')
        n++;
    if (n > 0 && (c[n] == 'e' || c[n] == 'E')) {
        size_t sign = c[n + 1] == '+' || c[n + 1] == '-' ? 2 : 1;
        if (isdigit((unsigned char)c[n + sign]))
            for (n += sign; isdigit((unsigned char)c[n]);)
                n++;
    }
    return n;
}

static size_t operator_length(const char *c)
{
    static const char *const long_ones[] = {
        "->>", "->", "||", "<=", ">=", "<>", "!=", "==", "<<", ">>"};
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        if (strncmp(c, long_ones[i], strlen(long_ones[i])) == 0)
            return strlen(long_ones[i]);
    return 1;
}

static fr_rc read_quoted(reader *r, fr_token *t)
{
    char c = r->text[r->at];
    t->kind = c == '\'' ? FR_TOKEN_TEXT : FR_TOKEN_QUOTED;
    return quoted(r, c == '[' ? ']' : c, &t->text);
}

static fr_rc read_paren(reader *r, fr_token *t)
{
    bool open = r->text[r->at] == '(';
    if (!open && r->opens == 0)
        return refuse(r->err, r->at_out, r->at, "a ) without its (", "remove it, or open it");
    r->opens += open ? 1 : -1;
    r->depth -= open ? 0 : 1;
    t->depth = r->depth;
    r->depth += open ? 1 : 0;
    t->kind = open ? FR_TOKEN_OPEN : FR_TOKEN_CLOSE;
    t->text = (fr_str){r->text + r->at++, 1};
    return FR_OK;
}

static void read_word(reader *r, fr_token *t)
{
    size_t n = 0;
    while (is_word(r->text[r->at + n]))
        n++;
    t->kind = FR_TOKEN_NAME;
    t->text = (fr_str){r->text + r->at, n};
    r->at += n;
    if (fr_token_is(t, "case"))
        r->depth++;
    else if (fr_token_is(t, "end") && r->depth > 0)
        t->depth = --r->depth;
}

static fr_rc read_token(reader *r, fr_token *t)
{
    const char *c = r->text + r->at;
    *t = (fr_token){.at = r->at, .depth = r->depth};
    if (strchr(";?:@#$", *c) != NULL)
        return refuse(r->err, r->at_out, r->at,
                      *c == ';' ? "a ; in an expression" : "a parameter in an expression",
                      "write one expression over the row's columns: total > 100 AND status = 'x'");
    if ((*c == 'x' || *c == 'X') && c[1] == '\'') {
        r->at++;
        t->kind = FR_TOKEN_BLOB;
        return quoted(r, '\'', &t->text);
    }
    if (strchr("'\"`[", *c) != NULL)
        return read_quoted(r, t);
    if (*c == '(' || *c == ')')
        return read_paren(r, t);
    size_t digits = isdigit((unsigned char)*c) || (*c == '.' && isdigit((unsigned char)c[1]))
                        ? number_length(c)
                        : 0;
    if (digits == 0 && is_word(*c)) {
        read_word(r, t);
        return FR_OK;
    }
    size_t n = digits > 0 ? digits : operator_length(c);
    t->kind = digits > 0 ? FR_TOKEN_NUMBER : FR_TOKEN_OTHER;
    t->text = (fr_str){c, n};
    r->at += n;
    return FR_OK;
}

fr_rc fr_tokens_read(fr_arena *a, const char *text, fr_tokens *out, size_t *at_out, fr_err *err)
{
    reader r = {.a = a, .text = text, .err = err, .at_out = at_out};
    fr_token *items = fr_arena_alloc(a, (strlen(text) + 1) * sizeof *items);
    size_t n = 0;
    for (;;) {
        FR_TRY(skip(&r));
        if (text[r.at] == '\0')
            break;
        FR_TRY(read_token(&r, &items[n]));
        n++;
    }
    for (size_t i = n; r.opens > 0 && i > 0; i--) { /* the innermost that is still open */
        if (items[i - 1].kind == FR_TOKEN_OPEN && items[i - 1].depth == r.depth - 1)
            return refuse(err, at_out, items[i - 1].at, "a ( that is not closed", "close it: )");
    }
    if (r.opens > 0)
        return refuse(err, at_out, 0, "a ( that is not closed", "close it: )");
    if (n == 0)
        return refuse(err, at_out, 0, "there is no expression",
                      "write one over the row's columns: total > 100 AND status = 'x'");
    *out = (fr_tokens){items, n};
    return FR_OK;
}

bool fr_token_is(const fr_token *t, const char *word)
{
    return (t->kind == FR_TOKEN_NAME || t->kind >= FR_TOKEN_OPEN) && t->text.len == strlen(word) &&
           strncasecmp(t->text.ptr, word, t->text.len) == 0;
}

bool fr_tokens_call(const fr_tokens *t, size_t i)
{
    return t->items[i].kind == FR_TOKEN_NAME && i + 1 < t->count &&
           t->items[i + 1].kind == FR_TOKEN_OPEN;
}

/* ---- what the result is ---- */

static bool is_one(const fr_token *t, const char *const *words)
{
    for (; *words != NULL; words++)
        if (fr_token_is(t, *words))
            return true;
    return false;
}

/* Without parentheses around all of it. */
static fr_tokens bare(fr_tokens t)
{
    while (t.count > 2 && t.items[0].kind == FR_TOKEN_OPEN) {
        size_t close = 1;
        while (close < t.count &&
               !(t.items[close].kind == FR_TOKEN_CLOSE && t.items[close].depth == t.items[0].depth))
            close++;
        if (close != t.count - 1)
            break;
        t = (fr_tokens){t.items + 1, t.count - 2};
    }
    return t;
}

static bool has(const fr_tokens *t, const char *const *words)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].depth == t->items[0].depth && is_one(&t->items[i], words))
            return true;
    return false;
}

/* CAST(... AS TYPE) */
static fr_kind kind_of_cast(const fr_tokens *t)
{
    static const struct {
        const char *type;
        fr_kind kind;
    } types[] = {{"text", FR_TEXT}, {"integer", FR_INT64}, {"int", FR_INT64}, {"real", FR_FLOAT64}};
    for (size_t i = 0; t->count > 4 && i < sizeof types / sizeof *types; i++)
        if (fr_token_is(&t->items[t->count - 2], types[i].type) &&
            fr_token_is(&t->items[t->count - 3], "as"))
            return types[i].kind;
    return FR_NULL;
}

/* One function is all of it. */
static fr_kind kind_of_call(const fr_tokens *t)
{
    static const char *const texts[] = {"lower",  "upper",     "trim",     "ltrim",    "rtrim",
                                        "substr", "substring", "replace",  "hex",      "char",
                                        "date",   "time",      "datetime", "strftime", "printf",
                                        "format", "quote",     "typeof",   NULL};
    static const char *const integers[] = {"length", "instr", "unicode", "dec_cmp", NULL};
    static const char *const truths[] = {"json_valid", NULL};
    const fr_token *last = &t->items[t->count - 1];
    for (size_t i = 2; i + 1 < t->count; i++) /* f(a) || g(b): the first ends before */
        if (t->items[i].kind == FR_TOKEN_CLOSE && t->items[i].depth == t->items[1].depth)
            return FR_NULL;
    if (!fr_tokens_call(t, 0) || last->kind != FR_TOKEN_CLOSE)
        return FR_NULL;
    if (fr_token_is(&t->items[0], "cast"))
        return kind_of_cast(t);
    return is_one(&t->items[0], texts)      ? FR_TEXT
           : is_one(&t->items[0], integers) ? FR_INT64
           : is_one(&t->items[0], truths)   ? FR_BOOL
                                            : FR_NULL;
}

static fr_kind kind_of_one(const fr_token *t)
{
    static const char *const truths[] = {"true", "false", NULL};
    if (t->kind == FR_TOKEN_NUMBER) {
        bool hex = t->text.len > 1 && (t->text.ptr[1] | 0x20) == 'x';
        bool real = !hex && (memchr(t->text.ptr, '.', t->text.len) != NULL ||
                             memchr(t->text.ptr, 'e', t->text.len) != NULL ||
                             memchr(t->text.ptr, 'E', t->text.len) != NULL);
        return real ? FR_FLOAT64 : FR_INT64;
    }
    return t->kind == FR_TOKEN_TEXT                        ? FR_TEXT
           : t->kind == FR_TOKEN_NAME && is_one(t, truths) ? FR_BOOL
                                                           : FR_NULL;
}

fr_kind fr_tokens_kind(const fr_tokens *all)
{
    /* All of these bind less tightly than any other operator. */
    static const char *const truths[] = {
        "and", "or", "not", "is", "in", "like", "glob", "between", "isnull", "notnull",
        "=",   "==", "<>",  "!=", "<",  ">",    "<=",   ">=",      NULL};
    static const char *const numeric[] = {"+", "-", "*", "/", "%", "&", "|", "<<", ">>", "~", NULL};
    static const char *const arrows[] = {"->", "->>", NULL};
    static const char *const joined[] = {"||", NULL};
    fr_tokens t = bare(*all);
    if (has(&t, truths))
        return FR_BOOL;
    if (has(&t, numeric) || has(&t, arrows))
        return FR_NULL;
    if (has(&t, joined))
        return FR_TEXT;
    return t.count == 1 ? kind_of_one(&t.items[0]) : kind_of_call(&t);
}
