#include "connectors/mysql/binlog_query.h"
#include <string.h>
#include <strings.h>

typedef struct scan {
    fr_str in;
    size_t at;
} scan;

static bool looking_at(const scan *s, const char *what)
{
    size_t n = strlen(what);
    return s->in.len - s->at >= n && memcmp(s->in.ptr + s->at, what, n) == 0;
}

static void pass_line(scan *s)
{
    while (s->at < s->in.len && s->in.ptr[s->at] != '\n')
        s->at++;
}

static void pass_comment(scan *s)
{
    s->at += 2;
    while (s->at < s->in.len && !looking_at(s, "*/"))
        s->at++;
    s->at += s->at < s->in.len ? 2 : 0;
}

/* Blanks and comments. Of an executable comment only its marks are passed over. */
static void blanks(scan *s)
{
    for (;;) {
        while (s->at < s->in.len && strchr(" \t\r\n\v\f", s->in.ptr[s->at]) != NULL &&
               s->in.ptr[s->at] != '\0')
            s->at++;
        if (looking_at(s, "/*!") || looking_at(s, "/*M!")) {
            s->at += looking_at(s, "/*!") ? 3 : 4;
            while (s->at < s->in.len && s->in.ptr[s->at] >= '0' && s->in.ptr[s->at] <= '9')
                s->at++;
        } else if (looking_at(s, "*/")) {
            s->at += 2;
        } else if (looking_at(s, "/*")) {
            pass_comment(s);
        } else if (looking_at(s, "-- ") || looking_at(s, "#")) {
            pass_line(s);
        } else {
            return;
        }
    }
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static fr_str word(scan *s)
{
    blanks(s);
    size_t start = s->at;
    while (s->at < s->in.len && word_char(s->in.ptr[s->at]))
        s->at++;
    return (fr_str){s->in.ptr + start, s->at - start};
}

static bool is(fr_str w, const char *what)
{
    return w.len == strlen(what) && strncasecmp(w.ptr, what, w.len) == 0;
}

static bool one_of(fr_str w, const char *const *words)
{
    for (; *words != NULL; words++)
        if (is(w, *words))
            return true;
    return false;
}

static bool next_is(scan *s, const char *what)
{
    scan ahead = *s;
    if (!is(word(&ahead), what))
        return false;
    *s = ahead;
    return true;
}

/* `a``b`, "a" (ANSI_QUOTES) or a word. Empty: there is none. */
static fr_str identifier(scan *s, fr_arena *a)
{
    blanks(s);
    char quote = s->at < s->in.len ? s->in.ptr[s->at] : '\0';
    fr_buf b = {.arena = a};
    if (quote != '`' && quote != '"')
        return word(s);
    for (s->at++; s->at < s->in.len; s->at++) {
        if (s->in.ptr[s->at] == quote) {
            s->at++;
            if (s->at >= s->in.len || s->in.ptr[s->at] != quote)
                return b.len > 0 ? fr_buf_view(&b) : (fr_str){NULL, 0};
        }
        fr_buf_u8(&b, (uint8_t)s->in.ptr[s->at]);
    }
    return (fr_str){NULL, 0};
}

/* name or space.name */
static bool table_name(scan *s, fr_arena *a, fr_sql *out)
{
    fr_str first = identifier(s, a);
    blanks(s);
    out->name = first;
    if (first.len > 0 && s->at < s->in.len && s->in.ptr[s->at] == '.') {
        s->at++;
        out->space = first;
        out->name = identifier(s, a);
    }
    return out->name.len > 0;
}

static void pass_words(scan *s, const char *const *words)
{
    scan ahead = *s;
    while (one_of(word(&ahead), words))
        *s = ahead;
}

static bool at_end(scan *s)
{
    blanks(s);
    while (s->at < s->in.len && s->in.ptr[s->at] == ';') {
        s->at++;
        blanks(s);
    }
    return s->at >= s->in.len;
}

/* A word, or a character that is none. */
static void pass_one(scan *s)
{
    if (word(s).len == 0 && s->at < s->in.len)
        s->at++;
}

static void unknown_table(fr_sql *out)
{
    out->space = out->name = (fr_str){NULL, 0};
}

/* The table of INSERT, REPLACE, LOAD, or of UPDATE and DELETE of one table. */
static void dml_target(scan *s, fr_str verb, fr_arena *a, fr_sql *out)
{
    static const char *const options[] = {"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK",
                                          "IGNORE",       "INTO",    "FROM",          NULL};
    if (is(verb, "LOAD")) {
        while (s->at < s->in.len && !next_is(s, "INTO"))
            pass_one(s);
        if (!next_is(s, "TABLE"))
            return;
    }
    pass_words(s, options);
    if (!table_name(s, a, out)) {
        unknown_table(out);
        return;
    }
    if (!is(verb, "UPDATE") && !is(verb, "DELETE"))
        return;
    scan ahead = *s;
    fr_str next = word(&ahead);
    if (is(verb, "DELETE") && at_end(s)) {
        out->kind = FR_SQL_TRUNCATE;
        return;
    }
    if (!is(next, "SET") && !is(next, "WHERE") && !is(next, "ORDER") && !is(next, "LIMIT"))
        unknown_table(out); /* an alias, a join, a list */
}

static fr_sql_kind xa_kind(scan *s, fr_sql *out)
{
    fr_str verb = word(s);
    blanks(s);
    out->rest = (fr_str){s->in.ptr + s->at, s->in.len - s->at};
    if (is(verb, "START") || is(verb, "BEGIN"))
        return FR_SQL_XA_START;
    if (is(verb, "END"))
        return FR_SQL_XA_END;
    return is(verb, "COMMIT")     ? FR_SQL_XA_COMMIT
           : is(verb, "ROLLBACK") ? FR_SQL_XA_ROLLBACK
                                  : FR_SQL_OTHER;
}

static bool temporary(scan *s)
{
    scan ahead = *s;
    if (next_is(&ahead, "OR"))
        next_is(&ahead, "REPLACE");
    return next_is(&ahead, "TEMPORARY");
}

/* MariaDB: SET STATEMENT a=1, b=2 FOR statement */
static void pass_set_statement(scan *s)
{
    scan ahead = *s;
    if (!next_is(&ahead, "SET") || !next_is(&ahead, "STATEMENT"))
        return;
    while (ahead.at < ahead.in.len && !next_is(&ahead, "FOR"))
        pass_one(&ahead);
    *s = ahead;
}

fr_sql fr_sql_read(fr_arena *a, fr_str statement)
{
    static const char *const changes[] = {"INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", NULL};
    static const char *const opaque[] = {"SELECT", "WITH", "CALL", "DO", "MERGE", "IMPORT", NULL};
    static const char *const shapes[] = {"CREATE", "ALTER", "DROP", "RENAME", NULL};
    scan s = {statement, 0};
    fr_sql out = {.kind = FR_SQL_OTHER};
    pass_set_statement(&s);
    fr_str verb = word(&s);
    if (is(verb, "BEGIN") || (is(verb, "START") && next_is(&s, "TRANSACTION"))) {
        out.kind = FR_SQL_BEGIN;
    } else if (is(verb, "COMMIT")) {
        out.kind = FR_SQL_COMMIT;
    } else if (is(verb, "ROLLBACK")) {
        out.kind = next_is(&s, "TO") ? FR_SQL_ROLLBACK_TO : FR_SQL_ROLLBACK;
    } else if (is(verb, "SAVEPOINT") || is(verb, "RELEASE")) {
        out.kind = FR_SQL_SAVEPOINT;
    } else if (is(verb, "XA")) {
        out.kind = xa_kind(&s, &out);
    } else if (one_of(verb, changes)) {
        out.kind = FR_SQL_DML;
        dml_target(&s, verb, a, &out);
    } else if (one_of(verb, opaque)) {
        out.kind = FR_SQL_DML;
    } else if (is(verb, "TRUNCATE")) {
        out.kind = FR_SQL_TRUNCATE;
        next_is(&s, "TABLE");
        table_name(&s, a, &out);
    } else if (one_of(verb, shapes)) {
        out.kind = temporary(&s) ? FR_SQL_TEMPORARY : FR_SQL_SHAPE;
    }
    return out;
}
