#include "codec/compat_internal.h"

#include "base/map.h"

#include <string.h>

/* --- lists and places ------------------------------------------------------------------- */

fr_difference *fr_compat_add(fr_differences *list)
{
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 16 : 2 * list->cap;
        fr_difference *grown = fr_arena_alloc(list->arena, cap * sizeof(*grown));
        if (list->count > 0)
            memcpy(grown, list->items, list->count * sizeof(*grown));
        list->items = grown;
        list->cap = cap;
    }
    fr_difference *d = &list->items[list->count++];
    d->path = d->old_type = d->new_type = d->detail = d->pointer = (fr_str){"", 0};
    return d;
}

fr_compat_path fr_compat_field_path(const fr_compat_path *up, const fr_shape *record, size_t index)
{
    return (fr_compat_path){up, record->fields[index].name, "fields", (int)index, "type"};
}

fr_compat_path fr_compat_items_path(const fr_compat_path *up, const fr_shape *s)
{
    bool array = s->kind == FR_SHAPE_ARRAY;
    return (fr_compat_path){up, array ? FR_STR("[]") : FR_STR("{}"), array ? "items" : "values", -1,
                            NULL};
}

static void write_path(fr_buf *b, const fr_compat_path *at)
{
    if (at == NULL)
        return;
    write_path(b, at->up);
    if (at->name.len > 0 && b->len > 0 && at->step != NULL && at->index >= 0)
        fr_buf_text(b, ".");
    fr_buf_str(b, at->name);
}

fr_str fr_compat_path_text(fr_arena *a, const fr_compat_path *at)
{
    fr_buf b = {.arena = a};
    write_path(&b, at);
    return b.len > 0 ? fr_buf_view(&b) : (fr_str){"", 0};
}

static void write_pointer(fr_buf *b, const fr_compat_path *at, bool whole)
{
    if (at == NULL)
        return;
    write_pointer(b, at->up, true);
    if (at->step != NULL)
        fr_buf_printf(b, "/%s", at->step);
    if (at->index >= 0)
        fr_buf_printf(b, "/%d", at->index);
    if (at->last != NULL && whole)
        fr_buf_printf(b, "/%s", at->last);
}

fr_str fr_compat_pointer(fr_arena *a, const fr_compat_path *at, const char *what, bool field)
{
    fr_buf b = {.arena = a};
    write_pointer(&b, at, !field);
    if (what != NULL)
        fr_buf_printf(&b, "/%s", what);
    if (b.len == 0)
        fr_buf_text(&b, "/");
    return fr_buf_view(&b);
}

fr_str fr_compat_describe(fr_arena *a, const fr_shape *s)
{
    fr_buf b = {.arena = a};
    fr_shape_describe(&b, s);
    return fr_buf_view(&b);
}

/* --- what differs ----------------------------------------------------------------------- */

typedef struct changes {
    fr_arena *a;
    fr_differences *out;
    fr_map *seen; /* pairs of records already told, by both numbers */
} changes;

static void diff_types(changes *d, const fr_compat_path *at, const fr_shape *old,
                       const fr_shape *next);

static fr_difference *note(changes *d, char sign, const fr_compat_path *at, const char *kind,
                           const char *why)
{
    fr_difference *n = fr_compat_add(d->out);
    n->sign = sign;
    n->kind = kind;
    n->why = why;
    n->path = fr_compat_path_text(d->a, at);
    return n;
}

static fr_str default_text(changes *d, fr_str fallback, const char *none)
{
    return fallback.len == 0 ? fr_cstr(none)
                             : fr_arena_printf(d->a, "default %.*s", FR_ARG(fallback));
}

static void diff_default(changes *d, const fr_compat_path *at, fr_str old, fr_str next)
{
    if (!fr_str_eq(old, next))
        note(d, '~', at, "default.changed", "what lacks it is filled in otherwise")->detail =
            default_text(d, next, "lost its default");
}

static bool same_names(const fr_shape_names *x, const fr_shape_names *y)
{
    bool same = x->count == y->count;
    for (size_t i = 0; same && i < x->count; i++)
        same = fr_str_eq(x->items[i], y->items[i]);
    return same;
}

