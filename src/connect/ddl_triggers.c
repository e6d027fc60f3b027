#include "connect/ddl_triggers.h"
#include "connect/ddl.h"
#include "connect/sql.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* LONGEST: what PostgreSQL allows in bytes; MySQL allows 64 characters. MOST: PostgreSQL has 1,600
 * columns a table, InnoDB 1,017. */
enum { LONGEST = 63, KEPT = 54, META = 4, MOST = 500 };

/* ---- names ---- */

fr_str fr_triggers_name(fr_arena *a, const char *prefix, fr_str name)
{
    fr_str whole = fr_arena_printf(a, "%s%.*s", prefix, FR_ARG(name));
    if (whole.len <= LONGEST)
        return whole;
    size_t kept = KEPT;
    while (kept > 0 && ((uint8_t)whole.ptr[kept] & 0xc0) == 0x80)
        kept--;
    return fr_arena_printf(a, "%.*s~%08" PRIx32, (int)kept, whole.ptr,
                           (uint32_t)fr_hash64(whole.ptr, whole.len));
}

fr_str fr_triggers_column_name(fr_arena *a, char side, fr_str column)
{
    const char prefix[] = {side, '_', '\0'};
    return fr_triggers_name(a, prefix, column);
}

bool fr_triggers_takes(const fr_table_settings *t, fr_str column)
{
    return (t->columns_include.count == 0 || fr_texts_have(&t->columns_include, column)) &&
           !fr_texts_have(&t->columns_exclude, column);
}

/* ---- what the change table says of itself ---- */

static const char label_format[] = "freshet changes 1: shape %" PRId64 ", %.*s";

fr_str fr_triggers_print(fr_arena *a, const fr_sql_relation *table, const fr_table_settings *t)
{
    fr_buf b = {0};
    for (size_t i = 0; i < table->table->column_count; i++) {
        fr_str name = table->table->columns[i].name;
        if (!fr_triggers_takes(t, name))
            continue;
        fr_buf_json(&b, name);
        fr_buf_json(&b, table->copies[i]);
    }
    fr_str print = fr_arena_printf(a, "%016" PRIx64, fr_hash64(b.ptr, b.len));
    fr_buf_free(&b);
    return print;
}

bool fr_triggers_label_parse(fr_str label, int64_t *shape_out, fr_str *print_out)
{
    static const char begins[] = "freshet changes 1: shape ";
    size_t at = sizeof(begins) - 1;
    int64_t shape = 0;
    if (label.len < at || memcmp(label.ptr, begins, at) != 0)
        return false;
    for (; at < label.len && label.ptr[at] >= '0' && label.ptr[at] <= '9' && shape < INT32_MAX;
         at++)
        shape = 10 * shape + (label.ptr[at] - '0');
    if (shape == 0 || label.len != at + 18 || memcmp(label.ptr + at, ", ", 2) != 0)
        return false;
    *shape_out = shape;
    *print_out = (fr_str){label.ptr + at + 2, 16};
    return true;
}

int64_t fr_triggers_since(fr_str doc)
{
    static const char since[] = "since ", until[] = "until ";
    int64_t n = 0;
    if (doc.len > 6 && memcmp(doc.ptr, until, 6) == 0)
        return 0;
    if (doc.len <= 6 || memcmp(doc.ptr, since, 6) != 0)
        return 1;
    for (size_t i = 6; i < doc.len && doc.ptr[i] >= '0' && doc.ptr[i] <= '9' && n < INT32_MAX; i++)
        n = 10 * n + (doc.ptr[i] - '0');
    return n;
}

/* ---- what is to be made ---- */

static fr_rc refuse(const fr_ddl_triggers *o, fr_str what, const char *hint, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "%s: table %.*s.%.*s: %.*s",
            o->settings->place != NULL ? o->settings->place : "configuration", FR_ARG(o->space),
            FR_ARG(o->name), FR_ARG(what));
    fr_fail_code(err, "trigger.columns");
    return fr_fail_hint(err, "%s", hint);
}

static fr_rc shape_of(fr_arena *a, fr_ddl_triggers *o, const fr_sql_relation *log, fr_err *err)
{
    fr_str ignored;
    o->again = log != NULL;
    o->shape = 0;
    if (o->again && !fr_triggers_label_parse(log->table->doc, &o->shape, &ignored))
        return refuse(o,
                      fr_arena_printf(a,
                                      "there is a table %.*s already, whose comment does not say "
                                      "that it is freshet's",
                                      FR_ARG(o->log)),
                      "look what it is; rename or drop it", err);
    o->shape++;
    return FR_OK;
}

/* A value that is there is converted where the type is another one, so it is known as before: a row
 * of the change table must not lose its key by that. */
