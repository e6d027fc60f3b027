#include "connectors/postgres/wal_catalog.h"
#include "base/map.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Partitioned tables have no pages of their own: the sizes are those of their leaves. Where
 * no estimate was ever made (-1, 0) the statistics' count of live rows stands in. Nothing
 * here takes a lock on a table. */
static const char tables_sql[] =
    "WITH RECURSIVE tree(root, relid) AS ("
    " SELECT c.oid, c.oid FROM pg_catalog.pg_class c"
    "  WHERE c.relkind IN ('r','p','f','v','m') AND ($1::oid[] IS NULL OR c.oid = ANY ($1::oid[]))"
    " UNION ALL"
    " SELECT t.root, i.inhrelid FROM tree t"
    "  JOIN pg_catalog.pg_class p ON p.oid = t.relid AND p.relkind = 'p'"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = t.relid),"
    " sizes AS (SELECT t.root, sum(greatest(c.reltuples,"
    "   pg_catalog.pg_stat_get_live_tuples(c.oid), 0)) AS tuples,"
    "  sum(greatest(c.relpages, 0)) AS pages"
    "  FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.relid GROUP BY t.root)"
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident,"
    " c.relispartition, pg_catalog.row_security_active(c.oid),"
    " pg_catalog.has_table_privilege(c.oid, 'SELECT'), sizes.tuples::bigint, sizes.pages,"
    " pg_catalog.obj_description(c.oid, 'pg_class')"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN sizes ON sizes.root = c.oid"
    " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    " AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND n.nspname NOT LIKE 'pg\\_toast\\_temp\\_%'"
    " ORDER BY n.nspname, c.relname";

enum {
    T_OID,
    T_SPACE,
    T_NAME,
    T_KIND,
    T_PERSISTENCE,
    T_IDENTITY,
    T_PARTITION,
    T_SECURITY,
    T_SELECT,
    T_ROWS,
    T_PAGES,
    T_DOC
};

/* %s: attgenerated (from 12 on). */
static const char columns_sql[] =
    "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,"
    " a.attstorage = 'p' OR a.attlen <> -1,"
    " CASE WHEN a.attidentity = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,"
    " pg_catalog.col_description(a.attrelid, a.attnum),"
    " pg_catalog.format_type(a.atttypid, a.atttypmod), %s"
    " FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d"
    "  ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attrelid, a.attnum";

enum {
    C_TABLE,
    C_NUM,
    C_NAME,
    C_TYPE,
    C_TYPMOD,
    C_NOTNULL,
    C_PLAIN,
    C_DEFAULT,
    C_DOC,
    C_SPELLED,
    C_GENERATED
};

/* %s: indnkeyatts (from 11 on). */
static const char indexes_sql[] =
    "SELECT i.indrelid, i.indkey::text, i.%s, i.indisprimary, i.indisreplident"
    " FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1::oid[])"
    " AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL"
    " ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, i.indexrelid";

enum { I_TABLE, I_KEYS, I_COUNT, I_PRIMARY, I_IDENTITY };

/* ---- the publication ---- */

static fr_rc read_publication(PGconn *conn, int version, const char *name, fr_wal_publication *out,
                              fr_err *err)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT puballtables, pubinsert, pubupdate, pubdelete, %s, %s"
             " FROM pg_catalog.pg_publication WHERE pubname = $1",
             version >= 110000 ? "pubtruncate" : "false",
             version >= 130000 ? "pubviaroot" : "false");
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the publication", sql, &name, 1, &res, err));
    *out = (fr_wal_publication){.exists = PQntuples(res) == 1};
    if (out->exists) {
        out->all_tables = fr_pg_bool(res, 0, 0);
        out->insert = fr_pg_bool(res, 0, 1);
        out->update = fr_pg_bool(res, 0, 2);
        out->delete = fr_pg_bool(res, 0, 3);
        out->truncate = fr_pg_bool(res, 0, 4);
        out->via_root = fr_pg_bool(res, 0, 5);
    }
    PQclear(res);
    return FR_OK;
}

