#define PCRE2_CODE_UNIT_WIDTH 8
#include "transform/rule_text.h"
#include "base/bytes.h"
#include "model/table.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_PATTERN = 8192,
    MOST_NAME = 64,
    MOST_WORK = 1000000, /* steps of one match */
    MOST_HEAP = 20000,   /* KiB of one match */
    JIT_STACK = 256 << 10
};

static const char *const words[] = {"matches", "range", "in", "not_empty", "sql"};

const char *fr_rule_word_name(fr_rule_word word)
{
    return words[word];
}

static fr_rc refuse(fr_err *err, const char *what, const char *hint)
{
    fr_fail(err, FR_ERR_CONFIG, "%s", what);
    fr_fail_code(err, "rule.syntax");
    return fr_fail_hint(err, "%s", hint);
}

/* A key that is no word of a rule. */
static fr_rc unknown_word(fr_arena *a, const char *word, fr_err *err)
{
    fr_column known[FR_RULE_WORDS + 2];
    memset(known, 0, sizeof known);
    for (size_t i = 0; i < FR_RULE_WORDS; i++)
        known[i].name = fr_cstr(words[i]);
    known[FR_RULE_WORDS].name = FR_STR("field");
    known[FR_RULE_WORDS + 1].name = FR_STR("name");
    fr_table all = {.columns = known, .column_count = FR_RULE_WORDS + 2};
    const fr_column *near = fr_table_nearest(&all, fr_cstr(word));
    fr_str what = fr_arena_printf(a, "a rule has no key `%.60s`", word);
    refuse(err, fr_arena_cstr(a, what),
           "a rule says field, and one of matches, range, in, not_empty; or sql; and may have a "
           "name");
    return near == NULL ? FR_FAIL : fr_fail_hint(err, "did you mean `%.*s`?", FR_ARG(near->name));
}

/* A scalar as a text; numbers as they are surely meant. */
static fr_rc operand(fr_arena *a, const json_t *j, fr_str *out, fr_err *err)
{
    if (json_is_string(j)) {
        *out = fr_arena_copy(a, json_string_value(j), json_string_length(j));
        return FR_OK;
    }
    if (json_is_integer(j) || json_is_boolean(j)) {
        *out = json_is_integer(j) ? fr_arena_printf(a, "%lld", (long long)json_integer_value(j))
                                  : fr_cstr(json_is_true(j) ? "true" : "false");
        return FR_OK;
    }
    if (json_is_real(j)) {
        char text[40];
        snprintf(text, sizeof text, "%.15g", json_real_value(j));
        *out = fr_arena_str(a, fr_cstr(text));
        if (strtod(text, NULL) == json_real_value(j))
            return FR_OK;
    }
    return refuse(err, "an operand that is neither a text nor a number of at most 15 digits",
                  "write it as a text: \"12.50\"");
}

static fr_rc list_of(fr_arena *a, const json_t *j, fr_rule_text *r, fr_err *err)
{
    bool range = r->word == FR_RULE_RANGE;
    r->count = json_array_size(j);
    if (!json_is_array(j) || r->count == 0 || (range && r->count != 2))
        return refuse(err, range ? "range needs a list of two" : "in needs a list",
                      range ? "write range: [0, 1000]; null is no end: [0, null]"
                            : "write in: [new, paid]");
    fr_str *list = fr_arena_alloc(a, r->count * sizeof *list);
    for (size_t i = 0; i < r->count; i++)
        if (!range || !json_is_null(json_array_get(j, i)))
            FR_TRY(operand(a, json_array_get(j, i), &list[i], err));
    r->operands = list;
    if (range && list[0].ptr == NULL && list[1].ptr == NULL)
        return refuse(err, "a range without any end", "name one, or use not_empty");
    return FR_OK;
}

static fr_rc set_operands(fr_arena *a, const json_t *j, fr_rule_text *r, fr_err *err)
{
    if (r->word == FR_RULE_NOT_EMPTY) {
        const char *text = json_string_value(j);
        if (json_is_true(j) || (text != NULL && strcmp(text, "true") == 0))
            return FR_OK;
        return refuse(err, "not_empty can only be true", "leave the rule out instead");
    }
    if (r->word == FR_RULE_RANGE || r->word == FR_RULE_IN)
        return list_of(a, j, r, err);
    fr_str *text = fr_arena_alloc(a, sizeof *text);
    if (!json_is_string(j) || json_string_length(j) == 0)
        return refuse(err,
                      r->word == FR_RULE_SQL ? "sql needs an expression as a text"
                                             : "matches needs a pattern as a text",
                      "put it in quotes");
    *text = fr_arena_copy(a, json_string_value(j), json_string_length(j));
    r->operands = text;
    r->count = 1;
    if (memchr(text->ptr, '\0', text->len) != NULL)
        return refuse(err, "a text with a NUL", "remove it");
    return FR_OK;
}

/* It becomes the label of a metric. */
static fr_rc set_name(fr_arena *a, const json_t *j, fr_rule_text *r, fr_err *err)
{
    const char *name = json_string_value(j);
    size_t len = name == NULL ? 0 : strlen(name);
    bool good = len > 0 && len <= MOST_NAME;
    for (size_t i = 0; good && i < len; i++)
        good = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-",
                      name[i]) != NULL;
    if (!good)
        return refuse(err, "a rule's name that is none", "1 to 64 of letters, digits, _, . and -");
    r->name = fr_arena_str(a, fr_cstr(name));
    return FR_OK;
}

