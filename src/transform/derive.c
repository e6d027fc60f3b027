#include "transform/derive.h"
#include "base/bytes.h"
#include "transform/result.h"

#include <stdio.h>
#include <string.h>

typedef struct derived { /* a field of columns.derive */
    const char *field;
    fr_expr *e;
    fr_field_type type;
} derived;

struct fr_derive {
    const fr_route *route;
    fr_derive_tools *tools;
    fr_expr *filter, *gone; /* NULL: none; gone: poll.delete_when */
    derived *fields;        /* published behind the source's columns */
    size_t field_count;
    fr_mask *masks; /* one per column of the source; NULL: none is masked */
    bool renames;
    bool polled; /* a row that is met again may have passed the filter before */
    bool upsert; /* of a sink that keeps one row a key */
};

void fr_derive_tools_close(fr_derive_tools *t)
{
    fr_sandbox_close(t->sandbox);
    fr_hasher_close(t->hasher);
    fr_matcher_close(t->matcher);
}

bool fr_derive_wanted(const fr_table_settings *s)
{
    return s->filter != NULL || s->column_derive.count > 0 || s->column_mask.count > 0 ||
           s->column_rename.count > 0 || s->poll_delete_when != NULL;
}

/* ---- compiling ---- */

typedef struct compiler {
    fr_arena *a;
    fr_derive_tools *tools;
    fr_route *route;
    fr_derive *d;
    fr_column *columns; /* of the published table */
    fr_err *err;
} compiler;

/* Whose rows they are, for a person. */
static fr_str subject(fr_arena *a, const fr_route *r)
{
    if (r->sink != NULL)
        return fr_arena_printf(a, "topic %.*s", FR_ARG(r->topic));
    return fr_arena_printf(a, "table %.*s.%.*s", FR_ARG(r->source->space), FR_ARG(r->source->name));
}

/* FR_FAIL. what is said of the key, or of the key's entry. */
static fr_rc refuse(compiler *c, const char *code, const char *key, const char *entry,
                    const char *what, const char *hint)
{
    const char *place = c->route->settings->place;
    fr_fail(c->err, FR_ERR_CONFIG, "%s: %.*s: %s%s%s: %s", place != NULL ? place : "configuration",
            FR_ARG(subject(c->a, c->route)), key, entry != NULL ? "." : "",
            entry != NULL ? entry : "", what);
    fr_fail_code(c->err, code);
    return fr_fail_hint(c->err, "%s", hint);
}

/* Triggers write down what is published and nothing else: the rest would be NULL for ever. */
static fr_rc check_written(compiler *c, const char *key, const char *entry, const fr_expr *e)
{
    const fr_table_settings *s = c->route->settings;
    size_t count;
    const uint16_t *columns = fr_expr_columns(e, &count);
    for (size_t i = 0; s->method == FR_METHOD_TRIGGER && i < count; i++) {
        fr_str name = c->route->source->columns[columns[i]].name;
        if ((s->columns_include.count == 0 || fr_texts_have(&s->columns_include, name)) &&
            !fr_texts_have(&s->columns_exclude, name))
            continue;
        fr_str what = fr_arena_printf(
            c->a, "it reads column %.*s, which is not published, so that triggers do not write it",
            FR_ARG(name));
        return refuse(c, "trigger.column", key, entry, fr_arena_cstr(c->a, what),
                      "publish the column (columns.mask can hide its value), or read another");
    }
    return FR_OK;
}

