/* Names that a person or a program gives: of a source, of one of its tables. */
#include "connect/option.h"
#include "control/config_load.h"
#include "model/name.h"
#include <string.h>

enum { NAMES_MAX = 256 }; /* that a did-you-mean looks at */

fr_rc fr_config_source(const fr_config *c, fr_str name, size_t *out, fr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c->source_count; i++) {
        if (fr_str_is(name, c->sources[i].name)) {
            *out = i;
            return FR_OK;
        }
        if (n < NAMES_MAX)
            names[n++] = c->sources[i].name;
    }
    const char *near = fr_nearest(name, names, n);
    fr_fail(err, FR_ERR_CONFIG, "there is no source `%.*s`", FR_ARG(name));
    fr_fail_code(err, "cli.no_source");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s`?", near)
                        : fr_fail_hint(err, "freshet config show lists them under sources:");
}

static fr_rc not_captured(const fr_source_settings *s, fr_str table, fr_err *err)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->table_count && n < NAMES_MAX; i++)
        if (s->tables[i].regex == NULL)
            names[n++] = s->tables[i].pattern;
    const char *near = fr_nearest(table, names, n);
    fr_fail(err, FR_ERR_CONFIG, "source %s does not capture `%.*s`", s->name, FR_ARG(table));
    fr_fail_code(err, "cli.no_table");
    return near != NULL ? fr_fail_hint(err, "did you mean `%s/%s`?", s->name, near)
                        : fr_fail_hint(err, "add it to the source's tables");
}

fr_rc fr_config_table(const fr_config *c, const char *word, fr_config_place *out, fr_err *err)
{
    const char *slash = strchr(word, '/'), *dot = slash == NULL ? NULL : strchr(slash, '.');
    if (dot == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "`%s` names no table of a source", word);
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "write source/space.table");
    }
    fr_config_place p = {.space = {slash + 1, (size_t)(dot - slash - 1)}, .name = fr_cstr(dot + 1)};
    FR_TRY(fr_config_source(c, (fr_str){word, (size_t)(slash - word)}, &p.source, err));
    p.table = fr_source_match(&c->sources[p.source], p.space, p.name);
    if (p.table == NULL)
        return not_captured(&c->sources[p.source], fr_cstr(slash + 1), err);
    *out = p;
    return FR_OK;
}

fr_rc fr_config_snapshot_table(const fr_config *c, const char *word, fr_config_place *out,
                               fr_err *err)
{
    fr_config_place p;
    FR_TRY(fr_config_table(c, word, &p, err));
    if (fr_source_polled(&c->sources[p.source])) {
        fr_fail(err, FR_ERR_CONFIG, "source %s is polled: its tables have no snapshots",
                c->sources[p.source].name);
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "freshet position reset %s reads all of them from the beginning",
                            c->sources[p.source].name);
    }
    if (p.table->outbox.on) {
        fr_fail(err, FR_ERR_CONFIG, "`%.*s.%.*s` is an outbox: its events would come again",
                FR_ARG(p.space), FR_ARG(p.name));
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "insert rows that are to be sent again as new ones");
    }
    if (p.table->snapshot_mode != 0) {
        fr_fail(err, FR_ERR_CONFIG, "source %s never takes snapshots of `%.*s.%.*s`",
                c->sources[p.source].name, FR_ARG(p.space), FR_ARG(p.name));
        fr_fail_code(err, "cli.no_table");
        return fr_fail_hint(err, "set its snapshot.mode to initial");
    }
    *out = p;
    return FR_OK;
}

bool fr_sink_takes(fr_arena *a, const fr_sink_settings *s, size_t from, const fr_map *topics)
{
    enum { GENERATIONS = 9 };
    size_t i = 0;
    fr_str topic;
    while (fr_map_next(topics, &i, &topic, NULL)) {
        for (uint32_t k = 1; k <= GENERATIONS; k++) {
            fr_str name = fr_topic_generation(a, topic, k);
            void *regex = s->from_regex[from];
            if (regex == NULL ? fr_str_is(name, s->from.items[from])
                              : fr_pattern_match(regex, name))
                return true;
        }
    }
    return false;
}
