/* A message's table laid onto the files that are there of it: the folder's name, the columns of new
 * files and their types, and what on_change says to columns that came, went or became wider (S04).
 * A file is never rewritten for that: new columns begin with a new file, and a wider type, too. */
#include "base/bytes.h"
#include "file/file_sink.h"
#include "sql/evolve.h"
#include "sql/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* Of what a folder's name may have, however hostile a name is; a long one ends in its hash. No
 * leading '_' or '.': readers of such folders pass over them. */
static void put_part(fr_buf *b, fr_str name)
{
    enum { LONGEST = 100 };
    size_t from = b->len;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || (c == '_' && i > 0);
        if (plain)
            fr_buf_u8(b, (uint8_t)c);
        else
            fr_buf_printf(b, "%%%02X", (uint8_t)c);
    }
    if (b->len - from <= LONGEST)
        return;
    b->len = from + LONGEST - 17;
    fr_buf_printf(b, "~%016" PRIx64, fr_hash64(name.ptr, name.len));
}

static fr_str folder_of(fr_arena *a, fr_str space, fr_str name)
{
    fr_buf b = {.arena = a};
    if (space.len > 0) {
        put_part(&b, space);
        fr_buf_u8(&b, '.');
    }
    put_part(&b, name);
    return fr_buf_view(&b);
}

static bool is_own(fr_str name)
{
    return name.len >= 9 && fr_target_same_name((fr_str){name.ptr, 9}, FR_STR("_freshet_"));
}

/* ---- what is there ---- */

typedef struct comparison {
    fr_file_sink *s;
    const fr_table *t;
    fr_str shown;
    fr_findings *out;
    fr_arena *a;
    const fr_file_table *held; /* NULL: no file of it yet */
} comparison;

static fr_finding *blocker(comparison *k, const char *code, fr_str text, const char *hint)
{
    fr_finding *f =
        fr_findings_add(k->out, FR_BLOCKER, code, "%.*s: %.*s", FR_ARG(k->shown), FR_ARG(text));
    f->hint = fr_cstr(hint);
    return f;
}

/* The type that a column's newest files have; NULL: none has it. Shapes that wait for the commit
 * are newer than those of the manifest. */
static const fr_file_column *newest_of(const fr_file_shape *shapes, size_t count, const fr_table *t,
                                       fr_str name)
{
    for (size_t i = count; i-- > 0;) {
        const fr_file_shape *shape = &shapes[i];
        if (!fr_str_eq(shape->space, t->space) || !fr_str_eq(shape->name, t->name))
            continue;
        for (size_t c = 0; c < shape->column_count; c++)
            if (fr_str_eq(shape->columns[c].name, name))
                return &shape->columns[c];
    }
    return NULL;
}

static const fr_file_column *held_column(const comparison *k, fr_str name)
{
    const fr_file_record *next = &k->s->next;
    const fr_file_column *c = newest_of(next->shapes.items, next->shapes.count, k->t, name);
    if (c != NULL || k->held == NULL)
        return c;
    return newest_of(k->held->shapes.items, k->held->shapes.count, k->t, name);
}

static bool any_shape(const comparison *k)
{
    bool any = k->held != NULL;
    for (size_t i = 0; i < k->s->next.shapes.count && !any; i++)
        any = fr_str_eq(k->s->next.shapes.items[i].space, k->t->space) &&
              fr_str_eq(k->s->next.shapes.items[i].name, k->t->name);
    return any;
}

/* ---- columns ---- */

static bool good_name(comparison *k, const fr_column *c)
{
    fr_err err;
    fr_str text = FR_STR("");
    if (fr_target_check_name("DuckDB", c->name, &err) == FR_FAIL)
        text = fr_arena_printf(k->a, "column: %s", err.text);
    else if (is_own(c->name))
        text = fr_arena_printf(k->a, "column %.*s has a name of freshet's own", FR_ARG(c->name));
    for (const fr_column *other = k->t->columns; other < c && text.len == 0; other++)
        if (fr_target_same_name(other->name, c->name))
            text = fr_arena_printf(k->a,
                                   "column %.*s: another one differs by case only, and many "
                                   "readers take them for one",
                                   FR_ARG(c->name));
    if (text.len > 0)
        blocker(k, "sink.name", text, "leave the column out at the source (columns.exclude)");
    return text.len == 0;
}

/* Of the column in new files; empty: it is left out, or in the way. */
static fr_str new_column(comparison *k, const fr_column *c, fr_str type)
{
    fr_str text = fr_arena_printf(k->a, "its files have no column %.*s", FR_ARG(c->name));
    switch (k->s->settings->add_column) {
    case FR_CHANGE_EVOLVE:
        fr_findings_add(k->out, FR_FINE, "sink.table", "%.*s: new files have the column %.*s %.*s",
                        FR_ARG(k->shown), FR_ARG(c->name), FR_ARG(type));
        return type;
    case FR_CHANGE_IGNORE:
        fr_findings_add(k->out, FR_WARNING, "sink.table", "%.*s: %.*s: left out (on_change)",
                        FR_ARG(k->shown), FR_ARG(text));
        return FR_STR("");
    default:
        blocker(k, "sink.add_column", text, "set on_change.add_column to evolve or ignore");
        return FR_STR("");
    }
}

