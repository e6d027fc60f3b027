/* freshet schema show, history: what a stream's schemas are, and were. */
#include "cli/schema.h"
#include <string.h>

typedef struct shown {
    const char *label, *subject;
    fr_side *side;
} shown;

/* The registry's version whose rows are this contract's, the newest first. */
static fr_rc find_row(fr_schema_verb *v, const char *subject, fr_side *side, fr_err *err)
{
    fr_registry_version *all;
    size_t count;
    fr_str row;
    fr_err ignored;
    FR_TRY(fr_schema_registry(v, err));
    fr_rc rc = fr_registry_versions(v->registry, v->cli->arena, subject, &all, &count, err);
    if (rc != FR_OK)
        return rc == FR_FAIL ? rc : FR_OK;
    for (size_t i = count; i > 0 && side->version == 0; i--)
        if (fr_schema_row(v, all[i - 1].text, &row, &ignored) == FR_OK &&
            fr_str_eq(row, side->text)) {
            side->version = all[i - 1].number;
            side->id = all[i - 1].id;
        }
    return FR_OK;
}

/* Which version it is: nice to know, so a registry that is down is no failure. */
static void find_versions(fr_schema_verb *v, const fr_stream *s, fr_sides *sides)
{
    fr_err err;
    fr_rc rc = sides->rows ? find_row(v, s->value_subject, &sides->value, &err)
                           : fr_schema_find(v, s->value_subject, &sides->value, &err);
    if (rc == FR_OK)
        rc = fr_schema_find(v, s->key_subject, &sides->key, &err);
    if (rc == FR_FAIL)
        fr_cli_note(v->cli, "versions are not shown: %s", err.text);
}

/* Line by line as a terminal may have it: JSON escapes but the first of the two kinds of controls.
 */
static void put_schema(fr_buf *b, fr_str text)
{
    fr_in in = fr_in_of(text);
    while (fr_in_left(&in) > 0) {
        const char *from = (const char *)in.at, *end = memchr(from, '\n', fr_in_left(&in));
        size_t len = end == NULL ? fr_in_left(&in) : (size_t)(end - from);
        fr_buf_shown(b, fr_in_take(&in, len));
        fr_buf_u8(b, '\n');
        (void)fr_in_u8(&in);
    }
}

static fr_rc put_side(fr_schema_verb *v, const shown *x, json_t *result, const char *name,
                      fr_err *err)
{
    fr_buf *b = &v->cli->out;
    json_t *j;
    if (x->side->text.len == 0) {
        fr_buf_printf(b, "%s  none\n", x->label);
        json_object_set_new(result, name, json_null());
        return FR_OK;
    }
    FR_TRY(fr_schema_side_json(v, x->side, &j, err));
    json_object_set_new(j, "subject", json_string(x->subject));
    fr_buf_printf(b, "%s  subject %s   ", x->label, x->subject);
    fr_schema_put_place(b, x->side);
    fr_buf_printf(b, "\n       crc64 %s   sha256 %s\n", fr_json_str(j, "crc64", ""),
                  fr_json_str(j, "sha256", ""));
    put_schema(b, fr_schema_pretty(v->cli->arena, json_object_get(j, "schema")));
    json_object_set_new(result, name, j);
    return FR_OK;
}

static fr_rc show(fr_schema_verb *v, fr_err *err)
{
    fr_stream s;
    fr_sides sides;
    fr_cli *cli = v->cli;
    const fr_at at = fr_schema_at(v, FR_AT_SOURCE);
    FR_TRY(fr_schema_stream(v, cli->args[1], &s, err));
    FR_TRY(fr_schema_read(v, &s, at, &sides, err));
    if (at != FR_AT_REGISTRY)
        find_versions(v, &s, &sides);
    json_t *result = fr_cli_result(cli);
    json_object_set_new(result, "table", json_string(s.word));
    json_object_set_new(result, "topic", json_stringn(s.topic.ptr, s.topic.len));
    json_object_set_new(result, "at", json_string(fr_schema_at_name(at)));
    fr_buf_printf(&cli->out, "%s   topic %.*s   at the %s%s%s\n", s.word, FR_ARG(s.topic),
                  fr_schema_at_name(at), sides.rows ? ": " : "",
                  sides.rows ? s.contract->path : "");
    const shown key = {"KEY  ", s.key_subject, &sides.key};
    const shown value = {sides.rows ? "ROW  " : "VALUE", s.value_subject, &sides.value};
    if (!sides.rows) /* a contract does not tell it */
        FR_TRY(put_side(v, &key, result, "key", err));
    return put_side(v, &value, result, sides.rows ? "row" : "value", err);
}

