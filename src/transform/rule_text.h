/* One rule of schema.rules, or of "freshet.rules" in a contract, as it is written: {"field":
 * "total", "range": [0, 1000]} (docs/contracts.md). Pure. */
#ifndef FR_TRANSFORM_RULE_TEXT_H
#define FR_TRANSFORM_RULE_TEXT_H

#include "base/error.h"
#include "base/json.h"

typedef enum fr_rule_word {
    FR_RULE_MATCHES,   /* operands: the pattern */
    FR_RULE_RANGE,     /* two, both within; ptr NULL: no end */
    FR_RULE_IN,        /* the values, as texts */
    FR_RULE_NOT_EMPTY, /* none */
    FR_RULE_SQL,       /* the expression */
    FR_RULE_WORDS
} fr_rule_word;

typedef struct fr_rule_text {
    fr_rule_word word;
    fr_str name;  /* empty: it has none of its own */
    fr_str field; /* empty: SQL */
    const fr_str *operands;
    size_t count;
} fr_rule_text;

const char *fr_rule_word_name(fr_rule_word word); /* "matches" */

/* All in the arena. field: whose property it is; empty: it names one itself. CONFIG (rule.*): what
 * is wrong with it, with a did-you-mean for unknown words. */
fr_rc fr_rule_read(fr_arena *a, const json_t *j, fr_str field, fr_rule_text *out, fr_err *err);
/* The same of a text. */
fr_rc fr_rule_parse(fr_arena *a, fr_str json, fr_rule_text *out, fr_err *err);

/* PCRE2, with limits that end what would take too long. A context is of one thread. */
typedef struct fr_matcher fr_matcher;
fr_matcher *fr_matcher_open(void);
void fr_matcher_close(fr_matcher *m); /* NULL is fine */
/* The compiled pattern lives as long as the arena. CONFIG (rule.pattern) with the place in it. */
fr_rc fr_rule_pattern(fr_arena *a, fr_str pattern, void **out, fr_err *err);
/* FR_OK: it matches somewhere; FR_END: nowhere; FR_IDLE: that takes too much work to tell. */
fr_rc fr_matcher_run(fr_matcher *m, void *pattern, fr_str text);

#endif