static fr_str other_type(comparison *k, const fr_column *staged, fr_str type, fr_str held)
{
    fr_str wider = k->s->format->both(k->a, staged, type, held);
    fr_str text = fr_arena_printf(k->a, "column %.*s is %.*s in its files, the messages have %.*s",
                                  FR_ARG(staged->name), FR_ARG(held), FR_ARG(type));
    if (fr_str_eq(wider, held))
        return held;
    if (wider.len == 0) {
        blocker(k, "sink.types", text,
                "readers cannot read both as one: give the table's topic another table "
                "(into, in a sink of its own), or a folder of its own");
    } else if (k->s->settings->change_type != FR_CHANGE_EVOLVE) {
        blocker(k, "sink.types", text, "set on_change.change_type to evolve: new files are wider");
    } else {
        fr_findings_add(k->out, FR_FINE, "sink.types",
                        "%.*s: column %.*s: %.*s in new files, not %.*s", FR_ARG(k->shown),
                        FR_ARG(staged->name), FR_ARG(wider), FR_ARG(held));
        return wider;
    }
    return FR_STR("");
}

static fr_str column_type(comparison *k, const fr_column *c)
{
    fr_column staged = fr_file_staged(c);
    fr_str type = k->s->format->type(k->a, c);
    if (!good_name(k, c))
        return FR_STR("");
    const fr_file_column *held = held_column(k, c->name);
    if (held == NULL)
        return any_shape(k) ? new_column(k, c, type) : type;
    return fr_str_eq(held->type, type) ? type : other_type(k, &staged, type, held->type);
}

/* The columns of new files; what is in the way is among the findings. */
static void lay_columns(comparison *k, fr_file_shape *shape, uint16_t *columns)
{
    for (size_t i = 0; i < k->t->column_count; i++) {
        const fr_column *c = &k->t->columns[i];
        fr_str type = column_type(k, c);
        if (type.len == 0)
            continue;
        columns[shape->column_count] = (uint16_t)i;
        shape->columns[shape->column_count++] = (fr_file_column){c->name, type, c->key_ordinal};
    }
    static const fr_target_dialect dialect = {.server = "DuckDB", .ident = fr_sql_ident};
    const fr_target_comparison of = {.dialect = &dialect,
                                     .settings = k->s->settings,
                                     .table = k->t,
                                     .qualified = k->shown,
                                     .out = k->out,
                                     .a = k->a};
    fr_target_lost_columns(&of, fr_target_version_before(k->s->versions, k->t));
}

/* ---- shapes ---- */

static bool same_shape(const fr_file_shape *a, const fr_file_shape *b)
{
    if (a->column_count != b->column_count)
        return false;
    for (size_t i = 0; i < a->column_count; i++)
        if (!fr_str_eq(a->columns[i].name, b->columns[i].name) ||
            !fr_str_eq(a->columns[i].type, b->columns[i].type) ||
            a->columns[i].key != b->columns[i].key)
            return false;
    return true;
}

/* The number of this shape; a new one waits for the commit. */
static int64_t number_of(fr_file_sink *s, const fr_file_table *held, const fr_file_shape *shape)
{
    int64_t last = held == NULL ? 0 : (int64_t)held->shapes.count;
    for (size_t i = 0; held != NULL && i < held->shapes.count; i++)
        if (same_shape(&held->shapes.items[i], shape))
            return held->shapes.items[i].number;
    for (size_t i = 0; i < s->next.shapes.count; i++) {
        const fr_file_shape *other = &s->next.shapes.items[i];
        if (!fr_str_eq(other->space, shape->space) || !fr_str_eq(other->name, shape->name))
            continue;
        if (same_shape(other, shape))
            return other->number;
        last = other->number;
    }
    fr_file_shape *new = FR_FILE_ADD(s->open, &s->next.shapes);
    *new = *shape;
    new->number = last + 1;
    new->columns = fr_arena_alloc(s->open, (shape->column_count + 1) * sizeof(*new->columns));
    new->space = fr_arena_str(s->open, shape->space);
    new->name = fr_arena_str(s->open, shape->name);
    for (size_t i = 0; i < shape->column_count; i++)
        new->columns[i] =
            (fr_file_column){fr_arena_str(s->open, shape->columns[i].name),
                             fr_arena_str(s->open, shape->columns[i].type), shape->columns[i].key};
    return new->number;
}

/* ---- versions ---- */

static void version_free(void *value)
{
    fr_file_version *v = value;
    free(v->days);
    free(v->cuts);
    fr_table_unref(v->table);
    fr_arena_free(v->range_arena);
    fr_arena_free(v->arena);
}

void fr_file_version_drop(fr_file_sink *s, fr_file_version *v)
{
    s->format->drop(s, v);
    for (size_t i = 0; i < v->day_count; i++)
        fr_buf_free(&v->days[i].bytes);
    v->day_count = 0;
    fr_arena_reset(v->range_arena);
}