/* What only people read. */
static void diff_words(changes *d, const fr_compat_path *at, fr_str old_doc, fr_str doc,
                       fr_str old_properties, fr_str properties)
{
    if (!fr_str_eq(old_doc, doc))
        note(d, '~', at, "doc.changed", "it is described otherwise");
    if (!fr_str_eq(old_properties, properties))
        note(d, '~', at, "properties.changed", "its properties are others");
}

static void diff_field(changes *d, const fr_compat_path *at, const fr_shape_field *was,
                       const fr_shape_field *f)
{
    if (!fr_str_eq(was->name, f->name))
        note(d, '~', at, "field.renamed", "its old name is an alias")->detail =
            fr_arena_printf(d->a, "renamed from %.*s", FR_ARG(was->name));
    diff_types(d, at, was->type, f->type);
    diff_default(d, at, was->fallback, f->fallback);
    diff_words(d, at, was->doc, f->doc, was->properties, f->properties);
    if (fr_str_eq(was->name, f->name) && !same_names(&was->aliases, &f->aliases))
        note(d, '~', at, "aliases.changed", "its aliases are others");
}

/* Has it a field of next that takes its values? */
static bool is_kept(const fr_shape *next, const fr_shape *old, const fr_shape_field *f)
{
    bool several;
    for (size_t i = 0; i < next->field_count; i++)
        if (fr_str_eq(next->fields[i].name, f->name) ||
            (next->fields[i].aliases.count > 0 &&
             fr_compat_field(old, &next->fields[i], &several) == f))
            return true;
    return false;
}

static void diff_fields(changes *d, const fr_compat_path *at, const fr_shape *old,
                        const fr_shape *next)
{
    bool several;
    for (size_t i = 0; i < next->field_count; i++) {
        const fr_shape_field *f = &next->fields[i];
        const fr_shape_field *was = fr_compat_field(old, f, &several);
        fr_compat_path here = fr_compat_field_path(at, next, i);
        if (was != NULL) {
            diff_field(d, &here, was, f);
            continue;
        }
        fr_difference *n = note(d, '+', &here, "field.added", "it is new");
        n->new_type = fr_compat_describe(d->a, f->type);
        n->detail = default_text(d, f->fallback, "no default");
    }
    for (size_t i = 0; i < old->field_count; i++) {
        const fr_shape_field *f = &old->fields[i];
        fr_compat_path here = fr_compat_field_path(at, old, i);
        if (!is_kept(next, old, f))
            note(d, '-', &here, "field.removed", "it is gone")->old_type =
                fr_compat_describe(d->a, f->type);
    }
}

static void diff_symbols(changes *d, const fr_compat_path *at, const fr_shape *old,
                         const fr_shape *next)
{
    fr_str gone = fr_compat_symbols_without(d->a, old, next, "-");
    fr_str came = fr_compat_symbols_without(d->a, next, old, "+");
    if (gone.len + came.len > 0)
        note(d, '~', at, "symbols.changed", "its symbols are others")->detail =
            fr_arena_printf(d->a, "symbols %.*s%s%.*s", FR_ARG(came),
                            gone.len > 0 && came.len > 0 ? " " : "", FR_ARG(gone));
    else if (!same_names(&old->symbols, &next->symbols))
        note(d, '~', at, "symbols.changed", "its symbols are others")->detail =
            FR_STR("symbols in another order");
    diff_default(d, at, old->fallback, next->fallback);
}

static void diff_named(changes *d, const fr_compat_path *at, const fr_shape *old,
                       const fr_shape *next)
{
    if (old->kind == FR_SHAPE_RECORD &&
        fr_map_set_u64(d->seen, (uint64_t)next->number << 32 | old->number, d) != NULL)
        return;
    diff_words(d, at, old->doc, next->doc, old->properties, next->properties);
    if (!same_names(&old->aliases, &next->aliases))
        note(d, '~', at, "aliases.changed", "its aliases are others");
    if (old->kind == FR_SHAPE_RECORD)
        diff_fields(d, at, old, next);
    else if (old->kind == FR_SHAPE_ENUM)
        diff_symbols(d, at, old, next);
    else if (old->size != next->size)
        note(d, '~', at, "type.changed", "it has another size")->detail = fr_arena_printf(
            d->a, "%lld -> %lld bytes", (long long)old->size, (long long)next->size);
}

