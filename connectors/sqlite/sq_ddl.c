/* DDL of an outbox for SQLite. There are no roles: who may write the file may do all. */
#include "connect/ddl.h"
#include "connectors/sqlite/sq_query.h"

static void put_ident(fr_buf *b, fr_str name)
{
    fr_sqlite_sql.put_ident(b, name);
}

/* An INTEGER PRIMARY KEY is numbered by SQLite; a number beside another key is not, so that the
 * application gives it. */
static const fr_ddl_dialect dialect = {
    .put_ident = put_ident,
    .types = {[FR_DDL_NUMBER] = "INTEGER",
              [FR_DDL_ID] = "TEXT NOT NULL",
              [FR_DDL_TEXT] = "TEXT NOT NULL",
              [FR_DDL_PAYLOAD] = "BLOB",
              [FR_DDL_HEADER] = "TEXT",
              [FR_DDL_CREATED] = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"},
    .payload = "CAST('{\"id\": 42}' AS BLOB)",
};

static fr_rc check_number(const fr_ddl_outbox *o, fr_err *err)
{
    for (size_t i = 0; i < o->count; i++) {
        if (o->columns[i].role != FR_DDL_ID)
            continue;
        fr_fail(err, FR_ERR_CONFIG,
                "%s: SQLite numbers the primary key alone, so that outbox.id must be the number",
                o->settings->place != NULL ? o->settings->place : "configuration");
        fr_fail_code(err, "config.outbox");
        return fr_fail_hint(err, "remove poll.column; an id of your own may be a header "
                                 "(outbox.headers)");
    }
    return FR_OK;
}

fr_rc fr_sq_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    fr_buf insert = {.arena = a};
    fr_rc rc = check_number(o, err);
    if (rc == FR_OK) {
        fr_ddl_outbox_head(b, o);
        if (o->remove)
            fr_buf_printf(b, "DROP TABLE %.*s;\n", FR_ARG(fr_sq_qualified(a, o->space, o->name)));
    }
    if (rc == FR_OK && !o->remove) {
        fr_ddl_outbox_create(b, &dialect, o);
        fr_buf_text(b, ";\n\n-- An event, in the transaction that it is about. BLOB is any format "
                       "as it is.\n");
        fr_ddl_outbox_insert(&insert, &dialect, o);
        fr_buf_u8(&insert, ';');
        fr_ddl_comment(b, fr_buf_view(&insert));
    }
    fr_arena_free(a);
    return rc;
}
