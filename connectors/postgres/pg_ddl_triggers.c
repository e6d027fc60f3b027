/* DDL of capture by triggers for PostgreSQL 10 and later. One transaction, under a lock that keeps
 * writers out: no change falls between two sets of triggers. */
#include "connect/ddl.h"
#include "connectors/postgres/pg_query_parts.h"
#include <inttypes.h>
#include <string.h>

/* PostgreSQL fires triggers in the order of their names, and ours must be the first: another one
 * that changes the same row is recorded before ours else. */
#define ROWS "\"!freshet_changes\""
#define TRUNCATE "\"!freshet_truncate\""

typedef struct maker {
    fr_buf *b;
    fr_arena *a;
    const fr_ddl_triggers *o;
    fr_str table, log, function, space, user; /* quoted; user empty: the dsn names none */
} maker;

static fr_str quoted(const maker *m, fr_str name)
{
    return fr_pg_ident(m->a, name, NULL);
}

/* ---- the change table ---- */

static void put_new_log(const maker *m)
{
    fr_buf_printf(m->b, "CREATE TABLE %.*s (\n", FR_ARG(m->log));
    fr_buf_text(m->b, "    " FR_TRIGGERS_ID " bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
                      "    " FR_TRIGGERS_OP " text NOT NULL,\n"
                      "    " FR_TRIGGERS_AT " timestamptz NOT NULL,\n"
                      "    " FR_TRIGGERS_SHAPE " integer NOT NULL");
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        fr_str before = quoted(m, c->before), after = quoted(m, c->after);
        fr_buf_printf(m->b, ",\n    %.*s %.*s, %.*s %.*s", FR_ARG(before), FR_ARG(c->type),
                      FR_ARG(after), FR_ARG(c->type));
    }
    fr_buf_printf(m->b, "\n)%s;\n", fr_pg_ddl_queue);
}

static void alter(const maker *m, const fr_triggers_column *c, fr_str name)
{
    fr_str column = quoted(m, name);
    if (c->news == FR_TRIGGERS_ADDED)
        fr_buf_printf(m->b, "ALTER TABLE %.*s ADD COLUMN IF NOT EXISTS %.*s %.*s;\n",
                      FR_ARG(m->log), FR_ARG(column), FR_ARG(c->type));
    if (c->news == FR_TRIGGERS_RETYPED)
        fr_buf_printf(m->b, "ALTER TABLE %.*s ALTER COLUMN %.*s TYPE %.*s USING %.*s::%.*s;\n",
                      FR_ARG(m->log), FR_ARG(column), FR_ARG(c->type), FR_ARG(column),
                      FR_ARG(c->type));
}

static void put_old_log(const maker *m)
{
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        fr_str after = quoted(m, c->after);
        if (c->news == FR_TRIGGERS_SAME)
            continue;
        if (c->news != FR_TRIGGERS_GONE) {
            alter(m, c, c->before);
            alter(m, c, c->after);
        }
        fr_buf_printf(m->b, "COMMENT ON COLUMN %.*s.%.*s IS '%s %" PRId64 "';\n", FR_ARG(m->log),
                      FR_ARG(after), c->news == FR_TRIGGERS_GONE ? "until" : "since",
                      c->news == FR_TRIGGERS_GONE ? m->o->shape - 1 : c->since);
    }
}

/* ---- the triggers ---- */

static void put_columns(const maker *m, bool before, bool after)
{
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        if (c->news == FR_TRIGGERS_GONE)
            continue;
        fr_str old = quoted(m, c->before), new = quoted(m, c->after);
        if (before)
            fr_buf_printf(m->b, ", %.*s", FR_ARG(old));
        if (after)
            fr_buf_printf(m->b, ", %.*s", FR_ARG(new));
    }
}

static void put_values(const maker *m, bool before, bool after)
{
    for (size_t i = 0; i < m->o->count; i++) {
        const fr_triggers_column *c = &m->o->columns[i];
        if (c->news == FR_TRIGGERS_GONE)
            continue;
        fr_str name = quoted(m, c->name);
        if (before)
            fr_buf_printf(m->b, ", OLD.%.*s", FR_ARG(name));
        if (after)
            fr_buf_printf(m->b, ", NEW.%.*s", FR_ARG(name));
    }
}