/* key: "filter"; entry: a field of columns.derive. */
static fr_rc compile_expr(compiler *c, const char *key, const char *entry, const char *text,
                          fr_expr **out)
{
    size_t at;
    if (c->tools->sandbox == NULL)
        FR_TRY(fr_sandbox_open(&c->tools->sandbox, c->err));
    if (fr_expr_compile(c->tools->sandbox, c->a, c->route->source, text, out, &at, c->err) == FR_OK)
        return check_written(c, key, entry, *out);
    if (c->err->kind != FR_ERR_CONFIG)
        return FR_FAIL;
    fr_err why = *c->err;
    const char *dot = strrchr(key, '.');
    fr_str code = fr_arena_printf(c->a, "%s.%s", dot == NULL ? key : dot + 1, why.code);
    fr_str what = at == 0 ? fr_cstr(why.text)
                          : fr_arena_printf(c->a, "%s (at \"%.24s\")", why.text, text + at);
    return refuse(c, fr_arena_cstr(c->a, code), key, entry, fr_arena_cstr(c->a, what),
                  fr_err_hint(&why));
}

static fr_rc set_names(compiler *c)
{
    const fr_pairs *names = &c->route->settings->column_rename;
    for (size_t i = 0; i < names->count; i++) {
        int column = fr_table_find(c->route->source, fr_cstr(names->items[i].name));
        if (column < 0)
            continue; /* the router has said so, unless a pattern stands for many tables */
        if (*names->items[i].value == '\0')
            return refuse(c, "config.rename", "columns.rename", names->items[i].name,
                          "a field without a name", "name it");
        c->columns[column].name = fr_cstr(names->items[i].value);
        c->d->renames = true;
    }
    return FR_OK;
}

static fr_rc set_mask(compiler *c, const fr_pair *pair, uint16_t column)
{
    const fr_table_settings *s = c->route->settings;
    fr_mask *m = &c->d->masks[column];
    const char *instead;
    if (!fr_mask_parse(pair->value, m))
        return refuse(c, "config.mask", "columns.mask", pair->name, "it is no mask",
                      "hash, redact, null, or {keep_last: n} with n from 1 to 64");
    instead = fr_mask_refused(m, c->columns[column].kind);
    if (instead != NULL)
        return refuse(c, "config.mask", "columns.mask", pair->name, "the column is no text",
                      instead);
    if (m->kind != FR_MASK_NULL && fr_pairs_get(&s->column_types, fr_cstr(pair->name)) != NULL)
        return refuse(c, "config.mask", "columns.mask", pair->name,
                      "a masked column is a string, and has a type in columns.types as well",
                      "remove it from columns.types");
    if (m->kind == FR_MASK_HASH && c->tools->mask_key == NULL)
        return refuse(c, "config.mask_key", "columns.mask", pair->name, "hash needs a key",
                      "set daemon.mask_key: ${cred:mask_key}");
    if (m->kind == FR_MASK_HASH && c->tools->hasher == NULL)
        FR_TRY(fr_hasher_open(c->tools->mask_key, &c->tools->hasher, c->err));
    fr_mask_column(m, &c->columns[column]);
    return FR_OK;
}

static fr_rc set_masks(compiler *c)
{
    const fr_table *t = c->route->source;
    const fr_pairs *masks = &c->route->settings->column_mask;
    if (masks->count == 0)
        return FR_OK;
    c->d->masks = fr_arena_alloc(c->a, (t->column_count + 1) * sizeof *c->d->masks);
    for (size_t i = 0; i < masks->count; i++) {
        int column = fr_table_find(t, fr_cstr(masks->items[i].name));
        if (column >= 0)
            FR_TRY(set_mask(c, &masks->items[i], (uint16_t)column));
    }
    return FR_OK;
}

fr_kind fr_derive_kind(const char *type, int16_t *precision, int16_t *scale)
{
    static const struct {
        const char *type;
        fr_kind kind;
    } types[] = {{"boolean", FR_BOOL},   {"int", FR_INT32},   {"long", FR_INT64},
                 {"double", FR_FLOAT64}, {"string", FR_TEXT}, {"bytes", FR_BYTES}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].type) == 0)
            return types[i].kind;
    return fr_decimal_type(type, precision, scale) ? FR_DECIMAL : FR_NULL;
}

