/* `tests:`: a list of maps, read by the same tables as everything else. What a row's values mean is
 * known only to who has its columns (cli/trial.c). */
#include "control/config_tests.h"
#include "control/config_load.h"
#include <string.h>

enum { MOST_TESTS = 10000 };

/* A plain `null` is none, "null" is a text. */
static bool is_null(const fr_node *n)
{
    return n->kind == FR_NODE_TEXT && n->plain &&
           (fr_str_is(n->text, "null") || fr_str_is(n->text, "Null") ||
            fr_str_is(n->text, "NULL") || fr_str_is(n->text, "~"));
}

static fr_cells cells_of(fr_loader *l, const fr_scope *s, const char *name, const fr_pairs *pairs)
{
    const fr_node *n = fr_scope_set_by(s, name);
    fr_cells out = {.said = n != NULL};
    fr_cell *items = fr_arena_alloc(l->a, (pairs->count + 1) * sizeof(*items));
    for (size_t i = 0; i < pairs->count; i++) {
        const fr_pair *p = &pairs->items[i];
        const fr_member *m = n == NULL ? NULL : fr_node_find(n, fr_cstr(p->name));
        items[i] = (fr_cell){p->name, m != NULL && is_null(m->value) ? NULL : p->value};
    }
    out.items = items;
    out.count = pairs->count;
    return out;
}

static fr_op op_of(int choice)
{
    static const fr_op ops[] = {FR_OP_INSERT, FR_OP_UPDATE, FR_OP_DELETE, FR_OP_READ};
    return ops[choice];
}

static void check_table(fr_loader *l, const fr_scope *s, const char *word)
{
    fr_config_place place;
    fr_err err;
    if (word == NULL || fr_config_table(l->config, word, &place, &err) == FR_OK)
        return;
    fr_problem_of(l, fr_scope_place(s, "table"), fr_path_join(l->a, s->path, FR_STR("table")),
                  &err);
}

/* Which rows an op has: without them nothing could come out. */
static void check_rows(fr_loader *l, const fr_scope *s, const fr_test *t)
{
    if (t->op == FR_OP_DELETE && !t->before.said)
        fr_scope_refuse(l, s, "config.missing_key", "given.before", "a delete has a row before",
                        "say its key: given: {op: delete, before: {id: 1}}");
    if (t->op != FR_OP_DELETE && !t->after.said)
        fr_scope_refuse(l, s, "config.missing_key", "given.after", "this op has a row after",
                        "given: {op: insert, after: {id: 1}}");
    if (t->op == FR_OP_DELETE && t->after.said)
        fr_scope_refuse(l, s, "config.conflict", "given.after", "a delete has no row after",
                        "remove it, or set given.op to update");
    if ((t->op == FR_OP_INSERT || t->op == FR_OP_READ) && t->before.said)
        fr_scope_refuse(l, s, "config.conflict", "given.before",
                        "insert and read have no row before",
                        "remove it, or set given.op to update");
}

static void check_wanted(fr_loader *l, const fr_scope *s, const fr_test *t)
{
    bool shape = t->topic != NULL || t->want_op != NULL || t->want_key.said ||
                 t->want_before.said || t->want_after.said;
    if (t->error != NULL && (shape || t->events > 0 || t->absent.count > 0))
        fr_scope_refuse(l, s, "config.conflict", "expect.error",
                        "with an error there are no events",
                        "remove the other keys of expect, or error");
    else if (t->events == 0 && (shape || t->absent.count > 0))
        fr_scope_refuse(l, s, "config.conflict", "expect.events",
                        "there is no event that could look like anything",
                        "remove the other keys of expect, or events: 0");
    else if (t->error == NULL && t->events < 0 && !shape && t->absent.count == 0)
        fr_scope_refuse(l, s, "config.missing_key", "expect", "nothing is expected",
                        "say what must come out: expect: {events: 1}, or topic, key, before, "
                        "after, absent, error");
}

static void read_test(fr_loader *l, const fr_node *n, size_t index, fr_test *out)
{
    static const char *const ops[] = {NULL, "insert", "update", "delete", "read"};
    const fr_section *section = fr_section_find("test");
    fr_test_fields *f = fr_arena_alloc(l->a, sizeof(*f));
    fr_scope *s =
        fr_scope_new(l, "test", fr_arena_cstr(l->a, fr_arena_printf(l->a, "tests[%zu]", index)));
    size_t before = l->error_count;
    fr_scope_part(l, s, section->options, f);
    fr_scope_read(l, s, n, NULL);
    fr_scope_required(l, s);
    *out = (fr_test){.name = f->name,
                     .table = f->table,
                     .place = fr_place_text(l->a, n->place),
                     .path = s->path,
                     .op = op_of(f->op),
                     .types = f->types,
                     .before = cells_of(l, s, "given.before", &f->before),
                     .after = cells_of(l, s, "given.after", &f->after),
                     .events = fr_scope_set_by(s, "expect.events") == NULL ? -1 : f->events,
                     .want_op = ops[f->want_op],
                     .topic = f->topic,
                     .error = f->error,
                     .want_key = cells_of(l, s, "expect.key", &f->want_key),
                     .want_before = cells_of(l, s, "expect.before", &f->want_before),
                     .want_after = cells_of(l, s, "expect.after", &f->want_after),
                     .absent = f->absent};
    if (l->error_count > before)
        return; /* what follows from that would only repeat it */
    check_table(l, s, f->table);
    check_rows(l, s, out);
    check_wanted(l, s, out);
}

void fr_tests_read(fr_loader *l, const fr_node *root)
{
    const fr_member *m = fr_node_find(root, FR_STR("tests"));
    fr_config *c = l->config;
    if (m == NULL || (m->value->kind == FR_NODE_TEXT && m->value->text.len == 0))
        return;
    const fr_node *list = m->value;
    if (list->kind != FR_NODE_LIST || list->count > MOST_TESTS) {
        fr_problem *p = fr_problem_add(
            l, false, "config.bad_value", list->place, "tests",
            list->kind == FR_NODE_LIST ? "more than %d tests" : "a list belongs here", MOST_TESTS);
        fr_problem_hint(l, p,
                        "tests: [{name: ..., table: source/space.table, given: {...}, "
                        "expect: {...}}]");
        return;
    }
    fr_test *tests = fr_arena_alloc(l->a, (list->count + 1) * sizeof(*tests));
    for (size_t i = 0; i < list->count; i++)
        read_test(l, list->members[i].value, i, &tests[i]);
    c->tests = tests;
    c->test_count = list->count;
}
