/* What a change table must be able to hold, and whether the triggers that fill it are there. */
#include "connectors/postgres/pg_query_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { VIRTUAL_VERSION = 180000, ROWS_IN_PARTITIONS_VERSION = 110000 };

/* ---- types ---- */

/* A domain may say NOT NULL, so the type under it. search_path is empty: names are whole. */
static const char copies_sql[] =
    "WITH RECURSIVE base(attnum, typ, mod) AS ("
    " SELECT attnum, atttypid, atttypmod FROM pg_catalog.pg_attribute"
    "  WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped"
    " UNION ALL SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b"
    "  JOIN pg_catalog.pg_type t ON t.oid = b.typ WHERE t.typtype = 'd')"
    " SELECT pg_catalog.format_type(b.typ, b.mod), %s FROM base b"
    " JOIN pg_catalog.pg_type t ON t.oid = b.typ"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum"
    " WHERE t.typtype <> 'd' ORDER BY b.attnum";

static fr_rc virtual_column(const fr_table_settings *t, fr_str name, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "column %.*s is VIRTUAL: PostgreSQL does not compute it for triggers (%s)",
            FR_ARG(name), t->place != NULL ? t->place : "configuration");
    fr_fail_code(err, "trigger.columns");
    return fr_fail_hint(err, "leave it out: columns.exclude, or make it STORED");
}

fr_rc fr_pg_triggers_copies(fr_pg_sql *c, const fr_table_settings *t, fr_pg_sql_relation *r,
                            fr_err *err)
{
    char oid[16], sql[sizeof(copies_sql) + 40];
    const char *params[] = {oid};
    const fr_table *table = r->base.table;
    PGresult *res = NULL;
    snprintf(oid, sizeof(oid), "%" PRIu32, r->oid);
    snprintf(sql, sizeof(sql), copies_sql,
             c->pool->version >= VIRTUAL_VERSION ? "a.attgenerated = 'v'" : "false");
    FR_TRY(fr_pg_sql_ask(c, "read the types", sql, params, 1, &res, err));
    fr_str *copies = fr_arena_alloc(r->arena, (table->column_count + 1) * sizeof(*copies));
    fr_rc rc = FR_OK;
    if ((size_t)PQntuples(res) != table->column_count)
        rc = fr_pg_sql_changed(err);
    for (size_t i = 0; i < table->column_count && rc == FR_OK; i++) {
        copies[i] = fr_arena_str(r->arena, fr_pg_text(res, (int)i, 0));
        if (fr_pg_bool(res, (int)i, 1) && fr_triggers_takes(t, table->columns[i].name))
            rc = virtual_column(t, table->columns[i].name, err);
    }
    PQclear(res);
    r->base.copies = copies;
    return rc;
}

/* ---- triggers ---- */

/* Bits of tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead. A table
 * in partitions has them on each partition that holds rows. */
static const char triggers_sql[] =
    "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION ALL SELECT i.inhrelid FROM tree"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid),"
    " ours AS (SELECT p.oid, p.prosrc FROM pg_catalog.pg_proc p"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    "  WHERE n.nspname = $2 AND p.proname = $3 AND p.pronargs = 0),"
    " holds AS (SELECT c.oid, c.relispartition FROM tree"
    "  JOIN pg_catalog.pg_class c ON c.oid = tree.oid WHERE c.relkind <> 'p'),"
    " fires AS (SELECT g.tgrelid, g.tgtype, g.tgenabled, g.tgname FROM pg_catalog.pg_trigger g"
    "  JOIN ours ON g.tgfoid = ours.oid JOIN tree ON tree.oid = g.tgrelid WHERE g.tgqual IS NULL)"
    " SELECT (SELECT pg_catalog.substring(prosrc, '-- freshet shape ([0-9]+)\\s*$') FROM ours),"
    " (SELECT count(*) FROM holds h WHERE NOT EXISTS (SELECT FROM fires f"
    "   WHERE f.tgrelid = h.oid AND f.tgtype & 127 = 29))"
    "  + (SELECT count(*) FROM tree t WHERE t.oid = $1 AND NOT EXISTS (SELECT FROM fires f"
    "   WHERE f.tgrelid = t.oid AND f.tgtype & 127 = 32)),"
    " (SELECT tgname FROM fires WHERE tgenabled IN ('D', 'R') LIMIT 1),"
    " (SELECT tgname FROM fires WHERE tgenabled = 'O' LIMIT 1),"
    " (SELECT pg_catalog.quote_ident(g.tgname) FROM pg_catalog.pg_trigger g"
    "  JOIN holds h ON h.oid = g.tgrelid"
    "  JOIN fires f ON f.tgrelid = g.tgrelid AND f.tgtype & 1 = 1"
    "  WHERE g.tgtype & 67 = 1 AND g.tgenabled <> 'D'"
    "  AND g.tgname::text COLLATE \"C\" < f.tgname::text COLLATE \"C\" LIMIT 1),"
    " (SELECT count(*) FROM holds WHERE oid <> $1 AND NOT relispartition)";

