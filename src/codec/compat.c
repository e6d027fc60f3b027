#include "codec/compat_internal.h"

#include "base/map.h"

#include <string.h>

enum { REASONS_MAX = 20, LISTED_MAX = 1000, PAIRS_MAX = 4096, PASSES_MAX = 100 };

/* How well a reader reads: the worst that was found. */
typedef enum level { READS, READS_OTHERWISE, CANNOT } level;

/* A pair of records that is being compared, or was. */
typedef struct pair {
    level level;   /* as far as it is known; only ever gets worse */
    unsigned pass; /* the last in which it was looked into */
    bool told;
} pair;

/* Records may contain themselves, so the levels of all pairs are found first, in passes, from
 * "reads" on until a pass changes none. A last one tells: it goes into what breaks, and believes
 * the rest. */
typedef struct comparison {
    fr_arena *a;
    fr_map *pairs; /* numbers of both records -> pair */
    unsigned pass;
    bool changed, telling, complex;
    fr_differences *out;            /* where to tell */
    size_t limit;                   /* of it */
    fr_str detail;                  /* of what is told next */
    const fr_compat_path *union_at; /* the union that a registry would blame; NULL: none */
} comparison;

static level readable(comparison *c, const fr_compat_path *at, const fr_shape *r,
                      const fr_shape *w);

static level worse(level a, level b)
{
    if (a > b)
        return a;
    return b;
}

/* --- what is wrong ---------------------------------------------------------------------- */

typedef struct problem {
    const char *kind, *why;
    const char *what,
        *registry; /* the member that a registry points at; its word, NULL: the same */
    fr_diff_verdict verdict;
} problem;

#define AVRO(kind, what, why)                                                                      \
    &(const problem)                                                                               \
    {                                                                                              \
        kind, why, what, NULL, FR_DIFF_REGISTRY                                                    \
    }
#define OURS(kind, why)                                                                            \
    &(const problem)                                                                               \
    {                                                                                              \
        kind, why, NULL, NULL, FR_DIFF_STRICT                                                      \
    }

static void point(const comparison *c, const fr_compat_path *at, const problem *p, bool field,
                  fr_difference *d)
{
    if (p->verdict != FR_DIFF_REGISTRY)
        return;
    d->registry_kind = c->union_at != NULL   ? "MISSING_UNION_BRANCH"
                       : p->registry != NULL ? p->registry
                                             : p->kind;
    d->pointer = c->union_at != NULL ? fr_compat_pointer(c->a, c->union_at, NULL, false)
                                     : fr_compat_pointer(c->a, at, p->what, field);
}

/* w: NULL where the writer lacks the field. */
static void tell(comparison *c, const fr_compat_path *at, const problem *p, const fr_shape *w,
                 const fr_shape *r)
{
    if (c->out->count >= c->limit)
        return;
    fr_difference *d = fr_compat_add(c->out);
    d->sign = w == NULL ? '+' : '~';
    d->verdict = p->verdict;
    d->kind = p->kind;
    d->why = p->why;
    d->detail = c->detail;
    d->path = fr_compat_path_text(c->a, at);
    if (w != NULL)
        d->old_type = fr_compat_describe(c->a, w);
    d->new_type = fr_compat_describe(c->a, r);
    point(c, at, p, w == NULL, d);
}

static level refuse(comparison *c, const fr_compat_path *at, const problem *p, const fr_shape *w,
                    const fr_shape *r)
{
    if (c->telling && c->out != NULL)
        tell(c, at, p, w, r);
    c->detail = (fr_str){"", 0};
    return p->verdict == FR_DIFF_REGISTRY ? CANNOT : READS_OTHERWISE;
}

/* --- names and simple types ------------------------------------------------------------- */

static fr_str short_name(fr_str full)
{
    size_t at = full.len;
    while (at > 0 && full.ptr[at - 1] != '.')
        at--;
    return (fr_str){full.ptr + at, full.len - at};
}

