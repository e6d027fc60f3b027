/* DDL of an outbox for MySQL and MariaDB from 5.5 on. Each statement stands for itself there: a
 * client ends at the first that fails. */
#include "connect/ddl.h"
#include "connectors/mysql/binlog_source.h"
#include "connectors/mysql/my_dsn.h"
#include "connectors/mysql/my_query.h"

static void put_ident(fr_buf *b, fr_str name)
{
    fr_mysql_sql.put_ident(b, name);
}

/* LONGBLOB takes any format, byte for byte: JSON would be rewritten on MySQL, and is text on
 * MariaDB. TIMESTAMP is what 5.5 can set by itself. */
static const fr_ddl_dialect dialect_bytes = {
    .put_ident = put_ident,
    .types = {[FR_DDL_NUMBER] = "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT",
              [FR_DDL_ID] = "CHAR(36) CHARACTER SET ascii NOT NULL",
              [FR_DDL_TEXT] = "VARCHAR(255) NOT NULL",
              [FR_DDL_PAYLOAD] = "LONGBLOB NULL",
              [FR_DDL_HEADER] = "TEXT NULL",
              [FR_DDL_CREATED] = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"},
    .payload = "'{\"id\": 42}'",
};

/* Text is kept as it was written; JSON would not be on MySQL. */
static fr_ddl_dialect dialect_of(const fr_ddl_outbox *o)
{
    fr_ddl_dialect d = dialect_bytes;
    if (o->contract != NULL) {
        d.types[FR_DDL_PAYLOAD] = "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL";
        d.payload = "'{...}'";
    }
    return d;
}

/* A GRANT to an account that is not there makes one without a password on old servers. */
const char fr_my_ddl_no_new_accounts[] =
    "-- Where a GRANT could make an account (before MySQL 8.0), it must not:\n"
    "SET SESSION sql_mode = IF(@@version LIKE '%MariaDB%' OR @@version + 0 < 8,\n"
    "    CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'NO_AUTO_CREATE_USER'), @@sql_mode);\n";

typedef struct maker {
    fr_buf *b;
    fr_arena *a;
    const fr_ddl_outbox *o;
    fr_str table, account; /* quoted; account empty: the dsn names none */
} maker;

static void put_right(const maker *m, const char *verb, const char *to)
{
    const char *rights = fr_ddl_outbox_emptied(m->o) ? "SELECT, DELETE" : "SELECT";
    bool known = m->account.len > 0;
    fr_str who = known ? m->account : FR_STR("'freshet'@'%'");
    fr_str sql = fr_arena_printf(m->a, "%s %s ON %.*s %s %.*s;\n", verb, rights, FR_ARG(m->table),
                                 to, FR_ARG(who));
    fr_buf_text(m->b, known ? "-- The dsn tells no more of the account than its name: correct the "
                              "host if it is another.\n"
                            : "-- The dsn names no user: put in freshet's account.\n");
    if (known)
        fr_buf_str(m->b, sql);
    else
        fr_ddl_comment(m->b, sql);
}

static void put_application(const maker *m, const char *verb, const char *to)
{
    bool log = m->o->settings->method == FR_METHOD_LOG;
    fr_buf_printf(m->b, "-- For the account that writes it%s:\n",
                  m->o->remove ? ", before the table is dropped (rights outlive it)" : "");
    fr_ddl_comment(m->b, fr_arena_printf(m->a, "%s INSERT ON %.*s %s 'application'@'%%';", verb,
                                         FR_ARG(m->table), to));
    if (log)
        fr_ddl_comment(m->b,
                       fr_arena_printf(m->a, "%s SELECT, DELETE ON %.*s %s 'who_deletes'@'%%';",
                                       verb, FR_ARG(m->table), to));
}

static void put_all(const maker *m)
{
    fr_buf insert = {.arena = m->a};
    const fr_ddl_dialect dialect = dialect_of(m->o);
    if (m->o->contract != NULL)
        fr_my_put_contract(m->b, m->a, m->o);
    fr_ddl_outbox_create(m->b, &dialect, m->o);
    fr_buf_text(m->b, " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;\n");
    fr_buf_text(m->b, "-- MySQL before 8.0 and MariaDB before 10.2.4 begin to count anew when an "
                      "empty table's server is restarted:\n"
                      "-- ids come again there. Consumers must not take them for unique.\n\n");
    if (m->o->contract != NULL)
        fr_my_put_contract_triggers(m->b, m->a, m->o);
    fr_buf_text(m->b, fr_my_ddl_no_new_accounts);
    put_right(m, "GRANT", "TO");
    put_application(m, "GRANT", "TO");
    fr_buf_printf(m->b,
                  "\n-- An event, in the transaction that it is about. %s is %s as it is; JSON "
                  "would be rewritten.\n",
                  m->o->contract != NULL ? "LONGTEXT" : "LONGBLOB",
                  m->o->contract != NULL ? "the text" : "any format");
    fr_ddl_outbox_insert(&insert, &dialect, m->o);
    fr_buf_u8(&insert, ';');
    fr_ddl_comment(m->b, fr_buf_view(&insert));
}

fr_str fr_my_ddl_account(fr_arena *a, const fr_source_settings *source)
{
    const fr_binlog_config *config = source->connector;
    fr_my_dsn dsn = {.user = NULL};
    fr_err unreadable;
    if (config->dsn == NULL || fr_my_dsn_parse(a, config->dsn, &dsn, &unreadable) == FR_FAIL ||
        dsn.user == NULL)
        return FR_STR("");
    return fr_arena_printf(a, "%.*s@'%%'", FR_ARG(fr_my_ident(a, fr_cstr(dsn.user))));
}

fr_rc fr_my_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err)
{
    fr_arena *a = fr_arena_new(0);
    (void)err;
    maker m = {.b = b,
               .a = a,
               .o = o,
               .table = fr_my_qualified(a, o->space, o->name),
               .account = fr_my_ddl_account(a, o->source)};
    fr_ddl_outbox_head(b, o);
    fr_buf_text(b, "SET NAMES utf8mb4;\n\n");
    if (o->remove) {
        put_right(&m, "REVOKE", "FROM");
        put_application(&m, "REVOKE", "FROM");
        fr_buf_printf(b, "\nDROP TABLE %.*s;\n", FR_ARG(m.table));
        fr_str procedure =
            fr_arena_printf(a, "DROP PROCEDURE %.*s;\n", FR_ARG(fr_my_contract_procedure(a, o)));
        if (o->contract == NULL) {
            fr_buf_text(b, "-- If it was made with --contract:\n");
            fr_ddl_comment(b, procedure);
        } else {
            fr_buf_str(b, procedure);
        }
    } else {
        put_all(&m);
    }
    fr_arena_free(a);
    return FR_OK;
}