/* What the publication sends of each table, by "space.name" with a NUL between. */
typedef struct published {
    fr_str row_filter;
    fr_str columns; /* "\0name\0name\0"; empty: all */
} published;

static fr_str table_key(fr_arena *a, fr_str space, fr_str name)
{
    fr_buf b = {.arena = a};
    fr_buf_str(&b, space);
    fr_buf_u8(&b, '\0');
    fr_buf_str(&b, name);
    return fr_buf_view(&b);
}

/* one: that table only. A text array's elements arrive one per row, so that no array syntax is
 * parsed here. */
static fr_rc read_published(PGconn *conn, int version, const char *name, const fr_pg_relation *one,
                            fr_arena *a, fr_map *out, fr_err *err)
{
    const char *sql =
        version >= 150000
            ? "SELECT p.schemaname, p.tablename, p.rowfilter, c.name"
              " FROM pg_catalog.pg_publication_tables p"
              " LEFT JOIN LATERAL unnest(p.attnames) AS c(name) ON true WHERE p.pubname = $1"
              " AND ($2::text IS NULL OR (p.schemaname = $2 AND p.tablename = $3))"
            : "SELECT schemaname, tablename, NULL, NULL FROM pg_catalog.pg_publication_tables"
              " WHERE pubname = $1 AND ($2::text IS NULL OR (schemaname = $2 AND tablename = $3))";
    const char *params[3] = {name, NULL, NULL};
    if (one != NULL) {
        params[1] = fr_arena_cstr(a, one->space);
        params[2] = fr_arena_cstr(a, one->name);
    }
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the publication's tables", sql, params, 3, &res, err));
    for (int i = 0; i < PQntuples(res); i++) {
        fr_str key = table_key(a, fr_pg_text(res, i, 0), fr_pg_text(res, i, 1));
        published *p = fr_map_get(out, key);
        if (p == NULL) {
            p = fr_arena_alloc(a, sizeof(*p));
            p->row_filter = fr_arena_str(a, fr_pg_text(res, i, 2));
            fr_map_set(out, key, p);
        }
        if (PQgetisnull(res, i, 3))
            continue;
        fr_buf b = {.arena = a};
        fr_buf_str(&b, p->columns.len > 0 ? p->columns : (fr_str){"", 1});
        fr_buf_str(&b, fr_pg_text(res, i, 3));
        fr_buf_u8(&b, '\0');
        p->columns = fr_buf_view(&b);
    }
    PQclear(res);
    return FR_OK;
}

static bool column_published(const published *p, fr_str column)
{
    if (p == NULL || p->columns.len == 0)
        return true;
    for (size_t at = 1; at < p->columns.len;) {
        const char *name = p->columns.ptr + at;
        size_t len = strnlen(name, p->columns.len - at);
        if (fr_str_eq((fr_str){name, len}, column))
            return true;
        at += len + 1;
    }
    return false;
}

/* ---- tables ---- */

bool fr_wal_column_as_text(const fr_table_settings *t, fr_str column)
{
    for (size_t i = 0; t != NULL && i < t->column_types.count; i++)
        if (fr_str_is(column, t->column_types.items[i].name))
            return strcmp(t->column_types.items[i].value, "string") == 0;
    return false;
}

bool fr_wal_debezium(const fr_table_settings *t)
{
    return t != NULL && t->envelope == FR_ENVELOPE_DEBEZIUM;
}

/* True when pgoutput names changes after this table, given how partitions are named. */
static bool named_by_log(const fr_wal_table *t, const fr_wal_publication *p, bool in_publication)
{
    if (t->kind == 'p')
        return p->via_root && (in_publication || !t->partition);
    return t->kind == 'r' && (in_publication || !(t->partition && p->via_root));
}

const char *fr_wal_refusal(const fr_wal_table *t, const fr_wal_publication *p)
{
    if (t->persistence == 'u')
        return "is unlogged: its changes are in no log";
    if (t->persistence == 't')
        return "is temporary: its changes are in no log";
    if (t->kind == 'f')
        return "is a foreign table: its changes are in no log of this server";
    if (t->kind == 'v')
        return "is a view: the log has changes of tables only";
    if (t->kind == 'm')
        return "is a materialized view: the log has changes of tables only";
    if (t->kind == 'p' && !p->via_root)
        return "is partitioned, and the publication has publish_via_partition_root = false: its "
               "rows come under the names of its partitions";
    return "is a partition: with publish_via_partition_root its rows come under the name of the "
           "partitioned table";
}