static void put_insert(const maker *m, char op, bool before, bool after)
{
    fr_buf_printf(m->b,
                  "        INSERT INTO %.*s (" FR_TRIGGERS_OP ", " FR_TRIGGERS_AT
                  ", " FR_TRIGGERS_SHAPE,
                  FR_ARG(m->log));
    put_columns(m, before, after);
    fr_buf_printf(m->b, ")\n        VALUES ('%c', pg_catalog.clock_timestamp(), %" PRId64, op,
                  m->o->shape);
    put_values(m, before, after);
    fr_buf_text(m->b, ");\n");
}

/* Of dollar quotes the first that is not in any name. */
static fr_str dollars(const maker *m)
{
    for (int n = 0;; n++) {
        fr_str tag = fr_arena_printf(m->a, "$freshet%d$", n);
        bool used = memmem(m->log.ptr, m->log.len, tag.ptr, tag.len) != NULL;
        for (size_t i = 0; i < m->o->count; i++)
            used = used ||
                   memmem(m->o->columns[i].name.ptr, m->o->columns[i].name.len, tag.ptr, tag.len) !=
                       NULL ||
                   (m->o->columns[i].before.len > 0 &&
                    memmem(m->o->columns[i].before.ptr, m->o->columns[i].before.len, tag.ptr,
                           tag.len) != NULL);
        if (!used)
            return tag;
    }
}

/* At first never instead of another one: that would stay its owner's, who could change it, and it
 * is given each row. */
static void put_function(const maker *m)
{
    fr_str tag = dollars(m);
    fr_buf_printf(m->b,
                  "CREATE%s FUNCTION %.*s() RETURNS trigger LANGUAGE plpgsql\n"
                  "SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %.*s\nBEGIN\n"
                  "    IF TG_OP = 'UPDATE' THEN\n",
                  m->o->again ? " OR REPLACE" : "", FR_ARG(m->function), FR_ARG(tag));
    put_insert(m, 'u', true, true);
    fr_buf_text(m->b, "    ELSIF TG_OP = 'INSERT' THEN\n");
    put_insert(m, 'i', false, true);
    fr_buf_text(m->b, "    ELSIF TG_OP = 'DELETE' THEN\n");
    put_insert(m, 'd', true, false);
    fr_buf_text(m->b, "    ELSE\n");
    put_insert(m, 't', false, false);
    fr_buf_printf(m->b, "    END IF;\n    RETURN NULL;\nEND\n-- freshet shape %" PRId64 "\n%.*s;\n",
                  m->o->shape, FR_ARG(tag));
    fr_buf_printf(m->b, "REVOKE ALL ON FUNCTION %.*s() FROM PUBLIC;\n\n", FR_ARG(m->function));
}

static void put_triggers(const maker *m)
{
    static const char *const names[] = {ROWS, TRUNCATE};
    static const char *const when[] = {"INSERT OR UPDATE OR DELETE", "TRUNCATE"};
    static const char *const each[] = {"ROW", "STATEMENT"};
    fr_buf_text(m->b,
                "-- The first in the order of names, so that what other triggers change comes "
                "after it. ALWAYS: also what a\n-- subscription applies is a change.\n");
    for (int i = 0; i < 2; i++) {
        if (m->o->again)
            fr_buf_printf(m->b, "DROP TRIGGER IF EXISTS %s ON %.*s;\n", names[i], FR_ARG(m->table));
        fr_buf_printf(m->b,
                      "CREATE TRIGGER %s AFTER %s ON %.*s\n    FOR EACH %s EXECUTE PROCEDURE "
                      "%.*s();\nALTER TABLE %.*s ENABLE ALWAYS TRIGGER %s;\n",
                      names[i], when[i], FR_ARG(m->table), each[i], FR_ARG(m->function),
                      FR_ARG(m->table), names[i]);
    }
}

