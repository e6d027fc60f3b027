#include "codec/change.h"
#include "codec/compat.h"

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

static fr_rc refuse(const fr_route *route, const char *key, int policy, fr_str columns, fr_err *err)
{
    const fr_table *t = route->table;
    bool stop = policy == FR_CHANGE_STOP;
    fr_fail(err, FR_ERR_SCHEMA, "table %.*s.%.*s: %.*s: schema.on_change.%s says %s",
            FR_ARG(t->space), FR_ARG(t->name), FR_ARG(columns), key, stop ? "stop" : "block");
    fr_fail_code(err, stop ? "schema.on_change" : "schema.blocked");
    return fr_fail_hint(
        err, "tell the consumers, then set schema.on_change.%s: evolve, and start freshet again",
        key);
}

static fr_str listed(fr_arena *a, fr_str list, const char *sign, fr_str name)
{
    return fr_arena_printf(a, "%.*s%s%s%.*s", FR_ARG(list), list.len > 0 ? ", " : "", sign,
                           FR_ARG(name));
}

/* At the same place stands another name for the same type: a column that was renamed. No log says
 * so; one that was dropped and another one added stands at the end. */
static bool was_renamed(fr_arena *a, const fr_shape *was, const fr_shape *is, size_t i)
{
    return was->field_count == is->field_count && i < was->field_count &&
           field_of(is, was->fields[i].name) == NULL && field_of(was, is->fields[i].name) == NULL &&
           fr_str_eq(fr_shape_text(a, was->fields[i].type), fr_shape_text(a, is->fields[i].type));
}

static fr_rc judge(fr_arena *a, const fr_route *route, const fr_shape *old, const fr_shape *next,
                   fr_err *err)
{
    const fr_shape *was = row_of(route, old), *is = row_of(route, next);
    if (was == NULL || is == NULL)
        return FR_OK; /* another envelope: the registry judges it */
    fr_str added = {"", 0}, dropped = {"", 0}, changed = {"", 0}, renamed = {"", 0};
    for (size_t i = 0; i < is->field_count; i++) {
        const fr_shape_field *f = &is->fields[i], *before = field_of(was, f->name);
        if (before == NULL && was_renamed(a, was, is, i))
            renamed =
                fr_arena_printf(a, "%.*s%s%.*s->%.*s", FR_ARG(renamed), renamed.len > 0 ? ", " : "",
                                FR_ARG(was->fields[i].name), FR_ARG(f->name));
        else if (before == NULL)
            added = listed(a, added, "+", f->name);
        else if (!fr_str_eq(fr_shape_text(a, before->type), fr_shape_text(a, f->type)))
            changed = listed(a, changed, "~", f->name);
    }
    for (size_t i = 0; i < was->field_count; i++)
        if (field_of(is, was->fields[i].name) == NULL && !was_renamed(a, was, is, i))
            dropped = listed(a, dropped, "-", was->fields[i].name);
    const fr_table_settings *s = route->settings;
    if (renamed.len > 0 && s->rename_column != FR_CHANGE_EVOLVE)
        return refuse(route, "rename_column", s->rename_column, renamed, err);
    if (dropped.len > 0 && s->drop_column != FR_CHANGE_EVOLVE)
        return refuse(route, "drop_column", s->drop_column, dropped, err);
    if (changed.len > 0 && s->change_type != FR_CHANGE_EVOLVE)
        return refuse(route, "change_type", s->change_type, changed, err);
    if (added.len > 0 && s->add_column != FR_CHANGE_EVOLVE)
        return refuse(route, "add_column", s->add_column, added, err);
    return FR_OK;
}

fr_rc fr_change_allowed(fr_arena *a, const fr_route *route, fr_str old, fr_str next, fr_err *err)
{
    const fr_shape *x, *y;
    FR_TRY(fr_shape_parse(a, old, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    return judge(a, route, x, y, err);
}

fr_rc fr_change_since(fr_registry *registry, fr_arena *a, const fr_route *route, int32_t last,
                      fr_str next, fr_err *err)
{
    const fr_shape *x, *y;
    fr_str old;
    if (fr_registry_schema(registry, last, &old, err) == FR_FAIL)
        return err->kind == FR_ERR_DATA ? FR_END : FR_FAIL;
    FR_TRY(fr_shape_parse(a, old, &x, err));
    FR_TRY(fr_shape_parse(a, next, &y, err));
    /* A registry that was set up anew may have another schema by this number. */
    return fr_str_eq(x->name, y->name) ? judge(a, route, x, y, err) : FR_END;
}