static void table_of_row(const PGresult *res, int row, fr_arena *a, fr_wal_table *t)
{
    *t = (fr_wal_table){
        .relation = {.oid = (uint32_t)fr_pg_int(res, row, T_OID, 0),
                     .space = fr_arena_str(a, fr_pg_text(res, row, T_SPACE)),
                     .name = fr_arena_str(a, fr_pg_text(res, row, T_NAME)),
                     .identity = PQgetvalue(res, row, T_IDENTITY)[0],
                     .captured = true,
                     .doc = fr_arena_str(a, fr_pg_text(res, row, T_DOC))},
        .kind = PQgetvalue(res, row, T_KIND)[0],
        .persistence = PQgetvalue(res, row, T_PERSISTENCE)[0],
        .partition = fr_pg_bool(res, row, T_PARTITION),
        .row_security = fr_pg_bool(res, row, T_SECURITY),
        .may_select = fr_pg_bool(res, row, T_SELECT),
        .rows = fr_pg_int(res, row, T_ROWS, 0),
        .pages = fr_pg_int(res, row, T_PAGES, 0),
    };
    t->qualified = fr_pg_qualified(a, t->relation.space, t->relation.name);
}

static fr_rc read_tables(PGconn *conn, const fr_source_settings *settings, const char *oids,
                         fr_map *sent, fr_wal_catalog *c, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the list of tables", tables_sql, &oids, 1, &res, err));
    size_t n = (size_t)PQntuples(res);
    c->tables = fr_arena_alloc(c->arena, (n + 1) * sizeof(*c->tables));
    c->refused = fr_arena_alloc(c->arena, (n + 1) * sizeof(*c->refused));
    for (size_t i = 0; i < n; i++) {
        fr_str space = fr_pg_text(res, (int)i, T_SPACE), name = fr_pg_text(res, (int)i, T_NAME);
        const fr_table_settings *match = fr_source_match(settings, space, name);
        if (match == NULL)
            continue;
        fr_wal_table t;
        table_of_row(res, (int)i, c->arena, &t);
        t.settings = match;
        const published *p = fr_map_get(sent, table_key(c->arena, space, name));
        t.published = p != NULL;
        t.row_filter = p != NULL ? p->row_filter : (fr_str){"", 0};
        bool fine = t.persistence == 'p' && named_by_log(&t, &c->publication, p != NULL);
        if (fine)
            c->tables[c->count++] = t;
        else
            c->refused[c->refused_count++] = t;
    }
    PQclear(res);
    return FR_OK;
}

static const char *oid_array(fr_arena *a, const fr_wal_table *tables, size_t count)
{
    fr_buf b = {.arena = a};
    fr_buf_u8(&b, '{');
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(&b, "%s%" PRIu32, i > 0 ? "," : "", tables[i].relation.oid);
    fr_buf_text(&b, "}");
    fr_buf_u8(&b, '\0');
    return (const char *)b.ptr;
}

/* ---- columns ---- */

static fr_wal_table *table_by_oid(const fr_map *by_oid, const PGresult *res, int row)
{
    return fr_map_get_u64(by_oid, (uint64_t)fr_pg_int(res, row, 0, 0));
}