int fr_schema_show(fr_schema_verb *v)
{
    fr_err err;
    return show(v, &err) == FR_FAIL ? fr_schema_failed(v, &err) : 0;
}

/* ---- history ---- */

static void put_change(fr_buf *b, fr_difference x)
{
    fr_buf_printf(b, "   %c %.*s", x.sign, FR_ARG(x.path));
    if (x.sign == '~' && x.old_type.len > 0 && !fr_str_eq(x.old_type, x.new_type))
        fr_buf_printf(b, " %.*s → %.*s", FR_ARG(x.old_type), FR_ARG(x.new_type));
    else if (x.sign == '+' && x.new_type.len > 0)
        fr_buf_printf(b, " %.*s", FR_ARG(x.new_type));
    if (x.detail.len > 0)
        fr_buf_printf(b, " (%.*s)", FR_ARG(x.detail));
}

static fr_rc put_version(fr_schema_verb *v, const fr_registry_version *x,
                         const fr_registry_version *before, json_t *list, fr_err *err)
{
    fr_side side = {.text = x->text, .version = x->number, .id = x->id};
    fr_differences d = {.arena = v->cli->arena};
    fr_buf *b = &v->cli->out;
    json_t *j;
    FR_TRY(fr_schema_side_json(v, &side, &j, err));
    json_array_append_new(list, j);
    fr_buf_printf(b, "  v%-4d id %-6d crc64 %s", x->number, (int)x->id,
                  fr_json_str(j, "crc64", ""));
    if (before != NULL)
        FR_TRY(fr_compat_list(v->cli->arena, FR_COMPAT_NONE, x->text, &before->text, 1, &d, err));
    for (size_t i = 0; i < d.count; i++)
        put_change(b, fr_schema_shown(v->cli->arena, &d.items[i]));
    fr_buf_text(b, before == NULL ? "   first\n" : d.count == 0 ? "   nothing\n" : "\n");
    json_object_set_new(j, "changes", fr_schema_differences_json(&d));
    return FR_OK;
}

static fr_rc history(fr_schema_verb *v, fr_err *err)
{
    fr_stream s;
    fr_registry_version *all = NULL;
    size_t count = 0;
    fr_cli *cli = v->cli;
    json_t *list = json_array();
    json_object_set_new(fr_cli_result(cli), "versions", list);
    FR_TRY(fr_schema_stream(v, cli->args[1], &s, err));
    FR_TRY(fr_schema_registry(v, err));
    json_object_set_new(fr_cli_result(cli), "subject", json_string(s.value_subject));
    fr_rc rc = fr_registry_versions(v->registry, cli->arena, s.value_subject, &all, &count, err);
    if (rc == FR_FAIL)
        return rc;
    fr_buf_printf(&cli->out, "%s\n", s.value_subject);
    for (size_t i = count; i > 0; i--)
        FR_TRY(put_version(v, &all[i - 1], i > 1 ? &all[i - 2] : NULL, list, err));
    if (rc == FR_END)
        fr_cli_summary(cli, "The registry has no such subject.");
    else
        fr_cli_summary(cli, "%zu version%s.", count, count == 1 ? "" : "s");
    return FR_OK;
}

int fr_schema_history(fr_schema_verb *v)
{
    fr_err err;
    return history(v, &err) == FR_FAIL ? fr_schema_failed(v, &err) : 0;
}
