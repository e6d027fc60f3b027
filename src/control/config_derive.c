/* Derived events: what a file alone can be wrong about. Which columns a table has is the server's
 * to say, so any name may be one here. */
#include "control/config_load.h"
#include "transform/mask.h"
#include <string.h>

/* Where byte `at` of a scalar's text stands in the file; the scalar's own place where the text is
 * written in another way than it is read. */
static fr_place place_in(const fr_node *n, fr_str text, size_t at)
{
    fr_place place = n->place;
    fr_str rest = place.file == NULL ? FR_STR("") : place.file->text;
    for (int line = 1; line < place.line && rest.len > 0; line++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t skip = end == NULL ? rest.len : (size_t)(end - rest.ptr) + 1;
        rest = (fr_str){rest.ptr + skip, rest.len - skip};
    }
    size_t from = 0;
    for (int column = 1; column < place.column && from < rest.len; column++)
        do
            from++;
        while (from < rest.len && ((unsigned char)rest.ptr[from] & 0xC0) == 0x80);
    size_t quote = from < rest.len && strchr("'\"", rest.ptr[from]) != NULL ? 1 : 0;
    from += quote;
    if (at > text.len || from > rest.len || rest.len - from < at ||
        memcmp(rest.ptr + from, text.ptr, at) != 0)
        return place;
    place.column += (int)quote;
    for (size_t i = 0; i < at; i++)
        place.column += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return place;
}

static void check_expr(fr_loader *l, const fr_node *n, const char *path, const char *area,
                       const char *text)
{
    fr_expr *e;
    fr_err err;
    size_t at = 0;
    if (l->flags->offline && strstr(text, "${") != NULL)
        return; /* what it refers to is not known here */
    if (l->sandbox == NULL && fr_sandbox_open(&l->sandbox, &err) == FR_FAIL) {
        fr_problem_of(l, n->place, path, &err);
        return;
    }
    if (fr_expr_compile(l->sandbox, l->a, NULL, text, &e, &at, &err) == FR_OK)
        return;
    fr_err named = err;
    fr_str code = fr_arena_printf(l->a, "%s.%s", area, err.code);
    fr_fail_code(&named, fr_arena_cstr(l->a, code));
    fr_problem_of(l, place_in(n, fr_cstr(text), at), path, &named);
}

static void check_one(fr_loader *l, const fr_scope *s, const char *name, const char *area,
                      const char *text)
{
    const fr_node *n = fr_scope_set_by(s, name);
    if (text == NULL || n == NULL || !fr_scope_said_here(s, name))
        return;
    fr_str path = fr_arena_printf(l->a, "%s.%s", s->path, name);
    check_expr(l, n, fr_arena_cstr(l->a, path), area, text);
}

/* An entry of a map that was said here, with what it was read as. */
typedef void check_entry(fr_loader *l, const fr_node *n, const char *path, const char *value);

static void check_entries(fr_loader *l, const fr_scope *s, const char *name, const fr_pairs *pairs,
                          check_entry *check)
{
    const fr_node *n = fr_scope_set_by(s, name);
    if (n == NULL || n->kind != FR_NODE_MAP || !fr_scope_said_here(s, name))
        return;
    fr_str path = fr_arena_printf(l->a, "%s.%s", s->path, name);
    for (size_t i = 0; i < n->count; i++) {
        const fr_member *m = &n->members[i];
        const char *value = fr_pairs_get(pairs, m->key);
        if (value != NULL)
            check(l, m->value, fr_path_join(l->a, fr_arena_cstr(l->a, path), m->key), value);
    }
}

static void check_field(fr_loader *l, const fr_node *n, const char *path, const char *value)
{
    check_expr(l, n, path, "derive", value);
}

static void check_mask(fr_loader *l, const fr_node *n, const char *path, const char *value)
{
    fr_mask m;
    fr_problem *p = NULL;
    if (!fr_mask_parse(value, &m)) {
        p = fr_problem_add(l, false, "config.bad_value", n->place, path, "`%s` is no mask", value);
        fr_problem_hint(l, p, "hash, redact, null, or {keep_last: n} with n from 1 to 64");
    } else if (m.kind == FR_MASK_HASH && l->config->daemon.mask_key == NULL) {
        p = fr_problem_add(l, false, "config.mask_key", n->place, path,
                           "hash needs daemon.mask_key");
        fr_problem_hint(l, p,
                        "daemon: {mask_key: \"${cred:mask_key}\"}; make one: openssl rand "
                        "-hex 32");
    }
}

static void check_rename(fr_loader *l, const fr_node *n, const char *path, const char *value)
{
    if (*value != '\0')
        return;
    fr_problem *p =
        fr_problem_add(l, false, "config.bad_value", n->place, path, "a field without a name");
    fr_problem_hint(l, p, "name it");
}

static void check_delete_when(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    static const char key[] = "poll.delete_when";
    if (t->method != FR_METHOD_QUERY && fr_scope_said_here(s, key))
        fr_scope_refuse(l, s, "config.conflict", key, "only method query looks at it",
                        t->method == FR_METHOD_SNAPSHOT
                            ? "use filter: a row that it leaves out is deleted"
                            : "remove it");
    else if (t->method == FR_METHOD_QUERY && t->poll_deletes != 0)
        fr_scope_refuse(l, s, "config.conflict", key,
                        "deletes are told in one way: by poll.delete_when or by poll.deletes",
                        "remove one of the two");
    else if (t->method == FR_METHOD_QUERY && t->append_only)
        fr_scope_refuse(l, s, "config.conflict", key,
                        "rows of an append_only table are not deleted",
                        "remove it, or append_only");
}

void fr_derive_read(fr_loader *l, const fr_scope *s, const fr_table_settings *t)
{
    check_one(l, s, "filter", "filter", t->filter);
    check_one(l, s, "poll.delete_when", "delete_when", t->poll_delete_when);
    check_entries(l, s, "columns.derive", &t->column_derive, check_field);
    check_entries(l, s, "columns.mask", &t->column_mask, check_mask);
    check_entries(l, s, "columns.rename", &t->column_rename, check_rename);
    if (t->poll_delete_when != NULL && strcmp(s->path, "defaults") != 0)
        check_delete_when(l, s, t);
}