bool fr_compat_full_name(const fr_shape *r, const fr_shape *w)
{
    if (fr_str_eq(r->name, w->name))
        return true;
    for (size_t i = 0; i < r->aliases.count; i++)
        if (fr_str_eq(r->aliases.items[i], w->name))
            return true;
    return false;
}

/* Avro 1.11 is content when the names without namespaces match. */
static level names(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    if (fr_compat_full_name(r, w))
        return READS;
    if (fr_str_eq(short_name(r->name), short_name(w->name)))
        return refuse(c, at, OURS("name.only", "only the names without namespaces are the same"), w,
                      r);
    return refuse(c, at, AVRO("NAME_MISMATCH", "name", "cannot read"), w, r);
}

bool fr_compat_promotes(fr_shape_kind w, fr_shape_kind r)
{
    if (w == r)
        return true;
    switch (w) {
    case FR_SHAPE_INT:
        return r == FR_SHAPE_LONG || r == FR_SHAPE_FLOAT || r == FR_SHAPE_DOUBLE;
    case FR_SHAPE_LONG:
        return r == FR_SHAPE_FLOAT || r == FR_SHAPE_DOUBLE;
    case FR_SHAPE_FLOAT:
        return r == FR_SHAPE_DOUBLE;
    case FR_SHAPE_STRING:
        return r == FR_SHAPE_BYTES;
    case FR_SHAPE_BYTES:
        return r == FR_SHAPE_STRING;
    default:
        return false;
    }
}

/* 16,777,217 read as a float is 16,777,216. */
static bool rounds(fr_shape_kind w, fr_shape_kind r)
{
    return (w == FR_SHAPE_LONG && (r == FR_SHAPE_FLOAT || r == FR_SHAPE_DOUBLE)) ||
           (w == FR_SHAPE_INT && r == FR_SHAPE_FLOAT);
}

/* Avro looks at the base type only: 1.50 read as 150 passes there. */
static level meanings(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    if (!fr_str_eq(r->logical, w->logical) || !fr_str_eq(r->connect, w->connect) ||
        !fr_str_eq(r->marker, w->marker))
        return refuse(c, at, OURS("logical.changed", "the meaning of the bytes is another"), w, r);
    if (r->scale != w->scale)
        return refuse(c, at, OURS("decimal.rescaled", "the scale is another"), w, r);
    if (r->precision < w->precision)
        return refuse(c, at, OURS("decimal.narrowed", "values may have more digits than it says"),
                      w, r);
    if (rounds(w->kind, r->kind))
        return refuse(c, at, OURS("number.rounded", "large values would be rounded"), w, r);
    if (w->kind == FR_SHAPE_BYTES && r->kind == FR_SHAPE_STRING)
        return refuse(c, at, OURS("bytes.as_text", "not all bytes are text"), w, r);
    return READS;
}

static bool has_symbol(const fr_shape *s, fr_str symbol)
{
    for (size_t i = 0; i < s->symbols.count; i++)
        if (fr_str_eq(s->symbols.items[i], symbol))
            return true;
    return false;
}

fr_str fr_compat_symbols_without(fr_arena *a, const fr_shape *these, const fr_shape *those,
                                 const char *sign)
{
    fr_buf b = {.arena = a};
    for (size_t i = 0; i < these->symbols.count; i++)
        if (!has_symbol(those, these->symbols.items[i]))
            fr_buf_printf(&b, "%s%s%.*s", b.len > 0 ? " " : "", sign,
                          FR_ARG(these->symbols.items[i]));
    return b.len > 0 ? fr_buf_view(&b) : (fr_str){"", 0};
}

/* avro-c reads a symbol by its place. */
static bool is_moved(const fr_shape *r, const fr_shape *w)
{
    for (size_t i = 0; i < w->symbols.count; i++)
        if (i >= r->symbols.count || !fr_str_eq(r->symbols.items[i], w->symbols.items[i]))
            return true;
    return false;
}