static fr_rc set_kind(compiler *c, derived *f)
{
    const char *type = fr_pairs_get(&c->route->settings->column_types, fr_cstr(f->field));
    f->type.kind = type == NULL ? fr_expr_kind(f->e)
                                : fr_derive_kind(type, &f->type.precision, &f->type.scale);
    if (f->type.kind != FR_NULL)
        return FR_OK;
    return refuse(c, "derive.type", "columns.derive", f->field,
                  type == NULL ? "the type of its result is not known" : "it cannot have this type",
                  type == NULL
                      ? "name it in columns.types: boolean, int, long, double, string, "
                        "bytes or decimal(p,s)"
                      : "columns.types of it: boolean, int, long, double, string, bytes or "
                        "decimal(p,s)");
}

static fr_rc set_field(compiler *c, const fr_pair *pair, size_t index)
{
    const fr_table *t = c->route->source;
    derived *f = &c->d->fields[index];
    fr_column *column = &c->columns[t->column_count + index];
    if (*pair->name == '\0' || fr_table_find(t, fr_cstr(pair->name)) >= 0)
        return refuse(c, "config.derive", "columns.derive", pair->name,
                      "the table has a column of this name", "choose another name for the field");
    f->field = pair->name;
    FR_TRY(compile_expr(c, "columns.derive", pair->name, pair->value, &f->e));
    FR_TRY(set_kind(c, f));
    *column = (fr_column){.name = fr_cstr(pair->name),
                          .kind = f->type.kind,
                          .nullable = true,
                          .precision = f->type.precision,
                          .scale = f->type.scale,
                          .native_type = FR_STR("expression"),
                          .doc = FR_STR(""),
                          .fallback = FR_STR("")};
    size_t count;
    const uint16_t *reads = fr_expr_columns(f->e, &count);
    for (size_t i = 0; i < count; i++)
        column->may_be_absent = column->may_be_absent || t->columns[reads[i]].may_be_absent;
    return FR_OK;
}

static fr_rc set_fields(compiler *c)
{
    const fr_pairs *fields = &c->route->settings->column_derive;
    c->d->fields = fr_arena_alloc(c->a, (fields->count + 1) * sizeof *c->d->fields);
    for (size_t i = 0; i < fields->count; i++)
        FR_TRY(set_field(c, &fields->items[i], i));
    c->d->field_count = fields->count;
    return FR_OK;
}

static fr_rc compile(compiler *c)
{
    const fr_table *t = c->route->source;
    const fr_table_settings *s = c->route->settings;
    size_t count = t->column_count + s->column_derive.count;
    if (count > UINT16_MAX)
        return refuse(c, "config.derive", "columns.derive", NULL, "more than 65535 fields",
                      "remove some of them");
    c->columns = fr_arena_alloc(c->a, (count + 1) * sizeof *c->columns);
    memcpy(c->columns, t->columns, t->column_count * sizeof *c->columns);
    FR_TRY(set_names(c));
    FR_TRY(set_masks(c));
    FR_TRY(set_fields(c));
    if (s->filter != NULL)
        FR_TRY(compile_expr(c, "filter", NULL, s->filter, &c->d->filter));
    if (s->poll_delete_when != NULL)
        FR_TRY(compile_expr(c, "poll.delete_when", NULL, s->poll_delete_when, &c->d->gone));
    fr_table like = *t;
    like.column_count = count;
    like.columns = c->columns;
    c->route->table = fr_table_new(&like);
    return FR_OK;
}

fr_rc fr_derive_compile(fr_arena *a, fr_derive_tools *tools, fr_route *route, fr_err *err)
{
    const fr_table_settings *s = route->settings;
    fr_derive *d = fr_arena_alloc(a, sizeof *d);
    d->route = route;
    d->tools = tools;
    d->polled = s->method == FR_METHOD_QUERY;
    d->upsert = route->sink != NULL && route->sink->write_mode != FR_WRITE_APPEND;
    compiler c = {.a = a, .tools = tools, .route = route, .d = d, .err = err};
    FR_TRY(compile(&c));
    route->derive = d;
    route->apply = fr_derive_apply_event;
    return FR_OK;
}

