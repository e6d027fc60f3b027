#include "sql/evolve.h"

/* ---- names ---- */

static fr_rc name_of(const fr_target_comparison *k, fr_str name, fr_str *out, fr_err *err)
{
    *out = name;
    return k->dialect->name != NULL ? k->dialect->name(k->a, name, out, err)
                                    : fr_target_check_name(k->dialect->server, name, err);
}

static bool same_name(const fr_target_comparison *k, fr_str left, fr_str right)
{
    return k->dialect->folds ? fr_target_same_name(left, right) : fr_str_eq(left, right);
}

static bool is_own(const fr_target_comparison *k, fr_str name)
{
    static const char *const history[] = {FR_TARGET_FROM, FR_TARGET_TO, FR_TARGET_CURRENT};
    bool own = same_name(k, name, FR_STR(FR_TARGET_POSITION)) ||
               same_name(k, name, FR_STR(FR_TARGET_DELETED));
    for (size_t i = 0; i < 3 && k->settings->write_mode == FR_WRITE_HISTORY; i++)
        own = own || same_name(k, name, fr_cstr(history[i]));
    return own;
}

/* Among the first of the columns. */
static bool has_column(const fr_target_comparison *k, size_t count, fr_str name)
{
    for (size_t i = 0; i < count; i++) {
        fr_str theirs;
        fr_err ignored;
        if (name_of(k, k->table->columns[i].name, &theirs, &ignored) == FR_OK &&
            same_name(k, theirs, name))
            return true;
    }
    return false;
}

bool fr_target_good_column(const fr_target_comparison *k, const fr_column *c, fr_str *name_out)
{
    size_t before = (size_t)(c - k->table->columns);
    fr_err err;
    fr_str text = FR_STR("");
    if (name_of(k, c->name, name_out, &err) == FR_FAIL)
        text = fr_arena_printf(k->a, "column: %s", err.text);
    else if (is_own(k, *name_out))
        text = fr_arena_printf(k->a, "column %.*s has a name of freshet's own", FR_ARG(*name_out));
    else if (k->dialect->folds && has_column(k, before, *name_out))
        text = fr_arena_printf(k->a,
                               "column %.*s: another one differs by case only, and to %s they are "
                               "one",
                               FR_ARG(*name_out), k->dialect->server);
    if (text.len == 0)
        return true;
    fr_target_blocker(k, "sink.name", text,
                      FR_STR("leave the column out at the source (columns.exclude)"));
    return false;
}

bool fr_target_is_sent(const fr_target_comparison *k, fr_str name)
{
    return has_column(k, k->table->column_count, name) || is_own(k, name);
}

/* ---- keys ---- */

bool fr_target_is_key(const fr_target_comparison *k, const fr_column *c)
{
    return c->key_ordinal > 0 && k->settings->write_mode != FR_WRITE_APPEND;
}

bool fr_target_has_key(const fr_target_comparison *k)
{
    if (k->settings->write_mode == FR_WRITE_APPEND)
        return false;
    if (fr_table_key_count(k->table) > 0)
        return true;
    fr_target_blocker(k, "sink.key", FR_STR("the messages have no key"),
                      FR_STR("give the table a key at the source, or set write.mode: append"));
    return false;
}

void fr_target_generated_column(const fr_target_comparison *k, const fr_column *c, fr_str ident)
{
    if (fr_target_is_key(k, c))
        fr_target_blocker(k, "sink.key",
                          fr_arena_printf(k->a, "key column %.*s is generated", FR_ARG(ident)),
                          FR_STR("give the key a column that can be written"));
}

/* ---- what is not there ---- */

fr_finding *fr_target_blocker(const fr_target_comparison *k, const char *code, fr_str text,
                              fr_str hint)
{
    fr_finding *f =
        fr_findings_add(k->out, FR_BLOCKER, code, "%.*s: %.*s", FR_ARG(k->qualified), FR_ARG(text));
    f->hint = hint;
    return f;
}

