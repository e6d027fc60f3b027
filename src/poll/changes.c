#include "poll/changes.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ID, OP, AT, SHAPE };

/* ---- what is wrong with it ---- */

static fr_rc run_ddl(const fr_source_settings *source, fr_str space, fr_str name, fr_err *err)
{
    return fr_fail_hint(err, "freshet ddl triggers --table '%s/%.*s.%.*s' prints what a DBA runs",
                        source->name, FR_ARG(space), FR_ARG(name));
}

static fr_rc not_known(const char *what, fr_str column, fr_err *err)
{
    return fr_fail(
        err, FR_ERR_CONFIG,
        "its triggers do not know it as it is now: %s%.*s; what they write would lack it", what,
        FR_ARG(column));
}

/* ---- the change table's settings ---- */

static void both_names(fr_arena *a, const fr_pairs *of, fr_pairs *out)
{
    out->items = fr_arena_alloc(a, (2 * of->count + 1) * sizeof(fr_pair));
    for (size_t i = 0; i < 2 * of->count; i++) {
        const fr_pair *p = &of->items[i / 2];
        fr_str name = fr_triggers_column_name(a, i % 2 == 0 ? 'o' : 'n', fr_cstr(p->name));
        out->items[i] = (fr_pair){fr_arena_cstr(a, name), p->value};
    }
    out->count = 2 * of->count;
}

static void set_log_settings(fr_changes *ch, const fr_table_settings *t)
{
    ch->log_settings =
        (fr_table_settings){.pattern = t->pattern,
                            .place = t->place,
                            .method = FR_METHOD_OUTBOX,
                            .poll_batch = t->poll_batch,
                            .zero_dates = t->zero_dates,
                            .outbox = {.on = true, .id = FR_TRIGGERS_ID, .clean_up = true}};
    both_names(ch->arena, &t->column_types, &ch->log_settings.column_types);
}

/* ---- which column is where ---- */

static fr_rc find_meta(fr_changes *ch, fr_err *err)
{
    static const char *const names[] = {FR_TRIGGERS_ID, FR_TRIGGERS_OP, FR_TRIGGERS_AT,
                                        FR_TRIGGERS_SHAPE};
    static const fr_kind kinds[][3] = {{FR_INT64, FR_DECIMAL, FR_INT32},
                                       {FR_TEXT, FR_TEXT, FR_TEXT},
                                       {FR_TIMESTAMP, FR_DATETIME, FR_DATETIME},
                                       {FR_INT32, FR_INT64, FR_INT64}};
    for (size_t i = 0; i < 4; i++) {
        int at = fr_table_find(ch->log->table, fr_cstr(names[i]));
        const fr_column *c = at < 0 ? NULL : &ch->log->table->columns[at];
        /* A time may be NULL wherever there are dates that are none. */
        if (c == NULL || (c->nullable && i != AT) ||
            (c->kind != kinds[i][0] && c->kind != kinds[i][1] && c->kind != kinds[i][2]))
            return fr_fail(err, FR_ERR_CONFIG,
                           "the change table's column %s is not there, or not what it must be",
                           names[i]);
        ch->meta[i] = (size_t)at;
    }
    return FR_OK;
}

static bool same_kind(const fr_column *a, const fr_column *b)
{
    return a->kind == b->kind && a->precision == b->precision && a->scale == b->scale &&
           a->span == b->span;
}

static fr_rc find_pair(fr_changes *ch, const fr_table_settings *t, size_t i, fr_err *err)
{
    const fr_table *log = ch->log->table;
    const fr_column *c = &ch->table->table->columns[i];
    fr_changes_pair *p = &ch->pairs[i];
    *p = (fr_changes_pair){-1, -1, 1};
    if (!fr_triggers_takes(t, c->name))
        return FR_OK;
    p->before = fr_table_find(log, fr_triggers_column_name(ch->arena, 'o', c->name));
    p->after = fr_table_find(log, fr_triggers_column_name(ch->arena, 'n', c->name));
    if (p->before < 0 || p->after < 0)
        return not_known("column ", c->name, err);
    if (!same_kind(c, &log->columns[p->before]) || !same_kind(c, &log->columns[p->after]))
        return not_known("the type of column ", c->name, err);
    p->since = fr_triggers_since(log->columns[p->after].doc);
    if (p->since == 0 || p->since > ch->shape)
        return not_known("column ", c->name, err);
    return FR_OK;
}

