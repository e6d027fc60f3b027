#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/settings.h"
#include "model/name.h"
#include <ctype.h>
#include <pcre2.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* A pattern comes from the configuration, its subject from a catalog: a bad pair must cost
 * time that nobody notices, not the reader's thread. */
enum { match_limit = 100000, depth_limit = 1000 };

int fr_texts_find(const fr_texts *list, fr_str text)
{
    for (size_t i = 0; i < list->count; i++)
        if (fr_str_is(text, list->items[i]))
            return (int)i;
    return -1;
}

bool fr_texts_have(const fr_texts *list, fr_str text)
{
    return fr_texts_find(list, text) >= 0;
}

const char *fr_pairs_get(const fr_pairs *pairs, fr_str name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (fr_str_is(name, pairs->items[i].name))
            return pairs->items[i].value;
    return NULL;
}

fr_rc fr_pattern_compile(const char *pattern, void **out, fr_err *err)
{
    size_t len = strlen(pattern);
    if (len < 1 || pattern[0] != '/') {
        *out = NULL;
        return FR_OK;
    }
    if (len < 3 || pattern[len - 1] != '/') {
        fr_fail(err, FR_ERR_CONFIG, "pattern `%s` does not end in /", pattern);
        fr_fail_code(err, "config.bad_pattern");
        return fr_fail_hint(err, "write /regex/, for example \"/^public\\\\./\"");
    }
    int code;
    PCRE2_SIZE offset;
    pcre2_code *regex =
        pcre2_compile((PCRE2_SPTR)pattern + 1, len - 2, PCRE2_UTF, &code, &offset, NULL);
    if (regex == NULL) {
        PCRE2_UCHAR why[160];
        pcre2_get_error_message(code, why, sizeof(why));
        fr_fail(err, FR_ERR_CONFIG, "pattern `%s` is no regular expression: %s at character %zu",
                pattern, (const char *)why, offset + 2);
        fr_fail_code(err, "config.bad_pattern");
        return fr_fail_hint(err, "PCRE syntax; a dot in a name is written \\.");
    }
    *out = regex;
    return FR_OK;
}

/* What PCRE knows, and POSIX reads as something else: groups that begin with (?, classes like \d,
 * back references, lazy and possessive quantifiers. */
static const char *beyond_posix(const char *p)
{
    for (; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\0') {
            if (strchr("0123456789", p[1]) != NULL ||
                (isalpha((unsigned char)p[1]) && strchr("wWsSbB", p[1]) == NULL))
                return p;
            p++;
        } else if ((*p == '(' && p[1] == '?') ||
                   (strchr("*+?}", *p) != NULL && p[1] != '\0' && strchr("?+", p[1]) != NULL)) {
            return p;
        }
    }
    return NULL;
}

fr_rc fr_pattern_for_topics(const char *pattern, fr_err *err)
{
    size_t len = strlen(pattern);
    if (len < 3 || pattern[0] != '/')
        return FR_OK;
    char *inner = strndup(pattern + 1, len - 2);
    const char *odd = inner == NULL ? NULL : beyond_posix(inner);
    regex_t posix;
    int code = inner == NULL || odd != NULL ? REG_BADPAT
                                            : regcomp(&posix, inner, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        regfree(&posix);
    else if (odd != NULL)
        fr_fail(err, FR_ERR_CONFIG, "topic pattern `%s`: `%.2s` is not of POSIX extended syntax",
                pattern, odd);
    else
        fr_fail(err, FR_ERR_CONFIG, "topic pattern `%s` is not of POSIX extended syntax", pattern);
    free(inner);
    if (code == 0)
        return FR_OK;
    fr_fail_code(err, "config.bad_pattern");
    return fr_fail_hint(err, "Kafka's client knows no (?...), \\d, *? and *+: write [0-9], or list "
                             "the topics");
}

bool fr_limit_parse(const char *text, int64_t *errors_out, int64_t *events_out)
{
    static const char digits[] = "0123456789";
    size_t left = strspn(text, digits),
           right = text[left] == '/' ? strspn(text + left + 1, digits) : 0;
    if (left == 0 || left > 5 || right == 0 || right > 8 || text[left + 1 + right] != '\0')
        return false;
    int64_t errors = strtoll(text, NULL, 10), events = strtoll(text + left + 1, NULL, 10);
    if (errors < 1 || errors > 10000 || events <= errors || events > 10000000)
        return false;
    *errors_out = errors;
    *events_out = events;
    return true;
}

bool fr_load_parse(const char *text, fr_str *name_out, int64_t *most_out)
{
    size_t name = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    size_t digits = text[name] == '=' ? strspn(text + name + 1, "0123456789") : 0;
    if (name == 0 || digits == 0 || digits > 9 || text[name + 1 + digits] != '\0')
        return false;
    *name_out = (fr_str){text, name};
    *most_out = strtoll(text + name + 1, NULL, 10);
    return true;
}

void fr_pattern_free(void *regex)
{
    pcre2_code_free(regex);
}

bool fr_pattern_match(void *regex, fr_str subject)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    bool match = false;
    if (limits != NULL && found != NULL) {
        pcre2_set_match_limit(limits, match_limit);
        pcre2_set_depth_limit(limits, depth_limit);
        const char *text = subject.ptr == NULL ? "" : subject.ptr;
        /* A positive number, or 0 for more groups than room; below: no match, or a limit. */
        match = pcre2_match(regex, (PCRE2_SPTR)text, subject.len, 0, 0, found, limits) >= 0;
    }
    pcre2_match_data_free(found);
    pcre2_match_context_free(limits);
    return match;
}

