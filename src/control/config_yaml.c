#include "control/config_load.h"
#include <string.h>
#include <yaml.h>

/* Deeper than any configuration, shallower than any stack. */
enum { max_depth = 32, max_aliases = 16 };

typedef struct anchor {
    fr_str name;
    fr_node *node;
} anchor;

typedef struct reader {
    fr_loader *l;
    const fr_text_file *file;
    yaml_parser_t parser;
    anchor anchors[max_aliases];
    size_t anchor_count, alias_count;
} reader;

void fr_node_add(fr_arena *a, fr_node *n, fr_str key, fr_place place, fr_node *value)
{
    if (n->count == n->cap) {
        size_t cap = n->cap == 0 ? 4 : n->cap * 2;
        fr_member *more = fr_arena_alloc(a, cap * sizeof(*more));
        if (n->count > 0)
            memcpy(more, n->members, n->count * sizeof(*more));
        n->members = more;
        n->cap = cap;
    }
    n->members[n->count++] = (fr_member){key, place, value};
}

fr_member *fr_node_find(const fr_node *map, fr_str key)
{
    for (size_t i = 0; i < map->count; i++)
        if (fr_str_eq(map->members[i].key, key))
            return &map->members[i];
    return NULL;
}

static fr_place place_of(const reader *r, yaml_mark_t mark)
{
    return (fr_place){r->file, (int)mark.line + 1, (int)mark.column + 1};
}

static void report_syntax(reader *r)
{
    yaml_parser_t *p = &r->parser;
    const char *why = p->problem == NULL ? "cannot be read" : p->problem;
    fr_place place = place_of(r, p->problem_mark);
    if (p->error == YAML_READER_ERROR) {
        place = (fr_place){r->file, 0, 0};
        fr_problem *bad = fr_problem_add(r->l, false, "config.not_utf8", place, NULL,
                                         "%s at byte %zu", why, p->problem_offset);
        fr_problem_hint(r->l, bad, "save the file as UTF-8");
        return;
    }
    const char *context = p->context == NULL ? "" : p->context;
    fr_problem *bad = fr_problem_add(r->l, false, "config.syntax", place, NULL, "%s%s%s", why,
                                     *context == 0 ? "" : ", ", context);
    fr_problem_hint(r->l, bad, "look at the indentation, and at quotes and colons, up to here");
}

static bool next_event(reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return true;
    report_syntax(r);
    return false;
}

static fr_node *read_node(reader *r, yaml_event_t *e, int depth);

static fr_node *node_new(reader *r, fr_node_kind kind, const yaml_event_t *e)
{
    fr_node *n = fr_arena_alloc(r->l->a, sizeof(*n));
    n->kind = kind;
    n->place = place_of(r, e->start_mark);
    return n;
}

static bool refuse_tag(reader *r, const yaml_event_t *e, const yaml_char_t *tag)
{
    if (tag == NULL)
        return true;
    fr_problem *p = fr_problem_add(r->l, false, "config.tag", place_of(r, e->start_mark), NULL,
                                   "tags are not allowed: %s", (const char *)tag);
    fr_problem_hint(r->l, p, "leave it out: the key decides the type");
    return false;
}

static bool keep_anchor(reader *r, const yaml_event_t *e, const yaml_char_t *name, fr_node *n)
{
    if (name == NULL)
        return true;
    if (r->anchor_count == max_aliases) {
        fr_problem_add(r->l, false, "config.aliases", place_of(r, e->start_mark), NULL,
                       "more than %d anchors", max_aliases);
        return false;
    }
    fr_str copy = fr_arena_str(r->l->a, fr_cstr((const char *)name));
    r->anchors[r->anchor_count++] = (anchor){copy, n};
    return true;
}

static fr_node *read_alias(reader *r, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.alias.anchor;
    if (++r->alias_count > max_aliases) {
        fr_problem *p = fr_problem_add(r->l, false, "config.aliases", place_of(r, e->start_mark),
                                       NULL, "more than %d aliases", max_aliases);
        fr_problem_hint(r->l, p, "put what tables share under defaults:");
        return NULL;
    }
    for (size_t i = r->anchor_count; i > 0; i--)
        if (fr_str_is(r->anchors[i - 1].name, name))
            return r->anchors[i - 1].node;
    fr_problem_add(r->l, false, "config.aliases", place_of(r, e->start_mark), NULL,
                   "unknown anchor *%s", name);
    return NULL;
}

static fr_node *read_scalar(reader *r, const yaml_event_t *e)
{
    if (!refuse_tag(r, e, e->data.scalar.tag))
        return NULL;
    fr_node *n = node_new(r, FR_NODE_TEXT, e);
    fr_str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    n->text = (fr_str){fr_arena_cstr(r->l->a, text), text.len};
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return keep_anchor(r, e, e->data.scalar.anchor, n) ? n : NULL;
}

