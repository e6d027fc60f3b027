/* The text of an expression, taken apart: tokens as SQLite has them, and what can be told of it
 * before SQLite sees it. Pure. */
#ifndef FR_TRANSFORM_EXPR_TEXT_H
#define FR_TRANSFORM_EXPR_TEXT_H

#include "base/error.h"
#include "model/value.h"

typedef enum fr_token_kind {
    FR_TOKEN_NAME,   /* a word; also a keyword */
    FR_TOKEN_QUOTED, /* a name in "", `` or [] */
    FR_TOKEN_TEXT,   /* '...' */
    FR_TOKEN_BLOB,   /* x'...' */
    FR_TOKEN_NUMBER,
    FR_TOKEN_OPEN,
    FR_TOKEN_CLOSE,
    FR_TOKEN_OTHER, /* operators, commas */
} fr_token_kind;

typedef struct fr_token {
    fr_token_kind kind;
    fr_str text; /* QUOTED and TEXT: what is meant, without quotes */
    size_t at;   /* where it begins */
    int depth;   /* of parentheses and CASE ... END around it; an OPEN and its CLOSE: the same */
} fr_token;

typedef struct fr_tokens {
    fr_token *items;
    size_t count;
} fr_tokens;

/* Tokens in the arena. CONFIG (code "syntax"), *at_out where: a quote, comment or parenthesis that
 * is not closed, one too many, a `;` or a parameter. What passes is one expression or none at all:
 * in parentheses it cannot end the statement around it. */
fr_rc fr_tokens_read(fr_arena *a, const char *text, fr_tokens *out, size_t *at_out, fr_err *err);
/* A word or operator, in any case; never a quoted name. */
bool fr_token_is(const fr_token *t, const char *word);
/* tokens[i] is a name with a parenthesis behind it. */
bool fr_tokens_call(const fr_tokens *t, size_t i);
/* What the result surely is, by its outermost operator or function: BOOL, TEXT, INT64 or FLOAT64.
 * FR_NULL: that cannot be told. */
fr_kind fr_tokens_kind(const fr_tokens *t);

#endif