static fr_rc find_pairs(fr_changes *ch, const fr_table_settings *t, fr_err *err)
{
    fr_str print;
    const fr_table *table = ch->table->table;
    if (!fr_triggers_label_parse(ch->log->table->doc, &ch->shape, &print))
        return fr_fail(err, FR_ERR_CONFIG,
                       "the comment of %.*s.%.*s does not say that it is its change table",
                       FR_ARG(ch->log->table->space), FR_ARG(ch->log->table->name));
    FR_TRY(find_meta(ch, err));
    ch->pairs = fr_arena_alloc(ch->arena, (table->column_count + 1) * sizeof(*ch->pairs));
    for (size_t i = 0; i < table->column_count; i++)
        FR_TRY(find_pair(ch, t, i, err));
    if (fr_str_eq(print, fr_triggers_print(ch->arena, ch->table, t)))
        return FR_OK;
    return not_known("a column is gone, or has another type, or place", FR_STR(""), err);
}

/* ---- opening ---- */

static fr_rc check_triggers(fr_changes *ch, fr_sql *c, fr_err *err)
{
    fr_sql_triggers found;
    FR_TRY(c->ops->triggers(c, ch->arena, ch->table, &found, err));
    if (found.wrong.len > 0) {
        fr_fail(err, FR_ERR_CONFIG, "%.*s", FR_ARG(found.wrong));
        return fr_fail_code(err, found.code);
    }
    if (found.shape == ch->shape)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "its triggers are older than its change table: they write shape %" PRId64
            ", and it is at %" PRId64,
            found.shape, ch->shape);
    return fr_fail_code(err, "trigger.shape");
}

static fr_rc check_log(const fr_changes *ch, fr_err *err)
{
    const fr_sql_relation *log = ch->log;
    size_t id = ch->meta[ID];
    if (log->no_delete.len > 0) {
        fr_fail(err, FR_ERR_AUTH, "no right to delete the changes that are published");
        fr_fail_code(err, "trigger.delete_grant");
        return fr_fail_hint(err, "%.*s", FR_ARG(log->no_delete));
    }
    if (log->ahead == NULL || log->ahead[id].len == 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "sequence %.*s hands out numbers ahead to each session: a later change of a row may "
            "have a lower one",
            FR_ARG(log->ahead[id]));
    fr_fail_code(err, "trigger.sequence");
    return fr_fail_hint(err, "ALTER SEQUENCE %.*s CACHE 1; and connect anew whoever writes",
                        FR_ARG(log->ahead[id]));
}

static bool is_missing(const fr_err *err)
{
    return strcmp(err->code, "pg.table") == 0 || strcmp(err->code, "my.table") == 0 ||
           strcmp(err->code, "sqlite.table") == 0;
}

static fr_rc read_both(fr_changes *ch, fr_sql *c, const fr_source_settings *source,
                       const fr_table_settings *t, fr_str space, fr_str name, uint32_t version,
                       fr_err *err)
{
    fr_str log = fr_triggers_name(ch->arena, FR_TRIGGERS_LOG, name);
    FR_TRY(c->ops->describe(c, t, space, name, version, &ch->table, err));
    if (!ch->table->plain_table) {
        fr_fail(err, FR_ERR_CONFIG, "method trigger is for tables, and this is a view");
        return fr_fail_code(err, "trigger.table");
    }
    if (c->ops->describe(c, &ch->log_settings, space, log, version, &ch->log, err) == FR_FAIL) {
        if (!is_missing(err))
            return FR_FAIL;
        fr_fail(err, FR_ERR_CONFIG,
                "there is no change table %.*s.%.*s, or no right to read it: nothing writes its "
                "changes down",
                FR_ARG(space), FR_ARG(log));
        fr_fail_code(err, "trigger.missing");
        return run_ddl(source, space, name, err);
    }
    fr_rc rc = find_pairs(ch, t, err);
    if (rc == FR_FAIL)
        fr_fail_code(err, "trigger.shape");
    if (rc == FR_OK)
        FR_TRY(check_log(ch, err));
    if (rc == FR_OK)
        rc = check_triggers(ch, c, err);
    if (rc == FR_FAIL && err->kind == FR_ERR_CONFIG)
        return run_ddl(source, space, name, err);
    return rc;
}

fr_rc fr_changes_open(fr_sql *c, const fr_source_settings *source, const fr_table_settings *t,
                      fr_str space, fr_str name, uint32_t version, fr_changes **out, fr_err *err)
{
    if (c->ops->triggers == NULL || c->ops->begin_view == NULL) {
        fr_fail(err, FR_ERR_CONFIG, "method trigger is not built for this database");
        return fr_fail_code(err, "config.not_built");
    }
    fr_changes *ch = fr_malloc(sizeof(*ch));
    ch->ops = c->ops;
    ch->arena = fr_arena_new(0);
    ch->settings = t;
    set_log_settings(ch, t);
    if (read_both(ch, c, source, t, space, name, version, err) == FR_FAIL) {
        fr_changes_free(ch);
        return FR_FAIL;
    }
    *out = ch;
    return FR_OK;
}