/* ---- what others ask ---- */

const fr_mask *fr_derive_mask_of(const fr_route *r, size_t column)
{
    bool some = r->derive != NULL && r->derive->masks != NULL && !fr_route_derived(r, column);
    const fr_mask *m = some ? &r->derive->masks[column] : NULL;
    return m != NULL && m->kind != FR_MASK_NONE ? m : NULL;
}

fr_rc fr_derive_mask(const fr_route *r, fr_arena *a, size_t column, fr_value *v, fr_err *err)
{
    const fr_mask *m = fr_derive_mask_of(r, column);
    if (m == NULL)
        return FR_OK;
    return fr_mask_value(m, r->derive->tools->hasher, a, &r->source->columns[column], v, err);
}

static bool reads(const fr_expr *e, size_t column)
{
    size_t count = 0;
    const uint16_t *columns = e == NULL ? NULL : fr_expr_columns(e, &count);
    for (size_t i = 0; i < count; i++)
        if (columns[i] == column)
            return true;
    return false;
}

bool fr_derive_filter_reads(const fr_route *r, size_t column)
{
    return r->derive != NULL && reads(r->derive->filter, column);
}

const char *fr_derive_reader(const fr_route *r, size_t column)
{
    const fr_derive *d = r->derive;
    if (d == NULL)
        return NULL;
    if (reads(d->filter, column))
        return "filter";
    for (size_t i = 0; i < d->field_count; i++)
        if (reads(d->fields[i].e, column))
            return d->fields[i].field;
    return NULL;
}

/* ---- running ---- */

typedef struct run { /* of one event */
    fr_derive *d;
    fr_arena *a;
    const fr_event *in;
    fr_err *err;
} run;

static fr_rc bad(const run *r, const char *key, const char *code, const char *what,
                 const char *hint)
{
    const fr_route *route = r->d->route;
    const fr_position *at = &r->in->position;
    if (route->sink != NULL) /* whoever decoded it knows its place */
        fr_fail(r->err, FR_ERR_DATA, "%s: %s", key, what);
    else
        fr_fail(r->err, FR_ERR_DATA, "table %.*s.%.*s: %s: %s (at %X/%X #%u)",
                FR_ARG(route->source->space), FR_ARG(route->source->name), key, what,
                (unsigned)(at->lsn >> 32), (unsigned)at->lsn, at->ordinal);
    fr_fail_code(r->err, code);
    return fr_fail_hint(r->err, "%s", hint);
}

/* All that the expression reads is there. */
static bool known(const fr_expr *e, const fr_value *values)
{
    size_t count;
    const uint16_t *columns = fr_expr_columns(e, &count);
    for (size_t i = 0; values != NULL && i < count; i++)
        if (values[columns[i]].kind == FR_ABSENT)
            return false;
    return values != NULL;
}

/* key: "filter", or the field. */
static fr_rc evaluate(const run *r, fr_expr *e, const char *key, const char *area,
                      const fr_value *values, fr_result *out)
{
    char code[48];
    fr_err why;
    if (fr_expr_run(e, values, out, &why) == FR_OK)
        return FR_OK;
    snprintf(code, sizeof code, "%s.%s", area, why.code);
    return bad(r, key, code, why.text, fr_err_hint(&why));
}

/* NULL is `unknown`. */
static fr_rc truth(const run *r, fr_expr *e, const char *key, const char *area,
                   const fr_value *values, bool unknown, bool *out)
{
    char code[48];
    fr_result result;
    FR_TRY(evaluate(r, e, key, area, values, &result));
    snprintf(code, sizeof code, "%s.type_error", area);
    if (result.kind == FR_RESULT_TEXT || result.kind == FR_RESULT_BLOB)
        return bad(r, key, code, "its result is a text, and neither true nor false",
                   "compare it with something: status <> 'draft'");
    *out = result.kind == FR_RESULT_NULL   ? unknown
           : result.kind == FR_RESULT_REAL ? result.real != 0
                                           : result.integer != 0;
    return FR_OK;
}