static fr_rc set_field(fr_arena *a, const json_t *j, fr_str owner, fr_rule_text *r, fr_err *err)
{
    r->field = fr_arena_copy(a, json_string_value(j), json_string_length(j));
    if (!json_is_string(j) || r->field.len == 0)
        return refuse(err, "field is no name", "name a field of the row");
    if (owner.len > 0 && !fr_str_eq(owner, r->field))
        return refuse(err, "a rule of one field that names another",
                      "leave field out, or give the rule to the record");
    return FR_OK;
}

static fr_rc read_key(fr_arena *a, const char *key, const json_t *value, fr_str owner,
                      fr_rule_text *r, fr_err *err)
{
    if (strcmp(key, "name") == 0)
        return set_name(a, value, r, err);
    if (strcmp(key, "field") == 0)
        return set_field(a, value, owner, r, err);
    for (fr_rule_word w = 0; w < FR_RULE_WORDS; w++) {
        if (strcmp(key, words[w]) != 0)
            continue;
        if (r->word != FR_RULE_WORDS)
            return refuse(err, "a rule with two conditions", "make it two rules");
        r->word = w;
        return set_operands(a, value, r, err);
    }
    return unknown_word(a, key, err);
}

fr_rc fr_rule_read(fr_arena *a, const json_t *j, fr_str field, fr_rule_text *out, fr_err *err)
{
    static const char hint[] = "write {field: total, range: [0, 1000]}; docs/contracts.md lists "
                               "the words";
    fr_rule_text r = {.word = FR_RULE_WORDS, .name = FR_STR(""), .field = field};
    const char *key;
    json_t *value;
    if (!json_is_object(j))
        return refuse(err, "a rule that is no map", hint);
    json_object_foreach((json_t *)j, key, value) FR_TRY(read_key(a, key, value, field, &r, err));
    if (r.word == FR_RULE_WORDS)
        return refuse(err, "a rule without a condition", hint);
    if (r.word == FR_RULE_SQL && r.field.len > 0)
        return refuse(err, "an expression is of the row, and of no field",
                      field.len > 0 ? "give the rule to the record" : "remove field");
    if (r.word != FR_RULE_SQL && r.field.len == 0)
        return refuse(err, "a rule without a field", hint);
    *out = r;
    return FR_OK;
}

fr_rc fr_rule_parse(fr_arena *a, fr_str json, fr_rule_text *out, fr_err *err)
{
    json_t *j;
    if (fr_json_parse(json, &j, err) == FR_FAIL) {
        fr_err why = *err;
        return refuse(err, why.text, "write it as a map: {field: total, range: [0, 1000]}");
    }
    fr_rc rc = fr_rule_read(a, j, FR_STR(""), out, err);
    json_decref(j);
    return rc;
}

/* ---- patterns ---- */

struct fr_matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

fr_matcher *fr_matcher_open(void)
{
    fr_matcher *m = fr_malloc(sizeof *m);
    m->context = pcre2_match_context_create(NULL);
    m->data = pcre2_match_data_create(1, NULL);
    m->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, NULL);
    if (m->context == NULL || m->data == NULL)
        abort(); /* no memory */
    pcre2_set_match_limit(m->context, MOST_WORK);
    pcre2_set_heap_limit(m->context, MOST_HEAP);
    if (m->stack != NULL)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void fr_matcher_close(fr_matcher *m)
{
    if (m == NULL)
        return;
    pcre2_jit_stack_free(m->stack);
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    free(m);
}

static void free_pattern(void *code)
{
    pcre2_code_free(code);
}

fr_rc fr_rule_pattern(fr_arena *a, fr_str pattern, void **out, fr_err *err)
{
    int why;
    PCRE2_SIZE at;
    const uint32_t flags = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    if (pattern.len > MOST_PATTERN)
        return refuse(err, "a pattern of more than 8192 bytes", "make it shorter");
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, flags, &why, &at, NULL);
    if (code == NULL) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(why, text, sizeof text);
        fr_fail(err, FR_ERR_CONFIG, "its pattern is no regular expression: %s, at byte %zu",
                (const char *)text, at);
        fr_fail_code(err, "rule.pattern");
        return fr_fail_hint(err, "PCRE syntax; a literal dot is written \\.");
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it can */
    fr_arena_adopt(a, code, 0, free_pattern);
    *out = code;
    return FR_OK;
}

fr_rc fr_matcher_run(fr_matcher *m, void *pattern, fr_str text)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.ptr == NULL ? "" : text.ptr);
    /* The same, without the questions that a pattern of rules need not be asked. */
    int rc = PCRE2_ERROR_JIT_BADOPTION;
    if (m->stack != NULL)
        rc = pcre2_jit_match(pattern, subject, text.len, 0, 0, m->data, m->context);
    if (rc == PCRE2_ERROR_JIT_BADOPTION) /* this machine does not compile patterns */
        rc = pcre2_match(pattern, subject, text.len, 0, 0, m->data, m->context);
    return rc >= 0 ? FR_OK : rc == PCRE2_ERROR_NOMATCH ? FR_END : FR_IDLE;
}
