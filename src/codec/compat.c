#include "codec/compat.h"

#include <string.h>

enum { PATH_MAX_LEN = 400, REASONS_MAX = 20, PAIRS_MAX = 4096 };

/* A pair of named types that is being compared, or was. */
typedef struct pair {
    const fr_shape *reader, *writer;
    bool bad, told; /* told: the reasons were given */
} pair;

typedef struct comparison {
    fr_arena *a;
    pair *pairs;
    size_t pair_count, pair_cap;
    fr_buf *why; /* NULL while branches of a union are tried */
    int reasons;
} comparison;

typedef struct path { /* of names, from the inside out */
    const struct path *up;
    fr_str name;
} path;

static bool readable(comparison *c, const path *at, const fr_shape *r, const fr_shape *w);

static void write_path(fr_buf *b, const path *at)
{
    if (at == NULL)
        return;
    write_path(b, at->up);
    if (at->up != NULL)
        fr_buf_text(b, ".");
    fr_buf_str(b, at->name);
}

/* Always false, so that refusing is one statement. Two types: "found -> wanted". */
static bool refuse(comparison *c, const path *at, const char *code, const char *text,
                   const fr_shape *w, const fr_shape *r)
{
    if (c->why == NULL || c->reasons >= REASONS_MAX)
        return false;
    fr_buf_text(c->why, c->why->len > 0 ? "; " : "");
    write_path(c->why, at);
    fr_buf_printf(c->why, "%s%s: %s", at != NULL ? ": " : "", code, text);
    if (w != NULL && r != NULL) {
        fr_buf_text(c->why, " ");
        fr_shape_describe(c->why, w);
        fr_buf_text(c->why, " as ");
        fr_shape_describe(c->why, r);
    }
    c->reasons++;
    return false;
}

static fr_str short_name(fr_str full)
{
    size_t at = full.len;
    while (at > 0 && full.ptr[at - 1] != '.')
        at--;
    return (fr_str){full.ptr + at, full.len - at};
}

/* Avro 1.11: the unqualified names match; or an alias of the reader is the writer's name. */
static bool same_name(const fr_shape *r, const fr_shape *w)
{
    if (fr_str_eq(short_name(r->name), short_name(w->name)))
        return true;
    for (size_t i = 0; i < r->aliases.count; i++)
        if (fr_str_eq(r->aliases.items[i], w->name))
            return true;
    return false;
}

static bool promotes(fr_shape_kind w, fr_shape_kind r)
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

/* Stricter than Avro: 1.50 read as 150 passes there. A decimal may only grow in precision. */
static bool same_meaning(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    if (!fr_str_eq(r->logical, w->logical))
        return refuse(c, at, "LOGICAL_TYPE_MISMATCH", "cannot read", w, r);
    if (r->scale != w->scale || r->precision < w->precision)
        return refuse(c, at, "DECIMAL_RESCALED", "cannot read", w, r);
    return true;
}

static const fr_shape_field *field_of(const fr_shape *w, const fr_shape_field *f)
{
    for (size_t i = 0; i < w->field_count; i++)
        if (fr_str_eq(w->fields[i].name, f->name))
            return &w->fields[i];
    for (size_t k = 0; k < f->aliases.count; k++)
        for (size_t i = 0; i < w->field_count; i++)
            if (fr_str_eq(w->fields[i].name, f->aliases.items[k]))
                return &w->fields[i];
    return NULL;
}

static bool records(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    bool good = true;
    for (size_t i = 0; i < r->field_count; i++) {
        const fr_shape_field *f = &r->fields[i];
        const fr_shape_field *old = field_of(w, f);
        path here = {at, f->name};
        if (old != NULL)
            good &= readable(c, &here, f->type, old->type);
        else if (f->fallback.len == 0)
            good = refuse(c, &here, "READER_FIELD_MISSING_DEFAULT_VALUE",
                          "the writer lacks it and it has no default", NULL, NULL);
        if (!good && c->why == NULL)
            return false;
    }
    return good;
}

