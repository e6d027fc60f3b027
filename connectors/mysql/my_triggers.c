/* What a change table must be able to hold, and whether the triggers that fill it are there; one
 * view for several SELECTs. */
#include "connectors/mysql/my_query_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_ROUTINE = 1305, NO_EXECUTE = 1370 };

/* ---- types ---- */

/* A row of other columns than BLOB and TEXT has 65,535 bytes at most, and a change table has each
 * of them twice. */
static const char *roomy(const fr_my_column *c)
{
    size_t bytes = (size_t)c->length * (c->charset != NULL ? c->charset->max_length : 1);
    bool text = c->type == FR_MY_VARCHAR;
    if ((!text && c->type != FR_MY_VARBINARY) || bytes <= 255 ||
        c->wire == FR_MY_WIRE_VARCHAR_COMPRESSED)
        return NULL;
    if (bytes > 65535)
        return text ? "mediumtext" : "mediumblob";
    return text ? "text" : "blob";
}

static bool has_charset(const fr_my_column *c)
{
    return c->charset != NULL && strcmp(c->charset->name, "binary") != 0;
}

void fr_my_triggers_copies(fr_my_sql_relation *r)
{
    const fr_my_relation *from = &r->from->relation;
    fr_str *copies = fr_arena_alloc(r->arena, (from->column_count + 1) * sizeof(*copies));
    for (size_t i = 0; i < from->column_count; i++) {
        const fr_my_column *c = &from->columns[i];
        fr_str type = roomy(c) != NULL ? fr_cstr(roomy(c)) : c->column_type;
        copies[i] = has_charset(c) ? fr_arena_printf(r->arena, "%.*s CHARACTER SET %s",
                                                     FR_ARG(type), c->charset->name)
                                   : type;
    }
    r->base.copies = copies;
}

/* ---- triggers ---- */

static fr_rc no_function(const fr_sql_relation *table, fr_sql_triggers *out, fr_arena *a,
                         const fr_err *why)
{
    out->code = "trigger.missing";
    out->wrong =
        why->native == NO_EXECUTE
            ? fr_arena_printf(
                  a,
                  "no right to ask for its triggers: GRANT EXECUTE ON FUNCTION %.*s TO "
                  "...;",
                  FR_ARG(fr_my_qualified(a, table->table->space,
                                         fr_triggers_name(a, FR_TRIGGERS_LOG, table->table->name))))
            : FR_STR("its triggers are not there, or not the function that tells of them");
    return FR_OK;
}

/* "DELETE 3,INSERT 3,UPDATE 3;2": what fires, the shape that it writes, and how many foreign keys
 * change rows of the table by themselves. */
static bool read_answer(const char *text, int64_t *shape, int64_t *cascades)
{
    long long n[3];
    long long keys;
    int used = -1;
    if (sscanf(text, "DELETE %lld,INSERT %lld,UPDATE %lld;%lld%n", &n[0], &n[1], &n[2], &keys,
               &used) != 4 ||
        text[used] != '\0' || n[0] != n[1] || n[0] != n[2])
        return false;
    *shape = n[0];
    *cascades = keys;
    return true;
}

fr_rc fr_my_triggers(fr_sql *base, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                     fr_err *err)
{
    fr_my_sql *c = (fr_my_sql *)base;
    fr_my_rows rows;
    fr_str name = fr_triggers_name(a, FR_TRIGGERS_LOG, table->table->name);
    fr_str sql =
        fr_arena_printf(a, "SELECT %.*s()", FR_ARG(fr_my_qualified(a, table->table->space, name)));
    int64_t cascades = 0;
    *out = (fr_sql_triggers){0};
    if (!((const fr_my_sql_relation *)table)->from->transactional) {
        out->code = "trigger.engine";
        out->wrong =
            FR_STR("its engine has no transactions: what is rolled back in the change table "
                   "stays in the table; ALTER TABLE ... ENGINE=InnoDB");
        return FR_OK;
    }
    if (fr_my_query(c->my, a, "look at the triggers", fr_arena_cstr(a, sql), &rows, err) ==
        FR_FAIL) {
        if (err->native != NO_ROUTINE && err->native != NO_EXECUTE)
            return FR_FAIL;
        return no_function(table, out, a, err);
    }
    if (!read_answer(fr_arena_cstr(a, fr_my_text(&rows, 0, 0)), &out->shape, &cascades)) {
        out->code = "trigger.missing";
        out->wrong = FR_STR("its triggers are not there, or not all of them");
    }
    if (cascades > 0) {
        out->blind_code = "my.fk_cascade";
        out->blind = FR_STR("a foreign key of it changes or deletes its rows by itself (CASCADE, "
                            "SET NULL): no trigger fires for these, and they are missed");
    }
    return FR_OK;
}

/* ---- a view ---- */

fr_rc fr_my_begin_view(fr_sql *base, fr_sql_relation *const *relations, size_t count, fr_err *err)
{
    fr_my_sql *c = (fr_my_sql *)base;
    fr_err ignored;
    FR_TRY(fr_my_exec(c->my, "begin a view", FR_STR("BEGIN"), err));
    fr_rc rc = FR_OK;
    for (size_t i = 0; i < count && rc == FR_OK; i++)
        rc = fr_my_sql_same(c, (const fr_my_sql_relation *)relations[i], err);
    if (rc == FR_FAIL) {
        (void)fr_my_exec(c->my, "begin a view", FR_STR("ROLLBACK"), &ignored);
        return FR_FAIL;
    }
    c->views = true;
    return FR_OK;
}

void fr_my_end_view(fr_sql *base)
{
    fr_my_sql *c = (fr_my_sql *)base;
    fr_err ignored;
    if (c->views)
        (void)fr_my_exec(c->my, "end a view", FR_STR("COMMIT"), &ignored);
    c->views = false;
}
