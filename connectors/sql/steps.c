#include "sql/steps.h"

static bool key_changed(const fr_event *e)
{
    bool changed = false;
    if (e->before.count != e->table->column_count || e->before.count != e->after.count)
        return false;
    for (size_t i = 0; i < e->table->column_count; i++) {
        const fr_value *before = &e->before.values[i];
        if (e->table->columns[i].key_ordinal == 0)
            continue;
        if (before->kind == FR_ABSENT || before->kind == FR_NULL)
            return false;
        changed = changed || !fr_value_same(before, &e->after.values[i]);
    }
    return changed;
}

static fr_rc no_delete(fr_err *err, fr_str qualified)
{
    fr_fail(err, FR_ERR_CONFIG, "%.*s: a delete, and write.mode append keeps every row",
            FR_ARG(qualified));
    fr_fail_code(err, "sink.delete");
    return fr_fail_hint(err, "set write.deletes to soft (a row that is marked) or ignore");
}

static fr_rc truncated(fr_err *err, fr_str qualified)
{
    fr_fail(err, FR_ERR_DATA, "%.*s: the source's table was truncated", FR_ARG(qualified));
    fr_fail_code(err, "sink.truncate");
    return fr_fail_hint(err, "set write.truncate to apply (empty the target too) or ignore");
}

static void add_step(fr_target_steps *out, int kind, const fr_row *row)
{
    out->items[out->count].kind = kind;
    out->items[out->count++].row = row;
}

static fr_rc add_gone(const fr_sink_settings *set, fr_str qualified, const fr_event *e,
                      fr_target_steps *out, fr_err *err)
{
    bool append = set->write_mode == FR_WRITE_APPEND;
    if (set->deletes == FR_DELETES_IGNORE || (append && e->echo)) /* its row is there */
        return FR_OK;
    if (append && set->deletes == FR_DELETES_HARD)
        return no_delete(err, qualified);
    add_step(out, FR_TARGET_GONE, &e->before);
    return FR_OK;
}

static fr_rc add_empty(const fr_sink_settings *set, fr_str qualified, fr_target_steps *out,
                       fr_err *err)
{
    if (set->truncate == FR_TRUNCATE_IGNORE)
        return FR_OK;
    if (set->truncate == FR_TRUNCATE_BLOCK)
        return truncated(err, qualified);
    add_step(out, FR_TARGET_EMPTY, NULL);
    return FR_OK;
}

fr_rc fr_target_steps_of(const fr_sink_settings *set, fr_str qualified, const fr_event *e,
                         fr_target_steps *out, fr_err *err)
{
    out->count = 0;
    if (e->op == FR_OP_TABLE)
        return FR_OK;
    if (e->op == FR_OP_DELETE)
        return add_gone(set, qualified, e, out, err);
    if (e->op == FR_OP_TRUNCATE)
        return add_empty(set, qualified, out, err);
    if (e->op == FR_OP_UPDATE && set->write_mode != FR_WRITE_APPEND && key_changed(e))
        FR_TRY(add_gone(set, qualified, e, out, err));
    add_step(out, FR_TARGET_PUT, &e->after);
    return FR_OK;
}