static fr_node *read_list(reader *r, const yaml_event_t *start, int depth)
{
    if (!refuse_tag(r, start, start->data.sequence_start.tag))
        return NULL;
    fr_node *list = node_new(r, FR_NODE_LIST, start);
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return NULL;
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        fr_node *item = end ? NULL : read_node(r, &e, depth + 1);
        yaml_event_delete(&e);
        if (end)
            return keep_anchor(r, start, start->data.sequence_start.anchor, list) ? list : NULL;
        if (item == NULL)
            return NULL;
        fr_node_add(r->l->a, list, (fr_str){NULL, 0}, item->place, item);
    }
}

/* A key that may be added; the others are reported and left out. */
static bool good_key(reader *r, const fr_node *map, const fr_node *key)
{
    if (key->kind != FR_NODE_TEXT) {
        fr_problem_add(r->l, false, "config.syntax", key->place, NULL, "a key must be a text");
        return false;
    }
    if (key->plain && fr_str_is(key->text, "<<")) {
        fr_problem *p = fr_problem_add(r->l, false, "config.merge_key", key->place, NULL,
                                       "merge keys (<<) are not allowed");
        fr_problem_hint(r->l, p, "put what tables share under defaults: or a /regex/ pattern");
        return false;
    }
    const fr_member *twin = fr_node_find(map, key->text);
    if (twin == NULL)
        return true;
    fr_problem *p = fr_problem_add(r->l, false, "config.duplicate_key", key->place, NULL,
                                   "`%.*s` is there twice", FR_ARG(key->text));
    fr_problem_hint(r->l, p, "the first is in line %d: leave one of them out", twin->place.line);
    return false;
}

static fr_node *read_map(reader *r, const yaml_event_t *start, int depth)
{
    if (!refuse_tag(r, start, start->data.mapping_start.tag))
        return NULL;
    fr_node *map = node_new(r, FR_NODE_MAP, start);
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return NULL;
        bool end = e.type == YAML_MAPPING_END_EVENT;
        fr_node *key = end ? NULL : read_node(r, &e, depth + 1);
        yaml_event_delete(&e);
        if (end)
            return keep_anchor(r, start, start->data.mapping_start.anchor, map) ? map : NULL;
        if (key == NULL || !next_event(r, &e))
            return NULL;
        fr_node *value = read_node(r, &e, depth + 1);
        yaml_event_delete(&e);
        if (value == NULL)
            return NULL;
        if (good_key(r, map, key))
            fr_node_add(r->l->a, map, key->text, key->place, value);
    }
}

/* NULL after the problem was reported. */
static fr_node *read_node(reader *r, yaml_event_t *e, int depth)
{
    if (depth > max_depth) {
        fr_problem_add(r->l, false, "config.syntax", place_of(r, e->start_mark), NULL,
                       "nested deeper than %d levels", max_depth);
        return NULL;
    }
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(r, e);
    case YAML_SCALAR_EVENT:
        return read_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, e, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, e, depth);
    default:
        fr_problem_add(r->l, false, "config.syntax", place_of(r, e->start_mark), NULL,
                       "a value was expected");
        return NULL;
    }
}

/* libyaml's own message about a tab sends people looking for a bad character. */
static bool check_tabs(fr_loader *l, const fr_text_file *file)
{
    bool good = true;
    int line = 1, column = 1;
    bool indent = true;
    for (size_t i = 0; i < file->text.len; i++, column++) {
        char c = file->text.ptr[i];
        if (c == '\n') {
            line++;
            column = 0;
            indent = true;
        } else if (c == '\t' && indent) {
            fr_place place = {file, line, column};
            fr_problem *p =
                fr_problem_add(l, false, "config.tab", place, NULL, "a tab in the indentation");
            fr_problem_hint(l, p, "indent with spaces");
            good = indent = false;
        } else if (c != ' ') {
            indent = false;
        }
    }
    return good;
}

static fr_node *read_documents(reader *r)
{
    fr_node *root = NULL;
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return NULL;
        yaml_event_type_t type = e.type;
        fr_place place = place_of(r, e.start_mark);
        bool node = type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                    type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT;
        bool second = node && root != NULL;
        fr_node *n = node && !second ? read_node(r, &e, 0) : NULL;
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT)
            return root;
        if (second) {
            fr_problem_add(r->l, false, "config.documents", place, NULL,
                           "a second document (---) in one file");
            return NULL;
        }
        if (node && n == NULL)
            return NULL;
        root = n != NULL ? n : root;
    }
}

fr_node *fr_yaml_read(fr_loader *l, const fr_text_file *file)
{
    if (!check_tabs(l, file))
        return NULL;
    reader r = {.l = l, .file = file};
    if (!yaml_parser_initialize(&r.parser)) {
        fr_problem_add(l, false, "config.syntax", (fr_place){file, 0, 0}, NULL,
                       "the YAML parser cannot start");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const yaml_char_t *)file->text.ptr, file->text.len);
    size_t errors = l->error_count;
    fr_node *root = read_documents(&r);
    yaml_parser_delete(&r.parser);
    if (root == NULL && l->error_count == errors) {
        fr_problem *p = fr_problem_add(l, false, "config.empty", (fr_place){file, 0, 0}, NULL,
                                       "the file is empty");
        fr_problem_hint(l, p, "begin with version: 1 and name:");
    }
    return root;
}
