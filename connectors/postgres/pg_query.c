#include "connectors/postgres/pg_query_parts.h"
#include "connectors/postgres/wal_split.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMESTAMP_OID = 1114, TIMESTAMPTZ_OID = 1184, SECOND_US = 1000000 };

typedef fr_pg_sql pg_sql;
typedef fr_pg_sql_relation pg_relation;

#define SQL(base) ((pg_sql *)(base))
#define RELATION(base) ((pg_relation *)(base))
#define CONST_RELATION(base) ((const pg_relation *)(base))

/* ---- connection ---- */

static void pg_sql_close(fr_sql *base)
{
    pg_sql *c = SQL(base);
    if (c == NULL)
        return;
    fr_pg_close(c->taking);
    fr_pg_close(c->viewing);
    if (c->pool != NULL)
        c->pool->base.ops->close(&c->pool->base);
    fr_pg_catalog_free(c->types);
    free(c);
}

static fr_rc pg_sql_open(const fr_source_settings *settings, fr_sql **out, fr_err *err)
{
    pg_sql *c = fr_malloc(sizeof(*c));
    PGconn *conn = NULL;
    c->base.ops = &fr_postgres_sql;
    c->pool = fr_wal_source_new(settings);
    /* Only connections of this name are passed over when open transactions are listed. */
    snprintf(c->pool->application, sizeof(c->pool->application), "freshet poll %s", settings->name);
    if (fr_wal_take_first(c->pool, &conn, err) == FR_FAIL) {
        pg_sql_close(&c->base);
        return FR_FAIL;
    }
    c->types = fr_wal_types_new(c->pool);
    c->pool->version = PQserverVersion(conn);
    fr_wal_give(c->pool, conn);
    *out = &c->base;
    return FR_OK;
}

fr_rc fr_pg_sql_ask(pg_sql *c, const char *doing, const char *sql, const char *const *params, int n,
                    PGresult **out, fr_err *err)
{
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(c->pool, &conn, err));
    fr_rc rc = fr_pg_query(conn, doing, sql, params, n, out, err);
    fr_wal_give(c->pool, conn);
    return rc;
}

static fr_rc pg_identity(fr_sql *base, fr_arena *a, fr_str *out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_sql_ask(SQL(base), "identify the system",
                         "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
                         " current_database()",
                         NULL, 0, &res, err));
    fr_buf b = {.arena = a};
    fr_buf_text(&b, "{\"poll\":1,\"system_identifier\":");
    fr_buf_json(&b, fr_pg_text(res, 0, 0));
    fr_buf_text(&b, ",\"db\":");
    fr_buf_json(&b, fr_pg_text(res, 0, 1));
    fr_buf_u8(&b, '}');
    PQclear(res);
    *out = fr_buf_view(&b);
    return FR_OK;
}

static fr_rc standby(fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG,
            "the server is a standby: transactions that are open on the primary are not seen here, "
            "and their rows would be missed");
    fr_fail_code(err, "query.replica");
    return fr_fail_hint(err, "give the primary's address in dsn");
}

static fr_rc pg_verify(fr_sql *base, const fr_source_settings *settings, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(
        fr_pg_sql_ask(SQL(base), "read the role's rights",
                      "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),"
                      " pg_catalog.quote_ident(current_user), pg_catalog.pg_is_in_recovery()",
                      NULL, 0, &res, err));
    fr_rc rc = FR_OK;
    if (fr_source_bounded(settings) && !fr_pg_bool(res, 0, 0)) {
        rc = fr_fail(err, FR_ERR_AUTH,
                     "role %s does not see which transactions are open, so that rows which are "
                     "committed late would be missed",
                     PQgetvalue(res, 0, 1));
        fr_fail_code(err, "query.bound");
        fr_fail_hint(err, "GRANT pg_read_all_stats TO %s;", PQgetvalue(res, 0, 1));
    } else if (fr_pg_bool(res, 0, 2)) {
        rc = standby(err);
    }
    PQclear(res);
    return rc;
}