static pair *pair_of(comparison *c, const fr_shape *r, const fr_shape *w)
{
    for (size_t i = 0; i < c->pair_count; i++)
        if (c->pairs[i].reader == r && c->pairs[i].writer == w)
            return &c->pairs[i];
    return NULL;
}

static void remember(comparison *c, const fr_shape *r, const fr_shape *w)
{
    if (c->pair_count == c->pair_cap) {
        size_t cap = c->pair_cap == 0 ? 16 : 2 * c->pair_cap;
        pair *grown = fr_arena_alloc(c->a, cap * sizeof(*grown));
        if (c->pair_count > 0)
            memcpy(grown, c->pairs, c->pair_count * sizeof(*grown));
        c->pairs = grown;
        c->pair_cap = cap;
    }
    c->pairs[c->pair_count++] = (pair){r, w, false, false};
}

/* A pair met again inside itself is as good as the rest of it: recursive types end here. */
static bool records_once(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    const pair *known = pair_of(c, r, w);
    if (known != NULL && (!known->bad || known->told || c->why == NULL))
        return !known->bad;
    if (!same_name(r, w))
        return refuse(c, at, "NAME_MISMATCH", "cannot read", w, r);
    if (known == NULL)
        remember(c, r, w);
    pair_of(c, r, w)->told = c->why != NULL;
    bool good = records(c, at, r, w);
    pair_of(c, r, w)->bad = !good;
    return good;
}

static bool enums(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    if (!same_name(r, w))
        return refuse(c, at, "NAME_MISMATCH", "cannot read", w, r);
    if (r->fallback.len > 0)
        return true;
    for (size_t i = 0; i < w->symbols.count; i++) {
        bool found = false;
        for (size_t k = 0; k < r->symbols.count && !found; k++)
            found = fr_str_eq(r->symbols.items[k], w->symbols.items[i]);
        if (!found)
            return refuse(c, at, "MISSING_ENUM_SYMBOLS", "the reader lacks a symbol, reading", w,
                          r);
    }
    return true;
}

static bool fixeds(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    if (!same_name(r, w))
        return refuse(c, at, "NAME_MISMATCH", "cannot read", w, r);
    if (r->size != w->size)
        return refuse(c, at, "FIXED_SIZE_MISMATCH", "cannot read", w, r);
    return same_meaning(c, at, r, w);
}

/* One branch, without giving reasons. After a failure what was found good is forgotten, for it
 * may have leant on what failed; what was found bad stays so. */
static bool tries(comparison *c, const fr_shape *r, const fr_shape *w)
{
    comparison silent = *c;
    silent.why = NULL;
    bool good = readable(&silent, NULL, r, w);
    size_t kept = good ? silent.pair_count : c->pair_count;
    for (size_t i = kept; i < silent.pair_count; i++)
        if (silent.pairs[i].bad)
            silent.pairs[kept++] = silent.pairs[i];
    c->pairs = silent.pairs;
    c->pair_cap = silent.pair_cap;
    c->pair_count = kept;
    return good;
}

/* The only branch that is not null; NULL: there are several. */
static const fr_shape *only_branch(const fr_shape *s)
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

static bool reader_union(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    for (size_t i = 0; i < r->branch_count; i++)
        if (tries(c, r->branches[i], w))
            return true;
    const fr_shape *only = only_branch(r);
    /* For "null or T" it is T that does not fit: say why it does not. */
    if (only != NULL && w->kind != FR_SHAPE_NULL && c->why != NULL)
        return readable(c, at, only, w);
    return refuse(c, at, "MISSING_UNION_BRANCH", "cannot read", w, r);
}

static bool writer_union(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    bool good = true;
    for (size_t i = 0; i < w->branch_count; i++)
        good &= readable(c, at, r, w->branches[i]);
    return good;
}