void fr_file_versions_forget(fr_file_sink *s)
{
    size_t i = 0;
    void *value;
    while (fr_map_next(s->tables, &i, NULL, &value))
        fr_file_version_drop(s, value);
    fr_map_free(s->tables, version_free);
    s->tables = fr_map_new();
}

static fr_rc check_names(fr_file_sink *s, fr_arena *a, const fr_table *t, fr_err *err)
{
    FR_TRY(fr_target_check_name("DuckDB", t->name, err));
    if (t->space.len > 0)
        FR_TRY(fr_target_check_name("DuckDB", t->space, err));
    return fr_target_check_folded(s->folded, s->home, fr_target_lower(a, t->space),
                                  fr_target_lower(a, t->name), t,
                                  "there are file systems that take them for one", err);
}

static fr_file_version *version_new(const fr_table *t)
{
    fr_arena *a = fr_arena_new(0);
    fr_file_version *v = fr_arena_alloc(a, sizeof(*v));
    v->arena = a;
    v->table = fr_table_ref(t);
    v->range_arena = fr_arena_new(256);
    v->space = v->table->space;
    v->name = v->table->name;
    v->folder = folder_of(a, v->space, v->name);
    v->shown = fr_arena_printf(a, "%.*s%s%.*s", FR_ARG(v->space), v->space.len > 0 ? "." : "",
                               FR_ARG(v->name));
    v->columns = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*v->columns));
    v->staged = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*v->staged));
    v->shape = (fr_file_shape){.space = v->space, .name = v->name};
    v->shape.columns = fr_arena_alloc(a, (t->column_count + 1) * sizeof(*v->shape.columns));
    return v;
}

/* v takes the columns; out: what there is to say. */
static fr_rc lay(fr_file_sink *s, fr_file_version *v, fr_findings *out, fr_err *err)
{
    comparison k = {.s = s, .t = v->table, .shown = v->shown, .out = out, .a = out->arena};
    FR_TRY(check_names(s, s->arena, v->table, err));
    if (s->folder.state != NULL)
        k.held =
            fr_map_get(s->folder.state->tables, fr_file_table_key(s->arena, v->space, v->name));
    lay_columns(&k, &v->shape, v->columns);
    for (size_t i = 0; i < v->shape.column_count; i++)
        v->staged[i] = fr_file_staged(&v->table->columns[v->columns[i]]);
    return s->format->lay(s, v, err);
}

static fr_rc new_version(fr_file_sink *s, const fr_table *t, fr_file_version **out, fr_err *err)
{
    fr_file_version *v = version_new(t);
    fr_findings found = {.arena = v->arena};
    if (lay(s, v, &found, err) == FR_FAIL || fr_target_blocked(&found, err) == FR_FAIL) {
        version_free(v);
        return fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    }
    const fr_file_table *held =
        fr_map_get(s->folder.state->tables, fr_file_table_key(s->arena, v->space, v->name));
    v->shape.number = number_of(s, held, &v->shape);
    fr_map_set_u64(s->tables, t->serial, v);
    fr_target_keep_version(s->versions, t);
    *out = v;
    return FR_OK;
}

fr_rc fr_file_version_of(fr_file_sink *s, const fr_table *t, fr_file_version **out, fr_err *err)
{
    *out = fr_map_get_u64(s->tables, t->serial);
    return *out != NULL ? FR_OK : new_version(s, t, out, err);
}

static fr_rc prepare(fr_file_sink *s, const fr_table *t, bool create, bool plan_only,
                     fr_findings *found, fr_err *err)
{
    if (create && !plan_only)
        FR_TRY(fr_file_folder_make(&s->folder, err));
    if (plan_only && !fr_file_folder_held(&s->folder)) {
        fr_finding *f = fr_findings_add(found, create ? FR_CHANGE : FR_BLOCKER, "sink.file",
                                        "make the folder %s", s->folder.path);
        f->why =
            FR_STR("its manifest and the folders of tables are made in it, with their first rows");
    }
    fr_file_version *v = version_new(t);
    fr_rc rc = lay(s, v, found, err);
    version_free(v);
    return rc;
}

fr_rc fr_file_sink_prepare(fr_sink *base, const fr_table *t, bool create, bool plan_only,
                           fr_findings *out, fr_err *err)
{
    fr_file_sink *s = (fr_file_sink *)base;
    fr_findings own = {.arena = out != NULL ? out->arena : fr_arena_new(0)};
    fr_findings *found = out != NULL ? out : &own;
    fr_rc rc = prepare(s, t, create, plan_only, found, err);
    if (rc == FR_OK && !plan_only)
        rc = fr_target_blocked(found, err);
    if (rc == FR_FAIL)
        fr_fail_in(err, "target of %.*s", FR_ARG(t->name));
    if (out == NULL)
        fr_arena_free(own.arena);
    fr_arena_reset(s->arena);
    return rc;
}