void fr_changes_free(fr_changes *ch)
{
    if (ch == NULL)
        return;
    for (size_t i = 0; i < ch->old_count; i++)
        fr_table_unref(ch->old[i].table);
    free(ch->old);
    if (ch->table != NULL)
        ch->ops->forget(ch->table);
    if (ch->log != NULL)
        ch->ops->forget(ch->log);
    fr_arena_free(ch->arena);
    free(ch);
}

bool fr_changes_same(const fr_changes *a, const fr_changes *b)
{
    return a->shape == b->shape && fr_table_same(a->table->table, b->table->table) &&
           fr_table_same(a->log->table, b->log->table);
}

bool fr_changes_tells(const fr_changes *ch, size_t column)
{
    return column == ch->meta[ID] || column == ch->meta[OP] || column == ch->meta[AT] ||
           column == ch->meta[SHAPE];
}

fr_rc fr_changes_blind(fr_sql *c, const fr_changes *ch, fr_arena *a, fr_sql_triggers *out,
                       fr_err *err)
{
    return c->ops->triggers(c, a, ch->table, out, err);
}

/* ---- rows ---- */

static const fr_table *without(const fr_changes *ch, int64_t shape, size_t *columns)
{
    fr_table like = *ch->table->table;
    fr_column *left = fr_malloc((like.column_count + 1) * sizeof(*left));
    size_t n = 0;
    for (size_t i = 0; i < like.column_count; i++) {
        if (ch->pairs[i].since > shape)
            continue;
        left[n] = like.columns[i];
        columns[n++] = i;
    }
    like.columns = left;
    like.column_count = n;
    like.partial = true;
    const fr_table *t = fr_table_new(&like);
    free(left);
    return t;
}

/* The table as this shape has it, and which of its columns these are. */
static const struct fr_changes_old *table_at(fr_changes *ch, int64_t shape)
{
    for (size_t i = 0; i < ch->old_count; i++)
        if (ch->old[i].shape == shape)
            return &ch->old[i];
    ch->old = fr_realloc(ch->old, (ch->old_count + 1) * sizeof(*ch->old));
    struct fr_changes_old *o = &ch->old[ch->old_count++];
    const fr_table *table = ch->table->table;
    o->shape = shape;
    o->columns = fr_arena_alloc(ch->arena, (table->column_count + 1) * sizeof(size_t));
    o->table = NULL;
    const fr_table *old = without(ch, shape, o->columns);
    if (old->column_count < table->column_count) {
        o->table = old;
        return o;
    }
    fr_table_unref(old);
    o->table = fr_table_ref(table);
    return o;
}

static void put_side(const fr_changes *ch, const struct fr_changes_old *o, fr_batch *b,
                     const fr_row *from, bool after, fr_row *out)
{
    fr_value *values = fr_batch_row(b, o->table, out);
    for (size_t i = 0; i < o->table->column_count; i++) {
        const fr_changes_pair *p = &ch->pairs[o->columns[i]];
        int at = after ? p->after : p->before;
        values[i] = at < 0 ? (fr_value){.kind = FR_NULL} : from->values[at];
    }
}

static bool passes(fr_str *rest, fr_str name)
{
    if (rest->len < name.len || memcmp(rest->ptr, name.ptr, name.len) != 0 ||
        (rest->len > name.len && rest->ptr[name.len] != ','))
        return false;
    size_t used = name.len + (rest->len > name.len);
    *rest = (fr_str){rest->ptr + used, rest->len - used};
    return true;
}

/* event->zero has names of the change table, in its order. */
static fr_str zero_of(const fr_changes *ch, fr_arena *a, fr_str zero)
{
    const fr_table *log = ch->log->table, *table = ch->table->table;
    bool *is = fr_arena_alloc(a, log->column_count + 1);
    fr_str out = {"", 0};
    for (size_t i = 0; i < log->column_count && zero.len > 0; i++)
        is[i] = passes(&zero, log->columns[i].name);
    for (size_t i = 0; i < table->column_count; i++) {
        const fr_changes_pair *p = &ch->pairs[i];
        if (p->after < 0 || (!is[p->after] && !is[p->before]))
            continue;
        out = fr_arena_printf(a, "%.*s%s%.*s", FR_ARG(out), out.len > 0 ? "," : "",
                              FR_ARG(table->columns[i].name));
    }
    return out;
}

