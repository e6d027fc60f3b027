/* A dead letter of a source, which is its row as JSON (capture/dead.c), as an event again. */
#include "cli/dlq.h"
#include "cli/trial.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static fr_rc gone(fr_err *err, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fr_fail(err, FR_ERR_DATA, "%s", text);
    fr_fail_code(err, "dlq.row");
    return fr_fail_hint(err, "drop its letters, then read the row again: freshet dlq drop ID, "
                             "freshet snapshot start TABLE --where CONDITION");
}

/* Of a date or time; only where the table's envelope has it. */
static bool infinity(const fr_column *c, const json_t *j, fr_value *out)
{
    const char *text = json_string_value(j);
    bool point = c->kind == FR_DATE || c->kind == FR_DATETIME || c->kind == FR_TIMESTAMP;
    if (!point || text == NULL || (strcmp(text, "infinity") != 0 && strcmp(text, "-infinity") != 0))
        return false;
    *out = (fr_value){.kind = c->kind, .integer = *text == '-' ? INT64_MIN : INT64_MAX};
    return true;
}

static fr_rc put_value(fr_arena *a, const fr_column *c, json_t *j, fr_value *out, fr_err *err)
{
    const json_t *hex = json_object_get(j, "$bytes");
    fr_str text;
    fr_err why;
    if (json_is_null(j)) {
        out->kind = FR_NULL;
        return FR_OK;
    }
    if (infinity(c, j, out))
        return FR_OK;
    if (json_is_string(j))
        text = (fr_str){json_string_value(j), json_string_length(j)};
    else if (json_is_string(hex))
        text = fr_arena_printf(a, "\\x%s", json_string_value(hex));
    else if (json_is_object(j) || json_is_array(j))
        return gone(err, "column %.*s: no value of a letter", FR_ARG(c->name));
    else
        text = fr_json_text(a, j);
    if (fr_trial_value(a, c, text, out, &why) == FR_OK)
        return FR_OK;
    return gone(err, "column %.*s: its type is another one now, and does not take the value",
                FR_ARG(c->name));
}

static fr_rc put_row(fr_batch *b, const fr_table *table, const json_t *side, fr_row *out,
                     fr_err *err)
{
    const char *name;
    json_t *value;
    if (json_is_null(side))
        return FR_OK;
    fr_value *values = fr_batch_row(b, table, out);
    json_object_foreach((json_t *)side, name, value)
    {
        int at = fr_table_find(table, fr_cstr(name));
        if (at < 0)
            return gone(err, "column %s: the table has it no more", name);
        FR_TRY(put_value(b->arena, &table->columns[at], value, &values[at], err));
    }
    return FR_OK;
}

static fr_str text_of(fr_arena *a, const json_t *j, const char *name)
{
    return fr_arena_str(a, fr_cstr(fr_json_str(j, name, "")));
}

static void put_origin(fr_batch *b, fr_event *e, const json_t *j)
{
    const json_t *t = json_object_get(j, "txn");
    e->row = (uint32_t)fr_json_int(j, "row", 0);
    e->position.row_lsn = (uint64_t)fr_json_int(j, "row_lsn", 0);
    e->time_us = fr_json_int(j, "time_us", 0);
    e->zero = text_of(b->arena, j, "zero");
    e->gone = json_is_true(json_object_get(j, "gone"));
    if (e->op == FR_OP_UPDATE)
        e->name = text_of(b->arena, j, "reread");
    if (!json_is_object(t))
        return;
    fr_txn *txn = fr_arena_alloc(b->arena, sizeof(*txn));
    *txn = (fr_txn){.id = text_of(b->arena, t, "id"),
                    .commit_us = fr_json_int(t, "commit_us", 0),
                    .gtid = text_of(b->arena, t, "gtid"),
                    .file = text_of(b->arena, t, "file"),
                    .server_id = (uint32_t)fr_json_int(t, "server_id", 0),
                    .thread = (uint32_t)fr_json_int(t, "thread", 0)};
    e->txn = txn;
}

static fr_rc op_of(const json_t *j, fr_op *out, fr_err *err)
{
    const char *op = fr_json_str(j, "op", "");
    static const char letters[] = "rcud";
    static const fr_op ops[] = {FR_OP_READ, FR_OP_INSERT, FR_OP_UPDATE, FR_OP_DELETE};
    const char *at = op[0] == '\0' || op[1] != '\0' ? NULL : strchr(letters, op[0]);
    if (at == NULL)
        return gone(err, "op `%s` is none of r, c, u, d", op);
    *out = ops[at - letters];
    return FR_OK;
}

/* What the source did not decode is not in the letter. Older letters do not say so. */
static bool incomplete(const fr_event *e, const json_t *j)
{
    if (fr_json_int(j, "v", 1) >= 2)
        return json_is_true(json_object_get(j, "undecoded"));
    size_t members = json_object_size(json_object_get(j, "after"));
    return e->op != FR_OP_DELETE && members < e->table->column_count;
}

static fr_rc put_event(fr_batch *b, const fr_table *table, const fr_letter *l, const json_t *j,
                       fr_err *err)
{
    fr_op op = FR_OP_READ;
    const json_t *before = json_object_get(j, "before"), *after = json_object_get(j, "after");
    fr_str name = fr_arena_printf(b->arena, "%.*s.%.*s", FR_ARG(table->space), FR_ARG(table->name));
    bool sides = (json_is_null(before) || json_is_object(before)) &&
                 (json_is_null(after) || json_is_object(after));
    if (!sides || !fr_str_is(name, fr_json_str(j, "table", "")))
        return gone(err, "it is no letter of table %.*s", FR_ARG(name));
    if (json_is_true(json_object_get(j, "only_key")))
        return gone(err, "the row was too large, and the letter has only its key");
    FR_TRY(op_of(j, &op, err));
    if (op == FR_OP_DELETE ? json_is_null(before) : json_is_null(after))
        return gone(err, "the row is not in it");
    fr_event *e = fr_batch_add(b, op, table);
    if (e == NULL)
        return fr_fail(err, FR_ERR_BUG, "more letters than the batch takes");
    e->position = (fr_position){.lsn = l->lsn, .ordinal = l->ordinal, .epoch = l->epoch};
    e->position.resume = FR_STR("");
    put_origin(b, e, j);
    if (e->txn == NULL && e->time_us == 0 && fr_json_int(j, "v", 1) < 2)
        e->time_us = l->timestamp_ms * 1000; /* as near as an older letter tells */
    if (incomplete(e, j))
        return gone(err, "the source could not decode all of the row, and the letter has the "
                         "rest of it only");
    FR_TRY(put_row(b, table, before, &e->before, err));
    return put_row(b, table, after, &e->after, err);
}

fr_rc fr_dlq_row(fr_batch *b, const fr_table *table, const fr_letter *l, fr_err *err)
{
    json_t *j = NULL;
    fr_err why;
    if (fr_json_parse(l->payload, &j, &why) == FR_FAIL || !json_is_object(j)) {
        json_decref(j);
        return gone(err, "its value is no JSON object");
    }
    fr_rc rc = put_event(b, table, l, j, err);
    json_decref(j);
    return rc;
}