typedef enum verdict { PASSES, FAILS, UNKNOWN } verdict;

static fr_rc judge(const run *r, const fr_value *values, verdict *out)
{
    fr_expr *e = r->d->filter;
    bool passes = true;
    *out = PASSES;
    if (e == NULL)
        return FR_OK;
    *out = UNKNOWN;
    if (!known(e, values))
        return FR_OK;
    FR_TRY(truth(r, e, "filter", "filter", values, true, &passes));
    *out = passes ? PASSES : FAILS;
    return FR_OK;
}

fr_rc fr_derive_passes(const fr_route *route, const fr_event *e, const fr_row *row, bool *out,
                       fr_err *err)
{
    verdict v = PASSES;
    run r = {.d = route->derive, .in = e, .err = err};
    if (route->derive != NULL)
        FR_TRY(judge(&r, row->values, &v));
    *out = v != FAILS;
    return FR_OK;
}

/* FR_FAIL. What a sink's rules need was not logged: nobody can say what the target's row is. */
static fr_rc not_logged(const run *r, const char *key, const char *code, uint16_t column,
                        const char *otherwise)
{
    fr_str what = fr_arena_printf(r->a, "column %.*s, whose value the source did not log",
                                  FR_ARG(r->d->route->source->columns[column].name));
    fr_str hint = fr_arena_printf(
        r->a,
        "%s; or let the source log whole rows: REPLICA IDENTITY FULL, binlog_row_image = FULL",
        otherwise);
    return bad(r, key, code, fr_arena_cstr(r->a, what), fr_arena_cstr(r->a, hint));
}

/* Nothing that it reads has changed: the target's value is right. */
static bool unchanged(const fr_expr *e, const fr_value *values, uint16_t *absent)
{
    size_t count, missing = 0;
    const uint16_t *columns = fr_expr_columns(e, &count);
    for (size_t i = 0; i < count; i++) {
        if (values[columns[i]].kind != FR_ABSENT)
            continue;
        *absent = columns[i];
        missing++;
    }
    return missing == count;
}

/* A field that has not all it reads is left as it is, in the target as well. New rows of a target
 * that keeps one row a key are more exact: what is there may be of the row before. */
static fr_rc lacks(const run *r, const derived *f, const fr_value *inputs)
{
    uint16_t absent = 0;
    if (!r->d->upsert || inputs == NULL || unchanged(f->e, inputs, &absent))
        return FR_OK;
    return not_logged(r, f->field, "derive.absent", absent, "let the field read other columns");
}

static fr_rc set_derived(const run *r, const derived *f, const fr_value *inputs, fr_value *v)
{
    fr_result x;
    *v = (fr_value){.kind = FR_ABSENT};
    if (!known(f->e, inputs))
        return lacks(r, f, inputs);
    FR_TRY(evaluate(r, f->e, f->field, "derive", inputs, &x));
    if (fr_result_value(r->a, &f->type, &x, v))
        return FR_OK;
    return bad(r, f->field, "derive.type_error", "its result does not fit the field's type",
               "change its expression, or its type in columns.types");
}

/* ---- rows ---- */

/* A published row of the source's; inputs: its values as far as they are known. */
static fr_rc make_row(const run *r, const fr_row *row, const fr_value *inputs, fr_row *out)
{
    const fr_derive *d = r->d;
    size_t own = d->route->source->column_count;
    *out = *row;
    if (row->count == 0 || (d->masks == NULL && d->field_count == 0))
        return FR_OK;
    fr_value *values = fr_arena_raw(r->a, (own + d->field_count) * sizeof *values);
    memcpy(values, row->values, own * sizeof *values);
    for (size_t i = 0; d->masks != NULL && i < own; i++)
        FR_TRY(fr_mask_value(&d->masks[i], d->tools->hasher, r->a, &d->route->source->columns[i],
                             &values[i], r->err));
    for (size_t i = 0; i < d->field_count; i++)
        FR_TRY(set_derived(r, &d->fields[i], inputs, &values[own + i]));
    *out = (fr_row){values, own + d->field_count};
    return FR_OK;
}