static fr_rc pg_list(fr_sql *base, fr_arena *a, fr_sql_name **out, size_t *count_out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_sql_ask(SQL(base), "read the list of tables",
                         "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
                         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                         " WHERE c.relkind IN ('r','p','v','m','f') AND c.relpersistence <> 't'"
                         " AND NOT c.relispartition"
                         " AND n.nspname NOT IN ('pg_catalog','information_schema')"
                         " AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2",
                         NULL, 0, &res, err));
    size_t n = (size_t)PQntuples(res);
    fr_sql_name *names = fr_arena_alloc(a, (n + 1) * sizeof(*names));
    for (size_t i = 0; i < n; i++)
        names[i] = (fr_sql_name){fr_arena_str(a, fr_pg_text(res, (int)i, 0)),
                                 fr_arena_str(a, fr_pg_text(res, (int)i, 1))};
    PQclear(res);
    *out = names;
    *count_out = n;
    return FR_OK;
}

/* ---- what a relation is ---- */

#define SHAPE                                                                                      \
    "(SELECT pg_catalog.string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod || ' '"    \
    " || a.attnotnull, ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a"                      \
    " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped)"

static const char class_sql[] =
    "SELECT c.oid, c.relkind, pg_catalog.has_table_privilege(c.oid, 'SELECT'),"
    " pg_catalog.obj_description(c.oid, 'pg_class'), coalesce(" SHAPE ", ''),"
    " pg_catalog.quote_ident(current_user), pg_catalog.has_table_privilege(c.oid, 'DELETE')"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r','p','v','m','f')";

/* A sequence that the column owns, or that its default names, and that hands out numbers in
 * advance to each session. */
#define AHEAD                                                                                      \
    " (SELECT pg_catalog.format('%I.%I', n.nspname, s.relname) FROM pg_catalog.pg_sequence q"      \
    "  JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid"                                           \
    "  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace WHERE q.seqcache > 1"              \
    "  AND EXISTS (SELECT FROM pg_catalog.pg_depend p"                                             \
    "   WHERE (p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = s.oid"                    \
    "     AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = a.attrelid"          \
    "     AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i'))"                               \
    "   OR (p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid"                     \
    "     AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = s.oid)) LIMIT 1)"

static const char columns_sql[] =
    "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull,"
    " CASE WHEN a.attidentity = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,"
    " pg_catalog.col_description(a.attrelid, a.attnum),"
    " (SELECT k.place FROM pg_catalog.pg_index i,"
    "  LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)"
    "  WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum),"
    " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisvalid"
    "  AND i.indpred IS NULL AND i.indkey[0] = a.attnum),"
    " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisvalid"
    "  AND i.indpred IS NULL AND i.indkey[0] = a.attnum AND i.indisunique AND i.indnatts = "
    "1)," AHEAD ", d.adbin IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_trigger g"
    "  WHERE g.tgrelid = a.attrelid AND NOT g.tgisinternal AND g.tgtype & 3 = 3)"
    " FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d"
    "  ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

enum { NAME, TYPE, TYPMOD, NOT_NULL, FALLBACK, DOC, PRIMARY, INDEXED, UNIQUE, SEQUENCE, STAMPED };

/* What the server says of each column beside its type. */
typedef struct pg_facts {
    bool *indexed, *unique, *stamped;
    fr_str *ahead;
} pg_facts;

static fr_rc no_table(const fr_table_settings *t, fr_str space, fr_str name, fr_err *err)
{
    fr_fail(err, FR_ERR_CONFIG, "there is no table or view %.*s.%.*s", FR_ARG(space), FR_ARG(name));
    fr_fail_code(err, "pg.table");
    return fr_fail_hint(err, "correct its name in tables (%s), or set poll.query",
                        t->place != NULL ? t->place : "configuration");
}

