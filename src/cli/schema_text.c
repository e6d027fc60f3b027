/* Schemas and what differs between them, for a person and as JSON. */
#include "cli/schema.h"
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 40 };

fr_str fr_schema_pretty(fr_arena *a, const json_t *j)
{
    char *text = json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fr_str out = fr_arena_printf(a, "%s\n", text);
    free(text);
    return out;
}

fr_rc fr_schema_side_json(fr_schema_verb *v, const fr_side *side, json_t **out, fr_err *err)
{
    fr_fingerprint print;
    FR_TRY(fr_fingerprint_of(v->cli->arena, side->text, &print, err));
    json_t *schema = json_loadb(side->text.ptr, side->text.len, JSON_DECODE_ANY, NULL);
    *out = json_object();
    if (side->version > 0) {
        json_object_set_new(*out, "version", json_integer(side->version));
        json_object_set_new(*out, "id", json_integer(side->id));
    }
    json_object_set_new(*out, "crc64", json_string(print.crc64));
    json_object_set_new(*out, "sha256", json_string(print.sha256));
    json_object_set_new(*out, "schema", schema == NULL ? json_null() : schema);
    return FR_OK;
}

void fr_schema_put_place(fr_buf *b, const fr_side *side)
{
    if (side->version > 0)
        fr_buf_printf(b, "version %d, id %d", side->version, (int)side->id);
    else
        fr_buf_text(b, "not registered");
}

/* ---- differences ---- */

static const char *const verdicts[] = {"note", "strict", "registry"};

json_t *fr_schema_differences_json(const fr_differences *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->count; i++) {
        const fr_difference *x = &d->items[i];
        const struct {
            const char *name;
            fr_str value;
        } texts[] = {{"path", x->path},
                     {"old", x->old_type},
                     {"new", x->new_type},
                     {"detail", x->detail},
                     {"pointer", x->pointer}};
        json_t *j = json_pack("{s:s#,s:s,s:s,s:s,s:b,s:I}", "sign", &x->sign, 1, "kind", x->kind,
                              "verdict", verdicts[x->verdict], "why", x->why, "ahead", x->ahead,
                              "version", (json_int_t)x->version);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            if (texts[k].value.len > 0 || k == 0)
                json_object_set_new(j, texts[k].name,
                                    json_stringn(texts[k].value.ptr, texts[k].value.len));
        if (x->registry_kind != NULL)
            json_object_set_new(j, "registry_kind", json_string(x->registry_kind));
        json_array_append_new(list, j);
    }
    return list;
}

size_t fr_schema_refused(const fr_differences *d, fr_diff_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++)
        n += d->items[i].verdict == verdict;
    return n;
}

static fr_str clean(fr_arena *a, fr_str text)
{
    fr_buf b = {.arena = a};
    fr_buf_shown(&b, text);
    return b.len == 0 ? FR_STR("") : fr_buf_view(&b);
}

fr_difference fr_schema_shown(fr_arena *a, const fr_difference *x)
{
    fr_difference out = *x;
    out.path = clean(a, x->path);
    out.old_type = clean(a, x->old_type);
    out.new_type = clean(a, x->new_type);
    out.detail = clean(a, x->detail);
    return out;
}

static int room(size_t widest)
{
    return (int)(widest > WIDEST ? WIDEST : widest);
}

static fr_str shown(fr_str type)
{
    return type.len > 0 ? type : FR_STR("-");
}

/* Types where there are any; whom it breaks, and why. */
static void put_difference(fr_cli *cli, const fr_difference *x, const char *indent, int path,
                           int old, int next)
{
    fr_buf *b = &cli->out;
    bool fine = x->verdict == FR_DIFF_NOTE;
    fr_str was = shown(x->old_type), is = shown(x->new_type);
    fr_buf_printf(b, "%s%c %-*.*s  ", indent, x->sign, path, FR_ARG(x->path));
    if (x->old_type.len + x->new_type.len > 0)
        fr_buf_printf(b, "%-*.*s  →  %-*.*s  ", old, FR_ARG(was), next, FR_ARG(is));
    fr_buf_printf(b, "%s%s", fr_cli_glyph(cli, fine ? FR_GLYPH_FINE : FR_GLYPH_FAIL), x->kind);
    if (x->detail.len > 0)
        fr_buf_printf(b, ": %.*s", FR_ARG(x->detail));
    if (!fine)
        fr_buf_printf(b, ": %s, %s%s", x->why,
                      x->ahead ? "for readers of the old schema" : "for readers of the new schema",
                      x->verdict == FR_DIFF_STRICT
                          ? " (a registry would let it pass; freshet does not)"
                          : "");
    fr_buf_u8(b, '\n');
}

void fr_schema_put_differences(fr_cli *cli, const fr_differences *d, const char *indent)
{
    size_t path = 0, old = 0, next = 0;
    fr_difference *all = fr_arena_alloc(cli->arena, (d->count + 1) * sizeof *all);
    for (size_t i = 0; i < d->count; i++) {
        const fr_difference *x = &all[i];
        all[i] = fr_schema_shown(cli->arena, &d->items[i]);
        path = x->path.len > path ? x->path.len : path;
        old = shown(x->old_type).len > old ? shown(x->old_type).len : old;
        next = shown(x->new_type).len > next ? shown(x->new_type).len : next;
    }
    for (size_t i = 0; i < d->count; i++)
        put_difference(cli, &all[i], indent, room(path), room(old), room(next));
}