static bool is_key(const fr_route *route, size_t column)
{
    for (size_t i = 0; i < route->key_count; i++)
        if (route->key[i] == column)
            return true;
    return route->source->columns[column].key_ordinal > 0;
}

static bool places(const fr_route *route, size_t column)
{
    for (size_t i = 0; i < route->partition_count; i++)
        if (route->partition_by[i] == column)
            return true;
    return is_key(route, column);
}

static fr_row only(const run *r, const fr_row *row, bool (*wanted)(const fr_route *, size_t))
{
    fr_value *values = fr_arena_alloc(r->a, (row->count + 1) * sizeof *values);
    for (size_t i = 0; i < row->count; i++)
        values[i] = wanted(r->d->route, i) ? row->values[i] : (fr_value){.kind = FR_ABSENT};
    return (fr_row){values, row->count};
}

/* Only its key. */
static fr_row key_of(const run *r, const fr_row *row)
{
    return only(r, row, is_key);
}

/* Only its key, and what says to which partition it goes. */
static fr_row place_of(const run *r, const fr_row *row)
{
    return only(r, row, places);
}

/* What is sure of the old row: where only its key is logged, all else says nothing. A row that a
 * poll found to be deleted is all there. NULL: nothing is. */
static const fr_value *sure_before(const run *r)
{
    const fr_event *in = r->in;
    if (in->before.count == 0)
        return NULL;
    return r->d->route->source->full_before ? in->before.values : key_of(r, &in->before).values;
}

/* What is sure of the new row: what it lacks has not changed. */
static const fr_value *sure_after(const run *r, const fr_value *before)
{
    const fr_row *row = &r->in->after;
    bool lacks = false;
    for (size_t i = 0; before != NULL && i < row->count; i++)
        lacks = lacks || row->values[i].kind == FR_ABSENT;
    if (row->count == 0 || !lacks)
        return row->count == 0 ? NULL : row->values;
    fr_value *values = fr_arena_raw(r->a, row->count * sizeof *values);
    for (size_t i = 0; i < row->count; i++)
        values[i] = row->values[i].kind == FR_ABSENT ? before[i] : row->values[i];
    return values;
}

/* ---- the filter's rules (decision 32) ---- */

static fr_rc absent(const run *r)
{
    const fr_table *t = r->d->route->source;
    size_t count;
    const uint16_t *columns = fr_expr_columns(r->d->filter, &count);
    size_t i = 0;
    while (i + 1 < count && r->in->after.values[columns[i]].kind != FR_ABSENT)
        i++;
    if (r->d->route->sink != NULL)
        return not_logged(r, "filter", "filter.absent", columns[i], "filter by other columns");
    fr_str what = fr_arena_printf(r->a, "it reads column %.*s, whose value the source did not log",
                                  FR_ARG(t->columns[columns[i]].name));
    fr_str hint = fr_arena_printf(r->a,
                                  "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL, or "
                                  "binlog_row_image = FULL",
                                  FR_ARG(t->space), FR_ARG(t->name));
    return bad(r, "filter", "filter.absent", fr_arena_cstr(r->a, what), fr_arena_cstr(r->a, hint));
}

/* It does not qualify any more: what is left of it is its key, or the row that it was. */
static void leave(const run *r, fr_event *out)
{
    const fr_event *in = r->in;
    out->op = FR_OP_DELETE;
    out->before =
        in->op == FR_OP_UPDATE && in->before.count > 0 ? in->before : place_of(r, &in->after);
    out->after = (fr_row){0};
    out->name = FR_STR("");
}

/* It qualifies now, and did not: the old row was never published. Where the new one is not whole
 * the encoder has to judge, and a delete too many does no harm. */