static fr_rc read_class(pg_sql *c, const fr_table_settings *t, pg_relation *r, fr_pg_relation *p,
                        fr_err *err)
{
    char sql[sizeof(class_sql) + 20];
    const char *params[] = {fr_arena_cstr(r->arena, p->space), fr_arena_cstr(r->arena, p->name)};
    PGresult *res = NULL;
    snprintf(sql, sizeof(sql), class_sql, "c.oid");
    FR_TRY(fr_pg_sql_ask(c, "read the catalog", sql, params, 2, &res, err));
    fr_rc rc = PQntuples(res) == 1 ? FR_OK : no_table(t, p->space, p->name, err);
    if (rc == FR_OK && !fr_pg_bool(res, 0, 2)) {
        rc = fr_fail(err, FR_ERR_AUTH, "no right to read %.*s.%.*s", FR_ARG(p->space),
                     FR_ARG(p->name));
        fr_fail_code(err, "pg.table.select");
        fr_fail_hint(err, "GRANT USAGE ON SCHEMA \"%.*s\" TO %s; GRANT SELECT ON %.*s TO %s;",
                     FR_ARG(p->space), PQgetvalue(res, 0, 5), FR_ARG(r->qualified),
                     PQgetvalue(res, 0, 5));
    }
    if (rc == FR_OK) {
        p->oid = r->oid = (uint32_t)fr_pg_int(res, 0, 0, 0);
        r->kind = PQgetvalue(res, 0, 1)[0];
        p->doc = fr_arena_str(r->arena, fr_pg_text(res, 0, 3));
        r->shape = fr_arena_str(r->arena, fr_pg_text(res, 0, 4));
        if (!fr_pg_bool(res, 0, 6))
            r->no_delete = fr_arena_printf(r->arena, "GRANT DELETE ON %.*s TO %s;",
                                           FR_ARG(r->qualified), PQgetvalue(res, 0, 5));
    }
    PQclear(res);
    return rc;
}

/* A key that the configuration names for a view or statement, where nothing can be declared, is
 * taken at its word: a NULL in it is a bad row. */
static fr_rc read_columns(pg_sql *c, const fr_table_settings *t, pg_relation *r, fr_pg_relation *p,
                          pg_facts *facts, fr_err *err)
{
    char oid[16];
    const char *params[] = {oid};
    PGresult *res = NULL;
    snprintf(oid, sizeof(oid), "%" PRIu32, r->oid);
    FR_TRY(fr_pg_sql_ask(c, "read the columns", columns_sql, params, 1, &res, err));
    p->column_count = (size_t)PQntuples(res);
    p->columns = fr_arena_alloc(r->arena, (p->column_count + 1) * sizeof(*p->columns));
    facts->indexed = fr_arena_alloc(r->arena, p->column_count + 1);
    facts->unique = fr_arena_alloc(r->arena, p->column_count + 1);
    facts->stamped = fr_arena_alloc(r->arena, p->column_count + 1);
    facts->ahead = fr_arena_alloc(r->arena, (p->column_count + 1) * sizeof(fr_str));
    bool derived = r->kind == 'v' || r->kind == 'm';
    for (int i = 0; i < PQntuples(res); i++) {
        fr_pg_attr *attr = &p->columns[i];
        *attr = (fr_pg_attr){.name = fr_arena_str(r->arena, fr_pg_text(res, i, NAME)),
                             .type = (uint32_t)fr_pg_int(res, i, TYPE, 0),
                             .typmod = (int32_t)fr_pg_int(res, i, TYPMOD, -1),
                             .identity = true,
                             .plain = true,
                             .primary = (uint16_t)fr_pg_int(res, i, PRIMARY, 0),
                             .fallback = fr_arena_str(r->arena, fr_pg_text(res, i, FALLBACK)),
                             .doc = fr_arena_str(r->arena, fr_pg_text(res, i, DOC))};
        attr->nullable =
            !fr_pg_bool(res, i, NOT_NULL) && !(derived && fr_texts_have(&t->key, attr->name));
        attr->as_text = fr_wal_column_as_text(t, attr->name);
        facts->indexed[i] = fr_pg_bool(res, i, INDEXED);
        facts->unique[i] = fr_pg_bool(res, i, UNIQUE);
        facts->stamped[i] = derived || fr_pg_bool(res, i, STAMPED);
        facts->ahead[i] = fr_arena_str(r->arena, fr_pg_text(res, i, SEQUENCE));
    }
    PQclear(res);
    return FR_OK;
}

