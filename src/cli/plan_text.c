/* A plan on paper: for a person, as JSON, as SQL for the DBA. */
#include "cli/plan.h"
#include <string.h>

void fr_look_print(fr_look *l)
{
    json_t *sections = json_array();
    for (size_t i = 0; i < l->section_count; i++) {
        fr_plan_section *s = &l->sections[i];
        json_t *list = json_array();
        fr_buf_printf(&l->cli->out, "%s\n", s->title);
        for (size_t k = 0; k < s->findings.count; k++) {
            const fr_finding *f = &s->findings.items[k];
            json_array_append_new(list, fr_cli_finding_json(f));
            fr_cli_finding(l->cli, f);
        }
        json_array_append_new(sections,
                              json_pack("{s:s,s:o}", "title", s->title, "findings", list));
    }
    json_object_set_new(fr_cli_result(l->cli), "sections", sections);
    json_object_set_new(fr_cli_result(l->cli), "plan", fr_look_json(l));
    if (l->partial)
        fr_buf_text(&l->cli->out, "\nNot everything could be looked at, because of what failed "
                                  "above.\n");
    fr_buf_text(&l->cli->out, "\n");
}

json_t *fr_look_json(const fr_look *l)
{
    static const char *const kinds[] = {"topic", "subject", "table"};
    json_t *changes = json_array();
    for (size_t i = 0; i < l->todo_count; i++)
        json_array_append_new(changes, json_pack("{s:s,s:s}", "kind", kinds[l->todos[i].kind],
                                                 "name", l->todos[i].name));
    return json_pack("{s:i,s:s,s:s,s:o}", "version", 1, "pipeline", l->config->name, "hash",
                     l->hash, "changes", changes);
}

static void put_lines(fr_buf *b, const char *label, fr_str text)
{
    if (text.len > 0)
        fr_buf_printf(b, "--     %s %.*s\n", label, FR_ARG(text));
}

static size_t put_statements(fr_buf *b, const fr_look *l, fr_sql_cost class, size_t number)
{
    static const char *const names[] = {"No lock, no restart", "NEEDS A LOCK", "RESTART NEEDED"};
    for (size_t i = 0; i < l->section_count; i++) {
        const fr_plan_section *s = &l->sections[i];
        for (size_t k = 0; k < s->findings.count; k++) {
            const fr_finding *f = &s->findings.items[k];
            if (f->sql.len == 0 || f->class != class)
                continue;
            fr_buf_printf(b, "\n-- [%zu] %s   %s   (%s)\n", ++number, names[class], s->title,
                          f->code);
            put_lines(b, "What:", f->text);
            put_lines(b, "Why: ", f->why);
            put_lines(b, "Cost:", f->cost);
            put_lines(b, "Undo:", f->undo);
            bool ended = f->sql.ptr[f->sql.len - 1] == ';' || f->sql.ptr[f->sql.len - 1] == '\n';
            fr_buf_printf(b, "%.*s%s\n", FR_ARG(f->sql), ended ? "" : ";");
        }
    }
    return number;
}

void fr_look_sql(fr_buf *b, const fr_look *l)
{
    fr_buf_printf(b,
                  "-- For the DBA, by freshet %s for pipeline %s. Nothing here was run.\n"
                  "-- Grouped: restart, lock, harmless. Each with why, cost and undo.\n",
                  FR_VERSION, l->config->name);
    size_t n = put_statements(b, l, FR_SQL_RESTART, 0);
    n = put_statements(b, l, FR_SQL_LOCK, n);
    n = put_statements(b, l, FR_SQL_HARMLESS, n);
    if (n == 0)
        fr_buf_text(b, "\n-- There is nothing to do.\n");
}