static bool holds_items(const fr_shape *s)
{
    return s != NULL && (s->kind == FR_SHAPE_ARRAY || s->kind == FR_SHAPE_MAP);
}

/* Two arrays, or two that may be null: what changed is what they hold. */
static bool only_items_differ(const fr_shape *old, const fr_shape *next)
{
    bool both = old->kind == next->kind && old->branch_count == next->branch_count;
    const fr_shape *a = old->kind == FR_SHAPE_UNION ? fr_compat_only_branch(old) : old;
    const fr_shape *b = next->kind == FR_SHAPE_UNION ? fr_compat_only_branch(next) : next;
    return both && holds_items(a) && holds_items(b) && a->kind == b->kind;
}

/* What is not told by going inside. */
static void diff_surface(changes *d, const fr_compat_path *at, const fr_shape *old,
                         const fr_shape *next)
{
    if (only_items_differ(old, next))
        return;
    fr_str was = fr_compat_describe(d->a, old), is = fr_compat_describe(d->a, next);
    if (fr_str_eq(was, is))
        return;
    fr_difference *n = note(d, '~', at, "type.changed", "it has another type");
    n->old_type = was;
    n->new_type = is;
}

/* The branch of a union that an old one has become. */
static const fr_shape *same_branch(const fr_shape *next, const fr_shape *old)
{
    for (size_t i = 0; i < next->branch_count; i++) {
        const fr_shape *b = next->branches[i];
        if (b->kind == old->kind && (b->name.len == 0 || fr_compat_full_name(b, old)))
            return b;
    }
    return NULL;
}

static void diff_inside(changes *d, const fr_compat_path *at, const fr_shape *old,
                        const fr_shape *next)
{
    if (old->kind != next->kind)
        return;
    if (old->name.len > 0) {
        diff_named(d, at, old, next);
    } else if (old->kind == FR_SHAPE_ARRAY || old->kind == FR_SHAPE_MAP) {
        fr_compat_path here = fr_compat_items_path(at, next);
        diff_types(d, &here, old->branches[0], next->branches[0]);
    }
}

static void diff_types(changes *d, const fr_compat_path *at, const fr_shape *old,
                       const fr_shape *next)
{
    diff_surface(d, at, old, next);
    const fr_shape *a = old->kind == FR_SHAPE_UNION ? fr_compat_only_branch(old) : old;
    const fr_shape *b = next->kind == FR_SHAPE_UNION ? fr_compat_only_branch(next) : next;
    if (a != NULL && b != NULL) {
        diff_inside(d, at, a, b);
        return;
    }
    for (size_t i = 0; old->kind == FR_SHAPE_UNION && i < old->branch_count; i++) {
        const fr_shape *was = old->branches[i];
        const fr_shape *is = next->kind == FR_SHAPE_UNION ? same_branch(next, was) : next;
        if (is != NULL)
            diff_inside(d, at, was, is);
    }
}

static void diff_all(fr_arena *a, const fr_shape *old, const fr_shape *next, fr_differences *out)
{
    changes d = {.a = a, .out = out, .seen = fr_map_new()};
    diff_types(&d, NULL, old, next);
    fr_map_free(d.seen, NULL);
}

bool fr_diff_is_wording(const fr_difference *d)
{
    return strcmp(d->kind, "doc.changed") == 0 || strcmp(d->kind, "properties.changed") == 0 ||
           strcmp(d->kind, "aliases.changed") == 0;
}

