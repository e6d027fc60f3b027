#include "base/map.h"
#include "connectors/mysql/binlog_catalog.h"
#include "connectors/mysql/binlog_source.h"
#include <string.h>

enum { ANSWER_SECONDS = 10 };

/* "space.name" of each table. */
static fr_map *tables_of(const fr_my_rows *names, fr_arena *a)
{
    fr_map *out = fr_map_new();
    for (size_t i = 0; i < names->count; i++) {
        fr_str key = fr_arena_printf(a, "%.*s.%.*s", FR_ARG(fr_my_text(names, i, 0)),
                                     FR_ARG(fr_my_text(names, i, 1)));
        if (!fr_my_null(names, i, 2)) /* else it is a view */
            fr_map_set(out, key, out);
    }
    return out;
}

static fr_rc read_names(fr_binlog_source *s, fr_arena *a, fr_my_rows *out, fr_err *err)
{
    fr_my *my = NULL;
    FR_TRY(fr_binlog_take(s, &my, err));
    if (atomic_load(&s->seen.connected)) /* beside the stream: it can wait for another time */
        fr_my_patience(my, ANSWER_SECONDS);
    if (fr_binlog_catalog_names(my, a, out, err) == FR_FAIL) {
        fr_my_close(my);
        return FR_FAIL;
    }
    fr_binlog_give(s, my);
    return FR_OK;
}

fr_rc fr_binlog_absent(fr_source *base, fr_arena *a, fr_absent **out, size_t *count_out,
                       fr_err *err)
{
    fr_binlog_source *s = (fr_binlog_source *)base;
    const fr_source_settings *settings = s->settings;
    fr_absent *items = fr_arena_alloc(a, (settings->table_count + 1) * sizeof(*items));
    fr_my_rows names;
    size_t n = 0;
    FR_TRY(read_names(s, a, &names, err));
    fr_map *there = tables_of(&names, a);
    for (size_t i = 0; i < settings->table_count; i++) {
        const fr_table_settings *t = &settings->tables[i];
        const char *dot = strchr(t->pattern, '.');
        if (t->regex != NULL || t->method == FR_METHOD_SKIP || dot == NULL ||
            fr_map_get(there, fr_cstr(t->pattern)) != NULL)
            continue;
        items[n++] = (fr_absent){
            .kind = FR_ABSENT_GONE,
            .space = {t->pattern, (size_t)(dot - t->pattern)},
            .name = fr_cstr(dot + 1),
            .code = "my.table",
            .text = fr_arena_printf(a, "there is no table %s, or no right to see it", t->pattern),
            .hint = fr_arena_printf(
                a, "correct its name in tables (%s), or: GRANT SELECT ON %s TO ...;",
                t->place != NULL ? t->place : "configuration", t->pattern)};
    }
    fr_map_free(there, NULL);
    *out = items;
    *count_out = n;
    return FR_OK;
}