static void enter(const run *r, const fr_value *after, fr_event *out)
{
    for (size_t i = 0; i < r->in->after.count; i++)
        if (after[i].kind == FR_ABSENT)
            return;
    out->op = FR_OP_INSERT;
    out->before = (fr_row){0};
    out->after.values = after;
    out->name = FR_STR("");
}

static fr_rc filter_update(const run *r, const fr_value *before, const fr_value *after,
                           fr_event *out)
{
    verdict was, is;
    FR_TRY(judge(r, after, &is));
    if (is == UNKNOWN)
        return absent(r);
    FR_TRY(judge(r, before, &was));
    if (was == FAILS && is == FAILS)
        return FR_END;
    if (is == FAILS)
        leave(r, out);
    else if (was == FAILS)
        enter(r, after, out);
    return FR_OK;
}

/* Of a table that is polled nobody knows whether a row was published before. */
static fr_rc filter_new(const run *r, const fr_value *after, fr_event *out)
{
    verdict is;
    FR_TRY(judge(r, after, &is));
    if (is == UNKNOWN)
        return absent(r);
    if (is == PASSES)
        return FR_OK;
    if (!r->d->polled || r->in->op != FR_OP_READ || r->d->route->settings->append_only)
        return FR_END;
    leave(r, out);
    return FR_OK;
}

/* A row that a poll found to be deleted is all there, but as it is now: it may have passed before,
 * and may not be shown. */
static fr_rc filter_delete(const run *r, const fr_value *before, fr_event *out)
{
    verdict was;
    if (r->d->polled && r->in->before.count > 0) {
        before = key_of(r, &r->in->before).values;
        out->before = place_of(r, &r->in->before);
    }
    FR_TRY(judge(r, before, &was));
    return was == FAILS ? FR_END : FR_OK;
}

/* ---- the same at a sink ---- */

/* The row may be new to the target: all that it gets of it must be there. */
static fr_rc whole(const run *r, const fr_value *after, fr_event *out)
{
    const fr_route *route = r->d->route;
    const char *instead = "leave the column out (columns.exclude), or filter where the topic is "
                          "written";
    uint16_t absent = 0;
    for (size_t i = 0; i < route->field_count; i++) {
        uint16_t column = route->fields[i];
        size_t own = route->source->column_count;
        if (column < own && after[column].kind == FR_ABSENT)
            return not_logged(r, "filter", "filter.absent", column, instead);
        const derived *f = column < own ? NULL : &r->d->fields[column - own];
        if (f != NULL && !known(f->e, after)) {
            (void)unchanged(f->e, after, &absent);
            return not_logged(r, "filter", "filter.absent", absent, instead);
        }
    }
    out->after.values = after;
    return FR_OK;
}

/* What passes not is deleted, whatever it was: the target may have it from before, from before the
 * filter, or from a writer that says nothing of old rows. Where each event is a row, only an update
 * tells that there was another. */
static fr_rc filter_at_sink(const run *r, const fr_value *before, const fr_value *after,
                            fr_event *out)
{
    verdict was = UNKNOWN, is;
    if (out->op == FR_OP_DELETE && r->d->upsert)
        return FR_OK;
    if (out->op != FR_OP_READ && out->op != FR_OP_INSERT)
        FR_TRY(judge(r, before, &was));
    if (out->op == FR_OP_DELETE)
        return was == FAILS ? FR_END : FR_OK;
    FR_TRY(judge(r, after, &is));
    if (is == UNKNOWN)
        return absent(r);
    if (is == PASSES)
        return r->d->upsert && was != PASSES ? whole(r, after, out) : FR_OK;
    if (!r->d->upsert && (out->op != FR_OP_UPDATE || was == FAILS))
        return FR_END;
    leave(r, out);
    return FR_OK;
}