static void column_of_row(const PGresult *res, int row, int version, const published *p,
                          fr_arena *a, fr_wal_table *t)
{
    fr_wal_column *c = &t->columns[t->column_count++];
    *c = (fr_wal_column){.attnum = (int16_t)fr_pg_int(res, row, C_NUM, 0),
                         .type = fr_arena_str(a, fr_pg_text(res, row, C_SPELLED)),
                         .not_null = fr_pg_bool(res, row, C_NOTNULL),
                         .generated = fr_pg_text(res, row, C_GENERATED).len > 0,
                         .name = fr_arena_str(a, fr_pg_text(res, row, C_NAME))};
    /* Before 18 pgoutput never sends generated columns; from then on the publication's own
     * list of columns says whether it does. */
    bool may_be_sent = !c->generated || (version >= 180000 && p != NULL && p->columns.len > 0);
    c->sent = may_be_sent && column_published(p, c->name);
    if (!c->sent)
        return;
    c->sent_index = t->relation.column_count++;
    fr_pg_attr *attr = &t->relation.columns[c->sent_index];
    *attr = (fr_pg_attr){
        .name = c->name,
        .type = (uint32_t)fr_pg_int(res, row, C_TYPE, 0),
        .typmod = (int32_t)fr_pg_int(res, row, C_TYPMOD, -1),
        .identity = t->relation.identity == 'f',
        .nullable = !c->not_null,
        .plain = fr_pg_bool(res, row, C_PLAIN),
        .as_text = fr_wal_column_as_text(t->settings, c->name),
        .debezium = fr_wal_debezium(t->settings),
        .doc = fr_arena_str(a, fr_pg_text(res, row, C_DOC)),
        .fallback =
            c->generated ? (fr_str){"", 0} : fr_arena_str(a, fr_pg_text(res, row, C_DEFAULT)),
    };
    if (!attr->plain && t->relation.identity != 'f')
        t->toasted++;
}

static void columns_of_rows(const PGresult *res, const fr_map *by_oid, fr_map *sent, int version,
                            fr_arena *a)
{
    int n = PQntuples(res);
    for (int i = 0; i < n;) {
        int end = i + 1;
        while (end < n && fr_str_eq(fr_pg_text(res, end, 0), fr_pg_text(res, i, 0)))
            end++;
        fr_wal_table *t = table_by_oid(by_oid, res, i);
        const published *p =
            t != NULL ? fr_map_get(sent, table_key(a, t->relation.space, t->relation.name)) : NULL;
        if (t != NULL) {
            size_t count = (size_t)(end - i);
            t->columns = fr_arena_alloc(a, count * sizeof(*t->columns));
            t->relation.columns = fr_arena_alloc(a, count * sizeof(*t->relation.columns));
        }
        for (; i < end; i++)
            if (t != NULL)
                column_of_row(res, i, version, p, a, t);
    }
}

static fr_rc read_columns(PGconn *conn, int version, const char *oids, const fr_map *by_oid,
                          fr_map *sent, fr_arena *a, fr_err *err)
{
    char sql[sizeof(columns_sql) + 40];
    snprintf(sql, sizeof(sql), columns_sql, version >= 120000 ? "a.attgenerated::text" : "''");
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the columns", sql, &oids, 1, &res, err));
    columns_of_rows(res, by_oid, sent, version, a);
    PQclear(res);
    return FR_OK;
}

/* ---- keys ---- */

static size_t column_by_number(const fr_wal_table *t, long attnum)
{
    size_t i = 0;
    while (i < t->column_count && t->columns[i].attnum != attnum)
        i++;
    return i;
}

/* False when a column may be NULL (rows with NULL would be in no range) or is not there. */
static bool index_columns(const fr_wal_table *t, const char *keys, size_t count, size_t *out)
{
    char *end = NULL;
    for (size_t i = 0; i < count; i++) {
        long attnum = strtol(keys, &end, 10);
        out[i] = end != keys ? column_by_number(t, attnum) : t->column_count;
        if (out[i] == t->column_count || !t->columns[out[i]].not_null)
            return false;
        keys = end;
    }
    return true;
}

