/* What poll.query may be: one SELECT whose rows may be taken in any order and number, for order
 * and number are ours. Not a parser of SQL: it passes over what is quoted, commented or in
 * parentheses, and looks at the words that are left. */
#include "poll/poll.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *past_quoted(const char *at)
{
    char quote = *at++;
    while (*at != '\0' && *at != quote)
        at++;
    return *at == '\0' ? at : at + 1;
}

static const char *past_comment(const char *at)
{
    if (at[0] == '-') {
        while (*at != '\0' && *at != '\n')
            at++;
        return at;
    }
    const char *end = strstr(at + 2, "*/");
    return end == NULL ? at + strlen(at) : end + 2;
}

/* The next word or character outside of quotes, comments and parentheses; "": the end. */
static const char *next_word(const char *at, int *depth, char *word, size_t size)
{
    for (;;) {
        if (*at == '\'' || *at == '"' || *at == '`')
            at = past_quoted(at);
        else if ((at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*'))
            at = past_comment(at);
        else if (*at != '\0' && (isspace((unsigned char)*at) || *depth > 0 || *at == '(')) {
            *depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
            at++;
        } else
            break;
    }
    size_t n = 0;
    while (isalnum((unsigned char)*at) || *at == '_') {
        if (n + 1 < size)
            word[n++] = *at;
        at++;
    }
    if (n == 0 && *at != '\0')
        word[n++] = *at++;
    word[n] = '\0';
    return at;
}

static fr_rc refuse(fr_err *err, const char *what, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "poll.query: %s", what);
    fr_fail_code(err, "poll.statement");
    return fr_fail_hint(err, "%s", hint);
}

fr_rc fr_poll_statement_check(const char *sql, fr_err *err)
{
    static const char *const ours[] = {"order", "limit", "offset", "fetch", "for", "into"};
    char word[32];
    int depth = 0;
    const char *at = next_word(sql, &depth, word, sizeof(word));
    if (strcasecmp(word, "select") != 0 && strcasecmp(word, "with") != 0)
        return refuse(err, "is not a SELECT", "write one SELECT (or WITH ... SELECT)");
    while (word[0] != '\0') {
        at = next_word(at, &depth, word, sizeof(word));
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            if (strcasecmp(word, ours[i]) == 0)
                return refuse(err,
                              "ORDER BY, LIMIT, OFFSET, FETCH, FOR and INTO are not taken at "
                              "its end",
                              "leave them out: freshet pages through the rows in the order of "
                              "poll.column");
        if (word[0] == ';')
            return refuse(err, "has a semicolon", "write one statement, without a semicolon");
        if (word[0] == ')')
            return refuse(err, "closes a parenthesis that was not opened", "count its parentheses");
    }
    if (depth != 0)
        return refuse(err, "does not close a parenthesis", "count its parentheses");
    return FR_OK;
}
