/* DDL of an outbox for PostgreSQL 10 and later. One transaction: it is made whole or not at all. */
#include "connect/ddl.h"
#include "connectors/postgres/pg_query.h"
#include "connectors/postgres/wal_source.h"

static void put_ident(fr_buf *b, fr_str name)
{
    fr_postgres_sql.put_ident(b, name);
}

/* bytea takes any format, byte for byte: jsonb would reorder and rewrite. An identity has a
 * sequence with CACHE 1, so that later rows have higher numbers. */
static const fr_ddl_dialect dialect_bytes = {
    .put_ident = put_ident,
    .types = {[FR_DDL_NUMBER] = "bigint GENERATED ALWAYS AS IDENTITY",
              [FR_DDL_ID] = "uuid",
              [FR_DDL_TEXT] = "text NOT NULL",
              [FR_DDL_PAYLOAD] = "bytea",
              [FR_DDL_HEADER] = "text",
              [FR_DDL_CREATED] = "timestamptz NOT NULL DEFAULT now()"},
    .payload = "convert_to('{\"id\": 42}', 'UTF8')",
};

/* json keeps the text as it was written; jsonb would not. */
static fr_ddl_dialect dialect_of(const fr_ddl_outbox *o)
{
    fr_ddl_dialect d = dialect_bytes;
    if (o->contract != NULL) {
        d.types[FR_DDL_PAYLOAD] = "json";
        d.payload = "'{...}'";
    }
    return d;
}

/* Dead rows of a queue are read over at every poll: a fifth of the table, the default, is never
 * reached by a table that is empty. */
const char fr_pg_ddl_queue[] = " WITH (\n"
                               "    autovacuum_vacuum_scale_factor = 0,\n"
                               "    autovacuum_vacuum_threshold = 1000,\n"
                               "    autovacuum_analyze_scale_factor = 0,\n"
                               "    autovacuum_analyze_threshold = 10000,\n"
                               "    toast.autovacuum_vacuum_scale_factor = 0,\n"
                               "    toast.autovacuum_vacuum_threshold = 1000\n)";

typedef struct maker {
    fr_buf *b;
    fr_arena *a;
    const fr_ddl_outbox *o;
    fr_str table, space, user; /* quoted; user empty: the dsn names none */
} maker;

static void comment(const maker *m, fr_str text)
{
    fr_ddl_comment(m->b, text);
}

/* For freshet's own role; a comment where the dsn does not tell who that is. */
static void put_for_freshet(const maker *m, fr_str what)
{
    fr_str user = m->user.len > 0 ? m->user : FR_STR("freshets_role");
    fr_str sql = fr_arena_printf(m->a, "%.*s %.*s;\n", FR_ARG(what), FR_ARG(user));
    if (m->user.len > 0)
        fr_buf_str(m->b, sql);
    else
        comment(m, sql);
}

static void put_grants(const maker *m)
{
    bool emptied = fr_ddl_outbox_emptied(m->o);
    fr_buf_text(m->b, m->user.len > 0 ? "\n" : "\n-- The dsn names no role: put in freshet's.\n");
    put_for_freshet(m, fr_arena_printf(m->a, "GRANT USAGE ON SCHEMA %.*s TO", FR_ARG(m->space)));
    put_for_freshet(m, fr_arena_printf(m->a, "GRANT SELECT%s ON %.*s TO", emptied ? ", DELETE" : "",
                                       FR_ARG(m->table)));
    fr_buf_text(m->b, "-- For the role that writes it (numbers need no right of their own):\n");
    comment(m,
            fr_arena_printf(m->a, "GRANT USAGE ON SCHEMA %.*s TO application;", FR_ARG(m->space)));
    comment(m, fr_arena_printf(m->a, "GRANT INSERT ON %.*s TO application;", FR_ARG(m->table)));
    if (m->o->settings->method == FR_METHOD_LOG)
        comment(m, fr_arena_printf(m->a, "GRANT SELECT, DELETE ON %.*s TO who_deletes_its_rows;",
                                   FR_ARG(m->table)));
}

static fr_rc put_publication(const maker *m, fr_err *err)
{
    const fr_wal_config *config = m->o->source->connector;
    char slot[FR_WAL_NAME_MAX], name[FR_WAL_NAME_MAX];
    if (m->o->settings->method != FR_METHOD_LOG)
        return FR_OK;
    FR_TRY(fr_wal_names(m->o->source, slot, name, err));
    fr_str sql = fr_arena_printf(m->a, "ALTER PUBLICATION %.*s ADD TABLE %.*s;\n",
                                 FR_ARG(fr_pg_ident(m->a, fr_cstr(name), NULL)), FR_ARG(m->table));
    if (config->publication != NULL && config->publication[0] != '\0') {
        fr_buf_text(m->b, "\n-- Leave this out if it is FOR ALL TABLES.\n");
        fr_buf_str(m->b, sql);
    } else {
        fr_buf_text(m->b, "\n-- If freshet's publication is there already (freshet plan says so, "
                          "and else how it is made):\n");
        comment(m, sql);
    }
    return FR_OK;
}

