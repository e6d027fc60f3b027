#include "connect/ddl_contract.h"

typedef struct writer {
    fr_buf *b;
    const fr_contract_dialect *d;
    unsigned blocks;
} writer;

/* Where the value is: the texts that CONCAT makes its name of, inner parts first. */
typedef struct place {
    const struct place *above;
    fr_str name;    /* of a member; empty: of the payload, an item or a value */
    bool item, any; /* item: with its number, else of a map */
    unsigned depth, block;
} place;

static void put(const writer *w, const char *template, const place *p)
{
    for (const char *c = template; *c != '\0'; c++) {
        char what = c[0] == '$' ? c[1] : '\0';
        if (what == 'd' || what == 'p' || what == 'l') {
            fr_buf_printf(w->b, "%u",
                          what == 'd'   ? p->depth
                          : what == 'p' ? p->depth - 1
                                        : p->block);
            c++;
        } else {
            fr_buf_u8(w->b, (uint8_t)*c);
        }
    }
}

/* Inside of a literal; numbers of items end it and begin a new one. */
static void put_place(const writer *w, const place *p)
{
    if (p->above == NULL)
        return;
    put_place(w, p->above);
    if (p->item)
        fr_buf_printf(w->b, "[', i%u, ']", p->depth);
    else if (p->any)
        fr_buf_text(w->b, "[*]");
    else
        fr_buf_printf(w->b, "%s%.*s", p->above->above != NULL ? "." : "", FR_ARG(p->name));
}

static void put_bad(const writer *w, const place *p, const char *what, fr_str more)
{
    fr_buf_text(w->b, w->d->set_bad);
    fr_buf_u8(w->b, '\'');
    put_place(w, p);
    fr_buf_printf(w->b, "%s%s%.*s');\n", p->above != NULL ? " " : "it ", what, FR_ARG(more));
}

/* What an IF that is open does. */
static void put_refused(const writer *w, const place *p, const char *what, fr_str more)
{
    put_bad(w, p, what, more);
    put(w, w->d->leave, p);
    fr_buf_text(w->b, "END IF;\n");
}

static void must(const writer *w, const place *p, const fr_contract_node *n)
{
    put_refused(w, p, "must ", n->must);
}

static void put_node(writer *w, const place *above, const fr_contract_node *n);

/* Of a block's part that may have set it. */
static void put_leave_if_bad(const writer *w, const place *p)
{
    fr_buf_text(w->b, "IF bad IS NOT NULL THEN ");
    put(w, w->d->leave, p);
    fr_buf_text(w->b, "END IF;\n");
}

static void put_type(const writer *w, const place *p, fr_contract_kind kind, const char * not)
{
    fr_buf_text(w->b, "IF ");
    put(w, w->d->type, p);
    fr_buf_printf(w->b, " %sIN (%s) THEN ", not, w->d->types[kind]);
}

static void put_pattern(const writer *w, const place *p, const fr_contract_node *n, fr_str pattern)
{
    fr_buf_text(w->b, "IF ");
    put(w, w->d->text, p);
    fr_buf_printf(w->b, "%s%.*s%s THEN ", w->d->unlike, FR_ARG(pattern), w->d->unlike_end);
    must(w, p, n);
}

static void put_whole(const writer *w, const place *p, const fr_contract_node *n)
{
    put_pattern(w, p, n, FR_STR("-?(?:0|[1-9][0-9]{0,18})"));
    fr_buf_text(w->b, "IF ");
    put(w, w->d->whole, p);
    fr_buf_printf(w->b, " NOT BETWEEN %s AND %s THEN ", n->least, n->most);
    must(w, p, n);
}

static void put_real(const writer *w, const place *p, const fr_contract_node *n)
{
    put_pattern(w, p, n, FR_STR("-?[0-9]{1,200}(?:[.][0-9]{1,200})?(?:[eE][+-]?[0-9]{1,4})?"));
    fr_buf_text(w->b, "IF ABS(");
    put(w, w->d->real, p);
    fr_buf_printf(w->b, ") > %s THEN ", n->most);
    must(w, p, n);
}