static fr_rc filter(const run *r, const fr_value *before, const fr_value *after, fr_event *out)
{
    if (r->d->filter != NULL && r->d->route->sink != NULL)
        return filter_at_sink(r, before, after, out);
    bool fixed = r->d->route->settings->append_only; /* the encoder refuses its changes */
    if (r->d->filter == NULL || (fixed && (out->op == FR_OP_UPDATE || out->op == FR_OP_DELETE)))
        return FR_OK;
    switch (out->op) {
    case FR_OP_READ:
    case FR_OP_INSERT:
        return filter_new(r, after, out);
    case FR_OP_UPDATE:
        return filter_update(r, before, after, out);
    case FR_OP_DELETE:
        return filter_delete(r, before, out);
    default:
        return FR_OK;
    }
}

/* poll.delete_when: such a row is the delete of its key. */
static fr_rc bury(const run *r, const fr_value *after, fr_event *out)
{
    bool gone = false;
    if (r->d->gone == NULL || r->in->op != FR_OP_READ)
        return FR_OK;
    FR_TRY(truth(r, r->d->gone, "poll.delete_when", "delete_when", after, false, &gone));
    if (!gone)
        return FR_OK;
    out->op = FR_OP_DELETE;
    out->before = r->d->filter != NULL ? place_of(r, &r->in->after) : r->in->after;
    out->after = (fr_row){0};
    return FR_OK;
}

/* "a,b": columns as their fields are called. */
static fr_str field_names(const run *r, fr_str columns)
{
    const fr_route *route = r->d->route;
    fr_buf b = {.arena = r->a};
    for (size_t at = 0; at < columns.len;) {
        const char *comma = memchr(columns.ptr + at, ',', columns.len - at);
        size_t end = comma == NULL ? columns.len : (size_t)(comma - columns.ptr);
        fr_str name = {columns.ptr + at, end - at};
        int column = fr_table_find(route->source, name);
        fr_buf_text(&b, at > 0 ? "," : "");
        fr_buf_str(&b, column < 0 ? name : route->table->columns[column].name);
        at = end + 1;
    }
    return fr_buf_view(&b);
}

static fr_rc apply(const run *r, fr_event *out)
{
    bool evaluates = r->d->filter != NULL || r->d->gone != NULL || r->d->field_count > 0;
    const fr_value *before = evaluates ? sure_before(r) : NULL;
    const fr_value *after = evaluates ? sure_after(r, before) : NULL;
    FR_TRY(bury(r, after, out));
    fr_rc rc = filter(r, before, after, out);
    if (rc != FR_OK)
        return rc;
    /* Whatever it became, its rows are one of these two. */
    fr_row old = out->before, new = out->after;
    if (old.count > 0 && r->d->upsert) /* it says which row it is, and no more */
        old = key_of(r, &old);
    if (old.count > 0)
        FR_TRY(make_row(r, &old,
                        r->d->upsert                         ? NULL
                        : old.values == r->in->before.values ? before
                                                             : old.values,
                        &out->before));
    if (new.count > 0)
        FR_TRY(make_row(r, &new, after, &out->after));
    if (!r->d->renames)
        return FR_OK;
    out->zero = field_names(r, out->zero);
    if (out->op == FR_OP_UPDATE)
        out->name = field_names(r, out->name);
    return FR_OK;
}

fr_rc fr_derive_apply_event(fr_derive *d, fr_arena *a, const fr_event *in, fr_event *out,
                            fr_err *err)
{
    run r = {d, a, in, err};
    size_t own = d->route->source->column_count;
    *out = *in;
    out->derived = true;
    if ((in->before.count != 0 && in->before.count != own) ||
        (in->after.count != 0 && in->after.count != own))
        return fr_fail(err, FR_ERR_BUG, "table %.*s.%.*s: a row that has not one value a column",
                       FR_ARG(d->route->source->space), FR_ARG(d->route->source->name));
    fr_rc rc = in->op > FR_OP_DELETE ? FR_OK : apply(&r, out);
    d->tools->filtered += rc == FR_END;
    return rc;
}
