/* Captured tables that are gone, or whose changes the server does not send: a publication FOR TABLE
 * forgets a table that is dropped, and does not know the one that is made under its name. */
#include "connectors/postgres/wal_source.h"
#include <string.h>

typedef struct fr_wal_oid { /* which table had a name */
    fr_str space, name;
    uint32_t oid;
} fr_wal_oid;

typedef struct absences {
    fr_wal_source *s;
    const fr_wal_catalog *c;
    fr_arena *a;
    fr_absent *items;
    size_t count;
} absences;

static fr_absent *add(absences *l, fr_absence kind, fr_str space, fr_str name)
{
    fr_absent *x = &l->items[l->count++];
    *x = (fr_absent){.kind = kind, .space = space, .name = name, .code = "pg.publication"};
    return x;
}

static void add_gone(absences *l, const fr_table_settings *t)
{
    const char *dot = strchr(t->pattern, '.');
    size_t len = dot == NULL ? 0 : (size_t)(dot - t->pattern);
    fr_absent *x = add(l, FR_ABSENT_GONE, (fr_str){t->pattern, len},
                       fr_cstr(dot == NULL ? t->pattern : dot + 1));
    x->code = "pg.table";
    x->text = fr_arena_printf(l->a, "there is no table %s in database %s", t->pattern, l->s->db);
    x->hint = fr_arena_printf(l->a, "correct its name in tables (%s)",
                              t->place != NULL ? t->place : "configuration");
}

/* As the start would say it, for this table. */
static void add_unpublished(absences *l, const fr_wal_table *t)
{
    fr_err why;
    fr_wal_table one = *t;
    fr_wal_catalog c = {.publication = l->c->publication, .tables = &one, .count = 1};
    if (fr_wal_publication_lacks(l->s, &c, &why) != FR_FAIL)
        return;
    fr_absent *x = add(l, FR_ABSENT_LOG, t->relation.space, t->relation.name);
    x->text = fr_arena_str(l->a, fr_cstr(why.text));
    x->hint = fr_arena_str(l->a, fr_cstr(fr_err_hint(&why)));
}

static void add_remade(absences *l, const fr_wal_table *t)
{
    fr_absent *x = add(l, FR_ABSENT_REMADE, t->relation.space, t->relation.name);
    fr_str space = t->relation.space, name = t->relation.name;
    x->text = fr_arena_printf(l->a,
                              "%.*s.%.*s was dropped and made again, and publication %s has it: "
                              "rows that were written before it was added are in no log",
                              FR_ARG(space), FR_ARG(name), l->s->publication);
    x->hint = fr_arena_printf(l->a,
                              "unless it was added in the transaction that made it: freshet "
                              "snapshot start %s/%.*s.%.*s",
                              l->s->settings->name, FR_ARG(space), FR_ARG(name));
}

static const fr_wal_oid *find(const fr_wal_source *s, const fr_pg_relation *r)
{
    size_t low = 0, high = s->oid_count;
    while (low < high) {
        size_t at = (low + high) / 2;
        const fr_wal_oid *o = &s->oids[at];
        int order = fr_str_cmp(o->space, r->space);
        order = order != 0 ? order : fr_str_cmp(o->name, r->name);
        if (order == 0)
            return o;
        if (order < 0)
            low = at + 1;
        else
            high = at;
    }
    return NULL;
}

/* The catalog lists its tables by space and name. */
static void remember(fr_wal_source *s, const fr_wal_catalog *c)
{
    fr_arena *a = fr_arena_new(0);
    fr_wal_oid *oids = fr_arena_alloc(a, (c->count + 1) * sizeof(*oids));
    for (size_t i = 0; i < c->count; i++)
        oids[i] = (fr_wal_oid){.space = fr_arena_str(a, c->tables[i].relation.space),
                               .name = fr_arena_str(a, c->tables[i].relation.name),
                               .oid = c->tables[i].relation.oid};
    fr_arena_free(s->oids_arena);
    s->oids_arena = a;
    s->oids = oids;
    s->oid_count = c->count;
}

static void look_at(absences *l)
{
    fr_wal_source *s = l->s;
    const fr_wal_catalog *c = l->c;
    for (size_t i = 0; i < s->settings->table_count; i++)
        if (fr_wal_is_missing(c, &s->settings->tables[i]))
            add_gone(l, &s->settings->tables[i]);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < c->count; i++) {
        const fr_wal_table *t = &c->tables[i];
        const fr_wal_oid *was = find(s, &t->relation);
        if (!t->published)
            add_unpublished(l, t);
        else if (was != NULL && was->oid != t->relation.oid && !c->publication.all_tables)
            add_remade(l, t);
    }
    remember(s, c);
    pthread_mutex_unlock(&s->lock);
}

fr_rc fr_wal_absent(fr_source *base, fr_arena *a, fr_absent **out, size_t *count_out, fr_err *err)
{
    fr_wal_source *s = (fr_wal_source *)base;
    fr_wal_catalog c;
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(s, &conn, err));
    fr_rc rc = fr_wal_catalog_names(conn, s->version, s->settings, s->publication, a, &c, err);
    fr_wal_give(s, conn);
    FR_TRY(rc);
    if (!c.publication.exists) /* which says nothing of one table */
        return fr_wal_catalog_verify(s, &c, false, err);
    absences l = {.s = s, .c = &c, .a = a};
    l.items = fr_arena_alloc(a, (s->settings->table_count + c.count + 1) * sizeof(*l.items));
    look_at(&l);
    *out = l.items;
    *count_out = l.count;
    return FR_OK;
}