static void put_record(writer *w, const place *p, const fr_contract_node *n)
{
    const fr_contract_dialect *d = w->d;
    fr_buf_text(w->b, "IF ");
    put(w, d->others, p);
    for (size_t i = 0; i < n->count; i++) {
        fr_buf_text(w->b, i > 0 ? d->others_between : "");
        put(w, d->others_name, p);
        fr_buf_str(w->b, n->members[i].name);
        fr_buf_text(w->b, d->others_name_end);
    }
    put(w, d->others_end, p);
    fr_buf_text(w->b, " THEN ");
    put_refused(w, p, "has a member that the contract does not name, or one twice", FR_STR(""));
    for (size_t i = 0; i < n->count; i++) {
        const fr_contract_member *m = &n->members[i];
        const place at = {.above = p, .name = m->name, .depth = p->depth + 1, .block = p->block};
        put(w, d->member, &at);
        fr_buf_printf(w->b, "%.*s%s\n", FR_ARG(m->name), d->member_end);
        if (m->required) {
            fr_buf_printf(w->b, "IF v%u IS NULL THEN ", at.depth);
            put_refused(w, &at, "is missing", FR_STR(""));
        } else {
            fr_buf_printf(w->b, "IF v%u IS NOT NULL THEN\n", at.depth);
        }
        put_node(w, &at, m->node);
        if (!m->required)
            fr_buf_text(w->b, "END IF;\n");
        put_leave_if_bad(w, p);
    }
}

static void put_all(writer *w, const place *p, const fr_contract_node *n)
{
    bool items = n->kind == FR_CONTRACT_ARRAY;
    const place at = {
        .above = p, .item = items, .any = !items, .depth = p->depth + 1, .block = p->block};
    if (!items) {
        put(w, w->d->twice, p);
        put_refused(w, p, "has a name twice", FR_STR(""));
    }
    put(w, items ? w->d->items : w->d->values, &at);
    put_node(w, &at, n->members[0].node);
    put_leave_if_bad(w, p);
    put(w, items ? w->d->items_end : w->d->values_end, &at);
}

static void put_any(writer *w, const place *p, const fr_contract_node *n)
{
    for (size_t i = 0; i < n->count; i++) {
        fr_buf_text(w->b, w->d->clear_bad);
        put_node(w, p, n->members[i].node);
        fr_buf_text(w->b, "IF bad IS NULL THEN ");
        put(w, w->d->leave, p);
        fr_buf_text(w->b, "END IF;\n");
    }
    put_bad(w, p, "must ", n->must);
}

static void put_node(writer *w, const place *where, const fr_contract_node *n)
{
    place p = *where;
    p.block = w->blocks++;
    put(w, w->d->begin, &p);
    if (n->nullable) {
        put_type(w, &p, FR_CONTRACT_NULL, "");
        put(w, w->d->leave, &p);
        fr_buf_text(w->b, "END IF;\n");
    }
    if (n->kind != FR_CONTRACT_ANY) {
        put_type(w, &p, n->kind, "NOT ");
        must(w, &p, n);
    }
    if (n->kind == FR_CONTRACT_WHOLE)
        put_whole(w, &p, n);
    else if (n->kind == FR_CONTRACT_REAL)
        put_real(w, &p, n);
    else if (n->kind == FR_CONTRACT_TEXT && n->pattern.len > 0)
        put_pattern(w, &p, n, n->pattern);
    else if (n->kind == FR_CONTRACT_RECORD)
        put_record(w, &p, n);
    else if (n->kind == FR_CONTRACT_ARRAY || n->kind == FR_CONTRACT_MAP)
        put_all(w, &p, n);
    else if (n->kind == FR_CONTRACT_ANY)
        put_any(w, &p, n);
    put(w, w->d->end, &p);
}

void fr_contract_put(fr_buf *b, const fr_contract_dialect *d, const fr_contract_node *root)
{
    writer w = {.b = b, .d = d};
    put_node(&w, &(place){.depth = 0}, root);
}

unsigned fr_contract_depth(const fr_contract_node *n)
{
    unsigned most = 0;
    for (size_t i = 0; i < n->count; i++) {
        unsigned below = fr_contract_depth(n->members[i].node);
        most = below > most ? below : most;
    }
    return most + (n->kind != FR_CONTRACT_ANY);
}