static bool readable(comparison *c, const path *at, const fr_shape *r, const fr_shape *w)
{
    if (c->pair_count > PAIRS_MAX)
        return refuse(c, at, "TOO_COMPLEX", "more than 4096 pairs of records", NULL, NULL);
    if (w->kind == FR_SHAPE_UNION)
        return writer_union(c, at, r, w);
    if (r->kind == FR_SHAPE_UNION)
        return reader_union(c, at, r, w);
    if (!promotes(w->kind, r->kind))
        return refuse(c, at, "TYPE_MISMATCH", "cannot read", w, r);
    switch (r->kind) {
    case FR_SHAPE_RECORD:
        return records_once(c, at, r, w);
    case FR_SHAPE_ENUM:
        return enums(c, at, r, w);
    case FR_SHAPE_FIXED:
        return fixeds(c, at, r, w);
    case FR_SHAPE_ARRAY:
    case FR_SHAPE_MAP: {
        path here = {at, r->kind == FR_SHAPE_ARRAY ? FR_STR("[]") : FR_STR("{}")};
        return readable(c, &here, r->branches[0], w->branches[0]);
    }
    default:
        return same_meaning(c, at, r, w);
    }
}

fr_rc fr_compat_read(fr_arena *a, const fr_shape *reader, const fr_shape *writer, fr_buf *why)
{
    comparison c = {.a = a, .why = why};
    return readable(&c, NULL, reader, writer) ? FR_OK : FR_END;
}

/* --- levels ----------------------------------------------------------------------------- */

static bool is_transitive(int level)
{
    return level == FR_COMPAT_BACKWARD_TRANSITIVE || level == FR_COMPAT_FORWARD_TRANSITIVE ||
           level == FR_COMPAT_FULL_TRANSITIVE;
}

static bool looks_back(int level)
{
    return level != FR_COMPAT_FORWARD && level != FR_COMPAT_FORWARD_TRANSITIVE;
}

static bool looks_ahead(int level)
{
    return level != FR_COMPAT_BACKWARD && level != FR_COMPAT_BACKWARD_TRANSITIVE;
}

static fr_rc check_one(fr_arena *a, int level, const fr_shape *next, fr_str text, size_t version,
                       fr_buf *why, fr_err *err)
{
    const fr_shape *old;
    if (fr_shape_parse(a, text, &old, err) == FR_FAIL)
        return fr_fail_in(err, "version %zu", version);
    fr_buf back = {.arena = a}, ahead = {.arena = a};
    fr_rc rc = FR_OK;
    if (looks_back(level) && fr_compat_read(a, next, old, &back) == FR_END) {
        fr_buf_printf(why, "%sthe new schema cannot read version %zu: %.*s",
                      why->len > 0 ? "; " : "", version, (int)back.len, (const char *)back.ptr);
        rc = FR_END;
    }
    if (looks_ahead(level) && fr_compat_read(a, old, next, &ahead) == FR_END) {
        fr_buf_printf(why, "%sversion %zu cannot read the new schema: %.*s",
                      why->len > 0 ? "; " : "", version, (int)ahead.len, (const char *)ahead.ptr);
        rc = FR_END;
    }
    return rc;
}