/* "+ a int (no default)", "~ b int -> string", "- c". */
static void write_change(fr_buf *b, const fr_difference *d)
{
    fr_buf_printf(b, "%s%c", b->len > 0 ? "; " : "", d->sign);
    if (d->path.len > 0)
        fr_buf_printf(b, " %.*s", FR_ARG(d->path));
    if (d->sign == '~' && d->old_type.len > 0)
        fr_buf_printf(b, " %.*s -> %.*s", FR_ARG(d->old_type), FR_ARG(d->new_type));
    if (d->sign == '+')
        fr_buf_printf(b, " %.*s (%.*s)", FR_ARG(d->new_type), FR_ARG(d->detail));
    else if (d->detail.len > 0)
        fr_buf_printf(b, " %.*s", FR_ARG(d->detail));
}

fr_rc fr_compat_diff(fr_arena *a, fr_str old, fr_str next, fr_str *out, fr_err *err)
{
    const fr_shape *x, *y;
    fr_buf text = {.arena = a};
    fr_differences list = {.arena = a};
    FR_TRY(fr_shape_parse(a, old, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    diff_all(a, x, y, &list);
    for (size_t i = 0; i < list.count; i++)
        if (!fr_diff_is_wording(&list.items[i]))
            write_change(&text, &list.items[i]);
    *out = fr_buf_view(&text);
    return FR_OK;
}

/* --- levels ----------------------------------------------------------------------------- */

static bool is_transitive(int level)
{
    return level == FR_COMPAT_BACKWARD_TRANSITIVE || level == FR_COMPAT_FORWARD_TRANSITIVE ||
           level == FR_COMPAT_FULL_TRANSITIVE;
}

static bool looks_back(int level)
{
    return level == FR_COMPAT_BACKWARD || level == FR_COMPAT_BACKWARD_TRANSITIVE ||
           level == FR_COMPAT_FULL || level == FR_COMPAT_FULL_TRANSITIVE;
}

static bool looks_ahead(int level)
{
    return level == FR_COMPAT_FORWARD || level == FR_COMPAT_FORWARD_TRANSITIVE ||
           level == FR_COMPAT_FULL || level == FR_COMPAT_FULL_TRANSITIVE;
}

/* A problem is told where the change that makes it is told, once; a second one of the same change
 * (of the other way) gets a line of its own. */
static void merge(fr_differences *out, size_t first, const fr_difference *p)
{
    for (size_t i = first; i < out->count; i++) {
        fr_difference *d = &out->items[i];
        if (d->verdict != FR_DIFF_NOTE || fr_diff_is_wording(d) || !fr_str_eq(d->path, p->path) ||
            d->sign != p->sign || strcmp(d->kind, "default.changed") == 0)
            continue;
        d->verdict = p->verdict;
        d->kind = p->kind;
        d->why = p->why;
        d->ahead = p->ahead;
        d->registry_kind = p->registry_kind;
        d->pointer = p->pointer;
        return;
    }
    *fr_compat_add(out) = *p;
}

static fr_rc add_problems(fr_arena *a, const fr_shape *reader, const fr_shape *writer, bool ahead,
                          size_t version, size_t first, fr_differences *out)
{
    fr_differences found = {.arena = a};
    fr_rc rc = fr_compat_problems(a, reader, writer, &found);
    for (size_t i = 0; i < found.count; i++) {
        fr_difference *p = &found.items[i];
        p->ahead = ahead;
        p->version = version;
        if (ahead) { /* it told of the writer as the old one */
            fr_str old = p->new_type;
            p->new_type = p->old_type;
            p->old_type = old;
            p->sign = p->sign == '+' ? '-' : p->sign;
        }
        merge(out, first, p);
    }
    return rc;
}

static fr_rc list_version(fr_arena *a, int level, const fr_shape *next, fr_str text, size_t version,
                          bool newest, fr_differences *out, fr_err *err)
{
    const fr_shape *old;
    size_t first = out->count;
    fr_rc back = FR_OK, ahead = FR_OK;
    if (fr_shape_parse(a, text, &old, err) == FR_FAIL)
        return fr_fail_in(err, "version %zu", version);
    if (newest)
        diff_all(a, old, next, out);
    for (size_t i = first; i < out->count; i++)
        out->items[i].version = version;
    if (looks_back(level))
        back = add_problems(a, next, old, false, version, first, out);
    if (looks_ahead(level))
        ahead = add_problems(a, old, next, true, version, first, out);
    return back == FR_OK ? ahead : back;
}

static bool is_told(const fr_differences *list, const char *kind, fr_str path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].kind, kind) == 0 && fr_str_eq(list->items[i].path, path))
            return true;
    return false;
}

