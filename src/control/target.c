#include "control/target.h"
#include "connect/option.h"
#include <string.h>

enum { NAMES_MAX = 256 }; /* that a did-you-mean looks at */

static fr_rc find_sink(const fr_config *c, fr_str name, size_t *out, fr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c->sink_count; i++) {
        if (fr_str_is(name, c->sinks[i].name)) {
            *out = i;
            return FR_OK;
        }
        if (n < NAMES_MAX)
            names[n++] = c->sinks[i].name;
    }
    const char *near = fr_nearest(name, names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no sink `%.*s`", FR_ARG(name));
    fr_fail_code(err, "cli.no_sink");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s`?", near)
                        : fr_fail_hint(err, "freshet config show lists them under sinks:");
}

/* Does the sink take this topic? */
static fr_rc check_topic(const fr_sink_settings *s, fr_str topic, fr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    if (fr_sink_match(s, topic) >= 0)
        return FR_OK;
    for (size_t i = 0; i < s->from.count && n < NAMES_MAX; i++)
        if (s->from_regex[i] == NULL)
            names[n++] = s->from.items[i];
    const char *near = fr_nearest(topic, names, n);
    fr_fail(err, FR_ERR_CONFIG, "sink %s does not read topic `%.*s`", s->name, FR_ARG(topic));
    fr_fail_code(err, "cli.no_table");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s/%s`?", s->name, near)
                        : fr_fail_hint(err, "its topics are those of sinks.%s.from", s->name);
}

static fr_rc ambiguous(const char *word, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "`%s` is both a source's and a sink's", word);
    fr_fail_code(err, "cli.ambiguous");
    return fr_fail_hint(err, "say --sink for the sink, --source for the source");
}

/* ---- the part itself ---- */

static fr_rc no_part(const fr_config *c, const char *word, fr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c->source_count && n < NAMES_MAX; i++)
        names[n++] = c->sources[i].name;
    for (size_t i = 0; i < c->sink_count && n < NAMES_MAX; i++)
        names[n++] = c->sinks[i].name;
    const char *near = fr_nearest(fr_cstr(word), names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no source or sink `%s`", word);
    fr_fail_code(err, "cli.no_target");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s`?", near)
                        : fr_fail_hint(err, "a table is source/space.table; freshet status lists "
                                            "what there is");
}

static fr_rc find_part(const fr_config *c, const char *word, fr_target_of of, fr_will_target *out,
                       fr_err *err)
{
    size_t i;
    fr_err other;
    fr_str name = fr_cstr(word);
    bool source = of != FR_OF_SINKS && fr_config_source(c, name, &i, err) == FR_OK;
    bool sink =
        of != FR_OF_SOURCES && find_sink(c, name, &i, of == FR_OF_SINKS ? err : &other) == FR_OK;
    if (source && sink)
        return ambiguous(word, err);
    if (!source && !sink)
        return of == FR_OF_SOURCES || of == FR_OF_SINKS ? FR_FAIL : no_part(c, word, err);
    *out = (fr_will_target){
        .kind = sink ? FR_WILL_SINK : FR_WILL_SOURCE, .part = name, .name = FR_STR("")};
    return FR_OK;
}

/* ---- what it has ---- */

static fr_rc find_topic(const fr_config *c, const char *word, const char *slash,
                        fr_will_target *out, fr_err *err)
{
    size_t i;
    fr_str part = {word, (size_t)(slash - word)}, topic = fr_cstr(slash + 1);
    FR_TRY(find_sink(c, part, &i, err));
    FR_TRY(check_topic(&c->sinks[i], topic, err));
    *out = (fr_will_target){.kind = FR_WILL_TOPIC, .part = part, .name = topic};
    return FR_OK;
}

static fr_rc find_table(const fr_config *c, const char *word, const char *slash,
                        fr_will_target *out, fr_err *err)
{
    fr_config_place p;
    FR_TRY(fr_config_table(c, word, &p, err));
    *out = (fr_will_target){
        .kind = FR_WILL_TABLE, .part = {word, (size_t)(slash - word)}, .name = fr_cstr(slash + 1)};
    return FR_OK;
}

static fr_rc find_member(const fr_config *c, const char *word, const char *slash, fr_target_of of,
                         fr_will_target *out, fr_err *err)
{
    fr_will_target table, topic;
    fr_err other;
    size_t i;
    fr_str part = {word, (size_t)(slash - word)};
    bool has_sink = find_sink(c, part, &i, &other) == FR_OK;
    bool is_table = of != FR_OF_SINKS && find_table(c, word, slash, &table, err) == FR_OK;
    bool is_topic =
        of != FR_OF_SOURCES &&
        find_topic(c, word, slash, &topic, has_sink && !is_table ? err : &other) == FR_OK;
    if (is_table && is_topic)
        return ambiguous(word, err);
    if (!is_table && !is_topic) {
        if (of == FR_OF_SINKS && !has_sink)
            *err = other;
        return FR_FAIL;
    }
    *out = is_table ? table : topic;
    return FR_OK;
}

fr_rc fr_target_find(const fr_config *c, const char *word, fr_target_of of, fr_will_target *out,
                     fr_err *err)
{
    const char *slash = strchr(word, '/');
    if (slash != NULL)
        return find_member(c, word, slash, of, out, err);
    if (of != FR_OF_TABLES)
        return find_part(c, word, of, out, err);
    fr_fail(err, FR_ERR_CONFIG, "`%s` names no table of a source and no topic of a sink", word);
    fr_fail_code(err, "cli.no_table");
    return fr_fail_hint(err, "write source/space.table, or sink/topic");
}
