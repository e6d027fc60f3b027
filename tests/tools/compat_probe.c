/* The compatibility engine for a script: a line {"level":"BACKWARD","old":[TEXT...],"new":TEXT} in,
 * a line out:
 *     {"verdict":"ok"|"broken","list":[{"kind":...}...]} or {"verdict":"error","why":...}
 * The list is fr_compat_list's; its members have the names of fr_difference's. */
#include "base/json.h"
#include "codec/compat.h"
#include "codec/registry_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_json(fr_str s)
{
    return json_stringn(s.ptr == NULL ? "" : s.ptr, s.len);
}

static json_t *difference_json(const fr_difference *d)
{
    static const char *const verdicts[] = {"note", "strict", "registry"};
    json_t *j = json_pack("{s:s#, s:s, s:b, s:i, s:s, s:s}", "sign", &d->sign, 1, "verdict",
                          verdicts[d->verdict], "ahead", d->ahead, "version", (int)d->version,
                          "kind", d->kind, "why", d->why);
    json_object_set_new(j, "path", text_json(d->path));
    json_object_set_new(j, "old_type", text_json(d->old_type));
    json_object_set_new(j, "new_type", text_json(d->new_type));
    json_object_set_new(j, "detail", text_json(d->detail));
    json_object_set_new(j, "pointer", text_json(d->pointer));
    json_object_set_new(j, "registry_kind",
                        d->registry_kind != NULL ? json_string(d->registry_kind) : json_null());
    return j;
}

static fr_str member(const json_t *j)
{
    return (fr_str){json_string_value(j), json_string_length(j)};
}

static json_t *answer(fr_arena *a, const json_t *question)
{
    fr_err err = {0};
    fr_differences list;
    const json_t *old = json_object_get(question, "old");
    size_t count = json_array_size(old);
    fr_str *versions = fr_arena_alloc(a, (count + 1) * sizeof(*versions));
    for (size_t i = 0; i < count; i++)
        versions[i] = member(json_array_get(old, i));
    fr_rc rc =
        fr_compat_list(a, fr_compat_of(fr_json_str(question, "level", "")),
                       member(json_object_get(question, "new")), versions, count, &list, &err);
    if (rc == FR_FAIL)
        return json_pack("{s:s, s:s}", "verdict", "error", "why", err.text);
    json_t *items = json_array();
    for (size_t i = 0; i < list.count; i++)
        json_array_append_new(items, difference_json(&list.items[i]));
    return json_pack("{s:s, s:o}", "verdict", rc == FR_OK ? "ok" : "broken", "list", items);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        fr_arena *a = fr_arena_new(0);
        json_t *question = json_loads(line, 0, NULL), *out = answer(a, question);
        json_dumpf(out, stdout, JSON_COMPACT);
        puts("");
        fflush(stdout);
        json_decref(out);
        json_decref(question);
        fr_arena_free(a);
    }
    free(line);
    return 0;
}