/* ---- rights, and all of it ---- */

static void put_grants(const maker *m)
{
    fr_str user = m->user.len > 0 ? m->user : FR_STR("freshets_role");
    fr_str grants = fr_arena_printf(m->a,
                                    "GRANT USAGE ON SCHEMA %.*s TO %.*s;\n"
                                    "GRANT SELECT ON %.*s TO %.*s;\n"
                                    "GRANT SELECT, DELETE ON %.*s TO %.*s;\n",
                                    FR_ARG(m->space), FR_ARG(user), FR_ARG(m->table), FR_ARG(user),
                                    FR_ARG(m->log), FR_ARG(user));
    fr_buf_text(m->b, "\n-- Whoever writes the table needs no right on the change table: the "
                      "function has those of its owner, who is\n-- whoever runs this.\n");
    if (m->user.len > 0) {
        fr_buf_str(m->b, grants);
        return;
    }
    fr_buf_text(m->b, "-- The dsn names no role: put in freshet's.\n");
    fr_ddl_comment(m->b, grants);
}

static void put_all(const maker *m)
{
    fr_str label = fr_pg_literal(m->a, m->o->label, NULL);
    fr_buf_printf(m->b,
                  "-- Writers wait until this transaction ends.\n"
                  "LOCK TABLE %.*s IN SHARE ROW EXCLUSIVE MODE;\n\n",
                  FR_ARG(m->table));
    if (m->o->again)
        put_old_log(m);
    else
        put_new_log(m);
    fr_buf_printf(m->b, "COMMENT ON TABLE %.*s IS %.*s;\n\n", FR_ARG(m->log), FR_ARG(label));
    put_function(m);
    put_triggers(m);
    put_grants(m);
    fr_buf_text(m->b, "\nCOMMIT;\n");
}

static void put_removal(const maker *m)
{
    fr_buf_printf(m->b, "DROP TRIGGER IF EXISTS " ROWS " ON %.*s;\n", FR_ARG(m->table));
    fr_buf_printf(m->b, "DROP TRIGGER IF EXISTS " TRUNCATE " ON %.*s;\n", FR_ARG(m->table));
    fr_buf_printf(m->b, "DROP FUNCTION IF EXISTS %.*s();\n", FR_ARG(m->function));
    fr_buf_printf(m->b, "-- With it go its rights and its sequence.\nDROP TABLE %.*s;\n\n",
                  FR_ARG(m->log));
    fr_str user = m->user.len > 0 ? m->user : FR_STR("freshets_role");
    fr_buf_text(m->b, "-- If freshet reads the table in no other way:\n");
    fr_ddl_comment(m->b, fr_arena_printf(m->a, "REVOKE SELECT ON %.*s FROM %.*s;", FR_ARG(m->table),
                                         FR_ARG(user)));
    fr_buf_text(m->b, "\nCOMMIT;\n");
}

fr_rc fr_pg_put_triggers(fr_sql *c, fr_buf *b, const fr_ddl_triggers *o, fr_err *err)
{
    const fr_wal_config *config = o->source->connector;
    (void)c;
    FR_TRY(fr_pg_ddl_length(o->settings, o->space, err));
    FR_TRY(fr_pg_ddl_length(o->settings, o->name, err));
    fr_arena *a = fr_arena_new(0);
    fr_str user = fr_pg_dsn_user(a, config->dsn);
    fr_str log = fr_pg_qualified(a, o->space, o->log);
    maker m = {.b = b,
               .a = a,
               .o = o,
               .table = fr_pg_qualified(a, o->space, o->name),
               .log = log,
               .function = log,
               .space = fr_pg_ident(a, o->space, NULL),
               .user = user.len == 0 ? user : fr_pg_ident(a, user, NULL)};
    fr_ddl_triggers_head(b, o);
    fr_buf_text(b, "SET client_encoding = 'UTF8';\nBEGIN;\n\n");
    if (o->remove)
        put_removal(&m);
    else
        put_all(&m);
    fr_arena_free(a);
    return FR_OK;
}