enum { SHAPE, MISSING, OFF, NOT_ALWAYS, BEFORE_OURS, CHILDREN };

static void wrong(fr_sql_triggers *out, const char *code, fr_str what)
{
    out->code = code;
    out->wrong = what;
}

static void judge(const PGresult *res, fr_arena *a, fr_sql_triggers *out)
{
    if (fr_pg_int(res, 0, CHILDREN, 0) > 0)
        wrong(out, "trigger.children",
              FR_STR("tables inherit from it, whose rows are its own for a SELECT and not for its "
                     "triggers: capture each of them, or make partitions of them"));
    else if (PQgetisnull(res, 0, SHAPE) || fr_pg_int(res, 0, MISSING, 1) > 0)
        wrong(out, "trigger.missing",
              FR_STR("its triggers are not there, or not all of them (on each partition)"));
    else if (!PQgetisnull(res, 0, OFF))
        wrong(out, "trigger.disabled",
              fr_arena_printf(a, "trigger %s is disabled: changes are lost",
                              PQgetvalue(res, 0, OFF)));
    else if (!PQgetisnull(res, 0, BEFORE_OURS))
        wrong(out, "trigger.order",
              fr_arena_printf(a,
                              "trigger %s fires before ours: where it changes the same table, its "
                              "change would be recorded before the one that it follows; rename it",
                              PQgetvalue(res, 0, BEFORE_OURS)));
    if (!PQgetisnull(res, 0, NOT_ALWAYS)) {
        out->blind_code = "trigger.replica";
        out->blind =
            FR_STR("its triggers do not fire for what a subscription applies, nor with "
                   "session_replication_role = replica (ENABLE ALWAYS TRIGGER makes them)");
    }
    out->shape = fr_pg_int(res, 0, SHAPE, 0);
}

fr_rc fr_pg_triggers(fr_sql *base, fr_arena *a, const fr_sql_relation *table, fr_sql_triggers *out,
                     fr_err *err)
{
    fr_pg_sql *c = (fr_pg_sql *)base;
    const fr_pg_sql_relation *r = (const fr_pg_sql_relation *)table;
    char oid[16];
    fr_str name = fr_triggers_name(a, FR_TRIGGERS_LOG, table->table->name);
    const char *params[] = {oid, fr_arena_cstr(a, table->table->space), fr_arena_cstr(a, name)};
    PGresult *res = NULL;
    snprintf(oid, sizeof(oid), "%" PRIu32, r->oid);
    *out = (fr_sql_triggers){0};
    if (r->kind == 'p' && c->pool->version < ROWS_IN_PARTITIONS_VERSION) {
        wrong(out, "trigger.partitions",
              FR_STR("before PostgreSQL 11 a table in partitions has no triggers for rows"));
        return FR_OK;
    }
    FR_TRY(fr_pg_sql_ask(c, "look at the triggers", triggers_sql, params, 3, &res, err));
    judge(res, a, out);
    PQclear(res);
    return FR_OK;
}