static void set_news(const fr_sql_relation *log, int64_t shape, fr_triggers_column *c)
{
    int before = log == NULL ? -1 : fr_table_find(log->table, c->before);
    int after = log == NULL ? -1 : fr_table_find(log->table, c->after);
    c->since = shape;
    c->news = FR_TRIGGERS_ADDED;
    if (before < 0 || after < 0)
        return;
    int64_t since = fr_triggers_since(log->table->columns[after].doc);
    bool same = fr_str_eq(log->copies[before], c->type) && fr_str_eq(log->copies[after], c->type);
    c->since = since == 0 ? shape : since;
    c->news = !same ? FR_TRIGGERS_RETYPED : since == 0 ? FR_TRIGGERS_BACK : FR_TRIGGERS_SAME;
}

static bool in_use(const fr_triggers_column *columns, size_t count, fr_str after)
{
    for (size_t i = 0; i < count; i++)
        if (fr_str_eq(columns[i].after, after))
            return true;
    return false;
}

/* Columns that the change table has for one that is not taken any more. */
static void add_gone(fr_arena *a, const fr_sql_relation *log, fr_triggers_column *columns,
                     size_t *count)
{
    size_t taken = *count;
    for (size_t i = 0; log != NULL && i < log->table->column_count; i++) {
        const fr_column *c = &log->table->columns[i];
        if (c->name.len < 2 || memcmp(c->name.ptr, "n_", 2) != 0 ||
            in_use(columns, taken, c->name) || fr_triggers_since(c->doc) == 0)
            continue;
        columns[(*count)++] = (fr_triggers_column){.name = c->name,
                                                   .after = fr_arena_str(a, c->name),
                                                   .type = log->copies[i],
                                                   .news = FR_TRIGGERS_GONE};
    }
}

fr_rc fr_ddl_triggers_of(fr_arena *a, fr_ddl_triggers *o, const fr_sql_relation *table,
                         const fr_sql_relation *log, fr_err *err)
{
    o->log = fr_triggers_name(a, FR_TRIGGERS_LOG, o->name);
    if (o->remove)
        return FR_OK;
    size_t most = table->table->column_count + (log == NULL ? 0 : log->table->column_count);
    fr_triggers_column *columns = fr_arena_alloc(a, (most + 1) * sizeof(*columns));
    FR_TRY(shape_of(a, o, log, err));
    for (size_t i = 0; i < table->table->column_count; i++) {
        fr_str name = table->table->columns[i].name;
        if (!fr_triggers_takes(o->settings, name))
            continue;
        fr_triggers_column *c = &columns[o->count];
        *c = (fr_triggers_column){.name = name,
                                  .before = fr_triggers_column_name(a, 'o', name),
                                  .after = fr_triggers_column_name(a, 'n', name),
                                  .type = table->copies[i]};
        if (in_use(columns, o->count, c->after))
            return refuse(o, FR_STR("two columns would have one name in the change table"),
                          "rename one of them, or leave it out: columns.exclude", err);
        set_news(log, o->shape, c);
        o->count++;
    }
    if (o->count == 0 || o->count > MOST)
        return refuse(
            o, fr_arena_printf(a, "%zu columns; a change table takes 1 to %d", o->count, (int)MOST),
            "leave columns out: columns.exclude", err);
    add_gone(a, log, columns, &o->count);
    o->label = fr_arena_printf(a, label_format, o->shape,
                               FR_ARG(fr_triggers_print(a, table, o->settings)));
    o->columns = columns;
    return FR_OK;
}

void fr_ddl_triggers_head(fr_buf *b, const fr_ddl_triggers *o)
{
    static const char costs[] =
        "Each change of a row writes one more, with all its values (of an update twice), in the "
        "same transaction:\nmeasure what that costs your writers. A change table that nobody "
        "empties grows: remove the triggers with\n"
        "freshet ddl triggers --drop when freshet does not run any more.\n";
    fr_arena *a = fr_arena_new(0);
    fr_buf t = {.arena = a};
    fr_buf_printf(&t,
                  "%s capture by triggers of %.*s.%.*s of source %s, by freshet %s. Nothing "
                  "here was run.\n",
                  o->remove  ? "Removes"
                  : o->again ? "Renews"
                             : "Makes",
                  FR_ARG(o->space), FR_ARG(o->name), o->source->name, FR_VERSION);
    if (o->remove)
        fr_buf_text(&t, "Changes that are not published yet are lost with it: let freshet publish "
                        "all, then stop it, and take\nthe table out of the configuration.\n");
    else if (o->again)
        fr_buf_text(&t, "What the change table holds stays. Run it in one go with ALTER TABLE "
                        "where that can be: stop freshet first, and\nstart it then. It reads all "
                        "rows of the table once more (op r), since changes made in between did\n"
                        "not have the new columns.\n");
    else
        fr_buf_text(&t, costs);
    fr_ddl_comment(b, fr_buf_view(&t));
    fr_arena_free(a);
}
