/* Lineage as a graph: Graphviz and Mermaid. Names are whatever a database allows, so ids are
 * numbers and all that a reader could take for syntax is escaped. */
#include "cli/lineage.h"
#include <string.h>

typedef struct graph {
    fr_buf *b;
    const fr_lineage *l;
    bool mermaid;
    size_t next; /* number of the next node */
    size_t groups;
} graph;

/* Graphviz: "..." with \ and " escaped, on one line. Source: graphviz.org/doc/info/lang.html. */
static void put_dot(fr_buf *b, fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            fr_buf_u8(b, '\\');
        fr_buf_u8(b, c < 0x20 || c == 0x7F ? ' ' : c);
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c != 0 && strchr(" _.,/-", c) != NULL);
}

/* Mermaid: #NN; of whatever is not plain. Source: mermaid.js.org/syntax/flowchart.html, "Entity
 * codes to escape characters". */
static void put_mermaid(fr_buf *b, fr_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7F)
            fr_buf_u8(b, ' ');
        else if (is_plain(c))
            fr_buf_u8(b, c);
        else
            fr_buf_printf(b, "#%u;", c);
    }
}

static void put_label(graph *g, fr_str s)
{
    if (g->mermaid)
        put_mermaid(g->b, s);
    else
        put_dot(g->b, s);
}

static void open_group(graph *g, fr_str label)
{
    fr_buf_printf(g->b,
                  g->mermaid ? "  subgraph g%zu[\"" : "  subgraph cluster_%zu {\n    label=\"",
                  g->groups++);
    put_label(g, label);
    fr_buf_text(g->b, g->mermaid ? "\"]\n" : "\";\n");
}

static void close_group(graph *g)
{
    fr_buf_text(g->b, g->mermaid ? "  end\n" : "  }\n");
}

static size_t put_node(graph *g, fr_str label, const char *note)
{
    size_t id = g->next++;
    fr_buf_printf(g->b, g->mermaid ? "    n%zu[\"" : "    n%zu [label=\"", id);
    put_label(g, label);
    fr_buf_text(g->b, note);
    fr_buf_text(g->b, g->mermaid ? "\"]\n" : "\"];\n");
    return id;
}

static void put_edge(graph *g, size_t from, size_t to, fr_str label)
{
    if (g->mermaid && label.len > 0) {
        fr_buf_printf(g->b, "  n%zu -->|\"", from);
        put_label(g, label);
        fr_buf_printf(g->b, "\"| n%zu\n", to);
    } else if (g->mermaid) {
        fr_buf_printf(g->b, "  n%zu --> n%zu\n", from, to);
    } else if (label.len > 0) {
        fr_buf_printf(g->b, "  n%zu -> n%zu [label=\"", from, to);
        put_label(g, label);
        fr_buf_text(g->b, "\"];\n");
    } else {
        fr_buf_printf(g->b, "  n%zu -> n%zu;\n", from, to);
    }
}

/* Columns of the table, each once, and where their nodes are. */
typedef struct columns {
    fr_str *names;
    size_t *nodes;
    size_t count;
} columns;

static columns columns_of(const fr_lineage *l, const fr_lineage_stream *s)
{
    size_t most = 1;
    for (size_t i = 0; i < s->field_count; i++)
        most += s->fields[i].from_count;
    columns c = {fr_arena_alloc(l->arena, most * sizeof(*c.names)),
                 fr_arena_alloc(l->arena, most * sizeof(*c.nodes)), 0};
    for (size_t i = 0; i < s->field_count; i++)
        for (size_t k = 0; k < s->fields[i].from_count; k++) {
            fr_str name = s->fields[i].from[k];
            bool known = false;
            for (size_t j = 0; j < c.count; j++)
                known = known || fr_str_eq(c.names[j], name);
            if (!known)
                c.names[c.count++] = name;
        }
    return c;
}

static fr_str edge_label(const fr_lineage_field *f)
{
    return f->expression != NULL ? fr_cstr(f->expression) : fr_lineage_mask(f);
}

static void put_sources(graph *g, const fr_lineage_stream *s, columns *c)
{
    if (s->source == FR_LINEAGE_FOREIGN)
        return;
    open_group(g, fr_lineage_table(g->l, s));
    for (size_t i = 0; i < c->count; i++)
        c->nodes[i] = put_node(g, c->names[i], "");
    if (c->count == 0)
        put_node(g, FR_STR("(columns not known)"), "");
    close_group(g);
}

