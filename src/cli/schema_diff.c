/* freshet schema diff: what would become of a stream's schema, and whom that breaks. */
#include "cli/schema.h"
#include "codec/registry_internal.h"
#include <string.h>

typedef struct two { /* what is compared */
    fr_str *olds;    /* oldest first; of a table: its rows */
    fr_str *wholes;  /* of a table: the same with their envelopes */
    size_t count;
    fr_side old, next;
    int level, version; /* version: of the newest old one; 0: files */
    const char *table;  /* NULL: files */
    const char *old_name, *new_name;
} two;

typedef enum { SAME, NOTES, COMPATIBLE, STRICT, REFUSED } verdict;
static const char *const verdict_names[] = {"same", "notes", "compatible", "strict", "registry"};

static verdict verdict_of(const fr_differences *d)
{
    bool data = false;
    for (size_t i = 0; i < d->count; i++)
        data = data || !fr_diff_is_wording(&d->items[i]);
    if (fr_schema_refused(d, FR_DIFF_REGISTRY) > 0)
        return REFUSED;
    if (fr_schema_refused(d, FR_DIFF_STRICT) > 0)
        return STRICT;
    return d->count == 0 ? SAME : data ? COMPATIBLE : NOTES;
}

static void put_verdict(fr_cli *cli, const two *t, verdict x)
{
    const char *level = fr_compat_name(t->level);
    fr_str next = FR_STR("the new schema");
    if (t->version > 0)
        next = fr_arena_printf(cli->arena, "version %d", t->version + 1);
    switch (x) {
    case SAME:
        fr_cli_summary(cli, "Verdict: nothing differs.");
        return;
    case NOTES:
        fr_cli_summary(cli, "Verdict: only what people read differs; %.*s may follow.",
                       FR_ARG(next));
        return;
    case COMPATIBLE:
        fr_cli_summary(cli, "Verdict: %.*s may follow under %s.", FR_ARG(next), level);
        return;
    case STRICT:
        fr_cli_summary(cli,
                       "Verdict: a registry would let %.*s pass under %s; freshet refuses it, "
                       "because values would change in silence.",
                       FR_ARG(next), level);
        return;
    case REFUSED:
        fr_cli_summary(cli, "Verdict: the registry would refuse %.*s under %s.", FR_ARG(next),
                       level);
    }
}

/* ---- ways on ---- */

static void way(fr_cli *cli, json_t *ways, const char *what, fr_str how)
{
    fr_buf_printf(&cli->out, "  → %-12s ", what);
    fr_buf_shown(&cli->out, how);
    fr_buf_u8(&cli->out, '\n');
    json_array_append_new(ways, json_pack("{s:s,s:s%}", "what", what, "how", how.ptr, how.len));
}

/* A type of columns.types that keeps what the field was. */
static bool keeps(fr_str old)
{
    return fr_str_is(old, "string") || fr_str_is(old, "long") || fr_str_is(old, "double") ||
           (old.len > 8 && memcmp(old.ptr, "decimal(", 8) == 0);
}

/* Without "null | ": as columns.types has it. */
static fr_str some_type(fr_str type)
{
    static const char null_first[] = "null | ";
    size_t len = sizeof null_first - 1;
    bool has = type.len > len && memcmp(type.ptr, null_first, len) == 0;
    return has ? (fr_str){type.ptr + len, type.len - len} : type;
}

static void put_field_way(fr_cli *cli, json_t *ways, const fr_difference *x)
{
    fr_str old = some_type(x->old_type);
    if (strcmp(x->kind, "READER_FIELD_MISSING_DEFAULT_VALUE") == 0 && x->sign == '+')
        way(cli, ways, "default:",
            fr_arena_printf(cli->arena, "columns.defaults: {%.*s: ...}", FR_ARG(x->path)));
    else if (x->sign == '~' && keeps(old) && !fr_str_eq(old, some_type(x->new_type)))
        way(cli, ways, "keep it:",
            fr_arena_printf(cli->arena, "columns.types: {%.*s: %.*s}", FR_ARG(x->path),
                            FR_ARG(old)));
}

static void put_ways(fr_cli *cli, const two *t, const fr_differences *d)
{
    json_t *ways = json_array();
    json_object_set_new(fr_cli_result(cli), "ways", ways);
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].verdict != FR_DIFF_NOTE)
            put_field_way(cli, ways, &d->items[i]);
    way(cli, ways, "pin it:",
        FR_STR("keep the old shape as the table's contract (schema.contract, docs/schemas.md)"));
    way(cli, ways, "new stream:",
        FR_STR("topic: and schema.name: of another name, for consumers that move on their own "
               "day"));
    way(cli, ways, "or force:",
        fr_arena_printf(cli->arena,
                        "freshet schema register %s --compatibility NONE   (asks twice)",
                        t->table));
}

/* ---- what is compared ---- */

static fr_rc two_files(fr_schema_verb *v, two *t, fr_err *err)
{
    const char *level = fr_cli_flag(v->cli, "level");
    t->old_name = v->cli->args[1];
    t->new_name = v->cli->args[2];
    t->level = FR_COMPAT_BACKWARD;
    if (level != NULL)
        FR_TRY(fr_schema_level(level, &t->level, err));
    FR_TRY(fr_schema_file(v, t->old_name, &t->old.text, err));
    FR_TRY(fr_schema_file(v, t->new_name, &t->next.text, err));
    t->olds = &t->old.text;
    t->count = 1;
    return FR_OK;
}