static bool is_table(const char *pattern, fr_str space, fr_str name)
{
    return strlen(pattern) == space.len + 1 + name.len &&
           memcmp(pattern, space.ptr, space.len) == 0 && pattern[space.len] == '.' &&
           memcmp(pattern + space.len + 1, name.ptr, name.len) == 0;
}

static const fr_table_settings *match_exact(const fr_source_settings *s, fr_str space, fr_str name)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].regex == NULL && is_table(s->tables[i].pattern, space, name))
            return &s->tables[i];
    return NULL;
}

/* The first regex from index *i on; *i is then the one after it. */
static const fr_table_settings *match_regex(const fr_source_settings *s, fr_str space, fr_str name,
                                            size_t *i)
{
    const fr_table_settings *found = NULL;
    fr_arena *a = fr_arena_new(512);
    fr_str full = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(space), FR_ARG(name));
    for (; *i < s->table_count && found == NULL; ++*i)
        if (s->tables[*i].regex != NULL && fr_pattern_match(s->tables[*i].regex, full))
            found = &s->tables[*i];
    fr_arena_free(a);
    return found;
}

const fr_table_settings *fr_source_match(const fr_source_settings *s, fr_str space, fr_str name)
{
    size_t i = 0;
    const fr_table_settings *found = match_exact(s, space, name);
    if (found == NULL)
        found = match_regex(s, space, name, &i);
    return found == NULL || found->method == FR_METHOD_SKIP ? NULL : found;
}

bool fr_source_ambiguous(const fr_source_settings *s, fr_str space, fr_str name,
                         const fr_table_settings **one, const fr_table_settings **other)
{
    size_t i = 0;
    if (match_exact(s, space, name) != NULL)
        return false;
    const fr_table_settings *first = match_regex(s, space, name, &i);
    const fr_table_settings *second = first == NULL ? NULL : match_regex(s, space, name, &i);
    if (second == NULL)
        return false;
    *one = first;
    *other = second;
    return true;
}

bool fr_table_messages(const fr_table_settings *t, fr_str *prefix_out)
{
    static const char space[] = FR_MESSAGES_SPACE ".";
    if (t->regex != NULL || strncmp(t->pattern, space, sizeof(space) - 1) != 0)
        return false;
    *prefix_out = fr_cstr(t->pattern + sizeof(space) - 1);
    return true;
}

const fr_contract *fr_contract_file(const fr_source_settings *s, const fr_table_settings *t,
                                    fr_str topic)
{
    if (t->schema_contract != NULL || t->outbox.on)
        return t->outbox.on ? NULL : t->contract;
    for (size_t i = 0; i < s->contract_count; i++)
        if (fr_str_is(topic, s->contracts[i].topic))
            return &s->contracts[i];
    return NULL;
}

bool fr_table_polled(const fr_table_settings *t)
{
    return t->method == FR_METHOD_QUERY || t->method == FR_METHOD_OUTBOX ||
           t->method == FR_METHOD_TRIGGER || t->method == FR_METHOD_SNAPSHOT;
}

bool fr_table_emptied(const fr_table_settings *t)
{
    return t->method == FR_METHOD_TRIGGER || (t->method == FR_METHOD_OUTBOX && t->outbox.clean_up);
}

const char *fr_table_cursor(const fr_table_settings *t)
{
    bool kept = t->method == FR_METHOD_OUTBOX && !t->outbox.clean_up;
    return t->poll_column == NULL && kept ? t->outbox.id : t->poll_column;
}

bool fr_source_polled(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (fr_table_polled(&s->tables[i]))
            return true;
    return false;
}

bool fr_source_asks_busy(const fr_source_settings *s)
{
    return s->throttle_max_lag_us > 0 || s->throttle_max_load != NULL || s->throttle_query != NULL;
}