static level enums(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    level found = names(c, at, r, w);
    fr_str missing = fr_compat_symbols_without(c->a, w, r, "");
    if (missing.len == 0 && is_moved(r, w))
        return worse(found,
                     refuse(c, at,
                            OURS("enum.reordered", "symbols have other places than before, and "
                                                   "some readers go by the place"),
                            w, r));
    if (missing.len == 0)
        return found;
    /* A default that is no symbol is none. */
    const problem *p =
        r->fallback.len > 0 && has_symbol(r, r->fallback)
            ? OURS("enum.default", "symbols that the reader lacks would become its default")
            : AVRO("MISSING_ENUM_SYMBOLS", "symbols", "the reader lacks symbols");
    c->detail = missing;
    return worse(found, refuse(c, at, p, w, r));
}

static level fixeds(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    level found = names(c, at, r, w);
    if (r->size != w->size)
        return worse(found,
                     refuse(c, at, AVRO("FIXED_SIZE_MISMATCH", "size", "cannot read"), w, r));
    return worse(found, meanings(c, at, r, w));
}

/* --- records ---------------------------------------------------------------------------- */

const fr_shape_field *fr_compat_field(const fr_shape *w, const fr_shape_field *f, bool *several)
{
    const fr_shape_field *found = NULL;
    *several = false;
    for (size_t i = 0; i < w->field_count && found == NULL; i++)
        if (fr_str_eq(w->fields[i].name, f->name))
            found = &w->fields[i];
    for (size_t k = 0; k < f->aliases.count; k++)
        for (size_t i = 0; i < w->field_count; i++) {
            if (!fr_str_eq(w->fields[i].name, f->aliases.items[k]) || &w->fields[i] == found)
                continue;
            *several = found != NULL;
            found = found == NULL ? &w->fields[i] : found;
        }
    return found;
}

static level missing_field(comparison *c, const fr_compat_path *at, const fr_shape_field *f)
{
    problem none = {"READER_FIELD_MISSING_DEFAULT_VALUE",
                    "the writer lacks it and it has no default", NULL, NULL, FR_DIFF_REGISTRY};
    /* Apache Avro compares an enum that has a default with the record that lacks the field. */
    if (f->type->kind == FR_SHAPE_ENUM && f->type->fallback.len > 0) {
        none.registry = "TYPE_MISMATCH";
        none.what = "type";
    }
    if (f->fallback.len == 0)
        return refuse(c, at, &none, NULL, f->type);
    if (!fr_shape_default_fits(f->type, f->fallback))
        return refuse(c, at, OURS("default.invalid", "its default is no value of its type"), NULL,
                      f->type);
    return READS;
}

static bool has_aliases(const fr_shape *r)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i].aliases.count > 0)
            return true;
    return false;
}

/* Does one of the fields before this one take the same field of the writer? */
static bool is_taken(const fr_shape *r, const fr_shape *w, size_t before, const fr_shape_field *old)
{
    bool several;
    for (size_t i = 0; i < before; i++)
        if (fr_compat_field(w, &r->fields[i], &several) == old)
            return true;
    return false;
}

static level records(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    level found = READS;
    bool aliases = has_aliases(r);
    for (size_t i = 0; i < r->field_count; i++) {
        const fr_shape_field *f = &r->fields[i];
        bool several;
        const fr_shape_field *old = fr_compat_field(w, f, &several);
        fr_compat_path here = fr_compat_field_path(at, r, i);
        if (old == NULL) {
            found = worse(found, missing_field(c, &here, f));
            continue;
        }
        if (several || (aliases && is_taken(r, w, i, old)))
            found = worse(found, refuse(c, &here,
                                        OURS("alias.ambiguous",
                                             "its name and aliases mean more than one field, or a "
                                             "field that another one is, too"),
                                        old->type, f->type));
        found = worse(found, readable(c, &here, f->type, old->type));
    }
    return found;
}