static void index_of_row(const PGresult *res, int row, fr_wal_table *t)
{
    size_t key[FR_WAL_KEY_MAX];
    int64_t count = fr_pg_int(res, row, I_COUNT, 0);
    if (count < 1 || count > FR_WAL_KEY_MAX ||
        !index_columns(t, PQgetvalue(res, row, I_KEYS), (size_t)count, key))
        return;
    bool primary = fr_pg_bool(res, row, I_PRIMARY), identity = fr_pg_bool(res, row, I_IDENTITY);
    char which = t->relation.identity;
    for (size_t i = 0; i < (size_t)count; i++) {
        if (!t->columns[key[i]].sent)
            continue;
        fr_pg_attr *attr = &t->relation.columns[t->columns[key[i]].sent_index];
        if (primary)
            attr->primary = (uint16_t)(i + 1);
        if ((primary && which == 'd') || (identity && which == 'i'))
            attr->identity = true;
    }
    t->has_primary = t->has_primary || primary;
    t->has_identity_index = t->has_identity_index || identity;
    if (t->key_count == 0) {
        memcpy(t->key, key, (size_t)count * sizeof(*key));
        t->key_count = (size_t)count;
    }
}

static fr_rc read_indexes(PGconn *conn, int version, const char *oids, const fr_map *by_oid,
                          fr_err *err)
{
    char sql[sizeof(indexes_sql) + 40];
    snprintf(sql, sizeof(sql), indexes_sql, version >= 110000 ? "indnkeyatts" : "indnatts");
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "read the indexes", sql, &oids, 1, &res, err));
    for (int i = 0; i < PQntuples(res); i++) {
        fr_wal_table *t = table_by_oid(by_oid, res, i);
        if (t != NULL)
            index_of_row(res, i, t);
    }
    PQclear(res);
    return FR_OK;
}

/* ---- all of it ---- */

static fr_rc read_details(PGconn *conn, int version, fr_map *sent, fr_wal_catalog *c, fr_err *err)
{
    fr_map *by_oid = fr_map_new();
    for (size_t i = 0; i < c->count; i++)
        fr_map_set_u64(by_oid, c->tables[i].relation.oid, &c->tables[i]);
    const char *oids = oid_array(c->arena, c->tables, c->count);
    fr_rc rc = read_columns(conn, version, oids, by_oid, sent, c->arena, err);
    if (rc != FR_FAIL)
        rc = read_indexes(conn, version, oids, by_oid, err);
    fr_map_free(by_oid, NULL);
    return rc;
}

static fr_rc catalog_read(PGconn *conn, int version, const fr_source_settings *settings,
                          const char *publication, const fr_pg_relation *one, bool details,
                          fr_wal_catalog *c, fr_err *err)
{
    const char *oids = NULL;
    if (one != NULL)
        oids = fr_arena_cstr(c->arena, fr_arena_printf(c->arena, "{%" PRIu32 "}", one->oid));
    FR_TRY(read_publication(conn, version, publication, &c->publication, err));
    if (!c->publication.exists)
        c->publication.via_root = version >= 130000; /* as the one that we propose */
    fr_map *sent = fr_map_new();
    fr_rc rc = read_published(conn, version, publication, one, c->arena, sent, err);
    if (rc != FR_FAIL)
        rc = read_tables(conn, settings, oids, sent, c, err);
    if (rc != FR_FAIL && c->count > 0 && details)
        rc = read_details(conn, version, sent, c, err);
    fr_map_free(sent, NULL);
    return rc;
}

fr_rc fr_wal_catalog_read(PGconn *conn, int version, const fr_source_settings *settings,
                          const char *publication, fr_arena *a, fr_wal_catalog *out, fr_err *err)
{
    fr_wal_catalog c = {.arena = a};
    fr_str prefix;
    for (size_t i = 0; i < settings->table_count; i++)
        c.messages = c.messages || (settings->tables[i].method != FR_METHOD_SKIP &&
                                    fr_table_messages(&settings->tables[i], &prefix));
    FR_TRY(catalog_read(conn, version, settings, publication, NULL, true, &c, err));
    *out = c;
    return FR_OK;
}

fr_rc fr_wal_catalog_names(PGconn *conn, int version, const fr_source_settings *settings,
                           const char *publication, fr_arena *a, fr_wal_catalog *out, fr_err *err)
{
    fr_wal_catalog c = {.arena = a};
    FR_TRY(catalog_read(conn, version, settings, publication, NULL, false, &c, err));
    *out = c;
    return FR_OK;
}