bool fr_source_bounded(const fr_source_settings *s)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (fr_table_polled(&s->tables[i]) && !fr_table_emptied(&s->tables[i]) &&
            s->tables[i].method != FR_METHOD_SNAPSHOT)
            return true;
    return false;
}

bool fr_source_debezium(const fr_source_settings *s)
{
    bool any = false;
    for (size_t i = 0; i < s->table_count; i++) {
        const fr_table_settings *t = &s->tables[i];
        if (t->method == FR_METHOD_SKIP || t->envelope == FR_ENVELOPE_RAW)
            continue;
        if (t->envelope != FR_ENVELOPE_DEBEZIUM)
            return false;
        any = true;
    }
    return any;
}

bool fr_table_compared(const fr_table_settings *t)
{
    return t->method == FR_METHOD_SNAPSHOT ||
           (t->method == FR_METHOD_QUERY && t->poll_deletes == 2);
}

bool fr_table_key_before(const fr_table_settings *t)
{
    bool left_out = t->method == FR_METHOD_QUERY && t->filter != NULL && !t->append_only;
    return (fr_table_compared(t) || left_out) && t->envelope != FR_ENVELOPE_STATE;
}

int fr_sink_match(const fr_sink_settings *s, fr_str topic)
{
    for (size_t i = 0; i < s->from.count; i++) {
        void *regex = s->from_regex[i];
        if (regex == NULL ? fr_str_is(topic, s->from.items[i]) : fr_pattern_match(regex, topic))
            return (int)i;
    }
    return -1;
}

static bool rules_are_exact(const fr_topic_settings *t, fr_str topic)
{
    return t->shape.regex == NULL && fr_str_is(topic, t->shape.pattern);
}

static const fr_topic_settings *exact_rules(const fr_sink_settings *s, fr_str topic)
{
    for (size_t i = 0; i < s->topic_count; i++)
        if (rules_are_exact(&s->topics[i], topic))
            return &s->topics[i];
    return NULL;
}

fr_rc fr_sink_topic(const fr_sink_settings *s, fr_str topic, const fr_topic_settings **out,
                    fr_err *err)
{
    uint32_t generation;
    const fr_topic_settings *found = exact_rules(s, topic);
    if (found == NULL)
        found = exact_rules(s, fr_topic_first(topic, &generation));
    bool exact = found != NULL;
    for (size_t i = 0; !exact && i < s->topic_count; i++) {
        const fr_topic_settings *t = &s->topics[i];
        if (t->shape.regex == NULL || !fr_pattern_match(t->shape.regex, topic))
            continue;
        if (found == NULL) {
            found = t;
            continue;
        }
        fr_fail(err, FR_ERR_CONFIG, "%s: topic %.*s: two patterns take it: %s (%s), %s (%s)",
                t->shape.place, FR_ARG(topic), found->shape.pattern, found->shape.place,
                t->shape.pattern, t->shape.place);
        fr_fail_code(err, "config.two_patterns");
        return fr_fail_hint(err, "make the patterns exclude each other, or name the topic");
    }
    *out = found;
    return FR_OK;
}

static const fr_pair *find_variable(const fr_pair *vars, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_is(name, vars[i].name))
            return &vars[i];
    return NULL;
}

fr_rc fr_template_expand(fr_arena *a, const char *template, const fr_pair *vars, size_t count,
                         fr_str *out, fr_err *err)
{
    fr_str made = {"", 0};
    const char *at = template;
    for (;;) {
        const char *open = strstr(at, "${");
        size_t plain = open == NULL ? strlen(at) : (size_t)(open - at);
        made = fr_arena_printf(a, "%.*s%.*s", FR_ARG(made), (int)plain, at);
        if (open == NULL)
            break;
        const char *close = strchr(open, '}');
        if (close == NULL) {
            fr_fail(err, FR_ERR_CONFIG, "template `%s`: ${ without }", template);
            return fr_fail_code(err, "config.bad_template");
        }
        fr_str name = {open + 2, (size_t)(close - open - 2)};
        const fr_pair *var = find_variable(vars, count, name);
        if (var == NULL) {
            fr_fail(err, FR_ERR_CONFIG, "template `%s`: unknown variable ${%.*s}", template,
                    FR_ARG(name));
            return fr_fail_code(err, "config.unknown_variable");
        }
        made = fr_arena_printf(a, "%.*s%s", FR_ARG(made), var->value);
        at = close + 1;
    }
    *out = made;
    return FR_OK;
}

fr_str fr_template_piece(const char *at, bool *variable)
{
    const char *open = strstr(at, "${");
    const char *close = open == at ? strchr(at, '}') : NULL;
    *variable = close != NULL;
    if (close != NULL)
        return (fr_str){at + 2, (size_t)(close - at) - 2};
    return (fr_str){at, open == NULL || open == at ? strlen(at) : (size_t)(open - at)};
}