fr_rc fr_compat_check(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                      fr_str *why_out, fr_err *err)
{
    const fr_shape *shape;
    fr_buf why = {.arena = a};
    fr_rc verdict = FR_OK;
    *why_out = (fr_str){"", 0};
    FR_TRY(fr_shape_parse(a, next, &shape, err));
    if (level == FR_COMPAT_NONE || count == 0)
        return FR_OK;
    size_t last = is_transitive(level) ? 0 : count - 1;
    for (size_t i = count; i > last; i--) {
        fr_rc rc = check_one(a, level, shape, versions[i - 1], i, &why, err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (rc == FR_END)
            verdict = FR_END;
    }
    *why_out = fr_buf_view(&why);
    return verdict;
}

/* --- what changed ----------------------------------------------------------------------- */

typedef struct changes {
    fr_arena *a;
    fr_buf *out;
    comparison seen; /* pairs of records already told */
} changes;

static void diff_types(changes *d, const path *at, const fr_shape *old, const fr_shape *next);

static void begin_line(changes *d, const char *sign, const path *at)
{
    fr_buf_printf(d->out, "%s%s ", d->out->len > 0 ? "; " : "", sign);
    write_path(d->out, at);
}

static void diff_default(changes *d, const path *at, const fr_shape_field *old,
                         const fr_shape_field *next)
{
    if (fr_str_eq(old->fallback, next->fallback))
        return;
    begin_line(d, "~", at);
    if (next->fallback.len == 0)
        fr_buf_text(d->out, " lost its default");
    else
        fr_buf_printf(d->out, " default %.*s", FR_ARG(next->fallback));
}

static void diff_records(changes *d, const path *at, const fr_shape *old, const fr_shape *next)
{
    if (pair_of(&d->seen, next, old) != NULL)
        return;
    remember(&d->seen, next, old);
    for (size_t i = 0; i < next->field_count; i++) {
        const fr_shape_field *f = &next->fields[i];
        const fr_shape_field *was = field_of(old, f);
        path here = {at, f->name};
        if (was != NULL) {
            diff_types(d, &here, was->type, f->type);
            diff_default(d, &here, was, f);
            continue;
        }
        begin_line(d, "+", &here);
        fr_buf_text(d->out, " ");
        fr_shape_describe(d->out, f->type);
        if (f->fallback.len > 0)
            fr_buf_printf(d->out, " (default %.*s)", FR_ARG(f->fallback));
        else
            fr_buf_text(d->out, " (no default)");
    }
    for (size_t i = 0; i < old->field_count; i++) {
        path here = {at, old->fields[i].name};
        if (field_of(next, &old->fields[i]) == NULL)
            begin_line(d, "-", &here);
    }
}

/* Only what is not told by going inside. */
static bool same_surface(const fr_shape *old, const fr_shape *next, fr_arena *a)
{
    fr_buf x = {.arena = a}, y = {.arena = a};
    fr_shape_describe(&x, old);
    fr_shape_describe(&y, next);
    return fr_str_eq(fr_buf_view(&x), fr_buf_view(&y));
}

static void diff_types(changes *d, const path *at, const fr_shape *old, const fr_shape *next)
{
    const fr_shape *a = old->kind == FR_SHAPE_UNION ? only_branch(old) : old;
    const fr_shape *b = next->kind == FR_SHAPE_UNION ? only_branch(next) : next;
    if (!same_surface(old, next, d->a) || (a != NULL && b != NULL && a->size != b->size)) {
        begin_line(d, "~", at);
        fr_buf_text(d->out, at != NULL ? " " : "");
        fr_shape_describe(d->out, old);
        fr_buf_text(d->out, " -> ");
        fr_shape_describe(d->out, next);
    }
    if (a == NULL || b == NULL || a->kind != b->kind)
        return;
    if (a->kind == FR_SHAPE_RECORD)
        diff_records(d, at, a, b);
    else if (a->kind == FR_SHAPE_ARRAY || a->kind == FR_SHAPE_MAP)
        diff_types(d, at, a->branches[0], b->branches[0]);
    else if (a->kind == FR_SHAPE_ENUM && a->symbols.count != b->symbols.count) {
        begin_line(d, "~", at);
        fr_buf_printf(d->out, " %zu -> %zu symbols", a->symbols.count, b->symbols.count);
    }
}

fr_rc fr_compat_diff(fr_arena *a, fr_str old, fr_str next, fr_str *out, fr_err *err)
{
    const fr_shape *x, *y;
    fr_buf text = {.arena = a};
    FR_TRY(fr_shape_parse(a, old, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    changes d = {.a = a, .out = &text, .seen = {.a = a}};
    diff_types(&d, NULL, x, y);
    *out = fr_buf_view(&text);
    return FR_OK;
}