static void check_defaults(changes *d, const fr_compat_path *at, const fr_shape *s, size_t version)
{
    for (size_t i = 0; i < s->branch_count; i++) {
        fr_compat_path here = {.up = at, .index = (int)i};
        if (s->kind != FR_SHAPE_UNION)
            here = fr_compat_items_path(at, s);
        check_defaults(d, &here, s->branches[i], version);
    }
    if (s->kind != FR_SHAPE_RECORD || fr_map_set_u64(d->seen, s->number, d) != NULL)
        return;
    for (size_t i = 0; i < s->field_count; i++) {
        const fr_shape_field *f = &s->fields[i];
        fr_compat_path here = fr_compat_field_path(at, s, i);
        check_defaults(d, &here, f->type, version);
        if (f->fallback.len == 0 || fr_shape_default_fits(f->type, f->fallback) ||
            is_told(d->out, "default.invalid", fr_compat_path_text(d->a, &here)))
            continue;
        fr_difference *n =
            note(d, '~', &here, "default.invalid", "its default is no value of its type");
        n->verdict = FR_DIFF_STRICT;
        n->version = version;
        n->detail = default_text(d, f->fallback, "");
    }
}

/* Registries take no schema with such a default, whatever the level, or lead readers to it later.
 */
static bool has_bad_default(fr_arena *a, const fr_shape *next, size_t version, fr_differences *out)
{
    size_t before = out->count;
    changes d = {.a = a, .out = out, .seen = fr_map_new()};
    check_defaults(&d, NULL, next, version);
    fr_map_free(d.seen, NULL);
    return out->count > before;
}

fr_rc fr_compat_list(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                     fr_differences *out, fr_err *err)
{
    const fr_shape *shape;
    fr_rc verdict = FR_OK;
    *out = (fr_differences){.arena = a};
    FR_TRY(fr_shape_parse(a, next, &shape, err));
    for (size_t i = count; i > 0; i--) {
        if (i < count && !is_transitive(level))
            break;
        fr_rc rc = list_version(a, level, shape, versions[i - 1], i, i == count, out, err);
        if (rc == FR_FAIL)
            return FR_FAIL;
        if (rc == FR_END)
            verdict = FR_END;
    }
    return has_bad_default(a, shape, count, out) ? FR_END : verdict;
}

/* What breaks one version in one way. */
static void write_breaks(fr_buf *why, const fr_differences *list, size_t version, bool ahead)
{
    size_t said = 0;
    for (size_t i = 0; i < list->count; i++) {
        const fr_difference *d = &list->items[i];
        if (d->version != version || d->ahead != ahead || d->verdict == FR_DIFF_NOTE)
            continue;
        fr_buf_text(why, why->len > 0 ? "; " : "");
        if (said++ == 0)
            fr_buf_printf(why,
                          ahead ? "version %zu cannot read the new schema: "
                                : "the new schema cannot read version %zu: ",
                          version);
        fr_compat_say(why, d);
    }
}

fr_rc fr_compat_check(fr_arena *a, int level, fr_str next, const fr_str *versions, size_t count,
                      fr_str *why_out, fr_err *err)
{
    fr_differences list;
    fr_buf why = {.arena = a};
    const fr_shape *ignored;
    *why_out = (fr_str){"", 0};
    if (level == FR_COMPAT_NONE)
        return fr_shape_parse(a, next, &ignored, err);
    fr_rc rc = fr_compat_list(a, level, next, versions, count, &list, err);
    if (rc != FR_END)
        return rc;
    for (size_t v = count; v > 0; v--) {
        write_breaks(&why, &list, v, false);
        write_breaks(&why, &list, v, true);
    }
    *why_out = fr_buf_view(&why);
    return FR_END;
}
