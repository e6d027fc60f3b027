/* What makes PostgreSQL 10 and later refuse a payload that does not fit its contract. It looks at
 * json, not at jsonb: numbers stay as they are written, and names that are there twice are seen. */
#include "connect/ddl.h"
#include "connect/ddl_triggers.h"
#include "connectors/postgres/pg_conn.h"
#include "connectors/postgres/pg_query.h"
#include <string.h>

static const fr_contract_dialect dialect = {
    .begin = "<<b$l>>\nBEGIN\n",
    .end = "END b$l;\n",
    .leave = "EXIT b$l; ",
    .set_bad = "bad := CONCAT(",
    .clear_bad = "bad := NULL;\n",
    .types = {[FR_CONTRACT_NULL] = "'null'",
              [FR_CONTRACT_BOOLEAN] = "'boolean'",
              [FR_CONTRACT_WHOLE] = "'number'",
              [FR_CONTRACT_REAL] = "'number'",
              [FR_CONTRACT_TEXT] = "'string'",
              [FR_CONTRACT_RECORD] = "'object'",
              [FR_CONTRACT_ARRAY] = "'array'",
              [FR_CONTRACT_MAP] = "'object'"},
    .type = "json_typeof(v$d)",
    .text = "(v$d #>> '{}')",
    .whole = "(v$d #>> '{}')::numeric",
    .real = "(v$d #>> '{}')::numeric",
    .unlike = " !~ '^(?:",
    .unlike_end = ")$'",
    .member = "v$d := v$p -> '",
    .member_end = "';",
    .others = "(SELECT count(*) <> count(DISTINCT k) OR bool_or(k <> ALL (ARRAY[",
    .others_name = "'",
    .others_name_end = "'",
    .others_between = ", ",
    .others_end = "]::text[])) FROM json_object_keys(v$d) k)",
    .twice = "IF (SELECT count(*) <> count(DISTINCT k) FROM json_object_keys(v$d) k) THEN ",
    .items = "FOR v$d, i$d IN SELECT e.value, e.ordinality - 1 FROM json_array_elements(v$p) WITH "
             "ORDINALITY e LOOP\n",
    .items_end = "END LOOP;\n",
    .values = "FOR v$d IN SELECT e.value FROM json_each(v$p) e LOOP\n",
    .values_end = "END LOOP;\n",
};

/* What some databases or readers take otherwise than others; s is without escaped backslashes. */
static const char text_checks[] =
    "IF strpos(v0::text, '\\') > 0 THEN\n"
    "    s := replace(v0::text, '\\\\', '');\n"
    "    IF s ~ '\\\\u0000' THEN\n"
    "        bad := 'it has \\u0000';\n"
    "    ELSIF s ~ '\\\\u00(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])' THEN\n"
    "        bad := 'it has a letter, a digit or _ as \\u00...';\n"
    "    ELSIF regexp_replace(s, "
    "'\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}', '', 'g')\n"
    "        ~ '\\\\u[dD][89a-fA-F]' THEN\n"
    "        bad := 'it has half of a surrogate pair';\n"
    "    END IF;\n"
    "END IF;\n";

static fr_str trigger_name(fr_arena *a, const fr_ddl_outbox *o)
{
    return fr_triggers_name(a, "freshet_contract_", o->name);
}

fr_str fr_pg_contract_function(fr_arena *a, const fr_ddl_outbox *o)
{
    return fr_pg_qualified(a, o->space, trigger_name(a, o));
}

static fr_str payload(const fr_ddl_outbox *o)
{
    return fr_cstr(o->settings->outbox.payload);
}

/* What the body is quoted with: the column's name, which may be anything, is in it. */
static fr_str quote(fr_arena *a, fr_str column)
{
    const char *name = fr_arena_cstr(a, column);
    fr_str tag = FR_STR("$freshet$");
    for (unsigned i = 0; strstr(name, fr_arena_cstr(a, tag)) != NULL; i++)
        tag = fr_arena_printf(a, "$freshet%u$", i);
    return tag;
}

void fr_pg_put_contract(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o)
{
    fr_str column = fr_pg_ident(a, payload(o), NULL), function = fr_pg_contract_function(a, o);
    fr_str tag = quote(a, column), said = fr_pg_literal(a, payload(o), NULL);
    fr_buf_text(b,
                "-- Refuses a payload that does not fit the contract; NULL, a tombstone, does.\n");
    fr_buf_printf(b,
                  "CREATE FUNCTION %.*s() RETURNS trigger LANGUAGE plpgsql\n"
                  "SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on\n"
                  "AS %.*s\nDECLARE\nbad text;\ns text;\n",
                  FR_ARG(function), FR_ARG(tag));
    for (unsigned i = 0; i < fr_contract_depth(o->contract); i++)
        fr_buf_printf(b, "v%u json;\ni%u bigint;\n", i, i);
    fr_buf_printf(b,
                  "BEGIN\nv0 := NEW.%.*s;\nIF v0 IS NULL THEN\nRETURN NEW;\nEND IF;\n%s"
                  "IF bad IS NULL THEN\n",
                  FR_ARG(column), text_checks);
    fr_contract_put(b, &dialect, o->contract);
    fr_buf_printf(
        b,
        "END IF;\nIF bad IS NOT NULL THEN\n"
        "RAISE EXCEPTION USING MESSAGE = '" FR_DDL_MISFIT "' || bad,\n"
        "    ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,\n"
        "    COLUMN = %.*s, CONSTRAINT = TG_NAME;\n"
        "END IF;\nRETURN NEW;\nEND\n%.*s;\n\n",
        FR_ARG(said), FR_ARG(tag));
}

void fr_pg_put_contract_trigger(fr_buf *b, fr_arena *a, const fr_ddl_outbox *o)
{
    fr_str trigger = fr_pg_ident(a, trigger_name(a, o), NULL);
    fr_str table = fr_pg_qualified(a, o->space, o->name), function = fr_pg_contract_function(a, o);
    fr_buf_printf(b,
                  "CREATE TRIGGER %.*s BEFORE INSERT OR UPDATE ON %.*s\n"
                  "    FOR EACH ROW EXECUTE PROCEDURE %.*s();\n",
                  FR_ARG(trigger), FR_ARG(table), FR_ARG(function));
}