static pair *pair_of(comparison *c, const fr_shape *r, const fr_shape *w)
{
    uint64_t key = (uint64_t)r->number << 32 | w->number;
    pair *p = fr_map_get_u64(c->pairs, key);
    if (p == NULL && fr_map_count(c->pairs) < PAIRS_MAX) {
        p = fr_arena_alloc(c->a, sizeof(*p));
        fr_map_set_u64(c->pairs, key, p);
    }
    return p;
}

static level records_once(comparison *c, const fr_compat_path *at, const fr_shape *r,
                          const fr_shape *w)
{
    pair *p = pair_of(c, r, w);
    if (p == NULL) {
        c->complex = true;
        return refuse(c, at, OURS("too.complex", "more than 4096 pairs of records"), w, r);
    }
    bool tells = c->telling && c->out != NULL;
    if (tells ? p->told || p->level == READS : c->telling || p->pass == c->pass)
        return p->level;
    p->told = tells;
    p->pass = c->pass;
    level found = names(c, at, r, w);
    found = worse(found, records(c, at, r, w));
    if (found > p->level) {
        p->level = found;
        c->changed = true;
    }
    return p->level;
}

/* --- unions ----------------------------------------------------------------------------- */

/* One branch, without telling. */
static level tries(comparison *c, const fr_shape *r, const fr_shape *w)
{
    fr_differences *out = c->out;
    c->out = NULL;
    level found = readable(c, NULL, r, w);
    c->out = out;
    return found;
}

const fr_shape *fr_compat_only_branch(const fr_shape *s)
{
    const fr_shape *found = NULL;
    for (size_t i = 0; i < s->branch_count; i++) {
        if (s->branches[i]->kind == FR_SHAPE_NULL)
            continue;
        if (found != NULL)
            return NULL;
        found = s->branches[i];
    }
    return found;
}

static bool is_named(const fr_shape *s)
{
    return s->kind >= FR_SHAPE_RECORD && s->kind <= FR_SHAPE_FIXED;
}

/* The branch that is meant: of the same type, and of the same full name where it has one. */
static bool is_meant(const fr_shape *branch, const fr_shape *w)
{
    return branch->kind == w->kind && (!is_named(w) || fr_compat_full_name(branch, w));
}

/* No branch: for "null or T" it is T that does not fit, so say why it does not. */
static level no_branch(comparison *c, const fr_compat_path *at, const fr_shape *r,
                       const fr_shape *w)
{
    const fr_shape *only = fr_compat_only_branch(r);
    if (only == NULL || w->kind == FR_SHAPE_NULL || !c->telling || c->out == NULL)
        return refuse(c, at, AVRO("MISSING_UNION_BRANCH", NULL, "cannot read"), w, r);
    static const fr_compat_path whole = {.index = -1};
    const fr_compat_path *outer = c->union_at;
    if (outer == NULL)
        c->union_at = at != NULL ? at : &whole;
    readable(c, at, only, w);
    c->union_at = outer;
    return CANNOT;
}

/* Libraries differ in which branch they take: the first that could be read, or the one of the
 * same type. They agree on what is read when the first is the same type, or loses nothing. */
static level reader_union(comparison *c, const fr_compat_path *at, const fr_shape *r,
                          const fr_shape *w)
{
    const fr_shape *first = NULL, *meant = NULL;
    level first_level = CANNOT, meant_level = CANNOT;
    for (size_t i = 0; i < r->branch_count; i++) {
        const fr_shape *b = r->branches[i];
        bool is = meant == NULL && is_meant(b, w);
        level found = is || first == NULL ? tries(c, b, w) : CANNOT;
        if (is) {
            meant = b;
            meant_level = found;
        }
        if (first == NULL && found != CANNOT) {
            first = b;
            first_level = found;
        }
    }
    if (first == NULL)
        return no_branch(c, at, r, w);
    bool differ = meant != NULL && (meant_level == CANNOT || first_level > meant_level);
    if (differ)
        return refuse(c, at, OURS("union.ambiguous", "readers would take different branches"), w,
                      r);
    return readable(c, at, meant != NULL ? meant : first, w);
}

