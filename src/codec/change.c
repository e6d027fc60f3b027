#include "codec/change.h"
#include "base/json.h"
#include "codec/compat.h"

#include <string.h>

static const fr_shape_field *field_of(const fr_shape *record, fr_str name)
{
    for (size_t i = 0; i < record->field_count; i++)
        if (fr_str_eq(record->fields[i].name, name))
            return &record->fields[i];
    return NULL;
}

static const fr_shape *record_in(const fr_shape *s)
{
    for (size_t i = 0; s->kind == FR_SHAPE_UNION && i < s->branch_count; i++)
        if (s->branches[i]->kind == FR_SHAPE_RECORD)
            return s->branches[i];
    return s->kind == FR_SHAPE_RECORD ? s : NULL;
}

/* The row's record: the value itself, or what `after` holds. */
static const fr_shape *row_of(const fr_route *route, const fr_shape *value)
{
    if (value->kind != FR_SHAPE_RECORD || route->envelope == FR_ENVELOPE_STATE)
        return record_in(value);
    const fr_shape_field *after = field_of(value, FR_STR("after"));
    return after == NULL ? NULL : record_in(after->type);
}

static const char *const kinds[] = {"rename_column", "drop_column", "change_type", "add_column"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static fr_rc refuse(const fr_route *route, size_t kind, int policy, fr_str columns, fr_err *err)
{
    const fr_table *t = route->table;
    const char *key = kinds[kind];
    bool stop = policy == FR_CHANGE_STOP;
    if (policy == FR_CHANGE_NEW_TOPIC) {
        fr_fail(err, FR_ERR_SCHEMA, "table %.*s.%.*s: %.*s: schema.on_change.%s says new_topic",
                FR_ARG(t->space), FR_ARG(t->name), FR_ARG(columns), key);
        fr_fail_code(err, FR_NEW_TOPIC);
        err->native = (int)kind + 1;
        return fr_fail_hint(err, "run goes on with it in the table's next topic");
    }
    fr_fail(err, FR_ERR_SCHEMA, "table %.*s.%.*s: %.*s: schema.on_change.%s says %s",
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(columns), key, stop ? "stop" : "block");
    fr_fail_code(err, stop ? "schema.on_change" : "schema.blocked");
    return fr_fail_hint(
        err, "tell the consumers, then set schema.on_change.%s: evolve, and start freshet again",
        key);
}

fr_str fr_change_kind(const fr_err *err)
{
    bool known = strcmp(err->code, FR_NEW_TOPIC) == 0 && err->native > 0 && err->native <= KINDS;
    return known ? fr_cstr(kinds[err->native - 1]) : FR_STR("");
}

static fr_str listed(fr_arena *a, fr_str list, const char *sign, fr_str name)
{
    return fr_arena_printf(a, "%.*s%s%s%.*s", FR_ARG(list), list.len > 0 ? ", " : "", sign,
                           FR_ARG(name));
}

/* ---- which column is which ---- */

typedef struct pairs {
    fr_arena *a;
    const fr_shape *was, *is;
    int *to;     /* of each field that was: the one that is; -1: it is gone */
    int *from;   /* the other way round; -1: it is new */
    int unclear; /* a field that is gone, where it cannot be told whether it was renamed; -1: none
                  */
} pairs;

static int index_of(const fr_shape *record, fr_str name)
{
    const fr_shape_field *f = field_of(record, name);
    return f == NULL ? -1 : (int)(f - record->fields);
}

static bool same_type(const pairs *p, size_t i, size_t j)
{
    return fr_str_eq(fr_shape_text(p->a, p->was->fields[i].type),
                     fr_shape_text(p->a, p->is->fields[j].type));
}

static bool renamed(const pairs *p, size_t i)
{
    return p->to[i] >= 0 && !fr_str_eq(p->was->fields[i].name, p->is->fields[p->to[i]].name);
}

/* No log says that a column was renamed. Fields [i, i + m) that are gone stood between two that are
 * still there: as many new ones of their types between the same two are the same columns. A column
 * that is added stands at the end. */
static void pair_run(pairs *p, size_t i, size_t m)
{
    size_t j = i == 0 ? 0 : (size_t)p->to[i - 1] + 1, n = 0;
    while (j + n < p->is->field_count && p->from[j + n] < 0)
        n++;
    bool last = i + m == p->was->field_count;
    bool clean = last ? j + n == p->is->field_count && n >= m
                      : n == m && j + n < p->is->field_count && p->from[j + n] == (int)(i + m);
    for (size_t k = 0; clean && k < m; k++)
        clean = same_type(p, i + k, j + k);
    if (!clean && n > 0)
        p->unclear = (int)i;
    for (size_t k = 0; clean && k < m; k++) {
        p->to[i + k] = (int)(j + k);
        p->from[j + k] = (int)(i + k);
    }
}

/* Renamed and moved in one, which MySQL can: a new field of its type that stands before others. */
static void find_moved(pairs *p)
{
    size_t end = p->is->field_count;
    while (end > 0 && p->from[end - 1] < 0)
        end--;
    for (size_t i = 0; i < p->was->field_count; i++)
        for (size_t j = 0; p->to[i] < 0 && j < end; j++)
            if (p->from[j] < 0 && same_type(p, i, j))
                p->unclear = (int)i;
}

static pairs pairs_of(fr_arena *a, const fr_shape *was, const fr_shape *is)
{
    pairs p = {.a = a, .was = was, .is = is, .unclear = -1};
    p.to = fr_arena_alloc(a, (was->field_count + 1) * sizeof *p.to);
    p.from = fr_arena_alloc(a, (is->field_count + 1) * sizeof *p.from);
    for (size_t i = 0; i < was->field_count; i++)
        p.to[i] = index_of(is, was->fields[i].name);
    for (size_t j = 0; j < is->field_count; j++)
        p.from[j] = index_of(was, is->fields[j].name);
    for (size_t i = 0, m; i < was->field_count; i += m) {
        for (m = 0; i + m < was->field_count && p.to[i + m] < 0;)
            m++;
        if (m > 0)
            pair_run(&p, i, m);
        else
            m = 1;
    }
    find_moved(&p);
    return p;
}

/* ---- what is said of them ---- */

static fr_rc judge(const fr_route *route, const pairs *p, fr_err *err)
{
    fr_arena *a = p->a;
    fr_str added = {"", 0}, dropped = {"", 0}, changed = {"", 0}, names = {"", 0};
    for (size_t j = 0; j < p->is->field_count; j++)
        if (p->from[j] < 0)
            added = listed(a, added, "+", p->is->fields[j].name);
    for (size_t i = 0; i < p->was->field_count; i++) {
        fr_str name = p->was->fields[i].name;
        if (p->to[i] < 0)
            dropped = listed(a, dropped, "-", name);
        else if (renamed(p, i))
            names = fr_arena_printf(a, "%.*s%s%.*s->%.*s", FR_ARG(names), names.len > 0 ? ", " : "",
                                    FR_ARG(name), FR_ARG(p->is->fields[p->to[i]].name));
        else if (!same_type(p, i, (size_t)p->to[i]))
            changed = listed(a, changed, "~", name);
    }
    const fr_table_settings *s = route->settings;
    const struct {
        int policy;
        fr_str columns;
    } all[] = {{s->rename_column, names}, /* as in kinds */
               {s->drop_column, dropped},
               {s->change_type, changed},
               {s->add_column, added}};
    const size_t n = KINDS;
    for (size_t i = 0; i < 2 * n; i++) { /* what stands in the way first, in any topic */
        bool moves = all[i % n].policy == FR_CHANGE_NEW_TOPIC;
        if (all[i % n].columns.len > 0 && all[i % n].policy != FR_CHANGE_EVOLVE &&
            all[i % n].policy != FR_CHANGE_IGNORE && moves == (i >= n))
            return refuse(route, i % n, all[i % n].policy, all[i % n].columns, err);
    }
    return FR_OK;
}

/* FR_END: another envelope, which the registry judges. */
static fr_rc compare(fr_arena *a, const fr_route *route, fr_str old, fr_str next, pairs *out,
                     fr_err *err)
{
    const fr_shape *x, *y;
    FR_TRY(fr_shape_parse(a, old, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    const fr_shape *was = row_of(route, x), *is = row_of(route, y);
    if (was == NULL || is == NULL)
        return FR_END;
    *out = pairs_of(a, was, is);
    return judge(route, out, err);
}

fr_rc fr_change_allowed(fr_arena *a, const fr_route *route, fr_str old, fr_str next, fr_err *err)
{
    pairs p;
    fr_rc rc = compare(a, route, old, next, &p, err);
    return rc == FR_END ? FR_OK : rc;
}

/* FR_END: the registry does not have it, or, being set up anew, another schema by this number. */
static fr_rc last_schema(fr_registry *registry, fr_arena *a, int32_t last, fr_str next, fr_str *old,
                         fr_err *err)
{
    const fr_shape *x, *y;
    fr_str text;
    if (fr_registry_schema(registry, last, &text, err) == FR_FAIL)
        return err->kind == FR_ERR_DATA ? FR_END : FR_FAIL;
    FR_TRY(fr_shape_parse(a, text, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    *old = text;
    return fr_str_eq(x->name, y->name) ? FR_OK : FR_END;
}

fr_rc fr_change_before(fr_registry *registry, fr_arena *a, int32_t last, const char *subject,
                       fr_str next, bool known, fr_str *old, fr_err *err)
{
    int version;
    int32_t newest;
    fr_rc rc = last == 0 ? FR_END : last_schema(registry, a, last, next, old, err);
    if (rc == FR_END && !known)
        rc = fr_registry_latest(registry, a, subject, &version, &newest, old, err);
    return rc;
}

fr_rc fr_change_since(fr_registry *registry, fr_arena *a, const fr_route *route, int32_t last,
                      fr_str next, fr_err *err)
{
    fr_str old;
    fr_rc rc = last_schema(registry, a, last, next, &old, err);
    return rc == FR_OK ? fr_change_allowed(a, route, old, next, err) : rc;
}

/* ---- ignore ---- */

bool fr_change_ignores(const fr_table_settings *s)
{
    return s->add_column == FR_CHANGE_IGNORE || s->drop_column == FR_CHANGE_IGNORE ||
           s->rename_column == FR_CHANGE_IGNORE || s->change_type == FR_CHANGE_IGNORE;
}

typedef struct keeping {
    const pairs *p;
    const fr_table_settings *s;
    json_t *old, *next; /* the rows' records */
    json_t *fields;     /* what is published */
    fr_kept *kept;
    fr_str said, bared; /* bared: a field that was masked, and would not be any more */
} keeping;

static json_t *field_at(const json_t *record, size_t i)
{
    return json_array_get(json_object_get(record, "fields"), i);
}

static void say(keeping *k, const char *what, fr_str name)
{
    k->said = fr_arena_printf(k->p->a, "%.*s%s%.*s%s", FR_ARG(k->said), k->said.len > 0 ? ", " : "",
                              FR_ARG(name), what);
}

/* A field that was: as it was where its change is ignored, else as it is, if it is. */
static void keep_field(keeping *k, size_t i)
{
    const pairs *p = k->p;
    fr_str name = p->was->fields[i].name;
    bool gone = p->to[i] < 0;
    size_t j = gone ? 0 : (size_t)p->to[i];
    bool other = !gone && renamed(p, i);
    int policy = gone                  ? k->s->drop_column
                 : other               ? k->s->rename_column
                 : !same_type(p, i, j) ? k->s->change_type
                                       : FR_CHANGE_EVOLVE;
    if (policy == FR_CHANGE_IGNORE) {
        if (other && strcmp(fr_json_str(field_at(k->old, i), "freshet.mask", ""),
                            fr_json_str(field_at(k->next, j), "freshet.mask", "")) != 0)
            k->bared = name;
        json_array_append(k->fields, field_at(k->old, i));
        if (other)
            k->kept->renamed[k->kept->count++] =
                (fr_kept_name){fr_arena_str(p->a, name), fr_arena_str(p->a, p->is->fields[j].name)};
        fr_str column = other ? p->is->fields[j].name : FR_STR("");
        say(k,
            fr_arena_cstr(p->a, fr_arena_printf(p->a, "%s%.*s",
                                                gone    ? " without its column"
                                                : other ? " from "
                                                        : " of its former type",
                                                FR_ARG(column))),
            name);
    } else if (!gone) {
        json_array_append(k->fields, field_at(k->next, j));
    }
}

static void keep_fields(keeping *k)
{
    const pairs *p = k->p;
    for (size_t i = 0; i < p->was->field_count; i++)
        keep_field(k, i);
    for (size_t j = 0; j < p->is->field_count; j++) {
        if (p->from[j] >= 0)
            continue;
        if (k->s->add_column == FR_CHANGE_IGNORE)
            say(k, " left out", p->is->fields[j].name);
        else
            json_array_append(k->fields, field_at(k->next, j));
    }
}

static fr_rc parse_row(fr_arena *a, fr_str value, json_t **out, fr_err *err)
{
    fr_str text;
    FR_TRY(fr_contract_row(a, value, &text, err));
    return fr_json_parse(text, out, err);
}

/* The record that is published; what is no column (docs, owner, tags) is as it is now. */
static fr_rc keep_record(keeping *k, fr_str old, fr_str next, fr_err *err)
{
    fr_arena *a = k->p->a;
    FR_TRY(parse_row(a, old, &k->old, err));
    FR_TRY(parse_row(a, next, &k->next, err));
    k->fields = json_array();
    keep_fields(k);
    if (k->said.len == 0)
        return FR_OK;
    json_object_set(k->next, "fields", k->fields);
    k->kept->contract.text = fr_json_text(a, k->next);
    return FR_OK;
}

static fr_rc refuse_unclear(const fr_route *route, const pairs *p, fr_err *err)
{
    const fr_table *t = route->table;
    fr_str name = p->was->fields[p->unclear].name;
    fr_fail(
        err, FR_ERR_SCHEMA,
        "table %.*s.%.*s: -%.*s: schema.on_change.drop_column says ignore, but with the columns "
        "that are new it cannot be told whether it was dropped or renamed",
        FR_ARG(t->space), FR_ARG(t->name), FR_ARG(name));
    fr_fail_code(err, "schema.blocked");
    return fr_fail_hint(err, "tell the consumers, then set schema.on_change.drop_column: evolve, "
                             "and start freshet again");
}

/* columns.mask names the column as it was: a pattern's may be in some of its tables only. */
static fr_rc refuse_bared(const fr_route *route, fr_str field, fr_err *err)
{
    const fr_table *t = route->table;
    fr_fail(err, FR_ERR_SCHEMA,
            "table %.*s.%.*s: schema.on_change.rename_column says ignore, but field %.*s would be "
            "masked otherwise than it was",
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(field));
    fr_fail_code(err, "schema.blocked");
    return fr_fail_hint(err, "name the column as it is called now in columns.mask, and start "
                             "freshet again");
}

fr_rc fr_change_keep(fr_arena *a, const fr_route *route, fr_str old, fr_str next,
                     const fr_route **out, fr_str *said, fr_err *err)
{
    pairs p;
    fr_rc rc = compare(a, route, old, next, &p, err);
    *out = route;
    *said = FR_STR("");
    if (rc != FR_OK || !fr_change_ignores(route->settings))
        return rc == FR_END ? FR_OK : rc;
    if (p.unclear >= 0 && route->settings->drop_column == FR_CHANGE_IGNORE)
        return refuse_unclear(route, &p, err);
    fr_kept *kept = fr_arena_alloc(a, sizeof *kept);
    kept->renamed = fr_arena_alloc(a, (p.was->field_count + 1) * sizeof *kept->renamed);
    keeping k = {.p = &p, .s = route->settings, .kept = kept, .said = *said};
    rc = keep_record(&k, old, next, err);
    json_decref(k.old);
    json_decref(k.next);
    json_decref(k.fields);
    *said = k.said;
    if (rc == FR_OK && k.bared.len > 0)
        return refuse_bared(route, k.bared, err);
    return rc == FR_OK && k.said.len > 0 ? fr_contract_keep(a, route, kept, out, err) : rc;
}