static bool is_key(const fr_column *c, const fr_table_settings *t)
{
    return t->key.count > 0 ? fr_texts_have(&t->key, c->name) : c->key_ordinal > 0;
}

/* Without its key, or with a part of it, a row would be another one. */
static fr_rc check_key_known(const fr_changes *ch, int64_t shape, fr_err *err)
{
    const fr_table *table = ch->table->table;
    for (size_t i = 0; i < table->column_count; i++) {
        const fr_column *c = &table->columns[i];
        if (ch->pairs[i].since <= shape || !is_key(c, ch->settings))
            continue;
        fr_fail(err, FR_ERR_DATA,
                "a change was written before the triggers knew column %.*s of the key (shape "
                "%" PRId64 "): whose change it is, it does not say",
                FR_ARG(c->name), shape);
        fr_fail_code(err, "trigger.key");
        return fr_fail_hint(err, "let freshet publish all changes before the key is altered. Now: "
                                 "delete those of older shapes from the change table (all rows are "
                                 "read anew; what they deleted is to be deleted by hand)");
    }
    return FR_OK;
}

static fr_rc bad_row(const char *what, fr_err *err)
{
    fr_fail(err, FR_ERR_DATA, "a row of the change table %s", what);
    fr_fail_code(err, "trigger.row");
    return fr_fail_hint(err, "only its triggers may write it: look who else does, and delete the "
                             "row");
}

fr_rc fr_changes_event(fr_changes *ch, fr_batch *b, fr_event *e, fr_err *err)
{
    const fr_value *op = &e->after.values[ch->meta[OP]], *at = &e->after.values[ch->meta[AT]];
    const fr_value *shape = &e->after.values[ch->meta[SHAPE]];
    fr_row row = e->after;
    if (op->kind != FR_TEXT || op->bytes.len != 1)
        return bad_row("says no operation", err);
    if ((shape->kind != FR_INT32 && shape->kind != FR_INT64) || shape->integer < 1)
        return bad_row("says no shape", err);
    if (shape->integer > ch->shape) {
        fr_fail(err, FR_ERR_BUSY, "its triggers were renewed just now");
        return fr_fail_code(err, "sql.changed");
    }
    const struct fr_changes_old *o = table_at(ch, shape->integer);
    char letter = op->bytes.ptr[0];
    if (letter != 't')
        FR_TRY(check_key_known(ch, shape->integer, err));
    e->before = e->after = (fr_row){0};
    if (letter == 'u' || letter == 'd')
        put_side(ch, o, b, &row, false, &e->before);
    if (letter == 'u' || letter == 'i')
        put_side(ch, o, b, &row, true, &e->after);
    switch (letter) {
    case 'i':
        e->op = FR_OP_INSERT;
        break;
    case 'u':
        e->op = FR_OP_UPDATE;
        break;
    case 'd':
        e->op = FR_OP_DELETE;
        break;
    case 't':
        e->op = FR_OP_TRUNCATE;
        break;
    default:
        return bad_row("says an operation that there is not", err);
    }
    fr_batch_of_table(b, e, o->table);
    e->time_us = at->kind == FR_TIMESTAMP || at->kind == FR_DATETIME ? at->integer : 0;
    if (e->zero.len > 0)
        e->zero = zero_of(ch, b->arena, e->zero);
    return FR_OK;
}

/* ---- the key ---- */

fr_rc fr_changes_key(const fr_changes *ch, const fr_table_settings *t, size_t *columns, size_t most,
                     size_t *count_out, fr_err *err)
{
    const fr_table *table = ch->table->table;
    size_t n = 0;
    for (size_t i = 0; i < t->key.count && n < most; i++) {
        int at = fr_table_find(table, fr_cstr(t->key.items[i]));
        if (at >= 0)
            columns[n++] = (size_t)at;
    }
    for (uint16_t k = 1; t->key.count == 0 && k <= table->column_count && n < most; k++)
        for (size_t i = 0; i < table->column_count; i++)
            if (table->columns[i].key_ordinal == k)
                columns[n++] = i;
    *count_out = n;
    if (n > 0)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG,
            "it has no key: its rows cannot be read in pages, nor told from those that are "
            "inserted meanwhile (%s)",
            t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "trigger.no_key");
    return fr_fail_hint(err, "name its key: key; or, with append_only: true, publish only what is "
                             "inserted from now on: snapshot.mode: never");
}
