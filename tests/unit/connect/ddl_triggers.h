/* The DDL of capture by triggers, word for word but for the version in the first line: the same
 * table for each dialect. Golden files are in tests/golden/ddl; FRESHET_REGEN_GOLDEN=1 writes
 * them. */
#ifndef FR_TEST_DDL_TRIGGERS_H
#define FR_TEST_DDL_TRIGGERS_H

#include "connect/sql.h"
#include "tests/unit/connect/golden.h"

typedef enum { MADE, RENEWED, REMOVED } ddl_state;

#define TOO_LONG "a name that alone is as long as names may be, with quotes \"`"

/* The table as it is now. */
static const fr_table *ddl_table(void)
{
    fr_column columns[] = {{.name = FR_STR("id"), .kind = FR_INT64, .key_ordinal = 1},
                           {.name = FR_STR("q\"`'uote"), .kind = FR_TEXT},
                           {.name = FR_STR("secret"), .kind = FR_TEXT},
                           {.name = FR_STR(TOO_LONG), .kind = FR_TEXT}};
    return fr_table_new(&(fr_table){.space = FR_STR("shop"),
                                    .name = FR_STR("or\nders"),
                                    .column_count = 4,
                                    .columns = columns});
}

/* The change table as it was: without one column, with one of another type, with one that was
 * dropped, and one that was dropped once and is back. */
static const fr_table *ddl_log(fr_arena *a)
{
    static const char *const names[] = {
        FR_TRIGGERS_ID, FR_TRIGGERS_OP, FR_TRIGGERS_AT, FR_TRIGGERS_SHAPE, "o_id",
        "n_id",         "o_q\"`'uote",  "n_q\"`'uote",  "o_gone",          "n_gone"};
    fr_column columns[10];
    for (size_t i = 0; i < 10; i++)
        columns[i] = (fr_column){.name = fr_cstr(names[i]), .kind = FR_TEXT};
    columns[5].doc = FR_STR("until 1");
    return fr_table_new(
        &(fr_table){.space = FR_STR("shop"),
                    .name = fr_triggers_name(a, FR_TRIGGERS_LOG, FR_STR("or\nders")),
                    .doc = FR_STR("freshet changes 1: shape 2, 0123456789abcdef"),
                    .column_count = 10,
                    .columns = columns});
}

static fr_rc ddl_write(const fr_sql_ops *ops, fr_sql *c, const void *connector, ddl_state state,
                       const fr_str *types, fr_buf *out, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    const char *exclude[] = {"secret"};
    const fr_table *table = ddl_table(), *log = ddl_log(a);
    fr_str copies[] = {types[0], types[1], types[1], types[1]};
    fr_str was[10];
    for (size_t i = 0; i < 10; i++)
        was[i] = types[0];
    const fr_sql_relation now = {.table = table, .copies = copies};
    const fr_sql_relation before = {.table = log, .copies = was};
    const fr_source_settings source = {.name = "shop", .connector = connector};
    const fr_table_settings t = {.method = FR_METHOD_TRIGGER, .columns_exclude = {exclude, 1}};
    fr_ddl_triggers o = {.source = &source,
                         .settings = &t,
                         .space = FR_STR("shop"),
                         .name = FR_STR("or\nders"),
                         .remove = state == REMOVED};
    fr_rc rc = fr_ddl_triggers_of(a, &o, &now, state == RENEWED ? &before : NULL, err);
    if (rc == FR_OK)
        rc = ops->put_triggers(c, out, &o, err);
    fr_table_unref(table);
    fr_table_unref(log);
    fr_arena_free(a);
    return rc;
}

static void ddl_is_golden(const char *dialect, ddl_state state, const fr_buf *got)
{
    static const char *const states[] = {"made", "renewed", "removed"};
    char name[100];
    snprintf(name, sizeof(name), "%s_triggers_%s", dialect, states[state]);
    sql_is_golden(name, got);
}

#endif