static fr_rc put_all(const maker *m, fr_err *err)
{
    fr_buf insert = {.arena = m->a};
    const fr_ddl_dialect dialect = dialect_of(m->o);
    if (m->o->contract != NULL)
        fr_pg_put_contract(m->b, m->a, m->o);
    fr_ddl_outbox_create(m->b, &dialect, m->o);
    fr_buf_printf(m->b, "%s;\n", fr_ddl_outbox_emptied(m->o) ? fr_pg_ddl_queue : "");
    if (m->o->contract != NULL)
        fr_pg_put_contract_trigger(m->b, m->a, m->o);
    put_grants(m);
    FR_TRY(put_publication(m, err));
    fr_buf_printf(m->b, "\nCOMMIT;\n\n-- An event, in the transaction that it is about. %s\n",
                  m->o->contract != NULL
                      ? "json keeps the text as it is written; jsonb would rewrite it."
                      : "bytea is any format as it is; jsonb would rewrite it.");
    fr_ddl_outbox_insert(&insert, &dialect, m->o);
    fr_buf_u8(&insert, ';');
    comment(m, fr_buf_view(&insert));
    return FR_OK;
}

static void put_removal(const maker *m)
{
    fr_buf_text(m->b, "-- With the table go its rights, its sequence and its place in the "
                      "publication.\n");
    fr_buf_printf(m->b, "DROP TABLE %.*s;\n", FR_ARG(m->table));
    fr_str function = fr_arena_printf(m->a, "DROP FUNCTION %.*s();\n",
                                      FR_ARG(fr_pg_contract_function(m->a, m->o)));
    if (m->o->contract != NULL) {
        fr_buf_str(m->b, function);
    } else {
        fr_buf_text(m->b, "-- If it was made with --contract:\n");
        comment(m, function);
    }
    fr_buf_u8(m->b, '\n');
    fr_buf_text(m->b, "-- If freshet reads nothing else of this schema:\n");
    fr_str user = m->user.len > 0 ? m->user : FR_STR("freshets_role");
    comment(m, fr_arena_printf(m->a, "REVOKE USAGE ON SCHEMA %.*s FROM %.*s;", FR_ARG(m->space),
                               FR_ARG(user)));
    fr_buf_text(m->b, "\nCOMMIT;\n");
}

fr_rc fr_pg_ddl_length(const fr_table_settings *t, fr_str name, fr_err *err)
{
    enum { LONGEST = 63 };
    if (name.len <= LONGEST)
        return FR_OK;
    fr_fail(err, FR_ERR_CONFIG, "%s: %.*s is longer than %d bytes, which is what names have here",
            t->place != NULL ? t->place : "configuration", FR_ARG(name), LONGEST);
    fr_fail_code(err, "config.outbox");
    return fr_fail_hint(err, "choose a shorter name");
}

static fr_rc check_lengths(const fr_ddl_outbox *o, fr_err *err)
{
    FR_TRY(fr_pg_ddl_length(o->settings, o->space, err));
    FR_TRY(fr_pg_ddl_length(o->settings, o->name, err));
    for (size_t i = 0; i < o->count; i++)
        FR_TRY(fr_pg_ddl_length(o->settings, o->columns[i].name, err));
    return FR_OK;
}

fr_rc fr_pg_put_outbox(fr_buf *b, const fr_ddl_outbox *o, fr_err *err)
{
    const fr_wal_config *config = o->source->connector;
    FR_TRY(check_lengths(o, err));
    fr_arena *a = fr_arena_new(0);
    fr_str user = fr_pg_dsn_user(a, config->dsn);
    maker m = {.b = b,
               .a = a,
               .o = o,
               .table = fr_pg_qualified(a, o->space, o->name),
               .space = fr_pg_ident(a, o->space, NULL),
               .user = user.len == 0 ? user : fr_pg_ident(a, user, NULL)};
    fr_rc rc = FR_OK;
    fr_ddl_outbox_head(b, o);
    fr_buf_text(b, "SET client_encoding = 'UTF8';\nBEGIN;\n\n");
    if (o->remove)
        put_removal(&m);
    else
        rc = put_all(&m, err);
    fr_arena_free(a);
    return rc;
}