/* A closed topic: which fields it has had is not said. */
static void put_former(graph *g, const fr_lineage_stream *s, const fr_lineage_target *t)
{
    fr_arena *a = g->l->arena;
    open_group(g, fr_arena_printf(a, "%.*s (closed, of %.*s)", FR_ARG(t->former),
                                  FR_ARG(fr_lineage_table(g->l, s))));
    size_t from = put_node(g, FR_STR("*"), "");
    close_group(g);
    open_group(g, fr_arena_printf(a, "%s %.*s", g->l->config->sinks[t->sink].name,
                                  FR_ARG(fr_lineage_target_name(g->l, t))));
    size_t to = put_node(g, FR_STR("*"), "");
    close_group(g);
    put_edge(g, from, to, FR_STR(""));
}

/* A table by a sink's rules: an edge for each field that a column is made of. */
static void put_ruled(graph *g, const fr_lineage_stream *s, const fr_lineage_target *t,
                      size_t first)
{
    size_t at = g->next;
    for (size_t i = 0; i < t->field_count; i++)
        put_node(g, t->fields[i].name, t->fields[i].pii ? " (PII)" : "");
    if (t->field_count == 0 || !s->whole)
        put_node(g, FR_STR("*"), "");
    close_group(g);
    for (size_t i = 0; i < t->field_count; i++)
        for (size_t k = 0; k < t->fields[i].from_count; k++)
            for (size_t j = 0; j < s->field_count; j++)
                if (fr_str_eq(s->fields[j].name, t->fields[i].from[k]))
                    put_edge(g, first + j, at + i, edge_label(&t->fields[i]));
    if (!s->whole || s->field_count == 0)
        put_edge(g, first + s->field_count, at + t->field_count, FR_STR(""));
}

/* first: node of the first field. */
static void put_targets(graph *g, const fr_lineage_stream *s, size_t first, size_t count)
{
    for (size_t i = 0; i < s->target_count; i++) {
        const fr_lineage_target *t = &s->targets[i];
        fr_str table = fr_lineage_target_name(g->l, t);
        if (t->former.len > 0) {
            put_former(g, s, t);
            continue;
        }
        open_group(g, fr_arena_printf(g->l->arena, "%s %.*s", g->l->config->sinks[t->sink].name,
                                      FR_ARG(table)));
        if (t->rules != NULL) {
            put_ruled(g, s, t, first);
            continue;
        }
        size_t at = g->next;
        for (size_t k = 0; k < count; k++)
            put_node(g, k < s->field_count ? s->fields[k].name : FR_STR("*"), "");
        close_group(g);
        for (size_t k = 0; k < count; k++)
            put_edge(g, first + k, at + k, FR_STR(""));
    }
}

static void put_stream(graph *g, const fr_lineage_stream *s)
{
    columns c = columns_of(g->l, s);
    size_t unknown = g->next; /* where the node stands that is for all columns */
    put_sources(g, s, &c);
    open_group(g, s->topic.len > 0 ? s->topic : FR_STR("(a topic a row or table)"));
    size_t first = g->next;
    for (size_t i = 0; i < s->field_count; i++)
        put_node(g, s->fields[i].name, s->fields[i].pii ? " (PII)" : "");
    size_t count = s->field_count;
    if (count == 0 || !s->whole) {
        put_node(g, FR_STR("*"), "");
        count++;
    }
    close_group(g);
    for (size_t i = 0; i < s->field_count; i++)
        for (size_t k = 0; k < s->fields[i].from_count; k++)
            for (size_t j = 0; j < c.count; j++)
                if (fr_str_eq(c.names[j], s->fields[i].from[k]))
                    put_edge(g, c.nodes[j], first + i, edge_label(&s->fields[i]));
    if (c.count == 0 && s->source != FR_LINEAGE_FOREIGN)
        put_edge(g, unknown, first, FR_STR(""));
    put_targets(g, s, first, count);
}

void fr_lineage_dot(fr_buf *b, const fr_lineage *l)
{
    graph g = {.b = b, .l = l};
    fr_buf_text(b, "digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n");
    for (size_t i = 0; i < l->count; i++)
        put_stream(&g, &l->streams[i]);
    fr_buf_text(b, "}\n");
}

void fr_lineage_mermaid(fr_buf *b, const fr_lineage *l)
{
    graph g = {.b = b, .l = l, .mermaid = true};
    fr_buf_text(b, "flowchart LR\n");
    for (size_t i = 0; i < l->count; i++)
        put_stream(&g, &l->streams[i]);
}