static fr_rc read_statement(pg_sql *c, const fr_table_settings *t, pg_relation *r,
                            fr_pg_relation *p, fr_err *err)
{
    PGresult *res = NULL;
    fr_str sql = fr_arena_printf(r->arena, "SELECT * FROM %.*s LIMIT 0", FR_ARG(r->qualified));
    if (fr_pg_sql_ask(c, "poll.query", fr_arena_cstr(r->arena, sql), NULL, 0, &res, err) ==
        FR_FAIL) {
        if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "42883") == 0)
            fr_fail_hint(err, "write names with their schema (public.t): search_path is empty");
        return FR_FAIL;
    }
    p->column_count = (size_t)PQnfields(res);
    p->columns = fr_arena_alloc(r->arena, (p->column_count + 1) * sizeof(*p->columns));
    for (int i = 0; i < PQnfields(res); i++) {
        fr_pg_attr *attr = &p->columns[i];
        *attr = (fr_pg_attr){.name = fr_arena_str(r->arena, fr_cstr(PQfname(res, i))),
                             .type = (uint32_t)PQftype(res, i),
                             .typmod = PQfmod(res, i),
                             .identity = true,
                             .plain = true,
                             .nullable = true};
        attr->nullable = !fr_texts_have(&t->key, attr->name);
        attr->as_text = fr_wal_column_as_text(t, attr->name);
    }
    PQclear(res);
    return FR_OK;
}

static int64_t unit_of(const fr_pg_attr *attr)
{
    int64_t unit = SECOND_US;
    if (attr->type != TIMESTAMP_OID && attr->type != TIMESTAMPTZ_OID)
        return unit; /* not a time, or a domain over one */
    for (int32_t digits = attr->typmod < 0 ? 6 : attr->typmod; digits > 0; digits--)
        unit /= 10;
    return unit;
}

static fr_rc make_layout(pg_sql *c, pg_relation *r, const fr_pg_relation *p, uint32_t version,
                         fr_err *err)
{
    fr_wal_table table = {.relation = *p};
    PGconn *conn = NULL;
    FR_TRY(fr_wal_take(c->pool, &conn, err));
    fr_rc rc = fr_wal_types_of(conn, &table, 1, c->types, err);
    fr_wal_give(c->pool, conn);
    if (rc == FR_OK)
        rc = fr_pg_layout_new(c->types, p, version, &r->layout, err);
    return rc;
}

static void pg_forget(fr_sql_relation *base)
{
    pg_relation *r = RELATION(base);
    if (r == NULL)
        return;
    fr_pg_layout_free(r->layout);
    fr_arena_free(r->arena);
    free(r);
}

/* The key that old rows have: the configured one, else the primary one. */
static void key_by_settings(const fr_table_settings *t, fr_pg_relation *p)
{
    for (size_t i = 0; i < p->column_count; i++) {
        fr_pg_attr *attr = &p->columns[i];
        if (t->key.count > 0)
            attr->primary = attr->nullable ? 0 : (uint16_t)(fr_texts_find(&t->key, attr->name) + 1);
        attr->identity = attr->primary != 0;
    }
}

static fr_rc read_relation(pg_sql *c, const fr_table_settings *t, pg_relation *r, fr_pg_relation *p,
                           uint32_t version, fr_err *err)
{
    pg_facts facts = {0};
    if (t->poll_query != NULL) {
        FR_TRY(read_statement(c, t, r, p, err));
        facts.indexed = fr_arena_alloc(r->arena, p->column_count + 1);
    } else {
        FR_TRY(read_class(c, t, r, p, err));
        FR_TRY(read_columns(c, t, r, p, &facts, err));
    }
    r->shown = (fr_pg_relation){.columns = p->columns, .column_count = p->column_count};
    if (p->identity == 'd')
        key_by_settings(t, p);
    FR_TRY(make_layout(c, r, p, version, err));
    int64_t *units = fr_arena_alloc(r->arena, (p->column_count + 1) * sizeof(*units));
    for (size_t i = 0; i < p->column_count; i++)
        units[i] = unit_of(&p->columns[i]);
    r->base = (fr_sql_relation){.table = r->layout->table,
                                .statement = t->poll_query != NULL,
                                .unit_us = units,
                                .indexed = facts.indexed,
                                .plain_table = r->kind == 'r' || r->kind == 'p',
                                .unique = facts.unique,
                                .stamped = facts.stamped,
                                .ahead = facts.ahead,
                                .no_delete = r->no_delete};
    return t->method == FR_METHOD_TRIGGER ? fr_pg_triggers_copies(c, t, r, err) : FR_OK;
}

