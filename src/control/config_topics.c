/* A sink's rules for topics: sinks.<k>.topics. Which fields a topic's rows have is the registry's
 * to say. */
#include "control/config_load.h"
#include "transform/derive.h"
#include "transform/shape.h"
#include <string.h>

/* An entry of a map that was said here: what is wrong with it. */
static void refuse_entry(fr_loader *l, const fr_scope *s, const char *key, const char *name,
                         const char *what, const char *hint)
{
    const fr_node *map = fr_scope_set_by(s, key);
    const fr_member *m = map == NULL ? NULL : fr_node_find(map, fr_cstr(name));
    const char *path = fr_arena_cstr(l->a, fr_arena_printf(l->a, "%s.%s", s->path, key));
    fr_place place = m == NULL ? fr_scope_place(s, key) : m->value->place;
    fr_problem *p = fr_problem_add(l, false, "config.bad_value", place,
                                   fr_path_join(l->a, path, fr_cstr(name)), "%s", what);
    fr_problem_hint(l, p, "%s", hint);
}

static void check_types(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    int16_t precision, scale;
    for (size_t i = 0; i < t->column_types.count; i++) {
        const fr_pair *pair = &t->column_types.items[i];
        if (fr_pairs_get(&t->column_derive, fr_cstr(pair->name)) == NULL)
            refuse_entry(l, s, "columns.types", pair->name, "it is no field of columns.derive",
                         "a column's type is that of its message: derive another field from it, "
                         "with CAST");
        else if (fr_derive_kind(pair->value, &precision, &scale) == FR_NULL)
            refuse_entry(l, s, "columns.types", pair->name, "a field cannot have this type",
                         "boolean, int, long, double, string, bytes or decimal(p,s)");
    }
}

static void check_message(fr_loader *l, const fr_scope *s, const fr_pairs *said)
{
    for (size_t i = 0; i < said->count; i++)
        if (fr_shape_message_kind(said->items[i].value) == FR_NULL)
            refuse_entry(l, s, "columns.message", said->items[i].name,
                         "a message does not say this of itself", fr_shape_message_words);
}

static void check_taken(fr_loader *l, const fr_sink_settings *s, const fr_member *m,
                        const char *path)
{
    if (fr_sink_match(s, m->key) >= 0)
        return;
    fr_problem *p = fr_problem_add(l, false, "config.conflict", m->place, path,
                                   "from does not take the topic %.*s", FR_ARG(m->key));
    fr_problem_hint(l, p, "add it to from, or correct its name");
}

static void read_topic(fr_loader *l, const fr_sink_settings *s, const fr_member *m,
                       const char *path, fr_topic_settings *t)
{
    fr_scope *scope = fr_scope_new(l, "topic", path);
    fr_scope_part(l, scope, fr_section_find("topic")->options, t);
    fr_scope_read(l, scope, m->value, NULL);
    fr_scope_keep(l, scope);
    t->shape.pattern = fr_arena_cstr(l->a, m->key);
    t->shape.place = fr_place_text(l->a, m->place);
    fr_err err;
    if (fr_pattern_compile(t->shape.pattern, &t->shape.regex, &err) == FR_FAIL)
        fr_problem_of(l, m->place, path, &err);
    else if (t->shape.regex == NULL)
        check_taken(l, s, m, path);
    fr_regex_keep(l, t->shape.regex);
    fr_derive_read(l, scope, &t->shape);
    check_types(l, scope, &t->shape);
    check_message(l, scope, &t->message);
}

void fr_topics_read(fr_loader *l, fr_sink_settings *s, const fr_node *map, const char *path)
{
    s->topics = fr_arena_alloc(l->a, (map->count + 1) * sizeof(*s->topics));
    for (size_t i = 0; i < map->count; i++) {
        const fr_member *m = &map->members[i];
        read_topic(l, s, m, fr_path_join(l->a, path, m->key), &s->topics[s->topic_count++]);
    }
}