fr_finding *fr_target_missing_table(const fr_target_comparison *k, fr_str sql)
{
    fr_finding *f;
    if (k->create)
        f = fr_findings_add(k->out, FR_CHANGE, "sink.table", "create %.*s", FR_ARG(k->qualified));
    else
        f = fr_target_blocker(k, "sink.table", FR_STR("there is no such table"),
                              k->settings->create == FR_WHEN_APPLY
                                  ? FR_STR("freshet apply creates it, or run")
                                  : FR_STR("create it, or set create: run"));
    f->sql = sql;
    f->undo = fr_arena_printf(k->a, "DROP TABLE %.*s", FR_ARG(k->qualified));
    return f;
}

bool fr_target_adds(const fr_target_comparison *k, const fr_column *c)
{
    return k->settings->add_column == FR_CHANGE_EVOLVE && !fr_target_is_key(k, c);
}

fr_finding *fr_target_missing_column(const fr_target_comparison *k, const fr_column *c, fr_str type)
{
    fr_str ident = k->dialect->ident(k->a, c->name);
    fr_str text = fr_arena_printf(k->a, "there is no column %.*s", FR_ARG(ident));
    if (k->settings->add_column == FR_CHANGE_IGNORE && !fr_target_is_key(k, c)) {
        fr_findings_add(k->out, FR_WARNING, "sink.table", "%.*s: %.*s: left out (on_change)",
                        FR_ARG(k->qualified), FR_ARG(text));
        return NULL;
    }
    if (fr_target_adds(k, c))
        return fr_findings_add(k->out, FR_CHANGE, "sink.table", "%.*s: add column %.*s %.*s",
                               FR_ARG(k->qualified), FR_ARG(ident), FR_ARG(type));
    return fr_target_blocker(k, "sink.add_column", text,
                             FR_STR("add it, or set on_change.add_column to evolve or ignore"));
}

void fr_target_lost_columns(const fr_target_comparison *k, const fr_table *before)
{
    if (before == NULL || k->settings->drop_column == FR_CHANGE_EVOLVE ||
        k->settings->drop_column == FR_CHANGE_IGNORE)
        return;
    for (size_t i = 0; i < before->column_count; i++) {
        fr_str name = before->columns[i].name;
        if (fr_table_find(k->table, name) >= 0)
            continue;
        fr_str ident = k->dialect->ident(k->a, name);
        fr_str text = fr_arena_printf(k->a, "the messages lost the column %.*s", FR_ARG(ident));
        fr_target_blocker(k, "sink.drop_column", text,
                          FR_STR("set on_change.drop_column to evolve or ignore: the target's "
                                 "column stays, with what it holds"));
    }
}

void fr_target_truncates(const fr_target_comparison *k, bool positioned)
{
    if (positioned || k->settings->truncate != FR_TRUNCATE_PUBLISH)
        return;
    fr_finding *f = fr_findings_add(k->out, FR_WARNING, "sink.truncate",
                                    "%.*s: there is no column " FR_TARGET_POSITION
                                    ": a truncate removes what other partitions "
                                    "of its topic brought after it, too",
                                    FR_ARG(k->qualified));
    f->hint = FR_STR("add the column, or give the topic one partition");
}

void fr_target_plan_own_tables(fr_findings *out, bool create, const char *also, fr_str sql)
{
    fr_finding *f = fr_findings_add(out, create ? FR_CHANGE : FR_BLOCKER, "sink.table",
                                    "create %s" FR_TARGET_OFFSETS " and " FR_TARGET_PARKED, also);
    f->sql = fr_arena_str(out->arena, sql);
    f->why = FR_STR("offsets are committed with the rows, in one transaction");
}

fr_rc fr_target_no_own_tables(fr_err *err, fr_str sql)
{
    fr_fail(err, FR_ERR_CONFIG, "there are no tables " FR_TARGET_OFFSETS " and " FR_TARGET_PARKED);
    fr_fail_code(err, "sink.table");
    return fr_fail_hint(err, "run: %.*s", FR_ARG(sql));
}