static fr_rc pg_describe(fr_sql *base, const fr_table_settings *t, fr_str space, fr_str name,
                         uint32_t version, fr_sql_relation **out, fr_err *err)
{
    pg_relation *r = fr_malloc(sizeof(*r));
    r->arena = fr_arena_new(0);
    r->qualified = t->poll_query != NULL
                       ? fr_arena_printf(r->arena, "(\n%s\n) freshet_poll", t->poll_query)
                       : fr_pg_qualified(r->arena, space, name);
    /* full: there is no old row, so nothing of a log's rules holds; but where deletes are found by
     * comparison there is, and it has the key alone. */
    fr_pg_relation p = {.space = fr_arena_str(r->arena, space),
                        .name = fr_arena_str(r->arena, name),
                        .identity = fr_table_key_before(t) ? 'd' : 'f',
                        .captured = true};
    if (read_relation(SQL(base), t, r, &p, version, err) == FR_FAIL) {
        pg_forget(&r->base);
        return FR_FAIL;
    }
    *out = &r->base;
    return FR_OK;
}

/* ---- who may still commit ---- */

/* Vacuum and walsenders write no rows; our own reads neither. A session whose track_activities is
 * off does not say when its transaction began, nor whether it has one: not before the session. What
 * is selected is computed after the join has read its rows: so the clock is read after the list,
 * and a transaction that is prepared meanwhile is in one list or the other. */
static const char state_sql[] =
    "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint,"
    " (extract(epoch FROM o.began) * 1000000)::bigint, o.who,"
    " (SELECT (extract(epoch FROM min(prepared)) * 1000000)::bigint"
    "  FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()),"
    " (extract(epoch FROM pg_catalog.statement_timestamp()) * 1000000)::bigint,"
    " pg_catalog.pg_is_in_recovery()"
    " FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT 'pid ' || pid || ' ('"
    "   || concat_ws(', ', nullif(application_name, ''), 'user ' || usename,"
    "    CASE WHEN state = 'disabled' THEN 'track_activities is off' END) || ')' AS who,"
    "   CASE WHEN state = 'disabled' THEN backend_start ELSE xact_start END AS began"
    "  FROM pg_catalog.pg_stat_activity WHERE datname = current_database()"
    "  AND (xact_start IS NOT NULL OR state = 'disabled')"
    "  AND pid <> pg_catalog.pg_backend_pid()"
    "  AND backend_type NOT IN ('autovacuum worker', 'autovacuum launcher', 'walsender')"
    "  AND application_name <> $1 ORDER BY began LIMIT 1) o ON true";

static fr_rc pg_state(fr_sql *base, fr_arena *a, fr_sql_state *out, fr_err *err)
{
    pg_sql *c = SQL(base);
    const char *params[] = {c->pool->application};
    PGresult *res = NULL;
    FR_TRY(fr_pg_sql_ask(c, "list open transactions", state_sql, params, 1, &res, err));
    *out = (fr_sql_state){.now_us = fr_pg_int(res, 0, 0, 0),
                          .oldest_us = fr_pg_int(res, 0, 1, INT64_MAX),
                          .oldest_who = fr_arena_str(a, fr_pg_text(res, 0, 2)),
                          .prepared_us = fr_pg_int(res, 0, 3, INT64_MAX)};
    out->listed_us = fr_pg_int(res, 0, 4, 0);
    fr_rc rc = fr_pg_bool(res, 0, 5) ? standby(err) : FR_OK; /* several hosts in dsn, a failover */
    /* Before 14 seconds are floating point, and may round up by one. */
    if (out->oldest_us != INT64_MAX)
        out->oldest_us--;
    PQclear(res);
    return rc;
}

static fr_rc pg_busy(fr_sql *base, fr_arena *a, fr_str *why_out, fr_err *err)
{
    return fr_wal_busy(&SQL(base)->pool->base, a, why_out, err);
}

/* ---- rows ---- */

static void put_quoted(fr_buf *b, char quote, fr_str text)
{
    fr_buf_u8(b, (uint8_t)quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            fr_buf_u8(b, (uint8_t)quote);
        fr_buf_u8(b, (uint8_t)text.ptr[i]);
    }
    fr_buf_u8(b, (uint8_t)quote);
}

fr_rc fr_pg_sql_changed(fr_err *err)
{
    fr_fail(err, FR_ERR_BUSY, "its columns have changed");
    return fr_fail_code(err, "sql.changed");
}