static fr_rc take_versions(fr_schema_verb *v, const fr_stream *s, two *t, fr_err *err)
{
    fr_registry_version *all = NULL;
    FR_TRY(fr_schema_registry(v, err));
    fr_rc rc =
        fr_registry_versions(v->registry, v->cli->arena, s->value_subject, &all, &t->count, err);
    if (rc == FR_END) {
        fr_fail(err, FR_ERR_SCHEMA, "the registry has no subject %s: there is nothing to compare",
                s->value_subject);
        fr_fail_code(err, "registry.subject_missing");
        return fr_fail_hint(err, "freshet apply registers its first version");
    }
    FR_TRY(rc);
    t->olds = fr_arena_alloc(v->cli->arena, t->count * sizeof *t->olds);
    t->wholes = fr_arena_alloc(v->cli->arena, t->count * sizeof *t->wholes);
    for (size_t i = 0; i < t->count; i++) {
        t->wholes[i] = all[i].text;
        FR_TRY(fr_schema_row(v, all[i].text, &t->olds[i], err));
    }
    const fr_registry_version *newest = &all[t->count - 1];
    t->old = (fr_side){newest->text, newest->number, newest->id};
    t->version = newest->number;
    return FR_OK;
}

static fr_rc take_level(fr_schema_verb *v, const fr_stream *s, two *t, fr_err *err)
{
    const char *asked = fr_cli_flag(v->cli, "level");
    if (asked != NULL)
        return fr_schema_level(asked, &t->level, err);
    return fr_schema_enforced(v, s, s->value_subject, &t->level, err);
}

/* Rows are compared, so that paths are those of fields; the whole, where that tells more. */
static fr_rc a_table(fr_schema_verb *v, two *t, fr_differences *d, fr_err *err)
{
    fr_stream s;
    fr_sides sides;
    fr_str row;
    fr_arena *a = v->cli->arena;
    bool offline = fr_cli_flag(v->cli, "offline") != NULL;
    fr_differences whole = {.arena = a};
    FR_TRY(fr_schema_stream(v, v->cli->args[1], &s, err));
    FR_TRY(fr_schema_read(v, &s, offline ? FR_AT_CONTRACT : FR_AT_SOURCE, &sides, err));
    FR_TRY(take_versions(v, &s, t, err));
    FR_TRY(take_level(v, &s, t, err));
    t->table = s.word;
    t->next = sides.value;
    t->old_name = s.value_subject;
    t->new_name = offline ? s.contract->path : "source now";
    FR_TRY(fr_schema_row(v, sides.value.text, &row, err));
    fr_rc rc = fr_compat_list(a, t->level, row, t->olds, t->count, d, err);
    if (rc != FR_OK || sides.rows)
        return rc;
    rc = fr_compat_list(a, t->level, sides.value.text, t->wholes, t->count, &whole, err);
    if (rc == FR_END || d->count == 0)
        *d = whole;
    return rc;
}

static fr_rc put_head(fr_schema_verb *v, const two *t, fr_err *err)
{
    fr_fingerprint was, is;
    fr_arena *a = v->cli->arena;
    json_t *result = fr_cli_result(v->cli), *old = NULL, *next = NULL;
    FR_TRY(fr_fingerprint_of(a, t->old.text, &was, err));
    FR_TRY(fr_fingerprint_of(a, t->next.text, &is, err));
    FR_TRY(fr_schema_side_json(v, &t->old, &old, err));
    json_object_set_new(result, "old", old);
    FR_TRY(fr_schema_side_json(v, &t->next, &next, err));
    json_object_set_new(result, "new", next);
    json_object_set_new(result, "level", json_string(fr_compat_name(t->level)));
    fr_buf *b = &v->cli->out;
    fr_buf_printf(b, "%s", t->old_name);
    if (t->version > 0)
        fr_buf_printf(b, "   registered v%d (id %d)", t->version, (int)t->old.id);
    fr_buf_printf(b, "   vs   %s   compatibility %s\n  crc64 %s", t->new_name,
                  fr_compat_name(t->level), was.crc64);
    if (strcmp(was.crc64, is.crc64) == 0)
        fr_buf_text(b, ", the same: logical types, docs and defaults do not count in it\n");
    else
        fr_buf_printf(b, " → %s\n", is.crc64);
    return FR_OK;
}

static fr_rc diff(fr_schema_verb *v, int *code, fr_err *err)
{
    two t = {.count = 0};
    fr_differences d = {.arena = v->cli->arena};
    bool files = v->cli->arg_count == 3;
    fr_rc rc = files ? two_files(v, &t, err) : a_table(v, &t, &d, err);
    if (rc == FR_OK && files)
        rc = fr_compat_list(v->cli->arena, t.level, t.next.text, t.olds, t.count, &d, err);
    if (rc == FR_FAIL)
        return rc;
    verdict x = verdict_of(&d);
    FR_TRY(put_head(v, &t, err));
    fr_schema_put_differences(v->cli, &d, "  ");
    json_object_set_new(fr_cli_result(v->cli), "differences", fr_schema_differences_json(&d));
    json_object_set_new(fr_cli_result(v->cli), "verdict", json_string(verdict_names[x]));
    put_verdict(v->cli, &t, x);
    if (x >= STRICT && t.table != NULL)
        put_ways(v->cli, &t, &d);
    *code = x >= STRICT ? FR_EXIT_NO : 0;
    return FR_OK;
}

int fr_schema_diff(fr_schema_verb *v)
{
    fr_err err;
    int code = 0;
    return diff(v, &code, &err) == FR_FAIL ? fr_schema_failed(v, &err) : code;
}