static level writer_union(comparison *c, const fr_compat_path *at, const fr_shape *r,
                          const fr_shape *w)
{
    level found = READS;
    for (size_t i = 0; i < w->branch_count; i++) {
        fr_compat_path here = {.up = at, .index = (int)i};
        found = worse(found, readable(c, &here, r, w->branches[i]));
    }
    return found;
}

/* --- all -------------------------------------------------------------------------------- */

static level readable(comparison *c, const fr_compat_path *at, const fr_shape *r, const fr_shape *w)
{
    if (c->complex)
        return READS_OTHERWISE;
    if (w->kind == FR_SHAPE_UNION)
        return writer_union(c, at, r, w);
    if (r->kind == FR_SHAPE_UNION)
        return reader_union(c, at, r, w);
    if (!fr_compat_promotes(w->kind, r->kind))
        return refuse(c, at, AVRO("TYPE_MISMATCH", NULL, "cannot read"), w, r);
    switch (r->kind) {
    case FR_SHAPE_RECORD:
        return records_once(c, at, r, w);
    case FR_SHAPE_ENUM:
        return enums(c, at, r, w);
    case FR_SHAPE_FIXED:
        return fixeds(c, at, r, w);
    case FR_SHAPE_ARRAY:
    case FR_SHAPE_MAP: {
        fr_compat_path here = fr_compat_items_path(at, r);
        return readable(c, &here, r->branches[0], w->branches[0]);
    }
    default:
        return meanings(c, at, r, w);
    }
}

fr_rc fr_compat_problems(fr_arena *a, const fr_shape *reader, const fr_shape *writer,
                         fr_differences *out)
{
    fr_differences own = {.arena = a};
    comparison c = {.a = a, .pairs = fr_map_new(), .out = out != NULL ? out : &own};
    size_t before = c.out->count;
    c.detail = (fr_str){"", 0};
    c.limit = before + LISTED_MAX;
    do {
        c.pass++;
        c.changed = false;
        readable(&c, NULL, reader, writer);
    } while (c.changed && !c.complex && c.pass < PASSES_MAX);
    bool settled = !c.changed && !c.complex;
    c.telling = true;
    c.complex = false;
    level found = readable(&c, NULL, reader, writer);
    if ((found > READS || !settled) && c.out->count == before)
        refuse(&c, NULL, OURS("too.complex", "the records contain each other in too many ways"),
               writer, reader);
    fr_map_free(c.pairs, NULL);
    return c.out->count == before ? FR_OK : FR_END;
}

/* --- text ------------------------------------------------------------------------------- */

void fr_compat_say(fr_buf *b, const fr_difference *d)
{
    fr_str from = d->ahead ? d->new_type : d->old_type, to = d->ahead ? d->old_type : d->new_type;
    fr_buf_printf(b, "%.*s%s%s: %s", FR_ARG(d->path), d->path.len > 0 ? ": " : "", d->kind, d->why);
    if (from.len > 0 && to.len > 0)
        fr_buf_printf(b, " (%.*s as %.*s)", FR_ARG(from), FR_ARG(to));
    if (d->detail.len > 0)
        fr_buf_printf(b, " (%.*s)", FR_ARG(d->detail));
}

fr_rc fr_compat_read(fr_arena *a, const fr_shape *reader, const fr_shape *writer, fr_buf *why)
{
    fr_differences list = {.arena = a};
    fr_rc rc = fr_compat_problems(a, reader, writer, &list);
    for (size_t i = 0; i < list.count && i < REASONS_MAX; i++) {
        fr_buf_text(why, why->len > 0 ? "; " : "");
        fr_compat_say(why, &list.items[i]);
    }
    return rc;
}