void fr_pg_sql_put_changed(fr_buf *b, const pg_relation *r)
{
    char shape[sizeof(SHAPE) + 20], oid[16];
    snprintf(oid, sizeof(oid), "%" PRIu32, r->oid);
    snprintf(shape, sizeof(shape), SHAPE, oid);
    fr_arena *a = fr_arena_new(0);
    fr_str literal = fr_pg_literal(a, r->shape, NULL);
    fr_buf_printf(b, "%s IS DISTINCT FROM %.*s", shape, FR_ARG(literal));
    fr_arena_free(a);
}

/* The lock keeps ALTER TABLE out between the look at the columns and the rows. Views can be locked
 * from 11 on; before, their columns can only be added to. */
static void put_look(fr_buf *b, const pg_sql *c, const pg_relation *r, bool takes)
{
    bool lockable =
        r->kind == 'r' || r->kind == 'p' || (r->kind == 'v' && c->pool->version >= 110000);
    if (lockable)
        fr_buf_printf(b, "LOCK TABLE %.*s IN %s MODE;", FR_ARG(r->qualified),
                      takes ? "ROW EXCLUSIVE" : "ACCESS SHARE");
    else
        fr_buf_text(b, "SELECT 1;");
    fr_buf_text(b, "SELECT ");
    fr_pg_sql_put_changed(b, r);
    fr_buf_u8(b, ';');
}

/* stays: what begins a transaction that is settled later, and where its connection goes. */
static fr_rc read_rows(pg_sql *c, fr_sql_relation *relation, fr_str sql, PGconn **stays,
                       fr_reader **out, fr_err *err)
{
    static const char *const steps[] = {"begin", "lock against ALTER TABLE", "look at the columns"};
    static const char *const statement_steps[] = {"begin", "poll.query"};
    pg_relation *r = RELATION(relation);
    fr_buf b = {0};
    fr_buf_text(&b, stays == NULL ? "BEGIN READ ONLY;"
                                  : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;");
    /* A statement's columns as read_statement has seen them. It locks what it reads against ALTER
     * TABLE until the transaction ends. */
    if (relation->statement)
        fr_buf_printf(&b, "SELECT * FROM %.*s LIMIT 0;", FR_ARG(r->qualified));
    else
        put_look(&b, c, r, stays != NULL);
    fr_buf_printf(&b, "COPY (%.*s) TO STDOUT (FORMAT %s)%s", FR_ARG(sql),
                  r->layout->binary_safe ? "binary" : "text", stays == NULL ? "; COMMIT" : "");
    fr_buf_u8(&b, '\0');
    fr_wal_way way = {.sql = (const char *)b.ptr,
                      .steps = relation->statement ? statement_steps : steps,
                      .view = -1,
                      .check = relation->statement ? 1 : 2,
                      .checked = fr_pg_sql_changed,
                      .shown = relation->statement ? &r->shown : NULL,
                      .copy = relation->statement ? 2 : 3,
                      .stays = stays};
    fr_rc rc = fr_wal_read_rows(c->pool, r->layout, &way, out, err);
    fr_buf_free(&b);
    /* undefined_column, undefined_table: dropped and made again. */
    if (rc == FR_FAIL && !relation->statement &&
        (strcmp(err->sqlstate, "42703") == 0 || strcmp(err->sqlstate, "42P01") == 0))
        fr_fail_code(err, "sql.changed");
    return rc;
}

static fr_rc pg_select(fr_sql *base, fr_sql_relation *relation, fr_str sql, fr_reader **out,
                       fr_err *err)
{
    if (SQL(base)->views)
        return fr_pg_view_rows(SQL(base), RELATION(relation), sql, out, err);
    return read_rows(SQL(base), relation, sql, NULL, out, err);
}

/* They are deleted at once: that needs no right to update, as a lock would. */
static fr_rc pg_take(fr_sql *base, fr_sql_relation *relation, size_t column, fr_str in,
                     fr_reader **out, fr_err *err)
{
    pg_sql *c = SQL(base);
    fr_buf b = {0};
    fr_buf_printf(&b, "DELETE FROM %.*s WHERE ", FR_ARG(RELATION(relation)->qualified));
    put_quoted(&b, '"', relation->table->columns[column].name);
    fr_buf_printf(&b, " IN %.*s RETURNING ", FR_ARG(in));
    for (size_t i = 0; i < relation->table->column_count; i++) {
        fr_buf_text(&b, i > 0 ? ", " : "");
        put_quoted(&b, '"', relation->table->columns[i].name);
    }
    fr_rc rc = read_rows(c, relation, fr_buf_view(&b), &c->taking, out, err);
    fr_buf_free(&b);
    return rc;
}

static fr_rc pg_settle(fr_sql *base, bool remove, fr_err *err)
{
    pg_sql *c = SQL(base);
    PGconn *conn = c->taking;
    if (conn == NULL)
        return remove ? fr_fail(err, FR_ERR_BUG, "nothing was taken") : FR_OK;
    c->taking = NULL;
    if (remove && PQtransactionStatus(conn) != PQTRANS_INTRANS) {
        fr_pg_close(conn);
        return fr_fail(err, FR_ERR_CONNECT, "delete what is published: its transaction is over");
    }
    fr_rc rc = fr_pg_exec(conn, "delete what is published", remove ? "COMMIT" : "ROLLBACK", err);
    fr_wal_give(c->pool, conn);
    return rc;
}

static fr_rc pg_scalar(fr_sql *base, fr_str sql, fr_arena *a, fr_str *out, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_sql_ask(SQL(base), "ask", fr_arena_cstr(a, sql), NULL, 0, &res, err));
    fr_rc rc = FR_OK;
    if (PQntuples(res) != 1 || PQnfields(res) != 1)
        rc = fr_fail(err, FR_ERR_BUG, "ask: %d rows, one was expected", PQntuples(res));
    else
        *out = PQgetisnull(res, 0, 0) ? (fr_str){NULL, 0} : fr_arena_str(a, fr_pg_text(res, 0, 0));
    PQclear(res);
    return rc;
}