static void describe_column(const fr_wal_table *t, const fr_table_settings *settings,
                            fr_pg_attr *to)
{
    to->as_text = fr_wal_column_as_text(settings, to->name);
    to->debezium = fr_wal_debezium(settings);
    for (size_t i = 0; t != NULL && i < t->relation.column_count; i++) {
        const fr_pg_attr *from = &t->relation.columns[i];
        if (!fr_str_eq(from->name, to->name))
            continue;
        to->nullable = from->nullable;
        to->plain = from->plain && from->type == to->type;
        to->primary = from->primary;
        to->doc = from->doc;
        to->fallback = from->type == to->type ? from->fallback : (fr_str){"", 0};
    }
}

fr_rc fr_wal_catalog_describe(PGconn *conn, int version, const fr_source_settings *settings,
                              const char *publication, fr_pg_relation *r, fr_arena *a, fr_err *err)
{
    const fr_table_settings *match = fr_source_match(settings, r->space, r->name);
    r->captured = match != NULL;
    if (!r->captured)
        return FR_OK;
    fr_wal_catalog c = {.arena = a};
    FR_TRY(catalog_read(conn, version, settings, publication, r, true, &c, err));
    const fr_wal_table *t = c.count == 1 ? &c.tables[0] : NULL;
    if (t != NULL)
        r->doc = t->relation.doc;
    for (size_t i = 0; i < r->column_count; i++)
        describe_column(t, match, &r->columns[i]);
    return FR_OK;
}

/* ---- types ---- */

/* Labels of the enums among them. */
static fr_rc read_labels(PGconn *conn, const char *oids, fr_pg_catalog *types, fr_err *err)
{
    PGresult *res = NULL;
    FR_TRY(fr_pg_query(conn, "look up the labels of enums", fr_pg_labels_sql, &oids, 1, &res, err));
    for (int i = 0; i < PQntuples(res); i++)
        fr_pg_catalog_labels(types, (uint32_t)fr_pg_int(res, i, 0, 0), fr_pg_text(res, i, 1));
    PQclear(res);
    return FR_OK;
}

fr_rc fr_wal_types_lookup(PGconn *conn, const uint32_t *oids, size_t count, fr_pg_catalog *types,
                          fr_err *err)
{
    fr_buf b = {.arena = NULL};
    fr_buf_u8(&b, '{');
    for (size_t i = 0; i < count; i++)
        fr_buf_printf(&b, "%s%" PRIu32, i > 0 ? "," : "", oids[i]);
    fr_buf_text(&b, "}");
    fr_buf_u8(&b, '\0');
    const char *param = (const char *)b.ptr;
    PGresult *res = NULL;
    fr_rc rc = fr_pg_query(conn, "look up types", fr_pg_types_sql, &param, 1, &res, err);
    if (rc == FR_OK)
        rc = read_labels(conn, param, types, err);
    fr_buf_free(&b);
    for (int i = 0; rc != FR_FAIL && i < PQntuples(res); i++) {
        const char *fields[FR_PG_TYPES_COLUMNS];
        for (int k = 0; k < FR_PG_TYPES_COLUMNS; k++)
            fields[k] = PQgetvalue(res, i, k);
        rc = fr_pg_catalog_add_row(types, fields, err);
    }
    PQclear(res);
    return rc;
}

fr_rc fr_wal_types_of(PGconn *conn, const fr_wal_table *tables, size_t count, fr_pg_catalog *types,
                      fr_err *err)
{
    fr_map *seen = fr_map_new();
    uint32_t *oids = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < tables[i].relation.column_count; k++) {
            uint32_t oid = tables[i].relation.columns[k].type;
            if (fr_pg_catalog_find(types, oid) != NULL || fr_map_get_u64(seen, oid) != NULL)
                continue;
            fr_map_set_u64(seen, oid, seen);
            if (n == cap) {
                cap = cap == 0 ? 16 : cap * 2;
                oids = fr_realloc(oids, cap * sizeof(*oids));
            }
            oids[n++] = oid;
        }
    }
    fr_rc rc = n > 0 ? fr_wal_types_lookup(conn, oids, n, types, err) : FR_OK;
    free(oids);
    fr_map_free(seen, NULL);
    return rc;
}