/* Whatever is no variable of every route is a column. */
static bool is_variable(fr_str name)
{
    static const char *const names[] = {"source", "prefix", "space", "table", "topic"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (fr_str_is(name, names[i]))
            return true;
    return false;
}

void fr_outbox_route_columns(fr_arena *a, const char *route, fr_str **out, size_t *count_out)
{
    const char *at = route != NULL ? route : "";
    *out = fr_arena_alloc(a, (strlen(at) + 1) * sizeof **out);
    *count_out = 0;
    while (*at != '\0') {
        bool variable;
        fr_str piece = fr_template_piece(at, &variable);
        at += piece.len + (variable ? 3 : 0);
        if (variable && !is_variable(piece))
            (*out)[(*count_out)++] = piece;
    }
}

/* "erp.public.orders": two dots. */
static bool has_space(fr_str topic)
{
    size_t dots = 0;
    for (size_t i = 0; i < topic.len; i++)
        dots += topic.ptr[i] == '.';
    return dots >= 2;
}

fr_rc fr_sink_target(const fr_sink_settings *s, fr_arena *a, fr_str topic, fr_str *space_out,
                     fr_str *name_out, fr_err *err)
{
    uint32_t generation;
    fr_str whole = fr_topic_first(topic, &generation);
    if (!has_space(whole)) { /* "erp.public.v2" is a table's own */
        whole = topic;
        generation = 1;
    }
    fr_str part[3] = {{"", 0}, {"", 0}, whole};
    const char *first = whole.len == 0 ? NULL : memchr(whole.ptr, '.', whole.len);
    if (first != NULL) {
        part[0] = (fr_str){whole.ptr, (size_t)(first - whole.ptr)};
        part[2] = (fr_str){first + 1, whole.len - part[0].len - 1};
    }
    const char *second = first == NULL ? NULL : memchr(part[2].ptr, '.', part[2].len);
    if (second != NULL) {
        part[1] = (fr_str){part[2].ptr, (size_t)(second - part[2].ptr)};
        part[2] = (fr_str){second + 1, part[2].len - part[1].len - 1};
    }
    if (generation > 1)
        part[2] = fr_arena_printf(a, "%.*s_v%u", FR_ARG(part[2]), (unsigned)generation);
    const fr_pair vars[] = {{"source", fr_arena_cstr(a, part[0])},
                            {"prefix", fr_arena_cstr(a, part[0])},
                            {"space", fr_arena_cstr(a, part[1])},
                            {"table", fr_arena_cstr(a, part[2])},
                            {"topic", fr_arena_cstr(a, topic)}};
    fr_str into = {"", 0};
    const fr_topic_settings *rules = NULL;
    FR_TRY(fr_sink_topic(s, topic, &rules, err));
    const char *template = rules != NULL && rules->into != NULL ? rules->into : s->into;
    FR_TRY(fr_template_expand(a, template, vars, sizeof(vars) / sizeof(vars[0]), &into, err));
    const char *dot = into.len == 0 ? NULL : memchr(into.ptr, '.', into.len);
    *space_out = dot == NULL ? FR_STR("") : (fr_str){into.ptr, (size_t)(dot - into.ptr)};
    *name_out = dot == NULL ? into : (fr_str){dot + 1, into.len - (size_t)(dot + 1 - into.ptr)};
    return FR_OK;
}

/* Of exactly so many digits. */
static bool digits(const char **at, int count, int *out)
{
    for (*out = 0; count > 0; count--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (**at - '0');
    }
    return true;
}

bool fr_instant_parse(const char *text, int64_t *ms_out)
{
    static const char between[] = "--T::Z";
    static const int lengths[] = {4, 2, 2, 2, 2, 2}, most[] = {9999, 12, 31, 23, 59, 59};
    int part[6];
    for (int i = 0; i < 6; i++)
        if (!digits(&text, lengths[i], &part[i]) || part[i] > most[i] || *text++ != between[i])
            return false;
    int64_t days = fr_days_from_civil(part[0], (unsigned)part[1], (unsigned)part[2]), year;
    unsigned month, day;
    fr_civil_from_days(days, &year, &month, &day);
    bool real = part[0] >= 1970 && year == part[0] && month == (unsigned)part[1] &&
                day == (unsigned)part[2];
    *ms_out = (days * 86400 + part[3] * 3600 + part[4] * 60 + part[5]) * 1000;
    return real && *text == '\0';
}

fr_rc fr_table_blame_where(const fr_table_settings *t, fr_err *err)
{
    if (err->kind != FR_ERR_CONFIG || t->snapshot_where == NULL)
        return FR_IDLE;
    return fr_fail_hint(err, "correct snapshot.where (%s)",
                        t->place != NULL ? t->place : "configuration");
}