/* ---- spelling ---- */

static void pg_put_ident(fr_buf *b, fr_str name)
{
    put_quoted(b, '"', name);
}

static void pg_put_column(fr_buf *b, const fr_sql_relation *r, size_t column)
{
    pg_put_ident(b, r->table->columns[column].name);
}

static void pg_put_from(fr_buf *b, const fr_sql_relation *r)
{
    fr_buf_str(b, CONST_RELATION(r)->qualified);
}

static bool pg_put_value(fr_buf *b, const fr_sql_relation *r, size_t column, fr_str text)
{
    bool bad = false;
    fr_arena *a = fr_arena_new(256);
    fr_str literal = fr_pg_literal(a, text, &bad);
    fr_buf_printf(b, "%.*s::%.*s", FR_ARG(literal), FR_ARG(r->table->columns[column].native_type));
    fr_arena_free(a);
    return !bad;
}

static fr_str pg_text(fr_arena *a, const fr_sql_relation *r, size_t column, const fr_value *v)
{
    return fr_wal_value_text(a, &r->table->columns[column], v);
}

static void pg_put_time(fr_buf *b, const fr_sql_relation *r, size_t column, int64_t us)
{
    const fr_column *c = &r->table->columns[column];
    fr_value v = {.kind = c->kind, .integer = us};
    fr_arena *a = fr_arena_new(256);
    fr_str text = fr_wal_value_text(a, c, &v);
    fr_buf_printf(b, "'%.*s'::%s", FR_ARG(text),
                  c->kind == FR_TIMESTAMP ? "timestamptz" : "timestamp");
    fr_arena_free(a);
}

const fr_sql_ops fr_postgres_sql = {
    .name = "postgres-query",
    .open = pg_sql_open,
    .close = pg_sql_close,
    .identity = pg_identity,
    .verify = pg_verify,
    .list = pg_list,
    .describe = pg_describe,
    .forget = pg_forget,
    .state_every_us = 50000,
    .state = pg_state,
    .busy = pg_busy,
    .select = pg_select,
    .take = pg_take,
    .settle = pg_settle,
    .scalar = pg_scalar,
    .put_ident = pg_put_ident,
    .put_column = pg_put_column,
    .put_from = pg_put_from,
    .put_value = pg_put_value,
    .text = pg_text,
    .put_time = pg_put_time,
    .put_outbox = fr_pg_put_outbox,
    .contracts = true,
    .begin_view = fr_pg_begin_view,
    .end_view = fr_pg_end_view,
    .triggers = fr_pg_triggers,
    .put_triggers = fr_pg_put_triggers,
};
