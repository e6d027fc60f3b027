/* Two Avro schemas, separated by a line feed: parsing, comparison both ways, differences as a list
 * and as text, defaults. A schema always reads what it wrote itself, and what is said to break is
 * in the list. And one as the table's next schema, the other as what was published last: what is
 * kept of it is a record that can be parsed. */
#include "codec/change.h"
#include "codec/compat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(const fr_differences *list, const char *kind)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].kind, kind) == 0)
            return true;
    return false;
}

/* Defaults that are none, aliases that mean two, and unions of one kind twice are refused of
 * oneself, too. */
static void reads_itself(fr_arena *a, const fr_shape *s)
{
    fr_differences list = {.arena = a};
    if (fr_compat_problems(a, s, s, &list) == FR_OK)
        return;
    if (!holds(&list, "too.complex") && !holds(&list, "alias.ambiguous") &&
        !holds(&list, "union.ambiguous"))
        abort();
}

static void list_all(fr_arena *a, fr_str next, const fr_str *old)
{
    fr_err err;
    for (int level = FR_COMPAT_BACKWARD; level <= FR_COMPAT_NONE; level++) {
        fr_differences list;
        fr_str why;
        fr_rc rc = fr_compat_list(a, level, next, old, 1, &list, &err);
        if (rc == FR_FAIL)
            return;
        bool broken = false;
        for (size_t i = 0; i < list.count; i++) {
            const fr_difference *d = &list.items[i];
            broken = broken || d->verdict != FR_DIFF_NOTE;
            if (d->kind == NULL || d->why == NULL || strchr("+-~", d->sign) == NULL ||
                (d->verdict == FR_DIFF_REGISTRY) != (d->registry_kind != NULL))
                abort();
        }
        if ((rc == FR_END) != broken)
            abort();
        fr_compat_check(a, level, next, old, 1, &why, &err);
    }
}

static void keep(fr_arena *a, fr_str old, fr_str next, fr_envelope envelope)
{
    const fr_table table = {.space = FR_STR("public"), .name = FR_STR("t")};
    const fr_table_settings settings = {.add_column = FR_CHANGE_IGNORE,
                                        .drop_column = FR_CHANGE_IGNORE,
                                        .rename_column = FR_CHANGE_IGNORE,
                                        .change_type = FR_CHANGE_IGNORE};
    const fr_route route = {.table = &table, .settings = &settings, .envelope = envelope};
    const fr_route *out;
    fr_str said;
    fr_err err;
    if (fr_change_keep(a, &route, old, next, &out, &said, &err) == FR_OK &&
        (said.len > 0) != (out != &route))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    if (line == NULL || size > 20000)
        return 0;
    fr_str one = {(const char *)data, (size_t)(line - data)};
    fr_str two = {(const char *)line + 1, size - one.len - 1};
    fr_arena *a = fr_arena_new(0);
    const fr_shape *s;
    fr_err err;
    fr_str text;
    if (fr_shape_parse(a, one, &s, &err) == FR_OK) {
        fr_shape_text(a, s);
        reads_itself(a, s);
        list_all(a, one, &two);
        fr_compat_diff(a, two, one, &text, &err);
        keep(a, one, two, FR_ENVELOPE_STANDARD);
        keep(a, one, two, FR_ENVELOPE_STATE);
    }
    fr_arena_free(a);
    return 0;
}
